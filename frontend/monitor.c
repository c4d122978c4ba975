/* SPDX-License-Identifier: MIT */
/* The human monitor, with the words that QEMU's users know. */
#define _GNU_SOURCE
#include "frontend/monitor.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/options.h"
#include "base/trace.h"
#include "cpu/access.h"
#include "cpu/flags.h"
#include "frontend/version.h"

struct monitor {
	struct board *board;
	void (*write)(void *opaque, const u8 *data, size_t len);
	void *opaque;
	char line[512];
	size_t len;
};

static void say(struct monitor *m, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
static void say(struct monitor *m, const char *fmt, ...)
{
	va_list args;
	char *text, *crlf;
	size_t n = 0;

	va_start(args, fmt);
	int len = vasprintf(&text, fmt, args);
	va_end(args);
	if (len < 0)
		return;
	crlf = err_alloc(len * 2 + 1);
	for (int i = 0; i < len; i++) {
		if (text[i] == '\n')
			crlf[n++] = '\r';
		crlf[n++] = text[i];
	}
	m->write(m->opaque, (u8 *)crlf, n);
	free(crlf);
	free(text);
}

/* ---- commands ---- */

/* Registers are read with the machine standing still. */
static void with_cpu(struct monitor *m, void (*fn)(struct monitor *m, struct cpu *cpu))
{
	board_pause(m->board);
	fn(m, board_cpu(m->board, 0));
	board_continue(m->board);
}

static void registers(struct monitor *m, struct cpu *cpu)
{
	static const char *const gpr[] = {"RAX", "RCX", "RDX", "RBX", "RSP", "RBP", "RSI", "RDI",
	                                  "R8 ", "R9 ", "R10", "R11", "R12", "R13", "R14", "R15"};
	static const char *const seg[] = {"ES", "CS", "SS", "DS", "FS", "GS"};

	for (unsigned i = 0; i < 16; i++)
		say(m, "%s=%016" PRIx64 "%s", gpr[i], cpu->gpr[i], i % 4 == 3 ? "\n" : " ");
	say(m, "RIP=%016" PRIx64 " RFL=%08" PRIx64 " CPL=%u activity=%u\n", cpu->rip, flags_get(cpu), cpu->cpl, cpu->activity);
	for (unsigned i = 0; i < SEG_COUNT; i++)
		say(m, "%s =%04x %016" PRIx64 " %08x %05x\n", seg[i], cpu->seg[i].selector, cpu->seg[i].base, cpu->seg[i].limit,
		    cpu->seg[i].attr);
	say(m, "LDT=%04x %016" PRIx64 " %08x %05x\n", cpu->ldtr.selector, cpu->ldtr.base, cpu->ldtr.limit, cpu->ldtr.attr);
	say(m, "TR =%04x %016" PRIx64 " %08x %05x\n", cpu->tr.selector, cpu->tr.base, cpu->tr.limit, cpu->tr.attr);
	say(m, "GDT=     %016" PRIx64 " %08x\nIDT=     %016" PRIx64 " %08x\n", cpu->gdtr.base, cpu->gdtr.limit, cpu->idtr.base,
	    cpu->idtr.limit);
	say(m, "CR0=%08" PRIx64 " CR2=%016" PRIx64 " CR3=%016" PRIx64 " CR4=%08" PRIx64 " EFER=%016" PRIx64 "\n", cpu->cr0, cpu->cr2,
	    cpu->cr3, cpu->cr4, cpu->efer);
	for (unsigned i = 0; i < 8; i++)
		say(m, "XMM%02u=%016" PRIx64 "%016" PRIx64 " XMM%02u=%016" PRIx64 "%016" PRIx64 "\n", i * 2, cpu->v[i * 2].q[1],
		    cpu->v[i * 2].q[0], i * 2 + 1, cpu->v[i * 2 + 1].q[1], cpu->v[i * 2 + 1].q[0]);
	say(m, "FCW=%04x FSW=%04x valid=%02x MXCSR=%08x\n", cpu->x87.fcw, cpu->x87.fsw, cpu->x87.valid, cpu->mxcsr);
}

static void info_registers(struct monitor *m, char *args) { (void)args; with_cpu(m, registers); }
static void info_version(struct monitor *m, char *args) { (void)args; say(m, "%s\n", PAISANO_VERSION); }
static void info_status(struct monitor *m, char *args)
{
	(void)args;
	say(m, "VM status: %s\n", board_paused(m->board) ? "paused" : "running");
}
static void info_cpus(struct monitor *m, char *args)
{
	(void)args;
	for (unsigned i = 0; i < board_cpus(m->board); i++)
		say(m, "* CPU #%u: %s, %s\n", i, board_engine(m->board)->name,
		    board_cpu(m->board, i)->activity == CPU_RUNNING ? "running" : "idle");
}

static void perf(struct monitor *m, struct cpu *cpu)
{
	static const char *const names[] = {"blocks decoded", "instructions decoded", "TLB fills",      "TLB flushes",
	                                    "faults",         "interrupts",           "code rewritten", "device accesses"};
	u64 now = clock_now(board_machine(m->board)->clock);

	say(m, "%-22s %" PRIu64 "\n", "instructions", cpu->instructions);
	say(m, "%-22s %.1f s\n", "guest time", now / 1e9);
	for (unsigned i = 0; i < ARRAY_LEN(names); i++)
		say(m, "%-22s %" PRIu64 "\n", names[i], cpu->statistics[i]);
}
static void info_perf(struct monitor *m, char *args) { (void)args; with_cpu(m, perf); }

static void info_mtree(struct monitor *m, char *args)
{
	struct bus *bus = board_machine(m->board)->bus;

	(void)args;
	for (u32 i = 0; i < bus->mem.count; i++)
		say(m, "%016" PRIx64 "-%016" PRIx64 " %s\n", bus->mem.ranges[i].first, bus->mem.ranges[i].last,
		    bus->mem.ranges[i].region->name);
	say(m, "ports:\n");
	for (u32 i = 0; i < bus->io.count; i++)
		say(m, "%04" PRIx64 "-%04" PRIx64 " %s\n", bus->io.ranges[i].first, bus->io.ranges[i].last, bus->io.ranges[i].region->name);
}

static void info_qtree(struct monitor *m, char *args)
{
	(void)args;
	for (struct device *d = board_first_device(m->board); d; d = d->next)
		say(m, "%-12s %-16s %s\n", d->id, d->class->name, d->class->desc);
}

struct command {
	const char *name, *arguments, *help;
	void (*run)(struct monitor *m, char *args);
};

static const struct command infos[] = {
	{"registers", "", "CPU registers", info_registers},
	{"version", "", "version", info_version},
	{"status", "", "running or paused", info_status},
	{"cpus", "", "CPUs", info_cpus},
	{"perf", "", "what was executed", info_perf},
	{"mtree", "", "memory and port map", info_mtree},
	{"qtree", "", "devices", info_qtree},
};

static const struct command *lookup(const struct command *table, unsigned count, const char *name)
{
	for (unsigned i = 0; i < count; i++)
		if (!strcmp(table[i].name, name))
			return &table[i];
	return NULL;
}

static void info(struct monitor *m, char *args)
{
	const struct command *c = lookup(infos, ARRAY_LEN(infos), args);

	if (c) {
		c->run(m, NULL);
		return;
	}
	for (unsigned i = 0; i < ARRAY_LEN(infos); i++)
		say(m, "info %-12s %s\n", infos[i].name, infos[i].help);
}

static void stop(struct monitor *m, char *args)
{
	(void)args;
	if (!board_paused(m->board))
		board_pause(m->board);
}
static void cont(struct monitor *m, char *args) { (void)args; board_continue(m->board); }
static void system_reset(struct monitor *m, char *args) { (void)args; board_reset(m->board); }
static void system_powerdown(struct monitor *m, char *args) { (void)args; board_power_button(m->board); }
static void quit(struct monitor *m, char *args) { (void)args; board_quit(m->board, EXIT_OFF); }

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
		say(m, "x/COUNT[bhwg]x ADDRESS\n");
		return;
	}
	board_pause(m->board);
	struct cpu *cpu = board_cpu(m->board, 0);
	for (unsigned i = 0; i < count; i++) {
		u64 gpa = addr + i * size, value = 0;
		if (i % (16 / size) == 0)
			say(m, "%s%016" PRIx64 ":", i ? "\n" : "", addr + i * size);
		if (!physical && !paging_probe(cpu, addr + i * size, &gpa)) {
			say(m, " unmapped");
			break;
		}
		bus_dma_read(cpu->bus, gpa, &value, size);
		say(m, " 0x%0*" PRIx64, (int)size * 2, value);
	}
	say(m, "\n");
	board_continue(m->board);
}
static void x(struct monitor *m, char *args) { examine(m, args, false); }
static void xp(struct monitor *m, char *args) { examine(m, args, true); }

static void gva2gpa(struct monitor *m, char *args)
{
	u64 linear, gpa;

	if (!options_number(args, &linear, NULL)) {
		say(m, "gva2gpa ADDRESS\n");
		return;
	}
	board_pause(m->board);
	if (paging_probe(board_cpu(m->board, 0), linear, &gpa))
		say(m, "gpa: %#" PRIx64 "\n", gpa);
	else
		say(m, "Unmapped\n");
	board_continue(m->board);
}

static void trace_event(struct monitor *m, char *args)
{
	char *space = strchr(args, ' ');
	bool on;

	if (!space || (*space = 0, !options_bool(space + 1, &on, NULL)))
		say(m, "trace-event GLOB on|off\n");
	else
		say(m, "%u events\n", trace_enable(args, on));
}

static void help(struct monitor *m, char *args);
static const struct command commands[] = {
	{"help", "", "this list", help},
	{"info", "WHAT", "registers, cpus, perf, status, mtree, qtree, version", info},
	{"stop", "", "stop the machine", stop},
	{"cont", "", "let it go on", cont},
	{"c", "", "same as cont", cont},
	{"system_reset", "", "press the reset button", system_reset},
	{"system_powerdown", "", "press the power button", system_powerdown},
	{"x", "/FMT ADDR", "show memory at a virtual address", x},
	{"xp", "/FMT ADDR", "show memory at a physical address", xp},
	{"gva2gpa", "ADDR", "translate a virtual address", gva2gpa},
	{"trace-event", "GLOB on|off", "switch trace events", trace_event},
	{"quit", "", "end the run", quit},
	{"q", "", "same as quit", quit},
};

static void help(struct monitor *m, char *args)
{
	(void)args;
	for (unsigned i = 0; i < ARRAY_LEN(commands); i++)
		say(m, "%-16s %-12s %s\n", commands[i].name, commands[i].arguments, commands[i].help);
}

static void execute(struct monitor *m)
{
	char *name = m->line, *args;

	while (*name == ' ')
		name++;
	size_t len = strcspn(name, " /");
	char word[32];
	snprintf(word, sizeof word, "%.*s", (int)len, name);
	args = name + len;
	while (*args == ' ')
		args++;
	if (!*word)
		return;
	const struct command *c = lookup(commands, ARRAY_LEN(commands), word);
	if (c) {
		c->run(m, args);
		return;
	}
	const char *names[ARRAY_LEN(commands) + 1] = {0};
	for (unsigned i = 0; i < ARRAY_LEN(commands); i++)
		names[i] = commands[i].name;
	const char *near = options_nearest(word, names);
	say(m, near ? "unknown command: '%s', did you mean '%s'?\n" : "unknown command: '%s'\n", word, near);
}

void monitor_prompt(struct monitor *m)
{
	say(m, "(paisano) ");
}

void monitor_input(struct monitor *m, const u8 *data, size_t len)
{
	for (size_t i = 0; i < len; i++) {
		u8 c = data[i];
		if (c == '\r' || c == '\n') {
			say(m, "\n");
			m->line[m->len] = 0;
			m->len = 0;
			execute(m);
			monitor_prompt(m);
		} else if (c == 127 || c == 8) {
			if (m->len) {
				m->len--;
				say(m, "\b \b");
			}
		} else if (c == 21) { /* Ctrl-U */
			while (m->len) {
				m->len--;
				say(m, "\b \b");
			}
		} else if (c >= ' ' && m->len < sizeof m->line - 1) {
			m->line[m->len++] = c;
			m->write(m->opaque, &c, 1);
		}
	}
}

struct monitor *monitor_new(struct board *board, void (*write)(void *opaque, const u8 *data, size_t len), void *opaque)
{
	struct monitor *m = err_alloc(sizeof *m);

	m->board = board;
	m->write = write;
	m->opaque = opaque;
	return m;
}

void monitor_free(struct monitor *m)
{
	free(m);
}
