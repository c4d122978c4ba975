/* SPDX-License-Identifier: MIT */
/* The real-time clock as BIOSes and Linux's rtc_cmos drive it. The bench's calendar starts at 2000-01-01, a Saturday. */
#include "hw/chipset/rtc.h"
#include "tests/dev/bench.h"

static struct bench *b;
static struct device *rtc;
static struct wire irq8;

static u8 rd_cmos(u8 index)
{
	out8(b, 0x70, index);
	return in8(b, 0x71);
}

static void wr_cmos(u8 index, u8 value)
{
	out8(b, 0x70, index);
	out8(b, 0x71, value);
}

static void start(void)
{
	b = bench_new();
	b->machine.ram_size = 5ull << 30;
	b->machine.ram_below_4g = 3ull << 30;
	b->machine.cpus = 4;
	irq8 = (struct wire){0};
	rtc = bench_create(b, "rtc", NULL);
	bench_tie(b, rtc, "irq8", &irq8);
	bench_start(rtc);
}

/* century year month day weekday hour minute second */
static void expect_time(const u8 want[8])
{
	static const u8 index[8] = {0x32, 9, 8, 7, 6, 4, 2, 0};

	for (unsigned i = 0; i < 8; i++)
		if (rd_cmos(index[i]) != want[i])
			fail_msg("register %02x is %02x, not %02x", index[i], rd_cmos(index[i]), want[i]);
}

static void set_time(const u8 to[8])
{
	static const u8 index[8] = {0x32, 9, 8, 7, 6, 4, 2, 0};
	u8 was = rd_cmos(0x0b);

	wr_cmos(0x0b, was | 0x80);
	for (unsigned i = 0; i < 8; i++)
		wr_cmos(index[i], to[i]);
	wr_cmos(0x0b, was & 0x7f);
}

static void calendar(void **state)
{
	(void)state;
	start();
	expect_time((const u8[]){0x20, 0x00, 0x01, 0x01, 7, 0x00, 0x00, 0x00});
	bench_advance(b, (59 * 86400ull + 23 * 3600 + 59 * 60 + 58) * NS_PER_S);
	expect_time((const u8[]){0x20, 0x00, 0x02, 0x29, 3, 0x23, 0x59, 0x58});
	bench_advance(b, 2 * NS_PER_S);
	expect_time((const u8[]){0x20, 0x00, 0x03, 0x01, 4, 0x00, 0x00, 0x00});
	set_time((const u8[]){0x19, 0x99, 0x12, 0x31, 6, 0x23, 0x59, 0x59});
	expect_time((const u8[]){0x19, 0x99, 0x12, 0x31, 6, 0x23, 0x59, 0x59});
	bench_advance(b, NS_PER_S);
	expect_time((const u8[]){0x20, 0x00, 0x01, 0x01, 7, 0x00, 0x00, 0x00});
	set_time((const u8[]){0x21, 0x00, 0x02, 0x28, 1, 0x23, 0x59, 0x59}); /* 2100 is no leap year */
	bench_advance(b, NS_PER_S);
	expect_time((const u8[]){0x21, 0x00, 0x03, 0x01, 2, 0x00, 0x00, 0x00});
	set_time((const u8[]){0x99, 0x99, 0x12, 0x31, 6, 0x23, 0x59, 0x58}); /* farther than 64 bits of ns reach */
	expect_time((const u8[]){0x99, 0x99, 0x12, 0x31, 6, 0x23, 0x59, 0x58});
	set_time((const u8[]){0x00, 0x01, 0x01, 0x01, 2, 0x00, 0x00, 0x00});
	expect_time((const u8[]){0x00, 0x01, 0x01, 0x01, 2, 0x00, 0x00, 0x00});
	bench_free(b);
}

static void formats(void **state)
{
	(void)state;
	start();
	set_time((const u8[]){0x20, 0x23, 0x07, 0x14, 6, 0x15, 0x45, 0x30});
	wr_cmos(0x0b, 0x06); /* binary */
	expect_time((const u8[]){20, 23, 7, 14, 6, 15, 45, 30});
	wr_cmos(0x0b, 0x00); /* BCD, 12 hours */
	assert_int_equal(rd_cmos(4), 0x83);
	wr_cmos(0x0b, 0x04);
	assert_int_equal(rd_cmos(4), 0x80 | 3);
	wr_cmos(0x0b, 0x80);
	wr_cmos(4, 0x12); /* midnight */
	wr_cmos(0x0b, 0x00);
	assert_int_equal(rd_cmos(4), 0x12);
	wr_cmos(0x0b, 0x02);
	assert_int_equal(rd_cmos(4), 0x00);
	wr_cmos(0x0b, 0x80);
	wr_cmos(4, 0x92); /* noon */
	wr_cmos(0x0b, 0x00);
	wr_cmos(0x0b, 0x02);
	assert_int_equal(rd_cmos(4), 0x12);
	bench_free(b);
}

static void frozen_while_set(void **state)
{
	(void)state;
	start();
	bench_advance(b, 5 * NS_PER_S);
	wr_cmos(0x0b, 0x82);
	bench_advance(b, 100 * NS_PER_S);
	assert_int_equal(rd_cmos(0), 0x05);
	assert_int_equal(rd_cmos(0x0a) & 0x80, 0);
	wr_cmos(0x0b, 0x02);
	assert_int_equal(rd_cmos(0), 0x05);
	bench_advance(b, NS_PER_S);
	assert_int_equal(rd_cmos(0), 0x06);
	bench_free(b);
}

/* Linux's mc146818_set_time: SET, divider in reset, time, SET off, divider on: the next second comes half a second later. */
static void divider_reset(void **state)
{
	(void)state;
	start();
	bench_advance(b, 300 * MS);
	wr_cmos(0x0b, 0x82);
	wr_cmos(0x0a, 0x76);
	wr_cmos(0, 0x30);
	wr_cmos(0x0b, 0x02);
	bench_advance(b, 10 * NS_PER_S);
	assert_int_equal(rd_cmos(0), 0x30);
	wr_cmos(0x0a, 0x26);
	bench_advance(b, 499 * MS);
	assert_int_equal(rd_cmos(0), 0x30);
	bench_advance(b, 1 * MS);
	assert_int_equal(rd_cmos(0), 0x31);
	bench_free(b);
}

static void update_in_progress(void **state)
{
	(void)state;
	start();
	bench_advance(b, NS_PER_S - 245 * US);
	assert_int_equal(rd_cmos(0x0a), 0x26);
	bench_advance(b, 1 * US);
	assert_int_equal(rd_cmos(0x0a), 0xa6);
	assert_int_equal(rd_cmos(0), 0x00);
	bench_advance(b, 244 * US);
	assert_int_equal(rd_cmos(0x0a), 0x26);
	assert_int_equal(rd_cmos(0), 0x01);
	bench_free(b);
}

static void update_interrupt(void **state)
{
	(void)state;
	start();
	bench_advance(b, 500 * MS);
	assert_int_equal(rd_cmos(0x0c) & 0xb0, 0x00);
	wr_cmos(0x0b, 0x12);
	bench_advance(b, 499 * MS);
	assert_false(irq8.level);
	bench_advance(b, 1 * MS);
	assert_true(irq8.level);
	assert_int_equal(irq8.rose_at, NS_PER_S);
	bench_advance(b, 5 * NS_PER_S);
	assert_int_equal(irq8.rises, 1); /* a level, until C is read */
	assert_int_equal(rd_cmos(0x0c) & 0x90, 0x90);
	assert_false(irq8.level);
	bench_advance(b, NS_PER_S);
	assert_int_equal(irq8.rises, 2);
	/* flags come without interrupts too */
	wr_cmos(0x0b, 0x02);
	rd_cmos(0x0c);
	bench_advance(b, NS_PER_S);
	assert_int_equal(rd_cmos(0x0c) & 0x90, 0x10);
	assert_int_equal(irq8.rises, 2);
	bench_free(b);
}

static void periodic_interrupt(void **state)
{
	unsigned n = 0;

	(void)state;
	start();
	rd_cmos(0x0c);
	wr_cmos(0x0a, 0x26); /* 1024 Hz */
	wr_cmos(0x0b, 0x42);
	for (unsigned i = 0; i < 10000; i++) {
		bench_advance(b, 100 * US);
		if (irq8.level) {
			assert_int_equal(rd_cmos(0x0c) & 0xc0, 0xc0);
			n++;
		}
	}
	assert_int_equal(n, 1024);
	wr_cmos(0x0a, 0x20); /* off */
	rd_cmos(0x0c);
	irq8.rises = 0;
	bench_advance(b, NS_PER_S);
	assert_int_equal(irq8.rises, 0);
	wr_cmos(0x0a, 0x21); /* the odd one: 256 Hz */
	n = 0;
	for (unsigned i = 0; i < 1000; i++) {
		bench_advance(b, 1 * MS);
		n += (rd_cmos(0x0c) & 0x40) != 0;
	}
	assert_int_equal(n, 256);
	bench_free(b);
}

static void alarm_interrupt(void **state)
{
	(void)state;
	start();
	bench_advance(b, 10 * NS_PER_S);
	wr_cmos(1, 0x15);
	wr_cmos(3, 0x01);
	wr_cmos(5, 0x00);
	rd_cmos(0x0c);
	wr_cmos(0x0b, 0x22);
	bench_advance(b, 64 * NS_PER_S + 999 * MS);
	assert_false(irq8.level);
	bench_advance(b, 1 * MS);
	assert_true(irq8.level);
	assert_int_equal(rd_cmos(0x0c) & 0xa0, 0xa0);
	bench_advance(b, 3600 * NS_PER_S);
	assert_false(irq8.level);
	bench_advance(b, 23 * 3600 * NS_PER_S);
	assert_int_equal(rd_cmos(0x0c) & 0xa0, 0xa0);
	/* "don't care" bytes: every minute at second 20 */
	wr_cmos(1, 0x20);
	wr_cmos(3, 0xff);
	wr_cmos(5, 0xc0);
	rd_cmos(0x0c);
	irq8.rises = 0;
	for (unsigned i = 0; i < 10; i++) {
		bench_advance(b, 60 * NS_PER_S);
		rd_cmos(0x0c);
	}
	assert_int_equal(irq8.rises, 10);
	/* no such second: never, and no endless search */
	wr_cmos(1, 0x99);
	rd_cmos(0x0c);
	irq8.rises = 0;
	bench_advance(b, 200000 * NS_PER_S);
	assert_int_equal(irq8.rises, 0);
	assert_int_equal(rd_cmos(0x0c) & 0x20, 0);
	bench_free(b);
}

static void memory(void **state)
{
	(void)state;
	start();
	assert_int_equal(rd_cmos(0x15) | rd_cmos(0x16) << 8, 640);
	assert_int_equal(rd_cmos(0x17) | rd_cmos(0x18) << 8, 0xffff);
	assert_int_equal(rd_cmos(0x30) | rd_cmos(0x31) << 8, 0xffff);
	assert_int_equal(rd_cmos(0x34) | rd_cmos(0x35) << 8, ((3u << 30) - (16u << 20)) >> 16);
	assert_int_equal(rd_cmos(0x5b) | rd_cmos(0x5c) << 8 | rd_cmos(0x5d) << 16, (2ull << 30) >> 16);
	assert_int_equal(rd_cmos(0x5f), 3);
	assert_int_equal(rd_cmos(0x0d), 0x80);
	wr_cmos(0x0d, 0);
	assert_int_equal(rd_cmos(0x0d), 0x80);
	wr_cmos(0x0f, 0x0a);
	wr_cmos(0x7f, 0x5a);
	rtc_set_cmos(rtc, 0x3d, 0x21);
	assert_int_equal(rtc_get_cmos(rtc, 0x3d), 0x21);
	rtc->class->reset(rtc);
	assert_int_equal(rd_cmos(0x0f), 0x0a); /* the battery keeps it */
	assert_int_equal(rd_cmos(0x7f), 0x5a);
	out8(b, 0x70, 0x8f);
	assert_true(rtc_nmi_masked(rtc));
	assert_int_equal(in8(b, 0x71), 0x0a);
	assert_int_equal(in8(b, 0x70), 0xff);
	bench_free(b);
}

static void saved_and_loaded(void **state)
{
	(void)state;
	start();
	set_time((const u8[]){0x20, 0x24, 0x02, 0x29, 5, 0x12, 0x00, 0x00});
	wr_cmos(0x0b, 0x12);
	rd_cmos(0x0c);
	irq8.rises = 0;
	bench_round_trip(b, rtc);
	bench_advance(b, NS_PER_S);
	assert_int_equal(irq8.rises, 1);
	expect_time((const u8[]){0x20, 0x24, 0x02, 0x29, 5, 0x12, 0x00, 0x01});
	bench_free(b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(calendar), cmocka_unit_test(formats), cmocka_unit_test(frozen_while_set),
		cmocka_unit_test(divider_reset), cmocka_unit_test(update_in_progress), cmocka_unit_test(update_interrupt),
		cmocka_unit_test(periodic_interrupt), cmocka_unit_test(alarm_interrupt), cmocka_unit_test(memory),
		cmocka_unit_test(saved_and_loaded),
	};

	return cmocka_run_group_tests_name("dev.rtc", tests, NULL, NULL);
}
