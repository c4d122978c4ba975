/* SPDX-License-Identifier: MIT */
/* The oracle: what its parts exchange. A form is an instruction with the kinds of its operands; an instance is its bytes with
 * registers, addressing and immediates chosen; a test adds the machine state it starts in; an outcome is what came of it.
 * Everything here is plain data and portable; only host.c executes on the host. */
#ifndef TESTS_ORACLE_H
#define TESTS_ORACLE_H

#include <Zydis/Zydis.h>
#include <stdio.h>

#include "base/types.h"

enum mode { M64, M32, M16, MODES };
/* A family of CPUs, as cpu/model.h's flavours. VENDOR_ANY: Intel's before the x87 pointers of this decade, CPUID.7.EBX[6] and
 * [13]. */
enum vendor { VENDOR_ANY, VENDOR_INTEL, VENDOR_AMD };

/* ---- the address space both sides see; everything is below 4 GiB so that all modes reach it ---- */
#define PAGE 4096u
#define CODE_PAGE 0x10000000u
#define CODE_AT 0x800u /* the instruction, within the page */
#define CODE_START (CODE_PAGE + CODE_AT)
#define CODE_TAIL 0xf80u /* from here on: the way back to the host's C code; no branch target */
#define LANDING_SLOT 0x08000000u /* holds the address of the way back; far from anything that tests aim at */
#define DATA_PAGE 0x20000000u
#define DATA_SIZE (2 * PAGE)
#define RO_PAGE 0x20004000u
#define STACK_PAGE 0x30000000u
#define STACK_SIZE (2 * PAGE)
/* All other addresses are unmapped. Memory that instructions may change, as one array: data, stack; then the read-only page. */
#define ARENA_DATA 0u
#define ARENA_STACK DATA_SIZE
#define ARENA_WRITABLE (DATA_SIZE + STACK_SIZE)
#define ARENA_RO ARENA_WRITABLE
#define ARENA_SIZE (ARENA_WRITABLE + PAGE)

/* Selectors: Linux's GDT, and an LDT of our own. */
#define SEL_CODE32 0x23
#define SEL_DATA 0x2b
#define SEL_CODE64 0x33
#define SEL_LDT_DATA 0x07  /* 32-bit data, base LDT_DATA_BASE, 4 GiB */
#define SEL_LDT_CODE16 0x0f /* 16-bit code, base CODE_PAGE, 64 KiB */
#define SEL_LDT_STACK16 0x17 /* 16-bit stack, base LDT_STACK_BASE, 64 KiB */
#define SEL_LDT_SMALL 0x1f /* 32-bit data, base LDT_DATA_BASE, ends inside the second data page */
#define SEL_LDT_RO 0x27    /* like SEL_LDT_DATA, but read-only */
#define SEL_LDT_ABSENT 0x2f /* not present */
#define SEL_LDT_COUNT 6
#define LDT_DATA_BASE 0x1fffc000u
#define LDT_STACK_BASE 0x2fffc000u
#define LDT_SMALL_LIMIT 0x57ffu
#define GS_BASE 0x18000000u /* in 64-bit mode */

struct ldt_entry {
	u32 base, limit; /* bytes, inclusive */
	bool code, big, writable, present;
};
extern const struct ldt_entry oracle_ldt[SEL_LDT_COUNT];

static inline unsigned reg_id(ZydisRegister reg)
{
	return (unsigned)ZydisRegisterGetId(reg);
}

/* ---- machine state ---- */
enum { R_AX, R_CX, R_DX, R_BX, R_SP, R_BP, R_SI, R_DI };
enum { S_ES, S_CS, S_SS, S_DS, S_FS, S_GS };

struct st80 {
	u64 mant;
	u16 se;
	u16 pad[3];
};
struct fx { /* the FXSAVE64 image */
	u16 fcw, fsw;
	u8 ftw, pad;
	u16 fop;
	u64 fip, fdp;
	u32 mxcsr, mxcsr_mask;
	struct st80 st[8]; /* ST(0) first */
	u64 xmm[16][2];
	u8 rest[96];
};
struct state {
	u64 gpr[16];
	u64 rip;
	u64 rflags;
	u16 sel[8];
	u64 gs_base;
	u64 pad;
	struct fx fp;
};
_Static_assert(sizeof(struct fx) == 512, "the layout of FXSAVE");
_Static_assert(offsetof(struct state, fp) == 176 && sizeof(struct state) == 688, "host.c counts on these offsets");

#define NO_FAULT 0xff
#define HOST_STUCK 0xfe /* the host came to no end with it */
struct outcome {
	u8 vector; /* NO_FAULT, or the exception raised */
	u32 err;
	u64 cr2;
	struct state s;
};

enum flag {
	F_CF = 1, F_PF = 4, F_AF = 0x10, F_ZF = 0x40, F_SF = 0x80, F_TF = 0x100, F_IF = 0x200, F_DF = 0x400, F_OF = 0x800,
	F_NT = 0x4000, F_RF = 0x10000, F_AC = 0x40000, F_ID = 0x200000,
	F_ARITH = F_CF | F_PF | F_AF | F_ZF | F_SF | F_OF,
};

/* ---- forms ---- */
#define FREE 0xff /* a ModRM field that selects a register, not the operation */
enum prefix { P_66 = 1, P_F2 = 2, P_F3 = 4, P_LOCK = 8, P_67 = 16, P_REXW = 32 };
enum form_class {
	CLASS_RUN,     /* compared on both sides */
	CLASS_FAULTS,  /* privileged: must raise its fault at CPL 3 */
	CLASS_EXCLUDED, /* in the supported set, but cannot be compared: reason says why */
	CLASS_OUTSIDE, /* not in the supported set: reason says why */
};
struct iform {
	u64 key;        /* identifies the form for ever */
	u8 mode;        /* enum mode */
	u8 map;         /* 0 one-byte, 1 0F, 2 0F38, 3 0F3A */
	u8 opcode;
	u8 prefixes;    /* enum prefix, those the form needs */
	u8 modrm;       /* has one */
	u8 reg, rm;     /* value, or FREE; rm only for the register form */
	u8 memory;      /* the ModRM operand is memory */
	u8 opcode_reg;  /* the opcode's low 3 bits are a register */
	u8 hidden_memory; /* stack, string: no address in the encoding */
	u8 class;
	ZydisDecodedInstruction z; /* a representative */
	ZydisDecodedOperand op[ZYDIS_MAX_OPERAND_COUNT];
	const char *reason;
	char name[72];
	/* results */
	u64 cases, faults, failures;
};
struct forms {
	struct iform *form;
	unsigned count;
};
struct forms *forms_enumerate(unsigned modes);
void forms_free(struct forms *forms);
/* Decode in this mode as a CPU of the supported set does. */
bool forms_decode(enum mode mode, const u8 *bytes, unsigned len, ZydisDecodedInstruction *z, ZydisDecodedOperand *op);
/* Any encoding, whatever its map, with everything the decoder knows. */
bool forms_decode_any(enum mode mode, const u8 *bytes, unsigned len, ZydisDecodedInstruction *z, ZydisDecodedOperand *op);
u64 forms_key(enum mode mode, const ZydisDecodedInstruction *z, const ZydisDecodedOperand *op);
void forms_text(enum mode mode, const u8 *bytes, unsigned len, char *text, size_t size);

/* ---- instances and tests ---- */
struct instance {
	const struct iform *form; /* NULL in recorded vectors */
	u8 mode;
	u8 bytes[15], len;
	bool int3_end;   /* nothing but int3 behind it: flags or segments may make another way back impossible */
	bool illegal;    /* a LOCK prefix where none may be: #UD */
	bool repeats;    /* REP string: runs until RIP leaves it */
	bool segs;       /* 64-bit mode: segment registers must be loaded and restored */
	i64 target;      /* address fixed by the encoding (absolute, RIP-relative), or -1 */
	ZydisDecodedInstruction z;
	ZydisDecodedOperand op[ZYDIS_MAX_OPERAND_COUNT];
};
#define PATCHES 8
struct patch {
	u32 at; /* arena offset */
	u32 len;
	u8 bytes[1024];
};
struct test {
	struct instance in;
	struct state s;
	unsigned patches;
	struct patch patch[PATCHES];
};

struct rng {
	u64 s;
};
u64 rng_next(struct rng *rng);
static inline u64 rng_below(struct rng *rng, u64 n)
{
	return (u64)((u128)rng_next(rng) * n >> 64);
}
static inline bool rng_one_in(struct rng *rng, unsigned n)
{
	return rng_below(rng, n) == 0;
}
struct rng rng_from(u64 a, u64 b, u64 c);

/* value.c: edge-heavy operands. */
enum value_kind { V_I8, V_I16, V_I32, V_I64, V_F32, V_F64, V_F80, V_BCD, V_BITS, V_KINDS };
void value_fill(struct rng *rng, enum value_kind kind, void *to, unsigned bytes);
u64 value_int(struct rng *rng, unsigned bits);
u32 value_f32(struct rng *rng);
u64 value_f64(struct rng *rng);
struct st80 value_f80(struct rng *rng);
enum value_kind value_kind_of(const ZydisDecodedOperand *op);

/* build.c: bytes of an instance of the form; false if no choice worked. */
bool build_instance(struct rng *rng, const struct iform *form, struct instance *in);
/* An address for an operand of so many bytes. */
u64 build_target(struct rng *rng, unsigned bytes, bool aligned, bool near_faults);
/* Instances are for CPUs of this family, where encodings differ. */
void build_family(enum vendor vendor);
/* Decode the instance's bytes and derive the rest; for those that do not come from build_instance(). */
void build_finish(struct instance *in);
bool build_locks(const struct instance *in);
/* A place where a branch may land. */
u64 build_landing(struct rng *rng);
/* What a far transfer may name instead of this selector: itself, but that CALLs of 16-bit code do not go to SEL_CODE64. They push
 * on the stack pointer's upper half, too, and that is the kernel's after each interrupt (its way back to 16-bit stack segments):
 * the push goes anywhere. */
u16 build_far_selector(enum mode mode, unsigned mnemonic, u16 selector);

/* gen.c: the state the instance starts in. plain: registers it does not name keep their background values.
 * False if no state was found that is safe on the host. */
bool gen_state(struct rng *rng, struct test *t, bool plain);
void gen_background(struct state *s, enum mode mode);
u64 gen_seg_base(u16 selector);
/* recipe.c: instructions whose operands must fit together. */
void recipe_apply(struct rng *rng, struct test *t);
/* False where running the test could lead the host out of its pages. */
bool recipe_safe(const struct test *t);
void recipe_put(struct test *t, u64 address, const void *bytes, unsigned len);
bool recipe_get(const struct test *t, u64 address, void *bytes, unsigned len);
u64 recipe_stack(const struct test *t); /* linear address of the top of the stack */
/* Effective address (linear) of memory operand i in the test's state. */
u64 recipe_address(const struct test *t, unsigned i);
u64 recipe_segment(const struct test *t, unsigned i); /* the base of its segment */

/* ---- arenas ---- */
extern const u8 *oracle_background(void); /* ARENA_SIZE bytes */
/* Arena offset of a linear address, or -1. */
i64 oracle_arena(u64 address);

/* ---- undef.c: what need not agree ---- */
#define HOLES 6
struct tolerance {
	bool skip;            /* nothing can be compared in this case; why says why */
	const char *why;
	u64 flags;            /* bits of RFLAGS not compared */
	u64 gpr[16];          /* bits not compared */
	u16 fsw;
	u32 mxcsr;
	u8 st_ulps;           /* ST(0), ST(1): units in the last place of difference allowed */
	u8 rcp;               /* 1 RCP, 2 RSQRT: relative error of 1.5 * 2^-12 from the exact result */
	bool mmx_entered;     /* TOP and the tags may be as before or as an MMX instruction leaves them */
	bool fault_either;    /* one side may fault where the other does not */
	u32 alike;            /* bit per vector: these faults may stand for each other */
	bool err, memory;     /* not compared */
	u64 pointer_bits;     /* of FIP and FDP, which are compared; 0: neither they nor FOP are */
	u64 cr2_at[2];        /* CR2 may be any address of these bytes */
	u32 cr2_len[2];
	unsigned holes;
	struct { u32 at, len; } hole[HOLES]; /* arena ranges not compared */
};
/* vendor: of the CPU whose outcome is the reference. */
void undef_tolerance(const struct test *t, const struct outcome *ref, enum vendor vendor, struct tolerance *tol);

/* ---- compare.c ---- */
struct report_text {
	char text[2048];
};
/* True when the outcomes agree; else what differs, in one line. mem_*: ARENA_WRITABLE bytes. */
bool compare_outcomes(const struct test *t, const struct tolerance *tol, const struct outcome *ref, const u8 *mem_ref,
                      const struct outcome *got, const u8 *mem_got, struct report_text *why);
void compare_describe(const struct test *t, struct report_text *text);

/* ---- the two sides ---- */
struct host_abilities {
	enum vendor vendor;
	bool code32, ldt;       /* what 64-bit code finds: Linux's 32-bit code segment; an LDT as oracle_ldt has it */
	bool compat;            /* 32- and 16-bit code runs */
	bool gsbase;            /* RDGSBASE for user code */
	char name[64];
	u32 missing[8];         /* ISA sets of the supported set that the host has not, 0-ended */
	u64 taken[256 / 64];    /* vectors of INT n that the host's kernel has a use of its own for */
};
/* compat: false for a host that is to be like one without 32-bit code and LDT. */
bool host_init(struct host_abilities *abilities, bool compat);
/* Can the host run this instruction, and tells it about the CPU when it does? */
bool host_runs(const struct host_abilities *host, const struct instance *in);
bool host_has(const struct host_abilities *host, unsigned isa_set);
/* The memory that instructions see, live: ARENA_WRITABLE bytes. */
u8 *host_arena(void);
/* Put the code of an instance in place; then run it on the arena as it stands. */
void host_load(const struct instance *in);
void host_run(const struct test *t, struct outcome *out);

bool guest_init(void);
u8 *guest_arena(void);
void guest_load(const struct instance *in);
/* Make the CPU anew: of this family's vendor and flavour (cpu/model.h). Intel's until told. */
void guest_family(enum vendor vendor);
/* Descriptor tables with what the host's have; with everything (the default) if NULL. */
void guest_like(const struct host_abilities *host);
/* The translator runs the tests, not the interpreter; false where there is none. */
bool guest_use_jit(void);
void guest_run(const struct test *t, struct outcome *out);
void guest_free(void);

/* The arena as the test wants to find it. */
void oracle_prepare(const struct test *t, u8 *arena);
/* Does our CPU model offer this ISA set, although it lies outside the supported set? */
bool guest_offers(unsigned isa_set);

/* ---- reserved.c: no instructions, or none of ours ---- */
struct reserved {
	u64 encodings, failures, host_only;
};
/* Encodings that nobody defines: #UD on both sides. */
struct reserved reserved_check(const struct host_abilities *host, unsigned modes);
/* Forms outside the set: #UD on ours. Returns how many were tried. */
unsigned reserved_outside(struct forms *forms, unsigned *failures);

/* The code page of an instance, as both sides see it. */
void oracle_code_page(const struct instance *in, u8 *page);

/* ---- vectors.c: recorded tests ---- */
struct vectors;
struct vectors *vectors_new(void);
void vectors_add(struct vectors *v, const struct test *t, const struct outcome *out, const u8 *mem);
bool vectors_write(const struct vectors *v, const char *path, enum vendor vendor, const char *host);
struct vectors *vectors_read(const char *path, enum vendor *vendor, char host[64]);
/* The next one; false at the end. mem: ARENA_WRITABLE bytes, what the memory was in the end. */
bool vectors_next(struct vectors *v, struct test *t, struct outcome *out, u8 *mem);
void vectors_free(struct vectors *v);
unsigned vectors_count(const struct vectors *v);
size_t vectors_bytes(const struct vectors *v);

/* ---- recorded.c ---- */
struct recorded {
	enum vendor vendor;
	char host[64];
	unsigned tests, skipped, failures;
	bool damaged;
};
/* Run those of a file's tests that are wanted (NULL: all) on ours and say what differs. False if there is no such file. */
bool recorded_compare(const char *path, bool (*wanted)(const struct instance *in, void *opaque), void *opaque, struct recorded *r);

#endif
