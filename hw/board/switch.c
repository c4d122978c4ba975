/* SPDX-License-Identifier: MIT */
/* Which engine runs the machine, and how it goes from one to another: because the user says so, because something happened that
 * the user waits for, or because the engine cannot go on. All CPUs change together, at an instruction boundary of each, while
 * none of them runs: whatever an engine kept for itself is in struct cpu then.
 *
 * What a CPU's thread notices is carried out by the loop's thread; until then no CPU runs on. Each trigger works once. */
#include "hw/board/switch.h"

#include <inttypes.h>
#include <stdlib.h>

#include "base/options.h"
#include "hw/board/pc.h"
#include "hw/board/private.h"

static const char *const keys[] = {
	[WATCH_ADDRESS] = "addr", [WATCH_PORT] = "port", [WATCH_MSR] = "msr", [WATCH_VECTOR] = "vector",
	[SWITCH_TEXT] = "text", [SWITCH_INSNS] = "insns", [SWITCH_TIME] = "ms", NULL,
};
static const u64 most[] = {[WATCH_ADDRESS] = ~0ull, [WATCH_PORT] = 0xffff,        [WATCH_MSR] = 0xffffffff,
                           [WATCH_VECTOR] = 255,    [SWITCH_INSNS] = 1ull << 62, [SWITCH_TIME] = 1ull << 40};

static void describe(const struct switch_trigger *t, char *text, size_t size)
{
	if (t->kind == SWITCH_TEXT)
		snprintf(text, size, "text=%s", t->text);
	else
		snprintf(text, size, t->kind < SWITCH_TEXT ? "%s=%#" PRIx64 : "%s=%" PRIu64, keys[t->kind], t->value);
}

/* ---- going ---- */

static bool enter(struct board *board, const struct engine *engine, struct err *err)
{
	for (unsigned i = 0; i < board->cpus; i++) {
		struct vcpu *vcpu = &board->vcpu[i];
		if (!engine_suits(engine, vcpu->cpu, err) || (engine->prepare && !engine->prepare(vcpu->cpu, err))) {
			while (engine->leave && i--)
				engine->leave(board->vcpu[i].cpu);
			return false;
		}
	}
	for (unsigned i = 0; i < board->cpus; i++)
		board->vcpu[i].engine = engine;
	board->engine = engine;
	return true;
}

/* All CPUs stand still. */
static bool go(struct board *board, const struct engine *to, struct err *err)
{
	const struct engine *from = board->engine;
	struct err ignored;

	if (to == from)
		return true;
	for (unsigned i = 0; from->leave && i < board->cpus; i++)
		from->leave(board->vcpu[i].cpu);
	if (enter(board, to, err)) {
		board->switching.count++;
		return true;
	}
	if (!enter(board, from, &ignored)) /* it ran a moment ago */
		bug("engine %s does not take its CPUs back: %s", from->name, ignored.text);
	return false;
}

/* The engines that the user prefers, by rank; NULL: there are no more. */
static const struct engine *choice(const struct board *board, unsigned rank)
{
	if (!rank)
		return board->config.engine;
	return rank <= ARRAY_LEN(board->config.fallback) ? board->config.fallback[rank - 1] : NULL;
}

bool switch_start(struct board *board, struct err *err)
{
	const struct engine *engine;

	for (unsigned rank = 0; (engine = choice(board, rank)); rank++) {
		struct err why = {0};
		if (enter(board, engine, &why))
			return true;
		const struct engine *next = choice(board, rank + 1);
		if (!next)
			return err_set(err, EXIT_ACCEL, "-accel %s: %s", engine->name, why.text);
		err_note("engine %s: %s; %s instead", engine->name, why.text, next->name);
	}
	return err_set(err, EXIT_ACCEL, "no engine");
}

/* The engine cannot go on: the next one of the list; the first for one that is not in it. */
static bool hand_over(struct board *board, const char *why)
{
	unsigned rank = 0, count = 0;

	while (choice(board, count))
		count++;
	while (rank < count && choice(board, rank) != board->engine)
		rank++;
	for (rank = rank < count ? rank + 1 : 0; rank < count; rank++) {
		const struct engine *from = board->engine, *to = choice(board, rank);
		struct err err = {0};
		if (go(board, to, &err)) {
			err_note("engine: %s -> %s: %s", from->name, to->name, why);
			return true;
		}
		err_note("engine %s: %s", to->name, err.text);
	}
	err_note("engine %s cannot go on: %s; there is no other engine that -accel allows", board->engine->name, why);
	return false;
}

/* The guest's CPU model and TSC suit the engines of -accel; some take nothing else. */
static bool allowed(const struct board *board, const struct engine *to, struct err *err)
{
	const struct engine *engine;

	for (unsigned rank = 0; (engine = choice(board, rank)); rank++)
		if (engine == to)
			return true;
	return !to->prepare || err_set(err, EXIT_ACCEL, "engine %s: not for this guest; start it with -accel %s:%s", to->name,
	                               board->config.engine->name, to->name);
}

bool board_reserve(struct board *board, const struct engine *engine)
{
	if (!allowed(board, engine, NULL))
		return false;
	for (unsigned i = 0; engine->reserve && i < board->cpus; i++)
		engine->reserve(board->vcpu[i].cpu);
	return true;
}

bool board_switch(struct board *board, const struct engine *to, struct err *err)
{
	if (!allowed(board, to, err))
		return false;
	board_pause(board);
	bool ok = go(board, to, err);
	board_continue(board);
	return ok;
}

/* ---- triggers ---- */

/* Tell the CPUs what to look for. They stand still. */
static void rearm(struct board *board)
{
	struct board_switching *s = &board->switching;
	bool any = false;

	for (unsigned i = 0; i < board->cpus; i++)
		watch_set(board->vcpu[i].cpu, NULL);
	s->watch = (struct cpu_watch){0};
	s->texts = 0;
	board->vcpu[0].count_at = VCPU_NEVER;
	u64 soonest = CLOCK_NEVER;
	for (unsigned i = 0; i < s->triggers; i++) {
		const struct switch_trigger *t = &s->trigger[i];
		switch (t->kind) {
		case SWITCH_TEXT: s->texts++; break;
		case SWITCH_INSNS: board->vcpu[0].count_at = MIN(board->vcpu[0].count_at, t->due); break;
		case SWITCH_TIME: soonest = MIN(soonest, t->due); break;
		default:
			watch_add(&s->watch, (enum watch_kind)t->kind, t->value);
			any = true;
		}
	}
	for (unsigned i = 0; any && i < board->cpus; i++)
		watch_set(board->vcpu[i].cpu, &s->watch);
	if (soonest == CLOCK_NEVER)
		timer_cancel(&s->timer);
	else
		timer_arm(&s->timer, soonest);
}

static void forget(struct board *board, unsigned i)
{
	struct board_switching *s = &board->switching;

	free(s->trigger[i].text);
	memmove(&s->trigger[i], &s->trigger[i + 1], (--s->triggers - i) * sizeof s->trigger[0]);
}

/* Of the posted kind; on the loop's thread. */
static void carry_out(void *opaque)
{
	struct board *board = opaque;
	struct board_switching *s = &board->switching;
	const struct engine *from = board->engine;
	struct err err = {0};
	bool ok = true;

	s->posted = false;
	if (loop_quitting(board->loop))
		return;
	board_pause(board);
	if (s->unable) {
		s->unable = false;
		ok = hand_over(board, s->why);
	} else {
		if (s->to == from)
			err_note("engine: %s stays: %s", from->name, s->why);
		else if (go(board, s->to, &err))
			err_note("engine: %s -> %s: %s", from->name, s->to->name, s->why);
		else
			err_note("engine %s: %s; %s goes on", s->to->name, err.text, from->name);
		rearm(board);
	}
	if (ok)
		board_continue(board);
	else
		loop_quit(board->loop, EXIT_ACCEL);
}

/* Under the machine lock, on any thread: no CPU goes on before it is done. */
static void post(struct board *board)
{
	board_stop_cpus(board);
	if (!board->switching.posted) {
		board->switching.posted = true;
		loop_post(board->loop, carry_out, board);
	}
}

/* Trigger i has come about. */
static void fire(struct board *board, unsigned i, const char *where)
{
	struct board_switching *s = &board->switching;
	const struct switch_trigger *t = &s->trigger[i];
	char text[128];

	if (s->posted) { /* another one was first; this one still waits */
		board_stop_cpus(board);
		return;
	}
	describe(t, text, sizeof text);
	snprintf(s->why, sizeof s->why, "%s%s", text, where);
	s->to = t->to;
	forget(board, i);
	post(board);
}

static void watched(void *opaque, struct cpu *cpu, unsigned kind, u64 value)
{
	struct board *board = opaque;
	struct board_switching *s = &board->switching;
	char where[32];

	snprintf(where, sizeof where, " on CPU %u", cpu->index);
	loop_lock(board->loop);
	for (unsigned i = 0; i < s->triggers; i++)
		if (s->trigger[i].kind == kind && s->trigger[i].value == value) {
			fire(board, i, where);
			break;
		}
	loop_unlock(board->loop);
}

static void fire_due(struct board *board, unsigned kind, u64 now)
{
	struct board_switching *s = &board->switching;

	for (unsigned i = 0; i < s->triggers; i++)
		if (s->trigger[i].kind == kind && now >= s->trigger[i].due) {
			fire(board, i, "");
			break;
		}
}

static void time_is_up(void *opaque)
{
	struct board *board = opaque;

	fire_due(board, SWITCH_TIME, clock_now(board->clock));
}

/* On the CPU's thread. */
static void cpu_stopped(void *opaque, struct vcpu *vcpu, bool unable)
{
	struct board *board = opaque;
	struct board_switching *s = &board->switching;

	loop_lock(board->loop);
	if (!unable) {
		fire_due(board, SWITCH_INSNS, vcpu->cpu->instructions);
	} else if (!s->posted) {
		s->unable = true;
		snprintf(s->why, sizeof s->why, "%s", vcpu->cpu->unable ? vcpu->cpu->unable : "it does not say why");
		post(board);
	} else {
		board_stop_cpus(board);
	}
	loop_unlock(board->loop);
}

/* ---- what the guest says ---- */

static void listen_to(struct switch_tap *tap, u8 byte)
{
	struct board_switching *s = &tap->board->switching;

	if (tap->length == SWITCH_TEXT_MAX)
		memmove(tap->last, tap->last + 1, --tap->length);
	tap->last[tap->length++] = byte;
	for (unsigned i = 0; i < s->triggers; i++) {
		const struct switch_trigger *t = &s->trigger[i];
		size_t len = t->kind == SWITCH_TEXT ? strlen(t->text) : SIZE_MAX;
		if (len <= tap->length && !memcmp(t->text, tap->last + tap->length - len, len)) {
			fire(tap->board, i, "");
			return;
		}
	}
}

static void tap_write(void *opaque, const u8 *data, size_t len)
{
	struct switch_tap *tap = opaque;

	tap->to->write(tap->to->opaque, data, len);
	for (size_t i = 0; tap->board->switching.texts && i < len; i++)
		listen_to(tap, data[i]);
}

static bool tap_full(void *opaque)
{
	struct switch_tap *tap = opaque;

	return tap->to->full && tap->to->full(tap->to->opaque);
}

static void tap_room(void *opaque)
{
	struct switch_tap *tap = opaque;

	if (tap->to->room)
		tap->to->room(tap->to->opaque);
}

/* Between the serial ports and the host; after the devices have told the host who they are. */
static void tap_serial_ports(struct board *board)
{
	struct board_switching *s = &board->switching;

	for (unsigned i = 0; i < pc_device_count; i++) {
		const struct pc_device *row = &pc_devices[i];
		struct device *device = row->serial && row->serial != PC_PARALLEL ? board_device(board, row->id) : NULL;
		if (!device || !device->chardev || row->serial > ARRAY_LEN(s->tap))
			continue;
		struct switch_tap *tap = &s->tap[row->serial - 1];
		*tap = (struct switch_tap){.chardev = *device->chardev, .to = device->chardev, .board = board};
		tap->chardev.write = tap_write;
		tap->chardev.full = tap_full;
		tap->chardev.room = tap_room;
		tap->chardev.opaque = tap;
		device->chardev = &tap->chardev;
	}
}

/* ---- from outside ---- */

static bool parse(const char *when, struct switch_trigger *t, struct err *err)
{
	const char *equals = strchr(when, '=');
	char key[16];

	snprintf(key, sizeof key, "%.*s", (int)(equals ? MIN((size_t)(equals - when), sizeof key - 1) : 0), when);
	for (unsigned i = 0; i < ARRAY_LEN(keys) - 1; i++) {
		if (strcmp(key, keys[i]))
			continue;
		t->kind = i;
		if (i == SWITCH_TEXT) {
			if (!equals[1] || strlen(equals + 1) > SWITCH_TEXT_MAX)
				return err_set(err, EXIT_USAGE, "%s: 1 to %d characters", when, SWITCH_TEXT_MAX);
			t->text = err_strdup(equals + 1);
			return true;
		}
		return (options_number(equals + 1, &t->value, err) && t->value <= most[i]) ||
		       err_set(err, EXIT_USAGE, "%s: a number from 0 to %#" PRIx64, when, most[i]);
	}
	const char *near = options_nearest(key, keys);
	return err_set(err, EXIT_USAGE, "%s: not one of addr=, port=, msr=, vector=, text=, insns=, ms=%s%s", when,
	               near ? "; did you mean " : "", near ? near : "");
}

bool switch_check(const char *when, struct err *err)
{
	struct switch_trigger t = {0};
	bool ok = parse(when, &t, err);

	free(t.text);
	return ok;
}

bool board_switch_when(struct board *board, const struct engine *to, const char *when, struct err *err)
{
	struct board_switching *s = &board->switching;
	struct switch_trigger t = {.to = to};

	if (s->triggers == ARRAY_LEN(s->trigger))
		return err_set(err, EXIT_USAGE, "%u triggers wait already", s->triggers);
	if (!allowed(board, to, err) || !parse(when, &t, err))
		return false;
	if (!board->engine->watches && t.kind != SWITCH_TEXT && t.kind != SWITCH_TIME)
		err_note("engine %s does not stop for %s=; the trigger waits for another engine", board->engine->name, keys[t.kind]);
	board_pause(board);
	u64 now = clock_now(board->clock), counted = board->vcpu[0].cpu->instructions;
	t.due = t.kind == SWITCH_TIME ? now + t.value * (NS_PER_S / 1000) : counted + t.value;
	s->trigger[s->triggers++] = t;
	rearm(board);
	board_continue(board);
	return true;
}

void board_switch_never(struct board *board)
{
	board_pause(board);
	while (board->switching.triggers)
		forget(board, 0);
	rearm(board);
	board_continue(board);
}

const struct engine *board_engine(const struct board *board) { return board->engine; }

void board_switch_print(const struct board *board, FILE *to)
{
	const struct board_switching *s = &board->switching;
	const struct engine *engine;
	char text[128];

	fprintf(to, "engine     %s (%s)\n", board->engine->name, board->engine->desc);
	fprintf(to, "preferred ");
	for (unsigned rank = 0; (engine = choice(board, rank)); rank++)
		fprintf(to, " %s", engine->name);
	fprintf(to, "\nswitches   %" PRIu64 "\n", s->count);
	for (unsigned i = 0; i < s->triggers; i++) {
		describe(&s->trigger[i], text, sizeof text);
		fprintf(to, "waiting    %s when %s\n", s->trigger[i].to->name, text);
	}
}

void switch_init(struct board *board)
{
	board->engine = board->config.engine;
	timer_init(&board->switching.timer, board->clock, time_is_up, board);
	for (unsigned i = 0; i < board->cpus; i++) {
		board->vcpu[i].cpu->host.watched = watched;
		board->vcpu[i].stopped = cpu_stopped;
		board->vcpu[i].opaque = board;
	}
	tap_serial_ports(board);
}

void switch_free(struct board *board)
{
	for (unsigned i = 0; i < pc_device_count; i++) {
		struct device *device = board_device(board, pc_devices[i].id);
		for (unsigned n = 0; device && n < BOARD_SERIALS; n++)
			if (device->chardev == &board->switching.tap[n].chardev)
				device->chardev = board->switching.tap[n].to;
	}
	if (board->switching.timer.clock)
		timer_cancel(&board->switching.timer);
	while (board->switching.triggers)
		forget(board, 0);
}
