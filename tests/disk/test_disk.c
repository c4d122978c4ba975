/* SPDX-License-Identifier: MIT */
/* The disk as devices see it: completions on the loop, draining, errors, media changes, locks between programs. */
#include "tests/unit/unit.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "hw/disk/disk.h"
#include "hw/disk/image.h"

#define SIZE (1u << 20)

static struct clock *host_clock;
static struct loop *loop;
static char file[64];
static unsigned done_count;

static void make_file(size_t size)
{
	FILE *f = fopen(file, "w");

	for (size_t i = 0; i < size; i++)
		fputc((int)(i / 512 & 0xff), f);
	assert_int_equal(fclose(f), 0);
}

static int setup(void **state)
{
	struct err err;

	(void)state;
	snprintf(file, sizeof file, "/tmp/paisano-disk-%d.img", getpid());
	host_clock = clock_new();
	loop = loop_new(host_clock, &err);
	make_file(SIZE);
	return loop ? 0 : -1;
}

static int teardown(void **state)
{
	(void)state;
	loop_drain(loop);
	loop_free(loop);
	clock_free(host_clock);
	unlink(file);
	return 0;
}

static void count_done(struct disk_request *request)
{
	assert_true(loop_locked(loop));
	request->opaque = NULL;
	done_count++;
}

static struct disk_request request(enum disk_op op, u64 offset, u64 len, u8 *buf)
{
	return (struct disk_request){
		.op = op, .offset = offset, .len = len, .buf = buf, .done = count_done, .opaque = file, .error = -1};
}

static int run(struct disk *disk, enum disk_op op, u64 offset, u64 len, u8 *buf)
{
	struct disk_request r = request(op, offset, len, buf);

	loop_lock(loop);
	disk_submit(disk, &r);
	assert_non_null(r.opaque); /* never from within */
	disk_drain(disk);
	loop_unlock(loop);
	assert_null(r.opaque);
	return r.error;
}

static struct disk *open_disk(struct disk_config config)
{
	struct err err = {0};
	struct disk *disk;

	config.file = file;
	disk = disk_open(&config, loop, &err);
	if (!disk)
		fail_msg("%s", err.text);
	return disk;
}

static void close_disk(struct disk *disk)
{
	loop_lock(loop);
	disk_close(disk);
	loop_unlock(loop);
}

static void test_transfers(void **state)
{
	struct disk *disk = open_disk((struct disk_config){0});
	u8 buf[4096], back[4096];

	(void)state;
	assert_int_equal(disk_size(disk), SIZE);
	assert_false(disk_read_only(disk));
	assert_string_equal(disk_format(disk), "raw");
	assert_int_equal(run(disk, DISK_READ, 512 * 7 + 500, 24, buf), 0);
	assert_int_equal(buf[0], 7);
	assert_int_equal(buf[23], 8);
	memset(buf, 0xa5, sizeof buf);
	assert_int_equal(run(disk, DISK_WRITE, 12345, sizeof buf, buf), 0);
	assert_int_equal(run(disk, DISK_FLUSH, 0, 0, NULL), 0);
	assert_int_equal(run(disk, DISK_READ, 12345, sizeof back, back), 0);
	assert_memory_equal(buf, back, sizeof buf);
	assert_int_equal(run(disk, DISK_ZERO, 12345, 100, NULL), 0);
	assert_int_equal(run(disk, DISK_DISCARD, 65536, 65536, NULL), 0);
	assert_int_equal(run(disk, DISK_READ, 12345, 101, back), 0);
	assert_int_equal(back[0] | back[99], 0);
	assert_int_equal(back[100], 0xa5);
	close_disk(disk);
}

/* What a copy of the file holds, taken while the disk is open: a new qcow2 image knows of a cluster when its tables are written,
 * which is at a flush. */
static u8 in_a_copy(void)
{
	char command[200], original[sizeof file];
	u8 byte;

	strcpy(original, file);
	snprintf(command, sizeof command, "cp %s %s.copy", original, original);
	assert_int_equal(system(command), 0);
	strcat(file, ".copy");
	struct disk *disk = open_disk((struct disk_config){.read_only = true});
	assert_int_equal(run(disk, DISK_READ, 0, 1, &byte), 0);
	close_disk(disk);
	unlink(file);
	strcpy(file, original);
	return byte;
}

static void test_cache(void **state)
{
	static const struct { enum disk_cache cache; u8 after_write, after_flush; } cases[] = {
		{DISK_WRITEBACK, 0, 1}, {DISK_WRITETHROUGH, 1, 1}, {DISK_UNSAFE, 0, 0}};
	struct image_create options = {.file = file, .format = "qcow2", .size = SIZE, .fd = -1};
	struct err err = {0};
	u8 one = 1;

	(void)state;
	for (unsigned i = 0; i < ARRAY_LEN(cases); i++) {
		assert_true(image_create(&options, &err));
		struct disk *disk = open_disk((struct disk_config){.cache = cases[i].cache});
		assert_int_equal(run(disk, DISK_WRITE, 0, 1, &one), 0);
		assert_int_equal(in_a_copy(), cases[i].after_write);
		assert_int_equal(run(disk, DISK_FLUSH, 0, 0, NULL), 0);
		assert_int_equal(in_a_copy(), cases[i].after_flush);
		close_disk(disk);
		assert_int_equal(in_a_copy(), 1); /* at the latest */
	}
	struct disk *disk = open_disk((struct disk_config){.no_discard = true});
	assert_int_equal(run(disk, DISK_DISCARD, 0, 65536, NULL), 0);
	assert_int_equal(run(disk, DISK_READ, 0, 1, &one), 0);
	assert_int_equal(one, 1);
	close_disk(disk);
	disk = open_disk((struct disk_config){0});
	assert_int_equal(run(disk, DISK_DISCARD, 0, 65536, NULL), 0);
	assert_int_equal(run(disk, DISK_READ, 0, 1, &one), 0);
	assert_int_equal(one, 0);
	close_disk(disk);
	make_file(SIZE);
}

static void test_bounds(void **state)
{
	struct disk *disk = open_disk((struct disk_config){0});
	u8 buf[1024];

	(void)state;
	assert_int_equal(run(disk, DISK_READ, SIZE - 512, 1024, buf), EIO);
	assert_int_equal(run(disk, DISK_WRITE, SIZE, 1, buf), EIO);
	assert_int_equal(run(disk, DISK_READ, ~0ull - 10, 1024, buf), EIO);
	assert_int_equal(run(disk, DISK_ZERO, 512, ~0ull, NULL), EIO);
	close_disk(disk);
	disk = open_disk((struct disk_config){.read_only = true});
	assert_true(disk_read_only(disk));
	assert_int_equal(run(disk, DISK_WRITE, 0, 1, buf), EROFS);
	assert_int_equal(run(disk, DISK_FLUSH, 0, 0, NULL), 0);
	close_disk(disk);
}

static void test_short_tail(void **state)
{
	struct disk *disk;
	u8 buf[512];

	(void)state;
	make_file(1000);
	disk = open_disk((struct disk_config){0});
	assert_int_equal(disk_size(disk), 1024);
	assert_int_equal(run(disk, DISK_READ, 512, 512, buf), 0);
	assert_int_equal(buf[487], 1);
	assert_int_equal(buf[488], 0);
	memset(buf, 3, sizeof buf);
	assert_int_equal(run(disk, DISK_WRITE, 512, 512, buf), 0);
	memset(buf, 0, sizeof buf);
	assert_int_equal(run(disk, DISK_READ, 512, 512, buf), 0);
	assert_int_equal(buf[511], 3);
	close_disk(disk);
	make_file(SIZE);
}

/* Many at once complete by the loop itself; what completes may submit again. */
static struct disk *chain_disk;
static struct disk_request chain[64];
static u8 chain_buf[64][512];
static unsigned chain_left;

static void chain_done(struct disk_request *r)
{
	assert_int_equal(r->error, 0);
	if (chain_left) {
		chain_left--;
		disk_submit(chain_disk, r);
		return;
	}
	if (++done_count == 64)
		loop_quit(loop, 0);
}

static void test_loop(void **state)
{
	(void)state;
	chain_disk = open_disk((struct disk_config){0});
	chain_left = 1000;
	done_count = 0;
	loop_lock(loop);
	for (unsigned i = 0; i < 64; i++) {
		chain[i] = request(i % 2 ? DISK_READ : DISK_WRITE, i * 512, 512, chain_buf[i]);
		chain[i].done = chain_done;
		disk_submit(chain_disk, &chain[i]);
	}
	loop_unlock(loop);
	assert_int_equal(loop_run(loop), 0);
	assert_int_equal(done_count, 64);
	assert_int_equal(chain_left, 0);
	/* and by closing, with everything in flight */
	chain_left = 100;
	done_count = 100;
	loop_lock(loop);
	for (unsigned i = 0; i < 64; i++)
		disk_submit(chain_disk, &chain[i]);
	disk_close(chain_disk);
	loop_unlock(loop);
	assert_int_equal(done_count, 164);
	assert_int_equal(chain_left, 0);
}

static unsigned changes, eject_requests;
static void changed(void *device)
{
	assert_ptr_equal(device, &changes);
	changes++;
}
static void eject_request(void *device)
{
	(void)device;
	eject_requests++;
}

static void test_drive(void **state)
{
	struct drive drive = {
		.id = "cd0", .media = DRIVE_CDROM, .changed = changed, .eject_request = eject_request, .device = &changes};
	struct drive fixed = {.id = "hd0"};
	struct disk_request r;
	u8 buf[512];
	struct err err;

	(void)state;
	changes = done_count = 0;
	loop_lock(loop);
	r = request(DISK_READ, 0, 512, buf);
	drive_submit(&drive, loop, &r);
	assert_non_null(r.opaque);
	loop_unlock(loop);
	loop_drain(loop);
	assert_int_equal(r.error, ENOMEDIUM);
	loop_lock(loop);
	assert_true(drive_insert(&drive, open_disk((struct disk_config){.try_read_only = true}), &err));
	assert_int_equal(changes, 1);
	r = request(DISK_READ, 512, 512, buf);
	drive_submit(&drive, loop, &r);
	drive.locked = true;
	assert_false(drive_eject(&drive, false, &err));
	assert_int_equal(eject_requests, 1);
	assert_true(drive_eject(&drive, true, &err)); /* the request completes on the way */
	assert_null(r.opaque);
	assert_int_equal(r.error, 0);
	assert_int_equal(buf[0], 1);
	assert_int_equal(changes, 2);
	assert_null(drive.disk);
	assert_int_equal(drive.reads, 2);
	assert_int_equal(drive.read_bytes, 1024);
	assert_false(drive_eject(&fixed, true, &err));
	assert_false(drive_insert(&fixed, NULL, &err));
	loop_unlock(loop);
}

static void expect_refusal(struct disk_config config, const char *why)
{
	struct err err = {0};

	config.file = config.file ? config.file : file;
	assert_null(disk_open(&config, loop, &err));
	if (!strstr(err.text, why))
		fail_msg("'%s' does not say '%s'", err.text, why);
}

static void test_refusals(void **state)
{
	struct disk *disk = open_disk((struct disk_config){0}), *reader;

	(void)state;
	expect_refusal((struct disk_config){0}, "by another program");
	expect_refusal((struct disk_config){.read_only = true}, "by another program");
	close_disk(disk);
	disk = open_disk((struct disk_config){.read_only = true});
	reader = open_disk((struct disk_config){.read_only = true});
	expect_refusal((struct disk_config){0}, "by another program");
	close_disk(reader);
	close_disk(disk);
	close_disk(open_disk((struct disk_config){0}));
	expect_refusal((struct disk_config){.file = "/tmp"}, "directory");
	expect_refusal((struct disk_config){.file = "/dev/null"}, "no plain file");
	expect_refusal((struct disk_config){.file = "/nowhere/x"}, "cannot open");
	expect_refusal((struct disk_config){.format = "vmdk"}, "are not supported");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_transfers), cmocka_unit_test(test_cache),    cmocka_unit_test(test_bounds),
		cmocka_unit_test(test_short_tail), cmocka_unit_test(test_loop),     cmocka_unit_test(test_drive),
		cmocka_unit_test(test_refusals),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
