/* SPDX-License-Identifier: MIT */
/* AML writer: ACPI 6.4 ch. 20 (term encoding) and 6.4 (resource descriptors). See aml.h. */
#include "bios/aml.h"

#include <stdlib.h>

#include "base/err.h"

enum {
	OP_NAME = 0x08,
	OP_BYTE = 0x0a,
	OP_WORD = 0x0b,
	OP_DWORD = 0x0c,
	OP_STRING = 0x0d,
	OP_QWORD = 0x0e,
	OP_SCOPE = 0x10,
	OP_BUFFER = 0x11,
	OP_PACKAGE = 0x12,
	OP_EXT = 0x5b,
	OP_DEVICE = 0x82
};

void aml_free(struct aml *aml)
{
	free(aml->data);
	*aml = (struct aml){0};
}

void aml_bytes(struct aml *aml, const void *data, size_t len)
{
	if (aml->len + len > aml->cap) {
		aml->cap = (aml->len + len) * 2 + 256;
		aml->data = err_realloc(aml->data, aml->cap);
	}
	memcpy(aml->data + aml->len, data, len);
	aml->len += len;
}

void aml_byte(struct aml *aml, u8 value)
{
	aml_bytes(aml, &value, 1);
}

static void little(struct aml *aml, u64 value, unsigned bytes)
{
	aml_bytes(aml, &value, bytes);
}

static void name_string(struct aml *aml, const char *name)
{
	if (*name == '\\') {
		aml_byte(aml, '\\');
		name++;
	}
	for (unsigned i = 0; i < 4; i++)
		aml_byte(aml, *name ? *name++ : '_');
}

static void open_term(struct aml *aml)
{
	if (aml->depth == AML_DEPTH)
		bug("AML terms nested too deep");
	aml->open[aml->depth++] = aml->len;
}

/* Put the package length in front of what was written since; it counts itself (20.2.4). */
void aml_close(struct aml *aml)
{
	size_t at = aml->open[--aml->depth], body = aml->len - at;
	u8 code[4];
	unsigned n = body + 1 < 64 ? 1 : body + 2 < 4096 ? 2 : body + 3 < 1 << 20 ? 3 : 4;
	size_t len = body + n;

	if (n == 1) {
		code[0] = len;
	} else {
		code[0] = (n - 1) << 6 | (len & 15);
		for (unsigned i = 1; i < n; i++)
			code[i] = len >> (4 + 8 * (i - 1));
	}
	aml_bytes(aml, code, n); /* make room */
	memmove(aml->data + at + n, aml->data + at, body);
	memcpy(aml->data + at, code, n);
}

void aml_scope(struct aml *aml, const char *name)
{
	aml_byte(aml, OP_SCOPE);
	open_term(aml);
	name_string(aml, name);
}

void aml_device(struct aml *aml, const char *name)
{
	aml_byte(aml, OP_EXT);
	aml_byte(aml, OP_DEVICE);
	open_term(aml);
	name_string(aml, name);
}

void aml_package(struct aml *aml, unsigned elements)
{
	aml_byte(aml, OP_PACKAGE);
	open_term(aml);
	aml_byte(aml, elements);
}

void aml_name(struct aml *aml, const char *name)
{
	aml_byte(aml, OP_NAME);
	name_string(aml, name);
}

void aml_int(struct aml *aml, u64 value)
{
	if (value < 2) {
		aml_byte(aml, value);
	} else if (value <= 0xff) {
		aml_byte(aml, OP_BYTE);
		little(aml, value, 1);
	} else if (value <= 0xffff) {
		aml_byte(aml, OP_WORD);
		little(aml, value, 2);
	} else if (value <= 0xffffffff) {
		aml_byte(aml, OP_DWORD);
		little(aml, value, 4);
	} else {
		aml_byte(aml, OP_QWORD);
		little(aml, value, 8);
	}
}

void aml_string(struct aml *aml, const char *text)
{
	aml_byte(aml, OP_STRING);
	aml_bytes(aml, text, strlen(text) + 1);
}

static unsigned hex(char c)
{
	return c <= '9' ? c - '0' : c - 'A' + 10;
}

/* EISA id: three letters of five bits and four hex digits, big-endian (19.3.4). */
void aml_eisa(struct aml *aml, const char *id)
{
	u32 v = (u32)(id[0] & 31) << 26 | (u32)(id[1] & 31) << 21 | (u32)(id[2] & 31) << 16 | hex(id[3]) << 12 | hex(id[4]) << 8 |
	        hex(id[5]) << 4 | hex(id[6]);

	aml_byte(aml, OP_DWORD);
	little(aml, __builtin_bswap32(v), 4);
}

/* ---- resources: a Buffer whose size is known only at the end ---- */

void aml_resources(struct aml *aml)
{
	aml_byte(aml, OP_BUFFER);
	open_term(aml);
	aml_byte(aml, OP_WORD);
	little(aml, 0, 2);
}

void aml_resources_end(struct aml *aml)
{
	size_t at = aml->open[aml->depth - 1];

	little(aml, 0x0079, 2); /* end tag without a checksum */
	store16(aml->data + at + 1, aml->len - at - 3);
	aml_close(aml);
}

void aml_io(struct aml *aml, u16 first, u8 len)
{
	aml_byte(aml, 0x47);
	aml_byte(aml, 1); /* decodes 16 bits */
	little(aml, first, 2);
	little(aml, first, 2);
	aml_byte(aml, 1);
	aml_byte(aml, len);
}

void aml_irq(struct aml *aml, unsigned irq)
{
	aml_byte(aml, 0x22);
	little(aml, 1u << irq, 2);
}

void aml_dma(struct aml *aml, u8 channels)
{
	aml_byte(aml, 0x2a);
	aml_byte(aml, channels);
	aml_byte(aml, 0); /* compatible timing, no bus master, bytes */
}

void aml_memory_fixed(struct aml *aml, u32 base, u32 len)
{
	aml_byte(aml, 0x86);
	little(aml, 9, 2);
	aml_byte(aml, 1); /* writable */
	little(aml, base, 4);
	little(aml, len, 4);
}

/* Address space descriptors of 16, 32 and 64 bits (6.4.3.5): kind 0 memory, 1 I/O, 2 bus numbers; fixed minimum and maximum. */
static void range(struct aml *aml, u8 tag, u8 kind, u8 specific, unsigned bytes, u64 first, u64 last)
{
	aml_byte(aml, tag);
	little(aml, 3 + bytes * 5, 2);
	aml_byte(aml, kind);
	aml_byte(aml, 0x0c);
	aml_byte(aml, specific);
	little(aml, 0, bytes);
	little(aml, first, bytes);
	little(aml, last, bytes);
	little(aml, 0, bytes);
	little(aml, last - first + 1, bytes);
}

void aml_bus_range(struct aml *aml, u16 first, u16 last) { range(aml, 0x88, 2, 0, 2, first, last); }
void aml_io_range(struct aml *aml, u16 first, u16 last) { range(aml, 0x88, 1, 3, 2, first, last); }
void aml_memory_range(struct aml *aml, u32 first, u32 last) { range(aml, 0x87, 0, 1, 4, first, last); }
void aml_memory_range64(struct aml *aml, u64 first, u64 last) { range(aml, 0x8a, 0, 1, 8, first, last); }
