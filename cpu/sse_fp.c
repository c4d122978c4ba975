/* SPDX-License-Identifier: MIT */
/* SSE floating point: scalar and packed arithmetic, compares, conversions, rounding, approximations. Intel SDM vol. 1 ch. 11
 * (11.5 exceptions), vol. 2. All arithmetic is softfloat.h's; the functions here pick lanes and deliver exceptions.
 * Conversions are in sse_cvt.c. */
#include <Zydis/Mnemonic.h>
#include <Zydis/SharedTypes.h>

#include "cpu/flags.h"
#include "cpu/sse_env.h"

/* ---- two operands: packed and scalar, single and double ---- */
#define ARITH(name, fn)                                                                                                \
	OP(name##ss)                                                                                                       \
	{                                                                                                                  \
		sse_check(cpu);                                                                                                \
		u32 b = sse_source32(cpu, in);                                                                                 \
		SSE_ENV;                                                                                                           \
		u32 r = fn##32(&env, cpu->v[in->r[0]].d[0], b);                                                                \
		sse_finish(cpu, &env);                                                                                             \
		cpu->v[in->r[0]].d[0] = r;                                                                                     \
	}                                                                                                                  \
	OP(name##sd)                                                                                                       \
	{                                                                                                                  \
		sse_check(cpu);                                                                                                \
		u64 b = sse_source64(cpu, in);                                                                                 \
		SSE_ENV;                                                                                                           \
		u64 r = fn##64(&env, cpu->v[in->r[0]].q[0], b);                                                                \
		sse_finish(cpu, &env);                                                                                             \
		cpu->v[in->r[0]].q[0] = r;                                                                                     \
	}                                                                                                                  \
	OP(name##ps)                                                                                                       \
	{                                                                                                                  \
		sse_check(cpu);                                                                                                \
		union lanes128 a = sse_reg(cpu, in->r[0]), b = sse_source(cpu, in);                                            \
		SSE_ENV;                                                                                                           \
		for (unsigned i = 0; i < 4; i++)                                                                               \
			a.d[i] = fn##32(&env, a.d[i], b.d[i]);                                                                     \
		sse_finish(cpu, &env);                                                                                             \
		sse_set(cpu, in->r[0], a);                                                                                     \
	}                                                                                                                  \
	OP(name##pd)                                                                                                       \
	{                                                                                                                  \
		sse_check(cpu);                                                                                                \
		union lanes128 a = sse_reg(cpu, in->r[0]), b = sse_source(cpu, in);                                            \
		SSE_ENV;                                                                                                           \
		for (unsigned i = 0; i < 2; i++)                                                                               \
			a.q[i] = fn##64(&env, a.q[i], b.q[i]);                                                                     \
		sse_finish(cpu, &env);                                                                                             \
		sse_set(cpu, in->r[0], a);                                                                                     \
	}
static always_inline u64 sqrt_of32(struct softfloat_env *env, u64 a, u64 b) { (void)a; return softfloat_sqrt32(env, b); }
static always_inline u64 sqrt_of64(struct softfloat_env *env, u64 a, u64 b) { (void)a; return softfloat_sqrt64(env, b); }
ARITH(add, softfloat_add)
ARITH(sub, softfloat_sub)
ARITH(mul, softfloat_mul)
ARITH(div, softfloat_div)
ARITH(min, softfloat_min)
ARITH(max, softfloat_max)
ARITH(sqrt, sqrt_of)

/* ---- horizontal and alternating ---- */
OP(addsubps)
{
	sse_check(cpu);
	union lanes128 a = sse_reg(cpu, in->r[0]), b = sse_source(cpu, in);
	SSE_ENV;
	for (unsigned i = 0; i < 4; i++)
		a.d[i] = i & 1 ? softfloat_add32(&env, a.d[i], b.d[i]) : softfloat_sub32(&env, a.d[i], b.d[i]);
	sse_finish(cpu, &env);
	sse_set(cpu, in->r[0], a);
}
OP(addsubpd)
{
	sse_check(cpu);
	union lanes128 a = sse_reg(cpu, in->r[0]), b = sse_source(cpu, in);
	SSE_ENV;
	a.q[0] = softfloat_sub64(&env, a.q[0], b.q[0]);
	a.q[1] = softfloat_add64(&env, a.q[1], b.q[1]);
	sse_finish(cpu, &env);
	sse_set(cpu, in->r[0], a);
}
#define HORIZONTAL(name, fn)                                                                                           \
	OP(name##ps)                                                                                                       \
	{                                                                                                                  \
		sse_check(cpu);                                                                                                \
		union lanes128 a = sse_reg(cpu, in->r[0]), b = sse_source(cpu, in), r;                                         \
		SSE_ENV;                                                                                                           \
		r.d[0] = fn##32(&env, a.d[0], a.d[1]);                                                                         \
		r.d[1] = fn##32(&env, a.d[2], a.d[3]);                                                                         \
		r.d[2] = fn##32(&env, b.d[0], b.d[1]);                                                                         \
		r.d[3] = fn##32(&env, b.d[2], b.d[3]);                                                                         \
		sse_finish(cpu, &env);                                                                                             \
		sse_set(cpu, in->r[0], r);                                                                                     \
	}                                                                                                                  \
	OP(name##pd)                                                                                                       \
	{                                                                                                                  \
		sse_check(cpu);                                                                                                \
		union lanes128 a = sse_reg(cpu, in->r[0]), b = sse_source(cpu, in), r;                                         \
		SSE_ENV;                                                                                                           \
		r.q[0] = fn##64(&env, a.q[0], a.q[1]);                                                                         \
		r.q[1] = fn##64(&env, b.q[0], b.q[1]);                                                                         \
		sse_finish(cpu, &env);                                                                                             \
		sse_set(cpu, in->r[0], r);                                                                                     \
	}
HORIZONTAL(hadd, softfloat_add)
HORIZONTAL(hsub, softfloat_sub)

/* Dot product: the immediate's high half chooses the products, the low half where the sum goes. The products are rounded and
 * their exceptions are delivered before the sums begin (SDM vol. 2, DPPS). Every lane adds for itself, in the order of Intel's
 * CPUs, which shows where several products are NaNs. */
OP(dpps)
{
	sse_check(cpu);
	union lanes128 a = sse_reg(cpu, in->r[0]), b = sse_source(cpu, in), t = {0}, r = {0};
	SSE_ENV;
	for (unsigned i = 0; i < 4; i++)
		if (in->imm >> (4 + i) & 1)
			t.d[i] = softfloat_mul32(&env, a.d[i], b.d[i]);
	sse_finish(cpu, &env);
	union lanes128 s;
	for (unsigned i = 0; i < 4; i++)
		s.d[i] = softfloat_add32(&env, t.d[i ^ 1], t.d[i]);
	sse_finish(cpu, &env);
	for (unsigned i = 0; i < 4; i++) {
		u32 sum = softfloat_add32(&env, s.d[i], s.d[i ^ 2]);
		r.d[i] = in->imm >> i & 1 ? sum : 0;
	}
	sse_finish(cpu, &env);
	sse_set(cpu, in->r[0], r);
}
OP(dppd)
{
	sse_check(cpu);
	union lanes128 a = sse_reg(cpu, in->r[0]), b = sse_source(cpu, in), t = {0}, r = {0};
	SSE_ENV;
	for (unsigned i = 0; i < 2; i++)
		if (in->imm >> (4 + i) & 1)
			t.q[i] = softfloat_mul64(&env, a.q[i], b.q[i]);
	sse_finish(cpu, &env);
	for (unsigned i = 0; i < 2; i++) {
		u64 sum = softfloat_add64(&env, t.q[i], t.q[i ^ 1]);
		r.q[i] = in->imm >> i & 1 ? sum : 0;
	}
	sse_finish(cpu, &env);
	sse_set(cpu, in->r[0], r);
}

/* ---- compares ---- */
/* Predicates 0-7: EQ LT LE UNORD NEQ NLT NLE ORD; LT, LE and their negations signal quiet NaNs too. */
static always_inline bool predicate(enum softfloat_order order, unsigned p)
{
	bool r;
	switch (p & 3) {
	case 0: r = order == SOFTFLOAT_EQUAL; break;
	case 1: r = order == SOFTFLOAT_LESS; break;
	case 2: r = order == SOFTFLOAT_LESS || order == SOFTFLOAT_EQUAL; break;
	default: r = order == SOFTFLOAT_UNORDERED; break;
	}
	return r != (p >> 2 & 1);
}
static always_inline bool signals(unsigned p)
{
	return (p & 3) == 1 || (p & 3) == 2;
}
static always_inline u32 cmp32(struct softfloat_env *env, u32 a, u32 b, unsigned p)
{
	return predicate(softfloat_cmp32(env, a, b, signals(p)), p) ? ~0u : 0;
}
static always_inline u64 cmp64(struct softfloat_env *env, u64 a, u64 b, unsigned p)
{
	return predicate(softfloat_cmp64(env, a, b, signals(p)), p) ? ~0ull : 0;
}
OP(cmpss)
{
	sse_check(cpu);
	u32 b = sse_source32(cpu, in);
	SSE_ENV;
	u32 r = cmp32(&env, cpu->v[in->r[0]].d[0], b, in->imm & 7);
	sse_finish(cpu, &env);
	cpu->v[in->r[0]].d[0] = r;
}
OP(cmpsd)
{
	sse_check(cpu);
	u64 b = sse_source64(cpu, in);
	SSE_ENV;
	u64 r = cmp64(&env, cpu->v[in->r[0]].q[0], b, in->imm & 7);
	sse_finish(cpu, &env);
	cpu->v[in->r[0]].q[0] = r;
}
OP(cmpps)
{
	sse_check(cpu);
	union lanes128 a = sse_reg(cpu, in->r[0]), b = sse_source(cpu, in);
	SSE_ENV;
	for (unsigned i = 0; i < 4; i++)
		a.d[i] = cmp32(&env, a.d[i], b.d[i], in->imm & 7);
	sse_finish(cpu, &env);
	sse_set(cpu, in->r[0], a);
}
OP(cmppd)
{
	sse_check(cpu);
	union lanes128 a = sse_reg(cpu, in->r[0]), b = sse_source(cpu, in);
	SSE_ENV;
	for (unsigned i = 0; i < 2; i++)
		a.q[i] = cmp64(&env, a.q[i], b.q[i], in->imm & 7);
	sse_finish(cpu, &env);
	sse_set(cpu, in->r[0], a);
}

static always_inline void set_order(struct cpu *cpu, enum softfloat_order order)
{
	u64 flags = order == SOFTFLOAT_UNORDERED ? FLAG_ZF | FLAG_PF | FLAG_CF
	            : order == SOFTFLOAT_LESS    ? FLAG_CF
	            : order == SOFTFLOAT_EQUAL   ? FLAG_ZF
	                                         : 0;
	flags_set(cpu, (cpu->rflags & ~(u64)FLAGS_ARITH) | flags);
}
#define COMPARE(name, bits, signalling)                                                                                \
	OP(name)                                                                                                           \
	{                                                                                                                  \
		sse_check(cpu);                                                                                                \
		u64 b = sse_source##bits(cpu, in), a = bits == 32 ? cpu->v[in->r[0]].d[0] : cpu->v[in->r[0]].q[0];             \
		SSE_ENV;                                                                                                           \
		enum softfloat_order order = softfloat_cmp##bits(&env, a, b, signalling);                                      \
		sse_finish(cpu, &env);                                                                                             \
		set_order(cpu, order);                                                                                         \
	}
COMPARE(ucomiss, 32, false)
COMPARE(ucomisd, 64, false)
COMPARE(comiss, 32, true)
COMPARE(comisd, 64, true)

/* ---- rounding to integral values: the immediate's bit 2 takes MXCSR.RC, bit 3 keeps the precision exception quiet ---- */
static always_inline enum softfloat_rounding rounding(const struct softfloat_env *env, unsigned imm)
{
	return imm & 4 ? softfloat_rc(env) : imm & 3;
}
OP(roundss)
{
	sse_check(cpu);
	u32 b = sse_source32(cpu, in);
	SSE_ENV;
	u32 r = softfloat_round32(&env, b, rounding(&env, in->imm), in->imm & 8);
	sse_finish(cpu, &env);
	cpu->v[in->r[0]].d[0] = r;
}
OP(roundsd)
{
	sse_check(cpu);
	u64 b = sse_source64(cpu, in);
	SSE_ENV;
	u64 r = softfloat_round64(&env, b, rounding(&env, in->imm), in->imm & 8);
	sse_finish(cpu, &env);
	cpu->v[in->r[0]].q[0] = r;
}
OP(roundps)
{
	sse_check(cpu);
	union lanes128 b = sse_source(cpu, in);
	SSE_ENV;
	for (unsigned i = 0; i < 4; i++)
		b.d[i] = softfloat_round32(&env, b.d[i], rounding(&env, in->imm), in->imm & 8);
	sse_finish(cpu, &env);
	sse_set(cpu, in->r[0], b);
}
OP(roundpd)
{
	sse_check(cpu);
	union lanes128 b = sse_source(cpu, in);
	SSE_ENV;
	for (unsigned i = 0; i < 2; i++)
		b.q[i] = softfloat_round64(&env, b.q[i], rounding(&env, in->imm), in->imm & 8);
	sse_finish(cpu, &env);
	sse_set(cpu, in->r[0], b);
}

/* ---- approximations: |relative error| <= 1.5 * 2^-12; no exceptions, denormals are zeros ---- */
/* The significand (1.f in 24 bits) of 1/x for x in [1, 2), truncated to 12 bits: of the middle of x's interval. */
static u32 rcp32(u32 a)
{
	u32 sign = a & 0x80000000, exp = a >> 23 & 0xff, frac = a & 0x7fffff;

	if (exp == 0xff)
		return frac ? a | 0x400000 : sign;
	if (exp == 0)
		return sign | 0x7f800000;
	/* 1 / 1.f in 2^-13, rounded; x is known to 2^-12 by its 12 leading fraction bits and a half */
	u64 x = ((u64)(0x800000 | (frac & ~0x7ffu)) + 0x400) >> 10;  /* 1.f * 2^13, 14 bits */
	u64 r = ((1ull << 39) / x + (1ull << 12)) >> 13;            /* 2^26 / x * 2^0 */
	i32 e = 253 - (i32)exp;
	if (r >= 1 << 13) { /* exactly 1 */
		e++;
		r >>= 1;
	}
	if (e <= 0) /* the result would be denormal: zero */
		return sign;
	return sign | (u32)e << 23 | (u32)((r << 11) & 0x7fffff);
}
static u32 isqrt(u64 v)
{
	u64 r = 0;
	for (u64 bit = 1ull << 31; bit; bit >>= 1)
		if ((r | bit) * (r | bit) <= v)
			r |= bit;
	return r;
}
static u32 rsqrt32(u32 a)
{
	u32 sign = a & 0x80000000, exp = a >> 23 & 0xff, frac = a & 0x7fffff;

	if (exp == 0xff && frac)
		return a | 0x400000;
	if (exp == 0)
		return sign | 0x7f800000;
	if (sign)
		return 0xffc00000;
	if (exp == 0xff)
		return 0;
	/* x = m * 2^(exp - 127) with m in [1, 4) and an even exponent */
	bool odd = !(exp & 1);
	u64 m = (u64)(0x800000 | frac) << odd;                       /* 2^23 */
	u64 root = isqrt(m << 23);                                   /* sqrt(m) * 2^23 */
	u64 r = ((1ull << 47) / root + (1 << 10)) >> 11;             /* 1/sqrt(m) * 2^13, in (2^12, 2^13] */
	i32 e = 127 - ((i32)exp - 127 - odd) / 2 - 1;
	if (r >= 1 << 13) {
		e++;
		r >>= 1;
	}
	return (u32)e << 23 | (u32)((r << 11) & 0x7fffff);
}
#define APPROXIMATE(name)                                                                                              \
	OP(name##ss)                                                                                                       \
	{                                                                                                                  \
		sse_check(cpu);                                                                                                \
		cpu->v[in->r[0]].d[0] = name##32(sse_source32(cpu, in));                                                       \
	}                                                                                                                  \
	OP(name##ps)                                                                                                       \
	{                                                                                                                  \
		sse_check(cpu);                                                                                                \
		union lanes128 b = sse_source(cpu, in);                                                                        \
		for (unsigned i = 0; i < 4; i++)                                                                               \
			b.d[i] = name##32(b.d[i]);                                                                                 \
		sse_set(cpu, in->r[0], b);                                                                                     \
	}
APPROXIMATE(rcp)
APPROXIMATE(rsqrt)

#define R(mnemonic, b, feature, fn) {ZYDIS_MNEMONIC_##mnemonic, {O_X, b}, 0, feature, fn}
#define RI(mnemonic, b, feature, fn) {ZYDIS_MNEMONIC_##mnemonic, {O_X, b, O_I}, 0, feature, fn}
#define FOUR(mnemonic, fn)                                                                                             \
	R(mnemonic##SS, O_XM32, FEAT_SSE, fn##ss), R(mnemonic##SD, O_XM64, FEAT_SSE2, fn##sd),                             \
		R(mnemonic##PS, O_XM128, FEAT_SSE, fn##ps), R(mnemonic##PD, O_XM128, FEAT_SSE2, fn##pd)
static const struct form table[] = {
	FOUR(ADD, add), FOUR(SUB, sub), FOUR(MUL, mul), FOUR(DIV, div), FOUR(MIN, min), FOUR(MAX, max), FOUR(SQRT, sqrt),
	R(ADDSUBPS, O_XM128, FEAT_SSE3, addsubps), R(ADDSUBPD, O_XM128, FEAT_SSE3, addsubpd),
	R(HADDPS, O_XM128, FEAT_SSE3, haddps), R(HADDPD, O_XM128, FEAT_SSE3, haddpd),
	R(HSUBPS, O_XM128, FEAT_SSE3, hsubps), R(HSUBPD, O_XM128, FEAT_SSE3, hsubpd),
	RI(DPPS, O_XM128, FEAT_SSE41, dpps), RI(DPPD, O_XM128, FEAT_SSE41, dppd),
	RI(CMPSS, O_XM32, FEAT_SSE, cmpss), RI(CMPSD, O_XM64, FEAT_SSE2, cmpsd),
	RI(CMPPS, O_XM128, FEAT_SSE, cmpps), RI(CMPPD, O_XM128, FEAT_SSE2, cmppd),
	R(UCOMISS, O_XM32, FEAT_SSE, ucomiss), R(UCOMISD, O_XM64, FEAT_SSE2, ucomisd),
	R(COMISS, O_XM32, FEAT_SSE, comiss), R(COMISD, O_XM64, FEAT_SSE2, comisd),
	RI(ROUNDSS, O_XM32, FEAT_SSE41, roundss), RI(ROUNDSD, O_XM64, FEAT_SSE41, roundsd),
	RI(ROUNDPS, O_XM128, FEAT_SSE41, roundps), RI(ROUNDPD, O_XM128, FEAT_SSE41, roundpd),
	R(RCPSS, O_XM32, FEAT_SSE, rcpss), R(RCPPS, O_XM128, FEAT_SSE, rcpps),
	R(RSQRTSS, O_XM32, FEAT_SSE, rsqrtss), R(RSQRTPS, O_XM128, FEAT_SSE, rsqrtps),
};
const struct form_table sse_fp_forms = {table, ARRAY_LEN(table)};
