/* SPDX-License-Identifier: MIT */
/* The x86 boot protocol of Linux (Documentation/arch/x86/boot.rst) as both loaders use it: linux.c, which enters the kernel itself,
 * and linux_setup.c, which enters its real-mode part with firmware around it. */
#ifndef BIOS_LINUX_H
#define BIOS_LINUX_H

#include "bios/boot.h"

/* Offsets in the setup part's header and in boot_params, which agree. */
enum linux_param {
	P_VIDEO_MODE = 0x006, /* from here to 0x12: screen_info */
	P_VIDEO_COLUMNS = 0x007,
	P_VIDEO_LINES = 0x00e,
	P_VIDEO_IS_VGA = 0x00f,
	P_VIDEO_POINTS = 0x010,
	P_OLD_CMD_LINE_MAGIC = 0x020, /* before protocol 2.02 */
	P_OLD_CMD_LINE_OFFSET = 0x022,
	P_ACPI_RSDP = 0x070,
	P_EXT_RAMDISK_IMAGE = 0x0c0,
	P_EXT_RAMDISK_SIZE = 0x0c4,
	P_EXT_CMD_LINE = 0x0c8,
	P_E820_COUNT = 0x1e8,
	P_SETUP_SECTS = 0x1f1,
	P_SYSSIZE = 0x1f4,
	P_VID_MODE = 0x1fa,
	P_BOOT_FLAG = 0x1fe,
	P_JUMP = 0x200,
	P_MAGIC = 0x202,
	P_VERSION = 0x206,
	P_LOADER = 0x210,
	P_LOADFLAGS = 0x211,
	P_CODE32_START = 0x214,
	P_RAMDISK_IMAGE = 0x218,
	P_RAMDISK_SIZE = 0x21c,
	P_HEAP_END = 0x224,
	P_CMD_LINE = 0x228,
	P_INITRD_MAX = 0x22c,
	P_ALIGNMENT = 0x230,
	P_RELOCATABLE = 0x234,
	P_XLOADFLAGS = 0x236,
	P_CMDLINE_SIZE = 0x238,
	P_PREF_ADDRESS = 0x258,
	P_INIT_SIZE = 0x260,
	P_HEADER_END = 0x268,
	P_E820 = 0x2d0,
	P_END = 0x1000,
};
enum { LOADED_HIGH = 1, CAN_USE_HEAP = 0x80, XLF_KERNEL_64 = 1, LOADER_UNDEFINED = 0xff, VID_NORMAL = 0xffff };

/* The setup part's bytes, the boot sector with them. */
size_t linux_setup_size(const u8 *data);
/* Is all of the file there? */
bool linux_check(const struct boot_file *kernel, struct err *err);
/* The initrd as high as it may lie below limit, clear of the kernel, and in the header what tells of it. */
bool linux_load_initrd(const struct boot_request *request, u8 *params, u64 kernel_end, u64 limit, struct err *err);

#endif
