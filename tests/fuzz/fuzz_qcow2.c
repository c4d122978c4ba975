/* SPDX-License-Identifier: MIT */
/* Fuzzer: arbitrary bytes as a qcow2 image, opened, read, written, checked and repaired. Nothing in a file may crash us, make us
 * run for ever or take memory without bound; what repair calls sound must be so.
 * The input: one byte that says what to do, then the file; clusters are small in most seeds, so that all tables fit. Inputs that
 * lack a header get one, so that the fuzzer starts behind the front door. */
#define _GNU_SOURCE /* memfd_create */
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "hw/disk/image.h"

#define REGION 32768u
#define FILE_SIZE 16384u

static char path[64];
static int fd;

static void set_up(void)
{
	fd = memfd_create("qcow2", 0);
	if (fd < 0)
		abort();
	snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
}

static void put32(u8 *p, u32 v)
{
	store32(p, __builtin_bswap32(v));
}
static void put64(u8 *p, u64 v)
{
	store64(p, __builtin_bswap64(v));
}

/* A sound frame of 512-byte clusters: header, refcount table, refcount block, L1, L2, L2. */
static void frame(u8 *file, u8 how)
{
	put32(file, 0x514649fb);
	put32(file + 4, how & 1 ? 2 : 3);
	put32(file + 20, 9);
	put64(file + 24, REGION * 2);
	put32(file + 36, 2);
	put64(file + 40, 3 * 512);
	put64(file + 48, 512);
	put32(file + 56, 1);
	put64(file + 72, how & 2 ? 1 : 0);
	put32(file + 96, how & 4 ? how >> 5 : 4);
	put32(file + 100, 112);
	put64(file + 512, 1024);
	put64(file + 3 * 512, BIT(63) | 4 * 512);
	put64(file + 3 * 512 + 8, BIT(63) | 5 * 512);
}

/* Opened, and as if all had been said about it already. */
static struct image *open_quietly(unsigned flags)
{
	struct image *image = image_open(path, "qcow2", flags | IMAGE_NO_BACKING, NULL);

	if (image)
		memset(image->reported, true, sizeof image->reported);
	return image;
}

static void use(unsigned flags, const u8 *script, size_t size)
{
	static u8 buf[REGION];
	struct image *image = open_quietly(flags);
	struct image_extent extent;

	if (!image)
		return;
	for (u64 at = 0; at < MIN(image->size, (u64)REGION * 4); at += REGION)
		image_read(image, at, buf, MIN(image->size - at, (u64)REGION));
	for (size_t i = 0; i + 4 <= size && i < 256; i += 4) {
		u64 offset = image->size ? load16(script + i) * 61ull % image->size : 0;
		u64 len = MIN(image->size - offset, (u64)script[i + 2] * 33);
		switch (script[i + 3] % 6) {
		case 0:
			image_read(image, offset, buf, len);
			break;
		case 1:
			image_zero(image, offset, len);
			break;
		case 2:
			image_discard(image, offset, len);
			break;
		case 3:
			image_flush(image);
			break;
		case 4:
			image_map(image, offset, len, &extent);
			break;
		default:
			image_write(image, offset, buf, len);
		}
	}
	if (!image->read_only && size && script[0] % 8 == 0)
		image_resize(image, MIN(image->size, (u64)REGION * 8) + script[0] * 512, NULL);
	image_close(image);
}

static void check(bool fix)
{
	struct image_check first = {.fix_all = fix, .fix_leaks = fix}, second = {0};
	struct image *image = open_quietly(IMAGE_INSPECT | (fix ? 0 : IMAGE_READ_ONLY));

	if (!image)
		return;
	if (image->driver->check(image, &first, NULL) && fix && !first.errors && first.corruptions == first.corruptions_fixed &&
	    image->driver->check(image, &second, NULL) && (second.corruptions || second.leaks))
		abort();
	image_close(image);
}

int LLVMFuzzerTestOneInput(const u8 *data, size_t size);
int LLVMFuzzerTestOneInput(const u8 *data, size_t size)
{
	static u8 file[FILE_SIZE];
	u8 how;

	if (size < 8)
		return 0;
	if (!fd)
		set_up();
	how = *data++;
	size--;
	memset(file, 0, sizeof file);
	memcpy(file, data, MIN(size, sizeof file));
	if (how & 128)
		frame(file, how);
	if (ftruncate(fd, 0) || ftruncate(fd, how & 128 ? FILE_SIZE : (off_t)MIN(size, sizeof file)) ||
	    pwrite(fd, file, MIN(MAX(size, how & 128 ? 4096 : 0), sizeof file), 0) < 0)
		abort();
	use(IMAGE_READ_ONLY, data, size);
	if (how & 8)
		check(how & 16);
	use(0, data, size);
	check(true);
	return 0;
}
