/* SPDX-License-Identifier: MIT */
/* Fast system calls: SYSCALL, SYSRET, SYSENTER, SYSEXIT. Intel SDM vol. 2 and vol. 3A 5.8.7, 5.8.8; where the model is of AMD's
 * line, AMD APM vol. 3: SYSCALL and SYSRET outside 64-bit mode too, no SYSENTER in long mode, SYSRET keeps the hidden part of SS
 * and leaves a non-canonical RIP to the fetch that follows. */
#include <Zydis/Mnemonic.h>

#include "cpu/access.h"
#include "cpu/control.h"
#include "cpu/exception.h"
#include "cpu/flags.h"
#include "cpu/forms.h"
#include "cpu/mode.h"
#include "cpu/model.h"
#include "cpu/segment.h"

#define FLAGS_RESTORED 0x3c7fd7ull /* by SYSRET: not RF, VM and what is reserved */

/* Nothing is read from a table: the hidden parts are what the OS promises its descriptors to be. */
static void set_cs(struct cpu *cpu, u16 selector, unsigned cpl, bool code64)
{
	cpu->seg[SEG_CS] = (struct seg){
		.limit = 0xffffffff,
		.attr = SEG_CODE | SEG_RW | SEG_ACCESSED | SEG_S | SEG_P | SEG_G | cpl << SEG_DPL_SHIFT | (code64 ? SEG_L : SEG_DB),
		.selector = selector,
	};
	cpu->cpl = cpl;
}

static void set_ss(struct cpu *cpu, u16 selector, unsigned cpl)
{
	cpu->seg[SEG_SS] = (struct seg){
		.limit = 0xffffffff,
		.attr = SEG_RW | SEG_ACCESSED | SEG_S | SEG_P | SEG_G | SEG_DB | cpl << SEG_DPL_SHIFT,
		.selector = selector,
	};
}

/* ---- SYSCALL, SYSRET ---- */

/* A single step after these two goes by the flags that they load: with TF among them #DB comes before the first instruction at the
 * target; without it, it does not come, as if the caller's step were over the whole call. */
static void step_by_new_flags(struct cpu *cpu)
{
	cpu->step = false;
	if (cpu->rflags & FLAG_TF)
		cpu->pending_db |= DR6_BS;
}

OP_END(syscall)
{
	u64 next = insn_next_rip(cpu, in), flags = flags_get(cpu) & ~(u64)FLAG_RF;
	u16 selector = cpu->star >> 32 & SELECTOR_CODE;

	if (!(cpu->efer & EFER_SCE) || (!mode_64(cpu) && !model_is_amd(cpu->model)))
		exception_ud(cpu);
	if (cpu->long_mode) {
		cpu->gpr[RCX] = next;
		cpu->gpr[R11] = flags;
		cpu->rip = mode_64(cpu) ? cpu->lstar : cpu->cstar;
		flags = (flags & ~cpu->fmask) | FLAG_1;
	} else {
		set_reg32(cpu, RCX, next);
		cpu->rip = (u32)cpu->star;
		flags &= ~(u64)(FLAG_VM | FLAG_IF);
	}
	flags_set(cpu, flags);
	set_cs(cpu, selector, 0, cpu->long_mode);
	set_ss(cpu, selector + 8, 0);
	step_by_new_flags(cpu);
	mode_update(cpu);
}

OP_END(sysret)
{
	bool amd = model_is_amd(cpu->model), wide = in->osize == 8;
	u16 selector = cpu->star >> 48;

	if (!(cpu->efer & EFER_SCE) || (!mode_64(cpu) && !amd))
		exception_ud(cpu);
	if (!mode_protected(cpu) || cpu->cpl)
		exception_gp(cpu, 0);
	if (wide && !amd && !mode_canonical(cpu->gpr[RCX]))
		exception_gp(cpu, 0);
	if (mode_64(cpu))
		flags_set(cpu, (cpu->gpr[R11] & FLAGS_RESTORED) | FLAG_1);
	else
		flags_set(cpu, flags_get(cpu) | FLAG_IF);
	cpu->rip = wide ? cpu->gpr[RCX] : reg32(cpu, RCX);
	set_cs(cpu, (wide ? selector + 16 : selector) | 3, 3, wide);
	if (amd) {
		cpu->seg[SEG_SS].selector = (selector + 8) | 3;
		cpu->seg[SEG_SS].attr |= SEG_DPL; /* where the CPL is kept */
	} else {
		set_ss(cpu, (selector + 8) | 3, 3);
	}
	step_by_new_flags(cpu);
	mode_update(cpu);
}

/* ---- SYSENTER, SYSEXIT ---- */

static void check_sysenter(struct cpu *cpu)
{
	if (cpu->long_mode && model_is_amd(cpu->model))
		exception_ud(cpu);
	if (!mode_protected(cpu) || segment_null(cpu->sysenter_cs))
		exception_gp(cpu, 0);
}

OP_END(sysenter)
{
	u16 selector = cpu->sysenter_cs & SELECTOR_CODE;

	check_sysenter(cpu);
	flags_set(cpu, flags_get(cpu) & ~(u64)(FLAG_VM | FLAG_IF | FLAG_RF));
	cpu->gpr[RSP] = cpu->long_mode ? cpu->sysenter_esp : (u32)cpu->sysenter_esp;
	cpu->rip = cpu->long_mode ? cpu->sysenter_eip : (u32)cpu->sysenter_eip;
	set_cs(cpu, selector, 0, cpu->long_mode);
	set_ss(cpu, selector + 8, 0);
	mode_update(cpu);
}

OP_END(sysexit)
{
	bool wide = in->osize == 8;
	u16 selector;

	check_sysenter(cpu);
	if (cpu->cpl)
		exception_gp(cpu, 0);
	if (wide && (!mode_canonical(cpu->gpr[RCX]) || !mode_canonical(cpu->gpr[RDX])))
		exception_gp(cpu, 0);
	cpu->gpr[RSP] = wide ? cpu->gpr[RCX] : reg32(cpu, RCX);
	cpu->rip = wide ? cpu->gpr[RDX] : reg32(cpu, RDX);
	selector = (cpu->sysenter_cs + (wide ? 32 : 16)) | 3;
	set_cs(cpu, selector, 3, wide);
	set_ss(cpu, selector + 8, 3);
	mode_update(cpu);
}

#define M(name) ZYDIS_MNEMONIC_##name
static const struct form table[] = {
	{M(SYSCALL), {0}, FORM_END, FEAT_SYSCALL, syscall},
	{M(SYSRET), {0}, FORM_END, FEAT_SYSCALL, sysret},
	{M(SYSENTER), {0}, FORM_END, FEAT_SEP, sysenter},
	{M(SYSEXIT), {0}, FORM_END, FEAT_SEP, sysexit},
};
const struct form_table syscall_forms = {table, ARRAY_LEN(table)};
