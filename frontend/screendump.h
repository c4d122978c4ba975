/* SPDX-License-Identifier: MIT */
/* Pictures of the guest's screen as files. */
#ifndef FRONTEND_SCREENDUMP_H
#define FRONTEND_SCREENDUMP_H

#include "hw/device.h"
#include "hw/video/display.h"

/* PNG if the name ends in .png, else PPM. */
bool screendump_write(const struct picture *picture, const char *file, struct err *err);
/* The machine's screen as it is now. Under the machine lock. */
bool screendump_take(const struct machine *machine, const char *file, struct err *err);

#endif
