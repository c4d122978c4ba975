/* SPDX-License-Identifier: MIT */
/* SMBIOS structures: system, chassis, processor, memory, end (System Management BIOS specification 2.8, ch. 7). Firmware adds its
 * own type 0, places them and completes the entry point.
 * Not implemented: what would be invented rather than known (caches, slots, connectors); serial numbers. */
#include "bios/smbios.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/err.h"
#include "bios/aml.h"

enum { SYSTEM = 1, CHASSIS = 3, PROCESSOR = 4, MEMORY_ARRAY = 16, MEMORY_DEVICE = 17, MEMORY_MAP = 19, BOOT = 32, END = 127 };
enum { UNKNOWN = 2, NONE = 0xfffe };
/* Handles: type in the high byte, number in the low one. */
#define HANDLE(type, n) ((type) << 8 | (n))
#define DEVICE_MAX (16ull << 30)
#define DEVICES 64

struct builder {
	struct aml out; /* used as a byte buffer */
	struct smbios_image *image;
	size_t start;
	const char *strings[8];
	unsigned count;
};

static void put(struct builder *b, u64 value, unsigned bytes)
{
	const u8 little[8] = {value,       value >> 8,  value >> 16, value >> 24,
	                      value >> 32, value >> 40, value >> 48, value >> 56};

	aml_bytes(&b->out, little, bytes);
}

static void begin(struct builder *b, u8 type, u16 handle)
{
	b->start = b->out.len;
	b->count = 0;
	put(b, type, 1);
	put(b, 0, 1); /* length */
	put(b, handle, 2);
}

/* A field that names a string by its number. */
static void put_string(struct builder *b, const char *text)
{
	if (!text || !*text || b->count == ARRAY_LEN(b->strings)) {
		put(b, 0, 1);
		return;
	}
	b->strings[b->count++] = text;
	put(b, b->count, 1);
}

static void end(struct builder *b)
{
	b->out.data[b->start + 1] = b->out.len - b->start;
	for (unsigned i = 0; i < b->count; i++)
		aml_bytes(&b->out, b->strings[i], strlen(b->strings[i]) + 1);
	put(b, 0, b->count ? 1 : 2);
	b->image->structures++;
	b->image->longest = MAX(b->image->longest, (unsigned)(b->out.len - b->start));
}

static void system_and_chassis(struct builder *b, const struct smbios_machine *m)
{
	begin(b, SYSTEM, HANDLE(SYSTEM, 0));
	put_string(b, "Paisano");
	put_string(b, "Standard PC (i440FX + PIIX)");
	put_string(b, "pc");
	put(b, 0, 1); /* serial number */
	aml_bytes(&b->out, m->uuid, sizeof m->uuid);
	put(b, 6, 1); /* woken by the power switch */
	put(b, 0, 1);
	put(b, 0, 1);
	end(b);

	begin(b, CHASSIS, HANDLE(CHASSIS, 0));
	put_string(b, "Paisano");
	put(b, 1, 1); /* other */
	put_string(b, "pc");
	put(b, 0, 2);
	put(b, 3, 1); /* boot-up, power supply, thermal state: safe */
	put(b, 3, 1);
	put(b, 3, 1);
	put(b, UNKNOWN, 1);
	put(b, 0, 4);
	put(b, 0, 2); /* height and power cords unspecified */
	put(b, 0, 2); /* no contained elements */
	put(b, 0, 1);
	end(b);
}

static void processor(struct builder *b, const struct smbios_machine *m)
{
	unsigned cores = MIN(m->cpus, 255u);

	begin(b, PROCESSOR, HANDLE(PROCESSOR, 0));
	put_string(b, "CPU 0");
	put(b, 3, 1);    /* a central processor */
	put(b, 0xfe, 1); /* family: see the second field */
	put_string(b, "Paisano");
	put(b, m->cpu_signature, 8);
	put_string(b, m->cpu_brand);
	put(b, 0, 1);    /* voltage, clocks: unknown */
	put(b, 0, 2);
	put(b, 2000, 2);
	put(b, 2000, 2);
	put(b, 0x41, 1); /* socket populated, CPU enabled */
	put(b, 1, 1);    /* upgrade: other */
	for (unsigned i = 0; i < 3; i++)
		put(b, 0xffff, 2); /* caches */
	put(b, 0, 3);    /* serial, asset, part */
	put(b, cores, 1);
	put(b, cores, 1);
	put(b, cores, 1);
	put(b, 1 << 2, 2); /* 64 bits */
	put(b, 1, 2);
	put(b, m->cpus, 2);
	put(b, m->cpus, 2);
	put(b, m->cpus, 2);
	end(b);
}

/* One mapped range, both ends in KiB, or in bytes where that has too few bits. */
static void memory_map(struct builder *b, unsigned n, u64 first, u64 size)
{
	bool wide = (first + size) >> 10 >= 0xffffffffull;

	begin(b, MEMORY_MAP, HANDLE(MEMORY_MAP, n));
	put(b, wide ? 0xffffffff : first >> 10, 4);
	put(b, wide ? 0xffffffff : ((first + size) >> 10) - 1, 4);
	put(b, HANDLE(MEMORY_ARRAY, 0), 2);
	put(b, 1, 1);
	put(b, wide ? first : 0, 8);
	put(b, wide ? first + size - 1 : 0, 8);
	end(b);
}

static void memory(struct builder *b, const struct smbios_machine *m)
{
	u64 each = MAX(DEVICE_MAX, (m->ram_size + DEVICES - 1) / DEVICES), devices = (m->ram_size + each - 1) / each;
	u64 kib = m->ram_size >> 10;

	begin(b, MEMORY_ARRAY, HANDLE(MEMORY_ARRAY, 0));
	put(b, 1, 1); /* location: other */
	put(b, 3, 1); /* use: system memory */
	put(b, 6, 1); /* corrected as if by multi-bit ECC: it does not fail */
	put(b, kib < 0x80000000ull ? kib : 0x80000000ull, 4);
	put(b, NONE, 2);
	put(b, devices, 2);
	put(b, kib < 0x80000000ull ? 0 : m->ram_size, 8);
	end(b);
	for (unsigned i = 0; i < devices; i++) {
		u64 mib = MIN(each, m->ram_size - i * each) >> 20;
		char name[16];

		snprintf(name, sizeof name, "DIMM %u", i);
		begin(b, MEMORY_DEVICE, HANDLE(MEMORY_DEVICE, i));
		put(b, HANDLE(MEMORY_ARRAY, 0), 2);
		put(b, NONE, 2);
		put(b, 0xffff, 2); /* widths unknown */
		put(b, 0xffff, 2);
		put(b, mib < 0x7fff ? mib : 0x7fff, 2);
		put(b, 9, 1); /* DIMM */
		put(b, 0, 1);
		put_string(b, name);
		put(b, 0, 1);
		put(b, 7, 1); /* RAM */
		put(b, 2, 2);
		put(b, 0, 2);
		put_string(b, "Paisano");
		put(b, 0, 3);
		put(b, 0, 1);
		put(b, mib < 0x7fff ? 0 : mib, 4);
		put(b, 0, 2);
		put(b, 0, 6); /* voltages */
		end(b);
	}
	memory_map(b, 0, 0, m->ram_below_4g);
	if (m->ram_size > m->ram_below_4g)
		memory_map(b, 1, 1ull << 32, m->ram_size - m->ram_below_4g);
}

static u8 negated_sum(const u8 *data, size_t len)
{
	u8 s = 0;

	while (len--)
		s += *data++;
	return -s;
}

/* The 2.1 entry point (5.2.1), with a table address of 0. */
static void make_anchor(struct smbios_image *image)
{
	u8 *a = image->anchor;

	memcpy(a, "_SM_", 4);
	a[5] = SMBIOS_ANCHOR_SIZE;
	a[6] = 2;
	a[7] = 8;
	store16(a + 8, image->longest);
	memcpy(a + 16, "_DMI_", 5);
	store16(a + 22, image->len);
	store16(a + 28, image->structures);
	a[30] = 0x28;
	a[21] = negated_sum(a + 16, 15);
	a[4] = negated_sum(a, SMBIOS_ANCHOR_SIZE);
}

void smbios_build(const struct smbios_machine *m, struct smbios_image *image)
{
	struct builder b = {.image = image};

	*image = (struct smbios_image){0};
	system_and_chassis(&b, m);
	processor(&b, m);
	memory(&b, m);
	begin(&b, BOOT, HANDLE(BOOT, 0));
	put(&b, 0, 6);
	put(&b, 0, 1); /* no errors */
	end(&b);
	begin(&b, END, HANDLE(END, 0));
	end(&b);
	image->data = b.out.data;
	image->len = b.out.len;
	make_anchor(image);
}

void smbios_free(struct smbios_image *image)
{
	free(image->data);
	image->data = NULL;
}
