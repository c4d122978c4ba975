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

/* Types of system descriptors (S clear). In long mode the 386 ones are the 64-bit ones and all 286 ones but the LDT are gone. */
enum system_type {
	SYS_TSS16 = 1, SYS_LDT = 2, SYS_TSS16_BUSY = 3, SYS_CALL16 = 4, SYS_TASK_GATE = 5, SYS_INT16 = 6, SYS_TRAP16 = 7,
	SYS_TSS = 9, SYS_TSS_BUSY = 11, SYS_CALL = 12, SYS_INT = 14, SYS_TRAP = 15,
};

#define SELECTOR_RPL 3u
#define SELECTOR_TI 4u /* in the LDT */
#define SELECTOR_INDEX 0xfff8u
#define SELECTOR_CODE 0xfffcu /* what goes into error codes */

static inline bool segment_null(u16 selector) { return !(selector & SELECTOR_CODE); }
static inline unsigned segment_dpl(u32 attr) { return attr >> SEG_DPL_SHIFT & 3; }
static inline bool segment_is_code(u32 attr) { return (attr & (SEG_S | SEG_CODE)) == (SEG_S | SEG_CODE); }
static inline bool segment_is_conforming(u32 attr) { return attr & SEG_DC; } /* of a code segment */
/* A system descriptor's type, or 0 (no valid type) for code and data. */
static inline unsigned segment_system_type(u32 attr) { return attr & SEG_S ? 0 : attr & SEG_TYPE; }

/* MOV/POP/LxS to a segment register other than CS, in any mode; SS checks of MOV SS included. Raises #GP/#NP/#SS. */
void segment_load(struct cpu *cpu, enum seg_index index, u16 selector);
/* Bytes of the offset in a far pointer in memory: the operand size, but for AMD's CPUs at most 4. */
unsigned segment_far_size(const struct cpu *cpu, const struct insn *in);
/* Real-mode or V86 semantics: base = selector << 4. mode_update() is the caller's care. */
void segment_load_real(struct cpu *cpu, enum seg_index index, u16 selector);
/* Make a register null. SS keeps its DPL in the attributes: it is the CPL. mode_update() is the caller's care. */
void segment_load_null(struct cpu *cpu, enum seg_index index, u16 selector);
/* Read the descriptor of a non-null selector from GDT or LDT. wide: 16-byte system descriptor. False if outside the limit. */
bool segment_descriptor(struct cpu *cpu, u16 selector, bool wide, struct descriptor *out);
/* The other half of what was read as 8 bytes, the first of which stay as they are: they were looked at. False if outside the limit.
 */
bool segment_descriptor_upper(struct cpu *cpu, u16 selector, struct descriptor *descriptor);
/* The upper half of a 16-byte descriptor must not look like a descriptor itself. */
bool segment_wide_valid(const struct descriptor *descriptor);
/* Set the accessed bit in memory if clear. */
void segment_set_accessed(struct cpu *cpu, struct descriptor *descriptor);
/* Set or clear the busy bit of a TSS descriptor, in memory and in the copy. False: it is no longer what it was (another CPU may
 * have made it busy), and nothing is changed. */
bool segment_set_busy(struct cpu *cpu, struct descriptor *descriptor, bool busy);
void segment_from_descriptor(struct seg *seg, u16 selector, const struct descriptor *descriptor);
/* The descriptor of a non-null selector for SS at privilege cpl. What is wrong with it raises #vector(selector | ext), and
 * #SS(selector | ext) when only the present bit is missing. */
void segment_stack_descriptor(struct cpu *cpu, u16 selector, unsigned cpl, unsigned vector, u32 ext, struct descriptor *out);
/* The descriptor of a non-null selector for DS, ES, FS or GS at cpu->cpl: #vector(selector | ext), #NP(selector | ext). */
void segment_data_descriptor(struct cpu *cpu, u16 selector, unsigned vector, u32 ext, struct descriptor *out);

/* Do the limits of the segment hold all of [offset, offset + size)? */
bool segment_holds(const struct seg *seg, u64 offset, unsigned size);
/* Offset to linear address with all checks of the current mode (limit, type, canonical); raises #GP(0) or #SS(0).
 * write: the access writes. size in bytes. */
u64 segment_linear(struct cpu *cpu, enum seg_index index, u64 offset, unsigned size, bool write);

#endif
