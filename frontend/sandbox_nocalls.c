/* SPDX-License-Identifier: MIT */
/* Instead of sandbox_calls.c in a build that has no filters, because libseccomp is missing or sanitizers are not. */
#include "frontend/sandbox_private.h"

const struct sandbox_call *sandbox_calls_table(unsigned *rows)
{
	*rows = 0;
	return NULL;
}

bool sandbox_calls_compile(enum thread_kind kind, bool kvm, struct sock_fprog *filter, struct err *err)
{
	(void)kind, (void)kvm, (void)filter;
	return err_set(err, EXIT_HOST, "%s", SANDBOX_LACKS);
}

const char *sandbox_calls_name(int number)
{
	(void)number;
	return "?";
}

bool sandbox_calls_instrumented(void)
{
	return SANDBOX_INSTRUMENTED;
}

const char *sandbox_calls_library(const char **why)
{
	*why = SANDBOX_LACKS;
	return NULL;
}
