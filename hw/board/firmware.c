/* SPDX-License-Identifier: MIT */
/* Firmware on the board: its ROM at the top of 4 GiB, whose last 128 KiB show below 1 MiB too (where the host bridge can put RAM
 * before them), and what it is told of the machine: CMOS memory and fw_cfg. Names and layouts of fw_cfg files are QEMU's, which
 * SeaBIOS and OVMF know. */
#include "hw/board/firmware.h"

#include <stdio.h>
#include <stdlib.h>

#include "hw/board/kernel.h"
#include "hw/board/private.h"
#include "hw/board/tables.h"
#include "hw/chipset/fw_cfg.h"
#include "hw/chipset/pflash.h"
#include "hw/chipset/rtc.h"
#include "hw/disk/disk.h"
#include "hw/disk/fdc.h"

enum { ROM_MAX = 16 << 20, ISA_ROM = 128 << 10 };

/* ---- ROM ---- */

/* A block of ROM with the file's contents at its end. */
static struct ram *load(const struct board_file *file, const char *name, struct err *err)
{
	u64 size = (file->size + PAGE_OFFSET) & ~(u64)PAGE_OFFSET;

	if (file->size < 16 || size > ROM_MAX) {
		err_set(err, EXIT_FILE, "%s: firmware has 16 bytes to 16 MiB, this has %llu", file->name, (unsigned long long)file->size);
		return NULL;
	}
	struct ram *rom = ram_new(name, size, true, false, err);
	if (rom)
		memcpy(rom->hva + (size - file->size), file->data, file->size);
	return rom;
}

static bool make_flash(struct board *board, unsigned unit, u64 *top, struct err *err)
{
	const struct board_flash *flash = &board->config.flash[unit];
	static const char *const names[BOARD_FLASHES] = {"pflash0", "pflash1"};

	if (flash->file.size % PAGE_SIZE)
		return err_set(err, EXIT_FILE, "%s: a flash image is a multiple of 4 KiB", flash->file.name);
	board->rom[unit] = load(&flash->file, names[unit], err);
	if (!board->rom[unit])
		return false;
	struct device *device = board_add(board, "cfi.pflash01", names[unit], NULL, err);
	if (!device)
		return false;
	*top -= board->rom[unit]->size;
	const struct pflash_chip chip = {board->rom[unit], *top, flash->read_only, flash->changed, flash->opaque};
	pflash_attach(device, &chip);
	return true;
}

bool firmware_map(struct board *board, struct err *err)
{
	const struct board_config *c = &board->config;
	u64 top = 1ull << 32;

	for (unsigned unit = 0; unit < BOARD_FLASHES && c->flash[unit].file.data; unit++)
		if (!make_flash(board, unit, &top, err))
			return false;
	if (!board->rom[0] && !c->firmware.data)
		return true;
	if (!board->rom[0]) {
		board->rom[0] = load(&c->firmware, "rom", err);
		if (!board->rom[0])
			return false;
		board->rom_high =
			(struct region){.name = "rom.high", .size = board->rom[0]->size, .ram = board->rom[0], .readonly = true};
		bus_map(&board->bus, &board->rom_high, top - board->rom[0]->size, MAP_DEVICE);
	}
	u64 size = board->rom[0]->size, isa = MIN(size, (u64)ISA_ROM);
	board->rom_low =
		(struct region){.name = "rom.isa", .size = isa, .ram = board->rom[0], .ram_offset = size - isa, .readonly = true};
	bus_map(&board->bus, &board->rom_low, (1ull << 20) - isa, MAP_DEVICE);
	return true;
}

bool firmware_vga(struct board *board, struct device *vga, struct err *err)
{
	const struct board_file *file = &board->config.vga_rom;
	u64 size = PAGE_SIZE;

	if (!file->data)
		return true;
	while (size < file->size && size < ROM_MAX)
		size *= 2;
	if (file->size > size)
		return err_set(err, EXIT_FILE, "%s: an expansion ROM has 16 MiB at most", file->name);
	board->vga_rom = vga->rom = ram_new("vga.rom", size, true, false, err);
	if (vga->rom)
		memcpy(vga->rom->hva, file->data, file->size);
	return vga->rom;
}

void firmware_free(struct board *board)
{
	ram_free(board->vga_rom);
	bus_unmap(&board->bus, &board->rom_high);
	bus_unmap(&board->bus, &board->rom_low);
	for (unsigned unit = 0; unit < BOARD_FLASHES; unit++)
		ram_free(board->rom[unit]);
}

/* ---- CMOS memory ---- */

/* How the BIOS translates cylinders: as they are, or by LBA where they are more than it can count. Two bits a drive. */
static u8 translations(struct drive *const *drives)
{
	u8 value = 0;

	for (unsigned i = 0; i < 4; i++)
		if (drives[i] && drives[i]->media == DRIVE_DISK && drives[i]->disk && disk_size(drives[i]->disk) / 512 / (16 * 63) > 1024)
			value |= 1 << i * 2;
	return value;
}

/* What the board writes there beyond what the clock knows of itself. */
static void fill_cmos(struct board *board, struct device *rtc, const char *order)
{
	/* a nibble for each boot device: 1 floppy, 2 disk, 3 CD, 4 network; bit 0 of 38h: floppies without a signature boot too */
	static const struct { char letter; u8 code; } devices[] = {{'a', 1}, {'b', 1}, {'c', 2}, {'d', 3}, {'n', 4}};
	const struct board_config *c = &board->config;
	unsigned codes = 0, shift = 0;

	for (const char *letter = order ? order : "cad"; *letter && shift < 12; letter++)
		for (unsigned i = 0; i < ARRAY_LEN(devices); i++)
			if (devices[i].letter == *letter) {
				codes |= devices[i].code << shift;
				shift += 4;
			}
	struct device *fdc = board_device(board, "fdc");
	u8 a = fdc ? fdc_drive_type(fdc, 0) : 0, b = fdc ? fdc_drive_type(fdc, 1) : 0;
	u8 floppies = a && b ? 0x41 : a || b ? 0x01 : 0; /* in the equipment byte */
	const struct { u8 at, value; } table[] = {
		{0x0f, 0}, /* no resume */
		{0x10, a << 4 | b},
		{0x14, (rtc_get_cmos(rtc, 0x14) & ~0xc1) | floppies},
		{0x38, (codes >> 8 & 0xf) << 4 | 1},
		{0x39, translations(c->ide)},
		{0x3d, codes & 0xff},
	};
	for (unsigned i = 0; i < ARRAY_LEN(table); i++)
		rtc_set_cmos(rtc, table[i].at, table[i].value);
}

/* ---- boot order ---- */

struct text {
	char line[512];
	size_t len;
};

static void add(struct text *text, const char *fmt, unsigned a, unsigned b)
{
	text->len += snprintf(text->line + text->len, sizeof text->line - text->len, fmt, a, b);
}

static void add_ide(struct text *text, const struct board_config *c, enum drive_media media)
{
	for (unsigned i = 0; i < ARRAY_LEN(c->ide); i++)
		if (c->ide[i] && c->ide[i]->media == media)
			add(text, "/pci@i0cf8/ide@1,1/drive@%u/disk@%u\n", i / 2, i % 2);
}

/* The devices that the letters mean, one by one, as Open Firmware names them; firmware tries what is not named afterwards. */
static bool boot_order(struct board *board, struct device *fw_cfg, const char *order, struct err *err)
{
	struct text text = {.len = 0};
	const char *kernel = kernel_boot_name(board);

	if (kernel)
		text.len = snprintf(text.line, sizeof text.line, "%s\n", kernel);
	for (const char *letter = order ? order : ""; *letter && text.len < sizeof text.line / 2; letter++)
		switch (*letter) {
		case 'a':
		case 'b':
			if (board->config.floppy[*letter - 'a'])
				add(&text, "/pci@i0cf8/isa@1/fdc@03f0/floppy@%u\n", *letter - 'a', 0);
			break;
		case 'c':
			add_ide(&text, &board->config, DRIVE_DISK);
			break;
		case 'd':
			add_ide(&text, &board->config, DRIVE_CDROM);
			break;
		}
	return fw_cfg_file(fw_cfg, "bootorder", text.line, text.len ? text.len + 1 : 0, err);
}

/* ---- fw_cfg ---- */

static bool number_file(struct device *fw_cfg, const char *name, u64 value, unsigned bytes, struct err *err)
{
	u8 little[8];

	store64(little, value);
	return fw_cfg_file(fw_cfg, name, little, bytes, err);
}

static bool memory_map(struct board *board, struct device *fw_cfg, struct err *err)
{
	const struct machine *m = &board->machine;
	u8 map[2 * 20];
	unsigned n = 0;

	store64(map, 0);
	store64(map + 8, m->ram_below_4g);
	store32(map + 16, 1);
	n++;
	if (m->ram_size > m->ram_below_4g) {
		store64(map + 20, 1ull << 32);
		store64(map + 28, m->ram_size - m->ram_below_4g);
		store32(map + 36, 1);
		n++;
	}
	return fw_cfg_file(fw_cfg, "etc/e820", map, n * 20, err);
}

static void fixed_items(struct board *board, struct device *fw_cfg)
{
	static const u8 no_uuid[16];
	/* one node without affinity: the count of nodes, then a node number for each CPU, as 64-bit numbers */
	u8 *numa = err_alloc(8 * (board->cpus + 1ull));

	fw_cfg_item(fw_cfg, FW_CFG_NUMA, numa, 8 * (board->cpus + 1ull));
	free(numa);
	fw_cfg_item(fw_cfg, FW_CFG_UUID, no_uuid, sizeof no_uuid);
	fw_cfg_number(fw_cfg, FW_CFG_RAM_SIZE, board->machine.ram_size, 8);
	fw_cfg_number(fw_cfg, FW_CFG_NOGRAPHIC, board->config.nographic, 2);
	fw_cfg_number(fw_cfg, FW_CFG_CPUS, board->cpus, 2);
	fw_cfg_number(fw_cfg, FW_CFG_MAX_CPUS, board->cpus, 2);
	fw_cfg_number(fw_cfg, FW_CFG_BOOT_MENU, board->config.boot_menu, 2);
	fw_cfg_number(fw_cfg, FW_CFG_IRQ0_OVERRIDE, 1, 1);
}

/* The firmware sets up the chipset before it reads the tables that tell of it: make them when they are asked for. */
static void before_select(void *opaque, const char *name)
{
	struct board *board = opaque;
	struct err err = {0};

	if (board->tables_made || (strncmp(name, "etc/acpi/", 9) && strcmp(name, "etc/table-loader")))
		return;
	board->tables_made = true;
	if (!tables_acpi_files(board, board_device(board, "fw_cfg"), &err))
		err_note("%s", err.text);
}

bool firmware_describe(struct board *board, struct err *err)
{
	/* a byte for each of S0 to S5: the sleep type, with bit 7 if the state is offered */
	struct device *fw_cfg = board_device(board, "fw_cfg"), *rtc = board_device(board, "rtc");
	static const u8 sleep_states[6] = {0x80, 0, 0, 0x81, 0x02, 0x80};

	const char *order = board->config.boot_once ? board->config.boot_once : board->config.boot_order;
	if (rtc)
		fill_cmos(board, rtc, order);
	if (!fw_cfg)
		return true;
	fixed_items(board, fw_cfg);
	fw_cfg_before_select(fw_cfg, before_select, board);
	board->tables_made = false;
	if (!kernel_offer(board, fw_cfg, err) || !tables_acpi_files(board, fw_cfg, err) ||
	    !tables_smbios_files(board, fw_cfg, err) || !memory_map(board, fw_cfg, err))
		return false;
	if (!fw_cfg_file(fw_cfg, "etc/system-states", sleep_states, sizeof sleep_states, err) ||
	    !boot_order(board, fw_cfg, order, err))
		return false;
	if (board->config.boot_menu && board->config.boot_menu_wait &&
	    !number_file(fw_cfg, "etc/boot-menu-wait", board->config.boot_menu_wait, 2, err))
		return false;
	for (unsigned i = 0; i < board->config.fw_cfgs; i++) {
		const struct board_file *file = &board->config.fw_cfg[i];
		if (!fw_cfg_file(fw_cfg, file->name, file->data, file->size, err))
			return err_prefix(err, "-fw_cfg");
	}
	return !board->config.boot_fail_wait ||
	       number_file(fw_cfg, "etc/boot-fail-wait", (u32)board->config.boot_fail_wait, 4, err);
}
