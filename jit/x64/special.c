/* SPDX-License-Identifier: MIT */
/* Instructions whose operands are fixed registers: LEA aside, all that use RAX, which lives elsewhere. Host RAX is borrowed for
 * them; where they leave the flags alone it is kept in a scratch register. */
#include "cpu/flags.h"
#include "cpu/model.h"
#include "jit/x64/x64.h"

#define M(name) ZYDIS_MNEMONIC_##name

static bool high_byte(const ZydisDecodedOperand *op)
{
	return op->type == ZYDIS_OPERAND_TYPE_REGISTER && op->reg.value >= ZYDIS_REGISTER_AH && op->reg.value <= ZYDIS_REGISTER_BH;
}

static bool lea(struct context *c)
{
	unsigned g = ZydisRegisterGetId(c->op[0].reg.value), bits = c->z.operand_width;
	ZydisDecodedOperand op = c->op[1];

	op.mem.type = ZYDIS_MEMOP_TYPE_MEM; /* only the address is asked for */
	if (bits < 32 && !c->legacy)
		return false;
	unsigned to = x64_home[g] == NO_HOME ? S0 : x64_home[g];
	if (!memory_address(c, &op, bits == 64 ? to : S0))
		return false;
	if (bits == 32)
		emit_mov32(c->e, to, S0);
	if (bits == 16)
		emit_op(c->e, OP_66, MAP_1, 0x8b, to, rm_reg(S0));
	if (to == S0)
		emit_store(c->e, x64_gpr(g), S0);
	c->keep = op.mem.index == ZYDIS_REGISTER_NONE || x64_home[ZydisRegisterGetId(op.mem.index)] != NO_HOME;
	return true;
}

/* MUL, IMUL: RDX:RAX = RAX * r/m. */
static bool multiply(struct context *c)
{
	const ZydisDecodedInstruction *z = &c->z;
	const ZydisDecodedOperand *op = &c->op[0];
	unsigned size = op->size / 8, flags = size == 8 ? OP_W : size == 2 ? OP_66 : size == 1 ? OP_BYTE_RM : 0;
	struct rm rm;

	if (high_byte(op))
		return false;
	if (op->type == ZYDIS_OPERAND_TYPE_MEMORY) {
		if (!memory_operand(c, op, size, false, 0))
			return false;
		rm = c->at;
	} else {
		unsigned id = ZydisRegisterGetId(op->reg.value);
		rm = x64_gpr(size == 1 && id >= 8 ? id - 4 : id);
	}
	if (c->cpu->flavour == FLAVOUR_AMD) /* all but CF and OF stay as they are */
		flags_restore(c);
	emit_mov(c->e, H_RAX, x64_home[RAX]);
	emit_op(c->e, flags, MAP_1, size == 1 ? 0xf6 : 0xf7, z->raw.modrm.reg, rm);
	emit_mov(c->e, x64_home[RAX], H_RAX);
	flags_written(c);
	return true;
}

/* DIV, IDIV, where the quotient is sure to fit; the rest, which may fault, is the interpreter's. */
static bool divide(struct context *c)
{
	struct emit *e = c->e;
	const ZydisDecodedOperand *op = &c->op[0];
	unsigned size = op->size / 8, w = size == 8 ? OP_W : 0;
	bool is_signed = c->z.mnemonic == M(IDIV);

	if (size < 4)
		return false;
	if (op->type == ZYDIS_OPERAND_TYPE_MEMORY) {
		if (!memory_operand(c, op, size, false, 0))
			return false;
		emit_op(e, w, MAP_1, 0x8b, S1, c->at);
		flags_clobber(c);
	} else {
		flags_clobber(c);
		emit_op(e, w, MAP_1, 0x8b, S1, x64_gpr(ZydisRegisterGetId(op->reg.value)));
	}
	if (is_signed) {
		/* a dividend of the divisor's width, and a divisor that is neither 0 nor -1 */
		emit_op(e, w, MAP_1, 0x8b, S0, rm_reg(x64_home[RAX]));
		emit_op(e, w, MAP_1, 0xc1, 7, rm_reg(S0));
		emit_byte(e, size * 8 - 1);
		emit_op(e, w, MAP_1, 0x3b, S0, rm_reg(H_RDX));
		memory_slow_if(c, CC_NE);
		emit_lea(e, size == 8, S0, S1, 0xff, 0, 1);
		emit_alu_imm(e, size == 8, 7, rm_reg(S0), 1);
		memory_slow_if(c, CC_BE);
	} else {
		emit_op(e, w, MAP_1, 0x3b, H_RDX, rm_reg(S1));
		memory_slow_if(c, CC_AE);
	}
	emit_mov(e, S0, H_RAX);
	emit_mov(e, H_RAX, x64_home[RAX]);
	emit_op(e, w, MAP_1, 0xf7, is_signed ? 7 : 6, rm_reg(S1));
	emit_mov(e, x64_home[RAX], H_RAX);
	emit_mov(e, H_RAX, S0);
	if (c->cpu->flavour == FLAVOUR_AMD) { /* as it is in the saved flags: AF set; SF, ZF and PF clear; CF and OF (AL) stay */
		emit_alu_imm(e, false, 4, rm_reg(H_RAX), FLAG_CF << 8 | 1);
		emit_alu_imm(e, false, 1, rm_reg(H_RAX), FLAG_AF << 8);
	}
	return true;
}

static bool compare_exchange(struct context *c)
{
	const ZydisDecodedInstruction *z = &c->z;
	unsigned size = c->op[0].size / 8, id = ZydisRegisterGetId(c->op[1].reg.value);
	unsigned flags = (size == 8 ? OP_W : size == 2 ? OP_66 : size == 1 ? OP_BYTE_REG : 0) |
	                 ((z->attributes & ZYDIS_ATTRIB_HAS_LOCK) && x64_locks(c) ? OP_LOCK : 0);

	/* why a locked one must be aligned: see boundary_of() in rewrite.c */
	if (c->op[0].type != ZYDIS_OPERAND_TYPE_MEMORY || high_byte(&c->op[1]) ||
	    !memory_operand(c, &c->op[0], size, true, flags & OP_LOCK ? size : 0))
		return false;
	unsigned g = size == 1 && id >= 8 ? id - 4 : id, source = x64_home[g];
	if (source == NO_HOME) {
		source = S1;
		emit_load(c->e, S1, x64_gpr(g));
	}
	emit_mov(c->e, H_RAX, x64_home[RAX]);
	emit_op(c->e, flags, MAP_0F, size == 1 ? 0xb0 : 0xb1, source, c->at);
	emit_mov(c->e, x64_home[RAX], H_RAX);
	flags_written(c);
	return true;
}

/* CBW, CWDE, CDQE: within RAX. */
static void extend(struct context *c, unsigned flags, enum op_map map, u8 opcode)
{
	emit_op(c->e, flags, map, opcode, x64_home[RAX], rm_reg(x64_home[RAX]));
}

/* CWD, CDQ, CQO: sign of RAX into RDX. */
static bool sign(struct context *c, unsigned flags)
{
	emit_mov(c->e, S0, H_RAX);
	emit_mov(c->e, H_RAX, x64_home[RAX]);
	if (flags & OP_66)
		emit_byte(c->e, 0x66);
	if (flags & OP_W)
		emit_byte(c->e, 0x48);
	emit_byte(c->e, 0x99);
	emit_mov(c->e, H_RAX, S0);
	return true;
}

static bool fence(struct context *c)
{
	emit_byte(c->e, 0x0f);
	emit_byte(c->e, 0xae);
	emit_byte(c->e, 0xc0 | c->z.raw.modrm.reg << 3);
	return true;
}

bool special_rewrite(struct context *c)
{
	switch (c->z.mnemonic) {
	case M(LEA): return lea(c);
	case M(IMUL): return c->z.operand_count_visible == 1 && multiply(c);
	case M(MUL): return multiply(c);
	case M(DIV): case M(IDIV): return divide(c);
	case M(CMPXCHG): return compare_exchange(c);
	case M(CBW): extend(c, OP_66 | OP_BYTE_RM, MAP_0F, 0xbe); return true;
	case M(CWDE): extend(c, 0, MAP_0F, 0xbf); return true;
	case M(CDQE): extend(c, OP_W, MAP_1, 0x63); return true;
	case M(CWD): return sign(c, OP_66);
	case M(CDQ): return sign(c, 0);
	case M(CQO): return sign(c, OP_W);
	case M(LFENCE): case M(MFENCE): case M(SFENCE): return fence(c);
	default: return false;
	}
}
