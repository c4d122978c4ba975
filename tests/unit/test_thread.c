/* SPDX-License-Identifier: MIT */
/* Threads know their kind, leave the user's signals to the main thread, and keep those of their own faults open. */
#include <signal.h>

#include "base/thread.h"
#include "tests/unit/unit.h"

struct seen {
	enum thread_kind kind;
	sigset_t blocked;
};

static void *look(void *opaque)
{
	struct seen *seen = opaque;

	seen->kind = thread_kind();
	pthread_sigmask(SIG_SETMASK, NULL, &seen->blocked);
	return NULL;
}

static struct seen run(enum thread_kind kind)
{
	struct seen seen = {0};
	pthread_t thread;

	assert_int_equal(thread_start(&thread, kind, look, &seen), 0);
	pthread_join(thread, NULL);
	return seen;
}

static void kinds(void **state)
{
	(void)state;
	for (enum thread_kind kind = THREAD_MAIN; kind < THREAD_KINDS; kind++) {
		assert_int_equal(run(kind).kind, kind);
		assert_non_null(thread_name(kind));
	}
	assert_int_equal(thread_kind(), THREAD_FOREIGN);
	thread_is(THREAD_MAIN);
	assert_int_equal(thread_kind(), THREAD_MAIN);
}

static void signals(void **state)
{
	static const int users[] = {SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGWINCH, SIGCONT, SIGCHLD, SIGALRM};
	const struct seen seen = run(THREAD_WORKER);
	sigset_t here;

	(void)state;
	for (unsigned i = 0; i < ARRAY_LEN(users); i++)
		assert_true(sigismember(&seen.blocked, users[i]));
	const int faults[] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGABRT, SIGSYS, SIGRTMIN + 4};
	for (unsigned i = 0; i < ARRAY_LEN(faults); i++)
		assert_false(sigismember(&seen.blocked, faults[i]));
	/* whoever starts a thread keeps its own */
	pthread_sigmask(SIG_SETMASK, NULL, &here);
	assert_false(sigismember(&here, SIGINT));
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(kinds), cmocka_unit_test(signals)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
