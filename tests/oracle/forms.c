/* SPDX-License-Identifier: MIT */
/* The forms of instructions, enumerated from the opcode maps: every opcode of the one-byte, 0F, 0F38 and 0F3A maps under every
 * prefix that can change its meaning and every ModRM byte, decoded in 64-, 32- and 16-bit mode. What decodes alike (same
 * operation, same kinds and sizes of operands, same class of prefix) is one form. Nothing here knows what the emulator has.
 *
 * Whether a form belongs to the supported set follows from its ISA set; those outside keep the reason. VEX, EVEX, XOP and 3DNow!
 * encodings are other maps, wholly outside the set, and are not walked. */
#include "tests/oracle/oracle.h"

#include <stdlib.h>

#include "base/err.h"

/* ISA sets of the supported set; every other one is outside, by default as "not offered". */
static const u16 supported[] = {
	ZYDIS_ISA_SET_I86, ZYDIS_ISA_SET_I186, ZYDIS_ISA_SET_I286PROTECTED, ZYDIS_ISA_SET_I286REAL, ZYDIS_ISA_SET_I386,
	ZYDIS_ISA_SET_I486, ZYDIS_ISA_SET_I486REAL, ZYDIS_ISA_SET_PENTIUMREAL, ZYDIS_ISA_SET_PENTIUMMMX, ZYDIS_ISA_SET_PPRO,
	ZYDIS_ISA_SET_CMOV, ZYDIS_ISA_SET_FCMOV, ZYDIS_ISA_SET_FXSAVE, ZYDIS_ISA_SET_FXSAVE64, ZYDIS_ISA_SET_LAHF,
	ZYDIS_ISA_SET_LONGMODE, ZYDIS_ISA_SET_SSE, ZYDIS_ISA_SET_SSEMXCSR, ZYDIS_ISA_SET_SSE_PREFETCH, ZYDIS_ISA_SET_SSE2,
	ZYDIS_ISA_SET_SSE2MMX, ZYDIS_ISA_SET_SSE3, ZYDIS_ISA_SET_SSE3X87, ZYDIS_ISA_SET_SSE4, ZYDIS_ISA_SET_SSE42,
	ZYDIS_ISA_SET_SSSE3, ZYDIS_ISA_SET_SSSE3MMX, ZYDIS_ISA_SET_POPCNT, ZYDIS_ISA_SET_CMPXCHG16B, ZYDIS_ISA_SET_AES,
	ZYDIS_ISA_SET_PCLMULQDQ, ZYDIS_ISA_SET_SHA, ZYDIS_ISA_SET_MOVBE, ZYDIS_ISA_SET_ADOX_ADCX, ZYDIS_ISA_SET_CLFLUSHOPT,
	ZYDIS_ISA_SET_CLFSH, ZYDIS_ISA_SET_FAT_NOP, ZYDIS_ISA_SET_PAUSE, ZYDIS_ISA_SET_PREFETCH_NOP, ZYDIS_ISA_SET_X87,
	ZYDIS_ISA_SET_XSAVE, ZYDIS_ISA_SET_XSAVEOPT, ZYDIS_ISA_SET_XSAVEC, ZYDIS_ISA_SET_XSAVES, ZYDIS_ISA_SET_RDTSCP,
	ZYDIS_ISA_SET_RDWRFSGS, ZYDIS_ISA_SET_RDPMC, ZYDIS_ISA_SET_RDRAND, ZYDIS_ISA_SET_RDSEED, ZYDIS_ISA_SET_AMD,
	ZYDIS_ISA_SET_INVPCID, ZYDIS_ISA_SET_SMAP, ZYDIS_ISA_SET_SERIALIZE,
};

/* In the set, but not to be run on the host, or not comparable there. first_operand: register that makes it so, or 0. */
static const struct {
	u16 mnemonic;
	u16 first_operand;
	const char *reason;
} excluded[] = {
	{ZYDIS_MNEMONIC_SYSCALL, 0, "enters the host's kernel; tests/insn covers it"},
	{ZYDIS_MNEMONIC_SYSENTER, 0, "enters the host's kernel; tests/insn covers it"},
	{ZYDIS_MNEMONIC_SGDT, 0, "UMIP: the host's kernel emulates it with made-up values; tests/insn covers it"},
	{ZYDIS_MNEMONIC_SIDT, 0, "UMIP: the host's kernel emulates it with made-up values; tests/insn covers it"},
	{ZYDIS_MNEMONIC_SMSW, 0, "UMIP: the host's kernel emulates it with made-up values; tests/insn covers it"},
	{ZYDIS_MNEMONIC_SLDT, 0, "UMIP: the host's kernel emulates it with made-up values; tests/insn covers it"},
	{ZYDIS_MNEMONIC_STR, 0, "UMIP: the host's kernel emulates it with made-up values; tests/insn covers it"},
	{ZYDIS_MNEMONIC_RDFSBASE, 0, "FS holds the thread pointer of the host's C library; the GS forms stand for it"},
	{ZYDIS_MNEMONIC_WRFSBASE, 0, "FS holds the thread pointer of the host's C library; the GS forms stand for it"},
	{ZYDIS_MNEMONIC_LFS, 0, "FS holds the thread pointer of the host's C library; LGS stands for it"},
	{ZYDIS_MNEMONIC_POP, ZYDIS_REGISTER_FS, "FS holds the thread pointer of the host's C library; POP GS stands for it"},
	{ZYDIS_MNEMONIC_RSM, 0, "#UD outside system management mode, which the host may not know; tests/insn covers it"},
	{ZYDIS_MNEMONIC_INT1, 0, "the host's kernel takes its #DB for a trap of its own; tests/insn covers it"},
};

/* Outside by mnemonic although the ISA set is in: what Zydis files under a wide heading. */
static const struct {
	u16 mnemonic;
	const char *reason;
} outside[] = {
	{ZYDIS_MNEMONIC_FEMMS, "3DNow! is not offered"},
	{ZYDIS_MNEMONIC_SALC, NULL}, /* undocumented, yet everywhere: compared */
};

/* Never defined on the machines we are, so #UD both sides; nothing to learn and the bytes may mean something to a later host. */
static const char *const reason_not_offered =
	"not offered: outside x86-64-v2 + AES, PCLMULQDQ, SHA, MOVBE, ADX, CLFLUSHOPT, SERIALIZE";

static ZydisDecoder decoders[MODES];

static void decoders_init(void)
{
	static const struct {
		ZydisMachineMode machine;
		ZydisStackWidth stack;
	} by_mode[MODES] = {
		[M64] = {ZYDIS_MACHINE_MODE_LONG_64, ZYDIS_STACK_WIDTH_64},
		[M32] = {ZYDIS_MACHINE_MODE_LONG_COMPAT_32, ZYDIS_STACK_WIDTH_32},
		[M16] = {ZYDIS_MACHINE_MODE_LONG_COMPAT_16, ZYDIS_STACK_WIDTH_16},
	};
	static bool done;

	if (done)
		return;
	done = true;
	for (unsigned m = 0; m < MODES; m++) {
		ZydisDecoderInit(&decoders[m], by_mode[m].machine, by_mode[m].stack);
		/* MPX and CET instructions are reserved NOPs for a process that has them switched off */
		ZydisDecoderEnableMode(&decoders[m], ZYDIS_DECODER_MODE_MPX, ZYAN_FALSE);
		ZydisDecoderEnableMode(&decoders[m], ZYDIS_DECODER_MODE_CET, ZYAN_FALSE);
		ZydisDecoderEnableMode(&decoders[m], ZYDIS_DECODER_MODE_CLDEMOTE, ZYAN_FALSE);
	}
}

bool forms_decode(enum mode mode, const u8 *bytes, unsigned len, ZydisDecodedInstruction *z, ZydisDecodedOperand *op)
{
	decoders_init();
	if (!ZYAN_SUCCESS(ZydisDecoderDecodeInstruction(&decoders[mode], NULL, bytes, len, z)))
		return false;
	if (z->encoding != ZYDIS_INSTRUCTION_ENCODING_LEGACY ||
	    !ZYAN_SUCCESS(ZydisDecoderDecodeFull(&decoders[mode], bytes, len, z, op)))
		return false;
	/* Zydis 4.0 takes REX.B for a base register under 32-bit addressing, where base 5 without a displacement byte means none */
	if (z->raw.sib.offset && z->raw.sib.base == 5 && z->raw.modrm.mod == 0)
		for (unsigned i = 0; i < z->operand_count_visible; i++)
			if (op[i].type == ZYDIS_OPERAND_TYPE_MEMORY) {
				op[i].mem.base = ZYDIS_REGISTER_NONE;
				op[i].mem.disp.has_displacement = ZYAN_TRUE;
				op[i].mem.disp.value = z->raw.disp.value;
			}
	return true;
}

bool forms_decode_any(enum mode mode, const u8 *bytes, unsigned len, ZydisDecodedInstruction *z, ZydisDecodedOperand *op)
{
	decoders_init();
	return ZYAN_SUCCESS(ZydisDecoderDecodeFull(&decoders[mode], bytes, len, z, op));
}

void forms_text(enum mode mode, const u8 *bytes, unsigned len, char *text, size_t size)
{
	ZydisDecodedInstruction z;
	ZydisDecodedOperand op[ZYDIS_MAX_OPERAND_COUNT];
	ZydisFormatter formatter;

	ZydisFormatterInit(&formatter, ZYDIS_FORMATTER_STYLE_INTEL);
	if (!forms_decode(mode, bytes, len, &z, op) ||
	    !ZYAN_SUCCESS(ZydisFormatterFormatInstruction(&formatter, &z, op, z.operand_count_visible, text, size,
	                                                  mode == M16 ? CODE_AT : CODE_START, NULL)))
		snprintf(text, size, "(undefined)");
}

/* ---- identity ---- */

static u64 hash(u64 h, u64 v)
{
	h = (h ^ v) * 0x9e3779b97f4a7c15ull;
	return h ^ h >> 29;
}

static bool encoded_by(const ZydisDecodedInstruction *z, const ZydisDecodedOperand *op, ZydisOperandEncoding encoding)
{
	for (unsigned i = 0; i < z->operand_count; i++)
		if (op[i].encoding == encoding)
			return true;
	return false;
}

static bool ignores_reg(const ZydisDecodedInstruction *z)
{
	return z->opcode_map == ZYDIS_OPCODE_MAP_0F && (z->opcode & 0xf0) == 0x90;
}

static bool reg_is_free(const ZydisDecodedInstruction *z, const ZydisDecodedOperand *op)
{
	return encoded_by(z, op, ZYDIS_OPERAND_ENCODING_MODRM_REG) || ignores_reg(z);
}

static bool has_visible_memory(const ZydisDecodedInstruction *z, const ZydisDecodedOperand *op)
{
	for (unsigned i = 0; i < z->operand_count_visible; i++)
		if (op[i].type == ZYDIS_OPERAND_TYPE_MEMORY)
			return true;
	return false;
}

static bool has_hidden_memory(const ZydisDecodedInstruction *z, const ZydisDecodedOperand *op)
{
	for (unsigned i = z->operand_count_visible; i < z->operand_count; i++)
		if (op[i].type == ZYDIS_OPERAND_TYPE_MEMORY)
			return true;
	return false;
}

/* Where the address size is more than a way to name a location. */
static bool address_size_counts(const ZydisDecodedInstruction *z, const ZydisDecodedOperand *op)
{
	switch (z->mnemonic) {
	case ZYDIS_MNEMONIC_LEA: case ZYDIS_MNEMONIC_LOOP: case ZYDIS_MNEMONIC_LOOPE: case ZYDIS_MNEMONIC_LOOPNE:
	case ZYDIS_MNEMONIC_JCXZ: case ZYDIS_MNEMONIC_JECXZ: case ZYDIS_MNEMONIC_JRCXZ:
		return true;
	default:
		break;
	}
	if (has_visible_memory(z, op) && z->raw.modrm.offset == 0)
		return true; /* MOV with an absolute address */
	for (unsigned i = z->operand_count_visible; i < z->operand_count; i++)
		if (op[i].type == ZYDIS_OPERAND_TYPE_MEMORY && op[i].mem.segment != ZYDIS_REGISTER_SS)
			return true; /* strings, XLAT, MASKMOVQ */
	return false;
}

static const ZydisInstructionAttributes prefix_attributes =
	ZYDIS_ATTRIB_HAS_LOCK | ZYDIS_ATTRIB_HAS_REP | ZYDIS_ATTRIB_HAS_REPE | ZYDIS_ATTRIB_HAS_REPNE;

u64 forms_key(enum mode mode, const ZydisDecodedInstruction *z, const ZydisDecodedOperand *op)
{
	bool opcode_reg = encoded_by(z, op, ZYDIS_OPERAND_ENCODING_OPCODE);
	u64 h = hash(0, mode);

	h = hash(h, z->mnemonic);
	h = hash(h, z->opcode_map);
	h = hash(h, opcode_reg ? z->opcode & 0xf8 : z->opcode);
	h = hash(h, z->attributes & prefix_attributes);
	h = hash(h, z->operand_width);
	h = hash(h, address_size_counts(z, op) ? z->address_width : 0);
	if (z->raw.modrm.offset) {
		h = hash(h, 1 + (z->raw.modrm.mod == 3));
		h = hash(h, reg_is_free(z, op) ? FREE : z->raw.modrm.reg);
		h = hash(h, z->raw.modrm.mod != 3 || encoded_by(z, op, ZYDIS_OPERAND_ENCODING_MODRM_RM) ? FREE : z->raw.modrm.rm);
	}
	for (unsigned i = 0; i < z->operand_count; i++) {
		const ZydisDecodedOperand *o = &op[i];
		h = hash(h, (u64)o->type << 32 | (u64)o->visibility << 24 | o->size);
		h = hash(h, (u64)o->encoding << 8 | o->actions);
		if (o->type == ZYDIS_OPERAND_TYPE_REGISTER)
			h = hash(h, o->encoding == ZYDIS_OPERAND_ENCODING_NONE ? 1000 + o->reg.value
			                                                        : (unsigned)ZydisRegisterGetClass(o->reg.value));
		else if (o->type == ZYDIS_OPERAND_TYPE_MEMORY)
			h = hash(h, o->mem.type);
	}
	return h;
}

/* ---- names ---- */

static void operand_name(char *text, size_t size, const ZydisDecodedOperand *o)
{
	static const char *const class_name[ZYDIS_REGCLASS_MAX_VALUE + 1] = {
		[ZYDIS_REGCLASS_GPR8] = "r8", [ZYDIS_REGCLASS_GPR16] = "r16", [ZYDIS_REGCLASS_GPR32] = "r32",
		[ZYDIS_REGCLASS_GPR64] = "r64", [ZYDIS_REGCLASS_X87] = "st(i)", [ZYDIS_REGCLASS_MMX] = "mm",
		[ZYDIS_REGCLASS_XMM] = "xmm", [ZYDIS_REGCLASS_SEGMENT] = "sreg", [ZYDIS_REGCLASS_CONTROL] = "cr",
		[ZYDIS_REGCLASS_DEBUG] = "dr",
	};

	switch (o->type) {
	case ZYDIS_OPERAND_TYPE_REGISTER: {
		const char *name = class_name[ZydisRegisterGetClass(o->reg.value)];
		if (o->encoding == ZYDIS_OPERAND_ENCODING_NONE || !name)
			name = ZydisRegisterGetString(o->reg.value);
		snprintf(text, size, "%s", name);
		break;
	}
	case ZYDIS_OPERAND_TYPE_MEMORY:
		snprintf(text, size, o->mem.type == ZYDIS_MEMOP_TYPE_MEM ? "m%u" : "m", o->size);
		break;
	case ZYDIS_OPERAND_TYPE_IMMEDIATE:
		if (o->imm.is_relative)
			snprintf(text, size, "rel%u", o->size);
		else if (o->encoding == ZYDIS_OPERAND_ENCODING_NONE)
			snprintf(text, size, "1");
		else
			snprintf(text, size, "imm%u", o->size);
		break;
	default:
		snprintf(text, size, "ptr%u", o->size);
		break;
	}
}

static void form_name(struct iform *f, const u8 *bytes)
{
	static const char *const mode_name[MODES] = {"64", "32", "16"};
	static const char *const map_name[4] = {"", "0f ", "0f 38 ", "0f 3a "};
	const ZydisDecodedInstruction *z = &f->z;
	size_t n = snprintf(f->name, sizeof f->name, "%s %s%s%s%s%s", mode_name[f->mode],
	                    z->attributes & ZYDIS_ATTRIB_HAS_LOCK ? "lock " : "",
	                    z->attributes & ZYDIS_ATTRIB_HAS_REP ? "rep " : "", z->attributes & ZYDIS_ATTRIB_HAS_REPE ? "repe " : "",
	                    z->attributes & ZYDIS_ATTRIB_HAS_REPNE ? "repne " : "", ZydisMnemonicGetString(z->mnemonic));

	(void)bytes;
	for (unsigned i = 0; i < z->operand_count_visible && n < sizeof f->name; i++) {
		char text[24];
		operand_name(text, sizeof text, &f->op[i]);
		n += snprintf(f->name + n, sizeof f->name - n, "%s%s", i ? ", " : " ", text);
	}
	if (n < sizeof f->name)
		n += snprintf(f->name + n, sizeof f->name - n, " [%s%02x", map_name[f->map], f->opcode);
	if (n < sizeof f->name && f->modrm && f->reg != FREE)
		n += snprintf(f->name + n, sizeof f->name - n, "/%u", f->reg);
	if (n < sizeof f->name)
		snprintf(f->name + n, sizeof f->name - n, "%s%s]", f->hidden_memory || z->mnemonic == ZYDIS_MNEMONIC_LEA ? " a" : "",
		         !(f->hidden_memory || z->mnemonic == ZYDIS_MNEMONIC_LEA) ? ""
		         : z->address_width == 16                                ? "16"
		         : z->address_width == 32                                ? "32"
		                                                                 : "64");
}

/* ---- in the set or not ---- */

static void classify(struct iform *f)
{
	const ZydisDecodedInstruction *z = &f->z;

	f->class = CLASS_OUTSIDE;
	f->reason = reason_not_offered;
	for (unsigned i = 0; i < ARRAY_LEN(supported); i++)
		if (supported[i] == z->meta.isa_set)
			f->class = CLASS_RUN;
	for (unsigned i = 0; i < ARRAY_LEN(outside); i++)
		if (outside[i].mnemonic == z->mnemonic && outside[i].reason) {
			f->class = CLASS_OUTSIDE;
			f->reason = outside[i].reason;
		}
	if (f->class == CLASS_OUTSIDE)
		return;
	f->reason = NULL;
	for (unsigned i = 0; i < ARRAY_LEN(excluded); i++)
		if (excluded[i].mnemonic == z->mnemonic &&
		    (!excluded[i].first_operand || (f->op[0].type == ZYDIS_OPERAND_TYPE_REGISTER &&
		                                    f->op[0].reg.value == excluded[i].first_operand))) {
			f->class = CLASS_EXCLUDED;
			f->reason = excluded[i].reason;
			return;
		}
	if (z->attributes & ZYDIS_ATTRIB_IS_PRIVILEGED)
		f->class = CLASS_FAULTS;
}

/* ---- the walk ---- */

struct walk {
	struct forms *forms;
	unsigned capacity;
	u32 *table; /* open addressing: 1 + index into forms */
	unsigned mask;
};

static bool seen(struct walk *w, u64 key)
{
	for (u64 i = key;; i++) {
		u32 *slot = &w->table[i & w->mask];
		if (!*slot) {
			*slot = w->forms->count + 1;
			return false;
		}
		if (w->forms->form[*slot - 1].key == key)
			return true;
	}
}

static void add(struct walk *w, enum mode mode, unsigned map, u8 opcode, u8 prefixes, const u8 *bytes,
                const ZydisDecodedInstruction *z, const ZydisDecodedOperand *op)
{
	u64 key = forms_key(mode, z, op);

	if (seen(w, key))
		return;
	if (w->forms->count == w->capacity) {
		w->capacity = w->capacity ? w->capacity * 2 : 4096;
		w->forms->form = err_realloc(w->forms->form, w->capacity * sizeof *w->forms->form);
	}
	struct iform *f = &w->forms->form[w->forms->count++];
	memset(f, 0, sizeof *f);
	f->key = key;
	f->mode = mode;
	f->map = map;
	f->opcode = opcode;
	f->prefixes = prefixes;
	f->modrm = z->raw.modrm.offset != 0;
	f->memory = f->modrm && z->raw.modrm.mod != 3;
	f->reg = reg_is_free(z, op) ? FREE : z->raw.modrm.reg;
	f->rm = f->memory || encoded_by(z, op, ZYDIS_OPERAND_ENCODING_MODRM_RM) ? FREE : z->raw.modrm.rm;
	f->opcode_reg = encoded_by(z, op, ZYDIS_OPERAND_ENCODING_OPCODE);
	f->hidden_memory = has_hidden_memory(z, op);
	f->z = *z;
	memcpy(f->op, op, sizeof f->op);
	classify(f);
	form_name(f, bytes);
}

/* Decode one choice of everything; false if no ModRM byte of this opcode could help either. */
static void try(struct walk *w, enum mode mode, unsigned map, u8 opcode, u8 prefixes, u8 modrm)
{
	ZydisDecodedInstruction z;
	ZydisDecodedOperand op[ZYDIS_MAX_OPERAND_COUNT];
	u8 bytes[24] = {0};
	unsigned n = 0;

	if (prefixes & P_67)
		bytes[n++] = 0x67;
	if (prefixes & P_LOCK)
		bytes[n++] = 0xf0;
	if (prefixes & P_66)
		bytes[n++] = 0x66;
	if (prefixes & P_F2)
		bytes[n++] = 0xf2;
	if (prefixes & P_F3)
		bytes[n++] = 0xf3;
	if (prefixes & P_REXW)
		bytes[n++] = 0x48;
	if (map)
		bytes[n++] = 0x0f;
	if (map > 1)
		bytes[n++] = map == 2 ? 0x38 : 0x3a;
	bytes[n++] = opcode;
	bytes[n++] = modrm;
	if (forms_decode(mode, bytes, 15, &z, op) && z.opcode == opcode && z.opcode_map == map)
		add(w, mode, map, opcode, prefixes, bytes, &z, op);
}

static bool is_prefix_or_escape(enum mode mode, unsigned map, u8 opcode)
{
	static const u8 always[] = {0x0f, 0x26, 0x2e, 0x36, 0x3e, 0x64, 0x65, 0x66, 0x67, 0xf0, 0xf2, 0xf3};

	if (map == 1)
		return opcode == 0x38 || opcode == 0x3a || opcode == 0x0f;
	if (map)
		return false;
	return memchr(always, opcode, sizeof always) || (mode == M64 && (opcode & 0xf0) == 0x40);
}

struct forms *forms_enumerate(unsigned modes)
{
	static const u8 sets[] = {0, P_66, P_F2, P_F3, P_66 | P_F2, P_66 | P_F3, P_LOCK, P_LOCK | P_66};
	struct walk w = {.forms = err_alloc(sizeof *w.forms), .mask = (1 << 16) - 1};

	w.table = err_alloc((w.mask + 1) * sizeof *w.table);
	for (unsigned mode = 0; mode < MODES; mode++)
		for (unsigned map = 0; map < 4 && (modes >> mode & 1); map++)
			for (unsigned opcode = 0; opcode < 256; opcode++) {
				if (is_prefix_or_escape(mode, map, opcode))
					continue;
				for (unsigned p = 0; p < ARRAY_LEN(sets); p++)
					for (unsigned more = 0; more < (mode == M64 ? 4u : 2u); more++) {
						u8 prefixes = sets[p] | (more & 1 ? P_67 : 0) | (more & 2 ? P_REXW : 0);
						for (unsigned modrm = 0xc0; modrm < 0x100; modrm++)
							try(&w, mode, map, opcode, prefixes, modrm);
						for (unsigned reg = 0; reg < 8; reg++)
							try(&w, mode, map, opcode, prefixes, reg << 3 | 3);
					}
			}
	free(w.table);
	return w.forms;
}

void forms_free(struct forms *forms)
{
	free(forms->form);
	free(forms);
}
