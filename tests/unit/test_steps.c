/* SPDX-License-Identifier: MIT */
/* Single steps, as this host's CPU makes them in user mode and as the interpreter does at CPL 3: after which instructions of a
 * piece of code a trap comes, by the address that it tells. The host's come as SIGTRAP, that of INT3 among them. What a host cannot
 * step is told and left out (INT1, under paravirtual kernels: so it is not here at all).
 *
 * Over SYSCALL the host's kernel has a say: one that returns by SYSRET is seen right behind it, as here, one that returns by IRET
 * (Linux does, where TF is set) an instruction later. */
#define _GNU_SOURCE /* the names of registers in a signal frame */
#include <signal.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <ucontext.h>
#include <unistd.h>

#include "cpu/engine.h"
#include "cpu/segment.h"
#include "tests/unit/cpu_unit.h"

#define CODE_AT 0x3000u
#define RETURN_AT 0x2000u
#define HANDLER 0x1000u /* iretq */
#define KERNEL 0x1100u  /* sysretq */
#define IDT 0x4000u
#define GDT 0x5000u
#define TSS 0x6000u
#define STACK0 0x8000u
#define STACK3 0xa000u
#define ROOM 256 /* a piece's bytes at most */
#define TRAPS_MAX 64
#define GIVE_UP 20 /* seconds: a piece takes microseconds */

/* Each is a function: it sets TF, does what it is about, clears TF, and returns. */
#define PIECES(P)                                                                                                      \
	P(nothing, "nop; nop; lea 1(%rax), %rax")                                                                          \
	P(flags, "xor %eax, %eax; stc; sbb %eax, %eax; cld; cmc")                                                          \
	P(jumps, "jmp 1f; nop; 1: xor %eax, %eax; jz 2f; nop; 2: jnz 3f; nop; 3: call 4f; jmp 5f; 4: ret; 5: nop")         \
	P(loops, "mov $3, %ecx; 1: loop 1b; jrcxz 2f; nop; 2: nop")                                                        \
	P(stores, "lea -256(%rsp), %rdi; mov $3, %ecx; mov %rdi, %rsi; rep stosb; mov $2, %ecx; rep movsq; rep stosb; nop") \
	P(scans, "lea -256(%rsp), %rdi; mov %rdi, %rsi; movl $0x01010100, (%rdi); mov $1, %eax; mov $4, %ecx; repne scasb; lodsb") \
	P(stack_segment, "mov %ss, %eax; mov %eax, %ss; nop; mov %eax, %ss; mov %eax, %ss; nop; nop")                       \
	P(flags_again, "pushfq; popfq; nop; pushfq; pop %rax; nop")                                                        \
	P(far_return, "mov %rsp, %rdx; mov %ss, %eax; push %rax; push %rdx; pushfq; mov %cs, %eax; push %rax; lea 1f(%rip), %rax; " \
	              "push %rax; iretq; nop; 1: nop; nop")                                                                \
	P(slow, "cpuid; rdtsc; lea -64(%rsp), %rcx; mfence; lock incl (%rcx); xchg %eax, (%rcx); nop")                     \
	P(breakpoint, "nop; int3; nop; nop")                                                                               \
	P(floats, "pxor %xmm0, %xmm0; fninit; fld1; fldz; fdivrp; fnstsw %ax; fninit; nop")                                \
	P(system_call, "mov $110, %eax; syscall; nop; nop")

#define DECLARE(name, text) void steps_##name(void), steps_##name##_end(void);
PIECES(DECLARE)
#define DEFINE(name, text)                                                                                             \
	__asm__("	.text; .globl steps_" #name ", steps_" #name "_end\n"                                                    \
	        "steps_" #name ": push %rbx; pushfq; orl $0x100, (%rsp); popfq\n" text "\n"                                \
	        "	pushfq; andl $~0x100, (%rsp); popfq; pop %rbx; ret\n"                                                    \
	        "steps_" #name "_end:");
PIECES(DEFINE)

static const struct piece {
	const char *name;
	void (*start)(void);
	void (*end)(void);
} pieces[] = {
#define ROW(name, text) {#name, steps_##name, steps_##name##_end},
	PIECES(ROW)
};

struct traps {
	unsigned count;
	u64 at[TRAPS_MAX]; /* from the beginning of the piece */
};

static void note(struct traps *traps, u64 at)
{
	if (traps->count < TRAPS_MAX)
		traps->at[traps->count++] = at;
}

/* ---- the host ---- */

static struct traps *noted; /* shared with the process that is stepped */
static u64 begin;

static void on_trap(int sig, siginfo_t *info, void *context)
{
	const greg_t *regs = ((ucontext_t *)context)->uc_mcontext.gregs;

	(void)sig, (void)info;
	note(noted, (u64)regs[REG_RIP] - begin);
}

/* False: it does not come to an end. */
static bool host(const struct piece *piece, struct traps *traps)
{
	struct sigaction act = {.sa_sigaction = on_trap, .sa_flags = SA_SIGINFO | SA_ONSTACK};
	int status = 0;
	pid_t child = fork();

	assert_true(child >= 0);
	if (!child) {
		alarm(GIVE_UP);
		begin = (u64)(uintptr_t)piece->start;
		sigaction(SIGTRAP, &act, NULL);
		piece->start();
		_exit(0);
	}
	assert_int_equal(waitpid(child, &status, 0), child);
	*traps = *noted;
	noted->count = 0;
	return status == 0;
}

/* ---- the interpreter ---- */

static void gate(struct cpu_unit *u, unsigned vector, unsigned dpl)
{
	store64(u->ram->hva + IDT + vector * 16, (u64)8 << 16 | (u64)(SEG_P | 14 | dpl << SEG_DPL_SHIFT) << 40 | HANDLER);
	store64(u->ram->hva + IDT + vector * 16 + 8, 0);
}

static void interpreted(const struct piece *piece, struct traps *traps)
{
	struct cpu_unit *u = cpu_unit_new("max");
	struct cpu *cpu = u->cpu;
	size_t len = (u8 *)piece->end - (u8 *)piece->start;

	assert_true(len <= ROOM);
	cpu_unit_long(u);
	cpu->efer |= EFER_SCE;
	memcpy(u->ram->hva + HANDLER, "\x48\xcf", 2);
	memcpy(u->ram->hva + KERNEL, "\x48\x0f\x07", 3);
	memcpy(u->ram->hva + CODE_AT, (const void *)piece->start, len);
	store64(u->ram->hva + GDT + 0x08, 0x00af9b000000ffff);
	store64(u->ram->hva + GDT + 0x10, 0x00cf93000000ffff);
	store64(u->ram->hva + GDT + 0x20, 0x00cff3000000ffff);
	store64(u->ram->hva + GDT + 0x28, 0x00affb000000ffff);
	store64(u->ram->hva + TSS + 4, STACK0);
	gate(u, EXC_DB, 0);
	gate(u, EXC_BP, 3);
	cpu->gdtr = (struct table_reg){.base = GDT, .limit = 0x2f};
	cpu->idtr = (struct table_reg){.base = IDT, .limit = 0xfff};
	cpu->tr = (struct seg){.base = TSS, .limit = 0x67, .attr = SEG_P | SYS_TSS_BUSY, .selector = 0x30};
	cpu->star = (u64)0x1b << 48 | (u64)8 << 32;
	cpu->lstar = KERNEL;
	cpu->fmask = 0x47700;
	cpu_unit_segments(u, SEG_L, 3);
	cpu->seg[SEG_CS].selector = 0x2b;
	cpu->seg[SEG_SS].selector = 0x23;
	cpu->gpr[RSP] = STACK3 - 8;
	store64(u->ram->hva + STACK3 - 8, RETURN_AT);
	cpu->rip = CODE_AT;
	cpu->activity = CPU_RUNNING;
	mode_update(cpu);
	for (unsigned i = 0; i < 1000 && cpu->rip != RETURN_AT; i++) {
		interp_engine.run(cpu, 1);
		if (cpu->rip == HANDLER && !cpu->cpl)
			note(traps, load64(u->ram->hva + STACK0 - 40) - CODE_AT);
	}
	assert_int_equal(cpu->rip, RETURN_AT);
	cpu_unit_free(u);
}

/* ---- both ---- */

static void print(const char *who, const struct traps *traps)
{
	print_message("  %s:", who);
	for (unsigned i = 0; i < traps->count; i++)
		print_message(" %llx", (unsigned long long)traps->at[i]);
	print_message("\n");
}

/* The interpreter's traps without the one right behind SYSCALL. */
static void returned_by_iret(const struct piece *piece, struct traps *traps)
{
	const u8 *code = (const u8 *)piece->start;
	unsigned n = 0;

	for (unsigned i = 0; i < traps->count; i++) {
		u64 at = traps->at[i];
		if (at < 2 || code[at - 2] != 0x0f || code[at - 1] != 0x05)
			traps->at[n++] = at;
	}
	traps->count = n;
}

static bool equal(const struct traps *a, const struct traps *b)
{
	return a->count == b->count && !memcmp(a->at, b->at, a->count * sizeof a->at[0]);
}

static void same(void **state)
{
	static u8 stack[65536];
	stack_t other = {.ss_sp = stack, .ss_size = sizeof stack};
	unsigned differences = 0;

	(void)state;
	assert_int_equal(sigaltstack(&other, NULL), 0);
	noted = mmap(NULL, sizeof *noted, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	assert_ptr_not_equal(noted, MAP_FAILED);
	for (unsigned i = 0; i < ARRAY_LEN(pieces); i++) {
		struct traps real = {0}, ours = {0};
		interpreted(&pieces[i], &ours);
		assert_true(ours.count > 3 && ours.count < TRAPS_MAX);
		if (!host(&pieces[i], &real)) {
			print_message("%s: this host cannot step it\n", pieces[i].name);
			continue;
		}
		struct traps later = ours;
		returned_by_iret(&pieces[i], &later);
		if (equal(&real, &ours) || equal(&real, &later))
			continue;
		print_message("%s:\n", pieces[i].name);
		print("host", &real);
		print("interpreter", &ours);
		differences++;
	}
	assert_int_equal(differences, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(same)};

	return cmocka_run_group_tests_name("steps", tests, NULL, NULL);
}
