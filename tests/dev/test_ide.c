/* SPDX-License-Identifier: MIT */
/* The IDE controller with disks: as a BIOS, an old driver and a bus-mastering one use it, and as none should. */
#include <errno.h>
#include <stdlib.h>

#include "mem/dirty.h"
#include "tests/dev/ide_bench.h"

#define MIB (1ull << 20)

static void start(u64 size)
{
	ide_open();
	ide_put(0, DRIVE_DISK, size);
	ide_go();
}

static void expect_content(const void *got, u64 offset, u64 len)
{
	u8 *want = malloc(len);

	fakedisk_peek(drives[0].disk, offset, want, len);
	assert_memory_equal(got, want, len);
	free(want);
}

static void expect_ram(u64 gpa, u64 offset, u64 len)
{
	expect_content(b->ram->hva + gpa, offset, len);
}

static void pci(void **state)
{
	(void)state;
	start(MIB);
	assert_int_equal(cfg_read(b, IDE_DEVFN, 0, 4), 0x70108086);
	assert_int_equal(cfg_read(b, IDE_DEVFN, 8, 4), 0x01018000);
	assert_int_equal(cfg_read(b, IDE_DEVFN, 0x3d, 1), 0);
	cfg_write(b, IDE_DEVFN, 0x40, 0x80008000, 4);
	assert_int_equal(cfg_read(b, IDE_DEVFN, 0x40, 4), 0x80008000);
	cfg_write(b, IDE_DEVFN, 0x20, 0xffffffff, 4);
	assert_int_equal(cfg_read(b, IDE_DEVFN, 0x20, 4), 0xfffffff1);
	ide_close();
}

static void identify_content(void **state)
{
	u8 id[512], sum = 0;
	char model[41] = "";

	(void)state;
	start(200 * MIB);
	ide_regs(0, 0, 0, 0, 0xa0);
	ide_command(0, 0xec);
	assert_true(irq[0].level);
	assert_int_equal(ide_alt(0), RDY | DRQ | 0x10);
	assert_true(irq[0].level);
	assert_int_equal(ide_status(0), RDY | DRQ | 0x10);
	assert_false(irq[0].level);
	ide_read_block(0, id, 512);
	assert_int_equal(ide_status(0), RDY | 0x10);
	assert_int_equal(load16(id), 0x40);
	assert_int_equal(load16(id + 2), 200 * 2048 / (16 * 63));
	assert_int_equal(load16(id + 6), 16);
	assert_int_equal(load16(id + 12), 63);
	for (unsigned i = 0; i < 40; i++)
		model[i] = id[54 + (i ^ 1)];
	assert_string_equal(model, "PAISANO HARDDISK                        ");
	assert_int_equal(load16(id + 94), 0x8010);
	assert_int_equal(load32(id + 120), 200 * 2048);
	assert_int_equal(load64(id + 200), 200 * 2048);
	assert_int_equal(load16(id + 166) & 0x7400, 0x7400);
	assert_int_equal(load16(id + 126) & 7, 7);
	for (unsigned i = 0; i < 512; i++)
		sum += id[i];
	assert_int_equal(sum, 0);
	/* the mode that was set shows */
	ide_regs(0, 3, 0x22, 0, 0xa0);
	ide_command(0, 0xef);
	assert_int_equal(ide_status(0), RDY | 0x10);
	ide_command(0, 0xec);
	ide_read_block(0, id, 512);
	assert_int_equal(load16(id + 126), 0x407);
	assert_int_equal(load16(id + 176) >> 8, 0);
	ide_close();
}

static void pio_read(void **state)
{
	u8 data[1024];

	(void)state;
	start(64 * MIB);
	ide_regs(0, 0, 2, 5, 0xe0);
	ide_command(0, 0x20);
	assert_int_equal(ide_status(0) & (BSY | DRQ), BSY);
	assert_int_equal(in16(b, 0x1f0), 0);
	assert_false(irq[0].level);
	ide_command(0, 0xec); /* busy: not heard */
	ide_pump();
	assert_true(irq[0].level);
	assert_int_equal(ide_status(0) & (BSY | DRQ), DRQ);
	ide_read_block(0, data, 512);
	assert_true(irq[0].level);
	assert_int_equal(ide_status(0) & (BSY | DRQ | ERR), DRQ);
	bench_round_trip(b, ide); /* in the middle of a command */
	for (unsigned i = 512; i < 1024; i += 4)
		store32(data + i, in32(b, 0x1f0));
	assert_false(irq[0].level);
	assert_int_equal(ide_status(0), RDY | 0x10);
	expect_content(data, 5 * 512, 1024);
	assert_int_equal(in8(b, 0x1f2), 0);
	assert_int_equal(in8(b, 0x1f3), 6);
	ide_close();
}

static void pio_read_long(void **state)
{
	u8 *data = malloc(256 * 512);

	(void)state;
	start(64 * MIB);
	ide_regs(0, 0, 0, 1000, 0xe0); /* 256 sectors, by blocks of 8 */
	ide_regs(0, 0, 8, 0, 0xe0);
	ide_command(0, 0xc6);
	assert_int_equal(ide_status(0) & ERR, 0);
	ide_regs(0, 0, 0, 1000, 0xe0);
	ide_command(0, 0xc4);
	for (unsigned i = 0; i < 256; i += 8) {
		ide_pump();
		assert_int_equal(ide_status(0) & (BSY | DRQ | ERR), DRQ);
		ide_read_block(0, data + i * 512, 8 * 512);
		if (i == 128)
			bench_round_trip(b, ide); /* what was read ahead is not saved */
	}
	assert_int_equal(ide_status(0) & (BSY | DRQ | ERR), 0);
	expect_content(data, 1000 * 512, 256 * 512);
	assert_true(drives[0].disk->reads <= 6);
	/* a block size that is none, and MULTIPLE without one */
	ide_regs(0, 0, 7, 0, 0xe0);
	ide_command(0, 0xc6);
	assert_int_equal(ide_status(0) & ERR, ERR);
	assert_int_equal(in8(b, 0x1f1), 4);
	ide_command(0, 0xc4);
	assert_int_equal(ide_status(0) & ERR, ERR);
	free(data);
	ide_close();
}

static void pio_write(void **state)
{
	u8 data[3 * 512], got[512];

	(void)state;
	for (unsigned i = 0; i < sizeof data; i++)
		data[i] = i * 7;
	start(64 * MIB);
	ide_regs(0, 0, 3, 77, 0xe0);
	ide_command(0, 0x30);
	assert_false(irq[0].level); /* the first block is asked for without an interrupt */
	for (unsigned i = 0; i < 3; i++) {
		assert_int_equal(ide_status(0) & (BSY | DRQ), DRQ);
		ide_write_block(0, data + i * 512, 512);
		assert_int_equal(ide_alt(0) & (BSY | DRQ), BSY);
		ide_pump();
		assert_true(irq[0].level);
	}
	assert_int_equal(ide_status(0), RDY | 0x10);
	expect_content(data, 77 * 512, sizeof data);
	assert_int_equal(drives[0].disk->flushes, 0);
	/* without write cache a write is on the disk when it ends */
	ide_regs(0, 0x82, 0, 0, 0xe0);
	ide_command(0, 0xef);
	ide_pump();
	assert_int_equal(drives[0].disk->flushes, 1);
	ide_regs(0, 0, 1, 80, 0xe0);
	ide_command(0, 0x30);
	ide_write_block(0, data, 512);
	ide_pump();
	assert_int_equal(drives[0].disk->flushes, 2);
	assert_int_equal(ide_status(0), RDY | 0x10);
	ide_command(0, 0xe7);
	assert_int_equal(ide_alt(0) & BSY, BSY);
	ide_pump();
	assert_int_equal(drives[0].disk->flushes, 3);
	ide_regs(0, 0, 1, 77, 0xe0);
	ide_command(0, 0x20);
	ide_pump();
	ide_read_block(0, got, 512);
	assert_memory_equal(got, data, 512);
	ide_close();
}

/* However small, there are two cylinders, and no more sectors than there are. */
static void tiny(void **state)
{
	static const u32 sectors[] = {1, 2, 100, 1007, 1008, 1009, 2015, 2016};

	(void)state;
	for (unsigned i = 0; i < ARRAY_LEN(sectors); i++) {
		u8 id[512];

		start((u64)sectors[i] * 512);
		ide_regs(0, 0, 0, 0, 0xa0);
		ide_command(0, 0xec);
		ide_read_block(0, id, 512);
		assert_int_equal(load16(id + 2), MAX(sectors[i] / 1008, 2u));
		assert_int_equal(load16(id + 6), 16);
		assert_int_equal(load16(id + 12), 63);
		assert_int_equal(load32(id + 114), MIN(sectors[i], MAX(sectors[i] / 1008, 2u) * 1008));
		assert_int_equal(load32(id + 120), sectors[i]);
		assert_int_equal(load64(id + 200), sectors[i]);
		/* the first sector by its CHS address, the last by its number, none behind it */
		ide_regs(0, 0, 1, 1, 0xa0);
		ide_command(0, 0x20);
		ide_pump();
		assert_int_equal(ide_status(0) & (DRQ | ERR), DRQ);
		ide_read_block(0, id, 512);
		expect_content(id, 0, 512);
		ide_regs(0, 0, 1, sectors[i] - 1, 0xe0);
		ide_command(0, 0x20);
		ide_pump();
		assert_int_equal(ide_status(0) & (DRQ | ERR), DRQ);
		ide_read_block(0, id, 512);
		expect_content(id, (sectors[i] - 1) * 512ull, 512);
		ide_regs(0, 0, 1, sectors[i], 0xe0);
		ide_command(0, 0x20);
		ide_pump();
		assert_int_equal(ide_status(0) & (DRQ | ERR), ERR);
		ide_close();
	}
}

static void chs(void **state)
{
	u8 data[512];

	(void)state;
	start(64 * MIB);
	/* cylinder 3, head 2, sector 5 of 16 heads and 63 sectors */
	ide_regs(0, 0, 1, 3 << 8 | 5, 0xa2);
	ide_command(0, 0x20);
	ide_pump();
	ide_read_block(0, data, 512);
	expect_content(data, ((3 * 16 + 2) * 63 + 4) * 512, 512);
	/* another translation: 4 heads, 10 sectors */
	ide_regs(0, 0, 10, 0, 0xa3);
	ide_command(0, 0x91);
	ide_regs(0, 0, 2, 3 << 8 | 10, 0xa3);
	ide_command(0, 0x20);
	ide_pump();
	ide_read_block(0, data, 512);
	expect_content(data, ((3 * 4 + 3) * 10 + 9) * 512, 512);
	ide_read_block(0, data, 512);
	assert_int_equal(in8(b, 0x1f3), 1); /* the second one is the first of the next cylinder */
	assert_int_equal(in8(b, 0x1f4), 4);
	assert_int_equal(in8(b, 0x1f6), 0xa0);
	/* sector 0 and sector 11 are none, nor is head 4 */
	static const struct { u8 sector, device; } bad[] = {{0, 0xa0}, {11, 0xa0}, {1, 0xa4}};
	for (unsigned i = 0; i < ARRAY_LEN(bad); i++) {
		ide_regs(0, 0, 1, bad[i].sector, bad[i].device);
		ide_command(0, 0x20);
		assert_int_equal(ide_status(0) & ERR, ERR);
		assert_int_equal(in8(b, 0x1f1), 0x10);
	}
	ide_regs(0, 0, 0, 0, 0xa3);
	ide_command(0, 0x91);
	assert_int_equal(ide_status(0) & ERR, ERR);
	ide_close();
}

static void lba48(void **state)
{
	u8 data[512];
	const u64 far = 0x1234567890ull;

	(void)state;
	start((far + 4) * 512);
	ide_regs48(0, 0, 2, far, 0xe0);
	ide_command(0, 0x24);
	ide_pump();
	ide_read_block(0, data, 512);
	expect_content(data, far * 512, 512);
	ide_read_block(0, data, 512);
	expect_content(data, (far + 1) * 512, 512);
	/* what a register held before, shown on request and until the next write */
	ide_regs48(0, 0, 0x0203, 0x060504030201, 0xe0);
	out8(b, 0x3f6, 0x80);
	assert_int_equal(in8(b, 0x1f2), 2);
	assert_int_equal(in8(b, 0x1f3), 4);
	assert_int_equal(in8(b, 0x1f5), 6);
	out8(b, 0x1f3, 9);
	assert_int_equal(in8(b, 0x1f2), 3);
	assert_int_equal(in8(b, 0x1f3), 9);
	/* the last sector, and one more */
	ide_regs48(0, 0, 1, far + 3, 0xe0);
	ide_command(0, 0x42);
	ide_pump();
	assert_int_equal(ide_status(0) & ERR, 0);
	ide_regs48(0, 0, 2, far + 3, 0xe0);
	ide_command(0, 0x24);
	assert_int_equal(ide_status(0) & ERR, ERR);
	assert_int_equal(in8(b, 0x1f1), 0x10);
	/* the size */
	ide_regs48(0, 0, 0, 0, 0xe0);
	ide_command(0, 0x27);
	assert_int_equal(in8(b, 0x1f3), (far + 3) & 0xff);
	out8(b, 0x3f6, 0x80);
	assert_int_equal(in8(b, 0x1f4), 0x12);
	ide_close();
}

static void dma_read(void **state)
{
	(void)state;
	start(64 * MIB);
	/* 100 sectors into odd places: the table is in no order and its pieces end anywhere */
	ide_prd(0, 0x20002, 1000, false);
	ide_prd(1, 0x10000, 2, false);
	ide_prd(2, 0x30000, 0, false); /* 64 KiB: more than is left */
	ide_prd(3, 0x50000, 512, true);
	ide_regs(0, 0, 100, 300, 0xe0);
	ide_command(0, 0xc8);
	assert_false(irq[0].level);
	ide_bm_start(0, true);
	assert_int_equal(ide_bm_status(0), 1);
	ide_pump();
	assert_int_equal(ide_bm_status(0), 5); /* the table says more */
	assert_true(irq[0].level);
	ide_bm_stop(0);
	assert_int_equal(ide_bm_status(0), 4);
	assert_int_equal(ide_status(0), RDY | 0x10);
	out8(b, BM + 2, 4);
	assert_int_equal(ide_bm_status(0), 0);
	expect_ram(0x20002, 300 * 512, 1000);
	expect_ram(0x10000, 300 * 512 + 1000, 2);
	expect_ram(0x30000, 300 * 512 + 1002, 100 * 512 - 1002);
	assert_int_equal(rd(b, 0x30000 + 100 * 512 - 1002, 4), 0);
	assert_int_equal(drives[0].disk->reads, 1);
	/* started before the command, and a table that fits exactly */
	ide_prd(0, 0x40000, 1024, true);
	ide_bm_start(0, true);
	ide_regs(0, 0, 2, 9, 0xe0);
	ide_command(0, 0xc8);
	ide_pump();
	assert_int_equal(ide_bm_status(0), 4);
	expect_ram(0x40000, 9 * 512, 1024);
	ide_close();
}

static void dma_write(void **state)
{
	(void)state;
	start(64 * MIB);
	for (unsigned i = 0; i < 0x8000; i++)
		b->ram->hva[0x20000 + i] = i * 13 + (i >> 8);
	ide_prd(0, 0x20000, 0x100, false);
	ide_prd(1, 0x20100, 0x4f00, false);
	ide_prd(2, 0x25000, 0x3000, true);
	ide_regs48(0, 0, 64, 4000, 0xe0);
	ide_command(0, 0x35);
	ide_bm_start(0, false);
	ide_pump();
	assert_int_equal(ide_bm_status(0), 4);
	assert_int_equal(ide_status(0), RDY | 0x10);
	expect_ram(0x20000, 4000 * 512, 0x8000);
	assert_int_equal(drives[0].disk->writes, 1);
	assert_int_equal(drives[0].disk->flushes, 0);
	ide_bm_stop(0);
	/* forced to the disk */
	ide_prd(0, 0x20000, 512, true);
	ide_regs48(0, 0, 1, 1, 0xe0);
	ide_command(0, 0x3d);
	ide_bm_start(0, false);
	ide_pump();
	assert_int_equal(drives[0].disk->flushes, 1);
	assert_int_equal(ide_bm_status(0), 4);
	ide_close();
}

static void dma_large(void **state)
{
	(void)state;
	start(64 * MIB);
	/* 64 regions of 64 KiB, all in the same place: 4 MiB in two requests */
	for (unsigned i = 0; i < 64; i++)
		ide_prd(i, 0x100000, 0, i == 63);
	ide_regs48(0, 0, 8192, 128, 0xe0);
	ide_command(0, 0x25);
	ide_bm_start(0, true);
	ide_pump();
	assert_int_equal(ide_bm_status(0), 4);
	assert_int_equal(drives[0].disk->reads, 2);
	expect_ram(0x100000, 128 * 512 + 63 * 65536, 65536);
	ide_close();
}

static u8 *code_page;
static unsigned code_writes;

static void code_written(void *opaque, u8 *hva, unsigned len)
{
	(void)opaque;
	assert_true(hva >= code_page && hva + len <= code_page + PAGE_SIZE);
	assert_false(irq[0].level); /* translations go before the guest is told */
	code_writes++;
}

static void dma_over_code(void **state)
{
	struct bus_listener listener = {.code_written = code_written};
	u8 *watch;

	(void)state;
	start(64 * MIB);
	code_page = b->ram->hva + 0x41000;
	watch = b->ram->watch + 0x41;
	code_writes = 0;
	bus_listen(&b->bus, &listener);
	dirty_hold_code(&b->bus, code_page, watch);
	ide_prd(0, 0x40000, 0x3000, true);
	ide_regs(0, 0, 24, 300, 0xe0);
	ide_command(0, 0xc8);
	ide_bm_start(0, true);
	ide_pump();
	assert_true(irq[0].level);
	assert_int_equal(code_writes, 1);
	expect_ram(0x40000, 300 * 512, 0x3000);
	assert_int_equal(drives[0].disk->direct, fakedisk_copied ? 0 : 1);
	dirty_release_code(&b->bus, code_page, watch);
	bus_unlisten(&b->bus, &listener);
	ide_bm_stop(0);
	/* after a reset nothing comes any more */
	ide_regs(0, 0, 24, 600, 0xe0);
	ide_command(0, 0xc8);
	ide_bm_start(0, true);
	out8(b, 0x3f6, 4);
	memset(b->ram->hva + 0x40000, 0x5a, 0x3000);
	ide_pump();
	for (unsigned i = 0; i < 0x3000; i++)
		assert_int_equal(b->ram->hva[0x40000 + i], 0x5a);
	ide_close();
}

static void dma_garbage(void **state)
{
	(void)state;
	start(64 * MIB);
	/* a table that ends too early: the unit waits; a new start goes on */
	ide_prd(0, 0x40000, 512, true);
	ide_regs(0, 0, 2, 50, 0xe0);
	ide_command(0, 0xc8);
	ide_bm_start(0, true);
	ide_pump();
	assert_int_equal(ide_bm_status(0), 0);
	assert_int_equal(ide_status(0) & (BSY | DRQ), BSY);
	ide_bm_stop(0);
	ide_prd(0, 0x50000, 512, true);
	ide_bm_start(0, true);
	ide_pump();
	assert_int_equal(ide_bm_status(0), 4);
	expect_ram(0x40000, 50 * 512, 512);
	expect_ram(0x50000, 51 * 512, 512);
	ide_bm_stop(0);
	/* regions where there is no memory, a table where there is none, the wrong way */
	ide_prd(0, 0xe0000000, 512, true);
	ide_regs(0, 0, 1, 50, 0xe0);
	ide_command(0, 0xc8);
	ide_bm_start(0, true);
	ide_pump();
	assert_int_equal(ide_bm_status(0), 2);
	ide_bm_stop(0);
	out32(b, BM + 4, 0xfffffffc);
	out8(b, BM, 9);
	ide_pump();
	assert_int_equal(ide_bm_status(0), 2);
	ide_bm_stop(0);
	ide_prd(0, 0x40000, 512, true);
	ide_bm_start(0, false);
	assert_int_equal(ide_bm_status(0), 2);
	ide_bm_stop(0);
	/* no bus mastering */
	cfg_write(b, IDE_DEVFN, 4, 1, 2);
	ide_bm_start(0, true);
	ide_pump();
	assert_int_equal(ide_bm_status(0), 2);
	ide_bm_stop(0);
	cfg_write(b, IDE_DEVFN, 4, 5, 2);
	/* stopped while the disk works, and started anew; or the disk was waited for */
	ide_bm_start(0, true);
	ide_bm_stop(0);
	if (fakedisk_copied) {
		ide_prd(0, 0x60000, 512, true);
		ide_bm_start(0, true);
		ide_pump();
		expect_ram(0x60000, 50 * 512, 512);
	} else {
		expect_ram(0x40000, 50 * 512, 512);
	}
	assert_int_equal(ide_bm_status(0), 4);
	/* a table of nothing but small regions and no end */
	for (unsigned i = 0; i < 0xf000 / 8; i++)
		ide_prd(i, 0x80000 + i * 2, 2, false);
	ide_bm_stop(0);
	ide_regs48(0, 0, 0, 0, 0xe0);
	ide_command(0, 0x25);
	ide_bm_start(0, true);
	ide_pump();
	out8(b, 0x3f6, 4);
	out8(b, 0x3f6, 0);
	assert_int_equal(ide_status(0), RDY | 0x10);
	ide_close();
}

static void errors(void **state)
{
	u8 data[512];

	(void)state;
	start(64 * MIB);
	drives[0].disk->fail_at = 700 * 512 + 5;
	ide_regs(0, 0, 8, 696, 0xe0);
	ide_command(0, 0x20);
	ide_pump();
	assert_int_equal(ide_status(0) & (ERR | BSY | DRQ), ERR);
	assert_int_equal(in8(b, 0x1f1), 0x40);
	ide_prd(0, 0x40000, 4096, true);
	ide_regs(0, 0, 8, 696, 0xe0);
	ide_command(0, 0xc8);
	ide_bm_start(0, true);
	ide_pump();
	assert_int_equal(ide_bm_status(0), 5);
	assert_int_equal(ide_status(0) & (ERR | BSY), ERR);
	assert_int_equal(in8(b, 0x1f1), 0x40);
	assert_int_equal(in8(b, 0x1f3) | in8(b, 0x1f4) << 8, 696);
	ide_bm_stop(0);
	ide_regs(0, 0, 8, 696, 0xe0);
	ide_command(0, 0x40);
	ide_pump();
	assert_int_equal(ide_status(0) & ERR, ERR);
	drives[0].disk->fail = ENOSPC;
	ide_regs(0, 0, 1, 0, 0xe0);
	ide_command(0, 0x30);
	ide_write_block(0, data, 512);
	ide_pump();
	assert_int_equal(ide_status(0) & (ERR | BSY), ERR);
	assert_int_equal(in8(b, 0x1f1), 4);
	ide_command(0, 0xea);
	ide_pump();
	assert_int_equal(ide_status(0) & (ERR | BSY), ERR);
	drives[0].disk->fail = 0;
	drives[0].disk->read_only = true;
	ide_regs(0, 0, 1, 0, 0xe0);
	ide_command(0, 0xca);
	assert_int_equal(ide_status(0) & (ERR | BSY), ERR);
	assert_int_equal(in8(b, 0x1f1), 4);
	/* commands that there are not, or not for disks */
	static const u8 none[] = {0x00, 0x08, 0xa0, 0xa1, 0xf1, 0xff, 0x87};
	for (unsigned i = 0; i < ARRAY_LEN(none); i++) {
		ide_command(0, none[i]);
		assert_int_equal(ide_status(0) & (ERR | BSY), ERR);
		assert_int_equal(in8(b, 0x1f1), 4);
	}
	ide_close();
}

static void small_commands(void **state)
{
	u8 data[512], sum = 0;
	static const u8 good[] = {0x10, 0x70, 0x94, 0x95, 0xe0, 0xe1, 0xe2, 0xe3, 0xe6, 0x91, 0x40, 0xe7};

	(void)state;
	start(64 * MIB);
	for (unsigned i = 0; i < ARRAY_LEN(good); i++) {
		ide_regs(0, 0, 1, 1, 0xe0);
		ide_command(0, good[i]);
		ide_pump();
		assert_true(irq[0].level);
		assert_int_equal(ide_status(0) & (ERR | BSY | DRQ), 0);
	}
	ide_command(0, 0xe1);
	ide_command(0, 0xe5);
	assert_int_equal(in8(b, 0x1f2), 0x80);
	/* SMART */
	ide_regs(0, 0xd0, 0, 0xc24f00, 0xa0);
	ide_command(0, 0xb0);
	ide_read_block(0, data, 512);
	for (unsigned i = 0; i < 512; i++)
		sum += data[i];
	assert_int_equal(sum, 0);
	ide_regs(0, 0xda, 0, 0xc24f00, 0xa0);
	ide_command(0, 0xb0);
	assert_int_equal(ide_status(0) & ERR, 0);
	assert_int_equal(in8(b, 0x1f4), 0x4f);
	ide_regs(0, 0xd9, 0, 0xc24f00, 0xa0);
	ide_command(0, 0xb0);
	ide_regs(0, 0xda, 0, 0xc24f00, 0xa0);
	ide_command(0, 0xb0);
	assert_int_equal(ide_status(0) & ERR, ERR);
	/* READ BUFFER gives what WRITE BUFFER took */
	for (unsigned i = 0; i < 512; i++)
		data[i] = ~i;
	ide_command(0, 0xe8);
	ide_write_block(0, data, 512);
	assert_int_equal(ide_status(0) & (ERR | BSY | DRQ), 0);
	u8 back[512];
	ide_command(0, 0xe4);
	ide_read_block(0, back, 512);
	assert_memory_equal(data, back, 512);
	ide_close();
}

static void trim(void **state)
{
	(void)state;
	start(64 * MIB);
	memset(b->ram->hva + 0x20000, 0, 512);
	store64(b->ram->hva + 0x20000, 1000 | 24ull << 48);
	store64(b->ram->hva + 0x20010, 5000 | 0xffffull << 48);
	ide_prd(0, 0x20000, 512, true);
	ide_regs48(0, 1, 1, 0, 0xe0);
	ide_command(0, 0x06);
	ide_bm_start(0, false);
	ide_pump();
	assert_int_equal(ide_status(0) & (ERR | BSY), 0);
	assert_int_equal(ide_bm_status(0), 4);
	assert_int_equal(drives[0].disk->discards, 2);
	assert_int_equal(drives[0].disk->last_discard, 5000 * 512);
	assert_int_equal(drives[0].disk->last_discard_len, 65535 * 512);
	ide_bm_stop(0);
	store64(b->ram->hva + 0x20000, 0xffffffffffffffff);
	ide_regs48(0, 1, 1, 0, 0xe0);
	ide_command(0, 0x06);
	ide_bm_start(0, false);
	ide_pump();
	assert_int_equal(ide_status(0) & (ERR | BSY), ERR);
	assert_int_equal(drives[0].disk->discards, 2);
	ide_close();
}

static void resets(void **state)
{
	u8 data[512];

	(void)state;
	start(64 * MIB);
	/* a software reset in the middle of a request: busy until it is back */
	ide_regs(0, 0, 1, 3, 0xe0);
	ide_command(0, 0x20);
	out8(b, 0x3f6, 4);
	assert_int_equal(ide_alt(0), BSY);
	out8(b, 0x3f6, 0);
	assert_int_equal(ide_alt(0), BSY);
	ide_command(0, 0x20);
	ide_pump();
	assert_int_equal(ide_alt(0), RDY | 0x10);
	assert_false(irq[0].level);
	assert_int_equal(in8(b, 0x1f1), 1);
	assert_int_equal(in8(b, 0x1f2), 1);
	assert_int_equal(in8(b, 0x1f3), 1);
	assert_int_equal(in8(b, 0x1f4) | in8(b, 0x1f5) << 8, 0);
	/* in the middle of data, held for a while */
	ide_regs(0, 0, 1, 3, 0xe0);
	ide_command(0, 0x20);
	ide_pump();
	in16(b, 0x1f0);
	out8(b, 0x3f6, 6);
	bench_round_trip(b, ide);
	assert_int_equal(ide_alt(0), BSY);
	out8(b, 0x3f6, 2);
	assert_int_equal(ide_alt(0), RDY | 0x10);
	/* nIEN: no interrupt, until it is allowed */
	ide_command(0, 0xec);
	assert_false(irq[0].level);
	out8(b, 0x3f6, 0);
	assert_true(irq[0].level);
	ide_read_block(0, data, 512);
	/* diagnostics */
	ide_command(0, 0x90);
	assert_true(irq[0].level);
	assert_int_equal(ide_status(0), RDY | 0x10);
	assert_int_equal(in8(b, 0x1f1), 1);
	/* the machine's reset with a request on its way */
	ide_regs(0, 0, 1, 3, 0xe0);
	ide_command(0, 0x20);
	ide->class->reset(ide);
	assert_null(drives[0].disk->first);
	assert_int_equal(ide_alt(0), RDY | 0x10);
	ide_close();
}

static void absent(void **state)
{
	u8 data[512];

	(void)state;
	start(64 * MIB);
	/* unit 1 is not there; unit 0 is not disturbed by what is said to it */
	out8(b, 0x1f6, 0xb0);
	assert_int_equal(ide_status(0), 0);
	ide_command(0, 0xec);
	ide_pump();
	assert_int_equal(ide_status(0), 0);
	assert_false(irq[0].level);
	assert_int_equal(in16(b, 0x1f0), 0);
	out8(b, 0x1f6, 0xa0);
	assert_int_equal(ide_status(0), RDY | 0x10);
	ide_command(0, 0xec);
	ide_read_block(0, data, 512);
	/* it does not keep what is written, nor does a channel where nobody is */
	out8(b, 0x1f6, 0xb0);
	out8(b, 0x1f2, 0x55);
	assert_int_equal(in8(b, 0x1f2), 0);
	assert_int_equal(in8(b, 0x1f6), 0);
	out8(b, 0x172, 0x55);
	out8(b, 0x173, 0xaa);
	assert_int_equal(in8(b, 0x172), 0);
	assert_int_equal(in8(b, 0x173), 0);
	assert_int_equal(ide_status(1), 0);
	ide_command(1, 0x90);
	assert_false(irq[1].level);
	ide_close();
}

static void two_units(void **state)
{
	u8 data[512], want[512];

	(void)state;
	ide_open();
	ide_put(0, DRIVE_DISK, 64 * MIB);
	ide_put(1, DRIVE_DISK, 32 * MIB);
	ide_put(3, DRIVE_DISK, 16 * MIB);
	ide_go();
	ide_regs(0, 0, 1, 65000, 0xf0);
	ide_command(0, 0x20);
	ide_pump();
	/* selecting the other one hides the interrupt of this */
	assert_true(irq[0].level);
	ide_read_block(0, data, 512);
	out8(b, 0x1f6, 0xa0);
	assert_false(irq[0].level);
	out8(b, 0x1f6, 0xb0);
	assert_true(irq[0].level);
	assert_int_equal(ide_status(0), RDY | 0x10);
	fakedisk_peek(drives[1].disk, 65000 * 512, want, 512);
	assert_memory_equal(data, want, 512);
	/* while one works, the other cannot be selected */
	ide_regs(0, 0, 1, 0, 0xe0);
	ide_command(0, 0x20);
	out8(b, 0x1f6, 0xb0);
	ide_pump();
	assert_int_equal(in8(b, 0x1f6), 0xe0);
	ide_read_block(0, data, 512);
	/* a lone unit 1 answers diagnostics */
	out8(b, 0x176, 0xb0);
	assert_int_equal(ide_status(1), RDY | 0x10);
	ide_command(1, 0xec);
	assert_true(irq[1].level);
	ide_read_block(1, data, 512);
	assert_int_equal(load32(data + 120), 16 * 2048);
	ide_close();
}

/* Whatever a saved state says: it loads, saves the same again, and the controller can be reset and used. */
static void loaded_garbage(void **state)
{
	u64 seed = 99;

	(void)state;
	ide_open();
	ide_put(0, DRIVE_DISK, 64 * MIB);
	ide_put(1, DRIVE_CDROM, 4 * MIB);
	ide_put(3, DRIVE_DISK, 64 * MIB);
	ide_go();
	for (unsigned i = 0; i < 400; i++) {
		u8 *s = device_state(ide), data[512];

		for (unsigned k = 256; k < ide->class->state_size; k++)
			s[k] = i & 1 ? unit_random(&seed) : unit_random(&seed) % 8;
		bench_round_trip(b, ide);
		for (unsigned k = 0; k < 40; k++) {
			u16 at = port(k & 1) + unit_random(&seed) % 8;

			if (unit_random(&seed) & 1)
				out16(b, at, unit_random(&seed));
			else
				in16(b, at);
			ide_pump();
		}
		out8(b, 0x3f6, 4);
		out8(b, 0x3f6, 0);
		ide_pump();
		ide_regs(0, 0, 1, 3, 0xe0);
		ide_command(0, 0x20);
		ide_pump();
		assert_int_equal(ide_status(0) & (BSY | DRQ | ERR), DRQ);
		ide_read_block(0, data, 512);
		expect_content(data, 3 * 512, 512);
	}
	ide_close();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(pci),          cmocka_unit_test(identify_content), cmocka_unit_test(pio_read),
		cmocka_unit_test(pio_read_long), cmocka_unit_test(pio_write),       cmocka_unit_test(chs),
		cmocka_unit_test(lba48),        cmocka_unit_test(dma_read),         cmocka_unit_test(dma_write),
		cmocka_unit_test(dma_large),    cmocka_unit_test(dma_over_code), cmocka_unit_test(dma_garbage),
		cmocka_unit_test(errors),         cmocka_unit_test(small_commands),   cmocka_unit_test(trim),
		cmocka_unit_test(resets),           cmocka_unit_test(absent),           cmocka_unit_test(two_units),
		cmocka_unit_test(loaded_garbage), cmocka_unit_test(tiny),
	};

	fakedisk_copied = true;
	int failed = cmocka_run_group_tests_name("dev.ide, copied", tests, NULL, NULL);
	fakedisk_copied = false;
	return failed + cmocka_run_group_tests_name("dev.ide, direct", tests, NULL, NULL);
}
