/* SPDX-License-Identifier: MIT */
/* The monitor's words about engines: which one runs, change to another now or when something happens. */
#include <stdio.h>
#include <stdlib.h>

#include "frontend/change.h"
#include "frontend/monitor_private.h"

void monitor_info_engine(struct monitor *m, char *args)
{
	char *text = NULL;
	size_t size = 0;
	FILE *to = open_memstream(&text, &size);

	(void)args;
	if (!to)
		return;
	board_switch_print(m->board, to);
	fclose(to);
	monitor_say(m, "%s", text);
	free(text);
}

/* engine | engine NAME | engine NAME when KEY=VALUE | engine never */
void monitor_engine(struct monitor *m, char *args)
{
	char *name = monitor_word(&args), *word = monitor_word(&args);
	struct err err = {0};

	if (!name) {
		monitor_info_engine(m, args);
		return;
	}
	if (!strcmp(name, "never") && !word) {
		board_switch_never(m->board);
		return;
	}
	const struct engine *from = board_engine(m->board), *to = change_engine(name, &err);
	while (*args == ' ')
		args++;
	if (to && word && !strcmp(word, "when") && *args) {
		if (board_switch_when(m->board, to, args, &err))
			return;
	} else if (to && word) {
		err_set(&err, EXIT_USAGE, "engine NAME when addr=|port=|msr=|vector=|text=|insns=|ms=VALUE");
	} else if (to && board_switch(m->board, to, &err)) {
		monitor_say(m, "engine: %s -> %s\n", from->name, to->name);
		return;
	}
	monitor_say(m, "%s\n", err.text);
}
