/* SPDX-License-Identifier: MIT */
/* Kernels given on the command line: see kernel.h. Firmware finds them in two ways. What knows Linux (OVMF, qboot) reads it from
 * items of its own, with QEMU's keys. A BIOS finds a device to boot from, the option ROM of bios/kernel_rom.c. */
#include "hw/board/kernel.h"

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#include "bios/kernel_rom.h"
#include "hw/board/private.h"
#include "hw/chipset/fw_cfg.h"

#define ROM_NAME "genroms/kernel.bin" /* SeaBIOS runs what it finds in this folder */
/* At the end of RAM, where the BIOS keeps its tables. */
enum { BIOS_TABLES = 1 << 20 };

/* ---- files ---- */

/* A part of it, from malloc; NULL: it cannot be read any more. */
static u8 *read_part(const struct board_file *f, size_t from, size_t len, struct err *err)
{
	u8 *part = err_alloc(len + 1);

	if (f->data) {
		memcpy(part, f->data + from, len);
		return part;
	}
	for (size_t done = 0; done < len;) {
		ssize_t n = pread(f->fd, part + done, len - done, (off_t)(from + done));

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0) {
			err_set(err, EXIT_FILE, "%s: cannot be read again: %s", f->name, n ? strerror(errno) : "it became shorter");
			free(part);
			return NULL;
		}
		done += (size_t)n;
	}
	return part;
}

static bool fetch(struct board_file *f, struct err *err)
{
	if (!f->data)
		f->data = read_part(f, 0, f->size, err);
	return f->data;
}

static void let_go(struct board_file *f)
{
	if (f->fd <= 0)
		return;
	free(f->data);
	f->data = NULL;
}

bool kernel_load(struct board *board, struct boot_request *request, struct boot_entry *entry, struct err *err)
{
	struct board_config *c = &board->config;
	bool ok = fetch(&c->kernel, err);

	for (unsigned i = 0; ok && i < c->modules; i++)
		ok = fetch(&c->module[i], err);
	if (ok) {
		request->kernel = (struct boot_file){c->kernel.name, c->kernel.data, c->kernel.size, NULL};
		request->modules = c->modules;
		request->cmdline = c->cmdline ? c->cmdline : "";
		for (unsigned i = 0; i < c->modules; i++)
			request->module[i] = (struct boot_file){c->module[i].name, c->module[i].data, c->module[i].size, c->module[i].args};
		ok = boot_load(request, entry, err);
	}
	let_go(&c->kernel);
	for (unsigned i = 0; i < c->modules; i++)
		let_go(&c->module[i]);
	return ok;
}

/* ---- for a BIOS ---- */

/* The caller frees pieces->data, whatever comes of it. */
static bool make_pieces(struct board *board, struct kernel_pieces *pieces, struct boot_entry *entry, struct err *err)
{
	struct boot_request request = {
		.write = kernel_pieces_write,
		.opaque = pieces,
		.firmware = true,
		.ram_below_4g = board->machine.ram_below_4g - BIOS_TABLES,
	};

	pieces->limit = board->machine.ram_below_4g;
	if (!kernel_load(board, &request, entry, err))
		return false;
	kernel_pieces_finish(pieces, entry);
	return true;
}

static u8 *pieces_item(void *opaque, u32 key, size_t *len)
{
	struct kernel_pieces pieces = {0};
	struct boot_entry entry;
	struct err err = {0};

	(void)key;
	if (!make_pieces(opaque, &pieces, &entry, &err)) {
		err_note("%s", err.text);
		free(pieces.data);
		return NULL;
	}
	*len = pieces.len;
	return pieces.data;
}

/* ---- for firmware that knows Linux ---- */

static u8 *part_item(void *opaque, u32 key, size_t *len)
{
	struct board *board = opaque;
	const struct board_config *c = &board->config;
	const struct board_file *file = key == FW_CFG_INITRD_DATA ? &c->module[0] : &c->kernel;
	size_t from = key == FW_CFG_KERNEL_DATA ? board->kernel_setup : 0;
	struct err err = {0};

	*len = (key == FW_CFG_SETUP_DATA ? board->kernel_setup : file->size) - from;
	u8 *part = read_part(file, from, *len, &err);
	if (!part)
		err_note("%s", err.text);
	return part;
}

static void offer_linux(struct board *board, struct device *fw_cfg, const struct boot_entry *entry)
{
	const struct board_config *c = &board->config;
	const char *cmdline = c->cmdline ? c->cmdline : "";

	fw_cfg_number(fw_cfg, FW_CFG_SETUP_ADDR, entry->place.setup, 4);
	fw_cfg_number(fw_cfg, FW_CFG_SETUP_SIZE, board->kernel_setup, 4);
	fw_cfg_item_on_demand(fw_cfg, FW_CFG_SETUP_DATA, part_item, board);
	fw_cfg_number(fw_cfg, FW_CFG_KERNEL_ADDR, entry->place.kernel, 4);
	fw_cfg_number(fw_cfg, FW_CFG_KERNEL_SIZE, c->kernel.size - board->kernel_setup, 4);
	fw_cfg_item_on_demand(fw_cfg, FW_CFG_KERNEL_DATA, part_item, board);
	fw_cfg_number(fw_cfg, FW_CFG_CMDLINE_ADDR, entry->place.cmdline, 4);
	fw_cfg_number(fw_cfg, FW_CFG_CMDLINE_SIZE, strlen(cmdline) + 1, 4);
	fw_cfg_item(fw_cfg, FW_CFG_CMDLINE_DATA, cmdline, strlen(cmdline) + 1);
	if (c->modules) {
		fw_cfg_number(fw_cfg, FW_CFG_INITRD_ADDR, entry->place.initrd, 4);
		fw_cfg_number(fw_cfg, FW_CFG_INITRD_SIZE, c->module[0].size, 4);
		fw_cfg_item_on_demand(fw_cfg, FW_CFG_INITRD_DATA, part_item, board);
	}
}

/* ---- both ---- */

const char *kernel_boot_name(const struct board *board)
{
	return board->config.kernel.name && board->rom[0] ? "/rom@" ROM_NAME : NULL;
}

bool kernel_offer(struct board *board, struct device *fw_cfg, struct err *err)
{
	struct kernel_pieces pieces = {0};
	struct boot_entry entry;
	u8 rom[KERNEL_ROM_SIZE];

	if (!kernel_boot_name(board))
		return true;
	bool ok = make_pieces(board, &pieces, &entry, err); /* what is wrong with it is told now */
	free(pieces.data);
	if (!ok)
		return false;
	fw_cfg_item_on_demand(fw_cfg, KERNEL_ROM_ITEM, pieces_item, board);
	board->kernel_setup = entry.place.setup_size;
	if (board->kernel_setup)
		offer_linux(board, fw_cfg, &entry);
	kernel_rom_build(rom);
	return fw_cfg_file(fw_cfg, ROM_NAME, rom, sizeof rom, err);
}
