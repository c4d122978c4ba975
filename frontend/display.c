/* SPDX-License-Identifier: MIT */
/* Which displays: the user's choice, or what fits this host. See display.h. */
#include "frontend/display.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "frontend/config.h"

/* ---- options ---- */

static void print_displays(void)
{
	printf("none     the guest runs unseen (screendump still works)\n");
	for (const struct ui_class *c = ui_first(); c; c = c->next) {
		printf("%-8s %s\n", c->name, c->desc);
		for (const struct option_key *o = c->options; o && o->key; o++)
			printf("  %-14s %s\n", o->key, o->help);
	}
}

static bool add(struct display_options *o, const char *name, size_t len, const char *options, struct err *err)
{
	if (o->count == DISPLAY_CHOICES)
		return err_set(err, EXIT_USAGE, "-display: more than %d displays", DISPLAY_CHOICES);
	struct display_choice *c = &o->choice[o->count++];
	c->name = err_alloc(len + 1);
	memcpy(c->name, name, len);
	c->options = *options ? err_strdup(options) : NULL;
	return true;
}

static bool is_known(const char *name)
{
	static const char *const all[] = {"sdl", "vnc", "curses"};

	for (unsigned i = 0; i < ARRAY_LEN(all); i++)
		if (!strcmp(all[i], name))
			return true;
	return ui_find(name);
}

bool display_set(struct config *config, const char *value, struct err *err)
{
	struct display_options *o = &config->display;
	size_t len = strcspn(value, "=,");

	if (!strcmp(value, "help")) {
		print_displays();
		exit(EXIT_OFF);
	}
	o->chosen = true;
	if (!strcmp(value, "none"))
		return true;
	if (!add(o, value, len, value[len] ? value + len + 1 : "", err))
		return false;
	const char *name = o->choice[o->count - 1].name;
	if (!is_known(name))
		return err_set(err, EXIT_USAGE, "-display %s: not one of sdl, vnc=:N, curses, none", value);
	return ui_find(name) ||
	       err_set(err, EXIT_USAGE, "-display %s: this build was made without it (-display help lists what it has)", name);
}

bool display_set_vnc(struct config *config, const char *value, struct err *err)
{
	char text[512];

	snprintf(text, sizeof text, "vnc=%s", value);
	return display_set(config, strcmp(value, "none") ? text : value, err);
}

bool display_set_curses(struct config *config, const char *value, struct err *err)
{
	(void)value;
	return display_set(config, "curses", err);
}

void display_free_options(struct display_options *o)
{
	for (unsigned i = 0; i < o->count; i++) {
		free(o->choice[i].name);
		free(o->choice[i].options);
	}
	free(o->vga);
}

/* ---- the adapter ---- */

static const struct {
	const char *name, *class_name;
} adapters[] = {{"std", "VGA"}, {"none", NULL}};

bool display_set_vga(struct config *config, const char *value, struct err *err)
{
	if (!strcmp(value, "help")) {
		printf("std      VGA with Bochs VBE modes (default)\nnone     no display adapter\n");
		exit(EXIT_OFF);
	}
	for (unsigned i = 0; i < ARRAY_LEN(adapters); i++)
		if (!strcmp(adapters[i].name, value)) {
			free(config->display.vga);
			config->display.vga = err_strdup(value);
			return true;
		}
	return err_set(err, EXIT_USAGE, "-vga %s: the adapters are std and none", value);
}

bool display_configure(const struct config *config, struct board_config *board, struct err *err)
{
	const char *name = config->display.vga ? config->display.vga : "std";

	for (unsigned i = 0; i < ARRAY_LEN(adapters); i++)
		if (!strcmp(adapters[i].name, name))
			board->vga = adapters[i].class_name;
	if (!board->vga || device_find(board->vga))
		return true;
	board->vga = NULL;
	return !config->display.vga || err_set(err, EXIT_USAGE, "-vga %s: this build has none", name);
}

/* ---- starting ---- */

static bool uses_terminal(const struct config *config)
{
	const char *const specs[] = {config->serial[0], config->serial[1], config->serial[2], config->serial[3], config->monitor,
	                             config->debugcon};

	for (unsigned i = 0; i < ARRAY_LEN(specs); i++)
		if (specs[i] && (!strcmp(specs[i], "stdio") || !strcmp(specs[i], "mon:stdio")))
			return true;
	return false;
}

static bool has_window_system(void)
{
	const char *x = getenv("DISPLAY"), *wayland = getenv("WAYLAND_DISPLAY");

	return (x && *x) || (wayland && *wayland);
}

/* Nothing was chosen. A run is not refused because of it: whoever needs a display chooses one. */
static void start_default(const struct config *config, struct ui_host *host, struct ui **ui)
{
	struct err err = {0};

	if (has_window_system() && ui_find("sdl")) {
		*ui = ui_start("sdl", NULL, host, &err);
		if (*ui)
			return;
		err_note("%s", err.text);
	}
	if (ui_find("curses") && !uses_terminal(config) && isatty(STDIN_FILENO) && isatty(STDOUT_FILENO)) {
		err_note("no window system here: the text screen is in this terminal (Ctrl-A x quits); -display none for none");
		*ui = ui_start("curses", NULL, host, &err);
	} else if (ui_find("vnc")) {
		/* what nobody has asked for must not open a door to other users of the host */
		err_note("no window system here: the screen is on VNC, with a password; -display none for none");
		*ui = ui_start("vnc", ":0,to=99,password=on", host, &err);
	}
	if (!*ui && err.text[0])
		err_note("%s", err.text);
}

bool display_start(const struct config *config, struct ui_host *host, struct ui **ui, struct err *err)
{
	const struct display_options *o = &config->display;

	if (!o->chosen && !config->nographic && host->machine->display)
		start_default(config, host, ui);
	for (unsigned i = 0; i < o->count; i++) {
		if (!strcmp(o->choice[i].name, "curses") && uses_terminal(config))
			return err_set(err, EXIT_USAGE, "-display curses: the terminal is in use by -serial, -monitor or -debugcon stdio");
		ui[i] = ui_start(o->choice[i].name, o->choice[i].options, host, err);
		if (!ui[i])
			return false;
	}
	return true;
}

void display_stop(struct ui **ui)
{
	for (unsigned i = 0; i < DISPLAY_CHOICES; i++) {
		ui_stop(ui[i]);
		ui[i] = NULL;
	}
}
