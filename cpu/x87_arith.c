/* SPDX-License-Identifier: MIT */
/* x87 arithmetic: FADD, FSUB, FMUL, FDIV in all operand forms; FSQRT, FPREM, FRNDINT, FSCALE, FXTRACT, FABS, FCHS.
 * Intel SDM vol. 1 ch. 8.3.5, vol. 2. */
#include "cpu/forms.h"
#include "cpu/model.h"
#include "cpu/x87_stack.h"

#include <Zydis/Mnemonic.h>
#include <Zydis/SharedTypes.h>

enum arith { ADD, MUL, SUB, SUBR, DIV, DIVR };

static always_inline struct x80 compute(struct softfloat_env *env, enum arith op, struct x80 a, struct x80 b,
                                        unsigned pc)
{
	switch (op) {
	case ADD: return softfloat_f80_add(env, a, b, pc);
	case MUL: return softfloat_f80_mul(env, a, b, pc);
	case SUB: return softfloat_f80_sub(env, a, b, pc);
	case SUBR: return softfloat_f80_sub(env, b, a, pc);
	case DIV: return softfloat_f80_div(env, a, b, pc);
	default: return softfloat_f80_div(env, b, a, pc);
	}
}

/* ST(0) op= v from memory. denormal: v was one before it was widened. */
static always_inline void arith_mem(struct cpu *cpu, const struct insn *in, enum arith op, struct x80 v, bool denormal)
{
	if (unlikely(!x87_full(cpu, 0))) {
		x87_underflow(cpu, in, 0, 0);
		return;
	}
	struct softfloat_env env = x87_env(cpu);
	struct x80 r = compute(&env, op, x87_st(cpu, 0), v, x87_pc(cpu));
	if (unlikely(denormal) && !(env.flags & (SOFTFLOAT_IE | SOFTFLOAT_ZE)) && !softfloat_f80_is_nan(r))
		env.flags |= SOFTFLOAT_DE;
	x87_settle(cpu, in, &env);
	if (likely(x87_stores(&env, false)))
		x87_put(cpu, 0, r);
}

/* ST(r[0]) op= ST(r[1]). */
static always_inline void arith_st(struct cpu *cpu, const struct insn *in, enum arith op, bool pop)
{
	unsigned to = in->r[0], from = in->r[1];

	x87_check(cpu);
	if (unlikely(!x87_full(cpu, to) || !x87_full(cpu, from))) {
		x87_underflow(cpu, in, to, pop);
		return;
	}
	struct softfloat_env env = x87_env(cpu);
	struct x80 r = compute(&env, op, x87_st(cpu, to), x87_st(cpu, from), x87_pc(cpu));
	x87_settle(cpu, in, &env);
	if (unlikely(!x87_stores(&env, false)))
		return;
	x87_put(cpu, to, r);
	if (pop)
		x87_pop(cpu);
}

#define ARITH(name, op)                                                                                                \
	OP(f##name##_m32)                                                                                                  \
	{                                                                                                                  \
		bool denormal;                                                                                                 \
		x87_check(cpu);                                                                                                \
		struct x80 v = softfloat_f80_from_f32(mem_read32(cpu, in), &denormal);                                         \
		arith_mem(cpu, in, op, v, denormal);                                                                           \
	}                                                                                                                  \
	OP(f##name##_m64)                                                                                                  \
	{                                                                                                                  \
		bool denormal;                                                                                                 \
		x87_check(cpu);                                                                                                \
		struct x80 v = softfloat_f80_from_f64(mem_read64(cpu, in), &denormal);                                         \
		arith_mem(cpu, in, op, v, denormal);                                                                           \
	}                                                                                                                  \
	OP(fi##name##_m16)                                                                                                 \
	{                                                                                                                  \
		x87_check(cpu);                                                                                                \
		arith_mem(cpu, in, op, softfloat_f80_from_i64((i16)mem_read16(cpu, in)), false);                               \
	}                                                                                                                  \
	OP(fi##name##_m32)                                                                                                 \
	{                                                                                                                  \
		x87_check(cpu);                                                                                                \
		arith_mem(cpu, in, op, softfloat_f80_from_i64((i32)mem_read32(cpu, in)), false);                               \
	}                                                                                                                  \
	OP(f##name##_st) { arith_st(cpu, in, op, false); }                                                                 \
	OP(f##name##p_st) { arith_st(cpu, in, op, true); }
ARITH(add, ADD)
ARITH(mul, MUL)
ARITH(sub, SUB)
ARITH(subr, SUBR)
ARITH(div, DIV)
ARITH(divr, DIVR)

/* ---- of ST(0), or of ST(0) and ST(1) ---- */

/* Of any encoding, even a NaN. */
static always_inline struct x80 with_sign(struct x80 a, u64 se)
{
	return (struct x80){.mant = a.mant, .se = se};
}

#define UNARY(name, operands_full, value)                                                                              \
	OP(name)                                                                                                           \
	{                                                                                                                  \
		x87_check(cpu);                                                                                                \
		if (unlikely(!(operands_full))) {                                                                              \
			x87_underflow(cpu, in, 0, 0);                                                                              \
			return;                                                                                                    \
		}                                                                                                              \
		struct softfloat_env env = x87_env(cpu);                                                                       \
		struct x80 a = x87_st(cpu, 0), b INSN_UNUSED = x87_st(cpu, 1), r = value;                                      \
		x87_settle(cpu, in, &env);                                                                                     \
		if (likely(x87_stores(&env, false)))                                                                           \
			x87_put(cpu, 0, r);                                                                                        \
	}
UNARY(fsqrt, x87_full(cpu, 0), softfloat_f80_sqrt(&env, a, x87_pc(cpu)))
UNARY(frndint, x87_full(cpu, 0), softfloat_f80_round(&env, a))
UNARY(fscale, x87_full(cpu, 0) && x87_full(cpu, 1), softfloat_f80_scale(&env, a, b))
UNARY(fchs, x87_full(cpu, 0), with_sign(a, a.se ^ 0x8000))
UNARY(fabs_, x87_full(cpu, 0), with_sign(a, a.se & 0x7fff))

static always_inline void remainder_of(struct cpu *cpu, const struct insn *in, bool nearest)
{
	int q;

	x87_check(cpu);
	cpu->x87.fsw &= ~FSW_C2;
	if (unlikely(!x87_full(cpu, 0) || !x87_full(cpu, 1))) {
		x87_underflow(cpu, in, 0, 0);
		return;
	}
	struct softfloat_env env = x87_env(cpu);
	struct x80 r = softfloat_f80_rem(&env, x87_st(cpu, 0), x87_st(cpu, 1), nearest, &q);
	x87_settle(cpu, in, &env);
	if (unlikely(!x87_stores(&env, false)))
		return;
	x87_put(cpu, 0, r);
	if (q == SOFTFLOAT_NO_QUOTIENT)
		return;
	u16 cc = q < 0 ? FSW_C2 : (q & 4 ? FSW_C0 : 0) | (q & 2 ? FSW_C3 : 0) | (q & 1 ? FSW_C1 : 0);
	cpu->x87.fsw = (cpu->x87.fsw & ~FSW_CC) | cc;
}
OP(fprem) { remainder_of(cpu, in, false); }
OP(fprem1) { remainder_of(cpu, in, true); }

/* Replaces ST(0) by its exponent and pushes the significand. */
OP(fxtract)
{
	x87_check(cpu);
	bool full = x87_full(cpu, 0);
	struct x80 exponent = softfloat_f80_indefinite(), significand = exponent;
	if (unlikely(!full || x87_full(cpu, 7))) {
		if (!x87_stack_fault(cpu, in, full))
			return;
	} else {
		struct softfloat_env env = x87_env(cpu);
		significand = softfloat_f80_extract(&env, x87_st(cpu, 0), &exponent);
		x87_settle(cpu, in, &env);
		if (!x87_stores(&env, false))
			return;
	}
	x87_put(cpu, 0, exponent);
	x87_push(cpu, significand);
}

#define ROWS(M, name)                                                                                                  \
	{ZYDIS_MNEMONIC_F##M, {O_M32}, 0, FEAT_FPU, f##name##_m32},                                                        \
	{ZYDIS_MNEMONIC_F##M, {O_M64}, 0, FEAT_FPU, f##name##_m64},                                                        \
	{ZYDIS_MNEMONIC_F##M, {O_ST, O_ST}, 0, FEAT_FPU, f##name##_st},                                                    \
	{ZYDIS_MNEMONIC_F##M##P, {O_ST, O_ST}, 0, FEAT_FPU, f##name##p_st},                                                \
	{ZYDIS_MNEMONIC_FI##M, {O_M16}, 0, FEAT_FPU, fi##name##_m16},                                                      \
	{ZYDIS_MNEMONIC_FI##M, {O_M32}, 0, FEAT_FPU, fi##name##_m32}
static const struct form table[] = {
	ROWS(ADD, add),
	ROWS(MUL, mul),
	ROWS(SUB, sub),
	ROWS(SUBR, subr),
	ROWS(DIV, div),
	ROWS(DIVR, divr),
	{ZYDIS_MNEMONIC_FSQRT, {O_NONE}, 0, FEAT_FPU, fsqrt},
	{ZYDIS_MNEMONIC_FRNDINT, {O_NONE}, 0, FEAT_FPU, frndint},
	{ZYDIS_MNEMONIC_FSCALE, {O_NONE}, 0, FEAT_FPU, fscale},
	{ZYDIS_MNEMONIC_FCHS, {O_NONE}, 0, FEAT_FPU, fchs},
	{ZYDIS_MNEMONIC_FABS, {O_NONE}, 0, FEAT_FPU, fabs_},
	{ZYDIS_MNEMONIC_FPREM, {O_NONE}, 0, FEAT_FPU, fprem},
	{ZYDIS_MNEMONIC_FPREM1, {O_NONE}, 0, FEAT_FPU, fprem1},
	{ZYDIS_MNEMONIC_FXTRACT, {O_NONE}, 0, FEAT_FPU, fxtract},
};
const struct form_table x87_arith_forms = {table, ARRAY_LEN(table)};
