/* SPDX-License-Identifier: MIT */
/* System instructions that change no control register: HLT, time stamps, TLB and cache maintenance, random numbers, MONITOR,
 * SMAP's flag. SDM vol. 2.
 *
 * Not implemented: performance counters (RDPMC finds none, or some that stand still). MWAIT may wake at any time, and
 * always does at once. Caches are not modelled: their instructions check privilege and address. */
#include <Zydis/Mnemonic.h>
#include <Zydis/SharedTypes.h>

#include "base/fence.h"
#include "cpu/access.h"
#include "cpu/control.h"
#include "cpu/exception.h"
#include "cpu/flags.h"
#include "cpu/forms.h"
#include "cpu/mode.h"
#include "cpu/model.h"
#include "cpu/smm.h"

static void privileged(struct cpu *cpu)
{
	if (cpu->cpl)
		exception_gp(cpu, 0);
}

/* ---- stopping ---- */

OP_END(hlt)
{
	privileged(cpu);
	cpu->activity = CPU_HALTED;
	cpu->rip = insn_next_rip(cpu, in);
}

OP(monitor)
{
	if (cpu->cpl)
		exception_ud(cpu);
	if (reg32(cpu, RCX))
		exception_gp(cpu, 0);
	u64 offset = cpu->gpr[RAX] & mask_bytes(in->asize);
	/* a load in all respects; the string instructions' default segment, with override */
	struct insn load = *in;
	load.base = load.index = GPR_ZERO;
	load.disp = 0;
	access_check(cpu, ea_general(cpu, &load, offset, 1, false), 1, false, in->seg);
}

OP_END(mwait)
{
	if (cpu->cpl)
		exception_ud(cpu);
	if (reg32(cpu, RCX) & ~1u)
		exception_gp(cpu, 0);
	cpu->rip = insn_next_rip(cpu, in);
}

/* ---- time ---- */

static u64 time_stamp(struct cpu *cpu)
{
	if ((cpu->cr4 & CR4_TSD) && cpu->cpl)
		exception_gp(cpu, 0);
	return cpu_read_tsc(cpu);
}

OP(rdtsc)
{
	u64 tsc = time_stamp(cpu);

	set_reg32(cpu, RAX, tsc);
	set_reg32(cpu, RDX, tsc >> 32);
}

OP(rdtscp)
{
	u64 tsc = time_stamp(cpu);

	set_reg32(cpu, RAX, tsc);
	set_reg32(cpu, RDX, tsc >> 32);
	set_reg32(cpu, RCX, cpu->tsc_aux);
}

OP(rdpid)
{
	set_reg64(cpu, in->r[0], (u32)cpu->tsc_aux);
}

/* Intel's models have no counter of any number; AMD's the four that their CPUs have had since the K7, at rest (msr.c). */
OP(rdpmc)
{
	if (!model_is_amd(cpu->model) || reg32(cpu, RCX) > 3 || (cpu->cpl && mode_protected(cpu) && !(cpu->cr4 & CR4_PCE)))
		exception_gp(cpu, 0);
	set_reg32(cpu, RAX, 0);
	set_reg32(cpu, RDX, 0);
}

/* ---- the TLB ---- */

OP_END(invlpg)
{
	u64 linear = ea_offset(cpu, in);

	privileged(cpu);
	if (cpu->code_mode != CODE64)
		linear = (u32)(linear + cpu->seg[in->seg].base);
	else if (in->seg >= SEG_FS)
		linear += cpu->seg[in->seg].base;
	if (mode_canonical(linear))
		tlb_flush_page(cpu, linear);
	cpu->rip = insn_next_rip(cpu, in);
}

enum invpcid_type { INVPCID_ADDRESS, INVPCID_CONTEXT, INVPCID_ALL, INVPCID_ALL_BUT_GLOBAL };

OP_END(invpcid)
{
	privileged(cpu);
	u64 type = mode_64(cpu) ? reg64(cpu, in->r[0]) : reg32(cpu, in->r[0]);
	struct m128 descriptor = mem_read128(cpu, in, false);
	u64 pcid = descriptor.q[0], linear = descriptor.q[1];

	if (type > INVPCID_ALL_BUT_GLOBAL || pcid & ~CR3_PCID)
		exception_gp(cpu, 0);
	if (type <= INVPCID_CONTEXT && pcid && !(cpu->cr4 & CR4_PCIDE))
		exception_gp(cpu, 0);
	if (type == INVPCID_ADDRESS && !mode_canonical(linear))
		exception_gp(cpu, 0);
	bool current = pcid == ((cpu->cr4 & CR4_PCIDE) ? cpu->cr3 & CR3_PCID : 0);
	if (type == INVPCID_ALL)
		tlb_flush_all(cpu);
	else if (type == INVPCID_ALL_BUT_GLOBAL)
		tlb_flush(cpu);
	else if (type == INVPCID_ADDRESS && current)
		tlb_flush_page(cpu, linear);
	else /* one address of another space: more than asked for */
		tlb_flush_pcid(cpu, pcid);
	cpu->rip = insn_next_rip(cpu, in);
}

/* ---- caches ---- */

OP_END(wbinvd)
{
	cpu->rip = insn_next_rip(cpu, in);
	privileged(cpu);
}

/* CLFLUSH, CLFLUSHOPT, CLWB: loads, as far as faults go. */
OP(clflush)
{
	access_check(cpu, ea_linear(cpu, in, 1, false), 1, false, in->seg);
}

/* ---- random numbers ---- */

OP(rdrand)
{
	u64 value = 0;

	if (cpu->bus->loop)
		loop_entropy(cpu->bus->loop, &value, sizeof value);
	if (in->osize == 8)
		set_reg64(cpu, in->r[0], value);
	else if (in->osize == 4)
		set_reg32(cpu, in->r[0], value);
	else
		set_reg16(cpu, in->r[0], value);
	/* CF: there was a number. Without a source of entropy there is none, and the register is 0. */
	flags_set(cpu, (cpu->rflags & ~(u64)FLAGS_ARITH) | (cpu->bus->loop ? FLAG_CF : 0));
}

/* ---- SMAP ---- */

static void set_ac(struct cpu *cpu, u64 ac)
{
	if (cpu->cpl)
		exception_ud(cpu);
	cpu->rflags = (cpu->rflags & ~(u64)FLAG_AC) | ac;
	mode_flags_changed(cpu);
}

/* Code that others wrote is looked at where a block ends; SDM 3A 9.3. */
OP(serialize)
{
	(void)cpu, (void)in;
	fence_full();
}

OP(clac)
{
	set_ac(cpu, 0);
}

OP(stac)
{
	set_ac(cpu, FLAG_AC);
}

OP_END(rsm)
{
	if (!cpu->in_smm)
		exception_ud(cpu);
	smm_leave(cpu);
}

#define M(name) ZYDIS_MNEMONIC_##name
static const struct form table[] = {
	{M(HLT), {0}, FORM_END, 0, hlt},
	{M(MONITOR), {0}, 0, FEAT_MONITOR, monitor},
	{M(MWAIT), {0}, FORM_END, FEAT_MONITOR, mwait},
	{M(RDTSC), {0}, 0, FEAT_TSC, rdtsc},
	{M(RDTSCP), {0}, 0, FEAT_RDTSCP, rdtscp},
	{M(RDPID), {O_R64}, 0, FEAT_RDPID, rdpid},
	{M(RDPID), {O_R32}, 0, FEAT_RDPID, rdpid},
	{M(RDPMC), {0}, 0, FEAT_MMX, rdpmc},
	{M(INVLPG), {O_M}, FORM_END, 0, invlpg},
	{M(INVPCID), {O_R64, O_M128}, FORM_END, FEAT_INVPCID, invpcid},
	{M(INVPCID), {O_R32, O_M128}, FORM_END, FEAT_INVPCID, invpcid},
	{M(INVD), {0}, FORM_END, 0, wbinvd},
	{M(WBINVD), {0}, FORM_END, 0, wbinvd},
	{M(CLFLUSH), {O_M}, 0, FEAT_CLFLUSH, clflush},
	{M(CLFLUSHOPT), {O_M}, 0, FEAT_CLFLUSHOPT, clflush},
	{M(CLWB), {O_M}, 0, FEAT_CLWB, clflush},
	{M(RDRAND), {O_R64}, 0, FEAT_RDRAND, rdrand},
	{M(RDRAND), {O_R32}, 0, FEAT_RDRAND, rdrand},
	{M(RDRAND), {O_R16}, 0, FEAT_RDRAND, rdrand},
	{M(RDSEED), {O_R64}, 0, FEAT_RDSEED, rdrand},
	{M(RDSEED), {O_R32}, 0, FEAT_RDSEED, rdrand},
	{M(RDSEED), {O_R16}, 0, FEAT_RDSEED, rdrand},
	{M(CLAC), {0}, 0, FEAT_SMAP, clac},
	{M(STAC), {0}, 0, FEAT_SMAP, stac},
	{M(SERIALIZE), {0}, FORM_END, FEAT_SERIALIZE, serialize},
	{M(RSM), {0}, FORM_END, 0, rsm},
};
const struct form_table system_forms = {table, ARRAY_LEN(table)};
