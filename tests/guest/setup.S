/* SPDX-License-Identifier: MIT */
/* A kernel by the Linux boot protocol with nothing but a real-mode part: says on the first serial port how it was entered and what
 * it was given, which it fetches with the BIOS, and leaves through isa-debug-exit with 33. The test puts other versions and
 * loadflags into the header (Documentation/arch/x86/boot.rst, "The real-mode kernel header"). */
	.code16
	.text
	.globl _start
_start:
	.org 0x1f1
	.byte 2                 /* setup_sects */
	.word 0
	.long 2                 /* syssize: 32 bytes */
	.word 0
	.word 0xffff            /* vid_mode */
	.word 0
	.word 0xaa55
	.org 0x200
	jmp setup
	.ascii "HdrS"
version: .word 0x203
	.long 0
	.word 0, 0
loader:	.byte 0
flags:	.byte 1
	.word 0x8000
	.long 0x100000          /* code32_start */
ramdisk: .long 0
ramdisk_size: .long 0
	.long 0
heap:	.word 0
	.word 0
cmdline: .long 0
	.long 0x37ffffff
	.org 0x268
setup:
	/* CS is 20h paragraphs above all others */
	mov %cs, %ax
	sub $0x20, %ax
	mov %ds, %bx
	cmp %ax, %bx
	jne fail
	mov %es, %bx
	cmp %ax, %bx
	jne fail
	mov %ss, %bx
	cmp %ax, %bx
	jne fail
	cmpb $0, loader
	je fail
	mov heap, %ax           /* 200h below the stack, behind the setup part */
	add $0x200, %ax
	cmp %sp, %ax
	jne fail
	sti

	mov $at, %si
	call print
	mov %ds, %ax
	call hex
	mov $line, %si
	call print
	cmpw $0x202, version
	jae 1f
	cmpw $0xa33f, 0x20      /* the old place, in this segment */
	jne fail
	mov 0x22, %si
	jmp 2f
1:	mov cmdline, %eax
	mov %eax, %esi
	shr $4, %eax
	and $15, %si
	mov %ax, %ds
2:	call print
	push %cs
	pop %ax
	sub $0x20, %ax
	mov %ax, %ds

	mov $mode, %si
	call print
	mov 0x1fa, %ax
	call hex
	mov $kernel, %si
	call print
	mov $0x100000, %eax
	testb $1, flags
	jnz 3f
	mov $0x10000, %eax
3:	call show
	mov $initrd, %si
	call print
	mov ramdisk, %eax
	call show
	mov $end, %si
	call print
	mov $33, %ax
	jmp leave
fail:	mov $1, %ax
leave:	mov $0x501, %dx
	out %al, %dx
	hlt
	jmp fail

/* The 16 bytes at address EAX, by INT 15h AH=87h (move a block). */
show:	mov %eax, gdt + 18
	shr $24, %eax
	mov %al, gdt + 23
	movb $0x93, gdt + 21
	xor %eax, %eax
	mov %ds, %ax
	shl $4, %eax
	add $buffer, %eax
	mov %eax, gdt + 26
	movb $0x93, gdt + 29
	mov $gdt, %si
	mov $8, %cx
	mov $0x87, %ah
	int $0x15
	jc fail
	mov $buffer, %si
	jmp print

hex:	mov %ax, %bx
	mov $4, %cx
5:	rol $4, %bx
	mov %bl, %al
	and $15, %al
	add $'0', %al
	cmp $'9', %al
	jbe 6f
	add $'a' - '0' - 10, %al
6:	call put
	loop 5b
	ret
#include "uart.inc"

at:	.asciz "setup at "
line:	.asciz ", command line '"
mode:	.asciz "', mode "
kernel:	.asciz ", kernel '"
initrd:	.asciz "', initrd '"
end:	.asciz "'\n"
buffer:	.skip 17
	.balign 8
gdt:	.skip 16                /* null, the table itself */
	.word 15, 0, 0, 0       /* from: filled in */
	.word 15, 0, 0, 0       /* to */
	.skip 16                /* the BIOS's own */
	.org 0x600
	.ascii "the kernel part\0the kernel part\0"
