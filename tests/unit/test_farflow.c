/* SPDX-License-Identifier: MIT */
/* Far JMP, CALL, RET and call gates. */
#include "cpu/exception.h"
#include "tests/unit/prot_unit.h"

#define JMP_FAR "\xff\x2b" /* jmp far [ebx] */
#define CALL_FAR "\xff\x1b"
#define POINTER_AT 0x5000u

static void pointer(struct cpu_unit *u, u32 offset, u16 selector)
{
	u->cpu->gpr[RBX] = POINTER_AT;
	store32(prot_at(u, POINTER_AT), offset);
	store16(prot_at(u, POINTER_AT + 4), selector);
}

static u32 stack32(struct cpu_unit *u, unsigned i)
{
	return load32(prot_at(u, (u32)u->cpu->gpr[RSP] + i * 4));
}

static void direct(void **state)
{
	static const struct {
		u8 cpl;
		u16 selector;
		u32 attr;   /* of SCRATCH */
		u32 offset;
		int vector; /* -1: goes there */
		u32 code;
	} table[] = {
		{0, 0, 0, 0, EXC_GP, 0},
		{0, 3, 0, 0, EXC_GP, 0},
		{0, GDT_LIMIT + 1, 0, 0, EXC_GP, GDT_LIMIT + 1},
		{0, SCRATCH, A_CODE, 0x1fff, -1, 0},
		{0, SCRATCH, A_CODE, 0x2000, EXC_GP, 0},               /* beyond the limit */
		{0, SCRATCH | 1, A_CODE, 0x1234, EXC_GP, SCRATCH},     /* RPL > CPL */
		{3, SCRATCH, A_CODE | A_DPL(3), 0x1234, -1, 0},        /* RPL < CPL is replaced */
		{3, SCRATCH | 3, A_CODE, 0x1234, EXC_GP, SCRATCH},
		{0, SCRATCH, A_CODE | A_DPL(1), 0x1234, EXC_GP, SCRATCH},
		{3, SCRATCH | 3, A_CODE | SEG_DC, 0x1234, -1, 0},      /* conforming: at the same CPL */
		{0, SCRATCH, A_CODE | SEG_DC | A_DPL(1), 0, EXC_GP, SCRATCH},
		{0, SCRATCH, A_CODE & ~SEG_P, 0x1234, EXC_NP, SCRATCH},
		{3, SCRATCH, A_CODE & ~SEG_P, 0x1234, EXC_GP, SCRATCH},
		{0, SCRATCH, A_CODE & ~SEG_P, 0x2000, EXC_NP, SCRATCH},
		{0, SCRATCH, A_DATA, 0x1234, EXC_GP, SCRATCH},
		{0, SCRATCH, SEG_P | SYS_LDT, 0, EXC_GP, SCRATCH},
		{0, SCRATCH, SEG_P | SYS_INT, 0, EXC_GP, SCRATCH},
		{0, SCRATCH, SEG_P, 0, EXC_GP, SCRATCH},
	};
	(void)state;

	for (unsigned i = 0; i < ARRAY_LEN(table); i++) {
		struct cpu_unit *u = prot_new(table[i].cpl);
		struct cpu *cpu = u->cpu;
		u32 old = cpu->gpr[RSP], cs = cpu->seg[SEG_CS].selector;

		prot_set(u, SCRATCH, prot_descriptor(0x40000, 1, (table[i].attr & ~SEG_ACCESSED) | SEG_DB | SEG_G));
		pointer(u, table[i].offset, table[i].selector);
		if (table[i].vector >= 0) {
			FAULTS(u, JMP_FAR, table[i].vector, table[i].code);
			FAULTS(u, CALL_FAR, table[i].vector, table[i].code);
			cpu_unit_free(u);
			continue;
		}
		RUNS(u, JMP_FAR);
		assert_int_equal(cpu->seg[SEG_CS].selector, (table[i].selector & ~3) | table[i].cpl);
		assert_int_equal(cpu->seg[SEG_CS].base, 0x40000);
		assert_int_equal(cpu->seg[SEG_CS].limit, 0x1fff);
		assert_int_equal(cpu->rip, table[i].offset);
		assert_int_equal(cpu->cpl, table[i].cpl);
		assert_true(prot_type(u, SCRATCH) & SEG_ACCESSED);
		assert_int_equal(cpu->gpr[RSP], old);
		prot_level(u, table[i].cpl);
		RUNS(u, CALL_FAR);
		assert_int_equal(cpu->rip, table[i].offset);
		assert_int_equal(cpu->gpr[RSP], old - 8);
		assert_int_equal(stack32(u, 0), CPU_UNIT_CODE + 2);
		assert_int_equal(stack32(u, 1), cs);
		cpu_unit_free(u);
	}
}

static void forms(void **state)
{
	struct cpu_unit *u = prot_new(0);
	struct cpu *cpu = u->cpu;
	(void)state;

	RUNS(u, "\xea\x78\x56\x34\x12\x38\x00"); /* jmp 0x38:0x12345678 */
	assert_int_equal(cpu->rip, 0x12345678);
	assert_int_equal(cpu->seg[SEG_CS].selector, CONFORMING);
	RUNS(u, "\x66\xea\x78\x56\x08\x00"); /* jmpw 8:0x5678 */
	assert_int_equal(cpu->rip, 0x5678);
	RUNS(u, "\x66\x9a\x78\x56\x08\x00"); /* callw: two words on the stack */
	assert_int_equal(cpu->gpr[RSP], STACK0_AT - 4);
	assert_int_equal(stack32(u, 0), (CPU_UNIT_CODE + 6) | K_CODE << 16);
	/* the stack is checked before the target */
	prot_set(u, SCRATCH, prot_descriptor(0, 0xfff, A_DATA | SEG_DB));
	prot_load(u, SEG_SS, SCRATCH);
	mode_update(cpu);
	cpu->gpr[RSP] = 0x2000;
	prot_set(u, SCRATCH2, prot_descriptor(0, 0xff, A_CODE | SEG_DB));
	pointer(u, 0x100, SCRATCH2);
	FAULTS(u, CALL_FAR, EXC_SS, 0);
	FAULTS(u, JMP_FAR, EXC_GP, 0);
	cpu->gpr[RSP] = 0x1000;
	FAULTS(u, CALL_FAR, EXC_GP, 0);
	pointer(u, 0xff, SCRATCH2);
	RUNS(u, CALL_FAR);
	cpu_unit_free(u);

	/* a 16-bit operand cuts the offset before the limit is looked at */
	u = prot_new(0);
	cpu = u->cpu;
	prot_set(u, SCRATCH2, prot_descriptor(0, 0xff, A_CODE | SEG_DB));
	cpu->gpr[RBX] = POINTER_AT;
	store32(prot_at(u, POINTER_AT), SCRATCH2 << 16 | 0xff);
	RUNS(u, "\x66\xff\x2b");
	assert_int_equal(cpu->rip, 0xff);
	/* all of the pointer must be in its segment */
	prot_level(u, 0);
	prot_set(u, SCRATCH, prot_descriptor(0, POINTER_AT + 4, A_DATA));
	prot_load(u, SEG_DS, SCRATCH);
	mode_update(cpu);
	pointer(u, 0x1234, K_CODE);
	FAULTS(u, JMP_FAR, EXC_GP, 0);
	cpu_unit_free(u);

	/* a stack that ends amid the frame: each slot counts */
	u = prot_new(0);
	cpu = u->cpu;
	prot_load(u, SEG_SS, K_DATA16);
	mode_update(cpu);
	pointer(u, 0x1234, K_CODE);
	cpu->gpr[RSP] = 4;
	RUNS(u, CALL_FAR);
	assert_int_equal(cpu->gpr[RSP], 0xfffc);
	assert_int_equal(load32(prot_at(u, 0)), K_CODE);
	assert_int_equal(load32(prot_at(u, 0xfffc)), CPU_UNIT_CODE + 2);
	prot_level(u, 0);
	prot_load(u, SEG_SS, K_DATA16);
	mode_update(cpu);
	cpu->gpr[RSP] = 6;
	FAULTS(u, CALL_FAR, EXC_SS, 0); /* 2 to 5, then 0xfffe to 0x10001 */
	/* both pages of a frame at the same level, too */
	prot_level(u, 0);
	prot_paging(u);
	prot_page(u, STACK0_AT - 0x1000, 0);
	store32(prot_at(u, STACK0_AT), 0x55555555);
	cpu->gpr[RSP] = STACK0_AT + 4;
	FAULTS(u, CALL_FAR, EXC_PF, PF_W);
	assert_int_equal(load32(prot_at(u, STACK0_AT)), 0x55555555);
	cpu_unit_free(u);
}

/* ---- call gates ---- */

static void gate_same(void **state)
{
	static const struct {
		u8 cpl;
		u16 selector; /* of the gate */
		u32 attr;
		u16 to;
		u32 target; /* attributes of SCRATCH2 */
		u32 offset;
		int vector;
		u32 code;
		bool call_only; /* JMP: #GP(to) */
	} table[] = {
		{0, SCRATCH, SEG_P | SYS_CALL, K_CODE, 0, 0x12345678, -1, 0, false},
		{0, SCRATCH, SEG_P | SYS_CALL16, K_CODE, 0, 0x12345678, -1, 0, false},
		{0, SCRATCH, SYS_CALL, K_CODE, 0, 0, EXC_NP, SCRATCH, false},
		{3, SCRATCH, SEG_P | SYS_CALL, K_CODE, 0, 0, EXC_GP, SCRATCH, false},     /* DPL < CPL */
		{0, SCRATCH | 1, SEG_P | SYS_CALL, K_CODE, 0, 0, EXC_GP, SCRATCH, false}, /* DPL < RPL */
		{3, SCRATCH, SYS_CALL, K_CODE, 0, 0, EXC_GP, SCRATCH, false},
		{0, SCRATCH, SEG_P | SYS_CALL, 0, 0, 0, EXC_GP, 0, false},
		{0, SCRATCH, SEG_P | SYS_CALL, 3, 0, 0, EXC_GP, 0, false},
		{0, SCRATCH, SEG_P | SYS_CALL, K_DATA, 0, 0, EXC_GP, K_DATA, false},
		{0, SCRATCH, SEG_P | SYS_CALL, GDT_LIMIT + 1, 0, 0, EXC_GP, GDT_LIMIT + 1, false},
		{0, SCRATCH, SEG_P | SYS_CALL, U_CODE, 0, 0, EXC_GP, U_CODE & 0xfffc, false}, /* less privileged */
		{0, SCRATCH, SEG_P | SYS_CALL, SCRATCH2, A_CODE & ~SEG_P, 0, EXC_NP, SCRATCH2, false},
		{0, SCRATCH, SEG_P | SYS_CALL, SCRATCH2, A_CODE, 0x100, EXC_GP, 0, false},
		{3, SCRATCH | 3, SEG_P | SYS_CALL | A_DPL(3), SCRATCH2, A_CODE | SEG_DC, 0xff, -1, 0, false},
		{3, SCRATCH | 3, SEG_P | SYS_CALL | A_DPL(3), K_CODE, 0, 0x4321, -1, 0, true},
	};
	(void)state;

	for (unsigned i = 0; i < ARRAY_LEN(table); i++) {
		struct cpu_unit *u = prot_new(table[i].cpl);
		struct cpu *cpu = u->cpu;
		u32 old = cpu->gpr[RSP];
		bool narrow = (table[i].attr & SEG_TYPE) == SYS_CALL16;

		prot_set(u, SCRATCH, prot_gate(table[i].to, table[i].offset, table[i].attr, 0));
		prot_set(u, SCRATCH2, prot_descriptor(0x40000, 0xff, table[i].target | SEG_DB));
		pointer(u, 0xfefefefe, table[i].selector);
		if (table[i].vector >= 0) {
			FAULTS(u, JMP_FAR, table[i].vector, table[i].code);
			FAULTS(u, CALL_FAR, table[i].vector, table[i].code);
			cpu_unit_free(u);
			continue;
		}
		if (table[i].call_only) {
			FAULTS(u, JMP_FAR, EXC_GP, table[i].to);
		} else {
			RUNS(u, JMP_FAR);
			assert_int_equal(cpu->rip, table[i].offset & (narrow ? 0xffff : 0xffffffff));
			assert_int_equal(cpu->seg[SEG_CS].selector, table[i].to | table[i].cpl);
			assert_int_equal(cpu->gpr[RSP], old);
			prot_level(u, table[i].cpl);
			RUNS(u, CALL_FAR);
			assert_int_equal(cpu->gpr[RSP], old - (narrow ? 4 : 8));
			assert_int_equal(cpu->rip, table[i].offset & (narrow ? 0xffff : 0xffffffff));
		}
		cpu_unit_free(u);
	}
}

static void gate_inner(void **state)
{
	struct cpu_unit *u = prot_new(3);
	struct cpu *cpu = u->cpu;
	(void)state;

	prot_set(u, SCRATCH, prot_gate(K_CODE | 3, 0x12345678, SEG_P | SYS_CALL | A_DPL(3), 3));
	pointer(u, 0, SCRATCH | 3);
	cpu->gpr[RSP] = STACK3_AT - 12;
	store32(prot_at(u, STACK3_AT - 12), 0xa1);
	store32(prot_at(u, STACK3_AT - 8), 0xa2);
	store32(prot_at(u, STACK3_AT - 4), 0xa3);
	flags_set(cpu, FLAG_1 | FLAG_IF | FLAG_CF);
	RUNS(u, CALL_FAR);
	assert_int_equal(cpu->cpl, 0);
	assert_int_equal(cpu->seg[SEG_CS].selector, K_CODE);
	assert_int_equal(cpu->seg[SEG_SS].selector, K_DATA);
	assert_int_equal(cpu->rip, 0x12345678);
	assert_int_equal(cpu->gpr[RSP], STACK0_AT - 7 * 4);
	static const u32 frame[] = {CPU_UNIT_CODE + 2, U_CODE, 0xa1, 0xa2, 0xa3, STACK3_AT - 12, U_DATA};
	for (unsigned i = 0; i < ARRAY_LEN(frame); i++)
		assert_int_equal(stack32(u, i), frame[i]);
	assert_int_equal(flags_get(cpu), FLAG_1 | FLAG_IF | FLAG_CF);

	/* what was not marked accessed is now */
	prot_level(u, 3);
	prot_set(u, K_CODE, prot_descriptor(0, 0xfffff, (A_CODE & ~SEG_ACCESSED) | A_FLAT));
	prot_set(u, K_DATA, prot_descriptor(0, 0xfffff, (A_DATA & ~SEG_ACCESSED) | A_FLAT));
	cpu->gpr[RSP] = STACK3_AT - 12;
	RUNS(u, CALL_FAR);
	assert_int_equal(prot_type(u, K_CODE), A_CODE);
	assert_int_equal(prot_type(u, K_DATA), A_DATA);
	assert_int_equal(cpu->seg[SEG_SS].attr, A_DATA | A_FLAT);
	assert_int_equal(cpu->seg[SEG_CS].attr, A_CODE | A_FLAT);

	/* and back, the parameters released on both stacks; what level 3 may not use becomes null */
	prot_load(u, SEG_DS, K_DATA);
	prot_load(u, SEG_ES, U_DATA);
	prot_load(u, SEG_FS, CONFORMING);
	prot_load(u, SEG_GS, K_CODE);
	RUNS(u, "\xca\x0c\x00"); /* retf 12 */
	assert_int_equal(cpu->cpl, 3);
	assert_int_equal(cpu->rip, CPU_UNIT_CODE + 2);
	assert_int_equal(cpu->gpr[RSP], STACK3_AT);
	assert_int_equal(cpu->seg[SEG_SS].selector, U_DATA);
	assert_int_equal(cpu->seg[SEG_DS].selector, 0);
	assert_true(cpu->seg[SEG_DS].attr & SEG_UNUSABLE);
	assert_int_equal(cpu->seg[SEG_ES].selector, U_DATA);
	assert_int_equal(cpu->seg[SEG_FS].selector, CONFORMING);
	assert_int_equal(cpu->seg[SEG_GS].selector, 0);
	prot_set(u, SCRATCH3, prot_descriptor(0, 0xff, A_DATA | SEG_DC));
	prot_load(u, SEG_DS, SCRATCH3);
	mode_update(cpu);
	cpu->cpl = 0;
	u32 out[] = {0x1234, U_CODE, STACK3_AT, U_DATA};
	memcpy(prot_at(u, 0x30000), out, sizeof out);
	RUNS(u, "\xcb");
	assert_int_equal(cpu->seg[SEG_DS].selector, 0);

	/* 16-bit gate, 31 parameters, and a 16-bit stack */
	prot_level(u, 3);
	prot_set(u, SCRATCH, prot_gate(K_CODE, 0x12345678, SEG_P | SYS_CALL16 | A_DPL(3), 31));
	store32(prot_at(u, TSS_AT + 4), 0x8000);
	store16(prot_at(u, TSS_AT + 8), K_DATA16);
	for (unsigned i = 0; i < 31; i++)
		store16(prot_at(u, 0x40000 + i * 2), 0xb0 + i);
	cpu->gpr[RSP] = 0x40000;
	RUNS(u, CALL_FAR);
	assert_int_equal(cpu->rip, 0x5678);
	assert_int_equal((u16)cpu->gpr[RSP], 0x8000 - 35 * 2);
	assert_int_equal(load16(prot_at(u, 0x8000 - 2)), U_DATA);
	assert_int_equal(load16(prot_at(u, 0x8000 - 4)), 0); /* the low half of 0x40000 */
	assert_int_equal(load16(prot_at(u, 0x8000 - 6)), 0xb0 + 30);
	assert_int_equal(load16(prot_at(u, 0x8000 - 66)), 0xb0);
	assert_int_equal(load16(prot_at(u, 0x8000 - 68)), U_CODE);
	assert_int_equal(load16(prot_at(u, 0x8000 - 70)), CPU_UNIT_CODE + 2);
	cpu_unit_free(u);
}

/* What the TSS may get wrong. */
static void gate_stacks(void **state)
{
	static const struct {
		u32 limit;  /* of the TSS */
		u32 esp;
		u16 ss;
		u32 attr;   /* of SCRATCH2 */
		int vector;
		u32 code;
	} table[] = {
		{0x67, STACK0_AT, K_DATA, 0, -1, 0},
		{9, STACK0_AT, K_DATA, 0, -1, 0},
		{8, STACK0_AT, K_DATA, 0, EXC_TS, TSS_SEL},
		{0x67, STACK0_AT, 0, 0, EXC_TS, 0},
		{0x67, STACK0_AT, GDT_LIMIT + 1, 0, EXC_TS, GDT_LIMIT + 1},
		{0x67, STACK0_AT, K_DATA | 3, 0, EXC_TS, K_DATA},
		{0x67, STACK0_AT, U_DATA & ~3, 0, EXC_TS, U_DATA & ~3},
		{0x67, STACK0_AT, K_CODE, 0, EXC_TS, K_CODE},
		{0x67, STACK0_AT, SCRATCH2, A_DATA & ~SEG_RW, EXC_TS, SCRATCH2},
		{0x67, STACK0_AT, SCRATCH2, A_DATA & ~SEG_P, EXC_SS, SCRATCH2},
		{0x67, 0x100, SCRATCH2, A_DATA | SEG_DB, -1, 0},
		{0x67, 0x101, SCRATCH2, A_DATA | SEG_DB, EXC_SS, SCRATCH2},       /* top byte beyond the limit */
		{0x67, 0x0c, SCRATCH2, A_DATA | SEG_DB, EXC_SS, SCRATCH2},        /* wraps to the top */
		{0x67, 0x117, SCRATCH2, A_DATA | SEG_DB | SEG_DC, -1, 0},         /* expand down: lowest byte at 0x103 */
		{0x67, 0x114, SCRATCH2, A_DATA | SEG_DB | SEG_DC, -1, 0},
		{0x67, 0x113, SCRATCH2, A_DATA | SEG_DB | SEG_DC, EXC_SS, SCRATCH2},
	};
	(void)state;

	for (unsigned i = 0; i < ARRAY_LEN(table); i++) {
		struct cpu_unit *u = prot_new(3);
		prot_set(u, SCRATCH, prot_gate(K_CODE, 0x4321, SEG_P | SYS_CALL | A_DPL(3), 1));
		prot_set(u, SCRATCH2, prot_descriptor(0x40000, 0xff, table[i].attr));
		u->cpu->tr.limit = table[i].limit;
		store32(prot_at(u, TSS_AT + 4), table[i].esp);
		store16(prot_at(u, TSS_AT + 8), table[i].ss);
		pointer(u, 0, SCRATCH | 3);
		u->cpu->gpr[RSP] -= 4;
		if (table[i].vector >= 0) {
			FAULTS(u, CALL_FAR, table[i].vector, table[i].code);
		} else {
			RUNS(u, CALL_FAR);
			assert_int_equal(u->cpu->gpr[RSP], table[i].esp - 20);
		}
		cpu_unit_free(u);
	}

	/* a 16-bit TSS has its stacks elsewhere */
	struct cpu_unit *u = prot_new(3);
	prot_set(u, SCRATCH, prot_gate(K_CODE, 0x4321, SEG_P | SYS_CALL | A_DPL(3), 0));
	u->cpu->tr.attr = SEG_P | SYS_TSS16_BUSY;
	u->cpu->tr.limit = 5;
	store16(prot_at(u, TSS_AT + 2), 0x9000);
	store16(prot_at(u, TSS_AT + 4), K_DATA);
	pointer(u, 0, SCRATCH | 3);
	RUNS(u, CALL_FAR);
	assert_int_equal(u->cpu->gpr[RSP], 0x9000 - 16);
	prot_level(u, 3);
	u->cpu->tr.limit = 4;
	FAULTS(u, CALL_FAR, EXC_TS, TSS_SEL);

	/* the target's EIP is checked after the stack */
	u->cpu->tr.limit = 5;
	prot_set(u, SCRATCH2, prot_descriptor(0, 0xff, A_CODE | SEG_DB));
	prot_set(u, SCRATCH, prot_gate(SCRATCH2, 0x100, SEG_P | SYS_CALL | A_DPL(3), 0));
	FAULTS(u, CALL_FAR, EXC_GP, 0);
	store16(prot_at(u, TSS_AT + 4), K_DATA16);
	store16(prot_at(u, TSS_AT + 2), 0x4);
	prot_set(u, K_DATA16, prot_descriptor(0, 0xfff, A_DATA));
	FAULTS(u, CALL_FAR, EXC_SS, K_DATA16);
	cpu_unit_free(u);
}

/* The new stack is used with the new level's rights, the old one with the old level's. */
static void gate_paging(void **state)
{
	struct cpu_unit *u = prot_new(3);
	struct cpu *cpu = u->cpu;
	(void)state;

	prot_paging(u);
	prot_set(u, SCRATCH, prot_gate(K_CODE, 0x4321, SEG_P | SYS_CALL | A_DPL(3), 2));
	pointer(u, 0, SCRATCH | 3);
	cpu->gpr[RSP] -= 8;
	prot_page(u, STACK0_AT - 0x1000, 3); /* supervisor only */
	RUNS(u, CALL_FAR);
	prot_level(u, 3);
	cpu->gpr[RSP] -= 8;
	prot_page(u, STACK0_AT - 0x1000, 2);
	FAULTS(u, CALL_FAR, EXC_PF, PF_W);
	assert_int_equal(cpu->fault.cr2 >> 12, (STACK0_AT - 0x1000) >> 12);
	prot_page(u, STACK0_AT - 0x1000, 1);
	FAULTS(u, CALL_FAR, EXC_PF, PF_W | PF_P);
	prot_page(u, STACK0_AT - 0x1000, 3);
	/* a parameter that the caller may not read */
	prot_page(u, STACK3_AT - 0x1000, 3);
	FAULTS(u, CALL_FAR, EXC_PF, PF_P | PF_U);
	prot_page(u, STACK3_AT - 0x1000, 7);
	/* the frame lies on two pages and the second is missing: nothing is written to the first */
	store32(prot_at(u, TSS_AT + 4), STACK0_AT - 0x1000 + 8);
	prot_page(u, STACK0_AT - 0x2000, 0);
	store64(prot_at(u, STACK0_AT - 0x1000), 0x5555555555555555);
	FAULTS(u, CALL_FAR, EXC_PF, PF_W);
	assert_true(load64(prot_at(u, STACK0_AT - 0x1000)) == 0x5555555555555555);
	prot_page(u, STACK0_AT - 0x2000, 3);
	RUNS(u, CALL_FAR);
	assert_int_equal(cpu->gpr[RSP], STACK0_AT - 0x1000 + 8 - 24);
	/* SMAP: a user page as the inner stack needs AC */
	prot_level(u, 3);
	store32(prot_at(u, TSS_AT + 4), STACK0_AT);
	prot_page(u, STACK0_AT - 0x1000, 7);
	prot_page(u, GDT_AT, 3);
	prot_page(u, TSS_AT, 3);
	assert_true(control_set_cr4(cpu, CR4_SMAP));
	FAULTS(u, CALL_FAR, EXC_PF, PF_W | PF_P);
	flags_set(cpu, FLAG_1 | FLAG_AC);
	mode_flags_changed(cpu);
	RUNS(u, CALL_FAR);
	cpu_unit_free(u);
}

static void long_gates(void **state)
{
	struct cpu_unit *u = prot_new_long(3);
	struct cpu *cpu = u->cpu;
	(void)state;

	/* 64-bit gate at SCRATCH and SCRATCH2 */
	prot_set(u, SCRATCH, prot_gate(K_CODE64, 0x87654321, SEG_P | SYS_CALL | A_DPL(3), 5));
	prot_set(u, SCRATCH2, 0xffff8000);
	pointer(u, 0, SCRATCH | 3);
	RUNS(u, CALL_FAR);
	assert_int_equal(cpu->cpl, 0);
	assert_true(cpu->rip == 0xffff800087654321);
	assert_int_equal(cpu->gpr[RSP], STACK0_AT - 32);
	assert_int_equal(cpu->seg[SEG_SS].selector, 0);
	assert_int_equal(cpu->seg[SEG_SS].attr, SEG_UNUSABLE);
	static const u64 frame[] = {CPU_UNIT_CODE + 2, U_CODE64, STACK3_AT, U_DATA};
	assert_memory_equal(prot_at(u, STACK0_AT - 32), frame, sizeof frame);
	RUNS(u, "\x48\xcb"); /* retfq */
	assert_int_equal(cpu->cpl, 3);
	assert_int_equal(cpu->gpr[RSP], STACK3_AT);
	assert_int_equal(cpu->seg[SEG_SS].selector, U_DATA);

	prot_set(u, SCRATCH2, 0x8000);
	FAULTS(u, CALL_FAR, EXC_GP, 0); /* target not canonical */
	prot_set(u, SCRATCH2, 0x10000000000);
	FAULTS(u, CALL_FAR, EXC_GP, SCRATCH); /* the upper half has a type */
	prot_set(u, SCRATCH2, 0);
	store64(prot_at(u, TSS_AT + 4), 0x800000000008);
	FAULTS(u, CALL_FAR, EXC_SS, 0);
	store64(prot_at(u, TSS_AT + 4), STACK0_AT);
	cpu->tr.limit = 10;
	FAULTS(u, CALL_FAR, EXC_TS, TSS_SEL);
	cpu->tr.limit = 11;
	prot_set(u, SCRATCH, prot_gate(K_CODE, 0x4321, SEG_P | SYS_CALL | A_DPL(3), 0));
	FAULTS(u, CALL_FAR, EXC_GP, K_CODE); /* not 64-bit code */
	prot_set(u, SCRATCH, prot_gate(K_CODE64, 0x4321, SEG_P | SYS_CALL16 | A_DPL(3), 0));
	FAULTS(u, CALL_FAR, EXC_GP, SCRATCH);
	prot_set(u, SCRATCH, prot_descriptor(0, 0x67, SEG_P | SYS_TSS | A_DPL(3)));
	FAULTS(u, CALL_FAR, EXC_GP, SCRATCH); /* no tasks here */
	prot_set(u, SCRATCH, prot_descriptor(0, 0xfffff, A_CODE | SEG_L | SEG_DB | A_DPL(3)));
	FAULTS(u, CALL_FAR, EXC_GP, SCRATCH);
	/* to compatibility mode and its limit */
	prot_set(u, SCRATCH, prot_descriptor(0, 0xffff, A_CODE | SEG_DB | A_DPL(3)));
	pointer(u, 0x10000, SCRATCH);
	FAULTS(u, JMP_FAR, EXC_GP, 0);
	pointer(u, 0xffff, SCRATCH);
	RUNS(u, JMP_FAR);
	assert_int_equal(cpu->code_mode, CODE32);
	cpu_unit_free(u);

	/* from compatibility mode through a gate: 8 bytes a push at once */
	u = prot_new_long(0);
	cpu = u->cpu;
	prot_load(u, SEG_CS, K_CODE);
	mode_update(cpu);
	prot_set(u, SCRATCH, prot_gate(K_CODE64, 0x4321, SEG_P | SYS_CALL, 0));
	prot_set(u, SCRATCH2, 0xffff8000);
	pointer(u, 0, SCRATCH);
	prot_load(u, SEG_SS, K_DATA16); /* its width does not count */
	RUNS(u, CALL_FAR);
	assert_true(cpu->rip == 0xffff800000004321);
	assert_int_equal(cpu->gpr[RSP], STACK0_AT - 16);
	assert_int_equal(load64(prot_at(u, STACK0_AT - 8)), K_CODE);
	/* RETFQ to compatibility mode cuts RIP, or does not */
	static const u64 to_compat[] = {0x1200001234, K_CODE};
	cpu->gpr[RSP] = STACK0_AT;
	memcpy(prot_at(u, STACK0_AT), to_compat, sizeof to_compat);
	cpu->flavour = FLAVOUR_AMD;
	FAULTS(u, "\x48\xcb", EXC_GP, 0);
	cpu->flavour = FLAVOUR_INTEL;
	RUNS(u, "\x48\xcb");
	assert_int_equal(cpu->rip, 0x1234);
	assert_int_equal(cpu->code_mode, CODE32);
	cpu_unit_free(u);

	/* m16:64 */
	u = prot_new_long(0);
	cpu = u->cpu;
	cpu->gpr[RBX] = POINTER_AT;
	store64(prot_at(u, POINTER_AT), 0xffff800000001234);
	store16(prot_at(u, POINTER_AT + 8), K_CODE64);
	RUNS(u, "\x48\xff\x1b");
	assert_true(cpu->rip == 0xffff800000001234);
	assert_int_equal(cpu->gpr[RSP], STACK0_AT - 16);
	store64(prot_at(u, POINTER_AT), 0x800000001234);
	FAULTS(u, "\x48\xff\x2b", EXC_GP, 0);
	store16(prot_at(u, POINTER_AT + 8), K_CODE);
	RUNS(u, "\x48\xff\x2b"); /* to compatibility mode: cut */
	assert_int_equal(cpu->rip, 0x1234);
	prot_load(u, SEG_CS, K_CODE64);
	mode_update(cpu);
	/* RET to a null SS: 64-bit code of levels 0 to 2 may have one, but not when the level grows to 3 */
	cpu->gpr[RSP] = STACK0_AT - 32;
	static const u64 bad[] = {0x1000, U_CODE64, STACK3_AT, 0};
	memcpy(prot_at(u, STACK0_AT - 32), bad, sizeof bad);
	FAULTS(u, "\x48\xcb", EXC_GP, 0);
	prot_set(u, SCRATCH, prot_descriptor(0, 0xfffff, A_CODE | SEG_L | A_DPL(1)));
	static const u64 good[] = {0x1000, SCRATCH | 1, STACK3_AT, 1};
	memcpy(prot_at(u, STACK0_AT - 32), good, sizeof good);
	RUNS(u, "\x48\xcb");
	assert_int_equal(cpu->cpl, 1);
	assert_int_equal(cpu->seg[SEG_SS].attr, SEG_UNUSABLE | A_DPL(1));
	cpu_unit_free(u);
}

static void returns(void **state)
{
	static const struct {
		u16 cs;
		u32 attr; /* of SCRATCH */
		u32 eip;
		u16 ss;
		u32 ss_attr; /* of SCRATCH2 */
		int vector;
		u32 code;
	} table[] = {
		{K_CODE, 0, 0x1234, 0, 0, -1, 0},
		{0, 0, 0, 0, 0, EXC_GP, 0},
		{GDT_LIMIT + 1, 0, 0, 0, 0, EXC_GP, GDT_LIMIT + 1},
		{K_DATA, 0, 0, 0, 0, EXC_GP, K_DATA},
		{TSS_SEL, 0, 0, 0, 0, EXC_GP, TSS_SEL},
		{K_CODE | 1, 0, 0, 0, 0, EXC_GP, K_CODE},                  /* DPL != RPL */
		{SCRATCH, A_CODE, 0x10000, 0, 0, EXC_GP, 0},
		{SCRATCH, A_CODE & ~SEG_P, 0x10000, 0, 0, EXC_NP, SCRATCH},
		{SCRATCH | 1, A_CODE | SEG_DC | A_DPL(2), 0, 0, 0, EXC_GP, SCRATCH},
		{SCRATCH | 3, A_CODE | SEG_DC | A_DPL(2), 0x77, U_DATA, 0, -1, 0},
		{SCRATCH | 3, A_CODE | SEG_DC | A_DPL(3), 0x77, U_DATA, 0, -1, 0},
		{U_CODE, 0, 0x1234, SCRATCH2 | 3, A_DATA & ~SEG_ACCESSED, EXC_GP, SCRATCH2},
		{U_CODE, 0, 0x1234, SCRATCH2 | 3, (A_DATA | A_DPL(3)) & ~SEG_ACCESSED, -1, 0},
		{U_CODE, 0, 0x1234, U_DATA, 0, -1, 0},
		{U_CODE, 0, 0x1234, 0, 0, EXC_GP, 0},
		{U_CODE, 0, 0x1234, 3, 0, EXC_GP, 0},
		{U_CODE, 0, 0x1234, GDT_LIMIT + 1, 0, EXC_GP, GDT_LIMIT + 1},
		{U_CODE, 0, 0x1234, K_DATA, 0, EXC_GP, K_DATA},
		{U_CODE, 0, 0x1234, U_DATA & ~3, 0, EXC_GP, U_DATA & ~3},
		{U_CODE, 0, 0x1234, SCRATCH2 | 3, (A_DATA | A_DPL(3)) & ~SEG_RW, EXC_GP, SCRATCH2},
		{U_CODE, 0, 0x1234, SCRATCH2 | 3, (A_DATA | A_DPL(3)) & ~SEG_P, EXC_SS, SCRATCH2},
		{SCRATCH | 3, A_CODE | A_DPL(3), 0x10000, U_DATA, 0, EXC_GP, 0},
		{SCRATCH | 3, A_CODE | A_DPL(3), 0x10000, K_DATA, 0, EXC_GP, K_DATA},
	};
	(void)state;

	for (unsigned i = 0; i < ARRAY_LEN(table); i++)
		for (unsigned way = 0; way < 4; way++) {
			struct cpu_unit *u = prot_new(0);
			struct cpu *cpu = u->cpu;
			bool iret = way & 1;
			u32 frame[5] = {table[i].eip, table[i].cs, FLAG_IF | FLAG_CF, 0x7000, table[i].ss};
			const char *code = iret ? "\xcf" : "\xcb";
			bool outer = table[i].cs & 3;

			cpu->flavour = way & 2 ? FLAVOUR_AMD : FLAVOUR_INTEL;
			if (!iret)
				memmove(frame + 2, frame + 3, 8);
			prot_set(u, SCRATCH, prot_descriptor(0, 0xffff, (table[i].attr & ~SEG_ACCESSED) | SEG_DB));
			prot_set(u, SCRATCH2, prot_descriptor(0, 0xffff, table[i].ss_attr | SEG_DB));
			memcpy(prot_at(u, STACK0_AT), frame, sizeof frame);
			if (table[i].vector >= 0) {
				/* both EIP and SS are bad: SS comes first, but for AMD's IRET */
				bool eip_first = i == ARRAY_LEN(table) - 1 && way == 3;
				prot_fault(u, code, 1, table[i].vector, eip_first ? 0 : table[i].code, __FILE__, __LINE__);
				assert_false(prot_type(u, SCRATCH) & SEG_ACCESSED);
			} else {
				assert_int_equal(cpu_unit_run(u, code, 1), -1);
				assert_int_equal(cpu->cpl, table[i].cs & 3);
				assert_int_equal(cpu->rip, table[i].eip);
				assert_int_equal(cpu->seg[SEG_CS].selector, table[i].cs);
				if ((table[i].cs & ~3) == SCRATCH)
					assert_true(prot_type(u, SCRATCH) & SEG_ACCESSED);
				if ((table[i].ss & ~3) == SCRATCH2)
					assert_true(prot_type(u, SCRATCH2) & SEG_ACCESSED);
				assert_true(cpu->seg[SEG_SS].attr & SEG_ACCESSED);
				assert_int_equal(cpu->gpr[RSP], outer ? 0x7000 : STACK0_AT + (iret ? 12 : 8));
				assert_int_equal(cpu->seg[SEG_DS].selector, outer ? 0 : K_DATA);
				assert_int_equal(flags_get(cpu), iret ? FLAG_1 | FLAG_IF | FLAG_CF : FLAG_1);
			}
			cpu_unit_free(u);
		}

	/* the stack's limit */
	struct cpu_unit *u = prot_new(0);
	prot_load(u, SEG_SS, K_DATA16);
	mode_update(u->cpu);
	u->cpu->gpr[RSP] = 0xfffa;
	FAULTS(u, "\xcf", EXC_SS, 0);
	FAULTS(u, "\xcb", EXC_SS, 0);
	store32(prot_at(u, 0xfff8), 0x1000);
	store32(prot_at(u, 0xfffc), K_CODE);
	u->cpu->gpr[RSP] = 0xfff8;
	RUNS(u, "\xcb");
	/* AMD reads all of what the selector's RPL wants before it looks at the selector */
	prot_set(u, SCRATCH2, prot_descriptor(0, 0xffff, A_DATA | SEG_DB));
	prot_load(u, SEG_SS, SCRATCH2);
	mode_update(u->cpu);
	store32(prot_at(u, 0xfffc), K_DATA | 1);
	u->cpu->gpr[RSP] = 0xfff8;
	u->cpu->flavour = FLAVOUR_INTEL;
	FAULTS(u, "\xcb", EXC_GP, K_DATA);
	u->cpu->flavour = FLAVOUR_AMD;
	FAULTS(u, "\xcb", EXC_SS, 0);
	prot_level(u, 0);
	/* to a 16-bit stack only SP moves */
	prot_set(u, SCRATCH2, prot_descriptor(0, 0xffff, A_DATA | A_DPL(3)));
	u32 frame[] = {0x1234, U_CODE, 0xabcd7000, SCRATCH2 | 3};
	u->cpu->gpr[RSP] = STACK0_AT;
	memcpy(prot_at(u, STACK0_AT), frame, sizeof frame);
	RUNS(u, "\xcb");
	assert_int_equal(u->cpu->gpr[RSP], (STACK0_AT & 0xffff0000) | 0x7000);
	/* RET n at the same level */
	prot_level(u, 0);
	u32 near[] = {0x1234, K_CODE};
	memcpy(prot_at(u, STACK0_AT), near, sizeof near);
	RUNS(u, "\xca\x10\x00");
	assert_int_equal(u->cpu->gpr[RSP], STACK0_AT + 24);
	/* RET to an inner level does not exist */
	prot_level(u, 3);
	u32 inward[] = {0x1234, K_CODE};
	memcpy(prot_at(u, STACK3_AT), inward, sizeof inward);
	FAULTS(u, "\xcb", EXC_GP, K_CODE);
	cpu_unit_free(u);
}

static void real_mode(void **state)
{
	struct cpu_unit *u = cpu_unit_new("max");
	struct cpu *cpu = u->cpu;
	(void)state;

	cpu->seg[SEG_CS].base = 0;
	cpu->seg[SEG_CS].selector = 0;
	cpu->gpr[RSP] = 0;
	mode_update(cpu);
	RUNS(u, "\x9a\x34\x12\x00\x20"); /* call 0x2000:0x1234; SP 0 wraps to the top */
	assert_int_equal(cpu->gpr[RSP], 0xfffc);
	assert_int_equal(cpu->seg[SEG_CS].base, 0x20000);
	assert_int_equal(cpu->rip, 0x1234);
	assert_int_equal(load32(prot_at(u, 0xfffc)), CPU_UNIT_CODE + 5);
	RUNS(u, "\xca\x02\x00"); /* retf 2 */
	assert_int_equal(cpu->gpr[RSP], 2);
	assert_int_equal(cpu->seg[SEG_CS].base, 0);
	assert_int_equal(cpu->rip, CPU_UNIT_CODE + 5);
	FAULTS(u, "\x66\xea\x00\x00\x01\x00\x00\x00", EXC_GP, 0); /* EIP 0x10000 */
	cpu->gpr[RSP] = 3;
	FAULTS(u, "\x9a\x34\x12\x00\x20", EXC_SS, 0); /* a word at 0xffff */
	RUNS(u, "\x66\xea\x34\x12\x00\x00\x00\xf0");
	assert_int_equal(cpu->seg[SEG_CS].base, 0xf0000);
	RUNS(u, "\xea\xff\xff\x00\x00");
	assert_int_equal(cpu->rip, 0xffff);
	cpu->gpr[RSP] = 0x5000;
	store32(prot_at(u, 0x5000), 0x10000);
	store32(prot_at(u, 0x5004), 0x7777);
	FAULTS(u, "\x66\xcb", EXC_GP, 0);
	store32(prot_at(u, 0x5000), 0xffff);
	RUNS(u, "\x66\xcb");
	assert_int_equal(cpu->rip, 0xffff);
	assert_int_equal(cpu->seg[SEG_CS].selector, 0x7777);
	cpu_unit_free(u);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(direct), cmocka_unit_test(forms), cmocka_unit_test(gate_same), cmocka_unit_test(gate_inner),
		cmocka_unit_test(gate_stacks), cmocka_unit_test(gate_paging), cmocka_unit_test(long_gates), cmocka_unit_test(returns),
		cmocka_unit_test(real_mode),
	};

	return cmocka_run_group_tests_name("farflow", tests, NULL, NULL);
}
