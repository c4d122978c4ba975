/* SPDX-License-Identifier: MIT */
/* The frame of the hostile program: two CPUs, their traps, rounds, and a sign of life on the serial port after each scenario.
 * Command line: `seed=N rounds=N only=NAME`. It never ends. A machine that was reset begins anew with another seed, which a counter
 * in CMOS memory makes. */
#include "hostile.h"

extern u32 boot_info, cpus_started;
extern u8 trap_entries[];
void wrecked(void) __attribute__((noreturn)); /* resets the machine */

u64 gdts[2][GDT_ENTRIES] __attribute__((aligned(16)));
u64 idts[2][256][2] __attribute__((aligned(16)));
static u8 trap_stacks[2][OWN_SIZE] __attribute__((aligned(OWN_SIZE)));
u32 task_segments[2][TASK_WORDS];
struct own *const owns[2] = {(struct own *)trap_stacks[0], (struct own *)trap_stacks[1]};
static u64 seed = 1, rounds = 10;
static char only[32];
static const struct scenario *present;
static u32 generation, begun, finished, over;

u64 random64(struct own *me)
{
	me->random ^= me->random << 13;
	me->random ^= me->random >> 7;
	me->random ^= me->random << 17;
	return me->random * 0x2545f4914f6cdd1dul;
}

/* ---- the serial port ---- */
static void say(const char *text)
{
	for (; *text; text++) {
		for (u32 i = 0; i < 100000 && !(in8(0x3fd) & 0x20); i++)
			;
		out8(0x3f8, (u8)*text);
	}
}
static void say_number(u64 n)
{
	char text[21];
	u32 at = 20;

	text[20] = 0;
	do
		text[--at] = '0' + n % 10;
	while (n /= 10);
	say(text + at);
}

/* ---- a CPU's tables ---- */
static void load_tables(u64 cpu)
{
	struct {
		u16 limit;
		u64 base;
	} __attribute__((packed)) gdt = {sizeof gdts[0] - 1, (u64)gdts[cpu]}, idt = {sizeof idts[0] - 1, (u64)idts[cpu]};

	__asm__ volatile("lgdt %0; lidt %1" ::"m"(gdt), "m"(idt));
}

/* Those that the CPU needs; all: the gates that scenarios change, too. */
static void make_tables(u64 cpu, bool all)
{
	u64 *g = gdts[cpu], tss = (u64)task_segments[cpu], stack = (u64)trap_stacks[cpu] + OWN_SIZE;
	static const u64 fixed[] = {0, 0x00cf9b000000ffff, 0x00cf93000000ffff, 0x00af9b000000ffff, 0, 0x00affb000000ffff,
	                            0x00cffb000000ffff, 0, 0x00cff3000000ffff};
	u32 *t = task_segments[cpu];

	for (u32 i = 0; i < COUNT(fixed); i++)
		g[i] = fixed[i];
	g[7] = /* 16 bits, 64 KiB, from USER on */
		 0xfffful | (u64)(USER & 0xffffff) << 16 | 0xfbul << 40 | (u64)(USER >> 24) << 56;
	for (u32 i = 1; i < 8; i++) { /* RSP0..2, IST1..7: all the same */
		t[1 + (i - 1) * 2] = (u32)stack;
		t[9 + (i - 1) * 2] = (u32)stack;
		t[10 + (i - 1) * 2] = 0;
	}
	t[25] = 104u << 16; /* I/O permissions: the map is all ones */
	for (u32 i = 26; all && i < COUNT(task_segments[0]); i++)
		t[i] = ~0u;
	g[10] = (sizeof task_segments[0] - 1) | (tss & 0xffffff) << 16 | 0x89ul << 40 | (tss >> 24 & 0xff) << 56;
	g[11] = tss >> 32;
	for (u32 n = 0; all && n < 256; n++) {
		u64 to = (u64)trap_entries + n * 16;

		idts[cpu][n][0] = (to & 0xffff) | 0x18ul << 16 | 1ul << 32 | 0x8e00ul << 32 | (to >> 16 & 0xffff) << 48;
		idts[cpu][n][1] = to >> 32;
	}
}

/* From whatever has been. */
void recover(struct own *me);
void recover(struct own *me)
{
	if (me->vector >= 16)
		apic_write(0xb0, 0);
	me->vector = 0;
	make_tables(me->number, false); /* the TSS is available again, too */
	load_tables(me->number);
	__asm__ volatile("mov %0, %%ds; mov %0, %%es; mov %0, %%fs; mov %0, %%gs; mov %0, %%ss; fninit" ::"r"(0x10));
	__asm__ volatile("ltr %w0" ::"r"(TASK_SELECTOR));
	if (me->number == 0) { /* an interrupt of the other controller's is over, too */
		out8(0xa0, 0x20);
		out8(0x20, 0x20);
	}
}

/* ---- the course of things ---- */
static u64 time_stamp(void)
{
	u32 low, high;

	__asm__ volatile("rdtsc" : "=a"(low), "=d"(high));
	return low | (u64)high << 32;
}

/* After tens of seconds the other one waits elsewhere, or for ever. */
static void meet(u32 *counter)
{
	u64 since = time_stamp();
	u32 mine = 1;

	__asm__ volatile("lock xadd %0, %1" : "+r"(mine), "+m"(*counter)::"memory");
	while (load(counter) / 2 == mine / 2) {
		__asm__ volatile("pause");
		if (time_stamp() - since > 1ul << 35)
			wrecked();
	}
}

static void first(struct own *me)
{
	u64 target = rounds * present->weight;

	for (me->rounds = 0; me->rounds < target; store(&me->rounds, me->rounds + 1))
		attempt(me, present->victim);
	store(&over, 1);
}

/* The second CPU also sees to it that the first goes on: an NMI ends what nothing else does. */
static void second(struct own *me)
{
	u64 seen = 0, still = 0;

	while (!load(&over)) {
		attempt(me, present->other);
		still = load(&owns[0]->rounds) == seen ? still + 1 : 0;
		seen = load(&owns[0]->rounds);
		if (still > 200) {
			apic_write(0x310, 0);
			apic_write(0x300, 0x4400);
			still = 0;
		}
	}
}

/* What a scenario has made of the chips that the others and the sign of life need. */
static void set_up_chips(void)
{
	static const u8 uart[][2] = {{3, 0x80}, {0, 1}, {1, 0}, {3, 3}, {2, 1}, {4, 3}, {1, 0}};

	for (u32 i = 0; i < COUNT(uart); i++)
		out8(0x3f8 + uart[i][0], uart[i][1]);
	apic_write(0xf0, 0x1ff);
	apic_write(0x80, 0);
	apic_write(0x320, 0x10000);
	apic_write(0x350, 0x10000);
	apic_write(0x360, 0x10000);
	out8(0x21, 0xff);
	out8(0xa1, 0xff);
}

static bool wanted(const char *name)
{
	u32 i = 0;

	while (only[i] && only[i] == name[i])
		i++;
	return !only[0] || (!only[i] && !name[i]);
}

static void run(const struct scenario *s, struct own *me)
{
	if (!wanted(s->name))
		return;
	make_tables(me->number, true);
	if (me->number == 0) {
		present = s;
		store(&over, 0);
		if (s->prepare)
			attempt(me, s->prepare);
	}
	meet(&begun);
	if (me->number == 0)
		first(me);
	else
		second(me);
	meet(&finished);
	set_up_chips();
	if (me->number)
		return;
	say("alive ");
	say_number(generation);
	say(" ");
	say(s->name);
	say(" traps ");
	say_number(owns[0]->traps);
	say(" ");
	say_number(owns[1]->traps);
	say("\n");
}

static u64 number_at(const char *text)
{
	u64 n = 0;

	for (; *text >= '0' && *text <= '9'; text++)
		n = n * 10 + (u64)(*text - '0');
	return n;
}

static void read_command_line(void)
{
	const u32 *info = (const u32 *)(u64)boot_info;

	if (!(info[0] & 4))
		return;
	for (const char *p = (const char *)(u64)info[2 + 2]; *p; p++) {
		if (p[0] == 's' && p[1] == 'e' && p[2] == 'e' && p[3] == 'd' && p[4] == '=')
			seed = number_at(p + 5);
		if (p[0] == 'r' && p[1] == 'o' && p[2] == 'u' && p[3] == 'n' && p[4] == 'd' && p[5] == 's' && p[6] == '=')
			rounds = number_at(p + 7);
		if (p[0] == 'o' && p[1] == 'n' && p[2] == 'l' && p[3] == 'y' && p[4] == '=')
			for (u32 i = 0; i < sizeof only - 1 && p[5 + i] && p[5 + i] != ' '; i++)
				only[i] = p[5 + i];
	}
}

static void count_generations(void)
{
	out8(0x70, 0x70);
	generation = in8(0x71);
	out8(0x70, 0x70);
	out8(0x71, (u8)(generation + 1));
	out8(0x70, 0x0d);
}

/* Where the second CPU's state is kept during system management: in the same place as the first one's, one of them would come back
 * as the other. AMD's layout, APM vol. 2 table 10-1: SMBASE at FF00h. */
static void move_smm_area(void)
{
	static const u8 handler[] = {0x66, 0x67, 0xc7, 0x05, 0x00, 0xff, 0x03, 0x00, 0x00, 0x20, 0x03, 0x00, 0x0f, 0xaa};

	for (u32 i = 0; i < COUNT(handler); i++) /* movl $0x32000, 0x3ff00; rsm */
		store((u8 *)0x38000ul + i, handler[i]);
	*(u16 *)0x3a000 = 0xaa0f;
	store((u32 *)0x3ff00, 0);
	apic_write(0xf0, 0x1ff);
	apic_write(0x300, 0x44200); /* to itself */
	while (!load((u32 *)0x3ff00))
		__asm__ volatile("pause");
	*(u16 *)0x38000 = 0xaa0f;
}

void cpu_main(u32 started);
void cpu_main(u32 started)
{
	struct own *me = owns[started];

	me->number = started;
	if (!started) {
		read_command_line();
		count_generations();
		/* ring 3 reaches one large page */
		*(u64 *)0x9000 |= 4;
		*(u64 *)0xa000 |= 4;
		((u64 *)0xb000)[USER >> 21] |= 4;
		((u64 *)0x9000)[2] = TREE | 7;
		*(u16 *)0x38000 = 0xaa0f; /* RSM, for a system management interrupt that nobody expects */
		apic_write(0xf0, 0x1ff);
		apic_write(0x300, 0xc4500); /* all others: INIT, then start at 8000h */
		apic_write(0x300, 0xc4608);
		while (load(&cpus_started) < 2)
			__asm__ volatile("pause");
	}
	me->random = (seed * 2 + started + 1) * 0x9e3779b97f4a7c15ul + generation * 0xd1b54a32d192ed03ul;
	make_tables(started, true);
	load_tables(started);
	__asm__ volatile("ltr %w0" ::"r"(TASK_SELECTOR));
	if (started)
		move_smm_area();
	meet(&begun);
	if (!started)
		set_up_chips();
	apic_write(0xf0, 0x1ff);
	/* a scenario that ends in a reset is not always the next one, too */
	for (u64 turn = generation;; turn++) {
		static const struct scenario *const lists[] = {memory_scenarios, device_scenarios, chip_scenarios};
		u64 all = 0, skip;

		for (u32 i = 0; i < COUNT(lists); i++)
			for (const struct scenario *s = lists[i]; s->name; s++)
				all++;
		skip = turn % all;
		for (u32 i = 0; i < COUNT(lists); i++)
			for (const struct scenario *s = lists[i]; s->name; s++)
				if (!skip--)
					run(s, me);
	}
}
