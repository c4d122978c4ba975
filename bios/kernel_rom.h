/* SPDX-License-Identifier: MIT */
/* A kernel that a BIOS starts: an option ROM with an entry to boot from, which reads the pieces of the kernel from an item of
 * fw_cfg, puts them where they belong, asks the BIOS for the memory map and enters the kernel. */
#ifndef BIOS_KERNEL_ROM_H
#define BIOS_KERNEL_ROM_H

#include "bios/boot.h"

#define KERNEL_ROM_SIZE 1024
#define KERNEL_ROM_ITEM 0x8080 /* the item: one of those that fw_cfg leaves to the architecture */
void kernel_rom_build(u8 rom[KERNEL_ROM_SIZE]);

/* What the item holds. Set limit and nothing else, have a loader write to it by kernel_pieces_write, then finish it with what the
 * loader answered; the caller frees data, also when that failed. */
#define KERNEL_ZEROS 32
struct kernel_pieces {
	u8 *data;
	size_t len, room;
	size_t limit; /* of len: the guest's memory, which is more than a kernel without overlapping parts can need */
	struct { u32 at, len; } zeros[KERNEL_ZEROS]; /* large empty parts */
	unsigned zero_count;
};
/* boot_request.write. False: above 4 GiB, beyond the limit, or too many large empty parts. */
bool kernel_pieces_write(void *pieces, u64 gpa, const void *data, u64 size);
void kernel_pieces_finish(struct kernel_pieces *pieces, const struct boot_entry *entry);

#endif
