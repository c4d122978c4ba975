/* SPDX-License-Identifier: MIT */
/* The engine: the interpreter's loop, with a way into translated code for blocks that are warm. */
#include "jit/jit.h"

#include <stdlib.h>
#include <xmmintrin.h>

#include "cpu/exception.h"
#include "cpu/flags.h"
#include "cpu/interp.h"
#include "jit/private.h"
#include "jit/x64/hostcpu.h"

typedef struct exit_record *enter_fn(void *unused, void *entry);

static void release(struct cpu *cpu)
{
	code_flush(cpu);
	cache_free(cpu);
	free(cpu->jit.targets);
	cpu->jit.killed = NULL;
}

/* It costs addresses; memory comes as it is filled. */
static void reserve(struct cpu *cpu)
{
	struct err err = {0};

	if (cpu->jit.tried)
		return;
	cpu->jit.tried = true;
	if (!(cpu->jit.state = cache_new(&err)))
		return;
	dump_open(cpu, cpu->jit.state);
	cpu->jit.free = release;
}

static bool prepare(struct cpu *cpu, bool counting)
{
	reserve(cpu);
	if (!cpu->jit.state)
		return false;
	if (!cpu->jit.self) {
		cpu->jit.self = cpu;
		cpu->jit.targets = err_alloc(sizeof *cpu->jit.targets << TARGET_BITS);
		cpu->jit.block_max = jit_options.block;
		cpu->jit.killed = cache_killed;
		cpu->jit.host_mxcsr = _mm_getcsr();
		code_flush(cpu); /* blocks of before may be linked */
	}
	struct jit *jit = cpu->jit.state;
	if (jit->counting != counting)
		cache_flush(cpu);
	jit->counting = counting;
	hostcpu_set_gs(cpu);
	return true;
}

struct exit_record *engine_enter(struct cpu *cpu, void *entry)
{
	struct jit *jit = cpu->jit.state;
	enter_fn *go = (enter_fn *)emit_runs(&jit->emit, jit->stubs.enter);
	u64 flags = flags_get(cpu);

	cpu->jit.flags = (flags & 0xff) << 8 | ((flags & FLAG_OF) ? 1 : 0);
	cpu->jit.leave = 0;
	cache_space(cpu);
	jit->entered++;
	struct exit_record *exit = go(NULL, entry);
	jit->unbound += exit != NULL;
	cpu->rflags = (cpu->rflags & ~(u64)FLAGS_ARITH) | (cpu->jit.flags >> 8 & FLAGS_ARITH & 0xff) |
	              ((cpu->jit.flags & 1) ? FLAG_OF : 0);
	cpu->cc_op = CC_FLAGS;
	if (cpu->code_mode != CODE64) /* translated code does not cut it */
		cpu->rip = (u32)cpu->rip;
	return exit;
}

/* The block at CS:RIP, to which an exit may want to be bound. */
static struct block *find(struct cpu *cpu, const struct exit_record *exit)
{
	if (likely(!exit || !exit->plain))
		return interp_find(cpu);
	cpu->block_key = BLOCK_PLAIN;
	struct block *block = code_find(cpu); /* cannot fault: the instruction is being executed */
	cpu->block_key = cpu->code_mode;
	block->heat = jit_options.warm;
	return block;
}

static struct translation *warm(struct cpu *cpu, struct jit *jit, struct block *block)
{
	if (!block->page || block->alone || ++block->heat < jit_options.warm || jit->translations >= jit_options.limit ||
	    (cpu->code_mode != CODE64 && !jit_options.legacy))
		return NULL;
	struct translation *t = translate_block(cpu, jit, block);
	if (!t) {
		cache_advance(cpu);
		t = translate_block(cpu, jit, block);
	}
	return t;
}

/* A translation of 16- or 32-bit code takes segments for what they were when it was made; if they are something else it does
 * without, and is made again. False: it may not run here. */
static bool legacy_ready(struct cpu *cpu, struct block *block)
{
	struct translation *t = block->translation;

	if (cpu->code_mode == CODE64)
		return true;
	if (unlikely(!legacy_fits(cpu, t))) {
		if (cpu->seg_odd & t->assumes) {
			block->odd |= cpu->seg_odd;
			block->heat = 0;
			cache_drop(cpu, block);
		}
		return false;
	}
	cache_space(cpu);
	cache_target(cpu, block);
	return true;
}

static enum engine_stop jit_run(struct cpu *cpu, u64 budget)
{
	jmp_buf env, *outer = cpu->fault_env;
	struct exit_record *volatile exit = NULL;
	enum engine_stop result;

	if (!prepare(cpu, budget || clock_counts(cpu->clock)))
		return interp_engine.run(cpu, budget);
	struct jit *jit = cpu->jit.state;
	cpu->jit.running = true;
	fault_watch(cpu);
	cpu->stop_at = budget ? cpu->instructions + budget : ~0ull;
	cpu->fault_env = &env;
	if (setjmp(env)) {
		jit->faults++;
		if (cpu->jit.x87)
			fpu_store(cpu);
		interp_deliver(cpu);
		exit = NULL;
	}
	for (;;) {
		if (unlikely(atomic_load_explicit(&cpu->kick, memory_order_relaxed))) {
			exit = NULL;
			if (!interp_attend(cpu, &result))
				break;
		}
		if (unlikely(cpu->activity != CPU_RUNNING)) {
			atomic_store_explicit(&cpu->kick, 1, memory_order_relaxed);
			continue;
		}
		if (unlikely(cpu->instructions >= cpu->stop_at)) {
			result = ENGINE_BUDGET;
			break;
		}
		if (unlikely(cpu->careful | cpu->shadow | cpu->log.in_asm)) {
			exit = NULL;
			interp_step(cpu);
			continue;
		}
		if (unlikely(jit->full)) {
			cache_flush(cpu);
			exit = NULL;
		}
		struct block *block = find(cpu, exit);
		if (unlikely(cpu->block_key >= BLOCK_LIMITED && cpu->rip + block->bytes - 1 > cpu->seg[SEG_CS].limit) ||
		    unlikely(cpu->instructions + block->count > cpu->stop_at)) {
			exit = NULL;
			interp_step(cpu);
			continue;
		}
		struct translation *t = block->translation;
		if (!t) {
			u64 evictions = jit->evictions;
			t = warm(cpu, jit, block);
			if (unlikely(jit->evictions != evictions))
				exit = NULL; /* may be gone */
		}
		if (t && legacy_ready(cpu, block)) {
			if (exit && exit->from->block && (exit->guard ? jit_options.cross : exit->from->block->page == block->page) &&
			    jit_options.links)
				cache_bind(cpu, exit, t);
			exit = unlikely(jit_options.check) ? check_enter(cpu, t) : engine_enter(cpu, block->entry);
			continue;
		}
		exit = NULL;
		jit->cold_blocks++;
		jit->cold_insns += block->count;
		interp_block(cpu, block);
	}
	cpu->jit.running = false;
	fault_watch(NULL);
	cpu->fault_env = outer;
	cpu->cur = NULL;
	cpu->block = NULL;
	cpu->link_from = NULL;
	flags_sync(cpu);
	return result;
}

const struct engine jit_engine = {
	.name = "jit",
	.desc = "translates guest code to host code as it gets warm",
	.native = true,
	.reserve = reserve,
	.run = jit_run,
	.watches = true,
	.print = info_print,
};
