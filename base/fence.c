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
	fence_full();
	if (fence_asymmetric && !barrier(MEMBARRIER_CMD_PRIVATE_EXPEDITED))
		bug("membarrier failed, which it cannot once it has worked");
}
