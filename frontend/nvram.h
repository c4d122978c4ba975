/* SPDX-License-Identifier: MIT */
/* Flash contents that are kept in a file: the variables of UEFI firmware. */
#ifndef FRONTEND_NVRAM_H
#define FRONTEND_NVRAM_H

#include "hw/board/board.h"

struct nvram;
/* Keep chip in path from now on: chip->file holds its contents, which were read from there. The file is locked against others.
 * NULL: err has a line. */
struct nvram *nvram_open(const char *path, struct board_flash *chip, struct loop *loop, struct err *err);
/* After the run: write what is not written yet. */
void nvram_close(struct nvram *nvram);

#endif
