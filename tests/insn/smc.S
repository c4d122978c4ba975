/* SPDX-License-Identifier: MIT */
/* Self-modifying code: the next instruction, a loop's own body, an instruction that spans two pages, code seen through two
 * linear addresses, code replaced by a string instruction. SDM vol. 3A 8.1.3 and 11.6: a processor sees its own changes. */
#include "test.inc"

test:
	/* the very next instruction of the same block */
	movb $0x42, 1f + 1
1:	mov $0x11, %al
	movzbl %al, %eax
	mov %eax, result

	/* a loop that patches its own immediate: 1 + 2 + ... + 100 */
	xor %ebx, %ebx
	mov $100, %ecx
2:	mov $0, %eax
	lea 1(%eax), %eax
	mov %eax, 2b + 1
	add %eax, %ebx
	dec %ecx
	jnz 2b
	mov %ebx, result + 8

	/* B8 imm32 C3 across a page boundary, both halves changed in turn */
	mov $scratch + 0x1000 - 3, %edi
	movb $0xb8, (%edi)
	movl $0x11223344, 1(%edi)
	movb $0xc3, 5(%edi)
	call *%edi
	mov %eax, result + 16
	movb $0x55, 1(%edi)
	call *%edi
	mov %eax, result + 24
	movb $0x66, 4(%edi)
	call *%edi
	mov %eax, result + 32

	/* through an alias: map scratch page 2 at 4 MiB too (32-bit paging, one large page table of our own) */
	mov $pd32, %eax
	mov %eax, %cr3
	mov %cr4, %eax
	or $0x10, %eax
	mov %eax, %cr4
	mov %cr0, %eax
	or $0x80000000, %eax
	mov %eax, %cr0
	mov $scratch + 0x2000, %edi /* linear = physical */
	mov $0x400000 + scratch + 0x2000, %esi /* the same byte */
	movb $0xb8, (%edi)
	movl $1, 1(%edi)
	movb $0xc3, 5(%edi)
	call *%edi
	mov %eax, result + 40
	movl $2, 1(%esi)
	call *%edi
	mov %eax, result + 48
	movl $3, 1(%edi)
	call *%esi
	mov %eax, result + 56

	/* by REP MOVSB over the code that follows it in the same block */
	mov $3f, %esi
	mov $4f, %edi
	mov $5, %ecx
	rep movsb
4:	mov $0xdead, %eax
	mov %eax, result + 64
	jmp 5f
3:	mov $0xbeef, %eax
5:
	/* a locked instruction on the immediate of the next */
	lock addl $0x100, 6f + 1
6:	mov $0x23, %eax
	mov %eax, result + 72
	END

	.section .tables, "aw"
	.align 4096
pd32:	.long 0x83, 0x83 /* 0-4 MiB, and again at 4-8 MiB */
	.fill 1022, 4, 0
	.text

//! mem32 logged = 0
//! mem64 result = 0x42
//! mem64 result+8 = 5050
//! mem64 result+16 = 0x11223344
//! mem64 result+24 = 0x11223355
//! mem64 result+32 = 0x66223355
//! mem64 result+40 = 1
//! mem64 result+48 = 2
//! mem64 result+56 = 3
//! mem64 result+64 = 0xbeef
//! mem64 result+72 = 0x123
