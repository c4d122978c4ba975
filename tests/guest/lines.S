/* SPDX-License-Identifier: MIT */
/* A multiboot kernel that looks at interrupt lines, which it drives itself through pc-testdev: edges and levels, one after the
 * other and at once, through the PIC and through the IOAPIC; an edge that has gone again before it was acknowledged; the x87's
 * FERR#. It ends through isa-debug-exit with 0, or with the number of the check that failed (or of the exception, plus 0x40).
 * 8259A and 82093AA datasheets; SDM vol. 3A ch. 10, vol. 1 appendix D. */
	.set EXIT, 0x501
	.set LINE, 0x2000
	.set LAPIC, 0xfee00000
	.set IOAPIC, 0xfec00000

/* What follows must hold as a condition of the flags, else the machine ends with the next number. */
	.set checks, 0
	.macro CHECK cc
	.set checks, checks + 1
	j\cc 9001f
	mov $checks, %eax
	jmp exit
9001:
	.endm
	.macro RAISE n
	mov $LINE + \n, %edx
	mov $1, %al
	out %al, %dx
	.endm
	.macro LOWER n
	mov $LINE + \n, %edx
	xor %eax, %eax
	out %al, %dx
	.endm
	.macro PULSE n
	RAISE \n
	LOWER \n
	.endm
	.macro TAKEN vector, times
	cmpb $\times, counts + \vector
	CHECK e
	movb $0, counts + \vector
	.endm
	.macro NONE_ELSE /* all others are 0 */
	mov $counts, %edi
	mov $256, %ecx
	xor %eax, %eax
	repe scasb
	CHECK e
	.endm
	.macro PORT port, value
	mov $\value, %al
	out %al, $\port
	.endm
	.macro REDIRECT pin, low /* an IOAPIC entry, to this CPU */
	movl $0x10 + 2 * \pin, IOAPIC
	movl $\low, IOAPIC + 0x10
	.endm

	.code32
	.text
	.align 4
	.long 0x1badb002, 0, -0x1badb002
	.globl _start
_start:
	cli
	cld
	lea stack_top, %esp
	lgdt gdtr
	ljmp $8, $1f
1:	mov $16, %eax
	mov %eax, %ds
	mov %eax, %es
	mov %eax, %ss
	mov $idt, %edi
	mov $stubs, %eax
	mov $256, %ecx
1:	mov %ax, (%edi)
	movw $8, 2(%edi)
	movw $0x8e00, 4(%edi)
	mov %eax, %edx
	shr $16, %edx
	mov %dx, 6(%edi)
	add $16, %eax
	add $8, %edi
	loop 1b
	lidt idtr
	PORT 0x20, 0x11                 /* the PICs: vectors 0x20 and 0x28, all masked */
	PORT 0x21, 0x20
	PORT 0x21, 0x04
	PORT 0x21, 0x01
	PORT 0xa0, 0x11
	PORT 0xa1, 0x28
	PORT 0xa1, 0x02
	PORT 0xa1, 0x01
	PORT 0x21, 0xdb                 /* but 5, and 2 for 10 and 13 */
	PORT 0xa1, 0xdb

	mov $0x4d0, %edx               /* ELCR: edges, whatever PCI made of them */
	xor %eax, %eax
	out %ax, %dx

	/* ---- PIC: an edge ---- */
	sti
	nop
	PULSE 5
	nop
	TAKEN 0x25, 1
	PULSE 10
	nop
	TAKEN 0x2a, 1
	RAISE 5                        /* once, however long it lasts */
	nop
	nop
	LOWER 5
	TAKEN 0x25, 1
	/* one that has gone when interrupts are allowed */
	cli
	PULSE 5
	nop
	TAKEN 0x25, 0
	sti
	nop
	nop
	TAKEN 0x25, 1
	cli
	PULSE 10
	sti
	nop
	nop
	TAKEN 0x2a, 1
	/* one that came while it was masked */
	PORT 0x21, 0xff
	PULSE 5
	nop
	TAKEN 0x25, 0
	PORT 0x21, 0xdb
	nop
	TAKEN 0x25, 1
	/* a serial port at 3e8h that the user has put there, on line 5: its transmitter is empty */
	mov $0x3ec, %edx
	mov $8, %al
	out %al, %dx
	mov $0x3e9, %edx
	mov $2, %al
	out %al, %dx
	nop
	xor %eax, %eax
	out %al, %dx
	TAKEN 0x25, 1
	/* two at once: the slave's first */
	cli
	movl $0, order
	PULSE 5
	PULSE 10
	sti
	nop
	nop
	cmpl $0x2a25, order
	CHECK e
	TAKEN 0x25, 1
	TAKEN 0x2a, 1
	/* a level asks for ever, and not once it has gone */
	mov $0x4d0, %edx
	mov $0x20, %al
	out %al, %dx
	movb $3, lasts
	movw $LINE + 5, lowers
	RAISE 5
	nop
	TAKEN 0x25, 3
	cli
	PULSE 5
	sti
	nop
	nop
	TAKEN 0x25, 0
	mov $0x4d0, %edx
	xor %eax, %eax
	out %al, %dx
	NONE_ELSE

	/* ---- FERR#: IRQ 13, before the next waiting instruction executes ---- */
	mov %cr0, %eax
	and $~0x2e, %eax
	mov %eax, %cr0
	fninit
	fldcw unmasked
	cli
	fld1
	fdivs zero
	sti
	fld1
	fnstsw %ax
	and $0x3800, %eax
	cmp $0x3000, %eax
	CHECK e
	cmpw $0x3800, ferr_fsw
	CHECK e
	TAKEN 0x2d, 1
	fninit
	mov %cr0, %eax
	or $0x20, %eax
	mov %eax, %cr0
	NONE_ELSE

	/* ---- IOAPIC ---- */
	PORT 0x21, 0xff
	PORT 0xa1, 0xff
	movl $0x1ff, LAPIC + 0xf0
	movb $1, apic
	REDIRECT 14, 0x77
	PULSE 14
	nop
	TAKEN 0x77, 1
	REDIRECT 23, 0x77              /* there is more than ISA's */
	PULSE 23
	nop
	TAKEN 0x77, 1
	/* one that has gone when interrupts are allowed; two at once: by vector, the second when the first has ended */
	cli
	PULSE 14
	sti
	nop
	TAKEN 0x77, 1
	REDIRECT 14, 0x78
	REDIRECT 15, 0x66
	cli
	movl $0, order
	PULSE 15
	PULSE 14
	sti
	nop
	nop
	cmpl $0x7866, order
	CHECK e
	TAKEN 0x78, 1
	TAKEN 0x66, 1
	/* masked: nothing; the next edge behind it counts */
	REDIRECT 14, 0x10078
	RAISE 14
	LOWER 14
	nop
	TAKEN 0x78, 0
	REDIRECT 14, 0x78
	PULSE 14
	nop
	TAKEN 0x78, 1
	/* a level: again after each end, until it is gone; a pulse while the CPU does not listen still arrives, once */
	REDIRECT 14, 0x8078
	movb $3, lasts
	movw $LINE + 14, lowers
	RAISE 14
	nop
	TAKEN 0x78, 3
	cli
	PULSE 14
	sti
	nop
	nop
	TAKEN 0x78, 1
	/* what comes again before the first was taken is one */
	REDIRECT 14, 0x78
	cli
	PULSE 14
	PULSE 14
	sti
	nop
	nop
	TAKEN 0x78, 1
	NONE_ELSE
	xor %eax, %eax

exit:	cli
	mov $EXIT, %edx
	out %eax, %dx
1:	hlt
	jmp 1b

/* ---- one stub a vector ---- */
	.align 16
stubs:
	.set v, 0
	.rept 256
	.align 16
	push $v
	jmp common
	.set v, v + 1
	.endr
common:
	pusha
	mov 32(%esp), %ebx
	cmp $0x20, %ebx
	jb exception
	incb counts(%ebx)
	mov order, %ecx
	shl $8, %ecx
	mov %bl, %cl
	mov %ecx, order
	cmp $0x2d, %ebx
	jne 1f
	fnstsw %ax
	and $0x3800, %eax
	mov %ax, ferr_fsw
	out %al, $0xf0
	fnclex
1:	cmpb $0, lasts                 /* a level that lasts so many interrupts */
	je 1f
	decb lasts
	jnz 1f
	mov lowers, %dx
	xor %eax, %eax
	out %al, %dx
1:	cmpb $0, apic
	jne 2f
	mov $0x20, %al
	cmp $0x28, %ebx
	jb 1f
	out %al, $0xa0
1:	out %al, $0x20
	jmp 3f
2:	movl $0, LAPIC + 0xb0
3:	popa
	add $4, %esp
	iret
exception:
	lea 0x40(%ebx), %eax
	jmp exit

	.data
	.align 8
gdt:	.quad 0, 0x00cf9b000000ffff, 0x00cf93000000ffff
gdtr:	.word 23
	.long gdt
idtr:	.word 256 * 8 - 1
	.long idt
order:	.long 0 /* the last vectors, the latest in the lowest byte */
zero:	.float 0
unmasked: .word 0x037b
ferr_fsw: .word 0
lowers:	.word 0
lasts:	.byte 0
apic:	.byte 0

	.bss
	.align 16
idt:	.skip 256 * 8
counts:	.skip 256
	.skip 4096
stack_top:
