/* SPDX-License-Identifier: MIT */
/* A disk for device tests: any size, content that follows from the place until it is written, completions and errors when the
 * test says so. Takes the place of hw/disk/disk.c for what devices call (the linker's --wrap, see CMakeLists.txt). */
#ifndef TESTS_DEV_FAKEDISK_H
#define TESTS_DEV_FAKEDISK_H

#include "hw/disk/disk.h"

struct disk {
	u64 size;
	bool read_only;
	int fail;                  /* errno for every request, 0: none */
	u64 fail_at;               /* requests that touch this byte fail with EIO; 0: none does */
	struct disk_request *first; /* on their way */
	struct { u64 offset, len; u8 *data; } written[512];
	unsigned written_count;
	unsigned reads, writes, flushes, discards;
	unsigned direct;           /* reads in pieces */
	u64 longest;               /* bytes of the longest request */
	u64 last_discard, last_discard_len;
};

struct disk *fakedisk_new(u64 size);
void fakedisk_free(struct disk *disk);
/* What lies there, as the next read would have it. */
void fakedisk_peek(const struct disk *disk, u64 offset, void *buf, u64 len);
/* Complete the oldest request / all, with those that follow from them. False: there was none. */
bool fakedisk_step(struct disk *disk);
void fakedisk_run(struct disk *disk);

/* What devices are told of the clock: it counts instructions, so that nothing may change memory but at an exact instant. */
extern bool fakedisk_copied;

#endif
