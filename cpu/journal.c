/* SPDX-License-Identifier: MIT */
/* Stores that can be undone: see journal.h. */
#include "cpu/journal.h"

#include <string.h>

#include "cpu/access.h"
#include "mem/ram.h"

void journal_begin(struct cpu *cpu, struct cpu_journal *journal)
{
	journal->count = journal->bytes = 0;
	cpu->journal = journal;
	cpu->tlb = &cpu->tlbs[TLB_EMPTY]; /* for a while: windows of the one before stay good */
}

void journal_end(struct cpu *cpu)
{
	cpu->journal = NULL;
}

void journal_undo(const struct cpu_journal *j)
{
	for (u32 i = j->count; i-- > 0;)
		memcpy(j->entry[i].hva, j->old + j->entry[i].at, j->entry[i].len);
}

void journal_look(const struct cpu_journal *j, u8 *now)
{
	for (u32 i = 0; i < j->count; i++)
		memcpy(now + j->entry[i].at, j->entry[i].hva, j->entry[i].len);
}

void journal_put(const struct cpu_journal *j, const u8 *then)
{
	for (u32 i = 0; i < j->count; i++)
		memcpy(j->entry[i].hva, then + j->entry[i].at, j->entry[i].len);
}

void journal_store(struct cpu *cpu, u8 *hva, unsigned len, const u8 *watch)
{
	struct cpu_journal *j = cpu->journal;

	if (likely(!j))
		return;
	if (watch && (__atomic_load_n(watch, __ATOMIC_RELAXED) & RAM_WATCH_CODE))
		longjmp(j->end, JOURNAL_CODE);
	if (j->count == JOURNAL_ENTRIES || len > JOURNAL_BYTES - j->bytes)
		longjmp(j->end, JOURNAL_FULL);
	j->entry[j->count].hva = hva;
	j->entry[j->count].len = len;
	j->entry[j->count++].at = j->bytes;
	memcpy(j->old + j->bytes, hva, len);
	j->bytes += len;
}
