/* SPDX-License-Identifier: MIT */
/* AES, carry-less multiplication, SHA-1 and SHA-256. FIPS 197 and 180-4; Intel SDM vol. 2. */
#include <Zydis/Mnemonic.h>
#include <Zydis/SharedTypes.h>
#include <pthread.h>

#include "cpu/sse.h"

/* ---- AES: the S-box is the inverse in GF(2^8) and an affine map (FIPS 197, 5.1.1), tabulated once ---- */
static u8 sbox[256], inverse_sbox[256];
static pthread_once_t once = PTHREAD_ONCE_INIT;

static u8 times2(u8 v) { return v << 1 ^ (v & 0x80 ? 0x1b : 0); }
static u8 gf_multiply(u8 a, u8 b)
{
	u8 r = 0;

	for (; b; b >>= 1, a = times2(a))
		if (b & 1)
			r ^= a;
	return r;
}

static void make_tables(void)
{
	/* 3 generates the field's units: p runs through them, q through their inverses (3 * 0xf6 = 1) */
	u8 p = 1, q = 1;

	do {
		p = gf_multiply(p, 3);
		q = gf_multiply(q, 0xf6);
		u8 s = q ^ (u8)(q << 1 | q >> 7) ^ (u8)(q << 2 | q >> 6) ^ (u8)(q << 3 | q >> 5) ^ (u8)(q << 4 | q >> 4) ^ 0x63;
		sbox[p] = s;
		inverse_sbox[s] = p;
	} while (p != 1);
	sbox[0] = 0x63;
	inverse_sbox[0x63] = 0;
}

/* Row r of the state moves by r columns; byte i lies in row i & 3 of column i >> 2. */
static union lanes128 sub_and_shift(union lanes128 s)
{
	union lanes128 r;

	for (unsigned i = 0; i < 16; i++)
		r.b[i] = sbox[s.b[(i + 4 * (i & 3)) & 15]];
	return r;
}
static union lanes128 inverse_sub_and_shift(union lanes128 s)
{
	union lanes128 r;

	for (unsigned i = 0; i < 16; i++)
		r.b[i] = inverse_sbox[s.b[(i - 4 * (i & 3)) & 15]];
	return r;
}
static union lanes128 mix_columns(union lanes128 s)
{
	union lanes128 r;

	for (unsigned c = 0; c < 16; c += 4) {
		u8 all = s.b[c] ^ s.b[c + 1] ^ s.b[c + 2] ^ s.b[c + 3];
		for (unsigned i = 0; i < 4; i++)
			r.b[c + i] = s.b[c + i] ^ all ^ times2(s.b[c + i] ^ s.b[c + ((i + 1) & 3)]);
	}
	return r;
}
/* The inverse polynomial is the forward one times (4 x^2 + 5): mix a premultiplied state. */
static union lanes128 inverse_mix_columns(union lanes128 s)
{
	for (unsigned c = 0; c < 16; c += 4) {
		u8 u = times2(times2(s.b[c] ^ s.b[c + 2])), v = times2(times2(s.b[c + 1] ^ s.b[c + 3]));
		s.b[c] ^= u;
		s.b[c + 1] ^= v;
		s.b[c + 2] ^= u;
		s.b[c + 3] ^= v;
	}
	return mix_columns(s);
}

#define AES_ROUND(name, expr)                                                                                          \
	OP(name)                                                                                                           \
	{                                                                                                                  \
		sse_check(cpu);                                                                                                \
		pthread_once(&once, make_tables);                                                                              \
		union lanes128 s = sse_reg(cpu, in->r[0]), key = sse_source(cpu, in);                                          \
		s = expr;                                                                                                      \
		s.q[0] ^= key.q[0];                                                                                            \
		s.q[1] ^= key.q[1];                                                                                            \
		sse_set(cpu, in->r[0], s);                                                                                     \
	}
AES_ROUND(aesenc, mix_columns(sub_and_shift(s)))
AES_ROUND(aesenclast, sub_and_shift(s))
AES_ROUND(aesdec, inverse_mix_columns(inverse_sub_and_shift(s)))
AES_ROUND(aesdeclast, inverse_sub_and_shift(s))
OP(aesimc)
{
	sse_check(cpu);
	pthread_once(&once, make_tables);
	sse_set(cpu, in->r[0], inverse_mix_columns(sse_source(cpu, in)));
}
static u32 sub_word(u32 w)
{
	return sbox[w & 0xff] | sbox[w >> 8 & 0xff] << 8 | sbox[w >> 16 & 0xff] << 16 | (u32)sbox[w >> 24] << 24;
}
OP(aeskeygenassist)
{
	sse_check(cpu);
	pthread_once(&once, make_tables);
	union lanes128 b = sse_source(cpu, in), r;
	u32 rcon = (u8)in->imm;
	for (unsigned i = 0; i < 2; i++) {
		u32 w = sub_word(b.d[2 * i + 1]);
		r.d[2 * i] = w;
		r.d[2 * i + 1] = (w >> 8 | w << 24) ^ rcon;
	}
	sse_set(cpu, in->r[0], r);
}

/* ---- carry-less multiplication: four bits of a at a time ---- */
OP(pclmulqdq)
{
	sse_check(cpu);
	union lanes128 x = sse_reg(cpu, in->r[0]), y = sse_source(cpu, in);
	u64 a = x.q[in->imm & 1], b = y.q[in->imm >> 4 & 1];
	u128 multiple[16] = {0}, r = 0;
	for (unsigned i = 1; i < 16; i++)
		multiple[i] = multiple[i >> 1] << 1 ^ (i & 1 ? b : 0);
	for (int shift = 60; shift >= 0; shift -= 4)
		r = r << 4 ^ multiple[a >> shift & 15];
	sse_set(cpu, in->r[0], (union lanes128){.q = {(u64)r, (u64)(r >> 64)}});
}

/* ---- SHA ---- */
/* AMD's CPUs do not mind where in memory it lies. */
static union lanes128 sha_source(struct cpu *cpu, const struct insn *in)
{
	return in->ea ? sse_load(cpu, in, cpu->flavour != FLAVOUR_AMD) : sse_reg(cpu, in->r[1]);
}

static u32 rol(u32 v, unsigned n) { return v << n | v >> (32 - n); }
static u32 ror(u32 v, unsigned n) { return v >> n | v << (32 - n); }

OP(sha1rnds4)
{
	static const u32 k[4] = {0x5a827999, 0x6ed9eba1, 0x8f1bbcdc, 0xca62c1d6};
	sse_check(cpu);
	union lanes128 s = sse_reg(cpu, in->r[0]), w = sha_source(cpu, in);
	u32 a = s.d[3], b = s.d[2], c = s.d[1], d = s.d[0], e = 0;
	unsigned f = in->imm & 3;
	for (unsigned i = 0; i < 4; i++) {
		u32 mix = f == 0 ? (b & c) ^ (~b & d) : f == 2 ? (b & c) ^ (b & d) ^ (c & d) : b ^ c ^ d;
		u32 t = mix + rol(a, 5) + w.d[3 - i] + e + k[f];
		e = d;
		d = c;
		c = rol(b, 30);
		b = a;
		a = t;
	}
	sse_set(cpu, in->r[0], (union lanes128){.d = {d, c, b, a}});
}
OP(sha1nexte)
{
	sse_check(cpu);
	union lanes128 b = sha_source(cpu, in);
	b.d[3] += rol(cpu->v[in->r[0]].d[3], 30);
	sse_set(cpu, in->r[0], b);
}
OP(sha1msg1)
{
	sse_check(cpu);
	union lanes128 a = sse_reg(cpu, in->r[0]), b = sha_source(cpu, in);
	sse_set(cpu, in->r[0], (union lanes128){.d = {a.d[0] ^ b.d[2], a.d[1] ^ b.d[3], a.d[2] ^ a.d[0], a.d[3] ^ a.d[1]}});
}
OP(sha1msg2)
{
	sse_check(cpu);
	union lanes128 a = sse_reg(cpu, in->r[0]), b = sha_source(cpu, in), r;
	r.d[3] = rol(a.d[3] ^ b.d[2], 1);
	r.d[2] = rol(a.d[2] ^ b.d[1], 1);
	r.d[1] = rol(a.d[1] ^ b.d[0], 1);
	r.d[0] = rol(a.d[0] ^ r.d[3], 1);
	sse_set(cpu, in->r[0], r);
}
OP(sha256rnds2)
{
	sse_check(cpu);
	union lanes128 old = sse_reg(cpu, in->r[0]), now = sha_source(cpu, in), wk = sse_reg(cpu, 0);
	u32 a = now.d[3], b = now.d[2], c = old.d[3], d = old.d[2], e = now.d[1], f = now.d[0], g = old.d[1], h = old.d[0];
	for (unsigned i = 0; i < 2; i++) {
		u32 t = ((e & f) ^ (~e & g)) + (ror(e, 6) ^ ror(e, 11) ^ ror(e, 25)) + wk.d[i] + h;
		u32 top = t + ((a & b) ^ (a & c) ^ (b & c)) + (ror(a, 2) ^ ror(a, 13) ^ ror(a, 22));
		h = g;
		g = f;
		f = e;
		e = t + d;
		d = c;
		c = b;
		b = a;
		a = top;
	}
	sse_set(cpu, in->r[0], (union lanes128){.d = {f, e, b, a}});
}
static u32 sigma0(u32 v) { return ror(v, 7) ^ ror(v, 18) ^ v >> 3; }
static u32 sigma1(u32 v) { return ror(v, 17) ^ ror(v, 19) ^ v >> 10; }
OP(sha256msg1)
{
	sse_check(cpu);
	union lanes128 a = sse_reg(cpu, in->r[0]), b = sha_source(cpu, in);
	for (unsigned i = 0; i < 4; i++)
		a.d[i] += sigma0(i < 3 ? sse_reg(cpu, in->r[0]).d[i + 1] : b.d[0]);
	sse_set(cpu, in->r[0], a);
}
OP(sha256msg2)
{
	sse_check(cpu);
	union lanes128 a = sse_reg(cpu, in->r[0]), b = sha_source(cpu, in);
	a.d[0] += sigma1(b.d[2]);
	a.d[1] += sigma1(b.d[3]);
	a.d[2] += sigma1(a.d[0]);
	a.d[3] += sigma1(a.d[1]);
	sse_set(cpu, in->r[0], a);
}

#define R(mnemonic, feature, fn) {ZYDIS_MNEMONIC_##mnemonic, {O_X, O_XM128}, 0, feature, fn}
#define RI(mnemonic, feature, fn) {ZYDIS_MNEMONIC_##mnemonic, {O_X, O_XM128, O_I}, 0, feature, fn}
static const struct form table[] = {
	R(AESENC, FEAT_AES, aesenc), R(AESENCLAST, FEAT_AES, aesenclast), R(AESDEC, FEAT_AES, aesdec),
	R(AESDECLAST, FEAT_AES, aesdeclast), R(AESIMC, FEAT_AES, aesimc), RI(AESKEYGENASSIST, FEAT_AES, aeskeygenassist),
	RI(PCLMULQDQ, FEAT_PCLMULQDQ, pclmulqdq),
	RI(SHA1RNDS4, FEAT_SHA, sha1rnds4), R(SHA1NEXTE, FEAT_SHA, sha1nexte), R(SHA1MSG1, FEAT_SHA, sha1msg1),
	R(SHA1MSG2, FEAT_SHA, sha1msg2), R(SHA256RNDS2, FEAT_SHA, sha256rnds2), R(SHA256MSG1, FEAT_SHA, sha256msg1),
	R(SHA256MSG2, FEAT_SHA, sha256msg2),
};
const struct form_table sse_crypto_forms = {table, ARRAY_LEN(table)};
