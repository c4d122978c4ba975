/* SPDX-License-Identifier: MIT */
/* 16- and 32-bit code: what is not the same in 64-bit code. SDM vol. 1 ch. 3.3 and 3.6, vol. 3A ch. 5.3.
 *
 * Registers lie where they do in 64-bit code, their upper halves included. Offsets are formed in S0, cut to the address size.
 * A segment that is flat while the translation is made is taken for flat, and one that is not has its span checked and its base
 * added; which are flat, and how wide the stack pointer is, is asked for at the entry (cpu->seg_odd), as an instruction that
 * changes it ends its block.
 *
 * A RIP wraps at 4 GiB, and where neither the limit of CS nor 16 bits come into it, that is all (and direct exits are as in 64-bit
 * code). Otherwise the translation is strict: its entry makes sure that all its bytes, and all targets in its page, lie where they
 * may, so that no wrap and no fault can come of them. Other targets are cut to the operand size, compared and looked up.
 * What RIPs lead to depends on the base of CS: it is part of the address space (cache_space()).
 *
 * NOT IMPLEMENTED: (these run in the interpreter) LOOPE, LOOPNE, PUSHA, POPA, ENTER, BCD, segment registers, far transfers,
 * XLAT, branches of 16-bit operand size in 32-bit code. */
#include "cpu/flags.h"
#include "jit/x64/x64.h"

#define M(name) ZYDIS_MNEMONIC_##name
#define SP x64_home[RSP]
#define PAGE_GPR CPU_AT(offsetof(struct cpu, gpr) + GPR_PAGE * 8)

static i64 displacement(const ZydisDecodedOperand *op)
{
	return op->mem.disp.has_displacement ? op->mem.disp.value : 0;
}

static bool in_page(i64 off)
{
	return off >= 0 && off < PAGE_SIZE;
}

static i64 next_off(const struct context *c)
{
	return c->in->off + c->in->len;
}

static i64 target_off(const struct context *c)
{
	return next_off(c) + (i32)c->in->imm;
}

/* ---- the entry ---- */

static bool direct(const struct insn *in)
{
	return in->mnemonic == M(CALL) || in->mnemonic == M(JMP) || in->mnemonic == M(LOOP) || in->mnemonic == M(JCXZ) ||
	       in->mnemonic == M(JECXZ) || (in->mnemonic >= M(JB) && in->mnemonic <= M(JZ));
}

/* Where a direct branch leads, or where the instruction begins. An operand that only looks like a distance makes the check
 * stricter, no more. */
static i32 reach(const struct insn *in)
{
	i64 off = in->off + in->len + (i64)(i32)in->imm;

	return direct(in) && in_page(off) ? off : in->off;
}

void legacy_begin(struct context *c, struct block *const part[])
{
	const struct block *block = part[0];
	struct translation *t = c->t;

	c->legacy = block->key != CODE64 && block->key != BLOCK_PLAIN;
	if (!c->legacy)
		return;
	c->code16 = block->key == CODE16 || block->key == CODE16 + BLOCK_LIMITED;
	c->strict = t->strict = block->key != CODE32;
	c->odd = c->cpu->seg_odd | (block->odd & ((1 << SEG_COUNT) - 1));
	t->assumes = 0;
	t->first = t->last = block->insn[0].off;
	for (unsigned i = 0; i < t->segments; i++) {
		for (unsigned k = 0; k < part[i]->count; k++) {
			t->first = MIN(t->first, reach(&part[i]->insn[k]));
			t->last = MAX(t->last, reach(&part[i]->insn[k]));
		}
		const struct insn *end = &part[i]->insn[part[i]->count - 1];
		t->last = MAX(t->last, end->off + end->len - 1);
	}
}

/* The flags are in RAX. The jumps are to be patched, where they lead RIP is the block's. */
void legacy_entry(struct context *c, u8 *refused[2])
{
	struct emit *e = c->e;

	refused[0] = refused[1] = NULL;
	if (!c->legacy)
		return;
	emit_op(e, 0, MAP_1, 0xf6, 0, CPU(seg_odd)); /* test; legacy_end() knows of what */
	emit_byte(e, 0);
	c->assumed = e->p - 1;
	refused[0] = emit_jcc(e, CC_NE);
	if (!c->strict)
		return;
	emit_op(e, 0, MAP_1, 0x8b, S0, PAGE_GPR);
	emit_lea(e, false, S0, S0, 0xff, 0, c->t->first);
	emit_lea(e, true, S0, S0, 0xff, 0, c->t->last - c->t->first);
	emit_op(e, OP_W, MAP_1, 0x3b, S0, CPU(code_last));
	refused[1] = emit_jcc(e, CC_A);
}

void legacy_end(struct context *c)
{
	if (c->legacy && !c->e->full)
		*c->assumed = c->t->assumes;
}

bool legacy_fits(const struct cpu *cpu, const struct translation *t)
{
	u64 first = (u32)(cpu->gpr[GPR_PAGE] + t->first);

	return !(cpu->seg_odd & t->assumes) && (!t->strict || first + (t->last - t->first) <= cpu->code_last);
}

/* ---- memory ---- */

bool legacy_address(struct context *c, const ZydisDecodedOperand *op, unsigned reg)
{
	struct emit *e = c->e;
	i32 disp = displacement(op);
	unsigned base = op->mem.base == ZYDIS_REGISTER_NONE ? 0xff : x64_home[ZydisRegisterGetId(op->mem.base)];
	unsigned index = op->mem.index == ZYDIS_REGISTER_NONE ? 0xff : x64_home[ZydisRegisterGetId(op->mem.index)];

	if (op->mem.type != ZYDIS_MEMOP_TYPE_MEM)
		return false;
	if (base == 0xff && index == 0xff) {
		emit_imm32(e, reg, c->z.address_width == 16 ? (u16)disp : (u32)disp);
		return true;
	}
	if (index == 0xff && !disp)
		emit_mov32(e, reg, base);
	else
		emit_lea(e, false, reg, base, index, op->mem.scale ? __builtin_ctz(op->mem.scale) : 0, disp);
	if (c->z.address_width == 16)
		emit_op(e, 0, MAP_0F, 0xb7, reg, rm_reg(reg));
	return true;
}

/* S0: offset to linear address. */
static void segment(struct context *c, unsigned seg, unsigned size, bool write)
{
	struct emit *e = c->e;

	if (!(c->odd >> seg & 1)) {
		c->t->assumes |= 1 << seg;
		return;
	}
	flags_clobber(c);
	emit_lea(e, true, S0, S0, 0xff, 0, size);
	emit_op(e, OP_W, MAP_1, 0x3b, S0, CPU_AT(offsetof(struct cpu, seg_span) + (seg * 2 + write) * sizeof(u64)));
	memory_slow_if(c, CC_A);
	emit_lea(e, false, S0, S0, 0xff, 0, -(i32)size);
	emit_op(e, 0, MAP_1, 0x03, S0, CPU_AT(offsetof(struct cpu, seg) + seg * sizeof(struct seg)));
}

bool legacy_operand(struct context *c, const ZydisDecodedOperand *op, unsigned size, bool write, unsigned boundary)
{
	unsigned base = NO_HOME;

	if (op->mem.segment == ZYDIS_REGISTER_NONE || !legacy_address(c, op, S0))
		return false;
	segment(c, ZydisRegisterGetId(op->mem.segment), size, write);
	if (op->mem.index == ZYDIS_REGISTER_NONE && op->mem.base != ZYDIS_REGISTER_NONE)
		base = ZydisRegisterGetId(op->mem.base);
	memory_lookup(c, base, size, write, boundary);
	return true;
}

/* MOV between the accumulator and memory at an offset that is part of the instruction. */
static bool move_offset(struct context *c)
{
	const ZydisDecodedInstruction *z = &c->z;
	bool store = z->opcode & 2, byte = !(z->opcode & 1);
	unsigned size = byte ? 1 : z->operand_width / 8;

	if (z->opcode_map != ZYDIS_OPCODE_MAP_DEFAULT || (z->opcode & 0xfc) != 0xa0 ||
	    !legacy_operand(c, &c->op[!store], size, store, 0))
		return false;
	emit_op(c->e, size == 2 ? OP_66 : byte ? OP_BYTE_REG : 0, MAP_1, (store ? 0x88 : 0x8a) | !byte, x64_home[RAX], c->at);
	c->keep = true;
	return true;
}

/* ---- the stack ---- */

static unsigned wide(unsigned size) /* of a move between a register and memory */
{
	return size == 2 ? OP_66 : 0;
}

/* The stack pointer's width is taken for granted. */
static bool sp16(struct context *c)
{
	bool narrow = c->odd & SEG_ODD_SP16;

	c->t->assumes |= narrow ? SEG_ODD_SP32 : SEG_ODD_SP16;
	return narrow;
}

/* c->at: what lies at a distance from a register, as the stack pointer would point there. */
static void stack_at(struct context *c, unsigned g, i32 disp, unsigned size, bool write)
{
	struct emit *e = c->e;

	if (disp)
		emit_lea(e, false, S0, x64_home[g], 0xff, 0, disp);
	else
		emit_mov32(e, S0, x64_home[g]);
	if (sp16(c))
		emit_op(e, 0, MAP_0F, 0xb7, S0, rm_reg(S0));
	segment(c, SEG_SS, size, write);
	memory_lookup(c, g, size, write, 0);
}

/* SP = a register + disp. Keeps the flags, and S0. */
static void set_sp(struct context *c, unsigned g, i32 disp)
{
	struct emit *e = c->e;

	if (sp16(c)) {
		emit_lea(e, false, S1, x64_home[g], 0xff, 0, disp);
		emit_op(e, OP_66, MAP_1, 0x8b, SP, rm_reg(S1));
		c->held = NO_HOME;
		c->keep = false;
	} else {
		emit_lea(e, false, SP, x64_home[g], 0xff, 0, disp);
	}
}

static int whole(const ZydisDecodedOperand *op)
{
	ZydisRegisterClass class = ZYDIS_REGCLASS_INVALID;

	if (op->type == ZYDIS_OPERAND_TYPE_REGISTER)
		class = ZydisRegisterGetClass(op->reg.value);
	return class == ZYDIS_REGCLASS_GPR16 || class == ZYDIS_REGCLASS_GPR32 ? ZydisRegisterGetId(op->reg.value) : -1;
}

static void load(struct context *c, unsigned reg, unsigned size) /* zero-extended */
{
	if (size == 2)
		emit_op(c->e, 0, MAP_0F, 0xb7, reg, c->at);
	else
		emit_op(c->e, 0, MAP_1, 0x8b, reg, c->at);
}

static bool push(struct context *c)
{
	struct emit *e = c->e;
	const ZydisDecodedOperand *op = &c->op[0];
	unsigned size = c->in->osize;

	c->keep = true;
	if (op->type == ZYDIS_OPERAND_TYPE_IMMEDIATE) {
		stack_at(c, RSP, -(i32)size, size, true);
		emit_op(e, wide(size), MAP_1, 0xc7, 0, c->at);
		emit_byte(e, op->imm.value.s);
		emit_byte(e, op->imm.value.s >> 8);
		if (size == 4) {
			emit_byte(e, op->imm.value.s >> 16);
			emit_byte(e, op->imm.value.s >> 24);
		}
	} else if (op->type == ZYDIS_OPERAND_TYPE_MEMORY) {
		if (!legacy_operand(c, op, size, false, 0))
			return false;
		load(c, S0, size);
		emit_store(e, CPU(jit.tmp), S0);
		stack_at(c, RSP, -(i32)size, size, true);
		emit_load(e, S1, CPU(jit.tmp));
		emit_op(e, wide(size), MAP_1, 0x89, S1, c->at);
		c->keep = false;
	} else if (whole(op) >= 0) {
		stack_at(c, RSP, -(i32)size, size, true);
		emit_op(e, wide(size), MAP_1, 0x89, x64_home[whole(op)], c->at);
	} else {
		return false;
	}
	set_sp(c, RSP, -(i32)size);
	return true;
}

static bool pop(struct context *c)
{
	unsigned size = c->in->osize;
	int g = whole(&c->op[0]);

	if (g < 0)
		return false;
	c->keep = true;
	stack_at(c, RSP, 0, size, false);
	load(c, S0, size);
	set_sp(c, RSP, size);
	emit_op(c->e, wide(size), MAP_1, 0x8b, x64_home[g], rm_reg(S0));
	return true;
}

static bool leave(struct context *c)
{
	unsigned size = c->in->osize;

	stack_at(c, RBP, 0, size, false);
	load(c, S0, size);
	set_sp(c, RBP, size);
	emit_op(c->e, wide(size), MAP_1, 0x8b, x64_home[RBP], rm_reg(S0));
	return true;
}

/* ---- control flow ---- */

static void dispatch(struct context *c)
{
	flags_clobber(c);
	stubs_dispatch_legacy(c->jit, c->e);
	c->ended = true;
}

/* S0 = RIP at a page offset. */
static void rip_at(struct context *c, i64 off)
{
	emit_op(c->e, 0, MAP_1, 0x8b, S0, PAGE_GPR);
	emit_lea(c->e, false, S0, S0, 0xff, 0, off);
}

/* S0 has a branch's target, cut to the operand size: a fault of this instruction if it lies beyond the limit. Clobbers EFLAGS. */
static void check_target(struct context *c)
{
	if (!c->strict)
		return;
	flags_clobber(c);
	emit_op(c->e, OP_W, MAP_1, 0x3b, S0, CPU(code_last));
	memory_slow_if(c, CC_A);
}

static void direct_target(struct context *c)
{
	rip_at(c, target_off(c));
	if (c->in->osize == 2)
		emit_op(c->e, 0, MAP_0F, 0xb7, S0, rm_reg(S0));
	check_target(c);
}

/* Is it an exit like those of 64-bit code? */
static bool plain_exit(const struct context *c, i64 off)
{
	return !c->strict || in_page(off);
}

void legacy_leave_page(struct context *c, i64 off)
{
	flags_clobber(c);
	rip_at(c, off);
	dispatch(c);
}

static void taken(struct context *c)
{
	if (plain_exit(c, target_off(c))) {
		flow_exit(c, target_off(c));
		return;
	}
	flags_clobber(c);
	direct_target(c);
	dispatch(c);
}

static bool jcc(struct context *c, unsigned cc)
{
	if (plain_exit(c, target_off(c))) {
		flags_restore(c);
		flow_exit_or_loop(c, cc, target_off(c));
	} else {
		flags_save(c);
		flags_restore(c);
		u8 *over = emit_jcc(c->e, cc ^ 1);
		taken(c);
		emit_here(c->e, over);
		c->in_eflags = c->in_rax = true;
		c->ended = false;
	}
	if (!c->more)
		flow_exit(c, next_off(c));
	c->keep = plain_exit(c, target_off(c));
	return true;
}

/* LOOP and JCXZ: the host's JECXZ leaves the flags alone, and RCX is where it was. */
static bool count_branch(struct context *c, bool decrement)
{
	struct emit *e = c->e;
	bool narrow = c->z.address_width == 16;

	if (decrement && !plain_exit(c, target_off(c)))
		return false; /* a fault comes before the count */
	c->held = NO_HOME;
	if (decrement && !narrow)
		emit_lea(e, false, H_RCX, H_RCX, 0xff, 0, -1);
	if (decrement && narrow) {
		emit_lea(e, false, S0, H_RCX, 0xff, 0, -1);
		emit_op(e, OP_66, MAP_1, 0x8b, H_RCX, rm_reg(S0));
	}
	if (narrow) {
		emit_mov(e, S0, H_RCX);
		emit_op(e, 0, MAP_0F, 0xb7, H_RCX, rm_reg(H_RCX));
	}
	flags_save(c);
	emit_byte(e, 0x67);
	emit_byte(e, 0xe3);
	emit_byte(e, narrow ? 8 : 5);
	if (narrow)
		emit_mov(e, H_RCX, S0); /* three bytes */
	u8 *other = emit_jmp(e); /* RCX is not 0 */
	if (narrow)
		emit_mov(e, H_RCX, S0);
	bool in_eflags = c->in_eflags;
	if (decrement)
		flow_exit(c, next_off(c));
	else
		taken(c);
	emit_here(e, other);
	c->in_eflags = in_eflags;
	c->in_rax = true;
	if (decrement)
		taken(c);
	else
		flow_exit(c, next_off(c));
	return true;
}

static void push_return(struct context *c)
{
	struct emit *e = c->e;
	unsigned size = c->in->osize;

	stack_at(c, RSP, -(i32)size, size, true);
	c->held = NO_HOME;
	emit_op(e, 0, MAP_1, 0x8b, S1, PAGE_GPR);
	emit_lea(e, false, S1, S1, 0xff, 0, next_off(c));
	emit_op(e, wide(size), MAP_1, 0x89, S1, c->at);
	set_sp(c, RSP, -(i32)size);
}

static bool target_to_s0(struct context *c)
{
	const ZydisDecodedOperand *op = &c->op[0];
	unsigned size = c->in->osize;

	if (op->type == ZYDIS_OPERAND_TYPE_MEMORY) {
		if (op->size != size * 8 || !legacy_operand(c, op, size, false, 0))
			return false;
	} else if (whole(op) >= 0) {
		c->at = rm_reg(x64_home[whole(op)]);
	} else {
		return false;
	}
	load(c, S0, size);
	check_target(c);
	return true;
}

static bool call(struct context *c)
{
	if (c->op[0].type == ZYDIS_OPERAND_TYPE_IMMEDIATE) {
		if (!plain_exit(c, target_off(c)))
			direct_target(c); /* it faults before the push does */
		push_return(c);
		taken(c);
		return true;
	}
	if (!target_to_s0(c))
		return false;
	emit_store(c->e, CPU(jit.tmp), S0);
	push_return(c);
	emit_load(c->e, S0, CPU(jit.tmp));
	dispatch(c);
	return true;
}

static bool jump(struct context *c)
{
	if (c->op[0].type == ZYDIS_OPERAND_TYPE_IMMEDIATE) {
		taken(c);
		return true;
	}
	if (!target_to_s0(c))
		return false;
	dispatch(c);
	return true;
}

static bool ret(struct context *c)
{
	unsigned size = c->in->osize;
	i32 extra = c->z.raw.imm[0].size ? (i32)(u16)c->z.raw.imm[0].value.u : 0;

	stack_at(c, RSP, 0, size, false);
	load(c, S0, size);
	check_target(c);
	set_sp(c, RSP, size + extra);
	dispatch(c);
	return true;
}

/* ---- short forms of 64-bit code's prefixes' places ---- */

/* INC and DEC of a register, XCHG with the accumulator. */
static bool short_form(struct context *c)
{
	const ZydisDecodedInstruction *z = &c->z;
	unsigned group = z->opcode >> 3, reg = x64_home[z->opcode & 7];

	if (z->opcode_map != ZYDIS_OPCODE_MAP_DEFAULT || (z->attributes & ZYDIS_ATTRIB_HAS_LOCK))
		return false;
	switch (group) {
	case 0x40 >> 3: case 0x48 >> 3:
		flags_restore(c);
		emit_op(c->e, wide(c->in->osize), MAP_1, 0xff, group & 1, rm_reg(reg));
		flags_written(c);
		break;
	case 0x90 >> 3:
		if (z->mnemonic != M(XCHG))
			return false;
		emit_op(c->e, wide(c->in->osize), MAP_1, 0x87, x64_home[RAX], rm_reg(reg));
		break;
	default:
		return false;
	}
	c->keep = true;
	return true;
}

static bool branch(struct context *c)
{
	const ZydisDecodedInstruction *z = &c->z;
	unsigned size = c->in->osize;

	if (z->meta.branch_type == ZYDIS_BRANCH_TYPE_FAR || (size != 2 && size != 4))
		return false;
	/* cut to 16 bits in 32-bit code: see above */
	if (c->op[0].type == ZYDIS_OPERAND_TYPE_IMMEDIATE && c->op[0].imm.is_relative && size == 2 && !c->code16)
		return false;
	x87_settle(c);
	switch (z->mnemonic) {
	case M(JCXZ): case M(JECXZ): return count_branch(c, false);
	case M(LOOP): return count_branch(c, true);
	case M(JMP): return jump(c);
	case M(CALL): return call(c);
	case M(RET): return ret(c);
	default: return jcc(c, z->opcode & 15);
	}
}

bool legacy_rewrite(struct context *c)
{
	unsigned size = c->in->osize;

	switch (c->z.mnemonic) {
	case M(JO): case M(JNO): case M(JB): case M(JNB): case M(JZ): case M(JNZ): case M(JBE): case M(JNBE): case M(JS): case M(JNS):
	case M(JP): case M(JNP): case M(JL): case M(JNL): case M(JLE): case M(JNLE): case M(JCXZ): case M(JECXZ): case M(LOOP):
	case M(JMP): case M(CALL): case M(RET):
		return branch(c);
	case M(PUSH): return (size == 2 || size == 4) && push(c);
	case M(POP): return (size == 2 || size == 4) && pop(c);
	case M(LEAVE): return (size == 2 || size == 4) && leave(c);
	case M(MOV): return move_offset(c);
	case M(INC): case M(DEC): case M(XCHG): return short_form(c);
	default: return false;
	}
}
