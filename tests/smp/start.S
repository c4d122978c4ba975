/* SPDX-License-Identifier: MIT */
/* How the programs of this folder start: a multiboot 1 kernel that goes to 64-bit mode with the first 4 GiB mapped one to one
 * (2 MiB pages), and what the other CPUs execute from their SIPI on, at 8000h. Each CPU calls C on a stack of its own. */
	.set PAGES, 0x9000      /* PML4, PDPT, four page directories */
	.set STACKS, 0x200000   /* below: 16 KiB for each CPU */

	.code32
	.text
	.align 4
	.long 0x1badb002, 3, -(0x1badb002 + 3)
	.globl _start
_start:	cld
	mov %ebx, boot_info
	mov $PAGES, %edi
	mov $6 * 1024, %ecx
	xor %eax, %eax
	rep stosl
	movl $PAGES + 0x1000 + 3, PAGES
	mov $PAGES + 0x2000 + 3, %eax
	mov $PAGES + 0x1000, %edi
	mov $4, %ecx
1:	mov %eax, (%edi)
	add $0x1000, %eax
	add $8, %edi
	loop 1b
	mov $0x83, %eax
	mov $PAGES + 0x2000, %edi
	mov $2048, %ecx
2:	mov %eax, (%edi)
	add $0x200000, %eax
	add $8, %edi
	loop 2b
	mov $trampoline, %esi
	mov $0x8000, %edi
	mov $trampoline_end - trampoline, %ecx
	rep movsb
	jmp long_mode

/* From flat protected mode on, the same for all. */
long_mode:
	mov $PAGES, %eax
	mov %eax, %cr3
	mov %cr4, %eax
	or $0x620, %eax /* PAE, SSE */
	mov %eax, %cr4
	mov $0xc0000080, %ecx
	rdmsr
	or $0x100, %eax
	wrmsr
	mov %cr0, %eax
	and $0x9fffffff, %eax
	or $0x80000001, %eax
	mov %eax, %cr0
	lgdt gdt_pointer
	ljmp $0x18, $3f
	.code64
3:	mov $0x10, %eax
	mov %eax, %ds
	mov %eax, %es
	mov %eax, %ss
	mov $1, %edi
	lock xadd %edi, cpus_started
	mov %edi, %esp
	neg %esp
	shl $14, %esp
	add $STACKS, %esp
	call cpu_main
4:	hlt
	jmp 4b

	.code16
trampoline:
	cli
	xor %ax, %ax
	mov %ax, %ds
	lgdtl 0x8000 + tramp_pointer - trampoline
	mov %cr0, %eax
	or $1, %eax
	mov %eax, %cr0
	ljmpl $8, $0x8000 + tramp32 - trampoline
	.code32
tramp32: mov $0x10, %eax
	mov %eax, %ds
	mov %eax, %es
	mov %eax, %ss
	mov $long_mode, %eax
	jmp *%eax
	.align 4
tramp_pointer: .word 31
	.long gdt
trampoline_end:

	.data
	.align 8
gdt:	.quad 0, 0x00cf9b000000ffff, 0x00cf93000000ffff, 0x00af9b000000ffff
gdt_pointer: .word 31
	.long gdt
	.globl boot_info, cpus_started
boot_info: .long 0
cpus_started: .long 0
	.section .note.GNU-stack, "", @progbits
