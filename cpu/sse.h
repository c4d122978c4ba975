/* SPDX-License-Identifier: MIT */
/* What the SSE and MMX files share: lanes of 64- and 128-bit registers, operands, and how instruction functions are written.
 * Intel SDM vol. 1 ch. 9-12; vol. 2, 2.4 (which checks come when).
 *
 * Hot instructions have a function for each kind of operand, in copies: fast ones without a call, so that the compiler needs no
 * stack frame, and a slow one that is jumped to when anything is unusual (fastop.h tells the idea):
 *
 *	SSE_REG(name) { ... }            registers only; cannot fault
 *	SSE_LOAD(name, bits) { ... m ... }  m: the memory operand of 8 to 64 bits; must not fault
 *	SSE_STORE(name, bits) { return v; } stores v
 *	SSE_LOAD128(name, aligned) { ... m ... }, SSE_STORE128(name, aligned) { return v; }
 *	SSE_OP(name) { return v; }       the destination becomes v, a function of a (destination) and b (source): name_x with a
 *	                                 register as source, name_m with aligned memory
 *	SSE_PICK(name) { return v; }     the same, but a and b are pointers, for lanes chosen at run time; b may change under it
 *
 * Whatever has a memory operand exists as name and name_b, that one for the pattern O_B. Other instructions are written with OP()
 * and sse_check(). */
#ifndef CPU_SSE_H
#define CPU_SSE_H

#include "cpu/access.h"
#include "cpu/forms.h"
#include "cpu/model.h"
#include "cpu/x87.h"

/* The same bits as lanes of every kind: arrays, and (v...) GCC's vectors. MMX registers are computed in the low half. */
union lanes128 {
	u8 b[16];
	i8 sb[16];
	u16 w[8];
	i16 sw[8];
	u32 d[4];
	i32 sd[4];
	u64 q[2];
	i64 sq[2];
	u128 o;
	struct m128 m;
	u8 vb __attribute__((vector_size(16)));
	i8 vsb __attribute__((vector_size(16)));
	u16 vw __attribute__((vector_size(16)));
	i16 vsw __attribute__((vector_size(16)));
	u32 vd __attribute__((vector_size(16)));
	i32 vsd __attribute__((vector_size(16)));
	u64 vq __attribute__((vector_size(16)));
	i64 vsq __attribute__((vector_size(16)));
	float vf __attribute__((vector_size(16)));
	double vg __attribute__((vector_size(16)));
};

/* A register must not straddle two cache lines of the host; struct cpu is aligned to 16 as all that comes from the heap. */
_Static_assert(offsetof(struct cpu, v) % 16 == 0, "the vector registers of struct cpu lie askew: adjust its padding");

/* ---- operands ---- */

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
static always_inline const union lanes128 *sse_at(struct cpu *cpu, unsigned n)
{
	return (const union lanes128 *)&cpu->v[n];
}
/* 32 or 64 bits, the rest of 128 cleared. */
static always_inline void sse_set_low(struct cpu *cpu, unsigned n, u64 low)
{
	sse_set(cpu, n, (union lanes128){.vq = {low, 0}});
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

/* The top bits of the bytes. */
static always_inline u32 sse_mask8(union lanes128 v)
{
	const u64 top = 0x8080808080808080, gather = 0x0002040810204081; /* brings bit 8i + 7 to bit 56 + i */
	return (v.q[0] & top) * gather >> 56 | (v.q[1] & top) * gather >> 56 << 8;
}

/* Host address of the memory operand, if the fast path serves it and nothing forbids SSE now. */
static always_inline bool sse_find(struct cpu *cpu, const struct insn *in, bool base_only, unsigned size, bool aligned, bool write,
                                   u8 **p)
{
	u64 la = cpu->gpr[in->base] + (u64)in->disp;

	if (base_only) {
		if (unlikely(cpu->sse_fault))
			return false;
	} else {
		if (unlikely((in->ea ^ EA_LONG) | cpu->sse_fault))
			return false;
		la += cpu->gpr[in->index] << in->scale;
	}
	const struct tlb_entry *e = tlb_slot(cpu->tlb, la);
	u64 off = la - (write ? tlb_load(&e->write) : e->read);
	*p = (u8 *)(off + e->host);
	if (aligned) /* a multiple of 16 and within the page, in one comparison */
		return likely((off >> 4 | off << 60) < PAGE_SIZE / 16);
	return likely(off <= PAGE_SIZE - size);
}
static always_inline union lanes128 guest_load128(const struct cpu *cpu, const void *p)
{
	union lanes128 v;
	guest_copy16(cpu, &v, p);
	return v;
}
/* In place, for lanes chosen at run time: on hosts with a weak order of memory these loads are not ordered among others. */
static always_inline const union lanes128 *guest_lanes(const struct cpu *cpu INSN_UNUSED, const void *p)
{
	return p;
}
static always_inline void guest_store128(const struct cpu *cpu, void *p, union lanes128 v)
{
	guest_copy16(cpu, p, &v);
}

/* ---- writing instruction functions ---- */

#define SSE_EXEC(name) INSN_UNUSED static const struct insn *name(struct cpu *cpu, const struct insn *in)
#define SSE_SLOW(name) INSN_UNUSED static noinline __attribute__((section(".text.slow"))) const struct insn *name

/* SSE is forbidden now: raises what cpu->sse_fault says. */
const struct insn *sse_refuse(struct cpu *cpu, const struct insn *in);
/* The memory operand, with all checks. */
struct m128 sse_slow_read(struct cpu *cpu, const struct insn *in, bool aligned);
#define SSE_GUARD(cpu, in)                                                                                             \
	do {                                                                                                               \
		if (unlikely((cpu)->sse_fault))                                                                                \
			return sse_refuse(cpu, in);                                                                                \
	} while (0)

#define SSE_REG(name)                                                                                                  \
	OP_BODY(name);                                                                                                     \
	SSE_EXEC(name)                                                                                                     \
	{                                                                                                                  \
		SSE_GUARD(cpu, in);                                                                                            \
		name##_do(cpu, in);                                                                                            \
		INSN_NEXT(cpu, in);                                                                                            \
	}                                                                                                                  \
	OP_BODY(name)

#define SSE_LOAD_BODY(name, type)                                                                                      \
	static always_inline void name##_do(struct cpu *cpu INSN_UNUSED, const struct insn *in INSN_UNUSED, type m)
#define SSE_LOAD_FAST(name, func, size, aligned, load, base_only)                                                      \
	SSE_EXEC(func)                                                                                                     \
	{                                                                                                                  \
		u8 *p;                                                                                                         \
		if (unlikely(!sse_find(cpu, in, base_only, size, aligned, false, &p)))                                         \
			return name##_slow(cpu, in);                                                                               \
		name##_do(cpu, in, load(cpu, p));                                                                              \
		INSN_NEXT(cpu, in);                                                                                            \
	}
#define SSE_LOAD_ANY(name, type, size, aligned, load, ...)                                                             \
	SSE_LOAD_BODY(name, type);                                                                                         \
	SSE_SLOW(name##_slow)(struct cpu *cpu, const struct insn *in)                                                      \
	{                                                                                                                  \
		cpu->cur = in;                                                                                                 \
		sse_check(cpu);                                                                                                \
		name##_do(cpu, in, __VA_ARGS__);                                                                               \
		INSN_NEXT(cpu, in);                                                                                            \
	}                                                                                                                  \
	SSE_LOAD_FAST(name, name, size, aligned, load, false)                                                              \
	SSE_LOAD_FAST(name, name##_b, size, aligned, load, true)                                                           \
	SSE_LOAD_BODY(name, type)
#define SSE_LOAD(name, bits) SSE_LOAD_ANY(name, u##bits, bits / 8, false, guest_load##bits, mem_read##bits(cpu, in))
#define SSE_LOAD128(name, aligned) \
	SSE_LOAD_ANY(name, union lanes128, 16, aligned, guest_load128, (union lanes128){.m = sse_slow_read(cpu, in, aligned)})

#define SSE_STORE_BODY(name, type)                                                                                     \
	static always_inline type name##_do(struct cpu *cpu INSN_UNUSED, const struct insn *in INSN_UNUSED)
#define SSE_STORE_FAST(name, func, size, aligned, store, base_only)                                                    \
	SSE_EXEC(func)                                                                                                     \
	{                                                                                                                  \
		u8 *p;                                                                                                         \
		if (unlikely(!sse_find(cpu, in, base_only, size, aligned, true, &p)))                                          \
			return name##_slow(cpu, in);                                                                               \
		store(cpu, p, name##_do(cpu, in));                                                                             \
		INSN_NEXT(cpu, in);                                                                                            \
	}
#define SSE_STORE_ANY(name, type, size, aligned, store, ...)                                                           \
	SSE_STORE_BODY(name, type);                                                                                        \
	SSE_SLOW(name##_slow)(struct cpu *cpu, const struct insn *in)                                                      \
	{                                                                                                                  \
		cpu->cur = in;                                                                                                 \
		sse_check(cpu);                                                                                                \
		__VA_ARGS__;                                                                                                   \
		INSN_NEXT(cpu, in);                                                                                            \
	}                                                                                                                  \
	SSE_STORE_FAST(name, name, size, aligned, store, false)                                                            \
	SSE_STORE_FAST(name, name##_b, size, aligned, store, true)                                                         \
	SSE_STORE_BODY(name, type)
#define SSE_STORE(name, bits)                                                                                          \
	SSE_STORE_ANY(name, u##bits, bits / 8, false, guest_store##bits, mem_write##bits(cpu, in, name##_do(cpu, in)))
#define SSE_STORE128(name, aligned)                                                                                    \
	SSE_STORE_ANY(name, union lanes128, 16, aligned, guest_store128, mem_write128(cpu, in, name##_do(cpu, in).m, aligned))

/* Where the operand lies; aligned. */
#define SSE_LOAD_AT(name)                                                                                              \
	SSE_LOAD_ANY(name, const union lanes128 *, 16, true, guest_lanes,                                    \
	             &(union lanes128){.m = sse_slow_read(cpu, in, true)})

#define SSE_OP_BODY(name)                                                                                              \
	static always_inline union lanes128 name##_v(const struct insn *in INSN_UNUSED, union lanes128 a INSN_UNUSED,      \
	                                             union lanes128 b INSN_UNUSED)
#define SSE_OP(name)                                                                                                   \
	SSE_OP_BODY(name);                                                                                                 \
	SSE_REG(name##_x)                                                                                                  \
	{                                                                                                                  \
		const unsigned to = in->r[0];                                                                                  \
		sse_set(cpu, to, name##_v(in, sse_reg(cpu, to), sse_reg(cpu, in->r[1])));                                      \
	}                                                                                                                  \
	SSE_LOAD128(name##_m, true)                                                                                        \
	{                                                                                                                  \
		const unsigned to = in->r[0];                                                                                  \
		sse_set(cpu, to, name##_v(in, sse_reg(cpu, to), m));                                                           \
	}                                                                                                                  \
	SSE_OP_BODY(name)

#define SSE_PICK_BODY(name)                                                                                            \
	static always_inline union lanes128 name##_v(const struct insn *in INSN_UNUSED, const union lanes128 *a INSN_UNUSED,  \
	                                             const union lanes128 *b INSN_UNUSED)
#define SSE_PICK(name)                                                                                                 \
	SSE_PICK_BODY(name);                                                                                               \
	SSE_REG(name##_x)                                                                                                  \
	{                                                                                                                  \
		const unsigned to = in->r[0];                                                                                  \
		sse_set(cpu, to, name##_v(in, sse_at(cpu, to), sse_at(cpu, in->r[1])));                                        \
	}                                                                                                                  \
	SSE_LOAD_AT(name##_m)                                                                                              \
	{                                                                                                                  \
		const unsigned to = in->r[0];                                                                                  \
		sse_set(cpu, to, name##_v(in, sse_at(cpu, to), m));                                                            \
	}                                                                                                                  \
	SSE_PICK_BODY(name)

/* ---- rows of form tables ---- */

#define SSE_ROW(mnemonic, first, second, feature, fn) {ZYDIS_MNEMONIC_##mnemonic, {first, second}, 0, feature, fn}
#define SSE_ROW_I(mnemonic, first, second, feature, fn) {ZYDIS_MNEMONIC_##mnemonic, {first, second, O_I}, 0, feature, fn}
/* Both functions of a load, of a store. */
#define SSE_ROW_LOAD(mnemonic, bits, feature, fn)                                                                      \
	SSE_ROW(mnemonic, O_X, O_B##bits, feature, fn##_b), SSE_ROW(mnemonic, O_X, O_M##bits, feature, fn)
#define SSE_ROW_STORE(mnemonic, bits, feature, fn)                                                                     \
	SSE_ROW(mnemonic, O_B##bits, O_X, feature, fn##_b), SSE_ROW(mnemonic, O_M##bits, O_X, feature, fn)
#define SSE_ROW_STORE128(mnemonic, feature, fn)                                                                        \
	SSE_ROW(mnemonic, O_B, O_X, feature, fn##_b), SSE_ROW(mnemonic, O_M128, O_X, feature, fn)
/* All functions of an SSE_OP. */
#define SSE_ROW_OP(mnemonic, feature, fn)                                                                              \
	SSE_ROW(mnemonic, O_X, O_X, feature, fn##_x), SSE_ROW(mnemonic, O_X, O_B, feature, fn##_m_b),                      \
		SSE_ROW(mnemonic, O_X, O_M128, feature, fn##_m)
#define SSE_ROW_OP_I(mnemonic, feature, fn)                                                                            \
	SSE_ROW_I(mnemonic, O_X, O_X, feature, fn##_x), SSE_ROW_I(mnemonic, O_X, O_B, feature, fn##_m_b),                  \
		SSE_ROW_I(mnemonic, O_X, O_M128, feature, fn##_m)

#endif
