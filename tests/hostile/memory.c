/* SPDX-License-Identifier: MIT */
/* Scenarios of memory that changes while the CPU itself reads it: code, page tables, descriptors, FPU images. */
#include "hostile.h"

/* ---- code ---- */

/* Beginnings that have been somebody's mistake: 82h, MOVNTI with prefixes, LES, LDS, BOUND, far pointers, x87 and SSE control,
 * long runs of prefixes, LOCK and REP where they do not belong. */
static const u8 beginnings[][8] = {
	{0x82, 0xc0, 1},
	{0x66, 0x0f, 0xc3, 0x00},
	{0x0f, 0xc3, 0x07},
	{0xc4, 0x00},
	{0xc5, 0x00},
	{0x62, 0x00},
	{0x9a, 0, 0, 0, 2, 8, 0},
	{0xea, 0, 0, 0, 2, 8, 0},
	{0xd4, 0},
	{0xd9, 0x28},
	{0x0f, 0xae, 0x10},
	{0x0f, 0xae, 0x08},
	{0x0f, 0xae, 0x28},
	{0xdd, 0x20},
	{0xd9, 0x20},
	{0x66, 0x66, 0x66, 0x67, 0x2e, 0x26, 0x66, 0x90},
	{0xf0, 0x0f, 0xc7, 0xc8},
	{0xf2, 0xf3, 0x0f, 0x38, 0xf0, 0},
	{0xf3, 0xa4},
	{0xf2, 0xae},
	{0x67, 0xe2, 0xfe},
	{0x8e, 0xd0, 0x90},
	{0x9d, 0x90},
	{0xcf},
	{0x48, 0xcf},
	{0x0f, 0x05},
	{0x0f, 0x34},
	{0xcd, 0x80},
	{0xc8, 0, 0, 31},
	{0x0f, 0xa2},
	{0x0f, 0x01, 0xd0},
	{0xeb, 0xfe},
	{0x0f, 0x0b},
	{0x41, 0x82, 0xc0, 1},
	{0x66, 0xe9, 0, 0, 0, 0},
	{0x66, 0xc3},
	{0xc4, 0xe2, 0x79, 0},
	{0x62, 0xf1, 0x7c, 0x48, 0x58},
	{0x0f, 0x18, 0x00},
	{0x8c, 0xd8},
	{0xd7},
	{0x6c},
	{0xdb, 0xe3},
};

static void write_code(struct own *me)
{
	u8 *code = (u8 *)USER;

	for (u32 n = 0; n < 32; n++) {
		u32 at = random_below(me, 4096 - 8);

		if (random_below(me, 3)) {
			store((u64 *)(code + at), random64(me));
		} else {
			const u8 *from = beginnings[random_below(me, COUNT(beginnings))];

			for (u32 i = 0; i < 8 && (i < 2 || from[i]); i++)
				store(code + at + i, from[i]);
		}
	}
}

static void prepare_code(struct own *me)
{
	for (u32 i = 0; i < 0x200000; i += 8)
		*(u64 *)(u64)(USER + i) = i < 8192 ? random64(me) : (u64)USER + random_below(me, 0x200000);
}

static void run_code(struct own *me, u16 cs, u64 base)
{
	apic_write(0x3e0, 0xb);
	apic_write(0x320, 0x40);
	apic_write(0x380, 1000 + random_below(me, 20000));
	to_ring3(me, cs, base + random_below(me, 4096));
}
static void code64(struct own *me) { run_code(me, CS_USER64, USER); }
static void code32(struct own *me) { run_code(me, CS_USER32, USER); }
static void code16(struct own *me) { run_code(me, CS_USER16, 0); }

/* ---- page tables ---- */
static u64 some_entry(struct own *me)
{
	static const u32 places[] = {TREE,       TREE,       TREE,       TREE,    USER,       USER,       BUFFERS,
	                             0xfec00000, 0xfed00000, 0xa0000, 0xe0000000, 0xfffff000, 0x10000000};
	u32 place = places[random_below(me, COUNT(places))];
	u64 flags = random_below(me, 4) ? 7 : random64(me) & 0xfff;

	if (place == TREE)
		place += random_below(me, 16) << 12;
	if (place == USER || place == BUFFERS)
		place += random_below(me, 64) << 12;
	if (random_below(me, 16) == 0)
		flags |= random64(me) & ~0xffffful << 32;
	return place | flags;
}

static void prepare_walks(struct own *me)
{
	for (u32 i = 0; i < 0x10000; i += 8)
		*(u64 *)(u64)(TREE + i) = some_entry(me);
}
static void walk(struct own *me)
{
	volatile u8 *at = (u8 *)(TREE_BASE + (random64(me) & 0x7fffffffff));

	switch (random_below(me, 6)) {
	case 0: (void)*at; break;
	case 1: *at = 1; break;
	case 2: __asm__ volatile("lock incl %0" : "+m"(*(u32 *)at)); break;
	case 3: __asm__ volatile("rep movsb" ::"D"(at), "S"((u64)BUFFERS), "c"(random_below(me, 9000)) : "memory"); break;
	case 4: __asm__ volatile("fxsave64 %0" : "=m"(*(u8(*)[512])((u64)at & ~15ul))); break;
	default: __asm__ volatile("invlpg %0; mov %%cr3, %%rax; mov %%rax, %%cr3" ::"m"(*at) : "rax", "memory"); break;
	}
}
static void change_walks(struct own *me)
{
	for (u32 n = 0; n < 64; n++)
		store((u64 *)(u64)(TREE + random_below(me, 0x2000) * 8), some_entry(me));
	if (random_below(me, 8) == 0)
		__asm__ volatile("mov %%cr3, %%rax; mov %%rax, %%cr3" ::: "rax", "memory");
}

/* ---- descriptors ---- */

/* Where far transfers lead that succeed, in ring 0 too, and with a base that is off by one bit if the code segment is not one of
 * 64 bits. INT3 all over it, so that the guest does not execute its own program at some odd place, which wrecks it. */
static void prepare_descriptors(struct own *me)
{
	u64 at = LANDING, count = LANDING_SIZE;

	(void)me;
	__asm__ volatile("rep stosb" : "+D"(at), "+c"(count) : "a"(0xcc) : "memory");
}

/* A task register from a descriptor that may be anything, and the good one back at once: a trap through a wild TSS would have its
 * stack anywhere, over whatever is there. */
static void load_task(u16 selector)
{
	gdts[0][TASK_SELECTOR / 8] &= ~(2ul << 40); /* not busy */
	__asm__ volatile("ltr %0; ltr %1" ::"r"(selector), "r"((u16)TASK_SELECTOR) : "memory");
}

static void transfer(struct own *me)
{
	u16 selector = FREE_SELECTORS + random_below(me, (GDT_ENTRIES - FREE_SELECTORS / 8) * 8);
	struct {
		u64 offset;
		u16 selector;
	} __attribute__((packed)) far = {LANDING, selector};
	u64 frame[5] = {LANDING, selector, random64(me) & 0x3cffd5, (u64)BUFFERS + 0x1000, selector + 8};

	switch (random_below(me, 11)) {
	case 0: __asm__ volatile("mov %0, %%ds" ::"r"(selector)); break;
	case 1: __asm__ volatile("mov %0, %%es; mov %0, %%fs; mov %0, %%gs" ::"r"(selector)); break;
	case 2: __asm__ volatile("mov %0, %%ss; nop" ::"r"(selector)); break;
	case 3: __asm__ volatile("lar %0, %%eax; lsl %0, %%eax; verr %0; verw %0" ::"r"(selector) : "eax", "cc"); break;
	case 4: __asm__ volatile("rex.W lcall *%0" ::"m"(far)); break;
	case 5: __asm__ volatile("rex.W ljmp *%0" ::"m"(far)); break;
	case 6: load_task(selector); break;
	case 7: __asm__ volatile("lldt %0; mov %1, %%es" ::"r"(selector), "r"((u16)(selector | 4))); break;
	case 8: __asm__ volatile("mov %0, %%rsp; iretq" ::"r"(frame)); break;
	case 9: __asm__ volatile("mov %0, %%rsp; lretq" ::"r"(frame)); break;
	default: /* INT n, n from 80h on */
		__asm__ volatile("lea 1f(%%rip), %%rax; lea (%%rax,%0,4), %%rax; jmp *%%rax; 1:\n"
		                 ".set vector, 0x80; .rept 128; int $vector; nop; nop; .set vector, vector + 1; .endr" ::"r"(
							 (u64)random_below(me, 128))
		                 : "rax");
		break;
	}
}

static void change_tables(struct own *me)
{
	u64 *g = gdts[0], stop = LANDING;

	for (u32 n = 0; n < 32; n++) {
		u32 at = FREE_SELECTORS / 8 + random_below(me, GDT_ENTRIES - FREE_SELECTORS / 8);

		switch (random_below(me, 4)) {
		case 0: store(&g[at], g[random_below(me, 12)]); break;
		case 1: store(&g[at], g[random_below(me, 12)] ^ 1ul << random_below(me, 64)); break;
		case 2: /* a gate */
			store(&g[at], (stop & 0xffff) | random_below(me, 4) * 8ul << 16 | (0x80ul | random_below(me, 128)) << 40 |
			                  (stop >> 16 & 0xffff) << 48);
			break;
		default: store(&g[at], random64(me)); break;
		}
		u64 *gate = idts[0][0x80 + random_below(me, 128)];
		switch (random_below(me, 3)) {
		case 0: store(&gate[0], gate[0] ^ 1ul << (40 + random_below(me, 8))); break;
		case 1: store(&gate[0], (gate[0] & ~0xffff0000ul) | (u64)random_below(me, 0x10000) << 16); break;
		default: store(&gate[0], (gate[0] & ~0x700000000ul) | (u64)(1 + random_below(me, 7)) << 32); break;
		}
		/* the upper half of IST2 to IST7, which only those gates use: the good stack, nothing mapped, or not an address */
		store(&task_segments[0][12 + random_below(me, 6) * 2], random_below(me, 3) ? 0 : (u32)random64(me) | 0x400);
	}
}

/* ---- FPU images ---- */
static void prepare_images(struct own *me)
{
	u32 r[4];

	(void)me;
	__asm__ volatile("cpuid" : "=a"(r[0]), "=b"(r[1]), "=c"(r[2]), "=d"(r[3]) : "a"(1), "c"(0));
	if (r[2] & 1u << 26)
		__asm__ volatile("mov %%cr4, %%rax; or $0x40000, %%eax; mov %%rax, %%cr4" ::: "rax");
}
static void use_images(struct own *me)
{
	u8 *image = (u8 *)(u64)IMAGES + random_below(me, 8) * 4096;
	u8 *odd = image + random_below(me, 64);
	u64 cr0;

	/* without CR0.NE an unmasked exception freezes the CPU until an interrupt comes: here until the other one's NMI */
	__asm__ volatile("mov %%cr0, %0" : "=r"(cr0));
	cr0 = random_below(me, 64) ? cr0 | 0x20 : cr0 & ~0x20ul;
	__asm__ volatile("mov %0, %%cr0" ::"r"(cr0));
	switch (random_below(me, 9)) {
	case 0: __asm__ volatile("fldcw %0; fld1; fldz; fdivrp; fwait" ::"m"(*(u16 *)odd)); break;
	case 1:
		__asm__ volatile("ldmxcsr %0; divss %%xmm0, %%xmm1; sqrtsd %%xmm2, %%xmm3; cvttsd2si %%xmm4, %%rax" ::"m"(*(u32 *)odd)
		                 : "rax");
		break;
	case 2: __asm__ volatile("fxrstor64 %0; fldpi; fsin; fwait" ::"m"(*(u8(*)[512])image)); break;
	case 3: __asm__ volatile("fldenv %0; fld1; fadd %%st(3); fwait" ::"m"(*(u8(*)[28])odd)); break;
	case 4: __asm__ volatile("frstor %0; fmulp; fistpll %1; fwait" ::"m"(*(u8(*)[108])odd), "m"(*(u64 *)BUFFERS)); break;
	case 5: __asm__ volatile("xrstor64 %0; mulps %%xmm5, %%xmm6" ::"m"(*(u8(*)[4096])image), "a"(-1), "d"(-1)); break;
	case 6: __asm__ volatile("xsetbv" ::"c"(0), "a"(random_below(me, 8)), "d"(0)); break;
	case 7: __asm__ volatile("fbld %0; fldt %1; fyl2x; fwait" ::"m"(*(u8(*)[10])odd), "m"(*(u8(*)[10])(odd + 16))); break;
	default: __asm__ volatile("fxsave64 %0; fxrstor64 %0" ::"m"(*(u8(*)[512])image)); break;
	}
}
static void change_images(struct own *me)
{
	for (u32 n = 0; n < 64; n++) {
		u32 at = random_below(me, 8) * 4096 + (random_below(me, 2) ? random_below(me, 72) * 8 : random_below(me, 512) * 8);

		store((u64 *)(u64)(IMAGES + at), random_below(me, 3) ? random64(me) & random64(me) & random64(me) : random64(me));
	}
}

const struct scenario memory_scenarios[] = {
	{"code64", prepare_code, code64, write_code, 40},
	{"code32", prepare_code, code32, write_code, 40},
	{"code16", prepare_code, code16, write_code, 40},
	{"walks", prepare_walks, walk, change_walks, 100},
	{"descriptors", prepare_descriptors, transfer, change_tables, 60},
	{"images", prepare_images, use_images, change_images, 100},
	{0},
};
