/* SPDX-License-Identifier: MIT */
/* Shifts and rotates: SHL SHR SAR, ROL ROR RCL RCR, SHLD SHRD. SDM vol. 2.
 *
 * Counts are masked to 5 bits (6 for 64-bit operands); a masked count of 0 changes no flag. What the manual leaves undefined
 * depends on the flavour, found by experiment:
 *
 *                     Intel                                              AMD
 *   AF of shifts      0                                                  1
 *   OF                of the first step, a shift by one, whatever the    of the last step: how the result's top bit differs from
 *                     count; ROL and ROR of a register by an immediate   CF (to the left) or from the bit below it (to the right);
 *                     other than 1 leave it alone                        SAR: 0
 *   RCL, RCR by a     as a count of 0                                    OF is written all the same
 *   multiple of the
 *   width with CF
 *   SHLD, SHRD of 16  the bits shifted in come from the source, then     from the source, then the source again
 *   bits, by more     the destination
 *
 * So each function exists twice, and decoding picks one: no flavour is asked for when it executes. */
#include <Zydis/Mnemonic.h>
#include <Zydis/SharedTypes.h>

#include "cpu/fastop.h"
#include "cpu/flags.h"
#include "cpu/forms.h"

/* OF from the top bit of a value. */
static always_inline u32 of_bit(u64 value, unsigned bits)
{
	return (u32)(value >> (bits - 1) & 1) << 11;
}

static always_inline void flags_rotated(struct cpu *cpu, u32 cf, u32 of)
{
	flags_replace(cpu, FLAG_CF | FLAG_OF, cf | of);
}

/* The operations: c is masked and not 0. amd is a constant. */
#define OPERATIONS(bits)                                                                                               \
	/* OF of a rotation: a shift to the left or right by one step makes the top bits differ */                         \
	static always_inline u32 left_of##bits(u##bits a, u##bits r, u32 cf, bool amd)                                     \
	{                                                                                                                  \
		return amd ? of_bit(r ^ (u64)cf << (bits - 1), bits) : of_bit(a ^ (u64)a << 1, bits);                          \
	}                                                                                                                  \
	static always_inline u32 right_of##bits(u##bits r) { return of_bit(r ^ (u64)r << 1, bits); }                       \
	static always_inline u##bits do_shl##bits(struct cpu *cpu, u##bits a, unsigned c, bool amd)                        \
	{                                                                                                                  \
		u##bits r = (u64)a << c;                                                                                       \
		u32 cf = (bits == 64 ? (u64)a >> (64 - c) : (u64)a << c >> (bits & 63)) & 1;                                   \
		flags_res(cpu, (i##bits)r, cf | left_of##bits(a, r, cf, amd) | (amd ? FLAG_AF : 0));                           \
		return r;                                                                                                      \
	}                                                                                                                  \
	static always_inline u##bits do_shr##bits(struct cpu *cpu, u##bits a, unsigned c, bool amd)                        \
	{                                                                                                                  \
		u##bits part = a >> (c - 1), r = part >> 1;                                                                    \
		flags_res(cpu, (i##bits)r, (part & 1) | (amd ? right_of##bits(r) | FLAG_AF : of_bit(a, bits)));                \
		return r;                                                                                                      \
	}                                                                                                                  \
	static always_inline u##bits do_sar##bits(struct cpu *cpu, u##bits a, unsigned c, bool amd)                        \
	{                                                                                                                  \
		i64 part = (i64)(i##bits)a >> (c - 1), r = part >> 1;                                                          \
		flags_res(cpu, r, (part & 1) | (amd ? FLAG_AF : 0));                                                           \
		return r;                                                                                                      \
	}                                                                                                                  \
	static always_inline u##bits do_rol##bits(struct cpu *cpu, u##bits a, unsigned c, bool amd)                        \
	{                                                                                                                  \
		u##bits r = a << (c & (bits - 1)) | a >> (-c & (bits - 1));                                                    \
		flags_rotated(cpu, r & 1, left_of##bits(a, r, r & 1, amd));                                                    \
		return r;                                                                                                      \
	}                                                                                                                  \
	static always_inline u##bits do_ror##bits(struct cpu *cpu, u##bits a, unsigned c, bool amd)                        \
	{                                                                                                                  \
		u##bits r = a >> (c & (bits - 1)) | a << (-c & (bits - 1));                                                    \
		flags_rotated(cpu, r >> (bits - 1), amd ? right_of##bits(r) : of_bit(a ^ (u64)a << (bits - 1), bits));         \
		return r;                                                                                                      \
	}                                                                                                                  \
	static always_inline u##bits do_roli##bits(struct cpu *cpu, u##bits a, unsigned c, bool amd)                       \
	{                                                                                                                  \
		u##bits r = a << (c & (bits - 1)) | a >> (-c & (bits - 1));                                                    \
		if (c == 1 || amd)                                                                                             \
			return do_rol##bits(cpu, a, c, amd);                                                                       \
		flags_replace(cpu, FLAG_CF, r & 1);                                                                            \
		return r;                                                                                                      \
	}                                                                                                                  \
	static always_inline u##bits do_rori##bits(struct cpu *cpu, u##bits a, unsigned c, bool amd)                       \
	{                                                                                                                  \
		u##bits r = a >> (c & (bits - 1)) | a << (-c & (bits - 1));                                                    \
		if (c == 1 || amd)                                                                                             \
			return do_ror##bits(cpu, a, c, amd);                                                                       \
		flags_replace(cpu, FLAG_CF, r >> (bits - 1));                                                                  \
		return r;                                                                                                      \
	}                                                                                                                  \
	static always_inline u##bits do_rcl##bits(struct cpu *cpu, u##bits a, unsigned c, bool amd)                        \
	{                                                                                                                  \
		u64 cf = flags_cf(cpu);                                                                                        \
		if (bits < 32 && !(c %= bits + 1)) {                                                                           \
			if (amd)                                                                                                   \
				flags_replace(cpu, FLAG_OF, left_of##bits(a, a, cf, true));                                            \
			return a;                                                                                                  \
		}                                                                                                              \
		u64 part = c > 1 ? a >> (bits + 1 - c) : 0, out = a >> (bits - c) & 1;                                         \
		u##bits r = (u64)a << c | cf << (c - 1) | part;                                                                \
		flags_rotated(cpu, out, left_of##bits(a, r, out, amd));                                                        \
		return r;                                                                                                      \
	}                                                                                                                  \
	static always_inline u##bits do_rcr##bits(struct cpu *cpu, u##bits a, unsigned c, bool amd)                        \
	{                                                                                                                  \
		if (bits < 32 && !(c %= bits + 1)) {                                                                           \
			if (amd)                                                                                                   \
				flags_replace(cpu, FLAG_OF, right_of##bits(a));                                                        \
			return a;                                                                                                  \
		}                                                                                                              \
		u64 cf = flags_cf(cpu), part = c > 1 ? (u64)a << (bits + 1 - c) : 0;                                           \
		u##bits r = (u64)a >> c | cf << (bits - c) | part;                                                             \
		flags_rotated(cpu, a >> (c - 1) & 1, amd ? right_of##bits(r) : of_bit(a ^ cf << (bits - 1), bits));            \
		return r;                                                                                                      \
	}
#define DOUBLE_OPERATIONS(bits)                                                                                        \
	static always_inline u##bits do_shld##bits(struct cpu *cpu, u##bits a, u##bits b, unsigned c, bool amd)            \
	{                                                                                                                  \
		c &= bits == 64 ? 63 : 31;                                                                                     \
		if (!c)                                                                                                        \
			return a;                                                                                                  \
		u64 row = (u64)a << 32 | (u64)b << 16 | (u16)(amd ? b : a); /* of 16 bits */                                   \
		u##bits r = bits == 16 ? row << c >> 32 : (u64)a << c | b >> (bits - c);                                       \
		u##bits part = bits == 16 ? row << (c - 1) >> 32 : (u64)a << (c - 1) | (c > 1 ? b >> (bits + 1 - c) : 0);      \
		u32 cf = part >> (bits - 1), of = left_of##bits(a, r, cf, amd);                                                \
		if (amd && bits == 16) { /* those of SHL */                                                                    \
			cf = (u64)a << c >> 16 & 1;                                                                                \
			of = of_bit((u64)a << c ^ (u64)cf << 15, 16);                                                              \
		}                                                                                                              \
		flags_res(cpu, (i##bits)r, cf | of | (amd ? FLAG_AF : 0));                                                     \
		return r;                                                                                                      \
	}                                                                                                                  \
	static always_inline u##bits do_shrd##bits(struct cpu *cpu, u##bits a, u##bits b, unsigned c, bool amd)            \
	{                                                                                                                  \
		c &= bits == 64 ? 63 : 31;                                                                                     \
		if (!c)                                                                                                        \
			return a;                                                                                                  \
		u64 row = (u64)(u16)(amd ? b : a) << 32 | (u64)b << 16 | a; /* of 16 bits */                                   \
		u##bits r = bits == 16 ? row >> c : (u64)a >> c | (u64)b << (bits - c);                                        \
		u##bits part = bits == 16 ? row >> (c - 1) : (u64)a >> (c - 1) | (c > 1 ? (u64)b << (bits + 1 - c) : 0);       \
		u32 cf = part & 1, of = amd ? right_of##bits(r) : of_bit(a ^ (u64)b << (bits - 1), bits);                      \
		if (amd && bits == 16 && c > 16)                                                                               \
			cf = 0;                                                                                                    \
		flags_res(cpu, (i##bits)r, cf | of | (amd ? FLAG_AF : 0));                                                     \
		return r;                                                                                                      \
	}

OPERATIONS(8)
OPERATIONS(16)
OPERATIONS(32)
OPERATIONS(64)
DOUBLE_OPERATIONS(16)
DOUBLE_OPERATIONS(32)
DOUBLE_OPERATIONS(64)

/* f: of which flavour, as a suffix of the names and as a constant. */
#define SHIFT(op, by_imm, bits, f)                                                                                     \
	static always_inline u##bits op##_i_##bits##f(struct cpu *cpu, u##bits a, unsigned c)                              \
	{                                                                                                                  \
		c &= bits == 64 ? 63 : 31;                                                                                     \
		return likely(c) ? do_##by_imm##bits(cpu, a, c, IS##f) : a;                                                    \
	}                                                                                                                  \
	static always_inline u##bits op##_cl_##bits##f(struct cpu *cpu, u##bits a, unsigned c)                             \
	{                                                                                                                  \
		c &= bits == 64 ? 63 : 31;                                                                                     \
		return likely(c) ? do_##op##bits(cpu, a, c, IS##f) : a;                                                        \
	}                                                                                                                  \
	OP_FAST(op##_r##bits##_1##f) { UPDATE(bits, do_##op##bits(cpu, get##bits(cpu, to), 1, IS##f)); }                   \
	OP_FAST(op##_r##bits##_i##f)                                                                                       \
	{                                                                                                                  \
		UPDATE(bits, op##_i_##bits##f(cpu, get##bits(cpu, to), in->imm));                                              \
	}                                                                                                                  \
	OP_FAST(op##_r##bits##_cl##f)                                                                                      \
	{                                                                                                                  \
		UPDATE(bits, op##_cl_##bits##f(cpu, get##bits(cpu, to), cpu->gpr[RCX]));                                       \
	}                                                                                                                  \
	OP_RMW(op##_m##bits##_i##f, bits) { return op##_cl_##bits##f(cpu, m, in->imm); }                                   \
	OP_RMW(op##_m##bits##_cl##f, bits) { return op##_cl_##bits##f(cpu, m, cpu->gpr[RCX]); }
#define DOUBLE_SHIFT(op, bits, f)                                                                                      \
	OP_FAST(op##_r##bits##_i##f)                                                                                       \
	{                                                                                                                  \
		u##bits r = do_##op##bits(cpu, get##bits(cpu, in->r[0]), get##bits(cpu, in->r[1]), in->imm, IS##f);            \
		set_reg##bits(cpu, in->r[0], r);                                                                               \
	}                                                                                                                  \
	OP_FAST(op##_r##bits##_cl##f)                                                                                      \
	{                                                                                                                  \
		u##bits r = do_##op##bits(cpu, get##bits(cpu, in->r[0]), get##bits(cpu, in->r[1]), cpu->gpr[RCX], IS##f);      \
		set_reg##bits(cpu, in->r[0], r);                                                                               \
	}                                                                                                                  \
	OP_RMW(op##_m##bits##_i##f, bits) { return do_##op##bits(cpu, m, get##bits(cpu, in->r[1]), in->imm, IS##f); }      \
	OP_RMW(op##_m##bits##_cl##f, bits)                                                                                 \
	{                                                                                                                  \
		return do_##op##bits(cpu, m, get##bits(cpu, in->r[1]), cpu->gpr[RCX], IS##f);                                  \
	}

#define SHIFT_WIDTHS(op, by_imm, f)                                                                                    \
	SHIFT(op, by_imm, 8, f) SHIFT(op, by_imm, 16, f) SHIFT(op, by_imm, 32, f) SHIFT(op, by_imm, 64, f)
#define DOUBLE_WIDTHS(op, f) DOUBLE_SHIFT(op, 16, f) DOUBLE_SHIFT(op, 32, f) DOUBLE_SHIFT(op, 64, f)
#define FUNCTIONS(f)                                                                                                   \
	SHIFT_WIDTHS(rol, roli, f)                                                                                         \
	SHIFT_WIDTHS(ror, rori, f)                                                                                         \
	SHIFT_WIDTHS(rcl, rcl, f)                                                                                          \
	SHIFT_WIDTHS(rcr, rcr, f)                                                                                          \
	SHIFT_WIDTHS(shl, shl, f)                                                                                          \
	SHIFT_WIDTHS(shr, shr, f)                                                                                          \
	SHIFT_WIDTHS(sar, sar, f)                                                                                          \
	DOUBLE_WIDTHS(shld, f)                                                                                             \
	DOUBLE_WIDTHS(shrd, f)
#define IS_intel false
#define IS_amd true
FUNCTIONS(_intel)
FUNCTIONS(_amd)

/* O_ONE before O_I, which matches the implicit constant too. */
#define FLAVOUR_intel FORM_INTEL
#define FLAVOUR_amd FORM_AMD
#define ROWS_WIDTH(zydis, op, bits, f)                                                                                 \
	{ZYDIS_MNEMONIC_##zydis, {O_R##bits, O_ONE}, FLAVOUR##f, 0, op##_r##bits##_1##f},                                  \
	{ZYDIS_MNEMONIC_##zydis, {O_R##bits, O_I}, FLAVOUR##f, 0, op##_r##bits##_i##f},                                    \
	{ZYDIS_MNEMONIC_##zydis, {O_R##bits, O_CL}, FLAVOUR##f, 0, op##_r##bits##_cl##f},                                  \
	{ZYDIS_MNEMONIC_##zydis, {O_B##bits, O_I}, FLAVOUR##f, 0, op##_m##bits##_i##f##_b},                                \
	{ZYDIS_MNEMONIC_##zydis, {O_M##bits, O_I}, FLAVOUR##f, 0, op##_m##bits##_i##f},                                    \
	{ZYDIS_MNEMONIC_##zydis, {O_B##bits, O_CL}, FLAVOUR##f, 0, op##_m##bits##_cl##f##_b},                              \
	{ZYDIS_MNEMONIC_##zydis, {O_M##bits, O_CL}, FLAVOUR##f, 0, op##_m##bits##_cl##f}
#define ROWS(zydis, op, f)                                                                                             \
	ROWS_WIDTH(zydis, op, 8, f), ROWS_WIDTH(zydis, op, 16, f), ROWS_WIDTH(zydis, op, 32, f), ROWS_WIDTH(zydis, op, 64, f)
#define ROWS_DOUBLE_WIDTH(zydis, op, bits, f)                                                                          \
	{ZYDIS_MNEMONIC_##zydis, {O_R##bits, O_R##bits, O_I}, FLAVOUR##f, 0, op##_r##bits##_i##f},                         \
	{ZYDIS_MNEMONIC_##zydis, {O_R##bits, O_R##bits, O_CL}, FLAVOUR##f, 0, op##_r##bits##_cl##f},                       \
	{ZYDIS_MNEMONIC_##zydis, {O_M##bits, O_R##bits, O_I}, FLAVOUR##f, 0, op##_m##bits##_i##f},                         \
	{ZYDIS_MNEMONIC_##zydis, {O_M##bits, O_R##bits, O_CL}, FLAVOUR##f, 0, op##_m##bits##_cl##f}
#define ROWS_DOUBLE(zydis, op, f)                                                                                      \
	ROWS_DOUBLE_WIDTH(zydis, op, 16, f), ROWS_DOUBLE_WIDTH(zydis, op, 32, f), ROWS_DOUBLE_WIDTH(zydis, op, 64, f)
#define ROWS_ALL(f)                                                                                                    \
	ROWS(ROL, rol, f), ROWS(ROR, ror, f), ROWS(RCL, rcl, f), ROWS(RCR, rcr, f), ROWS(SHL, shl, f), ROWS(SHR, shr, f),  \
		ROWS(SAR, sar, f), ROWS_DOUBLE(SHLD, shld, f), ROWS_DOUBLE(SHRD, shrd, f)
static const struct form table[] = {
	ROWS_ALL(_intel), ROWS_ALL(_amd),
};
const struct form_table shift_forms = {table, ARRAY_LEN(table)};
