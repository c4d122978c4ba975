/* SPDX-License-Identifier: MIT */
/* A PS/2 mouse, with Microsoft's extensions for a wheel and five buttons. IBM PS/2 Hardware Interface Technical Reference,
 * mouse; the extensions are reached by setting the sample rates 200, 100, 80 and 200, 200, 80.
 * Not implemented: the sample rate does not pace reports (motion adds up while the controller is busy instead); resolution is
 * storage; acceleration (2:1 scaling) applies to reports of the stream, as it should.
 *
 * Invariant: dx, dy and dz hold what the guest was not told yet. */
#include "hw/input/ps2.h"

#include "base/trace.h"
#include "hw/input/input.h"

enum { ACK = 0xfa, RESEND = 0xfe, SELF_TEST_PASSED = 0xaa };
enum { PLAIN = 0, WHEEL = 3, FIVE_BUTTONS = 4 };
#define MOTION_MAX 100000 /* what a held-up guest is caught up with at most */

TRACE_EVENT(ev_command, "ps2mouse.command");
TRACE_EVENT(ev_unknown, "ps2mouse.unknown-command");

/* ---- reports ---- */
static i32 accelerate(i32 v)
{
	static const u8 small[6] = {0, 1, 1, 3, 6, 9};
	i32 size = v < 0 ? -v : v;

	size = size < 6 ? small[size] : size * 2;
	return v < 0 ? -size : size;
}

/* Take what fits into nine bits of an accumulated motion. */
static i32 take(i32 *sum)
{
	i32 part = MIN(MAX(*sum, -255), 255);

	*sum -= part;
	return part;
}

static void report(struct ps2mouse *m, struct ps2_queue *to, bool scaled)
{
	struct ps2mouse_state *s = m->state;
	i32 dx = take(&s->dx), dy = -take(&s->dy), limit = s->type == FIVE_BUTTONS ? 7 : 127;
	u8 buttons = s->buttons & 7;

	if (scaled && s->double_scale) {
		dx = MIN(MAX(accelerate(dx), -255), 255);
		dy = MIN(MAX(accelerate(dy), -255), 255);
	}
	ps2_put(to, buttons | 0x08 | (dx < 0 ? 0x10 : 0) | (dy < 0 ? 0x20 : 0));
	ps2_put(to, dx);
	ps2_put(to, dy);
	if (s->type != PLAIN) {
		i32 dz = MIN(MAX(s->dz, -limit), limit);
		u8 byte = -dz; /* towards the user is positive */

		s->dz -= dz;
		ps2_put(to, s->type == WHEEL ? byte : (byte & 0x0f) | (s->buttons >> 3 & 3) << 4);
	} else {
		s->dz = 0;
	}
	s->told_buttons = s->buttons;
}

static bool news(const struct ps2mouse_state *s)
{
	u8 seen = s->type == FIVE_BUTTONS ? 0x1f : 0x07;

	return s->dx || s->dy || (s->dz && s->type != PLAIN) || (s->buttons ^ s->told_buttons) & seen;
}

/* One report waits at most, unless buttons moved: a click must not get lost in a motion. */
static void stream(struct ps2mouse *m, bool button_moved)
{
	struct ps2mouse_state *s = m->state;

	if (!s->reporting || s->remote || s->wrap || !news(s))
		return;
	if (s->packets.count && (!button_moved || ps2_room(&s->packets) < 4))
		return;
	report(m, &s->packets, true);
	m->ready(m->opaque);
}

static i32 add_motion(i32 sum, int d)
{
	i64 v = (i64)sum + d;

	return MIN(MAX(v, -MOTION_MAX), MOTION_MAX);
}

void ps2mouse_move(struct ps2mouse *m, int dx, int dy, int wheel, unsigned buttons)
{
	struct ps2mouse_state *s = m->state;
	bool moved = (buttons & 0x1f) != s->buttons;

	s->buttons = buttons & 0x1f;
	if (!s->reporting && !s->remote) {
		s->told_buttons = s->buttons;
		return;
	}
	s->dx = add_motion(s->dx, dx);
	s->dy = add_motion(s->dy, dy);
	s->dz = add_motion(s->dz, wheel);
	stream(m, moved);
}

void ps2mouse_nudge(struct ps2mouse *m)
{
	struct ps2mouse_state *s = m->state;

	s->nudged = s->reporting && !s->remote && !s->wrap && s->packets.count;
	if (!s->reporting || s->remote || s->wrap || s->packets.count)
		return;
	report(m, &s->packets, true);
	m->ready(m->opaque);
}

/* ---- commands ---- */
static void answer(struct ps2mouse *m, u8 byte)
{
	ps2_put(&m->state->answers, byte);
}

static void forget_motion(struct ps2mouse_state *s)
{
	s->dx = s->dy = s->dz = 0;
	s->told_buttons = s->buttons;
	ps2_clear(&s->packets);
}

static void defaults(struct ps2mouse_state *s)
{
	s->rate = 100;
	s->resolution = 2;
	s->double_scale = s->reporting = s->remote = 0;
	forget_motion(s);
}

static void power_on(struct ps2mouse_state *s)
{
	defaults(s);
	s->type = PLAIN;
	s->wrap = s->command = 0;
	s->rates[0] = s->rates[1] = 0;
}

static void set_rate(struct ps2mouse_state *s, u8 rate)
{
	if (rate == 80 && s->rates[1] == 100 && s->rates[0] == 200)
		s->type = WHEEL;
	else if (rate == 80 && s->rates[1] == 200 && s->rates[0] == 200)
		s->type = FIVE_BUTTONS;
	s->rates[0] = s->rates[1];
	s->rates[1] = rate;
	s->rate = rate;
}

static void parameter(struct ps2mouse *m, u8 command, u8 byte)
{
	struct ps2mouse_state *s = m->state;

	if (command == 0xe8)
		s->resolution = byte & 3;
	else
		set_rate(s, byte);
	answer(m, ACK);
}

static void run_command(struct ps2mouse *m, u8 byte)
{
	struct ps2mouse_state *s = m->state;

	switch (byte) {
	case 0xe6:
	case 0xe7:
		s->double_scale = byte & 1;
		break;
	case 0xe8:
	case 0xf3:
		s->command = byte;
		break;
	case 0xe9: /* status */
		answer(m, ACK);
		answer(m, s->remote << 6 | s->reporting << 5 | s->double_scale << 4 | (s->buttons & INPUT_LEFT ? 4 : 0) |
		          (s->buttons & INPUT_MIDDLE ? 2 : 0) | (s->buttons & INPUT_RIGHT ? 1 : 0));
		answer(m, s->resolution);
		answer(m, s->rate);
		return;
	case 0xea:
	case 0xf0:
		s->remote = byte == 0xf0;
		forget_motion(s);
		break;
	case 0xeb: /* a report, please */
		answer(m, ACK);
		report(m, &s->answers, false);
		return;
	case 0xec:
	case 0xee:
		s->wrap = byte == 0xee;
		forget_motion(s);
		break;
	case 0xf2:
		answer(m, ACK);
		answer(m, s->type);
		return;
	case 0xf4:
		forget_motion(s);
		s->reporting = 1;
		break;
	case 0xf5:
		s->reporting = 0;
		ps2_clear(&s->packets);
		break;
	case 0xf6:
		defaults(s);
		break;
	case 0xfe:
		answer(m, s->last);
		return;
	case 0xff:
		power_on(s);
		answer(m, ACK);
		answer(m, SELF_TEST_PASSED);
		answer(m, PLAIN);
		return;
	default:
		TRACE(ev_unknown, "%02x", byte);
		answer(m, RESEND);
		return;
	}
	answer(m, ACK);
}

void ps2mouse_write(struct ps2mouse *m, u8 byte)
{
	struct ps2mouse_state *s = m->state;
	u8 command = s->command;

	TRACE(ev_command, "%02x%s", byte, command ? " (parameter)" : "");
	s->command = 0;
	ps2_clear(&s->answers);
	if (s->wrap && byte != 0xec && byte != 0xff)
		answer(m, byte);
	else if (command && byte < 0xe6)
		parameter(m, command, byte);
	else
		run_command(m, byte);
	m->ready(m->opaque);
}

/* ---- to the controller ---- */
bool ps2mouse_has(const struct ps2mouse *m)
{
	return m->state->answers.count || (m->state->packets.count && !m->state->command);
}

u8 ps2mouse_fetch(struct ps2mouse *m)
{
	struct ps2mouse_state *s = m->state;

	s->last = ps2_get(s->answers.count ? &s->answers : &s->packets);
	if (!s->packets.count)
		stream(m, false);
	if (!s->packets.count && s->nudged)
		ps2mouse_nudge(m);
	return s->last;
}

void ps2mouse_init(struct ps2mouse *m, struct ps2mouse_state *state, void (*ready)(void *), void *opaque)
{
	*m = (struct ps2mouse){.state = state, .ready = ready, .opaque = opaque};
}

void ps2mouse_reset(struct ps2mouse *m)
{
	u8 buttons = m->state->buttons;

	*m->state = (struct ps2mouse_state){.buttons = buttons};
	power_on(m->state);
}

void ps2mouse_loaded(struct ps2mouse *m)
{
	struct ps2mouse_state *s = m->state;

	ps2_make_legal(&s->answers);
	ps2_make_legal(&s->packets);
	s->dx = add_motion(s->dx, 0);
	s->dy = add_motion(s->dy, 0);
	s->dz = add_motion(s->dz, 0);
	s->remote &= 1;
	s->reporting &= 1;
	s->double_scale &= 1;
}

const struct field ps2mouse_fields[] = {
	FIELD(struct ps2mouse_state, dx, "motion not told yet"),
	FIELD(struct ps2mouse_state, dy, ""),
	FIELD(struct ps2mouse_state, dz, "wheel"),
	FIELD_SUB(struct ps2mouse_state, answers, ps2_queue_fields, "answers to commands"),
	FIELD_SUB(struct ps2mouse_state, packets, ps2_queue_fields, "reports"),
	FIELD(struct ps2mouse_state, buttons, "buttons held"),
	FIELD(struct ps2mouse_state, told_buttons, "buttons as told last"),
	FIELD(struct ps2mouse_state, command, "command whose parameter is awaited"),
	FIELD(struct ps2mouse_state, type, "0 plain, 3 wheel, 4 five buttons"),
	FIELD(struct ps2mouse_state, resolution, "resolution"),
	FIELD(struct ps2mouse_state, rate, "sample rate"),
	FIELD(struct ps2mouse_state, reporting, "reports are enabled"),
	FIELD(struct ps2mouse_state, remote, "reports only when polled"),
	FIELD(struct ps2mouse_state, wrap, "echoes what it gets"),
	FIELD(struct ps2mouse_state, double_scale, "2:1 scaling"),
	FIELD_ARRAY(struct ps2mouse_state, rates, "the last two sample rates"),
	FIELD(struct ps2mouse_state, last, "byte sent last"),
	FIELD(struct ps2mouse_state, nudged, "one more report is due"),
	FIELD_ARRAY(struct ps2mouse_state, pad, ""),
	FIELD_END,
};
