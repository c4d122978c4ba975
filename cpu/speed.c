/* SPDX-License-Identifier: MIT */
/* The measurement of speed.h: a bare CPU in 64-bit mode with 4 MiB of RAM, and a program in it that never ends. Its two parts are
 * what systems spend their time with: the kernel's (arithmetic, calls, page tables rewritten and their translations dropped, an
 * access to a device) and the user's (arithmetic, calls, system calls, page faults). Each repetition leaves what it computed and
 * saw of the CPU in memory; under every engine that must be what the interpreter leaves.
 *
 * The engine runs on a thread of its own: one that never comes back (a broken KVM) is left alone. */
#define _GNU_SOURCE
#include "cpu/speed.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <time.h>

#include "base/clock.h"
#include "base/thread.h"
#include "cpu/mode.h"
#include "mem/bus.h"
#include "mem/ram.h"

#define WARM_MS 30
#define MEASURE_MS 80
#define PATIENCE_MS 3000
#define SAMPLE 300000 /* instructions of the interpreter: some repetitions of either part */

enum { SIZE = 4 << 20, PML4 = 0x1000, PDPT = 0x2000, PD = 0x3000, PT = 0x4000, GDT = 0x5000, IDT = 0x6000, TSS = 0x7000,
       FAULT_STACK = 0xe000, STACK = 0xf000, CODE = 0x10000, DATA = 0x20000 };
enum { PART = DATA + 8, SEEN = DATA + 16 };
enum { CODE_SYSCALL = CODE + 0x170, CODE_FAULT = CODE + 0x190 };
enum { KERNEL_CODE = 0x08, KERNEL_DATA = 0x10, USER_BASE = 0x18, TASK = 0x30 };
enum part { USER, KERNEL, PARTS };

/* At CODE. Addresses above are in it. */
static const u8 program[] = {
	/* kernel: */
	0xf6, 0x04, 0x25, 0x08, 0x00, 0x02, 0x00, 0x01,            /* testb $0x1,0x20008 */
	0x0f, 0x84, 0xb2, 0x00, 0x00, 0x00,                        /* je 100c0 */
	0x31, 0xc0,                                                /* xor %eax,%eax */
	0xb9, 0x00, 0x02, 0x00, 0x00,                              /* mov $0x200,%ecx */
	0x48, 0x89, 0x0c, 0xcd, 0xf8, 0x0f, 0x02, 0x00,            /* mov %rcx,0x20ff8(,%rcx,8) */
	0xff, 0xc9,                                                /* dec %ecx */
	0x75, 0xf4,                                                /* jne 10015 */
	0xb9, 0xdc, 0x05, 0x00, 0x00,                              /* mov $0x5dc,%ecx */
	0x89, 0xca,                                                /* mov %ecx,%edx */
	0x81, 0xe2, 0xff, 0x01, 0x00, 0x00,                        /* and $0x1ff,%edx */
	0x48, 0x03, 0x04, 0xd5, 0x00, 0x10, 0x02, 0x00,            /* add 0x21000(,%rdx,8),%rax */
	0x48, 0xc1, 0xc0, 0x07,                                    /* rol $0x7,%rax */
	0xe8, 0x6e, 0x00, 0x00, 0x00,                              /* call 100ad */
	0xff, 0xc9,                                                /* dec %ecx */
	0x75, 0xe3,                                                /* jne 10026 */
	0xb9, 0x08, 0x00, 0x00, 0x00,                              /* mov $0x8,%ecx */
	0x8d, 0x51, 0x2f,                                          /* lea 0x2f(%rcx),%edx */
	0xc1, 0xe2, 0x0c,                                          /* shl $0xc,%edx */
	0x80, 0xca, 0x07,                                          /* or $0x7,%dl */
	0x48, 0x89, 0x14, 0xcd, 0xf8, 0x3f, 0x00, 0x00,            /* mov %rdx,0x3ff8(,%rcx,8) */
	0x89, 0xca,                                                /* mov %ecx,%edx */
	0xff, 0xca,                                                /* dec %edx */
	0xc1, 0xe2, 0x0c,                                          /* shl $0xc,%edx */
	0x0f, 0x01, 0xba, 0x00, 0x00, 0x20, 0x00,                  /* invlpg 0x200000(%rdx) */
	0x48, 0x03, 0x82, 0x00, 0x00, 0x20, 0x00,                  /* add 0x200000(%rdx),%rax */
	0xff, 0xc9,                                                /* dec %ecx */
	0x75, 0xd6,                                                /* jne 10048 */
	0x0f, 0x20, 0xda,                                          /* mov %cr3,%rdx */
	0x0f, 0x22, 0xda,                                          /* mov %rdx,%cr3 */
	0xe6, 0x80,                                                /* out %al,$0x80 */
	0x48, 0x89, 0x04, 0x25, 0x10, 0x00, 0x02, 0x00,            /* mov %rax,0x20010 */
	0x8c, 0xca,                                                /* mov %cs,%edx */
	0x48, 0x89, 0x14, 0x25, 0x18, 0x00, 0x02, 0x00,            /* mov %rdx,0x20018 */
	0x8c, 0xd2,                                                /* mov %ss,%edx */
	0x48, 0x89, 0x14, 0x25, 0x20, 0x00, 0x02, 0x00,            /* mov %rdx,0x20020 */
	0x9c,                                                      /* pushf */
	0x5a,                                                      /* pop %rdx */
	0x48, 0x89, 0x14, 0x25, 0x28, 0x00, 0x02, 0x00,            /* mov %rdx,0x20028 */
	0x48, 0xff, 0x04, 0x25, 0x00, 0x00, 0x02, 0x00,            /* incq 0x20000 */
	0xe9, 0x53, 0xff, 0xff, 0xff,                              /* jmp 10000 */
	/* leaf: */
	0x48, 0x31, 0xc8,                                          /* xor %rcx,%rax */
	0x48, 0x6b, 0xc0, 0x03,                                    /* imul $0x3,%rax,%rax */
	0xc3,                                                      /* ret */
	0x66, 0x66, 0x2e, 0x0f, 0x1f, 0x84, 0x00, 0x00, 0x00, 0x00, 0x00, /* padding */
	/* user_part: */
	0xb9, 0x08, 0x00, 0x00, 0x00,                              /* mov $0x8,%ecx */
	0x48, 0xc7, 0x04, 0xcd, 0xf8, 0x3f, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, /* movq $0x0,0x3ff8(,%rcx,8) */
	0x89, 0xca,                                                /* mov %ecx,%edx */
	0xff, 0xca,                                                /* dec %edx */
	0xc1, 0xe2, 0x0c,                                          /* shl $0xc,%edx */
	0x0f, 0x01, 0xba, 0x00, 0x00, 0x20, 0x00,                  /* invlpg 0x200000(%rdx) */
	0xff, 0xc9,                                                /* dec %ecx */
	0x75, 0xe2,                                                /* jne 100c5 */
	0xb9, 0x00, 0x01, 0x01, 0x00,                              /* mov $0x10100,%ecx */
	0x41, 0xbb, 0x02, 0x02, 0x00, 0x00,                        /* mov $0x202,%r11d */
	0x31, 0xff,                                                /* xor %edi,%edi */
	0x31, 0xc0,                                                /* xor %eax,%eax */
	0x48, 0x0f, 0x07,                                          /* sysretq */
	0x66, 0x66, 0x2e, 0x0f, 0x1f, 0x84, 0x00, 0x00, 0x00, 0x00, 0x00, /* padding */
	/* user: */
	0xb9, 0xdc, 0x05, 0x00, 0x00,                              /* mov $0x5dc,%ecx */
	0x89, 0xca,                                                /* mov %ecx,%edx */
	0x81, 0xe2, 0xff, 0x01, 0x00, 0x00,                        /* and $0x1ff,%edx */
	0x48, 0x01, 0xd0,                                          /* add %rdx,%rax */
	0x48, 0x89, 0x04, 0xd5, 0x00, 0x30, 0x02, 0x00,            /* mov %rax,0x23000(,%rdx,8) */
	0x48, 0xc1, 0xc0, 0x07,                                    /* rol $0x7,%rax */
	0xe8, 0x8c, 0xff, 0xff, 0xff,                              /* call 100ad */
	0xff, 0xc9,                                                /* dec %ecx */
	0x75, 0xe0,                                                /* jne 10105 */
	0xbb, 0x10, 0x00, 0x00, 0x00,                              /* mov $0x10,%ebx */
	0x0f, 0x05,                                                /* syscall */
	0xff, 0xcb,                                                /* dec %ebx */
	0x75, 0xfa,                                                /* jne 1012a */
	0xb9, 0x04, 0x00, 0x00, 0x00,                              /* mov $0x4,%ecx */
	0x89, 0xca,                                                /* mov %ecx,%edx */
	0xc1, 0xe2, 0x0c,                                          /* shl $0xc,%edx */
	0x48, 0x89, 0x8a, 0x00, 0x00, 0x20, 0x00,                  /* mov %rcx,0x200000(%rdx) */
	0xff, 0xc9,                                                /* dec %ecx */
	0x75, 0xf0,                                                /* jne 10135 */
	0x48, 0x89, 0x04, 0x25, 0x30, 0x00, 0x02, 0x00,            /* mov %rax,0x20030 */
	0x8c, 0xca,                                                /* mov %cs,%edx */
	0x48, 0x89, 0x14, 0x25, 0x38, 0x00, 0x02, 0x00,            /* mov %rdx,0x20038 */
	0x9c,                                                      /* pushf */
	0x5a,                                                      /* pop %rdx */
	0x48, 0x89, 0x14, 0x25, 0x40, 0x00, 0x02, 0x00,            /* mov %rdx,0x20040 */
	0xbf, 0x01, 0x00, 0x00, 0x00,                              /* mov $0x1,%edi */
	0x0f, 0x05,                                                /* syscall */
	0x0f, 0x0b,                                                /* ud2 */
	0x66, 0x0f, 0x1f, 0x44, 0x00, 0x00,                        /* padding */
	/* syscall: */
	0x85, 0xff,                                                /* test %edi,%edi */
	0x75, 0x06,                                                /* jne 1017a */
	0x48, 0xff, 0xc0,                                          /* inc %rax */
	0x48, 0x0f, 0x07,                                          /* sysretq */
	0x48, 0xff, 0x04, 0x25, 0x00, 0x00, 0x02, 0x00,            /* incq 0x20000 */
	0xe9, 0x79, 0xfe, 0xff, 0xff,                              /* jmp 10000 */
	0x66, 0x0f, 0x1f, 0x84, 0x00, 0x00, 0x00, 0x00, 0x00,      /* padding */
	/* fault: */
	0x50,                                                      /* push %rax */
	0x0f, 0x20, 0xd0,                                          /* mov %cr2,%rax */
	0xc1, 0xe8, 0x0c,                                          /* shr $0xc,%eax */
	0x83, 0xe0, 0x0f,                                          /* and $0xf,%eax */
	0x52,                                                      /* push %rdx */
	0x8d, 0x50, 0x30,                                          /* lea 0x30(%rax),%edx */
	0xc1, 0xe2, 0x0c,                                          /* shl $0xc,%edx */
	0x80, 0xca, 0x07,                                          /* or $0x7,%dl */
	0x48, 0x89, 0x14, 0xc5, 0x00, 0x40, 0x00, 0x00,            /* mov %rdx,0x4000(,%rax,8) */
	0x48, 0x8b, 0x54, 0x24, 0x10,                              /* mov 0x10(%rsp),%rdx */
	0x48, 0x89, 0x14, 0x25, 0x48, 0x00, 0x02, 0x00,            /* mov %rdx,0x20048 */
	0x5a,                                                      /* pop %rdx */
	0x58,                                                      /* pop %rax */
	0x48, 0x83, 0xc4, 0x08,                                    /* add $0x8,%rsp */
	0x48, 0xcf,                                                /* iretq */
};

/* What a repetition leaves, from SEEN on. */
static const struct {
	const char *name;
	enum part part;
} seen[] = {
	{"results of kernel code", KERNEL}, {"CS in kernel code", KERNEL},    {"SS in kernel code", KERNEL},
	{"flags in kernel code", KERNEL},   {"results of user code", USER},   {"CS in user code", USER},
	{"flags in user code", USER},       {"error codes of page faults", USER},
};

struct bench {
	struct bus bus;
	struct ram *ram;
	struct region region;
	struct clock *clock;
	struct cpu_model model;
	struct cpu *cpu;
	const struct engine *engine;
	/* of a run on the other thread */
	pthread_t thread;
	enum engine_stop stop;
	bool stuck; /* it never came back, and uses all of this */
};

static void put(struct bench *b, u64 at, u64 value)
{
	store64(b->ram->hva + at, value);
}

static u64 get(const struct bench *b, u64 at)
{
	return load64(b->ram->hva + at);
}

static void fill_memory(struct bench *b)
{
	enum { PRESENT = 1, WRITABLE = 2, USER_PAGE = 4, LARGE = 0x80 };

	memset(b->ram->hva, 0, SIZE);
	put(b, PML4, PDPT | PRESENT | WRITABLE | USER_PAGE);
	put(b, PDPT, PD | PRESENT | WRITABLE | USER_PAGE);
	put(b, PD, PRESENT | WRITABLE | USER_PAGE | LARGE);
	put(b, PD + 8, PT | PRESENT | WRITABLE | USER_PAGE);
	put(b, GDT + KERNEL_CODE, 0x00af9b000000ffff);
	put(b, GDT + KERNEL_DATA, 0x00cf93000000ffff);
	put(b, GDT + USER_BASE, 0x00cffb000000ffff);
	put(b, GDT + USER_BASE + 8, 0x00cff3000000ffff);
	put(b, GDT + USER_BASE + 16, 0x00affb000000ffff);
	put(b, GDT + TASK, 0x00008b0000000067 | (u64)TSS << 16);
	put(b, IDT + 14 * 16, 0x00008e0000000000 | (u64)KERNEL_CODE << 16 | (CODE_FAULT & 0xffff) | (u64)(CODE_FAULT >> 16) << 48);
	store64(b->ram->hva + TSS + 4, FAULT_STACK);
	memcpy(b->ram->hva + CODE, program, sizeof program);
}

static void begin(struct bench *b, enum part part)
{
	struct cpu *cpu = b->cpu;
	const u32 flat = SEG_P | SEG_S | SEG_RW | SEG_ACCESSED | SEG_G;

	fill_memory(b);
	put(b, PART, part);
	cpu_unrequest(cpu, CPU_REQ_STOP);
	cpu_reset(cpu, false);
	for (unsigned i = 0; i < SEG_COUNT; i++)
		cpu->seg[i] = (struct seg){.selector = i == SEG_CS ? KERNEL_CODE : KERNEL_DATA, .limit = 0xffffffff,
		                           .attr = flat | (i == SEG_CS ? SEG_CODE | SEG_L : SEG_DB)};
	cpu->tr = (struct seg){.selector = TASK, .base = TSS, .limit = 0x67, .attr = SEG_P | 11};
	cpu->ldtr = (struct seg){.attr = SEG_UNUSABLE};
	cpu->gdtr = (struct table_reg){.base = GDT, .limit = TASK + 15};
	cpu->idtr = (struct table_reg){.base = IDT, .limit = 0xfff};
	cpu->cr0 = CR0_PE | CR0_ET | CR0_NE | CR0_WP | CR0_PG;
	cpu->cr3 = PML4;
	cpu->cr4 = CR4_PAE;
	cpu->efer = EFER_SCE | EFER_LME | EFER_LMA;
	cpu->star = (u64)KERNEL_CODE << 32 | (u64)USER_BASE << 48;
	cpu->lstar = CODE_SYSCALL;
	cpu->fmask = FLAG_IF | FLAG_DF | FLAG_TF;
	cpu->gpr[RSP] = STACK;
	cpu->rip = CODE;
	cpu->activity = CPU_RUNNING;
	cpu_state_changed(cpu);
}

/* ---- runs ---- */

static void *run_thread(void *opaque)
{
	struct bench *b = opaque;

	b->stop = engine_run(b->engine, b->cpu, 0);
	return NULL;
}

/* For so long. False: it did not come back. */
static bool run(struct bench *b, unsigned ms)
{
	struct timespec wait = {.tv_nsec = ms * 1000000l};

	if (thread_start(&b->thread, THREAD_VCPU, run_thread, b))
		return false;
	while (nanosleep(&wait, &wait) && errno == EINTR)
		;
	cpu_request(b->cpu, CPU_REQ_STOP);
	for (unsigned waited = 0; waited < PATIENCE_MS; waited += 2) {
		if (pthread_tryjoin_np(b->thread, NULL) == 0)
			return true;
		wait = (struct timespec){.tv_nsec = 2000000};
		nanosleep(&wait, NULL);
	}
	pthread_detach(b->thread);
	b->stuck = true;
	return false;
}

/* What the interpreter leaves, and how many instructions a repetition has. */
static bool reference(struct bench *b, enum part part, u64 *expected, u64 *instructions)
{
	begin(b, part);
	u64 before = b->cpu->instructions;
	bool ok = engine_run(&interp_engine, b->cpu, SAMPLE) == ENGINE_BUDGET && get(b, DATA);
	*instructions = ok ? (b->cpu->instructions - before) / get(b, DATA) : 1;
	for (unsigned i = 0; i < ARRAY_LEN(seen); i++)
		expected[i] = get(b, SEEN + i * 8);
	return ok;
}

static void compare(const struct bench *b, enum part part, const u64 *expected, struct speed *speed)
{
	for (unsigned i = 0; i < ARRAY_LEN(seen); i++)
		if (seen[i].part == part && get(b, SEEN + i * 8) != expected[i] && !*speed->wrong)
			snprintf(speed->wrong, sizeof speed->wrong, "%s: %#llx instead of %#llx", seen[i].name,
			         (unsigned long long)get(b, SEEN + i * 8), (unsigned long long)expected[i]);
}

static bool measure(struct bench *b, enum part part, struct speed *speed, struct err *err)
{
	u64 expected[ARRAY_LEN(seen)], each, *result = part == KERNEL ? &speed->kernel : &speed->user;

	if (!reference(b, part, expected, &each))
		return err_set(err, EXIT_BUG, "the measurement does not run in the interpreter");
	begin(b, part);
	for (unsigned round = 0; round < 2; round++) {
		u64 done = get(b, DATA), start = clock_host();
		if (!run(b, round ? MEASURE_MS : WARM_MS))
			return err_set(err, EXIT_ACCEL, "it does not come back from guest code");
		if (b->stop == ENGINE_UNABLE)
			return err_set(err, EXIT_ACCEL, "%s", b->cpu->unable);
		*result = (u64)((double)(get(b, DATA) - done) * each * NS_PER_S / (clock_host() - start + 1));
	}
	if (get(b, DATA) && b->stop == ENGINE_STOPPED)
		compare(b, part, expected, speed);
	else if (!*speed->wrong)
		snprintf(speed->wrong, sizeof speed->wrong, "%s code %s", part == KERNEL ? "kernel" : "user",
		         b->cpu->activity == CPU_SHUTDOWN ? "ends in a triple fault" : "makes no progress");
	return true;
}

bool speed_measure(const struct engine *engine, const struct cpu_model *model, u64 tsc_hz, struct speed *speed, struct err *err)
{
	struct bench *b = err_alloc(sizeof *b);
	bool ok = true;

	*speed = (struct speed){0};
	b->engine = engine;
	b->model = *model;
	b->clock = clock_new();
	bus_init(&b->bus, NULL);
	b->ram = ram_new("speed", SIZE, false, false, err);
	if (!b->ram)
		return false;
	b->region = (struct region){.name = "ram", .size = SIZE, .ram = b->ram};
	bus_map(&b->bus, &b->region, 0, 0);
	b->cpu = cpu_new(&b->model, &b->bus, b->clock, 0, 1);
	if (tsc_hz)
		b->cpu->tsc_hz = tsc_hz;
	clock_start(b->clock);
	ok = !engine->prepare || engine->prepare(b->cpu, err);
	for (enum part part = 0; part < PARTS && ok; part++)
		ok = measure(b, part, speed, err);
	if (b->stuck)
		return false;
	if (engine->leave)
		engine->leave(b->cpu);
	cpu_free(b->cpu);
	bus_free(&b->bus);
	ram_free(b->ram);
	clock_free(b->clock);
	free(b);
	return ok;
}

u64 speed_mixed(const struct speed *speed)
{
	return speed->kernel && speed->user ? (u64)(2.0 / (1.0 / speed->kernel + 1.0 / speed->user)) : 0;
}
