/* SPDX-License-Identifier: MIT */
/* Decimal adjustments: AAA AAS AAM AAD DAA DAS, in 16- and 32-bit code. SDM vol. 2.
 *
 * Flags that the manual leaves undefined, by flavour. Intel: SF, ZF and PF follow AL, OF is clear. AMD (found on a Zen 4, by trying
 * every AL with some AH and all flags): those of the addition or subtraction within, which is of 16 bits for AAA and AAS and comes
 * before the upper digit of AL is cleared. Either: AAM follows AL, and AAD's addition sets all six. */
#include <Zydis/Mnemonic.h>
#include <Zydis/SharedTypes.h>

#include "cpu/exception.h"
#include "cpu/flags.h"
#include "cpu/forms.h"
#include "cpu/model.h"

/* a + by = r, all of one width and sign-extended. */
static u32 overflow(i64 a, i64 by, i64 r)
{
	return (~(a ^ by) & (a ^ r)) < 0 ? FLAG_OF : 0;
}

static void ascii_adjust(struct cpu *cpu, int by)
{
	u16 ax = cpu->gpr[RAX];
	bool adjust = (ax & 15) > 9 || flags_af(cpu);
	i16 sum = ax + (adjust ? by : 0);
	u32 cf_af = adjust ? FLAG_CF | FLAG_AF : 0;

	set_reg16(cpu, RAX, sum & 0xff0f);
	if (cpu->flavour == FLAVOUR_AMD)
		flags_res(cpu, sum, cf_af | overflow((i16)ax, adjust ? by : 0, sum));
	else
		flags_res(cpu, sum & 15, cf_af);
}
OP(aaa) { ascii_adjust(cpu, 0x106); }
OP(aas) { ascii_adjust(cpu, -0x106); }

static void decimal_adjust(struct cpu *cpu, int sign)
{
	u8 al = cpu->gpr[RAX];
	bool cf = flags_cf(cpu), low = (al & 15) > 9 || flags_af(cpu), high = al > 0x99 || cf;

	i8 by = ((low ? 6 : 0) + (high ? 0x60 : 0)) * sign, r = al + by;
	u32 of = cpu->flavour == FLAVOUR_AMD ? overflow((i8)al, by, r) : 0;

	set_reg8(cpu, RAX * 8, r);
	/* The low digit's borrow out of AL counts; a carry out of it implies the high digit's. */
	bool borrow = sign < 0 && low && al < 6;
	flags_res(cpu, r, (high || borrow ? FLAG_CF : 0) | (low ? FLAG_AF : 0) | of);
}
OP(daa) { decimal_adjust(cpu, 1); }
OP(das) { decimal_adjust(cpu, -1); }

OP(aam)
{
	u8 base = in->imm, al = cpu->gpr[RAX];

	if (!base)
		exception_raise(cpu, EXC_DE);
	set_reg16(cpu, RAX, al / base << 8 | al % base);
	flags_res(cpu, (i8)(al % base), 0);
}

OP(aad)
{
	u8 al = cpu->gpr[RAX], add = *reg8(cpu, 1) * (u8)in->imm, r = al + add;

	set_reg16(cpu, RAX, r);
	flags_add(cpu, (i8)al, (i8)add, (i8)r);
}

#define M(name) ZYDIS_MNEMONIC_##name
static const struct form table[] = {
	{M(AAA), {0}, FORM_NO64, 0, aaa},
	{M(AAS), {0}, FORM_NO64, 0, aas},
	{M(DAA), {0}, FORM_NO64, 0, daa},
	{M(DAS), {0}, FORM_NO64, 0, das},
	{M(AAM), {O_I}, FORM_NO64, 0, aam},
	{M(AAD), {O_I}, FORM_NO64, 0, aad},
};
const struct form_table bcd_forms = {table, ARRAY_LEN(table)};
