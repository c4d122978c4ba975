/* SPDX-License-Identifier: MIT */
/* Firmware as the user chooses it: see firmware.h. */
#include "frontend/firmware.h"

#include <stdlib.h>
#include <unistd.h>

#include "base/options.h"
#include "frontend/config.h"
#include "frontend/file.h"

#define DEFAULT_BIOS "bios-256k.bin"

/* Where distributions put firmware, best first. */
static const char *const places[] = {"/usr/share/seabios", "/usr/share/ovmf", "/usr/share/OVMF", "/usr/share/qemu",
                                     "/usr/local/share/seabios", "/usr/local/share/qemu"};
/* Who brings what, for those who miss it. */
static const struct {
	const char *name, *package;
} packages[] = {{"bios-256k.bin", "seabios"}, {"bios.bin", "seabios"}, {"OVMF.fd", "ovmf"}};

static const char *package_of(const char *name)
{
	for (unsigned i = 0; i < ARRAY_LEN(packages); i++)
		if (!strcmp(packages[i].name, name))
			return packages[i].package;
	return NULL;
}

/* The path of an image: as given if it is there or names a folder, else in one of the places. Lives as long as the process. */
static const char *find(const char *name, struct err *err)
{
	static char path[512];

	if (strchr(name, '/') || !access(name, R_OK))
		return name;
	for (unsigned i = 0; i < ARRAY_LEN(places); i++) {
		snprintf(path, sizeof path, "%s/%s", places[i], name);
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

/* ---- the image ---- */

bool firmware_read(const struct config *config, bool needed, struct board_config *board, struct err *err)
{
	if (!read_fw_cfg(&config->firmware, board, err))
		return false;
	if (!config->bios && !needed)
		return true;
	const char *path = find(config->bios ? config->bios : DEFAULT_BIOS, err);
	return path && file_read(path, "-bios", &board->firmware, err);
}
