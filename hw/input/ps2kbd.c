/* SPDX-License-Identifier: MIT */
/* A PS/2 keyboard with 105 keys and then some. IBM PS/2 Hardware Interface Technical Reference, keyboards (101/102 key):
 * scan code sets 1 to 3, commands, typematic repeat.
 * Not implemented: the shift codes around navigation keys while Num Lock is on (no driver needs them); modes of single keys in
 * set 3 (commands fb-fd are answered and their lists skipped; f7-fa for all keys work).
 *
 * Scan codes are kept for set 1 and set 3. Those of set 2 follow from set 1 through the table by which the keyboard controller
 * of every PC turns set 2 into set 1. */
#include "hw/input/ps2.h"

#include "base/trace.h"
#include "hw/input/i8042.h"
#include "hw/input/input.h"

enum { ACK = 0xfa, RESEND = 0xfe, SELF_TEST_PASSED = 0xaa };
enum { EXTENDED = 0x100 }; /* an E0 prefix */
#define RATE_DEFAULT 0x2b /* 10.9 a second after half a second */

TRACE_EVENT(ev_command, "ps2kbd.command");
TRACE_EVENT(ev_unknown, "ps2kbd.unknown-command");
TRACE_EVENT(ev_overrun, "ps2kbd.overrun");

/* ---- scan codes by key code; 0: this keyboard has no such key ---- */
/* Set 1. Up to F10 and the keypad the key codes are those of set 1. */
static u16 set1_code(unsigned key)
{
	/* clang-format off */
	static const u16 codes[INPUT_KEYS] = {
		[INPUT_ZENKAKUHANKAKU] = 0x76, [INPUT_102ND] = 0x56, [INPUT_F11] = 0x57, [INPUT_F12] = 0x58, [INPUT_RO] = 0x73,
		[INPUT_KATAKANA] = 0x78, [INPUT_HIRAGANA] = 0x77, [INPUT_HENKAN] = 0x79, [INPUT_KATAKANAHIRAGANA] = 0x70,
		[INPUT_MUHENKAN] = 0x7b, [INPUT_KPJPCOMMA] = 0x5c, [INPUT_KPEQUAL] = 0x59, [INPUT_KPCOMMA] = 0x7e, [INPUT_YEN] = 0x7d,
		[INPUT_KPENTER] = EXTENDED | 0x1c, [INPUT_RIGHTCTRL] = EXTENDED | 0x1d, [INPUT_KPSLASH] = EXTENDED | 0x35,
		[INPUT_RIGHTALT] = EXTENDED | 0x38, [INPUT_HOME] = EXTENDED | 0x47, [INPUT_UP] = EXTENDED | 0x48,
		[INPUT_PAGEUP] = EXTENDED | 0x49, [INPUT_LEFTARROW] = EXTENDED | 0x4b, [INPUT_RIGHTARROW] = EXTENDED | 0x4d,
		[INPUT_END] = EXTENDED | 0x4f, [INPUT_DOWN] = EXTENDED | 0x50, [INPUT_PAGEDOWN] = EXTENDED | 0x51,
		[INPUT_INSERT] = EXTENDED | 0x52, [INPUT_DELETE] = EXTENDED | 0x53, [INPUT_MUTE] = EXTENDED | 0x20,
		[INPUT_VOLUMEDOWN] = EXTENDED | 0x2e, [INPUT_VOLUMEUP] = EXTENDED | 0x30, [INPUT_POWER] = EXTENDED | 0x5e,
		[INPUT_LEFTMETA] = EXTENDED | 0x5b, [INPUT_RIGHTMETA] = EXTENDED | 0x5c, [INPUT_COMPOSE] = EXTENDED | 0x5d,
		[INPUT_CALC] = EXTENDED | 0x21, [INPUT_SLEEP] = EXTENDED | 0x5f, [INPUT_WAKEUP] = EXTENDED | 0x63,
		[INPUT_MAIL] = EXTENDED | 0x6c, [INPUT_BOOKMARKS] = EXTENDED | 0x66, [INPUT_COMPUTER] = EXTENDED | 0x6b,
		[INPUT_BACK] = EXTENDED | 0x6a, [INPUT_FORWARD] = EXTENDED | 0x69, [INPUT_NEXTSONG] = EXTENDED | 0x19,
		[INPUT_PLAYPAUSE] = EXTENDED | 0x22, [INPUT_PREVIOUSSONG] = EXTENDED | 0x10, [INPUT_STOPCD] = EXTENDED | 0x24,
		[INPUT_HOMEPAGE] = EXTENDED | 0x32, [INPUT_REFRESH] = EXTENDED | 0x67, [INPUT_SEARCH] = EXTENDED | 0x65,
		[INPUT_MEDIA] = EXTENDED | 0x6d,
		[INPUT_F13] = 0x64, [INPUT_F14] = 0x65, [INPUT_F15] = 0x66, [INPUT_F16] = 0x67, [INPUT_F17] = 0x68, [INPUT_F18] = 0x69,
		[INPUT_F19] = 0x6a, [INPUT_F20] = 0x6b, [INPUT_F21] = 0x6c, [INPUT_F22] = 0x6d, [INPUT_F23] = 0x6e,
	};
	/* clang-format on */
	return key >= INPUT_ESC && key <= INPUT_KPDOT ? key : codes[key];
}

static u8 set2_from_set1(u8 code)
{
	if (code == 0x41)
		return 0x83; /* F7; the table has another way to it that no key takes */
	for (unsigned i = 1; i < 0x80; i++)
		if (i8042_set2_to_set1[i] == code)
			return i;
	return 0;
}

/* Set 3, in the order of the key codes from 1 on. */
static u8 set3_code(unsigned key)
{
	static const u8 codes[] = {
		0,    0x08, 0x16, 0x1e, 0x26, 0x25, 0x2e, 0x36, 0x3d, 0x3e, 0x46, 0x45, 0x4e, 0x55, 0x66, 0x0d, 0x15, 0x1d, 0x24, 0x2d,
		0x2c, 0x35, 0x3c, 0x43, 0x44, 0x4d, 0x54, 0x5b, 0x5a, 0x11, 0x1c, 0x1b, 0x23, 0x2b, 0x34, 0x33, 0x3b, 0x42, 0x4b, 0x4c,
		0x52, 0x0e, 0x12, 0x5c, 0x1a, 0x22, 0x21, 0x2a, 0x32, 0x31, 0x3a, 0x41, 0x49, 0x4a, 0x59, 0x7e, 0x19, 0x29, 0x14, 0x07,
		0x0f, 0x17, 0x1f, 0x27, 0x2f, 0x37, 0x3f, 0x47, 0x4f, 0x76, 0x5f, 0x6c, 0x75, 0x7d, 0x84, 0x6b, 0x73, 0x74, 0x7c, 0x69,
		0x72, 0x7a, 0x70, 0x71, 0,    0,    0x13, 0x56, 0x5e, 0,    0,    0,    0,    0,    0,    0,    0x79, 0x58, 0x77, 0x57,
		0x39, 0,    0x6e, 0x63, 0x6f, 0x61, 0x6a, 0x65, 0x60, 0x6d, 0x67, 0x64, 0,    0,    0,    0,    0,    0,    0,    0x62,
		0,    0,    0,    0,    0,    0x8b, 0x8c, 0x8d,
	};

	return key < ARRAY_LEN(codes) ? codes[key] : 0;
}

/* ---- what a key sends ---- */
struct sequence {
	u8 bytes[16];
	unsigned len;
};

static void add(struct sequence *q, u8 byte)
{
	q->bytes[q->len++] = byte;
}

/* One code of set 1 or 2, given as that of set 1. */
static void add_code(struct sequence *q, unsigned set, u16 code, bool down)
{
	if (code & EXTENDED)
		add(q, 0xe0);
	if (set == 1) {
		add(q, (code & 0x7f) | (down ? 0 : 0x80));
		return;
	}
	if (!down)
		add(q, 0xf0);
	add(q, set2_from_set1(code & 0x7f));
}

static bool is_down(const struct ps2kbd_state *s, unsigned key)
{
	return s->down[key >> 3] >> (key & 7) & 1;
}

static bool either_down(const struct ps2kbd_state *s, unsigned a, unsigned b)
{
	return is_down(s, a) || is_down(s, b);
}

static void add_print_screen(const struct ps2kbd_state *s, struct sequence *q, bool down)
{
	if (either_down(s, INPUT_LEFTALT, INPUT_RIGHTALT)) { /* SysRq */
		if (s->set == 1) {
			add(q, down ? 0x54 : 0xd4);
		} else {
			if (!down)
				add(q, 0xf0);
			add(q, 0x84);
		}
		return;
	}
	/* it sends a left shift around itself unless a modifier is down */
	bool shifted = either_down(s, INPUT_LEFTSHIFT, INPUT_RIGHTSHIFT) || either_down(s, INPUT_LEFTCTRL, INPUT_RIGHTCTRL);

	if (down && !shifted)
		add_code(q, s->set, EXTENDED | 0x2a, true);
	add_code(q, s->set, EXTENDED | 0x37, down);
	if (!down && !shifted)
		add_code(q, s->set, EXTENDED | 0x2a, false);
}

/* All at once when it goes down, nothing when it goes up. */
static void add_pause(const struct ps2kbd_state *s, struct sequence *q, bool down)
{
	if (!down)
		return;
	if (either_down(s, INPUT_LEFTCTRL, INPUT_RIGHTCTRL)) { /* Break */
		add_code(q, s->set, EXTENDED | 0x46, true);
		add_code(q, s->set, EXTENDED | 0x46, false);
		return;
	}
	for (unsigned up = 0; up < 2; up++) {
		add(q, 0xe1);
		add_code(q, s->set, 0x1d, !up);
		add_code(q, s->set, 0x45, !up);
	}
}

static void add_key(const struct ps2kbd_state *s, struct sequence *q, unsigned key, bool down)
{
	u16 code = set1_code(key);

	if (s->set == 3) {
		u8 code3 = set3_code(key);

		if (!code3 || (!down && s->no_break))
			return;
		if (!down)
			add(q, 0xf0);
		add(q, code3);
	} else if (key == INPUT_SYSRQ) {
		add_print_screen(s, q, down);
	} else if (key == INPUT_PAUSE) {
		add_pause(s, q, down);
	} else if (key == INPUT_F24) { /* no room for it in set 1 but where Zenkaku is */
		add_code(q, s->set, 0x76, down);
	} else if (key == INPUT_HANGEUL || key == INPUT_HANJA) {
		if (down) /* these say when they go down, in the same way in both sets */
			add(q, key == INPUT_HANGEUL ? 0xf2 : 0xf1);
	} else if (code) {
		add_code(q, s->set, code, down);
	}
}

static void send_key(struct ps2kbd *kbd, unsigned key, bool down)
{
	struct ps2kbd_state *s = kbd->state;
	struct sequence q = {.len = 0};

	add_key(s, &q, key, down);
	if (ps2_room(&s->keys) <= q.len) { /* one byte is left for saying so */
		TRACE(ev_overrun, "key %u", key);
		if (ps2_room(&s->keys))
			ps2_put(&s->keys, s->set == 1 ? 0xff : 0x00);
	} else {
		for (unsigned i = 0; i < q.len; i++)
			ps2_put(&s->keys, q.bytes[i]);
	}
	kbd->ready(kbd->opaque);
}

/* ---- typematic repeat ---- */
static void set_repeat(struct ps2kbd *kbd, u64 in_ns)
{
	struct ps2kbd_state *s = kbd->state;

	s->repeat_at = in_ns == CLOCK_NEVER ? CLOCK_NEVER : clock_now(kbd->timer.clock) + in_ns;
	timer_arm(&kbd->timer, s->repeat_at);
}

static u64 repeat_delay(const struct ps2kbd_state *s)
{
	return ((s->rate >> 5 & 3) + 1) * 250000000ull;
}

static u64 repeat_period(const struct ps2kbd_state *s)
{
	return (8 + (s->rate & 7ull)) * BIT(s->rate >> 3 & 3) * 4170000;
}

static void repeat(void *opaque)
{
	struct ps2kbd *kbd = opaque;
	struct ps2kbd_state *s = kbd->state;

	if (!s->scanning || !is_down(s, s->repeat_key)) {
		set_repeat(kbd, CLOCK_NEVER);
		return;
	}
	/* a guest that does not listen is not flooded */
	if (!s->keys.count)
		send_key(kbd, s->repeat_key, true);
	set_repeat(kbd, repeat_period(s));
}

void ps2kbd_key(struct ps2kbd *kbd, unsigned key, bool down)
{
	struct ps2kbd_state *s = kbd->state;

	if (key >= INPUT_KEYS || is_down(s, key) == down)
		return;
	/* the state before the key counts: modifiers shape what others send, never themselves */
	if (s->scanning)
		send_key(kbd, key, down);
	s->down[key >> 3] ^= BIT(key & 7);
	if (down && s->scanning && key != INPUT_PAUSE && !(s->set == 3 && s->no_repeat)) {
		s->repeat_key = key;
		set_repeat(kbd, repeat_delay(s));
	} else if (!down && key == s->repeat_key) {
		set_repeat(kbd, CLOCK_NEVER);
	}
}

/* ---- commands ---- */
static void answer(struct ps2kbd *kbd, u8 byte)
{
	ps2_put(&kbd->state->answers, byte);
}

static void defaults(struct ps2kbd *kbd)
{
	struct ps2kbd_state *s = kbd->state;

	ps2_clear(&s->keys);
	s->set = 2;
	s->rate = RATE_DEFAULT;
	s->no_break = s->no_repeat = 0;
	set_repeat(kbd, CLOCK_NEVER);
}

static void power_on(struct ps2kbd *kbd)
{
	defaults(kbd);
	kbd->state->leds = 0;
	kbd->state->command = 0;
	kbd->state->scanning = 1;
}

static void parameter(struct ps2kbd *kbd, u8 command, u8 byte)
{
	struct ps2kbd_state *s = kbd->state;

	switch (command) {
	case 0xed:
		s->leds = byte & 7;
		break;
	case 0xf0:
		if (byte > 3) {
			answer(kbd, RESEND);
			s->command = command;
			return;
		}
		if (byte)
			s->set = byte;
		else {
			answer(kbd, ACK);
			answer(kbd, s->set);
			return;
		}
		break;
	case 0xf3:
		s->rate = byte & 0x7f;
		break;
	default: /* fb-fd: a list of keys, ended by the next command */
		s->command = command;
		break;
	}
	answer(kbd, ACK);
}

static void run_command(struct ps2kbd *kbd, u8 byte)
{
	struct ps2kbd_state *s = kbd->state;

	switch (byte) {
	case 0xee: /* echo */
		answer(kbd, 0xee);
		return;
	case 0xf2: /* identify */
		answer(kbd, ACK);
		answer(kbd, 0xab);
		answer(kbd, 0x83);
		return;
	case 0xfe:
		answer(kbd, s->last);
		return;
	case 0xff:
		power_on(kbd);
		answer(kbd, ACK);
		answer(kbd, SELF_TEST_PASSED);
		return;
	case 0xed:
	case 0xf0:
	case 0xf3:
	case 0xfb ... 0xfd:
		s->command = byte;
		break;
	case 0xf4:
		ps2_clear(&s->keys);
		s->scanning = 1;
		break;
	case 0xf5:
		defaults(kbd);
		s->scanning = 0;
		break;
	case 0xf6:
		defaults(kbd);
		break;
	case 0xf7 ... 0xfa: /* typematic; make and break; make only; all of it */
		s->no_break = byte == 0xf7 || byte == 0xf9;
		s->no_repeat = byte == 0xf8 || byte == 0xf9;
		break;
	default:
		TRACE(ev_unknown, "%02x", byte);
		answer(kbd, RESEND);
		return;
	}
	answer(kbd, ACK);
}

void ps2kbd_write(struct ps2kbd *kbd, u8 byte)
{
	struct ps2kbd_state *s = kbd->state;
	u8 command = s->command;

	TRACE(ev_command, "%02x%s", byte, command ? " (parameter)" : "");
	s->command = 0;
	ps2_clear(&s->answers);
	/* a command in the place of a parameter is a command */
	if (command && byte < 0xed)
		parameter(kbd, command, byte);
	else
		run_command(kbd, byte);
	kbd->ready(kbd->opaque);
}

/* ---- to the controller ---- */
bool ps2kbd_has(const struct ps2kbd *kbd)
{
	return kbd->state->answers.count || (kbd->state->keys.count && !kbd->state->command);
}

u8 ps2kbd_fetch(struct ps2kbd *kbd)
{
	struct ps2kbd_state *s = kbd->state;

	return s->last = ps2_get(s->answers.count ? &s->answers : &s->keys);
}

void ps2kbd_init(struct ps2kbd *kbd, struct ps2kbd_state *state, struct clock *clock, void (*ready)(void *), void *opaque)
{
	*kbd = (struct ps2kbd){.state = state, .ready = ready, .opaque = opaque};
	timer_init(&kbd->timer, clock, repeat, kbd);
	state->repeat_at = CLOCK_NEVER;
}

void ps2kbd_reset(struct ps2kbd *kbd)
{
	struct ps2kbd_state old = *kbd->state;

	*kbd->state = (struct ps2kbd_state){.repeat_at = CLOCK_NEVER};
	memcpy(kbd->state->down, old.down, sizeof old.down); /* the user's fingers stay where they are */
	power_on(kbd);
}

void ps2kbd_loaded(struct ps2kbd *kbd)
{
	struct ps2kbd_state *s = kbd->state;

	ps2_make_legal(&s->answers);
	ps2_make_legal(&s->keys);
	s->set = MIN(MAX(s->set, 1), 3);
	timer_arm(&kbd->timer, s->repeat_at);
}

void ps2kbd_destroy(struct ps2kbd *kbd)
{
	timer_cancel(&kbd->timer);
}

const struct field ps2_queue_fields[] = {
	FIELD_ARRAY(struct ps2_queue, data, "bytes"),
	FIELD(struct ps2_queue, head, "the first"),
	FIELD(struct ps2_queue, count, "how many"),
	FIELD_END,
};
const struct field ps2kbd_fields[] = {
	FIELD(struct ps2kbd_state, repeat_at, "when the held key repeats"),
	FIELD_SUB(struct ps2kbd_state, answers, ps2_queue_fields, "answers to commands"),
	FIELD_SUB(struct ps2kbd_state, keys, ps2_queue_fields, "scan codes"),
	FIELD_ARRAY(struct ps2kbd_state, down, "keys held"),
	FIELD(struct ps2kbd_state, repeat_key, "key that repeats"),
	FIELD(struct ps2kbd_state, command, "command whose parameter is awaited"),
	FIELD(struct ps2kbd_state, set, "scan code set"),
	FIELD(struct ps2kbd_state, leds, "scroll, num, caps lock lights"),
	FIELD(struct ps2kbd_state, rate, "typematic rate and delay"),
	FIELD(struct ps2kbd_state, scanning, "keys are reported"),
	FIELD(struct ps2kbd_state, no_break, "set 3: no break codes"),
	FIELD(struct ps2kbd_state, no_repeat, "set 3: no repeat"),
	FIELD(struct ps2kbd_state, last, "byte sent last"),
	FIELD_ARRAY(struct ps2kbd_state, pad, ""),
	FIELD_END,
};
