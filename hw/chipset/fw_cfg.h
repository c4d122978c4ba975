/* SPDX-License-Identifier: MIT */
/* What the board puts into the firmware configuration device. Contents belong to the machine's configuration, not to its saved
 * state: they are put in before the guest runs and again after every reset. */
#ifndef HW_CHIPSET_FW_CFG_H
#define HW_CHIPSET_FW_CFG_H

#include "hw/device.h"

/* Keys of fixed items. */
enum fw_cfg_key {
	FW_CFG_SIGNATURE = 0x00, FW_CFG_ID = 0x01, FW_CFG_UUID = 0x02, FW_CFG_RAM_SIZE = 0x03,
	FW_CFG_NOGRAPHIC = 0x04, FW_CFG_CPUS = 0x05, FW_CFG_KERNEL_ADDR = 0x07, FW_CFG_KERNEL_SIZE = 0x08,
	FW_CFG_INITRD_ADDR = 0x0a, FW_CFG_INITRD_SIZE = 0x0b, FW_CFG_NUMA = 0x0d,
	FW_CFG_BOOT_MENU = 0x0e, FW_CFG_MAX_CPUS = 0x0f, FW_CFG_KERNEL_DATA = 0x11, FW_CFG_INITRD_DATA = 0x12,
	FW_CFG_CMDLINE_ADDR = 0x13, FW_CFG_CMDLINE_SIZE = 0x14, FW_CFG_CMDLINE_DATA = 0x15,
	FW_CFG_SETUP_ADDR = 0x16, FW_CFG_SETUP_SIZE = 0x17, FW_CFG_SETUP_DATA = 0x18,
	FW_CFG_DIRECTORY = 0x19,
	FW_CFG_IRQ0_OVERRIDE = 0x8002,
};
#define FW_CFG_NAME_MAX 55

/* Both copy the data and replace what was there under that key or name. */
void fw_cfg_item(struct device *fw_cfg, enum fw_cfg_key key, const void *data, size_t len);
void fw_cfg_number(struct device *fw_cfg, enum fw_cfg_key key, u64 value, unsigned bytes); /* little-endian */
/* An item that is large and read once: make() gives its contents (from malloc; now the device's) when the guest first reads it,
 * NULL for none, and they are freed when the guest selects another. Under the machine lock. */
typedef u8 *fw_cfg_make(void *opaque, u32 key, size_t *len);
void fw_cfg_item_on_demand(struct device *fw_cfg, u32 key, fw_cfg_make *make, void *opaque);
/* False: the name is empty or longer than FW_CFG_NAME_MAX, or there are too many files. */
bool fw_cfg_file(struct device *fw_cfg, const char *name, const void *data, size_t len, struct err *err);
/* The data of a file, or NULL. */
const u8 *fw_cfg_find(struct device *fw_cfg, const char *name, size_t *len);
/* Called when the guest selects a file, before it reads any of it: the owner may replace its data by others of the same length. */
void fw_cfg_before_select(struct device *fw_cfg, void (*fn)(void *opaque, const char *name), void *opaque);

#endif
