/* SPDX-License-Identifier: MIT */
/* The host's file below an image: whole transfers, holes, and the locks that keep two writers apart.
 *
 * Locks are open-file-description locks (fcntl(2), F_OFD_SETLK) on single bytes that no one reads as data, the ones QEMU uses, so
 * that both programs see each other: byte 100 + n is held by whoever uses right n, byte 200 + n by whoever does not want others
 * to use it. All are read locks, taken first and tested afterwards: of two that race at least one is refused.
 * Rights: 0 read, 1 write, 3 resize. Nobody here shares writing; readers share with readers. */
#define _GNU_SOURCE /* F_OFD_SETLK, fallocate, O_TMPFILE, preadv */
#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/hostfile.h"
#include "base/path.h"
#include "hw/disk/image.h"

#define LOCK_USED 100
#define LOCK_UNSHARED 200
enum { RIGHT_READ, RIGHT_WRITE, RIGHT_RESIZE = 3, RIGHTS };

#define CHUNK (1u << 30) /* Linux moves no more than 2 GiB at once */
#define LIST 256         /* pieces at once; Linux takes 1,024 */

int image_file_read_pieces(int fd, u64 offset, struct pieces *to, size_t len)
{
	struct iovec v[LIST];

	while (len) {
		size_t bytes;
		unsigned count = pieces_list(to, MIN(len, (size_t)CHUNK), v, LIST, &bytes);
		ssize_t n = preadv(fd, v, (int)count, (off_t)offset);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return errno;
		if (n == 0) {
			pieces_zero(to, len);
			return 0;
		}
		pieces_skip(to, (size_t)n);
		offset += (u64)n;
		len -= (size_t)n;
	}
	return 0;
}

int image_file_write_pieces(int fd, u64 offset, struct pieces *from, size_t len)
{
	struct iovec v[LIST];

	while (len) {
		size_t bytes;
		unsigned count = pieces_list(from, MIN(len, (size_t)CHUNK), v, LIST, &bytes);
		ssize_t n = pwritev(fd, v, (int)count, (off_t)offset);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return n ? errno : EIO;
		pieces_skip(from, (size_t)n);
		offset += (u64)n;
		len -= (size_t)n;
	}
	return 0;
}

int image_file_read(int fd, u64 offset, void *buf, size_t len)
{
	const struct iovec v = {buf, len};

	return image_file_read_pieces(fd, offset, &(struct pieces){&v, 0}, len);
}

int image_file_write(int fd, u64 offset, const void *buf, size_t len)
{
	const struct iovec v = {(void *)buf, len};

	return image_file_write_pieces(fd, offset, &(struct pieces){&v, 0}, len);
}

static int write_zeros(int fd, u64 offset, u64 len)
{
	static const u8 zeros[65536];

	while (len) {
		size_t n = (size_t)MIN(len, (u64)sizeof zeros);
		int error = image_file_write(fd, offset, zeros, n);
		if (error)
			return error;
		offset += n;
		len -= n;
	}
	return 0;
}

static bool not_supported(int error)
{
	return error == EOPNOTSUPP || error == ENOSYS || error == EINVAL || error == ENODEV || error == EPERM || error == ENOTTY;
}

static int try_fallocate(int fd, int mode, u64 offset, u64 len)
{
	while (fallocate(fd, mode, (off_t)offset, (off_t)len) < 0)
		if (errno != EINTR)
			return errno;
	return 0;
}

int image_file_zero(int fd, u64 offset, u64 len)
{
	int error;

	if (!len)
		return 0;
	error = try_fallocate(fd, FALLOC_FL_ZERO_RANGE, offset, len);
	if (not_supported(error))
		error = write_zeros(fd, offset, len);
	return error;
}

int image_file_punch(int fd, u64 offset, u64 len)
{
	int error = len ? try_fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, offset, len) : 0;

	return not_supported(error) ? 0 : error;
}

int image_file_sync(int fd)
{
	while (fdatasync(fd) < 0) {
		if (errno == EINVAL || errno == EROFS) /* something that cannot be synchronised has nothing to lose */
			return 0;
		if (errno != EINTR)
			return errno;
	}
	return 0;
}

bool image_file_size(int fd, u64 *size, bool *device)
{
	struct stat st;

	if (hostfile_stat(fd, &st) < 0)
		return false;
	*device = S_ISBLK(st.st_mode);
	*size = (u64)st.st_size;
	return !*device || ioctl(fd, BLKGETSIZE64, size) == 0;
}

/* ---- locks ---- */
static int set_lock(int fd, int command, int type, int byte, struct flock *lock)
{
	*lock = (struct flock){.l_type = (short)type, .l_whence = SEEK_SET, .l_start = byte, .l_len = 1};
	return fcntl(fd, command, lock) < 0 ? errno : 0;
}

bool image_file_lock(int fd, bool write, const char *file, struct err *err)
{
	const bool used[RIGHTS] = {[RIGHT_READ] = true, [RIGHT_WRITE] = write, [RIGHT_RESIZE] = write};
	const bool unshared[RIGHTS] = {[RIGHT_WRITE] = true, [RIGHT_RESIZE] = true};
	struct flock lock;

	for (int i = 0; i < RIGHTS; i++) {
		int error = used[i] ? set_lock(fd, F_OFD_SETLK, F_RDLCK, LOCK_USED + i, &lock) : 0;
		if (!error && unshared[i])
			error = set_lock(fd, F_OFD_SETLK, F_RDLCK, LOCK_UNSHARED + i, &lock);
		if (error == EAGAIN || error == EACCES)
			return err_set(err, EXIT_FILE, "%s is locked by another program", file);
		if (error) /* a file system without locks */
			return true;
	}
	for (int i = 0; i < RIGHTS; i++)
		for (int side = 0; side < 2; side++) {
			if (!(side ? unshared[i] : used[i]))
				continue;
			if (set_lock(fd, F_OFD_GETLK, F_WRLCK, (side ? LOCK_USED : LOCK_UNSHARED) + i, &lock) == 0 &&
			    lock.l_type != F_UNLCK)
				return err_set(err, EXIT_FILE, side ? "%s is being written by another program"
				                                    : "%s is in use by another program, cannot write to it", file);
		}
	return true;
}

/* ---- opening ---- */
int image_file_open(const char *file, unsigned flags, bool *read_only, struct err *err)
{
	struct stat st;
	int fd = -1;

	*read_only = flags & IMAGE_READ_ONLY;
	if (!*read_only) {
		fd = hostfile_open(file, O_RDWR | O_NONBLOCK, 0);
		if (fd < 0 && flags & IMAGE_TRY_READ_ONLY && (errno == EACCES || errno == EROFS || errno == EPERM || errno == ETXTBSY))
			*read_only = true;
	}
	if (*read_only)
		fd = hostfile_open(file, O_RDONLY | O_NONBLOCK, 0); /* a FIFO must not hold us up */
	if (fd < 0) {
		err_set(err, EXIT_FILE, "cannot open %s%s: %s", file, *read_only ? "" : " for writing", path_error(errno));
		return -1;
	}
	if (hostfile_stat(fd, &st) < 0 || !(S_ISREG(st.st_mode) || S_ISBLK(st.st_mode))) {
		err_set(err, EXIT_FILE, "%s is %s, not a disk image", file, S_ISDIR(st.st_mode) ? "a directory" : "no plain file");
		close(fd);
		return -1;
	}
	if (!(flags & IMAGE_NO_LOCK) && !image_file_lock(fd, !*read_only, file, err)) {
		close(fd);
		return -1;
	}
	return fd;
}

int image_file_create(const char *file, struct err *err)
{
	int fd = hostfile_open(file, O_RDWR | O_CREAT | O_NONBLOCK, 0644);
	struct stat st;

	if (fd < 0) {
		err_set(err, EXIT_FILE, "cannot create %s: %s", file, path_error(errno));
		return -1;
	}
	if (!image_file_lock(fd, true, file, err)) {
		close(fd);
		return -1;
	}
	if (hostfile_stat(fd, &st) < 0 || (S_ISREG(st.st_mode) && ftruncate(fd, 0) < 0)) {
		err_set(err, EXIT_FILE, "cannot create %s: %s", file, strerror(errno));
		close(fd);
		return -1;
	}
	return fd;
}

void image_file_remove(const char *file, int fd)
{
	struct stat open, named;

	if (fstat(fd, &open) == 0 && lstat(file, &named) == 0 && S_ISREG(named.st_mode) && open.st_dev == named.st_dev &&
	    open.st_ino == named.st_ino)
		unlink(file);
}

int image_file_temporary(struct err *err)
{
	const char *dir = getenv("TMPDIR");
	char name[4096];
	int fd;

	if (!dir || !*dir)
		dir = "/var/tmp"; /* /tmp is memory on many hosts */
	fd = open(dir, O_TMPFILE | O_RDWR | O_CLOEXEC | O_EXCL, 0600);
	if (fd >= 0)
		return fd;
	if (snprintf(name, sizeof name, "%s/paisano-" "XX" "XX" "XX", dir) < (int)sizeof name)
		fd = mkostemp(name, O_CLOEXEC);
	if (fd >= 0) {
		unlink(name);
		return fd;
	}
	err_set(err, EXIT_FILE, "cannot create a temporary file in %s: %s", dir, strerror(errno));
	return -1;
}
