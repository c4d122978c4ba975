/* SPDX-License-Identifier: MIT */
/* The inside of the translator.
 *
 * A translation is the host code of one decoded block (cpu/code.h). While it runs, the GS base of the thread points at struct
 * cpu, so that all guest state is a gs: operand away, and most guest registers are in host registers:
 *
 *   guest  RCX RDX RBX RBP RSI RDI R8 R9 R10 R11   in the registers of the same name
 *   guest  RAX in R13, RSP in R12; R12-R15 stay in memory
 *   host   RAX holds saved flags, R14 and R15 (S0, S1) are scratch, RSP is the host's stack
 *   XMM0-15 are the guest's while cpu->jit.xmm is set (and MXCSR with them), else they are in memory
 *
 * The guest's arithmetic flags are in EFLAGS, in RAX (AH as LAHF leaves it, AL = OF), or both: what clobbers EFLAGS saves them
 * first. Between translations entered through look-up they are in RAX.
 *
 * Whatever is not rewritten, and whatever a fast path cannot finish (TLB misses, devices, watched pages, faults), runs that one
 * instruction in the interpreter, with all state in struct cpu: so faults are precise and no instruction has a second meaning. */
#ifndef JIT_PRIVATE_H
#define JIT_PRIVATE_H

#include <Zydis/Mnemonic.h>

#include "cpu/code.h"
#include "jit/x64/emit.h"

enum { S0 = H_R14, S1 = H_R15 };

struct translation;
struct check;

/* A direct transfer that can be bound to the translation it leads to. One that leaves its page is guarded: what the RIP leads to
 * depends on the address space and on the RIP at which this page is executed. */
struct exit_record {
	struct translation *from;
	u8 *jump;           /* displacement of the jump, address of writing */
	u8 *stub;           /* where it leads while unbound, address of writing */
	u8 *guard;          /* the 64-bit constant that page RIP ^ space is compared with; NULL: within the page */
	u8 *miss;           /* and the displacement of the jump taken if it is another */
	u8 *other;          /* where that leads while bound */
	i32 off;            /* page offset of the target */
	u32 patience;       /* how often the guard may still fail before it is bound anew */
	bool eflags;        /* the flags are in EFLAGS when it jumps, else in RAX */
	bool plain;         /* leads to a translation without windows */
	struct translation *to; /* bound to it; NULL: unbound */
	struct exit_record *next, **link; /* among those bound to one translation */
};

#define EXIT_NEVER 1 /* a guard that fails: no page has this RIP */
#define EXIT_PATIENCE 100

struct single { /* an instruction alone, for the interpreter's function: see jit.alone */
	struct insn insn;
	bool ends; /* the instruction ends its block */
	bool x87;  /* it may look at x87 or MMX registers */
	bool rewritten; /* it comes here only where that does not do */
};

/* A block's place in a translation. */
struct segment {
	struct block *block;
	struct translation *in;
	struct segment *next, **link; /* among those of one block */
};

/* The code of a block and of those that follow it in memory, one after the other, as long as they were executed too: it is entered
 * at its beginning only, and left at any of its conditional jumps. */
#define TRACE_BLOCKS 16
#define TRACE_INSNS 128
struct translation {
	struct block *block;  /* the first; NULL: dead */
	u8 *entry_saved, *entry_eflags; /* address of writing */
	u8 *loop;             /* where its own jumps to its beginning lead, flags in RAX */
	u8 *dead;             /* where entry_saved and loop lead when it is */
	u32 bytes;
	u8 assumes;           /* 16- and 32-bit code: bits of cpu->seg_odd that must be clear */
	bool apart;           /* for check.c: it cannot be run twice */
	bool strict;          /* its RIPs from page offset `first` to `last` must be below code_last, see legacy.c */
	i32 first, last;
	struct exit_record *incoming;
	struct translation *next; /* in its region */
	unsigned segments, exits, exits_max, singles;
	struct segment *segment;
	struct exit_record *exit; /* one for each conditional jump, one for each window that may not open, and at most two at the end */
	struct single single[];   /* one for each guest instruction; behind them the other two arrays */
};

/* The bytes that instruction i of a living translation was decoded from (block_code()). */
static inline const u8 *translation_code(const struct translation *t, unsigned i)
{
	const struct segment *s = t->segment;

	for (; i >= s->block->count; s++)
		i -= s->block->count;
	return block_code(s->block) + (s->block->insn[i].off - s->block->insn[0].off);
}

/* What a RIP leads to in one address space, for transfers whose target is not known: the host code and the page's RIP. The key
 * is the RIP with its upper 16 bits, which are all equal, XORed with the number of the space. */
#define TARGET_BITS 13
struct jit_target {
	u64 key;
	void *entry;
	u64 page;
	u64 pad;
};

/* A window to be opened: its bytes, with these added. */
#define WINDOW_SPAN 0xffff
#define WINDOW_WRITE (1u << 16)
#define WINDOW_KEEP (1u << 17) /* good for other translations too */
#define WINDOW_SLOT (1u << 20) /* times the slot's number */

struct stubs { /* addresses of writing */
	u8 *enter;         /* C: struct exit_record *enter(void *unused, entry) */
	u8 *leave;         /* RIP is stored, flags in RAX */
	u8 *leave_off;     /* S0 = page offset of RIP, flags in RAX */
	u8 *leave_link;    /* the same, S1 = exit record */
	u8 *dispatch;      /* S0 = RIP ^ space, flags in RAX: go on at its translation; comes after a miss in the targets */
	u8 *dispatch_legacy; /* the same outside 64-bit code: to the engine */
	u8 *look_up_legacy;
	u8 *look_up;       /* S0 = RIP, flags in RAX: look it up among the targets, and go on there */
	u8 *window;        /* call: S0 = linear address, S1 = what WINDOW_ says. ZF clear: cpu->jit.window[slot] is set */
	u8 *access_flag;   /* call: S1 = EFLAGS.AC from now on. ZF: not done */
	u8 *one;           /* call: S1 = struct single, flags in RAX (and out) */
	u8 *refill;        /* call: S0 = linear address (kept), S1 = size, S1 bit 8: to write. ZF clear: look it up again */
	u8 *load_x87;      /* like load_vectors, the x87 registers */
	u8 *load_vectors;  /* call: the guest's XMM registers and MXCSR into the host's; clobbers EFLAGS. ZF set: not possible now */
	u8 *end;
};

/* The cache is a ring of regions, filled one after the other: when the next one is needed its translations go. */
#define REGIONS 8
#define CACHE_MIN (1u << 20)
#define STUBS_ROOM 8192 /* more than all stubs take */
struct code_region {
	struct translation *all;
	u8 *hot, *cold;    /* where its two parts begin */
	u8 *hot_end, *cold_end;
	size_t hot_used, cold_used; /* for `info jit`, while another one is being filled */
};

#define SPACE_SETS 32
#define SPACE_WAYS 4
struct jit {
	u8 *code;          /* where it is written */
	i64 exec;          /* to where it runs */
	size_t size;
	struct code_region region[REGIONS];
	unsigned current;  /* the one that is being filled */
	struct emit emit;  /* its free rest for what is executed often */
	struct emit cold;  /* and for slow paths, so that the others lie close together */
	struct stubs stubs;
	struct fpu_image *fpu; /* NULL: x87 instructions are not rewritten */
	struct block *scratch; /* cpu->block while the interpreter runs one instruction */
	struct { /* which is here then: its end must follow it, and would be much in each struct single */
		struct insn insn, end;
	} alone;
	FILE *perfmap; /* NULL: nobody wants it */
	bool full;
	bool counting;       /* translations count instructions, and stop at cpu->stop_at */
	struct jit_space { /* by all that what a RIP leads to depends on */
		u64 version, base, number; /* number 0: none */
		u8 key;          /* the block key, bit 7: user mode */
	} space[SPACE_SETS * SPACE_WAYS];
	struct check *check; /* what check.c goes by, or NULL */
	u64 spaces;          /* numbers given out */
	/* counted for `info jit` */
	u64 translations, flushes, evictions, bound, kills, entered, unbound, faults, cold_blocks, cold_insns, refills, opened;
	u64 interpreted[2][ZYDIS_MNEMONIC_MAX_VALUE + 1]; /* single instructions; [1]: that were rewritten */
};

/* engine.c: run translated code from `entry`. Returns the exit by which it was left if that wants to be bound, else NULL. */
struct exit_record *engine_enter(struct cpu *cpu, void *entry);

/* check.c: enter the translation at RIP, after the interpreter has shown what should come of it. */
struct exit_record *check_enter(struct cpu *cpu, struct translation *t);
void check_print(const struct check *check, FILE *to);

/* cache.c */
struct jit *cache_new(struct err *err);
void cache_free(struct cpu *cpu);
void cache_flush(struct cpu *cpu);
/* The present region is full: go on in the next one, whose translations die. Between translations only. */
void cache_advance(struct cpu *cpu);
/* A translation is complete: it belongs to the present region. */
void cache_keep(struct jit *jit, struct translation *t);
/* A block is a part of a translation from now on. */
void cache_include(struct translation *t, struct block *block);
/* The exit was just taken: RIP is where it leads, and `to` is translated from what lies there. */
void cache_bind(struct cpu *cpu, struct exit_record *exit, struct translation *to);
/* The number of the present space into cpu->jit.space. */
void cache_space(struct cpu *cpu);
/* A translation of 16- or 32-bit code is entered: what jumps to RIP finds it. */
void cache_target(struct cpu *cpu, const struct block *block);
/* The block is to be translated anew. */
void cache_drop(struct cpu *cpu, struct block *block);
/* The hook of the code cache: a block dies. */
void cache_killed(struct cpu *cpu, struct block *block);

/* x64/dump.c: the map for perf, if there is to be one. */
void dump_open(const struct cpu *cpu, struct jit *jit);
/* info.c: what was done, as text. */
void info_print(const struct cpu *cpu, FILE *to);

/* x64/fault.c: the calling thread runs translated code of this CPU from now on; NULL: no longer. A fault there stops the process.
 */
void fault_watch(const struct cpu *cpu);

/* x64/fpu.c */
struct fpu_image *fpu_new(void);
/* False: not now. Neither touches vector registers. */
bool fpu_load(struct cpu *cpu);
void fpu_store(struct cpu *cpu);

/* x64/legacy.c: may this translation of 16- or 32-bit code run now? As its entry asks. */
bool legacy_fits(const struct cpu *cpu, const struct translation *t);

/* translate.c: NULL when there is no room for it in the present region of the cache. */
struct translation *translate_block(struct cpu *cpu, struct jit *jit, struct block *block);

/* x64/stubs.c */
/* The instruction as the interpreter's function takes it, until the next call. */
const struct insn *stubs_alone(struct jit *jit, const struct single *single);
void stubs_build(struct jit *jit);
/* Emit: go on at the RIP in S0; flags in RAX, EFLAGS are clobbered. */
void stubs_dispatch(struct jit *jit, struct emit *e);
void stubs_dispatch_legacy(struct jit *jit, struct emit *e);

#endif
