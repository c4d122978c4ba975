/* SPDX-License-Identifier: MIT */
/* Fuzzer: any code in every mode, on the translator and on the interpreter; both must end alike, in registers, flags, x87, SSE and
 * memory. Each block is translated at its first execution.
 *
 *   --variant=same   (the default)
 *   --variant=race   another thread writes data and code meanwhile: only that the process goes on is asked
 *   --variant=smp    two CPUs run the code on the same memory, each on a thread: the same
 *
 * What a difference is about is found by running the input again, one instruction at a time on both. Flags that the manual leaves
 * undefined are compared: the interpreter follows the host's flavour. */
#include <Zydis/Zydis.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

#include "cpu/access.h"
#include "cpu/decode.h"
#include "cpu/flags.h"
#include "cpu/quiet.h"
#include "jit/jit.h"
#include "mem/dirty.h"
#include "tests/fuzz/jit_fuzz.h"

#define BUDGET 300

int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerTestOneInput(const u8 *data, size_t size);
size_t LLVMFuzzerCustomMutator(u8 *data, size_t size, size_t max, unsigned seed);

static enum variant { VARIANT_SAME, VARIANT_RACE, VARIANT_SMP } variant;
static struct jit_machine reference, translated, single, raced;
static u8 image[RAM_SIZE];

/* ---- comparison ---- */

static struct cpu state[2];

static void state_of(struct cpu *cpu, struct cpu *copy, bool counted)
{
	cpu_state_sync(cpu);
	memcpy(copy, cpu, CPU_STATE_SIZE);
	copy->rflags = flags_get(cpu);
	copy->gpr[GPR_PAGE] = 0; /* derived */
	if (!counted)
		copy->instructions = 0;
}

static bool same(struct jit_machine *a, struct jit_machine *b, bool counted)
{
	state_of(a->cpu[0], &state[0], counted);
	state_of(b->cpu[0], &state[1], counted);
	return !memcmp(&state[0], &state[1], CPU_STATE_SIZE) && !memcmp(a->ram->hva, b->ram->hva, RAM_SIZE);
}

static void print_difference(const struct jit_machine *a, const struct jit_machine *b)
{
	for (const struct field *f = cpu_fields; f->name; f++)
		for (u32 i = 0; i < f->count; i++) {
			struct field one[2] = {*f, FIELD_END};
			char text[200];
			one[0].count = 1;
			one[0].offset = f->offset + i * f->size;
			if (field_differ(one, &state[0], &state[1], text, sizeof text))
				fprintf(stderr, "  [%u] %s\n", i, text);
		}
	for (unsigned at = 0, n = 0; at < RAM_SIZE && n < 20; at++)
		if (a->ram->hva[at] != b->ram->hva[at]) {
			fprintf(stderr, "  memory %#x: %02x != %02x\n", at, a->ram->hva[at], b->ram->hva[at]);
			n++;
		}
}

/* ---- one instruction at a time ---- */

struct next {
	bool known;
	u8 bytes[15];
	ZydisDecodedInstruction z;
	ZydisDecodedOperand op[ZYDIS_MAX_OPERAND_COUNT];
};

static void look(struct jit_machine *m, struct next *next)
{
	struct cpu *cpu = m->cpu[0];
	u64 linear = cpu->code_mode == CODE64 ? cpu->rip : (u32)(cpu->seg[SEG_CS].base + cpu->rip), gpa;

	*next = (struct next){0};
	for (unsigned i = 0; i < sizeof next->bytes; i++)
		if (paging_probe(cpu, linear + i, &gpa) && gpa < RAM_SIZE)
			next->bytes[i] = m->ram->hva[gpa];
	next->known = ZYAN_SUCCESS(ZydisDecoderDecodeFull(decode_zydis(cpu, cpu->code_mode), next->bytes, 15, &next->z, next->op));
}

static _Noreturn void found(const struct jit_input *input, const char *what)
{
	fprintf(stderr, "%s: mode %s flags %#x entry %u seed %#x\n", what, jit_mode_names[input->mode], input->flags, input->entry,
	        input->seed);
	abort();
}

static void print_instruction(struct jit_machine *m, const struct next *next, u64 rip)
{
	char text[96];
	unsigned len = next->known ? next->z.length : 15;

	insn_text(text, sizeof text, next->bytes, len, m->cpu[0]->code_mode, rip);
	fprintf(stderr, "%016" PRIx64 " ", rip);
	for (unsigned i = 0; i < len; i++)
		fprintf(stderr, " %02x", next->bytes[i]);
	fprintf(stderr, "  %s\n", text);
}

/* Returns if there is no difference. */
static void step_both(const struct jit_input *input, bool trace)
{
	jit_machine_restore(&reference, image);
	jit_machine_restore(&single, image);
	jit_machine_start(&reference, 0, input);
	jit_machine_start(&single, 0, input);
	for (unsigned i = 0; i < BUDGET && reference.cpu[0]->activity == CPU_RUNNING; i++) {
		struct next next;
		u64 rip = reference.cpu[0]->rip;
		look(&reference, &next);
		if (trace)
			print_instruction(&reference, &next, rip);
		interp_engine.run(reference.cpu[0], 1);
		jit_engine.run(single.cpu[0], 1);
		if (same(&reference, &single, true))
			continue;
		fprintf(stderr, "a difference (interpreter != translator) after %u instructions, at\n", i);
		print_instruction(&reference, &next, rip);
		print_difference(&reference, &single);
		found(input, "one instruction differs");
	}
}

/* ---- the same on both ---- */

static enum engine_stop run(struct jit_machine *m, const struct jit_input *input, u64 budget)
{
	jit_machine_restore(m, image);
	jit_machine_start(m, 0, input);
	return m->engine->run(m->cpu[0], budget);
}

static void compare(const struct jit_input *input)
{
	enum engine_stop stop = run(&reference, input, BUDGET);
	bool counted = stop == ENGINE_BUDGET || !(input->flags & INPUT_FREE);

	run(&translated, input, counted ? BUDGET : 0);
	if (same(&reference, &translated, counted))
		return;
	step_both(input, false);
	/* it takes several at once */
	run(&reference, input, BUDGET);
	run(&translated, input, counted ? BUDGET : 0);
	if (same(&reference, &translated, counted))
		found(input, "a difference that does not come again");
	print_difference(&reference, &translated);
	step_both(input, true);
	found(input, counted ? "a translation differs" : "a translation differs that does not count");
}

/* ---- code that comes far ---- */

#define PATCHES 12

/* The input as far as its first fault, whose instruction becomes NOPs. False: there is none, or it cannot be helped. */
static bool patch_fault(const struct jit_input *input, u8 *code, size_t size)
{
	struct cpu *cpu = reference.cpu[0];
	const u32 first = AT_CODE + jit_machine_entry(input);

	jit_machine_image(image, input, code, size);
	jit_machine_restore(&reference, image);
	jit_machine_start(&reference, 0, input);
	for (unsigned i = 0; i < BUDGET && cpu->activity == CPU_RUNNING; i++) {
		struct next next;
		u64 at = (cpu->code_mode == CODE64 ? cpu->rip : (u32)(cpu->seg[SEG_CS].base + cpu->rip)) - first;
		u64 faults = cpu->statistics[STAT_FAULTS];
		look(&reference, &next);
		interp_engine.run(cpu, 1);
		if (cpu->statistics[STAT_FAULTS] == faults)
			continue;
		if (at >= size)
			return false;
		memset(code + at, 0x90, MIN(size - at, next.known ? next.z.length : 1u));
		return true;
	}
	return false;
}

static void patch_faults(u8 *data, size_t size)
{
	struct jit_input input;

	if (size < sizeof input + 1 || size > sizeof input + JIT_INPUT_CODE)
		return;
	memcpy(&input, data, sizeof input);
	input.mode %= JIT_MODES;
	for (unsigned i = 0; i < PATCHES; i++)
		if (!patch_fault(&input, data + sizeof input, size - sizeof input))
			break;
}

/* ---- somebody else writes ---- */

static struct worker {
	pthread_t thread;
	pthread_mutex_t lock;
	pthread_cond_t changed;
	struct jit_input input;
	bool work;
} worker = {.lock = PTHREAD_MUTEX_INITIALIZER, .changed = PTHREAD_COND_INITIALIZER};
static atomic_bool enough;

static void scribble(const struct jit_input *input)
{
	struct chance r = {input->seed ^ 0xf00d};

	while (!atomic_load_explicit(&enough, memory_order_relaxed)) {
		u64 v = chance_next(&r);
		u32 at = v & 1 ? AT_CODE + (v >> 8) % (JIT_INPUT_CODE + 16) : AT_DATA + (v >> 8) % (AT_STACK + PAGE_SIZE - AT_DATA);
		if (v & 1) {
			at += input->entry * 8;
			u8 byte = v >> 40;
			bus_dma_write(&raced.bus, at & (RAM_SIZE - 1), &byte, 1);
		} else {
			__atomic_fetch_xor(raced.ram->hva + at, 1u << (v >> 40) % 8, __ATOMIC_RELAXED);
		}
		if (v & 2)
			__atomic_fetch_xor((u32 *)(raced.ram->hva + AT_DATA) + (v >> 8) % (DATA_SIZE / 4), (u32)(v >> 32), __ATOMIC_RELAXED);
	}
}

static void *work(void *unused)
{
	(void)unused;
	for (;;) {
		pthread_mutex_lock(&worker.lock);
		while (!worker.work)
			pthread_cond_wait(&worker.changed, &worker.lock);
		struct jit_input input = worker.input;
		pthread_mutex_unlock(&worker.lock);
		if (variant == VARIANT_SMP) {
			quiet_adopt(raced.cpu[1]);
			quiet_enter(raced.cpu[1], true);
			jit_machine_start(&raced, 1, &input);
			raced.engine->run(raced.cpu[1], BUDGET);
			quiet_leave(raced.cpu[1]);
		} else {
			scribble(&input);
		}
		pthread_mutex_lock(&worker.lock);
		worker.work = false;
		pthread_cond_broadcast(&worker.changed);
		pthread_mutex_unlock(&worker.lock);
	}
	return NULL;
}

static void survive(const struct jit_input *input)
{
	struct cpu *cpu = raced.cpu[0];

	raced.engine = input->spare & 1 ? &interp_engine : &jit_engine;
	jit_machine_restore(&raced, image);
	atomic_store(&enough, false);
	pthread_mutex_lock(&worker.lock);
	worker.input = *input;
	worker.work = true;
	pthread_cond_broadcast(&worker.changed);
	pthread_mutex_unlock(&worker.lock);
	quiet_adopt(cpu);
	quiet_enter(cpu, true);
	for (unsigned i = 0; i < (variant == VARIANT_SMP ? 1 : 8); i++) {
		jit_machine_start(&raced, 0, input);
		raced.engine->run(cpu, BUDGET);
	}
	quiet_leave(cpu);
	atomic_store(&enough, true);
	pthread_mutex_lock(&worker.lock);
	while (worker.work)
		pthread_cond_wait(&worker.changed, &worker.lock);
	pthread_mutex_unlock(&worker.lock);
}

/* ---- the target ---- */

static void set_up(void)
{
	struct err err = {0};
	static bool done;

	if (done)
		return;
	done = true;
	if (!jit_configure("warm=1,cache=4M,verify", &err))
		bug("%s", err.text);
	if (variant == VARIANT_SAME) {
		jit_machine_new(&reference, &interp_engine, 1);
		jit_machine_new(&translated, &jit_engine, 1);
		jit_machine_new(&single, &jit_engine, 1);
		jit_options.block = 1; /* kept by a CPU that has run */
		const struct jit_input nothing = {.mode = MODE_LONG};
		jit_machine_image(image, &nothing, (const u8 *)"\xf4", 1);
		run(&single, &nothing, 1);
		jit_options.block = 64;
	} else {
		jit_machine_new(&raced, &jit_engine, variant == VARIANT_SMP ? 2 : 1);
		if (pthread_create(&worker.thread, NULL, work, NULL))
			bug("no thread");
	}
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	for (int i = 1; i < *argc; i++)
		variant = !strcmp((*argv)[i], "--variant=race")  ? VARIANT_RACE
		          : !strcmp((*argv)[i], "--variant=smp") ? VARIANT_SMP
		                                                 : variant;
	return 0;
}

size_t LLVMFuzzerCustomMutator(u8 *data, size_t size, size_t max, unsigned seed)
{
	size = jit_code_mutate(data, size, max, seed);
	set_up();
	if (variant == VARIANT_SAME && seed / 4 % 4)
		patch_faults(data, size);
	return size;
}

int LLVMFuzzerTestOneInput(const u8 *data, size_t size)
{
	struct jit_input input;

	if (size < sizeof input + 1 || size > sizeof input + JIT_INPUT_CODE)
		return 0;
	set_up();
	memcpy(&input, data, sizeof input);
	input.mode %= JIT_MODES;
	jit_machine_image(image, &input, data + sizeof input, size - sizeof input);
	if (variant == VARIANT_SAME)
		compare(&input);
	else
		survive(&input);
	return 0;
}
