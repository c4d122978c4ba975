/* SPDX-License-Identifier: MIT */
/* The keyboard controller as Linux's i8042, atkbd and psmouse drivers probe it, and as a program that reads set 1. */
#include "hw/input/i8042.h"
#include "tests/dev/bench.h"

static struct bench *b;
static struct device *kbc;
static struct wire irq1, irq12, a20;
static struct input input;

static void start(void)
{
	b = bench_new();
	irq1 = irq12 = a20 = (struct wire){0};
	kbc = bench_create(b, "i8042", NULL);
	bench_tie(b, kbc, "irq1", &irq1);
	bench_tie(b, kbc, "irq12", &irq12);
	bench_tie(b, kbc, "a20", &a20);
	bench_start(kbc);
	input = i8042_input(kbc);
}

static u8 status(void)
{
	return in8(b, 0x64);
}

/* The next byte, waiting for it; -1: none comes. */
static int next(void)
{
	for (unsigned i = 0; i < 20 && !(status() & 1); i++)
		bench_advance(b, 100 * US);
	return status() & 1 ? in8(b, 0x60) : -1;
}

static void expect(const char *hex)
{
	unsigned want, n;

	for (; sscanf(hex, "%2x%n", &want, &n) == 1; hex += n + (hex[n] == ' ')) {
		int got = next();

		if (got != (int)want)
			fail_msg("got %02x, expected %s", got, hex);
	}
	assert_int_equal(next(), -1);
}

static void command(u8 c)
{
	out8(b, 0x64, c);
}

static void set_mode(u8 mode)
{
	command(0x60);
	out8(b, 0x60, mode);
}

static void to_mouse(u8 byte)
{
	command(0xd4);
	out8(b, 0x60, byte);
}

static void press(unsigned key)
{
	input.key(input.opaque, key, true);
	input.key(input.opaque, key, false);
}

static void controller_probe(void **state)
{
	(void)state;
	start();
	assert_int_equal(status(), 0x14);
	command(0x20);
	assert_int_equal(status() & 0x09, 0x09);
	assert_int_equal(next(), 0x65);
	command(0xaa);
	expect("55");
	command(0xab);
	expect("00");
	command(0xa9);
	expect("00");
	command(0xa4);
	expect("f1");
	command(0xc0);
	expect("80");
	command(0xd0);
	expect("cf");
	command(0x2a);
	expect("00");
	command(0x6a);
	out8(b, 0x60, 0x42);
	command(0x2a);
	expect("42");
	/* i8042_check_mux and the interrupt test of the aux port: loopback through d3 */
	set_mode(0x47);
	command(0xd3);
	out8(b, 0x60, 0xa5);
	assert_int_equal(status() & 0x21, 0x21);
	assert_true(irq12.level);
	assert_false(irq1.level);
	expect("a5");
	assert_false(irq12.level);
	command(0xa7);
	command(0x20);
	expect("67");
	command(0xa8);
	command(0x20);
	expect("47");
	command(0xd2);
	out8(b, 0x60, 0x5a);
	assert_int_equal(status() & 0x21, 0x01);
	assert_true(irq1.level);
	expect("5a");
	command(0x99); /* nothing */
	assert_int_equal(next(), -1);
	bench_free(b);
}

static void gate_and_reset(void **state)
{
	(void)state;
	start();
	assert_true(a20.level);
	command(0xd1);
	out8(b, 0x60, 0xdd);
	assert_false(a20.level);
	command(0xdf);
	assert_true(a20.level);
	command(0xdd);
	assert_false(a20.level);
	command(0xff);
	assert_int_equal(b->requests[MACHINE_RESET], 0);
	command(0xfe);
	assert_int_equal(b->requests[MACHINE_RESET], 1);
	command(0xd1);
	out8(b, 0x60, 0xde);
	assert_int_equal(b->requests[MACHINE_RESET], 2);
	bench_free(b);
}

/* atkbd_probe and atkbd_activate, without translation. */
static void keyboard_probe(void **state)
{
	(void)state;
	start();
	set_mode(0x05);
	out8(b, 0x60, 0xff);
	expect("fa aa");
	out8(b, 0x60, 0xf2);
	expect("fa ab 83");
	out8(b, 0x60, 0xed);
	expect("fa");
	out8(b, 0x60, 0x07);
	expect("fa");
	assert_int_equal(i8042_leds(kbc), 7);
	out8(b, 0x60, 0xf0);
	expect("fa");
	out8(b, 0x60, 0x00);
	expect("fa 02");
	out8(b, 0x60, 0xf3);
	expect("fa");
	out8(b, 0x60, 0x00);
	expect("fa");
	out8(b, 0x60, 0xf5);
	expect("fa");
	press(INPUT_A);
	assert_int_equal(next(), -1);
	out8(b, 0x60, 0xf4);
	expect("fa");
	out8(b, 0x60, 0xee);
	expect("ee");
	out8(b, 0x60, 0xfe);
	expect("ee");
	out8(b, 0x60, 0x12);
	expect("fe");
	press(INPUT_A);
	expect("1c f0 1c");
	/* translated, the identifier comes out as Linux knows it from old controllers */
	set_mode(0x45);
	out8(b, 0x60, 0xf2);
	expect("fa ab 41");
	bench_free(b);
}

static void scan_codes(void **state)
{
	static const struct {
		unsigned key;
		const char *set1, *set2, *set3;
	} keys[] = {
		{INPUT_ESC, "01 81", "76 f0 76", "08 f0 08"},
		{INPUT_F7, "41 c1", "83 f0 83", "37 f0 37"},
		{INPUT_F12, "58 d8", "07 f0 07", "5e f0 5e"},
		{INPUT_Q, "10 90", "15 f0 15", "15 f0 15"},
		{INPUT_ENTER, "1c 9c", "5a f0 5a", "5a f0 5a"},
		{INPUT_KPENTER, "e0 1c e0 9c", "e0 5a e0 f0 5a", "79 f0 79"},
		{INPUT_UP, "e0 48 e0 c8", "e0 75 e0 f0 75", "63 f0 63"},
		{INPUT_RIGHTCTRL, "e0 1d e0 9d", "e0 14 e0 f0 14", "58 f0 58"},
		{INPUT_LEFTMETA, "e0 5b e0 db", "e0 1f e0 f0 1f", "8b f0 8b"},
		{INPUT_SYSRQ, "e0 2a e0 37 e0 b7 e0 aa", "e0 12 e0 7c e0 f0 7c e0 f0 12", "57 f0 57"},
		{INPUT_PAUSE, "e1 1d 45 e1 9d c5", "e1 14 77 e1 f0 14 f0 77", "62 f0 62"},
		{INPUT_KPDOT, "53 d3", "71 f0 71", "71 f0 71"},
		{INPUT_F24, "76 f6", "5f f0 5f", ""},
		{INPUT_HANGEUL, "f2", "f2", ""},
		{200, "", "", ""}, {255, "", "", ""}, {256, "", "", ""}, {~0u, "", "", ""},
	};

	(void)state;
	start();
	for (unsigned i = 0; i < ARRAY_LEN(keys); i++) {
		set_mode(0x45); /* set 2, translated */
		press(keys[i].key);
		expect(keys[i].set1);
		set_mode(0x05);
		press(keys[i].key);
		expect(keys[i].set2);
		for (unsigned set = 1; set <= 3; set += 2) {
			out8(b, 0x60, 0xf0);
			expect("fa");
			out8(b, 0x60, set);
			expect("fa");
			press(keys[i].key);
			expect(set == 1 ? keys[i].set1 : keys[i].set3);
		}
		out8(b, 0x60, 0xf6); /* back to set 2 */
		expect("fa");
	}
	/* modifiers change what PrtSc and Pause say */
	set_mode(0x45);
	input.key(input.opaque, INPUT_LEFTALT, true);
	press(INPUT_SYSRQ);
	input.key(input.opaque, INPUT_LEFTALT, false);
	expect("38 54 d4 b8");
	input.key(input.opaque, INPUT_LEFTCTRL, true);
	press(INPUT_PAUSE);
	press(INPUT_SYSRQ);
	input.key(input.opaque, INPUT_LEFTCTRL, false);
	expect("1d e0 46 e0 c6 e0 37 e0 b7 9d");
	bench_free(b);
}

static void every_key_round_trips(void **state)
{
	(void)state;
	start();
	set_mode(0x45);
	for (unsigned key = INPUT_ESC; key <= INPUT_KPDOT; key++) {
		if (key == 84)
			continue;
		press(key);
		assert_int_equal(next(), key); /* set 1 is how the key codes began */
		assert_int_equal(next(), key | 0x80);
		assert_int_equal(next(), -1);
	}
	bench_free(b);
}

static void bytes_take_their_time(void **state)
{
	(void)state;
	start();
	press(INPUT_A);
	assert_int_equal(status() & 1, 0);
	bench_advance(b, 1 * MS);
	assert_true(irq1.level);
	assert_int_equal(in8(b, 0x60), 0x1e);
	assert_false(irq1.level);
	assert_int_equal(in8(b, 0x60), 0x1e); /* a second handler reads the same */
	bench_advance(b, 1 * MS);
	assert_int_equal(irq1.rises, 2);
	assert_int_equal(in8(b, 0x60), 0x9e);
	/* the controller's answer goes first */
	press(INPUT_B);
	command(0x20);
	assert_int_equal(next(), 0x65);
	assert_int_equal(next(), 0x30);
	assert_int_equal(next(), 0xb0);
	/* a disabled port holds its bytes back */
	command(0xad);
	press(INPUT_C);
	assert_int_equal(next(), -1);
	command(0xae);
	expect("2e ae");
	bench_free(b);
}

static void typematic(void **state)
{
	unsigned n = 0;

	(void)state;
	start();
	input.key(input.opaque, INPUT_X, true);
	input.key(input.opaque, INPUT_X, true); /* the host's own repeat is not ours */
	assert_int_equal(next(), 0x2d);
	bench_advance(b, 490 * MS);
	assert_int_equal(next(), -1);
	for (unsigned i = 0; i < 1000; i++) {
		bench_advance(b, 1 * MS);
		if (status() & 1) {
			assert_int_equal(in8(b, 0x60), 0x2d);
			n++;
		}
	}
	assert_in_range(n, 10, 12);
	input.key(input.opaque, INPUT_X, false);
	while ((n = next()) == 0x2d)
		;
	assert_int_equal(n, 0xad);
	bench_advance(b, NS_PER_S);
	assert_int_equal(next(), -1);
	/* a guest that does not read is not flooded */
	input.key(input.opaque, INPUT_X, true);
	bench_advance(b, 100 * NS_PER_S);
	input.key(input.opaque, INPUT_X, false);
	for (n = 0; next() != 0xad; n++)
		assert_true(n < 4);
	bench_free(b);
}

static void overrun(void **state)
{
	int byte, last = 0;
	unsigned n = 0;

	(void)state;
	start();
	for (unsigned i = 0; i < 1000; i++)
		press(INPUT_A + i % 9);
	while ((byte = next()) >= 0) {
		last = byte;
		n++;
	}
	assert_true(n < 64);
	assert_int_equal(last, 0xff); /* so that the guest knows */
	press(INPUT_A);
	expect("1e 9e");
	bench_free(b);
}

/* psmouse_probe, then the knock for the wheel and the five buttons. */
static void mouse_probe(void **state)
{
	static const u8 knock[] = {200, 100, 80, 200, 200, 80};

	(void)state;
	start();
	set_mode(0x47);
	to_mouse(0xff);
	assert_int_equal(status() & 0x21, 0);
	bench_advance(b, 1 * MS);
	assert_int_equal(status() & 0x21, 0x21);
	assert_true(irq12.level);
	expect("fa aa 00");
	to_mouse(0xf2);
	expect("fa 00");
	to_mouse(0xe9);
	expect("fa 00 02 64");
	for (unsigned i = 0; i < ARRAY_LEN(knock); i++) {
		to_mouse(0xf3);
		expect("fa");
		to_mouse(knock[i]);
		expect("fa");
		if (i % 3 == 2) {
			to_mouse(0xf2);
			expect(i < 3 ? "fa 03" : "fa 04");
		}
	}
	input.pointer(input.opaque, 5, 5, 0, 0);
	assert_int_equal(next(), -1); /* not enabled */
	to_mouse(0xf4);
	expect("fa");
	input.pointer(input.opaque, 5, -3, 0, 0);
	expect("08 05 03 00");
	input.pointer(input.opaque, -300, 300, 1, INPUT_LEFT | INPUT_SIDE);
	expect("39 01 01 1f 39 d3 d3 10"); /* more than nine bits hold: the rest follows */
	input.pointer(input.opaque, 0, 0, -20, INPUT_EXTRA);
	expect("08 00 00 27 08 00 00 27 08 00 00 26");
	to_mouse(0xf6);
	expect("fa");
	to_mouse(0xf2);
	expect("fa 04");
	to_mouse(0x01);
	expect("fe");
	bench_free(b);
}

static void mouse_modes(void **state)
{
	(void)state;
	start();
	set_mode(0x47);
	to_mouse(0xf0); /* remote: only when asked */
	expect("fa");
	input.pointer(input.opaque, 1, 2, 0, INPUT_RIGHT);
	assert_int_equal(next(), -1);
	to_mouse(0xeb);
	expect("fa 2a 01 fe");
	to_mouse(0xe9);
	expect("fa 41 02 64");
	to_mouse(0xee); /* wrap: an echo */
	expect("fa");
	to_mouse(0xf4);
	expect("f4");
	to_mouse(0xec);
	expect("fa");
	to_mouse(0xea);
	expect("fa");
	to_mouse(0xf4);
	expect("fa");
	to_mouse(0xe7); /* 2:1 */
	expect("fa");
	input.pointer(input.opaque, 10, 0, 0, INPUT_RIGHT);
	expect("0a 14 00");
	to_mouse(0xe8);
	expect("fa");
	to_mouse(0x03);
	expect("fa");
	to_mouse(0xe9);
	expect("fa 31 03 64");
	/* clicks survive a busy guest, motion adds up */
	to_mouse(0xe6);
	expect("fa");
	for (unsigned i = 0; i < 5; i++)
		input.pointer(input.opaque, 1, 0, 0, 0);
	input.pointer(input.opaque, 0, 0, 0, INPUT_LEFT);
	input.pointer(input.opaque, 0, 0, 0, 0);
	expect("08 01 00 09 04 00 08 00 00");
	bench_free(b);
}

static void saved_and_loaded(void **state)
{
	(void)state;
	start();
	set_mode(0x47);
	to_mouse(0xf4);
	expect("fa");
	press(INPUT_A);
	input.pointer(input.opaque, 1, 1, 0, 0);
	input.key(input.opaque, INPUT_LEFTSHIFT, true);
	bench_round_trip(b, kbc);
	expect("1e 9e 2a 28 01 ff");
	input.key(input.opaque, INPUT_LEFTSHIFT, false);
	expect("aa");
	bench_free(b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(controller_probe), cmocka_unit_test(gate_and_reset), cmocka_unit_test(keyboard_probe),
		cmocka_unit_test(scan_codes), cmocka_unit_test(every_key_round_trips), cmocka_unit_test(bytes_take_their_time),
		cmocka_unit_test(typematic), cmocka_unit_test(overrun), cmocka_unit_test(mouse_probe), cmocka_unit_test(mouse_modes),
		cmocka_unit_test(saved_and_loaded),
	};

	return cmocka_run_group_tests_name("dev.i8042", tests, NULL, NULL);
}
