/* SPDX-License-Identifier: MIT */
/* Events through the IDT, software interrupts, IRET, V86 mode, double and triple faults. */
#include "cpu/exception.h"
#include "tests/unit/prot_unit.h"

#define HANDLER 0x4321u

static u32 stack32(struct cpu_unit *u, unsigned i)
{
	return load32(prot_at(u, (u32)u->cpu->gpr[RSP] + i * 4));
}

static void raised(struct cpu_unit *u, unsigned vector, bool has_code, u32 code)
{
	u->cpu->fault = (struct cpu_fault){.vector = vector, .has_code = has_code, .code = code, .rip = u->cpu->rip, .cr2 = 0x123456};
}

/* ---- gates ---- */

static void same_level(void **state)
{
	struct cpu_unit *u = prot_new(0);
	struct cpu *cpu = u->cpu;
	const u64 flags = FLAG_1 | FLAG_IF | FLAG_TF | FLAG_NT | FLAG_AC | FLAG_IOPL | FLAG_CF;
	(void)state;

	/* an interrupt gate clears IF, a trap gate does not; both clear TF, NT and RF; RF is pushed for faults */
	prot_idt(u, EXC_GP, prot_gate(K_CODE, HANDLER, SEG_P | SYS_INT, 0));
	prot_idt(u, EXC_DE, prot_gate(K_CODE, HANDLER, SEG_P | SYS_TRAP, 0));
	prot_idt(u, EXC_BP, prot_gate(K_CODE, 0x89ab4321, SEG_P | SYS_INT16, 0));
	cpu->rip = 0x1234;
	flags_set(cpu, flags);
	raised(u, EXC_GP, true, 0x5678);
	assert_true(exception_dispatch(cpu));
	assert_int_equal(cpu->rip, HANDLER);
	assert_int_equal(cpu->gpr[RSP], STACK0_AT - 16);
	static const u32 frame[] = {0x5678, 0x1234, K_CODE};
	for (unsigned i = 0; i < ARRAY_LEN(frame); i++)
		assert_int_equal(stack32(u, i), frame[i]);
	assert_int_equal(stack32(u, 3), flags | FLAG_RF);
	assert_int_equal(flags_get(cpu), flags & ~(FLAG_IF | FLAG_TF | FLAG_NT));
	assert_int_equal(cpu->cr2, 0);
	flags_set(cpu, flags | FLAG_RF);
	raised(u, EXC_DE, false, 0);
	assert_true(exception_dispatch(cpu));
	assert_int_equal(cpu->gpr[RSP], STACK0_AT - 28);
	assert_int_equal(flags_get(cpu), flags & ~(FLAG_TF | FLAG_NT));

	/* INT3 through a 16-bit gate; a software interrupt pushes RF as it is */
	flags_set(cpu, flags);
	RUNS(u, "\xcc");
	assert_int_equal(cpu->rip, HANDLER);
	assert_int_equal(cpu->gpr[RSP], STACK0_AT - 34);
	assert_int_equal(load16(prot_at(u, STACK0_AT - 34)), CPU_UNIT_CODE + 1);
	assert_int_equal(load16(prot_at(u, STACK0_AT - 32)), K_CODE);
	assert_int_equal(load16(prot_at(u, STACK0_AT - 30)), flags & 0xffff);

	/* an instruction breakpoint leaves RF to its handler, general detect does not; a page fault sets CR2 */
	prot_idt(u, EXC_DB, prot_gate(K_CODE, HANDLER, SEG_P | SYS_INT, 0));
	prot_idt(u, EXC_PF, prot_gate(K_CODE, HANDLER, SEG_P | SYS_INT, 0));
	cpu->dr[6] = DR6_FIXED | 1;
	raised(u, EXC_DB, false, 0);
	assert_true(exception_dispatch(cpu));
	assert_false(stack32(u, 2) & FLAG_RF);
	cpu->dr[6] = DR6_FIXED | DR6_BD;
	raised(u, EXC_DB, false, 0);
	assert_true(exception_dispatch(cpu));
	assert_true(stack32(u, 2) & FLAG_RF);
	cpu->dr[6] = DR6_FIXED | DR6_BD | 1;
	cpu->dr[7] = DR7_FIXED | DR7_GD;
	cpu->debugctl = 0x43;
	raised(u, EXC_DB, false, 0);
	assert_true(exception_dispatch(cpu));
	assert_false(stack32(u, 2) & FLAG_RF);
	assert_int_equal(cpu->dr[7], DR7_FIXED);
	assert_int_equal(cpu->debugctl, 0);
	cpu->dr[7] = DR7_FIXED | DR7_GD;
	raised(u, EXC_PF, true, 2);
	assert_true(exception_dispatch(cpu));
	assert_int_equal(cpu->cr2, 0x123456);
	assert_int_equal(cpu->chain_len, 1);
	assert_int_equal(cpu->dr[7], DR7_FIXED | DR7_GD);
	assert_true(exception_interrupt(cpu, EXC_GP, EVENT_EXTERNAL));
	assert_int_equal(cpu->chain_len, 0);
	RUNS(u, "\xcd\x01");
	assert_int_equal(cpu->dr[7], DR7_FIXED | DR7_GD);
	RUNS(u, "\xf1");
	assert_int_equal(cpu->dr[7], DR7_FIXED);

	/* descriptors are marked accessed */
	prot_set(u, K_CODE, prot_descriptor(0, 0xfffff, (A_CODE & ~SEG_ACCESSED) | A_FLAT));
	RUNS(u, "\xf1");
	assert_int_equal(prot_type(u, K_CODE), A_CODE);

	/* no room */
	prot_load(u, SEG_SS, K_DATA16);
	prot_set(u, K_DATA16, prot_descriptor(0, 0xfff, A_DATA));
	prot_load(u, SEG_SS, K_DATA16);
	mode_update(cpu);
	cpu->gpr[RSP] = 0x1001;
	FAULTS(u, "\xf1", EXC_SS, 1);
	FAULTS(u, "\xcc", EXC_SS, 0);
	cpu->gpr[RSP] = 0x1000;
	RUNS(u, "\xf1");
	assert_int_equal(cpu->gpr[RSP], 0xff4);
	cpu_unit_free(u);

	/* a stack from the TSS without room: the error code names it */
	u = prot_new(3);
	cpu = u->cpu;
	prot_set(u, K_DATA16, prot_descriptor(0, 0xfff, A_DATA));
	store32(prot_at(u, TSS_AT + 4), 0x1001);
	store16(prot_at(u, TSS_AT + 8), K_DATA16);
	prot_idt(u, EXC_DB, prot_gate(K_CODE, HANDLER, SEG_P | SYS_INT, 0));
	FAULTS(u, "\xf1", EXC_SS, K_DATA16 | 1);
	store16(prot_at(u, TSS_AT + 8), K_CODE);
	FAULTS(u, "\xf1", EXC_TS, K_CODE | 1);
	cpu_unit_free(u);
}

/* One line for each event. */
static void logged(void **state)
{
	struct cpu_unit *u = prot_new(0);
	struct cpu *cpu = u->cpu;
	char *text = NULL;
	size_t size = 0;
	(void)state;

	cpu->log.file = open_memstream(&text, &size);
	prot_idt(u, EXC_GP, prot_gate(K_CODE, HANDLER, SEG_P | SYS_INT, 0));
	cpu->rip = 0x1234;
	raised(u, EXC_GP, true, 0x5678);
	assert_true(exception_dispatch(cpu));
	fflush(cpu->log.file);
	assert_int_equal(size, 0);
	cpu->log.interrupts = true;
	cpu->rip = 0x1234;
	raised(u, EXC_GP, true, 0x5678);
	assert_true(exception_dispatch(cpu));
	cpu->idtr.limit = 0;
	assert_false(exception_dispatch(cpu));
	fclose(cpu->log.file);
	assert_non_null(strstr(text, "v=0d e=5678 exception cpl=0 IP=0008:0000000000001234 SP=0010:"));
	assert_non_null(strstr(text, "v=08"));
	assert_non_null(strstr(text, "triple fault\n"));
	free(text);
	cpu_unit_free(u);
}

static void inner_level(void **state)
{
	struct cpu_unit *u = prot_new(3);
	struct cpu *cpu = u->cpu;
	(void)state;

	prot_paging(u);
	prot_page(u, STACK0_AT - 0x1000, 3);
	prot_idt(u, EXC_GP, prot_gate(K_CODE, HANDLER, SEG_P | SYS_INT, 0));
	flags_set(cpu, FLAG_1 | FLAG_IF);
	cpu->rip = 0x1234;
	raised(u, EXC_GP, true, 0x18);
	assert_true(exception_dispatch(cpu));
	assert_int_equal(cpu->cpl, 0);
	assert_int_equal(cpu->gpr[RSP], STACK0_AT - 24);
	static const u32 frame[] = {0x18, 0x1234, U_CODE, FLAG_1 | FLAG_IF | FLAG_RF, STACK3_AT, U_DATA};
	for (unsigned i = 0; i < ARRAY_LEN(frame); i++)
		assert_int_equal(stack32(u, i), frame[i]);
	assert_int_equal(cpu->seg[SEG_SS].selector, K_DATA);
	assert_int_equal(cpu->seg[SEG_DS].selector, U_DATA);

	/* back: IOPL and IF do as CPL says */
	cpu->gpr[RSP] += 4;
	cpu->nmi_blocked = true;
	RUNS(u, "\xcf");
	assert_int_equal(cpu->cpl, 3);
	assert_int_equal(cpu->gpr[RSP], STACK3_AT);
	assert_int_equal(flags_get(cpu), FLAG_1 | FLAG_IF | FLAG_RF);
	assert_false(cpu->nmi_blocked);

	/* 16 bits: nothing above the low half of the flags, not even at level 0 */
	prot_level(u, 0);
	const u16 words[] = {0x1234, K_CODE, 0xffff};
	memcpy(prot_at(u, STACK0_AT - 64), words, sizeof words);
	cpu->gpr[RSP] = STACK0_AT - 64;
	flags_set(cpu, FLAG_1 | FLAG_AC | FLAG_VIP);
	RUNS(u, "\x66\xcf");
	assert_int_equal(flags_get(cpu), 0x7fd7 | FLAG_AC | FLAG_VIP);
	assert_int_equal(cpu->gpr[RSP], STACK0_AT - 58);
	prot_level(u, 3);

	/* IRET at level 3 with IOPL 0: IF and IOPL stay */
	u32 own[] = {0x1234, U_CODE, 0xffffffff};
	memcpy(prot_at(u, STACK3_AT - 12), own, sizeof own);
	cpu->gpr[RSP] = STACK3_AT - 12;
	flags_set(cpu, FLAG_1);
	RUNS(u, "\xcf");
	assert_int_equal(flags_get(cpu), FLAG_1 | FLAGS_ARITH | FLAG_TF | FLAG_DF | FLAG_NT | FLAG_RF | FLAG_AC | FLAG_ID);
	flags_set(cpu, FLAG_1 | FLAG_IOPL);
	cpu->gpr[RSP] = STACK3_AT - 12;
	mode_flags_changed(cpu);
	RUNS(u, "\xcf");
	assert_true(flags_get(cpu) & FLAG_IF);
	cpu_unit_free(u);
}

/* What the gate and its target may get wrong: vector 0x20, at CPL 3 by INT, external and as seen by EXT. */
static void gate_checks(void **state)
{
	static const struct {
		u32 limit; /* of the IDT; 0: enough */
		u64 gate;
		u32 attr;  /* of SCRATCH */
		int vector;
		u32 code;  /* without EXT */
		bool soft_only;
	} table[] = {
		{0x20 * 8 + 6, 0, 0, EXC_GP, 0x20 * 8 | 2, false},
		{0, 0, 0, EXC_GP, 0x20 * 8 | 2, false},
		{0, (u64)(SEG_P | SYS_CALL | A_DPL(3)) << 40, 0, EXC_GP, 0x20 * 8 | 2, false},
		{0, (u64)(SEG_P | SYS_INT | SEG_S | A_DPL(3)) << 40, 0, EXC_GP, 0x20 * 8 | 2, false},
		{0, (u64)(SYS_INT | A_DPL(3)) << 40, 0, EXC_NP, 0x20 * 8 | 2, false},
		{0, (u64)(SYS_INT) << 40, 0, EXC_GP, 0x20 * 8 | 2, true}, /* DPL before presence */
		{0, (u64)(SEG_P | SYS_INT) << 40 | K_CODE << 16, 0, EXC_GP, 0x20 * 8 | 2, true},
		{0, (u64)(SEG_P | SYS_INT | A_DPL(3)) << 40, 0, EXC_GP, 0, false}, /* null CS */
		{0, (u64)(SEG_P | SYS_INT | A_DPL(3)) << 40 | (GDT_LIMIT + 1) << 16, 0, EXC_GP, GDT_LIMIT + 1, false},
		{0, (u64)(SEG_P | SYS_INT | A_DPL(3)) << 40 | K_DATA << 16, 0, EXC_GP, K_DATA, false},
		{0, (u64)(SEG_P | SYS_INT | A_DPL(3)) << 40 | SCRATCH << 16, A_CODE & ~SEG_P, EXC_NP, SCRATCH, false},
		{0, (u64)(SEG_P | SYS_INT | A_DPL(3)) << 40 | SCRATCH << 16 | 0x100, A_CODE, EXC_GP, 0, false},
		{0, (u64)(SEG_P | SYS_TASK_GATE | A_DPL(3)) << 40 | (SCRATCH | 4) << 16, 0, EXC_GP, SCRATCH | 4, false},
		{0, (u64)(SEG_P | SYS_TASK_GATE | A_DPL(3)) << 40 | TSS_SEL << 16, 0, EXC_GP, TSS_SEL, false}, /* busy */
		{0, (u64)(SEG_P | SYS_TASK_GATE | A_DPL(3)) << 40 | SCRATCH << 16, SYS_TSS, EXC_NP, SCRATCH, false},
		{0, (u64)(SEG_P | SYS_TASK_GATE | A_DPL(3)) << 40 | SCRATCH << 16, SEG_P | SYS_TSS, EXC_TS, SCRATCH, false}, /* limit */
	};
	(void)state;

	for (unsigned i = 0; i < ARRAY_LEN(table); i++) {
		struct cpu_unit *u = prot_new(3);
		struct cpu *cpu = u->cpu;

		prot_idt(u, 0x20, table[i].gate);
		cpu->idtr.limit = table[i].limit ? table[i].limit : 0x7ff;
		prot_set(u, SCRATCH, prot_descriptor(0, 0xff - 0x80 * ((table[i].attr & 0x1f) == SYS_TSS) - 0x20, table[i].attr | SEG_DB));
		FAULTS(u, "\xcd\x20", table[i].vector, table[i].code);
		if (!table[i].soft_only) {
			/* from outside the same goes wrong with EXT; it is #GP's, #NP's or #TS's handler that runs */
			prot_idt(u, table[i].vector, prot_gate(K_CODE, HANDLER, SEG_P | SYS_INT, 0));
			assert_true(exception_interrupt(cpu, 0x20, EVENT_EXTERNAL));
			assert_int_equal(cpu->rip, HANDLER);
			assert_int_equal(stack32(u, 0), table[i].code | 1);
			assert_int_equal(cpu->chain_len, 1);
			assert_int_equal(cpu->chain[0].vector, table[i].vector);
		}
		cpu_unit_free(u);
	}

	/* INT1 does not look at the DPL, and its errors have EXT */
	struct cpu_unit *u = prot_new(3);
	prot_idt(u, EXC_DB, prot_gate(K_CODE, HANDLER, SEG_P | SYS_INT, 0));
	RUNS(u, "\xf1");
	assert_int_equal(u->cpu->rip, HANDLER);
	assert_int_equal(stack32(u, 0), CPU_UNIT_CODE + 1);
	prot_level(u, 3);
	prot_idt(u, EXC_DB, prot_gate(K_CODE, HANDLER, SYS_INT, 0));
	FAULTS(u, "\xf1", EXC_NP, 1 * 8 | 2 | 1);
	/* INTO only with OF */
	prot_idt(u, EXC_OF, prot_gate(K_CODE, HANDLER, SEG_P | SYS_TRAP | A_DPL(3), 0));
	RUN_OK(u, "\xce");
	flags_set(u->cpu, FLAG_1 | FLAG_OF);
	RUNS(u, "\xce");
	assert_int_equal(u->cpu->rip, HANDLER);
	/* a conforming handler stays at level 3 */
	prot_level(u, 3);
	prot_idt(u, 0x1f, prot_gate(CONFORMING, HANDLER, SEG_P | SYS_TRAP | A_DPL(3), 0));
	RUNS(u, "\xcd\x1f");
	assert_int_equal(u->cpu->cpl, 3);
	assert_int_equal(u->cpu->seg[SEG_CS].selector, CONFORMING | 3);
	assert_int_equal(u->cpu->gpr[RSP], STACK3_AT - 12);
	cpu_unit_free(u);
}

static void others(void **state)
{
	struct cpu_unit *u = prot_new(0);
	struct cpu *cpu = u->cpu;
	(void)state;

	FAULTS(u, "\x0f\x0b", EXC_UD, 0);
	FAULTS(u, "\x0f\xff\xc0", EXC_UD, 0);
	FAULTS(u, "\x0f\xb9\xc0", EXC_UD, 0);
	/* BOUND: signed, both bounds inside */
	store32(prot_at(u, 0x5000), (u32)-5);
	store32(prot_at(u, 0x5004), 7);
	cpu->gpr[RBX] = 0x5000;
	for (int i = -8; i < 10; i++) {
		cpu->gpr[RAX] = (u32)i;
		if (i < -5 || i > 7)
			FAULTS(u, "\x62\x03", EXC_BR, 0);
		else
			RUN_OK(u, "\x62\x03");
	}
	store32(prot_at(u, 0x5000), 0x0007fffb); /* words -5, 7 */
	store16(prot_at(u, 0x4ffe), 0x7000);
	cpu->gpr[RAX] = 8;
	FAULTS(u, "\x66\x62\x03", EXC_BR, 0);
	cpu->gpr[RAX] = 0xfffa;
	FAULTS(u, "\x66\x62\x03", EXC_BR, 0);
	cpu->gpr[RAX] = 0xfffb;
	RUN_OK(u, "\x66\x62\x03");
	cpu_unit_free(u);
}

/* ---- long mode ---- */

static void long_mode(void **state)
{
	struct cpu_unit *u = prot_new_long(3);
	struct cpu *cpu = u->cpu;
	(void)state;

	prot_idt_wide(u, EXC_GP, prot_gate(K_CODE64, 0x87654321, SEG_P | SYS_INT, 0), 0xffff8000);
	cpu->rip = 0x1234;
	cpu->gpr[RSP] = 0x30005;
	flags_set(cpu, FLAG_1 | FLAG_IF | FLAG_AC);
	store64(prot_at(u, TSS_AT + 4), STACK0_AT + 13);
	raised(u, EXC_GP, true, 0);
	assert_true(exception_dispatch(cpu));
	assert_true(cpu->rip == 0xffff800087654321);
	assert_int_equal(cpu->gpr[RSP], STACK0_AT - 48);
	assert_int_equal(cpu->seg[SEG_SS].selector, 0);
	assert_int_equal(cpu->seg[SEG_SS].attr, SEG_UNUSABLE);
	static const u64 frame[] = {0, 0x1234, U_CODE64, FLAG_1 | FLAG_IF | FLAG_AC | FLAG_RF, 0x30005, U_DATA};
	assert_memory_equal(prot_at(u, STACK0_AT - 48), frame, sizeof frame);
	assert_int_equal(flags_get(cpu), FLAG_1 | FLAG_AC);

	/* at the same level with IST: another stack, SS stays; without: this one, aligned */
	prot_idt_wide(u, EXC_NMI, prot_gate(K_CODE64, HANDLER, SEG_P | SYS_INT, 3), 0);
	prot_idt_wide(u, EXC_UD, prot_gate(K_CODE64, HANDLER, SEG_P | SYS_INT, 0), 0);
	store64(prot_at(u, TSS_AT + 28 + 24), 0x28000);
	assert_true(exception_interrupt(cpu, EXC_NMI, EVENT_EXTERNAL));
	assert_int_equal(cpu->gpr[RSP], 0x28000 - 40);
	assert_int_equal(load64(prot_at(u, 0x28000 - 16)), STACK0_AT - 48);
	prot_load(u, SEG_SS, K_DATA); /* without a change of level it stays what it is, IST or not */
	cpu->gpr[RSP] = STACK0_AT - 48;
	assert_true(exception_interrupt(cpu, EXC_NMI, EVENT_EXTERNAL));
	assert_int_equal(cpu->gpr[RSP], 0x28000 - 40);
	assert_int_equal(cpu->seg[SEG_SS].selector, K_DATA);
	assert_int_equal(cpu->seg[SEG_SS].attr, A_DATA | A_FLAT);
	cpu->seg[SEG_SS] = (struct seg){.attr = SEG_UNUSABLE};
	cpu->gpr[RSP] = 0x27ff9;
	raised(u, EXC_UD, false, 0);
	assert_true(exception_dispatch(cpu));
	assert_int_equal(cpu->gpr[RSP], 0x27ff0 - 40);
	assert_int_equal(load64(prot_at(u, 0x27ff0 - 16)), 0x27ff9);
	/* IRETQ takes all of it back, null SS included */
	RUNS(u, "\x48\xcf");
	assert_int_equal(cpu->gpr[RSP], 0x27ff9);
	assert_int_equal(cpu->seg[SEG_SS].attr, SEG_UNUSABLE);

	/* IRETQ to level 3, whose FS keeps the base that its null selector does not have */
	static const u64 out[] = {0xffff800000000000, U_CODE64, 0xffffffffffffffff, 0x1234567812345678, U_DATA};
	memcpy(prot_at(u, 0x28000), out, sizeof out);
	cpu->gpr[RSP] = 0x28000;
	cpu->seg[SEG_FS] = (struct seg){.base = 0x7f0012345678, .attr = SEG_UNUSABLE, .selector = 3};
	prot_load(u, SEG_GS, K_DATA);
	RUNS(u, "\x48\xcf");
	assert_int_equal(cpu->cpl, 3);
	assert_true(cpu->rip == 0xffff800000000000);
	assert_true(cpu->gpr[RSP] == 0x1234567812345678);
	assert_true(cpu->seg[SEG_FS].base == 0x7f0012345678);
	assert_int_equal(cpu->seg[SEG_FS].selector, 0);
	assert_true(cpu->seg[SEG_GS].attr & SEG_UNUSABLE);
	/* VM in the image means nothing here */
	assert_int_equal(flags_get(cpu), 0x3d7fd7 & ~(u64)FLAG_VM);
	cpu_unit_free(u);

	u = prot_new_long(0);
	cpu = u->cpu;
	cpu->gpr[RSP] = 0x28000;
	static const struct {
		u64 frame[5];
		u32 flags;
		u32 code;
	} bad[] = {
		{{0x800000000000, K_CODE64, 0, 0x1000, K_DATA}, 0, 0},
		{{0x1000, K_CODE64, 0, 0x1000, 3}, 0, 0},               /* null SS with another RPL */
		{{0x1000, U_CODE64, 0, 0x1000, 3}, 0, 0},
		{{0x1000, K_CODE, 0, 0x1000, 0}, 0, 0},                 /* null SS for compatibility mode */
		{{0x1000, K_CODE64, 0, 0x1000, U_DATA}, 0, U_DATA & ~3},
		{{0x1000, K_CODE64, 0, 0x1000, K_DATA}, FLAG_NT, 0},
	};
	for (unsigned i = 0; i < ARRAY_LEN(bad); i++) {
		memcpy(prot_at(u, 0x28000), bad[i].frame, sizeof bad[i].frame);
		flags_set(cpu, FLAG_1 | bad[i].flags);
		FAULTS(u, "\x48\xcf", EXC_GP, bad[i].code);
	}
	flags_set(cpu, FLAG_1);
	/* to compatibility mode: Intel cuts EIP to 32 bits, AMD finds it beyond the limit */
	static const u64 compat[] = {0x1200001000, K_CODE, 2, 0x120002000, K_DATA};
	memcpy(prot_at(u, 0x28000), compat, sizeof compat);
	cpu->flavour = FLAVOUR_AMD;
	FAULTS(u, "\x48\xcf", EXC_GP, 0);
	cpu->flavour = FLAVOUR_INTEL;
	RUNS(u, "\x48\xcf");
	assert_int_equal(cpu->code_mode, CODE32);
	assert_int_equal(cpu->rip, 0x1000);
	assert_int_equal(cpu->gpr[RSP], 0x20002000);

	/* an interrupt there uses all of RSP, whatever SS says */
	prot_idt_wide(u, 0x1e, prot_gate(K_CODE64, HANDLER, SEG_P | SYS_INT, 0), 0);
	prot_load(u, SEG_SS, K_DATA16);
	cpu->gpr[RSP] = STACK0_AT;
	assert_true(exception_interrupt(cpu, 0x1e, EVENT_EXTERNAL));
	assert_int_equal(cpu->gpr[RSP], STACK0_AT - 40);
	assert_int_equal(cpu->code_mode, CODE64);

	/* gates: only 64-bit types, only to 64-bit code; what IST reaches must lie in the TSS */
	prot_load(u, SEG_CS, K_CODE64);
	mode_update(cpu);
	cpu->gpr[RSP] = STACK0_AT;
	prot_idt_wide(u, 0x1f, prot_gate(K_CODE64, HANDLER, SEG_P | SYS_INT16, 0), 0);
	FAULTS(u, "\xcd\x1f", EXC_GP, 0x1f * 8 | 2);
	prot_idt_wide(u, 0x1f, prot_gate(TSS_SEL, HANDLER, SEG_P | SYS_TASK_GATE, 0), 0);
	FAULTS(u, "\xcd\x1f", EXC_GP, 0x1f * 8 | 2);
	prot_idt_wide(u, 0x1f, prot_gate(K_CODE, HANDLER, SEG_P | SYS_INT, 0), 0);
	FAULTS(u, "\xcd\x1f", EXC_GP, K_CODE);
	prot_idt_wide(u, 0x1f, prot_gate(K_CODE64, HANDLER, SEG_P | SYS_INT, 0), 0x8000);
	FAULTS(u, "\xcd\x1f", EXC_GP, 0);
	prot_idt_wide(u, 0x1f, prot_gate(K_CODE64, HANDLER, SEG_P | SYS_INT, 7), 0);
	cpu->tr.limit = 28 + 56 + 6;
	FAULTS(u, "\xcd\x1f", EXC_TS, TSS_SEL);
	cpu->tr.limit++;
	store64(prot_at(u, TSS_AT + 28 + 56), 0xffff7fffffff0000);
	FAULTS(u, "\xcd\x1f", EXC_SS, 0);
	cpu->idtr.limit = 0x1f * 16 + 14;
	FAULTS(u, "\xcd\x1f", EXC_GP, 0x1f * 8 | 2);
	cpu_unit_free(u);
}

/* ---- V86 mode ---- */

/* Into V86 mode by IRET; flags besides VM. */
static struct cpu_unit *v86(u32 flags)
{
	struct cpu_unit *u = prot_new(0);
	const u32 frame[] = {0x1111, 0x100, flags | FLAG_VM, 0x2222fffe, 0x3000, 0x4000, 0x5000, 0x6000, 0x7000};

	memcpy(prot_at(u, 0x18000), frame, sizeof frame);
	u->cpu->gpr[RSP] = 0x18000;
	RUNS(u, "\xcf");
	return u;
}

static void v86_mode(void **state)
{
	struct cpu_unit *u = v86(FLAG_IF | FLAG_IOPL | FLAG_VIF);
	struct cpu *cpu = u->cpu;
	static const u16 selectors[] = {0x4000, 0x100, 0x3000, 0x5000, 0x6000, 0x7000};
	(void)state;

	assert_int_equal(cpu->cpl, 3);
	assert_int_equal(cpu->rip, 0x1111);
	assert_int_equal(cpu->gpr[RSP], 0x2222fffe);
	assert_int_equal(flags_get(cpu), FLAG_1 | FLAG_VM | FLAG_IF | FLAG_IOPL | FLAG_VIF);
	for (unsigned i = 0; i < SEG_COUNT; i++) {
		assert_int_equal(cpu->seg[i].selector, selectors[i]);
		assert_int_equal(cpu->seg[i].base, selectors[i] * 16);
		assert_int_equal(cpu->seg[i].limit, 0xffff);
		assert_int_equal(cpu->seg[i].attr, 0xf3);
	}
	/* an interrupt: nine values, and all data segments become null */
	prot_idt(u, EXC_GP, prot_gate(K_CODE, HANDLER, SEG_P | SYS_INT, 0));
	raised(u, EXC_GP, true, 0);
	assert_true(exception_dispatch(cpu));
	assert_int_equal(cpu->cpl, 0);
	assert_int_equal(cpu->gpr[RSP], STACK0_AT - 40);
	static const u32 frame[] = {0, 0x1111, 0x100, FLAG_1 | FLAG_VM | FLAG_IF | FLAG_IOPL | FLAG_VIF | FLAG_RF, 0x2222fffe, 0x3000,
	                            0x4000, 0x5000, 0x6000, 0x7000};
	for (unsigned i = 0; i < ARRAY_LEN(frame); i++)
		assert_int_equal(stack32(u, i), frame[i]);
	assert_int_equal(flags_get(cpu), FLAG_1 | FLAG_IOPL | FLAG_VIF);
	assert_true(cpu->seg[SEG_GS].attr & SEG_UNUSABLE);
	assert_int_equal(cpu->seg[SEG_GS].selector, 0);
	/* and back from the very frame */
	cpu->gpr[RSP] += 4;
	RUNS(u, "\xcf");
	assert_true(mode_v86(cpu));
	assert_int_equal(cpu->seg[SEG_GS].selector, 0x7000);
	cpu_unit_free(u);

	/* handlers must be non-conforming and at level 0 */
	u = v86(FLAG_IOPL);
	cpu = u->cpu;
	prot_idt(u, 0x1f, prot_gate(CONFORMING, HANDLER, SEG_P | SYS_INT | A_DPL(3), 0));
	FAULTS(u, "\xcd\x1f", EXC_GP, CONFORMING);
	prot_set(u, SCRATCH, prot_descriptor(0, 0xffff, A_CODE | A_DPL(1)));
	prot_idt(u, 0x1f, prot_gate(SCRATCH, HANDLER, SEG_P | SYS_INT | A_DPL(3), 0));
	FAULTS(u, "\xcd\x1f", EXC_GP, SCRATCH);
	prot_idt(u, 0x1f, prot_gate(K_CODE, HANDLER, SEG_P | SYS_INT, 0));
	FAULTS(u, "\xcd\x1f", EXC_GP, 0x1f * 8 | 2); /* DPL */
	/* a 16-bit gate pushes words */
	prot_idt(u, 0x1f, prot_gate(K_CODE, HANDLER, SEG_P | SYS_INT16 | A_DPL(3), 0));
	RUNS(u, "\xcd\x1f");
	assert_int_equal(cpu->gpr[RSP], STACK0_AT - 18);
	cpu_unit_free(u);

	/* IOPL */
	u = v86(FLAG_IF);
	cpu = u->cpu;
	prot_idt(u, 0x1f, prot_gate(K_CODE, HANDLER, SEG_P | SYS_INT | A_DPL(3), 0));
	prot_idt(u, EXC_BP, prot_gate(K_CODE, HANDLER, SEG_P | SYS_INT | A_DPL(3), 0));
	FAULTS(u, "\xcd\x1f", EXC_GP, 0);
	FAULTS(u, "\xcf", EXC_GP, 0);
	FAULTS(u, "\xfa", EXC_GP, 0);
	FAULTS(u, "\xfb", EXC_GP, 0);
	FAULTS(u, "\x0f\x00\xc8", EXC_UD, 0); /* str */
	RUNS(u, "\xcc"); /* INT3 does not care */
	cpu_unit_free(u);
	u = v86(FLAG_IF | FLAG_IOPL);
	cpu = u->cpu;
	RUNS(u, "\xfa");
	assert_false(flags_get(cpu) & FLAG_IF);
	/* IRET within the 8086 program: not VM, not IOPL */
	cpu->gpr[RSP] = 0x1000;
	store16(prot_at(u, 0x31000), 0x4444);
	store16(prot_at(u, 0x31002), 0x2000);
	store16(prot_at(u, 0x31004), FLAG_IF | FLAG_CF);
	RUNS(u, "\xcf");
	assert_int_equal(flags_get(cpu), FLAG_1 | FLAG_VM | FLAG_IOPL | FLAG_IF | FLAG_CF);
	assert_int_equal(cpu->seg[SEG_CS].base, 0x20000);
	assert_int_equal(cpu->rip, 0x4444);
	assert_int_equal(cpu->gpr[RSP], 0x1006);
	/* IRETD has the upper flags too, but its EIP must fit */
	const u32 wide[] = {0xffff, 0x2000, 0xffffffff & ~FLAG_TF};
	memcpy(prot_at(u, 0x31000), wide, sizeof wide);
	cpu->gpr[RSP] = 0x1000;
	RUNS(u, "\x66\xcf");
	assert_int_equal(flags_get(cpu), 0x277fd7 & ~FLAG_TF);
	assert_int_equal(cpu->rip, 0xffff);
	flags_set(cpu, FLAG_1 | FLAG_VM | FLAG_IOPL);
	store32(prot_at(u, 0x31000), 0x10000);
	cpu->gpr[RSP] = 0x1000;
	FAULTS(u, "\x66\xcf", EXC_GP, 0);
	/* segment loads are those of an 8086 */
	cpu->gpr[RAX] = 0xfff3;
	RUNS(u, "\x8e\xd8");
	assert_int_equal(cpu->seg[SEG_DS].base, 0xfff30);
	assert_int_equal(cpu->seg[SEG_DS].attr, 0xf3);
	cpu_unit_free(u);

	/* IRET to V86 mode wants EIP in 64 KiB, and CPL 0 */
	u = prot_new(0);
	const u32 beyond[] = {0x10000, 0x100, FLAG_VM, 0, 0, 0, 0, 0, 0};
	memcpy(prot_at(u, 0x18000), beyond, sizeof beyond);
	u->cpu->gpr[RSP] = 0x18000;
	FAULTS(u, "\xcf", EXC_GP, 0);
	cpu_unit_free(u);
	u = prot_new(3);
	const u32 user[] = {0x1000, U_CODE, FLAG_VM};
	memcpy(prot_at(u, 0x18000), user, sizeof user);
	u->cpu->gpr[RSP] = 0x18000;
	RUNS(u, "\xcf");
	assert_false(mode_v86(u->cpu));
	cpu_unit_free(u);
}

static void vme(void **state)
{
	struct cpu_unit *u = v86(FLAG_IF);
	struct cpu *cpu = u->cpu;
	(void)state;

	assert_true(control_set_cr4(cpu, CR4_VME));
	cpu->tr.limit = 0x3ff;
	store16(prot_at(u, TSS_AT + 102), 0x200);
	memset(prot_at(u, TSS_AT + 0x1e0), 0xff, 32);
	store8(prot_at(u, TSS_AT + 0x1e0 + 4), 0xfe); /* vector 0x20 goes to the program */
	store32(prot_at(u, 0x20 * 4), 0x20001234);

	/* the virtual flag stands in for the real one */
	cpu->gpr[RSP] = 0x1000;
	RUN_OK(u, "\xfb");
	assert_int_equal(flags_get(cpu), FLAG_1 | FLAG_VM | FLAG_IF | FLAG_VIF);
	RUNS(u, "\xcd\x20");
	assert_int_equal(cpu->seg[SEG_CS].base, 0x20000);
	assert_int_equal(cpu->rip, 0x1234);
	assert_int_equal(cpu->gpr[RSP], 0xffa);
	assert_int_equal(load16(prot_at(u, 0x30ffe)), FLAG_1 | FLAG_IF | FLAG_IOPL); /* IF as VIF was, IOPL as 3 */
	assert_int_equal(load16(prot_at(u, 0x30ffc)), 0x100);
	assert_int_equal(load16(prot_at(u, 0x30ffa)), CPU_UNIT_CODE + 2);
	assert_int_equal(flags_get(cpu), FLAG_1 | FLAG_VM | FLAG_IF);
	/* IRET brings VIF back */
	RUNS(u, "\xcf");
	assert_int_equal(flags_get(cpu), FLAG_1 | FLAG_VM | FLAG_IF | FLAG_VIF);
	assert_int_equal(cpu->seg[SEG_CS].selector, 0x100);
	cpu->gpr[RSP] = 0xffa;
	FAULTS(u, "\x66\xcf", EXC_GP, 0); /* not with 32 bits */
	/* VIP: enabling faults */
	flags_set(cpu, FLAG_1 | FLAG_VM | FLAG_IF | FLAG_VIP);
	FAULTS(u, "\xcf", EXC_GP, 0);
	FAULTS(u, "\xfb", EXC_GP, 0);
	RUN_OK(u, "\xfa");
	store16(prot_at(u, 0x30ffe), FLAG_TF);
	flags_set(cpu, FLAG_1 | FLAG_VM | FLAG_IF);
	FAULTS(u, "\xcf", EXC_GP, 0);
	/* a vector whose bit is set: IOPL decides */
	FAULTS(u, "\xcd\x21", EXC_GP, 0);
	/* the bitmap must lie in the TSS */
	cpu->tr.limit = 0x1e3;
	FAULTS(u, "\xcd\x20", EXC_GP, 0);
	cpu->tr.limit = 102;
	FAULTS(u, "\xcd\x20", EXC_GP, 0);
	cpu->tr.limit = 0x3ff;
	cpu->tr.attr = SEG_P | SYS_TSS16_BUSY;
	FAULTS(u, "\xcd\x20", EXC_GP, 0);
	cpu->tr.attr = SEG_P | SYS_TSS_BUSY;
	cpu->gpr[RSP] = 3;
	FAULTS(u, "\xcd\x20", EXC_SS, 0);
	cpu->gpr[RSP] = 0x1000;
	cpu->tr.limit = 0x1e4;
	RUNS(u, "\xcd\x20");
	cpu_unit_free(u);

	/* IOPL 3: redirected all the same, with the real IF */
	u = v86(FLAG_IF | FLAG_IOPL);
	cpu = u->cpu;
	assert_true(control_set_cr4(cpu, CR4_VME));
	store16(prot_at(u, TSS_AT + 102), 0x40);
	store32(prot_at(u, 0x20 * 4), 0x20001234);
	RUNS(u, "\xcd\x20");
	assert_int_equal(flags_get(cpu), FLAG_1 | FLAG_VM | FLAG_IOPL);
	cpu_unit_free(u);

	/* PVI: the same for CLI and STI in protected mode */
	u = prot_new(3);
	cpu = u->cpu;
	FAULTS(u, "\xfa", EXC_GP, 0);
	assert_true(control_set_cr4(cpu, CR4_PVI));
	RUN_OK(u, "\xfb");
	assert_int_equal(flags_get(cpu), FLAG_1 | FLAG_VIF);
	assert_int_equal(cpu->shadow, SHADOW_NONE);
	RUN_OK(u, "\xfa");
	assert_int_equal(flags_get(cpu), FLAG_1);
	flags_set(cpu, FLAG_1 | FLAG_VIP);
	FAULTS(u, "\xfb", EXC_GP, 0);
	cpu_unit_free(u);
}

static void interrupt_flag(void **state)
{
	struct cpu_unit *u = prot_new(0);
	struct cpu *cpu = u->cpu;
	(void)state;

	RUN_OK(u, "\xfb");
	assert_int_equal(cpu->shadow, SHADOW_STI);
	cpu->shadow = SHADOW_NONE;
	RUN_OK(u, "\xfb"); /* set already: no shadow */
	assert_int_equal(cpu->shadow, SHADOW_NONE);
	RUN_OK(u, "\xfa");
	assert_false(flags_get(cpu) & FLAG_IF);
	prot_level(u, 3);
	flags_set(cpu, FLAG_1 | FLAG_IOPL);
	RUN_OK(u, "\xfb");
	flags_set(cpu, FLAG_1 | 2 << 12);
	FAULTS(u, "\xfb", EXC_GP, 0);
	cpu_unit_free(u);
}

/* ---- real mode ---- */

static void real_mode(void **state)
{
	struct cpu_unit *u = cpu_unit_new("max");
	struct cpu *cpu = u->cpu;
	(void)state;

	cpu->seg[SEG_CS].base = 0x7000;
	cpu->seg[SEG_CS].selector = 0x700;
	mode_update(cpu);
	cpu->gpr[RSP] = 0x5000;
	flags_set(cpu, FLAG_1 | FLAG_IF | FLAG_TF | FLAG_AC | FLAG_NT | FLAG_IOPL);
	store32(prot_at(u, 13 * 4), 0x20001234);
	cpu->rip = 0x77;
	raised(u, EXC_GP, true, 0x55);
	assert_true(exception_dispatch(cpu));
	assert_int_equal(cpu->rip, 0x1234);
	assert_int_equal(cpu->seg[SEG_CS].base, 0x20000);
	assert_int_equal(cpu->gpr[RSP], 0x4ffa); /* no error code */
	assert_int_equal(load16(prot_at(u, 0x4ffa)), 0x77);
	assert_int_equal(load16(prot_at(u, 0x4ffc)), 0x700);
	assert_int_equal(load16(prot_at(u, 0x4ffe)), FLAG_1 | FLAG_IF | FLAG_TF | FLAG_NT | FLAG_IOPL);
	assert_int_equal(flags_get(cpu), FLAG_1 | FLAG_NT | FLAG_IOPL);
	RUNS(u, "\xcf");
	assert_int_equal(flags_get(cpu), FLAG_1 | FLAG_IF | FLAG_TF | FLAG_NT | FLAG_IOPL);
	assert_int_equal(cpu->rip, 0x77);
	assert_int_equal(cpu->gpr[RSP], 0x5000);
	/* IRETD keeps VM, VIF and VIP */
	const u32 frame[] = {0x88, 0x300, 0xffffffff};
	memcpy(prot_at(u, 0x5000), frame, sizeof frame);
	flags_set(cpu, FLAG_1);
	RUNS(u, "\x66\xcf");
	assert_int_equal(flags_get(cpu), 0x257fd7);
	assert_int_equal(cpu->seg[SEG_CS].base, 0x3000);
	store32(prot_at(u, 0x5000), 0x10000);
	cpu->gpr[RSP] = 0x5000;
	flags_set(cpu, FLAG_1);
	FAULTS(u, "\x66\xcf", EXC_GP, 0);
	store32(prot_at(u, 0x5000), 0xffff);
	RUNS(u, "\x66\xcf");
	assert_int_equal(cpu->rip, 0xffff);
	cpu->gpr[RSP] = 0x5000;
	/* the table's limit */
	flags_set(cpu, FLAG_1);
	cpu->idtr.limit = 0x20 * 4 + 2;
	FAULTS(u, "\xcd\x20", EXC_GP, 0x20 * 8 | 2);
	cpu->idtr.limit++;
	RUNS(u, "\xcd\x20");
	/* no room, no handler for it: shutdown */
	cpu->gpr[RSP] = 1;
	raised(u, EXC_UD, false, 0);
	assert_false(exception_dispatch(cpu));
	assert_int_equal(cpu->activity, CPU_SHUTDOWN);
	cpu_unit_free(u);
}

/* ---- double and triple faults ---- */

static unsigned told;
static void on_triple(void *opaque, struct cpu *cpu)
{
	(void)opaque;
	(void)cpu;
	told++;
}

static void double_faults(void **state)
{
	/* first, what its delivery raises, the handler that runs (0: none, shutdown) */
	static const struct {
		u8 first, second, handler, chain;
	} table[] = {
		{EXC_UD, EXC_GP, EXC_GP, 2},
		{EXC_BR, EXC_NP, EXC_NP, 2},
		{EXC_DE, EXC_GP, EXC_DF, 3},
		{EXC_GP, EXC_NP, EXC_DF, 3},
		{EXC_TS, EXC_SS, EXC_DF, 3},
		{EXC_PF, EXC_GP, EXC_DF, 3},
		{EXC_PF, EXC_PF, EXC_DF, 3},
		{EXC_GP, EXC_PF, EXC_PF, 2},
		{EXC_UD, EXC_PF, EXC_PF, 2},
		{EXC_AC, EXC_GP, EXC_GP, 2},
		{EXC_DF, EXC_GP, 0, 2},
		{EXC_DF, EXC_PF, 0, 2},
	};
	(void)state;

	for (unsigned i = 0; i < ARRAY_LEN(table); i++) {
		struct cpu_unit *u = prot_new(3);
		struct cpu *cpu = u->cpu;
		u64 bad = 0; /* #GP */

		cpu->host = (struct cpu_host){.triple_fault = on_triple};
		prot_paging(u);
		for (unsigned v = 0; v < 32; v++)
			prot_idt(u, v, prot_gate(K_CODE, 0x1000 + v, SEG_P | SYS_INT, 0));
		if (table[i].second == EXC_NP)
			bad = prot_gate(K_CODE, 0x1000, SYS_INT, 0);
		if (table[i].second == EXC_SS) {
			prot_set(u, SCRATCH, prot_descriptor(0, 0xfffff, A_DATA | A_FLAT | A_DPL(1)));
			prot_set(u, SCRATCH2, prot_descriptor(0, 0xfffff, A_CODE | A_FLAT | A_DPL(1)));
			prot_set(u, SCRATCH, prot_descriptor(0, 0xfffff, (A_DATA & ~SEG_P) | A_FLAT | A_DPL(1)));
			store32(prot_at(u, TSS_AT + 12), STACK0_AT);
			store16(prot_at(u, TSS_AT + 16), SCRATCH | 1);
			bad = prot_gate(SCRATCH2, 0x1000, SEG_P | SYS_INT, 0);
		}
		if (table[i].second == EXC_PF) { /* on the stack of level 1 */
			prot_set(u, SCRATCH, prot_descriptor(0, 0xfffff, A_DATA | A_FLAT | A_DPL(1)));
			prot_set(u, SCRATCH2, prot_descriptor(0, 0xfffff, A_CODE | A_FLAT | A_DPL(1)));
			store32(prot_at(u, TSS_AT + 12), 0x60000);
			store16(prot_at(u, TSS_AT + 16), SCRATCH | 1);
			prot_page(u, 0x5f000, 0);
			bad = prot_gate(SCRATCH2, 0x1000, SEG_P | SYS_INT, 0);
		}
		prot_idt(u, table[i].first, bad);
		if (table[i].first == table[i].second)
			prot_idt(u, table[i].second, bad);
		cpu->rip = 0x1234;
		raised(u, table[i].first, table[i].first != EXC_UD, 0x66);
		told = 0;
		assert_int_equal(exception_dispatch(cpu), table[i].handler != 0);
		assert_int_equal(cpu->chain_len, table[i].chain);
		assert_int_equal(cpu->chain[0].vector, table[i].first);
		assert_int_equal(cpu->chain[1].vector, table[i].second);
		if (table[i].handler) {
			assert_int_equal(cpu->rip, 0x1000 + table[i].handler);
			assert_int_equal(stack32(u, 1), 0x1234);
			assert_int_equal(told, 0);
			if (table[i].handler == EXC_DF) {
				assert_int_equal(stack32(u, 0), 0);
				assert_false(stack32(u, 3) & FLAG_RF);
			}
			if (table[i].second == EXC_PF)
				assert_int_equal(cpu->cr2, 0x5fffc);
		} else {
			assert_int_equal(told, 1);
			assert_int_equal(cpu->activity, CPU_SHUTDOWN);
			assert_int_equal(cpu->rip, 0x1234);
			assert_int_equal(cpu->cpl, 3);
		}
		assert_false(cpu->delivering);
		assert_null(cpu->fault_env);
		cpu_unit_free(u);
	}

	/* an external interrupt is benign; with no IDT at all three faults end it */
	struct cpu_unit *u = prot_new(0);
	u->cpu->idtr.limit = 0;
	assert_false(exception_interrupt(u->cpu, 0x20, EVENT_EXTERNAL));
	assert_int_equal(u->cpu->chain_len, 4);
	assert_int_equal(u->cpu->chain[1].vector, EXC_GP);
	assert_int_equal(u->cpu->chain[2].vector, EXC_DF);
	assert_int_equal(u->cpu->chain[3].code, EXC_DF * 8 | 2 | 1);
	cpu_unit_free(u);

	/* #AC whose own handler is misaligned for ever: the engine gets control back */
	u = prot_new(3);
	struct cpu *cpu = u->cpu;
	prot_idt(u, EXC_AC, prot_gate(CONFORMING, HANDLER, SEG_P | SYS_TRAP | A_DPL(3), 0));
	assert_true(control_set_cr0(cpu, cpu->cr0 | CR0_AM));
	flags_set(cpu, FLAG_1 | FLAG_AC);
	cpu->gpr[RSP] = STACK3_AT - 1;
	mode_update(cpu);
	raised(u, EXC_AC, true, 0);
	assert_true(exception_dispatch(cpu));
	assert_int_equal(cpu->gpr[RSP], STACK3_AT - 1);
	cpu_unit_free(u);
}

/* The stack of a handler under a data breakpoint: #DB comes before its first instruction. */
static void watched_stack(void **state)
{
	struct cpu_unit *u = prot_new(3);
	struct cpu *cpu = u->cpu;
	(void)state;

	prot_idt(u, EXC_UD, prot_gate(K_CODE, HANDLER, SEG_P | SYS_INT, 0));
	prot_idt(u, EXC_DB, prot_gate(K_CODE, 0x9999, SEG_P | SYS_INT, 0));
	cpu->dr[1] = STACK0_AT - 4;
	cpu->dr[7] = DR7_FIXED | 1 << 2 | 0xd << 20; /* 4 bytes, writes */
	mode_update(cpu);
	cpu->rip = 0x1234;
	raised(u, EXC_UD, false, 0);
	assert_true(exception_dispatch(cpu));
	assert_int_equal(cpu->rip, 0x9999);
	assert_int_equal(stack32(u, 0), HANDLER);
	assert_int_equal(cpu->dr[6], DR6_FIXED | 2);
	assert_int_equal(cpu->gpr[RSP], STACK0_AT - 20 - 12);
	cpu_unit_free(u);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(same_level), cmocka_unit_test(inner_level), cmocka_unit_test(logged),
		cmocka_unit_test(gate_checks), cmocka_unit_test(others),
		cmocka_unit_test(long_mode), cmocka_unit_test(v86_mode), cmocka_unit_test(vme), cmocka_unit_test(interrupt_flag),
		cmocka_unit_test(real_mode), cmocka_unit_test(double_faults), cmocka_unit_test(watched_stack),
	};

	return cmocka_run_group_tests_name("exception", tests, NULL, NULL);
}
