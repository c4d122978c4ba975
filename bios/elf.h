/* SPDX-License-Identifier: MIT */
/* ELF executables for x86, 32 and 64 bits, as the multiboot and PVH loaders need them. Hostile input. */
#ifndef BIOS_ELF_H
#define BIOS_ELF_H

#include "bios/boot.h"

struct elf_segment {
	u32 type;
	u64 offset, paddr, vaddr, file_size, mem_size, align;
};
/* Is it an x86 ELF file with a readable program header table? */
bool elf_is(const u8 *data, size_t size);
u64 elf_entry(const u8 *data);
unsigned elf_segments(const u8 *data);
/* Segment i; false if the table or the segment's bytes run past the end of the file. */
bool elf_segment(const u8 *data, size_t size, unsigned i, struct elf_segment *segment);
/* Copy all PT_LOAD segments to their physical addresses; *end is the first byte behind them. */
bool elf_load(const struct boot_request *request, u64 *end, struct err *err);
/* The descriptor of a note by owner and type, or NULL; *len is its size. */
const u8 *elf_note(const u8 *data, size_t size, const char *owner, u32 type, u32 *len);

#endif
