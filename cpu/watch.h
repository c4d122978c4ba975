/* SPDX-License-Identifier: MIT */
/* What somebody outside waits for: an address about to be executed, a port or MSR accessed, an event delivered. All engines that
 * say so (engine.h) tell it through cpu->host.watched, before the instruction at the address, and right after the others. */
#ifndef CPU_WATCH_H
#define CPU_WATCH_H

#include "cpu/cpu.h"

enum watch_kind { WATCH_ADDRESS, WATCH_PORT, WATCH_MSR, WATCH_VECTOR, WATCH_KINDS };

#define WATCH_MAX 16
struct cpu_watch {
	unsigned count[WATCH_KINDS];
	u64 value[WATCH_KINDS][WATCH_MAX];
	u64 offset[PAGE_SIZE / 64]; /* bit per page offset that an address has: code there is looked up each time (code.h) */
};

void watch_add(struct cpu_watch *watch, enum watch_kind kind, u64 value);
/* What the CPU looks for from now on; NULL: nothing. While it stands still. */
void watch_set(struct cpu *cpu, const struct cpu_watch *watch);

/* It has happened: true, and the machine was told, if it is waited for. On the CPU's own thread, inside or outside. */
bool watch_slow(struct cpu *cpu, enum watch_kind kind, u64 value);
static inline bool watch_seen(struct cpu *cpu, enum watch_kind kind, u64 value)
{
	return unlikely(cpu->watch) && watch_slow(cpu, kind, value);
}
/* May a watched address be at this page offset? */
static inline bool watch_offset(const struct cpu *cpu, unsigned off)
{
	return unlikely(cpu->watch) && (cpu->watch->offset[off / 64] >> off % 64 & 1);
}

#endif
