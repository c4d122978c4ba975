/* SPDX-License-Identifier: MIT */
/* I/O privilege in protected mode: CLI, STI, POPF, IN, OUT, INS, OUTS, HLT in ring 3, the I/O permission bitmap, string I/O that
 * faults, protected-mode virtual interrupts. SDM vol. 1 19.5 (16.5), vol. 3A 20.4, vol. 2 CLI, STI, POPF, IN, INS. */
#include "test.inc"

	.set BITMAP, tss + 0x400

test:
	USER 0x0002, cli               //! #GP(0)
	USER 0x2002, cli               //! #GP(0)
	USER 0x0002, sti               //! #GP(0)
	USER 0x3202, cli               //! #UD
	SAVEM flags_seen               //! & 0x3200 = 0x3000
	USER 0x3002, hlt               //! #GP(0)
	/* POPF without the right changes the rest only, and does not fault */
	.macro POPF3 flags, value
	pushl $\value
	popl user_stack - 4
	movl $9003f, resume
	mov user_selector, %ds
	push $USER_DATA
	push $user_stack - 4
	push $\flags
	push $USER_CODE32
	push $9002f
	iret
9002:	popf
	pushf
	pop %eax
	ud2
9003:
	.endm
	POPF3 0x0202, 0x3041           //! #UD
	SAVE %eax                      //! = 0x243
	POPF3 0x3202, 0x0041           //! #UD
	SAVE %eax                      //! = 0x3043
	POPF3 0x3202, 0x250000         /* RF and VM read as 0; AC and ID change */ //! #UD
	SAVE %eax                      //! = 0x243002
	pushl $0x1002
	popf
	pushf
	pop %eax
	SAVE %eax                      //! = 0x1002

	/* ports: no bitmap in the TSS of this frame */
	USER 0x2002, in $0x80, %al     //! #GP(0)
	USER 0x2002, outl %eax, %dx    //! #GP(0)
	USER 0x2002, insb              //! #GP(0)
	USER 0x3002, in $0x80, %al     //! #UD
	/* one */
	movw $0x402, gdt + TSS         /* 24 ports have bits */
	movb $0x89, gdt + TSS + 5
	mov $TSS, %eax
	ltr %ax
	movw $0x400, tss + 102
	movb $0x7f, BITMAP             /* port 7 */
	movb $0x00, BITMAP + 1         /* 8 to 15 */
	movb $0xf0, BITMAP + 2         /* 16 to 19 */
	USER 0x0002, in $7, %al        //! #UD
	USER 0x0002, in $6, %al        //! #GP(0)
	USER 0x0002, in $7, %eax       //! #UD
	USER 0x0002, in $15, %eax      //! #UD
	USER 0x0002, in $6, %ax        //! #GP(0)
	USER 0x0002, in $0x10, %eax    /* needs the byte behind the one of its bits, too */ //! #GP(0)
	USER 0x0002, in $0xf, %ax      //! #UD
	USER 0x0002, in $0x20, %al     /* beyond the limit */ //! #GP(0)
	mov $7, %edx
	mov $USER_DATA, %eax
	mov %eax, %es
	mov $scratch, %edi
	USER 0x0002, insb              //! #UD
	SAVE %edi                      //! = scratch+1
	mov $6, %edx
	USER 0x0002, insb              //! #GP(0)

	/* string I/O: what faults has not touched the device (port 0xf4 counts) */
	mov $scratch, %edi
	mov $0xf4, %edx
	mov $3, %ecx
	rep insb
	SAVEM scratch                  //! & 0xffffff = 0x030201
	mov $scratch + 2, %esi
	mov $3, %ecx
	std
	rep outsb
	cld
	SAVE %esi                      //! = scratch-1
	in $0xf5, %al
	movzbl %al, %eax
	SAVE %eax                      //! = 6
	movl $0x00001801, free         /* data up to 0x181801 - 0x180000: limit in bytes */
	movl $0x00409318, free + 4
	mov $FREE, %eax
	mov %eax, %es
	mov $0x1800, %edi
	mov $5, %ecx
	FAULT rep insb                 //! #GP(0)
	SAVE %ecx                      //! = 3
	SAVE %edi                      //! = 0x1802
	in $0xf4, %al
	movzbl %al, %eax
	SAVE %eax                      //! = 6
	mov $FREE, %eax
	mov %eax, %fs
	mov $0x1801, %esi
	mov $5, %ecx
	FAULT rep outsb %fs:(%esi), %dx //! #GP(0)
	SAVE %ecx                      //! = 4
	in $0xf5, %al
	movzbl %al, %eax
	SAVE %eax                      //! = 11

	/* virtual interrupts of ring 3: CLI and STI work on VIF, POPF and PUSHF do not */
	mov %cr4, %eax
	or $2, %al
	mov %eax, %cr4
	USER 0x0202, sti               //! #UD
	SAVEM flags_seen               //! & 0x83200 = 0x80200
	USER 0x80202, cli              //! #UD
	SAVEM flags_seen               //! & 0x83200 = 0x200
	USER 0x100002, sti             //! #GP(0)
	USER 0x100002, cli             //! #UD
	USER 0x3002, sti               /* IOPL 3: the real one */ //! #UD
	SAVEM flags_seen               //! & 0x83200 = 0x3200
	USER 0x80002, pushf           //! #UD
	SAVEM flags_seen               //! & 0x83200 = 0x80000
	END
	//! mem8 scratch+0x1800 = 4
	//! mem8 scratch+0x1801 = 5
