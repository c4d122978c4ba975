/* SPDX-License-Identifier: MIT */
/* Scenarios of devices that read what the other CPU rewrites: bus masters, DMA channels, base addresses, the screen. */
#include "hostile.h"

enum { BM = 0xc000, IDE = 1 << 3 | 1, VGA = 2 << 3, BRIDGE = 0 };

static u32 some_address(struct own *me)
{
	static const u32 places[] = {BUFFERS, BUFFERS, BUFFERS, TABLES, TABLES, 0xa0000, 0xe0000000, 0xfee00000, 0x3fff000, 0xfffff000,
	                             0xfed00000};

	return places[random_below(me, COUNT(places))] + random_below(me, 0x10000);
}

/* ---- IDE ---- */
static void prepare_ide(struct own *me)
{
	(void)me;
	config_write(IDE, 0x20, BM);
	config_write(IDE, 0x04, 5);
	for (u32 i = 0; i < 0x10000; i += 8)
		*(u64 *)(u64)(TABLES + i) = BUFFERS | 0x0800ul << 32;
}
static void use_ide(struct own *me)
{
	static const u8 commands[] = {0xc8, 0xc8, 0xca, 0xca, 0x25, 0x35, 0x20, 0x30, 0xc4,
	                              0xc5, 0xec, 0xe7, 0xa1, 0xef, 0x90, 0x08, 0x40, 0x06};
	u32 channel = random_below(me, 2);
	u16 base = channel ? 0x170 : 0x1f0;

	if (random_below(me, 8) == 0) {
		out8(random_below(me, 8) + base, (u8)random64(me));
		out8(channel ? 0x376 : 0x3f6, random_below(me, 4) ? 0 : (u8)random_below(me, 8));
		return;
	}
	out32(BM + channel * 8 + 4, TABLES + random_below(me, 0x400) * 4);
	out8(base + 6, 0xe0 | random_below(me, 2) << 4);
	for (u16 i = 1; i < 6; i++)
		out8(base + i, random_below(me, 4) ? (u8)random_below(me, 4) : (u8)random64(me));
	if (random_below(me, 6) == 0 && channel) {
		out8(base + 7, 0xa0);
		for (u32 i = 0; i < 6; i++)
			out16(base, i ? (u16)random_below(me, 16) : (const u16[]){0x28, 0xa8, 0x12, 0x43, 0xbe, 0x1b}[random_below(me, 6)]);
	} else {
		out8(base + 7, commands[random_below(me, COUNT(commands))]);
	}
	out8(BM + channel * 8, (u8)(random_below(me, 2) * 8 | 1));
	for (u32 i = random_below(me, 200); i; i--)
		if (!(in8(base + 7) & 0x80))
			in16(base);
	out8(BM + channel * 8, 0);
}
static void change_prds(struct own *me)
{
	for (u32 n = 0; n < 64; n++) {
		u64 *at = (u64 *)(u64)(TABLES + random_below(me, 0x200) * 8);

		store(at, some_address(me) | (u64)(random_below(me, 4096) | (random_below(me, 4) ? 0 : 0x80000000u)) << 32);
		store((u64 *)(u64)(BUFFERS + random_below(me, 0x20000) * 8), random64(me));
	}
	if (random_below(me, 32) == 0)
		out8(BM + random_below(me, 2) * 8, (u8)random_below(me, 16));
}

/* ---- floppy ---- */
static void use_floppy(struct own *me)
{
	static const u8 commands[] = {0xe6, 0xc5, 0x4a, 0x4d, 0x07, 0x08, 0x0f, 0x03, 0x13, 0x42, 0x51};

	out8(0x0a, 6);
	out8(0x0b, (u8)(random_below(me, 2) ? 0x46 : random64(me)));
	out8(0x0c, 0);
	for (u32 i = 0; i < 4; i++)
		out8(i < 2 ? 4 : 5, (u8)random64(me));
	out8(0x81, (u8)random_below(me, 32));
	out8(0x0a, 2);
	out8(0x3f2, random_below(me, 8) ? 0x1c : (u8)random64(me));
	out8(0x3f5, commands[random_below(me, COUNT(commands))]);
	for (u32 i = 0; i < 8; i++)
		out8(0x3f5, (u8)(random_below(me, 3) ? random_below(me, 3) : random64(me)));
	for (u32 i = 0; i < 50; i++)
		if ((in8(0x3f4) & 0xc0) == 0xc0)
			in8(0x3f5);
}
static void change_floppy(struct own *me)
{
	for (u32 n = 0; n < 64; n++)
		store((u64 *)(u64)(0x100000 + random_below(me, 0x8000) * 8), random64(me));
	out8((u16)(random_below(me, 4) ? 0x04 + random_below(me, 2) : 0x08 + random_below(me, 8)), (u8)random64(me));
}

/* ---- fw_cfg ---- */
static u32 swapped(u32 v) { return __builtin_bswap32(v); }

static void use_fw_cfg(struct own *me)
{
	u32 *command = (u32 *)(u64)(TABLES + random_below(me, 4) * 16);

	store(&command[0], swapped(random_below(me, 32) | random_below(me, 0x30) << 16));
	out32(0x514, 0);
	out32(0x518, swapped((u32)(u64)command));
	for (u32 i = random_below(me, 8); i; i--)
		in8(0x511);
	out16(0x510, (u16)random_below(me, 0x40));
}
static void change_fw_cfg(struct own *me)
{
	for (u32 n = 0; n < 64; n++) {
		u32 *command = (u32 *)(u64)(TABLES + random_below(me, 4) * 16);

		store(&command[1], swapped(random_below(me, 4) ? random_below(me, 0x10000) : (u32)random64(me)));
		store(&command[2], swapped(random_below(me, 16) ? 0 : (u32)random64(me)));
		store(&command[3], swapped(some_address(me)));
	}
}

/* ---- base addresses ---- */
static void use_bars(struct own *me)
{
	volatile u32 *at = (u32 *)((u64)some_address(me) & ~3ul);

	if (random_below(me, 2))
		(void)*at;
	else if ((u64)at < 0xfee00000 || (u64)at >= 0xfef00000) /* the local APIC stays what the watchdog needs */
		*at = (u32)random64(me);
	in32((u16)(0xc000 + random_below(me, 0x40)));
	out16((u16)(0xc000 + random_below(me, 0x40)), 0);
}
static void move_bars(struct own *me)
{
	static const u32 places[] = {0xe0000000, 0xe1000000, BUFFERS,    0xa0000, 0xfec00000,
	                             0xfed00000, 0xff000000, 0xfffc0000, 0,       0xf0000000};

	/* under both CPUs' hands: the address register is one for both */
	switch (random_below(me, 5)) {
	case 0: config_write(VGA, 0x10, places[random_below(me, COUNT(places))]); break;
	case 1: config_write(VGA, 0x18, places[random_below(me, COUNT(places))]); break;
	case 2: config_write(VGA, 0x04, random_below(me, 8)); break;
	case 3: config_write(IDE, 0x20, random_below(me, 4) ? 0xc000 : random_below(me, 0x10000) & ~0x3f8u); break;
	default: config_write(BRIDGE, 0x58 + random_below(me, 2) * 4, (u32)random64(me)); break;
	}
	if (random_below(me, 64) == 0)
		config_write(IDE, 0x20, 0xffffffff);
}

/* ---- the screen ---- */
static void use_screen(struct own *me)
{
	static const u16 ports[] = {0x3c0, 0x3c2, 0x3c4, 0x3c5, 0x3c6, 0x3c7, 0x3c8, 0x3c9,
	                            0x3ce, 0x3cf, 0x3d4, 0x3d5, 0x3b4, 0x3b5, 0x3da};
	static const u16 depths[] = {4, 8, 15, 16, 24, 32, 1, 0};
	static const u16 sizes[] = {320, 640, 800, 1024, 8, 2560, 4096, 1};
	const u16 vbe[][2] = {{4, 0},
	                      {1, sizes[random_below(me, 8)]},
	                      {2, sizes[random_below(me, 8)]},
	                      {3, depths[random_below(me, 8)]},
	                      {4, (u16)(0x01 | random_below(me, 8) << 5)},
	                      {6, sizes[random_below(me, 8)]},
	                      {5, (u16)random_below(me, 300)},
	                      {8, (u16)random_below(me, 5000)},
	                      {9, (u16)random_below(me, 5000)}};

	for (u32 i = 0; i < 20; i++)
		out8(ports[random_below(me, COUNT(ports))], (u8)random64(me));
	for (u32 i = 0; i < COUNT(vbe) && random_below(me, 12); i++) {
		out16(0x1ce, vbe[i][0]);
		out16(0x1cf, vbe[i][1]);
	}
	for (u32 i = 0; i < 64; i++) {
		store((u32 *)(u64)(0xa0000 + random_below(me, 0x7fff) * 4), (u32)random64(me));
		(void)load((u8 *)(u64)(0xa0000 + random_below(me, 0x20000)));
	}
}
static void prepare_screen(struct own *me)
{
	(void)me;
	config_write(VGA, 0x10, 0xe0000000);
	config_write(VGA, 0x18, 0xe1000000);
	config_write(VGA, 0x04, 3);
}
static void change_screen(struct own *me)
{
	for (u32 i = 0; i < 64; i++)
		store((u32 *)(0xe0000000ul + random_below(me, 0x3fffff) * 4ul), (u32)random64(me));
	out16(0x1ce, 4);
	out16(0x1cf, (u16)random_below(me, 256));
}

const struct scenario device_scenarios[] = {
	{"ide", prepare_ide, use_ide, change_prds, 10},
	{"floppy", 0, use_floppy, change_floppy, 10},
	{"fw_cfg", 0, use_fw_cfg, change_fw_cfg, 20},
	{"bars", prepare_screen, use_bars, move_bars, 20},
	{"screen", prepare_screen, use_screen, change_screen, 4},
	{0},
};
