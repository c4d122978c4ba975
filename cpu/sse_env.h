/* SPDX-License-Identifier: MIT */
/* Floating-point exceptions of SSE instructions, and how such instructions are written. Intel SDM vol. 1, 11.5.
 * An unmasked exception raises #XM (#UD without CR4.OSXMMEXCPT) after MXCSR has its flags and before the destination changes.
 *
 *	FP_SCALAR(name, to, from, host, soft)
 *	FP_PACKED(name, from, host, soft)
 *
 * host: a bool, true if it has computed r of a (destination) and b (source) by itself, given mxcsr. soft: r, given env. Widths are
 * those of the destination's lane and of the source. They define name_x, name_m, name_m_b; FP_ROWS lists them. */
#ifndef CPU_SSE_ENV_H
#define CPU_SSE_ENV_H

#include "cpu/hostfloat.h"
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

/* What a source is: the low lane of a register or so many bits of memory; all of a register or 16 aligned bytes; or (64L) all of a
 * register or 64 bits that stand for its low half. */
#define FP_LOW32(cpu, n) (cpu)->v[n].d[0]
#define FP_LOW64(cpu, n) (cpu)->v[n].q[0]
#define FP_LOW128(cpu, n) sse_reg(cpu, n)
#define FP_LOW64L(cpu, n) sse_reg(cpu, n)
#define FP_TYPE32 u32
#define FP_TYPE64 u64
#define FP_TYPE128 union lanes128
#define FP_TYPE64L union lanes128
#define FP_SIZE32 4
#define FP_SIZE64 8
#define FP_SIZE128 16
#define FP_SIZE64L 8
#define FP_LOAD32(p) guest_load32(cpu, p)
#define FP_LOAD64(p) guest_load64(cpu, p)
#define FP_LOAD128(p) guest_load128(cpu, p)
#define FP_LOAD64L(p) ((union lanes128){.vq = {guest_load64(cpu, p), 0}})
#define FP_READ32(cpu, in) mem_read32(cpu, in)
#define FP_READ64(cpu, in) mem_read64(cpu, in)
#define FP_READ128(cpu, in) ((union lanes128){.m = sse_slow_read(cpu, in, true)})
#define FP_READ64L(cpu, in) ((union lanes128){.vq = {mem_read64(cpu, in), 0}})

/* Of name_host(cpu, in, b), which says whether it did all, and name_soft(cpu, in, b), which goes on to the next instruction. */
#define FP_EXEC_LOAD(name, func, from, base_only)                                                                      \
	SSE_EXEC(func)                                                                                                     \
	{                                                                                                                  \
		u8 *p;                                                                                                         \
		if (unlikely(!sse_find(cpu, in, base_only, FP_SIZE##from, FP_SIZE##from == 16, false, &p)))                    \
			return name##_slow(cpu, in);                                                                               \
		const FP_TYPE##from b = FP_LOAD##from(p);                                                                      \
		if (!name##_host(cpu, in, b))                                                                                  \
			return name##_soft(cpu, in, b);                                                                            \
		INSN_NEXT(cpu, in);                                                                                            \
	}
#define FP_EXEC(name, from)                                                                                            \
	SSE_SLOW(name##_slow)(struct cpu *cpu, const struct insn *in)                                                      \
	{                                                                                                                  \
		cpu->cur = in;                                                                                                 \
		sse_check(cpu);                                                                                                \
		return name##_soft(cpu, in, FP_READ##from(cpu, in));                                                           \
	}                                                                                                                  \
	SSE_EXEC(name##_x)                                                                                                 \
	{                                                                                                                  \
		SSE_GUARD(cpu, in);                                                                                            \
		const FP_TYPE##from b = FP_LOW##from(cpu, in->r[1]);                                                           \
		if (!name##_host(cpu, in, b))                                                                                  \
			return name##_soft(cpu, in, b);                                                                            \
		INSN_NEXT(cpu, in);                                                                                            \
	}                                                                                                                  \
	FP_EXEC_LOAD(name, name##_m, from, false)                                                                          \
	FP_EXEC_LOAD(name, name##_m_b, from, true)

#define FP_HOST(name, from)                                                                                            \
	static always_inline bool name##_host(struct cpu *cpu INSN_UNUSED, const struct insn *in INSN_UNUSED,              \
	                                        FP_TYPE##from b INSN_UNUSED)
#define FP_SOFT(name, from)                                                                                            \
	static noinline const struct insn *name##_soft(struct cpu *cpu, const struct insn *in, FP_TYPE##from b)

#define FP_SCALAR(name, to, from, host, soft)                                                                          \
	FP_HOST(name, from)                                                                                                \
	{                                                                                                                  \
		const u32 mxcsr INSN_UNUSED = cpu->mxcsr;                                                                      \
		const u##to a INSN_UNUSED = FP_LOW##to(cpu, in->r[0]);                                                         \
		u##to r;                                                                                                       \
		if (!(host))                                                                                                   \
			return false;                                                                                              \
		FP_LOW##to(cpu, in->r[0]) = r;                                                                                 \
		return true;                                                                                                   \
	}                                                                                                                  \
	FP_SOFT(name, from)                                                                                                \
	{                                                                                                                  \
		cpu->cur = in;                                                                                                 \
		SSE_ENV;                                                                                                       \
		const u##to a INSN_UNUSED = FP_LOW##to(cpu, in->r[0]);                                                         \
		const u##to r = soft;                                                                                          \
		sse_finish(cpu, &env);                                                                                         \
		FP_LOW##to(cpu, in->r[0]) = r;                                                                                 \
		INSN_NEXT(cpu, in);                                                                                            \
	}                                                                                                                  \
	FP_EXEC(name, from)

#define FP_PACKED(name, from, host, soft)                                                                              \
	FP_HOST(name, from)                                                                                                \
	{                                                                                                                  \
		const u32 mxcsr INSN_UNUSED = cpu->mxcsr;                                                                      \
		const union lanes128 a INSN_UNUSED = sse_reg(cpu, in->r[0]);                                                   \
		union lanes128 r;                                                                                              \
		if (!(host))                                                                                                   \
			return false;                                                                                              \
		sse_set(cpu, in->r[0], r);                                                                                     \
		return true;                                                                                                   \
	}                                                                                                                  \
	FP_SOFT(name, from)                                                                                                \
	{                                                                                                                  \
		cpu->cur = in;                                                                                                 \
		SSE_ENV;                                                                                                       \
		const union lanes128 a INSN_UNUSED = sse_reg(cpu, in->r[0]);                                                   \
		const union lanes128 r = soft;                                                                                 \
		sse_finish(cpu, &env);                                                                                         \
		sse_set(cpu, in->r[0], r);                                                                                     \
		INSN_NEXT(cpu, in);                                                                                            \
	}                                                                                                                  \
	FP_EXEC(name, from)

#define FP_ROWS(mnemonic, bits, feature, fn)                                                                           \
	SSE_ROW(mnemonic, O_X, O_X, feature, fn##_x), SSE_ROW(mnemonic, O_X, O_B, feature, fn##_m_b),                      \
		SSE_ROW(mnemonic, O_X, O_M##bits, feature, fn##_m)
#define FP_ROWS_I(mnemonic, bits, feature, fn)                                                                         \
	SSE_ROW_I(mnemonic, O_X, O_X, feature, fn##_x), SSE_ROW_I(mnemonic, O_X, O_B, feature, fn##_m_b),                  \
		SSE_ROW_I(mnemonic, O_X, O_M##bits, feature, fn##_m)

#endif
