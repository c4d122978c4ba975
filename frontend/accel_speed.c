/* SPDX-License-Identifier: MIT */
/* Measured speeds of engines, kept in $XDG_CACHE_HOME/paisano/speeds (~/.cache without that): one line for each engine on each
 * host, "KEY engine kernel user what-is-wrong". The key is a hash of all that could change them: this program, the kernel, the
 * CPU, the model's features, KVM's device. A file that cannot be read or written, or has nonsense in it, costs a measurement. */
#include "frontend/accel.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "frontend/version.h"
#ifdef ENGINE_KVM
#include "cpu/kvm.h"
#endif

#define LINES_MAX 100

static u64 hash(u64 h, const void *data, size_t len)
{
	for (const u8 *p = data; len--; p++)
		h = (h ^ *p) * 0x100000001b3;
	return h;
}

static u64 hash_text(u64 h, const char *text)
{
	return hash(h, text, strlen(text) + 1);
}

static u64 hash_cpu(u64 h)
{
	FILE *f = fopen("/proc/cpuinfo", "re");
	char line[512];

	while (f && fgets(line, sizeof line, f))
		if (!strncmp(line, "model name", 10)) {
			h = hash_text(h, line);
			break;
		}
	if (f)
		fclose(f);
	return h;
}

static u64 key_of(const struct cpu_model *model)
{
	struct utsname host;
	u64 h = hash_text(0xcbf29ce484222325, PAISANO_VERSION);

	if (uname(&host) == 0) {
		h = hash_text(h, host.nodename);
		h = hash_text(h, host.release);
		h = hash_text(h, host.version);
		h = hash_text(h, host.machine);
	}
	h = hash_cpu(h);
#ifdef ENGINE_KVM
	struct kvm_report report;
	kvm_probe(&report);
	h = hash_text(h, report.device);
	h = hash(h, &report.found, sizeof report.found);
	h = hash(h, &report.tsc_hz, sizeof report.tsc_hz);
#endif
	return hash(h, model->features, sizeof model->features);
}

/* The file's path; make: its folders are made. False: there is no place for it. */
static bool place(char *path, size_t size, bool make)
{
	const char *cache = getenv("XDG_CACHE_HOME"), *home = getenv("HOME");
	int len;

	if (cache && *cache == '/')
		len = snprintf(path, size, "%s", cache);
	else if (home && *home == '/')
		len = snprintf(path, size, "%s/.cache", home);
	else
		return false;
	if (len < 0 || (size_t)len + 32 > size)
		return false;
	if (make)
		mkdir(path, 0700);
	strcat(path, "/paisano");
	if (make)
		mkdir(path, 0700);
	strcat(path, "/speeds");
	return true;
}

static bool find(u64 key, const char *name, struct speed *speed)
{
	char path[512], line[256], engine[16];
	FILE *f = place(path, sizeof path, false) ? fopen(path, "re") : NULL;
	bool found = false;

	while (f && !found && fgets(line, sizeof line, f)) {
		u64 k, kernel, user;
		int at = 0;
		line[strcspn(line, "\n")] = 0;
		if (sscanf(line, "%" SCNx64 " %15s %" SCNu64 " %" SCNu64 "%n", &k, engine, &kernel, &user, &at) != 4 || k != key ||
		    strcmp(engine, name))
			continue;
		*speed = (struct speed){.kernel = kernel, .user = user};
		snprintf(speed->wrong, sizeof speed->wrong, "%s", line + at + (line[at] == ' '));
		found = true;
	}
	if (f)
		fclose(f);
	return found;
}

static bool same_line(const char *line, u64 key, const char *name)
{
	char engine[16];
	u64 k;

	return sscanf(line, "%" SCNx64 " %15s", &k, engine) == 2 && k == key && !strcmp(engine, name);
}

/* All other lines and this one, under another name first: nobody ever reads half a file. */
static void keep(u64 key, const char *name, const struct speed *speed)
{
	char path[512], fresh[540], line[256];

	if (!place(path, sizeof path, true))
		return;
	snprintf(fresh, sizeof fresh, "%s.%ld", path, (long)getpid());
	unlink(fresh); /* of a process that did not get further */
	FILE *to = fopen(fresh, "wxe"), *from = to ? fopen(path, "re") : NULL;
	if (!to)
		return;
	fprintf(to, "%016" PRIx64 " %s %" PRIu64 " %" PRIu64 "%s%s\n", key, name, speed->kernel, speed->user, *speed->wrong ? " " : "",
	        speed->wrong);
	for (unsigned n = 1; from && n < LINES_MAX && fgets(line, sizeof line, from); n++)
		if (!same_line(line, key, name))
			fputs(line, to);
	if (from)
		fclose(from);
	if (fclose(to) || rename(fresh, path))
		unlink(fresh);
}

bool accel_speed(const struct engine *engine, const struct cpu_model *model, u64 tsc_hz, bool fresh, struct speed *speed,
                 struct err *err)
{
	u64 key = key_of(model);

	if (!fresh && find(key, engine->name, speed))
		return true;
	if (!speed_measure(engine, model, tsc_hz, speed, err))
		return false;
	keep(key, engine->name, speed);
	return true;
}
