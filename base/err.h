/* SPDX-License-Identifier: MIT */
/* Host and user errors: a function that can fail returns bool and completes a struct err on the way up;
 * main prints it once, as one line, and leaves with its exit code. Also the way our own bugs end. */
#ifndef BASE_ERR_H
#define BASE_ERR_H

#include "base/types.h"

/* Exit codes of the emulator. All but EXIT_OFF are even, because isa-debug-exit yields only odd ones ((v << 1) | 1).
 * EXIT_TEXT is the table that -help prints. */
enum exit_code {
	EXIT_OFF = 0,       /* the guest powered off, or reset under -no-reboot; or the user asked to quit, by a signal too */
	EXIT_USAGE = 2,     /* an option, key or value that does not exist or makes no sense */
	EXIT_FILE = 4,      /* a file is missing, unreadable, unwritable or not what it should be */
	EXIT_ACCEL = 6,     /* the requested acceleration is required and absent */
	EXIT_TRIPLE = 8,    /* triple fault with -no-reboot */
	EXIT_TIMEOUT = 10,  /* -timeout ran out */
	EXIT_HOST = 12,     /* the host refused memory, a thread, a socket, ... */
	EXIT_BUG = 70,      /* internal error */
};

struct err {
	enum exit_code code;
	char text[512]; /* one line, no full stop, no newline */
};

/* Set text and code; always returns false, so that `return err_set(err, ...)` reads well. err may be NULL. */
bool err_set(struct err *err, enum exit_code code, const char *fmt, ...) __attribute__((format(printf, 3, 4)));
/* Put "prefix: " before the text that a callee left; always returns false. */
bool err_prefix(struct err *err, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* The name of an exit code for help and documentation, or NULL if the code is none of ours. */
const char *err_exit_name(int code);

/* One line to the user that is no error ("paisano: ..." on stderr). */
void err_note(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
/* While stderr would write across a picture: fn gets the notes, as whole lines, on whatever thread. NULL: stderr again. */
void err_notes_to(void (*fn)(const char *line));

/* An internal error that must be caught in release builds too: prints, restores the terminal (err_at_exit), exits. */
#define bug(...) err_bug(__FILE__, __LINE__, __VA_ARGS__)
_Noreturn void err_bug(const char *file, int line, const char *fmt, ...) __attribute__((format(printf, 3, 4)));
/* The end, with a whole line for stderr: for signal handlers. Runs the hooks, exits with EXIT_BUG. */
_Noreturn void err_end(const char *line, size_t len);
/* Run fn at every way out that we control (exit, bug, fatal signal); fn must be async-signal-safe. */
void err_at_exit(void (*fn)(void));
/* Called once by main: fatal signals run the hooks, then take their default course. Ignored signals stay ignored; a file that
 * reaches its limit (SIGXFSZ) and a pipe that nobody reads any more (SIGPIPE) are writes that fail. */
void err_install_handlers(void);
/* From now on SIGHUP, SIGINT, SIGQUIT and SIGTERM, unless they are ignored, are no way to die but a wish to end: fn is called for
 * the first one, and those that follow are ignored, so that nothing hurries who closes disk images. fn must be
 * async-signal-safe. */
void err_on_end_signal(void (*fn)(void));
/* False: none came. Else which one and from whom, as "SIGTERM from process 42". */
bool err_end_signal(char *text, size_t size);

/* Memory: never returns NULL; a host out of memory ends the run with EXIT_HOST. err_alloc gives zeroes, and so does
 * err_alloc_apart, in cache lines of its own: for what one thread writes all the time and lies beside another's. For free(). */
void *err_alloc(size_t size);
void *err_alloc_apart(size_t size);
void *err_realloc(void *p, size_t size);
char *err_strdup(const char *s);

#endif
