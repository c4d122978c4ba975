/* SPDX-License-Identifier: MIT */
/* The command line, resolved: what the user asked for, with defaults filled in. Strings are owned by the struct. */
#ifndef FRONTEND_CONFIG_H
#define FRONTEND_CONFIG_H

#include "cpu/engine.h"
#include "cpu/model.h"
#include "frontend/accel.h"
#include "frontend/bootorder.h"
#include "frontend/change.h"
#include "frontend/display.h"
#include "frontend/drives.h"
#include "frontend/firmware.h"
#include "frontend/sandbox.h"
#include "hw/board/board.h"

enum config_action { CONFIG_RUN, CONFIG_DONE /* help or a list was printed */ };

struct config {
	u64 ram_size;
	u64 cpus;
	char *cpu;              /* -cpu, as given */
	struct cpu_model model;
	struct accel accel;
	struct change_options change;
	char *kernel, *initrd, *append, *bios, *file;
	bool nographic, no_reboot, no_shutdown, paused, print_config, nodefaults;
	char *serial[BOARD_SERIALS];
	unsigned serials;       /* -serial options seen */
	char *debugcon, *parallel, *monitor;
	struct board_device device[BOARD_EXTRAS];
	unsigned devices;
	struct firmware_options firmware;
	struct display_options display;
	struct bootorder_options boot;
	struct drives_options drives;
	char *log_items, *log_file, *pidfile, *name;
	bool icount;
	u64 icount_shift, seed;
	u64 calendar;           /* unix ns */
	enum sandbox_mode sandbox;
	double timeout;         /* seconds, 0 = none */
};

/* Parse argv into config. False: err has a line for the user. */
bool config_parse(struct config *config, int argc, char **argv, enum config_action *action, struct err *err);
void config_print(const struct config *config, FILE *to);
void config_free(struct config *config);

#endif
