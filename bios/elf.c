/* SPDX-License-Identifier: MIT */
/* ELF executables (System V ABI, ELF-32 and ELF-64): see elf.h. */
#include "bios/elf.h"

enum { PT_LOAD = 1, PT_NOTE = 4, EM_386 = 3, EM_X86_64 = 62, CLASS32 = 1, CLASS64 = 2 };

static bool is64(const u8 *data)
{
	return data[4] == CLASS64;
}

bool elf_is(const u8 *data, size_t size)
{
	if (size < 52 || memcmp(data, "\177ELF", 4) || data[5] != 1 || (data[4] != CLASS32 && data[4] != CLASS64))
		return false;
	if (is64(data) && size < 64)
		return false;
	return load16(data + 18) == EM_386 || load16(data + 18) == EM_X86_64;
}

u64 elf_entry(const u8 *data)
{
	return is64(data) ? load64(data + 24) : load32(data + 24);
}

unsigned elf_segments(const u8 *data)
{
	return load16(data + (is64(data) ? 56 : 44));
}

bool elf_segment(const u8 *data, size_t size, unsigned i, struct elf_segment *s)
{
	u64 table = is64(data) ? load64(data + 32) : load32(data + 28);
	u64 each = load16(data + (is64(data) ? 54 : 42));
	u64 least = is64(data) ? 56 : 32;

	if (each < least || table > size || (i + 1) * each > size - table)
		return false;
	const u8 *p = data + table + i * each;
	s->type = load32(p);
	if (is64(data))
		*s = (struct elf_segment){s->type,        load64(p + 8),  load64(p + 24), load64(p + 16),
		                          load64(p + 32), load64(p + 40), load64(p + 48)};
	else
		*s = (struct elf_segment){s->type,        load32(p + 4),  load32(p + 12), load32(p + 8),
		                          load32(p + 16), load32(p + 20), load32(p + 28)};
	return s->offset <= size && s->file_size <= size - s->offset;
}

bool elf_load(const struct boot_request *request, u64 *end, struct err *err)
{
	const struct boot_file *f = &request->kernel;
	struct elf_segment s;
	bool any = false;

	*end = 0;
	for (unsigned i = 0; i < elf_segments(f->data); i++) {
		if (!elf_segment(f->data, f->size, i, &s))
			return err_set(err, EXIT_FILE, "%s: truncated: segment %u runs past the end of the file", f->name, i);
		if (s.type != PT_LOAD || !s.mem_size)
			continue;
		if (s.mem_size < s.file_size)
			return err_set(err, EXIT_FILE, "%s: segment %u is larger in the file than in memory", f->name, i);
		if (!boot_copy(request, s.paddr, f->data + s.offset, s.file_size, err) ||
		    !boot_zero(request, s.paddr + s.file_size, s.mem_size - s.file_size, err))
			return false;
		*end = MAX(*end, s.paddr + s.mem_size);
		any = true;
	}
	return any || err_set(err, EXIT_FILE, "%s: has nothing to load", f->name);
}

const u8 *elf_note(const u8 *data, size_t size, const char *owner, u32 type, u32 *len)
{
	struct elf_segment s;

	for (unsigned i = 0; i < elf_segments(data); i++) {
		if (!elf_segment(data, size, i, &s) || s.type != PT_NOTE)
			continue;
		u64 align = s.align == 8 ? 8 : 4;
		for (u64 at = 0; s.file_size >= 12 && at <= s.file_size - 12;) {
			const u8 *note = data + s.offset + at;
			u64 name_size = load32(note), desc_size = load32(note + 4);
			u64 desc = 12 + ((name_size + align - 1) & ~(align - 1)), next = desc + ((desc_size + align - 1) & ~(align - 1));
			if (desc > s.file_size - at || desc_size > s.file_size - at - desc)
				break;
			if (load32(note + 8) == type && name_size == strlen(owner) + 1 && !memcmp(note + 12, owner, name_size)) {
				*len = desc_size;
				return note + desc;
			}
			at += next;
		}
	}
	return NULL;
}
