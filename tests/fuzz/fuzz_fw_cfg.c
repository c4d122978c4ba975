/* SPDX-License-Identifier: MIT */
/* Fuzzer: a guest at the ports of fw_cfg, with DMA commands of its own making in memory, and at a flash chip. The input is a
 * list of accesses: kind, address, value. Nothing may crash, hang or reach outside guest memory. */
#include <stdlib.h>

#include "hw/chipset/fw_cfg.h"

#define RAM_SIZE (1u << 20)
#define FLASH 0xffff0000ull /* where a chip without an image lies */

struct access {
	u8 kind, size;
	u16 at;
	u32 value;
};

static struct machine machine;
static struct bus bus;
static struct ram *ram;
static struct region ram_region;
static struct device *devices[2];

static struct device *add(const char *class_name, const char *id)
{
	struct err err = {0};
	struct device *device = device_create(class_name, id, NULL, &machine, &err);

	if (!device || !device_start(device, &err))
		abort();
	return device;
}

static void set_up(void)
{
	struct err err = {0};
	struct clock *clock = clock_new();
	struct loop *loop = loop_new(clock, &err);

	loop_lock(loop);
	bus_init(&bus, loop);
	ram = ram_new("ram", RAM_SIZE, false, false, &err);
	ram_region = (struct region){.name = "ram", .size = RAM_SIZE, .ram = ram};
	bus_map(&bus, &ram_region, 0, MAP_RAM);
	machine = (struct machine){.bus = &bus, .clock = clock, .loop = loop, .ram = ram, .ram_size = RAM_SIZE,
	                           .ram_below_4g = RAM_SIZE, .cpus = 1};
	devices[0] = add("fw_cfg", "fw_cfg");
	devices[1] = add("cfi.pflash01", "pflash");
	fw_cfg_file(devices[0], "etc/short", "abc", 3, &err);
	fw_cfg_file(devices[0], "etc/empty", NULL, 0, &err);
	u8 *large = err_alloc(70000);
	fw_cfg_file(devices[0], "etc/large", large, 70000, &err);
	free(large);
}

int LLVMFuzzerTestOneInput(const u8 *data, size_t size);
int LLVMFuzzerTestOneInput(const u8 *data, size_t size)
{
	if (!ram)
		set_up();
	for (unsigned i = 0; i < ARRAY_LEN(devices); i++)
		devices[i]->class->reset(devices[i]);
	memset(ram->hva, 0, 0x10000);
	for (; size >= sizeof(struct access); data += sizeof(struct access), size -= sizeof(struct access)) {
		struct access a;

		memcpy(&a, data, sizeof a);
		unsigned bytes = 1u << (a.size & 3), port = 0x510 + a.at % 12;
		switch (a.kind % 6) {
		case 0:
			bus_out(&bus, port, a.value, MIN(bytes, 4u));
			break;
		case 1:
			bus_in(&bus, port, MIN(bytes, 4u));
			break;
		case 2: /* part of a command */
			bus_write(&bus, a.at, a.value, bytes);
			break;
		case 3: /* run one */
			bus_out(&bus, 0x514, 0, 4);
			bus_out(&bus, 0x518, __builtin_bswap32(a.at), 4);
			break;
		case 4:
			bus_write(&bus, FLASH + a.at, a.value, bytes);
			break;
		case 5:
			bus_read(&bus, FLASH + a.at, bytes);
			break;
		}
	}
	return 0;
}
