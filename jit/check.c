/* SPDX-License-Identifier: MIT */
/* -jit check: whatever a translation does, the interpreter has done before, from the same state, and the two are compared.
 *
 * The interpreter goes first, one instruction of the translation after the other, while what it stores is noted (cpu/journal.h);
 * then everything is put back and the translation runs. It may end before its last instruction, where a window does not open or
 * something is to be attended to: then the interpreter does it again, up to there. A difference is reported only if it is there
 * each of TRIES times (a device may have changed memory between), and the guest goes on as the interpreter says.
 *
 * NOT COMPARED: runs that touch a device, store to a page that code was taken from, or set a bit of a page table; translations
 * that contain an instruction whose effect is not the same twice, or not in struct cpu alone; stores to where the
 * interpreter stores nothing. Flags that the manual leaves undefined are compared: the interpreter follows the host's flavour.
 * Links, guards and look-ups of targets are switched off: each run is one of one translation. CPUs on threads of their own are not
 * compared at all, as what is put back may have been seen by others. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "cpu/access.h"
#include "cpu/flags.h"
#include "cpu/journal.h"
#include "cpu/mode.h"
#include "cpu/quiet.h"
#include "jit/jit.h"
#include "jit/x64/x64.h"

#define M(name) ZYDIS_MNEMONIC_##name
#define KEPT offsetof(struct cpu, fetch_version) /* of struct cpu: state, and what follows from it */
#define TRIES 3
#define REPORTS_MAX 20

struct image { /* how a run ended */
	struct cpu cpu; /* as far as KEPT goes */
	struct tlb *tlb, *fetch_tlb;
	const struct insn *cur;
	struct cpu_fault fault;
	bool faulted;
};

struct check {
	struct cpu_journal journal, shorter;
	struct image start, expected, got;
	/* what the interpreter and the translation left where the interpreter stored when it ran to the end */
	u8 wanted[JOURNAL_BYTES], found[JOURNAL_BYTES];
	unsigned steps; /* instructions of the expected run */
	u64 compared, device, code, table, apart, large, again, differences;
};

bool check_apart(const ZydisDecodedInstruction *z, const ZydisDecodedOperand *op)
{
	switch (z->mnemonic) {
	case M(IN): case M(INSB): case M(INSW): case M(INSD): case M(OUT): case M(OUTSB): case M(OUTSW): case M(OUTSD):
	case M(RDTSC): case M(RDTSCP): case M(RDPMC): case M(RDRAND): case M(RDSEED): case M(RDMSR): case M(WRMSR):
	case M(HLT): case M(MWAIT): case M(RSM): case M(VMCALL): case M(VMMCALL): case M(LMSW): case M(CLTS):
	case M(INVLPG): case M(INVPCID):
		return true;
	case M(MOV):
		for (unsigned i = 0; i < 2; i++)
			if (op[i].type == ZYDIS_OPERAND_TYPE_REGISTER &&
			    (ZydisRegisterGetClass(op[i].reg.value) == ZYDIS_REGCLASS_CONTROL ||
			     ZydisRegisterGetClass(op[i].reg.value) == ZYDIS_REGCLASS_DEBUG))
				return true;
		return false;
	default:
		return false;
	}
}

static void save(struct cpu *cpu, struct image *image)
{
	flags_sync(cpu);
	memcpy(&image->cpu, cpu, KEPT);
	image->tlb = cpu->tlb;
	image->fetch_tlb = cpu->fetch_tlb;
	image->fault = cpu->fault;
	image->cur = cpu->cur;
}

static void restore(struct cpu *cpu, const struct image *image)
{
	const size_t from = offsetof(struct cpu, cr0), to = offsetof(struct cpu, xcr0);
	bool other = memcmp((char *)cpu + from, (const char *)&image->cpu + from, to - from) != 0;

	memcpy(cpu, &image->cpu, KEPT);
	cpu->tlb = image->tlb;
	cpu->fetch_tlb = image->fetch_tlb;
	cpu->fault = image->fault;
	cpu->cur = NULL;
	if (unlikely(other)) /* a task switch */
		tlb_flush_all(cpu);
}

/* A REP would end early for it, in the one run and not in the other. */
static void set_kick_aside(struct cpu *cpu)
{
	cpu->jit.due |= atomic_exchange(&cpu->kick, 0) != 0;
}

/* The interpreter runs `limit` instructions of the translation at most from the start; then everything is as it was. False: it
 * cannot be compared. */
static bool reference(struct cpu *cpu, struct check *k, const struct translation *t, struct cpu_journal *journal, unsigned limit)
{
	struct jit *jit = cpu->jit.state;
	jmp_buf env, *outer = cpu->fault_env;
	volatile unsigned done = 0;
	volatile bool faulted = false;

	set_kick_aside(cpu);
	int reason = setjmp(journal->end);

	if (reason) {
		k->device += reason == JOURNAL_DEVICE;
		k->code += reason == JOURNAL_CODE;
		k->table += reason == JOURNAL_TABLE;
		k->large += reason == JOURNAL_FULL;
	} else {
		journal_begin(cpu, journal);
		cpu->fault_env = &env;
		if (setjmp(env))
			faulted = true;
		while (!faulted && done < limit) {
			const struct single *s = &t->single[done];
			cpu->shadow = SHADOW_NONE;
			cpu->block = jit->scratch;
			const struct insn *in = s->insn.exec(cpu, stubs_alone(jit, s));
#ifndef INSN_THREADED
			if (in)
				in->exec(cpu, in);
#else
			(void)in;
#endif
			done++;
			if (done < t->singles && cpu->rip != insn_rip(cpu, &t->single[done].insn))
				break;
		}
		save(cpu, &k->expected);
		k->expected.faulted = faulted;
		k->steps = done;
		journal_look(&k->journal, k->wanted);
	}
	cpu->fault_env = outer;
	journal_end(cpu);
	journal_undo(journal);
	restore(cpu, &k->start);
	set_kick_aside(cpu);
	return !reason;
}

/* A loop is left when it comes to its beginning again. */
static struct exit_record *run_once(struct cpu *cpu, void *entry)
{
	cpu->jit.rounds = 1;
	return engine_enter(cpu, entry);
}

static struct exit_record *translated(struct cpu *cpu, struct check *k, void *entry)
{
	jmp_buf env, *outer = cpu->fault_env;
	struct exit_record *volatile exit = NULL;

	cpu->fault_env = &env;
	k->got.faulted = false;
	if (setjmp(env)) {
		k->got.faulted = true;
		if (cpu->jit.x87)
			fpu_store(cpu);
	} else {
		exit = run_once(cpu, entry);
	}
	cpu->fault_env = outer;
	save(cpu, &k->got);
	journal_look(&k->journal, k->found);
	return exit;
}

/* Is the end as expected? What need not be equal is made so. */
static bool agrees(struct check *k, bool counting)
{
	struct cpu *a = &k->expected.cpu, *b = &k->got.cpu;

	a->gpr[GPR_PAGE] = b->gpr[GPR_PAGE];
	if (k->got.faulted) /* what counts is the fault's */
		a->rip = b->rip;
	/* counted by blocks, and corrected where a fault is delivered */
	a->instructions = !counting || k->got.faulted ? b->instructions : k->start.cpu.instructions + k->steps;
	return !memcmp(a, b, CPU_STATE_SIZE) && k->expected.faulted == k->got.faulted &&
	       (!k->got.faulted || (k->expected.fault.vector == k->got.fault.vector && k->expected.fault.code == k->got.fault.code &&
	                            k->expected.fault.rip == k->got.fault.rip && k->expected.fault.cr2 == k->got.fault.cr2)) &&
	       !memcmp(k->wanted, k->found, k->journal.bytes);
}

/* Before which of those instructions that the interpreter began did the translation end? The number of all: before none. */
static unsigned ended_before(const struct check *k, const struct translation *t)
{
	unsigned n = 0, begun = k->steps + k->expected.faulted;

	while (n < begun && insn_rip(&k->got.cpu, &t->single[n].insn) != k->got.cpu.rip)
		n++;
	return n;
}

/* ---- what is told ---- */

static void print_field(FILE *to, const struct field *f, const struct check *k)
{
	char text[200], name[40];

	for (u32 i = 0; i < f->count; i++) {
		struct field one[2] = {*f, FIELD_END};
		snprintf(name, sizeof name, f->count > 1 ? "%s[%u]" : "%s", f->name, i);
		one[0].name = name;
		one[0].count = 1;
		one[0].offset = f->offset + i * f->size;
		if (field_differ(one, &k->expected.cpu, &k->got.cpu, text, sizeof text))
			fprintf(to, "  %s\n", text);
	}
}

static void print_memory(FILE *to, const struct check *k)
{
	for (u32 i = 0; i < k->journal.count; i++) {
		const u8 *hva = k->journal.entry[i].hva, *a = k->wanted + k->journal.entry[i].at, *b = k->found + k->journal.entry[i].at;
		const struct ram *ram = ram_find(hva);
		for (u32 n = 0; n < k->journal.entry[i].len; n++)
			if (a[n] != b[n])
				fprintf(to, "  memory %s+%tx: %02x != %02x\n", ram ? ram->name : "?", hva + n - (ram ? ram->hva : hva), a[n], b[n]);
	}
}

static void print_code(FILE *to, const struct check *k, const struct translation *t)
{
	for (unsigned i = 0; i < t->singles; i++) {
		const struct insn *in = &t->single[i].insn;
		unsigned len = in->len;
		const u8 *bytes = translation_code(t, i);
		u64 rip = insn_rip(&k->start.cpu, in);
		char text[96];
		insn_text(text, sizeof text, bytes, len, k->start.cpu.code_mode, rip);
		fprintf(to, "  %016" PRIx64 " ", rip);
		for (unsigned n = 0; n < len; n++)
			fprintf(to, " %02x", bytes[n]);
		fprintf(to, "%*s %s\n", (int)(3 * (10 - MIN(len, 10u))), "", text);
	}
}

static void report(struct cpu *cpu, struct check *k, const struct translation *t)
{
	FILE *to = cpu->log.file ? cpu->log.file : stderr;

	if (++k->differences > REPORTS_MAX)
		return;
	fprintf(to, "jit check: a difference (interpreter != translation) after %u instructions of\n", k->steps);
	if (t->block)
		print_code(to, k, t);
	for (const struct field *f = cpu_fields; f->name; f++)
		print_field(to, f, k);
	if (k->expected.faulted || k->got.faulted)
		fprintf(to, "  fault: %d %#x %" PRIx64 " != %d %#x %" PRIx64 "\n", k->expected.faulted ? k->expected.fault.vector : -1,
		        k->expected.fault.code, k->expected.fault.cr2, k->got.faulted ? k->got.fault.vector : -1, k->got.fault.code,
		        k->got.fault.cr2);
	print_memory(to, k);
	if (k->differences == REPORTS_MAX)
		fprintf(to, "jit check: more differences are only counted, see info jit\n");
	fflush(to);
}

void check_print(const struct check *k, FILE *to)
{
	const struct {
		const char *name;
		u64 value;
	} lines[] = {
		{"checked runs", k->compared},
		{"not: a device", k->device},
		{"not: code is written", k->code},
		{"not: page table bits", k->table},
		{"not: effects elsewhere", k->apart},
		{"not: too much stored", k->large},
		{"checked again", k->again},
		{"differences", k->differences},
	};
	for (unsigned i = 0; i < ARRAY_LEN(lines); i++)
		fprintf(to, "%-22s %" PRIu64 "\n", lines[i].name, lines[i].value);
}

/* ---- one run ---- */

/* The guest goes on as the interpreter says. */
static void correct(struct cpu *cpu, struct check *k)
{
	journal_put(&k->journal, k->wanted);
	k->expected.tlb = cpu->tlb;
	k->expected.fetch_tlb = cpu->fetch_tlb;
	restore(cpu, &k->expected);
	k->got.faulted = k->expected.faulted;
	k->got.cur = NULL;
	mode_update(cpu);
}

/* False: nothing was run. *exit: by which it was left. */
static bool compare(struct cpu *cpu, struct check *k, const struct translation *t, struct exit_record **exit)
{
	struct jit *jit = cpu->jit.state;
	void *entry = t->block->entry;

	save(cpu, &k->start);
	for (unsigned i = 0; i < TRIES; i++) {
		k->again += i > 0;
		if (!reference(cpu, k, t, &k->journal, t->singles))
			return false;
		*exit = translated(cpu, k, entry);
		if (likely(agrees(k, jit->counting)))
			return true;
		unsigned n = ended_before(k, t);
		journal_undo(&k->journal);
		restore(cpu, &k->start);
		if (n < k->steps + k->expected.faulted) {
			if (!reference(cpu, k, t, &k->shorter, n))
				return false;
			if (agrees(k, jit->counting)) {
				journal_put(&k->journal, k->found);
				restore(cpu, &k->got);
				return true;
			}
		}
	}
	if (!reference(cpu, k, t, &k->journal, t->singles))
		return false;
	agrees(k, jit->counting);
	report(cpu, k, t);
	correct(cpu, k);
	*exit = NULL;
	return true;
}

struct exit_record *check_enter(struct cpu *cpu, struct translation *t)
{
	struct jit *jit = cpu->jit.state;
	struct check *k = jit->check;
	struct exit_record *exit = NULL;

	if (!k)
		k = jit->check = err_alloc(sizeof *k);
	if (t->apart || cpu->watch || (cpu->count > 1 && !clock_counts(cpu->clock))) {
		k->apart++;
		return run_once(cpu, t->block->entry);
	}
	bool inside = quiet_lock(cpu); /* devices stay as they are */
	cpu->jit.checked = true;
	bool done = compare(cpu, k, t, &exit);
	cpu->jit.checked = false;
	quiet_unlock(cpu, inside);
	if (cpu->jit.due)
		atomic_store(&cpu->kick, 1);
	cpu->jit.due = false;
	if (!done)
		return run_once(cpu, t->block->entry);
	k->compared++;
	if (k->got.faulted) {
		cpu->cur = k->got.cur;
		longjmp(*cpu->fault_env, 1);
	}
	return exit;
}
