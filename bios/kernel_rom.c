/* SPDX-License-Identifier: MIT */
/* The option ROM that starts a kernel, and what it reads: see kernel_rom.h. The item's contents:
 *   pieces: address, length (32 bits each), bytes; ended by one without bytes
 *   the record: how the kernel is entered, and what the BIOS is asked for (offsets below)
 * Beyond its end it reads as zeros, with which the ROM fills what is empty.
 * The ROM is x86 code in bytes, so that a build on any host can make it. */
#include "bios/kernel_rom.h"

#include <stdlib.h>

/* What the ROM works with in low memory: a DMA command of fw_cfg with the stack below it, the head of a piece, the record. */
enum work { CMD = 0x8000, PIECE = 0x8010, SCRATCH = 0x8020, REC = 0x8040 };
enum record {
	R_MAGIC = REC,
	R_GDTR = REC + 4,
	R_CR0 = REC + 12,  /* bits to set */
	R_DATA = REC + 16, /* all segment registers but CS */
	R_ESP = REC + 20,
	R_EIP = REC + 24,
	R_CS = REC + 28,
	R_EAX = REC + 32,
	R_EBX = REC + 36,
	R_ESI = REC + 40,
	R_MAP = REC + 44,  /* from here on far pointers (offset, segment) to what boot_entry.map names */
	R_BYTES = REC + 48,
	R_COUNT = REC + 52,
	R_LOWER = REC + 56,
	R_UPPER = REC + 60,
	R_GDT = REC + 64,  /* four descriptors */
	R_ZEROS = REC + 96, /* addresses and lengths; ended by one without length */
	RECORD_SIZE = 96 + 8 * (KERNEL_ZEROS + 1),
	SCRATCH_MAP = 0x8400, /* for the map where nobody wants it */
};
#define MAGIC 0x4c4e524bu /* "KRNL" */
enum fw_cfg_dma { READ = 2, SELECT = 8 }; /* bits of a command */
enum header { INIT = 3, PNP = 0x1a, PNP_AT = 0x20, PNP_SIZE = 0x20, BOOT = 0x40, NAME = 0x1c0, MAKER = 0x1e0 };

#define W(value) (u8)(value), (u8)((value) >> 8) /* a word */

static const u8 code[] = {
	/* boot: a stack, and the command below it */
	0xfc, /* cld */
	0x31, 0xc0, /* xor ax, ax */
	0x8e, 0xd8, /* mov ds, ax */
	0x8e, 0xd0, /* mov ss, ax */
	0xbc, W(CMD), /* mov sp, CMD */
	0x66, 0xc7, 0x06, W(CMD), KERNEL_ROM_ITEM >> 8, KERNEL_ROM_ITEM & 0xff, 0, READ | SELECT, /* mov dword [CMD], select, read */
	0x66, 0xc7, 0x06, W(CMD + 8), 0x00, 0x00, 0x00, 0x00, /* mov dword [CMD + 8], 0 */
	/* piece: until one is empty, the address and length of a piece, then the piece to its place */
	0x66, 0xb8, W(PIECE), 0x00, 0x00, /* mov eax, PIECE */
	0x66, 0xb9, 0x08, 0x00, 0x00, 0x00, /* mov ecx, 8 */
	0xe8, 0xfa, 0x00, /* call read */
	0x66, 0x8b, 0x0e, W(PIECE + 4), /* mov ecx, [PIECE + 4] */
	0x67, 0xe3, 0x09, /* jecxz record */
	0x66, 0xa1, W(PIECE), /* mov eax, [PIECE] */
	0xe8, 0xeb, 0x00, /* call read */
	0xeb, 0xe0, /* jmp piece */
	/* record: */
	0x66, 0xb8, W(REC), 0x00, 0x00, /* mov eax, REC */
	0x66, 0xb9, W(RECORD_SIZE), 0x00, 0x00, /* mov ecx, RECORD_SIZE */
	0xe8, 0xda, 0x00, /* call read */
	0x66, 0x81, 0x3e, W(R_MAGIC), W(MAGIC & 0xffff), W(MAGIC >> 16), /* cmp dword [R_MAGIC], MAGIC */
	0x0f, 0x85, 0xf8, 0x00, /* jne fail */
	0xbe, W(R_ZEROS), /* mov si, R_ZEROS */
	/* zero: the large empty parts; past its end the item reads as zeros */
	0x66, 0xad, /* lodsd */
	0x66, 0x8b, 0x0c, /* mov ecx, [si] */
	0x83, 0xc6, 0x04, /* add si, 4 */
	0x67, 0xe3, 0x05, /* jecxz map */
	0xe8, 0xbc, 0x00, /* call read */
	0xeb, 0xf0, /* jmp zero */
	/* map: */
	0xc4, 0x3e, W(R_MAP), /* les di, [R_MAP] */
	0x66, 0x31, 0xdb, /* xor ebx, ebx */
	0x31, 0xed, /* xor bp, bp */
	/* e820: */
	0x66, 0xb8, 0x20, 0xe8, 0x00, 0x00, /* mov eax, 0E820h */
	0x66, 0xb9, 0x14, 0x00, 0x00, 0x00, /* mov ecx, 14h */
	0x66, 0xba, 0x50, 0x41, 0x4d, 0x53, /* mov edx, 534D4150h */
	0xcd, 0x15, /* int 15h */
	0x72, 0x16, /* jb e820end */
	0x66, 0x3d, 0x50, 0x41, 0x4d, 0x53, /* cmp eax, 534D4150h */
	0x75, 0x0e, /* jne e820end */
	0x83, 0xc7, BOOT_MAP_STRIDE, /* add di, 18h */
	0x45, /* inc bp */
	0x83, 0xfd, BOOT_MAP_ENTRIES, /* cmp bp, 40h */
	0x74, 0x05, /* je e820end */
	0x66, 0x85, 0xdb, /* test ebx, ebx */
	0x75, 0xd4, /* jne e820 */
	/* e820end: */
	0x66, 0x0f, 0xb7, 0xc5, /* movzx eax, bp */
	0xc4, 0x3e, W(R_COUNT), /* les di, [R_COUNT] */
	0x66, 0xab, /* stosd */
	0x66, 0x6b, 0xc0, BOOT_MAP_STRIDE, /* imul eax, eax, 18h */
	0xc4, 0x3e, W(R_BYTES), /* les di, [R_BYTES] */
	0x66, 0xab, /* stosd */
	0xcd, 0x12, /* int 12h */
	0x66, 0x0f, 0xb7, 0xc0, /* movzx eax, ax */
	0xc4, 0x3e, W(R_LOWER), /* les di, [R_LOWER] */
	0x66, 0xab, /* stosd */
	0x66, 0x31, 0xc9, /* xor ecx, ecx */
	0x66, 0x31, 0xd2, /* xor edx, edx */
	0xb8, 0x01, 0xe8, /* mov ax, 0E801h */
	0xcd, 0x15, /* int 15h */
	0x66, 0xc1, 0xe2, 0x06, /* shl edx, 6 */
	0x66, 0x01, 0xca, /* add edx, ecx */
	0x66, 0x89, 0xd0, /* mov eax, edx */
	0xc4, 0x3e, W(R_UPPER), /* les di, [R_UPPER] */
	0x66, 0xab, /* stosd */
	/* enter: in protected mode or in real mode, by CR0 and by what the segment registers are given */
	0xfa, /* cli */
	0x66, 0xa1, W(R_EAX), /* mov eax, [R_EAX] */
	0x66, 0x8b, 0x1e, W(R_EBX), /* mov ebx, [R_EBX] */
	0x66, 0x8b, 0x36, W(R_ESI), /* mov esi, [R_ESI] */
	0x66, 0x8b, 0x3e, W(R_EIP), /* mov edi, [R_EIP] */
	0x66, 0x8b, 0x16, W(R_CS), /* mov edx, [R_CS] */
	0x66, 0x8b, 0x2e, W(R_ESP), /* mov ebp, [R_ESP] */
	0x8b, 0x0e, W(R_DATA), /* mov cx, [R_DATA] */
	0x66, 0x0f, 0x01, 0x16, W(R_GDTR), /* lgdt [R_GDTR] */
	0x66, 0x50, /* push eax */
	0x0f, 0x20, 0xc0, /* mov eax, cr0 */
	0x66, 0x0b, 0x06, W(R_CR0), /* or eax, [R_CR0] */
	0x0f, 0x22, 0xc0, /* mov cr0, eax */
	0x66, 0x58, /* pop eax */
	0x8e, 0xd9, /* mov ds, cx */
	0x8e, 0xc1, /* mov es, cx */
	0x8e, 0xe1, /* mov fs, cx */
	0x8e, 0xe9, /* mov gs, cx */
	0x8e, 0xd1, /* mov ss, cx */
	0x66, 0x89, 0xec, /* mov esp, ebp */
	0x66, 0x52, /* push edx */
	0x66, 0x57, /* push edi */
	0x66, 0xcb, /* retfd */
	/* read: ECX bytes to address EAX */
	0x66, 0x0f, 0xc8, /* bswap eax */
	0x66, 0xa3, W(CMD + 12), /* mov [CMD + 12], eax */
	0x66, 0x0f, 0xc9, /* bswap ecx */
	0x66, 0x89, 0x0e, W(CMD + 4), /* mov [CMD + 4], ecx */
	0x66, 0xb8, 0, 0, CMD >> 8, CMD & 0xff, /* mov eax, CMD, its bytes swapped */
	0xba, 0x18, 0x05, /* mov dx, 518h */
	0x66, 0xef, /* out dx, eax */
	/* wait: */
	0x66, 0xa1, W(CMD), /* mov eax, [CMD] */
	0x66, 0x85, 0xc0, /* test eax, eax */
	0x74, 0x0a, /* je done */
	0x66, 0x3d, 0x00, 0x00, 0x00, 0x01, /* cmp eax, 1000000h */
	0x75, 0xef, /* jne wait */
	/* fail: the next device is tried */
	0xcd, 0x18, /* int 18h */
	/* done: the next read goes on where this one ended */
	0x66, 0xc7, 0x06, W(CMD), 0, 0, 0, READ, /* mov dword [CMD], read */
	0xc3, /* ret */
};

static u8 sum(const u8 *bytes, size_t n)
{
	u8 all = 0;

	while (n--)
		all += *bytes++;
	return all;
}

/* An expansion ROM with a bootstrap entry vector (Plug and Play BIOS specification 1.0A, 3.2): a device to boot from, which the
 * BIOS offers beside its disks. */
void kernel_rom_build(u8 rom[KERNEL_ROM_SIZE])
{
	static const char name[] = "Kernel", maker[] = "Paisano";
	u8 *pnp = rom + PNP_AT;

	_Static_assert(BOOT + sizeof code <= NAME, "the code runs into the names");
	memset(rom, 0, KERNEL_ROM_SIZE);
	store16(rom, 0xaa55);
	rom[2] = KERNEL_ROM_SIZE / 512;
	rom[INIT] = 0xcb; /* retf: there is nothing to initialize */
	store16(rom + PNP, PNP_AT);
	memcpy(rom + BOOT, code, sizeof code);
	memcpy(rom + NAME, name, sizeof name);
	memcpy(rom + MAKER, maker, sizeof maker);
	memcpy(pnp, "$PnP", 4);
	pnp[4] = 1; /* structure revision */
	pnp[5] = PNP_SIZE / 16;
	store16(pnp + 0x0e, MAKER);
	store16(pnp + 0x10, NAME);
	pnp[0x13] = 0x80; /* device type: "other" */
	pnp[0x15] = 0x74; /* may be shadowed, may be cached, needed to boot only, a device to boot from */
	store16(pnp + 0x1a, BOOT);
	pnp[9] = -sum(pnp, PNP_SIZE);
	rom[5] = -sum(rom, KERNEL_ROM_SIZE);
}

/* ---- what it reads ---- */

/* Shorter empty parts are written out. */
enum { LARGE = 4 << 10 };

static void append(struct kernel_pieces *p, const void *data, size_t len)
{
	while (p->room - p->len < len) {
		size_t room = MAX(p->room * 2, (size_t)LARGE);
		u8 *more = err_alloc(room);

		if (p->len)
			memcpy(more, p->data, p->len);
		free(p->data);
		p->data = more;
		p->room = room;
	}
	if (data)
		memcpy(p->data + p->len, data, len);
	else
		memset(p->data + p->len, 0, len);
	p->len += len;
}

static void append_head(struct kernel_pieces *p, u32 gpa, u32 len)
{
	u8 head[8];

	store32(head, gpa);
	store32(head + 4, len);
	append(p, head, sizeof head);
}

bool kernel_pieces_write(void *pieces, u64 gpa, const void *data, u64 size)
{
	struct kernel_pieces *p = pieces;

	if (gpa >> 32 || size > (1ull << 32) - gpa || size >> 32)
		return false;
	if (data || size < LARGE) {
		if (p->len > p->limit || size > p->limit - p->len)
			return false;
		append_head(p, gpa, size);
		append(p, data, size);
		return true;
	}
	if (p->zero_count == KERNEL_ZEROS)
		return false;
	p->zeros[p->zero_count].at = gpa;
	p->zeros[p->zero_count++].len = size;
	return true;
}

static u32 far_pointer(u32 address, u32 otherwise)
{
	u32 at = address ? address : otherwise;

	return at >> 4 << 16 | (at & 15);
}

void kernel_pieces_finish(struct kernel_pieces *p, const struct boot_entry *entry)
{
	bool real = entry->mode == BOOT_REAL;
	const u64 gdt[4] = {0, 0, BOOT_CODE32_DESCRIPTOR, BOOT_DATA_DESCRIPTOR};
	const struct { u16 at; u32 value; } fields[] = {
		{R_MAGIC, MAGIC},
		{R_GDTR, (u32)R_GDT << 16 | (sizeof gdt - 1)},
		{R_GDTR + 4, R_GDT >> 16},
		{R_CR0, !real},
		{R_DATA, real ? entry->data : BOOT_DATA},
		{R_ESP, entry->rsp},
		{R_EIP, entry->rip},
		{R_CS, real ? entry->cs : BOOT_CODE},
		{R_EAX, entry->rax},
		{R_EBX, entry->rbx},
		{R_ESI, entry->rsi},
		{R_MAP, far_pointer(entry->map.at, SCRATCH_MAP)},
		{R_BYTES, far_pointer(entry->map.bytes, SCRATCH)},
		{R_COUNT, far_pointer(entry->map.count, SCRATCH)},
		{R_LOWER, far_pointer(entry->map.lower, SCRATCH)},
		{R_UPPER, far_pointer(entry->map.upper, SCRATCH)},
	};
	u8 record[RECORD_SIZE] = {0};

	for (unsigned i = 0; i < ARRAY_LEN(fields); i++)
		store32(record + (fields[i].at - REC), fields[i].value);
	memcpy(record + (R_GDT - REC), gdt, sizeof gdt);
	for (unsigned i = 0; i < p->zero_count; i++) {
		store32(record + (R_ZEROS - REC) + i * 8, p->zeros[i].at);
		store32(record + (R_ZEROS - REC) + i * 8 + 4, p->zeros[i].len);
	}
	append_head(p, 0, 0);
	append(p, record, sizeof record);
}
