/* SPDX-License-Identifier: MIT */
/* What the back end asks of the host's operating system. */
#define _GNU_SOURCE
#include <asm/hwcap2.h>
#include <asm/prctl.h>
#include <cpuid.h>
#include <pthread.h>
#include <sys/auxv.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "jit/x64/hostcpu.h"

static u32 features[3]; /* 1:ECX, 7.0:EBX, 80000001:ECX */
static pthread_once_t once = PTHREAD_ONCE_INIT;

static void ask(void)
{
	u32 a, b, c, d;

	if (__get_cpuid(1, &a, &b, &c, &d))
		features[0] = c;
	if (__get_cpuid_count(7, 0, &a, &b, &c, &d))
		features[1] = b;
	if (__get_cpuid(0x80000001, &a, &b, &c, &d))
		features[2] = c;
}

bool hostcpu_has(enum hostcpu_feature feature)
{
	pthread_once(&once, ask);
	return features[feature / 32] >> feature % 32 & 1;
}

void hostcpu_assume_all(void)
{
	pthread_once(&once, ask);
	for (unsigned i = 0; i < 3; i++)
		features[i] = ~0u;
}

void hostcpu_set_gs(void *base)
{
	static _Thread_local void *at;

	/* by the instruction where user space may use it: cheap enough to do it each time */
	if (getauxval(AT_HWCAP2) & HWCAP2_FSGSBASE)
		__asm__ volatile("wrgsbase %0" : : "r"(base));
	else if (at != base)
		syscall(SYS_arch_prctl, ARCH_SET_GS, base);
	at = base;
}
