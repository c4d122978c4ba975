/* SPDX-License-Identifier: MIT */
/* The first door: time. Nothing else reads the host's clocks. A struct clock is the guest's virtual time in
 * nanoseconds since power-on: it follows the host's monotonic clock, stands still while the machine is stopped,
 * or (deterministic mode) is counted in guest instructions.
 * Timers fire on the thread that calls clock_run(), under the machine lock (base/loop.h). */
#ifndef BASE_CLOCK_H
#define BASE_CLOCK_H

#include "base/types.h"

#define NS_PER_S 1000000000ull
#define CLOCK_NEVER (~0ull)

struct clock;
typedef void timer_fn(void *opaque);

struct timer {
	struct clock *clock;
	timer_fn *fn;
	void *opaque;
	u64 deadline; /* virtual ns, CLOCK_NEVER when idle */
	u32 slot;     /* place in the clock's heap */
};

struct clock *clock_new(void);
void clock_free(struct clock *clock);

/* Virtual ns since power-on. Callable from any thread, without the lock. */
u64 clock_now(struct clock *clock);
/* Whole periods of a frequency (up to 18 GHz) in that time: (ns * hz) / NS_PER_S, without a division of 128 bits. */
static inline u64 clock_ticks(u64 ns, u64 hz)
{
	return ns / NS_PER_S * hz + ns % NS_PER_S * hz / NS_PER_S;
}
/* Stop and continue virtual time (a stopped machine). A new clock is stopped. */
void clock_stop(struct clock *clock);
void clock_start(struct clock *clock);
bool clock_running(const struct clock *clock);
/* Set virtual time (loading a state). */
void clock_set(struct clock *clock, u64 now);

/* Deterministic mode: time = *instructions << shift, read from the given counter. Call before start. */
void clock_count_instructions(struct clock *clock, const u64 *instructions, unsigned shift);
/* From now on another counter counts on, from where the clock stands. */
void clock_count_by(struct clock *clock, const u64 *instructions);
/* True in deterministic mode. While all CPUs are idle there, time is moved on to the next deadline by: */
bool clock_counts(const struct clock *clock);
void clock_skip_to(struct clock *clock, u64 now);
/* Instructions to execute until the given time is reached, at least 1; 0 = never. */
u64 clock_instructions_until(struct clock *clock, u64 deadline);

/* The guest's calendar: ns since 1970-01-01 UTC. Follows virtual time from a base set once (-rtc base=). */
u64 clock_calendar(struct clock *clock);
void clock_set_calendar(struct clock *clock, u64 unix_ns);

/* Host monotonic ns, for statistics and front ends only; never shown to the guest. */
u64 clock_host(void);
/* Host calendar, ns since 1970 (for log lines and the default of -rtc). */
u64 clock_host_calendar(void);

/* Timers. The owner allocates; all calls under the machine lock. Arming an armed timer moves it. */
void timer_init(struct timer *timer, struct clock *clock, timer_fn *fn, void *opaque);
void timer_arm(struct timer *timer, u64 deadline);
void timer_cancel(struct timer *timer);
/* Earliest deadline or CLOCK_NEVER. */
u64 clock_deadline(struct clock *clock);
/* At that time of this clock: has a timer been due for so long that the thread which should fire it evidently gets no host time?
 * Never in deterministic mode. Any thread. */
bool clock_overdue(struct clock *clock, u64 now);
/* Fire everything due, in order of deadline (ties: order of arming); returns true if anything fired. A great many at
 * once are left for the next call, so that a timer which re-arms itself into the past cannot hold the caller up. */
bool clock_run(struct clock *clock);
/* Called (under the lock) whenever the earliest deadline moves nearer; also by clock_start and clock_set, which bring
 * it nearer in host time. Up to four of them. */
void clock_on_nearer(struct clock *clock, void (*fn)(void *opaque), void *opaque);

#endif
