/* SPDX-License-Identifier: MIT */
/* Lazy arithmetic flags. The last flag-setting instruction leaves its result and operands, sign-extended to 64 bits from the
 * operand size; because sign extension keeps signed and unsigned order, every flag and condition follows from them without
 * knowing the size. */
#ifndef CPU_FLAGS_H
#define CPU_FLAGS_H

#include "cpu/cpu.h"

enum cc_op {
	CC_FLAGS, /* all six are in cpu->rflags */
	CC_RES,   /* ZF, SF, PF from cc_res; CF, AF, OF are bits of cc_a at their RFLAGS places */
	CC_ADD,   /* cc_res = cc_a + cc_b */
	CC_SUB,   /* cc_res = cc_a - cc_b */
};

static always_inline void flags_add(struct cpu *cpu, i64 a, i64 b, i64 res)
{
	cpu->cc_op = CC_ADD;
	cpu->cc_a = a;
	cpu->cc_b = b;
	cpu->cc_res = res;
}
static always_inline void flags_sub(struct cpu *cpu, i64 a, i64 b, i64 res)
{
	cpu->cc_op = CC_SUB;
	cpu->cc_a = a;
	cpu->cc_b = b;
	cpu->cc_res = res;
}
/* cf_af_of: FLAG_CF | FLAG_AF | FLAG_OF as they came out (0 for AND, OR, XOR, TEST). */
static always_inline void flags_res(struct cpu *cpu, i64 res, u32 cf_af_of)
{
	cpu->cc_op = CC_RES;
	cpu->cc_res = res;
	cpu->cc_a = cf_af_of;
}

static always_inline bool flags_cf(const struct cpu *cpu)
{
	switch (cpu->cc_op) {
	case CC_ADD: return (u64)cpu->cc_res < (u64)cpu->cc_a;
	case CC_SUB: return (u64)cpu->cc_a < (u64)cpu->cc_b;
	case CC_RES: return cpu->cc_a & FLAG_CF;
	default: return cpu->rflags & FLAG_CF;
	}
}
static always_inline bool flags_of(const struct cpu *cpu)
{
	switch (cpu->cc_op) {
	case CC_ADD: return ((cpu->cc_a ^ cpu->cc_res) & (cpu->cc_b ^ cpu->cc_res)) < 0;
	case CC_SUB: return ((cpu->cc_a ^ cpu->cc_b) & (cpu->cc_a ^ cpu->cc_res)) < 0;
	case CC_RES: return cpu->cc_a & FLAG_OF;
	default: return cpu->rflags & FLAG_OF;
	}
}
static always_inline bool flags_zf(const struct cpu *cpu)
{
	return cpu->cc_op == CC_FLAGS ? (cpu->rflags & FLAG_ZF) != 0 : cpu->cc_res == 0;
}
static always_inline bool flags_sf(const struct cpu *cpu)
{
	return cpu->cc_op == CC_FLAGS ? (cpu->rflags & FLAG_SF) != 0 : cpu->cc_res < 0;
}
static always_inline bool flags_pf(const struct cpu *cpu)
{
	return cpu->cc_op == CC_FLAGS ? (cpu->rflags & FLAG_PF) != 0 : !__builtin_parity(cpu->cc_res & 0xff);
}
static always_inline bool flags_af(const struct cpu *cpu)
{
	switch (cpu->cc_op) {
	case CC_ADD:
	case CC_SUB: return (cpu->cc_a ^ cpu->cc_b ^ cpu->cc_res) & FLAG_AF;
	case CC_RES: return cpu->cc_a & FLAG_AF;
	default: return cpu->rflags & FLAG_AF;
	}
}

/* All of RFLAGS, arithmetic flags included; the state stays lazy. */
static inline u64 flags_get(const struct cpu *cpu)
{
	if (cpu->cc_op == CC_FLAGS)
		return cpu->rflags;
	return (cpu->rflags & ~(u64)FLAGS_ARITH) | (flags_cf(cpu) ? FLAG_CF : 0) | (flags_pf(cpu) ? FLAG_PF : 0) |
	       (flags_af(cpu) ? FLAG_AF : 0) | (flags_zf(cpu) ? FLAG_ZF : 0) | (flags_sf(cpu) ? FLAG_SF : 0) |
	       (flags_of(cpu) ? FLAG_OF : 0);
}
/* Bring the flags into cpu->rflags. */
static inline void flags_sync(struct cpu *cpu)
{
	cpu->rflags = flags_get(cpu);
	cpu->cc_op = CC_FLAGS;
}
/* Replace all of RFLAGS. mode_flags_changed() is the caller's care. */
static inline void flags_set(struct cpu *cpu, u64 rflags)
{
	cpu->rflags = rflags;
	cpu->cc_op = CC_FLAGS;
}
/* Set some arithmetic flags, keep the others. */
static inline void flags_change(struct cpu *cpu, u64 mask, u64 value)
{
	flags_sync(cpu);
	cpu->rflags = (cpu->rflags & ~mask) | (value & mask);
}

/* Replace some of CF, AF and OF, keep the other flags; cheaper than flags_change, as the state stays lazy. */
static always_inline void flags_replace(struct cpu *cpu, u32 mask, u32 value)
{
	if (cpu->cc_op == CC_FLAGS) {
		cpu->rflags = (cpu->rflags & ~(u64)mask) | value;
		return;
	}
	u32 keep = !(mask & FLAG_CF) && flags_cf(cpu) ? FLAG_CF : 0;
	keep |= !(mask & FLAG_AF) && flags_af(cpu) ? FLAG_AF : 0;
	keep |= !(mask & FLAG_OF) && flags_of(cpu) ? FLAG_OF : 0;
	cpu->cc_op = CC_RES;
	cpu->cc_a = keep | value;
}

/* Condition codes as encoded in Jcc/SETcc/CMOVcc (SDM vol. 1 app. B). */
enum cc { CC_O, CC_NO, CC_B, CC_AE, CC_E, CC_NE, CC_BE, CC_A, CC_S, CC_NS, CC_P, CC_NP, CC_L, CC_GE, CC_LE, CC_G };
static always_inline bool flags_test(const struct cpu *cpu, enum cc cc)
{
	bool r;
	switch (cc >> 1) {
	case 0: r = flags_of(cpu); break;
	case 1: r = flags_cf(cpu); break;
	case 2: r = flags_zf(cpu); break;
	case 3: r = cpu->cc_op == CC_SUB ? (u64)cpu->cc_a <= (u64)cpu->cc_b : flags_cf(cpu) || flags_zf(cpu); break;
	case 4: r = flags_sf(cpu); break;
	case 5: r = flags_pf(cpu); break;
	case 6: r = cpu->cc_op == CC_SUB ? cpu->cc_a < cpu->cc_b : flags_sf(cpu) != flags_of(cpu); break;
	default: r = cpu->cc_op == CC_SUB ? cpu->cc_a <= cpu->cc_b : flags_zf(cpu) || flags_sf(cpu) != flags_of(cpu); break;
	}
	return r != (cc & 1);
}

#endif
