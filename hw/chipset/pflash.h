/* SPDX-License-Identifier: MIT */
/* What the board hands to a flash chip before it is started. */
#ifndef HW_CHIPSET_PFLASH_H
#define HW_CHIPSET_PFLASH_H

#include "hw/device.h"
#include "mem/ram.h"

struct pflash_chip {
	struct ram *ram; /* ROM block that holds the contents; the caller's */
	u64 base;        /* guest address */
	bool read_only;  /* programming and erasing fail */
	/* These bytes are new: for whoever keeps the contents. May be NULL. Never waits. */
	void (*changed)(void *opaque, const u8 *data, u64 offset, u64 len);
	void *opaque;
};
void pflash_attach(struct device *device, const struct pflash_chip *chip);

#endif
