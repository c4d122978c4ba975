/* SPDX-License-Identifier: MIT */
/* The bus master half of the IDE controller: its registers, the PRD table, and the transfers that follow it. Intel 82371SB
 * datasheet (290550-002), 2.7; the function of "Programming Interface for Bus Master IDE Controller", revision 1.0.
 * Not implemented: simplex mode; the limit of a region to one 64 KiB page (it goes on into the next).
 *
 * As much as the table describes moves in one request of the disk, up to IDE_BULK bytes. The disk reads and writes the guest's
 * memory itself; where that is more than IDE_PIECES pieces, or something else than memory, or where memory may change only at an
 * instant that comes again (deterministic mode), a read is copied to memory when it is back and a write is collected from memory
 * before it leaves. A table that ends before the transfer does leaves the unit waiting
 * (the guest may start the bus master again); a region that is not memory stops it with the error bit.
 * Invariants: a bus master that was stopped, or whose unit was reset, moves nothing any more: what the disk does in memory is
 * waited for, and what a request that left under an earlier start brings back is not copied; the unit then starts anew from
 * where it was. */
#include "hw/disk/ide.h"

enum { BM_COMMAND, BM_STATUS = 2, BM_TABLE = 4 };
enum { BM_START = 1, BM_TO_MEMORY = 8 };
enum { BMS_ACTIVE = 1, BMS_ERROR = 2, BMS_IRQ = 4, BMS_DRIVES = 0x60 };
#define PRD_END 0x8000
#define PRDS_MAX 8192 /* 64 KiB of table */

enum direction { MEASURE, TO_MEMORY, FROM_MEMORY };

TRACE_EVENT(ev_start, "ide.dma-start");
TRACE_EVENT(ev_stop, "ide.dma-stop");
TRACE_EVENT(ev_prd, "ide.dma-prd");

/* ---- the PRD table ---- */
static bool next_region(struct ide_channel *c, struct ide_cursor *cursor)
{
	u8 prd[8];
	u16 len;

	if (cursor->last || cursor->entries >= PRDS_MAX)
		return false;
	if (!pci_dma_read(&c->ide->function, cursor->next, prd, sizeof prd)) {
		c->s->bm_status |= BMS_ERROR;
		return false;
	}
	len = load16(prd + 4) & ~1;
	cursor->at = load32(prd) & ~1u;
	cursor->left = len ? len : 0x10000;
	cursor->last = !!(load16(prd + 6) & PRD_END);
	cursor->entries++;
	cursor->next += 8;
	TRACE(ev_prd, "channel %u at %08x length %x%s", c->index, cursor->at, cursor->left, cursor->last ? " end" : "");
	return true;
}

/* Up to len bytes along the table; how many there were. */
static u64 walk(struct ide_channel *c, struct ide_cursor *cursor, u8 *buf, u64 len, enum direction direction)
{
	u64 done = 0;

	while (done < len) {
		u32 n;
		bool ok = true;

		if (!cursor->left && !next_region(c, cursor))
			break;
		n = MIN(cursor->left, len - done);
		if (direction == TO_MEMORY)
			ok = pci_dma_write(&c->ide->function, cursor->at, buf + done, n);
		else if (direction == FROM_MEMORY)
			ok = pci_dma_read(&c->ide->function, cursor->at, buf + done, n);
		if (!ok) {
			c->s->bm_status |= BMS_ERROR;
			break;
		}
		cursor->at += n;
		cursor->left -= n;
		done += n;
	}
	return done;
}

/* The next len bytes along the table as pieces of memory; 0: they have to be copied. */
static unsigned collect(struct ide_channel *c, struct ide_unit *u, struct ide_cursor *cursor, u64 len, bool write)
{
	unsigned count = 0;

	if (clock_counts(u->ide->device.machine->clock))
		return 0;
	for (u64 done = 0; done < len; done += u->memory[count++].len) {
		struct bus_piece *piece = &u->memory[count];

		if (count == IDE_PIECES || (!cursor->left && !next_region(c, cursor)) ||
		    !pci_dma_map(&c->ide->function, cursor->at, MIN(cursor->left, len - done), write, piece))
			return 0;
		u->vector[count] = (struct iovec){piece->hva, piece->len};
		cursor->at += piece->len;
		cursor->left -= piece->len;
	}
	return count;
}

static void stop(struct ide_channel *c)
{
	TRACE(ev_stop, "channel %u status %02x", c->index, c->s->bm_status);
	c->s->bm_status &= ~BMS_ACTIVE;
}

/* The unit's last byte has moved. */
static void finish(struct ide_channel *c, struct ide_unit *u)
{
	if (c->s->cursor.last && !c->s->cursor.left)
		stop(c);
	ide_moved(u);
}

/* ---- transfers ---- */
static bool current(const struct ide_unit *u)
{
	return u->channel->s->bm_status & BMS_ACTIVE && u->epoch == u->channel->epoch;
}

static void advance(struct ide_channel *c, struct ide_unit *u, u64 n)
{
	u->s->pos += n;
	u->s->left -= n;
	if (!u->s->left)
		finish(c, u);
	else
		ide_dma_run(c);
}

static void read_done(struct ide_unit *u, int error)
{
	struct ide_channel *c = u->channel;
	u64 len = u->request.len, n;

	if (error) {
		ide_disk_error(u, error);
		return;
	}
	if (!current(u)) {
		ide_dma_run(c);
		return;
	}
	if (u->pieces) {
		c->s->cursor = u->behind;
		advance(c, u, len);
		return;
	}
	n = walk(c, &c->s->cursor, u->bulk, len, TO_MEMORY);
	if (n < len) {
		u->s->pos += n;
		u->s->left -= n;
		stop(c);
	} else {
		advance(c, u, n);
	}
}

static void write_done(struct ide_unit *u, int error)
{
	if (error)
		ide_disk_error(u, error);
	else if (current(u))
		advance(u->channel, u, u->request.len);
	else
		ide_dma_run(u->channel);
}

/* Pieces 0: through bulk. */
static void submit(struct ide_channel *c, struct ide_unit *u, u64 len, unsigned pieces, enum disk_op op,
                   void (*then)(struct ide_unit *, int))
{
	u->epoch = c->epoch;
	u->ahead_len = 0;
	if (pieces)
		ide_submit_pieces(u, op, u->s->pos, len, pieces, then);
	else
		ide_submit(u, op, u->s->pos, len, u->bulk, then);
}

/* data[at..end) against memory; false: the table has ended before. */
static bool move_data(struct ide_channel *c, struct ide_unit_state *s, enum direction direction)
{
	s->at += walk(c, &c->s->cursor, s->data + s->at, s->end - s->at, direction);
	return s->at == s->end;
}

static void run_in(struct ide_channel *c, struct ide_unit *u)
{
	struct ide_unit_state *s = u->s;
	u64 n;

	if (s->at < s->end && !move_data(c, s, TO_MEMORY)) {
		stop(c);
	} else if (!s->left) {
		finish(c, u);
	} else if (s->raw) { /* made one by one in data[] */
		ide_next_block(u);
	} else {
		struct ide_cursor ahead = c->s->cursor;

		u->behind = c->s->cursor;
		n = walk(c, &ahead, NULL, MIN(s->left, IDE_BULK), MEASURE);
		if (n)
			submit(c, u, n, collect(c, u, &u->behind, n, true), DISK_READ, read_done);
		else
			stop(c);
	}
}

static void run_out(struct ide_channel *c, struct ide_unit *u)
{
	struct ide_unit_state *s = u->s;
	u64 n, want = MIN(s->left, IDE_BULK);
	unsigned pieces;

	if (!s->block) {
		if (!move_data(c, s, FROM_MEMORY)) {
			stop(c);
			return;
		}
		if (c->s->cursor.last && !c->s->cursor.left)
			stop(c);
		ide_arrived(u);
		return;
	}
	u->behind = c->s->cursor;
	pieces = collect(c, u, &u->behind, want, false);
	if (pieces)
		c->s->cursor = u->behind;
	n = pieces ? want : walk(c, &c->s->cursor, u->bulk, want, FROM_MEMORY);
	if (n && !(c->s->bm_status & BMS_ERROR))
		submit(c, u, n, pieces, DISK_WRITE, write_done);
	else
		stop(c);
}

void ide_dma_run(struct ide_channel *c)
{
	struct ide_unit *u = &c->unit[c->s->select & 1];
	bool in = u->s->phase == IDE_DMA_IN;

	if (!(c->s->bm_status & BMS_ACTIVE) || !(c->s->bm_command & BM_START) || !u->drive || u->in_flight ||
	    (!in && u->s->phase != IDE_DMA_OUT))
		return;
	if (in != !!(c->s->bm_command & BM_TO_MEMORY)) {
		c->s->bm_status |= BMS_ERROR;
		stop(c);
	} else if (in) {
		run_in(c, u);
	} else {
		run_out(c, u);
	}
}

/* ---- registers ---- */
static void write_bm_command(struct ide_channel *c, u8 value)
{
	struct ide_channel_state *s = c->s;
	u8 old = s->bm_command;

	s->bm_command = value & (BM_START | BM_TO_MEMORY); /* first: what is waited for here is not followed by more */
	if (old & ~value & BM_START)
		for (unsigned i = 0; i < 2; i++)
			ide_let_go(&c->unit[i]);
	if (!((old ^ value) & BM_START))
		return;
	c->epoch++;
	if (!(value & BM_START)) {
		stop(c);
		return;
	}
	TRACE(ev_start, "channel %u table %08x %s memory", c->index, s->prdt, value & BM_TO_MEMORY ? "to" : "from");
	s->cursor = (struct ide_cursor){.next = s->prdt};
	s->bm_status |= BMS_ACTIVE;
	ide_dma_run(c);
}

u64 ide_dma_read(void *opaque, u64 offset, unsigned size)
{
	const struct ide *ide = opaque;
	u64 value = 0;

	for (unsigned i = 0; i < size; i++) {
		const struct ide_channel_state *s = ide->channel[(offset + i) >> 3 & 1].s;
		unsigned reg = (offset + i) & 7;
		u8 byte = reg == BM_COMMAND ? s->bm_command : reg == BM_STATUS ? s->bm_status :
		          reg >= BM_TABLE ? s->prdt >> (reg - BM_TABLE) * 8 : 0;

		value |= (u64)byte << (i * 8);
	}
	return value;
}

void ide_dma_write(void *opaque, u64 offset, u64 value, unsigned size)
{
	struct ide *ide = opaque;

	for (unsigned i = 0; i < size; i++) {
		struct ide_channel *c = &ide->channel[(offset + i) >> 3 & 1];
		unsigned reg = (offset + i) & 7, shift = (reg & 3) * 8;
		u8 byte = value >> (i * 8);

		if (reg == BM_COMMAND)
			write_bm_command(c, byte);
		else if (reg == BM_STATUS)
			c->s->bm_status = (c->s->bm_status & ~(byte & (BMS_ERROR | BMS_IRQ)) & ~BMS_DRIVES) | (byte & BMS_DRIVES);
		else if (reg >= BM_TABLE)
			c->s->prdt = ((c->s->prdt & ~(0xffu << shift)) | (u32)byte << shift) & ~3u;
	}
}

void ide_dma_loaded(struct ide_channel *c)
{
	struct ide_channel_state *s = c->s;

	s->bm_command &= BM_START | BM_TO_MEMORY;
	s->bm_status &= BMS_ACTIVE | BMS_ERROR | BMS_IRQ | BMS_DRIVES;
	if (!(s->bm_command & BM_START))
		s->bm_status &= ~BMS_ACTIVE;
	s->prdt &= ~3u;
	s->cursor.left = MIN(s->cursor.left, 0x10000);
	s->cursor.last &= 1;
	c->epoch++;
	ide_dma_run(c);
}
