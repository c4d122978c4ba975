/* SPDX-License-Identifier: MIT */
/* The parallel port as a BIOS and as a driver with interrupts print through it. */
#include "tests/dev/bench.h"

static struct bench *b;
static struct device *port;
static struct wire irq;
static u8 paper[64];
static size_t printed;

static void print(void *opaque, const u8 *data, size_t len)
{
	(void)opaque;
	for (size_t i = 0; i < len && printed < sizeof paper; i++)
		paper[printed++] = data[i];
}

static bool full;
static bool host_full(void *opaque)
{
	(void)opaque;
	return full;
}

static struct chardev chardev = {.write = print, .full = host_full};

static void start(void)
{

	b = bench_new();
	irq = (struct wire){0};
	printed = 0;
	port = bench_create(b, "isa-parallel", NULL);
	port->chardev = &chardev;
	bench_tie(b, port, "irq", &irq);
	bench_start(port);
}

static void put(u8 byte, u8 control)
{
	out8(b, 0x378, byte);
	out8(b, 0x37a, control | 1);
	out8(b, 0x37a, control);
}

static void polled(void **state)
{
	(void)state;
	start();
	assert_int_equal(in8(b, 0x379) & 0xf8, 0xd8); /* ready, selected, no error */
	for (const char *p = "Hello\f"; *p; p++) {
		assert_true(in8(b, 0x379) & 0x80);
		put((u8)*p, 0x0c);
		assert_false(in8(b, 0x379) & 0x40); /* acknowledged */
	}
	assert_int_equal(printed, 6);
	assert_memory_equal(paper, "Hello\f", 6);
	assert_int_equal(irq.rises, 0);
	/* data lines read back, as probing for the port does; nothing is printed by that */
	out8(b, 0x378, 0x55);
	assert_int_equal(in8(b, 0x378), 0x55);
	out8(b, 0x37a, 0x2c);
	assert_int_equal(in8(b, 0x378), 0xff);
	assert_int_equal(in8(b, 0x37a), 0xec);
	/* a printer that is being reset takes nothing */
	put('x', 0x08);
	assert_int_equal(printed, 6);
	bench_free(b);
}

static void interrupts(void **state)
{
	(void)state;
	start();
	put('a', 0x1c);
	assert_true(irq.level);
	bench_round_trip(b, port);
	assert_true(irq.level);
	in8(b, 0x379);
	assert_false(irq.level);
	put('b', 0x1c);
	out8(b, 0x37a, 0x0c);
	assert_false(irq.level);
	assert_int_equal(irq.rises, 2);
	bench_free(b);
}

/* A host that keeps too much: the printer is busy and acknowledges when it no longer is. */
static void busy(void **state)
{
	(void)state;
	start();
	full = true;
	put('a', 0x1c);
	assert_int_equal(in8(b, 0x379) & 0xc0, 0x40); /* not ready, not acknowledged */
	assert_false(irq.level);
	bench_round_trip(b, port);
	assert_int_equal(in8(b, 0x379) & 0xc0, 0x40);
	full = false;
	chardev.ready(chardev.device);
	assert_true(irq.level);
	assert_int_equal(in8(b, 0x379) & 0xc0, 0x80); /* ready, acknowledged */
	assert_int_equal(printed, 1);
	bench_free(b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(polled), cmocka_unit_test(interrupts), cmocka_unit_test(busy)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
