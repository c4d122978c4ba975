/* SPDX-License-Identifier: MIT */
/* SMBIOS structures that tell of the machine, as firmware takes them over. */
#ifndef BIOS_SMBIOS_H
#define BIOS_SMBIOS_H

#include "base/types.h"

struct smbios_machine {
	unsigned cpus;
	const char *cpu_brand;
	u32 cpu_signature;  /* CPUID leaf 1, EAX */
	u64 ram_below_4g, ram_size;
	u8 uuid[16];        /* all zeros: none set */
};

#define SMBIOS_ANCHOR_SIZE 31
struct smbios_image {
	u8 *data;
	size_t len;
	u8 anchor[SMBIOS_ANCHOR_SIZE]; /* the 32-bit entry point; address and checksums are the firmware's to fill in */
	unsigned structures, longest;
};
void smbios_build(const struct smbios_machine *machine, struct smbios_image *image);
void smbios_free(struct smbios_image *image);

#endif
