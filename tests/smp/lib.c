/* SPDX-License-Identifier: MIT */
/* See lib.h. The command line is the number of rounds. Each test is announced by its name when all CPUs are through it; the program
 * ends with 33 at isa-debug-exit. */
#include "lib.h"

#define APIC_BASE 0xfee00000ul

u32 cpus;
u64 scale = 1000;
u8 apic_is_x2[MAX_CPUS];
u32 taken[MAX_CPUS][9];
void (*on_47)(void);
extern u32 boot_info, cpus_started;
static u32 met, go;
static u64 idt[256][2];

static void out8(u16 port, u8 v) { __asm__ volatile("outb %0, %1" ::"a"(v), "Nd"(port)); }
static u8 in8(u16 port)
{
	u8 v;

	__asm__ volatile("inb %1, %0" : "=a"(v) : "Nd"(port));
	return v;
}

void say(const char *text)
{
	for (; *text; text++) {
		while (!(in8(0x3fd) & 0x20))
			;
		out8(0x3f8, *text);
	}
}

void say_number(u64 n)
{
	char text[21];
	u32 at = 20;

	text[20] = 0;
	do
		text[--at] = '0' + n % 10;
	while (n /= 10);
	say(text + at);
}

void leave(u32 code)
{
	__asm__ volatile("outl %0, %1" ::"a"(code), "Nd"((u16)0x501));
	for (;;)
		__asm__ volatile("cli; hlt");
}

void fail(const char *what, u64 got, u64 want)
{
	static u32 failing;
	u32 first = 1;

	__asm__ volatile("xchg %0, %1" : "+r"(first), "+m"(failing)::"memory");
	if (first)
		for (;;)
			pause();
	say("FAILED on CPU ");
	say_number(cpu_number());
	say(": ");
	say(what);
	say(": ");
	say_number(got);
	say(", not ");
	say_number(want);
	say("\n");
	leave(1);
}

/* ---- waiting for each other ---- */

void meet_some(u32 *counter, u32 n)
{
	u32 mine = 1;

	__asm__ volatile("lock xadd %0, %1" : "+r"(mine), "+m"(*counter)::"memory");
	while (load(counter) / n == mine / n)
		pause();
}

void meet(void)
{
	meet_some(&met, cpus);
}

/* ---- the local APIC ---- */

u32 cpu_number(void)
{
	u32 r[4];

	cpuid(1, 0, r);
	return r[1] >> 24;
}

u32 apic_read(u32 reg)
{
	return apic_is_x2[cpu_number()] ? (u32)rdmsr(0x800 + (reg >> 4)) : load((u32 *)(APIC_BASE + reg));
}

void apic_write(u32 reg, u32 value)
{
	if (apic_is_x2[cpu_number()])
		wrmsr(0x800 + (reg >> 4), value);
	else
		store((u32 *)(APIC_BASE + reg), value);
}

void apic_send(u32 to, u32 icr)
{
	__asm__ volatile("mfence" ::: "memory"); /* writes of MSRs do not wait for stores */
	if (apic_is_x2[cpu_number()]) {
		wrmsr(0x830, (u64)to << 32 | icr);
	} else {
		apic_write(APIC_ICR_HIGH, to << 24);
		apic_write(APIC_ICR, icr);
	}
}

void apic_enable(void)
{
	apic_write(APIC_SVR, 0x1ff);
}

/* ---- interrupts ---- */

struct frame;

static void took(u32 what)
{
	u32 cpu = cpu_number();

	store(&taken[cpu][what], taken[cpu][what] + 1);
	if (what < 8)
		apic_write(APIC_EOI, 0);
}
#define VECTOR(n)                                                                                                      \
	static __attribute__((interrupt)) void vector_##n(struct frame *f)                                                \
	{                                                                                                                  \
		(void)f;                                                                                                       \
		if (n == 7 && on_47)                                                                                           \
			on_47();                                                                                                   \
		took(n);                                                                                                       \
	}
VECTOR(0) VECTOR(1) VECTOR(2) VECTOR(3) VECTOR(4) VECTOR(5) VECTOR(6) VECTOR(7) VECTOR(8)

static __attribute__((interrupt)) void exception(struct frame *f, u64 code)
{
	(void)f;
	u64 cr2;
	__asm__("mov %%cr2, %0" : "=r"(cr2));
	fail("exception with an error code; CR2", code, cr2);
}
static __attribute__((interrupt)) void exception_bare(struct frame *f)
{
	(void)f;
	fail("exception", 0, 0);
}

static void gate(u32 n, void *to)
{
	u64 at = (u64)to;

	idt[n][0] = (at & 0xffff) | 0x18ul << 16 | 0x8e00ul << 32 | (at >> 16 & 0xffff) << 48;
	idt[n][1] = at >> 32;
}

static void load_idt(void)
{
	struct {
		u16 limit;
		u64 base;
	} __attribute__((packed)) pointer = {sizeof idt - 1, (u64)idt};

	__asm__ volatile("lidt %0" ::"m"(pointer));
}

static void make_idt(void)
{
	static void *const vectors[] = {vector_0, vector_1, vector_2, vector_3, vector_4, vector_5, vector_6, vector_7};

	for (u32 i = 0; i < 32; i++)
		gate(i, i == 8 || (i >= 10 && i <= 14) || i == 17 ? (void *)exception : (void *)exception_bare);
	for (u32 i = 0; i < 8; i++)
		gate(0x40 + i, vectors[i]);
	gate(2, vector_8);
}

/* ---- the course of things ---- */

static void run_tests(u32 cpu)
{
	for (const struct test *t = tests; t->name; t++) {
		if (cpus < t->at_least)
			continue;
		meet();
		t->run(cpu);
		meet();
		if (!cpu) {
			say("ok ");
			say(t->name);
			say("\n");
		}
	}
}

static void start_others(void)
{
	u32 r[4];
	u64 wait;

	cpuid(0xb, 1, r);
	cpus = r[1] & 0xffff;
	if (cpus > MAX_CPUS)
		fail("too many CPUs", cpus, MAX_CPUS);
	apic_send(0, ICR_OTHERS | ICR_ASSERT | ICR_INIT);
	apic_send(0, ICR_OTHERS | ICR_ASSERT | ICR_SIPI | 8);
	for (wait = tsc(); load(&cpus_started) < cpus;)
		if (tsc() - wait > 60ul * 2000000000)
			fail("CPUs started", cpus_started, cpus);
}

static void read_command_line(void)
{
	const u32 *info = (const u32 *)(u64)boot_info;
	const char *text = (const char *)(u64)info[4];
	u64 n = 0;

	if (!(info[0] & 4))
		return;
	while (*text)
		text++;
	while (text[-1] >= '0' && text[-1] <= '9')
		text--;
	for (; *text >= '0' && *text <= '9'; text++)
		n = n * 10 + *text - '0';
	if (n)
		scale = n;
}

void cpu_main(u32 started);
void cpu_main(u32 started)
{
	u32 cpu = cpu_number();

	if (!started) {
		read_command_line();
		make_idt();
		start_others();
		store(&go, 1);
	}
	while (!load(&go))
		pause();
	load_idt();
	apic_enable();
	run_tests(cpu);
	if (cpu)
		for (;;)
			__asm__ volatile("cli; hlt");
	say_number(tsc());
	say(" ticks\nend\n");
	leave(33);
}
