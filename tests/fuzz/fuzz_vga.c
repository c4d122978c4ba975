/* SPDX-License-Identifier: MIT */
/* Fuzzer: what a guest may do to the VGA: ports, both BARs, the window at A0000h, saved states of any content; and viewers that
 * look in between. A whole mode is set now and then, so that every way of drawing is reached. The input is a program of small
 * steps. */
#include <stdlib.h>

#include "hw/device.h"
#include "hw/video/display.h"
#include "mem/ram.h"

#define RAM_SIZE (1u << 20)
#define STEPS 2048
#define PICTURES 24 /* drawing is dear */

enum { WINDOW = 0xa0000, LINEAR = 0xe0000000, MMIO = 0xe1000000, SLOT = 1 << 3 };

static struct bus bus;
static struct ram *ram;
static struct region region;
static struct loop *loop;
static struct clock *virtual_clock;
static u64 now;
static struct machine machine;
static struct device *bridge, *vga;
static struct picture pictures[DISPLAY_VIEWERS];
static struct text_screen screen;
static const u8 *input;
static size_t left;
static unsigned looks;

static u8 next(void)
{
	return left ? left--, *input++ : 0;
}

static u32 next32(void)
{
	u32 value = next();

	for (unsigned i = 0; i < 3; i++)
		value = value << 8 | next();
	return value;
}

static struct device *add(const char *class_name)
{
	struct err err = {0};
	struct device *device = device_create(class_name, class_name, NULL, &machine, &err);

	if (!device || !device_start(device, &err))
		bug("%s", err.text);
	return device;
}

static void set_up(void)
{
	struct err err = {0};

	virtual_clock = clock_new();
	clock_count_instructions(virtual_clock, &now, 0);
	clock_start(virtual_clock);
	loop = loop_new(virtual_clock, &err);
	loop_lock(loop);
	bus_init(&bus, loop);
	ram = ram_new("ram", RAM_SIZE, false, false, &err);
	region = (struct region){.name = "ram", .size = RAM_SIZE, .ram = ram};
	bus_map(&bus, &region, 0, MAP_RAM);
	machine = (struct machine){.bus = &bus, .clock = virtual_clock, .loop = loop, .ram = ram, .ram_size = RAM_SIZE,
	                           .ram_below_4g = RAM_SIZE, .cpus = 1};
}

static void config(unsigned reg, u32 value)
{
	bus_out(&bus, 0xcf8, 0x80000000u | SLOT << 8 | reg, 4);
	bus_out(&bus, 0xcfc, value, 4);
}

static void indexed(u16 port, u8 index, u8 value)
{
	bus_out(&bus, port, index | value << 8, 2);
}

static void set_classic(void)
{
	static const u8 shapes[][5] = {/* sequencer 1 and 4, graphics 5 and 6, attribute 10h */
	                               {0x00, 0x02, 0x10, 0x0e, 0x0c}, {0x09, 0x02, 0x30, 0x0f, 0x01}, {0x01, 0x06, 0x00, 0x0d, 0x01},
	                               {0x01, 0x06, 0x00, 0x05, 0x01}, {0x01, 0x0e, 0x40, 0x05, 0x41}, {0x09, 0x06, 0x40, 0x05, 0x41}};
	const u8 *shape = shapes[next() % ARRAY_LEN(shapes)];

	bus_out(&bus, 0x3c2, 0x67, 1);
	indexed(0x3c4, 0, 3);
	indexed(0x3c4, 1, shape[0]);
	indexed(0x3c4, 2, next());
	indexed(0x3c4, 4, shape[1]);
	indexed(0x3ce, 5, shape[2] | (next() & 0x0b));
	indexed(0x3ce, 6, shape[3]);
	indexed(0x3ce, 8, next());
	indexed(0x3d4, 0x11, 0);
	for (unsigned i = 0; i < 25; i++)
		if (i != 0x11)
			indexed(0x3d4, i, next());
	bus_in(&bus, 0x3da, 1);
	bus_out(&bus, 0x3c0, 0x10, 1);
	bus_out(&bus, 0x3c0, shape[4], 1);
	bus_out(&bus, 0x3c0, 0x20, 1);
}

static void dispi(u16 index, u16 value)
{
	bus_out(&bus, 0x1ce, index, 2);
	bus_out(&bus, 0x1cf, value, 2);
}

static void set_linear(void)
{
	static const u8 bits[] = {4, 8, 15, 16, 24, 32, 7, 0};

	dispi(4, next() & 0xfe);
	for (unsigned i = 1; i <= 2; i++)
		dispi(i, next() << 4 | (next() & 15));
	dispi(3, bits[next() % sizeof bits]);
	dispi(4, next() | 1);
	for (unsigned i = 5; i <= 9; i++)
		if (next() & 1)
			dispi(i, next() << 8 | next());
}

static void look(u8 how)
{
	struct picture *p = &pictures[how % DISPLAY_VIEWERS];

	if (++looks > PICTURES)
		return;
	machine.display->update(machine.display->device, p, how % DISPLAY_VIEWERS, how & 16);
	if (p->width > DISPLAY_WIDTH || p->height > DISPLAY_LINES || (p->width && !p->pixels))
		bug("a picture of %ux%u", p->width, p->height);
	if (how & 32) { /* nothing moves: nothing may change */
		machine.display->update(machine.display->device, p, how % DISPLAY_VIEWERS, false);
		if (p->changed)
			bug("an idle screen changes");
	}
	if (how & 64) {
		machine.display->text(machine.display->device, &screen);
		if ((size_t)screen.columns * screen.rows > ARRAY_LEN(screen.cell))
			bug("a text of %ux%u", screen.columns, screen.rows);
	}
	if (how & 128)
		picture_free(p);
}

static void load(void)
{
	u8 *state = device_state(vga);

	for (unsigned i = next() & 31; i && left; i--)
		state[(next() | next() << 8) % vga->class->state_size] = next();
	vga->class->loaded(vga);
}

static void step(void)
{
	u8 what = next();
	unsigned size = 1u << (what >> 4 & 3);
	u32 at;

	switch (what & 15) {
	case 0:
	case 1:
		bus_out(&bus, 0x3b0 + next() % 0x30, next() | next() << 8, MIN(size, 2u));
		break;
	case 2:
		bus_in(&bus, 0x3b0 + next() % 0x30, MIN(size, 2u));
		break;
	case 3:
		dispi(next() & 15, next() | next() << 8);
		break;
	case 4:
		bus_out(&bus, 0x1cd + next() % 5, next() << 8, MIN(size, 4u));
		bus_in(&bus, 0x1cd + next() % 5, MIN(size, 4u));
		break;
	case 5:
	case 6:
		at = WINDOW + (next32() & 0x1ffff);
		bus_write(&bus, at, next32() * 0x100000001ull, size);
		break;
	case 7:
		bus_read(&bus, WINDOW + (next32() & 0x1ffff), size);
		break;
	case 8:
		bus_write(&bus, LINEAR + (next32() & 0xffffff), next32(), size);
		break;
	case 9:
		at = MMIO + (next() | next() << 8) % 0x700;
		if (what & 64)
			bus_write(&bus, at, next32(), size);
		else
			bus_read(&bus, at, size);
		break;
	case 10:
		set_classic();
		break;
	case 11:
		set_linear();
		break;
	case 12:
		now += (u64)next() << (what >> 4) * 2;
		break;
	case 13:
		if (what & 128)
			vga->class->reset(vga);
		else if (what & 64)
			load();
		else
			machine.display->resize_hint(machine.display->device, next32(), next32());
		config(0x10, LINEAR);
		config(0x18, MMIO);
		config(0x04, 7);
		break;
	default:
		look(next());
		break;
	}
}

int LLVMFuzzerTestOneInput(const u8 *data, size_t size);
int LLVMFuzzerTestOneInput(const u8 *data, size_t size)
{
	if (!ram)
		set_up();
	input = data;
	left = size;
	looks = 0;
	bridge = add("i440fx");
	vga = add("VGA");
	config(0x10, LINEAR);
	config(0x18, MMIO);
	config(0x04, 7);
	for (unsigned i = 0; i < STEPS && left; i++)
		step();
	look(0xf0);
	for (unsigned i = 0; i < DISPLAY_VIEWERS; i++)
		picture_free(&pictures[i]);
	device_free(vga);
	device_free(bridge);
	return 0;
}
