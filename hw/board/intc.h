/* SPDX-License-Identifier: MIT */
/* Interrupts of the PC: how device pins reach PIC and IOAPIC, and how the controllers reach the CPUs. */
#ifndef HW_BOARD_INTC_H
#define HW_BOARD_INTC_H

#include "hw/board/board.h"

/* A local APIC for every CPU, tied to it. After the PIC and IOAPIC exist, before devices are started. */
bool intc_make_lapics(struct board *board, struct err *err);
/* Names in the wiring table that are no devices: "gsi" (n: interrupt line) and "cpu" (n: enum intc_cpu_pin). fn NULL: neither. */
struct irq_line intc_line(struct board *board, const char *to, unsigned n);

#define INTC_LINES 24
#define INTC_SOURCES 64 /* pins that may drive them, all together */
/* How often an interrupt line went up since power-on, for the user. Under the machine lock. */
struct intc_count {
	u64 raised;
	bool level;
};
struct intc_count intc_count(const struct board *board, unsigned line);

/* The PIC's output reaches every local APIC's LINT0. SMI goes to the boot CPU. */
enum intc_cpu_pin { INTC_LINT0, INTC_LINT1, INTC_SMI };
/* Tell the host bridge whether any CPU is in system management mode. Without the machine lock. */
void intc_smm(void *board, struct cpu *cpu);
/* FERR#, which is the boot CPU's. Without the machine lock. */
bool intc_ferr(void *board, struct cpu *cpu, bool asserted);

#endif
