/* SPDX-License-Identifier: MIT */
/* The 8254 by the clock: every mode's edges, what is read on the way, and the sequences that kernels calibrate with. */
#include "hw/sound/speaker.h"
#include "tests/dev/bench.h"

#define HZ 1193182ull

static struct bench *b;
static struct device *pit;
static struct wire irq0;

static void start(void)
{
	b = bench_new();
	irq0 = (struct wire){0};
	pit = bench_create(b, "pit", NULL);
	bench_tie(b, pit, "irq0", &irq0);
	bench_start(pit);
}

/* Move on to the beginning of an input period. */
static void to_tick(u64 tick)
{
	u64 at = (tick * NS_PER_S + HZ - 1) / HZ;

	assert_true(at >= b->now);
	bench_advance(b, at - b->now);
}

static u64 tick(void)
{
	return b->now * HZ / NS_PER_S;
}

static void program(u8 control, u16 count)
{
	unsigned port = 0x40 + (control >> 6);

	out8(b, 0x43, control);
	if (control & 0x10)
		out8(b, port, count);
	if (control & 0x20)
		out8(b, port, count >> 8);
}

static u16 latched(unsigned channel)
{
	u8 low;

	out8(b, 0x43, channel << 6);
	low = in8(b, 0x40 + channel);
	return low | in8(b, 0x40 + channel) << 8;
}

static void rate_generator(void **state)
{
	u64 t0;

	(void)state;
	start();
	to_tick(100);
	program(0x34, 1193);
	t0 = tick() + 1; /* loaded on the next input period */
	irq0.rises = 0;
	to_tick(t0 + 1192);
	assert_int_equal(irq0.rises, 0);
	to_tick(t0 + 1193);
	assert_int_equal(irq0.rises, 1);
	assert_int_equal(irq0.rose_at, (t0 + 1193) * NS_PER_S / HZ + 1);
	to_tick(t0 + 1193 * 100);
	assert_int_equal(irq0.rises, 100);
	to_tick(t0 + 1193 * 100 + 193);
	assert_int_equal(latched(0), 1000);
	/* a new count waits for the end of the period */
	out8(b, 0x40, 100);
	out8(b, 0x40, 0);
	out8(b, 0x43, 0xe2); /* status of channel 0: null count */
	assert_int_equal(in8(b, 0x40), 0x80 | 0x40 | 0x34);
	to_tick(t0 + 1193 * 101);
	assert_int_equal(irq0.rises, 101);
	to_tick(t0 + 1193 * 101 + 100);
	assert_int_equal(irq0.rises, 102);
	out8(b, 0x43, 0xe2);
	assert_int_equal(in8(b, 0x40), 0x80 | 0x34);
	bench_free(b);
}

static void square_wave(void **state)
{
	u64 t0;

	(void)state;
	start();
	program(0xb6, 7); /* channel 2: watch OUT through port 61h */
	out8(b, 0x61, 1);
	t0 = tick() + 1;
	for (unsigned i = 0; i < 28; i++) {
		to_tick(t0 + i);
		assert_int_equal(in8(b, 0x61) >> 5 & 1, i % 7 < 4);
	}
	/* even counts go down by two */
	program(0xb6, 10);
	t0 = tick() + 1;
	to_tick(t0 + 2);
	assert_int_equal(latched(2), 6);
	to_tick(t0 + 6);
	assert_int_equal(latched(2), 8);
	/* a new count is taken over after the half: high until 5, then a low half of 4 */
	to_tick(t0 + 12);
	out8(b, 0x42, 8);
	out8(b, 0x42, 0);
	for (unsigned i = 12; i < 23; i++) {
		to_tick(t0 + i);
		assert_int_equal(in8(b, 0x61) >> 5 & 1, i < 15 || (i >= 19 && i < 23));
	}
	/* the gate forces OUT high and starts anew */
	out8(b, 0x61, 0);
	to_tick(t0 + 40);
	assert_int_equal(in8(b, 0x61) >> 5 & 1, 1);
	out8(b, 0x61, 1);
	t0 = tick() + 1;
	to_tick(t0 + 3);
	assert_int_equal(in8(b, 0x61) >> 5 & 1, 1);
	to_tick(t0 + 4);
	assert_int_equal(in8(b, 0x61) >> 5 & 1, 0);
	bench_free(b);
}

static void square_wave_interrupts(void **state)
{
	u64 t0;

	(void)state;
	start();
	program(0x36, 0); /* what a PC's BIOS sets: 18.2 Hz */
	t0 = tick() + 1;
	irq0.rises = 0;
	bench_advance(b, 10 * NS_PER_S);
	assert_int_equal(irq0.rises, 182);
	/* a longer count from the middle of a high half */
	program(0x36, 1000);
	t0 = tick() + 1;
	irq0.rises = 0;
	to_tick(t0 + 100);
	out8(b, 0x40, 0xd0);
	out8(b, 0x40, 0x07); /* 2000 */
	to_tick(t0 + 500 + 999);
	assert_int_equal(irq0.rises, 0);
	to_tick(t0 + 500 + 1000);
	assert_int_equal(irq0.rises, 1);
	to_tick(t0 + 500 + 1000 + 2000);
	assert_int_equal(irq0.rises, 2);
	bench_free(b);
}

static void terminal_count(void **state)
{
	u64 t0;

	(void)state;
	start();
	program(0x30, 500);
	assert_false(irq0.level);
	irq0.rises = 0;
	t0 = tick() + 1;
	to_tick(t0 + 499);
	assert_false(irq0.level);
	assert_int_equal(latched(0), 1);
	to_tick(t0 + 500);
	assert_true(irq0.level);
	to_tick(t0 + 510);
	assert_int_equal(latched(0), 0xfff6); /* counts on */
	/* the first byte of a new count stops it, OUT goes low at once */
	out8(b, 0x40, 50);
	assert_false(irq0.level);
	to_tick(t0 + 2000);
	assert_false(irq0.level);
	out8(b, 0x40, 0);
	t0 = tick() + 1;
	to_tick(t0 + 50);
	assert_true(irq0.level);
	assert_int_equal(irq0.rises, 2);
	bench_free(b);
}

static void terminal_count_gated(void **state)
{
	u64 t0;

	(void)state;
	start();
	out8(b, 0x61, 1);
	program(0xb0, 100);
	t0 = tick() + 1;
	to_tick(t0 + 40);
	out8(b, 0x61, 0);
	to_tick(t0 + 1000);
	assert_int_equal(latched(2), 60);
	out8(b, 0x61, 1);
	to_tick(t0 + 1059);
	assert_int_equal(in8(b, 0x61) & 0x20, 0);
	to_tick(t0 + 1060);
	assert_int_equal(in8(b, 0x61) & 0x20, 0x20);
	bench_free(b);
}

static void one_shot_by_gate(void **state)
{
	u64 t0;

	(void)state;
	start();
	program(0xb2, 50);
	to_tick(1000);
	assert_int_equal(in8(b, 0x61) & 0x20, 0x20); /* waits for its trigger */
	out8(b, 0x61, 1);
	t0 = tick() + 1;
	to_tick(t0);
	assert_int_equal(in8(b, 0x61) & 0x20, 0);
	out8(b, 0x61, 0); /* the gate's fall does not matter */
	to_tick(t0 + 30);
	out8(b, 0x61, 1); /* triggered again */
	to_tick(t0 + 60);
	assert_int_equal(in8(b, 0x61) & 0x20, 0);
	to_tick(t0 + 31 + 50);
	assert_int_equal(in8(b, 0x61) & 0x20, 0x20);
	bench_free(b);
}

static void strobes(void **state)
{
	u64 t0;

	(void)state;
	start();
	program(0x38, 200); /* as Linux's one-shot clock event: mode 4 */
	irq0.rises = 0;
	t0 = tick() + 1;
	to_tick(t0 + 200);
	out8(b, 0x43, 0xe2);
	assert_int_equal(in8(b, 0x40) & 0x80, 0); /* low for one period */
	assert_int_equal(irq0.rises, 0);
	to_tick(t0 + 201);
	assert_int_equal(irq0.rises, 1);
	to_tick(t0 + 100000);
	assert_int_equal(irq0.rises, 1);
	out8(b, 0x40, 10); /* only a new count */
	out8(b, 0x40, 0);
	t0 = tick() + 1;
	to_tick(t0 + 11);
	assert_int_equal(irq0.rises, 2);
	/* mode 5, triggered by the gate of channel 2 */
	program(0xba, 20);
	out8(b, 0x61, 1);
	t0 = tick() + 1;
	to_tick(t0 + 19);
	assert_int_equal(in8(b, 0x61) & 0x20, 0x20);
	to_tick(t0 + 20);
	assert_int_equal(in8(b, 0x61) & 0x20, 0);
	to_tick(t0 + 21);
	assert_int_equal(in8(b, 0x61) & 0x20, 0x20);
	bench_free(b);
}

static void bcd_and_access(void **state)
{
	u64 t0;

	(void)state;
	start();
	program(0x35, 0x1000); /* BCD, mode 2: 1000 */
	t0 = tick() + 1;
	to_tick(t0 + 1);
	assert_int_equal(latched(0), 0x0999);
	program(0x35, 0); /* 10000 */
	t0 = tick() + 1;
	to_tick(t0 + 1);
	assert_int_equal(latched(0), 0x9999);
	program(0x14, 0x34); /* low byte only */
	t0 = tick() + 1;
	to_tick(t0 + 4);
	assert_int_equal(in8(b, 0x40), 0x30);
	assert_int_equal(in8(b, 0x40), 0x30);
	program(0x24, 0x3400); /* high byte only */
	t0 = tick() + 1;
	to_tick(t0 + 1);
	assert_int_equal(in8(b, 0x40), 0x33);
	bench_free(b);
}

static void latches(void **state)
{
	u64 t0;
	u16 word;

	(void)state;
	start();
	program(0x34, 0xffff);
	program(0x74, 0x8000);
	t0 = tick() + 1;
	to_tick(t0 + 0x10);
	out8(b, 0x43, 0xc6); /* read-back: count and status of channels 0 and 1 */
	to_tick(t0 + 0x1000);
	out8(b, 0x43, 0xd6); /* already latched: nothing new */
	assert_int_equal(in8(b, 0x41), 0x80 | 0x34);
	word = in8(b, 0x41);
	word |= in8(b, 0x41) << 8;
	assert_int_equal(word, 0x8000 - 0x10);
	assert_int_equal(in8(b, 0x40), 0x80 | 0x34);
	word = in8(b, 0x40);
	word |= in8(b, 0x40) << 8;
	assert_int_equal(word, 0xffff - 0x10);
	/* unlatched: low then high of the live count */
	assert_int_equal(in8(b, 0x40), (0xffff - 0x1000) & 0xff);
	assert_int_equal(in8(b, 0x40), (0xffff - 0x1000) >> 8);
	assert_int_equal(in8(b, 0x43), 0);
	bench_free(b);
}

/* Linux's pit_calibrate_tsc: mode 0 on channel 2, wait for bit 5 of port 61h. */
static void linux_calibration(void **state)
{
	u64 began;

	(void)state;
	start();
	out8(b, 0x61, (in8(b, 0x61) & ~0x02) | 0x01);
	program(0xb0, HZ / (1000 / 10));
	began = b->now;
	while (!(in8(b, 0x61) & 0x20)) {
		bench_advance(b, 1 * US);
		assert_true(b->now - began < 20 * MS);
	}
	assert_in_range(b->now - began, 10 * MS - 2 * US, 10 * MS + 2 * US);
	/* quick_pit_calibrate: the high byte of a mode 0 count from ffff changes every 256 periods */
	program(0xb0, 0xffff);
	in8(b, 0x42);
	assert_in_range(in8(b, 0x42), 0xff, 0xff);
	began = b->now;
	for (;;) {
		in8(b, 0x42);
		if (in8(b, 0x42) != 0xff)
			break;
		bench_advance(b, 1 * US);
	}
	assert_in_range(b->now - began, 212 * US, 217 * US);
	bench_free(b);
}

static void refresh_toggles(void **state)
{
	unsigned changes = 0;
	u8 was;

	(void)state;
	start();
	was = in8(b, 0x61) & 0x10;
	for (unsigned i = 0; i < 1000; i++) {
		bench_advance(b, 1 * US);
		changes += (in8(b, 0x61) & 0x10) != was;
		was = in8(b, 0x61) & 0x10;
	}
	assert_in_range(changes, 65, 67);
	out8(b, 0x61, 0xff);
	assert_int_equal(in8(b, 0x61) & 0xcf, 0x0f);
	bench_free(b);
}

static void absurd_counts(void **state)
{
	(void)state;
	start();
	for (unsigned mode = 0; mode < 8; mode++)
		for (unsigned count = 0; count < 4; count++) {
			program(0x30 | mode << 1, count);
			bench_advance(b, 1 * MS);
			latched(0);
			program(0x31 | mode << 1, 0xfff0 + count); /* no BCD digits */
			bench_advance(b, 1 * MS);
			latched(0);
		}
	assert_true(irq0.rises < 20000); /* the host is not flooded */
	bench_free(b);
}

static void saved_and_loaded(void **state)
{
	u64 t0;

	(void)state;
	start();
	program(0x34, 1000);
	t0 = tick() + 1;
	irq0.rises = 0;
	to_tick(t0 + 500);
	bench_round_trip(b, pit);
	assert_int_equal(latched(0), 500);
	to_tick(t0 + 999);
	assert_int_equal(irq0.rises, 0);
	to_tick(t0 + 3000);
	assert_int_equal(irq0.rises, 3);
	bench_free(b);
}

/* The host ran something else for many periods: what was due meanwhile comes at once, one edge for each period. */
static void late_edges(void **state)
{
	u64 t0;

	(void)state;
	start();
	program(0x34, 4773); /* 4 ms */
	t0 = tick() + 1;
	irq0.rises = 0;
	b->now = (t0 + 4773 * 15 + 100) * NS_PER_S / HZ + 1;
	clock_run(b->clock);
	assert_int_equal(irq0.rises, 15);
	to_tick(t0 + 4773 * 16);
	assert_int_equal(irq0.rises, 16);
	/* bounded, however long it was */
	b->now += 3600 * NS_PER_S;
	clock_run(b->clock);
	assert_int_equal(irq0.rises, 16 + 33); /* the one that is due, and 32 */
	/* a count that ends once is late, too, but once */
	program(0x30, 4773);
	irq0.rises = 0;
	b->now += NS_PER_S;
	clock_run(b->clock);
	assert_int_equal(irq0.rises, 1);
	bench_free(b);
}

/* ---- the speaker ---- */
static struct speaker_wave heard;
static unsigned waves;

static void hear(void *opaque, const struct speaker_wave *wave)
{
	(void)opaque;
	heard = *wave;
	waves++;
}

static void speaker(void **state)
{
	struct speaker ear = {.wave = hear};

	(void)state;
	start();
	b->machine.speaker = &ear;
	out8(b, 0x43, 0xb6); /* 1193 ticks: 1 kHz; nobody hears it yet */
	out8(b, 0x42, 1193 & 0xff);
	out8(b, 0x42, 1193 >> 8);
	assert_int_equal(waves, 0);
	out8(b, 0x61, 3);
	assert_int_equal(waves, 1);
	assert_true(heard.high + heard.low > 999000 && heard.high + heard.low < 1001000);
	assert_true(heard.first && heard.first <= heard.high + 1000);
	out8(b, 0x61, 3);
	assert_int_equal(waves, 1);
	out8(b, 0x61, 0);
	assert_int_equal(waves, 2);
	assert_false(heard.level || heard.first || heard.high);
	/* the cone by hand, and one pulse of 100 ticks */
	out8(b, 0x43, 0x90);
	out8(b, 0x61, 3);
	out8(b, 0x42, 100);
	assert_false(heard.level);
	assert_true(heard.first > 80000 && heard.first < 86000);
	assert_int_equal(heard.high, 0);
	b->machine.speaker = NULL;
	bench_free(b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(rate_generator), cmocka_unit_test(square_wave), cmocka_unit_test(square_wave_interrupts),
		cmocka_unit_test(terminal_count), cmocka_unit_test(terminal_count_gated), cmocka_unit_test(one_shot_by_gate),
		cmocka_unit_test(strobes), cmocka_unit_test(bcd_and_access), cmocka_unit_test(latches),
		cmocka_unit_test(linux_calibration), cmocka_unit_test(refresh_toggles), cmocka_unit_test(absurd_counts),
		cmocka_unit_test(late_edges), cmocka_unit_test(saved_and_loaded), cmocka_unit_test(speaker),
	};

	return cmocka_run_group_tests_name("dev.pit", tests, NULL, NULL);
}
