/* SPDX-License-Identifier: MIT */
/* cpu/msr: which registers there are on which model, what each refuses, and the effects of those that have any. */
#include <stdlib.h>

#include "cpu/msr.h"
#include "tests/unit/cpu_unit.h"

static int setup(void **state)
{
	*state = cpu_unit_new("max");
	return 0;
}

static int teardown(void **state)
{
	cpu_unit_free(*state);
	return 0;
}

/* Good values stick and bad ones leave the register alone. */
static void values(void **state)
{
	struct cpu *cpu = ((struct cpu_unit *)*state)->cpu;
	static const struct {
		u32 index;
		u64 good, bad;
	} cases[] = {
		{0x174, 0x10, 0}, {0x175, 0xffff800000000000, BIT(47)}, {0x176, 0x7fffffffffff, BIT(63)},
		{MSR_STAR, 0x0023001000000000, 0}, {MSR_LSTAR, 0xffffffff81000000, 0x800000000000}, {MSR_LSTAR + 1, 5, BIT(62)},
		{MSR_FMASK, 0x47700, BIT(32)}, {MSR_FS_BASE, 0x7f0012345678, 0xff00000000000000}, {MSR_GS_BASE, ~0ull, BIT(48)},
		{MSR_KERNEL_GS_BASE, 0, BIT(47)}, {0xc0000103, 0xffffffff, BIT(32)}, {MSR_EFER, EFER_SCE | EFER_NXE, BIT(1)},
		{MSR_PAT, 0x0007050600070106, 2}, {MSR_PAT, 0, 0x0300000000000000}, {MSR_PAT, 6, 8},
		{MSR_MTRR_DEF_TYPE, 0xc06, 0xc02}, {MSR_MTRR_DEF_TYPE, 0x800, 0x1000}, {0x250, 0x0606060606060606, 0x0606060606060607},
		{0x258, 5, 2}, {0x26f, 0x0500000000000000, 0xff}, {0x200, 0x80000006, 0x80000007}, {0x201, 0xff80000800, BIT(40)},
		{0x20f, 0x800, 0x400}, {0x20e, 0x1000, 0x100}, {0x17a, 7, 8}, {0x17b, ~0ull, 0}, {0x400, ~0ull, 0}, {0x401, 0, 1},
		{0x427, 0, BIT(63)}, {0x48, 0x403, 4}, {0x1d9, 2, 4}, {0x3b, 100, 0},
	};

	for (unsigned i = 0; i < ARRAY_LEN(cases); i++) {
		u64 value = 0x1234567;
		assert_true(msr_write(cpu, cases[i].index, cases[i].good));
		if (cases[i].bad)
			assert_false(msr_write(cpu, cases[i].index, cases[i].bad));
		assert_true(msr_read(cpu, cases[i].index, &value));
		assert_int_equal(value, cases[i].good);
		assert_non_null(msr_name(cpu, cases[i].index));
	}
}

static void read_only(void **state)
{
	struct cpu *cpu = ((struct cpu_unit *)*state)->cpu;
	static const u32 fixed[] = {0xfe, 0x10a, 0x179, 0xce, 0x17, 0x198};
	u64 value;

	for (unsigned i = 0; i < ARRAY_LEN(fixed); i++) {
		assert_true(msr_read(cpu, fixed[i], &value));
		assert_false(msr_write(cpu, fixed[i], value));
	}
	assert_true(msr_read(cpu, 0xfe, &value));
	assert_int_equal(value, 0x508);
	assert_true(msr_read(cpu, 0x10a, &value));
	assert_int_equal(value, 0x400000000d10e17b);
	assert_false(msr_read(cpu, 0x49, &value)); /* PRED_CMD is a command */
	assert_true(msr_write(cpu, 0x49, 1));
	assert_false(msr_write(cpu, 0x49, 2));
	assert_true(msr_write(cpu, 0x8b, 0)); /* the dance of reading the microcode revision */
	assert_true(msr_read(cpu, 0x8b, &value));
	assert_int_equal(value >> 32, 1);
}

static void lock(void **state)
{
	struct cpu *cpu = ((struct cpu_unit *)*state)->cpu;

	assert_true(msr_write(cpu, 0x3a, 4));
	assert_false(msr_write(cpu, 0x3a, 8));
	assert_true(msr_write(cpu, 0x3a, 5));
	assert_false(msr_write(cpu, 0x3a, 1));
	cpu_reset(cpu, true);
	assert_int_equal(cpu->feature_control, 5);
	cpu_reset(cpu, false);
	assert_int_equal(cpu->feature_control, 0);
}

static void none(void **state)
{
	struct cpu *cpu = ((struct cpu_unit *)*state)->cpu;
	static const u32 absent[] = {
		2, 0xc1, 0xe7, 0x186, 0x38f, 0x480, 0x7ff, 0x900, 0x428, 0x251, 0x25a, 0x270, 0x210, 0x40000000, 0xc0000104, 0xc0010015,
		0xc0000083 + 0x10000, 0x7fffffff, ~0u,
	};
	u64 value;

	for (unsigned i = 0; i < ARRAY_LEN(absent); i++) {
		assert_false(msr_read(cpu, absent[i], &value));
		assert_false(msr_write(cpu, absent[i], 0));
		assert_null(msr_name(cpu, absent[i]));
	}
	assert_false(msr_read(cpu, MSR_APIC_BASE, &value)); /* nobody is wired */
	assert_false(msr_read(cpu, MSR_TSC_DEADLINE, &value));
	assert_false(msr_read(cpu, 0x802, &value));
	assert_false(msr_write(cpu, 0x8ff, 0));
}

static void by_model(void **state)
{
	struct cpu_unit *u = cpu_unit_new("Opteron_G3");
	u64 value;

	(void)state;
	assert_true(msr_read(u->cpu, 0xc0010015, &value));
	assert_true(msr_write(u->cpu, 0xc0010015, 0x40));
	assert_false(msr_read(u->cpu, 0xce, &value));
	assert_false(msr_read(u->cpu, 0x10a, &value));
	/* counters that stand still, for RDPMC too */
	for (u32 i = 0xc0010000; i <= 0xc0010007; i++) {
		assert_true(msr_write(u->cpu, i, 0x530076));
		assert_true(msr_read(u->cpu, i, &value));
		assert_int_equal(value, 0);
	}
	assert_false(msr_read(u->cpu, 0xc0010008, &value));
	u->cpu->gpr[RCX] = 3;
	u->cpu->gpr[RAX] = u->cpu->gpr[RDX] = ~0ull;
	RUN_OK(u, "\x0f\x33");
	assert_int_equal(u->cpu->gpr[RAX] | u->cpu->gpr[RDX], 0);
	u->cpu->gpr[RCX] = 4;
	RUN_FAULT(u, "\x0f\x33", EXC_GP);
	cpu_unit_free(u);
	u = cpu_unit_new("pentium");
	assert_true(msr_read(u->cpu, 0x0, &value));
	assert_true(msr_read(u->cpu, MSR_TSC, &value));
	assert_false(msr_read(u->cpu, MSR_EFER, &value));
	assert_false(msr_read(u->cpu, MSR_PAT, &value));
	assert_false(msr_read(u->cpu, 0x174, &value));
	cpu_unit_free(u);
	u = cpu_unit_new("pentium3");
	assert_false(msr_write(u->cpu, 0x175, BIT(32)));
	assert_true(msr_write(u->cpu, 0x175, 0xfffffff0));
	cpu_unit_free(u);
}

/* MISC_ENABLE: what is read only stays, what does not exist is refused; XD disable is seen by CPUID and EFER. */
static void misc_enable(void **state)
{
	struct cpu *cpu = ((struct cpu_unit *)*state)->cpu;
	u64 old, value;

	assert_true(msr_read(cpu, 0x1a0, &old));
	assert_true(model_cpuid(cpu, 0x80000001, 0).edx & 1 << 20);
	assert_true(msr_write(cpu, 0x1a0, BIT(34) | BIT(39) | BIT(38) | BIT(37) | BIT(19) | BIT(7)));
	assert_true(msr_read(cpu, 0x1a0, &value));
	assert_int_equal(value, BIT(34) | BIT(39) | BIT(38) | BIT(37) | BIT(19) | (old & (BIT(7) | BIT(11) | BIT(12))));
	assert_false(model_cpuid(cpu, 0x80000001, 0).edx & 1 << 20);
	assert_false(msr_write(cpu, MSR_EFER, EFER_NXE));
	assert_false(msr_write(cpu, 0x1a0, BIT(63)));
	assert_false(msr_write(cpu, 0x1a0, BIT(35)));
	assert_true(msr_write(cpu, 0x1a0, old));
	assert_true(model_cpuid(cpu, 0x80000001, 0).edx & 1 << 20);
	assert_true(msr_write(cpu, MSR_EFER, EFER_NXE));
}

/* Walks all of them; each can be read. */
static void walk(void **state)
{
	struct cpu *cpu = ((struct cpu_unit *)*state)->cpu;
	u32 index;
	unsigned count = 0;
	u64 value;

	for (u64 from = 0; msr_next(cpu, from, &index); from = (u64)index + 1) {
		assert_true(index >= from);
		assert_true(index == MSR_APIC_BASE || msr_read(cpu, index, &value));
		count++;
	}
	assert_in_range(count, 100, 200);
}

static void effects(void **state)
{
	struct cpu_unit *u = *state;
	struct cpu *cpu = u->cpu;

	cpu_unit_long(u);
	cpu->gpr[RCX] = MSR_FS_BASE;
	cpu->gpr[RAX] = 0x5000;
	cpu->gpr[RDX] = 0xffff8000;
	RUN_OK(u, "\x0f\x30");
	assert_int_equal(cpu->seg[SEG_FS].base, 0xffff800000005000);
	assert_false(cpu->seg_flat >> SEG_FS & 1);
	cpu->gpr[RAX] = cpu->gpr[RDX] = ~0ull;
	RUN_OK(u, "\x0f\x32");
	assert_int_equal(cpu->gpr[RAX], 0x5000); /* both halves cleared above */
	assert_int_equal(cpu->gpr[RDX], 0xffff8000);
	cpu->gpr[RCX] = 0xffffffff00000000 | MSR_EFER; /* only ECX counts */
	RUN_OK(u, "\x0f\x32");
	assert_int_equal(cpu->gpr[RAX], EFER_LME | EFER_LMA | EFER_NXE);
	cpu->gpr[RAX] |= EFER_SCE;
	RUN_OK(u, "\x0f\x30");
	assert_true(cpu->efer & EFER_SCE);
	cpu->gpr[RAX] = 0;
	RUN_FAULT(u, "\x0f\x30", EXC_GP);
	cpu->gpr[RCX] = 0x12345;
	RUN_FAULT(u, "\x0f\x32", EXC_GP);
	cpu_unit_segments(u, SEG_L, 3);
	cpu->gpr[RCX] = MSR_EFER;
	RUN_FAULT(u, "\x0f\x32", EXC_GP);
	RUN_FAULT(u, "\x0f\x30", EXC_GP);
}

/* ---- an interrupt controller that remembers ---- */
struct fake {
	struct loop *loop;
	u64 base, deadline;
	unsigned writes;
};

static u64 fake_get_base(void *opaque)
{
	return ((struct fake *)opaque)->base;
}

static bool fake_set_base(void *opaque, u64 value)
{
	struct fake *fake = opaque;

	assert_true(loop_locked(fake->loop));
	fake->base = value;
	return true;
}

static bool fake_read(void *opaque, u32 index, u64 *value)
{
	struct fake *fake = opaque;

	assert_true(loop_locked(fake->loop));
	*value = fake->deadline;
	return index == MSR_TSC_DEADLINE;
}

static bool fake_write(void *opaque, u32 index, u64 value)
{
	struct fake *fake = opaque;

	assert_true(loop_locked(fake->loop));
	fake->deadline = value;
	fake->writes++;
	return index == MSR_TSC_DEADLINE;
}

static void controller(void **state)
{
	struct cpu_unit *u = *state;
	struct cpu *cpu = u->cpu;
	struct fake fake = {.loop = u->loop, .base = 0xfee00900};
	u64 value;

	cpu->intc = (struct cpu_intc){.opaque = &fake, .get_base = fake_get_base, .set_base = fake_set_base, .msr_read = fake_read,
	                              .msr_write = fake_write};
	assert_true(msr_read(cpu, MSR_APIC_BASE, &value));
	assert_int_equal(value, 0xfee00900);
	assert_false(msr_write(cpu, MSR_APIC_BASE, 0xfee00900 | BIT(40)));
	assert_false(msr_write(cpu, MSR_APIC_BASE, 0xfee00901));
	assert_false(msr_write(cpu, MSR_APIC_BASE, 0xfee00b00));
	assert_true(model_cpuid(cpu, 1, 0).edx & 1 << 9);
	assert_true(msr_write(cpu, MSR_APIC_BASE, 0xfee00100));
	assert_false(model_cpuid(cpu, 1, 0).edx & 1 << 9); /* a disabled APIC is not there */
	assert_true(msr_write(cpu, MSR_TSC_DEADLINE, 1000));
	assert_int_equal(fake.deadline, 1000);
	/* when the TSC jumps the controller hears of the deadline again */
	assert_true(msr_write(cpu, MSR_TSC, 5000));
	assert_int_equal(fake.writes, 2);
	fake.deadline = 0;
	assert_true(msr_write(cpu, 0x3b, 5));
	assert_int_equal(fake.writes, 2);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(values), TEST(read_only), TEST(lock), TEST(none), TEST(by_model), TEST(misc_enable), TEST(walk), TEST(effects),
		TEST(controller),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
