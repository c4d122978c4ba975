/* SPDX-License-Identifier: MIT */
/* PVH: an ELF kernel with a XEN_ELFNOTE_PHYS32_ENTRY note, entered in 32-bit protected mode with EBX at an hvm_start_info
 * (xen/include/public/arch-x86/hvm/start_info.h describes the layout). */
#include "bios/elf.h"

enum { PHYS32_ENTRY = 18, START_MAGIC = 0x336ec578, START_VERSION = 1 };

bool pvh_is(const u8 *data, size_t size)
{
	u32 len;

	return elf_is(data, size) && elf_note(data, size, "Xen", PHYS32_ENTRY, &len) && len >= 4;
}

bool pvh_load(const struct boot_request *request, struct boot_entry *entry, struct err *err)
{
	const struct boot_file *kernel = &request->kernel;
	u8 info[56] = {0}, map[BOOT_MAP_ENTRIES * BOOT_MAP_STRIDE] = {0}, modules[BOOT_MODULES * 32] = {0};
	u64 end, place;
	u32 len;
	const u8 *note = elf_note(kernel->data, kernel->size, "Xen", PHYS32_ENTRY, &len);

	if (!elf_load(request, &end, err))
		return false;
	place = (end + 0xfff) & ~0xfffull;
	for (unsigned i = 0; i < request->modules; i++) {
		const struct boot_file *m = &request->module[i];
		if (!boot_copy(request, place, m->data, m->size, err))
			return err_prefix(err, "%s", m->name);
		store64(modules + i * 32, place);
		store64(modules + i * 32 + 8, m->size);
		place = (place + m->size + 0xfff) & ~0xfffull;
	}
	unsigned count = MIN(request->e820_count, (unsigned)BOOT_MAP_ENTRIES);
	for (unsigned i = 0; i < count; i++) {
		store64(map + i * BOOT_MAP_STRIDE, request->e820[i].base);
		store64(map + i * BOOT_MAP_STRIDE + 8, request->e820[i].size);
		store32(map + i * BOOT_MAP_STRIDE + 16, request->e820[i].type);
	}
	store32(info, START_MAGIC);
	store32(info + 4, START_VERSION);
	store32(info + 12, request->modules);
	store64(info + 16, request->modules ? BOOT_MISC : 0);
	store64(info + 24, BOOT_CMDLINE);
	store64(info + 32, request->rsdp); /* 0: the kernel searches for it */
	store64(info + 40, BOOT_MISC + 0x1000);
	store32(info + 48, count);
	if (!boot_copy(request, BOOT_MISC, modules, sizeof modules, err) ||
	    !boot_copy(request, BOOT_MISC + 0x1000, map, sizeof map, err) ||
	    !boot_copy(request, BOOT_INFO, info, sizeof info, err) || !boot_cmdline(request, BOOT_CMDLINE_MAX, err))
		return false;
	*entry = (struct boot_entry){
		.mode = BOOT_FLAT32,
		.rip = load32(note),
		.rbx = BOOT_INFO,
		.rsp = BOOT_STACK,
		.map = {.at = BOOT_MISC + 0x1000, .count = BOOT_INFO + 48},
	};
	return true;
}
