/* SPDX-License-Identifier: MIT */
/* What the back end asks of the host's operating system. */
#ifndef JIT_X64_HOSTCPU_H
#define JIT_X64_HOSTCPU_H

#include "base/types.h"

/* Features of the host's CPU: leaf and register (hostcpu.c) * 32 + bit, as CPUID reports them (SDM vol. 2A, CPUID). */
enum hostcpu_feature {
	HOST_SSE3 = 0, HOST_PCLMULQDQ = 1, HOST_SSSE3 = 9, HOST_SSE4_2 = 20, HOST_MOVBE = 22, HOST_POPCNT = 23, HOST_AES = 25,
	HOST_OSXSAVE = 27,
	HOST_BMI1 = 32 + 3, HOST_BMI2 = 32 + 8, HOST_ADX = 32 + 19, HOST_SHA = 32 + 29,
	HOST_LZCNT = 64 + 5,
};
bool hostcpu_has(enum hostcpu_feature feature);
/* For those who only look at the code, which is then the same everywhere. */
void hostcpu_assume_all(void);

/* The GS base of this thread, which user space has no other use for. */
void hostcpu_set_gs(void *base);

#endif
