/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include "base/fence.h"

#include "base/err.h"

bool fence_asymmetric;

#if defined(__linux__) && !defined(__SANITIZE_THREAD__)
#include <linux/membarrier.h>
#include <sys/syscall.h>
#include <unistd.h>

static bool barrier(int command)
{
	return syscall(SYS_membarrier, command, 0, 0) == 0;
}

__attribute__((constructor)) static void setup(void)
{
	fence_asymmetric = barrier(MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED) && barrier(MEMBARRIER_CMD_PRIVATE_EXPEDITED);
}
#else
static bool barrier(int command)
{
	(void)command;
	return false;
}
#define MEMBARRIER_CMD_PRIVATE_EXPEDITED 0
#endif

void fence_heavy(void)
{
#ifdef __SANITIZE_THREAD__ /* its atomic operations order as much as a fence does */
	static u8 word;
	__atomic_fetch_or(&word, 0, __ATOMIC_SEQ_CST);
#else
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
#endif
	if (fence_asymmetric && !barrier(MEMBARRIER_CMD_PRIVATE_EXPEDITED))
		bug("membarrier failed, which it cannot once it has worked");
}
