/* SPDX-License-Identifier: MIT */
/* When a pending interrupt is taken: the instruction behind STI, MOV SS and POP SS comes first, once; RIP, IF and HLT; between the
 * iterations of REP; IRET and POPF have no shadow. Port 0xf0 of the test device requests an interrupt (run.c).
 * SDM vol. 3A 6.8.1 and 6.8.3, vol. 2 STI, MOV, POP, HLT. */
#include "test.inc"

	.macro REQUEST /* interrupt 0x20 */
	mov $0x20, %al
	out %al, $0xf0
	.endm
	.macro TAKEN at, times=1 /* it was taken there, so often */
	mov taken_eip, %eax
	sub $\at, %eax
	SAVE %eax
	mov taken, %eax
	sub $\times, %eax
	SAVE %eax
	movl $0, taken
	movl $0, taken_eip
	cli
	.endm

test:
	GATE idt+0x20*8, CODE32, on_interrupt, 0x8e
	mov $DATA, %ebx
	/* with IF already set: right behind the OUT */
	sti
	nop
	REQUEST
at1:	TAKEN at1                      //! = 0
	//! = 0
	/* STI: not before one more instruction */
	REQUEST
	sti
	inc %ecx
at2:	TAKEN at2                      //! = 0
	//! = 0
	/* a CLI in the shadow: never */
	REQUEST
	sti
	cli
	nop
	TAKEN 0, 0                     //! = 0
	//! = 0
	sti                            /* it still waits */
	nop
at2b:	TAKEN at2b                     //! = 0
	//! = 0
	/* STI with IF set has none */
	sti
	nop
	cli
	REQUEST
	sti
	sti
at3:	nop
	nop
	TAKEN at3                      //! = 0
	//! = 0
	/* POPF and IRET */
	REQUEST
	push $0x202
	popf
at4:	nop
	TAKEN at4                      //! = 0
	//! = 0
	REQUEST
	push $0x202
	push $CODE32
	push $at5
	iret
at5:	nop
	TAKEN at5                      //! = 0
	//! = 0
	/* MOV SS and POP SS; a second one in a row has none */
	push %ss
	sti
	nop
	mov $0x20, %al
	out %al, $0xf0                 /* taken here */
	movl $0, taken
	cli
	REQUEST
	sti
	mov %ebx, %ss                  /* the shadow of STI ends, that of MOV SS begins: one instruction at least has run */
at6:	nop
at7:	nop
	mov taken_eip, %eax
	cmp $at6, %eax
	sete %cl
	cmp $at7, %eax
	sete %al
	or %cl, %al
	movzbl %al, %eax
	SAVE %eax                      //! = 1
	movl $0, taken
	pop %ss
	sti
	nop
	mov $0x20, %al
	mov $0xf0, %edx
	mov %ebx, %ss
	out %al, %dx                   /* in the shadow, requested by the instruction itself */
at8:	TAKEN at8                      //! = 0
	//! = 0
	/* LSS and MOV to others have none */
	sti
	nop
	lss stack, %esp
	REQUEST
at9:	TAKEN at9                      //! = 0
	//! = 0
	lea stack_top, %esp
	/* HLT wakes behind itself; STI; HLT cannot miss it */
	REQUEST
	sti
	hlt
at10:	TAKEN at10                     //! = 0
	//! = 0
	/* a single step over MOV SS is put off until the next instruction */
	GATE idt+1*8, CODE32, on_db, 0x8e
	push $0x102
	popf
	mov %ebx, %ss
	nop
db_at:	push $2
	popf
	mov db_first, %eax
	sub $db_at, %eax
	SAVE %eax                      //! = 0
	/* REP: between two iterations, registers say where it is */
	cld
	mov $0xf0, %edx
	mov $bytes, %esi
	mov $3, %ecx
	sti
	nop
rep_at:	rep outsb                      /* each element requests; the last is taken behind */
rep_end: SAVE %ecx                     //! = 0
	mov first_ecx, %eax
	SAVE %eax                      //! = 2
	mov first_eip, %eax
	SAVE %eax                      //! = rep_at
	mov first_rf, %eax
	SAVE %eax                      //! = 0x10000
	TAKEN rep_end, 3               //! = 0
	//! = 0
	/* none of it is an exception */
	FAULT ud2                      //! #UD
	END

on_interrupt:
	push %eax
	mov 4(%esp), %eax
	mov %eax, taken_eip
	incl taken
	cmpl $rep_at, %eax
	jne 1f
	cmpl $0, first_eip
	jne 1f
	mov %eax, first_eip
	mov %ecx, first_ecx
	mov 12(%esp), %eax
	and $0x10000, %eax
	mov %eax, first_rf
1:	pop %eax

	iret
on_db:	push %eax
	mov db_first, %eax
	test %eax, %eax
	jnz 1f
	mov 4(%esp), %eax
	mov %eax, db_first
1:	pop %eax
	iret

	.data
taken:	.long 0
taken_eip: .long 0
first_eip: .long 0
first_ecx: .long 0
first_rf: .long 0
db_first: .long 0
bytes:	.byte 0x20, 0x20, 0x20
stack:	.long stack_top - 16
	.word DATA
	.text
