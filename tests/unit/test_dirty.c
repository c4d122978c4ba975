/* SPDX-License-Identifier: MIT */
/* mem/dirty: who is told of which write, and the life of a dirty log. */
#include "mem/dirty.h"

#include <pthread.h>
#include <stdlib.h>

#include "tests/unit/unit.h"

struct fixture {
	struct bus bus;
	struct ram *ram;
	struct region region;
	struct bus_listener listener;
	unsigned protects, writes;
	u8 *last_page, *last_hva;
	u64 last_pages; /* bytes from there */
	unsigned last_len;
	u8 seen; /* the byte at last_hva when we were told */
	bool release;
};

static void on_protect(void *opaque, u8 *page, u64 len)
{
	struct fixture *f = opaque;

	f->protects++;
	f->last_page = page;
	f->last_pages = len;
}

static void on_code(void *opaque, u8 *hva, unsigned len)
{
	struct fixture *f = opaque;

	f->writes++;
	f->last_hva = hva;
	f->last_len = len;
	f->seen = *hva;
	if (f->release)
		dirty_unwatch(f->ram->watch + ((hva - f->ram->hva) >> PAGE_SHIFT), RAM_WATCH_CODE);
}

static int setup(void **state)
{
	struct fixture *f = err_alloc(sizeof *f);
	struct err err;

	bus_init(&f->bus, NULL);
	f->ram = ram_new("ram", 1 << 20, false, false, &err);
	if (!f->ram)
		return -1;
	f->region = (struct region){.name = "ram", .size = 1 << 20, .ram = f->ram};
	f->listener = (struct bus_listener){.protect = on_protect, .code_written = on_code, .opaque = f};
	bus_map(&f->bus, &f->region, 0x100000, 0);
	bus_listen(&f->bus, &f->listener);
	f->release = true;
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	bus_free(&f->bus);
	ram_free(f->ram);
	free(f);
	return 0;
}

static void test_code(void **state)
{
	struct fixture *f = *state;
	u8 *page = f->ram->hva + 0x3000, *watch = f->ram->watch + 3;

	dirty_watch(&f->bus, page, watch, RAM_WATCH_CODE);
	assert_int_equal(f->protects, 1);
	assert_ptr_equal(f->last_page, page);
	dirty_watch(&f->bus, page, watch, RAM_WATCH_CODE);
	assert_int_equal(f->protects, 1);
	bus_write(&f->bus, 0x102000, 1, 8);
	bus_write(&f->bus, 0x104000, 1, 8);
	assert_int_equal(f->writes, 0);
	/* by the CPU: told before */
	bus_write(&f->bus, 0x103010, 0x99, 4);
	assert_int_equal(f->writes, 1);
	assert_ptr_equal(f->last_hva, page + 0x10);
	assert_int_equal(f->last_len, 4);
	assert_int_equal(f->seen, 0);
	assert_int_equal(*watch, 0);
	/* by DMA: told after, for the part on the page */
	dirty_watch(&f->bus, page, watch, RAM_WATCH_CODE);
	assert_true(bus_dma_write(&f->bus, 0x102ff0, "0123456789abcdefXYZ", 19));
	assert_int_equal(f->writes, 2);
	assert_ptr_equal(f->last_hva, page);
	assert_int_equal(f->last_len, 3);
	assert_int_equal(f->seen, 'X');
	/* only the half of a crossing write that lies there */
	dirty_watch(&f->bus, page, watch, RAM_WATCH_CODE);
	bus_write(&f->bus, 0x102ffe, 0x44332211, 4);
	assert_int_equal(f->writes, 3);
	assert_ptr_equal(f->last_hva, page);
	assert_int_equal(f->last_len, 2);
	assert_true(load32(page - 2) == 0x44332211);
	/* still watched: still told */
	f->release = false;
	dirty_watch(&f->bus, page, watch, RAM_WATCH_CODE);
	bus_write(&f->bus, 0x103000, 0, 1);
	bus_write(&f->bus, 0x103000, 0, 1);
	assert_true(f->writes >= 5);
	assert_int_equal(*watch, RAM_WATCH_CODE);
}

static bool was_written(struct fixture *f, u64 at)
{
	u64 written[1] = {0};

	dirty_log_take(&f->bus, f->ram, at, 1, written);
	return written[0];
}

static void test_log(void **state)
{
	struct fixture *f = *state;

	assert_false(was_written(f, 0x5000));
	dirty_log_start(&f->bus, f->ram, 0x4000, 0x4000);
	assert_int_equal(f->protects, 1);
	assert_int_equal(f->last_pages, 0x4000);
	for (unsigned at = 0; at < 0x10000; at += 0x1000)
		assert_false(was_written(f, at));
	bus_write(&f->bus, 0x103fff, 0xffff, 2); /* pages 3 (no log) and 4 */
	bus_write(&f->bus, 0x105123, 1, 1);
	bus_write(&f->bus, 0x105124, 1, 1);
	assert_int_equal(f->ram->watch[5], 0); /* free for fast writes now */
	assert_int_equal(f->ram->watch[6], RAM_WATCH_LOG);
	assert_false(was_written(f, 0x3000));
	assert_true(was_written(f, 0x4000));
	assert_true(was_written(f, 0x5000));
	assert_false(was_written(f, 0x5000));
	assert_int_equal(f->protects, 3);
	assert_true(bus_dma_write(&f->bus, 0x105ffe, "abcd", 4));
	assert_true(was_written(f, 0x5000));
	assert_true(was_written(f, 0x6fff));
	/* many at once, and the CPUs are asked but once */
	bus_write(&f->bus, 0x104000, 1, 1);
	bus_write(&f->bus, 0x107000, 1, 1);
	u64 written[1] = {~0ull};
	unsigned before = f->protects;
	dirty_log_take(&f->bus, f->ram, 0x3000, 0x6000, written);
	assert_int_equal(written[0], 1 << 1 | 1 << 4);
	assert_int_equal(f->protects, before + 1);
	dirty_log_take(&f->bus, f->ram, 0x3000, 0x6000, written);
	assert_int_equal(written[0], 0);
	assert_int_equal(f->protects, before + 1);
	/* beside code on the same page */
	dirty_watch(&f->bus, f->ram->hva + 0x7000, f->ram->watch + 7, RAM_WATCH_CODE);
	f->release = false;
	bus_write(&f->bus, 0x107000, 1, 1);
	assert_int_equal(f->ram->watch[7], RAM_WATCH_CODE);
	assert_true(was_written(f, 0x7000));
	assert_int_equal(f->ram->watch[7], RAM_WATCH_CODE | RAM_WATCH_LOG);
	bus_write(&f->bus, 0x104000, 1, 1);
	dirty_log_stop(&f->bus, f->ram, 0x4000, 0x4000);
	assert_int_equal(f->ram->watch[7], RAM_WATCH_CODE);
	assert_int_equal(f->ram->watch[5], 0);
	assert_false(was_written(f, 0x4000));
	bus_write(&f->bus, 0x104000, 1, 1);
	assert_false(was_written(f, 0x4000));
}

static void test_log_bounds(void **state)
{
	struct fixture *f = *state;

	dirty_log_start(&f->bus, f->ram, (1 << 20) - 0x1000, ~0ull);
	assert_int_equal(f->protects, 1);
	bus_write(&f->bus, 0x1ff000, 1, 1);
	assert_true(was_written(f, (1 << 20) - 1));
	assert_false(was_written(f, 1 << 20));
	assert_false(was_written(f, ~0ull));
	dirty_log_start(&f->bus, f->ram, ~0ull, ~0ull);
	dirty_log_stop(&f->bus, f->ram, 0, ~0ull);
	assert_false(was_written(f, (1 << 20) - 1));
}

/* ---- a log is never behind what is in memory ---- */
struct race {
	struct fixture *f;
	bool done;
};

static void *count_up(void *opaque)
{
	struct race *race = opaque;

	for (u32 i = 1; i <= 100000; i++)
		bus_write(&race->f->bus, 0x108000, i, 4);
	__atomic_store_n(&race->done, true, __ATOMIC_RELEASE);
	return NULL;
}

static void test_log_race(void **state)
{
	struct fixture *f = *state;
	struct race race = {.f = f};
	pthread_t thread;
	u32 shadow = 0;
	bool done;

	dirty_log_start(&f->bus, f->ram, 0x8000, 0x1000);
	assert_int_equal(pthread_create(&thread, NULL, count_up, &race), 0);
	do {
		done = __atomic_load_n(&race.done, __ATOMIC_ACQUIRE);
		if (was_written(f, 0x8000))
			shadow = __atomic_load_n((u32 *)(f->ram->hva + 0x8000), __ATOMIC_RELAXED);
	} while (!done);
	pthread_join(thread, NULL);
	assert_int_equal(shadow, 100000);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {TEST(test_code), TEST(test_log), TEST(test_log_bounds), TEST(test_log_race)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
