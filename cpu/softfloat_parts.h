/* SPDX-License-Identifier: MIT */
/* What the soft-float files share: a number taken apart, exact operations on it, and the one place where results are rounded.
 * Private to softfloat*.c and x87_trans.c. */
#ifndef CPU_SOFTFLOAT_PARTS_H
#define CPU_SOFTFLOAT_PARTS_H

#include "cpu/softfloat.h"

enum softfloat_kind { SOFTFLOAT_NUL, SOFTFLOAT_FINITE, SOFTFLOAT_INF, SOFTFLOAT_NAN };

/* (-1)^sign * (sig:low / 2^127) * 2^exp; the leading bit of sig is set if FINITE. */
struct softfloat_num {
	u64 sig, low;
	i32 exp;
	u8 kind; /* enum softfloat_kind */
	bool sign;
	bool denormal; /* the operand was one (DE) */
};

/* Where results go: precision, and the exponents of the smallest and largest normal numbers. */
struct softfloat_format {
	u8 precision;
	bool f80;   /* an x87 register: unmasked overflow and underflow wrap the exponent */
	u8 frac, expo; /* widths of the fields of 32 and 64 bits */
	i32 exp_min, exp_max;
};
extern const struct softfloat_format softfloat_f32, softfloat_f64;
extern const struct softfloat_format softfloat_f80[4]; /* by precision control: 24, (64), 53, 64 bits */

/* v >> n, with a lost tail jammed into bit 0. */
static inline u128 softfloat_shift_jam(u128 v, unsigned n)
{
	if (n == 0)
		return v;
	if (n > 127)
		return v != 0;
	return v >> n | (v << (128 - n) != 0);
}

/* hi:lo / d for hi < d. */
static inline u64 softfloat_div128(u64 hi, u64 lo, u64 d, u64 *rest)
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

/* Take 32 or 64 bits apart; DAZ applies. NaNs are NAN with nothing else set. */
struct softfloat_num softfloat_unpack(const struct softfloat_env *env, u64 a, const struct softfloat_format *format);
/* Round to the format and raise OE, UE, PE (and set up). The result is a number of the format: exp_min and a leading bit of 0
 * stand for denormals; INF after overflow. */
struct softfloat_num softfloat_finish(struct softfloat_env *env, struct softfloat_num x, const struct softfloat_format *format);
/* Finish and put into 32 or 64 bits. */
u64 softfloat_pack(struct softfloat_env *env, struct softfloat_num x, const struct softfloat_format *format);

/* Exact, or with the tail jammed into low; NAN with IE raised, INF with ZE raised where there is no result.
 * DE of the operands is raised. No operand is a NaN. */
struct softfloat_num softfloat_num_add(struct softfloat_env *env, struct softfloat_num a, struct softfloat_num b);
struct softfloat_num softfloat_num_mul(struct softfloat_env *env, struct softfloat_num a, struct softfloat_num b);
struct softfloat_num softfloat_num_div(struct softfloat_env *env, struct softfloat_num a, struct softfloat_num b);
struct softfloat_num softfloat_num_sqrt(struct softfloat_env *env, struct softfloat_num a);
/* To a signed integer of that many bits (at most 64); false: it does not fit (nothing raised). PE is raised unless `exact`. */
bool softfloat_num_int(struct softfloat_env *env, struct softfloat_num x, enum softfloat_rounding rc, unsigned bits, bool exact,
                       i64 *value);
/* An integer as a number. */
struct softfloat_num softfloat_num_from(i64 v);

#endif
