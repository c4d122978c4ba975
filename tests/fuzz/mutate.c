/* SPDX-License-Identifier: MIT */
/* How inputs of the machine fuzzers grow: record by record, and by whole phrases of what drivers do (a command to a drive, a DMA
 * channel's programming), in which single words are then changed like all others. */
#include "tests/fuzz/machine.h"

size_t LLVMFuzzerMutate(u8 *data, size_t size, size_t max);

#define S2 0x20 /* sizes of accesses */
#define S4 0x40
#define LAST 0x80
#define PHRASE 14

/* clang-format off */
enum wild { EXACT, ANY, SMALL, ATA, PACKET_CODE, FLOPPY, PAGE, LIKELY /* one in four: any */ };
struct phrase {
	u32 groups;
	struct { u8 op, where; u16 at; u32 value; u8 wild; } word[PHRASE];
};
#define ATA_ADDRESS(w) {OP_OUT, w, 1, 0, SMALL}, {OP_OUT, w, 2, 4, SMALL}, {OP_OUT, w, 3, 1, LIKELY}, {OP_OUT, w, 4, 0, LIKELY}, \
	{OP_OUT, w, 5, 0, LIKELY}
static const struct phrase phrases[] = {
	{G_IDE, {{OP_OUT, W_IDE0, 6, 0xe0, LIKELY}, ATA_ADDRESS(W_IDE0), {OP_OUT, W_IDE0, 7, 0, ATA}, {OP_DISK, 0, DISK_RUN}}},
	{G_IDE, {{OP_OUT, W_IDE0, 6, 0xe0, LIKELY}, ATA_ADDRESS(W_IDE0), ATA_ADDRESS(W_IDE0), {OP_OUT, W_IDE0, 7, 0, ATA}}},
	{G_IDE, {{OP_OUT, W_IDE0, 6, 0xf0}, ATA_ADDRESS(W_IDE0), {OP_OUT, W_IDE0, 7, 0, ATA}, {OP_DISK, 1, DISK_STEP}}},
	{G_IDE, {{OP_OUTS | S2, W_IDE0, 0, 256}, {OP_DISK, 0, DISK_STEP}}},
	{G_IDE, {{OP_INS | S2, W_IDE0, 0, 256}, {OP_DISK, 0, DISK_STEP}}},
	{G_IDE, {{OP_PRD, 255, 0, 0x10000, PAGE}, {OP_PRD | LAST, 255, 1, 0x20000, PAGE}, {OP_OUT | S4, W_BM, 4, 0x1000},
		{OP_OUT, W_BM, 0, 8}, {OP_OUT, W_BM, 2, 6}, {OP_OUT, W_IDE0, 6, 0xe0, LIKELY}, ATA_ADDRESS(W_IDE0),
		{OP_OUT, W_IDE0, 7, 0xc8, LIKELY}, {OP_OUT, W_BM, 0, 9, LIKELY}}},
	{G_IDE, {{OP_PRD | LAST, 128, 0, 0x30000, PAGE}, {OP_OUT | S4, W_BM, 4, 0x1000}, {OP_OUT, W_IDE0, 6, 0xe0, LIKELY},
		ATA_ADDRESS(W_IDE0), {OP_OUT, W_IDE0, 7, 0xca, LIKELY}, {OP_OUT, W_BM, 0, 1, LIKELY}, {OP_DISK, 0, DISK_RUN}}},
	{G_IDE, {{OP_OUT, W_IDE1, 6, 0xa0, LIKELY}, {OP_OUT, W_IDE1, 1, 0, SMALL}, {OP_OUT, W_IDE1, 4, 0, ANY},
		{OP_OUT, W_IDE1, 5, 8}, {OP_OUT, W_IDE1, 7, 0xa0}, {OP_OUT | S2, W_IDE1, 0, 0, PACKET_CODE},
		{OP_OUT | S2, W_IDE1, 0, 0, LIKELY}, {OP_OUT | S2, W_IDE1, 0, 0, LIKELY}, {OP_OUT | S2, W_IDE1, 0, 0, LIKELY},
		{OP_OUT | S2, W_IDE1, 0, 0x100, LIKELY}, {OP_OUT | S2, W_IDE1, 0, 0, LIKELY}, {OP_DISK, 2, DISK_RUN},
		{OP_INS | S2, W_IDE1, 0, 1024}}},
	{G_IDE, {{OP_PRD | LAST, 255, 0, 0x40000, PAGE}, {OP_OUT | S4, W_BM, 12, 0x1000}, {OP_OUT, W_BM, 8, 9},
		{OP_DISK, 2, DISK_RUN}}},
	{G_IDE, {{OP_OUT, W_IDE0_CONTROL, 0, 4}, {OP_OUT, W_IDE0, 7, 0, ATA}, {OP_OUT, W_IDE0_CONTROL, 0, 0},
		{OP_OUT, W_IDE0, 7, 0, ATA}}},
	{G_IDE, {{OP_OUT, W_IDE1_CONTROL, 0, 4}, {OP_OUT, W_IDE1_CONTROL, 0, 2, SMALL}, {OP_DISK, 2, DISK_OUT, 0, SMALL},
		{OP_DISK, 2, DISK_IN}}},
	{G_FDC, {{OP_OUT, W_FDC, 2, 4}, {OP_OUT, W_FDC, 2, 0x1c}, {OP_TIME, 15, 0, 40000}, {OP_OUT, W_FDC, 5, 8}, {OP_IN, W_FDC, 5},
		{OP_IN, W_FDC, 5}}},
	{G_FDC, {{OP_OUT, W_DMA, 10, 6}, {OP_OUT, W_DMA, 12, 0}, {OP_OUT, W_DMA, 11, 0x46, LIKELY}, {OP_OUT, W_DMA, 4, 0, LIKELY},
		{OP_OUT, W_DMA, 4, 0x20, LIKELY}, {OP_OUT, W_DMA_PAGES, 1, 1, LIKELY}, {OP_OUT, W_DMA, 5, 0xff, LIKELY},
		{OP_OUT, W_DMA, 5, 1, LIKELY}, {OP_OUT, W_DMA, 10, 2}}},
	{G_FDC, {{OP_OUT, W_FDC, 5, 0, FLOPPY}, {OP_OUT, W_FDC, 5, 0, SMALL}, {OP_OUT, W_FDC, 5, 0, SMALL},
		{OP_OUT, W_FDC, 5, 0, SMALL}, {OP_OUT, W_FDC, 5, 1, SMALL}, {OP_OUT, W_FDC, 5, 2, LIKELY}, {OP_OUT, W_FDC, 5, 18, LIKELY},
		{OP_OUT, W_FDC, 5, 27, LIKELY}, {OP_OUT, W_FDC, 5, 255, LIKELY}, {OP_TIME, 15, 0, 20000, LIKELY}, {OP_DISK, 4, DISK_RUN},
		{OP_TIME, 15, 0, 20000, LIKELY}, {OP_INS, W_FDC, 5, 7}}},
	{G_FDC, {{OP_OUT, W_FDC, 5, 0, FLOPPY}, {OP_OUT, W_FDC, 5, 0, SMALL}, {OP_OUT, W_FDC, 5, 0, SMALL}, {OP_TIME, 15, 0, 60000},
		{OP_OUT, W_FDC, 5, 8}, {OP_INS, W_FDC, 5, 2}}},
	{G_FDC, {{OP_DISK, 4, DISK_OUT}, {OP_DISK, 4, DISK_IN}, {OP_OUT, W_FDC, 7, 0, SMALL}, {OP_OUTS, W_FDC, 5, 512}}},
	{G_FW_CFG, {{OP_RAM, 1, 0, 0, ANY}, {OP_RAM, 1, 4, 0x00100000, LIKELY}, {OP_RAM, 1, 8, 0},
		{OP_RAM, 1, 12, 0x00000200, LIKELY}, {OP_OUT | S4, W_FW_CFG, 4, 0}, {OP_OUT | S4, W_FW_CFG, 8, 0x00000100, LIKELY}}},
	{G_FW_CFG, {{OP_OUT | S2, W_FW_CFG, 0, 0, SMALL}, {OP_INS, W_FW_CFG, 1, 64}, {OP_RAM, 1, 0, 0x02000000, LIKELY},
		{OP_RAM, 1, 4, 0x00100000}, {OP_OUT | S4, W_FW_CFG, 8, 0x00000100}}},
	{G_VGA, {{OP_OUT, W_VGA, 0x14, 0, SMALL}, {OP_OUT, W_VGA, 0x15, 0, ANY}, {OP_OUT, W_VGA, 0x1e, 0, SMALL},
		{OP_OUT, W_VGA, 0x1f, 0, ANY}, {OP_OUTS | LAST, W_VGA_MEMORY, 0, 64, ANY}, {OP_IN, W_VGA_MEMORY, 0}}},
	{G_VGA, {{OP_OUT, W_VGA, 0x24, 0, ANY}, {OP_OUT, W_VGA, 0x25, 0, ANY}, {OP_IN, W_VGA, 0x2a}, {OP_OUT, W_VGA, 0x10, 0, ANY},
		{OP_OUT, W_VGA, 0x10, 0, ANY}, {OP_HOST, HOST_DRAW, 0, 0}}},
	{G_VGA, {{OP_OUT | S2, W_VBE, 0, 4}, {OP_OUT | S2, W_VBE, 1, 0}, {OP_OUT | S2, W_VBE, 0, 1},
		{OP_OUT | S2, W_VBE, 1, 640, LIKELY}, {OP_OUT | S2, W_VBE, 0, 2}, {OP_OUT | S2, W_VBE, 1, 16, LIKELY},
		{OP_OUT | S2, W_VBE, 0, 3}, {OP_OUT | S2, W_VBE, 1, 8, LIKELY}, {OP_OUT | S2, W_VBE, 0, 4},
		{OP_OUT | S2, W_VBE, 1, 0x41, LIKELY}, {OP_OUT | S2, W_VBE, 0, 9, SMALL}, {OP_OUT | S2, W_VBE, 1, 0, ANY},
		{OP_HOST, HOST_DRAW_ALL, 0}}},
	{G_VGA, {{OP_OUT, W_VGA, 0x18, 0, ANY}, {OP_OUTS | LAST, W_VGA, 0x19, 96, ANY}, {OP_OUT, W_VGA, 0x12, 0, ANY},
		{OP_HOST, HOST_TEXT, 0}}},
	{G_LAPIC, {{OP_APIC, 0, APIC_WRITE << 12 | 0xf0, 0x1ff}, {OP_APIC, 0, APIC_WRITE << 12 | 0x320, 0x20030, LIKELY},
		{OP_APIC, 0, APIC_WRITE << 12 | 0x3e0, 0, SMALL}, {OP_APIC, 0, APIC_WRITE << 12 | 0x380, 1000, ANY},
		{OP_TIME, 8, 0, 0, LIKELY}, {OP_ACK, 3}}},
	{G_LAPIC, {{OP_APIC, 0, APIC_WRITE << 12 | 0xf0, 0x1ff}, {OP_APIC, 1, APIC_WRITE << 12 | 0xf0, 0x1ff},
		{OP_APIC, 0, APIC_WRITE << 12 | 0x310, 0, ANY}, {OP_APIC, 0, APIC_WRITE << 12 | 0x300, 0x4040, ANY}, {OP_ACK, 2},
		{OP_APIC, 1, APIC_WRITE << 12 | 0xb0, 0}}},
	{G_LAPIC, {{OP_APIC, 1, APIC_BASE << 12, 0xfee00c00, LIKELY}, {OP_APIC, 1, APIC_MSR_WRITE << 12 | 0x30, 0x40f1, ANY},
		{OP_APIC, 1, APIC_DEADLINE << 12 | 4, 0, ANY}}},
	{G_LAPIC | G_IOAPIC, {{OP_OUT | S4, W_MSI, 0, 0x40, ANY}, {OP_PIN, 0, 0, 1, ANY}}},
	{G_IOAPIC, {{OP_OUT | S4, W_IOAPIC, 0, 0x10, ANY}, {OP_OUT | S4, W_IOAPIC, 16, 0x40, ANY}, {OP_PIN, 2, 1, 1},
		{OP_OUT | S4, W_IOAPIC, 0x40, 0x40, ANY}, {OP_PIN, 2, 1, 0}}},
	{G_PIC, {{OP_OUT, W_PIC, 0, 0x11, LIKELY}, {OP_OUT, W_PIC, 1, 8}, {OP_OUT, W_PIC, 1, 4}, {OP_OUT, W_PIC, 1, 1, LIKELY},
		{OP_OUT, W_PIC2, 0, 0x11}, {OP_OUT, W_PIC2, 1, 0x70}, {OP_OUT, W_PIC2, 1, 2}, {OP_OUT, W_PIC2, 1, 1, LIKELY},
		{OP_PIN, 1, 3, 1}, {OP_ACK, 1}, {OP_OUT, W_PIC, 0, 0x20, LIKELY}}},
	{G_HPET, {{OP_OUT | S4, W_HPET, 0x10, 1, LIKELY}, {OP_OUT | S4, W_HPET, 0x100, 0x4e, ANY},
		{OP_OUT | S4, W_HPET, 0x108, 10000, ANY}, {OP_OUT | S4, W_HPET, 0x108, 1000, ANY}, {OP_TIME, 10, 0, 1000, ANY},
		{OP_OUT | S4, W_HPET, 0x20, 7}}},
	{G_PIT, {{OP_OUT, W_PIT, 3, 0x34, ANY}, {OP_OUT, W_PIT, 0, 0, ANY}, {OP_OUT, W_PIT, 0, 0x10, LIKELY}, {OP_TIME, 6, 0, 0, ANY},
		{OP_IN, W_PIT, 0}, {OP_IN, W_PORT61, 0}}},
	{G_RTC, {{OP_OUT, W_RTC, 0, 0, ANY}, {OP_OUT, W_RTC, 1, 0, ANY}, {OP_OUT, W_RTC, 0, 11, LIKELY},
		{OP_OUT, W_RTC, 1, 0x72, LIKELY}, {OP_TIME, 14, 0, 60000, LIKELY}, {OP_OUT, W_RTC, 0, 12}, {OP_IN, W_RTC, 1}}},
	{G_PM, {{OP_OUT | S2, W_PM, 2, 0x101, ANY}, {OP_OUT | S2, W_PM, 4, 0x2001, LIKELY}, {OP_OUT, W_APM, 0, 0, ANY},
		{OP_TIME, 15, 0, 0, ANY}, {OP_IN | S4, W_PM, 8}, {OP_HOST, HOST_POWER}}},
	{G_PM, {{OP_OUT, W_SMBUS, 0, 0x1f}, {OP_OUT, W_SMBUS, 4, 0xa1, ANY}, {OP_OUT, W_SMBUS, 3, 0, ANY},
		{OP_OUT, W_SMBUS, 2, 0x48, ANY}, {OP_IN, W_SMBUS, 5}}},
	{G_PFLASH, {{OP_OUT, W_FLASH, 0, 0x40, LIKELY}, {OP_OUT, W_FLASH, 0, 0, ANY}, {OP_OUT, W_FLASH, 0, 0x20},
		{OP_OUT, W_FLASH, 0, 0xd0}, {OP_OUT, W_FLASH, 0, 0xe8}, {OP_OUT, W_FLASH, 0, 4, SMALL}, {OP_OUTS, W_FLASH, 0, 5, LIKELY},
		{OP_OUT, W_FLASH, 0, 0xd0}, {OP_IN, W_FLASH, 0}, {OP_OUT, W_FLASH, 0, 0x90, ANY}, {OP_IN, W_FLASH, 4}}},
	{G_UART, {{OP_OUT, W_UART, 3, 0x83, LIKELY}, {OP_OUT, W_UART, 0, 1, LIKELY}, {OP_OUT, W_UART, 3, 3, LIKELY},
		{OP_OUT, W_UART, 2, 7, LIKELY}, {OP_OUT, W_UART, 1, 15, LIKELY}, {OP_OUT, W_UART, 4, 11, LIKELY},
		{OP_OUTS, W_UART, 0, 17}, {OP_HOST, HOST_SERIAL, 30}, {OP_TIME, 8, 0, 0, ANY}, {OP_INS, W_UART, 0, 17}}},
	{G_PARALLEL, {{OP_OUT, W_PARALLEL, 0, 0, ANY}, {OP_OUT, W_PARALLEL, 2, 0x1d, LIKELY}, {OP_OUT, W_PARALLEL, 2, 0x1c},
		{OP_IN, W_PARALLEL, 1}, {OP_TIME, 10, 0, 0, ANY}}},
	{G_I8042, {{OP_OUT, W_I8042, 4, 0x60, LIKELY}, {OP_OUT, W_I8042, 0, 0x47, LIKELY}, {OP_OUT, W_I8042, 0, 0xed, ANY},
		{OP_OUT, W_I8042, 4, 0xd4, LIKELY}, {OP_OUT, W_I8042, 0, 0xf3, ANY}, {OP_OUT, W_I8042, 4, 0xd4},
		{OP_OUT, W_I8042, 0, 200, LIKELY}, {OP_HOST, HOST_KEY, 30, 1}, {OP_HOST, HOST_POINTER, 0, 0, ANY},
		{OP_TIME, 10, 0, 0, ANY}, {OP_INS, W_I8042, 0, 8}}},
	{G_VMPORT, {{OP_REGISTER, 0, 0, 0x564d5868}, {OP_REGISTER, 1, 0, 39, LIKELY}, {OP_REGISTER, 3, 0, 0x45414552, LIKELY},
		{OP_IN | S4, W_VMPORT, 0}, {OP_HOST, HOST_ABSOLUTE, 0, 0, ANY}, {OP_REGISTER, 1, 0, 40, LIKELY},
		{OP_IN | S4, W_VMPORT, 0}}},
	{G_PCI, {{OP_CONFIG | S4, 0, 0x58, 0x33333333, ANY}, {OP_CONFIG, 0, 0x72, 0x0a, ANY}, {OP_IN | S4, W_BELOW_1M, 0, 0, ANY}}},
	{G_PCI, {{OP_CONFIG | S4, 4, 0x10, 0xe0000000, ANY}, {OP_CONFIG, 4, 4, 3, SMALL}, {OP_OUT | S4, W_ANY_MEMORY, 0, 0, ANY},
		{OP_CONFIG | S4, 2, 0x20, 0xc000, ANY}}},
	{G_RESET, {{OP_OUT, W_CF8, 1, 2}, {OP_OUT, W_CF8, 1, 6}, {OP_OUT, W_PORT92, 0, 3}}},
	{G_TESTDEV | G_DEBUG | G_FERR, {{OP_OUT, W_TESTDEV_LINES, 0, 1, ANY}, {OP_OUT, W_DEBUG_EXIT, 0, 0, ANY},
		{OP_OUTS, W_DEBUGCON, 0, 20}, {OP_OUT, W_FERR, 0, 0}, {OP_PIN, 7, 0, 1, SMALL}}},
};
/* clang-format on */

static u64 seed;

static u32 random32(void)
{
	seed ^= seed << 13;
	seed ^= seed >> 7;
	seed ^= seed << 17;
	return (u32)(seed >> 16);
}

static u32 random_value(void)
{
	u32 v = random32();

	switch (random32() % 5) {
	case 0: return v & 7;
	case 1: return v & 0xff;
	case 2: return 1u << (v & 31);
	case 3: return -(1u << (v & 31)) + (v >> 5 & 1);
	default: return v;
	}
}

static u32 wild_value(unsigned wild, u32 value)
{
	static const u8 ata[] = {0x20, 0x24, 0x25, 0x29, 0x30, 0x34, 0x35, 0x39, 0x3d, 0x40, 0x42, 0x06, 0xa0, 0xa1, 0xb0, 0xc4, 0xc5,
	                         0xc6, 0xc8, 0xca, 0xce, 0xe4, 0xe7, 0xe8, 0xec, 0xef, 0x91, 0x90, 0x08, 0x27, 0xf8, 0x70};
	static const u8 packet[] = {0x00, 0x03, 0x12, 0x1a, 0x1b, 0x1e, 0x25, 0x28, 0x2b, 0x42, 0x43,
	                            0x46, 0x4a, 0x51, 0x52, 0x5a, 0xa8, 0xad, 0xb9, 0xbb, 0xbd, 0xbe};
	static const u8 floppy[] = {0xe6, 0xc5, 0x46, 0x66, 0x45, 0x4c, 0x6c, 0x49, 0x42, 0x56, 0xd6, 0x4d, 0x51, 0xd9, 0x5d,
	                            0x4a, 0x07, 0x08, 0x03, 0x04, 0x0f, 0x8f, 0xcf, 0x10, 0x0e, 0x12, 0x13, 0x14, 0x94, 0x18};
	u32 r = random32();

	switch (wild) {
	case ANY: return r % 8 ? random_value() : value;
	case SMALL: return r % 8;
	case ATA: return ata[r % sizeof ata];
	case PACKET_CODE: return packet[r % sizeof packet] | (r >> 8 & 0x300);
	case FLOPPY: return floppy[r % sizeof floppy];
	case PAGE: return r % 4 ? value : (r >> 8) << 12;
	case LIKELY: return r % 4 ? value : random_value();
	default: return r % 16 ? value : random_value();
	}
}

static struct record random_record(const struct fuzz_target *target)
{
	/* what is asked for often is often in the list */
	static const u8 ops[] = {OP_OUT, OP_OUT, OP_OUT, OP_OUT, OP_IN, OP_IN, OP_OUTS, OP_INS, OP_TIME, OP_TIME, OP_DISK, OP_PIN,
	                         OP_HOST, OP_APIC, OP_STATE, OP_CONFIG, OP_CONFIG_IN, OP_ACK, OP_RAM, OP_FILL, OP_RESET, OP_REGISTER,
	                         OP_PRD, OP_LOOP, OP_COUNTING};
	u32 r = random32();
	struct record record = {ops[r % sizeof ops], r >> 8, random32(), random_value()};

	if (record.op <= OP_INS) {
		do
			record.where = random32() % W_COUNT;
		while (!(machine_windows[record.where].groups & target->groups));
		record.op |= r >> 16 & 0xe0 & (random32() & 1 ? 0xff : 0x80);
		if (record.op % 32 == OP_OUTS || record.op % 32 == OP_INS)
			record.value = (record.value & ~0xfffu) | (r & 0x1000 ? 0x100 : record.value & 0x3f);
	} else if (record.op == OP_APIC) {
		record.at &= 0x7ff0;
	} else if (record.op != OP_RESET || r % 16 == 0) { /* resets of the machine take long */
		record.op |= r >> 16 & 0xe0;
	}
	return record;
}

/* Room for n records at place `at`; how many there are now. */
static size_t make_room(struct record *r, size_t count, size_t most, size_t at, size_t n)
{
	n = MIN(n, most - at);
	count = MIN(count, most - n);
	if (count > at)
		memmove(r + at + n, r + at, (count - at) * sizeof *r);
	return MAX(count, at) + n;
}

static size_t insert_phrase(const struct fuzz_target *target, struct record *r, size_t count, size_t most, size_t at)
{
	struct record words[PHRASE];
	const struct phrase *p;
	size_t n = 0;

	for (unsigned tries = 0;; tries++) {
		p = &phrases[random32() % ARRAY_LEN(phrases)];
		if (p->groups & target->groups)
			break;
		if (tries == 1000)
			return count;
	}
	for (unsigned i = 0; i < PHRASE && (p->word[i].op || p->word[i].where || p->word[i].at || p->word[i].value); i++)
		words[n++] = (struct record){p->word[i].op, p->word[i].where, p->word[i].at, wild_value(p->word[i].wild, p->word[i].value)};
	n = MIN(n, most - at);
	count = make_room(r, count, most, at, n);
	memcpy(r + at, words, n * sizeof *r);
	return count;
}

static void change_record(const struct fuzz_target *target, struct record *r)
{
	switch (random32() % 8) {
	case 0: *r = random_record(target); break;
	case 1: r->op ^= 1u << (5 + random32() % 3); break;
	case 2: r->at = random32(); break;
	case 3: r->at += random32() % 9 - 4; break;
	case 4: r->value = random_value(); break;
	case 5: r->value ^= 1u << random32() % 32; break;
	case 6: LLVMFuzzerMutate((u8 *)&r->value, sizeof r->value, sizeof r->value); break;
	default: r->where = r->op % 32 <= OP_INS ? random_record(target).where : random32(); break;
	}
}

size_t machine_mutate(const struct fuzz_target *target, u8 *data, size_t size, size_t max, u32 fresh)
{
	static struct record r[MACHINE_RECORDS];
	size_t most = MIN(max / sizeof *r, (size_t)MACHINE_RECORDS), count = MIN(size / sizeof *r, most);

	seed = fresh * 0x9e3779b97f4a7c15ull | 1;
	if (!most || random32() % 16 == 0)
		return LLVMFuzzerMutate(data, size, max);
	memcpy(r, data, count * sizeof *r);
	for (unsigned n = 1 + random32() % 4; n; n--) {
		size_t at = count ? random32() % (count + 1) : 0, len = 1 + random32() % 16;

		switch (count ? random32() % 8 : random32() % 2) {
		case 0:
		case 1:
			if (at < most)
				count = insert_phrase(target, r, count, most, at);
			break;
		case 2:
			if (at < most) {
				count = make_room(r, count, most, at, 1);
				r[at] = random_record(target);
			}
			break;
		case 3: /* again */
			len = MIN(len, MIN(count - at, most - at));
			if (len) {
				struct record copy[16];

				memcpy(copy, r + at, len * sizeof *r);
				at = random32() % count;
				len = MIN(len, most - at);
				count = make_room(r, count, most, at, len);
				memcpy(r + at, copy, len * sizeof *r);
			}
			break;
		case 4:
			len = MIN(len, count - at);
			memmove(r + at, r + at + len, (count - at - len) * sizeof *r);
			count -= len;
			break;
		default:
			change_record(target, &r[random32() % count]);
			break;
		}
	}
	memcpy(data, r, count * sizeof *r);
	return count * sizeof *r;
}
