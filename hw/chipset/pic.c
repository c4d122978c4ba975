/* SPDX-License-Identifier: MIT */
/* The pair of 8259A interrupt controllers of a PC, the slave behind pin 2 of the master, with the edge/level registers of the
 * PIIX. Intel 8259A datasheet (231468-003); 82371SB (PIIX3) datasheet, 3.5 and ELCR1/ELCR2.
 * Not implemented: MCS-80/85 mode (ICW4 bit 0 is taken as set), buffered mode (no effect in a PC), ICW1.LTIM (the PIIX
 * ignores it too: ELCR says which pins are level-triggered).
 *
 * Edges that come while one is latched are merged with it, also the timer's: what has the highest priority here is not to be made
 * more of than it is (ioapic.c does, for systems that keep their interrupts enabled), or a guest that opens its interrupts for
 * moments, as boot loaders do that call the BIOS, never gets to its keyboard's.
 *
 * An edge stays latched when the pin falls again before the acknowledge, as in the PIIX and every emulation of it; a level
 * request goes away with its pin, and an acknowledge that comes too late gets the spurious vector.
 *
 * Input pins 0-15 are the ISA interrupts; 2 is the cascade and not connected. Output pin "intr".
 * Invariants: `lines` mirrors the input pins, through resets too; bit 2 of the master's is the slave's output. */
#include "hw/chipset/pic.h"

#define CASCADE 2

enum icw_step { ICW_DONE, ICW2, ICW3, ICW4 };
enum chip_flags {
	READ_ISR = 1 << 0,
	POLL = 1 << 1,
	SPECIAL_MASK = 1 << 2,
	AUTO_EOI = 1 << 3,
	ROTATE_AEOI = 1 << 4,
	SFNM = 1 << 5,   /* special fully nested mode */
	SINGLE = 1 << 6, /* no ICW3 follows */
	NEED_ICW4 = 1 << 7,
};

struct chip {
	u8 irr;    /* latched edges */
	u8 imr, isr;
	u8 lines;  /* input pins */
	u8 elcr;   /* 1: level */
	u8 lowest; /* pin of the lowest priority */
	u8 base;   /* vector of pin 0 */
	u8 step;   /* enum icw_step: which word comes next on the odd port */
	u8 flags;  /* enum chip_flags */
};

struct pic_state {
	struct chip chip[2];
};

struct pic {
	struct device device;
	struct pic_state state;
	struct region ports[2], elcr;
};

TRACE_EVENT(ev_spurious, "pic.spurious");
TRACE_EVENT(ev_write, "pic.write");

static const u8 elcr_writable[2] = {0xf8, 0xde};

/* ---- one chip ---- */
/* Pin of the highest priority among bits, as its distance from the top; 8 if none. */
static unsigned priority(const struct chip *c, u8 bits)
{
	for (unsigned i = 0; i < 8; i++)
		if (bits & BIT((c->lowest + 1 + i) & 7))
			return i;
	return 8;
}

static unsigned pin_of(const struct chip *c, unsigned distance)
{
	return (c->lowest + 1 + distance) & 7;
}

/* The cascade request follows the slave's output. */
static u8 level_pins(const struct pic_state *s, const struct chip *c)
{
	return c == &s->chip[0] ? c->elcr | BIT(CASCADE) : c->elcr;
}

static u8 requests(const struct pic_state *s, const struct chip *c)
{
	u8 level = level_pins(s, c);

	return (c->irr & ~level) | (c->lines & level);
}

/* The pin that would be acknowledged now, or -1. */
static int pending(const struct pic_state *s, const struct chip *c)
{
	u8 isr = c->isr;
	unsigned best = priority(c, requests(s, c) & ~c->imr);

	if (c->flags & SPECIAL_MASK)
		isr &= ~c->imr;
	if (c->flags & SFNM && c == &s->chip[0])
		isr &= ~BIT(CASCADE);
	return best < priority(c, isr) ? (int)pin_of(c, best) : -1;
}

static void take(struct chip *c, unsigned pin)
{
	c->irr &= ~BIT(pin);
	if (!(c->flags & AUTO_EOI))
		c->isr |= BIT(pin);
	else if (c->flags & ROTATE_AEOI)
		c->lowest = pin;
}

static void update(struct pic *pic)
{
	struct chip *chip = pic->state.chip;

	chip[0].lines &= ~BIT(CASCADE);
	if (pending(&pic->state, &chip[1]) >= 0)
		chip[0].lines |= BIT(CASCADE);
	irq_set(&pic->device.out[0], pending(&pic->state, &chip[0]) >= 0);
}

int pic_acknowledge(struct device *device)
{
	struct pic *pic = (struct pic *)device;
	struct chip *chip = pic->state.chip;
	int vector, pin = pending(&pic->state, &chip[0]);

	if (pin == CASCADE) {
		int slave = pending(&pic->state, &chip[1]);

		if (slave >= 0)
			take(&chip[1], slave);
		vector = chip[1].base + slave;
		take(&chip[0], CASCADE);
	} else if (pin >= 0) {
		vector = chip[0].base + pin;
		take(&chip[0], pin);
	} else {
		vector = chip[0].base + 7;
		TRACE(ev_spurious, "irr %02x imr %02x isr %02x", chip[0].irr, chip[0].imr, chip[0].isr);
	}
	update(pic);
	return vector & 0xff;
}

static void pic_input(struct device *device, unsigned n, bool level)
{
	struct pic *pic = (struct pic *)device;
	struct chip *c = &pic->state.chip[n >> 3 & 1];
	u8 bit = BIT(n & 7);

	if (n == CASCADE || n > 15)
		return;
	if (level && !(c->lines & bit) && !(c->elcr & bit))
		c->irr |= bit;
	c->lines = level ? c->lines | bit : c->lines & ~bit;
	update(pic);
}

/* ---- registers ---- */
static void icw1(struct chip *c, u8 value)
{
	/* the edge latches are cleared: a pin must rise again to be heard */
	c->irr = 0;
	c->imr = 0;
	c->isr = 0;
	c->lowest = 7;
	c->flags = (value & 1 ? NEED_ICW4 : 0) | (value & 2 ? SINGLE : 0);
	c->step = ICW2;
}

static void ocw2(struct chip *c, u8 value)
{
	unsigned top = priority(c, c->flags & SPECIAL_MASK ? c->isr & ~c->imr : c->isr);
	unsigned pin = value & 0x40 ? value & 7u : pin_of(c, top); /* specific or not */

	switch (value >> 5) {
	case 0:
		c->flags &= ~ROTATE_AEOI;
		break;
	case 4:
		c->flags |= ROTATE_AEOI;
		break;
	case 6:
		c->lowest = pin;
		break;
	case 1: /* end of interrupt */
	case 3:
	case 5: /* with rotation */
	case 7:
		if (!(value & 0x40) && top == 8)
			break;
		c->isr &= ~BIT(pin);
		if (value & 0x80)
			c->lowest = pin;
		break;
	}
}

static void ocw3(struct chip *c, u8 value)
{
	if (value & 0x04)
		c->flags |= POLL;
	else if (value & 0x02)
		c->flags = value & 0x01 ? c->flags | READ_ISR : c->flags & ~READ_ISR;
	if (value & 0x40)
		c->flags = value & 0x20 ? c->flags | SPECIAL_MASK : c->flags & ~SPECIAL_MASK;
}

static void write_odd(struct chip *c, u8 value)
{
	switch (c->step) {
	case ICW_DONE:
		c->imr = value;
		break;
	case ICW2:
		c->base = value & 0xf8;
		c->step = !(c->flags & SINGLE) ? ICW3 : c->flags & NEED_ICW4 ? ICW4 : ICW_DONE;
		break;
	case ICW3: /* the cascade is wired */
		c->step = c->flags & NEED_ICW4 ? ICW4 : ICW_DONE;
		break;
	case ICW4:
		c->flags = (c->flags & ~(AUTO_EOI | SFNM)) | (value & 0x02 ? AUTO_EOI : 0) | (value & 0x10 ? SFNM : 0);
		c->step = ICW_DONE;
		break;
	}
}

static struct chip *chip_of(struct pic *pic, u64 n)
{
	return &pic->state.chip[n & 1];
}

static void chip_write(struct pic *pic, unsigned n, u64 offset, u64 value)
{
	struct chip *c = chip_of(pic, n);

	TRACE(ev_write, "chip %u port %u value %02x", n, (unsigned)offset, (unsigned)value);
	if (offset)
		write_odd(c, value);
	else if (value & 0x10)
		icw1(c, value);
	else if (value & 0x08)
		ocw3(c, value);
	else
		ocw2(c, value);
	update(pic);
}

static u64 chip_read(struct pic *pic, unsigned n, u64 offset)
{
	struct chip *c = chip_of(pic, n);
	int pin;

	if (!(c->flags & POLL))
		return offset ? c->imr : c->flags & READ_ISR ? c->isr : requests(&pic->state, c);
	/* the read is the acknowledge */
	c->flags &= ~POLL;
	pin = pending(&pic->state, c);
	if (pin < 0)
		return 0;
	take(c, pin);
	update(pic);
	return 0x80 | pin;
}

static u64 master_read(void *opaque, u64 offset, unsigned size)
{
	(void)size;
	return chip_read(opaque, 0, offset);
}
static u64 slave_read(void *opaque, u64 offset, unsigned size)
{
	(void)size;
	return chip_read(opaque, 1, offset);
}
static void master_write(void *opaque, u64 offset, u64 value, unsigned size)
{
	(void)size;
	chip_write(opaque, 0, offset, value);
}
static void slave_write(void *opaque, u64 offset, u64 value, unsigned size)
{
	(void)size;
	chip_write(opaque, 1, offset, value);
}
static const struct region_ops chip_ops[2] = {
	{.read = master_read, .write = master_write, .max = 1},
	{.read = slave_read, .write = slave_write, .max = 1},
};

static u64 elcr_read(void *opaque, u64 offset, unsigned size)
{
	(void)size;
	return chip_of(opaque, offset)->elcr;
}
static void elcr_write(void *opaque, u64 offset, u64 value, unsigned size)
{
	struct chip *c = chip_of(opaque, offset);

	(void)size;
	c->elcr = value & elcr_writable[offset & 1];
	c->irr &= ~c->elcr; /* a level is not latched, nor heard of later as an edge */
	update(opaque);
}
static const struct region_ops elcr_ops = {.read = elcr_read, .write = elcr_write, .max = 1};

/* ---- the device ---- */
static bool pic_init(struct device *device, struct err *err)
{
	struct pic *pic = (struct pic *)device;
	static const u16 ports[2] = {0x20, 0xa0};

	(void)err;
	for (unsigned i = 0; i < 2; i++) {
		pic->ports[i] = (struct region){.name = "pic", .size = 2, .ops = &chip_ops[i], .opaque = pic};
		bus_map_io(device->machine->bus, &pic->ports[i], ports[i]);
	}
	pic->elcr = (struct region){.name = "pic.elcr", .size = 2, .ops = &elcr_ops, .opaque = pic};
	bus_map_io(device->machine->bus, &pic->elcr, 0x4d0);
	return true;
}

static void pic_reset(struct device *device)
{
	struct pic *pic = (struct pic *)device;

	for (unsigned i = 0; i < 2; i++)
		pic->state.chip[i] = (struct chip){.lines = pic->state.chip[i].lines, .lowest = 7};
	update(pic);
}

static void pic_loaded(struct device *device)
{
	struct pic *pic = (struct pic *)device;

	for (unsigned i = 0; i < 2; i++) {
		struct chip *c = &pic->state.chip[i];

		c->lowest &= 7;
		c->base &= 0xf8;
		c->elcr &= elcr_writable[i];
		c->step &= 3;
	}
	update(pic);
}

static void pic_destroy(struct device *device)
{
	struct pic *pic = (struct pic *)device;

	bus_unmap(device->machine->bus, &pic->ports[0]);
	bus_unmap(device->machine->bus, &pic->ports[1]);
	bus_unmap(device->machine->bus, &pic->elcr);
}

static const struct field chip_fields[] = {
	FIELD(struct chip, irr, "interrupt requests (edges)"),
	FIELD(struct chip, imr, "interrupt mask"),
	FIELD(struct chip, isr, "interrupts in service"),
	FIELD(struct chip, lines, "input pins"),
	FIELD(struct chip, elcr, "level-triggered pins"),
	FIELD(struct chip, lowest, "pin of the lowest priority"),
	FIELD(struct chip, base, "vector of pin 0"),
	FIELD(struct chip, step, "initialisation word expected"),
	FIELD(struct chip, flags, "modes"),
	FIELD_END,
};
static const struct field pic_fields[] = {
	FIELD_SUBS(struct pic_state, chip, chip_fields, "master and slave"),
	FIELD_END,
};
static const char *const pic_pins[] = {"intr", NULL};

DEVICE(pic) = {
	.name = "pic",
	.desc = "8259A interrupt controller pair",
	.size = sizeof(struct pic),
	.state_offset = offsetof(struct pic, state),
	.state_size = sizeof(struct pic_state),
	.fields = pic_fields,
	.pins = pic_pins,
	.init = pic_init,
	.reset = pic_reset,
	.input = pic_input,
	.loaded = pic_loaded,
	.destroy = pic_destroy,
};
