/* SPDX-License-Identifier: MIT */
/* The families of instructions: one table of forms each, in the file of that name. */
#ifndef CPU_FORMS_H
#define CPU_FORMS_H

#include "cpu/insn.h"

#define FORM_FAMILIES(F)                                                                                               \
	F(move) F(integer) F(shift) F(muldiv) F(bits) F(bcd) F(stack) F(flow) F(string) F(io) F(farflow) F(interrupt) F(segops) \
	F(syscall) F(control) F(system) F(msr) F(cpuid) F(xsave) F(x87) F(x87_arith) F(x87_env) F(x87_trans)              \
	F(mmx) F(sse) F(sse_int) F(sse_fp) F(sse_cvt) F(sse4) F(sse_crypto)
#define FORM_DECLARE(family) extern const struct form_table family##_forms;
FORM_FAMILIES(FORM_DECLARE)
#undef FORM_DECLARE

#endif
