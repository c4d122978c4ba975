/* SPDX-License-Identifier: MIT */
/* A flash chip as firmware drives it: found by its status, programmed, erased, executed from. */
#include "hw/chipset/pflash.h"
#include "tests/dev/bench.h"

enum { SIZE = 0x10000, BLOCK = 4096 };
#define BASE 0xffff0000ull

static struct bench *b;
static struct device *chip;
static struct ram *rom;
static u64 told_at, told_len;
static u8 told[BLOCK];

static void changed(void *opaque, const u8 *data, u64 offset, u64 len)
{
	assert_ptr_equal(opaque, &told);
	assert_true(len <= sizeof told && offset + len <= SIZE);
	told_at = offset;
	told_len = len;
	memcpy(told, data, len);
}

static void start(bool read_only)
{
	struct err err = {0};

	b = bench_new();
	rom = ram_new("flash", SIZE, true, false, &err);
	for (unsigned i = 0; i < SIZE; i++)
		rom->hva[i] = i ^ i >> 8;
	chip = bench_create(b, "cfi.pflash01", NULL);
	const struct pflash_chip c = {rom, BASE, read_only, changed, &told};
	pflash_attach(chip, &c);
	bench_start(chip);
	told_len = 0;
}

static void stop(void)
{
	bench_free(b);
	ram_free(rom);
}

static bool is_memory(void)
{
	struct bus_page page;

	return bus_page(&b->bus, BASE, &page) && !page.writable;
}

/* OVMF: a chip shows status 0 where RAM would keep what was written and ROM what was there. */
static void found(void **state)
{
	(void)state;
	start(false);
	assert_true(is_memory());
	assert_int_equal(rd(b, BASE + 5, 1), 5);
	wr(b, BASE + 5, 0x50, 1);
	assert_int_equal(rd(b, BASE + 5, 1), 5);
	wr(b, BASE + 5, 0x70, 1);
	assert_false(is_memory());
	assert_int_equal(rd(b, BASE + 5, 1), 0);
	wr(b, BASE + 5, 0xff, 1);
	assert_true(is_memory());
	wr(b, BASE, 0x90, 1);
	assert_int_equal(rd(b, BASE, 2), 0x1789);
	wr(b, BASE, 0x98, 1);
	assert_int_equal(rd(b, BASE + 0x10, 4), load32("QRY\1"));
	assert_int_equal(rd(b, BASE + 0x27, 1), 16);
	assert_int_equal(rd(b, BASE + 0x2d, 2), SIZE / BLOCK - 1);
	assert_int_equal(rd(b, BASE + 0x2f, 2), BLOCK / 256);
	assert_int_equal(rd(b, BASE + 0x31, 2), load16("PR"));
	wr(b, BASE, 0x00, 1); /* no command: back to the array */
	assert_true(is_memory());
	stop();
}

static void programs_and_erases(void **state)
{
	(void)state;
	start(false);
	wr(b, BASE + 0x1234, 0x20, 1);
	assert_int_equal(told_len, 0);
	wr(b, BASE + 0x1234, 0xd0, 1);
	assert_int_equal(rd(b, BASE, 1), 0x80);
	assert_int_equal(told_at, 0x1000);
	assert_int_equal(told_len, BLOCK);
	wr(b, BASE, 0xff, 1);
	assert_int_equal(rd(b, BASE + 0x1000, 8), ~0ull);
	assert_int_equal(rd(b, BASE + 0x1ff8, 8), ~0ull);
	assert_int_equal(rd(b, BASE + 0x0fff, 1), (0xfff ^ 0xf) & 0xff);
	assert_int_equal(rd(b, BASE + 0x2000, 1), 0x20);
	/* bits only fall */
	wr(b, BASE + 0x1010, 0x10, 1);
	wr(b, BASE + 0x1010, 0x5a, 1);
	assert_int_equal(told_at, 0x1010);
	assert_int_equal(told[0], 0x5a);
	wr(b, BASE + 0x1010, 0x40, 1);
	wr(b, BASE + 0x1010, 0xf0, 1);
	wr(b, BASE + 0x1010, 0xff, 1);
	assert_int_equal(rd(b, BASE + 0x1010, 2), 0xff50);
	/* an erase that is not confirmed is none */
	wr(b, BASE + 0x1010, 0x20, 1);
	wr(b, BASE + 0x1010, 0x70, 1);
	assert_int_equal(rd(b, BASE + 0x1010, 1), 0x50);
	stop();
}

static void buffered(void **state)
{
	(void)state;
	start(false);
	wr(b, BASE + 0x2000, 0x20, 1);
	wr(b, BASE + 0x2000, 0xd0, 1);
	wr(b, BASE + 0x2004, 0xe8, 1);
	assert_int_equal(rd(b, BASE, 1) & 0x80, 0x80);
	wr(b, BASE + 0x2004, 5, 1); /* six bytes */
	wr(b, BASE + 0x2004, 0x44332211, 4);
	bench_round_trip(b, chip);
	wr(b, BASE + 0x2008, 0x55, 1);
	wr(b, BASE + 0x2009, 0x66, 1);
	wr(b, BASE + 0x2004, 0xd0, 1);
	assert_int_equal(rd(b, BASE, 1), 0x80);
	wr(b, BASE, 0xff, 1);
	assert_int_equal(rd(b, BASE + 0x2004, 8), 0xffff665544332211ull);
	assert_int_equal(rd(b, BASE + 0x2000, 4), 0xffffffff);
	/* data for elsewhere: refused, nothing written */
	wr(b, BASE + 0x2100, 0xe8, 1);
	wr(b, BASE + 0x2100, 1, 1);
	wr(b, BASE + 0x2100, 0, 1);
	wr(b, BASE + 0x2800, 0, 1);
	assert_int_equal(rd(b, BASE, 1) & 0x30, 0x30);
	wr(b, BASE, 0x50, 1);
	assert_int_equal(rd(b, BASE + 0x2100, 1), 0xff);
	/* a buffer at the very end, and a count beyond any buffer */
	wr(b, BASE + SIZE - 1, 0xe8, 1);
	wr(b, BASE + SIZE - 1, 0xffffffff, 4);
	for (unsigned i = 0; i < 2048; i++)
		wr(b, BASE + SIZE - 1, 0, 1);
	wr(b, BASE + SIZE - 1, 0xd0, 1);
	wr(b, BASE, 0xff, 1);
	assert_int_equal(rd(b, BASE + SIZE - 1, 1), 0);
	stop();
}

static void read_only(void **state)
{
	(void)state;
	start(true);
	wr(b, BASE, 0x20, 1);
	wr(b, BASE, 0xd0, 1);
	assert_int_equal(rd(b, BASE, 1), 0x80 | 0x20 | 0x02);
	wr(b, BASE, 0x50, 1);
	wr(b, BASE + 1, 0x10, 1);
	wr(b, BASE + 1, 0, 1);
	assert_int_equal(rd(b, BASE, 1), 0x80 | 0x10 | 0x02);
	wr(b, BASE, 0xff, 1);
	assert_int_equal(rd(b, BASE, 2), 0x0100);
	assert_int_equal(told_len, 0);
	stop();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(found),
		cmocka_unit_test(programs_and_erases),
		cmocka_unit_test(buffered),
		cmocka_unit_test(read_only),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
