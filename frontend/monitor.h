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
/* Somebody new is at the other end of its socket; the first one too. */
void monitor_connected(struct monitor *m);
void monitor_prompt(struct monitor *monitor);

/* ---- lines, as the monitor and the sandbox's broker both read them ---- */
struct monitor_line {
	char text[512];
	size_t len;
};
enum monitor_typed {
	MONITOR_LINE,      /* it is complete: text is a string, len 0 for the next one */
	MONITOR_CHARACTER, /* one more */
	MONITOR_EDITED,    /* *erased characters less, or nothing */
};
enum monitor_typed monitor_type(struct monitor_line *line, u8 c, unsigned *erased);
/* The file of the host that a line's command is about: words inside the line, which is cut up. False: none. */
struct monitor_file {
	const char *file;
	const char *drive, *format; /* of a medium, the words around it; NULL: not there */
	bool creates;               /* it is made anew, else it is there and is opened */
};
bool monitor_file(char *line, struct monitor_file *named);

#endif
