/* SPDX-License-Identifier: MIT */
/* What instructions store, so that it can be undone: for an engine that runs the same instructions a second time, to compare.
 * While cpu->journal is set the empty TLB is in use (mode.c), so that every store passes access.c. What cannot be undone ends
 * it by longjmp, before it is done: an access to a device, a store to a page that code was taken from, an accessed or dirty bit of
 * a page table that is to be set (the TLB would remember that it is). */
#ifndef CPU_JOURNAL_H
#define CPU_JOURNAL_H

#include "cpu/cpu.h"

#define JOURNAL_ENTRIES 16384
#define JOURNAL_BYTES 65536

enum journal_reason { JOURNAL_DEVICE = 1, JOURNAL_CODE, JOURNAL_TABLE, JOURNAL_FULL };

struct cpu_journal {
	jmp_buf end;     /* landed on with an enum journal_reason */
	u32 count, bytes;
	struct { u8 *hva; u32 len, at; } entry[JOURNAL_ENTRIES];
	u8 old[JOURNAL_BYTES];
};

/* From here on. Stores of before are forgotten. */
void journal_begin(struct cpu *cpu, struct cpu_journal *journal);
/* No longer. */
void journal_end(struct cpu *cpu);
/* Put back what was there before. */
void journal_undo(const struct cpu_journal *journal);
/* What lies now where was stored; and put that back. `bytes` long, by entry[].at. */
void journal_look(const struct cpu_journal *journal, u8 *values);
void journal_put(const struct cpu_journal *journal, const u8 *values);

/* For access.c: bytes are about to be stored; watch: their page's watch byte, or NULL. */
void journal_store(struct cpu *cpu, u8 *hva, unsigned len, const u8 *watch);
/* A device is about to be accessed, or something else done that cannot be undone. */
static inline void journal_device(struct cpu *cpu)
{
	if (unlikely(cpu->journal))
		longjmp(cpu->journal->end, JOURNAL_DEVICE);
}
/* A bit of a page table is about to be set. */
static inline void journal_table(struct cpu *cpu)
{
	if (unlikely(cpu->journal))
		longjmp(cpu->journal->end, JOURNAL_TABLE);
}

#endif
