/* SPDX-License-Identifier: MIT */
/* -switch: the engine changes when something happens. */
#ifndef FRONTEND_CHANGE_H
#define FRONTEND_CHANGE_H

#include "base/err.h"
#include "hw/board/board.h"

#define CHANGES_MAX 16

struct change_options {
	struct {
		const struct engine *to;
		char *when;
	} change[CHANGES_MAX];
	unsigned changes;
};

/* By its name, or tcg for the translator; NULL: err says what there is. */
const struct engine *change_engine(const char *name, struct err *err);
/* "ENGINE,WHEN" */
bool change_set(struct change_options *options, const char *value, struct err *err);
/* Have the board wait for it. Under the machine lock. */
bool change_arm(const struct change_options *options, struct board *board, struct err *err);
void change_free(struct change_options *options);

#endif
