/* SPDX-License-Identifier: MIT */
/* Raw images and block devices: byte n of the disk is byte n of the file. Sparse where the host can.
 *
 * A file that does not end with a sector gets one: the disk's size is rounded up to 512 bytes, the tail reads as zeros, and
 * writing it makes the file longer. */
#define _GNU_SOURCE /* SEEK_DATA, fallocate */
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/hostfile.h"
#include "hw/disk/image.h"

#define SECTOR 512u

static bool raw_open(struct image *image, unsigned flags, struct err *err)
{
	(void)flags;
	if (image->host_size > (u64)INT64_MAX - SECTOR)
		return err_set(err, EXIT_FILE, "%s is too large", image->file);
	image->size = (image->host_size + SECTOR - 1) / SECTOR * SECTOR;
	return true;
}

static void raw_close(struct image *image)
{
	(void)image;
}

static int raw_read(struct image *image, u64 offset, struct pieces *to, size_t len)
{
	return image_file_read_pieces(image->fd, offset, to, len);
}

static int raw_write(struct image *image, u64 offset, struct pieces *from, size_t len)
{
	return image_file_write_pieces(image->fd, offset, from, len);
}

static int raw_zero(struct image *image, u64 offset, u64 len)
{
	return image_file_zero(image->fd, offset, len);
}

static int raw_discard(struct image *image, u64 offset, u64 len)
{
	return image_file_punch(image->fd, offset, len);
}

static int raw_flush(struct image *image)
{
	return image_file_sync(image->fd);
}

static int raw_map(struct image *image, u64 offset, u64 len, struct image_extent *extent)
{
	off_t at = (off_t)offset, data = lseek(image->fd, at, SEEK_DATA), hole;

	*extent = (struct image_extent){.len = len, .allocated = true, .host = offset};
	if (image->device || (data < 0 && errno != ENXIO))
		return 0;
	if (data < 0 || data > at) { /* ENXIO: no data up to the end */
		extent->zero = true;
		if (data > at)
			extent->len = MIN(len, (u64)(data - at));
		return 0;
	}
	hole = lseek(image->fd, at, SEEK_HOLE);
	if (hole > at)
		extent->len = MIN(len, (u64)(hole - at));
	return 0;
}

static bool raw_resize(struct image *image, u64 size, struct err *err)
{
	if (image->device)
		return err_set(err, EXIT_FILE, "%s is a device and has the size it has", image->file);
	if (size > (u64)INT64_MAX || ftruncate(image->fd, (off_t)size) < 0)
		return err_set(err, EXIT_FILE, "cannot resize %s: %s", image->file, strerror(size > (u64)INT64_MAX ? EFBIG : errno));
	image->host_size = size;
	image->size = (size + SECTOR - 1) / SECTOR * SECTOR;
	return true;
}

static void raw_info(struct image *image, struct image_info *info)
{
	(void)image, (void)info;
}

static bool raw_create(const struct image_create *options, int fd, struct err *err)
{
	struct stat st;
	int error = 0;

	if (hostfile_stat(fd, &st) < 0)
		return err_set(err, EXIT_FILE, "cannot create %s: %s", options->file, strerror(errno));
	if (S_ISBLK(st.st_mode))
		return true;
	if (options->size > (u64)INT64_MAX)
		error = EFBIG;
	else if (ftruncate(fd, (off_t)options->size) < 0)
		error = errno;
	else if (options->size && options->preallocation == IMAGE_PREALLOC_FALLOC)
		error = posix_fallocate(fd, 0, (off_t)options->size);
	else if (options->preallocation == IMAGE_PREALLOC_FULL) {
		static const u8 zeros[65536];
		for (u64 at = 0; at < options->size && !error; at += sizeof zeros)
			error = image_file_write(fd, at, zeros, (size_t)MIN(options->size - at, (u64)sizeof zeros));
	}
	return !error || err_set(err, EXIT_FILE, "cannot create %s: %s", options->file, strerror(error));
}

const struct image_driver image_raw = {
	.name = "raw",
	.struct_size = sizeof(struct image),
	.open = raw_open,
	.create = raw_create,
	.close = raw_close,
	.read = raw_read,
	.write = raw_write,
	.zero = raw_zero,
	.discard = raw_discard,
	.flush = raw_flush,
	.map = raw_map,
	.resize = raw_resize,
	.info = raw_info,
};
