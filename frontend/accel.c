/* SPDX-License-Identifier: MIT */
/* Choosing an engine. -accel auto takes KVM where it is there, may be used, does what a CPU does, and is faster than the translator
 * (accel_speed.c): a KVM without hardware, or one inside a virtual machine, often is not. In every case one line says why.
 *
 * The CPU model is one that all engines of the guest can do, so that it can be moved between them; with -cpu host it is the
 * host's, and then KVM stands alone. A guest's TSC runs as fast as KVM's where KVM cannot scale it. */
#include "frontend/accel.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/options.h"
#ifdef ENGINE_JIT
#include "jit/jit.h"
#endif
#ifdef ENGINE_KVM
#include "cpu/kvm.h"
#else
enum kvm_found { KVM_THERE, KVM_NO_DEVICE };
struct kvm_report {
	enum kvm_found found;
	u64 tsc_hz;
	bool hardware;
};
#endif

static const struct {
	const struct engine *engine;
	const char *slower; /* than KVM on real hardware */
} engines[] = {
#ifdef ENGINE_KVM
	{&kvm_engine, ""},
#endif
#ifdef ENGINE_JIT /* the translator is for some hosts only */
	{&jit_engine, "about 3 times slower than KVM on hardware"},
#endif
	{&interp_engine, "about 15 times slower than KVM on hardware"},
};

const struct engine *accel_engine(unsigned index)
{
	return index < ARRAY_LEN(engines) ? engines[index].engine : NULL;
}

static const struct engine *by_name(const char *name)
{
	for (unsigned i = 0; i < ARRAY_LEN(engines); i++)
		if (!strcmp(strcmp(name, "tcg") ? name : "jit", engines[i].engine->name))
			return engines[i].engine;
	return NULL;
}

static bool is_kvm(const struct engine *engine)
{
	return engine == by_name("kvm");
}

/* An engine of ours that this host's program lacks. */
static bool known(const char *name)
{
	static const char *const names[] = {"auto", "kvm", "jit", "tcg", "interp"};

	for (unsigned i = 0; i < ARRAY_LEN(names); i++)
		if (!strcmp(name, names[i]))
			return true;
	return false;
}

/* ---- -accel ---- */

void accel_help(FILE *to)
{
	fprintf(to, "%-8s the fastest that works here\n", "auto");
	for (unsigned i = 0; i < ARRAY_LEN(engines); i++)
		fprintf(to, "%-8s %s\n", engines[i].engine->name, engines[i].engine->desc);
	fprintf(to, "Several in order of preference: kvm:jit:interp. fallback=off: end if it is not there. device=PATH: instead of "
	            "/dev/kvm.\n");
}

static bool check_list(const char *list, struct err *err)
{
	char *copy = err_strdup(list), *save = NULL;
	bool ok = *list;

	for (char *name = strtok_r(copy, ":", &save); name && ok; name = strtok_r(NULL, ":", &save))
		ok = known(name);
	free(copy);
	return ok || err_set(err, EXIT_USAGE, "-accel %s: no such engine (auto, kvm, jit, interp)", list);
}

bool accel_set(struct accel *accel, const char *value, struct err *err)
{
	struct {
		char *list, *device, *thread;
		bool fallback;
	} got = {.fallback = !accel->strict};
	static const struct option_key keys[] = {
		{"accel", OPTION_STRING, offsetof(typeof(got), list), 0, 0, "engines in order of preference"},
		{"fallback", OPTION_BOOL, offsetof(typeof(got), fallback), 0, 0, "another engine where it is missing"},
		{"device", OPTION_STRING, offsetof(typeof(got), device), 0, 0, "KVM's device node"},
		{"thread", OPTION_STRING, offsetof(typeof(got), thread), 0, 0, "multi: each CPU has its thread"},
		{0},
	};
	bool ok = options_parse(value, "accel", keys, &got, "-accel", err) && check_list(got.list ? got.list : "auto", err);

	if (ok && got.thread && strcmp(got.thread, "multi"))
		ok = err_set(err, EXIT_USAGE, "-accel thread=%s: each CPU has its thread (multi)", got.thread);
	free(got.thread);
	if (ok) {
		free(accel->list);
		accel->list = got.list;
		accel->strict = !got.fallback;
	} else {
		free(got.list);
	}
#ifdef ENGINE_KVM
	if (ok && got.device) {
		static char path[256];
		snprintf(path, sizeof path, "%s", got.device);
		kvm_set_device(path);
	}
#endif
	free(got.device);
	return ok;
}

void accel_free(struct accel *accel)
{
	free(accel->list);
}

/* ---- what KVM is worth here ---- */

static void probe(struct kvm_report *report, char *why, size_t size)
{
#ifdef ENGINE_KVM
	kvm_probe(report);
	kvm_explain(report, why, size);
#else
	*report = (struct kvm_report){.found = KVM_NO_DEVICE};
	snprintf(why, size, "not on this kind of host");
#endif
}

/* In millions. */
static const char *speed_text(char text[24], u64 speed)
{
	snprintf(text, 24, speed < 10000000 ? "%.1f" : "%.0f", speed / 1e6);
	return text;
}

static const char *kind(const struct kvm_report *report)
{
	return report->hardware ? "" : ", a KVM in software,";
}

/* Is it right, and faster than the next engine? */
static bool pays(const struct kvm_report *report, const struct cpu_model *model, char *why, size_t size)
{
	const struct engine *next = engines[1].engine;
	struct speed kvm, other;
	struct err err;
	char a[24], b[24];

	if (!accel_speed(by_name("kvm"), model, report->tsc_hz, false, &kvm, &err)) {
		snprintf(why, size, "this host's KVM%s fails: %.200s", kind(report), err.text);
		return false;
	}
	if (*kvm.wrong) {
		snprintf(why, size, "this host's KVM%s is no faithful CPU: %s", kind(report), kvm.wrong);
		return false;
	}
#ifdef ENGINE_KVM
	if (report->own_cpuid) {
		snprintf(why, size, "this host's KVM%s shows guests another CPU than the model", kind(report));
		return false;
	}
#endif
	if (!accel_speed(next, model, report->tsc_hz, false, &other, &err))
		return true;
	bool faster = speed_mixed(&kvm) > speed_mixed(&other);
	snprintf(why, size, "this host's KVM%s is %s than %s: %s against %s million instructions a second", kind(report),
	         faster ? "faster" : "slower", next->name, speed_text(a, speed_mixed(&kvm)), speed_text(b, speed_mixed(&other)));
	return faster;
}

/* ---- the choice ---- */

/* The user asked for undefined results that this host's CPU does not give. */
static bool other_flavour(const struct cpu_model *model)
{
	return model->flavour_named && model->flavour != flavour_host();
}

static void append(struct accel *accel, const struct cpu_model *model, const struct engine *engine)
{
	if (engine && engine->native && other_flavour(model))
		return;
	for (unsigned i = 0; i < accel->engines; i++)
		if (accel->engine[i] == engine)
			return;
	if (engine && accel->engines < ACCEL_ENGINES)
		accel->engine[accel->engines++] = engine;
}

static void append_own(struct accel *accel, const struct cpu_model *model)
{
	for (unsigned i = 0; i < ARRAY_LEN(engines); i++)
		if (!is_kvm(engines[i].engine))
			append(accel, model, engines[i].engine);
}

struct choice {
	struct accel *accel;
	const struct cpu_model *model;
	bool counts;
	bool probed;
	struct kvm_report report;
	char why[400]; /* not KVM, or KVM */
};

static bool can_kvm(struct choice *c)
{
	if (!by_name("kvm")) {
		snprintf(c->why, sizeof c->why, "not on this kind of host");
		return false;
	}
	if (c->counts) {
		snprintf(c->why, sizeof c->why, "-icount, and KVM does not count instructions");
		return false;
	}
	if (other_flavour(c->model)) {
		snprintf(c->why, sizeof c->why, "-cpu flavour=%s, and this host's CPU gives undefined results of flavour %s",
		         flavour_names[c->model->flavour], flavour_names[flavour_host()]);
		return false;
	}
	if (!c->probed)
		probe(&c->report, c->why, sizeof c->why);
	c->probed = true;
	return c->report.found == KVM_THERE;
}

static void choose_auto(struct choice *c)
{
	bool there = can_kvm(c);
	struct cpu_model model = *c->model;
#ifdef ENGINE_KVM
	char text[512];
	kvm_limit_model(&model, there, text, sizeof text);
#endif
	bool faster = there && pays(&c->report, &model, c->why, sizeof c->why);

	if (faster)
		append(c->accel, c->model, by_name("kvm"));
	append_own(c->accel, c->model);
	snprintf(c->accel->note, sizeof c->accel->note, "engine %s: %s%s", c->accel->engine[0]->name,
	         there || c->counts || other_flavour(c->model) ? "" : "no KVM: ", c->why);
}

/* One name of the list. */
static void choose(struct choice *c, const char *name)
{
	const struct engine *engine = by_name(name);

	if (!strcmp(name, "auto"))
		choose_auto(c);
	else if (engine && (!is_kvm(engine) || can_kvm(c)))
		append(c->accel, c->model, engine);
}

static const char *slower(const struct engine *engine)
{
	for (unsigned i = 0; i < ARRAY_LEN(engines); i++)
		if (engines[i].engine == engine)
			return engines[i].slower;
	return "";
}

/* The models of all engines of the list, and one that only KVM has. */
static void fit_model(struct accel *accel, const struct kvm_report *report, struct cpu_model *model, bool explicit)
{
#ifdef ENGINE_KVM
	char text[512];
	bool has_kvm = false, host = !strcmp(model->name, "host");

	for (unsigned i = 0; i < accel->engines; i++)
		has_kvm |= is_kvm(accel->engine[i]);
	if (!has_kvm) {
		if (host)
			err_note("-cpu host: the same as max, without KVM");
		return;
	}
	const struct cpu_model whole = *model;
	if (!kvm_limit_model(model, true, text, sizeof text) && explicit)
		err_note("-cpu %s: KVM gives guests no %s here, the model goes without", model->name, text);
	if (!host && report->own_cpuid && is_kvm(accel->engine[0]) && accel->engines > 1)
		err_note("this host's KVM%s shows guests another CPU than the model: one that uses what only that has fails when it is "
		         "moved to another engine", kind(report));
	for (unsigned i = 0; i < ARRAY_LEN(model->features) && report->own_cpuid; i++)
		model->hidden[i] = whole.features[i] & ~model->features[i]; /* so that less fails */
	if (!host)
		return;
	kvm_host_model(model, text, sizeof text);
	if (*text && is_kvm(accel->engine[0])) {
		err_note("-cpu host: this guest runs under KVM only, and cannot be moved to another engine: %s", text);
		accel->engines = 1;
	}
#else
	(void)accel, (void)report, (void)model, (void)explicit;
#endif
}

/* The engines that execute on the host's CPU are left out for a guest of another flavour. Nothing remains of what the user asked
 * for, which this program has: the mistake is told, rather than the interpreter taken unasked. */
static bool flavour_fits(const struct accel *accel, const char *list, const struct engine *first, const struct cpu_model *model,
                         struct err *err)
{
	return accel->engines || !first || !other_flavour(model) ||
	       err_set(err, EXIT_ACCEL, "-accel %s: -cpu flavour=%s, and this host's CPU gives undefined results of flavour %s; "
	               "only the interpreter (-accel interp) can give others", list, flavour_names[model->flavour],
	               flavour_names[flavour_host()]);
}

/* Where no engine executes on the host's CPU, runs are alike on all hosts. */
static void settle_flavour(const struct accel *accel, struct cpu_model *model)
{
	bool native = false;

	for (unsigned i = 0; i < accel->engines; i++)
		native |= accel->engine[i]->native;
	if (!native && !model->flavour_named)
		model->flavour = FLAVOUR_INTEL;
}

bool accel_resolve(struct accel *accel, struct cpu_model *model, bool explicit, bool counts, struct err *err)
{
	struct choice c = {.accel = accel, .model = model, .counts = counts, .why = "not on this kind of host"};
	const char *list = accel->list ? accel->list : "auto";
	char *copy = err_strdup(list), *save = NULL, *name = strtok_r(copy, ":", &save);
	bool as_asked = !strcmp(name, "auto");
	const struct engine *first = by_name(name);

	for (; name; name = strtok_r(NULL, ":", &save))
		choose(&c, name);
	free(copy);
	if (!flavour_fits(accel, list, first, model, err))
		return false;
	as_asked |= accel->engines && accel->engine[0] == first;
	if (accel->strict && !accel->engines)
		return err_set(err, EXIT_ACCEL, "-accel %s: %s", list, c.why);
	if (!accel->strict)
		append_own(accel, model);
	if (!as_asked)
		snprintf(accel->note, sizeof accel->note, "-accel %s: %s; running on engine %s, %s", list, c.why, accel->engine[0]->name,
		         slower(accel->engine[0]));
	for (unsigned i = 0; i < accel->engines; i++)
		if (is_kvm(accel->engine[i]))
			accel->tsc_hz = c.report.tsc_hz;
	fit_model(accel, &c.report, model, explicit);
	settle_flavour(accel, model);
	return true;
}
