/* SPDX-License-Identifier: MIT */
/* IEEE 754 arithmetic with x86's choices, in integers only: same bits and same flags on every host.
 * Intel SDM vol. 1 ch. 4.8-4.9 (formats, NaNs), 8.5 (x87 exceptions), 11.5 (SSE exceptions).
 *
 * Values are raw bits in u64 (binary32: upper half zero). The header holds what is hot: operands and result normal
 * numbers, rounding to nearest. Everything else is in softfloat.c (32 and 64 bits) and softfloat_conv.c (conversions);
 * 80 bits are in softfloat_f80.h.
 *
 * Use by SSE instructions:
 *	struct softfloat_env env = {cpu->mxcsr};
 *	r = softfloat_add64(&env, a, b); ... for each element
 *	mxcsr |= softfloat_sse_flags(&env);
 *	if (softfloat_traps(&env)) #XM (or #UD without CR4.OSXMMEXCPT), nothing written */
#ifndef CPU_SOFTFLOAT_H
#define CPU_SOFTFLOAT_H

#include "base/types.h"

/* Exception flags at their places in MXCSR and in the x87 status word. */
enum softfloat_flag {
	SOFTFLOAT_IE = 1, SOFTFLOAT_DE = 2, SOFTFLOAT_ZE = 4, SOFTFLOAT_OE = 8, SOFTFLOAT_UE = 16, SOFTFLOAT_PE = 32,
	SOFTFLOAT_FLAGS = 0x3f,
	/* found before computing: unmasked, nothing else happens */
	SOFTFLOAT_BEFORE = SOFTFLOAT_IE | SOFTFLOAT_DE | SOFTFLOAT_ZE,
};
/* Control bits at their places in MXCSR. */
enum softfloat_control {
	SOFTFLOAT_DAZ = 1 << 6,
	SOFTFLOAT_MASK_SHIFT = 7,
	SOFTFLOAT_RC_SHIFT = 13,
	SOFTFLOAT_RC = 3 << 13,
	SOFTFLOAT_FTZ = 1 << 15,
	SOFTFLOAT_AMD = 1 << 30, /* not of MXCSR: where x87 results differ by flavour, AMD's */
};
enum softfloat_rounding { SOFTFLOAT_NEAREST, SOFTFLOAT_DOWN, SOFTFLOAT_UP, SOFTFLOAT_ZERO };
enum softfloat_order { SOFTFLOAT_LESS = -1, SOFTFLOAT_EQUAL = 0, SOFTFLOAT_GREATER = 1, SOFTFLOAT_UNORDERED = 2 };

struct softfloat_env {
	u32 control; /* in the layout of MXCSR (enum softfloat_control); the flag bits in it are ignored */
	u32 flags;   /* enum softfloat_flag: raised, added up */
	u32 up;      /* the last rounding was away from zero (x87 C1); only f80 operations and conversions maintain it */
};

/* Raised flags that are not masked. */
static always_inline u32 softfloat_traps(const struct softfloat_env *env)
{
	return env->flags & ~(env->control >> SOFTFLOAT_MASK_SHIFT) & SOFTFLOAT_FLAGS;
}
/* The flags that an SSE instruction leaves in MXCSR. */
static always_inline u32 softfloat_sse_flags(const struct softfloat_env *env)
{
	return env->flags & (unlikely(softfloat_traps(env) & SOFTFLOAT_BEFORE) ? SOFTFLOAT_BEFORE : SOFTFLOAT_FLAGS);
}
static always_inline enum softfloat_rounding softfloat_rc(const struct softfloat_env *env)
{
	return env->control >> SOFTFLOAT_RC_SHIFT & 3;
}

/* ---- out of line: any operands, any rounding ---- */
u64 softfloat_add_any32(struct softfloat_env *env, u64 a, u64 b, bool subtract);
u64 softfloat_add_any64(struct softfloat_env *env, u64 a, u64 b, bool subtract);
u64 softfloat_mul_any32(struct softfloat_env *env, u64 a, u64 b);
u64 softfloat_mul_any64(struct softfloat_env *env, u64 a, u64 b);
u64 softfloat_div32(struct softfloat_env *env, u64 a, u64 b);
u64 softfloat_div64(struct softfloat_env *env, u64 a, u64 b);
u64 softfloat_sqrt32(struct softfloat_env *env, u64 a);
u64 softfloat_sqrt64(struct softfloat_env *env, u64 a);
/* As MINSS, MAXSS: the second operand if either is a NaN (as it stands) or both are zeros. */
u64 softfloat_min32(struct softfloat_env *env, u64 a, u64 b);
u64 softfloat_min64(struct softfloat_env *env, u64 a, u64 b);
u64 softfloat_max32(struct softfloat_env *env, u64 a, u64 b);
u64 softfloat_max64(struct softfloat_env *env, u64 a, u64 b);
/* signalling: a quiet NaN is invalid too (COMISS; CMPSS LT, LE, NLT, NLE). */
enum softfloat_order softfloat_cmp_any32(struct softfloat_env *env, u64 a, u64 b, bool signalling);
enum softfloat_order softfloat_cmp_any64(struct softfloat_env *env, u64 a, u64 b, bool signalling);
/* To an integral value (ROUNDSS): exact: do not raise PE. */
u64 softfloat_round32(struct softfloat_env *env, u64 a, enum softfloat_rounding rc, bool exact);
u64 softfloat_round64(struct softfloat_env *env, u64 a, enum softfloat_rounding rc, bool exact);

/* Conversions. To integers: the indefinite 0x80000000(00000000) with IE if it does not fit. */
u64 softfloat_f32_to_f64(struct softfloat_env *env, u64 a);
u64 softfloat_f64_to_f32(struct softfloat_env *env, u64 a);
u32 softfloat_f32_to_i32(struct softfloat_env *env, u64 a, enum softfloat_rounding rc);
u32 softfloat_f64_to_i32(struct softfloat_env *env, u64 a, enum softfloat_rounding rc);
u64 softfloat_f32_to_i64(struct softfloat_env *env, u64 a, enum softfloat_rounding rc);
u64 softfloat_f64_to_i64(struct softfloat_env *env, u64 a, enum softfloat_rounding rc);
u64 softfloat_i64_to_f32(struct softfloat_env *env, i64 v);
u64 softfloat_i64_to_f64(struct softfloat_env *env, i64 v);
static always_inline u64 softfloat_i32_to_f32(struct softfloat_env *env, i32 v) { return softfloat_i64_to_f32(env, v); }
/* Always exact. */
static always_inline u64 softfloat_i32_to_f64(i32 v)
{
	u64 sign = v < 0, m = sign ? 0 - (u64)v : (u64)v;

	if (m == 0)
		return 0;
	unsigned lz = __builtin_clzll(m);
	return sign << 63 | (((u64)(1023 + 63 - lz - 1) << 52) + (m << lz >> 11));
}

/* ---- the hot paths, for both formats: frac and expo are the widths of the fields, known at compile time ---- */

/* Round sum (leading bit at 63, inexact tail jammed into bit 0) to nearest even; 1 <= exp <= largest finite - 1. */
static always_inline u64 softfloat_pack_near(struct softfloat_env *env, u64 sign, i64 exp, u64 sum, unsigned frac)
{
	u64 rest = sum & (BIT(63 - frac) - 1);
	u64 r = (sum >> (63 - frac)) + ((u64)(exp - 1) << frac);

	r += rest + (r & 1) > BIT(62 - frac);
	if (rest)
		env->flags |= SOFTFLOAT_PE;
	return r | sign;
}

/* The significand of a normal number. */
static always_inline u64 softfloat_sig(u64 a, unsigned frac)
{
	return (a & (BIT(frac) - 1)) | BIT(frac);
}

static always_inline bool softfloat_both_normal(u64 ea, u64 eb, unsigned expo)
{
	return ea - 1 < BIT(expo) - 2 && eb - 1 < BIT(expo) - 2;
}

static always_inline bool softfloat_add_fast(struct softfloat_env *env, u64 a, u64 b, u64 *result, unsigned frac,
                                             unsigned expo)
{
	const u64 signs = BIT(frac + expo), expos = BIT(expo) - 1;
	bool swap = (a & ~signs) < (b & ~signs);
	u64 big = swap ? b : a, small = swap ? a : b;
	u64 eb = big >> frac & expos, es = small >> frac & expos;

	if (unlikely((env->control & SOFTFLOAT_RC) || !softfloat_both_normal(eb, es, expo)))
		return false;
	/* leading bit at 62: room for the carry above, and below for all that rounding must know */
	u64 mb = softfloat_sig(big, frac) << (62 - frac), ms = softfloat_sig(small, frac) << (62 - frac);
	u64 shift = eb - es;
	ms = shift < 63 ? ms >> shift | ((ms & (BIT(shift) - 1)) != 0) : 1;
	u64 minus = 0 - ((a ^ b) >> (frac + expo) & 1);
	u64 sum = mb + ((ms ^ minus) - minus);
	if (unlikely(sum == 0)) {
		*result = 0;
		return true;
	}
	unsigned lz = __builtin_clzll(sum);
	i64 exp = (i64)eb + 1 - lz;
	if (unlikely((u64)(exp - 1) >= BIT(expo) - 3))
		return false;
	*result = softfloat_pack_near(env, big & signs, exp, sum << lz, frac);
	return true;
}

static always_inline bool softfloat_mul_fast(struct softfloat_env *env, u64 a, u64 b, u64 *result, unsigned frac,
                                             unsigned expo)
{
	const u64 signs = BIT(frac + expo), expos = BIT(expo) - 1;
	u64 ea = a >> frac & expos, eb = b >> frac & expos;
	u64 ma = softfloat_sig(a, frac), mb = softfloat_sig(b, frac), product;

	if (unlikely((env->control & SOFTFLOAT_RC) || !softfloat_both_normal(ea, eb, expo)))
		return false;
	/* leading bit at 62 or 63 */
	if (frac <= 31) {
		product = ma * mb << (62 - 2 * frac);
	} else {
		u128 wide = (u128)(ma << 11) * (mb << 11);
		product = (u64)(wide >> 64) | ((u64)wide != 0);
	}
	u64 lz = ~product >> 63;
	i64 exp = (i64)(ea + eb + 1 - (expos >> 1) - lz);
	if (unlikely((u64)(exp - 1) >= BIT(expo) - 3))
		return false;
	*result = softfloat_pack_near(env, (a ^ b) & signs, exp, product << lz, frac);
	return true;
}

/* Neither NaN nor denormal: comparable as integers. */
static always_inline bool softfloat_plain(u64 magnitude, unsigned frac, unsigned expo)
{
	return magnitude - BIT(frac) <= (BIT(expo) - 2) << frac || magnitude == 0;
}

#define SOFTFLOAT_HOT(bits, frac, expo)                                                                                \
	static always_inline u64 softfloat_add##bits(struct softfloat_env *env, u64 a, u64 b)                             \
	{                                                                                                                  \
		u64 r;                                                                                                         \
		return likely(softfloat_add_fast(env, a, b, &r, frac, expo)) ? r : softfloat_add_any##bits(env, a, b, false);  \
	}                                                                                                                  \
	static always_inline u64 softfloat_sub##bits(struct softfloat_env *env, u64 a, u64 b)                             \
	{                                                                                                                  \
		u64 r;                                                                                                         \
		bool done = softfloat_add_fast(env, a, b ^ BIT(bits - 1), &r, frac, expo);                                     \
		return likely(done) ? r : softfloat_add_any##bits(env, a, b, true);                                            \
	}                                                                                                                  \
	static always_inline u64 softfloat_mul##bits(struct softfloat_env *env, u64 a, u64 b)                             \
	{                                                                                                                  \
		u64 r;                                                                                                         \
		return likely(softfloat_mul_fast(env, a, b, &r, frac, expo)) ? r : softfloat_mul_any##bits(env, a, b);         \
	}                                                                                                                  \
	static always_inline enum softfloat_order softfloat_cmp##bits(struct softfloat_env *env, u64 a, u64 b,             \
	                                                              bool signalling)                                     \
	{                                                                                                                  \
		const u64 sign = BIT(bits - 1);                                                                                \
		u64 ma = a & (sign - 1), mb = b & (sign - 1);                                                                  \
		if (unlikely(!softfloat_plain(ma, frac, expo) || !softfloat_plain(mb, frac, expo)))                            \
			return softfloat_cmp_any##bits(env, a, b, signalling);                                                     \
		i64 ka = a & sign ? -(i64)ma : (i64)ma, kb = b & sign ? -(i64)mb : (i64)mb;                                    \
		return (ka > kb) - (ka < kb);                                                                                  \
	}
SOFTFLOAT_HOT(32, 23, 8)
SOFTFLOAT_HOT(64, 52, 11)
#undef SOFTFLOAT_HOT

#endif
