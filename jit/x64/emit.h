/* SPDX-License-Identifier: MIT */
/* Host code, byte by byte: legacy-encoded x86-64 instructions from their parts. SDM vol. 2A ch. 2. */
#ifndef JIT_X64_EMIT_H
#define JIT_X64_EMIT_H

#include "base/types.h"

/* Host registers by encoding. */
enum host_reg { H_RAX, H_RCX, H_RDX, H_RBX, H_RSP, H_RBP, H_RSI, H_RDI, H_R8, H_R9, H_R10, H_R11, H_R12, H_R13, H_R14, H_R15 };

struct emit {
	u8 *p, *end;   /* where to write, and the end of the room */
	i64 exec;      /* address at which the code runs minus address at which it is written */
	bool full;     /* there was not enough room: what was emitted is void */
};

/* The r/m operand. */
struct rm {
	enum { RM_REG, RM_GS, RM_BASE, RM_INDEXED } kind;
	u8 reg;        /* RM_REG: the register; else the base */
	u8 index;      /* RM_INDEXED: not RSP */
	i32 disp;      /* RM_GS: offset from the GS base; else displacement */
};
static inline struct rm rm_reg(unsigned reg) { return (struct rm){RM_REG, reg, 0, 0}; }
static inline struct rm rm_gs(size_t offset) { return (struct rm){RM_GS, 0, 0, (i32)offset}; }
static inline struct rm rm_base(unsigned base, i32 disp) { return (struct rm){RM_BASE, base, 0, disp}; }
static inline struct rm rm_indexed(unsigned base, unsigned index, i32 disp)
{
	return (struct rm){RM_INDEXED, base, index, disp};
}

enum op_map { MAP_1, MAP_0F, MAP_0F38, MAP_0F3A }; /* numbered as VEX does */
enum op_flag {
	OP_W = 1,        /* REX.W */
	OP_66 = 2, OP_F2 = 4, OP_F3 = 8, OP_LOCK = 16,
	OP_BYTE_REG = 32, OP_BYTE_RM = 64, /* 8-bit register operands: SPL..DIL need a REX prefix */
};

void emit_byte(struct emit *e, u8 byte);
void emit_u32(struct emit *e, u32 value);
void emit_u64(struct emit *e, u64 value);
/* prefixes, REX, opcode, ModRM, SIB, displacement; an immediate follows by emit_byte/emit_u32 */
void emit_op(struct emit *e, unsigned flags, enum op_map map, u8 opcode, unsigned reg, struct rm rm);
/* lea reg, [base + index << scale + disp]; base or index 0xff: none. wide: 64 bits. */
void emit_lea(struct emit *e, bool wide, unsigned reg, unsigned base, unsigned index, unsigned scale, i32 disp);
void emit_mov(struct emit *e, unsigned to, unsigned from);   /* 64 bits */
void emit_mov32(struct emit *e, unsigned to, unsigned from);
void emit_load(struct emit *e, unsigned reg, struct rm from);  /* 64 bits */
void emit_store(struct emit *e, struct rm to, unsigned reg);   /* 64 bits */
void emit_imm64(struct emit *e, unsigned reg, u64 value);
void emit_imm32(struct emit *e, unsigned reg, u32 value);   /* zero-extended */
void emit_rorx(struct emit *e, unsigned to, unsigned from, unsigned count); /* 64 bits, touches no flag; BMI2 */
/* op reg, imm32 of the 81 group (ext: 0 add, 1 or, 4 and, 5 sub, 7 cmp). */
void emit_alu_imm(struct emit *e, bool wide, unsigned ext, struct rm rm, i32 imm);

/* Jumps with 32-bit displacements. Return where the displacement lies, for emit_patch. */
u8 *emit_jmp(struct emit *e);
u8 *emit_jcc(struct emit *e, unsigned cc);
void emit_patch(struct emit *e, u8 *at, const u8 *target);      /* target: address of writing */
void emit_here(struct emit *e, u8 *at);
void emit_jmp_to(struct emit *e, const u8 *target);             /* target: address of writing */
void emit_jcc_to(struct emit *e, unsigned cc, const u8 *target);
void emit_call(struct emit *e, const u8 *target);
/* Where the code at this address of writing runs. */
static inline void *emit_runs(const struct emit *e, const u8 *at) { return (void *)(at + e->exec); }

#endif
