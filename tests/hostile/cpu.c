/* SPDX-License-Identifier: MIT */
/* The first CPU decodes and loads what the others write at the same time: instructions of different lengths, control words that
 * mask and unmask, register images, descriptors, call gates, page table entries, pairs for locked instructions. An exception is as
 * good as none; what is asked is that the machine goes on, and that it still computes right. */
#include "tests/smp/lib.h"

#define PAGE __attribute__((aligned(4096)))
#define PAIRS 5 /* of instructions; each has two places of its own, the second runs into another page */
PAGE u8 code[PAIRS][8192], data[8192], image[4096];
static PAGE u64 table[512]; /* of pages, for 2 MiB at WINDOW */
static u64 gdt_here[16];
u64 pair[2] __attribute__((aligned(16)));
u16 fcw;
u32 mxcsr;
#define WINDOW 0x3fe00000ul

static u32 done;
static u64 idt[32][2];
u64 saved_stack, resume, faults; /* attempt()'s */
extern u32 attempt(const void *what); /* 1: it came through */
extern const u8 recover[], gate_target[];

/* ---- what is attempted: it may change all registers, RSP too ---- */

__asm__(".text\n"
        "attempt: push %rbx; push %rbp; push %r12; push %r13; push %r14; push %r15\n"
        "	mov %rsp, saved_stack\n"
        "	movq $1f, resume\n"
        "	call *%rdi\n"
        "	mov $1, %eax\n"
        "	jmp 2f\n"
        "1:	xor %eax, %eax\n"
        "2:	mov saved_stack, %rsp\n"
        "	mov $0x10, %ecx; mov %ecx, %ds; mov %ecx, %es; mov %ecx, %ss\n"
        "	cld; fninit; ldmxcsr calm\n"
        "	pop %r15; pop %r14; pop %r13; pop %r12; pop %rbp; pop %rbx; ret\n"
        "recover: incq faults\n"
        "	mov saved_stack, %rsp\n"
        "	jmp *resume\n"
        "gate_target: lretq\n"
        "calm:	.long 0x1f80\n"
        "gate:	.long 0; .word 0x30\n");

#define ATTEMPT(name, text)                                                                                            \
	extern const u8 name[];                                                                                           \
	__asm__(".text\n" #name ": " text "; ret\n")
ATTEMPT(do_fldcw, "mov $100, %ecx; 3: fninit; fldcw fcw; fldz; fld1; fdivp; fld1; fwait; loop 3b");
ATTEMPT(do_mxcsr, "ldmxcsr mxcsr; xorps %xmm0, %xmm0; divps %xmm0, %xmm0; sqrtps %xmm0, %xmm1");
ATTEMPT(do_fxrstor, "fxrstor image; fld1; fwait; addps %xmm0, %xmm1");
ATTEMPT(do_frstor, "frstor image; fld1; fwait");
ATTEMPT(do_fldenv, "fldenv image; fldz; fld1; fdivp; fld1; fwait");
ATTEMPT(do_segment, "mov $0x20, %eax; mov %eax, %es; mov %eax, %ds; lar %eax, %ecx; lsl %eax, %ecx");
ATTEMPT(do_gate, "lcall *gate");
ATTEMPT(do_pages, "mov $0x3fe00000, %esi; invlpg (%rsi); mov (%rsi), %rax; mov %rax, 8(%rsi); lock incq 16(%rsi); "
                  "mov $0x3fe01000, %edi; mov $512, %ecx; rep movsq; movups (%rsi), %xmm0");
ATTEMPT(do_pair, "mov pair, %rax; mov pair + 8, %rdx; mov %rax, %rbx; mov %rdx, %rcx; lock cmpxchg16b pair; "
                 "lock cmpxchg8b pair; xchg %rax, pair + 3");

/* ---- the others ---- */

static u64 any(u64 *state)
{
	*state ^= *state << 13;
	*state ^= *state >> 7;
	*state ^= *state << 17;
	return *state;
}

/* Two at one place, which differ in kind and length; RETs follow. Whatever is made of some bytes of the one and the rest of the
 * other stores nothing and leaves the stack as it was, or is an exception: otherwise it is this program that goes wrong. */
static const u8 instructions[PAIRS][2][9] = {
	/* XOP, POP and PUSH */
	{{0x8f, 0xe8, 0x50, 0x90, 0x90, 0x90, 0x90, 0x90, 0x90}, {0x8f, 0xc0, 0x50, 0x90, 0x90, 0x90, 0x90, 0x90, 0x90}},
	/* NOP, VEX (or ADC) */
	{{0x66, 0x0f, 0x1f, 0x84, 0x90, 0x90, 0x90, 0x90, 0x90}, {0xc5, 0xf8, 0x12, 0xc1, 0x90, 0x90, 0x90, 0x90, 0x90}},
	/* EVEX, MOV (or INT1) */
	{{0x62, 0xf1, 0x7c, 0x48, 0x28, 0xc1, 0x90, 0x90, 0xc3}, {0x48, 0xb8, 1, 2, 3, 4, 5, 6, 7}},
	/* VEX, MOVBE (or PSRAD, ADD) */
	{{0xc4, 0xe2, 0x79, 0x18, 0x03, 0x90, 0x90, 0x90, 0xc3}, {0x0f, 0x38, 0xf0, 0x03, 0x90, 0x90, 0x90, 0x90, 0xc3}},
	/* ENDBR, prefixes (or CLI) */
	{{0xf3, 0x0f, 0x1e, 0xfa, 0x90, 0x90, 0x90, 0x90, 0x90}, {0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x90}},
};

static u8 *place(u32 pair, u32 which)
{
	return code[pair] + (which ? 4096 - 5 : 0);
}

static void write_code(u64 v, u32 pair)
{
	const u8 *from = instructions[pair][v >> 8 & 1];
	u8 *to = place(pair, v & 1);

	for (u32 i = 0; i < 9; i++)
		if (load(to + i) != from[i])
			store(to + i, from[i]);
}

static void write_other(u64 v, u32 kind)
{
	static const u64 segments[] = {0x00cf93000000ffff, 0x00cf12000000ffff, 0x00cf92000000ffff, 0x0000890000000067, 0};

	switch (kind) {
	case 0: store(&fcw, v >> 16 & 1 ? 0x37f : 0x340); break;
	case 1: store(&mxcsr, (v >> 16 & 3) == 0 ? 0xffffffff : v >> 16 & 1 ? 0x1f80 : 0); break;
	case 2: store((u16 *)image, v >> 16 & 1 ? 0x37f : 0x340); break;
	case 3: store((u32 *)(image + 24), v >> 16 & 1 ? 0x1f80 : (u32)(v >> 32)); break;
	case 4: store(&gdt_here[4], segments[(v >> 16) % 5]); break;
	case 5:
		store(&gdt_here[6], ((u64)gate_target & 0xffff) | 0x18ul << 16 | (v >> 16 & 1 ? 0x8c00ul : 0x0c00ul) << 32 |
		                       ((u64)gate_target >> 16 & 0xffff) << 48);
		store(&gdt_here[7], v >> 17 & 3 ? 0 : v);
		break;
	case 6: store(&table[v >> 16 & 1], (u64)data | (v >> 20 & 0x67) | (v >> 28 & 7 ? 0 : 1ul << 51)); break;
	default: store(&pair[v >> 16 & 1], v >> 32); break;
	}
}

/* ---- the test ---- */

static void load_tables(u64 *gdt_from, void *idt_at, u16 idt_limit)
{
	struct {
		u16 limit;
		void *base;
	} __attribute__((packed)) g = {sizeof gdt_here - 1, gdt_from}, i = {idt_limit, idt_at};

	__asm__ volatile("lgdt %0; lidt %1" ::"m"(g), "m"(i));
}

static void prepare(void)
{
	u64 *pml4, *directory, at = (u64)recover;

	/* x87 faults are exceptions, not interrupts that nobody here takes */
	__asm__ volatile("mov %%cr0, %%rax; or $0x20, %%eax; mov %%rax, %%cr0" ::: "rax");
	__asm__("mov %%cr3, %0" : "=r"(pml4));
	directory = (u64 *)(((u64 *)(pml4[0] & ~0xffful))[0] & ~0xffful);
	directory[WINDOW >> 21] = (u64)table | 7;
	table[0] = table[1] = (u64)data | 0x67;
	gdt_here[1] = 0x00cf9b000000ffff;
	gdt_here[2] = 0x00cf93000000ffff;
	gdt_here[3] = 0x00af9b000000ffff;
	for (u32 i = 0; i < 32; i++) {
		idt[i][0] = (at & 0xffff) | 0x18ul << 16 | 0x8e00ul << 32 | (at >> 16 & 0xffff) << 48;
		idt[i][1] = at >> 32;
	}
	for (u32 i = 0; i < PAIRS; i++)
		for (u32 k = 0; k < sizeof code[0]; k++)
			code[i][k] = 0xc3;
	store(&data[0], 0);
}

static void victim(void)
{
	static const void *const attempts[] = {do_fldcw,  do_mxcsr,   do_fxrstor, do_frstor, do_fldenv,
	                                       do_gate,   do_segment, do_pages,   do_pair};
	struct {
		u16 limit;
		u64 base;
	} __attribute__((packed)) old_idt, old_gdt;
	u64 through = 0;

	__asm__("sidt %0; sgdt %1" : "=m"(old_idt), "=m"(old_gdt));
	prepare();
	load_tables(gdt_here, idt, sizeof idt - 1);
	for (u64 i = 0; i < scale; i++) {
		for (u32 k = 0; k < PAIRS * 2; k++)
			through += attempt(place(k / 2, k % 2));
		for (u32 k = 0; k < sizeof attempts / sizeof attempts[0]; k++)
			through += attempt(attempts[k]);
	}
	__asm__ volatile("lgdt %0; lidt %1" ::"m"(old_gdt), "m"(old_idt));
	store(&done, 1);
	if (through + faults != scale * (PAIRS * 2 + sizeof attempts / sizeof attempts[0]))
		fail("attempts that ended", through + faults, scale);
	say_number(through);
	say(" came through, ");
	say_number(faults);
	say(" did not\n");
}

static void what_is_read_changes(u32 cpu)
{
	u64 state = 0x9e3779b97f4a7c15ul + cpu;

	if (!cpu) {
		victim();
		return;
	}
	while (!load(&done)) {
		u64 how = any(&state);
		u32 kind = how & 15; /* for a while, to hit the moment between two looks at it */
		for (u32 i = 0; i < 2000 && !load(&done); i++) {
			u64 v = any(&state);
			if (kind < 8)
				write_other(v, kind);
			else
				write_code(v, (how >> 8 & 0xff) % PAIRS);
		}
	}
}

/* What the machine is still able to do. */
static void sums(u32 cpu)
{
	u64 sum = 0; /* a double */
	u32 n = 0;

	__asm__ volatile("fninit");
	for (u32 i = 1; i <= 1000; i++) {
		__asm__ volatile("cvtsi2sd %1, %%xmm0; addsd %0, %%xmm0; movsd %%xmm0, %0" : "+m"(sum) : "r"(i));
		__asm__ volatile("fldl %1; fistpl %0" : "=m"(n) : "m"(sum));
		if (n != i * (i + 1) / 2)
			fail("a sum", n, cpu);
	}
}

const struct test tests[] = {
	{"what is read changes", what_is_read_changes, 2},
	{"sums", sums, 1},
	{0},
};
