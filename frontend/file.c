/* SPDX-License-Identifier: MIT */
/* Files read whole: see file.h. */
#define _GNU_SOURCE
#include "frontend/file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#define FILE_MAX (2ull << 30)

static int read_open(const char *path, const char *what, struct board_file *file, struct err *err)
{
	struct stat st;
	int fd = open(path, O_RDONLY | O_CLOEXEC);

	if (fd < 0) {
		err_set(err, EXIT_FILE, "%s %s: %s", what, path, strerror(errno));
		return -1;
	}
	if (fstat(fd, &st) || !S_ISREG(st.st_mode) || (u64)st.st_size > FILE_MAX) {
		close(fd);
		err_set(err, EXIT_FILE, "%s %s: not a regular file of at most 2 GiB", what, path);
		return -1;
	}
	file->name = path;
	file->size = st.st_size;
	file->data = err_alloc(file->size + 1);
	for (size_t done = 0; done < file->size;) {
		ssize_t n = read(fd, file->data + done, file->size - done);
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0) {
			close(fd);
			err_set(err, EXIT_FILE, "%s %s: %s", what, path, n ? strerror(errno) : "became shorter while it was read");
			return -1;
		}
		done += n;
	}
	return fd;
}

bool file_read(const char *path, const char *what, struct board_file *file, struct err *err)
{
	int fd = read_open(path, what, file, err);

	if (fd >= 0)
		close(fd);
	return fd >= 0;
}

bool file_read_again(const char *path, const char *what, struct board_file *file, struct err *err)
{
	int fd = read_open(path, what, file, err);

	if (fd > 0)
		file->fd = fd;
	return fd >= 0;
}
