/* SPDX-License-Identifier: MIT */
/* See fake.h. */
#include "tests/frontend/fake.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

/* Each change gives every pixel of a line another colour. */
u32 fake_pixel(const struct fake *f, unsigned x, unsigned y)
{
	u32 mixed = (x * 2654435761u) ^ (y * 40503u << 7) ^ f->line[y] * 0x9e3779b9u;

	return (mixed ^ mixed >> 13) & 0xffffff;
}

static void update(void *device, struct picture *p, unsigned viewer, bool all)
{
	struct fake *f = device;
	bool fresh = all || f->drawn[viewer] + 1 < f->version || p->width != f->width || p->height != f->height;

	memset(p->dirty, 0, sizeof p->dirty);
	p->changed = false;
	picture_resize(p, f->width, f->height);
	if (f->drawn[viewer] == f->version && !fresh)
		return;
	for (unsigned y = 0; y < f->height; y++) {
		if (!fresh && (y < f->first_dirty || y > f->last_dirty))
			continue;
		for (unsigned x = 0; x < f->width; x++)
			p->pixels[y * f->width + x] = fake_pixel(f, x, y);
		p->dirty[y / 64] |= BIT(y % 64);
		p->changed = true;
	}
	f->drawn[viewer] = f->version;
}

static bool get_text(void *device, struct text_screen *screen)
{
	struct fake *f = device;

	if (f->in_text)
		*screen = f->text;
	return f->in_text;
}

static void hint(void *device, unsigned width, unsigned height)
{
	struct fake *f = device;

	f->hint_width = width;
	f->hint_height = height;
}

static void note(struct fake *f, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
static void note(struct fake *f, const char *fmt, ...)
{
	size_t len = strlen(f->log);
	va_list args;

	va_start(args, fmt);
	vsnprintf(f->log + len, sizeof f->log - len, fmt, args);
	va_end(args);
}

static void key(void *opaque, unsigned code, bool down)
{
	note(opaque, "k%u%c ", code, down ? '+' : '-');
}

static void pointer(void *opaque, int dx, int dy, int wheel, unsigned buttons)
{
	note(opaque, "m%d,%d,%d,%u ", dx, dy, wheel, buttons);
}

static void absolute(void *opaque, unsigned x, unsigned y, int wheel, unsigned buttons)
{
	note(opaque, "a%u,%u,%d,%u ", x, y, wheel, buttons);
}

static bool wants_absolute(void *opaque)
{
	return ((struct fake *)opaque)->absolute;
}

static void *run(void *opaque)
{
	struct fake *f = opaque;

	f->code = loop_run(f->machine.loop);
	return NULL;
}

struct fake *fake_new(unsigned width, unsigned height)
{
	struct fake *f = err_alloc(sizeof *f);
	struct err err;

	f->machine.clock = clock_new();
	f->machine.loop = loop_new(f->machine.clock, &err);
	assert_non_null(f->machine.loop);
	f->width = width;
	f->height = height;
	f->version = 1;
	f->display = (struct display_source){.update = update, .text = get_text, .resize_hint = hint, .device = f};
	f->machine.display = &f->display;
	f->input = (struct input){.key = key, .pointer = pointer, .absolute = absolute, .wants_absolute = wants_absolute, .opaque = f};
	assert_true(input_register(&f->machine, &f->input));
	f->host.machine = &f->machine;
	assert_int_equal(pthread_create(&f->thread, NULL, run, f), 0);
	return f;
}

void fake_free(struct fake *f)
{
	loop_quit(f->machine.loop, 1);
	pthread_join(f->thread, NULL);
	loop_free(f->machine.loop);
	clock_free(f->machine.clock);
	free(f);
}

void fake_resize(struct fake *f, unsigned width, unsigned height)
{
	loop_lock(f->machine.loop);
	f->width = width;
	f->height = height;
	f->version += 2;
	loop_unlock(f->machine.loop);
}

void fake_change(struct fake *f, unsigned first, unsigned last)
{
	loop_lock(f->machine.loop);
	f->first_dirty = first;
	f->last_dirty = last;
	for (unsigned y = first; y <= last; y++)
		f->line[y]++;
	f->version++;
	loop_unlock(f->machine.loop);
}

void fake_expect(struct fake *f, const char *text)
{
	char got[sizeof f->log] = "";

	for (unsigned i = 0; i < FAKE_PATIENCE; i++) {
		loop_lock(f->machine.loop);
		strcpy(got, f->log);
		size_t len = strlen(got), want = strlen(text);
		bool there = len >= want && !strcmp(got + len - want, text);
		if (there)
			f->log[0] = 0;
		loop_unlock(f->machine.loop);
		if (there) {
			assert_string_equal(got, text);
			return;
		}
		usleep(10000);
	}
	fail_msg("the guest got '%s', not '%s'", got, text);
}

bool fake_quitting(struct fake *f)
{
	for (unsigned i = 0; i < FAKE_PATIENCE && !loop_quitting(f->machine.loop); i++)
		usleep(10000);
	return loop_quitting(f->machine.loop);
}
