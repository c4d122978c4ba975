/* SPDX-License-Identifier: MIT */
/* QEMU's pc-testdev, which unit tests for hypervisors use: ports e0h-e3h and e8h-ebh, a dword that echoes (the latter one byte
 * at a time); port e4h, a page to drop from host mappings (nothing to do here: no mapping outlives a change); ports 2000h-2017h,
 * one interrupt line each; 64 KiB of memory that is a device at ff000000h.
 *
 * Output pins "irq0".."irq23". */
#include "hw/device.h"

#define MEMORY_SIZE 0x10000
#define MEMORY_BASE 0xff000000u
#define LINES 24

struct testdev_state {
	u32 data;
	u32 lines;
	u8 memory[MEMORY_SIZE];
};

struct testdev {
	struct device device;
	struct testdev_state state;
	struct region dword, flush, bytes, irq, memory;
};

static u64 data_read(void *opaque, u64 offset, unsigned size)
{
	return ((struct testdev *)opaque)->state.data >> (offset & 3) * 8 & mask_bytes(size);
}

static void data_write(void *opaque, u64 offset, u64 value, unsigned size)
{
	u32 *data = &((struct testdev *)opaque)->state.data, mask = mask_bytes(size) << (offset & 3) * 8;

	*data = (*data & ~mask) | ((value << (offset & 3) * 8) & mask);
}
static const struct region_ops dword_ops = {.read = data_read, .write = data_write, .max = 4};
static const struct region_ops bytes_ops = {.read = data_read, .write = data_write, .max = 1};
static const struct region_ops flush_ops = {.min = 4, .max = 4};

static u64 irq_read(void *opaque, u64 offset, unsigned size)
{
	(void)size;
	return ((struct testdev *)opaque)->state.lines >> (offset % LINES) & 1;
}

static void irq_write(void *opaque, u64 offset, u64 value, unsigned size)
{
	struct testdev *t = opaque;
	unsigned n = offset % LINES;

	(void)size;
	t->state.lines = value ? t->state.lines | BIT(n) : t->state.lines & ~BIT(n);
	irq_set(&t->device.out[n], value);
}
static const struct region_ops irq_ops = {.read = irq_read, .write = irq_write, .max = 1};

static u64 memory_read(void *opaque, u64 offset, unsigned size)
{
	u64 value = 0;

	if (offset + size <= MEMORY_SIZE)
		memcpy(&value, ((struct testdev *)opaque)->state.memory + offset, size);
	return value;
}

static void memory_write(void *opaque, u64 offset, u64 value, unsigned size)
{
	if (offset + size <= MEMORY_SIZE)
		memcpy(((struct testdev *)opaque)->state.memory + offset, &value, size);
}
static const struct region_ops memory_ops = {.read = memory_read, .write = memory_write, .max = 8};

static bool testdev_init(struct device *device, struct err *err)
{
	struct testdev *t = (struct testdev *)device;
	const struct {
		struct region *region;
		u16 port, size;
		const struct region_ops *ops;
	} ports[] = {
		{&t->dword, 0xe0, 4, &dword_ops}, {&t->flush, 0xe4, 4, &flush_ops}, {&t->bytes, 0xe8, 4, &bytes_ops},
		{&t->irq, 0x2000, LINES, &irq_ops},
	};

	(void)err;
	for (unsigned i = 0; i < ARRAY_LEN(ports); i++) {
		*ports[i].region = (struct region){.name = "testdev", .size = ports[i].size, .ops = ports[i].ops, .opaque = t};
		bus_map_io(device->machine->bus, ports[i].region, ports[i].port);
	}
	t->memory = (struct region){.name = "testdev.memory", .size = MEMORY_SIZE, .ops = &memory_ops, .opaque = t};
	bus_map(device->machine->bus, &t->memory, MEMORY_BASE, MAP_DEVICE);
	return true;
}

static void drive_all(struct testdev *t)
{
	for (unsigned n = 0; n < LINES; n++)
		irq_set(&t->device.out[n], t->state.lines & BIT(n));
}

static void testdev_reset(struct device *device)
{
	struct testdev *t = (struct testdev *)device;

	memset(&t->state, 0, sizeof t->state);
	drive_all(t);
}

static void testdev_loaded(struct device *device)
{
	struct testdev *t = (struct testdev *)device;

	t->state.lines &= BIT(LINES) - 1;
	drive_all(t);
}

static void testdev_destroy(struct device *device)
{
	struct testdev *t = (struct testdev *)device;
	struct region *regions[] = {&t->dword, &t->flush, &t->bytes, &t->irq, &t->memory};

	for (unsigned i = 0; i < ARRAY_LEN(regions); i++)
		bus_unmap(device->machine->bus, regions[i]);
}

static unsigned testdev_line(const struct device *device, unsigned n)
{
	(void)device;
	return n;
}

static const struct field testdev_fields[] = {
	FIELD(struct testdev_state, data, "the echo dword"),
	FIELD(struct testdev_state, lines, "interrupt lines"),
	FIELD(struct testdev_state, memory, "device memory"),
	FIELD_END,
};
static const char *const testdev_pins[] = {"irq0", "irq1", "irq2", "irq3", "irq4", "irq5", "irq6", "irq7", "irq8", "irq9", "irq10",
                                           "irq11", "irq12", "irq13", "irq14", "irq15", "irq16", "irq17", "irq18", "irq19",
                                           "irq20", "irq21", "irq22", "irq23", NULL};

DEVICE(testdev) = {
	.name = "pc-testdev",
	.desc = "test device for hypervisor unit tests",
	.size = sizeof(struct testdev),
	.state_offset = offsetof(struct testdev, state),
	.state_size = sizeof(struct testdev_state),
	.fields = testdev_fields,
	.pins = testdev_pins,
	.user = true,
	.line = testdev_line,
	.init = testdev_init,
	.reset = testdev_reset,
	.loaded = testdev_loaded,
	.destroy = testdev_destroy,
};
