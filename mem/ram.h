/* SPDX-License-Identifier: MIT */
/* Guest RAM and ROM blocks: host memory reserved whole and committed by touch, with one watch byte per page. */
#ifndef MEM_RAM_H
#define MEM_RAM_H

#include "base/err.h"
#include "base/types.h"

#define PAGE_SHIFT 12
#define PAGE_SIZE 4096u
#define PAGE_OFFSET 4095u

/* Why a page's writes must take the slow path (bits of the watch byte; see dirty.h). */
enum ram_watch {
	RAM_WATCH_CODE = 1, /* decoded or translated code was taken from this page */
	RAM_WATCH_LOG = 2,  /* a dirty log wants to hear of the next write */
};

struct ram {
	const char *name;
	u8 *hva;    /* page aligned; page-aligned size */
	u64 size;   /* bytes */
	u8 *watch;  /* size >> PAGE_SHIFT bytes; read and written with relaxed atomics */
	u64 *dirty; /* one bit per page, set on a write to a page under RAM_WATCH_LOG */
	u8 *holders; /* one per page: how many CPUs keep it under RAM_WATCH_CODE (dirty.h) */
	bool rom;   /* the guest cannot write it */
	int fd;     /* memory file that backs it, or -1: private anonymous */
	struct ram *next;
};

/* size is rounded up to a page. shared: backed by a memory file that can be mapped twice. NULL on failure. */
struct ram *ram_new(const char *name, u64 size, bool rom, bool shared, struct err *err);
void ram_free(struct ram *ram);
/* Bytes of the block that are committed on the host now. */
u64 ram_committed(const struct ram *ram);
/* The block that holds this host address, or NULL. */
struct ram *ram_find(const u8 *hva);

#endif
