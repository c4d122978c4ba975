/* SPDX-License-Identifier: MIT */
/* Virtual-8086 mode: entry by IRET, the frame of events, IOPL-sensitive instructions, instructions that are not there, I/O bitmap,
 * VME: redirection of INT n, the virtual interrupt flag. SDM vol. 3A ch. 20, vol. 2 CLI, STI, PUSHF, POPF, IRET, INT. */
#include "test.inc"

	.set FLAGS, 0x20002

	/* Run an instruction in V86 mode, at 0c00:offset; what does not fault comes to a HLT, which is a #GP(0) of its own. */
	.macro V86 flags, insn
	movl $9003f, resume
	push $0x44 /* GS, FS, DS, ES, SS, ESP */
	push $0x33
	push $0x1000
	push $0x700
	push $0x500
	push $0x1000
	push $FLAGS | \flags
	push $0xc00
	push $9002f - base16
	iret
	.section .scratch16
	.code16
9002:
	\insn
	hlt
	.text
	.code32
9003:
	.endm
	.section .scratch16, "awx", @progbits
base16:
	.text
	.macro OFFSET /* where the fault was, from the last V86 program's first byte */
	mov eip_seen, %edx
	sub $9002b - base16, %edx
	SAVE %edx
	.endm

test:
	/* the frame; all data segments are null in the handler */
	GATE idt+0x20*8, CODE32, handler, 0xee
	V86 0x3000, "int $0x20"          //! #GP(0)
	OFFSET                         //! = 2
	SAVE %esi                      //! = stack0_top-36
	mov handler_frame, %eax
	SAVEM handler_frame + 4        //! = 0xc00
	SAVEM handler_frame + 8        //! = 0x23002
	SAVEM handler_frame + 12       //! = 0x1000
	SAVEM handler_frame + 16       //! = 0x500
	SAVEM handler_frame + 20       //! = 0x700
	SAVEM handler_frame + 24       //! = 0x1000
	SAVEM handler_frame + 28       //! = 0x33
	SAVEM handler_frame + 32       //! = 0x44
	SAVE %ebp                      //! = 0
	/* 8086 addresses: DS is 1000, limits are 64 KiB */
	movl $0x1234, 0x10010
	V86 0, "movw 0x10, %ax"          //! #GP(0)
	OFFSET                         //! = 3
	SAVE %eax                      //! & 0xffff = 0x1234
	mov $0xffff, %ebx
	V86 0, "movw (%bx), %ax"         //! #GP(0)
	OFFSET                         //! = 0
	mov $0xffff, %ebp
	V86 0, "movw (%bp), %ax"         //! #SS(0)
	mov $0x10000, %ebx
	V86 0, "movb (%ebx), %al"        //! #GP(0)
	OFFSET                         //! = 0
	V86 0, "mov %cs, %ax; mov %ax, %ds; movw $0x77, %cs:0xf00" //! #GP(0)
	//! mem16 0xcf00 = 0x77
	/* IOPL 3: nothing is special; INT needs DPL 3 */
	V86 0x3000, "cli; sti; pushf; popf; pushfl; popfl" //! #GP(0)
	OFFSET                         //! = 8
	V86 0x3000, "int $13"            //! #GP(0x6a)
	V86 0x3000, "int3"               //! #BP
	GATE idt+0x21*8, USER_CODE32-3, handler, 0xee
	V86 0x3000, "int $0x21"          /* the handler must be ring 0's */ //! #GP(0x28)
	V86 0x3200, "pushw $0x3002; popf; pushf; pop %ax" //! #GP(0)
	SAVE %eax                      /* IF can be cleared */ //! & 0xffff = 0x3002
	V86 0x3000, "pushl $0; popfl; pushfl; pop %eax" //! #GP(0)
	SAVE %eax                      /* VM, RF and IOPL cannot, and VM is not seen */ //! = 0x3002
	V86 0x3000, "pushw $0x0002; pushw %cs; call 1f; 1: pop %ax; add $6, %ax; push %ax; iret; nop" //! #GP(0)
	SAVEM flags_seen               //! & 0x3ffff = 0x33002
	/* IOPL below 3: these are the monitor's business */
	V86 0, "cli"                     //! #GP(0)
	V86 0, "sti"                     //! #GP(0)
	V86 0, "pushf"                   //! #GP(0)
	V86 0, "popf"                    //! #GP(0)
	V86 0, "pushfl"                  //! #GP(0)
	V86 0, "int $0x20"               //! #GP(0)
	V86 0x2000, "iret"               //! #GP(0)
	OFFSET                         //! = 0
	V86 0, "int3"                    /* this one is not */ //! #BP
	/* not recognised, or privileged */
	V86 0x3000, "sldt %ax"           //! #UD
	V86 0x3000, "lldt %ax"           //! #UD
	V86 0x3000, "str %ax"            //! #UD
	V86 0x3000, "ltr %ax"            //! #UD
	V86 0x3000, "lar %ax, %ax"       //! #UD
	V86 0x3000, "verr %ax"           //! #UD
	V86 0x3000, "arpl %ax, %ax"      //! #UD
	V86 0x3000, "mov %cr0, %eax"     //! #GP(0)
	V86 0x3000, "lmsw %ax"           //! #GP(0)
	V86 0x3000, "clts"               //! #GP(0)
	V86 0x3000, "lidt 0"             //! #GP(0)
	V86 0x3000, "rdmsr"              //! #GP(0)
	V86 0x3000, "mov %eax, %dr0"     //! #GP(0)
	/* ports: the bitmap counts whatever IOPL is */
	movw $0xfff, gdt + TSS
	movb $0x89, gdt + TSS + 5
	mov $TSS, %eax
	ltr %ax                        /* for the new limit */
	movw $0x400, tss + 102
	movb $0xfe, tss + 0x400 + 0x80 / 8
	movb $0xff, tss + 0x400 + 0x88 / 8
	V86 0x3000, "in $0x80, %al; in $0x81, %al" //! #GP(0)
	OFFSET                         //! = 2
	V86 0, "in $0x80, %al; in $0x80, %ax" //! #GP(0)
	OFFSET                         //! = 2

	/* VME */
	mov $1, %eax
	cpuid
	test $2, %edx
	jz no_vme
	mov %cr4, %eax
	or $1, %al
	mov %eax, %cr4
	movl $0, tss + 0x400 - 32 + 0x20 / 8
	movb $2, tss + 0x400 - 32 + 0x20 / 8 /* 21h is not redirected */
	movw $service - base16, 0x80
	movw $0xc00, 0x82
	xor %ecx, %ecx
	V86 0x80000, "int $0x20"         //! #GP(0)
	OFFSET                         //! = 2
	SAVE %ecx                      //! = 0x77
	SAVE %ebx                      /* pushed: VIF as IF, IOPL as 3 */ //! & 0x3200 = 0x3200
	SAVE %edi                      /* in the service: VIF is clear */ //! & 0x3200 = 0x3000
	SAVEM flags_seen               /* and set again by IRET */ //! & 0x83000 = 0x80000
	V86 0, "int $0x21"               //! #GP(0)
	OFFSET                         //! = 0
	V86 0x80000, "cli"               //! #GP(0)
	OFFSET                         //! = 1
	SAVEM flags_seen               //! & 0x83000 = 0
	V86 0, "sti"                     //! #GP(0)
	OFFSET                         //! = 1
	SAVEM flags_seen               //! & 0x83200 = 0x80000
	V86 0x100000, "sti"              /* VIP */ //! #GP(0)
	OFFSET                         //! = 0
	V86 0x80000, "pushf; pop %ax; pushw $2; popf" //! #GP(0)
	OFFSET                         //! = 5
	SAVE %eax                      //! & 0xffff = 0x3202
	SAVEM flags_seen               //! & 0x83000 = 0
	V86 0x100000, "pushw $0x202; popf" //! #GP(0)
	OFFSET                         //! = 3
	V86 0, "pushw $0x102; popf"      /* TF */ //! #GP(0)
	OFFSET                         //! = 3
	V86 0, "pushfl"                  /* only 16-bit ones are virtual */ //! #GP(0)
	OFFSET                         //! = 0
	V86 0x80000, "pushl $2; popfl"   //! #GP(0)
	OFFSET                         //! = 3
	END
no_vme:	movl $1, vme_missing
	END

handler: /* keeps the frame, and goes on in V86 mode */
	mov %esp, %esi
	mov %ds, %ebp
	mov %es, %eax
	or %eax, %ebp
	mov %fs, %eax
	or %eax, %ebp
	mov %gs, %eax
	or %eax, %ebp
	mov $DATA, %eax
	mov %eax, %ds
	.irp n, 0, 4, 8, 12, 16, 20, 24, 28, 32
	mov \n(%esp), %eax
	mov %eax, handler_frame + \n
	.endr
	iret

	.section .scratch16
	.code16
service: mov $0x77, %cx
	pushf
	pop %di
	mov %sp, %bp
	mov 4(%bp), %bx
	iret
	.data
handler_frame: .fill 9, 4, 0
vme_missing: .long 0
//! mem32 vme_missing = 0
