/* SPDX-License-Identifier: MIT */
/* The VGA's picture: what the CRT and attribute controllers make of memory and registers, line by line. IBM PS/2 Hardware Interface
 * Technical Reference, video subsystem; the dispi interface of Bochs for linear modes.
 * Not implemented: borders, interlace, changes of registers within a frame (a picture is drawn from the registers as they are).
 *
 * Lines come out in dots, as a monitor shows them: 320 pixels across are drawn twice as wide, 200 lines twice as high. A line that
 * comes out as it was is not dirty. Addresses wrap where they are used, but those of linear modes, which the dispi registers keep
 * within the memory. */
#include "hw/video/vga.h"

#include "mem/dirty.h"

#define DWORDS (VGA_MEMORY / 4)
#define CURSOR_NS 266000000ull /* half a period of the cursor's blinking; text blinks half as fast */

enum kind { KIND_OFF, KIND_TEXT, KIND_PLANAR, KIND_CGA, KIND_PACKED, KIND_LINEAR };

/* What a picture is drawn by, worked out once a picture. */
struct frame {
	enum kind kind;
	unsigned width, height;
	unsigned columns, dots;      /* character clocks a line; dots of each */
	bool wide;                   /* every dot twice */
	u32 start, offset;           /* dwords: where the picture begins, from row to row */
	u32 wrap;                    /* mask of addresses */
	unsigned scans, twice;       /* lines of a row, less one; shift for doubled lines */
	unsigned preset, panning, compare;
	unsigned bits;               /* linear modes: a pixel's */
	u32 stride, first;           /* linear modes: bytes */
	u32 colours[16];             /* what the attribute controller's palette comes to */
	bool cursor_on, blink_off;
};

/* ---- colours ---- */
static u32 dac_colour(const struct vga_state *s, u8 index)
{
	const u8 *c = &s->dac[(index & s->pel_mask) * 3];

	if (s->vbe[VBE_ENABLE] & VBE_8BIT_DAC)
		return (u32)c[0] << 16 | (u32)c[1] << 8 | c[2];
	u32 r = c[0] & 63, g = c[1] & 63, b = c[2] & 63;
	return (r << 2 | r >> 4) << 16 | (g << 2 | g >> 4) << 8 | (b << 2 | b >> 4);
}

static void make_colours(const struct vga_state *s, u32 *colours)
{
	for (unsigned i = 0; i < 16; i++) {
		u8 index = s->ar[i] & 0x3f;
		if (s->ar[AR_MODE] & 0x80)
			index = (index & 0x0f) | (s->ar[AR_COLOUR_SELECT] & 3) << 4;
		index |= (s->ar[AR_COLOUR_SELECT] & 0x0c) << 4;
		colours[i] = dac_colour(s, index);
	}
}

/* ---- what is shown ---- */
static void linear_frame(const struct vga_state *s, struct frame *f)
{
	unsigned bytes = (s->vbe[VBE_BITS] + 7u) / 8;

	f->bits = s->vbe[VBE_BITS];
	f->width = s->vbe[VBE_WIDTH];
	f->height = s->vbe[VBE_HEIGHT];
	if (f->bits == 4) {
		f->kind = KIND_PLANAR;
		f->columns = f->width / 8;
		f->dots = 8;
		f->offset = s->vbe[VBE_VIRTUAL_WIDTH] / 8;
		f->start = s->vbe[VBE_Y] * f->offset + s->vbe[VBE_X] / 8;
		f->panning = s->vbe[VBE_X] & 7;
		f->wrap = DWORDS - 1;
		f->compare = ~0u;
		return;
	}
	f->kind = KIND_LINEAR;
	f->stride = s->vbe[VBE_VIRTUAL_WIDTH] * bytes;
	f->first = s->vbe[VBE_Y] * f->stride + s->vbe[VBE_X] * bytes;
}

static void classic_frame(const struct vga_state *s, struct frame *f)
{
	bool graphics = s->gr[GR_MISC] & 1;
	unsigned shift = s->gr[GR_MODE] >> 5 & 3;

	f->kind = !graphics ? KIND_TEXT : shift >= 2 ? KIND_PACKED : shift ? KIND_CGA : KIND_PLANAR;
	f->dots = graphics || s->sr[SR_CLOCK] & 1 ? 8 : 9;
	f->wide = s->sr[SR_CLOCK] & 8;
	f->columns = s->cr[CR_H_END] + 1u;
	f->columns = MIN(f->columns, DISPLAY_WIDTH / (f->dots << f->wide));
	f->width = f->columns * f->dots << f->wide;
	f->height = (s->cr[CR_V_END] | (s->cr[CR_OVERFLOW] & 0x02u) << 7 | (s->cr[CR_OVERFLOW] & 0x40u) << 3) + 1;
	f->start = (u32)s->cr[CR_START_HIGH] << 8 | s->cr[CR_START_LOW];
	f->start += s->cr[CR_PRESET] >> 5 & 3;
	f->offset = s->cr[CR_OFFSET] * 2u;
	f->wrap = VGA_PLANAR / 4 - 1; /* the address counter's 16 bits: programs scroll round and round */
	f->scans = s->cr[CR_MAX_SCAN] & 31;
	f->twice = s->cr[CR_MAX_SCAN] >> 7;
	f->preset = s->cr[CR_PRESET] & 31;
	f->compare = s->cr[CR_COMPARE] | (s->cr[CR_OVERFLOW] & 0x10u) << 4 | (s->cr[CR_MAX_SCAN] & 0x40u) << 3;
	f->panning = s->ar[AR_PANNING] & 15;
	if (f->kind == KIND_PACKED)
		f->panning &= 6;
	else if (f->dots == 9)
		f->panning = f->panning >= 8 ? 0 : f->panning + 1;
	else
		f->panning &= 7;
}

/* Bit 0: the cursor is seen; bit 1: blinking text is. */
static u8 blink_phase(const struct vga *v)
{
	u64 half = clock_now(v->device.machine->clock) / CURSOR_NS;

	return (half & 1 ? 0 : 1) | (half & 2 ? 0 : 2);
}

static void make_frame(const struct vga *v, struct frame *f)
{
	const struct vga_state *s = &v->state;
	u8 phase = blink_phase(v);

	*f = (struct frame){0};
	if (vga_linear(v))
		linear_frame(s, f);
	else
		classic_frame(s, f);
	f->cursor_on = phase & 1;
	f->blink_off = !(phase & 2);
	make_colours(s, f->colours);
	/* before anybody has programmed the CRTC: what a monitor shows that finds no signal */
	if (!vga_linear(v) && (f->columns < 2 || f->height < 2)) {
		*f = (struct frame){.kind = KIND_OFF, .width = 640, .height = 480};
		return;
	}
	/* the sequencer stands still, or the palette belongs to the CPU */
	if (!vga_linear(v) && (s->sr[SR_CLOCK] & 0x20 || !(s->ar_index & 0x20) || (s->sr[SR_RESET] & 3) != 3))
		f->kind = KIND_OFF;
}

/* ---- lines ---- */
static void text_line(const struct vga *v, const struct frame *f, u32 at, unsigned scan, u32 *out)
{
	const struct vga_state *s = &v->state;
	u32 cursor = (u32)s->cr[CR_CURSOR_HIGH] << 8 | s->cr[CR_CURSOR_LOW];
	bool cursor_line = f->cursor_on && !(s->cr[CR_CURSOR_START] & 0x20) && scan >= (s->cr[CR_CURSOR_START] & 31u) &&
	                   scan <= (s->cr[CR_CURSOR_END] & 31u);
	u32 fonts[2] = {((s->sr[SR_FONT] & 3u) << 1 | (s->sr[SR_FONT] >> 4 & 1)) * 8192,
	                ((s->sr[SR_FONT] >> 2 & 3u) << 1 | (s->sr[SR_FONT] >> 5 & 1)) * 8192};
	bool underlined = s->ar[AR_MODE] & 2 && scan == (s->cr[CR_UNDERLINE] & 31u);

	for (unsigned x = 0; x <= f->columns; x++, at++) {
		const u8 *cell = v->memory + (size_t)(at & f->wrap) * 4;
		u8 character = cell[0], attribute = cell[1];
		unsigned glyph = v->memory[(fonts[attribute >> 3 & 1] + character * 32u + scan) * 4 + 2];
		u32 fore = f->colours[attribute & 15], back = f->colours[attribute >> 4];
		if (s->ar[AR_MODE] & 8) {
			back = f->colours[attribute >> 4 & 7];
			if (attribute & 0x80 && f->blink_off)
				fore = back;
		}
		if (underlined && (attribute & 7) == 1)
			glyph = 0xff;
		glyph = glyph << 1 | (s->ar[AR_MODE] & 4 && character >= 0xc0 && character <= 0xdf ? glyph & 1 : 0);
		if (cursor_line && (at & f->wrap) == cursor)
			glyph = 0x1ff;
		for (unsigned i = 0; i < f->dots; i++)
			*out++ = glyph << i & 0x100 ? fore : back;
	}
}

static void planar_line(const struct vga *v, const struct frame *f, u32 at, u32 *out)
{
	u8 planes = v->state.ar[AR_PLANES] & 15;

	for (unsigned x = 0; x <= f->columns; x++, at++) {
		const u8 *p = v->memory + (size_t)(at & f->wrap) * 4;
		for (unsigned bit = 8; bit-- > 0;)
			*out++ =
				f->colours[((p[0] >> bit & 1) | (p[1] >> bit & 1) << 1 | (p[2] >> bit & 1) << 2 | (p[3] >> bit & 1) << 3) & planes];
	}
}

/* Two bits a pixel, four pixels from plane 0 and then four from plane 1; planes 2 and 3 have the upper bits. */
static void cga_line(const struct vga *v, const struct frame *f, u32 at, u32 *out)
{
	u8 planes = v->state.ar[AR_PLANES] & 15;

	for (unsigned x = 0; x <= f->columns; x++, at++) {
		const u8 *p = v->memory + (size_t)(at & f->wrap) * 4;
		for (unsigned half = 0; half < 2; half++)
			for (unsigned bit = 8; bit; bit -= 2)
				*out++ = f->colours[((p[half] >> (bit - 2) & 3) | (p[half + 2] >> (bit - 2) & 3) << 2) & planes];
	}
}

static void packed_line(const struct vga *v, const struct frame *f, u32 at, u32 *out)
{
	for (unsigned x = 0; x <= f->columns; x++, at++) {
		const u8 *p = v->memory + (size_t)(at & f->wrap) * 4;
		for (unsigned i = 0; i < 4; i++, out += 2)
			out[0] = out[1] = dac_colour(&v->state, p[i]);
	}
}

static u32 widen(u32 value, unsigned bits)
{
	return value << (8 - bits) | value >> (2 * bits - 8);
}

static void linear_line(const struct vga *v, const struct frame *f, unsigned y, u32 *out)
{
	u32 at = f->first + y * f->stride, bytes = (f->bits + 7) / 8;

	for (unsigned x = 0; x < f->width; x++, at += bytes) {
		const u8 *p = v->memory + at;
		u32 c;
		switch (f->bits) {
		case 8:
			out[x] = dac_colour(&v->state, *p);
			break;
		case 15:
			c = load16(p);
			out[x] = widen(c >> 10 & 31, 5) << 16 | widen(c >> 5 & 31, 5) << 8 | widen(c & 31, 5);
			break;
		case 16:
			c = load16(p);
			out[x] = widen(c >> 11, 5) << 16 | widen(c >> 5 & 63, 6) << 8 | widen(c & 31, 5);
			break;
		case 24:
			out[x] = load16(p) | (u32)p[2] << 16;
			break;
		default:
			out[x] = load32(p) & 0xffffff;
			break;
		}
	}
}

/* The address of a line: rows of lines, the split screen, and the row's scan line in place of address bits, as the CGA has it. */
static u32 line_address(const struct vga *v, const struct frame *f, unsigned y, unsigned *scan, unsigned *panning)
{
	const struct vga_state *s = &v->state;
	bool split = y > f->compare;
	unsigned line = (split ? y - f->compare - 1 : y) >> f->twice, byte_mode = s->cr[CR_MODE] >> 6 & 1;
	u32 at;

	line += split ? 0 : f->preset;
	*scan = line % (f->scans + 1);
	*panning = split && s->ar[AR_MODE] & 0x20 ? 0 : f->panning;
	at = (split ? 0 : f->start) + line / (f->scans + 1) * f->offset;
	if (vga_linear(v))
		return at;
	if (!(s->cr[CR_MODE] & 1))
		at = (at & ~(u32)BIT(12 + byte_mode)) | (*scan & 1) << (12 + byte_mode);
	if (!(s->cr[CR_MODE] & 2))
		at = (at & ~(u32)BIT(13 + byte_mode)) | (*scan >> 1 & 1) << (13 + byte_mode);
	return at;
}

static void draw_line(const struct vga *v, const struct frame *f, unsigned y, u32 *out)
{
	u32 wide[DISPLAY_WIDTH + 32]; /* a column more than is shown, for panning */
	unsigned scan, panning;

	if (f->kind == KIND_OFF) {
		memset(out, 0, f->width * sizeof *out);
		return;
	}
	if (f->kind == KIND_LINEAR) {
		linear_line(v, f, y, out);
		return;
	}
	u32 at = line_address(v, f, y, &scan, &panning);
	if (f->kind == KIND_TEXT)
		text_line(v, f, at, scan, wide);
	else if (f->kind == KIND_PLANAR)
		planar_line(v, f, at, wide);
	else if (f->kind == KIND_CGA)
		cga_line(v, f, at, wide);
	else
		packed_line(v, f, at, wide);
	for (unsigned x = 0; x < f->width; x++)
		out[x] = wide[(x >> f->wide) + panning];
}

/* ---- pictures ---- */
/* What the guest wrote through the linear window since the last look. */
static void collect(struct vga *v, u32 first, u32 len)
{
	u32 page = first >> PAGE_SHIFT, end = MIN(((first + (u64)len) >> PAGE_SHIFT) + 1, (u64)VGA_PAGES);
	u64 written[VGA_PAGES / 64];

	if (page >= end)
		return;
	dirty_log_take(v->device.machine->bus, v->ram, (u64)page << PAGE_SHIFT, (u64)(end - page) << PAGE_SHIFT, written);
	for (u32 i = 0; i < end - page; i++)
		if (written[i / 64] >> i % 64 & 1)
			v->page_version[page + i] = ++v->version;
}

static bool changed_since(const struct vga *v, u64 seen, u64 first, u64 len)
{
	for (u64 page = first >> PAGE_SHIFT; page <= (first + len) >> PAGE_SHIFT && page < VGA_PAGES; page++)
		if (v->page_version[page] > seen)
			return true;
	return false;
}

void vga_update(void *device, struct picture *picture, unsigned viewer, bool all)
{
	struct vga *v = device;
	struct frame f;
	u32 line[DISPLAY_WIDTH];
	u64 generation = picture->generation, seen = v->seen[viewer % DISPLAY_VIEWERS];

	make_frame(v, &f);
	picture->changed = false;
	memset(picture->dirty, 0, sizeof picture->dirty);
	if (!picture_resize(picture, f.width, f.height))
		return;
	bool linear = f.kind == KIND_LINEAR;
	collect(v, linear ? f.first : 0, linear ? f.stride * f.height : vga_linear(v) ? VGA_MEMORY : VGA_PLANAR);
	u8 phase = f.kind == KIND_TEXT ? blink_phase(v) | 4 : 0;
	bool redraw = all || picture->generation != generation || v->registers_version > seen ||
	              phase != v->seen_blink[viewer % DISPLAY_VIEWERS] || (!linear && changed_since(v, seen, 0, VGA_MEMORY - 1));
	if (picture->generation != generation)
		memset(picture->dirty, 0, sizeof picture->dirty);
	for (unsigned y = 0; (redraw || linear) && y < f.height; y++) {
		u32 *old = picture->pixels + (size_t)y * f.width;
		if (!redraw && !changed_since(v, seen, f.first + (u64)y * f.stride, f.stride))
			continue;
		draw_line(v, &f, y, line);
		if (!all && picture->generation == generation && !memcmp(old, line, f.width * sizeof *line))
			continue;
		memcpy(old, line, f.width * sizeof *line);
		picture->dirty[y / 64] |= BIT(y % 64);
		picture->changed = true;
	}
	v->seen[viewer % DISPLAY_VIEWERS] = v->version;
	v->seen_blink[viewer % DISPLAY_VIEWERS] = phase;
}

bool vga_text(void *device, struct text_screen *screen)
{
	struct vga *v = device;
	const struct vga_state *s = &v->state;
	struct frame f;

	make_frame(v, &f);
	collect(v, 0, VGA_PLANAR);
	if (f.kind != KIND_TEXT)
		return false;
	screen->columns = MIN(f.columns, 256u);
	screen->rows = MIN((f.height >> f.twice) / (f.scans + 1), 128u);
	for (unsigned y = 0; y < screen->rows; y++)
		for (unsigned x = 0; x < screen->columns; x++) {
			const u8 *cell = v->memory + (size_t)((f.start + y * f.offset + x) & f.wrap) * 4;
			screen->cell[y * screen->columns + x] = (struct text_cell){cell[0], cell[1]};
		}
	memcpy(screen->palette, f.colours, sizeof screen->palette);
	screen->cursor_column = screen->cursor_row = -1;
	u32 cursor = ((u32)s->cr[CR_CURSOR_HIGH] << 8 | s->cr[CR_CURSOR_LOW]) - f.start;
	if (!(s->cr[CR_CURSOR_START] & 0x20) && f.offset && cursor % f.offset < screen->columns && cursor / f.offset < screen->rows) {
		screen->cursor_column = (int)(cursor % f.offset);
		screen->cursor_row = (int)(cursor / f.offset);
	}
	return true;
}
