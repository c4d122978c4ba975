/* SPDX-License-Identifier: MIT */
/* A program as DOS programs were, on a boot disk of its own: BIOS calls (INT 10h, 13h, 15h, 16h), channel 2 of the timer, and video
 * memory written as it lies. dos.py makes the disk, presses the keys and looks at the pictures.
 * It says what it has done on port E9h: a letter each, '!' where something failed; then it waits for a key and echoes it.
 *
 * Every picture is pixel (x, y) = (x / 2 + y) in as many bits as the mode has, with a palette that is the same in all modes. */
	.intel_syntax noprefix
	.code16
	.globl _start

/* ---- the boot sector: the rest of the track ---- */
_start:
	jmp 0:begin
begin:
	xor ax, ax
	mov ds, ax
	mov es, ax
	mov ss, ax
	mov sp, 0x7c00
	cld
	mov [drive], dl
	mov ax, 0x0209		/* nine sectors, from the second one on */
	mov cx, 0x0002
	mov dh, 0
	mov bx, 0x7e00
	int 0x13
	jc 1f
	mov al, 'B'
	out 0xe9, al
	jmp program
1:	mov al, '!'
	out 0xe9, al
	hlt
drive:	.byte 0
	.org 510
	.word 0xaa55

/* ---- small words ---- */
say:				/* AL */
	out 0xe9, al
	ret
verdict:			/* AL, or '!' if carry is set */
	jnc 1f
	mov al, '!'
1:	out 0xe9, al
	ret
pause:				/* the letter in AL, a key, its echo */
	out 0xe9, al
	mov ah, 0
	int 0x16
	out 0xe9, al
	ret

palette:			/* DAC entry i: i, 3 i and not i, in six bits; attribute registers straight through */
	mov dx, 0x3c8
	mov al, 0
	out dx, al
	inc dx
	xor cx, cx
1:	mov al, cl
	and al, 63
	out dx, al
	mov al, cl
	add al, cl
	add al, cl
	and al, 63
	out dx, al
	mov al, cl
	not al
	and al, 63
	out dx, al
	inc cx
	cmp cx, 256
	jne 1b
	mov bx, 0
2:	mov ax, 0x1000
	int 0x10
	add bx, 0x0101
	cmp bx, 0x1010
	jne 2b
	ret

mode:				/* AX: set a mode of the BIOS, with our palette */
	int 0x10
	call palette
	mov ax, 0xa000
	mov es, ax
	xor di, di
	ret

/* ---- what is no picture ---- */
timer:				/* channel 2 in mode 0 counts a millisecond down; its output shows in bit 5 of port 61h */
	in al, 0x61
	and al, 0xfc
	or al, 1
	out 0x61, al
	mov al, 0xb0
	out 0x43, al
	in al, 0x61
	test al, 0x20		/* low, as long as there is no count */
	stc
	jnz 9f
	mov al, 1193 & 255
	out 0x42, al
	mov al, 1193 >> 8
	out 0x42, al
	mov ecx, 10000000
1:	in al, 0x61
	test al, 0x20
	jnz 2f
	dec ecx
	jnz 1b
	stc
	ret
2:	clc
9:	ret

memory:				/* INT 15h: as much as the CMOS says; a wait; both must come back */
	mov ah, 0x88
	int 0x15
	jc 9f
	mov bx, ax
	mov al, 0x18
	out 0x70, al
	in al, 0x71
	sub al, bh		/* less what the BIOS keeps for its tables */
	cmp al, 2
	cmc
	jc 9f
	mov ah, 0x86
	mov cx, 0
	mov dx, 2000
	int 0x15
9:	ret

disk:				/* INT 13h: the drive's shape; write and read back; format a track */
	mov ah, 8
	mov dl, [drive]
	int 0x13
	jc 9f
	cmp cx, 0x4f12		/* 80 cylinders, 18 sectors */
	jne 8f
	cmp dh, 1
	jne 8f
	push ds
	pop es
	mov di, 0x9000
	mov cx, 512
	mov al, 7
1:	stosb
	add al, 13
	loop 1b
	mov ax, 0x0301
	mov bx, 0x9000
	call last
	jc 9f
	mov ax, 0x0201
	mov bx, 0x9200
	call last
	jc 9f
	mov si, 0x9000
	mov di, 0x9200
	mov cx, 256
	repe cmpsw
	jne 8f
	mov di, 0x9000		/* 18 addresses of cylinder 78, head 1 */
	mov cx, 1
2:	mov ax, 0x014e
	stosw
	mov al, cl
	mov ah, 2
	stosw
	inc cx
	cmp cx, 19
	jne 2b
	mov ax, 0x0512
	mov bx, 0x9000
	mov cx, 0x4e01
	mov dh, 1
	mov dl, [drive]
	int 0x13
	jc 9f
	mov ax, 0x0201
	mov bx, 0x9200
	mov cx, 0x4e05
	mov dh, 1
	mov dl, [drive]
	int 0x13
	jc 9f
	mov di, 0x9200
	mov cx, 512
	mov al, 0xf6
	repe scasb
	jne 8f
	clc
	ret
8:	stc
9:	ret
last:				/* the last sector of the disk */
	mov cx, 0x4f12
	mov dh, 1
	mov dl, [drive]
	int 0x13
	ret

coprocessor:			/* twice: an unmasked division by zero reaches INT 2 by way of IRQ13 and the BIOS's INT 75h */
	mov word ptr [2 * 4], offset 7f
	mov word ptr [2 * 4 + 2], 0
	xor si, si
	fninit
	fldcw [control]
1:	fld1
	fldz
	fdivp st(1), st
	mov ecx, 10000000
2:	cmp byte ptr [seen], 0
	jne 3f
	dec ecx
	jnz 2b
	jmp 8f
3:	mov byte ptr [seen], 0
	test word ptr [status], 4
	jz 8f
	fstp st(0)
	inc si
	cmp si, 2
	jne 1b
	fldz			/* nothing is pending any more */
	fwait
	cmp byte ptr [seen], 0
	jne 8f
	clc
	ret
8:	stc
	ret
7:	push ax
	fstsw ax		/* waits for nothing, since port F0h has been written */
	mov [status], ax
	fnclex
	inc byte ptr [seen]
	pop ax
	iret
control: .word 0x037b
status:	.word 0
seen:	.byte 0

/* ---- pictures ---- */
text:				/* characters by the BIOS and by hand, no cursor; the font goes out for the test to draw with */
	mov ax, 0x0003
	call mode
	mov ah, 1
	mov cx, 0x2000
	int 0x10
	mov si, offset greeting
1:	lodsb
	mov ah, 0x0e
	mov bx, 7
	int 0x10
	cmp byte ptr [si], 0
	jne 1b
	mov ax, 0xb800
	mov es, ax
	mov di, 160 * 10
	xor cx, cx
2:	mov al, cl		/* all characters, each in another colour; blinking ones would not keep still */
	mov ah, cl
	and ah, 0x7f
	stosw
	inc cx
	cmp cx, 256
	jne 2b
	push ds
	mov ax, 0x1130
	mov bh, 6
	int 0x10
	push es
	pop ds
	mov si, bp
	mov cx, 4096
3:	lodsb
	out 0xe9, al
	loop 3b
	pop ds
	ret

cga:				/* 320x200x4, odd lines 8 KiB further on */
	mov ax, 0x0004
	call mode
	mov ax, 0xb800
	mov es, ax
	xor dx, dx
1:	mov ax, dx
	shr ax, 1
	mov bx, 80
	push dx
	mul bx
	pop dx
	mov di, ax
	test dx, 1
	jz 2f
	add di, 0x2000
2:	xor cx, cx
3:	mov bl, 0
	mov bh, 4
4:	mov ax, cx
	shr ax, 1
	add ax, dx
	and al, 3
	shl bl, 2
	or bl, al
	inc cx
	dec bh
	jnz 4b
	mov al, bl
	stosb
	cmp cx, 320
	jne 3b
	inc dx
	cmp dx, 200
	jne 1b
	ret

planar:				/* 640x480x16: write mode 2 through the bit mask, so that the latches keep the other dots */
	mov ax, 0x0012
	call mode
	mov dx, 0x3ce
	mov ax, 0x0205
	out dx, ax
	xor bx, bx		/* y */
1:	xor cx, cx
2:	mov ax, 0x8008
	push cx
	and cl, 7
	shr ah, cl
	pop cx
	out dx, ax
	mov ax, cx
	shr ax, 1
	add ax, bx
	mov ah, es:[di]
	mov es:[di], al
	inc cx
	test cl, 7
	jnz 2b
	inc di
	cmp cx, 640
	jne 2b
	inc bx
	cmp bx, 480
	jne 1b
	mov ax, 0x0005
	out dx, ax
	mov ax, 0xff08
	out dx, ax
	ret

linear:				/* 320x200x256 */
	mov ax, 0x0013
	call mode
	xor bx, bx
1:	xor cx, cx
2:	mov ax, cx
	shr ax, 1
	add ax, bx
	stosb
	inc cx
	cmp cx, 320
	jne 2b
	inc bx
	cmp bx, 200
	jne 1b
	ret

modex:				/* the same without chain 4: dot x in plane x mod 4 */
	mov ax, 0x0013
	call mode
	mov dx, 0x3c4
	mov ax, 0x0604
	out dx, ax
	mov dx, 0x3d4
	mov ax, 0x0014
	out dx, ax
	mov ax, 0xe317
	out dx, ax
	xor si, si		/* plane */
1:	mov dx, 0x3c4
	mov cx, si
	mov ax, 0x0102
	shl ah, cl
	out dx, ax
	xor di, di
	xor bx, bx
2:	mov cx, si
3:	mov ax, cx
	shr ax, 1
	add ax, bx
	not al			/* another picture than the one before */
	stosb
	add cx, 4
	cmp cx, 320
	jb 3b
	inc bx
	cmp bx, 200
	jne 2b
	inc si
	cmp si, 4
	jne 1b
	ret

bank:				/* window A to 64 KiB number SI */
	push bx
	push dx
	mov ax, 0x4f05
	mov bx, 0
	mov dx, si
	int 0x10
	pop dx
	pop bx
	ret

vesa8:				/* 640x480x256 through the window */
	mov ax, 0x4f02
	mov bx, 0x0101
	call mode
	xor si, si
	call bank
	xor bx, bx
1:	xor cx, cx
2:	mov ax, cx
	shr ax, 1
	add ax, bx
	stosb
	inc cx
	or di, di
	jnz 3f
	inc si
	call bank
3:	cmp cx, 640
	jne 2b
	inc bx
	cmp bx, 480
	jne 1b
	ret

vesa16:				/* 800x600, 5:6:5: pixel x * 3 + y * 65 */
	mov ax, 0x4f02
	mov bx, 0x0114
	int 0x10
	mov ax, 0xa000
	mov es, ax
	xor di, di
	xor si, si
	call bank
	xor bx, bx
1:	xor cx, cx
	mov ax, bx
	shl ax, 6
	add ax, bx
2:	stosw
	add ax, 3
	inc cx
	or di, di
	jnz 3f
	push ax
	inc si
	call bank
	pop ax
3:	cmp cx, 800
	jne 2b
	inc bx
	cmp bx, 600
	jne 1b
	ret

deep:				/* SI: width, height, bits; a VESA mode of that shape, found in the list of modes. Carry: there is none */
	mov ax, 0x2000
	mov es, ax
	xor di, di
	mov eax, 0x32454256	/* "VBE2" */
	mov es:[di], eax
	mov ax, 0x4f00
	int 0x10
	lfs bx, es:[0x0e]
	mov di, 0x200
1:	mov cx, fs:[bx]
	add bx, 2
	cmp cx, 0xffff
	stc
	je 9f
	mov ax, 0x4f01
	int 0x10
	mov eax, es:[di + 0x12]
	cmp eax, [si]
	jne 1b
	mov al, es:[di + 0x19]
	cmp al, [si + 4]
	jne 1b
	mov ax, [si]
	mov [width], ax
	mov ax, [si + 2]
	mov [lines], ax
	mov al, [si + 4]
	add al, 7
	shr al, 3
	mov [bytes], al
	mov ax, 0x4f02
	mov bx, cx
	call mode
	mov ax, 0xa000
	mov es, ax
	xor di, di
	xor si, si
	call bank
	mov [line], edi
2:	mov eax, [line]
	mov cx, [width]
3:	push eax
	mov dl, [bytes]
4:	stosb
	or di, di
	jnz 5f
	inc si
	push eax
	call bank
	pop eax
5:	shr eax, 8
	dec dl
	jnz 4b
	pop eax
	add eax, 0x010203
	dec cx
	jnz 3b
	add dword ptr [line], 0x050709
	dec word ptr [lines]
	jnz 2b
9:	ret
line:	.long 0
width:	.word 0
lines:	.word 0
bytes:	.byte 0
shapes:	.word 640, 480, 15, 1024, 768, 16, 1024, 768, 24, 1280, 1024, 32, 1600, 1200, 8, 2560, 1600, 32, 0

program:
	call timer
	mov al, 'P'
	call verdict
	call memory
	mov al, 'M'
	call verdict
	call disk
	mov al, 'D'
	call verdict
	call coprocessor
	mov al, 'F'
	call verdict
	call text
	mov al, '1'
	call pause
	call cga
	mov al, '2'
	call pause
	call planar
	mov al, '3'
	call pause
	call linear
	mov al, '4'
	call pause
	call modex
	mov al, '5'
	call pause
	call vesa8
	mov al, '6'
	call pause
	call vesa16
	mov al, '7'
	call pause
	lea si, shapes
2:	push si
	call deep
	mov al, 'v'
	call verdict
	mov al, 'V'
	call pause
	pop si
	add si, 6
	cmp word ptr [si], 0
	jne 2b
	mov al, 'Z'
	call say
1:	hlt
	jmp 1b

greeting:
	.asciz "Hello from INT 10h\r\n"
	.org 512 * 10
