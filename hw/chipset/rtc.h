/* SPDX-License-Identifier: MIT */
/* The CMOS memory of the real-time clock, for the board: what firmware reads of the machine's configuration there. */
#ifndef HW_CHIPSET_RTC_H
#define HW_CHIPSET_RTC_H

#include "hw/device.h"

u8 rtc_get_cmos(struct device *rtc, u8 index);
void rtc_set_cmos(struct device *rtc, u8 index, u8 value);
/* Bit 7 of port 70h: NMIs are masked. */
bool rtc_nmi_masked(struct device *rtc);

#endif
