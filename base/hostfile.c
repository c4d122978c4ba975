/* SPDX-License-Identifier: MIT */
/* Files of the host, opened here or by somebody who may: see hostfile.h. */
#define _GNU_SOURCE
#include "base/hostfile.h"

#include <errno.h>
#include <fcntl.h>
#include <stddef.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/err.h"
#include "base/path.h"

static const struct hostfile_helper *_Atomic helper;

/* What is ours to remove; it lasts as long as the process. */
static struct made {
	struct made *next;
	char *path;
	dev_t device;
	ino_t inode;
} *made;

bool hostfile_keep_standard(void)
{
	int fd;

	do
		fd = open("/dev/null", O_RDWR);
	while (fd >= 0 && fd <= STDERR_FILENO);
	if (fd >= 0)
		close(fd);
	return fd >= 0;
}

void hostfile_ask(const struct hostfile_helper *who)
{
	helper = who;
}

int hostfile_open(const char *path, int flags, unsigned mode)
{
	const struct hostfile_helper *h = helper;

	if (h && h->open)
		return h->open(path, flags | O_CLOEXEC, mode);
	return flags & O_CREAT ? path_open(path, flags, mode) : path_open_existing(path, flags);
}

int hostfile_remove(const char *path)
{
	const struct hostfile_helper *h = helper;

	if (h && h->remove)
		return h->remove(path);
	for (const struct made *m = made; m; m = m->next) {
		struct stat st;

		if (!strcmp(m->path, path) && !lstat(path, &st) && st.st_dev == m->device && st.st_ino == m->inode)
			return unlink(path);
	}
	errno = ENOENT;
	return -1;
}

void hostfile_remove_at_end(const char *path)
{
	const struct hostfile_helper *h = helper;
	struct stat st;

	if (!lstat(path, &st)) {
		struct made *m = err_alloc(sizeof *m);
		*m = (struct made){made, err_strdup(path), st.st_dev, st.st_ino};
		made = m;
	}
	if (h && h->remove_at_end)
		h->remove_at_end(path);
}

int hostfile_stat(int fd, struct stat *st)
{
	return (int)syscall(SYS_fstat, fd, st); /* the kernel's struct is the library's on 64-bit hosts */
}
