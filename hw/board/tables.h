/* SPDX-License-Identifier: MIT */
/* What ACPI and SMBIOS tell of this board, for direct boot and for firmware. */
#ifndef HW_BOARD_TABLES_H
#define HW_BOARD_TABLES_H

#include "bios/acpi.h"
#include "hw/board/board.h"

/* pm_base and pirq_route (PIRQA..D to ISA interrupts) are what whoever set up the chipset has chosen. */
struct acpi_machine tables_describe(struct board *board, u16 pm_base, const u8 pirq_route[4]);
/* The fw_cfg files for ACPI (as the chipset is set up now) and SMBIOS. */
bool tables_acpi_files(struct board *board, struct device *fw_cfg, struct err *err);
bool tables_smbios_files(struct board *board, struct device *fw_cfg, struct err *err);

#endif
