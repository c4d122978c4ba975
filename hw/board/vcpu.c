/* SPDX-License-Identifier: MIT */
/* A virtual CPU's thread: see vcpu.h. In deterministic mode this thread also fires the timers, at the exact instruction at
 * which they are due, and moves time on while the CPU is idle; in the normal mode the loop's thread does. */
#include "hw/board/vcpu.h"

#include "base/err.h"
#include "base/loop.h"
#include "cpu/mode.h"

void vcpu_init(struct vcpu *vcpu, struct cpu *cpu, const struct engine *engine, struct clock *clock, struct loop *loop)
{
	*vcpu = (struct vcpu){.cpu = cpu, .engine = engine, .clock = clock, .loop = loop, .park = true};
	pthread_mutex_init(&vcpu->lock, NULL);
	pthread_cond_init(&vcpu->wake, NULL);
	pthread_cond_init(&vcpu->parked_cond, NULL);
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

/* Wait while there is nothing to do. False: the thread shall end. */
static bool settle(struct vcpu *vcpu, bool idle)
{
	pthread_mutex_lock(&vcpu->lock);
	for (;;) {
		if (vcpu->quit)
			break;
		if (vcpu->park) {
			vcpu->parked = true;
			pthread_cond_broadcast(&vcpu->parked_cond);
		} else if (!idle || engine_wakes(vcpu->cpu)) {
			break;
		} else {
			pthread_mutex_unlock(&vcpu->lock);
			bool moved = skip_idle(vcpu);
			pthread_mutex_lock(&vcpu->lock);
			if (moved || vcpu->park || vcpu->quit || engine_wakes(vcpu->cpu))
				continue;
		}
		pthread_cond_wait(&vcpu->wake, &vcpu->lock);
	}
	vcpu->parked = false;
	bool go_on = !vcpu->quit;
	pthread_mutex_unlock(&vcpu->lock);
	return go_on;
}

static void *thread_main(void *opaque)
{
	struct vcpu *vcpu = opaque;
	bool idle = false;

	while (settle(vcpu, idle))
		idle = vcpu->engine->run(vcpu->cpu, budget(vcpu)) == ENGINE_HALTED;
	pthread_mutex_lock(&vcpu->lock);
	vcpu->parked = true;
	pthread_cond_broadcast(&vcpu->parked_cond);
	pthread_mutex_unlock(&vcpu->lock);
	return NULL;
}

bool vcpu_start(struct vcpu *vcpu, struct err *err)
{
	if (pthread_create(&vcpu->thread, NULL, thread_main, vcpu))
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
	wake(vcpu);
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
	set(vcpu, &vcpu->park, true);
	cpu_request(vcpu->cpu, CPU_REQ_STOP);
}

void vcpu_wait_parked(struct vcpu *vcpu)
{
	if (!vcpu->started)
		return;
	pthread_mutex_lock(&vcpu->lock);
	while (!vcpu->parked)
		pthread_cond_wait(&vcpu->parked_cond, &vcpu->lock);
	pthread_mutex_unlock(&vcpu->lock);
	cpu_unrequest(vcpu->cpu, CPU_REQ_STOP);
}

void vcpu_unpark(struct vcpu *vcpu)
{
	set(vcpu, &vcpu->park, false);
}

void vcpu_quit(struct vcpu *vcpu)
{
	if (!vcpu->started)
		return;
	set(vcpu, &vcpu->quit, true);
	cpu_request(vcpu->cpu, CPU_REQ_STOP);
	wake(vcpu);
	pthread_join(vcpu->thread, NULL);
	vcpu->started = false;
}
