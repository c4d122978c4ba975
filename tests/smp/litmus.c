/* SPDX-License-Identifier: MIT */
/* The order of memory as several CPUs see it (SDM vol. 3A 8.2.3, whose examples most of these are), locked operations of every
 * size and alignment (8.1.2), locks made of them, accessed and dirty bits, code that others change (8.1.3), the TSC, TLB
 * shoot-downs, and the ways of interrupts between CPUs (10.6). */
#include "lib.h"

#define LINE __attribute__((aligned(64)))

/* Two CPUs of a pair, round by round. */
struct pair {
	u64 x LINE, y LINE;
	u64 r[2] LINE;
	u32 start LINE;
	u32 end LINE;
};
static struct pair pairs[MAX_CPUS / 2];

#define ROUNDS(pair, side, left, right, check)                                                                         \
	for (u64 i = 1; i <= scale; i++) {                                                                                 \
		meet_some(&pair->start, 2);                                                                                    \
		if (side) {                                                                                                    \
			right;                                                                                                     \
		} else {                                                                                                       \
			left;                                                                                                      \
		}                                                                                                              \
		meet_some(&pair->end, 2);                                                                                      \
		if (!side) {                                                                                                   \
			check;                                                                                                     \
			pair->x = pair->y = 0;                                                                                     \
		}                                                                                                              \
	}

#define LITMUS(name, left, right, check)                                                                               \
	static void name(u32 cpu)                                                                                          \
	{                                                                                                                  \
		struct pair *const p = &pairs[cpu / 2];                                                                        \
		const u32 side = cpu & 1;                                                                                      \
		if (cpu == cpus - 1 && !side)                                                                                  \
			return; /* the odd one */                                                                                  \
		u64 a, b;                                                                                                      \
		(void)a, (void)b;                                                                                              \
		ROUNDS(p, side, left, right, check)                                                                            \
	}
#define ASM(text, ...) __asm__ volatile(text : "=&r"(a), "=&r"(b), "+m"(p->x), "+m"(p->y) : __VA_ARGS__ : "memory")
#define KEEP(value) p->r[side] = (value)

LITMUS(message_passing,
       ASM("movq $1, %2; movq $1, %3; xor %0, %0; xor %1, %1", "r"(0)),
       { ASM("mov %3, %0; mov %2, %1", "r"(0)); p->r[0] = a; p->r[1] = b; },
       if (p->r[0] == 1 && p->r[1] == 0) fail("message passing", 0, 1))

LITMUS(load_buffering,
       { ASM("mov %2, %0; movq $1, %3; xor %1, %1", "r"(0)); KEEP(a); },
       { ASM("mov %3, %0; movq $1, %2; xor %1, %1", "r"(0)); KEEP(a); },
       if (p->r[0] == 1 && p->r[1] == 1) fail("load buffering", 1, 0))

#define STORE_BUFFERING(name, first, second)                                                                           \
	LITMUS(name, { ASM(first, "r"(0)); KEEP(a); }, { ASM(second, "r"(0)); KEEP(a); },                                  \
	       if (!(p->r[0] | p->r[1])) fail(#name, 0, 1))
STORE_BUFFERING(store_buffering_mfence, "movq $1, %2; mfence; mov %3, %0; xor %1, %1",
                "movq $1, %3; mfence; mov %2, %0; xor %1, %1")
STORE_BUFFERING(store_buffering_xchg, "mov $1, %1; xchg %1, %2; mov %3, %0", "mov $1, %1; xchg %1, %3; mov %2, %0")
STORE_BUFFERING(store_buffering_lock, "movq $1, %2; lock orq $0, (%%rsp); mov %3, %0; xor %1, %1",
                "movq $1, %3; lock orq $0, (%%rsp); mov %2, %0; xor %1, %1")

/* Without a fence both may read 0, but a CPU sees its own store. */
LITMUS(store_buffering_own,
       { ASM("movq $1, %2; mov %2, %0; mov %3, %1", "r"(0)); if (a != 1) fail("own store", a, 1); KEEP(b); },
       { ASM("movq $1, %3; mov %3, %0; mov %2, %1", "r"(0)); if (a != 1) fail("own store", a, 1); KEEP(b); },
       if (p->r[0] > 1 || p->r[1] > 1) fail("store buffering", p->r[0], 1))

LITMUS(two_plus_two_writes,
       ASM("movq $1, %2; movq $2, %3; xor %0, %0; xor %1, %1", "r"(0)),
       ASM("movq $1, %3; movq $2, %2; xor %0, %0; xor %1, %1", "r"(0)),
       if (p->x == 1 && p->y == 1) fail("2+2W", 1, 2))

/* A wide store is seen whole; so is one that does not cross a cache line. */
LITMUS(whole_stores,
       ASM("movq %4, %2; movq %4, %3; xor %0, %0; xor %1, %1", "r"(i * 0x100000001ul)),
       { ASM("mov %3, %0; mov %2, %1", "r"(0));
	     if ((u32)a != a >> 32 || (u32)b != b >> 32) fail("half a store", a, b); },
       (void)a)

/* Independent reads of independent writes: all agree on the order of two stores. */
static void independent_reads(u32 cpu)
{
	static struct { u64 x LINE, y LINE; u64 r[4] LINE; u32 start LINE, end LINE; } s;

	if (cpu >= 4)
		return;
	for (u64 i = 0; i < scale; i++) {
		u64 a = 0, b = 0;
		meet_some(&s.start, 4);
		if (cpu == 0)
			store(&s.x, 1);
		else if (cpu == 1)
			store(&s.y, 1);
		else if (cpu == 2)
			__asm__ volatile("mov %2, %0; mov %3, %1" : "=&r"(a), "=&r"(b) : "m"(s.x), "m"(s.y) : "memory");
		else
			__asm__ volatile("mov %3, %0; mov %2, %1" : "=&r"(a), "=&r"(b) : "m"(s.x), "m"(s.y) : "memory");
		if (cpu >= 2) {
			s.r[cpu * 2 - 4] = a;
			s.r[cpu * 2 - 3] = b;
		}
		meet_some(&s.end, 4);
		if (!cpu) {
			if (s.r[0] && !s.r[1] && s.r[2] && !s.r[3])
				fail("IRIW", 1, 0);
			s.x = s.y = 0;
		}
	}
}

/* ---- locked operations ---- */

static u8 arena[3 * 4096] __attribute__((aligned(4096)));

/* Offsets in the arena: aligned, within a line, across lines, across pages. */
static const u32 places[] = {64, 67, 61, 62, 63, 4096 - 1, 4096 - 3, 4096 - 7};
enum { INC, ADD, SUB, XADD, CMPXCHG, ADC, DEC, NOT, HOWS };
#define COUNTER(type, suffix)                                                                                          \
	static void count_##type(u8 *at, u32 how, u64 n)                                                                  \
	{                                                                                                                  \
		type *p = (type *)at, one, old;                                                                                \
		for (u64 i = 0; i < n; i++)                                                                                    \
			switch (how) {                                                                                             \
			case INC: __asm__ volatile("lock inc" suffix " %0" : "+m"(*p)::"memory"); break;                           \
			case DEC: __asm__ volatile("lock dec" suffix " %0" : "+m"(*p)::"memory"); break;                           \
			case ADD: __asm__ volatile("lock add" suffix " $1, %0" : "+m"(*p)::"memory"); break;                       \
			case SUB: __asm__ volatile("lock sub" suffix " $-1, %0" : "+m"(*p)::"memory"); break;                      \
			case ADC: __asm__ volatile("stc; lock adc" suffix " $0, %0" : "+m"(*p)::"memory"); break;                  \
			case NOT: __asm__ volatile("lock not" suffix " %0; lock not" suffix " %0" : "+m"(*p)::"memory"); break;    \
			case XADD:                                                                                                 \
				one = 1;                                                                                               \
				__asm__ volatile("lock xadd %0, %1" : "+q"(one), "+m"(*p)::"memory");                                  \
				break;                                                                                                 \
			default:                                                                                                   \
				old = *p;                                                                                              \
				for (u8 done = 0; !done;) {                                                                            \
					one = old + 1;                                                                                     \
					__asm__ volatile("lock cmpxchg %3, %1; sete %0"                                                    \
					                 : "=q"(done), "+m"(*p), "+a"(old)                                                 \
					                 : "q"(one)                                                                        \
					                 : "memory");                                                                      \
				}                                                                                                      \
			}                                                                                                          \
	}
COUNTER(u8, "b")
COUNTER(u16, "w")
COUNTER(u32, "l")
COUNTER(u64, "q")

/* All CPUs count at one place; what lies beside it stays. */
static void counters(u32 cpu)
{
	static void (*const count[])(u8 *, u32, u64) = {count_u8, count_u16, count_u32, count_u64};

	for (u32 place = 0; place < sizeof places / sizeof *places; place++)
		for (u32 size = 0; size < 4; size++)
			for (u32 how = 0; how < HOWS; how++) {
				u32 bytes = 1 << size;
				u8 *at = arena + places[place];
				int split = (places[place] & 63) + bytes > 64; /* dear */
				u64 n = split ? scale / 50 + 1 : scale / 4 + 1, got = 0, mask = bytes == 8 ? ~0ul : (1ul << bytes * 8) - 1;
				u64 want = (how == NOT ? 0 : how == DEC ? -(n * cpus) : n * cpus) & mask;
				if (!cpu)
					for (int i = -4; i < 12; i++)
						store(&at[i], i < 0 || i >= (int)bytes ? 0x5a : 0);
				meet();
				count[size](at, how, n);
				meet();
				for (u32 i = 0; i < bytes; i++)
					got |= (u64)load(&at[i]) << i * 8;
				if (got != want)
					fail("locked counter", got, want);
				for (int i = -4; i < 12; i++)
					if ((i < 0 || i >= (int)bytes) && load(&at[i]) != 0x5a)
						fail("byte beside a locked counter", at[i], 0x5a);
				meet();
			}
}

/* Each CPU has a bit of its own, in words that others change too. */
#define BIT_OP(op, bit, was)                                                                                           \
	__asm__ volatile("lock " op " %2, %0; setc %1" : "+m"(words[0]), "=q"(was) : "r"((u64)(bit)) : "memory")
static void bits(u32 cpu)
{
	static u64 words[MAX_CPUS / 64 + 1] LINE;
	u64 mine = 1ul << (cpu & 63);
	u8 was;

	for (u64 i = 0; i < scale; i++) {
		BIT_OP("bts", cpu, was);
		if (was)
			fail("BTS", was, 0);
		BIT_OP("btr", cpu, was);
		if (!was)
			fail("BTR", was, 1);
		BIT_OP("btc", cpu, was);
		if (was)
			fail("BTC", was, 0);
		if (!(load(&words[cpu / 64]) & mine))
			fail("a bit was lost", 0, 1);
		__asm__ volatile("lock and %1, %0" : "+m"(words[cpu / 64]) : "r"(~mine) : "memory");
		__asm__ volatile("lock or %1, %0" : "+m"(words[cpu / 64]) : "r"(mine) : "memory");
		__asm__ volatile("lock xor %1, %0" : "+m"(words[cpu / 64]) : "r"(mine) : "memory");
		if (load(&words[cpu / 64]) & mine)
			fail("a bit came back", 1, 0);
	}
}

/* Values change hands, none is lost and none is there twice; aligned, and across a line. */
static void exchanges(u32 cpu)
{
	static u64 sums[MAX_CPUS];

	for (u32 split = 0; split < 2; split++) {
		u64 *slot = (u64 *)(arena + (split ? 60 : 64)), value = 1ul << cpu, sum = 0;
		if (!cpu)
			store(slot, 0);
		meet();
		for (u64 i = 0; i < (split ? scale / 20 + 1 : scale); i++)
			__asm__ volatile("xchg %0, %1" : "+r"(value), "+m"(*slot)::"memory");
		sums[cpu] = value;
		meet();
		for (u32 i = 0; i < cpus; i++)
			sum += load(&sums[i]);
		sum += load(slot);
		if (sum != (cpus == 64 ? ~0ul : (1ul << cpus) - 1))
			fail("exchanged values", sum, (1ul << cpus) - 1);
		meet();
	}
}

static void pairs_at_once(u32 cpu)
{
	static u64 wide[2] __attribute__((aligned(16)));
	static u32 narrow[2] LINE;

	for (u64 i = 0; i < scale; i++) {
		u64 low = load(&wide[0]), high = load(&wide[1]);
		u32 l = load(&narrow[0]), h = load(&narrow[1]);
		for (u8 done = 0; !done;) {
			__asm__ volatile("lock cmpxchg16b %1; sete %0"
			                 : "=q"(done), "+m"(wide), "+a"(low), "+d"(high)
			                 : "b"(low + 1), "c"(high - 1)
			                 : "memory");
			if (low + high != 0)
				fail("CMPXCHG16B", low, -high);
		}
		for (u8 done = 0; !done;) {
			__asm__ volatile("lock cmpxchg8b %1; sete %0"
			                 : "=q"(done), "+m"(narrow), "+a"(l), "+d"(h)
			                 : "b"(l + 1), "c"(h - 1)
			                 : "memory");
			if (l + h != 0)
				fail("CMPXCHG8B", l, -h);
		}
	}
	meet();
	if (load(&wide[0]) != scale * cpus || load(&narrow[0]) != (u32)(scale * cpus))
		fail("pairs", wide[0], scale * cpus);
	meet();
	if (!cpu)
		wide[0] = wide[1] = narrow[0] = narrow[1] = 0;
}

/* ---- locks made of them ---- */

static void spin_locks(u32 cpu)
{
	static u32 lock LINE, ticket LINE, serving LINE;
	static u64 guarded LINE;

	for (u64 i = 0; i < scale; i++) {
		u32 busy = 1, mine = 1;
		for (;;) {
			__asm__ volatile("xchg %0, %1" : "+r"(busy), "+m"(lock)::"memory");
			if (!busy)
				break;
			pause();
		}
		guarded++;
		barrier();
		store(&lock, 0);
		__asm__ volatile("lock xadd %0, %1" : "+r"(mine), "+m"(ticket)::"memory");
		while (load(&serving) != mine)
			pause();
		guarded++;
		barrier();
		store(&serving, mine + 1);
	}
	meet();
	if (cpu == 0 && guarded > 2 * scale * cpus)
		fail("guarded by locks", guarded, 2 * scale * cpus);
	meet();
	guarded = 0;
}

/* A mutex whose waiters sleep until the owner wakes them with an interrupt. */
static void sleeping_mutex(u32 cpu)
{
	static u32 state LINE; /* 0 free, 1 taken, 2 taken and somebody sleeps */
	static u64 sleepers LINE, guarded LINE;

	for (u64 i = 0; i < scale / 4 + 1; i++) {
		u32 old = 0, want = 1;
		__asm__ volatile("lock cmpxchg %2, %1" : "+a"(old), "+m"(state) : "r"(want) : "memory");
		while (old) {
			u32 seen = load(&taken[cpu][1]);
			__asm__ volatile("lock bts %1, %0" : "+m"(sleepers) : "r"((u64)cpu) : "memory");
			old = 2;
			__asm__ volatile("xchg %0, %1" : "+r"(old), "+m"(state)::"memory");
			if (old)
				sleep_while(&taken[cpu][1], seen);
			__asm__ volatile("lock btr %1, %0" : "+m"(sleepers) : "r"((u64)cpu) : "memory");
		}
		guarded++;
		old = 0;
		__asm__ volatile("xchg %0, %1" : "+r"(old), "+m"(state)::"memory");
		u64 who = load(&sleepers);
		if (old == 2)
			for (u32 to = 0; to < cpus; to++)
				if ((who >> to & 1) && to != cpu)
					apic_send(to, ICR_ASSERT | 0x41);
	}
	meet();
	if (load(&guarded) != (scale / 4 + 1) * cpus)
		fail("guarded by a sleeping mutex", guarded, (scale / 4 + 1) * cpus);
	meet();
	guarded = 0;
}

/* ---- page tables ---- */

/* Bits that a CPU sets in an entry and those that software sets beside them do not overwrite each other. */
static void accessed_and_dirty(u32 cpu)
{
	u64 *entry = (u64 *)0xe000 + 4; /* of the 2 MiB from 3 GiB + 8 MiB on: mapped to where the arena is */
	u64 linear = 0xc0800000ul, base = ((u64)arena & ~0x1ffffful) | 0x83;
	u64 n = scale < 2000 ? scale : 2000; /* there are 11 bits to count in */

	if (cpu == 0)
		store(entry, base);
	meet();
	for (u64 i = 0; i < n && cpu < 2; i++) {
		if (cpu == 0) {
			__asm__ volatile("lock andq %1, %0" : "+m"(*entry) : "r"(~0x60ul) : "memory");
			__asm__ volatile("invlpg (%0)" ::"r"(linear) : "memory");
			store((u8 *)linear + ((u64)arena & 0x1fffff) + 128, (u8)i);
			if ((load(entry) & 0x60) != 0x60)
				fail("accessed and dirty", load(entry) & 0x60, 0x60);
		} else {
			__asm__ volatile("lock addq %1, %0" : "+m"(*entry) : "r"(1ul << 52) : "memory");
		}
	}
	meet();
	if (load(entry) >> 52 != n)
		fail("software's bits", load(entry) >> 52, n);
	meet();
	if (cpu == 0)
		store(entry, base & ~1ul);
	__asm__ volatile("invlpg (%0)" ::"r"(linear) : "memory");
}

/* Every CPU reads through a page that one of them moves; the others drop it when they are told. */
static u64 *const moving = (u64 *)0xe000 + 8;
#define MOVING_AT 0xc1000000ul
static void drop_moving(void)
{
	__asm__ volatile("invlpg (%0)" ::"r"(MOVING_AT) : "memory");
}

static void shoot_downs(u32 cpu)
{
	static u64 left[2] LINE; /* who has yet to come by, and stop */
	u32 *frame[2] = {(u32 *)0x1000000, (u32 *)0x1200000};

	if (!cpu) {
		on_47 = drop_moving;
		*frame[0] = 0;
		*frame[1] = 0;
		store(moving, (u64)frame[0] | 0x83);
		left[1] = 0;
	}
	meet();
	drop_moving();
	if (!cpu) {
		for (u32 i = 1; i <= scale / 8 + 1; i++) {
			u32 was[MAX_CPUS];
			for (u32 c = 1; c < cpus; c++)
				was[c] = load(&taken[c][7]);
			store(frame[i & 1], i);
			store(moving, (u64)frame[i & 1] | 0x83);
			drop_moving();
			apic_send(0, ICR_OTHERS | ICR_ASSERT | 0x47);
			for (u32 c = 1; c < cpus; c++)
				while (load(&taken[c][7]) == was[c])
					pause();
			store(frame[~i & 1], 0xdeadbeef); /* nobody sees this any more */
			for (u32 k = 0; k < 200; k++)
				pause();
		}
		store(&left[1], 1);
	} else {
		u32 last = 0;
		interrupts(1);
		while (!load(&left[1])) {
			interrupts(0);
			u32 seen = load((u32 *)MOVING_AT);
			if (seen == 0xdeadbeef || seen < last)
				fail("a page that was gone", seen, last);
			last = seen;
			interrupts(1);
		}
		interrupts(0);
	}
	meet();
	if (!cpu)
		on_47 = 0;
}

/* ---- code that others change ---- */

static u8 code[64 * 4096] __attribute__((aligned(4096)));

static void write_function(u8 *at, u32 value) /* mov $value, %eax; ret */
{
	store(at, 0xb8);
	__asm__ volatile("movl %1, %0" : "=m"(*(u32 *)(at + 1)) : "r"(value) : "memory");
	store(at + 5, 0xc3);
}
static u32 call(const u8 *at)
{
	u32 value;

	__asm__ volatile("call *%1" : "=a"(value) : "r"(at) : "rcx", "rdx", "memory", "cc");
	return value;
}

/* One function, changed and handed over again and again. */
static void code_handed_over(u32 cpu)
{
	static u32 turn LINE;

	if (cpu >= 2)
		return;
	if (!cpu)
		store(&turn, 0);
	for (u32 i = 1; i <= scale; i++)
		if (!cpu) {
			write_function(code, i);
			store(&turn, 2 * i - 1);
			while (load(&turn) != 2 * i)
				pause();
		} else {
			while (load(&turn) != 2 * i - 1)
				pause();
			serialise();
			u32 got = call(code);
			if (got != i)
				fail("code handed over", got, i);
			store(&turn, 2 * i);
		}
}

/* New functions all the time, in pages where others are executed already: the writer has such a page at hand while the others
 * begin to execute it. */
static void code_beside_code(u32 cpu)
{
	static u32 ready LINE, started LINE;

	for (u32 round = 0; round < scale / 200 + 1; round++) {
		meet();
		if (!cpu)
			store(&ready, 0);
		meet();
		u32 n = sizeof code / 64;
		for (u32 i = 0; i < n; i++) {
			/* spread over the pages; each page gets another every 64 functions */
			u8 *at = code + (i % 64) * 4096 + (i / 64) * 64;
			u32 value = round << 16 | i;
			if (!cpu) {
				write_function(at, value);
				write_function(at + 16, value ^ 1); /* the page again, after the first may have been seen */
				store(&ready, i + 1);
			} else {
				while (load(&ready) <= i)
					pause();
				serialise();
				u32 got = call(at);
				if (got != value)
					fail("code beside code", got, value);
				if (call(at + 16) != (value ^ 1))
					fail("code beside code, after it", call(at + 16), value ^ 1);
			}
		}
	}
	(void)started;
}

/* A function that is changed while it runs: each call gives one of the values, none older than what was seen. */
static void code_under_way(u32 cpu)
{
	static u32 stop LINE;

	if (!cpu) {
		write_function(code + 3, 0);
		store(&stop, 0);
	}
	meet();
	serialise();
	if (!cpu) {
		for (u32 i = 1; i <= scale; i++)
			store((u32 *)(code + 4), i);
		store(&stop, 1);
	} else {
		u32 last = 0;
		while (!load(&stop)) {
			u32 got = call(code + 3);
			if (got < last || got > scale)
				fail("code under way", got, last);
			last = got;
		}
		serialise();
		if (call(code + 3) != scale)
			fail("code in the end", call(code + 3), scale);
	}
	meet();
}

/* ---- time ---- */

static void one_time(u32 cpu)
{
	static u64 latest LINE;

	for (u64 i = 0; i < scale; i++) {
		u64 before = load(&latest), now = tsc();
		if (now < before)
			fail("the TSC went back", now, before);
		__asm__ volatile("lock cmpxchg %2, %1" : "+a"(before), "+m"(latest) : "r"(now) : "memory");
	}
	(void)cpu;
}

/* ---- interrupts ---- */

static void expect_taken(u32 what, u32 n)
{
	u32 cpu = cpu_number();
	u64 wait = tsc();

	while (load(&taken[cpu][what]) != n) {
		pause();
		if (tsc() - wait > 30ul * 2000000000 || load(&taken[cpu][what]) > n)
			fail("interrupts taken", taken[cpu][what], n);
	}
}

/* CPU `from` sends; the CPUs in `to` (a mask) take one more of `what`, the others none. */
static void message(u32 cpu, u32 from, u32 dest, u32 icr, u32 what, u64 to)
{
	u32 was = load(&taken[cpu][what]);

	interrupts(1);
	meet();
	if (cpu == from)
		apic_send(dest, icr);
	expect_taken(what, was + (to >> cpu & 1));
	meet();
	if (load(&taken[cpu][what]) != was + (to >> cpu & 1))
		fail("interrupts taken in the end", taken[cpu][what], was);
	interrupts(0);
	meet();
}

static void ways_of_interrupts(u32 cpu)
{
	u64 all = cpus == 64 ? ~0ul : (1ul << cpus) - 1;
	u32 last = cpus - 1, everyone = apic_is_x2[cpu] ? ~0u : 0xff;

	for (u32 i = 0; i < 4; i++) {
		message(cpu, 0, last, ICR_ASSERT | 0x42, 2, 1ul << last);
		message(cpu, last, 0, ICR_ASSERT | 0x43, 3, 1);
		message(cpu, last, 0, ICR_ASSERT | ICR_SELF | 0x44, 4, 1ul << last);
		message(cpu, 0, 0, ICR_ASSERT | ICR_ALL | 0x45, 5, all);
		message(cpu, last, 0, ICR_ASSERT | ICR_OTHERS | 0x46, 6, all & ~(1ul << last));
		message(cpu, 0, everyone, ICR_ASSERT | 0x42, 2, all);
		message(cpu, 0, last, ICR_ASSERT | ICR_NMI, 8, 1ul << last);
		message(cpu, last, 0, ICR_ASSERT | ICR_OTHERS | ICR_NMI, 8, all & ~(1ul << last));
		if (apic_is_x2[cpu]) { /* cluster in the upper half, one bit for each of its 16 */
			if (apic_read(APIC_LDR) != (cpu >> 4 << 16 | 1u << (cpu & 15)))
				fail("LDR", apic_read(APIC_LDR), cpu);
			u64 low = all & 0xffff;
			message(cpu, 0, (u32)low, ICR_ASSERT | ICR_LOGICAL | 0x43, 3, low);
			message(cpu, 0, last >> 4 << 16 | 1u << (last & 15), ICR_ASSERT | ICR_LOGICAL | 0x43, 3, 1ul << last);
		} else if (cpus <= 8) {
			apic_write(APIC_DFR, ~0u);
			apic_write(APIC_LDR, 1u << (24 + cpu));
			message(cpu, 0, (u32)all, ICR_ASSERT | ICR_LOGICAL | 0x43, 3, all);
			message(cpu, 0, 1u << last, ICR_ASSERT | ICR_LOGICAL | 0x43, 3, 1ul << last);
		}
	}
}

/* Two CPUs that sleep until the other wakes them. */
static void ping_pong(u32 cpu)
{
	if (cpu >= 2)
		return;
	for (u64 i = 0; i < scale / 2 + 1; i++) {
		static u32 seen[2];
		if (cpu == 0)
			apic_send(1, ICR_ASSERT | 0x40);
		sleep_while(&taken[cpu][0], seen[cpu]);
		seen[cpu]++;
		if (load(&taken[cpu][0]) != seen[cpu])
			fail("wake-ups", taken[cpu][0], seen[cpu]);
		if (cpu == 1)
			apic_send(0, ICR_ASSERT | 0x40);
	}
	meet_some(&pairs[0].start, 2);
}

static void x2apic(u32 cpu)
{
	u32 r[4];

	cpuid(1, 0, r);
	if (!(r[2] >> 21 & 1))
		return;
	wrmsr(0x1b, rdmsr(0x1b) | 0xc00);
	apic_is_x2[cpu] = 1;
	apic_enable();
	if (apic_read(APIC_ID) != cpu)
		fail("x2APIC id", apic_read(APIC_ID), cpu);
	meet();
	ways_of_interrupts(cpu);
	for (u32 i = 1; i <= 100; i++) {
		u32 was = load(&taken[cpu][4]);
		interrupts(1);
		wrmsr(0x83f, 0x44);
		expect_taken(4, was + 1);
		interrupts(0);
	}
}

const struct test tests[] = {
	{"message passing", message_passing, 2},
	{"load buffering", load_buffering, 2},
	{"store buffering, MFENCE", store_buffering_mfence, 2},
	{"store buffering, XCHG", store_buffering_xchg, 2},
	{"store buffering, LOCK", store_buffering_lock, 2},
	{"store buffering, own stores", store_buffering_own, 2},
	{"2+2 writes", two_plus_two_writes, 2},
	{"whole stores", whole_stores, 2},
	{"independent reads", independent_reads, 4},
	{"locked counters", counters, 1},
	{"bits", bits, 1},
	{"exchanges", exchanges, 1},
	{"pairs at once", pairs_at_once, 1},
	{"spin locks", spin_locks, 1},
	{"sleeping mutex", sleeping_mutex, 1},
	{"accessed and dirty bits", accessed_and_dirty, 2},
	{"shoot-downs", shoot_downs, 2},
	{"code handed over", code_handed_over, 2},
	{"code beside code", code_beside_code, 2},
	{"code under way", code_under_way, 2},
	{"one time", one_time, 1},
	{"ways of interrupts", ways_of_interrupts, 2},
	{"ping-pong", ping_pong, 2},
	{"x2APIC", x2apic, 2},
	{"sleeping mutex on it", sleeping_mutex, 1},
	{0},
};
