/* SPDX-License-Identifier: MIT */
/* Decimal adjustments: AAA AAS AAM AAD DAA DAS, in 16- and 32-bit code. SDM vol. 2.
 *
 * Flags that the manual leaves undefined are what Intel's CPUs leave: SF, ZF and PF follow AL, OF is clear but after AAD, whose
 * addition sets all six. */
#include <Zydis/Mnemonic.h>
#include <Zydis/SharedTypes.h>

#include "cpu/exception.h"
#include "cpu/flags.h"
#include "cpu/forms.h"

static void ascii_adjust(struct cpu *cpu, int by)
{
	u16 ax = cpu->gpr[RAX];
	bool adjust = (ax & 15) > 9 || flags_af(cpu);

	if (adjust)
		ax += by;
	ax &= 0xff0f;
	set_reg16(cpu, RAX, ax);
	flags_res(cpu, ax & 15, adjust ? FLAG_CF | FLAG_AF : 0);
}
OP(aaa) { ascii_adjust(cpu, 0x106); }
OP(aas) { ascii_adjust(cpu, -0x106); }

static void decimal_adjust(struct cpu *cpu, int sign)
{
	u8 al = cpu->gpr[RAX], r = al;
	bool cf = flags_cf(cpu), low = (al & 15) > 9 || flags_af(cpu), high = al > 0x99 || cf;

	if (low)
		r += 6 * sign;
	if (high)
		r += 0x60 * sign;
	set_reg8(cpu, RAX * 8, r);
	/* The low digit's borrow out of AL counts; a carry out of it implies the high digit's. */
	bool borrow = sign < 0 && low && al < 6;
	flags_res(cpu, (i8)r, (high || borrow ? FLAG_CF : 0) | (low ? FLAG_AF : 0));
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
