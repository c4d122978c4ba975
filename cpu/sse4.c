/* SPDX-License-Identifier: MIT */
/* SSE4.1 and SSE4.2 integers: what only XMM registers have. Intel SDM vol. 2; the string compares are explained in vol. 1, 12.10
 * and vol. 2, 4.1. */
#include <Zydis/Mnemonic.h>
#include <Zydis/SharedTypes.h>

#include "cpu/flags.h"
#include "cpu/sse.h"

/* ---- lane by lane ---- */
#define LANEWISE(name, L, expr)                                                                                        \
	SSE_OP(name)                                                                                                       \
	{                                                                                                                  \
		for (unsigned i = 0; i < ARRAY_LEN(a.L); i++) {                                                                \
			const __typeof__(a.L[0]) x = a.L[i], y = b.L[i];                                                           \
			a.L[i] = (expr);                                                                                           \
		}                                                                                                              \
		return a;                                                                                                      \
	}
#define VECTORWISE(name, expr)                                                                                         \
	SSE_OP(name)                                                                                                       \
	{                                                                                                                  \
		expr;                                                                                                          \
		return a;                                                                                                      \
	}
VECTORWISE(pmulld, a.vd *= b.vd)
VECTORWISE(pcmpeqq, a.vsq = a.vsq == b.vsq)
VECTORWISE(pcmpgtq, a.vsq = a.vsq > b.vsq)
LANEWISE(pminsb, sb, x < y ? x : y)
LANEWISE(pmaxsb, sb, x > y ? x : y)
LANEWISE(pminuw, w, x < y ? x : y)
LANEWISE(pmaxuw, w, x > y ? x : y)
LANEWISE(pminsd, sd, x < y ? x : y)
LANEWISE(pmaxsd, sd, x > y ? x : y)
LANEWISE(pminud, d, x < y ? x : y)
LANEWISE(pmaxud, d, x > y ? x : y)
SSE_OP(pmuldq) { return (union lanes128){.vsq = {(i64)a.sd[0] * b.sd[0], (i64)a.sd[2] * b.sd[2]}}; }

static always_inline u16 sat_u16(i32 v) { return v < 0 ? 0 : v > 65535 ? 65535 : v; }
SSE_OP(packusdw)
{
	union lanes128 r;
	for (unsigned i = 0; i < 4; i++) {
		r.w[i] = sat_u16(a.sd[i]);
		r.w[i + 4] = sat_u16(b.sd[i]);
	}
	return r;
}

/* ---- extensions ---- */
#define EXTEND(name, to, from, bits)                                                                                   \
	static always_inline union lanes128 name##_of(union lanes128 b)                                                    \
	{                                                                                                                  \
		union lanes128 r;                                                                                              \
		for (unsigned i = 0; i < ARRAY_LEN(r.to); i++)                                                                 \
			r.to[i] = b.from[i];                                                                                       \
		return r;                                                                                                      \
	}                                                                                                                  \
	SSE_REG(name##_x) { sse_set(cpu, in->r[0], name##_of(sse_reg(cpu, in->r[1]))); }                                   \
	SSE_LOAD(name##_m, bits) { sse_set(cpu, in->r[0], name##_of((union lanes128){.vq = {m, 0}})); }
EXTEND(pmovsxbw, sw, sb, 64)
EXTEND(pmovsxbd, sd, sb, 32)
EXTEND(pmovsxbq, sq, sb, 16)
EXTEND(pmovsxwd, sd, sw, 64)
EXTEND(pmovsxwq, sq, sw, 32)
EXTEND(pmovsxdq, sq, sd, 64)
EXTEND(pmovzxbw, w, b, 64)
EXTEND(pmovzxbd, d, b, 32)
EXTEND(pmovzxbq, q, b, 16)
EXTEND(pmovzxwd, d, w, 64)
EXTEND(pmovzxwq, q, w, 32)
EXTEND(pmovzxdq, q, d, 64)

/* ---- blends: by the immediate's bits, or by the top bits of XMM0's lanes ---- */
#define BLEND(name, L)                                                                                                 \
	SSE_OP(name)                                                                                                       \
	{                                                                                                                  \
		for (unsigned i = 0; i < ARRAY_LEN(a.L); i++)                                                                  \
			a.L[i] = in->imm >> i & 1 ? b.L[i] : a.L[i];                                                               \
		return a;                                                                                                      \
	}
BLEND(pblendw, w)
BLEND(blendps, d)
BLEND(blendpd, q)

#define BLENDV(name, V)                                                                                                \
	static always_inline void name##_to(struct cpu *cpu, unsigned to, union lanes128 b)                                \
	{                                                                                                                  \
		const union lanes128 a = sse_reg(cpu, to), mask = {.V = sse_reg(cpu, 0).V < 0};                                \
		sse_set(cpu, to, (union lanes128){.vq = (a.vq & ~mask.vq) | (b.vq & mask.vq)});                                \
	}                                                                                                                  \
	SSE_REG(name##_x) { name##_to(cpu, in->r[0], sse_reg(cpu, in->r[1])); }                                            \
	SSE_LOAD128(name##_m, true) { name##_to(cpu, in->r[0], m); }
BLENDV(pblendvb, vsb)
BLENDV(blendvps, vsd)
BLENDV(blendvpd, vsq)

/* ---- single lanes in and out ---- */
#define EXTRACT(name, L, mask, bits)                                                                                   \
	SSE_REG(name##_r) { set_reg64(cpu, in->r[0], cpu->v[in->r[1]].L[in->imm & mask]); }                                \
	SSE_STORE(name##_m, bits) { return cpu->v[in->r[1]].L[in->imm & mask]; }
EXTRACT(pextrb, b, 15, 8)
EXTRACT(pextrd, d, 3, 32)
EXTRACT(pextrq, q, 1, 64)
SSE_STORE(pextrw_m, 16) { return cpu->v[in->r[1]].w[in->imm & 7]; }

#define INSERT(name, L, mask, bits)                                                                                    \
	SSE_REG(name##_r) { cpu->v[in->r[0]].L[in->imm & mask] = reg64(cpu, in->r[1]); }                                   \
	SSE_LOAD(name##_m, bits) { cpu->v[in->r[0]].L[in->imm & mask] = m; }
INSERT(pinsrb, b, 15, 8)
INSERT(pinsrd, d, 3, 32)
INSERT(pinsrq, q, 1, 64)

static always_inline void insert_single(struct cpu *cpu, const struct insn *in, u32 value)
{
	u32 *d = cpu->v[in->r[0]].d;

	d[in->imm >> 4 & 3] = value;
	for (unsigned i = 0; i < 4; i++)
		if (in->imm >> i & 1)
			d[i] = 0;
}
SSE_REG(insertps_x) { insert_single(cpu, in, cpu->v[in->r[1]].d[in->imm >> 6 & 3]); }
SSE_LOAD(insertps_m, 32) { insert_single(cpu, in, m); }

/* ---- test, sums of differences, minimum ---- */
static always_inline void test(struct cpu *cpu, union lanes128 a, union lanes128 b)
{
	const bool zf = !((a.q[0] & b.q[0]) | (a.q[1] & b.q[1])), cf = !((~a.q[0] & b.q[0]) | (~a.q[1] & b.q[1]));
	flags_set(cpu, (cpu->rflags & ~(u64)FLAGS_ARITH) | (zf ? FLAG_ZF : 0) | (cf ? FLAG_CF : 0));
}
SSE_REG(ptest_x) { test(cpu, sse_reg(cpu, in->r[0]), sse_reg(cpu, in->r[1])); }
SSE_LOAD128(ptest_m, true) { test(cpu, sse_reg(cpu, in->r[0]), m); }

SSE_PICK(mpsadbw)
{
	const u8 *from = a->b + (in->imm & 4);
	const u32 block = b->d[in->imm & 3];
	union lanes128 r;

	for (unsigned i = 0; i < 8; i++) {
		i32 sum = 0;
		for (unsigned k = 0; k < 4; k++) {
			i32 d = from[i + k] - (i32)(block >> k * 8 & 0xff);
			sum += d < 0 ? -d : d;
		}
		r.w[i] = sum;
	}
	return r;
}
SSE_OP(phminposuw)
{
	u32 least = ~0u; /* the word above its position: the smaller position wins among equals */

	for (unsigned i = 0; i < 8; i++)
		least = MIN(least, (u32)b.w[i] << 16 | i);
	return (union lanes128){.vq = {least >> 16 | (least & 7) << 16, 0}};
}

/* ---- string compares ---- */

/* A lane has all bits set or none: a bit for each. */
static always_inline u32 lanes_set(union lanes128 v, const bool words)
{
	const u64 top = 0x8000800080008000, gather = 0x0000200040008001; /* brings bit 16i + 15 to bit 60 + i */

	return words ? (v.q[0] & top) * gather >> 60 | (v.q[1] & top) * gather >> 60 << 4 : sse_mask8(v);
}
static always_inline union lanes128 all_equal(const union lanes128 *v, unsigned i, const bool words)
{
	const u64 q = words ? v->w[i] * 0x0001000100010001ull : v->b[i] * 0x0101010101010101ull;

	return (union lanes128){.vq = {q, q}};
}
static always_inline union lanes128 equal(union lanes128 x, union lanes128 y, const bool words)
{
	return words ? (union lanes128){.vsw = x.vsw == y.vsw} : (union lanes128){.vsb = x.vsb == y.vsb};
}
static always_inline union lanes128 greater(union lanes128 x, union lanes128 y, const bool words)
{
	return words ? (union lanes128){.vsw = x.vsw > y.vsw} : (union lanes128){.vsb = x.vsb > y.vsb};
}
static always_inline u32 low_bits(unsigned n)
{
	return (1u << n) - 1;
}

/* Up to the first zero element. */
static always_inline unsigned implicit_length(union lanes128 v, const bool words)
{
	const u32 zeros = lanes_set(equal(v, (union lanes128){.vq = {0, 0}}, words), words);

	return zeros ? (unsigned)__builtin_ctz(zeros) : words ? 8 : 16;
}
static always_inline unsigned explicit_length(u64 reg, bool wide, unsigned n)
{
	const i64 v = wide ? (i64)reg : (i32)reg;
	const u64 magnitude = v < 0 ? 0 - (u64)v : (u64)v;

	return MIN(magnitude, n);
}

/* The aggregation in the immediate's bits 3:2, of all pairs of the la and lb valid elements, into a bit per element of b. */
static always_inline u32 aggregate(unsigned imm, union lanes128 a, union lanes128 b, unsigned la, unsigned lb, const bool words)
{
	const unsigned n = words ? 8 : 16;
	union lanes128 hit = {0};
	u32 r = low_bits(n);

	switch (imm >> 2 & 3) {
	case 0: /* equal any */
		for (unsigned i = 0; i < la; i++)
			hit.vq |= equal(all_equal(&a, i, words), b, words).vq;
		return lanes_set(hit, words) & low_bits(lb);
	case 1: /* ranges: pairs of bounds in a */
		if (!(imm & 2)) { /* unsigned: in the same order as signed numbers */
			const u64 top = words ? 0x8000800080008000 : 0x8080808080808080;
			a.vq ^= top;
			b.vq ^= top;
		}
		for (unsigned i = 0; i + 1 < la; i += 2)
			hit.vq |= ~(greater(all_equal(&a, i, words), b, words).vq | greater(b, all_equal(&a, i + 1, words), words).vq);
		return lanes_set(hit, words) & low_bits(lb);
	case 2: /* equal each: two invalid elements are equal */
		return (lanes_set(equal(a, b, words), words) & low_bits(MIN(la, lb))) | (r & ~low_bits(MAX(la, lb)));
	default: /* equal ordered: a found in b from here on, or as much of it as there is room for */
		for (unsigned i = 0; i < la; i++)
			r &= (lanes_set(equal(all_equal(&a, i, words), b, words), words) & low_bits(lb)) >> i | ~low_bits(n - i);
		return r;
	}
}

static always_inline u32 string_compare(struct cpu *cpu, const struct insn *in, union lanes128 b, const bool lengths,
                                        const bool words)
{
	const unsigned imm = in->imm, n = words ? 8 : 16;
	const bool wide = in->prefix & INSN_REXW;
	const union lanes128 a = sse_reg(cpu, in->r[0]);
	const unsigned la = lengths ? explicit_length(reg64(cpu, RAX), wide, n) : implicit_length(a, words);
	const unsigned lb = lengths ? explicit_length(reg64(cpu, RDX), wide, n) : implicit_length(b, words);

	u32 r = aggregate(imm, a, b, la, lb, words);
	if (imm & 0x10) /* negative polarity; masked: only where b is valid */
		r ^= low_bits(imm & 0x20 ? lb : n);
	flags_set(cpu, (cpu->rflags & ~(u64)FLAGS_ARITH) | (r ? FLAG_CF : 0) | (lb < n ? FLAG_ZF : 0) | (la < n ? FLAG_SF : 0) |
	                   (r & 1 ? FLAG_OF : 0));
	return r;
}

static always_inline void string_index(struct cpu *cpu, const struct insn *in, u32 r)
{
	const unsigned none = in->imm & 1 ? 8 : 16;

	set_reg64(cpu, RCX, !r ? none : in->imm & 0x40 ? 31u - __builtin_clz(r) : (unsigned)__builtin_ctz(r));
}
static always_inline void string_mask(struct cpu *cpu, const struct insn *in, u32 r)
{
	union lanes128 v = {.vq = {r, 0}};

	if (in->imm & 0x40)
		for (unsigned i = 0; i < 16; i++)
			v.b[i] = 0 - (r >> (in->imm & 1 ? i / 2 : i) & 1);
	sse_set(cpu, 0, v);
}

#define STRINGS(name, lengths, finish)                                                                                 \
	static noinline void name##_of(struct cpu *cpu, const struct insn *in, union lanes128 b)                           \
	{                                                                                                                  \
		const u32 r = in->imm & 1 ? string_compare(cpu, in, b, lengths, true) : string_compare(cpu, in, b, lengths, false); \
		finish(cpu, in, r);                                                                                            \
	}                                                                                                                  \
	SSE_REG(name##_x) { name##_of(cpu, in, sse_reg(cpu, in->r[1])); }                                                  \
	SSE_LOAD128(name##_m, false) { name##_of(cpu, in, m); }
STRINGS(pcmpestri, true, string_index)
STRINGS(pcmpistri, false, string_index)
STRINGS(pcmpestrm, true, string_mask)
STRINGS(pcmpistrm, false, string_mask)

#define X(mnemonic, fn) SSE_ROW_OP(mnemonic, FEAT_SSE41, fn)
#define XI(mnemonic, fn) SSE_ROW_OP_I(mnemonic, FEAT_SSE41, fn)
#define EXT(mnemonic, bits, fn)                                                                                        \
	SSE_ROW(mnemonic, O_X, O_X, FEAT_SSE41, fn##_x), SSE_ROW_LOAD(mnemonic, bits, FEAT_SSE41, fn##_m)
#define RI(mnemonic, first, second, fn) SSE_ROW_I(mnemonic, first, second, FEAT_SSE41, fn)
static const struct form table[] = {
	X(PMULLD, pmulld), X(PMULDQ, pmuldq), X(PCMPEQQ, pcmpeqq), X(PMINSB, pminsb), X(PMAXSB, pmaxsb), X(PMINUW, pminuw),
	X(PMAXUW, pmaxuw), X(PMINSD, pminsd), X(PMAXSD, pmaxsd), X(PMINUD, pminud), X(PMAXUD, pmaxud), X(PACKUSDW, packusdw),
	X(PTEST, ptest), X(PHMINPOSUW, phminposuw), X(PBLENDVB, pblendvb), X(BLENDVPS, blendvps), X(BLENDVPD, blendvpd),
	XI(PBLENDW, pblendw), XI(BLENDPS, blendps), XI(BLENDPD, blendpd), XI(MPSADBW, mpsadbw),
	EXT(PMOVSXBW, 64, pmovsxbw), EXT(PMOVSXBD, 32, pmovsxbd), EXT(PMOVSXBQ, 16, pmovsxbq), EXT(PMOVSXWD, 64, pmovsxwd),
	EXT(PMOVSXWQ, 32, pmovsxwq), EXT(PMOVSXDQ, 64, pmovsxdq), EXT(PMOVZXBW, 64, pmovzxbw), EXT(PMOVZXBD, 32, pmovzxbd),
	EXT(PMOVZXBQ, 16, pmovzxbq), EXT(PMOVZXWD, 64, pmovzxwd), EXT(PMOVZXWQ, 32, pmovzxwq), EXT(PMOVZXDQ, 64, pmovzxdq),
	RI(PEXTRB, O_R32, O_X, pextrb_r), RI(PEXTRB, O_R64, O_X, pextrb_r), RI(PEXTRB, O_M8, O_X, pextrb_m),
	RI(PEXTRW, O_M16, O_X, pextrw_m), RI(PEXTRD, O_R32, O_X, pextrd_r), RI(PEXTRD, O_M32, O_X, pextrd_m),
	RI(PEXTRQ, O_R64, O_X, pextrq_r), RI(PEXTRQ, O_M64, O_X, pextrq_m),
	RI(EXTRACTPS, O_R32, O_X, pextrd_r), RI(EXTRACTPS, O_R64, O_X, pextrd_r), RI(EXTRACTPS, O_M32, O_X, pextrd_m),
	RI(PINSRB, O_X, O_R32, pinsrb_r), RI(PINSRB, O_X, O_R64, pinsrb_r), RI(PINSRB, O_X, O_M8, pinsrb_m),
	RI(PINSRD, O_X, O_R32, pinsrd_r), RI(PINSRD, O_X, O_M32, pinsrd_m),
	RI(PINSRQ, O_X, O_R64, pinsrq_r), RI(PINSRQ, O_X, O_M64, pinsrq_m),
	RI(INSERTPS, O_X, O_X, insertps_x), RI(INSERTPS, O_X, O_M32, insertps_m),
	SSE_ROW_OP(PCMPGTQ, FEAT_SSE42, pcmpgtq),
	SSE_ROW_OP_I(PCMPESTRI, FEAT_SSE42, pcmpestri), SSE_ROW_OP_I(PCMPISTRI, FEAT_SSE42, pcmpistri),
	SSE_ROW_OP_I(PCMPESTRM, FEAT_SSE42, pcmpestrm), SSE_ROW_OP_I(PCMPISTRM, FEAT_SSE42, pcmpistrm),
};
const struct form_table sse4_forms = {table, ARRAY_LEN(table)};
