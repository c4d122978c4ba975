/* SPDX-License-Identifier: MIT */
/* CPU models: the table of features, the table of named models, and how -cpu is read. Names and feature sets are those that
 * QEMU's users know, cut down to what is implemented. SDM vol. 2 CPUID gives the bits.
 *
 * "max" is everything that is implemented, under the identity of an Intel core that has no AVX either (Tremont): system software
 * then neither expects what is missing nor tunes for what would be slow. It reports, truthfully, that it has none of the
 * speculation flaws, so that kernels leave their costly mitigations out. */
#include "cpu/model.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/options.h"

#define NO FEATURE_ABSENT
#define OPT FEATURE_OPTIONAL
#define YES FEATURE_OFFERED

const struct cpu_feature_info model_features[FEAT_COUNT] = {
	[FEAT_ALWAYS] = {"", 0, 0, 0, 0, YES},
	[FEAT_FPU] = {"fpu", 1, 0, REG_EDX, 0, YES},
	[FEAT_VME] = {"vme", 1, 0, REG_EDX, 1, YES},
	[FEAT_DE] = {"de", 1, 0, REG_EDX, 2, YES},
	[FEAT_PSE] = {"pse", 1, 0, REG_EDX, 3, YES},
	[FEAT_TSC] = {"tsc", 1, 0, REG_EDX, 4, YES},
	[FEAT_MSR] = {"msr", 1, 0, REG_EDX, 5, YES},
	[FEAT_PAE] = {"pae", 1, 0, REG_EDX, 6, YES},
	[FEAT_MCE] = {"mce", 1, 0, REG_EDX, 7, YES},
	[FEAT_CX8] = {"cx8", 1, 0, REG_EDX, 8, YES},
	[FEAT_APIC] = {"apic", 1, 0, REG_EDX, 9, YES},
	[FEAT_SEP] = {"sep", 1, 0, REG_EDX, 11, YES},
	[FEAT_MTRR] = {"mtrr", 1, 0, REG_EDX, 12, YES},
	[FEAT_PGE] = {"pge", 1, 0, REG_EDX, 13, YES},
	[FEAT_MCA] = {"mca", 1, 0, REG_EDX, 14, YES},
	[FEAT_CMOV] = {"cmov", 1, 0, REG_EDX, 15, YES},
	[FEAT_PAT] = {"pat", 1, 0, REG_EDX, 16, YES},
	[FEAT_PSE36] = {"pse36", 1, 0, REG_EDX, 17, YES},
	[FEAT_CLFLUSH] = {"clflush", 1, 0, REG_EDX, 19, YES},
	[FEAT_MMX] = {"mmx", 1, 0, REG_EDX, 23, YES},
	[FEAT_FXSR] = {"fxsr", 1, 0, REG_EDX, 24, YES},
	[FEAT_SSE] = {"sse", 1, 0, REG_EDX, 25, YES},
	[FEAT_SSE2] = {"sse2", 1, 0, REG_EDX, 26, YES},
	[FEAT_SS] = {"ss", 1, 0, REG_EDX, 27, YES},
	[FEAT_HT] = {"ht", 1, 0, REG_EDX, 28, YES},
	[FEAT_SSE3] = {"sse3", 1, 0, REG_ECX, 0, YES},
	[FEAT_PCLMULQDQ] = {"pclmulqdq", 1, 0, REG_ECX, 1, YES},
	[FEAT_MONITOR] = {"monitor", 1, 0, REG_ECX, 3, OPT},
	[FEAT_SSSE3] = {"ssse3", 1, 0, REG_ECX, 9, YES},
	[FEAT_FMA] = {"fma", 1, 0, REG_ECX, 12, NO},
	[FEAT_CX16] = {"cx16", 1, 0, REG_ECX, 13, YES},
	[FEAT_PCID] = {"pcid", 1, 0, REG_ECX, 17, YES},
	[FEAT_SSE41] = {"sse4.1", 1, 0, REG_ECX, 19, YES},
	[FEAT_SSE42] = {"sse4.2", 1, 0, REG_ECX, 20, YES},
	[FEAT_X2APIC] = {"x2apic", 1, 0, REG_ECX, 21, YES},
	[FEAT_MOVBE] = {"movbe", 1, 0, REG_ECX, 22, YES},
	[FEAT_POPCNT] = {"popcnt", 1, 0, REG_ECX, 23, YES},
	[FEAT_TSC_DEADLINE] = {"tsc-deadline", 1, 0, REG_ECX, 24, YES},
	[FEAT_AES] = {"aes", 1, 0, REG_ECX, 25, YES},
	[FEAT_XSAVE] = {"xsave", 1, 0, REG_ECX, 26, YES},
	[FEAT_AVX] = {"avx", 1, 0, REG_ECX, 28, NO},
	[FEAT_F16C] = {"f16c", 1, 0, REG_ECX, 29, NO},
	[FEAT_RDRAND] = {"rdrand", 1, 0, REG_ECX, 30, YES},
	[FEAT_HYPERVISOR] = {"hypervisor", 1, 0, REG_ECX, 31, YES},
	[FEAT_FSGSBASE] = {"fsgsbase", 7, 0, REG_EBX, 0, YES},
	[FEAT_TSC_ADJUST] = {"tsc-adjust", 7, 0, REG_EBX, 1, YES},
	[FEAT_BMI1] = {"bmi1", 7, 0, REG_EBX, 3, NO},
	[FEAT_AVX2] = {"avx2", 7, 0, REG_EBX, 5, NO},
	[FEAT_SMEP] = {"smep", 7, 0, REG_EBX, 7, YES},
	[FEAT_BMI2] = {"bmi2", 7, 0, REG_EBX, 8, NO},
	[FEAT_ERMS] = {"erms", 7, 0, REG_EBX, 9, YES},
	[FEAT_INVPCID] = {"invpcid", 7, 0, REG_EBX, 10, YES},
	[FEAT_RDSEED] = {"rdseed", 7, 0, REG_EBX, 18, YES},
	[FEAT_ADX] = {"adx", 7, 0, REG_EBX, 19, YES},
	[FEAT_SMAP] = {"smap", 7, 0, REG_EBX, 20, YES},
	[FEAT_CLFLUSHOPT] = {"clflushopt", 7, 0, REG_EBX, 23, YES},
	[FEAT_CLWB] = {"clwb", 7, 0, REG_EBX, 24, YES},
	[FEAT_SHA] = {"sha-ni", 7, 0, REG_EBX, 29, YES},
	[FEAT_UMIP] = {"umip", 7, 0, REG_ECX, 2, YES},
	[FEAT_RDPID] = {"rdpid", 7, 0, REG_ECX, 22, YES},
	[FEAT_FSRM] = {"fsrm", 7, 0, REG_EDX, 4, YES},
	[FEAT_SERIALIZE] = {"serialize", 7, 0, REG_EDX, 14, YES},
	[FEAT_SPEC_CTRL] = {"spec-ctrl", 7, 0, REG_EDX, 26, YES},
	[FEAT_STIBP] = {"stibp", 7, 0, REG_EDX, 27, YES},
	[FEAT_BHI_CTRL] = {"bhi-ctrl", 7, 2, REG_EDX, 4, YES},
	[FEAT_KVM] = {"kvm", 0x40000101, 0, REG_EAX, 1, OPT},
	[FEAT_ARCH_CAPABILITIES] = {"arch-capabilities", 7, 0, REG_EDX, 29, YES},
	[FEAT_LAHF_LM] = {"lahf-lm", 0x80000001, 0, REG_ECX, 0, YES},
	[FEAT_LZCNT] = {"abm", 0x80000001, 0, REG_ECX, 5, NO},
	[FEAT_PREFETCHW] = {"3dnowprefetch", 0x80000001, 0, REG_ECX, 8, YES},
	[FEAT_SYSCALL] = {"syscall", 0x80000001, 0, REG_EDX, 11, YES},
	[FEAT_NX] = {"nx", 0x80000001, 0, REG_EDX, 20, YES},
	[FEAT_FFXSR] = {"fxsr-opt", 0x80000001, 0, REG_EDX, 25, OPT},
	[FEAT_PDPE1GB] = {"pdpe1gb", 0x80000001, 0, REG_EDX, 26, YES},
	[FEAT_RDTSCP] = {"rdtscp", 0x80000001, 0, REG_EDX, 27, YES},
	[FEAT_LM] = {"lm", 0x80000001, 0, REG_EDX, 29, YES},
	[FEAT_XSAVEOPT] = {"xsaveopt", 0xd, 1, REG_EAX, 0, YES},
	[FEAT_XSAVEC] = {"xsavec", 0xd, 1, REG_EAX, 1, YES},
	[FEAT_XGETBV1] = {"xgetbv1", 0xd, 1, REG_EAX, 2, YES},
	[FEAT_XSAVES] = {"xsaves", 0xd, 1, REG_EAX, 3, YES},
	[FEAT_ARAT] = {"arat", 6, 0, REG_EAX, 2, YES},
	[FEAT_INVTSC] = {"invtsc", 0x80000007, 0, REG_EDX, 8, YES},
};

/* Other spellings. */
static const struct {
	const char *name;
	u8 feature;
} aliases[] = {
	{"pni", FEAT_SSE3}, {"ffxsr", FEAT_FFXSR}, {"clfsh", FEAT_CLFLUSH}, {"lzcnt", FEAT_LZCNT}, {"i64", FEAT_LM},
	{"xd", FEAT_NX}, {"sha", FEAT_SHA}, {"pclmuldq", FEAT_PCLMULQDQ}, {"prefetchw", FEAT_PREFETCHW}, {"pse-36", FEAT_PSE36},
};

/* Known names of what this CPU never has: turning them off is no mistake, turning them on gets a clear answer. */
static const char *const absent[] = {
	"3dnow", "3dnowext", "acpi", "amx-tile", "avx512bw", "avx512cd", "avx512dq", "avx512f", "avx512vl", "avx-vnni", "cet-ibt",
	"cet-ss", "cmp-legacy", "dca", "ds", "est", "fma4", "gfni", "hle", "kvm", "la57", "mmxext", "movdir64b", "movdiri", "mpx",
	"npt", "ospke", "pbe", "pdcm", "pks", "pku", "pmu", "pn", "rtm", "sgx", "skinit", "smx", "ssbd", "sse4a", "svm", "tbm", "tm",
	"tm2", "topoext", "vaes", "vpclmulqdq", "vmx", "waitpkg", "xop", "xtpr",
};

/* A feature makes no sense without another one. */
static const struct {
	u8 feature, needs;
} dependencies[] = {
	{FEAT_FXSR, FEAT_FPU}, {FEAT_MMX, FEAT_FPU}, {FEAT_SSE, FEAT_FXSR}, {FEAT_SSE2, FEAT_SSE}, {FEAT_SSE3, FEAT_SSE2},
	{FEAT_SSSE3, FEAT_SSE3}, {FEAT_SSE41, FEAT_SSSE3}, {FEAT_SSE42, FEAT_SSE41}, {FEAT_AES, FEAT_SSE2},
	{FEAT_PCLMULQDQ, FEAT_SSE2}, {FEAT_SHA, FEAT_SSE2}, {FEAT_XSAVE, FEAT_FXSR}, {FEAT_AVX, FEAT_XSAVE},
	{FEAT_XSAVEOPT, FEAT_XSAVE}, {FEAT_XSAVEC, FEAT_XSAVE}, {FEAT_XGETBV1, FEAT_XSAVE}, {FEAT_XSAVES, FEAT_XSAVEC},
	{FEAT_LM, FEAT_PAE}, {FEAT_LM, FEAT_MSR}, {FEAT_PCID, FEAT_LM}, {FEAT_CX16, FEAT_CX8}, {FEAT_LAHF_LM, FEAT_LM},
	{FEAT_PDPE1GB, FEAT_LM}, {FEAT_NX, FEAT_PAE}, {FEAT_SYSCALL, FEAT_MSR}, {FEAT_X2APIC, FEAT_APIC}, {FEAT_X2APIC, FEAT_MSR},
	{FEAT_TSC_DEADLINE, FEAT_APIC}, {FEAT_TSC_DEADLINE, FEAT_TSC}, {FEAT_ARAT, FEAT_APIC}, {FEAT_RDTSCP, FEAT_TSC},
	{FEAT_TSC_ADJUST, FEAT_TSC}, {FEAT_INVTSC, FEAT_TSC}, {FEAT_FSGSBASE, FEAT_LM}, {FEAT_MCA, FEAT_MCE},
	{FEAT_CLFLUSHOPT, FEAT_CLFLUSH}, {FEAT_CLWB, FEAT_CLFLUSH}, {FEAT_STIBP, FEAT_SPEC_CTRL},
	{FEAT_BHI_CTRL, FEAT_SPEC_CTRL}, {FEAT_MTRR, FEAT_MSR},
	{FEAT_PAT, FEAT_MSR}, {FEAT_SEP, FEAT_MSR}, {FEAT_ARCH_CAPABILITIES, FEAT_MSR}, {FEAT_SPEC_CTRL, FEAT_MSR},
	{FEAT_TSC_ADJUST, FEAT_MSR}, {FEAT_MCA, FEAT_MSR}, {FEAT_FFXSR, FEAT_FXSR},
};

/* ---- models ---- */

/* A model has the features of its base, if any, and its own. lacks: what the real one has and this one does not. */
struct named_model {
	const char *name, *help;
	const char *base; /* NULL: none; "": everything that is offered */
	const char *features;
	const char *lacks;
	const char *vendor, *brand;
	u32 family, model, stepping, level, xlevel;
	u8 phys_bits, linear_bits;
};

#define INTEL "GenuineIntel"
#define AMD "AuthenticAMD"
#define P5 "fpu pse de tsc msr mce cx8"
#define P6 P5 " pae apic sep mtrr pge mca cmov pat"

static const struct named_model models[] = {
	{"max", "everything that is implemented (the default)", "", "", NULL,
	 INTEL, "Paisano virtual CPU @ 2.00GHz", 6, 0x86, 7, 0x16, 0x80000008, 40, 48},
	{"host", "the same as max", "", "", NULL,
	 INTEL, "Paisano virtual CPU @ 2.00GHz", 6, 0x86, 7, 0x16, 0x80000008, 40, 48},
	{"486", "Intel 486 DX2", NULL, "fpu vme pse", NULL,
	 INTEL, "", 4, 8, 0, 1, 0, 32, 32},
	{"pentium", "Intel Pentium MMX", NULL, P5 " vme mmx apic", NULL,
	 INTEL, "", 5, 4, 3, 1, 0, 32, 32},
	{"pentium2", "Intel Pentium II", NULL, P6 " vme pse36 mmx fxsr", NULL,
	 INTEL, "", 6, 5, 2, 2, 0, 36, 32},
	{"pentium3", "Intel Pentium III", "pentium2", "sse", NULL,
	 INTEL, "", 6, 7, 3, 3, 0, 36, 32},
	{"qemu32", "a 32-bit CPU with SSE3", NULL, P6 " mmx fxsr sse sse2 sse3 hypervisor", NULL,
	 INTEL, "QEMU Virtual CPU version 2.5+", 6, 6, 3, 4, 0x80000004, 36, 32},
	{"qemu64", "x86-64 as of 2003, with SSE3", NULL,
	 P6 " pse36 clflush mmx fxsr sse sse2 sse3 cx16 syscall nx lm lahf-lm hypervisor", NULL,
	 AMD, "QEMU Virtual CPU version 2.5+", 15, 107, 1, 0xd, 0x80000008, 40, 48},
	{"kvm32", "a common 32-bit CPU", NULL, P6 " vme pse36 clflush mmx fxsr sse sse2 sse3 hypervisor", NULL,
	 INTEL, "Common 32-bit KVM processor", 15, 6, 1, 5, 0x80000008, 36, 32},
	{"kvm64", "a common 64-bit CPU", "kvm32", "cx16 syscall nx lm", NULL,
	 INTEL, "Common KVM processor", 15, 6, 1, 0xd, 0x80000008, 40, 48},
	{"x86-64-v1", "x86-64 psABI level 1", NULL, P6 " vme pse36 clflush mmx fxsr sse sse2 syscall nx lm hypervisor", NULL,
	 INTEL, "Paisano x86-64-v1", 6, 15, 11, 0xd, 0x80000008, 40, 48},
	{"x86-64-v2", "x86-64 psABI level 2", "x86-64-v1", "cx16 lahf-lm popcnt sse3 ssse3 sse4.1 sse4.2", NULL,
	 INTEL, "Paisano x86-64-v2", 6, 0x1a, 3, 0xd, 0x80000008, 40, 48},
	{"core2duo", "Intel Core 2 Duo T7700", "kvm64", "ss ssse3 lahf-lm", NULL,
	 INTEL, "Intel(R) Core(TM)2 Duo CPU     T7700  @ 2.40GHz", 6, 15, 11, 10, 0x80000008, 36, 48},
	{"Conroe", "Intel Core 2 (Merom, 65 nm)", "core2duo", "", NULL,
	 INTEL, "Intel Celeron_4x0 (Conroe/Merom Class Core 2)", 6, 15, 3, 10, 0x80000008, 40, 48},
	{"Penryn", "Intel Core 2 (45 nm)", "core2duo", "sse4.1", NULL,
	 INTEL, "Intel Core 2 Duo P9xxx (Penryn Class Core 2)", 6, 23, 3, 10, 0x80000008, 40, 48},
	{"n270", "Intel Atom N270", "kvm32", "nx ss ssse3 movbe", NULL,
	 INTEL, "Intel(R) Atom(TM) CPU N270   @ 1.60GHz", 6, 28, 2, 10, 0x80000008, 32, 32},
	{"Nehalem", "Intel Core i7 9xx", "Penryn", "sse4.2 popcnt", NULL,
	 INTEL, "Intel Core i7 9xx (Nehalem Class Core i7)", 6, 26, 3, 11, 0x80000008, 40, 48},
	{"Westmere", "Intel Xeon E56xx", "Nehalem", "aes pclmulqdq arat", NULL,
	 INTEL, "Westmere E56xx/L56xx/X56xx (Nehalem-C)", 6, 44, 1, 11, 0x80000008, 40, 48},
	{"SandyBridge", "Intel Xeon E312xx", "Westmere", "xsave xsaveopt tsc-deadline rdtscp", "avx and x2apic",
	 INTEL, "Intel Xeon E312xx (Sandy Bridge)", 6, 42, 1, 0xd, 0x80000008, 40, 48},
	{"Opteron_G1", "AMD Opteron 240", NULL, P6 " vme pse36 clflush mmx fxsr sse sse2 sse3 syscall nx lm hypervisor", NULL,
	 AMD, "AMD Opteron 240 (Gen 1 Class Opteron)", 15, 6, 1, 5, 0x80000008, 40, 48},
	{"Opteron_G2", "AMD Opteron 22xx", "Opteron_G1", "cx16 lahf-lm", NULL,
	 AMD, "AMD Opteron 22xx (Gen 2 Class Opteron)", 15, 6, 1, 5, 0x80000008, 40, 48},
	{"Opteron_G3", "AMD Opteron 23xx", "Opteron_G2", "popcnt rdtscp", "abm, misalignsse and sse4a",
	 AMD, "AMD Opteron 23xx (Gen 3 Class Opteron)", 16, 2, 3, 5, 0x80000008, 48, 48},
};

/* ---- names ---- */

/* QEMU takes '-', '_' and '.' for each other in some names; so do we in all, and case does not matter. */
static bool same_name(const char *a, const char *b, size_t len)
{
	for (size_t i = 0; i < len; i++) {
		char x = tolower((unsigned char)a[i]), y = tolower((unsigned char)b[i]);
		if (x == '_' || x == '.')
			x = '-';
		if (y == '_' || y == '.')
			y = '-';
		if (x != y || !y)
			return false;
	}
	return !b[len];
}

static unsigned find_feature(const char *name, size_t len)
{
	for (unsigned f = 1; f < FEAT_COUNT; f++)
		if (same_name(name, model_features[f].name, len))
			return f;
	for (unsigned i = 0; i < ARRAY_LEN(aliases); i++)
		if (same_name(name, aliases[i].name, len))
			return aliases[i].feature;
	return FEAT_ALWAYS;
}

static bool known_absent(const char *name)
{
	for (unsigned i = 0; i < ARRAY_LEN(absent); i++)
		if (same_name(name, absent[i], strlen(name)))
			return true;
	return false;
}

static const struct named_model *find_model(const char *name)
{
	for (unsigned i = 0; i < ARRAY_LEN(models); i++)
		if (same_name(name, models[i].name, strlen(name)))
			return &models[i];
	return NULL;
}

/* ---- building ---- */

static void set_feature(struct cpu_model *model, unsigned feature, bool on)
{
	u64 bit = BIT(feature % 64);

	if (on)
		model->features[feature / 64] |= bit;
	else
		model->features[feature / 64] &= ~bit;
}

static void add_features(struct cpu_model *model, const struct named_model *from)
{
	if (from->base && *from->base)
		add_features(model, find_model(from->base));
	for (unsigned f = 1; from->base && !*from->base && f < FEAT_COUNT; f++)
		if (model_features[f].status == FEATURE_OFFERED)
			set_feature(model, f, true);
	for (const char *p = from->features; *p;) {
		size_t len = strcspn(p, " ");
		unsigned feature = find_feature(p, len);
		if (len && !feature)
			bug("model %s: no feature %.*s", from->name, (int)len, p);
		if (len)
			set_feature(model, feature, true);
		p += len + (p[len] != '\0');
	}
}

static void start_from(struct cpu_model *model, const struct named_model *from)
{
	*model = (struct cpu_model){
		.family = from->family, .model = from->model, .stepping = from->stepping, .level = from->level, .xlevel = from->xlevel,
		.phys_bits = from->phys_bits, .linear_bits = from->linear_bits, .flavour = flavour_host(),
	};
	snprintf(model->name, sizeof model->name, "%s", from->name);
	snprintf(model->vendor, sizeof model->vendor, "%s", from->vendor);
	snprintf(model->brand, sizeof model->brand, "%s", from->brand);
	add_features(model, from);
}

/* Take out what lacks its basis, until nothing changes. */
static void settle(struct cpu_model *model)
{
	bool again;

	do {
		again = false;
		for (unsigned i = 0; i < ARRAY_LEN(dependencies); i++)
			if (model_has(model, dependencies[i].feature) && !model_has(model, dependencies[i].needs)) {
				set_feature(model, dependencies[i].feature, false);
				again = true;
			}
	} while (again);
}

/* ---- parsing ---- */

static bool unknown_model(const char *name, struct err *err)
{
	const char *names[ARRAY_LEN(models) + 1] = {NULL}, *nearest;

	for (unsigned i = 0; i < ARRAY_LEN(models); i++)
		names[i] = models[i].name;
	nearest = options_nearest(name, names);
	if (nearest)
		return err_set(err, EXIT_USAGE, "-cpu: no model '%.40s'; did you mean '%s'? (-cpu help lists them)", name, nearest);
	return err_set(err, EXIT_USAGE, "-cpu: no model '%.40s' (-cpu help lists them)", name);
}

enum key {
	KEY_FAMILY,
	KEY_MODEL,
	KEY_STEPPING,
	KEY_LEVEL,
	KEY_XLEVEL,
	KEY_PHYS_BITS,
	KEY_VENDOR,
	KEY_MODEL_ID,
	KEY_FLAVOUR,
	KEY_CHECK,
	KEY_ENFORCE
};
static const char *const keys[] = {
	"family", "model", "stepping", "level", "xlevel", "phys-bits", "vendor", "model-id", "flavour", "check",
	"enforce",
};

static bool unknown_feature(const char *name, struct err *err)
{
	const char *names[FEAT_COUNT + ARRAY_LEN(aliases) + ARRAY_LEN(keys) + 1] = {NULL}, *nearest;
	unsigned n = 0;

	for (unsigned f = 1; f < FEAT_COUNT; f++)
		names[n++] = model_features[f].name;
	for (unsigned i = 0; i < ARRAY_LEN(aliases); i++)
		names[n++] = aliases[i].name;
	for (unsigned i = 0; i < ARRAY_LEN(keys); i++)
		names[n++] = keys[i];
	nearest = options_nearest(name, names);
	if (nearest)
		return err_set(err, EXIT_USAGE, "-cpu: no feature '%.40s'; did you mean '%s'? (-cpu help lists them)", name, nearest);
	return err_set(err, EXIT_USAGE, "-cpu: no feature '%.40s' (-cpu help lists them)", name);
}

static bool switch_feature(struct cpu_model *model, const char *name, bool on, struct err *err)
{
	unsigned feature = find_feature(name, strlen(name));

	if (!feature && !known_absent(name))
		return unknown_feature(name, err);
	if (on && (!feature || model_features[feature].status == FEATURE_ABSENT))
		return err_set(err, EXIT_USAGE, "-cpu: the feature '%s' is not implemented", name);
	if (feature)
		set_feature(model, feature, on);
	return true;
}

static bool set_number(u32 *to, const char *key, const char *value, u64 min, u64 max, struct err *err)
{
	u64 number;

	if (!options_number(value, &number, err))
		return err_prefix(err, "-cpu: %s", key);
	if (number < min || number > max)
		return err_set(err, EXIT_USAGE, "-cpu: %s=%s: must be from %llu to %llu", key, value, (unsigned long long)min,
		               (unsigned long long)max);
	*to = number;
	return true;
}

static bool set_flavour(struct cpu_model *model, const char *value, struct err *err)
{
	for (unsigned i = 0; flavour_names[i]; i++)
		if (!strcmp(value, flavour_names[i])) {
			model->flavour = i;
			model->flavour_named = true;
			return true;
		}
	return err_set(err, EXIT_USAGE, "-cpu: flavour=%.40s: must be intel or amd", value);
}

static bool set_key(struct cpu_model *model, enum key key, const char *value, struct err *err)
{
	bool ignored;

	switch (key) {
	case KEY_FAMILY: return set_number(&model->family, "family", value, 0, 255 + 15, err);
	case KEY_MODEL: return set_number(&model->model, "model", value, 0, 255, err);
	case KEY_STEPPING: return set_number(&model->stepping, "stepping", value, 0, 15, err);
	case KEY_LEVEL: return set_number(&model->level, "level", value, 1, 0x1f, err);
	case KEY_XLEVEL: return set_number(&model->xlevel, "xlevel", value, 0x80000000, 0x8000001f, err);
	case KEY_PHYS_BITS: return set_number(&model->phys_bits, "phys-bits", value, 32, 52, err);
	case KEY_VENDOR:
		if (strlen(value) != sizeof model->vendor - 1)
			return err_set(err, EXIT_USAGE, "-cpu: vendor=%.40s: must have 12 characters", value);
		memcpy(model->vendor, value, sizeof model->vendor);
		return true;
	case KEY_MODEL_ID:
		if (strlen(value) >= sizeof model->brand)
			return err_set(err, EXIT_USAGE, "-cpu: model-id: must have at most %zu characters", sizeof model->brand - 1);
		memset(model->brand, 0, sizeof model->brand);
		memcpy(model->brand, value, strlen(value));
		return true;
	case KEY_FLAVOUR: return set_flavour(model, value, err);
	default: /* check, enforce: what is not implemented is always refused */
		return options_bool(value, &ignored, err) || err_prefix(err, "-cpu: %s", keys[key]);
	}
}

static bool parse_item(struct cpu_model *model, char *item, struct err *err)
{
	char *value = strchr(item, '=');
	bool on = true;

	if (*item == '+' || *item == '-') {
		if (value)
			return err_set(err, EXIT_USAGE, "-cpu: '%.60s': either a sign or a value, not both", item);
		return switch_feature(model, item + 1, *item == '+', err);
	}
	if (value)
		*value++ = '\0';
	for (unsigned i = 0; i < ARRAY_LEN(keys); i++)
		if (same_name(item, keys[i], strlen(item))) {
			if (!value && i < KEY_CHECK)
				return err_set(err, EXIT_USAGE, "-cpu: %s needs a value", keys[i]);
			return set_key(model, i, value ? value : "on", err);
		}
	if (value && !options_bool(value, &on, err))
		return err_prefix(err, "-cpu: %s", item);
	return switch_feature(model, item, on, err);
}

bool model_parse(struct cpu_model *model, const char *text, struct err *err)
{
	char *copy = err_strdup(text), *next = copy;
	char *item = strsep(&next, ",");
	const struct named_model *named = find_model(*item ? item : "max");
	bool ok = named ? true : unknown_model(item, err);

	if (named)
		start_from(model, named);
	while (ok && (item = strsep(&next, ",")))
		if (*item)
			ok = parse_item(model, item, err);
	if (ok) {
		settle(model);
		if (named->lacks)
			err_note("-cpu %s: %s not implemented, the model goes without", named->name, named->lacks);
	}
	free(copy);
	return ok;
}

void model_help(FILE *to)
{
	unsigned column = 0;

	fprintf(to, "CPU models:\n");
	for (unsigned i = 0; i < ARRAY_LEN(models); i++)
		fprintf(to, "  %-12s %s\n", models[i].name, models[i].help);
	fprintf(to, "Features, as +NAME, -NAME or NAME=on|off (in parentheses: not part of max):\n");
	for (unsigned f = 1; f < FEAT_COUNT; f++) {
		const struct cpu_feature_info *info = &model_features[f];
		if (info->status == FEATURE_ABSENT)
			continue;
		column += fprintf(to, info->status == FEATURE_OPTIONAL ? "%s(%s)" : "%s%s", column ? " " : "  ", info->name);
		if (column > 70) {
			fprintf(to, "\n");
			column = 0;
		}
	}
	fprintf(to, "%sAlso family=, model=, stepping=, level=, xlevel=, phys-bits=, vendor=, model-id=,\n"
	            "and flavour=intel|amd: whose results to give where the manuals leave them undefined. The translator and KVM give\n"
	            "this host's (%s), which is the default; the interpreter, which is taken for the other one, can give either.\n",
	        column ? "\n" : "", flavour_names[flavour_host()]);
}

/* ---- what the reset state takes from a model ---- */

u32 model_signature(const struct cpu_model *model)
{
	u32 extended = model->family > 15 ? model->family - 15 : 0;

	return extended << 20 | (model->model >> 4 & 15) << 16 | MIN(model->family, 15u) << 8 | (model->model & 15) << 4 |
	       (model->stepping & 15);
}

u64 model_misc_enable(const struct cpu_model *model)
{
	/* fast strings; no branch trace, no precise events; MONITOR */
	return BIT(0) | BIT(11) | BIT(12) | (model_has(model, FEAT_MONITOR) ? BIT(18) : 0);
}
