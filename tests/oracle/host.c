/* SPDX-License-Identifier: MIT */
/* The reference side: one instruction executed by the host CPU, in this process.
 *
 * The pages an instruction may see lie at fixed addresses below 4 GiB with nothing around them. host_enter() keeps the C state,
 * loads all registers and jumps to the code page; the instruction is followed by a jump back to host_land, and everything else
 * on that page is int3. Faults and int3 arrive as signals on a stack of their own; the handler takes the registers from the
 * signal frame and lets the kernel return to host_recover. 32- and 16-bit code runs in compatibility mode: Linux's 32-bit code
 * segment, and an LDT of our own for everything with a base.
 *
 * Nothing here may call into the C library between host_enter and its return; FS stays the C library's throughout. */
#define _GNU_SOURCE
#include "tests/oracle/oracle.h"

#include <asm/hwcap2.h>
#include <asm/ldt.h>
#include <asm/prctl.h>
#include <cpuid.h>
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/auxv.h>
#include <sys/mman.h>
#include <sys/time.h>
#include <sys/syscall.h>
#include <ucontext.h>
#include <unistd.h>

#include "cpu/model.h"

/* Shared with the assembly below; offsets are those asserted in oracle.h. */
#define SHARED __attribute__((used, visibility("hidden")))
struct state host_in SHARED __attribute__((aligned(64)));
struct state host_out SHARED __attribute__((aligned(64)));
struct fx host_clean SHARED __attribute__((aligned(64)));
u64 host_sp SHARED;
struct {
	u16 fcw, pad1, fsw, pad2, ftw, pad3;
	u32 fip;
	u16 fcs, fop;
	u32 fdp;
	u16 fds, pad4;
} host_env SHARED; /* the FNSTENV image */
u8 host_load_segments SHARED;
/* How the GS base is reached: by its instructions, or by the system call where the kernel keeps them from user code. */
enum { GS_LEAVE, GS_INSTRUCTION, GS_SYSCALL };
u8 host_load_gsbase SHARED, host_read_gsbase SHARED;
struct {
	u32 offset;
	u16 selector;
} __attribute__((packed)) host_far SHARED;
u64 host_go SHARED; /* where the registers loaded, host_enter goes: the code page, or host_go_far */
void host_enter(void) SHARED;
void host_land(void) SHARED;
void host_recover(void) SHARED;
void host_go_far(void) SHARED;
void host_signal(int sig, siginfo_t *info, void *context) SHARED;
void host_signalled(int sig, siginfo_t *info, void *context) SHARED;

#define GPR(n, reg) "mov host_in+" #n "*8(%rip), %" reg "\n"
#define OUT(n, reg) "mov %" reg ", host_out+" #n "*8(%rip)\n"
__asm__(".text\n"
        ".globl host_enter\n"
        ".hidden host_enter\n"
        ".type host_enter, @function\n"
        "host_enter:\n"
        "push %rbp\n push %rbx\n push %r12\n push %r13\n push %r14\n push %r15\n"
        "mov %rsp, host_sp(%rip)\n"
        "fxrstor64 host_in+176(%rip)\n"
        "cmpb $0, host_load_segments(%rip)\n"
        "je 1f\n"
        "mov host_in+144(%rip), %ax\n mov %ax, %es\n"
        "mov host_in+150(%rip), %ax\n mov %ax, %ds\n"
        "mov host_in+154(%rip), %ax\n mov %ax, %gs\n"
        "mov host_in+148(%rip), %ax\n mov %ax, %ss\n"
        /* the base behind the selector: loading one replaces it */
        "1: mov host_in+160(%rip), %rsi\n"
        "cmpb $1, host_load_gsbase(%rip)\n"
        "jb 2f\n"
        "ja 5f\n"
        "wrgsbase %rsi\n"
        "jmp 2f\n"
        "5: mov $158, %eax\n mov $0x1001, %edi\n syscall\n" /* arch_prctl(ARCH_SET_GS, base) */
        "2: mov host_in+136(%rip), %rax\n"
        "push %rax\n popfq\n"
        GPR(0, "rax") GPR(1, "rcx") GPR(2, "rdx") GPR(3, "rbx") GPR(5, "rbp") GPR(6, "rsi") GPR(7, "rdi") GPR(8, "r8")
        GPR(9, "r9") GPR(10, "r10") GPR(11, "r11") GPR(12, "r12") GPR(13, "r13") GPR(14, "r14") GPR(15, "r15") GPR(4, "rsp")
        "jmp *host_go(%rip)\n"
        ".globl host_go_far\n"
        ".hidden host_go_far\n"
        "host_go_far: ljmp *host_far(%rip)\n"
        ".globl host_land\n"
        ".hidden host_land\n"
        "host_land:\n"
        OUT(0, "rax") OUT(1, "rcx") OUT(2, "rdx") OUT(3, "rbx") OUT(4, "rsp") OUT(5, "rbp") OUT(6, "rsi") OUT(7, "rdi")
        OUT(8, "r8") OUT(9, "r9") OUT(10, "r10") OUT(11, "r11") OUT(12, "r12") OUT(13, "r13") OUT(14, "r14") OUT(15, "r15")
        "mov host_sp(%rip), %rsp\n"
        "pushfq\n pop %rax\n mov %rax, host_out+136(%rip)\n"
        "push $0x202\n popfq\n"
        "fxsave64 host_out+176(%rip)\n"
        "fnstenv host_env(%rip)\n"
        "mov %es, host_out+144(%rip)\n mov %ss, host_out+148(%rip)\n mov %ds, host_out+150(%rip)\n"
        "mov %gs, host_out+154(%rip)\n"
        "cmpb $1, host_read_gsbase(%rip)\n"
        "jb 3f\n"
        "ja 6f\n"
        "rdgsbase %rax\n mov %rax, host_out+160(%rip)\n"
        "jmp 3f\n"
        "6: mov $158, %eax\n mov $0x1004, %edi\n lea host_out+160(%rip), %rsi\n syscall\n" /* ARCH_GET_GS */
        "3:\n"
        ".globl host_recover\n"
        ".hidden host_recover\n"
        "host_recover:\n"
        "cmpb $0, host_load_segments(%rip)\n"
        "je 4f\n"
        "xor %eax, %eax\n mov %ax, %es\n mov %ax, %ds\n mov %ax, %gs\n"
        "mov $0x2b, %eax\n mov %ax, %ss\n"
        "4: fxrstor64 host_clean(%rip)\n"
        "pop %r15\n pop %r14\n pop %r13\n pop %r12\n pop %rbx\n pop %rbp\n"
        "ret\n"
        /* alignment checks may be on when a signal comes: off, before anything compiled runs */
        ".globl host_signal\n"
        ".hidden host_signal\n"
        "host_signal:\n"
        "pushfq\n andq $~0x40000, (%rsp)\n popfq\n"
        "jmp host_signalled\n");

/* ---- memory ---- */

static u8 *code_alias, *arena_alias;
static volatile bool active;
static volatile u64 runs, watched_run;
static volatile struct {
	u8 vector;
	u32 err;
	u64 cr2;
} fault;

static void *map_fixed(u64 at, size_t size, int prot, int fd, u64 offset)
{
	void *p = mmap((void *)at, size, prot, (fd < 0 ? MAP_PRIVATE | MAP_ANONYMOUS : MAP_SHARED) | (at ? MAP_FIXED_NOREPLACE : 0),
	               fd, offset);

	if (p == MAP_FAILED || (at && p != (void *)at)) {
		fprintf(stderr, "oracle: cannot map %zu bytes at %llx: %s\n", size, (unsigned long long)at, strerror(errno));
		exit(1);
	}
	return p;
}

static void map_everything(void)
{
	int code = memfd_create("oracle-code", 0), arena = memfd_create("oracle-arena", 0);

	if (code < 0 || arena < 0 || ftruncate(code, PAGE) || ftruncate(arena, ARENA_SIZE)) {
		fprintf(stderr, "oracle: no memory files: %s\n", strerror(errno));
		exit(1);
	}
	code_alias = map_fixed(0, PAGE, PROT_READ | PROT_WRITE, code, 0);
	map_fixed(CODE_PAGE, PAGE, PROT_READ | PROT_EXEC, code, 0);
	*(u64 *)map_fixed(LANDING_SLOT, PAGE, PROT_READ | PROT_WRITE, -1, 0) = (u64)host_land;
	arena_alias = map_fixed(0, ARENA_SIZE, PROT_READ | PROT_WRITE, arena, 0);
	memcpy(arena_alias, oracle_background(), ARENA_SIZE);
	map_fixed(DATA_PAGE, DATA_SIZE, PROT_READ | PROT_WRITE, arena, ARENA_DATA);
	map_fixed(STACK_PAGE, STACK_SIZE, PROT_READ | PROT_WRITE, arena, ARENA_STACK);
	map_fixed(RO_PAGE, PAGE, PROT_READ, arena, ARENA_RO);
	/* present in the page tables, so that faults are about rights: error codes tell */
	for (volatile u8 *p = (u8 *)(u64)DATA_PAGE; p < (u8 *)(u64)(DATA_PAGE + DATA_SIZE); p += PAGE)
		*p = *p;
	for (volatile u8 *p = (u8 *)(u64)STACK_PAGE; p < (u8 *)(u64)(STACK_PAGE + STACK_SIZE); p += PAGE)
		*p = *p;
	(void)*(volatile u8 *)(u64)RO_PAGE;
	(void)*(volatile u8 *)(u64)CODE_PAGE;
	close(code);
	close(arena);
}

u8 *host_arena(void)
{
	return arena_alias;
}

/* ---- the GS base, which the translator uses too ---- */

static u64 get_gs_base(void)
{
	u64 base = 0;

	if (host_read_gsbase == GS_INSTRUCTION)
		__asm__ volatile("rdgsbase %0" : "=r"(base));
	else
		syscall(SYS_arch_prctl, ARCH_GET_GS, &base);
	return base;
}

static void set_gs_base(u64 base)
{
	if (host_read_gsbase == GS_INSTRUCTION)
		__asm__ volatile("wrgsbase %0" : : "r"(base));
	else
		syscall(SYS_arch_prctl, ARCH_SET_GS, base);
}

/* ---- signals ---- */

void host_signalled(int sig, siginfo_t *info, void *context)
{
	ucontext_t *uc = context;
	greg_t *g = uc->uc_mcontext.gregs;
	static const u8 order[16] = {REG_RAX, REG_RCX, REG_RDX, REG_RBX, REG_RSP, REG_RBP, REG_RSI, REG_RDI,
	                             REG_R8, REG_R9, REG_R10, REG_R11, REG_R12, REG_R13, REG_R14, REG_R15};

	(void)info;
	if (sig == SIGPROF) { /* each second of work: still the same instruction? */
		bool stuck = active && watched_run == runs;
		watched_run = runs;
		if (!stuck)
			return;
	}
	if (!active) { /* a bug of our own: die of it */
		signal(sig, SIG_DFL);
		return;
	}
	active = false;
	for (unsigned i = 0; i < 16; i++)
		host_out.gpr[i] = g[order[i]];
	host_out.rip = g[REG_RIP];
	host_out.rflags = g[REG_EFL];
	host_out.sel[S_CS] = g[REG_CSGSFS];
	host_out.sel[S_GS] = (u64)g[REG_CSGSFS] >> 16;
	host_out.sel[S_SS] = (u64)g[REG_CSGSFS] >> 48;
	__asm__ volatile("mov %%es, %0\n mov %%ds, %1\n mov %%gs, %2"
	                 : "=m"(host_out.sel[S_ES]), "=m"(host_out.sel[S_DS]), "=m"(host_out.sel[S_GS]));
	host_out.gs_base = get_gs_base();
	__builtin_memcpy(&host_out.fp, uc->uc_mcontext.fpregs, sizeof host_out.fp);
	fault.vector = sig == SIGPROF ? HOST_STUCK : g[REG_TRAPNO];
	fault.err = g[REG_ERR];
	fault.cr2 = g[REG_CR2];
	g[REG_RIP] = (u64)host_recover;
	g[REG_RSP] = host_sp;
	g[REG_EFL] = 0x202;
	g[REG_CSGSFS] = SEL_CODE64 | (u64)SEL_DATA << 48;
}

static void catch_signals(void)
{
	static const int signals[] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP};
	stack_t stack = {.ss_size = 1 << 18};
	struct sigaction action = {.sa_sigaction = host_signal, .sa_flags = SA_SIGINFO | SA_ONSTACK};

	stack.ss_sp = map_fixed(0, stack.ss_size, PROT_READ | PROT_WRITE, -1, 0);
	sigaltstack(&stack, NULL);
	sigfillset(&action.sa_mask);
	for (unsigned i = 0; i < ARRAY_LEN(signals); i++)
		sigaction(signals[i], &action, NULL);
	/* Some kernel or hypervisor may take a fault for its own affair, and try for ever. */
	action.sa_flags |= SA_RESTART;
	sigaction(SIGPROF, &action, NULL);
	setitimer(ITIMER_PROF, &(struct itimerval){{1, 0}, {1, 0}}, NULL);
}

/* ---- running ---- */

void host_load(const struct instance *in)
{
	oracle_code_page(in, code_alias);
	host_load_segments = in->segs;
	host_far.offset = in->mode == M16 ? CODE_AT : CODE_START;
	host_far.selector = in->mode == M16 ? SEL_LDT_CODE16 : SEL_CODE32;
	host_go = in->mode == M64 ? CODE_START : (u64)host_go_far;
}

static u64 linear_rip(const struct state *s)
{
	return s->sel[S_CS] == SEL_CODE64 ? s->rip : (u32)(s->rip + gen_seg_base(s->sel[S_CS]));
}

/* An int3 behind the instruction or at a branch's target, or a target that cannot be fetched, is where the instruction went and
 * not what it did. */
static void settle(const struct test *t, struct outcome *out)
{
	u64 at = linear_rip(&out->s);

	if (out->vector == 3) {
		u64 trap = at - 1;
		bool own = trap >= CODE_START && trap < CODE_START + t->in.len;
		if (!own) {
			out->vector = NO_FAULT;
			out->s.rip--;
			out->s.rflags &= ~(u64)F_RF;
		}
	} else if (out->vector == 14 && (out->err & 0x10) && out->cr2 == at && at != CODE_START) {
		out->vector = NO_FAULT;
	}
	if (out->vector != 14)
		out->cr2 = 0;
	if (out->vector == NO_FAULT || out->vector == 3)
		out->err = 0;
}

void host_run(const struct test *t, struct outcome *out)
{
	u64 own_gs_base = get_gs_base();

	host_in = t->s;
	host_in.fp.mxcsr_mask = 0;
	host_load_gsbase = t->in.mode == M64 ? host_read_gsbase : GS_LEAVE;
	host_out.gs_base = t->s.gs_base;
	memcpy(host_out.sel, t->s.sel, sizeof host_out.sel);
	fault.vector = NO_FAULT;
	fault.err = 0;
	fault.cr2 = 0;
	runs++;
	active = true;
	host_enter();
	set_gs_base(own_gs_base);
	if (active) { /* came by host_land */
		active = false;
		host_out.rip = t->s.rip + t->in.len;
		/* FXSAVE of AMD's has them only while an exception is pending; signal frames come by it */
		host_out.fp.fop = host_env.fop;
		host_out.fp.fip = (host_out.fp.fip & ~0xffffffffull) | host_env.fip;
		host_out.fp.fdp = (host_out.fp.fdp & ~0xffffffffull) | host_env.fdp;
	}
	out->vector = fault.vector;
	out->err = fault.err;
	out->cr2 = fault.cr2;
	out->s = host_out;
	if (!t->in.segs)
		memcpy(out->s.sel, t->s.sel, sizeof out->s.sel);
	out->s.sel[S_FS] = t->s.sel[S_FS];
	settle(t, out);
}

/* ---- what this host can do ---- */

/* Does the selector name a segment that user code may use? */
static bool visible(u32 selector)
{
	bool yes;
	u32 rights;

	__asm__("lar %2, %1" : "=@ccz"(yes), "=r"(rights) : "r"(selector));
	return yes;
}

static bool set_ldt(void)
{
	for (unsigned i = 0; i < SEL_LDT_COUNT; i++) {
		const struct ldt_entry *e = &oracle_ldt[i];
		bool pages = e->limit > 0xfffff;
		struct user_desc desc = {
			.entry_number = i, .base_addr = e->base, .limit = pages ? e->limit >> 12 : e->limit, .seg_32bit = e->big,
			.contents = e->code ? 2 : 0, .read_exec_only = !e->writable, .limit_in_pages = pages, .seg_not_present = !e->present,
			.useable = 0,
		};
		/* a paravirtual kernel may take it and leave the LDT empty; LAR tells nothing of segments that are absent */
		if (syscall(SYS_modify_ldt, 0x11, &desc, sizeof desc) != 0 || (e->present && !visible(i << 3 | 7)))
			return false;
	}
	return true;
}

/* Can a NOP be executed in this mode? */
static bool probe(enum mode mode)
{
	struct test t = {.in = {.mode = mode, .bytes = {0x90}, .len = 1, .segs = mode != M64}};
	struct outcome out;

	gen_background(&t.s, mode);
	host_load(&t.in);
	host_run(&t, &out);
	return out.vector == NO_FAULT && out.s.rip == t.s.rip + 1;
}

/* INT n raises #GP, but for the vectors that the kernel opens to user code: 3 and 4; others on a paravirtual one. 80h calls it. */
static void look_for_vectors(struct host_abilities *h)
{
	struct test t = {.in = {.mode = M64, .len = 2}};
	struct outcome out;

	for (unsigned n = 0; n < 256; n++) {
		if (n == 3 || n == 4 || n == 0x80)
			continue;
		gen_background(&t.s, M64);
		t.in.bytes[0] = 0xcd;
		t.in.bytes[1] = n;
		host_load(&t.in);
		host_run(&t, &out);
		if (out.vector != 13 || out.err != (n << 3 | 2))
			h->taken[n / 64] |= BIT(n % 64);
	}
}

bool host_runs(const struct host_abilities *h, const struct instance *in)
{
	if ((in->mode != M64 && !h->compat) || !host_has(h, in->z.meta.isa_set))
		return false;
	u8 n = in->op[0].imm.value.u;
	return in->z.mnemonic != ZYDIS_MNEMONIC_INT || !(h->taken[n / 64] >> n % 64 & 1);
}

static void look_for_features(struct host_abilities *h)
{
	static const struct {
		u16 set;
		u8 leaf, reg, bit;
	} features[] = {
		{ZYDIS_ISA_SET_SSE3, 1, 2, 0}, {ZYDIS_ISA_SET_PCLMULQDQ, 1, 2, 1}, {ZYDIS_ISA_SET_SSSE3, 1, 2, 9},
		{ZYDIS_ISA_SET_CMPXCHG16B, 1, 2, 13}, {ZYDIS_ISA_SET_SSE4, 1, 2, 19}, {ZYDIS_ISA_SET_SSE42, 1, 2, 20},
		{ZYDIS_ISA_SET_MOVBE, 1, 2, 22}, {ZYDIS_ISA_SET_POPCNT, 1, 2, 23}, {ZYDIS_ISA_SET_AES, 1, 2, 25},
		{ZYDIS_ISA_SET_XSAVE, 1, 2, 27}, {ZYDIS_ISA_SET_RDRAND, 1, 2, 30}, {ZYDIS_ISA_SET_RDSEED, 7, 1, 18},
		{ZYDIS_ISA_SET_ADOX_ADCX, 7, 1, 19}, {ZYDIS_ISA_SET_CLFLUSHOPT, 7, 1, 23}, {ZYDIS_ISA_SET_SHA, 7, 1, 29},
		{ZYDIS_ISA_SET_XSAVEOPT, 0xd, 0, 0}, {ZYDIS_ISA_SET_XSAVEC, 0xd, 0, 1}, {ZYDIS_ISA_SET_SERIALIZE, 7, 3, 14},
	};
	unsigned n = 0;

	for (unsigned i = 0; i < ARRAY_LEN(features); i++) {
		u32 r[4] = {0};
		unsigned leaf = features[i].leaf;
		__get_cpuid_count(leaf, leaf == 0xd, &r[0], &r[1], &r[2], &r[3]);
		if (!(r[features[i].reg] >> features[i].bit & 1) && n < ARRAY_LEN(h->missing) - 1)
			h->missing[n++] = features[i].set;
	}
	if (!(getauxval(AT_HWCAP2) & HWCAP2_FSGSBASE) && n < ARRAY_LEN(h->missing) - 1)
		h->missing[n++] = ZYDIS_ISA_SET_RDWRFSGS;
}

bool host_has(const struct host_abilities *host, unsigned isa_set)
{
	for (unsigned i = 0; i < ARRAY_LEN(host->missing) && host->missing[i]; i++)
		if (host->missing[i] == isa_set)
			return false;
	return true;
}

bool host_init(struct host_abilities *h, bool compat)
{
	u32 r[12] = {0};

	memset(h, 0, sizeof *h);
	if ((u64)&host_in < 1ull << 32) { /* stray accesses of 32-bit code would reach the program */
		fprintf(stderr, "oracle: the program must be position-independent\n");
		return false;
	}
	__get_cpuid_count(7, 0, &r[0], &r[1], &r[2], &r[3]);
	if (flavour_host() == FLAVOUR_AMD)
		h->vendor = VENDOR_AMD;
	else if (r[1] >> 6 & r[1] >> 13 & 1)
		h->vendor = VENDOR_INTEL;
	for (unsigned i = 0; i < 3; i++)
		__cpuid(0x80000002 + i, r[i * 4], r[i * 4 + 1], r[i * 4 + 2], r[i * 4 + 3]);
	memcpy(h->name, r, 48);
	look_for_features(h);
	h->gsbase = host_has(h, ZYDIS_ISA_SET_RDWRFSGS);
	host_read_gsbase = h->gsbase ? GS_INSTRUCTION : GS_SYSCALL;
	host_clean.fcw = 0x37f;
	host_clean.mxcsr = 0x1f80;
	map_everything();
	catch_signals();
	if (!probe(M64))
		return false;
	look_for_vectors(h);
	h->code32 = visible(SEL_CODE32);
	h->ldt = compat && set_ldt();
	/* compat mode's background has the LDT's segments */
	h->compat = h->code32 && h->ldt && probe(M32) && probe(M16);
	return true;
}
