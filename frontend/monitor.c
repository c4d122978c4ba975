/* SPDX-License-Identifier: MIT */
/* The human monitor, with the words that QEMU's users know: lines, the table of commands, and those about the whole machine.
 * monitor_info.c, monitor_memory.c, monitor_input.c and monitor_drives.c have the rest. */
#define _GNU_SOURCE
#include "frontend/monitor.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/options.h"
#include "base/trace.h"
#include "frontend/monitor_private.h"

void monitor_say(struct monitor *m, const char *fmt, ...)
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

char *monitor_word(char **args)
{
	char *p = *args;

	while (*p == ' ')
		p++;
	if (!*p)
		return NULL;
	char end = *p == '"' ? '"' : ' ', *word = p += end == '"', *stop = strchr(p, end);
	*args = stop ? stop + 1 : p + strlen(p);
	if (stop)
		*stop = 0;
	return word;
}

/* ---- commands ---- */

static void stop(struct monitor *m, char *args)
{
	(void)args;
	if (!board_paused(m->board))
		board_pause(m->board);
}
static void cont(struct monitor *m, char *args) { (void)args; board_continue(m->board); }
static void step(struct monitor *m, char *args)
{
	const u64 most = 10000000; /* the monitor waits for them */
	u64 count = 1;

	if (*args && (!options_number(args, &count, NULL) || count > most)) {
		monitor_say(m, "step [COUNT], at most %llu\n", (unsigned long long)most);
		return;
	}
	if (!board_step(m->board, count))
		monitor_say(m, "the machine is running: stop it first\n");
}
static void system_reset(struct monitor *m, char *args) { (void)args; board_reset(m->board); }
static void system_wakeup(struct monitor *m, char *args)
{
	(void)args;
	if (!board_wake(m->board))
		monitor_say(m, "the guest is not suspended\n");
}
static void system_powerdown(struct monitor *m, char *args) { (void)args; board_power_button(m->board); }
static void quit(struct monitor *m, char *args) { (void)args; board_quit(m->board, EXIT_OFF); }

static void trace_event(struct monitor *m, char *args)
{
	char *space = strchr(args, ' ');
	bool on;

	if (!space || (*space = 0, !options_bool(space + 1, &on, NULL)))
		monitor_say(m, "trace-event GLOB on|off\n");
	else
		monitor_say(m, "%u events\n", trace_enable(args, on));
}

static monitor_fn help, info;

/* A name of two words is found by both. */
static const struct command {
	const char *name, *arguments, *help;
	monitor_fn *run;
	/* For the sandbox's broker: which word of the arguments is a file of the host, from 1 on, and whether it is made anew. */
	u8 file;
	bool creates;
} commands[] = {
	{"help", "[COMMAND]", "this list, or one command's line", help},
	{"info", "WHAT", "show the state of a part; alone: the list of parts", info},
	{"info block", "", "drives, what is in them, and what was read and written", monitor_info_block},
	{"info cpus", "", "CPUs and the engine that runs them", monitor_info_cpus},
	{"info engine", "", "the engine, and what makes it change", monitor_info_engine},
	{"info irq", "", "how often each interrupt line was raised", monitor_info_irq},
	{"info mice", "", "pointers, and which one is in use (*)", monitor_info_mice},
	{"info mtree", "", "memory and port map", monitor_info_mtree},
	{"info pci", "", "PCI functions and their BARs", monitor_info_pci},
	{"info jit", "", "what the translator did", monitor_info_jit},
	{"info perf", "", "what was executed", monitor_info_perf},
	{"info qtree", "", "devices", monitor_info_qtree},
	{"info registers", "", "CPU registers", monitor_info_registers},
	{"info status", "", "running or paused", monitor_info_status},
	{"info version", "", "version", monitor_info_version},
	{"stop", "", "stop the machine", stop},
	{"cont", "", "let it go on", cont},
	{"c", "", "same as cont", cont},
	{"step", "[COUNT]", "let the first CPU of a stopped machine execute one instruction, or COUNT", step},
	{"system_reset", "", "press the reset button", system_reset},
	{"system_wakeup", "", "wake the guest from suspend to RAM", system_wakeup},
	{"system_powerdown", "", "press the power button", system_powerdown},
	{"sendkey", "KEYS [MS]", "press keys together, as ctrl-alt-delete, and hold them (100 ms)", monitor_sendkey},
	{"mouse_move", "DX DY [DZ]", "move the mouse and turn its wheel", monitor_mouse_move},
	{"mouse_to", "X Y [DZ]", "put an absolute pointer to a place, both 0 to 32767", monitor_mouse_to},
	{"mouse_button", "STATE", "buttons held: the sum of 1 left, 2 right, 4 middle", monitor_mouse_button},
	{"screendump", "FILE", "picture of the screen: PNG if the name ends in .png, else PPM", monitor_screendump, .file = 1,
	 .creates = true},
	{"change", "DRIVE FILE [FORMAT]", "put another medium into a CD-ROM or floppy drive", monitor_change, .file = 2},
	{"engine", "[NAME [when KEY=VALUE]|never]",
	 "go on in another engine: now, or when addr=, port=, msr=, vector=, text=, insns=, ms=", monitor_engine},
	{"eject", "[-f] DRIVE", "take the medium out; -f: even if the guest has locked the drive", monitor_eject},
	{"x", "/FMT ADDR", "show memory at a virtual address; FMT: COUNT and b, h, w or g", monitor_x},
	{"xp", "/FMT ADDR", "show memory at a physical address", monitor_xp},
	{"gva2gpa", "ADDR", "translate a virtual address", monitor_gva2gpa},
	{"trace-event", "GLOB on|off", "switch trace events", trace_event},
	{"quit", "", "end the run", quit},
	{"q", "", "same as quit", quit},
};

static const struct command *lookup(const char *name)
{
	for (unsigned i = 0; i < ARRAY_LEN(commands); i++)
		if (!strcmp(commands[i].name, name))
			return &commands[i];
	return NULL;
}

static void show(struct monitor *m, const struct command *c)
{
	char call[64];

	snprintf(call, sizeof call, "%s %s", c->name, c->arguments);
	monitor_say(m, "%-26s %s\n", call, c->help);
}

static void help(struct monitor *m, char *args)
{
	const struct command *one = lookup(args);

	if (one)
		show(m, one);
	for (unsigned i = 0; !one && i < ARRAY_LEN(commands); i++)
		show(m, &commands[i]);
}

static void unknown(struct monitor *m, const char *name)
{
	const char *names[ARRAY_LEN(commands) + 1] = {0};

	for (unsigned i = 0; i < ARRAY_LEN(commands); i++)
		names[i] = commands[i].name;
	const char *near = options_nearest(name, names);
	monitor_say(m, near ? "unknown command: '%s', did you mean '%s'?\n" : "unknown command: '%s'\n", name, near);
}

static void info(struct monitor *m, char *args)
{
	char *word = monitor_word(&args), name[32];

	snprintf(name, sizeof name, "info %s", word ? word : "");
	const struct command *c = word ? lookup(name) : NULL;
	if (c)
		c->run(m, args);
	else if (word)
		unknown(m, name);
	for (unsigned i = 0; !word && i < ARRAY_LEN(commands); i++)
		if (!strncmp(commands[i].name, "info ", 5))
			show(m, &commands[i]);
}

/* The command of a line, and where its arguments begin; name is what was found in its place, empty in an empty line. */
static const struct command *parse(char *line, char **args, char name[32])
{
	while (*line == ' ')
		line++;
	size_t len = strcspn(line, " /");
	snprintf(name, 32, "%.*s", (int)MIN(len, (size_t)31), line);
	*args = line + len;
	while (**args == ' ')
		++*args;
	return *name ? lookup(name) : NULL;
}

static void execute(struct monitor *m)
{
	char *args, name[32];
	const struct command *c = parse(m->line.text, &args, name);

	if (c)
		c->run(m, args);
	else if (*name)
		unknown(m, name);
}

bool monitor_file(char *line, struct monitor_file *named)
{
	char *args, name[32];
	const struct command *c = parse(line, &args, name);

	*named = (struct monitor_file){.creates = c && c->creates};
	for (unsigned i = 0; c && i < c->file; i++) {
		named->drive = named->file;
		named->file = monitor_word(&args);
	}
	if (named->file)
		named->format = monitor_word(&args);
	return named->file;
}

enum monitor_typed monitor_type(struct monitor_line *line, u8 c, unsigned *erased)
{
	*erased = 0;
	if (c == '\r' || c == '\n') {
		line->text[line->len] = 0;
		line->len = 0;
		return MONITOR_LINE;
	}
	if (c == 127 || c == 8)
		*erased = MIN(line->len, (size_t)1);
	else if (c == 21) /* Ctrl-U */
		*erased = line->len;
	line->len -= *erased;
	if (c == 127 || c < ' ' || line->len == sizeof line->text - 1)
		return MONITOR_EDITED;
	line->text[line->len++] = c;
	return MONITOR_CHARACTER;
}

void monitor_prompt(struct monitor *m)
{
	monitor_say(m, "(paisano) ");
}

/* A page in the user's browser can make it send requests to a port of this host, with lines of the page's choice in them. Nothing
 * that begins as HTTP or TLS do is taken for commands. */
static bool is_browser(struct monitor *m, u8 c)
{
	enum { TLS_HANDSHAKE = 0x16 };
	bool too_long = m->line.len == sizeof m->line.text - 1; /* to tell */

	if (!m->remote)
		return false;
	if (c != '\r' && c != '\n')
		return !m->begun && c == TLS_HANDSHAKE;
	m->line.text[m->line.len] = 0;
	return too_long || strstr(m->line.text, " HTTP/");
}

void monitor_connected(struct monitor *m)
{
	m->remote = true;
	m->begun = m->deaf = false;
	m->line.len = 0;
	monitor_prompt(m);
}

void monitor_input(struct monitor *m, const u8 *data, size_t len)
{
	for (size_t i = 0; i < len && !m->deaf; i++) {
		unsigned erased;
		if (is_browser(m, data[i])) {
			m->deaf = true;
			monitor_say(m, "\nthis is a monitor, no web server\n");
			err_note("a web browser has connected to the monitor; what it sent was not obeyed");
			return;
		}
		m->begun = true;
		switch (monitor_type(&m->line, data[i], &erased)) {
		case MONITOR_LINE:
			monitor_say(m, "\n");
			execute(m);
			monitor_prompt(m);
			break;
		case MONITOR_CHARACTER:
			m->write(m->opaque, &data[i], 1);
			break;
		case MONITOR_EDITED:
			while (erased--)
				monitor_say(m, "\b \b");
			break;
		}
	}
}

struct monitor *monitor_new(struct board *board, void (*write)(void *opaque, const u8 *data, size_t len), void *opaque)
{
	struct monitor *m = err_alloc(sizeof *m);

	m->board = board;
	m->write = write;
	m->opaque = opaque;
	monitor_input_init(m);
	return m;
}

void monitor_free(struct monitor *m)
{
	if (m)
		monitor_input_free(m);
	free(m);
}
