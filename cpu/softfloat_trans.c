/* SPDX-License-Identifier: MIT */
/* The x87's transcendental functions: FSIN, FCOS, FPTAN, FPATAN, F2XM1, FYL2X, FYL2XP1.
 * Intel SDM vol. 1 ch. 8.3.7 to 8.3.10; vol. 2, the instructions' tables of special values.
 *
 * Series in 128-bit fixed point, after a reduction that leaves arguments small; the relative error before the last
 * rounding is below 2^-85, so that results are within 0.51 ulp. Angles are reduced by the hardware's 66-bit pi.
 * As in hardware: a result that is no special value raises PE even if exact; arguments that are very small come back
 * as they are in every rounding mode, but for the sine on AMD's CPUs, which is rounded as the smaller number that it is;
 * outside their range F2XM1 and FYL2XP1 return their argument. */
#include "cpu/softfloat_f80.h"
#include "cpu/softfloat_parts.h"
#include "cpu/softfloat_tables.h"

/* ---- fixed point ---- */

/* a * b / 2^128, at most 3 too small. */
static always_inline u128 mulhi(u128 a, u128 b)
{
	u64 ah = a >> 64, al = a, bh = b >> 64, bl = b;

	return (u128)ah * bh + ((u128)ah * bl >> 64) + ((u128)al * bh >> 64);
}

static always_inline u128 shift(u128 v, i32 n)
{
	return n > 127 ? 0 : v >> n;
}

static always_inline u128 mantissa(struct softfloat_num x)
{
	return (u128)x.sig << 64 | x.low;
}

/* m * 2^(exp - 127), m not 0. */
static struct softfloat_num make(u128 m, i32 exp, bool sign)
{
	unsigned lz = m >> 64 ? __builtin_clzll(m >> 64) : 64 + __builtin_clzll(m);

	m <<= lz;
	return (struct softfloat_num){.sig = m >> 64, .low = m, .exp = exp - (i32)lz, .kind = SOFTFLOAT_FINITE, .sign = sign};
}

/* a / b, both finite, to some 126 bits. */
static struct softfloat_num quotient(struct softfloat_num a, struct softfloat_num b)
{
	u128 n = mantissa(a), d = mantissa(b);
	u64 dh = d >> 64, dl = d, rest;
	i32 exp = a.exp - b.exp - 1;

	if (n >= d) {
		n >>= 1;
		exp++;
	}
	/* the upper 64 bits: an estimate from the upper half of d, at most 2 too big */
	u64 q = (u64)(n >> 64) >= dh ? ~0ull : softfloat_div128(n >> 64, n, dh, &rest);
	u128 low, p;
	for (;; q--) {
		low = (u128)q * dl;
		p = (u128)q * dh + (low >> 64);
		if (p < n || (p == n && !(u64)low))
			break;
	}
	u128 r = ((n - p) << 64) - (u64)low;
	u64 q2 = (u64)(r >> 64) >= dh ? ~0ull : softfloat_div128(r >> 64, r, dh, &rest);
	return make((u128)q << 64 | q2, exp, a.sign != b.sign);
}

/* c[0] * z -/+ c[1] * z^2 + ... with n terms. */
static u128 series(u128 z, const u128 *c, unsigned n, bool alternate)
{
	u128 p = c[--n];

	while (n--)
		p = alternate ? c[n] - mulhi(z, p) : c[n] + mulhi(z, p);
	return mulhi(z, p);
}

/* The square of a number below 1, times 2^128. */
static u128 square(struct softfloat_num x)
{
	u128 m = mantissa(x);

	return shift(mulhi(m, m), -2 * x.exp - 2);
}

/* ---- results ---- */

static const struct softfloat_format extended = {64, true, 0, 15, -16382, 16383};
#define BIAS 16383

static struct x80 as_f80(struct softfloat_num x)
{
	switch (x.kind) {
	case SOFTFLOAT_FINITE:
		return (struct x80){.mant = x.sig, .se = x.sign << 15 | (x.sig >> 63 ? (x.exp + BIAS) & 0x7fff : 0)};
	case SOFTFLOAT_NUL: return (struct x80){.se = x.sign << 15};
	case SOFTFLOAT_INF: return (struct x80){.mant = BIT(63), .se = x.sign << 15 | 0x7fff};
	default: return softfloat_f80_indefinite();
	}
}

/* Round; whatever the bits say, the result is inexact. */
static struct x80 inexact(struct softfloat_env *env, struct softfloat_num x)
{
	struct softfloat_env e = {.control = env->control};
	bool tiny = x.exp < extended.exp_min;

	x = softfloat_finish(&e, x, &extended);
	if (tiny && !(e.flags & SOFTFLOAT_PE)) /* as if there had been more bits */
		e.flags |= SOFTFLOAT_UE;
	env->flags |= e.flags | SOFTFLOAT_PE;
	env->up = e.up;
	return as_f80(x);
}

static struct x80 invalid(struct softfloat_env *env)
{
	return as_f80(softfloat_invalid(env));
}

static struct x80 zero(bool sign) { return (struct x80){.se = sign << 15}; }
static struct x80 infinity(bool sign) { return (struct x80){.mant = BIT(63), .se = sign << 15 | 0x7fff}; }

static struct softfloat_num unpack(struct x80 a)
{
	i32 e = a.se & 0x7fff;
	bool sign = a.se >> 15;

	if (e == 0x7fff)
		return (struct softfloat_num){.kind = SOFTFLOAT_INF, .sign = sign};
	if (a.mant == 0)
		return (struct softfloat_num){.kind = SOFTFLOAT_NUL, .sign = sign};
	struct softfloat_num x = make((u128)a.mant << 64, (e ? e : 1) - BIAS, sign);
	x.denormal = e == 0;
	return x;
}

/* ---- sine, cosine, tangent ---- */

#define TINY (-68) /* arguments below 2^-68 are their own sine and tangent */

/* x = n * pi/2 + result with |result| <= pi/4; *n is taken modulo 4. */
static struct softfloat_num reduce(struct softfloat_num x, unsigned *n)
{
	*n = 0;
	if (x.exp < -1)
		return x;
	u128 v = (u128)x.sig << (x.exp + 2), r = v % PI_66;
	*n = v / PI_66 & 3;
	bool above = 2 * r > PI_66;
	if (above)
		r = PI_66 - r;
	if (x.sign)
		*n = 0 - *n;
	*n = (x.sign ? *n - above : *n + above) & 3;
	return make(r, 127 - 65, x.sign != above);
}

static unsigned terms(struct softfloat_num r)
{
	return r.exp >= -4 ? 13 : r.exp >= -12 ? 7 : 4;
}

static struct softfloat_num sine_of(const struct softfloat_env *env, struct softfloat_num r)
{
	if (r.exp < TINY)
		return env->control & SOFTFLOAT_AMD ? make(mantissa(r) - 1, r.exp, r.sign) : r;
	u128 m = mantissa(r);
	return make(m - mulhi(m, series(square(r), sine, terms(r), true)) - 1, r.exp, r.sign);
}

static struct softfloat_num cosine_of(struct softfloat_num r)
{
	if (r.exp < TINY)
		return make((u128)1 << 127, 0, false);
	return make(0 - (series(square(r), cosine, terms(r), true) + 1), -1, false);
}

bool softfloat_f80_sincos(struct softfloat_env *env, struct x80 a, struct x80 *s, struct x80 *c)
{
	struct x80 r;
	unsigned n;

	if (softfloat_f80_special(env, a, a, &r) || softfloat_f80_is_infinity(a)) {
		if (softfloat_f80_is_infinity(a))
			r = invalid(env);
		if (s)
			*s = r;
		if (c)
			*c = r;
		return true;
	}
	struct softfloat_num x = unpack(a);
	if (x.kind == SOFTFLOAT_NUL) {
		if (s)
			*s = a;
		if (c)
			*c = (struct x80){.mant = BIT(63), .se = BIAS};
		return true;
	}
	if (x.exp > 62)
		return false;
	softfloat_denormals(env, x.denormal);
	x = reduce(x, &n);
	if (s) {
		struct softfloat_num v = n & 1 ? cosine_of(x) : sine_of(env, x);
		v.sign ^= n >> 1;
		*s = inexact(env, v);
	}
	if (c) {
		struct softfloat_num v = n & 1 ? sine_of(env, x) : cosine_of(x);
		v.sign ^= (n >> 1) ^ (n & 1);
		*c = inexact(env, v);
	}
	return true;
}

bool softfloat_f80_tan(struct softfloat_env *env, struct x80 a, struct x80 *t)
{
	unsigned n;

	if (softfloat_f80_special(env, a, a, t))
		return true;
	struct softfloat_num x = unpack(a);
	if (x.kind == SOFTFLOAT_INF) {
		*t = invalid(env);
		return true;
	}
	if (x.kind == SOFTFLOAT_NUL) {
		*t = a;
		return true;
	}
	if (x.exp > 62)
		return false;
	softfloat_denormals(env, x.denormal);
	x = reduce(x, &n);
	if (n & 1) {
		x = quotient(cosine_of(x), sine_of(env, x));
		x.sign ^= 1;
	} else if (x.exp >= TINY) {
		x = quotient(sine_of(env, x), cosine_of(x));
	}
	*t = inexact(env, x);
	return true;
}

/* ---- arc tangent ---- */

/* atan(b / a) for 0 < b <= a. */
static struct softfloat_num arctan_of(struct softfloat_num b, struct softfloat_num a)
{
	i32 d = a.exp - b.exp;
	unsigned i = 0;
	struct softfloat_num u;

	a.sign = b.sign = 0;
	if (d > 40)
		return quotient(b, a); /* its cube is out of sight */
	/* near a multiple of 1/16: atan(t) = atan(i/16) + atan((16t - i) / (16 + it)) */
	if (d <= 5)
		i = ((((u128)b.sig << 5) >> d) / a.sig + 1) >> 1;
	if (i == 0) {
		u = quotient(b, a);
	} else {
		u128 va = (u128)a.sig << d, n = (u128)b.sig * 16, m = va * i;
		if (n == m)
			return make(arctan[i], -1, false);
		u = quotient(make(n > m ? n - m : m - n, 0, n < m), make(va * 16 + (u128)b.sig * i, 0, false));
	}
	u128 m = mantissa(u);
	m -= mulhi(m, series(square(u), odd, ARRAY_LEN(odd), true)) + 1;
	if (i == 0)
		return make(m, u.exp, false);
	m = shift(m, -1 - u.exp);
	return make(u.sign ? arctan[i] - m : arctan[i] + m, -1, false);
}

struct x80 softfloat_f80_atan2(struct softfloat_env *env, struct x80 y, struct x80 x)
{
	struct x80 r;

	if (softfloat_f80_special(env, y, x, &r))
		return r;
	struct softfloat_num a = unpack(x), b = unpack(y), t;
	bool left = a.sign, sign = b.sign;
	softfloat_denormals(env, a.denormal || b.denormal);
	if (b.kind == SOFTFLOAT_NUL || (a.kind == SOFTFLOAT_INF && b.kind != SOFTFLOAT_INF)) {
		if (!left)
			return zero(sign);
		return inexact(env, make(PI_Q126, 1, sign));
	}
	if (a.kind == SOFTFLOAT_INF) {
		u128 quarter = arctan[16] >> 2;
		return inexact(env, make(left ? PI_Q126 - quarter : quarter, 1, sign));
	}
	if (a.kind == SOFTFLOAT_NUL || b.kind == SOFTFLOAT_INF)
		return inexact(env, make(HALF_PI_Q126, 1, sign));
	bool steep = b.exp > a.exp || (b.exp == a.exp && b.sig > a.sig);
	t = steep ? arctan_of(a, b) : arctan_of(b, a);
	if (steep || left) {
		u128 v = softfloat_shift_jam(mantissa(t), 1 - t.exp);
		if (steep)
			v = left ? HALF_PI_Q126 + v : HALF_PI_Q126 - v;
		else
			v = PI_Q126 - v;
		t = make(v, 1, false);
	}
	t.sign = sign;
	return inexact(env, t);
}

/* ---- powers and logarithms of 2 ---- */

struct x80 softfloat_f80_exp2m1(struct softfloat_env *env, struct x80 a)
{
	struct x80 r;

	if (softfloat_f80_special(env, a, a, &r))
		return r;
	struct softfloat_num x = unpack(a);
	if (x.kind == SOFTFLOAT_NUL)
		return a;
	if (x.kind == SOFTFLOAT_INF)
		return x.sign ? (struct x80){.mant = BIT(63), .se = 0x8000 | BIAS} : a;
	softfloat_denormals(env, x.denormal);
	if (x.exp >= 0) {
		if (x.exp == 0 && x.sig == BIT(63) && x.sign)
			x.exp = -1; /* 2^-1 - 1 */
		return inexact(env, x);
	}
	u128 m = mantissa(x), v = shift(m, -1 - x.exp);
	m = mulhi(m, x.sign ? exp2_series[0] - series(v, exp2_series + 1, ARRAY_LEN(exp2_series) - 1, true)
	                    : exp2_series[0] + series(v, exp2_series + 1, ARRAY_LEN(exp2_series) - 1, false));
	return inexact(env, make(m, x.exp, x.sign));
}

/* log2(1 + f) for 0 < |f| <= 1/64, with full relative precision. */
static struct softfloat_num log_near_1(struct softfloat_num f)
{
	u128 v = shift(mantissa(f), 1 - f.exp), two = (u128)1 << 127;
	struct softfloat_num s = quotient(f, make(f.sign ? two - v : two + v, 1, false));
	u128 m = mantissa(s);

	/* 2 atanh(s) / ln(2) with s = f / (2 + f) */
	m = (m >> 1) + (mulhi(m, series(square(s), odd, ARRAY_LEN(odd), false)) >> 1);
	return make(mulhi(m, TWO_BY_LN2_Q126), s.exp + 3, f.sign);
}

/* log2(x), x > 0 and not 1. */
static struct softfloat_num log_of(struct softfloat_num x)
{
	u128 m = mantissa(x);
	i32 k = x.exp;
	unsigned i = m >> 121 & 63;
	struct softfloat_num f = {.kind = SOFTFLOAT_NUL};

	/* m * inverse = 1 + f, in units of 2^-126 */
	u128 one = (u128)1 << 126, p = (m >> 8) * inverse[i];
	if (p != one)
		f = log_near_1(make(p > one ? p - one : one - p, 1, p < one));
	if (i == 63)
		k++;
	if (k == 0 && log_inverse[i] == 0)
		return f;
	/* the sum in units of 2^-112 */
	i128 sum = k * ((i128)1 << 112) + (i128)(log_inverse[i] >> 16);
	if (f.kind == SOFTFLOAT_FINITE) {
		i128 small = shift(mantissa(f), 15 - f.exp);
		sum += f.sign ? -small : small;
	}
	return make(sum < 0 ? 0 - (u128)sum : (u128)sum, 127 - 112, sum < 0);
}

static struct x80 scaled(struct softfloat_env *env, struct softfloat_num l, struct softfloat_num y)
{
	return inexact(env, make(mulhi(mantissa(l), (u128)y.sig << 64), l.exp + y.exp + 1, l.sign != y.sign));
}

struct x80 softfloat_f80_ylog2(struct softfloat_env *env, struct x80 a, struct x80 b)
{
	struct x80 r;

	if (softfloat_f80_special(env, a, b, &r))
		return r;
	struct softfloat_num x = unpack(a), y = unpack(b);
	if (x.kind == SOFTFLOAT_NUL) {
		if (y.kind == SOFTFLOAT_NUL)
			return invalid(env);
		if (y.kind == SOFTFLOAT_FINITE)
			env->flags |= SOFTFLOAT_ZE;
		return infinity(!y.sign);
	}
	bool one = x.kind == SOFTFLOAT_FINITE && x.exp == 0 && x.sig == BIT(63);
	if (x.sign || (x.kind == SOFTFLOAT_INF && y.kind == SOFTFLOAT_NUL) || (one && y.kind == SOFTFLOAT_INF))
		return invalid(env);
	softfloat_denormals(env, x.denormal || y.denormal);
	bool negative = x.kind == SOFTFLOAT_FINITE && x.exp < 0;
	if (x.kind == SOFTFLOAT_INF || y.kind == SOFTFLOAT_INF)
		return infinity(y.sign != negative);
	if (one || y.kind == SOFTFLOAT_NUL)
		return zero(y.sign != negative);
	return scaled(env, log_of(x), y);
}

struct x80 softfloat_f80_ylog2p1(struct softfloat_env *env, struct x80 a, struct x80 b)
{
	struct softfloat_env quiet = {0};
	struct x80 r;

	if (softfloat_f80_special(env, a, b, &r))
		return r;
	struct softfloat_num x = unpack(a), y = unpack(b);
	if ((x.kind == SOFTFLOAT_NUL && y.kind == SOFTFLOAT_INF) ||
	    (x.kind == SOFTFLOAT_INF && (x.sign || y.kind == SOFTFLOAT_NUL)))
		return invalid(env);
	softfloat_denormals(env, x.denormal || y.denormal);
	if (x.kind == SOFTFLOAT_NUL || y.kind == SOFTFLOAT_NUL)
		return zero(x.sign != y.sign);
	if (x.kind == SOFTFLOAT_INF || y.kind == SOFTFLOAT_INF)
		return infinity(x.sign != y.sign);
	if (x.sign && x.exp >= 0)
		return inexact(env, x);
	if (x.exp < -6)
		return scaled(env, log_near_1(x), y);
	return scaled(env, log_of(softfloat_num_add(&quiet, x, softfloat_num_from(1))), y);
}
