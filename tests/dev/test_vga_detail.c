/* SPDX-License-Identifier: MIT */
/* The VGA in detail: the graphics controller against a model that works bit by bit, text screens against one that works dot by
 * dot, the edges of linear modes, what two viewers see of a change, EDID. */
#include <stdlib.h>

#include "hw/video/display.h"
#include "tests/dev/bench.h"

enum { WINDOW = 0xa0000, TEXT = 0xb8000, LINEAR = 0xe0000000, MMIO = 0xe1000000, SLOT = 1 << 3 };

static struct bench *b;
static struct device *vga;
static struct picture p;
static u64 seed;

static void seq(u8 index, u8 value)
{
	out16(b, 0x3c4, index | value << 8);
}
static void gfx(u8 index, u8 value)
{
	out16(b, 0x3ce, index | value << 8);
}
static void crtc(u8 index, u8 value)
{
	out16(b, 0x3d4, index | value << 8);
}
static void attr(u8 index, u8 value)
{
	in8(b, 0x3da);
	out8(b, 0x3c0, index);
	out8(b, 0x3c0, value);
	out8(b, 0x3c0, 0x20);
}
static void dispi(u16 index, u16 value)
{
	out16(b, 0x1ce, index);
	out16(b, 0x1cf, value);
}
static u16 dispi_read(u16 index)
{
	out16(b, 0x1ce, index);
	return in16(b, 0x1cf);
}
static unsigned any(unsigned below)
{
	return unit_random(&seed) % below;
}

static void start(void)
{
	b = bench_new();
	bench_add(b, "i440fx", NULL);
	vga = bench_add(b, "VGA", NULL);
	p = (struct picture){0};
	seed = 7;
	assert_int_equal(cfg_read(b, SLOT, 0, 4), 0x11111234);
	cfg_write(b, SLOT, 0x10, LINEAR, 4);
	cfg_write(b, SLOT, 0x18, MMIO, 4);
	cfg_write(b, SLOT, 4, 7, 2);
	/* colour i of the palette is (i, 2i, 3i) */
	out8(b, 0x3c8, 0);
	for (unsigned i = 0; i < 256; i++)
		for (unsigned k = 1; k <= 3; k++)
			out8(b, 0x3c9, i * k & 63);
}

static void stop(void)
{
	picture_free(&p);
	bench_free(b);
}

static void look(struct picture *to, unsigned viewer)
{
	b->machine.display->update(b->machine.display->device, to, viewer, false);
}

static u32 colour(unsigned index)
{
	u32 c = 0;

	for (unsigned k = 1; k <= 3; k++)
		c = c << 8 | (index * k & 63) << 2 | (index * k & 63) >> 4;
	return c;
}

/* ---- the graphics controller ---- */
struct planes {
	u8 byte[4];
};

static struct planes read_planes(u64 gpa)
{
	struct planes got;

	gfx(5, 0);
	for (unsigned i = 0; i < 4; i++) {
		gfx(4, i);
		got.byte[i] = rd(b, gpa, 1);
	}
	return got;
}

/* What a write makes of one bit of one plane. */
static bool model_bit(unsigned mode, const u8 *gr, u8 cpu, bool latch, unsigned plane, unsigned bit)
{
	unsigned rotate = gr[3] & 7, function = gr[3] >> 3;
	bool turned = cpu >> ((bit + rotate) % 8) & 1, mask = gr[8] >> bit & 1, value;

	if (mode == 1)
		return latch;
	if (mode == 0)
		value = gr[1] >> plane & 1 ? gr[0] >> plane & 1 : turned;
	else if (mode == 2)
		value = cpu >> plane & 1;
	else
		value = gr[0] >> plane & 1;
	if (mode == 3)
		mask = mask && turned;
	value = function == 1 ? value && latch : function == 2 ? value || latch : function == 3 ? value != latch : value;
	return mask ? value : latch;
}

static void write_modes(void **state)
{
	(void)state;
	start();
	seq(4, 6);
	gfx(6, 5);
	for (unsigned trial = 0; trial < 4000; trial++) {
		u64 from = WINDOW + any(64), to = WINDOW + any(64);
		u8 gr[9] = {any(16), any(16), any(16), any(32), any(4), 0, 5, any(16), any(256)}, cpu = any(256), map = any(16);
		unsigned mode = any(4);
		struct planes latch = read_planes(from), before = read_planes(to), after;

		for (unsigned i = 0; i < 9; i++)
			if (i != 5 && i != 6)
				gfx(i, gr[i]);
		seq(2, map);
		gfx(5, mode | 8);
		u8 same = rd(b, from, 1); /* loads the latches, and compares colours */
		wr(b, to, cpu, 1);
		for (unsigned bit = 0; bit < 8; bit++) {
			bool equal = true;
			for (unsigned plane = 0; plane < 4; plane++)
				if (gr[7] >> plane & 1 && (latch.byte[plane] >> bit & 1) != (gr[2] >> plane & 1))
					equal = false;
			assert_int_equal(same >> bit & 1, equal);
		}
		after = read_planes(to);
		for (unsigned plane = 0; plane < 4; plane++)
			for (unsigned bit = 0; bit < 8; bit++) {
				bool old = before.byte[plane] >> bit & 1;
				bool want = map >> plane & 1 ? model_bit(mode, gr, cpu, latch.byte[plane] >> bit & 1, plane, bit) : old;
				if ((after.byte[plane] >> bit & 1) != want)
					fail_msg("trial %u: mode %u plane %u bit %u", trial, mode, plane, bit);
			}
	}
	stop();
}

static void memory_maps(void **state)
{
	static const struct { u8 map; u32 first, end; } maps[] = {
		{0, 0xa0000, 0xc0000}, {1, 0xa0000, 0xb0000}, {2, 0xb0000, 0xb8000}, {3, 0xb8000, 0xc0000}};

	(void)state;
	start();
	seq(2, 1);
	seq(4, 6);
	gfx(8, 0xff);
	for (unsigned i = 0; i < ARRAY_LEN(maps); i++) {
		gfx(6, maps[i].map << 2 | 1);
		wr(b, maps[i].first, 0x40 + i, 1);
		for (u32 at = 0xa0000; at < 0xc0000; at += 0x1000) {
			u8 got = rd(b, at, 1);
			if (at < maps[i].first || at >= maps[i].end)
				assert_int_equal(got, 0xff);
			else if (at == maps[i].first)
				assert_int_equal(got, 0x40 + i);
			else
				assert_int_equal(got, 0);
		}
	}
	/* odd and even: a cell's character in plane 0, its attribute in plane 1 */
	seq(2, 3);
	seq(4, 2);
	gfx(5, 0x10);
	wr(b, TEXT + 6, 0x1234, 2);
	assert_int_equal(rd(b, TEXT + 6, 2), 0x1234);
	seq(4, 6);
	struct planes got = read_planes(TEXT + 3);
	assert_int_equal(got.byte[0], 0x34);
	assert_int_equal(got.byte[1], 0x12);
	/* chain 4: the address chooses the plane, the map mask still counts */
	seq(4, 0x0e);
	seq(2, 0x0d);
	wr(b, TEXT + 16, 0x44332211, 4);
	seq(4, 6);
	got = read_planes(TEXT + 4);
	assert_int_equal(got.byte[0], 0x11);
	assert_int_equal(got.byte[1], 0);
	assert_int_equal(got.byte[3], 0x44);
	stop();
}

/* ---- registers ---- */
static void registers(void **state)
{
	(void)state;
	start();
	/* registers 0 to 7 are protected, but for bit 8 of the line compare */
	crtc(0x11, 0);
	crtc(0, 0x5f);
	crtc(7, 0x0f);
	crtc(0x11, 0x80);
	crtc(0, 0);
	crtc(7, 0xf0);
	out8(b, 0x3d4, 0);
	assert_int_equal(in8(b, 0x3d5), 0x5f);
	out8(b, 0x3d4, 7);
	assert_int_equal(in8(b, 0x3d5), 0x1f);
	/* the attribute controller: index and data in turn; the status register starts over; the palette is locked while shown */
	in8(b, 0x3da);
	out8(b, 0x3c0, 3);
	out8(b, 0x3c0, 0x2a);
	out8(b, 0x3c0, 4);
	in8(b, 0x3da);
	out8(b, 0x3c0, 3);
	assert_int_equal(in8(b, 0x3c1), 0x2a);
	in8(b, 0x3da);
	out8(b, 0x3c0, 0x23);
	out8(b, 0x3c0, 0x15);
	assert_int_equal(in8(b, 0x3c1), 0x2a);
	/* the DAC counts by itself, six bits a colour; eight if asked for */
	out8(b, 0x3c8, 255);
	for (unsigned i = 0; i < 4; i++)
		out8(b, 0x3c9, 0xf1 + i);
	assert_int_equal(in8(b, 0x3c7), 0);
	out8(b, 0x3c7, 255);
	assert_int_equal(in8(b, 0x3c7), 3);
	for (unsigned i = 0; i < 4; i++)
		assert_int_equal(in8(b, 0x3c9), 0x31 + i);
	dispi(4, 0x20);
	out8(b, 0x3c8, 9);
	out8(b, 0x3c9, 0xf1);
	out8(b, 0x3c7, 9);
	assert_int_equal(in8(b, 0x3c9), 0xf1);
	/* monochrome addresses */
	out8(b, 0x3c2, 0x66);
	assert_int_equal(in8(b, 0x3d5), 0xff);
	out8(b, 0x3b4, 0);
	assert_int_equal(in8(b, 0x3b5), 0x5f);
	out8(b, 0x3c2, 0x67);
	/* a frame has a vertical retrace and, around it, lines that are shown */
	bool blank = false, shown = false, retrace = false;
	for (unsigned i = 0; i < 20000; i++) {
		u8 got = in8(b, 0x3da);
		blank |= (got & 9) == 1;
		shown |= (got & 9) == 0;
		retrace |= (got & 9) == 9;
		bench_advance(b, 1000);
	}
	assert_true(blank && shown && retrace);
	stop();
}

/* ---- text ---- */
struct text_mode {
	bool dots9, blink, lines, cursor;
	unsigned columns, rows, height; /* in characters; lines of one */
	unsigned start, offset;         /* in cells */
	unsigned cursor_at, cursor_first, cursor_last;
	unsigned panning, preset, split; /* split: the line after which the screen begins anew, or ~0 */
	unsigned underline, fonts;       /* line; character map select */
	bool pan_all;                    /* the lower part is panned too */
};
static u8 cells[0x8000][2], font[8][256][32];

static void set_text(const struct text_mode *m)
{
	unsigned lines = m->rows * m->height, split = m->split > 1023 ? 1023 : m->split;

	out8(b, 0x3c2, 0x67);
	seq(0, 3);
	seq(1, m->dots9 ? 0 : 1);
	seq(2, 3);
	seq(3, m->fonts);
	seq(4, 2);
	gfx(5, 0x10);
	gfx(6, 0x0e);
	crtc(0x11, 0);
	crtc(1, m->columns - 1);
	crtc(0x12, lines - 1);
	crtc(7, (lines - 1) >> 8 << 1 | (lines - 1) >> 9 << 6 | (split >> 8 & 1) << 4);
	crtc(8, m->preset);
	crtc(9, (m->height - 1) | (split >> 9) << 6);
	crtc(0x0a, m->cursor_first | (m->cursor ? 0 : 0x20));
	crtc(0x0b, m->cursor_last);
	crtc(0x0c, m->start >> 8);
	crtc(0x0d, m->start);
	crtc(0x0e, m->cursor_at >> 8);
	crtc(0x0f, m->cursor_at);
	crtc(0x13, m->offset / 2);
	crtc(0x14, m->underline);
	crtc(0x17, 0xa3);
	crtc(0x18, split);
	for (unsigned i = 0; i < 16; i++) {
		in8(b, 0x3da);
		out8(b, 0x3c0, i);
		out8(b, 0x3c0, i + 16);
	}
	attr(0x10, (m->blink ? 8 : 0) | (m->lines ? 4 : 0) | 2 | (m->pan_all ? 0 : 0x20));
	attr(0x12, 15);
	attr(0x13, m->dots9 ? (m->panning + 8) % 9 : m->panning);
}

/* The colour of a dot. */
static u32 text_dot(const struct text_mode *m, unsigned x, unsigned y, bool cursor_on, bool blink_on)
{
	bool low = y > m->split;
	unsigned dots = m->dots9 ? 9 : 8, line = low ? y - m->split - 1 : y + m->preset;
	unsigned px = x + (low && !m->pan_all ? 0 : m->panning), scan = line % m->height, dot = px % dots;
	unsigned at = ((low ? 0 : m->start) + line / m->height * m->offset + px / dots) & 0xffff;
	u8 character = at < 0x8000 ? cells[at][0] : 0, attribute = at < 0x8000 ? cells[at][1] : 0;
	unsigned a = (m->fonts & 3) * 2 + (m->fonts >> 4 & 1), second = (m->fonts >> 2 & 3) * 2 + (m->fonts >> 5 & 1);
	u8 row = font[attribute & 8 ? second : a][character][scan];
	bool lit = dot < 8 ? row >> (7 - dot) & 1 : m->lines && character >= 0xc0 && character < 0xe0 && row & 1;
	unsigned fore = attribute & 15, back = attribute >> 4;

	if (m->blink) {
		back &= 7;
		if (attribute & 0x80 && !blink_on)
			lit = false;
	}
	if (m->underline == scan && (attribute & 7) == 1)
		lit = dot < 8 || (m->lines && character >= 0xc0 && character < 0xe0);
	if (m->underline == scan && (attribute & 7) == 1 && m->blink && attribute & 0x80 && !blink_on)
		lit = false;
	if (m->cursor && cursor_on && at == m->cursor_at && scan >= m->cursor_first && scan <= m->cursor_last)
		return colour(m->blink && attribute & 0x80 && !blink_on ? back + 16 : fore + 16);
	return colour((lit ? fore : back) + 16);
}

static void fill_text(void)
{
	/* eight fonts in plane 2 */
	seq(2, 4);
	seq(4, 6);
	gfx(5, 0);
	gfx(6, 4);
	gfx(8, 0xff);
	for (unsigned slot = 0; slot < 8; slot++)
		for (unsigned c = 0; c < 256; c++)
			for (unsigned line = 0; line < 32; line++) {
				font[slot][c][line] = any(256);
				wr(b, WINDOW + slot * 0x2000 + c * 32 + line, font[slot][c][line], 1);
			}
	/* cells over all that the 64 KiB window reaches */
	seq(2, 3);
	seq(4, 2);
	gfx(5, 0x10);
	gfx(6, 6);
	for (unsigned i = 0; i < 0x8000; i++) {
		cells[i][0] = any(256);
		cells[i][1] = any(256);
		wr(b, WINDOW + i * 2, cells[i][0] | cells[i][1] << 8, 2);
	}
}

static void text_screens(void **state)
{
	static const struct text_mode modes[] = {
		{.dots9 = true, .blink = true, .lines = true, .columns = 80, .rows = 25, .height = 16, .offset = 80, .split = ~0u,
	     .underline = 31},
		{.dots9 = true, .lines = false, .columns = 80, .rows = 25, .height = 16, .offset = 80, .split = ~0u, .underline = 15,
	     .cursor = true, .cursor_at = 333, .cursor_first = 13, .cursor_last = 14},
		{.columns = 80, .rows = 50, .height = 8, .offset = 100, .start = 1000, .split = ~0u, .underline = 31, .cursor = true,
	     .cursor_at = 1205, .cursor_first = 0, .cursor_last = 7, .blink = true},
		{.dots9 = true, .lines = true, .columns = 80, .rows = 25, .height = 16, .offset = 90, .start = 4000, .panning = 5,
	     .preset = 7, .split = 199, .underline = 31, .blink = true},
		{.columns = 40, .rows = 25, .height = 16, .offset = 60, .start = 300, .panning = 3, .preset = 15, .split = 310,
	     .underline = 31, .pan_all = true},
		{.dots9 = true, .columns = 80, .rows = 25, .height = 16, .offset = 80, .start = 0xff80, .split = ~0u, .underline = 12,
	     .fonts = 0x2d, .blink = true}, /* round the end of the address counter; fonts 7 and 2 */
		{.columns = 132, .rows = 28, .height = 14, .offset = 132, .split = ~0u, .underline = 31, .fonts = 0x13, .cursor = true,
	     .cursor_at = 77, .cursor_first = 9, .cursor_last = 3},
	};

	(void)state;
	start();
	fill_text();
	for (unsigned i = 0; i < ARRAY_LEN(modes); i++) {
		const struct text_mode *m = &modes[i];
		unsigned seen = 0;

		set_text(m);
		for (unsigned tick = 0; tick < 12; tick++, bench_advance(b, 100 * MS)) {
			u64 half = b->now / 266000000;
			bool cursor_on = !(half & 1), blink_on = !(half & 2);

			look(&p, 0);
			assert_int_equal(p.width, m->columns * (m->dots9 ? 9 : 8));
			assert_int_equal(p.height, m->rows * m->height);
			seen |= 1 << (half & 3);
			for (unsigned y = 0; y < p.height; y++)
				for (unsigned x = 0; x < p.width; x++)
					if (p.pixels[y * p.width + x] != text_dot(m, x, y, cursor_on, blink_on))
						fail_msg("mode %u, time %u: (%u, %u) is %06x, not %06x", i, tick, x, y, p.pixels[y * p.width + x],
						         text_dot(m, x, y, cursor_on, blink_on));
		}
		assert_int_equal(seen, 15);
	}
	stop();
}

/* ---- graphics that scroll round ---- */
static void planar_scroll(void **state)
{
	static u8 memory[0x10000];

	(void)state;
	start();
	out8(b, 0x3c2, 0xe3);
	seq(0, 3);
	seq(1, 9); /* 320 across */
	seq(2, 2);
	seq(4, 6);
	gfx(6, 5);
	gfx(8, 0xff);
	for (unsigned i = 0; i < sizeof memory; i++) {
		memory[i] = any(256);
		wr(b, WINDOW + i, memory[i], 1);
	}
	crtc(0x11, 0);
	crtc(1, 39);
	crtc(7, 2);
	crtc(9, 0xc0);
	crtc(0x0c, 0xf8);
	crtc(0x0d, 0x03);
	crtc(0x12, 0x8f);
	crtc(0x13, 21);
	crtc(0x17, 0xe3);
	crtc(0x18, 0xff);
	crtc(7, 0x12);
	attr(0x10, 1);
	attr(0x12, 15);
	attr(0x13, 6);
	in8(b, 0x3da);
	for (unsigned i = 0; i < 16; i++) { /* the palette can be written while it is not shown only */
		out8(b, 0x3c0, i);
		out8(b, 0x3c0, i);
	}
	out8(b, 0x3c0, 0x20);
	look(&p, 0);
	assert_int_equal(p.width, 640);
	assert_int_equal(p.height, 400);
	for (unsigned y = 0; y < 400; y++)
		for (unsigned x = 0; x < 640; x++) {
			unsigned px = x / 2 + 6, at = (0xf803 + y / 2 * 42 + px / 8) & 0xffff;
			unsigned want = memory[at] >> (7 - px % 8) & 1 ? 2 : 0;
			if (p.pixels[y * 640 + x] != colour(want))
				fail_msg("(%u, %u)", x, y);
		}
	stop();
}

/* ---- linear modes ---- */
static void set_linear(unsigned width, unsigned height, unsigned bits)
{
	dispi(4, 0);
	dispi(1, width);
	dispi(2, height);
	dispi(3, bits);
	dispi(4, 0x41);
	assert_int_equal(dispi_read(1), width);
	assert_int_equal(dispi_read(2), height);
	assert_int_equal(dispi_read(3), bits);
}

static void linear_edges(void **state)
{
	static const u16 bits[] = {8, 15, 16, 24, 32};

	(void)state;
	start();
	for (unsigned i = 0; i < ARRAY_LEN(bits); i++) {
		unsigned bytes = (bits[i] + 7) / 8, stride = 1024 * bytes;
		set_linear(640, 480, bits[i]);
		dispi(6, 1024);
		dispi(8, 384);
		dispi(9, 100);
		/* a picture of random bytes, through an offset into a wider screen */
		for (unsigned y = 100; y < 580; y += 37)
			for (unsigned x = 0; x < stride; x += 8)
				wr(b, LINEAR + y * stride + x, unit_random(&seed), 8);
		look(&p, 0);
		assert_int_equal(p.width, 640);
		for (unsigned y = 0; y < 480; y++)
			for (unsigned x = 0; x < 640; x++) {
				u32 raw = rd(b, LINEAR + (y + 100) * stride + (x + 384) * bytes, 4) & mask_bytes(bytes), want;
				if (bits[i] == 8)
					want = colour(raw);
				else if (bits[i] == 15)
					want = ((raw >> 10 & 31) << 3 | (raw >> 12 & 7)) << 16 | ((raw >> 5 & 31) << 3 | (raw >> 7 & 7)) << 8 |
					       (raw & 31) << 3 | (raw >> 2 & 7);
				else if (bits[i] == 16)
					want = ((raw >> 11) << 3 | (raw >> 13)) << 16 | ((raw >> 5 & 63) << 2 | (raw >> 9 & 3)) << 8 | (raw & 31) << 3 |
					       (raw >> 2 & 7);
				else
					want = raw & 0xffffff;
				if (p.pixels[y * 640 + x] != want)
					fail_msg("%u bits: (%u, %u) is %06x, not %06x", bits[i], x, y, p.pixels[y * 640 + x], want);
			}
	}
	/* the memory's very last pixels */
	set_linear(1024, 1024, 8);
	assert_int_equal(dispi_read(7), 16384);
	dispi(9, 16384 - 1024);
	assert_int_equal(dispi_read(9), 16384 - 1024);
	wr(b, LINEAR + (16 << 20) - 4, 0x04030201, 4);
	look(&p, 0);
	for (unsigned x = 1020; x < 1024; x++)
		assert_int_equal(p.pixels[1023 * 1024 + x], colour(x - 1019));
	/* past it: from the start */
	dispi(9, 16384 - 1023);
	assert_int_equal(dispi_read(9), 0);
	dispi(8, 0xffff);
	dispi(9, 0xffff);
	look(&p, 0);
	/* what one mode's virtual screen took away, the next has again */
	set_linear(800, 600, 32);
	dispi(6, 16000);
	assert_true(dispi_read(2) < 600);
	set_linear(1024, 768, 32);
	assert_int_equal(dispi_read(6), 1024);
	/* four bits: planes, at any pixel */
	set_linear(800, 600, 4);
	seq(4, 6);
	gfx(6, 5);
	gfx(5, 2);
	attr(0x12, 15);
	for (unsigned i = 0; i < 16; i++) {
		in8(b, 0x3da);
		out8(b, 0x3c0, i);
		out8(b, 0x3c0, i);
	}
	seq(2, 15);
	for (unsigned x = 0; x < 64; x++) {
		gfx(8, 0x80 >> x % 8);
		rd(b, WINDOW + x / 8, 1);
		wr(b, WINDOW + x / 8, x & 15, 1);
	}
	dispi(8, 3);
	look(&p, 0);
	for (unsigned x = 0; x < 60; x++)
		assert_int_equal(p.pixels[x], colour((x + 3) & 15));
	stop();
}

static unsigned dirty_lines(const struct picture *of)
{
	unsigned n = 0;

	for (unsigned i = 0; i < ARRAY_LEN(of->dirty); i++)
		n += __builtin_popcountll(of->dirty[i]);
	return n;
}

static void viewers(void **state)
{
	struct picture second = {0};

	(void)state;
	start();
	set_linear(1024, 768, 32);
	look(&p, 0);
	look(&second, 1);
	look(&p, 0);
	assert_false(p.changed);
	wr(b, LINEAR + 100 * 4096, 0x123456, 4);
	wr(b, LINEAR + 700 * 4096 + 40, 0x123456, 4);
	look(&p, 0);
	assert_true(p.changed);
	assert_int_equal(dirty_lines(&p), 2);
	assert_true(p.dirty[100 / 64] == BIT(100 % 64) && p.dirty[700 / 64] == BIT(700 % 64));
	look(&p, 0);
	assert_false(p.changed);
	assert_int_equal(dirty_lines(&p), 0);
	wr(b, LINEAR + 5 * 4096, 1, 4);
	look(&second, 1); /* has missed nothing, though the first one looked before */
	assert_int_equal(dirty_lines(&second), 3);
	look(&p, 0);
	assert_int_equal(dirty_lines(&p), 1);
	assert_memory_equal(p.pixels, second.pixels, 1024 * 768 * 4);
	/* idle for long: not a line */
	bench_advance(b, NS_PER_S);
	look(&p, 0);
	look(&second, 1);
	assert_false(p.changed || second.changed);
	b->machine.display->update(b->machine.display->device, &p, 0, true);
	assert_int_equal(dirty_lines(&p), 768);
	bench_round_trip(b, vga);
	look(&p, 0);
	assert_memory_equal(p.pixels, second.pixels, 1024 * 768 * 4);
	picture_free(&second);
	stop();
}

/* ---- EDID ---- */
static void expect_edid(unsigned width, unsigned height)
{
	static const u8 header[] = {0, 255, 255, 255, 255, 255, 255, 0};
	u8 edid[128], sum = 0;

	for (unsigned i = 0; i < sizeof edid; i += 4)
		store32(edid + i, rd(b, MMIO + i, 4));
	for (unsigned i = 0; i < sizeof edid; i++) {
		assert_int_equal(rd(b, MMIO + i, 1), edid[i]);
		sum += edid[i];
	}
	assert_int_equal(sum, 0);
	assert_memory_equal(edid, header, sizeof header);
	assert_int_equal(edid[18], 1);
	assert_int_equal(edid[54 + 2] | edid[54 + 4] >> 4 << 8, width);
	assert_int_equal(edid[54 + 5] | edid[54 + 7] >> 4 << 8, height);
	/* 60 frames a second, near enough */
	u64 total = (u64)(width + (edid[54 + 3] | (edid[54 + 4] & 15) << 8)) * (height + (edid[54 + 6] | (edid[54 + 7] & 15) << 8));
	assert_in_range(load16(edid + 54) * 10000ull * 100 / total, 5900, 6100);
	for (unsigned i = 38; i < 54; i += 2)
		assert_true(edid[i] > 1);
	assert_int_equal(rd(b, MMIO + 128, 4), 0);
}

static void edid(void **state)
{
	(void)state;
	start();
	expect_edid(1280, 800);
	b->machine.display->resize_hint(b->machine.display->device, 1921, 1080);
	expect_edid(1920, 1080);
	bench_round_trip(b, vga);
	vga->class->reset(vga);
	cfg_write(b, SLOT, 0x18, MMIO, 4);
	cfg_write(b, SLOT, 4, 7, 2);
	expect_edid(1920, 1080);
	b->machine.display->resize_hint(b->machine.display->device, 0, 1u << 31);
	expect_edid(640, 1600);
	stop();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(write_modes), cmocka_unit_test(memory_maps),  cmocka_unit_test(registers), cmocka_unit_test(text_screens),
		cmocka_unit_test(planar_scroll), cmocka_unit_test(linear_edges), cmocka_unit_test(viewers),   cmocka_unit_test(edid),
	};

	return cmocka_run_group_tests_name("dev.vga-detail", tests, NULL, NULL);
}
