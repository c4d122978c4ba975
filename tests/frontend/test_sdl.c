/* SPDX-License-Identifier: MIT */
/* The window without a window: SDL's dummy driver, with events pushed into its queue. */
#include <SDL2/SDL.h>

#include <stdlib.h>

#include "tests/frontend/fake.h"

static struct fake *f;
static struct ui *ui;

static void start(void)
{
	struct err err = {0};

	setenv("SDL_VIDEODRIVER", "dummy", 1);
	f = fake_new(640, 400);
	ui = ui_start("sdl", NULL, &f->host, &err);
	if (!ui)
		fail_msg("%s", err.text);
}

static void stop(void)
{
	ui_stop(ui);
	fake_free(f);
}

static void press(SDL_Scancode code, bool down)
{
	SDL_Event e = {.key = {.type = down ? SDL_KEYDOWN : SDL_KEYUP, .keysym.scancode = code}};

	assert_int_equal(SDL_PushEvent(&e), 1);
}

static void keys(void **state)
{
	(void)state;
	start();
	press(SDL_SCANCODE_Q, true);
	press(SDL_SCANCODE_Q, true); /* the host's repetition, told as another press */
	press(SDL_SCANCODE_Q, false);
	press(SDL_SCANCODE_KP_5, true);
	press(SDL_SCANCODE_KP_5, false);
	press(SDL_SCANCODE_RGUI, true);
	press(SDL_SCANCODE_RGUI, false);
	press(SDL_SCANCODE_AUDIONEXT, true);
	press(SDL_SCANCODE_AUDIONEXT, false);
	fake_expect(f, "k16+ k16- k76+ k76- k126+ k126- k163+ k163- ");
	press(SDL_SCANCODE_LSHIFT, true);
	SDL_Event lost = {.window = {.type = SDL_WINDOWEVENT, .event = SDL_WINDOWEVENT_FOCUS_LOST}};
	SDL_PushEvent(&lost);
	fake_expect(f, "k42+ k42- ");
	stop();
}

static void pointer(void **state)
{
	(void)state;
	start();
	SDL_Event move = {.motion = {.type = SDL_MOUSEMOTION, .x = 639, .y = 0, .xrel = 3, .yrel = -4}};
	SDL_Event click = {.button = {.type = SDL_MOUSEBUTTONDOWN, .button = SDL_BUTTON_LEFT, .x = 1, .y = 1}};

	SDL_PushEvent(&move); /* not grabbed: not the guest's */
	SDL_PushEvent(&click);
	/* SDL throws away what moved before the grab: ask until one gets through */
	for (unsigned i = 0; i < FAKE_PATIENCE && !f->log[0]; i++) {
		SDL_PushEvent(&move);
		SDL_Delay(10);
	}
	assert_int_equal(strncmp(f->log, "m3,-4,0,0 ", 10), 0);
	loop_lock(f->machine.loop);
	f->absolute = true;
	loop_unlock(f->machine.loop);
	/* the next look finds out; positions before it are still motion */
	for (unsigned i = 0; i < FAKE_PATIENCE && !strchr(f->log, 'a'); i++) {
		SDL_PushEvent(&move);
		SDL_Delay(10);
	}
	assert_non_null(strstr(f->log, "a32767,0,0,0 "));
	stop();
}

/* Modes come and go, and the window's close button ends the run. */
static void life(void **state)
{
	static const unsigned sizes[][2] = {{720, 400}, {320, 200}, {0, 0}, {1024, 768}, {2560, 1600}, {640, 480}};

	(void)state;
	start();
	for (unsigned i = 0; i < ARRAY_LEN(sizes); i++) {
		fake_resize(f, sizes[i][0], sizes[i][1]);
		for (unsigned k = 0; k < FAKE_PATIENCE; k++) {
			loop_lock(f->machine.loop);
			bool seen = f->drawn[1] == f->version;
			loop_unlock(f->machine.loop);
			if (seen)
				break;
			SDL_Delay(10);
		}
	}
	fake_change(f, 3, 400);
	SDL_Event close = {.window = {.type = SDL_WINDOWEVENT, .event = SDL_WINDOWEVENT_CLOSE}};
	SDL_PushEvent(&close);
	assert_true(fake_quitting(f));
	stop();
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(keys), cmocka_unit_test(pointer), cmocka_unit_test(life)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
