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
	bool keys, escaped, in_monitor;
	struct termios saved, raw;
	volatile sig_atomic_t changed;
} terminal;

static void restore(void)
{
	if (terminal.changed)
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
	tcsetattr(STDIN_FILENO, TCSANOW, &terminal.raw);
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

/* A key behind Ctrl-A; true if the guest shall have it after all. */
static bool command(u8 key)
{
	switch (key) {
	case ESCAPE:
	case 'a':
		return true;
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
		terminal.in_monitor = !terminal.in_monitor && terminal.monitor;
		print("\r\n");
		if (terminal.in_monitor)
			monitor_prompt(terminal.monitor);
		break;
	default:
		break;
	}
	return false;
}

/* What was typed: take out our keys, leave the guest's. */
static size_t filter(void *opaque, u8 *data, size_t len)
{
	size_t kept = 0;

	(void)opaque;
	for (size_t i = 0; i < len; i++) {
		u8 c = data[i];
		if (terminal.escaped) {
			terminal.escaped = false;
			if (!command(c))
				continue;
			c = ESCAPE;
		} else if (c == ESCAPE) {
			terminal.escaped = true;
			continue;
		}
		if (terminal.in_monitor)
			monitor_input(terminal.monitor, &c, 1);
		else
			data[kept++] = c;
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
	terminal.keys = keys;
	if (keys && tty) {
		chardev_filter(terminal.chardev, filter, NULL);
		print("Paisano: Ctrl-A h help, Ctrl-A x quit, Ctrl-A c monitor, Ctrl-A b break\r\n");
	}
	return terminal.chardev;
}

bool terminal_owns(const struct chardev *chardev)
{
	return chardev && chardev == terminal.chardev;
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
