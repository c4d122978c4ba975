/* SPDX-License-Identifier: MIT */
/* Files read whole, and files written: see file.h. */
#define _GNU_SOURCE
#include "frontend/file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/hostfile.h"
#include "base/path.h"

#define FILE_MAX (2ull << 30)

static int read_open(const char *path, const char *what, struct board_file *file, struct err *err)
{
	struct stat st;
	int fd = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC); /* a FIFO is to be refused, not waited for */

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

/* ---- output ---- */

int file_output(const char *path, const char *what, struct err *err)
{
	int fd = hostfile_open(path, O_WRONLY | O_CREAT | O_TRUNC, 0666);

	if (fd < 0)
		err_set(err, EXIT_FILE, "%s%s%s: %s", what, *what ? " " : "", path, path_error(errno));
	return fd;
}

FILE *file_output_stream(const char *path, const char *what, struct err *err)
{
	int fd = file_output(path, what, err);
	FILE *f = fd >= 0 ? fdopen(fd, "w") : NULL;

	if (fd >= 0 && !f) {
		err_set(err, EXIT_FILE, "%s %s: %s", what, path, strerror(errno));
		close(fd);
	}
	return f;
}

/* ---- the process id ---- */

/* Nothing, or a number: what a run leaves that was killed. */
static bool is_pid(int fd)
{
	char text[64];
	ssize_t n = pread(fd, text, sizeof text, 0);

	for (ssize_t i = 0; i < n; i++)
		if (!strchr("0123456789 \n", text[i]) || !text[i])
			return false;
	return n >= 0 && n < (ssize_t)sizeof text;
}

/* Locked as long as it is open; -1: err has a line. */
static int open_pid(const char *path, struct stat *st, struct err *err)
{
	struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
	const char *why = NULL;
	int fd = path_open(path, O_RDWR | O_CREAT, 0644);

	if (fd < 0)
		why = path_error(errno);
	else if (hostfile_stat(fd, st) || !S_ISREG(st->st_mode))
		why = "it is no regular file";
	else if (!is_pid(fd))
		why = "there is a file with something else in it";
	else if (fcntl(fd, F_SETLK, &lock))
		why = "another process that runs has it";
	if (!why)
		return fd;
	err_set(err, EXIT_FILE, "-pidfile %s: %s", path, why);
	if (fd >= 0)
		close(fd);
	return -1;
}

bool file_pid(const char *path, struct err *err)
{
	struct stat ours, there;
	int fd;

	/* who had it before may have removed it before we had the lock */
	while ((fd = open_pid(path, &ours, err)) >= 0 &&
	       (stat(path, &there) || there.st_dev != ours.st_dev || there.st_ino != ours.st_ino))
		close(fd);
	if (fd < 0)
		return false;
	hostfile_remove_at_end(path);
	return (!ftruncate(fd, 0) && dprintf(fd, "%ld\n", (long)getpid()) > 0) ||
	       err_set(err, EXIT_FILE, "-pidfile %s: %s", path, strerror(errno));
}

/* ---- sockets ---- */

static bool is_deserted(const struct sockaddr_un *addr)
{
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	bool refused = fd >= 0 && connect(fd, (const struct sockaddr *)addr, sizeof *addr) && errno == ECONNREFUSED;

	if (fd >= 0)
		close(fd);
	return refused;
}

bool file_bind(int fd, const char *path, const char *what, struct err *err)
{
	struct sockaddr_un addr = {.sun_family = AF_UNIX};
	struct stat st;

	strcpy(addr.sun_path, path);
	if (!lstat(path, &st)) {
		if (!S_ISSOCK(st.st_mode))
			return err_set(err, EXIT_FILE, "%s unix:%s: there is something that is no socket", what, path);
		if (!is_deserted(&addr))
			return err_set(err, EXIT_FILE, "%s unix:%s: somebody listens there already", what, path);
		unlink(path);
	}
	/* Linux gives the name the mode of the socket, so that there is no moment in which it is open to others */
	if (fchmod(fd, 0600) || bind(fd, (struct sockaddr *)&addr, sizeof addr))
		return err_set(err, EXIT_HOST, "%s unix:%s: %s", what, path, strerror(errno));
	hostfile_remove_at_end(path);
	return true;
}
