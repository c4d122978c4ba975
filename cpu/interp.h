/* SPDX-License-Identifier: MIT */
/* Parts of the interpreter's loop, for engines that run some code by themselves. */
#ifndef CPU_INTERP_H
#define CPU_INTERP_H

#include "cpu/code.h"
#include "cpu/engine.h"

/* The block at CS:RIP, decoded if need be. Between blocks; faults as the fetch does. */
struct block *interp_find(struct cpu *cpu);
/* Run it to its end (or to that of what is linked to it). */
void interp_block(struct cpu *cpu, struct block *block);
/* Execute one instruction with all that may surround it: traps, breakpoints, shadows; none at a watched address. A fault of it
 * leaves by longjmp. */
void interp_step(struct cpu *cpu);
/* Where fault_env was landed on: deliver the fault. */
void interp_deliver(struct cpu *cpu);
/* The kick is set: look at requests. False: leave the engine with *result. */
bool interp_attend(struct cpu *cpu, enum engine_stop *result);

#endif
