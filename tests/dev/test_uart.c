/* SPDX-License-Identifier: MIT */
/* The 16550A as Linux's 8250 driver, GRUB and Windows drive it. */
#include "tests/dev/bench.h"

static struct bench *b;
static struct device *uart;
static struct wire irq;
static struct chardev chardev;
static char sent[4096];
static size_t sent_len;
static unsigned room_calls;

static void host_write(void *opaque, const u8 *data, size_t len)
{
	(void)opaque;
	for (size_t i = 0; i < len && sent_len < sizeof sent; i++)
		sent[sent_len++] = data[i];
}

static void host_room(void *opaque)
{
	(void)opaque;
	room_calls++;
}

static void start(void)
{
	b = bench_new();
	irq = (struct wire){0};
	sent_len = 0;
	room_calls = 0;
	chardev = (struct chardev){.write = host_write, .room = host_room};
	uart = bench_create(b, "isa-serial", "index=0");
	uart->chardev = &chardev;
	bench_tie(b, uart, "irq", &irq);
	bench_start(uart);
}

static void host_sends(const char *text)
{
	for (; *text; text++) {
		assert_true(chardev.can_receive(chardev.device) >= 1);
		chardev.receive(chardev.device, (const u8 *)text, 1);
	}
}

static bool full;
static bool host_full(void *opaque)
{
	(void)opaque;
	return full;
}

/* A host that keeps too much: the transmitter is busy until it is called back, for polling and for interrupts. */
static void busy(void **state)
{
	enum { THRE = 0x60 };

	(void)state;
	start();
	chardev.full = host_full;
	full = true;
	out8(b, 0x3f9, 2);
	assert_int_equal(in8(b, 0x3fa), 2); /* empty when enabled */
	out8(b, 0x3f8, 'a');
	assert_int_equal(in8(b, 0x3fd) & THRE, 0);
	assert_false(irq.level);
	out8(b, 0x3f8, 'b'); /* who does not look: the host decides what becomes of it */
	out8(b, 0x3f9, 0);
	out8(b, 0x3f9, 2); /* enabling the interrupt anew tells no lie */
	out8(b, 0x3fa, 7); /* nor does clearing the FIFO */
	assert_false(irq.level);
	out8(b, 0x3fc, 0x10); /* what goes round does not wait for the host */
	assert_int_equal(in8(b, 0x3fd) & THRE, THRE);
	out8(b, 0x3fc, 0);
	bench_round_trip(b, uart);
	assert_int_equal(in8(b, 0x3fd) & THRE, 0);
	full = false;
	chardev.ready(chardev.device);
	assert_int_equal(in8(b, 0x3fd) & THRE, THRE);
	assert_true(irq.level);
	assert_int_equal(sent_len, 2);
	/* saved while busy, loaded where the host takes everything */
	full = true;
	out8(b, 0x3f8, 'c');
	assert_int_equal(in8(b, 0x3fd) & THRE, 0);
	full = false;
	bench_round_trip(b, uart);
	assert_int_equal(in8(b, 0x3fd) & THRE, THRE);
	bench_free(b);
}

/* What serial8250's autoconfig looks at. */
static void linux_autoconfig(void **state)
{
	(void)state;
	start();
	out8(b, 0x3f9, 0);
	out8(b, 0x80, 0);
	assert_int_equal(in8(b, 0x3f9), 0);
	out8(b, 0x3f9, 0x0f);
	assert_int_equal(in8(b, 0x3f9) & 0x0f, 0x0f);
	out8(b, 0x3f9, 0);
	/* loopback: MCR to MSR */
	out8(b, 0x3fc, 0x10 | 0x0a);
	assert_int_equal(in8(b, 0x3fe) & 0xf0, 0x90);
	out8(b, 0x3fc, 0);
	/* FIFO detection */
	out8(b, 0x3fb, 0);
	out8(b, 0x3fa, 0x01);
	assert_int_equal(in8(b, 0x3fa) >> 6, 3);
	/* no enhanced registers behind LCR = BF, no 64-byte FIFO */
	out8(b, 0x3fb, 0xbf);
	assert_int_not_equal(in8(b, 0x3fa), 0);
	out8(b, 0x3fb, 0);
	out8(b, 0x3fa, 0x21);
	assert_int_equal(in8(b, 0x3fa) & 0x20, 0);
	out8(b, 0x3fa, 0x00);
	assert_int_equal(in8(b, 0x3fa), 0x01);
	/* scratch and divisor */
	out8(b, 0x3ff, 0x5a);
	assert_int_equal(in8(b, 0x3ff), 0x5a);
	out8(b, 0x3fb, 0x83);
	out8(b, 0x3f8, 0x34);
	out8(b, 0x3f9, 0x12);
	assert_int_equal(in8(b, 0x3f8) | in8(b, 0x3f9) << 8, 0x1234);
	bench_free(b);
}

static void transmit_interrupt(void **state)
{
	(void)state;
	start();
	out8(b, 0x3fa, 0x01);
	assert_int_equal(in8(b, 0x3fd), 0x60);
	out8(b, 0x3f9, 0x02); /* empty already: interrupts at once */
	assert_true(irq.level);
	assert_int_equal(in8(b, 0x3fa), 0xc2);
	assert_false(irq.level); /* reading IIR took it back */
	assert_int_equal(in8(b, 0x3fa), 0xc1);
	/* off and on again: due again, which Linux tests for a bug of some chips */
	out8(b, 0x3f9, 0x00);
	out8(b, 0x3f9, 0x02);
	assert_int_equal(in8(b, 0x3fa), 0xc2);
	for (const char *p = "hello"; *p; p++)
		out8(b, 0x3f8, *p);
	assert_true(irq.level);
	assert_memory_equal(sent, "hello", 5);
	assert_int_equal(in8(b, 0x3fd), 0x60);
	assert_int_equal(in8(b, 0x3fa), 0xc2);
	assert_false(irq.level);
	bench_free(b);
}

static void receive_trigger_and_timeout(void **state)
{
	u64 character = NS_PER_S * 10 * 1 / 115200;

	(void)state;
	start();
	out8(b, 0x3fb, 0x83);
	out8(b, 0x3f8, 1);
	out8(b, 0x3f9, 0);
	out8(b, 0x3fb, 0x03);
	out8(b, 0x3fa, 0x81); /* trigger at 8 */
	out8(b, 0x3f9, 0x01);
	assert_int_equal(chardev.can_receive(chardev.device), 8);
	host_sends("abc");
	assert_false(irq.level);
	assert_int_equal(in8(b, 0x3fd) & 1, 1);
	bench_advance(b, 3 * character);
	assert_false(irq.level);
	bench_advance(b, 2 * character);
	assert_true(irq.level);
	assert_int_equal(in8(b, 0x3fa), 0xcc);
	assert_int_equal(in8(b, 0x3f8), 'a');
	assert_false(irq.level);
	bench_advance(b, 5 * character); /* two more wait: it times out again */
	assert_true(irq.level);
	assert_int_equal(in8(b, 0x3f8), 'b');
	assert_int_equal(in8(b, 0x3f8), 'c');
	assert_int_equal(in8(b, 0x3fd) & 1, 0);
	bench_advance(b, NS_PER_S);
	assert_false(irq.level);
	host_sends("01234567");
	assert_int_equal(in8(b, 0x3fa), 0xc4);
	assert_int_equal(chardev.can_receive(chardev.device), 1);
	host_sends("89abcdef");
	assert_int_equal(chardev.can_receive(chardev.device), 0);
	room_calls = 0;
	for (unsigned i = 0; i < 16; i++)
		assert_int_equal(in8(b, 0x3f8), "0123456789abcdef"[i]);
	assert_int_equal(room_calls, 16);
	assert_false(irq.level);
	bench_free(b);
}

static void without_fifo(void **state)
{
	(void)state;
	start();
	out8(b, 0x3f9, 0x05);
	assert_int_equal(chardev.can_receive(chardev.device), 1);
	host_sends("x");
	assert_true(irq.level);
	assert_int_equal(chardev.can_receive(chardev.device), 0);
	assert_int_equal(in8(b, 0x3fa), 0x04);
	chardev.receive(chardev.device, (const u8 *)"y", 1); /* a host that does not ask */
	assert_int_equal(in8(b, 0x3fa), 0x06);
	assert_int_equal(in8(b, 0x3fd), 0x63);
	assert_int_equal(in8(b, 0x3fd), 0x61);
	assert_int_equal(in8(b, 0x3f8), 'y');
	assert_false(irq.level);
	assert_int_equal(in8(b, 0x3f8), 'y'); /* nothing new */
	bench_free(b);
}

static void loopback(void **state)
{
	(void)state;
	start();
	out8(b, 0x3fa, 0x07);
	out8(b, 0x3fc, 0x10);
	assert_int_equal(chardev.can_receive(chardev.device), 0);
	for (unsigned i = 0; i < 17; i++)
		out8(b, 0x3f8, 'A' + i);
	assert_int_equal(sent_len, 0);
	assert_int_equal(in8(b, 0x3fd) & 0x03, 0x03); /* the 17th was lost */
	for (unsigned i = 0; i < 16; i++)
		assert_int_equal(in8(b, 0x3f8), 'A' + i);
	assert_int_equal(in8(b, 0x3fd) & 0x03, 0x00);
	/* modem lines follow MCR, with deltas and the interrupt */
	(void)in8(b, 0x3fe);
	out8(b, 0x3f9, 0x08);
	out8(b, 0x3fc, 0x1f);
	assert_true(irq.level);
	assert_int_equal(in8(b, 0x3fa), 0xc0);
	assert_int_equal(in8(b, 0x3fe), 0xfb); /* RI counts when it ends only */
	assert_false(irq.level);
	out8(b, 0x3fc, 0x10);
	assert_int_equal(in8(b, 0x3fe), 0x0f);
	bench_free(b);
}

static void break_condition(void **state)
{
	(void)state;
	start();
	out8(b, 0x3fa, 0x81);
	out8(b, 0x3f9, 0x05);
	host_sends("a");
	chardev.event_break(chardev.device);
	assert_false(irq.level); /* not at the head yet */
	assert_int_equal(in8(b, 0x3fd), 0xe1);
	assert_int_equal(in8(b, 0x3f8), 'a');
	assert_true(irq.level);
	assert_int_equal(in8(b, 0x3fa), 0xc6);
	assert_int_equal(in8(b, 0x3fd), 0xf1);
	assert_int_equal(in8(b, 0x3f8), 0);
	assert_int_equal(in8(b, 0x3fd), 0x60);
	bench_free(b);
}

static void fifo_reset(void **state)
{
	(void)state;
	start();
	out8(b, 0x3fa, 0x01);
	host_sends("q");
	out8(b, 0x3fa, 0x03);
	assert_int_equal(in8(b, 0x3fd), 0x60);
	host_sends("q");
	out8(b, 0x3fa, 0x00); /* turning it off clears too */
	assert_int_equal(in8(b, 0x3fd), 0x60);
	bench_free(b);
}

static void saved_and_loaded(void **state)
{
	(void)state;
	start();
	out8(b, 0x3fa, 0xc1);
	out8(b, 0x3f9, 0x01);
	host_sends("ab");
	bench_round_trip(b, uart);
	assert_false(irq.level);
	bench_advance(b, 10 * MS);
	assert_true(irq.level);
	assert_int_equal(in8(b, 0x3f8), 'a');
	assert_int_equal(in8(b, 0x3f8), 'b');
	bench_free(b);
}

static void options(void **state)
{
	struct err err = {0};
	struct device *second;

	(void)state;
	start();
	second = bench_add(b, "isa-serial", "index=1");
	out8(b, 0x2ff, 0x77);
	assert_int_equal(in8(b, 0x2ff), 0x77);
	assert_null(second->chardev); /* nobody listens: characters vanish */
	out8(b, 0x2f8, 'x');
	bench_add(b, "isa-serial", "iobase=0x400");
	out8(b, 0x407, 0x66);
	assert_int_equal(in8(b, 0x407), 0x66);
	assert_null(device_create("isa-serial", "x", "index=4", &b->machine, &err));
	assert_int_equal(err.code, EXIT_USAGE);
	assert_null(device_create("isa-seral", "x", NULL, &b->machine, &err));
	assert_non_null(strstr(err.text, "isa-serial"));
	bench_free(b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(linux_autoconfig), cmocka_unit_test(transmit_interrupt),
		cmocka_unit_test(receive_trigger_and_timeout), cmocka_unit_test(without_fifo), cmocka_unit_test(loopback),
		cmocka_unit_test(break_condition), cmocka_unit_test(fifo_reset), cmocka_unit_test(saved_and_loaded),
		cmocka_unit_test(options), cmocka_unit_test(busy),
	};

	return cmocka_run_group_tests_name("dev.uart", tests, NULL, NULL);
}
