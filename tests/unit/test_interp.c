/* SPDX-License-Identifier: MIT */
/* The interpreter's way from block to block, with what comes in between. */
#include <stdlib.h>

#include "cpu/exception.h"
#include "cpu/interp.h"
#include "cpu/mode.h"
#include "cpu/x87.h"
#include "tests/unit/cpu_unit.h"

#define AT 0x3000u      /* jmp AT + 16 */
#define TARGET (AT + 16) /* hlt */
#define HANDLER (AT + 64) /* iretq, in the same page */
#define VECTOR 0x20
#define IDT 0x4000u
#define GDT 0x5000u

static int acknowledge(void *opaque)
{
	cpu_unrequest(opaque, CPU_REQ_INTR);
	return VECTOR;
}

static void execute(struct cpu *cpu, u64 rip)
{
	cpu->rip = rip;
	interp_block(cpu, interp_find(cpu));
}

/* An interrupt between a jump and where it leads: the jump is not linked to the handler. */
static void interrupt_behind_jump(void **state)
{
	struct cpu_unit *u = cpu_unit_new("max");
	struct cpu *cpu = u->cpu;
	enum engine_stop stop;
	(void)state;

	cpu_unit_long(u);
	memcpy(u->ram->hva + AT, "\xeb\x0e", 2);
	memcpy(u->ram->hva + TARGET, "\xf4", 1);
	memcpy(u->ram->hva + HANDLER, "\x48\xcf", 2);
	store64(u->ram->hva + GDT + 8, 0x00af9b000000ffff);
	store64(u->ram->hva + IDT + VECTOR * 16, (u64)8 << 16 | (u64)(SEG_P | 14) << 40 | HANDLER);
	store64(u->ram->hva + IDT + VECTOR * 16 + 8, 0);
	cpu->gdtr = (struct table_reg){.base = GDT, .limit = 23};
	cpu->idtr = (struct table_reg){.base = IDT, .limit = 0xfff};
	cpu->gpr[RSP] = 0x8000;
	cpu->rflags |= FLAG_IF;
	cpu->intc = (struct cpu_intc){.acknowledge = acknowledge, .opaque = cpu};

	execute(cpu, AT);
	assert_int_equal(cpu->rip, TARGET);
	cpu_request(cpu, CPU_REQ_INTR);
	assert_true(interp_attend(cpu, &stop));
	assert_int_equal(cpu->rip, HANDLER);
	assert_int_equal(load64(u->ram->hva + 0x8000 - 40), TARGET);
	interp_find(cpu);
	cpu->gpr[RSP] = 0x8000;
	/* twice: it may be linked now, to its own target */
	for (unsigned i = 0; i < 2; i++) {
		atomic_store(&cpu->kick, 0);
		execute(cpu, AT);
		if (cpu->rip == TARGET)
			execute(cpu, TARGET);
		assert_int_equal(cpu->rip, TARGET + 1);
		assert_int_equal(cpu->gpr[RSP], 0x8000);
	}
	cpu_unit_free(u);
}

static bool ignne;
static unsigned told;

static bool ferr(void *opaque, struct cpu *cpu, bool asserted)
{
	(void)opaque, (void)cpu;
	told += asserted;
	return ignne;
}

/* A waiting x87 instruction with an exception pending and CR0.NE = 0: it does not execute, for as long as nothing comes; but time
 * passes, the CPU can be stopped, an NMI is taken with the instruction's RIP, and IGNNE# lets it go on. */
static void frozen(void **state)
{
	struct cpu_unit *u = cpu_unit_new("max");
	struct cpu *cpu = u->cpu;
	(void)state;

	cpu_unit_long(u);
	memcpy(u->ram->hva + AT, "\x90\xd9\xe8\xf4", 4); /* nop; fld1; hlt */
	memcpy(u->ram->hva + HANDLER, "\xf4", 1);
	store64(u->ram->hva + GDT + 8, 0x00af9b000000ffff);
	store64(u->ram->hva + IDT + EXC_NMI * 16, (u64)8 << 16 | (u64)(SEG_P | 14) << 40 | HANDLER);
	cpu->gdtr = (struct table_reg){.base = GDT, .limit = 23};
	cpu->idtr = (struct table_reg){.base = IDT, .limit = 0xfff};
	cpu->gpr[RSP] = 0x8000;
	cpu->cr0 &= ~(CR0_NE | CR0_TS | CR0_EM);
	cpu->x87.fcw = 0x37b;
	cpu->x87.fsw = FSW_ES | FSW_B | 4;
	cpu->host.ferr = ferr;
	cpu->activity = CPU_RUNNING;
	cpu->rip = AT;
	mode_update(cpu);

	u64 before = cpu->instructions;
	assert_int_equal(interp_engine.run(cpu, 1000), ENGINE_BUDGET);
	assert_int_equal(cpu->instructions, before + 1000);
	assert_int_equal(cpu->rip, AT + 1);
	assert_int_equal(cpu->x87.fsw, FSW_ES | FSW_B | 4);
	assert_true(told > 900);
	cpu_request(cpu, CPU_REQ_STOP);
	assert_int_equal(interp_engine.run(cpu, 0), ENGINE_STOPPED);
	assert_int_equal(cpu->rip, AT + 1);
	cpu_request(cpu, CPU_REQ_NMI);
	assert_int_equal(interp_engine.run(cpu, 0), ENGINE_HALTED);
	assert_int_equal(cpu->rip, HANDLER + 1);
	assert_int_equal(load64(u->ram->hva + 0x8000 - 40), AT + 1);
	ignne = true;
	cpu->rip = AT + 1;
	cpu->activity = CPU_RUNNING;
	assert_int_equal(interp_engine.run(cpu, 0), ENGINE_HALTED);
	assert_int_equal(cpu->rip, AT + 4);
	assert_int_equal(cpu->x87.fsw >> 11 & 7, 7);
	cpu_unit_free(u);
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(interrupt_behind_jump), cmocka_unit_test(frozen)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
