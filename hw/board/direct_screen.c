/* SPDX-License-Identifier: MIT */
/* The screen as firmware leaves it to a kernel: text mode 3 (80 columns, 25 rows, 16 colours, 8x16 font), cleared. Programmed
 * through the adapter's ports and memory window like any program would. Register values: IBM PS/2 Hardware Interface Technical
 * Reference, video subsystem, mode 3+ at 400 lines; BIOS data area: IBM PS/2 and PC BIOS Interface Technical Reference.
 * The font is the one of the VGA BIOS image, where it is found by the shape of its letters; without that file the text memory works
 * and nothing of it can be read. */
#include "hw/board/direct.h"
#include "hw/board/private.h"

enum {
	MISC_WRITE = 0x3c2, SEQUENCER = 0x3c4, PEL_MASK = 0x3c6, DAC_INDEX = 0x3c8, DAC_DATA = 0x3c9, GRAPHICS = 0x3ce, CRTC = 0x3d4,
	STATUS = 0x3da, ATTRIBUTE = 0x3c0, PALETTE_ON = 0x20
};
enum { GLYPH = 16, GLYPHS = 256, FONT_SLOT = 32, WINDOW = 0xa0000, TEXT = 0xb8000, COLUMNS = 80, ROWS = 25, BLANK = 0x0720 };

/* clang-format off */
static const u8 sequencer[] = {0x03, 0x00, 0x03, 0x00, 0x02};
static const u8 graphics[] = {0x00, 0x00, 0x00, 0x00, 0x00, 0x10, 0x0e, 0x0f, 0xff};
static const u8 attribute[] = {0x00, 0x01, 0x02, 0x03, 0x04, 0x05, 0x14, 0x07, 0x38, 0x39, 0x3a, 0x3b, 0x3c, 0x3d, 0x3e, 0x3f,
                               0x0c, 0x00, 0x0f, 0x08, 0x00};
static const u8 crtc[] = {0x5f, 0x4f, 0x50, 0x82, 0x55, 0x81, 0xbf, 0x1f, 0x00, 0x4f, 0x0d, 0x0e, 0x00, 0x00, 0x00, 0x00,
                          0x9c, 0x8e, 0x8f, 0x28, 0x1f, 0x96, 0xb9, 0xa3, 0xff};
/* For writing to plane 2 alone, byte by byte, at A0000h. */
static const struct { u16 port; u8 index, value; } font_access[] = {
	{SEQUENCER, 2, 0x04}, {SEQUENCER, 4, 0x06}, {GRAPHICS, 5, 0x00}, {GRAPHICS, 6, 0x04}};
static const struct { u16 gpa; u8 size; u32 value; } bios_data[] = {
	{0x449, 1, 3},              /* mode */
	{0x44a, 2, COLUMNS},
	{0x44c, 2, 0x1000},         /* bytes a page */
	{0x44e, 2, 0}, {0x450, 2, 0}, {0x462, 1, 0}, /* page's offset, its cursor, its number */
	{0x460, 2, 0x0d0e},         /* cursor's shape */
	{0x463, 2, CRTC},
	{0x484, 1, ROWS - 1},
	{0x485, 2, GLYPH},
	{0x487, 1, 0x60}, {0x488, 1, 0xf9}, {0x489, 1, 0x51}, /* EGA and VGA: 256 KiB, colour, 400 lines */
};
/* clang-format on */

static void indexed(struct bus *bus, u16 port, u8 index, u8 value)
{
	bus_out(bus, port, index, 1);
	bus_out(bus, (u16)(port + 1), value, 1);
}

static void load_registers(struct bus *bus)
{
	enum { CRTC_PROTECT = 0x11 };

	bus_out(bus, MISC_WRITE, 0x67, 1);
	indexed(bus, SEQUENCER, 0, 0x01);
	for (unsigned i = 1; i < ARRAY_LEN(sequencer); i++)
		indexed(bus, SEQUENCER, i, sequencer[i]);
	indexed(bus, SEQUENCER, 0, sequencer[0]);
	indexed(bus, CRTC, CRTC_PROTECT, crtc[CRTC_PROTECT] & 0x7f);
	for (unsigned i = 0; i < ARRAY_LEN(crtc); i++)
		indexed(bus, CRTC, i, crtc[i]);
	for (unsigned i = 0; i < ARRAY_LEN(graphics); i++)
		indexed(bus, GRAPHICS, i, graphics[i]);
	bus_in(bus, STATUS, 1); /* the next byte is an index */
	for (unsigned i = 0; i < ARRAY_LEN(attribute); i++) {
		bus_out(bus, ATTRIBUTE, i, 1);
		bus_out(bus, ATTRIBUTE, attribute[i], 1);
	}
	bus_out(bus, ATTRIBUTE, PALETTE_ON, 1);
}

/* The EGA's 64 colours: bits 0-2 two thirds of blue, green, red; bits 3-5 a third of them. */
static void load_palette(struct bus *bus)
{
	bus_out(bus, PEL_MASK, 0xff, 1);
	bus_out(bus, DAC_INDEX, 0, 1);
	for (unsigned i = 0; i < 64; i++)
		for (unsigned shift = 3; shift-- > 0;)
			bus_out(bus, DAC_DATA, (i >> shift & 1) * 42 + (i >> (shift + 3) & 1) * 21, 1);
}

static bool is_blank(const u8 *glyph)
{
	for (unsigned i = 0; i < GLYPH; i++)
		if (glyph[i])
			return false;
	return true;
}

static bool is_solid(const u8 *glyph)
{
	for (unsigned i = 0; i < GLYPH; i++)
		if (glyph[i] != 0xff)
			return false;
	return true;
}

/* An 8x16 font of code page 437: 0, 20h and FFh are blank, DBh is solid, DCh is its lower and DFh its upper half, and there are
 * letters in between. */
static const u8 *find_font(const struct board_file *file)
{
	enum { SIZE = GLYPHS * GLYPH };

	for (size_t at = 0; file->data && at + SIZE <= file->size; at++) {
		const u8 *font = file->data + at, *lower = font + 0xdc * GLYPH, *upper = font + 0xdf * GLYPH;
		if (is_blank(font) && is_blank(font + ' ' * GLYPH) && is_blank(font + 0xff * GLYPH) && is_solid(font + 0xdb * GLYPH) &&
		    !lower[0] && lower[GLYPH - 1] == 0xff && upper[0] == 0xff && !upper[GLYPH - 1] && !is_blank(font + 'A' * GLYPH))
			return font;
	}
	return NULL;
}

static void load_font(struct bus *bus, const u8 *font)
{
	for (unsigned i = 0; i < ARRAY_LEN(font_access); i++)
		indexed(bus, font_access[i].port, font_access[i].index, font_access[i].value);
	for (unsigned c = 0; c < GLYPHS; c++)
		for (unsigned line = 0; line < FONT_SLOT; line++)
			bus_write(bus, WINDOW + c * FONT_SLOT + line, line < GLYPH ? font[c * GLYPH + line] : 0, 1);
}

void direct_screen(struct board *board)
{
	struct bus *bus = &board->bus;
	const u8 *font = find_font(&board->config.vga_rom);

	load_registers(bus);
	if (font) {
		load_font(bus, font);
		load_registers(bus);
	}
	load_palette(bus);
	for (unsigned i = 0; i < 0x4000; i++)
		bus_write(bus, TEXT + i * 2, BLANK, 2);
	for (unsigned i = 0; i < ARRAY_LEN(bios_data); i++)
		bus_load(bus, bios_data[i].gpa, &bios_data[i].value, bios_data[i].size);
}
