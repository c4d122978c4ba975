/* SPDX-License-Identifier: MIT */
/* Watch bytes and dirty logs.
 *
 * A logged page is in one of two states: armed (watch bit set, dirty bit clear) or written (watch bit clear, dirty bit
 * set). The first write moves it to written and leaves later ones alone; dirty_log_test() takes the dirty bit first and
 * arms the page again after, so that a write in between is either marked or seen by whoever reads the page after the
 * test.
 *
 * Invariant: a watcher sets its bit, then fast write paths are dropped, then (fence_full) it reads the page; a writer
 * stores, then (fence_full) reads the watch byte. One of them sees the other. Watchers come one after the other, so that one who
 * finds the bit set need not wait for what another has begun. */
#include "mem/dirty.h"

#include "base/fence.h"

static void protect(struct bus *bus, u8 *hva_page)
{
	for (struct bus_listener *l = __atomic_load_n(&bus->listeners, __ATOMIC_ACQUIRE); l; l = l->next)
		if (l->protect)
			l->protect(l->opaque, hva_page);
}

static void set(struct bus *bus, u8 *hva_page, u8 *watch, enum ram_watch why)
{
	u8 before = __atomic_fetch_or(watch, (u8)why, __ATOMIC_SEQ_CST);

	if (!(before & why))
		protect(bus, hva_page);
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

void dirty_log_start(struct bus *bus, struct ram *ram, u64 start, u64 len)
{
	u64 page, end;

	pages_of(ram, start, len, &page, &end);
	for (; page < end; page++) {
		__atomic_fetch_and(&ram->dirty[page / 64], ~BIT(page % 64), __ATOMIC_SEQ_CST);
		dirty_watch(bus, ram->hva + (page << PAGE_SHIFT), &ram->watch[page], RAM_WATCH_LOG);
	}
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

void dirty_log_sync(struct bus *bus, struct ram *ram)
{
	for (struct bus_listener *l = __atomic_load_n(&bus->listeners, __ATOMIC_ACQUIRE); l; l = l->next)
		if (l->log_sync)
			l->log_sync(l->opaque, ram);
}

bool dirty_log_test(struct bus *bus, struct ram *ram, u64 offset)
{
	u64 page = offset >> PAGE_SHIFT, bit = BIT(page % 64);

	if (offset >= ram->size || !(__atomic_load_n(&ram->dirty[page / 64], __ATOMIC_RELAXED) & bit))
		return false;
	__atomic_fetch_and(&ram->dirty[page / 64], ~bit, __ATOMIC_SEQ_CST);
	dirty_watch(bus, ram->hva + (page << PAGE_SHIFT), &ram->watch[page], RAM_WATCH_LOG);
	return true;
}
