/* SPDX-License-Identifier: MIT */
/* -boot as QEMU spells it: "-boot d", "-boot order=cd,once=d,menu=on". */
#include "frontend/bootorder.h"

#include <stdlib.h>

#include "base/options.h"
#include "frontend/config.h"

static bool check_letters(const char *letters, struct err *err)
{
	for (const char *p = letters; p && *p; p++) {
		if (!strchr("abcdn", *p))
			return err_set(err, EXIT_USAGE, "-boot %s: a and b are floppies, c the hard disk, d the CD-ROM, n the network",
			               letters);
		if (strchr(p + 1, *p))
			return err_set(err, EXIT_USAGE, "-boot %s: '%c' is there twice", letters, *p);
	}
	return !letters || *letters || err_set(err, EXIT_USAGE, "-boot: an empty order");
}

bool bootorder_set(struct config *config, const char *value, struct err *err)
{
	struct bootorder_options *o = &config->boot;
	static const struct option_key keys[] = {
		{"order", OPTION_STRING, offsetof(struct bootorder_options, order), 0, 0, "devices in order, as cd"},
		{"once", OPTION_STRING, offsetof(struct bootorder_options, once), 0, 0, "the same, for the first boot only"},
		{"menu", OPTION_BOOL, offsetof(struct bootorder_options, menu), 0, 0, "let the user choose"},
		{"splash-time", OPTION_NUMBER, offsetof(struct bootorder_options, splash_time), 0, 65535,
	     "ms that the menu's prompt stays"},
		{"reboot-timeout", OPTION_STRING, offsetof(struct bootorder_options, reboot_timeout), 0, 0,
	     "ms until another try if nothing boots; -1: never"},
		{"strict", OPTION_BOOL, offsetof(struct bootorder_options, strict), 0, 0, "try nothing but the order"},
		{NULL},
	};

	char *end;

	if (!options_parse(value, "order", keys, o, "-boot", err) || !check_letters(o->order, err) || !check_letters(o->once, err))
		return false;
	long ms = o->reboot_timeout ? strtol(o->reboot_timeout, &end, 10) : 0;
	if (o->reboot_timeout && (!*o->reboot_timeout || *end || ms < -1 || ms > 65535))
		return err_set(err, EXIT_USAGE, "-boot reboot-timeout=%s: -1 to 65535", o->reboot_timeout);
	return true;
}

void bootorder_configure(const struct bootorder_options *o, struct board_config *board)
{
	board->boot_order = o->order;
	board->boot_once = o->once;
	board->boot_menu = o->menu;
	board->boot_menu_wait = (unsigned)o->splash_time;
	if (o->reboot_timeout)
		board->boot_fail_wait = (i32)strtol(o->reboot_timeout, NULL, 10);
}

void bootorder_free(struct bootorder_options *o)
{
	free(o->order);
	free(o->once);
	free(o->reboot_timeout);
}
