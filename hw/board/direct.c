/* SPDX-License-Identifier: MIT */
/* Direct boot: the chipset as firmware leaves it (shadow RAM open, PCI interrupts routed, power management mapped), e820 and
 * ACPI tables from the wiring, the kernel in memory, the boot CPU in the state the protocol asks for. */
#include "hw/board/direct.h"

#include "bios/acpi.h"
#include "bios/boot.h"
#include "hw/board/kernel.h"
#include "hw/board/private.h"
#include "hw/board/tables.h"

enum { GDT = 0x6000, ACPI_TABLES = 0xe0000, EBDA = 0x9fc00, PM_BASE = 0x600 };
enum { ELCR2 = 0x4d1, DMA2_MASK_ONE = 0xd4, DMA2_MODE = 0xd6 };
static const u8 pirq_route[4] = {10, 10, 11, 11};

static void pci_write(struct board *board, unsigned devfn, unsigned reg, u32 value, unsigned size)
{
	bus_out(&board->bus, 0xcf8, 0x80000000u | devfn << 8 | (reg & 0xfc), 4);
	bus_out(&board->bus, 0xcfc + (reg & 3), value, size);
}

static void set_up_chipset(struct board *board)
{
	/* 440FX PAM: C0000-FFFFF is RAM to read and write (82441FX datasheet 3.2.18) */
	pci_write(board, 0, 0x59, 0x30, 1);
	for (unsigned reg = 0x5a; reg <= 0x5f; reg++)
		pci_write(board, 0, reg, 0x33, 1);
	/* SMRAM (3.2.20): D_OPEN without a display adapter, so that the RAM behind the VGA window shows and what a text program
	 * draws can be looked at */
	pci_write(board, 0, 0x72, board->machine.display ? 0x0a : 0x4a, 1);
	/* PIIX3 PIRQRC: PCI interrupts to ISA ones, which are then level-triggered (82371SB datasheet 2.2.4, 3.8) */
	for (unsigned i = 0; i < 4; i++)
		pci_write(board, 1 << 3, 0x60 + i, pirq_route[i], 1);
	bus_out(&board->bus, ELCR2, 1 << (9 - 8) | 1 << (10 - 8) | 1 << (11 - 8), 1);
	/* 8237: channel 4 of the second controller is the cascade of the first, and open (8237A datasheet; 82371SB 3.1) */
	bus_out(&board->bus, DMA2_MODE, 0xc0, 1);
	bus_out(&board->bus, DMA2_MASK_ONE, 0, 1);
	/* IDETIM: both IDE channels decoded (2.3.9) */
	pci_write(board, 1 << 3 | 1, 0x40, 0x80008000, 4);
	/* PIIX4 PM: base address, then enable (82371AB datasheet 7.1.15, 7.1.29) */
	pci_write(board, 1 << 3 | 3, 0x40, PM_BASE | 1, 4);
	pci_write(board, 1 << 3 | 3, 0x80, 1, 1);
}

static void word(struct board *board, u32 gpa, u16 value)
{
	u8 little[2];

	store16(little, value);
	bus_load(&board->bus, gpa, little, sizeof little);
}

/* The BIOS data area, as far as kernels look there themselves (IBM PS/2 and PC BIOS Interface Technical Reference, section 3):
 * ports, equipment, memory, the extended data area, which begins with its size in KiB. */
static void bios_data(struct board *board)
{
	enum { SERIAL = 0x400, PARALLEL = 0x408, EBDA_SEGMENT = 0x40e, EQUIPMENT = 0x410, MEMORY = 0x413, LPT1 = 0x378 };
	static const u16 port[BOARD_SERIALS] = {0x3f8, 0x2f8, 0x3e8, 0x2e8};
	const struct board_config *c = &board->config;
	unsigned serials = 0, floppies = !!c->floppy[0] + !!c->floppy[1];

	for (unsigned i = 0; i < BOARD_SERIALS; i++)
		if (c->serial[i])
			word(board, SERIAL + 2 * serials++, port[i]);
	if (c->parallel)
		word(board, PARALLEL, LPT1);
	word(board, EBDA_SEGMENT, EBDA >> 4);
	word(board, EBDA, (0xa0000 - EBDA) >> 10);
	word(board, MEMORY, EBDA >> 10);
	/* coprocessor, mouse, floppies and how many, serial ports, parallel ports */
	word(board, EQUIPMENT, 1 << 1 | 1 << 2 | (floppies ? 1 | (floppies - 1) << 6 : 0) | serials << 9 | !!c->parallel << 14);
}

static unsigned memory_map(const struct machine *m, struct e820_entry *map)
{
	unsigned n = 0;

	map[n++] = (struct e820_entry){0, EBDA, E820_RAM};
	map[n++] = (struct e820_entry){EBDA, 0xa0000 - EBDA, E820_RESERVED};
	map[n++] = (struct e820_entry){ACPI_TABLES, 0x100000 - ACPI_TABLES, E820_RESERVED};
	map[n++] = (struct e820_entry){0x100000, m->ram_below_4g - 0x100000, E820_RAM};
	if (m->ram_size > m->ram_below_4g)
		map[n++] = (struct e820_entry){1ull << 32, m->ram_size - m->ram_below_4g, E820_RAM};
	return n;
}

static bool acpi_tables(struct board *board, struct err *err)
{
	enum { TABLES = ACPI_TABLES + ACPI_ALIGN };
	struct acpi_machine machine = tables_describe(board, PM_BASE, pirq_route);
	struct acpi_image image;

	acpi_build(&machine, &image);
	acpi_place(&image, TABLES);
	bool ok = image.len <= 0x100000 - TABLES && bus_load(&board->bus, ACPI_TABLES, image.rsdp, sizeof image.rsdp) &&
	          bus_load(&board->bus, TABLES, image.data, image.len);
	acpi_free(&image);
	return ok || err_set(err, EXIT_BUG, "the ACPI tables do not fit below 1 MiB");
}

static void flat(struct seg *seg, u16 selector, u32 attr)
{
	*seg = (struct seg){.limit = 0xffffffff, .attr = attr, .selector = selector};
}

static void enter(struct board *board, const struct boot_entry *entry)
{
	struct cpu *cpu = board->vcpu[0].cpu;
	bool wide = entry->mode == BOOT_FLAT64;
	const u64 gdt[4] = {0, 0, wide ? BOOT_CODE64_DESCRIPTOR : BOOT_CODE32_DESCRIPTOR, BOOT_DATA_DESCRIPTOR};
	const u32 code = SEG_P | SEG_S | SEG_CODE | SEG_RW | SEG_ACCESSED | SEG_G,
			  data = SEG_P | SEG_S | SEG_RW | SEG_ACCESSED | SEG_G | SEG_DB;

	bus_load(&board->bus, GDT, gdt, sizeof gdt);
	cpu->gdtr = (struct table_reg){.base = GDT, .limit = sizeof gdt - 1};
	cpu->idtr = (struct table_reg){0};
	flat(&cpu->seg[SEG_CS], BOOT_CODE, code | (wide ? SEG_L : SEG_DB));
	for (unsigned i = 0; i < SEG_COUNT; i++)
		if (i != SEG_CS)
			flat(&cpu->seg[i], BOOT_DATA, data);
	cpu->cr0 = CR0_PE | CR0_ET;
	if (wide) {
		cpu->cr0 |= CR0_PG;
		cpu->cr4 = CR4_PAE;
		cpu->cr3 = entry->cr3;
		cpu->efer = EFER_LME | EFER_LMA;
	}
	cpu->rip = entry->rip;
	cpu->gpr[RSP] = entry->rsp;
	cpu->gpr[RAX] = entry->rax;
	cpu->gpr[RBX] = entry->rbx;
	cpu->gpr[RSI] = entry->rsi;
	cpu->cpl = 0;
	/* MTRRs as firmware leaves them, of all CPUs: everything write-back but the hole of the devices (SDM 3A 12.11.2) */
	for (unsigned i = 0; i < board->cpus; i++) {
		struct cpu *each = board->vcpu[i].cpu;
		each->mtrr_def_type = 0x806;
		each->mtrr_var[0] = 0xc0000000;
		each->mtrr_var[1] = (((1ull << cpu->model->phys_bits) - 1) & ~0x3fffffffull) | 0x800;
	}
	cpu_state_changed(cpu);
}

bool direct_boot(struct board *board, struct err *err)
{
	struct e820_entry map[8];
	struct boot_entry entry;
	struct boot_request request = {
		.write = boot_to_bus,
		.opaque = &board->bus,
		.e820 = map,
		.e820_count = memory_map(&board->machine, map),
		.ram_below_4g = board->machine.ram_below_4g,
		.rsdp = ACPI_TABLES,
		.text_screen = board->machine.display,
	};

	if (!board->config.kernel.name || board->rom[0])
		return true;
	set_up_chipset(board);
	bios_data(board);
	if (board->machine.display)
		direct_screen(board);
	if (!acpi_tables(board, err) || !kernel_load(board, &request, &entry, err))
		return false;
	enter(board, &entry);
	return true;
}
