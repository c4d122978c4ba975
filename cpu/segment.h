/* SPDX-License-Identifier: MIT */
/* Segment registers and descriptors. SDM vol. 3A ch. 3 and 5. */
#ifndef CPU_SEGMENT_H
#define CPU_SEGMENT_H

#include "cpu/cpu.h"

/* A descriptor as read from a table (8 bytes; 16 for system descriptors in long mode). */
struct descriptor {
	u64 base;
	u32 limit; /* bytes, inclusive */
	u32 attr;  /* enum seg_attr */
	u64 raw;   /* low 8 bytes: gates take their fields from here */
	u64 raw_high;
	u64 linear; /* where it lies */
};

/* MOV/POP/LxS to a segment register other than CS, in any mode; SS checks of MOV SS included. Raises #GP/#NP/#SS. */
void segment_load(struct cpu *cpu, enum seg_index index, u16 selector);
/* Real-mode or V86 semantics: base = selector << 4. */
void segment_load_real(struct cpu *cpu, enum seg_index index, u16 selector);
/* Read the descriptor of a non-null selector from GDT or LDT. wide: 16-byte system descriptor. False if outside the limit. */
bool segment_descriptor(struct cpu *cpu, u16 selector, bool wide, struct descriptor *out);
/* Set the accessed bit in memory if clear. */
void segment_set_accessed(struct cpu *cpu, struct descriptor *descriptor);
void segment_from_descriptor(struct seg *seg, u16 selector, const struct descriptor *descriptor);

/* Offset to linear address with all checks of the current mode (limit, type, canonical); raises #GP(0) or #SS(0).
 * write: the access writes. size in bytes. */
u64 segment_linear(struct cpu *cpu, enum seg_index index, u64 offset, unsigned size, bool write);

#endif
