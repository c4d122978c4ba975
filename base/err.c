/* SPDX-License-Identifier: MIT */
/* Errors, ways out, and memory that cannot fail.
 *
 * Invariant: every hook of err_at_exit() runs exactly once, whichever way out comes first and however many threads take
 * one at the same time. Everything a fatal signal reaches is async-signal-safe: atomics and hooks, no stdio. */
#define _GNU_SOURCE /* sigabbrev_np */
#include "base/err.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#define HOOKS 32
#define SIGNAL_STACK (64 * 1024)
#define NOTE_WAIT_MS 100

typedef void hook_fn(void);

static hook_fn *hooks[HOOKS];
static unsigned hook_count;

static void run_hooks(void)
{
	unsigned n = __atomic_load_n(&hook_count, __ATOMIC_ACQUIRE);

	for (unsigned i = MIN(n, HOOKS); i-- > 0;) {
		hook_fn *fn = __atomic_exchange_n(&hooks[i], NULL, __ATOMIC_ACQ_REL);
		if (fn)
			fn();
	}
}

/* ---- struct err ---- */
static void one_line(char *text)
{
	for (; *text; text++)
		if ((u8)*text < ' ')
			*text = ' ';
}

bool err_set(struct err *err, enum exit_code code, const char *fmt, ...)
{
	char text[sizeof err->text];
	va_list ap;

	if (!err)
		return false;
	va_start(ap, fmt);
	vsnprintf(text, sizeof text, fmt, ap); /* not in place: the arguments may come from err->text */
	va_end(ap);
	one_line(text);
	memcpy(err->text, text, sizeof text);
	err->code = code;
	return false;
}

bool err_prefix(struct err *err, const char *fmt, ...)
{
	char text[sizeof err->text];
	va_list ap;
	size_t n, tail;

	if (!err)
		return false;
	va_start(ap, fmt);
	vsnprintf(text, sizeof text - 2, fmt, ap);
	va_end(ap);
	one_line(text);
	n = strlen(text);
	memcpy(text + n, ": ", 2);
	n += 2;
	tail = MIN(strlen(err->text), sizeof text - 1 - n);
	memmove(err->text + n, err->text, tail);
	memcpy(err->text, text, n);
	err->text[n + tail] = '\0';
	return false;
}

const char *err_exit_name(int code)
{
	static const struct {
		enum exit_code code;
		const char *name;
	} names[] = {
		{EXIT_OFF, "the guest powered off, or reset with -no-reboot; or the user quit, by a signal too"},
		{EXIT_USAGE, "an option, key or value that does not exist or makes no sense"},
		{EXIT_FILE, "a file is missing, unreadable, unwritable or not what it should be"},
		{EXIT_ACCEL, "the requested acceleration is required and absent"},
		{EXIT_TRIPLE, "triple fault of the guest (with -no-reboot)"},
		{EXIT_TIMEOUT, "-timeout ran out"},
		{EXIT_HOST, "the host refused memory, a thread, a socket or the like"},
		{EXIT_BUG, "internal error"},
	};

	for (size_t i = 0; i < ARRAY_LEN(names); i++)
		if ((int)names[i].code == code)
			return names[i].name;
	return NULL;
}

/* ---- lines to the user ---- */
static void line_to_stderr(const char *label, const char *fmt, va_list ap)
{
	flockfile(stderr);
	fprintf(stderr, "paisano: %s", label);
	vfprintf(stderr, fmt, ap);
	fputc('\n', stderr);
	funlockfile(stderr);
}

static void (*_Atomic notes_to)(const char *line);

void err_notes_to(void (*fn)(const char *line))
{
	notes_to = fn;
}

void err_note(const char *fmt, ...)
{
	struct pollfd p = {.fd = STDERR_FILENO, .events = POLLOUT};
	void (*to)(const char *line) = notes_to;
	char text[600], line[640];
	va_list ap;

	va_start(ap, fmt);
	if (to) {
		vsnprintf(text, sizeof text, fmt, ap);
		snprintf(line, sizeof line, "paisano: %s\n", text);
		to(line);
	} else if (poll(&p, 1, NOTE_WAIT_MS) > 0) { /* else nobody reads stderr; that must not stop a machine */
		line_to_stderr("", fmt, ap);
	}
	va_end(ap);
}

void err_bug(const char *file, int line, const char *fmt, ...)
{
	char label[256];
	va_list ap;

	run_hooks();
	snprintf(label, sizeof label, "internal error at %s:%d: ", file, line);
	va_start(ap, fmt);
	line_to_stderr(label, fmt, ap);
	va_end(ap);
	/* The last lines of a log are those that explain the bug. No exit(): other threads still run in what its handlers
	 * would take apart. */
	fflush(NULL);
	_exit(EXIT_BUG);
}

void err_end(const char *line, size_t len)
{
	run_hooks();
	if (write(STDERR_FILENO, line, len) < 0) /* nobody is there to be told */
		_exit(EXIT_BUG);
	_exit(EXIT_BUG);
}

/* ---- ways out ---- */
void err_at_exit(void (*fn)(void))
{
	unsigned n = __atomic_fetch_add(&hook_count, 1, __ATOMIC_ACQ_REL);

	if (n >= HOOKS)
		bug("more than %d exit hooks", HOOKS);
	__atomic_store_n(&hooks[n], fn, __ATOMIC_RELEASE);
	if (n == 0)
		atexit(run_hooks);
}

/* Signals by which somebody asks us to end, and those that our own faults and the end of the world bring. */
static const int end_signals[] = {SIGHUP, SIGINT, SIGQUIT, SIGTERM};
static const int fatal_signals[] = {
	SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGILL, SIGABRT, SIGBUS, SIGFPE, SIGSEGV,
};
static struct sigaction old_actions[ARRAY_LEN(fatal_signals)];

/* A fault of this thread strikes again on return, with its true address for whoever looks at the dump. Anything else came once,
 * from a process or, as what is typed at the terminal and its hang-up, from the kernel. */
static bool strikes_again(const siginfo_t *info)
{
	switch (info->si_signo) {
	case SIGILL:
	case SIGFPE:
	case SIGSEGV:
		return info->si_code > 0;
	case SIGBUS:
		return info->si_code > 0 && info->si_code != BUS_MCEERR_AO;
	default:
		return false;
	}
}

static void on_fatal_signal(int sig, siginfo_t *info, void *context)
{
	int saved_errno = errno;

	(void)context;
	run_hooks();
	for (size_t i = 0; i < ARRAY_LEN(fatal_signals); i++)
		if (fatal_signals[i] == sig)
			sigaction(sig, &old_actions[i], NULL);
	errno = saved_errno;
	if (!strikes_again(info))
		raise(sig);
}

static bool is_ignored(int sig)
{
	struct sigaction now;

	return !sigaction(sig, NULL, &now) && now.sa_handler == SIG_IGN;
}

void err_install_handlers(void)
{
	struct sigaction action = {.sa_sigaction = on_fatal_signal, .sa_flags = SA_SIGINFO | SA_ONSTACK};
	stack_t stack = {.ss_size = SIGNAL_STACK};

	/* so that the main thread's stack overflow restores the terminal as well */
	stack.ss_sp = mmap(NULL, SIGNAL_STACK, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (stack.ss_sp != MAP_FAILED)
		sigaltstack(&stack, NULL);
	sigfillset(&action.sa_mask);
	for (size_t i = 0; i < ARRAY_LEN(fatal_signals); i++) {
		sigaction(fatal_signals[i], NULL, &old_actions[i]);
		if (old_actions[i].sa_handler != SIG_IGN) /* nohup, background jobs of a shell */
			sigaction(fatal_signals[i], &action, NULL);
	}
	signal(SIGXFSZ, SIG_IGN); /* a file over its limit is a full disk: a write that fails, EFBIG, and no reason to die */
	signal(SIGPIPE, SIG_IGN); /* nor is a reader that has gone: EPIPE */
}

static struct {
	void (*fn)(void);
	int signal;
	pid_t sender; /* 0: the kernel */
} end;

static void on_end_signal(int sig, siginfo_t *info, void *context)
{
	int saved_errno = errno, none = 0;

	(void)context;
	for (size_t i = 0; i < ARRAY_LEN(end_signals); i++)
		signal(end_signals[i], SIG_IGN);
	if (__atomic_compare_exchange_n(&end.signal, &none, sig, false, __ATOMIC_ACQ_REL, __ATOMIC_RELAXED)) {
		__atomic_store_n(&end.sender, info->si_code <= 0 ? info->si_pid : 0, __ATOMIC_RELAXED);
		end.fn();
	}
	errno = saved_errno;
}

void err_on_end_signal(void (*fn)(void))
{
	struct sigaction action = {.sa_sigaction = on_end_signal, .sa_flags = SA_SIGINFO | SA_ONSTACK};

	end.fn = fn;
	sigfillset(&action.sa_mask);
	for (size_t i = 0; i < ARRAY_LEN(end_signals); i++)
		if (!is_ignored(end_signals[i]))
			sigaction(end_signals[i], &action, NULL);
}

bool err_end_signal(char *text, size_t size)
{
	int sig = __atomic_load_n(&end.signal, __ATOMIC_ACQUIRE);
	pid_t sender = __atomic_load_n(&end.sender, __ATOMIC_RELAXED);
	const char *name = sig ? sigabbrev_np(sig) : NULL;

	if (!sig)
		return false;
	if (sender)
		snprintf(text, size, "SIG%s from process %ld", name, (long)sender);
	else
		snprintf(text, size, "SIG%s from the %s", name, sig == SIGTERM ? "system" : "terminal");
	return true;
}

/* ---- memory ---- */
static _Noreturn void out_of_memory(size_t size)
{
	run_hooks();
	fprintf(stderr, "paisano: the host has no memory left (%zu bytes wanted)\n", size);
	fflush(NULL);
	_exit(EXIT_HOST);
}

void *err_alloc(size_t size)
{
	void *p = calloc(1, MAX(size, (size_t)1));

	if (!p)
		out_of_memory(size);
	return p;
}

void *err_alloc_apart(size_t size)
{
	enum { LINES = 128 }; /* they are fetched in pairs */
	const size_t whole = (MAX(size, (size_t)1) + LINES - 1) & ~(size_t)(LINES - 1);
	void *p = aligned_alloc(LINES, whole);

	if (!p)
		out_of_memory(size);
	return memset(p, 0, whole);
}

void *err_realloc(void *p, size_t size)
{
	void *q = realloc(p, MAX(size, (size_t)1));

	if (!q)
		out_of_memory(size);
	return q;
}

char *err_strdup(const char *s)
{
	size_t n = strlen(s) + 1;

	return memcpy(err_alloc(n), s, n);
}
