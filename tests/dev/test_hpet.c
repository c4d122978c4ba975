/* SPDX-License-Identifier: MIT */
/* The HPET as Linux enables and programs it. */
#include "tests/dev/bench.h"

#define BASE 0xfed00000ull

static struct bench *b;
static struct device *hpet;
static struct wire legacy0, legacy8, irq2;

static void start(const char *options)
{
	b = bench_new();
	legacy0 = legacy8 = irq2 = (struct wire){0};
	hpet = bench_create(b, "hpet", options);
	bench_tie(b, hpet, "legacy0", &legacy0);
	bench_tie(b, hpet, "legacy8", &legacy8);
	bench_tie(b, hpet, "irq2", &irq2);
	bench_start(hpet);
}

static u64 counter(void)
{
	return rd(b, BASE + 0xf0, 8);
}

static void capabilities_and_counter(void **state)
{
	(void)state;
	start(NULL);
	assert_int_equal(rd(b, BASE, 8), 10000000ull << 32 | 0x8086a201);
	assert_int_equal(rd(b, BASE + 4, 4), 10000000);
	assert_int_equal(rd(b, BASE + 0x100, 8), 0x0000000400000030);
	wr(b, BASE, 0, 8);
	assert_int_equal(rd(b, BASE, 4), 0x8086a201);
	bench_advance(b, 1 * MS);
	assert_int_equal(counter(), 0);
	wr(b, BASE + 0x10, 1, 4);
	bench_advance(b, 1 * MS);
	assert_int_equal(counter(), 100000);
	wr(b, BASE + 0x10, 0, 4);
	bench_advance(b, 1 * MS);
	assert_int_equal(counter(), 100000);
	wr(b, BASE + 0xf0, 0xfffffff0, 4); /* halves, as 32-bit kernels write it */
	wr(b, BASE + 0xf4, 7, 4);
	wr(b, BASE + 0x10, 1, 4);
	bench_advance(b, 160);
	assert_int_equal(counter(), 0x800000000);
	assert_int_equal(rd(b, BASE + 0xf4, 4), 8);
	assert_int_equal(rd(b, BASE + 0x3f8, 8), 0);
	bench_free(b);
}

/* hpet_clkevt: legacy replacement, timer 0 periodic, then one-shot. */
static void linux_clock_event(void **state)
{
	u64 began;

	(void)state;
	start(NULL);
	bench_input(hpet, 0, true);
	assert_true(legacy0.level); /* the PIT goes through */
	wr(b, BASE + 0x10, 0, 4);
	wr(b, BASE + 0xf0, 0, 8);
	wr(b, BASE + 0x10, 3, 4);
	assert_false(legacy0.level);
	bench_input(hpet, 0, false);
	bench_input(hpet, 0, true);
	assert_false(legacy0.level);
	began = b->now;
	wr(b, BASE + 0x100, (rd(b, BASE + 0x100, 4) & ~2u) | 0x14c, 4); /* enable, periodic, set value, 32 bits */
	wr(b, BASE + 0x108, 100000, 4);
	bench_advance(b, 1 * US);
	wr(b, BASE + 0x108, 400000, 4);
	legacy0.rises = 0;
	bench_advance(b, 1 * MS - 1 * US - 1);
	assert_int_equal(legacy0.rises, 0);
	bench_advance(b, 1);
	assert_int_equal(legacy0.rises, 1);
	assert_int_equal(legacy0.rose_at, began + 1 * MS);
	bench_advance(b, 40 * MS);
	assert_int_equal(legacy0.rises, 11);
	/* one-shot */
	wr(b, BASE + 0x100, (rd(b, BASE + 0x100, 4) & ~0x48u) | 0x104, 4);
	legacy0.rises = 0;
	wr(b, BASE + 0x108, (u32)counter() + 5000, 4);
	bench_advance(b, 50 * US - 10);
	assert_int_equal(legacy0.rises, 0);
	bench_advance(b, 10);
	assert_int_equal(legacy0.rises, 1);
	bench_advance(b, NS_PER_S);
	assert_int_equal(legacy0.rises, 1);
	/* too late already: at once */
	wr(b, BASE + 0x108, (u32)counter() - 10, 4);
	bench_advance(b, 0);
	assert_int_equal(legacy0.rises, 2);
	/* not in legacy mode any more */
	bench_input(hpet, 0, true);
	wr(b, BASE + 0x10, 1, 4);
	assert_true(legacy0.level);
	bench_free(b);
}

/* The host ran something else for some periods: an edge for each comes at once, up to a bound; of a level there is one. */
static void late_edges(void **state)
{
	(void)state;
	start(NULL);
	wr(b, BASE + 0x10, 3, 4);
	wr(b, BASE + 0x100, 0x14c, 4);
	wr(b, BASE + 0x108, 400000, 4);
	wr(b, BASE + 0x108, 400000, 4);
	legacy0.rises = 0;
	b->now += 60 * MS + 1 * US;
	clock_run(b->clock);
	assert_int_equal(legacy0.rises, 15);
	bench_advance(b, 4 * MS);
	assert_int_equal(legacy0.rises, 16);
	b->now += 3600 * NS_PER_S;
	clock_run(b->clock);
	assert_int_equal(legacy0.rises, 16 + 32);
	wr(b, BASE + 0x100, 0x10e, 4);
	legacy0.rises = 0;
	b->now += 60 * MS;
	clock_run(b->clock);
	assert_int_equal(legacy0.rises, 1);
	bench_free(b);
}

/* The guest was held up by its host between its writes, so long that the start had passed: it ticks by its period all the same. */
static void held_up(void **state)
{
	(void)state;
	for (unsigned late = 0; late < 2; late++) { /* before the first write, before the second */
		u32 begin;

		start(NULL);
		wr(b, BASE + 0x10, 3, 4);
		bench_advance(b, NS_PER_S);
		wr(b, BASE + 0x100, 0x14c, 4);
		begin = (u32)counter() + 400000;
		if (!late)
			bench_advance(b, 10 * MS);
		wr(b, BASE + 0x108, begin, 4);
		bench_advance(b, late ? 10 * MS : 1 * US);
		wr(b, BASE + 0x108, 400000, 4);
		assert_int_equal(legacy0.rises, 1);
		bench_advance(b, 40 * MS);
		assert_int_equal(legacy0.rises, 11);
		bench_free(b);
	}
}

static void wraps_at_32_bits(void **state)
{
	(void)state;
	start(NULL);
	wr(b, BASE + 0xf0, 0xfffff000, 8);
	wr(b, BASE + 0x120, 0x104 | 2 << 9, 4);
	wr(b, BASE + 0x10, 1, 4);
	wr(b, BASE + 0x128, 0x1000, 4);
	bench_advance(b, 0x2000 * 10 - 1);
	assert_int_equal(irq2.rises, 0);
	bench_advance(b, 1);
	assert_int_equal(irq2.rises, 1);
	bench_advance(b, 10ull << 32); /* and again when the counter comes round */
	assert_int_equal(irq2.rises, 2);
	bench_free(b);
}

static void level_interrupt(void **state)
{
	(void)state;
	start(NULL);
	wr(b, BASE + 0x10, 1, 4);
	wr(b, BASE + 0x140, 0x06 | 2 << 9, 4);
	wr(b, BASE + 0x148, counter() + 1000, 8);
	bench_advance(b, 10 * US);
	assert_true(irq2.level);
	assert_int_equal(rd(b, BASE + 0x20, 4), 4);
	bench_advance(b, 1 * MS);
	assert_true(irq2.level);
	wr(b, BASE + 0x20, 3, 4);
	assert_true(irq2.level);
	wr(b, BASE + 0x20, 4, 4);
	assert_false(irq2.level);
	assert_int_equal(rd(b, BASE + 0x20, 4), 0);
	/* disabled counter: no interrupts; routes that are not offered go nowhere */
	wr(b, BASE + 0x148, counter() + 1000, 8);
	bench_advance(b, 10 * US);
	assert_true(irq2.level);
	wr(b, BASE + 0x10, 0, 4);
	assert_false(irq2.level);
	wr(b, BASE + 0x10, 1, 4);
	assert_true(irq2.level);
	wr(b, BASE + 0x140, 0x06 | 31 << 9, 4);
	assert_false(irq2.level);
	bench_free(b);
}

static void timers_1_and_8(void **state)
{
	(void)state;
	start(NULL);
	bench_input(hpet, 1, true);
	assert_true(legacy8.level);
	wr(b, BASE + 0x10, 3, 4);
	assert_false(legacy8.level);
	wr(b, BASE + 0x120, 0x04c, 4); /* 64 bits, periodic: one write sets both */
	wr(b, BASE + 0x128, 1000000, 8);
	bench_advance(b, 95 * MS);
	assert_int_equal(legacy8.rises, 1 + 9);
	bench_free(b);
}

static void absurd_periods(void **state)
{
	(void)state;
	start(NULL);
	wr(b, BASE + 0x10, 3, 4);
	wr(b, BASE + 0x100, 0x14c, 4);
	wr(b, BASE + 0x108, 1, 4);
	bench_advance(b, 1 * MS);
	assert_in_range(legacy0.rises, 1, 501);
	wr(b, BASE + 0x108, 0, 4); /* no period at all */
	bench_advance(b, 1 * MS);
	wr(b, BASE + 0x100, 0x04c, 4);
	wr(b, BASE + 0x108, ~0ull, 8);
	bench_advance(b, 1 * MS);
	wr(b, BASE + 0x3fc, 1, 4);
	bench_free(b);
}

static void saved_and_loaded(void **state)
{
	(void)state;
	start(NULL);
	wr(b, BASE + 0x10, 3, 4);
	wr(b, BASE + 0x100, 0x14c, 4);
	wr(b, BASE + 0x108, 100000, 4);
	bench_advance(b, 1500 * US);
	legacy0.rises = 0;
	bench_round_trip(b, hpet);
	assert_int_equal(counter(), 150000);
	bench_advance(b, 499 * US);
	assert_int_equal(legacy0.rises, 0);
	bench_advance(b, 1 * US);
	assert_int_equal(legacy0.rises, 1);
	bench_free(b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(capabilities_and_counter), cmocka_unit_test(linux_clock_event), cmocka_unit_test(wraps_at_32_bits),
		cmocka_unit_test(late_edges), cmocka_unit_test(held_up),
		cmocka_unit_test(level_interrupt), cmocka_unit_test(timers_1_and_8), cmocka_unit_test(absurd_periods),
		cmocka_unit_test(saved_and_loaded),
	};

	return cmocka_run_group_tests_name("dev.hpet", tests, NULL, NULL);
}
