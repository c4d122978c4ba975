/* SPDX-License-Identifier: MIT */
/* The VGA in each of its modes: a picture is written as a program would and compared with one computed here. */
#include <stdlib.h>

#include "hw/video/display.h"
#include "tests/dev/bench.h"

static struct bench *b;
static struct device *vga;
static struct picture p;

/* Register values of IBM's BIOS, by mode. */
struct mode {
	u8 misc, seq[5], crtc[25], attr[21], gfx[9];
};
/* clang-format off */
static const struct mode text = {0x67, {3, 0, 3, 0, 2},
	{0x5f, 0x4f, 0x50, 0x82, 0x55, 0x81, 0xbf, 0x1f, 0, 0x4f, 0x0d, 0x0e, 0, 0, 0, 0, 0x9c,
	 0x8e, 0x8f, 0x28, 0x1f, 0x96, 0xb9, 0xa3, 0xff},
	{0, 1, 2, 3, 4, 5, 20, 7, 56, 57, 58, 59, 60, 61, 62, 63, 0x0c, 0, 15, 8, 0}, {0, 0, 0, 0, 0, 0x10, 0x0e, 0, 0xff}};
static const struct mode cga4 = {0x63, {3, 9, 3, 0, 2},
	{0x2d, 0x27, 0x28, 0x90, 0x2b, 0x80, 0xbf, 0x1f, 0, 0xc1, 0, 0, 0, 0, 0, 0, 0x9c,
	 0x8e, 0x8f, 0x14, 0, 0x96, 0xb9, 0xa2, 0xff},
	{0, 0x13, 0x15, 0x17, 2, 4, 6, 7, 16, 17, 18, 19, 20, 21, 22, 23, 1, 0, 3, 0, 0}, {0, 0, 0, 0, 0, 0x30, 0x0f, 0, 0xff}};
static const struct mode planar = {0xe3, {3, 1, 15, 0, 6},
	{0x5f, 0x4f, 0x50, 0x82, 0x54, 0x80, 0x0b, 0x3e, 0, 0x40, 0, 0, 0, 0, 0, 0, 0xea,
	 0x8c, 0xdf, 0x28, 0, 0xe7, 0x04, 0xe3, 0xff},
	{0, 1, 2, 3, 4, 5, 20, 7, 56, 57, 58, 59, 60, 61, 62, 63, 1, 0, 15, 0, 0}, {0, 0, 0, 0, 0, 0, 5, 15, 0xff}};
static const struct mode packed = {0x63, {3, 1, 15, 0, 14},
	{0x5f, 0x4f, 0x50, 0x82, 0x54, 0x80, 0xbf, 0x1f, 0, 0x41, 0, 0, 0, 0, 0, 0, 0x9c,
	 0x8e, 0x8f, 0x28, 0x40, 0x96, 0xb9, 0xa3, 0xff},
	{0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 0x41, 0, 15, 0, 0}, {0, 0, 0, 0, 0, 0x40, 5, 15, 0xff}};
/* clang-format on */

static void indexed(u16 port, u8 index, u8 value)
{
	out8(b, port, index);
	out8(b, port + 1, value);
}

static u32 colour(unsigned index)
{
	u32 r = index & 63, g = index * 3 & 63, blue = index * 7 & 63;

	return (r << 2 | r >> 4) << 16 | (g << 2 | g >> 4) << 8 | (blue << 2 | blue >> 4);
}

static void set_mode(const struct mode *m)
{
	out8(b, 0x3c2, m->misc);
	for (unsigned i = 0; i < 5; i++)
		indexed(0x3c4, (u8)i, m->seq[i]);
	indexed(0x3d4, 0x11, 0); /* unlock */
	for (unsigned i = 0; i < 25; i++)
		indexed(0x3d4, (u8)i, m->crtc[i]);
	for (unsigned i = 0; i < 9; i++)
		indexed(0x3ce, (u8)i, m->gfx[i]);
	in8(b, 0x3da);
	for (unsigned i = 0; i < 21; i++) {
		out8(b, 0x3c0, (u8)i);
		out8(b, 0x3c0, m->attr[i]);
	}
	out8(b, 0x3c0, 0x20);
	out8(b, 0x3c8, 0);
	for (unsigned i = 0; i < 256; i++) {
		out8(b, 0x3c9, i & 63);
		out8(b, 0x3c9, i * 3 & 63);
		out8(b, 0x3c9, i * 7 & 63);
	}
}

static void start(void)
{
	b = bench_new();
	bench_add(b, "i440fx", NULL);
	vga = bench_add(b, "VGA", NULL);
	p = (struct picture){0};
}

static void stop(void)
{
	picture_free(&p);
	bench_free(b);
}

static void look(void)
{
	b->machine.display->update(b->machine.display->device, &p, 1, false);
}

static void expect_size(unsigned width, unsigned height)
{
	look();
	assert_int_equal(p.width, width);
	assert_int_equal(p.height, height);
}

static u32 pixel(unsigned x, unsigned y)
{
	return p.pixels[y * p.width + x];
}

static void text_mode(void **state)
{
	struct text_screen *screen = malloc(sizeof *screen);

	(void)state;
	start();
	expect_size(640, 480); /* no signal yet */
	assert_int_equal(pixel(639, 479), 0);
	set_mode(&text);
	/* a font: the letter's number in every line; 219 is solid, for the ninth dot */
	indexed(0x3c4, 2, 4);
	indexed(0x3c4, 4, 6);
	indexed(0x3ce, 5, 0);
	indexed(0x3ce, 6, 4);
	for (unsigned c = 0; c < 256; c++)
		for (unsigned line = 0; line < 16; line++)
			wr(b, 0xa0000 + c * 32 + line, c == 219 ? 0xff : c, 1);
	indexed(0x3c4, 2, 3);
	indexed(0x3c4, 4, 2);
	indexed(0x3ce, 5, 0x10);
	indexed(0x3ce, 6, 0x0e);
	for (unsigned i = 0; i < 80 * 25; i++)
		wr(b, 0xb8000 + i * 2, 0x0720, 2);
	indexed(0x3d4, 0x0a, 0x20); /* no cursor */
	wr(b, 0xb8000, 0x1e41, 2);
	wr(b, 0xb8002, 0x4fdb, 2);
	wr(b, 0xb8000 + 79 * 2 + 24 * 160, 0x7042, 2);
	expect_size(720, 400);
	for (unsigned x = 0; x < 8; x++) {
		assert_int_equal(pixel(x, 5), colour(0x41 << x & 0x80 ? 62 : 1));
		assert_int_equal(pixel(79 * 9 + x, 399), colour(0x42 << x & 0x80 ? 0 : 7));
	}
	assert_int_equal(pixel(8, 5), colour(1));   /* the ninth dot is the background */
	assert_int_equal(pixel(17, 5), colour(63)); /* but for line drawing */
	assert_true(b->machine.display->text(b->machine.display->device, screen));
	assert_int_equal(screen->columns, 80);
	assert_int_equal(screen->rows, 25);
	assert_int_equal(screen->cell[0].character, 'A');
	assert_int_equal(screen->cell[0].attribute, 0x1e);
	assert_int_equal(screen->cell[24 * 80 + 79].character, 'B');
	assert_int_equal(screen->cursor_row, -1);
	/* nothing changes, nothing is dirty; one cell makes its sixteen lines dirty */
	look();
	assert_false(p.changed);
	wr(b, 0xb8000 + 160, 0x0741, 2);
	look();
	assert_true(p.changed);
	assert_true(p.dirty[0] == 0xffff0000u);
	bench_round_trip(b, vga);
	look();
	assert_int_equal(pixel(1, 5), colour(62));
	/* a cursor on the second row */
	indexed(0x3d4, 0x0e, 0);
	indexed(0x3d4, 0x0f, 82);
	indexed(0x3d4, 0x0a, 13);
	b->machine.display->text(b->machine.display->device, screen);
	assert_int_equal(screen->cursor_row, 1);
	assert_int_equal(screen->cursor_column, 2);
	free(screen);
	stop();
}

static void cga_mode(void **state)
{
	(void)state;
	start();
	set_mode(&cga4);
	for (unsigned y = 0; y < 200; y++)
		for (unsigned byte = 0; byte < 80; byte++) /* pixel x of line y has colour x + y */
			wr(b, 0xb8000 + (y & 1) * 0x2000 + y / 2 * 80 + byte,
			   (y & 3) << 6 | ((y + 1) & 3) << 4 | ((y + 2) & 3) << 2 | ((y + 3) & 3), 1);
	expect_size(640, 400);
	for (unsigned y = 0; y < 400; y++)
		for (unsigned x = 0; x < 640; x++)
			assert_int_equal(pixel(x, y), colour(cga4.attr[(x / 2 + y / 2) & 3]));
	stop();
}

static void planar_mode(void **state)
{
	(void)state;
	start();
	set_mode(&planar);
	indexed(0x3ce, 5, 2); /* write mode 2: a colour through the bit mask */
	for (unsigned y = 0; y < 480; y++)
		for (unsigned x = 0; x < 640; x += 8)
			for (unsigned bit = 0; bit < 8; bit++) {
				indexed(0x3ce, 8, 0x80 >> bit);
				rd(b, 0xa0000 + y * 80 + x / 8, 1);
				wr(b, 0xa0000 + y * 80 + x / 8, (x + bit + y) & 15, 1);
			}
	expect_size(640, 480);
	for (unsigned y = 0; y < 480; y++)
		for (unsigned x = 0; x < 640; x++)
			assert_int_equal(pixel(x, y), colour(planar.attr[(x + y) & 15]));
	/* read mode 1 finds a colour; write mode 1 copies by the latches; set/reset and XOR */
	indexed(0x3ce, 5, 8);
	indexed(0x3ce, 2, 5);
	assert_int_equal(rd(b, 0xa0000, 1), 0x80 >> 5);
	indexed(0x3ce, 5, 1);
	rd(b, 0xa0000, 1);
	wr(b, 0xa0000 + 80 * 10, 0, 1);
	look();
	for (unsigned x = 0; x < 8; x++)
		assert_int_equal(pixel(x, 10), colour(planar.attr[x]));
	indexed(0x3ce, 5, 0);
	indexed(0x3ce, 8, 0xff);
	indexed(0x3ce, 3, 0x18);
	indexed(0x3ce, 0, 15);
	indexed(0x3ce, 1, 15);
	rd(b, 0xa0000, 1);
	wr(b, 0xa0000, 0, 1);
	look();
	for (unsigned x = 0; x < 8; x++)
		assert_int_equal(pixel(x, 0), colour(planar.attr[x ^ 15]));
	/* the second page, and a split screen that shows the first again */
	indexed(0x3d4, 0x0c, 0x96);
	indexed(0x3d4, 0x0d, 0x00);
	indexed(0x3d4, 0x07, 0x1e | 0x10);
	indexed(0x3d4, 0x07, 0x2e);
	indexed(0x3d4, 0x18, 99);
	indexed(0x3d4, 0x09, 0);
	look();
	assert_int_equal(pixel(5, 50), colour(0));
	assert_int_equal(pixel(5, 100), colour(planar.attr[5 ^ 15]));
	stop();
}

static void packed_mode(void **state)
{
	(void)state;
	start();
	set_mode(&packed);
	for (unsigned i = 0; i < 64000; i++)
		wr(b, 0xa0000 + i, (i % 320 + i / 320) & 255, 1);
	expect_size(640, 400);
	for (unsigned y = 0; y < 400; y++)
		for (unsigned x = 0; x < 640; x++)
			assert_int_equal(pixel(x, y), colour((x / 2 + y / 2) & 255));
	/* mode X: the same, plane by plane, 240 lines */
	static const u8 crtc[][2] = {{0x14, 0}, {0x17, 0xe3}, {6, 0x0d},    {7, 0x3e},
	                             {9, 0x41}, {0x10, 0xea}, {0x12, 0xdf}, {0x15, 0xe7}};
	out8(b, 0x3c2, 0xe3);
	indexed(0x3c4, 4, 6);
	indexed(0x3d4, 0x11, 0);
	for (unsigned i = 0; i < ARRAY_LEN(crtc); i++)
		indexed(0x3d4, crtc[i][0], crtc[i][1]);
	for (unsigned plane = 0; plane < 4; plane++) {
		indexed(0x3c4, 2, (u8)(1 << plane));
		for (unsigned y = 0; y < 240; y++)
			for (unsigned x = plane; x < 320; x += 4)
				wr(b, 0xa0000 + y * 80 + x / 4, (x * 3 + y) & 255, 1);
	}
	expect_size(640, 480);
	for (unsigned y = 0; y < 480; y++)
		for (unsigned x = 0; x < 640; x++)
			assert_int_equal(pixel(x, y), colour((x / 2 * 3 + y / 2) & 255));
	/* panned by one pixel */
	in8(b, 0x3da);
	out8(b, 0x3c0, 0x33);
	out8(b, 0x3c0, 2);
	look();
	assert_int_equal(pixel(0, 0), colour(3));
	stop();
}

static void dispi(u16 index, u16 value)
{
	out16(b, 0x1ce, index);
	out16(b, 0x1cf, value);
}

static void linear_modes(void **state)
{
	static const u16 bits[] = {8, 15, 16, 24, 32};

	(void)state;
	start();
	set_mode(&packed);
	cfg_write(b, 2 << 3 | 0, 0x10, 0xe0000000, 4);
	unsigned devfn = 0;
	for (devfn = 0; devfn < 256 && cfg_read(b, devfn, 0, 4) != 0x11111234; devfn += 8)
		;
	assert_true(devfn < 256);
	cfg_write(b, devfn, 0x10, 0xe0000000, 4);
	cfg_write(b, devfn, 0x18, 0xe1000000, 4);
	cfg_write(b, devfn, 4, 7, 2);
	out16(b, 0x1ce, 0);
	assert_int_equal(in16(b, 0x1cf), 0xb0c5);
	assert_int_equal(rd(b, 0xe1000500, 2), 0xb0c5);
	for (unsigned i = 0; i < ARRAY_LEN(bits); i++) {
		unsigned bytes = (bits[i] + 7) / 8;
		dispi(4, 0);
		dispi(1, 800);
		dispi(2, 600);
		dispi(3, bits[i]);
		dispi(4, 0x41);
		expect_size(800, 600);
		assert_int_equal(pixel(0, 0), bits[i] == 8 ? colour(0) : 0);
		wr(b, 0xe0000000 + (800 * 7 + 5) * bytes, 0x00ff00ffu & (u32)mask_bytes(bytes), bytes == 3 ? 4 : bytes);
		look();
		u32 want = bits[i] == 8 ? colour(255) : bits[i] == 15 ? 0x0039ff : bits[i] == 16 ? 0x001cff : 0xff00ff;
		assert_int_equal(pixel(5, 7), want);
		assert_true(p.dirty[0] & BIT(7));
		look();
		assert_false(p.changed);
	}
	/* scrolled, through the bank, and the largest mode */
	dispi(9, 7);
	look();
	assert_int_equal(pixel(5, 0), 0xff00ff);
	dispi(4, 0);
	dispi(1, 2560);
	dispi(2, 1600);
	dispi(3, 32);
	dispi(4, 0x41);
	dispi(5, 3);
	wr(b, 0xa0000, 0x00123456, 4);
	expect_size(2560, 1600);
	assert_int_equal(pixel(0x30000 / 4 % 2560, 0x30000 / 4 / 2560), 0x123456);
	dispi(4, 0);
	expect_size(640, 400);
	stop();
}

/* Whatever a guest writes, a picture comes out of it. */
static void garbage(void **state)
{
	u64 seed = 11;
	struct text_screen *screen = malloc(sizeof *screen);

	(void)state;
	start();
	set_mode(&text);
	for (unsigned i = 0; i < 60000; i++) {
		u64 r = unit_random(&seed);
		if (r % 8 == 0)
			dispi(r >> 8 & 15, (u16)(r >> 16));
		else if (r % 8 == 1)
			wr(b, 0xa0000 + (r >> 8 & 0x1ffff), r >> 32, 1 << (r >> 6 & 3));
		else if (r % 8 == 2)
			rd(b, 0xa0000 + (r >> 8 & 0x1ffff), 1 << (r >> 6 & 3));
		else
			out16(b, (u16)(0x3b0 + (r >> 8) % 0x30), (u16)(r >> 16));
		if (i % 300 == 0) {
			b->machine.display->update(b->machine.display->device, &p, i / 300 % 4, i % 900 == 0);
			b->machine.display->text(b->machine.display->device, screen);
		}
	}
	free(screen);
	stop();
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(text_mode), cmocka_unit_test(cga_mode), cmocka_unit_test(planar_mode),
	                                   cmocka_unit_test(packed_mode), cmocka_unit_test(linear_modes), cmocka_unit_test(garbage)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
