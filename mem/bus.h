/* SPDX-License-Identifier: MIT */
/* The bus: what CPUs and devices see of memory and ports. Device callbacks run under the machine lock; the bus takes
 * it when the calling thread does not hold it yet. RAM access takes no machine lock. */
#ifndef MEM_BUS_H
#define MEM_BUS_H

#include <pthread.h>

#include "base/loop.h"
#include "base/types.h"
#include "mem/map.h"

struct bus_listener {
	/* The memory map changed: cached translations of guest-physical addresses are void. */
	void (*remapped)(void *opaque);
	/* Pages among these came under watch: fast write paths to them must be dropped, and stores by them that are under way on other
	 * threads be over, before returning. */
	void (*protect)(void *opaque, u8 *hva, u64 len);
	/* Bytes of a page under RAM_WATCH_CODE were written, or are about to be, and then there will be a second call; all in one
	 * page. Any thread. */
	void (*code_written)(void *opaque, u8 *hva, unsigned len);
	/* A dirty log of this block is about to be read: hand in writes that nothing has told of yet, by dirty_write(). */
	void (*log_sync)(void *opaque, struct ram *ram);
	void *opaque;
	struct bus_listener *next;
};

struct bus {
	struct map mem;
	struct map io;
	struct loop *loop;
	u64 a20_mask; /* ANDed to every CPU physical address: ~0, or ~BIT(20) with the A20 gate closed */
	pthread_mutex_t map_lock; /* guards both maps' ranges; innermost of all locks */
	pthread_mutex_t watch_lock; /* taken to put pages under watch (dirty.h); inside the machine lock */
	struct bus_listener *listeners;
};

/* A page of RAM or ROM as the CPU's TLB needs it. */
struct bus_page {
	u8 *hva;    /* of the page's first byte */
	u8 *watch;  /* its watch byte */
	bool writable;
};

/* A stretch of the memory map with the same memory behind all of it: whole pages. */
struct bus_span {
	u64 first, last; /* inclusive; first > last: none */
	u8 *hva;         /* of first */
	u8 *watch;
	bool writable;
};

/* Memory that a device's transfer goes to or comes from. */
struct bus_piece {
	u8 *hva;
	u8 *watch; /* of the first page */
	u64 len;
};

void bus_init(struct bus *bus, struct loop *loop);
void bus_free(struct bus *bus);
void bus_listen(struct bus *bus, struct bus_listener *listener);
void bus_unlisten(struct bus *bus, struct bus_listener *listener);

/* Map changes; take map_lock and tell the listeners. For batches call bus_begin/bus_end around them. */
void bus_map(struct bus *bus, struct region *region, u64 start, int priority);
void bus_map_io(struct bus *bus, struct region *region, u16 start);
void bus_unmap(struct bus *bus, struct region *region); /* either map */
void bus_begin(struct bus *bus);
void bus_end(struct bus *bus);
void bus_set_a20(struct bus *bus, bool open);

/* The memory behind a guest-physical page, or false where there is a device or nothing. gpa need not be aligned. */
bool bus_page(struct bus *bus, u64 gpa, struct bus_page *page);

/* The stretch around it, or false. Good until the listeners hear of a change. */
bool bus_span(struct bus *bus, u64 gpa, struct bus_span *span);

/* CPU access of 1, 2, 4 or 8 bytes, anywhere (RAM, ROM, device, nothing), crossing ranges and pages if it must.
 * Writes to RAM honour the watch bytes. The A20 mask has been applied by the caller. */
u64 bus_read(struct bus *bus, u64 gpa, unsigned size);
void bus_write(struct bus *bus, u64 gpa, u64 value, unsigned size);
/* Ports: size 1, 2 or 4. An access that runs past 0xffff is all ones there. */
u32 bus_in(struct bus *bus, u16 port, unsigned size);
void bus_out(struct bus *bus, u16 port, u32 value, unsigned size);

/* Device access to memory (bus mastering) and loaders. Any address and length is legal: what is not memory reads as
 * ones and swallows writes (devices are never reached by DMA), and an end past 2^64 is cut off. False if any byte was
 * not memory. */
bool bus_dma_read(struct bus *bus, u64 gpa, void *buf, u64 len);
bool bus_dma_write(struct bus *bus, u64 gpa, const void *buf, u64 len);
/* The same for a transfer that the host's kernel makes: the memory from gpa on, as much of len as lies together. False: there is
 * none, or none that can be written. It stays what it is while the machine lives. Once something was written, and before the
 * guest is told: bus_dma_wrote(). */
bool bus_dma_map(struct bus *bus, u64 gpa, u64 len, bool write, struct bus_piece *piece);
void bus_dma_wrote(struct bus *bus, const struct bus_piece *piece);
/* Like bus_dma_write, but writes ROM as well (firmware loaders, before the guest runs). */
bool bus_load(struct bus *bus, u64 gpa, const void *buf, u64 len);

#endif
