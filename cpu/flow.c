/* SPDX-License-Identifier: MIT */
/* Near transfers of control: JMP, Jcc, CALL, RET, LOOP, JCXZ. SDM vol. 2.
 * A direct transfer within its page follows the link that an earlier execution left in the block; everything else sets RIP and
 * lets the engine look the target up. */
#include "cpu/access.h"
#include "cpu/code.h"
#include "cpu/flags.h"
#include "cpu/forms.h"

#include <Zydis/Mnemonic.h>
#include <Zydis/SharedTypes.h>

/* A branch target, cut to the operand size; outside CS or not canonical it is a fault of the branch. */
static always_inline u64 check_target(struct cpu *cpu, u64 rip, unsigned osize)
{
	if (osize == 8) {
		if (unlikely(!mode_canonical(rip)))
			exception_gp(cpu, 0);
		return rip;
	}
	rip &= mask_bytes(osize);
	if (unlikely(rip > cpu->seg[SEG_CS].limit) && cpu->code_mode != CODE64)
		exception_gp(cpu, 0);
	return rip;
}

static always_inline u64 relative(struct cpu *cpu, const struct insn *in)
{
	return cpu->gpr[GPR_PAGE] + in->off + in->len + in->imm;
}

/* The direct successor is not linked yet, or may not be followed now. */
static noinline const struct insn *go_slow(struct cpu *cpu, const struct insn *in, unsigned taken)
{
	cpu->cur = in;
	cpu->rip = taken ? check_target(cpu, relative(cpu, in), in->osize) : insn_next_rip(cpu, in);
	/* one that is cut to 16 bits leads elsewhere if the page is seen at another address */
	if (!taken || in->osize != 2 || cpu->code_mode == CODE16)
		code_want_link(cpu, taken);
	return NULL;
}

static always_inline const struct insn *go(struct cpu *cpu, const struct insn *in, unsigned taken)
{
	struct block *next = cpu->block->link[taken];

	if (likely(next && !atomic_load_explicit(&cpu->kick, memory_order_relaxed) &&
	           cpu->instructions + next->count <= cpu->stop_at)) {
		cpu->block = next;
		cpu->instructions += next->count;
		return next->insn;
	}
	return go_slow(cpu, in, taken);
}

#define JCC(cc)                                                                                                        \
	static const struct insn *j_##cc(struct cpu *cpu, const struct insn *in)                                          \
	{                                                                                                                  \
		return go(cpu, in, flags_test(cpu, CC_##cc));                                                                  \
	}
JCC(O) JCC(NO) JCC(B) JCC(AE) JCC(E) JCC(NE) JCC(BE) JCC(A) JCC(S) JCC(NS) JCC(P) JCC(NP) JCC(L) JCC(GE) JCC(LE) JCC(G)

static const struct insn *jmp_rel(struct cpu *cpu, const struct insn *in)
{
	return go(cpu, in, 1);
}

/* Counted and CX-testing branches: the width of the counter is the address size. */
static u64 count_register(struct cpu *cpu, const struct insn *in)
{
	return cpu->gpr[RCX] & mask_bytes(in->asize);
}

static const struct insn *jcxz(struct cpu *cpu, const struct insn *in)
{
	return go(cpu, in, count_register(cpu, in) == 0);
}

static always_inline const struct insn *loop(struct cpu *cpu, const struct insn *in, bool condition)
{
	u64 count = (count_register(cpu, in) - 1) & mask_bytes(in->asize);
	unsigned taken = count != 0 && condition;

	cpu->cur = in;
	if (taken)
		check_target(cpu, relative(cpu, in), in->osize); /* before the counter changes */
	if (in->asize == 2)
		set_reg16(cpu, RCX, count);
	else
		cpu->gpr[RCX] = count;
	return go(cpu, in, taken);
}
static const struct insn *loop_always(struct cpu *cpu, const struct insn *in) { return loop(cpu, in, true); }
static const struct insn *loop_e(struct cpu *cpu, const struct insn *in) { return loop(cpu, in, flags_zf(cpu)); }
static const struct insn *loop_ne(struct cpu *cpu, const struct insn *in) { return loop(cpu, in, !flags_zf(cpu)); }

/* ---- calls and returns ---- */

static const struct insn *call_rel64(struct cpu *cpu, const struct insn *in)
{
	u64 sp = cpu->gpr[RSP] - 8;

	cpu->cur = in;
	if (unlikely(!cpu->block->link[1]))
		check_target(cpu, relative(cpu, in), 8);
	lin_write64(cpu, sp, cpu->gpr[GPR_PAGE] + in->off + in->len, SEG_SS);
	cpu->gpr[RSP] = sp;
	return go(cpu, in, 1);
}

static const struct insn *call_rel(struct cpu *cpu, const struct insn *in)
{
	if (in->osize == 8)
		return call_rel64(cpu, in);
	cpu->cur = in;
	check_target(cpu, relative(cpu, in), in->osize);
	stack_push(cpu, insn_next_rip(cpu, in), in->osize);
	return go(cpu, in, 1);
}

static always_inline void call_to(struct cpu *cpu, const struct insn *in, u64 target)
{
	if (in->osize == 8) {
		u64 sp = cpu->gpr[RSP] - 8;
		lin_write64(cpu, sp, cpu->gpr[GPR_PAGE] + in->off + in->len, SEG_SS);
		target = check_target(cpu, target, 8); /* after the push, as on hardware: #SS goes before #GP */
		cpu->gpr[RSP] = sp;
	} else {
		u64 before = cpu->gpr[RSP], after;
		stack_push(cpu, insn_next_rip(cpu, in), in->osize);
		after = cpu->gpr[RSP];
		cpu->gpr[RSP] = before;
		target = check_target(cpu, target, in->osize);
		cpu->gpr[RSP] = after;
	}
	cpu->rip = target;
}

OP_END(call_r64) { call_to(cpu, in, reg64(cpu, in->r[0])); }
OP_END(call_r32) { call_to(cpu, in, reg32(cpu, in->r[0])); }
OP_END(call_r16) { call_to(cpu, in, *reg16(cpu, in->r[0])); }
OP_END(call_m64) { call_to(cpu, in, mem_read64(cpu, in)); }
OP_END(call_m32) { call_to(cpu, in, mem_read32(cpu, in)); }
OP_END(call_m16) { call_to(cpu, in, mem_read16(cpu, in)); }
OP_END(jmp_r64) { cpu->rip = check_target(cpu, reg64(cpu, in->r[0]), 8); }
OP_END(jmp_r32) { cpu->rip = check_target(cpu, reg32(cpu, in->r[0]), 4); }
OP_END(jmp_r16) { cpu->rip = check_target(cpu, *reg16(cpu, in->r[0]), 2); }
OP_END(jmp_m64) { cpu->rip = check_target(cpu, mem_read64(cpu, in), 8); }
OP_END(jmp_m32) { cpu->rip = check_target(cpu, mem_read32(cpu, in), 4); }
OP_END(jmp_m16) { cpu->rip = check_target(cpu, mem_read16(cpu, in), 2); }

OP_END(ret_near)
{
	if (in->osize == 8) {
		u64 sp = cpu->gpr[RSP];
		cpu->rip = check_target(cpu, lin_read64(cpu, sp, SEG_SS), 8);
		cpu->gpr[RSP] = sp + 8;
	} else {
		cpu->rip = check_target(cpu, stack_peek(cpu, 0, in->osize), in->osize);
		stack_add(cpu, in->osize);
	}
}

OP_END(ret_near_imm)
{
	cpu->rip = check_target(cpu, stack_peek(cpu, 0, in->osize), in->osize);
	stack_add(cpu, in->osize);
	stack_add(cpu, (u16)in->imm);
}

#define ROW_JCC(zydis, cc) {ZYDIS_MNEMONIC_##zydis, {O_REL}, FORM_END, 0, j_##cc}
static const struct form table[] = {
	ROW_JCC(JO, O), ROW_JCC(JNO, NO), ROW_JCC(JB, B), ROW_JCC(JNB, AE), ROW_JCC(JZ, E), ROW_JCC(JNZ, NE),
	ROW_JCC(JBE, BE), ROW_JCC(JNBE, A), ROW_JCC(JS, S), ROW_JCC(JNS, NS), ROW_JCC(JP, P), ROW_JCC(JNP, NP),
	ROW_JCC(JL, L), ROW_JCC(JNL, GE), ROW_JCC(JLE, LE), ROW_JCC(JNLE, G),
	{ZYDIS_MNEMONIC_JCXZ, {O_REL}, FORM_END, 0, jcxz},
	{ZYDIS_MNEMONIC_JECXZ, {O_REL}, FORM_END, 0, jcxz},
	{ZYDIS_MNEMONIC_JRCXZ, {O_REL}, FORM_END, 0, jcxz},
	{ZYDIS_MNEMONIC_LOOP, {O_REL}, FORM_END, 0, loop_always},
	{ZYDIS_MNEMONIC_LOOPE, {O_REL}, FORM_END, 0, loop_e},
	{ZYDIS_MNEMONIC_LOOPNE, {O_REL}, FORM_END, 0, loop_ne},
	{ZYDIS_MNEMONIC_JMP, {O_REL}, FORM_END, 0, jmp_rel},
	{ZYDIS_MNEMONIC_JMP, {O_R64}, FORM_END, 0, jmp_r64},
	{ZYDIS_MNEMONIC_JMP, {O_R32}, FORM_END, 0, jmp_r32},
	{ZYDIS_MNEMONIC_JMP, {O_R16}, FORM_END, 0, jmp_r16},
	{ZYDIS_MNEMONIC_JMP, {O_M64}, FORM_END, 0, jmp_m64},
	{ZYDIS_MNEMONIC_JMP, {O_M32}, FORM_END, 0, jmp_m32},
	{ZYDIS_MNEMONIC_JMP, {O_M16}, FORM_END, 0, jmp_m16},
	{ZYDIS_MNEMONIC_CALL, {O_REL}, FORM_END, 0, call_rel},
	{ZYDIS_MNEMONIC_CALL, {O_R64}, FORM_END, 0, call_r64},
	{ZYDIS_MNEMONIC_CALL, {O_R32}, FORM_END, 0, call_r32},
	{ZYDIS_MNEMONIC_CALL, {O_R16}, FORM_END, 0, call_r16},
	{ZYDIS_MNEMONIC_CALL, {O_M64}, FORM_END, 0, call_m64},
	{ZYDIS_MNEMONIC_CALL, {O_M32}, FORM_END, 0, call_m32},
	{ZYDIS_MNEMONIC_CALL, {O_M16}, FORM_END, 0, call_m16},
	{ZYDIS_MNEMONIC_RET, {O_NONE}, FORM_END, 0, ret_near},
	{ZYDIS_MNEMONIC_RET, {O_I}, FORM_END, 0, ret_near_imm},
};
const struct form_table flow_forms = {table, ARRAY_LEN(table)};
