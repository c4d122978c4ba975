/* SPDX-License-Identifier: MIT */
/* Scenarios of the chips that both CPUs hammer: interrupt controllers, timers, keyboard controller, power management, any port. */
#include "hostile.h"

enum { PM = 1 << 3 | 3 };

static void let_in(void)
{
	__asm__ volatile("sti; nop; nop; nop; nop; cli");
}

/* Delivery modes that do not end the other CPU: fixed, lowest priority, SMI, NMI. */
static u32 some_message(struct own *me)
{
	static const u16 modes[] = {0x000, 0x000, 0x100, 0x200, 0x400};

	return modes[random_below(me, COUNT(modes))] | (u32)(random64(me) & 0xcc8ff);
}

static void use_apic(struct own *me)
{
	for (u32 n = 0; n < 16; n++)
		switch (random_below(me, 6)) {
		case 0: apic_read(random_below(me, 0x400) & ~0xfu); break;
		case 1: apic_write(0x310, (u32)random64(me)); break;
		case 2: apic_write(0x300, some_message(me)); break;
		case 3: apic_write(0x320 + random_below(me, 6) * 16, some_message(me) | (u32)random_below(me, 4) << 16); break;
		case 4:
			apic_write((const u16[]){0x80, 0xb0, 0xd0, 0xe0, 0xf0, 0x280, 0x380, 0x3e0}[random_below(me, 8)], (u32)random64(me));
			break;
		default: let_in(); break;
		}
}

static void use_ioapic(struct own *me)
{
	volatile u32 *at = (u32 *)0xfec00000ul;

	for (u32 n = 0; n < 16; n++) {
		u32 pin = random_below(me, 24);

		at[0] = 0x10 + pin * 2;
		at[4] = some_message(me) & ~0x10000u;
		at[0] = 0x11 + pin * 2;
		at[4] = (u32)random64(me);
		at[16] = random_below(me, 256);
		(void)at[4];
		out8((u16)(0x20 + random_below(me, 2) * 0x80 + random_below(me, 2)), (u8)random64(me));
		out8((u16)(0x4d0 + random_below(me, 2)), (u8)random64(me));
		let_in();
	}
}

static void use_timers(struct own *me)
{
	for (u32 n = 0; n < 16; n++) {
		switch (random_below(me, 5)) {
		case 0: out8((u16)(0x40 + random_below(me, 4)), (u8)random64(me)); break;
		case 1: store((u32 *)(0xfed00000ul + random_below(me, 0x60) * 4), (u32)random64(me)); break;
		case 2:
			out8(0x70, (u8)(random_below(me, 14)));
			out8(0x71, (u8)random64(me));
			break;
		case 3: out8(0x61, (u8)random64(me)); break;
		default: (void)load((u64 *)(0xfed00000ul + random_below(me, 0x30) * 8)); break;
		}
		out8(0x21, (u8)random64(me));
		let_in();
	}
}

static void use_keyboard(struct own *me)
{
	for (u32 n = 0; n < 16; n++) {
		u8 command = (u8)random64(me);

		if ((command >= 0xf0 || command == 0xd1) && random_below(me, 20000))
			command = 0xd4; /* resets and the A20 line are rare */
		if (random_below(me, 2))
			out8(0x64, command);
		out8(0x60, (u8)random64(me));
		in8(0x60);
		in8(0x64);
		let_in();
	}
	out8(0x92, (u8)(random_below(me, 256) & 0xfe) | 2);
}

static void prepare_power(struct own *me)
{
	(void)me;
	config_write(PM, 0x40, 0x601);
	config_write(PM, 0x80, 1);
	config_write(PM, 0x90, 0x701);
	config_write(PM, 0xd0, 9 << 16);
	config_write(PM, 0x58, 1 << 25);
	config_write(PM, 0x04, 1);
}
static void use_power(struct own *me)
{
	for (u32 n = 0; n < 16; n++) {
		u16 reg = (u16)random_below(me, 64);

		switch (random_below(me, 5)) {
		case 0: out8(0xb2 + random_below(me, 2), (u8)random64(me)); break;
		case 1: out8((u16)(0xafe0 + random_below(me, 4)), (u8)random64(me)); break;
		case 2: out8((u16)(0x700 + random_below(me, 16)), (u8)random64(me)); break;
		case 3: out16(0x604, (u16)random64(me) & ~0x2000); break; /* not asleep */
		default:
			if (reg != 4 && reg != 5)
				out8(0x600 + reg, (u8)random64(me));
			break;
		}
		in32((u16)(0x600 + random_below(me, 16) * 4));
		let_in();
	}
}

/* All but the sign of life's port, the configuration of power management, and its own power switch. */
static void use_ports(struct own *me)
{
	for (u32 n = 0; n < 16; n++) {
		u16 port = (u16)(random_below(me, 3) ? random_below(me, 0x800) : random64(me));

		if ((port >= 0x3f4 && port < 0x400) || (port >= 0x600 && port < 0x606) || (port >= 0xcf4 && port < 0xd00) || port == 0x64 ||
		    (port >= 0x500 && port < 0x506) || (port >= 0x61 && port < 0x65) || (port >= 0x8f && port < 0x93))
			continue;
		switch (random_below(me, 6)) {
		case 0: out8(port, (u8)random64(me)); break;
		case 1: out16(port, (u16)random64(me)); break;
		case 2: out32(port, (u32)random64(me)); break;
		case 3: in8(port); break;
		case 4: in16(port); break;
		default: in32(port); break;
		}
	}
}

const struct scenario chip_scenarios[] = {
	{"apic", 0, use_apic, use_apic, 10},
	{"ioapic", 0, use_ioapic, use_ioapic, 4},
	{"timers", 0, use_timers, use_timers, 4},
	{"keyboard", 0, use_keyboard, use_keyboard, 4},
	{"power", prepare_power, use_power, use_power, 4},
	{"ports", 0, use_ports, use_ports, 10},
	{0},
};
