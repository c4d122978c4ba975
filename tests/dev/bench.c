/* SPDX-License-Identifier: MIT */
/* The bare machine of the device tests; see bench.h. Its lock is held throughout, as in a device's callback. */
#include "tests/dev/bench.h"

#include <stdlib.h>

static void note_request(void *opaque, enum machine_request what, int value)
{
	struct bench *b = opaque;

	b->requests[what]++;
	b->request_value = value;
}

struct bench *bench_new(void)
{
	struct bench *b = err_alloc(sizeof *b);
	struct err err = {0};

	b->clock = clock_new();
	clock_count_instructions(b->clock, &b->now, 0);
	clock_set_calendar(b->clock, 946684800 * NS_PER_S); /* 2000-01-01 */
	clock_start(b->clock);
	b->loop = loop_new(b->clock, &err);
	assert_non_null(b->loop);
	loop_lock(b->loop);
	bus_init(&b->bus, b->loop);
	b->ram = ram_new("ram", 2 << 20, false, false, &err);
	assert_non_null(b->ram);
	b->ram_region = (struct region){.name = "ram", .size = 2 << 20, .ram = b->ram};
	bus_map(&b->bus, &b->ram_region, 0, MAP_RAM);
	b->machine = (struct machine){
		.bus = &b->bus, .clock = b->clock, .loop = b->loop, .ops = {.request = note_request, .opaque = b}, .ram = b->ram,
		.ram_size = 2 << 20, .ram_below_4g = 2 << 20, .cpus = 1,
	};
	return b;
}

void bench_free(struct bench *b)
{
	for (unsigned i = 0; i < b->device_count; i++)
		device_free(b->devices[i]);
	assert_null(b->machine.pci);
	assert_null(b->machine.apic);
	assert_true(clock_deadline(b->clock) == CLOCK_NEVER);
	bus_free(&b->bus);
	ram_free(b->ram);
	loop_unlock(b->loop);
	loop_free(b->loop);
	clock_free(b->clock);
	free(b);
}

struct device *bench_create(struct bench *b, const char *class_name, const char *options)
{
	struct err err = {0};
	struct device *device;
	char id[64];

	snprintf(id, sizeof id, "%s.%u", class_name, b->device_count);
	device = device_create(class_name, id, options, &b->machine, &err);
	if (!device)
		fail_msg("%s", err.text);
	assert_true(b->device_count < ARRAY_LEN(b->devices));
	b->devices[b->device_count++] = device;
	return device;
}

void bench_start(struct device *device)
{
	struct err err = {0};

	if (!device_start(device, &err))
		fail_msg("%s", err.text);
}

struct device *bench_add(struct bench *b, const char *class_name, const char *options)
{
	struct device *device = bench_create(b, class_name, options);

	bench_start(device);
	return device;
}

static void move_wire(void *opaque, unsigned n, bool level)
{
	struct wire *w = opaque;

	(void)n;
	if (level && !w->level) {
		w->rises++;
		w->rose_at = clock_now(w->bench->clock);
	} else if (!level && w->level) {
		w->falls++;
	}
	w->level = level;
}

static unsigned pin_number(const struct device *device, const char *pin)
{
	for (unsigned i = 0; device->class->pins[i]; i++)
		if (!strcmp(device->class->pins[i], pin))
			return i;
	fail_msg("%s has no pin %s", device->class->name, pin);
	return 0;
}

void bench_tie(struct bench *b, struct device *device, const char *pin, struct wire *wire)
{
	wire->bench = b;
	device->out[pin_number(device, pin)] = (struct irq_line){.fn = move_wire, .opaque = wire};
}

void bench_tie_to(struct device *device, const char *pin, struct device *to, unsigned n)
{
	device->out[pin_number(device, pin)] = device_input(to, n);
}

void bench_input(struct device *device, unsigned n, bool level)
{
	device->class->input(device, n, level);
}

void bench_advance(struct bench *b, u64 ns)
{
	u64 end = b->now + ns;

	while (clock_deadline(b->clock) <= end) {
		b->now = MAX(b->now, clock_deadline(b->clock));
		clock_run(b->clock);
	}
	b->now = end;
}

void bench_round_trip(struct bench *b, struct device *device)
{
	struct field_buf buf = {0};
	struct err err = {0};

	(void)b;
	field_save(&buf, device->id, device->class->fields, device_state(device));
	memset(device_state(device), 0xa5, device->class->state_size);
	if (!field_load(&buf, device->id, device->class->fields, device_state(device), device->class->state_size, &err))
		fail_msg("%s", err.text);
	if (device->class->loaded)
		device->class->loaded(device);
	field_buf_free(&buf);
}

u8 in8(struct bench *b, u16 port) { return bus_in(&b->bus, port, 1); }
u16 in16(struct bench *b, u16 port) { return bus_in(&b->bus, port, 2); }
u32 in32(struct bench *b, u16 port) { return bus_in(&b->bus, port, 4); }
void out8(struct bench *b, u16 port, u8 value) { bus_out(&b->bus, port, value, 1); }
void out16(struct bench *b, u16 port, u16 value) { bus_out(&b->bus, port, value, 2); }
void out32(struct bench *b, u16 port, u32 value) { bus_out(&b->bus, port, value, 4); }
u64 rd(struct bench *b, u64 gpa, unsigned size) { return bus_read(&b->bus, gpa, size); }
void wr(struct bench *b, u64 gpa, u64 value, unsigned size) { bus_write(&b->bus, gpa, value, size); }

u32 cfg_read(struct bench *b, unsigned devfn, unsigned reg, unsigned size)
{
	out32(b, 0xcf8, 0x80000000u | devfn << 8 | (reg & 0xfc));
	return bus_in(&b->bus, 0xcfc + (reg & 3), size);
}

void cfg_write(struct bench *b, unsigned devfn, unsigned reg, u32 value, unsigned size)
{
	out32(b, 0xcf8, 0x80000000u | devfn << 8 | (reg & 0xfc));
	bus_out(&b->bus, 0xcfc + (reg & 3), value, size);
}
