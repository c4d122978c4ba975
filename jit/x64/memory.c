/* SPDX-License-Identifier: MIT */
/* Memory operands: the address, the look-up in the TLB, and the way out where it does not hit.
 *
 * The look-up is that of access_fast(): one subtraction and one comparison cover page, rights and page crossing, and leave the
 * offset in the page. Everything it refuses goes to code behind the block that has the interpreter run the instruction. */
#include "base/err.h"
#include "cpu/access.h"
#include "cpu/flags.h"
#include "jit/x64/x64.h"

#define PAGE_GPR offsetof(struct cpu, gpr) + GPR_PAGE * 8

static bool fits(i64 v)
{
	return v == (i32)v;
}

static i64 displacement(const ZydisDecodedOperand *op)
{
	return op->mem.disp.has_displacement ? op->mem.disp.value : 0;
}

/* A guest register's value in a host register: its home, or `scratch` loaded. */
static unsigned address_register(struct context *c, ZydisRegister reg, unsigned scratch)
{
	unsigned g = ZydisRegisterGetId(reg);

	if (x64_home[g] != NO_HOME)
		return x64_home[g];
	emit_load(c->e, scratch, x64_gpr(g));
	if (scratch == S1)
		c->held = NO_HOME;
	return scratch;
}

bool memory_address(struct context *c, const ZydisDecodedOperand *op, unsigned reg)
{
	const ZydisDecodedInstruction *z = &c->z;
	bool wide = z->address_width == 64;
	i64 disp = displacement(op);

	if (c->legacy)
		return legacy_address(c, op, reg);
	if (z->address_width < 32 || op->mem.type != ZYDIS_MEMOP_TYPE_MEM)
		return false;
	if (op->mem.base == ZYDIS_REGISTER_RIP) {
		disp += c->in->off + c->in->len;
		if (!fits(disp))
			return false;
		emit_load(c->e, reg, CPU_AT(PAGE_GPR));
		emit_lea(c->e, true, reg, reg, 0xff, 0, disp);
	} else if (op->mem.base == ZYDIS_REGISTER_EIP || !fits(disp)) {
		return false;
	} else {
		/* where Zydis sees a base that is none: see decode.c */
		if ((z->attributes & ZYDIS_ATTRIB_HAS_SIB) && !z->raw.modrm.mod && z->raw.sib.base == 5 &&
		    op->mem.base != ZYDIS_REGISTER_NONE)
			return false;
		unsigned index = op->mem.index == ZYDIS_REGISTER_NONE ? 0xff : address_register(c, op->mem.index, S1);
		unsigned base = op->mem.base == ZYDIS_REGISTER_NONE ? 0xff : address_register(c, op->mem.base, S0);
		unsigned scale = op->mem.scale ? __builtin_ctz(op->mem.scale) : 0;
		if (base != 0xff && index == 0xff && !disp && wide)
			emit_mov(c->e, reg, base);
		else
			emit_lea(c->e, wide, reg, base, index, scale, disp);
	}
	return true;
}

/* FS and GS have a base in 64-bit mode. */
static void segment_base(struct context *c, const ZydisDecodedOperand *op)
{
	unsigned seg = op->mem.segment == ZYDIS_REGISTER_FS ? SEG_FS : op->mem.segment == ZYDIS_REGISTER_GS ? SEG_GS : SEG_COUNT;

	if (seg != SEG_COUNT)
		emit_op(c->e, OP_W, MAP_1, 0x03, S0, CPU_AT(offsetof(struct cpu, seg) + seg * sizeof(struct seg)));
}

/* The register that neighbouring accesses will use too. */
static unsigned base_of(const ZydisDecodedOperand *op)
{
	if (op->mem.index != ZYDIS_REGISTER_NONE || ZydisRegisterGetClass(op->mem.base) != ZYDIS_REGCLASS_GPR64 ||
	    op->mem.segment == ZYDIS_REGISTER_FS || op->mem.segment == ZYDIS_REGISTER_GS)
		return NO_HOME;
	return ZydisRegisterGetId(op->mem.base);
}

bool memory_operand(struct context *c, const ZydisDecodedOperand *op, unsigned size, bool write, unsigned boundary)
{
	unsigned base = base_of(op);

	if (c->legacy)
		return legacy_operand(c, op, size, write, boundary);
	if (base != NO_HOME && fits(displacement(op)) &&
	    window_access(c, ACCESS_OPERAND_, base, displacement(op), write, boundary))
		return true;
	if (!memory_address(c, op, S0))
		return false;
	flags_clobber(c);
	segment_base(c, op);
	memory_lookup(c, base, size, write, boundary);
	return true;
}

void memory_stack(struct context *c, unsigned g, i64 disp, bool write)
{
	if (window_access(c, ACCESS_STACK, g, disp, write, 0))
		return;
	emit_lea(c->e, true, S0, x64_home[g], 0xff, 0, disp);
	memory_lookup(c, g, 8, write, 0);
}

struct slow *memory_slow_if(struct context *c, unsigned cc)
{
	if (c->slows == STUBS_MAX)
		bug("a translation with too many slow paths");
	c->slow[c->slows] = (struct slow){.jump = emit_jcc(c->e, cc), .index = c->index, .fip = c->fip};
	return &c->slow[c->slows++];
}

static size_t tag_of(bool write)
{
	return write ? offsetof(struct tlb_entry, write) : offsetof(struct tlb_entry, read);
}

/* S1: the entry for the address in S0. */
void memory_find_entry(struct emit *e)
{
	_Static_assert(sizeof(struct tlb_entry) == 32, "the shift below");
	emit_mov32(e, S1, S0);
	emit_op(e, 0, MAP_1, 0xc1, 5, rm_reg(S1)); /* shr */
	emit_byte(e, PAGE_SHIFT - 5);
	emit_alu_imm(e, false, 4, rm_reg(S1), (TLB_SIZE - 1) << 5);
	emit_op(e, OP_W, MAP_1, 0x03, S1, CPU(tlb));
}

/* S0: the offset in the entry's page. The flags tell whether it hits (below or equal). */
void memory_compare(struct emit *e, unsigned size, bool write)
{
	emit_op(e, OP_W, MAP_1, 0x2b, S0, rm_base(S1, tag_of(write)));
	emit_alu_imm(e, true, 7, rm_reg(S0), PAGE_SIZE - size);
}

/* Whether S1 points at the right entry is what the comparison tells anyway: so the one of the last access off the same register
 * is tried first. */
void memory_lookup(struct context *c, unsigned base, unsigned size, bool write, unsigned boundary)
{
	struct emit *e = c->e;
	/* Off another value of the register the address may be any, one that is not canonical too, and that a tag which should never
	 * match would match: see tlb_never(). Addresses of 32 bits cannot. */
	bool guess = jit_options.hold && base != NO_HOME && c->held == base && (c->legacy || c->held_id == c->value[base].id);

	flags_clobber(c);
	u8 *retry = e->p;
	if (!guess)
		memory_find_entry(e);
	memory_compare(e, size, write);
	struct slow *s = memory_slow_if(c, CC_A);
	s->retry = guess ? NULL : retry;
	s->join = guess ? e->p : NULL;
	s->size = size;
	s->write = write;
	if (boundary > 1) {
		emit_op(e, OP_BYTE_RM, MAP_1, 0xf6, 0, rm_reg(S0));
		emit_byte(e, boundary - 1);
		memory_slow_if(c, CC_NE);
	}
	emit_op(e, OP_W, MAP_1, 0x03, S0, rm_base(S1, offsetof(struct tlb_entry, host)));
	c->held = base;
	c->held_id = base == NO_HOME ? 0 : c->value[base].id;
	c->at = rm_base(S0, 0);
}

void memory_slow_return(struct context *c)
{
	for (unsigned i = c->slow_first; i < c->slows; i++) {
		if (c->slow[i].load || c->slow[i].open)
			continue;
		window_note(c, &c->slow[i]);
		c->slow[i].back = c->e->p;
		c->slow[i].eflags = c->in_eflags;
	}
	/* they come with the flags in RAX: where the fast path has them only in EFLAGS, RAX is stale there and not looked at */
	c->slow_first = c->slows;
}

/* The registers must be loaded first. Where that cannot be, interpret the instruction and leave. */
static void emit_load_path(struct context *c, struct emit *e, const struct slow *s)
{
	const struct insn *in = &c->t->single[s->index].insn;

	emit_call(e, s->load);
	emit_load(e, S1, CPU(tlb)); /* what is held may be any entry */
	emit_jcc_to(e, CC_NE, s->back);
	x87_emit_fip(c, e, s->fip);
	emit_imm64(e, S1, (u64)(uintptr_t)&c->t->single[s->index]);
	emit_call(e, c->jit->stubs.one);
	if (c->jit->counting)
		emit_alu_imm(e, true, 5, CPU(instructions), in->left - 1);
	emit_imm32(e, S0, in->off + in->len);
	emit_jmp_to(e, c->jit->stubs.leave_off);
}

/* A miss: guess better, then fill the TLB. */
static void emit_miss(struct context *c, struct emit *e, const struct slow *s)
{
	struct rm tag = rm_base(S1, tag_of(s->write));
	u8 *retry = s->retry;

	emit_op(e, OP_W, MAP_1, 0x03, S0, tag);
	if (s->join) {
		retry = e->p;
		memory_find_entry(e);
		memory_compare(e, s->size, s->write);
		emit_jcc_to(e, CC_BE, s->join);
		emit_op(e, OP_W, MAP_1, 0x03, S0, tag);
	}
	emit_imm32(e, S1, s->size | s->write << 8);
	emit_call(e, c->jit->stubs.refill);
	emit_jcc_to(e, CC_NE, retry);
}

void memory_emit_slow(struct context *c)
{
	struct emit *e = &c->jit->cold;

	for (unsigned i = 0; i < c->slows; i++) {
		const struct slow *s = &c->slow[i];
		emit_here(e, s->jump);
		if (s->load) {
			emit_load_path(c, e, s);
			continue;
		}
		if (s->open) {
			window_emit_open(c, e, s);
			continue;
		}
		if (s->retry || s->join)
			emit_miss(c, e, s);
		x87_emit_fip(c, e, s->fip);
		emit_imm64(e, S1, (u64)(uintptr_t)&c->t->single[s->index]);
		emit_call(e, c->jit->stubs.one);
		window_emit_recheck(c, e, s);
		emit_load(e, S1, CPU(tlb));
		if (s->eflags) {
			emit_byte(e, 0x3c);
			emit_byte(e, 0x81);
			emit_byte(e, 0x9e);
		}
		emit_jmp_to(e, s->back);
	}
}
