/* SPDX-License-Identifier: MIT */
/* mem/map: flattening against a painter that colours every cell of a small space, wherever that space lies. */
#include "mem/map.h"

#include "tests/unit/unit.h"

static void check_order(const struct map *map)
{
	for (u32 i = 0; i < map->count; i++) {
		const struct map_range *r = &map->ranges[i];

		assert_true(r->first <= r->last && r->last <= map->last);
		assert_true(r->offset == r->first - r->region->start);
		assert_true(r->last - r->first < r->region->size - r->offset);
		if (!i)
			continue;
		assert_true(r[-1].last < r->first);
		assert_false(r[-1].region == r->region && r[-1].last + 1 == r->first);
	}
}

static void test_overlap(void **state)
{
	struct region ram = {.name = "ram", .size = 0x10000}, vga = {.name = "vga", .size = 0x100};
	struct map map;

	(void)state;
	map_init(&map, 0xfffff);
	assert_null(map_find(&map, 0));
	map_add(&map, &ram, 0x1000, 0);
	map_add(&map, &vga, 0x2000, 1);
	assert_int_equal(map.count, 3);
	check_order(&map);
	assert_ptr_equal(map_find(&map, 0x1fff)->region, &ram);
	assert_ptr_equal(map_find(&map, 0x2000)->region, &vga);
	assert_ptr_equal(map_find(&map, 0x20ff)->region, &vga);
	assert_ptr_equal(map_find(&map, 0x2100)->region, &ram);
	assert_int_equal(map_find(&map, 0x2100)->offset, 0x1100);
	assert_null(map_find(&map, 0xfff));
	assert_null(map_find(&map, 0x11000));
	assert_int_equal(map_find_from(&map, 0)->first, 0x1000);
	assert_null(map_find_from(&map, 0x11000));
	/* moving counts as newest, lower priority hides it */
	map_add(&map, &vga, 0x3000, -1);
	assert_int_equal(map.count, 1);
	map_add(&map, &vga, 0x3000, 0);
	assert_int_equal(map.count, 3);
	map_add(&map, &ram, 0x1000, 0);
	assert_int_equal(map.count, 1);
	map_remove(&map, &ram);
	map_remove(&map, &ram);
	assert_false(ram.mapped);
	assert_int_equal(map.count, 1);
	map_free(&map);
	assert_int_equal(map.count, 0);
}

static void test_full_space(void **state)
{
	struct region all = {.name = "all", .size = ~0ull}, top = {.name = "top", .size = 0x1000};
	struct region wraps = {.name = "wraps", .size = ~0ull}, last = {.name = "last", .size = 1}, none = {.name = "none"};
	struct map map;

	(void)state;
	map_init(&map, ~0ull);
	map_add(&map, &all, 0, 0);
	assert_true(map_find(&map, ~0ull - 1)->region == &all);
	assert_null(map_find(&map, ~0ull)); /* 2^64 - 1 bytes end at 2^64 - 2 */
	map_add(&map, &top, ~0ull - 0xfff, 1);
	check_order(&map);
	assert_true(map_find(&map, ~0ull)->region == &top);
	assert_true(map_find(&map, ~0ull - 0x1000)->region == &all);
	map_add(&map, &wraps, 1ull << 63, 2);
	assert_true(map_find(&map, ~0ull)->region == &wraps);
	assert_true(map_find(&map, 0)->region == &all);
	map_add(&map, &last, ~0ull, 3);
	assert_true(map_find(&map, ~0ull)->region == &last);
	map_add(&map, &none, 5, 9);
	assert_true(map_find(&map, 5)->region == &all);
	check_order(&map);
	assert_int_equal(map.count, 3);
	map_free(&map);
}

static void test_beyond_last(void **state)
{
	struct region a = {.name = "a", .size = 0x10}, b = {.name = "b", .size = 0x10};
	struct map map;

	(void)state;
	map_init(&map, 0xffff);
	map_add(&map, &a, 0xfff8, 0);
	map_add(&map, &b, 0x10000, 0);
	assert_int_equal(map.count, 1);
	assert_int_equal(map.ranges[0].last, 0xffff);
	map_free(&map);
}

static void test_batch(void **state)
{
	struct region a = {.name = "a", .size = 0x10}, b = {.name = "b", .size = 0x10};
	struct map map;
	u64 version;

	(void)state;
	map_init(&map, 0xffff);
	version = map.version;
	map_begin(&map);
	map_add(&map, &a, 0, 0);
	map_begin(&map);
	map_add(&map, &b, 0x10, 0);
	map_end(&map);
	assert_int_equal(map.count, 0);
	assert_true(map.version == version);
	map_end(&map);
	assert_int_equal(map.count, 2);
	assert_true(map.version == version + 1);
	map_begin(&map);
	map_end(&map);
	assert_true(map.version == version + 1);
	map_free(&map);
}

/* ---- the painter ---- */
enum { CELLS = 200, REGIONS = 24 };

static void paint_and_compare(u64 base, u64 last, u64 seed)
{
	struct region regions[REGIONS] = {0}, *order[REGIONS];
	unsigned mapped = 0;
	struct map map;

	map_init(&map, last);
	for (unsigned step = 0; step < 400; step++) {
		struct region *r = &regions[unit_random(&seed) % REGIONS];

		/* `order` keeps the mapped regions, oldest first */
		for (unsigned i = 0; i < mapped; i++)
			if (order[i] == r) {
				memmove(order + i, order + i + 1, (mapped - i - 1) * sizeof *order);
				mapped--;
				break;
			}
		if (unit_random(&seed) % 4) {
			u64 cell = unit_random(&seed) % CELLS;

			r->size = unit_random(&seed) % 60;
			map_add(&map, r, base + cell, (int)(unit_random(&seed) % 4) - 2);
			order[mapped++] = r;
		} else {
			map_remove(&map, r);
		}
		check_order(&map);
		for (u64 cell = 0; cell < CELLS + 60; cell++) {
			const struct map_range *found = map_find(&map, base + cell);
			struct region *winner = NULL;

			if (base + cell < base || base + cell > last)
				break;
			for (unsigned i = 0; i < mapped; i++) {
				u64 offset = base + cell - order[i]->start;

				if (order[i]->start <= base + cell && offset < order[i]->size &&
				    (!winner || order[i]->priority >= winner->priority))
					winner = order[i];
			}
			assert_ptr_equal(found ? found->region : NULL, winner);
		}
	}
	map_free(&map);
}

static void test_random(void **state)
{
	(void)state;
	for (u64 seed = 1; seed <= 10; seed++) {
		paint_and_compare(0, ~0ull, seed);
		paint_and_compare(0, 150, seed);
		paint_and_compare(~0ull - CELLS, ~0ull, seed);
		paint_and_compare((1ull << 52) - 100, (1ull << 52) - 1, seed);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_overlap), cmocka_unit_test(test_full_space), cmocka_unit_test(test_beyond_last),
		cmocka_unit_test(test_batch),   cmocka_unit_test(test_random),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
