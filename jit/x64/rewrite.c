/* SPDX-License-Identifier: MIT */
/* Instructions that touch registers, flags and one memory operand: the same opcode again, with the registers and the address that
 * stand for the guest's. A table says which ones, and what they do with the flags.
 *
 * NOT IMPLEMENTED: (these run in the interpreter) AH..BH operands where the host has no BMI2, x87, MMX, string instructions,
 * everything of the system. */
#include "cpu/flags.h"
#include "cpu/model.h"
#include "jit/x64/hostcpu.h"
#include "jit/x64/x64.h"

#define M(name) ZYDIS_MNEMONIC_##name

enum kind {
	K_NONE,  /* not rewritten here */
	K_PLAIN, /* leaves the flags alone */
	K_FULL,  /* sets all of them, also those that the manual leaves undefined; reads none */
	K_READ,  /* reads them */
	K_PART,  /* sets some, or sets them depending on a count, or reads and sets them */
	K_SHIFT, /* K_FULL if the count is a constant, and not 0 */
	K_VOID,  /* nothing to do at all */
};

static const u8 kinds[ZYDIS_MNEMONIC_MAX_VALUE + 1] = {
	[M(MOV)] = K_PLAIN, [M(MOVZX)] = K_PLAIN, [M(MOVSX)] = K_PLAIN, [M(MOVSXD)] = K_PLAIN, [M(NOT)] = K_PLAIN,
	[M(XCHG)] = K_PLAIN, [M(BSWAP)] = K_PLAIN, [M(MOVNTI)] = K_PLAIN, [M(MOVBE)] = K_PLAIN, [M(CRC32)] = K_PLAIN,
	[M(ADD)] = K_FULL, [M(SUB)] = K_FULL, [M(AND)] = K_FULL, [M(OR)] = K_FULL, [M(XOR)] = K_FULL, [M(CMP)] = K_FULL,
	[M(TEST)] = K_FULL, [M(NEG)] = K_FULL, [M(XADD)] = K_FULL, [M(IMUL)] = K_FULL, [M(POPCNT)] = K_FULL, [M(LZCNT)] = K_FULL,
	[M(TZCNT)] = K_FULL,
	[M(ADC)] = K_PART, [M(SBB)] = K_PART, [M(INC)] = K_PART, [M(DEC)] = K_PART, [M(BT)] = K_PART, [M(BTS)] = K_PART,
	[M(BTR)] = K_PART, [M(BTC)] = K_PART, [M(BSF)] = K_PART, [M(BSR)] = K_PART, [M(ROL)] = K_PART, [M(ROR)] = K_PART,
	[M(RCL)] = K_PART, [M(RCR)] = K_PART, [M(SHLD)] = K_PART, [M(SHRD)] = K_PART, [M(ADCX)] = K_PART, [M(ADOX)] = K_PART,
	[M(CLC)] = K_PART, [M(STC)] = K_PART, [M(CMC)] = K_PART,
	[M(SHL)] = K_SHIFT, [M(SHR)] = K_SHIFT, [M(SAR)] = K_SHIFT,
	[M(CMOVO)] = K_READ, [M(CMOVNO)] = K_READ, [M(CMOVB)] = K_READ, [M(CMOVNB)] = K_READ, [M(CMOVZ)] = K_READ,
	[M(CMOVNZ)] = K_READ, [M(CMOVBE)] = K_READ, [M(CMOVNBE)] = K_READ, [M(CMOVS)] = K_READ, [M(CMOVNS)] = K_READ,
	[M(CMOVP)] = K_READ, [M(CMOVNP)] = K_READ, [M(CMOVL)] = K_READ, [M(CMOVNL)] = K_READ, [M(CMOVLE)] = K_READ,
	[M(CMOVNLE)] = K_READ,
	[M(SETO)] = K_READ, [M(SETNO)] = K_READ, [M(SETB)] = K_READ, [M(SETNB)] = K_READ, [M(SETZ)] = K_READ, [M(SETNZ)] = K_READ,
	[M(SETBE)] = K_READ, [M(SETNBE)] = K_READ, [M(SETS)] = K_READ, [M(SETNS)] = K_READ, [M(SETP)] = K_READ, [M(SETNP)] = K_READ,
	[M(SETL)] = K_READ, [M(SETNL)] = K_READ, [M(SETLE)] = K_READ, [M(SETNLE)] = K_READ,
	[M(NOP)] = K_VOID, [M(PAUSE)] = K_VOID, [M(PREFETCH)] = K_VOID, [M(PREFETCHNTA)] = K_VOID, [M(PREFETCHT0)] = K_VOID,
	[M(PREFETCHT1)] = K_VOID,
	[M(PREFETCHT2)] = K_VOID, [M(PREFETCHW)] = K_VOID, [M(PREFETCHWT1)] = K_VOID,
};

/* What the guest's CPU model may offer though this host has it not. */
static bool host_knows(const ZydisDecodedInstruction *z)
{
	switch (z->mnemonic) {
	case M(POPCNT): return hostcpu_has(HOST_POPCNT);
	case M(LZCNT): return hostcpu_has(HOST_LZCNT);
	case M(TZCNT): return hostcpu_has(HOST_BMI1);
	case M(MOVBE): return hostcpu_has(HOST_MOVBE);
	case M(CRC32): return hostcpu_has(HOST_SSE4_2);
	case M(ADCX): case M(ADOX): return hostcpu_has(HOST_ADX);
	default: break;
	}
	switch (z->meta.isa_ext) {
	case ZYDIS_ISA_EXT_SSE3: return hostcpu_has(HOST_SSE3);
	case ZYDIS_ISA_EXT_SSSE3: return hostcpu_has(HOST_SSSE3);
	case ZYDIS_ISA_EXT_SSE4: return hostcpu_has(HOST_SSE4_2);
	case ZYDIS_ISA_EXT_AES: return hostcpu_has(HOST_AES);
	case ZYDIS_ISA_EXT_PCLMULQDQ: return hostcpu_has(HOST_PCLMULQDQ);
	case ZYDIS_ISA_EXT_SHA: return hostcpu_has(HOST_SHA);
	default: return true;
	}
}

/* SSE: everything between XMM registers, general registers and memory, but for what is not the same on every host (the
 * approximations), touches MXCSR as a value, or has operands that are not named. */
static enum kind vector_kind(const ZydisDecodedInstruction *z)
{
	switch (z->mnemonic) {
	case M(RCPPS): case M(RCPSS): case M(RSQRTPS): case M(RSQRTSS): case M(MASKMOVDQU): case M(LDMXCSR): case M(STMXCSR):
	case M(CVTPI2PS): case M(CVTPI2PD): /* enter MMX mode */
	case M(FISTTP): /* came with SSE3 */
	case M(PCMPESTRI): case M(PCMPESTRM): case M(PCMPISTRI): case M(PCMPISTRM): case M(CLFLUSH): case M(MONITOR): case M(MWAIT):
		return K_NONE;
	case M(PTEST): case M(COMISD): case M(COMISS): case M(UCOMISD): case M(UCOMISS):
		return K_FULL;
	default:
		break;
	}
	switch (z->meta.isa_ext) {
	case ZYDIS_ISA_EXT_SSE: case ZYDIS_ISA_EXT_SSE2: case ZYDIS_ISA_EXT_SSE3: case ZYDIS_ISA_EXT_SSSE3: case ZYDIS_ISA_EXT_SSE4:
	case ZYDIS_ISA_EXT_AES: case ZYDIS_ISA_EXT_PCLMULQDQ: case ZYDIS_ISA_EXT_SHA:
		return z->operand_count_visible ? K_PLAIN : K_NONE;
	default:
		return K_NONE;
	}
}

bool rewrite_uses_vectors(const ZydisDecodedInstruction *z)
{
	return jit_options.sse && kinds[z->mnemonic] == K_NONE && z->encoding == ZYDIS_INSTRUCTION_ENCODING_LEGACY &&
	       vector_kind(z) != K_NONE && host_knows(z);
}

/* What the manual leaves undefined, AMD's CPUs leave as it is. */
static bool leaves_flags(const ZydisDecodedInstruction *z)
{
	return z->mnemonic == M(IMUL) || z->mnemonic == M(LZCNT) || z->mnemonic == M(TZCNT);
}

static enum kind kind_of(const struct context *c)
{
	const ZydisDecodedInstruction *z = &c->z;
	enum kind kind = kinds[z->mnemonic];

	if (kind == K_NONE)
		kind = vector_kind(z);
	if (c->cpu->flavour == FLAVOUR_AMD && leaves_flags(z))
		return K_PART;
	if (kind != K_SHIFT)
		return kind;
	unsigned count = z->opcode == 0xc0 || z->opcode == 0xc1 ? z->raw.imm[0].value.u & (z->operand_width == 64 ? 63 : 31)
	                                                        : z->opcode < 0xd2;
	return count ? K_FULL : K_PART;
}

/* Of what the address of a memory operand must be a multiple here. SSE's are where they are not said to be unaligned, else they
 * fault. Locked ones too: one that lies in two cache lines locks all of the host's memory for everybody, and hosts may be set up to
 * slow down or end who does it (SDM vol. 3A 9.1.2.3). The interpreter has another way. */
static unsigned boundary_of(const ZydisDecodedInstruction *z, unsigned size, bool locked)
{
	if (locked || z->mnemonic == M(XCHG))
		return size;
	if (size < 16 || z->mnemonic == M(MOVUPS) || z->mnemonic == M(MOVUPD) || z->mnemonic == M(MOVDQU) || z->mnemonic == M(LDDQU))
		return 0;
	return size;
}

/* A register operand of the instruction to be emitted. */
struct place {
	const ZydisDecodedOperand *op;
	int guest;       /* its number; -1: none */
	bool vector;
	bool high;       /* AH..BH */
	bool write_back; /* to memory */
	bool rotated;    /* its home: the high byte is the lowest */
};

/* As far as it can be rewritten: else false. */
static bool place_find(struct place *p)
{
	unsigned id = ZydisRegisterGetId(p->op->reg.value);

	p->guest = -1;
	p->vector = p->high = false;
	if (p->op->type != ZYDIS_OPERAND_TYPE_REGISTER)
		return false;
	switch (ZydisRegisterGetClass(p->op->reg.value)) {
	case ZYDIS_REGCLASS_GPR8:
		p->high = id >= 4 && id < 8;
		p->guest = id < 4 ? id : id - 4;
		return !p->high || (jit_options.high && hostcpu_has(HOST_BMI2));
	case ZYDIS_REGCLASS_GPR16: case ZYDIS_REGCLASS_GPR32: case ZYDIS_REGCLASS_GPR64: p->guest = id; return true;
	case ZYDIS_REGCLASS_XMM: p->vector = true; p->guest = id; return true;
	default: return false;
	}
}

/* The vector registers must hold the guest's values. Where that cannot be, the instruction is the interpreter's. */
void rewrite_need_vectors(struct context *c)
{
	if (c->vectors)
		return;
	flags_clobber(c);
	emit_op(c->e, 0, MAP_1, 0x80, 7, CPU(jit.vectors));
	emit_byte(c->e, 0);
	struct slow *s = memory_slow_if(c, CC_E);
	s->load = c->jit->stubs.load_vectors;
	s->back = c->e->p;
	c->vectors = true;
}

/* An operand of 16 bits, where the mnemonic has other sizes too. */
static bool word_sized(const struct context *c)
{
	const ZydisDecodedInstruction *z = &c->z;

	for (unsigned i = 0; i < z->operand_count_visible; i++)
		if (c->op[i].size == 16 && c->op[i].type != ZYDIS_OPERAND_TYPE_IMMEDIATE)
			return kinds[z->mnemonic] != K_NONE && z->operand_width == 16;
	return false;
}

/* Prefixes are not copied: what the guest's stand for is said as 64-bit code says it, and those without a meaning are left out. */
static unsigned prefix_flags(const struct context *c)
{
	const ZydisDecodedInstruction *z = &c->z;
	unsigned flags = (z->raw.rex.W ? OP_W : 0) | (word_sized(c) ? OP_66 : 0);

	if ((z->attributes & ZYDIS_ATTRIB_HAS_LOCK) && x64_locks(c))
		flags |= OP_LOCK;
	for (unsigned i = 0; i < z->raw.prefix_count; i++) {
		if (z->raw.prefixes[i].type != ZYDIS_PREFIX_TYPE_MANDATORY)
			continue;
		switch (z->raw.prefixes[i].value) {
		case 0x66: flags |= OP_66; break;
		case 0xf2: flags |= OP_F2; break;
		case 0xf3: flags |= OP_F3; break;
		default: break;
		}
	}
	return flags;
}

/* The same instruction's opcode in 64-bit code. 82 is another 80, which is left out there. */
static u8 opcode_of(const ZydisDecodedInstruction *z)
{
	return z->opcode_map == ZYDIS_OPCODE_MAP_DEFAULT && z->opcode == 0x82 ? 0x80 : z->opcode;
}

static void immediates(struct context *c)
{
	for (unsigned i = 0; i < 2; i++)
		for (unsigned bits = 0; bits < c->z.raw.imm[i].size; bits += 8)
			emit_byte(c->e, c->z.raw.imm[i].value.u >> bits);
}

static void flags_before(struct context *c, enum kind kind)
{
	if (kind == K_READ || kind == K_PART)
		flags_restore(c);
}

static void flags_after(struct context *c, enum kind kind)
{
	if (kind == K_FULL || kind == K_PART)
		flags_written(c);
}

static bool writes(const struct place *p)
{
	return p->op->actions & ZYDIS_OPERAND_ACTION_MASK_WRITE;
}

/* Into a host register: its own, or the scratch one. AH..BH become the lowest byte without touching a flag: a copy, or, to be
 * written, the register itself. All four have homes. */
static unsigned place_register(struct context *c, struct place *p, unsigned scratch)
{
	if (p->vector)
		return p->guest;
	if (p->high) {
		p->rotated = writes(p);
		unsigned to = p->rotated ? x64_home[p->guest] : scratch;
		emit_rorx(c->e, to, x64_home[p->guest], 8);
		return to;
	}
	if (x64_home[p->guest] != NO_HOME)
		return x64_home[p->guest];
	bool bits = c->z.mnemonic == M(BSF) || c->z.mnemonic == M(BSR); /* of 0 they write nothing */
	bool whole = !(p->op->actions & (ZYDIS_OPERAND_ACTION_MASK_READ | ZYDIS_OPERAND_ACTION_CONDWRITE)) &&
	             p->op->size >= 32 && !bits;
	if (!whole)
		emit_load(c->e, scratch, x64_gpr(p->guest));
	p->write_back = p->op->actions & ZYDIS_OPERAND_ACTION_MASK_WRITE;
	return scratch;
}

static void place_done(struct context *c, const struct place *p, unsigned scratch)
{
	if (p->write_back)
		emit_store(c->e, x64_gpr(p->guest), scratch);
	if (p->rotated)
		emit_rorx(c->e, x64_home[p->guest], x64_home[p->guest], 56);
}

/* Both operands are registers of the same number, and one of them is AH..BH. False: left to the interpreter. */
static bool place_pair(struct context *c, struct place *reg, struct place *rm, unsigned *reg_field, struct rm *where)
{
	if (writes(reg) && writes(rm))
		return false;
	struct place *high = rm->high ? rm : reg, *low = rm->high ? reg : rm;
	if (low->high) {
		*reg_field = place_register(c, writes(rm) ? rm : reg, S0);
		*where = rm_reg(*reg_field);
		return true;
	}
	unsigned other = x64_home[low->guest];
	if (writes(high)) { /* the other one is gone then */
		emit_mov(c->e, S0, other);
		other = S0;
	}
	unsigned is_high = place_register(c, high, S1);
	*reg_field = reg->high ? is_high : other;
	*where = rm_reg(rm->high ? is_high : other);
	return true;
}

static bool addressed_by(const ZydisDecodedOperand *op, const struct place *p)
{
	return (op->mem.base != ZYDIS_REGISTER_NONE && ZydisRegisterGetId(op->mem.base) == p->guest) ||
	       (op->mem.index != ZYDIS_REGISTER_NONE && ZydisRegisterGetId(op->mem.index) == p->guest);
}

/* op AL/AX/EAX/RAX, immediate: the accumulator is elsewhere, so it takes the long form. */
static bool accumulator(struct context *c, enum kind kind, unsigned flags)
{
	const ZydisDecodedInstruction *z = &c->z;
	bool test = z->opcode == 0xa8 || z->opcode == 0xa9, byte = !(z->opcode & 1);

	if (z->opcode_map != ZYDIS_OPCODE_MAP_DEFAULT || !(test || (z->opcode < 0x40 && (z->opcode & 7) >= 4 && (z->opcode & 7) < 6)))
		return false;
	flags_before(c, kind);
	emit_op(c->e, flags | (byte ? OP_BYTE_RM : 0), MAP_1, (test ? 0xf6 : 0x80) | !byte, test ? 0 : z->opcode >> 3, x64_gpr(RAX));
	immediates(c);
	flags_after(c, kind);
	c->keep = true;
	return true;
}

/* The register is part of the opcode: MOV r, imm and BSWAP. */
static bool opcode_register(struct context *c, unsigned flags)
{
	const ZydisDecodedInstruction *z = &c->z;
	bool bswap = z->mnemonic == M(BSWAP), byte = !bswap && z->opcode < 0xb8;
	struct place p = {.op = &c->op[0]};

	if ((!bswap && z->mnemonic != M(MOV)) || !place_find(&p) || (bswap && z->operand_width == 16))
		return false;
	unsigned r = place_register(c, &p, S0);
	c->keep = true;
	if (flags & OP_66)
		emit_byte(c->e, 0x66);
	unsigned rex = ((flags & OP_W) ? 8 : 0) | r >> 3;
	if (rex || (byte && r >= 4))
		emit_byte(c->e, 0x40 | rex);
	if (bswap)
		emit_byte(c->e, 0x0f);
	emit_byte(c->e, (z->opcode & 0xf8) | (r & 7));
	immediates(c);
	place_done(c, &p, S0);
	return true;
}

static const ZydisDecodedOperand *encoded_as(struct context *c, ZydisOperandEncoding encoding)
{
	for (unsigned i = 0; i < c->z.operand_count_visible; i++)
		if (c->op[i].encoding == encoding)
			return &c->op[i];
	return NULL;
}

static bool opcode_map(const ZydisDecodedInstruction *z, enum op_map *map)
{
	switch (z->opcode_map) {
	case ZYDIS_OPCODE_MAP_DEFAULT: *map = MAP_1; return true;
	case ZYDIS_OPCODE_MAP_0F: *map = MAP_0F; return true;
	case ZYDIS_OPCODE_MAP_0F38: *map = MAP_0F38; return true;
	case ZYDIS_OPCODE_MAP_0F3A: *map = MAP_0F3A; return true;
	default: return false;
	}
}

/* With a ModRM byte. */
static bool modrm(struct context *c, enum kind kind, unsigned flags)
{
	const ZydisDecodedInstruction *z = &c->z;
	struct place reg = {.op = encoded_as(c, ZYDIS_OPERAND_ENCODING_MODRM_REG), .guest = -1};
	struct place rm = {.op = encoded_as(c, ZYDIS_OPERAND_ENCODING_MODRM_RM), .guest = -1};
	unsigned reg_field = z->raw.modrm.reg;
	enum op_map map;
	struct rm where;

	if (!rm.op || !opcode_map(z, &map) || !verify_again(c, flags, map, opcode_of(z)))
		return false;
	if (reg.op && !place_find(&reg))
		return false;
	bool memory = rm.op->type == ZYDIS_OPERAND_TYPE_MEMORY;
	if (memory ? reg.high && writes(&reg) && addressed_by(rm.op, &reg) : !place_find(&rm))
		return false;
	unsigned size = rm.op->size / 8;
	if (memory && size != 1 && size != 2 && size != 4 && size != 8 && size != 16)
		return false;
	/* a bit string in memory reaches beyond its operand */
	bool bits = reg.op && (z->mnemonic == M(BT) || z->mnemonic == M(BTS) || z->mnemonic == M(BTR) || z->mnemonic == M(BTC));
	if (memory && bits)
		return false;
	if ((z->attributes & ZYDIS_ATTRIB_HAS_LOCK) && !memory)
		return false;
	if (kinds[z->mnemonic] == K_NONE) /* also where only MXCSR counts: CVTSD2SI r, m */
		rewrite_need_vectors(c);
	if (rm.high && rm.guest == RCX && (z->opcode == 0xd2 || z->opcode == 0xd3)) /* the count is in CL */
		return false;
	bool pair = (rm.high || reg.high) && reg.guest == rm.guest;
	if (pair) {
		if (!place_pair(c, &reg, &rm, &reg_field, &where))
			return false;
	} else if (memory) {
		if (!memory_operand(c, rm.op, size, writes(&rm), boundary_of(z, size, flags & OP_LOCK)))
			return false;
		where = c->at;
	} else if (!rm.vector && x64_home[rm.guest] == NO_HOME && !bits && !writes(&rm)) {
		where = x64_gpr(rm.guest);
	} else {
		where = rm_reg(place_register(c, &rm, S0));
	}
	/* what is only loaded needs no second scratch register */
	bool only_loaded = memory && kind == K_PLAIN && reg.op && !reg.vector && reg.op->size >= 32 &&
	                   !(reg.op->actions & ZYDIS_OPERAND_ACTION_MASK_READ);
	unsigned scratch = only_loaded ? S0 : S1;
	if (reg.op && !pair)
		reg_field = place_register(c, &reg, scratch);
	c->keep = (reg_field != S1 || reg.vector || !reg.op) && !pair;
	flags_before(c, kind);
	if (reg.op && !reg.vector && reg.op->size == 8)
		flags |= OP_BYTE_REG;
	if (!memory && !rm.vector && rm.op->size == 8)
		flags |= OP_BYTE_RM;
	emit_op(c->e, flags, map, opcode_of(z), reg_field, where);
	immediates(c);
	place_done(c, &reg, scratch);
	place_done(c, &rm, S0);
	flags_after(c, kind);
	return true;
}

static bool plain(struct context *c)
{
	const ZydisDecodedInstruction *z = &c->z;
	enum kind kind = kind_of(c);
	unsigned flags = prefix_flags(c);

	if (kinds[z->mnemonic] == K_NONE && !jit_options.sse)
		return false;
	if (kind == K_NONE || z->encoding != ZYDIS_INSTRUCTION_ENCODING_LEGACY || !host_knows(z))
		return false;
	if (z->mnemonic == M(MOVSXD) && z->operand_width == 16) /* how much it reads is the vendor's */
		return false;
	if (kind == K_VOID)
		return z->mnemonic != M(PAUSE) || c->cpu->count == 1; /* among several it may let others run */
	if (!z->operand_count_visible) { /* CLC, STC, CMC */
		flags_before(c, kind);
		emit_byte(c->e, z->opcode);
		flags_after(c, kind);
		return true;
	}
	if (c->op[0].encoding == ZYDIS_OPERAND_ENCODING_OPCODE)
		return opcode_register(c, flags);
	if (!(z->attributes & ZYDIS_ATTRIB_HAS_MODRM))
		return accumulator(c, kind, flags);
	/* one operand: RAX and RDX take part (special.c) */
	if (z->mnemonic == M(IMUL) && z->operand_count_visible == 1)
		return false;
	return modrm(c, kind, flags);
}

bool rewrite(struct context *c)
{
	if (c->legacy)
		return legacy_rewrite(c) || plain(c) || special_rewrite(c) || x87_rewrite(c);
	return plain(c) || special_rewrite(c) || stack_rewrite(c) || system_rewrite(c) || x87_rewrite(c) || flow_rewrite(c);
}
