/* SPDX-License-Identifier: MIT */
/* The host loses power: of what was written since the last fdatasync any sectors may have reached the medium, in any order. At no
 * moment may that leave an image whose counts are too low, or lose what a flush had acknowledged.
 * The linker puts our functions in the place of pwritev, fallocate and fdatasync (CMakeLists.txt). */
#define _GNU_SOURCE /* fallocate */
#include "tests/disk/images.h"

#define SECTOR 512u
#define SLOTS 6000u
#define ROOM (12u << 20)

ssize_t __real_pwritev(int fd, const struct iovec *v, int count, off_t offset);
ssize_t __wrap_pwritev(int fd, const struct iovec *v, int count, off_t offset);
int __real_fallocate(int fd, int mode, off_t offset, off_t len);
int __wrap_fallocate(int fd, int mode, off_t offset, off_t len);
int __wrap_fdatasync(int fd);

/* ---- the medium ---- */
struct pending {
	u64 offset;
	u8 data[SECTOR];
};
static int watched = -1;
static u8 *medium; /* what is on it for certain */
static u64 medium_end;
static struct pending *pending;
static size_t pending_count, pending_room;

static void add_pending(u64 offset, const u8 *data)
{
	if (pending_count == pending_room) {
		pending_room = pending_room * 2 + 64;
		pending = realloc(pending, pending_room * sizeof *pending);
	}
	pending[pending_count].offset = offset;
	memcpy(pending[pending_count++].data, data, SECTOR);
}

/* Whole sectors, as the file has them now. */
static void changed(int fd, u64 offset, u64 len)
{
	u8 sector[SECTOR];

	assert_true(offset + len <= ROOM);
	for (u64 at = offset & ~(u64)(SECTOR - 1); at < offset + len; at += SECTOR) {
		memset(sector, 0, sizeof sector);
		assert_true(pread(fd, sector, SECTOR, (off_t)at) >= 0);
		add_pending(at, sector);
	}
}

ssize_t __wrap_pwritev(int fd, const struct iovec *v, int count, off_t offset)
{
	ssize_t n = __real_pwritev(fd, v, count, offset);

	if (fd == watched && n > 0)
		changed(fd, (u64)offset, (u64)n);
	return n;
}

int __wrap_fallocate(int fd, int mode, off_t offset, off_t len)
{
	int result = __real_fallocate(fd, mode, offset, len);

	if (fd == watched && result == 0)
		changed(fd, (u64)offset, (u64)len);
	return result;
}

static void apply(u8 *to, u64 *end, const struct pending *p)
{
	memcpy(to + p->offset, p->data, SECTOR);
	*end = MAX(*end, p->offset + SECTOR);
}

int __wrap_fdatasync(int fd)
{
	if (fd == watched) {
		for (size_t i = 0; i < pending_count; i++)
			apply(medium, &medium_end, &pending[i]);
		pending_count = 0;
	}
	return 0;
}

/* What a reader finds after the loss: each pending sector is there or not; of one sector's versions the last one counts. */
static void lose_power(u64 *random)
{
	static u8 after[ROOM];
	u64 end = medium_end, odds = unit_random(random) % 7 + 1;
	FILE *f = fopen("lost", "w");

	memcpy(after, medium, ROOM);
	for (size_t i = 0; i < pending_count; i++)
		if (unit_random(random) % 8 < odds)
			apply(after, &end, &pending[i]);
	assert_int_equal(fwrite(after, 1, end, f), end);
	fclose(f);
}

/* ---- what may be read ---- */
static u64 flushed_value[SLOTS], now_value[SLOTS], since[SLOTS]; /* since: the first write after the flush, 0: none */

static void check_lost(u64 number, bool *zeroed)
{
	struct image_check check = {0}; /* leaks are to be expected */
	struct image *image = images_open("lost", IMAGE_READ_ONLY);
	static u64 words[SECTOR / 8];
	struct err err;

	assert_true(image->driver->check(image, &check, &err));
	assert_int_equal(check.corruptions, 0);
	assert_int_equal(check.errors, 0);
	for (u32 slot = 0; slot < SLOTS; slot++) {
		u64 v;
		assert_int_equal(image_read(image, slot * SECTOR, words, SECTOR), 0);
		v = words[0];
		if (v != flushed_value[slot] && !(since[slot] && v >= since[slot] && v <= number) && !(!v && zeroed[slot]))
			fail_msg("slot %u holds %llu; %llu was flushed", slot, (unsigned long long)v, (unsigned long long)flushed_value[slot]);
	}
	image_close(image);
}

static void run(struct image_create create, u64 seed)
{
	static bool zeroed[SLOTS];
	static u8 buf[64 * SECTOR];
	u64 random = seed * 77 + 5;
	struct image *image;

	create.file = "powered";
	create.size = SLOTS * SECTOR;
	images_create(create);
	memset(medium, 0, ROOM);
	memset(flushed_value, 0, sizeof flushed_value);
	memset(now_value, 0, sizeof now_value);
	memset(since, 0, sizeof since);
	memset(zeroed, 0, sizeof zeroed);
	image = images_open("powered", 0);
	medium_end = image->host_size;
	assert_int_equal(pread(image->fd, medium, ROOM, 0), medium_end);
	pending_count = 0;
	watched = image->fd;
	for (u64 n = 1; n < 400; n++) {
		u64 slot = unit_random(&random) % SLOTS, count = unit_random(&random) % 64 + 1, kind = unit_random(&random) % 8;
		count = MIN(count, SLOTS - slot);
		for (u64 i = 0; i < count * SECTOR; i += 8)
			store64(buf + i, n);
		for (u64 i = slot; i < slot + count; i++) {
			if (kind < 2)
				zeroed[i] = true;
			else if (!since[i])
				since[i] = n;
			now_value[i] = kind < 2 ? 0 : n;
		}
		if (kind == 0)
			assert_int_equal(image_zero(image, slot * SECTOR, count * SECTOR), 0);
		else if (kind == 1)
			assert_int_equal(image_discard(image, slot * SECTOR, count * SECTOR), 0);
		else
			assert_int_equal(image_write(image, slot * SECTOR, buf, count * SECTOR), 0);
		if (kind == 1) /* a discard may do nothing */
			for (u64 i = slot; i < slot + count; i++) {
				u64 v;
				assert_int_equal(image_read(image, i * SECTOR, &v, 8), 0);
				now_value[i] = v;
			}
		if (unit_random(&random) % 12 == 0) {
			assert_int_equal(image_flush(image), 0);
			memcpy(flushed_value, now_value, sizeof flushed_value);
			memset(since, 0, sizeof since);
			memset(zeroed, 0, sizeof zeroed);
		}
		if (unit_random(&random) % 6 == 0) {
			lose_power(&random);
			check_lost(n, zeroed);
		}
	}
	image_close(image);
	watched = -1;
}

static void test_power(void **state)
{
	static const struct image_create configs[] = {
		{.cluster_size = 65536},
		{.cluster_size = 512},
		{.cluster_size = 512, .refcount_bits = 64},
		{.cluster_size = 1024, .version = 2},
		{.cluster_size = 4096, .refcount_bits = 1},
	};

	(void)state;
	medium = calloc(1, ROOM);
	for (size_t i = 0; i < ARRAY_LEN(configs); i++)
		for (u64 seed = 1; seed <= 2; seed++)
			run(configs[i], seed * 10 + i);
	free(medium);
	free(pending);
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(test_power)};

	return cmocka_run_group_tests(tests, images_setup, images_teardown);
}
