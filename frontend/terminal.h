/* SPDX-License-Identifier: MIT */
/* The terminal that Paisano was started from, as the guest's serial console. */
#ifndef FRONTEND_TERMINAL_H
#define FRONTEND_TERMINAL_H

#include "frontend/monitor.h"

/* The chardev for "stdio" and "mon:stdio" (keys: Ctrl-A prefix). One per process. */
struct chardev *terminal_open(bool keys, struct loop *loop, struct err *err);
/* Is this the terminal's (also when it is NULL: no)? */
bool terminal_owns(const struct chardev *chardev);
/* Tell it the machine, once there is one. */
void terminal_attach(struct board *board);
void terminal_close(void);

#endif
