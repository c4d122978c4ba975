/* SPDX-License-Identifier: MIT */
/* Random programs on the interpreter and on the translator: the whole state has to be the same at checkpoints after exact numbers
 * of instructions, with interrupts at exact places; and, without counting, at the programs' ends.
 * usage: diff [--count N] [--seed N] [--mode NAME] [--length N] [--cache N] [--jit OPTIONS] [--free] [--one] [--catches] [-v]
 *   --count    guest instructions in all (default 1,500,000)
 *   --seed     of the first program; the following ones count on from it
 *   --mode     only this one (see machine.c)
 *   --free     only programs run to their ends without counting
 *   --length   instructions of one program (default 20,000)
 *   --cache    bytes of translated code kept, so that it is evicted
 *   --jit      as the emulator's option -jit
 *   --one      only the first program: to see a failure again
 *   --catches  see to it that a planted error is found */
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <Zydis/Zydis.h>

#include "base/err.h"
#include "cpu/flags.h"
#include "jit/jit.h"
#include "tests/diff/diff.h"

#define FREE_LENGTH 300000   /* at most, of one that ends by itself */

static struct machine counted[2], uncounted[2];
static struct program program;
static u64 length = 20000; /* instructions of one counted program */
static bool plant;  /* the translator is given a slightly different program */
static char difference[400];

static u64 stat_instructions[16], stat_faults[16], stat_programs[16], stat_ended[16];

/* ---- one program, counted ---- */

/* As if AND EDX, 3F, which units begin with, were translated to XOR EDX, 3F. */
static void plant_error(struct machine *m)
{
	static const u8 and[] = {0x83, 0xe2, 0x3f};
	u8 *code = m->ram->hva + AT_CODE;

	for (unsigned i = 0; i + sizeof and < SEGMENT; i++)
		if (!memcmp(code + i, and, sizeof and))
			code[i + 1] = 0xf2;
}

static void load(struct machine m[2])
{
	machine_load(&m[0], &program);
	machine_load(&m[1], &program);
	if (plant)
		plant_error(&m[1]);
}

static void run(struct machine m[2], u64 budget)
{
	for (unsigned i = 0; i < 2; i++)
		m[i].engine->run(m[i].cpu, budget);
}

static bool over(const struct machine *m)
{
	return m->ended || m->cpu->activity != CPU_RUNNING;
}

/* Run to instruction `end`; the checkpoints and interrupts before it are always the same. False: a difference. With `only_end`
 * nothing is compared before. */
static bool run_counted(u64 end, bool only_end)
{
	struct machine *m = counted;
	struct chance r = {program.seed * 3 + 1};

	load(m);
	while (m[0].cpu->instructions < end && !over(&m[0])) {
		u64 n = 1 + chance_below(&r, (u32[]){8, 60, 600, 4000}[chance_below(&r, 4)]);
		bool last = m[0].cpu->instructions + n >= end;
		run(m, MIN(n, end - m[0].cpu->instructions));
		if ((!only_end || last) && !machine_same(&m[0], &m[1], difference, sizeof difference))
			return false;
		if (chance_percent(&r, 40) && !last)
			for (unsigned i = 0, vector = 0x40 + chance_below(&r, 16); i < 2; i++)
				machine_interrupt(&m[i], vector);
	}
	return machine_same(&m[0], &m[1], difference, sizeof difference);
}

/* ---- one program to its end ---- */

static void hangs(int signal)
{
	char text[200];
	(void)signal;
	int n = snprintf(text, sizeof text, "does not end on the translator: --mode %s --seed %" PRIu64 " --free --one\n",
	                 program.mode->name, program.seed);
	if (write(2, text, n) != n)
		_exit(3);
	_exit(1);
}

static bool run_free(void)
{
	struct machine *m = uncounted;

	load(m);
	while (!over(&m[0]) && m[0].cpu->instructions < FREE_LENGTH)
		m[0].engine->run(m[0].cpu, 10000);
	if (!over(&m[0]))
		return true; /* caught in a loop */
	signal(SIGALRM, hangs);
	alarm(60);
	while (!over(&m[1]))
		m[1].engine->run(m[1].cpu, 0);
	alarm(0);
	m[1].cpu->instructions = m[0].cpu->instructions;
	return machine_same(&m[0], &m[1], difference, sizeof difference);
}

/* ---- what went wrong ---- */

static void disassemble(u64 rip, const u8 *bytes)
{
	ZydisDisassembledInstruction text;
	ZydisMachineMode mode = program.mode->bits == 64 ? ZYDIS_MACHINE_MODE_LONG_64 : program.mode->bits == 32 ?
	                        ZYDIS_MACHINE_MODE_LEGACY_32 : program.mode->real ? ZYDIS_MACHINE_MODE_REAL_16 :
	                        ZYDIS_MACHINE_MODE_LEGACY_16;

	if (ZYAN_SUCCESS(ZydisDisassembleIntel(mode, rip, bytes, 15, &text)))
		printf("  %" PRIx64 ": %s\n", rip, text.text);
	else
		printf("  %" PRIx64 ": ?\n", rip);
}

/* Find the number of instructions after which the two are different for the first time, and show what was executed before. */
static void narrow(void)
{
	u64 good = 0, bad = counted[0].cpu->instructions;
	struct machine *m = &counted[0];

	while (bad - good > 1) {
		u64 middle = (good + bad) / 2;
		if (run_counted(middle, true))
			good = middle;
		else
			bad = middle;
	}
	u64 from = bad > 24 ? bad - 24 : 0;
	if (from)
		run_counted(from, true);
	else
		load(counted);
	printf("what the interpreter executes before instruction %" PRIu64 ":\n", bad);
	while (m->cpu->instructions < bad && !over(m)) {
		u32 linear = (m->cpu->seg[SEG_CS].base + m->cpu->rip) & (RAM_SIZE - 1);
		disassemble(m->cpu->rip, m->ram->hva + linear);
		m->engine->run(m->cpu, 1);
	}
	run_counted(bad, true);
	printf("then: %s\n", difference);
}

static bool one(u64 seed, unsigned mode, bool freely, bool verbose)
{
	program_make(&program, seed, &modes[mode], freely ? 1000 : length);
	struct machine *m = freely ? &uncounted[0] : &counted[0];
	u64 faults = m->cpu->statistics[STAT_FAULTS], writes = m->cpu->statistics[STAT_SMC];
	bool good = freely ? run_free() : run_counted(length, false);
	if (verbose)
		printf("%s %" PRIu64 "%s: %" PRIu64 " instructions, %" PRIu64 " faults, %" PRIu64 " writes to code, rip %" PRIx64 "%s\n",
		       modes[mode].name, seed,
		       freely ? " free" : "", m->cpu->instructions, m->cpu->statistics[STAT_FAULTS] - faults,
		       m->cpu->statistics[STAT_SMC] - writes, m->cpu->rip,
		       m->cpu->activity == CPU_SHUTDOWN ? ", shut down" : "");
	stat_instructions[mode] += m->cpu->instructions;
	stat_faults[mode] += m->cpu->statistics[STAT_FAULTS] - faults;
	stat_programs[mode]++;
	stat_ended[mode] += m->ended;
	if (good)
		return true;
	if (plant)
		return false;
	printf("a difference; again with: --mode %s --seed %" PRIu64 "%s --one\n%s\n", modes[mode].name, seed, freely ? " --free" : "",
	       difference);
	if (!freely)
		narrow();
	fflush(stdout);
	return false;
}

/* The planted error must be noticed in each mode, counting and not. */
static int catches(void)
{
	int missed = 0;

	plant = true;
	for (unsigned mode = 0; mode < mode_count; mode++)
		for (unsigned freely = 0; freely < 2; freely++) {
			u64 seed = 1;
			while (seed < 20 && one(seed, mode, freely, false))
				seed++;
			if (seed == 20) {
				printf("%s: a planted error was not found\n", modes[mode].name);
				missed++;
			}
		}
	return missed != 0;
}

int main(int argc, char **argv)
{
	u64 count = 1500000, seed = 1, done = 0;
	bool only_free = false, single = false, verbose = false, catching = false, good = true;
	unsigned only = ~0u, failures = 0;

	jit_options.warm = 1;
	for (int i = 1; i < argc; i++) {
		if (!strcmp(argv[i], "--count") && i + 1 < argc)
			count = strtoull(argv[++i], NULL, 0);
		else if (!strcmp(argv[i], "--seed") && i + 1 < argc)
			seed = strtoull(argv[++i], NULL, 0);
		else if (!strcmp(argv[i], "--length") && i + 1 < argc)
			length = strtoull(argv[++i], NULL, 0);
		else if (!strcmp(argv[i], "--cache") && i + 1 < argc)
			jit_options.cache = strtoull(argv[++i], NULL, 0);
		else if (!strcmp(argv[i], "--jit") && i + 1 < argc) {
			struct err err = {0};
			if (!jit_configure(argv[++i], &err)) {
				fprintf(stderr, "%s\n", err.text);
				return 2;
			}
		} else if (!strcmp(argv[i], "--mode") && i + 1 < argc) {
			for (unsigned m = 0; m < mode_count; m++)
				if (!strcmp(modes[m].name, argv[i + 1]))
					only = m;
			i++;
		} else if (!strcmp(argv[i], "--free"))
			only_free = true;
		else if (!strcmp(argv[i], "--one"))
			single = true;
		else if (!strcmp(argv[i], "--catches"))
			catching = true;
		else if (!strcmp(argv[i], "-v"))
			verbose = true;
		else {
			fprintf(stderr, "%s: unknown: %s\n", argv[0], argv[i]);
			return 2;
		}
	}
	for (unsigned i = 0; i < 2; i++)
		if (!machine_new(&counted[i], i ? &jit_engine : &interp_engine, true) ||
		    !machine_new(&uncounted[i], i ? &jit_engine : &interp_engine, false))
			return 2;
	if (catching)
		return catches();
	for (; done < count && failures < 10; seed++)
		for (unsigned mode = 0; mode < mode_count && failures < 10; mode++) {
			if (only != ~0u && mode != only)
				continue;
			bool freely = only_free || (!single && seed % 4 == 0);
			good = one(seed, mode, freely, verbose);
			done += (freely ? &uncounted[0] : &counted[0])->cpu->instructions;
			failures += !good;
			if (single)
				count = 0;
		}
	for (unsigned mode = 0; mode < mode_count; mode++)
		if (stat_programs[mode])
			printf("%-14s %9" PRIu64 " instructions, %7" PRIu64 " faults in %" PRIu64 " programs, %" PRIu64 " of them to the end\n",
			       modes[mode].name, stat_instructions[mode], stat_faults[mode], stat_programs[mode], stat_ended[mode]);
	printf("%" PRIu64 " instructions, %u differences\n", done, failures);
	if (verbose)
		jit_engine.print(counted[1].cpu, stdout);
	for (unsigned i = 0; i < 2; i++) {
		machine_free(&counted[i]);
		machine_free(&uncounted[i]);
	}
	return failures != 0;
}
