/* SPDX-License-Identifier: MIT */
/* Where instructions may lie: the limit of CS in 32- and 16-bit code, the wrap of IP, instructions of 15 bytes and more, and such
 * that reach into a page that is absent or not executable. SDM vol. 2A 2.3.11, vol. 3A 5.3, 6.15 #GP and #PF. */
#include "test.inc"

	.set SHORT, FREE          /* 32-bit code at scratch, limit 0xff */
	.set CODE_16, FREE + 8    /* 16-bit code at 0x40000, limit 0xffff */

	.macro AT offset, bytes:vararg /* put code there; around it are NOPs */
	movl $1f, %esi
	mov $scratch + \offset, %edi
	mov $2f - 1f, %ecx
	rep movsb
	jmp 2f
1:	.byte \bytes
2:
	.endm
	.macro GO selector, offset
	movl $9001f, resume
	ljmp $\selector, $\offset
9001:
	.endm

test:
	movl $0x000000ff, free
	movl $0x00409b18, free + 4
	movl $0x0000ffff, free + 8
	movl $0x00009b04, free + 12
	mov $scratch, %edi
	mov $0x4000, %ecx
	mov $0x90, %al
	rep stosb

	/* the last byte may be code, the next may not */
	AT 0xff, 0x40                  /* INC EAX */
	xor %eax, %eax
	GO SHORT, 0xff                 //! #GP(0)
	SAVE %eax                      //! = 1
	SAVEM eip_seen                 //! = 0x100
	AT 0xfd, 0x66, 0xb8, 1, 2      /* reaches over: not even begun */
	GO SHORT, 0xfd                 //! #GP(0)
	SAVEM eip_seen                 //! = 0xfd
	AT 0xfe, 0xeb, 0x10            /* JMP beyond: the fault is the jump's */
	GO SHORT, 0xfe                 //! #GP(0)
	SAVEM eip_seen                 //! = 0xfe
	AT 0x80, 0xff, 0xe3            /* JMP EBX */
	mov $0x100, %ebx
	GO SHORT, 0x80                 //! #GP(0)
	SAVEM eip_seen                 //! = 0x80
	AT 0x80, 0xff, 0xd3            /* CALL EBX: nothing is pushed */
	GO SHORT, 0x80                 //! #GP(0)
	SAVEM handler_rsp              //! = stack_top-28
	AT 0x80, 0x68, 0, 1, 0, 0, 0xc3 /* PUSH 0x100; RET */
	GO SHORT, 0x80                 //! #GP(0)
	SAVEM eip_seen                 //! = 0x85
	SAVEM handler_rsp              //! = stack_top-32
	AT 0x80, 0x74, 0x7e            /* JZ to 0x100: not taken, so what is left at 0xfd */
	or $1, %eax
	GO SHORT, 0x80                 //! #GP(0)
	SAVEM eip_seen                 //! = 0xfd
	AT 0xfe, 0xe2, 0x00            /* LOOP to 0x100 */
	mov $2, %ecx
	GO SHORT, 0xfe                 //! #GP(0)
	SAVEM eip_seen                 //! = 0xfe
	SAVE %ecx                      //! = 2

	/* 16-bit code: IP does not wrap by running on, jumps do */
	mov $0x40000, %edi
	mov $0x10000, %ecx
	mov $0x90, %al
	rep stosb
	movw $0x0b0f, 0x40002          /* UD2 at 2 */
	GO CODE_16, 0xfff0             //! #GP(0)
	SAVEM eip_seen                 //! = 0x10000
	movw $0x10eb, 0x4fff0          /* JMP 0x10002 is cut off */
	GO CODE_16, 0xfff0             //! #UD
	SAVEM eip_seen                 //! = 2
	movl $0x10eb66, 0x4fff0        /* with 32-bit operands it is not */
	GO CODE_16, 0xfff0             //! #GP(0)
	SAVEM eip_seen                 //! = 0xfff0
	movl $0x0002b8, 0x4fffe        /* MOV AX across the end */
	GO CODE_16, 0xfffe             //! #GP(0)
	SAVEM eip_seen                 //! = 0xfffe

	/* 15 bytes are an instruction, 16 are not, whatever they say */
	xor %eax, %eax
	.fill 14, 1, 0x66
	inc %eax
	SAVE %eax                      //! = 1
	movl $1f, resume
	.fill 15, 1, 0x66
	nop                            //! #GP(0)
1:	movl $1f, resume
	.fill 10, 1, 0x3e
	.byte 0x66
	movl $0x12345678, scratch      //! #GP(0)
1:	movl $1f, resume
	.fill 20, 1, 0xf0
	nop                            //! #GP(0)
1:
	/* into an absent page: CR2 is its first byte, EIP the instruction */
	movl $pd32, %eax
	mov %eax, %cr3
	mov %cr4, %eax
	or $0x10, %eax
	mov %eax, %cr4
	mov %cr0, %eax
	bts $31, %eax
	mov %eax, %cr0
	movb $0x90, 0x400ffd           /* NOP; MOV EAX */
	movb $0xb8, 0x400ffe
	movw $0x0b0f, -0x400000 + 0x1003
	FAULT jmp 0x400ffd             //! #PF(0) 0x401000
	SAVEM eip_seen                 //! = 0x400ffe
	movb $0x90, 0x400fff
	movb $0x90, 0x400ffe
	FAULT jmp 0x400ffd             /* NOPs up to the end */ //! #PF(0) 0x401000
	SAVEM eip_seen                 //! = 0x401000
	movl $0x801007, pt_b + 4
	movb $0xb8, 0x400ffe
	movl $0x12345678, 0x400fff
	FAULT jmp 0x400ffd             //! #UD
	SAVE %eax                      //! = 0x12345678
	movl $0x801003, pt_b + 4
	invlpg 0x401000
	USER 0x3002, jmp 0x400ffd      //! #PF(5) 0x401000
	SAVEM eip_seen                 //! = 0x400ffe
	/* 4 GiB is the end of the address space, not of code with that limit */
	movb $0x90, -1
	movw $0x0b0f, 0
	FAULT jmp -1                   //! #UD
	SAVEM eip_seen                 //! = 0
	END

	.section .tables, "aw"
	.align 4096
pd32:	.long 0x87, pt_b + 7
	.fill 1021, 4, 0
	.long 0x800087
pt_b:	.long 0x800007, 0
	.fill 1022, 4, 0
