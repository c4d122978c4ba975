/* SPDX-License-Identifier: MIT */
/* One bare machine: a CPU, 1 MiB of RAM, a few ports. A program's image holds everything in memory; what is in registers is set
 * here, for each mode. */
#include "tests/diff/diff.h"

#include <stdlib.h>

#include "base/err.h"
#include "base/loop.h"
#include "cpu/access.h"
#include "cpu/flags.h"
#include "cpu/mode.h"
#include "cpu/model.h"

const struct mode modes[] = {
	{"long-user", 64, 3, PAGING_LONG, false, false, SEL_USER64, SEL_USER_DATA, SEL_USER_DATA},
	{"long-kernel", 64, 0, PAGING_LONG, false, false, SEL_CODE64, SEL_DATA, SEL_DATA},
	{"compat32", 32, 3, PAGING_LONG, false, false, SEL_USER32, SEL_USER_DATA, SEL_USER_DATA},
	{"compat16", 16, 3, PAGING_LONG, false, false, SEL_USER16, SEL_USER_STACK16, SEL_USER_DATA16},
	{"prot32-user", 32, 3, PAGING_32, false, false, SEL_USER32, SEL_USER_DATA, SEL_USER_DATA},
	{"prot32-kernel", 32, 0, PAGING_32, false, false, SEL_CODE32, SEL_DATA, SEL_DATA},
	{"pae-user", 32, 3, PAGING_PAE, false, false, SEL_USER32, SEL_USER_DATA, SEL_USER_DATA},
	{"pae-kernel", 32, 0, PAGING_PAE, false, false, SEL_CODE32, SEL_DATA, SEL_DATA},
	{"based-user", 32, 3, PAGING_32, false, false, SEL_BASED_USER, SEL_BASED_USER_DATA, SEL_BASED_USER_DATA, true},
	{"based-kernel", 32, 0, PAGING_NONE, false, false, SEL_BASED_CODE, SEL_BASED_DATA, SEL_BASED_DATA, true},
	{"prot32-flat", 32, 0, PAGING_NONE, false, false, SEL_CODE32, SEL_DATA, SEL_DATA},
	{"prot16-user", 16, 3, PAGING_NONE, false, false, SEL_USER16, SEL_USER_STACK16, SEL_USER_DATA16},
	{"prot16-kernel", 16, 0, PAGING_32, false, false, SEL_CODE16, SEL_STACK16, SEL_DATA16},
	{"real", 16, 0, PAGING_NONE, true, false, AT_CODE >> 4, AT_STACK >> 4, AT_DATA >> 4},
	{"v86", 16, 3, PAGING_32, false, true, AT_CODE >> 4, AT_STACK >> 4, AT_DATA >> 4},
};
const unsigned mode_count = ARRAY_LEN(modes);

/* ---- ports ---- */

enum { PORT_END = 4 };

static u64 port_read(void *opaque, u64 offset, unsigned size)
{
	struct machine *m = opaque;

	(void)offset, (void)size;
	return ++m->reads;
}

static void port_write(void *opaque, u64 offset, u64 v, unsigned size)
{
	struct machine *m = opaque;

	(void)size;
	if (offset == PORT_END) {
		m->ended = true;
		cpu_request(m->cpu, CPU_REQ_STOP);
	} else {
		m->sum = m->sum * 31 + v;
	}
}

static const struct region_ops port_ops = {.read = port_read, .write = port_write, .max = 4};

/* In memory: each access is seen, and its order and size. */
static u64 device_read(void *opaque, u64 offset, unsigned size)
{
	struct machine *m = opaque;

	m->sum = m->sum * 31 + offset * 8 + size;
	return ++m->reads * 0x9e3779b97f4a7c15;
}

static void device_write(void *opaque, u64 offset, u64 v, unsigned size)
{
	struct machine *m = opaque;

	m->sum = (m->sum * 31 + offset * 8 + size) * 31 + v;
}

static const struct region_ops device_ops = {.read = device_read, .write = device_write, .max = 8};

static int acknowledge(void *opaque)
{
	struct machine *m = opaque;

	cpu_unrequest(m->cpu, CPU_REQ_INTR);
	return m->vector;
}

bool machine_new(struct machine *m, const struct engine *engine, bool counting)
{
	struct err err = {0};

	*m = (struct machine){.engine = engine};
	m->clock = clock_new(); /* stands still if it does not count */
	m->loop = loop_new(m->clock, &err);
	m->model = err_alloc(sizeof *m->model);
	m->ram = ram_new("ram", RAM_SIZE, false, false, &err);
	if (!m->loop || !m->ram || !model_parse(m->model, "max", &err)) {
		fprintf(stderr, "%s\n", err.text);
		return false;
	}
	bus_init(&m->bus, m->loop);
	m->region = (struct region){.name = "ram", .size = RAM_SIZE, .ram = m->ram};
	bus_map(&m->bus, &m->region, 0, 0);
	m->ports = (struct region){.name = "ports", .size = 8, .ops = &port_ops, .opaque = m};
	bus_map_io(&m->bus, &m->ports, 0xf0);
	m->device = (struct region){.name = "device", .size = PAGE_SIZE, .ops = &device_ops, .opaque = m};
	bus_map(&m->bus, &m->device, AT_DATA + PAGE_DEVICE * PAGE_SIZE, 1);
	m->cpu = cpu_new(m->model, &m->bus, m->clock, 0, 1);
	m->cpu->intc.opaque = m;
	m->cpu->intc.acknowledge = acknowledge;
	if (counting)
		clock_count_instructions(m->clock, &m->cpu->instructions, 0);
	return true;
}

void machine_free(struct machine *m)
{
	cpu_free(m->cpu);
	bus_free(&m->bus);
	ram_free(m->ram);
	loop_free(m->loop);
	clock_free(m->clock);
	free(m->model);
}

/* ---- the state to start in ---- */

static struct seg from_table(const struct program *p, u16 selector)
{
	u64 d = load64(p->image + AT_GDT + (selector & ~7));
	u32 limit = (d & 0xffff) | (d >> 32 & 0xf0000), attr = (d >> 40 & 0xff) | (d >> 40 & 0xf000);

	return (struct seg){
		.selector = selector, .base = (d >> 16 & 0xffffff) | (d >> 32 & 0xff000000),
		.limit = attr & SEG_G ? limit << 12 | 0xfff : limit, .attr = attr,
	};
}

static struct seg segment(const struct program *p, u16 selector)
{
	if (p->mode->real || p->mode->v86)
		return (struct seg){.selector = selector, .base = selector << 4, .limit = 0xffff,
		                    .attr = SEG_P | SEG_S | SEG_RW | SEG_ACCESSED | (p->mode->v86 ? SEG_DPL : 0)};
	return from_table(p, selector);
}

static void segments(struct cpu *cpu, const struct program *p)
{
	const struct mode *m = p->mode;

	for (unsigned i = 0; i < SEG_COUNT; i++)
		cpu->seg[i] = segment(p, m->ds);
	cpu->seg[SEG_CS] = segment(p, m->cs);
	cpu->seg[SEG_SS] = segment(p, m->ss);
	if (m->bits == 16) /* code is written through GS */
		cpu->seg[SEG_GS] = segment(p, m->real || m->v86 ? AT_CODE >> 4 : SEL_CODE_ALIAS);
	if (m->bits == 64) {
		cpu->seg[SEG_FS].base = p->high + 0x123;
		cpu->seg[SEG_GS].base = p->high + 0x1000;
		cpu->kernel_gs_base = p->high + 0x2001;
	}
	if (m->real)
		return;
	cpu->tr = from_table(p, SEL_TSS);
	cpu->tr.attr |= 2; /* busy */
}

static void control(struct cpu *cpu, const struct program *p)
{
	const struct mode *m = p->mode;

	cpu->cr0 = CR0_MP | CR0_ET | CR0_NE | CR0_WP | (m->real ? 0 : CR0_PE) | (m->paging ? CR0_PG : 0);
	cpu->cr4 = CR4_OSFXSR | CR4_OSXMMEXCPT | CR4_OSXSAVE | CR4_PGE;
	cpu->xcr0 = 3;
	if (m->paging == PAGING_LONG) {
		cpu->cr3 = AT_PML4;
		cpu->cr4 |= CR4_PAE | CR4_FSGSBASE;
		cpu->efer = EFER_LME | EFER_LMA | EFER_NXE | EFER_SCE;
		cpu->star = (u64)SEL_USER32 << 48 | (u64)SEL_CODE64 << 32;
		cpu->lstar = AT_HANDLERS + (handler_syscall - handlers_begin);
		cpu->fmask = FLAG_TF | FLAG_IF | FLAG_DF;
	} else if (m->paging == PAGING_PAE) {
		cpu->cr3 = AT_PDPT_PAE;
		cpu->cr4 |= CR4_PAE;
		cpu->efer = EFER_NXE;
	} else {
		cpu->cr3 = AT_PD32;
	}
	cpu->gdtr = (struct table_reg){.base = AT_GDT, .limit = SEL_COUNT * 8 - 1};
	cpu->idtr = (struct table_reg){.base = m->real ? 0 : AT_IDT, .limit = m->real ? 0x3ff : 0x7ff};
}

void machine_load(struct machine *m, const struct program *p)
{
	struct cpu *cpu = m->cpu;
	struct chance r = {p->seed ^ 0x5eed};

	m->ended = false;
	bus_load(&m->bus, 0, p->image, RAM_SIZE);
	m->sum = m->reads = 0; /* the device has been loaded too */
	cpu_reset(cpu, false);
	cpu_unrequest(cpu, ~0u);
	cpu->instructions = 0;
	control(cpu, p);
	if (p->mode->paging == PAGING_PAE)
		paging_load_pdptes(cpu, cpu->cr3);
	segments(cpu, p);
	cpu->cpl = p->mode->cpl;
	cpu->rflags = FLAG_1 | FLAG_IF | p->iopl << 12 | (p->mode->v86 ? FLAG_VM : 0);
	cpu->cc_op = CC_FLAGS;
	for (unsigned i = 0; i < 16; i++) {
		cpu->gpr[i] = p->mode->bits == 64 ? chance_next(&r) : i < 8 ? (u32)chance_next(&r) : 0;
		cpu->v[i].q[0] = chance_next(&r);
		cpu->v[i].q[1] = chance_next(&r);
	}
	cpu->gpr[RSP] = load64(p->image + AT_VARS + offsetof(struct vars, stack));
	cpu->rip = load64(p->image + AT_VARS + offsetof(struct vars, start));
	cpu->activity = CPU_RUNNING;
	cpu_state_changed(cpu);
}

void machine_interrupt(struct machine *m, int vector)
{
	m->vector = vector;
	cpu_request(m->cpu, CPU_REQ_INTR);
}

/* ---- comparison ---- */

bool machine_same(struct machine *a, struct machine *b, char *text, size_t size)
{
	static struct cpu copy[2];
	struct machine *m[2] = {a, b};

	for (unsigned i = 0; i < 2; i++) {
		cpu_state_sync(m[i]->cpu);
		memcpy(&copy[i], m[i]->cpu, CPU_STATE_SIZE);
		copy[i].rflags = flags_get(m[i]->cpu);
		copy[i].gpr[GPR_PAGE] = 0; /* derived, and of no meaning between runs */
	}
	if (memcmp(&copy[0], &copy[1], CPU_STATE_SIZE) && field_differ(cpu_fields, &copy[0], &copy[1], text, size))
		return false;
	if (a->ended != b->ended || a->sum != b->sum || a->reads != b->reads) {
		snprintf(text, size, "ports: %u written %#x read %u != %u %#x %u", a->ended, a->sum, a->reads, b->ended, b->sum,
		         b->reads);
		return false;
	}
	if (!memcmp(a->ram->hva, b->ram->hva, RAM_SIZE))
		return true;
	unsigned at = 0;
	while (a->ram->hva[at] == b->ram->hva[at])
		at++;
	snprintf(text, size, "memory at %#x: %#x != %#x", at, a->ram->hva[at], b->ram->hva[at]);
	return false;
}
