/* SPDX-License-Identifier: MIT */
/* SSE moves: whole registers, halves, scalars, shuffles of floats, masks, non-temporal stores, MXCSR, fences. Intel SDM vol. 2.
 * Non-temporal accesses are ordinary ones: what they promise about order, others' fences see to. */
#include <Zydis/Mnemonic.h>
#include <Zydis/SharedTypes.h>

#include "base/fence.h"
#include "cpu/sse.h"

const struct insn *sse_refuse(struct cpu *cpu, const struct insn *in)
{
	cpu->cur = in;
	exception_raise(cpu, cpu->sse_fault);
}

struct m128 sse_slow_read(struct cpu *cpu, const struct insn *in, bool aligned)
{
	return mem_read128(cpu, in, aligned);
}

/* ---- whole registers ---- */
SSE_REG(mov_x_x) { sse_set(cpu, in->r[0], sse_reg(cpu, in->r[1])); }
SSE_LOAD128(mova_load, true) { sse_set(cpu, in->r[0], m); }
SSE_LOAD128(movu_load, false) { sse_set(cpu, in->r[0], m); }
SSE_STORE128(mova_store, true) { return sse_reg(cpu, in->r[1]); }
SSE_STORE128(movu_store, false) { return sse_reg(cpu, in->r[1]); }

/* ---- 32 and 64 bits between memory, general and XMM registers ---- */
SSE_REG(movd_x_r) { sse_set_low(cpu, in->r[0], reg32(cpu, in->r[1])); }
SSE_REG(movd_r_x) { set_reg32(cpu, in->r[0], cpu->v[in->r[1]].d[0]); }
SSE_REG(movq_x_r) { sse_set_low(cpu, in->r[0], reg64(cpu, in->r[1])); }
SSE_REG(movq_r_x) { set_reg64(cpu, in->r[0], cpu->v[in->r[1]].q[0]); }
SSE_REG(movq_x_x) { sse_set_low(cpu, in->r[0], cpu->v[in->r[1]].q[0]); }
SSE_LOAD(movd_load, 32) { sse_set_low(cpu, in->r[0], m); }
SSE_LOAD(movq_load, 64) { sse_set_low(cpu, in->r[0], m); }
SSE_STORE(movd_store, 32) { return cpu->v[in->r[1]].d[0]; }
SSE_STORE(movq_store, 64) { return cpu->v[in->r[1]].q[0]; }

/* ---- scalars: a load (that of MOVD and MOVQ) clears the rest, a move between registers keeps it ---- */
SSE_REG(movss_x_x) { cpu->v[in->r[0]].d[0] = cpu->v[in->r[1]].d[0]; }
SSE_REG(movsd_x_x) { cpu->v[in->r[0]].q[0] = cpu->v[in->r[1]].q[0]; }

/* ---- halves ---- */
SSE_LOAD(movlp_load, 64) { cpu->v[in->r[0]].q[0] = m; }
SSE_LOAD(movhp_load, 64) { cpu->v[in->r[0]].q[1] = m; }
SSE_STORE(movhp_store, 64) { return cpu->v[in->r[1]].q[1]; }
SSE_REG(movlhps) { cpu->v[in->r[0]].q[1] = cpu->v[in->r[1]].q[0]; }
SSE_REG(movhlps) { cpu->v[in->r[0]].q[0] = cpu->v[in->r[1]].q[1]; }

static always_inline union lanes128 twice(u64 v) { return (union lanes128){.vq = {v, v}}; }
SSE_REG(movddup_x) { sse_set(cpu, in->r[0], twice(cpu->v[in->r[1]].q[0])); }
SSE_LOAD(movddup_m, 64) { sse_set(cpu, in->r[0], twice(m)); }
SSE_OP(movsldup) { return (union lanes128){.vd = {b.vd[0], b.vd[0], b.vd[2], b.vd[2]}}; }
SSE_OP(movshdup) { return (union lanes128){.vd = {b.vd[1], b.vd[1], b.vd[3], b.vd[3]}}; }

/* ---- shuffles ---- */
SSE_PICK(shufps)
{
	const unsigned i = in->imm;
	return (union lanes128){.vd = {a->d[i & 3], a->d[i >> 2 & 3], b->d[i >> 4 & 3], b->d[i >> 6 & 3]}};
}
SSE_PICK(shufpd) { return (union lanes128){.vq = {a->q[in->imm & 1], b->q[in->imm >> 1 & 1]}}; }
SSE_OP(unpcklps) { return (union lanes128){.vd = {a.vd[0], b.vd[0], a.vd[1], b.vd[1]}}; }
SSE_OP(unpckhps) { return (union lanes128){.vd = {a.vd[2], b.vd[2], a.vd[3], b.vd[3]}}; }
SSE_OP(unpcklpd) { return (union lanes128){.vq = {a.vq[0], b.vq[0]}}; }
SSE_OP(unpckhpd) { return (union lanes128){.vq = {a.vq[1], b.vq[1]}}; }

/* ---- masks ---- */
SSE_REG(movmskps)
{
	const union lanes128 b = sse_reg(cpu, in->r[1]);
	set_reg64(cpu, in->r[0], b.d[0] >> 31 | b.d[1] >> 31 << 1 | b.d[2] >> 31 << 2 | b.d[3] >> 31 << 3);
}
SSE_REG(movmskpd)
{
	const u64 *q = cpu->v[in->r[1]].q;
	set_reg64(cpu, in->r[0], q[0] >> 63 | q[1] >> 63 << 1);
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
	union lanes128 a = {.q = {x87_mm(cpu, in->r[0])}}, mask = {.q = {x87_mm(cpu, in->r[1])}};
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
	sse_set_low(cpu, in->r[0], x87_mm(cpu, in->r[1]));
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
OP_FAST(fence) { fence_full(); }

#define ROWS_MOVE(mnemonic, fn, feature)                                                                               \
	SSE_ROW(mnemonic, O_X, O_X, feature, mov_x_x), SSE_ROW(mnemonic, O_X, O_B, feature, fn##_load_b),                  \
		SSE_ROW(mnemonic, O_X, O_M128, feature, fn##_load), SSE_ROW_STORE128(mnemonic, feature, fn##_store)
#define R SSE_ROW
static const struct form table[] = {
	ROWS_MOVE(MOVAPS, mova, FEAT_SSE), ROWS_MOVE(MOVAPD, mova, FEAT_SSE2), ROWS_MOVE(MOVDQA, mova, FEAT_SSE2),
	ROWS_MOVE(MOVUPS, movu, FEAT_SSE), ROWS_MOVE(MOVUPD, movu, FEAT_SSE2), ROWS_MOVE(MOVDQU, movu, FEAT_SSE2),
	R(LDDQU, O_X, O_M128, FEAT_SSE3, movu_load),
	R(MOVNTDQA, O_X, O_M128, FEAT_SSE41, mova_load),
	SSE_ROW_STORE128(MOVNTPS, FEAT_SSE, mova_store), SSE_ROW_STORE128(MOVNTPD, FEAT_SSE2, mova_store),
	SSE_ROW_STORE128(MOVNTDQ, FEAT_SSE2, mova_store),
	R(MOVD, O_X, O_R32, FEAT_SSE2, movd_x_r), R(MOVD, O_R32, O_X, FEAT_SSE2, movd_r_x),
	SSE_ROW_LOAD(MOVD, 32, FEAT_SSE2, movd_load), SSE_ROW_STORE(MOVD, 32, FEAT_SSE2, movd_store),
	R(MOVQ, O_X, O_X, FEAT_SSE2, movq_x_x), R(MOVQ, O_X, O_R64, FEAT_SSE2, movq_x_r), R(MOVQ, O_R64, O_X, FEAT_SSE2, movq_r_x),
	SSE_ROW_LOAD(MOVQ, 64, FEAT_SSE2, movq_load), SSE_ROW_STORE(MOVQ, 64, FEAT_SSE2, movq_store),
	R(MOVSS, O_X, O_X, FEAT_SSE, movss_x_x),
	SSE_ROW_LOAD(MOVSS, 32, FEAT_SSE, movd_load), SSE_ROW_STORE(MOVSS, 32, FEAT_SSE, movd_store),
	R(MOVSD, O_X, O_X, FEAT_SSE2, movsd_x_x),
	SSE_ROW_LOAD(MOVSD, 64, FEAT_SSE2, movq_load), SSE_ROW_STORE(MOVSD, 64, FEAT_SSE2, movq_store),
	SSE_ROW_LOAD(MOVLPS, 64, FEAT_SSE, movlp_load), SSE_ROW_STORE(MOVLPS, 64, FEAT_SSE, movq_store),
	SSE_ROW_LOAD(MOVLPD, 64, FEAT_SSE2, movlp_load), SSE_ROW_STORE(MOVLPD, 64, FEAT_SSE2, movq_store),
	SSE_ROW_LOAD(MOVHPS, 64, FEAT_SSE, movhp_load), SSE_ROW_STORE(MOVHPS, 64, FEAT_SSE, movhp_store),
	SSE_ROW_LOAD(MOVHPD, 64, FEAT_SSE2, movhp_load), SSE_ROW_STORE(MOVHPD, 64, FEAT_SSE2, movhp_store),
	R(MOVLHPS, O_X, O_X, FEAT_SSE, movlhps), R(MOVHLPS, O_X, O_X, FEAT_SSE, movhlps),
	R(MOVDDUP, O_X, O_X, FEAT_SSE3, movddup_x), SSE_ROW_LOAD(MOVDDUP, 64, FEAT_SSE3, movddup_m),
	SSE_ROW_OP(MOVSLDUP, FEAT_SSE3, movsldup), SSE_ROW_OP(MOVSHDUP, FEAT_SSE3, movshdup),
	SSE_ROW_OP_I(SHUFPS, FEAT_SSE, shufps), SSE_ROW_OP_I(SHUFPD, FEAT_SSE2, shufpd),
	SSE_ROW_OP(UNPCKLPS, FEAT_SSE, unpcklps), SSE_ROW_OP(UNPCKHPS, FEAT_SSE, unpckhps),
	SSE_ROW_OP(UNPCKLPD, FEAT_SSE2, unpcklpd), SSE_ROW_OP(UNPCKHPD, FEAT_SSE2, unpckhpd),
	R(MOVMSKPS, O_R32, O_X, FEAT_SSE, movmskps), R(MOVMSKPS, O_R64, O_X, FEAT_SSE, movmskps),
	R(MOVMSKPD, O_R32, O_X, FEAT_SSE2, movmskpd), R(MOVMSKPD, O_R64, O_X, FEAT_SSE2, movmskpd),
	R(MASKMOVDQU, O_X, O_X, FEAT_SSE2, maskmovdqu), R(MASKMOVQ, O_MM, O_MM, FEAT_SSE, maskmovq),
	R(MOVDQ2Q, O_MM, O_X, FEAT_SSE2, movdq2q), R(MOVQ2DQ, O_X, O_MM, FEAT_SSE2, movq2dq),
	R(LDMXCSR, O_M32, O_NONE, FEAT_SSE, ldmxcsr), R(STMXCSR, O_M32, O_NONE, FEAT_SSE, stmxcsr),
	R(SFENCE, O_NONE, O_NONE, FEAT_SSE, fence), R(LFENCE, O_NONE, O_NONE, FEAT_SSE2, fence),
	R(MFENCE, O_NONE, O_NONE, FEAT_SSE2, fence),
};
const struct form_table sse_forms = {table, ARRAY_LEN(table)};
