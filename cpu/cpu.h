/* SPDX-License-Identifier: MIT */
/* One virtual CPU: its architectural state (all of it plain data, saved and compared through cpu_fields) followed by what the
 * engines derive from it. State is canonical at instruction boundaries, whatever engine runs; the only exception are the six
 * arithmetic flags, which an engine may hold lazily (flags.h) until flags_sync().
 * Names as in the Intel SDM, vol. 3A ch. 2. */
#ifndef CPU_CPU_H
#define CPU_CPU_H

#include <setjmp.h>
#include <stdatomic.h>

#include "base/clock.h"
#include "base/field.h"
#include "base/types.h"
#include "mem/bus.h"

/* General registers in encoding order. Two more slots serve address computation without branches: one that is always 0
 * (no base, no index) and one that holds RIP at the first byte of the page being executed (RIP-relative operands). */
enum gpr {
	RAX, RCX, RDX, RBX, RSP, RBP, RSI, RDI, R8, R9, R10, R11, R12, R13, R14, R15,
	GPR_ZERO, GPR_PAGE, GPR_SLOTS
};

/* Segment registers in encoding order. */
enum seg_index { SEG_ES, SEG_CS, SEG_SS, SEG_DS, SEG_FS, SEG_GS, SEG_COUNT };

/* Attributes of a segment in the layout of the descriptor's bytes 5-6 (and of VMX access rights). */
enum seg_attr {
	SEG_ACCESSED = 1 << 0, /* for code and data */
	SEG_RW = 1 << 1,       /* data: writable; code: readable */
	SEG_DC = 1 << 2,       /* data: expand down; code: conforming */
	SEG_CODE = 1 << 3,
	SEG_TYPE = 0xf,
	SEG_S = 1 << 4,        /* code or data, not system */
	SEG_DPL_SHIFT = 5,
	SEG_DPL = 3 << 5,
	SEG_P = 1 << 7,
	SEG_AVL = 1 << 12,
	SEG_L = 1 << 13,
	SEG_DB = 1 << 14,
	SEG_G = 1 << 15,
	SEG_UNUSABLE = 1 << 16, /* null selector */
};

struct seg {
	u64 base;
	u32 limit; /* in bytes, inclusive, after granularity */
	u32 attr;  /* enum seg_attr */
	u16 selector;
	u16 pad[3];
};
struct table_reg { /* GDTR, IDTR */
	u64 base;
	u16 limit;
	u16 pad[3];
};

/* Flags of RFLAGS. */
enum rflags {
	FLAG_CF = 1 << 0, FLAG_1 = 1 << 1, FLAG_PF = 1 << 2, FLAG_AF = 1 << 4, FLAG_ZF = 1 << 6, FLAG_SF = 1 << 7,
	FLAG_TF = 1 << 8, FLAG_IF = 1 << 9, FLAG_DF = 1 << 10, FLAG_OF = 1 << 11, FLAG_IOPL = 3 << 12, FLAG_NT = 1 << 14,
	FLAG_RF = 1 << 16, FLAG_VM = 1 << 17, FLAG_AC = 1 << 18, FLAG_VIF = 1 << 19, FLAG_VIP = 1 << 20, FLAG_ID = 1 << 21,
	FLAGS_ARITH = FLAG_CF | FLAG_PF | FLAG_AF | FLAG_ZF | FLAG_SF | FLAG_OF,
};

#define CR0_PE BIT(0)
#define CR0_MP BIT(1)
#define CR0_EM BIT(2)
#define CR0_TS BIT(3)
#define CR0_ET BIT(4)
#define CR0_NE BIT(5)
#define CR0_WP BIT(16)
#define CR0_AM BIT(18)
#define CR0_NW BIT(29)
#define CR0_CD BIT(30)
#define CR0_PG BIT(31)
#define CR4_VME BIT(0)
#define CR4_PVI BIT(1)
#define CR4_TSD BIT(2)
#define CR4_DE BIT(3)
#define CR4_PSE BIT(4)
#define CR4_PAE BIT(5)
#define CR4_MCE BIT(6)
#define CR4_PGE BIT(7)
#define CR4_PCE BIT(8)
#define CR4_OSFXSR BIT(9)
#define CR4_OSXMMEXCPT BIT(10)
#define CR4_UMIP BIT(11)
#define CR4_FSGSBASE BIT(16)
#define CR4_PCIDE BIT(17)
#define CR4_OSXSAVE BIT(18)
#define CR4_SMEP BIT(20)
#define CR4_SMAP BIT(21)
#define MISC_XD_DISABLE BIT(34) /* of IA32_MISC_ENABLE */
#define EFER_SCE BIT(0)
#define EFER_LME BIT(8)
#define EFER_LMA BIT(10)
#define EFER_NXE BIT(11)
#define EFER_FFXSR BIT(14)

/* An 80-bit register as the manual draws it. */
struct f80 {
	u64 mant;
	u16 se; /* sign and exponent */
	u16 pad[3];
};
struct x87 {
	struct f80 r[8]; /* physical R0..R7; ST(i) is r[(top + i) & 7], top in fsw bits 11-13. MMi is r[i].mant */
	u16 fcw, fsw;
	u8 valid;        /* abridged tag word of FXSAVE: bit i set: Ri is not empty */
	u8 pad;
	u16 fop;         /* 11 bits */
	u64 fip, fdp;
	u16 fcs, fds;
	u32 pad2;
};

/* A vector register with room for AVX-512. */
union vreg {
	u8 b[64];
	u16 w[32];
	u32 d[16];
	u64 q[8];
	i8 sb[64];
	i16 sw[32];
	i32 sd[16];
	i64 sq[8];
};

/* What wakes or diverts a CPU (bits of request): set by any thread, cleared by the vCPU thread. */
enum cpu_request {
	CPU_REQ_INTR = 1 << 0,  /* level of the INTR pin (LAPIC or PIC) */
	CPU_REQ_NMI = 1 << 1,
	CPU_REQ_SMI = 1 << 2,
	CPU_REQ_INIT = 1 << 3,
	CPU_REQ_SIPI = 1 << 4,
	CPU_REQ_STOP = 1 << 5,  /* leave engine_run() at the next instruction boundary */
	CPU_REQ_FLUSH = 1 << 6, /* the memory map changed: flush the TLB */
	CPU_REQ_PASS = 1 << 7,  /* another thread waits until this CPU is between instructions (quiet.h) */
	CPU_REQ_CODE = 1 << 8,  /* other threads wrote to pages with code (code.h) */
	CPU_REQ_SIPI_VECTOR = 0xff << 24, /* what CPU_REQ_SIPI carried */
};

enum cpu_activity { CPU_RUNNING, CPU_HALTED, CPU_WAIT_SIPI, CPU_SHUTDOWN };

/* The interrupt controller as the CPU sees it; filled in by the board. All called under the machine lock. */
struct cpu_intc {
	void *opaque;
	int (*acknowledge)(void *opaque);             /* take the pending vector; -1: none after all */
	u64 (*get_cr8)(void *opaque);
	void (*set_cr8)(void *opaque, u64 value);
	u64 (*get_base)(void *opaque);                /* IA32_APIC_BASE */
	bool (*set_base)(void *opaque, u64 value);    /* false: #GP */
	u32 (*mmio_read)(void *opaque, u32 offset);   /* xAPIC page */
	void (*mmio_write)(void *opaque, u32 offset, u32 value);
	bool (*msr_read)(void *opaque, u32 index, u64 *value); /* x2APIC registers and IA32_TSC_DEADLINE; false: #GP */
	bool (*msr_write)(void *opaque, u32 index, u64 value);
};

struct cpu;
/* What a CPU tells its machine; filled in by the board. */
struct cpu_host {
	void *opaque;
	void (*triple_fault)(void *opaque, struct cpu *cpu);
	void (*smm)(void *opaque, struct cpu *cpu); /* in_smm has changed; without the machine lock; may be NULL */
	void (*watched)(void *opaque, struct cpu *cpu, unsigned kind, u64 value); /* watch.h; without the machine lock */
	/* FERR#: an unmasked x87 exception is pending (also when it is found to be still there) or no longer, with CR0.NE = 0. Returns
	 * whether IGNNE# is asserted: x87 instructions go on in spite of it. Without the machine lock; may be NULL: they always do */
	bool (*ferr)(void *opaque, struct cpu *cpu, bool asserted);
};

struct tlb;
struct code_cache;
struct insn;
struct block;
struct cpu_model;
struct cpu_watch;
struct cpu_journal;

/* What translated code (jit/) keeps at hand. */
struct jit_target;
#define EXECUTED_MASK 0x7fff
struct cpu_jit {
	struct cpu *self;    /* for code that reaches the CPU through a segment register */
	void *state;         /* struct jit; NULL: no translator */
	/* A decoded block dies; all of them do (block NULL). NULL: nobody minds. */
	void (*killed)(struct cpu *cpu, struct block *block);
	void (*free)(struct cpu *cpu); /* with the CPU; NULL: nothing */
	struct jit_target *targets; /* where RIPs lead: TARGETS of them */
	u64 executed[(EXECUTED_MASK + 1) / 64]; /* a filter of the pages that targets lie in: bits by page number */
	/* Translated code's own TLB entries by base register: where [tag, tag + PAGE_SIZE) lies, good until tlb_forget_windows(); and
	 * what is good within a translation only. */
	struct jit_window {
		u64 tag, delta;  /* linear page address; host minus linear address */
		u64 none[2];     /* all ones: there is none to read, to write; other threads may set that */
		u64 local;       /* host minus linear address */
	} window[16];
	u64 stack[8];        /* by TLB: the page of window[RSP] when it was last in use */
	u32 windows;         /* bit i: window[i] may be good */
	bool tried;          /* to make `state`: once, for later the sandbox gives no executable memory */
	u64 space;           /* the present address space and privilege, as a part of their keys */
	u64 tmp;             /* for one instruction */
	u16 flags;           /* saved flags: AH, AL of the translator's convention */
	u8 vectors;          /* the host's XMM registers and MXCSR are the guest's */
	u8 vectors_kept;     /* they were, before the interpreter was called */
	u8 x87;              /* the host's x87 registers are the guest's */
	u8 leave;            /* leave translated code after the current instruction */
	u8 block_max;        /* instructions in a decoded block, 0: no limit of its own */
	bool running;        /* the engine is a translator: blocks are not linked */
	u32 host_mxcsr;
	bool checked, due;   /* a translation is run twice to be compared: what would set kick sets `due` */
	u32 rounds;          /* how often a loop may begin, where translations are checked */
};

#define FAULT_CHAIN 4
struct cpu_fault { /* one exception, as raised */
	u8 vector;
	bool has_code;
	bool waits; /* none: the instruction waits and is tried again (exception_wait()) */
	u8 pad;
	u32 code;
	u64 rip, cr2;
};

struct cpu {
	/* ---- architectural state: saved, compared, shown (cpu_fields covers everything up to `end_of_state`) ---- */
	u64 gpr[GPR_SLOTS];
	u64 rip;
	u64 rflags;      /* arithmetic flags valid only while cc_op == CC_FLAGS: use flags_get() */
	struct seg seg[SEG_COUNT];
	struct seg ldtr, tr;
	struct table_reg gdtr, idtr;
	u64 cr0, cr2, cr3, cr4, xcr0;
	u64 dr[8];       /* 4 and 5 unused */
	u64 pdpte[4];    /* PAE paging without long mode: loaded by MOV CR3 (SDM 3A 4.4.1) */
	u64 efer, star, lstar, cstar, fmask, kernel_gs_base;
	u64 sysenter_cs, sysenter_esp, sysenter_eip;
	u64 pat, tsc_aux, misc_enable, mtrr_def_type, mtrr_fixed[11], mtrr_var[16], mcg_status, mcg_ctl, spec_ctrl, xss;
	u64 mc_bank[4 * 10];
	u64 tsc_offset;  /* guest TSC = clock ticks + tsc_offset */
	u64 tsc_adjust;
	u64 smbase, feature_control, debugctl;
	struct x87 x87;
	u32 mxcsr;
	u32 v_pad[3];    /* so that no vector register straddles cache lines (sse.h) */
	union vreg v[32];
	u64 k[8];
	u8 activity;     /* enum cpu_activity */
	u8 shadow;       /* interrupt shadow of STI / MOV SS / POP SS on the next instruction: enum cpu_shadow */
	u8 nmi_blocked;
	u8 nmi_pending;
	u8 sipi_vector;
	u8 in_smm;
	u8 flavour;      /* enum cpu_flavour (model.h): whose undefined results this CPU gives */
	u8 pad[1];
	u64 pending_db;  /* DR6 bits of debug traps that come before the next instruction, or behind it in the shadow of MOV SS */
	u64 instructions; /* executed since power-on, and faults delivered; drives the deterministic clock */
	char end_of_state[8];

	/* ---- lazy arithmetic flags (flags.h) ---- */
	u32 cc_op;
	i64 cc_res, cc_a, cc_b;

	/* ---- derived from the state by mode_update() (mode.h); never changed elsewhere ---- */
	u8 cpl;
	u8 code_mode;    /* enum code_mode: how the bytes at CS:RIP decode */
	u8 block_key;    /* what decoded blocks depend on: code mode, and whether CS has a limit to be watched */
	u8 sse_fault;    /* 0, or the vector an SSE instruction raises now (#UD or #NM) */
	u8 x87_fault;    /* 0, or #NM for x87; MMX also #UD under CR0.EM */
	u8 seg_flat;     /* bit per segment: base 0, limit 4 GiB, present, readable and writable: no checks needed */
	/* What translated 16- and 32-bit code must not take for granted: bit i: segment i is not flat; SEG_ODD_SP16, SEG_ODD_SP32: the
	 * stack pointer has that many bits. Like the next two, not kept up in 64-bit code. */
	u8 seg_odd;
	u64 code_last;   /* the highest RIP that code may have: limit of CS, 0xffff in 16-bit code */
	u64 seg_span[SEG_COUNT][2]; /* offsets below it may be read; [1]: written. 0: ask segment_linear() */
	bool long_mode;  /* EFER.LMA */
	bool careful;    /* TF, code breakpoints or a debugger: one instruction at a time */
	bool watchpoints; /* breakpoints are enabled in DR7 */
	bool debugger;   /* a debugger wants to see every instruction (set from outside, then mode_update()) */

	/* ---- runtime of the engines ---- */
	/* Names what instruction fetches lead to: another one after each change, never one of before; [1]: of user mode. */
	u64 fetch_version[2], fetch_versions; /* the last one given */
	bool fetch_local;              /* supervisor code may have been fetched through pages that are not global */
	struct tlb *tlb;               /* the one for the current privilege (access.h) */
	const struct insn *cur;        /* being executed: what a fault is charged to */
	struct tlb *fetch_tlb;         /* for instruction fetches at the current privilege */
	struct block *block;           /* being executed */
	struct block *link_from;       /* ended in a direct transfer within its page, to be linked */
	u8 link_which;
	u64 stop_at;                   /* instruction count at which engine_run() must return */
	jmp_buf *fault_env;            /* where exception_raise() lands */
	struct cpu_fault fault;        /* the last one raised */
	struct cpu_fault chain[FAULT_CHAIN]; /* what led to a double or triple fault */
	u8 chain_len;
	bool delivering;               /* an event is being delivered through the IDT */
	u64 dr6_hits;                  /* data breakpoints hit by the current instruction (DR6 bits) */
	bool step;                     /* the current instruction is single-stepped, unless it says otherwise */
	_Atomic u32 request;           /* enum cpu_request */
	_Atomic u32 kick;              /* not 0: look at request and state before the next block */
	_Atomic u32 quiet;             /* odd: outside, holds nothing of the TLB (quiet.h) */
	const void *_Atomic thread;    /* the mark of the thread that runs this CPU; NULL: none did yet */
	struct cpu *quiet_next;        /* the next CPU of all */
	u32 pauses;                    /* PAUSE instructions executed, where there are several CPUs */
	struct tlb *tlbs;              /* all of them */
	struct code_cache *code;
	struct cpu_jit jit;
	struct kvm_vcpu *kvm;          /* NULL: never ran under KVM */
	void (*kvm_free)(struct cpu *cpu);
	void (*_Atomic interrupt)(struct cpu *cpu); /* an engine that does not look at kick: it is called after each request; or NULL */
	const char *unable;            /* why the engine could not go on (ENGINE_UNABLE) */
	u64 version;                   /* counts the changes of the state from outside */
	struct bus *bus;
	struct bus_listener listener;
	struct clock *clock;
	struct cpu_intc intc;
	struct cpu_host host;
	const struct cpu_model *model;
	u64 tsc_hz;
	struct cpu_journal *journal;   /* what is stored is to be undone (journal.h); or NULL */
	const struct cpu_watch *watch; /* what somebody waits for, or NULL (watch.h) */
	unsigned index;                /* 0 = BSP; also the initial APIC id */
	unsigned count;                /* CPUs in the machine */
	u64 statistics[16];            /* enum cpu_statistic */
	struct { FILE *file; bool in_asm, interrupts, exec, reset, op, out_asm; } log; /* -d */
};

#define SEG_ODD_SP16 64
#define SEG_ODD_SP32 128
enum cpu_shadow { SHADOW_NONE, SHADOW_STI, SHADOW_MOV_SS };
enum code_mode { CODE16, CODE32, CODE64 };
#define BLOCK_LIMITED 3 /* added to the code mode in block_key */
#define BLOCK_PLAIN 6 /* 64-bit code again, for a translator that has two ways to translate it */
#define BLOCK_KEYS 7
enum cpu_statistic { STAT_BLOCKS, STAT_DECODED, STAT_TLB_FILL, STAT_TLB_FLUSH, STAT_FAULTS, STAT_INTERRUPTS, STAT_SMC, STAT_MMIO };

extern const struct field cpu_fields[];
#define CPU_STATE_SIZE offsetof(struct cpu, cc_op)

/* Create in the reset state. The model (model.h) says what CPUID reports and which instructions exist. */
struct cpu *cpu_new(const struct cpu_model *model, struct bus *bus, struct clock *clock, unsigned index, unsigned count);
void cpu_free(struct cpu *cpu);
/* SDM 3A table 10-1: power-up/RESET, or INIT (keeps FPU, TSC, MTRRs and some more). */
void cpu_reset(struct cpu *cpu, bool init);
/* Before the state is read from outside, between engine runs: what is pending or lazy goes into it. */
void cpu_state_sync(struct cpu *cpu);
/* After the architectural state was loaded or changed from outside: derive the rest, flush what is cached. Load
 * into a CPU that was reset: requests from before are not part of what is replaced. */
void cpu_state_changed(struct cpu *cpu);
/* The registers as text, for logs. */
void cpu_print(const struct cpu *cpu, FILE *to);
/* Set or clear request bits; wakes nothing by itself (engine.h). Any thread. */
static inline void cpu_request(struct cpu *cpu, u32 bits)
{
	atomic_fetch_or_explicit(&cpu->request, bits, memory_order_seq_cst);
	atomic_store_explicit(&cpu->kick, 1, memory_order_seq_cst);
	void (*interrupt)(struct cpu *) = atomic_load_explicit(&cpu->interrupt, memory_order_acquire);
	if (interrupt)
		interrupt(cpu);
}
static inline void cpu_unrequest(struct cpu *cpu, u32 bits)
{
	atomic_fetch_and_explicit(&cpu->request, ~bits, memory_order_seq_cst);
}
/* Guest TSC now. */
u64 cpu_tsc(struct cpu *cpu);
/* The same as the instruction that is being executed reads it (cpu->cur, or NULL between instructions). Timers that are overdue
 * fire first. */
u64 cpu_read_tsc(struct cpu *cpu);

#endif
