/* SPDX-License-Identifier: MIT */
/* paisano: from a command line to a running machine, and its exit code. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "base/hostfile.h"
#include "base/thread.h"
#include "base/trace.h"
#include "bios/boot.h"
#include "frontend/broker.h"
#include "frontend/chardev.h"
#include "frontend/config.h"
#include "frontend/file.h"
#include "frontend/firmware.h"
#include "frontend/sandbox.h"
#include "frontend/terminal.h"

/* What a run consists of. It lasts as long as the process, however early that ends. */
static struct {
	struct board_config board;
	struct board *made;
	struct clock *clock;
	struct loop *loop;
	struct chardev *monitor_chardev;
	struct monitor *monitor;
	struct ui_host host;
	struct ui *ui[DISPLAY_CHOICES];
	bool signalled; /* a signal has ended the run, and not something else before it */
} session;

/* -initrd: one file for Linux; "FILE args,FILE args" for multiboot. */
static bool read_modules(const struct config *config, struct board_config *board, struct err *err)
{
	if (!config->initrd)
		return true;
	if (boot_kind(board->kernel.data, board->kernel.size) != BOOT_MULTIBOOT) {
		board->modules = 1;
		return file_read_again(config->initrd, "-initrd", &board->module[0], err);
	}
	for (char *save = NULL, *word = strtok_r(config->initrd, ",", &save); word; word = strtok_r(NULL, ",", &save)) {
		if (board->modules == ARRAY_LEN(board->module))
			return err_set(err, EXIT_USAGE, "-initrd: more than %zu modules", ARRAY_LEN(board->module));
		char *space = strchr(word, ' ');
		if (space)
			*space++ = 0;
		if (!file_read_again(word, "-initrd", &board->module[board->modules], err))
			return false;
		board->module[board->modules++].args = space;
	}
	return true;
}

static bool read_kernel(const struct config *config, struct board_config *board, struct loop *loop, struct err *err)
{
	const char *path = config->kernel ? config->kernel : config->file;
	bool needed = !path && drives_bootable(&config->drives);

	if (path) {
		if (!file_read_again(path, config->kernel ? "-kernel" : "file", &board->kernel, err) || !read_modules(config, board, err))
			return false;
		board->cmdline = config->append;
		needed = boot_needs_firmware(board->kernel.data, board->kernel.size);
	}
	if (!firmware_read(config, needed, board, loop, err))
		return false;
	return path || needed || firmware_given(config) ||
	       err_set(err, EXIT_USAGE, "nothing to boot: give a disk, CD or kernel (paisano FILE, -hda FILE, -cdrom FILE, "
	                                "-kernel FILE) or -bios FILE");
}

/* Without a specification, or with "none", there is nothing to open. */
static bool open_chardev(const char *spec, const char *what, struct chardev **chardev, struct loop *loop, struct err *err)
{
	if (!spec || !strcmp(spec, "none"))
		return true;
	*chardev = strcmp(spec, "stdio") ? chardev_open(spec, what, loop, err) : terminal_open(false, loop, err);
	return *chardev;
}

static bool open_chardevs(const struct config *config, struct board_config *board, struct loop *loop, struct err *err)
{
	for (unsigned i = 0; i < config->serials; i++) {
		const char *spec = config->serial[i];
		if (!strcmp(spec, "none"))
			continue;
		if (!strcmp(spec, "stdio") || !strcmp(spec, "mon:stdio"))
			board->serial[i] = terminal_open(spec[0] == 'm', loop, err);
		else
			board->serial[i] = chardev_open(spec, "-serial", loop, err);
		if (!board->serial[i])
			return false;
	}
	/* a console that nobody was named for is stdout's */
	for (unsigned i = 0; i < config->devices; i++)
		if (!strcmp(config->device[i].class_name, "isa-debugcon"))
			board->extra[i].chardev = chardev_inherited(-1, fcntl(STDOUT_FILENO, F_GETFL) == -1 ? -1 : STDOUT_FILENO, loop);
	return open_chardev(config->debugcon, "-debugcon", &board->debugcon, loop, err) &&
	       open_chardev(config->parallel, "-parallel", &board->parallel, loop, err);
}

static bool open_log(const struct config *config, struct board_config *board, struct err *err)
{
	struct {
		const char *name;
		bool *flag;
	} const items[] = {{"int", &board->log.interrupts},
	                   {"in_asm", &board->log.in_asm},
	                   {"exec", &board->log.exec},
	                   {"op", &board->log.op},
	                   {"out_asm", &board->log.out_asm},
	                   {"cpu_reset", &board->log.reset}};

	board->log.file = stderr;
	if (config->log_file) {
		board->log.file = file_output_stream(config->log_file, "-D", err);
		if (!board->log.file)
			return false;
		setvbuf(board->log.file, NULL, _IOLBF, 0);
		trace_output(board->log.file);
	}
	for (char *save = NULL, *word = config->log_items ? strtok_r(config->log_items, ",", &save) : NULL; word;
	     word = strtok_r(NULL, ",", &save)) {
		bool known = false;
		for (unsigned i = 0; i < ARRAY_LEN(items); i++)
			if (!strcmp(word, items[i].name))
				known = *items[i].flag = true;
		if (!known)
			return err_set(err, EXIT_USAGE, "-d %s: not one of int, in_asm, op, out_asm, exec, cpu_reset", word);
	}
	return true;
}

/* -timeout is in host time from the start on, also while the machine stands still or waits for a client. */
struct timeout {
	struct loop *loop;
	double seconds;
};
static void *timeout_main(void *opaque)
{
	struct timeout *t = opaque;
	struct timespec left = {.tv_sec = (time_t)t->seconds, .tv_nsec = (long)((t->seconds - (time_t)t->seconds) * 1e9)};

	while (nanosleep(&left, &left) && errno == EINTR)
		;
	if (!loop_quitting(t->loop)) {
		err_note("-timeout %g: time is up", t->seconds);
		loop_quit(t->loop, EXIT_TIMEOUT);
	}
	return NULL;
}

static void start_timeout(const struct config *config, struct loop *loop)
{
	static struct timeout timeout;
	pthread_t thread;

	if (!config->timeout)
		return;
	timeout = (struct timeout){loop, config->timeout};
	if (!thread_start(&thread, THREAD_TIMER, timeout_main, &timeout))
		pthread_detach(thread);
}

static void monitor_write(void *opaque, const u8 *data, size_t len)
{
	struct chardev *c = opaque;

	c->write(c->opaque, data, len);
}

/* Who does not read the answers is not asked for more commands. */
static size_t monitor_room(void *opaque)
{
	const struct chardev *c = session.monitor_chardev;

	(void)opaque;
	return c->full(c->opaque) ? 0 : SIZE_MAX;
}

static void monitor_ready(void *opaque)
{
	const struct chardev *c = session.monitor_chardev;

	(void)opaque;
	c->room(c->opaque);
}

static struct monitor *monitor_attach(struct board *board, struct chardev *chardev)
{
	struct monitor *m = monitor_new(board, monitor_write, chardev);

	chardev->device = m;
	chardev->receive = (void (*)(void *, const u8 *, size_t))monitor_input;
	chardev->can_receive = monitor_room;
	chardev->ready = monitor_ready;
	chardev_on_connect(chardev, (void (*)(void *))monitor_connected, m);
	return m;
}

/* In a signal's handler. */
static void on_end_signal(void)
{
	terminal_ends();
	session.signalled = loop_quit(session.loop, EXIT_OFF);
}

static u64 count_instructions(void *opaque)
{
	struct board *board = opaque;
	u64 sum = 0;

	for (unsigned i = 0; i < board_cpus(board); i++)
		sum += __atomic_load_n(&board_cpu(board, i)->instructions, __ATOMIC_RELAXED);
	return sum;
}

static const char *engine_name(void *opaque)
{
	return board_engine(opaque)->name;
}

static bool start_displays(const struct config *config, struct board *board, struct err *err)
{
	session.host = (struct ui_host){.machine = board_machine(board), .name = config->name, .instructions = count_instructions,
	                                .engine = engine_name, .opaque = board, .confined = config->sandbox != SANDBOX_OFF};
	return display_start(config, &session.host, session.ui, err);
}

static bool arm_triggers(const struct config *config, struct board *board, struct err *err)
{
	loop_lock(session.loop);
	bool ok = change_arm(&config->change, board, err);
	loop_unlock(session.loop);
	return ok;
}

static bool attach_monitor(const struct config *config, struct board *board, struct err *err)
{
	if (!open_chardev(config->monitor, "-monitor", &session.monitor_chardev, session.loop, err))
		return false;
	if (session.monitor_chardev) {
		session.monitor = monitor_attach(board, session.monitor_chardev);
		if (terminal_owns(session.monitor_chardev))
			monitor_prompt(session.monitor);
		else
			monitor_connected(session.monitor);
	}
	return true;
}

/* From here on the process has what it needs, and gets nothing more. */
static bool shut(const struct config *config, struct board *board, struct loop *loop, struct err *err)
{
	const struct engine *engine;
	bool kvm = false;

	for (unsigned i = 0; (engine = accel_engine(i)); i++)
		kvm |= board_reserve(board, engine) && !strcmp(engine->name, "kvm");
	if (session.monitor_chardev && !chardev_guard(session.monitor_chardev, false, err))
		return false;
	loop_start_workers(loop);
	loop_lock(loop);
	broker_watch(loop);
	loop_unlock(loop);
	return terminal_guard(err) && board_start(board, err) && sandbox_enter(config->sandbox, kvm, err);
}

static void configure_board(const struct config *config)
{
	session.board = (struct board_config){
		.ram_size = config->ram_size,
		.cpus = config->cpus,
		.model = config->model,
		.engine = config->accel.engine[0],
		.tsc_hz = config->accel.tsc_hz,
		.paused = config->paused,
		.nographic = config->nographic,
		.no_reboot = config->no_reboot,
		.no_shutdown = config->no_shutdown,
		.count_instructions = config->icount,
		.icount_shift = config->icount_shift,
		.seed = config->seed,
		.calendar = config->calendar,
		.extras = config->devices,
	};
	for (unsigned i = 1; i < config->accel.engines; i++)
		session.board.fallback[i - 1] = config->accel.engine[i];
	memcpy(session.board.extra, config->device, sizeof config->device);
	bootorder_configure(&config->boot, &session.board);
}

static bool set_up(struct config *config, struct err *err)
{
	struct loop *loop;

	configure_board(config);
	session.clock = clock_new();
	loop = session.loop = loop_new(session.clock, err);
	if (!loop)
		return false;
	err_on_end_signal(on_end_signal);
	start_timeout(config, loop); /* before anything is waited for, such as a client of -serial unix:PATH,server */
	if (!display_configure(config, &session.board, err) || !read_kernel(config, &session.board, loop, err) ||
	    !open_log(config, &session.board, err) || (config->pidfile && !file_pid(config->pidfile, err)) ||
	    !open_chardevs(config, &session.board, loop, err) || !drives_open(&config->drives, loop, &session.board, err))
		return false;
	struct board *board = session.made = board_new(&session.board, session.clock, loop, err);
	if (!board)
		return false;
	terminal_attach(board);
	return attach_monitor(config, board, err) && arm_triggers(config, board, err) && start_displays(config, board, err) &&
	       shut(config, board, loop, err);
}

static void close_chardev(struct chardev *chardev)
{
	if (!terminal_owns(chardev))
		chardev_close(chardev);
}

/* Every orderly end comes through here, whatever was set up until then: the images are closed first, what the outside may keep
 * waiting for comes behind them. False: something that the guest has written is lost. */
static bool tear_down(const struct config *config)
{
	if (!session.loop)
		return true;
	display_stop(session.ui);
	firmware_close();
	board_free(session.made);
	bool good = drives_close(session.loop);
	for (unsigned i = 0; i < BOARD_SERIALS; i++)
		close_chardev(session.board.serial[i]);
	close_chardev(session.board.parallel);
	close_chardev(session.board.debugcon);
	for (unsigned i = 0; i < session.board.extras; i++)
		close_chardev(session.board.extra[i].chardev);
	close_chardev(session.monitor_chardev);
	terminal_close();
	monitor_free(session.monitor);
	if (config->pidfile)
		hostfile_remove(config->pidfile);
	return good;
}

static int run(struct config *config, struct err *err)
{
	bool ok = set_up(config, err);
	char who[64];

	if (ok && *config->accel.note)
		err_note("%s", config->accel.note);
	int code = ok ? board_run(session.made) : (int)err->code;
	bool kept = tear_down(config);
	if (session.signalled && err_end_signal(who, sizeof who)) {
		err_note("the run was ended by %s", who);
		err->text[0] = 0; /* what could not be set up any more does not matter */
		code = EXIT_OFF;
	}
	return (code == EXIT_OFF || code == EXIT_TIMEOUT) && !kept ? EXIT_HOST : code;
}

int main(int argc, char **argv)
{
	static struct config config;
	struct err err = {.code = EXIT_BUG};
	enum config_action action;
	int code = EXIT_OFF;

	thread_is(THREAD_MAIN);
	if (!hostfile_keep_standard())
		return EXIT_HOST;
	err_install_handlers();
	if (argc == 2 && !strcmp(argv[1], "doctor"))
		return accel_doctor(stdout);
	if (!config_parse(&config, argc, argv, &action, &err))
		code = err.code;
	else if (action == CONFIG_RUN)
		code = sandbox_begin(config.sandbox, &err) ? run(&config, &err) : (int)err.code;
	if (err.text[0])
		fprintf(stderr, "paisano: %s\n", err.text);
	config_free(&config);
	return code;
}
