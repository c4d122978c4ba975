/* SPDX-License-Identifier: MIT */
/* Overlapping regions flattened into ranges, by a sweep from low to high addresses: a heap holds the regions that have
 * begun, its top is the one to be seen. The top changes only where a region begins or ends, so n regions give at most
 * 2n ranges and the sweep takes O(n log n).
 *
 * Invariants: `regions` lists the newest first; ranges are sorted, disjoint, and adjacent ones of the same region are
 * one; all ends are inclusive, so nothing overflows at the top of a 64-bit space. */
#include "mem/map.h"

#include <stdlib.h>

/* A region while flattening. */
struct span {
	u64 first, last;
	u32 rank; /* 0 wins over all */
	struct region *region;
};

void map_init(struct map *map, u64 last)
{
	*map = (struct map){.last = last};
}

void map_free(struct map *map)
{
	/* the regions may be gone already, with the devices that own them */
	free(map->ranges);
	map_init(map, map->last);
}

/* ---- flattening ---- */
static int by_rank(const void *pa, const void *pb)
{
	const struct span *a = pa, *b = pb;

	/* rank holds the place in the list, newest first, until it is given */
	if (a->region->priority != b->region->priority)
		return a->region->priority < b->region->priority ? 1 : -1;
	return a->rank < b->rank ? -1 : a->rank > b->rank;
}

static int by_first(const void *pa, const void *pb)
{
	const struct span *a = pa, *b = pb;

	return a->first < b->first ? -1 : a->first > b->first;
}

/* The spans that can be seen at all, ranked, sorted by address. */
static struct span *collect(const struct map *map, u32 *count)
{
	struct span *spans;
	u32 n = 0;

	for (const struct region *r = map->regions; r; r = r->next)
		n++;
	spans = err_alloc(n * sizeof *spans);
	n = 0;
	for (struct region *r = map->regions; r; r = r->next) {
		u64 last = r->start + (r->size - 1);

		if (!r->size || r->start > map->last)
			continue;
		if (last < r->start || last > map->last)
			last = map->last;
		spans[n] = (struct span){r->start, last, n, r};
		n++;
	}
	if (n) {
		qsort(spans, n, sizeof *spans, by_rank);
		for (u32 i = 0; i < n; i++)
			spans[i].rank = i;
		qsort(spans, n, sizeof *spans, by_first);
	}
	*count = n;
	return spans;
}

static void heap_push(const struct span **heap, u32 *count, const struct span *span)
{
	u32 i = (*count)++;

	for (; i && heap[(i - 1) / 2]->rank > span->rank; i = (i - 1) / 2)
		heap[i] = heap[(i - 1) / 2];
	heap[i] = span;
}

static void heap_pop(const struct span **heap, u32 *count)
{
	const struct span *last = heap[--*count];
	u32 i = 0;

	for (u32 child; (child = 2 * i + 1) < *count; i = child) {
		if (child + 1 < *count && heap[child + 1]->rank < heap[child]->rank)
			child++;
		if (heap[child]->rank > last->rank)
			break;
		heap[i] = heap[child];
	}
	heap[i] = last;
}

static void emit(struct map *map, u64 first, u64 last, struct region *region)
{
	struct map_range *before = map->count ? &map->ranges[map->count - 1] : NULL;

	if (before && before->region == region && before->last + 1 == first) {
		before->last = last;
		return;
	}
	if (map->count == map->capacity) {
		map->capacity = map->capacity ? map->capacity * 2 : 32;
		map->ranges = err_realloc(map->ranges, map->capacity * sizeof *map->ranges);
	}
	map->ranges[map->count++] = (struct map_range){first, last, region, first - region->start};
}

static void rebuild(struct map *map)
{
	u32 n, next = 0, active = 0;
	struct span *spans = collect(map, &n);
	const struct span **heap = err_alloc(n * sizeof *heap);
	u64 at = 0;

	map->count = 0;
	while (next < n || active) {
		u64 last;

		if (!active)
			at = spans[next].first;
		while (next < n && spans[next].first <= at)
			heap_push(heap, &active, &spans[next++]);
		while (active && heap[0]->last < at)
			heap_pop(heap, &active);
		if (!active)
			continue;
		last = heap[0]->last;
		if (next < n && spans[next].first <= last)
			last = spans[next].first - 1;
		emit(map, at, last, heap[0]->region);
		if (last == map->last)
			break;
		at = last + 1;
	}
	free(heap);
	free(spans);
	map->stale = false;
	map->version++;
}

static void changed(struct map *map)
{
	map->stale = true;
	if (!map->batch)
		rebuild(map);
}

/* ---- changes ---- */
static bool unlink_region(struct map *map, struct region *region)
{
	struct region **at = &map->regions;

	while (*at && *at != region)
		at = &(*at)->next;
	if (!*at)
		return false;
	*at = region->next;
	region->next = NULL;
	region->mapped = false;
	return true;
}

void map_add(struct map *map, struct region *region, u64 start, int priority)
{
	unlink_region(map, region);
	region->start = start;
	region->priority = priority;
	region->mapped = true;
	region->next = map->regions;
	map->regions = region;
	changed(map);
}

void map_remove(struct map *map, struct region *region)
{
	if (unlink_region(map, region))
		changed(map);
}

void map_begin(struct map *map)
{
	map->batch++;
}

void map_end(struct map *map)
{
	if (--map->batch == 0 && map->stale)
		rebuild(map);
}

/* ---- lookup ---- */
const struct map_range *map_find_from(const struct map *map, u64 addr)
{
	u32 low = 0, high = map->count;

	while (low < high) {
		u32 middle = low + (high - low) / 2;

		if (map->ranges[middle].last < addr)
			low = middle + 1;
		else
			high = middle;
	}
	return low < map->count ? &map->ranges[low] : NULL;
}

const struct map_range *map_find(const struct map *map, u64 addr)
{
	const struct map_range *range = map_find_from(map, addr);

	return range && range->first <= addr ? range : NULL;
}
