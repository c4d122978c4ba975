/* SPDX-License-Identifier: MIT */
/* From a form to bytes: registers, addressing, immediates and superfluous prefixes are drawn, then decoded again to see that
 * the form has not changed. SDM vol. 2A ch. 2. */
#include "tests/oracle/oracle.h"

const struct ldt_entry oracle_ldt[SEL_LDT_COUNT] = {
	{.base = LDT_DATA_BASE, .limit = 0xffffffff, .big = true, .writable = true, .present = true},
	{.base = CODE_PAGE, .limit = 0xffff, .code = true, .writable = true /* readable */, .present = true},
	{.base = LDT_STACK_BASE, .limit = 0xffff, .writable = true, .present = true},
	{.base = LDT_DATA_BASE, .limit = LDT_SMALL_LIMIT, .big = true, .writable = true, .present = true},
	{.base = LDT_DATA_BASE, .limit = 0xffffffff, .big = true, .present = true},
	{.base = LDT_DATA_BASE, .limit = 0xffffffff, .big = true, .writable = true},
};

/* ---- addresses ---- */

u64 build_target(struct rng *rng, unsigned bytes, bool aligned, bool near_faults)
{
	unsigned align = aligned ? bytes >= 64 ? 64 : bytes : 1;
	unsigned choice = rng_below(rng, near_faults ? 32 : 12);
	u64 at;

	if (align & (align - 1) || align == 0)
		align = 1;
	if (choice < 5 && bytes <= 512) {
		at = DATA_PAGE + 0x400 + rng_below(rng, 0x800);
		return at & ~(u64)((bytes >= 64 ? 64 : bytes >= 16 ? 16 : bytes >= 8 ? 8 : bytes >= 4 ? 4 : bytes >= 2 ? 2 : 1) - 1);
	}
	if (choice < 10)
		return (DATA_PAGE + 0x100 + rng_below(rng, DATA_SIZE - 0x200 - bytes)) & ~(u64)(align - 1);
	if (choice < 12) /* across the page boundary, both mapped */
		return (DATA_PAGE + PAGE - rng_below(rng, bytes + 1)) & ~(u64)(align - 1);
	if (choice < 29)
		return (DATA_PAGE + 0x200 + rng_below(rng, 0xc00)) & ~(u64)(align - 1);
	switch (rng_below(rng, 6)) {
	case 0: at = DATA_PAGE + DATA_SIZE - 1 - rng_below(rng, bytes); break; /* runs into nothing */
	case 1: at = DATA_PAGE - 1 - rng_below(rng, bytes); break;
	case 2: at = DATA_PAGE + DATA_SIZE + rng_below(rng, PAGE); break;
	case 3: at = RO_PAGE + rng_below(rng, PAGE - bytes % PAGE); break;
	case 4: at = RO_PAGE + PAGE - bytes; break;
	default: at = DATA_PAGE + DATA_SIZE - bytes; break; /* just fits */
	}
	return at & ~(u64)(align - 1);
}

u16 build_far_selector(enum mode mode, unsigned mnemonic, u16 selector)
{
	return mode == M16 && mnemonic == ZYDIS_MNEMONIC_CALL && (selector | 3) == SEL_CODE64 ? SEL_CODE32 : selector;
}

u64 build_landing(struct rng *rng)
{
	u64 at = rng_below(rng, CODE_TAIL - 0x40);

	return CODE_PAGE + (at >= CODE_AT - 0x10 && at < CODE_AT + 0x30 ? at + 0x40 : at);
}

/* ---- bytes ---- */

struct bytes {
	u8 b[32];
	unsigned n;
};

static void put(struct bytes *b, u64 v, unsigned size)
{
	for (unsigned i = 0; i < size && b->n < sizeof b->b; i++)
		b->b[b->n++] = v >> i * 8;
}

struct modrm {
	u8 mod, reg, rm, rex; /* rex: R=4 X=2 B=1 */
	bool sib;
	u8 sib_byte;
	unsigned disp_size;
	i64 disp;
	bool absolute, rip;
};

static i64 some_disp(struct rng *rng, unsigned size)
{
	if (size == 1)
		return (i8)rng_next(rng);
	return rng_one_in(rng, 2) ? (i64)rng_below(rng, 0x200) - 0x100 : (i32)rng_next(rng) >> rng_below(rng, 31);
}

static void memory16(struct rng *rng, struct modrm *m, u64 target)
{
	m->mod = rng_below(rng, 3);
	m->rm = rng_below(rng, 8);
	m->disp_size = m->mod == 1 ? 1 : m->mod == 2 || m->rm == 6 ? 2 : 0;
	m->disp = m->disp_size == 1 ? (i8)rng_next(rng) : (i16)rng_next(rng);
	m->absolute = m->mod == 0 && m->rm == 6;
	if (m->absolute)
		m->disp = (i16)(target - LDT_DATA_BASE);
}

static void memory(struct rng *rng, struct modrm *m, enum mode mode, u64 target)
{
	m->mod = rng_below(rng, 3);
	m->rm = rng_below(rng, 8);
	if (rng_one_in(rng, 3))
		m->rm = 4;
	if (mode == M64)
		m->rex = rng_below(rng, 2) | rng_below(rng, 2) << 1;
	m->disp_size = m->mod == 1 ? 1 : m->mod == 2 ? 4 : 0;
	if (m->rm == 4) {
		m->sib = true;
		m->sib_byte = rng_next(rng);
		bool none = (m->sib_byte & 7) == 5 && m->mod == 0;
		if (none)
			m->disp_size = 4;
		m->absolute = none && (m->sib_byte >> 3 & 7) == 4 && !(m->rex & 2);
	} else if (m->rm == 5 && m->mod == 0) {
		m->disp_size = 4;
		m->absolute = mode != M64;
		m->rip = mode == M64;
	}
	m->disp = some_disp(rng, m->disp_size);
	if (m->absolute)
		m->disp = (i32)target;
}

static unsigned immediate_size(const ZydisDecodedInstruction *z, unsigned i)
{
	return z->raw.imm[i].size / 8;
}

/* Immediates of branches lead to a landing; of others they are like any operand. */
static u64 immediate(struct rng *rng, const struct iform *f, unsigned size, unsigned which)
{
	switch (f->z.mnemonic) {
	case ZYDIS_MNEMONIC_INT: {
		static const u8 vectors[] = {0, 1, 3, 4, 5, 13, 14, 0x20, 0x81, 0xff};
		u8 v = rng_one_in(rng, 3) ? vectors[rng_below(rng, ARRAY_LEN(vectors))] : rng_next(rng);
		return v == 0x80 ? 0x7f : v; /* 0x80 is a system call of the host */
	}
	case ZYDIS_MNEMONIC_ENTER:
		return which == 0 ? rng_below(rng, rng_one_in(rng, 8) ? 0x10000 : 0x200) : rng_below(rng, rng_one_in(rng, 8) ? 256 : 4);
	case ZYDIS_MNEMONIC_RET:
		return rng_below(rng, 0x100);
	default:
		return value_int(rng, size * 8);
	}
}

static void rel_immediate(struct rng *rng, struct bytes *b, enum mode mode, unsigned size)
{
	u32 next = CODE_AT + b->n + size, to;

	if (size == 1) { /* may not land among the bytes themselves or those behind them */
		u64 back = next - CODE_AT;
		to = rng_one_in(rng, 2) ? CODE_AT - 1 - rng_below(rng, 127 - back) : next + 0x20 + rng_below(rng, 127 - 0x20);
	} else {
		to = build_landing(rng) - CODE_PAGE;
		if (rng_one_in(rng, 16))
			to = (mode == M16 || size == 2 ? 0x2000 : DATA_PAGE) + rng_below(rng, 0x1000);
	}
	put(b, (u64)to - next, size);
}

static void prefixes(struct rng *rng, const struct iform *f, struct bytes *b, bool gs, bool address67)
{
	u8 list[8];
	unsigned n = 0;
	static const u8 plain[] = {0x26, 0x2e, 0x36, 0x3e};

	if (gs)
		list[n++] = 0x65;
	else if ((f->memory || f->hidden_memory) && f->z.meta.branch_type == ZYDIS_BRANCH_TYPE_NONE && rng_one_in(rng, 10))
		list[n++] = plain[rng_below(rng, 4)];
	if ((f->prefixes & P_67) || address67)
		list[n++] = 0x67;
	if (f->prefixes & P_66)
		list[n++] = 0x66;
	if (f->prefixes & P_F2)
		list[n++] = 0xf2;
	if (f->prefixes & P_F3)
		list[n++] = 0xf3;
	if (f->prefixes & P_LOCK)
		list[n++] = 0xf0;
	/* one without a meaning here; decoding it again tells whether that is so */
	if (rng_one_in(rng, 12)) {
		static const u8 idle[] = {0x66, 0xf2, 0xf3};
		list[n++] = idle[rng_below(rng, 3)];
	}
	while (n) {
		unsigned i = rng_below(rng, n);
		put(b, list[i], 1);
		list[i] = list[--n];
	}
}

static bool encode(struct rng *rng, const struct iform *f, struct instance *in)
{
	struct bytes b = {.n = 0};
	struct modrm m = {0};
	enum mode mode = f->mode;
	bool gs = (f->memory || f->hidden_memory) && rng_one_in(rng, 12);
	bool address67 = !(f->prefixes & P_67) && f->memory && rng_one_in(rng, 12);
	bool a16 = mode == M16 ? !(address67 || (f->prefixes & P_67)) : mode == M32 && (address67 || (f->prefixes & P_67));
	unsigned size = 16;

	for (unsigned i = 0; i < f->z.operand_count; i++)
		if (f->op[i].type == ZYDIS_OPERAND_TYPE_MEMORY && f->op[i].encoding != ZYDIS_OPERAND_ENCODING_NONE)
			size = f->op[i].size / 8;
	u64 target = build_target(rng, size ? size : 1, rng_one_in(rng, 2), rng_one_in(rng, 8));
	in->target = -1;
	if (f->memory) {
		if (a16)
			memory16(rng, &m, target);
		else
			memory(rng, &m, mode, gs && mode == M64 ? target - GS_BASE : target);
	} else if (f->modrm) {
		m.mod = 3;
		m.rm = f->rm == FREE ? rng_below(rng, 8) : f->rm;
		if (mode == M64 && f->rm == FREE)
			m.rex = rng_below(rng, 2);
	}
	if (f->modrm) {
		m.reg = f->reg == FREE ? rng_below(rng, 8) : f->reg;
		if (mode == M64 && f->reg == FREE)
			m.rex |= rng_below(rng, 2) << 2;
	}
	u8 opcode = f->opcode;
	if (f->opcode_reg) {
		opcode = (opcode & 0xf8) | rng_below(rng, 8);
		if (mode == M64)
			m.rex |= rng_below(rng, 2);
	}
	prefixes(rng, f, &b, gs, address67);
	if (mode == M64) {
		u8 rex = m.rex | (f->prefixes & P_REXW ? 8 : 0);
		if (rex || rng_one_in(rng, 6))
			put(&b, 0x40 | rex, 1);
	}
	if (f->map)
		put(&b, 0x0f, 1);
	if (f->map > 1)
		put(&b, f->map == 2 ? 0x38 : 0x3a, 1);
	put(&b, opcode, 1);
	unsigned disp_at = 0;
	if (f->modrm) {
		put(&b, m.mod << 6 | m.reg << 3 | m.rm, 1);
		if (m.sib)
			put(&b, m.sib_byte, 1);
		disp_at = b.n;
		put(&b, m.disp, m.disp_size);
	} else if (f->z.raw.disp.size) { /* absolute address */
		m.absolute = true;
		put(&b, a16 ? target - LDT_DATA_BASE : gs && mode == M64 ? target - GS_BASE : target, f->z.raw.disp.size / 8);
	}
	for (unsigned i = 0; i < 2; i++) {
		unsigned s = immediate_size(&f->z, i);
		if (s && f->z.raw.imm[i].is_relative)
			rel_immediate(rng, &b, mode, s);
		else if (s)
			put(&b, immediate(rng, f, s, i), s);
	}
	/* far pointers: offset and selector */
	for (unsigned i = 0; i < f->z.operand_count_visible; i++)
		if (f->op[i].type == ZYDIS_OPERAND_TYPE_POINTER) {
			static const u16 code[] = {SEL_CODE32, SEL_CODE32, SEL_CODE64, SEL_LDT_CODE16, SEL_DATA, 0, 0x10, SEL_LDT_ABSENT};
			unsigned off = f->op[i].size == 32 ? 2 : 4;
			u16 sel = build_far_selector(mode, f->z.mnemonic, code[rng_below(rng, ARRAY_LEN(code))]);
			u64 to = build_landing(rng);
			b.n -= off + 2; /* drawn above as if they were immediates */
			put(&b, off == 2 || sel == SEL_LDT_CODE16 ? to - CODE_PAGE : to, off);
			put(&b, sel, 2);
		}
	if (b.n > 15)
		return false;
	if (m.rip) {
		i64 base = CODE_START + b.n;
		i64 want = gs ? (i64)target - GS_BASE : (i64)target;
		store32(b.b + disp_at, (u32)(want - base));
	}
	if (m.rip || m.absolute)
		in->target = target;
	in->form = f;
	in->mode = mode;
	in->len = b.n;
	memcpy(in->bytes, b.b, b.n);
	return true;
}

/* ---- is it still what it should be ---- */

/* Effects that the harness on the host cannot take back. */
static bool forbidden(const struct instance *in)
{
	for (unsigned i = 0; i < in->z.operand_count; i++) {
		const ZydisDecodedOperand *op = &in->op[i];
		if (op->type == ZYDIS_OPERAND_TYPE_REGISTER && op->reg.value == ZYDIS_REGISTER_FS &&
		    (op->actions & ZYDIS_OPERAND_ACTION_MASK_WRITE))
			return true;
		if (op->type == ZYDIS_OPERAND_TYPE_MEMORY && op->mem.segment == ZYDIS_REGISTER_FS)
			return true;
	}
	return false;
}

static bool names(const ZydisDecodedOperand *op, unsigned gpr)
{
	return (op->mem.base != ZYDIS_REGISTER_NONE && ZydisRegisterGetClass(op->mem.base) != ZYDIS_REGCLASS_IP &&
	        reg_id(op->mem.base) == gpr) ||
	       (op->mem.index != ZYDIS_REGISTER_NONE && reg_id(op->mem.index) == gpr);
}

/* Addresses that cannot be solved: [r+r], and far from a stack pointer that the instruction also pushes or pops by. Those of
 * XSAVE and its kind may not use the registers that hold its mask. */
static bool unsolvable(const struct instance *in)
{
	bool stack = false, masked = in->z.meta.isa_ext == ZYDIS_ISA_EXT_XSAVE || in->z.meta.isa_ext == ZYDIS_ISA_EXT_XSAVEC ||
	                             in->z.meta.isa_ext == ZYDIS_ISA_EXT_XSAVEOPT;

	for (unsigned i = in->z.operand_count_visible; i < in->z.operand_count; i++)
		if (in->op[i].type == ZYDIS_OPERAND_TYPE_MEMORY && in->op[i].mem.segment == ZYDIS_REGISTER_SS)
			stack = true;
	for (unsigned i = 0; i < in->z.operand_count_visible; i++) {
		const ZydisDecodedOperand *op = &in->op[i];
		if (op->type != ZYDIS_OPERAND_TYPE_MEMORY)
			continue;
		if (op->mem.index != ZYDIS_REGISTER_NONE && op->mem.base == op->mem.index)
			return true;
		if (masked && (names(op, R_AX) || names(op, R_DX)))
			return true;
		if (stack && op->mem.base != ZYDIS_REGISTER_NONE && reg_id(op->mem.base) == R_SP &&
		    ZydisRegisterGetClass(op->mem.base) != ZYDIS_REGCLASS_IP &&
		    (op->mem.disp.value < -0x800 || op->mem.disp.value > 0x800))
			return true;
	}
	return false;
}

/* Accesses that lock the bus must not cross a cache line: hosts may trap or throttle that. */
bool build_locks(const struct instance *in)
{
	return (in->z.attributes & ZYDIS_ATTRIB_HAS_LOCK) || in->z.mnemonic == ZYDIS_MNEMONIC_XCHG;
}

static void ends(struct instance *in)
{
	switch (in->z.mnemonic) {
	case ZYDIS_MNEMONIC_POPF: case ZYDIS_MNEMONIC_POPFD: case ZYDIS_MNEMONIC_POPFQ: case ZYDIS_MNEMONIC_IRET:
	case ZYDIS_MNEMONIC_IRETD: case ZYDIS_MNEMONIC_IRETQ:
		in->int3_end = in->segs = true;
		break;
	default:
		in->int3_end = in->z.meta.branch_type == ZYDIS_BRANCH_TYPE_FAR;
		break;
	}
	in->repeats = in->z.attributes & (ZYDIS_ATTRIB_HAS_REP | ZYDIS_ATTRIB_HAS_REPE | ZYDIS_ATTRIB_HAS_REPNE);
	in->segs |= in->mode != M64 || in->z.meta.branch_type == ZYDIS_BRANCH_TYPE_FAR;
	for (unsigned i = 0; i < in->z.operand_count; i++)
		if (in->op[i].type == ZYDIS_OPERAND_TYPE_REGISTER &&
		    ZydisRegisterGetClass(in->op[i].reg.value) == ZYDIS_REGCLASS_SEGMENT)
			in->segs = true;
}

void build_finish(struct instance *in)
{
	if (!forms_decode(in->mode, in->bytes, in->len, &in->z, in->op)) {
		in->illegal = true;
		if (in->len < 2 || !forms_decode(in->mode, in->bytes + 1, in->len - 1, &in->z, in->op))
			memset(&in->z, 0, sizeof in->z);
	}
	in->target = -1;
	ends(in);
}

static bool amd;

void build_family(enum vendor vendor)
{
	amd = vendor == VENDOR_AMD;
}

/* AMD's near branches with an operand-size prefix have displacements of 16 bits, also in 64-bit mode; the decoder is Intel's. */
static void shorten(struct instance *in)
{
	if (amd && in->mode == M64 && (in->z.attributes & ZYDIS_ATTRIB_HAS_OPERANDSIZE) && !in->z.raw.rex.W &&
	    in->z.meta.branch_type == ZYDIS_BRANCH_TYPE_NEAR && in->z.raw.imm[0].is_relative && in->z.raw.imm[0].size == 32)
		in->len -= 2;
}

bool build_instance(struct rng *rng, const struct iform *form, struct instance *in)
{
	ZydisDecodedInstruction z;
	ZydisDecodedOperand op[ZYDIS_MAX_OPERAND_COUNT];

	for (unsigned tries = 0; tries < 400; tries++) {
		memset(in, 0, sizeof *in);
		if (!encode(rng, form, in) || !forms_decode(form->mode, in->bytes, in->len, &in->z, in->op))
			continue;
		if (in->z.length != in->len || forms_key(form->mode, &in->z, in->op) != form->key || forbidden(in) ||
		    unsolvable(in))
			continue;
		if (in->target >= 0 && build_locks(in) && (in->target & 63) + 16 > 64)
			continue;
		ends(in);
		shorten(in);
		/* now and then with a LOCK that must not be there */
		if (form->class == CLASS_RUN && in->len < 15 && !(form->prefixes & P_LOCK) && rng_one_in(rng, 24)) {
			u8 locked[15] = {0xf0};
			memcpy(locked + 1, in->bytes, in->len);
			if (!forms_decode(form->mode, locked, in->len + 1, &z, op)) {
				memcpy(in->bytes, locked, ++in->len);
				in->illegal = true;
			}
		}
		return true;
	}
	return false;
}

/* ---- the page both sides execute ---- */

void oracle_code_page(const struct instance *in, u8 *page)
{
	u8 *p = page + CODE_AT;

	memset(page, 0xcc, PAGE);
	memcpy(p, in->bytes, in->len);
	p += in->len;
	/* the tail, 64-bit code: jmp [LANDING_SLOT] */
	memcpy(page + CODE_TAIL, (const u8[]){0xff, 0x24, 0x25}, 3);
	store32(page + CODE_TAIL + 3, LANDING_SLOT);
	if (in->int3_end)
		return;
	switch (in->mode) {
	case M64:
		*p++ = 0xe9;
		store32(p, (u32)(page + CODE_TAIL - (p + 4)));
		break;
	case M32:
		*p++ = 0xea;
		store32(p, CODE_PAGE + CODE_TAIL);
		store16(p + 4, SEL_CODE64);
		break;
	default:
		*p++ = 0x66;
		*p++ = 0xea;
		store32(p, CODE_PAGE + CODE_TAIL);
		store16(p + 4, SEL_CODE64);
		break;
	}
}
