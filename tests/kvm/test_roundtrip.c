/* SPDX-License-Identifier: MIT */
/* Random legal CPU states go into KVM and come out again, and are compared field by field. What comes out otherwise is in the table
 * below, with the reason; anything else fails. Nothing runs in between.
 * usage: test-roundtrip [ROUNDS [SEED]] */
#include <fnmatch.h>
#include <stdio.h>
#include <stdlib.h>

#include "cpu/control.h"
#include "cpu/kvm_private.h"
#include "cpu/mode.h"
#include "cpu/x87.h"
#include "cpu/xsave.h"
#include "mem/ram.h"

#define SKIP 77
#define RAM_SIZE (4u << 20)

static u64 seed = 1;

static u64 any(void)
{
	seed ^= seed << 13;
	seed ^= seed >> 7;
	seed ^= seed << 17;
	return seed * 0x2545f4914f6cdd1d;
}
static u64 below(u64 n) { return (any() >> 11) % n; }
static bool coin(void) { return any() >> 63; }
static u64 canonical(void) { return (u64)((i64)(any() << 16) >> 16); }

/* ---- differences that are KVM's ---- */

/* The state went in as `in` and came out as `out`, at the same place of both. */
typedef bool accept_fn(const struct cpu *cpu, const void *in, const void *out);

static const struct seg *segment_at(const void *attr)
{
	return (const struct seg *)((const char *)attr - offsetof(struct seg, attr));
}

/* "unusable" is the only thing that counts. */
static bool unusable(const struct cpu *cpu, const void *in, const void *out)
{
	(void)cpu, (void)out;
	return (segment_at(in)->attr & SEG_UNUSABLE) && (segment_at(out)->attr & SEG_UNUSABLE);
}

static struct kvm_report report;

static bool time_goes_on(const struct cpu *cpu, const void *in, const void *out)
{
	u64 a_minute = 60 * cpu->tsc_hz;

	return load64(out) - load64(in) + a_minute < 2 * a_minute;
}

static bool one_shadow(const struct cpu *cpu, const void *in, const void *out)
{
	(void)cpu;
	return *(const u8 *)in == SHADOW_STI && *(const u8 *)out == SHADOW_MOV_SS;
}

static bool tsc_of_host(const struct cpu *cpu, const void *in, const void *out)
{
	(void)cpu, (void)in, (void)out;
	return !report.tsc_moves;
}

static bool no_paging(const struct cpu *cpu, const void *in, const void *out)
{
	return !report.paging32 && !(cpu->efer & EFER_LMA) && (load64(in) ^ load64(out)) == CR0_PG;
}

static bool no_pdptes(const struct cpu *cpu, const void *in, const void *out)
{
	(void)in, (void)out;
	return !report.paging32 && !(cpu->efer & EFER_LMA);
}

static bool no_v86(const struct cpu *cpu, const void *in, const void *out)
{
	(void)cpu;
	return !report.v86 && (load64(in) ^ load64(out)) == FLAG_VM;
}

/* KVM holds the limit in the form that the hardware wants: with G where it needs one. */
static bool granularity(const struct cpu *cpu, const void *in, const void *out)
{
	const struct seg *a = segment_at(in), *b = segment_at(out);

	(void)cpu;
	return (a->attr ^ b->attr) == SEG_G && a->limit == b->limit && (a->limit & 0xfff) == 0xfff && a->limit <= 0xfffff;
}

static const struct {
	const char *field;
	accept_fn *accept;
	const char *reason;
} differences[] = {
	{"*seg[[]*].attr", unusable, "of an unusable segment KVM keeps what the host's CPU keeps"},
	{"ldtr.attr", unusable, "of an unusable segment KVM keeps what the host's CPU keeps"},
	{"*.attr", granularity, "a limit that both forms can express loses or gains G"},
	{"tsc_offset", time_goes_on, "KVM counts on from when it takes the TSC, not from when it was read"},
	{"shadow", one_shadow, "AMD's CPUs have one interrupt shadow for both reasons"},
	{"tsc_offset", tsc_of_host, "this KVM shows guests the host's TSC"},
	{"cr0", no_paging, "this KVM has no paging outside of 64-bit mode: the engine does not hand it such a state"},
	{"pdpte*", no_pdptes, "this KVM has no paging outside of 64-bit mode"},
	{"rflags", no_v86, "this KVM has no virtual 8086 mode: the engine does not hand it such a state"},
};
static unsigned long seen[ARRAY_LEN(differences)];

static bool excused(const struct cpu *cpu, const char *path, const void *in, const void *out)
{
	for (unsigned i = 0; i < ARRAY_LEN(differences); i++)
		if (fnmatch(differences[i].field, path, 0) == 0 && differences[i].accept(cpu, in, out)) {
			seen[i]++;
			return true;
		}
	return false;
}

/* ---- comparison ---- */

static unsigned failures, round_number;

static void print_bytes(const u8 *p, unsigned size)
{
	for (unsigned i = size; i--;)
		printf("%02x", p[i]);
}

static void compare(const struct cpu *cpu, const struct field *table, const void *in, const void *out, const char *prefix)
{
	for (const struct field *f = table; f->name; f++)
		for (u32 i = 0; i < f->count; i++) {
			const u8 *a = (const u8 *)in + f->offset + i * f->size, *b = (const u8 *)out + f->offset + i * f->size;
			char path[128], index[16] = "";
			if (f->count > 1)
				snprintf(index, sizeof index, "[%u]", i);
			snprintf(path, sizeof path, "%s%s%s%s", prefix, *prefix ? "." : "", f->name, index);
			if (!memcmp(a, b, f->size))
				continue;
			if (f->sub) {
				compare(cpu, f->sub, a, b, path);
			} else if (!excused(cpu, path, a, b) && failures++ < 40) {
				printf("round %u: %s: ", round_number, path);
				print_bytes(a, f->size);
				printf(" came out as ");
				print_bytes(b, f->size);
				printf("\n");
			}
		}
}

/* ---- random states ---- */

enum mode { REAL, V86, PROTECTED, PAGED, PAE, LONG_KERNEL, LONG_USER, COMPATIBILITY, MODES };
static const char *const mode_names[] = {"real", "virtual 8086", "protected", "32-bit paging", "PAE paging", "64-bit kernel",
                                         "64-bit user", "compatibility"};

static bool is_long(enum mode mode) { return mode >= LONG_KERNEL; }

static void random_segment(struct seg *s, enum mode mode, unsigned index, unsigned cpl)
{
	bool code = index == SEG_CS;

	*s = (struct seg){0};
	if (mode == REAL || mode == V86) {
		s->selector = any();
		s->base = (u64)s->selector << 4;
		s->limit = 0xffff;
		s->attr = SEG_P | SEG_S | SEG_RW | SEG_ACCESSED | (mode == V86 ? SEG_DPL : 0);
		return;
	}
	if (!code && index != SEG_SS && below(4) == 0) {
		s->selector = below(4);
		s->attr = SEG_UNUSABLE;
		s->base = is_long(mode) && (index == SEG_FS || index == SEG_GS) ? canonical() : 0;
		return;
	}
	s->selector = (any() & 0xfffc) | 4 | cpl;
	s->attr = SEG_P | SEG_S | SEG_ACCESSED | SEG_RW | cpl << SEG_DPL_SHIFT | (code ? SEG_CODE : 0) | (coin() ? SEG_AVL : 0);
	if (code && (mode == LONG_KERNEL || mode == LONG_USER))
		s->attr |= SEG_L;
	else if (coin())
		s->attr |= SEG_DB;
	if (coin()) {
		s->attr |= SEG_G;
		s->limit = (u32)any() | 0xfff;
	} else {
		s->limit = any() & 0xfffff;
	}
	s->base = (u32)any();
	if (is_long(mode) && (index == SEG_FS || index == SEG_GS))
		s->base = canonical();
	else if (is_long(mode) && mode != COMPATIBILITY)
		s->base = 0;
}

static void random_system(struct cpu *cpu, enum mode mode, unsigned cpl)
{
	u64 free4 = control_cr4_bits(cpu) & ~(CR4_PAE | CR4_PCIDE | CR4_OSXSAVE | CR4_VME | CR4_PVI);

	cpu->cr0 = CR0_ET | (any() & (CR0_MP | CR0_EM | CR0_TS | CR0_NE | CR0_WP | CR0_AM)) | (mode != REAL ? CR0_PE : 0);
	if (mode >= PAGED || (mode == V86 && coin()))
		cpu->cr0 |= CR0_PG;
	cpu->cr4 = any() & free4;
	cpu->efer = (any() & EFER_NXE) | (cpu_has(cpu, FEAT_SYSCALL) ? any() & EFER_SCE : 0);
	if (mode >= PAE)
		cpu->cr4 |= CR4_PAE;
	if (is_long(mode)) {
		cpu->efer |= EFER_LME | EFER_LMA;
		if (cpu_has(cpu, FEAT_PCID) && coin())
			cpu->cr4 |= CR4_PCIDE;
	}
	if (cpu_has(cpu, FEAT_XSAVE) && coin())
		cpu->cr4 |= CR4_OSXSAVE;
	cpu->cr2 = canonical();
	cpu->cr3 = below(RAM_SIZE / PAGE_SIZE) * PAGE_SIZE | (any() & 0x18);
	for (unsigned i = 0; mode == PAE && i < 4; i++)
		cpu->pdpte[i] = below(RAM_SIZE / PAGE_SIZE) * PAGE_SIZE | (any() & 0x19);
	cpu->gdtr = (struct table_reg){.base = is_long(mode) ? canonical() : (u32)any(), .limit = any()};
	cpu->idtr = (struct table_reg){.base = is_long(mode) ? canonical() : (u32)any(), .limit = any()};
	cpu->tr = (struct seg){.selector = (any() & 0xfff8) | 8, .base = is_long(mode) ? canonical() : (u32)any(),
	                       .limit = 0x67 + below(0x2000),
	                       .attr = SEG_P | (mode != REAL && mode != V86 && !is_long(mode) && coin() ? 3 : 11)};
	if (coin())
		cpu->ldtr = (struct seg){.selector = (any() & 0xfff8) | 8, .base = is_long(mode) ? canonical() : (u32)any(),
		                         .limit = below(0x10000), .attr = SEG_P | 2};
	else
		cpu->ldtr = (struct seg){.attr = SEG_UNUSABLE};
	for (unsigned i = 0; i < SEG_COUNT; i++)
		random_segment(&cpu->seg[i], mode, i, cpl);
	cpu->cpl = cpl;
}

static void random_msrs(struct cpu *cpu)
{
	static const u8 types[] = {0, 1, 4, 5, 6, 7};

	cpu->star = any();
	cpu->lstar = canonical();
	cpu->cstar = canonical();
	cpu->fmask = (u32)any();
	cpu->kernel_gs_base = canonical();
	cpu->sysenter_cs = (u32)any();
	cpu->sysenter_esp = canonical();
	cpu->sysenter_eip = canonical();
	cpu->tsc_aux = cpu_has(cpu, FEAT_RDTSCP) ? (u32)any() : 0;
	cpu->tsc_adjust = any() >> 20;
	cpu->tsc_offset = any() >> 16;
	cpu->pat = 0;
	for (unsigned i = 0; i < 8; i++)
		cpu->pat |= (u64)types[below(ARRAY_LEN(types))] << i * 8;
}

static void random_fpu(struct cpu *cpu)
{
	struct x87 *x = &cpu->x87;

	x->fcw = (any() & 0x1f3f) | 0x40;
	x->fsw = any() & 0x7f7f;
	if (x->fsw & ~x->fcw & 0x3f)
		x->fsw |= 0x8080;
	x->valid = any();
	x->fop = any() & 0x7ff;
	x->fip = canonical();
	x->fdp = canonical();
	x->fcs = x->fds = 0;
	for (unsigned i = 0; i < 8; i++)
		x->r[i] = (struct f80){.mant = any(), .se = any()};
	cpu->mxcsr = any() & 0xffff;
	for (unsigned i = 0; i < 16; i++) {
		cpu->v[i] = (union vreg){.q = {any(), any()}};
		if (cpu_has(cpu, FEAT_AVX) && coin())
			cpu->v[i].q[2] = any(), cpu->v[i].q[3] = any();
	}
	cpu->xcr0 = cpu_has(cpu, FEAT_XSAVE) && coin() ? xsave_supported(cpu) : XSAVE_X87;
}

static void random_state(struct cpu *cpu, enum mode mode)
{
	unsigned cpl = mode == REAL || mode == LONG_KERNEL ? 0 : mode == V86 || mode == LONG_USER ? 3 : coin() ? 3 : 0;
	u64 flags = FLAG_1 | (any() & (FLAGS_ARITH | FLAG_TF | FLAG_IF | FLAG_DF | FLAG_IOPL | FLAG_NT | FLAG_RF | FLAG_AC | FLAG_ID));

	cpu_reset(cpu, false);
	random_system(cpu, mode, cpl);
	random_msrs(cpu);
	random_fpu(cpu);
	for (unsigned i = 0; i < 16; i++)
		cpu->gpr[i] = any();
	cpu->rip = mode == REAL || mode == V86 ? any() & 0xffff : is_long(mode) && mode != COMPATIBILITY ? canonical() : (u32)any();
	cpu->rflags = flags | (mode == V86 ? FLAG_VM : 0);
	cpu->cc_op = 0;
	for (unsigned i = 0; i < 4; i++)
		cpu->dr[i] = canonical();
	cpu->dr[6] = 0xffff0ff0 | (any() & 0xe00f);
	cpu->dr[7] = 0x400 | (any() & 0xffff23ff);
	cpu->shadow = below(3);
	if (cpu->shadow == SHADOW_STI && !(flags & FLAG_IF))
		cpu->shadow = SHADOW_NONE;
	cpu->nmi_blocked = coin();
	cpu->activity = CPU_RUNNING;
	cpu_state_changed(cpu);
}

/* ---- the test ---- */

int main(int argc, char **argv)
{
	unsigned rounds = argc > 1 ? strtoul(argv[1], NULL, 0) : 1000;
	struct cpu_model model;
	struct err err = {0};
	char text[640];

	if (argc > 2)
		seed = strtoull(argv[2], NULL, 0) * 0x9e3779b97f4a7c15 + 1;
	kvm_probe(&report);
	if (report.found != KVM_THERE) {
		kvm_explain(&report, text, sizeof text);
		printf("skipped: %s\n", text);
		return SKIP;
	}
	struct bus bus;
	struct clock *host_clock = clock_new();
	bus_init(&bus, NULL);
	struct ram *ram = ram_new("ram", RAM_SIZE, false, false, &err);
	struct region region = {.name = "ram", .size = RAM_SIZE, .ram = ram};
	bus_map(&bus, &region, 0, 0);
	model_parse(&model, "max", &err);
	kvm_limit_model(&model, true, text, sizeof text);
	struct cpu *cpu = cpu_new(&model, &bus, host_clock, 0, 1), *in = err_alloc(sizeof *in);
	cpu->tsc_hz = report.tsc_hz ? report.tsc_hz : cpu->tsc_hz;
	clock_start(host_clock);
	if (!kvm_engine.prepare(cpu, &err)) {
		printf("%s\n", err.text);
		return 1;
	}
	for (round_number = 0; round_number < rounds && failures < 40; round_number++) {
		enum mode mode = round_number % MODES;
		random_state(cpu, mode);
		memcpy(in, cpu, sizeof *in);
		if (!kvm_state_push(cpu->kvm)) {
			printf("round %u, %s: %s\n", round_number, mode_names[mode], cpu->kvm->why);
			failures++;
			continue;
		}
		random_state(cpu, (enum mode)below(MODES)); /* nothing of what went in is left here */
		cpu->instructions = in->instructions;
		if (mode != PAE) /* they exist in that mode only */
			memcpy(cpu->pdpte, in->pdpte, sizeof in->pdpte);
		if (!kvm_state_pull(cpu->kvm)) {
			printf("round %u, %s: %s\n", round_number, mode_names[mode], cpu->kvm->why);
			failures++;
			continue;
		}
		cpu_state_sync(cpu);
		unsigned before = failures;
		compare(cpu, cpu_fields, in, cpu, "");
		if (failures != before)
			printf("  (%s)\n", mode_names[mode]);
	}
	printf("%u states of %u modes went through KVM; differences that are KVM's:\n", round_number, MODES);
	for (unsigned i = 0; i < ARRAY_LEN(differences); i++)
		printf("%8lu x %-16s %s\n", seen[i], differences[i].field, differences[i].reason);
	free(in);
	cpu_free(cpu);
	clock_free(host_clock);
	bus_free(&bus);
	ram_free(ram);
	return failures ? 1 : 0;
}
