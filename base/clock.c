/* SPDX-License-Identifier: MIT */
/* Virtual time and its timers.
 *
 * Time: readers take no lock. Host mode keeps (base, since, running) under a sequence count: a reader retries when it
 * sees the count odd or changed, and a writer reads the host's clock inside its odd section, so that no reader has seen
 * a later time than the one at which the clock stops. The members are stored with release and loaded with acquire
 * order, which keeps them between the two reads of the count without a fence.
 * Counting mode: base + (*instructions << shift), under the same count, because the counter may be changed for another.
 *
 * Timers: a binary heap ordered by (deadline, order of arming), guarded by the machine lock. `earliest` is a copy of
 * the first deadline for readers without the lock.
 *
 * Invariant: timer->slot is its place in the heap iff timer->deadline is not CLOCK_NEVER. */
#include "base/clock.h"

#include <pthread.h>
#include <sched.h>
#include <stdlib.h>
#include <time.h>

#include "base/err.h"

#define LISTENERS 4
#define SPINS 1000
#define FIRE_MAX 1000 /* callbacks in one clock_run beyond one for each armed timer */
#define OVERDUE_NS 1000000u /* a thread that has host time fires its timers much sooner */

struct entry {
	u64 deadline, order;
	struct timer *timer;
};

struct clock {
	u32 sequence;
	bool running;
	u64 base;  /* virtual ns at `since`; in counting mode what to add to the count */
	u64 since; /* host ns of the last start */
	pthread_mutex_t writer;

	const u64 *instructions; /* not NULL: counting mode; changed only within it */
	unsigned shift;

	u64 calendar; /* unix ns at virtual time 0 */

	struct entry *heap;
	u32 count, capacity;
	u64 order;
	u64 earliest;
	struct {
		void (*fn)(void *opaque);
		void *opaque;
	} nearer[LISTENERS];
	unsigned listeners;
};

static u64 host_time(clockid_t id)
{
	struct timespec ts;

	clock_gettime(id, &ts);
	return (u64)ts.tv_sec * NS_PER_S + (u64)ts.tv_nsec;
}

u64 clock_host(void)
{
	return host_time(CLOCK_MONOTONIC);
}

u64 clock_host_calendar(void)
{
	return host_time(CLOCK_REALTIME);
}

struct clock *clock_new(void)
{
	struct clock *clock = err_alloc(sizeof *clock);

	pthread_mutex_init(&clock->writer, NULL);
	clock->earliest = CLOCK_NEVER;
	clock->calendar = clock_host_calendar();
	return clock;
}

void clock_free(struct clock *clock)
{
	if (!clock)
		return;
	pthread_mutex_destroy(&clock->writer);
	free(clock->heap);
	free(clock);
}

/* ---- time ---- */
static const u64 *counter(const struct clock *clock)
{
	return __atomic_load_n(&clock->instructions, __ATOMIC_ACQUIRE);
}

static u64 counted(const struct clock *clock)
{
	return __atomic_load_n(counter(clock), __ATOMIC_ACQUIRE) << clock->shift;
}

u64 clock_now(struct clock *clock)
{
	for (unsigned spins = 1;; spins++) {
		u32 sequence = __atomic_load_n(&clock->sequence, __ATOMIC_ACQUIRE);
		bool running = __atomic_load_n(&clock->running, __ATOMIC_ACQUIRE);
		u64 now = __atomic_load_n(&clock->base, __ATOMIC_ACQUIRE);
		u64 since = __atomic_load_n(&clock->since, __ATOMIC_ACQUIRE);

		if (counter(clock))
			now += counted(clock);
		else if (running)
			now += clock_host() - since;
		if (likely(!(sequence & 1) && __atomic_load_n(&clock->sequence, __ATOMIC_ACQUIRE) == sequence))
			return now;
		if (spins % SPINS == 0)
			sched_yield();
	}
}

static void write_begin(struct clock *clock)
{
	pthread_mutex_lock(&clock->writer);
	__atomic_store_n(&clock->sequence, clock->sequence + 1, __ATOMIC_SEQ_CST);
}

static void write_state(struct clock *clock, u64 base, u64 since, bool running)
{
	__atomic_store_n(&clock->base, base, __ATOMIC_RELEASE);
	__atomic_store_n(&clock->since, since, __ATOMIC_RELEASE);
	__atomic_store_n(&clock->running, running, __ATOMIC_RELEASE);
}

static void write_end(struct clock *clock)
{
	__atomic_store_n(&clock->sequence, clock->sequence + 1, __ATOMIC_RELEASE);
	pthread_mutex_unlock(&clock->writer);
}

static void tell_nearer(struct clock *clock)
{
	for (unsigned i = 0; i < clock->listeners; i++)
		clock->nearer[i].fn(clock->nearer[i].opaque);
}

void clock_stop(struct clock *clock)
{
	u64 now;

	write_begin(clock);
	now = clock->base;
	if (clock->running && !clock->instructions)
		now += clock_host() - clock->since;
	write_state(clock, now, 0, false);
	write_end(clock);
}

void clock_start(struct clock *clock)
{
	bool was;

	write_begin(clock);
	was = clock->running;
	if (!was)
		write_state(clock, clock->base, clock_host(), true);
	write_end(clock);
	if (!was)
		tell_nearer(clock);
}

bool clock_running(const struct clock *clock)
{
	return __atomic_load_n(&clock->running, __ATOMIC_ACQUIRE);
}

void clock_set(struct clock *clock, u64 now)
{
	write_begin(clock);
	if (clock->instructions)
		write_state(clock, now - counted(clock), 0, clock->running);
	else
		write_state(clock, now, clock_host(), clock->running);
	write_end(clock);
	tell_nearer(clock);
}

void clock_count_instructions(struct clock *clock, const u64 *instructions, unsigned shift)
{
	u64 now = clock_now(clock);

	clock->instructions = instructions;
	clock->shift = shift & 63;
	clock_set(clock, now);
}

void clock_count_by(struct clock *clock, const u64 *instructions)
{
	if (instructions == clock->instructions)
		return;
	write_begin(clock);
	u64 from = counted(clock), to = __atomic_load_n(instructions, __ATOMIC_RELAXED) << clock->shift;
	__atomic_store_n(&clock->instructions, instructions, __ATOMIC_RELEASE);
	write_state(clock, clock->base + from - to, 0, clock->running);
	write_end(clock);
}

bool clock_counts(const struct clock *clock)
{
	return clock->instructions != NULL;
}

void clock_skip_to(struct clock *clock, u64 now)
{
	write_begin(clock);
	if (clock->instructions && now > clock->base + counted(clock))
		write_state(clock, now - counted(clock), 0, clock->running);
	write_end(clock);
}

u64 clock_instructions_until(struct clock *clock, u64 deadline)
{
	u64 now = clock_now(clock);

	if (deadline == CLOCK_NEVER)
		return 0;
	return deadline <= now ? 1 : ((deadline - now - 1) >> clock->shift) + 1;
}

u64 clock_calendar(struct clock *clock)
{
	return __atomic_load_n(&clock->calendar, __ATOMIC_RELAXED) + clock_now(clock);
}

void clock_set_calendar(struct clock *clock, u64 unix_ns)
{
	__atomic_store_n(&clock->calendar, unix_ns - clock_now(clock), __ATOMIC_RELAXED);
}

/* ---- the heap ---- */
static bool before(const struct entry *a, const struct entry *b)
{
	return a->deadline != b->deadline ? a->deadline < b->deadline : a->order < b->order;
}

static void place(struct clock *clock, u32 slot, struct entry entry)
{
	clock->heap[slot] = entry;
	entry.timer->slot = slot;
}

/* Put entry where it belongs, starting from a hole at slot. */
static void sift(struct clock *clock, u32 slot, struct entry entry)
{
	struct entry *heap = clock->heap;

	while (slot && before(&entry, &heap[(slot - 1) / 2])) {
		place(clock, slot, heap[(slot - 1) / 2]);
		slot = (slot - 1) / 2;
	}
	for (;;) {
		u32 child = 2 * slot + 1;

		if (child >= clock->count)
			break;
		if (child + 1 < clock->count && before(&heap[child + 1], &heap[child]))
			child++;
		if (!before(&heap[child], &entry))
			break;
		place(clock, slot, heap[child]);
		slot = child;
	}
	place(clock, slot, entry);
}

static void remove_entry(struct clock *clock, struct timer *timer)
{
	u32 slot = timer->slot;
	struct entry last = clock->heap[--clock->count];

	timer->deadline = CLOCK_NEVER;
	if (last.timer != timer)
		sift(clock, slot, last);
}

static void update_earliest(struct clock *clock)
{
	__atomic_store_n(&clock->earliest, clock->count ? clock->heap[0].deadline : CLOCK_NEVER, __ATOMIC_SEQ_CST);
}

void timer_init(struct timer *timer, struct clock *clock, timer_fn *fn, void *opaque)
{
	*timer = (struct timer){.clock = clock, .fn = fn, .opaque = opaque, .deadline = CLOCK_NEVER};
}

void timer_arm(struct timer *timer, u64 deadline)
{
	struct clock *clock = timer->clock;
	struct entry entry = {deadline, clock->order++, timer};
	u64 was = clock->earliest;

	if (deadline == CLOCK_NEVER) {
		timer_cancel(timer);
		return;
	}
	if (timer->deadline == CLOCK_NEVER) {
		if (clock->count == clock->capacity) {
			clock->capacity = clock->capacity ? clock->capacity * 2 : 16;
			clock->heap = err_realloc(clock->heap, clock->capacity * sizeof *clock->heap);
		}
		timer->slot = clock->count++;
	}
	timer->deadline = deadline;
	sift(clock, timer->slot, entry);
	update_earliest(clock);
	if (clock->earliest < was)
		tell_nearer(clock);
}

void timer_cancel(struct timer *timer)
{
	if (timer->deadline == CLOCK_NEVER)
		return;
	remove_entry(timer->clock, timer);
	update_earliest(timer->clock);
}

u64 clock_deadline(struct clock *clock)
{
	return __atomic_load_n(&clock->earliest, __ATOMIC_SEQ_CST);
}

bool clock_overdue(struct clock *clock, u64 now)
{
	u64 deadline = clock_deadline(clock);

	return unlikely(now > deadline && now - deadline > OVERDUE_NS) && !clock_counts(clock) && clock_running(clock);
}

bool clock_run(struct clock *clock)
{
	u64 now = clock_now(clock);
	u32 left = FIRE_MAX + clock->count;
	bool fired = false;

	while (clock->count && clock->heap[0].deadline <= now && left--) {
		struct timer *timer = clock->heap[0].timer;

		/* idle before its callback, which may arm, cancel or free it */
		timer_cancel(timer);
		timer->fn(timer->opaque);
		fired = true;
	}
	return fired;
}

void clock_on_nearer(struct clock *clock, void (*fn)(void *opaque), void *opaque)
{
	if (clock->listeners == LISTENERS)
		bug("more than %d listen for nearer deadlines", LISTENERS);
	clock->nearer[clock->listeners].fn = fn;
	clock->nearer[clock->listeners++].opaque = opaque;
}
