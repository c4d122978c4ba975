/* SPDX-License-Identifier: MIT */
/* ATAPI CD-ROM and DVD-ROM drives with a single data track. ATA/ATAPI-7 vol. 2, 9.8 (the PACKET protocol); MMC-3 (NCITS 360)
 * and SFF-8020i (commands, sense codes, mode pages, TOC); ECMA-130, ch. 14 and annex A (sectors and their error correction).
 * Not implemented: audio and its sub-channels, recording, multisession, changers, copy protection, MODE SELECT, ATAPI of other
 * device types than 5, INQUIRY pages but the list of them.
 *
 * One table of commands by code. A command answers with data[] (reply) or with sectors of the medium (transfer); sense data is
 * kept for REQUEST SENSE. A changed medium is told once by unit attention, and by a media event.
 * Invariants: a transfer lies within the medium as it was when the command came; `locked` and `tray` are those of the drive. */
#include <errno.h>

#include "hw/disk/ide.h"

#define LAST_CD 360000u /* sectors: 80 minutes; what is larger is a DVD */
#define SPEED 7056u     /* kB/s */

enum flags { ALWAYS = 1 /* whatever happened to the medium */, MEDIUM = 2 };
enum sense { NOT_READY = 2, MEDIUM_ERROR = 3, ILLEGAL = 5, ATTENTION = 6 };
enum raw { RAW_SYNC = 0x80, RAW_HEADER = 0x20, RAW_USER = 0x10, RAW_ECC = 0x08, RAW_ALL = 0xf8 };
enum event { EVENT_EJECT = 1, EVENT_NEW = 2, EVENT_REMOVED = 3 };

TRACE_EVENT(ev_packet, "atapi.packet");
TRACE_EVENT(ev_sense, "atapi.sense");

static u16 be16(const u8 *p)
{
	return p[0] << 8 | p[1];
}
static u32 be32(const u8 *p)
{
	return (u32)be16(p) << 16 | be16(p + 2);
}
static void put16(u8 *p, u16 v)
{
	p[0] = v >> 8;
	p[1] = v;
}
static void put32(u8 *p, u32 v)
{
	put16(p, v >> 16);
	put16(p + 2, v);
}

/* ---- the medium ---- */
static bool present(const struct ide_unit *u)
{
	return u->drive->disk && !u->s->tray;
}

static u32 disc_size(const struct ide_unit *u)
{
	return u->drive->disk ? MIN(disk_size(u->drive->disk) / CD_SECTOR, 0x7fffffff) : 0;
}

static u32 sectors(const struct ide_unit *u)
{
	return present(u) ? disc_size(u) : 0;
}

static unsigned profile(const struct ide_unit *u)
{
	return !sectors(u) ? 0 : sectors(u) > LAST_CD ? 0x10 : 0x08;
}

static void set_locked(struct ide_unit *u, bool locked)
{
	u->s->locked = u->drive->locked = locked;
}

static void set_tray(struct ide_unit *u, bool open)
{
	u->s->tray = u->drive->tray_open = open;
	u->ahead_len = 0;
}

static void medium_came(struct ide_unit *u)
{
	u->s->attention = 1;
	u->s->event = EVENT_NEW;
	u->s->disc_size = disc_size(u);
}

void atapi_changed(void *unit)
{
	struct ide_unit *u = unit;

	set_tray(u, u->drive->tray_open);
	if (present(u)) {
		medium_came(u);
	} else {
		set_locked(u, false);
		u->s->event = EVENT_REMOVED;
	}
}

void atapi_eject_request(void *unit)
{
	struct ide_unit *u = unit;

	u->s->event = EVENT_EJECT;
}

/* ---- how commands end ---- */
static void end(struct ide_unit *u, bool good)
{
	struct ide_unit_state *s = u->s;

	s->phase = IDE_IDLE;
	s->left = 0;
	s->at = s->stop = s->end = 0;
	s->error = good ? 0 : s->sense << 4 | ER_ABORT;
	s->status = ST_READY | ST_SEEK | (good ? 0 : ST_ERR);
	s->now[IDE_COUNT] = REASON_COMMAND | REASON_TO_HOST;
	ide_interrupt(u);
}

void atapi_done(struct ide_unit *u)
{
	if (u->s->command == CMD_PACKET)
		end(u, true);
	else
		ata_done(u); /* IDENTIFY PACKET DEVICE */
}

static void fail(struct ide_unit *u, u8 key, u8 asc, u8 ascq)
{
	TRACE(ev_sense, "unit %u %x/%02x/%02x", u->index, key, asc, ascq);
	u->s->sense = key;
	u->s->asc = asc;
	u->s->ascq = ascq;
	end(u, false);
}

static void bad_field(struct ide_unit *u)
{
	fail(u, ILLEGAL, 0x24, 0);
}

static void not_ready(struct ide_unit *u)
{
	fail(u, NOT_READY, 0x3a, u->s->tray ? 2 : 1);
}

void atapi_disk_error(struct ide_unit *u, int error)
{
	if (error == ENOMEDIUM)
		not_ready(u);
	else
		fail(u, MEDIUM_ERROR, 0x11, 0);
}

static bool wants_dma(const struct ide_unit *u)
{
	return u->s->now[IDE_FEATURE] & 1;
}

/* Data comes, by PIO in blocks of the size that the host gave; none at all is no size. */
static void begin(struct ide_unit *u)
{
	if (wants_dma(u) || u->s->limit) {
		ide_data_in(u, wants_dma(u));
		return;
	}
	u->s->error = ER_ABORT;
	u->s->now[IDE_COUNT] = REASON_COMMAND | REASON_TO_HOST;
	u->s->phase = IDE_IDLE;
	u->s->left = 0;
	u->s->status = ST_READY | ST_SEEK | ST_ERR;
	ide_interrupt(u);
}

/* Answer with the first bytes of data[], as many as the host has room for. */
static void reply(struct ide_unit *u, u32 len, u32 room)
{
	u->s->raw = 0;
	u->s->left = 0;
	u->s->end = MIN(MIN(len, room), IDE_DATA);
	if (u->s->end)
		begin(u);
	else
		end(u, true);
}

/* Answer with sectors; raw: in what form, 0 just the users' bytes. */
static void transfer(struct ide_unit *u, u32 lba, u32 count, u8 raw)
{
	struct ide_unit_state *s = u->s;

	if (lba > sectors(u) || count > sectors(u) - lba) {
		fail(u, ILLEGAL, 0x21, 0);
	} else if (!count) {
		end(u, true);
	} else {
		s->raw = raw;
		s->pos = (u64)lba * CD_SECTOR;
		s->left = (u64)count * CD_SECTOR;
		s->block = s->limit >= IDE_DATA ? IDE_DATA : CD_SECTOR;
		s->end = 0;
		begin(u);
	}
}

/* ---- raw sectors ---- */
/* Minutes, seconds, frames of an absolute address: two seconds before the first sector. */
static void put_msf(u8 *p, u32 lba, bool bcd)
{
	u32 frame = lba + 150;
	u8 part[3] = {MIN(frame / (75 * 60), 99u), frame / 75 % 60, frame % 75};

	for (unsigned i = 0; i < 3; i++)
		p[i] = bcd ? part[i] / 10 << 4 | part[i] % 10 : part[i];
}

/* Error detection: a CRC of x^32+x^31+x^16+x^15+x^4+x^3+x+1, lowest bit first (ECMA-130 14.3). */
static u32 edc(const u8 *p, u32 len)
{
	static u32 table[256];
	u32 crc = 0;

	if (!table[1])
		for (u32 i = 0; i < 256; i++) {
			u32 v = i;

			for (unsigned bit = 0; bit < 8; bit++)
				v = v >> 1 ^ (v & 1 ? 0xd8018001 : 0);
			table[i] = v;
		}
	for (u32 i = 0; i < len; i++)
		crc = crc >> 8 ^ table[(crc ^ p[i]) & 0xff];
	return crc;
}

static u8 times_x(u8 v)
{
	return v << 1 ^ (v & 0x80 ? 0x1d : 0);
}

/* One of the two Reed-Solomon codes over GF(2^8) (annex A): `words` code words of `len` bytes each. Both parity bytes follow
 * from the sum of the bytes and from the sum weighted by powers of x; one is the quotient of those by x + 1. */
#define INVERSE 0xf4 /* of x + 1 */
static void parity(const u8 *data, unsigned words, unsigned len, unsigned word_step, unsigned byte_step, u8 *to)
{
	for (unsigned w = 0; w < words; w++) {
		unsigned at = (w >> 1) * word_step + (w & 1);
		u8 sum = 0, weighted = 0, first = 0, factor;

		for (unsigned i = 0; i < len; i++) {
			sum ^= data[at];
			weighted = times_x(weighted ^ data[at]);
			at += byte_step;
			if (at >= words * len)
				at -= words * len;
		}
		factor = times_x(weighted) ^ sum;
		for (unsigned bit = 0x80; bit; bit >>= 1)
			first = times_x(first) ^ (INVERSE & bit ? factor : 0);
		to[w] = first;
		to[w + words] = first ^ sum;
	}
}

u32 atapi_raw_sector(const struct ide_unit *u, u8 *to, const u8 *user, u32 lba)
{
	u8 sector[CD_RAW] = {0}, *start = to;
	static const struct { u8 flag; u16 at, len; } parts[] = {
		{RAW_SYNC, 0, 12}, {RAW_HEADER, 12, 4}, {RAW_USER, 16, 2048}, {RAW_ECC, 2064, 288}};

	memset(sector + 1, 0xff, 10);
	put_msf(sector + 12, lba, true);
	sector[15] = 1; /* mode */
	memcpy(sector + 16, user, CD_SECTOR);
	if (u->s->raw & RAW_ECC) {
		store32(sector + 2064, edc(sector, 2064));
		parity(sector + 12, 86, 24, 2, 86, sector + 2076);
		parity(sector + 12, 52, 43, 86, 88, sector + 2248);
	}
	for (unsigned i = 0; i < ARRAY_LEN(parts); i++)
		if (u->s->raw & parts[i].flag) {
			memcpy(to, sector + parts[i].at, parts[i].len);
			to += parts[i].len;
		}
	return to - start;
}

/* ---- reading ---- */
static void read_10(struct ide_unit *u)
{
	transfer(u, be32(u->s->packet + 2), be16(u->s->packet + 7), 0);
}
static void read_12(struct ide_unit *u)
{
	transfer(u, be32(u->s->packet + 2), be32(u->s->packet + 6), 0);
}

/* Which parts of the sectors the host wants. Of the sector types, "any" and "mode 1" are what is there. */
static void read_parts(struct ide_unit *u, u32 lba, u32 count)
{
	u8 type = u->s->packet[1] >> 2 & 7, parts = u->s->packet[9] & (RAW_SYNC | RAW_HEADER | RAW_USER | RAW_ECC);

	if (type > 2 || type == 1)
		fail(u, ILLEGAL, 0x64, 0); /* not of this kind */
	else if (!parts)
		transfer(u, lba, 0, 0);
	else
		transfer(u, lba, count, parts == RAW_USER ? 0 : parts);
}
static void read_cd(struct ide_unit *u)
{
	read_parts(u, be32(u->s->packet + 2), be16(u->s->packet + 7) | (u32)u->s->packet[6] << 16);
}

static u32 from_msf(const u8 *p)
{
	u32 frame = (p[0] * 60u + p[1]) * 75 + p[2];

	return frame >= 150 ? frame - 150 : 0xffffffff;
}
static void read_cd_msf(struct ide_unit *u)
{
	u32 first = from_msf(u->s->packet + 3), last = from_msf(u->s->packet + 6);

	if (first == 0xffffffff || last < first || last == 0xffffffff)
		bad_field(u);
	else
		read_parts(u, first, last - first);
}

static void seek(struct ide_unit *u)
{
	transfer(u, be32(u->s->packet + 2), 0, 0);
}

static void read_capacity(struct ide_unit *u)
{
	put32(u->s->data, sectors(u) - 1);
	put32(u->s->data + 4, CD_SECTOR);
	reply(u, 8, 8);
}

/* ---- what is on the disc ---- */
static u8 *put_track(u8 *p, u8 track, u32 lba, bool msf)
{
	p[1] = 0x14; /* position, data track */
	p[2] = track;
	if (msf)
		put_msf(p + 5, lba, false);
	else
		put32(p + 4, lba);
	return p + 8;
}

/* The lead-in as it is written: control, TNO, point, time, zero, where. */
static u8 *put_point(u8 *p, u8 point, u8 m, u8 s, u8 f)
{
	const u8 entry[11] = {1, 0x14, 0, point, 0, 0, 0, 0, m, s, f};

	memcpy(p, entry, sizeof entry);
	return p + sizeof entry;
}

static void read_toc(struct ide_unit *u)
{
	const u8 *packet = u->s->packet;
	u8 *d = u->s->data, *p = d + 4, track = packet[6], out[3];
	unsigned format = packet[2] & 0xf ? packet[2] & 0xf : packet[9] >> 6;
	bool msf = packet[1] & 2;

	memset(d, 0, 64);
	d[2] = d[3] = 1; /* first and last track or session */
	switch (format) {
	case 0:
		if (track > 1 && track != 0xaa) {
			bad_field(u);
			return;
		}
		if (track <= 1)
			p = put_track(p, 1, 0, msf);
		p = put_track(p, 0xaa, sectors(u), msf);
		break;
	case 1:
		p = put_track(p, 1, 0, msf);
		break;
	case 2:
		put_msf(out, sectors(u), false);
		p = put_point(p, 0xa0, 1, 0, 0);
		p = put_point(p, 0xa1, 1, 0, 0);
		p = put_point(p, 0xa2, out[0], out[1], out[2]);
		p = put_point(p, 1, 0, 2, 0);
		break;
	default:
		bad_field(u);
		return;
	}
	put16(d, p - d - 2);
	reply(u, p - d, be16(packet + 7));
}

static void read_disc_information(struct ide_unit *u)
{
	u8 *d = u->s->data;

	if (u->s->packet[1] & 7) {
		bad_field(u);
		return;
	}
	memset(d, 0, 34);
	put16(d, 32);
	d[2] = 0x0e;                      /* last session complete, disc finalized */
	d[3] = d[4] = d[5] = d[6] = 1;    /* first track, sessions, first and last track of the last one */
	d[7] = 0x20;                      /* unrestricted use */
	memset(d + 16, 0xff, 8);          /* no further lead-in, no lead-out possible */
	reply(u, 34, be16(u->s->packet + 7));
}

static void read_track_information(struct ide_unit *u)
{
	u8 *d = u->s->data, kind = u->s->packet[1] & 3;
	u32 number = be32(u->s->packet + 2);

	if (kind == 3 || (kind && number != 1) || (!kind && number >= sectors(u))) {
		bad_field(u);
		return;
	}
	memset(d, 0, 36);
	put16(d, 34);
	d[2] = d[3] = 1; /* track, session */
	d[5] = 4;        /* data track */
	d[6] = 1;        /* mode 1 */
	put32(d + 24, sectors(u));
	reply(u, 36, be16(u->s->packet + 7));
}

/* No audio is played; where the disc stands is its beginning. */
static void read_sub_channel(struct ide_unit *u)
{
	const u8 *packet = u->s->packet;
	u8 *d = u->s->data, format = packet[3];
	bool wanted = packet[2] & 0x40;
	u32 len = !wanted ? 4 : format == 1 ? 16 : 24;

	if (wanted && (!format || format > 3)) {
		bad_field(u);
		return;
	}
	memset(d, 0, 24);
	d[1] = 0x15; /* no status of audio */
	put16(d + 2, len - 4);
	d[4] = wanted ? format : 0;
	if (wanted && format != 2) {
		d[5] = 0x14;
		d[6] = 1;
	}
	if (wanted && format == 1) {
		d[7] = 1;
		if (packet[1] & 2)
			put_msf(d + 9, 0, false);
	}
	reply(u, len, be16(packet + 7));
}

static void read_dvd_structure(struct ide_unit *u)
{
	static const struct { u8 format; u16 len; } list[] = {{0x00, 2052}, {0x01, 8}, {0x04, 2052}};
	const u8 *packet = u->s->packet;
	u8 *d = u->s->data;
	u32 len = 0;

	if (profile(u) != 0x10) {
		fail(u, ILLEGAL, 0x30, 2); /* not for this medium */
		return;
	}
	memset(d, 0, 2052);
	if (packet[7] == 0xff) {
		len = 4;
		for (unsigned i = 0; i < ARRAY_LEN(list); i++, len += 4) {
			d[len] = list[i].format;
			d[len + 1] = 0x40; /* can be read */
			put16(d + len + 2, list[i].len);
		}
	}
	for (unsigned i = 0; i < ARRAY_LEN(list); i++)
		if (packet[7] == list[i].format)
			len = list[i].len;
	if (!len || packet[6] || packet[1] & 0xf) {
		bad_field(u);
		return;
	}
	if (packet[7] == 0x00) { /* physical: DVD-ROM, 120 mm, one layer, from sector 30000h on */
		d[4] = 0x01;
		d[5] = 0x0f;
		d[6] = 0x01;
		put32(d + 8, 0x30000);
		put32(d + 12, MIN(0x30000 + sectors(u) - 1, 0xffffffu));
	}
	put16(d, len - 2);
	reply(u, len, be16(packet + 8));
}

/* ---- what the drive is ---- */
static void text(u8 *to, unsigned len, const char *from)
{
	for (unsigned i = 0; i < len; i++)
		to[i] = *from ? *from++ : ' ';
}

static void inquiry(struct ide_unit *u)
{
	u8 *d = u->s->data;
	u32 room = be16(u->s->packet + 3);

	memset(d, 0, 36);
	d[0] = 5; /* CD-ROM */
	if (u->s->packet[1] & 1) {
		d[3] = 1; /* one page: this list */
		if (u->s->packet[2])
			bad_field(u);
		else
			reply(u, 5, room);
		return;
	}
	if (u->s->packet[2]) {
		bad_field(u);
		return;
	}
	d[1] = 0x80; /* removable */
	d[3] = 0x21; /* ATAPI version 2, format 1 */
	d[4] = 31;
	text(d + 8, 8, "PAISANO");
	text(d + 16, 16, "DVD-ROM");
	text(d + 32, 4, "1.0");
	reply(u, 36, room);
}

static u8 *put_mode_page(struct ide_unit *u, u8 *p, u8 page)
{
	static const u8 errors[8] = {0x01, 6, 0, 5}, time_outs[12] = {0x1d, 10, 0, 0, 0, 0, 0, 1, 0, 1, 0, 1};
	/* reads CD-R, CD-RW, DVD-ROM; mode 2 forms and multisession; a tray that locks and ejects */
	u8 abilities[22] = {0x2a, 20, 0x0b, 0, 0x70, 0, 0x29 | u->s->locked << 1, 0, SPEED >> 8, SPEED & 0xff, 0, 0, 2, 0,
	                    SPEED >> 8, SPEED & 0xff};
	const struct { u8 page, len; const u8 *data; } pages[] = {
		{0x01, sizeof errors, errors}, {0x1d, sizeof time_outs, time_outs}, {0x2a, sizeof abilities, abilities}};

	for (unsigned i = 0; i < ARRAY_LEN(pages); i++)
		if (page == 0x3f || page == pages[i].page) {
			memcpy(p, pages[i].data, pages[i].len);
			p += pages[i].len;
		}
	return p;
}

static void mode_sense(struct ide_unit *u)
{
	const u8 *packet = u->s->packet;
	bool wide = packet[0] == 0x5a;
	u8 *d = u->s->data, *first = d + (wide ? 8 : 4), *last;
	u8 type = u->s->tray ? 0x71 : sectors(u) ? 0x01 : 0x70;

	if (packet[2] >> 6 == 3) {
		fail(u, ILLEGAL, 0x39, 0); /* nothing is saved */
		return;
	}
	memset(d, 0, 8);
	last = put_mode_page(u, first, packet[2] & 0x3f);
	if (last == first) {
		bad_field(u);
		return;
	}
	if (wide) {
		put16(d, last - d - 2);
		d[2] = type;
	} else {
		d[0] = last - d - 1;
		d[1] = type;
	}
	reply(u, last - d, wide ? be16(packet + 7) : packet[4]);
}

/* Features: number, version and persistence, then what it says; those of a medium are current while it is in. */
static void get_configuration(struct ide_unit *u)
{
	static const struct feature {
		u16 code;
		u8 flags; /* version << 2 | persistent << 1 */
		u16 profile; /* current with this one, 0: always, 1: with any */
		u8 len, data[8];
	} features[] = {
		{0x0000, 0x03, 0, 8, {0, 0x10, 0, 0, 0, 0x08, 0, 0}},    /* profiles */
		{0x0001, 0x0b, 0, 8, {0, 0, 0, 2, 1, 0, 0, 0}},          /* core: ATAPI */
		{0x0003, 0x03, 0, 4, {0x29, 0, 0, 0}},                   /* removable medium: a tray that locks and ejects */
		{0x0010, 0x00, 1, 8, {0, 0, 8, 0, 0, 1, 0, 0}},          /* random readable: blocks of 2048, one at a time */
		{0x001e, 0x08, 0x08, 4, {0, 0, 0, 0}},                   /* reads CDs */
		{0x001f, 0x00, 0x10, 4, {0, 0, 0, 0}},                   /* reads DVDs */
		{0x0100, 0x03, 0, 0, {0}},                               /* power management */
		{0x0105, 0x03, 0, 4, {0, 0, 0, 0}},                      /* time-outs */
	};
	const u8 *packet = u->s->packet;
	u8 *d = u->s->data, *p = d + 8, kind = packet[1] & 3;
	u16 from = be16(packet + 2), now = profile(u);

	if (kind == 3) {
		bad_field(u);
		return;
	}
	memset(d, 0, 128);
	put16(d + 6, now);
	for (unsigned i = 0; i < ARRAY_LEN(features); i++) {
		const struct feature *f = &features[i];
		bool current = !f->profile || (now && (f->profile == 1 || f->profile == now));

		if (f->code < from || (kind == 2 && f->code != from) || (kind == 1 && !current))
			continue;
		put16(p, f->code);
		p[2] = (f->flags & ~1) | current;
		p[3] = f->len;
		memcpy(p + 4, f->data, f->len);
		if (!f->code) {
			p[6] = now == 0x10;
			p[10] = now == 0x08;
		}
		p += 4 + f->len;
	}
	put32(d, p - d - 4);
	reply(u, p - d, be16(packet + 7));
}

static void mechanism_status(struct ide_unit *u)
{
	memset(u->s->data, 0, 8);
	u->s->data[1] = u->s->tray ? 0x10 : 0;
	reply(u, 8, be16(u->s->packet + 8));
}

/* ---- state ---- */
static void request_sense(struct ide_unit *u)
{
	struct ide_unit_state *s = u->s;
	u8 *d = s->data;

	if (!s->sense && s->attention) {
		s->sense = ATTENTION;
		s->asc = 0x28;
		s->ascq = 0;
		s->attention = 0;
	}
	memset(d, 0, 18);
	d[0] = 0x70;
	d[2] = s->sense;
	d[7] = 10;
	d[12] = s->asc;
	d[13] = s->ascq;
	s->sense = s->asc = s->ascq = 0;
	reply(u, 18, s->packet[4]);
}

static void get_event(struct ide_unit *u)
{
	struct ide_unit_state *s = u->s;
	u8 *d = s->data;
	bool media = s->packet[4] & 0x10;

	if (!(s->packet[1] & 1)) { /* telling later would need queueing */
		bad_field(u);
		return;
	}
	memset(d, 0, 8);
	d[3] = 0x10; /* media events are all there are */
	if (!media) {
		d[1] = 2;
		d[2] = 0x80;
		reply(u, 4, be16(s->packet + 7));
		return;
	}
	d[1] = 6;
	d[2] = 4;
	d[4] = s->event;
	d[5] = s->tray | (present(u) ? 2 : 0);
	if (be16(s->packet + 7) > 4)
		s->event = 0;
	reply(u, 8, be16(s->packet + 7));
}

static void test_unit_ready(struct ide_unit *u)
{
	end(u, true);
}

static void prevent_removal(struct ide_unit *u)
{
	set_locked(u, u->s->packet[4] & 1);
	end(u, true);
}

static void start_stop(struct ide_unit *u)
{
	bool load_eject = u->s->packet[4] & 2, start = u->s->packet[4] & 1;

	if (load_eject && !start && u->s->locked) {
		fail(u, ILLEGAL, 0x53, 2);
		return;
	}
	if (load_eject && u->s->tray == start) {
		set_tray(u, !start);
		if (present(u))
			medium_came(u);
		else if (!start && u->drive->disk)
			u->s->event = EVENT_REMOVED;
	}
	end(u, true);
}

/* ---- the commands ---- */
static const struct command {
	u8 flags;
	void (*fn)(struct ide_unit *u);
} commands[256] = {
	[0x00] = {MEDIUM, test_unit_ready},
	[0x03] = {ALWAYS, request_sense},
	[0x12] = {ALWAYS, inquiry},
	[0x1a] = {0, mode_sense},
	[0x1b] = {0, start_stop},
	[0x1e] = {0, prevent_removal},
	[0x25] = {MEDIUM, read_capacity},
	[0x28] = {MEDIUM, read_10},
	[0x2b] = {MEDIUM, seek},
	[0x42] = {MEDIUM, read_sub_channel},
	[0x43] = {MEDIUM, read_toc},
	[0x46] = {ALWAYS, get_configuration},
	[0x4a] = {ALWAYS, get_event},
	[0x51] = {MEDIUM, read_disc_information},
	[0x52] = {MEDIUM, read_track_information},
	[0x5a] = {0, mode_sense},
	[0xa8] = {MEDIUM, read_12},
	[0xad] = {MEDIUM, read_dvd_structure},
	[0xb9] = {MEDIUM, read_cd_msf},
	[0xbb] = {0, test_unit_ready}, /* SET CD SPEED */
	[0xbd] = {0, mechanism_status},
	[0xbe] = {MEDIUM, read_cd},
};

void atapi_packet(struct ide_unit *u)
{
	struct ide_unit_state *s = u->s;
	const u8 *p = s->packet;
	const struct command *row = &commands[p[0]];

	TRACE(ev_packet, "unit %u %02x %02x %02x%02x%02x%02x %02x%02x%02x %02x%02x%02x limit %x%s", u->index, p[0], p[1], p[2], p[3],
	      p[4], p[5], p[6], p[7], p[8], p[9], p[10], p[11], s->limit, wants_dma(u) ? " dma" : "");
	s->at = s->stop = s->end = 0;
	if (p[0] != 0x03)
		s->sense = s->asc = s->ascq = 0;
	if (s->attention && !(row->flags & ALWAYS)) {
		s->attention = 0;
		fail(u, ATTENTION, 0x28, 0);
	} else if (!row->fn) {
		fail(u, ILLEGAL, 0x20, 0);
	} else if (row->flags & MEDIUM && !sectors(u)) {
		not_ready(u);
	} else {
		row->fn(u);
	}
}

void atapi_start(struct ide_unit *u)
{
	struct ide_unit_state *s = u->s;
	u32 limit = s->now[IDE_MID] | s->now[IDE_HIGH] << 8;

	s->limit = limit & 0xfffe;
	s->now[IDE_COUNT] = REASON_COMMAND;
	s->phase = IDE_PACKET;
	s->at = 0;
	s->stop = s->end = sizeof s->packet;
	s->status = ST_READY | ST_SEEK | ST_DRQ;
}

void atapi_identify(struct ide_unit *u)
{
	u8 *id = u->s->data;

	store16(id, 0x85c0); /* ATAPI CD-ROM, removable, DRQ at once without an interrupt, packets of 12 bytes */
	ata_string(id + 54, 40, "PAISANO DVD-ROM");
	store16(id + 49 * 2, 0x0f00);
	store16(id + 82 * 2, 0x0218); /* DEVICE RESET, PACKET, power management */
	store16(id + 83 * 2, 0x4000);
	store16(id + 84 * 2, 0x4000);
	store16(id + 85 * 2, 0x0218);
	store16(id + 87 * 2, 0x4000);
}

/* ---- state ---- */
void atapi_power_on(struct ide_unit *u)
{
	if (!ide_is_cd(u))
		return;
	set_locked(u, false);
	set_tray(u, u->drive->tray_open);
	u->s->disc_size = disc_size(u);
	u->s->block = CD_SECTOR;
}

void atapi_loaded(struct ide_unit *u)
{
	struct ide_unit_state *s = u->s;

	s->attention &= 1;
	s->event &= 3;
	s->limit &= 0xfffe;
	s->raw &= RAW_ALL;
	if (!ide_is_cd(u)) {
		s->locked = s->tray = s->raw = 0;
		s->disc_size = s->limit = 0;
		return;
	}
	set_locked(u, s->locked & 1);
	set_tray(u, s->tray & 1);
	s->pos -= s->pos % CD_SECTOR;
	s->left -= s->left % CD_SECTOR;
	if (s->command == CMD_PACKET && s->phase == IDE_PIO_IN && !s->limit)
		s->phase = IDE_IDLE;
	if (s->disc_size == disc_size(u))
		return;
	medium_came(u); /* another disc than when this was saved, or none */
	s->event = present(u) ? EVENT_NEW : EVENT_REMOVED;
}
