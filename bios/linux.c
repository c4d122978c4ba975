/* SPDX-License-Identifier: MIT */
/* Linux bzImage loader: the x86 boot protocol 2.06 and later (Documentation/arch/x86/boot.rst), entered at the 64-bit entry
 * point where the kernel has one, else at the 32-bit one. The real-mode part is not run: boot_params are filled in here. */
#include "bios/linux.h"

#include "base/magic.h"

enum { MIN_PROTOCOL = 0x206, SETUP_HEADER = 0x1f1, E820_MAX = 128 };

bool linux_is(const u8 *data, size_t size)
{
	return size >= P_HEADER_END && magic_is_linux(data, size);
}

/* A bzImage is entered at the 32-bit entry point which it names; what only looks like one (network boot loaders do) names none. */
bool linux_real_mode_only(const u8 *data)
{
	return load16(data + P_VERSION) < MIN_PROTOCOL || !(data[P_LOADFLAGS] & LOADED_HIGH) || !load32(data + P_CODE32_START);
}

size_t linux_setup_size(const u8 *data)
{
	return (data[P_SETUP_SECTS] ? data[P_SETUP_SECTS] + 1u : 5u) * 512;
}

bool linux_check(const struct boot_file *kernel, struct err *err)
{
	size_t setup = linux_setup_size(kernel->data);
	/* syssize is in paragraphs, and reliable since protocol 2.04; a file shorter than it says was cut */
	u64 paragraphs = load16(kernel->data + P_VERSION) >= 0x204 ? load32(kernel->data + P_SYSSIZE) : 0;

	if (kernel->size <= setup)
		return err_set(err, EXIT_FILE, "%s: truncated: %zu bytes, the setup part alone has %zu", kernel->name, kernel->size, setup);
	if (paragraphs && kernel->size - setup < paragraphs * 16 - 15)
		return err_set(err, EXIT_FILE, "%s: truncated: %zu bytes of %llu", kernel->name, kernel->size,
		               (unsigned long long)setup + paragraphs * 16);
	return true;
}

/* Identity mapping of the first 4 GiB by 2 MiB pages. */
static bool page_tables(const struct boot_request *request, u64 *cr3, struct err *err)
{
	u64 table[512] = {0};

	table[0] = (BOOT_TABLES + 0x1000) | 3;
	if (!boot_copy(request, BOOT_TABLES, table, sizeof table, err))
		return false;
	for (unsigned i = 0; i < 4; i++)
		table[i] = (BOOT_TABLES + 0x2000 + i * 0x1000) | 3;
	if (!boot_copy(request, BOOT_TABLES + 0x1000, table, sizeof table, err))
		return false;
	for (u64 i = 0; i < 4; i++) {
		for (u64 k = 0; k < 512; k++)
			table[k] = (i << 30 | k << 21) | 0x83;
		if (!boot_copy(request, BOOT_TABLES + 0x2000 + i * 0x1000, table, sizeof table, err))
			return false;
	}
	*cr3 = BOOT_TABLES;
	return true;
}

bool linux_load_initrd(const struct boot_request *request, u8 *params, u64 kernel_end, u64 limit, struct err *err)
{
	const struct boot_file *initrd = &request->module[0];

	limit = MIN(request->ram_below_4g, limit);
	if (!request->modules)
		return true;
	if (request->modules > 1)
		return err_set(err, EXIT_USAGE, "-initrd: Linux takes one file");
	if (!initrd->size)
		return err_set(err, EXIT_FILE, "%s: the initrd is empty", initrd->name);
	if (initrd->size > limit || ((limit - initrd->size) & ~0xfffull) < kernel_end)
		return err_set(err, EXIT_FILE, "%s: an initrd of %zu KiB does not fit behind the kernel (see -m)", initrd->name,
		               initrd->size / 1024);
	u64 place = (limit - initrd->size) & ~0xfffull;
	store32(params + P_RAMDISK_IMAGE, place);
	store32(params + P_RAMDISK_SIZE, initrd->size);
	return boot_copy(request, place, initrd->data, initrd->size, err);
}

bool linux_load(const struct boot_request *request, struct boot_entry *entry, struct err *err)
{
	const u8 *data = request->kernel.data;
	size_t size = request->kernel.size;
	u8 params[P_END] = {0};
	unsigned version = load16(data + P_VERSION);
	size_t setup = linux_setup_size(data);

	if (linux_real_mode_only(data))
		return err_set(err, EXIT_FILE, "%s: it can only be started by firmware (see -bios)", request->kernel.name);
	if (!linux_check(&request->kernel, err))
		return false;

	/* the header runs to 0x202 + the byte at 0x201 */
	size_t header_end = MIN((size_t)P_MAGIC + data[0x201], (size_t)P_E820);
	memcpy(params + SETUP_HEADER, data + SETUP_HEADER, MIN(header_end, size) - SETUP_HEADER);

	u64 load = 0x100000, need = size - setup;
	if (version >= 0x20a) {
		need = MAX(need, (u64)load32(params + P_INIT_SIZE));
		load = load64(params + P_PREF_ADDRESS);
		if (load < 0x100000 && params[P_RELOCATABLE]) {
			u64 align = MAX(load32(params + P_ALIGNMENT), 0x1000u);
			load = (0x100000 + align - 1) / align * align;
		}
		/* below the address that it prefers it need not be tried: it moves itself there */
		if (load < 0x100000 || load > request->ram_below_4g || need > request->ram_below_4g - load)
			return err_set(err, EXIT_FILE, "%s: needs %llu MiB of memory (see -m)", request->kernel.name,
			               ((unsigned long long)load + need + 0xfffff) >> 20);
	}
	if (!boot_copy(request, load, data + setup, size - setup, err) ||
	    !boot_zero(request, load + size - setup, need - (size - setup), err))
		return false;
	if (!linux_load_initrd(request, params, load + need, load32(params + P_INITRD_MAX) + 1ull, err))
		return false;
	if (!boot_cmdline(request, load32(params + P_CMDLINE_SIZE) + 1ull, err))
		return false;

	params[P_LOADER] = LOADER_UNDEFINED;
	params[P_LOADFLAGS] |= LOADED_HIGH;
	params[P_LOADFLAGS] &= ~CAN_USE_HEAP;
	store16(params + P_VID_MODE, VID_NORMAL);
	store32(params + P_CODE32_START, load);
	store32(params + P_CMD_LINE, BOOT_CMDLINE);
	store64(params + P_ACPI_RSDP, request->rsdp);
	if (request->text_screen) {
		params[P_VIDEO_MODE] = 3;
		params[P_VIDEO_COLUMNS] = 80;
		params[P_VIDEO_LINES] = 25;
		params[P_VIDEO_IS_VGA] = 1;
		store16(params + P_VIDEO_POINTS, 16);
	}
	unsigned count = MIN(request->e820_count, (unsigned)E820_MAX);
	params[P_E820_COUNT] = count;
	for (unsigned i = 0; i < count; i++) {
		u8 *e = params + P_E820 + i * 20;
		store64(e, request->e820[i].base);
		store64(e + 8, request->e820[i].size);
		store32(e + 16, request->e820[i].type);
	}
	if (!boot_copy(request, BOOT_INFO, params, sizeof params, err))
		return false;

	bool has64 = version >= 0x20c && (load16(params + P_XLOADFLAGS) & XLF_KERNEL_64);
	*entry = (struct boot_entry){
		.mode = has64 ? BOOT_FLAT64 : BOOT_FLAT32,
		.rip = load + (has64 ? 0x200 : 0),
		.rsi = BOOT_INFO,
		.rsp = BOOT_STACK,
	};
	return !has64 || page_tables(request, &entry->cr3, err);
}
