/* SPDX-License-Identifier: MIT */
/* bug() in a fuzz target: a signal, which libFuzzer reports with the input that led to it (it does not see an exit). */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/err.h"

_Noreturn void __wrap_err_bug(const char *file, int line, const char *fmt, ...);
_Noreturn void __wrap_err_bug(const char *file, int line, const char *fmt, ...)
{
	va_list args;

	fprintf(stderr, "internal error at %s:%d: ", file, line);
	va_start(args, fmt);
	vfprintf(stderr, fmt, args);
	va_end(args);
	fprintf(stderr, "\n");
	abort();
}
