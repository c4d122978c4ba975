/* SPDX-License-Identifier: MIT */
/* Soft-float of 80 bits: arithmetic with precision control, comparison, remainder, scaling, conversions.
 * Intel SDM vol. 1 ch. 4.8 and 8.5; vol. 2: FADD to FYL2XP1. The exact core is in softfloat_parts.h. */
#include "cpu/softfloat_f80.h"

#include "cpu/softfloat_parts.h"

#define BIAS 16383

static const struct softfloat_format formats[4] = {
	[SOFTFLOAT_PC24] = {24, true, 0, 15, -16382, 16383},
	[SOFTFLOAT_PC_RESERVED] = {64, true, 0, 15, -16382, 16383},
	[SOFTFLOAT_PC53] = {53, true, 0, 15, -16382, 16383},
	[SOFTFLOAT_PC64] = {64, true, 0, 15, -16382, 16383},
};

/* ---- apart and together ---- */

static always_inline struct softfloat_num unpack(struct x80 a)
{
	struct softfloat_num x = {.sig = a.mant, .exp = (a.se & 0x7fff) - BIAS, .kind = SOFTFLOAT_FINITE, .sign = a.se >> 15};

	if (unlikely(x.exp == 0x7fff - BIAS)) {
		x.kind = a.mant << 1 ? SOFTFLOAT_NAN : SOFTFLOAT_INF;
	} else if (unlikely(x.exp == -BIAS)) {
		if (a.mant == 0) {
			x.kind = SOFTFLOAT_NUL;
		} else {
			unsigned lz = __builtin_clzll(a.mant);
			x.sig <<= lz;
			x.exp = 1 - BIAS - (i32)lz;
			x.denormal = true;
		}
	}
	return x;
}

/* A number that softfloat_finish made, or an exact one in range. */
static always_inline struct x80 assemble(struct softfloat_num x)
{
	struct x80 r = {.mant = x.sig, .se = x.sign << 15};

	if (likely(x.kind == SOFTFLOAT_FINITE))
		r.se |= x.sig >> 63 ? (x.exp + BIAS) & 0x7fff : 0;
	else if (x.kind == SOFTFLOAT_NUL)
		r.mant = 0;
	else if (x.kind == SOFTFLOAT_INF)
		r = (struct x80){.mant = BIT(63), .se = r.se | 0x7fff};
	else
		r = softfloat_f80_indefinite();
	return r;
}

static always_inline struct x80 pack(struct softfloat_env *env, struct softfloat_num x, unsigned pc)
{
	return assemble(softfloat_finish(env, x, &formats[pc & 3]));
}

/* ---- NaNs ---- */

static noinline struct x80 choose_nan(struct softfloat_env *env, struct x80 a, struct x80 b)
{
	const u64 quiet = BIT(62);

	if (softfloat_f80_unsupported(a) || softfloat_f80_unsupported(b)) {
		env->flags |= SOFTFLOAT_IE;
		return softfloat_f80_indefinite();
	}
	bool nan_a = softfloat_f80_is_nan(a), nan_b = softfloat_f80_is_nan(b);
	bool snan_a = softfloat_f80_is_snan(a), snan_b = softfloat_f80_is_snan(b);
	if (snan_a || snan_b)
		env->flags |= SOFTFLOAT_IE;
	bool second;
	if (!nan_a || !nan_b)
		second = nan_b;
	else if (snan_a != snan_b)
		second = snan_a; /* the quiet one */
	else if (a.mant != b.mant)
		second = b.mant > a.mant;
	else
		second = a.se > b.se; /* the positive one */
	struct x80 r = second ? b : a;
	r.mant |= quiet;
	return r;
}

/* Cheap: only the largest exponent and a missing integer bit need a closer look. */
static always_inline bool maybe_special(struct x80 a)
{
	return (a.se & 0x7fff) == 0x7fff || softfloat_f80_unsupported(a);
}

bool softfloat_f80_special(struct softfloat_env *env, struct x80 a, struct x80 b, struct x80 *result)
{
	if (softfloat_f80_unsupported(a) || softfloat_f80_is_nan(a) || softfloat_f80_unsupported(b) ||
	    softfloat_f80_is_nan(b)) {
		*result = choose_nan(env, a, b);
		return true;
	}
	return false;
}

/* ---- arithmetic ---- */

#define ARITH(name, operation)                                                                                         \
	struct x80 softfloat_f80_##name(struct softfloat_env *env, struct x80 a, struct x80 b, unsigned pc)                \
	{                                                                                                                  \
		struct x80 r;                                                                                                  \
		if (unlikely(maybe_special(a) || maybe_special(b)) && softfloat_f80_special(env, a, b, &r))                    \
			return r;                                                                                                  \
		struct softfloat_num x = unpack(a), y = unpack(b);                                                             \
		return pack(env, operation, pc);                                                                               \
	}
ARITH(add, softfloat_num_add(env, x, y))
ARITH(sub, (y.sign ^= 1, softfloat_num_add(env, x, y)))
ARITH(mul, softfloat_num_mul(env, x, y))
ARITH(div, softfloat_num_div(env, x, y))

struct x80 softfloat_f80_sqrt(struct softfloat_env *env, struct x80 a, unsigned pc)
{
	struct x80 r;

	if (softfloat_f80_special(env, a, a, &r))
		return r;
	return pack(env, softfloat_num_sqrt(env, unpack(a)), pc);
}

enum softfloat_order softfloat_f80_cmp(struct softfloat_env *env, struct x80 a, struct x80 b, bool signalling)
{
	if (unlikely(maybe_special(a) || maybe_special(b))) {
		struct x80 r;
		if (softfloat_f80_special(env, a, b, &r)) {
			if (signalling)
				env->flags |= SOFTFLOAT_IE;
			return SOFTFLOAT_UNORDERED;
		}
	}
	softfloat_denormals(env, softfloat_f80_is_denormal(a) || softfloat_f80_is_denormal(b));
	if (a.mant == 0 && b.mant == 0)
		return SOFTFLOAT_EQUAL;
	if (a.se >> 15 != b.se >> 15)
		return a.se >> 15 ? SOFTFLOAT_LESS : SOFTFLOAT_GREATER;
	/* a pseudo-denormal has the exponent 1 of the least normal numbers */
	unsigned ea = a.se & 0x7fff, eb = b.se & 0x7fff;
	ea += ea == 0 && a.mant >> 63;
	eb += eb == 0 && b.mant >> 63;
	if (ea == eb && a.mant == b.mant)
		return SOFTFLOAT_EQUAL;
	bool less = ea < eb || (ea == eb && a.mant < b.mant);
	return less == !(a.se >> 15) ? SOFTFLOAT_LESS : SOFTFLOAT_GREATER;
}

struct x80 softfloat_f80_round(struct softfloat_env *env, struct x80 a)
{
	struct x80 r;
	bool inexact, up;

	if (softfloat_f80_special(env, a, a, &r))
		return r;
	struct softfloat_num x = unpack(a);
	softfloat_denormals(env, x.denormal);
	if (x.kind != SOFTFLOAT_FINITE || x.exp >= 63)
		return assemble(x);
	if (x.exp < 0) {
		u64 m = 0;
		softfloat_round_sig(softfloat_rc(env), x.sign, &m, softfloat_shift_jam(x.sig, -1 - x.exp), 0, &inexact, &up);
		x.kind = up ? SOFTFLOAT_FINITE : SOFTFLOAT_NUL;
		x.sig = BIT(63);
		x.exp = 0;
	} else if (softfloat_round_sig(softfloat_rc(env), x.sign, &x.sig, 0, 63 - x.exp, &inexact, &up)) {
		x.sig = BIT(63);
		x.exp++;
	}
	if (inexact)
		env->flags |= SOFTFLOAT_PE;
	env->up = up;
	return assemble(x);
}

/* The value as it is, a denormal even with underflow unmasked; a pseudo-denormal gets its proper exponent. */
static struct x80 unchanged(struct x80 a)
{
	if ((a.se & 0x7fff) == 0 && a.mant >> 63)
		a.se |= 1;
	return a;
}

/* FSCALE by 0, FPREM by infinity: a is its own result. AMD's CPUs raise an unmasked underflow even so, if a is a denormal that may
 * be computed with (a pseudo-denormal becomes a normal number). */
static struct x80 denormal_kept(struct softfloat_env *env, struct x80 a, struct softfloat_num x)
{
	bool underflows = (env->control & SOFTFLOAT_AMD) && x.denormal && !(a.mant >> 63) &&
	                  (env->control >> SOFTFLOAT_MASK_SHIFT & (SOFTFLOAT_DE | SOFTFLOAT_UE)) == SOFTFLOAT_DE;

	return underflows ? pack(env, x, SOFTFLOAT_PC64) : unchanged(a);
}

struct x80 softfloat_f80_scale(struct softfloat_env *env, struct x80 a, struct x80 b)
{
	const i32 far = 1 << 17; /* out of range even with a wrapped exponent */
	struct x80 r;

	if (softfloat_f80_special(env, a, b, &r))
		return r;
	struct softfloat_num x = unpack(a), y = unpack(b);
	if (y.kind == SOFTFLOAT_INF && x.kind == (y.sign ? SOFTFLOAT_INF : SOFTFLOAT_NUL))
		return assemble(softfloat_invalid(env));
	softfloat_denormals(env, x.denormal || y.denormal);
	if (y.kind == SOFTFLOAT_INF)
		x.kind = y.sign ? SOFTFLOAT_NUL : SOFTFLOAT_INF;
	if (x.kind != SOFTFLOAT_FINITE)
		return assemble(x);
	if (y.kind == SOFTFLOAT_NUL)
		return denormal_kept(env, a, x);
	if (y.kind == SOFTFLOAT_FINITE && y.exp >= 0) {
		i32 n = y.exp > 16 ? far : MIN((i32)(y.sig >> (63 - y.exp)), far);
		x.exp += y.sign ? -n : n;
	}
	x = softfloat_finish(env, x, &formats[SOFTFLOAT_PC64]);
	if (x.kind == SOFTFLOAT_FINITE && (x.exp > BIAS || x.exp < 1 - BIAS)) {
		/* massive overflow or underflow: unmasked, and beyond the wrapped exponents */
		env->flags |= SOFTFLOAT_PE;
		env->up = x.exp > BIAS;
		x.kind = x.exp > BIAS ? SOFTFLOAT_INF : SOFTFLOAT_NUL;
	}
	return assemble(x);
}

struct x80 softfloat_f80_extract(struct softfloat_env *env, struct x80 a, struct x80 *exponent)
{
	struct x80 r;

	if (softfloat_f80_special(env, a, a, &r)) {
		*exponent = r;
		return r;
	}
	struct softfloat_num x = unpack(a);
	softfloat_denormals(env, x.denormal);
	if (x.kind == SOFTFLOAT_NUL) {
		env->flags |= SOFTFLOAT_ZE;
		*exponent = (struct x80){.mant = BIT(63), .se = 0xffff};
	} else if (x.kind == SOFTFLOAT_INF) {
		*exponent = (struct x80){.mant = BIT(63), .se = 0x7fff};
	} else {
		*exponent = softfloat_f80_from_i64(x.exp);
		x.exp = 0;
	}
	return assemble(x);
}

struct x80 softfloat_f80_rem(struct softfloat_env *env, struct x80 a, struct x80 b, bool nearest, int *quotient)
{
	struct x80 r;
	u64 rest, q = 0;

	*quotient = SOFTFLOAT_NO_QUOTIENT;
	if (softfloat_f80_special(env, a, b, &r))
		return r;
	struct softfloat_num x = unpack(a), y = unpack(b);
	if (x.kind == SOFTFLOAT_INF || y.kind == SOFTFLOAT_NUL)
		return assemble(softfloat_invalid(env));
	softfloat_denormals(env, x.denormal || y.denormal);
	*quotient = 0;
	if (x.kind == SOFTFLOAT_NUL)
		return unchanged(a);
	if (y.kind == SOFTFLOAT_INF)
		return denormal_kept(env, a, x);
	i32 d = x.exp - y.exp, steps = d;
	if (d < -1 || (d == -1 && (!nearest || x.sig <= y.sig)))
		return pack(env, x, SOFTFLOAT_PC64);
	if (d == -1) {
		/* above one half: the next integer is 1 */
		x.sig = 2 * y.sig - x.sig;
		x.sign ^= 1;
		q = 1;
	} else {
		if (d >= 64)
			steps = (d & 31) | 32;
		rest = x.sig;
		if (rest >= y.sig) {
			rest -= y.sig;
			q = 1;
		}
		q <<= steps;
		q += softfloat_div128(steps ? rest >> (64 - steps) : 0, rest << steps, y.sig, &rest);
		if (nearest && d < 64 && (rest > y.sig - rest || (rest == y.sig - rest && (q & 1)))) {
			rest = y.sig - rest;
			x.sign ^= 1;
			q++;
		}
		x.sig = rest;
		x.exp -= steps;
	}
	*quotient = d >= 64 ? SOFTFLOAT_INCOMPLETE : (int)(q & 7);
	if (x.sig == 0) {
		x.kind = SOFTFLOAT_NUL;
		x.sign = a.se >> 15;
		return assemble(x);
	}
	unsigned lz = __builtin_clzll(x.sig);
	x.sig <<= lz;
	x.exp -= (i32)lz;
	return pack(env, x, SOFTFLOAT_PC64);
}

/* ---- conversions ---- */

struct x80 softfloat_f80_from_f32(u32 a, bool *denormal)
{
	u64 mant = a & 0x7fffff;
	unsigned e = a >> 23 & 0xff, sign = a >> 31 << 15;

	*denormal = e == 0 && mant;
	if (likely(e - 1 < 254))
		return (struct x80){.mant = BIT(63) | mant << 40, .se = sign | (e + BIAS - 127)};
	if (e)
		return (struct x80){.mant = BIT(63) | mant << 40, .se = sign | 0x7fff};
	if (mant == 0)
		return (struct x80){.se = sign};
	unsigned lz = __builtin_clzll(mant);
	return (struct x80){.mant = mant << lz, .se = sign | (BIAS - 126 - (lz - 40))};
}

struct x80 softfloat_f80_from_f64(u64 a, bool *denormal)
{
	u64 mant = a & (BIT(52) - 1);
	unsigned e = a >> 52 & 0x7ff, sign = a >> 63 << 15;

	*denormal = e == 0 && mant;
	if (likely(e - 1 < 2046))
		return (struct x80){.mant = BIT(63) | mant << 11, .se = sign | (e + BIAS - 1023)};
	if (e)
		return (struct x80){.mant = BIT(63) | mant << 11, .se = sign | 0x7fff};
	if (mant == 0)
		return (struct x80){.se = sign};
	unsigned lz = __builtin_clzll(mant);
	return (struct x80){.mant = mant << lz, .se = sign | (BIAS - 1022 - (lz - 11))};
}

struct x80 softfloat_f80_from_i64(i64 v)
{
	return assemble(softfloat_num_from(v));
}

struct x80 softfloat_f80_from_bcd(const u8 bcd[10])
{
	u64 v = 0;

	for (int i = 8; i >= 0; i--)
		v = v * 100 + (bcd[i] >> 4) * 10 + (bcd[i] & 15);
	struct x80 r = softfloat_f80_from_i64(v);
	r.se |= bcd[9] >> 7 << 15;
	return r;
}

u32 softfloat_f80_to_f32(struct softfloat_env *env, struct x80 a)
{
	struct x80 r;

	if (unlikely(maybe_special(a)) && softfloat_f80_special(env, a, a, &r))
		return (u32)(r.se >> 15) << 31 | 0x7f800000 | (r.mant >> 40 & 0x7fffff);
	return softfloat_pack(env, unpack(a), &softfloat_f32);
}

u64 softfloat_f80_to_f64(struct softfloat_env *env, struct x80 a)
{
	struct x80 r;

	if (unlikely(maybe_special(a)) && softfloat_f80_special(env, a, a, &r))
		return (u64)(r.se >> 15) << 63 | 0x7ffull << 52 | (r.mant >> 11 & (BIT(52) - 1));
	return softfloat_pack(env, unpack(a), &softfloat_f64);
}

i64 softfloat_f80_to_int(struct softfloat_env *env, struct x80 a, enum softfloat_rounding rc, unsigned bits)
{
	i64 v;

	if (softfloat_f80_unsupported(a) || !softfloat_num_int(env, unpack(a), rc, bits, &v)) {
		env->flags |= SOFTFLOAT_IE;
		return (i64)(~0ull << (bits - 1));
	}
	return v;
}

void softfloat_f80_to_bcd(struct softfloat_env *env, struct x80 a, u8 bcd[10])
{
	struct softfloat_env e = *env;
	i64 v = softfloat_f80_to_int(&e, a, softfloat_rc(env), 64);
	u64 m = v < 0 ? 0 - (u64)v : (u64)v;

	if ((e.flags & SOFTFLOAT_IE) || m >= 1000000000000000000) {
		static const u8 indefinite[10] = {[7] = 0xc0, [8] = 0xff, [9] = 0xff};
		env->flags |= SOFTFLOAT_IE;
		memcpy(bcd, indefinite, 10);
		return;
	}
	*env = e;
	for (int i = 0; i < 9; i++) {
		bcd[i] = m % 10 | m / 10 % 10 << 4;
		m /= 100;
	}
	bcd[9] = a.se >> 15 << 7;
}
