/* SPDX-License-Identifier: MIT */
/* Where LOCK may stand, and where it is #UD: with these instructions only, and only with a memory destination.
 * SDM vol. 2 LOCK. */
#include "test.inc"

	.macro OK insn:vararg
	.byte 0xf0
	\insn
	.endm
	.macro NO insn:vararg
	movl $9001f, resume
	.byte 0xf0
	\insn
9001:
	.endm

test:
	mov $scratch, %ebx
	xor %ecx, %ecx
	OK addl %ecx, (%ebx)
	OK addb $1, (%ebx)
	OK addw $1, (%ebx)
	OK addl $0x1000, (%ebx)
	OK orl $1, (%ebx)
	OK adcl %ecx, (%ebx)
	OK sbbl %ecx, (%ebx)
	OK andl $-1, (%ebx)
	OK subl %ecx, (%ebx)
	OK xorl %ecx, (%ebx)
	OK notl (%ebx)
	OK negl (%ebx)
	OK incl (%ebx)
	OK decb (%ebx)
	OK decl (%ebx)
	OK btsl %ecx, (%ebx)
	OK btrl $1, (%ebx)
	OK btcl $31, (%ebx)
	OK xaddl %ecx, (%ebx)
	OK xchgl %ecx, (%ebx)
	OK cmpxchgl %ecx, (%ebx)
	OK cmpxchg8b (%ebx)
	NO addl %ecx, %eax             //! #UD
	NO addl (%ebx), %ecx           //! #UD
	NO addb $1, %al                //! #UD
	NO addl $1, %ecx               //! #UD
	NO cmpl %ecx, (%ebx)           //! #UD
	NO cmpl $0, (%ebx)             //! #UD
	NO .byte 0x80, 0x3b, 0         //! #UD
	NO testl %ecx, (%ebx)          //! #UD
	NO notl %ecx                   //! #UD
	NO incl %ecx                   //! #UD
	NO .byte 0xff, 0xc1            //! #UD
	NO btl %ecx, (%ebx)            //! #UD
	NO btl $1, (%ebx)              //! #UD
	NO btsl %ecx, %eax             //! #UD
	NO xaddl %ecx, %eax            //! #UD
	NO xchgl %ecx, %edx            //! #UD
	NO .byte 0x90                  /* NOP is XCHG of registers */ //! #UD
	NO .byte 0x91                  //! #UD
	NO cmpxchgl %ecx, %eax         //! #UD
	NO .byte 0x0f, 0xc7, 0xc8      /* CMPXCHG8B of a register */ //! #UD
	NO movl %ecx, (%ebx)           //! #UD
	NO movl (%ebx), %ecx           //! #UD
	NO lea (%ebx), %ecx            //! #UD
	NO push (%ebx)                 //! #UD
	NO pop (%ebx)                  //! #UD
	NO call *(%ebx)                //! #UD
	NO jmp .                       //! #UD
	NO ret                         //! #UD
	NO int3                        //! #UD
	NO hlt                         //! #UD
	NO cpuid                       //! #UD
	NO movsb                       //! #UD
	NO rep stosb                   //! #UD
	NO shll $1, (%ebx)             //! #UD
	NO rcrl %cl, (%ebx)            //! #UD
	NO shldl $1, %ecx, (%ebx)      //! #UD
	NO imull (%ebx), %ecx          //! #UD
	NO mull (%ebx)                 //! #UD
	NO sete (%ebx)                 //! #UD
	NO fld1                        //! #UD
	NO fincstp                     //! #UD
	NO movaps %xmm0, %xmm1         //! #UD
	NO mfence                      //! #UD
	NO prefetcht0 (%ebx)           //! #UD
	NO .byte 0x0f, 0x1f, 0x03      /* NOP of memory */ //! #UD
	NO mov %ecx, %ds               //! #UD
	NO lgdt (%ebx)                 //! #UD
	NO invlpg (%ebx)               //! #UD
	NO clts                        //! #UD
	NO bsf (%ebx), %ecx            //! #UD
	NO bswap %ecx                  //! #UD
	NO enter $0, $0                //! #UD
	NO in $0x80, %al               //! #UD
	/* the prefix twice is the same as once */
	lock; lock; incl (%ebx)

	ENTER_LONG long_test
	.code64
	.macro NO64 insn:vararg
	movl $9001f, resume
	movl $0, resume + 4
	.byte 0xf0
	\insn
9001:
	.endm
long_test:
	mov $scratch, %ebx
	lock addq $1, (%rbx)
	lock cmpxchg16b (%rbx)
	lock btsq $3, (%rbx)
	NO64 addq %rcx, %rax           //! #UD
	NO64 cmpq %rcx, (%rbx)         //! #UD
	NO64 .byte 0x90                //! #UD
	NO64 mov %cr0, %rax            //! #UD
	NO64 movq $1, (%rbx)           //! #UD
	NO64 syscall                   //! #UD
	NO64 swapgs                    //! #UD
	END
