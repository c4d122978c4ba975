/* SPDX-License-Identifier: MIT */
/* 4-level paging: 1 GiB pages, rights and reserved bits at each level, ignored bits, the edges of the canonical space, CR3, PCID
 * and INVPCID. SDM vol. 3A 4.5, 4.6, 4.7 and 4.10; vol. 2 INVPCID, INVLPG. */
#include "test.inc"

	.set ENTRY, pt + SCRATCH_PAGE * 8

test:
	ENTER_LONG long_test
	.code64
long_test:
	/* the second 512 GiB: one page of 1 GiB, and the first GiB again */
	movl $pdpt_b + 7, pml4 + 8
	movl $0x87, pdpt_b
	movl $pd + 7, pdpt_b + 8
	mov $0x8000000000, %rbx
	movl $0x1234, scratch
	mov scratch(%rbx), %eax
	SAVE %eax                      //! = 0x1234
	SAVEM64 pdpt_b                 //! = 0xa7
	movl $0x1235, scratch(%rbx)
	SAVEM64 pdpt_b                 //! = 0xe7
	SAVEM64 scratch                //! = 0x1235
	SAVEM64 pml4 + 8               //! = pdpt_b+0x27
	/* reserved bits: 13 to 29 of that page, PS in a PML4 entry, bits beyond 40 anywhere */
	movl $0x2087, pdpt_b
	invlpg (%rbx)
	FAULT64 mov scratch(%rbx), %eax //! #PF(9)
	mov %cr2, %rax
	SAVE %rax                      //! = 0x8000180000
	movl $0x20000087, pdpt_b
	FAULT64 movb $1, (%rbx)        //! #PF(0xb)
	movl $0x1087, pdpt_b           /* PAT */
	mov scratch(%rbx), %eax
	orl $0x80, pml4 + 8
	mov %cr3, %rax
	mov %rax, %cr3
	FAULT64 mov (%rbx), %eax       //! #PF(9)
	movl $pdpt_b + 7, pml4 + 8
	btsq $40, pdpt_b
	FAULT64 mov (%rbx), %eax       //! #PF(9)
	btrq $40, pdpt_b
	/* ignored: bits 52 to 62 */
	btsq $52, pdpt_b
	btsq $62, pml4 + 8
	mov scratch(%rbx), %eax
	SAVE %eax                      //! = 0x1235
	/* rights at the top */
	movl $pdpt_b + 5, pml4 + 8
	invlpg (%rbx)
	FAULT64 movb $1, scratch(%rbx) //! #PF(3)
	movl $pdpt_b + 3, pml4 + 8
	invlpg (%rbx)
	movb $0xc3, scratch(%rbx)
	USER64 0x3002, mov (%rbx), %al //! #PF(5)
	btsq $63, pml4 + 8
	invlpg (%rbx)
	lea scratch(%rbx), %rdx
	FAULT64 call *%rdx             //! #PF(0x11)
	btrq $63, pml4 + 8
	btsq $63, pdpt_b
	invlpg (%rbx)
	FAULT64 call *%rdx             //! #PF(0x11)
	btrq $63, pdpt_b
	invlpg (%rbx)
	call *%rdx
	USER64 0x3002, call *%rdx      //! #PF(0x15)
	/* D is not A */
	andl $~0x60, ENTRY
	invlpg scratch
	mov scratch, %al
	SAVEM64 ENTRY                  //! = scratch+0x27
	FAULT64 movaps %xmm0, scratch + 8 /* the alignment comes first */ //! #GP(0)
	SAVEM64 ENTRY                  //! = scratch+0x27
	movb $1, scratch
	SAVEM64 ENTRY                  //! = scratch+0x67

	/* the edges */
	mov $0x00007ffffffffffc, %rcx
	FAULT64 mov (%rcx), %eax       //! #PF(0) 0xfffffffc
	FAULT64 mov (%rcx), %rax       //! #GP(0)
	mov $0xffff800000000000, %rcx
	FAULT64 mov (%rcx), %rax       //! #PF(0) 0
	FAULT64 mov -1(%rcx), %rax     //! #GP(0)
	FAULT64 mov -4, %rax           //! #PF(0) 0xfffffffc
	btr $63, %rcx
	invlpg (%rcx)                  /* not canonical: nothing happens */
	mov %rcx, %rsp
	movb $1, idt64 + 12 * 16 + 4   /* on a stack of its own */
	FAULT64 push %rax              //! #SS(0)

	/* CR3 */
	mov $pml4, %eax
	bts $40, %rax
	FAULT64 mov %rax, %cr3         //! #GP(0)
	mov $pml4, %eax
	bts $63, %rax
	FAULT64 mov %rax, %cr3         /* no PCIDs yet */ //! #GP(0)
	mov $pml4 + 0x18, %eax
	mov %rax, %cr3
	mov %cr4, %rdx
	bts $17, %rdx
	FAULT64 mov %rdx, %cr4         /* CR3 must have PCID 0 */ //! #GP(0)
	movq $0, pcid
	movq $scratch, pcid + 8
	mov $4, %ecx
	FAULT64 invpcid pcid, %rcx     /* no such type */ //! #GP(0)
	movq $1, pcid
	xor %ecx, %ecx
	FAULT64 invpcid pcid, %rcx     /* there are no PCIDs yet */ //! #GP(0)
	mov $pml4, %eax
	mov %rax, %cr3
	mov %rdx, %cr4
	mov $pml4 + 5, %eax
	bts $63, %rax
	mov %rax, %cr3
	mov %cr3, %rax
	SAVE %rax                      //! = pml4+5
	mov %cr0, %rax
	btr $31, %rax
	FAULT64 mov %rax, %cr0         //! #GP(0)
	/* each type makes a new mapping visible: scratch moves to its neighbour and back */
	movl $0xa0, scratch
	movl $0xa1, scratch + 0x1000
	mov scratch, %eax
	movl $scratch + 0x1007, ENTRY
	movq $5, pcid
	invpcid pcid, %rcx             /* 0: one address */
	SAVEM64 scratch                //! = 0xa1
	movl $scratch + 7, ENTRY
	inc %ecx
	invpcid pcid, %rcx             /* 1: one PCID */
	SAVEM64 scratch                //! = 0xa0
	movl $scratch + 0x1007, ENTRY
	inc %ecx
	invpcid pcid, %rcx             /* 2: all */
	SAVEM64 scratch                //! = 0xa1
	movl $scratch + 7, ENTRY
	inc %ecx
	invpcid pcid, %rcx             /* 3: all but the global */
	SAVEM64 scratch                //! = 0xa0
	movl $scratch + 0x1007, ENTRY
	mov $pml4 + 6, %eax
	mov %rax, %cr3
	SAVEM64 scratch                //! = 0xa1
	movl $scratch + 7, ENTRY
	mov %rax, %cr3
	mov $pml4 + 5, %eax
	mov %rax, %cr3                 /* without bit 63: flushed */
	SAVEM64 scratch                //! = 0xa0
	movq $0x1000, pcid
	FAULT64 invpcid pcid, %rcx     /* reserved bits of the descriptor */ //! #GP(0)
	movq $0, pcid
	movq $scratch, pcid + 8
	btsq $62, pcid + 8
	xor %ecx, %ecx
	FAULT64 invpcid pcid, %rcx     //! #GP(0)
	USER64 0x3002, invpcid pcid, %rcx //! #GP(0)
	USER64 0x3002, invlpg (%rcx)   //! #GP(0)
	END

	.section .tables, "aw"
	.align 4096
pdpt_b:	.fill 512, 8, 0
pcid:	.quad 0, 0
