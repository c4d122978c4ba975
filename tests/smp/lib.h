/* SPDX-License-Identifier: MIT */
/* What programs for several CPUs share: talking, waiting for each other, interrupts, the local APIC. */
#ifndef SMP_LIB_H
#define SMP_LIB_H

typedef unsigned char u8;
typedef unsigned short u16;
typedef unsigned int u32;
typedef unsigned long u64;

#define MAX_CPUS 64
#define barrier() __asm__ volatile("" ::: "memory")
#define pause() __asm__ volatile("pause" ::: "memory")
#define load(p) (*(volatile typeof(*(p)) *)(p))
#define store(p, v) (*(volatile typeof(*(p)) *)(p) = (v))

extern u32 cpus;  /* that take part */
extern u64 scale; /* rounds of a test: from the command line */

void say(const char *text);
void say_number(u64 n);
/* A failure: say it and leave with it. */
void fail(const char *what, u64 got, u64 want) __attribute__((noreturn));
void leave(u32 code) __attribute__((noreturn));

/* All CPUs reach it, then all go on. */
void meet(void);
void meet_some(u32 *counter, u32 n); /* n CPUs; the counter only ever grows */

static inline u64 tsc(void)
{
	u32 low, high;

	__asm__ volatile("lfence; rdtsc" : "=a"(low), "=d"(high)::"memory");
	return (u64)high << 32 | low;
}
static inline void cpuid(u32 leaf, u32 sub, u32 r[4])
{
	__asm__ volatile("cpuid" : "=a"(r[0]), "=b"(r[1]), "=c"(r[2]), "=d"(r[3]) : "a"(leaf), "c"(sub) : "memory");
}
static inline void serialise(void)
{
	u32 r[4];

	cpuid(0, 0, r);
}
static inline u64 rdmsr(u32 index)
{
	u32 low, high;

	__asm__ volatile("rdmsr" : "=a"(low), "=d"(high) : "c"(index) : "memory");
	return (u64)high << 32 | low;
}
static inline void wrmsr(u32 index, u64 value)
{
	__asm__ volatile("wrmsr" ::"a"((u32)value), "d"((u32)(value >> 32)), "c"(index) : "memory");
}

/* The local APIC, in whichever mode it is; register by its xAPIC offset. The ICR's destination is an APIC id. */
enum { APIC_ID = 0x20, APIC_TPR = 0x80, APIC_EOI = 0xb0, APIC_LDR = 0xd0, APIC_DFR = 0xe0, APIC_SVR = 0xf0, APIC_ESR = 0x280,
       APIC_ICR = 0x300, APIC_ICR_HIGH = 0x310 };
enum { ICR_LOWEST = 0x100, ICR_NMI = 0x400, ICR_INIT = 0x500, ICR_SIPI = 0x600, ICR_LOGICAL = 0x800, ICR_ASSERT = 0x4000,
       ICR_SELF = 0x40000, ICR_ALL = 0x80000, ICR_OTHERS = 0xc0000 };
u32 apic_read(u32 reg);
void apic_write(u32 reg, u32 value);
void apic_send(u32 to, u32 icr);
void apic_enable(void);
extern u8 apic_is_x2[MAX_CPUS]; /* by cpu_number() */

/* Interrupts taken, by CPU and what came: vectors 40h..47h, and NMI as 8. */
extern u32 taken[MAX_CPUS][9];
/* What vector 47h does besides. */
extern void (*on_47)(void);
u32 cpu_number(void); /* the APIC id */
static inline void interrupts(int on)
{
	if (on)
		__asm__ volatile("sti" ::: "memory");
	else
		__asm__ volatile("cli" ::: "memory");
}
/* With interrupts off: sleep until *counter has left `seen`; interrupts are off again afterwards. */
static inline void sleep_while(u32 *counter, u32 seen)
{
	while (load(counter) == seen)
		__asm__ volatile("sti; hlt; cli" ::: "memory");
}

struct test {
	const char *name;
	void (*run)(u32 cpu); /* on every CPU at once */
	u32 at_least;         /* CPUs */
};
extern const struct test tests[];

#endif
