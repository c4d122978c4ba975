/* SPDX-License-Identifier: MIT */
/* A multiboot 1 kernel for tests of what lies between the machine and its host. The letter behind "do=" on its command line says
 * what it does.
 * It writes BLOCKS blocks of 64 KiB to the first disk, by DMA, without ever flushing; block n is full of the number n + 1. Then it
 * prints "written", or "failed" if a write failed, sets COUNTER to 1, and
 *   h halts, j loops, s powers off, r asks the keyboard controller for a reset, t faults three times, d uses isa-debug-exit (33),
 *   w writes the blocks again, for ever (it never prints anything).
 * Or it writes no disk and sends characters for ever, to
 *   p the serial port when that is ready, f the serial port without a look at it, e the debug console, l the printer when ready;
 * then COUNTER goes up at every turn, whether the port was ready or not. */
	.set BLOCKS, 640
	.set COUNTER, 0x300000
	.set BUFFER, 0x200000
	.set PRD, 0x1ff000
	.set BUS_MASTER, 0xc000
	.set PM, 0x600

	.code32
	.text
	.align 4
	.set FLAGS, 3
	.long 0x1badb002, FLAGS, -(0x1badb002 + FLAGS)
	.globl _start
_start:
	cli
	lea stack_top, %esp
	mov 16(%ebx), %esi /* command line */
1:	lodsb
	test %al, %al
	jz fail
	mov -1(%esi), %ecx
	and $0xffffff, %ecx
	cmp $0x3d6f64, %ecx /* "do=" */
	jne 1b
	mov 2(%esi), %bl

	movl $0, COUNTER
	cmp $'p', %bl
	je flood_polite
	cmp $'f', %bl
	je flood_serial
	cmp $'e', %bl
	je flood_debug
	cmp $'l', %bl
	je flood_printer

	/* the IDE function, 00:01.1: where its bus master is; I/O and bus mastering on */
	mov $0x80000920, %eax
	mov $BUS_MASTER | 1, %ecx
	call config
	mov $0x80000904, %eax
	mov $5, %ecx
	call config

write_all:
	xor %ebp, %ebp
	xor %bh, %bh
2:	call write_block
	inc %ebp
	cmp $BLOCKS, %ebp
	jb 2b
	cmp $'w', %bl
	je write_all
	mov $written, %esi
	test %bh, %bh
	jz 3f
	mov $failed, %esi
3:	call print
	movl $1, COUNTER

	cmp $'s', %bl
	je power_off
	cmp $'r', %bl
	je reset
	cmp $'t', %bl
	je triple
	cmp $'d', %bl
	je debug_exit
	cmp $'j', %bl
	je loop_on
4:	hlt
	jmp 4b
loop_on:
	pause
	jmp loop_on

power_off: /* the power management function, 00:01.3 */
	mov $0x80000b40, %eax
	mov $PM | 1, %ecx
	call config
	mov $0x80000b80, %eax
	mov $1, %ecx
	call config
	mov $PM + 4, %dx
	mov $0x2000, %ax
	out %ax, %dx
	jmp fail
reset:
	mov $0xfe, %al
	out %al, $0x64
	jmp fail
triple:
	lidt no_idt
	ud2
debug_exit:
	mov $16, %eax
	mov $0x501, %edx
	out %eax, %dx
fail:	mov $failed, %esi
	call print
5:	hlt
	jmp 5b

/* Write ECX to the configuration register EAX. */
config:
	mov $0xcf8, %dx
	out %eax, %dx
	mov %ecx, %eax
	mov $0xcfc, %dx
	out %eax, %dx
	ret

/* Block EBP: fill the buffer and write it (WRITE DMA EXT). BH counts failures. */
write_block:
	lea 1(%ebp), %eax
	mov $BUFFER, %edi
	mov $65536 / 4, %ecx
	cld
	rep stosl
	movl $BUFFER, PRD
	movl $0x80000000, PRD + 4 /* the last piece, 64 KiB */
	mov $BUS_MASTER, %dx
	xor %al, %al
	out %al, %dx
	mov $BUS_MASTER + 4, %dx
	mov $PRD, %eax
	out %eax, %dx
	mov $BUS_MASTER + 2, %dx
	mov $6, %al
	out %al, %dx

	mov $0x1f6, %dx
	mov $0x40, %al
	out %al, %dx
	mov %ebp, %ecx
	shl $7, %ecx /* the first sector */
	mov $0x1f2, %dx
	xor %al, %al
	out %al, %dx /* sectors, high byte */
	mov $0x1f3, %dx
	mov %ecx, %eax
	shr $24, %eax
	out %al, %dx
	inc %dx
	xor %al, %al
	out %al, %dx
	inc %dx
	out %al, %dx
	mov $0x1f2, %dx
	mov $128, %al
	out %al, %dx
	inc %dx
	mov %ecx, %eax
	out %al, %dx
	inc %dx
	shr $8, %eax
	out %al, %dx
	inc %dx
	shr $8, %eax
	out %al, %dx
	mov $0x1f7, %dx
	mov $0x35, %al
	out %al, %dx
	mov $BUS_MASTER, %dx
	mov $1, %al
	out %al, %dx
6:	mov $0x3f6, %dx
	in %dx, %al
	test $0x88, %al /* busy, or waiting for data */
	jnz 6b
	test $0x21, %al
	jz 7f
	mov $1, %bh
7:	mov $0x1f7, %dx
	in %dx, %al
	mov $BUS_MASTER, %dx
	xor %al, %al
	out %al, %dx
	ret

flood_polite: /* the letters a to p in turn */
	xor %edi, %edi
flood_polite_on:
	incl COUNTER
	mov $0x3fd, %dx
	in %dx, %al
	test $0x20, %al
	jz flood_polite_on
	mov $0x3f8, %dx
	mov %edi, %eax
	inc %edi
	and $15, %al
	add $'a', %al
	out %al, %dx
	jmp flood_polite_on
flood_serial:
	mov $0x3f8, %dx
	jmp flood
flood_debug:
	mov $0xe9, %dx
flood:	mov $'a', %al
8:	incl COUNTER
	out %al, %dx
	jmp 8b
flood_printer:
	incl COUNTER
	mov $0x379, %dx
	in %dx, %al
	test $0x80, %al
	jz flood_printer
	mov $0x378, %dx
	mov $'a', %al
	out %al, %dx
	mov $0x37a, %dx
	mov $0x0d, %al
	out %al, %dx
	mov $0x0c, %al
	out %al, %dx
	jmp flood_printer

#include "uart.inc"

	.align 4
no_idt:	.word 0
	.long 0
written: .asciz "written\n"
failed:	.asciz "failed\n"
	.bss
	.skip 4096
stack_top:
