/* SPDX-License-Identifier: MIT */
/* What the board needs of the coprocessor's error logic besides its pins: the level of IGNNE#. */
#ifndef HW_CHIPSET_FERR_H
#define HW_CHIPSET_FERR_H

#include "hw/device.h"

/* IGNNE#: may the CPU go on while FERR# is asserted? Under the machine lock. */
bool ferr_ignored(const struct device *ferr);

#endif
