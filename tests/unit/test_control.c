/* SPDX-License-Identifier: MIT */
/* cpu/control and cpu/system: which values of control and debug registers are refused, what a change of mode brings about,
 * privilege of system instructions, and that stale translations go when they must. */
#include <stdlib.h>

#include "cpu/xsave.h"
#include "tests/unit/cpu_unit.h"

static int setup(void **state)
{
	*state = cpu_unit_new("max,+monitor");
	return 0;
}

static int teardown(void **state)
{
	cpu_unit_free(*state);
	return 0;
}

static void cr0_rules(void **state)
{
	struct cpu_unit *u = *state;
	struct cpu *cpu = u->cpu;
	static const u64 bad[] = {CR0_PG, CR0_NW, CR0_PE | CR0_NW, BIT(32), BIT(63) | CR0_PE, CR0_PG | CR0_NW | CR0_CD};

	for (unsigned i = 0; i < ARRAY_LEN(bad); i++) {
		u64 before = cpu->cr0;
		assert_false(control_set_cr0(cpu, bad[i]));
		assert_int_equal(cpu->cr0, before);
	}
	assert_true(control_set_cr0(cpu, CR0_PE | 0x1ffaffc0));
	assert_int_equal(cpu->cr0, CR0_PE | CR0_ET); /* reserved bits vanish, ET is 1 */
	assert_true(control_set_cr0(cpu, 0));
	assert_int_equal(cpu->cr0, CR0_ET);
}

static void long_mode(void **state)
{
	struct cpu_unit *u = *state;
	struct cpu *cpu = u->cpu;

	cpu_unit_protected(u);
	assert_true(control_set_efer(cpu, EFER_LME));
	assert_false(control_set_cr0(cpu, cpu->cr0 | CR0_PG)); /* without PAE */
	assert_true(control_set_cr4(cpu, CR4_PAE));
	cpu->tr.attr = SEG_P | 3;
	assert_false(control_set_cr0(cpu, cpu->cr0 | CR0_PG)); /* 16-bit TSS */
	cpu->tr.attr = SEG_P | 11;
	cpu_unit_segments(u, SEG_L, 0);
	assert_false(control_set_cr0(cpu, cpu->cr0 | CR0_PG)); /* CS.L */
	cpu_unit_segments(u, SEG_DB, 0);
	assert_true(control_set_cr0(cpu, cpu->cr0 | CR0_PG));
	assert_int_equal(cpu->efer, EFER_LME | EFER_LMA);
	assert_true(cpu->long_mode);
	assert_int_equal(cpu->code_mode, CODE32); /* compatibility mode */

	assert_false(control_set_efer(cpu, 0)); /* LME with paging on */
	assert_true(control_set_efer(cpu, EFER_LME | EFER_SCE));
	assert_int_equal(cpu->efer, EFER_LME | EFER_LMA | EFER_SCE); /* LMA is not software's */
	assert_false(control_set_efer(cpu, EFER_LME | EFER_FFXSR));
	assert_false(control_set_efer(cpu, EFER_LME | 2));
	assert_false(control_set_cr4(cpu, 0)); /* PAE in long mode */

	cpu_unit_segments(u, SEG_L, 0);
	assert_int_equal(cpu->code_mode, CODE64);
	assert_false(control_set_cr0(cpu, cpu->cr0 & ~CR0_PG)); /* from 64-bit mode */
	cpu_unit_segments(u, SEG_DB, 0);
	assert_true(control_set_cr4(cpu, CR4_PAE | CR4_PCIDE));
	assert_false(control_set_cr0(cpu, cpu->cr0 & ~CR0_PG)); /* with PCIDE */
	assert_true(control_set_cr4(cpu, CR4_PAE));
	assert_true(control_set_cr0(cpu, cpu->cr0 & ~CR0_PG));
	assert_int_equal(cpu->efer, EFER_LME | EFER_SCE);
	assert_false(cpu->long_mode);
}

static void cr3_and_pcid(void **state)
{
	struct cpu_unit *u = *state;
	struct cpu *cpu = u->cpu;

	assert_false(control_set_cr4(cpu, CR4_PCIDE)); /* outside long mode */
	cpu_unit_long(u);
	assert_false(control_set_cr3(cpu, BIT(u->model.phys_bits)));
	assert_false(control_set_cr3(cpu, CPU_UNIT_PML4 | CR3_NO_FLUSH));
	assert_true(control_set_cr3(cpu, CPU_UNIT_PML4 | 0x18));
	assert_false(control_set_cr4(cpu, cpu->cr4 | CR4_PCIDE)); /* PCID not 0 */
	assert_true(control_set_cr3(cpu, CPU_UNIT_PML4));
	assert_true(control_set_cr4(cpu, cpu->cr4 | CR4_PCIDE));
	assert_true(control_set_cr3(cpu, CPU_UNIT_PML4 | 5 | CR3_NO_FLUSH));
	assert_int_equal(cpu->cr3, CPU_UNIT_PML4 | 5);
	assert_false(control_set_cr3(cpu, CPU_UNIT_PML4 | BIT(62)));
}

static void pdptes(void **state)
{
	struct cpu_unit *u = *state;
	struct cpu *cpu = u->cpu;

	for (unsigned i = 0; i < 4; i++)
		store64(u->ram->hva + 0x3000 + i * 8, (0x4000 + i * 0x1000) | 1);
	store64(u->ram->hva + 0x3020, 0x4000 | 3); /* a second table, with a reserved bit */
	cpu_unit_protected(u);
	assert_true(control_set_cr4(cpu, CR4_PAE));
	assert_true(control_set_cr3(cpu, 0x3020)); /* nothing is loaded before paging is on */
	assert_false(control_set_cr0(cpu, cpu->cr0 | CR0_PG));
	assert_true(control_set_cr3(cpu, 0x3000));
	assert_true(control_set_cr0(cpu, cpu->cr0 | CR0_PG));
	assert_int_equal(cpu->pdpte[2], 0x6001);
	assert_false(control_set_cr3(cpu, 0x3020));
	assert_int_equal(cpu->cr3, 0x3000);
	assert_int_equal(cpu->pdpte[2], 0x6001);
	store64(u->ram->hva + 0x3010, 0x9001);
	assert_true(control_set_cr4(cpu, CR4_PAE | CR4_OSFXSR));
	assert_int_equal(cpu->pdpte[2], 0x6001); /* not one of the bits that reload */
	assert_true(control_set_cr4(cpu, CR4_PAE | CR4_PGE));
	assert_int_equal(cpu->pdpte[2], 0x9001);
}

static void cr4_by_model(void **state)
{
	static const struct {
		const char *model;
		u64 bits;
	} cases[] = {
		{"486", CR4_PSE | CR4_VME | CR4_PVI},
		{"pentium3",
	     CR4_VME | CR4_PVI | CR4_TSD | CR4_DE | CR4_PSE | CR4_PAE | CR4_MCE | CR4_PGE | CR4_PCE | CR4_OSFXSR | CR4_OSXMMEXCPT},
		{"max,-smap,-umip,-vme", CR4_TSD | CR4_DE | CR4_PSE | CR4_PAE | CR4_MCE | CR4_PGE | CR4_PCE | CR4_OSFXSR | CR4_OSXMMEXCPT |
	                                 CR4_FSGSBASE | CR4_PCIDE | CR4_OSXSAVE | CR4_SMEP},
	};

	(void)state;
	for (unsigned i = 0; i < ARRAY_LEN(cases); i++) {
		struct cpu_unit *u = cpu_unit_new(cases[i].model);
		assert_int_equal(control_cr4_bits(u->cpu), cases[i].bits);
		for (unsigned b = 0; b < 64; b++)
			if (!(control_cr4_bits(u->cpu) >> b & 1))
				assert_false(control_set_cr4(u->cpu, BIT(b)));
		cpu_unit_free(u);
	}
}

static void xcr0_rules(void **state)
{
	struct cpu_unit *u = *state;
	struct cpu *cpu = u->cpu;

	RUN_FAULT(u, "\x0f\x01\xd1", EXC_UD); /* XSETBV before OSXSAVE */
	RUN_FAULT(u, "\x0f\x01\xd0", EXC_UD);
	cpu_unit_long(u);
	assert_false(control_set_xcr0(cpu, 0));
	assert_false(control_set_xcr0(cpu, 2));
	assert_false(control_set_xcr0(cpu, 7)); /* no AVX */
	cpu->gpr[RAX] = 3;
	cpu->gpr[RDX] = cpu->gpr[RCX] = 0;
	RUN_OK(u, "\x0f\x01\xd1");
	assert_int_equal(cpu->xcr0, 3);
	cpu->gpr[RCX] = 1;
	RUN_FAULT(u, "\x0f\x01\xd1", EXC_GP);
	cpu->v[2].q[0] = 1;
	cpu->x87.fcw = 0x37f;
	cpu->x87.valid = 0;
	RUN_OK(u, "\x0f\x01\xd0"); /* XGETBV of XINUSE */
	assert_int_equal(cpu->gpr[RAX], XSAVE_SSE);
	cpu->gpr[RCX] = 0;
	RUN_OK(u, "\x0f\x01\xd0");
	assert_int_equal(cpu->gpr[RAX], 3);
	cpu->gpr[RCX] = 2;
	RUN_FAULT(u, "\x0f\x01\xd0", EXC_GP);
	cpu_unit_segments(u, SEG_L, 3);
	cpu->gpr[RCX] = 0;
	RUN_OK(u, "\x0f\x01\xd0");
	RUN_FAULT(u, "\x0f\x01\xd1", EXC_GP);
}

static void mov_cr(void **state)
{
	struct cpu_unit *u = *state;
	struct cpu *cpu = u->cpu;

	cpu->gpr[RAX] = 0xffffffff00000011;
	RUN_OK(u, "\x0f\x22\xc0"); /* mov cr0, eax: outside 64-bit mode only 32 bits count */
	assert_int_equal(cpu->cr0, 0x11);
	cpu_unit_long(u);
	cpu->gpr[RBX] = 0x123456789abcdef0;
	RUN_OK(u, "\x0f\x22\xd3"); /* mov cr2, rbx */
	RUN_OK(u, "\x0f\x20\xd2"); /* mov rdx, cr2 */
	assert_int_equal(cpu->gpr[RDX], 0x123456789abcdef0);
	RUN_FAULT(u, "\x0f\x22\xc3", EXC_GP); /* mov cr0, rbx: upper half */
	assert_int_equal(cpu->fault.code, 0);
	assert_int_equal(cpu->fault.rip, CPU_UNIT_CODE);
	RUN_FAULT(u, "\x0f\x20\xc8", EXC_UD); /* cr1 */
	RUN_FAULT(u, "\x0f\x22\xe8", EXC_UD); /* cr5 */
	cpu->gpr[RAX] = 16;
	RUN_FAULT(u, "\x44\x0f\x22\xc0", EXC_GP); /* mov cr8, rax */
	cpu->gpr[RAX] = 15;
	RUN_OK(u, "\x44\x0f\x22\xc0");
	RUN_OK(u, "\x44\x0f\x20\xc0"); /* no controller is wired: 0 */
	assert_int_equal(cpu->gpr[RAX], 0);
	cpu_unit_segments(u, SEG_L, 3);
	RUN_FAULT(u, "\x0f\x20\xd2", EXC_GP);
	RUN_FAULT(u, "\x0f\x22\xd3", EXC_GP);
	RUN_FAULT(u, "\x0f\x06", EXC_GP); /* clts */
}

static void machine_status_word(void **state)
{
	struct cpu_unit *u = *state;
	struct cpu *cpu = u->cpu;

	cpu->gpr[RAX] = 0xffff;
	RUN_OK(u, "\x0f\x01\xf0"); /* lmsw ax */
	assert_int_equal(cpu->cr0 & 0xffff, 0x1f);
	assert_int_equal(cpu->sse_fault, EXC_UD);
	cpu->gpr[RAX] = 0;
	RUN_OK(u, "\x0f\x01\xf0");
	assert_int_equal(cpu->cr0 & 0xffff, 0x11); /* PE stays */
	cpu_unit_long(u);
	cpu->cr0 |= CR0_TS;
	mode_update(cpu);
	assert_int_equal(cpu->x87_fault, EXC_NM);
	cpu->gpr[RAX] = ~0ull;
	RUN_OK(u, "\x0f\x01\xe0"); /* smsw eax */
	assert_int_equal(cpu->gpr[RAX], cpu->cr0);
	cpu->gpr[RAX] = ~0ull;
	RUN_OK(u, "\x66\x0f\x01\xe0"); /* smsw ax */
	assert_int_equal(cpu->gpr[RAX], 0xffffffffffff0000 | (u16)cpu->cr0);
	cpu->gpr[RSI] = 0x8000;
	RUN_OK(u, "\x48\x0f\x01\x26"); /* smsw [rsi]: 16 bits whatever the prefix */
	assert_int_equal(load64(u->ram->hva + 0x8000), (u16)cpu->cr0);
	RUN_OK(u, "\x0f\x06"); /* clts */
	assert_int_equal(cpu->cr0 & CR0_TS, 0);
	assert_int_equal(cpu->x87_fault, 0);
	cpu_unit_segments(u, SEG_L, 3);
	RUN_OK(u, "\x0f\x01\xe0"); /* smsw is anybody's ... */
	assert_true(control_set_cr4(cpu, cpu->cr4 | CR4_UMIP));
	RUN_FAULT(u, "\x0f\x01\xe0", EXC_GP); /* ... but for UMIP */
}

static void debug_registers(void **state)
{
	struct cpu_unit *u = *state;
	struct cpu *cpu = u->cpu;

	cpu_unit_long(u);
	cpu->gpr[RAX] = 0xffffffff;
	RUN_OK(u, "\x0f\x23\xf0"); /* mov dr6, rax */
	assert_int_equal(cpu->dr[6], 0xffffeffful & (0xe00f | DR6_FIXED));
	cpu->gpr[RAX] = 0x55;
	RUN_OK(u, "\x0f\x23\xf8"); /* mov dr7, rax */
	assert_int_equal(cpu->dr[7], 0x455);
	assert_true(cpu->watchpoints && cpu->careful);
	RUN_OK(u, "\x0f\x21\xe8"); /* mov rax, dr5: another name of dr7 */
	assert_int_equal(cpu->gpr[RAX], 0x455);
	cpu->gpr[RAX] = BIT(32);
	RUN_FAULT(u, "\x0f\x23\xf8", EXC_GP);
	RUN_OK(u, "\x0f\x23\xc0"); /* dr0 takes 64 bits */
	assert_int_equal(cpu->dr[0], BIT(32));
	assert_true(control_set_cr4(cpu, cpu->cr4 | CR4_DE));
	RUN_FAULT(u, "\x0f\x21\xe8", EXC_UD);
	cpu->dr[7] |= DR7_GD;
	RUN_FAULT(u, "\x0f\x21\xc0", EXC_DB);
	assert_true(cpu->dr[6] & DR6_BD);
	cpu_unit_segments(u, SEG_L, 3);
	RUN_FAULT(u, "\x0f\x21\xc0", EXC_GP); /* privilege comes first */
}

/* A page whose mapping changes under a cached translation. */
static u64 read_at(struct cpu_unit *u, u64 linear)
{
	u->cpu->gpr[RSI] = linear;
	cpu_unit_segments(u, SEG_L, 0);
	return lin_read64(u->cpu, linear, SEG_DS);
}

static void map_4k(struct cpu_unit *u, u64 linear, u64 entry)
{
	/* PML4 slot 1 -> PDPT 0x210000 -> PD 0x211000 -> PT 0x212000 */
	store64(u->ram->hva + CPU_UNIT_PML4 + (linear >> 39 & 511) * 8, 0x210007);
	store64(u->ram->hva + 0x210000 + (linear >> 30 & 511) * 8, 0x211007);
	store64(u->ram->hva + 0x211000 + (linear >> 21 & 511) * 8, 0x212007);
	store64(u->ram->hva + 0x212000 + (linear >> 12 & 511) * 8, entry);
}

static void flushes(void **state)
{
	struct cpu_unit *u = *state;
	struct cpu *cpu = u->cpu;
	const u64 a = 0x8000000000, b = a + 0x1000; /* b is global */

	cpu_unit_long(u);
	assert_true(control_set_cr4(cpu, cpu->cr4 | CR4_PGE));
	store64(u->ram->hva + 0x9000, 9);
	store64(u->ram->hva + 0xa000, 10);
	map_4k(u, a, 0x9007);
	map_4k(u, b, 0x9107);
	assert_int_equal(read_at(u, a) + read_at(u, b), 18);
	map_4k(u, a, 0xa007);
	map_4k(u, b, 0xa107);
	assert_int_equal(read_at(u, a), 9); /* cached */
	cpu->gpr[RCX] = a;
	RUN_OK(u, "\x0f\x01\x39"); /* invlpg [rcx] */
	assert_int_equal(read_at(u, a), 10);
	assert_int_equal(read_at(u, b), 9);
	map_4k(u, a, 0x9007);
	cpu->gpr[RAX] = cpu->cr3;
	RUN_OK(u, "\x0f\x22\xd8"); /* mov cr3, rax */
	assert_int_equal(read_at(u, a), 9);
	assert_int_equal(read_at(u, b), 9); /* global: survives */
	assert_true(control_set_cr4(cpu, cpu->cr4 & ~CR4_PGE));
	assert_int_equal(read_at(u, b), 10);

	assert_true(control_set_cr4(cpu, cpu->cr4 | CR4_PCIDE | CR4_PGE));
	assert_int_equal(read_at(u, a), 9);
	map_4k(u, a, 0xa007);
	cpu->gpr[RAX] = cpu->cr3 | CR3_NO_FLUSH;
	RUN_OK(u, "\x0f\x22\xd8");
	assert_int_equal(read_at(u, a), 9); /* kept */
	cpu->gpr[RAX] = (cpu->cr3 | 1) | CR3_NO_FLUSH;
	RUN_OK(u, "\x0f\x22\xd8");
	assert_int_equal(read_at(u, a), 10); /* another PCID has its own translations */

	/* INVPCID rax, [rsi] */
	struct { u64 pcid, linear; } *d = (void *)(u->ram->hva + 0xb000);
	static const char invpcid[] = "\x66\x0f\x38\x82\x06";
#define INVPCID(type, id, address)                                                                                     \
	(d->pcid = (id), d->linear = (address), cpu->gpr[RAX] = (type), cpu->gpr[RSI] = 0xb000, cpu_unit_run(u, invpcid, 5))
	map_4k(u, a, 0x9007);
	assert_int_equal(INVPCID(0, 2, a), -1);
	assert_int_equal(read_at(u, a), 10); /* not this context */
	assert_int_equal(INVPCID(0, 1, a), -1);
	assert_int_equal(read_at(u, a), 9);
	map_4k(u, a, 0xa007);
	assert_int_equal(INVPCID(1, 1, 0), -1);
	assert_int_equal(read_at(u, a), 10);
	assert_int_equal(read_at(u, b), 10);
	map_4k(u, b, 0x9107);
	assert_int_equal(INVPCID(3, 0, 0), -1);
	assert_int_equal(read_at(u, b), 10);
	assert_int_equal(INVPCID(2, 0, 0), -1);
	assert_int_equal(read_at(u, b), 9);
	assert_int_equal(INVPCID(4, 0, 0), EXC_GP);
	assert_int_equal(INVPCID(1, 0x1000, 0), EXC_GP);
	assert_int_equal(INVPCID(0, 1, BIT(47)), EXC_GP);
	assert_true(control_set_cr3(cpu, CPU_UNIT_PML4));
	assert_true(control_set_cr4(cpu, cpu->cr4 & ~CR4_PCIDE));
	assert_int_equal(INVPCID(1, 1, 0), EXC_GP);
	assert_int_equal(INVPCID(1, 0, 0), -1);
	cpu_unit_segments(u, SEG_L, 3);
	assert_int_equal(INVPCID(1, 0, 0), EXC_GP);
}

/* Rights that change with CR0, CR4 and EFER are seen at once. */
static void rights(void **state)
{
	struct cpu_unit *u = *state;
	struct cpu *cpu = u->cpu;
	const u64 a = 0x8000000000;

	cpu_unit_long(u);
	map_4k(u, a, 0x9005); /* read-only, user */
	cpu->gpr[RDI] = a;
	assert_int_equal(read_at(u, a), 0);
	assert_true(control_set_cr0(cpu, cpu->cr0 & ~CR0_WP));
	RUN_OK(u, "\x0f\x01\x27"); /* smsw [rdi]: a store */
	assert_true(control_set_cr0(cpu, cpu->cr0 | CR0_WP));
	RUN_FAULT(u, "\x0f\x01\x27", EXC_PF);
	assert_int_equal(cpu->fault.code, PF_P | PF_W);
	cpu->gpr[RCX] = a;
	RUN_OK(u, "\x0f\xae\x39"); /* clflush [rcx]: a load */
	assert_true(control_set_cr4(cpu, cpu->cr4 | CR4_SMAP));
	RUN_FAULT(u, "\x0f\xae\x39", EXC_PF);
	RUN_OK(u, "\x0f\x01\xcb"); /* stac */
	RUN_OK(u, "\x0f\xae\x39");
	RUN_OK(u, "\x0f\x01\xca"); /* clac */
	RUN_FAULT(u, "\x0f\xae\x39", EXC_PF);
	map_4k(u, a, 0x9007 | BIT(63));
	tlb_flush_all(cpu);
	RUN_OK(u, "\x0f\x01\xcb");
	RUN_OK(u, "\x0f\xae\x39");
	assert_true(control_set_efer(cpu, cpu->efer & ~EFER_NXE));
	RUN_FAULT(u, "\x0f\xae\x39", EXC_PF);
	assert_int_equal(cpu->fault.code, PF_P | PF_RSVD);
}

static void privilege(void **state)
{
	struct cpu_unit *u = *state;
	struct cpu *cpu = u->cpu;

	cpu_unit_long(u);
	cpu->gpr[RCX] = cpu->gpr[RAX] = 0;
	RUN_OK(u, "\xf4"); /* hlt */
	assert_int_equal(cpu->activity, CPU_HALTED);
	cpu->activity = CPU_RUNNING;
	RUN_OK(u, "\x0f\x08"); /* invd */
	RUN_OK(u, "\x0f\x09");
	RUN_OK(u, "\x0f\x01\xc8"); /* monitor */
	RUN_OK(u, "\x0f\x01\xc9"); /* mwait */
	RUN_FAULT(u, "\x0f\xaa", EXC_UD); /* rsm */
	RUN_FAULT(u, "\x0f\x33", EXC_GP); /* rdpmc */
	cpu_unit_segments(u, SEG_L, 3);
	RUN_FAULT(u, "\xf4", EXC_GP);
	RUN_FAULT(u, "\x0f\x08", EXC_GP);
	RUN_FAULT(u, "\x0f\x09", EXC_GP);
	RUN_FAULT(u, "\x0f\x01\x39", EXC_GP); /* invlpg */
	RUN_FAULT(u, "\x0f\x01\xc8", EXC_UD);
	RUN_FAULT(u, "\x0f\x01\xcb", EXC_UD); /* stac */
	RUN_FAULT(u, "\x0f\x30", EXC_GP); /* wrmsr */
	RUN_OK(u, "\x0f\x31"); /* rdtsc */
	assert_true(control_set_cr4(cpu, cpu->cr4 | CR4_TSD));
	RUN_FAULT(u, "\x0f\x31", EXC_GP);
	RUN_FAULT(u, "\x0f\x01\xf9", EXC_GP); /* rdtscp */
	cpu_unit_segments(u, SEG_L, 0);
	cpu->tsc_aux = 77;
	RUN_OK(u, "\x0f\x01\xf9");
	assert_int_equal(cpu->gpr[RCX], 77);
	RUN_OK(u, "\xf3\x0f\xc7\xf8"); /* rdpid rax */
	assert_int_equal(cpu->gpr[RAX], 77);
}

static void random_numbers(void **state)
{
	struct cpu_unit *u = *state;
	struct cpu *cpu = u->cpu;
	u64 ones = 0, zeros = 0;

	cpu_unit_long(u);
	loop_entropy_seed(u->loop, 1);
	for (unsigned i = 0; i < 200; i++) {
		cpu->gpr[RAX] = ~0ull;
		flags_set(cpu, 2 | FLAGS_ARITH);
		if (i & 1)
			RUN_OK(u, "\x48\x0f\xc7\xf0"); /* rdrand rax */
		else
			RUN_OK(u, "\x48\x0f\xc7\xf8"); /* rdseed rax */
		assert_int_equal(flags_get(cpu), 2 | FLAG_CF);
		ones |= cpu->gpr[RAX];
		zeros |= ~cpu->gpr[RAX];
	}
	assert_int_equal(ones & zeros, ~0ull);
	cpu->gpr[RAX] = ~0ull;
	RUN_OK(u, "\x0f\xc7\xf0");
	assert_int_equal(cpu->gpr[RAX] >> 32, 0);
	cpu->gpr[RAX] = ~0ull;
	RUN_OK(u, "\x66\x0f\xc7\xf0");
	assert_int_equal(cpu->gpr[RAX] >> 16, 0xffffffffffff);
}

/* What the model does not have is undefined. */
static void absent(void **state)
{
	struct cpu_unit *u = cpu_unit_new("pentium");
	static const char *const insns[] = {
		"\x0f\xc7\xf0", "\x0f\xc7\xf8", "\x0f\x01\xf9", "\x0f\x01\xd0", "\x0f\x01\xd1", "\x0f\x01\xca", "\x0f\x01\xcb",
		"\x0f\xae\x38", "\x0f\xae\x00", "\x0f\xae\x20", "\x0f\xc7\x20", "\x0f\x01\xc8", "\x0f\x01\xc9",
	};

	(void)state;
	cpu_unit_protected(u);
	for (unsigned i = 0; i < ARRAY_LEN(insns); i++)
		assert_int_equal(cpu_unit_run(u, insns[i], 3), EXC_UD);
	cpu_unit_free(u);
	u = cpu_unit_new("486");
	RUN_FAULT(u, "\x0f\x31", EXC_UD);
	RUN_FAULT(u, "\x0f\x32", EXC_UD);
	RUN_OK(u, "\x0f\xa2");
	cpu_unit_free(u);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(cr0_rules), TEST(long_mode), TEST(cr3_and_pcid), TEST(pdptes), TEST(cr4_by_model), TEST(xcr0_rules), TEST(mov_cr),
		TEST(machine_status_word), TEST(debug_registers), TEST(flushes), TEST(rights), TEST(privilege), TEST(random_numbers),
		TEST(absent),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
