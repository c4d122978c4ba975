/* SPDX-License-Identifier: MIT */
/* 32-bit paging: 4 KiB and 4 MiB pages, PSE-36, rights at both levels, WP, accessed and dirty bits, error codes, and what must
 * invalidate cached translations. SDM vol. 3A 4.3, 4.6 to 4.8 and 4.10.4. */
#include "test.inc"

test:
	mov $pt32, %edi             /* the first 4 MiB: everyone's, identical */
	mov $7, %eax
	mov $1024, %ecx
1:	mov %eax, (%edi)
	add $4, %edi
	add $0x1000, %eax
	loop 1b
	movl $0x200003, pt32 + 0x200 * 4 /* the TSS: the supervisor's */
	movl $pt32 + 7, pd32
	movl $0x800087, pd32 + 4    /* 4 to 8 MiB: one page at 8 MiB */
	movl $pt_b + 7, pd32 + 8    /* 8 to 12 MiB */
	mov $pd32, %eax
	mov %eax, %cr3
	mov %cr4, %eax
	or $0x90, %eax              /* PSE, PGE */
	mov %eax, %cr4
	mov %cr0, %eax
	or $0x80010000, %eax        /* PG, WP */
	mov %eax, %cr0

	/* accessed and dirty */
	mov scratch, %eax
	SAVEM pt32 + SCRATCH_PAGE * 4  //! = scratch+0x27
	movb $1, scratch
	SAVEM pt32 + SCRATCH_PAGE * 4  //! = scratch+0x67
	SAVEM pd32                     //! & 0xfff = 0x27
	movl $0x87654321, 0x400010
	SAVEM pd32 + 4                 //! = 0x8000e7
	//! mem32 0x800010 = 0x87654321

	/* nothing there */
	FAULT mov 0xc00004, %eax       //! #PF(0) 0xc00004
	FAULT movb $1, 0xc00fff        //! #PF(2) 0xc00fff
	FAULT incl 0xc00010            //! #PF(2) 0xc00010
	FAULT movb $1, 0x800000        //! #PF(2) 0x800000
	mov $0xc00123, %ebx
	FAULT call *%ebx               //! #PF(0) 0xc00123
	USER 0x3002, mov 0xc00000, %al //! #PF(4) 0xc00000
	USER 0x3002, push 0xc00000     //! #PF(4) 0xc00000
	USER 0x3002, popl 0xc00000     //! #PF(6) 0xc00000
	USER 0x3002, call *%ebx        //! #PF(4) 0xc00123

	/* rights of the page */
	movl $scratch + 0x1005, pt32 + SCRATCH_PAGE * 4 + 4 /* read-only */
	movl $scratch + 0x2003, pt32 + SCRATCH_PAGE * 4 + 8 /* supervisor's */
	mov %cr3, %eax
	mov %eax, %cr3
	FAULT movl $1, scratch + 0x1004 //! #PF(3) scratch+0x1004
	FAULT lock addl $0, scratch + 0x1008 //! #PF(3) scratch+0x1008
	mov $5, %eax
	FAULT cmpxchg %ecx, scratch + 0x1010 /* writes even if unequal */ //! #PF(3) scratch+0x1010
	mov %cr0, %eax
	btr $16, %eax
	mov %eax, %cr0
	movl $0x77, scratch + 0x1004   /* without WP the supervisor may */
	SAVEM pt32 + SCRATCH_PAGE * 4 + 4 //! = scratch+0x1065
	USER 0x3002, movl $1, scratch + 0x1000 //! #PF(7) scratch+0x1000
	bts $16, %eax
	mov %eax, %cr0
	USER 0x3002, mov scratch + 0x1004, %edx //! #UD
	SAVE %edx                      //! = 0x77
	movl $0x78, scratch + 0x2000
	USER 0x3002, mov scratch + 0x2000, %edx //! #PF(5) scratch+0x2000
	USER 0x3002, movb $1, scratch + 0x2000  //! #PF(7) scratch+0x2000
	mov $scratch + 0x2000, %ebx
	USER 0x3002, jmp *%ebx         //! #PF(5) scratch+0x2000
	/* rights of the directory entry count as well */
	movl $scratch + 7, pt_b
	movl $pt_b + 5, pd32 + 8
	FAULT movb $1, 0x800000        //! #PF(3) 0x800000
	movl $pt_b + 3, pd32 + 8
	mov %cr3, %eax
	mov %eax, %cr3
	movb $1, 0x800000
	USER 0x3002, mov 0x800000, %al //! #PF(5) 0x800000

	/* across two pages: the address is that of the second, and nothing is written to the first */
	movl $0, pt32 + SCRATCH_PAGE * 4 + 12
	invlpg scratch + 0x3000
	movl $0x11111111, scratch + 0x2ffc
	FAULT movl $-1, scratch + 0x2ffe //! #PF(2) scratch+0x3000
	FAULT mov scratch + 0x2ffd, %eax //! #PF(0) scratch+0x3000
	SAVEM scratch + 0x2ffc         //! = 0x11111111
	/* from absent to present needs no invalidation */
	movl $scratch + 0x3007, pt32 + SCRATCH_PAGE * 4 + 12
	movl $-1, scratch + 0x2ffe
	SAVEM scratch + 0x3000         //! = 0xffff

	/* global pages: INVLPG and a change of PGE drop them, MOV CR3 need not */
	movl $0xa, scratch
	movl $0xb, scratch + 0x3000
	movl $scratch + 0x107, pt_b + 8
	movl $pt_b + 7, pd32 + 8
	mov 0x802000, %eax
	SAVE %eax                      //! = 0xa
	movl $scratch + 0x3107, pt_b + 8
	invlpg 0x802abc
	mov 0x802000, %eax
	SAVE %eax                      //! = 0xb
	movl $scratch + 0x107, pt_b + 8
	mov %cr4, %eax
	btr $7, %eax
	mov %eax, %cr4
	mov 0x802000, %ebx
	SAVE %ebx                      //! = 0xa
	movl $scratch + 0x3007, pt_b + 8
	mov %cr3, %ebx
	mov %ebx, %cr3
	mov 0x802000, %ebx
	SAVE %ebx                      //! = 0xb

	/* a 4 MiB page: bit 21 is reserved, bits 13 to 20 are address bits 32 to 39 */
	movl $0xa00087, pd32 + 4
	invlpg 0x400000
	FAULT mov 0x400020, %ecx       //! #PF(9) 0x400020
	USER 0x3002, movb $1, 0x400020 //! #PF(0xf) 0x400020
	movl $0x802087, pd32 + 4       /* at 4 GiB + 8 MiB there is nothing */
	mov 0x400010, %ecx
	SAVE %ecx                      //! = 0xffffffff
	/* without PSE bit 7 means nothing in a directory entry */
	movl $pt_b + 0x87, pd32 + 4
	btr $4, %eax
	mov %eax, %cr4
	mov 0x402000, %ebx
	SAVE %ebx                      //! = 0xb
	END

	.section .tables, "aw"
	.align 4096
pd32:	.fill 1024, 4, 0
pt32:	.fill 1024, 4, 0
pt_b:	.fill 1024, 4, 0
