/* SPDX-License-Identifier: MIT */
/* The machine around the fuzzed code: 128 KiB of memory, a device without a state, tables for every mode. Each exception and
 * interrupt ends in HLT, and so does the code if nothing else ends it. */
#include <stdlib.h>

#include "cpu/access.h"
#include "cpu/flags.h"
#include "cpu/mode.h"
#include "cpu/model.h"
#include "mem/dirty.h"
#include "tests/fuzz/jit_fuzz.h"

const char *const jit_mode_names[JIT_MODES] = {
	"real", "v86", "prot16", "prot32", "based32", "paged32", "compat16", "compat32", "long",
};

enum {
	SEL_CODE64 = 0x08, SEL_DATA = 0x10, SEL_CODE32 = 0x18, SEL_USER32 = 0x23, SEL_USER_DATA = 0x2b, SEL_USER64 = 0x33,
	SEL_CODE16 = 0x38, SEL_DATA16 = 0x40, SEL_STACK16 = 0x48, SEL_USER16 = 0x53, SEL_USER_DATA16 = 0x5b, SEL_USER_STACK16 = 0x63,
	SEL_BASED = 0x68, SEL_BASED_DATA = 0x70, SEL_USER_BASED = 0x7b, SEL_USER_BASED_DATA = 0x83, SEL_TSS = 0x88, SEL_END = 0x98,
};

struct place { /* where a mode's program finds itself */
	u16 cs, ss, ds;
	bool paged, wide;
};
static struct place place_of(unsigned mode, bool user)
{
	switch (mode) {
	case MODE_REAL: return (struct place){AT_CODE >> 4, AT_STACK >> 4, AT_DATA >> 4, false, false};
	case MODE_V86: return (struct place){AT_CODE >> 4, AT_STACK >> 4, AT_DATA >> 4, true, false};
	case MODE_PROT16: case MODE_COMPAT16:
		return user ? (struct place){SEL_USER16, SEL_USER_STACK16, SEL_USER_DATA16, mode == MODE_COMPAT16, mode == MODE_COMPAT16}
		            : (struct place){SEL_CODE16, SEL_STACK16, SEL_DATA16, mode == MODE_COMPAT16, mode == MODE_COMPAT16};
	case MODE_BASED32:
		return user ? (struct place){SEL_USER_BASED, SEL_USER_BASED_DATA, SEL_USER_BASED_DATA, false, false}
		            : (struct place){SEL_BASED, SEL_BASED_DATA, SEL_BASED_DATA, false, false};
	case MODE_LONG:
		return user ? (struct place){SEL_USER64, SEL_USER_DATA, SEL_USER_DATA, true, true}
		            : (struct place){SEL_CODE64, SEL_DATA, SEL_DATA, true, true};
	default:
		return user ? (struct place){SEL_USER32, SEL_USER_DATA, SEL_USER_DATA, mode != MODE_PROT32, mode == MODE_COMPAT32}
		            : (struct place){SEL_CODE32, SEL_DATA, SEL_DATA, mode != MODE_PROT32, mode == MODE_COMPAT32};
	}
}

static bool is_user(const struct jit_input *input)
{
	return input->mode == MODE_V86 || (input->mode != MODE_REAL && (input->flags & INPUT_USER));
}

/* ---- devices without a state ---- */

static u64 device_read(void *opaque, u64 offset, unsigned size)
{
	(void)opaque, (void)size;
	return (offset + 1) * 0x9e3779b97f4a7c15;
}
static void device_write(void *opaque, u64 offset, u64 value, unsigned size)
{
	(void)opaque, (void)offset, (void)value, (void)size;
}
static const struct region_ops device_ops = {.read = device_read, .write = device_write, .max = 8};

void jit_machine_new(struct jit_machine *m, const struct engine *engine, unsigned cpus)
{
	static struct cpu_model model;
	struct err err;

	*m = (struct jit_machine){.engine = engine, .cpus = cpus};
	m->clock = clock_new(); /* stands still */
	m->loop = loop_new(m->clock, &err);
	m->ram = ram_new("ram", RAM_SIZE, false, false, &err);
	if (!m->loop || !m->ram || !model_parse(&model, "max,-rdrand,-rdseed", &err))
		bug("no machine: %s", err.text);
	bus_init(&m->bus, m->loop);
	m->region = (struct region){.name = "ram", .size = RAM_SIZE, .ram = m->ram};
	bus_map(&m->bus, &m->region, 0, 0);
	m->device = (struct region){.name = "device", .size = PAGE_SIZE, .ops = &device_ops};
	bus_map(&m->bus, &m->device, AT_DEVICE, 1);
	m->ports = (struct region){.name = "ports", .size = 0x10000, .ops = &device_ops};
	bus_map_io(&m->bus, &m->ports, 0);
	for (unsigned i = 0; i < cpus; i++)
		m->cpu[i] = cpu_new(&model, &m->bus, m->clock, i, cpus);
}

/* ---- memory ---- */

static void descriptor(u8 *image, unsigned selector, u32 base, u32 limit, u32 attr)
{
	u32 pages = attr & SEG_G ? limit >> 12 : limit;

	store64(image + AT_GDT + (selector & ~7u),
	        (pages & 0xffff) | (u64)(base & 0xffffff) << 16 | (u64)(attr & 0xf0ff) << 40 | (u64)(pages >> 16) << 48 |
	        (u64)(base >> 24) << 56);
}

static void descriptors(u8 *image, bool wide)
{
	const u32 data = SEG_P | SEG_S | SEG_RW | SEG_ACCESSED, code = data | SEG_CODE, flat = SEG_G | SEG_DB;

	descriptor(image, SEL_CODE64, 0, ~0u, code | SEG_G | SEG_L);
	descriptor(image, SEL_DATA, 0, ~0u, data | flat);
	descriptor(image, SEL_CODE32, 0, ~0u, code | flat);
	descriptor(image, SEL_USER32, 0, ~0u, code | flat | SEG_DPL);
	descriptor(image, SEL_USER_DATA, 0, ~0u, data | flat | SEG_DPL);
	descriptor(image, SEL_USER64, 0, ~0u, code | SEG_G | SEG_L | SEG_DPL);
	descriptor(image, SEL_CODE16, AT_CODE, 0xffff, code);
	descriptor(image, SEL_DATA16, AT_DATA, 0xffff, data);
	descriptor(image, SEL_STACK16, AT_STACK, 0xffff, data);
	descriptor(image, SEL_USER16, AT_CODE, 0xffff, code | SEG_DPL);
	descriptor(image, SEL_USER_DATA16, AT_DATA, 0xffff, data | SEG_DPL);
	descriptor(image, SEL_USER_STACK16, AT_STACK, 0xffff, data | SEG_DPL);
	descriptor(image, SEL_BASED, AT_CODE - 0x400, 0x13ffff, code | flat);
	descriptor(image, SEL_BASED_DATA, 0x700, 0x1ffff, data | SEG_DB);
	descriptor(image, SEL_USER_BASED, AT_CODE - 0x400, 0x13ffff, code | flat | SEG_DPL);
	descriptor(image, SEL_USER_BASED_DATA, 0x700, 0x1ffff, data | SEG_DB | SEG_DPL);
	descriptor(image, SEL_TSS, AT_TSS, 0x67, SEG_P | 9);
	if (wide) {
		store64(image + AT_TSS + 4, AT_KSTACK + PAGE_SIZE);
	} else {
		store32(image + AT_TSS + 4, AT_KSTACK + PAGE_SIZE);
		store32(image + AT_TSS + 8, SEL_DATA);
	}
	store16(image + AT_TSS + 102, 0x68); /* no bitmap */
}

static void vectors(u8 *image, bool wide)
{
	for (unsigned i = 0; i < 32; i++) {
		u64 gate = AT_HANDLERS | (u64)(wide ? SEL_CODE64 : SEL_CODE32) << 16 | 0x8e00ull << 32;
		if (i == 3 || i == 4)
			gate |= 0x6000ull << 32;
		store64(image + AT_IDT + i * (wide ? 16 : 8), gate);
	}
	for (unsigned i = 0; i < 256; i++)
		store32(image + i * 4, AT_HANDLERS >> 4 << 16);
	memset(image + AT_HANDLERS, 0xf4, 64);
}

static void page_tables(u8 *image, const struct jit_input *input, struct chance *r)
{
	store64(image + AT_PML4, AT_PDPT | 7);
	store64(image + AT_PML4 + 511 * 8, AT_PDPT | 7);
	store64(image + AT_PDPT, AT_PD | 7);
	store64(image + AT_PDPT + 511 * 8, AT_PD | 7);
	store64(image + AT_PD, AT_PT | 7);
	store64(image + AT_PD + 511 * 8, AT_PT | 7);
	store32(image + AT_PD32, AT_PT32 | 7);
	store32(image + AT_PD32 + 1023 * 4, AT_PT32 | 7);
	for (unsigned i = 0; i < 512; i++) {
		u32 rights = 0x67;
		bool data = (i >= AT_DATA >> 12 && i < AT_STACK >> 12) || i == (AT_CODE >> 12) + 1;
		if ((input->flags & INPUT_PAGES) && data && chance_percent(r, 40))
			rights = chance_next(r) & 0x67;
		store64(image + AT_PT + i * 8, (i & 31) << 12 | (i == 32 ? AT_DEVICE : 0) | rights);
		store32(image + AT_PT32 + i * 4, (i & 31) << 12 | (i == 32 ? AT_DEVICE : 0) | rights);
		store32(image + AT_PT32 + (i + 512) * 4, (i & 31) << 12 | rights);
	}
}

u32 jit_machine_entry(const struct jit_input *input)
{
	u32 offset = input->entry * 8;

	return input->flags & INPUT_AT_END ? PAGE_SIZE - 1 - offset / 32 : offset;
}

void jit_machine_image(u8 *image, const struct jit_input *input, const u8 *code, size_t size)
{
	static const u8 numbers[][8] = {
		{0}, {0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff}, {0, 0, 0, 0, 0, 0, 0xf0, 0x3f}, {0, 0, 0x80, 0x7f, 0, 0, 0xc0, 0xff},
		{0, 0, 0, 0, 0, 0, 0xf0, 0x7f}, {1}, {0, 0, 0, 0x80, 0, 0, 0, 0x80}, {0x7f, 0x03, 0x80, 0x1f, 0, 0, 0x10, 0},
	};
	struct chance r = {input->seed};
	struct place place = place_of(input->mode, is_user(input));

	memset(image, 0, RAM_SIZE);
	for (unsigned at = AT_DATA; at < AT_STACK + PAGE_SIZE; at += 8) {
		u64 v = chance_next(&r);
		if (v % 4)
			store64(image + at, v % 4 == 1 ? AT_DATA + (v >> 8) % DATA_SIZE : v);
		else
			memcpy(image + at, numbers[(v >> 8) % ARRAY_LEN(numbers)], 8);
	}
	descriptors(image, place.wide);
	vectors(image, place.wide);
	page_tables(image, input, &r);
	memset(image + AT_CODE, 0xf4, 2 * PAGE_SIZE);
	memcpy(image + AT_CODE + jit_machine_entry(input), code, MIN(size, 2 * PAGE_SIZE - jit_machine_entry(input)));
}

void jit_machine_restore(struct jit_machine *m, const u8 *image)
{
	for (unsigned at = 0; at < RAM_SIZE; at += PAGE_SIZE) {
		u8 *hva = m->ram->hva + at;
		if (!memcmp(hva, image + at, PAGE_SIZE))
			continue;
		memcpy(hva, image + at, PAGE_SIZE);
		if (m->ram->watch[at >> PAGE_SHIFT])
			dirty_write(&m->bus, hva, &m->ram->watch[at >> PAGE_SHIFT], PAGE_SIZE);
	}
}

/* ---- the CPU ---- */

static struct seg from_table(const u8 *image, u16 selector)
{
	u64 d = load64(image + AT_GDT + (selector & ~7));
	u32 limit = (d & 0xffff) | (d >> 32 & 0xf0000), attr = (d >> 40 & 0xff) | (d >> 40 & 0xf000);

	return (struct seg){
		.selector = selector, .base = (d >> 16 & 0xffffff) | (d >> 32 & 0xff000000),
		.limit = attr & SEG_G ? limit << 12 | 0xfff : limit, .attr = attr,
	};
}

static struct seg segment(const u8 *image, unsigned mode, u16 selector)
{
	if (mode == MODE_REAL || mode == MODE_V86)
		return (struct seg){.selector = selector, .base = selector << 4, .limit = 0xffff,
		                    .attr = SEG_P | SEG_S | SEG_RW | SEG_ACCESSED | (mode == MODE_V86 ? SEG_DPL : 0)};
	return from_table(image, selector);
}

static void control(struct cpu *cpu, const struct jit_input *input, const struct place *place, struct chance *r)
{
	cpu->cr0 = CR0_MP | CR0_ET | CR0_NE | CR0_WP | (input->mode == MODE_REAL ? 0 : CR0_PE) | (place->paged ? CR0_PG : 0);
	cpu->cr4 = CR4_OSFXSR | CR4_OSXMMEXCPT | CR4_OSXSAVE;
	cpu->xcr0 = 3;
	cpu->cr3 = AT_PD32;
	cpu->efer = 0;
	if (place->wide) {
		cpu->cr3 = AT_PML4;
		cpu->cr4 |= CR4_PAE | CR4_FSGSBASE | CR4_PGE;
		cpu->efer = EFER_LME | EFER_LMA | EFER_NXE | EFER_SCE;
		cpu->star = (u64)SEL_USER32 << 48 | (u64)SEL_CODE64 << 32;
		cpu->lstar = cpu->cstar = AT_HANDLERS;
		cpu->fmask = FLAG_TF | FLAG_IF;
	}
	if (input->flags & INPUT_CHECKS) {
		u64 any = chance_next(r);
		cpu->cr0 ^= (any & 1 ? CR0_AM : 0) | (any & 0x38 ? 0 : CR0_TS) | (any & 0x1c0 ? 0 : CR0_EM) | (any & 512 ? CR0_WP : 0);
		cpu->cr4 ^= (any & 1024 ? CR4_SMAP : 0) | (any & 2048 ? CR4_UMIP : 0) | (any & 0x7000 ? 0 : CR4_OSFXSR);
	}
}

static u64 some_value(struct chance *r, const struct jit_input *input, u64 base)
{
	static const u64 edges[] = {0,       1,  ~0ull, 0x7f, 0x80, 0x7fff, 0x8000, 0x7fffffff, 0x80000000, 0x7fffffffffffffff,
	                            BIT(63), 63, 31,    33};
	u64 v = chance_next(r);
	unsigned kind = input->flags & INPUT_WILD ? v % 4 : v % 12;

	switch (kind) {
	case 0: return v >> 8;
	case 1: return edges[(v >> 8) % ARRAY_LEN(edges)];
	case 2: return (v >> 8) % 256;
	case 3: return (v >> 8) % 0x10000;
	case 4: return AT_DATA + (v >> 8) % DATA_SIZE - base;
	case 5: /* through the other mapping of the same pages */
		if (input->mode == MODE_LONG)
			return 0xffffffffffe00000 + AT_DATA + (v >> 8) % DATA_SIZE;
		/* fall through */
	default: return (AT_DATA + (v >> 8) % DATA_SIZE - base) & ~15ull;
	}
}

static void registers(struct cpu *cpu, const struct jit_input *input, struct chance *r, bool wide_code)
{
	u64 base = cpu->seg[SEG_DS].base;

	for (unsigned i = 0; i < 16; i++) {
		u64 v = some_value(r, input, base);
		cpu->gpr[i] = wide_code ? v : i < 8 ? (u32)v : 0;
		for (unsigned k = 0; k < 2; k++)
			cpu->v[i].q[k] = chance_percent(r, 50)   ? chance_next(r)
			                 : chance_percent(r, 50) ? 0x3ff0000000000000
			                                         : (u64)0x7f8000013f800000;
	}
	if (chance_percent(r, 98)) /* long strings take long */
		cpu->gpr[RCX] &= 0xff;
	if (chance_percent(r, 90))
		cpu->gpr[RSP] = AT_STACK + 0x800 - cpu->seg[SEG_SS].base;
	cpu->mxcsr = input->flags & INPUT_UNMASKED ? chance_next(r) & 0xffff : 0x1f80 | (chance_next(r) & 0xe07f & (u32)chance_next(r));
	cpu->x87.fcw =
		input->flags & INPUT_UNMASKED ? (chance_next(r) & 0xf3f) | 0x40 : 0x37f ^ (chance_next(r) & 0xc00 & (u32)chance_next(r));
	cpu->x87.fsw = (chance_next(r) & 0x7f00) & (u32)chance_next(r);
	cpu->x87.valid = chance_next(r) | chance_next(r);
	for (unsigned i = 0; i < 8; i++) {
		cpu->x87.r[i].mant = chance_next(r) | BIT(63);
		cpu->x87.r[i].se = chance_percent(r, 70) ? 0x3ff0 + chance_below(r, 32) : chance_next(r);
	}
}

void jit_machine_start(struct jit_machine *m, unsigned index, const struct jit_input *input)
{
	struct cpu *cpu = m->cpu[index];
	struct chance r = {input->seed * 31 + index + 7};
	bool user = is_user(input);
	struct place place = place_of(input->mode, user);
	const u8 *image = m->ram->hva;

	cpu_reset(cpu, false);
	cpu_unrequest(cpu, ~(u32)CPU_REQ_CODE);
	cpu->instructions = 0;
	control(cpu, input, &place, &r);
	for (unsigned i = 0; i < SEG_COUNT; i++)
		cpu->seg[i] = segment(image, input->mode, i == SEG_CS ? place.cs : i == SEG_SS ? place.ss : place.ds);
	if (input->mode == MODE_LONG) {
		cpu->seg[SEG_FS].base = 0x123;
		cpu->seg[SEG_GS].base = 0x100;
		cpu->kernel_gs_base = 0x200;
	}
	if (input->mode != MODE_REAL) {
		cpu->tr = from_table(image, SEL_TSS);
		cpu->tr.attr |= 2;
	}
	cpu->gdtr = (struct table_reg){.base = AT_GDT, .limit = SEL_END - 1};
	cpu->idtr =
		(struct table_reg){.base = input->mode == MODE_REAL ? 0 : AT_IDT, .limit = input->mode == MODE_REAL ? 0x3ff : 0x1ff};
	cpu->cpl = user ? 3 : 0;
	registers(cpu, input, &r, input->mode == MODE_LONG);
	cpu->rflags = FLAG_1 | (chance_next(&r) & FLAGS_ARITH) | (input->mode == MODE_V86 ? FLAG_VM | FLAG_IOPL : 0) |
	              (chance_percent(&r, 15) ? FLAG_DF : 0) | ((input->flags & INPUT_CHECKS) && chance_percent(&r, 50) ? FLAG_AC : 0);
	cpu->cc_op = CC_FLAGS;
	cpu->rip = AT_CODE + jit_machine_entry(input) - cpu->seg[SEG_CS].base;
	cpu->activity = CPU_RUNNING;
	cpu_state_changed(cpu);
}
