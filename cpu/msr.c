/* SPDX-License-Identifier: MIT */
/* Model-specific registers. SDM vol. 4; AMD APM vol. 2 app. A. One table says which exist on which CPU, where their value
 * lies and which bits are reserved.
 *
 * Not implemented: performance counters (AMD's stand still), last-branch records (DEBUGCTL keeps their bits), thermal and power
 * control, SMM, VMX. Registers that system software touches without asking CPUID first read as an idle machine would have them. */
#include "cpu/msr.h"

#include <Zydis/Mnemonic.h>
#include <Zydis/SharedTypes.h>

#include "base/trace.h"
#include "cpu/access.h"
#include "cpu/control.h"
#include "cpu/exception.h"
#include "cpu/forms.h"
#include "cpu/mode.h"
#include "cpu/model.h"
#include "cpu/quiet.h"
#include "cpu/watch.h"
#include "cpu/xsave.h"

TRACE_EVENT(ev_unknown, "msr.unknown");
TRACE_EVENT(ev_refused, "msr.refused");

enum vendor { ANY, INTEL, AMD };

struct msr {
	u32 first, last;
	u8 feature; /* enum cpu_feature */
	u8 vendor;
	const char *name;
	/* No functions: the value lies at this offset of struct cpu (0: it is always `fixed`), one u64 for each of the range. */
	u32 offset;
	u64 reserved; /* bits that must be written as 0; ~0 with no offset: writes vanish */
	u64 fixed;
	bool (*get)(struct cpu *cpu, u32 index, u64 *value);
	bool (*set)(struct cpu *cpu, u32 index, u64 value);
};

/* ---- time ---- */

static bool get_tsc(struct cpu *cpu, u32 index, u64 *value)
{
	(void)index;
	*value = cpu_read_tsc(cpu);
	return true;
}

static bool intc_get(struct cpu *cpu, u32 index, u64 *value)
{
	u64 ahead = cpu->cur ? cpu->cur->left : 0;

	if (!cpu->intc.msr_read)
		return false;
	cpu->instructions -= ahead;
	bool inside = quiet_lock(cpu);
	bool ok = cpu->intc.msr_read(cpu->intc.opaque, index, value);
	quiet_unlock(cpu, inside);
	cpu->instructions += ahead;
	return ok;
}

static bool intc_set(struct cpu *cpu, u32 index, u64 value)
{
	u64 ahead = cpu->cur ? cpu->cur->left : 0;

	if (!cpu->intc.msr_write)
		return false;
	cpu->instructions -= ahead;
	bool inside = quiet_lock(cpu);
	bool ok = cpu->intc.msr_write(cpu->intc.opaque, index, value);
	quiet_unlock(cpu, inside);
	cpu->instructions += ahead;
	return ok;
}

/* The TSC jumps: a deadline that was set in its ticks is due at another time now. */
static void move_tsc(struct cpu *cpu, u64 delta)
{
	u64 deadline;

	cpu->tsc_offset += delta;
	cpu->tsc_adjust += delta;
	if (cpu_has(cpu, FEAT_TSC_DEADLINE) && intc_get(cpu, MSR_TSC_DEADLINE, &deadline) && deadline)
		intc_set(cpu, MSR_TSC_DEADLINE, deadline);
}

static bool set_tsc(struct cpu *cpu, u32 index, u64 value)
{
	(void)index;
	move_tsc(cpu, value - cpu_read_tsc(cpu));
	return true;
}

static bool set_tsc_adjust(struct cpu *cpu, u32 index, u64 value)
{
	(void)index;
	move_tsc(cpu, value - cpu->tsc_adjust);
	return true;
}

/* ---- the local APIC ---- */

static bool get_apic_base(struct cpu *cpu, u32 index, u64 *value)
{
	(void)index;
	if (!cpu->intc.get_base)
		return false;
	bool inside = quiet_lock(cpu);
	*value = cpu->intc.get_base(cpu->intc.opaque);
	quiet_unlock(cpu, inside);
	return true;
}

static bool set_apic_base(struct cpu *cpu, u32 index, u64 value)
{
	(void)index;
	if (!cpu->intc.set_base || value >> cpu->model->phys_bits || (value & 0x2ff))
		return false;
	if ((value & BIT(10)) && !cpu_has(cpu, FEAT_X2APIC))
		return false;
	bool inside = quiet_lock(cpu);
	bool ok = cpu->intc.set_base(cpu->intc.opaque, value);
	quiet_unlock(cpu, inside);
	if (ok)
		tlb_flush_all(cpu); /* the page may have moved: translations to it lead to memory now, or the other way */
	return ok;
}

/* ---- control registers and bases ---- */

static bool get_efer(struct cpu *cpu, u32 index, u64 *value)
{
	(void)index;
	*value = cpu->efer;
	return control_efer_bits(cpu) != 0;
}

static bool set_efer(struct cpu *cpu, u32 index, u64 value)
{
	(void)index;
	if ((value & ~cpu->efer & EFER_NXE) && (cpu->misc_enable & MISC_XD_DISABLE))
		return false;
	return control_efer_bits(cpu) != 0 && control_set_efer(cpu, value);
}

static u64 *canonical_field(struct cpu *cpu, u32 index)
{
	switch (index) {
	case 0x175: return &cpu->sysenter_esp;
	case 0x176: return &cpu->sysenter_eip;
	case MSR_LSTAR: return &cpu->lstar;
	case MSR_LSTAR + 1: return &cpu->cstar;
	case MSR_FS_BASE: return &cpu->seg[SEG_FS].base;
	case MSR_GS_BASE: return &cpu->seg[SEG_GS].base;
	default: return &cpu->kernel_gs_base;
	}
}

static bool get_canonical(struct cpu *cpu, u32 index, u64 *value)
{
	*value = *canonical_field(cpu, index);
	return true;
}

static bool set_canonical(struct cpu *cpu, u32 index, u64 value)
{
	if (cpu_has(cpu, FEAT_LM) ? !mode_canonical(value) : value >> 32 != 0)
		return false;
	*canonical_field(cpu, index) = value;
	mode_update(cpu); /* a base of FS or GS */
	return true;
}

/* Most of its switches are about what is not modelled: they keep what is written. CPUID follows two: its own limit (22), and XD
 * disable (34), with which EFER.NXE cannot be set either. */
static bool set_misc_enable(struct cpu *cpu, u32 index, u64 value)
{
	const u64 fixed = BIT(7) | BIT(11) | BIT(12); /* no counters; no branch trace, no precise events: read only */
	const u64 known = fixed | BIT(0) | BIT(3) | BIT(9) | BIT(10) | BIT(13) | BIT(16) | BIT(18) | BIT(19) | BIT(20) | BIT(22) |
	                  BIT(23) | BIT(24) | MISC_XD_DISABLE | BIT(37) | BIT(38) | BIT(39);

	(void)index;
	if (value & ~known)
		return false;
	cpu->misc_enable = (value & ~fixed) | (cpu->misc_enable & fixed);
	return true;
}

static bool set_xss(struct cpu *cpu, u32 index, u64 value)
{
	(void)index;
	if (value & ~xsave_supported_xss(cpu))
		return false;
	cpu->xss = value;
	return true;
}

static bool set_feature_control(struct cpu *cpu, u32 index, u64 value)
{
	(void)index;
	if ((cpu->feature_control & 1) || (value & ~0x160006ull & ~1ull)) /* locked until the next reset */
		return false;
	cpu->feature_control = value;
	return true;
}

/* ---- memory types ---- */

/* Each byte one of the types that exist. Type 7 (UC-) only in the PAT. */
static bool valid_types(u64 value, u32 types)
{
	for (unsigned i = 0; i < 8; i++)
		if ((value >> i * 8 & 0xff) > 7 || !(types >> (value >> i * 8 & 0xff) & 1))
			return false;
	return true;
}

#define TYPES_MTRR 0x73u /* UC WC WT WP WB */
#define TYPES_PAT (TYPES_MTRR | 1u << 7)

static bool set_pat(struct cpu *cpu, u32 index, u64 value)
{
	(void)index;
	if (!valid_types(value, TYPES_PAT))
		return false;
	cpu->pat = value;
	return true;
}

/* 0x250; 0x258, 0x259; 0x268..0x26f */
static u64 *mtrr_fixed(struct cpu *cpu, u32 index)
{
	return &cpu->mtrr_fixed[index == 0x250 ? 0 : index < 0x268 ? index - 0x258 + 1 : index - 0x268 + 3];
}

static bool get_mtrr_fixed(struct cpu *cpu, u32 index, u64 *value)
{
	*value = *mtrr_fixed(cpu, index);
	return true;
}

static bool set_mtrr_fixed(struct cpu *cpu, u32 index, u64 value)
{
	if (!valid_types(value, TYPES_MTRR))
		return false;
	*mtrr_fixed(cpu, index) = value;
	return true;
}

static bool set_mtrr_var(struct cpu *cpu, u32 index, u64 value)
{
	bool mask = index & 1;

	if (value >> cpu->model->phys_bits || (value & (mask ? 0x7ff : 0xf00)))
		return false;
	if (!mask && !((value & 0xff) <= 7 && (TYPES_MTRR >> (value & 0xff) & 1)))
		return false;
	cpu->mtrr_var[index - 0x200] = value;
	return true;
}

static bool set_mtrr_def_type(struct cpu *cpu, u32 index, u64 value)
{
	(void)index;
	if ((value & ~0xc07ull) || !(TYPES_MTRR >> (value & 7) & 1))
		return false;
	cpu->mtrr_def_type = value;
	return true;
}

/* ---- machine check ---- */

static bool set_mc_bank(struct cpu *cpu, u32 index, u64 value)
{
	unsigned which = index & 3;

	/* software clears the status; a bank's other registers take 0 only, as none of its errors ever happens */
	if (which != 0 && value)
		return false;
	cpu->mc_bank[index - 0x400] = value;
	return true;
}

/* ---- commands ---- */

static bool no_read(struct cpu *cpu, u32 index, u64 *value)
{
	(void)cpu, (void)index, (void)value;
	return false;
}

/* None of the flaws: RDCL, SSB, MDS, page-size change MC, TAA, SBDR/SSDP, FBSDP, PSDP, BHI, PBRSB, GDS, RFDS, ITS; and no need to
 * flush L1D. With SPEC_CTRL also enhanced IBRS: nothing is predicted across privilege levels. */
static bool get_arch_capabilities(struct cpu *cpu, u32 index, u64 *value)
{
	(void)index;
	*value = BIT(0) | BIT(3) | BIT(4) | BIT(5) | BIT(6) | BIT(8) | BIT(13) | BIT(14) | BIT(15) | BIT(20) | BIT(24) | BIT(26) |
	         BIT(27) | BIT(62) | (cpu_has(cpu, FEAT_SPEC_CTRL) ? BIT(1) : 0);
	return true;
}

/* IBRS, STIBP, BHI_DIS_S: with nothing to restrict they are just bits. */
static bool set_spec_ctrl(struct cpu *cpu, u32 index, u64 value)
{
	(void)index;
	if (value & ~(BIT(0) | BIT(1) | (cpu_has(cpu, FEAT_BHI_CTRL) ? BIT(10) : 0)))
		return false;
	cpu->spec_ctrl = value;
	return true;
}

/* IBPB: there is no predictor to flush. */
static bool set_pred_cmd(struct cpu *cpu, u32 index, u64 value)
{
	(void)cpu, (void)index;
	return !(value & ~1ull);
}

/* ---- the table ---- */

#define AT(member) .offset = offsetof(struct cpu, member)
#define READ_ONLY .reserved = ~0ull
#define MC_BANKS (sizeof ((struct cpu *)0)->mc_bank / 32)
#define RATIO 20ull /* of 100 MHz */

/* In ascending order. A row that does not fit the CPU's vendor or features is not there. */
static const struct msr table[] = {
	{0x0, 0x1, FEAT_MCE, INTEL, "P5_MC_ADDR, P5_MC_TYPE"},
	{0x10, 0x10, FEAT_TSC, ANY, "IA32_TIME_STAMP_COUNTER", .get = get_tsc, .set = set_tsc},
	{0x17, 0x17, 0, INTEL, "IA32_PLATFORM_ID", READ_ONLY},
	{0x1b, 0x1b, FEAT_APIC, ANY, "IA32_APIC_BASE", .get = get_apic_base, .set = set_apic_base},
	{0x2a, 0x2a, 0, INTEL, "EBL_CR_POWERON"},
	{0x2c, 0x2c, 0, INTEL, "EBC_FREQUENCY_ID", READ_ONLY, .fixed = 1 << 24},
	{0x34, 0x34, 0, INTEL, "SMI_COUNT", READ_ONLY},
	{0x3a, 0x3a, 0, INTEL, "IA32_FEATURE_CONTROL", AT(feature_control), .set = set_feature_control},
	{0x3b, 0x3b, FEAT_TSC_ADJUST, ANY, "IA32_TSC_ADJUST", AT(tsc_adjust), .set = set_tsc_adjust},
	{0x48, 0x48, FEAT_SPEC_CTRL, ANY, "IA32_SPEC_CTRL", AT(spec_ctrl), .set = set_spec_ctrl},
	{0x49, 0x49, FEAT_SPEC_CTRL, ANY, "IA32_PRED_CMD", .get = no_read, .set = set_pred_cmd},
	{0x79, 0x79, 0, INTEL, "IA32_BIOS_UPDT_TRIG", .get = no_read},
	{0x8b, 0x8b, 0, ANY, "IA32_BIOS_SIGN_ID", .fixed = 1ull << 32},
	{0xcd, 0xcd, 0, INTEL, "FSB_FREQ", READ_ONLY, .fixed = 5},
	{0xce, 0xce, 0, INTEL, "PLATFORM_INFO", READ_ONLY, .fixed = RATIO << 8 | RATIO << 40},
	{0xfe, 0xfe, FEAT_MTRR, ANY, "IA32_MTRRCAP", READ_ONLY, .fixed = 8 | BIT(8) | BIT(10)},
	{0x10a, 0x10a, FEAT_ARCH_CAPABILITIES, ANY, "IA32_ARCH_CAPABILITIES", READ_ONLY, .get = get_arch_capabilities},
	{0x11e, 0x11e, 0, INTEL, "BBL_CR_CTL3", .fixed = 0xbe702111},
	{0x174, 0x174, FEAT_SEP, ANY, "IA32_SYSENTER_CS", AT(sysenter_cs)},
	{0x175, 0x176, FEAT_SEP, ANY, "IA32_SYSENTER_ESP, IA32_SYSENTER_EIP", .get = get_canonical, .set = set_canonical},
	{0x179, 0x179, FEAT_MCA, ANY, "IA32_MCG_CAP", READ_ONLY, .fixed = MC_BANKS | BIT(8)},
	{0x17a, 0x17a, FEAT_MCA, ANY, "IA32_MCG_STATUS", AT(mcg_status), ~7ull},
	{0x17b, 0x17b, FEAT_MCA, ANY, "IA32_MCG_CTL", AT(mcg_ctl)},
	{0x198, 0x198, 0, INTEL, "IA32_PERF_STATUS", READ_ONLY, .fixed = RATIO << 8 | RATIO << 40},
	{0x199, 0x199, 0, INTEL, "IA32_PERF_CTL", .fixed = RATIO << 8},
	{0x1a0, 0x1a0, 0, INTEL, "IA32_MISC_ENABLE", AT(misc_enable), .set = set_misc_enable},
	{0x1d9, 0x1d9, 0, ANY, "IA32_DEBUGCTL", AT(debugctl), ~0xffc3ull},
	{0x1db, 0x1de, 0, ANY, "LASTBRANCHFROMIP to LASTINTTOIP", READ_ONLY},
	{0x200, 0x20f, FEAT_MTRR, ANY, "IA32_MTRR_PHYSBASE0 to IA32_MTRR_PHYSMASK7", AT(mtrr_var), .set = set_mtrr_var},
	{0x250, 0x250, FEAT_MTRR, ANY, "IA32_MTRR_FIX64K_00000", .get = get_mtrr_fixed, .set = set_mtrr_fixed},
	{0x258, 0x259, FEAT_MTRR, ANY, "IA32_MTRR_FIX16K", .get = get_mtrr_fixed, .set = set_mtrr_fixed},
	{0x268, 0x26f, FEAT_MTRR, ANY, "IA32_MTRR_FIX4K", .get = get_mtrr_fixed, .set = set_mtrr_fixed},
	{0x277, 0x277, FEAT_PAT, ANY, "IA32_PAT", AT(pat), .set = set_pat},
	{0x2ff, 0x2ff, FEAT_MTRR, ANY, "IA32_MTRR_DEF_TYPE", AT(mtrr_def_type), .set = set_mtrr_def_type},
	{0x400, 0x400 + 4 * MC_BANKS - 1, FEAT_MCA, ANY, "IA32_MC0_CTL to IA32_MC9_MISC", AT(mc_bank), .set = set_mc_bank},
	{0x6e0, 0x6e0, FEAT_TSC_DEADLINE, ANY, "IA32_TSC_DEADLINE", .get = intc_get, .set = intc_set},
	{0x800, 0x8ff, FEAT_X2APIC, ANY, "x2APIC", .get = intc_get, .set = intc_set},
	{0xda0, 0xda0, FEAT_XSAVES, ANY, "IA32_XSS", AT(xss), .set = set_xss},
	{0xc0000080, 0xc0000080, 0, ANY, "IA32_EFER", .get = get_efer, .set = set_efer},
	{0xc0000081, 0xc0000081, FEAT_SYSCALL, ANY, "IA32_STAR", AT(star)},
	{0xc0000082, 0xc0000083, FEAT_LM, ANY, "IA32_LSTAR, IA32_CSTAR", .get = get_canonical, .set = set_canonical},
	{0xc0000084, 0xc0000084, FEAT_SYSCALL, ANY, "IA32_FMASK", AT(fmask), ~0xffffffffull},
	{0xc0000100, 0xc0000102, FEAT_LM, ANY, "FS_BASE, GS_BASE, KERNEL_GS_BASE", .get = get_canonical, .set = set_canonical},
	{0xc0000103, 0xc0000103, FEAT_RDTSCP, ANY, "IA32_TSC_AUX", AT(tsc_aux), ~0xffffffffull},
	{0xc0010000, 0xc0010007, 0, AMD, "PERF_CTL0 to PERF_CTR3"}, /* since the K7; they count nothing */
	{0xc0010010, 0xc0010010, 0, AMD, "SYSCFG"},
	{0xc0010015, 0xc0010015, 0, AMD, "HWCR"},
	{0xc001001a, 0xc001001d, 0, AMD, "TOP_MEM, TOP_MEM2"},
	{0xc001001f, 0xc001001f, 0, AMD, "NB_CFG"},
	{0xc0010055, 0xc0010055, 0, AMD, "INT_PENDING_MESSAGE"},
	{0xc0010058, 0xc0010058, 0, AMD, "MMIO_CONF_BASE"},
	{0xc0010112, 0xc0010113, 0, AMD, "TSEG_ADDR, TSEG_MASK"},
	{0xc0010117, 0xc0010117, 0, AMD, "VM_HSAVE_PA"},
	{0xc0011020, 0xc001102a, 0, AMD, "LS_CFG to BU_CFG2"},
};

static bool exists(const struct cpu *cpu, const struct msr *msr)
{
	if (!cpu_has(cpu, msr->feature))
		return false;
	return msr->vendor == ANY || (msr->vendor == AMD) == model_is_amd(cpu->model);
}

static const struct msr *find(const struct cpu *cpu, u32 index)
{
	unsigned low = 0, high = ARRAY_LEN(table);

	while (low < high) {
		unsigned middle = (low + high) / 2;
		if (table[middle].last < index)
			low = middle + 1;
		else
			high = middle;
	}
	return low < ARRAY_LEN(table) && table[low].first <= index && exists(cpu, &table[low]) ? &table[low] : NULL;
}

static u64 *field(struct cpu *cpu, const struct msr *msr, u32 index)
{
	return (u64 *)((char *)cpu + msr->offset) + (index - msr->first);
}

static unsigned long long where(const struct cpu *cpu)
{
	return cpu->cur ? insn_rip(cpu, cpu->cur) : cpu->rip;
}

bool msr_read(struct cpu *cpu, u32 index, u64 *value)
{
	const struct msr *msr = find(cpu, index);

	if (!msr) {
		TRACE(ev_unknown, "read %x at %llx", index, where(cpu));
		return false;
	}
	if (msr->get)
		return msr->get(cpu, index, value);
	*value = msr->offset ? *field(cpu, msr, index) : msr->fixed;
	return true;
}

bool msr_write(struct cpu *cpu, u32 index, u64 value)
{
	const struct msr *msr = find(cpu, index);
	bool ok;

	if (!msr) {
		TRACE(ev_unknown, "write %x value %llx at %llx", index, (unsigned long long)value, where(cpu));
		return false;
	}
	if (msr->set) {
		ok = msr->set(cpu, index, value);
	} else {
		ok = msr->offset ? !(value & msr->reserved) : msr->reserved != ~0ull;
		if (ok && msr->offset)
			*field(cpu, msr, index) = value;
	}
	if (!ok)
		TRACE(ev_refused, "write %x %s value %llx", index, msr->name, (unsigned long long)value);
	return ok;
}

const char *msr_name(const struct cpu *cpu, u32 index)
{
	const struct msr *msr = find(cpu, index);

	return msr ? msr->name : NULL;
}

bool msr_next(const struct cpu *cpu, u64 from, u32 *index)
{
	for (unsigned i = 0; i < ARRAY_LEN(table); i++) {
		const struct msr *msr = &table[i];
		if (msr->last < from || !exists(cpu, msr) || msr->set == intc_set || msr->get == no_read)
			continue;
		*index = MAX(from, (u64)msr->first);
		return true;
	}
	return false;
}

/* ---- instructions ---- */

OP_END(rdmsr)
{
	u64 value, next = insn_next_rip(cpu, in);

	if (cpu->cpl || !msr_read(cpu, reg32(cpu, RCX), &value))
		exception_gp(cpu, 0);
	set_reg32(cpu, RAX, value);
	set_reg32(cpu, RDX, value >> 32);
	cpu->rip = next;
	watch_seen(cpu, WATCH_MSR, reg32(cpu, RCX));
}

OP_END(wrmsr)
{
	u64 next = insn_next_rip(cpu, in);

	if (cpu->cpl || !msr_write(cpu, reg32(cpu, RCX), (u64)reg32(cpu, RDX) << 32 | reg32(cpu, RAX)))
		exception_gp(cpu, 0);
	cpu->rip = next;
	watch_seen(cpu, WATCH_MSR, reg32(cpu, RCX));
}

static const struct form forms[] = {
	{ZYDIS_MNEMONIC_RDMSR, {0}, FORM_END, FEAT_MSR, rdmsr},
	{ZYDIS_MNEMONIC_WRMSR, {0}, FORM_END, FEAT_MSR, wrmsr},
};
const struct form_table msr_forms = {forms, ARRAY_LEN(forms)};
