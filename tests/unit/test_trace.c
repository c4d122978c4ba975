/* SPDX-License-Identifier: MIT */
/* base/trace: registration, globs, the form of a line. */
#include "base/trace.h"

#include <stdlib.h>

#include "tests/unit/unit.h"

TRACE_EVENT(ev_write, "zeta.write");
TRACE_EVENT(ev_read, "alpha.read");
TRACE_EVENT(ev_other, "alpha.other");

static char *text;
static size_t text_size;

static int setup(void **state)
{
	*state = open_memstream(&text, &text_size);
	trace_output(*state);
	return 0;
}

static int teardown(void **state)
{
	trace_output(NULL);
	fclose(*state);
	free(text);
	return 0;
}

static void test_glob(void **state)
{
	assert_int_equal(trace_enable("alpha.*", true), 2);
	assert_true(ev_read.on && ev_other.on && !ev_write.on);
	assert_int_equal(trace_enable("*.read", false), 1);
	assert_true(!ev_read.on && ev_other.on);
	assert_int_equal(trace_enable("nothing", true), 0);
	assert_int_equal(trace_enable("*", false), 3);
	(void)state;
}

static void test_line(void **state)
{
	int evaluated = 0;

	TRACE(ev_write, "port %x", ++evaluated);
	assert_int_equal(evaluated, 0);
	trace_enable("zeta.write", true);
	TRACE(ev_write, "port %x value %02x", 0x20, 1);
	trace_enable("zeta.write", false);
	TRACE(ev_write, "not this");
	fflush(*state);
	assert_string_equal(text, "zeta.write port 20 value 01\n");
}

static void test_list(void **state)
{
	trace_list(*state);
	fflush(*state);
	assert_string_equal(text, "alpha.other\nalpha.read\nzeta.write\n");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_glob, setup, teardown),
		cmocka_unit_test_setup_teardown(test_line, setup, teardown),
		cmocka_unit_test_setup_teardown(test_list, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
