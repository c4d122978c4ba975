/* SPDX-License-Identifier: MIT */
/* Encodings of 16- and 32-bit code that 64-bit code lacks or reads as something else (SDM vol. 2 appendix A, i64 and o64), and
 * prefixes without a meaning: each must do what its decoded form says, whatever the engine makes of it. */
#include "test.inc"

	/* Group 82: 80 again. AL and a byte in memory. */
	.macro GROUP82 ext
	.byte 0x82, 0xc0 | \ext << 3, 0x35
	rol $8, %eax
	.byte 0x82, 0x07 | \ext << 3, 0x35 /* (%edi) */
	.byte 0xf0 /* with LOCK, which CMP has not */
	.ifeq \ext - 7
	nop
	.else
	.byte 0x82, 0x07 | \ext << 3, 0x1b
	.endif
	.endm

	.macro ALL82
	mov $0x89abcdef, %eax
	movl $0x01234567, (%edi)
	.irp ext, 0, 1, 2, 3, 4, 5, 6
	GROUP82 \ext
	.endr
	.byte 0x82, 0xf8, 0x12 /* cmp $0x12, %al */
	.byte 0x82, 0x3f, 0xff
	setc %cl
	.endm

test:
	mov %cr4, %eax
	or $0x600, %eax /* OSFXSR, OSXMMEXCPT */
	mov %eax, %cr4
	mov $scratch, %edi
	xor %ecx, %ecx
	ALL82
	SAVE %eax                       //! = 0x2488d597
	SAVEM (%edi)                    //! = 0x012345ef
	SAVE %ecx                       //! = 1

	/* the same in ring 3 */
	movl $1f, resume
	RING3 2, 2f
2:	mov $scratch, %edi
	ALL82
	mov %eax, scratch + 8
	ud2                             //! #UD
1:	SAVEM scratch + 8               //! = 0x2488d597

	/* one-byte INC and DEC are REX prefixes in 64-bit code */
	mov $5, %ebx
	inc %ebx
	.byte 0x66, 0x43 /* inc %bx */
	dec %ebp
	.byte 0x40, 0x48 /* inc, dec %eax */
	SAVE %ebx                       //! = 7

	/* overrides that are ignored there: DS has a base, SS has not */
	movl $0x0100ffff, gdt + FREE
	movl $0x00cf9200, gdt + FREE + 4
	movw $FREE, %dx
	movl $0x11111111, scratch
	movl $0x22222222, scratch + 0x100
	push %ds
	mov %dx, %ds
	xor %ebx, %ebx
	.byte 0x36, 0x03, 0x1d /* add %ss:scratch, %ebx */
	.long scratch
	.byte 0x3e, 0x03, 0x1d
	.long scratch
	.byte 0x26, 0x03, 0x1d
	.long scratch
	.byte 0x26, 0x3e, 0x36, 0x2e, 0x03, 0x1d /* the last counts: CS */
	.long scratch
	pop %ds
	SAVE %ebx                       //! = 0x55555555

	/* 16-bit addresses */
	movl $0x77, 0x6120
	mov $0xabcd6100, %ebx
	mov $0x10, %esi
	.byte 0x67, 0x8b, 0x40, 0x10 /* mov 0x10(%bx, %si), %eax */
	SAVE %eax                       //! = 0x77
	.byte 0x67, 0x8d, 0x40, 0x10 /* lea */
	SAVE %eax                       //! = 0x6120

	/* what 64-bit code does not have at all */
	mov $0x35, %eax
	cmp %eax, %eax
	aaa
	aam
	.byte 0xd4, 7
	aad
	cmp %edx, %edx
	das
	cmp %edx, %edx
	aas
	SAVE %eax                       //! = 5
	mov $0x7, %eax
	aam $3
	SAVE %eax                       //! = 0x201
	stc
	.byte 0xd6 /* salc */
	SAVE %eax                       //! = 0x2ff
	pusha
	xor %ebx, %ebx
	popa
	push %es
	push %ss
	push %ds
	pop %ds
	pop %ss
	pop %es
	lcall $CODE32, $3f
	jmp 4f
3:	lret
4:	movl $scratch + 64, scratch
	movw $DATA, scratch + 4
	.byte 0xc4, 0x1d /* les scratch, %ebx */
	.long scratch
	.byte 0xc5, 0x15 /* lds scratch, %edx */
	.long scratch
	cmp %ebx, %edx
	sete %al
	SAVE %eax                       //! = 0x201
	mov $8, %ebx
	mov $3, %ecx
	arpl %cx, %bx
	SAVE %ebx                       //! = 0xb
	movl $1, scratch
	movl $9, scratch + 4
	FAULT bound %ebx, scratch       //! #BR
	/* prefixes that mean nothing */
	mov $0x10001, %ebx
	mov $0x7fff, %ecx
	.byte 0xf3, 0x01, 0xcb          /* add %ecx, %ebx */
	.byte 0xf2, 0x01, 0xcb
	.byte 0x66, 0xf3, 0x01, 0xcb    /* add %cx, %bx */
	.byte 0xf2, 0xf3, 0x64, 0x2e, 0x0f, 0xb6, 0xc3 /* movzx %bl, %eax */
	SAVE %ebx                       //! = 0x17ffe
	SAVE %eax                       //! = 0xfe
	.byte 0x66, 0x0f, 0x92, 0xc0    /* setc %al */
	.byte 0xf3, 0x0f, 0x44, 0xc1    /* cmovz */
	.byte 0xf2, 0x0f, 0xaf, 0xc3    /* imul %ebx, %eax */
	.byte 0x66, 0x0f, 0xc8          /* bswap %ax: undefined, must not stop the machine */
	SAVE %ecx                       //! = 0x7fff

	/* ---- 16-bit code: there the prefix means 32 bits ---- */
	mov $DATA, %eax /* ring 3 had to go without */
	mov %eax, %fs
	mov $scratch, %edi
	ljmp $CODE16, $code16

	.section .scratch16, "awx", @progbits
	.code16
code16:	mov $0x6000, %bx /* not in a page with code: that would be the interpreter's */
	mov $0x89abcdef, %eax
	movl $0, %fs:(%bx)
	movnti %eax, %fs:(%bx)
	mov %fs:(%bx), %ecx
	.byte 0x82, 0xc0, 0x35 /* add $0x35, %al */
	.byte 0x82, 0xf0, 0x11 /* xor */
	mov %eax, %esi
	/* those whose operand is 32 bits wide at any operand size, and those that have none */
	stc
	.byte 0x0f, 0x92, 0xc2          /* setc %dl */
	.byte 0x66, 0x0f, 0x92, 0xc6    /* setc %dh */
	movzx %dl, %bp
	movzx %dl, %edi
	movsx %ax, %edi
	.byte 0xf2, 0x0f, 0x38, 0xf0, 0xfa /* crc32b %dl, %edi */
	.byte 0xf2, 0x0f, 0x38, 0xf1, 0xf9 /* crc32w %cx, %edi */
	.byte 0x66, 0xf2, 0x0f, 0x38, 0xf1, 0xf9 /* crc32l %ecx, %edi */
	.byte 0xf3, 0x0f, 0xb8, 0xe9    /* popcnt %cx, %bp */
	.byte 0x66, 0xf3, 0x0f, 0xb8, 0xd9 /* popcnt %ecx, %ebx */
	movd %ecx, %xmm1
	.byte 0x66, 0x0f, 0x6e, 0xd1    /* movd %ecx, %xmm2 */
	paddd %xmm1, %xmm2
	movd %xmm2, %edx
	shld $4, %cx, %dx
	shld $4, %ecx, %edx
	bswap %ecx
	.byte 0x0f, 0xb1, 0xca          /* cmpxchg %cx, %dx */
	xadd %eax, %edx
	ljmpl $CODE32, $back
	.previous
	.code32
back:	SAVE %ecx                       //! = 0xefcdab89
	SAVE %esi                       //! = 0x89abcd35
	SAVE %edi                       //! = 0xcf27dd30
	SAVE %ebp                       //! & 0xffff = 12
	SAVE %ebx                       //! = 0x14
	SAVE %edx                       //! = 0xbf27bd90
	END
