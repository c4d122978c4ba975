/* SPDX-License-Identifier: MIT */
/* base/err: texts, exit codes, and that hooks run on every way out. */
#include "base/err.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/unit/unit.h"

static void test_set_and_prefix(void **state)
{
	struct err err = {0};

	(void)state;
	assert_false(err_set(&err, EXIT_FILE, "%s: %d", "disk", 7));
	assert_int_equal(err.code, EXIT_FILE);
	assert_string_equal(err.text, "disk: 7");
	assert_false(err_prefix(&err, "-drive %s", "a"));
	assert_string_equal(err.text, "-drive a: disk: 7");
	assert_int_equal(err.code, EXIT_FILE);
	/* the old text may be an argument of the new one */
	err_set(&err, EXIT_USAGE, "again %s", err.text);
	assert_string_equal(err.text, "again -drive a: disk: 7");
	err_set(&err, EXIT_USAGE, "two\nlines\t");
	assert_string_equal(err.text, "two lines ");
	assert_false(err_set(NULL, EXIT_FILE, "x"));
	assert_false(err_prefix(NULL, "x"));
}

static void test_long_text(void **state)
{
	char text[2000];
	struct err err;

	(void)state;
	memset(text, 'x', sizeof text - 1);
	text[sizeof text - 1] = '\0';
	err_set(&err, EXIT_FILE, "%s", text);
	assert_int_equal(strlen(err.text), sizeof err.text - 1);
	err_prefix(&err, "name");
	assert_int_equal(strlen(err.text), sizeof err.text - 1);
	assert_memory_equal(err.text, "name: xxx", 9);
	err_prefix(&err, "%s", text);
	assert_true(strlen(err.text) < sizeof err.text);
}

static void test_exit_names(void **state)
{
	(void)state;
	for (int code = 0; code < 256; code++)
		if (code % 2)
			assert_null(err_exit_name(code));
	assert_non_null(err_exit_name(EXIT_OFF));
	assert_non_null(err_exit_name(EXIT_BUG));
	assert_null(err_exit_name(-1));
}

static void test_memory(void **state)
{
	u8 *p = err_alloc(100);
	char *s;

	(void)state;
	for (int i = 0; i < 100; i++)
		assert_int_equal(p[i], 0);
	p = err_realloc(p, 0);
	assert_non_null(p);
	free(p);
	p = err_alloc(0);
	assert_non_null(p);
	free(p);
	u8 *apart[] = {err_alloc_apart(1), err_alloc_apart(0), err_alloc_apart(129), err_alloc_apart(256)};
	for (unsigned i = 0; i < ARRAY_LEN(apart); i++) {
		assert_int_equal((uintptr_t)apart[i] % 128, 0);
		for (unsigned at = 0; at < (i < 2 ? 128 : 256); at++) /* to the end of the line */
			assert_int_equal(apart[i][at], 0);
	}
	for (unsigned i = 0; i < ARRAY_LEN(apart); i++)
		free(apart[i]);
	s = err_strdup("abc");
	assert_string_equal(s, "abc");
	free(s);
}

/* ---- ways out, each in a child ---- */
static int pipe_fd;

static void hook_a(void)
{
	if (write(pipe_fd, "a", 1) < 0)
		_exit(99);
}

static void hook_b(void)
{
	if (write(pipe_fd, "b", 1) < 0)
		_exit(99);
}

typedef void way_out(void);

static void out_exit(void) { exit(0); }
static void out_bug(void) { bug("test %d", 1); }
static void out_term(void) { raise(SIGTERM); }
static void out_abort(void) { abort(); }
static void out_memory(void)
{
	volatile size_t absurd = PTRDIFF_MAX - 4096;

	free(err_alloc(absurd));
}
static void out_fault(void)
{
	char *volatile nowhere = (char *)16;

	*nowhere = 1;
}

static int status_of(way_out *out, char *hooks)
{
	int fds[2], status;
	ssize_t n;
	pid_t pid;

	assert_int_equal(pipe(fds), 0);
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		pipe_fd = fds[1];
		if (!freopen("/dev/null", "w", stderr))
			_exit(98);
#ifndef UNIT_SANITIZED
		signal(SIGSEGV, SIG_DFL); /* the test library has one of its own */
#endif
		err_install_handlers();
		err_at_exit(hook_a);
		err_at_exit(hook_b);
		out();
		_exit(97);
	}
	close(fds[1]);
	n = read(fds[0], hooks, 8);
	while (n > 0 && n < 8) {
		ssize_t more = read(fds[0], hooks + n, (size_t)(8 - n));
		if (more <= 0)
			break;
		n += more;
	}
	hooks[MAX(n, 0)] = '\0';
	close(fds[0]);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	return status;
}

static void test_ways_out(void **state)
{
	char hooks[16];
	int status;

	(void)state;
	status = status_of(out_exit, hooks);
	assert_string_equal(hooks, "ba");
	assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
	status = status_of(out_bug, hooks);
	assert_string_equal(hooks, "ba");
	assert_true(WIFEXITED(status) && WEXITSTATUS(status) == EXIT_BUG);
	status = status_of(out_term, hooks);
	assert_string_equal(hooks, "ba");
	assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGTERM);
	/* what follows the hooks is the sanitizers' business when they are there */
	status = status_of(out_abort, hooks);
	assert_string_equal(hooks, "ba");
	assert_false(WIFEXITED(status) && WEXITSTATUS(status) == 0);
	status = status_of(out_fault, hooks);
	assert_string_equal(hooks, "ba");
	assert_false(WIFEXITED(status) && WEXITSTATUS(status) == 0);
#ifndef UNIT_SANITIZED
	assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGSEGV);
	status = status_of(out_memory, hooks);
	assert_string_equal(hooks, "ba");
	assert_true(WIFEXITED(status) && WEXITSTATUS(status) == EXIT_HOST);
#else
	(void)out_memory;
#endif
}

static void test_ignored_stays_ignored(void **state)
{
	pid_t pid = fork();
	int status;

	(void)state;
	if (pid == 0) {
		signal(SIGHUP, SIG_IGN);
		err_install_handlers();
		raise(SIGHUP);
		_exit(5);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 5);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_set_and_prefix), cmocka_unit_test(test_long_text), cmocka_unit_test(test_exit_names),
		cmocka_unit_test(test_memory), cmocka_unit_test(test_ways_out), cmocka_unit_test(test_ignored_stays_ignored),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
