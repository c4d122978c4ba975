/* SPDX-License-Identifier: MIT */
/* Events in long mode: aligned frames, SS:RSP always pushed, null SS, interrupt stack table, gates that are not allowed, IRETQ.
 * SDM vol. 3A 6.14, vol. 2 INT and IRET. */
#include "test.inc"

	.set GATE20, idt64 + 0x20 * 16

test:
	ENTER_LONG long_test
	.code64
long_test:
	GATE64 GATE20, CODE64, handler, 0xee
	GATE64 GATE20 + 16, CODE64, handler, 0xef
	/* the frame starts 16-byte aligned, even on the same level */
	lea -4(%rsp), %rsp
	pushq $0x6ed7
	popfq
	int $0x21
	SAVE %rbx                      /* a trap gate: NT is clear, IF stays */ //! = 0x2ed7
	SAVE %rdx                      //! = stack_top-56
	SAVE %rcx                      //! = 0x6ed7
	SAVE %rsi                      //! = stack_top-4
	SAVE %rdi                      //! = DATA
	SAVE %rsp                      //! = stack_top-4
	int $0x20
	SAVE %rbx                      //! & 0x200 = 0
	pushq $2
	popfq
	/* from ring 3: RSP0, SS null */
	movl $9f, resume
	RING3_64 0x3002, user1
user1:	push $7
	int $0x20
	mov %ss, %r9d
	ud2                            //! #UD
9:	SAVE %rdx                      //! = stack0_top-40
	SAVE %rsi                      //! = user_stack-8
	SAVE %rdi                      //! = USER_DATA
	SAVE %rbp                      //! = USER_CODE64
	SAVE %r8                       //! = 0
	SAVE %r9                       //! = USER_DATA
	/* IST: always its stack, also without a change of level, aligned */
	movb $1, GATE20 + 4
	subq $4, tss64 + 36
	int $0x20
	SAVE %rdx                      //! = ist1_top-56
	SAVE %r8                       /* SS stays */ //! = 0
	addq $4, tss64 + 36
	movl $DATA, %eax
	mov %eax, %ss
	int $0x20
	SAVE %rdx                      //! = ist1_top-40
	/* a stack that is not canonical */
	movb $2, GATE20 + 4
	movl $0x9000, tss64 + 48
	FAULT64 int $0x20              //! #SS(0)
	movb $0, GATE20 + 4
	movl $0x9000, tss64 + 8
	movb $1, idt64 + 12 * 16 + 4
	USER64 0x3002, int $0x20       //! #SS(0)
	movl $0, tss64 + 8
	movb $0, idt64 + 12 * 16 + 4

	/* gates */
	FAULT64 int $0x22              /* type 0 */ //! #GP(0x112)
	FAULT64 int $0x40              //! #GP(0x202)
	GATE64 GATE20, CODE64, handler, 0x8e
	USER64 0x3002, int $0x20       //! #GP(0x102)
	GATE64 GATE20, CODE64, handler, 0x6e
	FAULT64 int $0x20              //! #NP(0x102)
	GATE64 GATE20, CODE64, handler, 0xe6
	FAULT64 int $0x20              /* 16-bit gates are gone */ //! #GP(0x102)
	GATE64 GATE20, TSS64, handler, 0xe5
	FAULT64 int $0x20              /* task gates are gone */ //! #GP(0x102)
	GATE64 GATE20, CODE32, handler, 0xee
	FAULT64 int $0x20              //! #GP(CODE32)
	GATE64 GATE20, CODE64, handler, 0xee
	movl $0x8000, GATE20 + 8
	FAULT64 int $0x20              /* not canonical */ //! #GP(0)
	movw $0, idt64 + 6 * 16 + 2
	FAULT64 ud2                    //! #GP(1)
	movw $CODE64, idt64 + 6 * 16 + 2
	/* #DF, also from 64-bit code */
	movb $0x0e, idt64 + 13 * 16 + 5
	FAULT64 int $0x40              //! #DF
	movb $0x8e, idt64 + 13 * 16 + 5
	movb $0x0e, idt64 + 14 * 16 + 5
	FAULT64 mov 0x40000000, %eax   //! #DF
	movb $0x8e, idt64 + 14 * 16 + 5

	/* IRET */
	pushq $0                       /* ring 0 may have a null SS */
	pushq $stack_top
	pushq $2
	pushq $CODE64
	pushq $1f
	iretq
1:	mov %ss, %eax
	SAVE %rax                      //! = 0
	pushq $0
	pushq $user_stack
	pushq $2
	pushq $USER_CODE64
	pushq $1f
	FAULT64 iretq                  //! #GP(0)
1:	pushq $3                       /* null, but RPL is not CPL */
	pushq $stack_top
	pushq $2
	pushq $CODE64
	pushq $1b
	FAULT64 iretq                  //! #GP(0)
	pushq $0
	pushq $stack_top
	pushq $2
	pushq $CODE64
	mov $0x800000000000, %rax
	push %rax
	FAULT64 iretq                  //! #GP(0)
	pushq $0x4002
	popfq
	FAULT64 iretq                  /* NT: there are no tasks to return to */ //! #GP(0)
	pushq $2
	popfq
	/* 32-bit frames pop SS:ESP as well in 64-bit code */
	sub $20, %rsp
	movl $1f, (%rsp)
	movl $CODE64, 4(%rsp)
	movl $2, 8(%rsp)
	movl $stack_top - 16, 12(%rsp)
	movl $DATA, 16(%rsp)
	iretl
1:	SAVE %rsp                      //! = stack_top-16
	/* to compatibility mode, and an interrupt from there */
	GATE64 GATE20, CODE64, handler, 0xee
	pushq $USER_DATA
	pushq $user_stack
	pushq $0x3002
	pushq $USER_CODE32
	pushq $compat
	movl $9f, resume
	iretq
	.code32
compat:	int $0x20
	mov %esp, %eax
	dec %eax
	ud2                            //! #UD
	.code64
9:	SAVE %rdx                      //! = stack0_top-40
	SAVE %rbp                      //! = USER_CODE32
	SAVE %rax                      //! = user_stack-1
	END

handler:
	mov %rsp, %rdx
	pushfq
	pop %rbx
	mov 8(%rsp), %rbp
	mov 16(%rsp), %rcx
	mov 24(%rsp), %rsi
	mov 32(%rsp), %rdi
	mov %ss, %r8d
	iretq
