/* SPDX-License-Identifier: MIT */
/* Firmware on the board: its ROM, and what it is told of the machine (CMOS memory, fw_cfg). */
#ifndef HW_BOARD_FIRMWARE_H
#define HW_BOARD_FIRMWARE_H

#include "hw/board/board.h"

/* Map the ROM. Before the devices are started. */
bool firmware_map(struct board *board, struct err *err);
/* The expansion ROM of the display adapter, if it has firmware. Before it is started. */
bool firmware_vga(struct board *board, struct device *vga, struct err *err);
/* Fill CMOS memory and fw_cfg. After the devices have been reset. */
bool firmware_describe(struct board *board, struct err *err);
void firmware_free(struct board *board);

#endif
