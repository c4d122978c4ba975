/* SPDX-License-Identifier: MIT */
/* All devices on one bus, tied like a PC, and a guest that writes anything anywhere: nothing may crash, hang or leave memory
 * that is not its own. Meant for the sanitizer builds. */
#include "hw/chipset/dma.h"
#include "hw/chipset/lapic.h"
#include "hw/chipset/pic.h"
#include "hw/input/i8042.h"
#include "tests/dev/bench.h"

#define ROUNDS 60
#define STEPS 4000

static struct bench *b;
static struct device *pic, *ioapic, *lapic[2], *kbc, *dma;
static struct chardev chardev;
static unsigned depth, deepest;

static void gsi(void *opaque, unsigned n, bool level)
{
	(void)opaque;
	depth++;
	deepest = MAX(deepest, depth);
	assert_true(depth < 16);
	if (n < 16 && n != 2)
		bench_input(pic, n, level);
	bench_input(ioapic, n == 0 ? 2 : n, level);
	depth--;
}

static void tie_to_gsi(struct device *device, const char *pin, unsigned n)
{
	for (unsigned i = 0; device->class->pins[i]; i++)
		if (!strcmp(device->class->pins[i], pin))
			device->out[i] = (struct irq_line){.fn = gsi, .n = n};
}

static struct device *tied(const char *class_name, const char *options, const char *pin, unsigned n)
{
	struct device *d = bench_create(b, class_name, options);

	if (pin)
		tie_to_gsi(d, pin, n);
	return d;
}

static void swallow(void *opaque, const u8 *data, size_t len)
{
	(void)opaque, (void)data, (void)len;
}

static void start(void)
{
	struct device *piix3, *pit, *rtc, *hpet, *port92, *testdev, *uart;

	b = bench_new();
	bench_create(b, "i440fx", NULL);
	pic = bench_create(b, "pic", NULL);
	ioapic = bench_create(b, "ioapic", NULL);
	piix3 = bench_create(b, "piix3", NULL);
	for (unsigned i = 0; i < 16; i++)
		piix3->out[i] = (struct irq_line){.fn = gsi, .n = i};
	tied("piix4-pm", NULL, "sci", 9);
	pit = bench_create(b, "pit", NULL);
	rtc = bench_create(b, "rtc", NULL);
	hpet = tied("hpet", NULL, "legacy0", 0);
	tie_to_gsi(hpet, "legacy8", 8);
	tie_to_gsi(hpet, "irq2", 2);
	bench_tie_to(pit, "irq0", hpet, 0);
	bench_tie_to(rtc, "irq8", hpet, 1);
	dma = bench_create(b, "dma", NULL);
	kbc = tied("i8042", NULL, "irq1", 1);
	tie_to_gsi(kbc, "irq12", 12);
	port92 = bench_create(b, "port92", NULL);
	bench_tie_to(kbc, "a20", port92, 0);
	uart = tied("isa-serial", "index=0", "irq", 4);
	chardev = (struct chardev){.write = swallow};
	uart->chardev = &chardev;
	bench_create(b, "isa-debug-exit", NULL);
	testdev = bench_create(b, "pc-testdev", NULL);
	for (unsigned i = 0; i < 24; i++)
		testdev->out[i] = (struct irq_line){.fn = gsi, .n = i};
	for (unsigned i = 0; i < 2; i++) {
		lapic[i] = bench_create(b, "lapic", i ? "cpu=1" : "cpu=0");
		bench_tie_to(pic, "intr", lapic[0], 0);
	}
	for (unsigned i = 0; i < b->device_count; i++)
		bench_start(b->devices[i]);
}

/* A CPU that takes what it is given and, mostly, ends it. */
static void serve(unsigned n, u64 *seed)
{
	int vector = lapic_acknowledge(lapic[n]);

	if (vector == LAPIC_EXTINT)
		pic_acknowledge(pic);
	if (unit_random(seed) % 4) {
		lapic_write(lapic[n], 0xb0, 0);
		out8(b, 0x20, 0x20);
		out8(b, 0xa0, 0x20);
	}
}

static void step(u64 *seed)
{
	u64 what = unit_random(seed) % 20, at = unit_random(seed), value = unit_random(seed);
	unsigned size = 1u << unit_random(seed) % 3;
	const struct map_range *io = &b->bus.io.ranges[at % b->bus.io.count];
	const struct map_range *mem = &b->bus.mem.ranges[at % b->bus.mem.count];
	u8 bytes[64];
	bool terminal;

	value &= at >> 40 & 1 ? 0xff : ~0ull;
	switch (what) {
	case 0 ... 5:
		bus_out(&b->bus, io->first + (at >> 8) % (io->last - io->first + 1), value, size);
		break;
	case 6 ... 8:
		bus_in(&b->bus, io->first + (at >> 8) % (io->last - io->first + 1), size);
		break;
	case 9:
		bus_out(&b->bus, at, value, size);
		break;
	case 10:
		bus_write(&b->bus, mem->first + (at >> 8) % MIN(mem->last - mem->first + 1, 0x1000), value, size * 2);
		break;
	case 11:
		bus_read(&b->bus, mem->first + (at >> 8) % MIN(mem->last - mem->first + 1, 0x1000), size * 2);
		break;
	case 12:
		lapic_write(lapic[at & 1], at >> 8 & 0xfff, value);
		break;
	case 13:
		lapic_read(lapic[at & 1], at >> 8 & 0xfff);
		lapic_set_tsc_deadline(lapic[at & 1], value);
		break;
	case 14:
	case 15:
		serve(at & 1, seed);
		break;
	case 16:
		bench_advance(b, at % (20 * MS));
		break;
	case 17:
		cfg_write(b, (at & 1) ? 0 : 8 | (at >> 1 & 3), at >> 8 & 0xff, value, size);
		break;
	case 18:
		i8042_input(kbc).key(kbc, value, at & 1);
		i8042_input(kbc).pointer(kbc, (int)at, (int)value, (int)(at >> 32), value >> 3);
		if (chardev.can_receive(chardev.device))
			chardev.receive(chardev.device, bytes, 1);
		break;
	case 19:
		memset(bytes, value, sizeof bytes);
		dma_transfer(dma, at & 7, bytes, value % sizeof bytes, at >> 8 & 1, &terminal);
		break;
	}
}

static void storm(void **state)
{
	u64 seed = 0x57024;

	(void)state;
	for (unsigned round = 0; round < ROUNDS; round++) {
		start();
		for (unsigned i = 0; i < STEPS; i++)
			step(&seed);
		for (unsigned i = 0; i < b->device_count; i++)
			if (b->devices[i]->class->reset)
				b->devices[i]->class->reset(b->devices[i]);
		/* everything is quiet after a reset, and in order */
		bench_advance(b, NS_PER_S);
		assert_int_equal(cfg_read(b, 0, 0, 4), 0x12378086);
		assert_true(b->bus.a20_mask == ~0ull);
		bench_free(b);
	}
	assert_true(deepest >= 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(storm)};

	return cmocka_run_group_tests_name("dev.storm", tests, NULL, NULL);
}
