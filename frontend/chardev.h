/* SPDX-License-Identifier: MIT */
/* Host ends of character streams: files, pipes, pseudo-terminals, sockets, the terminal. */
#ifndef FRONTEND_CHARDEV_H
#define FRONTEND_CHARDEV_H

#include "base/loop.h"
#include "hw/device.h"

/* Open "null", "file:PATH", "pty", "tcp:HOST:PORT[,server][,nowait]", "telnet:..." (the same), "unix:PATH[,server][,nowait]"
 * ("stdio" and "mon:stdio" are the terminal's, terminal.h). what names the option in errors. NULL on failure. Under no lock, before
 * the machine runs. */
struct chardev *chardev_open(const char *spec, const char *what, struct loop *loop, struct err *err);
/* A stream over descriptors that the process was started with; in or out may be -1. They stay open. */
struct chardev *chardev_inherited(int in, int out, struct loop *loop);
/* Called (under the lock) with what comes in, before the device sees it; returns how many bytes are left for the device. */
void chardev_filter(struct chardev *chardev, size_t (*filter)(void *opaque, u8 *data, size_t len), void *opaque);
/* Called (under the lock) when somebody connects to a socket that we listen on. */
void chardev_on_connect(struct chardev *chardev, void (*connected)(void *opaque), void *opaque);
/* A monitor's stream, once it is open: what is typed there is read by the sandbox's broker first, if there is one (broker.h).
 * keys: the monitor is behind Ctrl-A c. */
bool chardev_guard(struct chardev *chardev, bool keys, struct err *err);
/* Writes out what is still held back, as far as somebody reads it, for some seconds at most; removes the socket's name. Without the
 * lock, when the device is gone. NULL is fine. */
void chardev_close(struct chardev *chardev);

#endif
