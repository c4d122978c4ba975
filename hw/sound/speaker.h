/* SPDX-License-Identifier: MIT */
/* The PC speaker's cone, as the timer moves it and a front end makes it heard. */
#ifndef HW_SOUND_SPEAKER_H
#define HW_SOUND_SPEAKER_H

#include "base/types.h"

/* What the cone does from `start` (guest ns) until the next wave: it is at `level`, goes over to the other one after `first` ns,
 * and from then on stays high and low for so long in turn. 0 for any of them: it stays where it is. */
struct speaker_wave {
	u64 start;
	bool level;
	u64 first;
	u64 high, low;
};

/* Who listens; struct machine points to it. Called under the machine lock and must be quick. */
struct speaker {
	void (*wave)(void *opaque, const struct speaker_wave *wave);
	void *opaque;
};

#endif
