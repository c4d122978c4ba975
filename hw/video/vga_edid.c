/* SPDX-License-Identifier: MIT */
/* What the monitor says of itself, as drivers read it from BAR 2. VESA Enhanced EDID Standard release A revision 2 (EDID 1.4),
 * section 3. One block: its preferred mode is what the viewer's window asked for, or 1280x800; the other modes are those that
 * programs offer. Not implemented: extension blocks. */
#include "hw/video/vga.h"

enum {
	MANUFACTURER = 8, PRODUCT = 10, WEEK = 16, VERSION = 18, INPUT = 20, SIZE_CM = 21, GAMMA = 23, FEATURES = 24, CHROMATICITY = 25,
	ESTABLISHED = 35, STANDARD = 38, STANDARD_COUNT = 8, DESCRIPTOR = 54, DESCRIPTOR_SIZE = 18, CHECKSUM = 127
};
enum { HZ = 60, H_FRONT = 48, H_SYNC = 32, H_BLANK = 160, V_FRONT = 3, V_SYNC = 6, V_BLANK = 40, DOTS_A_CM = 38 };
enum aspect { ASPECT_16_10, ASPECT_4_3, ASPECT_5_4, ASPECT_16_9 };

static const struct { u16 width; u8 aspect; } standard[] = {
	{2048, ASPECT_4_3}, {1920, ASPECT_16_9}, {1680, ASPECT_16_10}, {1600, ASPECT_4_3},
	{1440, ASPECT_16_10}, {1280, ASPECT_5_4},  {1280, ASPECT_16_10}, {1152, ASPECT_4_3},
};
_Static_assert(ARRAY_LEN(standard) == STANDARD_COUNT, "EDID has room for eight standard timings");
/* CIE coordinates of sRGB's primaries and white, as section 3.7 packs them. */
static const u8 srgb[] = {0xee, 0x91, 0xa3, 0x54, 0x4c, 0x99, 0x26, 0x0f, 0x50, 0x54};

/* A detailed timing: low bytes, then the upper bits of each pair packed together. */
static void timing(u8 *d, unsigned width, unsigned height)
{
	unsigned clock = (width + H_BLANK) * (height + V_BLANK) / 1000 * HZ / 10;
	unsigned width_mm = width * 10 / DOTS_A_CM, height_mm = height * 10 / DOTS_A_CM;

	store16(d, (u16)clock); /* 10 kHz */
	d[2] = (u8)width;
	d[3] = H_BLANK;
	d[4] = (u8)(width >> 8 << 4);
	d[5] = (u8)height;
	d[6] = V_BLANK;
	d[7] = (u8)(height >> 8 << 4);
	d[8] = H_FRONT;
	d[9] = H_SYNC;
	d[10] = V_FRONT << 4 | V_SYNC;
	d[12] = (u8)width_mm;
	d[13] = (u8)height_mm;
	d[14] = (u8)(width_mm >> 8 << 4 | height_mm >> 8);
	d[17] = 0x1a; /* digital separate sync, horizontal positive */
}

static void name(u8 *d, const char *text)
{
	d[3] = 0xfc;
	memset(d + 5, ' ', 13);
	memcpy(d + 5, text, strlen(text));
	d[5 + strlen(text)] = '\n';
}

static void make_edid(struct vga *v)
{
	static const u8 ranges[] = {0, 0, 0, 0xfd, 0, 50, 125, 30, 160, 60, 1, '\n', ' ', ' ', ' ', ' ', ' ', ' '};
	unsigned width = v->state.edid_width, height = v->state.edid_height;
	u8 *e = v->edid, sum = 0;

	memset(e, 0, VGA_EDID);
	memset(e + 1, 0xff, 6);
	e[MANUFACTURER] = (u8)(('P' - 64) << 2 | ('S' - 64) >> 3); /* three letters of five bits, big-endian */
	e[MANUFACTURER + 1] = (u8)(('S' - 64) << 5 | ('N' - 64));
	store16(e + PRODUCT, 0x1111);
	e[WEEK] = 1;
	e[WEEK + 1] = 2024 - 1990;
	e[VERSION] = 1;
	e[VERSION + 1] = 4;
	e[INPUT] = 0xa5; /* digital, 8 bits a colour, DisplayPort */
	e[SIZE_CM] = (u8)(width / DOTS_A_CM);
	e[SIZE_CM + 1] = (u8)(height / DOTS_A_CM);
	e[GAMMA] = 120; /* 2.2 */
	e[FEATURES] = 0x06; /* sRGB; the first timing is the native one */
	memcpy(e + CHROMATICITY, srgb, sizeof srgb);
	e[ESTABLISHED] = 0x21;     /* 640x480, 800x600 */
	e[ESTABLISHED + 1] = 0x08; /* 1024x768 */
	for (unsigned i = 0; i < STANDARD_COUNT; i++) {
		e[STANDARD + i * 2] = (u8)(standard[i].width / 8 - 31);
		e[STANDARD + i * 2 + 1] = (u8)(standard[i].aspect << 6 | (HZ - 60));
	}
	timing(e + DESCRIPTOR, width, height);
	memcpy(e + DESCRIPTOR + DESCRIPTOR_SIZE, ranges, sizeof ranges);
	name(e + DESCRIPTOR + 2 * DESCRIPTOR_SIZE, "Paisano");
	e[DESCRIPTOR + 3 * DESCRIPTOR_SIZE + 3] = 0x10; /* nothing */
	for (unsigned i = 0; i < CHECKSUM; i++)
		sum += e[i];
	e[CHECKSUM] = (u8)-sum;
}

/* Sizes that a driver can set; anything may be asked for. */
void vga_prefer(struct vga *v, unsigned width, unsigned height)
{
	v->state.edid_width = (u16)(MIN(MAX(width, 640u), (unsigned)DISPLAY_WIDTH) & ~7u);
	v->state.edid_height = (u16)MIN(MAX(height, 480u), 1600u);
	make_edid(v);
}
