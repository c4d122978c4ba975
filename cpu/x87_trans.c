/* SPDX-License-Identifier: MIT */
/* x87 transcendental instructions: FSIN, FCOS, FSINCOS, FPTAN, FPATAN, F2XM1, FYL2X, FYL2XP1.
 * Intel SDM vol. 1 ch. 8.3.7, vol. 2. The functions are in softfloat_trans.c. */
#include "cpu/forms.h"
#include "cpu/model.h"
#include "cpu/x87_stack.h"

#include <Zydis/Mnemonic.h>
#include <Zydis/SharedTypes.h>

static void out_of_range(struct cpu *cpu, const struct insn *in)
{
	x87_quiet(cpu, in);
	cpu->x87.fsw |= FSW_C2;
}

static always_inline void angle(struct cpu *cpu, const struct insn *in, bool sine)
{
	struct x80 r;

	x87_check(cpu);
	cpu->x87.fsw &= ~FSW_C2;
	if (unlikely(!x87_full(cpu, 0))) {
		x87_underflow(cpu, in, 0, 0);
		return;
	}
	struct softfloat_env env = x87_env(cpu);
	if (!softfloat_f80_sincos(&env, x87_st(cpu, 0), sine ? &r : NULL, sine ? NULL : &r)) {
		out_of_range(cpu, in);
		return;
	}
	x87_settle(cpu, in, &env);
	if (x87_stores(&env, false))
		x87_put(cpu, 0, r);
}
OP(fsin) { angle(cpu, in, true); }
OP(fcos) { angle(cpu, in, false); }

/* Those that replace ST(0) and push. */
static always_inline void angle_push(struct cpu *cpu, const struct insn *in, bool tangent)
{
	struct x80 first = softfloat_f80_indefinite(), second = first;

	x87_check(cpu);
	cpu->x87.fsw &= ~FSW_C2;
	bool full = x87_full(cpu, 0);
	if (unlikely(!full || x87_full(cpu, 7))) {
		if (!x87_stack_fault(cpu, in, full))
			return;
	} else {
		struct softfloat_env env = x87_env(cpu);
		struct x80 a = x87_st(cpu, 0);
		bool ok = tangent ? softfloat_f80_tan(&env, a, &first) : softfloat_f80_sincos(&env, a, &first, &second);
		if (!ok) {
			out_of_range(cpu, in);
			return;
		}
		if (tangent)
			second = softfloat_f80_is_nan(first) ? first : softfloat_f80_from_i64(1);
		x87_settle(cpu, in, &env);
		if (!x87_stores(&env, false))
			return;
	}
	x87_put(cpu, 0, first);
	x87_push(cpu, second);
}
OP(fsincos) { angle_push(cpu, in, false); }
OP(fptan) { angle_push(cpu, in, true); }

OP(f2xm1)
{
	x87_check(cpu);
	if (unlikely(!x87_full(cpu, 0))) {
		x87_underflow(cpu, in, 0, 0);
		return;
	}
	struct softfloat_env env = x87_env(cpu);
	struct x80 r = softfloat_f80_exp2m1(&env, x87_st(cpu, 0));
	x87_settle(cpu, in, &env);
	if (x87_stores(&env, false))
		x87_put(cpu, 0, r);
}

/* Of ST(0) and ST(1); the result replaces ST(1) and ST(0) is popped. */
#define BINARY(name, value)                                                                                            \
	OP(name)                                                                                                           \
	{                                                                                                                  \
		x87_check(cpu);                                                                                                \
		if (unlikely(!x87_full(cpu, 0) || !x87_full(cpu, 1))) {                                                        \
			x87_underflow(cpu, in, 1, 1);                                                                              \
			return;                                                                                                    \
		}                                                                                                              \
		struct softfloat_env env = x87_env(cpu);                                                                       \
		struct x80 a = x87_st(cpu, 0), b = x87_st(cpu, 1), r = value;                                                  \
		x87_settle(cpu, in, &env);                                                                                     \
		if (!x87_stores(&env, false))                                                                                  \
			return;                                                                                                    \
		x87_put(cpu, 1, r);                                                                                            \
		x87_pop(cpu);                                                                                                  \
	}
BINARY(fpatan, softfloat_f80_atan2(&env, b, a))
BINARY(fyl2x, softfloat_f80_ylog2(&env, a, b))
BINARY(fyl2xp1, softfloat_f80_ylog2p1(&env, a, b))

static const struct form table[] = {
	{ZYDIS_MNEMONIC_FSIN, {O_NONE}, 0, FEAT_FPU, fsin},
	{ZYDIS_MNEMONIC_FCOS, {O_NONE}, 0, FEAT_FPU, fcos},
	{ZYDIS_MNEMONIC_FSINCOS, {O_NONE}, 0, FEAT_FPU, fsincos},
	{ZYDIS_MNEMONIC_FPTAN, {O_NONE}, 0, FEAT_FPU, fptan},
	{ZYDIS_MNEMONIC_FPATAN, {O_NONE}, 0, FEAT_FPU, fpatan},
	{ZYDIS_MNEMONIC_F2XM1, {O_NONE}, 0, FEAT_FPU, f2xm1},
	{ZYDIS_MNEMONIC_FYL2X, {O_NONE}, 0, FEAT_FPU, fyl2x},
	{ZYDIS_MNEMONIC_FYL2XP1, {O_NONE}, 0, FEAT_FPU, fyl2xp1},
};
const struct form_table x87_trans_forms = {table, ARRAY_LEN(table)};
