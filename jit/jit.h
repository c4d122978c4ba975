/* SPDX-License-Identifier: MIT */
/* The translating engine: guest x86-64 code rewritten into host code. x86-64 hosts only. */
#ifndef JIT_JIT_H
#define JIT_JIT_H

#include "cpu/engine.h"

extern const struct engine jit_engine;

#endif
