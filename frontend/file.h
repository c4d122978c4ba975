/* SPDX-License-Identifier: MIT */
/* Files read whole before the machine exists: kernels, initial ramdisks, firmware. */
#ifndef FRONTEND_FILE_H
#define FRONTEND_FILE_H

#include "hw/board/board.h"

/* what: the option that names it, for the error. The data is the caller's, name stays the caller's path. */
bool file_read(const char *path, const char *what, struct board_file *file, struct err *err);
/* The same, and the file stays open to be read again, so that data need not be kept. */
bool file_read_again(const char *path, const char *what, struct board_file *file, struct err *err);

#endif
