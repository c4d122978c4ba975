/* SPDX-License-Identifier: MIT */
/* A virtual disk's contents, as the devices see them: byte-addressed requests that complete later. What is behind (a raw file,
 * a qcow2 chain) does its work on worker threads and never blocks a CPU. All functions under the machine lock unless they say
 * otherwise; completions come under the same lock, on whatever thread has it. */
#ifndef HW_DISK_DISK_H
#define HW_DISK_DISK_H

#include "base/err.h"
#include "base/loop.h"
#include "base/types.h"

struct disk;
struct iovec; /* <sys/uio.h> */

enum disk_op { DISK_READ, DISK_WRITE, DISK_FLUSH, DISK_DISCARD, DISK_ZERO };

/* One request, owned by the device. It must live, its buffer too, until done was called; requests may complete in any order.
 * A write is durable when a flush that was submitted after its completion has completed. */
struct disk_request {
	enum disk_op op;
	u64 offset, len;  /* bytes; any alignment; beyond the end: EIO */
	u8 *buf;          /* len bytes, for DISK_READ and DISK_WRITE */
	const struct iovec *pieces; /* or these instead, one behind the other; NULL: buf */
	void (*done)(struct disk_request *request);
	void *opaque;     /* the device's */
	int error;        /* set before done: 0 or an errno (EIO, ENOSPC, EROFS, ENOMEDIUM) */
	struct drive *drive;       /* whose policy about errors holds; set by drive_submit(). NULL: errors are the device's */
	struct disk_request *next; /* the disk's, while the request is on its way */
};

/* When is a write durable? What is said above; at its completion; when the host likes (a flush does nothing). */
enum disk_cache { DISK_WRITEBACK, DISK_WRITETHROUGH, DISK_UNSAFE };

struct disk_config {
	const char *file;      /* as the user wrote it */
	const char *format;    /* "raw", "qcow2", NULL: looked at */
	bool read_only;        /* the guest gets a write-protected disk */
	bool try_read_only;    /* a file that cannot be written is opened read-only instead of refused (CDs, floppies) */
	bool no_repair;        /* refused if it would have to be repaired first, which may take long */
	bool snapshot;         /* writes go to a temporary overlay */
	enum disk_cache cache;
	bool no_discard;       /* what the guest discards stays */
	bool sequential_hint;  /* CD and floppy images: no locking of the file against other readers is needed in any case */
};

/* Opens and locks the image. NULL: err has a line. */
struct disk *disk_open(const struct disk_config *config, struct loop *loop, struct err *err);
/* Finishes what is on its way, flushes, unlocks. Requests still in flight complete (done is called) before it returns. False: of
 * what was to be written, something held back was given up or the last flush failed, and a line has said so. NULL is fine. */
bool disk_close(struct disk *disk);
/* done is never called from within disk_submit. */
void disk_submit(struct disk *disk, struct disk_request *request);
/* Waits, with the lock held, until nothing is on its way (reset of a controller, saving the machine). */
void disk_drain(struct disk *disk);
/* Try again what a drive's policy has held back (see struct drive). disk_drain() tries once more and then gives up. */
void disk_retry(struct disk *disk);
u64 disk_size(const struct disk *disk); /* bytes */
bool disk_read_only(const struct disk *disk);
const char *disk_file(const struct disk *disk);
const char *disk_format(const struct disk *disk);

/* A drive: the place in a device that a disk is attached to. Made by the front end from -drive and friends; the device finds it
 * in its object (struct device.drive) or creates its own empty one. Removable media change while the guest runs. */
enum drive_media { DRIVE_DISK, DRIVE_CDROM, DRIVE_FLOPPY };
/* What the host's errors mean: the guest sees a failing drive; all is well; the machine stops, the request waits until the user
 * lets it go on and is tried again then; the same if there is no room on the host, else the first. AUTO: report for reads, enospc
 * for writes. */
enum drive_on_error { DRIVE_AUTO, DRIVE_REPORT, DRIVE_IGNORE, DRIVE_STOP, DRIVE_ENOSPC };
struct drive {
	const char *id;            /* "ide1-cd0", "floppy0", or what the user gave */
	enum drive_media media;
	struct disk *disk;         /* NULL: no medium */
	bool locked;               /* the guest has locked the tray: eject needs force */
	bool tray_open;
	u64 reads, writes, flushes, read_bytes, written_bytes; /* counted by drive_submit, for `info block` */
	/* The device's: the medium was put in (disk is set) or taken out (disk is NULL, nothing in flight). May be NULL. */
	void (*changed)(void *device);
	/* The device's: the user asks for a locked tray to be opened. May be NULL. */
	void (*eject_request)(void *device);
	void *device;
	enum drive_on_error on_read_error, on_write_error; /* writes are also zeroing, discarding, flushing */
	bool told;                 /* the user knows that the guest sees, or does not see, that there is no room */
	/* The machine's: it has to stop, for a request is held back. Under the lock, on any thread. NULL: nothing is ever held. */
	void (*stop)(void *machine, struct drive *drive);
	void *machine;
	struct drive *next;
};
/* Submit to the medium; without one the request completes with ENOMEDIUM. */
void drive_submit(struct drive *drive, struct loop *loop, struct disk_request *request);
/* For the disk, when a request has failed. Is it to be held back? Else: what the device is told. */
bool drive_holds(struct drive *drive, const struct disk_request *request, int error);
int drive_error(struct drive *drive, const struct disk_request *request, int error);
/* Take the medium out (closes it) / put one in (takes it over). False: locked, or not removable. */
bool drive_eject(struct drive *drive, bool force, struct err *err);
bool drive_insert(struct drive *drive, struct disk *disk, struct err *err);

#endif
