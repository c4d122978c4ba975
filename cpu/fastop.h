/* SPDX-License-Identifier: MIT */
/* Instruction functions with a memory operand, in copies: the fast ones serve a TLB hit in 64-bit code and contain no call, so
 * that the compiler needs no stack frame; whatever else comes along is a tail call to the slow one, which does all that
 * access.h promises. The body is written once.
 *
 *   OP_READ(name, bits) { ... m ... }        m is the operand's value; must not fault
 *   OP_WRITE(name, bits) { return v; }       stores v; the body changes nothing itself
 *   OP_RMW(name, bits) { ... return v; }     m is the old value, v the new one; honours LOCK. The body may change the lazy
 *                                            flags but no registers, as it is run again when LOCK meets a rival
 *
 * Each defines `name` for any memory operand and `name_b` for the patterns O_B8..O_B64 (insn.h). ROW_R8 and its like list both
 * in a form table. */
#ifndef CPU_FASTOP_H
#define CPU_FASTOP_H

#include "cpu/access.h"

/* A register's value by its width. */
static always_inline u8 get8(struct cpu *cpu, unsigned slot) { return *reg8(cpu, slot); }
static always_inline u16 get16(struct cpu *cpu, unsigned slot) { return *reg16(cpu, slot); }
static always_inline u32 get32(struct cpu *cpu, unsigned slot) { return reg32(cpu, slot); }
static always_inline u64 get64(struct cpu *cpu, unsigned slot) { return reg64(cpu, slot); }

/* Set the first operand, a register called `to` in the expression. Its slot is read once: the compiler must assume that
 * storing the flags might change it. */
#define UPDATE(bits, value)                                                                                            \
	do {                                                                                                               \
		const unsigned to = in->r[0];                                                                                  \
		set_reg##bits(cpu, to, value);                                                                                 \
	} while (0)

/* Host address of a memory operand that the fast path serves; false: take the slow one. */
static always_inline bool fastop_find(struct cpu *cpu, const struct insn *in, bool base_only, unsigned size, bool write, u8 **p)
{
	u64 la = cpu->gpr[in->base] + (u64)in->disp;

	if (!base_only) {
		if (unlikely(in->ea != EA_LONG))
			return false;
		la += cpu->gpr[in->index] << in->scale;
	}
	const struct tlb_entry *e = tlb_slot(cpu->tlb, la);
	u64 off = la - (write ? tlb_load(&e->write) : e->read);
	*p = (u8 *)(off + e->host);
	return likely(off <= PAGE_SIZE - size);
}

#define FASTOP_EXEC(name) static const struct insn *name(struct cpu *cpu, const struct insn *in)
/* Away from the fast ones, which lie the closer together. */
#define FASTOP_SLOW(name)                                                                                              \
	INSN_UNUSED static noinline __attribute__((section(".text.slow"))) const struct insn *name##_slow(                 \
		struct cpu *cpu, const struct insn *in)

#define FASTOP_READ(name, func, bits, base_only)                                                                       \
	INSN_UNUSED FASTOP_EXEC(func)                                                                                      \
	{                                                                                                                  \
		u8 *p;                                                                                                         \
		if (unlikely(!fastop_find(cpu, in, base_only, bits / 8, false, &p)))                                           \
			return name##_slow(cpu, in);                                                                               \
		name##_do(cpu, in, guest_load##bits(cpu, p));                                                                  \
		INSN_NEXT(cpu, in);                                                                                            \
	}
#define OP_READ(name, bits)                                                                                            \
	static always_inline void name##_do(struct cpu *cpu INSN_UNUSED, const struct insn *in INSN_UNUSED, u##bits m);    \
	FASTOP_SLOW(name)                                                                                                  \
	{                                                                                                                  \
		cpu->cur = in;                                                                                                 \
		name##_do(cpu, in, mem_read##bits(cpu, in));                                                                   \
		INSN_NEXT(cpu, in);                                                                                            \
	}                                                                                                                  \
	FASTOP_READ(name, name, bits, false)                                                                               \
	FASTOP_READ(name, name##_b, bits, true)                                                                            \
	static always_inline void name##_do(struct cpu *cpu INSN_UNUSED, const struct insn *in INSN_UNUSED, u##bits m)

#define FASTOP_WRITE(name, func, bits, base_only)                                                                      \
	INSN_UNUSED FASTOP_EXEC(func)                                                                                      \
	{                                                                                                                  \
		u8 *p;                                                                                                         \
		if (unlikely(!fastop_find(cpu, in, base_only, bits / 8, true, &p)))                                            \
			return name##_slow(cpu, in);                                                                               \
		guest_store##bits(cpu, p, name##_do(cpu, in));                                                                 \
		INSN_NEXT(cpu, in);                                                                                            \
	}
#define OP_WRITE(name, bits)                                                                                           \
	static always_inline u##bits name##_do(struct cpu *cpu INSN_UNUSED, const struct insn *in INSN_UNUSED);            \
	FASTOP_SLOW(name)                                                                                                  \
	{                                                                                                                  \
		cpu->cur = in;                                                                                                 \
		mem_write##bits(cpu, in, name##_do(cpu, in));                                                                  \
		INSN_NEXT(cpu, in);                                                                                            \
	}                                                                                                                  \
	FASTOP_WRITE(name, name, bits, false)                                                                              \
	FASTOP_WRITE(name, name##_b, bits, true)                                                                           \
	static always_inline u##bits name##_do(struct cpu *cpu INSN_UNUSED, const struct insn *in INSN_UNUSED)

/* The lazy flags, to take back what a lost race computed. */
struct fastop_flags {
	u64 rflags;
	u32 op;
	i64 res, a, b;
};
static always_inline struct fastop_flags fastop_save(const struct cpu *cpu)
{
	return (struct fastop_flags){cpu->rflags, cpu->cc_op, cpu->cc_res, cpu->cc_a, cpu->cc_b};
}
static always_inline void fastop_restore(struct cpu *cpu, const struct fastop_flags *f)
{
	cpu->rflags = f->rflags;
	cpu->cc_op = f->op;
	cpu->cc_res = f->res;
	cpu->cc_a = f->a;
	cpu->cc_b = f->b;
}

#define FASTOP_RMW(name, func, bits, base_only)                                                                        \
	INSN_UNUSED FASTOP_EXEC(func)                                                                                      \
	{                                                                                                                  \
		u8 *p;                                                                                                         \
		if (unlikely(!fastop_find(cpu, in, base_only, bits / 8, true, &p) || (in->prefix & INSN_LOCK)))                \
			return name##_slow(cpu, in);                                                                               \
		guest_store##bits(cpu, p, name##_do(cpu, in, guest_load##bits(cpu, p)));                                       \
		INSN_NEXT(cpu, in);                                                                                            \
	}
#define OP_RMW(name, bits)                                                                                             \
	static always_inline u##bits name##_do(struct cpu *cpu INSN_UNUSED, const struct insn *in INSN_UNUSED, u##bits m); \
	FASTOP_SLOW(name)                                                                                                  \
	{                                                                                                                  \
		u64 la;                                                                                                        \
		cpu->cur = in;                                                                                                 \
		u##bits old = mem_rmw##bits(cpu, in, &la);                                                                     \
		if (!(in->prefix & INSN_LOCK)) {                                                                               \
			mem_store##bits(cpu, in, la, name##_do(cpu, in, old));                                                     \
			INSN_NEXT(cpu, in);                                                                                        \
		}                                                                                                              \
		struct fastop_flags flags = fastop_save(cpu);                                                                  \
		while (unlikely(!mem_cas##bits(cpu, in, la, old, name##_do(cpu, in, old)))) {                                  \
			fastop_restore(cpu, &flags);                                                                               \
			old = mem_rmw##bits(cpu, in, &la);                                                                         \
		}                                                                                                              \
		INSN_NEXT(cpu, in);                                                                                            \
	}                                                                                                                  \
	FASTOP_RMW(name, name, bits, false)                                                                                \
	FASTOP_RMW(name, name##_b, bits, true)                                                                             \
	static always_inline u##bits name##_do(struct cpu *cpu INSN_UNUSED, const struct insn *in INSN_UNUSED, u##bits m)

/* Rows of a form table for the two functions. */
#define ROW_R_M(mnemonic, bits, feature, name)                                                                         \
	{ZYDIS_MNEMONIC_##mnemonic, {O_R##bits, O_B##bits}, 0, feature, name##_b},                                         \
	{ZYDIS_MNEMONIC_##mnemonic, {O_R##bits, O_M##bits}, 0, feature, name}
#define ROW_M(mnemonic, bits, name)                                                                                    \
	{ZYDIS_MNEMONIC_##mnemonic, {O_B##bits}, 0, 0, name##_b}, {ZYDIS_MNEMONIC_##mnemonic, {O_M##bits}, 0, 0, name}
#define ROW_M_X(mnemonic, bits, second, feature, name)                                                                 \
	{ZYDIS_MNEMONIC_##mnemonic, {O_B##bits, second}, 0, feature, name##_b},                                            \
	{ZYDIS_MNEMONIC_##mnemonic, {O_M##bits, second}, 0, feature, name}

#endif
