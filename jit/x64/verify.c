/* SPDX-License-Identifier: MIT */
/* Is what is emitted what was meant? 16- and 32-bit code has encodings that 64-bit code lacks or reads as something else (SDM vol.
 * 2 appendix A, superscripts i64 and o64), and a prefix too many may name another instruction. So what is to be emitted in place of
 * a guest's instruction is decoded as 64-bit code first, and must come out as the same one; what does not is the interpreter's.
 *
 * For 64-bit code that cannot fail: it is asked only with -jit verify (on in debug builds), as is whether all of a translation
 * consists of instructions. */
#include <inttypes.h>
#include <pthread.h>

#include "base/err.h"
#include "jit/x64/x64.h"

static ZydisDecoder decoder64;
static pthread_once_t once = PTHREAD_ONCE_INIT;

static void decoder_init(void)
{
	ZydisDecoderInit(&decoder64, ZYDIS_MACHINE_MODE_LONG_64, ZYDIS_STACK_WIDTH_64);
}

static bool same_operand(const ZydisDecodedOperand *a, const ZydisDecodedOperand *b)
{
	if (a->type != b->type || a->size != b->size || a->actions != b->actions)
		return false;
	if (a->type == ZYDIS_OPERAND_TYPE_REGISTER)
		return ZydisRegisterGetClass(a->reg.value) == ZydisRegisterGetClass(b->reg.value);
	return a->type != ZYDIS_OPERAND_TYPE_IMMEDIATE || a->imm.value.u == b->imm.value.u;
}

static bool same_instruction(const struct context *c, const u8 *bytes, unsigned len)
{
	const ZydisDecodedInstruction *z = &c->z;
	ZydisDecodedInstruction again;
	ZydisDecodedOperand op[ZYDIS_MAX_OPERAND_COUNT];

	if (!ZYAN_SUCCESS(ZydisDecoderDecodeFull(&decoder64, bytes, len, &again, op)) || again.length != len ||
	    again.mnemonic != z->mnemonic || again.operand_count_visible != z->operand_count_visible)
		return false;
	for (unsigned i = 0; i < z->operand_count_visible; i++)
		if (!same_operand(&c->op[i], &op[i]))
			return false;
	return true;
}

bool verify_again(const struct context *c, unsigned flags, enum op_map map, u8 opcode)
{
	const ZydisDecodedInstruction *z = &c->z;
	u8 bytes[32];
	struct emit e = {.p = bytes, .end = bytes + sizeof bytes};
	bool memory = z->raw.modrm.mod != 3;

	if (!c->legacy && !jit_options.verify)
		return true;
	pthread_once(&once, decoder_init);
	/* the registers are those of other operands than the guest's, so any will do */
	emit_op(&e, flags, map, opcode, z->raw.modrm.reg, memory ? rm_base(H_RBX, 0) : rm_reg(z->raw.modrm.rm));
	for (unsigned i = 0; i < 2; i++)
		for (unsigned bits = 0; bits < z->raw.imm[i].size; bits += 8)
			emit_byte(&e, z->raw.imm[i].value.u >> bits);
	if (likely(same_instruction(c, bytes, e.p - bytes)))
		return true;
	if (!c->legacy)
		bug("the instruction at %" PRIx64 " would not come out as it is", insn_rip(c->cpu, c->in));
	return false;
}

/* Every byte belongs to an instruction. */
static void all_instructions(const struct context *c, const u8 *from, const u8 *to)
{
	while (from < to) {
		ZydisDecodedInstruction z;
		if (!ZYAN_SUCCESS(ZydisDecoderDecodeInstruction(&decoder64, NULL, from, to - from, &z)))
			bug("the translation of the code at %" PRIx64 " has no instruction %td bytes before its end",
			    insn_rip(c->cpu, &c->t->single[0].insn), to - from);
		from += z.length;
	}
}

void verify_code(const struct context *c, const u8 *cold)
{
	if (!jit_options.verify)
		return;
	pthread_once(&once, decoder_init);
	all_instructions(c, c->t->entry_eflags, c->e->p);
	all_instructions(c, cold, c->jit->cold.p);
}
