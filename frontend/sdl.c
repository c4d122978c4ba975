/* SPDX-License-Identifier: MIT */
/* A window by SDL 2, and the PC speaker: the picture in whole multiples of its size (in full screen too), keys by their place, a
 * mouse that is the guest's while it is held. Ctrl-Alt-G takes and releases the mouse, Ctrl-Alt-F switches full screen, closing the
 * window ends the run. Not implemented: joysticks, clipboard, more than one window.
 *
 * SDL is used from this thread only, its start and end included. Invariant: while `grabbed`, the guest gets relative motion;
 * a guest with an absolute pointer gets positions without a grab. */
#include <SDL2/SDL.h>

#include <stdio.h>
#include <stdlib.h>

#include "frontend/sound.h"
#include "frontend/ui.h"

#define BLANK_WIDTH 640
#define BLANK_HEIGHT 480
#define TITLE_MS 1000

struct sdl {
	struct ui ui;
	bool full_screen; /* option */
	SDL_Window *window;
	SDL_Renderer *renderer;
	SDL_Texture *texture;
	u64 shown;        /* generation of the picture that the texture has */
	unsigned width, height;
	bool grabbed, absolute, redraw;
	u32 title_at;     /* SDL's milliseconds */
	u64 title_instructions;
	struct ui_pace pace;
	struct sound *sound;
	SDL_AudioDeviceID audio;
	bool audio_tried, playing;
};

static const struct {
	SDL_Scancode scancode;
	u8 code;
} media_keys[] = {
	{SDL_SCANCODE_AUDIONEXT, INPUT_NEXTSONG}, {SDL_SCANCODE_AUDIOPREV, INPUT_PREVIOUSSONG}, {SDL_SCANCODE_AUDIOSTOP, INPUT_STOPCD},
	{SDL_SCANCODE_AUDIOPLAY, INPUT_PLAYPAUSE}, {SDL_SCANCODE_AUDIOMUTE, INPUT_MUTE}, {SDL_SCANCODE_MEDIASELECT, INPUT_MEDIA},
	{SDL_SCANCODE_MAIL, INPUT_MAIL}, {SDL_SCANCODE_CALCULATOR, INPUT_CALC}, {SDL_SCANCODE_COMPUTER, INPUT_COMPUTER},
	{SDL_SCANCODE_AC_SEARCH, INPUT_SEARCH}, {SDL_SCANCODE_AC_HOME, INPUT_HOMEPAGE}, {SDL_SCANCODE_AC_BACK, INPUT_BACK},
	{SDL_SCANCODE_AC_FORWARD, INPUT_FORWARD}, {SDL_SCANCODE_AC_REFRESH, INPUT_REFRESH},
	{SDL_SCANCODE_AC_BOOKMARKS, INPUT_BOOKMARKS}, {SDL_SCANCODE_SLEEP, INPUT_SLEEP},
};

static unsigned key_of(SDL_Scancode scancode)
{
	for (unsigned i = 0; i < ARRAY_LEN(media_keys); i++)
		if (media_keys[i].scancode == scancode)
			return media_keys[i].code;
	return keys_by_usage(scancode);
}

/* ---- the window ---- */

static void set_title(struct sdl *s)
{
	const struct ui_host *h = s->ui.host;
	u32 now = SDL_GetTicks();
	char text[200], speed[32] = "";
	const char *engine = "";

	if (h->instructions) {
		u64 done = h->instructions(h->opaque);
		if (now - s->title_at && done > s->title_instructions)
			snprintf(speed, sizeof speed, ", %llu MIPS",
			         (unsigned long long)((done - s->title_instructions) / (now - s->title_at) / 1000));
		s->title_instructions = done;
	}
	s->title_at = now;
	if (h->engine) {
		loop_lock(h->machine->loop);
		engine = h->engine(h->opaque);
		loop_unlock(h->machine->loop);
	}
	snprintf(text, sizeof text, "%s%sPaisano (%s%s)%s", h->name ? h->name : "", h->name ? " - " : "", engine, speed,
	         s->grabbed ? " - Ctrl-Alt-G releases the mouse" : "");
	SDL_SetWindowTitle(s->window, text);
}

static void set_grab(struct sdl *s, bool grab)
{
	s->grabbed = grab;
	SDL_SetWindowGrab(s->window, grab ? SDL_TRUE : SDL_FALSE);
	SDL_SetRelativeMouseMode(grab && !s->absolute ? SDL_TRUE : SDL_FALSE);
	set_title(s);
}

static void set_full_screen(struct sdl *s, bool full)
{
	s->full_screen = full;
	SDL_SetWindowFullscreen(s->window, full ? SDL_WINDOW_FULLSCREEN_DESKTOP : 0);
	s->redraw = true;
}

/* The guest has another mode: a texture of its size, and a window that it fits into. */
static void take_size(struct sdl *s)
{
	const struct picture *p = &s->ui.picture;
	bool on = p->pixels && p->width && p->height;

	s->width = on ? p->width : BLANK_WIDTH;
	s->height = on ? p->height : BLANK_HEIGHT;
	s->shown = p->generation;
	if (s->texture)
		SDL_DestroyTexture(s->texture);
	s->texture = SDL_CreateTexture(s->renderer, SDL_PIXELFORMAT_RGB888, SDL_TEXTUREACCESS_STREAMING, s->width, s->height);
	SDL_RenderSetLogicalSize(s->renderer, s->width, s->height);
	SDL_RenderSetIntegerScale(s->renderer, SDL_TRUE);
	if (!s->full_screen)
		SDL_SetWindowSize(s->window, s->width, s->height);
	if (on && s->texture)
		SDL_UpdateTexture(s->texture, NULL, p->pixels, p->width * 4);
	s->redraw = true;
}

static void copy_dirty(struct sdl *s)
{
	const struct picture *p = &s->ui.picture;
	unsigned lines = MIN(p->height, (unsigned)DISPLAY_LINES);

	for (unsigned y = 0, first; s->texture && y < lines; y++) {
		if (!(p->dirty[y / 64] >> (y % 64) & 1))
			continue;
		for (first = y; y < lines && p->dirty[y / 64] >> (y % 64) & 1; y++)
			;
		const SDL_Rect part = {0, (int)first, (int)p->width, (int)(y - first)};
		SDL_UpdateTexture(s->texture, &part, p->pixels + (size_t)first * p->width, (int)p->width * 4);
	}
	s->redraw = true;
}

static bool look(struct sdl *s)
{
	bool changed = ui_update(&s->ui, false), absolute = ui_wants_absolute(&s->ui);
	const struct picture *p = &s->ui.picture;

	if (absolute != s->absolute) {
		s->absolute = absolute;
		set_grab(s, s->grabbed && !absolute);
	}
	if (p->generation != s->shown)
		take_size(s);
	else if (changed && p->pixels && p->width && p->height)
		copy_dirty(s);
	if (s->redraw) {
		SDL_SetRenderDrawColor(s->renderer, 0, 0, 0, 255);
		SDL_RenderClear(s->renderer);
		if (s->texture && p->pixels && p->width && p->height)
			SDL_RenderCopy(s->renderer, s->texture, NULL, NULL);
		SDL_RenderPresent(s->renderer);
		s->redraw = false;
	}
	return changed;
}

/* ---- the speaker ---- */

static u64 guest_now(struct sdl *s)
{
	const struct machine *machine = s->ui.host->machine;

	loop_lock(machine->loop);
	u64 now = clock_now(machine->clock);
	loop_unlock(machine->loop);
	return now;
}

/* On a thread of SDL's. */
static void fill_audio(void *opaque, Uint8 *stream, int len)
{
	struct sdl *s = opaque;

	sound_render(s->sound, guest_now(s), (i16 *)stream, (unsigned)len / sizeof(i16));
}

/* A host without sound is no reason not to show a window. It is asked for when the guest first makes any, since some complain. */
static void open_audio(struct sdl *s)
{
	const SDL_AudioSpec want = {.freq = SOUND_HZ, .format = AUDIO_S16SYS, .channels = 1, .samples = 1024, .callback = fill_audio,
	                            .userdata = s};

	s->audio_tried = true;
	if (!SDL_InitSubSystem(SDL_INIT_AUDIO))
		s->audio = SDL_OpenAudioDevice(NULL, 0, &want, NULL, 0);
}

static void close_audio(struct sdl *s)
{
	if (s->audio)
		SDL_CloseAudioDevice(s->audio);
	sound_free(s->sound);
}

/* Silence is not played, so that it costs nothing. */
static void check_audio(struct sdl *s)
{
	bool active = sound_active(s->sound, guest_now(s));

	if (active && !s->audio_tried)
		open_audio(s);
	if (active == s->playing || !s->audio)
		return;
	s->playing = active;
	SDL_PauseAudioDevice(s->audio, !active);
}

/* ---- events ---- */

/* Keys of ours behind Ctrl-Alt; the guest has seen the modifiers go down and is told that they are up again. */
static bool hotkey(struct sdl *s, const SDL_KeyboardEvent *e)
{
	const unsigned both = e->keysym.mod; /* as it was at this event, not as it is now */

	if (e->type != SDL_KEYDOWN || !(both & KMOD_CTRL) || !(both & KMOD_LALT))
		return false;
	if (e->keysym.scancode != SDL_SCANCODE_G && e->keysym.scancode != SDL_SCANCODE_F)
		return false;
	if (e->repeat)
		return true;
	ui_release_keys(&s->ui);
	if (e->keysym.scancode == SDL_SCANCODE_G)
		set_grab(s, !s->grabbed);
	else
		set_full_screen(s, !s->full_screen);
	return true;
}

static void on_key(struct sdl *s, const SDL_KeyboardEvent *e)
{
	if (hotkey(s, e) || e->repeat)
		return;
	ui_key(&s->ui, key_of(e->keysym.scancode), e->type == SDL_KEYDOWN);
}

static unsigned buttons_of(u32 sdl)
{
	return (sdl & SDL_BUTTON_LMASK ? INPUT_LEFT : 0) | (sdl & SDL_BUTTON_RMASK ? INPUT_RIGHT : 0) |
	       (sdl & SDL_BUTTON_MMASK ? INPUT_MIDDLE : 0) | (sdl & SDL_BUTTON_X1MASK ? INPUT_SIDE : 0) |
	       (sdl & SDL_BUTTON_X2MASK ? INPUT_EXTRA : 0);
}

/* Positions come in the picture's own pixels: the renderer scales them back. */
static void on_motion(struct sdl *s, const SDL_MouseMotionEvent *e)
{
	if (s->absolute)
		ui_position(&s->ui, e->x, e->y, 0, buttons_of(e->state));
	else if (s->grabbed)
		ui_motion(&s->ui, e->xrel, e->yrel, 0, buttons_of(e->state));
}

static void on_button(struct sdl *s, const SDL_MouseButtonEvent *e)
{
	unsigned buttons = buttons_of(SDL_GetMouseState(NULL, NULL));

	if (s->absolute)
		ui_position(&s->ui, e->x, e->y, 0, buttons);
	else if (s->grabbed)
		ui_motion(&s->ui, 0, 0, 0, buttons);
	else if (e->type == SDL_MOUSEBUTTONDOWN && e->button == SDL_BUTTON_LEFT)
		set_grab(s, true); /* this click is ours */
}

static void on_wheel(struct sdl *s, const SDL_MouseWheelEvent *e)
{
	int wheel = e->direction == SDL_MOUSEWHEEL_FLIPPED ? -e->y : e->y;
	unsigned buttons = buttons_of(SDL_GetMouseState(NULL, NULL));

	if (s->absolute)
		ui_position(&s->ui, s->ui.x, s->ui.y, wheel, buttons);
	else if (s->grabbed)
		ui_motion(&s->ui, 0, 0, wheel, buttons);
}

static void on_window(struct sdl *s, const SDL_WindowEvent *e)
{
	switch (e->event) {
	case SDL_WINDOWEVENT_FOCUS_LOST:
		ui_release_keys(&s->ui);
		if (s->grabbed)
			set_grab(s, false);
		break;
	case SDL_WINDOWEVENT_CLOSE:
		ui_end_run(&s->ui);
		break;
	case SDL_WINDOWEVENT_RESIZED:
		ui_resize_hint(&s->ui, MAX(e->data1, 0), MAX(e->data2, 0));
		s->redraw = true;
		break;
	case SDL_WINDOWEVENT_EXPOSED:
	case SDL_WINDOWEVENT_SIZE_CHANGED:
		s->redraw = true;
		break;
	default:
		break;
	}
}

static void on_event(struct sdl *s, const SDL_Event *e)
{
	s->pace.quiet = 0;
	switch (e->type) {
	case SDL_KEYDOWN:
	case SDL_KEYUP:
		on_key(s, &e->key);
		break;
	case SDL_MOUSEMOTION:
		on_motion(s, &e->motion);
		break;
	case SDL_MOUSEBUTTONDOWN:
	case SDL_MOUSEBUTTONUP:
		on_button(s, &e->button);
		break;
	case SDL_MOUSEWHEEL:
		on_wheel(s, &e->wheel);
		break;
	case SDL_WINDOWEVENT:
		on_window(s, &e->window);
		break;
	case SDL_QUIT:
		ui_end_run(&s->ui);
		break;
	default:
		break;
	}
}

/* ---- the thread ---- */

static void sdl_close(struct ui *ui)
{
	struct sdl *s = (struct sdl *)ui;

	if (s->texture)
		SDL_DestroyTexture(s->texture);
	if (s->renderer)
		SDL_DestroyRenderer(s->renderer);
	if (s->window)
		SDL_DestroyWindow(s->window);
	close_audio(s);
	SDL_Quit(); /* nobody else uses it */
}

static bool sdl_open(struct ui *ui, struct err *err)
{
	struct sdl *s = (struct sdl *)ui;

	SDL_SetHint(SDL_HINT_NO_SIGNAL_HANDLERS, "1");
	SDL_SetHint(SDL_HINT_VIDEO_ALLOW_SCREENSAVER, "1");
	SDL_SetHint(SDL_HINT_RENDER_SCALE_QUALITY, "nearest");
	SDL_SetHint(SDL_HINT_VIDEO_X11_NET_WM_BYPASS_COMPOSITOR, "0");
	SDL_SetHint(SDL_HINT_GRAB_KEYBOARD, "1");
	if (ui->host->confined) { /* no drivers that compile code, and files and memory for it, while the guest runs */
		SDL_SetHint(SDL_HINT_RENDER_DRIVER, "software");
		SDL_SetHint(SDL_HINT_FRAMEBUFFER_ACCELERATION, "0");
	}
	if (SDL_InitSubSystem(SDL_INIT_VIDEO))
		return err_set(err, EXIT_HOST, "-display sdl: %s (-display vnc=:0 and curses need no window)", SDL_GetError());
	s->window = SDL_CreateWindow("Paisano", SDL_WINDOWPOS_UNDEFINED, SDL_WINDOWPOS_UNDEFINED, BLANK_WIDTH, BLANK_HEIGHT,
	                             SDL_WINDOW_RESIZABLE);
	s->renderer = s->window ? SDL_CreateRenderer(s->window, -1, 0) : NULL;
	if (s->window && !s->renderer)
		s->renderer = SDL_CreateRenderer(s->window, -1, SDL_RENDERER_SOFTWARE);
	if (s->renderer) {
		s->sound = sound_new(s->ui.host->machine);
		if (ui->host->confined)
			open_audio(s);
		return true;
	}
	err_set(err, EXIT_HOST, "-display sdl: %s", SDL_GetError());
	sdl_close(ui);
	return false;
}

static void sdl_run(struct ui *ui)
{
	struct sdl *s = (struct sdl *)ui;
	SDL_Event e;

	take_size(s);
	set_title(s);
	if (s->full_screen)
		set_full_screen(s, true);
	for (int wait = 0; !ui_quitting(ui);) {
		if (SDL_WaitEventTimeout(&e, wait))
			do
				on_event(s, &e);
			while (SDL_PollEvent(&e));
		wait = ui_next_look(&s->pace, look(s));
		check_audio(s);
		if (SDL_GetTicks() - s->title_at >= TITLE_MS)
			set_title(s);
	}
}

static const struct option_key sdl_options[] = {
	{"full-screen", OPTION_BOOL, offsetof(struct sdl, full_screen), 0, 0, "begin in full screen"},
	{NULL},
};

UI(sdl) = {
	.name = "sdl",
	.desc = "window",
	.thread = THREAD_WINDOW,
	.size = sizeof(struct sdl),
	.options = sdl_options,
	.open = sdl_open,
	.run = sdl_run,
	.close = sdl_close,
};
