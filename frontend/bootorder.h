/* SPDX-License-Identifier: MIT */
/* -boot: which devices the firmware tries, in which order. */
#ifndef FRONTEND_BOOTORDER_H
#define FRONTEND_BOOTORDER_H

#include "base/err.h"

struct board_config;
struct config;

struct bootorder_options {
	char *order, *once; /* letters of a, b, c, d, n; NULL: not given */
	u64 splash_time;    /* ms to wait at the menu's prompt; 0: not given */
	char *reboot_timeout;
	bool menu, strict;
};

bool bootorder_set(struct config *config, const char *value, struct err *err);
/* Into the board's configuration. */
void bootorder_configure(const struct bootorder_options *options, struct board_config *board);
void bootorder_free(struct bootorder_options *options);

#endif
