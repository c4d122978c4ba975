/* SPDX-License-Identifier: MIT */
/* Fuzzer: arbitrary bytes as code, in every mode, with arbitrary state, paging structures and devices in reach. Nothing a guest
 * does may crash the emulator or make it run for ever. The input: a header that chooses the state, then code and data. */
#include <stdlib.h>

#include "cpu/access.h"
#include "cpu/code.h"
#include "cpu/engine.h"
#include "cpu/model.h"

#define RAM_SIZE (1u << 20)
#define STEPS 400

struct header {
	u8 mode, flags, code_page, spare;
	u32 seed;
};

static struct bus bus;
static struct ram *ram, *rom;
static struct region ram_region, rom_region, device_region, port_region;
static struct cpu *cpu;
static struct clock *virtual_clock;
static struct cpu_model model;
static u64 random_state;

static u64 random64(void)
{
	random_state ^= random_state << 13;
	random_state ^= random_state >> 7;
	random_state ^= random_state << 17;
	return random_state;
}

static u64 device_read(void *opaque, u64 offset, unsigned size)
{
	(void)opaque, (void)size;
	return offset * 0x0101010101010101ull;
}
static void device_write(void *opaque, u64 offset, u64 value, unsigned size)
{
	(void)opaque, (void)offset, (void)value, (void)size;
}
static const struct region_ops device_ops = {device_read, device_write, 1, 8};

static void set_up(void)
{
	struct err err;

	model_parse(&model, "max", &err);
	virtual_clock = clock_new();
	bus_init(&bus, NULL);
	ram = ram_new("ram", RAM_SIZE, false, false, &err);
	rom = ram_new("rom", 0x10000, true, false, &err);
	ram_region = (struct region){.name = "ram", .size = RAM_SIZE, .ram = ram};
	rom_region = (struct region){.name = "rom", .size = 0x10000, .ram = rom};
	device_region = (struct region){.name = "device", .size = 0x10000, .ops = &device_ops};
	port_region = (struct region){.name = "ports", .size = 0x8000, .ops = &device_ops};
	bus_map(&bus, &ram_region, 0, 0);
	bus_map(&bus, &rom_region, 0xf0000, 1);
	bus_map(&bus, &device_region, 0xa0000, 1);
	bus_map_io(&bus, &port_region, 0);
	cpu = cpu_new(&model, &bus, virtual_clock, 0, 1);
	clock_count_instructions(virtual_clock, &cpu->instructions, 0);
}

/* Page tables at 0x1000: the first 2 MiB by small pages of random rights, mostly usable. */
static void page_tables(bool wide)
{
	u64 *table = (u64 *)ram->hva;

	if (!wide) {
		u32 *dir = (u32 *)(ram->hva + 0x1000), *pages = (u32 *)(ram->hva + 0x2000);
		dir[0] = 0x2000 | 7;
		dir[1] = 0x87;
		for (unsigned i = 0; i < 1024; i++)
			pages[i] = i << 12 | (random64() % 16 ? 7 : random64() & 0x1ff);
		return;
	}
	table[0x1000 / 8] = 0x2000 | 7;
	table[0x2000 / 8] = 0x3000 | 7;
	table[0x2000 / 8 + 1] = 0x87;
	table[0x3000 / 8] = 0x4000 | 7;
	table[0x3000 / 8 + 1] = 0x87;
	for (u64 i = 0; i < 512; i++)
		table[0x4000 / 8 + i] = i << 12 | (random64() % 16 ? 7 : random64() & 0x1ff) | (random64() % 64 ? 0 : BIT(63));
}

static void segments(u32 code_attr, bool real)
{
	for (unsigned i = 0; i < SEG_COUNT; i++) {
		struct seg *s = &cpu->seg[i];
		*s = (struct seg){.selector = real ? 0x1000 : i == SEG_CS ? 8 : 16, .limit = real ? 0xffff : 0xffffffff,
		                  .attr = SEG_P | SEG_S | SEG_RW | SEG_ACCESSED | (real ? 0 : SEG_DB | SEG_G)};
		s->base = real ? (u64)s->selector << 4 : 0;
	}
	cpu->seg[SEG_CS].attr = code_attr;
}

static void state(const struct header *h)
{
	const u32 code = SEG_P | SEG_S | SEG_CODE | SEG_RW | SEG_ACCESSED;

	cpu_reset(cpu, false);
	for (unsigned i = 0; i < 16; i++)
		cpu->gpr[i] = random64() % 4 ? random64() & 0xfffff : random64();
	for (unsigned i = 0; i < 16; i++)
		for (unsigned k = 0; k < 2; k++)
			cpu->v[i].q[k] = random64();
	for (unsigned i = 0; i < 8; i++) {
		cpu->x87.r[i].mant = random64();
		cpu->x87.r[i].se = random64();
	}
	cpu->x87.fcw = random64() & 0xf3f;
	cpu->x87.valid = random64();
	cpu->mxcsr = random64() & 0xffff;
	cpu->gdtr = (struct table_reg){.base = 0x8000, .limit = 0xfff};
	cpu->idtr = (struct table_reg){.base = 0x9000, .limit = 0xfff};
	cpu->rip = (u64)h->code_page << 4;
	cpu->rflags = (random64() & 0x3f7fd5) | FLAG_1;
	cpu->rflags &= ~(u64)FLAG_VM;
	cpu->cr4 = CR4_OSFXSR | CR4_OSXMMEXCPT | (h->flags & 1 ? CR4_SMEP | CR4_UMIP : 0) | (h->flags & 2 ? CR4_SMAP : 0) |
	           (h->flags & 4 ? CR4_VME | CR4_PVI : 0) | (h->flags & 8 ? CR4_OSXSAVE | CR4_FSGSBASE : 0);
	switch (h->mode % 5) {
	case 0: /* real */
		segments(code, true);
		break;
	case 1: /* protected, 32 bits, no paging */
		cpu->cr0 |= CR0_PE;
		segments(code | SEG_DB | SEG_G, false);
		break;
	case 2: /* with paging */
		cpu->cr0 |= CR0_PE | CR0_PG | CR0_WP;
		cpu->cr4 |= CR4_PSE;
		cpu->cr3 = 0x1000;
		page_tables(false);
		segments(code | (h->flags & 16 ? SEG_DB : 0) | SEG_G, false);
		break;
	case 3: /* long */
		cpu->cr0 |= CR0_PE | CR0_PG | (h->flags & 16 ? CR0_WP : 0);
		cpu->cr4 |= CR4_PAE;
		cpu->efer = EFER_LME | EFER_LMA | EFER_SCE | EFER_NXE;
		cpu->cr3 = 0x1000;
		page_tables(true);
		segments(code | (h->flags & 32 ? SEG_DB : SEG_L) | SEG_G, false);
		break;
	case 4: /* virtual-8086 */
		cpu->cr0 |= CR0_PE | CR0_PG;
		cpu->cr3 = 0x1000;
		page_tables(false);
		segments(SEG_P | SEG_S | SEG_RW | SEG_ACCESSED | SEG_DPL, true);
		cpu->rflags |= FLAG_VM;
		break;
	}
	cpu->cpl = h->mode % 5 == 4 ? 3 : h->mode % 5 && (h->flags & 64) ? 3 : 0;
	if (cpu->cpl)
		for (unsigned i = 0; i < SEG_COUNT; i++)
			cpu->seg[i].attr |= SEG_DPL, cpu->seg[i].selector |= h->mode % 5 == 4 ? 0 : 3;
	if (h->flags & 128)
		for (unsigned i = 0; i < 8; i++)
			cpu->dr[i] = random64() & 0xfffff;
	cpu_state_changed(cpu);
}

int LLVMFuzzerTestOneInput(const u8 *data, size_t size);
int LLVMFuzzerTestOneInput(const u8 *data, size_t size)
{
	struct header header;

	if (size < sizeof header + 1)
		return 0;
	if (!cpu)
		set_up();
	memcpy(&header, data, sizeof header);
	data += sizeof header;
	size -= sizeof header;
	random_state = 0x9e3779b97f4a7c15ull ^ header.seed;
	code_flush(cpu);
	memset(ram->hva, 0, RAM_SIZE);
	/* descriptor tables, interrupt tables and data are made of the input too */
	for (unsigned at = 0x8000; at < 0xa000; at++)
		ram->hva[at] = data[at % size];
	state(&header);
	u64 linear = cpu->code_mode == CODE64 ? cpu->rip : (u32)(cpu->seg[SEG_CS].base + cpu->rip);
	for (size_t i = 0; i < MIN(size, 4096u) && linear + i < RAM_SIZE; i++)
		ram->hva[linear + i] = data[i];
	for (unsigned i = 0; i < STEPS / 20 && cpu->activity == CPU_RUNNING; i++)
		if (interp_engine.run(cpu, 20) != ENGINE_BUDGET)
			break;
	return 0;
}
