/* SPDX-License-Identifier: MIT */
/* The debug console of Bochs and QEMU: a byte written to one port is a character for the host. Reading gives e9h, by which
 * guests find out that it is there. */
#include "hw/device.h"

struct debugcon {
	struct device device;
	u64 iobase, readback; /* options */
	struct region region;
};

static u64 debugcon_read(void *opaque, u64 offset, unsigned size)
{
	(void)offset, (void)size;
	return ((struct debugcon *)opaque)->readback;
}

static void debugcon_write(void *opaque, u64 offset, u64 value, unsigned size)
{
	struct debugcon *d = opaque;
	const struct chardev *c = d->device.chardev;
	u8 byte = value;

	(void)offset, (void)size;
	if (c && c->write)
		c->write(c->opaque, &byte, 1);
}
static const struct region_ops debugcon_ops = {.read = debugcon_read, .write = debugcon_write, .max = 1};

static bool debugcon_init(struct device *device, struct err *err)
{
	struct debugcon *d = (struct debugcon *)device;

	(void)err;
	if (!d->iobase)
		d->iobase = 0xe9;
	if (!d->readback)
		d->readback = 0xe9; /* whatever the port: what guests compare with */
	d->region = (struct region){.name = "debugcon", .size = 1, .ops = &debugcon_ops, .opaque = d};
	bus_map_io(device->machine->bus, &d->region, d->iobase);
	return true;
}

static void debugcon_destroy(struct device *device)
{
	struct debugcon *d = (struct debugcon *)device;

	bus_unmap(device->machine->bus, &d->region);
}

static const struct option_key debugcon_options[] = {
	{"iobase", OPTION_NUMBER, offsetof(struct debugcon, iobase), 1, 0xffff, "the port (0xe9)"},
	{"readback", OPTION_NUMBER, offsetof(struct debugcon, readback), 0, 0xff, "what reading gives (0xe9)"},
	{.key = NULL},
};

DEVICE(debugcon) = {
	.name = "isa-debugcon",
	.desc = "debug console at one port",
	.size = sizeof(struct debugcon),
	.options = debugcon_options,
	.user = true,
	.init = debugcon_init,
	.destroy = debugcon_destroy,
};
