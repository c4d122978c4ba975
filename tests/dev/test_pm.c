/* SPDX-License-Identifier: MIT */
/* ACPI power management as an OS finds it, after the board has placed its registers. */
#include "tests/dev/bench.h"

enum { PM = 1 << 3 | 3, PORT = 0x600 };
#define HZ 3579545ull

static struct bench *b;
static struct device *pm;
static struct wire sci, smi;

static void start(const char *options)
{
	b = bench_new();
	bench_add(b, "i440fx", NULL);
	sci = smi = (struct wire){0};
	pm = bench_create(b, "piix4-pm", options);
	bench_tie(b, pm, "sci", &sci);
	bench_tie(b, pm, "smi", &smi);
	bench_start(pm);
	cfg_write(b, PM, 0x40, PORT | 1, 4);
	cfg_write(b, PM, 0x80, 1, 1);
}

static void identity_and_placement(void **state)
{
	(void)state;
	start(NULL);
	assert_int_equal(cfg_read(b, PM, 0, 4), 0x71138086);
	assert_int_equal(cfg_read(b, PM, 8, 4), 0x06800003);
	assert_int_equal(cfg_read(b, PM, 0x40, 4), PORT | 1);
	assert_int_equal(in16(b, PORT + 4), 0);
	cfg_write(b, PM, 0x40, 0xffffffff, 4);
	assert_int_equal(cfg_read(b, PM, 0x40, 4), 0xffc1);
	cfg_write(b, PM, 0x40, 0xb000, 4);
	assert_int_equal(in16(b, PORT + 4), 0xffff);
	assert_int_equal(in16(b, 0xb004), 0);
	cfg_write(b, PM, 0x80, 0, 1);
	assert_int_equal(in16(b, 0xb004), 0xffff);
	bench_free(b);
}

/* Linux's init_acpi_pm_clocksource reads it twice and wants it to move; then it is a clock. */
static void timer(void **state)
{
	(void)state;
	start(NULL);
	assert_int_equal(in32(b, PORT + 8), 0);
	bench_advance(b, NS_PER_S);
	assert_int_equal(in32(b, PORT + 8), HZ);
	bench_advance(b, 4 * NS_PER_S);
	assert_int_equal(in32(b, PORT + 8), (5 * HZ) & 0xffffff);
	assert_int_equal(in8(b, PORT + 11), 0);
	assert_int_equal(in16(b, PORT) & 1, 1); /* bit 23 has turned */
	bench_free(b);
	start("timer32=on");
	bench_advance(b, 100 * NS_PER_S);
	assert_int_equal(in32(b, PORT + 8), 100 * HZ);
	bench_free(b);
}

static void timer_interrupt(void **state)
{
	u64 half = (BIT(23) * NS_PER_S + HZ - 1) / HZ;

	(void)state;
	start(NULL);
	out16(b, PORT + 2, 0x0001);
	bench_advance(b, half + 1);
	assert_false(sci.level); /* ACPI is not enabled */
	out8(b, 0xb2, 0xf1);
	assert_int_equal(in16(b, PORT + 4) & 1, 1);
	assert_true(sci.level);
	out16(b, PORT, 0x0001);
	assert_false(sci.level);
	bench_advance(b, half - 4);
	assert_false(sci.level);
	bench_advance(b, 4);
	assert_true(sci.level);
	out8(b, 0xb2, 0xf0);
	assert_false(sci.level);
	assert_int_equal(in16(b, PORT + 4) & 1, 0);
	bench_free(b);
}

static void power_button(void **state)
{
	(void)state;
	start(NULL);
	out8(b, 0xb2, 0xf1);
	bench_input(pm, 0, true);
	assert_false(sci.level);
	assert_int_equal(in16(b, PORT), 0x0100);
	out16(b, PORT, 0x0100);
	out16(b, PORT + 2, 0x0120);
	bench_input(pm, 0, true); /* pressed again, whether or not it was let go */
	assert_true(sci.level);
	out8(b, PORT + 1, 0x01); /* byte-wise */
	assert_false(sci.level);
	bench_free(b);
}

static void sleep_states(void **state)
{
	(void)state;
	start(NULL);
	out16(b, PORT + 4, 0x0001);
	assert_int_equal(b->requests[MACHINE_POWER_OFF], 0);
	out16(b, PORT + 4, 5 << 10 | 0x2001); /* reserved type */
	assert_int_equal(b->requests[MACHINE_POWER_OFF] + b->requests[MACHINE_SUSPEND], 0);
	out16(b, PORT + 4, 1 << 10 | 0x2001);
	assert_int_equal(b->requests[MACHINE_SUSPEND], 1);
	out16(b, PORT + 4, 0x2001);
	assert_int_equal(b->requests[MACHINE_POWER_OFF], 1);
	assert_int_equal(in16(b, PORT + 4), 0x0001); /* SLP_EN reads 0 */
	out8(b, PORT + 5, 0x20); /* byte-wise */
	assert_int_equal(b->requests[MACHINE_POWER_OFF], 2);
	bench_free(b);
}

static void general_purpose_events(void **state)
{
	(void)state;
	start(NULL);
	out16(b, 0xafe2, 0x1234);
	assert_int_equal(in16(b, 0xafe2), 0x1234);
	assert_int_equal(in16(b, 0xafe0), 0);
	assert_false(sci.level);
	bench_free(b);
}

static void smi_command(void **state)
{
	(void)state;
	start(NULL);
	out8(b, 0xb3, 0x42);
	out8(b, 0xb2, 0x01);
	assert_int_equal(smi.rises, 0);
	assert_int_equal(in8(b, 0xb2) | in8(b, 0xb3) << 8, 0x4201);
	cfg_write(b, PM, 0x5b, 0x02, 1);
	out8(b, 0xb2, 0x01);
	assert_int_equal(smi.rises, 1);
	out8(b, PORT + 0x28, 1); /* GLBCTL */
	assert_int_equal(in32(b, PORT + 0x28), 1);
	bench_free(b);
	/* a machine without SMM has the handler's bit set, so that firmware does not wait for one */
	start("no-smm");
	assert_int_equal(cfg_read(b, PM, 0x5b, 1), 0x02);
	out8(b, 0xb2, 0x01);
	assert_int_equal(smi.rises, 0);
	bench_free(b);
}

/* i2c-piix4: finds the controller enabled and idle, and nobody at home. */
static void smbus(void **state)
{
	u16 base;

	(void)state;
	start(NULL);
	base = cfg_read(b, PM, 0x90, 2) & 0xfff0;
	assert_int_equal(cfg_read(b, PM, 0xd2, 1) & 1, 1);
	assert_int_equal(in8(b, base), 0);
	out8(b, base + 4, 0xa0);
	out8(b, base + 3, 0x00);
	out8(b, base + 2, 0x48);
	assert_int_equal(in8(b, base) & 0x01, 0);
	assert_int_equal(in8(b, base) & 0x04, 0x04);
	out8(b, base, 0x04);
	assert_int_equal(in8(b, base), 0);
	out8(b, base + 2, 0x02);
	assert_int_equal(in8(b, base), 0x10);
	bench_free(b);
}

static void saved_and_loaded(void **state)
{
	(void)state;
	start(NULL);
	out8(b, 0xb2, 0xf1);
	out16(b, PORT + 2, 0x0100);
	bench_input(pm, 0, true);
	bench_round_trip(b, pm);
	assert_true(sci.level);
	assert_int_equal(in16(b, PORT + 2), 0x0100);
	out16(b, PORT, 0x0100);
	assert_false(sci.level);
	bench_free(b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(identity_and_placement), cmocka_unit_test(timer), cmocka_unit_test(timer_interrupt),
		cmocka_unit_test(power_button), cmocka_unit_test(sleep_states), cmocka_unit_test(general_purpose_events),
		cmocka_unit_test(smi_command), cmocka_unit_test(smbus), cmocka_unit_test(saved_and_loaded),
	};

	return cmocka_run_group_tests_name("dev.pm", tests, NULL, NULL);
}
