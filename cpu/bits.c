/* SPDX-License-Identifier: MIT */
/* Bits: BT BTS BTR BTC with their bit strings in memory, BSF BSR LZCNT TZCNT POPCNT, and CRC32. SDM vol. 2.
 *
 * What the manual leaves undefined: bit tests touch CF alone; BSF and BSR of zero leave the destination as it is, all 64 bits of
 * it, and set PF by the index found; the counts clear what they do not define, but for OF, which AMD's LZCNT and TZCNT leave alone.
 *
 * Not implemented: BMI1 and BMI2 (TZCNT and LZCNT have features of their own). */
#include <Zydis/Mnemonic.h>
#include <Zydis/SharedTypes.h>

#include "cpu/fastop.h"
#include "cpu/flags.h"
#include "cpu/forms.h"
#include "cpu/model.h"

/* ---- BT and its kin: CF gets the bit, then the bit changes ---- */

/* Where a bit string's operand lies: the register counts bits from the address, to both sides. */
static always_inline u64 string_linear(struct cpu *cpu, const struct insn *in, i64 bit, unsigned bits, bool write)
{
	u64 sum = cpu->gpr[in->base] + (cpu->gpr[in->index] << in->scale) + (u64)in->disp;

	sum += (u64)(bit >> __builtin_ctz(bits)) * (bits / 8);
	return in->ea == EA_LONG ? sum : ea_general(cpu, in, sum, bits / 8, write);
}

#define SET(value, mask) ((value) | (mask))
#define RESET(value, mask) ((value) & ~(mask))
#define COMPLEMENT(value, mask) ((value) ^ (mask))

static always_inline void flags_bit(struct cpu *cpu, u64 value, unsigned bit)
{
	flags_replace(cpu, FLAG_CF, value >> bit & 1);
}

#define TEST(bits)                                                                                                     \
	OP_FAST(bt_r##bits##_r) { flags_bit(cpu, get##bits(cpu, in->r[0]), get##bits(cpu, in->r[1]) & (bits - 1)); }       \
	OP_FAST(bt_r##bits##_i) { flags_bit(cpu, get##bits(cpu, in->r[0]), in->imm & (bits - 1)); }                        \
	OP_READ(bt_m##bits##_i, bits) { flags_bit(cpu, m, in->imm & (bits - 1)); }                                         \
	OP(bt_m##bits##_r)                                                                                                 \
	{                                                                                                                  \
		i##bits bit = get##bits(cpu, in->r[1]);                                                                        \
		u64 la = string_linear(cpu, in, bit, bits, false);                                                             \
		flags_bit(cpu, lin_read##bits(cpu, la, in->seg), bit & (bits - 1));                                            \
	}
#define CHANGE(op, how, bits)                                                                                          \
	static always_inline u##bits do_##op##bits(struct cpu *cpu, u##bits value, u64 bit)                                \
	{                                                                                                                  \
		bit &= bits - 1;                                                                                               \
		flags_bit(cpu, value, bit);                                                                                    \
		return how(value, (u##bits)((u##bits)1 << bit));                                                               \
	}                                                                                                                  \
	OP_FAST(op##_r##bits##_r)                                                                                          \
	{                                                                                                                  \
		UPDATE(bits, do_##op##bits(cpu, get##bits(cpu, to), get##bits(cpu, in->r[1])));                                \
	}                                                                                                                  \
	OP_FAST(op##_r##bits##_i)                                                                                          \
	{                                                                                                                  \
		UPDATE(bits, do_##op##bits(cpu, get##bits(cpu, to), in->imm));                                                 \
	}                                                                                                                  \
	OP_RMW(op##_m##bits##_i, bits) { return do_##op##bits(cpu, m, in->imm); }                                          \
	OP(op##_m##bits##_r)                                                                                               \
	{                                                                                                                  \
		i##bits bit = get##bits(cpu, in->r[1]);                                                                        \
		u##bits mask = (u##bits)((u##bits)1 << (bit & (bits - 1))), old;                                               \
		u64 la = string_linear(cpu, in, bit, bits, true);                                                              \
		do {                                                                                                           \
			u8 *p = access_fast(cpu, la, bits / 8, true);                                                              \
			old = p ? guest_load##bits(cpu, p) : (u##bits)access_rmw_read(cpu, la, bits / 8, in->seg);                            \
			if (!(in->prefix & INSN_LOCK)) {                                                                           \
				mem_store##bits(cpu, in, la, how(old, mask));                                                          \
				break;                                                                                                 \
			}                                                                                                          \
		} while (!mem_cas##bits(cpu, in, la, old, how(old, mask)));                                                    \
		flags_replace(cpu, FLAG_CF, old & mask ? FLAG_CF : 0);                                                         \
	}
TEST(16)
TEST(32)
TEST(64)
CHANGE(bts, SET, 16)
CHANGE(bts, SET, 32)
CHANGE(bts, SET, 64)
CHANGE(btr, RESET, 16)
CHANGE(btr, RESET, 32)
CHANGE(btr, RESET, 64)
CHANGE(btc, COMPLEMENT, 16)
CHANGE(btc, COMPLEMENT, 32)
CHANGE(btc, COMPLEMENT, 64)

/* ---- scans and counts ---- */

static always_inline unsigned first(u64 v) { return __builtin_ctzll(v); }
static always_inline unsigned last(u64 v) { return 63 - __builtin_clzll(v); }

/* 256 looks like 0 to SF and PF, but not to ZF. */
#define SCAN(op, find, bits)                                                                                           \
	static always_inline void do_##op##bits(struct cpu *cpu, const struct insn *in, u##bits v)                         \
	{                                                                                                                  \
		if (unlikely(!v)) {                                                                                            \
			flags_res(cpu, 0, 0);                                                                                      \
			return;                                                                                                    \
		}                                                                                                              \
		unsigned at = find(v);                                                                                         \
		set_reg##bits(cpu, in->r[0], at);                                                                              \
		flags_res(cpu, at ? at : 256, 0);                                                                              \
	}                                                                                                                  \
	OP_FAST(op##_r##bits##_r) { do_##op##bits(cpu, in, get##bits(cpu, in->r[1])); }                                    \
	OP_READ(op##_r##bits##_m, bits) { do_##op##bits(cpu, in, m); }
SCAN(bsf, first, 16)
SCAN(bsf, first, 32)
SCAN(bsf, first, 64)
SCAN(bsr, last, 16)
SCAN(bsr, last, 32)
SCAN(bsr, last, 64)

/* PF is clear although ZF may be set: not for the lazy flags. */
static always_inline void flags_count(struct cpu *cpu, u32 cf_zf)
{
	flags_set(cpu, (cpu->rflags & ~(u64)FLAGS_ARITH) | cf_zf);
}
static always_inline void flags_zeros(struct cpu *cpu, u32 cf_zf)
{
	flags_count(cpu, cf_zf | (cpu->flavour == FLAVOUR_AMD && flags_of(cpu) ? FLAG_OF : 0));
}

#define COUNT(op, flags, count, cf, zf, bits)                                                                           \
	static always_inline void do_##op##bits(struct cpu *cpu, const struct insn *in, u##bits v)                         \
	{                                                                                                                  \
		unsigned n = count;                                                                                            \
		set_reg##bits(cpu, in->r[0], n);                                                                               \
		flags(cpu, ((cf) ? FLAG_CF : 0) | ((zf) ? FLAG_ZF : 0));                                                 \
	}                                                                                                                  \
	OP_FAST(op##_r##bits##_r) { do_##op##bits(cpu, in, get##bits(cpu, in->r[1])); }                                    \
	OP_READ(op##_r##bits##_m, bits) { do_##op##bits(cpu, in, m); }
#define COUNTS(bits)                                                                                                   \
	COUNT(popcnt, flags_count, __builtin_popcountll(v), false, !v, bits)                                                           \
	COUNT(tzcnt, flags_zeros, v ? first(v) : bits, !v, !n, bits)                                                                   \
	COUNT(lzcnt, flags_zeros, v ? bits - 1 - last(v) : bits, !v, !n, bits)
COUNTS(16)
COUNTS(32)
COUNTS(64)

/* ---- CRC32: polynomial 0x11edc6f41, bit-reversed ---- */

static const u32 crc_table[256] = {
	0x00000000, 0xf26b8303, 0xe13b70f7, 0x1350f3f4, 0xc79a971f, 0x35f1141c, 0x26a1e7e8, 0xd4ca64eb,
	0x8ad958cf, 0x78b2dbcc, 0x6be22838, 0x9989ab3b, 0x4d43cfd0, 0xbf284cd3, 0xac78bf27, 0x5e133c24,
	0x105ec76f, 0xe235446c, 0xf165b798, 0x030e349b, 0xd7c45070, 0x25afd373, 0x36ff2087, 0xc494a384,
	0x9a879fa0, 0x68ec1ca3, 0x7bbcef57, 0x89d76c54, 0x5d1d08bf, 0xaf768bbc, 0xbc267848, 0x4e4dfb4b,
	0x20bd8ede, 0xd2d60ddd, 0xc186fe29, 0x33ed7d2a, 0xe72719c1, 0x154c9ac2, 0x061c6936, 0xf477ea35,
	0xaa64d611, 0x580f5512, 0x4b5fa6e6, 0xb93425e5, 0x6dfe410e, 0x9f95c20d, 0x8cc531f9, 0x7eaeb2fa,
	0x30e349b1, 0xc288cab2, 0xd1d83946, 0x23b3ba45, 0xf779deae, 0x05125dad, 0x1642ae59, 0xe4292d5a,
	0xba3a117e, 0x4851927d, 0x5b016189, 0xa96ae28a, 0x7da08661, 0x8fcb0562, 0x9c9bf696, 0x6ef07595,
	0x417b1dbc, 0xb3109ebf, 0xa0406d4b, 0x522bee48, 0x86e18aa3, 0x748a09a0, 0x67dafa54, 0x95b17957,
	0xcba24573, 0x39c9c670, 0x2a993584, 0xd8f2b687, 0x0c38d26c, 0xfe53516f, 0xed03a29b, 0x1f682198,
	0x5125dad3, 0xa34e59d0, 0xb01eaa24, 0x42752927, 0x96bf4dcc, 0x64d4cecf, 0x77843d3b, 0x85efbe38,
	0xdbfc821c, 0x2997011f, 0x3ac7f2eb, 0xc8ac71e8, 0x1c661503, 0xee0d9600, 0xfd5d65f4, 0x0f36e6f7,
	0x61c69362, 0x93ad1061, 0x80fde395, 0x72966096, 0xa65c047d, 0x5437877e, 0x4767748a, 0xb50cf789,
	0xeb1fcbad, 0x197448ae, 0x0a24bb5a, 0xf84f3859, 0x2c855cb2, 0xdeeedfb1, 0xcdbe2c45, 0x3fd5af46,
	0x7198540d, 0x83f3d70e, 0x90a324fa, 0x62c8a7f9, 0xb602c312, 0x44694011, 0x5739b3e5, 0xa55230e6,
	0xfb410cc2, 0x092a8fc1, 0x1a7a7c35, 0xe811ff36, 0x3cdb9bdd, 0xceb018de, 0xdde0eb2a, 0x2f8b6829,
	0x82f63b78, 0x709db87b, 0x63cd4b8f, 0x91a6c88c, 0x456cac67, 0xb7072f64, 0xa457dc90, 0x563c5f93,
	0x082f63b7, 0xfa44e0b4, 0xe9141340, 0x1b7f9043, 0xcfb5f4a8, 0x3dde77ab, 0x2e8e845f, 0xdce5075c,
	0x92a8fc17, 0x60c37f14, 0x73938ce0, 0x81f80fe3, 0x55326b08, 0xa759e80b, 0xb4091bff, 0x466298fc,
	0x1871a4d8, 0xea1a27db, 0xf94ad42f, 0x0b21572c, 0xdfeb33c7, 0x2d80b0c4, 0x3ed04330, 0xccbbc033,
	0xa24bb5a6, 0x502036a5, 0x4370c551, 0xb11b4652, 0x65d122b9, 0x97baa1ba, 0x84ea524e, 0x7681d14d,
	0x2892ed69, 0xdaf96e6a, 0xc9a99d9e, 0x3bc21e9d, 0xef087a76, 0x1d63f975, 0x0e330a81, 0xfc588982,
	0xb21572c9, 0x407ef1ca, 0x532e023e, 0xa145813d, 0x758fe5d6, 0x87e466d5, 0x94b49521, 0x66df1622,
	0x38cc2a06, 0xcaa7a905, 0xd9f75af1, 0x2b9cd9f2, 0xff56bd19, 0x0d3d3e1a, 0x1e6dcdee, 0xec064eed,
	0xc38d26c4, 0x31e6a5c7, 0x22b65633, 0xd0ddd530, 0x0417b1db, 0xf67c32d8, 0xe52cc12c, 0x1747422f,
	0x49547e0b, 0xbb3ffd08, 0xa86f0efc, 0x5a048dff, 0x8ecee914, 0x7ca56a17, 0x6ff599e3, 0x9d9e1ae0,
	0xd3d3e1ab, 0x21b862a8, 0x32e8915c, 0xc083125f, 0x144976b4, 0xe622f5b7, 0xf5720643, 0x07198540,
	0x590ab964, 0xab613a67, 0xb831c993, 0x4a5a4a90, 0x9e902e7b, 0x6cfbad78, 0x7fab5e8c, 0x8dc0dd8f,
	0xe330a81a, 0x115b2b19, 0x020bd8ed, 0xf0605bee, 0x24aa3f05, 0xd6c1bc06, 0xc5914ff2, 0x37faccf1,
	0x69e9f0d5, 0x9b8273d6, 0x88d28022, 0x7ab90321, 0xae7367ca, 0x5c18e4c9, 0x4f48173d, 0xbd23943e,
	0xf36e6f75, 0x0105ec76, 0x12551f82, 0xe03e9c81, 0x34f4f86a, 0xc69f7b69, 0xd5cf889d, 0x27a40b9e,
	0x79b737ba, 0x8bdcb4b9, 0x988c474d, 0x6ae7c44e, 0xbe2da0a5, 0x4c4623a6, 0x5f16d052, 0xad7d5351,
};

static always_inline u32 crc(u32 value, u64 data, unsigned bytes)
{
	for (unsigned i = 0; i < bytes; i++)
		value = value >> 8 ^ crc_table[(u8)(value ^ data >> i * 8)];
	return value;
}
#define CRC(bits, get)                                                                                                 \
	OP_FAST(crc32_r##bits) { set_reg64(cpu, in->r[0], crc(reg32(cpu, in->r[0]), get(cpu, in->r[1]), bits / 8)); }      \
	OP_READ(crc32_m##bits, bits) { set_reg64(cpu, in->r[0], crc(reg32(cpu, in->r[0]), m, bits / 8)); }
CRC(8, *reg8)
CRC(16, *reg16)
CRC(32, reg32)
CRC(64, reg64)

#define ROWS_TEST(zydis, op, bits)                                                                                     \
	{ZYDIS_MNEMONIC_##zydis, {O_R##bits, O_R##bits}, 0, 0, op##_r##bits##_r},                                          \
	{ZYDIS_MNEMONIC_##zydis, {O_R##bits, O_I}, 0, 0, op##_r##bits##_i},                                                \
	{ZYDIS_MNEMONIC_##zydis, {O_M##bits, O_R##bits}, 0, 0, op##_m##bits##_r},                                          \
	ROW_M_X(zydis, bits, O_I, 0, op##_m##bits##_i)
#define ROWS_SCAN(zydis, feature, op, bits)                                                                            \
	{ZYDIS_MNEMONIC_##zydis, {O_R##bits, O_R##bits}, 0, feature, op##_r##bits##_r},                                    \
	ROW_R_M(zydis, bits, feature, op##_r##bits##_m)
#define ROWS(kind, ...) kind(__VA_ARGS__, 16), kind(__VA_ARGS__, 32), kind(__VA_ARGS__, 64)
#define ROWS_CRC(bits)                                                                                                 \
	{ZYDIS_MNEMONIC_CRC32, {O_R32, O_R##bits}, 0, FEAT_SSE42, crc32_r##bits},                                          \
	{ZYDIS_MNEMONIC_CRC32, {O_R64, O_R##bits}, 0, FEAT_SSE42, crc32_r##bits},                                          \
	{ZYDIS_MNEMONIC_CRC32, {O_R32, O_M##bits}, 0, FEAT_SSE42, crc32_m##bits},                                          \
	{ZYDIS_MNEMONIC_CRC32, {O_R64, O_M##bits}, 0, FEAT_SSE42, crc32_m##bits}
static const struct form table[] = {
	ROWS(ROWS_TEST, BT, bt), ROWS(ROWS_TEST, BTS, bts), ROWS(ROWS_TEST, BTR, btr), ROWS(ROWS_TEST, BTC, btc),
	ROWS(ROWS_SCAN, BSF, 0, bsf), ROWS(ROWS_SCAN, BSR, 0, bsr), ROWS(ROWS_SCAN, POPCNT, FEAT_POPCNT, popcnt),
	ROWS(ROWS_SCAN, TZCNT, FEAT_BMI1, tzcnt), ROWS(ROWS_SCAN, LZCNT, FEAT_LZCNT, lzcnt),
	ROWS_CRC(8), ROWS_CRC(16), ROWS_CRC(32), ROWS_CRC(64),
};
const struct form_table bits_forms = {table, ARRAY_LEN(table)};
