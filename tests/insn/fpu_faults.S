/* SPDX-License-Identifier: MIT */
/* #NM, #UD, #MF and #XM by CR0.EM, MP, TS, NE and CR4.OSFXSR, OSXMMEXCPT; #MF comes at the next waiting instruction; the images
 * of FXSAVE and XSAVE and what FXRSTOR, XRSTOR, LDMXCSR and XSETBV refuse. SDM vol. 3A 2.5 and 13.1, vol. 1 8.7, 10.5, 11.5, 13. */
#include "test.inc"

	.macro CR0 clear, set
	mov %cr0, %eax
	and $~\clear, %eax
	or $\set, %eax
	mov %eax, %cr0
	.endm

test:
	mov $area, %ebx
	CR0 0xe, 0x20                  /* NE */
	fninit
	FAULT movaps %xmm0, %xmm1      /* no OSFXSR */ //! #UD
	FAULT ldmxcsr mxcsr            //! #UD
	fxsave (%ebx)                  /* needs none */
	emms
	mov %cr4, %eax
	or $0x200, %eax
	mov %eax, %cr4
	movaps %xmm0, %xmm1
	CR0 0, 8                       /* TS */
	FAULT fld1                     //! #NM
	FAULT fnstsw %ax               //! #NM
	FAULT fninit                   //! #NM
	FAULT emms                     //! #NM
	FAULT fxsave (%ebx)            //! #NM
	FAULT fxrstor (%ebx)           //! #NM
	FAULT movaps %xmm0, %xmm1      //! #NM
	FAULT ldmxcsr mxcsr            //! #NM
	FAULT pcmpestri $0, %xmm0, %xmm1 //! #NM
	prefetcht0 (%ebx)
	crc32l %eax, %ecx
	movnti %eax, (%ebx)            /* no registers of the FPU */
	fwait                          /* MP is clear */
	CR0 0, 2
	FAULT fwait                    //! #NM
	CR0 0xa, 4                     /* EM */
	FAULT fld1                     //! #NM
	FAULT fnclex                   //! #NM
	FAULT fxsave (%ebx)            //! #NM
	FAULT emms                     //! #UD
	FAULT paddb %mm0, %mm1         //! #UD
	FAULT movaps %xmm0, %xmm1      //! #UD
	FAULT stmxcsr (%ebx)           //! #UD
	fwait
	CR0 0, 8
	FAULT movaps %xmm0, %xmm1      /* #UD comes first */ //! #UD
	FAULT fld1                     //! #NM
	clts
	CR0 0xc, 0

	/* #MF: pending until the next waiting instruction, whose EIP is pushed; FIP tells the culprit */
	fldcw unmasked
	fld1
	fldz
culprit: fdivrp
	nop
	mov $1, %eax
	fnstsw %ax
	mov %eax, %ecx
	movl $1f, resume
pending: fld1                          //! #MF
1:	SAVEM eip_seen                 //! = pending
	SAVE %ecx                      /* B, ES, ZE */ //! & 0xbfff = 0xb084
	fnstenv (%ebx)
	SAVEM 12(%ebx)                 //! = culprit
	fwait                          /* FNSTENV masks all */
	fldcw unmasked
	FAULT fwait                    //! #MF
	FAULT emms                     //! #MF
	FAULT paddb %mm0, %mm1         //! #MF
	FAULT fldcw unmasked           //! #MF
	FAULT fildl (%ebx)             //! #MF
	fxsave (%ebx)                  /* not a waiting one */
	fnclex
	fwait
	fxrstor (%ebx)
	FAULT fwait                    /* brought back */ //! #MF
	fninit
	/* the FXSAVE image */
	SAVEM (%ebx)                   //! & 0xffff = 0x037b
	SAVEM 4(%ebx)                  /* abridged tags: two in use */ //! & 0xff = 0xc0
	SAVEM 8(%ebx)                  //! = culprit
	fldpi
	fsts one
	ldmxcsr mxcsr
	movups numbers, %xmm5
	fxsave (%ebx)
	SAVEM (%ebx)                   //! = 0x3a20037f
	SAVEM 4(%ebx)                  //! & 0xff = 0x80
	SAVEM 24(%ebx)                 //! = 0x1f80
	SAVEM 28(%ebx)                 //! = 0xffff
	SAVEM 32(%ebx)                 //! = 0x2168c235
	SAVEM 36(%ebx)                 //! = 0xc90fdaa2
	SAVEM 40(%ebx)                 //! & 0xffff = 0x4000
	SAVEM 160+80(%ebx)             //! = 1
	SAVEM 160+92(%ebx)             //! = 4
	FAULT fxsave 8(%ebx)           //! #GP(0)
	FAULT fxrstor 4(%ebx)          //! #GP(0)
	orl $0x10000, 24(%ebx)
	FAULT fxrstor (%ebx)           //! #GP(0)
	movl $0x10000, bad
	FAULT ldmxcsr bad              //! #GP(0)
	stmxcsr bad
	SAVEM bad                      //! = 0x1f80

	/* #XM: #UD until CR4.OSXMMEXCPT; the destination keeps its value */
	ldmxcsr unmasked_sse
	xorps %xmm1, %xmm1
	movss one, %xmm0
	FAULT divss %xmm1, %xmm0       //! #UD
	mov %cr4, %eax
	or $0x400, %eax
	mov %eax, %cr4
	FAULT divss %xmm1, %xmm0       //! #XM
	movd %xmm0, %eax
	SAVE %eax                      //! = 0x40490fdb
	stmxcsr bad
	SAVEM bad                      //! = 0x1d84
	/* packed: one bad element is enough */
	FAULT divps numbers2, %xmm5    //! #XM
	ldmxcsr mxcsr

	/* XSAVE */
	FAULT xsave (%ebx)             //! #UD
	FAULT xgetbv                   //! #UD
	mov %cr4, %eax
	bts $18, %eax
	mov %eax, %cr4
	xor %ecx, %ecx
	xgetbv
	SAVE %eax                      //! = 1
	mov $3, %eax
	xor %edx, %edx
	xsetbv
	mov $2, %eax
	FAULT xsetbv                   /* without x87 */ //! #GP(0)
	mov $0x103, %eax
	FAULT xsetbv                   //! #GP(0)
	mov $3, %eax
	USER 0x3002, xsetbv            //! #GP(0)
	inc %ecx
	FAULT xsetbv                   //! #GP(0)
	inc %ecx
	FAULT xgetbv                   //! #GP(0)
	mov $area, %edi
	mov $1024 / 4, %ecx
	mov $-1, %eax
	rep stosl
	mov $area + 512, %edi
	mov $16, %ecx
	xor %eax, %eax
	rep stosl
	movups numbers, %xmm5
	fninit
	mov $2, %eax                   /* SSE only: the x87 part stays, the header gets its bit */
	xsave (%ebx)
	SAVEM (%ebx)                   //! = 0xffffffff
	SAVEM 24(%ebx)                 //! = 0x1f80
	SAVEM 160+84(%ebx)             //! = 2
	SAVEM 512(%ebx)                //! = 2
	/* a component whose bit is clear gets its initial state */
	fldpi
	movl $0, 512(%ebx)
	mov $3, %eax
	xrstor (%ebx)
	fnstsw %ax
	SAVE %eax                      //! & 0x3800 = 0
	movd %xmm5, %ecx
	SAVE %ecx                      //! = 0
	mov $3, %eax
	FAULT xsave 16(%ebx)           /* 64 bytes */ //! #GP(0)
	FAULT xrstor 16(%ebx)          //! #GP(0)
	movl $4, 512(%ebx)
	FAULT xrstor (%ebx)            /* not in XCR0 */ //! #GP(0)
	movl $3, 512(%ebx)
	movl $1, 528(%ebx)
	FAULT xrstor (%ebx)            /* reserved in the header */ //! #GP(0)
	movl $0, 528(%ebx)
	movl $0xffff0000, 24(%ebx)
	FAULT xrstor (%ebx)            /* MXCSR */ //! #GP(0)
	CR0 0, 8
	mov $3, %eax
	FAULT xsave (%ebx)             //! #NM
	END

	.data
	.align 64
area:	.fill 1024, 1, 0
numbers: .long 1, 2, 3, 4
numbers2: .float 1.0, 1.0, 0.0, 1.0
mxcsr:	.long 0x1f80
unmasked_sse: .long 0x1d80
unmasked: .word 0x037b
	.align 4
one:	.float 1.0
bad:	.long 0
	.text
