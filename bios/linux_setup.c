/* SPDX-License-Identifier: MIT */
/* Linux kernels, and what else is built like one (boot loaders for networks and disk images), entered as a boot loader of the BIOS
 * does: the real-mode setup part runs and asks the firmware for what it wants to know. All versions of the boot protocol
 * (Documentation/arch/x86/boot.rst) that have a header: 2.00 and later, zImage and bzImage. */
#include "bios/linux.h"

#include <stdlib.h>

/* Where the parts lie (boot.rst, "Memory layout"): the setup part with its stack and heap has one segment, up to the command line.
 * A zImage occupies the usual place itself, so that there everything is at the end of low memory, below the EBDA. */
struct layout {
	u32 setup, kernel, cmdline, cmdline_max;
};
static const struct layout high = {0x10000, 0x100000, BOOT_CMDLINE, BOOT_CMDLINE_MAX}, low = {0x90000, 0x10000, 0x99800, 0x800};
enum { INITRD_MAX_BEFORE_203 = 0x37ffffff, CMDLINE_MAX_BEFORE_206 = 255, ZIMAGE_MAX = 0x80000, STACK_END = 0x200 };
enum { CMD_LINE_MAGIC = 0xa33f, VID_EXTENDED = 0xfffe, VID_ASK = 0xfffd };

/* vga= is for the boot loader: the mode that the setup part sets (boot.rst, "Special command line options"). */
static u16 video_mode(const char *cmdline)
{
	static const struct { const char *word; u16 mode; } words[] = {{"normal", VID_NORMAL}, {"ext", VID_EXTENDED}, {"ask", VID_ASK}};
	const char *at = cmdline;

	while ((at = strstr(at, "vga=")) && at != cmdline && at[-1] != ' ')
		at++;
	if (!at)
		return VID_NORMAL;
	at += 4;
	for (unsigned i = 0; i < ARRAY_LEN(words); i++)
		if (!strncmp(at, words[i].word, strlen(words[i].word)))
			return words[i].mode;
	return strtoul(at, NULL, 0);
}

static bool load_cmdline(const struct boot_request *request, const struct layout *at, u8 *params, struct err *err)
{
	unsigned version = load16(params + P_VERSION);
	u64 max = version >= 0x206 ? load32(params + P_CMDLINE_SIZE) : CMDLINE_MAX_BEFORE_206;
	size_t len = strlen(request->cmdline);

	max = MIN(max, at->cmdline_max - 1ull);
	if (len > max)
		return err_set(err, EXIT_USAGE, "-append: %zu characters, this kernel takes %llu", len, (unsigned long long)max);
	if (version >= 0x202) {
		store32(params + P_CMD_LINE, at->cmdline);
	} else {
		store16(params + P_OLD_CMD_LINE_MAGIC, CMD_LINE_MAGIC);
		store16(params + P_OLD_CMD_LINE_OFFSET, at->cmdline - at->setup);
	}
	store16(params + P_VID_MODE, video_mode(request->cmdline));
	return boot_copy(request, at->cmdline, request->cmdline, len + 1, err);
}

bool linux_load_setup(const struct boot_request *request, struct boot_entry *entry, struct err *err)
{
	const struct boot_file *kernel = &request->kernel;
	unsigned version = load16(kernel->data + P_VERSION);
	size_t setup = linux_setup_size(kernel->data), size = kernel->size - setup;
	bool zimage = !(kernel->data[P_LOADFLAGS] & LOADED_HIGH);
	/* old setup parts find their command line in their own segment only, and move themselves to 90000h */
	struct layout at = zimage || version < 0x202 ? low : high;
	u64 initrd_max = version >= 0x203 ? load32(kernel->data + P_INITRD_MAX) : INITRD_MAX_BEFORE_203;

	if (version < 0x200)
		return err_set(err, EXIT_FILE, "%s: Linux boot protocol %u.%02u is too old (2.00 is needed)", kernel->name, version >> 8,
		               version & 0xff);
	if (!linux_check(kernel, err))
		return false;
	at.kernel = zimage ? low.kernel : high.kernel;
	if (zimage && size > ZIMAGE_MAX)
		return err_set(err, EXIT_FILE, "%s: a zImage of %zu KiB; they have 512 at most", kernel->name, size / 1024);
	u32 room = MIN(at.cmdline - at.setup, 0xe000u); /* for the setup part, its heap and its stack */
	if (setup > room - 0x1000)
		return err_set(err, EXIT_FILE, "%s: the setup part has %zu KiB, there is room for %u", kernel->name, setup / 1024,
		               (room - 0x1000) / 1024);

	u8 *part = err_alloc(setup);
	memcpy(part, kernel->data, setup);
	part[P_LOADER] = LOADER_UNDEFINED;
	if (version >= 0x201) {
		part[P_LOADFLAGS] |= CAN_USE_HEAP;
		store16(part + P_HEAP_END, room - STACK_END);
	}
	/* it unpacks itself to where it prefers to be; hostile values only leave no room for an initrd */
	u64 end = MAX(at.kernel + (u64)size, 0x100000ull);
	if (version >= 0x20a)
		end = MAX(end, MIN(load64(part + P_PREF_ADDRESS), 1ull << 32) + load32(part + P_INIT_SIZE));
	bool ok = linux_load_initrd(request, part, end, initrd_max + 1, err) &&
	          load_cmdline(request, &at, part, err) && boot_copy(request, at.setup, part, setup, err) &&
	          boot_copy(request, at.kernel, kernel->data + setup, size, err);
	*entry = (struct boot_entry){
		.mode = BOOT_REAL,
		.cs = (at.setup >> 4) + 0x20,
		.data = at.setup >> 4,
		.rsp = room,
		.place = {at.setup, setup, at.kernel, at.cmdline, request->modules ? load32(part + P_RAMDISK_IMAGE) : 0},
	};
	free(part);
	return ok;
}
