/* SPDX-License-Identifier: MIT */
/* Loading segment registers, limits, and the instructions that look at descriptors. */
#include "cpu/exception.h"
#include "tests/unit/prot_unit.h"

#define MOV_DS_AX "\x8e\xd8"
#define MOV_SS_AX "\x8e\xd0"
#define MOV_DL_DS_EBX "\x8a\x13" /* mov dl, [ebx] */
#define MOV_DS_EBX_DL "\x88\x13"
#define MOV_EDX_DS_EBX "\x8b\x13"
#define MOV_DX_SS_EBX "\x36\x66\x8b\x13"

static void data_segments(void **state)
{
	struct cpu_unit *u = prot_new(3);
	struct cpu *cpu = u->cpu;
	(void)state;

	/* null: may be loaded, not be used */
	cpu->gpr[RAX] = 3;
	RUNS(u, MOV_DS_AX);
	assert_int_equal(cpu->seg[SEG_DS].selector, 3);
	assert_true(cpu->seg[SEG_DS].attr & SEG_UNUSABLE);
	FAULTS(u, MOV_DL_DS_EBX, EXC_GP, 0);
	FAULTS(u, MOV_DS_EBX_DL, EXC_GP, 0);

	static const struct {
		u16 selector;
		u32 attr;
		int vector; /* -1: loads */
	} table[] = {
		{SCRATCH, A_DATA | A_DPL(3), -1},
		{SCRATCH | 3, A_DATA | A_DPL(3), -1},
		{SCRATCH, A_DATA | A_DPL(2), EXC_GP},            /* CPL 3 > DPL */
		{SCRATCH, A_DATA | A_DPL(2) | SEG_DC, EXC_GP},
		{SCRATCH, A_CODE | A_DPL(2), EXC_GP},
		{SCRATCH, A_CODE | A_DPL(0) | SEG_DC, -1},       /* conforming: for everyone */
		{SCRATCH, (A_CODE | A_DPL(3)) & ~SEG_RW, EXC_GP}, /* execute-only */
		{SCRATCH, (A_DATA | A_DPL(3)) & ~SEG_RW, -1},    /* read-only */
		{SCRATCH, SEG_P | SYS_TSS | A_DPL(3), EXC_GP},
		{SCRATCH, (A_DATA | A_DPL(3)) & ~SEG_P, EXC_NP},
		{SCRATCH, (A_DATA | A_DPL(0)) & ~SEG_P, EXC_GP}, /* privilege before presence */
		{SCRATCH | 4, A_DATA | A_DPL(3), EXC_GP},        /* beyond the LDT */
		{0x38 | 4, A_DATA | A_DPL(3), -1},               /* its last entry */
	};
	for (unsigned i = 0; i < ARRAY_LEN(table); i++) {
		if (!((table[i].selector & 4) && table[i].vector >= 0))
			prot_set(u, table[i].selector, prot_descriptor(0x1000, 0xff, table[i].attr));
		cpu->gpr[RAX] = table[i].selector;
		if (table[i].vector < 0) {
			RUNS(u, MOV_DS_AX);
			assert_int_equal(cpu->seg[SEG_DS].selector, table[i].selector);
			assert_int_equal(cpu->seg[SEG_DS].base, 0x1000);
			assert_int_equal(cpu->seg[SEG_DS].limit, 0xff);
		} else {
			FAULTS(u, MOV_DS_AX, table[i].vector, table[i].selector & 0xfffc);
		}
	}

	/* RPL counts as much as CPL */
	prot_level(u, 0);
	prot_set(u, SCRATCH, prot_descriptor(0, 0xff, A_DATA | A_DPL(1)));
	cpu->gpr[RAX] = SCRATCH | 1;
	RUNS(u, MOV_DS_AX);
	cpu->gpr[RAX] = SCRATCH | 2;
	FAULTS(u, MOV_DS_AX, EXC_GP, SCRATCH);

	/* the last entry of the GDT must fit whole */
	cpu->gdtr.limit = SCRATCH + 6;
	FAULTS(u, MOV_DS_AX, EXC_GP, SCRATCH);
	cpu->gdtr.limit = GDT_LIMIT;

	/* a null LDT has no entries */
	cpu->ldtr.attr = SEG_UNUSABLE;
	cpu->gpr[RAX] = 4;
	FAULTS(u, MOV_DS_AX, EXC_GP, 4);

	cpu->ldtr.attr = SYS_LDT; /* nor has one that is not present */
	FAULTS(u, MOV_DS_AX, EXC_GP, 4);
	/* the LDT's own limit, not that of the GDT */
	cpu->ldtr = (struct seg){.base = LDT_AT, .limit = 0x3f, .attr = SEG_P | SYS_LDT};
	prot_set(u, 0x40 | 4, prot_descriptor(0, 0xff, A_DATA));
	cpu->gpr[RAX] = 0x40 | 4;
	FAULTS(u, MOV_DS_AX, EXC_GP, 0x40 | 4);
	cpu->ldtr.limit = 0x47;
	RUNS(u, MOV_DS_AX);

	/* the accessed bit is set in memory and in the register */
	prot_set(u, SCRATCH, prot_descriptor(0, 0xff, A_DATA & ~SEG_ACCESSED));
	cpu->gpr[RAX] = SCRATCH;
	RUNS(u, MOV_DS_AX);
	assert_int_equal(prot_type(u, SCRATCH), A_DATA);
	assert_int_equal(cpu->seg[SEG_DS].attr, A_DATA);
	cpu_unit_free(u);
}

static void stack_segments(void **state)
{
	struct cpu_unit *u = prot_new(0);
	struct cpu *cpu = u->cpu;
	(void)state;

	static const struct {
		u16 selector;
		u32 attr;
		int vector;
		u32 code;
	} table[] = {
		{0, 0, EXC_GP, 0},
		{3, 0, EXC_GP, 0},
		{SCRATCH, A_DATA, -1, 0},
		{SCRATCH | 1, A_DATA, EXC_GP, SCRATCH},          /* RPL */
		{SCRATCH, A_DATA | A_DPL(1), EXC_GP, SCRATCH},
		{SCRATCH, A_DATA & ~SEG_RW, EXC_GP, SCRATCH},
		{SCRATCH, A_CODE, EXC_GP, SCRATCH},
		{SCRATCH, SEG_P | SYS_LDT, EXC_GP, SCRATCH},
		{SCRATCH, A_DATA & ~SEG_P, EXC_SS, SCRATCH},
		{GDT_LIMIT + 1, 0, EXC_GP, GDT_LIMIT + 1},
	};
	for (unsigned i = 0; i < ARRAY_LEN(table); i++) {
		if (table[i].attr)
			prot_set(u, table[i].selector, prot_descriptor(0, 0xffff, table[i].attr));
		cpu->gpr[RAX] = table[i].selector;
		if (table[i].vector >= 0) {
			FAULTS(u, MOV_SS_AX, table[i].vector, table[i].code);
			assert_int_equal(cpu->shadow, SHADOW_NONE);
		} else {
			RUNS(u, MOV_SS_AX);
			assert_int_equal(cpu->shadow, SHADOW_MOV_SS);
			cpu->shadow = SHADOW_NONE;
		}
	}
	cpu_unit_free(u);

	/* 64-bit mode takes a null SS, but not at CPL 3 and not with another RPL */
	u = prot_new_long(0);
	u->cpu->gpr[RAX] = 0;
	RUNS(u, MOV_SS_AX);
	assert_int_equal(u->cpu->seg[SEG_SS].attr, SEG_UNUSABLE);
	u->cpu->shadow = SHADOW_NONE;
	u->cpu->gpr[RAX] = 3;
	FAULTS(u, MOV_SS_AX, EXC_GP, 0);
	cpu_unit_free(u);
	u = prot_new_long(3);
	u->cpu->gpr[RAX] = 3;
	FAULTS(u, MOV_SS_AX, EXC_GP, 0);
	/* at CPL 1 and 2 the attributes keep the privilege */
	u->cpu->cpl = 2;
	u->cpu->gpr[RAX] = 2;
	RUNS(u, MOV_SS_AX);
	assert_int_equal(u->cpu->seg[SEG_SS].attr, SEG_UNUSABLE | A_DPL(2));
	RUNS(u, MOV_DS_AX);
	assert_int_equal(u->cpu->seg[SEG_DS].attr, SEG_UNUSABLE);
	cpu_unit_free(u);
}

static int linear_of(struct cpu_unit *u, enum seg_index index, u64 offset, unsigned size, u64 *linear)
{
	jmp_buf env;
	int vector = -1;

	u->cpu->fault_env = &env;
	if (setjmp(env))
		vector = u->cpu->fault.vector;
	else
		*linear = segment_linear(u->cpu, index, offset, size, false);
	u->cpu->fault_env = NULL;
	return vector;
}

static void canonical(void **state)
{
	struct cpu_unit *u = prot_new_long(0);
	u64 linear;
	(void)state;

	u->cpu->seg[SEG_FS].base = 0x10000;
	u->cpu->seg[SEG_ES].base = 0x20000;
	assert_int_equal(linear_of(u, SEG_FS, 0x1234, 8, &linear), -1);
	assert_int_equal(linear, 0x11234);
	assert_int_equal(linear_of(u, SEG_ES, 0x1234, 8, &linear), -1);
	assert_int_equal(linear, 0x1234);
	assert_int_equal(linear_of(u, SEG_ES, 0x7ffffffffff8, 8, &linear), -1);
	assert_int_equal(linear_of(u, SEG_ES, 0x7ffffffffff9, 8, &linear), EXC_GP);
	assert_int_equal(linear_of(u, SEG_ES, 0xffff7fffffffffff, 2, &linear), EXC_GP);
	assert_int_equal(linear_of(u, SEG_ES, 0xffff800000000000, 8, &linear), -1);
	assert_int_equal(linear_of(u, SEG_SS, 0x7ffffffffff9, 8, &linear), EXC_SS);
	cpu_unit_free(u);
}

static void limits(void **state)
{
	struct cpu_unit *u = prot_new(0);
	struct cpu *cpu = u->cpu;
	(void)state;

	static const struct {
		u32 limit, attr, offset;
		bool byte, dword; /* may be read */
	} table[] = {
		{0xff, A_DATA, 0xff, true, false},
		{0xff, A_DATA, 0xfc, true, true},
		{0xff, A_DATA, 0xfd, true, false},
		{0xff, A_DATA, 0x100, false, false},
		{0, A_DATA | SEG_G, 0xffc, true, true},
		{0, A_DATA | SEG_G, 0xffd, true, false},
		{0xff, A_DATA | SEG_DC, 0xff, false, false},      /* expand down */
		{0xff, A_DATA | SEG_DC, 0x100, true, true},
		{0xff, A_DATA | SEG_DC, 0xfffc, true, true},
		{0xff, A_DATA | SEG_DC, 0xfffd, true, false},
		{0xff, A_DATA | SEG_DC, 0x10000, false, false},
		{0xff, A_DATA | SEG_DC | SEG_DB, 0x10000, true, true},
		{0xff, A_DATA | SEG_DC | SEG_DB, 0x80, false, false},
		{0xfffff, A_DATA | SEG_DC | SEG_DB | SEG_G, 0x80, false, false}, /* empty */
	};
	for (unsigned i = 0; i < ARRAY_LEN(table); i++) {
		prot_set(u, SCRATCH, prot_descriptor(0x40000, table[i].limit, table[i].attr));
		cpu->gpr[RAX] = SCRATCH;
		RUNS(u, MOV_DS_AX);
		cpu->gpr[RBX] = table[i].offset;
		store32(prot_at(u, 0x40000 + table[i].offset), 0x11223344 + i);
		if (table[i].byte) {
			RUNS(u, MOV_DL_DS_EBX);
			assert_int_equal(*reg8(cpu, RDX * 8), (u8)(0x44 + i));
		} else {
			FAULTS(u, MOV_DL_DS_EBX, EXC_GP, 0);
		}
		if (table[i].dword)
			RUNS(u, MOV_EDX_DS_EBX);
		else
			FAULTS(u, MOV_EDX_DS_EBX, EXC_GP, 0);
	}

	/* SS: its own vector */
	prot_set(u, SCRATCH, prot_descriptor(0x40000, 0xff, A_DATA));
	RUNS(u, MOV_SS_AX);
	cpu->shadow = SHADOW_NONE;
	cpu->gpr[RBX] = 0xff;
	FAULTS(u, MOV_DX_SS_EBX, EXC_SS, 0);
	cpu->gpr[RBX] = 0xfe;
	RUNS(u, MOV_DX_SS_EBX);

	/* read-only data, readable code: not to be written */
	prot_set(u, SCRATCH, prot_descriptor(0x40000, 0xff, A_DATA & ~SEG_RW));
	RUNS(u, MOV_DS_AX);
	RUNS(u, MOV_DL_DS_EBX);
	FAULTS(u, MOV_DS_EBX_DL, EXC_GP, 0);
	prot_set(u, SCRATCH, prot_descriptor(0x40000, 0xff, A_CODE));
	RUNS(u, MOV_DS_AX);
	RUNS(u, MOV_DL_DS_EBX);
	FAULTS(u, MOV_DS_EBX_DL, EXC_GP, 0);
	FAULTS(u, "\x2e\x88\x13", EXC_GP, 0); /* mov cs:[ebx], dl */

	/* base + offset wraps at 4 GiB */
	prot_set(u, SCRATCH, prot_descriptor(0xfffff000, 0xfffff, A_DATA | A_FLAT));
	RUNS(u, MOV_DS_AX);
	cpu->gpr[RBX] = 0x1234 + 0x1000;
	store8(prot_at(u, 0x1234), 0x5a);
	RUNS(u, MOV_DL_DS_EBX);
	assert_int_equal(*reg8(cpu, RDX * 8), 0x5a);
	cpu_unit_free(u);
}

static void real_mode(void **state)
{
	struct cpu_unit *u = prot_new(0);
	struct cpu *cpu = u->cpu;
	(void)state;

	/* unreal mode: what protected mode left stays but for the base */
	assert_true(control_set_cr0(cpu, CR0_ET));
	prot_load(u, SEG_CS, K_CODE16);
	mode_update(cpu);
	cpu->gpr[RAX] = 0x1234;
	RUNS(u, MOV_DS_AX);
	assert_int_equal(cpu->seg[SEG_DS].base, 0x12340);
	assert_int_equal(cpu->seg[SEG_DS].limit, 0xffffffff);
	/* mov dl, [ebx] with a 32-bit address beyond 64 KiB */
	cpu->gpr[RBX] = 0x200000;
	store8(prot_at(u, 0x212340), 0x77);
	RUNS(u, "\x67\x8a\x13");
	assert_int_equal(*reg8(cpu, RDX * 8), 0x77);
	/* CS can be written; limits count */
	cpu->gpr[RBX] = 0x5000;
	RUNS(u, "\x2e\x67\x88\x13");
	assert_int_equal(load8(prot_at(u, 0x5000)), 0x77);
	cpu->gpr[RBX] = 0x10000;
	FAULTS(u, "\x2e\x67\x88\x13", EXC_GP, 0);
	/* a null selector loaded before must not spoil the register */
	cpu->seg[SEG_ES] = (struct seg){.attr = SEG_UNUSABLE};
	RUNS(u, "\x8e\xc0"); /* mov es, ax */
	assert_int_equal(cpu->seg[SEG_ES].limit, 0xffff);
	assert_int_equal(cpu->seg[SEG_ES].attr, A_DATA);
	/* attributes become usable ones: a level and a type do not matter here */
	cpu->seg[SEG_ES].attr = SEG_S | A_DPL(3) | SEG_DB;
	RUNS(u, "\x8e\xc0");
	assert_int_equal(cpu->seg[SEG_ES].attr, A_DATA | SEG_DB);
	RUNS(u, "\x26\x67\x88\x16"); /* mov es:[esi], dl */
	/* none of these exists here */
	FAULTS(u, "\x0f\x02\xc1", EXC_UD, 0);
	FAULTS(u, "\x0f\x03\xc1", EXC_UD, 0);
	FAULTS(u, "\x0f\x00\xe0", EXC_UD, 0);
	FAULTS(u, "\x0f\x00\xe8", EXC_UD, 0);
	FAULTS(u, "\x63\xc1", EXC_UD, 0);
	FAULTS(u, "\x0f\x00\xd0", EXC_UD, 0);
	FAULTS(u, "\x0f\x00\xd8", EXC_UD, 0);
	FAULTS(u, "\x0f\x00\xc0", EXC_UD, 0);
	FAULTS(u, "\x0f\x00\xc8", EXC_UD, 0);
	cpu_unit_free(u);
}

static void pushes(void **state)
{
	struct cpu_unit *u = prot_new(0);
	struct cpu *cpu = u->cpu;
	(void)state;

	store32(prot_at(u, STACK0_AT - 4), 0xdeadbeef);
	RUNS(u, "\x1e"); /* push ds: 4 bytes of room, 2 written */
	assert_int_equal(cpu->gpr[RSP], STACK0_AT - 4);
	assert_int_equal(load32(prot_at(u, STACK0_AT - 4)), 0xdead0000 | K_DATA);
	store32(prot_at(u, STACK0_AT - 4), 0xdead0000 | CONFORMING);
	RUNS(u, "\x07"); /* pop es */
	assert_int_equal(cpu->seg[SEG_ES].selector, CONFORMING);
	assert_int_equal(cpu->gpr[RSP], STACK0_AT);
	RUNS(u, "\x66\x0e"); /* pushw cs */
	assert_int_equal(cpu->gpr[RSP], STACK0_AT - 2);

	/* a fault of POP leaves ESP */
	store16(prot_at(u, STACK0_AT - 2), SCRATCH);
	prot_set(u, SCRATCH, 0);
	FAULTS(u, "\x66\x1f", EXC_GP, SCRATCH);
	/* POP SS counts by the width of the old SS: all 32 bits of ESP move */
	cpu->gpr[RSP] = 0x2fffe;
	store16(prot_at(u, 0x2fffe), K_DATA16);
	RUNS(u, "\x66\x17");
	assert_int_equal(cpu->gpr[RSP], 0x30000);
	assert_int_equal(cpu->shadow, SHADOW_MOV_SS);
	cpu->shadow = SHADOW_NONE;
	/* the new one has 16 bits: SP 0 wraps */
	RUNS(u, "\x66\x1e");
	assert_int_equal(cpu->gpr[RSP], 0x3fffe);

	/* LSS loads both or nothing */
	cpu->gpr[RBX] = 0x5000;
	store32(prot_at(u, 0x5000), 0x12345678);
	store16(prot_at(u, 0x5004), K_DATA);
	RUNS(u, "\x0f\xb2\x23"); /* lss esp, [ebx] */
	assert_int_equal(cpu->gpr[RSP], 0x12345678);
	assert_int_equal(cpu->seg[SEG_SS].selector, K_DATA);
	assert_int_equal(cpu->shadow, SHADOW_NONE);
	store16(prot_at(u, 0x5004), SCRATCH);
	FAULTS(u, "\x0f\xb2\x23", EXC_GP, SCRATCH);
	FAULTS(u, "\x0f\xb4\x0b", EXC_GP, SCRATCH); /* lfs ecx, [ebx] */
	/* all of the pointer must be in the segment */
	prot_set(u, SCRATCH2, prot_descriptor(0, 0x5004, A_DATA));
	prot_load(u, SEG_DS, SCRATCH2);
	mode_update(cpu);
	FAULTS(u, "\x0f\xb4\x0b", EXC_GP, 0);
	prot_load(u, SEG_DS, K_DATA);
	mode_update(cpu);
	store32(prot_at(u, 0x5000), K_DATA << 16 | 0x7777);
	cpu->gpr[RCX] = 0xffffffffffffffff;
	RUN_OK(u, "\x66\x0f\xb4\x0b"); /* lfs cx, [ebx] */
	assert_true(cpu->gpr[RCX] == 0xffffffffffff7777);
	assert_int_equal(cpu->seg[SEG_FS].selector, K_DATA);

	/* MOV: zero-extended to a register, 16 bits in memory */
	cpu->gpr[RAX] = cpu->gpr[RCX] = ~0ull;
	RUN_OK(u, "\x8c\xd8"); /* mov eax, ds */
	assert_true(cpu->gpr[RAX] == K_DATA);
	RUN_OK(u, "\x66\x8c\xd9"); /* mov cx, ds */
	assert_true(cpu->gpr[RCX] == (0xffffffffffff0000 | K_DATA));
	store32(prot_at(u, 0x5000), 0xffffffff);
	RUN_OK(u, "\x8c\x1b"); /* mov [ebx], ds */
	assert_int_equal(load32(prot_at(u, 0x5000)), 0xffff0000 | K_DATA);
	store16(prot_at(u, 0x5000), U_DATA);
	RUN_OK(u, "\x8e\x03"); /* mov es, [ebx] */
	assert_int_equal(cpu->seg[SEG_ES].selector, U_DATA);
	cpu->gpr[RSP] = 0x5000;
	RUN_OK(u, "\x07"); /* pop es: no shadow, on to the next instruction */
	assert_int_equal(cpu->shadow, SHADOW_NONE);
	cpu_unit_free(u);
}

static void looking(void **state)
{
	struct cpu_unit *u = prot_new(0);
	struct cpu *cpu = u->cpu;
	(void)state;

	enum { LAR = 1, LSL = 2, VERR = 4, VERW = 8 };
	static const struct {
		u32 attr;
		u8 cpl, rpl;
		u8 good, good_long;
	} table[] = {
		{A_DATA, 0, 0, LAR | LSL | VERR | VERW, LAR | LSL | VERR | VERW},
		{A_DATA & ~SEG_P, 0, 0, LAR | LSL | VERR | VERW, LAR | LSL | VERR | VERW},
		{A_DATA, 3, 0, 0, 0},
		{A_DATA | SEG_DC, 3, 0, 0, 0}, /* expand down is not conforming */
		{A_DATA, 0, 1, 0, 0},
		{A_DATA | A_DPL(3), 3, 3, LAR | LSL | VERR | VERW, LAR | LSL | VERR | VERW},
		{A_DATA & ~SEG_RW, 0, 0, LAR | LSL | VERR, LAR | LSL | VERR},
		{A_CODE, 0, 0, LAR | LSL | VERR, LAR | LSL | VERR},
		{A_CODE & ~SEG_RW, 0, 0, LAR | LSL, LAR | LSL},
		{A_CODE | SEG_DC, 3, 3, LAR | LSL | VERR, LAR | LSL | VERR},
		{SEG_P | 0, 0, 0, 0, 0},
		{SEG_P | SYS_TSS16, 0, 0, LAR | LSL, 0},
		{SEG_P | SYS_LDT, 0, 0, LAR | LSL, LAR | LSL},
		{SEG_P | SYS_TSS16_BUSY, 0, 0, LAR | LSL, 0},
		{SEG_P | SYS_CALL16, 0, 0, LAR, 0},
		{SEG_P | SYS_TASK_GATE, 0, 0, LAR, 0},
		{SEG_P | SYS_INT16, 0, 0, 0, 0},
		{SEG_P | SYS_TSS, 0, 0, LAR | LSL, LAR | LSL},
		{SEG_P | SYS_TSS_BUSY, 0, 0, LAR | LSL, LAR | LSL},
		{SEG_P | SYS_CALL, 0, 0, LAR, LAR},
		{SEG_P | SYS_INT, 0, 0, 0, 0},
		{SEG_P | SYS_TRAP, 0, 0, 0, 0},
		{SEG_P | SYS_TSS, 3, 3, 0, 0},
		{SEG_P | SYS_TSS | A_DPL(3), 3, 3, LAR | LSL, LAR | LSL},
	};
	static const char *const code[] = {"\x0f\x02\xc1", "\x0f\x03\xc1", "\x0f\x00\xe1", "\x0f\x00\xe9"}; /* eax, ecx */

	for (unsigned i = 0; i < 2; i++) {
		if (i) {
			cpu_unit_free(u);
			u = prot_new_long(0);
			cpu = u->cpu;
		}
		for (unsigned t = 0; t < ARRAY_LEN(table); t++)
			for (unsigned op = 0; op < 4; op++) {
				if (i)
					cpu->cpl = table[t].cpl;
				else
					prot_level(u, table[t].cpl);
				prot_set(u, SCRATCH, prot_descriptor(0x345678, 0xabcde, table[t].attr | SEG_G | SEG_AVL));
				cpu->gpr[RAX] = 0xffffffffeeeeeeee;
				cpu->gpr[RCX] = SCRATCH | table[t].rpl;
				flags_set(cpu, FLAG_1 | FLAG_CF | FLAG_OF | FLAG_SF);
				assert_int_equal(cpu_unit_run(u, code[op], 3), -1);
				bool good = (i ? table[t].good_long : table[t].good) >> op & 1;
				if (!!(flags_get(cpu) & FLAG_ZF) != good)
					print_error("table %u operation %u long %u\n", t, op, i);
				assert_int_equal(flags_get(cpu), FLAG_1 | FLAG_CF | FLAG_OF | FLAG_SF | (good ? FLAG_ZF : 0));
				if (op == 0 && good)
					assert_int_equal(cpu->gpr[RAX], (table[t].attr & 0xff) << 8 | 0x9a0000);
				else if (op == 1 && good)
					assert_int_equal(cpu->gpr[RAX], 0xabcdefff);
				else
					assert_int_equal(cpu->gpr[RAX], 0xffffffffeeeeeeee);
			}
	}
	/* selectors without a descriptor */
	static const u16 bad[] = {0, 3, GDT_LIMIT + 1, 0xfffc};
	for (unsigned i = 0; i < ARRAY_LEN(bad); i++) {
		cpu->gpr[RCX] = bad[i];
		flags_set(cpu, FLAG_1 | FLAG_ZF);
		RUNS(u, "\x0f\x02\xc1");
		assert_false(flags_get(cpu) & FLAG_ZF);
	}
	cpu_unit_free(u);

	/* ARPL */
	u = prot_new(3);
	cpu = u->cpu;
	for (unsigned a = 0; a < 4; a++)
		for (unsigned b = 0; b < 4; b++) {
			cpu->gpr[RAX] = 0xabc0 | a;
			cpu->gpr[RCX] = 0xffc0 | b;
			RUNS(u, "\x63\xc8"); /* arpl ax, cx */
			assert_int_equal(cpu->gpr[RAX], 0xabc0 | MAX(a, b));
			assert_int_equal(!!(flags_get(cpu) & FLAG_ZF), a < b);
		}
	cpu->gpr[RBX] = 0x5000;
	store16(prot_at(u, 0x5000), 0x1231);
	RUNS(u, "\x63\x0b"); /* arpl [ebx], cx */
	assert_int_equal(load16(prot_at(u, 0x5000)), 0x1233);
	cpu_unit_free(u);
}

static void system_segments(void **state)
{
	struct cpu_unit *u = prot_new(0);
	struct cpu *cpu = u->cpu;
	(void)state;

	/* LLDT */
	static const struct {
		u16 selector;
		u32 attr;
		int lldt, ltr;
	} table[] = {
		{SCRATCH, SEG_P | SYS_LDT, -1, EXC_GP},
		{SCRATCH, SYS_LDT, EXC_NP, EXC_GP},
		{SCRATCH, SEG_P | SYS_TSS, EXC_GP, -1},
		{SCRATCH, SEG_P | SYS_TSS16, EXC_GP, -1},
		{SCRATCH, SYS_TSS, EXC_GP, EXC_NP},
		{SCRATCH, SEG_P | SYS_TSS_BUSY, EXC_GP, EXC_GP},
		{SCRATCH, A_DATA, EXC_GP, EXC_GP},
		{SCRATCH | 3, SEG_P | SYS_LDT, -1, EXC_GP},
		{0x38 | 4, SEG_P | SYS_LDT, EXC_GP, EXC_GP}, /* in the LDT */
		{GDT_LIMIT + 1, 0, EXC_GP, EXC_GP},
	};
	for (unsigned i = 0; i < ARRAY_LEN(table); i++)
		for (unsigned ltr = 0; ltr < 2; ltr++) {
			int vector = ltr ? table[i].ltr : table[i].lldt;
			const char *code = ltr ? "\x0f\x00\xd8" : "\x0f\x00\xd0";
			if (table[i].attr)
				prot_set(u, table[i].selector, prot_descriptor(0x123456, 0x77, table[i].attr));
			cpu->gpr[RAX] = table[i].selector;
			if (vector >= 0) {
				prot_fault(u, code, 3, vector, table[i].selector & 0xfffc, __FILE__, __LINE__);
				continue;
			}
			assert_int_equal(cpu_unit_run(u, code, 3), -1);
			struct seg *seg = ltr ? &cpu->tr : &cpu->ldtr;
			assert_int_equal(seg->base, 0x123456);
			assert_int_equal(seg->limit, 0x77);
			assert_int_equal(seg->selector, table[i].selector);
			assert_int_equal(seg->attr, ltr ? table[i].attr | 2 : table[i].attr);
			assert_int_equal(prot_type(u, SCRATCH), ltr ? table[i].attr | 2 : table[i].attr);
		}
	cpu->gpr[RAX] = 2;
	FAULTS(u, "\x0f\x00\xd8", EXC_GP, 0);
	RUNS(u, "\x0f\x00\xd0");
	assert_true(cpu->ldtr.attr & SEG_UNUSABLE);
	RUNS(u, "\x0f\x00\xc3"); /* sldt ebx */
	assert_int_equal(cpu->gpr[RBX], 2);
	prot_level(u, 3);
	FAULTS(u, "\x0f\x00\xd8", EXC_GP, 0);
	FAULTS(u, "\x0f\x00\xd0", EXC_GP, 0);
	FAULTS(u, "\x0f\x01\x10", EXC_GP, 0);
	RUNS(u, "\x0f\x00\xcb"); /* str ebx */
	assert_int_equal(cpu->gpr[RBX], SCRATCH);
	assert_true(control_set_cr4(cpu, CR4_UMIP));
	FAULTS(u, "\x0f\x00\xcb", EXC_GP, 0);
	FAULTS(u, "\x0f\x00\xc3", EXC_GP, 0);
	cpu->gpr[RAX] = SCRATCH;
	FAULTS(u, "\x0f\x00\xd8", EXC_GP, 0);
	FAULTS(u, "\x0f\x01\x03", EXC_GP, 0);
	FAULTS(u, "\x0f\x01\x0b", EXC_GP, 0);
	cpu_unit_free(u);

	/* 16-byte descriptors */
	u = prot_new_long(0);
	cpu = u->cpu;
	cpu->gpr[RAX] = SCRATCH;
	prot_set(u, SCRATCH, prot_descriptor(0x123456, 0x77, SEG_P | SYS_TSS));
	prot_set(u, SCRATCH2, 0xffffffff);
	RUNS(u, "\x0f\x00\xd8");
	assert_true(cpu->tr.base == 0xffffffff00123456);
	prot_set(u, SCRATCH, prot_descriptor(0x123456, 0x77, SEG_P | SYS_TSS));
	prot_set(u, SCRATCH2, 0x8000);
	FAULTS(u, "\x0f\x00\xd8", EXC_GP, SCRATCH); /* base not canonical */
	prot_set(u, SCRATCH2, 0x10000000000);
	FAULTS(u, "\x0f\x00\xd8", EXC_GP, SCRATCH); /* the upper half has a type */
	prot_set(u, SCRATCH2, 0);
	prot_set(u, SCRATCH, prot_descriptor(0x123456, 0x77, SEG_P | SYS_TSS16));
	FAULTS(u, "\x0f\x00\xd8", EXC_GP, SCRATCH); /* no 16-bit TSS here */
	cpu->gdtr.limit = SCRATCH + 14;
	prot_set(u, SCRATCH, prot_descriptor(0x123456, 0x77, SEG_P | SYS_LDT));
	FAULTS(u, "\x0f\x00\xd0", EXC_GP, SCRATCH); /* half of it is beyond the limit */
	cpu_unit_free(u);
}

static void tables(void **state)
{
	struct cpu_unit *u = prot_new(0);
	struct cpu *cpu = u->cpu;
	(void)state;

	memcpy(prot_at(u, 0x5000), "\x34\x12\x78\x56\xcd\xab\x21\x43\x00\x80", 10);
	cpu->gpr[RBX] = 0x5000;
	RUNS(u, "\x0f\x01\x1b"); /* lidt [ebx] */
	assert_int_equal(cpu->idtr.limit, 0x1234);
	assert_int_equal(cpu->idtr.base, 0xabcd5678);
	RUNS(u, "\x66\x0f\x01\x1b");
	assert_int_equal(cpu->idtr.base, 0xcd5678);
	cpu->gpr[RBX] = 0x6000;
	cpu->idtr.base = 0xabcd5678;
	RUNS(u, "\x66\x0f\x01\x0b"); /* sidt with 16-bit operands: the whole base */
	assert_memory_equal(prot_at(u, 0x6000), "\x34\x12\x78\x56\xcd\xab\0\0", 8);
	/* all six bytes must be in the segment */
	prot_set(u, SCRATCH, prot_descriptor(0, 0x6004, A_DATA));
	cpu->gpr[RAX] = SCRATCH;
	RUNS(u, MOV_DS_AX);
	FAULTS(u, "\x0f\x01\x13", EXC_GP, 0);
	cpu_unit_free(u);

	u = prot_new_long(0);
	cpu = u->cpu;
	cpu->gpr[RBX] = 0x5000;
	memcpy(prot_at(u, 0x5000), "\x34\x12\x78\x56\xcd\xab\x21\x43\x00\x80", 10);
	FAULTS(u, "\x0f\x01\x1b", EXC_GP, 0); /* base not canonical */
	memcpy(prot_at(u, 0x5000), "\x34\x12\x78\x56\xcd\xab\x21\xc3\xff\xff", 10);
	RUNS(u, "\x66\x0f\x01\x1b");
	assert_true(cpu->idtr.base == 0xffffc321abcd5678);
	cpu->gpr[RBX] = 0x6000;
	RUNS(u, "\x0f\x01\x0b");
	assert_memory_equal(prot_at(u, 0x6000), prot_at(u, 0x5000), 10);
	cpu_unit_free(u);
}

static void bases(void **state)
{
	struct cpu_unit *u = prot_new_long(0);
	struct cpu *cpu = u->cpu;
	(void)state;

	cpu->gpr[RAX] = 0xffff800012345678;
	FAULTS(u, "\xf3\x48\x0f\xae\xd0", EXC_UD, 0); /* CR4.FSGSBASE is clear */
	FAULTS(u, "\xf3\x48\x0f\xae\xc0", EXC_UD, 0);
	assert_true(control_set_cr4(cpu, cpu->cr4 | CR4_FSGSBASE));
	RUNS(u, "\xf3\x48\x0f\xae\xd0"); /* wrfsbase rax */
	assert_true(cpu->seg[SEG_FS].base == 0xffff800012345678);
	RUNS(u, "\xf3\x0f\xae\xc1"); /* rdfsbase ecx */
	assert_true(cpu->gpr[RCX] == 0x12345678);
	RUNS(u, "\xf3\x0f\xae\xd8"); /* wrgsbase eax */
	assert_true(cpu->seg[SEG_GS].base == 0x12345678);
	cpu->kernel_gs_base = 0xffff000000000000;
	RUNS(u, "\x0f\x01\xf8"); /* swapgs */
	assert_true(cpu->seg[SEG_GS].base == 0xffff000000000000 && cpu->kernel_gs_base == 0x12345678);
	RUNS(u, "\xf3\x48\x0f\xae\xc9"); /* rdgsbase rcx */
	assert_true(cpu->gpr[RCX] == 0xffff000000000000);
	cpu->gpr[RAX] = 0x800000000000;
	FAULTS(u, "\xf3\x48\x0f\xae\xd0", EXC_GP, 0);
	prot_load(u, SEG_CS, U_CODE64);
	cpu->cpl = 3;
	mode_update(cpu);
	FAULTS(u, "\x0f\x01\xf8", EXC_GP, 0);
	cpu_unit_free(u);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(data_segments), cmocka_unit_test(stack_segments), cmocka_unit_test(limits),
		cmocka_unit_test(canonical),
		cmocka_unit_test(real_mode), cmocka_unit_test(pushes), cmocka_unit_test(looking), cmocka_unit_test(system_segments),
		cmocka_unit_test(tables), cmocka_unit_test(bases),
	};

	return cmocka_run_group_tests_name("segment", tests, NULL, NULL);
}
