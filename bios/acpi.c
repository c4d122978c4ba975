/* SPDX-License-Identifier: MIT */
/* ACPI tables: RSDP, RSDT, XSDT, FADT, FACS, MADT, HPET, DSDT (ACPI 6.4 ch. 5; IA-PC HPET 1.0a 3.2.4).
 * Not implemented: hot-plug, link devices (the routing is fixed), _PSS/_CST. */
#include "bios/acpi.h"

#include <stdlib.h>

#include "base/err.h"
#include "bios/aml.h"

/* The image grows table by table; a table's offset is known as soon as it is begun. */
struct image {
	struct aml buf; /* used as a byte buffer */
	struct acpi_image *to;
};

static void put(struct image *im, u64 value, unsigned bytes)
{
	const u8 little[16] = {value,       value >> 8,  value >> 16, value >> 24,
	                       value >> 32, value >> 40, value >> 48, value >> 56};

	aml_bytes(&im->buf, little, bytes);
}

static void pad(struct image *im, unsigned align)
{
	while (im->buf.len % align)
		aml_byte(&im->buf, 0);
}

/* A field that holds the address of a table. */
static void put_pointer(struct image *im, u32 table, unsigned bytes)
{
	if (im->to->pointers == ACPI_POINTERS)
		bug("too many pointers in the ACPI tables");
	im->to->pointer[im->to->pointers++] = (struct acpi_pointer){.at = im->buf.len, .size = bytes};
	put(im, table, bytes);
}

static void add_sum(struct acpi_image *to, bool in_rsdp, u32 at, u32 start, u32 len)
{
	if (to->sums == ACPI_SUMS)
		bug("too many ACPI tables");
	to->sum[to->sums++] = (struct acpi_sum){in_rsdp, at, start, len};
}

static size_t begin(struct image *im, const char *signature, u8 revision)
{
	pad(im, 16);
	size_t at = im->buf.len;
	aml_bytes(&im->buf, signature, 4);
	put(im, 0, 4); /* length */
	aml_byte(&im->buf, revision);
	aml_byte(&im->buf, 0); /* checksum */
	aml_bytes(&im->buf, "PAISAN", 6);
	aml_bytes(&im->buf, "PC440FX ", 8);
	put(im, 1, 4);
	aml_bytes(&im->buf, "PSNO", 4);
	put(im, 1, 4);
	return at;
}

static void end(struct image *im, size_t at)
{
	store32(im->buf.data + at + 4, im->buf.len - at);
	add_sum(im->to, false, at + 9, at, im->buf.len - at);
}

/* ---- DSDT ---- */

static void device_ids(struct aml *a, const char *pnp, unsigned uid)
{
	aml_name(a, "_HID");
	if (strlen(pnp) == 7)
		aml_eisa(a, pnp);
	else
		aml_string(a, pnp);
	aml_name(a, "_UID");
	aml_int(a, uid);
}

static void isa_device(struct aml *a, const struct acpi_isa *d)
{
	aml_device(a, d->name);
	device_ids(a, d->pnp, d->uid);
	aml_name(a, "_STA");
	aml_int(a, 0xf);
	aml_name(a, "_CRS");
	aml_resources(a);
	for (unsigned i = 0; i < ARRAY_LEN(d->io); i++)
		if (d->io[i])
			aml_io(a, d->io[i], d->io_len[i]);
	if (d->irq >= 0)
		aml_irq(a, d->irq);
	if (d->dma)
		aml_dma(a, d->dma);
	aml_resources_end(a);
	aml_close(a);
}

/* PIIX3: pin p (0..3) of slot s drives PIRQ (s + p - 1) mod 4; the power management function's SCI has its own line. */
static void pci_routing(struct aml *a, const struct acpi_machine *m)
{
	aml_name(a, "_PRT");
	aml_package(a, 31 * 4);
	for (unsigned slot = 1; slot < 32; slot++)
		for (unsigned pin = 0; pin < 4; pin++) {
			aml_package(a, 4);
			aml_int(a, slot << 16 | 0xffff);
			aml_int(a, pin);
			aml_int(a, 0);
			aml_int(a, slot == 1 && pin == 0 ? m->sci_irq : m->pci_irq[(slot + pin + 3) & 3]);
			aml_close(a);
		}
	aml_close(a);
}

static void pci_root(struct aml *a, const struct acpi_machine *m)
{
	aml_device(a, "PCI0");
	device_ids(a, "PNP0A03", 0);
	aml_name(a, "_ADR");
	aml_int(a, 0);
	aml_name(a, "_CRS");
	aml_resources(a);
	aml_bus_range(a, 0, 0xff);
	aml_io(a, 0xcf8, 8);
	aml_io_range(a, 0, 0xcf7);
	aml_io_range(a, 0xd00, 0xffff);
	aml_memory_range(a, 0xa0000, 0xbffff);
	aml_memory_range(a, m->pci_first, m->pci_last);
	aml_resources_end(a);
	pci_routing(a, m);
	aml_device(a, "ISA_");
	aml_name(a, "_ADR");
	aml_int(a, 0x10000);
	for (unsigned i = 0; i < m->isa_count; i++)
		isa_device(a, &m->isa[i]);
	aml_close(a);
	aml_close(a);
}

/* SLP_TYP for both control registers, of which there is one. */
static void sleep_state(struct aml *a, const char *name, u8 type)
{
	aml_name(a, name);
	aml_package(a, 4);
	aml_int(a, type);
	aml_int(a, type);
	aml_int(a, 0);
	aml_int(a, 0);
	aml_close(a);
}

static void dsdt(struct image *im, const struct acpi_machine *m)
{
	struct aml *a = &im->buf;

	aml_scope(a, "\\_SB_");
	pci_root(a, m);
	if (m->hpet_base) {
		aml_device(a, "HPET");
		device_ids(a, "PNP0103", 0);
		aml_name(a, "_CRS");
		aml_resources(a);
		aml_memory_fixed(a, m->hpet_base, 0x400);
		aml_resources_end(a);
		aml_close(a);
	}
	for (unsigned i = 0; i < m->cpus; i++) {
		char name[5] = {'C', "0123456789ABCDEF"[i >> 8 & 15], "0123456789ABCDEF"[i >> 4 & 15], "0123456789ABCDEF"[i & 15], 0};
		aml_device(a, name);
		aml_name(a, "_HID");
		aml_string(a, "ACPI0007");
		aml_name(a, "_UID");
		aml_int(a, i);
		aml_close(a);
	}
	aml_close(a);
	if (m->s3)
		sleep_state(a, "\\_S3_", m->s3_type);
	sleep_state(a, "\\_S5_", m->s5_type);
}

/* ---- static tables ---- */

static void gas(struct image *im, u8 bits, u64 port)
{
	aml_byte(&im->buf, 1); /* system I/O */
	aml_byte(&im->buf, bits);
	aml_byte(&im->buf, 0);
	aml_byte(&im->buf, bits == 8 ? 1 : bits == 16 ? 2 : 3); /* access size */
	put(im, port, 8);
}

enum fadt_flags { WBINVD = 1, PROC_C1 = 4, SLP_BUTTON = 1 << 5, TMR_VAL_EXT = 1 << 8, RESET_REG_SUP = 1 << 10 };

static u32 fadt(struct image *im, const struct acpi_machine *m, u32 facs, u32 dsdt_at)
{
	size_t at = begin(im, "FACP", 3);

	put_pointer(im, facs, 4);
	put_pointer(im, dsdt_at, 4);
	put(im, 0, 2); /* reserved, preferred profile: unspecified */
	put(im, m->sci_irq, 2);
	put(im, m->smi_port, 4);
	put(im, m->smi_acpi_enable, 1);
	put(im, m->smi_acpi_disable, 1);
	put(im, 0, 2);
	put(im, m->pm_base, 4);
	put(im, 0, 4);
	put(im, m->pm_base + 4, 4);
	put(im, 0, 4);
	put(im, 0, 4);
	put(im, m->pm_base + 8, 4);
	put(im, m->gpe_base, 4);
	put(im, 0, 4);
	put(im, 4, 1); /* PM1_EVT_LEN */
	put(im, 2, 1); /* PM1_CNT_LEN */
	put(im, 0, 1);
	put(im, 4, 1); /* PM_TMR_LEN */
	put(im, m->gpe_len, 1);
	put(im, 0, 3);
	put(im, 0xfff, 2); /* no C2 */
	put(im, 0xfff, 2); /* no C3 */
	put(im, 0, 8);     /* flush, duty, day and month alarm */
	put(im, 0x32, 1);  /* century in CMOS */
	put(im, 3, 2);     /* IAPC_BOOT_ARCH: legacy devices, 8042 */
	put(im, 0, 1);
	put(im, WBINVD | PROC_C1 | SLP_BUTTON | TMR_VAL_EXT | RESET_REG_SUP, 4);
	gas(im, 8, 0xcf9);
	put(im, 0x0f, 1);
	put(im, 0, 3);
	put(im, 0, 8); /* X_FIRMWARE_CTRL is for a FACS above 4 GiB */
	put_pointer(im, dsdt_at, 8);
	gas(im, 32, m->pm_base);
	put(im, 0, 12);
	gas(im, 16, m->pm_base + 4);
	put(im, 0, 12);
	put(im, 0, 12);
	gas(im, 32, m->pm_base + 8);
	gas(im, m->gpe_len * 8, m->gpe_base);
	put(im, 0, 12);
	end(im, at);
	return at;
}

static void override(struct image *im, u8 irq, u32 gsi, u16 flags)
{
	put(im, 2, 1);
	put(im, 10, 1);
	put(im, 0, 1);
	put(im, irq, 1);
	put(im, gsi, 4);
	put(im, flags, 2);
}

static u32 madt(struct image *im, const struct acpi_machine *m)
{
	size_t at = begin(im, "APIC", 3);

	put(im, 0xfee00000, 4);
	put(im, 1, 4); /* PC-AT compatible: there are 8259s */
	for (unsigned i = 0; i < m->cpus; i++) {
		put(im, 0, 1);
		put(im, 8, 1);
		put(im, i, 1);
		put(im, i, 1);
		put(im, 1, 4);
	}
	put(im, 1, 1);
	put(im, 12, 1);
	put(im, m->ioapic_id, 1);
	put(im, 0, 1);
	put(im, m->ioapic_base, 4);
	put(im, 0, 4);
	override(im, 0, 2, 0); /* the PIT's IRQ 0 is on pin 2 */
	for (unsigned i = 0; i < ARRAY_LEN(m->level_irqs) && m->level_irqs[i]; i++)
		override(im, m->level_irqs[i], m->level_irqs[i], 0x0d); /* level, active high */
	put(im, 4, 1); /* NMI on LINT1 of every processor */
	put(im, 6, 1);
	put(im, 0xff, 1);
	put(im, 0, 2);
	put(im, 1, 1);
	end(im, at);
	return at;
}

static u32 hpet(struct image *im, const struct acpi_machine *m)
{
	size_t at = begin(im, "HPET", 1);

	put(im, 0x8086a201, 4); /* 3 comparators, 64-bit, legacy routing: as the capability register says */
	put(im, 0, 1);          /* system memory */
	put(im, 0, 3);
	put(im, m->hpet_base, 8);
	put(im, 0, 1);
	put(im, 0, 2);
	put(im, 0, 1);
	end(im, at);
	return at;
}

static void root_pointer(struct acpi_image *to, u32 rsdt, u32 xsdt)
{
	u8 *rsdp = to->rsdp;

	memcpy(rsdp, "RSD PTR ", 8);
	memcpy(rsdp + 9, "PAISAN", 6);
	rsdp[15] = 2;
	store32(rsdp + 16, rsdt);
	store32(rsdp + 20, ACPI_RSDP_SIZE);
	store64(rsdp + 24, xsdt);
	to->pointer[to->pointers++] = (struct acpi_pointer){true, 4, 16};
	to->pointer[to->pointers++] = (struct acpi_pointer){true, 8, 24};
	add_sum(to, true, 8, 0, 20);
	add_sum(to, true, 32, 0, ACPI_RSDP_SIZE);
}

void acpi_build(const struct acpi_machine *m, struct acpi_image *to)
{
	struct image im = {.to = to};
	u32 tables[3];
	unsigned count = 0;

	*to = (struct acpi_image){0};
	u32 facs = 0; /* first, for its alignment */
	aml_bytes(&im.buf, "FACS", 4);
	put(&im, 64, 4);
	for (unsigned i = 0; i < 7; i++)
		put(&im, 0, 8);
	im.buf.data[facs + 32] = 1; /* version */

	size_t at = begin(&im, "DSDT", 2);
	dsdt(&im, m);
	end(&im, at);
	tables[count++] = fadt(&im, m, facs, at);
	tables[count++] = madt(&im, m);
	if (m->hpet_base)
		tables[count++] = hpet(&im, m);

	size_t rsdt = begin(&im, "RSDT", 1);
	for (unsigned i = 0; i < count; i++)
		put_pointer(&im, tables[i], 4);
	end(&im, rsdt);
	size_t xsdt = begin(&im, "XSDT", 1);
	for (unsigned i = 0; i < count; i++)
		put_pointer(&im, tables[i], 8);
	end(&im, xsdt);
	if (to->pointers + 2 > ACPI_POINTERS)
		bug("too many pointers in the ACPI tables");
	root_pointer(to, rsdt, xsdt);
	to->data = im.buf.data;
	to->len = im.buf.len;
}

void acpi_free(struct acpi_image *image)
{
	free(image->data);
	image->data = NULL;
}

/* ---- placing, here or in the guest ---- */

static u8 sum(const u8 *data, size_t len)
{
	u8 s = 0;

	while (len--)
		s += *data++;
	return -s;
}

void acpi_place(struct acpi_image *image, u32 base)
{
	for (unsigned i = 0; i < image->pointers; i++) {
		const struct acpi_pointer *p = &image->pointer[i];
		u8 *at = (p->in_rsdp ? image->rsdp : image->data) + p->at;

		store32(at, load32(at) + base);
	}
	for (unsigned i = 0; i < image->sums; i++) {
		const struct acpi_sum *s = &image->sum[i];
		u8 *data = s->in_rsdp ? image->rsdp : image->data;

		data[s->at] = sum(data + s->start, s->len);
	}
}

enum script { ALLOCATE = 1, ADD_POINTER = 2, ADD_CHECKSUM = 3, ZONE_HIGH = 1, ZONE_FSEG = 2, COMMAND_SIZE = 128, NAME_SIZE = 56 };

/* Begin a command about a file; the rest is written behind its name. */
static u8 *add_command(struct aml *script, enum script command, const char *file)
{
	static const u8 blank[COMMAND_SIZE];

	aml_bytes(script, blank, sizeof blank);
	u8 *at = script->data + script->len - COMMAND_SIZE;
	store32(at, command);
	memcpy(at + 4, file, MIN(strlen(file), NAME_SIZE - 1ul));
	return at + 4 + NAME_SIZE;
}

static void add_allocate(struct aml *script, const char *file, u32 align, enum script zone)
{
	u8 *rest = add_command(script, ALLOCATE, file);

	store32(rest, align);
	rest[4] = zone;
}

size_t acpi_script(const struct acpi_image *image, const char *tables, const char *rsdp, u8 **script)
{
	struct aml out = {0};
	u8 *rest;

	add_allocate(&out, rsdp, 16, ZONE_FSEG);
	add_allocate(&out, tables, ACPI_ALIGN, ZONE_HIGH);
	for (unsigned i = 0; i < image->pointers; i++) {
		const struct acpi_pointer *p = &image->pointer[i];

		rest = add_command(&out, ADD_POINTER, p->in_rsdp ? rsdp : tables);
		memcpy(rest, tables, MIN(strlen(tables), NAME_SIZE - 1ul));
		store32(rest + NAME_SIZE, p->at);
		rest[NAME_SIZE + 4] = p->size;
	}
	for (unsigned i = 0; i < image->sums; i++) {
		const struct acpi_sum *s = &image->sum[i];

		rest = add_command(&out, ADD_CHECKSUM, s->in_rsdp ? rsdp : tables);
		store32(rest, s->at);
		store32(rest + 4, s->start);
		store32(rest + 8, s->len);
	}
	*script = out.data;
	return out.len;
}
