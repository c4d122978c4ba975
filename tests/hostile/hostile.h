/* SPDX-License-Identifier: MIT */
/* A guest that does what no guest should: on two CPUs, one of which uses what the other rewrites meanwhile. kernel.c is the frame:
 * CPUs, traps, the way back from whatever happens; the scenarios are in memory.c, devices.c and chips.c. */
#ifndef HOSTILE_H
#define HOSTILE_H

typedef unsigned char u8;
typedef unsigned short u16;
typedef unsigned int u32;
typedef unsigned long u64;
typedef _Bool bool;
enum { false, true };

#define COUNT(a) (sizeof(a) / sizeof *(a))
#define load(p) (*(volatile typeof(*(p)) *)(p))
#define store(p, v) (*(volatile typeof(*(p)) *)(p) = (v))

/* Physical memory, mapped one to one. */
enum {
	TABLES = 0x1000000,  /* PRD table, fw_cfg command, what else devices read: 64 KiB */
	BUFFERS = 0x1100000, /* where they read and write: 1 MiB */
	TREE = 0x1300000,    /* page tables that are rewritten: 64 KiB */
	IMAGES = 0x1400000,  /* of FPU state: 64 KiB */
	USER = 0x2000000,    /* 2 MiB that ring 3 may reach: random code and its data */
	LANDING = 0x2200000, /* where far transfers lead */
	LANDING_SIZE = 0x1d00000,
};
#define TREE_BASE 0x10000000000ul /* the linear addresses that TREE maps: the third slot of the PML4 */

/* A CPU's own; at the bottom of its trap stack, where a trap finds it (traps.S has the offsets). */
struct own {
	u64 back_rsp, back_rip; /* where a trap leads to */
	u64 number;
	u64 random;
	u64 traps, vector;      /* how many; the last one's vector */
	u64 rounds;             /* of the present scenario */
	u64 inside;             /* of attempt() */
};
#define OWN_SIZE 0x2000
extern struct own *const owns[2];

/* Random numbers of this CPU. */
u64 random64(struct own *me);
static inline u32 random_below(struct own *me, u32 n) { return (u32)(random64(me) >> 32) % n; }

/* Run fn(me); whatever trap or interrupt comes ends it. */
void attempt(struct own *me, void (*fn)(struct own *me));
/* To ring 3: CS and RIP, with registers and stack in USER. Never returns; an interrupt ends it if nothing else does. */
void to_ring3(struct own *me, u16 cs, u64 rip) __attribute__((noreturn));
enum { CS_USER64 = 0x2b, CS_USER32 = 0x33, CS_USER16 = 0x3b, SS_USER = 0x43, TASK_SELECTOR = 0x50, FREE_SELECTORS = 0x80 };
#define GDT_ENTRIES 256
extern u64 gdts[2][GDT_ENTRIES];
extern u64 idts[2][256][2];
#define TASK_WORDS (26 + 2048 + 1) /* a TSS, and I/O permissions for all ports */
extern u32 task_segments[2][TASK_WORDS];

static inline void out8(u16 port, u8 v) { __asm__ volatile("outb %0, %1" ::"a"(v), "Nd"(port)); }
static inline void out16(u16 port, u16 v) { __asm__ volatile("outw %0, %1" ::"a"(v), "Nd"(port)); }
static inline void out32(u16 port, u32 v) { __asm__ volatile("outl %0, %1" ::"a"(v), "Nd"(port)); }
static inline u8 in8(u16 port)
{
	u8 v;

	__asm__ volatile("inb %1, %0" : "=a"(v) : "Nd"(port));
	return v;
}
static inline u16 in16(u16 port)
{
	u16 v;

	__asm__ volatile("inw %1, %0" : "=a"(v) : "Nd"(port));
	return v;
}
static inline u32 in32(u16 port)
{
	u32 v;

	__asm__ volatile("inl %1, %0" : "=a"(v) : "Nd"(port));
	return v;
}
static inline void config_write(u32 devfn, u32 reg, u32 value)
{
	out32(0xcf8, 0x80000000u | devfn << 8 | reg);
	out32(0xcfc, value);
}
enum { LAPIC = 0xfee00000u };
static inline void apic_write(u32 reg, u32 value) { store((u32 *)(u64)(LAPIC + reg), value); }
static inline u32 apic_read(u32 reg) { return load((u32 *)(u64)(LAPIC + reg)); }

struct scenario {
	const char *name;
	void (*prepare)(struct own *me); /* the first CPU, before both; may be NULL */
	void (*victim)(struct own *me);  /* the first CPU, round by round */
	void (*other)(struct own *me);   /* the second, again and again meanwhile */
	u32 weight;                      /* rounds: so many for one of the command line's */
};
extern const struct scenario memory_scenarios[], device_scenarios[], chip_scenarios[];

#endif
