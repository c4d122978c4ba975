/* SPDX-License-Identifier: MIT */
/* Drives as the user asks for them: -drive, and -hda, -cdrom and the like, which are short for it. */
#ifndef FRONTEND_DRIVES_H
#define FRONTEND_DRIVES_H

#include <stdio.h>

#include "base/err.h"
#include "base/loop.h"
#include "hw/disk/disk.h"

struct board_config;
struct config;

#define DRIVES_MAX 16

/* One drive of the command line; strings are owned. */
struct drives_item {
	char *file, *iface, *media, *format, *id;
	u64 index;
	enum disk_cache cache;
	enum drive_on_error on_read_error, on_write_error;
	bool has_index, read_only, snapshot, no_discard;
};
struct drives_options {
	struct drives_item item[DRIVES_MAX];
	unsigned count;
	bool snapshot; /* -snapshot: for all of them */
};

/* ---- options ---- */
bool drives_set(struct config *config, const char *value, struct err *err); /* -drive */
bool drives_set_fda(struct config *config, const char *value, struct err *err);
bool drives_set_fdb(struct config *config, const char *value, struct err *err);
bool drives_set_hda(struct config *config, const char *value, struct err *err);
bool drives_set_hdb(struct config *config, const char *value, struct err *err);
bool drives_set_hdc(struct config *config, const char *value, struct err *err);
bool drives_set_hdd(struct config *config, const char *value, struct err *err);
bool drives_set_cdrom(struct config *config, const char *value, struct err *err);
bool drives_set_snapshot(struct config *config, const char *value, struct err *err);
/* "paisano FILE": what is no kernel goes into the drive where it belongs. */
bool drives_take_file(struct config *config, struct err *err);
/* Gives every drive its place and its name, and adds the empty CD-ROM drive that a machine has unless asked otherwise. */
bool drives_finish(struct drives_options *o, bool defaults, struct err *err);
/* Is there anything that a guest could be started from? */
bool drives_bootable(const struct drives_options *o);
void drives_print(const struct drives_options *o, FILE *to);
void drives_free_options(struct drives_options *o);

/* ---- the run ---- */
/* Opens the images and puts the drives into the board's configuration. */
bool drives_open(const struct drives_options *o, struct loop *loop, struct board_config *board, struct err *err);
/* A line on stderr about a medium that can be used, but not all of it. */
void drives_check_medium(const struct drive *drive);
/* After the board has gone: everything is written and closed. */
bool drives_close(struct loop *loop); /* false: something that the guest has written is lost, and a line has said so */
struct drive *drives_first(void);
struct drive *drives_find(const char *id);

#endif
