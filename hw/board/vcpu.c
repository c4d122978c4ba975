/* SPDX-License-Identifier: MIT */
/* A virtual CPU's thread: see vcpu.h. In deterministic mode this thread also fires the timers, at the exact instruction at
 * which they are due, and moves time on while all CPUs are idle; in the normal mode the loop's thread does.
 *
 * Turns: a CPU has the turn for TURN instructions, whatever interrupts it, or until it is idle. Virtual time goes on with the
 * instructions of whoever has it: two busy CPUs are each half as fast. So nothing depends on when the host stops the thread. */
#include "hw/board/vcpu.h"

#include "base/err.h"
#include "base/loop.h"
#include "base/thread.h"
#include "cpu/mode.h"

#define TURN 5000

void vcpu_init(struct vcpu *vcpu, struct cpu *cpu, const struct engine *engine, struct clock *clock, struct loop *loop)
{
	*vcpu = (struct vcpu){.cpu = cpu, .engine = engine, .clock = clock, .loop = loop, .park = true, .runner = vcpu, .members = 1,
	                       .count_at = VCPU_NEVER};
	pthread_mutex_init(&vcpu->lock, NULL);
	pthread_cond_init(&vcpu->wake, NULL);
	pthread_cond_init(&vcpu->parked_cond, NULL);
}

static _Thread_local struct cpu *running;

/* Deterministic mode: a timer comes sooner than the CPU that runs was told to go (budget()), mostly by what it has just done to a
 * device. It is told anew. By the host's doing it may also come while all are idle. */
static void deadline_nearer(void *opaque)
{
	struct vcpu *first = opaque;

	if (!clock_counts(first->clock))
		return;
	if (running)
		cpu_request(running, CPU_REQ_STOP);
	else if (first->started && !pthread_equal(pthread_self(), first->thread))
		for (unsigned i = 0; i < first->members; i++) /* whoever's turn it is */
			vcpu_request(&first[i], CPU_REQ_STOP);
}

void vcpu_share(struct vcpu *first, unsigned count)
{
	clock_on_nearer(first->clock, deadline_nearer, first);
	for (unsigned i = 0; i < count; i++)
		first[i].runner = first;
	first->members = count;
	first->left = TURN;
}

/* Instructions until the next timer, in deterministic mode; 0 = no limit. */
static u64 budget(struct vcpu *vcpu)
{
	if (!clock_counts(vcpu->clock))
		return 0;
	loop_lock(vcpu->loop);
	clock_run(vcpu->clock);
	u64 instructions = clock_instructions_until(vcpu->clock, clock_deadline(vcpu->clock));
	loop_unlock(vcpu->loop);
	/* input from the host is polled by the loop's thread, so no upper limit is needed but that of the counter */
	return instructions;
}

struct cpu *vcpu_running(void)
{
	return running;
}

static enum engine_stop run_engine(struct cpu *cpu, const struct engine *engine, u64 instructions)
{
	running = cpu;
	enum engine_stop stop = engine_run(engine, cpu, instructions);
	running = NULL;
	return stop;
}

/* Run one CPU for that many instructions, or as many as it has before it is to be stopped. True: it is idle. */
static bool run_cpu(struct vcpu *vcpu, const struct engine *engine, u64 instructions)
{
	struct cpu *cpu = vcpu->cpu;

	if (unlikely(vcpu->count_at != VCPU_NEVER)) {
		u64 left = vcpu->count_at > cpu->instructions ? vcpu->count_at - cpu->instructions : 1;
		instructions = instructions ? MIN(instructions, left) : left;
	}
	enum engine_stop stop = run_engine(cpu, engine, instructions);
	if (unlikely(stop == ENGINE_UNABLE))
		vcpu->stopped(vcpu->opaque, vcpu, true);
	else if (unlikely(cpu->instructions >= vcpu->count_at))
		vcpu->stopped(vcpu->opaque, vcpu, false);
	return stop == ENGINE_HALTED;
}

/* Idle in deterministic mode: time moves on to the next timer at once. */
static bool skip_idle(struct vcpu *vcpu)
{
	bool moved = false;

	if (!clock_counts(vcpu->clock))
		return false;
	loop_lock(vcpu->loop);
	u64 deadline = clock_deadline(vcpu->clock);
	if (deadline != CLOCK_NEVER) {
		clock_skip_to(vcpu->clock, deadline);
		clock_run(vcpu->clock);
		moved = true;
	}
	loop_unlock(vcpu->loop);
	return moved;
}

static bool any_wakes(const struct vcpu *vcpu)
{
	for (unsigned i = 0; i < vcpu->members; i++)
		if (engine_wakes(vcpu[i].cpu))
			return true;
	return false;
}

/* Wait while there is nothing to do. False: the thread shall end. */
static bool settle(struct vcpu *vcpu, bool idle)
{
	pthread_mutex_lock(&vcpu->lock);
	for (;;) {
		if (vcpu->quit)
			break;
		if (vcpu->park && !vcpu->steps) {
			vcpu->parked = true;
			pthread_cond_broadcast(&vcpu->parked_cond);
		} else if (vcpu->steps || !idle || any_wakes(vcpu)) {
			break;
		} else {
			pthread_mutex_unlock(&vcpu->lock);
			bool moved = skip_idle(vcpu);
			pthread_mutex_lock(&vcpu->lock);
			if (moved || vcpu->park || vcpu->quit || any_wakes(vcpu))
				continue;
		}
		pthread_cond_wait(&vcpu->wake, &vcpu->lock);
	}
	vcpu->parked = false;
	bool go_on = !vcpu->quit;
	pthread_mutex_unlock(&vcpu->lock);
	return go_on;
}

static void next_turn(struct vcpu *vcpu, unsigned turn)
{
	vcpu->turn = turn % vcpu->members;
	vcpu->left = TURN;
}

/* Run one of several CPUs for the rest of its turn, or until a timer is due. True: all are idle. */
static bool take_turn(struct vcpu *vcpu)
{
	unsigned i = 0;

	while (!engine_wakes(vcpu[(vcpu->turn + i) % vcpu->members].cpu))
		if (++i == vcpu->members)
			return true;
	if (i)
		next_turn(vcpu, vcpu->turn + i);
	struct cpu *cpu = vcpu[vcpu->turn].cpu;
	clock_count_by(vcpu->clock, &cpu->instructions);
	u64 due = budget(vcpu), before = cpu->instructions;
	bool halted = run_cpu(&vcpu[vcpu->turn], vcpu->engine, due ? MIN(due, vcpu->left) : vcpu->left);
	vcpu->left -= MIN(cpu->instructions - before, vcpu->left);
	if (halted || !vcpu->left)
		next_turn(vcpu, vcpu->turn + 1);
	return false;
}

/* Some instructions of a CPU that stands still. */
static bool step(struct vcpu *vcpu)
{
	bool halted = run_engine(vcpu->cpu, vcpu->engine, vcpu->steps) == ENGINE_HALTED;

	pthread_mutex_lock(&vcpu->lock);
	vcpu->steps = 0;
	pthread_mutex_unlock(&vcpu->lock);
	return halted;
}

static bool run(struct vcpu *vcpu)
{
	if (unlikely(vcpu->steps))
		return step(vcpu);
	if (vcpu->members > 1)
		return take_turn(vcpu);
	return run_cpu(vcpu, vcpu->engine, budget(vcpu));
}

static void *thread_main(void *opaque)
{
	struct vcpu *vcpu = opaque;
	bool idle = false;

	while (settle(vcpu, idle))
		idle = run(vcpu);
	pthread_mutex_lock(&vcpu->lock);
	vcpu->parked = true;
	pthread_cond_broadcast(&vcpu->parked_cond);
	pthread_mutex_unlock(&vcpu->lock);
	return NULL;
}

bool vcpu_start(struct vcpu *vcpu, struct err *err)
{
	if (vcpu->runner != vcpu || vcpu->started)
		return true;
	if (thread_start(&vcpu->thread, THREAD_VCPU, thread_main, vcpu))
		return err_set(err, EXIT_HOST, "cannot start a thread for CPU %u", vcpu->cpu->index);
	vcpu->started = true;
	return true;
}

static void wake(struct vcpu *vcpu)
{
	pthread_mutex_lock(&vcpu->lock);
	pthread_cond_signal(&vcpu->wake);
	pthread_mutex_unlock(&vcpu->lock);
}

void vcpu_request(struct vcpu *vcpu, u32 bits)
{
	cpu_request(vcpu->cpu, bits);
	wake(vcpu->runner);
}

static void set(struct vcpu *vcpu, bool *flag, bool value)
{
	pthread_mutex_lock(&vcpu->lock);
	*flag = value;
	pthread_cond_signal(&vcpu->wake);
	pthread_mutex_unlock(&vcpu->lock);
}

void vcpu_park(struct vcpu *vcpu)
{
	set(vcpu->runner, &vcpu->runner->park, true);
	cpu_request(vcpu->cpu, CPU_REQ_STOP);
}

void vcpu_wait_parked(struct vcpu *vcpu)
{
	struct vcpu *runner = vcpu->runner;

	if (!runner->started)
		return;
	pthread_mutex_lock(&runner->lock);
	while (!runner->parked)
		pthread_cond_wait(&runner->parked_cond, &runner->lock);
	pthread_mutex_unlock(&runner->lock);
	cpu_unrequest(vcpu->cpu, CPU_REQ_STOP);
}

void vcpu_unpark(struct vcpu *vcpu)
{
	set(vcpu->runner, &vcpu->runner->park, false);
}

void vcpu_step(struct vcpu *vcpu, u64 count)
{
	if (!vcpu->started || !count)
		return;
	pthread_mutex_lock(&vcpu->lock);
	vcpu->steps = count;
	vcpu->parked = false;
	pthread_cond_signal(&vcpu->wake);
	pthread_mutex_unlock(&vcpu->lock);
	vcpu_wait_parked(vcpu);
}

void vcpu_quit(struct vcpu *vcpu)
{
	if (!vcpu->started)
		return;
	set(vcpu, &vcpu->quit, true);
	for (unsigned i = 0; i < vcpu->members; i++)
		cpu_request(vcpu[i].cpu, CPU_REQ_STOP);
	wake(vcpu);
	pthread_join(vcpu->thread, NULL);
	vcpu->started = false;
}
