/* SPDX-License-Identifier: MIT */
/* The inside of a board, shared by the files of this folder. */
#ifndef HW_BOARD_PRIVATE_H
#define HW_BOARD_PRIVATE_H

#include "hw/board/board.h"
#include "hw/board/switch.h"
#include "hw/board/vcpu.h"

struct board_cpu_pins { /* what ties one CPU to its interrupt controllers */
	struct board *board;
	struct vcpu *vcpu;
	struct device *lapic;
};

struct board {
	struct board_config config;
	struct clock *clock;
	struct loop *loop;
	struct bus bus;
	struct machine machine;
	struct ram *ram;
	struct region low, high;
	struct ram *rom[BOARD_FLASHES]; /* firmware: one ROM, or flash chips */
	struct region rom_high, rom_low;
	struct ram *vga_rom; /* NULL: the display adapter has no firmware */
	u32 kernel_setup;               /* bytes of the setup part of a kernel that firmware starts; 0: it is none of Linux */
	bool tables_made; /* the guest has asked for its ACPI tables since the reset */
	struct vcpu *vcpu;
	const struct engine *engine; /* of all of them */
	struct board_switching switching;
	struct board_cpu_pins *pins;
	unsigned cpus;
	struct device *devices;
	struct device *pic, *ioapic;
	u64 gsi_raised[24];
	u64 gsi[24]; /* who drives each interrupt line */
	unsigned gsi_sources;
	unsigned paused; /* nested */
	bool io_error; /* paused because a drive holds a request back */
	bool reset_posted;
	bool suspended; /* to RAM: the CPUs are parked, whatever `paused` says */
};

/* Ask all CPUs to stand still, for good or until board_pause() and board_continue(). Under the lock, any thread. */
void board_stop_cpus(struct board *board);
struct device *board_add(struct board *board, const char *class_name, const char *id, const char *options, struct err *err);

#endif
