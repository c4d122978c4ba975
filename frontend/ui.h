/* SPDX-License-Identifier: MIT */
/* What shows the screen and takes keys and mouse: a window, VNC, a terminal. One file each, which registers itself with UI();
 * a build without the library it needs lacks the file. Each runs in a thread of its own and holds the machine lock only to
 * bring its picture up to date and to pass input on, so that neither a slow display nor a slow network stops the machine. */
#ifndef FRONTEND_UI_H
#define FRONTEND_UI_H

#include "base/thread.h"
#include "frontend/keys.h"
#include "hw/device.h"
#include "hw/video/display.h"

struct ui;

struct ui_class {
	const char *name, *desc;
	size_t size;                          /* of the object, which begins with struct ui */
	const struct option_key *options;     /* offsets into the object */
	enum thread_kind thread;              /* what its thread is, for the sandbox */
	const char *implied;                  /* key of a first value without a name; may be NULL */
	/* All on the front end's own thread. open: get hold of host resources; on failure leave nothing behind. run: until
	 * ui_quitting(), which is to be looked at every 100 ms, or when ui_wait() returns. */
	bool (*open)(struct ui *ui, struct err *err);
	void (*run)(struct ui *ui);
	void (*close)(struct ui *ui);
	/* On another thread, after quit was set: end what run() may be waiting for besides ui_wait(). NULL: nothing. */
	void (*hurry)(struct ui *ui);
	const struct ui_class *next;
};

/* What a front end may know of the machine, and of the run: filled by main, outlives the front ends. */
struct ui_host {
	struct machine *machine;
	const char *name;                     /* -name; may be NULL */
	u64 (*instructions)(void *opaque);    /* executed so far, for the speed in the title; any thread, no lock; may be NULL */
	const char *(*engine)(void *opaque);  /* its name; under the lock; may be NULL */
	void *opaque;
	bool confined;                        /* a sandbox will shut: what is needed is to be had when opening, or not at all */
	unsigned viewers;                     /* started so far; 0 to begin with */
};

struct ui {
	const struct ui_class *class;
	struct ui_host *host;
	struct picture picture;               /* the thread's own */
	unsigned viewer;
	struct keys_typist typist;
	bool placed;                          /* the last position is known: x, y */
	int x, y;
	int event;                            /* eventfd; readable when quit was set */
	bool quit;
	pthread_t thread;
};

void ui_register(struct ui_class *class);
#define UI(id)                                                                                                         \
	static struct ui_class id##_class;                                                                                 \
	__attribute__((constructor)) static void id##_class_register(void)                                                 \
	{                                                                                                                  \
		ui_register(&id##_class);                                                                                      \
	}                                                                                                                  \
	static struct ui_class id##_class

const struct ui_class *ui_find(const char *name);
const struct ui_class *ui_first(void);

/* Without the machine lock, between making the board and running it. NULL: err has a line. */
struct ui *ui_start(const char *name, const char *options, struct ui_host *host, struct err *err);
/* Ends the thread. Without the machine lock, before the board is freed. */
void ui_stop(struct ui *ui);

/* ---- for the front ends; from their thread, without the lock ---- */
bool ui_quitting(const struct ui *ui);
/* Bring ui->picture up to date; true if something changed. */
bool ui_update(struct ui *ui, bool all);
bool ui_text(struct ui *ui, struct text_screen *screen);
void ui_resize_hint(struct ui *ui, unsigned width, unsigned height);
void ui_key(struct ui *ui, unsigned code, bool down);
void ui_keysym(struct ui *ui, u32 keysym, bool down);
void ui_release_keys(struct ui *ui);
bool ui_wants_absolute(struct ui *ui);
void ui_motion(struct ui *ui, int dx, int dy, int wheel, unsigned buttons);
/* A position within a picture of width x height: where the pointer is absolute, that; else the way from the last position. */
void ui_position(struct ui *ui, int x, int y, int wheel, unsigned buttons);
/* The user wants the run to end. */
void ui_end_run(struct ui *ui);
/* Wait for `fd` (or any of n) or the end, at most ms (-1: for ever). */
struct pollfd;
void ui_wait(struct ui *ui, struct pollfd *fds, unsigned count, int ms);

/* How long to wait until the next look at the screen: soon after something happened, rarely when nothing does. */
#define UI_TICK_MS 16
#define UI_IDLE_MS 100
struct ui_pace {
	unsigned quiet; /* looks without a change */
};
int ui_next_look(struct ui_pace *pace, bool changed);

#endif
