/* SPDX-License-Identifier: MIT */
/* The cache of decoded code. Blocks are straight runs of instructions within one page of host memory (RAM or ROM), found by
 * host address and code mode, so that a change of address space or mapping costs them nothing. A page that holds code is under
 * RAM_WATCH_CODE: a write to bytes that were decoded kills just the blocks that contain them.
 *
 * A dead block may still be executing: its instructions are redirected to a function that leaves it at the next instruction,
 * and its memory is kept until the engine is between blocks. That makes self-modifying code exact without a test in the
 * instructions' way.
 *
 * Other CPUs and devices may write code while it is being decoded. So the page is put under watch first; then the bytes are
 * copied, and only the copy is looked at. A write before the watch is in the copy; one behind it is noted (code_written()), and
 * kills the block before this CPU's next one. */
#ifndef CPU_CODE_H
#define CPU_CODE_H

#include "cpu/access.h"
#include "cpu/insn.h"

#define BLOCK_MAX 64 /* instructions */

struct block {
	u8 *hva;             /* of the first byte; NULL when dead, or not in memory */
	u32 bytes;
	u16 count;           /* instructions */
	u8 key;              /* cpu->block_key it was decoded under */
	bool split;          /* its one instruction runs into another page */
	bool alone;          /* looked up each time: never linked to, not translated */
	u8 *hva2;            /* split: the second page's first byte */
	struct block *link[2]; /* successors within the page: fall-through, taken */
	struct code_page *page; /* NULL: not kept */
	struct block *next_tail; /* split: among those that end in the second page */
	struct block *next;  /* in the page's bucket, or in the list of dead blocks */
	void *entry;         /* a translator's: where its host code begins, or NULL */
	void *translation;   /* and what belongs to it */
	void *traces;        /* a translator's: the translations that this block is a part of */
	u8 odd;              /* a translator's: bits of cpu->seg_odd that were set when it ran */
	u32 heat;            /* times the engine found it untranslated */
	struct insn insn[];  /* count of them and one that goes on behind the block; then what they were decoded from: block_code() */
};

/* The bytes of the instructions, as many as `bytes` says: a copy. What lies in memory may be something else by now, so whoever
 * looks at an instruction again looks at these. */
static inline const u8 *block_code(const struct block *block)
{
	return (const u8 *)&block->insn[block->count + 1];
}

#define JUMP_BITS 16
struct jump_entry {
	u8 *hva;
	struct block *block;
	void *entry; /* of the block, while it has one */
	void *pad;
};
struct code_cache;

/* The jump cache is exposed for the inline look-up. */
struct code_jump {
	struct jump_entry entry[BLOCK_KEYS][1 << JUMP_BITS];
};
static always_inline u32 code_hash(const u8 *hva)
{
	uintptr_t a = (uintptr_t)hva;
	return (a ^ a >> JUMP_BITS) & ((1 << JUMP_BITS) - 1);
}

/* The block that ends now goes on within its page (RIP is set): let the next look-up link it to where it leads. */
static inline void code_want_link(struct cpu *cpu, unsigned which)
{
	struct block *block = cpu->block;

	if (unlikely(cpu->jit.running))
		return;
	if (insn_wrap(cpu, cpu->rip - cpu->gpr[GPR_PAGE]) < PAGE_SIZE && block->page && block->hva && !block->split &&
	    block->key < BLOCK_LIMITED && !block->link[which]) {
		cpu->link_from = block;
		cpu->link_which = which;
	}
}

struct code_cache *code_new(void);
void code_free(struct cpu *cpu);
/* Find or decode the block at CS:RIP, in every case including faults of the fetch. Between blocks only. The block is good
 * for one execution now. */
struct block *code_find(struct cpu *cpu);
/* The block that begins in memory where this one ends, within its page, if it is known. */
struct block *code_next(const struct block *block);
/* Linear address of CS:RIP. */
static always_inline u64 code_linear(const struct cpu *cpu)
{
	return cpu->code_mode == CODE64 ? cpu->rip : (u32)(cpu->seg[SEG_CS].base + cpu->rip);
}
/* The bus's listener: bytes of a code page are written. On the CPU's own thread it holds from the next instruction on. On another
 * it is noted, and holds when this CPU passes CPU_REQ_CODE, before its next block: whoever serialises (SDM 3A 8.1.3) ends one. */
void code_written(struct cpu *cpu, u8 *hva, unsigned len);
/* A translator's code for a block begins there now; NULL: there is none. */
void code_set_entry(struct cpu *cpu, struct block *block, void *entry);
/* CPU_REQ_CODE: act on what other threads have written. Between blocks only. */
void code_take_writes(struct cpu *cpu);
/* Forget everything (a state was loaded, or too much is cached). Between blocks only. */
void code_flush(struct cpu *cpu);
/* Forget which blocks lead to which: another engine goes about it its own way. Between blocks only. */
void code_unlink(struct cpu *cpu);

#endif
