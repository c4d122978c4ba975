/* SPDX-License-Identifier: MIT */
/* The terminal as a character stream. As the guest's console ("mon:stdio", which -nographic is) it is raw: every key goes to the
 * guest, but for those behind Ctrl-A. As plain "stdio" it has no such keys, so those that send signals keep their meaning, as on
 * QEMU: Ctrl-C ends the run. Its settings are restored on every way out. When stdin is no terminal (a pipe, a file, /dev/null,
 * closed) it is just read. */
#include "frontend/terminal.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <termios.h>
#include <unistd.h>

#include "frontend/chardev.h"

#define ESCAPE 1 /* Ctrl-A */

static struct {
	struct chardev *chardev;
	struct board *board;
	struct monitor *monitor;
	struct terminal_keys keys;
	bool has_keys; /* those behind Ctrl-A */
	struct termios saved, raw;
	volatile sig_atomic_t changed;
} terminal;

static void not_now(int signal)
{
	(void)signal;
}

/* The end of the run must not be stopped for being in the background. With a handler, and no SA_RESTART, what is done to the
 * terminal from there fails (EINTR) instead: it has the settings of who is in the foreground now, and they are not ours to change.
 * Async-signal-safe. */
void terminal_ends(void)
{
	const struct sigaction action = {.sa_handler = not_now};

	sigaction(SIGTTOU, &action, NULL);
	sigaction(SIGTTIN, &action, NULL);
}

static void restore(void)
{
	if (!terminal.changed)
		return;
	terminal_ends();
	tcsetattr(STDIN_FILENO, TCSANOW, &terminal.saved);
}

/* After a stop by the shell's job control the terminal is ours again. */
static void on_continue(int signal)
{
	int keep = errno;

	(void)signal;
	if (terminal.changed)
		tcsetattr(STDIN_FILENO, TCSANOW, &terminal.raw);
	errno = keep;
}

static bool make_raw(bool signals)
{
	struct sigaction action = {.sa_handler = on_continue, .sa_flags = SA_RESTART};

	if (!isatty(STDIN_FILENO) || tcgetattr(STDIN_FILENO, &terminal.saved))
		return false;
	terminal.raw = terminal.saved;
	cfmakeraw(&terminal.raw);
	if (signals)
		terminal.raw.c_lflag |= ISIG;
	err_at_exit(restore);
	terminal.changed = 1;
	if (tcsetattr(STDIN_FILENO, TCSANOW, &terminal.raw)) /* the run has been ended while it was stopped in the background */
		terminal.changed = 0;
	sigaction(SIGCONT, &action, NULL);
	return true;
}

static void print(const char *text)
{
	terminal.chardev->write(terminal.chardev->opaque, (const u8 *)text, strlen(text));
}

static void write_out(void *opaque, const u8 *data, size_t len)
{
	(void)opaque;
	terminal.chardev->write(terminal.chardev->opaque, data, len);
}

enum terminal_goes terminal_key(struct terminal_keys *keys, u8 *key)
{
	if (keys->escaped) {
		keys->escaped = false;
		if (*key == 'c')
			keys->in_monitor = !keys->in_monitor;
		if (*key != ESCAPE && *key != 'a')
			return TERMINAL_COMMAND;
		*key = ESCAPE;
	} else if (*key == ESCAPE) {
		keys->escaped = true;
		return TERMINAL_NOWHERE;
	}
	return keys->in_monitor ? TERMINAL_MONITOR : TERMINAL_GUEST;
}

/* A key behind Ctrl-A. */
static void command(u8 key)
{
	switch (key) {
	case 'h':
	case '?':
		print("\r\nCtrl-A h  this help\r\nCtrl-A x  end the run\r\nCtrl-A c  monitor and back\r\nCtrl-A b  send a break\r\n"
		      "Ctrl-A a  send Ctrl-A\r\n");
		break;
	case 'x':
		print("\r\n");
		if (terminal.board)
			board_quit(terminal.board, EXIT_OFF);
		break;
	case 'b':
		if (terminal.chardev->event_break)
			terminal.chardev->event_break(terminal.chardev->device);
		break;
	case 'c':
		print("\r\n");
		if (terminal.keys.in_monitor)
			monitor_prompt(terminal.monitor);
		break;
	default:
		break;
	}
}

/* What was typed: take out our keys, leave the guest's. The machine runs, so there is a monitor. */
static size_t filter(void *opaque, u8 *data, size_t len)
{
	size_t kept = 0;

	(void)opaque;
	for (size_t i = 0; i < len; i++) {
		u8 c = data[i];
		switch (terminal_key(&terminal.keys, &c)) {
		case TERMINAL_GUEST:
			data[kept++] = c;
			break;
		case TERMINAL_MONITOR:
			monitor_input(terminal.monitor, &c, 1);
			break;
		case TERMINAL_COMMAND:
			command(c);
			break;
		case TERMINAL_NOWHERE:
			break;
		}
	}
	return kept;
}

struct chardev *terminal_open(bool keys, struct loop *loop, struct err *err)
{
	if (terminal.chardev) {
		err_set(err, EXIT_USAGE, "stdio is in use already");
		return NULL;
	}
	bool tty = make_raw(!keys);
	bool readable = fcntl(STDIN_FILENO, F_GETFL) != -1, writable = fcntl(STDOUT_FILENO, F_GETFL) != -1;
	terminal.chardev = chardev_inherited(readable ? STDIN_FILENO : -1, writable ? STDOUT_FILENO : -1, loop);
	terminal.has_keys = keys && tty;
	if (terminal.has_keys) {
		chardev_filter(terminal.chardev, filter, NULL);
		print("Paisano: Ctrl-A h help, Ctrl-A x quit, Ctrl-A c monitor, Ctrl-A b break\r\n");
	}
	return terminal.chardev;
}

bool terminal_owns(const struct chardev *chardev)
{
	return chardev && chardev == terminal.chardev;
}

bool terminal_guard(struct err *err)
{
	return !terminal.chardev || !terminal.has_keys || chardev_guard(terminal.chardev, true, err);
}

void terminal_attach(struct board *board)
{
	if (!terminal.chardev)
		return;
	terminal.board = board;
	terminal.monitor = monitor_new(board, write_out, NULL);
}

void terminal_close(void)
{
	if (!terminal.chardev)
		return;
	chardev_close(terminal.chardev);
	monitor_free(terminal.monitor);
	terminal.chardev = NULL;
	terminal.monitor = NULL;
	restore();
	terminal.changed = 0;
}
