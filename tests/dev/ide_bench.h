/* SPDX-License-Identifier: MIT */
/* A controller with drives on a bare bus, and the few things that every driver does with it. */
#ifndef TESTS_DEV_IDE_BENCH_H
#define TESTS_DEV_IDE_BENCH_H

#include "tests/dev/bench.h"
#include "tests/dev/fakedisk.h"

enum { IDE_DEVFN = 1 << 3 | 1, BM = 0xc000 };
enum { BSY = 0x80, RDY = 0x40, DRQ = 0x08, ERR = 0x01 };

static struct bench *b;
static struct device *ide;
static struct drive drives[4];
static struct wire irq[2];

static inline u16 port(unsigned channel) { return channel ? 0x170 : 0x1f0; }

/* A disk of this many bytes at unit i; 0 and cdrom: an empty drive. */
static inline void ide_put(unsigned i, enum drive_media media, u64 size)
{
	drives[i] = (struct drive){.id = "drive", .media = media, .disk = size ? fakedisk_new(size) : NULL};
	ide->drive[i] = &drives[i];
}

static inline void ide_open(void)
{
	b = bench_new();
	memset(drives, 0, sizeof drives);
	memset(irq, 0, sizeof irq);
	bench_add(b, "i440fx", NULL);
	ide = bench_create(b, "piix3-ide", NULL);
	bench_tie(b, ide, "irq14", &irq[0]);
	bench_tie(b, ide, "irq15", &irq[1]);
}

static inline void ide_go(void)
{
	bench_start(ide);
	cfg_write(b, IDE_DEVFN, 0x20, BM, 4);
	cfg_write(b, IDE_DEVFN, 0x04, 5, 2);
}

static inline void ide_close(void)
{
	struct disk *disk[4] = {drives[0].disk, drives[1].disk, drives[2].disk, drives[3].disk};

	bench_free(b);
	for (unsigned i = 0; i < 4; i++)
		if (disk[i])
			fakedisk_free(disk[i]);
}

static inline void ide_pump(void)
{
	for (bool any = true; any;) {
		any = false;
		for (unsigned i = 0; i < 4; i++)
			if (drives[i].disk)
				any |= fakedisk_step(drives[i].disk);
	}
}

static inline u8 ide_status(unsigned channel) { return in8(b, port(channel) + 7); }
static inline u8 ide_alt(unsigned channel) { return in8(b, port(channel) + 0x206); }

static inline void ide_regs(unsigned channel, u8 feature, u8 count, u32 lba, u8 device)
{
	out8(b, port(channel) + 6, device);
	out8(b, port(channel) + 1, feature);
	out8(b, port(channel) + 2, count);
	out8(b, port(channel) + 3, lba);
	out8(b, port(channel) + 4, lba >> 8);
	out8(b, port(channel) + 5, lba >> 16);
}

static inline void ide_regs48(unsigned channel, u16 feature, u16 count, u64 lba, u8 device)
{
	ide_regs(channel, feature >> 8, count >> 8, lba >> 24, device);
	ide_regs(channel, feature, count, lba, device);
}

static inline void ide_command(unsigned channel, u8 code) { out8(b, port(channel) + 7, code); }

static inline void ide_read_block(unsigned channel, void *buf, unsigned len)
{
	for (unsigned i = 0; i + 1 < len; i += 2)
		store16((u8 *)buf + i, in16(b, port(channel)));
	if (len & 1)
		((u8 *)buf)[len - 1] = in16(b, port(channel));
}

static inline void ide_write_block(unsigned channel, const void *buf, unsigned len)
{
	for (unsigned i = 0; i < len; i += 2)
		out16(b, port(channel), load16((const u8 *)buf + i));
}

/* A PRD at entry n of the table at 1000h. */
static inline void ide_prd(unsigned n, u32 at, u16 len, bool last)
{
	wr(b, 0x1000 + n * 8, at, 4);
	wr(b, 0x1004 + n * 8, len | (last ? 0x80000000u : 0), 4);
}

static inline void ide_bm_start(unsigned channel, bool to_memory)
{
	out32(b, BM + channel * 8 + 4, 0x1000);
	out8(b, BM + channel * 8 + 2, 6);
	out8(b, BM + channel * 8, to_memory ? 8 : 0);
	out8(b, BM + channel * 8, to_memory ? 9 : 1);
}
static inline void ide_bm_stop(unsigned channel) { out8(b, BM + channel * 8, in8(b, BM + channel * 8) & ~1); }
static inline u8 ide_bm_status(unsigned channel) { return in8(b, BM + channel * 8 + 2) & 7; }

#endif
