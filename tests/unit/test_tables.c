/* SPDX-License-Identifier: MIT */
/* ACPI and SMBIOS images: the table loader's script, carried out as firmware does, must give what direct boot places; every
 * checksum holds, every structure is well formed. */
#include <stdlib.h>

#include "bios/acpi.h"
#include "bios/smbios.h"
#include "tests/unit/unit.h"

#define TABLES "etc/acpi/tables"
#define RSDP "etc/acpi/rsdp"
#define BASE 0x7ff0000u

static const struct acpi_isa isa[] = {{"COM1", "PNP0501", {0x3f8, 0}, {8, 0}, 4, 1},
                                      {"FWCF", "QEMU0002", {0x510, 0}, {12, 0}, -1, 0}};

static struct acpi_machine a_pc(unsigned cpus)
{
	return (struct acpi_machine){
		.cpus = cpus, .pm_base = 0x600, .gpe_base = 0xafe0, .gpe_len = 4, .smi_port = 0xb2, .smi_acpi_enable = 0xf1,
		.smi_acpi_disable = 0xf0, .sci_irq = 9, .ioapic_base = 0xfec00000, .hpet_base = 0xfed00000, .pci_first = 0xc0000000,
		.pci_last = 0xfebfffff, .pci_irq = {10, 10, 11, 11}, .level_irqs = {9, 10, 11}, .isa = isa, .isa_count = ARRAY_LEN(isa),
	};
}

static u8 sum(const u8 *data, size_t len)
{
	u8 s = 0;

	while (len--)
		s += *data++;
	return s;
}

/* Carry out a script. Room for any file name: it may be either of the two. */
static void load(const u8 *script, size_t len, u8 *tables, size_t tables_len, u8 *rsdp)
{
	unsigned allocated = 0;

	assert_int_equal(len % 128, 0);
	for (; len; script += 128, len -= 128) {
		bool in_rsdp = !strcmp((const char *)script + 4, RSDP);
		u8 *file = in_rsdp ? rsdp : tables;
		size_t size = in_rsdp ? ACPI_RSDP_SIZE : tables_len;
		const u8 *rest = script + 60;

		if (!in_rsdp)
			assert_string_equal((const char *)script + 4, TABLES);
		switch (load32(script)) {
		case 1:
			assert_int_equal(rest[4], in_rsdp ? 2 : 1);
			allocated |= 1u << in_rsdp;
			break;
		case 2: {
			u32 at = load32(script + 116);
			u8 bytes = script[120];
			assert_int_equal(allocated, 3);
			assert_string_equal((const char *)rest, TABLES);
			assert_true(bytes == 4 || bytes == 8);
			assert_true(at + bytes <= size);
			u64 v = bytes == 4 ? load32(file + at) : load64(file + at);
			assert_true(v < tables_len);
			if (bytes == 4)
				store32(file + at, v + BASE);
			else
				store64(file + at, v + BASE);
			break;
		}
		case 3: {
			u32 at = load32(rest), start = load32(rest + 4), n = load32(rest + 8);
			assert_true(start + n <= size && at >= start && at < start + n);
			file[at] -= sum(file + start, n);
			break;
		}
		default:
			fail_msg("command %u", load32(script));
		}
	}
}

static void check_table(const u8 *tables, size_t len, u64 gpa, const char *signature)
{
	u64 at = gpa - BASE;

	assert_true(at + 36 <= len);
	u32 size = load32(tables + at + 4);
	assert_true(at + size <= len);
	if (signature)
		assert_memory_equal(tables + at, signature, 4);
	assert_int_equal(sum(tables + at, size), 0);
}

static void one_machine(unsigned cpus)
{
	struct acpi_machine m = a_pc(cpus);
	struct acpi_image image;
	u8 *script, rsdp[ACPI_RSDP_SIZE];

	acpi_build(&m, &image);
	size_t script_len = acpi_script(&image, TABLES, RSDP, &script);
	u8 *tables = malloc(image.len);
	memcpy(tables, image.data, image.len);
	memcpy(rsdp, image.rsdp, sizeof rsdp);
	load(script, script_len, tables, image.len, rsdp);
	acpi_place(&image, BASE);
	assert_memory_equal(tables, image.data, image.len);
	assert_memory_equal(rsdp, image.rsdp, sizeof rsdp);

	assert_int_equal(sum(rsdp, 20), 0);
	assert_int_equal(sum(rsdp, 36), 0);
	u32 rsdt = load32(rsdp + 16);
	u64 xsdt = load64(rsdp + 24);
	check_table(tables, image.len, rsdt, "RSDT");
	check_table(tables, image.len, xsdt, "XSDT");
	unsigned count = (load32(tables + rsdt - BASE + 4) - 36) / 4;
	assert_int_equal((load32(tables + xsdt - BASE + 4) - 36) / 8, count);
	for (unsigned i = 0; i < count; i++) {
		u32 at = load32(tables + rsdt - BASE + 36 + i * 4);
		assert_int_equal(load64(tables + xsdt - BASE + 36 + i * 8), at);
		check_table(tables, image.len, at, NULL);
		if (memcmp(tables + at - BASE, "FACP", 4))
			continue;
		check_table(tables, image.len, load32(tables + at - BASE + 40), "DSDT");
		check_table(tables, image.len, load64(tables + at - BASE + 140), "DSDT");
		u32 facs = load32(tables + at - BASE + 36);
		assert_int_equal(facs % 64, 0);
		assert_memory_equal(tables + facs - BASE, "FACS", 4);
	}
	free(tables);
	free(script);
	acpi_free(&image);
}

static void acpi(void **state)
{
	(void)state;
	one_machine(1);
	one_machine(200);
}

static void walk_smbios(u64 ram_size, u64 below)
{
	const struct smbios_machine m = {.cpus = 3, .cpu_brand = "a CPU", .cpu_signature = 0x12345, .ram_below_4g = below,
	                                 .ram_size = ram_size};
	struct smbios_image image;
	unsigned seen[128] = {0}, count = 0, longest = 0;
	u64 mib = 0;

	smbios_build(&m, &image);
	assert_int_equal(sum(image.anchor, sizeof image.anchor), 0);
	assert_int_equal(sum(image.anchor + 16, 15), 0);
	assert_int_equal(load16(image.anchor + 22), image.len);
	size_t at = 0;
	while (at + 4 <= image.len) {
		u8 type = image.data[at], len = image.data[at + 1];
		size_t start = at;
		assert_true(len >= 4 && at + len + 2 <= image.len);
		assert_true(type < 128);
		seen[type]++;
		if (type == 17)
			mib += load16(image.data + at + 12) == 0x7fff ? load32(image.data + at + 28) : load16(image.data + at + 12);
		at += len;
		do /* strings, each with its zero, and one more; without strings two */
			at += strlen((char *)image.data + at) + 1;
		while (image.data[at]);
		at++;
		count++;
		longest = MAX(longest, (unsigned)(at - start));
	}
	assert_int_equal(at, image.len);
	assert_int_equal(load16(image.anchor + 28), count);
	assert_int_equal(load16(image.anchor + 8), longest);
	for (unsigned i = 0; i < ARRAY_LEN(seen); i++)
		assert_int_equal(seen[i] > 0, i == 1 || i == 3 || i == 4 || i == 16 || i == 17 || i == 19 || i == 32 || i == 127);
	assert_int_equal(mib, ram_size >> 20);
	assert_int_equal(seen[19], ram_size > below ? 2 : 1);
	smbios_free(&image);
}

static void smbios(void **state)
{
	(void)state;
	walk_smbios(128ull << 20, 128ull << 20);
	walk_smbios(100ull << 30, 3ull << 30);
	walk_smbios(1ull << 40, 3ull << 30);
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(acpi), cmocka_unit_test(smbios)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
