/* SPDX-License-Identifier: MIT */
/* Plain work of 64-bit code, of a kind that every engine must do alike, a KVM in software included: arithmetic, calls through a
 * table, strings, atomics, vector and x87 registers, page tables, ports, MSRs. Its whole end state is compared between engines. */
#include "test.inc"

test:
	fninit
	ENTER_LONG work
	.code64
work:
	/* a list of numbers, sorted by insertion, then summed by position */
	mov $1, %eax
	mov $list, %rdi
	mov $64, %ecx
1:	imul $1103515245, %rax, %rax
	add $12345, %eax
	mov %eax, %edx
	shr $16, %edx
	mov %edx, (%rdi)
	add $4, %rdi
	loop 1b
	mov $1, %ecx
2:	mov list(, %rcx, 4), %eax
	mov %rcx, %rdx
3:	mov list - 4(, %rdx, 4), %ebx
	cmp %eax, %ebx
	jbe 4f
	mov %ebx, list(, %rdx, 4)
	dec %rdx
	jnz 3b
4:	mov %eax, list(, %rdx, 4)
	inc %rcx
	cmp $64, %rcx
	jne 2b
	xor %r8, %r8
	xor %ecx, %ecx
5:	mov list(, %rcx, 4), %eax
	mul %rcx
	add %rax, %r8
	inc %ecx
	cmp $64, %ecx
	jne 5b
	mov %r8, result                      //! mem64 result = 0x58cbaa2

	/* sorted: each at least the one before */
	mov $63, %ecx
	xor %r9d, %r9d
6:	mov list(, %rcx, 4), %eax
	cmp list - 4(, %rcx, 4), %eax
	adc $0, %r9d
	loop 6b
	mov %r9, result + 8                  //! mem64 result+8 = 0

	/* a table of functions, and deep calls */
	xor %eax, %eax
	mov $40, %ecx
7:	mov %ecx, %ebx
	and $3, %ebx
	push %rcx
	call *table(, %rbx, 8)
	pop %rcx
	loop 7b
	mov %rax, result + 16
	mov $20, %edi
	call fibonacci
	mov %rax, result + 24                //! mem64 result+24 = 6765

	/* strings */
	mov $bytes, %rdi
	mov $0x5a, %al
	mov $100, %ecx
	rep stosb
	mov $list, %rsi
	mov $bytes + 3, %rdi
	mov $8, %ecx
	rep movsq
	mov $bytes, %rdi
	mov $0x77, %al
	mov $100, %ecx
	movb $0x77, bytes + 90
	repne scasb
	mov %rcx, result + 32                //! mem64 result+32 = 9
	std
	mov $bytes + 50, %rsi
	mov $bytes + 60, %rdi
	mov $20, %ecx
	rep movsb
	cld

	/* division, shifts, bits */
	mov $0x123456789abcdef0, %rax
	xor %edx, %edx
	mov $1000003, %ecx
	div %rcx
	mov %rax, result + 40                //! mem64 result+40 = 1311764532170
	mov %rdx, result + 48                //! mem64 result+48 = 193810
	shld $12, %rax, %rdx
	mov %rdx, result + 56
	bsr %rax, %rcx
	bswap %rax
	mov %rcx, result + 64                //! mem64 result+64 = 40
	mov %rax, result + 72

	/* atomics */
	mov $5, %eax
	movq $7, bytes
	lock xadd %rax, bytes
	mov %rax, result + 80                //! mem64 result+80 = 7
	mov $12, %eax
	mov $99, %ecx
	lock cmpxchg %rcx, bytes
	setz result + 88                     //! mem8 result+88 = 1
	lock incq bytes                      //! mem64 bytes = 100

	/* vector registers */
	movdqu list, %xmm0
	movdqu list + 16, %xmm1
	paddd %xmm1, %xmm0
	pshufd $0x1b, %xmm0, %xmm2
	pmuludq %xmm1, %xmm2
	movdqu %xmm2, result + 96
	mov $3, %eax
	cvtsi2sd %eax, %xmm3
	sqrtsd %xmm3, %xmm4
	divsd %xmm3, %xmm4
	movsd %xmm4, result + 112            //! mem64 result+112 = 0x3fe279a74590331c

	/* x87 */
	fldpi
	fld1
	faddp
	fsqrt
	fstpl result + 120                   //! mem64 result+120 = 0x400047dd7071b7f8
	fnstsw %ax

	/* a page seen at another place */
	mov $bytes, %eax
	and $~0xfff, %eax
	or $7, %eax
	mov %rax, pt + 511 * 8
	mov $bytes, %edx
	and $0xfff, %edx
	movq $0, bytes + 8
	invlpg 0x1ff000(%rdx)
	movq $0x4321, 0x1ff008(%rdx)
	mov bytes + 8, %rax
	mov %rax, result + 128               //! mem64 result+128 = 0x4321

	/* ports and MSRs */
	xor %eax, %eax
	in $0x80, %al
	mov %rax, result + 136               //! mem64 result+136 = 0xff
	mov $0xc0000082, %ecx
	mov $0x1234, %eax
	mov $0xffff8000, %edx
	wrmsr
	xor %eax, %eax
	xor %edx, %edx
	rdmsr
	mov %eax, result + 144               //! mem32 result+144 = 0x1234
	mov %edx, result + 148               //! mem32 result+148 = 0xffff8000
	mov $0x123456789, %rbx
	xor %ebp, %ebp
	END

f0:	add $3, %rax
	ret
f1:	rol $5, %rax
	ret
f2:	not %rax
	ret
f3:	lea 1(%rax, %rax, 4), %rax
	ret
fibonacci:
	cmp $2, %edi
	jae 1f
	mov %rdi, %rax
	ret
1:	push %rdi
	dec %edi
	call fibonacci
	pop %rdi
	push %rax
	sub $2, %edi
	call fibonacci
	pop %rdx
	add %rdx, %rax
	ret

	.data
	.align 16
list:	.skip 256
bytes:	.skip 256
table:	.quad f0, f1, f2, f3
//! reg rbx = 0x123456789
//! reg rbp = 0
