/* SPDX-License-Identifier: MIT */
/* What to do with a file: see look.h. What it is says base/magic. */
#define _GNU_SOURCE
#include "frontend/look.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/magic.h"

static bool read_contents(const char *path, struct magic_file *contents, struct err *err)
{
	struct stat st;
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK), error; /* a pipe must not hold us up */

	if (fd < 0)
		return err_set(err, EXIT_FILE, "%s: %s", path, strerror(errno));
	if (fstat(fd, &st) || (!S_ISREG(st.st_mode) && !S_ISBLK(st.st_mode))) {
		close(fd);
		return err_set(err, EXIT_FILE, "%s: not a regular file or block device", path);
	}
	error = magic_read(fd, contents);
	close(fd);
	return !error || err_set(err, EXIT_FILE, "%s: %s", path, strerror(error));
}

bool look_at(const char *path, struct look *look, struct err *err)
{
	static const enum look_kind kinds[] = {
		[MAGIC_IMAGE] = LOOK_DISK, [MAGIC_KERNEL] = LOOK_KERNEL, [MAGIC_CDROM] = LOOK_CDROM,
		[MAGIC_FLOPPY] = LOOK_FLOPPY, [MAGIC_DISK] = LOOK_DISK,
	};
	struct magic_file *contents = err_alloc(sizeof *contents);
	bool good = read_contents(path, contents, err);
	const struct magic *magic = magic_of(contents);

	if (good && magic->instead)
		good = err_set(err, EXIT_FILE, "%s: this is a %s; %s", path, magic->name, magic->instead);
	else if (good && magic->kind == MAGIC_UNKNOWN)
		good = err_set(err, EXIT_FILE,
		               contents->size
		                   ? "%s: nothing that boots: not a disk, CD or floppy image, not a Linux, multiboot or PVH kernel"
		                   : "%s: the file is empty",
		               path);
	free(contents);
	if (good)
		*look = (struct look){kinds[magic->kind], magic->name};
	return good;
}
