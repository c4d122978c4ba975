/* SPDX-License-Identifier: MIT */
/* A guest that wants out through its disks: CPU 0 drives the IDE controller and fw_cfg, the other CPUs change what these read in
 * memory (data, PRD tables, lists of ranges, DMA commands) and write the same registers. The machine goes on, memory that no table
 * names stays as it is, and sector 0 never holds the header of an image format. Disks: 0 and 1 of channel 0, 4 MiB each; a CD-ROM
 * drive, unit 0 of channel 1, whose disc the user changes meanwhile (and resets the machine a few times). */
#include "tests/smp/lib.h"

enum { CHANNEL = 0x1f0, CONTROL = 0x3f6, BM = 0xc000, DEVFN = 1 << 3 | 1, FW_DMA = 0x514 };
enum { DATA, FEATURE, COUNT, LOW, MID, HIGH, DEVICE, COMMAND };
enum { BUSY = 0x80, DRQ = 0x08 };
enum { READ_DMA = 0xc8, WRITE_DMA = 0xca, READ = 0x20, WRITE = 0x30, TRIM = 0x06, FLUSH = 0xe7, DIAGNOSTIC = 0x90 };
enum { SECTOR = 512, PRDS = 16, SCRATCH = 0x1000000, SCRATCH_SIZE = 0x800000, CANARY = 0x1800000, CANARY_SIZE = 0x100000 };

static struct {
	u32 at;
	u32 len;
} prd[PRDS] __attribute__((aligned(4096)));
static u8 data[8 * SECTOR] __attribute__((aligned(4096)));
static u64 ranges[64] __attribute__((aligned(512)));
static u32 fw[4] __attribute__((aligned(16)));
static u32 done;

static void out8(u16 port, u8 v) { __asm__ volatile("outb %0, %1" ::"a"(v), "Nd"(port) : "memory"); }
static void out16(u16 port, u16 v) { __asm__ volatile("outw %0, %1" ::"a"(v), "Nd"(port) : "memory"); }
static void out32(u16 port, u32 v) { __asm__ volatile("outl %0, %1" ::"a"(v), "Nd"(port) : "memory"); }
static u8 in8(u16 port)
{
	u8 v;

	__asm__ volatile("inb %1, %0" : "=a"(v) : "Nd"(port) : "memory");
	return v;
}
static u16 in16(u16 port)
{
	u16 v;

	__asm__ volatile("inw %1, %0" : "=a"(v) : "Nd"(port) : "memory");
	return v;
}

static u64 random(u64 *seed)
{
	*seed ^= *seed << 13;
	*seed ^= *seed >> 7;
	*seed ^= *seed << 17;
	return *seed >> 8;
}

static void config(u32 reg, u32 value)
{
	out32(0xcf8, 0x80000000u | DEVFN << 8 | reg);
	out32(0xcfc, value);
}

/* ---- the controller, by the book ---- */
static void soft_reset(void)
{
	out8(CONTROL, 6);
	out8(CONTROL, 2);
	while (in8(CONTROL) & BUSY)
		pause();
}

static void command(u8 unit, u8 code, u32 lba, u8 count)
{
	out8(CHANNEL + DEVICE, 0xe0 | unit << 4 | (lba >> 24 & 15));
	out8(CHANNEL + FEATURE, code == TRIM);
	out8(CHANNEL + COUNT, count);
	out8(CHANNEL + LOW, lba);
	out8(CHANNEL + MID, lba >> 8);
	out8(CHANNEL + HIGH, lba >> 16);
	out8(CHANNEL + COMMAND, code);
}

static void table(u32 n, u64 at, u32 len)
{
	prd[n].at = at;
	prd[n].len = len | 0x80000000u;
}

static void start(u8 to_memory)
{
	out32(BM + 4, (u64)prd);
	out8(BM, to_memory);
	out8(BM, to_memory | 1);
}

static void wait_for_end(void)
{
	while (in8(CONTROL) & BUSY)
		pause();
	out8(BM, 0);
	in8(CHANNEL + COMMAND);
}

static void transfer(u8 unit, u8 code, u32 lba, void *at, u32 sectors)
{
	table(0, (u64)at, sectors * SECTOR);
	command(unit, code, lba, sectors);
	start(code == READ_DMA ? 8 : 0);
	wait_for_end();
}

static void prepare(void)
{
	config(0x20, BM);
	config(0x04, 5);
	out8(CONTROL, 2);
	soft_reset();
}

/* What only helps does so until CPU 0 is through. */
#define HELP(cpu, ...)                                                                                                     \
	for (u64 seed = 0x9e3779b97f4a7c15ul * ((cpu) + 1); !load(&done);) {                                                   \
		__VA_ARGS__;                                                                                                       \
	}
static void ready(u32 cpu)
{
	meet();
	if (!cpu)
		store(&done, 0);
	meet();
}

/* ---- a header that is there only when it is not looked at ---- */
static void late_header(u32 cpu)
{
	static const u8 header[8] = {'Q', 'F', 'I', 0xfb, 0, 0, 0, 3};
	u64 evil = *(const u64 *)header;

	if (cpu) {
		ready(cpu);
		HELP(cpu, random(&seed); store((u64 *)data, evil); store((u64 *)data, 0x5373656c6d726168ul))
		return;
	}
	prepare();
	ready(cpu);
	for (u64 i = 0; i < scale * 4; i++) {
		if (i & 1) {
			transfer(0, WRITE_DMA, 0, data, 1);
		} else {
			command(0, WRITE, 0, 1);
			while (in8(CONTROL) & BUSY)
				pause();
			for (u32 k = 0; k < SECTOR; k += 2)
				out16(CHANNEL + DATA, *(volatile u16 *)(data + k));
			wait_for_end();
		}
		transfer(0, READ_DMA, 0, data + SECTOR, 1);
		if (*(u32 *)(data + SECTOR) == (u32)evil)
			fail("a header in sector 0, after writes", i, 0);
	}
	store(&done, 1);
}

/* ---- tables that change while they are followed ---- */
static u64 anywhere(u64 *seed)
{
	static const u32 places[] = {0xa0000,    0xb8000,    0xc0000,    0xf0000,   0xfee00000,
	                             0xfec00000, 0xfffff000, 0xe0000000, 0x4000000, 0xfd000000};
	u64 r = random(seed);

	if (r & 7)
		return SCRATCH + (r >> 3) % (SCRATCH_SIZE - 0x20000);
	return places[(r >> 3) % (sizeof places / sizeof places[0])] + (r >> 16 & 0xff);
}

/* Not behind the end of RAM into what is not scratch: a region is at most 64 KiB. */
static void change_tables(u64 *seed)
{
	u32 n = random(seed) % PRDS;

	store(&prd[n].at, (u32)anywhere(seed));
	store(&prd[n].len, (u32)(random(seed) & (random(seed) & 3 ? 0x800001ff : 0x8000ffff)));
	store(&ranges[random(seed) % 64], (4096 + random(seed) % 2048) | (random(seed) & 0xff) << 48);
}

static void check_canary(void)
{
	for (u32 i = 0; i < CANARY_SIZE; i += 8)
		if (load((u64 *)(u64)(CANARY + i)) != (CANARY + i) * 0x9e3779b97f4a7c15ul)
			fail("memory that no table names", CANARY + i, 0);
}

static void one_of_many(u64 *seed)
{
	static const u8 codes[] = {READ_DMA, WRITE_DMA, READ_DMA, WRITE_DMA, READ, WRITE, TRIM,
	                           FLUSH,    DIAGNOSTIC, 0xec,    0x25,      0x35, 0xa0};
	u8 code = codes[random(seed) % sizeof codes];

	if (code == TRIM) {
		table(0, (u64)ranges, sizeof ranges);
		out32(BM + 4, (u64)prd);
	}
	command(random(seed) & 1, code, 4096 + random(seed) % 2048, 1 + random(seed) % 64);
	start(random(seed) & 8);
	for (u64 turns = random(seed) % 200; turns; turns--)
		switch (random(seed) % 32) {
		case 0:
			out8(BM, random(seed) & 9);
			break;
		case 1:
			in16(CHANNEL + DATA);
			break;
		case 2:
			out16(CHANNEL + DATA, random(seed));
			break;
		case 3:
			out8(CHANNEL + DEVICE, random(seed));
			break;
		default:
			if (!(in8(CONTROL) & BUSY))
				turns = 1;
			break;
		}
}

static void changing_tables(u32 cpu)
{
	u64 seed = 88172645463325252ul;

	if (cpu) {
		ready(cpu);
		HELP(cpu, change_tables(&seed))
		return;
	}
	for (u32 i = 0; i < CANARY_SIZE; i += 8)
		*(u64 *)(u64)(CANARY + i) = (CANARY + i) * 0x9e3779b97f4a7c15ul;
	for (u32 n = 0; n < PRDS; n++)
		table(n, SCRATCH, SECTOR);
	prepare();
	ready(cpu);
	for (u64 i = 0; i < scale; i++) {
		one_of_many(&seed);
		out8(BM, 0);
		soft_reset();
		if (random(&seed) % 4 == 0) {
			out8(CHANNEL + COMMAND, DIAGNOSTIC);
			while (in8(CONTROL) & BUSY)
				pause();
		}
	}
	store(&done, 1);
	check_canary();
}

/* ---- several CPUs at the same registers ---- */
static void same_registers(u32 cpu)
{
	u64 seed = 362436069ul + cpu * 521288629ul;

	if (!cpu)
		prepare();
	for (u32 n = 0; n < PRDS; n++)
		table(n, SCRATCH, SECTOR);
	ready(cpu);
	for (u64 i = 0; i < scale; i++) {
		one_of_many(&seed);
		if (random(&seed) % 4 == 0)
			out8(CONTROL, random(&seed) & 6);
		if (random(&seed) % 16 == 0)
			config(random(&seed) & 1 ? 0x20 : 0x04, random(&seed) & 1 ? BM : 5);
	}
	meet();
	if (cpu)
		return;
	prepare();
	transfer(1, READ_DMA, 7, data, 1); /* and it still works */
	if (in8(CONTROL) & (BUSY | DRQ | 1))
		fail("status at the end", in8(CONTROL), 0x50);
}

/* ---- commands for fw_cfg that change while they are carried out ---- */
static void changing_commands(u32 cpu)
{

	if (cpu) {
		ready(cpu);
		HELP(cpu, store(&fw[0], __builtin_bswap32((u32)(random(&seed) & 0x3f) << 16 | (random(&seed) & 0x1e)));
		     store(&fw[1], __builtin_bswap32((u32)random(&seed) & 0xffff));
		     store(&fw[3], __builtin_bswap32((u32)anywhere(&seed))))
		return;
	}
	ready(cpu);
	for (u64 i = 0; i < scale * 4; i++) {
		out32(FW_DMA, 0);
		out32(FW_DMA + 4, __builtin_bswap32((u32)(u64)fw));
	}
	store(&done, 1);
	check_canary();
}

/* ---- a disc that is taken out while it is read ---- */
enum { CD = 0x170, CD_CONTROL = 0x376, CD_BM = BM + 8, CD_SECTOR = 2048 };

static u8 cd_wait(void)
{
	while (in8(CD_CONTROL) & BUSY)
		pause();
	return in8(CD_CONTROL);
}

static void read_disc(u64 *seed, int by_dma)
{
	u32 sectors = 1 + random(seed) % 32, lba = random(seed) % 500;
	u8 packet[12] = {0x28, 0, 0, 0, lba >> 8, lba, 0, 0, sectors};

	if (random(seed) % 16 == 0)
		packet[0] = 0x1b, packet[4] = random(seed) & 3; /* START STOP UNIT: the tray */
	out8(CD + DEVICE, 0xa0);
	out8(CD + FEATURE, by_dma);
	out8(CD + MID, CD_SECTOR & 0xff);
	out8(CD + HIGH, CD_SECTOR >> 8);
	out8(CD + COMMAND, 0xa0);
	if (!(cd_wait() & DRQ))
		return;
	table(0, SCRATCH, sectors * CD_SECTOR);
	for (u32 i = 0; i < 12; i += 2)
		out16(CD + DATA, packet[i] | packet[i + 1] << 8);
	if (by_dma) {
		out32(CD_BM + 4, (u64)prd);
		out8(CD_BM, 8);
		out8(CD_BM, 9);
		if (random(seed) & 7)
			cd_wait();
		out8(CD_BM, 0);
		if (in8(CD_CONTROL) & BUSY)
			out8(CD + COMMAND, 0x08); /* DEVICE RESET */
	}
	while (cd_wait() & DRQ)
		in16(CD + DATA);
	in8(CD + COMMAND);
}

static void changing_disc(u32 cpu)
{
	u64 seed = 2463534242ul;

	if (cpu)
		return;
	prepare();
	out8(CD_CONTROL, 2);
	for (u64 i = 0; i < scale; i++)
		read_disc(&seed, i & 1);
}

const struct test tests[] = {
	{"a header at the last moment", late_header, 2},
	{"tables that change", changing_tables, 2},
	{"several CPUs at the same registers", same_registers, 2},
	{"commands that change", changing_commands, 2},
	{"a disc that is changed", changing_disc, 2},
	{0},
};
