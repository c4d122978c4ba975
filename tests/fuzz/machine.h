/* SPDX-License-Identifier: MIT */
/* Fuzzing of a whole machine: one board (hw/board), made once and never run, on which an input performs operations as a guest and
 * its host would: accesses to ports and memory, PCI configuration, time that passes, completions that arrive, lines that change.
 * Before each input the machine goes back to the same snapshot, which costs microseconds; nothing of an input survives it.
 *
 * An input is a row of records of eight bytes. Any bytes are an input; what is too large is cut down. A target (a row of the table
 * in targets.c) chooses which windows of the machine its inputs reach; the encoding is the same for all, so that they can exchange
 * inputs. Numbers of windows and operations stay what they are: the corpora in the tree have them. */
#ifndef TESTS_FUZZ_MACHINE_H
#define TESTS_FUZZ_MACHINE_H

#include "hw/board/private.h"
#include "hw/disk/disk.h"
#include "hw/video/display.h"

#define MACHINE_RAM (4u << 20)
#define MACHINE_FLASH (64u << 10) /* each of the two chips */
#define MACHINE_RECORDS 512       /* of an input; more are not looked at */
#define MACHINE_CPUS 2
#define MACHINE_DEVICES 40
#define MACHINE_DISKS 6           /* four of IDE, two floppies */

struct record {
	u8 op;    /* bits 0-4: enum machine_op; 5-6: size of the access, 1 << n bytes; 7: see the operation */
	u8 where; /* a window, a device, a disk, a shift: modulo how many there are */
	u16 at;   /* offset in the window, modulo its size; a page of memory; what exactly */
	u32 value;
};
_Static_assert(sizeof(struct record) == 8, "an input is a row of these");

/* clang-format off */
enum machine_op {
	OP_OUT,      /* window (of ports) or memory window, at, value */
	OP_IN,
	OP_OUTS,     /* the same place so often: value bits 0-11 (beyond 400h: bits 0-5); values: from bits 12-31 on, counted up by
	                bit 7 of op */
	OP_INS,
	OP_RAM,      /* guest memory: address at | (where & 7) << 16 */
	OP_FILL,     /* guest memory from page (at & 3ff), (where + 1) * 64 bytes of value */
	OP_CONFIG,   /* PCI configuration, written: function where, register at */
	OP_CONFIG_IN,
	OP_TIME,     /* value << (where & 15) ns, at most an hour; timers fire on the way */
	OP_LOOP,     /* what was posted to the loop */
	OP_DISK,     /* disk where: enum disk_event at */
	OP_PIN,      /* device where: input pin at, level value & 1 */
	OP_HOST,     /* what comes from the user: enum host_event where */
	OP_APIC,     /* CPU where & 1: enum apic_access at >> 12, register at & fff */
	OP_STATE,    /* device where: byte at of its state becomes value, and is loaded; bit 7: loaded later, by another such */
	OP_RESET,    /* bit 7: the machine; else device where */
	OP_REGISTER, /* general register where of the CPU that is at a port */
	OP_ACK,      /* every CPU takes up to (where & 7) + 1 of the interrupts that it has, and ends them if bit 7 */
	OP_PRD,      /* an entry of a PRD table at 1000h + (at & ff) * 8: address value & ~fff, bytes where * 32 + 2; bit 7: the last */
	OP_COUNTING, /* from now on devices are told (value & 1) that the clock counts instructions: memory changes at exact instants */
	OP_COUNT
};
enum disk_event { DISK_STEP, DISK_RUN, DISK_FAIL, DISK_WORK, DISK_OUT, DISK_IN, DISK_ASK, DISK_EVENTS };
enum host_event {
	HOST_SERIAL, HOST_SERIAL_2, HOST_PARALLEL, HOST_BREAK, HOST_KEY, HOST_POINTER, HOST_ABSOLUTE, HOST_DRAW, HOST_DRAW_ALL,
	HOST_TEXT, HOST_SIZE, HOST_POWER, HOST_WAKE, HOST_EVENTS
};
enum apic_access {
	APIC_READ, APIC_WRITE, APIC_MSR_READ, APIC_MSR_WRITE, APIC_BASE, APIC_CR8, APIC_DEADLINE, APIC_MESSAGE, APIC_ACCESSES
};

/* Bits of struct fuzz_target.groups. */
enum group {
	G_IDE = 1 << 0, G_FDC = 1 << 1, G_FW_CFG = 1 << 2, G_VGA = 1 << 3, G_LAPIC = 1 << 4, G_IOAPIC = 1 << 5, G_PIC = 1 << 6,
	G_HPET = 1 << 7, G_PIT = 1 << 8, G_RTC = 1 << 9, G_PM = 1 << 10, G_PFLASH = 1 << 11, G_UART = 1 << 12, G_PARALLEL = 1 << 13,
	G_I8042 = 1 << 14, G_VMPORT = 1 << 15, G_PCI = 1 << 16, G_TESTDEV = 1 << 17, G_DEBUG = 1 << 18, G_RESET = 1 << 19,
	G_FERR = 1 << 20, G_ANY = 1 << 21, G_ALL = (1 << 22) - 1,
};

enum window_index {
	W_IDE0, W_IDE0_CONTROL, W_IDE1, W_IDE1_CONTROL, W_BM, W_FDC, W_DMA, W_DMA_PAGES, W_DMA2, W_FW_CFG, W_VGA, W_VBE, W_PIC, W_PIC2,
	W_ELCR, W_PIT, W_PORT61, W_RTC, W_PM, W_APM, W_SMBUS, W_GPE, W_UART, W_UART2, W_PARALLEL, W_I8042, W_VMPORT, W_CF8, W_TESTDEV,
	W_TESTDEV_LINES, W_DEBUGCON, W_DEBUG_EXIT, W_PORT92, W_FERR, W_ANY_PORT, W_VGA_MEMORY, W_VGA_LINEAR, W_VGA_BAR, W_IOAPIC,
	W_HPET, W_FLASH, W_TESTDEV_MEMORY, W_MSI, W_BELOW_1M, W_ANY_MEMORY, W_COUNT
};
/* clang-format on */
struct window {
	const char *name;
	u32 groups;
	bool memory;
	u64 base, size;
};
extern const struct window machine_windows[W_COUNT];

struct fuzz_target {
	const char *name;
	u32 groups;          /* windows and templates that its inputs have */
	const char *devices; /* ids whose pins and states they reach, each between spaces; NULL: all */
	bool race;           /* another thread changes guest memory all the while */
};
extern const struct fuzz_target machine_targets[];
/* The row of that name; NULL: there is none. */
const struct fuzz_target *machine_target(const char *name);

/* PCI functions that OP_CONFIG reaches. */
struct function {
	u32 groups;
	u8 devfn;
};
#define MACHINE_FUNCTIONS 5
extern const struct function machine_functions[MACHINE_FUNCTIONS];

/* ---- machine.c ---- */
struct fuzz_machine {
	const struct fuzz_target *target;
	struct board *board;
	struct clock *clock;
	struct loop *loop;
	struct bus *bus;
	struct device *device[MACHINE_DEVICES];
	bool reached[MACHINE_DEVICES]; /* by the target's inputs */
	unsigned devices;
	struct drive drive[MACHINE_DISKS];
	struct chardev serial[2], parallel, debugcon;
	unsigned resets, draws; /* of the present input */
	u64 heard;              /* a sum of what the guest read and what left for the host: equal for equal inputs */
	u64 trail[MACHINE_RECORDS]; /* heard, after each record */
	struct picture picture;
};
/* The machine; made at the first call. */
struct fuzz_machine *machine_get(const struct fuzz_target *target);
/* Back to the snapshot. */
void machine_restore(struct fuzz_machine *m);
void machine_count(bool on);
/* Run posted functions, among them a reset of the machine. False: the input has had enough of them. */
bool machine_loop(struct fuzz_machine *m);
void machine_pass(struct fuzz_machine *m, u64 ns);
/* What lies in that drive in the snapshot. */
struct disk *machine_medium(unsigned drive);

/* ---- operations.c ---- */
void machine_run(struct fuzz_machine *m, const u8 *data, size_t size);

/* ---- memdisk.c: disks in memory; takes the place of hw/disk/disk.c for what devices call ---- */
struct disk *memdisk_new(u64 size, bool read_only);
void memdisk_free(struct disk *disk);
/* Everything on its way completes; contents and errors are as new. */
void memdisk_restore(struct disk *disk);
/* Complete up to n requests. */
void memdisk_step(struct disk *disk, unsigned n);
void memdisk_fail(struct disk *disk, int error);

/* ---- mutate.c ---- */
size_t machine_mutate(const struct fuzz_target *target, u8 *data, size_t size, size_t max, u32 seed);

#endif
