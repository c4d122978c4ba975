/* SPDX-License-Identifier: MIT */
/* Arithmetic by the host's floating-point unit where IEEE 754 leaves it no choice. Intel SDM vol. 1 ch. 4.8-4.9, 11.5.
 *
 * Operands are normal numbers or zeros, the result is one too and not near underflow; rounding is to nearest, every exception is
 * masked, and the precision flag, the only one that can come up then, is set already (it is sticky: most programs soon have it
 * set for good). A correctly rounded operation has the same bits on every host then, those of softfloat.h, and no flag
 * changes. Whatever else comes along is refused by returning false, and left to softfloat.h; *r is undefined then.
 *
 * Of the host is required: binary32 and binary64 computed as such, rounding to nearest. Nothing in the emulator changes the
 * environment that C starts with; flushing of denormals would do no harm, as there are none. */
#ifndef CPU_HOSTFLOAT_H
#define CPU_HOSTFLOAT_H

#include <float.h>

#include "cpu/softfloat.h"
#include "cpu/sse.h"

_Static_assert(FLT_EVAL_METHOD == 0, "float and double must be computed in their own precision");

/* An inexact result changes nothing but the destination, and is rounded to nearest. */
static always_inline bool hostfloat_rounds(u32 mxcsr)
{
	const u32 masks = SOFTFLOAT_FLAGS << SOFTFLOAT_MASK_SHIFT;

	return likely((mxcsr & (SOFTFLOAT_RC | masks | SOFTFLOAT_PE)) == (masks | SOFTFLOAT_PE));
}
/* An inexact result changes nothing but the destination. */
static always_inline bool hostfloat_inexact_ok(u32 mxcsr)
{
	const u32 both = SOFTFLOAT_PE << SOFTFLOAT_MASK_SHIFT | SOFTFLOAT_PE;

	return (mxcsr & both) == both;
}

/* ---- one number ---- */

/* normal: neither zero, denormal, infinity nor NaN. safe: of a result, normal and not among the smallest, so that it was
 * not tiny before rounding either. Adding 1 to the exponent makes both ends of its range small. */
#define HOSTFLOAT_NUMBERS(bits, type, frac, normal, safe)                                                              \
	static always_inline bool hostfloat_normal##bits(u##bits a) { return (a + BIT(frac)) & (normal); }                 \
	static always_inline bool hostfloat_safe##bits(u##bits r) { return (r + BIT(frac)) & (safe); }                     \
	static always_inline bool hostfloat_zero##bits(u##bits a) { return (u##bits)(a << 1) == 0; }                       \
	static always_inline bool hostfloat_number##bits(u##bits a)                                                        \
	{                                                                                                                  \
		return likely(hostfloat_normal##bits(a)) || hostfloat_zero##bits(a);                                           \
	}                                                                                                                  \
	static always_inline type hostfloat_value##bits(u##bits a)                                                         \
	{                                                                                                                  \
		type v;                                                                                                        \
		memcpy(&v, &a, sizeof v);                                                                                      \
		return v;                                                                                                      \
	}                                                                                                                  \
	static always_inline u##bits hostfloat_bits##bits(type v)                                                          \
	{                                                                                                                  \
		u##bits a;                                                                                                     \
		memcpy(&a, &v, sizeof a);                                                                                      \
		return a;                                                                                                      \
	}
HOSTFLOAT_NUMBERS(32, float, 23, 0x7f000000u, 0x7e000000u)
HOSTFLOAT_NUMBERS(64, double, 52, 0x7fe0000000000000u, 0x7fc0000000000000u)

/* hostfloat_add32(mxcsr, a, b, &r) and so on. The fast ones serve normal numbers, hostfloat_zeros_add32 and so on the rest. */
#define HOSTFLOAT_BINARY(name, bits, op, zero_ok)                                                                      \
	static always_inline bool hostfloat_##name##bits(u32 mxcsr, u##bits a, u##bits b, u##bits *r)                      \
	{                                                                                                                  \
		if (!hostfloat_rounds(mxcsr) || unlikely(!hostfloat_normal##bits(a)) || unlikely(!hostfloat_normal##bits(b)))  \
			return false;                                                                                              \
		*r = hostfloat_bits##bits(hostfloat_value##bits(a) op hostfloat_value##bits(b));                               \
		return likely(hostfloat_safe##bits(*r));                                                                       \
	}                                                                                                                  \
	static inline bool hostfloat_zeros_##name##bits(u32 mxcsr, u##bits a, u##bits b, u##bits *r)                       \
	{                                                                                                                  \
		if (!hostfloat_rounds(mxcsr) || !hostfloat_number##bits(a) || !hostfloat_number##bits(b))                      \
			return false;                                                                                              \
		const bool za = hostfloat_zero##bits(a), zb = hostfloat_zero##bits(b);                                         \
		*r = hostfloat_bits##bits(hostfloat_value##bits(a) op hostfloat_value##bits(b));                               \
		(void)za;                                                                                                      \
		(void)zb;                                                                                                      \
		return hostfloat_safe##bits(*r) || (hostfloat_zero##bits(*r) && (zero_ok));                                    \
	}
/* A sum of 0 is exact, a product or quotient only if it comes of a 0. */
#define HOSTFLOAT_ARITH(bits)                                                                                          \
	HOSTFLOAT_BINARY(add, bits, +, true)                                                                               \
	HOSTFLOAT_BINARY(sub, bits, -, true)                                                                               \
	HOSTFLOAT_BINARY(mul, bits, *, za || zb)                                                                           \
	HOSTFLOAT_BINARY(div, bits, /, za && !zb)
HOSTFLOAT_ARITH(32)
HOSTFLOAT_ARITH(64)

/* Of b; a takes no part. */
static always_inline bool hostfloat_sqrt32(u32 mxcsr, u32 a, u32 b, u32 *r)
{
	(void)a;
	if (!hostfloat_rounds(mxcsr) || unlikely((i32)b < 0 || !hostfloat_normal32(b)))
		return false;
	*r = hostfloat_bits32(__builtin_sqrtf(hostfloat_value32(b)));
	return true;
}
static always_inline bool hostfloat_sqrt64(u32 mxcsr, u64 a, u64 b, u64 *r)
{
	(void)a;
	if (!hostfloat_rounds(mxcsr) || unlikely((i64)b < 0 || !hostfloat_normal64(b)))
		return false;
	*r = hostfloat_bits64(__builtin_sqrt(hostfloat_value64(b)));
	return true;
}

/* Comparisons raise nothing among numbers. */
#define HOSTFLOAT_CHOOSE(name, bits, op)                                                                               \
	static always_inline bool hostfloat_##name##bits(u32 mxcsr, u##bits a, u##bits b, u##bits *r)                      \
	{                                                                                                                  \
		(void)mxcsr;                                                                                                   \
		if (unlikely(!hostfloat_number##bits(a) || !hostfloat_number##bits(b)))                                        \
			return false;                                                                                              \
		*r = hostfloat_value##bits(a) op hostfloat_value##bits(b) ? a : b;                                             \
		return true;                                                                                                   \
	}
HOSTFLOAT_CHOOSE(min, 32, <)
HOSTFLOAT_CHOOSE(min, 64, <)
HOSTFLOAT_CHOOSE(max, 32, >)
HOSTFLOAT_CHOOSE(max, 64, >)

/* ---- conversions of one number ---- */

static always_inline bool hostfloat_f32_to_f64(u32 a, u64 *r)
{
	*r = hostfloat_bits64(hostfloat_value32(a)); /* exact */
	return likely(hostfloat_normal32(a));
}
static always_inline bool hostfloat_f64_to_f32(u32 mxcsr, u64 a, u32 *r)
{
	if (!hostfloat_rounds(mxcsr) || unlikely(!hostfloat_normal64(a)))
		return false;
	*r = hostfloat_bits32((float)hostfloat_value64(a));
	return likely(hostfloat_safe32(*r));
}
/* Integers of up to 53, 24 bits are exact. */
static always_inline bool hostfloat_i64_to_f64(u32 mxcsr, i64 v, u64 *r)
{
	*r = hostfloat_bits64((double)v);
	return likely((u64)v + BIT(53) <= BIT(54)) || hostfloat_rounds(mxcsr);
}
static always_inline bool hostfloat_i64_to_f32(u32 mxcsr, i64 v, u32 *r)
{
	*r = hostfloat_bits32((float)v);
	return likely((u64)v + BIT(24) <= BIT(25)) || hostfloat_rounds(mxcsr);
}
/* Truncated to an integer of so many bits. */
static always_inline bool hostfloat_f64_truncate(u32 mxcsr, u64 a, unsigned bits, i64 *r)
{
	if (unlikely((a >> 52 & 0x7ff) >= 1023 + bits - 1))
		return false;
	*r = (i64)hostfloat_value64(a);
	return hostfloat_inexact_ok(mxcsr) || (double)*r == hostfloat_value64(a);
}
/* Rounded to nearest: adding 1.5 * 2^52 leaves the integer in the low bits. */
static always_inline bool hostfloat_f64_nearest(u32 mxcsr, u64 a, unsigned bits, i64 *r)
{
	const double magic = 6755399441055744.0;

	if (unlikely((mxcsr & SOFTFLOAT_RC) || (a >> 52 & 0x7ff) >= 1023 + 51))
		return false;
	*r = (i64)(hostfloat_bits64(hostfloat_value64(a) + magic) - hostfloat_bits64(magic));
	if (bits == 32 && unlikely(*r != (i32)*r))
		return false;
	return hostfloat_inexact_ok(mxcsr) || (double)*r == hostfloat_value64(a);
}

/* ---- four of 32 bits, two of 64 ---- */

/* Lanes where a number is zero: all bits set. Where it is not normal, no safe result, no number: some
 * bits. */
static always_inline union lanes128 hostfloat_zeros32(union lanes128 v)
{
	return (union lanes128){.vsd = v.vd + v.vd == 0};
}
static always_inline union lanes128 hostfloat_not_normal32(union lanes128 v)
{
	return (union lanes128){.vsd = ((v.vd + 0x00800000) & 0x7f000000) == 0};
}
static always_inline union lanes128 hostfloat_not_safe32(union lanes128 v)
{
	return (union lanes128){.vsd = ((v.vd + 0x00800000) & 0x7e000000) == 0};
}
/* Of doubles the upper words tell; comparisons of 64 bits are not everywhere. */
static always_inline union lanes128 hostfloat_zeros64(union lanes128 v)
{
	const union lanes128 twice = {.vq = v.vq + v.vq};
	const union lanes128 swapped = {.vq = twice.vq << 32 | twice.vq >> 32};
	return (union lanes128){.vsd = (twice.vd | swapped.vd) == 0};
}
static always_inline union lanes128 hostfloat_upper64(union lanes128 v, u32 mask)
{
	const union lanes128 one = {.d = {0, 0x00100000, 0, 0x00100000}}, keep = {.d = {0, mask, 0, mask}}, low = {.d = {1, 0, 1, 0}};
	return (union lanes128){.vsd = (((v.vd + one.vd) & keep.vd) | low.vd) == 0};
}
static always_inline union lanes128 hostfloat_not_normal64(union lanes128 v) { return hostfloat_upper64(v, 0x7fe00000); }
static always_inline union lanes128 hostfloat_not_safe64(union lanes128 v) { return hostfloat_upper64(v, 0x7fc00000); }
#define HOSTFLOAT_NO_NUMBER(bits)                                                                                      \
	static always_inline union lanes128 hostfloat_no_number##bits(union lanes128 v)                                    \
	{                                                                                                                  \
		return (union lanes128){.vq = hostfloat_not_normal##bits(v).vq & ~hostfloat_zeros##bits(v).vq};                \
	}
HOSTFLOAT_NO_NUMBER(32)
HOSTFLOAT_NO_NUMBER(64)

static always_inline bool hostfloat_none(union lanes128 v)
{
	return likely((v.q[0] | v.q[1]) == 0);
}

/* hostfloat_add32x4 and so on; zero_ok: lanes in which a result of 0 is exact. */
#define HOSTFLOAT_PACKED_BINARY(name, bits, n, F, op, zero_ok)                                                         \
	static always_inline bool hostfloat_##name##bits##x##n(u32 mxcsr, union lanes128 a, union lanes128 b,              \
	                                                       union lanes128 *r)                                          \
	{                                                                                                                  \
		if (!hostfloat_rounds(mxcsr))                                                                                  \
			return false;                                                                                              \
		r->F = a.F op b.F;                                                                                             \
		const union lanes128 odd = {.vq = hostfloat_not_normal##bits(a).vq | hostfloat_not_normal##bits(b).vq |        \
		                                  hostfloat_not_safe##bits(*r).vq};                                            \
		if (hostfloat_none(odd))                                                                                       \
			return true;                                                                                               \
		const union lanes128 za = hostfloat_zeros##bits(a), zb = hostfloat_zeros##bits(b), zr = hostfloat_zeros##bits(*r); \
		(void)za;                                                                                                      \
		(void)zb;                                                                                                      \
		return hostfloat_none((union lanes128){                                                                        \
			.vq = hostfloat_no_number##bits(a).vq | hostfloat_no_number##bits(b).vq |                                  \
			      (hostfloat_not_safe##bits(*r).vq & ~(zr.vq & (zero_ok)))});                                          \
	}
#define HOSTFLOAT_PACKED(bits, n, F)                                                                                   \
	HOSTFLOAT_PACKED_BINARY(add, bits, n, F, +, zr.vq)                                                                 \
	HOSTFLOAT_PACKED_BINARY(sub, bits, n, F, -, zr.vq)                                                                 \
	HOSTFLOAT_PACKED_BINARY(mul, bits, n, F, *, za.vq | zb.vq)                                                         \
	HOSTFLOAT_PACKED_BINARY(div, bits, n, F, /, za.vq & ~zb.vq)
HOSTFLOAT_PACKED(32, 4, vf)
HOSTFLOAT_PACKED(64, 2, vg)

static always_inline bool hostfloat_sqrt32x4(u32 mxcsr, union lanes128 a, union lanes128 b, union lanes128 *r)
{
	(void)a;
	if (!hostfloat_rounds(mxcsr) ||
	    !hostfloat_none((union lanes128){
			.vsd = (hostfloat_not_normal32(b).vsd | (b.vsd < 0)) & ~hostfloat_zeros32(b).vsd}))
		return false;
	for (unsigned i = 0; i < 4; i++)
		r->d[i] = hostfloat_bits32(__builtin_sqrtf(hostfloat_value32(b.d[i])));
	return true;
}
static always_inline bool hostfloat_sqrt64x2(u32 mxcsr, union lanes128 a, union lanes128 b, union lanes128 *r)
{
	(void)a;
	return hostfloat_sqrt64(mxcsr, 0, b.q[0], &r->q[0]) && hostfloat_sqrt64(mxcsr, 0, b.q[1], &r->q[1]);
}

static always_inline bool hostfloat_numbers32x4(union lanes128 a, union lanes128 b)
{
	return hostfloat_none((union lanes128){.vq = hostfloat_no_number32(a).vq | hostfloat_no_number32(b).vq});
}
static always_inline bool hostfloat_numbers64x2(union lanes128 a, union lanes128 b)
{
	return hostfloat_none((union lanes128){.vq = hostfloat_no_number64(a).vq | hostfloat_no_number64(b).vq});
}
#define HOSTFLOAT_CHOOSE_PACKED(name, bits, n, S, F, op)                                                               \
	static always_inline bool hostfloat_##name##bits##x##n(u32 mxcsr, union lanes128 a, union lanes128 b,              \
	                                                       union lanes128 *r)                                          \
	{                                                                                                                  \
		(void)mxcsr;                                                                                                   \
		if (!hostfloat_numbers##bits##x##n(a, b))                                                                      \
			return false;                                                                                              \
		const union lanes128 mask = {.S = a.F op b.F};                                                                 \
		r->vq = (a.vq & mask.vq) | (b.vq & ~mask.vq);                                                                  \
		return true;                                                                                                   \
	}
HOSTFLOAT_CHOOSE_PACKED(min, 32, 4, vsd, vf, <)
HOSTFLOAT_CHOOSE_PACKED(max, 32, 4, vsd, vf, >)
HOSTFLOAT_CHOOSE_PACKED(min, 64, 2, vsq, vg, <)
HOSTFLOAT_CHOOSE_PACKED(max, 64, 2, vsq, vg, >)

/* ---- packed conversions ---- */

static always_inline bool hostfloat_i32_to_f32x4(u32 mxcsr, union lanes128 v, union lanes128 *r)
{
	r->vf = __builtin_convertvector(v.vsd, __typeof__(r->vf));
	return hostfloat_rounds(mxcsr);
}
/* Truncated, or rounded to nearest by adding 1.5 * 2^23. */
static always_inline bool hostfloat_f32_to_i32x4(u32 mxcsr, union lanes128 v, const bool nearest, union lanes128 *r)
{
	const u32 limit = (127 + (nearest ? 22 : 31)) << 23;
	const union lanes128 large = {.vsd = (v.vsd & 0x7fffffff) >= (i32)limit};

	if (!hostfloat_none(large) || (nearest && unlikely(mxcsr & SOFTFLOAT_RC)))
		return false;
	if (nearest) {
		const union lanes128 sum = {.vf = v.vf + 12582912.0f};
		r->vd = sum.vd - hostfloat_bits32(12582912.0f);
	} else {
		r->vsd = __builtin_convertvector(v.vf, __typeof__(r->vsd));
	}
	if (hostfloat_inexact_ok(mxcsr))
		return true;
	const union lanes128 back = {.vf = __builtin_convertvector(r->vsd, __typeof__(r->vf))};
	return hostfloat_none((union lanes128){.vsd = ~(back.vf == v.vf)});
}
static always_inline bool hostfloat_f32_to_f64x2(union lanes128 v, union lanes128 *r)
{
	r->vg[0] = (double)v.vf[0];
	r->vg[1] = (double)v.vf[1];
	return likely(hostfloat_number32(v.d[0]) && hostfloat_number32(v.d[1]));
}
static always_inline bool hostfloat_f64_to_f32x2(u32 mxcsr, union lanes128 v, union lanes128 *r)
{
	r->q[1] = 0;
	return hostfloat_f64_to_f32(mxcsr, v.q[0], &r->d[0]) && hostfloat_f64_to_f32(mxcsr, v.q[1], &r->d[1]);
}

#endif
