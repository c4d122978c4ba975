/* SPDX-License-Identifier: MIT */
/* The text screen in a pseudo-terminal: what is written there, and what comes of what is typed. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <poll.h>
#include <pty.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "tests/frontend/fake.h"

static struct fake *f;
static struct ui *ui;
static int master, slave, saved[3], lines = 25, outputs = 2; /* outputs: 3: stderr is the terminal as well */
static char output[1 << 20];
static size_t len;

static void put_text(unsigned column, unsigned row, const char *text, u8 attribute)
{
	for (unsigned i = 0; text[i]; i++)
		f->text.cell[row * f->text.columns + column + i] = (struct text_cell){(u8)text[i], attribute};
}

static void start(void)
{
	struct winsize size = {.ws_col = 80, .ws_row = (unsigned short)lines};
	struct err err = {0};

	f = fake_new(720, 400);
	f->in_text = true;
	f->text.columns = 80;
	f->text.rows = 25;
	put_text(0, 0, "Hello, world", 0x07);
	put_text(10, 12, "\xc9\xcd\xbb", 0x1e);
	put_text(68, 24, "bottom right", 0x70);
	f->text.cursor_column = 5;
	f->text.cursor_row = 7;
	len = 0;
	assert_int_equal(openpty(&master, &slave, NULL, NULL, &size), 0);
	fcntl(master, F_SETFL, O_NONBLOCK);
	setenv("TERM", "xterm-256color", 1);
	fflush(stdout);
	for (int i = 0; i < outputs; i++) {
		saved[i] = dup(i);
		dup2(slave, i);
	}
	ui = ui_start("curses", NULL, &f->host, &err);
	if (!ui) {
		dup2(saved[1], 1);
		fail_msg("%s", err.text);
	}
}

static void read_output(int ms)
{
	struct pollfd p = {.fd = master, .events = POLLIN};
	ssize_t n;

	poll(&p, 1, ms);
	while (len < sizeof output - 1 && (n = read(master, output + len, sizeof output - 1 - len)) > 0)
		len += (size_t)n;
	output[len] = 0;
}

static void stop(void)
{
	ui_stop(ui);
	fflush(stdout);
	read_output(10);
	for (int i = 0; i < outputs; i++) {
		dup2(saved[i], i);
		close(saved[i]);
	}
	close(master);
	close(slave);
	fake_free(f);
}

static bool wait_for(const char *text)
{
	for (unsigned i = 0; i < FAKE_PATIENCE && !strstr(output, text); i++)
		read_output(10);
	return strstr(output, text);
}

static void shows(void **state)
{
	(void)state;
	start();
	/* stop() before any check: a failure is told on the real stdout */
	bool hello = wait_for("Hello, world"), box = wait_for("╔═╗"), bottom = wait_for("bottom");
	loop_lock(f->machine.loop);
	put_text(0, 1, "a second line", 0x0c);
	loop_unlock(f->machine.loop);
	bool second = wait_for("second");
	f->in_text = false;
	bool graphics = wait_for("720 x 400");
	f->in_text = true;
	stop();
	assert_true(hello);
	assert_true(box);
	assert_true(bottom);
	assert_true(second);
	assert_true(graphics);
}

static void type(const char *keys, size_t n)
{
	assert_int_equal(write(master, keys, n), n);
}

static void keys(void **state)
{
	static const struct {
		const char *typed, *got;
	} cases[] = {
		{"a", "k30+ k30- "},
		{"A", "k42+ k30+ k42- k30- "},
		{"\r", "k28+ k28- "},
		{"\t", "k15+ k15- "},
		{"\177", "k14+ k14- "},
		{"\033OA", "k103+ k103- "},
		{"\033OP", "k59+ k59- "},
		{"\033[3~", "k111+ k111- "},
		{"\003", "k29+ k46+ k46- k29- "},
		{"\033x", "k56+ k45+ k45- k56- "},
		{"\033", "k1+ k1- "},
		{"\001a", "k29+ k30+ k30- k29- "},
		{"/:", "k53+ k53- k42+ k39+ k42- k39- "},
	};

	(void)state;
	start();
	wait_for("Hello");
	for (unsigned i = 0; i < ARRAY_LEN(cases); i++) {
		type(cases[i].typed, strlen(cases[i].typed));
		fake_expect(f, cases[i].got);
	}
	type("\001x", 2);
	bool quit = fake_quitting(f);
	stop();
	assert_true(quit);
}

/* They are not written across the screen, but below it if it leaves room, and at the end. */
static void notes(void **state)
{
	for (lines = 25; lines <= 26; lines++) {
		outputs = 3;
		start();
		wait_for("bottom");
		err_note("a %s", "remark");
		bool seen = lines == 26 && wait_for("paisano: a remark");
		read_output(100);
		bool across = strstr(output, "remark\r\n");
		bool early = !seen && strstr(output, "remark");
		stop();
		bool at_end = strstr(output, "paisano: a remark\r\n");
		outputs = 2;
		assert_false(across);
		assert_false(early);
		assert_true(at_end);
		assert_int_equal(seen, lines == 26);
	}
	lines = 25;
	(void)state;
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(shows), cmocka_unit_test(keys), cmocka_unit_test(notes)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
