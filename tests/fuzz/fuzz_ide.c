/* SPDX-License-Identifier: MIT */
/* Fuzzer: what a guest may do to the IDE controller: any access to its ports and registers, any PRD table, disks that fail and
 * discs that go, in any order with the completions of its requests. The input is a program of small steps. */
#include <errno.h>
#include <stdlib.h>

#include "hw/chipset/pci.h"
#include "hw/device.h"
#include "mem/ram.h"
#include "tests/dev/fakedisk.h"

#define RAM_SIZE (1u << 20)
#define IDE_DEVFN (1 << 3 | 1)
#define BM 0xc000
#define STEPS 4096

static struct bus bus;
static struct ram *ram;
static struct region region;
static struct loop *loop;
static struct clock *virtual_clock;
static struct machine machine;
static struct device *bridge, *ide;
static struct drive drives[4];
static const u8 *input;
static size_t left;

static u8 next(void)
{
	return left ? left--, *input++ : 0;
}

static void config(unsigned reg, u32 value)
{
	bus_out(&bus, 0xcf8, 0x80000000u | IDE_DEVFN << 8 | reg, 4);
	bus_out(&bus, 0xcfc, value, 4);
}

static struct device *add(const char *class_name)
{
	struct err err = {0};
	struct device *device = device_create(class_name, class_name, NULL, &machine, &err);

	if (!device)
		bug("%s", err.text);
	if (!strcmp(class_name, "piix3-ide"))
		for (unsigned i = 0; i < 4; i++)
			device->drive[i] = i == 1 ? NULL : &drives[i];
	if (!device_start(device, &err))
		bug("%s", err.text);
	return device;
}

static void set_up(void)
{
	struct err err = {0};

	virtual_clock = clock_new();
	loop = loop_new(virtual_clock, &err);
	loop_lock(loop);
	bus_init(&bus, loop);
	ram = ram_new("ram", RAM_SIZE, false, false, &err);
	region = (struct region){.name = "ram", .size = RAM_SIZE, .ram = ram};
	bus_map(&bus, &region, 0, 0);
	machine = (struct machine){.bus = &bus, .clock = virtual_clock, .loop = loop, .ram = ram, .ram_size = RAM_SIZE,
	                           .ram_below_4g = RAM_SIZE, .cpus = 1};
	bridge = add("i440fx");
}

static void change(struct drive *drive)
{
	struct disk *old = drive->disk;

	if (old)
		fakedisk_run(old);
	drive->disk = old ? NULL : fakedisk_new((next() + 1) * 4096ull);
	if (old)
		fakedisk_free(old);
	if (drive->changed)
		drive->changed(drive->device);
}

/* The table: a few regions, mostly in memory. */
static void write_prds(void)
{
	u8 count = next() % 16, *prd = ram->hva + 0x1000;

	for (unsigned i = 0; i <= count; i++, prd += 8) {
		u8 kind = next();

		store32(prd, kind % 8 ? (u32)next() << 12 | next() : (u32)next() << 24);
		store32(prd + 4, (u32)next() << 8 | next() | (i == count || kind % 16 == 15 ? 0x80000000u : 0));
	}
}

/* A whole command, so that they are reached at all. */
static void command(void)
{
	static const u8 codes[] = {0x20, 0x24, 0x25, 0x29, 0x30, 0x34, 0x35, 0x39, 0x3d, 0x40, 0x42, 0x06, 0xa0, 0xa1, 0xb0, 0xc4,
	                           0xc5, 0xc6, 0xc8, 0xca, 0xce, 0xe4, 0xe7, 0xe8, 0xec, 0xef, 0x91, 0x90, 0x08, 0x27, 0xf8, 0x70};
	u16 port = next() & 1 ? 0x170 : 0x1f0;

	bus_out(&bus, port + 6, (next() & 0x5f) | 0xa0, 1);
	for (unsigned i = 1; i < 6; i++)
		bus_out(&bus, port + i, next() % 5 ? next() & 7 : next(), 1);
	bus_out(&bus, port + 7, codes[next() % sizeof codes], 1);
}

static void packet(void)
{
	static const u8 codes[] = {0x00, 0x03, 0x12, 0x1a, 0x1b, 0x1e, 0x25, 0x28, 0x2b, 0x42, 0x43, 0x46, 0x4a, 0x51, 0x52, 0x5a, 0xa8,
	                           0xad, 0xb9, 0xbb, 0xbd, 0xbe};
	u8 bytes[12] = {codes[next() % sizeof codes]};
	u8 limit = next();

	for (unsigned i = 1; i < 12; i++)
		bytes[i] = next() % 3 ? 0 : next();
	bus_out(&bus, 0x176, 0xa0, 1);
	bus_out(&bus, 0x171, next() & 1, 1);
	bus_out(&bus, 0x174, next(), 1);
	bus_out(&bus, 0x175, limit, 1);
	bus_out(&bus, 0x177, 0xa0, 1);
	for (unsigned i = 0; i < 12; i += 2)
		bus_out(&bus, 0x170, load16(bytes + i), 2);
}

static void access(u16 port)
{
	static const u8 sizes[] = {1, 2, 4, 1};
	u8 how = next();
	unsigned times = how & 0x80 ? (how & 0x7f) * 32 : 1;

	for (unsigned i = 0; i < times; i++)
		if (how & 4)
			bus_out(&bus, port, next() | next() << 8, sizes[how & 3]);
		else
			bus_in(&bus, port, sizes[how & 3]);
}

/* Saved and loaded; foreign: some bytes are not what they were. */
static void load(bool foreign)
{
	u8 *state = device_state(ide);
	struct field_buf buf = {0};
	struct err err = {0};

	for (unsigned i = 0; i < 4; i++)
		if (drives[i].disk)
			fakedisk_run(drives[i].disk);
	field_save(&buf, "ide", ide->class->fields, state);
	if (!field_load(&buf, "ide", ide->class->fields, state, ide->class->state_size, &err))
		bug("%s", err.text);
	field_buf_free(&buf);
	for (unsigned n = foreign ? next() % 32 : 0; n; n--) { /* the first 100 bytes of a unit say most */
		unsigned unit = next() & 3, at = 256 + 64 + unit * ((ide->class->state_size - 320) / 4) + next() % 100;

		state[n % 4 ? at : 256 + next() % 64] = next();
	}
	ide->class->loaded(ide);
	config(0x20, BM);
}

static void step(void)
{
	u8 what = next();
	struct drive *drive = &drives[what >> 4 & 3];

	switch (what & 15) {
	case 0:
	case 1:
		access((what & 1 ? 0x170 : 0x1f0) + (next() & 7));
		break;
	case 2:
		access(what & 16 ? 0x1f0 : 0x170); /* data */
		break;
	case 3:
		access(BM + (next() & 15));
		break;
	case 4:
		bus_out(&bus, what & 16 ? 0x3f6 : 0x376, next(), 1);
		break;
	case 5:
		config(next() & 0xfc, next() | (u32)next() << 24);
		config(0x20, BM);
		config(0x04, what & 128 ? 1 : 5);
		break;
	case 6:
		write_prds();
		break;
	case 7: /* start the bus master */
		bus_out(&bus, BM + (what & 16 ? 8 : 0) + 4, 0x1000, 4);
		bus_out(&bus, BM + (what & 16 ? 8 : 0), what & 32 ? 9 : 1, 1);
		break;
	case 8:
		if (drive->disk)
			fakedisk_step(drive->disk);
		break;
	case 9:
		if (drive->disk)
			drive->disk->fail = what & 128 ? EIO : 0;
		break;
	case 10:
		change(&drives[2]);
		break;
	case 11:
		if (what & 128)
			load(what & 64);
		else if (what & 64)
			ide->class->reset(ide);
		else
			drives[2].eject_request(drives[2].device);
		break;
	case 12:
	case 13:
		command();
		break;
	default:
		packet();
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
	memset(ram->hva, 0, RAM_SIZE);
	for (unsigned i = 0; i < 4; i++) {
		drives[i] = (struct drive){.id = "drive", .media = i == 2 ? DRIVE_CDROM : DRIVE_DISK};
		drives[i].disk = fakedisk_new(i == 2 ? 1 << 20 : 1 << 22);
	}
	drives[3].disk->read_only = true;
	ide = add("piix3-ide");
	config(0x20, BM);
	config(0x04, 5);
	for (unsigned i = 0; i < STEPS && left; i++)
		step();
	device_free(ide);
	for (unsigned i = 0; i < 4; i++)
		if (drives[i].disk)
			fakedisk_free(drives[i].disk);
	return 0;
}
