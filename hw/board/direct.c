/* SPDX-License-Identifier: MIT */
/* Direct boot: the chipset as firmware leaves it (shadow RAM open, PCI interrupts routed, power management mapped), e820 and
 * ACPI tables from the wiring, the kernel in memory, the boot CPU in the state the protocol asks for. */
#include "hw/board/direct.h"

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#include "bios/acpi.h"
#include "bios/boot.h"
#include "hw/board/private.h"
#include "hw/board/tables.h"

enum { GDT = 0x6000, ACPI_TABLES = 0xe0000, EBDA = 0x9fc00, PM_BASE = 0x600, ELCR2 = 0x4d1 };
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
	/* IDETIM: both IDE channels decoded (2.3.9) */
	pci_write(board, 1 << 3 | 1, 0x40, 0x80008000, 4);
	/* PIIX4 PM: base address, then enable (82371AB datasheet 7.1.15, 7.1.29) */
	pci_write(board, 1 << 3 | 3, 0x40, PM_BASE | 1, 4);
	pci_write(board, 1 << 3 | 3, 0x80, 1, 1);
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

/* Flat segments as the Linux boot protocol names them: code 0x10, data 0x18. */
static void enter(struct board *board, const struct boot_entry *entry)
{
	struct cpu *cpu = board->vcpu[0].cpu;
	bool wide = entry->mode == BOOT_FLAT64;
	const u64 gdt[4] = {0, 0, wide ? 0x00af9b000000ffff : 0x00cf9b000000ffff, 0x00cf93000000ffff};
	const u32 code = SEG_P | SEG_S | SEG_CODE | SEG_RW | SEG_ACCESSED | SEG_G,
			  data = SEG_P | SEG_S | SEG_RW | SEG_ACCESSED | SEG_G | SEG_DB;

	bus_load(&board->bus, GDT, gdt, sizeof gdt);
	cpu->gdtr = (struct table_reg){.base = GDT, .limit = sizeof gdt - 1};
	cpu->idtr = (struct table_reg){0};
	flat(&cpu->seg[SEG_CS], 0x10, code | (wide ? SEG_L : SEG_DB));
	for (unsigned i = 0; i < SEG_COUNT; i++)
		if (i != SEG_CS)
			flat(&cpu->seg[i], 0x18, data);
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

static bool fetch(struct board_file *f, struct err *err)
{
	if (f->data)
		return true;
	f->data = err_alloc(f->size + 1);
	for (size_t done = 0; done < f->size;) {
		ssize_t n = pread(f->fd, f->data + done, f->size - done, (off_t)done);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return err_set(err, EXIT_FILE, "%s: cannot be read again: %s", f->name, n ? strerror(errno) : "it became shorter");
		done += (size_t)n;
	}
	return true;
}

static void let_go(struct board_file *f)
{
	if (f->fd <= 0)
		return;
	free(f->data);
	f->data = NULL;
}

static bool load(struct board *board, struct boot_entry *entry, struct err *err)
{
	struct board_config *c = &board->config;
	struct e820_entry map[8];

	for (unsigned i = 0; i < c->modules; i++)
		if (!fetch(&c->module[i], err))
			return false;
	if (!fetch(&c->kernel, err))
		return false;
	struct boot_request request = {
		.kernel = {c->kernel.name, c->kernel.data, c->kernel.size, NULL},
		.modules = c->modules,
		.cmdline = c->cmdline ? c->cmdline : "",
		.e820 = map,
		.e820_count = memory_map(&board->machine, map),
		.ram_below_4g = board->machine.ram_below_4g,
		.rsdp = ACPI_TABLES,
		.text_screen = board->machine.display,
	};
	for (unsigned i = 0; i < c->modules; i++)
		request.module[i] = (struct boot_file){c->module[i].name, c->module[i].data, c->module[i].size, c->module[i].args};
	return boot_load(&board->bus, &request, entry, err);
}

bool direct_boot(struct board *board, struct err *err)
{
	struct board_config *c = &board->config;
	struct boot_entry entry;

	if (!c->kernel.name)
		return true;
	set_up_chipset(board);
	if (board->machine.display)
		direct_screen(board);
	bool ok = acpi_tables(board, err) && load(board, &entry, err);
	let_go(&c->kernel);
	for (unsigned i = 0; i < c->modules; i++)
		let_go(&c->module[i]);
	if (ok)
		enter(board, &entry);
	return ok;
}
