/* SPDX-License-Identifier: MIT */
/* Random programs on two engines: what the parts share. Everything about a program follows from its seed. */
#ifndef TESTS_DIFF_H
#define TESTS_DIFF_H

#include "base/types.h"
#include "cpu/cpu.h"
#include "cpu/engine.h"
#include "tests/chance.h"

/* ---- the machine's memory: 1 MiB, the same in every mode; handlers.S knows these numbers too ---- */
#define RAM_SIZE 0x100000u
enum {
	AT_GDT = 0x1000, AT_IDT = 0x2000, AT_TSS = 0x3000, AT_VARS = 0x4000, AT_LOG = 0x4800, AT_KSTACK = 0x6000 /* downwards */,
	AT_HANDLERS = 0x6000, AT_IST = 0x9000 /* downwards */, AT_PML4 = 0xa000, AT_PDPT = 0xb000, AT_PD = 0xc000, AT_PT = 0xd000,
	AT_PD32 = 0xe000, AT_PT32 = 0xf000, AT_PDPT_PAE = 0x1800,
	AT_CODE = 0x10000, AT_DATA = 0x20000, AT_STACK = 0x30000, AT_ALIAS = 0x80000 /* the code once more, where there is paging */,
	SEGMENT = 0x10000,
};
/* Pages of the data with rights of their own, where there is paging. */
enum { PAGE_ABSENT = 4, PAGE_READ_ONLY = 6, PAGE_SUPERVISOR = 8, PAGE_ALIAS = 10 /* of page 0 */ };
/* And one that is a device, in every mode. */
enum { PAGE_DEVICE = 12 };

/* What handlers.S reads at AT_VARS. */
struct vars {
	u32 count;      /* events logged */
	u32 syscalls;
	u64 start;      /* first unit: offset in CS */
	u64 stack;      /* a good stack pointer */
	u32 mask;       /* of the offset of units */
	u16 cs;         /* where the program belongs */
	u16 pad;
};

/* ---- modes ---- */
enum paging { PAGING_NONE, PAGING_32, PAGING_PAE, PAGING_LONG };
struct mode {
	const char *name;
	u8 bits;        /* of the code: 16, 32, 64 */
	u8 cpl;
	u8 paging;      /* enum paging */
	bool real, v86;
	u16 cs, ss, ds; /* selectors */
	bool based;     /* no segment is flat */
};
extern const struct mode modes[];
extern const unsigned mode_count;

enum {
	SEL_CODE64 = 0x08, SEL_DATA = 0x10, SEL_CODE32 = 0x18, SEL_CODE16 = 0x20, SEL_DATA16 = 0x28, SEL_STACK16 = 0x30,
	SEL_USER32 = 0x3b, SEL_USER_DATA = 0x43, SEL_USER64 = 0x4b, SEL_USER16 = 0x53, SEL_USER_DATA16 = 0x5b,
	SEL_USER_STACK16 = 0x63, SEL_TSS = 0x68, SEL_CODE_ALIAS = 0x7b, SEL_SMALL = 0x83, SEL_READ_ONLY = 0x8b, SEL_ABSENT = 0x93,
	SEL_DOWN = 0x9b, SEL_BASED_CODE = 0xa0, SEL_BASED_DATA = 0xa8, SEL_BASED_USER = 0xb3, SEL_BASED_USER_DATA = 0xbb,
	SEL_COUNT = 24,
};

/* ---- programs ---- */
#define UNIT 256u /* bytes; a fault goes on at the next unit */
#define UNITS 64u
struct program {
	u64 seed;
	const struct mode *mode;
	u64 high;       /* where the low MiB is seen in 64-bit code, and through segments with a base: added to addresses */
	u32 start;      /* of the first unit in the code segment */
	u32 iopl;
	u8 image[RAM_SIZE];
};
/* program.c */
/* It ends after about so many executions of units. */
void program_make(struct program *p, u64 seed, const struct mode *mode, u32 units);

/* ---- code of one unit (code.c) ---- */
struct code {
	struct chance *r;
	struct program *p;
	const struct mode *mode;
	u8 *at, *begin, *end;  /* in the image */
	u32 patch[8];          /* places of the image whose byte may be anything */
	unsigned patches;
	u32 entry_patch[UNITS]; /* such places in the first blocks of units */
	unsigned entry_patches;
	bool flat_stack;       /* nothing may move the stack pointer */
};
void code_byte(struct code *c, u8 v);
void code_value(struct code *c, u64 v, unsigned bytes);
static inline unsigned code_room(const struct code *c) { return c->end - c->at; }
/* The offset of a place of the image in the code segment, and as a linear address. */
u32 code_offset(const struct code *c, const u8 *at);
u64 code_linear_at(const struct code *c, u32 offset, u32 segment);
/* One instruction of the tables, or one with what it needs. */
void code_random(struct code *c);
/* A pointer register is made to point into the data. */
void code_pointer(struct code *c);
/* An operand at an offset of the data segment, with the ModRM byte's reg field and `behind` bytes of immediate to come. */
void code_absolute(struct code *c, unsigned reg, u32 data, unsigned behind);
/* A store of one byte into the code at an offset of its segment; by another linear address if there is one. */
void code_patch(struct code *c, u32 offset, u8 value, bool alias);
/* MOV reg, value, as wide as the code is. */
void code_load(struct code *c, unsigned reg, u64 value);

/* ---- machines (machine.c) ---- */
struct machine {
	const struct engine *engine;
	struct clock *clock;
	struct loop *loop;
	struct bus bus;
	struct ram *ram;
	struct region region, ports, device;
	struct cpu_model *model;
	struct cpu *cpu;
	int vector;     /* of the timer's interrupt */
	u32 sum, reads; /* of the test port and of the device in memory */
	bool ended;     /* the program said so */
};
bool machine_new(struct machine *m, const struct engine *engine, bool counting);
void machine_free(struct machine *m);
void machine_load(struct machine *m, const struct program *p);
void machine_interrupt(struct machine *m, int vector);
/* False: they differ; text says where. */
bool machine_same(struct machine *a, struct machine *b, char *text, size_t size);

extern const u8 handlers_begin[], handlers_end[], handler64[], handler32[], handler16[], handler_syscall[];

#endif
