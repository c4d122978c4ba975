/* SPDX-License-Identifier: MIT */
/* What the back end asks of the host's operating system. */
#define _GNU_SOURCE
#include <asm/hwcap2.h>
#include <asm/prctl.h>
#include <sys/auxv.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "jit/x64/host.h"

void host_set_gs(void *base)
{
	static _Thread_local void *at;

	/* by the instruction where user space may use it: cheap enough to do it each time */
	if (getauxval(AT_HWCAP2) & HWCAP2_FSGSBASE)
		__asm__ volatile("wrgsbase %0" : : "r"(base));
	else if (at != base)
		syscall(SYS_arch_prctl, ARCH_SET_GS, base);
	at = base;
}
