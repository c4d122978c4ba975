/* SPDX-License-Identifier: MIT */
/* SYSENTER and SYSEXIT in 32-bit, compatibility and 64-bit mode; SYSCALL and SYSRET: registers, flags, fixed segments, checks.
 * SDM vol. 2 under each name, vol. 3A 5.8.7 and 5.8.8. */
#include "test.inc"

	.set KERNEL, 0x60 /* no descriptor is read: any will do */

	.macro SETMSR index, value
	mov $\index, %ecx
	mov $\value, %eax
	xor %edx, %edx
	wrmsr
	.endm

test:
	FAULT syscall                  /* 64-bit mode only */ //! #UD
	FAULT sysret                   //! #UD
	SETMSR 0x174, 0                 /* SYSENTER_CS */
	FAULT sysenter                 //! #GP(0)
	FAULT sysexit                  //! #GP(0)
	SETMSR 0x174, 3                 /* null, too */
	FAULT sysenter                 //! #GP(0)
	SETMSR 0x174, KERNEL+3
	SETMSR 0x175, stack0_top-16
	SETMSR 0x176, entry
	movl $9f, resume
	RING3 0x3202, user1
user1:	sysenter
entry:	mov %cs, %eax
	mov %ss, %ebx
	pushf
	pop %esi
	mov %esp, %edi
	movl $0x123, %es:result + 127 * 8 /* ES is still what it was */
	mov $user2, %edx
	mov $user_stack - 32, %ecx
	sysexit
user2:	mov %cs, %ecx
	mov %ss, %edx
	mov %esp, %ebp
	sysexit                        //! #GP(0)
9:	SAVE %eax                      //! = KERNEL
	SAVE %ebx                      //! = KERNEL+8
	SAVE %esi                      //! & 0x23302 = 0x3002
	SAVE %edi                      //! = stack0_top-16
	SAVE %ecx                      //! = KERNEL+19
	SAVE %edx                      //! = KERNEL+27
	SAVE %ebp                      //! = user_stack-32

	ENTER_LONG long_test
	.code64
	.macro SETMSR64 index, value
	mov $\index, %ecx
	mov $\value, %rax
	mov %rax, %rdx
	shr $32, %rdx
	wrmsr
	.endm
long_test:
	SETMSR64 0x174, CODE64
	SETMSR64 0x175, 0xffff800000001230
	SETMSR64 0x176, entry64
	mov $0x8000, %edx
	FAULT64 wrmsr                  /* not canonical */ //! #GP(0)
	SETMSR64 0x176, entry64
	movl $9f, resume
	RING3_64 0x3002, user3
user3:	sysenter
entry64: mov %rsp, %r12
	mov %ss, %r13d
	mov %cs, %r14d
	mov $stack_top, %rsp
	mov $user4, %edx
	mov $user_stack, %ecx
	sysexitl                       /* to compatibility mode */
	.code32
user4:	mov %cs, %esi
	mov %ss, %edi
	mov %esp, %ebp
	xor %eax, %eax
	dec %eax                       /* a prefix in 64-bit code */
	ud2                            //! #UD
	.code64
9:	SAVE %r12                      //! = 0xffff800000001230
	SAVE %r13                      //! = CODE64+8
	SAVE %r14                      //! = CODE64
	SAVE %rsi                      //! = CODE64+19
	SAVE %rdi                      //! = CODE64+27
	SAVE %rbp                      //! = user_stack
	SAVE %rax                      //! = 0xffffffff
	movl $9f, resume
	mov $user5, %edx
	mov $0x7ffffffffff0, %rcx
	sysexitq
user5:	mov %cs, %esi
	mov %ss, %edi
	mov %rsp, %rbp
	ud2                            //! #UD
9:	SAVE %rsi                      //! = CODE64+35
	SAVE %rdi                      //! = CODE64+43
	SAVE %rbp                      //! = 0x7ffffffffff0
	mov $0x800000000000, %rdx
	mov $user_stack, %ecx
	FAULT64 sysexitq               //! #GP(0)
	mov $user5, %edx
	mov $0x800000000000, %rcx
	FAULT64 sysexitq               //! #GP(0)
	USER64 0x3002, sysexitq        //! #GP(0)

	/* SYSCALL: flags by the mask, RCX and R11 */
	SETMSR64 0xc0000081, ((KERNEL+19)<<48)|(KERNEL<<32)
	SETMSR64 0xc0000082, on_syscall
	SETMSR64 0xc0000084, 0xfffffcfe
	SETMSR64 0xc0000083, 1
	movl $9f, resume
	RING3_64 0x40ed7, user6
user6:	syscall
back6:	pushfq
	pop %rdx
	mov %cs, %esi
	mov %ss, %edi
	ud2                            //! #UD
9:	SAVE %rcx                      //! = back6
	SAVE %r11                      //! = 0x40ed7
	SAVE %r12                      //! = KERNEL
	SAVE %r13                      //! = KERNEL+8
	SAVE %r14                      /* bits 0, 8 and 9 pass the mask */ //! = 0x203
	SAVE %rdx                      //! = 0x40ed7
	SAVE %rsi                      //! = KERNEL+35
	SAVE %rdi                      //! = KERNEL+27
	SAVE %rbp                      /* RSP is the caller's */ //! = user_stack
	cli
	cld
	/* SYSRET to compatibility mode; RF, VM and reserved bits of R11 are dropped */
	movl $9f, resume
	mov $user7, %ecx
	mov $0xffffffffffdb8cff, %r11
	mov $user_stack, %esp
	sysretl
	.code32
user7:	mov %cs, %esi
	mov %ss, %edi
	mov $USER_DATA, %eax
	mov %eax, %ds
	pushf
	pop %edx
	xor %eax, %eax
	dec %eax
	syscall                        /* not from here */ //! #UD
	.code64
9:	SAVE %rsi                      //! = KERNEL+19
	SAVE %rdi                      //! = KERNEL+27
	SAVE %rdx                      //! = 0x180cd7
	SAVE %rax                      //! = 0xffffffff
	pushq $2
	popfq
	mov $0x800000000000, %rcx
	FAULT64 sysretq                //! #GP(0)
	SAVEM64 log + 14 * 16 + 12     /* in ring 0 */ //! = CODE64
	USER64 0x3002, sysretq         //! #GP(0)
	/* EFER.SCE */
	mov $0xc0000080, %ecx
	rdmsr
	btr $0, %eax
	wrmsr
	FAULT64 syscall                //! #UD
	FAULT64 sysretq                //! #UD
	END

on_syscall:
	mov %rsp, %rbp
	mov %cs, %r12d
	mov %ss, %r13d
	mov $stack_top, %esp
	pushfq
	pop %r14
	mov %rbp, %rsp
	sysretq
//! mem32 result+1016 = 0x123
