/* SPDX-License-Identifier: MIT */
/* The side under test: the same instruction in a CPU of ours, through the public engine interface only. The CPU runs at CPL 3 in
 * long mode with the descriptor tables a Linux process has; each exception's gate leads to a HLT of its own, so what happened is
 * read from architectural state: which handler, what frame on its stack. */
#include "tests/oracle/oracle.h"

#include <stdlib.h>

#include "base/err.h"
#include "cpu/access.h"
#include "cpu/engine.h"
#include "cpu/flags.h"
#include "cpu/mode.h"
#include "cpu/model.h"
#include "mem/bus.h"
#ifdef ENGINE_JIT
#include "jit/jit.h"
#endif

/* Guest-physical pages, mapped at the same linear addresses from KERNEL on, and where both sides agree. */
#define KERNEL 0x38000000u
enum {
	P_PML4 = 1, P_PDPT, P_PD, P_PT_CODE, P_PT_DATA, P_PT_STACK, P_PT_KERNEL, P_GDT, P_IDT, P_TSS, P_LDT, P_HANDLERS, P_KSTACK,
	P_CODE, P_ARENA, P_COUNT = P_ARENA + ARENA_SIZE / PAGE,
};
#define KERNEL_AT(page) (KERNEL + (page) * PAGE)
#define KSTACK_TOP (KERNEL_AT(P_KSTACK) + PAGE)
#define PTE_P 1u
#define PTE_W 2u
#define PTE_U 4u
#define PTE_A 0x20u
#define PTE_D 0x40u
#define PTE_NX BIT(63)

static struct {
	struct clock *clock;
	struct loop *loop;
	struct bus bus;
	struct ram *ram;
	struct region region;
	struct cpu_model model;
	struct cpu *cpu;
	u64 gdt[16];
	u64 ldt[SEL_LDT_COUNT];
	bool has_ldt;
} g;

static void write_page(unsigned page, unsigned off, u64 v)
{
	store64(g.ram->hva + page * PAGE + off, v);
}

static void map_page(unsigned table, u64 linear, unsigned page, u64 bits)
{
	write_page(table, (linear >> 12 & 511) * 8, page * (u64)PAGE | bits | PTE_P | PTE_A | PTE_D);
}

static void page_tables(void)
{
	write_page(P_PML4, 0, P_PDPT * (u64)PAGE | PTE_P | PTE_W | PTE_U);
	write_page(P_PDPT, 0, P_PD * (u64)PAGE | PTE_P | PTE_W | PTE_U);
	write_page(P_PD, (CODE_PAGE >> 21) * 8, P_PT_CODE * (u64)PAGE | PTE_P | PTE_W | PTE_U);
	write_page(P_PD, (DATA_PAGE >> 21) * 8, P_PT_DATA * (u64)PAGE | PTE_P | PTE_W | PTE_U);
	write_page(P_PD, (STACK_PAGE >> 21) * 8, P_PT_STACK * (u64)PAGE | PTE_P | PTE_W | PTE_U);
	write_page(P_PD, (KERNEL >> 21) * 8, P_PT_KERNEL * (u64)PAGE | PTE_P | PTE_W);
	map_page(P_PT_CODE, CODE_PAGE, P_CODE, PTE_U);
	for (unsigned i = 0; i < DATA_SIZE / PAGE; i++)
		map_page(P_PT_DATA, DATA_PAGE + i * PAGE, P_ARENA + ARENA_DATA / PAGE + i, PTE_U | PTE_W | PTE_NX);
	for (unsigned i = 0; i < STACK_SIZE / PAGE; i++)
		map_page(P_PT_STACK, STACK_PAGE + i * PAGE, P_ARENA + ARENA_STACK / PAGE + i, PTE_U | PTE_W | PTE_NX);
	map_page(P_PT_DATA, RO_PAGE, P_ARENA + ARENA_RO / PAGE, PTE_U | PTE_NX);
	for (unsigned i = P_GDT; i <= P_KSTACK; i++)
		map_page(P_PT_KERNEL, KERNEL_AT(i), i, i == P_HANDLERS ? 0 : PTE_W | PTE_NX);
}

static u64 descriptor(u32 base, u32 limit, u32 attr)
{
	bool pages = limit > 0xfffff;

	if (pages) {
		limit >>= 12;
		attr |= SEG_G;
	}
	return (limit & 0xffff) | (u64)(base & 0xffffff) << 16 | (u64)(attr & 0xff) << 40 | (u64)(limit >> 16 & 0xf) << 48 |
	       (u64)(attr >> 12 & 0xf) << 52 | (u64)(base >> 24) << 56;
}

/* Those of the host; of a Linux process anywhere if NULL. */
static void tables(const struct host_abilities *host)
{
	const u32 code = SEG_P | SEG_S | SEG_CODE | SEG_RW | SEG_ACCESSED, data = SEG_P | SEG_S | SEG_RW | SEG_ACCESSED;

	g.gdt[1] = descriptor(0, 0xffffffff, code | SEG_DB);
	g.gdt[2] = descriptor(0, 0xffffffff, code | SEG_L);
	g.gdt[3] = descriptor(0, 0xffffffff, data | SEG_DB);
	g.gdt[SEL_CODE32 >> 3] = !host || host->code32 ? descriptor(0, 0xffffffff, code | SEG_DB | SEG_DPL) : 0;
	g.gdt[SEL_DATA >> 3] = descriptor(0, 0xffffffff, data | SEG_DB | SEG_DPL);
	g.gdt[SEL_CODE64 >> 3] = descriptor(0, 0xffffffff, code | SEG_L | SEG_DPL);
	g.gdt[8] = descriptor(KERNEL_AT(P_TSS), 103, SEG_P | 11);
	g.has_ldt = !host || host->ldt;
	g.gdt[10] = g.has_ldt ? descriptor(KERNEL_AT(P_LDT), sizeof g.ldt - 1, SEG_P | 2) : 0;
	for (unsigned i = 0; i < SEL_LDT_COUNT; i++) {
		const struct ldt_entry *e = &oracle_ldt[i];
		g.ldt[i] = descriptor(e->base, e->limit,
		                      SEG_S | SEG_DPL | SEG_ACCESSED | (e->present ? SEG_P : 0) | (e->writable ? SEG_RW : 0) |
		                          (e->code ? SEG_CODE : 0) | (e->big ? SEG_DB : 0));
	}
	for (unsigned v = 0; v < 256; v++) {
		u64 to = KERNEL_AT(P_HANDLERS) + v * 16;
		u64 dpl = v == 3 || v == 4 ? 3 : 0; /* as Linux has them */
		write_page(P_IDT, v * 16, (to & 0xffff) | 0x10 << 16 | (0x8e00 | dpl << 13) << 32 | (to >> 16 & 0xffff) << 48);
		write_page(P_IDT, v * 16 + 8, 0);
		memset(g.ram->hva + P_HANDLERS * PAGE + v * 16, 0xf4, 16);
	}
	memset(g.ram->hva + P_TSS * PAGE, 0, PAGE);
	write_page(P_TSS, 4, KSTACK_TOP);
	store16(g.ram->hva + P_TSS * PAGE + 0x66, 104); /* no I/O bitmap */
	memcpy(g.ram->hva + P_GDT * PAGE, g.gdt, sizeof g.gdt);
	memcpy(g.ram->hva + P_LDT * PAGE, g.ldt, sizeof g.ldt);
}

static struct seg segment(u16 selector)
{
	u64 d = 0;

	if ((selector & ~3) == 0)
		return (struct seg){.selector = selector, .attr = SEG_UNUSABLE};
	d = selector & 4 ? g.ldt[selector >> 3] : g.gdt[selector >> 3];
	u32 limit = (d & 0xffff) | (d >> 32 & 0xf0000);
	u32 attr = (d >> 40 & 0xff) | (d >> 40 & 0xf000);
	return (struct seg){
		.selector = selector, .base = (d >> 16 & 0xffffff) | (d >> 32 & 0xff000000),
		.limit = attr & SEG_G ? limit << 12 | 0xfff : limit, .attr = attr,
	};
}

static void control(struct cpu *cpu)
{
	cpu->cr0 = CR0_PE | CR0_MP | CR0_ET | CR0_NE | CR0_WP | CR0_AM | CR0_PG;
	cpu->cr3 = P_PML4 * PAGE;
	cpu->cr4 = CR4_PAE | CR4_OSFXSR | CR4_OSXMMEXCPT | CR4_FSGSBASE | CR4_OSXSAVE | CR4_PGE | CR4_UMIP;
	cpu->efer = EFER_SCE | EFER_LME | EFER_LMA | EFER_NXE;
	cpu->xcr0 = 3;
	cpu->gdtr = (struct table_reg){.base = KERNEL_AT(P_GDT), .limit = sizeof g.gdt - 1};
	cpu->idtr = (struct table_reg){.base = KERNEL_AT(P_IDT), .limit = 256 * 16 - 1};
	cpu->tr = segment(8 << 3);
	cpu->ldtr = segment(g.has_ldt ? 10 << 3 : 0);
}

void guest_like(const struct host_abilities *host)
{
	tables(host);
	control(g.cpu);
	cpu_state_changed(g.cpu);
}

void guest_family(enum vendor vendor)
{
	const bool amd = vendor == VENDOR_AMD;
	struct err err = {0};

	if (g.cpu)
		cpu_free(g.cpu);
	if (!model_parse(&g.model, amd ? "max,vendor=AuthenticAMD,flavour=amd" : "max,vendor=GenuineIntel,flavour=intel", &err)) {
		fprintf(stderr, "oracle: %s\n", err.text);
		exit(1);
	}
	g.cpu = cpu_new(&g.model, &g.bus, g.clock, 0, 1);
	control(g.cpu);
	cpu_state_changed(g.cpu);
}

bool guest_init(void)
{
	struct err err = {0};

	g.clock = clock_new();
	g.loop = loop_new(g.clock, &err);
	if (!g.loop) {
		fprintf(stderr, "oracle: %s\n", err.text);
		return false;
	}
	bus_init(&g.bus, g.loop);
	g.ram = ram_new("oracle", P_COUNT * PAGE, false, false, &err);
	if (!g.ram) {
		fprintf(stderr, "oracle: %s\n", err.text);
		return false;
	}
	g.region = (struct region){.name = "ram", .size = P_COUNT * PAGE, .ram = g.ram};
	bus_map(&g.bus, &g.region, 0, 0);
	page_tables();
	memcpy(g.ram->hva + P_ARENA * PAGE, oracle_background(), ARENA_SIZE);
	oracle_code_page(&(struct instance){.mode = M64}, g.ram->hva + P_CODE * PAGE);
	tables(NULL);
	guest_family(VENDOR_INTEL);
	return true;
}

void guest_free(void)
{
	cpu_free(g.cpu);
	bus_free(&g.bus);
	ram_free(g.ram);
	loop_free(g.loop);
	clock_free(g.clock);
}

u8 *guest_arena(void)
{
	return g.ram->hva + P_ARENA * PAGE;
}

void guest_load(const struct instance *in)
{
	static u8 page[PAGE];

	oracle_code_page(in, page);
	/* only what differs from one to the next: the engine hears of it as of any other write */
	bus_load(&g.bus, P_CODE * PAGE + CODE_AT, page + CODE_AT, 32);
}

/* ---- state in and out ---- */

static void put_fp(struct cpu *cpu, const struct fx *fp)
{
	unsigned top = fp->fsw >> 11 & 7;

	cpu->x87.fcw = fp->fcw;
	cpu->x87.fsw = fp->fsw;
	cpu->x87.valid = fp->ftw;
	cpu->x87.fop = fp->fop;
	cpu->x87.fip = fp->fip;
	cpu->x87.fdp = fp->fdp;
	cpu->x87.fcs = cpu->x87.fds = 0;
	for (unsigned i = 0; i < 8; i++) {
		struct f80 *r = &cpu->x87.r[(top + i) & 7];
		r->mant = fp->st[i].mant;
		r->se = fp->st[i].se;
	}
	cpu->mxcsr = fp->mxcsr;
	for (unsigned i = 0; i < 16; i++) {
		cpu->v[i].q[0] = fp->xmm[i][0];
		cpu->v[i].q[1] = fp->xmm[i][1];
	}
}

static void get_fp(const struct cpu *cpu, struct fx *fp)
{
	unsigned top = cpu->x87.fsw >> 11 & 7;

	memset(fp, 0, sizeof *fp);
	fp->fcw = cpu->x87.fcw;
	fp->fsw = cpu->x87.fsw;
	fp->ftw = cpu->x87.valid;
	fp->fop = cpu->x87.fop;
	fp->fip = cpu->x87.fip;
	fp->fdp = cpu->x87.fdp;
	for (unsigned i = 0; i < 8; i++) {
		const struct f80 *r = &cpu->x87.r[(top + i) & 7];
		fp->st[i] = (struct st80){.mant = r->mant, .se = r->se};
	}
	fp->mxcsr = cpu->mxcsr;
	for (unsigned i = 0; i < 16; i++) {
		fp->xmm[i][0] = cpu->v[i].q[0];
		fp->xmm[i][1] = cpu->v[i].q[1];
	}
}

static void put_state(struct cpu *cpu, const struct state *s)
{
	memcpy(cpu->gpr, s->gpr, sizeof s->gpr);
	cpu->rip = s->rip;
	cpu->rflags = s->rflags;
	cpu->cc_op = CC_FLAGS;
	for (unsigned i = 0; i < SEG_COUNT; i++)
		cpu->seg[i] = segment(s->sel[i]);
	if (s->sel[S_CS] == SEL_CODE64)
		cpu->seg[SEG_GS].base = s->gs_base;
	cpu->cpl = 3;
	cpu->cr2 = 0;
	cpu->activity = CPU_RUNNING;
	cpu->shadow = SHADOW_NONE;
	cpu->pending_db = 0;
	put_fp(cpu, &s->fp);
	mode_update(cpu);
}

static void get_state(const struct cpu *cpu, struct state *s)
{
	memcpy(s->gpr, cpu->gpr, sizeof s->gpr);
	s->rip = cpu->rip;
	s->rflags = flags_get(cpu);
	for (unsigned i = 0; i < SEG_COUNT; i++)
		s->sel[i] = cpu->seg[i].selector;
	s->gs_base = cpu->seg[SEG_GS].base;
	get_fp(cpu, &s->fp);
}

static u64 frame(unsigned slot)
{
	return load64(g.ram->hva + P_KSTACK * PAGE + PAGE - slot * 8);
}

/* The interrupt frame tells where the exception came from; everything else is as it was then. */
static void read_frame(const struct cpu *cpu, struct outcome *out)
{
	const u64 vectors_with_code = 1 << 8 | 1 << 10 | 1 << 11 | 1 << 12 | 1 << 13 | 1 << 14 | 1 << 17;
	u64 vector = (cpu->rip - KERNEL_AT(P_HANDLERS)) / 16;

	out->vector = vector;
	out->s.sel[S_SS] = frame(1);
	out->s.gpr[R_SP] = frame(2);
	out->s.rflags = frame(3);
	out->s.sel[S_CS] = frame(4);
	out->s.rip = frame(5);
	if (vector < 32 && (vectors_with_code >> vector & 1))
		out->err = frame(6);
	if (vector == 14)
		out->cr2 = cpu->cr2;
}

static const struct engine *engine = &interp_engine;

bool guest_use_jit(void)
{
#ifdef ENGINE_JIT
	/* every instruction in a block of its own, translated at once */
	jit_options.warm = jit_options.block = 1;
	engine = &jit_engine;
	return true;
#else
	return false;
#endif
}

void guest_run(const struct test *t, struct outcome *out)
{
	struct cpu *cpu = g.cpu;
	unsigned turns = t->in.repeats ? 1 << 16 : 1;

	put_state(cpu, &t->s);
	do /* a REP string may take several turns */
		engine->run(cpu, 1);
	while (--turns && cpu->activity == CPU_RUNNING && cpu->rip == t->s.rip && cpu->cpl == 3);
	memset(out, 0, sizeof *out);
	out->vector = NO_FAULT;
	get_state(cpu, &out->s);
	if (cpu->cpl == 0)
		read_frame(cpu, out);
	else if (cpu->activity != CPU_RUNNING)
		out->vector = 0xfe; /* stopped without a reason that the host would share */
}

bool guest_offers(unsigned isa_set)
{
	static const struct {
		u16 set;
		u8 feature;
	} extra[] = {
		{ZYDIS_ISA_SET_RDPID, FEAT_RDPID}, {ZYDIS_ISA_SET_CLWB, FEAT_CLWB}, {ZYDIS_ISA_SET_LZCNT, FEAT_LZCNT},
		{ZYDIS_ISA_SET_BMI1, FEAT_BMI1}, {ZYDIS_ISA_SET_BMI2, FEAT_BMI2}, {ZYDIS_ISA_SET_MONITOR, FEAT_MONITOR},
	};

	for (unsigned i = 0; i < ARRAY_LEN(extra); i++)
		if (extra[i].set == isa_set)
			return cpu_has(g.cpu, extra[i].feature);
	return false;
}
