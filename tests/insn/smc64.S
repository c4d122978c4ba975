/* SPDX-License-Identifier: MIT */
/* Code that changes while it is hot, in 64-bit code: a loop that patches itself, a page of functions written anew between calls,
 * code that a device writes, and one page under two linear addresses. SDM vol. 3A 8.1.3 and 11.6. */
#include "test.inc"
	.set FUNCTIONS, 40 /* in a page, of 64 bytes each: B8 imm32, 05 imm32, C3 */
	.set PORT_COPY, 0xf8

	/* Write function \n at \to: EAX = \a + \b. Uses RAX, RDX. */
	.macro WRITE_FUNCTION n, to, a, b
	movl \n, %edx
	shl $6, %edx
	add \to, %rdx
	movb $0xb8, (%rdx)
	movl \a, 1(%rdx)
	movb $0x05, 5(%rdx)
	movl \b, 6(%rdx)
	movb $0xc3, 10(%rdx)
	.endm

test:
	ENTER_LONG long_test
	.code64
long_test:
	/* a loop that every hundredth time changes what it adds */
	xor %ebx, %ebx
	mov $1000, %ecx
	mov $100, %esi
	jmp 1f
1:	add $1, %rbx
	dec %esi
	jnz 2f
	mov $100, %esi
	incb 1b + 3
2:	dec %ecx
	jnz 1b
	SAVE %rbx                       //! = 5500

	/* and one that changes the jump it ends with, once */
	xor %ebx, %ebx
	mov $200, %ecx
	jmp 1f
1:	inc %ebx
	cmp $150, %ecx
	jne 2f
	movw $0x9090, 3f
2:	dec %ecx
3:	jnz 1b
	SAVE %rbx                       //! = 51
	SAVE %rcx                       //! = 149

	/* a page written anew a hundred times; all its functions are called twice each time */
	xor %ebp, %ebp
	mov $100, %r12d
1:	mov $scratch, %edi
	xor %esi, %esi
2:	lea (%rsi, %r12), %ecx
	WRITE_FUNCTION %esi, %rdi, %ecx, %r12d
	inc %esi
	cmp $FUNCTIONS, %esi
	jb 2b
	mov $2 * FUNCTIONS, %esi
3:	mov %esi, %edx
	and $31, %edx
	shl $6, %edx
	add %rdi, %rdx
	call *%rdx
	add %rax, %rbp
	dec %esi
	jnz 3b
	dec %r12d
	jnz 1b
	/* over r = 1..100: 80 * 2r, and the numbers of 80..1 modulo 32, which are 2 * 496 + 0..16 */
	SAVE %rbp                       //! = 920800

	/* a device writes what was called just now, and called often before that */
	mov $scratch, %edi
	xor %ebp, %ebp
	mov $200, %r12d
	WRITE_FUNCTION $0, %rdi, %r12d, %r12d
1:	call *%rdi
	call *%rdi
	add %rax, %rbp
	mov $scratch + 0x1000, %esi
	dec %r12d
	WRITE_FUNCTION $0, %rsi, %r12d, %r12d
	movl $scratch, copy
	movl $scratch + 0x1000, copy + 4
	movl $64, copy + 8
	mov $copy, %eax
	mov $PORT_COPY, %edx
	out %eax, %dx
	test %r12d, %r12d
	jnz 1b
	SAVE %rbp                       //! = 40200
	call *%rdi
	SAVE %rax                       //! = 0

	/* one page, two addresses: called by one and written by the other, and the other way round */
	mov pt + SCRATCH_PAGE * 8, %rax
	mov %rax, pt + SCRATCH_PAGE * 8 + 8
	mov $scratch, %edi
	lea 0x1000(%rdi), %rsi
	invlpg (%rsi)
	xor %ebp, %ebp
	mov $200, %r12d
1:	WRITE_FUNCTION $0, %rdi, %r12d, $1
	call *%rsi
	add %rax, %rbp
	call *%rdi
	add %rax, %rbp
	WRITE_FUNCTION $0, %rsi, %r12d, $2
	call *%rdi
	add %rax, %rbp
	call *%rsi
	add %rax, %rbp
	dec %r12d
	jnz 1b
	SAVE %rbp                       //! = 81600

	/* the second address leads elsewhere now */
	lea scratch + 0x2000, %rcx
	WRITE_FUNCTION $0, %rcx, $0x100, $0x23
	mov pt + SCRATCH_PAGE * 8 + 16, %rax
	mov %rax, pt + SCRATCH_PAGE * 8 + 8
	invlpg (%rsi)
	call *%rsi
	SAVE %rax                       //! = 0x123
	call *%rdi
	SAVE %rax                       //! = 3

	/* a function across two pages, each half changed in turn; the pages do not follow each other in memory */
	lea scratch + 0x3000, %rcx
	mov pt + SCRATCH_PAGE * 8 + 24, %rax
	mov %rax, pt + SCRATCH_PAGE * 8 + 8
	invlpg (%rsi)
	lea -3(%rsi), %rdi
	movb $0xb8, (%rdi)
	movl $0, 1(%rdi)
	movb $0xc3, 5(%rdi)
	xor %ebp, %ebp
	mov $100, %r12d
1:	mov %r12b, 1(%rdi)
	call *%rdi
	add %rax, %rbp
	mov %r12b, 1(%rcx)              /* the fourth byte of the number, by the page's other address */
	call *%rdi
	add %rax, %rbp
	dec %r12d
	jnz 1b
	SAVE %rbp                       //! = 0x2773002774
	END

	.section .tables, "aw"
	.align 4
copy:	.long 0, 0, 0
