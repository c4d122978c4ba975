/* SPDX-License-Identifier: MIT */
/* Files of the host, opened here or by somebody who may: see hostfile.h. */
#define _GNU_SOURCE
#include "base/hostfile.h"

#include <fcntl.h>
#include <stddef.h>
#include <sys/syscall.h>
#include <unistd.h>

static const struct hostfile_helper *_Atomic helper;

void hostfile_ask(const struct hostfile_helper *who)
{
	helper = who;
}

int hostfile_open(const char *path, int flags, unsigned mode)
{
	const struct hostfile_helper *h = helper;

	return h && h->open ? h->open(path, flags | O_CLOEXEC, mode) : open(path, flags | O_CLOEXEC, mode);
}

int hostfile_remove(const char *path)
{
	const struct hostfile_helper *h = helper;

	return h && h->remove ? h->remove(path) : unlink(path);
}

void hostfile_remove_at_end(const char *path)
{
	const struct hostfile_helper *h = helper;

	if (h && h->remove_at_end)
		h->remove_at_end(path);
}

int hostfile_stat(int fd, struct stat *st)
{
	return (int)syscall(SYS_fstat, fd, st); /* the kernel's struct is the library's on 64-bit hosts */
}
