/* SPDX-License-Identifier: MIT */
/* Floating-point exceptions of SSE instructions. Intel SDM vol. 1, 11.5.
 * An unmasked exception raises #XM (#UD without CR4.OSXMMEXCPT) after MXCSR has its flags and before the destination changes. */
#ifndef CPU_SSE_ENV_H
#define CPU_SSE_ENV_H

#include "cpu/softfloat.h"
#include "cpu/sse.h"

#define SSE_ENV struct softfloat_env env = {.control = cpu->mxcsr}

/* Some flag is new or not masked. */
static noinline __attribute__((unused)) void sse_raise(struct cpu *cpu, const struct softfloat_env *env)
{
	cpu->mxcsr |= softfloat_sse_flags(env);
	if (softfloat_traps(env))
		exception_raise(cpu, cpu->cr4 & CR4_OSXMMEXCPT ? EXC_XM : EXC_UD);
}

/* After computing, before writing. Flags that are set already and masked need nothing: the common case. */
static always_inline void sse_finish(struct cpu *cpu, const struct softfloat_env *env)
{
	if (unlikely(env->flags & ~(cpu->mxcsr & cpu->mxcsr >> SOFTFLOAT_MASK_SHIFT)))
		sse_raise(cpu, env);
}

#endif
