/* SPDX-License-Identifier: MIT */
/* The host back end for x86-64, inside. */
#ifndef JIT_X64_X64_H
#define JIT_X64_X64_H

#include <Zydis/Zydis.h>

#include "jit/jit.h"
#include "jit/private.h"

/* A field of struct cpu as an operand. */
#define CPU(field) rm_gs(offsetof(struct cpu, field))
#define CPU_AT(offset) rm_gs(offset)

/* The host register that holds a guest register, or 0xff: it is in memory. */
extern const u8 x64_home[16];
#define NO_HOME 0xff
static inline struct rm x64_gpr(unsigned guest)
{
	return x64_home[guest] == NO_HOME ? CPU_AT(offsetof(struct cpu, gpr) + guest * 8) : rm_reg(x64_home[guest]);
}

/* A jump to code behind the block: the interpreter runs the instruction, then back. */
#define STUBS_MAX (6 * TRACE_INSNS)
struct pending;
struct slow {
	u8 *jump;        /* displacement to be patched */
	u8 *back;        /* address of writing */
	u16 index;       /* of the instruction */
	bool eflags;     /* go back with the flags in EFLAGS too */
	u8 *retry;       /* a miss: where the look-up begins, with the address in S0; NULL: not a miss */
	u8 *join;        /* the look-up guessed its entry: where a right one goes on */
	u8 size;
	bool write;
	u8 *load;        /* call this stub instead; if it refuses, interpret the instruction and leave */
	u32 open;        /* a window is to be opened instead: what stubs.window is told; 0: none */
	i32 fip;         /* c->fip */
	struct pending *plain; /* if it refuses: to code without windows */
	u8 reg;          /* and the address: a guest register */
	i32 disp;
	u16 first, last; /* of c->recheck: windows to be looked up again behind it */
};
#define RECHECKS_MAX 1024
struct recheck {
	u32 wanted;      /* what stubs.window is told */
	u8 reg;          /* the address: a guest register and a displacement */
	i32 disp;
};

/* ---- what window.c knows ---- */
struct value {       /* of a general register: an unknown number and a distance from it */
	u16 id;
	i32 off;
};
enum { ACCESS_OPERAND_, ACCESS_STACK };
struct access {
	u16 id;
	i32 off;
	u16 size;        /* 0: none, or not at a known distance from a register */
	bool write;
};
#define OPENS_MAX 8  /* windows opened in a translation */
struct window {      /* one for each register that can be its base */
	bool live, write, keep;
	u16 id;
	i32 lo, hi;      /* distances */
};
struct decoded {
	bool ok;
	ZydisDecodedInstruction z;
	ZydisDecodedOperand op[ZYDIS_MAX_OPERAND_COUNT];
};

/* An exit that is not bound yet. */
struct pending {
	struct exit_record *exit;
	u8 *taken;       /* a jump to the guarded part, which is behind the block; NULL: it is not, or there is none */
	bool save;       /* the flags are in EFLAGS only */
	u16 index;       /* of the instruction, where one is begun anew */
};

/* An instruction when its turn comes. */
struct planned {
	const u8 *host;  /* where its code begins, address of writing */
	bool in_eflags, in_rax; /* where the flags are */
};

/* A block being translated. */
struct context {
	struct emit *e;
	struct jit *jit;
	struct cpu *cpu;
	struct translation *t;
	unsigned index;              /* of the current instruction */
	const struct insn *in;
	ZydisDecodedInstruction z;
	ZydisDecodedOperand op[ZYDIS_MAX_OPERAND_COUNT];
	bool in_eflags, in_rax;      /* where the flags are; one at least */
	bool vectors, x87;           /* the guest's vector and x87 registers are known to be loaded */
	bool ended;                  /* exits were emitted */
	bool more;                   /* the instruction is the last of its block, and the code of the next follows */
	struct slow slow[STUBS_MAX];
	unsigned slows;
	unsigned slow_first;         /* the current instruction's */
	struct rm at;                /* the memory operand that was looked up last: host address */
	unsigned insns;
	struct decoded decoded[TRACE_INSNS];
	struct access access[TRACE_INSNS][2];
	struct planned planned[TRACE_INSNS];
	u16 values;                  /* ids given out */
	struct value value[16];      /* before the current instruction */
	struct window window[16];
	u32 steady;                  /* bit i: register i's value of the beginning, which a loop moves little or not at all */
	struct recheck recheck[RECHECKS_MAX];
	unsigned rechecks, opens;
	u16 aligned_id;              /* addresses at this distance from this number are known to be aligned to 16 bytes */
	i32 aligned_off;
	struct pending pending[TRACE_BLOCKS + 1 + OPENS_MAX];
	u8 *loop;                    /* jumps to the beginning may go there with the flags in EFLAGS; NULL: not */
	bool loop_vectors, loop_x87; /* if these registers are loaded */
	i32 fip;                     /* the instruction that x87.fip is behind with; -1: it is not */
	bool legacy, code16, strict; /* see legacy.c */
	u8 odd;                      /* bits of cpu->seg_odd that are not taken to be clear */
	u8 *assumed;                 /* where the entry asks for what is */
	u16 held_id;                 /* the value it had */
	u8 held;                     /* S1 points at the TLB entry last used with this base register; NO_HOME: at nothing */
	bool keep;                   /* the current instruction leaves S1 like that; without it, held is forgotten behind it */
};

/* One CPU alone needs no bus lock: what devices write, no guest changes at the same time. */
static inline bool x64_locks(const struct context *c)
{
	return c->cpu->count > 1 || !jit_options.lock;
}

/* ---- check.c ---- */
/* Its effects are not the same each time it is run, or go beyond registers and memory. */
bool check_apart(const ZydisDecodedInstruction *z, const ZydisDecodedOperand *op);
/* ---- flags.c: where the flags are ---- */
void flags_save(struct context *c);     /* they are in RAX now, EFLAGS may be clobbered */
void flags_clobber(struct context *c);  /* EFLAGS are about to be clobbered: save, then forget them */
void flags_restore(struct context *c);  /* they are in EFLAGS now */
void flags_written(struct context *c);  /* an instruction has set all flags in EFLAGS */

/* ---- dump.c ---- */
/* A translation is complete: tell those who want to know. cold: where its slow paths begin. */
void dump_translation(const struct context *c, const u8 *cold);
/* ---- memory.c ---- */
/* The effective address into reg (S0 or S1). False: cannot be formed. */
bool memory_address(struct context *c, const ZydisDecodedOperand *op, unsigned reg);
/* c->at: the stack at a distance from a register (RSP or RBP); 8 bytes. */
void memory_stack(struct context *c, unsigned g, i64 disp, bool write);
void memory_find_entry(struct emit *e);
void memory_compare(struct emit *e, unsigned size, bool write);
/* S0: linear address in, host address out. base: the guest register it is near to, for a guess, or NO_HOME. Clobbers S1 and
 * EFLAGS. */
/* All of it: address, segment base, look-up; then the operand is c->at, which uses S0. The flags may be in EFLAGS only. boundary:
 * of what the address must be a multiple, else the interpreter does it; 0: of nothing. False: cannot be formed, nothing was
 * emitted. */
bool memory_operand(struct context *c, const ZydisDecodedOperand *op, unsigned size, bool write, unsigned boundary);
void memory_lookup(struct context *c, unsigned base, unsigned size, bool write, unsigned boundary);
/* Jump to the slow path of the current instruction if the condition holds. */
struct slow *memory_slow_if(struct context *c, unsigned cc);
/* The current instruction is complete: its slow paths come back here. */
void memory_slow_return(struct context *c);
/* The code behind the block. */
void memory_emit_slow(struct context *c);

/* ---- lookup.c: C for misses; touches no vector registers ---- */
bool lookup_refill(struct cpu *cpu, u64 linear, u32 how);
bool lookup_window(struct cpu *cpu, u64 linear, u32 how);
bool lookup_access_flag(struct cpu *cpu, u64 unused, u32 on);
/* ---- window.c ---- */
/* Where the translation is going to touch memory: filled in from c->decoded before anything is emitted. plain: no windows at all.
 * Returns how many exits they need at most. */
unsigned window_plan(struct context *c, unsigned insns, const struct insn *const in[], bool plain);
void window_values_step(struct context *c, const struct decoded *d);
void window_values_forget(struct context *c);
/* None is good any more. */
void window_close(struct context *c);
/* An access of the current instruction by a window: c->at. False: look it up. */
bool window_access(struct context *c, unsigned which, unsigned g, i64 disp, bool write, unsigned boundary);
/* The current instruction is complete (values included); it has a slow path. */
void window_note(struct context *c, struct slow *s);
void window_emit_recheck(struct context *c, struct emit *e, const struct slow *s);
void window_emit_open(struct context *c, struct emit *e, const struct slow *s);
/* ---- rewrite.c ---- */
/* The host's vector registers are the guest's from now on. */
void rewrite_need_vectors(struct context *c);
bool rewrite_uses_vectors(const ZydisDecodedInstruction *z);
/* Emit the current instruction. False: nothing was emitted, the interpreter has to run it. */
bool rewrite(struct context *c);
/* ---- verify.c ---- */
/* Would these prefixes and this opcode, with the current instruction's ModRM byte and immediates, be the same instruction in 64-bit
 * code? */
bool verify_again(const struct context *c, unsigned flags, enum op_map map, u8 opcode);
/* A translation is complete; cold: where its slow paths begin. Stops the process if it contains what is no instruction. */
void verify_code(const struct context *c, const u8 *cold);
/* ---- special.c ---- */
bool special_rewrite(struct context *c);
/* ---- flow.c ---- */
bool flow_rewrite(struct context *c);
/* Leave for a page offset (of the present page), directly where possible. */
void flow_exit(struct context *c, i64 off);
/* The same if a condition holds; the flags are in EFLAGS. */
void flow_exit_if(struct context *c, unsigned cc, i64 off);
/* The same, and it may lead to the translation's own beginning. */
void flow_exit_or_loop(struct context *c, unsigned cc, i64 off);
/* Set aside an exit to code without windows, at the current instruction; and emit it, with the flags in RAX. */
struct pending *flow_plain(struct context *c);
void flow_emit_plain(struct context *c, struct emit *e, struct pending *p);
/* The code behind the block that belongs to exits. */
void flow_emit_slow(struct context *c);
/* ---- system.c ---- */
bool system_rewrite(struct context *c);
/* It ends a block, but a translation goes on behind it. */
bool system_goes_on(const struct jit *jit, unsigned mnemonic);
/* ---- x87.c ---- */
bool x87_rewrite(struct context *c);
/* Store the FIP that is due. index: of the instruction; -1: none is. */
void x87_settle(struct context *c);
void x87_emit_fip(const struct context *c, struct emit *e, i32 index);
/* The host's x87 registers are the guest's from now on. */
void x87_need(struct context *c);
bool x87_uses(const ZydisDecodedInstruction *z);
/* ---- legacy.c ---- */
/* Before anything is emitted; c->t is there, and its blocks. */
void legacy_begin(struct context *c, struct block *const part[]);
/* The entry asks whether the translation may run: jumps to be patched, or NULL. */
void legacy_entry(struct context *c, u8 *refused[2]);
void legacy_end(struct context *c);
/* Like those of memory.c. */
bool legacy_address(struct context *c, const ZydisDecodedOperand *op, unsigned reg);
bool legacy_operand(struct context *c, const ZydisDecodedOperand *op, unsigned size, bool write, unsigned boundary);
/* Go on at an offset outside the page, where the exit cannot be bound. */
void legacy_leave_page(struct context *c, i64 off);
bool legacy_rewrite(struct context *c);
/* ---- stack.c ---- */
bool stack_rewrite(struct context *c);

#endif
