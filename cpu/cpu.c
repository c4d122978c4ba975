/* SPDX-License-Identifier: MIT */
/* Life of a virtual CPU: creation, reset and INIT (SDM vol. 3A table 10-1), the table of its state, the time-stamp counter.
 *
 * Deviation: RESET does not set the TSC back to 0. All TSCs of a machine count from power-on, so that CPUs which are reset one
 * after the other stay in step. */
#include "cpu/cpu.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "cpu/access.h"
#include "cpu/code.h"
#include "cpu/control.h"
#include "cpu/flags.h"
#include "cpu/mode.h"
#include "cpu/model.h"
#include "cpu/quiet.h"
#include "cpu/xsave.h"

#define TSC_HZ 2000000000ull /* fixed, so that runs are alike on all hosts */
#define REQ_EVENTS (CPU_REQ_NMI | CPU_REQ_SMI | CPU_REQ_INIT | CPU_REQ_SIPI)

/* ---- the state, byte by byte ---- */

static const struct field seg_fields[] = {
	FIELD(struct seg, base, "linear base address"),
	FIELD(struct seg, limit, "in bytes, inclusive"),
	FIELD(struct seg, attr, "descriptor bytes 5-6; bit 16: unusable"),
	FIELD(struct seg, selector, "visible part"),
	FIELD_ARRAY(struct seg, pad, "-"),
	FIELD_END,
};

static const struct field table_reg_fields[] = {
	FIELD(struct table_reg, base, "linear base address"),
	FIELD(struct table_reg, limit, "in bytes, inclusive"),
	FIELD_ARRAY(struct table_reg, pad, "-"),
	FIELD_END,
};

static const struct field f80_fields[] = {
	FIELD(struct f80, mant, "significand; also the MMX register"),
	FIELD(struct f80, se, "sign and exponent"),
	FIELD_ARRAY(struct f80, pad, "-"),
	FIELD_END,
};

static const struct field x87_fields[] = {
	FIELD_SUBS(struct x87, r, f80_fields, "physical registers R0-R7"),
	FIELD(struct x87, fcw, "control word"),
	FIELD(struct x87, fsw, "status word"),
	FIELD(struct x87, valid, "bit i: Ri is not empty"),
	FIELD(struct x87, pad, "-"),
	FIELD(struct x87, fop, "last opcode"),
	FIELD(struct x87, fip, "last instruction pointer"),
	FIELD(struct x87, fdp, "last operand pointer"),
	FIELD(struct x87, fcs, "its code segment"),
	FIELD(struct x87, fds, "its data segment"),
	FIELD(struct x87, pad2, "-"),
	FIELD_END,
};

static const struct field vreg_fields[] = {
	FIELD_ARRAY(union vreg, q, "512 bits, lowest quadword first"),
	FIELD_END,
};

const struct field cpu_fields[] = {
	{.name = "gpr", .offset = offsetof(struct cpu, gpr), .size = 8, .count = 16,
	 .help = "RAX RCX RDX RBX RSP RBP RSI RDI R8-R15"},
	{.name = "gpr_zero", .offset = offsetof(struct cpu, gpr[GPR_ZERO]), .size = 8, .count = 1, .help = "always 0"},
	{.name = "gpr_page", .offset = offsetof(struct cpu, gpr[GPR_PAGE]), .size = 8, .count = 1, .help = "RIP of the page; derived"},
	FIELD(struct cpu, rip, "instruction pointer"),
	FIELD(struct cpu, rflags, "flags"),
	FIELD_SUBS(struct cpu, seg, seg_fields, "ES CS SS DS FS GS"),
	FIELD_SUB(struct cpu, ldtr, seg_fields, "local descriptor table"),
	FIELD_SUB(struct cpu, tr, seg_fields, "task state segment"),
	FIELD_SUB(struct cpu, gdtr, table_reg_fields, "global descriptor table"),
	FIELD_SUB(struct cpu, idtr, table_reg_fields, "interrupt descriptor table"),
	FIELD(struct cpu, cr0, "control register 0"),
	FIELD(struct cpu, cr2, "page-fault address"),
	FIELD(struct cpu, cr3, "page-table base"),
	FIELD(struct cpu, cr4, "control register 4"),
	FIELD(struct cpu, xcr0, "enabled user state components"),
	FIELD_ARRAY(struct cpu, dr, "debug registers"),
	FIELD_ARRAY(struct cpu, pdpte, "page-directory-pointer entries of PAE paging"),
	FIELD(struct cpu, efer, "extended features"),
	FIELD(struct cpu, star, "SYSCALL selectors"),
	FIELD(struct cpu, lstar, "SYSCALL target"),
	FIELD(struct cpu, cstar, "SYSCALL target from compatibility mode"),
	FIELD(struct cpu, fmask, "flags that SYSCALL clears"),
	FIELD(struct cpu, kernel_gs_base, "exchanged by SWAPGS"),
	FIELD(struct cpu, sysenter_cs, "SYSENTER selector"),
	FIELD(struct cpu, sysenter_esp, "SYSENTER stack"),
	FIELD(struct cpu, sysenter_eip, "SYSENTER target"),
	FIELD(struct cpu, pat, "page attribute table"),
	FIELD(struct cpu, tsc_aux, "RDTSCP and RDPID value"),
	FIELD(struct cpu, misc_enable, "IA32_MISC_ENABLE"),
	FIELD(struct cpu, mtrr_def_type, "default memory type"),
	FIELD_ARRAY(struct cpu, mtrr_fixed, "fixed-range memory types"),
	FIELD_ARRAY(struct cpu, mtrr_var, "variable ranges: base, mask"),
	FIELD(struct cpu, mcg_status, "machine check status"),
	FIELD(struct cpu, mcg_ctl, "machine check control"),
	FIELD(struct cpu, spec_ctrl, "IA32_SPEC_CTRL"),
	FIELD(struct cpu, xss, "enabled supervisor state components"),
	FIELD_ARRAY(struct cpu, mc_bank, "machine check banks: control, status, address, misc"),
	FIELD(struct cpu, tsc_offset, "guest TSC minus clock ticks"),
	FIELD(struct cpu, tsc_adjust, "IA32_TSC_ADJUST"),
	FIELD(struct cpu, smbase, "base of SMRAM"),
	FIELD(struct cpu, feature_control, "IA32_FEATURE_CONTROL"),
	FIELD(struct cpu, debugctl, "IA32_DEBUGCTL"),
	FIELD_SUB(struct cpu, x87, x87_fields, "x87 FPU"),
	FIELD(struct cpu, mxcsr, "SSE control and status"),
	FIELD_ARRAY(struct cpu, v_pad, "-"),
	FIELD_SUBS(struct cpu, v, vreg_fields, "vector registers"),
	FIELD_ARRAY(struct cpu, k, "mask registers"),
	FIELD(struct cpu, activity, "0 running, 1 halted, 2 waiting for SIPI, 3 shutdown"),
	FIELD(struct cpu, shadow, "interrupt shadow: 1 STI, 2 MOV SS"),
	FIELD(struct cpu, nmi_blocked, "until the next IRET"),
	FIELD(struct cpu, nmi_pending, "latched events (cpu_state_sync()): 2 NMI, 4 SMI, 8 INIT, 16 SIPI"),
	FIELD(struct cpu, sipi_vector, "start page of the latched SIPI"),
	FIELD(struct cpu, in_smm, "in system management mode"),
	FIELD(struct cpu, flavour, "undefined results are those of: 0 Intel, 1 AMD"),
	FIELD_ARRAY(struct cpu, pad, "-"),
	FIELD(struct cpu, pending_db, "debug trap delayed by MOV SS"),
	FIELD(struct cpu, instructions, "executed since power-on"),
	FIELD(struct cpu, end_of_state, "-"),
	FIELD_END,
};

/* ---- what the machine tells the CPU ---- */

static void remapped(void *opaque)
{
	cpu_request(opaque, CPU_REQ_FLUSH);
}

static void protect(void *opaque, u8 *hva, u64 len)
{
	tlb_protect(opaque, hva, len);
}

static void written(void *opaque, u8 *hva, unsigned len)
{
	code_written(opaque, hva, len);
}

struct cpu *cpu_new(const struct cpu_model *model, struct bus *bus, struct clock *clock, unsigned index, unsigned count)
{
	struct cpu *cpu = err_alloc_apart(sizeof *cpu);

	cpu->model = model;
	cpu->flavour = model->flavour;
	cpu->bus = bus;
	cpu->clock = clock;
	cpu->index = index;
	cpu->count = count;
	cpu->tsc_hz = TSC_HZ;
	for (unsigned i = 0; i < ARRAY_LEN(cpu->jit.window); i++)
		cpu->jit.window[i].none[0] = cpu->jit.window[i].none[1] = ~0ull;
	cpu->tlbs = tlb_new();
	cpu->code = code_new();
	cpu->stop_at = ~0ull;
	quiet_join(cpu);
	cpu->listener = (struct bus_listener){.remapped = remapped, .protect = protect, .code_written = written, .opaque = cpu};
	bus_listen(bus, &cpu->listener);
	cpu_reset(cpu, false);
	return cpu;
}

void cpu_free(struct cpu *cpu)
{
	if (!cpu)
		return;
	bus_unlisten(cpu->bus, &cpu->listener);
	if (cpu->jit.free)
		cpu->jit.free(cpu);
	if (cpu->kvm_free)
		cpu->kvm_free(cpu);
	code_free(cpu);
	quiet_part(cpu);
	tlb_free(cpu->tlbs);
	free(cpu);
}

/* ---- reset ---- */

static void reset_segments(struct cpu *cpu)
{
	for (unsigned i = 0; i < SEG_COUNT; i++)
		cpu->seg[i] = (struct seg){.limit = 0xffff, .attr = SEG_P | SEG_S | SEG_RW | SEG_ACCESSED};
	cpu->seg[SEG_CS].selector = 0xf000;
	cpu->seg[SEG_CS].base = 0xffff0000;
	cpu->seg[SEG_CS].attr |= SEG_CODE;
	cpu->ldtr = (struct seg){.limit = 0xffff, .attr = SEG_P | 2};
	cpu->tr = (struct seg){.limit = 0xffff, .attr = SEG_P | 11};
	cpu->gdtr = cpu->idtr = (struct table_reg){.limit = 0xffff};
}

/* What RESET changes and INIT leaves alone. */
static void reset_only(struct cpu *cpu)
{
	cpu->cr0 = CR0_CD | CR0_NW;
	cpu->star = cpu->lstar = cpu->cstar = cpu->fmask = cpu->kernel_gs_base = 0;
	cpu->sysenter_cs = cpu->sysenter_esp = cpu->sysenter_eip = 0;
	cpu->pat = 0x0007040600070406;
	cpu->tsc_aux = 0;
	cpu->misc_enable = model_misc_enable(cpu->model);
	cpu->mtrr_def_type = 0;
	memset(cpu->mtrr_fixed, 0, sizeof cpu->mtrr_fixed);
	memset(cpu->mtrr_var, 0, sizeof cpu->mtrr_var);
	cpu->mcg_status = 0;
	cpu->mcg_ctl = ~0ull;
	memset(cpu->mc_bank, 0, sizeof cpu->mc_bank);
	for (unsigned i = 0; i < ARRAY_LEN(cpu->mc_bank); i += 4)
		cpu->mc_bank[i] = ~0ull;
	cpu->spec_ctrl = cpu->xss = 0;
	cpu->xcr0 = XSAVE_X87;
	cpu->tsc_offset = cpu->tsc_adjust = 0;
	cpu->smbase = 0x30000;
	cpu->feature_control = 0;
	memset(&cpu->x87, 0, sizeof cpu->x87);
	cpu->x87.fcw = 0x40;
	cpu->x87.valid = 0xff; /* all registers hold +0 */
	cpu->mxcsr = 0x1f80;
	memset(cpu->v, 0, sizeof cpu->v);
	memset(cpu->k, 0, sizeof cpu->k);
	cpu_unrequest(cpu, REQ_EVENTS | CPU_REQ_SIPI_VECTOR);
}

void cpu_reset(struct cpu *cpu, bool init)
{
	if (cpu->log.reset && cpu->log.file) {
		fprintf(cpu->log.file, "CPU %u %s\n", cpu->index, init ? "INIT" : "reset");
		cpu_print(cpu, cpu->log.file);
	}
	if (!init)
		reset_only(cpu);
	memset(cpu->gpr, 0, sizeof cpu->gpr);
	cpu->gpr[RDX] = model_signature(cpu->model);
	cpu->rip = 0xfff0;
	flags_set(cpu, FLAG_1);
	reset_segments(cpu);
	cpu->cr0 = (cpu->cr0 & (CR0_CD | CR0_NW)) | CR0_ET;
	cpu->cr2 = cpu->cr3 = cpu->cr4 = 0;
	memset(cpu->dr, 0, sizeof cpu->dr);
	cpu->dr[6] = DR6_FIXED;
	cpu->dr[7] = DR7_FIXED;
	memset(cpu->pdpte, 0, sizeof cpu->pdpte);
	cpu->efer = 0;
	cpu->debugctl = 0;
	cpu->activity = cpu->index ? CPU_WAIT_SIPI : CPU_RUNNING;
	cpu->shadow = SHADOW_NONE;
	cpu->nmi_blocked = cpu->nmi_pending = cpu->sipi_vector = cpu->in_smm = 0;
	cpu->pending_db = 0;
	cpu->chain_len = 0;
	cpu->delivering = false;
	cpu_state_changed(cpu);
}

void cpu_state_sync(struct cpu *cpu)
{
	flags_sync(cpu);
	u32 request = atomic_load(&cpu->request);
	cpu->nmi_pending = request & REQ_EVENTS;
	if (request & CPU_REQ_SIPI)
		cpu->sipi_vector = request >> 24;
}

void cpu_state_changed(struct cpu *cpu)
{
	cpu->version++;
	/* The state may come from a file: nothing in it may lead outside our tables. */
	if (cpu->activity > CPU_SHUTDOWN)
		cpu->activity = CPU_RUNNING;
	if (cpu->shadow > SHADOW_MOV_SS)
		cpu->shadow = SHADOW_NONE;
	if (cpu->flavour > FLAVOUR_AMD)
		cpu->flavour = FLAVOUR_INTEL;
	cpu->mxcsr &= 0xffff; /* the host faults on others */
	cpu->pending_db &= DR6_HITS | DR6_BS | DR6_BT;
	cpu->gpr[GPR_ZERO] = cpu->gpr[GPR_PAGE] = 0;
	flags_set(cpu, cpu->rflags | FLAG_1);
	if (!mode_protected(cpu))
		cpu->cpl = 0;
	else
		cpu->cpl = mode_v86(cpu) ? 3 : cpu->seg[SEG_SS].attr >> SEG_DPL_SHIFT & 3;
	cpu->cur = NULL;
	cpu->block = NULL;
	cpu->link_from = NULL;
	cpu->dr6_hits = 0;
	cpu_request(cpu, cpu->nmi_pending & REQ_EVENTS); /* sets the kick in any case */
	if (cpu->nmi_pending & CPU_REQ_SIPI)
		cpu_request(cpu, (u32)cpu->sipi_vector << 24);
	cpu->nmi_pending = 0;
	mode_update(cpu);
	tlb_flush_all(cpu);
	code_flush(cpu);
}

/* ---- time ---- */

u64 cpu_tsc(struct cpu *cpu)
{
	return clock_ticks(clock_now(cpu->clock), cpu->tsc_hz) + cpu->tsc_offset;
}

u64 cpu_read_tsc(struct cpu *cpu)
{
	u64 ahead = cpu->cur ? cpu->cur->left : 0; /* the whole block is counted already */

	cpu->instructions -= ahead;
	u64 now = clock_now(cpu->clock);
	if (clock_overdue(cpu->clock, now) && cpu->bus->loop && !loop_locked(cpu->bus->loop)) {
		bool inside = quiet_lock(cpu);
		loop_catch_up(cpu->bus->loop);
		quiet_unlock(cpu, inside);
		now = clock_now(cpu->clock);
	}
	cpu->instructions += ahead;
	return clock_ticks(now, cpu->tsc_hz) + cpu->tsc_offset;
}

/* ---- for people ---- */

void cpu_print(const struct cpu *cpu, FILE *to)
{
	static const char *const gpr[] = {
		"RAX", "RCX", "RDX", "RBX", "RSP", "RBP", "RSI", "RDI", "R8 ", "R9 ", "R10", "R11", "R12", "R13", "R14", "R15",
	};
	static const u8 order[] = {RAX, RBX, RCX, RDX, RSI, RDI, RBP, RSP, R8, R9, R10, R11, R12, R13, R14, R15};
	static const char seg[] = "ECSDFG";
	static const char *const activity[] = {"", " HALTED", " WAIT-SIPI", " SHUTDOWN"};

	for (unsigned i = 0; i < ARRAY_LEN(order); i++)
		fprintf(to, "%s=%016" PRIx64 "%c", gpr[order[i]], cpu->gpr[order[i]], i % 4 == 3 ? '\n' : ' ');
	fprintf(to, "RIP=%016" PRIx64 " RFLAGS=%08" PRIx64 " CPL=%u %s%s\n", cpu->rip, flags_get(cpu), cpu->cpl,
	        cpu->code_mode == CODE64 ? "64-bit" : cpu->code_mode == CODE32 ? "32-bit" : "16-bit",
	        cpu->activity < ARRAY_LEN(activity) ? activity[cpu->activity] : "");
	for (unsigned i = 0; i < SEG_COUNT; i++)
		fprintf(to, "%cS =%04x %016" PRIx64 " %08x %05x\n", seg[i], cpu->seg[i].selector, cpu->seg[i].base, cpu->seg[i].limit,
		        cpu->seg[i].attr);
	fprintf(to, "LDT=%04x %016" PRIx64 " %08x %05x\n", cpu->ldtr.selector, cpu->ldtr.base, cpu->ldtr.limit, cpu->ldtr.attr);
	fprintf(to, "TR =%04x %016" PRIx64 " %08x %05x\n", cpu->tr.selector, cpu->tr.base, cpu->tr.limit, cpu->tr.attr);
	fprintf(to, "GDT=     %016" PRIx64 " %08x\nIDT=     %016" PRIx64 " %08x\n", cpu->gdtr.base, cpu->gdtr.limit, cpu->idtr.base,
	        cpu->idtr.limit);
	fprintf(to, "CR0=%08" PRIx64 " CR2=%016" PRIx64 " CR3=%016" PRIx64 " CR4=%08" PRIx64 " EFER=%04" PRIx64 " XCR0=%" PRIx64 "\n",
	        cpu->cr0, cpu->cr2, cpu->cr3, cpu->cr4, cpu->efer, cpu->xcr0);
	fprintf(to, "DR0=%016" PRIx64 " DR1=%016" PRIx64 " DR2=%016" PRIx64 " DR3=%016" PRIx64 " DR6=%08" PRIx64 " DR7=%08" PRIx64 "\n",
	        cpu->dr[0], cpu->dr[1], cpu->dr[2], cpu->dr[3], cpu->dr[6], cpu->dr[7]);
}
