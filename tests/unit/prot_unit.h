/* SPDX-License-Identifier: MIT */
/* Protected-mode surroundings for unit tests: descriptor tables in the RAM of a cpu_unit, registers that fit them, and a check
 * that a fault leaves all of the state as it was. */
#ifndef TESTS_UNIT_PROT_UNIT_H
#define TESTS_UNIT_PROT_UNIT_H

#include <stdlib.h>

#include "cpu/segment.h"
#include "tests/unit/cpu_unit.h"

#define GDT_AT 0x10000u
#define LDT_AT 0x11000u
#define IDT_AT 0x12000u
#define TSS_AT 0x13000u
#define STACK0_AT 0x20000u /* top of the stack of level 0 */
#define STACK3_AT 0x30000u
#define PT_AT 0x100000u    /* page directory, then the table of the first 4 MiB */

/* Selectors of what is always there. */
enum {
	K_CODE = 0x08, K_DATA = 0x10, U_CODE = 0x1b, U_DATA = 0x23, K_CODE16 = 0x28, K_DATA16 = 0x30, CONFORMING = 0x38,
	TSS_SEL = 0x40, LDT_SEL = 0x48, K_CODE64 = 0x50, U_CODE64 = 0x5b, SCRATCH = 0x60, SCRATCH2 = 0x68, SCRATCH3 = 0x70,
	GDT_LIMIT = 0x7f,
};
/* Attributes of descriptors for the tests. */
#define A_DATA (SEG_P | SEG_S | SEG_RW | SEG_ACCESSED)
#define A_CODE (SEG_P | SEG_S | SEG_CODE | SEG_RW | SEG_ACCESSED)
#define A_DPL(n) ((n) << SEG_DPL_SHIFT)
#define A_FLAT (SEG_G | SEG_DB)

static inline void *prot_at(struct cpu_unit *u, u64 gpa)
{
	return u->ram->hva + gpa;
}

/* limit counts pages where attr has SEG_G. */
static inline u64 prot_descriptor(u32 base, u32 limit, u32 attr)
{
	return (limit & 0xffff) | (u64)(base & 0xffffff) << 16 | (u64)(attr & 0xff) << 40 | (u64)(limit >> 16 & 15) << 48 |
	       (u64)(attr >> 12 & 15) << 52 | (u64)(base >> 24) << 56;
}

/* attr: type, DPL and P; count: parameters of a call gate, IST of a wide one. */
static inline u64 prot_gate(u16 selector, u32 offset, u32 attr, unsigned count)
{
	return (offset & 0xffff) | (u64)selector << 16 | (u64)count << 32 | (u64)(attr & 0xff) << 40 | (u64)(offset >> 16) << 48;
}

static inline void prot_set(struct cpu_unit *u, u16 selector, u64 raw)
{
	store64(prot_at(u, (selector & SELECTOR_TI ? LDT_AT : GDT_AT) + (selector & SELECTOR_INDEX)), raw);
}

static inline u32 prot_type(struct cpu_unit *u, u16 selector)
{
	return load8(prot_at(u, GDT_AT + (selector & SELECTOR_INDEX) + 5));
}

static inline void prot_idt(struct cpu_unit *u, unsigned vector, u64 raw)
{
	store64(prot_at(u, IDT_AT + vector * 8), raw);
}

static inline void prot_idt_wide(struct cpu_unit *u, unsigned vector, u64 raw, u32 high)
{
	store64(prot_at(u, IDT_AT + vector * 16), raw);
	store64(prot_at(u, IDT_AT + vector * 16 + 8), high);
}

static inline void prot_load(struct cpu_unit *u, enum seg_index index, u16 selector)
{
	struct descriptor d;

	assert_true(segment_descriptor(u->cpu, selector, false, &d));
	segment_from_descriptor(&u->cpu->seg[index], selector, &d);
}

/* Registers as at privilege 0 or 3, 32-bit code. */
static inline void prot_level(struct cpu_unit *u, unsigned cpl)
{
	for (unsigned i = 0; i < SEG_COUNT; i++)
		prot_load(u, i, cpl ? U_DATA : K_DATA);
	prot_load(u, SEG_CS, cpl ? U_CODE : K_CODE);
	u->cpu->gpr[RSP] = cpl ? STACK3_AT : STACK0_AT;
	u->cpu->cpl = cpl;
	mode_update(u->cpu);
}

static inline struct cpu_unit *prot_new(unsigned cpl)
{
	struct cpu_unit *u = cpu_unit_new("max");
	struct cpu *cpu = u->cpu;

	cpu_unit_protected(u);
	cpu->gdtr = (struct table_reg){.base = GDT_AT, .limit = GDT_LIMIT};
	cpu->idtr = (struct table_reg){.base = IDT_AT, .limit = 32 * 8 - 1};
	prot_set(u, K_CODE, prot_descriptor(0, 0xfffff, A_CODE | A_FLAT));
	prot_set(u, K_DATA, prot_descriptor(0, 0xfffff, A_DATA | A_FLAT));
	prot_set(u, U_CODE, prot_descriptor(0, 0xfffff, A_CODE | A_FLAT | A_DPL(3)));
	prot_set(u, U_DATA, prot_descriptor(0, 0xfffff, A_DATA | A_FLAT | A_DPL(3)));
	prot_set(u, K_CODE16, prot_descriptor(0, 0xffff, A_CODE));
	prot_set(u, K_DATA16, prot_descriptor(0, 0xffff, A_DATA));
	prot_set(u, CONFORMING, prot_descriptor(0, 0xfffff, A_CODE | A_FLAT | SEG_DC));
	prot_set(u, TSS_SEL, prot_descriptor(TSS_AT, 0x67, SEG_P | SYS_TSS_BUSY));
	prot_set(u, LDT_SEL, prot_descriptor(LDT_AT, 0x3f, SEG_P | SYS_LDT));
	prot_set(u, K_CODE64, prot_descriptor(0, 0xfffff, A_CODE | SEG_G | SEG_L));
	prot_set(u, U_CODE64, prot_descriptor(0, 0xfffff, A_CODE | SEG_G | SEG_L | A_DPL(3)));
	cpu->tr = (struct seg){.base = TSS_AT, .limit = 0x67, .attr = SEG_P | SYS_TSS_BUSY, .selector = TSS_SEL};
	cpu->ldtr = (struct seg){.base = LDT_AT, .limit = 0x3f, .attr = SEG_P | SYS_LDT, .selector = LDT_SEL};
	store32(prot_at(u, TSS_AT + 4), STACK0_AT);
	store16(prot_at(u, TSS_AT + 8), K_DATA);
	prot_level(u, cpl);
	return u;
}

/* Turn on paging for the first 4 MiB, one to one; everything is the user's. */
static inline void prot_paging(struct cpu_unit *u)
{
	store32(prot_at(u, PT_AT), (PT_AT + 0x1000) | 7);
	for (u32 i = 0; i < 1024; i++)
		store32(prot_at(u, PT_AT + 0x1000 + i * 4), i << 12 | 7);
	assert_true(control_set_cr3(u->cpu, PT_AT));
	assert_true(control_set_cr0(u->cpu, u->cpu->cr0 | CR0_PG | CR0_WP));
}

/* Rights of one page: 1 present, 2 writable, 4 user. */
static inline void prot_page(struct cpu_unit *u, u32 linear, u32 rights)
{
	store32(prot_at(u, PT_AT + 0x1000 + (linear >> 12) * 4), (linear & ~0xfffu) | rights);
	tlb_flush_all(u->cpu);
}

/* Long mode with the same tables; the TSS takes two entries from TSS_SEL on (the LDT is gone). */
static inline struct cpu_unit *prot_new_long(unsigned cpl)
{
	struct cpu_unit *u = prot_new(0);
	struct cpu *cpu = u->cpu;

	store64(prot_at(u, CPU_UNIT_PML4), (CPU_UNIT_PML4 + 0x1000) | 7);
	store64(prot_at(u, CPU_UNIT_PML4 + 0x1000), 0x87);
	assert_true(control_set_cr4(cpu, CR4_PAE | CR4_OSFXSR));
	assert_true(control_set_cr3(cpu, CPU_UNIT_PML4));
	assert_true(control_set_efer(cpu, EFER_LME | EFER_NXE | EFER_SCE));
	assert_true(control_set_cr0(cpu, CR0_PE | CR0_PG | CR0_ET | CR0_WP));
	prot_set(u, LDT_SEL, 0);
	cpu->ldtr = (struct seg){.attr = SEG_UNUSABLE};
	cpu->idtr.limit = 32 * 16 - 1;
	store64(prot_at(u, TSS_AT + 4), STACK0_AT);
	prot_level(u, cpl);
	prot_load(u, SEG_CS, cpl ? U_CODE64 : K_CODE64);
	mode_update(cpu);
	return u;
}

/* A fault with this vector and error code that changes nothing. */
static inline void prot_fault(struct cpu_unit *u, const char *bytes, unsigned len, int vector, u32 code, const char *file, int line)
{
	struct cpu *cpu = u->cpu;
	u8 *before = malloc(CPU_STATE_SIZE);
	u8 cpl = cpu->cpl;

	flags_sync(cpu);
	cpu->rip = cpu->gpr[GPR_PAGE] = CPU_UNIT_CODE;
	cpu->instructions++;
	memcpy(before, cpu, CPU_STATE_SIZE);
	cpu->instructions--;
	int raised = cpu_unit_run(u, bytes, len);
	flags_sync(cpu);
	if (raised != vector || (raised >= 0 && cpu->fault.code != code))
		print_error("vector %d code %#x instead of %d %#x\n", raised, cpu->fault.code, vector, code);
	_assert_int_equal(raised, vector, file, line);
	_assert_int_equal(cpu->fault.code, code, file, line);
	_assert_int_equal(cpu->cpl, cpl, file, line);
	_assert_int_equal(cpu->fault.rip, CPU_UNIT_CODE, file, line);
	_assert_memory_equal(cpu, before, CPU_STATE_SIZE, file, line);
	free(before);
}
#define FAULTS(u, bytes, vector, code) prot_fault(u, bytes, sizeof(bytes) - 1, vector, code, __FILE__, __LINE__)
/* It ran without a fault. */
#define RUNS(u, bytes) assert_int_equal(RUN(u, bytes), -1)

#endif
