/* SPDX-License-Identifier: MIT */
/* The floppy controller with the real DMA controller and drives: as a BIOS and a driver use it, and as none should. */
#include <errno.h>

#include "hw/disk/fdc.h"
#include "tests/dev/bench.h"
#include "tests/dev/fakedisk.h"

enum { DOR = 0x3f2, MSR = 0x3f4, DSR = 0x3f4, FIFO = 0x3f5, DIR = 0x3f7, CCR = 0x3f7, BUFFER = 0x10000 };
enum { K = 1024 };

static struct bench *b;
static struct device *fdc;
static struct drive drives[2];
static struct wire irq;
static u8 st[16]; /* the last result */

static void go(u64 size_a, u64 size_b)
{
	const u64 size[2] = {size_a, size_b};

	b = bench_new();
	memset(&irq, 0, sizeof irq);
	memset(drives, 0, sizeof drives);
	bench_add(b, "dma", NULL);
	fdc = bench_create(b, "isa-fdc", NULL);
	bench_tie(b, fdc, "irq6", &irq);
	for (unsigned i = 0; i < 2; i++) {
		drives[i] = (struct drive){.id = "drive", .media = DRIVE_FLOPPY, .disk = size[i] > 1 ? fakedisk_new(size[i]) : NULL};
		if (size[i])
			fdc->drive[i] = &drives[i];
	}
	bench_start(fdc);
	out8(b, 0xd6, 0xc0); /* channel 4 lets the first four through */
	out8(b, 0xd4, 0);
}

static void leave(void)
{
	struct disk *disk[2] = {drives[0].disk, drives[1].disk};

	bench_free(b);
	for (unsigned i = 0; i < 2; i++)
		if (disk[i])
			fakedisk_free(disk[i]);
}

/* Time and the disks go on until nothing is left to wait for. */
static void settle(void)
{
	for (unsigned i = 0; i < 200; i++) {
		bench_advance(b, 200 * US);
		for (unsigned k = 0; k < 2; k++)
			if (drives[k].disk)
				fakedisk_run(drives[k].disk);
	}
}

#define COMMAND(...) command((const u8[]){__VA_ARGS__}, sizeof (const u8[]){__VA_ARGS__})
static void command(const u8 *bytes, unsigned count)
{
	for (unsigned i = 0; i < count; i++) {
		assert_int_equal(in8(b, MSR) & 0xc0, 0x80);
		out8(b, FIFO, bytes[i]);
	}
}

static unsigned results(void)
{
	unsigned count = 0;

	while ((in8(b, MSR) & 0xd0) == 0xd0 && count < sizeof st)
		st[count++] = in8(b, FIFO);
	assert_int_equal(in8(b, MSR) & 0xf0, 0x80);
	return count;
}

#define EXPECT(...) expect((const u8[]){__VA_ARGS__}, sizeof (const u8[]){__VA_ARGS__})
static void expect(const u8 *bytes, unsigned count)
{
	assert_int_equal(results(), count);
	assert_memory_equal(st, bytes, count);
}

/* Reset, the four polls, a rate, DMA or not. */
static void ready(u8 rate, bool dma)
{
	out8(b, DOR, 0x18);
	assert_int_equal(in8(b, MSR), 0);
	out8(b, DOR, 0x1c);
	settle();
	assert_true(irq.level);
	for (unsigned i = 0; i < 4; i++) {
		COMMAND(0x08);
		assert_false(irq.level);
		assert_int_equal(results(), 2);
		assert_int_equal(st[0], 0xc0 | i);
	}
	COMMAND(0x08);
	EXPECT(0x80);
	out8(b, CCR, rate);
	COMMAND(0x03, 0xdf, dma ? 0x02 : 0x03);
}

static void dma_program(u8 mode, u16 count)
{
	out8(b, 0x0a, 6);
	out8(b, 0x0c, 0);
	out8(b, 0x0b, mode | 2);
	out8(b, 0x04, BUFFER & 0xff);
	out8(b, 0x04, BUFFER >> 8 & 0xff);
	out8(b, 0x81, BUFFER >> 16);
	out8(b, 0x05, (count - 1) & 0xff);
	out8(b, 0x05, (count - 1) >> 8);
	out8(b, 0x0a, 2);
}
static void dma_in(u16 count) { dma_program(0x44, count); }
static void dma_out(u16 count) { dma_program(0x48, count); }

static void seek(u8 unit, u8 cylinder)
{
	COMMAND(0x0f, unit, cylinder);
	assert_int_equal(in8(b, MSR), 0x80 | 1 << unit);
	settle();
	assert_true(irq.level);
	COMMAND(0x08);
	EXPECT(0x20 | unit, cylinder);
	assert_false(irq.level);
}

static void expect_content(unsigned unit, u64 offset, unsigned len)
{
	u8 want[36 * 512];

	fakedisk_peek(drives[unit].disk, offset, want, len);
	assert_memory_equal(b->ram->hva + BUFFER, want, len);
}

static void registers(void **state)
{
	(void)state;
	go(1440 * K, 0);
	ready(0, true);
	assert_int_equal(in8(b, DOR), 0x1c);
	out8(b, 0x3f3, 0xff);
	assert_int_equal(in8(b, 0x3f3), 3);
	assert_int_equal(in8(b, MSR), 0x80);
	assert_int_equal(in8(b, DIR), 0x80); /* not yet looked at since power-on */
	seek(0, 1);
	assert_int_equal(in8(b, DIR), 0);
	assert_int_equal(in8(b, 0x3f0) & 0x50, 0x50); /* no second drive, not on track 0 */
	assert_int_equal(in8(b, 0x3f1), 0xc1);
	out8(b, DOR, 0x1d);
	assert_int_equal(in8(b, DIR), 0); /* nobody there */
	assert_int_equal(fdc_drive_type(fdc, 0), 4);
	assert_int_equal(fdc_drive_type(fdc, 1), 0);
	leave();
}

static void simple_commands(void **state)
{
	(void)state;
	go(1440 * K, 1);
	ready(0, true);
	COMMAND(0x10);
	EXPECT(0x90);
	COMMAND(0x18);
	EXPECT(0x41);
	COMMAND(0x04, 0x00);
	EXPECT(0x38);
	COMMAND(0x04, 0x05);
	EXPECT(0x3d);
	COMMAND(0x04, 0x03); /* no such drive: no track 0 */
	EXPECT(0x2b);
	drives[0].disk->read_only = true;
	COMMAND(0x04, 0x00);
	EXPECT(0x78);
	COMMAND(0x13, 0x00, 0x57, 0x22);
	COMMAND(0x12, 0x84 | 2);
	COMMAND(0x12, 0x01); /* without OW the drives stay */
	COMMAND(0x94);
	EXPECT(0x10);
	seek(1, 7);
	COMMAND(0x0e);
	EXPECT(0, 7, 0, 0, 0xdf, 0x02, 0, 0x85, 0x57, 0x22);
	/* what a reset leaves of it: what is locked, and not that polling is off */
	out8(b, DSR, 0x80);
	assert_int_equal(in8(b, MSR), 0);
	settle();
	assert_true(irq.level);
	COMMAND(0x0e);
	EXPECT(0, 7, 0, 0, 0xdf, 0x02, 0, 0x84, 0x07, 0x22);
	COMMAND(0x14);
	EXPECT(0x00);
	out8(b, DSR, 0x80);
	settle();
	COMMAND(0x0e);
	EXPECT(0, 7, 0, 0, 0xdf, 0x02, 0, 0x04, 0x20, 0x00);
	assert_int_equal(fdc_drive_type(fdc, 1), 4);
	leave();
}

static void seeks(void **state)
{
	(void)state;
	go(1440 * K, 1440 * K);
	ready(0, true);
	seek(0, 40);
	COMMAND(0x0f, 1, 20); /* both at once */
	COMMAND(0x07, 0);
	assert_int_equal(in8(b, MSR), 0x83);
	bench_round_trip(b, fdc);
	settle();
	COMMAND(0x08);
	EXPECT(0x20, 0);
	assert_true(irq.level);
	COMMAND(0x08);
	EXPECT(0x21, 20);
	assert_false(irq.level);
	COMMAND(0xcf, 1, 5); /* relative: in, */
	settle();
	COMMAND(0x08);
	EXPECT(0x21, 25);
	COMMAND(0x8f, 1, 3); /* out */
	settle();
	COMMAND(0x08);
	EXPECT(0x21, 22);
	COMMAND(0x4a, 1);
	settle();
	assert_int_equal(results(), 7);
	assert_int_equal(st[0], 0x01);
	assert_int_equal(st[3], 22);
	assert_int_equal(st[6], 2);
	/* a head beyond what 79 steps undo */
	seek(1, 84);
	COMMAND(0x07, 1);
	settle();
	COMMAND(0x08);
	EXPECT(0x71, 0);
	COMMAND(0x07, 1);
	settle();
	COMMAND(0x08);
	EXPECT(0x21, 0);
	/* a drive that is not there */
	COMMAND(0x07, 2);
	settle();
	COMMAND(0x08);
	EXPECT(0x72, 0);
	leave();
}

static void read_dma(void **state)
{
	(void)state;
	go(1440 * K, 0);
	ready(0, true);
	seek(0, 3);
	/* within a track */
	dma_in(1024);
	COMMAND(0xe6, 0, 3, 0, 5, 2, 18, 0x1b, 0xff);
	assert_int_equal(in8(b, MSR), 0x10);
	assert_false(irq.level);
	bench_round_trip(b, fdc);
	settle();
	assert_true(irq.level);
	assert_int_equal(in8(b, MSR), 0xd0);
	EXPECT(0x00, 0, 0, 3, 0, 7, 2);
	assert_false(irq.level);
	expect_content(0, (3 * 36 + 4) * 512, 1024);
	/* to the end of the track, multi-track: the other head is next */
	dma_in(512);
	COMMAND(0xe6, 0, 3, 0, 18, 2, 18, 0x1b, 0xff);
	settle();
	EXPECT(0x04, 0, 0, 3, 1, 1, 2);
	/* both heads in one go */
	dma_in(36 * 512);
	COMMAND(0xe6, 0, 3, 0, 1, 2, 18, 0x1b, 0xff);
	settle();
	EXPECT(0x00, 0, 0, 4, 0, 1, 2);
	expect_content(0, 3 * 36 * 512, 36 * 512);
	/* one head only */
	dma_in(512);
	COMMAND(0x46, 4, 3, 1, 18, 2, 18, 0x1b, 0xff);
	settle();
	EXPECT(0x04, 0, 0, 4, 1, 1, 2);
	/* the count ends within a sector */
	dma_in(100);
	COMMAND(0x46, 4, 3, 1, 2, 2, 18, 0x1b, 0xff);
	settle();
	EXPECT(0x04, 0, 0, 3, 1, 3, 2);
	expect_content(0, (3 * 36 + 19) * 512, 100);
	/* the track ends before the count: the address is that of the last sector */
	dma_in(4096);
	COMMAND(0x46, 0, 3, 0, 17, 2, 18, 0x1b, 0xff);
	settle();
	EXPECT(0x40, 0x80, 0, 3, 0, 18, 2);
	expect_content(0, (3 * 36 + 16) * 512, 1024);
	leave();
}

static void read_errors(void **state)
{
	(void)state;
	go(1440 * K, 1);
	ready(0, true);
	dma_in(512);
	COMMAND(0xe6, 0, 1, 0, 1, 2, 18, 0x1b, 0xff); /* the head is elsewhere */
	settle();
	EXPECT(0x40, 0x04, 0x10, 1, 0, 1, 2);
	COMMAND(0xe6, 0, 0, 0, 19, 2, 40, 0x1b, 0xff); /* no such sector */
	settle();
	EXPECT(0x40, 0x04, 0, 0, 0, 19, 2);
	COMMAND(0xe6, 0, 0, 0, 0, 2, 18, 0x1b, 0xff);
	settle();
	EXPECT(0x40, 0x04, 0, 0, 0, 0, 2);
	COMMAND(0xe6, 0, 0, 1, 1, 2, 18, 0x1b, 0xff); /* H is not the head */
	settle();
	EXPECT(0x40, 0x04, 0, 0, 1, 1, 2);
	COMMAND(0xe6, 0, 0, 0, 1, 3, 18, 0x1b, 0xff); /* other size */
	settle();
	EXPECT(0x40, 0x04, 0, 0, 0, 1, 3);
	COMMAND(0xa6, 0, 0, 0, 1, 2, 18, 0x1b, 0xff); /* FM */
	settle();
	EXPECT(0x40, 0x01, 0, 0, 0, 1, 2);
	out8(b, CCR, 2); /* wrong rate */
	COMMAND(0xe6, 0, 0, 0, 1, 2, 18, 0x1b, 0xff);
	settle();
	EXPECT(0x40, 0x01, 0, 0, 0, 1, 2);
	COMMAND(0x4a, 0);
	settle();
	assert_int_equal(results(), 7);
	assert_int_equal(st[0], 0x40);
	out8(b, CCR, 0);
	drives[0].disk->fail = EIO;
	COMMAND(0xe6, 0, 0, 0, 1, 2, 18, 0x1b, 0xff);
	settle();
	EXPECT(0x40, 0x20, 0x20, 0, 0, 1, 2);
	drives[0].disk->fail = 0;
	/* nobody takes the bytes */
	out8(b, 0x0a, 6);
	COMMAND(0xe6, 0, 0, 0, 1, 2, 18, 0x1b, 0xff);
	settle();
	EXPECT(0x40, 0x10, 0, 0, 0, 1, 2);
	/* no medium: nothing at first, then no address mark */
	COMMAND(0x4a, 1);
	bench_advance(b, 1 * MS);
	assert_false(irq.level);
	settle();
	assert_true(irq.level);
	assert_int_equal(results(), 7);
	assert_int_equal(st[0], 0x41);
	assert_int_equal(st[1], 0x01);
	COMMAND(0xc5, 3, 0, 0, 1, 2, 18, 0x1b, 0xff); /* no drive */
	settle();
	EXPECT(0x43, 0x01, 0, 0, 0, 1, 2);
	leave();
}

static void write_dma(void **state)
{
	u8 got[1024];

	(void)state;
	go(1440 * K, 0);
	ready(0, true);
	seek(0, 79);
	for (unsigned i = 0; i < 1024; i++)
		b->ram->hva[BUFFER + i] = i * 7 + (i >> 8);
	dma_out(1024);
	COMMAND(0xc5, 4, 79, 1, 17, 2, 18, 0x1b, 0xff);
	bench_round_trip(b, fdc);
	settle();
	EXPECT(0x00, 0, 0, 80, 0, 1, 2);
	fakedisk_peek(drives[0].disk, 2878 * 512, got, 1024);
	assert_memory_equal(got, b->ram->hva + BUFFER, 1024);
	assert_int_equal(drives[0].disk->writes, 2);
	/* what the count leaves of a sector is zero; a deleted mark is not kept */
	dma_out(10);
	COMMAND(0x49, 0, 79, 0, 1, 2, 18, 0x1b, 0xff);
	settle();
	EXPECT(0x00, 0, 0, 79, 0, 2, 2);
	fakedisk_peek(drives[0].disk, 2844 * 512, got, 512);
	assert_memory_equal(got, b->ram->hva + BUFFER, 10);
	for (unsigned i = 10; i < 512; i++)
		assert_int_equal(got[i], 0);
	drives[0].disk->read_only = true;
	dma_out(512);
	COMMAND(0xc5, 0, 79, 0, 1, 2, 18, 0x1b, 0xff);
	settle();
	EXPECT(0x40, 0x02, 0, 79, 0, 1, 2);
	COMMAND(0x4d, 0, 2, 18, 0x54, 0xf6);
	settle();
	assert_int_equal(results(), 7);
	assert_int_equal(st[1], 0x02);
	assert_int_equal(drives[0].disk->writes, 3);
	leave();
}

static void without_dma(void **state)
{
	u8 got[1024], want[1024];

	(void)state;
	go(720 * K, 0);
	ready(2, false);
	COMMAND(0xe6, 0, 0, 0, 8, 2, 9, 0x2a, 0xff);
	for (unsigned i = 0; i < 1024; i++) {
		if (i % 512 == 0) {
			assert_int_equal(in8(b, MSR), 0x30);
			settle();
			assert_true(irq.level);
		}
		assert_int_equal(in8(b, MSR), 0xf0);
		if (i == 100)
			bench_round_trip(b, fdc);
		got[i] = in8(b, FIFO);
	}
	assert_false(irq.level);
	/* nobody says stop: the other head follows */
	settle();
	assert_int_equal(in8(b, MSR), 0xf0);
	fakedisk_peek(drives[0].disk, 7 * 512, want, 1024);
	assert_memory_equal(got, want, 1024);
	out8(b, DOR, 0);
	assert_false(irq.level);
	ready(2, false);
	COMMAND(0x45, 0, 0, 0, 9, 2, 9, 0x2a, 0xff);
	settle();
	for (unsigned i = 0; i < 512; i++) {
		assert_int_equal(in8(b, MSR), 0xb0);
		out8(b, FIFO, i * 3);
	}
	settle();
	EXPECT(0x40, 0x80, 0, 0, 0, 9, 2); /* end of track, as there is no terminal count */
	fakedisk_peek(drives[0].disk, 8 * 512, got, 512);
	for (unsigned i = 0; i < 512; i++)
		assert_int_equal(got[i], (u8)(i * 3));
	leave();
}

static void format(void **state)
{
	u8 track[18 * 512];

	(void)state;
	go(1440 * K, 0);
	ready(0, true);
	seek(0, 2);
	for (unsigned i = 0; i < 18; i++) { /* interleaved by 2 */
		u8 id[4] = {2, 1, 1 + i * 2 % 18 + i / 9, 2};
		memcpy(b->ram->hva + BUFFER + i * 4, id, 4);
	}
	dma_out(18 * 4);
	COMMAND(0x4d, 4, 2, 18, 0x54, 0xf6);
	settle();
	assert_int_equal(results(), 7);
	assert_int_equal(st[0], 0x04);
	assert_int_equal(st[1] | st[2], 0);
	dma_in(18 * 512);
	COMMAND(0xe6, 4, 2, 1, 1, 2, 18, 0x1b, 0xff);
	settle();
	EXPECT(0x00, 0, 0, 3, 0, 1, 2);
	memset(track, 0xf6, sizeof track);
	assert_memory_equal(b->ram->hva + BUFFER, track, sizeof track);
	expect_content(0, (2 * 36 + 18) * 512, 18 * 512);
	/* sectors that the image has no room for */
	memcpy(b->ram->hva + BUFFER, (const u8[]){2, 1, 19, 2}, 4);
	dma_out(4);
	COMMAND(0x4d, 4, 2, 1, 0x54, 0xf6);
	settle();
	assert_int_equal(results(), 7);
	assert_int_equal(st[0], 0x54);
	leave();
}

static void other_reads(void **state)
{
	(void)state;
	go(360 * K, 2880 * K);
	ready(2, true);
	assert_int_equal(fdc_drive_type(fdc, 0), 1);
	assert_int_equal(fdc_drive_type(fdc, 1), 5);
	/* READ TRACK: from the index on, whatever R says */
	dma_in(9 * 512);
	COMMAND(0x42, 0, 0, 0, 5, 2, 9, 0x2a, 0xff);
	settle();
	EXPECT(0x00, 0, 0, 1, 0, 1, 2);
	expect_content(0, 0, 9 * 512);
	/* VERIFY needs no channel; a count of sectors, or the end of the track */
	out8(b, 0x0a, 6);
	COMMAND(0xd6, 0x80, 0, 0, 3, 2, 9, 0x2a, 4);
	settle();
	EXPECT(0x00, 0, 0, 0, 0, 7, 2);
	COMMAND(0x56, 0, 0, 0, 3, 2, 9, 0x2a, 0xff);
	settle();
	EXPECT(0x00, 0, 0, 0, 0, 9, 2);
	COMMAND(0x56, 0, 0, 0, 3, 2, 12, 0x2a, 0xff);
	settle();
	EXPECT(0x40, 0x04, 0, 0, 0, 10, 2);
	/* no sector is marked deleted */
	dma_in(512);
	COMMAND(0x4c, 0, 0, 0, 3, 2, 9, 0x2a, 0xff);
	settle();
	EXPECT(0x00, 0, 0x40, 0, 0, 3, 2);
	COMMAND(0x6c, 0, 0, 0, 3, 2, 9, 0x2a, 0xff);
	settle();
	EXPECT(0x40, 0x80, 0x40, 0, 0, 9, 2);
	/* 300 kbit/s is the same medium in another drive */
	out8(b, CCR, 1);
	dma_in(512);
	COMMAND(0x46, 0, 0, 0, 3, 2, 9, 0x2a, 0xff);
	settle();
	EXPECT(0x00, 0, 0, 0, 0, 4, 2);
	/* 2.88M, and a seek on the way */
	out8(b, CCR, 3);
	COMMAND(0x13, 0, 0x40, 0);
	dma_in(512);
	COMMAND(0xe6, 5, 50, 1, 36, 2, 36, 0x1b, 0xff);
	settle();
	EXPECT(0x21, 0, 0, 51, 0, 1, 2);
	expect_content(1, (50 * 72 + 71) * 512, 512);
	leave();
}

static void scan(void **state)
{
	static const struct { u8 code; int change; u8 st2; u8 sector; } table[] = {
		{0xd1, 0, 0x08, 2}, {0xd1, 1, 0x04, 1}, {0xd9, 0, 0x08, 2}, {0xd9, 1, 0x00, 2}, {0xd9, -1, 0x04, 1},
		{0xdd, 0, 0x08, 2}, {0xdd, -1, 0x00, 2}, {0xdd, 1, 0x04, 1},
	};
	u8 sector[512];

	(void)state;
	go(1440 * K, 0);
	ready(0, true);
	for (unsigned i = 0; i < ARRAY_LEN(table); i++) {
		fakedisk_peek(drives[0].disk, 0, sector, 512);
		for (unsigned k = 0; k < 512; k++)
			if (table[i].change) /* the host's byte is larger or smaller, or FF, which matches any */
				sector[k] = sector[k] == 0 || sector[k] >= 0xfe ? 0xff : sector[k] + table[i].change;
		memcpy(b->ram->hva + BUFFER, sector, 512);
		dma_out(4096);
		COMMAND(table[i].code & 0x7f, 0, 0, 0, 1, 2, 1, 0x1b, 1);
		settle();
		assert_int_equal(results(), 7);
		assert_int_equal(st[0] | st[1], 0);
		assert_int_equal(st[2], table[i].st2);
	}
	/* the third sector is the one */
	memset(b->ram->hva + BUFFER, 0, 1024);
	fakedisk_peek(drives[0].disk, 1024, b->ram->hva + BUFFER + 1024, 512);
	dma_out(4096);
	COMMAND(0x51, 0, 0, 0, 1, 2, 18, 0x1b, 1);
	settle();
	EXPECT(0x00, 0, 0x08, 0, 0, 4, 2);
	leave();
}

static void media_change(void **state)
{
	struct disk *first, *second = fakedisk_new(720 * K);

	(void)state;
	go(1440 * K, 0);
	ready(0, true);
	seek(0, 1);
	seek(0, 0);
	assert_int_equal(in8(b, DIR), 0);
	first = drives[0].disk;
	drives[0].disk = NULL;
	drives[0].changed(drives[0].device);
	assert_int_equal(in8(b, DIR), 0x80);
	seek(0, 1); /* nothing in: it stays */
	assert_int_equal(in8(b, DIR), 0x80);
	COMMAND(0x4a, 0);
	settle();
	assert_int_equal(results(), 7);
	assert_int_equal(st[0], 0x40);
	drives[0].disk = second;
	drives[0].changed(drives[0].device);
	assert_int_equal(in8(b, DIR), 0x80);
	seek(0, 0);
	assert_int_equal(in8(b, DIR), 0);
	out8(b, CCR, 2);
	dma_in(512);
	COMMAND(0xe6, 0, 0, 0, 9, 2, 9, 0x1b, 0xff);
	settle();
	EXPECT(0x04, 0, 0, 0, 1, 1, 2);
	expect_content(0, 8 * 512, 512);
	/* taken out in the middle of a transfer */
	dma_in(4096);
	COMMAND(0xe6, 0, 0, 0, 1, 2, 9, 0x1b, 0xff);
	while (!second->first)
		bench_advance(b, 10 * US);
	fakedisk_step(second);
	drives[0].disk = NULL;
	drives[0].changed(drives[0].device);
	settle();
	EXPECT(0x40, 0x01, 0, 0, 0, 2, 2);
	/* it goes while the state is away */
	drives[0].disk = second;
	drives[0].changed(drives[0].device);
	seek(0, 1);
	assert_int_equal(in8(b, DIR), 0);
	drives[0].disk = NULL;
	fakedisk_free(second);
	fakedisk_free(first);
	leave();
}

static void resets(void **state)
{
	u8 got[512];

	(void)state;
	go(1440 * K, 0);
	ready(0, true);
	/* a request that is still on its way when the next command comes */
	dma_in(512);
	COMMAND(0xe6, 0, 0, 0, 1, 2, 18, 0x1b, 0xff);
	while (!drives[0].disk->first)
		bench_advance(b, 10 * US);
	out8(b, DOR, 0);
	out8(b, DOR, 0x1c);
	bench_advance(b, 1 * MS);
	assert_true(irq.level);
	COMMAND(0xe6, 0, 0, 0, 7, 2, 18, 0x1b, 0xff);
	bench_advance(b, 20 * MS);
	assert_int_equal(in8(b, MSR), 0x10);
	settle();
	EXPECT(0x00, 0, 0, 0, 0, 8, 2);
	expect_content(0, 6 * 512, 512);
	/* without the gate: neither interrupt nor DMA */
	out8(b, DOR, 0x14);
	COMMAND(0xe6, 0, 0, 0, 7, 2, 18, 0x1b, 0xff);
	settle();
	assert_false(irq.level);
	out8(b, DOR, 0x1c);
	assert_true(irq.level);
	EXPECT(0x40, 0x10, 0, 0, 0, 7, 2);
	/* power-on reset in the middle of a write */
	dma_out(512);
	COMMAND(0xc5, 0, 0, 0, 1, 2, 18, 0x1b, 0xff);
	while (!drives[0].disk->first)
		bench_advance(b, 10 * US);
	fdc->class->reset(fdc);
	assert_null(drives[0].disk->first);
	assert_false(irq.level);
	assert_int_equal(in8(b, MSR), 0);
	fakedisk_peek(drives[0].disk, 0, got, 512);
	assert_memory_equal(got, b->ram->hva + BUFFER, 512);
	leave();
}

static void garbage(void **state)
{
	u64 seed = 77;

	(void)state;
	go(1440 * K, 1);
	ready(0, true);
	COMMAND(0x1b);
	EXPECT(0x80);
	COMMAND(0x00);
	EXPECT(0x80);
	in8(b, FIFO);
	assert_int_equal(in8(b, MSR), 0x80);
	for (unsigned i = 0; i < 20000; i++) {
		u64 r = unit_random(&seed);

		if (r % 5 == 0)
			bench_advance(b, r >> 40);
		else if (r % 5 == 1)
			in8(b, 0x3f0 + (r >> 8) % 8);
		else if (r % 5 == 2)
			out8(b, 0x3f0 + (r >> 8) % 6, r >> 16);
		else
			out8(b, FIFO, r >> 16);
		if (r % 7 == 0 && drives[0].disk)
			fakedisk_run(drives[0].disk);
		if (r % 64 == 0)
			ready((r >> 8) % 2, r >> 9 & 1);
	}
	settle();
	leave();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(registers), cmocka_unit_test(simple_commands), cmocka_unit_test(seeks), cmocka_unit_test(read_dma),
		cmocka_unit_test(read_errors), cmocka_unit_test(write_dma), cmocka_unit_test(without_dma), cmocka_unit_test(format),
		cmocka_unit_test(other_reads), cmocka_unit_test(scan), cmocka_unit_test(media_change), cmocka_unit_test(resets),
		cmocka_unit_test(garbage),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
