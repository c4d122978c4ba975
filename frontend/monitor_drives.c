/* SPDX-License-Identifier: MIT */
/* The monitor's words about drives: what is in them, and changing it while the guest runs. */
#include <inttypes.h>

#include "base/options.h"
#include "frontend/drives.h"
#include "frontend/monitor_private.h"

#define NAMES 32

static struct drive *find(struct monitor *m, const char *name)
{
	const char *names[NAMES] = {0};
	struct drive *drive = drives_find(name);
	unsigned n = 0;

	if (drive)
		return drive;
	for (const struct drive *d = drives_first(); d && n < NAMES - 1; d = d->next)
		names[n++] = d->id;
	const char *near = options_nearest(name, names);
	monitor_say(m, near ? "no such drive: '%s', did you mean '%s'?\n" : "no such drive: '%s' (info block lists them)\n", name,
	            near);
	return NULL;
}

void monitor_info_block(struct monitor *m, char *args)
{
	(void)args;
	for (const struct drive *d = drives_first(); d; d = d->next) {
		if (d->disk)
			monitor_say(m, "%s: %s (%s%s), %" PRIu64 " bytes\n", d->id, disk_file(d->disk), disk_format(d->disk),
			            disk_read_only(d->disk) ? ", read-only" : "", disk_size(d->disk));
		else
			monitor_say(m, "%s: [not inserted]\n", d->id);
		if (d->media != DRIVE_DISK)
			monitor_say(m, "    Removable device: %s, tray %s\n", d->locked ? "locked" : "not locked",
			            d->tray_open ? "open" : "closed");
		if (d->reads || d->writes || d->flushes)
			monitor_say(m,
			            "    %" PRIu64 " reads (%" PRIu64 " bytes), %" PRIu64 " writes (%" PRIu64 " bytes), %" PRIu64 " flushes\n",
			            d->reads, d->read_bytes, d->writes, d->written_bytes, d->flushes);
	}
}

void monitor_eject(struct monitor *m, char *args)
{
	struct err err = {0};
	char *name = monitor_word(&args);
	bool force = name && !strcmp(name, "-f");

	if (force)
		name = monitor_word(&args);
	if (!name) {
		monitor_say(m, "eject [-f] DRIVE\n");
		return;
	}
	struct drive *drive = find(m, name);
	if (drive && !drive_eject(drive, force, &err))
		monitor_say(m, "%s\n", err.text);
}

/* The new medium is opened before the old one is taken out: a mistyped name leaves things as they are. */
void monitor_change(struct monitor *m, char *args)
{
	struct err err = {0};
	char *name = monitor_word(&args), *file = monitor_word(&args), *format = monitor_word(&args);

	if (!name || !file) {
		monitor_say(m, "change DRIVE FILE [FORMAT]\n");
		return;
	}
	struct drive *drive = find(m, name);
	if (!drive)
		return;
	const struct disk_config config = {.file = file, .format = format, .read_only = drive->media == DRIVE_CDROM,
	                                   .try_read_only = true, .no_repair = true, /* the machine stands still meanwhile */
	                                   .sequential_hint = true};
	struct disk *disk = drive->media == DRIVE_DISK ? NULL : disk_open(&config, board_machine(m->board)->loop, &err);
	if (drive->media == DRIVE_DISK)
		err_set(&err, EXIT_USAGE, "%s: a hard disk cannot be changed while the machine runs", name);
	if (disk && drive_insert(drive, disk, &err)) {
		drives_check_medium(drive);
		return;
	}
	if (disk)
		disk_close(disk);
	monitor_say(m, "%s\n", err.text);
}
