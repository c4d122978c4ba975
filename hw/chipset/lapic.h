/* SPDX-License-Identifier: MIT */
/* What the board and the apic bus need of a local APIC (class "lapic") besides its pins.
 *
 * Input pins: 0 LINT0 (the PIC's output), 1 LINT1. Output pins, by name: "intr" is a level (lapic_pending() has something),
 * "nmi", "init", "sipi" and "smi" are pulses; lapic_sipi_vector() tells what a "sipi" carried.
 * Everything is called under the machine lock. */
#ifndef HW_CHIPSET_LAPIC_H
#define HW_CHIPSET_LAPIC_H

#include "hw/device.h"

#define LAPIC_EXTINT 256 /* not a vector: ask the PIC for it */

/* The register page; offset within it. */
u32 lapic_read(struct device *lapic, u32 offset);
void lapic_write(struct device *lapic, u32 offset, u32 value);

/* What the CPU would be interrupted with: a vector, LAPIC_EXTINT, or -1. acknowledge takes it. */
int lapic_pending(struct device *lapic);
int lapic_acknowledge(struct device *lapic);

/* x2APIC mode: MSR 800h + reg. False: #GP. */
bool lapic_msr_read(struct device *lapic, u32 reg, u64 *value);
bool lapic_msr_write(struct device *lapic, u32 reg, u64 value);

/* IA32_APIC_BASE (read without the lock, too); false: the value raises #GP. Whether there is an x2APIC mode is the CPU's affair. */
u64 lapic_get_base(struct device *lapic);
bool lapic_set_base(struct device *lapic, u64 value);
/* CR8. */
u64 lapic_get_tpr(struct device *lapic);
void lapic_set_tpr(struct device *lapic, u64 cr8);
/* IA32_TSC_DEADLINE, in terms of the guest's TSC, which is virtual time at tsc-hz plus this offset. Tell it first. */
void lapic_set_tsc_offset(struct device *lapic, u64 offset);
u64 lapic_get_tsc_deadline(struct device *lapic);
void lapic_set_tsc_deadline(struct device *lapic, u64 tsc);

u8 lapic_sipi_vector(struct device *lapic);

/* For the apic bus. deliver returns false if the APIC does not take the message. mode: enum apic_mode. */
bool lapic_deliver(struct device *lapic, u8 vector, unsigned mode, bool level);
bool lapic_matches(struct device *lapic, u32 dest, bool logical);
bool lapic_enabled(struct device *lapic);
/* Does the vector wait in the IRR? */
bool lapic_requested(struct device *lapic, u8 vector);
/* Is a less fit than b to take a lowest-priority message? */
bool lapic_busier(struct device *a, struct device *b);

#endif
