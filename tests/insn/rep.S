/* SPDX-License-Identifier: MIT */
/* String instructions that fault in the middle: registers say exactly how far it got; backwards, across pages, with zero and
 * wrapping counts; a single step per iteration; instruction and data breakpoints. SDM vol. 1 7.3.9, vol. 2 REP, vol. 3B 17.3. */
#include "test.inc"

	.macro SET count, from, to
	mov $\count, %rcx
	mov $\from, %rsi
	mov $\to, %rdi
	.endm
	.macro REGS
	SAVE %rcx
	SAVE %rsi
	SAVE %rdi
	.endm
	.set LAST, scratch + 0x3000  /* not present */

test:
	ENTER_LONG long_test
	.code64
long_test:
	movl $0, pt + (SCRATCH_PAGE + 3) * 8
	invlpg LAST
	mov $0x1122334455667788, %rax
	/* MOVS: the destination, then the source runs out */
	SET 100, scratch, LAST-30
	FAULT64 rep movsb              //! #PF(2) scratch+0x3000
	REGS                           //! = 70
	//! = scratch+30
	//! = scratch+0x3000
	SET 100, LAST-30, scratch
	FAULT64 rep movsw              //! #PF(0) scratch+0x3000
	REGS                           //! = 85
	//! = scratch+0x3000
	//! = scratch+30
	SET 100, scratch, LAST-30      /* 7 elements, and 2 bytes of the eighth */
	FAULT64 rep movsl              //! #PF(2) scratch+0x3000
	REGS                           //! = 93
	//! = scratch+28
	//! = scratch+0x2ffe
	/* over more than a page */
	SET 3000, scratch, LAST-0x1400
	FAULT64 rep movsq              //! #PF(2) scratch+0x3000
	REGS                           //! = 2360
	//! = scratch+0x1400
	//! = scratch+0x3000
	/* backwards */
	std
	SET 9, LAST+8, scratch+16
	FAULT64 rep movsb              //! #PF(0) scratch+0x3008
	REGS                           //! = 9
	//! = scratch+0x3008
	//! = scratch+16
	movl $0, pt + SCRATCH_PAGE * 8
	invlpg scratch
	SET 100, scratch+0x2000, scratch+0x1010
	FAULT64 rep movsl              //! #PF(2) scratch+0xffc
	REGS                           //! = 95
	//! = scratch+0x1fec
	//! = scratch+0xffc
	SET 100, 0, scratch+0x1007
	FAULT64 rep stosq              //! #PF(2) scratch+0xfff
	REGS                           //! = 99
	//! = 0
	//! = scratch+0xfff
	cld
	movl $scratch + 7, pt + SCRATCH_PAGE * 8
	/* STOS, LODS, SCAS, CMPS */
	SET 0x1000, 1, LAST-0x801
	FAULT64 rep stosb              //! #PF(2) scratch+0x3000
	REGS                           //! = 0x7ff
	//! = 1
	//! = scratch+0x3000
	SET 10, LAST-16, 2
	FAULT64 rep lodsq              //! #PF(0) scratch+0x3000
	REGS                           //! = 8
	//! = scratch+0x3000
	//! = 2
	SET -1, 0, scratch+0x2ff0
	mov $0x55, %al
	cmp %eax, %eax
	FAULT64 repne scasb            //! #PF(0) scratch+0x3000
	REGS                           //! = -17
	//! = 0
	//! = scratch+0x3000
	SAVEM64 flags_seen             /* as they were before the instruction, or of the last element */ //! intel: & 0x40 = 0x40
	                               //! amd: & 0x40 = 0
	SET 100, scratch+0x2ff0, scratch+0x2ff8
	FAULT64 repe cmpsl             //! #PF(0) scratch+0x3000
	SAVE %rcx                      //! = 98
	/* nothing is done, nothing faults */
	SET 0, LAST, LAST
	rep movsb
	rep stosq
	stc
	repe cmpsb
	REGS                           //! = 0
	//! = scratch+0x3000
	//! = scratch+0x3000
	/* 32-bit addresses: the count is ECX, and the upper halves go when it counts */
	mov $0x500000003, %rcx
	movabs $0x700000000 + scratch, %rsi
	movabs $0x700000000 + scratch + 16, %rdi
	addr32 rep movsb
	REGS                           //! = 0
	//! = scratch+3
	//! = scratch+19
	mov $0x500000000, %rcx
	addr32 rep movsb               /* a count of 0 leaves RSI and RDI; RCX is not tested for here */
	SAVE %rsi                      //! & 0xffffffff = scratch+3
	/* overlap: the pattern spreads */
	movl $0x04030201, scratch
	SET 12, scratch, scratch+4
	rep movsb
	SAVEM64 scratch + 12           //! = 0x04030201
	movl $0x04030201, scratch
	SET 13, scratch, scratch+1
	rep movsb
	SAVEM64 scratch + 10           //! = 0x01010101
	/* #PF by the rights of ring 3 */
	movl $scratch + 0x2003, pt + (SCRATCH_PAGE + 2) * 8
	invlpg scratch + 0x2000
	SET 8, scratch, scratch+0x1ffc
	USER64 0x3002, rep movsb       //! #PF(7) scratch+0x2000
	SAVE %rcx                      //! = 4

	/* one step is one iteration; RIP stays at the instruction until the last */
	mov $on_db, %eax
	mov %ax, idt64 + 16
	shr $16, %eax
	mov %ax, idt64 + 16 + 6
	SET 5, scratch, scratch+0x100
	pushfq
	orl $0x100, (%rsp)
	popfq
step:	rep movsb
	pushfq
	andl $~0x100, (%rsp)
	popfq
	mov at_step, %eax
	SAVE %rax                      /* after each but the last */ //! = 4
	mov hits, %eax
	SAVE %rax                      //! = 8
	/* a data breakpoint stops between iterations; RF is set in the image */
	movl $0, hits
	movl $0, at_step
	mov $scratch + 0x102, %eax
	mov %rax, %dr0
	mov $0x00010402, %eax
	mov %rax, %dr7
	SET 5, scratch, scratch+0x100
	movl $watched, wanted
watched: rep movsb
	mov hits, %eax
	SAVE %rax                      //! = 1
	mov at_step, %eax
	SAVE %rax                      //! = 1
	mov rcx_then, %eax
	SAVE %rax                      //! = 2
	mov rf_then, %eax
	SAVE %rax                      //! = 0x10000
	/* an instruction breakpoint comes once, before the first */
	movl $0, hits
	mov $exec, %eax
	mov %rax, %dr0
	mov $0x402, %eax
	mov %rax, %dr7
	SET 5, scratch, scratch+0x100
exec:	rep movsb
	mov hits, %eax
	SAVE %rax                      //! = 1
	mov rcx_then, %eax
	SAVE %rax                      //! = 5
	END

on_db:	push %rax
	incl hits
	mov %ecx, rcx_then
	mov 8(%rsp), %rax
	cmp wanted, %rax
	jne 1f
	incl at_step
1:	mov 24(%rsp), %eax
	and $0x10000, %eax
	mov %eax, rf_then
	orl $0x10000, 24(%rsp)
	pop %rax
	iretq

	.data
	.align 8
wanted:	.quad step
hits:	.long 0
at_step: .long 0
rcx_then: .long 0
rf_then: .long 0
	.text
