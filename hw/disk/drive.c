/* SPDX-License-Identifier: MIT */
/* A drive: where a device finds its disk, and how media come and go while the guest runs. */
#include <errno.h>
#include <string.h>

#include "hw/disk/disk.h"

static void no_medium(void *opaque)
{
	struct disk_request *request = opaque;

	request->error = ENOMEDIUM;
	request->done(request);
}

static enum drive_on_error policy(const struct drive *drive, const struct disk_request *request)
{
	bool read = request->op == DISK_READ;
	enum drive_on_error what = read ? drive->on_read_error : drive->on_write_error;

	return what != DRIVE_AUTO ? what : read ? DRIVE_REPORT : DRIVE_ENOSPC;
}

static const char *reason(int error)
{
	return error == ENOSPC ? "the host has no room left for what the guest writes" : strerror(error);
}

bool drive_holds(struct drive *drive, const struct disk_request *request, int error)
{
	enum drive_on_error what = policy(drive, request);

	if (!drive->stop || (what != DRIVE_STOP && (what != DRIVE_ENOSPC || error != ENOSPC)))
		return false;
	err_note("drive %s: %s: %s; the machine is paused, 'cont' in the monitor tries again", drive->id, disk_file(drive->disk),
	         reason(error));
	drive->told = true;
	drive->stop(drive->machine, drive);
	return true;
}

int drive_error(struct drive *drive, const struct disk_request *request, int error)
{
	bool ignored = policy(drive, request) == DRIVE_IGNORE;

	if (error == ENOSPC && !drive->told) { /* other trouble is the image's to tell */
		err_note("drive %s: %s: %s; the guest %s", drive->id, disk_file(drive->disk), reason(error),
		         ignored ? "is not told" : "sees failing writes");
		drive->told = true;
	}
	return ignored ? 0 : error;
}

void drive_submit(struct drive *drive, struct loop *loop, struct disk_request *request)
{
	switch (request->op) {
	case DISK_READ:
		drive->reads++;
		drive->read_bytes += request->len;
		break;
	case DISK_WRITE:
	case DISK_ZERO:
		drive->writes++;
		drive->written_bytes += request->len;
		break;
	case DISK_FLUSH:
		drive->flushes++;
		break;
	case DISK_DISCARD:
		break;
	}
	request->drive = drive;
	if (drive->disk)
		disk_submit(drive->disk, request);
	else
		loop_post(loop, no_medium, request);
}

static bool may_change(const struct drive *drive, bool force, struct err *err)
{
	if (drive->media == DRIVE_DISK)
		return err_set(err, EXIT_USAGE, "drive %s is not removable", drive->id);
	if (drive->disk && drive->locked && !force)
		return err_set(err, EXIT_USAGE, "drive %s is locked by the guest", drive->id);
	return true;
}

bool drive_eject(struct drive *drive, bool force, struct err *err)
{
	struct disk *disk;

	if (!may_change(drive, force, err)) {
		if (drive->media != DRIVE_DISK && drive->eject_request)
			drive->eject_request(drive->device);
		return false;
	}
	if (!drive->disk)
		return true;
	disk_drain(drive->disk); /* while the device still finds its medium in place */
	disk = drive->disk;
	drive->disk = NULL;
	disk_close(disk);
	if (drive->changed)
		drive->changed(drive->device);
	return true;
}

bool drive_insert(struct drive *drive, struct disk *disk, struct err *err)
{
	if (!may_change(drive, false, err))
		return false;
	if (!drive_eject(drive, false, err))
		return false;
	drive->disk = disk;
	drive->tray_open = false;
	if (drive->changed)
		drive->changed(drive->device);
	return true;
}
