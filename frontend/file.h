/* SPDX-License-Identifier: MIT */
/* Files of the user's: those read whole before the machine exists (kernels, initial ramdisks, firmware), and those written. All
 * that the front end writes to by name is opened here. */
#ifndef FRONTEND_FILE_H
#define FRONTEND_FILE_H

#include <stdio.h>

#include "hw/board/board.h"

/* what: the option that names it, for the error. The data is the caller's, name stays the caller's path. */
bool file_read(const char *path, const char *what, struct board_file *file, struct err *err);
/* The same, and the file stays open to be read again, so that data need not be kept. */
bool file_read_again(const char *path, const char *what, struct board_file *file, struct err *err);

/* Made, or emptied. -1, NULL: err has a line. Names that others had a hand in are refused as path_open() does. */
int file_output(const char *path, const char *what, struct err *err);
FILE *file_output_stream(const char *path, const char *what, struct err *err);

/* A process id in a file, which is locked as long as the process lives: a second one is refused, what a crash left is not. Its end
 * is hostfile_remove(). */
bool file_pid(const char *path, struct err *err);

/* Bind a Unix socket to a name; only its owner may connect, whatever the umask says. A socket that nobody listens on any more is
 * replaced, anything else of that name is refused. path: shorter than sockaddr_un's. Its end is hostfile_remove(). */
bool file_bind(int fd, const char *path, const char *what, struct err *err);

#endif
