/* SPDX-License-Identifier: MIT */
/* Floppy disk formats. Each is told by the size of its image; sectors are of 512 bytes and lie in the order cylinder, head,
 * sector. The drive that suits a format is the one that reads it without double steps.
 * An image of any other size is read as the smallest format that holds it, 2.88M at most. */
#include "hw/disk/fdc_state.h"

enum { R500 = 1 << 0, R300 = 1 << 1, R250 = 1 << 2, R1000 = 1 << 3 };
enum { DRIVE_360K = 1, DRIVE_1200K, DRIVE_720K, DRIVE_1440K, DRIVE_2880K };

#define FORMAT(tracks, heads, sectors, rates, type) {(tracks) * (heads) * (sectors) * 512u, tracks, heads, sectors, rates, type}

/* By size. Double density of 5.25 inches is read at 250 kbit/s by drives of 300 turns a minute, at 300 by those of 360. */
static const struct fdc_format formats[] = {
	FORMAT(40, 1, 8, R250 | R300, DRIVE_360K),
	FORMAT(40, 1, 9, R250 | R300, DRIVE_360K),
	FORMAT(40, 2, 8, R250 | R300, DRIVE_360K),
	FORMAT(40, 2, 9, R250 | R300, DRIVE_360K),
	FORMAT(41, 2, 10, R250 | R300, DRIVE_360K),
	FORMAT(80, 2, 9, R250, DRIVE_1440K),
	FORMAT(80, 2, 10, R250, DRIVE_1440K),
	FORMAT(82, 2, 10, R250, DRIVE_1440K),
	FORMAT(80, 2, 15, R500, DRIVE_1200K),
	FORMAT(80, 2, 18, R500, DRIVE_1440K),
	FORMAT(80, 2, 20, R500, DRIVE_1440K),
	FORMAT(80, 2, 21, R500, DRIVE_1440K),
	FORMAT(82, 2, 21, R500, DRIVE_1440K),
	FORMAT(83, 2, 21, R500, DRIVE_1440K),
	FORMAT(80, 2, 22, R500, DRIVE_1440K),
	FORMAT(80, 2, 24, R500, DRIVE_1440K),
	FORMAT(80, 2, 36, R1000, DRIVE_2880K),
};

const struct fdc_format *fdc_media_format(u64 size)
{
	for (unsigned i = 0; i < ARRAY_LEN(formats); i++)
		if (size <= formats[i].size)
			return &formats[i];
	return &formats[ARRAY_LEN(formats) - 1];
}
