/* SPDX-License-Identifier: MIT */
/* ATA disks, and the ATA commands of packet devices. ATA8-ACS (T13/1699-D rev. 4a), ch. 7; ATA/ATAPI-5 for CHS (INITIALIZE
 * DEVICE PARAMETERS) and the old power commands; SMART structures as ATA/ATAPI-5 8.41 has them.
 * Not implemented: security, host protected area (SET MAX), removable ATA media, streaming, NCQ, TRUSTED, DOWNLOAD MICROCODE,
 * 8-bit transfers; SMART knows no attribute and runs no self-test.
 *
 * One table of commands by code: what of the device they need and what carries them out. Data goes by ide_data_in() and
 * ide_data_out(); ata_done() is told when all of it has moved.
 * Invariant: the range of a transfer was checked against the disk's size before the first byte moves. */
#include <errno.h>
#include <stdio.h>

#include "hw/disk/ide.h"

#define CHS_CYLINDERS 16383u
#define CHS_HEADS 16u
#define CHS_SECTORS 63u
#define LBA28 (1u << 28)
#define TRIM_BLOCKS 8u /* 512 bytes of ranges each */

enum flags { DISK = 1, CD = 2, EXT = 4, DMA = 8, MULTI = 16, WRITE = 32, FUA = 64 };
typedef void command_fn(struct ide_unit *u);

/* ---- results ---- */
void ata_finish(struct ide_unit *u)
{
	u->s->phase = IDE_IDLE;
	u->s->status = ST_READY | ST_SEEK;
	ide_interrupt(u);
}

void ata_fail(struct ide_unit *u, u8 error)
{
	u->s->phase = IDE_IDLE;
	u->s->left = 0;
	u->s->error = error;
	u->s->status = ST_READY | ST_SEEK | ST_ERR;
	ide_interrupt(u);
}

/* ---- addresses ---- */
u64 ata_sectors(const struct ide_unit *u)
{
	return u->drive && u->drive->disk ? MIN(disk_size(u->drive->disk) / IDE_SECTOR, BIT(48) - 1) : 0;
}

/* A disk that has any sectors has a cylinder, which it may not fill: a BIOS does not read from a disk of none. */
static unsigned cylinders(const struct ide_unit *u, unsigned heads, unsigned sectors)
{
	u64 total = ata_sectors(u);

	/* BIOSes take one or two cylinders off for diagnostics: with fewer than two, what INT 13h says would be none, or wrap */
	return total ? MAX(MIN(total / (heads * sectors), CHS_CYLINDERS), 2u) : 0;
}

static u32 low24(const u8 *regs)
{
	return regs[IDE_LOW] | regs[IDE_MID] << 8 | (u32)regs[IDE_HIGH] << 16;
}

/* The first sector of a command; false: there is no such one. */
static bool first_sector(const struct ide_unit *u, bool ext, u64 *lba)
{
	const struct ide_unit_state *s = u->s;
	const u8 *r = s->now;
	unsigned head = r[IDE_DEVICE] & 0xf;

	if (ext) {
		*lba = low24(r) | (u64)low24(s->before) << 24;
	} else if (r[IDE_DEVICE] & DEV_LBA) {
		*lba = low24(r) | (u64)head << 24;
	} else {
		u64 cylinder = r[IDE_MID] | r[IDE_HIGH] << 8;

		*lba = (cylinder * s->heads + head) * s->sectors + r[IDE_LOW] - 1;
		return r[IDE_LOW] && r[IDE_LOW] <= s->sectors && head < s->heads;
	}
	return true;
}

static u32 sector_count(const struct ide_unit *u, bool ext)
{
	if (!ext)
		return u->s->now[IDE_COUNT] ? u->s->now[IDE_COUNT] : 256;
	u32 n = u->s->now[IDE_COUNT] | u->s->before[IDE_COUNT] << 8;
	return n ? n : 65536;
}

/* Show a sector's number in the registers, in the form that the command used. */
static void show_sector(struct ide_unit *u, bool ext, u64 lba)
{
	u8 *r = u->s->now;

	if (!ext && !(r[IDE_DEVICE] & DEV_LBA)) {
		u64 track = lba / u->s->sectors, cylinder = track / u->s->heads;

		r[IDE_LOW] = lba % u->s->sectors + 1;
		r[IDE_MID] = cylinder;
		r[IDE_HIGH] = cylinder >> 8;
		r[IDE_DEVICE] = (r[IDE_DEVICE] & 0xf0) | track % u->s->heads;
		return;
	}
	r[IDE_LOW] = lba;
	r[IDE_MID] = lba >> 8;
	r[IDE_HIGH] = lba >> 16;
	if (!ext) {
		r[IDE_DEVICE] = (r[IDE_DEVICE] & 0xf0) | (lba >> 24 & 0xf);
		return;
	}
	u->s->before[IDE_LOW] = lba >> 24;
	u->s->before[IDE_MID] = lba >> 32;
	u->s->before[IDE_HIGH] = lba >> 40;
}

/* ---- the table's row of the command in progress ---- */
static const struct command {
	u8 flags;
	command_fn *fn;
} commands[256];

static u8 flags(const struct ide_unit *u)
{
	return commands[u->s->command].flags;
}

void ata_disk_error(struct ide_unit *u, int error)
{
	u64 lba = u->s->pos / IDE_SECTOR;
	bool refused = error == EROFS || error == ENOSPC || error == ENOMEDIUM;

	if (u->s->phase != IDE_WORK)
		show_sector(u, flags(u) & EXT, lba);
	ata_fail(u, refused ? ER_ABORT : flags(u) & WRITE ? ER_ABORT | ER_NOT_FOUND : ER_DATA);
}

/* ---- reading and writing ---- */
/* Checks the range of the command; false: it has failed. */
static bool range(struct ide_unit *u, u64 *lba, u32 *count)
{
	bool ext = flags(u) & EXT;

	*count = sector_count(u, ext);
	if (first_sector(u, ext, lba) && *lba + *count <= ata_sectors(u))
		return true;
	ata_fail(u, ER_NOT_FOUND);
	return false;
}

static void read_write(struct ide_unit *u)
{
	struct ide_unit_state *s = u->s;
	u8 f = flags(u);
	u64 lba;
	u32 count;

	if ((f & MULTI && !s->multiple) || (f & WRITE && u->drive->disk && disk_read_only(u->drive->disk))) {
		ata_fail(u, ER_ABORT);
		return;
	}
	if (!range(u, &lba, &count))
		return;
	s->pos = lba * IDE_SECTOR;
	s->left = (u64)count * IDE_SECTOR;
	s->block = IDE_SECTOR * (f & MULTI ? s->multiple : 1);
	s->end = 0;
	s->raw = 0;
	if (f & WRITE)
		ide_data_out(u, f & DMA);
	else
		ide_data_in(u, f & DMA);
}

static void request_ended(struct ide_unit *u, int error)
{
	if (error)
		ata_disk_error(u, error);
	else
		ata_finish(u);
}

static void flush(struct ide_unit *u)
{
	u->s->phase = IDE_WORK;
	if (u->drive->disk)
		ide_submit(u, DISK_FLUSH, 0, 0, NULL, request_ended);
	else
		ata_fail(u, ER_ABORT);
}

/* Reading is the proof; the data goes nowhere. */
static void verify_step(struct ide_unit *u, int error);
static void verify_next(struct ide_unit *u)
{
	ide_submit(u, DISK_READ, u->s->pos, MIN(u->s->left, IDE_BULK), u->bulk, verify_step);
}

static void verify_step(struct ide_unit *u, int error)
{
	if (error) {
		show_sector(u, flags(u) & EXT, u->s->pos / IDE_SECTOR);
		ata_fail(u, ER_DATA);
		return;
	}
	u->s->pos += u->request.len;
	u->s->left -= u->request.len;
	if (u->s->left)
		verify_next(u);
	else
		ata_finish(u);
}

static void verify(struct ide_unit *u)
{
	u64 lba;
	u32 count;

	if (!range(u, &lba, &count))
		return;
	u->s->pos = lba * IDE_SECTOR;
	u->s->left = (u64)count * IDE_SECTOR;
	u->s->phase = IDE_WORK;
	u->ahead_len = 0;
	verify_next(u);
}

static void seek(struct ide_unit *u)
{
	u64 lba;

	if (first_sector(u, false, &lba) && lba < ata_sectors(u))
		ata_finish(u);
	else
		ata_fail(u, ER_NOT_FOUND);
}

/* ---- TRIM: ranges of a 48-bit sector number and a 16-bit length ---- */
static void trim_next(struct ide_unit *u, int error);
static void trim(struct ide_unit *u)
{
	struct ide_unit_state *s = u->s;
	unsigned n = s->entry | s->entry_high << 8;
	u64 total = ata_sectors(u);

	for (; n < s->end / 8; n++) {
		u64 range_word = load64(s->data + n * 8), lba = range_word & (BIT(48) - 1), count = range_word >> 48;

		if (!count)
			continue;
		if (lba + count > total) {
			ata_fail(u, ER_ABORT | ER_NOT_FOUND);
			return;
		}
		s->entry = n + 1;
		s->entry_high = (n + 1) >> 8;
		ide_submit(u, DISK_DISCARD, lba * IDE_SECTOR, count * IDE_SECTOR, NULL, trim_next);
		return;
	}
	ata_finish(u);
}

static void trim_next(struct ide_unit *u, int error)
{
	if (error == EIO || error == EROFS || error == ENOMEDIUM) /* a host that cannot discard loses nothing */
		ata_fail(u, ER_ABORT);
	else
		trim(u);
}

static void data_set_management(struct ide_unit *u)
{
	struct ide_unit_state *s = u->s;
	u32 blocks = s->now[IDE_COUNT] | s->before[IDE_COUNT] << 8;

	if (s->now[IDE_FEATURE] != 1 || !blocks || blocks > TRIM_BLOCKS || !u->drive->disk || disk_read_only(u->drive->disk)) {
		ata_fail(u, ER_ABORT);
		return;
	}
	s->block = s->entry = s->entry_high = 0;
	s->left = 0;
	s->end = blocks * IDE_SECTOR;
	ide_data_out(u, true);
}

/* ---- what the host sends that is not the disk's content ---- */
static void read_buffer(struct ide_unit *u)
{
	u->s->left = 0;
	u->s->end = IDE_SECTOR;
	ide_data_in(u, false);
}

static void write_buffer(struct ide_unit *u)
{
	u->s->left = u->s->block = 0;
	u->s->end = IDE_SECTOR;
	ide_data_out(u, false);
}

void ata_received(struct ide_unit *u)
{
	if (u->s->command == CMD_TRIM) {
		u->s->phase = IDE_WORK;
		u->s->status = ST_READY | ST_BUSY;
		trim(u);
	} else {
		ata_finish(u);
	}
}

void ata_done(struct ide_unit *u)
{
	struct ide_unit_state *s = u->s;
	u8 f = flags(u);

	s->now[IDE_COUNT] = 0;
	if (f & (MULTI | DMA | WRITE | EXT) || s->command == 0x20 || s->command == 0x21)
		show_sector(u, f & EXT, s->pos / IDE_SECTOR - (s->pos >= IDE_SECTOR));
	if (f & WRITE && (f & FUA || s->write_through)) {
		flush(u);
	} else if (s->phase == IDE_PIO_IN) { /* the interrupt came with the data */
		s->phase = IDE_IDLE;
		s->status = ST_READY | ST_SEEK;
	} else {
		ata_finish(u);
	}
}

/* ---- IDENTIFY ---- */
void ata_string(u8 *to, unsigned len, const char *text)
{
	for (unsigned i = 0; i < len; i++)
		to[i ^ 1] = *text ? *text++ : ' ';
}

static void put(u8 *id, unsigned word, u16 value)
{
	store16(id + word * 2, value);
}

/* Words that a disk and a packet device have in common, then the checksum. */
static void identify_common(struct ide_unit *u, u8 *id)
{
	const struct ide_unit_state *s = u->s;
	unsigned class = s->mode >> 3, n = s->mode & 7;
	char serial[21];
	u8 sum = 0xa5;

	snprintf(serial, sizeof serial, "PS%05u", u->index + 1u);
	ata_string(id + 20, 20, serial);
	ata_string(id + 46, 8, "1.0");
	put(id, 53, 7);
	put(id, 63, 0x07 | (class == 4 ? 0x100 << n : 0)); /* multiword DMA 0-2 */
	put(id, 64, 3);                                    /* PIO 3, 4 */
	for (unsigned word = 65; word <= 68; word++)
		put(id, word, 120); /* ns a cycle */
	put(id, 80, 0x1f0); /* ATA/ATAPI-4 to ATA8-ACS */
	put(id, 81, 0);
	put(id, 88, 0x3f | (class == 8 ? 0x100 << n : 0)); /* Ultra DMA 0-5 */
	/* hardware reset result: 80-wire cable, which unit this is, how it knows */
	put(id, 93, 0x6000 | (u->index & 1 ? 0x0b00 : 0x000b));
	id[510] = 0xa5;
	for (unsigned i = 0; i < 511; i++)
		sum += i == 510 ? 0 : id[i];
	id[511] = -sum;
}

static void identify(struct ide_unit *u)
{
	struct ide_unit_state *s = u->s;
	u8 *id = s->data;
	u64 total = ata_sectors(u), chs;
	unsigned cyl = cylinders(u, s->heads, s->sectors);

	if (ide_is_cd(u)) {
		ide_signature(u);
		ata_fail(u, ER_ABORT);
		return;
	}
	chs = MIN((u64)cyl * s->heads * s->sectors, total);
	memset(id, 0, IDE_SECTOR);
	put(id, 0, 0x0040); /* fixed disk */
	put(id, 1, cylinders(u, CHS_HEADS, CHS_SECTORS));
	put(id, 3, CHS_HEADS);
	put(id, 6, CHS_SECTORS);
	ata_string(id + 54, 40, "PAISANO HARDDISK");
	put(id, 47, 0x8000 | IDE_MULTIPLE);
	put(id, 48, 0);
	put(id, 49, 0x0f00); /* DMA, LBA, IORDY that can be disabled */
	put(id, 50, 0x4000);
	put(id, 54, cyl);
	put(id, 55, s->heads);
	put(id, 56, s->sectors);
	put(id, 57, chs);
	put(id, 58, chs >> 16);
	put(id, 59, s->multiple ? 0x100 | s->multiple : 0);
	store32(id + 120, MIN(total, LBA28 - 1));
	put(id, 69, 0);
	/* supported: SMART, power management, write cache, look-ahead, buffers, NOP; flush, flush ext, LBA48; FUA */
	put(id, 82, 0x7069);
	put(id, 83, 0x7400);
	put(id, 84, 0x4040);
	put(id, 85, 0x7008 | !s->smart_off | (s->write_through ? 0 : 0x20) | (s->no_read_ahead ? 0 : 0x40));
	put(id, 86, 0x3400);
	put(id, 87, 0x4040);
	store64(id + 200, total);
	put(id, 105, TRIM_BLOCKS);
	put(id, 106, 0x4000);
	put(id, 169, 1);
	put(id, 217, 1); /* no seek to wait for */
	put(id, 222, 0x0003); /* parallel */
	identify_common(u, id);
	s->left = 0;
	s->end = IDE_SECTOR;
	ide_data_in(u, false);
}

static void identify_packet(struct ide_unit *u)
{
	struct ide_unit_state *s = u->s;

	memset(s->data, 0, IDE_SECTOR);
	atapi_identify(u);
	identify_common(u, s->data);
	s->left = 0;
	s->end = IDE_SECTOR;
	ide_data_in(u, false);
}

/* ---- settings ---- */
static void set_features(struct ide_unit *u)
{
	struct ide_unit_state *s = u->s;
	u8 value = s->now[IDE_COUNT];

	switch (s->now[IDE_FEATURE]) {
	case 0x02:
	case 0x82:
		s->write_through = s->now[IDE_FEATURE] == 0x82;
		if (s->write_through && !ide_is_cd(u)) { /* what was cached must not be left there */
			flush(u);
			return;
		}
		break;
	case 0xaa:
	case 0x55:
		s->no_read_ahead = s->now[IDE_FEATURE] == 0x55;
		break;
	case 0x03: /* transfer mode: PIO default, PIO 0-4, multiword DMA 0-2, Ultra DMA 0-5 */
		if (!(value <= 1 || (value >= 0x08 && value <= 0x0c) || (value >= 0x20 && value <= 0x22) ||
		      (value >= 0x40 && value <= 0x45))) {
			ata_fail(u, ER_ABORT);
			return;
		}
		if (value >= 0x20) /* the modes of the two DMA kinds exclude each other */
			s->mode = value;
		break;
	case 0x66: /* keep or restore defaults at soft reset: there is nothing that a soft reset would change */
	case 0xcc:
		break;
	default:
		ata_fail(u, ER_ABORT);
		return;
	}
	ata_finish(u);
}

static void set_multiple(struct ide_unit *u)
{
	u8 n = u->s->now[IDE_COUNT];

	if (n > IDE_MULTIPLE || n & (n - 1)) {
		u->s->multiple = 0;
		ata_fail(u, ER_ABORT);
		return;
	}
	u->s->multiple = n;
	ata_finish(u);
}

static void initialize_parameters(struct ide_unit *u)
{
	struct ide_unit_state *s = u->s;

	if (!s->now[IDE_COUNT]) {
		ata_fail(u, ER_ABORT);
		return;
	}
	s->sectors = s->now[IDE_COUNT];
	s->heads = (s->now[IDE_DEVICE] & 0xf) + 1;
	ata_finish(u);
}

static void native_max(struct ide_unit *u)
{
	bool ext = flags(u) & EXT;
	u64 total = ata_sectors(u);

	if (!total) {
		ata_fail(u, ER_ABORT);
		return;
	}
	u->s->now[IDE_DEVICE] |= DEV_LBA;
	show_sector(u, ext, (ext ? total : MIN(total, LBA28)) - 1);
	ata_finish(u);
}

/* ---- power: it is there or it is not; the modes are only told apart ---- */
enum power { POWER_STANDBY = 0, POWER_IDLE = 0x80, POWER_ACTIVE = 0xff };
static void power_to_standby(struct ide_unit *u)
{
	u->s->power = POWER_STANDBY;
	if (ide_is_cd(u))
		ata_finish(u);
	else
		flush(u);
}
static void power_to_idle(struct ide_unit *u)
{
	u->s->power = POWER_IDLE;
	ata_finish(u);
}
static void check_power(struct ide_unit *u)
{
	u->s->now[IDE_COUNT] = u->s->power;
	ata_finish(u);
}

/* ---- SMART: a disk that is well and has nothing to tell ---- */
static void smart_block(struct ide_unit *u)
{
	u8 sum = 0;

	for (unsigned i = 0; i < IDE_SECTOR - 1; i++)
		sum += u->s->data[i];
	u->s->data[IDE_SECTOR - 1] = -sum;
	u->s->left = 0;
	u->s->end = IDE_SECTOR;
	ide_data_in(u, false);
}

static void smart_log(struct ide_unit *u)
{
	u8 *d = u->s->data;

	memset(d, 0, IDE_SECTOR);
	switch (u->s->now[IDE_LOW]) {
	case 0x00: /* directory: version, then sectors of each log; not check-summed, but all zero is legal there */
		store16(d, 1);
		d[2] = d[12] = 1;
		u->s->left = 0;
		u->s->end = IDE_SECTOR;
		ide_data_in(u, false);
		break;
	case 0x01: /* errors */
	case 0x06: /* self-tests */
		store16(d, 1);
		smart_block(u);
		break;
	default:
		ata_fail(u, ER_ABORT);
		break;
	}
}

static void smart(struct ide_unit *u)
{
	struct ide_unit_state *s = u->s;
	u8 feature = s->now[IDE_FEATURE];

	if (s->now[IDE_MID] != 0x4f || s->now[IDE_HIGH] != 0xc2 || (s->smart_off && feature != 0xd8)) {
		ata_fail(u, ER_ABORT);
		return;
	}
	switch (feature) {
	case 0xd0: /* data */
		memset(s->data, 0, IDE_SECTOR);
		store16(s->data, 1);
		store16(s->data + 368, 3); /* autosave, ends what it does offline for a command */
		s->data[370] = 1;          /* error log */
		smart_block(u);
		break;
	case 0xd1: /* thresholds */
		memset(s->data, 0, IDE_SECTOR);
		store16(s->data, 1);
		smart_block(u);
		break;
	case 0xd5:
		smart_log(u);
		break;
	case 0xd8:
	case 0xd9:
		s->smart_off = feature == 0xd9;
		ata_finish(u);
		break;
	case 0xd2: /* autosave */
	case 0xda: /* status: 4f, c2 stand for a disk that is well */
		ata_finish(u);
		break;
	default:
		ata_fail(u, ER_ABORT);
		break;
	}
}

/* ---- the commands ---- */
static const struct command commands[256] = {
	[CMD_TRIM] = {DISK, data_set_management},
	[0x10 ... 0x1f] = {DISK, ata_finish}, /* RECALIBRATE */
	[0x20] = {DISK, read_write},
	[0x21] = {DISK, read_write},
	[0x24] = {DISK | EXT, read_write},
	[0x25] = {DISK | EXT | DMA, read_write},
	[0x27] = {DISK | EXT, native_max},
	[0x29] = {DISK | EXT | MULTI, read_write},
	[0x30] = {DISK | WRITE, read_write},
	[0x31] = {DISK | WRITE, read_write},
	[0x34] = {DISK | WRITE | EXT, read_write},
	[0x35] = {DISK | WRITE | EXT | DMA, read_write},
	[0x39] = {DISK | WRITE | EXT | MULTI, read_write},
	[0x3c] = {DISK | WRITE, read_write}, /* WRITE VERIFY */
	[0x3d] = {DISK | WRITE | EXT | DMA | FUA, read_write},
	[0x40] = {DISK, verify},
	[0x41] = {DISK, verify},
	[0x42] = {DISK | EXT, verify},
	[0x70 ... 0x7f] = {DISK, seek},
	[0x91] = {DISK, initialize_parameters},
	[0x94] = {DISK | CD, power_to_standby},
	[0x95] = {DISK | CD, power_to_idle},
	[0x96] = {DISK | CD, power_to_standby},
	[0x97] = {DISK | CD, power_to_idle},
	[0x98] = {DISK | CD, check_power},
	[0x99] = {DISK | CD, power_to_standby}, /* SLEEP; any command wakes the disk, not only a reset */
	[CMD_PACKET] = {CD, atapi_start},
	[0xa1] = {CD, identify_packet},
	[0xb0] = {DISK, smart},
	[0xc4] = {DISK | MULTI, read_write},
	[0xc5] = {DISK | WRITE | MULTI, read_write},
	[0xc6] = {DISK, set_multiple},
	[0xc8] = {DISK | DMA, read_write},
	[0xc9] = {DISK | DMA, read_write},
	[0xca] = {DISK | WRITE | DMA, read_write},
	[0xcb] = {DISK | WRITE | DMA, read_write},
	[0xce] = {DISK | WRITE | EXT | MULTI | FUA, read_write},
	[0xe0] = {DISK | CD, power_to_standby},
	[0xe1] = {DISK | CD, power_to_idle},
	[0xe2] = {DISK | CD, power_to_standby},
	[0xe3] = {DISK | CD, power_to_idle},
	[0xe4] = {DISK, read_buffer},
	[0xe5] = {DISK | CD, check_power},
	[0xe6] = {DISK | CD, power_to_standby},
	[0xe7] = {DISK, flush},
	[0xe8] = {DISK, write_buffer},
	[0xea] = {DISK | EXT, flush},
	[0xec] = {DISK | CD, identify},
	[0xef] = {DISK | CD, set_features},
	[0xf8] = {DISK, native_max},
};

void ata_command(struct ide_unit *u)
{
	const struct command *row = &commands[u->s->command];

	if (!row->fn || !(row->flags & (ide_is_cd(u) ? CD : DISK))) {
		ata_fail(u, ER_ABORT);
		return;
	}
	if (row->flags & (DMA | WRITE) || row->fn == read_write || row->fn == verify)
		u->s->power = POWER_ACTIVE;
	row->fn(u);
}

/* ---- state ---- */
void ata_power_on(struct ide_unit *u)
{
	struct ide_unit_state *s = u->s;

	s->heads = CHS_HEADS;
	s->sectors = CHS_SECTORS;
	s->mode = 0x45;
	s->power = POWER_ACTIVE;
	s->multiple = u->drive && !ide_is_cd(u) ? IDE_MULTIPLE : 0;
	s->block = IDE_SECTOR;
}

void ata_loaded(struct ide_unit *u)
{
	struct ide_unit_state *s = u->s;

	s->heads = s->heads && s->heads <= 16 ? s->heads : CHS_HEADS;
	s->sectors = s->sectors ? s->sectors : CHS_SECTORS;
	if (s->multiple > IDE_MULTIPLE || s->multiple & (s->multiple - 1))
		s->multiple = 0;
	if (!((s->mode >= 0x20 && s->mode <= 0x22) || (s->mode >= 0x40 && s->mode <= 0x45)))
		s->mode = 0x45;
	s->write_through &= 1;
	s->no_read_ahead &= 1;
	s->smart_off &= 1;
}
