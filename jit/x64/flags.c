/* SPDX-License-Identifier: MIT */
/* Where the guest's arithmetic flags are: see private.h. */
#include "cpu/flags.h"
#include "jit/x64/x64.h"

void flags_save(struct context *c)
{
	if (c->in_rax)
		return;
	emit_byte(c->e, 0x9f); /* lahf; seto al */
	emit_op(c->e, 0, MAP_0F, 0x90, 0, rm_reg(H_RAX));
	c->in_rax = true;
}

void flags_clobber(struct context *c)
{
	flags_save(c);
	c->in_eflags = false;
}

void flags_restore(struct context *c)
{
	if (c->in_eflags)
		return;
	emit_byte(c->e, 0x3c); /* cmp al, -127: overflows exactly if AL = 1; sahf sets the others */
	emit_byte(c->e, 0x81);
	emit_byte(c->e, 0x9e);
	c->in_eflags = true;
}

void flags_written(struct context *c)
{
	c->in_eflags = true;
	c->in_rax = false;
	if (!jit_options.flags)
		flags_save(c);
}
