/* SPDX-License-Identifier: MIT */
/* Booting a kernel without a boot loader in the guest: what a kernel loader is given and what it gives back. Loaders write guest
 * memory through the request and never touch a CPU; the board puts the boot CPU into the state described by struct boot_entry, or
 * has firmware do both (kernel_rom.h). Kernel files are hostile input. */
#ifndef BIOS_BOOT_H
#define BIOS_BOOT_H

#include "base/err.h"
#include "base/types.h"
#include "mem/bus.h"

enum e820_type { E820_RAM = 1, E820_RESERVED = 2, E820_ACPI = 3, E820_NVS = 4 };
struct e820_entry {
	u64 base, size;
	u32 type;
};

/* A file in host memory. */
struct boot_file {
	const char *name; /* for errors */
	const u8 *data;
	size_t size;
	const char *args; /* multiboot modules: the words behind the file name; may be NULL */
};
#define BOOT_MODULES 16

struct boot_request {
	/* Where all that a loader writes goes to: a bus (boot_to_bus), or a list for firmware (kernel_rom.h). Data NULL: zeros.
	 * False: there is no memory. */
	bool (*write)(void *opaque, u64 gpa, const void *data, u64 size);
	void *opaque;
	struct boot_file kernel;
	struct boot_file module[BOOT_MODULES]; /* initrd, or multiboot modules */
	unsigned modules;
	const char *cmdline;                   /* never NULL */
	/* Firmware runs first: its services are there for the kernel, and it knows the memory map, so that e820, rsdp and text_screen
	 * are not used; boot_entry says where the kernel looks for the map. */
	bool firmware;
	const struct e820_entry *e820;
	unsigned e820_count;
	u64 ram_below_4g;                      /* bytes of RAM from 0 on */
	u64 rsdp;                              /* guest address of the ACPI root pointer, 0 = none */
	bool text_screen;                      /* a VGA in text mode 3, 80x25, 16 lines a character */
};

enum boot_mode {
	BOOT_RESET,  /* start at the reset vector */
	BOOT_FLAT32, /* protected mode, flat 4 GiB segments, paging off */
	BOOT_FLAT64, /* long mode, identity-mapped from cr3 */
	BOOT_REAL,   /* real mode, with firmware only */
};
/* The segments of BOOT_FLAT32 and BOOT_FLAT64, as the Linux boot protocol names them: a GDT of four. */
enum { BOOT_CODE = 0x10, BOOT_DATA = 0x18 };
#define BOOT_CODE32_DESCRIPTOR 0x00cf9b000000ffffull
#define BOOT_CODE64_DESCRIPTOR 0x00af9b000000ffffull
#define BOOT_DATA_DESCRIPTOR 0x00cf93000000ffffull
/* Room for a memory map: so many entries of so many bytes, of which the first 20 are as INT 15h AX=E820h gives them. */
#define BOOT_MAP_ENTRIES 64
#define BOOT_MAP_STRIDE 24
struct boot_entry {
	enum boot_mode mode;
	u64 rip, rsp, rax, rbx, rsi, cr3;
	u16 cs, data; /* BOOT_REAL: CS and all other segments */
	/* With firmware: addresses below 1 MiB of what it fills in, each a 32-bit number but the map itself; 0: not asked for.
	 * Bytes and count are of the map; lower and upper are KiB of memory below 1 MiB and from 1 MiB on. */
	struct { u32 at, bytes, count, lower, upper; } map;
	/* Linux with firmware: where the parts went, for firmware that does it by itself; initrd 0: none; setup_size 0: not Linux. */
	struct { u32 setup, setup_size, kernel, cmdline, initrd; } place;
};

enum boot_kind { BOOT_UNKNOWN, BOOT_LINUX, BOOT_MULTIBOOT, BOOT_PVH };
/* Which loader takes this file, by looking at its contents. */
enum boot_kind boot_kind(const u8 *data, size_t size);
/* Load whatever it is; false with a line that names the file and what is wrong with it. */
bool boot_load(const struct boot_request *request, struct boot_entry *entry, struct err *err);

/* Can it only be started by firmware, for want of an entry point other than that in real mode? */
bool boot_needs_firmware(const u8 *data, size_t size);
/* boot_request.write for a bus. */
bool boot_to_bus(void *bus, u64 gpa, const void *data, u64 size);

/* The loaders themselves, and how each knows its own. */
bool linux_is(const u8 *data, size_t size);
bool linux_load(const struct boot_request *request, struct boot_entry *entry, struct err *err);
bool linux_real_mode_only(const u8 *data);
bool linux_load_setup(const struct boot_request *request, struct boot_entry *entry, struct err *err);
bool multiboot_is(const u8 *data, size_t size);
bool multiboot_load(const struct boot_request *request, struct boot_entry *entry, struct err *err);
bool pvh_is(const u8 *data, size_t size);
bool pvh_load(const struct boot_request *request, struct boot_entry *entry, struct err *err);

/* Low memory that loaders use for what they hand over; above the BIOS data area, below the EBDA. */
enum boot_layout {
	BOOT_INFO = 0x7000,     /* boot_params, multiboot info, hvm_start_info: one page */
	BOOT_TABLES = 0x9000,   /* page tables: PML4, PDPT, four page directories */
	BOOT_STACK = 0x9000,    /* grows down into the page below the tables */
	BOOT_CMDLINE = 0x20000, /* up to BOOT_CMDLINE_MAX with its zero */
	BOOT_CMDLINE_MAX = 0x10000,
	BOOT_MISC = 0x30000,    /* module lists, memory maps */
	BOOT_MISC_MAX = 0x10000,
};

/* Copy into RAM, or complain that the kernel does not fit there. */
bool boot_copy(const struct boot_request *request, u64 gpa, const void *data, u64 size, struct err *err);
bool boot_zero(const struct boot_request *request, u64 gpa, u64 size, struct err *err);
/* The command line at BOOT_CMDLINE. */
bool boot_cmdline(const struct boot_request *request, u64 max, struct err *err);

#endif
