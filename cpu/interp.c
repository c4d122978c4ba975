/* SPDX-License-Identifier: MIT */
/* The interpreter: runs decoded blocks by calling each instruction's function. The reference that other engines are checked
 * against.
 *
 * The fast loop goes from block to block and looks up only when the last transfer left its page. Whatever needs attention
 * between two instructions (single steps, breakpoints, interrupt shadows, the end of a budget) goes through step(), which
 * executes exactly one. Faults land in interp_run() by longjmp and are delivered there. */
#include "cpu/interp.h"

#include "cpu/control.h"
#include "cpu/decode.h"
#include "cpu/exception.h"
#include "cpu/flags.h"

#include <Zydis/Mnemonic.h>
#include <Zydis/SharedTypes.h>
#include <inttypes.h>
#include <stdio.h>

static always_inline struct block *find_fast(struct cpu *cpu)
{
	u64 linear = code_linear(cpu);
	struct tlb_entry *e = tlb_slot(cpu->fetch_tlb, linear);

	if (likely(linear - e->exec < PAGE_SIZE && cpu->block_key < BLOCK_LIMITED && !cpu->link_from)) {
		u8 *hva = (u8 *)(e->host + (linear & PAGE_OFFSET));
		const struct jump_entry *jump = &((struct code_jump *)cpu->code)->entry[cpu->block_key][code_hash(hva)];
		if (likely(jump->hva == hva)) {
			cpu->gpr[GPR_PAGE] = cpu->rip - (linear & PAGE_OFFSET);
			return jump->block;
		}
	}
	return code_find(cpu);
}

/* ---- one instruction at a time ---- */

static const struct insn *op_single_end(struct cpu *cpu, const struct insn *in)
{
	cpu->rip = insn_rip(cpu, in);
	return NULL;
}

/* An instruction breakpoint at CS:RIP: a fault, before anything else of the instruction; not behind MOV SS (SDM 3A 6.8.3). */
static bool code_breakpoint(struct cpu *cpu)
{
	u64 linear = code_linear(cpu), hits = 0;

	if (!cpu->watchpoints || (cpu->rflags & FLAG_RF) || cpu->shadow == SHADOW_MOV_SS)
		return false;
	for (unsigned i = 0; i < 4; i++)
		if ((cpu->dr[7] >> i * 2 & 3) && !(cpu->dr[7] >> (16 + i * 4) & 3) && cpu->dr[i] == linear)
			hits |= BIT(i);
	if (!hits)
		return false;
	cpu->instructions++; /* as every exception */
	exception_breakpoint(cpu, hits);
	return true;
}

/* Has the instruction transferred control, as DEBUGCTL.BTF wants to know? A conditional jump to the next instruction has not, taken
 * or not. */
static bool has_branched(const struct cpu *cpu, const struct insn *in, u64 next)
{
	switch (in->mnemonic) {
	case ZYDIS_MNEMONIC_CALL: case ZYDIS_MNEMONIC_JMP: case ZYDIS_MNEMONIC_RET:
	case ZYDIS_MNEMONIC_IRET: case ZYDIS_MNEMONIC_IRETD: case ZYDIS_MNEMONIC_IRETQ:
	case ZYDIS_MNEMONIC_SYSENTER: case ZYDIS_MNEMONIC_SYSEXIT:
		return true;
	default:
		return cpu->rip != next && !(decode_form(in->form, NULL)->flags & FORM_REP);
	}
}

/* Debug exceptions that are traps come after the instruction. One that MOV SS meets waits for the next one, but a single step over
 * it does not happen (SDM 3A 6.8.3). */
static void debug_traps(struct cpu *cpu, const struct insn *in, u64 next)
{
	cpu->pending_db |= cpu->dr6_hits;
	if (cpu->step && cpu->shadow != SHADOW_MOV_SS && (!(cpu->debugctl & DEBUGCTL_BTF) || has_branched(cpu, in, next)))
		cpu->pending_db |= DR6_BS;
	if (exception_traps_due(cpu))
		exception_traps(cpu);
}

static void log_insn(struct cpu *cpu, const struct block *block)
{
	char text[96];

	insn_text(text, sizeof text, block_code(block), block->insn[0].len, cpu->code_mode, cpu->rip);
	fprintf(cpu->log.file, "%04x:%016" PRIx64 "  %s\n", cpu->seg[SEG_CS].selector, cpu->rip, text);
}

void interp_step(struct cpu *cpu)
{
	/* Room for the end behind it; the scratch block has no links, so no transfer runs on. */
	static _Thread_local union {
		struct block block;
		u8 room[sizeof(struct block) + 2 * sizeof(struct insn)];
	} one;
	struct insn *const insn = one.block.insn;

	if (exception_traps_due(cpu)) {
		cpu->instructions++;
		exception_traps(cpu);
		return;
	}
	if (code_breakpoint(cpu))
		return;
	struct block *block = code_find(cpu);
	if (unlikely(!block->count))
		return;
	if (unlikely(cpu->log.in_asm))
		log_insn(cpu, block);
	one.block.hva = NULL;
	one.block.page = NULL;
	one.block.link[0] = one.block.link[1] = NULL;
	insn[0] = block->insn[0];
	insn[0].left = 1;
	insn[1] = (struct insn){.exec = op_single_end, .off = block->insn[0].off + block->insn[0].len};

	const u64 next = insn_next_rip(cpu, insn);
	cpu->step = cpu->rflags & FLAG_TF;
	cpu->shadow = SHADOW_NONE;
	cpu->dr6_hits = 0;
	cpu->rflags &= ~(u64)FLAG_RF;
	cpu->block = &one.block;
	cpu->instructions++;
	const struct insn *in = insn[0].exec(cpu, insn);
#ifndef INSN_THREADED
	if (in)
		in->exec(cpu, in);
#else
	(void)in;
#endif
	cpu->cur = NULL;
	if (cpu->step || cpu->dr6_hits || cpu->pending_db)
		debug_traps(cpu, insn, next);
	/* careful depends on RF, which is clear now unless the instruction set it; requests may be due after a shadow */
	mode_flags_changed(cpu);
}

/* ---- the loop ---- */

struct block *interp_find(struct cpu *cpu)
{
	return find_fast(cpu);
}

/* The instructions from the faulting one to the end of its block were not executed. The delivery counts as one, so that time and
 * budgets advance in a guest that does nothing but fault. */
void interp_deliver(struct cpu *cpu)
{
	if (cpu->cur)
		cpu->instructions -= cpu->cur->left;
	cpu->instructions++;
	cpu->cur = NULL;
	cpu->link_from = NULL;
	cpu->statistics[STAT_FAULTS]++;
	cpu->shadow = SHADOW_NONE;
	exception_dispatch(cpu);
	atomic_store_explicit(&cpu->kick, 1, memory_order_relaxed);
}

bool interp_attend(struct cpu *cpu, enum engine_stop *result)
{
	atomic_store_explicit(&cpu->kick, 0, memory_order_seq_cst);
	if (atomic_load(&cpu->request) & CPU_REQ_STOP) {
		cpu_unrequest(cpu, CPU_REQ_STOP);
		atomic_store_explicit(&cpu->kick, 1, memory_order_relaxed); /* what else is requested waits for the next run */
		*result = ENGINE_STOPPED;
		return false;
	}
	cpu->cur = NULL;
	cpu->link_from = NULL; /* what comes next may be a handler */
	*result = ENGINE_HALTED;
	return engine_events(cpu);
}

static always_inline void run_block(struct cpu *cpu, struct block *block)
{
	const struct insn *in = block->insn;

	cpu->block = block;
	cpu->instructions += block->count;
	do
		in = in->exec(cpu, in);
	while (in);
}

void interp_block(struct cpu *cpu, struct block *block)
{
	run_block(cpu, block);
}

static enum engine_stop interp_run(struct cpu *cpu, u64 budget)
{
	jmp_buf env, *outer = cpu->fault_env;
	enum engine_stop result;

	cpu->stop_at = budget ? cpu->instructions + budget : ~0ull;
	cpu->fault_env = &env;
	if (setjmp(env))
		interp_deliver(cpu);
	for (;;) {
		if (unlikely(atomic_load_explicit(&cpu->kick, memory_order_relaxed)) && !interp_attend(cpu, &result))
			break;
		if (unlikely(cpu->activity != CPU_RUNNING)) {
			atomic_store_explicit(&cpu->kick, 1, memory_order_relaxed);
			continue;
		}
		if (unlikely(cpu->instructions >= cpu->stop_at)) {
			result = ENGINE_BUDGET;
			break;
		}
		if (unlikely(cpu->careful | cpu->shadow | cpu->log.in_asm)) {
			interp_step(cpu);
			continue;
		}
		struct block *block = find_fast(cpu);
		if (unlikely(cpu->block_key >= BLOCK_LIMITED && cpu->rip + block->bytes - 1 > cpu->seg[SEG_CS].limit) ||
		    unlikely(cpu->instructions + block->count > cpu->stop_at)) {
			interp_step(cpu);
			continue;
		}
		run_block(cpu, block);
	}
	cpu->fault_env = outer;
	cpu->cur = NULL;
	cpu->block = NULL;
	cpu->link_from = NULL;
	flags_sync(cpu);
	return result;
}

/* Translators find blocks alone. */
static void leave(struct cpu *cpu)
{
	if (cpu->jit.state)
		code_unlink(cpu);
}

const struct engine interp_engine = {
	.name = "interp",
	.desc = "reference interpreter: exact, runs anywhere",
	.run = interp_run,
	.leave = leave,
	.watches = true,
};
