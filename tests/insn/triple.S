/* SPDX-License-Identifier: MIT */
/* A triple fault: #DF cannot be delivered. The CPU shuts down with the state as it was. SDM vol. 3A 6.15, #DF. */
#include "test.inc"

test:
	movl $0x1234, result
	movb $0x0e, idt + 8 * 8 + 5
	movb $0x0e, idt + 13 * 8 + 5
	lea stack_top - 64, %esp
	mov $0x1000, %eax
at:	mov %eax, %ds
	movl $1, result
	END

//! end triple
//! mem32 result = 0x1234
//! mem32 logged = 0
//! reg rip = at
//! reg rsp = stack_top-64
//! reg ds = DATA
//! reg rax = 0x1000
	.globl at
