/* SPDX-License-Identifier: MIT */
/* Direct boot: what firmware would have done before it started a kernel. */
#ifndef HW_BOARD_DIRECT_H
#define HW_BOARD_DIRECT_H

#include "hw/board/board.h"

/* With a kernel in the configuration: set up the chipset, build the tables, load the kernel and put the boot CPU at its entry.
 * Without one: nothing. After every reset; under the machine lock, the machine standing still. */
bool direct_boot(struct board *board, struct err *err);
/* direct_screen.c: a VGA in text mode, with a font. */
void direct_screen(struct board *board);

#endif
