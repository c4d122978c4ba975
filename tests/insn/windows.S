/* SPDX-License-Identifier: MIT */
/* Accesses that lie far from each other off one register, on both sides of a page boundary behind which other memory lies: each is
 * made where its own page leads. */
#include "test.inc"

test:
	ENTER_LONG long_test
	.code64
long_test:
	/* two pages of scratch, exchanged */
	mov pt + SCRATCH_PAGE * 8, %rax
	mov pt + SCRATCH_PAGE * 8 + 8, %rcx
	mov %rcx, pt + SCRATCH_PAGE * 8
	mov %rax, pt + SCRATCH_PAGE * 8 + 8
	mov %cr3, %rax
	mov %rax, %cr3
	mov %rsp, %r15
	mov $scratch + 0xfc0, %esp

	/* the target there, the return address here */
	movq $function, 0x640(%rsp)
	xor %ebx, %ebx
	mov $3, %r12d
	jmp 1f
1:	call *0x640(%rsp)
	add %rax, %rbx
	dec %r12d
	jnz 1b
	SAVE %rbx                       //! = 0x33

	/* the value there, its copy here; and back */
	movq $0x1234, 0x648(%rsp)
	jmp 1f
1:	pushq 0x648(%rsp)
	mov (%rsp), %rax
	SAVE %rax                       //! = 0x1234
	addq $1, (%rsp)
	jmp 1f
1:	popq 0x650(%rsp)
	mov 0x650(%rsp), %rax
	SAVE %rax                       //! = 0x1235

	/* a copy from below to above and the other way, off a base that is not RSP */
	mov $scratch + 0xff8, %ebx
	movq $0x55, (%rbx)
	jmp 1f
1:	mov (%rbx), %rax
	mov %rax, 0x708(%rbx)
	mov 0x708(%rbx), %rcx
	mov %rcx, -8(%rbx)
	mov -8(%rbx), %rdx
	add %rcx, %rdx
	SAVE %rdx                       //! = 0xaa
	/* the boundary within an access */
	movabs $0x1122334455667788, %rax
	mov %rax, 4(%rbx)
	mov (%rbx), %rcx
	mov 8(%rbx), %edx
	SAVE %rcx                       //! = 0x5566778800000055
	SAVE %rdx                       //! = 0x11223344
	mov %r15, %rsp
	END
function:
	mov $0x11, %eax
	ret
