/* SPDX-License-Identifier: MIT */
/* Conversions of the 32- and 64-bit formats, to integers, from integers and to integral values.
 * Intel SDM vol. 1 ch. 4.8.4, 11.5; vol. 2 CVT*, ROUND*. Conversions to integers and rounding raise no DE. */
#include "cpu/softfloat_parts.h"

static always_inline bool is_nan(u64 a, const struct softfloat_format *f)
{
	return (a & (BIT(f->frac + f->expo) - 1)) > (BIT(f->expo) - 1) << f->frac;
}

static always_inline u64 to_int(struct softfloat_env *env, u64 a, enum softfloat_rounding rc, unsigned bits,
                                const struct softfloat_format *f)
{
	i64 v;

	/* truncation within range, as compilers emit it */
	i64 e = (i64)(a >> f->frac & (BIT(f->expo) - 1)) - f->exp_max;
	if (likely(rc == SOFTFLOAT_ZERO && (u64)e < bits - 1)) {
		u64 sig = softfloat_sig(a, f->frac) << (63 - f->frac), m = sig >> (63 - e);
		if (sig << e << 1)
			env->flags |= SOFTFLOAT_PE;
		return a >> (f->frac + f->expo) & 1 ? 0 - m : m;
	}
	if (!softfloat_num_int(env, softfloat_unpack(env, a, f), rc, bits, &v)) {
		env->flags |= SOFTFLOAT_IE;
		return BIT(bits - 1);
	}
	return v;
}
u32 softfloat_f32_to_i32(struct softfloat_env *env, u64 a, enum softfloat_rounding rc)
{
	return to_int(env, a, rc, 32, &softfloat_f32);
}
u32 softfloat_f64_to_i32(struct softfloat_env *env, u64 a, enum softfloat_rounding rc)
{
	return to_int(env, a, rc, 32, &softfloat_f64);
}
u64 softfloat_f32_to_i64(struct softfloat_env *env, u64 a, enum softfloat_rounding rc)
{
	return to_int(env, a, rc, 64, &softfloat_f32);
}
u64 softfloat_f64_to_i64(struct softfloat_env *env, u64 a, enum softfloat_rounding rc)
{
	return to_int(env, a, rc, 64, &softfloat_f64);
}

static always_inline u64 from_int(struct softfloat_env *env, i64 v, const struct softfloat_format *f)
{
	u64 sign = v < 0, m = sign ? 0 - (u64)v : (u64)v;

	if (v == 0)
		return 0;
	if (unlikely(env->control & SOFTFLOAT_RC))
		return softfloat_pack(env, softfloat_num_from(v), f);
	unsigned lz = __builtin_clzll(m);
	return softfloat_pack_near(env, sign << (f->frac + f->expo), f->exp_max + 63 - lz, m << lz, f->frac);
}
u64 softfloat_i64_to_f32(struct softfloat_env *env, i64 v) { return from_int(env, v, &softfloat_f32); }
u64 softfloat_i64_to_f64(struct softfloat_env *env, i64 v) { return from_int(env, v, &softfloat_f64); }

u64 softfloat_f32_to_f64(struct softfloat_env *env, u64 a)
{
	u64 sign = a >> 31 << 63, e = a >> 23 & 0xff, mant = a & 0x7fffff;

	if (likely(e - 1 < 254))
		return sign | (e + 1023 - 127) << 52 | mant << 29;
	if (e == 255) {
		if (mant && !(mant >> 22))
			env->flags |= SOFTFLOAT_IE;
		return sign | 0x7ffull << 52 | (mant ? (mant | BIT(22)) << 29 : 0);
	}
	if (mant == 0 || (env->control & SOFTFLOAT_DAZ))
		return sign;
	env->flags |= SOFTFLOAT_DE;
	unsigned shift = __builtin_clzll(mant) - 40;
	return sign | (((u64)(1023 - 127 - shift) << 52) + (mant << shift << 29));
}

u64 softfloat_f64_to_f32(struct softfloat_env *env, u64 a)
{
	u64 sign = a >> 63 << 31, e = a >> 52 & 0x7ff;
	i64 exp = (i64)e - 1023 + 127;

	if (likely((u64)(exp - 1) < 253 && !(env->control & SOFTFLOAT_RC)))
		return softfloat_pack_near(env, sign, exp, softfloat_sig(a, 52) << 11, 23);
	if (is_nan(a, &softfloat_f64)) {
		if (!(a >> 51 & 1))
			env->flags |= SOFTFLOAT_IE;
		return sign | 0x7fc00000 | (a >> 29 & 0x3fffff);
	}
	struct softfloat_num x = softfloat_unpack(env, a, &softfloat_f64);
	if (x.denormal)
		env->flags |= SOFTFLOAT_DE;
	return softfloat_pack(env, x, &softfloat_f32);
}

static always_inline u64 round_integral(struct softfloat_env *env, u64 a, enum softfloat_rounding rc, bool exact,
                                        const struct softfloat_format *f)
{
	const u64 sign = a & BIT(f->frac + f->expo);
	u64 magnitude = a ^ sign;
	i32 e = (i32)(magnitude >> f->frac) - f->exp_max;

	if (e >= f->frac) {
		if (is_nan(a, f) && !(a >> (f->frac - 1) & 1)) {
			env->flags |= SOFTFLOAT_IE;
			a |= BIT(f->frac - 1);
		}
		return a;
	}
	if (e == -f->exp_max && (env->control & SOFTFLOAT_DAZ))
		return sign;
	if (magnitude == 0)
		return a;
	/* unit: the bit worth 1. Below 1 the whole number is the rest: 0, a half, or less or more than that. */
	bool below = e < 0, up;
	u64 unit = below ? 0 : BIT(f->frac - e), rest = below ? magnitude : magnitude & (unit - 1);
	u64 half = below ? (u64)(f->exp_max - 1) << f->frac : unit >> 1;
	if (rest == 0)
		return a;
	switch (rc) {
	case SOFTFLOAT_NEAREST: up = rest > half || (rest == half && !below && (magnitude & unit)); break;
	case SOFTFLOAT_DOWN: up = sign; break;
	case SOFTFLOAT_UP: up = !sign; break;
	default: up = false; break;
	}
	if (!exact)
		env->flags |= SOFTFLOAT_PE;
	if (below)
		return sign | (up ? (u64)f->exp_max << f->frac : 0);
	return sign | (magnitude - rest + (up ? unit : 0));
}
u64 softfloat_round32(struct softfloat_env *env, u64 a, enum softfloat_rounding rc, bool exact)
{
	return round_integral(env, a, rc, exact, &softfloat_f32);
}
u64 softfloat_round64(struct softfloat_env *env, u64 a, enum softfloat_rounding rc, bool exact)
{
	return round_integral(env, a, rc, exact, &softfloat_f64);
}
