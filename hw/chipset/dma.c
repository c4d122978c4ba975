/* SPDX-License-Identifier: MIT */
/* The pair of 8237A DMA controllers of the PC/AT with its page registers. Intel 8237A datasheet (231466-005).
 * Channels 0-3 move bytes, 5-7 words; 4 is the cascade. A transfer stays within its 64 KiB (128 KiB for words) page.
 * Not implemented: memory to memory, software requests (the register is storage), timing and priority bits of the command.
 * Devices ask for their transfers themselves (dma.h), so nothing here runs on its own. */
#include "hw/chipset/dma.h"

enum command { COMMAND_DISABLED = 1 << 2 };
enum mode { MODE_TO_MEMORY = 1 << 2, MODE_FROM_MEMORY = 2 << 2, MODE_TYPE = 3 << 2, MODE_AUTO = 1 << 4, MODE_DOWN = 1 << 5,
	    MODE_CASCADE = 0xc0 };

struct channel {
	u16 base_address, base_count;
	u16 address, count;
	u8 mode;
	u8 pad;
};

struct controller {
	struct channel channel[4];
	u8 command, mask, request;
	u8 status;   /* low nibble: terminal counts; high: request lines */
	u8 second;   /* the byte flip-flop */
	u8 temporary;
};

struct dma_state {
	struct controller controller[2];
	u8 page[16]; /* ports 80h-8fh */
};

struct dma {
	struct device device;
	struct dma_state state;
	struct region ports[2], pages;
};

TRACE_EVENT(ev_transfer, "dma.transfer");
TRACE_EVENT(ev_refused, "dma.refused");

/* Which page register belongs to a channel. */
static const u8 page_of[8] = {7, 3, 1, 2, 15, 11, 9, 10};

/* ---- transfers ---- */
static bool usable(const struct dma_state *s, unsigned n)
{
	const struct controller *c = &s->controller[n >> 2];

	/* channels 0-3 reach the bus through channel 4 */
	if (n < 4 && !usable(s, 4))
		return false;
	if (c->command & COMMAND_DISABLED || c->mask & BIT(n & 3))
		return false;
	return n == 4 || (c->channel[n & 3].mode & MODE_CASCADE) != MODE_CASCADE;
}

void dma_request(struct device *device, unsigned n, bool level)
{
	u8 *status = &((struct dma *)device)->state.controller[n >> 2 & 1].status, bit = 0x10 << (n & 3);

	*status = level ? *status | bit : *status & ~bit;
}

bool dma_ready(struct device *device, unsigned n)
{
	return n < 8 && n != 4 && usable(&((struct dma *)device)->state, n);
}

static u64 address_of(const struct dma_state *s, unsigned n)
{
	u64 page = s->page[page_of[n]], address = s->controller[n >> 2].channel[n & 3].address;

	return n < 4 ? page << 16 | address : (page & 0xfe) << 16 | address << 1;
}

/* Units that lie in one piece from here on. */
static u32 run_length(const struct channel *c, u32 units)
{
	if (c->mode & MODE_DOWN)
		return 1;
	return MIN(units, 0x10000u - c->address);
}

static void move(struct dma *d, unsigned n, u8 *buf, size_t len, enum dma_direction direction)
{
	const struct channel *c = &d->state.controller[n >> 2].channel[n & 3];
	struct bus *bus = d->device.machine->bus;
	u64 gpa = address_of(&d->state, n);

	if (direction == DMA_TO_MEMORY && (c->mode & MODE_TYPE) == MODE_TO_MEMORY)
		bus_dma_write(bus, gpa, buf, len);
	else if (direction == DMA_FROM_MEMORY && (c->mode & MODE_TYPE) == MODE_FROM_MEMORY)
		bus_dma_read(bus, gpa, buf, len);
	else if (direction == DMA_FROM_MEMORY)
		memset(buf, 0, len);
}

size_t dma_transfer(struct device *device, unsigned n, void *buf, size_t len, enum dma_direction direction, bool *terminal)
{
	struct dma *d = (struct dma *)device;
	struct controller *ctl = &d->state.controller[n >> 2 & 1];
	struct channel *c = &ctl->channel[n & 3];
	unsigned shift = n >= 4;
	size_t done = 0;

	*terminal = false;
	if (!dma_ready(device, n)) {
		TRACE(ev_refused, "channel %u", n);
		return 0;
	}
	TRACE(ev_transfer, "channel %u address %llx count %x mode %02x", n, (unsigned long long)address_of(&d->state, n), c->count,
	      c->mode);
	while (!*terminal && len - done >= 1u << shift) {
		u32 units = run_length(c, MIN((len - done) >> shift, c->count + 1u));

		move(d, n, (u8 *)buf + done, (size_t)units << shift, direction);
		done += (size_t)units << shift;
		c->address += c->mode & MODE_DOWN ? -units : units;
		*terminal = units == c->count + 1u;
		c->count -= units;
	}
	if (*terminal) {
		ctl->status |= BIT(n & 3);
		if (c->mode & MODE_AUTO) {
			c->address = c->base_address;
			c->count = c->base_count;
		} else {
			ctl->mask |= BIT(n & 3);
		}
	}
	return done;
}

/* ---- registers ---- */
static void put_half(struct controller *c, u16 *base, u16 *current, u8 value)
{
	*base = c->second ? (*base & 0x00ff) | value << 8 : (*base & 0xff00) | value;
	*current = *base;
	c->second ^= 1;
}

static u8 get_half(struct controller *c, u16 current)
{
	c->second ^= 1;
	return c->second ? current : current >> 8;
}

static void master_clear(struct controller *c)
{
	c->command = c->request = c->temporary = c->second = 0;
	c->status &= 0xf0;
	c->mask = 0x0f;
}

static void control_write(struct controller *c, unsigned reg, u8 value)
{
	u8 bit = BIT(value & 3);

	switch (reg) {
	case 0x8:
		c->command = value;
		break;
	case 0x9:
		c->request = value & 4 ? c->request | bit : c->request & ~bit;
		break;
	case 0xa:
		c->mask = value & 4 ? c->mask | bit : c->mask & ~bit;
		break;
	case 0xb:
		c->channel[value & 3].mode = value & 0xfc;
		break;
	case 0xc:
		c->second = 0;
		break;
	case 0xd:
		master_clear(c);
		break;
	case 0xe:
		c->mask = 0;
		break;
	case 0xf:
		c->mask = value & 0x0f;
		break;
	}
}

static void controller_write(struct controller *c, unsigned reg, u8 value)
{
	struct channel *ch = &c->channel[reg >> 1 & 3];

	if (reg >= 8)
		control_write(c, reg, value);
	else if (reg & 1)
		put_half(c, &ch->base_count, &ch->count, value);
	else
		put_half(c, &ch->base_address, &ch->address, value);
}

static u8 controller_read(struct controller *c, unsigned reg)
{
	const struct channel *ch = &c->channel[reg >> 1 & 3];
	u8 value;

	if (reg < 8)
		return get_half(c, reg & 1 ? ch->count : ch->address);
	switch (reg) {
	case 0x8:
		value = c->status;
		c->status &= 0xf0;
		return value;
	case 0xd:
		return c->temporary;
	case 0xf:
		return c->mask;
	}
	return 0xff;
}

static u64 low_read(void *opaque, u64 offset, unsigned size)
{
	(void)size;
	return controller_read(&((struct dma *)opaque)->state.controller[0], offset & 15);
}
static void low_write(void *opaque, u64 offset, u64 value, unsigned size)
{
	(void)size;
	controller_write(&((struct dma *)opaque)->state.controller[0], offset & 15, value);
}
/* The second controller's registers are two ports apart. */
static u64 high_read(void *opaque, u64 offset, unsigned size)
{
	(void)size;
	return controller_read(&((struct dma *)opaque)->state.controller[1], offset >> 1 & 15);
}
static void high_write(void *opaque, u64 offset, u64 value, unsigned size)
{
	(void)size;
	controller_write(&((struct dma *)opaque)->state.controller[1], offset >> 1 & 15, value);
}
static const struct region_ops controller_ops[2] = {
	{.read = low_read, .write = low_write, .max = 1},
	{.read = high_read, .write = high_write, .max = 1},
};

static u64 page_read(void *opaque, u64 offset, unsigned size)
{
	(void)size;
	return ((struct dma *)opaque)->state.page[offset & 15];
}
static void page_write(void *opaque, u64 offset, u64 value, unsigned size)
{
	(void)size;
	((struct dma *)opaque)->state.page[offset & 15] = value;
}
static const struct region_ops page_ops = {.read = page_read, .write = page_write, .max = 1};

/* ---- the device ---- */
static bool dma_init(struct device *device, struct err *err)
{
	struct dma *d = (struct dma *)device;
	struct bus *bus = device->machine->bus;

	(void)err;
	for (unsigned i = 0; i < 2; i++) {
		d->ports[i] = (struct region){.name = "dma", .size = i ? 32 : 16, .ops = &controller_ops[i], .opaque = d};
		bus_map_io(bus, &d->ports[i], i ? 0xc0 : 0);
	}
	d->pages = (struct region){.name = "dma.page", .size = 16, .ops = &page_ops, .opaque = d};
	bus_map_io(bus, &d->pages, 0x80);
	device->machine->isa_dma = device;
	return true;
}

static void dma_reset(struct device *device)
{
	struct dma *d = (struct dma *)device;

	memset(&d->state, 0, sizeof d->state);
	for (unsigned i = 0; i < 2; i++)
		master_clear(&d->state.controller[i]);
}

static void dma_loaded(struct device *device)
{
	struct dma *d = (struct dma *)device;

	for (unsigned i = 0; i < 2; i++)
		d->state.controller[i].second &= 1;
}

static void dma_destroy(struct device *device)
{
	struct dma *d = (struct dma *)device;

	device->machine->isa_dma = NULL;
	bus_unmap(device->machine->bus, &d->ports[0]);
	bus_unmap(device->machine->bus, &d->ports[1]);
	bus_unmap(device->machine->bus, &d->pages);
}

static const struct field channel_fields[] = {
	FIELD(struct channel, base_address, "base address"),
	FIELD(struct channel, base_count, "base count"),
	FIELD(struct channel, address, "current address"),
	FIELD(struct channel, count, "current count"),
	FIELD(struct channel, mode, "mode"),
	FIELD(struct channel, pad, ""),
	FIELD_END,
};
static const struct field controller_fields[] = {
	FIELD_SUBS(struct controller, channel, channel_fields, "channels"),
	FIELD(struct controller, command, "command"),
	FIELD(struct controller, mask, "masked channels"),
	FIELD(struct controller, request, "software requests"),
	FIELD(struct controller, status, "status"),
	FIELD(struct controller, second, "second byte is next"),
	FIELD(struct controller, temporary, "temporary register"),
	FIELD_END,
};
static const struct field dma_fields[] = {
	FIELD_SUBS(struct dma_state, controller, controller_fields, "controllers"),
	FIELD_ARRAY(struct dma_state, page, "page registers"),
	FIELD_END,
};

DEVICE(dma) = {
	.name = "dma",
	.desc = "8237A DMA controller pair",
	.size = sizeof(struct dma),
	.state_offset = offsetof(struct dma, state),
	.state_size = sizeof(struct dma_state),
	.fields = dma_fields,
	.init = dma_init,
	.reset = dma_reset,
	.loaded = dma_loaded,
	.destroy = dma_destroy,
};
