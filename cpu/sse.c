/* SPDX-License-Identifier: MIT */
/* SSE moves: whole registers, halves, scalars, shuffles of floats, masks, non-temporal stores, MXCSR, fences. Intel SDM vol. 2. */
#include <Zydis/Mnemonic.h>
#include <Zydis/SharedTypes.h>

#include "cpu/sse.h"

/* ---- whole registers ---- */
OP(mov_x_x)
{
	sse_check(cpu);
	sse_set(cpu, in->r[0], sse_reg(cpu, in->r[1]));
}
#define MOVE(name, aligned)                                                                                            \
	OP(name##_load)                                                                                                    \
	{                                                                                                                  \
		sse_check(cpu);                                                                                                \
		sse_set(cpu, in->r[0], sse_load(cpu, in, aligned));                                                            \
	}                                                                                                                  \
	OP(name##_store)                                                                                                   \
	{                                                                                                                  \
		sse_check(cpu);                                                                                                \
		mem_write128(cpu, in, sse_reg(cpu, in->r[1]).m, aligned);                                                      \
	}
MOVE(mova, true)
MOVE(movu, false)

/* ---- 32 and 64 bits between memory, general, MMX and XMM registers ---- */
static always_inline void set_low(struct cpu *cpu, unsigned n, u64 low)
{
	cpu->v[n].q[0] = low;
	cpu->v[n].q[1] = 0;
}
OP(movd_x_r) { sse_check(cpu); set_low(cpu, in->r[0], reg32(cpu, in->r[1])); }
OP(movd_x_m) { sse_check(cpu); set_low(cpu, in->r[0], mem_read32(cpu, in)); }
OP(movd_r_x) { sse_check(cpu); set_reg32(cpu, in->r[0], cpu->v[in->r[1]].d[0]); }
OP(movd_m_x) { sse_check(cpu); mem_write32(cpu, in, cpu->v[in->r[1]].d[0]); }
OP(movq_x_r) { sse_check(cpu); set_low(cpu, in->r[0], reg64(cpu, in->r[1])); }
OP(movq_x_m) { sse_check(cpu); set_low(cpu, in->r[0], mem_read64(cpu, in)); }
OP(movq_x_x) { sse_check(cpu); set_low(cpu, in->r[0], cpu->v[in->r[1]].q[0]); }
OP(movq_r_x) { sse_check(cpu); set_reg64(cpu, in->r[0], cpu->v[in->r[1]].q[0]); }
OP(movq_m_x) { sse_check(cpu); mem_write64(cpu, in, cpu->v[in->r[1]].q[0]); }

/* ---- scalars: a load clears the rest, a move between registers keeps it ---- */
OP(movss_x_x) { sse_check(cpu); cpu->v[in->r[0]].d[0] = cpu->v[in->r[1]].d[0]; }
OP(movsd_x_x) { sse_check(cpu); cpu->v[in->r[0]].q[0] = cpu->v[in->r[1]].q[0]; }

/* ---- halves ---- */
OP(movlp_load) { sse_check(cpu); cpu->v[in->r[0]].q[0] = mem_read64(cpu, in); }
OP(movhp_load) { sse_check(cpu); cpu->v[in->r[0]].q[1] = mem_read64(cpu, in); }
OP(movhp_store) { sse_check(cpu); mem_write64(cpu, in, cpu->v[in->r[1]].q[1]); }
OP(movlhps) { sse_check(cpu); cpu->v[in->r[0]].q[1] = cpu->v[in->r[1]].q[0]; }
OP(movhlps) { sse_check(cpu); cpu->v[in->r[0]].q[0] = cpu->v[in->r[1]].q[1]; }
OP(movddup)
{
	sse_check(cpu);
	u64 low = sse_source64(cpu, in);
	cpu->v[in->r[0]].q[0] = cpu->v[in->r[0]].q[1] = low;
}
#define DUPLICATE(name, odd)                                                                                           \
	OP(name)                                                                                                           \
	{                                                                                                                  \
		sse_check(cpu);                                                                                                \
		union lanes128 b = sse_source(cpu, in);                                                                        \
		sse_set(cpu, in->r[0], (union lanes128){.d = {b.d[odd], b.d[odd], b.d[2 + odd], b.d[2 + odd]}});               \
	}
DUPLICATE(movsldup, 0)
DUPLICATE(movshdup, 1)

/* ---- shuffles ---- */
OP(shufps)
{
	sse_check(cpu);
	union lanes128 a = sse_reg(cpu, in->r[0]), b = sse_source(cpu, in);
	unsigned i = in->imm;
	sse_set(cpu, in->r[0], (union lanes128){.d = {a.d[i & 3], a.d[i >> 2 & 3], b.d[i >> 4 & 3], b.d[i >> 6 & 3]}});
}
OP(shufpd)
{
	sse_check(cpu);
	union lanes128 a = sse_reg(cpu, in->r[0]), b = sse_source(cpu, in);
	sse_set(cpu, in->r[0], (union lanes128){.q = {a.q[in->imm & 1], b.q[in->imm >> 1 & 1]}});
}
OP(unpcklps)
{
	sse_check(cpu);
	union lanes128 a = sse_reg(cpu, in->r[0]), b = sse_source(cpu, in);
	sse_set(cpu, in->r[0], (union lanes128){.d = {a.d[0], b.d[0], a.d[1], b.d[1]}});
}
OP(unpckhps)
{
	sse_check(cpu);
	union lanes128 a = sse_reg(cpu, in->r[0]), b = sse_source(cpu, in);
	sse_set(cpu, in->r[0], (union lanes128){.d = {a.d[2], b.d[2], a.d[3], b.d[3]}});
}
OP(unpcklpd)
{
	sse_check(cpu);
	union lanes128 b = sse_source(cpu, in);
	cpu->v[in->r[0]].q[1] = b.q[0];
}
OP(unpckhpd)
{
	sse_check(cpu);
	union lanes128 a = sse_reg(cpu, in->r[0]), b = sse_source(cpu, in);
	sse_set(cpu, in->r[0], (union lanes128){.q = {a.q[1], b.q[1]}});
}

/* ---- masks ---- */
OP(movmskps)
{
	sse_check(cpu);
	union lanes128 b = sse_reg(cpu, in->r[1]);
	cpu->gpr[in->r[0]] = b.d[0] >> 31 | b.d[1] >> 31 << 1 | b.d[2] >> 31 << 2 | b.d[3] >> 31 << 3;
}
OP(movmskpd)
{
	sse_check(cpu);
	cpu->gpr[in->r[0]] = cpu->v[in->r[1]].q[0] >> 63 | cpu->v[in->r[1]].q[1] >> 63 << 1;
}

/* Bytes of a register stored where the mask's bytes have their top bit set, at DS:rDI. With an empty mask nothing is touched. */
static void store_masked(struct cpu *cpu, const struct insn *in, const u8 *value, const u8 *mask, unsigned n)
{
	struct insn at = *in;
	at.base = RDI;
	at.index = GPR_ZERO;
	at.disp = 0;
	at.ea = EA_OTHER;
	u64 la = ea_linear(cpu, &at, n, true);
	for (unsigned i = 0; i < n; i++)
		if (mask[i] & 0x80)
			access_check(cpu, la + i, 1, true, in->seg);
	for (unsigned i = 0; i < n; i++)
		if (mask[i] & 0x80)
			lin_write8(cpu, la + i, value[i], in->seg);
}
OP(maskmovdqu)
{
	sse_check(cpu);
	union lanes128 a = sse_reg(cpu, in->r[0]), mask = sse_reg(cpu, in->r[1]);
	store_masked(cpu, in, a.b, mask.b, 16);
}
OP(maskmovq)
{
	x87_mmx_check(cpu);
	union lanes64 a = {.q = {x87_mm(cpu, in->r[0])}}, mask = {.q = {x87_mm(cpu, in->r[1])}};
	store_masked(cpu, in, a.b, mask.b, 8);
	x87_mmx_enter(cpu);
}

/* ---- between MMX and XMM ---- */
OP(movdq2q)
{
	sse_check(cpu);
	x87_mmx_check(cpu);
	x87_mmx_enter(cpu);
	x87_mm_set(cpu, in->r[0], cpu->v[in->r[1]].q[0]);
}
OP(movq2dq)
{
	sse_check(cpu);
	x87_mmx_check(cpu);
	x87_mmx_enter(cpu);
	set_low(cpu, in->r[0], x87_mm(cpu, in->r[1]));
}

/* ---- MXCSR and fences ---- */
OP(ldmxcsr)
{
	sse_check(cpu);
	u32 value = mem_read32(cpu, in);
	if (value & 0xffff0000)
		exception_gp(cpu, 0);
	cpu->mxcsr = value;
}
OP(stmxcsr)
{
	sse_check(cpu);
	mem_write32(cpu, in, cpu->mxcsr);
}
/* Loads and stores of one CPU are seen in order by itself; among several the fence must order the host's. */
OP_FAST(fence) { atomic_thread_fence(memory_order_seq_cst); }

#define MOVE_ROWS(mnemonic, fn, feature)                                                                               \
	{ZYDIS_MNEMONIC_##mnemonic, {O_X, O_X}, 0, feature, mov_x_x}, {ZYDIS_MNEMONIC_##mnemonic, {O_X, O_M128}, 0, feature, fn##_load}, \
		{ZYDIS_MNEMONIC_##mnemonic, {O_M128, O_X}, 0, feature, fn##_store}
#define R(mnemonic, a, b, feature, fn) {ZYDIS_MNEMONIC_##mnemonic, {a, b}, 0, feature, fn}
#define RI(mnemonic, a, b, feature, fn) {ZYDIS_MNEMONIC_##mnemonic, {a, b, O_I}, 0, feature, fn}
static const struct form table[] = {
	MOVE_ROWS(MOVAPS, mova, FEAT_SSE), MOVE_ROWS(MOVAPD, mova, FEAT_SSE2), MOVE_ROWS(MOVDQA, mova, FEAT_SSE2),
	MOVE_ROWS(MOVUPS, movu, FEAT_SSE), MOVE_ROWS(MOVUPD, movu, FEAT_SSE2), MOVE_ROWS(MOVDQU, movu, FEAT_SSE2),
	R(LDDQU, O_X, O_M128, FEAT_SSE3, movu_load),
	R(MOVNTDQA, O_X, O_M128, FEAT_SSE41, mova_load),
	R(MOVNTPS, O_M128, O_X, FEAT_SSE, mova_store), R(MOVNTPD, O_M128, O_X, FEAT_SSE2, mova_store),
	R(MOVNTDQ, O_M128, O_X, FEAT_SSE2, mova_store),
	R(MOVD, O_X, O_R32, FEAT_SSE2, movd_x_r), R(MOVD, O_X, O_M32, FEAT_SSE2, movd_x_m),
	R(MOVD, O_R32, O_X, FEAT_SSE2, movd_r_x), R(MOVD, O_M32, O_X, FEAT_SSE2, movd_m_x),
	R(MOVQ, O_X, O_R64, FEAT_SSE2, movq_x_r), R(MOVQ, O_X, O_M64, FEAT_SSE2, movq_x_m), R(MOVQ, O_X, O_X, FEAT_SSE2, movq_x_x),
	R(MOVQ, O_R64, O_X, FEAT_SSE2, movq_r_x), R(MOVQ, O_M64, O_X, FEAT_SSE2, movq_m_x),
	R(MOVSS, O_X, O_X, FEAT_SSE, movss_x_x), R(MOVSS, O_X, O_M32, FEAT_SSE, movd_x_m), R(MOVSS, O_M32, O_X, FEAT_SSE, movd_m_x),
	R(MOVSD, O_X, O_X, FEAT_SSE2, movsd_x_x), R(MOVSD, O_X, O_M64, FEAT_SSE2, movq_x_m), R(MOVSD, O_M64, O_X, FEAT_SSE2, movq_m_x),
	R(MOVLPS, O_X, O_M64, FEAT_SSE, movlp_load), R(MOVLPS, O_M64, O_X, FEAT_SSE, movq_m_x),
	R(MOVLPD, O_X, O_M64, FEAT_SSE2, movlp_load), R(MOVLPD, O_M64, O_X, FEAT_SSE2, movq_m_x),
	R(MOVHPS, O_X, O_M64, FEAT_SSE, movhp_load), R(MOVHPS, O_M64, O_X, FEAT_SSE, movhp_store),
	R(MOVHPD, O_X, O_M64, FEAT_SSE2, movhp_load), R(MOVHPD, O_M64, O_X, FEAT_SSE2, movhp_store),
	R(MOVLHPS, O_X, O_X, FEAT_SSE, movlhps), R(MOVHLPS, O_X, O_X, FEAT_SSE, movhlps),
	R(MOVDDUP, O_X, O_XM64, FEAT_SSE3, movddup), R(MOVSLDUP, O_X, O_XM128, FEAT_SSE3, movsldup),
	R(MOVSHDUP, O_X, O_XM128, FEAT_SSE3, movshdup),
	RI(SHUFPS, O_X, O_XM128, FEAT_SSE, shufps), RI(SHUFPD, O_X, O_XM128, FEAT_SSE2, shufpd),
	R(UNPCKLPS, O_X, O_XM128, FEAT_SSE, unpcklps), R(UNPCKHPS, O_X, O_XM128, FEAT_SSE, unpckhps),
	R(UNPCKLPD, O_X, O_XM128, FEAT_SSE2, unpcklpd), R(UNPCKHPD, O_X, O_XM128, FEAT_SSE2, unpckhpd),
	R(MOVMSKPS, O_R32, O_X, FEAT_SSE, movmskps), R(MOVMSKPS, O_R64, O_X, FEAT_SSE, movmskps),
	R(MOVMSKPD, O_R32, O_X, FEAT_SSE2, movmskpd), R(MOVMSKPD, O_R64, O_X, FEAT_SSE2, movmskpd),
	R(MASKMOVDQU, O_X, O_X, FEAT_SSE2, maskmovdqu), R(MASKMOVQ, O_MM, O_MM, FEAT_SSE, maskmovq),
	R(MOVDQ2Q, O_MM, O_X, FEAT_SSE2, movdq2q), R(MOVQ2DQ, O_X, O_MM, FEAT_SSE2, movq2dq),
	R(LDMXCSR, O_M32, O_NONE, FEAT_SSE, ldmxcsr), R(STMXCSR, O_M32, O_NONE, FEAT_SSE, stmxcsr),
	R(SFENCE, O_NONE, O_NONE, FEAT_SSE, fence), R(LFENCE, O_NONE, O_NONE, FEAT_SSE2, fence), R(MFENCE, O_NONE, O_NONE, FEAT_SSE2, fence),
};
const struct form_table sse_forms = {table, ARRAY_LEN(table)};
