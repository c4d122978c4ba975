/* SPDX-License-Identifier: MIT */
/* CPUID. SDM vol. 2 CPUID; AMD APM vol. 3 app. E. Features come from the model's table (model.c); what is computed here is
 * topology, caches, state components, frequencies and the bits that follow the control registers.
 *
 * One package, one thread a core, as many cores as there are CPUs. The core crystal is the clock of the local APIC's timer,
 * because that is what Linux takes it for. */
#include <Zydis/Mnemonic.h>
#include <Zydis/SharedTypes.h>
#include <stdio.h>

#include "cpu/forms.h"
#include "cpu/mode.h"
#include "cpu/model.h"
#include "cpu/xsave.h"

#define CRYSTAL_HZ 1000000000u /* the local APIC counts nanoseconds */
#define BUS_MHZ 100u
#define HYPERVISOR_BASE 0x40000000u
#define HYPERVISOR_LAST 0x40000010u
#define KVM_BASE 0x40000100u
#define KVM_FEATURES 0x40000101u

/* Bits needed to number n things. */
static unsigned width(unsigned n)
{
	return n > 1 ? 32 - __builtin_clz(n - 1) : 0;
}

static void put_text(u32 *to, const char *text, unsigned words)
{
	for (unsigned i = 0; i < words; i++)
		to[i] = load32(text + i * 4);
}

/* The bits of the feature table for one leaf. */
static struct cpuid_regs features(const struct cpu *cpu, u32 leaf, u32 subleaf)
{
	struct cpuid_regs r = {0};
	u32 *const reg[] = {[REG_EAX] = &r.eax, [REG_EBX] = &r.ebx, [REG_ECX] = &r.ecx, [REG_EDX] = &r.edx};

	for (unsigned f = 1; f < FEAT_COUNT; f++) {
		const struct cpu_feature_info *info = &model_features[f];
		if (info->leaf == leaf && info->subleaf == subleaf && cpu_has(cpu, f))
			*reg[info->reg] |= 1u << info->bit;
	}
	return r;
}

static bool apic_enabled(const struct cpu *cpu)
{
	return !cpu->intc.get_base || (cpu->intc.get_base(cpu->intc.opaque) & BIT(11));
}

static struct cpuid_regs leaf_1(const struct cpu *cpu)
{
	struct cpuid_regs r = features(cpu, 1, 0);
	unsigned cores = MIN(1u << width(cpu->count), 255u);

	r.eax = model_signature(cpu->model);
	r.ebx = cpu->index << 24 | (cpu_has(cpu, FEAT_CLFLUSH) ? 64 / 8 << 8 : 0);
	if (cpu->count > 1 && cpu_has(cpu, FEAT_HT))
		r.ebx |= cores << 16;
	else
		r.edx &= ~(1u << 28);
	if (cpu->cr4 & CR4_OSXSAVE)
		r.ecx |= 1u << 27;
	if (!apic_enabled(cpu))
		r.edx &= ~(1u << 9);
	return r;
}

/* Deterministic cache parameters: what leaf 2 and AMD's leaves say as well. */
static const struct cache {
	u8 type, level; /* type: 1 data, 2 instructions, 3 unified */
	u16 ways, sets;
	bool shared; /* by all cores */
} caches[] = {
	{1, 1, 8, 64, false},
	{2, 1, 8, 64, false},
	{3, 2, 16, 2048, false},
	{3, 3, 16, 16384, true},
};

static struct cpuid_regs leaf_4(const struct cpu *cpu, u32 subleaf)
{
	if (subleaf >= ARRAY_LEN(caches))
		return (struct cpuid_regs){0};
	const struct cache *c = &caches[subleaf];
	u32 ids = (1u << width(cpu->count)) - 1;
	return (struct cpuid_regs){
		.eax = c->type | c->level << 5 | 1 << 8 | (c->shared ? MIN(ids, 0xfffu) << 14 : 0) | MIN(ids, 63u) << 26,
		.ebx = (64 - 1) | (u32)(c->ways - 1) << 22,
		.ecx = c->sets - 1u,
	};
}

static struct cpuid_regs leaf_b(const struct cpu *cpu, u32 subleaf)
{
	struct cpuid_regs r = {.ecx = subleaf & 0xff, .edx = cpu->index};

	if (subleaf == 0) {
		r.ebx = 1;
		r.ecx |= 1 << 8; /* threads of a core */
	} else if (subleaf == 1) {
		r.eax = width(cpu->count);
		r.ebx = cpu->count;
		r.ecx |= 2 << 8; /* cores of the package */
	}
	return r;
}

static struct cpuid_regs leaf_d(const struct cpu *cpu, u32 subleaf)
{
	struct cpuid_regs r = {0};
	u64 user = xsave_supported(cpu), all = user | xsave_supported_xss(cpu);

	if (!cpu_has(cpu, FEAT_XSAVE))
		return r;
	if (subleaf == 0) {
		r.eax = user;
		r.ebx = xsave_size(cpu, cpu->xcr0, false);
		r.ecx = xsave_size(cpu, user, false);
		r.edx = user >> 32;
	} else if (subleaf == 1) {
		r = features(cpu, 0xd, 1);
		if (cpu_has(cpu, FEAT_XSAVEC))
			r.ebx = xsave_size(cpu, cpu->xcr0 | cpu->xss, true);
		r.ecx = xsave_supported_xss(cpu);
		r.edx = xsave_supported_xss(cpu) >> 32;
	} else if (subleaf < 63 && (all >> subleaf & 1)) {
		struct xsave_place place = xsave_component(cpu, subleaf);
		r.eax = place.size;
		r.ebx = place.offset;
		r.ecx = (xsave_supported_xss(cpu) >> subleaf & 1) | (place.aligned ? 2 : 0);
	}
	return r;
}

static struct cpuid_regs basic(const struct cpu *cpu, u32 leaf, u32 subleaf, u32 level)
{
	struct cpuid_regs r = {0};

	switch (leaf) {
	case 0:
		r.eax = level;
		r.ebx = load32(cpu->model->vendor);
		r.edx = load32(cpu->model->vendor + 4);
		r.ecx = load32(cpu->model->vendor + 8);
		break;
	case 1:
		return leaf_1(cpu);
	case 2:
		r.eax = 1;
		r.edx = level >= 4 ? 0xff : 0x002c307d; /* see leaf 4; or 32 KiB, 32 KiB, 2 MiB */
		break;
	case 4:
		return leaf_4(cpu, subleaf);
	case 5:
		if (cpu_has(cpu, FEAT_MONITOR))
			r = (struct cpuid_regs){.eax = 64, .ebx = 64, .ecx = 3};
		break;
	case 6:
		return features(cpu, 6, 0);
	case 7:
		r = features(cpu, 7, subleaf);
		if (subleaf == 0 && cpu_has(cpu, FEAT_BHI_CTRL))
			r.eax = 2; /* the last subleaf */
		if (subleaf == 0 && cpu->flavour != FLAVOUR_AMD)
			r.ebx |= BIT(6) | BIT(13); /* x87.c: FDP only with unmasked exceptions, FCS and FDS always 0 */
		break;
	case 0xb:
		return leaf_b(cpu, subleaf);
	case 0xd:
		return leaf_d(cpu, subleaf);
	case 0x15:
		r.eax = cpu->tsc_hz % CRYSTAL_HZ ? CRYSTAL_HZ / 1000000 : 1; /* small numbers: users multiply in 32 bits */
		r.ebx = cpu->tsc_hz / (CRYSTAL_HZ / r.eax);
		r.ecx = CRYSTAL_HZ;
		break;
	case 0x16:
		r.eax = r.ebx = cpu->tsc_hz / 1000000;
		r.ecx = BUS_MHZ;
		break;
	default:
		break;
	}
	return r;
}

/* A second hypervisor, for guests that do some things under KVM and VMware only: Linux's driver of the absolute pointer. Of KVM's
 * own interfaces there is none, and the one feature told is that ports need no delay. */
static struct cpuid_regs kvm(const struct cpu *cpu, u32 leaf)
{
	static const char signature[12] = "KVMKVMKVM";

	if (leaf == KVM_BASE)
		return (struct cpuid_regs){KVM_FEATURES, load32(signature), load32(signature + 4), load32(signature + 8)};
	return features(cpu, leaf, 0);
}

static struct cpuid_regs hypervisor(const struct cpu *cpu, u32 leaf)
{
	struct cpuid_regs r = {0};
	static const char signature[12] = "PaisanoVM";

	if (leaf == HYPERVISOR_BASE) {
		r.eax = HYPERVISOR_LAST;
		r.ebx = load32(signature);
		r.ecx = load32(signature + 4);
		r.edx = load32(signature + 8);
	} else if (leaf == HYPERVISOR_LAST) { /* frequencies in kHz, as VMware began it */
		r.eax = cpu->tsc_hz / 1000;
		r.ebx = CRYSTAL_HZ / 1000;
	}
	return r;
}

static struct cpuid_regs extended_1(const struct cpu *cpu)
{
	struct cpuid_regs r = features(cpu, 0x80000001, 0);

	if (cpu->misc_enable & MISC_XD_DISABLE)
		r.edx &= ~(1u << 20);
	if (model_is_amd(cpu->model)) {
		/* repeats what leaf 1 says in these bits */
		r.edx |= leaf_1(cpu).edx & 0x0183f3ff;
		if (cpu->count > 1)
			r.ecx |= 1 << 1; /* CmpLegacy: the count is of cores */
		r.eax = model_signature(cpu->model);
	} else if (!cpu->long_mode) {
		r.edx &= ~(1u << 11); /* Intel has SYSCALL in 64-bit mode only */
	}
	return r;
}

static struct cpuid_regs extended(const struct cpu *cpu, u32 leaf)
{
	struct cpuid_regs r = {0};
	u32 words[12];

	switch (leaf) {
	case 0x80000000:
		r.eax = cpu->model->xlevel;
		if (model_is_amd(cpu->model)) {
			r = basic(cpu, 0, 0, 0);
			r.eax = cpu->model->xlevel;
		}
		break;
	case 0x80000001:
		return extended_1(cpu);
	case 0x80000002:
	case 0x80000003:
	case 0x80000004:
		put_text(words, cpu->model->brand, 12);
		leaf -= 0x80000002;
		r = (struct cpuid_regs){words[leaf * 4], words[leaf * 4 + 1], words[leaf * 4 + 2], words[leaf * 4 + 3]};
		break;
	case 0x80000005: /* AMD: TLBs; L1 caches in KiB, ways, lines per tag, line size */
		if (model_is_amd(cpu->model))
			r = (struct cpuid_regs){0x01ff01ff, 0x01ff01ff, 32 << 24 | 8 << 16 | 1 << 8 | 64, 32 << 24 | 8 << 16 | 1 << 8 | 64};
		break;
	case 0x80000006: /* L2: KiB, associativity code (16 ways), line size; AMD: L3 in 512 KiB */
		r.ecx = 2048 << 16 | 8 << 12 | 64;
		if (model_is_amd(cpu->model))
			r.edx = (16384 / 512) << 18 | 8 << 12 | 1 << 8 | 64;
		break;
	case 0x80000007:
		return features(cpu, 0x80000007, 0);
	case 0x80000008:
		r.eax = cpu->model->phys_bits | (cpu_has(cpu, FEAT_LM) ? 48u : 32u) << 8;
		if (model_is_amd(cpu->model))
			r.ecx = (cpu->count - 1) & 0xff;
		if (model_is_amd(cpu->model) && cpu->flavour == FLAVOUR_AMD)
			r.ebx |= BIT(2); /* xsave.c: FXRSTOR loads the pointers whether or not an exception is pending */
		break;
	default:
		break;
	}
	return r;
}

struct cpuid_regs model_cpuid(const struct cpu *cpu, u32 leaf, u32 subleaf)
{
	u32 level = cpu->model->level;

	if (cpu->misc_enable & BIT(22)) /* limit CPUID for old systems */
		level = MIN(level, 2u);
	if (leaf <= level)
		return basic(cpu, leaf, subleaf, level);
	if (leaf >= HYPERVISOR_BASE && leaf <= HYPERVISOR_BASE + 0xff && cpu_has(cpu, FEAT_HYPERVISOR))
		return hypervisor(cpu, leaf);
	if ((leaf == KVM_BASE || leaf == KVM_FEATURES) && cpu_has(cpu, FEAT_HYPERVISOR) && cpu_has(cpu, FEAT_KVM))
		return kvm(cpu, leaf);
	if (leaf >= 0x80000000 && leaf <= cpu->model->xlevel)
		return extended(cpu, leaf);
	if (model_is_amd(cpu->model))
		return (struct cpuid_regs){0};
	return basic(cpu, level, subleaf, level); /* Intel: beyond the end lies the last basic leaf */
}

/* It serialises (SDM 3A 8.3): a block ends here, so that what other CPUs have written is looked at before the next instruction. */
OP_END(cpuid)
{
	struct cpuid_regs r = model_cpuid(cpu, reg32(cpu, RAX), reg32(cpu, RCX));

	set_reg32(cpu, RAX, r.eax);
	set_reg32(cpu, RBX, r.ebx);
	set_reg32(cpu, RCX, r.ecx);
	set_reg32(cpu, RDX, r.edx);
	cpu->rip = insn_next_rip(cpu, in);
}

static const struct form table[] = {
	{ZYDIS_MNEMONIC_CPUID, {0}, FORM_END, 0, cpuid},
};
const struct form_table cpuid_forms = {table, ARRAY_LEN(table)};
