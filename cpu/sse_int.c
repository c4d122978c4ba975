/* SPDX-License-Identifier: MIT */
/* Packed integers: the arithmetic, comparisons, shifts, packs and shuffles that exist both for MMX and XMM registers (MMX, SSE,
 * SSE2, SSSE3), from one definition each. Intel SDM vol. 2. What only XMM registers have is in sse4.c.
 *
 * The definitions see n bytes of a register, 8 or 16, in a lanes128; with 8 the upper half of their result is ignored. */
#include <Zydis/Mnemonic.h>
#include <Zydis/SharedTypes.h>

#include "cpu/sse.h"

static always_inline i8 sat_i8(i32 v) { return v < -128 ? -128 : v > 127 ? 127 : v; }
static always_inline u8 sat_u8(i32 v) { return v < 0 ? 0 : v > 255 ? 255 : v; }
static always_inline i16 sat_i16(i32 v) { return v < -32768 ? -32768 : v > 32767 ? 32767 : v; }

/* BOTH(name) { return v; }: v of a (destination) and b (source), n bytes each. Defines name_x, name_m for XMM registers, name_mm
 * for MMX. */
#define BOTH_BODY(name)                                                                                                \
	static always_inline union lanes128 name##_n(const struct insn *in INSN_UNUSED, union lanes128 a INSN_UNUSED,      \
	                                             union lanes128 b INSN_UNUSED, const unsigned n INSN_UNUSED)
#define BOTH(name)                                                                                                     \
	BOTH_BODY(name);                                                                                                   \
	SSE_OP(name) { return name##_n(in, a, b, 16); }                                                                    \
	MMX_OP(name, mmx_source(cpu, in))                                                                                  \
	BOTH_BODY(name)
#define MMX_OP(name, source)                                                                                           \
	OP(name##_mm)                                                                                                      \
	{                                                                                                                  \
		x87_mmx_check(cpu);                                                                                            \
		const union lanes128 b = {.vq = {source, 0}}, a = {.vq = {x87_mm(cpu, in->r[0]), 0}};                          \
		x87_mmx_enter(cpu);                                                                                            \
		x87_mm_set(cpu, in->r[0], name##_n(in, a, b, 8).q[0]);                                                         \
	}

/* Lane by lane: an expression of x (destination) and y (source), of lane kind L. */
#define LANEWISE(name, L, expr)                                                                                        \
	BOTH(name)                                                                                                         \
	{                                                                                                                  \
		for (unsigned i = 0; i < ARRAY_LEN(a.L); i++) {                                                                \
			const __typeof__(a.L[0]) x = a.L[i], y = b.L[i];                                                           \
			(void)x;                                                                                                   \
			a.L[i] = (expr);                                                                                           \
		}                                                                                                              \
		return a;                                                                                                      \
	}
/* The same where GCC's vectors can say it. */
#define VECTORWISE(name, expr)                                                                                         \
	BOTH(name)                                                                                                         \
	{                                                                                                                  \
		expr;                                                                                                          \
		return a;                                                                                                      \
	}

VECTORWISE(paddb, a.vb += b.vb)
VECTORWISE(paddw, a.vw += b.vw)
VECTORWISE(paddd, a.vd += b.vd)
VECTORWISE(paddq, a.vq += b.vq)
VECTORWISE(psubb, a.vb -= b.vb)
VECTORWISE(psubw, a.vw -= b.vw)
VECTORWISE(psubd, a.vd -= b.vd)
VECTORWISE(psubq, a.vq -= b.vq)
VECTORWISE(pmullw, a.vw *= b.vw)
VECTORWISE(pand, a.vq &= b.vq)
VECTORWISE(pandn, a.vq = ~a.vq & b.vq)
VECTORWISE(por, a.vq |= b.vq)
VECTORWISE(pxor, a.vq ^= b.vq)
VECTORWISE(pcmpeqb, a.vsb = a.vsb == b.vsb)
VECTORWISE(pcmpeqw, a.vsw = a.vsw == b.vsw)
VECTORWISE(pcmpeqd, a.vsd = a.vsd == b.vsd)
VECTORWISE(pcmpgtb, a.vsb = a.vsb > b.vsb)
VECTORWISE(pcmpgtw, a.vsw = a.vsw > b.vsw)
VECTORWISE(pcmpgtd, a.vsd = a.vsd > b.vsd)

/* Saturation: signed, the limit is told by the first operand's sign. */
#define SATURATE_SIGNED(name, U, S, expr, overflow, top)                                                               \
	BOTH(name)                                                                                                         \
	{                                                                                                                  \
		const union lanes128 r = {.U = expr}, over = {.S = (union lanes128){.U = overflow}.S < 0};                     \
		const union lanes128 limit = {.S = (a.S < 0) ^ (top)};                                                         \
		a.U = (r.U & ~over.U) | (limit.U & over.U);                                                                    \
		return a;                                                                                                      \
	}
SATURATE_SIGNED(paddsb, vb, vsb, a.vb + b.vb, (r.vb ^ a.vb) & (r.vb ^ b.vb), 0x7f)
SATURATE_SIGNED(paddsw, vw, vsw, a.vw + b.vw, (r.vw ^ a.vw) & (r.vw ^ b.vw), 0x7fff)
SATURATE_SIGNED(psubsb, vb, vsb, a.vb - b.vb, (a.vb ^ b.vb) & (a.vb ^ r.vb), 0x7f)
SATURATE_SIGNED(psubsw, vw, vsw, a.vw - b.vw, (a.vw ^ b.vw) & (a.vw ^ r.vw), 0x7fff)
BOTH(paddusb)
{
	a.vb += b.vb;
	a.vsb |= a.vb < b.vb;
	return a;
}
BOTH(paddusw)
{
	a.vw += b.vw;
	a.vsw |= a.vw < b.vw;
	return a;
}
LANEWISE(psubusb, b, (x > y ? x : y) - y)
LANEWISE(psubusw, w, (x > y ? x : y) - y)
LANEWISE(pmulhw, sw, x * y >> 16)
LANEWISE(pmulhuw, w, (u32)x * y >> 16)
LANEWISE(pminub, b, x < y ? x : y)
LANEWISE(pmaxub, b, x > y ? x : y)
LANEWISE(pminsw, sw, x < y ? x : y)
LANEWISE(pmaxsw, sw, x > y ? x : y)
LANEWISE(pavgb, b, (x + y + 1) >> 1)
LANEWISE(pavgw, w, (x + y + 1) >> 1)
LANEWISE(psignb, sb, y < 0 ? -x : y ? x : 0)
LANEWISE(psignw, sw, y < 0 ? -x : y ? x : 0)
LANEWISE(psignd, sd, y < 0 ? (i32)-(u32)x : y ? x : 0)
LANEWISE(pabsb, sb, y < 0 ? -y : y)
LANEWISE(pabsw, sw, y < 0 ? -y : y)
LANEWISE(pabsd, sd, y < 0 ? (i32)-(u32)y : y)

/* ---- products and sums of neighbours ---- */

/* From the halves of the products: those of even words, those of odd words, added. */
BOTH(pmaddwd)
{
	const union lanes128 high = pmulhw_n(in, a, b, n), low = {.vw = a.vw * b.vw};
	a.vd = ((low.vd & 0xffff) | high.vd << 16) + (low.vd >> 16 | (high.vd & 0xffff0000));
	return a;
}
BOTH(pmulhrsw)
{
	const union lanes128 high = pmulhw_n(in, a, b, n), low = {.vw = a.vw * b.vw};
	a.vw = (high.vw << 1) + (((low.vw >> 14) + 1) >> 1);
	return a;
}
BOTH(pmaddubsw)
{
	const union lanes128 even = {.vsw = (a.vsw & 0xff) * (b.vsw << 8 >> 8)}; /* no product needs more than a word */
	const union lanes128 odd = {.vsw = (i16 __attribute__((vector_size(16))))(a.vw >> 8) * (b.vsw >> 8)};
	return paddsw_n(in, even, odd, n);
}
BOTH(pmuludq)
{
	a.vq = (a.vq & 0xffffffff) * (b.vq & 0xffffffff);
	return a;
}
BOTH(psadbw)
{
	const u64 even = 0x00ff00ff00ff00ff, ones = 0x0001000100010001;
	for (unsigned i = 0; i < 16; i++)
		a.b[i] = MAX(a.b[i], b.b[i]) - MIN(a.b[i], b.b[i]);
	a.vq = (a.vq & even) + (a.vq >> 8 & even);
	return (union lanes128){.vq = {a.q[0] * ones >> 48, a.q[1] * ones >> 48}};
}

/* ---- packs ---- */
BOTH(packsswb)
{
	union lanes128 r = {0};
	for (unsigned i = 0; i < n / 2; i++) {
		r.sb[i] = sat_i8(a.sw[i]);
		r.sb[i + n / 2] = sat_i8(b.sw[i]);
	}
	return r;
}
BOTH(packuswb)
{
	union lanes128 r = {0};
	for (unsigned i = 0; i < n / 2; i++) {
		r.b[i] = sat_u8(a.sw[i]);
		r.b[i + n / 2] = sat_u8(b.sw[i]);
	}
	return r;
}
BOTH(packssdw)
{
	union lanes128 r = {0};
	for (unsigned i = 0; i < n / 4; i++) {
		r.sw[i] = sat_i16(a.sd[i]);
		r.sw[i + n / 4] = sat_i16(b.sd[i]);
	}
	return r;
}

/* ---- neighbours added and subtracted: words as the halves of dwords, the sums packed ---- */
static always_inline union lanes128 even_words(union lanes128 v) { return (union lanes128){.vsd = v.vsd << 16 >> 16}; }
static always_inline union lanes128 odd_words(union lanes128 v) { return (union lanes128){.vsd = v.vsd >> 16}; }
static always_inline union lanes128 add_words(union lanes128 v)
{
	return odd_words((union lanes128){.vd = (v.vd << 16) + (v.vd & 0xffff0000)});
}
static always_inline union lanes128 sub_words(union lanes128 v)
{
	return odd_words((union lanes128){.vd = (v.vd << 16) - (v.vd & 0xffff0000)});
}
BOTH(phaddw) { return packssdw_n(in, add_words(a), add_words(b), n); }
BOTH(phsubw) { return packssdw_n(in, sub_words(a), sub_words(b), n); }
BOTH(phaddsw)
{
	a.vsd = even_words(a).vsd + odd_words(a).vsd;
	b.vsd = even_words(b).vsd + odd_words(b).vsd;
	return packssdw_n(in, a, b, n);
}
BOTH(phsubsw)
{
	a.vsd = even_words(a).vsd - odd_words(a).vsd;
	b.vsd = even_words(b).vsd - odd_words(b).vsd;
	return packssdw_n(in, a, b, n);
}
/* The even, the odd lanes of a and b in one row. */
static always_inline union lanes128 dwords_of(union lanes128 a, union lanes128 b, const unsigned odd, const unsigned n)
{
	if (n == 8)
		return (union lanes128){.vd = {a.vd[odd], b.vd[odd], 0, 0}};
	return (union lanes128){.vd = {a.vd[odd], a.vd[2 + odd], b.vd[odd], b.vd[2 + odd]}};
}
BOTH(phaddd) { return paddd_n(in, dwords_of(a, b, 0, n), dwords_of(a, b, 1, n), n); }
BOTH(phsubd) { return psubd_n(in, dwords_of(a, b, 0, n), dwords_of(a, b, 1, n), n); }

/* ---- unpacks ---- */
/* Interleave the lanes of kind L from lane `from` on; `step` is their number in a register. */
#define UNPACK(L, from, step)                                                                                          \
	union lanes128 r = {0};                                                                                            \
	for (unsigned i = 0; i < (step) / 2; i++) {                                                                        \
		r.L[2 * i] = a.L[(from) + i];                                                                                  \
		r.L[2 * i + 1] = b.L[(from) + i];                                                                              \
	}                                                                                                                  \
	return r
BOTH(punpckhbw) { UNPACK(b, n / 2, n); }
BOTH(punpckhwd) { UNPACK(w, n / 4, n / 2); }
BOTH(punpckhdq) { UNPACK(d, n / 8, n / 4); }
/* The MMX forms read only 32 bits of memory. */
#define BOTH_LOW(name)                                                                                                 \
	BOTH_BODY(name);                                                                                                   \
	SSE_OP(name) { return name##_n(in, a, b, 16); }                                                                    \
	MMX_OP(name, in->ea ? mem_read32(cpu, in) : x87_mm(cpu, in->r[1]))                                                 \
	BOTH_BODY(name)
BOTH_LOW(punpcklbw) { UNPACK(b, 0, n); }
BOTH_LOW(punpcklwd) { UNPACK(w, 0, n / 2); }
BOTH_LOW(punpckldq) { UNPACK(d, 0, n / 4); }
SSE_OP(punpcklqdq) { return (union lanes128){.vq = {a.vq[0], b.vq[0]}}; }
SSE_OP(punpckhqdq) { return (union lanes128){.vq = {a.vq[1], b.vq[1]}}; }

/* ---- shifts: the count is the source's low 64 bits, or an immediate; all bits of it count ---- */
#define SHIFT(name, V, type, bits, expr, beyond)                                                                       \
	static always_inline union lanes128 name##_by(union lanes128 a, u64 by)                                            \
	{                                                                                                                  \
		if (by > (bits) - 1)                                                                                           \
			beyond;                                                                                                    \
		const type c = (type)by;                                                                                       \
		a.V = expr;                                                                                                    \
		return a;                                                                                                      \
	}                                                                                                                  \
	BOTH(name) { return name##_by(a, b.q[0]); }                                                                        \
	SSE_REG(name##_xi)                                                                                                 \
	{                                                                                                                  \
		const unsigned to = in->r[0];                                                                                  \
		sse_set(cpu, to, name##_by(sse_reg(cpu, to), (u8)in->imm));                                                    \
	}                                                                                                                  \
	OP(name##_mi)                                                                                                      \
	{                                                                                                                  \
		x87_mmx_check(cpu);                                                                                            \
		const union lanes128 a = {.vq = {x87_mm(cpu, in->r[0]), 0}};                                                   \
		x87_mmx_enter(cpu);                                                                                            \
		x87_mm_set(cpu, in->r[0], name##_by(a, (u8)in->imm).q[0]);                                                     \
	}
#define GONE return (union lanes128){0}
SHIFT(psllw, vw, u16, 16, a.vw << c, GONE)
SHIFT(pslld, vd, u32, 32, a.vd << c, GONE)
SHIFT(psllq, vq, u64, 64, a.vq << c, GONE)
SHIFT(psrlw, vw, u16, 16, a.vw >> c, GONE)
SHIFT(psrld, vd, u32, 32, a.vd >> c, GONE)
SHIFT(psrlq, vq, u64, 64, a.vq >> c, GONE)
SHIFT(psraw, vsw, i16, 16, a.vsw >> c, by = 15)
SHIFT(psrad, vsd, i32, 32, a.vsd >> c, by = 31)

SSE_REG(pslldq)
{
	const unsigned n = (u8)in->imm, to = in->r[0];
	sse_set(cpu, to, (union lanes128){.o = n > 15 ? 0 : sse_reg(cpu, to).o << n * 8});
}
SSE_REG(psrldq)
{
	const unsigned n = (u8)in->imm, to = in->r[0];
	sse_set(cpu, to, (union lanes128){.o = n > 15 ? 0 : sse_reg(cpu, to).o >> n * 8});
}
/* The destination above the source, shifted right by bytes. */
SSE_OP(palignr)
{
	const unsigned by = (u8)in->imm * 8;
	if (by == 0)
		return b;
	if (by >= 128)
		return (union lanes128){.o = by >= 256 ? 0 : a.o >> (by - 128)};
	return (union lanes128){.o = b.o >> by | a.o << (128 - by)};
}
OP(palignr_mm)
{
	x87_mmx_check(cpu);
	const u64 low = mmx_source(cpu, in), high = x87_mm(cpu, in->r[0]);
	const unsigned by = (u8)in->imm * 8;
	x87_mmx_enter(cpu);
	x87_mm_set(cpu, in->r[0], by >= 128 ? 0 : ((u128)high << 64 | low) >> by);
}

/* ---- shuffles ---- */
static always_inline union lanes128 pick_bytes(const union lanes128 *a, union lanes128 b, const unsigned n)
{
	u64 r[2] = {0};
	for (unsigned i = 0; i < n; i++)
		r[i / 8] |= (u64)a->b[b.b[i] & (n - 1)] << i % 8 * 8;
	return (union lanes128){.vq = (union lanes128){.vq = {r[0], r[1]}}.vq & ~(union lanes128){.vsb = b.vsb < 0}.vq};
}
SSE_PICK(pshufb) { return pick_bytes(a, *b, 16); }
OP(pshufb_mm)
{
	x87_mmx_check(cpu);
	const union lanes128 b = {.q = {mmx_source(cpu, in)}}, a = {.q = {x87_mm(cpu, in->r[0])}};
	x87_mmx_enter(cpu);
	x87_mm_set(cpu, in->r[0], pick_bytes(&a, b, 8).q[0]);
}
/* Four words chosen by the immediate. */
static always_inline u64 pick_words(const u16 *w, unsigned imm)
{
	return w[imm & 3] | (u32)w[imm >> 2 & 3] << 16 | (u64)w[imm >> 4 & 3] << 32 | (u64)w[imm >> 6 & 3] << 48;
}
SSE_PICK(pshufd)
{
	const unsigned i = in->imm;
	return (union lanes128){.vd = {b->d[i & 3], b->d[i >> 2 & 3], b->d[i >> 4 & 3], b->d[i >> 6 & 3]}};
}
SSE_PICK(pshuflw) { return (union lanes128){.vq = {pick_words(b->w, in->imm), b->q[1]}}; }
SSE_PICK(pshufhw) { return (union lanes128){.vq = {b->q[0], pick_words(b->w + 4, in->imm)}}; }
OP(pshufw)
{
	x87_mmx_check(cpu);
	const union lanes128 b = {.q = {mmx_source(cpu, in)}};
	x87_mmx_enter(cpu);
	x87_mm_set(cpu, in->r[0], pick_words(b.w, in->imm));
}

/* ---- masks and single words ---- */
SSE_REG(pmovmskb_x) { set_reg64(cpu, in->r[0], sse_mask8(sse_reg(cpu, in->r[1]))); }
OP(pmovmskb_mm)
{
	x87_mmx_check(cpu);
	const union lanes128 b = {.q = {x87_mm(cpu, in->r[1])}};
	x87_mmx_enter(cpu);
	set_reg64(cpu, in->r[0], sse_mask8(b));
}
SSE_REG(pextrw_x) { set_reg64(cpu, in->r[0], cpu->v[in->r[1]].w[in->imm & 7]); }
OP(pextrw_mm)
{
	x87_mmx_check(cpu);
	const u16 word = x87_mm(cpu, in->r[1]) >> (in->imm & 3) * 16;
	x87_mmx_enter(cpu);
	set_reg64(cpu, in->r[0], word);
}
SSE_REG(pinsrw_x) { cpu->v[in->r[0]].w[in->imm & 7] = reg32(cpu, in->r[1]); }
SSE_LOAD(pinsrw_m, 16) { cpu->v[in->r[0]].w[in->imm & 7] = m; }
OP(pinsrw_mm)
{
	x87_mmx_check(cpu);
	const u64 word = in->ea ? mem_read16(cpu, in) : (u16)reg32(cpu, in->r[1]), old = x87_mm(cpu, in->r[0]);
	const unsigned at = (in->imm & 3) * 16;
	x87_mmx_enter(cpu);
	x87_mm_set(cpu, in->r[0], (old & ~(0xffffull << at)) | word << at);
}

/* ---- the table ---- */
#define X SSE_ROW_OP
#define M(mnemonic, feature, fn) SSE_ROW(mnemonic, O_MM, O_MMM64, feature, fn##_mm)
#define XM(mnemonic, mmx, fn) X(mnemonic, FEAT_SSE2, fn), M(mnemonic, mmx, fn)
#define XM3(mnemonic, fn) X(mnemonic, FEAT_SSSE3, fn), M(mnemonic, FEAT_SSSE3, fn)
#define XM_LOW(mnemonic, fn) X(mnemonic, FEAT_SSE2, fn), SSE_ROW(mnemonic, O_MM, O_MMM32, FEAT_MMX, fn##_mm)
#define ROWS_SHIFT(mnemonic, fn)                                                                                       \
	XM(mnemonic, FEAT_MMX, fn), SSE_ROW(mnemonic, O_X, O_I, FEAT_SSE2, fn##_xi), SSE_ROW(mnemonic, O_MM, O_I, FEAT_MMX, fn##_mi)
#define R SSE_ROW
#define RI SSE_ROW_I
static const struct form table[] = {
	XM(PADDB, FEAT_MMX, paddb), XM(PADDW, FEAT_MMX, paddw), XM(PADDD, FEAT_MMX, paddd), XM(PADDQ, FEAT_SSE2, paddq),
	XM(PSUBB, FEAT_MMX, psubb), XM(PSUBW, FEAT_MMX, psubw), XM(PSUBD, FEAT_MMX, psubd), XM(PSUBQ, FEAT_SSE2, psubq),
	XM(PADDSB, FEAT_MMX, paddsb), XM(PADDSW, FEAT_MMX, paddsw), XM(PADDUSB, FEAT_MMX, paddusb), XM(PADDUSW, FEAT_MMX, paddusw),
	XM(PSUBSB, FEAT_MMX, psubsb), XM(PSUBSW, FEAT_MMX, psubsw), XM(PSUBUSB, FEAT_MMX, psubusb), XM(PSUBUSW, FEAT_MMX, psubusw),
	XM(PMULLW, FEAT_MMX, pmullw), XM(PMULHW, FEAT_MMX, pmulhw), XM(PMULHUW, FEAT_SSE, pmulhuw), XM(PMADDWD, FEAT_MMX, pmaddwd),
	XM(PMULUDQ, FEAT_SSE2, pmuludq), XM(PSADBW, FEAT_SSE, psadbw),
	XM(PAND, FEAT_MMX, pand), XM(PANDN, FEAT_MMX, pandn), XM(POR, FEAT_MMX, por), XM(PXOR, FEAT_MMX, pxor),
	X(ANDPS, FEAT_SSE, pand), X(ANDPD, FEAT_SSE2, pand), X(ANDNPS, FEAT_SSE, pandn), X(ANDNPD, FEAT_SSE2, pandn),
	X(ORPS, FEAT_SSE, por), X(ORPD, FEAT_SSE2, por), X(XORPS, FEAT_SSE, pxor), X(XORPD, FEAT_SSE2, pxor),
	XM(PCMPEQB, FEAT_MMX, pcmpeqb), XM(PCMPEQW, FEAT_MMX, pcmpeqw), XM(PCMPEQD, FEAT_MMX, pcmpeqd),
	XM(PCMPGTB, FEAT_MMX, pcmpgtb), XM(PCMPGTW, FEAT_MMX, pcmpgtw), XM(PCMPGTD, FEAT_MMX, pcmpgtd),
	XM(PMINUB, FEAT_SSE, pminub), XM(PMAXUB, FEAT_SSE, pmaxub), XM(PMINSW, FEAT_SSE, pminsw), XM(PMAXSW, FEAT_SSE, pmaxsw),
	XM(PAVGB, FEAT_SSE, pavgb), XM(PAVGW, FEAT_SSE, pavgw),
	XM3(PSIGNB, psignb), XM3(PSIGNW, psignw), XM3(PSIGND, psignd), XM3(PABSB, pabsb), XM3(PABSW, pabsw), XM3(PABSD, pabsd),
	XM3(PMULHRSW, pmulhrsw), XM3(PMADDUBSW, pmaddubsw), XM3(PSHUFB, pshufb), XM3(PHADDW, phaddw), XM3(PHADDD, phaddd),
	XM3(PHSUBW, phsubw), XM3(PHSUBD, phsubd), XM3(PHADDSW, phaddsw), XM3(PHSUBSW, phsubsw),
	XM(PACKSSWB, FEAT_MMX, packsswb), XM(PACKUSWB, FEAT_MMX, packuswb), XM(PACKSSDW, FEAT_MMX, packssdw),
	XM(PUNPCKHBW, FEAT_MMX, punpckhbw), XM(PUNPCKHWD, FEAT_MMX, punpckhwd), XM(PUNPCKHDQ, FEAT_MMX, punpckhdq),
	XM_LOW(PUNPCKLBW, punpcklbw), XM_LOW(PUNPCKLWD, punpcklwd), XM_LOW(PUNPCKLDQ, punpckldq),
	X(PUNPCKLQDQ, FEAT_SSE2, punpcklqdq), X(PUNPCKHQDQ, FEAT_SSE2, punpckhqdq),
	ROWS_SHIFT(PSLLW, psllw), ROWS_SHIFT(PSLLD, pslld), ROWS_SHIFT(PSLLQ, psllq), ROWS_SHIFT(PSRLW, psrlw),
	ROWS_SHIFT(PSRLD, psrld), ROWS_SHIFT(PSRLQ, psrlq), ROWS_SHIFT(PSRAW, psraw), ROWS_SHIFT(PSRAD, psrad),
	R(PSLLDQ, O_X, O_I, FEAT_SSE2, pslldq), R(PSRLDQ, O_X, O_I, FEAT_SSE2, psrldq),
	SSE_ROW_OP_I(PALIGNR, FEAT_SSSE3, palignr), RI(PALIGNR, O_MM, O_MMM64, FEAT_SSSE3, palignr_mm),
	SSE_ROW_OP_I(PSHUFD, FEAT_SSE2, pshufd), SSE_ROW_OP_I(PSHUFLW, FEAT_SSE2, pshuflw), SSE_ROW_OP_I(PSHUFHW, FEAT_SSE2, pshufhw),
	RI(PSHUFW, O_MM, O_MMM64, FEAT_SSE, pshufw),
	R(PMOVMSKB, O_R32, O_X, FEAT_SSE2, pmovmskb_x), R(PMOVMSKB, O_R64, O_X, FEAT_SSE2, pmovmskb_x),
	R(PMOVMSKB, O_R32, O_MM, FEAT_SSE, pmovmskb_mm), R(PMOVMSKB, O_R64, O_MM, FEAT_SSE, pmovmskb_mm),
	RI(PEXTRW, O_R32, O_X, FEAT_SSE2, pextrw_x), RI(PEXTRW, O_R64, O_X, FEAT_SSE2, pextrw_x),
	RI(PEXTRW, O_R32, O_MM, FEAT_SSE, pextrw_mm), RI(PEXTRW, O_R64, O_MM, FEAT_SSE, pextrw_mm),
	RI(PINSRW, O_X, O_R32, FEAT_SSE2, pinsrw_x), RI(PINSRW, O_X, O_R64, FEAT_SSE2, pinsrw_x),
	RI(PINSRW, O_X, O_M16, FEAT_SSE2, pinsrw_m),
	RI(PINSRW, O_MM, O_R32, FEAT_SSE, pinsrw_mm), RI(PINSRW, O_MM, O_R64, FEAT_SSE, pinsrw_mm),
	RI(PINSRW, O_MM, O_M16, FEAT_SSE, pinsrw_mm),
};
const struct form_table sse_int_forms = {table, ARRAY_LEN(table)};
