/* SPDX-License-Identifier: MIT */
/* Interrupt and trap gates in protected mode: flags, DPL, frames, the change of stack, 16-bit gates, error codes with their EXT
 * and IDT bits, IRET, and the combinations that make a double fault. SDM vol. 3A 6.11 to 6.15, vol. 2 INT and IRET. */
#include "test.inc"

	.set CODE_GONE, FREE
	.set CONFORMING, FREE + 8
	.set GATE20, idt + 0x20 * 8

test:
	movl $0x0000ffff, free
	movl $0x00cf1b00, free + 4
	movl $0x0000ffff, free + 8
	movl $0x00cf9f00, free + 12
	/* an interrupt gate clears IF, a trap gate keeps it; both clear TF and NT, not the rest */
	GATE GATE20, CODE32, handler, 0xee
	GATE GATE20 + 8, CODE32, handler, 0xef
	pushl $0x47ed5                 /* all arithmetic flags, IF, DF, NT, AC; no TF */
	popf
	int $0x20
	SAVE %ebx                      //! = 0x43cd7
	SAVE %ecx                      //! = 0x47ed7
	SAVE %edx                      //! = stack_top-12
	pushl $0x7ed5
	popf
	int $0x21
	SAVE %ebx                      //! = 0x3ed7
	cli
	pushl $2
	popf
	/* from ring 3: the stack of the TSS, SS:ESP on it */
	movl $9f, resume
	RING3 0x3002, user1
user1:	push $7
	int $0x21
	mov %ds, %eax
	ud2                            //! #UD
9:	SAVE %edx                      //! = stack0_top-20
	SAVE %esi                      //! = user_stack-4
	SAVE %edi                      //! = USER_DATA
	SAVE %ebp                      //! = USER_CODE32
	SAVE %eax                      /* the handler's DS was its own */ //! = 0
	/* a conforming handler stays in ring 3, on its stack */
	GATE GATE20, CONFORMING, handler_conforming, 0xee
	USER 0x3002, int $0x20         //! #UD
	SAVE %edx                      //! = user_stack-12
	SAVE %ebp                      //! = CONFORMING+3
	/* a 16-bit gate pushes words */
	GATE GATE20, CODE32, handler16, 0xe6
	movl $9f, resume
	jmp go16
9:	SAVE %edx                      //! = stack_top-6

	/* software interrupts need DPL >= CPL, exceptions do not */
	GATE GATE20, CODE32, handler, 0x8e
	USER 0x3002, int $0x20         //! #GP(0x102)
	USER 0x3002, int $13           //! #GP(0x6a)
	USER 0x3002, int $1            //! #GP(0xa)
	USER 0x3002, .byte 0xf1        /* INT1 is not checked */ //! #DB
	USER 0x3002, int3              //! #BP
	andb $0x9f, idt + 3 * 8 + 5
	USER 0x3002, int3              //! #GP(0x1a)
	/* RF is pushed as 1 by faults, as 0 by traps and software interrupts */
	FAULT ud2                      //! #UD
	SAVEM flags_seen               //! & 0x10000 = 0x10000
	FAULT int $6                   //! #UD
	SAVEM flags_seen               //! & 0x10000 = 0
	FAULT int3                     //! #BP
	SAVEM flags_seen               //! & 0x10000 = 0
	/* bad gates */
	GATE GATE20, CODE32, handler, 0x6e
	FAULT int $0x20                //! #NP(0x102)
	USER 0x3002, int $0x20         //! #NP(0x102)
	GATE GATE20, CODE32, handler, 0xec
	FAULT int $0x20                /* a call gate */ //! #GP(0x102)
	GATE GATE20, 0, handler, 0xee
	FAULT int $0x20                //! #GP(0)
	GATE GATE20, 0x1000, handler, 0xee
	FAULT int $0x20                //! #GP(0x1000)
	GATE GATE20, DATA, handler, 0xee
	FAULT int $0x20                //! #GP(DATA)
	GATE GATE20, CODE_GONE, handler, 0xee
	FAULT int $0x20                //! #NP(CODE_GONE)
	GATE GATE20, USER_CODE32, handler, 0xee
	FAULT int $0x20                /* outwards */ //! #GP(0x28)
	FAULT int $0x40                //! #GP(0x202)
	/* the EXT bit: the exception is not the program's doing */
	movb $0x0e, idt + 6 * 8 + 5
	FAULT ud2                      //! #NP(0x33)
	FAULT int $6                   //! #NP(0x32)
	movb $0x8e, idt + 6 * 8 + 5
	movw $0, idt + 6 * 8 + 2
	FAULT ud2                      //! #GP(1)
	movw $DATA, idt + 6 * 8 + 2
	FAULT ud2                      //! #GP(DATA+1)
	movw $CODE32, idt + 6 * 8 + 2

	/* a contributory fault while one is delivered: #DF */
	movb $0x0e, idt + 13 * 8 + 5
	FAULT int $0x40                //! #DF
	movb $0x8e, idt + 13 * 8 + 5
	movb $0x0e, idt + 5
	xor %ecx, %ecx
	FAULT div %ecx                 //! #DF
	FAULT int $0                   /* not from INT n */ //! #NP(2)
	movb $0x8e, idt + 5
	/* a page fault while a contributory one is delivered is just that; a page fault during another is #DF */
	mov $pd32, %eax
	mov %eax, %cr3
	mov %cr4, %eax
	or $0x10, %al
	mov %eax, %cr4
	mov %cr0, %eax
	bts $31, %eax
	mov %eax, %cr0
	movl $0x800000 - 14 * 8, idtr2 + 2 /* vectors up to 13 lie on an absent page */
	mov $idt, %esi
	mov $0x800000 - 14 * 8, %edi
	movl $0x400087, pd32 + 4       /* while it is filled */
	mov $64, %ecx
	rep movsl
	movl $0, pd32 + 4
	mov %cr3, %eax
	mov %eax, %cr3
	lidt idtr2
	FAULT int $0x40                //! #PF(0) 0x7ffff8
	lidt idtr
	movb $0x0e, idt + 14 * 8 + 5
	FAULT mov 0x700000, %eax       //! #DF
	movb $0x8e, idt + 14 * 8 + 5

	/* IRET */
	pushl $2
	pushl $DATA
	pushl $test
	FAULT iret                     //! #GP(DATA)
	pushl $2
	pushl $0
	pushl $test
	FAULT iret                     //! #GP(0)
	pushl $2
	pushl $CODE_GONE
	pushl $test
	FAULT iret                     //! #NP(CODE_GONE)
	pushl $DATA
	pushl $0
	pushl $2
	pushl $USER_CODE32
	pushl $test
	FAULT iret                     //! #GP(DATA)
	movl $9f, resume
	RING3 0x0002, user2            /* in ring 3 with IOPL 0 neither IF nor IOPL nor VM change */
user2:	pushl $0x23ed7
	pushl $USER_CODE32
	pushl $1f
	iret
1:	pushf
	pop %eax
	ud2                            //! #UD
9:	SAVE %eax                      //! = 0xcd7
	cld
	END

handler:
	pushf
	pop %ebx
	mov %esp, %edx
	mov 8(%esp), %ecx
	mov 12(%esp), %esi
	mov 16(%esp), %edi
	mov 4(%esp), %ebp
	mov $DATA, %eax
	mov %eax, %ds
	iret
handler_conforming:
	mov %esp, %edx
	mov %cs, %ebp
	iret

	.section .scratch16, "awx", @progbits
go16:	int $0x20
	jmp *resume
handler16:
	mov %esp, %edx
	iretw

	.data
idtr2:	.word 32 * 8 - 1
	.long 0
	.section .tables, "aw"
	.align 4096
pd32:	.long 0x87, 0, 0x800087
	.fill 1021, 4, 0
