/* SPDX-License-Identifier: MIT */
/* Files of the host that are opened, looked at or removed while the machine runs. Once the sandbox is closed this process can do
 * none of that itself, and asks its broker (frontend/broker.h); until then, and without a sandbox, these are the system's calls. */
#ifndef BASE_HOSTFILE_H
#define BASE_HOSTFILE_H

#include <stdbool.h>
#include <sys/stat.h>

/* First of all: descriptors 0 to 2 that the caller left closed lead to /dev/null. Else what is opened next would be taken for the
 * terminal, and get what is meant for it. False: they cannot; errno says why. */
bool hostfile_keep_standard(void);
/* path_open_existing(), or with O_CREAT path_open(); the descriptor is closed on exec. -1: errno says why, and path_error() what it
 * means. Any thread. */
int hostfile_open(const char *path, int flags, unsigned mode);
/* unlink() of what hostfile_remove_at_end() was told of, if it still is what it was then. 0, or -1 with errno. */
int hostfile_remove(const char *path);
/* Before the sandbox closes: this file or socket was made by us and is ours to remove, also if we die. */
void hostfile_remove_at_end(const char *path);
/* fstat() without a path in it: the C library's is a call that could look at any file's, so the sandbox refuses it. */
int hostfile_stat(int fd, struct stat *st);

/* Who does it instead; a NULL member: nobody does, this process does it itself. Each returns as its counterpart does. */
struct hostfile_helper {
	int (*open)(const char *path, int flags, unsigned mode);
	int (*remove)(const char *path);
	void (*remove_at_end)(const char *path);
};
void hostfile_ask(const struct hostfile_helper *helper);

#endif
