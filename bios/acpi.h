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
	u8 dma;           /* ISA DMA channels, a bit each */
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
	bool s3;                /* suspend to RAM is offered, */
	u8 s3_type;             /* with this SLP_TYP */
	u32 ioapic_base;
	u8 ioapic_id;
	u32 hpet_base;          /* 0 = none */
	u32 pci_first, pci_last; /* the PCI hole below 4 GiB */
	u8 pci_irq[4];          /* where PIRQA..PIRQD are routed */
	u8 level_irqs[4];       /* ISA interrupts that are level-triggered, active high; 0 ends */
	const struct acpi_isa *isa;
	unsigned isa_count;
};

/* The tables as one relocatable image, and the root pointer, which firmware wants to place on its own. Pointers hold offsets into
 * the image until it is placed, checksum bytes hold 0. */
#define ACPI_POINTERS 32
#define ACPI_SUMS 16
#define ACPI_RSDP_SIZE 36
#define ACPI_ALIGN 64
struct acpi_image {
	u8 *data;
	size_t len;
	u8 rsdp[ACPI_RSDP_SIZE];
	struct acpi_pointer {
		bool in_rsdp;
		u8 size; /* 4 or 8 */
		u32 at;
	} pointer[ACPI_POINTERS];
	struct acpi_sum {
		bool in_rsdp;
		u32 at, start, len;
	} sum[ACPI_SUMS];
	unsigned pointers, sums;
};
void acpi_build(const struct acpi_machine *machine, struct acpi_image *image);
void acpi_free(struct acpi_image *image);
/* For direct boot: pointers and checksums as they must be with the image at base. */
void acpi_place(struct acpi_image *image, u32 base);
/* For firmware: the script that has it do the same (QEMU's table loader), with the names of the two fw_cfg files.
 * Returns its length; *script is the caller's to free. */
size_t acpi_script(const struct acpi_image *image, const char *tables, const char *rsdp, u8 **script);

#endif
