/* SPDX-License-Identifier: MIT */
/* Control and debug registers: MOV CRn, MOV DRn, LMSW, SMSW, CLTS, XSETBV, XGETBV. SDM vol. 3A 2.5 (fields), 4.1 and 10.8.5
 * (mode changes), 4.4.1 (PDPTEs), 4.10.4 (what invalidates the TLB), 18.2 (debug registers); vol. 2 for each instruction.
 *
 * Not implemented: 5-level paging, protection keys, CET, VMX; the bits of CR4 for them are reserved. AMD's LOCK MOV CR0 for
 * CR8. */
#include "cpu/control.h"

#include <Zydis/Mnemonic.h>
#include <Zydis/SharedTypes.h>

#include "cpu/access.h"
#include "cpu/exception.h"
#include "cpu/forms.h"
#include "cpu/mode.h"
#include "cpu/model.h"
#include "cpu/quiet.h"
#include "cpu/xsave.h"

#define CR0_BITS (CR0_PE | CR0_MP | CR0_EM | CR0_TS | CR0_ET | CR0_NE | CR0_WP | CR0_AM | CR0_NW | CR0_CD | CR0_PG)

/* ---- the rules ---- */

/* PAE paging outside long mode keeps its top level in the CPU. */
static bool uses_pdptes(u64 cr0, u64 cr4, u64 efer)
{
	return (cr0 & CR0_PG) && (cr4 & CR4_PAE) && !(efer & EFER_LME);
}

static bool long_mode_may_start(const struct cpu *cpu)
{
	u32 tss = cpu->tr.attr & SEG_TYPE;

	if (!(cpu->cr4 & CR4_PAE) || (cpu->seg[SEG_CS].attr & SEG_L))
		return false;
	return tss != 1 && tss != 3; /* no 16-bit TSS */
}

bool control_set_cr0(struct cpu *cpu, u64 value)
{
	if (value >> 32)
		return false;
	value = (value & CR0_BITS) | CR0_ET;
	u64 changed = value ^ cpu->cr0, efer = cpu->efer;

	if ((value & CR0_PG) && !(value & CR0_PE))
		return false;
	if ((value & CR0_NW) && !(value & CR0_CD))
		return false;
	if (changed & CR0_PG) {
		if (value & CR0_PG) {
			if (efer & EFER_LME) {
				if (!long_mode_may_start(cpu))
					return false;
				efer |= EFER_LMA;
			}
		} else {
			if (cpu->code_mode == CODE64 || (cpu->cr4 & CR4_PCIDE))
				return false;
			efer &= ~EFER_LMA;
		}
	}
	if (uses_pdptes(value, cpu->cr4, efer) && (changed & (CR0_PG | CR0_CD | CR0_NW)) && !paging_load_pdptes(cpu, cpu->cr3))
		return false;
	cpu->cr0 = value;
	cpu->efer = efer;
	if (changed & CR0_PE)
		cpu->cpl = 0;
	if (changed & (CR0_PG | CR0_PE | CR0_WP))
		tlb_flush_all(cpu);
	mode_update(cpu);
	return true;
}

bool control_set_cr3(struct cpu *cpu, u64 value)
{
	bool keep = (cpu->cr4 & CR4_PCIDE) && (value & CR3_NO_FLUSH);

	if (cpu->cr4 & CR4_PCIDE)
		value &= ~CR3_NO_FLUSH;
	if (cpu->efer & EFER_LMA) {
		if (value >> cpu->model->phys_bits)
			return false;
	} else {
		value = (u32)value;
	}
	if (uses_pdptes(cpu->cr0, cpu->cr4, cpu->efer) && !paging_load_pdptes(cpu, value))
		return false;
	u64 before = cpu->cr3;
	cpu->cr3 = value;
	if (cpu->cr4 & CR4_PCIDE)
		tlb_switch(cpu, before & CR3_PCID, value & CR3_PCID, keep);
	else
		tlb_flush(cpu);
	return true;
}

u64 control_cr4_bits(const struct cpu *cpu)
{
	static const struct {
		u64 bits;
		u8 feature;
	} table[] = {
		{CR4_VME | CR4_PVI, FEAT_VME}, {CR4_TSD, FEAT_TSC}, {CR4_DE, FEAT_DE}, {CR4_PSE, FEAT_PSE}, {CR4_PAE, FEAT_PAE},
		{CR4_MCE, FEAT_MCE}, {CR4_PGE, FEAT_PGE}, {CR4_PCE, FEAT_MMX}, {CR4_OSFXSR, FEAT_FXSR}, {CR4_OSXMMEXCPT, FEAT_SSE},
		{CR4_UMIP, FEAT_UMIP}, {CR4_FSGSBASE, FEAT_FSGSBASE}, {CR4_PCIDE, FEAT_PCID}, {CR4_OSXSAVE, FEAT_XSAVE},
		{CR4_SMEP, FEAT_SMEP}, {CR4_SMAP, FEAT_SMAP},
	};
	u64 bits = 0;

	for (unsigned i = 0; i < ARRAY_LEN(table); i++)
		if (cpu_does(cpu, table[i].feature))
			bits |= table[i].bits;
	return bits;
}

bool control_set_cr4(struct cpu *cpu, u64 value)
{
	u64 changed = value ^ cpu->cr4;

	if (value & ~control_cr4_bits(cpu))
		return false;
	if ((cpu->efer & EFER_LMA) && !(value & CR4_PAE))
		return false;
	if ((changed & value & CR4_PCIDE) && (!(cpu->efer & EFER_LMA) || (cpu->cr3 & CR3_PCID)))
		return false;
	if (uses_pdptes(cpu->cr0, value, cpu->efer) && (changed & (CR4_PAE | CR4_PGE | CR4_PSE | CR4_SMEP)) &&
	    !paging_load_pdptes(cpu, cpu->cr3))
		return false;
	cpu->cr4 = value;
	if (changed & (CR4_PSE | CR4_PAE | CR4_PGE | CR4_PCIDE | CR4_SMEP | CR4_SMAP))
		tlb_flush_all(cpu);
	mode_update(cpu);
	return true;
}

u64 control_cr8(struct cpu *cpu)
{
	if (!cpu->intc.get_cr8)
		return 0;
	bool inside = quiet_lock(cpu);
	u64 value = cpu->intc.get_cr8(cpu->intc.opaque);
	quiet_unlock(cpu, inside);
	return value & 15;
}

bool control_set_cr8(struct cpu *cpu, u64 value)
{
	if (value & ~15ull)
		return false;
	if (cpu->intc.set_cr8) {
		bool inside = quiet_lock(cpu);
		cpu->intc.set_cr8(cpu->intc.opaque, value);
		quiet_unlock(cpu, inside);
	}
	return true;
}

u64 control_efer_bits(const struct cpu *cpu)
{
	return (cpu_has(cpu, FEAT_SYSCALL) ? EFER_SCE : 0) | (cpu_has(cpu, FEAT_LM) ? EFER_LME | EFER_LMA : 0) |
	       (cpu_has(cpu, FEAT_NX) ? EFER_NXE : 0) | (cpu_has(cpu, FEAT_FFXSR) ? EFER_FFXSR : 0);
}

bool control_set_efer(struct cpu *cpu, u64 value)
{
	if (value & ~control_efer_bits(cpu))
		return false;
	value = (value & ~EFER_LMA) | (cpu->efer & EFER_LMA); /* LMA is the CPU's to change */
	u64 changed = value ^ cpu->efer;
	if ((changed & EFER_LME) && (cpu->cr0 & CR0_PG))
		return false;
	cpu->efer = value;
	if (changed & EFER_NXE)
		tlb_flush_all(cpu);
	mode_update(cpu);
	return true;
}

bool control_set_xcr0(struct cpu *cpu, u64 value)
{
	if ((value & ~xsave_supported(cpu)) || !(value & XSAVE_X87))
		return false;
	if ((value & XSAVE_AVX) && !(value & XSAVE_SSE))
		return false;
	cpu->xcr0 = value;
	mode_update(cpu);
	return true;
}

/* ---- MOV CRn ---- */

static void privileged(struct cpu *cpu)
{
	if (cpu->cpl)
		exception_gp(cpu, 0);
}

static u64 get_cr(struct cpu *cpu, unsigned index)
{
	switch (index) {
	case 0: return cpu->cr0;
	case 2: return cpu->cr2;
	case 3: return cpu->cr3;
	case 4: return cpu->cr4;
	case 8: return control_cr8(cpu);
	default: exception_ud(cpu);
	}
}

static bool set_cr(struct cpu *cpu, unsigned index, u64 value)
{
	switch (index) {
	case 0: return control_set_cr0(cpu, value);
	case 2: cpu->cr2 = value; return true;
	case 3: return control_set_cr3(cpu, value);
	case 4: return control_set_cr4(cpu, value);
	case 8: return control_set_cr8(cpu, value);
	default: exception_ud(cpu);
	}
}

/* Ends a block only because CR8 asks the interrupt controller. */
OP_END(mov_r_cr)
{
	privileged(cpu);
	u64 value = get_cr(cpu, in->r[1]);
	if (mode_64(cpu))
		set_reg64(cpu, in->r[0], value);
	else
		set_reg32(cpu, in->r[0], value);
	cpu->rip = insn_next_rip(cpu, in);
}

OP_END(mov_cr_r)
{
	u64 next = insn_next_rip(cpu, in);

	privileged(cpu);
	if (!set_cr(cpu, in->r[0], mode_64(cpu) ? reg64(cpu, in->r[1]) : reg32(cpu, in->r[1])))
		exception_gp(cpu, 0);
	cpu->rip = next;
}

/* ---- MOV DRn ---- */

/* DR4 and DR5 are other names of DR6 and DR7 unless CR4.DE makes them undefined. */
static unsigned debug_register(struct cpu *cpu, unsigned index)
{
	if (index == 4 || index == 5) {
		if (cpu->cr4 & CR4_DE)
			exception_ud(cpu);
		index += 2;
	}
	if (index > 7)
		exception_ud(cpu);
	privileged(cpu);
	if (cpu->dr[7] & DR7_GD)
		exception_debug(cpu, DR6_BD);
	return index;
}

OP_END(mov_r_dr)
{
	u64 value = cpu->dr[debug_register(cpu, in->r[1])];

	if (mode_64(cpu))
		set_reg64(cpu, in->r[0], value);
	else
		set_reg32(cpu, in->r[0], value);
	cpu->rip = insn_next_rip(cpu, in);
}

OP_END(mov_dr_r)
{
	unsigned index = debug_register(cpu, in->r[0]);
	u64 value = mode_64(cpu) ? reg64(cpu, in->r[1]) : reg32(cpu, in->r[1]);

	if (index >= 6 && value >> 32)
		exception_gp(cpu, 0);
	if (index == 6)
		value = (value & DR6_WRITABLE) | DR6_FIXED;
	else if (index == 7)
		value = (value & DR7_WRITABLE) | DR7_FIXED;
	cpu->dr[index] = value;
	mode_flags_changed(cpu);
	cpu->rip = insn_next_rip(cpu, in);
}

/* ---- the machine status word ---- */

OP_END(clts)
{
	privileged(cpu);
	cpu->cr0 &= ~CR0_TS;
	mode_update(cpu);
	cpu->rip = insn_next_rip(cpu, in);
}

/* The low four bits of CR0; PE can be set but not cleared. */
OP_END(lmsw)
{
	u64 next = insn_next_rip(cpu, in);
	const u64 word = CR0_PE | CR0_MP | CR0_EM | CR0_TS;

	privileged(cpu);
	u64 value = in->ea ? mem_read16(cpu, in) : *reg16(cpu, in->r[0]);
	if (!control_set_cr0(cpu, (cpu->cr0 & ~(word & ~CR0_PE)) | (value & word)))
		exception_gp(cpu, 0);
	cpu->rip = next;
}

OP(smsw)
{
	if ((cpu->cr4 & CR4_UMIP) && cpu->cpl)
		exception_gp(cpu, 0);
	if (in->ea)
		mem_write16(cpu, in, cpu->cr0);
	else if (in->osize == 2)
		set_reg16(cpu, in->r[0], cpu->cr0);
	else
		set_reg64(cpu, in->r[0], cpu->cr0); /* 32 and 64 bits: the upper half of CR0 is 0 */
}

/* ---- extended control registers ---- */

OP(xgetbv)
{
	u64 value;

	if (!(cpu->cr4 & CR4_OSXSAVE))
		exception_ud(cpu);
	if (reg32(cpu, RCX) == 0)
		value = cpu->xcr0;
	else if (reg32(cpu, RCX) == 1 && cpu_has(cpu, FEAT_XGETBV1))
		value = cpu->xcr0 & xsave_in_use(cpu);
	else
		exception_gp(cpu, 0);
	set_reg32(cpu, RAX, value);
	set_reg32(cpu, RDX, value >> 32);
}

OP_END(xsetbv)
{
	if (!(cpu->cr4 & CR4_OSXSAVE))
		exception_ud(cpu);
	privileged(cpu);
	if (reg32(cpu, RCX) || !control_set_xcr0(cpu, (u64)reg32(cpu, RDX) << 32 | reg32(cpu, RAX)))
		exception_gp(cpu, 0);
	cpu->rip = insn_next_rip(cpu, in);
}

#define M(name) ZYDIS_MNEMONIC_##name
static const struct form table[] = {
	{M(MOV), {O_R64, O_CR}, FORM_END, 0, mov_r_cr},
	{M(MOV), {O_R32, O_CR}, FORM_END, 0, mov_r_cr},
	{M(MOV), {O_CR, O_R64}, FORM_END, 0, mov_cr_r},
	{M(MOV), {O_CR, O_R32}, FORM_END, 0, mov_cr_r},
	{M(MOV), {O_R64, O_DR}, FORM_END, 0, mov_r_dr},
	{M(MOV), {O_R32, O_DR}, FORM_END, 0, mov_r_dr},
	{M(MOV), {O_DR, O_R64}, FORM_END, 0, mov_dr_r},
	{M(MOV), {O_DR, O_R32}, FORM_END, 0, mov_dr_r},
	{M(CLTS), {0}, FORM_END, 0, clts},
	{M(LMSW), {O_RM16}, FORM_END, 0, lmsw},
	{M(SMSW), {O_RM16}, 0, 0, smsw},
	{M(SMSW), {O_R32}, 0, 0, smsw},
	{M(SMSW), {O_R64}, 0, 0, smsw},
	{M(XGETBV), {0}, 0, FEAT_XSAVE, xgetbv},
	{M(XSETBV), {0}, FORM_END, FEAT_XSAVE, xsetbv},
};
const struct form_table control_forms = {table, ARRAY_LEN(table)};
