/* SPDX-License-Identifier: MIT */
/* Soft-float of 32 and 64 bits in the general case, and the exact core that the 80-bit format shares.
 * Intel SDM vol. 1 ch. 4.8-4.9, 11.5.
 *
 * Invariants: only these functions raise flags. Tininess is judged after rounding to the precision with an unbounded exponent.
 * Underflow is raised when masked only if the result is inexact too, when unmasked whenever it is tiny; with FTZ and masked
 * underflow every tiny result becomes zero and is inexact. An overflow is inexact if masked. */
#include "cpu/softfloat_parts.h"

const struct softfloat_format softfloat_f32 = {24, false, 23, 8, -126, 127};
const struct softfloat_format softfloat_f64 = {53, false, 52, 11, -1022, 1023};
const struct softfloat_format softfloat_f80[4] = {
	{24, true, 0, 15, -16382, 16383},
	{64, true, 0, 15, -16382, 16383},
	{53, true, 0, 15, -16382, 16383},
	{64, true, 0, 15, -16382, 16383},
};

/* ---- apart and together ---- */

struct softfloat_num softfloat_unpack(const struct softfloat_env *env, u64 a, const struct softfloat_format *format)
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

/* Does rounding v / 2^(64 + drop) to an integer go up in magnitude? */
static always_inline bool rounds_up(enum softfloat_rounding rc, bool sign, u128 v, unsigned drop)
{
	u128 rest = v & (((u128)1 << (64 + drop)) - 1), half = (u128)1 << (63 + drop);

	switch (rc) {
	case SOFTFLOAT_NEAREST: return rest > half || (rest == half && (v >> (64 + drop) & 1));
	case SOFTFLOAT_DOWN: return rest && sign;
	case SOFTFLOAT_UP: return rest && !sign;
	default: return false;
	}
}

/* Round the significand v (leading bit at 127, or less if denormal) in place; returns the carry out of bit 127. */
static always_inline bool round_sig(enum softfloat_rounding rc, bool sign, u128 *v, unsigned drop, bool *inexact, bool *up)
{
	u128 unit = (u128)1 << (64 + drop) % 128, rest = *v & (unit - 1);

	*inexact = rest != 0;
	*up = rounds_up(rc, sign, *v, drop);
	*v -= rest;
	if (*up) {
		*v += unit;
		return *v == 0;
	}
	return false;
}

static struct softfloat_num overflow(struct softfloat_env *env, struct softfloat_num x, const struct softfloat_format *format)
{
	enum softfloat_rounding rc = softfloat_rc(env);

	env->flags |= SOFTFLOAT_OE | SOFTFLOAT_PE;
	if (rc == SOFTFLOAT_NEAREST || rc == (x.sign ? SOFTFLOAT_DOWN : SOFTFLOAT_UP)) {
		env->up = 1;
		return (struct softfloat_num){.kind = SOFTFLOAT_INF, .sign = x.sign};
	}
	env->up = 0;
	x.sig = ~0ull << (64 - format->precision);
	x.low = 0;
	x.exp = format->exp_max;
	return x;
}

#define WRAP 24576 /* what unmasked overflow and underflow take from or add to the exponent of an x87 register */

struct softfloat_num softfloat_finish(struct softfloat_env *env, struct softfloat_num x, const struct softfloat_format *format)
{
	const unsigned drop = 64 - format->precision;
	const enum softfloat_rounding rc = softfloat_rc(env);
	u128 v = (u128)x.sig << 64 | x.low, wide = v;
	bool inexact, up;

	if (x.kind != SOFTFLOAT_FINITE)
		return x;
	i32 exp = x.exp;
	if (round_sig(rc, x.sign, &wide, drop, &inexact, &up)) {
		wide = (u128)1 << 127;
		exp++;
	}
	if (unlikely(exp > format->exp_max)) {
		if (!(env->control & SOFTFLOAT_OE << SOFTFLOAT_MASK_SHIFT)) {
			env->flags |= SOFTFLOAT_OE;
			if (format->f80)
				exp -= WRAP;
		} else {
			return overflow(env, x, format);
		}
	} else if (unlikely(exp < format->exp_min)) {
		if (!(env->control & SOFTFLOAT_UE << SOFTFLOAT_MASK_SHIFT)) {
			env->flags |= SOFTFLOAT_UE;
			if (format->f80)
				exp += WRAP;
		} else if (env->control & SOFTFLOAT_FTZ) {
			env->flags |= SOFTFLOAT_UE | SOFTFLOAT_PE;
			return (struct softfloat_num){.kind = SOFTFLOAT_NUL, .sign = x.sign};
		} else {
			wide = softfloat_shift_jam(v, format->exp_min - x.exp);
			exp = format->exp_min;
			round_sig(rc, x.sign, &wide, drop, &inexact, &up);
			if (inexact)
				env->flags |= SOFTFLOAT_UE;
			if (wide == 0)
				x.kind = SOFTFLOAT_NUL;
		}
	} else if (unlikely(x.exp < format->exp_min)) {
		/* rounded up into the normal numbers as an unbounded exponent would: not tiny, but the bits are the denormal's */
		wide = softfloat_shift_jam(v, format->exp_min - x.exp);
		exp = format->exp_min;
		round_sig(rc, x.sign, &wide, drop, &inexact, &up);
	}
	if (inexact)
		env->flags |= SOFTFLOAT_PE;
	env->up = up;
	x.sig = wide >> 64;
	x.low = 0;
	x.exp = exp;
	return x;
}

u64 softfloat_pack(struct softfloat_env *env, struct softfloat_num x, const struct softfloat_format *format)
{
	const unsigned frac = format->frac, expo = format->expo;

	x = softfloat_finish(env, x, format);
	u64 r = (u64)x.sign << (frac + expo);
	switch (x.kind) {
	case SOFTFLOAT_NUL: return r;
	case SOFTFLOAT_INF: return r | (BIT(expo) - 1) << frac;
	case SOFTFLOAT_NAN: return BIT(frac + expo) | (BIT(expo) - 1) << frac | BIT(frac - 1);
	default:
		/* unmasked overflow or underflow: nobody looks at the result */
		return r | ((((u64)(x.exp + format->exp_max - 1) << frac) + (x.sig >> (63 - frac))) & (BIT(frac + expo) - 1));
	}
}

/* ---- the operations ---- */

static struct softfloat_num invalid(struct softfloat_env *env)
{
	env->flags |= SOFTFLOAT_IE;
	return (struct softfloat_num){.kind = SOFTFLOAT_NAN, .sign = true};
}

static always_inline void denormals(struct softfloat_env *env, bool any)
{
	if (any)
		env->flags |= SOFTFLOAT_DE;
}

struct softfloat_num softfloat_num_add(struct softfloat_env *env, struct softfloat_num a, struct softfloat_num b)
{
	if (a.kind == SOFTFLOAT_INF || b.kind == SOFTFLOAT_INF) {
		if (a.kind == b.kind && a.sign != b.sign)
			return invalid(env);
		denormals(env, a.denormal || b.denormal);
		return a.kind == SOFTFLOAT_INF ? a : b;
	}
	denormals(env, a.denormal || b.denormal);
	if (a.kind == SOFTFLOAT_NUL || b.kind == SOFTFLOAT_NUL) {
		if (a.kind != b.kind)
			return a.kind == SOFTFLOAT_NUL ? b : a;
		if (a.sign != b.sign)
			a.sign = softfloat_rc(env) == SOFTFLOAT_DOWN;
		return a;
	}
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

struct softfloat_num softfloat_num_mul(struct softfloat_env *env, struct softfloat_num a, struct softfloat_num b)
{
	bool sign = a.sign != b.sign;

	if ((a.kind == SOFTFLOAT_INF && b.kind == SOFTFLOAT_NUL) || (a.kind == SOFTFLOAT_NUL && b.kind == SOFTFLOAT_INF))
		return invalid(env);
	denormals(env, a.denormal || b.denormal);
	if (a.kind == SOFTFLOAT_INF || b.kind == SOFTFLOAT_INF)
		return (struct softfloat_num){.kind = SOFTFLOAT_INF, .sign = sign};
	if (a.kind == SOFTFLOAT_NUL || b.kind == SOFTFLOAT_NUL)
		return (struct softfloat_num){.kind = SOFTFLOAT_NUL, .sign = sign};
	u128 v = (u128)a.sig * b.sig;
	a.exp += b.exp + 1;
	if (!(v >> 127)) {
		v <<= 1;
		a.exp--;
	}
	a.sign = sign;
	a.sig = v >> 64;
	a.low = v;
	return a;
}

struct softfloat_num softfloat_num_div(struct softfloat_env *env, struct softfloat_num a, struct softfloat_num b)
{
	bool sign = a.sign != b.sign;
	u64 rest, rest2;

	if (a.kind == b.kind && a.kind != SOFTFLOAT_FINITE)
		return invalid(env);
	if (b.kind == SOFTFLOAT_NUL && a.kind == SOFTFLOAT_FINITE) {
		env->flags |= SOFTFLOAT_ZE;
		return (struct softfloat_num){.kind = SOFTFLOAT_INF, .sign = sign};
	}
	denormals(env, a.denormal || b.denormal);
	if (a.kind == SOFTFLOAT_INF || b.kind == SOFTFLOAT_NUL)
		return (struct softfloat_num){.kind = SOFTFLOAT_INF, .sign = sign};
	if (a.kind == SOFTFLOAT_NUL || b.kind == SOFTFLOAT_INF)
		return (struct softfloat_num){.kind = SOFTFLOAT_NUL, .sign = sign};
	bool less = a.sig < b.sig;
	u128 n = (u128)a.sig << (less ? 64 : 63);
	a.exp -= b.exp + less;
	a.sign = sign;
	a.sig = softfloat_div128(n >> 64, n, b.sig, &rest);
	a.low = softfloat_div128(rest, 0, b.sig, &rest2) | (rest2 != 0);
	return a;
}

/* floor(sqrt(n)) for n >= 2^126, by Heron's rule, which doubles the right bits and never falls below the root. */
static u64 root(u128 n)
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

struct softfloat_num softfloat_num_sqrt(struct softfloat_env *env, struct softfloat_num a)
{
	if (a.kind == SOFTFLOAT_NUL)
		return a;
	if (a.sign)
		return invalid(env);
	denormals(env, a.denormal);
	if (a.kind == SOFTFLOAT_INF)
		return a;
	u128 n = (u128)a.sig << (a.exp & 1 ? 64 : 63);
	a.exp = a.exp >> 1;
	a.sig = root(n);
	u128 rest = n - (u128)a.sig * a.sig;
	a.low = rest == 0 ? 0 : rest > a.sig ? ~0ull : 1; /* beyond or before the half */
	return a;
}

/* ---- 32 and 64 bits ---- */

static always_inline bool is_nan(u64 a, const struct softfloat_format *f)
{
	return (a & (BIT(f->frac + f->expo) - 1)) > (BIT(f->expo) - 1) << f->frac;
}
static always_inline bool is_snan(u64 a, const struct softfloat_format *f)
{
	return is_nan(a, f) && !(a >> (f->frac - 1) & 1);
}
/* The result where an operand is a NaN: the first one that is, made quiet. */
static u64 nan_result(struct softfloat_env *env, u64 a, u64 b, const struct softfloat_format *f)
{
	if (is_snan(a, f) || is_snan(b, f))
		env->flags |= SOFTFLOAT_IE;
	return (is_nan(a, f) ? a : b) | BIT(f->frac - 1);
}

static always_inline u64 add_any(struct softfloat_env *env, u64 a, u64 b, bool subtract, const struct softfloat_format *f)
{
	if (unlikely(is_nan(a, f) || is_nan(b, f)))
		return nan_result(env, a, b, f);
	struct softfloat_num x = softfloat_unpack(env, a, f), y = softfloat_unpack(env, b, f);
	y.sign ^= subtract;
	return softfloat_pack(env, softfloat_num_add(env, x, y), f);
}
u64 softfloat_add_any32(struct softfloat_env *env, u64 a, u64 b, bool subtract)
{
	return add_any(env, a, b, subtract, &softfloat_f32);
}
u64 softfloat_add_any64(struct softfloat_env *env, u64 a, u64 b, bool subtract)
{
	return add_any(env, a, b, subtract, &softfloat_f64);
}

static always_inline u64 mul_any(struct softfloat_env *env, u64 a, u64 b, const struct softfloat_format *f)
{
	if (unlikely(is_nan(a, f) || is_nan(b, f)))
		return nan_result(env, a, b, f);
	struct softfloat_num x = softfloat_unpack(env, a, f), y = softfloat_unpack(env, b, f);
	return softfloat_pack(env, softfloat_num_mul(env, x, y), f);
}
u64 softfloat_mul_any32(struct softfloat_env *env, u64 a, u64 b) { return mul_any(env, a, b, &softfloat_f32); }
u64 softfloat_mul_any64(struct softfloat_env *env, u64 a, u64 b) { return mul_any(env, a, b, &softfloat_f64); }

static noinline u64 div_any(struct softfloat_env *env, u64 a, u64 b, const struct softfloat_format *f)
{
	if (unlikely(is_nan(a, f) || is_nan(b, f)))
		return nan_result(env, a, b, f);
	struct softfloat_num x = softfloat_unpack(env, a, f), y = softfloat_unpack(env, b, f);
	return softfloat_pack(env, softfloat_num_div(env, x, y), f);
}

u64 softfloat_div32(struct softfloat_env *env, u64 a, u64 b)
{
	u64 ea = a >> 23 & 0xff, eb = b >> 23 & 0xff;

	if (unlikely((env->control & SOFTFLOAT_RC) || !softfloat_both_normal(ea, eb, 8)))
		return div_any(env, a, b, &softfloat_f32);
	/* quotient of 40 or 41 bits */
	u64 ma = softfloat_sig(a, 23) << 40, mb = softfloat_sig(b, 23);
	u64 q = ma / mb, rest = ma % mb;
	unsigned lz = __builtin_clzll(q);
	i64 exp = (i64)(ea - eb + 127 + 23 - lz);
	if (unlikely((u64)(exp - 1) >= 253))
		return div_any(env, a, b, &softfloat_f32);
	return softfloat_pack_near(env, (a ^ b) & BIT(31), exp, q << lz | (rest != 0), 23);
}

u64 softfloat_div64(struct softfloat_env *env, u64 a, u64 b)
{
	u64 ea = a >> 52 & 0x7ff, eb = b >> 52 & 0x7ff, rest;

	if (unlikely((env->control & SOFTFLOAT_RC) || !softfloat_both_normal(ea, eb, 11)))
		return div_any(env, a, b, &softfloat_f64);
	u64 ma = softfloat_sig(a, 52) << 10, mb = softfloat_sig(b, 52) << 11;
	u64 q = softfloat_div128(ma, 0, mb, &rest), lz = ~q >> 63;
	i64 exp = (i64)(ea - eb + 1023 - lz);
	if (unlikely((u64)(exp - 1) >= 2045))
		return div_any(env, a, b, &softfloat_f64);
	return softfloat_pack_near(env, (a ^ b) & BIT(63), exp, q << lz | (rest != 0), 52);
}

static always_inline u64 sqrt_any(struct softfloat_env *env, u64 a, const struct softfloat_format *f)
{
	if (unlikely(is_nan(a, f)))
		return nan_result(env, a, a, f);
	return softfloat_pack(env, softfloat_num_sqrt(env, softfloat_unpack(env, a, f)), f);
}
u64 softfloat_sqrt32(struct softfloat_env *env, u64 a) { return sqrt_any(env, a, &softfloat_f32); }
u64 softfloat_sqrt64(struct softfloat_env *env, u64 a) { return sqrt_any(env, a, &softfloat_f64); }

static always_inline bool is_denormal(u64 a, const struct softfloat_format *f)
{
	u64 m = a & (BIT(f->frac + f->expo) - 1);
	return m - 1 < BIT(f->frac) - 1;
}
/* Denormals under DAZ are zeros of their sign. */
static always_inline u64 daz(const struct softfloat_env *env, u64 a, const struct softfloat_format *f)
{
	return (env->control & SOFTFLOAT_DAZ) && is_denormal(a, f) ? a & BIT(f->frac + f->expo) : a;
}

static always_inline enum softfloat_order cmp_any(struct softfloat_env *env, u64 a, u64 b, bool signalling,
                                                  const struct softfloat_format *f)
{
	const u64 sign = BIT(f->frac + f->expo);

	if (is_nan(a, f) || is_nan(b, f)) {
		if (signalling || is_snan(a, f) || is_snan(b, f))
			env->flags |= SOFTFLOAT_IE;
		return SOFTFLOAT_UNORDERED;
	}
	a = daz(env, a, f);
	b = daz(env, b, f);
	denormals(env, is_denormal(a, f) || is_denormal(b, f));
	i64 ma = a & (sign - 1), mb = b & (sign - 1), ka = a & sign ? -ma : ma, kb = b & sign ? -mb : mb;
	return (ka > kb) - (ka < kb);
}
enum softfloat_order softfloat_cmp_any32(struct softfloat_env *env, u64 a, u64 b, bool signalling)
{
	return cmp_any(env, a, b, signalling, &softfloat_f32);
}
enum softfloat_order softfloat_cmp_any64(struct softfloat_env *env, u64 a, u64 b, bool signalling)
{
	return cmp_any(env, a, b, signalling, &softfloat_f64);
}

static always_inline u64 min_max(struct softfloat_env *env, u64 a, u64 b, enum softfloat_order wanted,
                                 const struct softfloat_format *f)
{
	return cmp_any(env, a, b, true, f) == wanted ? daz(env, a, f) : daz(env, b, f);
}
u64 softfloat_min32(struct softfloat_env *env, u64 a, u64 b) { return min_max(env, a, b, SOFTFLOAT_LESS, &softfloat_f32); }
u64 softfloat_min64(struct softfloat_env *env, u64 a, u64 b) { return min_max(env, a, b, SOFTFLOAT_LESS, &softfloat_f64); }
u64 softfloat_max32(struct softfloat_env *env, u64 a, u64 b) { return min_max(env, a, b, SOFTFLOAT_GREATER, &softfloat_f32); }
u64 softfloat_max64(struct softfloat_env *env, u64 a, u64 b) { return min_max(env, a, b, SOFTFLOAT_GREATER, &softfloat_f64); }
