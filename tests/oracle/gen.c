/* SPDX-License-Identifier: MIT */
/* The state an instance starts in: edge-heavy values in what it reads, addresses solved so that its memory operand lies where
 * the draw says, and around that a background that makes any stray read or write visible. */
#include "tests/oracle/oracle.h"

const u8 *oracle_background(void)
{
	static u8 arena[ARENA_SIZE];
	static bool done;

	if (!done) {
		struct rng rng = rng_from(1, 2, 3);
		for (unsigned i = 0; i < sizeof arena; i += 8)
			store64(arena + i, rng_next(&rng));
		done = true;
	}
	return arena;
}

i64 oracle_arena(u64 address)
{
	if (address - DATA_PAGE < DATA_SIZE)
		return ARENA_DATA + (address - DATA_PAGE);
	if (address - STACK_PAGE < STACK_SIZE)
		return ARENA_STACK + (address - STACK_PAGE);
	if (address - RO_PAGE < PAGE)
		return ARENA_RO + (address - RO_PAGE);
	return -1;
}

void oracle_prepare(const struct test *t, u8 *arena)
{
	memcpy(arena, oracle_background(), ARENA_WRITABLE);
	for (unsigned i = 0; i < t->patches; i++)
		memcpy(arena + t->patch[i].at, t->patch[i].bytes, t->patch[i].len);
}

u64 gen_seg_base(u16 selector)
{
	return (selector & 4) && selector >> 3 < SEL_LDT_COUNT ? oracle_ldt[selector >> 3].base : 0;
}

void gen_background(struct state *s, enum mode mode)
{
	memset(s, 0, sizeof *s);
	for (unsigned i = 0; i < 16; i++)
		s->gpr[i] = mode == M64 ? 0x1111111111111111ull * i + 0x0123456789abcdefull : i < 8 ? 0x11111111u * i + 0x01234567u : 0;
	s->gpr[R_SP] = STACK_PAGE + PAGE;
	s->rip = mode == M16 ? CODE_AT : CODE_START;
	s->rflags = F_IF | 2;
	s->sel[S_CS] = mode == M64 ? SEL_CODE64 : mode == M32 ? SEL_CODE32 : SEL_LDT_CODE16;
	s->sel[S_SS] = SEL_DATA;
	if (mode != M64) {
		s->sel[S_DS] = s->sel[S_ES] = mode == M32 ? SEL_DATA : SEL_LDT_DATA;
		s->sel[S_GS] = SEL_LDT_DATA;
	}
	if (mode == M16) {
		s->sel[S_SS] = SEL_LDT_STACK16;
		s->gpr[R_SP] = STACK_PAGE + PAGE - LDT_STACK_BASE;
	}
	s->gs_base = mode == M64 ? GS_BASE : 0;
	s->fp.fcw = 0x37f;
	s->fp.ftw = 0xff;
	s->fp.mxcsr = 0x1f80;
	for (unsigned i = 0; i < 8; i++)
		s->fp.st[i] = (struct st80){.mant = 0x8000000000000000ull | 0x0123456789abcdefull * (i + 1), .se = 0x3fff + i};
	for (unsigned i = 0; i < 16; i++) {
		s->fp.xmm[i][0] = 0x3ff0000000000000ull + 0x0001020304050607ull * i;
		s->fp.xmm[i][1] = 0x4000000040800000ull + 0x0100000001000000ull * i;
	}
}

/* ---- floating point ---- */

static void environment_x87(struct rng *rng, struct fx *fp)
{
	static const u16 precision[] = {0x300, 0x300, 0x300, 0x200, 0x200, 0, 0, 0x100};
	u16 masks = 0x3f, flags = 0;

	if (rng_one_in(rng, 4))
		masks = rng_next(rng) & 0x3f;
	fp->fcw = 0x40 | masks | precision[rng_below(rng, 8)] | rng_below(rng, 4) << 10;
	if (rng_one_in(rng, 16))
		fp->fcw |= 0x1000;
	if (rng_one_in(rng, 3))
		flags = rng_next(rng) & 0x7f;
	if ((flags & ~masks & 0x3f) && !rng_one_in(rng, 4))
		flags &= masks | 0x40;
	fp->fsw = rng_below(rng, 8) << 11 | (rng_next(rng) & 0x4700) | flags;
	if (flags & ~masks & 0x3f)
		fp->fsw |= 0x8080;
	fp->ftw = rng_below(rng, 3) ? 0xff : rng_next(rng);
	fp->fop = rng_next(rng) & 0x7ff;
	fp->fip = rng_next(rng) >> 32;
	fp->fdp = rng_next(rng) >> 32;
}

static void environment_sse(struct rng *rng, struct fx *fp)
{
	fp->mxcsr = 0x1f80 | rng_below(rng, 4) << 13;
	if (rng_one_in(rng, 4))
		fp->mxcsr |= 0x8000;
	if (rng_one_in(rng, 4))
		fp->mxcsr |= 0x0040;
	if (rng_one_in(rng, 4))
		fp->mxcsr ^= rng_next(rng) & 0x1f80;
	if (rng_one_in(rng, 3))
		fp->mxcsr |= rng_next(rng) & 0x3f;
}

/* which: bit per ST(i) to be drawn. */
static void stack_x87(struct rng *rng, struct fx *fp, unsigned which)
{
	for (unsigned i = 0; i < 8; i++) {
		if (!(which >> i & 1))
			continue;
		fp->st[i] = value_f80(rng);
		if (rng_one_in(rng, 16)) { /* what MMX leaves */
			fp->st[i].se = 0xffff;
			fp->st[i].mant = rng_next(rng);
		}
	}
	if (rng_one_in(rng, 3)) { /* relatives: equal, negated, a bit apart */
		unsigned a = rng_below(rng, 8), b = rng_below(rng, 3);
		if ((which >> a & 1) && (which >> b & 1)) {
			fp->st[a] = fp->st[b];
			fp->st[a].se ^= (rng_next(rng) & 1) << 15;
			fp->st[a].mant += rng_below(rng, 3) - 1;
			fp->st[a].se += rng_one_in(rng, 3) ? rng_below(rng, 140) - 70 : 0;
		}
	}
}

/* ---- what the instance touches ---- */

struct touches {
	u32 gpr;  /* bit per register, address registers included */
	u32 xmm;
	u8 st, mm; /* bit per ST(i), MMi */
	bool x87, mmx, sse, stack;
	enum value_kind kind; /* of its vector operands */
	bool aligned; /* a 16-byte memory operand that may have to be aligned */
};

static void touch(struct touches *t, ZydisRegister reg)
{
	unsigned id = reg_id(reg);

	switch (ZydisRegisterGetClass(reg)) {
	case ZYDIS_REGCLASS_GPR8: t->gpr |= 1u << (id < 4 ? id : id < 8 ? id - 4 : id - 4); break;
	case ZYDIS_REGCLASS_GPR16: case ZYDIS_REGCLASS_GPR32: case ZYDIS_REGCLASS_GPR64: t->gpr |= 1u << id; break;
	case ZYDIS_REGCLASS_XMM: t->xmm |= 1u << (id & 15); t->sse = true; break;
	case ZYDIS_REGCLASS_MMX: t->mmx = t->x87 = true, t->mm |= 1u << (id & 7); break;
	case ZYDIS_REGCLASS_X87: t->x87 = true, t->st |= 1u << (id & 7); break;
	default: break;
	}
}

static struct touches look(const struct instance *in)
{
	struct touches t = {.kind = V_BITS};
	bool kind = false;

	for (unsigned i = 0; i < in->z.operand_count; i++) {
		const ZydisDecodedOperand *op = &in->op[i];
		if (op->type == ZYDIS_OPERAND_TYPE_REGISTER)
			touch(&t, op->reg.value);
		if (op->type == ZYDIS_OPERAND_TYPE_MEMORY) {
			touch(&t, op->mem.base);
			touch(&t, op->mem.index);
			if (i >= in->z.operand_count_visible && op->mem.segment == ZYDIS_REGISTER_SS)
				t.stack = true;
			if (op->size == 128)
				t.aligned = true;
		}
		bool vector = op->type == ZYDIS_OPERAND_TYPE_MEMORY ||
		              (op->type == ZYDIS_OPERAND_TYPE_REGISTER && op->size >= 64 && op->element_type);
		if (vector && !kind && (op->actions & ZYDIS_OPERAND_ACTION_MASK_READ)) {
			t.kind = value_kind_of(op);
			kind = op->type == ZYDIS_OPERAND_TYPE_REGISTER || t.kind == V_F32 || t.kind == V_F64;
		}
	}
	if (t.st)
		t.st |= 3;
	switch (in->z.meta.isa_ext) {
	case ZYDIS_ISA_EXT_X87: t.x87 = true; break;
	case ZYDIS_ISA_EXT_MMX: t.mmx = t.x87 = true; break;
	case ZYDIS_ISA_EXT_SSE: case ZYDIS_ISA_EXT_SSE2: case ZYDIS_ISA_EXT_SSE3: case ZYDIS_ISA_EXT_SSE4: t.sse = true; break;
	default: break;
	}
	switch (in->z.meta.isa_set) {
	case ZYDIS_ISA_SET_SSE3X87: case ZYDIS_ISA_SET_FCMOV: case ZYDIS_ISA_SET_X87: case ZYDIS_ISA_SET_PPRO: t.x87 = true; break;
	case ZYDIS_ISA_SET_FXSAVE: case ZYDIS_ISA_SET_FXSAVE64: case ZYDIS_ISA_SET_XSAVE: case ZYDIS_ISA_SET_XSAVEC:
	case ZYDIS_ISA_SET_XSAVEOPT: t.x87 = t.sse = true; t.xmm = 0xffff; t.aligned = true; break;
	default: break;
	}
	return t;
}

/* ---- vectors ---- */

static void vectors(struct rng *rng, struct fx *fp, const struct touches *touched)
{
	u8 regs[16];
	unsigned n = 0;

	for (unsigned i = 0; i < 16; i++) {
		if (!(touched->xmm >> i & 1))
			continue;
		enum value_kind kind = rng_below(rng, 8) ? touched->kind : rng_below(rng, V_KINDS);
		value_fill(rng, kind == V_F80 || kind == V_BCD ? V_BITS : kind, fp->xmm[i], 16);
		regs[n++] = i;
	}
	if (n < 2 || !rng_one_in(rng, 3))
		return;
	/* relatives by lanes: equal, negated, one unit apart, near in magnitude */
	unsigned a = regs[rng_below(rng, n)], b = regs[rng_below(rng, n)];
	for (unsigned lane = 0; lane < 4; lane++) {
		u32 *x = (u32 *)fp->xmm[a] + lane, y = ((u32 *)fp->xmm[b])[lane];
		switch (rng_below(rng, 5)) {
		case 0: *x = y; break;
		case 1: *x = y ^ 0x80000000; break;
		case 2: *x = y + (lane & 1 && touched->kind == V_F64 ? 0 : rng_below(rng, 3) - 1); break;
		case 3: *x = y + (rng_below(rng, 60) - 30) * (touched->kind == V_F64 ? 1u << 20 : 1u << 23); break;
		default: break;
		}
	}
}

/* ---- addresses ---- */

static u64 *gpr_of(struct test *t, ZydisRegister reg)
{
	return &t->s.gpr[reg_id(reg) & 15];
}

static u64 seg_base(const struct test *t, ZydisRegister seg)
{
	unsigned id = reg_id(seg);

	if (t->in.mode == M64)
		return id == S_GS ? t->s.gs_base : 0;
	return id < 6 ? gen_seg_base(t->s.sel[id]) : 0;
}

/* Move a register so that an address of this width comes out; what lies above the width stays. */
static void add_to(struct test *t, ZydisRegister reg, u64 delta, unsigned width)
{
	u64 mask = width >= 64 ? ~0ull : (1ull << width) - 1, *r = gpr_of(t, reg);

	*r = (*r & ~mask) | ((*r + delta) & mask);
}

static unsigned stack_width(enum mode mode)
{
	return mode == M64 ? 64 : mode == M32 ? 32 : 16;
}

/* keep: a register that must not move, or none. */
static void solve(struct test *t, const ZydisDecodedOperand *op, u64 target, unsigned width, ZydisRegister keep)
{
	u64 mask = width >= 64 ? ~0ull : (1ull << width) - 1;
	ZydisRegister base = op->mem.base, index = op->mem.index;
	bool has_base = base != ZYDIS_REGISTER_NONE && base != ZYDIS_REGISTER_RIP && base != ZYDIS_REGISTER_EIP;
	bool has_index = index != ZYDIS_REGISTER_NONE;

	u64 sum = op->mem.disp.has_displacement ? (u64)op->mem.disp.value : 0;
	if (has_base)
		sum += *gpr_of(t, base);
	if (has_index)
		sum += *gpr_of(t, index) * op->mem.scale;
	u64 delta = (target - seg_base(t, op->mem.segment) - sum) & mask;
	if (has_base && reg_id(base) != reg_id(keep))
		add_to(t, base, delta, width);
	else if (has_index) /* as near as the scale allows */
		add_to(t, index, (i64)(width == 64 ? delta : (u64)(i32)delta) / op->mem.scale, width);
}

u64 recipe_address(const struct test *t, unsigned i)
{
	const ZydisDecodedOperand *op = &t->in.op[i];
	bool hidden_stack = i >= t->in.z.operand_count_visible && op->mem.segment == ZYDIS_REGISTER_SS;
	unsigned width = hidden_stack ? stack_width(t->in.mode) : t->in.z.address_width;
	u64 sum = op->mem.disp.has_displacement ? (u64)op->mem.disp.value : 0;

	if (op->mem.base == ZYDIS_REGISTER_RIP || op->mem.base == ZYDIS_REGISTER_EIP)
		sum += CODE_START + t->in.z.length;
	else if (op->mem.base != ZYDIS_REGISTER_NONE)
		sum += t->s.gpr[reg_id(op->mem.base) & 15];
	if (op->mem.index != ZYDIS_REGISTER_NONE)
		sum += t->s.gpr[reg_id(op->mem.index) & 15] * op->mem.scale;
	if (width < 64)
		sum &= (1ull << width) - 1;
	sum += seg_base(t, op->mem.segment);
	return t->in.mode == M64 ? sum : (u32)sum;
}

u64 recipe_segment(const struct test *t, unsigned i)
{
	return seg_base(t, t->in.op[i].mem.segment);
}

static u64 stack_target(struct rng *rng)
{
	switch (rng_below(rng, 24)) {
	case 0: return STACK_PAGE + rng_below(rng, 0x40);
	case 1: return STACK_PAGE + STACK_SIZE - rng_below(rng, 0x40);
	case 2: return STACK_PAGE + PAGE - 0x20 + rng_below(rng, 0x40);
	case 3: return STACK_PAGE + 0x400 + rng_below(rng, 0x1800);
	default: return STACK_PAGE + 0x400 + (rng_below(rng, 0x1800) & ~7ull);
	}
}

static void place(struct rng *rng, struct test *t, unsigned i, const struct touches *touched)
{
	const ZydisDecodedOperand *op = &t->in.op[i];
	unsigned bytes = op->size ? op->size / 8 : 1;
	bool hidden_stack = i >= t->in.z.operand_count_visible && op->mem.segment == ZYDIS_REGISTER_SS;
	u64 target;

	if (hidden_stack)
		target = stack_target(rng);
	else
		target = build_target(rng, MIN(bytes, 1024u), touched->aligned ? rng_below(rng, 4) != 0 : rng_one_in(rng, 2),
		                      rng_one_in(rng, 6));
	if (t->in.mode == M16 && op->mem.segment == ZYDIS_REGISTER_SS && !hidden_stack)
		target += STACK_PAGE - DATA_PAGE;
	if (build_locks(&t->in) && (target & 63) + 16 > 64)
		target &= ~63ull;
	if (t->in.z.mnemonic == ZYDIS_MNEMONIC_CMPXCHG16B && rng_below(rng, 8))
		target &= ~15ull;
	if (t->in.mode == M64 && t->in.z.address_width == 64 && rng_one_in(rng, 100))
		target |= 1ull << 63; /* never canonical */
	if (hidden_stack)
		solve(t, op, target, stack_width(t->in.mode), ZYDIS_REGISTER_NONE);
	else if (t->in.target < 0 || i >= t->in.z.operand_count_visible)
		solve(t, op, target, t->in.z.address_width, touched->stack ? ZYDIS_REGISTER_RSP : ZYDIS_REGISTER_NONE);
}

static void segments(struct rng *rng, struct test *t)
{
	u16 *sel = t->s.sel;

	if (t->in.mode == M64)
		return;
	if (t->in.mode == M32 && (t->in.z.address_width == 16 || rng_one_in(rng, 8))) {
		sel[S_DS] = sel[S_ES] = SEL_LDT_DATA;
		if (t->in.z.address_width == 16 || rng_one_in(rng, 4)) {
			sel[S_SS] = SEL_LDT_DATA;
			t->s.gpr[R_SP] -= LDT_DATA_BASE;
		}
	}
	if (rng_one_in(rng, 24))
		sel[rng_one_in(rng, 2) ? S_DS : S_ES] = rng_one_in(rng, 2) ? SEL_LDT_SMALL : SEL_LDT_RO;
	if (rng_one_in(rng, 64))
		sel[rng_one_in(rng, 2) ? S_DS : S_ES] = 0;
}

/* ---- everything ---- */

static void contents(struct rng *rng, struct test *t, const struct touches *touched)
{
	u8 buf[64];

	for (unsigned i = 0; i < t->in.z.operand_count; i++) {
		const ZydisDecodedOperand *op = &t->in.op[i];
		unsigned bytes = op->size / 8;
		if (op->type != ZYDIS_OPERAND_TYPE_MEMORY || !(op->actions & ZYDIS_OPERAND_ACTION_MASK_READ) ||
		    op->mem.type != ZYDIS_MEMOP_TYPE_MEM || !bytes)
			continue;
		if (bytes > sizeof buf)
			bytes = sizeof buf;
		enum value_kind kind = value_kind_of(op);
		if (kind == V_BITS && touched->kind != V_F80 && touched->kind != V_BCD)
			kind = touched->kind;
		value_fill(rng, kind, buf, bytes);
		if (touched->xmm && rng_one_in(rng, 4)) { /* relatives across register and memory */
			unsigned r = __builtin_ctz(touched->xmm);
			for (unsigned k = 0; k < bytes && k < 16; k += 4)
				if (rng_one_in(rng, 2)) {
					u32 v = ((u32 *)t->s.fp.xmm[r])[k / 4] ^ (rng_one_in(rng, 3) ? 0x80000000 : 0);
					memcpy(buf + k, &v, MIN(4u, bytes - k));
				}
		}
		recipe_put(t, recipe_address(t, i), buf, bytes);
	}
}

/* No memory operand may reach what is the host's own: in 64-bit mode addresses stay below 2 GiB, or have bit 63 and not bit 62. */
static bool safe_address(u64 at)
{
	return at < 0x7fff0000 || at >> 56 == 0x80;
}

static bool safe(const struct test *t)
{
	if (t->in.mode != M64)
		return true;
	for (unsigned i = 0; i < t->in.z.operand_count; i++)
		if (t->in.op[i].type == ZYDIS_OPERAND_TYPE_MEMORY && t->in.op[i].mem.type == ZYDIS_MEMOP_TYPE_MEM &&
		    !safe_address(recipe_address(t, i)))
			return false;
	return true;
}

static void draw(struct rng *rng, struct test *t, const struct touches *touched, bool plain)
{
	struct state *s = &t->s;
	unsigned width = t->in.z.operand_width ? t->in.z.operand_width : 64;

	gen_background(s, t->in.mode);
	t->patches = 0;
	for (unsigned i = 0; i < (t->in.mode == M64 ? 16u : 8u); i++)
		if (touched->gpr >> i & 1 ? true : !plain && i != R_SP) {
			s->gpr[i] = value_int(rng, t->in.mode == M64 ? 64 : 32);
			if (width < 64 && rng_below(rng, 4))
				s->gpr[i] = ((rng_next(rng) << width) | value_int(rng, width)) & (t->in.mode == M64 ? ~0ull : 0xffffffff);
		}
	if (rng_one_in(rng, 6)) /* two alike */
		s->gpr[rng_below(rng, 4)] = s->gpr[rng_below(rng, 4)];
	if (touched->stack)
		s->gpr[R_SP] = t->in.mode == M16 ? (STACK_PAGE + PAGE - LDT_STACK_BASE) | (rng_next(rng) & 0xffff0000)
		                                 : STACK_PAGE + PAGE;
	s->rflags |= rng_next(rng) & (F_ARITH | F_DF);
	if (rng_one_in(rng, 4))
		s->rflags |= F_ID;
	if (touched->x87 || (!plain && rng_one_in(rng, 8))) {
		environment_x87(rng, &s->fp);
		unsigned top = s->fp.fsw >> 11 & 7;
		stack_x87(rng, &s->fp, plain ? touched->st : 0xff);
		for (unsigned i = 0; touched->mmx && i < 8; i++)
			if (!plain || (touched->mm >> ((top + i) & 7) & 1))
				value_fill(rng, touched->kind <= V_F32 ? touched->kind : V_BITS, &s->fp.st[i].mant, 8);
	}
	if (touched->sse || touched->mmx || (!plain && rng_one_in(rng, 8)))
		environment_sse(rng, &s->fp);
	if (touched->xmm)
		vectors(rng, &s->fp, touched);
	segments(rng, t);
	for (unsigned i = 0; i < t->in.z.operand_count; i++) {
		const ZydisDecodedOperand *op = &t->in.op[i];
		if (op->type == ZYDIS_OPERAND_TYPE_MEMORY && (op->mem.type == ZYDIS_MEMOP_TYPE_MEM || rng_one_in(rng, 2)))
			place(rng, t, i, touched);
	}
	contents(rng, t, touched);
	recipe_apply(rng, t);
}

bool gen_state(struct rng *rng, struct test *t, bool plain)
{
	struct touches touched = look(&t->in);

	for (unsigned tries = 0; tries < 100; tries++) {
		draw(rng, t, &touched, plain);
		if (safe(t) && recipe_safe(t))
			return true;
	}
	return false;
}
