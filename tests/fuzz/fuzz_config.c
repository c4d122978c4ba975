/* SPDX-License-Identifier: MIT */
/* Fuzzer: command lines. The input is the arguments, one behind each line feed. An answer is a configuration that can be printed,
 * or one line; lists that end the run (help) end the input. */
#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/trace.h"
#include "frontend/config.h"

#define ARGUMENTS 40

int LLVMFuzzerTestOneInput(const u8 *data, size_t size);
/* LeakSanitizer's question: what a list leaves behind when it ends the run is no leak. */
int __lsan_is_turned_off(void);
int __lsan_is_turned_off(void) { return 1; }

static jmp_buf at_exit;
static bool parsing;

_Noreturn void __real_exit(int code);
_Noreturn void __wrap_exit(int code);
_Noreturn void __wrap_exit(int code)
{
	if (parsing)
		longjmp(at_exit, 1);
	__real_exit(code);
}
/* Speeds are measured for seconds, and engines probed. Not here. */
struct speed;
bool __wrap_speed_measure(const struct engine *engine, const struct cpu_model *model, u64 tsc_hz, struct speed *speed,
                          struct err *err);
bool __wrap_speed_measure(const struct engine *engine, const struct cpu_model *model, u64 tsc_hz, struct speed *speed,
                          struct err *err)
{
	(void)engine, (void)model, (void)tsc_hz, (void)speed;
	return err_set(err, EXIT_HOST, "not measured");
}

int LLVMFuzzerTestOneInput(const u8 *data, size_t size)
{
	static struct config config;
	static FILE *nowhere;
	static int out;
	char *argv[ARGUMENTS + 4] = {"paisano", "-accel", "interp"}, *text = err_alloc(size + 1), *save = NULL;
	int argc = 3;
	enum config_action action;
	struct err err = {0};
	bool ok;

	if (!nowhere) {
		nowhere = fopen("/dev/null", "w");
		out = dup(1);
		if (!nowhere || chdir("/proc/self/task")) /* no file has a name there */
			abort();
	}
	memcpy(text, data, size);
	for (char *word = strtok_r(text, "\n", &save); word && argc < ARGUMENTS; word = strtok_r(NULL, "\n", &save))
		argv[argc++] = word;
	fflush(stdout);
	dup2(fileno(nowhere), 1);
	parsing = true;
	if (!setjmp(at_exit)) {
		ok = config_parse(&config, argc, argv, &action, &err);
		parsing = false;
		if (ok)
			config_print(&config, nowhere);
		else if (!err.text[0] || strchr(err.text, '\n') || !err.code)
			bug("a command line that is refused without one line: \"%s\"", err.text);
	}
	parsing = false;
	fflush(stdout);
	dup2(out, 1);
	config_free(&config);
	memset(&config, 0, sizeof config);
	trace_enable("*", false);
	free(text);
	return 0;
}
