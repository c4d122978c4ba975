/* SPDX-License-Identifier: MIT */
/* Fuzzer: what is typed into the monitor of a machine that stands still. Files are neither opened nor written, engines stay. */
#include "base/trace.h"
#include "frontend/monitor.h"
#include "frontend/screendump.h"
#include "tests/fuzz/machine.h"

int LLVMFuzzerTestOneInput(const u8 *data, size_t size);
bool __wrap_screendump_take(const struct machine *machine, const char *file, struct err *err);
struct disk *__wrap_disk_open(const struct disk_config *config, struct loop *loop, struct err *err);
void __wrap_vcpu_step(struct vcpu *vcpu, u64 count);
bool __wrap_board_switch(struct board *board, const struct engine *to, struct err *err);
unsigned __wrap_trace_enable(const char *glob, bool on);

bool __wrap_screendump_take(const struct machine *machine, const char *file, struct err *err)
{
	(void)machine;
	return err_set(err, EXIT_FILE, "%s: not here", file);
}
/* One medium comes, others are missing. */
struct disk *__wrap_disk_open(const struct disk_config *config, struct loop *loop, struct err *err)
{
	(void)loop;
	if (!strcmp(config->file, "disc"))
		return machine_medium(2);
	err_set(err, EXIT_FILE, "%s: not here", config->file);
	return NULL;
}
void __wrap_vcpu_step(struct vcpu *vcpu, u64 count) { (void)vcpu, (void)count; /* the CPU's thread does not run */ }
bool __wrap_board_switch(struct board *board, const struct engine *to, struct err *err)
{
	(void)board;
	return err_set(err, EXIT_ACCEL, "%s: not here", to->name);
}
unsigned __wrap_trace_enable(const char *glob, bool on) { return (unsigned)strlen(glob) + on; /* they would fill the terminal */ }

static void typed(void *opaque, const u8 *data, size_t len)
{
	u64 *sum = opaque;

	for (size_t i = 0; i < len; i++) /* all of it is there: a sanitizer looks on */
		*sum += data[i];
}

int LLVMFuzzerTestOneInput(const u8 *data, size_t size)
{
	static u64 sum;
	struct fuzz_machine *m = machine_get(machine_target("all"));

	machine_restore(m);
	m->board->paused = 1 << 20; /* cont never gets to the end of it */
	struct monitor *monitor = monitor_new(m->board, typed, &sum);
	monitor_prompt(monitor);
	while (size) { /* as a terminal gives it: a few at a time; a key's time passes behind each line */
		const u8 *end = memchr(data, '\n', size);
		size_t n = end ? (size_t)(end - data) + 1 : size;

		monitor_input(monitor, data, n);
		data += n;
		size -= n;
		machine_pass(m, NS_PER_S);
		if (!machine_loop(m))
			break;
	}
	monitor_free(monitor);
	board_switch_never(m->board);
	return 0;
}
