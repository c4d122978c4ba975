/* SPDX-License-Identifier: MIT */
/* Tables for the guest, from the wiring of the board: see tables.h. */
#include "hw/board/tables.h"

#include <stdlib.h>

#include "bios/smbios.h"
#include "hw/board/pc.h"
#include "hw/board/private.h"
#include "hw/chipset/fw_cfg.h"
#include "hw/chipset/pci.h"

enum { BRIDGE = 1 << 3, PIRQ_ROUTE = 0x60, PM = 1 << 3 | 3, PM_BASE = 0x40, PM_ENABLE = 0x80 };
#define TABLES "etc/acpi/tables"
#define RSDP "etc/acpi/rsdp"
/* The guest has read the files' lengths before the tables are made anew, so that they must not change. */
#define TABLES_ROUND 16384u

struct acpi_machine tables_describe(struct board *board, u16 pm_base, const u8 pirq_route[4])
{
	return (struct acpi_machine){
		.cpus = board->cpus,
		.pm_base = pm_base,
		.gpe_base = 0xafe0,
		.gpe_len = 4,
		.smi_port = 0xb2,
		.smi_acpi_enable = 0xf1,
		.smi_acpi_disable = 0xf0,
		.sci_irq = 9,
		.s5_type = 0,
		.s3 = board->rom[0] != NULL, /* waking up is the firmware's work */
		.s3_type = 1,
		.ioapic_base = 0xfec00000,
		.ioapic_id = 0,
		.hpet_base = board_device(board, "hpet") ? 0xfed00000 : 0,
		/* SeaBIOS and OVMF place BARs from 2 GiB on */
		.pci_first = MAX(board->machine.ram_below_4g, board->rom[0] ? 0x80000000ull : 0xc0000000ull),
		.pci_last = 0xfebfffff,
		.pci_irq = {pirq_route[0], pirq_route[1], pirq_route[2], pirq_route[3]},
		.level_irqs = {9, 10, 11},
		.isa = pc_isa,
		.isa_count = pc_isa_count,
	};
}

bool tables_acpi_files(struct board *board, struct device *fw_cfg, struct err *err)
{
	static const u8 usual[4] = {10, 10, 11, 11};
	struct pci_bus *pci = board->machine.pci;
	u8 route[4];
	u16 pm_base = pci_config_read(pci, PM << 8 | PM_BASE, 2) & 0xffc0;
	struct acpi_image image;

	/* until the firmware has chosen, say what SeaBIOS will choose */
	if (!(pci_config_read(pci, PM << 8 | PM_ENABLE, 1) & 1) || !pm_base)
		pm_base = 0x600;
	for (unsigned i = 0; i < 4; i++) {
		route[i] = pci_config_read(pci, BRIDGE << 8 | (PIRQ_ROUTE + i), 1);
		if (route[i] & 0x80 || !route[i])
			route[i] = usual[i];
	}
	struct acpi_machine machine = tables_describe(board, pm_base, route);
	acpi_build(&machine, &image);
	size_t len = (image.len + TABLES_ROUND - 1) & ~(size_t)(TABLES_ROUND - 1);
	u8 *padded = err_alloc(len), *script;
	memcpy(padded, image.data, image.len);
	size_t script_len = acpi_script(&image, TABLES, RSDP, &script);
	bool ok = fw_cfg_file(fw_cfg, TABLES, padded, len, err) && fw_cfg_file(fw_cfg, RSDP, image.rsdp, sizeof image.rsdp, err) &&
	          fw_cfg_file(fw_cfg, "etc/table-loader", script, script_len, err);
	free(script);
	free(padded);
	acpi_free(&image);
	return ok;
}

bool tables_smbios_files(struct board *board, struct device *fw_cfg, struct err *err)
{
	const struct smbios_machine machine = {
		.cpus = board->cpus,
		.cpu_brand = board->config.model.brand,
		.cpu_signature = model_signature(&board->config.model),
		.ram_below_4g = board->machine.ram_below_4g,
		.ram_size = board->machine.ram_size,
	};
	struct smbios_image image;

	smbios_build(&machine, &image);
	bool ok = fw_cfg_file(fw_cfg, "etc/smbios/smbios-tables", image.data, image.len, err) &&
	          fw_cfg_file(fw_cfg, "etc/smbios/smbios-anchor", image.anchor, sizeof image.anchor, err);
	smbios_free(&image);
	return ok;
}
