/* SPDX-License-Identifier: MIT */
/* Kernels given on the command line: read when they are needed, put into the guest's memory, or offered to its firmware. */
#ifndef HW_BOARD_KERNEL_H
#define HW_BOARD_KERNEL_H

#include "bios/boot.h"
#include "hw/board/board.h"

/* Fill in kernel, modules and command line, run the loader, and let the files go. The caller says where to and on what machine. */
bool kernel_load(struct board *board, struct boot_request *request, struct boot_entry *entry, struct err *err);
/* With firmware on the board: items of fw_cfg and an option ROM, by which it starts the kernel. Nothing without a kernel. False:
 * the kernel cannot be loaded. */
bool kernel_offer(struct board *board, struct device *fw_cfg, struct err *err);
/* Its line in the boot order, which comes first; NULL: none. */
const char *kernel_boot_name(const struct board *board);

#endif
