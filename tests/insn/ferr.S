/* SPDX-License-Identifier: MIT */
/* x87 exceptions with CR0.NE = 0: FERR# becomes an interrupt (2dh here, run.c), and the next waiting instruction does not execute
 * before it; IGNNE# lets it execute in spite of the exception. What does not wait goes on. SDM vol. 1 8.7.2 and appendix D. */
#include "test.inc"

	.macro DIVIDE /* 1 / 0, unmasked: 1 stays in ST(0) */
	fninit
	fldcw unmasked
	fld1
	fdivs zero
	.endm
/* The handler ran so often; what it saw last: where, and how many registers were in use. */
	.macro TAKEN
	mov taken, %eax
	SAVE %eax
	movl $0, taken
	.endm
	.macro TAKEN_AT at
	mov taken_eip, %eax
	sub $\at, %eax
	SAVE %eax
	.endm
	.macro DEPTH /* registers in use: 8 minus the top of the stack */
	mov taken_fsw, %eax
	shr $11, %eax
	and $7, %eax
	neg %eax
	and $7, %eax
	SAVE %eax
	.endm

test:
	GATE idt+0x2d*8, CODE32, on_ferr, 0x8e
	GATE idt+1*8, CODE32, on_db, 0x8e
	mov %cr0, %eax
	and $~0x2e, %eax               /* NE, TS, EM, MP */
	mov %eax, %cr0

	/* what does not wait goes on, with interrupts off; STI, then the waiting one: not before the interrupt */
	movb $1, clears
	cli
	DIVIDE
	fnstsw %ax
	SAVE %eax                      //! & 0xb8ff = 0xb884
	fnstcw scratch
	fnstenv scratch
	fnclex
	TAKEN                          //! = 0
	DIVIDE
	sti
at1:	fld1
	cli
	TAKEN                          //! = 1
	TAKEN_AT at1                   //! = 0
	DEPTH                          //! = 1
	fnstsw %ax
	SAVE %eax                      /* and then it has executed */ //! & 0xb8ff = 0x3000
	/* the same of FWAIT, an MMX instruction, a store */
	DIVIDE
	sti
at2:	fwait
	cli
	TAKEN                          //! = 1
	TAKEN_AT at2                   //! = 0
	DIVIDE
	sti
at3:	movd %mm0, %ecx
	cli
	TAKEN                          //! = 1
	TAKEN_AT at3                   //! = 0
	DIVIDE
	movl $0, scratch
	sti
at4:	fstps scratch
	cli
	TAKEN                          //! = 1
	TAKEN_AT at4                   //! = 0
	SAVEM scratch                  //! = 0x3f800000

	/* with interrupts on it comes somewhere between the two, in whatever block they are */
	sti
	DIVIDE
from5:	mov $1, %ecx
	mov $2, %ecx
	mov $3, %ecx
at5:	fld1
	cli
	TAKEN                          //! = 1
	DEPTH                          //! = 1
	mov taken_eip, %eax
	cmp $at5, %eax
	setbe %cl
	cmp $from5, %eax
	setae %al
	and %cl, %al
	movzbl %al, %eax
	SAVE %eax                      //! = 1

	/* IGNNE#: the handler does not clear the exception; the instruction executes all the same, and all others */
	movb $0, clears
	DIVIDE
	sti
at6:	fld1
	fld1
	fwait
	cli
	TAKEN                          //! = 1
	TAKEN_AT at6                   //! = 0
	fnstsw %ax
	SAVE %eax                      //! & 0xb8ff = 0xa884
	/* until the exception is cleared: the next one is another */
	fnclex
	movb $1, clears
	fdivs zero
	sti
at7:	fwait
	cli
	TAKEN                          //! = 1
	TAKEN_AT at7                   //! = 0
	/* an exception that is loaded is pending, too */
	DIVIDE
	fnstenv scratch
	fnclex
	andw $~4, scratch              /* unmasks what FNSTENV has masked in the processor only */
	fldenv scratch
	sti
at8:	fwait
	cli
	TAKEN                          //! = 1
	TAKEN_AT at8                   //! = 0

	/* a single step is one: over the instruction, not over its attempts; a breakpoint at it is met once */
	DIVIDE
	movl $0, hits
	pushf
	orl $0x300, (%esp)
	popf
at9:	fld1
after9:	pushf
	andl $~0x300, (%esp)
	popf
	TAKEN                          //! = 1
	TAKEN_AT at9                   //! = 0
	mov hits, %eax
	SAVE %eax                      //! = 4
	mov first, %eax
	sub $after9, %eax
	SAVE %eax                      //! = 0
	DIVIDE
	movl $0, hits
	mov $at10, %eax
	mov %eax, %dr0
	mov $0x402, %eax
	mov %eax, %dr7
	sti
at10:	fld1
	cli
	mov $0x400, %eax
	mov %eax, %dr7
	TAKEN                          //! = 1
	TAKEN_AT at10                  //! = 0
	mov hits, %eax
	SAVE %eax                      //! = 1

	/* warm code, as translators have it */
	mov $300, %esi
1:	DIVIDE
	sti
	fld1
	cli
	dec %esi
	jnz 1b
	TAKEN                          //! = 300

	/* NE set: #MF */
	mov %cr0, %eax
	or $0x20, %eax
	mov %eax, %cr0
	DIVIDE
	FAULT fwait                    //! #MF
	fninit
	END

on_ferr:
	push %eax
	incl taken
	mov 4(%esp), %eax
	mov %eax, taken_eip
	fnstsw taken_fsw
	out %al, $0xf3
	cmpb $0, clears
	je 1f
	fnclex
1:	pop %eax
	iret
on_db:	cmpl $0, hits
	jne 1f
	push (%esp)
	pop first
1:	incl hits
	orl $0x10000, 8(%esp)
	iret

	.data
	.align 4
taken:	.long 0
taken_eip: .long 0
taken_fsw: .long 0
hits:	.long 0
first:	.long 0
zero:	.float 0
unmasked: .word 0x037b
clears:	.byte 0
	.text
