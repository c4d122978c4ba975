/* SPDX-License-Identifier: MIT */
/* The second door: host input. One event loop per machine: file descriptors, completions posted by workers, and the
 * clock's timers, all called under the machine lock. vCPU threads take the same lock around device access.
 * Entropy comes through here too, so that a run can be recorded and replayed. */
#ifndef BASE_LOOP_H
#define BASE_LOOP_H

#include "base/clock.h"
#include "base/err.h"
#include "base/types.h"

struct loop;

enum loop_events { LOOP_READ = 1, LOOP_WRITE = 2, LOOP_HANGUP = 4 };
typedef void loop_fd_fn(void *opaque, int fd, unsigned events);
typedef void loop_fn(void *opaque);

struct loop *loop_new(struct clock *clock, struct err *err);
void loop_free(struct loop *loop);
const struct clock *loop_clock(const struct loop *loop);

/* The machine lock. Not recursive. */
void loop_lock(struct loop *loop);
void loop_unlock(struct loop *loop);
/* For a thread that has just taken the lock to do what a guest asks for: fire the timers that are long overdue, because the loop's
 * thread gets no host time while this one does. So a guest never sees a time at which its timer must have come, and has not. */
void loop_catch_up(struct loop *loop);
/* Does somebody sleep for want of it? Whoever holds it for many small steps gives it up then. */
bool loop_wanted(const struct loop *loop);
/* Does this thread hold it? For assertions, and for device code that may be called either way. */
bool loop_locked(const struct loop *loop);

/* Watch a file descriptor; events 0 removes it. Level-triggered. Under the lock. */
void loop_watch(struct loop *loop, int fd, unsigned events, loop_fd_fn *fn, void *opaque);
/* Run fn on the loop's thread, under the lock, soon. From any thread, with or without the lock. */
void loop_post(struct loop *loop, loop_fn *fn, void *opaque);
/* Run work(opaque) on a worker thread without the lock, then done(opaque) on the loop under the lock. */
void loop_work(struct loop *loop, loop_fn *work, loop_fn *done, void *opaque);
/* The same with one hand-over less: done(opaque) comes on the worker's own thread, under the lock, while the loop runs and the
 * clock is the host's; else as above. For what a guest waits for. */
void loop_work_direct(struct loop *loop, loop_fn *work, loop_fn *done, void *opaque);
/* Now, instead of with the first work: for when threads cannot be made from everywhere any more. */
void loop_start_workers(struct loop *loop);
/* Finish all work and run all that was posted, before the machine is taken apart. Without the lock, when nobody is in
 * loop_run(). loop_free() does it too, but drops the completions. */
void loop_drain(struct loop *loop);

/* Wait until there is something to read, before loop_run(). False: loop_quit() came first. */
bool loop_await(struct loop *loop, int fd);
/* Runs until loop_quit(); returns its code. Call without the lock. */
int loop_run(struct loop *loop);
/* From any thread, and from signal handlers; the first code wins: true, if it was this one. */
bool loop_quit(struct loop *loop, int code);
bool loop_quitting(const struct loop *loop);

/* Host entropy for the guest (RDRAND, virtio-rng). With a seed set (deterministic mode), a fixed sequence. */
void loop_entropy(struct loop *loop, void *buf, size_t len);
void loop_entropy_seed(struct loop *loop, u64 seed);
/* The host's own, whatever the mode, for what nobody may guess; the guest never sees it. */
void loop_secret(void *buf, size_t len);

#endif
