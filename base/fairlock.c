/* SPDX-License-Identifier: MIT */
/* A futex lock with eventual fairness.
 *
 * Whoever comes while the lock is free takes it (cheap, no hand-over through the scheduler). A thread that has waited
 * PATIENCE_NS, or is urgent, takes the turn: while somebody has the turn, newcomers wait before the door, so at most
 * those already inside get the lock before it. There is one turn, given back on entry, and urgent threads queue for it
 * like everybody; so the event loop and the vCPUs keep each other waiting for a bounded number of critical sections.
 *
 * Invariant: every sleeper on a word has seen the word non-zero and has made it 2, and whoever clears a 2 wakes. */
#include "base/fairlock.h"

#include <linux/futex.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define SPINS 64
#define PATIENCE_NS 200000

/* its address is the calling thread's mark */
static _Thread_local char self;

static void futex_wait(u32 *word, u32 expected, const struct timespec *timeout)
{
	syscall(SYS_futex, word, FUTEX_WAIT_PRIVATE, expected, timeout, NULL, 0);
}

static void futex_wake(u32 *word, int count)
{
	syscall(SYS_futex, word, FUTEX_WAKE_PRIVATE, count, NULL, NULL, 0);
}

static inline void relax(void)
{
#if defined(__x86_64__)
	__builtin_ia32_pause();
#elif defined(__aarch64__)
	__asm__ volatile("yield");
#endif
}

static bool take(u32 *word)
{
	u32 expected = 0;

	return __atomic_compare_exchange_n(word, &expected, 1, false, __ATOMIC_ACQUIRE, __ATOMIC_RELAXED);
}

/* Wait until the word can be taken; the impatient give up after one sleep of at most PATIENCE_NS. */
static bool acquire(u32 *word, bool patient)
{
	const struct timespec patience = {.tv_nsec = PATIENCE_NS};

	for (unsigned i = 0; i < SPINS; i++) {
		if (!__atomic_load_n(word, __ATOMIC_RELAXED) && take(word))
			return true;
		relax();
	}
	/* Take it as 2 even when nobody else may sleep, at worst for one wake too many: the wake that ended our sleep was
	 * the only one, and the next sleeper needs the next. */
	while (__atomic_exchange_n(word, 2, __ATOMIC_ACQUIRE) != 0) {
		futex_wait(word, 2, patient ? NULL : &patience);
		if (!patient)
			return __atomic_exchange_n(word, 2, __ATOMIC_ACQUIRE) == 0;
	}
	return true;
}

static void release(u32 *word, int wake)
{
	if (__atomic_exchange_n(word, 0, __ATOMIC_RELEASE) == 2)
		futex_wake(word, wake);
}

/* Newcomers stay here while somebody has the turn. */
static void wait_for_turn(struct fairlock *lock)
{
	u32 turn;

	while ((turn = __atomic_load_n(&lock->turn, __ATOMIC_ACQUIRE)) != 0)
		if (turn == 2 || __atomic_compare_exchange_n(&lock->turn, &turn, 2, false, __ATOMIC_RELAXED, __ATOMIC_RELAXED))
			futex_wait(&lock->turn, 2, NULL);
}

static void take_turn(struct fairlock *lock)
{
	acquire(&lock->turn, true);
	acquire(&lock->state, true);
	/* all of them: they sleep before the door and behind it */
	release(&lock->turn, INT32_MAX);
}

static void entered(struct fairlock *lock)
{
	__atomic_store_n(&lock->owner, &self, __ATOMIC_RELAXED);
}

void fairlock_lock(struct fairlock *lock)
{
	if (unlikely(__atomic_load_n(&lock->turn, __ATOMIC_RELAXED)))
		wait_for_turn(lock);
	if (unlikely(!take(&lock->state)) && !acquire(&lock->state, false))
		take_turn(lock);
	entered(lock);
}

void fairlock_lock_urgent(struct fairlock *lock)
{
	if (unlikely(__atomic_load_n(&lock->turn, __ATOMIC_RELAXED)))
		wait_for_turn(lock);
	if (unlikely(!take(&lock->state)))
		take_turn(lock);
	entered(lock);
}

void fairlock_unlock(struct fairlock *lock)
{
	__atomic_store_n(&lock->owner, NULL, __ATOMIC_RELAXED);
	release(&lock->state, 1);
}

bool fairlock_wanted(const struct fairlock *lock)
{
	return __atomic_load_n(&lock->state, __ATOMIC_RELAXED) == 2 || __atomic_load_n(&lock->turn, __ATOMIC_RELAXED);
}

bool fairlock_held(const struct fairlock *lock)
{
	return __atomic_load_n(&lock->owner, __ATOMIC_RELAXED) == &self;
}
