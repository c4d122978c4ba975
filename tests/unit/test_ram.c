/* SPDX-License-Identifier: MIT */
/* mem/ram: lazy commitment, sharing, absurd sizes. */
#include "mem/ram.h"

#include <sys/mman.h>

#include "tests/unit/unit.h"

static void test_small(void **state)
{
	struct err err;
	struct ram *ram = ram_new("bios", 5000, true, false, &err);

	(void)state;
	assert_non_null(ram);
	assert_int_equal(ram->size, 8192);
	assert_true(ram->rom);
	assert_int_equal(ram->fd, -1);
	assert_int_equal((uintptr_t)ram->hva % PAGE_SIZE, 0);
	ram->hva[8191] = 1;
	ram->watch[1] = 1;
	ram->dirty[0] = 2;
	assert_ptr_equal(ram_find(ram->hva), ram);
	assert_ptr_equal(ram_find(ram->hva + 8191), ram);
	assert_ptr_not_equal(ram_find(ram->hva + 8192), ram);
	assert_null(ram_find((u8 *)&err));
	ram_free(ram);
	ram_free(NULL);
}

/* Nothing is paid for what is not touched, however large. */
static void test_lazy(void **state)
{
	struct err err;
	struct ram *ram = ram_new("ram", 64ull << 30, false, false, &err);
	u64 before;

	(void)state;
	assert_non_null(ram);
	assert_int_equal((uintptr_t)ram->hva % (2u << 20), 0);
	before = ram_committed(ram);
	assert_int_equal(before, 0);
	ram->hva[40ull << 30] = 1;
	assert_in_range(ram_committed(ram), PAGE_SIZE, 2u << 20);
	ram->watch[(64ull << 18) - 1] = 1;
	ram_free(ram);
}

static void test_shared(void **state)
{
	struct err err;
	struct ram *ram = ram_new("ram", 64u << 20, false, true, &err);
	u8 *again;

	(void)state;
	assert_non_null(ram);
	assert_true(ram->fd >= 0);
	assert_int_equal(ram_committed(ram), 0);
	again = mmap(NULL, ram->size, PROT_READ | PROT_WRITE, MAP_SHARED, ram->fd, 0);
	assert_ptr_not_equal(again, MAP_FAILED);
	ram->hva[12345] = 77;
	assert_int_equal(again[12345], 77);
	assert_in_range(ram_committed(ram), PAGE_SIZE, 2u << 20);
	munmap(again, ram->size);
	ram_free(ram);
}

static void test_absurd(void **state)
{
	static const u64 sizes[] = {
		0, ~0ull, ~0ull - 4095, ~0ull - 4096, 1ull << 63, (1ull << 63) - 4096, 1ull << 60, 1ull << 52,
	};
	struct err err;

	(void)state;
	for (unsigned shared = 0; shared < 2; shared++)
		for (size_t i = 0; i < ARRAY_LEN(sizes); i++) {
			err = (struct err){0};
			assert_null(ram_new("ram", sizes[i], false, shared, &err));
			assert_true(err.code == EXIT_HOST || err.code == EXIT_USAGE);
			assert_int_equal(strncmp(err.text, "ram: ", 5), 0);
		}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_small),
		cmocka_unit_test(test_lazy),
		cmocka_unit_test(test_shared),
		cmocka_unit_test(test_absurd),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
