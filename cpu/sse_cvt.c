/* SPDX-License-Identifier: MIT */
/* SSE conversions between integers, single and double precision, in XMM, MMX and general registers. Intel SDM vol. 2. */
#include <Zydis/Mnemonic.h>
#include <Zydis/SharedTypes.h>

#include "cpu/sse_env.h"

/* ---- general registers and memory to scalars ---- */
#define FROM_INT(name, ibits, fbits, source, convert)                                                                  \
	OP(name)                                                                                                           \
	{                                                                                                                  \
		sse_check(cpu);                                                                                                \
		i##ibits v = (i##ibits)(source);                                                                               \
		SSE_ENV;                                                                                                       \
		u##fbits r = convert;                                                                                          \
		sse_finish(cpu, &env);                                                                                         \
		if (fbits == 32)                                                                                               \
			cpu->v[in->r[0]].d[0] = r;                                                                                 \
		else                                                                                                           \
			cpu->v[in->r[0]].q[0] = r;                                                                                 \
	}
FROM_INT(si2ss_r32, 32, 32, reg32(cpu, in->r[1]), softfloat_i32_to_f32(&env, v))
FROM_INT(si2ss_m32, 32, 32, mem_read32(cpu, in), softfloat_i32_to_f32(&env, v))
FROM_INT(si2ss_r64, 64, 32, reg64(cpu, in->r[1]), softfloat_i64_to_f32(&env, v))
FROM_INT(si2ss_m64, 64, 32, mem_read64(cpu, in), softfloat_i64_to_f32(&env, v))
FROM_INT(si2sd_r32, 32, 64, reg32(cpu, in->r[1]), softfloat_i32_to_f64(v))
FROM_INT(si2sd_m32, 32, 64, mem_read32(cpu, in), softfloat_i32_to_f64(v))
FROM_INT(si2sd_r64, 64, 64, reg64(cpu, in->r[1]), softfloat_i64_to_f64(&env, v))
FROM_INT(si2sd_m64, 64, 64, mem_read64(cpu, in), softfloat_i64_to_f64(&env, v))

/* ---- scalars to general registers: by MXCSR.RC, or (T) truncating ---- */
#define TO_INT(name, fbits, ibits, rc)                                                                                 \
	OP(name)                                                                                                           \
	{                                                                                                                  \
		sse_check(cpu);                                                                                                \
		u##fbits v = sse_source##fbits(cpu, in);                                                                       \
		SSE_ENV;                                                                                                       \
		u##ibits r = softfloat_f##fbits##_to_i##ibits(&env, v, rc);                                                    \
		sse_finish(cpu, &env);                                                                                         \
		cpu->gpr[in->r[0]] = r;                                                                                        \
	}
TO_INT(ss2si32, 32, 32, softfloat_rc(&env))
TO_INT(ss2si64, 32, 64, softfloat_rc(&env))
TO_INT(sd2si32, 64, 32, softfloat_rc(&env))
TO_INT(sd2si64, 64, 64, softfloat_rc(&env))
TO_INT(tss2si32, 32, 32, SOFTFLOAT_ZERO)
TO_INT(tss2si64, 32, 64, SOFTFLOAT_ZERO)
TO_INT(tsd2si32, 64, 32, SOFTFLOAT_ZERO)
TO_INT(tsd2si64, 64, 64, SOFTFLOAT_ZERO)

/* ---- single and double ---- */
OP(ss2sd)
{
	sse_check(cpu);
	u32 v = sse_source32(cpu, in);
	SSE_ENV;
	u64 r = softfloat_f32_to_f64(&env, v);
	sse_finish(cpu, &env);
	cpu->v[in->r[0]].q[0] = r;
}
OP(sd2ss)
{
	sse_check(cpu);
	u64 v = sse_source64(cpu, in);
	SSE_ENV;
	u32 r = softfloat_f64_to_f32(&env, v);
	sse_finish(cpu, &env);
	cpu->v[in->r[0]].d[0] = r;
}
OP(ps2pd)
{
	sse_check(cpu);
	union lanes128 v = {.q = {sse_source64(cpu, in)}}, r;
	SSE_ENV;
	for (unsigned i = 0; i < 2; i++)
		r.q[i] = softfloat_f32_to_f64(&env, v.d[i]);
	sse_finish(cpu, &env);
	sse_set(cpu, in->r[0], r);
}
OP(pd2ps)
{
	sse_check(cpu);
	union lanes128 v = sse_source(cpu, in), r = {0};
	SSE_ENV;
	for (unsigned i = 0; i < 2; i++)
		r.d[i] = softfloat_f64_to_f32(&env, v.q[i]);
	sse_finish(cpu, &env);
	sse_set(cpu, in->r[0], r);
}

/* ---- packed integers ---- */
OP(dq2ps)
{
	sse_check(cpu);
	union lanes128 v = sse_source(cpu, in);
	SSE_ENV;
	for (unsigned i = 0; i < 4; i++)
		v.d[i] = softfloat_i32_to_f32(&env, v.sd[i]);
	sse_finish(cpu, &env);
	sse_set(cpu, in->r[0], v);
}
OP(dq2pd)
{
	sse_check(cpu);
	union lanes128 v = {.q = {sse_source64(cpu, in)}}, r;
	for (unsigned i = 0; i < 2; i++)
		r.q[i] = softfloat_i32_to_f64(v.sd[i]);
	sse_set(cpu, in->r[0], r);
}
#define PACKED_TO_INT(name, rc)                                                                                        \
	OP(ps2dq_##name)                                                                                                   \
	{                                                                                                                  \
		sse_check(cpu);                                                                                                \
		union lanes128 v = sse_source(cpu, in);                                                                        \
		SSE_ENV;                                                                                                       \
		for (unsigned i = 0; i < 4; i++)                                                                               \
			v.d[i] = softfloat_f32_to_i32(&env, v.d[i], rc);                                                           \
		sse_finish(cpu, &env);                                                                                         \
		sse_set(cpu, in->r[0], v);                                                                                     \
	}                                                                                                                  \
	OP(pd2dq_##name)                                                                                                   \
	{                                                                                                                  \
		sse_check(cpu);                                                                                                \
		union lanes128 v = sse_source(cpu, in), r = {0};                                                               \
		SSE_ENV;                                                                                                       \
		for (unsigned i = 0; i < 2; i++)                                                                               \
			r.d[i] = softfloat_f64_to_i32(&env, v.q[i], rc);                                                           \
		sse_finish(cpu, &env);                                                                                         \
		sse_set(cpu, in->r[0], r);                                                                                     \
	}                                                                                                                  \
	OP(ps2pi_##name)                                                                                                   \
	{                                                                                                                  \
		sse_check(cpu);                                                                                                \
		x87_mmx_check(cpu);                                                                                            \
		union lanes64 v = {.q = {sse_source64(cpu, in)}};                                                              \
		SSE_ENV;                                                                                                       \
		for (unsigned i = 0; i < 2; i++)                                                                               \
			v.d[i] = softfloat_f32_to_i32(&env, v.d[i], rc);                                                           \
		sse_finish(cpu, &env);                                                                                         \
		x87_mmx_enter(cpu);                                                                                            \
		x87_mm_set(cpu, in->r[0], v.q[0]);                                                                             \
	}                                                                                                                  \
	OP(pd2pi_##name)                                                                                                   \
	{                                                                                                                  \
		sse_check(cpu);                                                                                                \
		x87_mmx_check(cpu);                                                                                            \
		union lanes128 v = sse_source(cpu, in);                                                                        \
		union lanes64 r;                                                                                               \
		SSE_ENV;                                                                                                       \
		for (unsigned i = 0; i < 2; i++)                                                                               \
			r.d[i] = softfloat_f64_to_i32(&env, v.q[i], rc);                                                           \
		sse_finish(cpu, &env);                                                                                         \
		x87_mmx_enter(cpu);                                                                                            \
		x87_mm_set(cpu, in->r[0], r.q[0]);                                                                             \
	}
PACKED_TO_INT(round, softfloat_rc(&env))
PACKED_TO_INT(truncate, SOFTFLOAT_ZERO)

/* From memory these two do not touch the MMX state. */
OP(pi2ps)
{
	sse_check(cpu);
	if (!in->ea)
		x87_mmx_check(cpu);
	union lanes64 v = {.q = {mmx_source(cpu, in)}};
	SSE_ENV;
	for (unsigned i = 0; i < 2; i++)
		v.d[i] = softfloat_i32_to_f32(&env, v.sd[i]);
	sse_finish(cpu, &env);
	if (!in->ea)
		x87_mmx_enter(cpu);
	cpu->v[in->r[0]].q[0] = v.q[0];
}
OP(pi2pd)
{
	sse_check(cpu);
	if (!in->ea)
		x87_mmx_check(cpu);
	union lanes64 v = {.q = {mmx_source(cpu, in)}};
	union lanes128 r;
	for (unsigned i = 0; i < 2; i++)
		r.q[i] = softfloat_i32_to_f64(v.sd[i]);
	if (!in->ea)
		x87_mmx_enter(cpu);
	sse_set(cpu, in->r[0], r);
}

#define R(mnemonic, a, b, feature, fn) {ZYDIS_MNEMONIC_##mnemonic, {a, b}, 0, feature, fn}
static const struct form table[] = {
	R(CVTSI2SS, O_X, O_R32, FEAT_SSE, si2ss_r32), R(CVTSI2SS, O_X, O_M32, FEAT_SSE, si2ss_m32),
	R(CVTSI2SS, O_X, O_R64, FEAT_SSE, si2ss_r64), R(CVTSI2SS, O_X, O_M64, FEAT_SSE, si2ss_m64),
	R(CVTSI2SD, O_X, O_R32, FEAT_SSE2, si2sd_r32), R(CVTSI2SD, O_X, O_M32, FEAT_SSE2, si2sd_m32),
	R(CVTSI2SD, O_X, O_R64, FEAT_SSE2, si2sd_r64), R(CVTSI2SD, O_X, O_M64, FEAT_SSE2, si2sd_m64),
	R(CVTSS2SI, O_R32, O_XM32, FEAT_SSE, ss2si32), R(CVTSS2SI, O_R64, O_XM32, FEAT_SSE, ss2si64),
	R(CVTSD2SI, O_R32, O_XM64, FEAT_SSE2, sd2si32), R(CVTSD2SI, O_R64, O_XM64, FEAT_SSE2, sd2si64),
	R(CVTTSS2SI, O_R32, O_XM32, FEAT_SSE, tss2si32), R(CVTTSS2SI, O_R64, O_XM32, FEAT_SSE, tss2si64),
	R(CVTTSD2SI, O_R32, O_XM64, FEAT_SSE2, tsd2si32), R(CVTTSD2SI, O_R64, O_XM64, FEAT_SSE2, tsd2si64),
	R(CVTSS2SD, O_X, O_XM32, FEAT_SSE2, ss2sd), R(CVTSD2SS, O_X, O_XM64, FEAT_SSE2, sd2ss),
	R(CVTPS2PD, O_X, O_XM64, FEAT_SSE2, ps2pd), R(CVTPD2PS, O_X, O_XM128, FEAT_SSE2, pd2ps),
	R(CVTDQ2PS, O_X, O_XM128, FEAT_SSE2, dq2ps), R(CVTDQ2PD, O_X, O_XM64, FEAT_SSE2, dq2pd),
	R(CVTPS2DQ, O_X, O_XM128, FEAT_SSE2, ps2dq_round), R(CVTTPS2DQ, O_X, O_XM128, FEAT_SSE2, ps2dq_truncate),
	R(CVTPD2DQ, O_X, O_XM128, FEAT_SSE2, pd2dq_round), R(CVTTPD2DQ, O_X, O_XM128, FEAT_SSE2, pd2dq_truncate),
	R(CVTPS2PI, O_MM, O_XM64, FEAT_SSE, ps2pi_round), R(CVTTPS2PI, O_MM, O_XM64, FEAT_SSE, ps2pi_truncate),
	R(CVTPD2PI, O_MM, O_XM128, FEAT_SSE2, pd2pi_round), R(CVTTPD2PI, O_MM, O_XM128, FEAT_SSE2, pd2pi_truncate),
	R(CVTPI2PS, O_X, O_MMM64, FEAT_SSE, pi2ps), R(CVTPI2PD, O_X, O_MMM64, FEAT_SSE2, pi2pd),
};
const struct form_table sse_cvt_forms = {table, ARRAY_LEN(table)};
