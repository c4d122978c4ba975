/* SPDX-License-Identifier: MIT */
/* Several CPUs, each on its own thread: when does a change that one of them makes hold for what another has under way?
 *
 * A CPU is inside while it executes guest code, and may then hold what it has read of its TLB (the host address of the store that
 * comes next). It is outside between runs and while it waits for a lock or a device: then it holds nothing. Between instructions
 * it passes a point; whoever changed something waits until the CPU has passed one, or is outside. One CPU may also ask to be the
 * only one (accesses that the host cannot make atomic).
 *
 * A CPU that was never entered counts as outside and belongs to whoever calls: a machine with one thread needs none of this. */
#ifndef CPU_QUIET_H
#define CPU_QUIET_H

#include "cpu/cpu.h"

/* Of the life of a CPU. */
void quiet_join(struct cpu *cpu);
void quiet_part(struct cpu *cpu);

/* The calling thread runs this CPU from now on. */
void quiet_adopt(struct cpu *cpu);
/* Does the calling thread run it (or nobody yet)? */
bool quiet_mine(const struct cpu *cpu);

/* Go out; true if it was inside. Go in again if it was: waits while another CPU is alone. On the CPU's own thread. */
bool quiet_leave(struct cpu *cpu);
void quiet_enter(struct cpu *cpu, bool was_inside);
/* Between instructions, when CPU_REQ_PASS asks for it. */
void quiet_point(struct cpu *cpu);

/* The guest has executed PAUSE, so this CPU may be waiting for another one, which may be waiting for a host CPU. */
void quiet_pause(struct cpu *cpu);

/* Returns when the CPU holds nothing that it read before the call. Any thread. */
void quiet_wait(struct cpu *cpu);

/* From begin to end no other CPU is inside. The CPU itself counts as outside; hand end what begin returned. */
bool quiet_alone_begin(struct cpu *cpu);
void quiet_alone_end(struct cpu *cpu, bool was_inside);

/* The machine lock, waited for outside. */
static inline bool quiet_lock(struct cpu *cpu)
{
	bool inside = quiet_leave(cpu);

	if (cpu->bus->loop)
		loop_lock(cpu->bus->loop);
	return inside;
}
static inline void quiet_unlock(struct cpu *cpu, bool was_inside)
{
	if (cpu->bus->loop)
		loop_unlock(cpu->bus->loop);
	quiet_enter(cpu, was_inside);
}

#endif
