/* SPDX-License-Identifier: MIT */
/* Watch bytes and dirty logs.
 *
 * A logged page is in one of two states: armed (watch bit set, dirty bit clear) or written (watch bit clear, dirty bit
 * set). The first write moves it to written and leaves later ones alone; dirty_log_take() takes the dirty bit first and
 * arms the page again after, so that a write in between is either marked or seen by whoever reads the page after that.
 *
 * Invariant: a watcher sets its bit, then fast write paths are dropped, then (fence_full) it reads the page; a writer
 * stores, then (fence_full) reads the watch byte. One of them sees the other. Watchers come one after the other, so that one who
 * finds the bit set need not wait for what another has begun. */
#include "mem/dirty.h"

#include <string.h>

#include "base/fence.h"

static void protect(struct bus *bus, u8 *hva, u64 len)
{
	for (struct bus_listener *l = __atomic_load_n(&bus->listeners, __ATOMIC_ACQUIRE); l; l = l->next)
		if (l->protect)
			l->protect(l->opaque, hva, len);
}

static void set(struct bus *bus, u8 *hva_page, u8 *watch, enum ram_watch why)
{
	u8 before = __atomic_fetch_or(watch, (u8)why, __ATOMIC_SEQ_CST);

	if (!(before & why))
		protect(bus, hva_page, PAGE_SIZE);
	fence_full();
}

void dirty_watch(struct bus *bus, u8 *hva_page, u8 *watch, enum ram_watch why)
{
	pthread_mutex_lock(&bus->watch_lock);
	set(bus, hva_page, watch, why);
	pthread_mutex_unlock(&bus->watch_lock);
}

static u8 *holders(const u8 *hva_page)
{
	struct ram *ram = ram_find(hva_page);

	if (!ram)
		bug("a page with code lies in no memory block");
	return &ram->holders[(u64)(hva_page - ram->hva) >> PAGE_SHIFT];
}

void dirty_hold_code(struct bus *bus, u8 *hva_page, u8 *watch)
{
	pthread_mutex_lock(&bus->watch_lock);
	++*holders(hva_page);
	set(bus, hva_page, watch, RAM_WATCH_CODE);
	pthread_mutex_unlock(&bus->watch_lock);
}

void dirty_release_code(struct bus *bus, u8 *hva_page, u8 *watch)
{
	pthread_mutex_lock(&bus->watch_lock);
	if (ram_find(hva_page) && !--*holders(hva_page)) /* or the memory is gone */
		dirty_unwatch(watch, RAM_WATCH_CODE);
	pthread_mutex_unlock(&bus->watch_lock);
}

void dirty_unwatch(u8 *watch, enum ram_watch why)
{
	__atomic_fetch_and(watch, (u8)~why, __ATOMIC_SEQ_CST);
}

static void mark_log(const u8 *hva, u8 *watch)
{
	struct ram *ram = ram_find(hva);
	u64 page;

	if (!ram)
		bug("a watched page lies in no memory block");
	page = (u64)(hva - ram->hva) >> PAGE_SHIFT;
	/* disarm first: a test in between arms again and leaves nothing lost, the other order could leave a page
	 * neither armed nor marked */
	dirty_unwatch(watch, RAM_WATCH_LOG);
	__atomic_fetch_or(&ram->dirty[page / 64], BIT(page % 64), __ATOMIC_SEQ_CST);
}

void dirty_write(struct bus *bus, u8 *hva, u8 *watch, unsigned len)
{
	u8 why = __atomic_load_n(watch, __ATOMIC_RELAXED);

	if (why & RAM_WATCH_CODE)
		for (struct bus_listener *l = __atomic_load_n(&bus->listeners, __ATOMIC_ACQUIRE); l; l = l->next)
			if (l->code_written)
				l->code_written(l->opaque, hva, len);
	if (why & RAM_WATCH_LOG)
		mark_log(hva, watch);
}

/* ---- logs ---- */
/* Cut a range to the block; page numbers. */
static void pages_of(const struct ram *ram, u64 start, u64 len, u64 *first, u64 *end)
{
	start = MIN(start, ram->size);
	len = MIN(len, ram->size - start);
	*first = start >> PAGE_SHIFT;
	*end = (start + len + PAGE_OFFSET) >> PAGE_SHIFT;
}

/* Put those of the pages under watch that were marked in the log, or all of them, and take their marks away; marked, if
 * not NULL, is told which had one. Each CPU is waited for once, however many pages there are. */
static void arm(struct bus *bus, struct ram *ram, u64 first, u64 end, bool all, u64 *marked)
{
	bool any = false;

	pthread_mutex_lock(&bus->watch_lock);
	for (u64 page = first; page < end; page++) {
		u64 *word = &ram->dirty[page / 64], bit = BIT(page % 64), bits = __atomic_load_n(word, __ATOMIC_RELAXED);
		bool written = bits & bit;

		if (!all && !bits) {
			page |= 63; /* none of these */
			continue;
		}
		if (written)
			__atomic_fetch_and(word, ~bit, __ATOMIC_SEQ_CST);
		if (marked && written)
			marked[(page - first) / 64] |= BIT((page - first) % 64);
		if (written || all)
			any |= !(__atomic_fetch_or(&ram->watch[page], (u8)RAM_WATCH_LOG, __ATOMIC_SEQ_CST) & RAM_WATCH_LOG);
	}
	if (any)
		protect(bus, ram->hva + (first << PAGE_SHIFT), (end - first) << PAGE_SHIFT);
	fence_full();
	pthread_mutex_unlock(&bus->watch_lock);
}

void dirty_log_start(struct bus *bus, struct ram *ram, u64 start, u64 len)
{
	u64 first, end;

	pages_of(ram, start, len, &first, &end);
	arm(bus, ram, first, end, true, NULL);
}

void dirty_log_stop(struct bus *bus, struct ram *ram, u64 start, u64 len)
{
	u64 page, end;

	(void)bus; /* pages that are no longer armed need no listener: their fast paths come back by themselves */
	pages_of(ram, start, len, &page, &end);
	for (; page < end; page++) {
		dirty_unwatch(&ram->watch[page], RAM_WATCH_LOG);
		__atomic_fetch_and(&ram->dirty[page / 64], ~BIT(page % 64), __ATOMIC_SEQ_CST);
	}
}

void dirty_log_take(struct bus *bus, struct ram *ram, u64 start, u64 len, u64 *written)
{
	u64 first, end;

	for (struct bus_listener *l = __atomic_load_n(&bus->listeners, __ATOMIC_ACQUIRE); l; l = l->next)
		if (l->log_sync)
			l->log_sync(l->opaque, ram);
	pages_of(ram, start, len, &first, &end);
	memset(written, 0, (end - first + 63) / 64 * sizeof *written);
	arm(bus, ram, first, end, false, written);
}
