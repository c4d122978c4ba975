/* SPDX-License-Identifier: MIT */
/* QEMU's isa-debug-exit: a value written to the port ends the emulator with exit status (value << 1) | 1. Reads give 0. */
#include "hw/device.h"

struct debug_exit {
	struct device device;
	u64 iobase, iosize; /* options */
	struct region region;
};

static u64 debug_exit_read(void *opaque, u64 offset, unsigned size)
{
	(void)opaque, (void)offset, (void)size;
	return 0;
}

static void debug_exit_write(void *opaque, u64 offset, u64 value, unsigned size)
{
	const struct machine_ops *ops = &((struct debug_exit *)opaque)->device.machine->ops;

	(void)offset, (void)size;
	if (ops->request)
		ops->request(ops->opaque, MACHINE_DEBUG_EXIT, (int)((u32)value << 1 | 1));
}
static const struct region_ops debug_exit_ops = {.read = debug_exit_read, .write = debug_exit_write, .max = 4};

static bool debug_exit_init(struct device *device, struct err *err)
{
	struct debug_exit *d = (struct debug_exit *)device;

	(void)err;
	if (!d->iobase)
		d->iobase = 0x501;
	if (!d->iosize)
		d->iosize = 4;
	d->region = (struct region){.name = "debug-exit", .size = d->iosize, .ops = &debug_exit_ops, .opaque = d};
	bus_map_io(device->machine->bus, &d->region, d->iobase);
	return true;
}

static void debug_exit_destroy(struct device *device)
{
	bus_unmap(device->machine->bus, &((struct debug_exit *)device)->region);
}

static const struct option_key debug_exit_options[] = {
	{"iobase", OPTION_NUMBER, offsetof(struct debug_exit, iobase), 1, 0xffff, "first port (0x501)"},
	{"iosize", OPTION_NUMBER, offsetof(struct debug_exit, iosize), 1, 8, "number of ports (4)"},
	{.key = NULL},
};

DEVICE(debug_exit) = {
	.name = "isa-debug-exit",
	.desc = "ends the emulator with an exit status of the guest's choice",
	.size = sizeof(struct debug_exit),
	.options = debug_exit_options,
	.user = true,
	.init = debug_exit_init,
	.destroy = debug_exit_destroy,
};
