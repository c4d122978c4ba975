/* SPDX-License-Identifier: MIT */
/* What the SSE and MMX files share: operands, and lanes of 64- and 128-bit registers. Intel SDM vol. 1 ch. 9-12. */
#ifndef CPU_SSE_H
#define CPU_SSE_H

#include "cpu/access.h"
#include "cpu/forms.h"
#include "cpu/model.h"
#include "cpu/x87.h"

/* The same bits as lanes of every kind. */
union lanes128 {
	u8 b[16];
	i8 sb[16];
	u16 w[8];
	i16 sw[8];
	u32 d[4];
	i32 sd[4];
	u64 q[2];
	i64 sq[2];
	struct m128 m;
};
union lanes64 {
	u8 b[8];
	i8 sb[8];
	u16 w[4];
	i16 sw[4];
	u32 d[2];
	i32 sd[2];
	u64 q[1];
	i64 sq[1];
};

/* Before anything else of an SSE instruction: #UD or #NM. */
static always_inline void sse_check(struct cpu *cpu)
{
	if (unlikely(cpu->sse_fault))
		exception_raise(cpu, cpu->sse_fault);
}

static always_inline union lanes128 sse_reg(struct cpu *cpu, unsigned n)
{
	union lanes128 v;
	memcpy(&v, &cpu->v[n], 16);
	return v;
}
/* Legacy SSE leaves the bits above 127 as they are. */
static always_inline void sse_set(struct cpu *cpu, unsigned n, union lanes128 v)
{
	memcpy(&cpu->v[n], &v, 16);
}
static always_inline union lanes128 sse_load(struct cpu *cpu, const struct insn *in, bool aligned)
{
	return (union lanes128){.m = mem_read128(cpu, in, aligned)};
}

/* The source operand 1: a register or aligned memory. */
static always_inline union lanes128 sse_source(struct cpu *cpu, const struct insn *in)
{
	return in->ea ? sse_load(cpu, in, true) : sse_reg(cpu, in->r[1]);
}
/* The same of 64, 32, 16 bits (the low ones of a register). */
static always_inline u64 sse_source64(struct cpu *cpu, const struct insn *in)
{
	return in->ea ? mem_read64(cpu, in) : cpu->v[in->r[1]].q[0];
}
static always_inline u32 sse_source32(struct cpu *cpu, const struct insn *in)
{
	return in->ea ? mem_read32(cpu, in) : cpu->v[in->r[1]].d[0];
}
static always_inline u16 sse_source16(struct cpu *cpu, const struct insn *in)
{
	return in->ea ? mem_read16(cpu, in) : cpu->v[in->r[1]].w[0];
}
static always_inline u64 mmx_source(struct cpu *cpu, const struct insn *in)
{
	return in->ea ? mem_read64(cpu, in) : x87_mm(cpu, in->r[1]);
}

#endif
