/* SPDX-License-Identifier: MIT */
/* What far transfers of control have in common, whoever makes them (CALL, RET, IRET, INT, exceptions): which code segments may
 * be entered, the stack of the level that is entered, frames on it, and the final change of the registers.
 * Everything that can fault comes first; transfer_enter() and transfer_set_stack() finish and cannot fault any more. */
#ifndef CPU_TRANSFER_H
#define CPU_TRANSFER_H

#include "cpu/cpu.h"
#include "cpu/segment.h"

/* ---- code segments ---- */

/* Would CS with this descriptor run 64-bit code? */
static inline bool transfer_to_64(const struct cpu *cpu, const struct descriptor *cs)
{
	return cpu->long_mode && (cs->attr & SEG_L);
}
/* The target of a far JMP or CALL without a gate. #GP, #NP. */
void transfer_check_direct(struct cpu *cpu, u16 selector, const struct descriptor *cs);
/* The target of a gate: a code segment no less privileged than cpl, 64-bit in long mode; returns the CPL in it (before
 * transfer_enter() nothing has changed). jump: the gate may not change CPL. */
unsigned transfer_check_gate(struct cpu *cpu, u16 selector, u32 ext, bool jump, struct descriptor *cs);
/* The code segment that RET or IRET returns to, null selectors included. */
void transfer_check_return(struct cpu *cpu, u16 selector, struct descriptor *cs);
/* #GP(ext) unless rip lies within the limit, or is canonical. */
void transfer_check_rip(struct cpu *cpu, const struct descriptor *cs, u64 rip, u32 ext);
/* The RIP to return to, from one popped and checked so. Returning to compatibility mode, Intel drops bits 63:32, and AMD finds them
 * beyond the limit. */
u64 transfer_return_rip(struct cpu *cpu, const struct descriptor *cs, u64 rip);

/* ---- stacks ---- */

struct transfer_stack {
	struct seg seg;
	struct descriptor ss; /* of seg, if it was read from a table */
	u64 sp;
	u8 width; /* of the stack pointer: 2, 4, 8 */
	bool inner; /* a level further in than cpl: pushes have its rights */
};
/* Values in the order in which they are pushed. */
#define TRANSFER_FRAME_MAX 40
struct transfer_frame {
	u64 value[TRANSFER_FRAME_MAX];
	u8 count;
	u8 size; /* of each: 2, 4, 8 */
};
static inline void transfer_add(struct transfer_frame *frame, u64 value)
{
	frame->value[frame->count++] = value;
}

/* The stack in use. */
struct transfer_stack transfer_stack_now(const struct cpu *cpu);
/* The stack that the TSS has for level cpl < CPL, or for IST entry ist > 0 in long mode. #TS, #SS. */
struct transfer_stack transfer_stack_inner(struct cpu *cpu, unsigned cpl, unsigned ist, u32 ext);
/* #SS(code) unless the frame has room. */
void transfer_check_room(struct cpu *cpu, const struct transfer_stack *stack, const struct transfer_frame *frame, u32 code);
/* Store the frame; moves stack->sp only. All pages are checked before the first byte is written. */
void transfer_push(struct cpu *cpu, struct transfer_stack *stack, const struct transfer_frame *frame);

/* ---- the end: no faults but of the accessed bits' page ---- */

/* Set the accessed bits of a stack and a code segment; either may be NULL. */
void transfer_touch(struct cpu *cpu, struct transfer_stack *stack, struct descriptor *cs);
/* SS:SP become the stack's. */
void transfer_set_stack(struct cpu *cpu, const struct transfer_stack *stack);
/* CS:RIP and CPL; ends with mode_update(), so everything else comes before. */
void transfer_enter(struct cpu *cpu, u16 selector, const struct descriptor *cs, unsigned cpl, u64 rip);
/* SS:SP of a return that pops them: checks them (null, too) for privilege cpl. code64: the code returned to is 64-bit. */
void transfer_check_outer(struct cpu *cpu, u16 selector, u64 sp, unsigned cpl, bool code64, struct transfer_stack *stack);
/* After CPL grew: data segments that the new level may not use become null. */
void transfer_drop_segments(struct cpu *cpu, unsigned cpl);

#endif
