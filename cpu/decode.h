/* SPDX-License-Identifier: MIT */
/* From bytes to struct insn. */
#ifndef CPU_DECODE_H
#define CPU_DECODE_H

#include "cpu/insn.h"

enum decode_result {
	DECODE_OK,   /* the instruction ends its block if *ends */
	DECODE_MORE, /* more bytes are needed */
	DECODE_BAD,  /* not an instruction: in->exec raises #UD, or #GP when longer than 15 bytes */
};

/* Decode the instruction in bytes[0..len). off: page offset of its first byte. */
enum decode_result decode_insn(const struct cpu *cpu, struct insn *in, const u8 *bytes, unsigned len, unsigned off,
                               enum code_mode mode, bool *ends);
/* The ZydisDecoder that decode_insn() uses: a translator that looks at the bytes again must see the same. */
const void *decode_zydis(const struct cpu *cpu, enum code_mode mode);
/* All forms, in the order of insn.form. */
const struct form *decode_form(unsigned index, unsigned *count);

#endif
