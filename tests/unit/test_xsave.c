/* SPDX-License-Identifier: MIT */
/* cpu/xsave: layouts of the images, XINUSE, header checks, initial states; with and without a page boundary in the middle. */
#include <stdlib.h>

#include "cpu/x87.h"
#include "cpu/xsave.h"
#include "tests/unit/cpu_unit.h"

#define AT 0x8000u
#define AREA (u->ram->hva + AT)

static int setup_as(void **state, const char *model)
{
	struct cpu_unit *u = cpu_unit_new(model);

	cpu_unit_long(u);
	assert_true(control_set_xcr0(u->cpu, 3));
	u->cpu->gpr[RSI] = AT;
	u->cpu->gpr[RAX] = 3;
	u->cpu->gpr[RDX] = 0;
	*state = u;
	return 0;
}

static int setup(void **state) { return setup_as(state, "max,flavour=intel"); }
static int setup_amd(void **state) { return setup_as(state, "max,flavour=amd"); }

static int teardown(void **state)
{
	cpu_unit_free(*state);
	return 0;
}

static void fill(struct cpu *cpu, u64 seed)
{
	u8 *x = (u8 *)&cpu->x87, *v = (u8 *)cpu->v;

	for (size_t i = 0; i < sizeof cpu->x87; i++)
		x[i] = unit_random(&seed) >> 40;
	for (unsigned i = 0; i < 16 * sizeof cpu->v[0]; i++)
		v[i] = i % 64 < 16 ? unit_random(&seed) >> 40 : 0;
	x87_load_words(cpu, unit_random(&seed), unit_random(&seed));
	cpu->x87.pad = cpu->x87.pad2 = 0;
	cpu->x87.fop &= 0x7ff;
	cpu->x87.fip &= 0x7fffffffffff;
	cpu->x87.fdp |= 0xffff800000000000;
	cpu->x87.fcs = cpu->x87.fds = 0;
	if (cpu->flavour == FLAVOUR_AMD && !(cpu->x87.fsw & FSW_ES)) /* not saved */
		cpu->x87.fop = cpu->x87.fip = cpu->x87.fdp = 0;
	for (unsigned i = 0; i < 8; i++)
		memset(cpu->x87.r[i].pad, 0, sizeof cpu->x87.r[i].pad);
	cpu->mxcsr = unit_random(&seed) & 0xffff;
}

static void wipe(struct cpu *cpu)
{
	memset(&cpu->x87, 0, sizeof cpu->x87);
	memset(cpu->v, 0, sizeof cpu->v);
	cpu->x87.fcw = FCW_INIT;
	cpu->mxcsr = 0x1f80;
}

static void same(const struct cpu *a, const struct cpu *b)
{
	assert_memory_equal(&a->x87, &b->x87, sizeof a->x87);
	assert_memory_equal(a->v, b->v, sizeof a->v);
	assert_int_equal(a->mxcsr, b->mxcsr);
}

/* Save, wipe, restore: the same state, in each format, at the page's start and across its end. */
static void round_trips(void **state)
{
	struct cpu_unit *u = *state;
	struct cpu *cpu = u->cpu, *before = err_alloc(sizeof *before);
	static const struct {
		const char *save, *restore;
	} pairs[] = {
		{"\x48\x0f\xae\x06", "\x48\x0f\xae\x0e"}, /* fxsave64, fxrstor64 */
		{"\x48\x0f\xae\x26", "\x48\x0f\xae\x2e"}, /* xsave64, xrstor64 */
		{"\x48\x0f\xae\x36", "\x48\x0f\xae\x2e"}, /* xsaveopt64 */
		{"\x48\x0f\xc7\x26", "\x48\x0f\xae\x2e"}, /* xsavec64 */
		{"\x48\x0f\xc7\x2e", "\x48\x0f\xc7\x1e"}, /* xsaves64, xrstors64 */
	};
	static const u64 places[] = {AT, AT + 0xe00, AT + 0xf40};

	for (unsigned p = 0; p < ARRAY_LEN(pairs); p++)
		for (unsigned i = 0; i < ARRAY_LEN(places); i++)
			for (u64 seed = 1; seed < 20; seed++) {
				memset(AREA, 0, 0x2000);
				cpu->gpr[RSI] = places[i];
				fill(cpu, seed);
				memcpy(before, cpu, sizeof *before);
				assert_int_equal(cpu_unit_run(u, pairs[p].save, 4), -1);
				same(before, cpu);
				wipe(cpu);
				assert_int_equal(cpu_unit_run(u, pairs[p].restore, 4), -1);
				same(before, cpu);
			}
	free(before);
}

static void legacy_layout(void **state)
{
	struct cpu_unit *u = *state;
	struct cpu *cpu = u->cpu;

	memset(AREA, 0xaa, 512);
	wipe(cpu);
	cpu->x87.fcw = 0x27f;
	cpu->x87.fsw = 6 << FSW_TOP_SHIFT;
	cpu->x87.valid = 0xc0;
	cpu->x87.fop = 0x123;
	cpu->x87.fip = 0x1122334455667788;
	cpu->x87.fdp = 0x99aabbccddeeff00;
	cpu->x87.fcs = 0x33;
	cpu->x87.fds = 0x2b;
	cpu->x87.r[6] = (struct f80){.mant = 0x8000000000000001, .se = 0x3fff};
	cpu->x87.r[7] = (struct f80){.mant = 0x8000000000000002, .se = 0xbfff};
	cpu->v[15].q[1] = 0x1515;
	/* AMD's CPUs save the pointers with a pending exception only */
	for (unsigned flavour = FLAVOUR_INTEL; flavour <= FLAVOUR_AMD; flavour++) {
		cpu->flavour = flavour;
		RUN_OK(u, "\x0f\xae\x06");
		assert_int_equal(load32(AREA + 4), flavour == FLAVOUR_AMD ? 0xc0 : 0x012300c0);
		assert_int_equal(load64(AREA + 8), flavour == FLAVOUR_AMD ? 0 : 0x0000003355667788);
		assert_int_equal(load64(AREA + 16), flavour == FLAVOUR_AMD ? 0 : 0x0000002bddeeff00);
	}
	cpu->x87.fcw = 0x27e;
	cpu->x87.fsw |= FSW_IE | FSW_ES | FSW_B;
	RUN_OK(u, "\x0f\xae\x06"); /* fxsave */
	assert_int_equal(load32(AREA), 0xb081027e);
	assert_int_equal(load32(AREA + 4), 0x012300c0);
	assert_int_equal(load64(AREA + 8), 0x0000003355667788);
	assert_int_equal(load64(AREA + 16), 0x0000002bddeeff00);
	assert_int_equal(load64(AREA + 24), 0x0000ffff00001f80);
	assert_int_equal(load64(AREA + 32), 0x8000000000000001); /* ST(0) is R6 */
	assert_int_equal(load64(AREA + 40), 0x3fff);
	assert_int_equal(load64(AREA + 48), 0x8000000000000002);
	assert_int_equal(load64(AREA + 160 + 15 * 16 + 8), 0x1515);
	assert_int_equal(load64(AREA + 416), 0xaaaaaaaaaaaaaaaa); /* not written */
	RUN_OK(u, "\x48\x0f\xae\x06");
	assert_int_equal(load64(AREA + 8), 0x1122334455667788);
	assert_int_equal(load64(AREA + 16), 0x99aabbccddeeff00);
	/* outside 64-bit mode there are eight XMM registers */
	memset(AREA, 0xaa, 512);
	cpu_unit_segments(u, SEG_DB, 0);
	RUN_OK(u, "\x0f\xae\x06");
	assert_int_equal(load64(AREA + 160 + 7 * 16), 0);
	assert_int_equal(load64(AREA + 160 + 8 * 16), 0xaaaaaaaaaaaaaaaa);
	cpu->v[8].q[0] = 8;
	RUN_OK(u, "\x0f\xae\x0e");
	assert_int_equal(cpu->v[8].q[0], 8);
	assert_int_equal(cpu->v[15].q[1], 0x1515);
	/* without OSFXSR neither XMM nor MXCSR */
	assert_true(control_set_cr4(cpu, cpu->cr4 & ~CR4_OSFXSR));
	memset(AREA, 0xaa, 512);
	RUN_OK(u, "\x0f\xae\x06");
	assert_int_equal(load32(AREA + 24), 0xaaaaaaaa);
	assert_int_equal(load64(AREA + 160), 0xaaaaaaaaaaaaaaaa);
}

static void in_use(void **state)
{
	struct cpu_unit *u = *state;
	struct cpu *cpu = u->cpu;

	wipe(cpu);
	memset(AREA, 0x55, 1024);
	store64(AREA + 512, BIT(60) | 3);
	RUN_OK(u, "\x0f\xae\x36"); /* xsaveopt: nothing to save but MXCSR */
	assert_int_equal(load64(AREA + 512), BIT(60)); /* bits not asked for stay */
	assert_int_equal(load32(AREA), 0x55555555);
	assert_int_equal(load32(AREA + 24), 0x1f80);
	assert_int_equal(load64(AREA + 160), 0x5555555555555555);
	RUN_OK(u, "\x0f\xae\x26"); /* xsave writes all the same */
	assert_int_equal(load32(AREA), 0x37f);
	assert_int_equal(load64(AREA + 160), 0);
	assert_int_equal(load64(AREA + 512), BIT(60));
	assert_int_equal(load64(AREA + 520), 0x5555555555555555); /* XCOMP_BV is not touched */
	cpu->v[3].q[1] = 1;
	cpu->gpr[RAX] = 2;
	memset(AREA, 0x55, 1024);
	RUN_OK(u, "\x0f\xae\x26");
	assert_int_equal(load64(AREA + 512), 0x5555555555555555 | 2);
	assert_int_equal(load32(AREA), 0x55555555);
	cpu->gpr[RAX] = 3;
	RUN_OK(u, "\x0f\xc7\x26"); /* xsavec */
	assert_int_equal(load64(AREA + 512), 2);
	assert_int_equal(load64(AREA + 520), BIT(63) | 3);
	assert_int_equal(load64(AREA + 528), 0x5555555555555555);
	cpu->v[3].q[1] = 0;
	RUN_OK(u, "\x0f\xc7\x26");
	assert_int_equal(load64(AREA + 512), 0);
	cpu->mxcsr = 0x1fa0;
	RUN_OK(u, "\x0f\xc7\x26"); /* an MXCSR of its own makes SSE count */
	assert_int_equal(load64(AREA + 512), 2);
	assert_int_equal(load32(AREA + 24), 0x1fa0);
	cpu->mxcsr = 0x1f80;
	cpu->x87.fdp = 1;
	assert_int_equal(xsave_in_use(cpu), cpu->flavour == FLAVOUR_AMD ? 0 : 1);
	cpu->x87.fdp = 0;
	cpu->x87.r[5].se = 1;
	assert_int_equal(xsave_in_use(cpu), 1);
	cpu->x87.r[5].se = 0;
	assert_int_equal(xsave_in_use(cpu), 0);
}

static void initial_states(void **state)
{
	struct cpu_unit *u = *state;
	struct cpu *cpu = u->cpu, *clean = err_alloc(sizeof *clean);

	wipe(cpu);
	memcpy(clean, cpu, sizeof *clean);
	memset(AREA, 0, 1024);
	store32(AREA + 24, 0x1f80); /* the standard form always loads MXCSR */
	fill(cpu, 3);
	RUN_OK(u, "\x0f\xae\x2e"); /* xrstor */
	same(clean, cpu);
	fill(cpu, 4);
	store32(AREA + 24, 0x55);
	store64(AREA + 520, BIT(63) | 3);
	RUN_OK(u, "\x0f\xae\x2e");
	same(clean, cpu); /* the compacted form does not */
	/* what is not asked for stays */
	cpu->v[1].q[0] = 9;
	cpu->mxcsr = 0x1f81;
	cpu->x87.fcw = 0x77f;
	cpu->gpr[RAX] = 1;
	RUN_OK(u, "\x0f\xae\x2e");
	assert_int_equal(cpu->v[1].q[0], 9);
	assert_int_equal(cpu->mxcsr, 0x1f81);
	assert_int_equal(cpu->x87.fcw, 0x37f);
	cpu->gpr[RAX] = 0;
	RUN_OK(u, "\x0f\xae\x2e");
	assert_int_equal(cpu->v[1].q[0], 9);
	free(clean);
}

static void bad_headers(void **state)
{
	struct cpu_unit *u = *state;
	struct cpu *cpu = u->cpu;
	static const struct {
		u64 bv, comp;
		unsigned at; /* a byte of the header that is set */
		bool xrstor, xrstors;
	} cases[] = {
		{3, 0, 0, true, false}, {4, 0, 0, false, false}, {BIT(62), 0, 0, false, false}, {0, 1, 0, false, false},
		{0, 0, 16, false, false}, {0, 0, 24, true, false}, {0, 0, 63, true, false},
		{3, BIT(63) | 3, 0, true, true}, {1, BIT(63) | 1, 0, true, true}, {2, BIT(63) | 1, 0, false, false},
		{0, BIT(63) | 4, 0, false, false}, {0, BIT(63) | 3, 16, false, false}, {0, BIT(63) | 3, 24, false, false},
		{0, BIT(63) | 3, 63, false, false}, {0, BIT(63) | BIT(62), 0, false, false},
	};

	for (unsigned i = 0; i < ARRAY_LEN(cases); i++) {
		memset(AREA, 0, 1024);
		store32(AREA + 24, 0x1f80);
		store64(AREA + 512, cases[i].bv);
		store64(AREA + 520, cases[i].comp);
		if (cases[i].at)
			AREA[512 + cases[i].at] = 1;
		assert_int_equal(RUN(u, "\x0f\xae\x2e"), cases[i].xrstor ? -1 : EXC_GP);
		assert_int_equal(RUN(u, "\x0f\xc7\x1e"), cases[i].xrstors ? -1 : EXC_GP);
	}
	/* MXCSR */
	memset(AREA, 0, 1024);
	store32(AREA + 24, 0x10000);
	fill(cpu, 8);
	u32 mxcsr = cpu->mxcsr;
	u64 xmm = cpu->v[0].q[0];
	RUN_FAULT(u, "\x0f\xae\x2e", EXC_GP);
	RUN_FAULT(u, "\x0f\xae\x0e", EXC_GP);
	store64(AREA + 520, BIT(63) | 3);
	store64(AREA + 512, 2);
	RUN_FAULT(u, "\x0f\xae\x2e", EXC_GP);
	assert_int_equal(cpu->mxcsr, mxcsr);
	assert_int_equal(cpu->v[0].q[0], xmm);
	cpu->gpr[RAX] = 1;
	store64(AREA + 512, 0);
	RUN_OK(u, "\x0f\xae\x2e"); /* not asked for, not checked */
}

static void conditions(void **state)
{
	struct cpu_unit *u = *state;
	struct cpu *cpu = u->cpu;

	cpu->gpr[RSI] = AT + 8;
	RUN_FAULT(u, "\x0f\xae\x06", EXC_GP);
	cpu->gpr[RSI] = AT + 16;
	RUN_OK(u, "\x0f\xae\x06");
	RUN_FAULT(u, "\x0f\xae\x26", EXC_GP);
	RUN_FAULT(u, "\x0f\xae\x2e", EXC_GP);
	cpu->gpr[RSI] = AT;
	cpu_unit_segments(u, SEG_L, 3);
	RUN_OK(u, "\x0f\xc7\x26");
	RUN_FAULT(u, "\x0f\xc7\x2e", EXC_GP); /* xsaves */
	RUN_FAULT(u, "\x0f\xc7\x1e", EXC_GP);
	cpu->cr0 |= CR0_TS;
	mode_update(cpu);
	RUN_FAULT(u, "\x0f\xae\x06", EXC_NM);
	RUN_FAULT(u, "\x0f\xae\x0e", EXC_NM);
	RUN_FAULT(u, "\x0f\xae\x26", EXC_NM);
	RUN_FAULT(u, "\x0f\xae\x2e", EXC_NM);
	cpu->cr0 &= ~CR0_TS;
	cpu->cr0 |= CR0_EM;
	mode_update(cpu);
	RUN_FAULT(u, "\x0f\xae\x06", EXC_NM);
	RUN_OK(u, "\x0f\xae\x26"); /* EM does not count here */
	assert_true(control_set_cr4(cpu, cpu->cr4 & ~CR4_OSXSAVE));
	RUN_FAULT(u, "\x0f\xae\x26", EXC_UD);
	RUN_FAULT(u, "\x0f\xc7\x2e", EXC_UD);
}

/* The second page of an image is missing: nothing of the state or of the first page changes. */
static void fault_in_the_middle(void **state)
{
	struct cpu_unit *u = *state;
	struct cpu *cpu = u->cpu, *before = err_alloc(sizeof *before);
	const u64 a = 0x8000000000;
	static const char *const insns[] = {"\x48\x0f\xae\x06", "\x48\x0f\xae\x26", "\x48\x0f\xc7\x26", "\x48\x0f\xae\x0e",
	                                    "\x48\x0f\xae\x2e"};

	store64(u->ram->hva + CPU_UNIT_PML4 + 8, 0x210007);
	store64(u->ram->hva + 0x210000, 0x211007);
	store64(u->ram->hva + 0x211000, 0x212007);
	store64(u->ram->hva + 0x212000, AT | 7);
	fill(cpu, 5);
	memset(AREA, 0, 0x1000);
	store64(AREA + 0xf00 + 24, 0x1f80);
	memcpy(before, cpu, sizeof *before);
	cpu->gpr[RSI] = a + 0xf00;
	for (unsigned i = 0; i < ARRAY_LEN(insns); i++) {
		u8 *copy = err_alloc(0x1000);
		memcpy(copy, AREA, 0x1000);
		assert_int_equal(cpu_unit_run(u, insns[i], 4), EXC_PF);
		assert_int_equal(cpu->fault.cr2, a + 0x1000);
		assert_memory_equal(copy, AREA, 0x1000);
		same(before, cpu);
		free(copy);
	}
	free(before);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown), {#name " as AMD", name, setup_amd, teardown, NULL}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(round_trips), TEST(legacy_layout), TEST(in_use), TEST(initial_states), TEST(bad_headers), TEST(conditions),
		TEST(fault_in_the_middle),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
