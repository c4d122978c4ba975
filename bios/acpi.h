/* SPDX-License-Identifier: MIT */
/* ACPI tables, generated from the wiring of the board. */
#ifndef BIOS_ACPI_H
#define BIOS_ACPI_H

#include "base/types.h"

/* An ISA device worth telling: its PnP id, ports and interrupt. */
struct acpi_isa {
	const char *name; /* four characters at most: "COM1" */
	const char *pnp;  /* "PNP0501" */
	u16 io[2];        /* 0 = none */
	u8 io_len[2];
	i8 irq;           /* -1 = none */
	u8 uid;
};

/* What the tables tell of the machine. */
struct acpi_machine {
	unsigned cpus;
	u16 pm_base;            /* PM1 event block; control at +4, timer at +8 */
	u16 gpe_base;
	u8 gpe_len;
	u16 smi_port;
	u8 smi_acpi_enable, smi_acpi_disable;
	u8 sci_irq;
	u8 s5_type;             /* SLP_TYP of S5 */
	u32 ioapic_base;
	u8 ioapic_id;
	u32 hpet_base;          /* 0 = none */
	u32 pci_first, pci_last; /* the PCI hole below 4 GiB */
	u8 pci_irq[4];          /* where PIRQA..PIRQD are routed */
	u8 level_irqs[4];       /* ISA interrupts that are level-triggered, active high; 0 ends */
	const struct acpi_isa *isa;
	unsigned isa_count;
};

/* All tables as one image to be placed at base (16-byte aligned, below 4 GiB): first the root pointer, then the rest.
 * Returns its length; *image is the caller's to free. */
size_t acpi_build(const struct acpi_machine *machine, u32 base, u8 **image);

#endif
