/* SPDX-License-Identifier: MIT */
/* Packed integers: the arithmetic, comparisons, shifts, packs and shuffles that exist both for MMX and XMM registers (MMX, SSE2,
 * SSSE3), from one definition each. Intel SDM vol. 2. What only XMM registers have is in sse_int4.c. */
#include <Zydis/Mnemonic.h>
#include <Zydis/SharedTypes.h>

#include "cpu/sse.h"

/* ---- saturation ---- */
static always_inline i8 sat_i8(i32 v) { return v < -128 ? -128 : v > 127 ? 127 : v; }
static always_inline u8 sat_u8(i32 v) { return v < 0 ? 0 : v > 255 ? 255 : v; }
static always_inline i16 sat_i16(i32 v) { return v < -32768 ? -32768 : v > 32767 ? 32767 : v; }
static always_inline u16 sat_u16(i32 v) { return v < 0 ? 0 : v > 65535 ? 65535 : v; }

/* An instruction on whole registers: BODY is a function of two operands for each width, `name##_v(a, b, n)` with n bytes. */
#define BOTH(name)                                                                                                     \
	OP(name##_x)                                                                                                       \
	{                                                                                                                  \
		sse_check(cpu);                                                                                                \
		union lanes128 a = sse_reg(cpu, in->r[0]), b = sse_source(cpu, in);                                            \
		name##_x_v(&a, &b);                                                                                            \
		sse_set(cpu, in->r[0], a);                                                                                     \
	}                                                                                                                  \
	OP(name##_m)                                                                                                       \
	{                                                                                                                  \
		x87_mmx_check(cpu);                                                                                            \
		union lanes64 b = {.q = {mmx_source(cpu, in)}}, a = {.q = {x87_mm(cpu, in->r[0])}};                            \
		name##_m_v(&a, &b);                                                                                            \
		x87_mmx_enter(cpu);                                                                                            \
		x87_mm_set(cpu, in->r[0], a.q[0]);                                                                             \
	}

/* Lane by lane: expression of x (destination) and y (source) of lane kind L. */
#define LANEWISE(name, L, expr)                                                                                        \
	static always_inline void name##_x_v(union lanes128 *a, const union lanes128 *b)                                  \
	{                                                                                                                  \
		for (unsigned i = 0; i < ARRAY_LEN(a->L); i++) {                                                               \
			__typeof__(a->L[0]) x = a->L[i], y = b->L[i];                                                              \
			a->L[i] = (expr);                                                                                          \
		}                                                                                                              \
	}                                                                                                                  \
	static always_inline void name##_m_v(union lanes64 *a, const union lanes64 *b)                                    \
	{                                                                                                                  \
		for (unsigned i = 0; i < ARRAY_LEN(a->L); i++) {                                                               \
			__typeof__(a->L[0]) x = a->L[i], y = b->L[i];                                                              \
			a->L[i] = (expr);                                                                                          \
		}                                                                                                              \
	}                                                                                                                  \
	BOTH(name)

/* The same code for both widths, written with the lanes of `a` and `b` and N = bytes of a register. */
#define WHOLE(name, ...)                                                                                               \
	static always_inline void name##_x_v(union lanes128 *a, const union lanes128 *b)                                  \
	{                                                                                                                  \
		enum { N = 16 };                                                                                               \
		union lanes128 r;                                                                                              \
		__VA_ARGS__                                                                                                    \
		*a = r;                                                                                                        \
	}                                                                                                                  \
	static always_inline void name##_m_v(union lanes64 *a, const union lanes64 *b)                                    \
	{                                                                                                                  \
		enum { N = 8 };                                                                                                \
		union lanes64 r;                                                                                               \
		__VA_ARGS__                                                                                                    \
		*a = r;                                                                                                        \
	}                                                                                                                  \
	BOTH(name)

LANEWISE(paddb, b, x + y)
LANEWISE(paddw, w, x + y)
LANEWISE(paddd, d, x + y)
LANEWISE(paddq, q, x + y)
LANEWISE(psubb, b, x - y)
LANEWISE(psubw, w, x - y)
LANEWISE(psubd, d, x - y)
LANEWISE(psubq, q, x - y)
LANEWISE(paddsb, sb, sat_i8(x + y))
LANEWISE(paddsw, sw, sat_i16(x + y))
LANEWISE(paddusb, b, sat_u8(x + y))
LANEWISE(paddusw, w, sat_u16(x + y))
LANEWISE(psubsb, sb, sat_i8(x - y))
LANEWISE(psubsw, sw, sat_i16(x - y))
LANEWISE(psubusb, b, x > y ? x - y : 0)
LANEWISE(psubusw, w, x > y ? x - y : 0)
LANEWISE(pmullw, sw, (i32)x * y)
LANEWISE(pmulhw, sw, ((i32)x * y) >> 16)
LANEWISE(pmulhuw, w, ((u32)x * y) >> 16)
LANEWISE(pmulhrsw, sw, (((((i32)x * y) >> 14) + 1) >> 1))
LANEWISE(pand, q, x &y)
LANEWISE(pandn, q, ~x &y)
LANEWISE(por, q, x | y)
LANEWISE(pxor, q, x ^ y)
LANEWISE(pcmpeqb, b, x == y ? 0xff : 0)
LANEWISE(pcmpeqw, w, x == y ? 0xffff : 0)
LANEWISE(pcmpeqd, d, x == y ? 0xffffffff : 0)
LANEWISE(pcmpgtb, sb, x > y ? -1 : 0)
LANEWISE(pcmpgtw, sw, x > y ? -1 : 0)
LANEWISE(pcmpgtd, sd, x > y ? -1 : 0)
LANEWISE(pminub, b, x < y ? x : y)
LANEWISE(pmaxub, b, x > y ? x : y)
LANEWISE(pminsw, sw, x < y ? x : y)
LANEWISE(pmaxsw, sw, x > y ? x : y)
LANEWISE(pavgb, b, (x + y + 1) >> 1)
LANEWISE(pavgw, w, (x + y + 1) >> 1)
LANEWISE(psignb, sb, y < 0 ? -x : y ? x : 0)
LANEWISE(psignw, sw, y < 0 ? -x : y ? x : 0)
LANEWISE(psignd, sd, y < 0 ? (i32)-(u32)x : y ? x : 0)
/* unary: of the source */
LANEWISE(pabsb, sb, ((void)x, y < 0 ? -y : y))
LANEWISE(pabsw, sw, ((void)x, y < 0 ? -y : y))
LANEWISE(pabsd, sd, ((void)x, y < 0 ? (i32)-(u32)y : y))

WHOLE(pmaddwd, for (unsigned i = 0; i < N / 4; i++)
	r.d[i] = (u32)((i32)a->sw[2 * i] * b->sw[2 * i]) + (u32)((i32)a->sw[2 * i + 1] * b->sw[2 * i + 1]);)
WHOLE(pmaddubsw, for (unsigned i = 0; i < N / 2; i++)
	r.sw[i] = sat_i16(a->b[2 * i] * b->sb[2 * i] + a->b[2 * i + 1] * b->sb[2 * i + 1]);)
WHOLE(pmuludq, for (unsigned i = 0; i < N / 8; i++) r.q[i] = (u64)a->d[2 * i] * b->d[2 * i];)
WHOLE(psadbw, for (unsigned k = 0; k < N / 8; k++) {
	u64 sum = 0;
	for (unsigned i = k * 8; i < k * 8 + 8; i++)
		sum += a->b[i] > b->b[i] ? a->b[i] - b->b[i] : b->b[i] - a->b[i];
	r.q[k] = sum;
})
WHOLE(packsswb, for (unsigned i = 0; i < N / 2; i++) { r.sb[i] = sat_i8(a->sw[i]); r.sb[i + N / 2] = sat_i8(b->sw[i]); })
WHOLE(packuswb, for (unsigned i = 0; i < N / 2; i++) { r.b[i] = sat_u8(a->sw[i]); r.b[i + N / 2] = sat_u8(b->sw[i]); })
WHOLE(packssdw, for (unsigned i = 0; i < N / 4; i++) { r.sw[i] = sat_i16(a->sd[i]); r.sw[i + N / 4] = sat_i16(b->sd[i]); })
WHOLE(punpckhbw, for (unsigned i = 0; i < N / 2; i++) { r.b[2 * i] = a->b[i + N / 2]; r.b[2 * i + 1] = b->b[i + N / 2]; })
WHOLE(punpckhwd, for (unsigned i = 0; i < N / 4; i++) { r.w[2 * i] = a->w[i + N / 4]; r.w[2 * i + 1] = b->w[i + N / 4]; })
WHOLE(punpckhdq, for (unsigned i = 0; i < N / 8; i++) { r.d[2 * i] = a->d[i + N / 8]; r.d[2 * i + 1] = b->d[i + N / 8]; })
WHOLE(pshufb, for (unsigned i = 0; i < N; i++) r.b[i] = b->b[i] & 0x80 ? 0 : a->b[b->b[i] & (N - 1)];)
WHOLE(phaddw, for (unsigned i = 0; i < N / 4; i++) {
	r.w[i] = a->w[2 * i] + a->w[2 * i + 1];
	r.w[i + N / 4] = b->w[2 * i] + b->w[2 * i + 1];
})
WHOLE(phaddd, for (unsigned i = 0; i < N / 8; i++) {
	r.d[i] = a->d[2 * i] + a->d[2 * i + 1];
	r.d[i + N / 8] = b->d[2 * i] + b->d[2 * i + 1];
})
WHOLE(phsubw, for (unsigned i = 0; i < N / 4; i++) {
	r.w[i] = a->w[2 * i] - a->w[2 * i + 1];
	r.w[i + N / 4] = b->w[2 * i] - b->w[2 * i + 1];
})
WHOLE(phsubd, for (unsigned i = 0; i < N / 8; i++) {
	r.d[i] = a->d[2 * i] - a->d[2 * i + 1];
	r.d[i + N / 8] = b->d[2 * i] - b->d[2 * i + 1];
})
WHOLE(phaddsw, for (unsigned i = 0; i < N / 4; i++) {
	r.sw[i] = sat_i16(a->sw[2 * i] + a->sw[2 * i + 1]);
	r.sw[i + N / 4] = sat_i16(b->sw[2 * i] + b->sw[2 * i + 1]);
})
WHOLE(phsubsw, for (unsigned i = 0; i < N / 4; i++) {
	r.sw[i] = sat_i16(a->sw[2 * i] - a->sw[2 * i + 1]);
	r.sw[i + N / 4] = sat_i16(b->sw[2 * i] - b->sw[2 * i + 1]);
})

/* Interleaving low halves: the MMX forms read only 32 bits of memory. */
#define UNPACK_LOW(name, L, per)                                                                                       \
	OP(name##_x)                                                                                                       \
	{                                                                                                                  \
		sse_check(cpu);                                                                                                \
		union lanes128 a = sse_reg(cpu, in->r[0]), b = sse_source(cpu, in), r;                                         \
		for (unsigned i = 0; i < 16 / per / 2; i++) {                                                                  \
			r.L[2 * i] = a.L[i];                                                                                       \
			r.L[2 * i + 1] = b.L[i];                                                                                   \
		}                                                                                                              \
		sse_set(cpu, in->r[0], r);                                                                                     \
	}
#define UNPACK_LOW_MMX(name, L, per)                                                                                   \
	OP(name##_m)                                                                                                       \
	{                                                                                                                  \
		x87_mmx_check(cpu);                                                                                            \
		union lanes64 b = {.q = {in->ea ? mem_read32(cpu, in) : x87_mm(cpu, in->r[1])}};                               \
		union lanes64 a = {.q = {x87_mm(cpu, in->r[0])}}, r;                                                           \
		for (unsigned i = 0; i < 8 / per / 2; i++) {                                                                   \
			r.L[2 * i] = a.L[i];                                                                                       \
			r.L[2 * i + 1] = b.L[i];                                                                                   \
		}                                                                                                              \
		x87_mmx_enter(cpu);                                                                                            \
		x87_mm_set(cpu, in->r[0], r.q[0]);                                                                             \
	}
UNPACK_LOW(punpcklbw, b, 1)
UNPACK_LOW(punpcklwd, w, 2)
UNPACK_LOW(punpckldq, d, 4)
UNPACK_LOW(punpcklqdq, q, 8)
UNPACK_LOW_MMX(punpcklbw, b, 1)
UNPACK_LOW_MMX(punpcklwd, w, 2)
UNPACK_LOW_MMX(punpckldq, d, 4)

OP(punpckhqdq_x)
{
	sse_check(cpu);
	union lanes128 b = sse_source(cpu, in);
	cpu->v[in->r[0]].q[0] = cpu->v[in->r[0]].q[1];
	cpu->v[in->r[0]].q[1] = b.q[1];
}

/* ---- shifts: the count is a register's low 64 bits, or an immediate ---- */
#define SHIFT_LANES(v, L, bits, left, arithmetic)                                                                      \
	for (unsigned i = 0; i < ARRAY_LEN((v).L); i++) {                                                                  \
		if (arithmetic)                                                                                                \
			(v).s##L[i] = (v).s##L[i] >> (count < bits ? count : bits - 1);                                            \
		else if (count >= bits)                                                                                        \
			(v).L[i] = 0;                                                                                              \
		else                                                                                                           \
			(v).L[i] = left ? (v).L[i] << count : (v).L[i] >> count;                                                   \
	}
#define SHIFT(name, L, bits, left, arithmetic)                                                                         \
	OP(name##_x)                                                                                                       \
	{                                                                                                                  \
		sse_check(cpu);                                                                                                \
		u64 count = sse_source(cpu, in).q[0];                                                                          \
		union lanes128 a = sse_reg(cpu, in->r[0]);                                                                     \
		SHIFT_LANES(a, L, bits, left, arithmetic)                                                                      \
		sse_set(cpu, in->r[0], a);                                                                                     \
	}                                                                                                                  \
	OP(name##_xi)                                                                                                      \
	{                                                                                                                  \
		sse_check(cpu);                                                                                                \
		u64 count = (u8)in->imm;                                                                                       \
		union lanes128 a = sse_reg(cpu, in->r[0]);                                                                     \
		SHIFT_LANES(a, L, bits, left, arithmetic)                                                                      \
		sse_set(cpu, in->r[0], a);                                                                                     \
	}                                                                                                                  \
	OP(name##_m)                                                                                                       \
	{                                                                                                                  \
		x87_mmx_check(cpu);                                                                                            \
		u64 count = mmx_source(cpu, in);                                                                               \
		union lanes64 a = {.q = {x87_mm(cpu, in->r[0])}};                                                              \
		SHIFT_LANES(a, L, bits, left, arithmetic)                                                                      \
		x87_mmx_enter(cpu);                                                                                            \
		x87_mm_set(cpu, in->r[0], a.q[0]);                                                                             \
	}                                                                                                                  \
	OP(name##_mi)                                                                                                      \
	{                                                                                                                  \
		x87_mmx_check(cpu);                                                                                            \
		u64 count = (u8)in->imm;                                                                                       \
		union lanes64 a = {.q = {x87_mm(cpu, in->r[0])}};                                                              \
		SHIFT_LANES(a, L, bits, left, arithmetic)                                                                      \
		x87_mmx_enter(cpu);                                                                                            \
		x87_mm_set(cpu, in->r[0], a.q[0]);                                                                             \
	}
SHIFT(psllw, w, 16, true, false)
SHIFT(pslld, d, 32, true, false)
SHIFT(psllq, q, 64, true, false)
SHIFT(psrlw, w, 16, false, false)
SHIFT(psrld, d, 32, false, false)
SHIFT(psrlq, q, 64, false, false)
SHIFT(psraw, w, 16, false, true)
SHIFT(psrad, d, 32, false, true)

OP(pslldq)
{
	sse_check(cpu);
	unsigned n = MIN((u8)in->imm, 16u);
	union lanes128 a = sse_reg(cpu, in->r[0]), r = {0};
	for (unsigned i = n; i < 16; i++)
		r.b[i] = a.b[i - n];
	sse_set(cpu, in->r[0], r);
}
OP(psrldq)
{
	sse_check(cpu);
	unsigned n = MIN((u8)in->imm, 16u);
	union lanes128 a = sse_reg(cpu, in->r[0]), r = {0};
	for (unsigned i = n; i < 16; i++)
		r.b[i - n] = a.b[i];
	sse_set(cpu, in->r[0], r);
}

OP(palignr_x)
{
	sse_check(cpu);
	union lanes128 a = sse_reg(cpu, in->r[0]), b = sse_source(cpu, in), r = {0};
	unsigned n = (u8)in->imm;
	for (unsigned i = 0; i < 16 && i + n < 32; i++)
		r.b[i] = i + n < 16 ? b.b[i + n] : a.b[i + n - 16];
	sse_set(cpu, in->r[0], r);
}
OP(palignr_m)
{
	x87_mmx_check(cpu);
	union lanes64 b = {.q = {mmx_source(cpu, in)}}, a = {.q = {x87_mm(cpu, in->r[0])}}, r = {0};
	unsigned n = (u8)in->imm;
	for (unsigned i = 0; i < 8 && i + n < 16; i++)
		r.b[i] = i + n < 8 ? b.b[i + n] : a.b[i + n - 8];
	x87_mmx_enter(cpu);
	x87_mm_set(cpu, in->r[0], r.q[0]);
}

/* ---- shuffles by immediate ---- */
OP(pshufd)
{
	sse_check(cpu);
	union lanes128 b = sse_source(cpu, in), r;
	for (unsigned i = 0; i < 4; i++)
		r.d[i] = b.d[in->imm >> i * 2 & 3];
	sse_set(cpu, in->r[0], r);
}
OP(pshuflw)
{
	sse_check(cpu);
	union lanes128 b = sse_source(cpu, in), r = b;
	for (unsigned i = 0; i < 4; i++)
		r.w[i] = b.w[in->imm >> i * 2 & 3];
	sse_set(cpu, in->r[0], r);
}
OP(pshufhw)
{
	sse_check(cpu);
	union lanes128 b = sse_source(cpu, in), r = b;
	for (unsigned i = 0; i < 4; i++)
		r.w[i + 4] = b.w[4 + (in->imm >> i * 2 & 3)];
	sse_set(cpu, in->r[0], r);
}
OP(pshufw)
{
	x87_mmx_check(cpu);
	union lanes64 b = {.q = {mmx_source(cpu, in)}}, r;
	for (unsigned i = 0; i < 4; i++)
		r.w[i] = b.w[in->imm >> i * 2 & 3];
	x87_mmx_enter(cpu);
	x87_mm_set(cpu, in->r[0], r.q[0]);
}

/* ---- masks and single words ---- */
OP(pmovmskb_x)
{
	sse_check(cpu);
	union lanes128 b = sse_reg(cpu, in->r[1]);
	u32 mask = 0;
	for (unsigned i = 0; i < 16; i++)
		mask |= (u32)(b.b[i] >> 7) << i;
	cpu->gpr[in->r[0]] = mask;
}
OP(pmovmskb_m)
{
	x87_mmx_check(cpu);
	union lanes64 b = {.q = {x87_mm(cpu, in->r[1])}};
	u32 mask = 0;
	for (unsigned i = 0; i < 8; i++)
		mask |= (u32)(b.b[i] >> 7) << i;
	x87_mmx_enter(cpu);
	cpu->gpr[in->r[0]] = mask;
}
OP(pextrw_x)
{
	sse_check(cpu);
	cpu->gpr[in->r[0]] = cpu->v[in->r[1]].w[in->imm & 7];
}
OP(pextrw_m)
{
	x87_mmx_check(cpu);
	union lanes64 b = {.q = {x87_mm(cpu, in->r[1])}};
	x87_mmx_enter(cpu);
	cpu->gpr[in->r[0]] = b.w[in->imm & 3];
}
OP(pinsrw_x)
{
	sse_check(cpu);
	cpu->v[in->r[0]].w[in->imm & 7] = in->ea ? mem_read16(cpu, in) : (u16)cpu->gpr[in->r[1]];
}
OP(pinsrw_m)
{
	x87_mmx_check(cpu);
	u16 word = in->ea ? mem_read16(cpu, in) : (u16)cpu->gpr[in->r[1]];
	union lanes64 a = {.q = {x87_mm(cpu, in->r[0])}};
	a.w[in->imm & 3] = word;
	x87_mmx_enter(cpu);
	x87_mm_set(cpu, in->r[0], a.q[0]);
}

/* ---- the table ---- */
#define X(mnemonic, fn, feature) {ZYDIS_MNEMONIC_##mnemonic, {O_X, O_XM128}, 0, feature, fn##_x}
#define M(mnemonic, fn, feature) {ZYDIS_MNEMONIC_##mnemonic, {O_MM, O_MMM64}, 0, feature, fn##_m}
#define XM(mnemonic, fn, mmx) X(mnemonic, fn, FEAT_SSE2), M(mnemonic, fn, mmx)
#define XM3(mnemonic, fn) X(mnemonic, fn, FEAT_SSSE3), M(mnemonic, fn, FEAT_SSSE3)
#define ROW_SHIFT(mnemonic, fn)                                                                                        \
	XM(mnemonic, fn, FEAT_MMX), {ZYDIS_MNEMONIC_##mnemonic, {O_X, O_I}, 0, FEAT_SSE2, fn##_xi},                        \
		{ZYDIS_MNEMONIC_##mnemonic, {O_MM, O_I}, 0, FEAT_MMX, fn##_mi}
static const struct form table[] = {
	XM(PADDB, paddb, FEAT_MMX), XM(PADDW, paddw, FEAT_MMX), XM(PADDD, paddd, FEAT_MMX), XM(PADDQ, paddq, FEAT_SSE2),
	XM(PSUBB, psubb, FEAT_MMX), XM(PSUBW, psubw, FEAT_MMX), XM(PSUBD, psubd, FEAT_MMX), XM(PSUBQ, psubq, FEAT_SSE2),
	XM(PADDSB, paddsb, FEAT_MMX), XM(PADDSW, paddsw, FEAT_MMX), XM(PADDUSB, paddusb, FEAT_MMX), XM(PADDUSW, paddusw, FEAT_MMX),
	XM(PSUBSB, psubsb, FEAT_MMX), XM(PSUBSW, psubsw, FEAT_MMX), XM(PSUBUSB, psubusb, FEAT_MMX), XM(PSUBUSW, psubusw, FEAT_MMX),
	XM(PMULLW, pmullw, FEAT_MMX), XM(PMULHW, pmulhw, FEAT_MMX), XM(PMULHUW, pmulhuw, FEAT_SSE), XM(PMADDWD, pmaddwd, FEAT_MMX),
	XM(PMULUDQ, pmuludq, FEAT_SSE2), XM(PSADBW, psadbw, FEAT_SSE),
	XM(PAND, pand, FEAT_MMX), XM(PANDN, pandn, FEAT_MMX), XM(POR, por, FEAT_MMX), XM(PXOR, pxor, FEAT_MMX),
	X(ANDPS, pand, FEAT_SSE), X(ANDPD, pand, FEAT_SSE2), X(ANDNPS, pandn, FEAT_SSE), X(ANDNPD, pandn, FEAT_SSE2),
	X(ORPS, por, FEAT_SSE), X(ORPD, por, FEAT_SSE2), X(XORPS, pxor, FEAT_SSE), X(XORPD, pxor, FEAT_SSE2),
	XM(PCMPEQB, pcmpeqb, FEAT_MMX), XM(PCMPEQW, pcmpeqw, FEAT_MMX), XM(PCMPEQD, pcmpeqd, FEAT_MMX),
	XM(PCMPGTB, pcmpgtb, FEAT_MMX), XM(PCMPGTW, pcmpgtw, FEAT_MMX), XM(PCMPGTD, pcmpgtd, FEAT_MMX),
	XM(PMINUB, pminub, FEAT_SSE), XM(PMAXUB, pmaxub, FEAT_SSE), XM(PMINSW, pminsw, FEAT_SSE), XM(PMAXSW, pmaxsw, FEAT_SSE),
	XM(PAVGB, pavgb, FEAT_SSE), XM(PAVGW, pavgw, FEAT_SSE),
	XM3(PSIGNB, psignb), XM3(PSIGNW, psignw), XM3(PSIGND, psignd), XM3(PABSB, pabsb), XM3(PABSW, pabsw), XM3(PABSD, pabsd),
	XM3(PMULHRSW, pmulhrsw), XM3(PMADDUBSW, pmaddubsw), XM3(PSHUFB, pshufb), XM3(PHADDW, phaddw), XM3(PHADDD, phaddd),
	XM3(PHSUBW, phsubw), XM3(PHSUBD, phsubd), XM3(PHADDSW, phaddsw), XM3(PHSUBSW, phsubsw),
	XM(PACKSSWB, packsswb, FEAT_MMX), XM(PACKUSWB, packuswb, FEAT_MMX), XM(PACKSSDW, packssdw, FEAT_MMX),
	XM(PUNPCKHBW, punpckhbw, FEAT_MMX), XM(PUNPCKHWD, punpckhwd, FEAT_MMX), XM(PUNPCKHDQ, punpckhdq, FEAT_MMX),
	X(PUNPCKLBW, punpcklbw, FEAT_SSE2), X(PUNPCKLWD, punpcklwd, FEAT_SSE2), X(PUNPCKLDQ, punpckldq, FEAT_SSE2),
	X(PUNPCKLQDQ, punpcklqdq, FEAT_SSE2), X(PUNPCKHQDQ, punpckhqdq, FEAT_SSE2),
	{ZYDIS_MNEMONIC_PUNPCKLBW, {O_MM, O_MMM32}, 0, FEAT_MMX, punpcklbw_m},
	{ZYDIS_MNEMONIC_PUNPCKLWD, {O_MM, O_MMM32}, 0, FEAT_MMX, punpcklwd_m},
	{ZYDIS_MNEMONIC_PUNPCKLDQ, {O_MM, O_MMM32}, 0, FEAT_MMX, punpckldq_m},
	ROW_SHIFT(PSLLW, psllw), ROW_SHIFT(PSLLD, pslld), ROW_SHIFT(PSLLQ, psllq), ROW_SHIFT(PSRLW, psrlw), ROW_SHIFT(PSRLD, psrld),
	ROW_SHIFT(PSRLQ, psrlq), ROW_SHIFT(PSRAW, psraw), ROW_SHIFT(PSRAD, psrad),
	{ZYDIS_MNEMONIC_PSLLDQ, {O_X, O_I}, 0, FEAT_SSE2, pslldq},
	{ZYDIS_MNEMONIC_PSRLDQ, {O_X, O_I}, 0, FEAT_SSE2, psrldq},
	{ZYDIS_MNEMONIC_PALIGNR, {O_X, O_XM128, O_I}, 0, FEAT_SSSE3, palignr_x},
	{ZYDIS_MNEMONIC_PALIGNR, {O_MM, O_MMM64, O_I}, 0, FEAT_SSSE3, palignr_m},
	{ZYDIS_MNEMONIC_PSHUFD, {O_X, O_XM128, O_I}, 0, FEAT_SSE2, pshufd},
	{ZYDIS_MNEMONIC_PSHUFLW, {O_X, O_XM128, O_I}, 0, FEAT_SSE2, pshuflw},
	{ZYDIS_MNEMONIC_PSHUFHW, {O_X, O_XM128, O_I}, 0, FEAT_SSE2, pshufhw},
	{ZYDIS_MNEMONIC_PSHUFW, {O_MM, O_MMM64, O_I}, 0, FEAT_SSE, pshufw},
	{ZYDIS_MNEMONIC_PMOVMSKB, {O_R32, O_X}, 0, FEAT_SSE2, pmovmskb_x},
	{ZYDIS_MNEMONIC_PMOVMSKB, {O_R64, O_X}, 0, FEAT_SSE2, pmovmskb_x},
	{ZYDIS_MNEMONIC_PMOVMSKB, {O_R32, O_MM}, 0, FEAT_SSE, pmovmskb_m},
	{ZYDIS_MNEMONIC_PMOVMSKB, {O_R64, O_MM}, 0, FEAT_SSE, pmovmskb_m},
	{ZYDIS_MNEMONIC_PEXTRW, {O_R32, O_X, O_I}, 0, FEAT_SSE2, pextrw_x},
	{ZYDIS_MNEMONIC_PEXTRW, {O_R64, O_X, O_I}, 0, FEAT_SSE2, pextrw_x},
	{ZYDIS_MNEMONIC_PEXTRW, {O_R32, O_MM, O_I}, 0, FEAT_SSE, pextrw_m},
	{ZYDIS_MNEMONIC_PEXTRW, {O_R64, O_MM, O_I}, 0, FEAT_SSE, pextrw_m},
	{ZYDIS_MNEMONIC_PINSRW, {O_X, O_R32, O_I}, 0, FEAT_SSE2, pinsrw_x},
	{ZYDIS_MNEMONIC_PINSRW, {O_X, O_R64, O_I}, 0, FEAT_SSE2, pinsrw_x},
	{ZYDIS_MNEMONIC_PINSRW, {O_X, O_M16, O_I}, 0, FEAT_SSE2, pinsrw_x},
	{ZYDIS_MNEMONIC_PINSRW, {O_MM, O_R32, O_I}, 0, FEAT_SSE, pinsrw_m},
	{ZYDIS_MNEMONIC_PINSRW, {O_MM, O_R64, O_I}, 0, FEAT_SSE, pinsrw_m},
	{ZYDIS_MNEMONIC_PINSRW, {O_MM, O_M16, O_I}, 0, FEAT_SSE, pinsrw_m},
};
const struct form_table sse_int_forms = {table, ARRAY_LEN(table)};
