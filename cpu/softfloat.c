/* SPDX-License-Identifier: MIT */
/* Soft-float of 32 and 64 bits in the general case: any operands, any rounding.
 * Intel SDM vol. 1 ch. 4.8-4.9, 11.5. */
#include "cpu/softfloat_parts.h"

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

static always_inline u64 add_any(struct softfloat_env *env, u64 a, u64 b, bool subtract,
                                 const struct softfloat_format *f)
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
	softfloat_denormals(env, is_denormal(a, f) || is_denormal(b, f));
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
u64 softfloat_min32(struct softfloat_env *env, u64 a, u64 b)
{
	return min_max(env, a, b, SOFTFLOAT_LESS, &softfloat_f32);
}
u64 softfloat_min64(struct softfloat_env *env, u64 a, u64 b)
{
	return min_max(env, a, b, SOFTFLOAT_LESS, &softfloat_f64);
}
u64 softfloat_max32(struct softfloat_env *env, u64 a, u64 b)
{
	return min_max(env, a, b, SOFTFLOAT_GREATER, &softfloat_f32);
}
u64 softfloat_max64(struct softfloat_env *env, u64 a, u64 b)
{
	return min_max(env, a, b, SOFTFLOAT_GREATER, &softfloat_f64);
}
