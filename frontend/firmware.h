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
};

bool firmware_set_fw_cfg(struct config *config, const char *value, struct err *err);
void firmware_free_options(struct firmware_options *options);
/* Read what the configuration names; needed: there is no kernel to start without firmware. */
bool firmware_read(const struct config *config, bool needed, struct board_config *board, struct err *err);

#endif
