/* SPDX-License-Identifier: MIT */
/* How data moves: requests to the disk, the data port, and the blocks that go through it. ATA/ATAPI-7 vol. 2, ch. 9 (the PIO
 * data-in, data-out and PACKET protocols).
 *
 * The host reads data[] block by block. Blocks of the medium come out of `bulk`, which is filled far ahead of them; that is a
 * cache and is not saved. Blocks that the host writes leave one by one, so that an error is told at its block. */
#include <errno.h>

#include "hw/disk/ide.h"

#define AHEAD (64u << 10)

TRACE_EVENT(ev_request, "ide.request");
TRACE_EVENT(ev_error, "ide.disk-error");

/* ---- requests ---- */
static void request_done(struct disk_request *request)
{
	struct ide_unit *u = request->opaque;

	u->in_flight = false;
	for (unsigned i = 0; i < u->pieces && request->op == DISK_READ; i++)
		bus_dma_wrote(u->ide->device.machine->bus, &u->memory[i]);
	if (!u->forget) {
		if (request->error)
			TRACE(ev_error, "unit %u: %s", u->index, strerror(request->error));
		u->then(u, request->error);
		return;
	}
	u->forget = false;
	ide_come_out(u->channel);
}

static void submit(struct ide_unit *u, struct disk_request request, void (*then)(struct ide_unit *, int error))
{
	if (u->in_flight)
		bug("unit %u: a second request", u->index);
	TRACE(ev_request, "unit %u op %d offset %llx length %llx", u->index, request.op, (unsigned long long)request.offset,
	      (unsigned long long)request.len);
	u->s->status = (u->s->status & ~ST_DRQ) | ST_BUSY;
	u->request = request;
	u->request.done = request_done;
	u->request.opaque = u;
	if (!u->drive->disk) { /* taken out in the middle of a command */
		then(u, ENOMEDIUM);
		return;
	}
	u->in_flight = true;
	u->then = then;
	drive_submit(u->drive, u->ide->device.machine->loop, &u->request);
}

void ide_submit(struct ide_unit *u, enum disk_op op, u64 offset, u64 len, u8 *buf, void (*then)(struct ide_unit *, int error))
{
	u->pieces = 0;
	submit(u, (struct disk_request){.op = op, .offset = offset, .len = len, .buf = buf}, then);
}

void ide_submit_pieces(struct ide_unit *u, enum disk_op op, u64 offset, u64 len, unsigned pieces,
                       void (*then)(struct ide_unit *, int error))
{
	u->pieces = pieces;
	submit(u, (struct disk_request){.op = op, .offset = offset, .len = len, .pieces = u->vector}, then);
}

void ide_let_go(struct ide_unit *u)
{
	if (u->in_flight && u->pieces)
		disk_drain(u->drive->disk);
}

void ide_forget(struct ide_unit *u)
{
	u->forget = u->in_flight;
	ide_let_go(u);
	u->ahead_len = 0;
	u->s->phase = IDE_IDLE;
	u->s->at = u->s->stop = u->s->end = 0;
	u->s->left = 0;
}

void ide_disk_error(struct ide_unit *u, int error)
{
	if (ide_is_cd(u))
		atapi_disk_error(u, error);
	else
		ata_disk_error(u, error);
}

void ide_moved(struct ide_unit *u)
{
	if (ide_is_cd(u))
		atapi_done(u);
	else
		ata_done(u);
}

/* ---- to the host ---- */
/* Offer what data[] holds, or as much of it as a packet command's host takes at a time. */
static void offer(struct ide_unit *u)
{
	struct ide_unit_state *s = u->s;
	u32 n = s->end - s->at;

	if (s->command == CMD_PACKET) {
		n = MIN(n, s->limit);
		s->now[IDE_COUNT] = REASON_TO_HOST;
		s->now[IDE_MID] = n;
		s->now[IDE_HIGH] = n >> 8;
	}
	s->stop = s->at + n;
	s->status = (s->status & ~ST_BUSY) | ST_READY | ST_DRQ;
	ide_interrupt(u);
}

static void filled(struct ide_unit *u)
{
	struct ide_unit_state *s = u->s;

	if (s->phase == IDE_PIO_IN)
		offer(u);
	else
		ide_dma_run(u->channel);
}

static void look_ahead_done(struct ide_unit *u, int error)
{
	if (error) {
		ide_disk_error(u, error);
		return;
	}
	u->ahead = u->request.offset;
	u->ahead_len = u->request.len;
	ide_next_block(u);
}

void ide_next_block(struct ide_unit *u)
{
	struct ide_unit_state *s = u->s;
	u32 n = MIN(s->left, s->raw ? CD_SECTOR : s->block);
	const u8 *from;

	if (s->pos < u->ahead || s->pos - u->ahead > u->ahead_len || u->ahead_len - (s->pos - u->ahead) < n) {
		ide_submit(u, DISK_READ, s->pos, MIN(s->left, AHEAD), u->bulk, look_ahead_done);
		return;
	}
	from = u->bulk + (s->pos - u->ahead);
	if (!s->raw)
		memcpy(s->data, from, n);
	s->end = s->stop = s->raw ? atapi_raw_sector(u, s->data, from, s->pos / CD_SECTOR) : n;
	s->at = 0;
	s->pos += n;
	s->left -= n;
	filled(u);
}

void ide_data_in(struct ide_unit *u, bool dma)
{
	struct ide_unit_state *s = u->s;

	u->ahead_len = 0;
	s->at = 0;
	s->stop = s->end;
	s->phase = dma ? IDE_DMA_IN : IDE_PIO_IN;
	if (dma) {
		s->status = ST_READY | ST_BUSY;
		ide_dma_run(u->channel);
	} else if (s->end) {
		offer(u);
	} else if (s->left) {
		ide_next_block(u);
	} else {
		ide_moved(u);
	}
}

u32 ide_port_read(struct ide_unit *u, unsigned size)
{
	struct ide_unit_state *s = u->s;
	u32 value = 0;

	if (!u->drive || s->phase != IDE_PIO_IN || !(s->status & ST_DRQ))
		return 0;
	for (unsigned i = 0; i < size && s->at < s->stop; i++)
		value |= (u32)s->data[s->at++] << (i * 8);
	if (s->at < s->stop)
		return value;
	s->status &= ~ST_DRQ;
	if (s->at < s->end)
		offer(u);
	else if (s->left)
		ide_next_block(u);
	else
		ide_moved(u);
	return value;
}

/* ---- from the host ---- */
static void expect_block(struct ide_unit *u)
{
	struct ide_unit_state *s = u->s;

	if (s->block) {
		s->end = MIN(s->left, s->block);
		s->left -= s->end;
	}
	s->at = 0;
	s->stop = s->end;
	s->status = (s->status & ~ST_BUSY) | ST_READY | ST_DRQ;
}

void ide_data_out(struct ide_unit *u, bool dma)
{
	struct ide_unit_state *s = u->s;

	u->ahead_len = 0;
	s->at = 0;
	s->phase = dma ? IDE_DMA_OUT : IDE_PIO_OUT;
	if (dma) {
		s->status = ST_READY | ST_BUSY;
		ide_dma_run(u->channel);
	} else {
		expect_block(u);
	}
}

static void block_written(struct ide_unit *u, int error)
{
	struct ide_unit_state *s = u->s;

	if (error) {
		ide_disk_error(u, error);
		return;
	}
	s->pos += s->end;
	if (s->left) {
		expect_block(u);
		ide_interrupt(u);
	} else {
		ide_moved(u);
	}
}

void ide_arrived(struct ide_unit *u)
{
	struct ide_unit_state *s = u->s;

	if (s->block)
		ide_submit(u, DISK_WRITE, s->pos, s->end, s->data, block_written);
	else
		ata_received(u);
}

void ide_port_write(struct ide_unit *u, u32 value, unsigned size)
{
	struct ide_unit_state *s = u->s;
	u8 *to = s->phase == IDE_PACKET ? s->packet : s->data;

	if (!u->drive || (s->phase != IDE_PACKET && s->phase != IDE_PIO_OUT) || !(s->status & ST_DRQ))
		return;
	for (unsigned i = 0; i < size && s->at < s->stop; i++)
		to[s->at++] = value >> (i * 8);
	if (s->at < s->stop)
		return;
	s->status &= ~ST_DRQ;
	if (s->phase == IDE_PACKET)
		atapi_packet(u);
	else
		ide_arrived(u);
}
