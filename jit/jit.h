/* SPDX-License-Identifier: MIT */
/* The translating engine: guest x86-64 code rewritten into host code. x86-64 hosts only. */
#ifndef JIT_JIT_H
#define JIT_JIT_H

#include "cpu/engine.h"

extern const struct engine jit_engine;

/* How it works, for those who look for its mistakes. Read when a CPU first runs on the engine. */
struct jit_options {
	u64 warm;        /* executions after which a block is translated */
	u64 block;       /* guest instructions in a block at most */
	u64 limit;       /* blocks translated at most */
	u64 cache;       /* bytes of host code kept */
};
extern struct jit_options jit_options;
/* Set from text, "warm=1,limit=1000". */
bool jit_configure(const char *text, struct err *err);

#endif
