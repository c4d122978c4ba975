/* SPDX-License-Identifier: MIT */
/* From bytes to struct insn: Zydis decodes, the form tables of the families say which function executes it.
 *
 * What vendors encode differently follows the vendor that the CPU's model shows, in every engine (AMD APM vol. 3, and what a Zen 5
 * was seen to do; the manuals do not tell all): near branches with an operand-size prefix in 64-bit code, REP prefixes of LOOPE and
 * LOOPNE, UD0 and UD1 without a ModRM byte, 0F 0D with a register, LOCK MOV CR0 as CR8, LOCK VERW of memory. */
#include "cpu/decode.h"

#include <Zydis/Zydis.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

#include "cpu/exception.h"
#include "cpu/forms.h"
#include "cpu/model.h"

/* All forms in one array, and for each mnemonic the first of its run. */
static struct {
	struct form *form;
	unsigned count;
	u16 first[ZYDIS_MNEMONIC_MAX_VALUE + 2];
	ZydisDecoder decoder[8][3]; /* bit 0: with LZCNT, bit 1: with TZCNT, bit 2: AMD's; by enum code_mode */
} catalogue;
static pthread_once_t once = PTHREAD_ONCE_INIT;

static void decoder_init(ZydisDecoder *decoder, enum code_mode mode, unsigned kind)
{
	static const struct {
		ZydisMachineMode machine;
		ZydisStackWidth stack;
	} by_mode[3] = {
		[CODE16] = {ZYDIS_MACHINE_MODE_LEGACY_16, ZYDIS_STACK_WIDTH_16},
		[CODE32] = {ZYDIS_MACHINE_MODE_LEGACY_32, ZYDIS_STACK_WIDTH_32},
		[CODE64] = {ZYDIS_MACHINE_MODE_LONG_64, ZYDIS_STACK_WIDTH_64},
	};
	ZydisDecoderInit(decoder, by_mode[mode].machine, by_mode[mode].stack);
	/* On a CPU without these their encodings are the reserved NOPs, BSF and BSR. */
	ZydisDecoderEnableMode(decoder, ZYDIS_DECODER_MODE_MPX, ZYAN_FALSE);
	ZydisDecoderEnableMode(decoder, ZYDIS_DECODER_MODE_CET, ZYAN_FALSE);
	ZydisDecoderEnableMode(decoder, ZYDIS_DECODER_MODE_CLDEMOTE, ZYAN_FALSE);
	ZydisDecoderEnableMode(decoder, ZYDIS_DECODER_MODE_LZCNT, (kind & 1) != 0);
	ZydisDecoderEnableMode(decoder, ZYDIS_DECODER_MODE_TZCNT, (kind & 2) != 0);
	ZydisDecoderEnableMode(decoder, ZYDIS_DECODER_MODE_AMD_BRANCHES, (kind & 4) != 0);
}

static int by_mnemonic(const void *a, const void *b)
{
	const struct form *const *x = a, *const *y = b;

	if ((*x)->mnemonic != (*y)->mnemonic)
		return (*x)->mnemonic < (*y)->mnemonic ? -1 : 1;
	return *x < *y ? -1 : *x > *y; /* stable: rows of a family stay in their order */
}

static void catalogue_init(void)
{
	static const struct form_table *const tables[] = {
#define FORM_TABLE(family) &family##_forms,
		FORM_FAMILIES(FORM_TABLE)
#undef FORM_TABLE
	};
	unsigned count = 0;

	for (unsigned t = 0; t < ARRAY_LEN(tables); t++)
		count += tables[t]->count;
	const struct form **order = err_alloc(count * sizeof *order);
	catalogue.form = err_alloc(count * sizeof *catalogue.form);
	for (unsigned t = 0; t < ARRAY_LEN(tables); t++)
		for (unsigned i = 0; i < tables[t]->count; i++)
			order[catalogue.count++] = &tables[t]->forms[i];
	qsort(order, count, sizeof *order, by_mnemonic);
	for (unsigned i = 0; i < count; i++)
		catalogue.form[i] = *order[i];
	free(order);
	for (unsigned m = 0, i = 0; m < ARRAY_LEN(catalogue.first); m++) {
		while (i < count && catalogue.form[i].mnemonic < m)
			i++;
		catalogue.first[m] = i;
	}
	for (unsigned kind = 0; kind < ARRAY_LEN(catalogue.decoder); kind++)
		for (unsigned mode = CODE16; mode <= CODE64; mode++)
			decoder_init(&catalogue.decoder[kind][mode], mode, kind);
}

const struct form *decode_form(unsigned index, unsigned *count)
{
	pthread_once(&once, catalogue_init);
	if (count)
		*count = catalogue.count;
	return index < catalogue.count ? &catalogue.form[index] : NULL;
}

/* ---- operands ---- */

static unsigned register_slot(ZydisRegister reg)
{
	unsigned id = ZydisRegisterGetId(reg);

	switch (ZydisRegisterGetClass(reg)) {
	case ZYDIS_REGCLASS_GPR8: /* AL CL DL BL AH CH DH BH SPL BPL SIL DIL R8B..R15B: byte offsets into gpr[] */
		return id < 4 ? id * 8 : id < 8 ? (id - 4) * 8 + 1 : (id - 4) * 8;
	default:
		return id & 31;
	}
}

static bool match_register(enum operand pattern, ZydisRegister reg, unsigned index)
{
	ZydisRegisterClass class = ZydisRegisterGetClass(reg);

	switch (pattern) {
	case O_R8: case O_RM8: return class == ZYDIS_REGCLASS_GPR8;
	case O_R16: case O_RM16: return class == ZYDIS_REGCLASS_GPR16;
	case O_R32: case O_RM32: return class == ZYDIS_REGCLASS_GPR32;
	case O_R64: case O_RM64: return class == ZYDIS_REGCLASS_GPR64;
	case O_CL: return reg == ZYDIS_REGISTER_CL;
	case O_AL: return reg == ZYDIS_REGISTER_AL;
	case O_AX: return reg == ZYDIS_REGISTER_AX;
	case O_EAX: return reg == ZYDIS_REGISTER_EAX;
	case O_RAX: return reg == ZYDIS_REGISTER_RAX;
	case O_DX: return reg == ZYDIS_REGISTER_DX;
	case O_SEG: return class == ZYDIS_REGCLASS_SEGMENT;
	case O_CR: return class == ZYDIS_REGCLASS_CONTROL;
	case O_DR: return class == ZYDIS_REGCLASS_DEBUG;
	case O_ST: return class == ZYDIS_REGCLASS_X87;
	case O_ST0: return class == ZYDIS_REGCLASS_X87 && index == 0;
	case O_MM: case O_MMM64: case O_MMM32: return class == ZYDIS_REGCLASS_MMX;
	case O_X: case O_XM8: case O_XM16: case O_XM32: case O_XM64: case O_XM128: return class == ZYDIS_REGCLASS_XMM;
	case O_ANY: return true;
	default: return false;
	}
}

/* The commonest addresses have patterns of their own: a 64-bit base and a displacement, where segments have no base. */
static bool is_base_only(const ZydisDecodedOperand *op)
{
	return (ZydisRegisterGetClass(op->mem.base) == ZYDIS_REGCLASS_GPR64 || op->mem.base == ZYDIS_REGISTER_RIP) &&
	       op->mem.index == ZYDIS_REGISTER_NONE && op->mem.segment != ZYDIS_REGISTER_FS &&
	       op->mem.segment != ZYDIS_REGISTER_GS;
}

static bool match_memory(enum operand pattern, const ZydisDecodedOperand *op)
{
	unsigned bits = op->size;

	switch (pattern) {
	case O_B8: return bits == 8 && is_base_only(op);
	case O_B16: return bits == 16 && is_base_only(op);
	case O_B32: return bits == 32 && is_base_only(op);
	case O_B64: return bits == 64 && is_base_only(op);
	case O_B: return is_base_only(op);
	case O_M8: case O_RM8: case O_XM8: return bits == 8;
	case O_M16: case O_RM16: case O_XM16: return bits == 16;
	case O_M32: case O_RM32: case O_XM32: case O_MMM32: return bits == 32;
	case O_M64: case O_RM64: case O_XM64: case O_MMM64: return bits == 64;
	case O_M80: return bits == 80;
	case O_M128: case O_XM128: return bits == 128;
	case O_M: case O_ANY: return true;
	default: return false;
	}
}

static bool match(enum operand pattern, const ZydisDecodedOperand *op)
{
	switch (op->type) {
	case ZYDIS_OPERAND_TYPE_REGISTER:
		return match_register(pattern, op->reg.value, register_slot(op->reg.value));
	case ZYDIS_OPERAND_TYPE_MEMORY:
		return match_memory(pattern, op);
	case ZYDIS_OPERAND_TYPE_POINTER:
		return pattern == O_FAR;
	case ZYDIS_OPERAND_TYPE_IMMEDIATE:
		if (pattern == O_ONE)
			return op->visibility == ZYDIS_OPERAND_VISIBILITY_IMPLICIT;
		return pattern == O_ANY || pattern == (op->imm.is_relative ? O_REL : O_I);
	default:
		return false;
	}
}

static unsigned slot_or_zero(ZydisRegister reg)
{
	return reg == ZYDIS_REGISTER_NONE ? GPR_ZERO : register_slot(reg);
}

static void memory_operand(struct insn *in, const ZydisDecodedInstruction *z, const ZydisDecodedOperand *op, enum code_mode mode)
{
	/* Base 5 without a displacement byte is none. Zydis 4.0 does not see that under 32-bit addressing with REX.B. */
	bool no_base = (z->attributes & ZYDIS_ATTRIB_HAS_SIB) && !z->raw.modrm.mod && z->raw.sib.base == 5;

	in->seg = ZydisRegisterGetId(op->mem.segment);
	in->disp = op->mem.disp.has_displacement ? op->mem.disp.value : 0;
	if (op->mem.base == ZYDIS_REGISTER_RIP || op->mem.base == ZYDIS_REGISTER_EIP) {
		in->base = GPR_PAGE;
		in->disp += in->off + in->len;
	} else if (no_base) {
		in->base = GPR_ZERO;
		in->disp = z->raw.disp.value;
	} else {
		in->base = slot_or_zero(op->mem.base);
	}
	in->index = slot_or_zero(op->mem.index);
	in->scale = op->mem.scale ? __builtin_ctz(op->mem.scale) : 0;
	in->ea = mode == CODE64 && in->asize == 8 && in->seg < SEG_FS ? EA_LONG : EA_OTHER;
}

static void fill_operands(struct insn *in, const ZydisDecodedInstruction *z, const ZydisDecodedOperand *ops, enum code_mode mode)
{
	bool immediate = false;

	in->base = in->index = GPR_ZERO;
	in->seg = SEG_DS;
	for (unsigned i = 0; i < z->operand_count; i++) {
		const ZydisDecodedOperand *op = &ops[i];
		bool visible = i < z->operand_count_visible;
		switch (op->type) {
		case ZYDIS_OPERAND_TYPE_REGISTER:
			if (visible && i < ARRAY_LEN(in->r))
				in->r[i] = register_slot(op->reg.value);
			break;
		case ZYDIS_OPERAND_TYPE_MEMORY:
			if (visible)
				memory_operand(in, z, op, mode);
			else if (!in->ea && op->mem.segment != ZYDIS_REGISTER_ES && op->mem.segment != ZYDIS_REGISTER_SS)
				in->seg = ZydisRegisterGetId(op->mem.segment); /* string instructions, XLAT: an override counts */
			break;
		case ZYDIS_OPERAND_TYPE_POINTER:
			in->imm = op->ptr.offset;
			in->disp = op->ptr.segment;
			break;
		case ZYDIS_OPERAND_TYPE_IMMEDIATE:
			if (!visible)
				break;
			if (immediate)
				in->disp = op->imm.value.s;
			else
				in->imm = op->imm.value.u;
			immediate = true;
			break;
		default:
			break;
		}
	}
	/* an override to ES or SS of a string instruction's source */
	if (!in->ea) {
		if (z->attributes & ZYDIS_ATTRIB_HAS_SEGMENT_ES)
			in->seg = SEG_ES;
		else if (z->attributes & ZYDIS_ATTRIB_HAS_SEGMENT_SS)
			in->seg = SEG_SS;
	}
}

/* ---- instructions that are none ---- */

OP(op_undefined)
{
	exception_ud(cpu);
}

OP(op_too_long)
{
	exception_gp(cpu, 0);
}

const void *decode_zydis(const struct cpu *cpu, enum code_mode mode)
{
	pthread_once(&once, catalogue_init);
	return &catalogue.decoder[cpu_has(cpu, FEAT_LZCNT) | cpu_has(cpu, FEAT_BMI1) << 1 | model_is_amd(cpu->model) << 2][mode];
}

/* ---- AMD's encodings ---- */

/* Where the opcode begins, behind the prefixes; len if it is not among the bytes. */
static unsigned opcode_at(const u8 *bytes, unsigned len, enum code_mode mode)
{
	unsigned at = 0;

	while (at < len && (strchr("\x26\x2e\x36\x3e\x64\x65\x66\x67\xf0\xf2\xf3", bytes[at]) && bytes[at]))
		at++;
	return at < len && mode == CODE64 && (bytes[at] & 0xf0) == 0x40 ? at + 1 : at;
}

/* A near branch of 16 bits in 64-bit code: Zydis sees to the length of its immediate, and to nothing else. */
static bool amd_short(const ZydisDecodedInstruction *z)
{
	return z->meta.branch_type != ZYDIS_BRANCH_TYPE_FAR && (z->attributes & ZYDIS_ATTRIB_HAS_OPERANDSIZE) && !z->raw.rex.W &&
	       (z->meta.branch_type != ZYDIS_BRANCH_TYPE_NONE || z->mnemonic == ZYDIS_MNEMONIC_RET);
}

static void amd_shorten(struct insn *in, ZydisDecodedOperand *op)
{
	in->osize = 2;
	if (op->type == ZYDIS_OPERAND_TYPE_MEMORY)
		op->size = 16;
	else if (op->type == ZYDIS_OPERAND_TYPE_REGISTER)
		op->reg.value = ZYDIS_REGISTER_AX + ZydisRegisterGetId(op->reg.value);
}

/* UD0 and UD1 end with the opcode. */
static bool amd_undefined(const u8 *bytes, unsigned len, enum code_mode mode)
{
	unsigned at = opcode_at(bytes, len, mode);

	return at + 1 < MIN(len, 15u) && bytes[at] == 0x0f && (bytes[at + 1] == 0xff || bytes[at + 1] == 0xb9);
}

/* LOCK MOV CR0 stands for CR8, also outside 64-bit mode; LOCK VERW of memory is VERW. copy: the bytes without LOCK. False: they are
 * something else. */
static bool amd_locked(u8 copy[15], bool *cr8, const u8 *bytes, unsigned len, enum code_mode mode)
{
	unsigned at = opcode_at(bytes, len, mode);

	if (at + 2 >= len || bytes[at] != 0x0f)
		return false;
	bool verw = bytes[at + 1] == 0x00 && (bytes[at + 2] & 0x38) == 0x28 && bytes[at + 2] < 0xc0;
	*cr8 = (bytes[at + 1] & 0xfd) == 0x20 && !(bytes[at + 2] & 0x38) && !(mode == CODE64 && at && (bytes[at - 1] & 0xf4) == 0x44);
	if (!verw && !*cr8)
		return false;
	memcpy(copy, bytes, MIN(len, 15u));
	for (unsigned i = 0; i < at; i++)
		if (copy[i] == 0xf0)
			copy[i] = 0x3e;
	return true;
}

/* LOOPE behind REPNE is LOOPNE, LOOPNE behind REP is LOOPE; the last prefix counts. */
static u16 amd_mnemonic(const ZydisDecodedInstruction *z)
{
	u8 last = 0;

	for (unsigned i = 0; i < z->raw.prefix_count; i++)
		if (z->raw.prefixes[i].value == 0xf2 || z->raw.prefixes[i].value == 0xf3)
			last = z->raw.prefixes[i].value;
	if (z->mnemonic == ZYDIS_MNEMONIC_LOOPE && last == 0xf2)
		return ZYDIS_MNEMONIC_LOOPNE;
	if (z->mnemonic == ZYDIS_MNEMONIC_LOOPNE && last == 0xf3)
		return ZYDIS_MNEMONIC_LOOPE;
	/* 0F 0D are prefetches of memory, and nothing else */
	if (z->opcode_map == ZYDIS_OPCODE_MAP_0F && z->opcode == 0x0d && z->raw.modrm.mod == 3)
		return ZYDIS_MNEMONIC_INVALID;
	return z->mnemonic;
}

enum decode_result decode_insn(const struct cpu *cpu, struct insn *in, const u8 *bytes, unsigned len, unsigned off,
                               enum code_mode mode, bool *ends)
{
	ZydisDecodedInstruction z;
	ZydisDecodedOperand ops[ZYDIS_MAX_OPERAND_COUNT];

	memset(in, 0, sizeof *in);
	in->off = off;
	*ends = false;
	bool amd = model_is_amd(cpu->model), cr8 = false;
	ZyanStatus status = ZydisDecoderDecodeFull(decode_zydis(cpu, mode), bytes, len, &z, ops);
	if (unlikely(amd)) {
		u8 copy[15];
		if (status == ZYDIS_STATUS_ILLEGAL_LOCK && amd_locked(copy, &cr8, bytes, len, mode))
			status = ZydisDecoderDecodeFull(decode_zydis(cpu, mode), copy, len, &z, ops);
		else if (amd_undefined(bytes, len, mode))
			status = ZYDIS_STATUS_DECODING_ERROR;
	}
	if (status == ZYDIS_STATUS_NO_MORE_DATA && len < 15)
		return DECODE_MORE;
	if (!ZYAN_SUCCESS(status)) {
		in->exec = status == ZYDIS_STATUS_INSTRUCTION_TOO_LONG || status == ZYDIS_STATUS_NO_MORE_DATA ? op_too_long : op_undefined;
		in->len = 1;
		*ends = true;
		return DECODE_BAD;
	}
	in->len = z.length;
	in->osize = z.operand_width / 8;
	if (unlikely(amd && mode == CODE64 && amd_short(&z)))
		amd_shorten(in, &ops[0]);
	in->asize = z.address_width / 8;
	in->opcode = z.opcode;
	in->mnemonic = amd ? amd_mnemonic(&z) : z.mnemonic;
	in->prefix = (z.attributes & ZYDIS_ATTRIB_HAS_LOCK ? INSN_LOCK : 0) |
	             (z.attributes & (ZYDIS_ATTRIB_HAS_REP | ZYDIS_ATTRIB_HAS_REPE) ? INSN_REP : 0) |
	             (z.attributes & ZYDIS_ATTRIB_HAS_REPNE ? INSN_REPNE : 0) | (z.raw.rex.W ? INSN_REXW : 0);
	fill_operands(in, &z, ops, mode);
	if (unlikely(cr8))
		in->r[ops[0].type == ZYDIS_OPERAND_TYPE_REGISTER && match_register(O_CR, ops[0].reg.value, 0) ? 0 : 1] = 8;
	if (z.opcode_map == ZYDIS_OPCODE_MAP_DEFAULT && (z.opcode & 0xf8) == 0xd8) /* x87: what FOP is made of */
		in->imm = z.raw.modrm.mod << 6 | z.raw.modrm.reg << 3 | z.raw.modrm.rm;
	bool far = z.meta.branch_type == ZYDIS_BRANCH_TYPE_FAR;
	for (unsigned f = catalogue.first[in->mnemonic]; f < catalogue.first[in->mnemonic + 1]; f++) {
		const struct form *form = &catalogue.form[f];
		unsigned i = 0;
		while (i < z.operand_count_visible && i < ARRAY_LEN(form->op) && form->op[i] && match(form->op[i], &ops[i]))
			i++;
		if (i < MIN(z.operand_count_visible, (u8)ARRAY_LEN(form->op)) || (i < ARRAY_LEN(form->op) && form->op[i]))
			continue;
		if (form->flags & (cpu->flavour == FLAVOUR_AMD ? FORM_INTEL : FORM_AMD))
			continue;
		if (((form->flags & FORM_NO64) && mode == CODE64) || !cpu_does(cpu, form->feature) || !(form->flags & FORM_FAR) == far)
			continue;
		in->form = f;
		in->exec = form->exec;
		*ends = form->flags & FORM_END;
		return DECODE_OK;
	}
	in->exec = op_undefined;
	in->mnemonic = ZYDIS_MNEMONIC_INVALID; /* whatever its bytes look like to others */
	*ends = true;
	return DECODE_BAD;
}

void insn_text(char *text, size_t size, const u8 *bytes, unsigned len, enum code_mode mode, u64 rip)
{
	ZydisDecodedInstruction z;
	ZydisDecodedOperand ops[ZYDIS_MAX_OPERAND_COUNT];
	ZydisFormatter formatter;

	pthread_once(&once, catalogue_init);
	ZydisFormatterInit(&formatter, ZYDIS_FORMATTER_STYLE_INTEL);
	if (!ZYAN_SUCCESS(ZydisDecoderDecodeFull(&catalogue.decoder[0][mode], bytes, len, &z, ops)) ||
	    !ZYAN_SUCCESS(ZydisFormatterFormatInstruction(&formatter, &z, ops, z.operand_count_visible, text, size, rip, NULL)))
		snprintf(text, size, "(bad)");
}
