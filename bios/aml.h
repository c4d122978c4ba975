/* SPDX-License-Identifier: MIT */
/* A small AML writer: enough of ACPI 6.4 ch. 20 to describe a PC. Terms are appended to a growing buffer; terms with a length
 * (packages, scopes, devices, methods) are opened and closed. */
#ifndef BIOS_AML_H
#define BIOS_AML_H

#include "base/types.h"

#define AML_DEPTH 8
struct aml {
	u8 *data;
	size_t len, cap;
	size_t open[AML_DEPTH]; /* where the lengths of the open terms belong */
	unsigned depth;
};

void aml_free(struct aml *aml);
void aml_bytes(struct aml *aml, const void *data, size_t len);
void aml_byte(struct aml *aml, u8 value);
/* Terms with a length. name: one segment of four characters, or a path beginning with \ of one segment. */
void aml_scope(struct aml *aml, const char *name);
void aml_device(struct aml *aml, const char *name);
void aml_package(struct aml *aml, unsigned elements);
void aml_close(struct aml *aml);
/* Name(name, <the next term>). */
void aml_name(struct aml *aml, const char *name);
void aml_int(struct aml *aml, u64 value);
void aml_string(struct aml *aml, const char *text);
void aml_eisa(struct aml *aml, const char *id); /* "PNP0A03" */

/* A resource template, closed by aml_resources_end(). */
void aml_resources(struct aml *aml);
void aml_resources_end(struct aml *aml);
void aml_io(struct aml *aml, u16 first, u8 len);
void aml_irq(struct aml *aml, unsigned irq);                     /* edge, active high, exclusive */
void aml_dma(struct aml *aml, u8 channels);                      /* 8-bit channels, a bit each */
void aml_memory_fixed(struct aml *aml, u32 base, u32 len);
void aml_bus_range(struct aml *aml, u16 first, u16 last);
void aml_io_range(struct aml *aml, u16 first, u16 last);         /* producer, as of a bridge */
void aml_memory_range(struct aml *aml, u32 first, u32 last);
void aml_memory_range64(struct aml *aml, u64 first, u64 last);

#endif
