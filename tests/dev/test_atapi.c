/* SPDX-License-Identifier: MIT */
/* CD-ROM drives: packets by PIO and DMA, what a disc says of itself, trays and changes of discs. */
#include <errno.h>
#include <stdlib.h>

#include "tests/dev/ide_bench.h"

#define DISC 3000u /* sectors */
enum { CD = 2, CHANNEL = 1 };

static u16 get16(const u8 *p) { return p[0] << 8 | p[1]; }
static u32 get32(const u8 *p) { return (u32)get16(p) << 16 | get16(p + 2); }

/* The drive is unit 0 of channel 1, as on every PC; a disk is on channel 0. */
static void start(u64 sectors)
{
	ide_open();
	ide_put(0, DRIVE_DISK, 1 << 20);
	ide_put(CD, DRIVE_CDROM, sectors * 2048);
	ide_go();
	out8(b, 0x176, 0xa0);
}

struct packet {
	u8 bytes[12];
};

/* Sends a packet and takes what comes, at most `room` bytes; limit: of a block. How many came; sense key in *error. */
static unsigned run(struct packet p, void *buf, unsigned room, u16 limit, u8 *error)
{
	unsigned got = 0;

	ide_regs(CHANNEL, 0, 0, limit << 8, 0xa0);
	ide_command(CHANNEL, 0xa0);
	assert_int_equal(ide_status(CHANNEL) & (BSY | DRQ), DRQ);
	assert_int_equal(in8(b, 0x172) & 3, 1);
	ide_write_block(CHANNEL, p.bytes, 12);
	for (;;) {
		u8 status, data[65536];
		unsigned n;

		ide_pump();
		assert_true(irq[CHANNEL].level);
		status = ide_status(CHANNEL);
		assert_int_equal(status & BSY, 0);
		if (!(status & DRQ)) {
			assert_int_equal(in8(b, 0x172) & 3, 3);
			*error = status & ERR ? in8(b, 0x171) >> 4 : 0;
			return got;
		}
		assert_int_equal(in8(b, 0x172) & 3, 2);
		n = in8(b, 0x174) | in8(b, 0x175) << 8;
		assert_true(n && n <= limit);
		ide_read_block(CHANNEL, data, n);
		assert_true(got + n <= room);
		memcpy((u8 *)buf + got, data, n);
		got += n;
	}
}

static unsigned good(struct packet p, void *buf, unsigned room)
{
	u8 error;
	unsigned n = run(p, buf, room, 0xfffe, &error);

	assert_int_equal(error, 0);
	return n;
}

static void expect_sense(struct packet p, u8 key, u8 asc, u8 ascq)
{
	u8 error, d[64];

	run(p, d, sizeof d, 0xfffe, &error);
	assert_int_equal(error, key);
	assert_int_equal(good((struct packet){{0x03, 0, 0, 0, 18}}, d, sizeof d), 18);
	assert_int_equal(d[0], 0x70);
	assert_int_equal(d[2], key);
	assert_int_equal(d[12], asc);
	assert_int_equal(d[13], ascq);
}

static const struct packet ready = {{0}};

static void expect_sectors(const void *got, u32 lba, u32 count)
{
	u8 *want = malloc(count * 2048);

	fakedisk_peek(drives[CD].disk, lba * 2048ull, want, count * 2048);
	assert_memory_equal(got, want, count * 2048);
	free(want);
}

static void identity(void **state)
{
	u8 id[512], d[256];

	(void)state;
	start(DISC);
	ide_command(CHANNEL, 0xec); /* IDENTIFY DEVICE refuses, and shows what this is */
	assert_int_equal(ide_status(CHANNEL) & ERR, ERR);
	assert_int_equal(in8(b, 0x174) | in8(b, 0x175) << 8, 0xeb14);
	ide_command(CHANNEL, 0xa1);
	assert_true(irq[CHANNEL].level);
	ide_read_block(CHANNEL, id, 512);
	assert_int_equal(load16(id), 0x85c0);
	assert_int_equal(ide_status(CHANNEL) & (BSY | DRQ | ERR), 0);
	assert_int_equal(good((struct packet){{0x12, 0, 0, 0, 36}}, d, sizeof d), 36);
	assert_int_equal(d[0], 5);
	assert_int_equal(d[1], 0x80);
	assert_memory_equal(d + 8, "PAISANO ", 8);
	assert_int_equal(good((struct packet){{0x12, 0, 0, 0, 5}}, d, sizeof d), 5); /* as much as there is room for */
	expect_sense((struct packet){{0x12, 0, 0x80, 0, 36}}, 5, 0x24, 0);
	/* features: all, one, the current ones */
	unsigned n = good((struct packet){{0x46, 0, 0, 0, 0, 0, 0, 0, 200}}, d, sizeof d);
	assert_int_equal(n, get32(d) + 4);
	assert_int_equal(get16(d + 6), 8);
	assert_int_equal(good((struct packet){{0x46, 2, 0, 0x1e, 0, 0, 0, 0, 200}}, d, sizeof d), 16);
	assert_int_equal(d[10] & 1, 1);
	/* mode pages, both sizes of header */
	assert_int_equal(good((struct packet){{0x5a, 0, 0x2a, 0, 0, 0, 0, 0, 200}}, d, sizeof d), 30);
	assert_int_equal(get16(d), 28);
	assert_int_equal(d[8], 0x2a);
	n = good((struct packet){{0x1a, 0, 0x3f, 0, 200}}, d, sizeof d);
	assert_int_equal(n, d[0] + 1);
	expect_sense((struct packet){{0x5a, 0, 0x33, 0, 0, 0, 0, 0, 200}}, 5, 0x24, 0);
	expect_sense((struct packet){{0x5a, 0, 0xea, 0, 0, 0, 0, 0, 200}}, 5, 0x39, 0);
	assert_int_equal(good((struct packet){{0xbd, 0, 0, 0, 0, 0, 0, 0, 0, 8}}, d, sizeof d), 8);
	expect_sense((struct packet){{0xff}}, 5, 0x20, 0);
	ide_close();
}

static void disc(void **state)
{
	u8 d[256];

	(void)state;
	start(DISC);
	good(ready, d, 0);
	assert_int_equal(good((struct packet){{0x25}}, d, sizeof d), 8);
	assert_int_equal(get32(d), DISC - 1);
	assert_int_equal(get32(d + 4), 2048);
	/* table of contents: tracks, by sectors and by minutes */
	assert_int_equal(good((struct packet){{0x43, 0, 0, 0, 0, 0, 0, 0, 100}}, d, sizeof d), 20);
	assert_int_equal(get16(d), 18);
	assert_int_equal(d[5], 0x14);
	assert_int_equal(d[6], 1);
	assert_int_equal(get32(d + 8), 0);
	assert_int_equal(d[14], 0xaa);
	assert_int_equal(get32(d + 16), DISC);
	assert_int_equal(good((struct packet){{0x43, 2, 0, 0, 0, 0, 0xaa, 0, 100}}, d, sizeof d), 12);
	assert_int_equal(get32(d + 8), 0x00002a00); /* 3150 frames: 42 seconds */
	assert_int_equal(good((struct packet){{0x43, 0, 1, 0, 0, 0, 0, 0, 100}}, d, sizeof d), 12);
	assert_int_equal(good((struct packet){{0x43, 2, 2, 0, 0, 0, 0, 0, 100}}, d, sizeof d), 48);
	assert_int_equal(d[4 + 3], 0xa0);
	assert_int_equal(d[4 + 33 + 10], 0);
	assert_int_equal(d[4 + 33 + 9], 2);
	/* the old place of the format */
	assert_int_equal(good((struct packet){{0x43, 0, 0, 0, 0, 0, 0, 0, 100, 0x40}}, d, sizeof d), 12);
	expect_sense((struct packet){{0x43, 0, 0, 0, 0, 0, 5, 0, 100}}, 5, 0x24, 0);
	expect_sense((struct packet){{0x43, 0, 5, 0, 0, 0, 0, 0, 100}}, 5, 0x24, 0);
	assert_int_equal(good((struct packet){{0x42, 2, 0x40, 1, 0, 0, 0, 0, 100}}, d, sizeof d), 16);
	assert_int_equal(d[1], 0x15);
	assert_int_equal(get32(d + 8), 0x00000200);
	expect_sense((struct packet){{0x42, 0, 0x40, 9, 0, 0, 0, 0, 100}}, 5, 0x24, 0);
	expect_sense((struct packet){{0xad, 0, 0, 0, 0, 0, 0, 0, 8, 4}}, 5, 0x30, 2);
	assert_int_equal(good((struct packet){{0x51, 0, 0, 0, 0, 0, 0, 0, 100}}, d, sizeof d), 34);
	assert_int_equal(good((struct packet){{0x52, 1, 0, 0, 0, 1, 0, 0, 100}}, d, sizeof d), 36);
	assert_int_equal(get32(d + 24), DISC);
	ide_close();
}

static void read_pio(void **state)
{
	u8 *d = malloc(65536), error;

	(void)state;
	start(DISC);
	assert_int_equal(good((struct packet){{0x28, 0, 0, 0, 0, 20, 0, 0, 10}}, d, 65536), 20480);
	expect_sectors(d, 20, 10);
	/* small and odd blocks */
	assert_int_equal(run((struct packet){{0x28, 0, 0, 0, 0, 33, 0, 0, 3}}, d, 65536, 2048, &error), 6144);
	expect_sectors(d, 33, 3);
	assert_int_equal(run((struct packet){{0xa8, 0, 0, 0, 1, 0, 0, 0, 0, 2}}, d, 65536, 1001, &error), 4096);
	expect_sectors(d, 256, 2);
	/* the last sector, none, one too many */
	assert_int_equal(good((struct packet){{0x28, 0, 0, 0, (DISC - 1) >> 8, (DISC - 1) & 0xff, 0, 0, 1}}, d, 65536), 2048);
	assert_int_equal(good((struct packet){{0x28, 0, 0, 0, 0, 1, 0, 0, 0}}, d, 65536), 0);
	expect_sense((struct packet){{0x28, 0, 0, 0, (DISC - 1) >> 8, (DISC - 1) & 0xff, 0, 0, 2}}, 5, 0x21, 0);
	expect_sense((struct packet){{0xa8, 0, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff}}, 5, 0x21, 0);
	expect_sense((struct packet){{0x2b, 0, 0, 1, 0, 0}}, 5, 0x21, 0);
	/* no size for a block: no data */
	assert_int_equal(run((struct packet){{0x28, 0, 0, 0, 0, 1, 0, 0, 1}}, d, 65536, 0, &error), 0);
	assert_int_equal(ide_status(CHANNEL) & ERR, ERR);
	assert_int_equal(in8(b, 0x171), 4);
	/* saved and loaded between two blocks */
	ide_regs(CHANNEL, 0, 0, 2048 << 8, 0xa0);
	ide_command(CHANNEL, 0xa0);
	ide_write_block(CHANNEL, &(struct packet){{0x28, 0, 0, 0, 0, 5, 0, 0, 3}}, 12);
	ide_pump();
	for (unsigned i = 0; i < 3; i++) {
		bench_round_trip(b, ide);
		ide_pump();
		assert_int_equal(ide_status(CHANNEL) & (BSY | DRQ), DRQ);
		ide_read_block(CHANNEL, d + i * 2048, 1024);
		bench_round_trip(b, ide);
		ide_read_block(CHANNEL, d + i * 2048 + 1024, 1024);
		ide_pump();
	}
	expect_sectors(d, 5, 3);
	assert_int_equal(ide_status(CHANNEL) & (BSY | DRQ | ERR), 0);
	/* a scratch on the disc */
	drives[CD].disk->fail_at = 50 * 2048;
	expect_sense((struct packet){{0x28, 0, 0, 0, 0, 50, 0, 0, 1}}, 3, 0x11, 0);
	free(d);
	ide_close();
}

static void dma(struct packet p)
{
	ide_regs(CHANNEL, 1, 0, 0, 0xa0);
	ide_command(CHANNEL, 0xa0);
	ide_write_block(CHANNEL, p.bytes, 12);
	ide_bm_start(CHANNEL, true);
	ide_pump();
	assert_true(irq[CHANNEL].level);
	ide_bm_stop(CHANNEL);
}

static void read_dma(void **state)
{
	(void)state;
	start(DISC);
	ide_prd(0, 0x20000, 4000, false);
	ide_prd(1, 0x40000, 0xf000, true);
	dma((struct packet){{0x28, 0, 0, 0, 0, 100, 0, 0, 20}});
	assert_int_equal(ide_bm_status(CHANNEL), 4);
	assert_int_equal(ide_status(CHANNEL) & (BSY | DRQ | ERR), 0);
	assert_int_equal(in8(b, 0x172) & 3, 3);
	memmove(b->ram->hva + 0x40000 - 4000, b->ram->hva + 0x20000, 4000);
	expect_sectors(b->ram->hva + 0x40000 - 4000, 100, 20);
	assert_int_equal(drives[CD].disk->reads, 1);
	/* a reply, and one that is shorter than the table */
	dma((struct packet){{0x25}});
	assert_int_equal(get32(b->ram->hva + 0x20000), DISC - 1);
	assert_int_equal(ide_status(CHANNEL) & ERR, 0);
	/* a command that fails moves nothing */
	dma((struct packet){{0x28, 0, 0xff}, });
	assert_int_equal(ide_status(CHANNEL) & (BSY | ERR), ERR);
	assert_int_equal(in8(b, 0x171) >> 4, 5);
	ide_close();
}

/* The two codes of a sector find no error: sum and weighted sum of each code word are nothing. */
static void expect_code(const u8 *data, unsigned words, unsigned len, unsigned word_step, unsigned byte_step, unsigned parity)
{
	for (unsigned w = 0; w < words; w++) {
		unsigned at = (w >> 1) * word_step + (w & 1);
		u8 sum = 0, weighted = 0;

		for (unsigned i = 0; i < len + 2; i++) {
			u8 byte = i < len ? data[at] : data[parity + w + (i - len) * words];

			sum ^= byte;
			weighted = (weighted << 1 ^ (weighted & 0x80 ? 0x1d : 0)) ^ byte;
			at = (at + byte_step) % (words * len);
		}
		assert_int_equal(sum, 0);
		assert_int_equal(weighted, 0);
	}
}

static void raw(void **state)
{
	static const u8 sync[12] = {0, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 0};
	u8 d[3 * 2352];
	u32 crc = 0;

	(void)state;
	start(DISC);
	assert_int_equal(good((struct packet){{0xbe, 0, 0, 0, 0, 77, 0, 0, 3, 0xf8}}, d, sizeof d), 3 * 2352);
	for (unsigned i = 0; i < 3; i++) {
		const u8 *s = d + i * 2352;

		assert_memory_equal(s, sync, 12);
		assert_int_equal(get32(s + 12), (0x00030201 + (i << 8))); /* 77 + 150 frames: 3 seconds and 2, in BCD; mode 1 */
		expect_sectors(s + 16, 77 + i, 1);
		expect_code(s + 12, 86, 24, 2, 86, 2064);
		expect_code(s + 12, 52, 43, 86, 88, 2236);
	}
	for (unsigned i = 0; i < 2068; i++) {
		crc ^= d[i];
		for (unsigned k = 0; k < 8; k++)
			crc = crc >> 1 ^ (crc & 1 ? 0xd8018001 : 0);
	}
	assert_int_equal(crc, 0);
	/* parts */
	assert_int_equal(good((struct packet){{0xbe, 0, 0, 0, 0, 9, 0, 0, 2, 0x10}}, d, sizeof d), 4096);
	expect_sectors(d, 9, 2);
	assert_int_equal(good((struct packet){{0xbe, 0, 0, 0, 0, 9, 0, 0, 2, 0x20}}, d, sizeof d), 8);
	assert_int_equal(good((struct packet){{0xb9, 0, 0, 0, 2, 5, 0, 2, 6, 0x10}}, d, sizeof d), 2048);
	expect_sectors(d, 5, 1);
	expect_sense((struct packet){{0xbe, 1 << 2, 0, 0, 0, 9, 0, 0, 2, 0x10}}, 5, 0x64, 0);
	/* by DMA, in pieces */
	ide_prd(0, 0x20000, 2352 + 100, false);
	ide_prd(1, 0x30000, 25 * 2352 - 2452, true);
	dma((struct packet){{0xbe, 0, 0, 0, 0, 9, 0, 0, 25, 0xf8}});
	assert_int_equal(ide_bm_status(CHANNEL), 4);
	expect_sectors(b->ram->hva + 0x30000 + 24 * 2352 - 2452 + 16, 33, 1);
	ide_close();
}

static void change(struct disk *disk)
{
	if (drives[CD].disk)
		fakedisk_free(drives[CD].disk);
	drives[CD].disk = disk;
	drives[CD].tray_open = false;
	drives[CD].changed(drives[CD].device);
}

static void changes(void **state)
{
	u8 d[64];

	(void)state;
	start(0);
	expect_sense(ready, 2, 0x3a, 1);
	expect_sense((struct packet){{0x25}}, 2, 0x3a, 1);
	assert_int_equal(good((struct packet){{0x4a, 1, 0, 0, 0x10, 0, 0, 0, 8}}, d, sizeof d), 8);
	assert_int_equal(d[4], 0);
	assert_int_equal(d[5], 0);
	/* a disc comes: told once */
	change(fakedisk_new(100 * 2048));
	assert_int_equal(good((struct packet){{0x4a, 1, 0, 0, 0x10, 0, 0, 0, 8}}, d, sizeof d), 8);
	assert_int_equal(d[4], 2);
	assert_int_equal(d[5], 2);
	good((struct packet){{0x12, 0, 0, 0, 36}}, d, sizeof d);
	expect_sense(ready, 6, 0x28, 0);
	good(ready, d, 0);
	good((struct packet){{0x25}}, d, sizeof d);
	assert_int_equal(get32(d), 99);
	/* another size: what can be read follows */
	change(fakedisk_new(400000 * 2048ull));
	expect_sense((struct packet){{0x28, 0, 0, 0, 0, 1, 0, 0, 1}}, 6, 0x28, 0);
	good((struct packet){{0x46, 0, 0, 0, 0, 0, 0, 0, 8}}, d, sizeof d);
	assert_int_equal(get16(d + 6), 0x10); /* a DVD */
	u8 *structure = malloc(4096);
	assert_int_equal(good((struct packet){{0xad, 0, 0, 0, 0, 0, 0, 0, 16}}, structure, 4096), 2052);
	assert_int_equal(get16(structure), 2050);
	assert_int_equal(get32(structure + 12), 0x30000 + 400000 - 1);
	assert_int_equal(good((struct packet){{0xad, 0, 0, 0, 0, 0, 0, 0xff, 16}}, structure, 4096), 16);
	free(structure);
	expect_sense((struct packet){{0xad, 0, 0, 0, 0, 0, 0, 0x55, 16}}, 5, 0x24, 0);
	/* out again */
	change(NULL);
	good((struct packet){{0x4a, 1, 0, 0, 0x10, 0, 0, 0, 8}}, d, sizeof d);
	assert_int_equal(d[4], 3);
	expect_sense(ready, 2, 0x3a, 1);
	/* asynchronous events, and none of the class asked for */
	expect_sense((struct packet){{0x4a, 0, 0, 0, 0x10, 0, 0, 0, 8}}, 5, 0x24, 0);
	assert_int_equal(good((struct packet){{0x4a, 1, 0, 0, 2, 0, 0, 0, 8}}, d, sizeof d), 4);
	assert_int_equal(d[2], 0x80);
	ide_close();
}

static void tray(void **state)
{
	u8 d[64];

	(void)state;
	start(DISC);
	good((struct packet){{0x1e, 0, 0, 0, 1}}, d, 0);
	assert_true(drives[CD].locked);
	expect_sense((struct packet){{0x1b, 0, 0, 0, 2}}, 5, 0x53, 2);
	drives[CD].eject_request(drives[CD].device);
	good((struct packet){{0x4a, 1, 0, 0, 0x10, 0, 0, 0, 8}}, d, sizeof d);
	assert_int_equal(d[4], 1);
	good((struct packet){{0x1e}}, d, 0);
	assert_false(drives[CD].locked);
	good((struct packet){{0x1b, 0, 0, 0, 2}}, d, 0);
	assert_true(drives[CD].tray_open);
	expect_sense(ready, 2, 0x3a, 2);
	bench_round_trip(b, ide);
	expect_sense(ready, 2, 0x3a, 2);
	good((struct packet){{0xbd, 0, 0, 0, 0, 0, 0, 0, 0, 8}}, d, sizeof d);
	assert_int_equal(d[1] & 0x10, 0x10);
	good((struct packet){{0x1b, 0, 0, 0, 3}}, d, 0);
	assert_false(drives[CD].tray_open);
	expect_sense(ready, 6, 0x28, 0);
	good(ready, d, 0);
	/* stopping is not ejecting; a machine's reset unlocks */
	good((struct packet){{0x1b}}, d, 0);
	good(ready, d, 0);
	good((struct packet){{0x1e, 0, 0, 0, 1}}, d, 0);
	ide->class->reset(ide);
	assert_false(drives[CD].locked);
	ide_close();
}

/* The disc is taken while the guest reads it. */
static void taken(void **state)
{
	(void)state;
	start(DISC);
	ide_regs(CHANNEL, 0, 0, 2048 << 8, 0xa0);
	ide_command(CHANNEL, 0xa0);
	ide_write_block(CHANNEL, &(struct packet){{0x28, 0, 0, 0, 0, 5, 0, 0, 200}}, 12);
	ide_pump();
	change(NULL);
	for (unsigned i = 0; i < 100 && ide_alt(CHANNEL) & DRQ; i++) {
		u8 d[2048];

		ide_read_block(CHANNEL, d, 2048);
	}
	assert_int_equal(ide_status(CHANNEL) & (BSY | DRQ | ERR), ERR);
	assert_int_equal(in8(b, 0x171) >> 4, 2);
	ide_close();
}

static void resets(void **state)
{
	u8 d[64];

	(void)state;
	start(DISC);
	/* DEVICE RESET, also in the middle of a request */
	ide_regs(CHANNEL, 0, 0, 2048 << 8, 0xa0);
	ide_command(CHANNEL, 0xa0);
	ide_write_block(CHANNEL, &(struct packet){{0x28, 0, 0, 0, 0, 5, 0, 0, 200}}, 12);
	ide_command(CHANNEL, 0x08);
	assert_int_equal(ide_alt(CHANNEL) & BSY, BSY);
	ide_pump();
	assert_int_equal(ide_status(CHANNEL), 0);
	assert_int_equal(in8(b, 0x174) | in8(b, 0x175) << 8, 0xeb14);
	assert_int_equal(in8(b, 0x172), 1);
	/* in the middle of a packet */
	ide_command(CHANNEL, 0xa0);
	out16(b, 0x170, 0x28);
	bench_round_trip(b, ide);
	out8(b, 0x376, 4);
	out8(b, 0x376, 0);
	assert_int_equal(ide_status(CHANNEL), 0);
	assert_int_equal(in8(b, 0x174) | in8(b, 0x175) << 8, 0xeb14);
	good(ready, d, 0);
	/* what is for disks only */
	static const u8 none[] = {0x20, 0xc8, 0x30, 0xe7, 0xc6, 0x91, 0xb0};
	for (unsigned i = 0; i < ARRAY_LEN(none); i++) {
		ide_command(CHANNEL, none[i]);
		assert_int_equal(ide_status(CHANNEL) & (BSY | DRQ | ERR), ERR);
	}
	ide_close();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(identity), cmocka_unit_test(disc),    cmocka_unit_test(read_pio), cmocka_unit_test(read_dma),
		cmocka_unit_test(raw),      cmocka_unit_test(changes), cmocka_unit_test(tray),     cmocka_unit_test(taken),
		cmocka_unit_test(resets),
	};

	return cmocka_run_group_tests_name("dev.atapi", tests, NULL, NULL);
}
