/* SPDX-License-Identifier: MIT */
/* Multiboot 1 (specification 0.6.96): ELF kernels and those that give their addresses in the header. Modules come from -initrd.
 * Not implemented: a video mode request (there is no display without firmware; the flag is ignored, as the specification lets
 * a loader do when the information is not marked as required), drive and APM tables. */
#include "base/magic.h"
#include "bios/elf.h"

#include <stdlib.h>

enum { LOADER_MAGIC = 0x2badb002 };
enum { WANT_ALIGN = 1, WANT_MEMORY = 2, WANT_VIDEO = 4, REQUIRED = 0xffff, HAVE_ADDRESSES = 1 << 16 };
enum { HAS_MEMORY = 1, HAS_CMDLINE = 4, HAS_MODULES = 8, HAS_MMAP = 1 << 6, HAS_NAME = 1 << 9 };

bool multiboot_is(const u8 *data, size_t size)
{
	return magic_multiboot(data, size) != NULL;
}

/* The header says where the file's bytes go (specification 3.1.3). */
static bool load_by_header(const struct boot_request *request, const u8 *h, u64 *end, u64 *start, struct err *err)
{
	const struct boot_file *f = &request->kernel;
	size_t at = h - f->data;

	if (at + 32 > f->size)
		return err_set(err, EXIT_FILE, "%s: truncated multiboot header", f->name);
	u32 header_addr = load32(h + 12), load = load32(h + 16), load_end = load32(h + 20), bss_end = load32(h + 24);
	if (header_addr < load || header_addr - load > at)
		return err_set(err, EXIT_FILE, "%s: multiboot header with impossible addresses", f->name);
	size_t offset = at - (header_addr - load);
	u64 bytes = load_end ? (u64)load_end - load : f->size - offset;
	if ((load_end && load_end < load) || bytes > f->size - offset)
		return err_set(err, EXIT_FILE, "%s: truncated: the multiboot header asks for more than the file has", f->name);
	if (!boot_copy(request, load, f->data + offset, bytes, err))
		return false;
	*end = load + bytes;
	if (bss_end > *end) {
		if (!boot_zero(request, *end, bss_end - *end, err))
			return false;
		*end = bss_end;
	}
	*start = load32(h + 28);
	return true;
}

/* Append a string to the page of strings; returns its guest address. */
static u32 string(u8 *page, size_t size, size_t *used, const char *a, const char *b)
{
	size_t at = *used, len = strlen(a) + (b ? strlen(b) + 1 : 0) + 1;

	if (len > size - at)
		return 0;
	char *to = (char *)page + at;
	strcpy(to, a);
	if (b) {
		strcat(to, " ");
		strcat(to, b);
	}
	*used += len;
	return at;
}

bool multiboot_load(const struct boot_request *request, struct boot_entry *entry, struct err *err)
{
	const struct boot_file *f = &request->kernel;
	const u8 *h = magic_multiboot(f->data, f->size);
	u32 flags = load32(h + 4);
	u8 info[120] = {0}, misc[0x4000] = {0};
	u64 end = 0, start = 0;

	if (flags & REQUIRED & ~(WANT_ALIGN | WANT_MEMORY | WANT_VIDEO))
		return err_set(err, EXIT_FILE, "%s: multiboot header requires unknown features (flags %#x)", f->name, flags);
	if (flags & HAVE_ADDRESSES) {
		if (!load_by_header(request, h, &end, &start, err))
			return false;
	} else {
		if (!elf_is(f->data, f->size))
			return err_set(err, EXIT_FILE, "%s: a multiboot kernel that is neither ELF nor gives its addresses", f->name);
		if (!elf_load(request, &end, err))
			return false;
		start = elf_entry(f->data);
	}
	if (start >> 32)
		return err_set(err, EXIT_FILE, "%s: entry point above 4 GiB", f->name);

	/* modules: pages behind the kernel; then in misc[]: module list, memory map, strings */
	size_t used = 0x1000;
	u64 place = MAX((end + 0xfff) & ~0xfffull, 0x100000ull);
	for (unsigned i = 0; i < request->modules; i++) {
		const struct boot_file *m = &request->module[i];
		if (!boot_copy(request, place, m->data, m->size, err))
			return err_prefix(err, "%s", m->name);
		u32 text = string(misc, sizeof misc, &used, m->name, m->args);
		store32(misc + i * 16, place);
		store32(misc + i * 16 + 4, place + m->size);
		store32(misc + i * 16 + 8, text ? BOOT_MISC + text : 0);
		place = (place + m->size + 0xfff) & ~0xfffull;
	}
	unsigned map_at = BOOT_MODULES * 16, count = MIN(request->e820_count, (unsigned)BOOT_MAP_ENTRIES);
	for (unsigned i = 0; i < BOOT_MAP_ENTRIES; i++)
		store32(misc + map_at + i * BOOT_MAP_STRIDE, 20); /* the size of the entry, without itself */
	for (unsigned i = 0; i < count; i++) {
		u8 *e = misc + map_at + i * BOOT_MAP_STRIDE;
		store64(e + 4, request->e820[i].base);
		store64(e + 12, request->e820[i].size);
		store32(e + 20, request->e820[i].type);
	}
	store32(info, HAS_MEMORY | HAS_CMDLINE | HAS_MMAP | HAS_NAME | (request->modules ? HAS_MODULES : 0));
	store32(info + 4, 639);
	store32(info + 8, (request->ram_below_4g - 0x100000) / 1024);
	store32(info + 16, BOOT_CMDLINE);
	store32(info + 20, request->modules);
	store32(info + 24, BOOT_MISC);
	store32(info + 44, count * BOOT_MAP_STRIDE);
	store32(info + 48, BOOT_MISC + map_at);
	store32(info + 64, BOOT_MISC + string(misc, sizeof misc, &used, "Paisano", NULL));

	/* the command line begins with the kernel's name, as GRUB and QEMU have it */
	size_t len = strlen(f->name) + 1 + strlen(request->cmdline);
	char *line = err_alloc(len + 1);
	strcpy(line, f->name);
	if (*request->cmdline) {
		strcat(line, " ");
		strcat(line, request->cmdline);
	}
	struct boot_request with_name = *request;
	with_name.cmdline = line;
	bool ok = boot_cmdline(&with_name, BOOT_CMDLINE_MAX, err);
	free(line);
	if (!ok || !boot_copy(request, BOOT_MISC, misc, sizeof misc, err) ||
	    !boot_copy(request, BOOT_INFO, info, sizeof info, err))
		return false;
	*entry = (struct boot_entry){
		.mode = BOOT_FLAT32,
		.rip = start,
		.rax = LOADER_MAGIC,
		.rbx = BOOT_INFO,
		.rsp = BOOT_STACK,
		.map = {.at = BOOT_MISC + map_at + 4, .bytes = BOOT_INFO + 44, .lower = BOOT_INFO + 4, .upper = BOOT_INFO + 8},
	};
	return true;
}
