/* SPDX-License-Identifier: MIT */
/* Firmware as the user chooses it: where images are looked for, and the options around it (-bios, -fw_cfg). */
#ifndef FRONTEND_FIRMWARE_H
#define FRONTEND_FIRMWARE_H

#include "hw/board/board.h"

struct config;

struct firmware_options {
	struct firmware_file {
		char *name, *file, *string;
	} fw_cfg[BOARD_FW_CFGS];
	unsigned fw_cfgs;
	struct firmware_flash {
		char *file;
		bool read_only;
	} flash[BOARD_FLASHES]; /* -drive if=pflash, -pflash */
};

bool firmware_set_fw_cfg(struct config *config, const char *value, struct err *err);
/* -pflash FILE: the next chip. */
bool firmware_set_pflash(struct config *config, const char *value, struct err *err);
/* -drive if=pflash: unit -1 is the next one. */
bool firmware_add_flash(struct config *config, int unit, const char *file, bool read_only, struct err *err);
void firmware_free_options(struct firmware_options *options);
/* Read what the configuration names; needed: what is booted cannot do without firmware. After the kernel. */
bool firmware_read(const struct config *config, bool needed, struct board_config *board, struct loop *loop, struct err *err);
/* Does the configuration name firmware, so that a machine without a kernel has something to start? */
bool firmware_given(const struct config *config);
/* After the run: the variables are in their file. */
void firmware_close(void);

#endif
