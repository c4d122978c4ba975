/* SPDX-License-Identifier: MIT */
/* The memory images of FNSTENV and FNSAVE in their four formats and what FLDENV and FRSTOR take from them; what an unmasked
 * exception leaves in the stack, in FOP and FDP; FERR# mode. SDM vol. 1 8.1.7-8.1.10, 8.5, 8.7. */
#include "test.inc"

#define IMAGE 0x6000 /* below 64 KiB, for real mode too */

test:
	mov $IMAGE, %ebx
	mov %cr0, %eax
	and $~0xe, %eax
	or $0x20, %eax
	mov %eax, %cr0

	/* 32-bit protected format */
	fninit
	fldpi
	fld1
last:	fldz
	fnstenv (%ebx)
	SAVEM (%ebx)                   //! = 0xffff037f
	SAVEM 4(%ebx)                  //! = 0xffff2800
	SAVEM 8(%ebx)                  /* valid, valid, zero, five empty */ //! = 0xffff07ff
	SAVEM 12(%ebx)                 //! = last
	SAVEM 16(%ebx)                 /* no exception yet: no opcode */ //! intel: = 0
	                               //! amd: = 0x01ee0010
	SAVEM 20(%ebx)                 //! = 0
	SAVEM 24(%ebx)                 //! = 0xffff0000
	/* 16-bit protected format; the registers follow in stack order, and FNSAVE initialises */
	data16 fnsave (%ebx)
	SAVEM (%ebx)                   //! = 0x2800037f
	SAVEM 4(%ebx)                  //! & 0xffff = 0x07ff
	SAVEM 14 + 4(%ebx)             /* 0.0 */ //! = 0
	SAVEM 14 + 10 + 4(%ebx)        /* 1.0 */ //! = 0x80000000
	SAVEM 14 + 20(%ebx)            /* pi */ //! = 0x2168c235
	SAVEM 14 + 28(%ebx)            //! & 0xffff = 0x4000
	fxam
	fnstsw %ax
	SAVE %eax                      /* empty: C3 and C0 */ //! & 0x7d00 = 0x4100
	fnstcw IMAGE + 200
	SAVEM IMAGE + 200              //! & 0xffff = 0x037f
	data16 frstor (%ebx)
	faddp
	faddp
	fistpl IMAGE + 200
	SAVEM IMAGE + 200              /* 0 + 1 + pi */ //! = 4
	/* any tag but 3 means valid, the rest is looked up; ES follows flags and masks */
	fninit
	fnstenv (%ebx)
	movl $0x037e, (%ebx)
	movl $0x3801, 4(%ebx)
	movl $0xbffe, 8(%ebx)          /* R7: special, R0: special, others empty */
	movl $0x12345678, 12(%ebx)
	movl $0xffff0008, 16(%ebx)
	movl $0x9abcdef0, 20(%ebx)
	fldenv (%ebx)
	fnstsw %ax
	SAVE %eax                      //! & 0xffff = 0xb881
	FAULT fwait                    //! #MF
	fnstenv (%ebx)
	SAVEM 12(%ebx)                 //! = 0x12345678
	SAVEM 16(%ebx)                 /* selectors are 0 on CPUs that say so */ //! intel: = 0x07ff0000
	                               //! amd: = 0x07ff0008
	SAVEM 20(%ebx)                 //! = 0x9abcdef0
	fnstsw %ax
	SAVE %eax                      /* masked by FNSTENV: nothing pending */ //! & 0xffff = 0x3801

	/* unmasked, found before computing: operands and stack stay */
	fninit
	movw $0x037b, IMAGE + 200
	fldcw IMAGE + 200
	fld1
	fdivs zero                     /* FOP d8/6 with a 32-bit displacement */
	fnstenv (%ebx)
	SAVEM 4(%ebx)                  //! = 0xffffb884
	SAVEM 16(%ebx)                 //! intel: = 0x00350000
	                               //! amd: = 0x00350010
	SAVEM 20(%ebx)                 //! = zero
	fnclex
	fistpl IMAGE + 200
	SAVEM IMAGE + 200              //! = 1
	/* unmasked, found later: a register gets the wrapped result, memory nothing */
	fninit
	movw $0x0377, IMAGE + 200
	fldcw IMAGE + 200
	fldt huge
	fmul %st(0)
	fnstsw %ax
	fnclex
	SAVE %eax                      //! & 0xffff = 0xb888
	fstpt IMAGE + 208
	SAVEM IMAGE + 216              /* 2^32766 * 2^-24576 */ //! & 0xffff = 0x5ffd
	fldt huge
	movl $0x1234, IMAGE + 200
	fstpl IMAGE + 200
	fnstsw %ax
	SAVE %eax                      /* not popped */ //! & 0xffff = 0xb888
	SAVEM IMAGE + 200              //! = 0x1234
	fnclex

	/* CR0.NE = 0: no #MF, the board is told; the instruction goes on when it is told to (ferr.S) */
	mov %cr0, %eax
	and $~0x20, %eax
	mov %eax, %cr0
	fninit
	movw $0x037b, IMAGE + 200
	fldcw IMAGE + 200
	fld1
	fdivs zero
	out %al, $0xf3
	fwait
	fld1
	fnstsw %ax
	SAVE %eax                      //! & 0xffff = 0xb084
	fninit
	ljmp $CODE16, $down

	.section .scratch16, "awx", @progbits
base16: /* at 0xc000 */
	.code16
down:	mov $DATA16, %ax
	mov %ax, %ds
	mov %cr0, %eax
	and $~1, %al
	mov %eax, %cr0
	ljmp $0x0c00, $code16 - base16
code16:
	xor %ax, %ax
	mov %ax, %ds
	/* real-mode formats: pointers in 16 + 16 or 16 + 4 bits, FOP beside them */
	fninit
	fldpi
	data32 fnstenv IMAGE           /* a form to fill in */
	movw $0x037b, IMAGE
	movl $0xffff4321, IMAGE + 12
	movl $0x00005355, IMAGE + 16   /* IP 20-16 = 5, FOP = 0x355 */
	movl $0xffff8765, IMAGE + 20
	movl $0x00009000, IMAGE + 24
	data32 fldenv IMAGE
	data32 fnstenv IMAGE + 0x100
	data32 fldenv IMAGE
	fnstenv IMAGE + 0x140
	fldenv IMAGE + 0x140
	data32 fnsave IMAGE + 0x180
	mov %cr0, %eax
	or $1, %al
	mov %eax, %cr0
	ljmpl $CODE32, $up
	.code32
	.text
up:	mov $DATA, %eax
	mov %eax, %ds
	mov %eax, %es
	mov %eax, %ss
	lea stack_top, %esp
	END

//! mem32 0x6100 = 0xffff037b
//! mem32 0x6104 = 0xffff3800
//! mem32 0x6108 = 0xffff3fff
//! mem32 0x610c = 0xffff4321
//! mem32 0x6110 = 0x00005355
//! mem32 0x6114 = 0xffff8765
//! mem32 0x6118 = 0x00009000
//! mem32 0x6140 = 0x3800037b
//! mem16 0x6144 = 0x3fff
//! mem16 0x6146 = 0x4321
//! mem16 0x6148 = 0x5355
//! mem16 0x614a = 0x8765
//! mem16 0x614c = 0x9000
//! mem32 0x618c = 0xffff4321
//! mem32 0x6190 = 0x00005355
//! mem32 0x619c = 0x2168c235
//! mem16 0x61a4 = 0x4000
//! reg mode = 32

	.data
	.align 16
huge:	.quad 0x8000000000000000       /* 2^16383 */
	.word 0x7ffe
zero:	.float 0.0
