/* SPDX-License-Identifier: MIT */
/* A decoded instruction and how instruction functions are written.
 *
 * Decoding fills one struct insn per instruction and finds its function through the form tables: each family file lists which
 * operand patterns of a mnemonic it implements. The function is then called directly, for ever.
 * An instruction function is written with OP (goes on to the next instruction), OP_END (ends a block: it sets cpu->rip) or
 * OP_FAST (like OP, but cannot fault in any way and reads no memory). */
#ifndef CPU_INSN_H
#define CPU_INSN_H

#include "cpu/cpu.h"

typedef const struct insn *exec_fn(struct cpu *cpu, const struct insn *in);

/* How the effective address is formed and checked. */
enum ea_kind {
	EA_NONE, /* no memory operand */
	EA_LONG, /* 64-bit code, 64-bit addresses, segment base 0: base + index * scale + disp is the linear address */
	EA_OTHER, /* anything else: ea_general() */
};

enum insn_prefix { INSN_LOCK = 1, INSN_REP = 2 /* F3, also REPE */, INSN_REPNE = 4, INSN_REXW = 8 };

struct insn {
	exec_fn *exec;
	u64 imm;      /* immediate, sign-extended as the instruction uses it; relative branches: displacement from the next RIP;
	               * x87: the ModRM byte */
	i64 disp;     /* displacement (RIP-relative: from the page start); second immediate where there are two (ENTER) */
	u16 off;      /* page offset of the first byte */
	u8 len;       /* bytes, 1..15 */
	u8 osize;     /* operand size in bytes: 1, 2, 4, 8 */
	u8 r[4];      /* register of visible operand i: GPR index (8-bit: byte offset into cpu->gpr), xmm, mm, st, segment, cr, dr */
	u8 base, index; /* slots of cpu->gpr */
	u8 scale;     /* shift, 0..3 */
	u8 seg;       /* enum seg_index of the memory operand */
	u8 asize;     /* address size in bytes: 2, 4, 8 */
	u8 ea;        /* enum ea_kind; 0 = operand is a register */
	u8 prefix;    /* enum insn_prefix */
	u8 opcode;    /* last opcode byte */
	u16 form;     /* index into the table of forms, for the translator and the logs */
	u16 mnemonic; /* ZYDIS_MNEMONIC_* */
	u32 left;     /* instructions from this one to the end of its block, itself included */
};

/* Operand patterns. A form matches when every visible operand matches. RM: register or memory, the function asks in->ea. */
enum operand {
	O_NONE,
	O_R8, O_R16, O_R32, O_R64,           /* general registers */
	O_M8, O_M16, O_M32, O_M64, O_M80, O_M128, O_M, /* memory of that size; O_M: any size, also LEA's */
	O_RM8, O_RM16, O_RM32, O_RM64,
	O_B8, O_B16, O_B32, O_B64, O_B,      /* like O_M, but only 64-bit base + displacement without a segment base */
	O_I,                                  /* immediate, any size */
	O_ONE,                                /* the implicit constant 1 (shifts) */
	O_CL, O_AL, O_AX, O_EAX, O_RAX, O_DX, /* exactly that register */
	O_REL,                                /* relative branch target */
	O_FAR,                                /* ptr16:16 or ptr16:32: imm = offset, disp = selector */
	O_SEG, O_CR, O_DR,
	O_ST, O_ST0,                          /* any ST(i); exactly ST(0) */
	O_MM, O_MMM64, O_MMM32,               /* MMX register; or memory of that size */
	O_X, O_XM8, O_XM16, O_XM32, O_XM64, O_XM128, /* XMM register; or memory of that size */
	O_ANY,
};

enum form_flag {
	FORM_END = 1,     /* ends a block (the function was written with OP_END) */
	FORM_REP = 2,     /* REP prefixes mean something */
	FORM_NO64 = 4,    /* #UD in 64-bit mode (Zydis refuses most already) */
	FORM_INTEL = 16,  /* only on a CPU of this flavour (model.h); neither: on both */
	FORM_AMD = 32,
	FORM_FAR = 8,     /* the far one of JMP, CALL, RET with otherwise equal operands */
};

struct form {
	u16 mnemonic;
	u8 op[4];         /* enum operand; O_NONE ends */
	u8 flags;
	u8 feature;       /* enum cpu_feature (model.h) that must be offered; 0 = always there */
	exec_fn *exec;
};

/* Each family file exports one table; decode.c lists them. */
struct form_table {
	const struct form *forms;
	u32 count;
};

/* ---- writing instruction functions ---- */
#if defined(__OPTIMIZE__) && !defined(__SANITIZE_ADDRESS__) && !defined(PAISANO_NO_THREADED)
#define INSN_THREADED 1 /* functions end in a tail call to the next one; without it the engine's loop calls each */
#endif

#ifdef INSN_THREADED
/* The empty asm makes the compiler step to the next one first, and jump through it: two host instructions, not four. */
#define INSN_NEXT(cpu, in)                                                                                             \
	do {                                                                                                               \
		const struct insn *next_ = (in) + 1;                                                                           \
		__asm__("" : "+r"(next_));                                                                                     \
		return next_->exec(cpu, next_);                                                                                \
	} while (0)
#else
#define INSN_NEXT(cpu, in) return (in) + 1
#endif

#define INSN_UNUSED __attribute__((unused))
#define OP_BODY(name) static always_inline void name##_do(struct cpu *cpu INSN_UNUSED, const struct insn *in INSN_UNUSED)

#define OP(name)                                                                                                       \
	OP_BODY(name);                                                                                                     \
	static const struct insn *name(struct cpu *cpu, const struct insn *in)                                            \
	{                                                                                                                  \
		cpu->cur = in;                                                                                                 \
		name##_do(cpu, in);                                                                                            \
		INSN_NEXT(cpu, in);                                                                                            \
	}                                                                                                                  \
	OP_BODY(name)

#define OP_FAST(name)                                                                                                  \
	OP_BODY(name);                                                                                                     \
	static const struct insn *name(struct cpu *cpu, const struct insn *in)                                            \
	{                                                                                                                  \
		name##_do(cpu, in);                                                                                            \
		INSN_NEXT(cpu, in);                                                                                            \
	}                                                                                                                  \
	OP_BODY(name)

/* The body sets cpu->rip (insn_next_rip() to go on). The engine then finds the block at CS:RIP. */
#define OP_END(name)                                                                                                   \
	OP_BODY(name);                                                                                                     \
	static const struct insn *name(struct cpu *cpu, const struct insn *in)                                            \
	{                                                                                                                  \
		cpu->cur = in;                                                                                                 \
		name##_do(cpu, in);                                                                                            \
		return NULL;                                                                                                   \
	}                                                                                                                  \
	OP_BODY(name)

/* RIP of this instruction and of the next, wrapped to the code size. */
static inline u64 insn_wrap(const struct cpu *cpu, u64 rip)
{
	return cpu->code_mode == CODE64 ? rip : (u32)rip;
}
static inline u64 insn_rip(const struct cpu *cpu, const struct insn *in)
{
	return insn_wrap(cpu, cpu->gpr[GPR_PAGE] + in->off);
}
static inline u64 insn_next_rip(const struct cpu *cpu, const struct insn *in)
{
	return insn_wrap(cpu, cpu->gpr[GPR_PAGE] + in->off + in->len);
}

/* Register operands. Writing 32 bits clears the upper half, 8 and 16 keep it. */
static always_inline u8 *reg8(struct cpu *cpu, unsigned slot) { return (u8 *)cpu->gpr + slot; }
static always_inline u16 *reg16(struct cpu *cpu, unsigned slot) { return (u16 *)&cpu->gpr[slot]; }
static always_inline u32 reg32(struct cpu *cpu, unsigned slot) { return (u32)cpu->gpr[slot]; }
static always_inline u64 reg64(struct cpu *cpu, unsigned slot) { return cpu->gpr[slot]; }
static always_inline void set_reg8(struct cpu *cpu, unsigned slot, u8 v) { *reg8(cpu, slot) = v; }
static always_inline void set_reg16(struct cpu *cpu, unsigned slot, u16 v) { *reg16(cpu, slot) = v; }
static always_inline void set_reg32(struct cpu *cpu, unsigned slot, u32 v) { cpu->gpr[slot] = v; }
static always_inline void set_reg64(struct cpu *cpu, unsigned slot, u64 v) { cpu->gpr[slot] = v; }

/* The text of an instruction for logs ("mov rax, rbx"), decoded afresh from bytes. */
void insn_text(char *text, size_t size, const u8 *bytes, unsigned len, enum code_mode mode, u64 rip);

#endif
