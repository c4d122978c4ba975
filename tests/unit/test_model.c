/* SPDX-License-Identifier: MIT */
/* cpu/model and cpu/cpuid: how -cpu is read, and what CPUID makes of it. */
#include <stdio.h>
#include <stdlib.h>

#include "cpu/engine.h"
#include "cpu/msr.h"
#include "tests/unit/cpu_unit.h"

static struct cpu_model parsed(const char *text)
{
	struct cpu_model model;
	struct err err = {0};

	if (!model_parse(&model, text, &err))
		fail_msg("%s: %s", text, err.text);
	return model;
}

static void refused(const char *text, const char *message)
{
	struct cpu_model model;
	struct err err = {0};

	assert_false(model_parse(&model, text, &err));
	assert_int_equal(err.code, EXIT_USAGE);
	if (!strstr(err.text, message))
		fail_msg("%s: '%s' does not say '%s'", text, err.text, message);
}

static void parse(void **state)
{
	struct cpu_model m = parsed("max");

	(void)state;
	for (unsigned f = 1; f < FEAT_COUNT; f++)
		assert_int_equal(model_has(&m, f), model_features[f].status == FEATURE_OFFERED);
	m = parsed("");
	assert_string_equal(m.name, "max");
	m = parsed("MAX,-sse4_2,sse4-1=off,+SSE4.1,smap=no,aes=on,-avx,-vmx,-avx512f");
	assert_false(model_has(&m, FEAT_SSE42));
	assert_true(model_has(&m, FEAT_SSE41));
	assert_false(model_has(&m, FEAT_SMAP));
	assert_true(model_has(&m, FEAT_AES));
	m = parsed(
		"qemu64,+aes,ssse3,pni=on,family=6,model=0x1a,stepping=15,level=5,xlevel=0x80000004,phys-bits=36,vendor=GenuineIntel,"
		"model-id=Some CPU,check,enforce=off");
	assert_true(model_has(&m, FEAT_AES) && model_has(&m, FEAT_SSSE3) && model_has(&m, FEAT_SSE3));
	assert_int_equal(model_signature(&m), 0x000106af);
	assert_int_equal(m.level, 5);
	assert_int_equal(m.phys_bits, 36);
	assert_string_equal(m.vendor, "GenuineIntel");
	assert_string_equal(m.brand, "Some CPU");
	assert_int_equal(model_signature(&(struct cpu_model){.family = 0x17, .model = 0x31, .stepping = 2}), 0x00830f12);
}

static void errors(void **state)
{
	(void)state;
	refused("Nehalm", "did you mean 'Nehalem'");
	refused("zzzzzzzz", "no model 'zzzzzzzz'");
	refused("max,+smpa", "did you mean 'smap'");
	refused("max,+qwertyuiop", "no feature 'qwertyuiop'");
	refused("max,+avx2", "'avx2' is not implemented");
	refused("max,avx512f=on", "'avx512f' is not implemented");
	refused("max,+vmx", "'vmx' is not implemented");
	refused("max,+", "no feature ''");
	refused("max,-aes=on", "either a sign or a value");
	refused("max,aes=maybe", "aes");
	refused("max,family", "family needs a value");
	refused("max,family=x", "family");
	refused("max,phys-bits=31", "must be from 32 to 52");
	refused("max,vendor=Intel", "12 characters");
	refused("max,flavour=arm", "must be intel or amd");
	refused("max,flavour", "flavour needs a value");
	refused("max,model-id=0123456789012345678901234567890123456789012345678", "at most 48");
}

/* The flavour is the host's unless it is named, and does not follow the vendor; a new CPU has it, a reset keeps it, a state brings
 * its own, and one that is none is not believed. */
static void flavours(void **state)
{
	const struct field *f = cpu_fields;
	struct err err = {0};

	(void)state;
	assert_int_equal(parsed("max").flavour, flavour_host());
	assert_false(parsed("max").flavour_named);
	assert_int_equal(parsed("qemu64").flavour, flavour_host());
	assert_int_equal(parsed("qemu64,flavour=intel").flavour, FLAVOUR_INTEL);
	assert_true(parsed("max,flavour=intel").flavour_named);
	struct cpu_unit *u = cpu_unit_new("max,flavour=amd");
	assert_int_equal(u->cpu->flavour, FLAVOUR_AMD);
	cpu_reset(u->cpu, false);
	assert_int_equal(u->cpu->flavour, FLAVOUR_AMD);
	while (f->name && strcmp(f->name, "flavour"))
		f++;
	assert_non_null(f->name);
	assert_int_equal(f->offset, offsetof(struct cpu, flavour));
	for (unsigned other = FLAVOUR_INTEL; other <= FLAVOUR_AMD; other++) {
		u->cpu->flavour = other;
		cpu_state_changed(u->cpu);
		assert_int_equal(u->cpu->flavour, other);
		assert_true(engine_suits(&interp_engine, u->cpu, &err));
		struct engine native = interp_engine;
		native.native = true;
		assert_int_equal(engine_suits(&native, u->cpu, &err), other == flavour_host());
		if (other != flavour_host()) {
			assert_int_equal(err.code, EXIT_ACCEL);
			assert_int_equal(engine_run(&native, u->cpu, 1), ENGINE_UNABLE);
			assert_non_null(u->cpu->unable);
		}
	}
	u->cpu->flavour = 200;
	cpu_state_changed(u->cpu);
	assert_int_equal(u->cpu->flavour, FLAVOUR_INTEL);
	cpu_unit_free(u);
}

/* Features without their basis fall with it. */
static void dependencies(void **state)
{
	struct cpu_model m = parsed("max,-sse2");

	(void)state;
	assert_true(model_has(&m, FEAT_SSE));
	assert_false(model_has(&m, FEAT_SSE3) || model_has(&m, FEAT_SSE42) || model_has(&m, FEAT_AES) || model_has(&m, FEAT_SHA));
	m = parsed("max,-xsave");
	assert_false(model_has(&m, FEAT_XSAVEOPT) || model_has(&m, FEAT_XSAVES));
	m = parsed("max,-pae");
	assert_false(model_has(&m, FEAT_LM) || model_has(&m, FEAT_NX) || model_has(&m, FEAT_PCID));
}

static void named(void **state)
{
	static const struct {
		const char *name;
		u32 signature;
		bool lm, sse42, fxsr;
	} cases[] = {
		{"486", 0x480, false, false, false}, {"pentium", 0x543, false, false, false}, {"pentium2", 0x652, false, false, true},
		{"pentium3", 0x673, false, false, true}, {"qemu32", 0x663, false, false, true}, {"qemu64", 0x60fb1, true, false, true},
		{"kvm64", 0xf61, true, false, true}, {"core2duo", 0x6fb, true, false, true}, {"n270", 0x106c2, false, false, true},
		{"Nehalem", 0x106a3, true, true, true}, {"Westmere", 0x206c1, true, true, true},
		{"SandyBridge", 0x206a1, true, true, true}, {"Opteron_G3", 0x100f23, true, false, true},
		{"x86-64-v1", 0x6fb, true, false, true}, {"x86-64-v2", 0x106a3, true, true, true}, {"host", 0x80667, true, true, true},
	};

	(void)state;
	for (unsigned i = 0; i < ARRAY_LEN(cases); i++) {
		struct cpu_model m = parsed(cases[i].name);
		assert_int_equal(model_signature(&m), cases[i].signature);
		assert_int_equal(model_has(&m, FEAT_LM), cases[i].lm);
		assert_int_equal(model_has(&m, FEAT_SSE42), cases[i].sse42);
		assert_int_equal(model_has(&m, FEAT_FXSR), cases[i].fxsr);
		for (unsigned f = 1; f < FEAT_COUNT; f++) /* nothing that is not implemented */
			if (model_has(&m, f))
				assert_int_not_equal(model_features[f].status, FEATURE_ABSENT);
	}
}

/* Every feature has a place of its own, and a name. */
static void table(void **state)
{
	(void)state;
	for (unsigned f = 1; f < FEAT_COUNT; f++) {
		const struct cpu_feature_info *a = &model_features[f];
		assert_non_null(a->name);
		assert_true(a->leaf != 0 && a->bit < 32 && a->reg <= REG_EDX);
		for (unsigned g = 1; g < f; g++) {
			const struct cpu_feature_info *b = &model_features[g];
			assert_string_not_equal(a->name, b->name);
			assert_false(a->leaf == b->leaf && a->subleaf == b->subleaf && a->reg == b->reg && a->bit == b->bit);
		}
	}
}

static void cpuid_max(void **state)
{
	struct cpu_unit *u = cpu_unit_new("max");
	struct cpu *cpu = u->cpu;
	struct cpuid_regs r = model_cpuid(cpu, 0, 0);

	(void)state;
	assert_int_equal(r.eax, 0x16);
	assert_memory_equal(&r.ebx, "Genu", 4);
	assert_memory_equal(&r.edx, "ineI", 4);
	assert_memory_equal(&r.ecx, "ntel", 4);
	r = model_cpuid(cpu, 1, 0);
	assert_int_equal(r.eax, 0x80667);
	assert_int_equal(r.ebx, 0x800);
	assert_int_equal(r.ecx & (1 << 27 | 1 << 28), 0); /* no OSXSAVE yet, no AVX */
	assert_true(r.ecx >> 31);
	assert_false(r.edx & 1 << 28); /* one CPU: no HTT */
	cpu_unit_long(u);
	assert_true(model_cpuid(cpu, 1, 0).ecx & 1 << 27);
	r = model_cpuid(cpu, 0xd, 0);
	assert_int_equal(r.eax, 3);
	assert_int_equal(r.ebx, 576);
	assert_int_equal(r.ecx, 576);
	r = model_cpuid(cpu, 0xd, 1);
	assert_int_equal(r.eax, 15);
	assert_int_equal(r.ebx, 576);
	r = model_cpuid(cpu, 0xd, 2);
	assert_int_equal(r.eax | r.ebx | r.ecx | r.edx, 0);
	r = model_cpuid(cpu, 0x15, 0);
	assert_int_equal((u64)r.ecx * r.ebx / r.eax, cpu->tsc_hz);
	assert_int_equal(model_cpuid(cpu, 0x16, 0).eax, 2000);
	r = model_cpuid(cpu, 0x40000000, 0);
	assert_int_equal(r.eax, 0x40000010);
	assert_int_equal(model_cpuid(cpu, 0x40000010, 0).eax, 2000000);
	assert_int_equal(model_cpuid(cpu, 0x80000000, 0).eax, 0x80000008);
	assert_int_equal(model_cpuid(cpu, 0x80000008, 0).eax, 0x3028);
	assert_true(model_cpuid(cpu, 0x80000001, 0).edx & 1 << 11);
	/* beyond the end: the last basic leaf */
	assert_int_equal(model_cpuid(cpu, 0x17, 0).eax, 2000);
	assert_int_equal(model_cpuid(cpu, 0x90000000, 0).eax, 2000);
	assert_int_equal(model_cpuid(cpu, 7, 0).eax, 2);
	assert_int_equal(model_cpuid(cpu, 7, 1).ebx, 0);
	assert_int_equal(model_cpuid(cpu, 7, 2).edx, 1 << 4);
	/* a limit for systems that cannot take high leaves */
	assert_true(msr_write(cpu, 0x1a0, cpu->misc_enable | BIT(22)));
	assert_int_equal(model_cpuid(cpu, 0, 0).eax, 2);
	assert_true(msr_write(cpu, 0x1a0, cpu->misc_enable & ~BIT(22)));
	/* the instruction */
	cpu->gpr[RAX] = 0xffffffff80000002;
	RUN_OK(u, "\x0f\xa2");
	assert_memory_equal(&cpu->gpr[RAX], "Pais\0\0\0\0", 8);
	assert_memory_equal(&cpu->gpr[RBX], "ano ", 4);
	cpu_unit_free(u);
}

static void cpuid_others(void **state)
{
	struct cpu_unit *u = cpu_unit_new("qemu64");
	struct cpu *cpu = u->cpu;

	(void)state;
	assert_int_equal(model_cpuid(cpu, 0x80000001, 0).edx & 0x0183f3ff, model_cpuid(cpu, 1, 0).edx & 0x0183f3ff);
	assert_int_equal(model_cpuid(cpu, 0x17, 0).eax, 0);
	assert_int_equal(model_cpuid(cpu, 0xd, 0).eax, 0);
	cpu_unit_free(u);
	u = cpu_unit_new("486");
	assert_int_equal(model_cpuid(u->cpu, 0, 0).eax, 1);
	assert_int_equal(model_cpuid(u->cpu, 0x80000000, 0).eax, 0x480); /* no extended leaves: leaf 1 */
	cpu_unit_free(u);

	/* topology of four */
	u = cpu_unit_new("max");
	struct cpu *third = cpu_new(&u->model, &u->bus, u->clock, 2, 4);
	struct cpuid_regs r = model_cpuid(third, 1, 0);
	assert_true(r.edx & 1 << 28);
	assert_int_equal(r.ebx >> 16, 0x0204);
	r = model_cpuid(third, 0xb, 0);
	assert_int_equal(r.eax, 0);
	assert_int_equal(r.ecx, 0x100);
	r = model_cpuid(third, 0xb, 1);
	assert_int_equal(r.eax, 2);
	assert_int_equal(r.ebx, 4);
	assert_int_equal(r.ecx, 0x201);
	assert_int_equal(r.edx, 2);
	assert_int_equal(model_cpuid(third, 0xb, 7).ecx, 7);
	assert_int_equal(model_cpuid(third, 4, 0).eax >> 26, 3);
	assert_int_equal(model_cpuid(third, 4, 3).eax >> 14 & 0xfff, 3);
	assert_int_equal(model_cpuid(third, 4, 4).eax, 0);
	cpu_free(third);
	cpu_unit_free(u);
}

/* No leaf of any model leads astray. */
static void cpuid_sweep(void **state)
{
	static const char *const models[] = {"max", "486", "pentium3", "qemu64", "Opteron_G3", "max,level=0x1f,xlevel=0x8000001f"};

	(void)state;
	for (unsigned m = 0; m < ARRAY_LEN(models); m++) {
		struct cpu_unit *u = cpu_unit_new(models[m]);
		static const u32 bases[] = {0, 0x20000000, 0x40000000, 0x7fffffe0, 0x80000000, 0x80860000, 0xc0000000, 0xffffffc0};
		for (unsigned b = 0; b < ARRAY_LEN(bases); b++)
			for (u32 leaf = 0; leaf < 64; leaf++)
				for (u32 sub = 0; sub < 70; sub++)
					model_cpuid(u->cpu, bases[b] + leaf, sub < 68 ? sub : ~sub);
		cpu_unit_free(u);
	}
}

static void help(void **state)
{
	char *text = NULL;
	size_t size = 0;
	FILE *to = open_memstream(&text, &size);

	(void)state;
	model_help(to);
	fclose(to);
	assert_non_null(strstr(text, "Nehalem"));
	assert_non_null(strstr(text, "pclmulqdq"));
	assert_null(strstr(text, "avx"));
	free(text);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(parse), cmocka_unit_test(errors), cmocka_unit_test(dependencies), cmocka_unit_test(named),
		cmocka_unit_test(table), cmocka_unit_test(cpuid_max), cmocka_unit_test(cpuid_others), cmocka_unit_test(cpuid_sweep),
		cmocka_unit_test(help), cmocka_unit_test(flavours),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
