/* SPDX-License-Identifier: MIT */
/* A bare CPU with some RAM for unit tests: bytes in, one instruction executed, what it raised out. No engine loop, no IDT. */
#ifndef TESTS_UNIT_CPU_UNIT_H
#define TESTS_UNIT_CPU_UNIT_H

#include "cpu/access.h"
#include "cpu/control.h"
#include "cpu/decode.h"
#include "cpu/exception.h"
#include "cpu/flags.h"
#include "cpu/mode.h"
#include "cpu/model.h"
#include "tests/unit/unit.h"

#define CPU_UNIT_RAM (4u << 20)
#define CPU_UNIT_CODE 0x1000u /* where the instruction is said to lie */
#define CPU_UNIT_PML4 0x200000u

struct cpu_unit {
	struct clock *clock;
	struct loop *loop;
	struct bus bus;
	struct ram *ram;
	struct region region;
	struct cpu_model model;
	struct cpu *cpu;
};

static inline struct cpu_unit *cpu_unit_new(const char *model)
{
	struct cpu_unit *u = err_alloc(sizeof *u);
	struct err err;

	u->clock = clock_new();
	u->loop = loop_new(u->clock, &err);
	bus_init(&u->bus, u->loop);
	u->ram = ram_new("ram", CPU_UNIT_RAM, false, false, &err);
	assert_non_null(u->ram);
	u->region = (struct region){.name = "ram", .size = CPU_UNIT_RAM, .ram = u->ram};
	bus_map(&u->bus, &u->region, 0, 0);
	assert_true(model_parse(&u->model, model, &err));
	u->cpu = cpu_new(&u->model, &u->bus, u->clock, 0, 1);
	return u;
}

static inline void cpu_unit_free(struct cpu_unit *u)
{
	cpu_free(u->cpu);
	bus_free(&u->bus);
	ram_free(u->ram);
	loop_free(u->loop);
	clock_free(u->clock);
	free(u);
}

/* Flat segments. attr of CS: SEG_L or SEG_DB or 0. */
static inline void cpu_unit_segments(struct cpu_unit *u, u32 cs_attr, unsigned cpl)
{
	for (unsigned i = 0; i < SEG_COUNT; i++)
		u->cpu->seg[i] = (struct seg){.limit = 0xffffffff, .attr = SEG_P | SEG_S | SEG_RW | SEG_ACCESSED | SEG_G | SEG_DB,
		                              .selector = 0x10 | cpl};
	u->cpu->seg[SEG_CS].attr = SEG_P | SEG_S | SEG_RW | SEG_CODE | SEG_ACCESSED | SEG_G | cs_attr;
	for (unsigned i = 0; i < SEG_COUNT; i++)
		u->cpu->seg[i].attr |= cpl << SEG_DPL_SHIFT;
	u->cpu->cpl = cpl;
	mode_update(u->cpu);
}

static inline void cpu_unit_protected(struct cpu_unit *u)
{
	assert_true(control_set_cr0(u->cpu, CR0_PE | CR0_ET));
	cpu_unit_segments(u, SEG_DB, 0);
}

/* 64-bit mode with the first GiB mapped one to one, writable by the user. */
static inline void cpu_unit_long(struct cpu_unit *u)
{
	store64(u->ram->hva + CPU_UNIT_PML4, (CPU_UNIT_PML4 + 0x1000) | 7);
	store64(u->ram->hva + CPU_UNIT_PML4 + 0x1000, 0x87);
	cpu_unit_protected(u);
	assert_true(control_set_cr4(u->cpu, CR4_PAE | CR4_OSFXSR | CR4_OSXSAVE));
	assert_true(control_set_cr3(u->cpu, CPU_UNIT_PML4));
	assert_true(control_set_efer(u->cpu, EFER_LME | EFER_NXE));
	assert_true(control_set_cr0(u->cpu, CR0_PE | CR0_PG | CR0_ET | CR0_WP));
	cpu_unit_segments(u, SEG_L, 0);
}

static inline const struct insn *cpu_unit_end(struct cpu *cpu, const struct insn *in)
{
	cpu->rip = insn_rip(cpu, in);
	return NULL;
}

/* Execute one instruction; -1, or the vector of the fault it raised (its error code is cpu->fault.code). */
static inline int cpu_unit_run(struct cpu_unit *u, const char *bytes, unsigned len)
{
	struct cpu *cpu = u->cpu;
	struct insn in[2] = {0};
	bool ends;
	jmp_buf env;

	cpu->gpr[GPR_PAGE] = cpu->rip = CPU_UNIT_CODE;
	decode_insn(cpu, &in[0], (const u8 *)bytes, len, 0, cpu->code_mode, &ends);
	in[0].left = 1;
	in[1].exec = cpu_unit_end;
	in[1].off = in[0].len;
	cpu->fault_env = &env;
	if (setjmp(env)) {
		cpu->fault_env = NULL;
		cpu->cur = NULL;
		return cpu->fault.vector;
	}
	cpu->instructions++;
	for (const struct insn *next = in; next;)
		next = next->exec(cpu, next);
	cpu->fault_env = NULL;
	cpu->cur = NULL;
	return -1;
}

/* RUN(u, "\x0f\x01...") */
#define RUN(u, bytes) cpu_unit_run(u, bytes, sizeof(bytes) - 1)
/* It did not fault and went on to the next instruction. */
#define RUN_OK(u, bytes)                                                                                               \
	do {                                                                                                               \
		assert_int_equal(RUN(u, bytes), -1);                                                                           \
		assert_int_equal((u)->cpu->rip, CPU_UNIT_CODE + sizeof(bytes) - 1);                                            \
	} while (0)
#define RUN_FAULT(u, bytes, vector) assert_int_equal(RUN(u, bytes), vector)

#endif
