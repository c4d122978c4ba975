/* SPDX-License-Identifier: MIT */
/* x87 instructions, on the host's x87 registers. They are rewritten only while all exceptions are masked; FIP is kept in struct
 * cpu, as every instruction but the control ones sets it (SDM vol. 1 ch. 8.1.8), and so are the other pointers where the flavour
 * has them follow.
 *
 * NOT IMPLEMENTED: (these run in the interpreter) transcendental functions, whose results must be the same in every engine,
 * BCD, environments, FPREM, FSCALE and FXTRACT. */
#include "cpu/flags.h"
#include "cpu/model.h"
#include "cpu/x87.h"
#include "jit/x64/x64.h"

#define M(name) ZYDIS_MNEMONIC_##name

enum kind { K_NONE, K_PLAIN, K_READ /* flags */, K_FULL };

static const u8 kinds[ZYDIS_MNEMONIC_MAX_VALUE + 1] = {
	[M(FLD)] = K_PLAIN, [M(FILD)] = K_PLAIN, [M(FLD1)] = K_PLAIN, [M(FLDZ)] = K_PLAIN, [M(FLDPI)] = K_PLAIN,
	[M(FLDL2E)] = K_PLAIN, [M(FLDL2T)] = K_PLAIN, [M(FLDLG2)] = K_PLAIN, [M(FLDLN2)] = K_PLAIN, [M(FST)] = K_PLAIN,
	[M(FSTP)] = K_PLAIN, [M(FIST)] = K_PLAIN, [M(FISTP)] = K_PLAIN, [M(FISTTP)] = K_PLAIN, [M(FXCH)] = K_PLAIN,
	[M(FADD)] = K_PLAIN, [M(FADDP)] = K_PLAIN, [M(FIADD)] = K_PLAIN, [M(FSUB)] = K_PLAIN, [M(FSUBP)] = K_PLAIN,
	[M(FISUB)] = K_PLAIN, [M(FSUBR)] = K_PLAIN, [M(FSUBRP)] = K_PLAIN, [M(FISUBR)] = K_PLAIN, [M(FMUL)] = K_PLAIN,
	[M(FMULP)] = K_PLAIN, [M(FIMUL)] = K_PLAIN, [M(FDIV)] = K_PLAIN, [M(FDIVP)] = K_PLAIN, [M(FIDIV)] = K_PLAIN,
	[M(FDIVR)] = K_PLAIN, [M(FDIVRP)] = K_PLAIN, [M(FIDIVR)] = K_PLAIN, [M(FCHS)] = K_PLAIN, [M(FABS)] = K_PLAIN,
	[M(FSQRT)] = K_PLAIN, [M(FRNDINT)] = K_PLAIN, [M(FTST)] = K_PLAIN, [M(FXAM)] = K_PLAIN, [M(FCOM)] = K_PLAIN,
	[M(FCOMP)] = K_PLAIN, [M(FCOMPP)] = K_PLAIN, [M(FUCOM)] = K_PLAIN, [M(FUCOMP)] = K_PLAIN, [M(FUCOMPP)] = K_PLAIN,
	[M(FICOM)] = K_PLAIN, [M(FICOMP)] = K_PLAIN,
	[M(FCMOVB)] = K_READ, [M(FCMOVE)] = K_READ, [M(FCMOVBE)] = K_READ, [M(FCMOVU)] = K_READ, [M(FCMOVNB)] = K_READ,
	[M(FCMOVNE)] = K_READ, [M(FCMOVNBE)] = K_READ, [M(FCMOVNU)] = K_READ,
	[M(FCOMI)] = K_FULL, [M(FCOMIP)] = K_FULL, [M(FUCOMI)] = K_FULL, [M(FUCOMIP)] = K_FULL,
};

/* The host's x87 registers must be the guest's; where that cannot be, the instruction is the interpreter's. */
void x87_need(struct context *c)
{
	if (c->x87)
		return;
	flags_clobber(c);
	emit_op(c->e, 0, MAP_1, 0x80, 7, CPU(jit.x87));
	emit_byte(c->e, 0);
	struct slow *s = memory_slow_if(c, CC_E);
	s->load = c->jit->stubs.load_x87;
	s->back = c->e->p;
	c->x87 = true;
}

bool x87_uses(const ZydisDecodedInstruction *z)
{
	return kinds[z->mnemonic] != K_NONE && jit_options.x87;
}

static const ZydisDecodedOperand *memory(struct context *c)
{
	for (unsigned i = 0; i < c->z.operand_count_visible; i++)
		if (c->op[i].type == ZYDIS_OPERAND_TYPE_MEMORY)
			return &c->op[i];
	return NULL;
}

/* Where FOP and FCS follow too. */
static bool all_pointers(const struct context *c)
{
	return c->cpu->flavour == FLAVOUR_AMD;
}

static void emit_selector(struct emit *e, struct rm to, unsigned scratch, unsigned seg)
{
	emit_op(e, 0, MAP_0F, 0xb7, scratch, CPU_AT(offsetof(struct cpu, seg[seg].selector)));
	emit_op(e, OP_66, MAP_1, 0x89, scratch, to);
}

void x87_emit_fip(const struct context *c, struct emit *e, i32 index)
{
	if (index < 0)
		return;
	const struct insn *in = &c->t->single[index].insn;
	emit_load(e, S1, CPU_AT(offsetof(struct cpu, gpr) + GPR_PAGE * 8));
	emit_lea(e, !c->legacy, S1, S1, 0xff, 0, in->off);
	emit_store(e, CPU(x87.fip), S1);
	if (!all_pointers(c))
		return;
	u16 fop = x87_opcode(in);
	emit_op(e, OP_66, MAP_1, 0xc7, 0, CPU(x87.fop));
	emit_byte(e, fop);
	emit_byte(e, fop >> 8);
	emit_selector(e, CPU(x87.fcs), S1, SEG_CS);
}

void x87_settle(struct context *c)
{
	x87_emit_fip(c, c->e, c->fip);
	if (c->fip >= 0)
		c->held = NO_HOME;
	c->fip = -1;
}

/* FNSTCW m16, FNSTSW m16 and AX. */
static bool store_word(struct context *c)
{
	const ZydisDecodedOperand *op = memory(c);

	x87_need(c);
	if (!op) {
		emit_mov(c->e, S0, H_RAX);
		emit_byte(c->e, 0xdf);
		emit_byte(c->e, 0xe0);
		emit_op(c->e, OP_66, MAP_1, 0x8b, x64_home[RAX], rm_reg(H_RAX));
		emit_mov(c->e, H_RAX, S0);
		return true;
	}
	if (!memory_operand(c, op, 2, true, 0))
		return false;
	emit_op(c->e, 0, MAP_1, c->z.opcode, c->z.raw.modrm.reg, c->at);
	return true;
}

/* FLDCW: one that unmasks an exception ends the time in translated code. What was looked at is loaded, not what the guest's memory
 * holds by then: another CPU may write there, and the host's x87 must never run unmasked. */
static bool load_control(struct context *c)
{
	struct emit *e = c->e;

	x87_need(c);
	if (!memory_operand(c, memory(c), 2, false, 0))
		return false;
	emit_op(e, 0, MAP_0F, 0xb7, S1, c->at);
	flags_clobber(c);
	emit_store(e, CPU(jit.tmp), S1);
	emit_op(e, 0, MAP_1, 0xf7, 2, rm_reg(S1)); /* not; test */
	emit_op(e, 0, MAP_1, 0xf7, 0, rm_reg(S1));
	emit_u32(e, 0x3f);
	memory_slow_if(c, CC_NE);
	emit_op(e, 0, MAP_1, 0xd9, 5, CPU(jit.tmp));
	c->x87 = false;
	return true;
}

/* FDP and FDS, at once: the registers of the address may change. */
static void data_pointer(struct context *c, const ZydisDecodedOperand *op)
{
	ZydisDecodedOperand offset = *op;

	offset.mem.type = ZYDIS_MEMOP_TYPE_MEM; /* only the offset is asked for */
	if (!memory_address(c, &offset, S0))
		bug("x87: an address that was formed cannot be formed");
	emit_store(c->e, CPU(x87.fdp), S0);
	emit_selector(c->e, CPU(x87.fds), S0, c->in->seg);
}

bool x87_rewrite(struct context *c)
{
	const ZydisDecodedInstruction *z = &c->z;
	enum kind kind = kinds[z->mnemonic];
	const ZydisDecodedOperand *op = memory(c);

	if (!c->jit->fpu || !jit_options.x87)
		return false;
	if (z->mnemonic == M(FNSTCW) || z->mnemonic == M(FNSTSW))
		return store_word(c);
	if (z->mnemonic == M(FLDCW))
		return load_control(c);
	if (kind == K_NONE)
		return false;
	x87_need(c);
	if (op) {
		bool write = z->mnemonic == M(FST) || z->mnemonic == M(FSTP) || z->mnemonic == M(FIST) || z->mnemonic == M(FISTP) ||
		             z->mnemonic == M(FISTTP);
		if (!memory_operand(c, op, op->size / 8, write, 0))
			return false;
		emit_op(c->e, 0, MAP_1, z->opcode, z->raw.modrm.reg, c->at);
		if (all_pointers(c))
			data_pointer(c, op);
	} else {
		if (kind == K_READ)
			flags_restore(c);
		emit_byte(c->e, z->opcode);
		emit_byte(c->e, 0xc0 | z->raw.modrm.reg << 3 | z->raw.modrm.rm);
		if (kind == K_FULL)
			flags_written(c);
	}
	c->fip = c->index; /* stored when something may see it */
	c->keep = !op || !all_pointers(c) || op->mem.index == ZYDIS_REGISTER_NONE || /* else S1 was needed */
	          x64_home[ZydisRegisterGetId(op->mem.index)] != NO_HOME;
	if (!jit_options.fip)
		x87_settle(c);
	return true;
}
