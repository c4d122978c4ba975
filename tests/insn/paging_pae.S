/* SPDX-License-Identifier: MIT */
/* PAE paging outside long mode: when PDPTEs are loaded and checked, execute-disable, reserved bits, 2 MiB pages.
 * SDM vol. 3A 4.4 and 4.7. */
#include "test.inc"

	.set ENTRY, pt + SCRATCH_PAGE * 8

test:
	mov $pdptes, %eax
	mov %eax, %cr3
	mov %cr4, %eax
	or $0x20, %eax
	mov %eax, %cr4
	mov %cr0, %edx
	or $0x80010000, %edx
	FAULT mov %edx, %cr0           /* R/W and U/S are reserved in a PDPTE */ //! #GP(0)
	movl $pd + 1, pdptes
	mov %edx, %cr0
	mov %cr0, %eax
	SAVE %eax                      //! & 0x80010001 = 0x80010001
	movl $0x1234, scratch
	mov 0xc0000000 + scratch, %eax
	SAVE %eax                      //! = 0x1234
	SAVEM pdptes                   /* no accessed bit there */ //! = pd+1
	FAULT mov 0x40000000 + scratch, %eax //! #PF(0) 0x40180000
	FAULT mov 0x80000000, %eax     //! #PF(0) 0x80000000
	/* what is in memory counts only when it is loaded */
	movl $pd + 1, pdptes + 8
	invlpg 0x40000000 + scratch
	FAULT mov 0x40000000 + scratch, %eax //! #PF(0) 0x40180000
	mov %cr3, %eax
	mov %eax, %cr3
	mov 0x40000000 + scratch, %eax
	SAVE %eax                      //! = 0x1234
	/* each reserved bit, and nothing changes then */
	movl $pdptes2, %ebx
	movl $pd + 0x81, pdptes2
	FAULT mov %ebx, %cr3           //! #GP(0)
	movl $pd + 1, pdptes2
	movl $0x100, pdptes2 + 4       /* beyond 40 bits */
	FAULT mov %ebx, %cr3           //! #GP(0)
	movl $0x80000000, pdptes2 + 4
	FAULT mov %ebx, %cr3           //! #GP(0)
	movl $0, pdptes2 + 4
	mov %cr3, %eax
	SAVE %eax                      //! = pdptes
	movl $pd + 0xe01 + 0x18, pdptes2 /* ignored and cache bits */
	mov %ebx, %cr3
	/* CR4.PGE loads them, too */
	orl $2, pdptes2
	mov %cr4, %eax
	bts $7, %eax
	FAULT mov %eax, %cr4           //! #GP(0)
	mov %cr4, %eax
	SAVE %eax                      //! & 0xa0 = 0x20
	andl $~2, pdptes2

	/* bit 63 is reserved without NXE */
	orl $0x80000000, ENTRY + 4
	invlpg scratch
	FAULT mov scratch, %eax        //! #PF(9) scratch
	FAULT movb $1, scratch         //! #PF(0xb) scratch
	mov $scratch, %ebx
	FAULT call *%ebx               /* nor are fetches reported */ //! #PF(9) scratch
	mov $0xc0000080, %ecx
	rdmsr
	bts $11, %eax
	wrmsr
	mov scratch, %ecx
	SAVE %ecx                      //! = 0x1234
	FAULT call *%ebx               //! #PF(0x11) scratch
	USER 0x3002, call *%ebx        //! #PF(0x15) scratch
	mov $0x80000000, %ebx
	FAULT jmp *%ebx                //! #PF(0x10) 0x80000000
	mov $scratch, %ebx
	/* NX above it counts as well */
	andl $0x7fffffff, ENTRY + 4
	movb $0xc3, scratch
	orl $0x80000000, pd + 4
	/* the program itself lies there: go by a directory that has it twice */
	movl $pd_b + 1, pdptes2 + 8
	movl $pt + 7, pd_b
	movl $0x80000000, pd_b + 4
	andl $0x7fffffff, pd + 4
	mov %cr3, %eax
	mov %eax, %cr3
	call *%ebx
	lea 0x40000000(%ebx), %edx
	FAULT call *%edx               //! #PF(0x11) 0x40180000
	mov (%edx), %cl
	/* address bits beyond 40, and bits 52 to 62, are reserved in all entries here */
	orl $0x100, ENTRY + 4
	invlpg scratch
	FAULT mov scratch, %eax        //! #PF(9) scratch
	movl $0x100000, ENTRY + 4
	FAULT mov scratch, %eax        //! #PF(9) scratch
	USER 0x3002, mov scratch, %al  //! #PF(0xd) scratch
	movl $0, ENTRY + 4
	movl $0x40000000, pd_b + 4
	mov %cr3, %eax
	mov %eax, %cr3
	FAULT mov (%edx), %cl          //! #PF(9) 0x40180000
	/* 2 MiB pages need no PSE; bits 13 to 20 are reserved */
	movl $0x1111, 0x600010
	SAVEM pd + 24                  //! = 0x6000e7
	movl $0x602087, pd + 24
	invlpg 0x600000
	FAULT mov 0x600010, %eax       //! #PF(9) 0x600010
	movl $0x601087, pd + 24        /* PAT */
	mov 0x600010, %eax
	SAVE %eax                      //! = 0x1111
	/* an absent entry has no reserved bits */
	movl $0xfffffffe, ENTRY
	movl $0xffffffff, ENTRY + 4
	invlpg scratch
	FAULT mov scratch, %eax        //! #PF(0) scratch
	/* rights */
	movl $scratch + 5, ENTRY
	movl $0, ENTRY + 4
	FAULT movb $1, scratch         //! #PF(3) scratch
	USER 0x3002, movb $1, scratch  //! #PF(7) scratch
	movl $scratch + 3, ENTRY
	invlpg scratch
	USER 0x3002, movb scratch, %al //! #PF(5) scratch
	END

	.section .tables, "aw"
	.align 4096
pd_b:	.fill 512, 8, 0
	.align 32
pdptes:	.long pd + 7, 0
	.quad 0, 0xfffffffffffffffe /* absent: the rest is ignored */
	.long pd + 1, 0
pdptes2: .long pd + 1, 0
	.quad 0, 0, 0
