/* SPDX-License-Identifier: MIT */
/* The human monitor: lines in, text out, one table of commands. */
#ifndef FRONTEND_MONITOR_H
#define FRONTEND_MONITOR_H

#include "hw/board/board.h"

struct monitor;

/* write is where its text goes. */
struct monitor *monitor_new(struct board *board, void (*write)(void *opaque, const u8 *data, size_t len), void *opaque);
void monitor_free(struct monitor *monitor);
/* Characters typed; with echo and line editing by backspace. Under the machine lock, on the loop's thread. */
void monitor_input(struct monitor *monitor, const u8 *data, size_t len);
void monitor_prompt(struct monitor *monitor);

#endif
