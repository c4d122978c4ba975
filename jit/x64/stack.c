/* SPDX-License-Identifier: MIT */
/* PUSH, POP and LEAVE with 64-bit operands. The stack pointer moves only when nothing can fault any more. */
#include "cpu/flags.h"
#include "jit/x64/x64.h"

#define M(name) ZYDIS_MNEMONIC_##name
#define SP x64_home[RSP]

static bool whole(const ZydisDecodedOperand *op)
{
	return op->type == ZYDIS_OPERAND_TYPE_REGISTER && ZydisRegisterGetClass(op->reg.value) == ZYDIS_REGCLASS_GPR64;
}

/* S0: host address of the new top of the stack. */
static void push_place(struct context *c)
{
	emit_lea(c->e, true, S0, SP, 0xff, 0, -8);
	memory_lookup(c, RSP, 8, true, false);
}

static bool push(struct context *c)
{
	struct emit *e = c->e;
	const ZydisDecodedOperand *op = &c->op[0];

	if (c->z.operand_width != 64)
		return false;
	if (op->type == ZYDIS_OPERAND_TYPE_IMMEDIATE) {
		push_place(c);
		emit_op(e, OP_W, MAP_1, 0xc7, 0, rm_base(S0, 0));
		emit_u32(e, op->imm.value.s);
		c->keep = true;
	} else if (op->type == ZYDIS_OPERAND_TYPE_MEMORY) {
		if (!memory_operand(c, op, 8, false, false))
			return false;
		emit_load(e, S0, rm_base(S0, 0));
		emit_store(e, CPU(jit.tmp), S0);
		push_place(c);
		c->held = NO_HOME;
		emit_load(e, S1, CPU(jit.tmp));
		emit_store(e, rm_base(S0, 0), S1);
	} else if (whole(op)) {
		unsigned g = ZydisRegisterGetId(op->reg.value), from = x64_home[g];
		push_place(c);
		c->keep = from != NO_HOME;
		if (from == NO_HOME) {
			from = S1;
			emit_load(e, S1, x64_gpr(g));
		}
		emit_store(e, rm_base(S0, 0), from);
	} else {
		return false;
	}
	emit_lea(e, true, SP, SP, 0xff, 0, -8);
	return true;
}

static bool pop(struct context *c)
{
	struct emit *e = c->e;

	if (c->z.operand_width != 64 || !whole(&c->op[0]))
		return false;
	unsigned g = ZydisRegisterGetId(c->op[0].reg.value);
	emit_mov(e, S0, SP);
	memory_lookup(c, RSP, 8, false, false);
	if (g != RSP)
		emit_lea(e, true, SP, SP, 0xff, 0, 8);
	emit_load(e, x64_home[g] == NO_HOME ? S0 : x64_home[g], rm_base(S0, 0));
	if (x64_home[g] == NO_HOME)
		emit_store(e, x64_gpr(g), S0);
	c->keep = true;
	return true;
}

static bool leave(struct context *c)
{
	struct emit *e = c->e;

	if (c->z.operand_width != 64)
		return false;
	emit_mov(e, S0, x64_home[RBP]);
	memory_lookup(c, RBP, 8, false, false);
	emit_lea(e, true, SP, x64_home[RBP], 0xff, 0, 8);
	emit_load(e, x64_home[RBP], rm_base(S0, 0));
	return true;
}

bool stack_rewrite(struct context *c)
{
	switch (c->z.mnemonic) {
	case M(PUSH): return push(c);
	case M(POP): return pop(c);
	case M(LEAVE): return leave(c);
	default: return false;
	}
}
