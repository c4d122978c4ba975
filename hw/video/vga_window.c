/* SPDX-License-Identifier: MIT */
/* The VGA's window at A0000h: how a byte of the CPU becomes bytes of four planes, and back. IBM PS/2 Hardware Interface Technical
 * Reference, video subsystem: graphics controller, sequencer map mask and memory mode.
 *
 * Planes lie side by side in dwords: what a chained mode addresses byte by byte and an unchained one plane by plane is one picture
 * either way. */
#include "hw/video/vga.h"

enum { MEMORY_NO_ODD_EVEN = 1 << 2, MEMORY_CHAIN4 = 1 << 3, MODE_READ_COMPARE = 1 << 3, MODE_ODD_EVEN = 1 << 4 };

/* A bit mask of planes as a mask of bytes. */
static u32 spread(u8 planes)
{
	return ((planes & 1u) | (planes & 2u) << 7 | (planes & 4u) << 14 | (planes & 8u) << 21) * 0xff;
}

/* Offset of the access from the start of what is mapped, -1: not mapped there. */
static i32 in_window(const struct vga *v, u64 offset)
{
	static const struct { u32 start, size; } maps[] = {{0, 0x20000}, {0, 0x10000}, {0x10000, 0x8000}, {0x18000, 0x8000}};
	unsigned map = v->state.gr[GR_MISC] >> 2 & 3;

	if (offset < maps[map].start || offset - maps[map].start >= maps[map].size)
		return -1;
	return (i32)(offset - maps[map].start);
}

static u32 with_bank(const struct vga *v, u32 offset)
{
	if (!vga_linear(v))
		return offset;
	return (offset + ((u32)v->state.vbe[VBE_BANK] << 16)) & (VGA_MEMORY - 1);
}

static u64 window_read(void *opaque, u64 offset, unsigned size)
{
	struct vga *v = opaque;
	struct vga_state *s = &v->state;
	i32 at = in_window(v, offset);
	unsigned plane = s->gr[GR_READ_MAP] & 3;

	(void)size;
	if (at < 0)
		return 0xff;
	u32 addr = with_bank(v, (u32)at);
	if (s->sr[SR_MEMORY] & MEMORY_CHAIN4)
		return v->memory[addr];
	if (s->gr[GR_MODE] & MODE_ODD_EVEN) {
		plane = (plane & 2) | (addr & 1);
		addr >>= 1;
	}
	addr &= VGA_MEMORY / 4 - 1;
	s->latch = load32(v->memory + (size_t)addr * 4);
	if (!(s->gr[GR_MODE] & MODE_READ_COMPARE))
		return s->latch >> plane * 8 & 0xff;
	/* a bit for each of the eight pixels whose colour is the one asked for */
	u32 differ = (s->latch ^ spread(s->gr[GR_COMPARE])) & spread(s->gr[GR_DONT_CARE]);
	differ |= differ >> 16;
	return ~(differ | differ >> 8) & 0xff;
}

/* What the graphics controller makes of the CPU's byte. */
static u32 through_alu(const struct vga_state *s, u8 byte)
{
	unsigned rotate = s->gr[GR_ROTATE] & 7, mode = s->gr[GR_MODE] & 3;
	u8 bits = s->gr[GR_BIT_MASK];
	u32 value, set = spread(s->gr[GR_SET_RESET]), enable = spread(s->gr[GR_ENABLE_SET_RESET]);

	if (mode == 1)
		return s->latch;
	u8 turned = (u8)(byte >> rotate | byte << (8 - rotate));
	switch (mode) {
	case 0:
		value = (turned * 0x01010101u & ~enable) | (set & enable);
		break;
	case 2:
		value = spread(byte & 15);
		break;
	default:
		bits &= turned;
		value = set;
		break;
	}
	switch (s->gr[GR_ROTATE] >> 3 & 3) {
	case 1:
		value &= s->latch;
		break;
	case 2:
		value |= s->latch;
		break;
	case 3:
		value ^= s->latch;
		break;
	default:
		break;
	}
	u32 mask = bits * 0x01010101u;
	return (value & mask) | (s->latch & ~mask);
}

static void window_write(void *opaque, u64 offset, u64 value, unsigned size)
{
	struct vga *v = opaque;
	struct vga_state *s = &v->state;
	i32 at = in_window(v, offset);
	u8 planes = s->sr[SR_MAP_MASK] & 15;

	(void)size;
	if (at < 0)
		return;
	u32 addr = with_bank(v, (u32)at);
	if (s->sr[SR_MEMORY] & MEMORY_CHAIN4) {
		if (planes >> (addr & 3) & 1) {
			v->memory[addr] = (u8)value;
			vga_touch(v, addr);
		}
		return;
	}
	if (!(s->sr[SR_MEMORY] & MEMORY_NO_ODD_EVEN)) {
		planes &= addr & 1 ? 0x0a : 0x05;
		addr >>= 1;
	}
	addr = (addr & (VGA_MEMORY / 4 - 1)) * 4;
	u32 mask = spread(planes), old = load32(v->memory + addr);
	store32(v->memory + addr, (through_alu(s, (u8)value) & mask) | (old & ~mask));
	vga_touch(v, addr);
}

const struct region_ops vga_window_ops = {.read = window_read, .write = window_write, .max = 1};
