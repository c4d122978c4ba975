/* SPDX-License-Identifier: MIT */
/* `paisano doctor`: what this host can do for a guest, what keeps it from more, and the command that mends it. */
#include <errno.h>
#include <grp.h>
#include <pwd.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "frontend/accel.h"
#include "frontend/sandbox.h"
#include "frontend/version.h"
#ifdef ENGINE_KVM
#include "cpu/kvm.h"
#endif

static void row(FILE *to, const char *name)
{
	fprintf(to, "%-10s ", name);
}

/* The first line of /proc/cpuinfo that begins so, without its name. */
static bool cpuinfo(const char *name, char *value, size_t size)
{
	FILE *f = fopen("/proc/cpuinfo", "re");
	char line[4096];
	bool found = false;

	while (f && !found && fgets(line, sizeof line, f)) {
		char *colon = strchr(line, ':');
		found = colon && !strncmp(line, name, strlen(name));
		if (found)
			snprintf(value, size, "%s", colon + 2);
	}
	if (f)
		fclose(f);
	if (found)
		value[strcspn(value, "\n")] = 0;
	return found;
}

static void host(FILE *to)
{
	struct utsname u;
	char cpu[128];

	row(to, "paisano");
	fprintf(to, "%s\n", PAISANO_VERSION);
	row(to, "host");
	if (uname(&u) == 0)
		fprintf(to, "%s %s %s, ", u.sysname, u.release, u.machine);
	fprintf(to, "%s, %ld CPUs\n", cpuinfo("model name", cpu, sizeof cpu) ? cpu : "unknown CPU", sysconf(_SC_NPROCESSORS_ONLN));
	row(to, "flavour");
	fprintf(to, "%s: what its CPUs do where the manuals leave results undefined (-cpu help)\n", flavour_names[flavour_host()]);
}

#ifdef ENGINE_KVM

/* As words of a line: blanks around them. */
static bool has_word(const char *text, const char *word)
{
	size_t len = strlen(word);

	for (const char *p = text; (p = strstr(p, word)); p += len)
		if ((p == text || p[-1] == ' ') && (!p[len] || p[len] == ' '))
			return true;
	return false;
}

static void hardware(FILE *to)
{
	static const struct {
		const char *flag, *name;
	} kinds[] = {{"vmx", "Intel VT-x"}, {"svm", "AMD SVM"}};
	char flags[4096];
	bool nested = false, any = false;

	row(to, "hardware");
	if (!cpuinfo("flags", flags, sizeof flags))
		*flags = 0;
	nested = has_word(flags, "hypervisor");
	for (unsigned i = 0; i < ARRAY_LEN(kinds); i++)
		if (has_word(flags, kinds[i].flag)) {
			fprintf(to, "%s ('%s' in /proc/cpuinfo)\n", kinds[i].name, kinds[i].flag);
			any = true;
		}
	if (!any)
		fprintf(to, "no virtualisation: neither 'vmx' nor 'svm' in /proc/cpuinfo; %s\n",
		        nested ? "this host is a virtual machine, and the one around it does not pass it on"
		               : "the firmware's setup may have it switched off");
	if (any && nested)
		fprintf(to, "           nested: this host is a virtual machine itself, KVM is slower than on hardware\n");
}

static void container(FILE *to)
{
	row(to, "container");
	fprintf(to, kvm_in_container() ? "yes: devices are there only if it was started with them (--device=/dev/kvm)\n"
	                               : "no sign of one\n");
}

static const char *user_name(uid_t uid)
{
	static char number[16];
	const struct passwd *p = getpwuid(uid);

	snprintf(number, sizeof number, "%u", uid);
	return p ? p->pw_name : number;
}

static const char *group_name(gid_t gid)
{
	static char number[16];
	const struct group *g = getgrgid(gid);

	snprintf(number, sizeof number, "%u", gid);
	return g ? g->gr_name : number;
}

static void device(FILE *to, const struct kvm_report *r)
{
	struct stat st;

	row(to, "device");
	if (stat(r->device, &st)) {
		fprintf(to, "%s: %s\n", r->device, strerror(errno));
		return;
	}
	fprintf(to, "%s: %s", r->device, S_ISCHR(st.st_mode) ? "character device" : "no character device");
	if (S_ISCHR(st.st_mode))
		fprintf(to, " %u:%u", major(st.st_rdev), minor(st.st_rdev));
	fprintf(to, ", %s:%s, mode %04o; you are %s\n", user_name(st.st_uid), group_name(st.st_gid), st.st_mode & 07777,
	        user_name(geteuid()));
}

static void modules(FILE *to)
{
	static const char *const names[] = {"kvm_intel", "kvm_amd", "kvm_pvm", "vboxdrv", "vmmon"};
	bool any = false;

	row(to, "modules");
	for (unsigned i = 0; i < ARRAY_LEN(names); i++) {
		char path[64];
		snprintf(path, sizeof path, "/sys/module/%s", names[i]);
		if (access(path, F_OK) == 0) {
			fprintf(to, "%s%s", any ? ", " : "", names[i]);
			any = true;
		}
	}
	fprintf(to, any ? "\n" : "none of KVM's\n");
}

static void kvm(FILE *to, const struct kvm_report *r)
{
	struct cpu_model model;
	struct err err;
	char text[640];

	row(to, "kvm");
	if (r->found != KVM_THERE) {
		kvm_explain(r, text, sizeof text);
		fprintf(to, "not usable: %s\n", text);
		return;
	}
	fprintf(to, "usable%s\n", r->hardware ? "" : "; a KVM in software: it emulates or traps what hardware would run");
	fprintf(to, "           TSC %llu MHz%s, at most %u CPUs a guest%s%s%s\n", (unsigned long long)r->tsc_hz / 1000000,
	        r->tsc_scaling ? ", scaled" : ", not scaled", r->max_cpus,
	        r->smm ? "" : ", no SMM of its own (the interpreter runs that)",
	        r->xsave ? "" : ", no XSAVE", r->msr_filter ? "" : ", no MSR filter (it answers for many MSRs itself)");
	const struct {
		bool lacks;
		const char *what;
	} state[] = {{!r->paging32, "32-bit paging"}, {!r->v86, "virtual 8086 mode"}, {!r->tsc_moves, "a TSC of the guest's own"},
	             {r->own_cpuid, "a CPUID of the guest's own (it sees the host's CPU)"}};
	const char *before = "           it does not do: ";
	for (unsigned i = 0; i < ARRAY_LEN(state); i++)
		if (state[i].lacks) {
			fprintf(to, "%s%s", before, state[i].what);
			before = ", ";
		}
	if (*before == ',')
		fputc('\n', to);
	if (model_parse(&model, "max", &err) && !kvm_limit_model(&model, false, text, sizeof text))
		fprintf(to, "           guests do without: %s\n", text);
}

#endif

static void speeds(FILE *to, u64 tsc_hz, bool with_kvm)
{
	const struct engine *engine;
	const char *title = "speed";

	for (unsigned i = 0; (engine = accel_engine(i)); i++) {
		struct cpu_model model;
		struct speed speed;
		struct err err = {0};
		if (!with_kvm && !strcmp(engine->name, "kvm"))
			continue;
		row(to, title);
		title = "";
		model_parse(&model, "max", &err);
#ifdef ENGINE_KVM
		char text[640];
		if (with_kvm && !strcmp(engine->name, "kvm"))
			kvm_limit_model(&model, true, text, sizeof text);
#endif
		if (!accel_speed(engine, &model, tsc_hz, true, &speed, &err))
			fprintf(to, "%-7s fails: %s\n", engine->name, err.text);
		else
			fprintf(to, "%-7s %5.0f million instructions a second in kernels, %5.0f in programs%s%s\n", engine->name,
			        speed.kernel / 1e6, speed.user / 1e6, *speed.wrong ? "; not faithful: " : "", speed.wrong);
	}
}

static void choice(FILE *to)
{
	struct accel accel = {0};
	struct cpu_model model;
	struct err err;

	row(to, "choice");
	model_parse(&model, "max", &err);
	if (accel_resolve(&accel, &model, false, false, &err))
		fprintf(to, "-accel auto: %s\n", accel.note);
	else
		fprintf(to, "%s\n", err.text);
}

int accel_doctor(FILE *to)
{
	u64 tsc_hz = 0;
	bool there = false;

	host(to);
#ifdef ENGINE_KVM
	struct kvm_report report;
	kvm_probe(&report);
	tsc_hz = report.tsc_hz;
	there = report.found == KVM_THERE;
	hardware(to);
	container(to);
	device(to, &report);
	modules(to);
	kvm(to, &report);
#endif
	speeds(to, tsc_hz, there);
	choice(to);
	sandbox_doctor(to);
	return EXIT_OFF;
}
