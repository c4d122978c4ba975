/* SPDX-License-Identifier: MIT */
/* "NAME,key=value,key=value" as QEMU spells it: ",," is an escaped comma, a bare key means key=on, sizes take K/M/G/T,
 * numbers take 0x and 0; on|off|yes|no|true|false are booleans. Unknown keys get "did you mean" and the legal list. */
#ifndef BASE_OPTIONS_H
#define BASE_OPTIONS_H

#include "base/err.h"
#include "base/types.h"

enum option_type { OPTION_STRING, OPTION_NUMBER, OPTION_SIZE, OPTION_BOOL };

/* A table of legal keys, ended by .key = NULL. offset is into the caller's struct: char* (owned by the struct, from
 * err_strdup), u64, u64, bool for the four types. */
struct option_key {
	const char *key;
	enum option_type type;
	u32 offset;
	u64 min, max; /* for numbers and sizes; both 0 means unlimited */
	const char *help;
};

/* Parse text into into; implied (may be NULL) is the key of a first item without "=". On an error no string is left
 * in into (all are freed, and NULL). what names the option in errors ("-drive"). */
bool options_parse(const char *text, const char *implied, const struct option_key *keys, void *into, const char *what,
                   struct err *err);
bool options_size(const char *text, u64 *value, struct err *err);   /* "2G"; a bare number is bytes */
bool options_number(const char *text, u64 *value, struct err *err); /* decimal, 0x hex, 0 octal */
bool options_bool(const char *text, bool *value, struct err *err);
/* The nearest of a NULL-ended list of names (edit distance at most 3), or NULL. */
const char *options_nearest(const char *word, const char *const *names);

#endif
