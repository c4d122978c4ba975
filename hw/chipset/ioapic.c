/* SPDX-License-Identifier: MIT */
/* The IOAPIC at fec00000: 24 pins, version 20h with its EOI register, as QEMU's pc has it. Intel 82093AA datasheet
 * (290566-001); the EOI register is that of the ICHs.
 * Not implemented: polarity (pins carry "asserted", whatever the voltage; the bit is storage), the arbitration id.
 *
 * The timer's edges are counted: one that finds the message of the edge before it still waiting in a local APIC is owed, and sent
 * when that one is taken. A real CPU has taken it long before; one that is emulated may have had no host time, and guests count
 * these edges as time (KVM calls it "reinjection"). No more than TICKS_OWED_MAX: a guest that keeps its interrupts disabled for
 * long has lost the others, as on hardware. Masking the pin, and programming the timer anew, forgets what is owed.
 *
 * Input pins 0-23. Invariant: `lines` mirrors the pins, through resets too. An edge on a masked pin is lost, as the datasheet
 * says; a level request waits in the pin itself. */
#include "hw/chipset/apicbus.h"
#include "hw/chipset/ticks.h"

#define PINS 24
#define TIMER 2 /* the pin of ISA interrupt 0 in a PC */
#define IOAPIC_BASE 0xfec00000u
#define IOAPIC_VERSION (0x20u | (PINS - 1) << 16)

enum rte_bits {
	RTE_LOGICAL = 1 << 11,
	RTE_REMOTE_IRR = 1 << 14,
	RTE_LEVEL = 1 << 15,
	RTE_MASKED = 1 << 16,
	RTE_WRITABLE = 0x1afff,
};

struct ioapic_state {
	u64 rte[PINS];
	u32 lines;
	u8 index, id;
	u8 owed; /* edges of the timer to be sent yet */
	u8 pad;
};

struct ioapic {
	struct device device;
	struct ioapic_state state;
	struct region region;
	struct apic_listener listener;
};

TRACE_EVENT(ev_write, "ioapic.write");
TRACE_EVENT(ev_masked, "ioapic.masked");

/* ---- pins ---- */
static struct apic_message message(u64 rte)
{
	struct apic_message m = {
		.dest = rte >> 56,
		.logical = rte & RTE_LOGICAL,
		.mode = rte >> 8 & 7,
		.vector = rte,
	};

	/* only these two have an end; the other modes are edges whatever the entry says */
	m.level = rte & RTE_LEVEL && (m.mode == APIC_FIXED || m.mode == APIC_LOWEST);
	return m;
}

static void service(struct ioapic *io, unsigned n)
{
	u64 *rte = &io->state.rte[n];
	struct apic_message m = message(*rte);

	if (apicbus_send(io->device.machine, &m) && m.level)
		*rte |= RTE_REMOTE_IRR;
}

/* A level-triggered pin that is asserted, unmasked, and not being served. */
static void check_level(struct ioapic *io, unsigned n)
{
	u64 rte = io->state.rte[n];

	if (io->state.lines & BIT(n) && rte & RTE_LEVEL && !(rte & (RTE_MASKED | RTE_REMOTE_IRR)))
		service(io, n);
}

/* An edge of the timer that would be lost in one that nobody has taken yet. */
static bool count_tick(struct ioapic *io)
{
	struct apic_message m = message(io->state.rte[TIMER]);

	if (!apicbus_waits(io->device.machine, &m))
		return false;
	if (io->state.owed < TICKS_OWED_MAX)
		io->state.owed++;
	return true;
}

/* A CPU has begun to serve a vector. */
static void taken(void *opaque, u8 vector)
{
	struct ioapic *io = opaque;
	u64 rte = io->state.rte[TIMER];
	struct apic_message m = message(rte);

	if (!io->state.owed || m.vector != vector || rte & RTE_LEVEL || apicbus_waits(io->device.machine, &m))
		return;
	io->state.owed--;
	service(io, TIMER);
}

static void forget_ticks(void *opaque)
{
	((struct ioapic *)opaque)->state.owed = 0;
}

static void ioapic_input(struct device *device, unsigned n, bool level)
{
	struct ioapic *io = (struct ioapic *)device;
	bool rises;

	if (n >= PINS)
		return;
	rises = level && !(io->state.lines & BIT(n));
	io->state.lines = level ? io->state.lines | BIT(n) : io->state.lines & ~BIT(n);
	if (io->state.rte[n] & RTE_LEVEL)
		check_level(io, n);
	else if (rises && io->state.rte[n] & RTE_MASKED)
		TRACE(ev_masked, "pin %u", n);
	else if (rises && !(n == TIMER && count_tick(io)))
		service(io, n);
}

static void end_of_interrupt(void *opaque, u8 vector)
{
	struct ioapic *io = opaque;

	for (unsigned n = 0; n < PINS; n++) {
		u64 *rte = &io->state.rte[n];

		if ((*rte & 0xff) != vector || !(*rte & RTE_REMOTE_IRR))
			continue;
		*rte &= ~(u64)RTE_REMOTE_IRR;
		check_level(io, n);
	}
}

/* ---- registers ---- */
static void write_rte(struct ioapic *io, unsigned n, bool high, u32 value)
{
	u64 *rte = &io->state.rte[n];

	if (high) {
		*rte = (*rte & 0xffffffff) | (u64)(value & 0xff000000) << 32;
	} else {
		*rte = (*rte & ~(u64)RTE_WRITABLE) | (value & RTE_WRITABLE);
		/* an edge has nothing to end; guests switch to edge and back to get rid of the bit */
		if (!(*rte & RTE_LEVEL))
			*rte &= ~(u64)RTE_REMOTE_IRR;
		if (n == TIMER && *rte & RTE_MASKED)
			io->state.owed = 0;
	}
	check_level(io, n);
}

static void write_window(struct ioapic *io, u32 value)
{
	struct ioapic_state *s = &io->state;

	TRACE(ev_write, "register %02x value %08x", s->index, value);
	if (s->index == 0)
		s->id = value >> 24 & 0xf;
	else if (s->index >= 0x10 && s->index < 0x10 + 2 * PINS)
		write_rte(io, (s->index - 0x10) / 2, s->index & 1, value);
}

static u32 read_window(const struct ioapic_state *s)
{
	if (s->index == 0 || s->index == 2)
		return (u32)s->id << 24;
	if (s->index == 1)
		return IOAPIC_VERSION;
	if (s->index >= 0x10 && s->index < 0x10 + 2 * PINS)
		return s->rte[(s->index - 0x10) / 2] >> (s->index & 1 ? 32 : 0);
	return 0;
}

static u64 ioapic_read(void *opaque, u64 offset, unsigned size)
{
	const struct ioapic_state *s = &((struct ioapic *)opaque)->state;

	(void)size;
	switch (offset & 0xff) {
	case 0x00:
		return s->index;
	case 0x10:
		return read_window(s);
	}
	return 0;
}

static void ioapic_write(void *opaque, u64 offset, u64 value, unsigned size)
{
	struct ioapic *io = opaque;

	(void)size;
	switch (offset & 0xff) {
	case 0x00:
		io->state.index = value;
		break;
	case 0x10:
		write_window(io, value);
		break;
	case 0x40:
		end_of_interrupt(io, value);
		break;
	}
}
static const struct region_ops ioapic_ops = {.read = ioapic_read, .write = ioapic_write, .max = 4};

/* ---- the device ---- */
static bool ioapic_init(struct device *device, struct err *err)
{
	struct ioapic *io = (struct ioapic *)device;

	(void)err;
	io->listener = (struct apic_listener){.eoi = end_of_interrupt, .taken = taken, .forget_ticks = forget_ticks, .opaque = io};
	apicbus_listen(device->machine, &io->listener);
	io->region = (struct region){.name = "ioapic", .size = 0x1000, .ops = &ioapic_ops, .opaque = io};
	bus_map(device->machine->bus, &io->region, IOAPIC_BASE, MAP_DEVICE);
	return true;
}

static void ioapic_reset(struct device *device)
{
	struct ioapic *io = (struct ioapic *)device;

	io->state = (struct ioapic_state){.lines = io->state.lines};
	for (unsigned n = 0; n < PINS; n++)
		io->state.rte[n] = RTE_MASKED;
}

static void ioapic_loaded(struct device *device)
{
	struct ioapic *io = (struct ioapic *)device;

	for (unsigned n = 0; n < PINS; n++)
		io->state.rte[n] &= 0xff00000000000000 | RTE_WRITABLE | RTE_REMOTE_IRR;
	io->state.id &= 0xf;
	io->state.owed = MIN(io->state.owed, TICKS_OWED_MAX);
}

static void ioapic_destroy(struct device *device)
{
	struct ioapic *io = (struct ioapic *)device;

	apicbus_unlisten(device->machine, &io->listener);
	bus_unmap(device->machine->bus, &io->region);
}

static const struct field ioapic_fields[] = {
	FIELD_ARRAY(struct ioapic_state, rte, "redirection table"),
	FIELD(struct ioapic_state, lines, "input pins"),
	FIELD(struct ioapic_state, index, "register select"),
	FIELD(struct ioapic_state, id, "APIC id"),
	FIELD(struct ioapic_state, owed, "timer edges to be sent yet"),
	FIELD(struct ioapic_state, pad, ""),
	FIELD_END,
};

DEVICE(ioapic) = {
	.name = "ioapic",
	.desc = "IOAPIC with 24 pins",
	.size = sizeof(struct ioapic),
	.state_offset = offsetof(struct ioapic, state),
	.state_size = sizeof(struct ioapic_state),
	.fields = ioapic_fields,
	.init = ioapic_init,
	.reset = ioapic_reset,
	.input = ioapic_input,
	.loaded = ioapic_loaded,
	.destroy = ioapic_destroy,
};
