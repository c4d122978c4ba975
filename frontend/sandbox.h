/* SPDX-License-Identifier: MIT */
/* The sandbox: when everything is set up and before the guest runs, this process gives up what it does not need. See
 * docs/sandbox.md and SECURITY.md. */
#ifndef FRONTEND_SANDBOX_H
#define FRONTEND_SANDBOX_H

#include <stdio.h>

#include "base/err.h"

struct config;

enum sandbox_mode {
	SANDBOX_AUTO, /* as much of it as this host and this build have */
	SANDBOX_ON,   /* all of it (Landlock only where the kernel has it), or the run does not begin */
	SANDBOX_OFF,
};

/* -sandbox on|off[,obsolete=..,elevateprivileges=..,spawn=..,resourcecontrol=..], as QEMU spells it. */
bool sandbox_set(struct config *config, const char *value, struct err *err);
/* Starts the broker. While there is one thread, before anything of the guest is opened. */
bool sandbox_begin(enum sandbox_mode mode, struct err *err);
/* Shuts: all threads that there are, and those that they will start. On the main thread, without locks, while no guest runs and
 * all workers are there. kvm: KVM may run the guest. False: SANDBOX_ON is impossible, err says why; the process is half shut then
 * and has to end. */
bool sandbox_enter(enum sandbox_mode mode, bool kvm, struct err *err);
/* For `paisano doctor`: one line of what this host gives. */
void sandbox_doctor(FILE *to);

#endif
