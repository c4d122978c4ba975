/* SPDX-License-Identifier: MIT */
/* System control port A (92h): the fast A20 gate and fast reset of the PS/2 and its heirs, and the gate itself, which the
 * keyboard controller moves too. 82371SB datasheet, 2.5.4.3.
 * Whoever writes last decides, as on QEMU's pc. Not implemented: the lock of the password memory, the activity light (storage).
 *
 * Input pin 0: the keyboard controller's A20 output. Invariant: the bus's A20 mask follows state.a20. */
#include "hw/device.h"

enum { FAST_RESET = 1 << 0, A20_OPEN = 1 << 1 };

struct port92_state {
	u8 value; /* without the A20 bit */
	u8 a20;
	u8 pin;   /* level of the input */
	u8 pad;
};

struct port92 {
	struct device device;
	struct port92_state state;
	struct region region;
};

TRACE_EVENT(ev_a20, "port92.a20");
TRACE_EVENT(ev_reset, "port92.reset");

static void set_a20(struct port92 *p, bool open)
{
	TRACE(ev_a20, "%s", open ? "open" : "closed");
	p->state.a20 = open;
	bus_set_a20(p->device.machine->bus, open);
}

static void port92_input(struct device *device, unsigned n, bool level)
{
	struct port92 *p = (struct port92 *)device;

	if (n || p->state.pin == level)
		return;
	p->state.pin = level;
	set_a20(p, level);
}

static u64 port92_read(void *opaque, u64 offset, unsigned size)
{
	const struct port92_state *s = &((struct port92 *)opaque)->state;

	(void)offset, (void)size;
	return s->value | (s->a20 ? A20_OPEN : 0);
}

static void port92_write(void *opaque, u64 offset, u64 value, unsigned size)
{
	struct port92 *p = opaque;
	const struct machine_ops *ops = &p->device.machine->ops;
	bool rises = value & FAST_RESET && !(p->state.value & FAST_RESET);

	(void)offset, (void)size;
	p->state.value = value & ~A20_OPEN;
	set_a20(p, value & A20_OPEN);
	if (!rises)
		return;
	TRACE(ev_reset, "%02x", (unsigned)value);
	if (ops->request)
		ops->request(ops->opaque, MACHINE_RESET, 0);
}
static const struct region_ops port92_ops = {.read = port92_read, .write = port92_write, .max = 1};

static bool port92_init(struct device *device, struct err *err)
{
	struct port92 *p = (struct port92 *)device;

	(void)err;
	p->region = (struct region){.name = "port92", .size = 1, .ops = &port92_ops, .opaque = p};
	bus_map_io(device->machine->bus, &p->region, 0x92);
	return true;
}

static void port92_reset(struct device *device)
{
	struct port92 *p = (struct port92 *)device;

	p->state.value = 0;
	set_a20(p, true);
}

static void port92_loaded(struct device *device)
{
	struct port92 *p = (struct port92 *)device;

	p->state.value &= ~A20_OPEN;
	p->state.a20 &= 1;
	p->state.pin &= 1;
	set_a20(p, p->state.a20);
}

static void port92_destroy(struct device *device)
{
	bus_unmap(device->machine->bus, &((struct port92 *)device)->region);
	bus_set_a20(device->machine->bus, true);
}

static const struct field port92_fields[] = {
	FIELD(struct port92_state, value, "port 92h less A20"),
	FIELD(struct port92_state, a20, "the A20 gate is open"),
	FIELD(struct port92_state, pin, "the keyboard controller's A20 output"),
	FIELD(struct port92_state, pad, ""),
	FIELD_END,
};

DEVICE(port92) = {
	.name = "port92",
	.desc = "system control port A: fast A20 and reset",
	.size = sizeof(struct port92),
	.state_offset = offsetof(struct port92, state),
	.state_size = sizeof(struct port92_state),
	.fields = port92_fields,
	.init = port92_init,
	.reset = port92_reset,
	.input = port92_input,
	.loaded = port92_loaded,
	.destroy = port92_destroy,
};
