/* SPDX-License-Identifier: MIT */
/* A flash chip with the Intel command set, for firmware and its variables: Common Flash Interface (JESD68.01; command set 0001),
 * Intel 28F640J3 datasheet (290667), ch. 4. Bytes wide, in blocks of 4 KiB, as the firmware of QEMU's machines expects.
 * Not implemented: suspend, protection registers, block locks that hold (locking succeeds and does nothing), waiting: programming
 * and erasing are done at once. The status register is as QEMU's chip has it: cleared, it reads 0 until the next operation, by
 * which OVMF knows a chip from RAM and ROM.
 *
 * While the chip reads as an array its contents are mapped as ROM, so that code runs from it; any other mode lays a region of
 * register reads above. The contents are memory, not part of the saved state.
 * Invariants: `registers` is mapped iff mode is not READ_ARRAY; buffer_len <= sizeof buffer. */
#include "hw/chipset/pflash.h"

#include "mem/dirty.h"

enum { BLOCK = 4096, BUFFER = 2048, DEFAULT_SIZE = 65536 };
enum mode { READ_ARRAY, READ_STATUS, READ_ID, READ_QUERY, MODES };
enum expect { COMMAND, PROGRAM, ERASE_CONFIRM, LOCK_CONFIRM, BUFFER_COUNT, BUFFER_DATA, BUFFER_CONFIRM, EXPECTS };
enum status { READY = 1 << 7, ERASE_ERROR = 1 << 5, PROGRAM_ERROR = 1 << 4, LOCKED = 1 << 1 };

struct pflash_state {
	u64 buffer_at;    /* where the first byte of a buffered write goes */
	u32 buffer_left;  /* bytes still to come */
	u8 mode, expect;
	u8 status;
	u8 pad;
	u8 buffer[BUFFER];
	u8 valid[BUFFER / 8]; /* which bytes of the buffer were given */
};

struct pflash {
	struct device device;
	struct pflash_state state;
	struct pflash_chip chip;
	struct ram *own; /* contents of a chip that nobody attached any to */
	struct region array, registers;
	u8 query[0x40];
};

TRACE_EVENT(ev_command, "pflash.command");
TRACE_EVENT(ev_write, "pflash.write");

void pflash_attach(struct device *device, const struct pflash_chip *chip)
{
	((struct pflash *)device)->chip = *chip;
}

/* ---- contents ---- */

/* Tell whoever watches, before and after, as the bus does for RAM. */
static void tell(struct pflash *p, u64 at, u64 len)
{
	struct ram *ram = p->chip.ram;

	for (u64 n; len; at += n, len -= n) {
		u8 *watch = ram->watch + (at >> PAGE_SHIFT);

		n = MIN(len, PAGE_SIZE - (at & PAGE_OFFSET));
		if (__atomic_load_n(watch, __ATOMIC_SEQ_CST))
			dirty_write(p->device.machine->bus, ram->hva + at, watch, n);
	}
}

static void changed(struct pflash *p, u64 at, u64 len)
{
	tell(p, at, len);
	if (p->chip.changed)
		p->chip.changed(p->chip.opaque, p->chip.ram->hva + at, at, len);
}

static bool may_write(struct pflash *p, enum status error)
{
	p->state.status |= READY;
	if (!p->chip.read_only)
		return true;
	p->state.status |= error | LOCKED;
	return false;
}

/* Programming can only clear bits. */
static void program(struct pflash *p, u64 at, u64 value, unsigned size)
{
	u8 *hva = p->chip.ram->hva;

	if (!may_write(p, PROGRAM_ERROR) || at + size > p->chip.ram->size)
		return;
	TRACE(ev_write, "%llx value %llx size %u", (unsigned long long)at, (unsigned long long)value, size);
	tell(p, at, size);
	for (unsigned i = 0; i < size; i++)
		hva[at + i] &= value >> i * 8;
	changed(p, at, size);
}

static void erase(struct pflash *p, u64 at)
{
	u64 block = at & ~(u64)(BLOCK - 1);

	if (!may_write(p, ERASE_ERROR))
		return;
	tell(p, block, BLOCK);
	memset(p->chip.ram->hva + block, 0xff, BLOCK);
	changed(p, block, BLOCK);
}

static void program_buffer(struct pflash *p)
{
	struct pflash_state *s = &p->state;
	u64 base = s->buffer_at & ~(u64)(BUFFER - 1);
	u8 *hva = p->chip.ram->hva + base;

	if (!may_write(p, PROGRAM_ERROR))
		return;
	tell(p, base, BUFFER);
	for (unsigned i = 0; i < BUFFER; i++)
		if (s->valid[i / 8] >> i % 8 & 1)
			hva[i] &= s->buffer[i];
	changed(p, base, BUFFER);
}

/* ---- modes ---- */
static void set_mode(struct pflash *p, enum mode mode)
{
	struct bus *bus = p->device.machine->bus;

	p->state.mode = mode;
	if (mode == READ_ARRAY && p->registers.mapped)
		bus_unmap(bus, &p->registers);
	else if (mode != READ_ARRAY && !p->registers.mapped)
		bus_map(bus, &p->registers, p->chip.base, MAP_DEVICE);
}

static const struct command {
	u8 code, mode, expect;
} commands[] = {
	{0x10, READ_STATUS, PROGRAM},       {0x40, READ_STATUS, PROGRAM},  {0x20, READ_STATUS, ERASE_CONFIRM},
	{0x28, READ_STATUS, ERASE_CONFIRM}, {0x50, READ_ARRAY, COMMAND},   {0x60, READ_STATUS, LOCK_CONFIRM},
	{0x70, READ_STATUS, COMMAND},       {0x90, READ_ID, COMMAND},      {0x98, READ_QUERY, COMMAND},
	{0xe8, READ_STATUS, BUFFER_COUNT},  {0xff, READ_ARRAY, COMMAND},
};
enum { CLEAR_STATUS = 0x50, START_BUFFER = 0xe8, CONFIRM = 0xd0 };

static void start_command(struct pflash *p, u8 code)
{
	struct pflash_state *s = &p->state;

	TRACE(ev_command, "%02x", code);
	if (code == CLEAR_STATUS)
		s->status = 0;
	else if (code == START_BUFFER)
		s->status |= READY; /* the buffer is free */
	for (unsigned i = 0; i < ARRAY_LEN(commands); i++)
		if (commands[i].code == code) {
			s->expect = commands[i].expect;
			set_mode(p, commands[i].mode);
			return;
		}
	set_mode(p, READ_ARRAY); /* unknown ones do that */
}

static void buffer_data(struct pflash *p, u64 at, u64 value, unsigned size)
{
	struct pflash_state *s = &p->state;

	if (s->buffer_at == ~0ull)
		s->buffer_at = at;
	if ((at ^ s->buffer_at) & ~(u64)(BUFFER - 1)) { /* left the buffer: nothing is written */
		s->status |= READY | PROGRAM_ERROR | ERASE_ERROR;
		s->expect = COMMAND;
		return;
	}
	for (unsigned i = 0; i < size && s->buffer_left; i++, s->buffer_left--) {
		unsigned k = (at + i) & (BUFFER - 1);

		s->buffer[k] = value >> i * 8;
		s->valid[k / 8] |= 1 << k % 8;
	}
	if (!s->buffer_left)
		s->expect = BUFFER_CONFIRM;
}

static void chip_write(void *opaque, u64 at, u64 value, unsigned size)
{
	struct pflash *p = opaque;
	struct pflash_state *s = &p->state;
	u8 byte = value;

	switch (s->expect) {
	case PROGRAM:
		s->expect = COMMAND;
		program(p, at, value, size);
		break;
	case ERASE_CONFIRM:
		s->expect = COMMAND;
		if (byte == CONFIRM)
			erase(p, at);
		else
			set_mode(p, READ_ARRAY);
		break;
	case LOCK_CONFIRM:
		s->expect = COMMAND;
		if (byte == CONFIRM || byte == 0x01)
			s->status |= READY;
		else
			set_mode(p, READ_ARRAY);
		break;
	case BUFFER_COUNT: {
		u64 count = (value & mask_bytes(size)) + 1;

		s->buffer_left = MIN(count, (u64)BUFFER);
		s->buffer_at = ~0ull;
		memset(s->valid, 0, sizeof s->valid);
		s->expect = BUFFER_DATA;
		break;
	}
	case BUFFER_DATA:
		buffer_data(p, at, value, size);
		break;
	case BUFFER_CONFIRM:
		s->expect = COMMAND;
		if (byte == CONFIRM)
			program_buffer(p);
		else
			s->status |= READY | PROGRAM_ERROR | ERASE_ERROR;
		break;
	default:
		start_command(p, byte);
		break;
	}
}

static u64 chip_read(void *opaque, u64 at, unsigned size)
{
	const struct pflash *p = opaque;
	u64 value = 0;

	for (unsigned i = 0; i < size; i++) {
		u8 byte = p->state.status, low = at + i;

		if (p->state.mode == READ_ID)
			byte = low == 0 ? 0x89 : low == 1 ? 0x17 : 0; /* Intel; block not locked */
		else if (p->state.mode == READ_QUERY)
			byte = low < sizeof p->query ? p->query[low] : 0;
		value |= (u64)byte << i * 8;
	}
	return value;
}
static const struct region_ops chip_ops = {.read = chip_read, .write = chip_write, .max = 8};

/* ---- the device ---- */

/* CFI query (JESD68.01, 2.1-2.5): identification, voltages and typical times, geometry, extended table. */
static void make_query(struct pflash *p)
{
	static const u8 head[] = {'Q', 'R', 'Y', 1, 0, 0x31, 0, 0, 0, 0, 0, 0x45, 0x55, 0, 0, 7, 7, 10, 0, 4, 4, 4, 0};
	u64 size = p->chip.ram->size;
	u32 blocks = size / BLOCK - 1;
	u8 *q = p->query, log = 0;

	while (BIT(log) < size)
		log++;
	memcpy(q + 0x10, head, sizeof head);
	q[0x27] = log;
	q[0x2a] = 11; /* log2(BUFFER) */
	q[0x2c] = 1;  /* one kind of block */
	store16(q + 0x2d, blocks);
	store16(q + 0x2f, BLOCK / 256);
	memcpy(q + 0x31, "PRI10", 5);
}

static bool pflash_init(struct device *device, struct err *err)
{
	struct pflash *p = (struct pflash *)device;
	struct pflash_chip *c = &p->chip;

	if (!c->ram) {
		p->own = c->ram = ram_new(device->id, DEFAULT_SIZE, true, false, err);
		if (!p->own)
			return false;
		memset(p->own->hva, 0xff, p->own->size);
		c->base = (1ull << 32) - p->own->size;
	}
	make_query(p);
	p->array = (struct region){.name = "pflash", .size = c->ram->size, .ram = c->ram, .readonly = true, .ops = &chip_ops,
	                           .opaque = p};
	p->registers = (struct region){.name = "pflash.registers", .size = c->ram->size, .ops = &chip_ops, .opaque = p};
	bus_map(device->machine->bus, &p->array, c->base, MAP_DEVICE);
	return true;
}

static void pflash_reset(struct device *device)
{
	struct pflash *p = (struct pflash *)device;

	p->state = (struct pflash_state){.status = READY};
	set_mode(p, READ_ARRAY);
}

static void pflash_loaded(struct device *device)
{
	struct pflash *p = (struct pflash *)device;
	struct pflash_state *s = &p->state;

	s->mode %= MODES;
	s->expect %= EXPECTS;
	s->buffer_left = MIN(s->buffer_left, (u32)BUFFER);
	if (s->expect == BUFFER_DATA && !s->buffer_left)
		s->expect = COMMAND;
	if (s->buffer_at >= p->chip.ram->size)
		s->buffer_at = ~0ull;
	if (s->expect == BUFFER_CONFIRM && s->buffer_at == ~0ull)
		s->expect = COMMAND;
	set_mode(p, s->mode);
}

static void pflash_destroy(struct device *device)
{
	struct pflash *p = (struct pflash *)device;
	struct bus *bus = device->machine->bus;

	bus_unmap(bus, &p->array);
	bus_unmap(bus, &p->registers);
	ram_free(p->own);
}

static const struct field pflash_fields[] = {
	FIELD(struct pflash_state, buffer_at, "where a buffered write begins"),
	FIELD(struct pflash_state, buffer_left, "bytes of it still to come"),
	FIELD(struct pflash_state, mode, "what reads give"),
	FIELD(struct pflash_state, expect, "what the next write is"),
	FIELD(struct pflash_state, status, "status register"),
	FIELD(struct pflash_state, pad, ""),
	FIELD_ARRAY(struct pflash_state, buffer, "write buffer"),
	FIELD_ARRAY(struct pflash_state, valid, "bytes of it that were given"),
	FIELD_END,
};

DEVICE(pflash) = {
	.name = "cfi.pflash01",
	.desc = "parallel flash chip for firmware",
	.size = sizeof(struct pflash),
	.state_offset = offsetof(struct pflash, state),
	.state_size = sizeof(struct pflash_state),
	.fields = pflash_fields,
	.init = pflash_init,
	.reset = pflash_reset,
	.loaded = pflash_loaded,
	.destroy = pflash_destroy,
};
