/* SPDX-License-Identifier: MIT */
/* base/loop: descriptors of every kind, posts, workers, timers, quitting, fairness, entropy. */
#define _GNU_SOURCE /* pipe2 */
#include "base/loop.h"

#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "tests/unit/unit.h"

#define MS 1000000ull

struct fixture {
	pthread_t thread;
	struct clock *clock;
	struct loop *loop;
	struct timer limit;
	int fds[2];
	unsigned calls, events, worked;
	pthread_t main;
};

#define LIMIT (600 * NS_PER_S) /* then the test has hung */

static void too_late(void *opaque)
{
	loop_quit(opaque, 99);
}

static int setup(void **state)
{
	struct fixture *f = err_alloc(sizeof *f);
	struct err err;

	f->clock = clock_new();
	f->loop = loop_new(f->clock, &err);
	f->main = pthread_self();
	if (!f->loop || pipe2(f->fds, O_NONBLOCK))
		return -1;
	timer_init(&f->limit, f->clock, too_late, f->loop);
	loop_lock(f->loop);
	timer_arm(&f->limit, LIMIT);
	loop_unlock(f->loop);
	clock_start(f->clock);
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	loop_free(f->loop);
	clock_free(f->clock);
	close(f->fds[0]);
	close(f->fds[1]);
	free(f);
	return 0;
}

static void watch(struct fixture *f, int fd, unsigned events, loop_fd_fn *fn)
{
	loop_lock(f->loop);
	loop_watch(f->loop, fd, events, fn, f);
	loop_unlock(f->loop);
}

static void test_lock(void **state)
{
	struct fixture *f = *state;

	assert_false(loop_locked(f->loop));
	loop_lock(f->loop);
	assert_true(loop_locked(f->loop));
	loop_unlock(f->loop);
	assert_false(loop_locked(f->loop));
}

static void test_quit_first_wins(void **state)
{
	struct fixture *f = *state;

	assert_false(loop_quitting(f->loop));
	loop_quit(f->loop, -3);
	loop_quit(f->loop, 5);
	assert_true(loop_quitting(f->loop));
	assert_int_equal(loop_run(f->loop), -3);
	assert_int_equal(loop_run(f->loop), -3);
}

/* ---- descriptors ---- */
static void on_pipe(void *opaque, int fd, unsigned events)
{
	struct fixture *f = opaque;
	char c;

	assert_true(loop_locked(f->loop));
	f->calls++;
	f->events |= events;
	if (read(fd, &c, 1) == 1 && c == 'q')
		loop_quit(f->loop, 7);
}

static void test_pipe_level_triggered(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(write(f->fds[1], "abcq", 4), 4);
	watch(f, f->fds[0], LOOP_READ, on_pipe);
	assert_int_equal(loop_run(f->loop), 7);
	assert_int_equal(f->calls, 4);
	assert_int_equal(f->events, LOOP_READ);
}

static void on_hangup(void *opaque, int fd, unsigned events)
{
	struct fixture *f = opaque;
	char c;

	f->events |= events;
	if (read(fd, &c, 1) == 0) {
		loop_watch(f->loop, fd, 0, NULL, NULL);
		loop_quit(f->loop, 8);
	}
}

static void test_hangup(void **state)
{
	struct fixture *f = *state;

	watch(f, f->fds[0], LOOP_READ, on_hangup);
	close(f->fds[1]);
	f->fds[1] = -1;
	assert_int_equal(loop_run(f->loop), 8);
	assert_int_equal(f->events, LOOP_READ | LOOP_HANGUP);
}

/* Both ends become ready in one batch; whoever comes first removes both and puts a new watch in. */
static void on_either(void *opaque, int fd, unsigned events)
{
	struct fixture *f = opaque;

	(void)fd;
	(void)events;
	f->calls++;
	loop_watch(f->loop, f->fds[0], 0, NULL, NULL);
	loop_watch(f->loop, f->fds[1], 0, NULL, NULL);
	loop_watch(f->loop, f->fds[0], LOOP_READ, on_pipe, f);
}

static void test_remove_in_callback(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(write(f->fds[1], "q", 1), 1);
	watch(f, f->fds[0], LOOP_READ, on_either);
	watch(f, f->fds[1], LOOP_WRITE, on_either);
	assert_int_equal(loop_run(f->loop), 7);
	assert_int_equal(f->calls, 2);
}

static void test_change_events(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(write(f->fds[1], "q", 1), 1);
	watch(f, f->fds[1], LOOP_READ, on_either); /* a write end never becomes readable */
	watch(f, f->fds[1], LOOP_WRITE, on_either);
	assert_int_equal(loop_run(f->loop), 7);
	assert_int_equal(f->calls, 2);
}

static void on_file(void *opaque, int fd, unsigned events)
{
	struct fixture *f = opaque;
	char c;

	assert_int_equal(events, LOOP_READ);
	if (read(fd, &c, 1) == 1) {
		f->calls++;
	} else {
		loop_watch(f->loop, fd, 0, NULL, NULL);
		loop_quit(f->loop, 9);
	}
}

static void test_regular_file(void **state)
{
	struct fixture *f = *state;
	FILE *file = tmpfile();

	fputs("hello", file);
	fflush(file);
	lseek(fileno(file), 0, SEEK_SET);
	watch(f, fileno(file), LOOP_READ, on_file);
	assert_int_equal(loop_run(f->loop), 9);
	assert_int_equal(f->calls, 5);
	fclose(file);
}

/* ---- posts and workers ---- */
static void post_again(void *opaque)
{
	struct fixture *f = opaque;

	assert_true(loop_locked(f->loop));
	assert_true(pthread_equal(pthread_self(), f->main));
	if (++f->calls == 100)
		loop_quit(f->loop, 0);
	else
		loop_post(f->loop, post_again, f);
}

static void test_post(void **state)
{
	struct fixture *f = *state;

	loop_post(f->loop, post_again, f);
	assert_int_equal(loop_run(f->loop), 0);
	assert_int_equal(f->calls, 100);
}

static void count_post(void *opaque)
{
	struct fixture *f = opaque;

	if (++f->calls == 4000)
		loop_quit(f->loop, 0);
}

static void *many_posts(void *opaque)
{
	struct fixture *f = opaque;

	for (unsigned i = 0; i < 1000; i++) {
		if (i % 3 == 0)
			loop_lock(f->loop);
		loop_post(f->loop, count_post, f);
		if (i % 3 == 0)
			loop_unlock(f->loop);
	}
	return NULL;
}

static void test_post_from_threads(void **state)
{
	struct fixture *f = *state;
	pthread_t threads[4];

	for (unsigned i = 0; i < 4; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, many_posts, f), 0);
	assert_int_equal(loop_run(f->loop), 0);
	assert_int_equal(f->calls, 4000);
	for (unsigned i = 0; i < 4; i++)
		pthread_join(threads[i], NULL);
}

struct job {
	struct fixture *f;
	unsigned value;
};

static void job_work(void *opaque)
{
	struct job *job = opaque;

	assert_false(loop_locked(job->f->loop));
	assert_false(pthread_equal(pthread_self(), job->f->main));
	job->value *= 2;
}

static void job_done(void *opaque)
{
	struct job *job = opaque;

	assert_true(loop_locked(job->f->loop));
	job->f->events += job->value;
	if (++job->f->calls == 500)
		loop_quit(job->f->loop, 0);
}

static void test_workers(void **state)
{
	struct fixture *f = *state;
	struct job *jobs = err_alloc(500 * sizeof *jobs);
	unsigned sum = 0;

	for (unsigned i = 0; i < 500; i++) {
		jobs[i] = (struct job){f, i};
		sum += 2 * i;
		loop_work(f->loop, job_work, job_done, &jobs[i]);
	}
	assert_int_equal(loop_run(f->loop), 0);
	assert_int_equal(f->events, sum);
	free(jobs);
}

/* Who holds the lock until the last of many jobs is done does not keep the workers from it, and all completions come. */
static void count_work(void *opaque)
{
	struct job *job = opaque;

	__atomic_add_fetch(&job->f->worked, 1, __ATOMIC_SEQ_CST);
}

static void hold_lock(void *opaque)
{
	struct fixture *f = opaque;
	static struct job jobs[100];

	for (unsigned i = 0; i < 100; i++) {
		jobs[i] = (struct job){f, 5};
		loop_work_direct(f->loop, count_work, job_done, &jobs[i]);
	}
	while (__atomic_load_n(&f->worked, __ATOMIC_SEQ_CST) < 100)
		usleep(100);
	assert_int_equal(f->calls, 400);
}

static void test_direct(void **state)
{
	struct fixture *f = *state;
	struct job *jobs = err_alloc(400 * sizeof *jobs);

	for (unsigned i = 0; i < 400; i++) { /* before the loop runs nobody but loop_drain completes them */
		jobs[i] = (struct job){f, 1};
		loop_work_direct(f->loop, job_work, job_done, &jobs[i]);
	}
	usleep(1000);
	assert_int_equal(f->calls, 0);
	loop_drain(f->loop);
	assert_int_equal(f->calls, 400);
	loop_post(f->loop, hold_lock, f);
	assert_int_equal(loop_run(f->loop), 0);
	assert_int_equal(f->calls, 500);
	assert_int_equal(f->events, 400 * 2 + 100 * 5);
	loop_work_direct(f->loop, job_work, job_done, &jobs[0]); /* and after it, nobody */
	loop_drain(f->loop);
	assert_int_equal(f->calls, 501);
	free(jobs);
}

static void test_drain(void **state)
{
	struct fixture *f = *state;
	static struct job jobs[20]; /* the last one outlives this function */

	for (unsigned i = 0; i < 20; i++) {
		jobs[i] = (struct job){f, i};
		loop_work(f->loop, job_work, job_done, &jobs[i]);
	}
	loop_drain(f->loop);
	assert_int_equal(f->calls, 20);
	/* and work that nobody waits for is finished, not lost, by loop_free */
	loop_work(f->loop, job_work, NULL, &jobs[0]);
}

/* ---- timers ---- */
static void *arm_soon(void *opaque)
{
	struct fixture *f = opaque;

	usleep(20000); /* the loop sleeps by now, until `limit` */
	loop_lock(f->loop);
	timer_arm(&f->limit, clock_now(f->clock) + MS);
	loop_unlock(f->loop);
	return NULL;
}

static void test_timer_armed_by_another_thread(void **state)
{
	struct fixture *f = *state;
	pthread_t thread;

	assert_int_equal(pthread_create(&thread, NULL, arm_soon, f), 0);
	assert_int_equal(loop_run(f->loop), 99);
	assert_true(clock_now(f->clock) < LIMIT); /* it did not sleep on */
	pthread_join(thread, NULL);
}

static pthread_t fired_on;

static void note_thread(void *opaque)
{
	struct fixture *f = opaque;

	fired_on = pthread_self();
	f->events++;
}

/* The loop's thread cannot run, as on a host that is busy: here because we have the lock. */
static void *overtake(void *opaque)
{
	struct fixture *f = opaque;
	struct timer timer;

	loop_lock(f->loop);
	timer_init(&timer, f->clock, note_thread, f);
	timer_arm(&timer, clock_now(f->clock) + 1);
	while (!clock_overdue(f->clock, clock_now(f->clock)))
		;
	loop_catch_up(f->loop);
	assert_int_equal(f->events, 1);
	assert_true(pthread_equal(fired_on, pthread_self()));
	loop_catch_up(f->loop);
	assert_int_equal(f->events, 1);
	loop_unlock(f->loop);
	loop_quit(f->loop, 5);
	return NULL;
}

static void overtake_now(void *opaque)
{
	struct fixture *f = opaque;

	assert_int_equal(pthread_create(&f->thread, NULL, overtake, f), 0);
}

static void test_overdue_timers(void **state)
{
	struct fixture *f = *state;

	assert_false(clock_overdue(f->clock, 0));
	loop_post(f->loop, overtake_now, f);
	assert_int_equal(loop_run(f->loop), 5);
	pthread_join(f->thread, NULL);
}

static void *start_soon(void *opaque)
{
	struct fixture *f = opaque;

	usleep(20000);
	f->calls = 1;
	clock_start(f->clock); /* deliberately without the lock */
	return NULL;
}

static void test_timers_wait_for_a_stopped_clock(void **state)
{
	struct fixture *f = *state;
	pthread_t thread;

	clock_stop(f->clock);
	loop_lock(f->loop);
	timer_arm(&f->limit, 1);
	loop_unlock(f->loop);
	assert_int_equal(pthread_create(&thread, NULL, start_soon, f), 0);
	assert_int_equal(loop_run(f->loop), 99);
	pthread_join(thread, NULL);
	assert_int_equal(f->calls, 1);
}

static void *quit_soon(void *opaque)
{
	struct fixture *f = opaque;

	usleep(50000);
	loop_quit(f->loop, 3);
	return NULL;
}

static void test_counting_leaves_timers_alone(void **state)
{
	struct fixture *f = *state;
	u64 instructions = 0;
	pthread_t thread;

	clock_stop(f->clock);
	clock_count_instructions(f->clock, &instructions, 0);
	loop_lock(f->loop);
	timer_arm(&f->limit, 0);
	loop_unlock(f->loop);
	clock_start(f->clock);
	assert_int_equal(pthread_create(&thread, NULL, quit_soon, f), 0);
	assert_int_equal(loop_run(f->loop), 3);
	pthread_join(thread, NULL);
}

struct ticker {
	struct fixture *f;
	struct timer timer;
	unsigned ticks;
	u64 worst;
};

static void on_tick(void *opaque)
{
	struct ticker *t = opaque;
	u64 due = (t->ticks + 1) * MS;
	u64 late = clock_now(t->f->clock) - due;

	t->worst = MAX(t->worst, late);
	if (++t->ticks == 200)
		loop_quit(t->f->loop, 0);
	else
		timer_arm(&t->timer, due + MS);
}

static void *hog(void *opaque)
{
	struct fixture *f = opaque;

	while (!loop_quitting(f->loop)) {
		loop_lock(f->loop);
		f->events++;
		loop_unlock(f->loop);
	}
	return NULL;
}

/* Two threads take the lock again and again, as vCPUs that poll a device do; timers must come all the same. */
static void test_lock_hogs_do_not_starve_timers(void **state)
{
	struct fixture *f = *state;
	struct ticker ticker = {.f = f};
	pthread_t threads[2];

	clock_stop(f->clock);
	clock_set(f->clock, 0);
	timer_init(&ticker.timer, f->clock, on_tick, &ticker);
	loop_lock(f->loop);
	timer_arm(&ticker.timer, MS);
	loop_unlock(f->loop);
	for (unsigned i = 0; i < 2; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, hog, f), 0);
	clock_start(f->clock);
	assert_int_equal(loop_run(f->loop), 0);
	for (unsigned i = 0; i < 2; i++)
		pthread_join(threads[i], NULL);
	print_message("worst lateness %u us, %u hog entries\n", (unsigned)(ticker.worst / 1000), f->events);
	assert_true(f->events > 200);
}

/* ---- entropy ---- */
static void test_entropy(void **state)
{
	struct fixture *f = *state;
	u8 a[1000], b[1000], zero[1000] = {0};

	loop_entropy(f->loop, a, sizeof a);
	loop_entropy(f->loop, b, sizeof b);
	assert_memory_not_equal(a, b, sizeof a);
	assert_memory_not_equal(a, zero, sizeof a);
	loop_entropy_seed(f->loop, 5);
	loop_entropy(f->loop, a, sizeof a);
	loop_entropy_seed(f->loop, 5);
	for (unsigned i = 0; i < sizeof b; i += 25) /* however it is cut up */
		loop_entropy(f->loop, b + i, 25);
	assert_memory_equal(a, b, sizeof a);
	loop_entropy_seed(f->loop, 6);
	loop_entropy(f->loop, b, sizeof b);
	assert_memory_not_equal(a, b, sizeof a);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_lock),
		TEST(test_quit_first_wins),
		TEST(test_pipe_level_triggered),
		TEST(test_hangup),
		TEST(test_remove_in_callback),
		TEST(test_change_events),
		TEST(test_regular_file),
		TEST(test_post),
		TEST(test_post_from_threads),
		TEST(test_workers),
		TEST(test_direct),
		TEST(test_drain),
		TEST(test_timer_armed_by_another_thread),
		TEST(test_overdue_timers), TEST(test_timers_wait_for_a_stopped_clock),
		TEST(test_counting_leaves_timers_alone),
		TEST(test_lock_hogs_do_not_starve_timers),
		TEST(test_entropy),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
