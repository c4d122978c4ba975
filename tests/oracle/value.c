/* SPDX-License-Identifier: MIT */
/* Operands that find bugs: for each kind of value a mixture of the special ones, their neighbours, and random bits. */
#include "tests/oracle/oracle.h"

u64 rng_next(struct rng *rng)
{
	u64 z = rng->s += 0x9e3779b97f4a7c15ull;

	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9ull;
	z = (z ^ z >> 27) * 0x94d049bb133111ebull;
	return z ^ z >> 31;
}

struct rng rng_from(u64 a, u64 b, u64 c)
{
	struct rng rng = {a};

	rng.s = rng_next(&rng) ^ b;
	rng.s = rng_next(&rng) ^ c;
	rng_next(&rng);
	return rng;
}

u64 value_int(struct rng *rng, unsigned bits)
{
	u64 mask = bits >= 64 ? ~0ull : (1ull << bits) - 1;
	unsigned k = rng_below(rng, bits);
	u64 v;

	switch (rng_below(rng, 10)) {
	case 0: {
		static const i64 special[] = {0, 0, 1, -1, 2, -2};
		v = special[rng_below(rng, ARRAY_LEN(special))];
		break;
	}
	case 1: v = 1ull << (bits - 1); break; /* most negative */
	case 2: v = (1ull << (bits - 1)) - 1; break;
	case 3: v = 1ull << k; break;
	case 4: v = (1ull << k) - 1 + (rng_below(rng, 3) << 0); break;
	case 5: v = -(1ull << k) - (rng_next(rng) & 1); break;
	case 6: v = rng_below(rng, 256); break;
	case 7: v = rng_next(rng) >> rng_below(rng, 64); break;
	default: v = rng_next(rng); break;
	}
	return v & mask;
}

/* A fraction of so many bits: empty, full, one bit, its neighbours, or random. */
static u64 fraction(struct rng *rng, unsigned bits)
{
	u64 mask = bits >= 64 ? ~0ull : (1ull << bits) - 1;

	switch (rng_below(rng, 8)) {
	case 0:
	case 1: return 0;
	case 2: return mask;
	case 3: return 1ull << rng_below(rng, bits);
	case 4: return mask ^ 1ull << rng_below(rng, bits);
	case 5: return rng_next(rng) << rng_below(rng, bits) & mask; /* short: sums and products stay exact */
	default: return rng_next(rng) & mask;
	}
}

/* Biased exponents that matter: denormal, smallest, largest, special, near 1, near the limits of integers. */
static u32 exponent(struct rng *rng, unsigned bits)
{
	u32 max = (1u << bits) - 1, bias = max >> 1;

	switch (rng_below(rng, 16)) {
	case 0: return 0;
	case 1: return 1 + rng_below(rng, 3);
	case 2: return max - 1 - rng_below(rng, 3);
	case 3: return max;
	case 4:
	case 5:
	case 6: return bias - 4 + rng_below(rng, 9);
	case 7: return bias + 13 + rng_below(rng, 5);
	case 8: return bias + 29 + rng_below(rng, 5);
	case 9: return bias + 60 + rng_below(rng, 6);
	case 10: return bias - 70 + rng_below(rng, 141);
	case 11: return bias / 2 + rng_below(rng, 8); /* products near the smallest */
	case 12: return bias + bias / 2 + rng_below(rng, 8); /* products near the largest */
	default: return rng_below(rng, max);
	}
}

u32 value_f32(struct rng *rng)
{
	return (u32)(rng_next(rng) & 1) << 31 | exponent(rng, 8) << 23 | (u32)fraction(rng, 23);
}

u64 value_f64(struct rng *rng)
{
	/* A third of the time what a float can hold too, for conversions. */
	u64 f = fraction(rng, 52);
	u64 e = exponent(rng, 11);

	if (rng_one_in(rng, 3))
		f &= ~0ull << 29;
	if (rng_one_in(rng, 6))
		e = 1023 + 126 - rng_below(rng, 280);
	return (rng_next(rng) & 1) << 63 | e << 52 | f;
}

struct st80 value_f80(struct rng *rng)
{
	struct st80 v = {0};
	u32 e = exponent(rng, 15);
	u64 f = fraction(rng, 63);

	switch (rng_below(rng, 6)) {
	case 0: f &= ~0ull << 40; break;
	case 1: f &= ~0ull << 11; break;
	default: break;
	}
	switch (rng_below(rng, 12)) {
	case 0: e = 16383 + 1023 - rng_below(rng, 2100); break; /* the range of double */
	case 1: e = 16383 + 127 - rng_below(rng, 280); break;
	default: break;
	}
	v.se = (u16)(rng_next(rng) << 15) | e;
	v.mant = (e ? 1ull << 63 : 0) | f;
	if (rng_one_in(rng, 24)) /* unnormal, pseudo-denormal, pseudo-infinity, pseudo-NaN */
		v.mant ^= 1ull << 63;
	return v;
}

static void bcd(struct rng *rng, u8 *to)
{
	for (unsigned i = 0; i < 9; i++)
		to[i] = rng_one_in(rng, 3) ? 0 : rng_below(rng, 10) << 4 | rng_below(rng, 10);
	to[9] = rng_next(rng) & 0x80;
	if (rng_one_in(rng, 8))
		to[9] |= rng_next(rng);
}

void value_fill(struct rng *rng, enum value_kind kind, void *to, unsigned bytes)
{
	static const u8 width[V_KINDS] = {1, 2, 4, 8, 4, 8, 10, 10, 8};
	u8 *p = to;

	for (unsigned i = 0; i < bytes; i += width[kind]) {
		u8 v[16] = {0};
		switch (kind) {
		case V_I8: v[0] = value_int(rng, 8); break;
		case V_I16: store16(v, value_int(rng, 16)); break;
		case V_I32: store32(v, value_int(rng, 32)); break;
		case V_I64: store64(v, value_int(rng, 64)); break;
		case V_F32: store32(v, value_f32(rng)); break;
		case V_F64: store64(v, value_f64(rng)); break;
		case V_BCD: bcd(rng, v); break;
		case V_F80: {
			struct st80 f = value_f80(rng);
			memcpy(v, &f, 10);
			break;
		}
		default: store64(v, rng_next(rng)); break;
		}
		memcpy(p + i, v, MIN(width[kind], bytes - i));
	}
}

enum value_kind value_kind_of(const ZydisDecodedOperand *op)
{
	switch (op->element_type) {
	case ZYDIS_ELEMENT_TYPE_FLOAT32: return V_F32;
	case ZYDIS_ELEMENT_TYPE_FLOAT64: return V_F64;
	case ZYDIS_ELEMENT_TYPE_FLOAT80: return V_F80;
	case ZYDIS_ELEMENT_TYPE_LONGBCD: return V_BCD;
	default: break;
	}
	switch (op->element_size ? op->element_size : op->size) {
	case 8: return V_I8;
	case 16: return V_I16;
	case 32: return V_I32;
	case 64: return V_I64;
	default: return V_BITS;
	}
}
