/* SPDX-License-Identifier: MIT */
/* System management mode: state at entry, the save area, RSM back into 32-bit and 64-bit code, a moved base, an SMI that waits for
 * the RSM, NMIs held off, RSM outside. Port 0xf2 of the test device makes an SMI (run.c).
 * SDM vol. 3C ch. 32; AMD APM vol. 2 ch. 10. */
#include "test.inc"

	.set NEW_BASE, 0x40000
	.set AREA, 0xfe00

test:
	FAULT rsm                      //! #UD
	GATE idt+2*8, CODE32, on_nmi, 0x8e
	/* the first one at the default base, which it moves */
	mov $handler, %esi
	mov $0x38000, %edi
	mov $handler_end - handler, %ecx
	rep movsb
	mov $handler, %esi
	mov $NEW_BASE + 0x8000, %edi
	mov $handler_end - handler, %ecx
	rep movsb
	mov $0x11111111, %eax
	mov $0x22222222, %ebx
	mov $0x33333333, %ecx
	mov $0x66666666, %esi
	mov $0x77777777, %edi
	mov $0x88888888, %ebp
	stc
	out %al, $0xf2
at1:	setc flag
	SAVE %eax                      //! = 0x11111111
	SAVE %ebx                      //! = 0x22222222
	SAVE %ecx                      //! = 0x33333333
	SAVE %esi                      //! = 0x66666666
	SAVE %edi                      //! = 0x77777777
	SAVE %ebp                      //! = 0x88888888
	SAVEM flag                     //! = 1
	SAVEM count                    //! = 1
	/* what the handler found: its segment, CR0 and CR4, flags, the place it came from */
	SAVEM seen_cs                  //! = 0x3000
	SAVEM seen_cr0                 //! & 0x80000001 = 0
	SAVEM seen_cr4                 //! = 0
	SAVEM seen_flags               //! = 2
	SAVEM 0x30000 + AREA + 0x178   //! = at1
	SAVEM 0x30000 + AREA + 0x1f8   //! = 0x11111111
	SAVEM 0x30000 + AREA + 0x170   //! & 1 = 1
	SAVEM 0x30000 + AREA + 0xfc    //! = 0x20064
	SAVEM 0x30000 + AREA + 0x158   //! & 0x80000001 = 1
	/* at the new base; an NMI and another SMI in the handler wait: the SMI comes first */
	movl $1, nested
	out %al, $0xf2
at2:	nop
	SAVEM count                    //! = 3
	SAVEM seen_cs                  //! = 0x4000
	SAVEM nmis                     //! = 1
	SAVEM nmis_in_smm              //! = 0
	SAVEM NEW_BASE + AREA + 0x178  //! = at2
	/* the handler owns the state: it may send the CPU elsewhere */
	movl $elsewhere, target
	out %al, $0xf2
	ud2
elsewhere:
	SAVEM count                    //! = 4
	ENTER_LONG in_long
	.code64
in_long:
	mov $0x0123456789abcdef, %rax
	mov %rax, %r8
	mov %rax, %r15
	out %al, $0xf2
	mov $0x0123456789abcdef, %rdx
	cmp %rdx, %rax
	sete flag
	cmp %rdx, %r15
	sete flag + 1
	cmp %rdx, %r8
	sete flag + 2
	SAVEM64 flag                   //! = 0x010101
	SAVEM64 count                  //! = 5
	mov $0xc0000080, %ecx
	rdmsr
	SAVE %eax                      //! & 0x500 = 0x500
	hlt
	.code32

on_nmi:	incl nmis
	iret

	.code16
handler:
	mov $count, %edi
	incl (%edi)
	mov $0x7000, %esp
	pushf
	pop %ax
	movzwl %ax, %eax
	mov $seen_flags, %edi
	mov %eax, (%edi)
	mov %cs, %eax
	mov $seen_cs, %edi
	mov %eax, (%edi)
	mov %cr0, %eax
	mov $seen_cr0, %edi
	mov %eax, (%edi)
	mov %cr4, %eax
	mov $seen_cr4, %edi
	mov %eax, (%edi)
	/* the area through CS, whose base is the current one */
	mov $AREA, %edi
	movl $NEW_BASE, %cs:0x100(%edi)
	mov $target, %esi
	mov (%esi), %eax
	test %eax, %eax
	jz 1f
	mov %eax, %cs:0x178(%edi)
	movl $0, (%esi)
1:	mov $nested, %esi
	cmpl $0, (%esi)
	je 2f
	movl $0, (%esi)
	out %al, $0xf1
	out %al, $0xf2
	nop
	mov $nmis, %esi
	mov (%esi), %eax
	mov $nmis_in_smm, %esi
	mov %eax, (%esi)
2:	xor %eax, %eax
	xor %ebx, %ebx
	xor %ecx, %ecx
	xor %ebp, %ebp
	mov %ax, %ds
	rsm
handler_end:
	.code32

	.data
count:	.long 0
flag:	.long 0
nested:	.long 0
target:	.long 0
nmis:	.long 0
nmis_in_smm: .long 0
seen_cs: .long 0
seen_cr0: .long 0
seen_cr4: .long 0
seen_flags: .long 0
	.text
