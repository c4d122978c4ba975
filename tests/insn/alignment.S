/* SPDX-License-Identifier: MIT */
/* Alignment checks: #AC(0) in ring 3 with CR0.AM and EFLAGS.AC, by operand size; never in ring 0, never for implicit accesses.
 * SDM vol. 3A 6.15, #AC and table 6-7. */
#include "test.inc"

	.set AC, 0x43002

test:
	mov $scratch, %ebx
	mov %cr4, %eax
	or $0x600, %eax
	mov %eax, %cr4
	fninit
	movups (%ebx), %xmm0
	USER AC, mov 1(%ebx), %eax     /* AM is clear */ //! #UD
	mov %cr0, %eax
	bts $18, %eax
	mov %eax, %cr0
	USER 0x3002, mov 1(%ebx), %eax //! #UD
	USER AC, mov 1(%ebx), %al      //! #UD
	USER AC, mov 1(%ebx), %ax      //! #AC
	USER AC, mov 2(%ebx), %ax      //! #UD
	USER AC, mov 2(%ebx), %eax     //! #AC
	USER AC, mov %eax, 3(%ebx)     //! #AC
	USER AC, add %eax, 1(%ebx)     //! #AC
	USER AC, lock incl 1(%ebx)     //! #AC
	USER AC, mov 4(%ebx), %eax     //! #UD
	USER AC, fldl 4(%ebx)          /* 8 bytes */ //! #AC
	USER AC, flds 4(%ebx)          //! #UD
	USER AC, movsd 4(%ebx), %xmm0  //! #AC
	USER AC, movss 4(%ebx), %xmm0  //! #UD
	USER AC, movq 4(%ebx), %mm0    //! #AC
	emms
	USER AC, movaps 8(%ebx), %xmm0 /* this one is #GP for everyone */ //! #GP(0)
	USER AC, lea 1(%ebx), %eax     //! #UD
	mov $2, %ecx
	lea 1(%ebx), %esi
	lea 0x100(%ebx), %edi
	USER AC, rep movsw             //! #AC
	SAVE %ecx                      //! = 2
	movl $9f, resume
	RING3 AC, user1
user1:	add $-2, %esp
	push %eax                      //! #AC
9:
	/* across a page boundary it is the alignment that counts, for absent pages, too */
	lea 0xffe(%ebx), %ebx
	USER AC, mov (%ebx), %eax      //! #AC
	/* in ring 0 AC means nothing; the handler ran with it */
	pushl $0x40002
	popf
	mov 1(%ebx), %eax
	push $2
	popf
	/* the TSS and the tables may lie anywhere */
	mov $gdt, %esi
	mov $scratch + 1, %edi
	mov $gdt_end - gdt, %ecx
	rep movsb
	lgdt odd
	mov $USER_DATA, %eax
	USER AC, lsl %ax, %eax         //! #UD
	SAVE %eax                      //! = 0xffffffff
	lgdt gdtr

	ENTER_LONG long_test
	.code64
long_test:
	mov $scratch, %ebx
	USER64 AC, mov 4(%rbx), %rax   //! #AC
	USER64 AC, mov 8(%rbx), %rax   //! #UD
	USER64 AC, cmpxchg16b 8(%rbx)  //! #GP(0)
	END

	.data
	.align 16
	.byte 0
odd:	.word gdt_end - gdt - 1
	.long scratch + 1
