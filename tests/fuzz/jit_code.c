/* SPDX-License-Identifier: MIT */
/* Inputs for the fuzzer of the translator: instructions of every map and mode, most of them valid, with prefixes that may mean
 * nothing, addresses that mostly lie in the data, branches that mostly stay near. */
#include <Zydis/Zydis.h>

#include "tests/fuzz/jit_fuzz.h"

static ZydisDecoder decoder[3];

static void prepare(void)
{
	if (decoder[0].stack_width)
		return;
	ZydisDecoderInit(&decoder[1], ZYDIS_MACHINE_MODE_LEGACY_32, ZYDIS_STACK_WIDTH_32);
	ZydisDecoderInit(&decoder[2], ZYDIS_MACHINE_MODE_LONG_64, ZYDIS_STACK_WIDTH_64);
	ZydisDecoderInit(&decoder[0], ZYDIS_MACHINE_MODE_LEGACY_16, ZYDIS_STACK_WIDTH_16);
}

static unsigned prefixes(struct chance *r, u8 *p, unsigned bits)
{
	static const u8 all[] = {0x66, 0x66, 0x66, 0x67, 0xf2, 0xf3, 0xf3, 0xf0, 0xf0, 0x26, 0x2e, 0x36, 0x3e, 0x64, 0x65};
	unsigned n = 0;

	while (n < 4 && chance_percent(r, 28))
		p[n++] = all[chance_below(r, ARRAY_LEN(all))];
	if (bits == 64 && chance_percent(r, 50))
		p[n++] = 0x40 | chance_below(r, 16);
	return n;
}

/* Bytes that begin like an instruction; what is behind them is anything. */
static void shape(struct chance *r, u8 *p, unsigned bits, unsigned base)
{
	unsigned n = prefixes(r, p, bits), map = chance_below(r, 100);

	if (map >= 55)
		p[n++] = 0x0f;
	if (map >= 90)
		p[n++] = map >= 95 ? 0x38 : 0x3a;
	n++; /* the opcode */
	/* the ModRM byte */
	if (chance_percent(r, 40))
		p[n] |= 0xc0;
	else if (chance_percent(r, 80))
		p[n] = (p[n] & 0x3f) | 0x40;
	if (p[n] < 0xc0 && chance_percent(r, 50)) /* near what others access */
		p[n] = (p[n] & ~7) | base;
	p[n + 1 + chance_below(r, 3)] &= 0x3f; /* a small displacement or count */
}

/* Ends a block, or the whole. */
static bool is_rare(const ZydisDecodedInstruction *z)
{
	switch (z->meta.category) {
	case ZYDIS_CATEGORY_SYSTEM: case ZYDIS_CATEGORY_INTERRUPT: case ZYDIS_CATEGORY_SYSCALL: case ZYDIS_CATEGORY_SYSRET:
	case ZYDIS_CATEGORY_RET:
	case ZYDIS_CATEGORY_CALL:
	case ZYDIS_CATEGORY_UNCOND_BR:
	case ZYDIS_CATEGORY_IO:
	case ZYDIS_CATEGORY_IOSTRINGOP: return true;
	default:
		return z->encoding != ZYDIS_INSTRUCTION_ENCODING_LEGACY;
	}
}

static void near_operands(struct chance *r, u8 *p, const ZydisDecodedInstruction *z, const ZydisDecodedOperand *op)
{
	for (unsigned i = 0; i < z->operand_count_visible; i++) {
		bool absolute = op[i].type == ZYDIS_OPERAND_TYPE_MEMORY &&
		                (op[i].mem.base == ZYDIS_REGISTER_NONE || op[i].mem.base == ZYDIS_REGISTER_RIP);
		u32 at = AT_DATA + chance_below(r, DATA_SIZE);
		if (z->raw.disp.size == 32)
			store32(p + z->raw.disp.offset, !absolute                              ? chance_below(r, 256)
			                                : op[i].mem.base == ZYDIS_REGISTER_RIP ? at - AT_CODE
			                                                                       : at);
		if (op[i].type == ZYDIS_OPERAND_TYPE_IMMEDIATE && op[i].imm.is_relative && z->raw.imm[0].size >= 8) {
			i32 to = (i32)chance_below(r, 60) - 40;
			for (unsigned k = 0; k < z->raw.imm[0].size / 8; k++)
				p[z->raw.imm[0].offset + k] = to >> k * 8;
		}
	}
}

/* One instruction; its length. */
static unsigned instruction(struct chance *r, u8 *p, unsigned bits, unsigned base)
{
	for (unsigned tries = 0; tries < 40; tries++) {
		ZydisDecodedInstruction z;
		ZydisDecodedOperand op[ZYDIS_MAX_OPERAND_COUNT];
		store64(p, chance_next(r));
		store64(p + 8, chance_next(r));
		shape(r, p, bits, base);
		if (!ZYAN_SUCCESS(ZydisDecoderDecodeFull(&decoder[bits / 32], p, 15, &z, op)))
			continue;
		if (is_rare(&z) && chance_percent(r, 85))
			continue;
		near_operands(r, p, &z, op);
		return z.length;
	}
	return 1 + chance_below(r, 8); /* none */
}

static void header(struct chance *r, struct jit_input *input)
{
	*input = (struct jit_input){.mode = chance_below(r, JIT_MODES), .seed = chance_next(r)};
	input->flags = chance_next(r) & chance_next(r) & ~INPUT_USER;
	input->flags |= chance_next(r) & INPUT_USER;
	input->entry = chance_percent(r, 50) ? 0 : chance_next(r);
}

/* Sequences of registers that hold addresses and a loop around them are what translations are made of. */
static size_t fresh(struct chance *r, u8 *data, size_t max)
{
	u8 code[JIT_INPUT_CODE + 32] = {0};
	struct jit_input input;
	unsigned n = 0, want = 1 + chance_below(r, 24), loop = chance_percent(r, 40), base = chance_below(r, 8);

	header(r, &input);
	for (unsigned i = 0; i < want && n + 20 < JIT_INPUT_CODE; i++)
		n += instruction(r, code + n, jit_mode_bits(input.mode), base);
	if (loop && n < 126) {
		code[n] = 0xe0 + chance_below(r, 3); /* LOOPNE, LOOPE, LOOP */
		code[n + 1] = -(n + 2);
		n += 2;
	}
	n = MIN(n, max - sizeof input);
	memcpy(data, &input, sizeof input);
	memcpy(data + sizeof input, code, n);
	return sizeof input + n;
}

size_t jit_code_mutate(u8 *data, size_t size, size_t max, u32 seed)
{
	struct chance r = {seed * 0x9e3779b97f4a7c15ull};
	struct jit_input input;

	prepare();
	if (size < sizeof input + 1 || chance_percent(&r, 60))
		return fresh(&r, data, max);
	memcpy(&input, data, sizeof input);
	u8 *code = data + sizeof input, insn[16];
	size_t n = size - sizeof input, at = chance_below(&r, n);
	switch (chance_below(&r, 7)) {
	case 0: code[at] ^= 1u << chance_below(&r, 8); break;
	case 1: code[at] = chance_next(&r); break;
	case 2: input.mode = chance_below(&r, JIT_MODES); break;
	case 3: input.flags ^= 1u << chance_below(&r, 7); break;
	case 4: input.seed = chance_next(&r); break;
	case 5: input.entry = chance_next(&r); break;
	default: { /* an instruction in front of what is there */
		unsigned len = instruction(&r, insn, jit_mode_bits(input.mode % JIT_MODES), chance_below(&r, 8));
		if (size + len <= max && n + len <= JIT_INPUT_CODE) {
			memmove(code + at + len, code + at, n - at);
			memcpy(code + at, insn, len);
			size += len;
		}
	}
	}
	memcpy(data, &input, sizeof input);
	return size;
}
