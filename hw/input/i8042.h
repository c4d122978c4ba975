/* SPDX-License-Identifier: MIT */
/* The host's side of the keyboard controller. */
#ifndef HW_INPUT_I8042_H
#define HW_INPUT_I8042_H

#include "hw/device.h"
#include "hw/input/input.h"

/* The PS/2 keyboard and mouse as somewhere for a front end to send input. */
struct input i8042_input(struct device *i8042);
/* What the guest has lit: bit 0 scroll lock, 1 num lock, 2 caps lock. */
u8 i8042_leds(struct device *i8042);

/* How the controller turns a byte of scan code set 2 into one of set 1 (below 0x80, and 83h; others pass). */
extern const u8 i8042_set2_to_set1[0x80];

#endif
