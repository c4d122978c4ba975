/* SPDX-License-Identifier: MIT */
/* The oracle's program: every form, many tests each, on the host CPU and on ours; see README.md. */
#include "tests/oracle/oracle.h"

#include <getopt.h>
#include <inttypes.h>
#include <stdlib.h>
#include <strings.h>
#include <sys/auxv.h>
#include <time.h>

#include <asm/hwcap2.h>

#include "base/err.h"

#define PER_INSTANCE 4 /* tests that share their bytes */
#define ROUND 8        /* tests of a form before the next form has its turn */

static struct {
	u64 seed, cases, form, only_case;
	double seconds;
	const char *only, *report, *record, *recorded;
	unsigned modes, lines, vectors;
	bool one_case, selftest, verbose, no_fsgsbase, no_compat;
} options = {.seed = 1, .modes = 7, .lines = 2, .vectors = 4};

static struct host_abilities host;
static struct forms *forms;
static struct {
	u64 tests, comparisons, skipped, faults, failures, noise;
} total;
static struct reserved reserved;
static struct recorded recorded;
static unsigned outside, outside_failures;
static struct vectors *recording;

static double now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec + ts.tv_nsec / 1e9;
}

/* ---- one test ---- */

static bool make_test(struct iform *f, u64 n, struct test *t, bool plain)
{
	struct rng bytes = rng_from(options.seed, f->key, ~(n / PER_INSTANCE)), state = rng_from(options.seed, f->key, n);

	if (!build_instance(&bytes, f, &t->in))
		return false;
	return gen_state(&state, t, plain);
}

static void complain(struct iform *f, u64 n, const struct test *t, const struct report_text *why)
{
	static struct report_text text;

	compare_describe(t, &text);
	printf("DIFFERS %s: host%s != ours | %s | tests/oracle/oracle --seed %" PRIu64 " --form %016" PRIx64 " --case %" PRIu64 "\n",
	       f->name, why->text, text.text, options.seed, f->key, n);
}

/* Something happened to the process in the middle of a test, if it comes out otherwise when repeated. A switch to another process
 * and back, for one, costs an AMD CPU the x87's pointers. */
static bool repeats(const struct test *t, const struct tolerance *tol, const struct outcome *ref)
{
	static struct outcome again;
	static u8 memory[ARENA_WRITABLE];
	static struct report_text why;

	memcpy(memory, host_arena(), ARENA_WRITABLE);
	for (unsigned i = 0; i < 8; i++) {
		oracle_prepare(t, host_arena());
		host_run(t, &again);
		if (!compare_outcomes(t, tol, ref, memory, &again, host_arena(), &why))
			return false;
	}
	return true;
}

/* Run and compare test n of the form; the instance's code is loaded if fresh. */
static void run_test(struct iform *f, u64 n, bool fresh)
{
	static struct test t;
	static struct outcome ref, got;
	static struct report_text why;
	struct tolerance tol;

	if (!make_test(f, n, &t, recording != NULL) || !host_runs(&host, &t.in))
		return;
	if (fresh) {
		host_load(&t.in);
		guest_load(&t.in);
	}
	oracle_prepare(&t, host_arena());
	oracle_prepare(&t, guest_arena());
	if (options.verbose) {
		compare_describe(&t, &why);
		puts(why.text);
		fflush(stdout);
	}
	host_run(&t, &ref);
	if (ref.vector == HOST_STUCK) {
		compare_describe(&t, &why);
		printf("set aside, because the host comes to no end with it: %s\n", why.text);
		total.noise++;
		return;
	}
	if (recording)
		vectors_add(recording, &t, &ref, host_arena());
	guest_run(&t, &got);
	undef_tolerance(&t, &ref, host.vendor, &tol);
	total.tests++;
	if (tol.skip) {
		total.skipped++;
		return;
	}
	f->cases++;
	total.comparisons++;
	if (ref.vector != NO_FAULT) {
		f->faults++;
		total.faults++;
	}
	if (!compare_outcomes(&t, &tol, &ref, host_arena(), &got, guest_arena(), &why)) {
		if (!repeats(&t, &tol, &ref)) {
			total.noise++;
			return;
		}
		total.failures++;
		if (f->failures++ < options.lines)
			complain(f, n, &t, &why);
	}
}

/* ---- which forms ---- */

static void exclude_what_the_host_lacks(void)
{
	for (unsigned i = 0; i < forms->count; i++) {
		struct iform *f = &forms->form[i];
		const char *reason = NULL;
		if (f->class != CLASS_RUN && f->class != CLASS_FAULTS)
			continue;
		if (f->mode != M64 && !host.compat)
			reason = host.code32 ? "this host's kernel has no modify_ldt()" : "this host's kernel has no 32-bit code segment";
		else if (!host_has(&host, f->z.meta.isa_set))
			reason = "this host's CPU does not have it, or its kernel not for user code";
		if (reason) {
			f->class = CLASS_EXCLUDED;
			f->reason = reason;
		}
	}
}

static bool chosen(const struct iform *f)
{
	if (f->class != CLASS_RUN && f->class != CLASS_FAULTS)
		return false;
	if (options.form)
		return f->key == options.form;
	return !options.only || !strcasecmp(options.only, ZydisMnemonicGetString(f->z.mnemonic));
}

static void run_all(void)
{
	double start = now();
	u64 per_form = options.cases ? options.cases : ~0ull;

	if (options.one_case) {
		for (unsigned i = 0; i < forms->count; i++)
			if (chosen(&forms->form[i]))
				run_test(&forms->form[i], options.only_case, true);
		return;
	}
	for (u64 first = 0; first < per_form; first += ROUND) {
		for (unsigned i = 0; i < forms->count; i++) {
			struct iform *f = &forms->form[i];
			if (!chosen(f))
				continue;
			/* 16-bit code is the same functions behind another decoder: fewer; privileged ones only fault */
			u64 step = f->mode == M16 || f->class == CLASS_FAULTS ? 4 : 1;
			if (first / ROUND % step)
				continue;
			/* the first round goes on until something could be compared */
			u64 more = first ? 0 : 64 * ROUND;
			for (u64 n = first; n < per_form && (n < first + ROUND || (!f->cases && n < more)); n++)
				run_test(f, n, n % PER_INSTANCE == 0);
			if (options.seconds > 0 && first && now() - start > options.seconds)
				return;
		}
	}
}

static void record(void)
{
	recording = vectors_new();
	for (unsigned i = 0; i < forms->count; i++) {
		struct iform *f = &forms->form[i];
		unsigned n = f->class == CLASS_FAULTS ? 1 : f->mode == M64 ? options.vectors : (options.vectors + 1) / 2;
		for (unsigned k = 0; chosen(f) && k < n; k++)
			run_test(f, k * PER_INSTANCE, true);
	}
	if (!vectors_write(recording, options.record, host.vendor, host.name)) {
		fprintf(stderr, "oracle: cannot write %s\n", options.record);
		exit(EXIT_FILE);
	}
	printf("recorded %u tests, %zu bytes\n", vectors_count(recording), vectors_bytes(recording));
	vectors_free(recording);
}

/* ---- what the host cannot run ---- */

static bool beyond_the_host(const struct instance *in, void *opaque)
{
	(void)opaque;
	return (options.modes >> in->mode & 1) && !host_runs(&host, in);
}

static void compare_recorded(void)
{
	char path[4096];

	snprintf(path, sizeof path, "%s/oracle.%s.vectors", options.recorded, host.vendor == VENDOR_AMD ? "amd" : "intel");
	guest_like(NULL);
	if (!recorded_compare(path, beyond_the_host, NULL, &recorded) || recorded.damaged) {
		fprintf(stderr, "oracle: %s: not a file of vectors, or cut short\n", path);
		exit(EXIT_FILE);
	}
}

/* ---- the report ---- */

static unsigned report_forms(FILE *to)
{
	static const char *const title[] = {
		[CLASS_EXCLUDED] = "in the supported set, not compared", [CLASS_OUTSIDE] = "outside the supported set",
	};
	unsigned untested = 0;

	for (unsigned class = CLASS_EXCLUDED; class <= CLASS_OUTSIDE; class++) {
		fprintf(to, "\n== %s ==\n", title[class]);
		for (unsigned i = 0; i < forms->count; i++)
			if (forms->form[i].class == class)
				fprintf(to, "%s: %s\n", forms->form[i].name, forms->form[i].reason);
	}
	fprintf(to, "other maps: VEX, EVEX, XOP and 3DNow! encodings: not offered\n");
	fprintf(to, "\n== in the supported set, never tested, without a reason ==\n");
	for (unsigned i = 0; i < forms->count; i++) {
		const struct iform *f = &forms->form[i];
		if ((f->class == CLASS_RUN || f->class == CLASS_FAULTS) && !f->cases) {
			fprintf(to, "%s\n", f->name);
			untested++;
		}
	}
	fprintf(to, "\n== compared: form, comparisons, of which faults, differences ==\n");
	for (unsigned i = 0; i < forms->count; i++) {
		const struct iform *f = &forms->form[i];
		if (f->cases)
			fprintf(to, "%s: %" PRIu64 " %" PRIu64 " %" PRIu64 "\n", f->name, f->cases, f->faults, f->failures);
	}
	return untested;
}

static bool summary(double took)
{
	unsigned by_class[4] = {0}, compared = 0, differing = 0, untested = 0;

	for (unsigned i = 0; i < forms->count; i++) {
		const struct iform *f = &forms->form[i];
		by_class[f->class]++;
		compared += f->cases != 0;
		differing += f->failures != 0;
		untested += (f->class == CLASS_RUN || f->class == CLASS_FAULTS) && !f->cases;
	}
	FILE *to[2] = {stdout, options.report ? fopen(options.report, "w") : NULL};
	if (options.report && !to[1]) {
		fprintf(stderr, "oracle: cannot write %s\n", options.report);
		exit(EXIT_FILE);
	}
	for (unsigned i = 0; i < 2 && to[i]; i++) {
		fprintf(to[i], "host: %s\n", host.name);
		fprintf(to[i], "forms in the opcode maps: %u\n", forms->count);
		fprintf(to[i], "  outside the supported set: %u\n", by_class[CLASS_OUTSIDE]);
		fprintf(to[i], "  in the set, not compared, each with a reason: %u\n", by_class[CLASS_EXCLUDED]);
		fprintf(to[i], "  compared: %u\n", compared);
		fprintf(to[i], "  never tested, without a reason: %u\n", untested);
		fprintf(to[i], "comparisons: %" PRIu64 " (%" PRIu64 " of them faults), %" PRIu64 " left out as undefined, %.1f s\n",
		        total.comparisons, total.faults, total.skipped, took);
		if (reserved.encodings)
			fprintf(to[i], "encodings that nobody defines, #UD on both: %" PRIu64 " (and %" PRIu64 " that only the host knows); "
			        "outside forms that are #UD on ours: %u\n", reserved.encodings - reserved.failures - reserved.host_only,
			        reserved.host_only, outside - outside_failures);
		if (recorded.tests)
			fprintf(to[i], "what this host cannot run%s, compared with recordings of %s: %u tests, %u left out as undefined, "
			        "%u differences\n",
			        host.compat ? "" : " (32- and 16-bit code)", recorded.host, recorded.tests, recorded.skipped,
			        recorded.failures);
		if (total.noise)
			fprintf(to[i], "set aside, because the host did not come to the same result twice: %" PRIu64 "\n", total.noise);
		fprintf(to[i], "differences: %" PRIu64 " in %u forms\n", total.failures, differing);
	}
	if (to[1]) {
		report_forms(to[1]);
		fclose(to[1]);
	}
	bool whole = !options.only && !options.form && options.modes == 7;
	return !total.failures && !recorded.failures && total.noise < 100 && !reserved.failures && !outside_failures &&
	       !(whole && untested);
}

/* ---- does it see a difference at all ---- */

struct spoil {
	const char *what;
	size_t offset; /* into struct outcome; SIZE_MAX: memory */
	u8 bit;
};
#define SPOIL(member, bit) {#member, offsetof(struct outcome, member), bit}

/* Run one instruction on both sides: equal as it is, and unequal with each of the spoils. */
static bool selftest_one(const char *bytes, unsigned len, const struct spoil *spoils, unsigned count)
{
	static struct outcome ref, got;
	static struct report_text why;
	static struct test t;
	struct tolerance tol;
	char text[64];
	bool ok = true;

	memset(&t, 0, sizeof t);
	t.in.mode = M64;
	t.in.len = len;
	memcpy(t.in.bytes, bytes, len);
	build_finish(&t.in);
	gen_background(&t.s, M64);
	host_load(&t.in);
	guest_load(&t.in);
	oracle_prepare(&t, host_arena());
	oracle_prepare(&t, guest_arena());
	host_run(&t, &ref);
	guest_run(&t, &got);
	undef_tolerance(&t, &ref, host.vendor, &tol);
	forms_text(M64, t.in.bytes, len, text, sizeof text);
	if (!compare_outcomes(&t, &tol, &ref, host_arena(), &got, guest_arena(), &why)) {
		printf("selftest: a plain %s differs:%s\n", text, why.text);
		return false;
	}
	for (unsigned i = 0; i < count; i++) {
		u8 *at = spoils[i].offset == SIZE_MAX ? guest_arena() + 0x1234 : (u8 *)&got + spoils[i].offset;
		*at ^= 1 << spoils[i].bit;
		bool same = compare_outcomes(&t, &tol, &ref, host_arena(), &got, guest_arena(), &why);
		*at ^= 1 << spoils[i].bit;
		printf("selftest: %s, %s spoiled: %s%s\n", text, spoils[i].what, same ? "NOT NOTICED" : "noticed:", same ? "" : why.text);
		ok &= !same;
	}
	return ok;
}

static bool selftest(void)
{
	static const struct spoil everything[] = {
		SPOIL(vector, 0), SPOIL(s.gpr[0], 0), SPOIL(s.gpr[15], 7), SPOIL(s.gpr[4], 3), SPOIL(s.rip, 1), SPOIL(s.rflags, 0),
		SPOIL(s.rflags, 6), SPOIL(s.sel[3], 0), SPOIL(s.gs_base, 5), SPOIL(s.fp.fcw, 2), SPOIL(s.fp.fsw, 5), SPOIL(s.fp.ftw, 4),
		SPOIL(s.fp.mxcsr, 5), SPOIL(s.fp.st[0].mant, 0), SPOIL(s.fp.st[7].se, 7), SPOIL(s.fp.xmm[0], 0), SPOIL(s.fp.xmm[15][1], 7),
		{"memory", SIZE_MAX, 0},
	}, undefined[] = {
		/* CF PF AF ZF SF, and OF in the next byte */
		SPOIL(s.rflags, 0), SPOIL(s.rflags, 2), SPOIL(s.rflags, 4), SPOIL(s.rflags, 6), SPOIL(s.rflags, 7),
		{"s.rflags OF", offsetof(struct outcome, s.rflags) + 1, 3},
	}, x87[] = {
		{"s.fp.fsw C0", offsetof(struct outcome, s.fp.fsw) + 1, 0}, SPOIL(s.fp.fop, 0), SPOIL(s.fp.fip, 0), SPOIL(s.fp.fdp, 0),
	};
	bool ok = true;

	ok &= selftest_one("\x48\x01\xd8", 3, everything, ARRAY_LEN(everything)); /* add rax, rbx */
	ok &= selftest_one("\x48\xc1\xe0\x25", 4, undefined, ARRAY_LEN(undefined)); /* shl rax, 37 */
	ok &= selftest_one("\x48\xf7\xe3", 3, undefined, ARRAY_LEN(undefined)); /* mul rbx */
	if (host.vendor != VENDOR_ANY)
		ok &= selftest_one("\xd8\xc1", 2, x87, ARRAY_LEN(x87)); /* fadd st0, st1 */
	return ok;
}

/* ---- a host that has less ---- */

/* The linker gives it all calls of getauxval(), the translator's too. */
unsigned long __real_getauxval(unsigned long type);
unsigned long __wrap_getauxval(unsigned long type);

unsigned long __wrap_getauxval(unsigned long type)
{
	unsigned long value = __real_getauxval(type);

	return type == AT_HWCAP2 && options.no_fsgsbase ? value & ~(unsigned long)HWCAP2_FSGSBASE : value;
}

static void without(const char *list)
{
	options.no_fsgsbase = strstr(list, "fsgsbase");
	options.no_compat = strstr(list, "compat");
}

/* ---- options ---- */

static void usage(void)
{
	puts("oracle: compare the interpreter with the host CPU, instruction form by instruction form\n"
	     "  --jit           the translator, not the interpreter\n"
	     "  --seed N        of the random operands (default 1)\n"
	     "  --cases N       tests per form\n"
	     "  --seconds S     stop after S seconds, all forms having had equal turns (default 75 unless --cases)\n"
	     "  --only NAME     forms of this mnemonic only\n"
	     "  --form KEY      one form; with --case N one test of it\n"
	     "  --modes LIST    64,32,16 (default all)\n"
	     "  --without LIST  as on a host without: fsgsbase, compat (32- and 16-bit code, an LDT)\n"
	     "  --lines N       differences printed per form (default 2)\n"
	     "  --report FILE   write figures and lists\n"
	     "  --record FILE   write vectors for oracle_replay (with --vectors N per form)\n"
	     "  --recorded DIR  compare what this host cannot run with what a host of its family made of it: oracle.intel.vectors\n"
	     "                  or oracle.amd.vectors there\n"
	     "  --selftest      spoil outcomes and see that each is noticed\n"
	     "  --verbose       print each test before it runs");
}

static void use_jit(void)
{
	if (!guest_use_jit()) {
		fputs("no translator for this host\n", stderr);
		exit(EXIT_ACCEL);
	}
}

static void parse(int argc, char **argv)
{
	static const struct option table[] = {
		{"seed", 1, NULL, 's'},     {"cases", 1, NULL, 'n'},    {"seconds", 1, NULL, 't'},
		{"only", 1, NULL, 'o'},     {"form", 1, NULL, 'f'},     {"case", 1, NULL, 'c'},
		{"modes", 1, NULL, 'm'},    {"lines", 1, NULL, 'l'},    {"without", 1, NULL, 'W'},
		{"recorded", 1, NULL, 'R'}, {"report", 1, NULL, 'r'},   {"record", 1, NULL, 'w'},
		{"vectors", 1, NULL, 'v'},  {"selftest", 0, NULL, 'x'}, {"verbose", 0, NULL, 'V'},
		{"jit", 0, NULL, 'j'},      {"help", 0, NULL, 'h'},     {0},
	};
	int c;

	while ((c = getopt_long(argc, argv, "", table, NULL)) != -1)
		switch (c) {
		case 's': options.seed = strtoull(optarg, NULL, 0); break;
		case 'n': options.cases = strtoull(optarg, NULL, 0); break;
		case 't': options.seconds = strtod(optarg, NULL); break;
		case 'o': options.only = optarg; break;
		case 'f': options.form = strtoull(optarg, NULL, 16); break;
		case 'c': options.only_case = strtoull(optarg, NULL, 0), options.one_case = true; break;
		case 'm':
			options.modes = (strstr(optarg, "64") ? 1 : 0) | (strstr(optarg, "32") ? 2 : 0) | (strstr(optarg, "16") ? 4 : 0);
			break;
		case 'W': without(optarg); break;
		case 'R': options.recorded = optarg; break;
		case 'l': options.lines = strtoul(optarg, NULL, 0); break;
		case 'r': options.report = optarg; break;
		case 'w': options.record = optarg; break;
		case 'v': options.vectors = strtoul(optarg, NULL, 0); break;
		case 'x': options.selftest = true; break;
		case 'j': use_jit(); break;
		case 'V': options.verbose = true; break;
		case 'h': usage(); exit(0);
		default: usage(); exit(EXIT_USAGE);
		}
	if (!options.cases && options.seconds == 0)
		options.seconds = 75;
}

int main(int argc, char **argv)
{
	parse(argc, argv);
	if (!guest_init() || !host_init(&host, !options.no_compat)) {
		fprintf(stderr, "oracle: this host cannot run the tests\n");
		return EXIT_HOST;
	}
	build_family(host.vendor);
	guest_family(host.vendor);
	if (options.selftest)
		return selftest() ? 0 : 1;
	forms = forms_enumerate(options.modes);
	exclude_what_the_host_lacks();
	guest_like(&host);
	double start = now();
	if (options.record)
		record();
	else
		run_all();
	if (!options.record && !options.only && !options.form) {
		reserved = reserved_check(&host, options.modes);
		outside = reserved_outside(forms, &outside_failures);
	}
	if (options.recorded)
		compare_recorded();
	bool ok = summary(now() - start);
	forms_free(forms);
	guest_free();
	return ok ? 0 : 1;
}
