/* SPDX-License-Identifier: MIT */
/* The broker: a small process beside the emulator that opens files for it once the sandbox is shut, and only those that the user
 * names. It knows what the user names because it is the broker that reads the monitor's input: the emulator, which a guest may
 * have subverted, gets what was typed from the broker and cannot put words into the user's mouth.
 *
 * Protocol: SOCK_SEQPACKET, a struct broker_request and its struct broker_reply, one at a time, descriptors as SCM_RIGHTS.
 * Requests of the time before BROKER_SHUT are trusted, as no guest has run; what comes after is not. */
#ifndef FRONTEND_BROKER_H
#define FRONTEND_BROKER_H

#include <limits.h>

#include "base/err.h"
#include "base/loop.h"

enum broker_op {
	/* only before BROKER_SHUT */
	BROKER_REMOVE_AT_END, /* path: it is ours; removed when the emulator is gone, if it is still the same file */
	BROKER_INPUT,         /* with the monitor's descriptor, and a pseudo-terminal's far end; reply: where input comes from now */
	BROKER_LISTEN,        /* with a listening socket; reply: a socket that brings two descriptors for each connection */
	BROKER_WRITTEN,       /* with a file that the emulator has open for writing */
	BROKER_WRITES,        /* path: the id of a drive whose media the guest may write; others' are opened for reading only */
	BROKER_SHUT,
	/* always */
	BROKER_OPEN,          /* path, flags, mode; reply: the file. Once shut: only what the user has named, EACCES else */
	BROKER_REMOVE,        /* path: now, if BROKER_REMOVE_AT_END has named it */
};

/* How the input of a monitor is to be understood. */
enum broker_input { BROKER_TELNET = 1, BROKER_KEYS = 2 /* the monitor is behind Ctrl-A c */ };

struct broker_request {
	u32 op;
	i32 flags;
	u32 mode;
	char path[PATH_MAX];
};
struct broker_reply {
	i32 error; /* errno, 0 if it was done */
};

/* While there is one thread. False: err has a line. */
bool broker_start(struct err *err);
bool broker_running(void);
/* From here on hostfile_open() and its like ask the broker, and it trusts nothing. True if there is no broker. */
bool broker_shut(struct err *err);
/* Should the broker die before us, the run is ended in order, with a line: monitors' inputs have died with it. */
void broker_watch(struct loop *loop);

/* Give a monitor's input away; returns the descriptor to read it from instead, -1 with errno. far: -1, or what has to be closed in
 * this process because whatever is written there becomes input. */
int broker_input(int fd, int far, unsigned how);
/* Give a monitor's listening socket away. From the returned one broker_accept() takes connections. */
int broker_listen(int fd, unsigned how);
/* in: what the other side sends; out: the connection, to write to. False: nobody is there. */
bool broker_accept(int listener, int *in, int *out);

/* The broker's own work, until the other end of the socket is closed (broker_serve.c). */
_Noreturn void broker_serve(int control);

/* A message, with descriptors: false if it was not sent, or did not come, whole. fds that are not there become -1. */
bool broker_send(int socket, const void *data, size_t size, const int *fds, unsigned count);
bool broker_receive(int socket, void *data, size_t size, int *fds, unsigned count);

#endif
