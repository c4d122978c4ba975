/* SPDX-License-Identifier: MIT */
/* The command line: one table of options. Names and meanings are QEMU's; single and double dash both do. Options of QEMU that
 * Paisano does not have are in the table too, with what to use instead: none is ever ignored. */
#include "frontend/config.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "base/clock.h"
#include "base/options.h"
#include "base/trace.h"
#include "frontend/version.h"
#ifdef ENGINE_JIT
#include "jit/jit.h"
#endif

typedef bool option_fn(struct config *config, const char *value, struct err *err);

struct option {
	const char *name;
	const char *argument; /* NULL: takes none */
	option_fn *set;       /* NULL: not supported, help says what to use instead */
	const char *help;
};

static void replace(char **to, const char *value)
{
	free(*to);
	*to = err_strdup(value);
}

/* ---- options that store a string or a flag ---- */
#define STORE(member)                                                                                                  \
	static bool set_##member(struct config *config, const char *value, struct err *err)                                \
	{                                                                                                                  \
		(void)err;                                                                                                     \
		replace(&config->member, value);                                                                               \
		return true;                                                                                                   \
	}
#define FLAG(member)                                                                                                   \
	static bool set_##member(struct config *config, const char *value, struct err *err)                                \
	{                                                                                                                  \
		(void)value, (void)err;                                                                                        \
		config->member = true;                                                                                         \
		return true;                                                                                                   \
	}
STORE(kernel)
STORE(initrd) STORE(append) STORE(bios) STORE(debugcon) STORE(parallel) STORE(monitor) STORE(log_items) STORE(log_file)
	STORE(pidfile) STORE(name) FLAG(nographic) FLAG(no_reboot) FLAG(no_shutdown) FLAG(paused) FLAG(print_config) FLAG(nodefaults)

/* ---- options with a grammar ---- */

#define RAM_MIN (1ull << 20)
#define RAM_MAX (1ull << 40)
#define CPUS_MAX 255 /* 8-bit APIC ids, one of which is everybody's */

		static bool set_memory(struct config *config, const char *value, struct err *err)
{
	struct {
		char *size;
	} got = {0};
	static const struct option_key keys[] = {
		{"size", OPTION_STRING, offsetof(typeof(got), size), 0, 0, "RAM, in MiB or with K, M, G, T"}, {0}};
	u64 size;

	if (!options_parse(value, "size", keys, &got, "-m", err))
		return false;
	const char *text = got.size ? got.size : "";
	size_t len = strlen(text);
	bool bare = len && text[len - 1] >= '0' && text[len - 1] <= '9';
	bool ok = options_size(text, &size, err);
	free(got.size);
	if (!ok)
		return err_prefix(err, "-m");
	if (bare) { /* a plain number is MiB */
		if (size > RAM_MAX >> 20)
			size = RAM_MAX + 1;
		else
			size <<= 20;
	}
	if (size < RAM_MIN || size > RAM_MAX)
		return err_set(err, EXIT_USAGE, "-m %s: memory must be between 1M and 1T", value);
	config->ram_size = (size + PAGE_OFFSET) & ~(u64)PAGE_OFFSET;
	return true;
}

static bool set_cpus(struct config *config, const char *value, struct err *err)
{
	struct {
		u64 cpus, sockets, cores, threads, maxcpus;
	} got = {0};
	static const struct option_key keys[] = {
		{"cpus", OPTION_NUMBER, offsetof(typeof(got), cpus), 1, 4096, "CPUs"},
		{"sockets", OPTION_NUMBER, offsetof(typeof(got), sockets), 1, 4096, "sockets"},
		{"cores", OPTION_NUMBER, offsetof(typeof(got), cores), 1, 4096, "cores a socket"},
		{"threads", OPTION_NUMBER, offsetof(typeof(got), threads), 1, 4096, "threads a core"},
		{"maxcpus", OPTION_NUMBER, offsetof(typeof(got), maxcpus), 1, 4096, "CPUs at most"},
		{0},
	};
	if (!options_parse(value, "cpus", keys, &got, "-smp", err))
		return false;
	u64 product = MAX(got.sockets, 1) * MAX(got.cores, 1) * MAX(got.threads, 1);
	config->cpus = got.cpus ? got.cpus : product;
	if (config->cpus > CPUS_MAX)
		return err_set(err, EXIT_USAGE, "-smp %s: Paisano has at most %u CPUs", value, CPUS_MAX);
	return true;
}

static bool set_cpu(struct config *config, const char *value, struct err *err)
{
	(void)err;
	if (!strcmp(value, "help")) {
		model_help(stdout);
		exit(EXIT_OFF);
	}
	replace(&config->cpu, value);
	return true;
}

#ifdef ENGINE_JIT
static bool set_jit(struct config *config, const char *value, struct err *err)
{
	(void)config;
	if (!strcmp(value, "help")) {
		jit_help(stdout);
		exit(EXIT_OFF);
	}
	return jit_configure(value, err);
}
#endif

static bool set_accel(struct config *config, const char *value, struct err *err)
{
	if (!strcmp(value, "help")) {
		accel_help(stdout);
		exit(EXIT_OFF);
	}
	return accel_set(&config->accel, value, err);
}

static bool set_change(struct config *config, const char *value, struct err *err)
{
	return change_set(&config->change, value, err);
}

static bool set_kvm(struct config *config, const char *value, struct err *err)
{
	(void)value;
	return accel_set(&config->accel, "kvm", err);
}

static bool set_machine(struct config *config, const char *value, struct err *err)
{
	struct {
		char *type, *accel;
		bool usb;
	} got = {0};
	static const struct option_key keys[] = {
		{"type", OPTION_STRING, offsetof(typeof(got), type), 0, 0, "pc"},
		{"accel", OPTION_STRING, offsetof(typeof(got), accel), 0, 0, "engines in order of preference"},
		{0},
	};
	if (!strcmp(value, "help")) {
		printf("pc       i440FX and PIIX3, as every PC operating system knows it (default)\n");
		exit(EXIT_OFF);
	}
	if (!options_parse(value, "type", keys, &got, "-machine", err))
		return false;
	bool ok = true;
	if (got.type && strcmp(got.type, "pc") && strncmp(got.type, "pc-i440fx", 9))
		ok = err_set(err, EXIT_USAGE, "-machine %s: the only machine is pc", got.type);
	if (ok && got.accel)
		ok = accel_set(&config->accel, got.accel, err);
	free(got.type);
	free(got.accel);
	return ok;
}

static bool set_serial(struct config *config, const char *value, struct err *err)
{
	if (config->serials == BOARD_SERIALS)
		return err_set(err, EXIT_USAGE, "-serial: a PC has %d serial ports", BOARD_SERIALS);
	replace(&config->serial[config->serials++], value);
	return true;
}

static void list_devices(void)
{
	for (const struct device_class *c = device_first(); c; c = c->next)
		if (c->user)
			printf("%-16s %s\n", c->name, c->desc);
}

static bool set_device(struct config *config, const char *value, struct err *err)
{
	char *name = err_strdup(value), *comma = strchr(name, ',');

	if (!strcmp(value, "help")) {
		list_devices();
		exit(EXIT_OFF);
	}
	if (comma)
		*comma = 0;
	const struct device_class *class = device_find(name);
	bool ok = false;
	if (!class || !class->user) {
		const char *names[64] = {0};
		unsigned n = 0;
		for (const struct device_class *c = device_first(); c && n < ARRAY_LEN(names) - 1; c = c->next)
			if (c->user)
				names[n++] = c->name;
		const char *near = options_nearest(name, names);
		err_set(err, EXIT_USAGE, "-device %s: no such device%s%s%s (-device help lists them)", name, near ? ", did you mean " : "",
		        near ? near : "", near ? "?" : "");
	} else if (config->devices == BOARD_EXTRAS) {
		err_set(err, EXIT_USAGE, "-device: more than %d devices", BOARD_EXTRAS);
	} else {
		char id[32];
		snprintf(id, sizeof id, "device%u", config->devices);
		config->device[config->devices++] = (struct board_device){
			.class_name = class->name, .options = comma ? err_strdup(comma + 1) : NULL, .id = err_strdup(id)};
		ok = true;
	}
	free(name);
	return ok;
}

static bool set_trace(struct config *config, const char *value, struct err *err)
{
	(void)config;
	if (!strcmp(value, "help")) {
		trace_list(stdout);
		exit(EXIT_OFF);
	}
	const char *glob = strncmp(value, "enable=", 7) ? value : value + 7;
	if (!trace_enable(glob, true))
		return err_set(err, EXIT_USAGE, "-trace %s: no trace event matches (-trace help lists them)", glob);
	return true;
}

static bool set_icount(struct config *config, const char *value, struct err *err)
{
	struct {
		char *shift;
		u64 seed;
	} got = {0};
	static const struct option_key keys[] = {
		{"shift", OPTION_STRING, offsetof(typeof(got), shift), 0, 0, "2^shift ns an instruction, 0..10, or auto"},
		{"seed", OPTION_NUMBER, offsetof(typeof(got), seed), 0, 0, "of the guest's entropy"},
		{0},
	};
	if (!options_parse(value, "shift", keys, &got, "-icount", err))
		return false;
	bool ok = true;
	config->icount = true;
	config->seed = got.seed;
	config->icount_shift = 0;
	if (got.shift && strcmp(got.shift, "auto"))
		ok = (options_number(got.shift, &config->icount_shift, err) && config->icount_shift <= 10) ||
		     err_set(err, EXIT_USAGE, "-icount shift=%s: 0 to 10, or auto", got.shift);
	free(got.shift);
	return ok;
}

static bool parse_date(const char *text, u64 *unix_ns)
{
	struct tm tm = {0};
	int n = 0;

	if (sscanf(text, "%d-%d-%dT%d:%d:%d%n", &tm.tm_year, &tm.tm_mon, &tm.tm_mday, &tm.tm_hour, &tm.tm_min, &tm.tm_sec, &n) != 6 &&
	    sscanf(text, "%d-%d-%d%n", &tm.tm_year, &tm.tm_mon, &tm.tm_mday, &n) != 3)
		return false;
	if (text[n] || tm.tm_year < 1970 || tm.tm_year > 2200 || tm.tm_mon < 1 || tm.tm_mon > 12 || tm.tm_mday < 1 || tm.tm_mday > 31 ||
	    tm.tm_hour < 0 || tm.tm_hour > 23 || tm.tm_min < 0 || tm.tm_min > 59 || tm.tm_sec < 0 || tm.tm_sec > 60)
		return false;
	tm.tm_year -= 1900;
	tm.tm_mon -= 1;
	*unix_ns = (u64)timegm(&tm) * NS_PER_S;
	return true;
}

static bool set_rtc(struct config *config, const char *value, struct err *err)
{
	struct {
		char *base, *clock;
	} got = {0};
	static const struct option_key keys[] = {
		{"base", OPTION_STRING, offsetof(typeof(got), base), 0, 0, "utc, localtime or YYYY-MM-DD[THH:MM:SS]"},
		{"clock", OPTION_STRING, offsetof(typeof(got), clock), 0, 0, "vm, host or rt: one clock here"},
		{0},
	};
	if (!options_parse(value, "base", keys, &got, "-rtc", err))
		return false;
	bool ok = true;
	if (got.base && !strcmp(got.base, "localtime")) {
		time_t now = clock_host_calendar() / NS_PER_S;
		struct tm tm;
		localtime_r(&now, &tm);
		config->calendar = clock_host_calendar() + tm.tm_gmtoff * (i64)NS_PER_S;
	} else if (got.base && strcmp(got.base, "utc") && !parse_date(got.base, &config->calendar)) {
		ok = err_set(err, EXIT_USAGE, "-rtc base=%s: utc, localtime or a date as 2026-01-31 or 2026-01-31T12:00:00", got.base);
	}
	if (ok && got.clock && strcmp(got.clock, "vm") && strcmp(got.clock, "host") && strcmp(got.clock, "rt"))
		ok = err_set(err, EXIT_USAGE, "-rtc clock=%s: vm, host or rt", got.clock);
	free(got.base);
	free(got.clock);
	return ok;
}

static bool set_timeout(struct config *config, const char *value, struct err *err)
{
	char *end;

	config->timeout = strtod(value, &end);
	if (*end || end == value || !(config->timeout > 0 && config->timeout < 1e9))
		return err_set(err, EXIT_USAGE, "-timeout %s: seconds, more than 0", value);
	return true;
}

static bool set_net(struct config *config, const char *value, struct err *err)
{
	(void)config;
	return !strcmp(value, "none") || err_set(err, EXIT_USAGE, "-net %s: only 'none' so far; there is no network adapter", value);
}

static bool show_help(struct config *config, const char *value, struct err *err);
static bool show_version(struct config *config, const char *value, struct err *err)
{
	(void)config, (void)value, (void)err;
	printf("paisano %s\n", PAISANO_VERSION);
	exit(EXIT_OFF);
}
static bool nothing(struct config *config, const char *value, struct err *err)
{
	(void)config, (void)value, (void)err;
	return true;
}

static const struct option options[] = {
	{"m", "SIZE", set_memory, "RAM; a plain number is MiB (default 512M)"},
	{"smp", "N", set_cpus, "CPUs"},
	{"cpu", "MODEL[,+F,-F]", set_cpu, "CPU model and features (help lists them; default max)"},
	{"accel", "ENGINE[:ENGINE][,K=V]", set_accel, "engine: auto, kvm, jit, interp; fallback=off, device=PATH (help)"},
	{"enable-kvm", NULL, set_kvm, "same as -accel kvm"},
	{"switch", "E,WHEN", set_change,
	 "go on in another engine: addr=, port=, msr=, vector=N, text=WORDS, insns=N, ms=N"},
#ifdef ENGINE_JIT
	{"jit", "KEY=VALUE,...", set_jit, "how the translator works, and what it does without (help lists it)"},
#endif
	{"machine", "pc[,accel=E]", set_machine, "machine type"},
	{"M", "pc[,accel=E]", set_machine, "same as -machine"},
	{"kernel", "FILE", set_kernel, "boot a Linux, multiboot or PVH kernel: directly, or by the firmware that -bios names"},
	{"initrd", "FILE", set_initrd, "initial ramdisk; multiboot: FILE args,FILE args"},
	{"append", "TEXT", set_append, "kernel command line"},
	{"bios", "FILE", set_bios, "firmware: an image file, its name where packages put them (default bios-256k.bin), or uefi"},
	{"pflash", "FILE", firmware_set_pflash, "a flash chip with firmware (first) or its variables (second)"},
	{"fw_cfg", "[name=]N,file=F|string=S", firmware_set_fw_cfg, "a file for the firmware or the guest (names: opt/...)"},
	{"fda", "FILE", drives_set_fda, "floppy in drive A"},
	{"fdb", "FILE", drives_set_fdb, "floppy in drive B"},
	{"hda", "FILE", drives_set_hda, "disk: first IDE channel, unit 0"},
	{"hdb", "FILE", drives_set_hdb, "disk: first IDE channel, unit 1"},
	{"hdc", "FILE", drives_set_hdc, "disk: second IDE channel, unit 0"},
	{"hdd", "FILE", drives_set_hdd, "disk: second IDE channel, unit 1"},
	{"cdrom", "FILE", drives_set_cdrom, "CD or DVD image, in the drive at the place of -hdc"},
	{"drive", "K=V,...", drives_set, "drive: file=, if=ide|floppy|pflash, index=, media=, format=, readonly=, snapshot=, id="},
	{"snapshot", NULL, drives_set_snapshot, "what guests write to disks is forgotten at the end"},
	{"nographic", NULL, set_nographic, "serial console and monitor on this terminal (Ctrl-A h)"},
	{"display", "sdl|vnc=:N|curses|none", display_set, "where the screen is shown (help; default: what the host has)"},
	{"vnc", ":N[,K=V]", display_set_vnc, "same as -display vnc=:N"},
	{"curses", NULL, display_set_curses, "same as -display curses"},
	{"serial", "CHARDEV", set_serial,
     "serial port: stdio, mon:stdio, file:F, pty, tcp:H:P,server,nowait, unix:P,server,nowait, null, none"},
	{"parallel", "CHARDEV", set_parallel, "parallel port with a printer: file:F or as -serial"},
	{"debugcon", "CHARDEV", set_debugcon, "debug console at port 0xe9"},
	{"monitor", "CHARDEV", set_monitor, "human monitor: stdio, unix:..., tcp:..., telnet:..., none"},
	{"device", "NAME[,K=V]", set_device, "add a device (help lists them)"},
	{"S", NULL, set_paused, "do not start the CPU until 'cont' in the monitor"},
	{"no-reboot", NULL, set_no_reboot, "end the run instead of a reset"},
	{"no-shutdown", NULL, set_no_shutdown, "stop instead of ending the run at power off"},
	{"timeout", "SECONDS", set_timeout, "end the run after so much host time"},
	{"d", "ITEMS", set_log_items, "log: int, in_asm, op, out_asm, exec, cpu_reset (comma separated)"},
	{"D", "FILE", set_log_file, "write the log there (default stderr)"},
	{"trace", "GLOB", set_trace, "switch trace events on (help lists them)"},
	{"icount", "shift=N|auto", set_icount, "deterministic: time is counted in instructions"},
	{"rtc", "base=utc|localtime|DATE", set_rtc, "the guest's calendar at power-on"},
	{"name", "TEXT", set_name, "name of the machine"},
	{"pidfile", "FILE", set_pidfile, "write the process id there"},
	{"print-config", NULL, set_print_config, "print the resolved machine and end"},
	{"vga", "std|none", display_set_vga, "display adapter"},
	{"boot", "ORDER[,menu=on,once=O]", bootorder_set, "boot order: letters of a, c, d, n"},
	{"net", "none", set_net, "no network adapter"},
	{"nic", "none", set_net, "no network adapter"},
	{"sandbox", "on|off[,K=V]", sandbox_set,
	 "give up all rights before the guest runs (default: as far as the host can; on: wholly, or not begin)"},
	{"nodefaults", NULL, set_nodefaults, "no serial port unless -serial asks for one"},
	{"no-user-config", NULL, nothing, "there is none"},
	{"version", NULL, show_version, "print the version"},
	{"help", NULL, show_help, "this list"},
	{"h", NULL, show_help, "this list"},
	/* known to QEMU's users, not here */
	{"blockdev", "...", NULL, "use -drive"},
	{"netdev", "...", NULL, "there is no network adapter in this version; use -net none"},
	{"qmp", "...", NULL, "QMP is not in this version; use -monitor"},
	{"gdb", "...", NULL, "the debugger stub is not in this version; use -d in_asm,int"},
	{"s", NULL, NULL, "the debugger stub is not in this version; use -d in_asm,int"},
	{"loadvm", "NAME", NULL, "snapshots are not in this version"},
	{"daemonize", NULL, NULL, "use the shell's & and -pidfile"},
	{"chardev", "...", NULL, "name the chardev in -serial, -debugcon or -monitor"},
	{"usb", NULL, NULL, "USB is not in this version; the keyboard and mouse are PS/2"},
};

static bool show_help(struct config *config, const char *value, struct err *err)
{
	(void)config, (void)value, (void)err;
	printf("usage: paisano [OPTION...] [FILE]\n"
	       "       paisano doctor   what this host can do, and what keeps it from more\n"
	       "FILE: a disk, CD or floppy image or a kernel, looked at to see which\n\n");
	for (unsigned i = 0; i < ARRAY_LEN(options); i++)
		if (options[i].set && strcmp(options[i].name, "h"))
			printf("  -%-14s %-24s %s\n", options[i].name, options[i].argument ? options[i].argument : "", options[i].help);
	printf("\nexit codes:\n");
	for (int code = 0; code < 128; code++)
		if (err_exit_name(code))
			printf("  %3d  %s\n", code, err_exit_name(code));
	printf("  odd  isa-debug-exit: (value << 1) | 1\n");
	exit(EXIT_OFF);
}

static const struct option *find(const char *name)
{
	for (unsigned i = 0; i < ARRAY_LEN(options); i++)
		if (!strcmp(options[i].name, name))
			return &options[i];
	return NULL;
}

static bool unknown(const char *argument, const char *name, struct err *err)
{
	const char *names[ARRAY_LEN(options) + 1] = {0};

	for (unsigned i = 0; i < ARRAY_LEN(options); i++)
		names[i] = options[i].name;
	const char *near = strlen(name) > 2 ? options_nearest(name, names) : NULL;
	if (near)
		return err_set(err, EXIT_USAGE, "%s: no such option, did you mean -%s?", argument, near);
	return err_set(err, EXIT_USAGE, "%s: no such option (paisano -help lists them)", argument);
}

static bool finish(struct config *config, struct err *err)
{
	if (!model_parse(&config->model, config->cpu ? config->cpu : "max", err))
		return false;
	if (config->file && config->kernel)
		return err_set(err, EXIT_USAGE, "%s: there is a -kernel already", config->file);
	if (config->file && !drives_take_file(config, err))
		return false;
	if ((config->initrd || config->append) && !config->kernel && !config->file)
		return err_set(err, EXIT_USAGE, "%s needs -kernel", config->initrd ? "-initrd" : "-append");
	if (!drives_finish(&config->drives, !config->nodefaults, err))
		return false;
	if (!config->nodefaults && !config->serials)
		replace(&config->serial[config->serials++], config->nographic ? "mon:stdio" : "null");
	return accel_resolve(&config->accel, &config->model, config->cpu, config->icount, err);
}

bool config_parse(struct config *config, int argc, char **argv, enum config_action *action, struct err *err)
{
	*config = (struct config){.ram_size = 512ull << 20, .cpus = 1, .calendar = clock_host_calendar()};
	*action = CONFIG_RUN;
	for (int i = 1; i < argc; i++) {
		const char *argument = argv[i], *name = argument;
		if (*name != '-') {
			if (config->file)
				return err_set(err, EXIT_USAGE, "%s: a second file; options begin with a dash", argument);
			replace(&config->file, argument);
			continue;
		}
		name += name[1] == '-' ? 2 : 1;
		const struct option *option = find(name);
		if (!option)
			return unknown(argument, name, err);
		if (!option->set)
			return err_set(err, EXIT_USAGE, "%s: %s", argument, option->help);
		if (option->argument && i + 1 == argc)
			return err_set(err, EXIT_USAGE, "%s needs a value: %s", argument, option->argument);
		if (!option->set(config, option->argument ? argv[++i] : NULL, err))
			return false;
	}
	if (!finish(config, err))
		return false;
	if (config->print_config) {
		config_print(config, stdout);
		*action = CONFIG_DONE;
	}
	return true;
}

void config_print(const struct config *config, FILE *to)
{
	fprintf(to, "machine  pc\naccel    %s\ncpu      %s (%s)\nflavour  %s\n", config->accel.engine[0]->name, config->model.name,
	        config->model.brand, flavour_names[config->model.flavour]);
	fprintf(to, "smp      %llu\nmemory   %llu KiB\n", (unsigned long long)config->cpus,
	        (unsigned long long)config->ram_size >> 10);
	if (config->kernel || config->file)
		fprintf(to, "kernel   %s\n", config->kernel ? config->kernel : config->file);
	if (config->initrd)
		fprintf(to, "initrd   %s\n", config->initrd);
	if (config->append)
		fprintf(to, "append   %s\n", config->append);
	if (config->bios)
		fprintf(to, "bios     %s\n", config->bios);
	drives_print(&config->drives, to);
	for (unsigned i = 0; i < config->serials; i++)
		fprintf(to, "serial%u  %s\n", i, config->serial[i]);
	for (unsigned i = 0; i < config->devices; i++)
		fprintf(to, "device   %s%s%s\n", config->device[i].class_name, config->device[i].options ? "," : "",
		        config->device[i].options ? config->device[i].options : "");
	if (config->icount)
		fprintf(to, "icount   shift=%llu,seed=%llu\n", (unsigned long long)config->icount_shift, (unsigned long long)config->seed);
}

void config_free(struct config *config)
{
	char *owned[] = {config->cpu,      config->kernel,   config->initrd,   config->append,  config->bios,
	                 config->file,     config->debugcon, config->parallel, config->monitor, config->log_items,
	                 config->log_file, config->pidfile,  config->name};

	for (unsigned i = 0; i < ARRAY_LEN(owned); i++)
		free(owned[i]);
	for (unsigned i = 0; i < BOARD_SERIALS; i++)
		free(config->serial[i]);
	accel_free(&config->accel);
	change_free(&config->change);
	firmware_free_options(&config->firmware);
	display_free_options(&config->display);
	bootorder_free(&config->boot);
	drives_free_options(&config->drives);
	for (unsigned i = 0; i < config->devices; i++) {
		free((char *)config->device[i].options);
		free((char *)config->device[i].id);
	}
}
