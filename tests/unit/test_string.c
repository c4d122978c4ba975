/* SPDX-License-Identifier: MIT */
/* cpu/string: what the oracle does not see: stopping between elements, faults in the middle, devices and pages under watch. */
#include <stdlib.h>

#include "cpu/code.h"
#include "mem/dirty.h"
#include "tests/unit/cpu_unit.h"

#define FROM 0x20000u
#define TO 0x30000u
#define DEVICE 0x300000u /* covers RAM */

struct device {
	struct cpu_unit *u;
	struct region region;
	unsigned writes, reads, last_size, interrupt_after;
	u64 log[64];
};

static u64 device_read(void *opaque, u64 offset, unsigned size)
{
	struct device *d = opaque;

	d->last_size = size;
	d->reads++;
	return (offset + 1) * 0x0101010101010101ull & mask_bytes(size);
}

static void device_write(void *opaque, u64 offset, u64 value, unsigned size)
{
	struct device *d = opaque;

	(void)offset;
	d->last_size = size;
	if (d->writes < ARRAY_LEN(d->log))
		d->log[d->writes] = value;
	if (++d->writes == d->interrupt_after)
		cpu_request(d->u->cpu, CPU_REQ_INTR);
}

static const struct region_ops device_ops = {device_read, device_write, 1, 8};

static int setup(void **state)
{
	struct device *d = err_alloc(sizeof *d);

	d->u = cpu_unit_new("max");
	d->region = (struct region){.name = "device", .size = 0x1000, .ops = &device_ops, .opaque = d};
	bus_map(&d->u->bus, &d->region, DEVICE, 1);
	cpu_unit_long(d->u);
	for (unsigned i = 0; i < 0x4000; i++)
		d->u->ram->hva[FROM + i] = i * 7 + (i >> 8);
	d->u->cpu->gpr[RSI] = FROM;
	d->u->cpu->gpr[RDI] = TO;
	flags_set(d->u->cpu, FLAG_1);
	atomic_store(&d->u->cpu->request, 0);
	atomic_store(&d->u->cpu->kick, 0);
	*state = d;
	return 0;
}

static int teardown(void **state)
{
	struct device *d = *state;

	cpu_unit_free(d->u);
	free(d);
	return 0;
}

static void across_pages(void **state)
{
	struct device *d = *state;
	struct cpu_unit *u = d->u;
	struct cpu *cpu = u->cpu;

	cpu->gpr[RSI] = FROM + 3;
	cpu->gpr[RDI] = TO + 0xffd;
	cpu->gpr[RCX] = 0x2345;
	RUN_OK(u, "\xf3\xa4");
	assert_memory_equal(u->ram->hva + FROM + 3, u->ram->hva + TO + 0xffd, 0x2345);
	assert_int_equal(cpu->gpr[RCX], 0);
	assert_int_equal(cpu->gpr[RSI], FROM + 3 + 0x2345);
	assert_int_equal(cpu->gpr[RDI], TO + 0xffd + 0x2345);

	/* quadwords astride the page boundaries, downwards */
	flags_set(cpu, FLAG_1 | FLAG_DF);
	memset(u->ram->hva + TO, 0, 0x4000);
	cpu->gpr[RSI] = FROM + 5 + 0x3f8;
	cpu->gpr[RDI] = TO + 0xffe + 0x3f8;
	cpu->gpr[RCX] = 0x80;
	RUN_OK(u, "\xf3\x48\xa5");
	assert_memory_equal(u->ram->hva + FROM + 5, u->ram->hva + TO + 0xffe, 0x400);
	assert_int_equal(cpu->gpr[RSI], FROM + 5 - 8);
}

/* The next page is not there: all before it is done, and the registers say so. */
static void fault_in_the_middle(void **state)
{
	struct device *d = *state;
	struct cpu_unit *u = d->u;
	struct cpu *cpu = u->cpu;
	u64 *table = (u64 *)(u->ram->hva + CPU_UNIT_PML4 + 0x2000);

	store64(u->ram->hva + CPU_UNIT_PML4 + 0x1000, (CPU_UNIT_PML4 + 0x2000) | 7);
	for (u64 i = 0; i < 512; i++)
		table[i] = i << 21 | 0x87;
	u64 *small = (u64 *)(u->ram->hva + CPU_UNIT_PML4 + 0x3000);
	table[0] = (CPU_UNIT_PML4 + 0x3000) | 7;
	for (u64 i = 0; i < 512; i++)
		small[i] = i << 12 | 7;
	small[(TO + 0x2000) >> 12] = 0;
	tlb_flush_all(cpu);

	cpu->gpr[RCX] = 0x4000;
	flags_set(cpu, FLAG_1 | FLAG_ZF);
	RUN_FAULT(u, "\xf3\x66\xa5", EXC_PF);
	assert_int_equal(cpu->fault.cr2, TO + 0x2000);
	assert_int_equal(cpu->fault.code, PF_W);
	assert_int_equal(cpu->fault.rip, CPU_UNIT_CODE);
	assert_int_equal(cpu->gpr[RCX], 0x3000);
	assert_int_equal(cpu->gpr[RDI], TO + 0x2000);
	assert_int_equal(cpu->gpr[RSI], FROM + 0x2000);
	assert_memory_equal(u->ram->hva + FROM, u->ram->hva + TO, 0x2000);

	/* a comparison leaves the flags of before it, or those of the last element */
	for (unsigned flavour = FLAVOUR_INTEL; flavour <= FLAVOUR_AMD; flavour++) {
		cpu->flavour = flavour;
		cpu->gpr[RSI] = FROM;
		cpu->gpr[RDI] = TO;
		cpu->gpr[RCX] = 0x4000;
		flags_set(cpu, FLAG_1 | FLAG_CF | FLAG_SF);
		RUN_FAULT(u, "\xf3\xa6", EXC_PF);
		assert_int_equal(cpu->gpr[RCX], 0x2000);
		assert_int_equal(flags_get(cpu), FLAG_1 | (flavour == FLAVOUR_AMD ? FLAG_ZF | FLAG_PF : FLAG_CF | FLAG_SF));
		/* the first element cannot be read: nothing has happened */
		small[(FROM + 0x2000) >> 12] = 0;
		tlb_flush_all(cpu);
		cpu->gpr[RSI] = FROM + 0x2000;
		cpu->gpr[RDI] = TO + 0x2000;
		flags_set(cpu, FLAG_1 | FLAG_CF | FLAG_SF);
		RUN_FAULT(u, "\xf3\xa6", EXC_PF);
		assert_int_equal(cpu->fault.cr2, TO + 0x2000);
		assert_int_equal(flags_get(cpu), FLAG_1 | FLAG_CF | FLAG_SF);
		small[(FROM + 0x2000) >> 12] = (FROM + 0x2000) | 7;
		tlb_flush_all(cpu);
	}
}

/* The upper halves of the registers under 32-bit addresses: with nothing to do, after a fault of the first element, after one. */
static void upper_halves(void **state)
{
	struct device *d = *state;
	struct cpu *cpu = d->u->cpu;
	const u64 high = 5ull << 32;

	for (unsigned flavour = FLAVOUR_INTEL; flavour <= FLAVOUR_AMD; flavour++) {
		u64 kept = flavour == FLAVOUR_AMD ? high : 0;
		cpu->flavour = flavour;
		cpu->gpr[RCX] = high;
		cpu->gpr[RSI] = high | FROM;
		cpu->gpr[RDI] = high | TO;
		RUN_OK(d->u, "\x67\xf3\xa4");
		assert_int_equal(cpu->gpr[RCX], kept);
		assert_int_equal(cpu->gpr[RSI], kept | FROM);
		assert_int_equal(cpu->gpr[RDI], kept | TO);
		cpu->gpr[RCX] = high | 2;
		cpu->gpr[RSI] = high | 0x80000000;
		cpu->gpr[RDI] = high | TO;
		RUN_FAULT(d->u, "\x67\xf3\xa4", EXC_PF);
		assert_int_equal(cpu->gpr[RCX], kept | 2);
		assert_int_equal(cpu->gpr[RSI], kept | 0x80000000);
		assert_int_equal(cpu->gpr[RDI], kept | TO);
		cpu->gpr[RCX] = high | 2;
		cpu->gpr[RSI] = high | FROM;
		cpu->gpr[RDI] = high | TO;
		RUN_OK(d->u, "\x67\xf3\xa4");
		assert_int_equal(cpu->gpr[RCX], 0);
		assert_int_equal(cpu->gpr[RSI], FROM + 2);
		assert_int_equal(cpu->gpr[RDI], TO + 2);
	}
}

static void interrupted_between_elements(void **state)
{
	struct device *d = *state;
	struct cpu_unit *u = d->u;
	struct cpu *cpu = u->cpu;

	cpu->gpr[RDI] = DEVICE;
	cpu->gpr[RCX] = 20;
	d->interrupt_after = 5;
	assert_int_equal(RUN(u, "\xf3\xa5"), -1);
	assert_int_equal(cpu->rip, CPU_UNIT_CODE);
	assert_int_equal(d->writes, 5);
	assert_int_equal(d->last_size, 4);
	assert_int_equal(d->log[3], load32(u->ram->hva + FROM + 12));
	assert_int_equal(cpu->gpr[RCX], 15);
	assert_int_equal(cpu->gpr[RDI], DEVICE + 20);
	assert_true(cpu->rflags & FLAG_RF);
	cpu->rflags &= ~(u64)FLAG_RF;
	atomic_store(&cpu->kick, 0);
	RUN_OK(u, "\xf3\xa5");
	assert_int_equal(d->writes, 20);

	/* a device read element by element, in the element's size */
	cpu->gpr[RSI] = DEVICE + 8;
	cpu->gpr[RDI] = TO;
	cpu->gpr[RCX] = 3;
	RUN_OK(u, "\xf3\x66\xa5");
	assert_int_equal(d->reads, 3);
	assert_int_equal(d->last_size, 2);
	assert_int_equal(load16(u->ram->hva + TO + 2), 0x0b0b);
}

/* However long the string, others get their turn. */
static void share(void **state)
{
	struct device *d = *state;
	struct cpu_unit *u = d->u;
	struct cpu *cpu = u->cpu;
	unsigned calls = 0;

	cpu->gpr[RDI] = 0x40000;
	cpu->gpr[RCX] = 0x100000;
	cpu->gpr[RAX] = 0xab;
	do {
		u64 before = cpu->gpr[RCX];
		assert_int_equal(RUN(u, "\xf3\xaa"), -1);
		assert_true(before - cpu->gpr[RCX] <= 0x10000);
		cpu->rflags &= ~(u64)FLAG_RF;
		calls++;
	} while (cpu->rip == CPU_UNIT_CODE);
	assert_int_equal(cpu->gpr[RCX], 0);
	assert_int_equal(calls, 16);
	assert_int_equal(u->ram->hva[0x13ffff], 0xab);
}

static void one_at_a_time(void **state)
{
	struct device *d = *state;
	struct cpu_unit *u = d->u;
	struct cpu *cpu = u->cpu;

	cpu->rflags |= FLAG_TF;
	mode_flags_changed(cpu);
	cpu->gpr[RCX] = 2;
	assert_int_equal(RUN(u, "\xf3\xa4"), -1);
	assert_int_equal(cpu->gpr[RCX], 1);
	assert_int_equal(cpu->rip, CPU_UNIT_CODE);
	assert_true(cpu->rflags & FLAG_RF);
	cpu->rflags &= ~(u64)FLAG_RF;
	RUN_OK(u, "\xf3\xa4");
	assert_false(cpu->rflags & FLAG_RF);
}

/* A data breakpoint in the middle of a string stops it behind the element that hit. */
static void data_breakpoint(void **state)
{
	struct device *d = *state;
	struct cpu_unit *u = d->u;
	struct cpu *cpu = u->cpu;

	cpu->dr[0] = TO + 2;
	cpu->dr[7] = 1 | 1 << 16; /* writes of one byte */
	mode_update(cpu);
	cpu->gpr[RCX] = 5;
	for (unsigned i = 0; i < 3; i++) {
		assert_int_equal(cpu->dr6_hits, 0);
		assert_int_equal(RUN(u, "\xf3\xa4"), -1);
	}
	assert_int_equal(cpu->dr6_hits, 1);
	assert_int_equal(cpu->gpr[RCX], 2);
}

/* Decoded code under the destination is forgotten, whole pages at a time. */
static void writes_code(void **state)
{
	struct device *d = *state;
	struct cpu_unit *u = d->u;
	struct cpu *cpu = u->cpu;
	jmp_buf env;

	u->ram->hva[TO + 0x800] = 0x90;
	u->ram->hva[TO + 0x801] = 0xf4;
	cpu->fault_env = &env;
	assert_int_equal(setjmp(env), 0);
	cpu->rip = TO + 0x800;
	struct block *block = code_find(cpu);
	assert_int_equal(block->count, 2);
	assert_ptr_equal(block->hva, u->ram->hva + TO + 0x800);
	cpu->fault_env = NULL;

	cpu->gpr[RCX] = 0x200;
	RUN_OK(u, "\xf3\x48\xa5");
	assert_null(block->hva); /* dead */
	assert_memory_equal(u->ram->hva + FROM, u->ram->hva + TO, 0x1000);

	flags_set(cpu, FLAG_1 | FLAG_DF);
	u->ram->hva[TO + 0x800] = 0xf4;
	cpu->fault_env = &env;
	assert_int_equal(setjmp(env), 0);
	cpu->rip = TO + 0x800;
	block = code_find(cpu);
	cpu->fault_env = NULL;
	cpu->gpr[RDI] = TO + 0xff8;
	cpu->gpr[RCX] = 0x200;
	cpu->gpr[RAX] = 0x1122334455667788;
	RUN_OK(u, "\xf3\x48\xab");
	assert_null(block->hva);
	assert_int_equal(load64(u->ram->hva + TO), 0x1122334455667788);
	assert_int_equal(cpu->gpr[RDI], TO - 8);
}

/* Segment ends: what lies before the limit is done, downwards and upwards. */
static void segment_limit(void **state)
{
	struct device *d = *state;
	struct cpu_unit *u = d->u;
	struct cpu *cpu = u->cpu;

	assert_true(control_set_cr0(cpu, CR0_PE | CR0_PG | CR0_ET));
	cpu_unit_segments(u, SEG_DB, 0); /* compatibility mode */
	cpu->seg[SEG_ES].limit = TO + 0x8ff;
	mode_update(cpu);
	cpu->gpr[RCX] = 0x1000;
	RUN_FAULT(u, "\xf3\xa4", EXC_GP);
	assert_int_equal(cpu->gpr[RCX], 0x1000 - 0x900);
	assert_memory_equal(u->ram->hva + FROM, u->ram->hva + TO, 0x900);

	/* 16-bit addresses wrap; the upper halves of the registers stay */
	cpu_unit_segments(u, SEG_DB, 0);
	for (unsigned i = 0; i < 8; i++)
		u->ram->hva[0xfffc + i] = 0;
	memset(u->ram->hva, 0, 8);
	cpu->gpr[RDI] = 0x7777fffc;
	cpu->gpr[RCX] = 0x88880008;
	cpu->gpr[RAX] = 0x5a;
	RUN_OK(u, "\x67\xf3\xaa");
	assert_int_equal(load32(u->ram->hva + 0xfffc), 0x5a5a5a5a);
	assert_int_equal(load32(u->ram->hva), 0x5a5a5a5a);
	assert_int_equal(load32(u->ram->hva + 0x10000), 0);
	assert_int_equal(cpu->gpr[RDI], 0x77770004);
	assert_int_equal(cpu->gpr[RCX], 0x88880000);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(across_pages, setup, teardown),
		cmocka_unit_test_setup_teardown(fault_in_the_middle, setup, teardown),
		cmocka_unit_test_setup_teardown(upper_halves, setup, teardown),
		cmocka_unit_test_setup_teardown(interrupted_between_elements, setup, teardown),
		cmocka_unit_test_setup_teardown(share, setup, teardown),
		cmocka_unit_test_setup_teardown(one_at_a_time, setup, teardown),
		cmocka_unit_test_setup_teardown(data_breakpoint, setup, teardown),
		cmocka_unit_test_setup_teardown(writes_code, setup, teardown),
		cmocka_unit_test_setup_teardown(segment_limit, setup, teardown),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
