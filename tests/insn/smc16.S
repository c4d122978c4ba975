/* SPDX-License-Identifier: MIT */
/* Code that changes while it is hot, in 32-bit code and in real mode (smc64.S has the 64-bit part): loops that patch themselves,
 * functions written anew between calls, code that a device writes, one page under two linear addresses and code of one address
 * in two segments. SDM vol. 3A 8.1.3 and 11.6. */
#include "test.inc"
	.set FUNCTIONS, 40 /* in a page, of 64 bytes each */
	.set PORT_COPY, 0xf8
	.set LOW, 0x9000   /* functions of real mode */
	.set RESULT, 0x5000

	/* Write function \n at \to: EAX = \a + \b. Uses EDX. */
	.macro WRITE32 n, to, a, b
	movl \n, %edx
	shl $6, %edx
	add \to, %edx
	movb $0xb8, (%edx)
	movl \a, 1(%edx)
	movb $0x05, 5(%edx)
	movl \b, 6(%edx)
	movb $0xc3, 10(%edx)
	.endm

test:
	/* a loop that every hundredth time changes what it adds */
	xor %ebx, %ebx
	mov $1000, %ecx
	mov $100, %esi
	jmp 1f
1:	add $1, %ebx
	dec %esi
	jnz 2f
	mov $100, %esi
	incb 1b + 2
2:	dec %ecx
	jnz 1b
	SAVE %ebx                       //! = 5500

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
	SAVE %ebx                       //! = 51

	/* a page written anew a hundred times; its functions are called twice each time */
	xor %ebp, %ebp
	movl $100, round
1:	mov $scratch, %edi
	xor %esi, %esi
2:	mov round, %ecx
	lea (%esi, %ecx), %eax
	WRITE32 %esi, %edi, %eax, %ecx
	inc %esi
	cmp $FUNCTIONS, %esi
	jb 2b
	mov $2 * FUNCTIONS, %esi
3:	mov %esi, %edx
	and $31, %edx
	shl $6, %edx
	add %edi, %edx
	call *%edx
	add %eax, %ebp
	dec %esi
	jnz 3b
	decl round
	jnz 1b
	SAVE %ebp                       //! = 920800

	/* a device writes what was called just now, and called often before that */
	mov $scratch, %edi
	xor %ebp, %ebp
	mov $200, %ecx
	WRITE32 $0, %edi, %ecx, %ecx
1:	call *%edi
	call *%edi
	add %eax, %ebp
	mov $scratch + 0x1000, %esi
	dec %ecx
	WRITE32 $0, %esi, %ecx, %ecx
	movl $scratch, copy
	movl $scratch + 0x1000, copy + 4
	movl $64, copy + 8
	mov $copy, %eax
	mov $PORT_COPY, %edx
	out %eax, %dx
	test %ecx, %ecx
	jnz 1b
	SAVE %ebp                       //! = 40200

	/* one page, two addresses: called by one and written by the other, and the other way round */
	mov $pd32, %eax
	mov %eax, %cr3
	mov %cr4, %eax
	or $0x10, %eax
	mov %eax, %cr4
	mov %cr0, %eax
	or $0x80000000, %eax
	mov %eax, %cr0
	mov $scratch, %edi
	lea 0x400000(%edi), %esi
	xor %ebp, %ebp
	mov $200, %ecx
1:	WRITE32 $0, %edi, %ecx, $1
	call *%esi
	add %eax, %ebp
	call *%edi
	add %eax, %ebp
	WRITE32 $0, %esi, %ecx, $2
	call *%edi
	add %eax, %ebp
	call *%esi
	add %eax, %ebp
	dec %ecx
	jnz 1b
	SAVE %ebp                       //! = 81600

	/* through a segment with a base: the same bytes once more, called far */
	movl $0x05b8, (%edi)            /* MOV EAX, 5; then RETF at the sixth byte */
	movw $0xcb00, 4(%edi)
	mov %edi, %eax
	mov %ax, gdt_copy + 2
	shr $16, %eax
	mov %al, gdt_copy + 4
	sgdt gdt_kept
	lgdt gdt_new
	xor %ebp, %ebp
	mov $100, %ecx
1:	mov %cl, 1(%edi)
	lcall $8, $0
	add %eax, %ebp
	dec %ecx
	jnz 1b
	lgdt gdt_kept
	SAVE %ebp                       //! = 5050
	mov %cr0, %eax
	and $0x7fffffff, %eax
	mov %eax, %cr0
	ljmp $CODE16, $down

	.section .scratch16, "awx", @progbits
base16: /* at 0xc000 */
	.code16
down:	mov $DATA16, %ax
	mov %ax, %ds
	mov %ax, %es
	mov %ax, %ss
	mov %cr0, %eax
	and $~1, %al
	mov %eax, %cr0
	ljmp $0x0c00, $code16 - base16
code16:
	xor %eax, %eax
	mov %ax, %ss
	mov $0x7000, %sp
	mov %cs, %ax
	mov %ax, %ds

	/* the loop that changes what it adds */
	xor %ebx, %ebx
	mov $1000, %cx
	mov $100, %si
	jmp 1f
1:	add $1, %bx
	dec %si
	jnz 2f
	mov $100, %si
	incb 1b - base16 + 2
2:	dec %cx
	jnz 1b
	mov %ebx, %ss:RESULT

	/* LOOP, with its distance changed after half of the rounds */
	xor %ebx, %ebx
	mov $200, %cx
	jmp 2f
1:	add $0x100, %ebx
2:	inc %ebx
	cmp $100, %cx
	jne 3f
	movb $1b - 4f, 4f - base16 - 1
3:	loop 2b
4:
	mov %ebx, %ss:RESULT + 4

	/* functions of 16 bytes: MOV AX, a; ADD AX, b; RETF. They are called by two names: 900:n and 8f0:n + 100 */
	mov $LOW >> 4, %ax
	mov %ax, %es
	xor %ebp, %ebp
	mov $200, %cx
1:	mov %cx, %si
	and $31, %si
	shl $4, %si
	movb $0xb8, %es:(%si)
	mov %cx, %es:1(%si)
	movb $0x05, %es:3(%si)
	mov %si, %es:4(%si)
	movb $0xcb, %es:6(%si)
	mov %si, pointer - base16
	movw $LOW >> 4, pointer - base16 + 2
	lcall *pointer - base16
	movzwl %ax, %eax
	add %eax, %ebp
	incw %es:1(%si)
	addw $0x100, pointer - base16
	subw $0x10, pointer - base16 + 2
	lcall *pointer - base16
	movzwl %ax, %eax
	add %eax, %ebp
	dec %cx
	jnz 1b
	mov %ebp, %ss:RESULT + 8 /* over c = 1..200: 2c + 1, and 32 times c modulo 32 */

	/* the device */
	xor %ebp, %ebp
	mov $200, %cx
	movl $LOW, copy16 - base16
	movl $0xc000 + template - base16, copy16 - base16 + 4
	movl $16, copy16 - base16 + 8
	movw $0, pointer - base16
	movw $LOW >> 4, pointer - base16 + 2
1:	mov %cx, template - base16 + 1
	mov $0xc000 + copy16 - base16, %eax
	mov $PORT_COPY, %dx
	out %eax, %dx
	lcall *pointer - base16
	movzwl %ax, %eax
	add %eax, %ebp
	dec %cx
	jnz 1b
	mov %ebp, %ss:RESULT + 12

	lgdtl %cs:gdtr16 - base16
	mov %cr0, %eax
	or $1, %al
	mov %eax, %cr0
	ljmpl $CODE32, $up
template: .byte 0xb8, 0, 0, 5, 1, 0, 0xcb
	.align 4
copy16:	.long 0, 0, 0
pointer: .word 0, 0
gdtr16:	.word 0x8f
	.long gdt
	.code32
	.text
up:	mov $DATA, %eax
	mov %eax, %ds
	mov %eax, %es
	mov %eax, %ss
	lea stack_top, %esp
	END

	.section .tables, "aw"
	.align 4
copy:	.long 0, 0, 0
round:	.long 0
gdt_kept: .word 0
	.long 0
gdt_new: .word 0x8f
	.long gdt_copy - 8
	.align 8
	.quad 0
gdt_copy: /* 32-bit code with a base; the selectors that are in use stay loaded */
	.quad 0x00cf9a000000ffff
	.quad 0x00cf9a000000ffff
	.fill 16, 8, 0
	.align 4096
pd32:	.long 0x83, 0x83 /* 0-4 MiB, and again at 4-8 MiB */
	.fill 1022, 4, 0

//! reg mode = 32
//! mem32 0x5000 = 5500
//! mem32 0x5004 = 0x63c8
//! mem32 0x5008 = 0x21650
//! mem32 0x500c = 20300
