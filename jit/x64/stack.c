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

/* From one place in memory to another: by the host's stack, which takes no register. True: S1 is still what it was. */
static bool store_from(struct emit *e, struct rm to, struct rm from)
{
	if (!jit_options.push) {
		emit_load(e, S1, from);
		emit_store(e, to, S1);
		return false;
	}
	emit_op(e, 0, MAP_1, 0xff, 6, from);
	emit_op(e, 0, MAP_1, 0x8f, 0, to);
	return true;
}

static bool push(struct context *c)
{
	struct emit *e = c->e;
	const ZydisDecodedOperand *op = &c->op[0];

	if (c->z.operand_width != 64)
		return false;
	if (op->type == ZYDIS_OPERAND_TYPE_IMMEDIATE) {
		memory_stack(c, RSP, -8, true);
		emit_op(e, OP_W, MAP_1, 0xc7, 0, c->at);
		emit_u32(e, op->imm.value.s);
		c->keep = true;
	} else if (op->type == ZYDIS_OPERAND_TYPE_MEMORY) {
		if (!memory_operand(c, op, 8, false, 0))
			return false;
		emit_load(e, S0, c->at);
		emit_store(e, CPU(jit.tmp), S0);
		memory_stack(c, RSP, -8, true);
		c->keep = store_from(e, c->at, CPU(jit.tmp));
	} else if (whole(op)) {
		unsigned g = ZydisRegisterGetId(op->reg.value), from = x64_home[g];
		memory_stack(c, RSP, -8, true);
		c->keep = true;
		if (from == NO_HOME)
			c->keep = store_from(e, c->at, x64_gpr(g));
		else
			emit_store(e, c->at, from);
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
	memory_stack(c, RSP, 0, false);
	emit_load(e, x64_home[g] == NO_HOME ? S0 : x64_home[g], c->at);
	if (g != RSP)
		emit_lea(e, true, SP, SP, 0xff, 0, 8);
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
	memory_stack(c, RBP, 0, false);
	emit_load(e, S0, c->at);
	emit_lea(e, true, SP, x64_home[RBP], 0xff, 0, 8);
	emit_mov(e, x64_home[RBP], S0);
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
