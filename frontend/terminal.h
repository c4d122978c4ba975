/* SPDX-License-Identifier: MIT */
/* The terminal that Paisano was started from, as the guest's serial console. */
#ifndef FRONTEND_TERMINAL_H
#define FRONTEND_TERMINAL_H

#include "frontend/monitor.h"

/* The chardev for "stdio" and "mon:stdio" (keys: Ctrl-A prefix). One per process. */
struct chardev *terminal_open(bool keys, struct loop *loop, struct err *err);
/* Is this the terminal's (also when it is NULL: no)? */
bool terminal_owns(const struct chardev *chardev);
/* Its monitor, if there is one behind Ctrl-A, is read by the sandbox's broker from now on. */
bool terminal_guard(struct err *err);
/* Tell it the machine, once there is one. */
void terminal_attach(struct board *board);
void terminal_close(void);
/* From now on the background job that we may be is not stopped for what it does to the terminal; that fails instead. Any time,
 * async-signal-safe. */
void terminal_ends(void);

/* ---- keys behind Ctrl-A, as the terminal and the sandbox's broker both read them ---- */
struct terminal_keys {
	bool escaped, in_monitor;
};
enum terminal_goes { TERMINAL_GUEST, TERMINAL_MONITOR, TERMINAL_COMMAND, TERMINAL_NOWHERE };
/* Where a byte that was typed goes; it may become another one. */
enum terminal_goes terminal_key(struct terminal_keys *keys, u8 *key);

#endif
