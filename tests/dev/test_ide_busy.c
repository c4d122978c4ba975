/* SPDX-License-Identifier: MIT */
/* The IDE controller while a request is on its way to the disk: every way to ask for something else meanwhile. Nothing may be
 * sent to a unit's disk before the last request is back, and what was given up must not come back as the answer to another. */
#include <errno.h>
#include <stdlib.h>

#include "tests/dev/ide_bench.h"

#define MIB (1ull << 20)

static void start(enum drive_media second)
{
	ide_open();
	ide_put(0, DRIVE_DISK, 64 * MIB);
	ide_put(1, second, 64 * MIB);
	ide_go();
}

static void soft_reset(void)
{
	out8(b, 0x3f6, 4);
	out8(b, 0x3f6, 0);
}

static unsigned on_their_way(unsigned i)
{
	unsigned n = 0;

	for (const struct disk_request *r = drives[i].disk ? drives[i].disk->first : NULL; r; r = r->next)
		n++;
	return n;
}

static void expect_signature(u8 device, u8 status)
{
	out8(b, 0x1f6, device);
	assert_int_equal(ide_alt(0), status);
	assert_int_equal(in8(b, 0x1f1), 1);
	assert_int_equal(in8(b, 0x1f2), 1);
}

/* Unit 1 reads; a soft reset selects unit 0, which is told to run the diagnostic of both. */
static void diagnostic(void **state)
{
	(void)state;
	start(DRIVE_DISK);
	ide_regs(0, 0, 1, 5, 0xf0);
	ide_command(0, 0x20);
	assert_int_equal(on_their_way(1), 1);
	soft_reset();
	assert_int_equal(ide_status(0), RDY | 0x10);
	ide_command(0, 0x90);
	/* both are busy until both are done: unit 1 waits for its disk */
	assert_int_equal(ide_alt(0), BSY);
	out8(b, 0x1f6, 0xb0);
	ide_command(0, 0x20);
	assert_int_equal(on_their_way(1), 1);
	assert_false(irq[0].level);
	ide_pump();
	assert_true(irq[0].level);
	assert_int_equal(irq[0].rises, 1);
	assert_int_equal(in8(b, 0x1f6) & 0x10, 0);
	expect_signature(0xb0, RDY | 0x10);
	expect_signature(0xa0, RDY | 0x10);
	/* and unit 1 can be used again */
	ide_status(0);
	ide_regs(0, 0, 1, 9, 0xf0);
	ide_command(0, 0x20);
	assert_int_equal(on_their_way(1), 1);
	ide_pump();
	assert_int_equal(ide_status(0), RDY | 0x10 | DRQ);
	ide_close();
}

/* The diagnostic is itself reset while it waits: no interrupt comes of it. */
static void diagnostic_given_up(void **state)
{
	(void)state;
	start(DRIVE_DISK);
	ide_regs(0, 0, 1, 5, 0xf0);
	ide_command(0, 0x20);
	soft_reset();
	ide_command(0, 0x90);
	soft_reset();
	assert_int_equal(ide_alt(0), RDY | 0x10);
	ide_pump();
	assert_int_equal(irq[0].rises, 0);
	expect_signature(0xb0, RDY | 0x10);
	ide_regs(0, 0, 1, 5, 0xf0);
	ide_command(0, 0x20);
	soft_reset();
	ide_command(0, 0x90);
	ide->class->reset(ide);
	assert_int_equal(irq[0].rises, 0);
	assert_int_equal(on_their_way(1), 0);
	expect_signature(0xb0, RDY | 0x10);
	ide_close();
}

/* DEVICE RESET is heard by a packet device that is busy; it comes out of it when the disc's request is back. */
static void packet_device(void **state)
{
	static const u8 read10[12] = {0x28, 0, 0, 0, 0, 3, 0, 0, 1};
	static const u8 ready[12] = {0};

	(void)state;
	start(DRIVE_CDROM);
	for (unsigned diagnose = 0; diagnose < 2; diagnose++) {
		for (unsigned i = 0; i < 2; i++) { /* the first one tells of the new disc, or the reset */
			out8(b, 0x1f6, 0xb0);
			ide_command(0, 0xa0);
			ide_write_block(0, ready, 12);
		}
		ide_regs(0, 0, 0, 2048 << 8, 0xb0);
		ide_command(0, 0xa0);
		ide_write_block(0, read10, 12);
		assert_int_equal(on_their_way(1), 1);
		if (diagnose) {
			soft_reset();
			ide_command(0, 0x90);
		} else {
			ide_command(0, 0x08);
			ide_command(0, 0x08);
		}
		assert_int_equal(ide_alt(0), BSY);
		ide_command(0, 0xa0);
		assert_int_equal(on_their_way(1), 1);
		ide_pump();
		expect_signature(0xb0, 0);
		assert_int_equal(in8(b, 0x1f4), 0x14);
		ide_status(0);
	}
	ide_close();
}

/* A bus master that is stopped moves what its disk is at, and no more. */
static void stopped(void **state)
{
	(void)state;
	start(DRIVE_DISK);
	for (unsigned i = 0; i < 512; i++)
		ide_prd(i, 0x100000 + i % 16 * 0x10000, 0, i == 511);
	ide_regs48(0, 0, 0, 0, 0xe0);
	ide_command(0, 0x25); /* 32 MiB */
	ide_bm_start(0, true);
	assert_int_equal(on_their_way(0), 1);
	ide_bm_stop(0);
	assert_true(drives[0].disk->reads <= 1);
	assert_int_equal(ide_bm_status(0) & 1, 0);
	assert_int_equal(ide_alt(0) & BSY, BSY);
	ide_bm_start(0, true);
	assert_int_equal(on_their_way(0), 1);
	ide_pump();
	assert_int_equal(ide_alt(0), RDY | 0x10);
	ide_close();
}

/* ---- anything at any time ---- */
static void take_out(unsigned i, u64 *seed)
{
	struct drive *drive = &drives[i];

	if (drive->media != DRIVE_CDROM || !drive->disk)
		return;
	fakedisk_run(drive->disk); /* as drive_eject() does */
	struct disk *disk = drive->disk;
	drive->disk = NULL;
	drive->changed(drive->device);
	if (unit_random(seed) & 1)
		ide_status(i / 2);
	drive->disk = disk;
	drive->changed(drive->device);
}

static void any_command(unsigned c, u64 *seed)
{
	static const u8 codes[] = {0x20, 0x25, 0x35, 0x30, 0xc8, 0xca, 0xc4, 0xc5, 0x06, 0xe7, 0xea, 0x40, 0xa0, 0xec, 0xe0,
	                           0x90, 0x08, 0x24, 0x34, 0xa1, 0xef};
	static const u8 packets[] = {0x28, 0xa8, 0xbe, 0x00, 0x03, 0x1b, 0x12, 0x43};
	u8 code = codes[unit_random(seed) % ARRAY_LEN(codes)];

	ide_regs(c, code == 0x06 || unit_random(seed) & 1, unit_random(seed) % 5, unit_random(seed) % 1000,
	         0xe0 | (unit_random(seed) & 0x10));
	if (code == 0xa0)
		ide_regs(c, unit_random(seed) & 1, 0, 2048 << 8, 0xa0 | (unit_random(seed) & 0x10));
	ide_command(c, code);
	if (code == 0xa0) {
		u8 packet[12] = {packets[unit_random(seed) % ARRAY_LEN(packets)], 0, 0, 0, 0, 1, 0, 0, 1, 1};

		ide_write_block(c, packet, 12);
	}
}

static void anything(u64 *seed)
{
	unsigned c = unit_random(seed) & 1;
	u8 block[512];

	switch (unit_random(seed) % 16) {
	case 0 ... 3:
		any_command(c, seed);
		break;
	case 4:
		out8(b, port(c) + 0x206, unit_random(seed) & 6);
		break;
	case 5:
		out8(b, port(c) + 0x206, 0);
		ide_command(c, 0x90);
		break;
	case 6:
		out8(b, port(c) + 6, unit_random(seed));
		break;
	case 7:
		ide_bm_start(c, unit_random(seed) & 1);
		break;
	case 8:
		ide_bm_stop(c);
		break;
	case 9:
		ide_read_block(c, block, 512);
		break;
	case 10:
		ide_write_block(c, block, 512);
		break;
	case 11:
		take_out(unit_random(seed) % 4, seed);
		break;
	case 12:
		if (unit_random(seed) % 8 == 0)
			ide->class->reset(ide);
		else
			cfg_write(b, IDE_DEVFN, 0x04, unit_random(seed) & 7, 2);
		break;
	case 13:
		cfg_write(b, IDE_DEVFN, 0x20, unit_random(seed) & 1 ? BM : BM + 0x100, 4);
		cfg_write(b, IDE_DEVFN, 0x04, 5, 2);
		break;
	default:
		if (drives[c * 2 + 1].disk && unit_random(seed) & 1)
			fakedisk_step(drives[c * 2 + 1].disk);
		else if (drives[c * 2].disk)
			fakedisk_step(drives[c * 2].disk);
		break;
	}
}

static void storm(void **state)
{
	u64 seed = 1;

	(void)state;
	for (unsigned round = 0; round < 200; round++) {
		ide_open();
		ide_put(0, DRIVE_DISK, MIB);
		ide_put(1, round & 1 ? DRIVE_CDROM : DRIVE_DISK, MIB);
		ide_put(2, DRIVE_CDROM, MIB);
		if (round & 2)
			ide_put(3, DRIVE_DISK, MIB);
		ide_go();
		for (unsigned i = 0; i < 8; i++)
			ide_prd(i, 0x100000 + i * 0x1000, 0x200 << i % 4, i == 7);
		for (unsigned i = 0; i < 600; i++) {
			anything(&seed);
			for (unsigned k = 0; k < 4; k++)
				assert_true(on_their_way(k) <= 1);
		}
		/* whatever that was, a reset makes both units of both channels usable */
		cfg_write(b, IDE_DEVFN, 0x20, BM, 4);
		for (unsigned c = 0; c < 2; c++) {
			out8(b, port(c) + 0x206, 4);
			out8(b, port(c) + 0x206, 0);
		}
		ide_pump();
		for (unsigned c = 0; c < 2; c++)
			for (unsigned u = 0; u < 2; u++) {
				out8(b, port(c) + 6, 0xa0 | u << 4);
				assert_int_equal(ide_status(c) & (BSY | DRQ | ERR), 0);
			}
		ide_close();
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(diagnostic), cmocka_unit_test(diagnostic_given_up), cmocka_unit_test(packet_device),
		cmocka_unit_test(stopped),    cmocka_unit_test(storm),
	};

	fakedisk_copied = true;
	int failed = cmocka_run_group_tests_name("dev.ide-busy, copied", tests, NULL, NULL);
	fakedisk_copied = false;
	return failed + cmocka_run_group_tests_name("dev.ide-busy, direct", tests, NULL, NULL);
}
