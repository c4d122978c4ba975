/* SPDX-License-Identifier: MIT */
/* What the timers and the IOAPIC agree on: how many edges of a periodic timer are made up for when the host had no time for them,
 * or for the CPU that should have taken them. Guests count these edges as time; a real CPU would have seen them all. */
#ifndef HW_CHIPSET_TICKS_H
#define HW_CHIPSET_TICKS_H

#define TICKS_OWED_MAX 32u

#endif
