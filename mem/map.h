/* SPDX-License-Identifier: MIT */
/* An address map: overlapping regions with priorities, flattened into sorted, disjoint ranges. Used twice: for
 * guest-physical memory and for I/O ports. Where no region lies, reads give all ones and writes vanish. */
#ifndef MEM_MAP_H
#define MEM_MAP_H

#include "base/types.h"
#include "mem/ram.h"

/* Device access. offset is relative to the region; size is 1, 2, 4 or 8 and never crosses the region's end.
 * Accesses outside [min, max] bytes are split or widened by the bus: wider ones become several of max bytes, low
 * address first; narrower ones become one of min bytes (reads are cut down, writes are zero-extended). */
struct region_ops {
	u64 (*read)(void *opaque, u64 offset, unsigned size);
	void (*write)(void *opaque, u64 offset, u64 value, unsigned size);
	u8 min, max; /* 0 means 1 and 4 */
};

struct region {
	const char *name;
	u64 size;
	struct ram *ram;              /* RAM or ROM backing, or NULL for a device */
	u64 ram_offset;               /* page aligned */
	bool readonly;                /* RAM-backed, but guest writes go to ops (NULL: dropped) */
	const struct region_ops *ops; /* device */
	void *opaque;
	/* kept by the map */
	u64 start;
	int priority;
	bool mapped;
	struct region *next;
};

struct map_range {
	u64 first, last; /* inclusive, so that the top of the space can be named */
	struct region *region;
	u64 offset; /* of first, within the region */
};

struct map {
	struct region *regions;
	struct map_range *ranges; /* sorted */
	u32 count, capacity;
	u64 last;     /* highest legal address: 2^52-1 or 0xffff */
	u64 version;  /* counts changes */
	u32 batch;    /* depth of map_begin */
	bool stale;   /* changed since map_begin */
};

void map_init(struct map *map, u64 last);
void map_free(struct map *map);
/* Place a region; where several overlap the highest priority wins, the later one among equals.
 * Mapping a mapped region moves it. The caller owns the region, which must outlive its mapping. */
void map_add(struct map *map, struct region *region, u64 start, int priority);
void map_remove(struct map *map, struct region *region);
/* Several changes at once: between begin and end (they nest) the ranges stay as they are, and a removed region must
 * live until the end. */
void map_begin(struct map *map);
void map_end(struct map *map);
/* The range that holds addr, or NULL. */
const struct map_range *map_find(const struct map *map, u64 addr);
/* The same, or the first one above addr. */
const struct map_range *map_find_from(const struct map *map, u64 addr);

#endif
