/* SPDX-License-Identifier: MIT */
/* Hardware task switches. SDM vol. 3A ch. 7. Never in long mode. */
#ifndef CPU_TASK_H
#define CPU_TASK_H

#include "cpu/cpu.h"
#include "cpu/segment.h"

enum task_how {
	TASK_JMP,
	TASK_CALL,  /* nested: CALL, interrupts, exceptions */
	TASK_RETURN,
};
struct task_switch {
	enum task_how how;
	u64 rip;       /* where the old task goes on */
	u64 rflags;    /* what it keeps as its flags */
	u32 ext;       /* EXT bit of the error codes that go wrong here */
	bool has_code; /* an exception's error code is pushed on the new task's stack */
	u32 code;
};

/* Switch to an available (for TASK_RETURN: busy) and present TSS whose descriptor and privileges were checked. What goes wrong
 * early is raised with nothing changed; later it is raised as a fault of the new task (cpu->cur is NULL then). */
void task_switch(struct cpu *cpu, u16 selector, struct descriptor *tss, const struct task_switch *how);
/* Through a task gate whose own checks are done: its TSS selector is checked here. */
void task_enter_gate(struct cpu *cpu, u16 selector, const struct task_switch *how);
/* IRET with NT set: back to the task that the current TSS links to. */
void task_return(struct cpu *cpu, u64 rip);

#endif
