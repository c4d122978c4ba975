/* SPDX-License-Identifier: MIT */
/* Trace events, switched at run time by glob (-trace 'pic.*'); off costs one predictable test.
 * Guest mistakes are traced through these, never asserted. Never placed in per-instruction code. */
#ifndef BASE_TRACE_H
#define BASE_TRACE_H

#include <stdio.h>

#include "base/types.h"

struct trace_event {
	const char *name; /* "device.what", lower case */
	bool on;
	struct trace_event *next;
};

/* At file scope: TRACE_EVENT(ev_write, "pic.write"). Registers itself; order is by name when listed. */
#define TRACE_EVENT(id, event_name)                                                                                    \
	static struct trace_event id = {.name = event_name};                                                               \
	__attribute__((constructor)) static void id##_register(void)                                                       \
	{                                                                                                                  \
		trace_register(&id);                                                                                           \
	}                                                                                                                  \
	struct trace_event /* swallows the semicolon */

/* TRACE(ev_write, "port %x value %02x", port, value): one line "pic.write port 20 value 11". */
#define TRACE(id, ...)                                                                                                 \
	do {                                                                                                               \
		if (unlikely(__atomic_load_n(&(id).on, __ATOMIC_RELAXED)))                                                     \
			trace_print(&(id), __VA_ARGS__);                                                                           \
	} while (0)

void trace_register(struct trace_event *event);
void trace_print(const struct trace_event *event, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* Switch every event whose name matches the glob; returns how many matched. */
unsigned trace_enable(const char *glob, bool on);
/* Write all names, sorted, one a line. */
void trace_list(FILE *to);
/* Where lines go (default stderr). The caller keeps ownership of the file. */
void trace_output(FILE *to);

#endif
