/* SPDX-License-Identifier: MIT */
/* The user's choice of displays and of the display adapter (-display, -vnc, -curses, -vga), and starting them. */
#ifndef FRONTEND_DISPLAY_H
#define FRONTEND_DISPLAY_H

#include "frontend/ui.h"

struct board_config;
struct config;

#define DISPLAY_CHOICES (DISPLAY_VIEWERS - 1)

struct display_options {
	struct display_choice {
		char *name, *options; /* of a struct ui_class; options may be NULL */
	} choice[DISPLAY_CHOICES];
	unsigned count;
	bool chosen; /* -display, -vnc or -curses was there, be it none */
	char *vga;
};

bool display_set(struct config *config, const char *value, struct err *err);
bool display_set_vnc(struct config *config, const char *value, struct err *err);
bool display_set_curses(struct config *config, const char *value, struct err *err);
bool display_set_vga(struct config *config, const char *value, struct err *err);
void display_free_options(struct display_options *options);

/* The adapter into the board's configuration. */
bool display_configure(const struct config *config, struct board_config *board, struct err *err);

/* Start what was chosen or, without a choice, what this host has; stop it all. ui: DISPLAY_CHOICES of them. */
bool display_start(const struct config *config, struct ui_host *host, struct ui **ui, struct err *err);
void display_stop(struct ui **ui);

#endif
