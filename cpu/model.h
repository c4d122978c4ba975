/* SPDX-License-Identifier: MIT */
/* CPU models: what CPUID reports, and with it which instructions and control bits exist. */
#ifndef CPU_MODEL_H
#define CPU_MODEL_H

#include "base/err.h"
#include "cpu/cpu.h"

/* Features by their QEMU names, lower case (feature_table in model.c has name, leaf, register and bit). */
enum cpu_feature {
	FEAT_ALWAYS,
	FEAT_FPU, FEAT_VME, FEAT_DE, FEAT_PSE, FEAT_TSC, FEAT_MSR, FEAT_PAE, FEAT_MCE, FEAT_CX8, FEAT_APIC, FEAT_SEP, FEAT_MTRR,
	FEAT_PGE, FEAT_MCA, FEAT_CMOV, FEAT_PAT, FEAT_PSE36, FEAT_CLFLUSH, FEAT_MMX, FEAT_FXSR, FEAT_SSE, FEAT_SSE2, FEAT_SS,
	FEAT_HT, FEAT_SSE3, FEAT_PCLMULQDQ, FEAT_MONITOR, FEAT_SSSE3, FEAT_FMA, FEAT_CX16, FEAT_PCID, FEAT_SSE41, FEAT_SSE42,
	FEAT_X2APIC, FEAT_MOVBE, FEAT_POPCNT, FEAT_TSC_DEADLINE, FEAT_AES, FEAT_XSAVE, FEAT_AVX, FEAT_F16C, FEAT_RDRAND,
	FEAT_HYPERVISOR, FEAT_FSGSBASE, FEAT_TSC_ADJUST, FEAT_BMI1, FEAT_AVX2, FEAT_SMEP, FEAT_BMI2, FEAT_ERMS, FEAT_INVPCID,
	FEAT_RDSEED, FEAT_ADX, FEAT_SMAP, FEAT_CLFLUSHOPT, FEAT_CLWB, FEAT_SHA, FEAT_UMIP, FEAT_RDPID, FEAT_FSRM, FEAT_SERIALIZE,
	FEAT_LAHF_LM, FEAT_LZCNT, FEAT_PREFETCHW, FEAT_SYSCALL, FEAT_NX, FEAT_FFXSR, FEAT_PDPE1GB, FEAT_RDTSCP, FEAT_LM,
	FEAT_XSAVEOPT, FEAT_XSAVEC, FEAT_XGETBV1, FEAT_XSAVES, FEAT_ARAT, FEAT_INVTSC, FEAT_ARCH_CAPABILITIES,
	FEAT_SPEC_CTRL, FEAT_STIBP, FEAT_BHI_CTRL, FEAT_KVM,
	FEAT_COUNT
};

/* Whose results a CPU gives where the manuals leave them undefined: flags, approximations, the order of checks. Translated code and
 * KVM give the host's; the interpreter can give either. Not the same as the model's vendor (model_is_amd()), which CPUID shows. */
enum cpu_flavour { FLAVOUR_INTEL, FLAVOUR_AMD };
extern const char *const flavour_names[]; /* as users write them; NULL behind the last */
/* That of the CPU which runs this program, found by executing instructions; FLAVOUR_INTEL where it is no x86. */
enum cpu_flavour flavour_host(void);

struct cpu_model {
	char name[32];
	char vendor[13];
	char brand[49];
	u32 family, model, stepping;
	u32 xlevel, level; /* highest extended and basic leaf */
	u32 phys_bits, linear_bits;
	u64 features[(FEAT_COUNT + 63) / 64];
	u64 hidden[(FEAT_COUNT + 63) / 64]; /* work although CPUID does not show them */
	u8 flavour;         /* enum cpu_flavour of a new CPU: the host's, unless the user named one */
	bool flavour_named;
};

static inline bool model_has(const struct cpu_model *model, enum cpu_feature feature)
{
	return feature == FEAT_ALWAYS || (model->features[feature / 64] >> (feature % 64) & 1);
}
/* A CPU of AMD's line: where instructions are encoded or defined differently by vendor, it follows AMD's manual. */
static inline bool model_is_amd(const struct cpu_model *model)
{
	return !strcmp(model->vendor, "AuthenticAMD") || !strcmp(model->vendor, "HygonGenuine");
}
static inline bool cpu_has(const struct cpu *cpu, enum cpu_feature feature)
{
	return model_has(cpu->model, feature);
}
/* Instructions and bits of CR4, whether CPUID shows them or not. */
static inline bool cpu_does(const struct cpu *cpu, enum cpu_feature feature)
{
	return cpu_has(cpu, feature) || (cpu->model->hidden[feature / 64] >> (feature % 64) & 1);
}

/* Where CPUID shows a feature and how QEMU calls it. Table in model.c, indexed by enum cpu_feature. */
enum cpuid_reg { REG_EAX, REG_EBX, REG_ECX, REG_EDX };
struct cpu_feature_info {
	const char *name;
	u32 leaf;
	u8 subleaf, reg, bit;
	u8 status; /* enum feature_status */
};
enum feature_status { FEATURE_ABSENT, FEATURE_OPTIONAL, FEATURE_OFFERED }; /* not implemented; on request; part of "max" */
extern const struct cpu_feature_info model_features[FEAT_COUNT];

/* "NAME,+feat,-feat,feat=on": fills model. Unknown names and features get "did you mean". Default "max". */
bool model_parse(struct cpu_model *model, const char *text, struct err *err);
void model_help(FILE *to); /* what `-cpu help` prints */
struct cpuid_regs {
	u32 eax, ebx, ecx, edx;
};
struct cpuid_regs model_cpuid(const struct cpu *cpu, u32 leaf, u32 subleaf);
/* Family, model and stepping as CPUID leaf 1 and the reset value of EDX give them. */
u32 model_signature(const struct cpu_model *model);
/* IA32_MISC_ENABLE after RESET. */
u64 model_misc_enable(const struct cpu_model *model);

#endif
