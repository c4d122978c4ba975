/* SPDX-License-Identifier: MIT */
/* Every device of the catalogue through its field table:
 *  - the table covers the state byte by byte;
 *  - any bytes at all are a state that can be loaded, and what loading made of them saves and loads unchanged;
 *  - a device that was driven at random, saved, and loaded into a fresh one goes on exactly like the original: same answers,
 *    same pins, same state. A member that matters and is not saved shows here. */
#include <stdlib.h>

#include "hw/chipset/lapic.h"
#include "hw/chipset/pic.h"
#include "hw/input/i8042.h"
#include "tests/dev/bench.h"

#define RANDOM_STATES 300
#define RANDOM_LIVES 60
#define STEPS 300
#define PINS DEVICE_PINS

struct rig {
	struct bench *b;
	struct device *device;
	struct chardev chardev;
	struct wire pin[PINS];
	u64 heard; /* a sum of what went to the character device */
};

static void host_write(void *opaque, const u8 *data, size_t len)
{
	struct rig *r = opaque;

	for (size_t i = 0; i < len; i++)
		r->heard = r->heard * 31 + data[i];
}

static void rig_open(struct rig *r, const struct device_class *class, u64 now)
{
	memset(r, 0, sizeof *r);
	r->b = bench_new();
	r->b->now = now;
	if (strcmp(class->name, "i440fx"))
		bench_add(r->b, "i440fx", NULL);
	r->device = bench_create(r->b, class->name, NULL);
	r->chardev = (struct chardev){.write = host_write, .opaque = r};
	r->device->chardev = &r->chardev;
	for (unsigned i = 0; class->pins && class->pins[i]; i++)
		bench_tie(r->b, r->device, class->pins[i], &r->pin[i]);
	bench_start(r->device);
}

static void copy_state(struct rig *from, struct rig *to)
{
	const struct device_class *class = from->device->class;
	struct field_buf buf = {0};
	struct err err = {0};

	field_save(&buf, class->name, class->fields, device_state(from->device));
	if (!field_load(&buf, class->name, class->fields, device_state(to->device), class->state_size, &err))
		fail_msg("%s: %s", class->name, err.text);
	field_buf_free(&buf);
	if (class->loaded)
		class->loaded(to->device);
}

static void expect_equal(struct rig *a, struct rig *c, const char *when)
{
	const struct device_class *class = a->device->class;
	char text[256];

	if (field_differ(class->fields, device_state(a->device), device_state(c->device), text, sizeof text))
		fail_msg("%s: %s: %s", class->name, when, text);
	for (unsigned i = 0; i < PINS; i++)
		if (a->pin[i].level != c->pin[i].level || a->pin[i].rises != c->pin[i].rises)
			fail_msg("%s: %s: pin %s differs", class->name, when, class->pins[i]);
	if (a->heard != c->heard)
		fail_msg("%s: %s: different output", class->name, when);
}

static void forget_pins(struct rig *r)
{
	for (unsigned i = 0; i < PINS; i++)
		r->pin[i].rises = r->pin[i].falls = 0;
	r->heard = 0;
}

/* ---- the table ---- */
static void coverage(void **state)
{
	struct err err = {0};

	(void)state;
	for (const struct device_class *c = device_first(); c; c = c->next)
		if (c->state_size && !field_cover(c->fields, c->state_size, c->name, &err))
			fail_msg("%s", err.text);
}

/* ---- any bytes ---- */
static void scramble(u8 *bytes, size_t size, u64 *seed)
{
	unsigned kind = unit_random(seed) % 4;

	for (size_t i = 0; i < size; i++) {
		u64 r = unit_random(seed);

		bytes[i] = kind == 0 ? r : kind == 1 ? (r % 8 ? 0 : r >> 8) : kind == 2 ? r % 5 : (r & 1 ? 0xff : 0);
	}
}

static void any_bytes(void **state)
{
	u64 seed = 0x5eed;

	(void)state;
	for (const struct device_class *c = device_first(); c; c = c->next) {
		struct rig a, d;

		if (!c->state_size)
			continue;
		rig_open(&a, c, 12345678);
		rig_open(&d, c, 12345678);
		for (unsigned i = 0; i < RANDOM_STATES; i++) {
			scramble(device_state(a.device), c->state_size, &seed);
			copy_state(&a, &a);
			copy_state(&a, &d);
			forget_pins(&a);
			forget_pins(&d);
			expect_equal(&a, &d, "after loading arbitrary bytes");
			bench_advance(a.b, unit_random(&seed) % (50 * MS));
			bench_advance(d.b, a.b->now - d.b->now);
			expect_equal(&a, &d, "some time later");
		}
		bench_free(a.b);
		bench_free(d.b);
	}
}

/* ---- lives ---- */
static const struct map_range *pick(const struct map *map, u64 *seed)
{
	return map->count ? &map->ranges[unit_random(seed) % map->count] : NULL;
}

/* What reaches a device otherwise than by bus and pins. */
static u64 stimulate_inside(struct rig *r, u64 at, u64 value)
{
	const char *name = r->device->class->name;
	u8 byte = value;

	if (r->chardev.can_receive && r->chardev.can_receive(r->chardev.device))
		r->chardev.receive(r->chardev.device, &byte, 1);
	if (!strcmp(name, "i8042")) {
		struct input input = i8042_input(r->device);

		input.key(input.opaque, value, at & 1);
		input.pointer(input.opaque, (i8)at, (i8)(at >> 8), (i8)(at >> 16) / 32, at >> 24 & 0x1f);
	} else if (!strcmp(name, "pic")) {
		return pic_acknowledge(r->device);
	} else if (!strcmp(name, "lapic")) {
		switch (at % 8) {
		case 0:
			return lapic_read(r->device, at >> 8 & 0x3f0);
		case 1:
			return lapic_acknowledge(r->device);
		case 2:
			lapic_set_tsc_deadline(r->device, r->b->now + value);
			return lapic_get_tsc_deadline(r->device);
		case 3:
			return lapic_deliver(r->device, value, at >> 8 & 7, at >> 11 & 1);
		default:
			lapic_write(r->device, at >> 8 & 0x3f0, value);
			if (at % 64 == 7)
				lapic_write(r->device, 0xf0, 0x1ff);
			break;
		}
	}
	return 0;
}

/* Memory of its own is saved beside a device's state. */
static void copy_memory(const struct rig *from, const struct rig *to)
{
	for (const struct region *a = from->b->bus.mem.regions; a; a = a->next)
		for (const struct region *c = to->b->bus.mem.regions; c; c = c->next)
			if (a->ram && c->ram && a->ram != from->b->ram && !strcmp(a->name, c->name) && a->start == c->start &&
			    a->size == c->size)
				memcpy(c->ram->hva + c->ram_offset, a->ram->hva + a->ram_offset, a->size);
}

/* One random thing that happens to a device; what the guest reads, summed up. */
static u64 stimulate(struct rig *r, u64 *seed)
{
	struct bench *b = r->b;
	unsigned what = unit_random(seed) % 16, size = 1u << unit_random(seed) % 3;
	const struct map_range *io = pick(&b->bus.io, seed), *mem = pick(&b->bus.mem, seed);
	u64 at = unit_random(seed), value = unit_random(seed);

	if (unit_random(seed) % 2)
		value &= 0xff;
	if (!strcmp(r->device->class->name, "lapic") && what < 13)
		return stimulate_inside(r, at, value); /* it is on no bus */
	if (what < 7) {
		bus_out(&b->bus, io->first + at % (io->last - io->first + 1), value, size);
	} else if (what < 10) {
		return bus_in(&b->bus, io->first + at % (io->last - io->first + 1), size);
	} else if (what < 13) {
		at = mem->first + at % MIN(mem->last - mem->first + 1, 0x1000);
		if (what == 10)
			return bus_read(&b->bus, at, size);
		bus_write(&b->bus, at, value, size);
	} else if (what == 13) {
		bench_advance(b, value % 20 ? at % MS : at % (NS_PER_S * 2));
	} else if (what == 14 && r->device->class->input) {
		bench_input(r->device, value % 32, at & 1);
	} else if (what == 15) {
		return stimulate_inside(r, at, value);
	}
	return 0;
}

static void lives(void **state)
{
	u64 seed = 0x11fe;

	(void)state;
	for (const struct device_class *c = device_first(); c; c = c->next) {
		for (unsigned life = 0; c->state_size && life < RANDOM_LIVES; life++) {
			struct rig a, d;
			u64 seed2;

			rig_open(&a, c, 1000 * life);
			for (unsigned i = 0; i < STEPS; i++)
				stimulate(&a, &seed);
			rig_open(&d, c, a.b->now);
			copy_state(&a, &d);
			/* the host bridge beside it has a state of its own */
			if (strcmp(c->name, "i440fx")) {
				struct rig from = {.b = a.b, .device = a.b->devices[0]}, to = {.b = d.b, .device = d.b->devices[0]};

				copy_state(&from, &to);
			}
			copy_memory(&a, &d);
			memcpy(d.b->ram->hva, a.b->ram->hva, a.b->ram->size);
			forget_pins(&a);
			forget_pins(&d);
			expect_equal(&a, &d, "after loading a lived state");
			seed2 = seed;
			for (unsigned i = 0; i < STEPS; i++) {
				u64 want = stimulate(&a, &seed), got = stimulate(&d, &seed2);

				if (want != got)
					fail_msg("%s: step %u reads %llx, the original %llx", c->name, i, (unsigned long long)got,
					         (unsigned long long)want);
				expect_equal(&a, &d, "while living on");
			}
			bench_free(a.b);
			bench_free(d.b);
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(coverage),
		cmocka_unit_test(any_bytes),
		cmocka_unit_test(lives),
	};

	return cmocka_run_group_tests_name("state.devices", tests, NULL, NULL);
}
