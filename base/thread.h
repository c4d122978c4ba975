/* SPDX-License-Identifier: MIT */
/* Host threads, each of which says what kind it is: what a thread may ask of the host depends on that (frontend/sandbox.h). No
 * thread is made in any other way. */
#ifndef BASE_THREAD_H
#define BASE_THREAD_H

#include <pthread.h>

enum thread_kind {
	THREAD_FOREIGN, /* not made here: a library's own */
	THREAD_MAIN,    /* the process's first thread, which runs the event loop */
	THREAD_VCPU,    /* runs guest code */
	THREAD_WORKER,  /* reads and writes files for the event loop */
	THREAD_TIMER,   /* waits for -timeout to be over */
	THREAD_WINDOW,  /* the display in a window: sdl */
	THREAD_NETWORK, /* the display on the network: vnc */
	THREAD_TEXT,    /* the display on a terminal: curses */
	THREAD_BROKER,  /* the only one of the sandbox's broker, a process of its own */
	THREAD_KINDS
};

/* pthread_create() with default attributes; returns its error number, 0 if the thread runs. The signals of the user and the shell
 * are blocked in it, for they are the main thread's; what a thread's own fault raises is not, nor are real-time signals. */
int thread_start(pthread_t *thread, enum thread_kind kind, void *(*fn)(void *opaque), void *opaque);

/* The kind of the calling thread; async-signal-safe. The first thread of a process says so itself, once. */
enum thread_kind thread_kind(void);
void thread_is(enum thread_kind kind);
/* "vcpu", for messages. */
const char *thread_name(enum thread_kind kind);

#endif
