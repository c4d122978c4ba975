/* SPDX-License-Identifier: MIT */
/* Integer arithmetic and logic: ADD OR ADC SBB AND SUB XOR CMP TEST, INC DEC NEG NOT, ADCX ADOX, SETcc, XADD, CMPXCHG and
 * CMPXCHG8B/16B, and the instructions that set single flags. SDM vol. 2.
 *
 * Flags are left to flags.h wherever the operands tell them; ADC, SBB, INC and DEC, whose carry comes from elsewhere, compute
 * theirs. AF after AND, OR, XOR and TEST, undefined, is cleared as CPUs do.
 *
 * A locked CMPXCHG that fails does not write the old value back: nobody can tell, but for the bus. */
#include <Zydis/Mnemonic.h>
#include <Zydis/SharedTypes.h>

#include "cpu/fastop.h"
#include "cpu/flags.h"
#include "cpu/forms.h"
#include "cpu/model.h"

/* OF from the top bit of a value. */
static always_inline u32 of_bit(u64 value, unsigned bits)
{
	return (u32)(value >> (bits - 1) & 1) << 11;
}

/* ---- the operations, for each width: from operands to result and flags ---- */

#define OPERATIONS(bits)                                                                                               \
	static always_inline u##bits do_add##bits(struct cpu *cpu, u##bits a, u##bits b)                                   \
	{                                                                                                                  \
		u##bits r = a + b;                                                                                             \
		flags_add(cpu, (i##bits)a, (i##bits)b, (i##bits)r);                                                            \
		return r;                                                                                                      \
	}                                                                                                                  \
	static always_inline u##bits do_sub##bits(struct cpu *cpu, u##bits a, u##bits b)                                   \
	{                                                                                                                  \
		u##bits r = a - b;                                                                                             \
		flags_sub(cpu, (i##bits)a, (i##bits)b, (i##bits)r);                                                            \
		return r;                                                                                                      \
	}                                                                                                                  \
	static always_inline u##bits do_and##bits(struct cpu *cpu, u##bits a, u##bits b)                                   \
	{                                                                                                                  \
		a &= b;                                                                                                        \
		flags_res(cpu, (i##bits)a, 0);                                                                                 \
		return a;                                                                                                      \
	}                                                                                                                  \
	static always_inline u##bits do_or##bits(struct cpu *cpu, u##bits a, u##bits b)                                    \
	{                                                                                                                  \
		a |= b;                                                                                                        \
		flags_res(cpu, (i##bits)a, 0);                                                                                 \
		return a;                                                                                                      \
	}                                                                                                                  \
	static always_inline u##bits do_xor##bits(struct cpu *cpu, u##bits a, u##bits b)                                   \
	{                                                                                                                  \
		a ^= b;                                                                                                        \
		flags_res(cpu, (i##bits)a, 0);                                                                                 \
		return a;                                                                                                      \
	}                                                                                                                  \
	static always_inline u##bits do_adc##bits(struct cpu *cpu, u##bits a, u##bits b)                                   \
	{                                                                                                                  \
		u##bits part = a + b, r = part + flags_cf(cpu), of = (a ^ r) & (b ^ r);                                        \
		flags_res(cpu, (i##bits)r, (part < a) | (r < part) | ((a ^ b ^ r) & FLAG_AF) | of_bit(of, bits));              \
		return r;                                                                                                      \
	}                                                                                                                  \
	static always_inline u##bits do_sbb##bits(struct cpu *cpu, u##bits a, u##bits b)                                   \
	{                                                                                                                  \
		u##bits part = a - b, r = part - flags_cf(cpu), of = (a ^ b) & (a ^ r);                                        \
		flags_res(cpu, (i##bits)r, (a < b) | (part < r) | ((a ^ b ^ r) & FLAG_AF) | of_bit(of, bits));                 \
		return r;                                                                                                      \
	}                                                                                                                  \
	static always_inline u##bits do_inc##bits(struct cpu *cpu, u##bits a)                                              \
	{                                                                                                                  \
		u##bits r = a + 1;                                                                                             \
		flags_res(cpu, (i##bits)r, flags_cf(cpu) | ((a ^ r) & FLAG_AF) | of_bit(~a & r, bits));                        \
		return r;                                                                                                      \
	}                                                                                                                  \
	static always_inline u##bits do_dec##bits(struct cpu *cpu, u##bits a)                                              \
	{                                                                                                                  \
		u##bits r = a - 1;                                                                                             \
		flags_res(cpu, (i##bits)r, flags_cf(cpu) | ((a ^ r) & FLAG_AF) | of_bit(a & ~r, bits));                        \
		return r;                                                                                                      \
	}                                                                                                                  \
	static always_inline u##bits do_neg##bits(struct cpu *cpu, u##bits a)                                              \
	{                                                                                                                  \
		return do_sub##bits(cpu, 0, a);                                                                                \
	}                                                                                                                  \
	static always_inline u##bits do_not##bits(struct cpu *cpu INSN_UNUSED, u##bits a)                                  \
	{                                                                                                                  \
		return ~a;                                                                                                     \
	}

OPERATIONS(8)
OPERATIONS(16)
OPERATIONS(32)
OPERATIONS(64)

/* ---- two operands, all combinations ---- */

#define BINARY(op, bits)                                                                                               \
	OP_FAST(op##_r##bits##_r)                                                                                          \
	{                                                                                                                  \
		UPDATE(bits, do_##op##bits(cpu, get##bits(cpu, to), get##bits(cpu, in->r[1])));                                \
	}                                                                                                                  \
	OP_FAST(op##_r##bits##_i)                                                                                          \
	{                                                                                                                  \
		UPDATE(bits, do_##op##bits(cpu, get##bits(cpu, to), in->imm));                                                 \
	}                                                                                                                  \
	OP_READ(op##_r##bits##_m, bits)                                                                                    \
	{                                                                                                                  \
		UPDATE(bits, do_##op##bits(cpu, get##bits(cpu, to), m));                                                       \
	}                                                                                                                  \
	OP_RMW(op##_m##bits##_r, bits) { return do_##op##bits(cpu, m, get##bits(cpu, in->r[1])); }                         \
	OP_RMW(op##_m##bits##_i, bits) { return do_##op##bits(cpu, m, in->imm); }
/* Those that only compare. */
#define COMPARE(op, by, bits)                                                                                          \
	OP_FAST(op##_r##bits##_r) { do_##by##bits(cpu, get##bits(cpu, in->r[0]), get##bits(cpu, in->r[1])); }              \
	OP_FAST(op##_r##bits##_i) { do_##by##bits(cpu, get##bits(cpu, in->r[0]), in->imm); }                               \
	OP_READ(op##_r##bits##_m, bits) { do_##by##bits(cpu, get##bits(cpu, in->r[0]), m); }                               \
	OP_READ(op##_m##bits##_r, bits) { do_##by##bits(cpu, m, get##bits(cpu, in->r[1])); }                               \
	OP_READ(op##_m##bits##_i, bits) { do_##by##bits(cpu, m, in->imm); }
#define UNARY(op, bits)                                                                                                \
	OP_FAST(op##_r##bits) { UPDATE(bits, do_##op##bits(cpu, get##bits(cpu, to))); }                                    \
	OP_RMW(op##_m##bits, bits) { return do_##op##bits(cpu, m); }

#define WIDTHS(kind, ...) kind(__VA_ARGS__, 8) kind(__VA_ARGS__, 16) kind(__VA_ARGS__, 32) kind(__VA_ARGS__, 64)
WIDTHS(BINARY, add)
WIDTHS(BINARY, or)
WIDTHS(BINARY, adc)
WIDTHS(BINARY, sbb)
WIDTHS(BINARY, and)
WIDTHS(BINARY, sub)
WIDTHS(BINARY, xor)
WIDTHS(COMPARE, cmp, sub)
WIDTHS(COMPARE, test, and)
WIDTHS(UNARY, inc)
WIDTHS(UNARY, dec)
WIDTHS(UNARY, neg)
WIDTHS(UNARY, not)

/* ---- ADCX, ADOX: chains of their own in CF and OF, all other flags stay ---- */

#define ADX(name, bits, flag, now)                                                                                     \
	static always_inline void do_##name##bits(struct cpu *cpu, const struct insn *in, u##bits b)                       \
	{                                                                                                                  \
		u##bits part = get##bits(cpu, in->r[0]) + b, r = part + now(cpu);                                              \
		bool carry = part < b || r < part;                                                                             \
		set_reg##bits(cpu, in->r[0], r);                                                                               \
		flags_replace(cpu, flag, carry ? flag : 0);                                                                    \
	}                                                                                                                  \
	OP_FAST(name##_r##bits##_r) { do_##name##bits(cpu, in, get##bits(cpu, in->r[1])); }                                \
	OP_READ(name##_r##bits##_m, bits) { do_##name##bits(cpu, in, m); }
ADX(adcx, 32, FLAG_CF, flags_cf)
ADX(adcx, 64, FLAG_CF, flags_cf)
ADX(adox, 32, FLAG_OF, flags_of)
ADX(adox, 64, FLAG_OF, flags_of)

/* ---- SETcc ---- */

#define SET(cc)                                                                                                        \
	OP_FAST(set_r_##cc) { set_reg8(cpu, in->r[0], flags_test(cpu, CC_##cc)); }                                         \
	OP_WRITE(set_m_##cc, 8) { return flags_test(cpu, CC_##cc); }
SET(O) SET(NO) SET(B) SET(AE) SET(E) SET(NE) SET(BE) SET(A) SET(S) SET(NS) SET(P) SET(NP) SET(L) SET(GE) SET(LE) SET(G)

/* ---- exchange and add, compare and exchange ---- */

#define ACCUMULATOR8 (RAX * 8)
#define ACCUMULATOR16 RAX
#define ACCUMULATOR32 RAX
#define ACCUMULATOR64 RAX
#define EXCHANGES(bits)                                                                                                \
	OP_FAST(xadd_r##bits##_r)                                                                                          \
	{                                                                                                                  \
		u##bits old = get##bits(cpu, in->r[0]), r = do_add##bits(cpu, old, get##bits(cpu, in->r[1]));                  \
		set_reg##bits(cpu, in->r[1], old);                                                                             \
		set_reg##bits(cpu, in->r[0], r);                                                                               \
	}                                                                                                                  \
	OP(xadd_m##bits##_r)                                                                                               \
	{                                                                                                                  \
		u64 la;                                                                                                        \
		u##bits add = get##bits(cpu, in->r[1]), old;                                                                   \
		if (in->prefix & INSN_LOCK) {                                                                                  \
			do                                                                                                         \
				old = mem_rmw##bits(cpu, in, &la);                                                                     \
			while (!mem_cas##bits(cpu, in, la, old, old + add));                                                       \
		} else {                                                                                                       \
			old = mem_rmw##bits(cpu, in, &la);                                                                         \
			mem_store##bits(cpu, in, la, old + add);                                                                   \
		}                                                                                                              \
		do_add##bits(cpu, old, add);                                                                                   \
		set_reg##bits(cpu, in->r[1], old);                                                                             \
	}                                                                                                                  \
	OP_FAST(cmpxchg_r##bits##_r)                                                                                       \
	{                                                                                                                  \
		u##bits old = get##bits(cpu, in->r[0]);                                                                        \
		if (do_sub##bits(cpu, get##bits(cpu, ACCUMULATOR##bits), old))                                                 \
			set_reg##bits(cpu, ACCUMULATOR##bits, old);                                                                \
		else                                                                                                           \
			set_reg##bits(cpu, in->r[0], get##bits(cpu, in->r[1]));                                                    \
	}                                                                                                                  \
	OP(cmpxchg_m##bits##_r)                                                                                            \
	{                                                                                                                  \
		u64 la;                                                                                                        \
		u##bits acc = get##bits(cpu, ACCUMULATOR##bits), old;                                                          \
		for (;;) {                                                                                                     \
			old = mem_rmw##bits(cpu, in, &la);                                                                         \
			if (old != acc)                                                                                            \
				break;                                                                                                 \
			if (!(in->prefix & INSN_LOCK)) {                                                                           \
				mem_store##bits(cpu, in, la, get##bits(cpu, in->r[1]));                                                \
				break;                                                                                                 \
			}                                                                                                          \
			if (mem_cas##bits(cpu, in, la, old, get##bits(cpu, in->r[1])))                                             \
				break;                                                                                                 \
		}                                                                                                              \
		if (do_sub##bits(cpu, acc, old))                                                                               \
			set_reg##bits(cpu, ACCUMULATOR##bits, old);                                                                \
	}
EXCHANGES(8)
EXCHANGES(16)
EXCHANGES(32)
EXCHANGES(64)

OP(cmpxchg8b)
{
	u64 la, old, expected = (u64)reg32(cpu, RDX) << 32 | reg32(cpu, RAX);
	u64 value = (u64)reg32(cpu, RCX) << 32 | reg32(cpu, RBX);

	for (;;) {
		old = mem_rmw64(cpu, in, &la);
		if (old != expected)
			break;
		if (!(in->prefix & INSN_LOCK)) {
			mem_store64(cpu, in, la, value);
			break;
		}
		if (mem_cas64(cpu, in, la, old, value))
			break;
	}
	flags_change(cpu, FLAG_ZF, old == expected ? FLAG_ZF : 0);
	if (old != expected) {
		set_reg32(cpu, RAX, old);
		set_reg32(cpu, RDX, old >> 32);
	}
}

OP(cmpxchg16b)
{
	struct m128 old = {{cpu->gpr[RAX], cpu->gpr[RDX]}}, value = {{cpu->gpr[RBX], cpu->gpr[RCX]}};
	u64 la = ea_linear(cpu, in, 16, true);

	if (la & 15)
		exception_gp(cpu, 0);
	bool same = access_cas128(cpu, la, &old, value, in->seg);
	flags_change(cpu, FLAG_ZF, same ? FLAG_ZF : 0);
	if (!same) {
		cpu->gpr[RAX] = old.q[0];
		cpu->gpr[RDX] = old.q[1];
	}
}

/* ---- single flags ---- */

OP_FAST(clc) { flags_replace(cpu, FLAG_CF, 0); }
OP_FAST(stc) { flags_replace(cpu, FLAG_CF, FLAG_CF); }
OP_FAST(cmc) { flags_replace(cpu, FLAG_CF, flags_cf(cpu) ? 0 : FLAG_CF); }
OP_FAST(cld) { cpu->rflags &= ~(u64)FLAG_DF; }
OP_FAST(std) { cpu->rflags |= FLAG_DF; }
OP_FAST(salc) { set_reg8(cpu, RAX * 8, flags_cf(cpu) ? 0xff : 0); }

#define ROWS_BINARY_WIDTH(zydis, op, bits)                                                                             \
	{ZYDIS_MNEMONIC_##zydis, {O_R##bits, O_R##bits}, 0, 0, op##_r##bits##_r},                                          \
	{ZYDIS_MNEMONIC_##zydis, {O_R##bits, O_I}, 0, 0, op##_r##bits##_i},                                                \
	ROW_R_M(zydis, bits, 0, op##_r##bits##_m),                                                                         \
	ROW_M_X(zydis, bits, O_R##bits, 0, op##_m##bits##_r),                                                              \
	ROW_M_X(zydis, bits, O_I, 0, op##_m##bits##_i)
#define ROWS_BINARY(zydis, op)                                                                                         \
	ROWS_BINARY_WIDTH(zydis, op, 8), ROWS_BINARY_WIDTH(zydis, op, 16), ROWS_BINARY_WIDTH(zydis, op, 32),               \
	ROWS_BINARY_WIDTH(zydis, op, 64)
#define ROWS_UNARY_WIDTH(zydis, op, bits)                                                                              \
	{ZYDIS_MNEMONIC_##zydis, {O_R##bits}, 0, 0, op##_r##bits}, ROW_M(zydis, bits, op##_m##bits)
#define ROWS_UNARY(zydis, op)                                                                                          \
	ROWS_UNARY_WIDTH(zydis, op, 8), ROWS_UNARY_WIDTH(zydis, op, 16), ROWS_UNARY_WIDTH(zydis, op, 32),                  \
	ROWS_UNARY_WIDTH(zydis, op, 64)
#define ROWS_ADX(zydis, op, bits)                                                                                      \
	{ZYDIS_MNEMONIC_##zydis, {O_R##bits, O_R##bits}, 0, FEAT_ADX, op##_r##bits##_r},                                   \
	ROW_R_M(zydis, bits, FEAT_ADX, op##_r##bits##_m)
#define ROWS_SET(zydis, cc) {ZYDIS_MNEMONIC_##zydis, {O_R8}, 0, 0, set_r_##cc}, ROW_M(zydis, 8, set_m_##cc)
#define ROWS_EXCHANGE(bits)                                                                                            \
	{ZYDIS_MNEMONIC_XADD, {O_R##bits, O_R##bits}, 0, 0, xadd_r##bits##_r},                                             \
	{ZYDIS_MNEMONIC_XADD, {O_M##bits, O_R##bits}, 0, 0, xadd_m##bits##_r},                                             \
	{ZYDIS_MNEMONIC_CMPXCHG, {O_R##bits, O_R##bits}, 0, 0, cmpxchg_r##bits##_r},                                       \
	{ZYDIS_MNEMONIC_CMPXCHG, {O_M##bits, O_R##bits}, 0, 0, cmpxchg_m##bits##_r}
#define M(name) ZYDIS_MNEMONIC_##name
static const struct form table[] = {
	ROWS_BINARY(ADD, add), ROWS_BINARY(OR, or), ROWS_BINARY(ADC, adc), ROWS_BINARY(SBB, sbb), ROWS_BINARY(AND, and),
	ROWS_BINARY(SUB, sub), ROWS_BINARY(XOR, xor), ROWS_BINARY(CMP, cmp), ROWS_BINARY(TEST, test),
	ROWS_UNARY(INC, inc), ROWS_UNARY(DEC, dec), ROWS_UNARY(NEG, neg), ROWS_UNARY(NOT, not),
	ROWS_ADX(ADCX, adcx, 32), ROWS_ADX(ADCX, adcx, 64), ROWS_ADX(ADOX, adox, 32), ROWS_ADX(ADOX, adox, 64),
	ROWS_SET(SETO, O), ROWS_SET(SETNO, NO), ROWS_SET(SETB, B), ROWS_SET(SETNB, AE), ROWS_SET(SETZ, E), ROWS_SET(SETNZ, NE),
	ROWS_SET(SETBE, BE), ROWS_SET(SETNBE, A), ROWS_SET(SETS, S), ROWS_SET(SETNS, NS), ROWS_SET(SETP, P), ROWS_SET(SETNP, NP),
	ROWS_SET(SETL, L), ROWS_SET(SETNL, GE), ROWS_SET(SETLE, LE), ROWS_SET(SETNLE, G),
	ROWS_EXCHANGE(8), ROWS_EXCHANGE(16), ROWS_EXCHANGE(32), ROWS_EXCHANGE(64),
	{M(CMPXCHG8B), {O_M64}, 0, FEAT_CX8, cmpxchg8b},
	{M(CMPXCHG16B), {O_M128}, 0, FEAT_CX16, cmpxchg16b},
	{M(CLC), {0}, 0, 0, clc},
	{M(STC), {0}, 0, 0, stc},
	{M(CMC), {0}, 0, 0, cmc},
	{M(CLD), {0}, 0, 0, cld},
	{M(STD), {0}, 0, 0, std},
	{M(SALC), {0}, FORM_NO64, 0, salc},
};
const struct form_table integer_forms = {table, ARRAY_LEN(table)};
