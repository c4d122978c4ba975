/* SPDX-License-Identifier: MIT */
/* Sectors between medium and host, one at a time: it comes under the head (STEP_SEARCH), is read or written (STEP_READ,
 * STEP_WRITE), and its bytes move by DMA at once or through the FIFO (STEP_HOST). 82077AA datasheet (290166), 5.1 and 6.1. */
#include <errno.h>

#include "hw/disk/fdc_state.h"

enum { SCAN_LESS = 1, SCAN_MORE = 2 };
enum direction { TO_HOST, FROM_HOST, NOWHERE };

/* In the order of enum fdc_kind. */
static const struct {
	enum direction direction;
	bool writes;
} kinds[KINDS] = {
	[KIND_READ] = {TO_HOST, false},         [KIND_READ_DELETED] = {TO_HOST, false}, [KIND_READ_TRACK] = {TO_HOST, false},
	[KIND_READ_ID] = {NOWHERE, false},      [KIND_VERIFY] = {NOWHERE, false},       [KIND_WRITE] = {FROM_HOST, true},
	[KIND_FORMAT] = {FROM_HOST, true},      [KIND_SCAN_EQUAL] = {FROM_HOST, false}, [KIND_SCAN_LOW] = {FROM_HOST, false},
	[KIND_SCAN_HIGH] = {FROM_HOST, false},
};

TRACE_EVENT(ev_sector, "fdc.sector");
TRACE_EVENT(ev_error, "fdc.error");

static void disk_ready(struct fdc *f, int error);
static void host_ready(struct fdc *f);

static struct fdc_drive *drive_of(struct fdc *f)
{
	return &f->drive[f->state.unit & 3];
}

static bool has_medium(const struct fdc_drive *d)
{
	return d->format && d->drive && d->drive->disk;
}

static bool scans(const struct fdc_state *s)
{
	return s->kind == KIND_SCAN_EQUAL || s->kind == KIND_SCAN_LOW || s->kind == KIND_SCAN_HIGH;
}

bool fdc_transfer_to_host(const struct fdc *f)
{
	return kinds[f->state.kind].direction == TO_HOST;
}

static u64 sector_ns(const struct fdc_drive *d)
{
	return FDC_TURN_NS / (d->format ? d->format->sectors : 18);
}

/* ---- the end ---- */
static void finish(struct fdc *f, u8 st0, u8 st1, u8 st2)
{
	struct fdc_state *s = &f->state;
	u8 bytes[7];

	s->st0 |= st0;
	s->st1 |= st1;
	s->st2 |= st2;
	if (s->st0 & ST0_ABNORMAL)
		TRACE(ev_error, "unit %u C %u H %u R %u: %02x %02x %02x", s->unit, s->id[0], s->id[1], s->id[2], s->st0, s->st1, s->st2);
	fdc_dma_line(f, false);
	s->step = STEP_NONE;
	s->at = s->len = 0;
	bytes[0] = s->st0 | s->head << 2 | s->unit;
	bytes[1] = s->st1;
	bytes[2] = s->st2;
	memcpy(bytes + 3, s->id, 4);
	fdc_command_results(f, bytes, sizeof bytes, true);
}

static void fail(struct fdc *f, u8 st1, u8 st2)
{
	finish(f, ST0_ABNORMAL, st1, st2);
}

void fdc_transfer_stop(struct fdc *f)
{
	f->forget = f->busy != NULL;
	f->state.step = STEP_NONE;
	f->state.at = f->state.len = 0;
	fdc_dma_line(f, false);
}

/* ---- the next sector ---- */
/* To the sector behind this one. False: that was the last of the track, or with multi-track of the cylinder. The address goes
 * on all the same, as the result wants it when the host has ended the transfer. */
static bool advance(struct fdc_state *s)
{
	if (s->id[2] != s->eot) {
		s->id[2]++;
		return true;
	}
	s->id[2] = 1;
	if (!s->multi) {
		s->id[0]++;
		return false;
	}
	s->id[1] ^= 1;
	s->head ^= 1;
	if (s->head)
		return true;
	s->id[0]++;
	return false;
}

static bool counted_down(struct fdc_state *s)
{
	return s->counted && !--s->left;
}

/* The sector, or for FORMAT its address, is done with. */
static void sector_done(struct fdc *f)
{
	struct fdc_state *s = &f->state;
	u8 id[4], head = s->head;
	bool more;

	memcpy(id, s->id, sizeof id);
	if (s->kind == KIND_FORMAT) {
		if (s->terminal || counted_down(s))
			finish(f, 0, 0, 0);
		else
			fdc_wait(f, STEP_SEARCH, sector_ns(drive_of(f)));
		return;
	}
	if (s->kind == KIND_READ_DELETED) { /* no sector has the mark that was asked for */
		finish(f, 0, 0, ST2_MARK);
		return;
	}
	more = advance(s);
	if (s->terminal || counted_down(s)) {
		finish(f, 0, 0, 0);
	} else if (more) {
		fdc_wait(f, STEP_SEARCH, sector_ns(drive_of(f)));
	} else { /* nobody has ended the transfer: the address stays */
		memcpy(s->id, id, sizeof id);
		s->head = head;
		if (scans(s))
			finish(f, 0, 0, ST2_SCAN_MISS);
		else if (s->kind == KIND_VERIFY || s->kind == KIND_READ_TRACK)
			finish(f, 0, 0, 0);
		else
			fail(f, ST1_END, 0);
	}
}

/* ---- the host ---- */
static void scan_byte(struct fdc_state *s, u8 disk, u8 host)
{
	if (disk != 0xff && host != 0xff && disk != host)
		s->scan |= disk < host ? SCAN_LESS : SCAN_MORE;
}

/* A sector compares as its bytes all do. */
static bool scan_met(const struct fdc_state *s)
{
	return !s->scan || (s->kind == KIND_SCAN_LOW && s->scan == SCAN_LESS) || (s->kind == KIND_SCAN_HIGH && s->scan == SCAN_MORE);
}

/* The step over sectors that a scan was asked for, once more than advance() does. */
static void scan_skip(struct fdc_state *s)
{
	if (s->command[8] == 2 && s->id[2] < s->eot)
		s->id[2]++;
}

static bool by_dma(const struct fdc_state *s)
{
	return !(s->specify[1] & 1);
}

/* One stretch of bytes through the DMA channel. False: nobody takes or gives them, which is an overrun. */
static bool move_by_dma(struct fdc *f)
{
	struct fdc_state *s = &f->state;
	struct device *dma = f->device.machine->isa_dma;
	u8 host[FDC_SECTOR] = {0};
	bool terminal = false, to_host = fdc_transfer_to_host(f);
	size_t moved;

	if (!dma || !(s->dor & DOR_GATE))
		return false;
	moved = dma_transfer(dma, FDC_DMA_CHANNEL, to_host ? s->buf : host, s->len, to_host ? DMA_TO_MEMORY : DMA_FROM_MEMORY,
	                     &terminal);
	if (moved < s->len && !terminal)
		return false;
	s->terminal = terminal;
	if (scans(s))
		for (size_t i = 0; i < moved; i++)
			scan_byte(s, s->buf[i], host[i]);
	else if (!to_host)
		memcpy(s->buf, host, s->len); /* what the host no longer gave is zero */
	return true;
}

/* Let buf[0..len) move. */
static void offer(struct fdc *f, u16 len)
{
	struct fdc_state *s = &f->state;

	s->at = 0;
	s->len = len;
	s->scan = 0;
	if (!by_dma(s)) {
		s->step = STEP_HOST;
		s->irq = 1;
		fdc_update(f);
	} else if (move_by_dma(f)) {
		host_ready(f);
	} else {
		fail(f, ST1_OVERRUN, 0);
	}
}

static void fifo_moved(struct fdc *f)
{
	struct fdc_state *s = &f->state;

	if (++s->at < s->len)
		return;
	s->irq = 0;
	fdc_update(f);
	host_ready(f);
}

u8 fdc_transfer_read(struct fdc *f)
{
	struct fdc_state *s = &f->state;
	u8 value;

	if (!fdc_transfer_to_host(f))
		return 0;
	value = s->buf[s->at];
	fifo_moved(f);
	return value;
}

void fdc_transfer_write(struct fdc *f, u8 value)
{
	struct fdc_state *s = &f->state;

	if (fdc_transfer_to_host(f))
		return;
	if (scans(s))
		scan_byte(s, s->buf[s->at], value);
	else
		s->buf[s->at] = value;
	fifo_moved(f);
}

/* ---- the disk ---- */
static u64 position(const struct fdc_drive *d, u8 sector)
{
	const struct fdc_format *m = d->format;

	return (((u64)d->s->track * m->heads + d->fdc->state.head) * m->sectors + sector - 1) * FDC_SECTOR;
}

static void submit(struct fdc *f);

static void request_done(struct disk_request *request)
{
	struct fdc *f = request->opaque;

	f->busy = NULL;
	if (!f->forget) {
		disk_ready(f, request->error);
		return;
	}
	f->forget = false;
	if (f->state.step == STEP_READ || f->state.step == STEP_WRITE)
		submit(f);
}

/* An image may be shorter than its format: the rest reads as zeros and cannot be written. */
static void submit(struct fdc *f)
{
	struct fdc_state *s = &f->state;
	struct fdc_drive *d = drive_of(f);
	u64 size, at;

	if (f->busy) /* an old one, to be forgotten; this one follows it */
		return;
	if (!has_medium(d)) {
		disk_ready(f, ENOMEDIUM);
		return;
	}
	size = disk_size(d->drive->disk);
	at = position(d, s->id[2]);
	if (at >= size || (s->step == STEP_WRITE && size - at < FDC_SECTOR)) {
		memset(f->disk_buf, 0, FDC_SECTOR);
		disk_ready(f, s->step == STEP_WRITE ? EIO : 0);
		return;
	}
	if (s->step == STEP_WRITE)
		memcpy(f->disk_buf, s->buf, FDC_SECTOR);
	else
		memset(f->disk_buf, 0, FDC_SECTOR);
	f->request = (struct disk_request){
		.op = s->step == STEP_WRITE ? DISK_WRITE : DISK_READ, .offset = at, .len = MIN(size - at, (u64)FDC_SECTOR),
		.buf = f->disk_buf, .done = request_done, .opaque = f};
	f->busy = d->drive->disk;
	drive_submit(d->drive, f->device.machine->loop, &f->request);
}

static void ask_disk(struct fdc *f, enum fdc_step step)
{
	struct fdc_state *s = &f->state;

	TRACE(ev_sector, "unit %u %s C %u H %u R %u", s->unit, step == STEP_WRITE ? "write" : "read", s->id[0], s->head, s->id[2]);
	s->step = step;
	submit(f);
}

static void disk_ready(struct fdc *f, int error)
{
	struct fdc_state *s = &f->state;

	if (error == EROFS) {
		fail(f, ST1_PROTECTED, 0);
	} else if (error == ENOMEDIUM) {
		fail(f, ST1_NO_MARK, 0);
	} else if (error) {
		fail(f, ST1_DATA_ERROR, ST2_DATA_ERROR);
	} else if (s->step == STEP_READ && s->kind != KIND_VERIFY) {
		memcpy(s->buf, f->disk_buf, FDC_SECTOR);
		offer(f, FDC_SECTOR);
	} else {
		sector_done(f);
	}
}

/* ---- under the head ---- */
/* A sector of the medium that FORMAT's four bytes may describe? */
static bool formattable(const struct fdc *f, const struct fdc_drive *d, const u8 *id)
{
	return id[0] == d->s->track && id[1] == f->state.head && id[2] >= 1 && id[2] <= d->format->sectors && id[3] == 2;
}

static void host_ready(struct fdc *f)
{
	struct fdc_state *s = &f->state;
	const struct fdc_drive *d = drive_of(f);

	if (scans(s)) {
		bool met = scan_met(s);

		if (met && !s->scan)
			s->st2 |= ST2_SCAN_HIT;
		else if (!met && s->terminal)
			s->st2 |= ST2_SCAN_MISS;
		s->terminal |= met;
		if (!s->terminal)
			scan_skip(s);
		sector_done(f);
	} else if (s->kind == KIND_FORMAT) {
		memcpy(s->id, s->buf, sizeof s->id);
		if (!has_medium(d)) {
			fail(f, ST1_NO_MARK, 0);
		} else if (!formattable(f, d, s->id)) {
			finish(f, ST0_ABNORMAL | ST0_CHECK, 0, 0); /* the image has no such sector */
		} else {
			memset(s->buf, s->command[5], FDC_SECTOR);
			ask_disk(f, STEP_WRITE);
		}
	} else if (kinds[s->kind].writes) {
		ask_disk(f, STEP_WRITE);
	} else {
		sector_done(f);
	}
}

/* Does anything legible pass under the head? */
static bool legible(struct fdc *f, const struct fdc_drive *d)
{
	const struct fdc_state *s = &f->state;

	return has_medium(d) && d->s->track < d->format->tracks && s->head < d->format->heads && s->command[0] & 0x40 &&
	       d->format->rates & BIT(s->dsr & 3);
}

void fdc_transfer_search(struct fdc *f)
{
	struct fdc_state *s = &f->state;
	struct fdc_drive *d = drive_of(f);
	u8 track = d->s->track;

	if (!legible(f, d)) {
		fail(f, ST1_NO_MARK, 0);
	} else if (kinds[s->kind].writes && disk_read_only(d->drive->disk)) {
		fail(f, ST1_PROTECTED, 0);
	} else if (s->kind == KIND_FORMAT) {
		offer(f, 4);
	} else if (s->kind == KIND_READ_ID) {
		/* the sector that passes just now */
		u64 turn = clock_now(f->device.machine->clock) % FDC_TURN_NS;

		s->id[0] = track;
		s->id[1] = s->head;
		s->id[2] = turn * d->format->sectors / FDC_TURN_NS + 1;
		s->id[3] = 2;
		finish(f, 0, 0, 0);
	} else if (s->kind == KIND_READ_TRACK && s->id[2] >= 1 && s->id[2] <= d->format->sectors) {
		/* in the order of the track, whatever their addresses say */
		if (s->id[0] != track || s->id[1] != s->head || s->id[3] != 2)
			s->st1 |= ST1_NO_DATA;
		ask_disk(f, STEP_READ);
	} else if (s->id[0] != track) {
		fail(f, ST1_NO_DATA, ST2_WRONG_TRACK);
	} else if (s->id[1] != s->head || s->id[3] != 2 || s->id[2] < 1 || s->id[2] > d->format->sectors) {
		fail(f, ST1_NO_DATA, 0);
	} else if (s->kind == KIND_READ_DELETED && s->command[0] & 0x20) {
		/* every sector is skipped, to the end of the track */
		s->id[2] = s->eot;
		fail(f, ST1_END, ST2_MARK);
	} else if (kinds[s->kind].writes) {
		offer(f, FDC_SECTOR);
	} else {
		ask_disk(f, STEP_READ);
	}
}

/* The command's bytes are C H R N EOT GPL DTL, for FORMAT N SC GPL D, for READ ID none. */
void fdc_transfer_start(struct fdc *f, enum fdc_kind kind)
{
	struct fdc_state *s = &f->state;
	struct fdc_drive *d;
	u64 ns = FDC_HURRY * 100;

	s->kind = kind;
	s->unit = s->command[1] & 3;
	s->head = s->command[1] >> 2 & 1;
	s->st0 = s->st1 = s->st2 = 0;
	s->multi = s->counted = s->terminal = 0;
	s->at = s->len = 0;
	d = drive_of(f);
	if (kind == KIND_FORMAT) {
		s->id[0] = d->s->track;
		s->id[1] = s->head;
		s->id[2] = 1;
		s->id[3] = s->command[2];
		s->left = s->command[3];
		s->counted = 1;
	} else if (kind != KIND_READ_ID) {
		memcpy(s->id, s->command + 2, sizeof s->id);
		s->eot = s->last_eot = s->command[6];
		s->multi = s->command[0] >> 7 && kind != KIND_READ_TRACK;
		if (kind == KIND_VERIFY && s->command[1] & 0x80) {
			s->counted = 1;
			s->left = s->command[8];
		} else if (kind == KIND_READ_TRACK) {
			s->id[2] = 1;
		}
		if (s->config[0] & CFG_IMPLIED_SEEK) {
			ns += fdc_command_seek(f, s->unit, s->id[0]) * fdc_command_step_ns(f);
			s->st0 |= ST0_SEEK_END;
		}
	}
	s->phase = FDC_EXECUTING;
	fdc_dma_line(f, by_dma(s) && kinds[kind].direction != NOWHERE);
	/* nothing legible: the controller gives up after two turns */
	fdc_wait(f, STEP_SEARCH, ns + (legible(f, d) ? sector_ns(d) : 2 * FDC_TURN_NS));
}

void fdc_transfer_loaded(struct fdc *f)
{
	struct fdc_state *s = &f->state;

	s->kind %= KINDS;
	s->unit &= 3;
	s->head &= 1;
	s->len = MIN(s->len, FDC_SECTOR);
	s->at = MIN(s->at, s->len);
	if (s->phase != FDC_EXECUTING || (s->step == STEP_HOST && (s->at == s->len || kinds[s->kind].direction == NOWHERE))) {
		if (s->step != STEP_RESET)
			s->step = STEP_NONE;
		if (s->phase == FDC_EXECUTING)
			s->phase = FDC_IDLE;
	}
	if (s->step == STEP_READ || s->step == STEP_WRITE) {
		struct fdc_drive *d = drive_of(f);

		if (has_medium(d) && d->s->track < d->format->tracks && s->head < d->format->heads && s->id[2] >= 1 &&
		    s->id[2] <= d->format->sectors)
			submit(f);
		else
			s->step = STEP_SEARCH;
	}
}
