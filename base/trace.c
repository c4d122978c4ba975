/* SPDX-License-Identifier: MIT */
/* The catalogue of trace events and where their lines go.
 *
 * Invariants: the list is sorted by name; it only grows, by constructors, before main. */
#include "base/trace.h"

#include <fnmatch.h>
#include <stdarg.h>

static struct trace_event *events;
static FILE *output;

void trace_register(struct trace_event *event)
{
	struct trace_event **at = &events;

	while (*at && strcmp((*at)->name, event->name) < 0)
		at = &(*at)->next;
	event->next = *at;
	*at = event;
}

void trace_print(const struct trace_event *event, const char *fmt, ...)
{
	FILE *to = __atomic_load_n(&output, __ATOMIC_ACQUIRE);
	va_list ap;

	if (!to)
		to = stderr;
	flockfile(to);
	fputs(event->name, to);
	if (*fmt) {
		fputc(' ', to);
		va_start(ap, fmt);
		vfprintf(to, fmt, ap);
		va_end(ap);
	}
	fputc('\n', to);
	funlockfile(to);
}

unsigned trace_enable(const char *glob, bool on)
{
	unsigned n = 0;

	for (struct trace_event *e = events; e; e = e->next)
		if (fnmatch(glob, e->name, 0) == 0) {
			__atomic_store_n(&e->on, on, __ATOMIC_RELAXED);
			n++;
		}
	return n;
}

void trace_list(FILE *to)
{
	for (const struct trace_event *e = events; e; e = e->next)
		fprintf(to, "%s\n", e->name);
}

void trace_output(FILE *to)
{
	__atomic_store_n(&output, to, __ATOMIC_RELEASE);
}
