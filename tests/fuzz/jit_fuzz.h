/* SPDX-License-Identifier: MIT */
/* The fuzzer of the translator: what an input is, and the machines that run it. */
#ifndef TESTS_FUZZ_JIT_FUZZ_H
#define TESTS_FUZZ_JIT_FUZZ_H

#include "base/types.h"
#include "cpu/cpu.h"
#include "cpu/engine.h"
#include "tests/chance.h"

/* An input: this, then code. Registers, tables and data follow from it. */
struct jit_input {
	u8 mode;   /* of jit_mode_names */
	u8 flags;  /* enum jit_input_flag */
	u8 entry;  /* where the code begins: 8 bytes each from the start of its two pages, or back from the end of the first */
	u8 spare;
	u32 seed;  /* of everything else */
};
#define JIT_INPUT_CODE 160u /* bytes at most */

enum jit_input_flag {
	INPUT_USER = 1,      /* ring 3, where the mode leaves the choice */
	INPUT_FREE = 2,      /* the translator does not count instructions */
	INPUT_AT_END = 4,    /* the code runs into its second page */
	INPUT_PAGES = 8,     /* some pages of the data are absent, read-only or the supervisor's */
	INPUT_UNMASKED = 16, /* floating-point exceptions are not masked */
	INPUT_CHECKS = 32,   /* SMAP, alignment checks, TS, EM, MP: chosen by the seed */
	INPUT_WILD = 64,     /* registers hold anything rather than addresses */
};

enum jit_mode {
	MODE_REAL,
	MODE_V86,
	MODE_PROT16,
	MODE_PROT32,
	MODE_BASED32,
	MODE_PAGED32,
	MODE_COMPAT16,
	MODE_COMPAT32,
	MODE_LONG,
	JIT_MODES
};
extern const char *const jit_mode_names[JIT_MODES];
static inline unsigned jit_mode_bits(unsigned mode)
{
	static const u8 bits[JIT_MODES] = {16, 16, 16, 32, 32, 32, 16, 32, 64};
	return bits[mode];
}

/* ---- jit_code.c: an input is made or changed; returns its size ---- */
size_t jit_code_mutate(u8 *data, size_t size, size_t max, u32 seed);

/* ---- jit_machine.c: a bare machine that is reset by restoring what was touched ---- */
#define RAM_SIZE 0x20000u
enum {
	AT_PML4 = 0x1000, AT_PDPT = 0x2000, AT_PD = 0x3000, AT_PT = 0x4000, AT_PD32 = 0x5000, AT_PT32 = 0x6000,
	AT_GDT = 0x7000, AT_TSS = 0x7200, AT_IDT = 0x7800, AT_HANDLERS = 0x8000, AT_KSTACK = 0x9000, AT_CODE = 0xa000,
	AT_DATA = 0xc000, AT_STACK = 0x10000, AT_DEVICE = 0x20000, DATA_SIZE = 0x4000,
};

struct jit_machine {
	const struct engine *engine;
	struct clock *clock;
	struct loop *loop;
	struct bus bus;
	struct ram *ram;
	struct region region, ports, device;
	struct cpu *cpu[2];
	unsigned cpus;
};
void jit_machine_new(struct jit_machine *m, const struct engine *engine, unsigned cpus);
/* Where the code begins: an offset in its two pages. */
u32 jit_machine_entry(const struct jit_input *input);
/* All memory of an input as it is at the beginning. */
void jit_machine_image(u8 *image, const struct jit_input *input, const u8 *code, size_t size);
/* Memory becomes the image, as far as it is not. While no CPU runs. */
void jit_machine_restore(struct jit_machine *m, const u8 *image);
/* A CPU is as the input says, at its first instruction. On the CPU's own thread. */
void jit_machine_start(struct jit_machine *m, unsigned cpu, const struct jit_input *input);

#endif
