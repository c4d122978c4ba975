/* SPDX-License-Identifier: MIT */
/* One block, from its entries to its exits. */
#include <stdlib.h>

#include "base/err.h"
#include "cpu/decode.h"
#include "cpu/flags.h"
#include "jit/x64/x64.h"

#define ROOM_PER_INSN 400 /* host bytes that no instruction exceeds, its slow paths included */

static bool ends_block(const struct insn *in)
{
	return decode_form(in->form, NULL)->flags & FORM_END;
}

static const struct insn *op_single_end(struct cpu *cpu, const struct insn *in)
{
	cpu->rip = insn_rip(cpu, in);
	return NULL;
}

static void fill_single(struct single *s, const struct insn *in, bool bad)
{
	s->insn = *in;
	s->end = (struct insn){.exec = op_single_end, .off = in->off + in->len};
	s->ends = bad || ends_block(in);
}

/* May it look at x87 or MMX registers? */
static bool sees_x87(const struct context *c)
{
	switch (c->z.meta.isa_ext) {
	case ZYDIS_ISA_EXT_X87: case ZYDIS_ISA_EXT_MMX:
	case ZYDIS_ISA_EXT_XSAVE: case ZYDIS_ISA_EXT_XSAVEC: case ZYDIS_ISA_EXT_XSAVEOPT: case ZYDIS_ISA_EXT_XSAVES:
		return true;
	default:
		break;
	}
	for (unsigned i = 0; i < c->z.operand_count; i++)
		if ((c->op[i].type == ZYDIS_OPERAND_TYPE_REGISTER && ZydisRegisterGetClass(c->op[i].reg.value) == ZYDIS_REGCLASS_MMX) ||
		    (c->op[i].type == ZYDIS_OPERAND_TYPE_MEMORY && c->op[i].size > 128))
			return true;
	return c->z.mnemonic == ZYDIS_MNEMONIC_CVTPI2PS || c->z.mnemonic == ZYDIS_MNEMONIC_CVTPI2PD ||
	       c->z.mnemonic == ZYDIS_MNEMONIC_FISTTP;
}

/* The interpreter runs this instruction. */
static void interpret(struct context *c)
{
	flags_clobber(c);
	emit_imm64(c->e, S1, (u64)(uintptr_t)&c->t->single[c->index]);
	emit_call(c->e, c->jit->stubs.one);
	c->vectors = false;
	c->x87 = c->x87 && !c->t->single[c->index].x87;
	c->ended = c->t->single[c->index].ends;
}

static bool decode(struct context *c)
{
	const u8 *bytes = c->t->block->hva + (c->in->off - c->t->block->insn[0].off);

	return ZYAN_SUCCESS(ZydisDecoderDecodeFull(decode_zydis(c->cpu, CODE64), bytes, c->in->len, &c->z, c->op)) &&
	       c->z.length == c->in->len && c->z.mnemonic == c->in->mnemonic;
}

/* The block's instructions, all at once: a jump to be patched if there are more than the engine may execute. */
static u8 *count(struct context *c)
{
	struct emit *e = c->e;

	emit_load(e, S0, CPU(instructions));
	emit_lea(e, true, S0, S0, 0xff, 0, c->t->block->count);
	emit_op(e, OP_W, MAP_1, 0x3b, S0, CPU(stop_at));
	u8 *over = emit_jcc(e, CC_A);
	emit_store(e, CPU(instructions), S0);
	return over;
}

struct translation *translate_block(struct cpu *cpu, struct jit *jit, struct block *block)
{
	struct translation *t = err_alloc(sizeof *t + block->count * sizeof t->single[0]);
	struct emit *e = &jit->emit;
	static _Thread_local struct context context;
	struct context *c = &context;
	u8 *start = e->p;

	_Static_assert(STUBS_MAX >= 6 * BLOCK_MAX, "no instruction has more slow paths");
	if (MIN(e->end - e->p, jit->cold.end - jit->cold.p) < (i64)(block->count + 2) * ROOM_PER_INSN) {
		free(t);
		return NULL;
	}
	t->block = block;
	t->singles = block->count;
	c->e = e;
	c->jit = jit;
	c->cpu = cpu;
	c->t = t;
	c->slows = c->slow_first = c->exits = 0;
	c->held = NO_HOME;
	c->vectors = c->x87 = c->ended = false;
	/* entered with the flags in RAX; the other entry puts them there */
	t->entry_eflags = e->p;
	c->in_eflags = true;
	c->in_rax = false;
	flags_clobber(c);
	t->entry_saved = e->p;
	u8 *over = jit->counting ? count(c) : NULL;
	for (c->index = 0; c->index < block->count; c->index++) {
		bool decoded;
		c->in = &block->insn[c->index];
		decoded = decode(c);
		fill_single(&t->single[c->index], c->in, !decoded && !c->in->form);
		t->single[c->index].x87 = !decoded || sees_x87(c);
		c->slow_first = c->slows;
		c->keep = false;
		if (!decoded || block->split || !rewrite(c)) {
			interpret(c);
			c->keep = false;
		}
		if (!c->keep)
			c->held = NO_HOME;
		memory_slow_return(c);
	}
	if (!c->ended)
		flow_exit(c, c->in->off + c->in->len);
	memory_emit_slow(c);
	flow_emit_slow(c);
	t->dead = jit->cold.p;
	if (over)
		emit_here(&jit->cold, over);
	emit_imm32(&jit->cold, S0, block->insn[0].off);
	emit_jmp_to(&jit->cold, jit->stubs.leave_off);
	if (e->full || jit->cold.full) {
		e->p = start;
		e->full = jit->cold.full = false;
		free(t);
		return NULL;
	}
	t->bytes = e->p - start;
	t->next = jit->all;
	jit->all = t;
	jit->translations++;
	block->translation = t;
	code_set_entry(cpu, block, emit_runs(e, t->entry_saved));
	return t;
}
