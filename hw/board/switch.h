/* SPDX-License-Identifier: MIT */
/* The machine's engine, and what makes it change: see switch.c. What a front end may do is in board.h. */
#ifndef HW_BOARD_SWITCH_H
#define HW_BOARD_SWITCH_H

#include "cpu/watch.h"
#include "hw/board/board.h"

/* Beside enum watch_kind. insns: of CPU 0, ms: of guest time, both from when it was set. */
enum switch_kind { SWITCH_TEXT = WATCH_KINDS, SWITCH_INSNS, SWITCH_TIME };
#define SWITCH_TEXT_MAX 64

struct switch_trigger {
	unsigned kind; /* enum watch_kind, enum switch_kind */
	u64 value, due;
	char *text;
	const struct engine *to;
};
struct switch_tap { /* a serial port's way to the host */
	struct chardev chardev, *to;
	struct board *board;
	char last[SWITCH_TEXT_MAX];
	unsigned length;
};
struct board_switching {
	struct switch_trigger trigger[WATCH_MAX];
	unsigned triggers, texts;
	struct cpu_watch watch;
	struct timer timer;
	struct switch_tap tap[BOARD_SERIALS];
	bool posted, unable;
	const struct engine *to;
	char why[192];
	u64 count; /* switches done */
};

/* With the CPUs and devices made; then the first engine of those preferred takes the CPUs. */
void switch_init(struct board *board);
bool switch_start(struct board *board, struct err *err);
void switch_free(struct board *board);

#endif
