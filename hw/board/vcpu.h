/* SPDX-License-Identifier: MIT */
/* A virtual CPU's thread: runs the engine, sleeps while the CPU is idle, parks while the machine is paused. In deterministic mode
 * the first CPU's thread runs all of them in turn. */
#ifndef HW_BOARD_VCPU_H
#define HW_BOARD_VCPU_H

#include <pthread.h>

#include "cpu/engine.h"

#define VCPU_NEVER (~0ull)

struct vcpu {
	struct cpu *cpu;
	const struct engine *engine;
	struct vcpu *runner; /* whose thread runs this CPU; the members below count in that one alone */
	unsigned members;    /* CPUs that the thread runs: this one and those behind it in the array */
	unsigned turn;       /* which of them has the turn */
	u64 left;            /* instructions until the next has it */
	u64 count_at;        /* VCPU_NEVER, or the CPU's instruction count at which `stopped` is called */
	/* On the thread, without the machine lock: the count is reached, or the engine is unable to go on. */
	void (*stopped)(void *opaque, struct vcpu *vcpu, bool unable);
	void *opaque;
	struct clock *clock;
	struct loop *loop;
	pthread_t thread;
	pthread_mutex_t lock; /* guards the members below; taken inside the machine lock, never around it */
	pthread_cond_t wake;  /* something may have changed for the CPU */
	pthread_cond_t parked_cond;
	u64 steps;            /* instructions to be executed while parked */
	bool started, park, parked, quit;
};

void vcpu_init(struct vcpu *vcpu, struct cpu *cpu, const struct engine *engine, struct clock *clock, struct loop *loop);
/* One thread for an array of CPUs; before they are started. */
void vcpu_share(struct vcpu *first, unsigned count);
bool vcpu_start(struct vcpu *vcpu, struct err *err);
/* Set request bits and wake the thread if it sleeps. Any thread, with or without the machine lock. */
void vcpu_request(struct vcpu *vcpu, u32 bits);
/* Ask to stand still / wait until it does (without the machine lock) / go on. */
void vcpu_park(struct vcpu *vcpu);
void vcpu_wait_parked(struct vcpu *vcpu);
void vcpu_unpark(struct vcpu *vcpu);
/* Parked: execute so many instructions and stand still again; without the machine lock. */
void vcpu_step(struct vcpu *vcpu, u64 count);
/* The CPU that the calling thread is running just now; NULL: it is not a CPU's thread, or is between two runs. */
struct cpu *vcpu_running(void);
/* End the thread and join it. */
void vcpu_quit(struct vcpu *vcpu);

#endif
