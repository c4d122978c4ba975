/* SPDX-License-Identifier: MIT */
/* The event loop: epoll for descriptors, an event descriptor for everything else that must wake it.
 *
 * One round under the lock: posted functions, due timers, then the descriptors that the last wait found ready. The wait
 * is outside the lock and lasts until the clock's earliest deadline. What must end it early (a post, a nearer deadline,
 * a clock set going) writes to the event descriptor; `wake_at` says how long the loop sleeps, so that arming a timer
 * behind that costs no system call.
 * Descriptors that epoll refuses (regular files) are always ready, as poll() has them.
 *
 * Work done directly is completed by the worker itself, which then holds the lock: a guest that waits for its disk is woken by
 * two hand-overs instead of three. The worker that went to sleep last is woken first: its stack and its host CPU are still warm.
 *
 * Invariants: a struct watch that a callback removes stays allocated until the round is over (epoll's batch may name
 * it). loop->mutex guards the two queues only and is never held in a callback. */
#define _GNU_SOURCE /* ppoll */
#include "base/loop.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/prctl.h>
#include <sys/random.h>
#include <unistd.h>

#include "base/fairlock.h"
#include "base/thread.h"

#define WORKERS 4
#define BATCH 32
#define POOL 256
#define AWAKE 0 /* wake_at while the loop is not about to sleep */
#define FOREVER (~0ull)
#define QUIT BIT(32)

struct watch {
	int fd;
	unsigned events; /* 0: removed */
	loop_fd_fn *fn;
	void *opaque;
	bool polled; /* false: epoll refused it, always ready */
	struct watch *next;
};

struct task {
	loop_fn *work, *fn;
	void *opaque;
	bool direct; /* fn may come on the worker's thread */
	struct task *next;
};

struct queue {
	struct task *first, **last;
};

struct worker {
	struct loop *loop;
	pthread_t thread;
	pthread_cond_t wake;
	bool asleep; /* in the list of sleepers; under loop->mutex */
	struct worker *next;
};

struct loop {
	struct fairlock lock;
	struct clock *clock;
	int epoll, event;
	struct watch *watches;
	unsigned always_ready;
	u64 wake_at; /* host ns */
	u64 quit;    /* QUIT | code */
	bool running; /* loop_run() has not returned: whoever has the lock has the machine; under the lock */

	pthread_mutex_t mutex;
	pthread_cond_t idle;
	struct queue posted, work;
	bool workers_tried;
	unsigned workers, busy; /* busy: work taken or queued and not yet completed into `posted` */
	unsigned completing; /* workers that want the lock, or have it */
	bool stopping;
	struct worker worker[WORKERS], *sleepers;

	pthread_mutex_t entropy_lock;
	bool seeded;
	u64 seed;
	unsigned pool_left;
	u8 pool[POOL];
};

/* ---- the lock ---- */
void loop_lock(struct loop *loop)
{
	fairlock_lock(&loop->lock);
}

void loop_unlock(struct loop *loop)
{
	fairlock_unlock(&loop->lock);
}

void loop_catch_up(struct loop *loop)
{
	if (loop->running && clock_overdue(loop->clock, clock_now(loop->clock)))
		clock_run(loop->clock);
}

bool loop_wanted(const struct loop *loop)
{
	return fairlock_wanted(&loop->lock);
}

bool loop_locked(const struct loop *loop)
{
	return fairlock_held(&loop->lock);
}

/* ---- waking ---- */
/* Async-signal-safe, any thread. */
static void wake(struct loop *loop)
{
	const u64 one = 1;
	ssize_t n;

	/* fails only when the counter is full, which wakes as well */
	do
		n = write(loop->event, &one, sizeof one);
	while (n < 0 && errno == EINTR);
}

/* Host time at which the clock's earliest deadline comes. */
static u64 deadline_host(struct loop *loop)
{
	u64 deadline, now, host;

	if (clock_counts(loop->clock) || !clock_running(loop->clock))
		return FOREVER;
	deadline = clock_deadline(loop->clock);
	if (deadline == CLOCK_NEVER)
		return FOREVER;
	now = clock_now(loop->clock);
	host = clock_host();
	if (deadline <= now)
		return host;
	return deadline - now < FOREVER - host ? host + (deadline - now) : FOREVER;
}

static void deadline_nearer(void *opaque)
{
	struct loop *loop = opaque;
	u64 wake_at = __atomic_load_n(&loop->wake_at, __ATOMIC_SEQ_CST);

	if (wake_at != AWAKE && deadline_host(loop) < wake_at)
		wake(loop);
}

/* ---- queues ---- */
static void queue_put(struct queue *queue, struct task *task)
{
	task->next = NULL;
	*queue->last = task;
	queue->last = &task->next;
}

static struct task *queue_take_all(struct queue *queue)
{
	struct task *first = queue->first;

	queue->first = NULL;
	queue->last = &queue->first;
	return first;
}

static struct task *task_new(loop_fn *work, loop_fn *fn, void *opaque)
{
	struct task *task = err_alloc(sizeof *task);

	task->work = work;
	task->fn = fn;
	task->opaque = opaque;
	return task;
}

static void post_task(struct loop *loop, struct task *task, bool was_work)
{
	bool first;

	pthread_mutex_lock(&loop->mutex);
	first = !loop->posted.first;
	queue_put(&loop->posted, task);
	if (was_work && --loop->busy == 0)
		pthread_cond_broadcast(&loop->idle);
	pthread_mutex_unlock(&loop->mutex);
	/* an awake loop looks at the queue after it has left that state */
	if (first && __atomic_load_n(&loop->wake_at, __ATOMIC_SEQ_CST) != AWAKE)
		wake(loop);
}

void loop_post(struct loop *loop, loop_fn *fn, void *opaque)
{
	post_task(loop, task_new(NULL, fn, opaque), false);
}

/* What is posted meanwhile waits for the next round. */
static void run_posted(struct loop *loop)
{
	struct task *task;

	pthread_mutex_lock(&loop->mutex);
	task = queue_take_all(&loop->posted);
	pthread_mutex_unlock(&loop->mutex);
	while (task) {
		struct task *next = task->next;

		if (task->fn)
			task->fn(task->opaque);
		free(task);
		task = next;
	}
}

static bool posted_any(struct loop *loop)
{
	bool any;

	pthread_mutex_lock(&loop->mutex);
	any = loop->posted.first != NULL;
	pthread_mutex_unlock(&loop->mutex);
	return any;
}

/* ---- workers ---- */
/* Whoever has the lock may be waiting for work that is still in the queue: one worker always stays off the lock. */
static bool complete_direct(struct loop *loop, struct task *task)
{
	bool may;

	pthread_mutex_lock(&loop->mutex);
	may = loop->completing + 1 < loop->workers;
	loop->completing += may;
	pthread_mutex_unlock(&loop->mutex);
	if (!may)
		return false;
	loop_lock(loop);
	may = loop->running && !clock_counts(loop->clock);
	if (may)
		task->fn(task->opaque);
	loop_unlock(loop);
	pthread_mutex_lock(&loop->mutex);
	loop->completing--;
	if (may && --loop->busy == 0)
		pthread_cond_broadcast(&loop->idle);
	pthread_mutex_unlock(&loop->mutex);
	if (may)
		free(task);
	return may;
}

/* Under the mutex: one that sleeps, to be woken outside; NULL: all are awake. */
static struct worker *rouse(struct loop *loop)
{
	struct worker *worker = loop->sleepers;

	if (worker) {
		loop->sleepers = worker->next;
		worker->asleep = false;
	}
	return worker;
}

static void sleep_until_roused(struct worker *worker)
{
	struct loop *loop = worker->loop;

	worker->asleep = true;
	worker->next = loop->sleepers;
	loop->sleepers = worker;
	while (worker->asleep)
		pthread_cond_wait(&worker->wake, &loop->mutex);
}

static void *worker_main(void *opaque)
{
	struct worker *worker = opaque;
	struct loop *loop = worker->loop;

	pthread_mutex_lock(&loop->mutex);
	for (;;) {
		struct task *task = loop->work.first;

		if (!task) {
			if (loop->stopping)
				break;
			sleep_until_roused(worker);
			continue;
		}
		loop->work.first = task->next;
		if (!task->next)
			loop->work.last = &loop->work.first;
		pthread_mutex_unlock(&loop->mutex);
		task->work(task->opaque);
		if (!task->direct || !complete_direct(loop, task))
			post_task(loop, task, true);
		pthread_mutex_lock(&loop->mutex);
	}
	pthread_mutex_unlock(&loop->mutex);
	return NULL;
}

static void start_workers(struct loop *loop)
{
	loop->workers_tried = true;
	while (loop->workers < WORKERS) {
		struct worker *worker = &loop->worker[loop->workers];

		worker->loop = loop;
		pthread_cond_init(&worker->wake, NULL);
		if (thread_start(&worker->thread, THREAD_WORKER, worker_main, worker))
			break;
		loop->workers++;
	}
}

void loop_start_workers(struct loop *loop)
{
	pthread_mutex_lock(&loop->mutex);
	start_workers(loop);
	pthread_mutex_unlock(&loop->mutex);
}

static void add_work(struct loop *loop, struct task *task)
{
	struct worker *worker = NULL;
	bool alone;

	pthread_mutex_lock(&loop->mutex);
	if (!loop->workers_tried)
		start_workers(loop);
	alone = !loop->workers;
	loop->busy++;
	if (!alone) {
		queue_put(&loop->work, task);
		worker = rouse(loop);
	}
	pthread_mutex_unlock(&loop->mutex);
	if (worker) {
		pthread_cond_signal(&worker->wake); /* outside, for whom it wakes wants the mutex */
	} else if (alone) { /* the host gives no threads: slower, but right */
		task->work(task->opaque);
		post_task(loop, task, true);
	}
}

void loop_work(struct loop *loop, loop_fn *work, loop_fn *done, void *opaque)
{
	add_work(loop, task_new(work, done, opaque));
}

void loop_work_direct(struct loop *loop, loop_fn *work, loop_fn *done, void *opaque)
{
	struct task *task = task_new(work, done, opaque);

	task->direct = true;
	add_work(loop, task);
}

static void wait_idle(struct loop *loop)
{
	pthread_mutex_lock(&loop->mutex);
	while (loop->busy)
		pthread_cond_wait(&loop->idle, &loop->mutex);
	pthread_mutex_unlock(&loop->mutex);
}

void loop_drain(struct loop *loop)
{
	do {
		wait_idle(loop);
		loop_lock(loop);
		run_posted(loop);
		loop_unlock(loop);
	} while (posted_any(loop) || __atomic_load_n(&loop->busy, __ATOMIC_RELAXED));
}

/* ---- descriptors ---- */
static u32 to_epoll(unsigned events)
{
	return (events & LOOP_READ ? EPOLLIN : 0) | (events & LOOP_WRITE ? EPOLLOUT : 0) |
	       (events & LOOP_HANGUP ? EPOLLRDHUP : 0);
}

/* An error or a hang-up is also given as the event that was asked for: the callback's read or write meets it. */
static unsigned from_epoll(u32 events)
{
	return (events & (EPOLLIN | EPOLLRDHUP | EPOLLHUP | EPOLLERR) ? LOOP_READ : 0) |
	       (events & (EPOLLOUT | EPOLLERR | EPOLLHUP) ? LOOP_WRITE : 0) |
	       (events & (EPOLLHUP | EPOLLRDHUP | EPOLLERR) ? LOOP_HANGUP : 0);
}

static struct watch *find_watch(struct loop *loop, int fd)
{
	struct watch *w = loop->watches;

	while (w && (w->fd != fd || !w->events))
		w = w->next;
	return w;
}

static void remove_watch(struct loop *loop, struct watch *w)
{
	w->events = 0;
	if (w->polled)
		epoll_ctl(loop->epoll, EPOLL_CTL_DEL, w->fd, NULL); /* EBADF when its owner closed it first */
	else
		loop->always_ready--;
}

void loop_watch(struct loop *loop, int fd, unsigned events, loop_fd_fn *fn, void *opaque)
{
	struct watch *w = find_watch(loop, fd);
	struct epoll_event event = {.events = to_epoll(events)};

	if (!events) {
		if (w)
			remove_watch(loop, w);
		return;
	}
	if (!w) {
		w = err_alloc(sizeof *w);
		w->fd = fd;
		w->polled = true;
		w->next = loop->watches;
		loop->watches = w;
	}
	w->events = events;
	w->fn = fn;
	w->opaque = opaque;
	event.data.ptr = w;
	if (!w->polled)
		return;
	if (epoll_ctl(loop->epoll, EPOLL_CTL_ADD, fd, &event) < 0 &&
	    !(errno == EEXIST && epoll_ctl(loop->epoll, EPOLL_CTL_MOD, fd, &event) == 0)) {
		/* EPERM: a regular file. Anything else the callback learns from its own read or write. */
		w->polled = false;
		loop->always_ready++;
		wake(loop);
	}
}

static void free_removed(struct loop *loop)
{
	struct watch **at = &loop->watches;

	while (*at) {
		struct watch *w = *at;

		if (w->events) {
			at = &w->next;
			continue;
		}
		*at = w->next;
		free(w);
	}
}

static void dispatch(struct loop *loop, const struct epoll_event *events, int count)
{
	for (int i = 0; i < count; i++) {
		struct watch *w = events[i].data.ptr;
		u64 value;

		if (!w) { /* our own event descriptor */
			if (read(loop->event, &value, sizeof value) < 0)
				continue;
		} else if (from_epoll(events[i].events) & (w->events | LOOP_HANGUP) && w->events) {
			w->fn(w->opaque, w->fd, from_epoll(events[i].events) & (w->events | LOOP_HANGUP));
		}
	}
	/* new watches come at the head, so the walk does not meet them */
	for (struct watch *w = loop->always_ready ? loop->watches : NULL; w; w = w->next)
		if (!w->polled && w->events & (LOOP_READ | LOOP_WRITE))
			w->fn(w->opaque, w->fd, w->events & (LOOP_READ | LOOP_WRITE));
	free_removed(loop);
}

/* ---- the loop ---- */
static int wait_events(struct loop *loop, struct epoll_event *events, u64 wake_at)
{
	u64 now = wake_at == FOREVER ? 0 : clock_host();
	u64 ns = wake_at > now ? wake_at - now : 0;
	const struct timespec ts = {.tv_sec = (time_t)(ns / NS_PER_S), .tv_nsec = (long)(ns % NS_PER_S)};
	struct pollfd poll_epoll = {.fd = loop->epoll, .events = POLLIN};

	/* poll on the epoll descriptor has the resolution of nanoseconds on every kernel */
	if (wake_at > now && ppoll(&poll_epoll, 1, wake_at == FOREVER ? NULL : &ts, NULL) <= 0)
		return 0;
	return MAX(epoll_wait(loop->epoll, events, BATCH, 0), 0);
}

bool loop_await(struct loop *loop, int fd)
{
	struct pollfd fds[] = {{.fd = fd, .events = POLLIN}, {.fd = loop->event, .events = POLLIN}};

	/* what else wakes us is kept: the loop's first round looks everywhere */
	while (!loop_quitting(loop)) {
		u64 value;

		if (poll(fds, ARRAY_LEN(fds), -1) <= 0)
			continue;
		if (fds[0].revents)
			return true;
		if (read(loop->event, &value, sizeof value) < 0)
			continue;
	}
	return false;
}

int loop_run(struct loop *loop)
{
	struct epoll_event events[BATCH];
	int count = 0;

	/* guests measure their timers; the default slack of 50 us shows */
	prctl(PR_SET_TIMERSLACK, 1, 0, 0, 0);
	fairlock_lock_urgent(&loop->lock);
	loop->running = true;
	while (!loop_quitting(loop)) {
		u64 wake_at;

		dispatch(loop, events, count);
		run_posted(loop);
		if (clock_running(loop->clock) && !clock_counts(loop->clock))
			clock_run(loop->clock);

		/* From here on whoever brings the deadline nearer wakes us; so first promise to sleep for ever, then look. */
		__atomic_store_n(&loop->wake_at, FOREVER, __ATOMIC_SEQ_CST);
		wake_at = loop->always_ready || posted_any(loop) || loop_quitting(loop) ? 1 : deadline_host(loop);
		__atomic_store_n(&loop->wake_at, wake_at, __ATOMIC_SEQ_CST);
		fairlock_unlock(&loop->lock);
		count = wait_events(loop, events, wake_at);
		fairlock_lock_urgent(&loop->lock);
		__atomic_store_n(&loop->wake_at, AWAKE, __ATOMIC_SEQ_CST);
	}
	loop->running = false;
	fairlock_unlock(&loop->lock);
	return (int)(u32)__atomic_load_n(&loop->quit, __ATOMIC_ACQUIRE);
}

bool loop_quit(struct loop *loop, int code)
{
	u64 expected = 0;
	bool first = __atomic_compare_exchange_n(&loop->quit, &expected, QUIT | (u32)code, false, __ATOMIC_ACQ_REL,
	                                         __ATOMIC_RELAXED);

	if (first)
		wake(loop);
	return first;
}

bool loop_quitting(const struct loop *loop)
{
	return __atomic_load_n(&loop->quit, __ATOMIC_ACQUIRE) != 0;
}

/* ---- entropy ---- */
/* splitmix64 (Steele, Lea, Flood 2014) */
static u64 next_seeded(struct loop *loop)
{
	u64 z = loop->seed += 0x9e3779b97f4a7c15ull;

	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9ull;
	z = (z ^ z >> 27) * 0x94d049bb133111ebull;
	return z ^ z >> 31;
}

static void refill(struct loop *loop)
{
	for (unsigned i = 0; loop->seeded && i < POOL; i += 8)
		store64(loop->pool + i, next_seeded(loop));
	/* up to 256 bytes come whole or not at all */
	while (!loop->seeded && getrandom(loop->pool, POOL, 0) != POOL)
		if (errno != EINTR)
			bug("the host gives no entropy");
	loop->pool_left = POOL;
}

void loop_entropy(struct loop *loop, void *buf, size_t len)
{
	u8 *to = buf;

	pthread_mutex_lock(&loop->entropy_lock);
	while (len) {
		size_t n;

		if (!loop->pool_left)
			refill(loop);
		n = MIN(len, (size_t)loop->pool_left);
		memcpy(to, loop->pool + POOL - loop->pool_left, n);
		loop->pool_left -= (unsigned)n;
		to += n;
		len -= n;
	}
	pthread_mutex_unlock(&loop->entropy_lock);
}

void loop_secret(void *buf, size_t len)
{
	for (size_t done = 0; done < len;) {
		ssize_t n = getrandom((u8 *)buf + done, len - done, 0);
		if (n < 0 && errno != EINTR)
			bug("the host gives no entropy");
		done += n > 0 ? (size_t)n : 0;
	}
}

void loop_entropy_seed(struct loop *loop, u64 seed)
{
	pthread_mutex_lock(&loop->entropy_lock);
	loop->seeded = true;
	loop->seed = seed;
	loop->pool_left = 0;
	pthread_mutex_unlock(&loop->entropy_lock);
}

/* ---- life ---- */
struct loop *loop_new(struct clock *clock, struct err *err)
{
	struct epoll_event event = {.events = EPOLLIN};
	struct loop *loop = err_alloc(sizeof *loop);

	loop->clock = clock;
	loop->epoll = epoll_create1(EPOLL_CLOEXEC);
	loop->event = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (loop->epoll < 0 || loop->event < 0 || epoll_ctl(loop->epoll, EPOLL_CTL_ADD, loop->event, &event) < 0) {
		err_set(err, EXIT_HOST, "cannot make an event loop: %s", strerror(errno));
		if (loop->epoll >= 0)
			close(loop->epoll);
		if (loop->event >= 0)
			close(loop->event);
		free(loop);
		return NULL;
	}
	pthread_mutex_init(&loop->mutex, NULL);
	pthread_mutex_init(&loop->entropy_lock, NULL);
	pthread_cond_init(&loop->idle, NULL);
	queue_take_all(&loop->posted);
	queue_take_all(&loop->work);
	clock_on_nearer(clock, deadline_nearer, loop);
	return loop;
}

const struct clock *loop_clock(const struct loop *loop)
{
	return loop->clock;
}

static void free_tasks(struct task *task)
{
	while (task) {
		struct task *next = task->next;

		free(task);
		task = next;
	}
}

void loop_free(struct loop *loop)
{
	if (!loop)
		return;
	wait_idle(loop);
	pthread_mutex_lock(&loop->mutex);
	loop->stopping = true;
	for (struct worker *worker; (worker = rouse(loop));)
		pthread_cond_signal(&worker->wake);
	pthread_mutex_unlock(&loop->mutex);
	for (unsigned i = 0; i < loop->workers; i++) {
		pthread_join(loop->worker[i].thread, NULL);
		pthread_cond_destroy(&loop->worker[i].wake);
	}
	free_tasks(queue_take_all(&loop->posted));
	for (struct watch *w = loop->watches, *next; w; w = next) {
		next = w->next;
		free(w);
	}
	close(loop->epoll);
	close(loop->event);
	pthread_cond_destroy(&loop->idle);
	pthread_mutex_destroy(&loop->entropy_lock);
	pthread_mutex_destroy(&loop->mutex);
	free(loop);
}
