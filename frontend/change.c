/* SPDX-License-Identifier: MIT */
/* Changes of the engine that the command line asks for: see change.h. */
#include "frontend/change.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/options.h"
#include "frontend/accel.h"

const struct engine *change_engine(const char *name, struct err *err)
{
	const char *names[ACCEL_ENGINES + 1] = {0};
	char list[96] = "";

	if (!strcmp(name, "tcg"))
		name = "jit";
	for (unsigned i = 0; i < ACCEL_ENGINES && accel_engine(i); i++) {
		names[i] = accel_engine(i)->name;
		if (!strcmp(name, names[i]))
			return accel_engine(i);
		snprintf(list + strlen(list), sizeof list - strlen(list), "%s%s", i ? ", " : "", names[i]);
	}
	const char *near = options_nearest(name, names);
	err_set(err, EXIT_USAGE, "%s: no such engine (%s)%s%s", name, list, near ? "; did you mean " : "", near ? near : "");
	return NULL;
}

bool change_set(struct change_options *options, const char *value, struct err *err)
{
	char *name = err_strdup(value), *comma = strchr(name, ',');
	const struct engine *to = NULL;
	bool ok = false;

	if (comma)
		*comma = 0;
	if (!comma)
		err_set(err, EXIT_USAGE, "-switch %s: to which engine, and when? As interp,text=login:", value);
	else if (!(to = change_engine(name, err)) || !switch_check(comma + 1, err))
		err_prefix(err, "-switch");
	else if (options->changes == CHANGES_MAX)
		err_set(err, EXIT_USAGE, "-switch: more than %d", CHANGES_MAX);
	else
		ok = true;
	if (ok) {
		options->change[options->changes].to = to;
		options->change[options->changes++].when = err_strdup(comma + 1);
	}
	free(name);
	return ok;
}

bool change_arm(const struct change_options *options, struct board *board, struct err *err)
{
	for (unsigned i = 0; i < options->changes; i++)
		if (!board_switch_when(board, options->change[i].to, options->change[i].when, err))
			return err_prefix(err, "-switch");
	return true;
}

void change_free(struct change_options *options)
{
	while (options->changes)
		free(options->change[--options->changes].when);
}
