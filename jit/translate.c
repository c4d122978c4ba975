/* SPDX-License-Identifier: MIT */
/* One block, from its entries to its exits. */
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "cpu/decode.h"
#include "cpu/flags.h"
#include "jit/jit.h"
#include "jit/x64/x64.h"

#define ROOM_PER_INSN 400 /* host bytes that no instruction exceeds, its slow paths included */

static bool ends_block(const struct insn *in)
{
	return decode_form(in->form, NULL)->flags & FORM_END;
}

static void fill_single(struct single *s, const struct insn *in, bool bad)
{
	s->insn = *in;
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
	x87_settle(c);
	flags_clobber(c);
	emit_imm64(c->e, S1, (u64)(uintptr_t)&c->t->single[c->index]);
	emit_call(c->e, c->jit->stubs.one);
	c->vectors = false;
	c->x87 = c->x87 && !c->t->single[c->index].x87;
	c->ended = c->t->single[c->index].ends;
}

/* The bytes that the interpreter's form was made of, whatever lies in memory now. */
static void decode(struct context *c, struct decoded *d, const struct insn *in, const struct block *block)
{
	const u8 *bytes = block_code(block) + (in->off - block->insn[0].off);

	d->ok = ZYAN_SUCCESS(ZydisDecoderDecodeFull(decode_zydis(c->cpu, c->cpu->code_mode), bytes, in->len, &d->z, d->op)) &&
	        d->z.length == in->len && d->z.mnemonic == in->mnemonic;
}

/* A block's instructions, all at once: a jump to be patched if there are more than the engine may execute. */
static u8 *count(struct context *c, const struct block *block)
{
	struct emit *e = c->e;

	x87_settle(c);
	flags_clobber(c);
	emit_load(e, S0, CPU(instructions));
	emit_lea(e, true, S0, S0, 0xff, 0, block->count);
	emit_op(e, OP_W, MAP_1, 0x3b, S0, CPU(stop_at));
	u8 *over = emit_jcc(e, CC_A);
	emit_store(e, CPU(instructions), S0);
	return over;
}

static bool is_jcc(const struct insn *in)
{
	return in->mnemonic >= ZYDIS_MNEMONIC_JB && in->mnemonic <= ZYDIS_MNEMONIC_JZ && in->mnemonic != ZYDIS_MNEMONIC_JMP &&
	       in->mnemonic != ZYDIS_MNEMONIC_JCXZ && in->mnemonic != ZYDIS_MNEMONIC_JECXZ && in->mnemonic != ZYDIS_MNEMONIC_JRCXZ &&
	       in->mnemonic != ZYDIS_MNEMONIC_JKNZD && in->mnemonic != ZYDIS_MNEMONIC_JKZD;
}

/* Those that follow a block in memory, as long as they are worth it. */
static unsigned gather(const struct jit *jit, struct block *block, struct block *part[TRACE_BLOCKS], unsigned *insns)
{
	unsigned n = 1;

	part[0] = block;
	*insns = block->count;
	while (n < TRACE_BLOCKS && !block->split && jit_options.traces) {
		const struct insn *last = &block->insn[block->count - 1];
		bool system = system_goes_on(jit, last->mnemonic);
		if (ends_block(last) && !is_jcc(last) && !system)
			break;
		block = code_next(block);
		if (!block || block->alone || (!block->translation && block->heat < jit_options.warm / 4 && !system) ||
		    *insns + block->count > TRACE_INSNS)
			break;
		*insns += block->count;
		part[n++] = block;
	}
	return n;
}

static struct translation *translation_new(struct block *const part[], unsigned parts, unsigned insns, unsigned exits)
{
	struct translation *t = err_alloc(sizeof *t + insns * sizeof t->single[0] + parts * sizeof t->segment[0] +
	                                  exits * sizeof t->exit[0]);

	t->block = part[0];
	t->segments = parts;
	t->exits_max = exits;
	t->segment = (struct segment *)&t->single[insns];
	t->exit = (struct exit_record *)&t->segment[parts];
	return t;
}

/* A branch backwards closes a loop, which must be left when something is to be attended to: asked for at the entry. */
static bool loops(const struct translation *t, struct block *const part[])
{
	for (unsigned i = 0; i < t->segments; i++) {
		const struct insn *last = &part[i]->insn[part[i]->count - 1];
		if (ends_block(last) && (i64)last->imm < 0)
			return true;
	}
	return false;
}

static void instruction(struct context *c, const struct insn *in, const struct block *block)
{
	struct single *single = &c->t->single[c->index];
	const struct decoded *d = &c->decoded[c->index];

	c->in = in;
	c->planned[c->index] = (struct planned){c->e->p, c->in_eflags, c->in_rax};
	c->z = d->z;
	memcpy(c->op, d->op, d->z.operand_count * sizeof d->op[0]);
	fill_single(single, in, !d->ok && !in->form);
	single->x87 = !d->ok || sees_x87(c);
	if (jit_options.check)
		c->t->apart |= !d->ok || check_apart(&d->z, d->op);
	c->slow_first = c->slows;
	c->keep = false;
	single->rewritten = d->ok && !block->split && rewrite(c);
	if (!single->rewritten) {
		interpret(c);
		window_close(c);
		c->keep = false;
	}
	if (!c->keep)
		c->held = NO_HOME;
	window_values_step(c, d);
	memory_slow_return(c);
}

/* What the whole loop needs is done before it; jumps to its beginning come behind that. */
static void open_loop(struct context *c)
{
	struct emit *e = c->e;

	c->index = 0;
	c->in = &c->t->block->insn[0];
	c->loop_vectors = c->loop_x87 = false;
	if (!jit_options.loops)
		return;
	/* not while counting: the block's instructions are not counted yet, as where the registers cannot be loaded they would be */
	for (unsigned i = 0; i < c->insns && !c->jit->counting; i++)
		if (c->decoded[i].ok) {
			c->loop_vectors |= rewrite_uses_vectors(&c->decoded[i].z);
			c->loop_x87 |= c->jit->fpu && x87_uses(&c->decoded[i].z);
		}
	if (c->loop_vectors)
		rewrite_need_vectors(c);
	if (c->loop_x87)
		x87_need(c);
	u8 *over = emit_jmp(e);
	c->loop = e->p;
	c->in_eflags = true;
	c->in_rax = false;
	flags_clobber(c);
	emit_here(e, over);
	c->t->loop = e->p;
}

static void leave_at(struct context *c, unsigned off)
{
	emit_imm32(&c->jit->cold, S0, off);
	emit_jmp_to(&c->jit->cold, c->jit->stubs.leave_off);
}

struct translation *translate_block(struct cpu *cpu, struct jit *jit, struct block *block)
{
	struct block *part[TRACE_BLOCKS];
	const struct insn *in[TRACE_INSNS];
	unsigned insns, parts = gather(jit, block, part, &insns);
	struct emit *e = &jit->emit;
	static _Thread_local struct context context;
	struct context *c = &context;
	u8 *start = e->p, *cold = jit->cold.p, *over[TRACE_BLOCKS] = {0}, *poll = NULL, *refused[2];

	_Static_assert((TRACE_INSNS + 2) * ROOM_PER_INSN + STUBS_ROOM <= CACHE_MIN / 2 / REGIONS,
	               "an empty region holds any translation");
	if (MIN(e->end - e->p, jit->cold.end - jit->cold.p) < (i64)(insns + 2) * ROOM_PER_INSN)
		return NULL;
	c->e = e;
	c->jit = jit;
	c->cpu = cpu;
	c->index = 0;
	for (unsigned i = 0; i < parts; i++)
		for (unsigned k = 0; k < part[i]->count; k++) {
			in[c->index] = &part[i]->insn[k];
			decode(c, &c->decoded[c->index++], &part[i]->insn[k], part[i]);
		}
	unsigned opens = window_plan(c, insns, in, block->key != CODE64 || !jit_options.windows);
	struct translation *t = translation_new(part, parts, insns, parts + 1 + opens);
	c->t = t;
	legacy_begin(c, part);
	c->slows = c->slow_first = c->index = 0;
	c->loop = NULL;
	c->fip = -1;
	c->held = NO_HOME;
	c->vectors = c->x87 = c->ended = false;
	/* entered with the flags in RAX; the other entry puts them there */
	t->entry_eflags = e->p;
	c->in_eflags = true;
	c->in_rax = false;
	flags_clobber(c);
	t->entry_saved = e->p;
	legacy_entry(c, refused);
	if (loops(t, part)) {
		open_loop(c);
		if (jit_options.check) {
			emit_op(e, 0, MAP_1, 0x83, 5, CPU(jit.rounds));
			emit_byte(e, 1);
			poll = emit_jcc(e, CC_B);
		} else {
			emit_op(e, 0, MAP_1, 0x83, 7, CPU(kick));
			emit_byte(e, 0);
			poll = emit_jcc(e, CC_NE);
		}
	}
	for (unsigned i = 0; i < parts; i++) {
		if (jit->counting)
			over[i] = count(c, part[i]);
		for (unsigned k = 0; k < part[i]->count; k++, c->index++) {
			c->more = i + 1 < parts && k + 1 == part[i]->count;
			c->ended = false;
			instruction(c, &part[i]->insn[k], part[i]);
		}
	}
	t->singles = insns;
	if (!c->ended) {
		x87_settle(c);
		flow_exit(c, c->in->off + c->in->len);
	}
	memory_emit_slow(c);
	flow_emit_slow(c);
	for (unsigned i = 0; i < parts; i++)
		if (over[i]) {
			emit_here(&jit->cold, over[i]);
			leave_at(c, part[i]->insn[0].off);
		}
	t->dead = jit->cold.p;
	if (poll)
		emit_here(&jit->cold, poll);
	for (unsigned i = 0; i < 2; i++)
		if (refused[i])
			emit_here(&jit->cold, refused[i]);
	legacy_end(c);
	leave_at(c, block->insn[0].off);
	if (e->full || jit->cold.full) {
		e->p = start;
		e->full = jit->cold.full = false;
		free(t);
		return NULL;
	}
	verify_code(c, cold);
	t->bytes = e->p - start;
	cache_keep(jit, t);
	block->translation = t;
	for (unsigned i = 0; i < parts; i++)
		cache_include(t, part[i]);
	code_set_entry(cpu, block, emit_runs(e, t->entry_saved));
	if (unlikely(cpu->log.op | cpu->log.out_asm) || jit->perfmap)
		dump_translation(c, cold);
	return t;
}
