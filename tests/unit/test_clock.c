/* SPDX-License-Identifier: MIT */
/* base/clock: stopping, setting, counting; timers against a sorted list; readers that race with writers. */
#include "base/clock.h"

#include <pthread.h>
#include <stdlib.h>

#include "base/err.h"
#include "tests/unit/unit.h"

#define MS 1000000ull

static void sleep_ns(u64 ns)
{
	u64 until = clock_host() + ns;

	while (clock_host() < until)
		;
}

static void test_stop_start(void **state)
{
	struct clock *clock = clock_new();
	u64 a, b, host;

	(void)state;
	assert_int_equal(clock_now(clock), 0);
	assert_false(clock_running(clock));
	sleep_ns(MS);
	assert_int_equal(clock_now(clock), 0);
	/* no more goes by than on the host's clock */
	host = clock_host();
	clock_start(clock);
	clock_start(clock);
	sleep_ns(2 * MS);
	a = clock_now(clock);
	assert_true(a >= 2 * MS && a <= clock_host() - host);
	clock_stop(clock);
	a = clock_now(clock);
	sleep_ns(MS);
	clock_stop(clock);
	assert_true(clock_now(clock) == a);
	host = clock_host();
	clock_start(clock);
	b = clock_now(clock);
	assert_true(b >= a && b - a <= clock_host() - host);
	host = clock_host();
	clock_set(clock, 5 * NS_PER_S);
	b = clock_now(clock);
	assert_true(b >= 5 * NS_PER_S && b - 5 * NS_PER_S <= clock_host() - host);
	clock_free(clock);
}

static void test_ticks(void **state)
{
	static const u64 hz[] = {1, 32768, 1193182, 3579545, 2000000000, 2999999999, 18000000000};
	u64 ns = 1;

	(void)state;
	for (unsigned i = 0; i < 200000; i++) {
		u64 f = hz[i % ARRAY_LEN(hz)];

		ns = ns * 6364136223846793005u + 1442695040888963407u;
		assert_int_equal(clock_ticks(ns >> i % 64, f), (u64)((u128)(ns >> i % 64) * f / NS_PER_S));
	}
}

static void test_calendar(void **state)
{
	u64 before = clock_host_calendar();
	struct clock *clock = clock_new();

	(void)state;
	assert_true(clock_calendar(clock) >= before && clock_calendar(clock) <= clock_host_calendar());
	clock_set(clock, 7);
	clock_set_calendar(clock, 1000);
	assert_int_equal(clock_calendar(clock), 1000);
	clock_set(clock, 17);
	assert_int_equal(clock_calendar(clock), 1010);
	clock_set(clock, 0);
	assert_int_equal(clock_calendar(clock), 993);
	clock_free(clock);
}

static void test_counting(void **state)
{
	struct clock *clock = clock_new();
	u64 instructions = 1000;

	(void)state;
	clock_count_instructions(clock, &instructions, 2);
	assert_true(clock_counts(clock));
	assert_int_equal(clock_now(clock), 0);
	clock_start(clock);
	instructions += 10;
	assert_int_equal(clock_now(clock), 40);
	clock_skip_to(clock, 100);
	assert_int_equal(clock_now(clock), 100);
	clock_skip_to(clock, 50); /* never back */
	assert_int_equal(clock_now(clock), 100);
	instructions++;
	assert_int_equal(clock_now(clock), 104);
	assert_int_equal(clock_instructions_until(clock, 104), 1);
	assert_int_equal(clock_instructions_until(clock, 105), 1);
	assert_int_equal(clock_instructions_until(clock, 108), 1);
	assert_int_equal(clock_instructions_until(clock, 109), 2);
	assert_int_equal(clock_instructions_until(clock, CLOCK_NEVER), 0);
	assert_true(clock_instructions_until(clock, CLOCK_NEVER - 1) == (CLOCK_NEVER - 105) / 4 + 1);
	clock_stop(clock);
	assert_int_equal(clock_now(clock), 104);
	clock_set(clock, 8);
	assert_int_equal(clock_now(clock), 8);
	clock_free(clock);
}

/* ---- timers ---- */
struct probe {
	struct timer timer;
	unsigned id;
	u64 again; /* arm at this deadline when fired */
	struct probe *victim;
	bool cancel_self;
};
static unsigned fired[5000], fired_count;

static void on_probe(void *opaque)
{
	struct probe *p = opaque;

	assert_true(p->timer.deadline == CLOCK_NEVER);
	fired[fired_count++] = p->id;
	if (p->victim)
		timer_cancel(&p->victim->timer);
	if (p->again) {
		timer_arm(&p->timer, p->again);
		p->again = 0;
	}
	if (p->cancel_self)
		timer_cancel(&p->timer);
}

static void probe_init(struct probe *p, struct clock *clock, unsigned id)
{
	*p = (struct probe){.id = id};
	timer_init(&p->timer, clock, on_probe, p);
}

static void test_order(void **state)
{
	struct clock *clock = clock_new();
	struct probe p[5];

	(void)state;
	fired_count = 0;
	for (unsigned i = 0; i < 5; i++)
		probe_init(&p[i], clock, i);
	assert_true(clock_deadline(clock) == CLOCK_NEVER);
	timer_arm(&p[0].timer, 30);
	timer_arm(&p[1].timer, 10);
	timer_arm(&p[2].timer, 10);
	timer_arm(&p[3].timer, 20);
	timer_arm(&p[1].timer, 10); /* armed again: now behind 2 */
	assert_int_equal(clock_deadline(clock), 10);
	assert_false(clock_run(clock));
	clock_set(clock, 10);
	assert_true(clock_run(clock));
	assert_int_equal(fired_count, 2);
	assert_true(fired[0] == 2 && fired[1] == 1);
	timer_cancel(&p[3].timer);
	timer_cancel(&p[3].timer);
	assert_int_equal(clock_deadline(clock), 30);
	timer_arm(&p[0].timer, CLOCK_NEVER);
	assert_true(clock_deadline(clock) == CLOCK_NEVER);
	clock_set(clock, 1000);
	assert_false(clock_run(clock));
	clock_free(clock);
}

static void test_callbacks_change_timers(void **state)
{
	struct clock *clock = clock_new();
	struct probe p[4];

	(void)state;
	fired_count = 0;
	for (unsigned i = 0; i < 4; i++) {
		probe_init(&p[i], clock, i);
		timer_arm(&p[i].timer, 10 + i);
	}
	p[0].victim = &p[1];  /* cancels one that is due as well */
	p[0].again = 12;      /* due in this run, after 2 which was armed for 12 before */
	p[3].again = 50;
	p[3].cancel_self = true;
	clock_set(clock, 20);
	assert_true(clock_run(clock));
	assert_int_equal(fired_count, 4);
	assert_true(fired[0] == 0 && fired[1] == 2 && fired[2] == 0 && fired[3] == 3);
	assert_true(clock_deadline(clock) == CLOCK_NEVER);
	clock_free(clock);
}

static struct timer *freed;
static void free_timer(void *opaque)
{
	freed = opaque;
	free(opaque);
}

static unsigned endless;
static void arm_into_past(void *opaque)
{
	endless++;
	timer_arm(opaque, 1);
}

static void test_hostile_timers(void **state)
{
	struct clock *clock = clock_new();
	struct timer *own = err_alloc(sizeof *own), stuck;

	(void)state;
	clock_set(clock, 100);
	timer_init(own, clock, free_timer, own);
	timer_arm(own, 1);
	assert_true(clock_run(clock));
	assert_ptr_equal(freed, own);
	timer_init(&stuck, clock, arm_into_past, &stuck);
	timer_arm(&stuck, 1);
	assert_true(clock_run(clock));
	assert_in_range(endless, 1, 10000);
	assert_int_equal(clock_deadline(clock), 1);
	clock_free(clock);
}

static unsigned nearer;
static void on_nearer(void *opaque)
{
	(void)opaque;
	nearer++;
}

static void test_nearer(void **state)
{
	struct clock *clock = clock_new();
	struct probe a, b;

	(void)state;
	nearer = 0;
	clock_on_nearer(clock, on_nearer, NULL);
	probe_init(&a, clock, 0);
	probe_init(&b, clock, 1);
	timer_arm(&a.timer, 100);
	assert_int_equal(nearer, 1);
	timer_arm(&b.timer, 200);
	timer_arm(&b.timer, 150);
	assert_int_equal(nearer, 1);
	timer_arm(&b.timer, 50);
	assert_int_equal(nearer, 2);
	timer_arm(&b.timer, 60);
	timer_cancel(&b.timer);
	assert_int_equal(nearer, 2);
	clock_start(clock);
	assert_int_equal(nearer, 3);
	clock_free(clock);
}

/* Random arming, moving and cancelling against a plain array. */
static void test_heap_random(void **state)
{
	enum { N = 64 };
	struct clock *clock = clock_new();
	struct probe p[N];
	u64 order[N] = {0}, when[N], count = 0, seed = 42, now = 0;

	(void)state;
	for (unsigned i = 0; i < N; i++) {
		probe_init(&p[i], clock, i);
		when[i] = CLOCK_NEVER;
	}
	for (unsigned step = 0; step < 20000; step++) {
		unsigned i = unit_random(&seed) % N, action = unit_random(&seed) % 8;

		if (action < 5) {
			when[i] = now + unit_random(&seed) % 200;
			order[i] = count++;
			timer_arm(&p[i].timer, when[i]);
		} else if (action < 7) {
			when[i] = CLOCK_NEVER;
			timer_cancel(&p[i].timer);
		} else {
			now += unit_random(&seed) % 100;
			clock_set(clock, now);
			fired_count = 0;
			clock_run(clock);
			for (unsigned k = 0;; k++) {
				unsigned best = N;

				for (unsigned j = 0; j < N; j++)
					if (when[j] <= now && (best == N || when[j] < when[best] ||
					                       (when[j] == when[best] && order[j] < order[best])))
						best = j;
				if (best == N) {
					assert_int_equal(fired_count, k);
					break;
				}
				assert_int_equal(fired[k], best);
				when[best] = CLOCK_NEVER;
			}
		}
		u64 earliest = CLOCK_NEVER;
		for (unsigned j = 0; j < N; j++)
			earliest = MIN(earliest, when[j]);
		assert_true(clock_deadline(clock) == earliest);
	}
	clock_free(clock);
}

/* ---- races ---- */
struct race {
	struct clock *clock;
	bool stop;
	u64 backwards;
};

static void *reader(void *opaque)
{
	struct race *race = opaque;
	u64 last = 0;

	while (!__atomic_load_n(&race->stop, __ATOMIC_RELAXED)) {
		u64 now = clock_now(race->clock);

		if (now < last)
			__atomic_fetch_add(&race->backwards, 1, __ATOMIC_RELAXED);
		last = now;
	}
	return NULL;
}

static void test_readers_never_see_time_go_back(void **state)
{
	struct race race = {.clock = clock_new()};
	pthread_t threads[3];

	(void)state;
	for (unsigned i = 0; i < ARRAY_LEN(threads); i++)
		assert_int_equal(pthread_create(&threads[i], NULL, reader, &race), 0);
	for (unsigned i = 0; i < 20000; i++) {
		clock_start(race.clock);
		clock_stop(race.clock);
	}
	__atomic_store_n(&race.stop, true, __ATOMIC_RELAXED);
	for (unsigned i = 0; i < ARRAY_LEN(threads); i++)
		pthread_join(threads[i], NULL);
	assert_int_equal(race.backwards, 0);
	clock_free(race.clock);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_stop_start),
		cmocka_unit_test(test_ticks),
		cmocka_unit_test(test_calendar),
		cmocka_unit_test(test_counting),
		cmocka_unit_test(test_order),
		cmocka_unit_test(test_callbacks_change_timers),
		cmocka_unit_test(test_hostile_timers),
		cmocka_unit_test(test_nearer),
		cmocka_unit_test(test_heap_random),
		cmocka_unit_test(test_readers_never_see_time_go_back),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
