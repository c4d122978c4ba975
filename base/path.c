/* SPDX-License-Identifier: MIT */
/* Files under names that others may have had a hand in: see path.h. The path is walked by hand, one component after the other, so
 * that every link on the way is looked at. A component is held by a descriptor (O_PATH) while it is looked at and opened through
 * that, so that nobody can exchange it in between. */
#define _GNU_SOURCE
#include "base/path.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/magic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "base/err.h"
#include "base/magic.h"
#include "base/types.h"

#define LINKS 40 /* as the kernel */
#define TRIES 8  /* while others create and remove the file */

struct walk {
	int folder;              /* of the component that is looked at */
	int found;               /* the last component; -1: there is no such file yet */
	char name[NAME_MAX + 1]; /* the last component's */
	char rest[PATH_MAX];     /* what is still to be walked */
	unsigned links;
	bool any_owner;          /* of the file; links are looked at all the same */
};

static bool fail(int error)
{
	errno = error;
	return false;
}

const char *path_error(int error)
{
	switch (error) {
	case PATH_FOREIGN:
		return "somebody else's link or file is there, in a folder that everybody may write";
	case PATH_PRECIOUS:
		return "a disk image, a kernel or a file in use is there, and is not overwritten";
	}
	return strerror(error);
}

static bool is_trusted(const struct stat *st)
{
	return st->st_uid == geteuid() || st->st_uid == 0;
}

/* Cut the next component off. False: there is none. */
static bool next_name(struct walk *w)
{
	char *from = w->rest + strspn(w->rest, "/");
	size_t len = strcspn(from, "/");

	if (!len || len > NAME_MAX)
		return fail(len ? ENAMETOOLONG : EISDIR);
	memcpy(w->name, from, len);
	w->name[len] = 0;
	memmove(w->rest, from + len, strlen(from + len) + 1);
	return true;
}

static bool enter(struct walk *w, int folder)
{
	if (folder < 0)
		return false;
	if (w->folder >= 0)
		close(w->folder);
	w->folder = folder;
	return true;
}

static bool start_at(struct walk *w, const char *path)
{
	return enter(w, open(*path == '/' ? "/" : ".", O_PATH | O_DIRECTORY | O_CLOEXEC));
}

/* Put the link's target before what is still to be walked. */
static bool follow(struct walk *w, int link, const struct stat *st)
{
	char target[PATH_MAX];
	struct stat folder;
	ssize_t len;

	if (fstat(w->folder, &folder))
		return false;
	if (folder.st_mode & S_IWOTH && !is_trusted(st) && st->st_uid != folder.st_uid)
		return fail(PATH_FOREIGN);
	if (++w->links > LINKS)
		return fail(ELOOP);
	len = readlinkat(link, "", target, sizeof target);
	if (len < 0)
		return false;
	if ((size_t)len + strlen(w->rest) >= sizeof w->rest)
		return fail(ENAMETOOLONG);
	memmove(w->rest + len, w->rest, strlen(w->rest) + 1);
	memcpy(w->rest, target, (size_t)len);
	return *target != '/' || start_at(w, target);
}

/* The links of /proc (/dev/stdout is one) lead to files, not to names. */
static bool is_magic(int fd)
{
	struct statfs fs;

	return !fstatfs(fd, &fs) && fs.f_type == PROC_SUPER_MAGIC;
}

static bool walk(struct walk *w, bool follow_last)
{
	while (next_name(w)) {
		bool last = !*w->rest;
		int fd = openat(w->folder, w->name, O_PATH | O_NOFOLLOW | O_CLOEXEC);
		struct stat st;

		if (fd < 0)
			return last && errno == ENOENT;
		if (fstat(fd, &st)) {
			close(fd);
			return false;
		}
		if (S_ISLNK(st.st_mode) && is_magic(fd) && (!last || follow_last)) {
			close(fd);
			fd = openat(w->folder, w->name, O_PATH | O_CLOEXEC);
			if (fd < 0)
				return false;
		} else if (S_ISLNK(st.st_mode)) {
			bool ok = !last || follow_last ? follow(w, fd, &st) : fail(ELOOP);
			close(fd);
			if (!ok)
				return false;
			continue;
		}
		if (last) {
			w->found = fd;
			return true;
		}
		enter(w, fd);
	}
	return false;
}

static bool may_write(struct walk *w, struct stat *st)
{
	struct stat folder;

	if (fstat(w->folder, &folder) || fstat(w->found, st))
		return false;
	if (folder.st_mode & S_IWOTH && !is_trusted(st))
		return fail(PATH_FOREIGN);
	return true;
}

/* What is started from, or has a lock: disks that are in use do. */
static bool is_precious(const char *name)
{
	struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
	struct magic_file *contents = err_alloc(sizeof *contents);
	int fd = open(name, O_RDONLY | O_NONBLOCK | O_CLOEXEC | O_NOCTTY);
	bool precious = fd >= 0 && !fcntl(fd, F_OFD_GETLK, &lock) && lock.l_type != F_UNLCK;

	if (fd >= 0 && !precious && !magic_read(fd, contents)) {
		enum magic_kind kind = magic_of(contents)->kind;
		precious = kind != MAGIC_UNKNOWN && kind != MAGIC_PACKED;
	}
	if (fd >= 0)
		close(fd);
	free(contents);
	return precious;
}

static int open_found(struct walk *w, int flags)
{
	char name[40];
	struct stat st;
	int fd;

	if (flags & O_EXCL) {
		errno = EEXIST;
		return -1;
	}
	if (w->any_owner ? fstat(w->found, &st) : !may_write(w, &st))
		return -1;
	snprintf(name, sizeof name, "/proc/self/fd/%d", w->found);
	if (flags & O_TRUNC && S_ISREG(st.st_mode) && is_precious(name)) {
		errno = PATH_PRECIOUS;
		return -1;
	}
	fd = open(name, (flags & ~(O_CREAT | O_TRUNC | O_NOFOLLOW)) | O_CLOEXEC | O_NOCTTY);
	if (fd >= 0 && flags & O_TRUNC && S_ISREG(st.st_mode) && ftruncate(fd, 0)) {
		int error = errno;
		close(fd);
		errno = error;
		return -1;
	}
	return fd;
}

static int open_once(struct walk *w, const char *path, int flags, mode_t mode)
{
	int fd = -1;

	if (strlen(path) >= sizeof w->rest) {
		errno = ENAMETOOLONG;
		return -1;
	}
	strcpy(w->rest, path);
	if (!*path)
		errno = ENOENT;
	else if (start_at(w, path) && walk(w, !(flags & (O_NOFOLLOW | O_EXCL)))) {
		if (w->found >= 0) {
			fd = open_found(w, flags);
		} else {
			errno = ENOENT;
			if (flags & O_CREAT)
				fd = openat(w->folder, w->name, (flags & ~O_TRUNC) | O_EXCL | O_NOFOLLOW | O_CLOEXEC, mode);
		}
	}
	return fd;
}

int path_open_existing(const char *path, int flags)
{
	struct walk w = {.folder = -1, .found = -1, .any_owner = true};
	int fd = open_once(&w, path, flags & ~O_CREAT, 0), error = errno;

	if (w.folder >= 0)
		close(w.folder);
	if (w.found >= 0)
		close(w.found);
	errno = error;
	return fd;
}

int path_open(const char *path, int flags, mode_t mode)
{
	for (unsigned tries = TRIES;; tries--) {
		struct walk w = {.folder = -1, .found = -1};
		int fd = open_once(&w, path, flags, mode), error = errno;

		if (w.folder >= 0)
			close(w.folder);
		if (w.found >= 0)
			close(w.found);
		/* somebody was faster than we: what he made is looked at as anything else */
		if (fd >= 0 || tries == 1 || error != EEXIST || flags & O_EXCL) {
			errno = error;
			return fd;
		}
	}
}
