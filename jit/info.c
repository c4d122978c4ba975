/* SPDX-License-Identifier: MIT */
/* What the translator did, for `info jit` and `info perf`: where time may go that is not spent in translated code. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include <Zydis/Zydis.h>

#include "jit/jit.h"
#include "jit/private.h"

#define TOP 16 /* instructions listed */
#define MNEMONICS (ZYDIS_MNEMONIC_MAX_VALUE + 1)

static u64 sum(const u64 count[MNEMONICS])
{
	u64 all = 0;

	for (unsigned i = 0; i < MNEMONICS; i++)
		all += count[i];
	return all;
}

/* Those that were counted most often. */
static void top(FILE *to, const char *what, const u64 count[MNEMONICS])
{
	u64 before = ~0ull, all = sum(count);
	unsigned last = 0;

	if (!all)
		return;
	fprintf(to, "%s:\n", what);
	for (unsigned n = 0; n < TOP; n++) {
		/* the next in descending order, equal ones by number */
		unsigned best = MNEMONICS;
		for (unsigned i = 0; i < MNEMONICS; i++)
			if (count[i] && (count[i] < before || (count[i] == before && i > last)))
				best = best == MNEMONICS || count[i] > count[best] ? i : best;
		if (best == MNEMONICS)
			return;
		const char *name = ZydisMnemonicGetString((ZydisMnemonic)best);
		fprintf(to, "  %-20s %-12" PRIu64 " %5.1f %%\n", best ? name : "(none)", count[best], 100.0 * count[best] / all);
		before = count[best];
		last = best;
	}
}

void info_print(const struct cpu *cpu, FILE *to)
{
	const struct jit *jit = cpu->jit.state;

	if (!jit)
		return;
	u64 hot = 0, cold = 0, alive = 0, insns = 0;
	for (unsigned i = 0; i < REGIONS; i++) {
		const struct code_region *r = &jit->region[i];
		hot += i == jit->current ? (size_t)(jit->emit.p - r->hot) : r->hot_used;
		cold += i == jit->current ? (size_t)(jit->cold.p - r->cold) : r->cold_used;
		for (const struct translation *t = r->all; t; t = t->next)
			if (t->block) {
				alive++;
				insns += t->singles;
			}
	}
	const struct {
		const char *name;
		u64 value;
	} lines[] = {
		{"blocks translated", jit->translations},
		{"of these alive", alive},
		{"their instructions", insns},
		{"host code bytes", hot},
		{"in slow paths", cold},
		{"translations killed", jit->kills},
		{"code cache flushes", jit->flushes},
		{"regions evicted", jit->evictions},
		{"jumps bound", jit->bound},
		{"times entered", jit->entered},
		{"left by unbound jumps", jit->unbound},
		{"left by faults", jit->faults},
		{"TLB refills", jit->refills},
		{"windows looked up", jit->opened},
		{"cold blocks run", jit->cold_blocks},
		{"their instructions", jit->cold_insns},
		{"single instructions", sum(jit->interpreted[0])},
		{"in slow paths", sum(jit->interpreted[1])},
	};
	for (unsigned i = 0; i < ARRAY_LEN(lines); i++)
		fprintf(to, "%-22s %" PRIu64 "\n", lines[i].name, lines[i].value);
	top(to, "interpreted one by one, as they are not rewritten", jit->interpreted[0]);
	top(to, "interpreted though rewritten (devices, watched pages, faults)", jit->interpreted[1]);
	if (jit->check)
		check_print(jit->check, to);
}
