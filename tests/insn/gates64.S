/* SPDX-License-Identifier: MIT */
/* Far transfers in long mode: 64-bit call gates from 64-bit and compatibility mode, null SS, far JMP between code sizes, RETF.
 * SDM vol. 3A 5.8.3.1 and 5.8.5.1, vol. 2 CALL, JMP, RET. */
#include "test.inc"

	.set GATE_ALL, FREE       /* two slots */
	.set GATE_BAD, FREE + 16
	.set CODE_LD, FREE + 32   /* L and D both: never valid */

test:
	ENTER_LONG long_test
	.code64
	.macro FAR selector, offset
	movl $\offset, pointer
	movw $\selector, pointer + 4
	.endm
long_test:
	GATE64 free, CODE64, entry, 0xec
	movl $0x0000ffff, free + 32
	movl $0x00ef9b00, free + 36

	/* from 64-bit code of ring 3 */
	movl $9f, resume
	RING3_64 0x3002, user1
user1:	FAR GATE_ALL + 3, 0
	lcall *pointer
after1:	mov %rsp, %r12
	mov %cs, %r13d
	mov %ss, %r14d
	ud2                            //! #UD
9:	SAVE %rsi                      //! = stack0_top-32
	SAVE %ebp                      //! = CODE64
	SAVE %edx                      //! = 0
	SAVE %r8                       //! = after1
	SAVE %r9                       //! = USER_CODE64
	SAVE %r10                      //! = user_stack
	SAVE %r11                      //! = USER_DATA
	SAVE %r12                      //! = user_stack
	SAVE %r13                      //! = USER_CODE64
	SAVE %r14                      //! = USER_DATA
	/* and of compatibility mode */
	movl $9f, resume
	mov $0x123456789, %r15
	pushq $USER_DATA
	pushq $user_stack
	pushq $0x3002
	pushq $USER_CODE32
	pushq $user2
	iretq
	.code32
user2:	mov $USER_DATA, %eax
	mov %eax, %ds
	xor %eax, %eax
	dec %eax                       /* an instruction here, a prefix in 64-bit code */
	mov %eax, %edi
	lcall $GATE_ALL, $0
after2:	mov %esp, %ecx
	mov %cs, %eax
	ud2                            //! #UD
	.code64
9:	SAVE %rdi                      //! = 0xffffffff
	SAVE %rsi                      //! = stack0_top-32
	SAVE %r8                       //! = after2
	SAVE %r9                       //! = USER_CODE32
	SAVE %r10                      //! = user_stack
	SAVE %rcx                      //! = user_stack
	SAVE %rax                      //! = USER_CODE32
	SAVE %r15                      //! = 0x123456789

	/* on the same level: eight bytes each */
	lcall *pointer
	SAVE %rsi                      //! = stack_top-16
	SAVE %r9                       //! = CODE64
	/* direct: to compatibility mode in ring 0 and back */
	FAR CODE32, compat
	ljmp *pointer
	.code32
compat:	mov %esp, %eax
	dec %eax
	ljmp $CODE64, $back
	.code64
back:	SAVE %rax                      //! = stack_top-1
	push $CODE64
	push $1f
	lretq
	ud2
1:	pushq $USER_DATA               /* outwards: SS is popped, too; SAVE comes after the fault */
	pushq $user_stack
	pushq $USER_CODE64
	pushq $1f
	movl $9f, resume
	lretq
1:	mov %ss, %eax
	hlt                            //! #GP(0)
9:	SAVE %rax                      //! = USER_DATA

	/* checks */
	FAR CODE_LD, 0
	FAULT64 ljmp *pointer          //! #GP(CODE_LD)
	FAR 0, 0
	FAULT64 ljmp *pointer          //! #GP(0)
	FAR TSS64, 0
	FAULT64 ljmp *pointer          /* no tasks in long mode */ //! #GP(TSS64)
	FAULT64 lcall *pointer         //! #GP(TSS64)
	FAULT64 .byte 0xea, 0, 0, 0, 0, 0, 0 //! #UD
	FAULT64 .byte 0x9a, 0, 0, 0, 0, 0, 0 //! #UD
	FAR GATE_BAD, 0
	GATE64 free + 16, CODE32, entry, 0xec
	FAULT64 lcall *pointer         /* no compatibility code behind a gate */ //! #GP(CODE32)
	GATE64 free + 16, CODE64, entry, 0x6c
	FAULT64 lcall *pointer         //! #NP(GATE_BAD)
	GATE64 free + 16, CODE64, entry, 0xe4
	FAULT64 lcall *pointer         /* 16-bit gates are gone */ //! #GP(GATE_BAD)
	GATE64 free + 16, CODE64, entry, 0xec
	movl $0x800, free + 28
	FAULT64 lcall *pointer         /* a type in the upper half */ //! #GP(GATE_BAD)
	GATE64 free + 16, CODE64, entry, 0xec
	movl $0x8000, free + 24
	FAULT64 lcall *pointer         /* not canonical */ //! #GP(0)
	GATE64 free + 16, 0, entry, 0xec
	FAULT64 lcall *pointer         //! #GP(0)
	GATE64 free + 16, CODE64, entry, 0x8c
	USER64 0x3002, lcall *pointer  //! #GP(GATE_BAD)
	movw $0x70 + 24 * 8 - 8, pointer + 4
	FAULT64 lcall *pointer         /* half of it beyond the limit: reserved type 0 anyway */ //! #GP(0x128)
	push $CODE64
	mov $0x800000000000, %rax
	push %rax
	FAULT64 lretq                  //! #GP(0)
	pushq $0                       /* a null SS for ring 3 */
	pushq $0
	pushq $USER_CODE64
	pushq $test
	FAULT64 lretq                  //! #GP(0)
	pushq $CODE_LD
	pushq $test
	FAULT64 lretq                  //! #GP(CODE_LD)
	END

entry:	mov %rsp, %rsi
	mov %cs, %ebp
	mov %ss, %edx
	mov (%rsp), %r8
	mov 8(%rsp), %r9
	mov 16(%rsp), %r10
	mov 24(%rsp), %r11
	lretq

	.data
pointer: .quad 0
	.text
