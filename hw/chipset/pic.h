/* SPDX-License-Identifier: MIT */
/* What the board needs of the PIC pair besides its pins: the interrupt acknowledge cycle. */
#ifndef HW_CHIPSET_PIC_H
#define HW_CHIPSET_PIC_H

#include "hw/device.h"

/* INTA: take the pending interrupt and return its vector; a spurious one if the request has gone. */
int pic_acknowledge(struct device *pic);

#endif
