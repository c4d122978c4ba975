/* SPDX-License-Identifier: MIT */
/* Results that the manuals leave undefined, by flavour, against vectors: on any host. tests/data/flavour-amd.txt.gz is what an AMD
 * CPU answered; flavour-intel.txt.gz has our own results for the same cases, which the oracle holds against recordings of Intel's.
 *
 * A line is one instruction, its bytes, and the state before and after it (hexadecimal):
 *
 *	i NAME CODE rm RDX RAX RCX flags -> rm RDX RAX flags     or -> #DE; rm is RBX, or memory at RSI; a 16-bit part keeps the rest
 *	x NAME CODE FCW FSW ST0 ST1 -> FSW ST0 ST1               numbers as exponent and significand
 *	s NAME CODE operand -> result                            of the low lane of XMM0, MXCSR 1f80
 *
 * test-flavour --record FLAVOUR FROM TO writes TO with the lines of FROM and our results. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <zlib.h>

#include "cpu/x87.h"
#include "tests/unit/cpu_unit.h"

#define DATA 0x3000u

struct recorded {
	char kind, name[16];
	u8 code[16];
	unsigned len;
	u64 before[6], after[5];
	bool fault;
};

static const char *folder = ".";

static void setup_unit(struct cpu_unit *u, enum cpu_flavour flavour)
{
	cpu_unit_long(u);
	u->cpu->flavour = flavour;
	u->cpu->cr4 |= CR4_OSXMMEXCPT;
	/* no model offers these two yet */
	u->model.features[FEAT_LZCNT / 64] |= BIT(FEAT_LZCNT % 64);
	u->model.features[FEAT_BMI1 / 64] |= BIT(FEAT_BMI1 % 64);
}

/* ---- lines ---- */

static bool parse_code(struct recorded *v, const char *hex)
{
	unsigned byte;

	for (v->len = 0; v->len < sizeof v->code && sscanf(hex + 2 * v->len, "%2x", &byte) == 1; v->len++)
		v->code[v->len] = byte;
	return v->len && !hex[2 * v->len];
}

static unsigned fields_before(char kind) { return kind == 'i' ? 5 : kind == 'x' ? 6 : 1; }
static unsigned fields_after(char kind) { return kind == 'i' ? 4 : kind == 'x' ? 5 : 1; }

static bool parse(struct recorded *v, const char *line)
{
	char code[40];
	int at = 0, n;

	*v = (struct recorded){0};
	if (sscanf(line, "%c %15s %39s%n", &v->kind, v->name, code, &at) != 3 || !strchr("ixs", v->kind) || !parse_code(v, code))
		return false;
	for (unsigned i = 0; i < fields_before(v->kind); i++, at += n)
		if (sscanf(line + at, "%" SCNx64 "%n", &v->before[i], &n) != 1)
			return false;
	if (strncmp(line + at, " -> ", 4))
		return false;
	at += 4;
	v->fault = !strncmp(line + at, "#DE", 3);
	for (unsigned i = 0; i < fields_after(v->kind) && !v->fault; i++, at += n)
		if (sscanf(line + at, "%" SCNx64 "%n", &v->after[i], &n) != 1)
			return false;
	return true;
}

static void print(FILE *to, const struct recorded *v)
{
	fprintf(to, "%c %s ", v->kind, v->name);
	for (unsigned i = 0; i < v->len; i++)
		fprintf(to, "%02x", v->code[i]);
	for (unsigned i = 0; i < fields_before(v->kind); i++)
		fprintf(to, " %" PRIx64, v->before[i]);
	fprintf(to, " ->%s", v->fault ? " #DE" : "");
	for (unsigned i = 0; i < fields_after(v->kind) && !v->fault; i++)
		fprintf(to, " %" PRIx64, v->after[i]);
	fprintf(to, "\n");
}

/* ---- ours ---- */

static void run_integer(struct cpu_unit *u, struct recorded *v)
{
	struct cpu *cpu = u->cpu;

	cpu->gpr[RSI] = DATA;
	cpu->gpr[RBX] = v->before[0];
	cpu->gpr[RDX] = v->before[1];
	cpu->gpr[RAX] = v->before[2];
	cpu->gpr[RCX] = v->before[3];
	store64(u->ram->hva + DATA, v->before[0]);
	flags_set(cpu, FLAG_1 | v->before[4]);
	int vector = cpu_unit_run(u, (const char *)v->code, v->len);
	v->fault = vector == EXC_DE;
	if (!v->fault)
		assert_int_equal(vector, -1);
	/* one of the two is not an operand, and as it was */
	v->after[0] = load64(u->ram->hva + DATA) == v->before[0] ? cpu->gpr[RBX] : load64(u->ram->hva + DATA);
	v->after[1] = cpu->gpr[RDX];
	v->after[2] = cpu->gpr[RAX];
	v->after[3] = flags_get(cpu) & FLAGS_ARITH;
	if (v->fault)
		assert_int_equal(v->after[3], v->before[4]);
}

static void run_x87(struct cpu_unit *u, struct recorded *v)
{
	struct x87 *x = &u->cpu->x87;
	bool pushes = !strcmp(v->name, "fxtract") || !strcmp(v->name, "fptan") || !strcmp(v->name, "fsincos");

	memset(x, 0, sizeof *x);
	x->fcw = v->before[0];
	x->fsw = v->before[1];
	x->valid = pushes ? 3 : 0xff;
	for (unsigned i = 0; i < 2; i++)
		x->r[i] = (struct f80){.se = v->before[2 + 2 * i], .mant = v->before[3 + 2 * i]};
	assert_int_equal(cpu_unit_run(u, (const char *)v->code, v->len), -1);
	v->after[0] = x->fsw;
	for (unsigned i = 0; i < 2; i++) {
		v->after[1 + 2 * i] = x->r[(x87_top(u->cpu) + i) & 7].se;
		v->after[2 + 2 * i] = x->r[(x87_top(u->cpu) + i) & 7].mant;
	}
}

static void run_sse(struct cpu_unit *u, struct recorded *v)
{
	u->cpu->mxcsr = 0x1f80;
	u->cpu->v[0].q[0] = v->before[0];
	assert_int_equal(cpu_unit_run(u, (const char *)v->code, v->len), -1);
	assert_int_equal(u->cpu->mxcsr, 0x1f80);
	v->after[0] = u->cpu->v[0].d[0];
}

static void run_vector(struct cpu_unit *u, struct recorded *v)
{
	(v->kind == 'i' ? run_integer : v->kind == 'x' ? run_x87 : run_sse)(u, v);
}

/* ---- comparison ---- */

/* A transcendental result may differ in its last place, then C1 too, and at the edge of the exponents whether it is beyond. */
static bool approximate(const struct recorded *v)
{
	static const char *const names[] = {"fsin", "fcos", "fsincos", "fptan", "fpatan", "f2xm1", "fyl2x", "fyl2xp1"};

	for (unsigned i = 0; i < ARRAY_LEN(names); i++)
		if (!strcmp(v->name, names[i]))
			return true;
	return false;
}

static bool near(const u64 *a, const u64 *b)
{
	u128 x = (u128)a[0] << 63 | (a[1] & ~BIT(63)), y = (u128)b[0] << 63 | (b[1] & ~BIT(63));

	return (x > y ? x - y : y - x) <= 1;
}

static bool same(const struct recorded *a, const struct recorded *b)
{
	if (a->fault || b->fault)
		return a->fault == b->fault;
	if (a->kind != 'x' || !approximate(a))
		return !memcmp(a->after, b->after, sizeof a->after);
	u64 ignored = FSW_C1 | (((a->after[1] + 1) & 0x7ffe) ? 0 : FSW_UE | FSW_OE);
	return !((a->after[0] ^ b->after[0]) & ~ignored) && near(&a->after[1], &b->after[1]) && near(&a->after[3], &b->after[3]);
}

static void compare(enum cpu_flavour flavour)
{
	struct cpu_unit *u = cpu_unit_new("max");
	char path[4096], line[400];
	unsigned count = 0, bad = 0;

	setup_unit(u, flavour);
	snprintf(path, sizeof path, "%s/flavour-%s.txt.gz", folder, flavour_names[flavour]);
	gzFile from = gzopen(path, "r");
	if (!from)
		fail_msg("%s cannot be read", path);
	while (gzgets(from, line, sizeof line)) {
		struct recorded want, got;
		if (*line == '#')
			continue;
		if (!parse(&want, line))
			fail_msg("not understood: %s", line);
		got = want;
		run_vector(u, &got);
		count++;
		if (!same(&got, &want) && bad++ < 10) {
			printf("expected %s     got ", line);
			print(stdout, &got);
		}
	}
	gzclose(from);
	cpu_unit_free(u);
	assert_int_equal(bad, 0);
	assert_true(count > 5000);
}

static void intel(void **state)
{
	(void)state;
	compare(FLAVOUR_INTEL);
}

static void amd(void **state)
{
	(void)state;
	compare(FLAVOUR_AMD);
}

/* The two must not be the same by mistake. */
static void apart(void **state)
{
	(void)state;
	for (unsigned flavour = FLAVOUR_INTEL; flavour <= FLAVOUR_AMD; flavour++) {
		struct cpu_unit *u = cpu_unit_new("max");
		struct recorded v;
		assert_true(parse(&v, "i shl c1e304 1 0 0 0 0 -> 10 0 0 0"));
		setup_unit(u, flavour);
		run_vector(u, &v);
		assert_int_equal(v.after[3], flavour == FLAVOUR_AMD ? FLAG_AF : 0);
		cpu_unit_free(u);
	}
}

/* ---- what is no vector: the order of checks, NaNs, environments ---- */

static void with_st0(struct cpu *cpu, u16 fcw, u64 se, u64 mant)
{
	memset(&cpu->x87, 0, sizeof cpu->x87);
	cpu->x87.fcw = fcw;
	cpu->x87.valid = 0xff;
	cpu->x87.r[0] = (struct f80){.se = se, .mant = mant};
}

/* A store that an unmasked exception stops: AMD's CPUs look at the destination first. */
static void stopped_stores(void **state)
{
	static const char stores[][4] = {"\xd9\x1e", "\xdd\x1e", "\xdb\x1e", "\xdf\x1e", "\xdf\x36"}; /* FSTP, FISTP, FBSTP */
	static const char fstp80[] = "\xdb\x3e";

	(void)state;
	for (unsigned flavour = FLAVOUR_INTEL; flavour <= FLAVOUR_AMD; flavour++) {
		struct cpu_unit *u = cpu_unit_new("max");
		struct cpu *cpu = u->cpu;
		setup_unit(u, flavour);
		for (unsigned i = 0; i < ARRAY_LEN(stores); i++) {
			cpu->gpr[RSI] = 1ull << 30; /* not mapped */
			with_st0(cpu, 0x340, 0x7000, BIT(63)); /* beyond every format */
			assert_int_equal(cpu_unit_run(u, stores[i], 2), flavour == FLAVOUR_AMD ? EXC_PF : -1);
			assert_int_equal(cpu->x87.fsw & FSW_ES, flavour == FLAVOUR_AMD ? 0 : FSW_ES);
			cpu->gpr[RSI] = DATA;
			with_st0(cpu, 0x340, 0x7000, BIT(63));
			store64(u->ram->hva + DATA, 0x5555);
			assert_int_equal(cpu_unit_run(u, stores[i], 2), -1);
			assert_int_equal(cpu->x87.fsw & FSW_ES, FSW_ES);
			assert_int_equal(load64(u->ram->hva + DATA), 0x5555);
		}
		cpu->gpr[RSI] = 1ull << 30;
		with_st0(cpu, 0x340, 0, 0);
		cpu->x87.valid = 0; /* an empty register */
		assert_int_equal(cpu_unit_run(u, fstp80, 2), flavour == FLAVOUR_AMD ? EXC_PF : -1);
		cpu_unit_free(u);
	}
}

/* A misaligned area off the canonical stack: #GP comes first, or #SS. */
static void misaligned_area(void **state)
{
	(void)state;
	for (unsigned flavour = FLAVOUR_INTEL; flavour <= FLAVOUR_AMD; flavour++) {
		struct cpu_unit *u = cpu_unit_new("max");
		setup_unit(u, flavour);
		u->cpu->gpr[RBP] = BIT(62) + 8;
		assert_int_equal(RUN(u, "\x0f\xae\x65\x00"), flavour == FLAVOUR_AMD ? EXC_GP : EXC_SS); /* xsave */
		assert_int_equal(RUN(u, "\x0f\xae\x6d\x00"), flavour == FLAVOUR_AMD ? EXC_GP : EXC_SS); /* xrstor */
		u->cpu->gpr[RBP] = BIT(62);
		RUN_FAULT(u, "\x0f\xae\x65\x00", EXC_SS);
		cpu_unit_free(u);
	}
}

/* Of two NaNs the first operand's goes on: which one that is tells how the sums of a dot product are made. */
static void dot_products(void **state)
{
	const u32 one = 0x3f800000, nan = 0x7fc00000;

	(void)state;
	for (unsigned flavour = FLAVOUR_INTEL; flavour <= FLAVOUR_AMD; flavour++) {
		struct cpu_unit *u = cpu_unit_new("max");
		union vreg *v = u->cpu->v;
		setup_unit(u, flavour);
		u->cpu->mxcsr = 0x1f80;
		for (unsigned i = 0; i < 4; i++) {
			v[0].d[i] = nan | (i + 1);
			v[1].d[i] = one;
		}
		RUN_OK(u, "\x66\x0f\x3a\x40\xc1\xff"); /* dpps xmm0, xmm1, ff */
		static const u32 first[][4] = {{2, 1, 4, 3}, {1, 1, 1, 1}};
		for (unsigned i = 0; i < 4; i++)
			assert_int_equal(v[0].d[i], nan | first[flavour == FLAVOUR_AMD][i]);
		cpu_unit_free(u);
	}
}

/* FLDENV takes the selectors, or they are deprecated; CPUID says which. */
static void selectors(void **state)
{
	static const u32 image[7] = {0x37f, 0, 0xffff, 0x11223344, 0x01235566, 0x778899aa, 0xbbccddee};

	(void)state;
	for (unsigned flavour = FLAVOUR_INTEL; flavour <= FLAVOUR_AMD; flavour++) {
		struct cpu_unit *u = cpu_unit_new("max");
		setup_unit(u, flavour);
		u->cpu->gpr[RSI] = DATA;
		memcpy(u->ram->hva + DATA, image, sizeof image);
		RUN_OK(u, "\xd9\x26"); /* fldenv */
		assert_int_equal(u->cpu->x87.fcs, flavour == FLAVOUR_AMD ? 0x5566 : 0);
		assert_int_equal(u->cpu->x87.fds, flavour == FLAVOUR_AMD ? 0xddee : 0);
		assert_int_equal(u->cpu->x87.fop, 0x123);
		assert_int_equal(model_cpuid(u->cpu, 7, 0).ebx & (BIT(6) | BIT(13)), flavour == FLAVOUR_AMD ? 0 : BIT(6) | BIT(13));
		cpu_unit_free(u);
	}
}

static int record(const char *flavour, const char *from_path, const char *to_path)
{
	struct cpu_unit *u = cpu_unit_new("max");
	gzFile from = gzopen(from_path, "r");
	FILE *to = fopen(to_path, "w");
	char line[400];

	if (!from || !to)
		return 2;
	setup_unit(u, !strcmp(flavour, "amd") ? FLAVOUR_AMD : FLAVOUR_INTEL);
	fprintf(to, "# Our own results of flavour %s; tests/unit/test_flavour.c has the format.\n", flavour);
	while (gzgets(from, line, sizeof line)) {
		struct recorded v;
		if (*line == '#' || !parse(&v, line))
			continue;
		run_vector(u, &v);
		print(to, &v);
	}
	gzclose(from);
	cpu_unit_free(u);
	return fclose(to) != 0;
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(intel), cmocka_unit_test(amd), cmocka_unit_test(apart),
	                                   cmocka_unit_test(stopped_stores), cmocka_unit_test(misaligned_area),
	                                   cmocka_unit_test(dot_products), cmocka_unit_test(selectors)};

	if (argc == 5 && !strcmp(argv[1], "--record"))
		return record(argv[2], argv[3], argv[4]);
	if (argc > 1)
		folder = argv[1];
	return cmocka_run_group_tests(tests, NULL, NULL);
}
