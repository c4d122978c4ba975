/* SPDX-License-Identifier: MIT */
/* What a device is. One file each, one DEVICE() registration, no header (but for buses that other devices plug into:
 * pci.h). The board creates devices in the order of its wiring table and ties their pins; a device knows no other.
 *
 * A device's object is one struct, allocated zeroed by the board, that begins with struct device and holds a state
 * struct: plain data, covered byte by byte by the field table, all there is to save. Everything runs under the machine lock. */
#ifndef HW_DEVICE_H
#define HW_DEVICE_H

#include "base/clock.h"
#include "base/err.h"
#include "base/field.h"
#include "base/loop.h"
#include "base/options.h"
#include "base/trace.h"
#include "base/types.h"
#include "mem/bus.h"

/* An output pin: what it is tied to. An untied one has fn NULL. */
struct irq_line {
	void (*fn)(void *opaque, unsigned n, bool level);
	void *opaque;
	unsigned n;
};
static inline void irq_set(const struct irq_line *line, bool level)
{
	if (line->fn)
		line->fn(line->opaque, line->n, level);
}

/* A character stream to the host (terminal, file, socket): the frontend implements it, a UART uses it. */
struct chardev {
	/* Host side, called by the device. Never blocks; what cannot be sent is kept in order by the host side. full: so much is
	 * kept that a device that can wait should, until it is called back by ready; what is written all the same may be dropped.
	 * May be NULL: never full. */
	void (*write)(void *opaque, const u8 *data, size_t len);
	bool (*full)(void *opaque);
	void *opaque;
	/* Device side, called by the host. can_receive: how many bytes the device takes now. */
	size_t (*can_receive)(void *device);
	void (*receive)(void *device, const u8 *data, size_t len);
	void (*event_break)(void *device); /* the user sent a break; may be NULL */
	void (*ready)(void *device);       /* it was full and no longer is; may be NULL */
	void *device;
	/* The device has room again: the host may deliver what it holds back. Set by the host; may be NULL. */
	void (*room)(void *opaque);
};

static inline bool chardev_full(const struct chardev *chardev)
{
	return chardev && chardev->full && chardev->full(chardev->opaque);
}

/* What a device may ask of the machine (power, reset), implemented by the board. */
enum machine_request { MACHINE_RESET, MACHINE_POWER_OFF, MACHINE_SUSPEND, MACHINE_DEBUG_EXIT };
struct machine_ops {
	void (*request)(void *opaque, enum machine_request what, int value /* exit status for MACHINE_DEBUG_EXIT */);
	/* EAX, EBX, ECX, EDX, ESI, EDI of the CPU whose IN this is, for calls with arguments in registers. set: give it all but EAX,
	 * which is what the port reads as. False, or NULL: no CPU reads. */
	bool (*registers)(void *opaque, u32 *six, bool set);
	void *opaque;
};

struct apic_bus;
struct display_source;
struct drive;
struct input;
struct pci_bus;
struct ram;
struct speaker;
/* The machine as a device sees it. */
struct machine {
	struct bus *bus;
	struct clock *clock;
	struct loop *loop;
	struct machine_ops ops;
	struct pci_bus *pci;   /* NULL until the host bridge has made it */
	struct device *isa_dma; /* hw/chipset/dma.h; NULL until the DMA controller has come */
	struct apic_bus *apic; /* NULL until the first local APIC or IOAPIC has made it */
	struct ram *ram;     /* guest RAM, for what the host bridge shadows; byte 0 is guest address 0. May be NULL */
	u64 ram_size;        /* bytes of guest RAM in all */
	u64 ram_below_4g;    /* of it, bytes below the PCI hole; the rest starts at 4 GiB */
	unsigned cpus;
	/* What devices offer to the front ends; they register themselves in init and take themselves out in destroy. */
	struct display_source *display;  /* hw/video/display.h; NULL: no display adapter */
	struct input *input[4];          /* hw/input/input.h: keyboards and pointers; NULL-ended */
	struct speaker *speaker;         /* hw/sound/speaker.h: the front end's ear; NULL: nobody listens */
};

/* Priorities in the memory map. RAM hides PCI BARs as the host bridge's decoder does; fixed addresses come before both. */
enum map_priority {
	MAP_PCI = -1,   /* BARs */
	MAP_RAM = 0,
	MAP_HOLE = 1,   /* A0000-FFFFF, where the host bridge keeps RAM hidden */
	MAP_DEVICE = 2, /* fixed addresses: IOAPIC, HPET, legacy video memory, firmware ROM */
	MAP_SHADOW = 3, /* RAM that the host bridge puts before ROM (PAM, SMRAM) */
};

#define DEVICE_PINS 32
struct device_class;
struct device {
	const struct device_class *class;
	const char *id;          /* unique in the machine ("serial0"); also the section name of its saved state */
	struct machine *machine;
	struct irq_line out[DEVICE_PINS]; /* tied by the board before init */
	struct chardev *chardev;          /* if the class takes one */
	struct ram *rom;                  /* its expansion ROM, a power of two in size; the board's; NULL: none */
	struct drive *drive[4];           /* hw/disk/disk.h, if the class takes any: by unit (FDC: A, B; IDE: channel * 2 + unit) */
	bool started;                     /* init has succeeded */
	struct device *next;              /* for the board's list */
};

struct device_class {
	const char *name; /* as in QEMU where QEMU has it: "isa-serial" */
	const char *desc; /* one line for -device help */
	size_t size;      /* of the whole object */
	size_t state_offset, state_size;
	const struct field *fields;       /* cover state_size bytes */
	const struct option_key *options; /* offsets into the object; defaults are set by init for zero values */
	const char *const *pins;          /* names of output pins, NULL-ended, for wiring and for `info` */
	bool user;                        /* may be added by -device */
	/* If so: the interrupt line (0-15 ISA, to 23 IOAPIC) that output pin n leads to then. NULL: it has no such pins. */
	unsigned (*line)(const struct device *device, unsigned n);
	bool (*init)(struct device *device, struct err *err); /* map regions, make timers; on failure leaves nothing behind */
	void (*reset)(struct device *device);                 /* power-on and warm reset alike; also run once after init */
	void (*input)(struct device *device, unsigned n, bool level); /* input pins */
	/* After the state of all devices was loaded: make it legal (it may come from anyone), re-arm timers, remap, drive pins. */
	void (*loaded)(struct device *device);
	void (*destroy)(struct device *device); /* after a successful init only: cancel timers, unmap, free */
	const struct device_class *next;
};

/* At the foot of the file: DEVICE(pit) = { .name = "pit", ... }; */
#define DEVICE(id)                                                                                                     \
	static struct device_class id##_class;                                                                             \
	__attribute__((constructor)) static void id##_class_register(void)                                                 \
	{                                                                                                                  \
		device_register(&id##_class);                                                                                  \
	}                                                                                                                  \
	static struct device_class id##_class

void device_register(struct device_class *class);
const struct device_class *device_find(const char *name);
const struct device_class *device_first(void); /* the catalogue, sorted by name */

/* Create, tie, then start: create allocates and parses options ("iobase=0x501", NULL for none), start runs init and reset. */
struct device *device_create(const char *class_name, const char *id, const char *options, struct machine *machine,
                             struct err *err);
bool device_start(struct device *device, struct err *err);
void device_free(struct device *device);
/* An irq_line into a device's input pin. */
struct irq_line device_input(struct device *device, unsigned n);
/* The state struct within the object. */
static inline void *device_state(struct device *device)
{
	return (char *)device + device->class->state_offset;
}

#endif
