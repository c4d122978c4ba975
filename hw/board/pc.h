/* SPDX-License-Identifier: MIT */
/* The wiring of the PC: which devices there are, in the order of their creation, and what each output pin is tied to. */
#ifndef HW_BOARD_PC_H
#define HW_BOARD_PC_H

#include "bios/acpi.h"
#include "base/types.h"

/* A tie: output pin `pin` of the device goes to input `to_pin` of device `to`. "gsi" and "cpu" are no devices
 * but the PC's interrupt wiring (intc.h). */
struct pc_tie {
	const char *pin;
	const char *to;
	u8 to_pin;
};
#define PC_TIES 16
#define PC_PARALLEL 5
enum pc_drives { PC_NO_DRIVES, PC_IDE, PC_FLOPPY };
struct pc_device {
	const char *class_name, *id, *options;
	u8 serial; /* n: only present if serial port n (1..4) is, or PC_PARALLEL */
	struct pc_tie tie[PC_TIES];
	enum pc_drives drives; /* which drives of the configuration it takes */
};
extern const struct pc_device pc_devices[];
extern const unsigned pc_device_count;

/* What ACPI tells of the ISA devices. */
extern const struct acpi_isa pc_isa[];
extern const unsigned pc_isa_count;

#endif
