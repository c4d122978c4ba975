/* SPDX-License-Identifier: MIT */
/* Instructions that the model does not offer, or that exist nowhere: #UD; encodings that older and smaller CPUs take for something
 * else stay that. SDM vol. 2A 3.1.1 and appendix A, vol. 3A 6.15 #UD. */
#include "test.inc"

test:
	mov $scratch, %ebx
	FAULT ud2                      //! #UD
	FAULT .byte 0x0f, 0xb9, 0xc0   /* UD1 */ //! #UD
	FAULT .byte 0x0f, 0xff, 0xc0   /* UD0 */ //! #UD
	FAULT .byte 0x0f, 0x04         //! #UD
	FAULT .byte 0x0f, 0x0a         //! #UD
	FAULT .byte 0x0f, 0x24, 0xc0   /* MOV from a test register */ //! #UD
	FAULT .byte 0x0f, 0x20, 0xc8   /* CR1 */ //! #UD
	FAULT .byte 0x0f, 0x22, 0xe8   /* CR5 */ //! #UD
	FAULT .byte 0x0f, 0xa6, 0xc0   //! #UD
	FAULT .byte 0x8c, 0xf0         /* segment register 6 */ //! #UD
	FAULT .byte 0x8e, 0xc8         /* CS */ //! #UD
	FAULT .byte 0x8d, 0xc0         /* LEA of a register */ //! #UD
	FAULT .byte 0xc4, 0xc0         /* LES of a register: the start of a VEX prefix */ //! #UD
	FAULT .byte 0x8f, 0xc8         /* POP /1, XOP */ //! #UD
	FAULT .byte 0xff, 0xf8         //! #UD
	FAULT .byte 0xfe, 0xd0         //! #UD
	FAULT .byte 0xc6, 0x0b, 0      /* MOV imm /1 */ //! #UD
	FAULT .byte 0x0f, 0xba, 0xc0, 0 /* BT group /0 */ //! #UD
	FAULT .byte 0x0f, 0x01, 0xc1   /* VMCALL */ //! #UD
	FAULT .byte 0xf3, 0x0f, 0xc7, 0x33 /* VMXON */ //! #UD
	FAULT .byte 0x0f, 0xc7, 0x33   /* VMPTRLD */ //! #UD
	FAULT .byte 0x0f, 0x01, 0xd8   /* VMRUN */ //! #UD
	FAULT .byte 0x0f, 0x37         /* GETSEC */ //! #UD
	FAULT .byte 0x0f, 0xaa         /* RSM outside SMM */ //! #UD
	FAULT monitor                  //! #UD
	FAULT mwait                    //! #UD
	FAULT .byte 0x0f, 0x0f, 0xc1, 0x9e /* 3DNow! */ //! #UD
	FAULT femms                    //! #UD
	FAULT .byte 0x66, 0x0f, 0x78, 0xc0, 0, 0 /* EXTRQ */ //! #UD
	FAULT vaddps %xmm0, %xmm1, %xmm2 //! #UD
	FAULT vaddps %ymm0, %ymm1, %ymm2 //! #UD
	FAULT vzeroupper               //! #UD
	FAULT andn %eax, %ecx, %edx    //! #UD
	FAULT pdep %eax, %ecx, %edx    //! #UD
	FAULT vaddps %zmm0, %zmm1, %zmm2 //! #UD
	FAULT kmovw %k1, %k2           //! #UD
	FAULT xbegin test              //! #UD
	FAULT .byte 0x0f, 0x01, 0xd5   /* XEND */ //! #UD
	FAULT .byte 0xc6, 0xf8, 0      /* XABORT */ //! #UD
	FAULT xtest                    //! #UD
	FAULT encls                    //! #UD
	FAULT rdpkru                   //! #UD
	FAULT .byte 0x66, 0x0f, 0x38, 0xcf, 0xc1 /* GF2P8MULB */ //! #UD
	FAULT .byte 0x0f, 0x38, 0xf9, 0x03 /* MOVDIRI */ //! #UD
	FAULT .byte 0xf3, 0x0f, 0xae, 0xf1 /* UMONITOR */ //! #UD
	FAULT .byte 0x0f, 0x38, 0x80, 0x03 /* INVEPT without its prefix */ //! #UD
	FAULT .byte 0x66, 0x0f, 0x38, 0x80, 0x03 /* INVEPT */ //! #UD
	FAULT .byte 0xf3, 0x0f, 0x38, 0xf5, 0xc0 //! #UD
	FAULT .byte 0xf3, 0x0f, 0x01, 0x2b /* RSTORSSP */ //! #UD
	FAULT .byte 0xf3, 0x0f, 0xae, 0xe8 /* INCSSPD */ //! #UD
	/* what older CPUs ignore */
	mov $0x100, %ecx
	xor %eax, %eax
	tzcnt %ecx, %eax               /* BSF */
	SAVE %eax                      //! = 8
	lzcnt %ecx, %eax               /* BSR */
	SAVE %eax                      //! = 8
	xor %ecx, %ecx
	mov $0x55, %eax
	tzcnt %ecx, %eax               /* BSF of 0 leaves its destination alone */
	SAVE %eax                      //! = 0x55
	endbr32
	.byte 0xf3, 0x0f, 0x1e, 0xc8   /* RDSSPD: a NOP */
	SAVE %eax                      //! = 0x55
	.byte 0x0f, 0x1c, 0x03         /* CLDEMOTE */
	.byte 0x0f, 0x0d, 0x03         /* PREFETCH */
	.byte 0x0f, 0x18, 0x3b         /* a hint of the future */
	.byte 0x0f, 0x19, 0xc0
	mov $5, %ecx
	xor %edx, %edx
	.byte 0xf2, 0x0f, 0x1f, 0xc0
	xacquire lock incl (%ebx)
	xrelease movl $7, (%ebx)
	SAVEM scratch                  //! = 7
	stc
	.byte 0xd6                     /* SALC */
	SAVE %eax                      //! = 0xff

	ENTER_LONG long_test
	.code64
long_test:
	mov $scratch, %ebx
	.irp op, 0x06, 0x07, 0x0e, 0x16, 0x17, 0x1e, 0x1f, 0x27, 0x2f, 0x37, 0x3f, 0x60, 0x61, 0xce, 0xd6
	FAULT64 .byte \op
	.endr
	//! #UD
	//! #UD
	//! #UD
	//! #UD
	//! #UD
	//! #UD
	//! #UD
	//! #UD
	//! #UD
	//! #UD
	//! #UD
	//! #UD
	//! #UD
	//! #UD
	//! #UD
	FAULT64 .byte 0x82, 0xc0, 1    //! #UD
	FAULT64 .byte 0xd4, 10         //! #UD
	FAULT64 .byte 0xd5, 10         //! #UD
	FAULT64 .byte 0xc4, 0x03       /* VEX, whatever follows */, 0, 0, 0 //! #UD
	FAULT64 .byte 0x62, 0xf1, 0x7c, 0x48, 0x58, 0xc1 //! #UD
	FAULT64 .byte 0x48, 0x0f, 0x00, 0xf0 /* SLDT group /6 */ //! #UD
	FAULT64 vaddps %xmm0, %xmm1, %xmm2 //! #UD
	FAULT64 rdfsbase %rax          /* until CR4.FSGSBASE */ //! #UD
	mov %cr4, %rax
	bts $16, %rax
	mov %rax, %cr4
	mov $0x1234, %ecx
	wrfsbase %rcx
	rdfsbase %rax
	SAVE %rax                      //! = 0x1234
	btr $63, %rcx
	bts $47, %rcx
	FAULT64 wrgsbase %rcx          //! #GP(0)
	FAULT64 xgetbv                 /* until CR4.OSXSAVE */ //! #UD
	FAULT64 xsave (%rbx)           //! #UD
	mov $-1, %rax
	lzcnt %rbx, %rax
	SAVE %rax                      //! = 20
	END
