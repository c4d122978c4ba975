/* SPDX-License-Identifier: MIT */
/* A multiboot 1 kernel that goes to 64-bit mode, says S on the first serial port, and then does one thing for ever, with interrupts
 * off: the last character of its command line selects it. */
	.code32
	.text
	.align 4
	.long 0x1badb002, 3, -(0x1badb002 + 3)
	.globl _start
_start:
	cli
	lea stack_top, %esp
	mov 16(%ebx), %esi /* command line: its last character */
1:	lodsb
	test %al, %al
	jnz 1b
	movzbl -2(%esi), %ebp
	mov $0x3f8, %edx
	mov $'S', %al
	out %al, %dx
	lea pml4, %edi
	lea pdpt + 3, %eax
	mov %eax, (%edi)
	lea pdpt, %edi
	lea pd + 3, %eax
	mov %eax, (%edi)
	lea pd, %edi /* 256 MiB, where they are */
	mov $0x83, %eax
1:	mov %eax, (%edi)
	add $8, %edi
	add $0x200000, %eax
	cmp $0x10000083, %eax
	jne 1b
	mov %cr4, %eax
	or $0x620, %eax
	mov %eax, %cr4
	lea pml4, %eax
	mov %eax, %cr3
	mov $0xc0000080, %ecx
	rdmsr
	or $0x100, %eax
	wrmsr
	mov %cr0, %eax
	or $0x80000002, %eax
	and $~4, %eax
	mov %eax, %cr0
	lgdt gdtr
	ljmp $8, $long
	.code64
long:
	mov $16, %eax
	mov %eax, %ds
	mov %eax, %es
	mov %eax, %ss
	cmp $'a', %ebp
	je jump_self
	cmp $'b', %ebp
	je across
	cmp $'c', %ebp
	je indirect
	cmp $'d', %ebp
	je calls
	cmp $'e', %ebp
	je strings
	cmp $'f', %ebp
	je faults
	cmp $'g', %ebp
	je sleep
	/* h: a loop that patches itself */
patch:	incb 1f + 1
1:	mov $0, %al
	jmp patch
jump_self:
	jmp jump_self
indirect:
	lea indirect, %rax
	jmp *%rax
calls:	call 1f
	jmp calls
1:	ret
strings: /* the same megabytes again and again */
	mov $0x100000, %edi
	mov %edi, %esi
	mov $0x8000000, %ecx
	rep lodsb
	jmp strings
faults:	lea faulty, %rax /* a handler that returns to the fault */
	lea idt, %rdi
	mov %ax, 6 * 16(%rdi)
	movw $8, 6 * 16 + 2(%rdi)
	movw $0x8e00, 6 * 16 + 4(%rdi)
	shr $16, %eax
	mov %ax, 6 * 16 + 6(%rdi)
	lidt idtr
	ud2
faulty:	iretq
sleep:	hlt
	jmp sleep
across:	jmp there
	.balign 4096
there:	inc %rbx
	jmp across

	.data
	.balign 8
	.quad 0
gdt:	.quad 0, 0x00af9b000000ffff, 0x00cf93000000ffff
gdtr:	.word 23
	.long gdt
	.balign 8
idtr:	.word 0xfff
	.quad idt
	.bss
	.balign 4096
pml4:	.skip 4096
pdpt:	.skip 4096
pd:	.skip 4096
idt:	.skip 4096
	.skip 4096
stack_top:
