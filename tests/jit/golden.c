/* SPDX-License-Identifier: MIT */
/* How many host instructions and bytes translations of common guest code take: forms.S, compared with golden.txt line by line, so
 * that the translator cannot get worse unseen. Nor better: whoever makes it better writes the file anew (--update) and commits it.
 * What is counted lies in the way of execution when nothing is missed: from the entry with saved flags on, the jump at the end
 * included, slow paths not. It does not depend on the host: every feature of its CPU is taken to be there, and the flavour is
 * Intel's.
 * usage: test-golden FILE [--update] */
#include <setjmp.h>
#include <stdlib.h>

#include <Zydis/Zydis.h>

#include "base/err.h"
#include "cpu/code.h"
#include "cpu/engine.h"
#include "cpu/model.h"
#include "jit/jit.h"
#include "jit/private.h"
#include "jit/x64/hostcpu.h"

#define RAM_SIZE (4u << 20)
#define AT_TABLES 0x1000
#define AT_CODE 0x10000
#define ROOM 0x100      /* for the code of one form */
#define SHOWN_RIP 0x1000
#define LINE 400

extern const u8 golden_forms[], golden_forms32[];

struct machine {
	struct bus bus;
	struct ram *ram;
	struct region region;
	struct clock *clock;
	struct cpu_model model;
	struct cpu *cpu;
};

static bool machine_new(struct machine *m, struct err *err)
{
	m->clock = clock_new();
	m->ram = ram_new("ram", RAM_SIZE, false, false, err);
	if (!m->ram || !model_parse(&m->model, "max,flavour=intel", err))
		return false;
	bus_init(&m->bus, NULL);
	m->region = (struct region){.name = "ram", .size = RAM_SIZE, .ram = m->ram};
	bus_map(&m->bus, &m->region, 0, 0);
	m->cpu = cpu_new(&m->model, &m->bus, m->clock, 0, 1);
	return true;
}

/* Privilege level 0, everything flat; the first GiB is mapped where it is. */
static void set_state(struct machine *m, bool wide, u64 rip)
{
	struct cpu *cpu = m->cpu;
	u64 *table = (u64 *)(m->ram->hva + AT_TABLES);

	cpu_reset(cpu, false);
	table[0] = (AT_TABLES + PAGE_SIZE) | 7;
	table[512] = 0xe7; /* a page of 1 GiB */
	for (unsigned i = 0; i < SEG_COUNT; i++)
		cpu->seg[i] = (struct seg){.selector = i == SEG_CS ? 8 : 16, .limit = 0xffffffff,
		                           .attr = SEG_P | SEG_S | SEG_RW | SEG_ACCESSED | SEG_DB | SEG_G};
	cpu->seg[SEG_CS].attr = SEG_P | SEG_S | SEG_CODE | SEG_RW | SEG_ACCESSED | SEG_G | (wide ? SEG_L : SEG_DB);
	cpu->cr0 = CR0_PE | CR0_PG | CR0_MP | CR0_NE | CR0_ET;
	cpu->cr4 = CR4_PAE | CR4_OSFXSR | CR4_OSXMMEXCPT | CR4_OSXSAVE | CR4_FSGSBASE;
	cpu->efer = EFER_LME | EFER_LMA | EFER_SCE | EFER_NXE;
	cpu->cr3 = AT_TABLES;
	cpu->rip = rip;
	cpu_state_changed(cpu);
}

struct measured {
	unsigned guest, host, bytes;
	bool interpreter; /* one of the instructions is run by it */
};

static void decoder_init(ZydisDecoder *decoder, bool wide)
{
	ZydisDecoderInit(decoder, wide ? ZYDIS_MACHINE_MODE_LONG_64 : ZYDIS_MACHINE_MODE_LONG_COMPAT_32,
	                 wide ? ZYDIS_STACK_WIDTH_64 : ZYDIS_STACK_WIDTH_32);
	ZydisDecoderEnableMode(decoder, ZYDIS_DECODER_MODE_LZCNT, true);
	ZydisDecoderEnableMode(decoder, ZYDIS_DECODER_MODE_TZCNT, true);
}

static unsigned count_guest(const u8 *code, unsigned len, bool wide, char *text, size_t size)
{
	ZydisDecodedOperand op[ZYDIS_MAX_OPERAND_COUNT];
	ZydisDecodedInstruction z;
	ZydisFormatter formatter;
	ZydisDecoder decoder;
	unsigned n = 0;

	decoder_init(&decoder, wide);
	ZydisFormatterInit(&formatter, ZYDIS_FORMATTER_STYLE_INTEL);
	ZydisFormatterSetProperty(&formatter, ZYDIS_FORMATTER_PROP_FORCE_SIZE, true);
	ZydisFormatterSetProperty(&formatter, ZYDIS_FORMATTER_PROP_ADDR_PADDING_ABSOLUTE, ZYDIS_PADDING_DISABLED);
	ZydisFormatterSetProperty(&formatter, ZYDIS_FORMATTER_PROP_DISP_PADDING, ZYDIS_PADDING_DISABLED);
	ZydisFormatterSetProperty(&formatter, ZYDIS_FORMATTER_PROP_IMM_PADDING, ZYDIS_PADDING_DISABLED);
	*text = 0;
	for (unsigned at = 0; at < len; at += z.length, n++) {
		size_t used = strlen(text);
		if (!ZYAN_SUCCESS(ZydisDecoderDecodeFull(&decoder, code + at, len - at, &z, op)))
			break;
		if (n)
			used += snprintf(text + used, size - used, "; ");
		ZydisFormatterFormatInstruction(&formatter, &z, op, z.operand_count_visible, text + used, size - used, SHOWN_RIP + at,
		                                NULL);
	}
	return n;
}

static void count_host(const struct jit *jit, const struct translation *t, struct measured *m)
{
	const u8 *p = t->entry_saved, *end = t->entry_eflags + t->bytes;
	ZydisDecoder decoder;

	m->bytes = end - p;
	decoder_init(&decoder, true);
	while (p < end) {
		ZydisDecodedInstruction z;
		if (!ZYAN_SUCCESS(ZydisDecoderDecodeInstruction(&decoder, NULL, p, end - p, &z)))
			break;
		if (z.mnemonic == ZYDIS_MNEMONIC_CALL && z.raw.imm[0].size && p + z.length + z.raw.imm[0].value.s == jit->stubs.one)
			m->interpreter = true;
		m->host++;
		p += z.length;
	}
}

static bool translate(struct machine *machine, u64 rip, struct measured *m)
{
	struct cpu *cpu = machine->cpu;
	struct block *first = NULL;

	/* the blocks of a trace are those that are known */
	for (unsigned left = m->guest; left;) {
		cpu->rip = rip;
		cpu->jit.block_max = left;
		struct block *block = code_find(cpu);
		if (!block->count || block->count > left)
			return false;
		left -= block->count;
		rip += block->bytes;
		first = first ? first : block;
	}
	struct translation *t = first ? translate_block(cpu, cpu->jit.state, first) : NULL;
	if (t)
		count_host(cpu->jit.state, t, m);
	return t;
}

/* False: it faults, or is not translated. */
static bool measure(struct machine *machine, u64 rip, struct measured *m)
{
	jmp_buf env;

	machine->cpu->fault_env = &env;
	return !setjmp(env) && translate(machine, rip, m);
}

static bool all_forms(struct machine *machine, bool wide, FILE *to)
{
	struct cpu *cpu = machine->cpu;
	u64 at = AT_CODE;

	set_state(machine, wide, at);
	machine->ram->hva[at] = 0xf4; /* HLT: there is a translator then */
	jit_engine.run(cpu, 0);
	if (!cpu->jit.state)
		return false;
	cpu->activity = CPU_RUNNING;
	fprintf(to, "# %s-bit code\n", wide ? "64" : "32");
	for (const u8 *f = wide ? golden_forms : golden_forms32; *f; f += 1 + *f) {
		struct measured m = {0};
		char text[LINE];
		at += ROOM;
		m.guest = count_guest(f + 1, *f, wide, text, sizeof text);
		memcpy(machine->ram->hva + at, f + 1, *f);
		if (measure(machine, at, &m))
			fprintf(to, "%3u %4u  %s%s\n", m.host, m.bytes, text, m.interpreter ? "  (interpreted)" : "");
		else
			fprintf(to, "  -    -  %s\n", text);
	}
	return true;
}

static unsigned compare(char *now, const char *name)
{
	FILE *file = fopen(name, "r");
	char line[LINE + 40], *next = now;
	unsigned differences = 0;

	if (!file) {
		fprintf(stderr, "%s: cannot be read\n", name);
		return 1;
	}
	while (true) {
		bool was = fgets(line, sizeof line, file) != NULL;
		char *is = strsep(&next, "\n");
		if (is && !*is && !next)
			is = NULL;
		if (!was && !is)
			break;
		line[was ? strcspn(line, "\n") : 0] = 0;
		if (!is || strcmp(line, is)) {
			printf("was: %s\nis:  %s\n", line, is ? is : "");
			differences++;
		}
	}
	fclose(file);
	return differences;
}

int main(int argc, char **argv)
{
	struct machine machine = {0};
	struct err err = {0};
	char *text = NULL;
	size_t size = 0;

	if (argc < 2)
		return 2;
	if (!machine_new(&machine, &err)) {
		fprintf(stderr, "%s\n", err.text);
		return 1;
	}
	hostcpu_assume_all();
	jit_options.warm = 1;
	FILE *to = open_memstream(&text, &size);
	fprintf(to, "# host instructions, bytes: guest code. Written by: test-golden FILE --update\n");
	bool ok = all_forms(&machine, true, to) && all_forms(&machine, false, to);
	fclose(to);
	if (ok && argc > 2 && !strcmp(argv[2], "--update")) {
		FILE *file = fopen(argv[1], "w");
		ok = file && fputs(text, file) >= 0;
		if (file && fclose(file))
			ok = false;
	} else if (ok) {
		unsigned differences = compare(text, argv[1]);
		ok = !differences;
		if (!ok)
			printf("%u lines of %s have changed. If they are better: %s %s --update\n", differences, argv[1], argv[0], argv[1]);
	}
	free(text);
	cpu_free(machine.cpu);
	bus_free(&machine.bus);
	ram_free(machine.ram);
	clock_free(machine.clock);
	return ok ? 0 : 1;
}
