/* SPDX-License-Identifier: MIT */
/* The core that all formats share: a number taken apart, exact operations on such numbers, and the one place where
 * results are rounded. Private to softfloat*.c and x87_trans.c; inline, so that the parts stay in registers.
 * Intel SDM vol. 1 ch. 4.8-4.9, 8.5, 11.5.
 *
 * Invariants: tininess is judged after rounding to the precision with an unbounded exponent. Underflow is raised when
 * masked only if the result is inexact too, when unmasked whenever it is tiny; with FTZ and masked underflow every tiny
 * result becomes zero and is inexact. An overflow is inexact if masked. */
#ifndef CPU_SOFTFLOAT_PARTS_H
#define CPU_SOFTFLOAT_PARTS_H

#include "cpu/softfloat.h"

enum softfloat_kind { SOFTFLOAT_NUL, SOFTFLOAT_FINITE, SOFTFLOAT_INF, SOFTFLOAT_NAN };

/* (-1)^sign * (sig:low / 2^127) * 2^exp; the leading bit of sig is set if FINITE. */
struct softfloat_num {
	u64 sig, low;
	i32 exp;
	u32 kind; /* enum softfloat_kind */
	u32 sign;
	u32 denormal; /* the operand was one (DE) */
};

/* Where results go: precision, and the exponents of the smallest and largest normal numbers. */
struct softfloat_format {
	u8 precision;
	bool wraps;    /* an x87 register: unmasked overflow and underflow leave the number with its exponent wrapped */
	u8 frac, expo; /* widths of the fields of 32 and 64 bits */
	i32 exp_min, exp_max;
};
static const struct softfloat_format softfloat_f32 = {24, false, 23, 8, -126, 127};
static const struct softfloat_format softfloat_f64 = {53, false, 52, 11, -1022, 1023};

#define SOFTFLOAT_WRAP 24576

/* v >> n, with a lost tail jammed into bit 0. */
static always_inline u128 softfloat_shift_jam(u128 v, unsigned n)
{
	if (n == 0)
		return v;
	if (n > 127)
		return v != 0;
	return v >> n | (v << (128 - n) != 0);
}

/* hi:lo / d for hi < d. */
static always_inline u64 softfloat_div128(u64 hi, u64 lo, u64 d, u64 *rest)
{
#if defined(__x86_64__)
	u64 q;
	__asm__("divq %4" : "=a"(q), "=d"(*rest) : "0"(lo), "1"(hi), "r"(d) : "cc");
	return q;
#else
	u128 n = (u128)hi << 64 | lo;
	*rest = n % d;
	return n / d;
#endif
}

/* ---- 32 and 64 bits apart; DAZ applies ---- */

static always_inline struct softfloat_num softfloat_unpack(const struct softfloat_env *env, u64 a,
                                                           const struct softfloat_format *format)
{
	const unsigned frac = format->frac, expo = format->expo;
	u64 mant = a & (BIT(frac) - 1);
	i32 e = a >> frac & (BIT(expo) - 1);
	struct softfloat_num x = {.sign = a >> (frac + expo) & 1};

	if (e == (i32)BIT(expo) - 1) {
		x.kind = mant ? SOFTFLOAT_NAN : SOFTFLOAT_INF;
	} else if (e) {
		x.kind = SOFTFLOAT_FINITE;
		x.sig = (mant | BIT(frac)) << (63 - frac);
		x.exp = e - format->exp_max;
	} else if (mant && !(env->control & SOFTFLOAT_DAZ)) {
		unsigned lz = __builtin_clzll(mant);
		x.kind = SOFTFLOAT_FINITE;
		x.denormal = true;
		x.sig = mant << lz;
		x.exp = format->exp_min + 63 - (i32)frac - (i32)lz;
	}
	return x;
}

/* ---- rounding ---- */

/* Round sig:low to a multiple of 2^drop in sig. True if it carries out of sig, which is 0 then. */
static always_inline bool softfloat_round_sig(enum softfloat_rounding rc, bool sign, u64 *sig, u64 low, unsigned drop,
                                              bool *inexact, bool *up)
{
	u64 unit = BIT(drop), rest, half;

	if (drop == 0) {
		rest = low;
		half = BIT(63);
	} else {
		rest = (*sig & (unit - 1)) | (low != 0); /* drop is large: bit 0 is free for the tail */
		half = unit >> 1;
	}
	*inexact = rest != 0;
	if (rc == SOFTFLOAT_NEAREST)
		*up = rest > half || (rest == half && (*sig & unit));
	else
		*up = rest && rc == (sign ? SOFTFLOAT_DOWN : SOFTFLOAT_UP);
	*sig &= ~(unit - 1);
	if (!*up)
		return false;
	*sig += unit;
	return *sig == 0;
}

static inline struct softfloat_num softfloat_overflow(struct softfloat_env *env, bool sign,
                                                      const struct softfloat_format *format)
{
	enum softfloat_rounding rc = softfloat_rc(env);

	env->flags |= SOFTFLOAT_OE | SOFTFLOAT_PE;
	env->up = rc == SOFTFLOAT_NEAREST || rc == (sign ? SOFTFLOAT_DOWN : SOFTFLOAT_UP);
	if (env->up)
		return (struct softfloat_num){.kind = SOFTFLOAT_INF, .sign = sign};
	return (struct softfloat_num){.kind = SOFTFLOAT_FINITE, .sign = sign, .exp = format->exp_max,
	                              .sig = ~0ull << (64 - format->precision)};
}

/* x, the exact result, is below the normal numbers; sig and exp are it rounded with an unbounded exponent. */
static inline struct softfloat_num softfloat_underflow(struct softfloat_env *env, struct softfloat_num x, u64 sig,
                                                       i32 exp, bool inexact, bool up,
                                                       const struct softfloat_format *format)
{
	bool tiny = exp < format->exp_min;

	if (tiny && !(env->control & SOFTFLOAT_UE << SOFTFLOAT_MASK_SHIFT)) {
		env->flags |= SOFTFLOAT_UE | (inexact ? SOFTFLOAT_PE : 0);
		env->up = up;
		x.sig = sig;
		x.exp = exp + (format->wraps ? SOFTFLOAT_WRAP : 0);
		return x;
	}
	if (tiny && (env->control & SOFTFLOAT_FTZ)) {
		env->flags |= SOFTFLOAT_UE | SOFTFLOAT_PE;
		return (struct softfloat_num){.kind = SOFTFLOAT_NUL, .sign = x.sign};
	}
	u128 v = softfloat_shift_jam((u128)x.sig << 64 | x.low, format->exp_min - x.exp);
	x.sig = v >> 64;
	softfloat_round_sig(softfloat_rc(env), x.sign, &x.sig, v, 64 - format->precision, &inexact, &up);
	if (inexact)
		env->flags |= SOFTFLOAT_PE | (tiny ? SOFTFLOAT_UE : 0);
	env->up = up;
	x.kind = x.sig ? SOFTFLOAT_FINITE : SOFTFLOAT_NUL;
	x.exp = format->exp_min;
	return x;
}

/* Round to the format and raise OE, UE, PE (and set up). The result is a number of the format: exp_min and a leading
 * bit of 0 stand for denormals. Zeros, infinities and NaNs pass through. */
static always_inline struct softfloat_num softfloat_finish(struct softfloat_env *env, struct softfloat_num x,
                                                           const struct softfloat_format *format)
{
	bool inexact, up;

	if (x.kind != SOFTFLOAT_FINITE)
		return x;
	u64 sig = x.sig;
	i32 exp = x.exp;
	if (softfloat_round_sig(softfloat_rc(env), x.sign, &sig, x.low, 64 - format->precision, &inexact, &up)) {
		sig = BIT(63);
		exp++;
	}
	if (unlikely(exp > format->exp_max)) {
		if (env->control & SOFTFLOAT_OE << SOFTFLOAT_MASK_SHIFT)
			return softfloat_overflow(env, x.sign, format);
		env->flags |= SOFTFLOAT_OE;
		if (format->wraps)
			exp -= SOFTFLOAT_WRAP;
	} else if (unlikely(x.exp < format->exp_min)) {
		return softfloat_underflow(env, x, sig, exp, inexact, up, format);
	}
	if (inexact)
		env->flags |= SOFTFLOAT_PE;
	env->up = up;
	x.sig = sig;
	x.low = 0;
	x.exp = exp;
	return x;
}

/* Finish and put into 32 or 64 bits. */
static always_inline u64 softfloat_pack(struct softfloat_env *env, struct softfloat_num x,
                                        const struct softfloat_format *format)
{
	const unsigned frac = format->frac, expo = format->expo;

	x = softfloat_finish(env, x, format);
	u64 sign = (u64)x.sign << (frac + expo);
	switch (x.kind) {
	case SOFTFLOAT_NUL: return sign;
	case SOFTFLOAT_INF: return sign | (BIT(expo) - 1) << frac;
	case SOFTFLOAT_NAN: return BIT(frac + expo) | (BIT(expo) - 1) << frac | BIT(frac - 1);
	default:
		/* after an unmasked overflow or underflow nobody looks at the result */
		return sign | ((((u64)(x.exp + format->exp_max - 1) << frac) + (x.sig >> (63 - frac))) & (BIT(frac + expo) - 1));
	}
}

/* ---- the operations: exact, or with the tail jammed into low. NAN with IE raised, INF with ZE raised where there is
 * no result; DE of the operands is raised. No operand is a NaN. ---- */

static always_inline struct softfloat_num softfloat_invalid(struct softfloat_env *env)
{
	env->flags |= SOFTFLOAT_IE;
	return (struct softfloat_num){.kind = SOFTFLOAT_NAN, .sign = true};
}

static always_inline void softfloat_denormals(struct softfloat_env *env, bool any)
{
	if (unlikely(any))
		env->flags |= SOFTFLOAT_DE;
}

static always_inline struct softfloat_num softfloat_num_add(struct softfloat_env *env, struct softfloat_num a,
                                                            struct softfloat_num b)
{
	if (unlikely(a.kind != SOFTFLOAT_FINITE || b.kind != SOFTFLOAT_FINITE)) {
		if (a.kind == SOFTFLOAT_INF && b.kind == SOFTFLOAT_INF && a.sign != b.sign)
			return softfloat_invalid(env);
		softfloat_denormals(env, a.denormal || b.denormal);
		if (a.kind == SOFTFLOAT_NUL && b.kind == SOFTFLOAT_NUL && a.sign != b.sign)
			a.sign = softfloat_rc(env) == SOFTFLOAT_DOWN;
		return a.kind == SOFTFLOAT_INF || b.kind == SOFTFLOAT_NUL ? a : b;
	}
	softfloat_denormals(env, a.denormal || b.denormal);
	if (a.exp < b.exp || (a.exp == b.exp && a.sig < b.sig)) {
		struct softfloat_num t = a;
		a = b;
		b = t;
	}
	/* one bit of room for the carry; a lost tail is far below what a difference can bring up */
	u128 va = (u128)a.sig << 63, vb = softfloat_shift_jam((u128)b.sig << 63, a.exp - b.exp);
	va = a.sign == b.sign ? va + vb : va - vb;
	if (va == 0)
		return (struct softfloat_num){.kind = SOFTFLOAT_NUL, .sign = softfloat_rc(env) == SOFTFLOAT_DOWN};
	unsigned lz = va >> 64 ? __builtin_clzll(va >> 64) : 64 + __builtin_clzll(va);
	va <<= lz;
	a.exp += 1 - (i32)lz;
	a.sig = va >> 64;
	a.low = va;
	return a;
}

static always_inline struct softfloat_num softfloat_num_mul(struct softfloat_env *env, struct softfloat_num a,
                                                            struct softfloat_num b)
{
	a.sign ^= b.sign;
	if (unlikely(a.kind != SOFTFLOAT_FINITE || b.kind != SOFTFLOAT_FINITE)) {
		if ((a.kind == SOFTFLOAT_INF && b.kind == SOFTFLOAT_NUL) || (a.kind == SOFTFLOAT_NUL && b.kind == SOFTFLOAT_INF))
			return softfloat_invalid(env);
		softfloat_denormals(env, a.denormal || b.denormal);
		if (a.kind == SOFTFLOAT_FINITE)
			a.kind = b.kind;
		return a;
	}
	softfloat_denormals(env, a.denormal || b.denormal);
	u128 v = (u128)a.sig * b.sig;
	unsigned lz = !(v >> 127);
	v <<= lz;
	a.exp += b.exp + 1 - (i32)lz;
	a.sig = v >> 64;
	a.low = v;
	return a;
}

static always_inline struct softfloat_num softfloat_num_div(struct softfloat_env *env, struct softfloat_num a,
                                                            struct softfloat_num b)
{
	u64 rest;

	a.sign ^= b.sign;
	if (unlikely(a.kind != SOFTFLOAT_FINITE || b.kind != SOFTFLOAT_FINITE)) {
		if (a.kind == b.kind)
			return softfloat_invalid(env);
		if (b.kind == SOFTFLOAT_NUL && a.kind == SOFTFLOAT_FINITE)
			env->flags |= SOFTFLOAT_ZE;
		else
			softfloat_denormals(env, a.denormal || b.denormal);
		a.kind = a.kind == SOFTFLOAT_INF || b.kind == SOFTFLOAT_NUL ? SOFTFLOAT_INF : SOFTFLOAT_NUL;
		return a;
	}
	softfloat_denormals(env, a.denormal || b.denormal);
	bool less = a.sig < b.sig;
	u64 lz = !less;
	a.exp -= b.exp + less;
	a.sig = softfloat_div128(a.sig >> lz, a.sig << 63 << !lz, b.sig, &rest);
	/* the rest tells which side of a half the quotient is on */
	a.low = rest == 0 ? 0 : rest > b.sig - rest ? ~0ull : rest == b.sig - rest ? BIT(63) : 1;
	return a;
}

/* floor(sqrt(n)) for n >= 2^126, by Heron's rule, which doubles the right bits and never falls below the root. */
static inline u64 softfloat_root(u128 n)
{
	u64 top = n >> 64, r, rest;

	/* a line along the root within 0.8%, on each side of 2^127 */
	if (top >> 63)
		r = 0xb505 + 412 + ((top >> 48) - 0x8000) * 0x4afb / 0x8000;
	else
		r = 0x8000 + 291 + ((top >> 48) - 0x4000) * 0x3505 / 0x4000;
	r <<= 16;
	r = (r + top / r) / 2;
	r = (r + top / r) / 2;
	r = r >> 32 ? ~0ull : r << 32;
	u64 q = r > top ? softfloat_div128(top, n, r, &rest) : ~0ull;
	r = r / 2 + q / 2 + 1;
	if (r == 0)
		r = ~0ull;
	while ((u128)r * r > n)
		r--;
	while (n - (u128)r * r > 2 * (u128)r)
		r++;
	return r;
}

static always_inline struct softfloat_num softfloat_num_sqrt(struct softfloat_env *env, struct softfloat_num a)
{
	if (a.kind == SOFTFLOAT_NUL)
		return a;
	if (a.sign)
		return softfloat_invalid(env);
	softfloat_denormals(env, a.denormal);
	if (a.kind == SOFTFLOAT_INF)
		return a;
	u128 n = (u128)a.sig << 63 << (a.exp & 1);
	a.exp = a.exp >> 1;
	a.sig = softfloat_root(n);
	u128 rest = n - (u128)a.sig * a.sig;
	a.low = rest == 0 ? 0 : rest > a.sig ? ~0ull : 1; /* beyond or before the half */
	return a;
}

/* To a signed integer of that many bits (at most 64); false: it does not fit (nothing raised). */
static always_inline bool softfloat_num_int(struct softfloat_env *env, struct softfloat_num x,
                                            enum softfloat_rounding rc, unsigned bits, i64 *value)
{
	env->up = 0;
	*value = 0;
	if (x.kind == SOFTFLOAT_NUL)
		return true;
	if (x.kind != SOFTFLOAT_FINITE || x.exp > 63)
		return false;
	/* integer part in the upper half, the rest below */
	u128 v = softfloat_shift_jam((u128)x.sig << 64 | x.low, 63 - x.exp);
	u64 m = v >> 64, rest = v;
	bool up = rc == SOFTFLOAT_NEAREST ? rest > BIT(63) || (rest == BIT(63) && (m & 1))
	                                  : rest && rc == (x.sign ? SOFTFLOAT_DOWN : SOFTFLOAT_UP);
	m += up;
	if ((up && m == 0) || m > BIT(bits - 1) - !x.sign)
		return false;
	if (rest)
		env->flags |= SOFTFLOAT_PE;
	env->up = up;
	*value = x.sign ? (i64)(0 - m) : (i64)m;
	return true;
}

/* An integer as a number. */
static always_inline struct softfloat_num softfloat_num_from(i64 v)
{
	struct softfloat_num x = {.sign = v < 0};
	u64 m = v < 0 ? 0 - (u64)v : (u64)v;

	if (m) {
		unsigned lz = __builtin_clzll(m);
		x.kind = SOFTFLOAT_FINITE;
		x.sig = m << lz;
		x.exp = 63 - (i32)lz;
	}
	return x;
}

#endif
