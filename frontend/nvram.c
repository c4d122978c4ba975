/* SPDX-License-Identifier: MIT */
/* Flash contents that are kept in a file. The chip says under the machine lock which bytes changed; they are copied, and a worker
 * writes them and waits until they are on the disk, one job at a time, so that the file follows the order of the changes.
 * Invariant: first < last iff there is something that no job has taken yet. */
#define _GNU_SOURCE
#include "frontend/nvram.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/file.h>
#include <unistd.h>

#include "base/path.h"

struct nvram {
	struct loop *loop;
	char *path;
	int fd;
	u8 *copy;        /* of the whole chip, as it is now */
	u64 first, last; /* what of it is newer than the file */
	bool busy;
	struct {
		u8 *data;
		u64 at, len;
		int error;
	} job;
};

static int write_all(int fd, const u8 *data, u64 len, u64 at)
{
	while (len) {
		ssize_t n = pwrite(fd, data, len, at);
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return n ? errno : EIO;
		data += n;
		at += n;
		len -= n;
	}
	return fdatasync(fd) ? errno : 0;
}

static void take_job(struct nvram *n)
{
	n->job.at = n->first;
	n->job.len = n->last - n->first;
	memcpy(n->job.data, n->copy + n->first, n->job.len);
	n->first = n->last = 0;
}

static void work(void *opaque)
{
	struct nvram *n = opaque;

	n->job.error = write_all(n->fd, n->job.data, n->job.len, n->job.at);
}

static void start(struct nvram *n);
static void done(void *opaque)
{
	struct nvram *n = opaque;

	n->busy = false;
	if (n->job.error)
		err_note("%s: firmware variables were not written: %s", n->path, strerror(n->job.error));
	start(n);
}

static void start(struct nvram *n)
{
	if (n->busy || n->first == n->last)
		return;
	n->busy = true;
	take_job(n);
	loop_work(n->loop, work, done, n);
}

static void changed(void *opaque, const u8 *data, u64 offset, u64 len)
{
	struct nvram *n = opaque;

	memcpy(n->copy + offset, data, len);
	n->first = n->first == n->last ? offset : MIN(n->first, offset);
	n->last = MAX(n->last, offset + len);
	start(n);
}

struct nvram *nvram_open(const char *path, struct board_flash *chip, struct loop *loop, struct err *err)
{
	struct nvram *n;
	int fd = path_open(path, O_RDWR, 0);

	if (fd < 0) {
		err_set(err, EXIT_FILE, "firmware variables %s: %s", path, path_error(errno));
		return NULL;
	}
	if (flock(fd, LOCK_EX | LOCK_NB)) {
		err_set(err, EXIT_FILE, "firmware variables %s: in use by another process", path);
		close(fd);
		return NULL;
	}
	n = err_alloc(sizeof *n);
	*n = (struct nvram){.loop = loop, .fd = fd, .path = err_strdup(path)};
	n->copy = err_alloc(chip->file.size);
	n->job.data = err_alloc(chip->file.size);
	memcpy(n->copy, chip->file.data, chip->file.size);
	chip->changed = changed;
	chip->opaque = n;
	return n;
}

void nvram_close(struct nvram *n)
{
	if (!n)
		return;
	loop_drain(n->loop);
	if (n->first != n->last) {
		take_job(n);
		work(n);
		done(n);
	}
	close(n->fd);
	free(n->job.data);
	free(n->copy);
	free(n->path);
	free(n);
}
