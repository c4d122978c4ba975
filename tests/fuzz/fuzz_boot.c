/* SPDX-License-Identifier: MIT */
/* Fuzzer: kernel files. Whatever the file says, loading ends with success or one line, directly and for firmware. */
#include "bios/kernel_rom.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const u8 *data, size_t size);
int LLVMFuzzerTestOneInput(const u8 *data, size_t size)
{
	static struct bus bus;
	static struct region region;
	static struct ram *ram;
	static const struct e820_entry map[] = {{0, 0x9fc00, E820_RAM}, {0x100000, 0xf00000, E820_RAM}};
	struct err err = {0};
	struct boot_entry entry;

	if (!ram) {
		bus_init(&bus, NULL);
		ram = ram_new("ram", 16 << 20, false, false, &err);
		region = (struct region){.name = "ram", .size = 16 << 20, .ram = ram};
		bus_map(&bus, &region, 0, 0);
	}
	size_t split = size / 2;
	bool firmware = size & 2;
	struct kernel_pieces pieces = {.limit = 16 << 20};
	struct boot_request request = {
		.write = firmware ? kernel_pieces_write : boot_to_bus,
		.opaque = firmware ? (void *)&pieces : &bus,
		.kernel = {"kernel", data, size, NULL},
		.module = {{"module", data + split, size - split, "words"}},
		.modules = size & 1,
		.cmdline = "console=ttyS0",
		.firmware = firmware,
		.e820 = map,
		.e820_count = firmware ? 0 : 2,
		.ram_below_4g = 16 << 20,
	};
	bool ok = boot_load(&request, &entry, &err);
	if (!ok && !err.text[0])
		bug("a failure without a line");
	if (ok)
		kernel_pieces_finish(&pieces, &entry);
	free(pieces.data);
	return 0;
}
