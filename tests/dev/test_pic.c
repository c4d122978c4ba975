/* SPDX-License-Identifier: MIT */
/* The 8259A pair as operating systems drive it. */
#include "hw/chipset/pic.h"
#include "tests/dev/bench.h"

static struct bench *b;
static struct device *pic;
static struct wire intr;

/* As Linux does it: vectors 30h and 38h, nothing masked. */
static void init_pic(void)
{
	for (unsigned i = 0; i < 2; i++) {
		u16 port = i ? 0xa0 : 0x20;

		out8(b, port, 0x11);
		out8(b, port + 1, i ? 0x38 : 0x30);
		out8(b, port + 1, i ? 2 : 4);
		out8(b, port + 1, 0x01);
		out8(b, port + 1, 0x00);
	}
}

static void start(void)
{
	b = bench_new();
	intr = (struct wire){0};
	pic = bench_create(b, "pic", NULL);
	bench_tie(b, pic, "intr", &intr);
	bench_start(pic);
	init_pic();
}

static void edge(unsigned pin)
{
	bench_input(pic, pin, true);
	bench_input(pic, pin, false);
}

static u8 read_reg(u16 port, u8 ocw3)
{
	out8(b, port, ocw3);
	return in8(b, port);
}

static void priorities_and_eoi(void **state)
{
	(void)state;
	start();
	assert_false(intr.level);
	edge(3);
	edge(1);
	assert_true(intr.level);
	assert_int_equal(pic_acknowledge(pic), 0x31);
	assert_false(intr.level); /* 3 is lower than 1 in service */
	assert_int_equal(read_reg(0x20, 0x0b), 0x02);
	assert_int_equal(read_reg(0x20, 0x0a), 0x08);
	edge(0);
	assert_true(intr.level);
	assert_int_equal(pic_acknowledge(pic), 0x30);
	out8(b, 0x20, 0x20);
	assert_int_equal(read_reg(0x20, 0x0b), 0x02);
	out8(b, 0x20, 0x61); /* specific: 1 */
	assert_true(intr.level);
	assert_int_equal(pic_acknowledge(pic), 0x33);
	out8(b, 0x20, 0x20);
	assert_false(intr.level);
	bench_free(b);
}

static void slave_cascade(void **state)
{
	(void)state;
	start();
	edge(14);
	edge(9);
	assert_int_equal(pic_acknowledge(pic), 0x39);
	assert_int_equal(read_reg(0x20, 0x0b), 0x04);
	out8(b, 0xa0, 0x20);
	assert_false(intr.level); /* the master still serves the cascade */
	out8(b, 0x20, 0x62);
	assert_true(intr.level);
	assert_int_equal(pic_acknowledge(pic), 0x3e);
	out8(b, 0xa0, 0x20);
	out8(b, 0x20, 0x20);
	assert_false(intr.level);
	bench_free(b);
}

static void special_fully_nested(void **state)
{
	(void)state;
	start();
	out8(b, 0x20, 0x11);
	out8(b, 0x21, 0x30);
	out8(b, 0x21, 4);
	out8(b, 0x21, 0x11);
	edge(12);
	assert_int_equal(pic_acknowledge(pic), 0x3c);
	edge(8); /* higher on the same slave: goes through */
	assert_true(intr.level);
	assert_int_equal(pic_acknowledge(pic), 0x38);
	bench_free(b);
}

static void masks_and_spurious(void **state)
{
	(void)state;
	start();
	out8(b, 0x21, 0x10);
	edge(4);
	assert_false(intr.level);
	assert_int_equal(in8(b, 0x21), 0x10);
	out8(b, 0x21, 0x00);
	assert_true(intr.level);
	out8(b, 0x21, 0x10); /* gone between request and acknowledge */
	assert_int_equal(pic_acknowledge(pic), 0x37);
	assert_int_equal(read_reg(0x20, 0x0b), 0x00);
	bench_free(b);
}

static void level_triggered(void **state)
{
	(void)state;
	start();
	out8(b, 0x4d1, 0xff);
	assert_int_equal(in8(b, 0x4d1), 0xde);
	out8(b, 0x4d0, 0xff);
	assert_int_equal(in8(b, 0x4d0), 0xf8);
	bench_input(pic, 11, true);
	assert_int_equal(pic_acknowledge(pic), 0x3b);
	out8(b, 0xa0, 0x20);
	out8(b, 0x20, 0x20);
	assert_true(intr.level); /* still asserted */
	bench_input(pic, 11, false);
	assert_false(intr.level);
	/* neither a level that has gone nor an edge from before is there when the pin is an edge again */
	out8(b, 0x4d1, 0);
	assert_false(intr.level);
	out8(b, 0xa1, 0xff);
	edge(10);
	out8(b, 0x4d1, 0xff);
	out8(b, 0x4d1, 0);
	out8(b, 0xa1, 0);
	assert_false(intr.level);
	bench_free(b);
}

static void rotation(void **state)
{
	(void)state;
	start();
	edge(4);
	pic_acknowledge(pic);
	out8(b, 0x20, 0xa0); /* rotate on EOI: 4 becomes the lowest */
	edge(4);
	edge(5);
	assert_int_equal(pic_acknowledge(pic), 0x35);
	out8(b, 0x20, 0x20);
	assert_int_equal(pic_acknowledge(pic), 0x34);
	out8(b, 0x20, 0x20);
	out8(b, 0x20, 0xc6); /* set priority: 6 lowest, 7 highest */
	edge(0);
	edge(7);
	assert_int_equal(pic_acknowledge(pic), 0x37);
	bench_free(b);
}

static void auto_eoi_rotating(void **state)
{
	(void)state;
	start();
	out8(b, 0x20, 0x11);
	out8(b, 0x21, 0x40);
	out8(b, 0x21, 4);
	out8(b, 0x21, 0x03);
	out8(b, 0x20, 0x80);
	edge(1);
	edge(3);
	assert_int_equal(pic_acknowledge(pic), 0x41);
	assert_int_equal(read_reg(0x20, 0x0b), 0x00);
	edge(1); /* now lower than 3 */
	assert_int_equal(pic_acknowledge(pic), 0x43);
	assert_int_equal(pic_acknowledge(pic), 0x41);
	bench_free(b);
}

static void special_mask(void **state)
{
	(void)state;
	start();
	edge(2 + 1);
	pic_acknowledge(pic);
	edge(6);
	assert_false(intr.level);
	out8(b, 0x21, 0x08);
	out8(b, 0x20, 0x68); /* special mask: 3 in service no longer blocks */
	assert_true(intr.level);
	assert_int_equal(pic_acknowledge(pic), 0x36);
	out8(b, 0x20, 0x20); /* ends 6, not the masked 3 */
	assert_int_equal(read_reg(0x20, 0x0b), 0x08);
	bench_free(b);
}

static void poll_mode(void **state)
{
	(void)state;
	start();
	assert_int_equal(read_reg(0x20, 0x0c), 0x00);
	edge(5);
	assert_int_equal(read_reg(0x20, 0x0c), 0x85);
	assert_int_equal(read_reg(0x20, 0x0b), 0x20);
	bench_free(b);
}

static void init_forgets_edges(void **state)
{
	(void)state;
	start();
	bench_input(pic, 4, true);
	out8(b, 0x20, 0x11);
	assert_false(intr.level);
	bench_input(pic, 4, true); /* no new edge */
	assert_false(intr.level);
	bench_input(pic, 4, false);
	bench_input(pic, 4, true);
	assert_true(intr.level);
	bench_free(b);
}

/* The timer's edges are merged like any: a CPU that opens its interrupts for one at a time gets to the keyboard's. */
static void timer_edges_merged(void **state)
{
	(void)state;
	start();
	for (unsigned i = 0; i < 20; i++)
		edge(0);
	edge(1);
	assert_int_equal(pic_acknowledge(pic), 0x30);
	out8(b, 0x20, 0x20);
	assert_int_equal(pic_acknowledge(pic), 0x31);
	out8(b, 0x20, 0x20);
	assert_false(intr.level);
	bench_free(b);
}

static void saved_and_loaded(void **state)
{
	(void)state;
	start();
	edge(6);
	edge(13);
	bench_round_trip(b, pic);
	assert_int_equal(pic_acknowledge(pic), 0x3d);
	bench_free(b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(priorities_and_eoi), cmocka_unit_test(slave_cascade), cmocka_unit_test(special_fully_nested),
		cmocka_unit_test(masks_and_spurious), cmocka_unit_test(level_triggered), cmocka_unit_test(rotation),
		cmocka_unit_test(auto_eoi_rotating), cmocka_unit_test(special_mask), cmocka_unit_test(poll_mode),
		cmocka_unit_test(init_forgets_edges), cmocka_unit_test(timer_edges_merged), cmocka_unit_test(saved_and_loaded),
	};

	return cmocka_run_group_tests_name("dev.pic", tests, NULL, NULL);
}
