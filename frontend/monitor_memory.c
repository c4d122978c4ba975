/* SPDX-License-Identifier: MIT */
/* The monitor's words about guest memory. */
#include <inttypes.h>
#include <stdlib.h>

#include "base/options.h"
#include "cpu/access.h"
#include "frontend/monitor_private.h"

/* x/COUNTx ADDR and xp/...: hexadecimal words of 1, 2, 4 or 8 bytes. */
static void examine(struct monitor *m, char *args, bool physical)
{
	unsigned long count = 1;
	unsigned size = 4;
	u64 addr;
	char *p = args;

	if (*p == '/') {
		p++;
		if (*p >= '0' && *p <= '9')
			count = strtoul(p, &p, 10);
		count = MIN(count, 4096ul);
		for (; *p && *p != ' '; p++)
			size = *p == 'b' ? 1 : *p == 'h' ? 2 : *p == 'w' ? 4 : *p == 'g' ? 8 : size;
	}
	while (*p == ' ')
		p++;
	if (!options_number(p, &addr, NULL)) {
		monitor_say(m, "x/COUNT[bhwg]x ADDRESS\n");
		return;
	}
	board_pause(m->board);
	struct cpu *cpu = board_cpu(m->board, 0);
	for (unsigned i = 0; i < count; i++) {
		u64 gpa = addr + i * size, value = 0;
		if (i % (16 / size) == 0)
			monitor_say(m, "%s%016" PRIx64 ":", i ? "\n" : "", addr + i * size);
		if (!physical && !paging_probe(cpu, addr + i * size, &gpa)) {
			monitor_say(m, " unmapped");
			break;
		}
		bus_dma_read(cpu->bus, gpa, &value, size);
		monitor_say(m, " 0x%0*" PRIx64, (int)size * 2, value);
	}
	monitor_say(m, "\n");
	board_continue(m->board);
}
void monitor_x(struct monitor *m, char *args) { examine(m, args, false); }
void monitor_xp(struct monitor *m, char *args) { examine(m, args, true); }

void monitor_gva2gpa(struct monitor *m, char *args)
{
	u64 linear, gpa;

	if (!options_number(args, &linear, NULL)) {
		monitor_say(m, "gva2gpa ADDRESS\n");
		return;
	}
	board_pause(m->board);
	if (paging_probe(board_cpu(m->board, 0), linear, &gpa))
		monitor_say(m, "gpa: %#" PRIx64 "\n", gpa);
	else
		monitor_say(m, "Unmapped\n");
	board_continue(m->board);
}
