/* SPDX-License-Identifier: MIT */
/* Far transfers in protected mode: call gates of 32 and 16 bits with and without a change of level, parameters, conforming code,
 * far JMP and RET, and every check with its error code. SDM vol. 3A 5.8, vol. 2 CALL, JMP, RET. */
#include "test.inc"

	.set GATE2, FREE          /* to ring 0, for all, two parameters */
	.set GATE_PRIV, FREE + 8  /* for ring 0 only */
	.set GATE_16, FREE + 16
	.set CONFORMING, FREE + 24
	.set GATE_BAD, FREE + 32
	.set CODE_GONE, FREE + 40 /* not present */
	.set CONF3, FREE + 48
	.set CODE_SHORT, FREE + 56
	.set STACK_GONE, FREE + 64

test:
	GATE free, CODE32, entry32, 0xec, 2
	GATE free + 8, CODE32, same_level, 0x8c, 2
	GATE free + 16, CODE32, entry16, 0xe4, 1
	movl $0x0000ffff, free + 24
	movl $0x00cf9e00, free + 28      /* conforming, DPL 0 */
	movl $0x0000ffff, free + 40
	movl $0x00cf1b00, free + 44
	movl $0x0000ffff, free + 48
	movl $0x00cffe00, free + 52      /* conforming, DPL 3 */
	movl $0x00000fff, free + 56
	movl $0x00409b00, free + 60      /* limit 0xfff */
	movl $0x0000ffff, free + 64
	movl $0x00cf1300, free + 68

	/* ring 3 to ring 0 and back with two parameters */
	movl $9f, resume
	RING3 0x3002, user1
entry32: mov %esp, %esi
	mov %cs, %ebp
	mov %ds, %edx
	SAVE %esi                      //! = stack0_top-24
	SAVE %ebp                      //! = CODE32
	SAVE %edx                      //! = USER_DATA
	SAVEM (%esi)                   //! = after1
	SAVEM 4(%esi)                  //! = USER_CODE32
	SAVEM 8(%esi)                  //! = 0x2222
	SAVEM 12(%esi)                 //! = 0x1111
	SAVEM 16(%esi)                 //! = user_stack-8
	SAVEM 20(%esi)                 //! = USER_DATA
	mov $DATA, %edx
	mov %edx, %ds                  /* must not survive; conforming code may */
	mov $CONFORMING, %edx
	mov %edx, %fs
	mov $CODE32, %edx
	mov %edx, %gs
	lret $8
user1:	push $0x1111
	push $0x2222
	lcall $GATE2 | 3, $0xdeadbeef  /* the offset is ignored */
after1:	mov %ds, %eax
	mov %fs, %ebx
	mov %gs, %ecx
	mov %es, %edx
	mov %esp, %esi
	mov %ss, %edi
	ud2                            //! #UD
9:	SAVE %eax                      //! = 0
	SAVE %ebx                      //! = CONFORMING
	SAVE %ecx                      //! = 0
	SAVE %edx                      //! = USER_DATA
	SAVE %esi                      //! = user_stack
	SAVE %edi                      //! = USER_DATA
	//! mem8 free+29 = 0x9f

	/* on the same level: no parameters are copied; a jump */
	push $0x77
	lcall $GATE_PRIV, $0
after2:	SAVE %esp                      //! = stack_top-4
	push $CODE32
	push $after3
	ljmp $GATE_PRIV, $0
same_level:
	mov (%esp), %ebx
	mov %esp, %ecx
	lret
after3:	SAVE %ebx                      //! = after3
	SAVE %ecx                      //! = stack_top-12

	/* 16 bits: words are pushed, of the parameters as well; the program runs at 0xc000 */
	movl $9f, resume
	RING3 0x3002, user2
	//! #UD
9:	movzwl %dx, %edx
	SAVE %edx                      //! = 0x7000
	SAVE %esi                      //! = stack0_top-10
	SAVE %ebx                      //! = 0x002b
	SAVE %ecx                      //! = 0x6ffe5678
	SAVE %edi                      //! = USER_DATA

	/* conforming code runs at the caller's level */
	movl $0xcb1f0e90, scratch      /* nop, push %cs, pop %ds, lret */
	movl $0xcbc88c90, scratch      /* nop; mov %cs, %eax; lret */
	USER 0x3002, lcall $CONFORMING, $scratch //! #UD
	SAVE %eax                      //! = CONFORMING+3
	lcall $CONFORMING, $scratch
	SAVE %eax                      //! = CONFORMING
	FAULT lcall $CONF3, $scratch   /* but no less privileged code */ //! #GP(CONF3)

	/* direct far transfers */
	FAULT ljmp $0, $test           //! #GP(0)
	FAULT ljmp $3, $test           //! #GP(0)
	FAULT ljmp $0x1000, $test      //! #GP(0x1000)
	FAULT ljmp $DATA, $test        //! #GP(DATA)
	FAULT ljmp $USER_CODE32, $test //! #GP(0x28)
	FAULT ljmp $CODE32 + 1, $test  /* RPL > CPL */ //! #GP(CODE32)
	FAULT ljmp $CODE_GONE, $test   //! #NP(CODE_GONE)
	FAULT ljmp $CODE_SHORT, $0x1000 //! #GP(0)
	FAULT lcall $CODE_SHORT, $0x1000 //! #GP(0)
	FAULT lcall $CODE_GONE, $0     //! #NP(CODE_GONE)
	USER 0x3002, ljmp $CODE32, $test //! #GP(CODE32)
	USER 0x3002, lcall $CODE32 + 3, $test //! #GP(CODE32)
	FAULT .byte 0xff, 0xe8         /* LJMP of a register */ //! #UD
	FAULT .byte 0xff, 0xd8         //! #UD

	/* gates */
	USER 0x3002, lcall $GATE_PRIV, $0 //! #GP(GATE_PRIV)
	FAULT lcall $GATE_PRIV + 3, $0 /* RPL > DPL of the gate */ //! #GP(GATE_PRIV)
	USER 0x3002, ljmp $GATE2, $0   /* no jump to an inner level */ //! #GP(CODE32)
	GATE free + 32, CODE32, same_level, 0x6c
	FAULT lcall $GATE_BAD, $0      //! #NP(GATE_BAD)
	GATE free + 32, 0, same_level, 0xec
	FAULT lcall $GATE_BAD, $0      //! #GP(0)
	GATE free + 32, 0x1000, same_level, 0xec
	FAULT lcall $GATE_BAD, $0      //! #GP(0x1000)
	GATE free + 32, DATA, same_level, 0xec
	FAULT lcall $GATE_BAD, $0      //! #GP(DATA)
	GATE free + 32, USER_CODE32, same_level, 0xec
	FAULT lcall $GATE_BAD, $0      //! #GP(0x28)
	GATE free + 32, CODE_GONE, same_level, 0xec
	FAULT lcall $GATE_BAD, $0      //! #NP(CODE_GONE)
	GATE free + 32, CODE_SHORT, same_level, 0xec
	FAULT lcall $GATE_BAD, $0      //! #GP(0)
	GATE free + 32, CODE32, same_level, 0xee /* an interrupt gate */
	FAULT lcall $GATE_BAD, $0      //! #GP(GATE_BAD)
	/* stacks of the inner level: this one for ring 2, whose fields the exception itself does not use */
	movl $0x0000ffff, free + 32
	movl $0x00cfdb00, free + 36    /* code of ring 2 */
	GATE free, GATE_BAD, same_level, 0xec
	movl $0, tss + 24
	USER 0x3002, lcall $GATE2, $0  //! #TS(0)
	movl $0x1002, tss + 24
	USER 0x3002, lcall $GATE2, $0  //! #TS(0x1000)
	movl $DATA, tss + 24           /* RPL and DPL are 0 */
	USER 0x3002, lcall $GATE2, $0  //! #TS(DATA)
	movl $STACK_GONE + 2, tss + 24
	orb $0x40, free + 69
	USER 0x3002, lcall $GATE2, $0  //! #SS(STACK_GONE)
	movb $0xd1, free + 69          /* present, read-only */
	USER 0x3002, lcall $GATE2, $0  //! #TS(STACK_GONE)
	movl $0x0000000f, free + 64    /* no room */
	movl $0x0040d300, free + 68
	movl $8, tss + 20
	USER 0x3002, lcall $GATE2, $0  //! #SS(STACK_GONE)

	/* RET */
	push $DATA
	push $test
	FAULT lret                     //! #GP(DATA)
	push $0
	push $test
	FAULT lret                     //! #GP(0)
	push $0x1000
	push $test
	FAULT lret                     //! #GP(0x1000)
	push $CODE_GONE
	push $test
	FAULT lret                     //! #NP(CODE_GONE)
	push $CODE_SHORT
	push $0x1000
	FAULT lret                     //! #GP(0)
	push $CODE32 + 3               /* outwards, but DPL is 0 */
	push $test
	FAULT lret                     //! #GP(CODE32)
	push $0                        /* SS, ESP, CS, EIP */
	push $0
	push $USER_CODE32
	push $test
	FAULT lret                     //! #GP(0)
	push $DATA
	push $0
	push $USER_CODE32
	push $test
	FAULT lret                     //! #GP(DATA)
	movl $9f, resume
	RING3 0x3002, user3
user3:	push $CODE32
	push $test
	lret                           //! #GP(CODE32)
9:	END

	.section .scratch16, "awx", @progbits
user2:	mov $0x7000, %esp
	pushw $0x5678
	lcall $GATE_16, $0
	mov %esp, %edx
	ud2
entry16: mov %esp, %esi
	movzwl 2(%esp), %ebx /* CS */
	mov 4(%esp), %ecx    /* parameter, SP */
	movzwl 8(%esp), %edi
	lretw $2
