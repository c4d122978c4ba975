/* SPDX-License-Identifier: MIT */
/* The PC on one screen. Devices are created in this order; a missing name in a tie is a bug found at start-up. */
#include "hw/board/pc.h"

/* clang-format off */
const struct pc_device pc_devices[] = {
	/* class,        id,        options,    serial, pins: { pin, to, input }, drives */
	{"i440fx",       "i440fx",  NULL,       0, {{0}}},
	{"pic",          "pic",     NULL,       0, {{"intr", "cpu", 0}}},
	{"ioapic",       "ioapic",  NULL,       0, {{0}}},
	{"piix3",        "piix3",   NULL,       0, {{"irq3", "gsi", 3}, {"irq4", "gsi", 4}, {"irq5", "gsi", 5}, {"irq6", "gsi", 6},
	                                            {"irq7", "gsi", 7}, {"irq9", "gsi", 9}, {"irq10", "gsi", 10}, {"irq11", "gsi", 11},
	                                            {"irq12", "gsi", 12}, {"irq14", "gsi", 14}, {"irq15", "gsi", 15}}},
	{"piix3-ide",    "ide",     NULL,       0, {{"irq14", "gsi", 14}, {"irq15", "gsi", 15}}, PC_IDE},
	{"piix4-pm",     "pm",      NULL,       0, {{"sci", "gsi", 9}, {"smi", "cpu", 2}}},
	{"port92",       "port92",  NULL,       0, {{0}}},
	{"ferr",         "ferr",    NULL,       0, {{"irq13", "gsi", 13}}},
	/* the HPET passes the PIT's and the RTC's interrupts on, until a guest asks it to take their place */
	{"hpet",         "hpet",    NULL,       0, {{"legacy0", "gsi", 0}, {"legacy8", "gsi", 8}, {"irq2", "gsi", 2}}},
	{"pit",          "pit",     NULL,       0, {{"irq0", "hpet", 0}}},
	{"rtc",          "rtc",     NULL,       0, {{"irq8", "hpet", 1}}},
	{"i8042",        "i8042",   NULL,       0, {{"irq1", "gsi", 1}, {"irq12", "gsi", 12}, {"a20", "port92", 0}}},
	{"vmport",       "vmport",  NULL,       0, {{"mouse", "i8042", 0}}},
	{"dma",          "dma",     NULL,       0, {{0}}},
	{"isa-fdc",      "fdc",     NULL,       0, {{"irq6", "gsi", 6}}, PC_FLOPPY},
	{"fw_cfg",       "fw_cfg",  NULL,       0, {{0}}},
	{"isa-serial",   "serial0", "index=0",  1, {{"irq", "gsi", 4}}},
	{"isa-serial",   "serial1", "index=1",  2, {{"irq", "gsi", 3}}},
	{"isa-serial",   "serial2", "index=2",  3, {{"irq", "gsi", 4}}},
	{"isa-serial",   "serial3", "index=3",  4, {{"irq", "gsi", 3}}},
	{"isa-parallel", "parallel0", NULL, PC_PARALLEL, {{"irq", "gsi", 7}}},
};

const struct acpi_isa pc_isa[] = {
	/* name, PnP id,   ports,         lengths, irq, uid, DMA */
	{"RTC_", "PNP0B00", {0x70, 0},    {2, 0},   8, 0},
	{"TMR_", "PNP0100", {0x40, 0},    {4, 0},   0, 0},
	{"SPKR", "PNP0800", {0x61, 0},    {1, 0},  -1, 0},
	{"KBD_", "PNP0303", {0x60, 0x64}, {1, 1},   1, 0},
	{"MOU_", "PNP0F13", {0, 0},       {0, 0},  12, 0},
	{"COM1", "PNP0501", {0x3f8, 0},   {8, 0},   4, 1},
	{"COM2", "PNP0501", {0x2f8, 0},   {8, 0},   3, 2},
	{"FDC0", "PNP0700", {0x3f2, 0x3f7}, {4, 1},   6, 0, 1 << 2},
	{"FWCF", "QEMU0002", {0x510, 0},  {12, 0}, -1, 0},
};
/* clang-format on */

const unsigned pc_device_count = sizeof pc_devices / sizeof *pc_devices;
const unsigned pc_isa_count = sizeof pc_isa / sizeof *pc_isa;
