/* SPDX-License-Identifier: MIT */
/* The memory of a picture. See display.h. */
#include <stdlib.h>

#include "hw/video/display.h"

bool picture_resize(struct picture *picture, unsigned width, unsigned height)
{
	u32 *pixels = NULL;

	if (width > DISPLAY_WIDTH || height > DISPLAY_LINES)
		return false;
	if (!width || !height)
		width = height = 0;
	if (picture->width == width && picture->height == height)
		return true;
	if (width) {
		pixels = calloc((size_t)width * height, sizeof *pixels);
		if (!pixels)
			return false;
	}
	free(picture->pixels);
	picture->pixels = pixels;
	picture->width = width;
	picture->height = height;
	picture->generation++;
	picture->changed = true;
	memset(picture->dirty, 0xff, sizeof picture->dirty);
	return true;
}

void picture_free(struct picture *picture)
{
	free(picture->pixels);
	*picture = (struct picture){0};
}
