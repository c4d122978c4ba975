/* SPDX-License-Identifier: MIT */
/* The text screen inside a terminal, by ncurses with wide characters. Keys come as what they mean, not where they are, so they
 * are typed as on a US keyboard; Ctrl-A is ours as with -nographic: Ctrl-A x ends the run, Ctrl-A a sends Ctrl-A.
 * Not implemented: the mouse; keys that terminals do not send (Print, releases of any key); other code pages than 437.
 *
 * One at a time: ncurses' state is the process's. Invariant: while it is open, `terminal.open` is set and the terminal's own
 * settings are in `terminal.saved`, so that every way out can restore them. Notes to the user are kept until then where they would
 * write across the screen; the last one shows below it if there is a line left. */
#define _GNU_SOURCE
#define _XOPEN_SOURCE_EXTENDED 1
#include <curses.h>
#include <locale.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <termios.h>
#include <unistd.h>

#include "frontend/ui.h"

#define ESCAPE_MS 25      /* how long after an escape character the rest of a sequence may come */
#define BETWEEN_KEYS_MS 5 /* pasted text comes no faster than the keyboard's buffer drains */

struct text_ui {
	struct ui ui;
	SCREEN *screen;
	struct text_screen now, shown;
	bool shown_text, prefix, redraw, colours;
	unsigned shown_width, shown_height;
	struct ui_pace pace;
};

static struct {
	struct termios saved;
	volatile sig_atomic_t open;
} terminal;

static struct {
	pthread_mutex_t lock;
	char text[4096]; /* whole lines */
	size_t len, last; /* where the last one begins */
	bool fresh;
} notes = {.lock = PTHREAD_MUTEX_INITIALIZER};

static void take_note(const char *line)
{
	size_t len = strlen(line);

	pthread_mutex_lock(&notes.lock);
	if (notes.len + len < sizeof notes.text) {
		memcpy(notes.text + notes.len, line, len + 1);
		notes.last = notes.len;
		notes.len += len;
		notes.fresh = true;
	}
	pthread_mutex_unlock(&notes.lock);
}

/* Without the lock: on the way out. */
static void give_notes(void)
{
	if (notes.len && write(STDERR_FILENO, notes.text, notes.len) < 0)
		return;
	notes.len = 0;
}

static void restore(void)
{
	static const char leave[] = "\033[0m\033[?25h\033[?1049l\033[?1l\r\n";

	if (!terminal.open)
		return;
	terminal.open = 0;
	tcsetattr(STDIN_FILENO, TCSANOW, &terminal.saved);
	if (write(STDOUT_FILENO, leave, sizeof leave - 1) < 0)
		return;
	give_notes();
}

/* ---- the screen ---- */

/* Code page 437, as the character generator of a VGA draws it. */
static wchar_t unicode(u8 c)
{
	static const wchar_t low[] = L" ☺☻♥♦♣♠•◘○◙♂♀♪♫☼►◄↕‼¶§▬↨↑↓→←∟↔▲▼";
	static const wchar_t high[] = L"⌂ÇüéâäàåçêëèïîìÄÅÉæÆôöòûùÿÖÜ¢£¥₧ƒáíóúñÑªº¿⌐¬½¼¡«»"
	                              L"░▒▓│┤╡╢╖╕╣║╗╝╜╛┐└┴┬├─┼╞╟╚╔╩╦╠═╬╧╨╤╥╙╘╒╓╫╪┘┌█▄▌▐▀"
	                              L"αßΓπΣσµτΦΘΩδ∞φε∩≡±≥≤⌠⌡÷≈°∙·√ⁿ²■ ";

	_Static_assert(sizeof low / sizeof *low == 32 + 1 && sizeof high / sizeof *high == 129 + 1, "code page 437");
	return c < 32 ? low[c] : c < 127 ? c : high[c - 127];
}

/* The adapter counts blue, green, red; terminals red, green, blue. */
static short terminal_colour(unsigned c)
{
	return (short)((c & 8) | (c & 1) << 2 | (c & 2) | (c & 4) >> 2);
}

static void set_attribute(struct text_ui *t, u8 attribute)
{
	unsigned fore = attribute & 15, back = attribute >> 4 & 7;
	attr_t attr = attribute & 0x80 ? A_BLINK : 0;

	if (!t->colours) {
		attr |= fore == 0 && back ? A_REVERSE : fore > 7 ? A_BOLD : 0;
		attr_set(attr, 0, NULL);
		return;
	}
	if (COLORS < 16 && fore > 7) {
		attr |= A_BOLD;
		fore &= 7;
	}
	attr_set(attr, (short)(1 + back * (COLORS < 16 ? 8 : 16) + fore), NULL);
}

static void make_pairs(struct text_ui *t)
{
	unsigned fores = COLORS < 16 ? 8 : 16;

	t->colours = has_colors() && COLORS >= 8 && COLOR_PAIRS > (int)(8 * fores);
	for (unsigned back = 0; t->colours && back < 8; back++)
		for (unsigned fore = 0; fore < fores; fore++)
			init_pair((short)(1 + back * fores + fore), terminal_colour(fore), terminal_colour(back));
}

static void draw_note(int below)
{
	attr_set(0, 0, NULL);
	pthread_mutex_lock(&notes.lock);
	if (notes.len && LINES > below)
		mvaddnstr(LINES - 1, 0, notes.text + notes.last, MIN(COLS, (int)(notes.len - notes.last) - 1));
	notes.fresh = false;
	pthread_mutex_unlock(&notes.lock);
}

static bool noted(void)
{
	pthread_mutex_lock(&notes.lock);
	bool fresh = notes.fresh;
	pthread_mutex_unlock(&notes.lock);
	return fresh;
}

static void draw_text(struct text_ui *t)
{
	const struct text_screen *s = &t->now;
	int columns = MIN((int)s->columns, COLS), rows = MIN((int)s->rows, LINES);
	/* a terminal that is too small shows the part with the cursor in it */
	int top = MAX(MIN(s->cursor_row - rows + 1, (int)s->rows - rows), 0);
	int left = MAX(MIN(s->cursor_column - columns + 1, (int)s->columns - columns), 0);

	erase();
	for (int y = 0; y < rows; y++) {
		move(y, 0);
		for (int x = 0; x < columns; x++) {
			const struct text_cell *cell = &s->cell[(unsigned)(y + top) * s->columns + (unsigned)(x + left)];
			const wchar_t text[2] = {unicode(cell->character), 0};
			set_attribute(t, cell->attribute);
			mvaddwstr(y, x, text);
		}
	}
	draw_note(rows);
	bool visible = s->cursor_row >= top && s->cursor_row < top + rows && s->cursor_column >= left &&
	               s->cursor_column < left + columns;
	curs_set(visible);
	if (visible)
		move(s->cursor_row - top, s->cursor_column - left);
	refresh();
}

static void draw_message(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
static void draw_message(const char *fmt, ...)
{
	char text[120];
	va_list args;

	va_start(args, fmt);
	int len = vsnprintf(text, sizeof text, fmt, args);
	va_end(args);
	attr_set(0, 0, NULL);
	erase();
	curs_set(0);
	mvaddstr(LINES / 2, MAX((COLS - len) / 2, 0), text);
	draw_note(LINES / 2 + 1);
	refresh();
}

static bool same_text(const struct text_screen *a, const struct text_screen *b)
{
	return a->columns == b->columns && a->rows == b->rows && a->cursor_column == b->cursor_column &&
	       a->cursor_row == b->cursor_row && !memcmp(a->cell, b->cell, sizeof a->cell[0] * a->columns * a->rows);
}

static bool look(struct text_ui *t)
{
	const struct picture *p = &t->ui.picture;
	bool text = ui_text(&t->ui, &t->now) && (size_t)t->now.columns * t->now.rows <= ARRAY_LEN(t->now.cell);

	t->redraw |= noted();
	if (text) {
		bool changed = t->redraw || !t->shown_text || !same_text(&t->now, &t->shown);
		if (changed)
			draw_text(t);
		t->shown = t->now;
		t->shown_text = true;
		t->redraw = false;
		return changed;
	}
	ui_update(&t->ui, false);
	if (t->redraw || t->shown_text || p->width != t->shown_width || p->height != t->shown_height) {
		if (p->width && p->height)
			draw_message("%u x %u graphics mode (-display sdl or vnc=:0 shows it)", p->width, p->height);
		else
			draw_message("the screen is off");
	}
	t->shown_text = t->redraw = false;
	t->shown_width = p->width;
	t->shown_height = p->height;
	return false;
}

/* ---- keys ---- */

static const struct {
	int curses;
	u8 code, with; /* with: a modifier held meanwhile */
} keys[] = {
	{KEY_UP, INPUT_UP, 0}, {KEY_DOWN, INPUT_DOWN, 0}, {KEY_LEFT, INPUT_LEFTARROW, 0}, {KEY_RIGHT, INPUT_RIGHTARROW, 0},
	{KEY_HOME, INPUT_HOME, 0}, {KEY_END, INPUT_END, 0}, {KEY_PPAGE, INPUT_PAGEUP, 0}, {KEY_NPAGE, INPUT_PAGEDOWN, 0},
	{KEY_IC, INPUT_INSERT, 0}, {KEY_DC, INPUT_DELETE, 0}, {KEY_BACKSPACE, INPUT_BACKSPACE, 0}, {127, INPUT_BACKSPACE, 0},
	{8, INPUT_BACKSPACE, 0}, {KEY_ENTER, INPUT_KPENTER, 0}, {13, INPUT_ENTER, 0}, {10, INPUT_ENTER, 0}, {9, INPUT_TAB, 0},
	{27, INPUT_ESC, 0}, {KEY_BTAB, INPUT_TAB, INPUT_LEFTSHIFT}, {KEY_SLEFT, INPUT_LEFTARROW, INPUT_LEFTSHIFT},
	{KEY_SRIGHT, INPUT_RIGHTARROW, INPUT_LEFTSHIFT}, {KEY_SR, INPUT_UP, INPUT_LEFTSHIFT}, {KEY_SF, INPUT_DOWN, INPUT_LEFTSHIFT},
	{KEY_SHOME, INPUT_HOME, INPUT_LEFTSHIFT}, {KEY_SEND, INPUT_END, INPUT_LEFTSHIFT}, {KEY_SDC, INPUT_DELETE, INPUT_LEFTSHIFT},
	{KEY_B2, INPUT_KP5, 0}, {28, INPUT_BACKSLASH, INPUT_LEFTCTRL}, {29, INPUT_RIGHTBRACE, INPUT_LEFTCTRL},
	{30, INPUT_6, INPUT_LEFTCTRL}, {31, INPUT_MINUS, INPUT_LEFTCTRL}, {0, INPUT_SPACE, INPUT_LEFTCTRL},
};

static const u8 function_keys[] = {INPUT_F1, INPUT_F2, INPUT_F3, INPUT_F4,  INPUT_F5,  INPUT_F6,
                                   INPUT_F7, INPUT_F8, INPUT_F9, INPUT_F10, INPUT_F11, INPUT_F12};

static void stroke(struct text_ui *t, unsigned code, unsigned with)
{
	if (with)
		ui_key(&t->ui, with, true);
	ui_key(&t->ui, code, true);
	ui_key(&t->ui, code, false);
	if (with)
		ui_key(&t->ui, with, false);
}

static void type_key(struct text_ui *t, int c)
{
	/* terminals number shifted function keys on from F13, those with control from F25 */
	static const u8 banks[] = {0, INPUT_LEFTSHIFT, INPUT_LEFTCTRL};

	for (unsigned i = 0; i < ARRAY_LEN(keys); i++)
		if (keys[i].curses == c) {
			stroke(t, keys[i].code, keys[i].with);
			return;
		}
	if (c > KEY_F0 && c <= KEY_F(36)) {
		unsigned n = (unsigned)(c - KEY_F(1));
		stroke(t, function_keys[n % 12], banks[n / 12]);
	} else if (c > 0 && c < 27) {
		enum keys_shift shift;
		stroke(t, keys_by_keysym((u32)c + 'a' - 1, &shift), INPUT_LEFTCTRL);
	} else if (c >= ' ' && c < 127) {
		ui_keysym(&t->ui, (u32)c, true);
		ui_keysym(&t->ui, (u32)c, false);
	}
}

/* The key behind Ctrl-A. */
static void own_key(struct text_ui *t, int c)
{
	t->prefix = false;
	if (c == 'x' || c == 'X')
		ui_end_run(&t->ui);
	else if (c == 'a' || c == 'A' || c == 1)
		type_key(t, 1);
}

static void read_key(struct text_ui *t, int c)
{
	if (c == KEY_RESIZE) {
		t->redraw = true;
	} else if (t->prefix) {
		own_key(t, c);
	} else if (c == 1) {
		t->prefix = true;
	} else if (c == 27) { /* alone, or Alt and the next key */
		int next = getch();
		if (next != ERR)
			ui_key(&t->ui, INPUT_LEFTALT, true);
		type_key(t, next == ERR ? 27 : next);
		if (next != ERR)
			ui_key(&t->ui, INPUT_LEFTALT, false);
	} else {
		type_key(t, c);
	}
}

/* ---- opening, running, closing ---- */

static void curses_close(struct ui *ui)
{
	struct text_ui *t = (struct text_ui *)ui;

	endwin();
	terminal.open = 0;
	tcsetattr(STDIN_FILENO, TCSANOW, &terminal.saved);
	delscreen(t->screen);
	err_notes_to(NULL);
	give_notes();
}

static bool curses_open(struct ui *ui, struct err *err)
{
	struct text_ui *t = (struct text_ui *)ui;

	if (terminal.open || !isatty(STDIN_FILENO) || !isatty(STDOUT_FILENO) || tcgetattr(STDIN_FILENO, &terminal.saved))
		return err_set(err, EXIT_HOST, "-display curses: stdin and stdout are not a free terminal");
	/* line drawing needs wide characters; a terminal that has none shows what it can */
	if (!setlocale(LC_CTYPE, "") || MB_CUR_MAX == 1)
		setlocale(LC_CTYPE, "C.UTF-8");
	t->screen = newterm(NULL, stdout, stdin);
	if (!t->screen)
		return err_set(err, EXIT_HOST, "-display curses: the terminal's type (TERM) is not known");
	terminal.open = 1;
	err_at_exit(restore);
	if (isatty(STDERR_FILENO))
		err_notes_to(take_note);
	raw();
	noecho();
	nonl();
	keypad(stdscr, TRUE);
	nodelay(stdscr, TRUE);
	set_escdelay(ESCAPE_MS);
	start_color();
	make_pairs(t);
	t->redraw = true;
	return true;
}

static void curses_run(struct ui *ui)
{
	struct text_ui *t = (struct text_ui *)ui;
	int wait = 0;

	while (!ui_quitting(ui)) {
		struct pollfd fd = {.fd = STDIN_FILENO, .events = POLLIN};
		ui_wait(ui, &fd, 1, wait);
		if (fd.revents & (POLLHUP | POLLERR)) { /* the terminal is gone, and the user with it */
			ui_end_run(ui);
			break;
		}
		int c = getch();
		if (c != ERR) {
			read_key(t, c);
			t->pace.quiet = 0;
		}
		wait = ui_next_look(&t->pace, look(t));
		if (c != ERR) /* more may wait in the library's buffer */
			wait = BETWEEN_KEYS_MS;
	}
}

UI(terminal) = {
	.name = "curses",
	.desc = "the text screen inside this terminal",
	.thread = THREAD_TEXT,
	.size = sizeof(struct text_ui),
	.open = curses_open,
	.run = curses_run,
	.close = curses_close,
};
