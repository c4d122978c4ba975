/* SPDX-License-Identifier: MIT */
/* The PC speaker as samples. */
#ifndef FRONTEND_SOUND_H
#define FRONTEND_SOUND_H

#include "hw/device.h"

#define SOUND_HZ 44100

struct sound;

/* Listens to the machine's speaker from now on. Without the machine lock. */
struct sound *sound_new(struct machine *machine);
void sound_free(struct sound *sound);
/* The next count samples; now is the guest's time. Any one thread. */
void sound_render(struct sound *sound, u64 now, i16 *samples, unsigned count);
/* Is there anything to be heard, or was there lately? */
bool sound_active(struct sound *sound, u64 now);

#endif
