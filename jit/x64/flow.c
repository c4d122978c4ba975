/* SPDX-License-Identifier: MIT */
/* Near transfers of control in 64-bit code. A direct one is bound to the translation that it leads to: within its page without
 * further ado, as the page is mapped where it is while its code runs; into another page behind a guard (private.h). Everything
 * else looks its target up. */
#include "base/err.h"
#include "cpu/flags.h"
#include "jit/x64/x64.h"

#define M(name) ZYDIS_MNEMONIC_##name
#define SP x64_home[RSP]
#define PAGE_GPR CPU_AT(offsetof(struct cpu, gpr) + GPR_PAGE * 8)

static bool in_page(i64 off)
{
	return off >= 0 && off < PAGE_SIZE;
}

static struct pending *pending_new(struct context *c, i64 off)
{
	if (c->t->exits == c->t->exits_max)
		bug("a translation with more than %u exits", c->t->exits_max);
	struct exit_record *exit = &c->t->exit[c->t->exits];
	struct pending *p = &c->pending[c->t->exits++];

	*exit = (struct exit_record){.from = c->t, .off = off, .eflags = !c->in_rax};
	*p = (struct pending){.exit = exit, .save = !c->in_rax};
	return p;
}

static void save(struct emit *e)
{
	emit_byte(e, 0x9f);
	emit_op(e, 0, MAP_0F, 0x90, 0, rm_reg(H_RAX));
}

/* Flags in RAX: on in another page, if this one is where it was when the exit was bound. */
static void guarded(struct context *c, struct emit *e, struct exit_record *exit)
{
	exit->eflags = false;
	emit_imm64(e, S1, EXIT_NEVER);
	exit->guard = e->p - 8;
	emit_op(e, OP_W, MAP_1, 0x33, S1, CPU(jit.space));
	emit_op(e, OP_W, MAP_1, 0x3b, S1, PAGE_GPR);
	exit->miss = emit_jcc(e, CC_NE);
	emit_lea(e, !c->legacy, S1, S1, 0xff, 0, exit->off & ~(i32)PAGE_OFFSET);
	emit_store(e, PAGE_GPR, S1);
	exit->jump = emit_jmp(e);
}

void flow_exit(struct context *c, i64 off)
{
	if (!in_page(off) && c->legacy && c->strict) {
		legacy_leave_page(c, off);
		return;
	}
	if (!in_page(off))
		flags_clobber(c);
	struct pending *p = pending_new(c, off);
	if (in_page(off))
		p->exit->jump = emit_jmp(c->e);
	else
		guarded(c, c->e, p->exit);
	c->ended = true;
}

void flow_exit_if(struct context *c, unsigned cc, i64 off)
{
	struct pending *p = pending_new(c, off);
	u8 *jump = emit_jcc(c->e, cc);

	if (in_page(off))
		p->exit->jump = jump;
	else
		p->taken = jump;
}

void flow_exit_or_loop(struct context *c, unsigned cc, i64 off)
{
	if (c->loop && off == c->t->block->insn[0].off && (c->vectors || !c->loop_vectors) && (c->x87 || !c->loop_x87))
		emit_jcc_to(c->e, cc, c->in_rax ? c->t->loop : c->loop);
	else
		flow_exit_if(c, cc, off);
}

struct pending *flow_plain(struct context *c)
{
	struct pending *p = pending_new(c, c->in->off);

	*p->exit = (struct exit_record){.from = c->t, .off = c->in->off, .plain = true};
	p->save = false;
	p->index = c->index;
	return p;
}

void flow_emit_plain(struct context *c, struct emit *e, struct pending *p)
{
	if (c->jit->counting) /* the rest will be counted there */
		emit_alu_imm(e, true, 5, CPU(instructions), c->t->single[p->index].insn.left);
	p->exit->jump = emit_jmp(e);
}

static void offset(struct emit *e, i32 off)
{
	emit_op(e, OP_W, MAP_1, 0xc7, 0, rm_reg(S0));
	emit_u32(e, off);
}

void flow_emit_slow(struct context *c)
{
	struct emit *e = &c->jit->cold;

	for (unsigned i = 0; i < c->t->exits; i++) {
		struct pending *p = &c->pending[i];
		struct exit_record *exit = p->exit;
		if (p->taken) {
			emit_here(e, p->taken);
			if (p->save)
				save(e);
			guarded(c, e, exit);
		}
		/* unbound: to the engine, which binds it */
		exit->stub = e->p;
		emit_here(e, exit->jump);
		if (exit->eflags)
			save(e);
		offset(e, exit->off);
		emit_imm64(e, S1, (u64)(uintptr_t)exit);
		emit_jmp_to(e, c->jit->stubs.leave_link);
		if (exit->guard) {
			/* the address space is another, or the page: look the target up, and be bound anew after many times */
			emit_here(e, exit->miss);
			exit->other = e->p;
			offset(e, exit->off);
			emit_imm64(e, S1, (u64)(uintptr_t)exit);
			emit_op(e, 0, MAP_1, 0x83, 5, rm_base(S1, offsetof(struct exit_record, patience)));
			emit_byte(e, 1);
			emit_jcc_to(e, CC_B, c->jit->stubs.leave_link);
			emit_op(e, OP_W, MAP_1, 0x03, S0, PAGE_GPR);
			emit_jmp_to(e, c->legacy ? c->jit->stubs.look_up_legacy : c->jit->stubs.look_up);
		}
	}
}

static i64 target_off(const struct context *c)
{
	return (i64)c->in->off + c->in->len + (i64)c->in->imm;
}

static bool reachable(i64 off)
{
	return off == (i32)off;
}

static i64 next_off(const struct context *c)
{
	return c->in->off + c->in->len;
}

static bool jcc(struct context *c, unsigned cc)
{
	if (!reachable(target_off(c)))
		return false;
	flags_restore(c);
	flow_exit_or_loop(c, cc, target_off(c));
	if (!c->more)
		flow_exit(c, next_off(c));
	c->keep = true;
	return true;
}

/* LOOP and JRCXZ: the host's JRCXZ leaves the flags alone, and RCX is where it was. */
static bool count_branch(struct context *c, bool decrement)
{
	struct emit *e = c->e;

	if (c->z.address_width != 64 || !reachable(target_off(c)))
		return false;
	if (decrement)
		emit_lea(e, true, H_RCX, H_RCX, 0xff, 0, -1);
	emit_byte(e, 0xe3);
	emit_byte(e, 5);
	u8 *other = emit_jmp(e); /* RCX is not 0 */
	bool in_eflags = c->in_eflags, in_rax = c->in_rax;
	flow_exit(c, decrement ? next_off(c) : target_off(c));
	emit_here(e, other);
	c->in_eflags = in_eflags;
	c->in_rax = in_rax;
	flow_exit(c, decrement ? target_off(c) : next_off(c));
	return true;
}

/* S0 has the target: a fault of this instruction if it is not canonical. */
static void check_canonical(struct context *c)
{
	struct emit *e = c->e;

	flags_clobber(c);
	c->held = NO_HOME;
	emit_mov(e, S1, S0);
	emit_op(e, OP_W, MAP_1, 0xc1, 7, rm_reg(S1));
	emit_byte(e, 47);
	emit_alu_imm(e, false, 0, rm_reg(S1), 1);
	emit_alu_imm(e, false, 7, rm_reg(S1), 1);
	memory_slow_if(c, CC_A);
}

static void push_return(struct context *c)
{
	struct emit *e = c->e;

	memory_stack(c, RSP, -8, true);
	c->held = NO_HOME;
	emit_load(e, S1, PAGE_GPR);
	emit_lea(e, true, S1, S1, 0xff, 0, next_off(c));
	emit_store(e, c->at, S1);
	emit_lea(e, true, SP, SP, 0xff, 0, -8);
}

static bool target_to_s0(struct context *c)
{
	const ZydisDecodedOperand *op = &c->op[0];

	if (op->type == ZYDIS_OPERAND_TYPE_MEMORY) {
		if (op->size != 64 || !memory_operand(c, op, 8, false, 0))
			return false;
		emit_load(c->e, S0, c->at);
	} else if (op->type == ZYDIS_OPERAND_TYPE_REGISTER && ZydisRegisterGetClass(op->reg.value) == ZYDIS_REGCLASS_GPR64) {
		emit_load(c->e, S0, x64_gpr(ZydisRegisterGetId(op->reg.value)));
	} else {
		return false;
	}
	check_canonical(c);
	return true;
}

static void dispatch(struct context *c)
{
	flags_clobber(c);
	stubs_dispatch(c->jit, c->e);
	c->ended = true;
}

static bool call(struct context *c)
{
	if (c->op[0].type == ZYDIS_OPERAND_TYPE_IMMEDIATE) {
		if (!reachable(target_off(c)) || c->in->osize != 8)
			return false;
		push_return(c);
		flow_exit(c, target_off(c));
		return true;
	}
	if (!target_to_s0(c))
		return false;
	emit_store(c->e, CPU(jit.tmp), S0);
	push_return(c);
	emit_load(c->e, S0, CPU(jit.tmp));
	dispatch(c);
	return true;
}

static bool jump(struct context *c)
{
	if (c->op[0].type == ZYDIS_OPERAND_TYPE_IMMEDIATE) {
		if (!reachable(target_off(c)))
			return false;
		flow_exit(c, target_off(c));
		return true;
	}
	if (!target_to_s0(c))
		return false;
	dispatch(c);
	return true;
}

static bool ret(struct context *c)
{
	if (c->z.meta.branch_type == ZYDIS_BRANCH_TYPE_FAR || c->in->osize != 8)
		return false;
	i32 extra = c->z.raw.imm[0].size ? (i32)(u16)c->z.raw.imm[0].value.u : 0;
	memory_stack(c, RSP, 0, false);
	emit_load(c->e, S0, c->at);
	check_canonical(c);
	emit_lea(c->e, true, SP, SP, 0xff, 0, 8 + extra);
	dispatch(c);
	return true;
}

bool flow_rewrite(struct context *c)
{
	const ZydisDecodedInstruction *z = &c->z;

	if (z->meta.branch_type == ZYDIS_BRANCH_TYPE_FAR)
		return false;
	if (z->meta.branch_type != ZYDIS_BRANCH_TYPE_NONE && c->in->osize != 8) /* of AMD's, with an operand-size prefix */
		return false;
	x87_settle(c);
	switch (z->mnemonic) {
	case M(JO): case M(JNO): case M(JB): case M(JNB): case M(JZ): case M(JNZ): case M(JBE): case M(JNBE): case M(JS): case M(JNS):
	case M(JP): case M(JNP): case M(JL): case M(JNL): case M(JLE): case M(JNLE):
		return jcc(c, z->opcode & 15);
	case M(JRCXZ): return count_branch(c, false);
	case M(LOOP): return count_branch(c, true);
	case M(JMP): return jump(c);
	case M(CALL): return call(c);
	case M(RET): return ret(c);
	default: return false;
	}
}
