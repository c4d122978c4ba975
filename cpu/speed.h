/* SPDX-License-Identifier: MIT */
/* How fast is an engine on this host, and does it do what the interpreter does? A short guest program of kernel and user code. */
#ifndef CPU_SPEED_H
#define CPU_SPEED_H

#include "base/err.h"
#include "cpu/engine.h"
#include "cpu/model.h"

struct speed {
	u64 kernel, user; /* guest instructions a second */
	char wrong[96];   /* what came out unlike under the interpreter: "" if nothing did */
};

/* Takes a quarter of a second. False: it does not run there; err says why. */
bool speed_measure(const struct engine *engine, const struct cpu_model *model, u64 tsc_hz, struct speed *speed, struct err *err);
/* One figure to compare engines by: instructions a second if half of them are the kernel's. */
u64 speed_mixed(const struct speed *speed);

#endif
