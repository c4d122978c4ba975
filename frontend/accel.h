/* SPDX-License-Identifier: MIT */
/* Which engine a guest starts on, and which ones may go on with it: -accel, and `paisano doctor`. */
#ifndef FRONTEND_ACCEL_H
#define FRONTEND_ACCEL_H

#include "cpu/engine.h"
#include "cpu/model.h"
#include "cpu/speed.h"

#define ACCEL_ENGINES 3

struct accel {
	char *list;  /* as asked for, "kvm:jit:interp"; NULL: auto */
	bool strict; /* fallback=off: nothing but what was asked for */
	/* by accel_resolve() */
	const struct engine *engine[ACCEL_ENGINES]; /* the first one starts, the others stand by */
	unsigned engines;
	u64 tsc_hz;     /* the guest's TSC; 0: as it likes */
	char note[640]; /* one line on what was chosen and why; "": nothing to say */
};

/* "auto", an engine, or several in order of preference ("kvm:jit"), then ",fallback=on|off" and ",device=PATH" of KVM. */
bool accel_set(struct accel *accel, const char *value, struct err *err);
void accel_help(FILE *to);
/* Look at the host and decide. The model loses what an engine of several cannot do; explicit: the user named it.
 * counts: -icount. False: EXIT_ACCEL. */
bool accel_resolve(struct accel *accel, struct cpu_model *model, bool explicit, bool counts, struct err *err);
void accel_free(struct accel *accel);

/* What was measured on this host: kept in a file of the user's cache. fresh: measure, whatever is in there. */
bool accel_speed(const struct engine *engine, const struct cpu_model *model, u64 tsc_hz, bool fresh, struct speed *speed,
                 struct err *err);

/* Engines that this program has: 0 to count - 1, best first. NULL: no more. */
const struct engine *accel_engine(unsigned index);
/* `paisano doctor`: all about the host, for the user; the exit code. */
int accel_doctor(FILE *to);

#endif
