/* SPDX-License-Identifier: MIT */
/* A machine that is only a screen, a keyboard and a mouse: what front ends show and send is compared with it. */
#ifndef TESTS_FRONTEND_FAKE_H
#define TESTS_FRONTEND_FAKE_H

#include "frontend/ui.h"
#include "tests/unit/unit.h"

struct fake {
	struct machine machine;
	struct display_source display;
	struct input input;
	struct ui_host host;
	pthread_t thread;
	/* under the machine lock */
	unsigned width, height;         /* the picture; fake_pixel() */
	u8 line[DISPLAY_LINES];         /* how often each changed */
	u64 version;                    /* counts changes of the picture */
	u64 drawn[DISPLAY_VIEWERS];     /* the version that each viewer has */
	unsigned first_dirty, last_dirty; /* lines changed by the last change */
	bool in_text, absolute;
	struct text_screen text;
	unsigned hint_width, hint_height;
	char log[4096];                 /* "k30+ k30- m5,-3,0,1 a16383,0,0,0 " */
	int code;                       /* what the loop ended with */
};

struct fake *fake_new(unsigned width, unsigned height);
/* Ends the loop; front ends must be stopped already. */
void fake_free(struct fake *f);
void fake_resize(struct fake *f, unsigned width, unsigned height);
/* Another picture in lines first..last. */
void fake_change(struct fake *f, unsigned first, unsigned last);
u32 fake_pixel(const struct fake *f, unsigned x, unsigned y);
#define FAKE_PATIENCE 60000 /* times 10 ms, until what shall come is given up */

/* Wait (not for ever) until the log ends in `text`, then empty it. */
void fake_expect(struct fake *f, const char *text);
bool fake_quitting(struct fake *f);

#endif
