/* SPDX-License-Identifier: MIT */
/* cpu/stack: what the oracle cannot reach from user mode: PUSHF and POPF by privilege and in virtual-8086 mode, faults in the
 * middle, stacks that wrap. */
#include <stdlib.h>

#include "tests/unit/cpu_unit.h"

#define STACK 0x8000u

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

static u8 *ram(struct cpu_unit *u, u64 at)
{
	return u->ram->hva + at;
}

static void v86(struct cpu_unit *u, unsigned iopl, u64 cr4)
{
	struct cpu *cpu = u->cpu;

	cpu_unit_protected(u);
	assert_true(control_set_cr4(cpu, cr4));
	for (unsigned i = 0; i < SEG_COUNT; i++)
		cpu->seg[i] = (struct seg){.limit = 0xffff, .attr = SEG_P | SEG_S | SEG_RW | SEG_ACCESSED | SEG_DPL};
	cpu->cpl = 3;
	flags_set(cpu, FLAG_1 | FLAG_VM | iopl << 12 | FLAG_IF);
	mode_update(cpu);
	cpu->gpr[RSP] = STACK;
}

/* Pop these flags with the current ones being `old`; what comes of it. */
static u64 pop(struct cpu_unit *u, u64 old, u64 value, unsigned cpl, bool wide)
{
	struct cpu *cpu = u->cpu;

	cpu_unit_segments(u, SEG_L, cpl);
	flags_set(cpu, old);
	mode_update(cpu);
	cpu->gpr[RSP] = STACK;
	store64(ram(u, STACK), value);
	if (wide)
		RUN_OK(u, "\x9d");
	else
		RUN_OK(u, "\x66\x9d");
	assert_int_equal(cpu->gpr[RSP], STACK + (wide ? 8 : 2));
	return flags_get(cpu);
}

static void popf_privilege(void **state)
{
	struct cpu_unit *u = *state;
	const u64 all = ~0ull, old = FLAG_1 | FLAG_VIF, user = FLAGS_ARITH | FLAG_TF | FLAG_DF | FLAG_NT;

	cpu_unit_long(u);
	assert_int_equal(pop(u, old, all, 0, true), old | user | FLAG_IF | FLAG_IOPL | FLAG_AC | FLAG_ID);
	assert_int_equal(pop(u, old, all, 0, false), old | user | FLAG_IF | FLAG_IOPL);
	assert_int_equal(pop(u, old, all, 3, true), old | user | FLAG_AC | FLAG_ID);
	assert_int_equal(pop(u, old | FLAG_IOPL, all, 3, true), old | user | FLAG_IF | FLAG_IOPL | FLAG_AC | FLAG_ID);
	assert_int_equal(pop(u, old | FLAG_IF, 0, 3, true), old | FLAG_IF);
	assert_int_equal(pop(u, old | FLAG_IF | FLAG_IOPL, 0, 3, true), old | FLAG_IOPL);
	assert_int_equal(pop(u, old | FLAG_IF | FLAG_IOPL, 0, 0, true), old);
	assert_int_equal(pop(u, old | 2 << 12, all, 2, true), old | user | FLAG_IF | 2 << 12 | FLAG_AC | FLAG_ID);
}

static void popf_tells_the_mode(void **state)
{
	struct cpu_unit *u = *state;

	cpu_unit_long(u);
	pop(u, FLAG_1, FLAG_TF, 0, true);
	assert_true(u->cpu->careful);
	pop(u, FLAG_1 | FLAG_TF, 0, 0, true);
	assert_false(u->cpu->careful);
	/* an interrupt that was held back is due */
	atomic_store(&u->cpu->request, CPU_REQ_INTR);
	atomic_store(&u->cpu->kick, 0);
	pop(u, FLAG_1, FLAG_IF, 0, true);
	assert_int_equal(atomic_load(&u->cpu->kick), 1);
}

static void pushf_image(void **state)
{
	struct cpu_unit *u = *state;
	struct cpu *cpu = u->cpu;

	cpu_unit_long(u);
	flags_set(cpu, FLAG_1 | FLAG_RF | FLAG_IF | FLAG_ID | FLAG_CF);
	cpu->gpr[RSP] = STACK;
	RUN_OK(u, "\x9c");
	assert_int_equal(load64(ram(u, STACK - 8)), FLAG_1 | FLAG_IF | FLAG_ID | FLAG_CF);
}

static void v86_iopl(void **state)
{
	struct cpu_unit *u = *state;
	struct cpu *cpu = u->cpu;

	v86(u, 3, 0);
	RUN_OK(u, "\x9c");
	assert_int_equal(load16(ram(u, STACK - 2)), FLAG_1 | FLAG_IF | FLAG_IOPL);
	RUN_OK(u, "\x66\x9c"); /* no VM in the image */
	assert_int_equal(load32(ram(u, STACK - 6)), FLAG_1 | FLAG_IF | FLAG_IOPL);
	store32(ram(u, STACK - 6), FLAG_CF);
	RUN_OK(u, "\x66\x9d"); /* IF may be changed, IOPL and VM not */
	assert_int_equal(flags_get(cpu), FLAG_1 | FLAG_VM | FLAG_IOPL | FLAG_CF);

	v86(u, 2, 0);
	RUN_FAULT(u, "\x9c", EXC_GP);
	RUN_FAULT(u, "\x9d", EXC_GP);
	assert_int_equal(cpu->gpr[RSP], STACK);
}

static void v86_virtual_interrupts(void **state)
{
	struct cpu_unit *u = *state;
	struct cpu *cpu = u->cpu;

	v86(u, 0, CR4_VME);
	RUN_OK(u, "\x9c"); /* IF shows VIF, IOPL shows 3 */
	assert_int_equal(load16(ram(u, STACK - 2)), FLAG_1 | FLAG_IOPL);
	store16(ram(u, STACK - 2), FLAG_IF | FLAG_ZF);
	RUN_OK(u, "\x9d");
	assert_int_equal(flags_get(cpu), FLAG_1 | FLAG_VM | FLAG_IF | FLAG_VIF | FLAG_ZF);
	RUN_OK(u, "\x9c");
	assert_int_equal(load16(ram(u, STACK - 2)), FLAG_1 | FLAG_IOPL | FLAG_IF | FLAG_ZF);
	store16(ram(u, STACK - 2), 0);
	RUN_OK(u, "\x9d"); /* IF itself stays */
	assert_int_equal(flags_get(cpu), FLAG_1 | FLAG_VM | FLAG_IF);

	RUN_FAULT(u, "\x66\x9c", EXC_GP);
	RUN_FAULT(u, "\x66\x9d", EXC_GP);
	store16(ram(u, STACK), FLAG_TF);
	RUN_FAULT(u, "\x9d", EXC_GP);
	store16(ram(u, STACK), FLAG_IF);
	cpu->rflags |= FLAG_VIP;
	RUN_FAULT(u, "\x9d", EXC_GP);
	assert_int_equal(cpu->gpr[RSP], STACK);
	assert_int_equal(flags_get(cpu), FLAG_1 | FLAG_VM | FLAG_IF | FLAG_VIP);
}

/* A 16-bit stack wraps at 64 KiB, and the upper half of ESP stays. */
static void narrow_stack(void **state)
{
	struct cpu_unit *u = *state;
	struct cpu *cpu = u->cpu;

	cpu_unit_segments(u, 0, 0);
	cpu->seg[SEG_SS] = (struct seg){.limit = 0xffff, .attr = SEG_P | SEG_S | SEG_RW | SEG_ACCESSED};
	mode_update(cpu);
	cpu->gpr[RSP] = 0x12340000;
	cpu->gpr[RAX] = 0xa5a5;
	RUN_OK(u, "\x50");
	assert_int_equal(cpu->gpr[RSP], 0x1234fffe);
	assert_int_equal(load16(ram(u, 0xfffe)), 0xa5a5);
	RUN_OK(u, "\x5b");
	assert_int_equal(cpu->gpr[RSP], 0x12340000);
	assert_int_equal(*reg16(cpu, RBX), 0xa5a5);

	cpu->gpr[RSP] = 0x12340001; /* crosses the limit */
	RUN_FAULT(u, "\x50", EXC_SS);
	assert_int_equal(cpu->gpr[RSP], 0x12340001);

	/* POP to [ESP]: the address is that after the pop */
	cpu->gpr[RSP] = 0x1000;
	store32(ram(u, 0x1000), 0xdeadbeef);
	RUN_OK(u, "\x66\x67\x8f\x04\x24");
	assert_int_equal(load32(ram(u, 0x1004)), 0xdeadbeef);
	assert_int_equal(cpu->gpr[RSP], 0x1004);
}

static void all_registers(void **state)
{
	struct cpu_unit *u = *state;
	struct cpu *cpu = u->cpu;

	cpu_unit_protected(u);
	for (unsigned i = 0; i < 8; i++)
		cpu->gpr[i] = i * 0x11111111ull;
	cpu->gpr[RSP] = STACK;
	RUN_OK(u, "\x60");
	for (unsigned i = 0; i < 8; i++)
		assert_int_equal(load32(ram(u, STACK - 4 - i * 4)), i == RSP ? STACK : i * 0x11111111u);
	for (unsigned i = 0; i < 8; i++)
		if (i != RSP)
			cpu->gpr[i] = 0;
	RUN_OK(u, "\x61");
	for (unsigned i = 0; i < 8; i++)
		assert_int_equal(cpu->gpr[i], i == RSP ? STACK : i * 0x11111111u);

	/* no room: nothing has changed but memory */
	cpu->seg[SEG_SS].limit = STACK - 1;
	mode_update(cpu);
	cpu->gpr[RSP] = STACK - 16;
	RUN_FAULT(u, "\x61", EXC_SS);
	for (unsigned i = 0; i < 8; i++)
		assert_int_equal(cpu->gpr[i], i == RSP ? STACK - 16 : i * 0x11111111u);

	/* real-address mode has its own fault for PUSHA */
	assert_true(control_set_cr0(cpu, CR0_ET));
	cpu->seg[SEG_CS].attr &= ~SEG_DB;
	cpu->seg[SEG_SS].attr &= ~SEG_DB;
	mode_update(cpu);
	cpu->gpr[RSP] = 9;
	RUN_FAULT(u, "\x60", EXC_GP);
}

static void enter_checks_the_new_top(void **state)
{
	struct cpu_unit *u = *state;
	struct cpu *cpu = u->cpu;

	cpu_unit_protected(u);
	cpu->seg[SEG_SS].limit = 0xffff;
	mode_update(cpu);
	cpu->gpr[RSP] = 0x100;
	cpu->gpr[RBP] = 0x5555;
	RUN_FAULT(u, "\xc8\x00\x02\x00", EXC_SS); /* 512 bytes are not there */
	assert_int_equal(cpu->gpr[RSP], 0x100);
	assert_int_equal(cpu->gpr[RBP], 0x5555);
	RUN_OK(u, "\xc8\x10\x00\x00");
	assert_int_equal(cpu->gpr[RBP], 0xfc);
	assert_int_equal(cpu->gpr[RSP], 0xec);
	RUN_OK(u, "\xc9");
	assert_int_equal(cpu->gpr[RSP], 0x100);
	assert_int_equal(cpu->gpr[RBP], 0x5555);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(popf_privilege, setup, teardown),
		cmocka_unit_test_setup_teardown(popf_tells_the_mode, setup, teardown),
		cmocka_unit_test_setup_teardown(pushf_image, setup, teardown),
		cmocka_unit_test_setup_teardown(v86_iopl, setup, teardown),
		cmocka_unit_test_setup_teardown(v86_virtual_interrupts, setup, teardown),
		cmocka_unit_test_setup_teardown(narrow_stack, setup, teardown),
		cmocka_unit_test_setup_teardown(all_registers, setup, teardown),
		cmocka_unit_test_setup_teardown(enter_checks_the_new_top, setup, teardown),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
