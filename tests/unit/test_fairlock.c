/* SPDX-License-Identifier: MIT */
/* base/fairlock: exclusion, and that neither a hot thread nor an urgent one starves the others. */
#include "base/fairlock.h"

#include <pthread.h>

#include "base/clock.h"
#include "tests/unit/unit.h"

struct shared {
	struct fairlock lock;
	u64 plain; /* guarded by the lock: the sanitizer's witness */
	u64 urgent_entries, entries;
	bool stop;
};

static void *hammer(void *opaque)
{
	struct shared *s = opaque;

	while (!__atomic_load_n(&s->stop, __ATOMIC_RELAXED)) {
		fairlock_lock(&s->lock);
		s->plain++;
		s->entries++;
		fairlock_unlock(&s->lock);
	}
	return NULL;
}

static void *hammer_urgent(void *opaque)
{
	struct shared *s = opaque;

	while (!__atomic_load_n(&s->stop, __ATOMIC_RELAXED)) {
		fairlock_lock_urgent(&s->lock);
		s->plain++;
		s->urgent_entries++;
		fairlock_unlock(&s->lock);
	}
	return NULL;
}

static void *count_to(void *opaque)
{
	struct shared *s = opaque;

	for (unsigned i = 0; i < 50000; i++) {
		if (i % 3)
			fairlock_lock(&s->lock);
		else
			fairlock_lock_urgent(&s->lock);
		s->plain++;
		fairlock_unlock(&s->lock);
	}
	return NULL;
}

static void test_exclusion(void **state)
{
	struct shared s = {0};
	pthread_t threads[4];

	(void)state;
	assert_false(fairlock_held(&s.lock));
	fairlock_lock(&s.lock);
	assert_true(fairlock_held(&s.lock));
	fairlock_unlock(&s.lock);
	assert_false(fairlock_held(&s.lock));
	for (unsigned i = 0; i < ARRAY_LEN(threads); i++)
		assert_int_equal(pthread_create(&threads[i], NULL, count_to, &s), 0);
	for (unsigned i = 0; i < ARRAY_LEN(threads); i++)
		pthread_join(threads[i], NULL);
	assert_int_equal(s.plain, 4 * 50000);
	assert_int_equal(s.lock.state, 0);
	assert_int_equal(s.lock.turn, 0);
}

static void *holder(void *opaque)
{
	struct shared *s = opaque;

	fairlock_lock(&s->lock);
	while (!__atomic_load_n(&s->stop, __ATOMIC_RELAXED))
		;
	fairlock_unlock(&s->lock);
	return NULL;
}

static void test_held_is_per_thread(void **state)
{
	struct shared s = {0};
	pthread_t thread;

	(void)state;
	assert_int_equal(pthread_create(&thread, NULL, holder, &s), 0);
	while (!__atomic_load_n(&s.lock.owner, __ATOMIC_RELAXED))
		;
	assert_false(fairlock_held(&s.lock));
	__atomic_store_n(&s.stop, true, __ATOMIC_RELAXED);
	fairlock_lock(&s.lock);
	assert_true(fairlock_held(&s.lock));
	fairlock_unlock(&s.lock);
	pthread_join(thread, NULL);
}

/* The caller must get in often while others hammer: it takes moments, and by GIVE_UP it is starving. */
#define GIVE_UP (60 * NS_PER_S)
static u64 longest_wait(struct shared *s, bool urgent, unsigned rounds)
{
	u64 longest = 0;

	for (unsigned i = 0; i < rounds; i++) {
		u64 start = clock_host();

		if (urgent)
			fairlock_lock_urgent(&s->lock);
		else
			fairlock_lock(&s->lock);
		longest = MAX(longest, clock_host() - start);
		s->plain++;
		fairlock_unlock(&s->lock);
	}
	return longest;
}

static void fairness(bool urgent, void *(*hot)(void *))
{
	struct shared s = {0};
	pthread_t threads[2];

	for (unsigned i = 0; i < ARRAY_LEN(threads); i++)
		assert_int_equal(pthread_create(&threads[i], NULL, hot, &s), 0);
	assert_true(longest_wait(&s, urgent, 300) < GIVE_UP);
	__atomic_store_n(&s.stop, true, __ATOMIC_RELAXED);
	for (unsigned i = 0; i < ARRAY_LEN(threads); i++)
		pthread_join(threads[i], NULL);
	assert_int_equal(s.plain, s.entries + s.urgent_entries + 300);
}

static void test_urgent_gets_in(void **state)
{
	(void)state;
	fairness(true, hammer);
}

static void test_others_get_in_between_urgent_ones(void **state)
{
	(void)state;
	fairness(false, hammer_urgent);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_exclusion),
		cmocka_unit_test(test_held_is_per_thread),
		cmocka_unit_test(test_urgent_gets_in),
		cmocka_unit_test(test_others_get_in_between_urgent_ones),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
