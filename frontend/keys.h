/* SPDX-License-Identifier: MIT */
/* Keys by what others call them, as the key codes of hw/input/input.h. 0 is no key. */
#ifndef FRONTEND_KEYS_H
#define FRONTEND_KEYS_H

#include "hw/input/input.h"

/* QEMU's key names ("ret", "ctrl", "kp_5"), as sendkey takes them, or a scan code of set 1 as 0x1e (bit 7: behind an E0). */
unsigned keys_by_name(const char *name);
/* The names in order; NULL behind the last. */
const char *keys_name(unsigned index);

/* X11 keysyms and, in the range of ASCII, characters: the key of a US keyboard that makes them. */
enum keys_shift { KEYS_ANY /* shift makes no difference */, KEYS_PLAIN, KEYS_SHIFTED };
unsigned keys_by_keysym(u32 keysym, enum keys_shift *shift);

/* Usages of the USB keyboard page, which are also SDL's scan codes. */
unsigned keys_by_usage(unsigned usage);
/* Scan codes of set 1; bit 7, or E0 in bits 8-15: behind an E0. */
unsigned keys_by_scancode(unsigned code);

/* Presses a key for a character or keysym, with shift as a US keyboard needs it whatever the user's layout took. */
struct keys_typist {
	void (*key)(void *opaque, unsigned code, bool down);
	void *opaque;
	u8 down[INPUT_KEYS / 8];
	bool caps; /* Caps Lock went through here and is on */
};
void keys_type(struct keys_typist *typist, u32 keysym, bool down);
/* A key by its place. */
void keys_press(struct keys_typist *typist, unsigned code, bool down);
/* Let go of everything: the window has lost the keyboard. */
void keys_release_all(struct keys_typist *typist);

#endif
