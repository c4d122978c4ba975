/* SPDX-License-Identifier: MIT */
/* Firmware as the user chooses it: see firmware.h. */
#include "frontend/firmware.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/options.h"
#include "bios/boot.h"
#include "frontend/config.h"
#include "frontend/file.h"
#include "frontend/nvram.h"

#define DEFAULT_BIOS "bios-256k.bin"

/* Where distributions put firmware, best first. */
static const char *const places[] = {"/usr/share/seabios", "/usr/share/ovmf", "/usr/share/OVMF", "/usr/share/qemu",
                                     "/usr/local/share/seabios", "/usr/local/share/qemu"};
/* Who brings what, for those who miss it. */
static const struct {
	const char *name, *package;
} packages[] = {{"bios-256k.bin", "seabios"}, {"bios.bin", "seabios"}, {"OVMF_CODE_4M.fd", "ovmf"},
              {"OVMF_VARS_4M.fd", "ovmf"}};

static const char *package_of(const char *name)
{
	for (unsigned i = 0; i < ARRAY_LEN(packages); i++)
		if (!strcmp(packages[i].name, name))
			return packages[i].package;
	return NULL;
}

/* The path of an image: as given if it is there or names a folder, else in one of the places. Valid for a few more calls. */
static const char *find(const char *name, struct err *err)
{
	static char paths[4][512];
	static unsigned turn;
	char *path = paths[turn++ % ARRAY_LEN(paths)];

	if (strchr(name, '/') || !access(name, R_OK))
		return name;
	for (unsigned i = 0; i < ARRAY_LEN(places); i++) {
		snprintf(path, sizeof paths[0], "%s/%s", places[i], name);
		if (!access(path, R_OK))
			return path;
	}
	const char *package = package_of(name);
	if (package)
		err_set(err, EXIT_FILE, "firmware %s not found: install the package %s, or give -bios FILE", name, package);
	else
		err_set(err, EXIT_FILE, "-bios %s: no such file, here or where firmware is installed", name);
	return NULL;
}

/* ---- -fw_cfg ---- */

bool firmware_set_fw_cfg(struct config *config, const char *value, struct err *err)
{
	struct firmware_options *o = &config->firmware;
	struct firmware_file got = {0};
	static const struct option_key keys[] = {
		{"name", OPTION_STRING, offsetof(struct firmware_file, name), 0, 0, "the file's name, as opt/org.example/thing"},
		{"file", OPTION_STRING, offsetof(struct firmware_file, file), 0, 0, "take the contents from this file"},
		{"string", OPTION_STRING, offsetof(struct firmware_file, string), 0, 0, "the contents themselves"},
		{0},
	};

	if (o->fw_cfgs == BOARD_FW_CFGS)
		return err_set(err, EXIT_USAGE, "-fw_cfg: more than %d files", BOARD_FW_CFGS);
	if (!options_parse(value, "name", keys, &got, "-fw_cfg", err))
		return false;
	o->fw_cfg[o->fw_cfgs++] = got;
	if (!got.name || !*got.name)
		return err_set(err, EXIT_USAGE, "-fw_cfg %s: it needs a name", value);
	if (!got.file == !got.string)
		return err_set(err, EXIT_USAGE, "-fw_cfg %s: one of file= and string=", value);
	return true;
}

void firmware_free_options(struct firmware_options *o)
{
	for (unsigned i = 0; i < BOARD_FLASHES; i++)
		free(o->flash[i].file);
	for (unsigned i = 0; i < o->fw_cfgs; i++) {
		free(o->fw_cfg[i].name);
		free(o->fw_cfg[i].file);
		free(o->fw_cfg[i].string);
	}
}

static bool read_fw_cfg(const struct firmware_options *o, struct board_config *board, struct err *err)
{
	for (unsigned i = 0; i < o->fw_cfgs; i++) {
		const struct firmware_file *from = &o->fw_cfg[i];
		struct board_file *to = &board->fw_cfg[board->fw_cfgs++];

		if (from->string)
			*to = (struct board_file){.data = (u8 *)from->string, .size = strlen(from->string)};
		else if (!file_read(from->file, "-fw_cfg", to, err))
			return false;
		to->name = from->name;
	}
	return true;
}

/* ---- flash ---- */

bool firmware_add_flash(struct config *config, int unit, const char *file, bool read_only, struct err *err)
{
	struct firmware_flash *flash = config->firmware.flash;

	for (unsigned i = 0; unit < 0 && i < BOARD_FLASHES; i++)
		if (!flash[i].file)
			unit = i;
	if (unit < 0 || unit >= BOARD_FLASHES)
		return err_set(err, EXIT_USAGE, "flash %s: there are %d chips, units 0 and 1", file, BOARD_FLASHES);
	if (flash[unit].file)
		return err_set(err, EXIT_USAGE, "flash %s: unit %d is taken by %s", file, unit, flash[unit].file);
	flash[unit] = (struct firmware_flash){err_strdup(file), read_only};
	return true;
}

bool firmware_set_pflash(struct config *config, const char *value, struct err *err)
{
	return firmware_add_flash(config, -1, value, false, err);
}

static struct nvram *nvram[BOARD_FLASHES];

static bool read_flash(unsigned unit, const char *path, bool read_only, bool kept, struct board_config *board, struct loop *loop,
                       struct err *err)
{
	struct board_flash *chip = &board->flash[unit];

	chip->read_only = read_only;
	if (!file_read(path, "flash", &chip->file, err))
		return false;
	if (read_only || !kept)
		return true;
	nvram[unit] = nvram_open(path, chip, loop, err);
	return nvram[unit];
}

void firmware_close(void)
{
	for (unsigned i = 0; i < BOARD_FLASHES; i++) {
		nvram_close(nvram[i]);
		nvram[i] = NULL;
	}
}

/* ---- UEFI in one word: OVMF, with variables in a file of the machine's own ---- */

static bool is_uefi(const struct config *config)
{
	return config->bios && (!strcmp(config->bios, "uefi") || !strcmp(config->bios, "ovmf"));
}

static bool copy_file(const struct board_file *from, const char *path, struct err *err)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	bool ok = fd >= 0 && write(fd, from->data, from->size) == (ssize_t)from->size;

	if (!ok)
		err_set(err, EXIT_FILE, "firmware variables %s: %s", path, strerror(errno));
	if (fd >= 0 && close(fd) && ok)
		ok = err_set(err, EXIT_FILE, "firmware variables %s: %s", path, strerror(errno));
	if (!ok && fd >= 0)
		unlink(path);
	return ok;
}

/* The image that tells this machine from others: its first disk, unless what is written there is forgotten anyway. */
static const char *own_disk(const struct config *config)
{
	const struct drives_options *o = &config->drives;

	for (unsigned i = 0; i < o->count && !o->snapshot; i++) {
		const struct drives_item *item = &o->item[i];
		bool disk = (!item->media || !strcmp(item->media, "disk")) && (!item->iface || !strcmp(item->iface, "ide"));

		if (item->file && disk && !item->read_only && !item->snapshot)
			return item->file;
	}
	return NULL;
}

/* The variables lie beside the disk they belong to; a machine without a disk has them as long as it runs. */
static bool read_variables(const char *disk, struct board_config *board, struct loop *loop, struct err *err)
{
	static char path[4096];
	const char *blank = find("OVMF_VARS_4M.fd", err);

	if (!blank)
		return false;
	if (!disk)
		return read_flash(1, blank, false, false, board, loop, err);
	if ((size_t)snprintf(path, sizeof path, "%s.uefi-vars", disk) >= sizeof path)
		return err_set(err, EXIT_FILE, "%s: the path is too long", disk);
	if (access(path, F_OK)) {
		struct board_file file = {0};
		bool ok = file_read(blank, "flash", &file, err) && copy_file(&file, path, err);
		free(file.data);
		if (!ok)
			return false;
	}
	return read_flash(1, path, false, true, board, loop, err);
}

/* ---- what the board gets ---- */

bool firmware_given(const struct config *config)
{
	return config->bios || config->firmware.flash[0].file;
}

/* The display adapter's own firmware; a kernel that is booted directly takes its font from there. A machine without it runs on
 * blind until its guest has a driver. */
#define VGA_BIOS "vgabios-stdvga.bin"

static bool read_vga_bios(struct board_config *board, struct err *err)
{
	struct err missing = {0};

	if (!board->vga)
		return true;
	const char *path = find(VGA_BIOS, &missing);
	if (!path) {
		if (!board->nographic)
			err_note("%s not found: the screen stays dark until the guest has a driver (package seabios)", VGA_BIOS);
		return true;
	}
	return file_read(path, "VGA BIOS", &board->vga_rom, err);
}

bool firmware_read(const struct config *config, bool needed, struct board_config *board, struct loop *loop, struct err *err)
{
	const struct firmware_flash *flash = config->firmware.flash;
	const char *path;

	if (!read_fw_cfg(&config->firmware, board, err))
		return false;
	if (is_uefi(config)) {
		const struct board_file *kernel = &board->kernel;
		if (kernel->name && boot_kind(kernel->data, kernel->size) != BOOT_LINUX)
			return err_set(err, EXIT_USAGE, "%s: UEFI starts no kernels but Linux (-bios %s)", kernel->name, config->bios);
		if (flash[0].file && flash[1].file)
			return err_set(err, EXIT_USAGE, "-bios %s and two flash chips: the only one left is for variables", config->bios);
		const struct firmware_flash *variables = &flash[flash[1].file != NULL];
		path = find("OVMF_CODE_4M.fd", err);
		return path && read_flash(0, path, true, false, board, loop, err) &&
		       (variables->file ? read_flash(1, variables->file, variables->read_only, true, board, loop, err)
		                        : read_variables(own_disk(config), board, loop, err));
	}
	if (!flash[0].file && flash[1].file)
		return err_set(err, EXIT_USAGE, "flash %s: unit 1 without a unit 0", flash[1].file);
	for (unsigned i = 0; i < BOARD_FLASHES; i++)
		if (flash[i].file && !read_flash(i, flash[i].file, flash[i].read_only, true, board, loop, err))
			return false;
	if (flash[0].file)
		return true;
	if (!read_vga_bios(board, err))
		return false;
	if (!config->bios && !needed)
		return true;
	path = find(config->bios ? config->bios : DEFAULT_BIOS, err);
	return path && file_read(path, "-bios", &board->firmware, err);
}
