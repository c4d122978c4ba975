/* SPDX-License-Identifier: MIT */
/* 80-bit arithmetic as the x87 does it, in integers. Intel SDM vol. 1 ch. 4.8, 8; vol. 2, the instructions' pages.
 *
 * Every function raises flags in env and sets env->up where it rounds; the result is what the masked response gives.
 * Unmasked overflow and underflow leave the exponent wrapped. Whether anything is stored is the instruction's care. */
#ifndef CPU_SOFTFLOAT_F80_H
#define CPU_SOFTFLOAT_F80_H

#include "cpu/softfloat.h"

/* A value on its way through registers, in two words: se holds sign and exponent in 16 bits. */
struct x80 {
	u64 mant, se;
};

/* Precision control as in FCW: results have 24, 53 or 64 bits (1 is reserved and means 64). */
enum softfloat_precision { SOFTFLOAT_PC24, SOFTFLOAT_PC_RESERVED, SOFTFLOAT_PC53, SOFTFLOAT_PC64 };

static always_inline bool softfloat_f80_is_nan(struct x80 a)
{
	return (a.se & 0x7fff) == 0x7fff && a.mant << 1 != 0 && a.mant >> 63;
}
static always_inline bool softfloat_f80_is_snan(struct x80 a)
{
	return softfloat_f80_is_nan(a) && !(a.mant >> 62 & 1);
}
/* Encodings that the 387 and later refuse: an exponent without the integer bit. */
static always_inline bool softfloat_f80_unsupported(struct x80 a)
{
	return (a.se & 0x7fff) && !(a.mant >> 63);
}
static always_inline bool softfloat_f80_is_zero(struct x80 a)
{
	return (a.se & 0x7fff) == 0 && a.mant == 0;
}
/* Denormal or pseudo-denormal. */
static always_inline bool softfloat_f80_is_denormal(struct x80 a)
{
	return (a.se & 0x7fff) == 0 && a.mant != 0;
}
static always_inline bool softfloat_f80_is_infinity(struct x80 a)
{
	return (a.se & 0x7fff) == 0x7fff && a.mant == BIT(63);
}
static always_inline struct x80 softfloat_f80_indefinite(void)
{
	return (struct x80){.mant = 3ull << 62, .se = 0xffff};
}

struct x80 softfloat_f80_add(struct softfloat_env *env, struct x80 a, struct x80 b, unsigned pc);
struct x80 softfloat_f80_sub(struct softfloat_env *env, struct x80 a, struct x80 b, unsigned pc);
struct x80 softfloat_f80_mul(struct softfloat_env *env, struct x80 a, struct x80 b, unsigned pc);
struct x80 softfloat_f80_div(struct softfloat_env *env, struct x80 a, struct x80 b, unsigned pc);
struct x80 softfloat_f80_sqrt(struct softfloat_env *env, struct x80 a, unsigned pc);
enum softfloat_order softfloat_f80_cmp(struct softfloat_env *env, struct x80 a, struct x80 b, bool signalling);

/* FRNDINT, FSCALE. */
struct x80 softfloat_f80_round(struct softfloat_env *env, struct x80 a);
struct x80 softfloat_f80_scale(struct softfloat_env *env, struct x80 a, struct x80 b);
/* FXTRACT: returns the significand. */
struct x80 softfloat_f80_extract(struct softfloat_env *env, struct x80 a, struct x80 *exponent);
/* FPREM, FPREM1 (nearest): *quotient: its low three bits, or one of these. */
enum { SOFTFLOAT_INCOMPLETE = -1, SOFTFLOAT_NO_QUOTIENT = -2 };
struct x80 softfloat_f80_rem(struct softfloat_env *env, struct x80 a, struct x80 b, bool nearest, int *quotient);

/* The response to operands of which one is a NaN or unsupported (SDM vol. 1 table 4-7); b may repeat a. False: neither
 * is. */
bool softfloat_f80_special(struct softfloat_env *env, struct x80 a, struct x80 b, struct x80 *result);

/* Conversions. From memory formats: exact, a NaN keeps its payload and whether it signals; nothing is raised.
 * *denormal: DE is to be raised if the instruction computes with the value. */
struct x80 softfloat_f80_from_f32(u32 a, bool *denormal);
struct x80 softfloat_f80_from_f64(u64 a, bool *denormal);
struct x80 softfloat_f80_from_i64(i64 v);
struct x80 softfloat_f80_from_bcd(const u8 bcd[10]);
u32 softfloat_f80_to_f32(struct softfloat_env *env, struct x80 a);
u64 softfloat_f80_to_f64(struct softfloat_env *env, struct x80 a);
/* The integer indefinite with IE if it does not fit. */
i64 softfloat_f80_to_int(struct softfloat_env *env, struct x80 a, enum softfloat_rounding rc, unsigned bits);
void softfloat_f80_to_bcd(struct softfloat_env *env, struct x80 a, u8 bcd[10]);

/* Transcendental functions (softfloat_trans.c). Those of angles: false if |a| >= 2^63 (C2); s or c may be NULL. */
bool softfloat_f80_sincos(struct softfloat_env *env, struct x80 a, struct x80 *s, struct x80 *c);
bool softfloat_f80_tan(struct softfloat_env *env, struct x80 a, struct x80 *t);
struct x80 softfloat_f80_atan2(struct softfloat_env *env, struct x80 y, struct x80 x);
/* F2XM1: 2^a - 1; FYL2X: b * log2(a); FYL2XP1: b * log2(a + 1). */
struct x80 softfloat_f80_exp2m1(struct softfloat_env *env, struct x80 a);
struct x80 softfloat_f80_ylog2(struct softfloat_env *env, struct x80 a, struct x80 b);
struct x80 softfloat_f80_ylog2p1(struct softfloat_env *env, struct x80 a, struct x80 b);

#endif
