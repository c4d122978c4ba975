/* SPDX-License-Identifier: MIT */
/* SSE conversions between integers, single and double precision, in XMM, MMX and general registers. Intel SDM vol. 2.
 * Tried on the host first, as all of SSE's arithmetic (hostfloat.h). */
#include <Zydis/Mnemonic.h>
#include <Zydis/SharedTypes.h>

#include "cpu/sse_env.h"

/* ---- integers to scalars ---- */

/* From a general register of so many bits, or memory. */
#define FROM_INT(name, ibits, fbits)                                                                                   \
	FP_SCALAR(name, fbits, ibits, hostfloat_i64_to_f##fbits(mxcsr, (i##ibits)b, &r),                                   \
	          softfloat_i64_to_f##fbits(&env, (i##ibits)b))                                                            \
	SSE_EXEC(name##_r)                                                                                                 \
	{                                                                                                                  \
		SSE_GUARD(cpu, in);                                                                                            \
		const u##ibits b = reg##ibits(cpu, in->r[1]);                                                                  \
		if (!name##_host(cpu, in, b))                                                                                  \
			return name##_soft(cpu, in, b);                                                                            \
		INSN_NEXT(cpu, in);                                                                                            \
	}
FROM_INT(si2ss32, 32, 32)
FROM_INT(si2ss64, 64, 32)
FROM_INT(si2sd32, 32, 64)
FROM_INT(si2sd64, 64, 64)

/* ---- scalars to general registers: by MXCSR.RC, or (T) truncating ---- */

static always_inline bool single_as_double(u32 a, u64 *r)
{
	*r = hostfloat_bits64((double)hostfloat_value32(a));
	return likely(hostfloat_number32(a));
}
#define TO_INT(name, fbits, ibits, host, rc)                                                                           \
	FP_HOST(name, fbits)                                                                                               \
	{                                                                                                                  \
		u64 d = b;                                                                                                     \
		i64 r;                                                                                                         \
		if (fbits == 32 && !single_as_double((u32)b, &d))                                                              \
			return false;                                                                                              \
		if (!hostfloat_f64_##host(cpu->mxcsr, d, ibits, &r))                                                           \
			return false;                                                                                              \
		set_reg##ibits(cpu, in->r[0], r);                                                                              \
		return true;                                                                                                   \
	}                                                                                                                  \
	FP_SOFT(name, fbits)                                                                                               \
	{                                                                                                                  \
		cpu->cur = in;                                                                                                 \
		SSE_ENV;                                                                                                       \
		const u##ibits r = softfloat_f##fbits##_to_i##ibits(&env, b, rc);                                              \
		sse_finish(cpu, &env);                                                                                         \
		set_reg##ibits(cpu, in->r[0], r);                                                                              \
		INSN_NEXT(cpu, in);                                                                                            \
	}                                                                                                                  \
	FP_EXEC(name, fbits)
TO_INT(ss2si32, 32, 32, nearest, softfloat_rc(&env))
TO_INT(ss2si64, 32, 64, nearest, softfloat_rc(&env))
TO_INT(sd2si32, 64, 32, nearest, softfloat_rc(&env))
TO_INT(sd2si64, 64, 64, nearest, softfloat_rc(&env))
TO_INT(tss2si32, 32, 32, truncate, SOFTFLOAT_ZERO)
TO_INT(tss2si64, 32, 64, truncate, SOFTFLOAT_ZERO)
TO_INT(tsd2si32, 64, 32, truncate, SOFTFLOAT_ZERO)
TO_INT(tsd2si64, 64, 64, truncate, SOFTFLOAT_ZERO)

/* ---- single and double ---- */

FP_SCALAR(ss2sd, 64, 32, hostfloat_f32_to_f64(b, &r), softfloat_f32_to_f64(&env, b))
FP_SCALAR(sd2ss, 32, 64, hostfloat_f64_to_f32(mxcsr, b, &r), softfloat_f64_to_f32(&env, b))

static union lanes128 singles_to_doubles(struct softfloat_env *env, union lanes128 v)
{
	return (union lanes128){.q = {softfloat_f32_to_f64(env, v.d[0]), softfloat_f32_to_f64(env, v.d[1])}};
}
static union lanes128 doubles_to_singles(struct softfloat_env *env, union lanes128 v)
{
	return (union lanes128){.d = {softfloat_f64_to_f32(env, v.q[0]), softfloat_f64_to_f32(env, v.q[1])}};
}
FP_PACKED(ps2pd, 64L, hostfloat_f32_to_f64x2(b, &r), singles_to_doubles(&env, b))
FP_PACKED(pd2ps, 128, hostfloat_f64_to_f32x2(mxcsr, b, &r), doubles_to_singles(&env, b))

/* ---- packed integers in XMM registers ---- */

static always_inline union lanes128 dwords_to_doubles(union lanes128 v)
{
	return (union lanes128){.q = {softfloat_i32_to_f64(v.sd[0]), softfloat_i32_to_f64(v.sd[1])}};
}
SSE_REG(dq2pd_x) { sse_set(cpu, in->r[0], dwords_to_doubles(sse_reg(cpu, in->r[1]))); }
SSE_LOAD(dq2pd_m, 64) { sse_set(cpu, in->r[0], dwords_to_doubles((union lanes128){.vq = {m, 0}})); }

static union lanes128 dwords_to_singles(struct softfloat_env *env, union lanes128 v)
{
	for (unsigned i = 0; i < 4; i++)
		v.d[i] = softfloat_i32_to_f32(env, v.sd[i]);
	return v;
}
FP_PACKED(dq2ps, 128, hostfloat_i32_to_f32x4(mxcsr, b, &r), dwords_to_singles(&env, b))

static union lanes128 singles_to_dwords(struct softfloat_env *env, union lanes128 v, enum softfloat_rounding rc, unsigned n)
{
	for (unsigned i = 0; i < n; i++)
		v.d[i] = softfloat_f32_to_i32(env, v.d[i], rc);
	return v;
}
static union lanes128 doubles_to_dwords(struct softfloat_env *env, union lanes128 v, enum softfloat_rounding rc)
{
	return (union lanes128){.d = {softfloat_f64_to_i32(env, v.q[0], rc), softfloat_f64_to_i32(env, v.q[1], rc)}};
}
FP_PACKED(ps2dq, 128, hostfloat_f32_to_i32x4(mxcsr, b, true, &r), singles_to_dwords(&env, b, softfloat_rc(&env), 4))
FP_PACKED(tps2dq, 128, hostfloat_f32_to_i32x4(mxcsr, b, false, &r), singles_to_dwords(&env, b, SOFTFLOAT_ZERO, 4))

#define DOUBLES_HOST(how)                                                                                              \
	static always_inline bool doubles_##how(u32 mxcsr, union lanes128 v, union lanes128 *r)                            \
	{                                                                                                                  \
		i64 low, high;                                                                                                 \
		if (!hostfloat_f64_##how(mxcsr, v.q[0], 32, &low) || !hostfloat_f64_##how(mxcsr, v.q[1], 32, &high))           \
			return false;                                                                                              \
		*r = (union lanes128){.vq = {(u32)low | (u64)high << 32, 0}};                                                  \
		return true;                                                                                                   \
	}
DOUBLES_HOST(nearest)
DOUBLES_HOST(truncate)
FP_PACKED(pd2dq, 128, doubles_nearest(mxcsr, b, &r), doubles_to_dwords(&env, b, softfloat_rc(&env)))
FP_PACKED(tpd2dq, 128, doubles_truncate(mxcsr, b, &r), doubles_to_dwords(&env, b, SOFTFLOAT_ZERO))

/* ---- packed integers in MMX registers ---- */

#define TO_MMX(name, from, convert)                                                                                    \
	OP(name)                                                                                                           \
	{                                                                                                                  \
		sse_check(cpu);                                                                                                \
		x87_mmx_check(cpu);                                                                                            \
		const union lanes128 b = in->ea ? FP_READ##from(cpu, in) : sse_reg(cpu, in->r[1]);                             \
		SSE_ENV;                                                                                                       \
		const union lanes128 r = convert;                                                                              \
		sse_finish(cpu, &env);                                                                                         \
		x87_mmx_enter(cpu);                                                                                            \
		x87_mm_set(cpu, in->r[0], r.q[0]);                                                                             \
	}
TO_MMX(ps2pi, 64L, singles_to_dwords(&env, b, softfloat_rc(&env), 2))
TO_MMX(tps2pi, 64L, singles_to_dwords(&env, b, SOFTFLOAT_ZERO, 2))
TO_MMX(pd2pi, 128, doubles_to_dwords(&env, b, softfloat_rc(&env)))
TO_MMX(tpd2pi, 128, doubles_to_dwords(&env, b, SOFTFLOAT_ZERO))

/* From memory these two do not touch the MMX state. */
OP(pi2ps)
{
	sse_check(cpu);
	if (!in->ea)
		x87_mmx_check(cpu);
	const union lanes128 b = {.q = {mmx_source(cpu, in)}};
	SSE_ENV;
	const u64 r = softfloat_i32_to_f32(&env, b.sd[0]) | softfloat_i32_to_f32(&env, b.sd[1]) << 32;
	sse_finish(cpu, &env);
	if (!in->ea)
		x87_mmx_enter(cpu);
	cpu->v[in->r[0]].q[0] = r;
}
OP(pi2pd)
{
	sse_check(cpu);
	if (!in->ea)
		x87_mmx_check(cpu);
	const union lanes128 b = {.q = {mmx_source(cpu, in)}};
	if (!in->ea)
		x87_mmx_enter(cpu);
	sse_set(cpu, in->r[0], dwords_to_doubles(b));
}

#define R SSE_ROW
#define ROWS_FROM_INT(mnemonic, bits, feature, fn)                                                                     \
	R(mnemonic, O_X, O_R##bits, feature, fn##_r), R(mnemonic, O_X, O_B##bits, feature, fn##_m_b),                      \
		R(mnemonic, O_X, O_M##bits, feature, fn##_m)
#define ROWS_TO_INT(mnemonic, to, bits, feature, fn)                                                                   \
	R(mnemonic, to, O_X, feature, fn##_x), R(mnemonic, to, O_B, feature, fn##_m_b), R(mnemonic, to, O_M##bits, feature, fn##_m)
static const struct form table[] = {
	ROWS_FROM_INT(CVTSI2SS, 32, FEAT_SSE, si2ss32), ROWS_FROM_INT(CVTSI2SS, 64, FEAT_SSE, si2ss64),
	ROWS_FROM_INT(CVTSI2SD, 32, FEAT_SSE2, si2sd32), ROWS_FROM_INT(CVTSI2SD, 64, FEAT_SSE2, si2sd64),
	ROWS_TO_INT(CVTSS2SI, O_R32, 32, FEAT_SSE, ss2si32), ROWS_TO_INT(CVTSS2SI, O_R64, 32, FEAT_SSE, ss2si64),
	ROWS_TO_INT(CVTSD2SI, O_R32, 64, FEAT_SSE2, sd2si32), ROWS_TO_INT(CVTSD2SI, O_R64, 64, FEAT_SSE2, sd2si64),
	ROWS_TO_INT(CVTTSS2SI, O_R32, 32, FEAT_SSE, tss2si32), ROWS_TO_INT(CVTTSS2SI, O_R64, 32, FEAT_SSE, tss2si64),
	ROWS_TO_INT(CVTTSD2SI, O_R32, 64, FEAT_SSE2, tsd2si32), ROWS_TO_INT(CVTTSD2SI, O_R64, 64, FEAT_SSE2, tsd2si64),
	FP_ROWS(CVTSS2SD, 32, FEAT_SSE2, ss2sd), FP_ROWS(CVTSD2SS, 64, FEAT_SSE2, sd2ss),
	FP_ROWS(CVTPS2PD, 64, FEAT_SSE2, ps2pd), FP_ROWS(CVTPD2PS, 128, FEAT_SSE2, pd2ps),
	FP_ROWS(CVTDQ2PS, 128, FEAT_SSE2, dq2ps), FP_ROWS(CVTDQ2PD, 64, FEAT_SSE2, dq2pd),
	FP_ROWS(CVTPS2DQ, 128, FEAT_SSE2, ps2dq), FP_ROWS(CVTTPS2DQ, 128, FEAT_SSE2, tps2dq),
	FP_ROWS(CVTPD2DQ, 128, FEAT_SSE2, pd2dq), FP_ROWS(CVTTPD2DQ, 128, FEAT_SSE2, tpd2dq),
	R(CVTPS2PI, O_MM, O_XM64, FEAT_SSE, ps2pi), R(CVTTPS2PI, O_MM, O_XM64, FEAT_SSE, tps2pi),
	R(CVTPD2PI, O_MM, O_XM128, FEAT_SSE2, pd2pi), R(CVTTPD2PI, O_MM, O_XM128, FEAT_SSE2, tpd2pi),
	R(CVTPI2PS, O_X, O_MMM64, FEAT_SSE, pi2ps), R(CVTPI2PD, O_X, O_MMM64, FEAT_SSE2, pi2pd),
};
const struct form_table sse_cvt_forms = {table, ARRAY_LEN(table)};
