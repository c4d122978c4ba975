/* SPDX-License-Identifier: MIT */
/* SSE floating point: scalar and packed arithmetic, compares, rounding, approximations. Intel SDM vol. 1 ch. 11 (11.5
 * exceptions), vol. 2. Conversions are in sse_cvt.c.
 *
 * Each instruction is tried on the host (hostfloat.h); what that refuses is done by softfloat.h, with flags and exceptions. */
#include <Zydis/Mnemonic.h>
#include <Zydis/SharedTypes.h>

#include "cpu/flags.h"
#include "cpu/sse_env.h"
#include "cpu/sse_tables.h"

/* ---- arithmetic, lane by lane ---- */

/* Zeros first, as they are common, and slow in soft-float. */
#define REST(op, bits)                                                                                                 \
	static u64 op##_rest##bits(struct softfloat_env *env, u##bits a, u##bits b)                                        \
	{                                                                                                                  \
		u##bits r;                                                                                                     \
		return hostfloat_zeros_##op##bits(env->control, a, b, &r) ? r : softfloat_##op##bits(env, a, b);               \
	}
#define REST_OF(op) REST(op, 32) REST(op, 64)
REST_OF(add)
REST_OF(sub)
REST_OF(mul)
REST_OF(div)
static always_inline u64 sqrt_of32(struct softfloat_env *env, u32 a INSN_UNUSED, u32 b) { return softfloat_sqrt32(env, b); }
static always_inline u64 sqrt_of64(struct softfloat_env *env, u64 a INSN_UNUSED, u64 b) { return softfloat_sqrt64(env, b); }

#define ARITH(op, rest)                                                                                                \
	static union lanes128 op##_lanes32(struct softfloat_env *env, union lanes128 a, union lanes128 b)                  \
	{                                                                                                                  \
		for (unsigned i = 0; i < 4; i++)                                                                               \
			a.d[i] = rest##32(env, a.d[i], b.d[i]);                                                                    \
		return a;                                                                                                      \
	}                                                                                                                  \
	static union lanes128 op##_lanes64(struct softfloat_env *env, union lanes128 a, union lanes128 b)                  \
	{                                                                                                                  \
		for (unsigned i = 0; i < 2; i++)                                                                               \
			a.q[i] = rest##64(env, a.q[i], b.q[i]);                                                                    \
		return a;                                                                                                      \
	}                                                                                                                  \
	FP_SCALAR(op##ss, 32, 32, hostfloat_##op##32(mxcsr, a, b, &r), rest##32(&env, a, b))                               \
	FP_SCALAR(op##sd, 64, 64, hostfloat_##op##64(mxcsr, a, b, &r), rest##64(&env, a, b))                               \
	FP_PACKED(op##ps, 128, hostfloat_##op##32x4(mxcsr, a, b, &r), op##_lanes32(&env, a, b))                            \
	FP_PACKED(op##pd, 128, hostfloat_##op##64x2(mxcsr, a, b, &r), op##_lanes64(&env, a, b))
ARITH(add, add_rest)
ARITH(sub, sub_rest)
ARITH(mul, mul_rest)
ARITH(div, div_rest)
ARITH(min, softfloat_min)
ARITH(max, softfloat_max)
ARITH(sqrt, sqrt_of)

/* ---- alternating and horizontal: the lanes in another order ---- */

/* Even lanes subtract. The sign of a NaN must not turn, but the host sees none. */
static always_inline union lanes128 flip_even32(union lanes128 b)
{
	return (union lanes128){.vq = b.vq ^ BIT(31)};
}
static always_inline union lanes128 flip_even64(union lanes128 b)
{
	return (union lanes128){.vq = {b.q[0] ^ BIT(63), b.q[1]}};
}
static union lanes128 addsub_lanes32(struct softfloat_env *env, union lanes128 a, union lanes128 b)
{
	for (unsigned i = 0; i < 4; i++)
		a.d[i] = i & 1 ? add_rest32(env, a.d[i], b.d[i]) : sub_rest32(env, a.d[i], b.d[i]);
	return a;
}
static union lanes128 addsub_lanes64(struct softfloat_env *env, union lanes128 a, union lanes128 b)
{
	a.q[0] = sub_rest64(env, a.q[0], b.q[0]);
	a.q[1] = add_rest64(env, a.q[1], b.q[1]);
	return a;
}
FP_PACKED(addsubps, 128, hostfloat_add32x4(mxcsr, a, flip_even32(b), &r), addsub_lanes32(&env, a, b))
FP_PACKED(addsubpd, 128, hostfloat_add64x2(mxcsr, a, flip_even64(b), &r), addsub_lanes64(&env, a, b))

static always_inline union lanes128 every_other32(union lanes128 a, union lanes128 b, const unsigned odd)
{
	return (union lanes128){.vd = {a.vd[odd], a.vd[2 + odd], b.vd[odd], b.vd[2 + odd]}};
}
static always_inline union lanes128 every_other64(union lanes128 a, union lanes128 b, const unsigned odd)
{
	return (union lanes128){.vq = {a.vq[odd], b.vq[odd]}};
}
#define HORIZONTAL(name, op, bits, n)                                                                                  \
	FP_PACKED(name, 128,                                                                                               \
	          hostfloat_##op##bits##x##n(mxcsr, every_other##bits(a, b, 0), every_other##bits(a, b, 1), &r),           \
	          op##_lanes##bits(&env, every_other##bits(a, b, 0), every_other##bits(a, b, 1)))
HORIZONTAL(haddps, add, 32, 4)
HORIZONTAL(haddpd, add, 64, 2)
HORIZONTAL(hsubps, sub, 32, 4)
HORIZONTAL(hsubpd, sub, 64, 2)

/* Dot product: the immediate's high half chooses the products, the low half where the sum goes. The products are rounded and
 * their exceptions are delivered before the sums begin (SDM vol. 2, DPPS). Every lane adds for itself, in the order of Intel's
 * CPUs, which shows where several products are NaNs. */
static always_inline union lanes128 choose32(unsigned bits, union lanes128 v)
{
	for (unsigned i = 0; i < 4; i++)
		v.d[i] = bits >> i & 1 ? v.d[i] : 0;
	return v;
}
static always_inline union lanes128 choose64(unsigned bits, union lanes128 v)
{
	for (unsigned i = 0; i < 2; i++)
		v.q[i] = bits >> i & 1 ? v.q[i] : 0;
	return v;
}
static always_inline union lanes128 swap_ones32(union lanes128 v)
{
	return (union lanes128){.vd = {v.vd[1], v.vd[0], v.vd[3], v.vd[2]}};
}
static always_inline union lanes128 swap64(union lanes128 v)
{
	return (union lanes128){.vq = {v.vq[1], v.vq[0]}};
}
static always_inline bool dot32_host(u32 mxcsr, unsigned imm, union lanes128 a, union lanes128 b, union lanes128 *r)
{
	union lanes128 t, s;

	if (!hostfloat_mul32x4(mxcsr, a, b, &t))
		return false;
	t = choose32(imm >> 4, t);
	if (!hostfloat_add32x4(mxcsr, swap_ones32(t), t, &s) || !hostfloat_add32x4(mxcsr, s, swap64(s), r))
		return false;
	*r = choose32(imm, *r);
	return true;
}
static always_inline bool dot64_host(u32 mxcsr, unsigned imm, union lanes128 a, union lanes128 b, union lanes128 *r)
{
	union lanes128 t;

	if (!hostfloat_mul64x2(mxcsr, a, b, &t))
		return false;
	t = choose64(imm >> 4, t);
	if (!hostfloat_add64x2(mxcsr, t, swap64(t), r))
		return false;
	*r = choose64(imm, *r);
	return true;
}
static union lanes128 all32(u32 v) { return (union lanes128){.vd = {v, v, v, v}}; }
static union lanes128 all64(u64 v) { return (union lanes128){.vq = {v, v}}; }
/* Only NaNs tell in which order the products were added: of two, the first operand's goes on. Intel's lanes each have an order of
 * their own, AMD's are all (p0 + p1) + (p2 + p3). */
static union lanes128 dot32_lanes(struct cpu *cpu, struct softfloat_env *env, unsigned imm, union lanes128 a, union lanes128 b)
{
	union lanes128 t = {0};

	for (unsigned i = 0; i < 4; i++)
		if (imm >> (4 + i) & 1)
			t.d[i] = mul_rest32(env, a.d[i], b.d[i]);
	sse_finish(cpu, env);
	if (cpu->flavour == FLAVOUR_AMD) { /* one sum for all lanes */
		u32 low = softfloat_add32(env, t.d[0], t.d[1]), high = softfloat_add32(env, t.d[2], t.d[3]);
		sse_finish(cpu, env);
		return choose32(imm, all32(softfloat_add32(env, low, high)));
	}
	t = add_lanes32(env, swap_ones32(t), t);
	sse_finish(cpu, env);
	return choose32(imm, add_lanes32(env, t, swap64(t)));
}
static union lanes128 dot64_lanes(struct cpu *cpu, struct softfloat_env *env, unsigned imm, union lanes128 a, union lanes128 b)
{
	union lanes128 t = {0};

	for (unsigned i = 0; i < 2; i++)
		if (imm >> (4 + i) & 1)
			t.q[i] = mul_rest64(env, a.q[i], b.q[i]);
	sse_finish(cpu, env);
	if (cpu->flavour == FLAVOUR_AMD)
		return choose64(imm, all64(softfloat_add64(env, t.q[0], t.q[1])));
	return choose64(imm, add_lanes64(env, t, swap64(t)));
}
FP_PACKED(dpps, 128, dot32_host(mxcsr, in->imm, a, b, &r), dot32_lanes(cpu, &env, in->imm, a, b))
FP_PACKED(dppd, 128, dot64_host(mxcsr, in->imm, a, b, &r), dot64_lanes(cpu, &env, in->imm, a, b))

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
#define COMPARE(bits, n, lanes, S, F)                                                                                  \
	static u##bits compare_soft##bits(struct softfloat_env *env, u##bits a, u##bits b, unsigned p)                     \
	{                                                                                                                  \
		return predicate(softfloat_cmp##bits(env, a, b, signals(p)), p) ? (u##bits)-1 : 0;                             \
	}                                                                                                                  \
	static union lanes128 compare_lanes##bits(struct softfloat_env *env, union lanes128 a, union lanes128 b, unsigned p) \
	{                                                                                                                  \
		for (unsigned i = 0; i < n; i++)                                                                               \
			a.lanes[i] = compare_soft##bits(env, a.lanes[i], b.lanes[i], p);                                           \
		return a;                                                                                                      \
	}                                                                                                                  \
	/* EQ and LE hold if equal, LT and LE if less: bits 0 and 2, 1 and 2 */                                            \
	static always_inline bool compare_host##bits(u##bits a, u##bits b, unsigned p, u##bits *r)                         \
	{                                                                                                                  \
		if (unlikely(!hostfloat_number##bits(a) || !hostfloat_number##bits(b)))                                        \
			return false;                                                                                              \
		const bool less = hostfloat_value##bits(a) < hostfloat_value##bits(b);                                         \
		const bool equal = hostfloat_value##bits(a) == hostfloat_value##bits(b);                                       \
		*r = (u##bits)0 - (u##bits)(((((equal ? 0x5u : 0) | (less ? 0x6u : 0)) >> (p & 3)) ^ p >> 2) & 1);             \
		return true;                                                                                                   \
	}                                                                                                                  \
	static always_inline bool compare_host##bits##x##n(union lanes128 a, union lanes128 b, unsigned p, union lanes128 *r) \
	{                                                                                                                  \
		if (!hostfloat_numbers##bits##x##n(a, b))                                                                      \
			return false;                                                                                              \
		switch (p & 3) {                                                                                               \
		case 0: r->S = a.F == b.F; break;                                                                              \
		case 1: r->S = a.F < b.F; break;                                                                               \
		case 2: r->S = a.F <= b.F; break;                                                                              \
		default: r->vq = a.vq ^ a.vq; break;                                                                           \
		}                                                                                                              \
		r->vq ^= 0 - (u64)(p >> 2 & 1);                                                                                \
		return true;                                                                                                   \
	}
COMPARE(32, 4, d, vsd, vf)
COMPARE(64, 2, q, vsq, vg)
FP_SCALAR(cmpss, 32, 32, compare_host32(a, b, in->imm, &r), compare_soft32(&env, a, b, in->imm))
FP_SCALAR(cmpsd, 64, 64, compare_host64(a, b, in->imm, &r), compare_soft64(&env, a, b, in->imm))
FP_PACKED(cmpps, 128, compare_host32x4(a, b, in->imm, &r), compare_lanes32(&env, a, b, in->imm))
FP_PACKED(cmppd, 128, compare_host64x2(a, b, in->imm, &r), compare_lanes64(&env, a, b, in->imm))

/* ---- compares into the flags ---- */

static always_inline void set_order(struct cpu *cpu, u32 flags)
{
	cpu->rflags = (cpu->rflags & ~(u64)FLAGS_ARITH) | flags;
	cpu->cc_op = CC_FLAGS;
}
#define ORDER(name, bits, signalling)                                                                                  \
	FP_HOST(name, bits)                                                                                                \
	{                                                                                                                  \
		const u##bits a = FP_LOW##bits(cpu, in->r[0]);                                                                 \
		if (unlikely(!hostfloat_number##bits(a) || !hostfloat_number##bits(b)))                                        \
			return false;                                                                                              \
		set_order(cpu, (hostfloat_value##bits(a) < hostfloat_value##bits(b) ? FLAG_CF : 0) |                           \
		                   (hostfloat_value##bits(a) == hostfloat_value##bits(b) ? FLAG_ZF : 0));                      \
		return true;                                                                                                   \
	}                                                                                                                  \
	FP_SOFT(name, bits)                                                                                                \
	{                                                                                                                  \
		static const u8 flags[] = {FLAG_CF, FLAG_ZF, 0, FLAG_ZF | FLAG_PF | FLAG_CF};                                  \
		cpu->cur = in;                                                                                                 \
		SSE_ENV;                                                                                                       \
		enum softfloat_order order = softfloat_cmp##bits(&env, FP_LOW##bits(cpu, in->r[0]), b, signalling);            \
		sse_finish(cpu, &env);                                                                                         \
		set_order(cpu, flags[order - SOFTFLOAT_LESS]);                                                                 \
		INSN_NEXT(cpu, in);                                                                                            \
	}                                                                                                                  \
	FP_EXEC(name, bits)
ORDER(ucomiss, 32, false)
ORDER(ucomisd, 64, false)
ORDER(comiss, 32, true)
ORDER(comisd, 64, true)

/* ---- rounding to integral values: the immediate's bit 2 takes MXCSR.RC, bit 3 keeps the precision exception quiet ---- */
static always_inline enum softfloat_rounding rounding(const struct softfloat_env *env, unsigned imm)
{
	return imm & 4 ? softfloat_rc(env) : imm & 3;
}
static u32 round32(struct softfloat_env *env, u32 b, unsigned imm)
{
	return softfloat_round32(env, b, rounding(env, imm), imm & 8);
}
static u64 round64(struct softfloat_env *env, u64 b, unsigned imm)
{
	return softfloat_round64(env, b, rounding(env, imm), imm & 8);
}
static union lanes128 round_lanes32(struct softfloat_env *env, union lanes128 b, unsigned imm)
{
	for (unsigned i = 0; i < 4; i++)
		b.d[i] = round32(env, b.d[i], imm);
	return b;
}
static union lanes128 round_lanes64(struct softfloat_env *env, union lanes128 b, unsigned imm)
{
	for (unsigned i = 0; i < 2; i++)
		b.q[i] = round64(env, b.q[i], imm);
	return b;
}
/* Rounding needs no host: it is a few masks. */
FP_SCALAR(roundss, 32, 32, (r = 0, false), round32(&env, b, in->imm))
FP_SCALAR(roundsd, 64, 64, (r = 0, false), round64(&env, b, in->imm))
FP_PACKED(roundps, 128, (r.o = 0, false), round_lanes32(&env, b, in->imm))
FP_PACKED(roundpd, 128, (r.o = 0, false), round_lanes64(&env, b, in->imm))

/* ---- approximations: |relative error| <= 1.5 * 2^-12; no exceptions, denormals are zeros ---- */

/* Intel's flavour: a positive number to 12 bits of fraction, as binary32; 0 where that would be denormal. The double is correctly
 * rounded on every host, so this is the same on all. */
static always_inline u32 approximate(double v)
{
	const u64 a = hostfloat_bits64(v) + BIT(52 - 12 - 1);
	const i32 exp = (i32)(a >> 52) - 1023 + 127;

	return exp <= 0 ? 0 : (u32)exp << 23 | (u32)(a >> (52 - 12) & 0xfff) << (23 - 12);
}
static u32 rcp_of_intel(u32 b)
{
	return approximate(1.0 / (double)hostfloat_value32(b));
}
static u32 rsqrt_of_intel(u32 b)
{
	return approximate(1.0 / __builtin_sqrt((double)hostfloat_value32(b)));
}
/* AMD's: by tables. */
static always_inline u32 bipartite(const struct sse_bipartite *t, u32 b)
{
	const u32 i = b >> 11 & 0xfff;

	return ((u32)t->coarse[i >> 4] - t->fine[i >> 8 << 4 | (i & 15)]) << 11 & 0x7fffff;
}
static u32 rcp_of_amd(u32 b)
{
	const u32 exp = b >> 23;

	return exp >= 253 ? 0 : (253 - exp) << 23 | bipartite(&sse_rcp, b);
}
static u32 rsqrt_of_amd(u32 b)
{
	const u32 exp = b >> 23;

	return exp & 1 ? (126 + 63 - (exp >> 1)) << 23 | bipartite(&sse_rsqrt_1_2, b)
	               : (126 + 64 - (exp >> 1)) << 23 | bipartite(&sse_rsqrt_2_4, b);
}
/* What is no positive normal number is the same in both. of: the approximation of one. */
static always_inline u32 reciprocal(u32 b, u32 (*of)(u32))
{
	const u32 sign = b & BIT(31), exp = b >> 23 & 0xff;

	if (exp == 0xff)
		return b & 0x7fffff ? b | BIT(22) : sign;
	return sign | (exp ? of(b ^ sign) : 0x7f800000);
}
static always_inline u32 reciprocal_root(u32 b, u32 (*of)(u32))
{
	const u32 sign = b & BIT(31), exp = b >> 23 & 0xff;

	if (exp == 0xff && (b & 0x7fffff))
		return b | BIT(22);
	if (exp == 0)
		return sign | 0x7f800000;
	if (sign)
		return 0xffc00000;
	return exp == 0xff ? 0 : of(b);
}
static u32 rcp_intel(u32 b) { return reciprocal(b, rcp_of_intel); }
static u32 rcp_amd(u32 b) { return reciprocal(b, rcp_of_amd); }
static u32 rsqrt_intel(u32 b) { return reciprocal_root(b, rsqrt_of_intel); }
static u32 rsqrt_amd(u32 b) { return reciprocal_root(b, rsqrt_of_amd); }
/* f: of which flavour. */
#define APPROXIMATE(name, f)                                                                                           \
	SSE_REG(name##ss##f##_x) { FP_LOW32(cpu, in->r[0]) = name##f(FP_LOW32(cpu, in->r[1])); }                           \
	SSE_LOAD(name##ss##f##_m, 32) { FP_LOW32(cpu, in->r[0]) = name##f(m); }                                            \
	SSE_OP(name##ps##f)                                                                                                \
	{                                                                                                                  \
		for (unsigned i = 0; i < 4; i++)                                                                               \
			b.d[i] = name##f(b.d[i]);                                                                                  \
		return b;                                                                                                      \
	}
APPROXIMATE(rcp, _intel)
APPROXIMATE(rcp, _amd)
APPROXIMATE(rsqrt, _intel)
APPROXIMATE(rsqrt, _amd)

#define ROWS_APPROXIMATE_AS(zydis, bits, fn, flavour)                                                                  \
	{ZYDIS_MNEMONIC_##zydis, {O_X, O_X}, flavour, FEAT_SSE, fn##_x},                                                   \
	{ZYDIS_MNEMONIC_##zydis, {O_X, O_B}, flavour, FEAT_SSE, fn##_m_b},                                                 \
	{ZYDIS_MNEMONIC_##zydis, {O_X, O_M##bits}, flavour, FEAT_SSE, fn##_m}
#define ROWS_APPROXIMATE(zydis, bits, fn)                                                                              \
	ROWS_APPROXIMATE_AS(zydis, bits, fn##_intel, FORM_INTEL), ROWS_APPROXIMATE_AS(zydis, bits, fn##_amd, FORM_AMD)
#define ROWS4(mnemonic, fn)                                                                                            \
	FP_ROWS(mnemonic##SS, 32, FEAT_SSE, fn##ss), FP_ROWS(mnemonic##SD, 64, FEAT_SSE2, fn##sd),                         \
		FP_ROWS(mnemonic##PS, 128, FEAT_SSE, fn##ps), FP_ROWS(mnemonic##PD, 128, FEAT_SSE2, fn##pd)
#define ROWS4_I(mnemonic, single, twofold, fn)                                                                         \
	FP_ROWS_I(mnemonic##SS, 32, single, fn##ss), FP_ROWS_I(mnemonic##SD, 64, twofold, fn##sd),                         \
		FP_ROWS_I(mnemonic##PS, 128, single, fn##ps), FP_ROWS_I(mnemonic##PD, 128, twofold, fn##pd)
static const struct form table[] = {
	ROWS4(ADD, add), ROWS4(SUB, sub), ROWS4(MUL, mul), ROWS4(DIV, div), ROWS4(MIN, min), ROWS4(MAX, max), ROWS4(SQRT, sqrt),
	FP_ROWS(ADDSUBPS, 128, FEAT_SSE3, addsubps), FP_ROWS(ADDSUBPD, 128, FEAT_SSE3, addsubpd),
	FP_ROWS(HADDPS, 128, FEAT_SSE3, haddps), FP_ROWS(HADDPD, 128, FEAT_SSE3, haddpd),
	FP_ROWS(HSUBPS, 128, FEAT_SSE3, hsubps), FP_ROWS(HSUBPD, 128, FEAT_SSE3, hsubpd),
	FP_ROWS_I(DPPS, 128, FEAT_SSE41, dpps), FP_ROWS_I(DPPD, 128, FEAT_SSE41, dppd),
	ROWS4_I(CMP, FEAT_SSE, FEAT_SSE2, cmp), ROWS4_I(ROUND, FEAT_SSE41, FEAT_SSE41, round),
	FP_ROWS(UCOMISS, 32, FEAT_SSE, ucomiss), FP_ROWS(UCOMISD, 64, FEAT_SSE2, ucomisd),
	FP_ROWS(COMISS, 32, FEAT_SSE, comiss), FP_ROWS(COMISD, 64, FEAT_SSE2, comisd),
	ROWS_APPROXIMATE(RCPSS, 32, rcpss), ROWS_APPROXIMATE(RCPPS, 128, rcpps), ROWS_APPROXIMATE(RSQRTSS, 32, rsqrtss),
	ROWS_APPROXIMATE(RSQRTPS, 128, rsqrtps),
};
const struct form_table sse_fp_forms = {table, ARRAY_LEN(table)};
