/* SPDX-License-Identifier: MIT */
/* The monitor's words for keys, mouse and screen: good enough to drive an installer by script. Strokes are queued in guest time,
 * so that commands may come as fast as they like. */
#include <stdlib.h>

#include "base/options.h"
#include "frontend/keys.h"
#include "frontend/monitor_private.h"
#include "frontend/screendump.h"

#define HOLD_MS 100
#define HOLD_MAX_MS 60000
#define CHORD 16 /* keys pressed together */
#define GAP_MS 20 /* between a release and the next press */

static void next_stroke(void *opaque)
{
	struct monitor *m = opaque;
	const struct machine *machine = board_machine(m->board);

	while (m->strokes) {
		const struct monitor_stroke s = m->stroke[m->first_stroke];
		m->first_stroke = (m->first_stroke + 1) % MONITOR_KEYS;
		m->strokes--;
		input_key(machine, s.code, s.down);
		if (s.then_ms) { /* also behind the last one, so that the next command keeps its distance */
			timer_arm(&m->stroke_timer, clock_now(machine->clock) + s.then_ms * (NS_PER_S / 1000));
			m->stroke_waits = true;
			return;
		}
	}
	m->stroke_waits = false;
}

static void put_stroke(struct monitor *m, unsigned code, bool down, unsigned then_ms)
{
	m->stroke[(m->first_stroke + m->strokes++) % MONITOR_KEYS] =
		(struct monitor_stroke){.code = (u8)code, .down = down, .then_ms = (u16)then_ms};
}

void monitor_input_init(struct monitor *m)
{
	timer_init(&m->stroke_timer, board_machine(m->board)->clock, next_stroke, m);
}

void monitor_input_free(struct monitor *m)
{
	timer_cancel(&m->stroke_timer);
}

/* "ctrl-alt-delete" into key codes; 0: bad already names the part that is none. */
static unsigned parse_chord(char *keys, unsigned *codes, const char **bad)
{
	unsigned count = 0;

	for (char *save = NULL, *name = strtok_r(keys, "-", &save); name; name = strtok_r(NULL, "-", &save)) {
		unsigned code = keys_by_name(name);
		*bad = name;
		if (!code || count == CHORD)
			return 0;
		codes[count++] = code;
	}
	return count;
}

void monitor_sendkey(struct monitor *m, char *args)
{
	char *keys = monitor_word(&args), *time = monitor_word(&args);
	unsigned codes[CHORD], count;
	const char *bad = "";
	u64 hold = HOLD_MS;

	if (!keys || (time && (!options_number(time, &hold, NULL) || !hold || hold > HOLD_MAX_MS))) {
		monitor_say(m, "sendkey KEYS [MS]: names with dashes between them, held for 1 to %d ms\n", HOLD_MAX_MS);
		return;
	}
	count = parse_chord(keys, codes, &bad);
	if (!count) {
		monitor_say(m, "no such key: '%s'\n", bad);
		return;
	}
	if (m->strokes + 2 * count > MONITOR_KEYS) {
		monitor_say(m, "too many keys are waiting for the guest\n");
		return;
	}
	for (unsigned i = 0; i < count; i++)
		put_stroke(m, codes[i], true, i + 1 == count ? (unsigned)hold : 0);
	for (unsigned i = count; i-- > 0;)
		put_stroke(m, codes[i], false, i ? 0 : GAP_MS);
	if (!m->stroke_waits)
		next_stroke(m);
}

static bool parse_signed(const char *word, int *value)
{
	char *end;

	if (!word)
		return false;
	long v = strtol(word, &end, 0);
	*value = (int)v;
	return !*end && end != word && v >= -32768 && v <= 32767;
}

void monitor_mouse_move(struct monitor *m, char *args)
{
	const struct machine *machine = board_machine(m->board);
	char *x = monitor_word(&args), *y = monitor_word(&args), *z = monitor_word(&args);
	int dx, dy, dz = 0;

	if (!parse_signed(x, &dx) || !parse_signed(y, &dy) || (z && !parse_signed(z, &dz))) {
		monitor_say(m, "mouse_move DX DY [DZ]: numbers from -32768 to 32767\n");
		return;
	}
	input_pointer(machine, dx, dy, dz, m->buttons);
	m->placed = false;
}

void monitor_mouse_to(struct monitor *m, char *args)
{
	char *x = monitor_word(&args), *y = monitor_word(&args), *z = monitor_word(&args);
	int to_x, to_y, dz = 0;

	if (!parse_signed(x, &to_x) || !parse_signed(y, &to_y) || to_x < 0 || to_y < 0 || (z && !parse_signed(z, &dz))) {
		monitor_say(m, "mouse_to X Y [DZ]: places from 0 to %u, left to right and top to bottom\n", INPUT_ABSOLUTE_MAX);
		return;
	}
	m->x = (unsigned)to_x;
	m->y = (unsigned)to_y;
	m->placed = input_absolute(board_machine(m->board), m->x, m->y, dz, m->buttons);
	if (!m->placed)
		monitor_say(m, "the guest has no driver for an absolute pointer running; mouse_move moves its mouse\n");
}

void monitor_mouse_button(struct monitor *m, char *args)
{
	const struct machine *machine = board_machine(m->board);
	u64 state;
	char *word = monitor_word(&args);

	if (!word || !options_number(word, &state, NULL) || state > 7) {
		monitor_say(m, "mouse_button STATE: 0 to 7, the sum of 1 left, 2 right, 4 middle\n");
		return;
	}
	m->buttons = (state & 1 ? INPUT_LEFT : 0) | (state & 2 ? INPUT_RIGHT : 0) | (state & 4 ? INPUT_MIDDLE : 0);
	if (!m->placed || !input_absolute(machine, m->x, m->y, 0, m->buttons))
		input_pointer(machine, 0, 0, 0, m->buttons);
}

void monitor_screendump(struct monitor *m, char *args)
{
	struct err err = {0};
	char *file = monitor_word(&args);

	if (!file)
		monitor_say(m, "screendump FILE\n");
	else if (!screendump_take(board_machine(m->board), file, &err))
		monitor_say(m, "%s\n", err.text);
}
