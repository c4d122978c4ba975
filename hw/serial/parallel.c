/* SPDX-License-Identifier: MIT */
/* A parallel port with a printer that prints to the host, and is busy only while the host keeps too much that nobody reads. IBM
 * PC/AT Technical Reference, printer adapter; IEEE 1284 compatibility mode.
 * Not implemented: EPP and ECP; a device that sends (reading the data lines turned around gives FFh).
 *
 * The printer takes a byte when the strobe goes on and acknowledges it when the strobe goes off. Output pin "irq": the
 * acknowledgement, while interrupts are enabled, until the status is read. */
#include "hw/device.h"

enum { REG_DATA, REG_STATUS, REG_CONTROL };
enum status { ST_NO_ERROR = 1 << 3, ST_SELECTED = 1 << 4, ST_NO_ACK = 1 << 6, ST_READY = 1 << 7, ST_UNUSED = 0x07 };
enum control { CT_STROBE = 1 << 0, CT_NO_RESET = 1 << 2, CT_SELECT = 1 << 3, CT_IRQ = 1 << 4, CT_INPUT = 1 << 5,
	       CT_MASK = 0x3f, CT_UNUSED = 0xc0 };

struct parallel_state {
	u8 data, control;
	u8 acknowledged; /* not 0: the interrupt is due */
	u8 busy;         /* not 0: the last byte's acknowledgement waits for the host */
};

struct parallel {
	struct device device;
	u64 iobase; /* option */
	struct parallel_state state;
	struct region region;
};

TRACE_EVENT(ev_byte, "parallel.byte");

static void update(struct parallel *p)
{
	irq_set(&p->device.out[0], p->state.acknowledged && p->state.control & CT_IRQ);
}

static u64 parallel_read(void *opaque, u64 offset, unsigned size)
{
	struct parallel *p = opaque;
	struct parallel_state *s = &p->state;
	u8 status = ST_UNUSED | ST_NO_ERROR | ST_SELECTED;

	(void)size;
	switch (offset) {
	case REG_DATA:
		return s->control & CT_INPUT ? 0xff : s->data;
	case REG_STATUS:
		status |= s->control & CT_STROBE || s->busy ? 0 : ST_READY;
		status |= s->acknowledged ? 0 : ST_NO_ACK;
		s->acknowledged = 0;
		update(p);
		return status;
	default:
		return CT_UNUSED | s->control;
	}
}

static void take_byte(struct parallel *p)
{
	struct chardev *c = p->device.chardev;

	TRACE(ev_byte, "%02x", p->state.data);
	if (c)
		c->write(c->opaque, &p->state.data, 1);
	p->state.busy = chardev_full(c);
}

static void acknowledge(struct parallel *p)
{
	p->state.acknowledged = !p->state.busy && !(p->state.control & CT_STROBE);
	update(p);
}

/* The host takes bytes again. */
static void ready(void *opaque)
{
	struct parallel *p = opaque;

	if (!p->state.busy)
		return;
	p->state.busy = 0;
	acknowledge(p);
}

static void parallel_write(void *opaque, u64 offset, u64 value, unsigned size)
{
	struct parallel *p = opaque;
	struct parallel_state *s = &p->state;
	u8 old = s->control;

	(void)size;
	if (offset == REG_DATA)
		s->data = value;
	if (offset != REG_CONTROL)
		return;
	s->control = value & CT_MASK;
	if (s->control & CT_NO_RESET && (s->control ^ old) & CT_STROBE) {
		if (s->control & CT_STROBE)
			take_byte(p);
		else
			acknowledge(p);
	}
	update(p);
}
static const struct region_ops parallel_ops = {.read = parallel_read, .write = parallel_write, .max = 1};

static bool parallel_init(struct device *device, struct err *err)
{
	struct parallel *p = (struct parallel *)device;

	(void)err;
	if (!p->iobase)
		p->iobase = 0x378;
	if (device->chardev) {
		device->chardev->device = p;
		device->chardev->ready = ready;
	}
	p->region = (struct region){.name = "parallel", .size = 3, .ops = &parallel_ops, .opaque = p};
	bus_map_io(device->machine->bus, &p->region, (u16)p->iobase);
	return true;
}

static void parallel_reset(struct device *device)
{
	struct parallel *p = (struct parallel *)device;

	p->state = (struct parallel_state){.control = CT_NO_RESET | CT_SELECT};
	update(p);
}

static void parallel_loaded(struct device *device)
{
	struct parallel *p = (struct parallel *)device;

	p->state.control &= CT_MASK;
	if (p->state.busy && !chardev_full(device->chardev))
		ready(p);
	update(p);
}

static void parallel_destroy(struct device *device)
{
	if (device->chardev) {
		device->chardev->device = NULL;
		device->chardev->ready = NULL;
	}
	bus_unmap(device->machine->bus, &((struct parallel *)device)->region);
}

static const struct field parallel_fields[] = {
	FIELD(struct parallel_state, data, "data lines"),
	FIELD(struct parallel_state, control, "control register"),
	FIELD(struct parallel_state, acknowledged, "the acknowledgement's interrupt is due"),
	FIELD(struct parallel_state, busy, "the acknowledgement waits for the host"),
	FIELD_END,
};
static const struct option_key parallel_options[] = {
	{"iobase", OPTION_NUMBER, offsetof(struct parallel, iobase), 0x100, 0xfff0, "first port (default 0x378)"},
	{NULL},
};
static const char *const parallel_pins[] = {"irq", NULL};

DEVICE(parallel) = {
	.name = "isa-parallel",
	.desc = "parallel port with a printer",
	.size = sizeof(struct parallel),
	.state_offset = offsetof(struct parallel, state),
	.state_size = sizeof(struct parallel_state),
	.fields = parallel_fields,
	.options = parallel_options,
	.pins = parallel_pins,
	.init = parallel_init,
	.reset = parallel_reset,
	.loaded = parallel_loaded,
	.destroy = parallel_destroy,
};
