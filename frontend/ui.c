/* SPDX-License-Identifier: MIT */
/* Front ends: their catalogue, their threads, and their way to the machine. See ui.h. */
#define _GNU_SOURCE
#include "frontend/ui.h"

#include <errno.h>
#include <poll.h>
#include <semaphore.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

static struct ui_class *first_class;

/* ---- catalogue ---- */

void ui_register(struct ui_class *class)
{
	struct ui_class **at = &first_class;

	while (*at && strcmp((*at)->name, class->name) < 0)
		at = (struct ui_class **)&(*at)->next;
	class->next = *at;
	*at = class;
}

const struct ui_class *ui_first(void)
{
	return first_class;
}

const struct ui_class *ui_find(const char *name)
{
	const struct ui_class *c = first_class;

	while (c && strcmp(c->name, name))
		c = c->next;
	return c;
}

/* ---- life ---- */

static void key_to_machine(void *opaque, unsigned code, bool down)
{
	input_key(((struct ui *)opaque)->host->machine, code, down);
}

/* Opening, running and closing are one thread's: libraries of windows insist. */
struct start {
	struct ui *ui;
	struct err *err;
	bool ok;
	sem_t done;
};

static void *run_thread(void *opaque)
{
	struct start *start = opaque;
	struct ui *ui = start->ui;
	bool ok = start->ok = ui->class->open(ui, start->err);

	sem_post(&start->done); /* from here on *start is gone */
	if (ok) {
		ui->class->run(ui);
		ui->class->close(ui);
	}
	return NULL;
}

static bool open_in_thread(struct ui *ui, struct err *err)
{
	struct start start = {.ui = ui, .err = err};

	sem_init(&start.done, 0, 0);
	int code = thread_start(&ui->thread, ui->class->thread, run_thread, &start);
	if (code)
		return err_set(err, EXIT_HOST, "-display %s: %s", ui->class->name, strerror(code));
	while (sem_wait(&start.done))
		;
	sem_destroy(&start.done);
	if (!start.ok)
		pthread_join(ui->thread, NULL);
	return start.ok;
}

static void free_ui(struct ui *ui)
{
	for (const struct option_key *o = ui->class->options; o && o->key; o++)
		if (o->type == OPTION_STRING)
			free(*(char **)((char *)ui + o->offset));
	picture_free(&ui->picture);
	if (ui->event >= 0)
		close(ui->event);
	free(ui);
}

struct ui *ui_start(const char *name, const char *options, struct ui_host *host, struct err *err)
{
	const struct ui_class *class = ui_find(name);

	/* viewer 0 is for screendumps, which draw everything anyway */
	if (!class || host->viewers == DISPLAY_VIEWERS - 1) {
		err_set(err, EXIT_USAGE, class ? "-display %s: there are %d displays already" : "-display %s: this build has none", name,
		        DISPLAY_VIEWERS - 1);
		return NULL;
	}
	struct ui *ui = err_alloc(class->size);
	ui->class = class;
	ui->host = host;
	ui->viewer = ++host->viewers;
	ui->typist = (struct keys_typist){.key = key_to_machine, .opaque = ui};
	ui->event = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	bool ok = ui->event >= 0 || err_set(err, EXIT_HOST, "-display %s: %s", name, strerror(errno));
	if (ok && options && *options)
		ok = class->options ? options_parse(options, class->implied, class->options, ui, "-display", err)
		                    : err_set(err, EXIT_USAGE, "-display %s: it takes no options (%s)", name, options);
	if (ok && open_in_thread(ui, err))
		return ui;
	free_ui(ui);
	return NULL;
}

void ui_stop(struct ui *ui)
{
	const u64 one = 1;

	if (!ui)
		return;
	__atomic_store_n(&ui->quit, true, __ATOMIC_RELEASE);
	if (write(ui->event, &one, sizeof one) < 0 && errno != EAGAIN)
		bug("an eventfd refuses to be written");
	if (ui->class->hurry)
		ui->class->hurry(ui);
	pthread_join(ui->thread, NULL);
	free_ui(ui);
}

bool ui_quitting(const struct ui *ui)
{
	return __atomic_load_n(&ui->quit, __ATOMIC_ACQUIRE);
}

void ui_end_run(struct ui *ui)
{
	loop_quit(ui->host->machine->loop, EXIT_OFF);
}

void ui_wait(struct ui *ui, struct pollfd *fds, unsigned count, int ms)
{
	struct pollfd all[64] = {{.fd = ui->event, .events = POLLIN}};

	count = MIN(count, (unsigned)ARRAY_LEN(all) - 1);
	memcpy(all + 1, fds, count * sizeof *fds);
	poll(all, count + 1, ms);
	memcpy(fds, all + 1, count * sizeof *fds);
}

int ui_next_look(struct ui_pace *pace, bool changed)
{
	pace->quiet = changed ? 0 : MIN(pace->quiet + 1, 1000u);
	return pace->quiet < 30 ? UI_TICK_MS : UI_IDLE_MS;
}

/* ---- the screen ---- */

static void lock(struct ui *ui)
{
	loop_lock(ui->host->machine->loop);
}

static void unlock(struct ui *ui)
{
	loop_unlock(ui->host->machine->loop);
}

bool ui_update(struct ui *ui, bool all)
{
	struct picture *p = &ui->picture;
	u64 generation = p->generation;

	p->changed = false;
	lock(ui);
	struct display_source *source = ui->host->machine->display;
	if (source)
		source->update(source->device, p, ui->viewer, all);
	unlock(ui);
	return p->changed || p->generation != generation;
}

bool ui_text(struct ui *ui, struct text_screen *screen)
{
	lock(ui);
	struct display_source *source = ui->host->machine->display;
	bool text = source && source->text && source->text(source->device, screen);
	unlock(ui);
	return text;
}

void ui_resize_hint(struct ui *ui, unsigned width, unsigned height)
{
	lock(ui);
	struct display_source *source = ui->host->machine->display;
	if (source && source->resize_hint)
		source->resize_hint(source->device, MIN(width, (unsigned)DISPLAY_WIDTH), MIN(height, (unsigned)DISPLAY_LINES));
	unlock(ui);
}

/* ---- input ---- */

void ui_key(struct ui *ui, unsigned code, bool down)
{
	lock(ui);
	keys_press(&ui->typist, code, down);
	unlock(ui);
}

void ui_keysym(struct ui *ui, u32 keysym, bool down)
{
	lock(ui);
	keys_type(&ui->typist, keysym, down);
	unlock(ui);
}

void ui_release_keys(struct ui *ui)
{
	lock(ui);
	keys_release_all(&ui->typist);
	unlock(ui);
}

bool ui_wants_absolute(struct ui *ui)
{
	lock(ui);
	bool wants = input_wants_absolute(ui->host->machine);
	unlock(ui);
	return wants;
}

void ui_motion(struct ui *ui, int dx, int dy, int wheel, unsigned buttons)
{
	lock(ui);
	input_pointer(ui->host->machine, dx, dy, wheel, buttons);
	unlock(ui);
}

static unsigned scale(int at, unsigned size)
{
	if (at <= 0 || size < 2)
		return 0;
	return (u64)MIN((unsigned)at, size - 1) * INPUT_ABSOLUTE_MAX / (size - 1);
}

void ui_position(struct ui *ui, int x, int y, int wheel, unsigned buttons)
{
	const struct picture *p = &ui->picture;

	lock(ui);
	if (!input_absolute(ui->host->machine, scale(x, p->width), scale(y, p->height), wheel, buttons)) {
		int dx = ui->placed ? x - ui->x : 0, dy = ui->placed ? y - ui->y : 0;
		input_pointer(ui->host->machine, dx, dy, wheel, buttons);
	}
	unlock(ui);
	ui->placed = true;
	ui->x = x;
	ui->y = y;
}
