/* SPDX-License-Identifier: MIT */
/* SSE4.1 and SSE4.2 integers: what only XMM registers have. Intel SDM vol. 2; the string compares are explained in vol. 1, 12.10
 * and vol. 2, 4.1. */
#include <Zydis/Mnemonic.h>
#include <Zydis/SharedTypes.h>

#include "cpu/flags.h"
#include "cpu/sse.h"

/* ---- lane by lane ---- */
#define LANEWISE(name, L, expr)                                                                                        \
	OP(name)                                                                                                           \
	{                                                                                                                  \
		sse_check(cpu);                                                                                                \
		union lanes128 a = sse_reg(cpu, in->r[0]), b = sse_source(cpu, in);                                            \
		for (unsigned i = 0; i < ARRAY_LEN(a.L); i++) {                                                                \
			__typeof__(a.L[0]) x = a.L[i], y = b.L[i];                                                                 \
			a.L[i] = (expr);                                                                                           \
		}                                                                                                              \
		sse_set(cpu, in->r[0], a);                                                                                     \
	}
LANEWISE(pmulld, d, x *y)
LANEWISE(pcmpeqq, q, x == y ? ~0ull : 0)
LANEWISE(pcmpgtq, sq, x > y ? -1 : 0)
LANEWISE(pminsb, sb, x < y ? x : y)
LANEWISE(pmaxsb, sb, x > y ? x : y)
LANEWISE(pminuw, w, x < y ? x : y)
LANEWISE(pmaxuw, w, x > y ? x : y)
LANEWISE(pminsd, sd, x < y ? x : y)
LANEWISE(pmaxsd, sd, x > y ? x : y)
LANEWISE(pminud, d, x < y ? x : y)
LANEWISE(pmaxud, d, x > y ? x : y)
OP(pmuldq)
{
	sse_check(cpu);
	union lanes128 a = sse_reg(cpu, in->r[0]), b = sse_source(cpu, in);
	for (unsigned i = 0; i < 2; i++)
		a.sq[i] = (i64)a.sd[2 * i] * b.sd[2 * i];
	sse_set(cpu, in->r[0], a);
}
static u16 sat_u16(i32 v) { return v < 0 ? 0 : v > 65535 ? 65535 : v; }
OP(packusdw)
{
	sse_check(cpu);
	union lanes128 a = sse_reg(cpu, in->r[0]), b = sse_source(cpu, in), r;
	for (unsigned i = 0; i < 4; i++) {
		r.w[i] = sat_u16(a.sd[i]);
		r.w[i + 4] = sat_u16(b.sd[i]);
	}
	sse_set(cpu, in->r[0], r);
}

/* ---- extensions ---- */
#define EXTEND(name, to, from, load)                                                                                   \
	OP(name)                                                                                                           \
	{                                                                                                                  \
		sse_check(cpu);                                                                                                \
		union lanes128 b = {.q = {load(cpu, in)}}, r;                                                                  \
		for (unsigned i = 0; i < ARRAY_LEN(r.to); i++)                                                                 \
			r.to[i] = b.from[i];                                                                                       \
		sse_set(cpu, in->r[0], r);                                                                                     \
	}
EXTEND(pmovsxbw, sw, sb, sse_source64)
EXTEND(pmovsxbd, sd, sb, sse_source32)
EXTEND(pmovsxbq, sq, sb, sse_source16)
EXTEND(pmovsxwd, sd, sw, sse_source64)
EXTEND(pmovsxwq, sq, sw, sse_source32)
EXTEND(pmovsxdq, sq, sd, sse_source64)
EXTEND(pmovzxbw, w, b, sse_source64)
EXTEND(pmovzxbd, d, b, sse_source32)
EXTEND(pmovzxbq, q, b, sse_source16)
EXTEND(pmovzxwd, d, w, sse_source64)
EXTEND(pmovzxwq, q, w, sse_source32)
EXTEND(pmovzxdq, q, d, sse_source64)

/* ---- blends: by the immediate's bits, or by the top bits of XMM0's lanes ---- */
#define BLEND(name, L)                                                                                                 \
	OP(name)                                                                                                           \
	{                                                                                                                  \
		sse_check(cpu);                                                                                                \
		union lanes128 a = sse_reg(cpu, in->r[0]), b = sse_source(cpu, in);                                            \
		for (unsigned i = 0; i < ARRAY_LEN(a.L); i++)                                                                  \
			a.L[i] = in->imm >> i & 1 ? b.L[i] : a.L[i];                                                               \
		sse_set(cpu, in->r[0], a);                                                                                     \
	}
#define BLENDV(name, L, sL)                                                                                            \
	OP(name)                                                                                                           \
	{                                                                                                                  \
		sse_check(cpu);                                                                                                \
		union lanes128 a = sse_reg(cpu, in->r[0]), b = sse_source(cpu, in), mask = sse_reg(cpu, 0);                    \
		for (unsigned i = 0; i < ARRAY_LEN(a.L); i++)                                                                  \
			a.L[i] = mask.sL[i] < 0 ? b.L[i] : a.L[i];                                                                 \
		sse_set(cpu, in->r[0], a);                                                                                     \
	}
BLEND(pblendw, w)
BLEND(blendps, d)
BLEND(blendpd, q)
BLENDV(pblendvb, b, sb)
BLENDV(blendvps, d, sd)
BLENDV(blendvpd, q, sq)

/* ---- single lanes in and out ---- */
#define EXTRACT(name, L, mask, bits)                                                                                   \
	OP(name##_r) { sse_check(cpu); cpu->gpr[in->r[0]] = cpu->v[in->r[1]].L[in->imm & mask]; }                          \
	OP(name##_m) { sse_check(cpu); mem_write##bits(cpu, in, cpu->v[in->r[1]].L[in->imm & mask]); }
EXTRACT(pextrb, b, 15, 8)
EXTRACT(pextrd, d, 3, 32)
EXTRACT(pextrq, q, 1, 64)
#define INSERT(name, L, mask, bits)                                                                                    \
	OP(name##_r) { sse_check(cpu); cpu->v[in->r[0]].L[in->imm & mask] = cpu->gpr[in->r[1]]; }                          \
	OP(name##_m) { sse_check(cpu); cpu->v[in->r[0]].L[in->imm & mask] = mem_read##bits(cpu, in); }
OP(pextrw_m) { sse_check(cpu); mem_write16(cpu, in, cpu->v[in->r[1]].w[in->imm & 7]); }
INSERT(pinsrb, b, 15, 8)
INSERT(pinsrd, d, 3, 32)
INSERT(pinsrq, q, 1, 64)
OP(insertps)
{
	sse_check(cpu);
	u32 value = in->ea ? mem_read32(cpu, in) : cpu->v[in->r[1]].d[in->imm >> 6 & 3];
	union lanes128 a = sse_reg(cpu, in->r[0]);
	a.d[in->imm >> 4 & 3] = value;
	for (unsigned i = 0; i < 4; i++)
		if (in->imm >> i & 1)
			a.d[i] = 0;
	sse_set(cpu, in->r[0], a);
}

/* ---- test, sums of differences, minimum ---- */
OP(ptest)
{
	sse_check(cpu);
	union lanes128 a = sse_reg(cpu, in->r[0]), b = sse_source(cpu, in);
	bool zf = !((a.q[0] & b.q[0]) | (a.q[1] & b.q[1])), cf = !((~a.q[0] & b.q[0]) | (~a.q[1] & b.q[1]));
	flags_set(cpu, (cpu->rflags & ~(u64)FLAGS_ARITH) | (zf ? FLAG_ZF : 0) | (cf ? FLAG_CF : 0));
}
OP(mpsadbw)
{
	sse_check(cpu);
	union lanes128 a = sse_reg(cpu, in->r[0]), b = sse_source(cpu, in), r;
	unsigned from = in->imm >> 2 & 1 ? 4 : 0, block = (in->imm & 3) * 4;
	for (unsigned i = 0; i < 8; i++) {
		unsigned sum = 0;
		for (unsigned k = 0; k < 4; k++) {
			i32 d = a.b[from + i + k] - b.b[block + k];
			sum += d < 0 ? -d : d;
		}
		r.w[i] = sum;
	}
	sse_set(cpu, in->r[0], r);
}
OP(phminposuw)
{
	sse_check(cpu);
	union lanes128 b = sse_source(cpu, in), r = {0};
	unsigned at = 0;
	for (unsigned i = 1; i < 8; i++)
		if (b.w[i] < b.w[at])
			at = i;
	r.w[0] = b.w[at];
	r.w[1] = at;
	sse_set(cpu, in->r[0], r);
}

/* ---- string compares ---- */
struct strings {
	i32 a[16], b[16]; /* elements as the immediate types them */
	unsigned n;       /* elements a register: 16 or 8 */
	unsigned la, lb;  /* valid ones */
};

static void elements(i32 *to, const union lanes128 *v, unsigned imm)
{
	for (unsigned i = 0; i < (imm & 1 ? 8u : 16u); i++)
		to[i] = imm & 1 ? (imm & 2 ? v->sw[i] : v->w[i]) : (imm & 2 ? v->sb[i] : v->b[i]);
}

/* Up to the first zero element. */
static unsigned implicit_length(const i32 *v, unsigned n)
{
	unsigned i = 0;
	while (i < n && v[i])
		i++;
	return i;
}

static unsigned explicit_length(u64 reg, bool wide, unsigned n)
{
	i64 v = wide ? (i64)reg : (i32)reg;
	u64 magnitude = v < 0 ? 0 - (u64)v : (u64)v;
	return MIN(magnitude, n);
}

/* One aggregation (imm bits 3:2) of all pairs into a bit per element of b. */
static u32 aggregate(const struct strings *s, unsigned kind)
{
	u32 result = 0;

	for (unsigned j = 0; j < s->n; j++) {
		bool bit = false;
		switch (kind) {
		case 0: /* equal any */
			for (unsigned i = 0; i < s->la && j < s->lb; i++)
				bit |= s->a[i] == s->b[j];
			break;
		case 1: /* ranges: pairs of bounds in a */
			for (unsigned i = 0; i + 1 < s->la && j < s->lb; i += 2)
				bit |= s->b[j] >= s->a[i] && s->b[j] <= s->a[i + 1];
			break;
		case 2: /* equal each: two invalid elements are equal */
			bit = j < s->la && j < s->lb ? s->a[j] == s->b[j] : j >= s->la && j >= s->lb;
			break;
		default: /* equal ordered: a found in b from j on */
			bit = true;
			for (unsigned i = 0; i < s->la && i + j < s->n && bit; i++)
				bit = i + j < s->lb && s->a[i] == s->b[i + j];
			break;
		}
		result |= (u32)bit << j;
	}
	return result;
}

static u32 string_compare(struct cpu *cpu, const struct insn *in, bool lengths)
{
	union lanes128 a = sse_reg(cpu, in->r[0]), b = in->ea ? sse_load(cpu, in, false) : sse_reg(cpu, in->r[1]);
	unsigned imm = in->imm;
	struct strings s = {.n = imm & 1 ? 8 : 16};

	elements(s.a, &a, imm);
	elements(s.b, &b, imm);
	bool wide = in->prefix & INSN_REXW;
	s.la = lengths ? explicit_length(cpu->gpr[RAX], wide, s.n) : implicit_length(s.a, s.n);
	s.lb = lengths ? explicit_length(cpu->gpr[RDX], wide, s.n) : implicit_length(s.b, s.n);
	u32 all = (1u << s.n) - 1, r = aggregate(&s, imm >> 2 & 3);
	if (imm & 0x10) /* negative polarity; masked: only where b is valid */
		r ^= imm & 0x20 ? (1u << s.lb) - 1 : all;
	flags_set(cpu, (cpu->rflags & ~(u64)FLAGS_ARITH) | (r ? FLAG_CF : 0) | (s.lb < s.n ? FLAG_ZF : 0) | (s.la < s.n ? FLAG_SF : 0) |
	                   (r & 1 ? FLAG_OF : 0));
	return r;
}

static void string_index(struct cpu *cpu, const struct insn *in, u32 r)
{
	unsigned n = in->imm & 1 ? 8 : 16;

	cpu->gpr[RCX] = !r ? n : in->imm & 0x40 ? 31u - __builtin_clz(r) : (unsigned)__builtin_ctz(r);
}

static void string_mask(struct cpu *cpu, const struct insn *in, u32 r)
{
	union lanes128 v = {.q = {r}};

	if (in->imm & 0x40)
		for (unsigned i = 0; i < 16; i++) {
			if (!(in->imm & 1))
				v.b[i] = r >> i & 1 ? 0xff : 0;
			else if (i < 8)
				v.w[i] = r >> i & 1 ? 0xffff : 0;
		}
	sse_set(cpu, 0, v);
}
OP(pcmpestri) { sse_check(cpu); string_index(cpu, in, string_compare(cpu, in, true)); }
OP(pcmpistri) { sse_check(cpu); string_index(cpu, in, string_compare(cpu, in, false)); }
OP(pcmpestrm) { sse_check(cpu); string_mask(cpu, in, string_compare(cpu, in, true)); }
OP(pcmpistrm) { sse_check(cpu); string_mask(cpu, in, string_compare(cpu, in, false)); }

#define X(mnemonic, fn) {ZYDIS_MNEMONIC_##mnemonic, {O_X, O_XM128}, 0, FEAT_SSE41, fn}
#define XI(mnemonic, fn) {ZYDIS_MNEMONIC_##mnemonic, {O_X, O_XM128, O_I}, 0, FEAT_SSE41, fn}
#define XS(mnemonic, size, fn) {ZYDIS_MNEMONIC_##mnemonic, {O_X, size}, 0, FEAT_SSE41, fn}
#define RI(mnemonic, a, b, fn) {ZYDIS_MNEMONIC_##mnemonic, {a, b, O_I}, 0, FEAT_SSE41, fn}
static const struct form table[] = {
	X(PMULLD, pmulld), X(PMULDQ, pmuldq), X(PCMPEQQ, pcmpeqq), X(PMINSB, pminsb), X(PMAXSB, pmaxsb), X(PMINUW, pminuw),
	X(PMAXUW, pmaxuw), X(PMINSD, pminsd), X(PMAXSD, pmaxsd), X(PMINUD, pminud), X(PMAXUD, pmaxud), X(PACKUSDW, packusdw),
	X(PTEST, ptest), X(PHMINPOSUW, phminposuw), X(PBLENDVB, pblendvb), X(BLENDVPS, blendvps), X(BLENDVPD, blendvpd),
	XI(PBLENDW, pblendw), XI(BLENDPS, blendps), XI(BLENDPD, blendpd), XI(MPSADBW, mpsadbw),
	XS(PMOVSXBW, O_XM64, pmovsxbw), XS(PMOVSXBD, O_XM32, pmovsxbd), XS(PMOVSXBQ, O_XM16, pmovsxbq),
	XS(PMOVSXWD, O_XM64, pmovsxwd), XS(PMOVSXWQ, O_XM32, pmovsxwq), XS(PMOVSXDQ, O_XM64, pmovsxdq),
	XS(PMOVZXBW, O_XM64, pmovzxbw), XS(PMOVZXBD, O_XM32, pmovzxbd), XS(PMOVZXBQ, O_XM16, pmovzxbq),
	XS(PMOVZXWD, O_XM64, pmovzxwd), XS(PMOVZXWQ, O_XM32, pmovzxwq), XS(PMOVZXDQ, O_XM64, pmovzxdq),
	RI(PEXTRB, O_R32, O_X, pextrb_r), RI(PEXTRB, O_R64, O_X, pextrb_r), RI(PEXTRB, O_M8, O_X, pextrb_m),
	RI(PEXTRW, O_M16, O_X, pextrw_m), RI(PEXTRD, O_R32, O_X, pextrd_r), RI(PEXTRD, O_M32, O_X, pextrd_m),
	RI(PEXTRQ, O_R64, O_X, pextrq_r), RI(PEXTRQ, O_M64, O_X, pextrq_m),
	RI(EXTRACTPS, O_R32, O_X, pextrd_r), RI(EXTRACTPS, O_R64, O_X, pextrd_r), RI(EXTRACTPS, O_M32, O_X, pextrd_m),
	RI(PINSRB, O_X, O_R32, pinsrb_r), RI(PINSRB, O_X, O_R64, pinsrb_r), RI(PINSRB, O_X, O_M8, pinsrb_m),
	RI(PINSRD, O_X, O_R32, pinsrd_r), RI(PINSRD, O_X, O_M32, pinsrd_m),
	RI(PINSRQ, O_X, O_R64, pinsrq_r), RI(PINSRQ, O_X, O_M64, pinsrq_m),
	RI(INSERTPS, O_X, O_XM32, insertps),
	{ZYDIS_MNEMONIC_PCMPGTQ, {O_X, O_XM128}, 0, FEAT_SSE42, pcmpgtq},
	{ZYDIS_MNEMONIC_PCMPESTRI, {O_X, O_XM128, O_I}, 0, FEAT_SSE42, pcmpestri},
	{ZYDIS_MNEMONIC_PCMPISTRI, {O_X, O_XM128, O_I}, 0, FEAT_SSE42, pcmpistri},
	{ZYDIS_MNEMONIC_PCMPESTRM, {O_X, O_XM128, O_I}, 0, FEAT_SSE42, pcmpestrm},
	{ZYDIS_MNEMONIC_PCMPISTRM, {O_X, O_XM128, O_I}, 0, FEAT_SSE42, pcmpistrm},
};
const struct form_table sse4_forms = {table, ARRAY_LEN(table)};
