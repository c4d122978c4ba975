/* SPDX-License-Identifier: MIT */
/* Hardware task switches: by JMP, CALL, IRET and through gates, 32 and 16 bits, and all that may be wrong with a TSS. */
#include "cpu/exception.h"
#include "tests/unit/prot_unit.h"

#define NEW_AT 0x14000u
#define NEW SCRATCH /* selector of the new TSS */
#define GATE SCRATCH2
#define OTHER SCRATCH3
#define JMP_FAR "\xff\x2b" /* jmp far [ebx] */
#define CALL_FAR "\xff\x1b"
#define IRET "\xcf"
#define HANDLER 0x4321u

/* Offsets in a 32-bit TSS. */
enum tss32 {
	T_LINK = 0, T_CR3 = 28, T_EIP = 32, T_FLAGS = 36, T_GPR = 40, T_ES = 72, T_CS = 76, T_SS = 80, T_DS = 84, T_LDT = 96,
	T_TRAP = 100
};

static void poke32(struct cpu_unit *u, u32 at, u32 value)
{
	store32(prot_at(u, at), value);
}

static u32 peek32(struct cpu_unit *u, u32 at)
{
	return load32(prot_at(u, at));
}

/* A TSS of 32 bits at level 0, and EBX at a far pointer to selector. */
static void new_task(struct cpu_unit *u, u16 selector)
{
	prot_set(u, NEW, prot_descriptor(NEW_AT, 0x67, SEG_P | SYS_TSS));
	memset(prot_at(u, NEW_AT), 0, 0x68);
	poke32(u, NEW_AT + T_EIP, 0x7777);
	poke32(u, NEW_AT + T_FLAGS, FLAG_IF | FLAG_CF);
	for (u32 i = 0; i < 8; i++)
		poke32(u, NEW_AT + T_GPR + i * 4, 0x10101010 * (i + 1));
	poke32(u, NEW_AT + T_GPR + RSP * 4, 0x28000);
	for (u32 i = 0; i < 6; i++)
		poke32(u, NEW_AT + T_ES + i * 4, i == SEG_CS ? K_CODE : K_DATA);
	poke32(u, NEW_AT + T_LDT, LDT_SEL);
	u->cpu->gpr[RBX] = 0x5000;
	poke32(u, 0x5000, 0xdeadbeef);
	store16(prot_at(u, 0x5004), selector);
}

static void jump_and_call(void **state)
{
	(void)state;
	for (unsigned call = 0; call < 2; call++)
		for (unsigned gate = 0; gate < 2; gate++) {
			struct cpu_unit *u = prot_new(0);
			struct cpu *cpu = u->cpu;

			new_task(u, gate ? GATE : NEW);
			prot_set(u, GATE, prot_gate(NEW, 0, SEG_P | SYS_TASK_GATE, 0));
			for (unsigned i = 0; i < 8; i++)
				if (i != RBX && i != RSP)
					cpu->gpr[i] = 0xabcd0000 + i;
			flags_set(cpu, FLAG_1 | FLAG_ZF | FLAG_IOPL);
			cpu->dr[7] = DR7_FIXED | 0x3ff;
			assert_int_equal(cpu_unit_run(u, call ? CALL_FAR : JMP_FAR, 2), -1);

			/* the old task is saved, and free or not */
			assert_int_equal(peek32(u, TSS_AT + T_EIP), CPU_UNIT_CODE + 2);
			assert_int_equal(peek32(u, TSS_AT + T_FLAGS), FLAG_1 | FLAG_ZF | FLAG_IOPL);
			for (unsigned i = 0; i < 8; i++)
				if (i != RBX && i != RSP)
					assert_int_equal(peek32(u, TSS_AT + T_GPR + i * 4), 0xabcd0000 + i);
			assert_int_equal(peek32(u, TSS_AT + T_GPR + RSP * 4), STACK0_AT);
			assert_int_equal(peek32(u, TSS_AT + T_CS), K_CODE);
			assert_int_equal(peek32(u, TSS_AT + T_DS), K_DATA);
			assert_int_equal(prot_type(u, TSS_SEL), SEG_P | (call ? SYS_TSS_BUSY : SYS_TSS));

			/* the new one runs */
			assert_int_equal(prot_type(u, NEW), SEG_P | SYS_TSS_BUSY);
			assert_int_equal(cpu->tr.selector, NEW);
			assert_int_equal(cpu->tr.base, NEW_AT);
			assert_int_equal(cpu->tr.attr, SEG_P | SYS_TSS_BUSY);
			assert_int_equal(load16(prot_at(u, NEW_AT + T_LINK)), call ? TSS_SEL : 0);
			assert_int_equal(cpu->rip, 0x7777);
			assert_int_equal(flags_get(cpu), FLAG_1 | FLAG_IF | FLAG_CF | (call ? FLAG_NT : 0));
			for (u32 i = 0; i < 8; i++)
				assert_int_equal(cpu->gpr[i], i == RSP ? 0x28000 : 0x10101010 * (i + 1));
			assert_true(cpu->cr0 & CR0_TS);
			assert_int_equal(cpu->dr[7], DR7_FIXED | 0x2aa);
			assert_int_equal(cpu->ldtr.selector, LDT_SEL);
			assert_int_equal(cpu->ldtr.base, LDT_AT);
			assert_int_equal(cpu->cpl, 0);

			if (call) { /* and back */
				RUNS(u, IRET);
				assert_int_equal(cpu->tr.selector, TSS_SEL);
				assert_int_equal(prot_type(u, NEW), SEG_P | SYS_TSS);
				assert_int_equal(prot_type(u, TSS_SEL), SEG_P | SYS_TSS_BUSY);
				assert_int_equal(cpu->rip, CPU_UNIT_CODE + 2);
				assert_int_equal(flags_get(cpu), FLAG_1 | FLAG_ZF | FLAG_IOPL);
				assert_int_equal(cpu->gpr[RSI], 0xabcd0000 + RSI);
				assert_int_equal(peek32(u, NEW_AT + T_FLAGS), FLAG_1 | FLAG_IF | FLAG_CF); /* NT is gone */
				assert_int_equal(peek32(u, NEW_AT + T_EIP), CPU_UNIT_CODE + 1);
			} else { /* the link was not for us */
				flags_set(cpu, flags_get(cpu) | FLAG_NT);
				FAULTS(u, IRET, EXC_TS, 0);
			}
			cpu_unit_free(u);
		}
}

/* To a task at level 3 and in V86 mode. */
static void other_levels(void **state)
{
	struct cpu_unit *u = prot_new(0);
	struct cpu *cpu = u->cpu;
	(void)state;

	new_task(u, NEW);
	for (u32 i = 0; i < 6; i++)
		poke32(u, NEW_AT + T_ES + i * 4, i == SEG_CS ? U_CODE : U_DATA);
	poke32(u, NEW_AT + T_LDT, 0);
	RUNS(u, JMP_FAR);
	assert_int_equal(cpu->cpl, 3);
	assert_int_equal(cpu->seg[SEG_SS].selector, U_DATA);
	assert_true(cpu->ldtr.attr & SEG_UNUSABLE);
	cpu_unit_free(u);

	u = prot_new(0);
	cpu = u->cpu;
	new_task(u, NEW);
	for (u32 i = 0; i < 6; i++)
		poke32(u, NEW_AT + T_ES + i * 4, 0x1000 + i);
	poke32(u, NEW_AT + T_FLAGS, FLAG_VM | FLAG_IOPL);
	RUNS(u, CALL_FAR);
	assert_int_equal(cpu->cpl, 3);
	assert_int_equal(flags_get(cpu), FLAG_1 | FLAG_VM | FLAG_IOPL | FLAG_NT);
	for (unsigned i = 0; i < SEG_COUNT; i++) {
		assert_int_equal(cpu->seg[i].base, (0x1000 + i) * 16);
		assert_int_equal(cpu->seg[i].attr, 0xf3);
	}
	cpu_unit_free(u);
}

static void narrow(void **state)
{
	struct cpu_unit *u = prot_new(0);
	struct cpu *cpu = u->cpu;
	(void)state;

	/* from 32 to 16 bits and back */
	new_task(u, NEW);
	prot_set(u, NEW, prot_descriptor(NEW_AT, 0x2b, SEG_P | SYS_TSS16));
	memset(prot_at(u, NEW_AT), 0, 0x68);
	const u16 image[] = {0, 0, 0, 0, 0, 0, 0, 0x7777, FLAG_IF | FLAG_SF, 1, 2, 3, 4, 0x8000, 6, 7, 8,
	                     K_DATA, K_CODE, K_DATA, K_DATA, LDT_SEL};
	memcpy(prot_at(u, NEW_AT), image, sizeof image);
	RUNS(u, CALL_FAR);
	assert_int_equal(cpu->rip, 0x7777);
	assert_int_equal(flags_get(cpu), FLAG_1 | FLAG_IF | FLAG_SF | FLAG_NT);
	assert_int_equal(*reg16(cpu, RSP), 0x8000);
	assert_int_equal(*reg16(cpu, RDI), 8);
	assert_int_equal(cpu->seg[SEG_DS].selector, K_DATA);
	assert_int_equal(cpu->seg[SEG_FS].selector, 0);
	assert_true(cpu->seg[SEG_GS].attr & SEG_UNUSABLE);
	assert_int_equal(cpu->tr.attr, SEG_P | SYS_TSS16_BUSY);
	assert_int_equal(load16(prot_at(u, NEW_AT)), TSS_SEL);
	cpu->gpr[RAX] = 0x12345678;
	RUNS(u, IRET);
	assert_int_equal(load16(prot_at(u, NEW_AT + 14)), CPU_UNIT_CODE + 1);
	assert_int_equal(load16(prot_at(u, NEW_AT + 16)), FLAG_1 | FLAG_IF | FLAG_SF);
	assert_int_equal(load16(prot_at(u, NEW_AT + 18)), 0x5678);
	assert_int_equal(load16(prot_at(u, NEW_AT + 36)), K_CODE);
	assert_int_equal(cpu->rip, CPU_UNIT_CODE + 2);
	assert_int_equal(cpu->gpr[RSP], STACK0_AT);
	/* one byte less is too short */
	prot_set(u, NEW, prot_descriptor(NEW_AT, 0x2a, SEG_P | SYS_TSS16));
	cpu->gpr[RBX] = 0x5000;
	FAULTS(u, JMP_FAR, EXC_TS, NEW);
	/* the current TSS must hold a task, too */
	prot_set(u, NEW, prot_descriptor(NEW_AT, 0x2b, SEG_P | SYS_TSS16));
	cpu->tr.limit = 0x66;
	FAULTS(u, JMP_FAR, EXC_TS, TSS_SEL);
	cpu_unit_free(u);
}

/* What is wrong before the switch leaves everything as it was. */
static void early_checks(void **state)
{
	static const struct {
		u8 cpl;
		u16 selector;
		u32 tss, gate; /* attributes */
		u16 gate_to;
		u32 limit;
		int vector;
		u32 code;
	} table[] = {
		{0, NEW, SEG_P | SYS_TSS_BUSY, 0, 0, 0x67, EXC_GP, NEW},
		{0, NEW, SYS_TSS, 0, 0, 0x67, EXC_NP, NEW},
		{0, NEW, SEG_P | SYS_TSS, 0, 0, 0x66, EXC_TS, NEW},
		{0, NEW | 1, SEG_P | SYS_TSS, 0, 0, 0x67, EXC_GP, NEW},
		{3, NEW, SEG_P | SYS_TSS, 0, 0, 0x67, EXC_GP, NEW},
		{0, NEW | 4, 0, 0, 0, 0x67, EXC_GP, NEW | 4},
		{0, GATE, SEG_P | SYS_TSS, SYS_TASK_GATE, NEW, 0x67, EXC_NP, GATE},
		{0, GATE | 1, SEG_P | SYS_TSS, SEG_P | SYS_TASK_GATE, NEW, 0x67, EXC_GP, GATE},
		{3, GATE, SEG_P | SYS_TSS, SEG_P | SYS_TASK_GATE, NEW, 0x67, EXC_GP, GATE},
		{0, GATE, SEG_P | SYS_TSS_BUSY, SEG_P | SYS_TASK_GATE, NEW, 0x67, EXC_GP, NEW},
		{0, GATE, SYS_TSS, SEG_P | SYS_TASK_GATE, NEW, 0x67, EXC_NP, NEW},
		{0, GATE, SEG_P | SYS_TSS, SEG_P | SYS_TASK_GATE, NEW | 4, 0x67, EXC_GP, NEW | 4},
		{0, GATE, SEG_P | SYS_TSS, SEG_P | SYS_TASK_GATE, K_DATA, 0x67, EXC_GP, K_DATA},
		{0, GATE, SEG_P | SYS_TSS, SEG_P | SYS_TASK_GATE, 0, 0x67, EXC_GP, 0},
		{0, GATE, SEG_P | SYS_TSS, SEG_P | SYS_TASK_GATE, GDT_LIMIT + 1, 0x67, EXC_GP, GDT_LIMIT + 1},
	};
	(void)state;

	for (unsigned i = 0; i < ARRAY_LEN(table); i++) {
		struct cpu_unit *u = prot_new(table[i].cpl);
		new_task(u, table[i].selector);
		prot_set(u, NEW, prot_descriptor(NEW_AT, table[i].limit, table[i].tss));
		prot_set(u, GATE, prot_gate(table[i].gate_to, 0, table[i].gate, 0));
		FAULTS(u, JMP_FAR, table[i].vector, table[i].code);
		FAULTS(u, CALL_FAR, table[i].vector, table[i].code);
		assert_int_equal(prot_type(u, TSS_SEL), SEG_P | SYS_TSS_BUSY);
		cpu_unit_free(u);
	}

	/* a gate gives level 3 what its DPL says, whatever the TSS's */
	struct cpu_unit *u = prot_new(3);
	struct cpu *cpu = u->cpu;
	new_task(u, GATE);
	prot_set(u, GATE, prot_gate(NEW, 0, SEG_P | SYS_TASK_GATE | A_DPL(3), 0));
	RUNS(u, CALL_FAR);
	assert_int_equal(cpu->cpl, 0);
	cpu_unit_free(u);

	/* IRET: the link */
	static const struct {
		u16 link;
		u32 attr;
		int vector;
	} links[] = {
		{0, SEG_P | SYS_TSS_BUSY, EXC_TS},
		{NEW | 4, SEG_P | SYS_TSS_BUSY, EXC_TS},
		{GDT_LIMIT + 1, SEG_P | SYS_TSS_BUSY, EXC_TS},
		{NEW, SEG_P | SYS_TSS, EXC_TS}, /* not busy */
		{NEW, SYS_TSS_BUSY, EXC_NP},
		{K_DATA, SEG_P | SYS_TSS_BUSY, EXC_TS},
	};
	for (unsigned i = 0; i < ARRAY_LEN(links); i++) {
		u = prot_new(0);
		new_task(u, NEW);
		prot_set(u, NEW, prot_descriptor(NEW_AT, 0x67, links[i].attr));
		store16(prot_at(u, TSS_AT), links[i].link);
		flags_set(u->cpu, FLAG_1 | FLAG_NT);
		FAULTS(u, IRET, links[i].vector, links[i].link);
		cpu_unit_free(u);
	}

	/* pages of either TSS missing or read-only */
	u = prot_new(0);
	prot_paging(u);
	new_task(u, NEW);
	poke32(u, NEW_AT + T_CR3, PT_AT);
	prot_page(u, TSS_AT, 5);
	FAULTS(u, JMP_FAR, EXC_PF, PF_P | PF_W);
	prot_page(u, TSS_AT, 7);
	prot_page(u, NEW_AT, 6);
	FAULTS(u, JMP_FAR, EXC_PF, 0);
	prot_page(u, NEW_AT, 5);
	FAULTS(u, CALL_FAR, EXC_PF, PF_P | PF_W); /* the link */
	RUNS(u, JMP_FAR);
	cpu_unit_free(u);

	/* each page that will be touched is tried first: nothing is half done */
	for (unsigned i = 0; i < 4; i++) {
		u = prot_new(0);
		prot_paging(u);
		u32 old = 0x46fc0, new = 0x48fc0; /* across two pages each */
		new_task(u, NEW);
		memcpy(prot_at(u, new), prot_at(u, NEW_AT), 0x68);
		poke32(u, new + T_CR3, PT_AT);
		prot_set(u, NEW, prot_descriptor(new, 0x67, SEG_P | SYS_TSS));
		u->cpu->tr.base = old;
		memset(prot_at(u, old), 0x55, 0x68);
		static const struct {
			u32 page, rights, code;
		} broken[] = {{0x46000, 5, PF_P | PF_W}, {0x47000, 5, PF_P | PF_W}, {0x49000, 0, 0}, {GDT_AT, 5, PF_P | PF_W}};
		prot_page(u, broken[i].page, broken[i].rights);
		FAULTS(u, JMP_FAR, EXC_PF, broken[i].code);
		assert_int_equal(peek32(u, old + T_EIP), 0x55555555);
		assert_int_equal(peek32(u, old + T_DS), 0x55555555);
		assert_int_equal(prot_type(u, TSS_SEL), SEG_P | SYS_TSS_BUSY);
		cpu_unit_free(u);
	}
}

/* What is wrong with the new task's segments is its own fault, of its first instruction. */
static void late_checks(void **state)
{
	static const struct {
		u8 at; /* offset in the TSS */
		u16 selector;
		u32 attr; /* of OTHER */
		int vector;
		u32 code;
	} table[] = {
		{T_LDT, LDT_SEL | 4, 0, EXC_TS, LDT_SEL | 4},
		{T_LDT, K_DATA, 0, EXC_TS, K_DATA},
		{T_LDT, OTHER, SYS_LDT, EXC_TS, OTHER},
		{T_LDT, GDT_LIMIT + 1, 0, EXC_TS, GDT_LIMIT + 1},
		{T_CS, 0, 0, EXC_TS, 0},
		{T_CS, K_DATA, 0, EXC_TS, K_DATA},
		{T_CS, K_CODE | 1, 0, EXC_TS, K_CODE},
		{T_CS, OTHER, A_CODE & ~SEG_P, EXC_NP, OTHER},
		{T_CS, OTHER, A_CODE | SEG_DC | A_DPL(1), EXC_TS, OTHER},
		{T_CS, GDT_LIMIT + 1, 0, EXC_TS, GDT_LIMIT + 1},
		{T_SS, 0, 0, EXC_TS, 0},
		{T_SS, K_CODE, 0, EXC_TS, K_CODE},
		{T_SS, K_DATA | 1, 0, EXC_TS, K_DATA},
		{T_SS, OTHER, A_DATA & ~SEG_P, EXC_SS, OTHER},
		{T_DS, OTHER, (A_CODE & ~SEG_RW), EXC_TS, OTHER},
		{T_DS, OTHER, A_DATA & ~SEG_P, EXC_NP, OTHER},
		{T_DS, OTHER | 1, A_DATA, EXC_TS, OTHER},
		{T_DS, TSS_SEL, 0, EXC_TS, TSS_SEL},
		{T_EIP, 0xffff, 0, -1, 0},
		{T_CS, OTHER, (A_CODE | SEG_DC) & ~SEG_ACCESSED, -1, 0},
		{T_SS, OTHER, A_DATA & ~SEG_ACCESSED, -1, 0},
		{T_DS, OTHER, A_DATA & ~SEG_ACCESSED, -1, 0},
	};
	(void)state;

	for (unsigned i = 0; i < ARRAY_LEN(table); i++) {
		struct cpu_unit *u = prot_new(0);
		struct cpu *cpu = u->cpu;
		new_task(u, NEW);
		prot_set(u, OTHER, prot_descriptor(0, 0xffff, table[i].attr));
		poke32(u, NEW_AT + table[i].at, table[i].selector);
		int vector = RUN(u, JMP_FAR);
		assert_int_equal(vector, table[i].vector);
		assert_int_equal(cpu->tr.selector, NEW);
		assert_int_equal(prot_type(u, TSS_SEL), SEG_P | SYS_TSS);
		assert_int_equal(cpu->rip, table[i].at == T_EIP ? table[i].selector : 0x7777);
		assert_int_equal(cpu->gpr[RSP], 0x28000);
		if (vector < 0 && table[i].attr) {
			assert_true(prot_type(u, OTHER) & SEG_ACCESSED);
			assert_true(cpu->seg[(table[i].at - T_ES) / 4].attr & SEG_ACCESSED);
		}
		if (vector >= 0) {
			assert_int_equal(cpu->fault.code, table[i].code);
			assert_int_equal(cpu->fault.rip, 0x7777);
			if (table[i].at != T_LDT && table[i].at != T_CS)
				assert_int_equal(cpu->seg[SEG_CS].selector, K_CODE);
		}
		cpu_unit_free(u);
	}

	/* EIP beyond CS */
	struct cpu_unit *u = prot_new(0);
	new_task(u, NEW);
	poke32(u, NEW_AT + T_CS, K_CODE16);
	poke32(u, NEW_AT + T_EIP, 0x10000);
	RUN_FAULT(u, JMP_FAR, EXC_GP);
	assert_int_equal(u->cpu->rip, 0x10000);
	assert_int_equal(u->cpu->seg[SEG_CS].selector, K_CODE16);
	cpu_unit_free(u);
}

static void gate_with_code(void **state)
{
	struct cpu_unit *u = prot_new(3);
	struct cpu *cpu = u->cpu;
	(void)state;

	/* #GP through a task gate: its error code lies on the new task's stack, RF is in the old one's flags */
	new_task(u, NEW);
	prot_idt(u, EXC_GP, prot_gate(NEW, 0, SEG_P | SYS_TASK_GATE, 0));
	cpu->rip = 0x1234;
	flags_set(cpu, FLAG_1 | FLAG_IF);
	cpu->fault = (struct cpu_fault){.vector = EXC_GP, .has_code = true, .code = 0x5678};
	assert_true(exception_dispatch(cpu));
	assert_int_equal(cpu->rip, 0x7777);
	assert_int_equal(cpu->gpr[RSP], 0x27ffc);
	assert_int_equal(peek32(u, 0x27ffc), 0x5678);
	assert_int_equal(peek32(u, TSS_AT + T_EIP), 0x1234);
	assert_int_equal(peek32(u, TSS_AT + T_FLAGS), FLAG_1 | FLAG_IF | FLAG_RF);
	assert_int_equal(peek32(u, TSS_AT + T_SS), U_DATA);
	assert_true(flags_get(cpu) & FLAG_NT);
	cpu->gpr[RSP] += 4;
	RUNS(u, IRET);
	assert_int_equal(cpu->cpl, 3);
	assert_int_equal(cpu->rip, 0x1234);
	assert_int_equal(flags_get(cpu), FLAG_1 | FLAG_IF | FLAG_RF);

	/* what fails in the new task has EXT */
	static const struct {
		u8 at;
		u16 selector;
		u8 vector;
		u32 code;
	} late[] = {
		{T_LDT, K_DATA, EXC_TS, K_DATA | 1}, {T_CS, K_DATA, EXC_TS, K_DATA | 1}, {T_SS, K_CODE, EXC_TS, K_CODE | 1},
		{T_DS, TSS_SEL, EXC_TS, TSS_SEL | 1}, {T_LINK, 0, EXC_GP, 1},
	};
	for (unsigned i = 0; i < ARRAY_LEN(late); i++) {
		cpu_unit_free(u);
		u = prot_new(3);
		cpu = u->cpu;
		new_task(u, NEW);
		poke32(u, NEW_AT + late[i].at, late[i].selector);
		if (late[i].at == T_LINK) {
			poke32(u, NEW_AT + T_CS, K_CODE16);
			poke32(u, NEW_AT + T_EIP, 0x10000);
		}
		prot_idt(u, 0x1f, prot_gate(NEW, 0, SEG_P | SYS_TASK_GATE, 0));
		exception_interrupt(cpu, 0x1f, EVENT_EXTERNAL);
		assert_int_equal(cpu->chain[0].vector, late[i].vector);
		assert_int_equal(cpu->chain[0].code, late[i].code);
		assert_int_equal(cpu->tr.selector, NEW);
	}
	cpu_unit_free(u);
	u = prot_new(3);
	cpu = u->cpu;
	prot_idt(u, EXC_GP, prot_gate(NEW, 0, SEG_P | SYS_TASK_GATE, 0));

	/* no room for it: #SS of the new task with EXT; that one has a handler at level 0 on the same bad stack, so #DF
	 * through a gate to a third task */
	new_task(u, NEW);
	prot_set(u, OTHER, prot_descriptor(0, 0xfff, A_DATA | SEG_DB));
	poke32(u, NEW_AT + T_SS, OTHER);
	prot_idt(u, EXC_SS, prot_gate(K_CODE, HANDLER, SEG_P | SYS_INT, 0));
	prot_idt(u, EXC_DF, prot_gate(TSS_SEL, 0, SEG_P | SYS_TASK_GATE, 0));
	cpu->fault = (struct cpu_fault){.vector = EXC_GP, .has_code = true, .code = 0x5678};
	assert_false(exception_dispatch(cpu)); /* the third task is busy */
	assert_int_equal(cpu->chain_len, 4);
	assert_int_equal(cpu->chain[0].vector, EXC_GP);
	assert_int_equal(cpu->chain[1].vector, EXC_SS);
	assert_int_equal(cpu->chain[1].code, 1);
	assert_int_equal(cpu->chain[1].rip, 0x7777);
	assert_int_equal(cpu->chain[3].vector, EXC_GP);
	assert_int_equal(cpu->chain[3].code, TSS_SEL | 1);
	cpu_unit_free(u);
}

static void trap_and_cr3(void **state)
{
	struct cpu_unit *u = prot_new(0);
	struct cpu *cpu = u->cpu;
	(void)state;

	/* the T bit: #DB before the new task's first instruction */
	new_task(u, NEW);
	poke32(u, NEW_AT + T_TRAP, 1);
	prot_idt(u, EXC_DB, prot_gate(K_CODE, HANDLER, SEG_P | SYS_INT, 0));
	RUNS(u, JMP_FAR);
	assert_int_equal(cpu->rip, 0x7777);
	assert_true(exception_traps_due(cpu) && cpu->careful);
	exception_traps(cpu);
	assert_int_equal(cpu->rip, HANDLER);
	assert_int_equal(cpu->dr[6], DR6_FIXED | DR6_BT);
	assert_int_equal(peek32(u, 0x28000 - 12), 0x7777);
	assert_int_equal(cpu->tr.selector, NEW);
	cpu_unit_free(u);

	/* a handler that is such a task as well: its own trap comes next, not within the first */
	u = prot_new(0);
	cpu = u->cpu;
	new_task(u, NEW);
	poke32(u, NEW_AT + T_TRAP, 1);
	memcpy(prot_at(u, NEW_AT + 0x1000), prot_at(u, NEW_AT), 0x68);
	prot_set(u, OTHER, prot_descriptor(NEW_AT + 0x1000, 0x67, SEG_P | SYS_TSS));
	prot_idt(u, EXC_DB, prot_gate(OTHER, 0, SEG_P | SYS_TASK_GATE, 0));
	RUNS(u, JMP_FAR);
	assert_int_equal(cpu->tr.selector, NEW);
	exception_traps(cpu);
	assert_int_equal(cpu->tr.selector, OTHER);
	assert_true(exception_traps_due(cpu) && cpu->careful);
	assert_int_equal(cpu->chain_len, 0);
	cpu_unit_free(u);

	/* CR3 comes from the TSS while paging is on */
	u = prot_new(0);
	cpu = u->cpu;
	new_task(u, NEW);
	poke32(u, NEW_AT + T_CR3, 0x12345000);
	RUNS(u, JMP_FAR);
	assert_int_equal(cpu->cr3, 0);
	cpu_unit_free(u);
	u = prot_new(0);
	cpu = u->cpu;
	prot_paging(u);
	new_task(u, NEW);
	memcpy(prot_at(u, PT_AT + 0x2000), prot_at(u, PT_AT), 8);
	poke32(u, NEW_AT + T_CR3, PT_AT + 0x2018);
	RUNS(u, JMP_FAR);
	assert_int_equal(cpu->cr3, PT_AT + 0x2018);
	/* pages under the new CR3 count for the new task's descriptors */
	cpu_unit_free(u);
	u = prot_new(0);
	cpu = u->cpu;
	prot_paging(u);
	new_task(u, NEW);
	poke32(u, PT_AT + 0x2000, (PT_AT + 0x3000) | 7);
	memcpy(prot_at(u, PT_AT + 0x3000), prot_at(u, PT_AT + 0x1000), 0x1000);
	poke32(u, PT_AT + 0x3000 + (GDT_AT >> 12) * 4, 0);
	poke32(u, NEW_AT + T_CR3, PT_AT + 0x2000);
	RUN_FAULT(u, JMP_FAR, EXC_PF);
	assert_int_equal(cpu->tr.selector, NEW);
	assert_int_equal(cpu->fault.cr2, GDT_AT + LDT_SEL);
	assert_int_equal(cpu->fault.rip, 0x7777);
	cpu_unit_free(u);

	/* PAE: bad PDPTEs are found in time */
	u = prot_new(0);
	cpu = u->cpu;
	store64(prot_at(u, PT_AT), (PT_AT + 0x1000) | 1);
	store64(prot_at(u, PT_AT + 0x1000), 0xe3); /* 2 MiB pages */
	store64(prot_at(u, PT_AT + 0x1008), 0x2000e3);
	assert_true(control_set_cr4(cpu, CR4_PAE));
	assert_true(control_set_cr3(cpu, PT_AT));
	assert_true(control_set_cr0(cpu, cpu->cr0 | CR0_PG));
	new_task(u, NEW);
	poke32(u, NEW_AT + T_CR3, PT_AT + 0x20);
	store64(prot_at(u, PT_AT + 0x20), 0x1000 | 3);
	FAULTS(u, JMP_FAR, EXC_GP, 0);
	store64(prot_at(u, PT_AT + 0x20), (PT_AT + 0x1000) | 1);
	RUNS(u, JMP_FAR);
	assert_int_equal(cpu->cr3, PT_AT + 0x20);
	cpu_unit_free(u);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(jump_and_call), cmocka_unit_test(other_levels), cmocka_unit_test(narrow),
		cmocka_unit_test(early_checks), cmocka_unit_test(late_checks), cmocka_unit_test(gate_with_code),
		cmocka_unit_test(trap_and_cr3),
	};

	return cmocka_run_group_tests_name("task", tests, NULL, NULL);
}
