/* SPDX-License-Identifier: MIT */
/* Booting a kernel: choosing the loader, and the few things that all loaders do. */
#include "bios/boot.h"

static const struct {
	enum boot_kind kind;
	bool (*is)(const u8 *data, size_t size);
	bool (*load)(const struct boot_request *request, struct boot_entry *entry, struct err *err);
	bool (*load_by_firmware)(const struct boot_request *request, struct boot_entry *entry, struct err *err);
} loaders[] = {
	{BOOT_LINUX, linux_is, linux_load, linux_load_setup},
	{BOOT_MULTIBOOT, multiboot_is, multiboot_load, multiboot_load},
	{BOOT_PVH, pvh_is, pvh_load, pvh_load},
};

enum boot_kind boot_kind(const u8 *data, size_t size)
{
	for (unsigned i = 0; i < ARRAY_LEN(loaders); i++)
		if (loaders[i].is(data, size))
			return loaders[i].kind;
	return BOOT_UNKNOWN;
}

bool boot_needs_firmware(const u8 *data, size_t size)
{
	return linux_is(data, size) && linux_real_mode_only(data);
}

bool boot_to_bus(void *bus, u64 gpa, const void *data, u64 size)
{
	static const u8 zeros[4096];

	if (data)
		return bus_load(bus, gpa, data, size);
	for (u64 done = 0; done < size; done += sizeof zeros)
		if (!bus_load(bus, gpa + done, zeros, MIN(size - done, sizeof zeros)))
			return false;
	return true;
}

bool boot_load(const struct boot_request *request, struct boot_entry *entry, struct err *err)
{
	*entry = (struct boot_entry){0};
	for (unsigned i = 0; i < ARRAY_LEN(loaders); i++)
		if (loaders[i].is(request->kernel.data, request->kernel.size))
			return (request->firmware ? loaders[i].load_by_firmware : loaders[i].load)(request, entry, err);
	return err_set(err, EXIT_FILE, "%s: not a Linux bzImage, a multiboot kernel or an ELF file with a PVH entry",
	               request->kernel.name);
}

static bool check_place(const struct boot_request *request, u64 gpa, u64 size, struct err *err)
{
	if (gpa > request->ram_below_4g || size > request->ram_below_4g - gpa)
		return err_set(err, EXIT_FILE, "%s: needs %llu KiB of memory at %#llx, the machine has %llu KiB (see -m)",
		               request->kernel.name, (unsigned long long)(size + 1023) / 1024, (unsigned long long)gpa,
		               (unsigned long long)request->ram_below_4g / 1024);
	return true;
}

bool boot_copy(const struct boot_request *request, u64 gpa, const void *data, u64 size, struct err *err)
{
	return check_place(request, gpa, size, err) &&
	       (!size || request->write(request->opaque, gpa, data, size) ||
	        err_set(err, EXIT_FILE, "%s: has a part at %#llx, where there is no memory", request->kernel.name,
	                (unsigned long long)gpa));
}

bool boot_zero(const struct boot_request *request, u64 gpa, u64 size, struct err *err)
{
	return boot_copy(request, gpa, NULL, size, err);
}

bool boot_cmdline(const struct boot_request *request, u64 max, struct err *err)
{
	size_t len = strlen(request->cmdline);

	if (len >= MIN(max, (u64)BOOT_CMDLINE_MAX))
		return err_set(err, EXIT_USAGE, "-append: %zu characters, this kernel takes %llu", len,
		               (unsigned long long)MIN(max, (u64)BOOT_CMDLINE_MAX) - 1);
	return boot_copy(request, BOOT_CMDLINE, request->cmdline, len + 1, err);
}
