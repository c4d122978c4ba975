/* SPDX-License-Identifier: MIT */
/* The translating engine: guest x86-64 code rewritten into host code. x86-64 hosts only. */
#ifndef JIT_JIT_H
#define JIT_JIT_H

#include <stdio.h>

#include "cpu/engine.h"

extern const struct engine jit_engine;

/* Everything that translated code could do without, one line each: -jit NAME=off. All are on by default. */
#define JIT_SWITCHES(X)                                                                            \
	X(traces, "blocks that follow each other in memory are translated together")                   \
	X(windows, "one look-up for several accesses near one address")                                \
	X(keep, "windows of the stack and of loops are kept from one run to the next")                 \
	X(hold, "the TLB entry last used with a base register is tried first")                         \
	X(links, "direct jumps within a page lead straight to their target's translation")             \
	X(cross, "direct jumps between pages too, behind a guard")                                     \
	X(dispatch, "translated code looks up by itself where other jumps lead")                       \
	X(loops, "what a loop needs is loaded before it, and its flags stay where they are")           \
	X(flags, "flags are saved only before something clobbers them")                                \
	X(push, "moves between registers in memory and the guest's stack go through the host's stack") \
	X(sse, "SSE instructions are rewritten")                                                       \
	X(x87, "x87 instructions are rewritten")                                                       \
	X(fip, "the x87 instruction pointer is stored when something may see it")                      \
	X(high, "AH..BH are operands of rewritten instructions")                                       \
	X(system, "CLI, STI, CLAC, STAC, SWAPGS, PUSHF, moves from segment registers are rewritten")   \
	X(legacy, "16- and 32-bit code is translated")                                                 \
	X(lock, "LOCK is left out where there is one CPU")

/* How it works, for those who look for its mistakes. Read when a CPU first runs on the engine. */
struct jit_options {
	u64 warm;        /* executions after which a block is translated */
	u64 block;       /* guest instructions in a block at most */
	u64 limit;       /* blocks translated at most */
	u64 cache;       /* bytes of host code kept */
	bool perfmap;    /* tell Linux's perf what lies where */
	bool check;      /* the interpreter runs each translation too, see check.c */
	bool verify;     /* what is emitted is decoded again, see x64/verify.c */
#define X(name, help) bool name;
	JIT_SWITCHES(X)
#undef X
};
extern struct jit_options jit_options;
/* Set from text, "warm=1,limit=1000,windows=off"; "all=off" comes first and switches everything off that can be. */
bool jit_configure(const char *text, struct err *err);
void jit_help(FILE *to);

#endif
