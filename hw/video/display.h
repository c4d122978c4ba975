/* SPDX-License-Identifier: MIT */
/* The screen between a display adapter, which draws it on demand, and the front ends (window, VNC, curses, screendump), which
 * show it. Nothing is drawn unless somebody looks; an unchanged screen costs one call. Under the machine lock. */
#ifndef HW_VIDEO_DISPLAY_H
#define HW_VIDEO_DISPLAY_H

#include "base/types.h"

#define DISPLAY_LINES 2048 /* tallest picture */
#define DISPLAY_WIDTH 2560 /* widest */

/* What the adapter draws into: its own memory, 0x00RRGGBB per pixel, stride == width. Reallocated when the size changes. */
struct picture {
	u32 *pixels;
	unsigned width, height;          /* 0 x 0: the screen is off (pixels may be NULL) */
	u64 generation;                  /* counts changes of size */
	u64 dirty[DISPLAY_LINES / 64];   /* lines redrawn by the last update */
	bool changed;                    /* any of them, or the size */
};

/* One character cell of a text mode, for curses. */
struct text_cell {
	u8 character; /* as in code page 437 */
	u8 attribute; /* foreground in bits 0-3, background in 4-6, blink or bright background in 7 */
};
struct text_screen {
	unsigned columns, rows; /* 0: the adapter is in a graphics mode */
	struct text_cell cell[256 * 128]; /* row by row, `columns` each */
	int cursor_column, cursor_row;    /* -1: hidden */
	u32 palette[16];
};

struct display_source {
	/* Bring the picture up to date: draws what changed since the last call into `picture`, which belongs to the viewer, and sets
	 * its dirty lines. all: draw every line. Each viewer passes its own picture; viewer is 0..DISPLAY_VIEWERS-1. */
	void (*update)(void *device, struct picture *picture, unsigned viewer, bool all);
	/* False in graphics modes. */
	bool (*text)(void *device, struct text_screen *screen);
	/* The viewer's window has this size now: a hint that an adapter with EDID may pass on. May be NULL. */
	void (*resize_hint)(void *device, unsigned width, unsigned height);
	void *device;
};
#define DISPLAY_VIEWERS 4

/* The picture's memory for width x height, cleared; keeps what is there if the size is the same. False: no memory. */
bool picture_resize(struct picture *picture, unsigned width, unsigned height);
void picture_free(struct picture *picture);

#endif
