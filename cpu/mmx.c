/* SPDX-License-Identifier: MIT */
/* MMX moves and EMMS. The arithmetic shares its definitions with the XMM registers (sse_int.c). Intel SDM vol. 1 ch. 9, vol. 2. */
#include <Zydis/Mnemonic.h>
#include <Zydis/SharedTypes.h>

#include "cpu/sse.h"

static always_inline void set(struct cpu *cpu, const struct insn *in, u64 value)
{
	x87_mmx_enter(cpu);
	x87_mm_set(cpu, in->r[0], value);
}
OP(movd_mm_r) { x87_mmx_check(cpu); set(cpu, in, reg32(cpu, in->r[1])); }
OP(movd_mm_m) { x87_mmx_check(cpu); set(cpu, in, mem_read32(cpu, in)); }
OP(movq_mm_r) { x87_mmx_check(cpu); set(cpu, in, reg64(cpu, in->r[1])); }
OP(movq_mm_rm) { x87_mmx_check(cpu); set(cpu, in, mmx_source(cpu, in)); }
OP(movd_r_mm)
{
	x87_mmx_check(cpu);
	x87_mmx_enter(cpu);
	set_reg32(cpu, in->r[0], x87_mm(cpu, in->r[1]));
}
OP(movq_r_mm)
{
	x87_mmx_check(cpu);
	x87_mmx_enter(cpu);
	set_reg64(cpu, in->r[0], x87_mm(cpu, in->r[1]));
}
OP(movd_m_mm)
{
	x87_mmx_check(cpu);
	mem_write32(cpu, in, x87_mm(cpu, in->r[1]));
	x87_mmx_enter(cpu);
}
OP(movq_m_mm)
{
	x87_mmx_check(cpu);
	mem_write64(cpu, in, x87_mm(cpu, in->r[1]));
	x87_mmx_enter(cpu);
}
OP(emms)
{
	x87_mmx_check(cpu);
	x87_emms(cpu);
}

#define R(mnemonic, a, b, feature, fn) {ZYDIS_MNEMONIC_##mnemonic, {a, b}, 0, feature, fn}
static const struct form table[] = {
	R(MOVD, O_MM, O_R32, FEAT_MMX, movd_mm_r), R(MOVD, O_MM, O_M32, FEAT_MMX, movd_mm_m),
	R(MOVD, O_R32, O_MM, FEAT_MMX, movd_r_mm), R(MOVD, O_M32, O_MM, FEAT_MMX, movd_m_mm),
	R(MOVQ, O_MM, O_R64, FEAT_MMX, movq_mm_r), R(MOVQ, O_MM, O_MMM64, FEAT_MMX, movq_mm_rm),
	R(MOVQ, O_R64, O_MM, FEAT_MMX, movq_r_mm), R(MOVQ, O_M64, O_MM, FEAT_MMX, movq_m_mm),
	R(MOVNTQ, O_M64, O_MM, FEAT_SSE, movq_m_mm),
	R(EMMS, O_NONE, O_NONE, FEAT_MMX, emms),
};
const struct form_table mmx_forms = {table, ARRAY_LEN(table)};
