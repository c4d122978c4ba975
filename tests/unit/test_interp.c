/* SPDX-License-Identifier: MIT */
/* The interpreter's way from block to block, with what comes in between. */
#include <stdlib.h>

#include "cpu/interp.h"
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

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(interrupt_behind_jump)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
