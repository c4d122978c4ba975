/* SPDX-License-Identifier: MIT */
/* What the board asks of the floppy disk controller. */
#ifndef HW_DISK_FDC_H
#define HW_DISK_FDC_H

#include "hw/device.h"

/* The kind of a drive as the CMOS memory codes it: 0 none, 1 360K, 2 1.2M, 3 720K, 4 1.44M, 5 2.88M. It follows from the medium
 * that was in at power-on; an empty drive is one of 1.44M. */
u8 fdc_drive_type(struct device *fdc, unsigned unit);

#endif
