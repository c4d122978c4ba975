/* SPDX-License-Identifier: MIT */
/* What a front end says when the user presses a key or moves the mouse. Keys are named by their place on the keyboard, not by
 * what is printed on them, with the numbers of Linux's evdev (KEY_*), so that a host's scan codes need no table of ours.
 * Going down and going up are told once each: the emulated keyboard repeats by itself. */
#ifndef HW_INPUT_INPUT_H
#define HW_INPUT_INPUT_H

#include "base/types.h"

/* A keyboard or pointer (or both: members may be NULL). Called under the machine lock. */
struct input {
	void (*key)(void *opaque, unsigned code, bool down);
	/* Relative motion: right and down are positive; wheel away from the user is positive. buttons: enum input_button. */
	void (*pointer)(void *opaque, int dx, int dy, int wheel, unsigned buttons);
	/* A pointer that knows where it is: 0..0x7fff from left to right, top to bottom of the screen. */
	void (*absolute)(void *opaque, unsigned x, unsigned y, int wheel, unsigned buttons);
	/* Does the guest listen to absolute positions now? Without it, while there is one: yes. */
	bool (*wants_absolute)(void *opaque);
	void *opaque;
};

#define INPUT_ABSOLUTE_MAX 0x7fffu

struct machine;
/* A device offers itself in init (false: there are too many already) and takes itself out in destroy. */
bool input_register(struct machine *machine, struct input *input);
void input_unregister(struct machine *machine, struct input *input);
/* To the device that is to have it: keys to the newest keyboard, absolute positions to the newest device that wants them, motion to
 * that too if it can tell it, else to the first mouse. input_absolute: false if nobody wants it; nothing was sent then. */
void input_key(const struct machine *machine, unsigned code, bool down);
void input_pointer(const struct machine *machine, int dx, int dy, int wheel, unsigned buttons);
bool input_wants_absolute(const struct machine *machine);
bool input_absolute(const struct machine *machine, unsigned x, unsigned y, int wheel, unsigned buttons);

enum input_button {
	INPUT_LEFT = 1 << 0, INPUT_RIGHT = 1 << 1, INPUT_MIDDLE = 1 << 2, INPUT_SIDE = 1 << 3, INPUT_EXTRA = 1 << 4,
};

/* clang-format off */
enum input_key {
	INPUT_ESC = 1, INPUT_1, INPUT_2, INPUT_3, INPUT_4, INPUT_5, INPUT_6, INPUT_7, INPUT_8, INPUT_9, INPUT_0,
	INPUT_MINUS, INPUT_EQUAL, INPUT_BACKSPACE, INPUT_TAB,
	INPUT_Q, INPUT_W, INPUT_E, INPUT_R, INPUT_T, INPUT_Y, INPUT_U, INPUT_I, INPUT_O, INPUT_P,
	INPUT_LEFTBRACE, INPUT_RIGHTBRACE, INPUT_ENTER, INPUT_LEFTCTRL,
	INPUT_A, INPUT_S, INPUT_D, INPUT_F, INPUT_G, INPUT_H, INPUT_J, INPUT_K, INPUT_L,
	INPUT_SEMICOLON, INPUT_APOSTROPHE, INPUT_GRAVE, INPUT_LEFTSHIFT, INPUT_BACKSLASH,
	INPUT_Z, INPUT_X, INPUT_C, INPUT_V, INPUT_B, INPUT_N, INPUT_M,
	INPUT_COMMA, INPUT_DOT, INPUT_SLASH, INPUT_RIGHTSHIFT, INPUT_KPASTERISK, INPUT_LEFTALT, INPUT_SPACE, INPUT_CAPSLOCK,
	INPUT_F1, INPUT_F2, INPUT_F3, INPUT_F4, INPUT_F5, INPUT_F6, INPUT_F7, INPUT_F8, INPUT_F9, INPUT_F10,
	INPUT_NUMLOCK, INPUT_SCROLLLOCK,
	INPUT_KP7, INPUT_KP8, INPUT_KP9, INPUT_KPMINUS, INPUT_KP4, INPUT_KP5, INPUT_KP6, INPUT_KPPLUS,
	INPUT_KP1, INPUT_KP2, INPUT_KP3, INPUT_KP0, INPUT_KPDOT,
	INPUT_ZENKAKUHANKAKU = 85, INPUT_102ND, INPUT_F11, INPUT_F12, INPUT_RO, INPUT_KATAKANA, INPUT_HIRAGANA, INPUT_HENKAN,
	INPUT_KATAKANAHIRAGANA, INPUT_MUHENKAN, INPUT_KPJPCOMMA, INPUT_KPENTER, INPUT_RIGHTCTRL, INPUT_KPSLASH, INPUT_SYSRQ,
	INPUT_RIGHTALT, INPUT_LINEFEED, INPUT_HOME, INPUT_UP, INPUT_PAGEUP, INPUT_LEFTARROW, INPUT_RIGHTARROW, INPUT_END, INPUT_DOWN,
	INPUT_PAGEDOWN, INPUT_INSERT, INPUT_DELETE, INPUT_MUTE = 113, INPUT_VOLUMEDOWN, INPUT_VOLUMEUP, INPUT_POWER, INPUT_KPEQUAL,
	INPUT_PAUSE = 119, INPUT_KPCOMMA = 121, INPUT_HANGEUL, INPUT_HANJA, INPUT_YEN, INPUT_LEFTMETA, INPUT_RIGHTMETA,
	INPUT_COMPOSE, INPUT_STOP, INPUT_AGAIN, INPUT_PROPS, INPUT_UNDO, INPUT_FRONT, INPUT_COPY, INPUT_OPEN, INPUT_PASTE,
	INPUT_FIND, INPUT_CUT, INPUT_HELP, INPUT_MENU, INPUT_CALC, INPUT_SLEEP = 142, INPUT_WAKEUP, INPUT_MAIL = 155,
	INPUT_BOOKMARKS, INPUT_COMPUTER, INPUT_BACK, INPUT_FORWARD, INPUT_NEXTSONG = 163, INPUT_PLAYPAUSE, INPUT_PREVIOUSSONG,
	INPUT_STOPCD, INPUT_HOMEPAGE = 172, INPUT_REFRESH, INPUT_F13 = 183, INPUT_F14, INPUT_F15, INPUT_F16, INPUT_F17, INPUT_F18,
	INPUT_F19, INPUT_F20, INPUT_F21, INPUT_F22, INPUT_F23, INPUT_F24, INPUT_SEARCH = 217, INPUT_MEDIA = 226,
	INPUT_KEYS = 256,
};
/* clang-format on */

#endif
