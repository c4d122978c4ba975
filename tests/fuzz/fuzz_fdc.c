/* SPDX-License-Identifier: MIT */
/* Fuzzer: what a guest may do to the floppy controller and its DMA channel: any access to their ports, whole commands with
 * likely and unlikely bytes, media that come, go and fail, saved states of any content. The input is a program of small steps. */
#include <errno.h>
#include <stdlib.h>

#include "hw/device.h"
#include "mem/ram.h"
#include "tests/dev/fakedisk.h"

#define RAM_SIZE (1u << 20)
#define STEPS 4096

static struct bus bus;
static struct ram *ram;
static struct region region;
static struct loop *loop;
static struct clock *virtual_clock;
static u64 now;
static struct machine machine;
static struct device *dma, *fdc;
static struct drive drives[2];
static const u8 *input;
static size_t left;

static u8 next(void)
{
	return left ? left--, *input++ : 0;
}

static struct device *add(const char *class_name)
{
	struct err err = {0};
	struct device *device = device_create(class_name, class_name, NULL, &machine, &err);

	if (!device)
		bug("%s", err.text);
	if (!strcmp(class_name, "isa-fdc"))
		for (unsigned i = 0; i < 2; i++)
			device->drive[i] = &drives[i];
	if (!device_start(device, &err))
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
	bus_map(&bus, &region, 0, 0);
	machine = (struct machine){.bus = &bus, .clock = virtual_clock, .loop = loop, .ram = ram, .ram_size = RAM_SIZE,
	                           .ram_below_4g = RAM_SIZE, .cpus = 1};
}

static struct disk *medium(u8 kind)
{
	static const u32 sizes[] = {160, 180, 320, 360, 720, 1200, 1440, 1680, 2880, 1, 4000, 100};
	struct disk *disk = fakedisk_new(sizes[kind % ARRAY_LEN(sizes)] * 1024ull + (kind & 0x40 ? 100 : 0));

	disk->read_only = kind & 0x80;
	return disk;
}

static void change(struct drive *drive)
{
	struct disk *old = drive->disk;

	if (old)
		fakedisk_run(old);
	drive->disk = old ? NULL : medium(next());
	if (old)
		fakedisk_free(old);
	drive->changed(drive->device);
}

static void out(u16 port, u8 value)
{
	bus_out(&bus, port, value, 1);
}

static void pass(u64 ns)
{
	u64 end = now + ns;

	for (unsigned i = 0; i < 1000 && clock_deadline(virtual_clock) <= end; i++) {
		now = MAX(now, clock_deadline(virtual_clock));
		clock_run(virtual_clock);
	}
	now = end;
}

static void program_dma(void)
{
	out(0xd4, 0);
	out(0x0c, 0);
	out(0x0b, next());
	out(0x04, 0);
	out(0x04, next());
	out(0x81, next());
	out(0x05, next());
	out(0x05, next());
	out(0x0a, 2);
}

/* A whole command, so that they are reached at all. */
static void command(void)
{
	static const u8 codes[] = {0xe6, 0xc5, 0x46, 0x66, 0x45, 0x4c, 0x6c, 0x49, 0x42, 0x56, 0xd6, 0x4d, 0x51, 0xd9, 0x5d, 0x4a,
	                           0x07, 0x08, 0x03, 0x04, 0x0f, 0x8f, 0xcf, 0x10, 0x0e, 0x12, 0x13, 0x14, 0x94, 0x18};
	u8 small = next();

	out(0x3f5, codes[next() % sizeof codes]);
	out(0x3f5, next() & 7);
	for (unsigned i = 0; i < 7; i++)
		out(0x3f5, small & BIT(i) ? next() : i == 3 ? 2 : i == 4 ? 18 : next() % 3);
}

static void load(void)
{
	u8 *state = device_state(fdc);

	if (next() & 1)
		for (unsigned i = 0; i < 16 && left; i++)
			state[(next() | next() << 8) % fdc->class->state_size] = next();
	fdc->class->loaded(fdc);
}

static void step(void)
{
	u8 what = next();
	struct drive *drive = &drives[what >> 4 & 1];

	switch (what & 15) {
	case 0:
		bus_in(&bus, 0x3f0 + (next() & 7), 1);
		break;
	case 1:
		out(0x3f0 + what % 6, next());
		break;
	case 2:
		for (unsigned i = next() * 4; i; i--)
			bus_in(&bus, 0x3f5, 1);
		break;
	case 3:
		for (unsigned i = next() * 4; i; i--)
			out(0x3f5, i);
		break;
	case 4:
		out(0x3f2, next() % 4 ? 0x1c | (next() & 3) : next());
		break;
	case 5:
		out(0x3f7, next());
		break;
	case 6:
		change(drive);
		break;
	case 7:
		if (drive->disk)
			drive->disk->fail = what & 128 ? EIO : 0;
		break;
	case 8:
		if (what & 128)
			fdc->class->reset(fdc);
		else
			load();
		break;
	case 9:
		program_dma();
		break;
	case 10:
	case 11:
		pass((u64)next() << (what >> 4));
		break;
	case 12:
		if (drive->disk)
			fakedisk_step(drive->disk);
		break;
	default:
		command();
		pass(what & 128 ? NS_PER_S : 0);
		if (drive->disk && what & 64)
			fakedisk_run(drive->disk);
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
	for (unsigned i = 0; i < 2; i++)
		drives[i] = (struct drive){.id = "drive", .media = DRIVE_FLOPPY, .disk = medium(next())};
	dma = add("dma");
	fdc = add("isa-fdc");
	for (unsigned i = 0; i < STEPS && left; i++)
		step();
	device_free(fdc);
	device_free(dma);
	for (unsigned i = 0; i < 2; i++)
		if (drives[i].disk)
			fakedisk_free(drives[i].disk);
	return 0;
}
