/* SPDX-License-Identifier: MIT */
/* What the machine fuzzers reach, and the targets: which of it each one tries. Windows and functions are named by their index in
 * inputs, so new ones go to the end. */
#include "tests/fuzz/machine.h"

/* clang-format off */
const struct window machine_windows[W_COUNT] = {
	[W_IDE0] =           {"ide0",           G_IDE,      false, 0x1f0, 8},
	[W_IDE0_CONTROL] =   {"ide0.control",   G_IDE,      false, 0x3f6, 1},
	[W_IDE1] =           {"ide1",           G_IDE,      false, 0x170, 8},
	[W_IDE1_CONTROL] =   {"ide1.control",   G_IDE,      false, 0x376, 1},
	[W_BM] =             {"bus master",     G_IDE,      false, 0xc000, 16},
	[W_FDC] =            {"fdc",            G_FDC,      false, 0x3f0, 8},
	[W_DMA] =            {"dma",            G_FDC,      false, 0x00, 16},
	[W_DMA_PAGES] =      {"dma.pages",      G_FDC,      false, 0x80, 16},
	[W_DMA2] =           {"dma2",           G_FDC,      false, 0xc0, 32},
	[W_FW_CFG] =         {"fw_cfg",         G_FW_CFG,   false, 0x510, 12},
	[W_VGA] =            {"vga",            G_VGA,      false, 0x3b0, 0x30},
	[W_VBE] =            {"vbe",            G_VGA,      false, 0x1ce, 4},
	[W_PIC] =            {"pic",            G_PIC,      false, 0x20, 2},
	[W_PIC2] =           {"pic2",           G_PIC,      false, 0xa0, 2},
	[W_ELCR] =           {"elcr",           G_PIC,      false, 0x4d0, 2},
	[W_PIT] =            {"pit",            G_PIT,      false, 0x40, 4},
	[W_PORT61] =         {"port 61",        G_PIT,      false, 0x61, 1},
	[W_RTC] =            {"rtc",            G_RTC,      false, 0x70, 4},
	[W_PM] =             {"pm",             G_PM,       false, 0x600, 64},
	[W_APM] =            {"apm",            G_PM,       false, 0xb2, 2},
	[W_SMBUS] =          {"smbus",          G_PM,       false, 0x700, 16},
	[W_GPE] =            {"gpe",            G_PM,       false, 0xafe0, 4},
	[W_UART] =           {"uart",           G_UART,     false, 0x3f8, 8},
	[W_UART2] =          {"uart2",          G_UART,     false, 0x2f8, 8},
	[W_PARALLEL] =       {"parallel",       G_PARALLEL, false, 0x378, 8},
	[W_I8042] =          {"i8042",          G_I8042,    false, 0x60, 5},
	[W_VMPORT] =         {"vmport",         G_VMPORT,   false, 0x5658, 4},
	[W_CF8] =            {"cf8",            G_PCI | G_RESET, false, 0xcf8, 8},
	[W_TESTDEV] =        {"testdev",        G_TESTDEV,  false, 0xe0, 12},
	[W_TESTDEV_LINES] =  {"testdev.lines",  G_TESTDEV,  false, 0x2000, 24},
	[W_DEBUGCON] =       {"debugcon",       G_DEBUG,    false, 0x402, 1},
	[W_DEBUG_EXIT] =     {"debug-exit",     G_DEBUG,    false, 0x501, 4},
	[W_PORT92] =         {"port 92",        G_RESET,    false, 0x92, 1},
	[W_FERR] =           {"ferr",           G_FERR,     false, 0xf0, 2},
	[W_ANY_PORT] =       {"any port",       G_ANY,      false, 0, 0x10000},
	[W_VGA_MEMORY] =     {"vga.memory",     G_VGA,      true, 0xa0000, 0x20000},
	[W_VGA_LINEAR] =     {"vga.linear",     G_VGA,      true, 0xe0000000, 0x10000},
	[W_VGA_BAR] =        {"vga.registers",  G_VGA,      true, 0xe1000000, 0x1000},
	[W_IOAPIC] =         {"ioapic",         G_IOAPIC,   true, 0xfec00000, 0x44},
	[W_HPET] =           {"hpet",           G_HPET,     true, 0xfed00000, 0x200},
	[W_FLASH] =          {"flash",          G_PFLASH,   true, 0xfffe0000, 0x20000},
	[W_TESTDEV_MEMORY] = {"testdev.memory", G_TESTDEV,  true, 0xff000000, 0x10000},
	[W_MSI] =            {"msi",            G_LAPIC | G_IOAPIC, true, 0xfee00000, 0x10000},
	[W_BELOW_1M] =       {"below 1 MiB",    G_PCI,      true, 0xa0000, 0x60000},
	[W_ANY_MEMORY] =     {"any memory",     G_ANY,      true, 0, 0x10000}, /* in each gigabyte: see operations.c */
};

const struct function machine_functions[MACHINE_FUNCTIONS] = {
	{G_PCI, 0 << 3}, {G_PCI, 1 << 3}, {G_PCI | G_IDE, 1 << 3 | 1}, {G_PCI | G_PM, 1 << 3 | 3}, {G_PCI | G_VGA, 2 << 3},
};

const struct fuzz_target machine_targets[] = {
	{"ide",      G_IDE,                      " ide "},
	{"fdc",      G_FDC,                      " fdc dma "},
	{"fw_cfg",   G_FW_CFG,                   " fw_cfg "},
	{"vga",      G_VGA,                      " vga "},
	{"lapic",    G_LAPIC,                    " lapic0 lapic1 "},
	{"ioapic",   G_IOAPIC | G_LAPIC,         " ioapic "},
	{"pic",      G_PIC,                      " pic "},
	{"hpet",     G_HPET,                     " hpet "},
	{"pit",      G_PIT,                      " pit "},
	{"rtc",      G_RTC,                      " rtc "},
	{"pm",       G_PM,                       " pm "},
	{"pflash",   G_PFLASH,                   " pflash0 pflash1 "},
	{"uart",     G_UART,                     " serial0 serial1 "},
	{"parallel", G_PARALLEL,                 " parallel0 "},
	{"i8042",    G_I8042,                    " i8042 "},
	{"vmport",   G_VMPORT | G_I8042,         " vmport i8042 "},
	{"pci",      G_PCI,                      " i440fx piix3 ide pm vga "},
	{"misc",     G_TESTDEV | G_DEBUG | G_RESET | G_FERR, " testdev exit debugcon port92 ferr piix3 "},
	{"all",      G_ALL,                      NULL},
	{"race",     G_IDE | G_FDC | G_FW_CFG | G_VGA, " ide fdc dma fw_cfg vga ", .race = true},
	{0},
};
/* clang-format on */

const struct fuzz_target *machine_target(const char *name)
{
	for (const struct fuzz_target *t = machine_targets; t->name; t++)
		if (!strcmp(t->name, name))
			return t;
	return NULL;
}
