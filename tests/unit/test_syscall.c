/* SPDX-License-Identifier: MIT */
/* SYSCALL, SYSRET, SYSENTER, SYSEXIT in every mode, for both vendors. */
#include "cpu/exception.h"
#include "tests/unit/prot_unit.h"

#define SYSCALL "\x0f\x05"
#define SYSRET "\x0f\x07"
#define SYSRETQ "\x48\x0f\x07"
#define SYSENTER "\x0f\x34"
#define SYSEXIT "\x0f\x35"
#define SYSEXITQ "\x48\x0f\x35"

static void amd(struct cpu_unit *u)
{
	memcpy(u->model.vendor, "AuthenticAMD", 13);
}

static void intel(struct cpu_unit *u)
{
	memcpy(u->model.vendor, "GenuineIntel", 13);
}

static void msrs(struct cpu_unit *u)
{
	u->cpu->star = (u64)0x53 << 48 | (u64)0x53 << 32 | 0x456789; /* RPL bits that SYSCALL ignores */
	u->cpu->lstar = 0xffffffff81000000;
	u->cpu->cstar = 0xffffffff82000000;
	u->cpu->fmask = FLAG_IF | FLAG_TF | FLAG_AC | FLAG_1 | FLAG_CF;
	u->cpu->sysenter_cs = 0x53;
	u->cpu->sysenter_esp = 0xffff800000001000;
	u->cpu->sysenter_eip = 0xffff800000002000;
}

#define FLAT_CODE (A_CODE | SEG_G)
#define FLAT_DATA (A_DATA | A_FLAT)

static void expect(struct cpu_unit *u, u16 cs, u32 cs_attr, u16 ss, u32 ss_attr, unsigned cpl)
{
	struct cpu *cpu = u->cpu;

	assert_int_equal(cpu->seg[SEG_CS].selector, cs);
	assert_int_equal(cpu->seg[SEG_CS].attr, cs_attr);
	assert_int_equal(cpu->seg[SEG_CS].base, 0);
	assert_int_equal(cpu->seg[SEG_CS].limit, 0xffffffff);
	assert_int_equal(cpu->seg[SEG_SS].selector, ss);
	assert_int_equal(cpu->seg[SEG_SS].attr, ss_attr);
	assert_int_equal(cpu->cpl, cpl);
}

static void long_syscall(void **state)
{
	struct cpu_unit *u = prot_new_long(3);
	struct cpu *cpu = u->cpu;
	(void)state;

	intel(u);
	msrs(u);
	flags_set(cpu, FLAG_1 | FLAG_IF | FLAG_CF | FLAG_ZF | FLAG_AC);
	RUNS(u, SYSCALL);
	assert_int_equal(cpu->gpr[RCX], CPU_UNIT_CODE + 2);
	assert_int_equal(cpu->gpr[R11], FLAG_1 | FLAG_IF | FLAG_CF | FLAG_ZF | FLAG_AC);
	assert_true(cpu->rip == 0xffffffff81000000);
	assert_int_equal(flags_get(cpu), FLAG_1 | FLAG_ZF);
	expect(u, 0x50, FLAT_CODE | SEG_L, 0x58, FLAT_DATA, 0);
	assert_int_equal(cpu->code_mode, CODE64);
	assert_int_equal(cpu->gpr[RSP], STACK3_AT);

	cpu->gpr[RCX] = 0x7ffffffff000;
	cpu->gpr[R11] = ~0ull;
	RUNS(u, SYSRETQ);
	assert_true(cpu->rip == 0x7ffffffff000);
	assert_int_equal(flags_get(cpu), 0x3c7fd7);
	expect(u, 0x63, FLAT_CODE | SEG_L | A_DPL(3), 0x5b, FLAT_DATA | A_DPL(3), 3);
	FAULTS(u, SYSRETQ, EXC_GP, 0); /* at level 3 */

	flags_set(cpu, FLAG_1);
	mode_flags_changed(cpu);
	RUNS(u, SYSCALL);
	cpu->gpr[RCX] = 0xabcd12345678;
	cpu->gpr[R11] = 0;
	RUNS(u, SYSRET);
	assert_true(cpu->rip == 0x12345678);
	assert_int_equal(flags_get(cpu), FLAG_1);
	expect(u, 0x53, FLAT_CODE | SEG_DB | A_DPL(3), 0x5b, FLAT_DATA | A_DPL(3), 3);
	assert_int_equal(cpu->code_mode, CODE32);
	/* compatibility mode: not on Intel */
	FAULTS(u, SYSCALL, EXC_UD, 0);
	FAULTS(u, SYSRET, EXC_UD, 0);
	amd(u);
	cpu->gpr[RCX] = ~0ull;
	RUNS(u, SYSCALL);
	assert_true(cpu->rip == 0xffffffff82000000);
	assert_int_equal(cpu->gpr[RCX], CPU_UNIT_CODE + 2);
	expect(u, 0x50, FLAT_CODE | SEG_L, 0x58, FLAT_DATA, 0);

	/* a return address that is none */
	cpu->gpr[RCX] = 0x800000000000;
	intel(u);
	FAULTS(u, SYSRETQ, EXC_GP, 0);
	amd(u);
	cpu->seg[SEG_SS].limit = 0x1234;
	RUNS(u, SYSRETQ);
	assert_true(cpu->rip == 0x800000000000);
	assert_int_equal(cpu->cpl, 3);
	assert_int_equal(cpu->seg[SEG_SS].limit, 0x1234); /* only the selector is loaded */

	assert_true(control_set_efer(cpu, cpu->efer & ~EFER_SCE));
	FAULTS(u, SYSCALL, EXC_UD, 0);
	FAULTS(u, SYSRETQ, EXC_UD, 0);
	cpu_unit_free(u);
}

static void legacy_syscall(void **state)
{
	struct cpu_unit *u = prot_new(3);
	struct cpu *cpu = u->cpu;
	(void)state;

	msrs(u);
	assert_true(control_set_efer(cpu, EFER_SCE));
	intel(u);
	FAULTS(u, SYSCALL, EXC_UD, 0);
	FAULTS(u, SYSRET, EXC_UD, 0);
	amd(u);
	FAULTS(u, SYSRET, EXC_GP, 0);
	cpu->gpr[R11] = 0x77;
	flags_set(cpu, FLAG_1 | FLAG_IF | FLAG_CF);
	RUNS(u, SYSCALL);
	assert_int_equal(cpu->rip, 0x456789);
	assert_int_equal(cpu->gpr[RCX], CPU_UNIT_CODE + 2);
	assert_int_equal(cpu->gpr[R11], 0x77);
	assert_int_equal(flags_get(cpu), FLAG_1 | FLAG_CF);
	expect(u, 0x50, FLAT_CODE | SEG_DB, 0x58, FLAT_DATA, 0);
	RUNS(u, SYSRET);
	assert_int_equal(cpu->rip, CPU_UNIT_CODE + 2);
	assert_int_equal(flags_get(cpu), FLAG_1 | FLAG_CF | FLAG_IF);
	expect(u, 0x53, FLAT_CODE | SEG_DB | A_DPL(3), 0x5b, FLAT_DATA | A_DPL(3), 3);
	cpu_unit_free(u);
}

static void sysenter(void **state)
{
	struct cpu_unit *u = prot_new_long(3);
	struct cpu *cpu = u->cpu;
	(void)state;

	intel(u);
	msrs(u);
	flags_set(cpu, FLAG_1 | FLAG_IF | FLAG_CF);
	RUNS(u, SYSENTER);
	assert_true(cpu->rip == 0xffff800000002000);
	assert_true(cpu->gpr[RSP] == 0xffff800000001000);
	assert_int_equal(flags_get(cpu), FLAG_1 | FLAG_CF);
	expect(u, 0x50, FLAT_CODE | SEG_L, 0x58, FLAT_DATA, 0);
	cpu->gpr[RCX] = 0x123400001000;
	cpu->gpr[RDX] = 0x123400002000;
	RUNS(u, SYSEXITQ);
	assert_true(cpu->gpr[RSP] == 0x123400001000 && cpu->rip == 0x123400002000);
	expect(u, 0x73, FLAT_CODE | SEG_L | A_DPL(3), 0x7b, FLAT_DATA | A_DPL(3), 3);
	FAULTS(u, SYSEXIT, EXC_GP, 0);
	RUNS(u, SYSENTER);
	RUNS(u, SYSEXIT);
	assert_true(cpu->gpr[RSP] == 0x1000 && cpu->rip == 0x2000);
	expect(u, 0x63, FLAT_CODE | SEG_DB | A_DPL(3), 0x6b, FLAT_DATA | A_DPL(3), 3);
	/* from compatibility mode the same way in; not on AMD */
	amd(u);
	FAULTS(u, SYSENTER, EXC_UD, 0);
	intel(u);
	RUNS(u, SYSENTER);
	assert_int_equal(cpu->code_mode, CODE64);
	cpu->gpr[RDX] = 0x800000000000;
	FAULTS(u, SYSEXITQ, EXC_GP, 0);
	cpu->gpr[RDX] = 0;
	cpu->gpr[RCX] = 0x800000000000;
	FAULTS(u, SYSEXITQ, EXC_GP, 0);
	cpu->sysenter_cs = 3;
	FAULTS(u, SYSEXIT, EXC_GP, 0);
	FAULTS(u, SYSENTER, EXC_GP, 0);
	cpu_unit_free(u);

	/* without long mode */
	u = prot_new(3);
	cpu = u->cpu;
	amd(u);
	msrs(u);
	RUNS(u, SYSENTER);
	assert_true(cpu->rip == 0x2000 && cpu->gpr[RSP] == 0x1000);
	expect(u, 0x50, FLAT_CODE | SEG_DB, 0x58, FLAT_DATA, 0);
	RUNS(u, SYSEXIT);
	expect(u, 0x63, FLAT_CODE | SEG_DB | A_DPL(3), 0x6b, FLAT_DATA | A_DPL(3), 3);
	cpu_unit_free(u);
	u = cpu_unit_new("max");
	mode_update(u->cpu);
	msrs(u);
	FAULTS(u, SYSENTER, EXC_GP, 0);
	FAULTS(u, SYSEXIT, EXC_GP, 0);
	cpu_unit_free(u);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(long_syscall), cmocka_unit_test(legacy_syscall), cmocka_unit_test(sysenter),
	};

	return cmocka_run_group_tests_name("syscall", tests, NULL, NULL);
}
