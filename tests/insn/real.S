/* SPDX-License-Identifier: MIT */
/* Real mode: the way down and back, segment arithmetic, the interrupt table, IP and limit wrap, unreal mode, 16-bit addressing. */
#include "test.inc"

test:
	ljmp $CODE16, $down

	.section .scratch16, "awx", @progbits
base16: /* at 0xc000 */
	.code16
down:	mov $DATA16, %ax
	mov %ax, %ds
	mov %ax, %es
	mov %ax, %ss
	mov %ax, %fs
	mov %ax, %gs
	mov %cr0, %eax
	and $~1, %al
	mov %eax, %cr0
	ljmp $0x0c00, $code16 - base16
code16:
	xor %ax, %ax
	mov %ax, %ds
	mov %ax, %es
	mov %ax, %ss
	mov $0x7000, %sp
	mov %cs, %ax
	mov %ax, 0x5000 /* result 0 */
	/* vector 0x20 of the interrupt table at 0 */
	lidtl %cs:idtr16 - base16
	movw $int20 - base16, 0x80
	movw %cs, 0x82
	int $0x20
	mov %sp, 0x5004
	/* #DE is a fault: IP is that of the DIV */
	movw $int0 - base16, 0
	movw %cs, 2
	xor %cx, %cx
div_at:	div %cx
	mov %ax, 0x5006
	/* 16-bit addresses wrap at 64 KiB, offsets do not reach beyond the limit */
	mov $0xfff0, %bx
	movw $0x1234, 0x5100
	mov 0x5110(%bx), %ax /* 0x5110 + 0xfff0 = 0x5100 */
	mov %ax, 0x500a
	movw $int13 - base16, 13 * 4
	movw %cs, 13 * 4 + 2
	mov $0xffff, %bx
	mov (%bx), %ax       /* a word at 0xffff: #GP */
after13: movw $int12 - base16, 12 * 4
	movw %cs, 12 * 4 + 2
	mov $0xffff, %bp
	mov (%bp), %ax       /* in SS: #SS */
after12:
	/* segment arithmetic, 1 MiB and above is reached: A20 is open */
	mov $0xffff, %ax
	mov %ax, %es
	movw $0x77, %es:0x20 /* 0xffff0 + 0x20 = 0x100010 */
	/* unreal: a 4 GiB limit loaded in protected mode survives */
	cli
	lgdtl %cs:gdtr16 - base16
	mov %cr0, %eax
	or $1, %al
	mov %eax, %cr0
	mov $DATA, %bx
	mov %bx, %fs
	and $~1, %al
	mov %eax, %cr0
	xor %ax, %ax
	mov %ax, %fs
	mov $0x180000, %ebx
	movl $0xcafe, %fs:(%ebx)
	/* up again */
	mov %cr0, %eax
	or $1, %al
	mov %eax, %cr0
	ljmpl $CODE32, $up
int20:	mov %sp, 0x5002
	pushf
	popw 0x500c          /* IF and TF are clear in the handler */
	iret
int0:	pop %ax
	mov %ax, 0x5008
	add $2, %ax
	push %ax
	mov $0x99, %ax
	iret
int13:	add $6, %sp
	incw 0x5010
	jmp after13
int12:	add $6, %sp
	incw 0x5012
	jmp after12
idtr16:	.word 0x3ff
	.long 0
gdtr16:	.word 0x8f
	.long gdt
	.code32
	.text
up:	mov $DATA, %eax
	mov %eax, %ds
	mov %eax, %es
	mov %eax, %ss
	lea stack_top, %esp
	movzwl 0x5000, %eax
	mov %eax, result
	movzwl 0x5002, %eax
	mov %eax, result + 8
	movzwl 0x5004, %eax
	mov %eax, result + 16
	END

//! reg mode = 32
//! mem32 result = 0xc00
//! mem32 result+8 = 0x6ffa
//! mem32 result+16 = 0x7000
//! mem16 0x5006 = 0x99
//! mem16 0x500a = 0x1234
//! mem16 0x500c = 0x0046
//! mem16 0x5010 = 1
//! mem16 0x5012 = 1
//! mem16 0x100010 = 0x77
//! mem32 scratch = 0xcafe
