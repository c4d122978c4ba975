/* SPDX-License-Identifier: MIT */
/* Waiting for other CPUs: see quiet.h.
 *
 * cpu->quiet counts the CPU's passages between inside (even) and outside (odd); only its own thread changes it.
 * Invariants: the changer writes, then reads the count; a CPU changes the count, then reads what was written. A CPU goes in, then
 * looks whether another is alone; that one says so, then looks who is inside. All of these are sequentially consistent. Nobody
 * waits for another CPU while inside, so no two wait for each other. `lock` is innermost of all but those of the C library. */
#include "cpu/quiet.h"

#include <pthread.h>
#include <sched.h>

#define SPINS 2000
#define PAUSES 64 /* before the host CPU is offered to others: about a microsecond */

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t changed = PTHREAD_COND_INITIALIZER;
static struct cpu *cpus; /* the catalogue of those that exist */
static _Atomic u32 waiters;
static struct cpu *_Atomic alone;

static _Thread_local char mark;
static _Thread_local struct cpu *entered; /* the CPU that this thread entered last */

void quiet_join(struct cpu *cpu)
{
	atomic_init(&cpu->quiet, 1);
	pthread_mutex_lock(&lock);
	cpu->quiet_next = cpus;
	cpus = cpu;
	pthread_mutex_unlock(&lock);
}

void quiet_part(struct cpu *cpu)
{
	pthread_mutex_lock(&lock);
	for (struct cpu **at = &cpus; *at; at = &(*at)->quiet_next)
		if (*at == cpu) {
			*at = cpu->quiet_next;
			break;
		}
	pthread_mutex_unlock(&lock);
	if (entered == cpu)
		entered = NULL;
}

void quiet_adopt(struct cpu *cpu)
{
	entered = cpu;
	atomic_store_explicit(&cpu->thread, &mark, memory_order_relaxed);
}

bool quiet_mine(const struct cpu *cpu)
{
	const void *thread = atomic_load_explicit(&cpu->thread, memory_order_relaxed);

	return !thread || thread == &mark;
}

static bool outside(struct cpu *cpu)
{
	return atomic_load(&cpu->quiet) & 1;
}

static void tell(void)
{
	pthread_mutex_lock(&lock);
	pthread_cond_broadcast(&changed);
	pthread_mutex_unlock(&lock);
}

bool quiet_leave(struct cpu *cpu)
{
	if (atomic_load_explicit(&cpu->quiet, memory_order_relaxed) & 1)
		return false;
	atomic_fetch_add(&cpu->quiet, 1);
	if (unlikely(atomic_load(&waiters)))
		tell();
	return true;
}

void quiet_enter(struct cpu *cpu, bool was_inside)
{
	if (!was_inside)
		return;
	for (;;) {
		atomic_fetch_add(&cpu->quiet, 1);
		if (likely(!atomic_load(&alone)))
			return;
		quiet_leave(cpu);
		pthread_mutex_lock(&lock);
		while (atomic_load(&alone))
			pthread_cond_wait(&changed, &lock);
		pthread_mutex_unlock(&lock);
	}
}

void quiet_point(struct cpu *cpu)
{
	quiet_enter(cpu, quiet_leave(cpu));
}

static inline void relax(void)
{
#if defined(__x86_64__)
	__builtin_ia32_pause();
#elif defined(__aarch64__)
	__asm__ volatile("yield");
#endif
}

void quiet_pause(struct cpu *cpu)
{
	if (cpu->count == 1 || ++cpu->pauses % PAUSES || clock_counts(cpu->clock))
		return;
	bool inside = quiet_leave(cpu);
	sched_yield();
	quiet_enter(cpu, inside);
}

void quiet_wait(struct cpu *cpu)
{
	u32 seen = atomic_load(&cpu->quiet);
	struct cpu *me = entered;

	if ((seen & 1) || me == cpu)
		return;
	bool inside = me && quiet_leave(me);
	cpu_request(cpu, CPU_REQ_PASS);
	for (unsigned i = 0; i < SPINS && atomic_load(&cpu->quiet) == seen; i++)
		relax();
	if (atomic_load(&cpu->quiet) == seen) {
		atomic_fetch_add(&waiters, 1);
		pthread_mutex_lock(&lock);
		while (atomic_load(&cpu->quiet) == seen)
			pthread_cond_wait(&changed, &lock);
		pthread_mutex_unlock(&lock);
		atomic_fetch_sub(&waiters, 1);
	}
	if (inside)
		quiet_enter(me, true);
}

bool quiet_alone_begin(struct cpu *cpu)
{
	bool inside = quiet_leave(cpu);

	pthread_mutex_lock(&lock);
	while (atomic_load(&alone))
		pthread_cond_wait(&changed, &lock);
	atomic_fetch_add(&waiters, 1);
	atomic_store(&alone, cpu);
	for (struct cpu *other = cpus; other; other = other->quiet_next)
		if (other != cpu && !outside(other))
			cpu_request(other, CPU_REQ_PASS);
	for (struct cpu *other = cpus; other; other = other->quiet_next)
		while (other != cpu && !outside(other))
			pthread_cond_wait(&changed, &lock);
	atomic_fetch_sub(&waiters, 1);
	pthread_mutex_unlock(&lock);
	return inside;
}

void quiet_alone_end(struct cpu *cpu, bool was_inside)
{
	pthread_mutex_lock(&lock);
	atomic_store(&alone, NULL);
	pthread_cond_broadcast(&changed);
	pthread_mutex_unlock(&lock);
	quiet_enter(cpu, was_inside);
}
