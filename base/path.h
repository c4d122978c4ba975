/* SPDX-License-Identifier: MIT */
/* Opening files to write to, by names that others may have had a hand in. */
#ifndef BASE_PATH_H
#define BASE_PATH_H

#include <errno.h>
#include <sys/types.h>

/* As open(2), for writing, close-on-exec. In a folder that everybody may write, such as /tmp, somebody else can have put a link, a
 * FIFO or a file of his own under the name that we are about to write to. So there, links are followed only if they are ours,
 * root's or the folder's owner's (what Linux itself does where fs.protected_symlinks is set), and what is written to must be
 * ours or root's. Links elsewhere are followed as ever, and O_EXCL and O_NOFOLLOW mean what they mean. O_TRUNC takes nothing away
 * before that was looked at, and nothing that nobody means to overwrite, wherever it is: disk images, kernels, and what a program
 * has locked. -1: errno, which is PATH_FOREIGN or PATH_PRECIOUS for what these rules refuse; path_error() is strerror(), and knows
 * these as well. */
#define PATH_FOREIGN ENOTUNIQ     /* no file system has it, */
#define PATH_PRECIOUS EMEDIUMTYPE /* nor this */
int path_open(const char *path, int flags, mode_t mode);
/* The same for a file that has to be there, such as an image: links are judged alike, for reading too, but the file itself may be
 * anybody's: the user has named it, and what it contains is not overwritten unseen. */
int path_open_existing(const char *path, int flags);
const char *path_error(int error);

#endif
