/* SPDX-License-Identifier: MIT */
/* See watch.h. */
#include "cpu/watch.h"

#include "cpu/code.h"
#include "cpu/quiet.h"

void watch_add(struct cpu_watch *watch, enum watch_kind kind, u64 value)
{
	unsigned off = value & PAGE_OFFSET;

	if (watch->count[kind] == WATCH_MAX)
		return;
	watch->value[kind][watch->count[kind]++] = value;
	if (kind == WATCH_ADDRESS)
		watch->offset[off / 64] |= BIT(off % 64);
}

void watch_set(struct cpu *cpu, const struct cpu_watch *watch)
{
	bool addresses = (cpu->watch && cpu->watch->count[WATCH_ADDRESS]) || (watch && watch->count[WATCH_ADDRESS]);

	cpu->watch = watch;
	if (addresses)
		code_flush(cpu); /* blocks begin at other places */
}

bool watch_slow(struct cpu *cpu, enum watch_kind kind, u64 value)
{
	const struct cpu_watch *watch = cpu->watch;

	for (unsigned i = 0; i < watch->count[kind]; i++) {
		if (watch->value[kind][i] != value)
			continue;
		bool inside = quiet_leave(cpu);
		cpu->host.watched(cpu->host.opaque, cpu, kind, value);
		quiet_enter(cpu, inside);
		return true;
	}
	return false;
}
