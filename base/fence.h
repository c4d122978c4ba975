/* SPDX-License-Identifier: MIT */
/* Fences that the thread sanitizer understands, and an asymmetric pair of them: between a store and a load of one thread stands
 * fence_light(), between a store and a load of another stands fence_heavy(); at least one of them sees what the other has
 * stored, as if both were full fences. The light one is for what happens all the time and costs nothing where the host's kernel
 * can have all threads of a process pass a full fence (membarrier(2), Linux 4.14); elsewhere both are full fences. */
#ifndef BASE_FENCE_H
#define BASE_FENCE_H

#include "base/types.h"

/* Of one thread, against the full fences of all others. */
static always_inline void fence_full(void)
{
#ifdef __SANITIZE_THREAD__ /* knows no fences; its atomic operations order as much */
	static u8 word;
	__atomic_fetch_or(&word, 0, __ATOMIC_SEQ_CST);
#else
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
#endif
}

extern bool fence_asymmetric; /* set before main(), constant from then on */

void fence_heavy(void);

static always_inline void fence_light(void)
{
#ifdef __SANITIZE_THREAD__ /* knows no fences */
	fence_heavy();
#else
	if (likely(fence_asymmetric))
		__asm__ volatile("" ::: "memory");
	else
		__atomic_thread_fence(__ATOMIC_SEQ_CST);
#endif
}

#endif
