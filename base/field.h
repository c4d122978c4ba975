/* SPDX-License-Identifier: MIT */
/* Field tables: one description of a plain struct serves save/load, the monitor, the debugger, comparison and tests.
 * A table must cover its struct byte by byte (padding is made explicit), which field_cover() checks at start-up,
 * so that a snapshot cannot forget a member. State structs hold plain little-endian data: no pointers. */
#ifndef BASE_FIELD_H
#define BASE_FIELD_H

#include <stdio.h>

#include "base/err.h"
#include "base/types.h"

struct field {
	const char *name;
	u32 offset;
	u32 size;                /* bytes of one element */
	u32 count;               /* elements; 1 for a scalar */
	const struct field *sub; /* table of an embedded struct, or NULL */
	const char *help;
};

#define FIELD_SIZEOF(S, m) sizeof(((S *)0)->m)
/* A scalar (integer, bool, enum; or an opaque run of bytes). */
#define FIELD(S, m, text) {.name = #m, .offset = offsetof(S, m), .size = FIELD_SIZEOF(S, m), .count = 1, .help = text}
/* An array of scalars. */
#define FIELD_ARRAY(S, m, text)                                                                                        \
	{.name = #m, .offset = offsetof(S, m), .size = FIELD_SIZEOF(S, m[0]),                                              \
	 .count = FIELD_SIZEOF(S, m) / FIELD_SIZEOF(S, m[0]), .help = text}
/* An embedded struct, or (SUBS) an array of them, with a table of its own. */
#define FIELD_SUB(S, m, table, text)                                                                                   \
	{.name = #m, .offset = offsetof(S, m), .size = FIELD_SIZEOF(S, m), .count = 1, .sub = table, .help = text}
#define FIELD_SUBS(S, m, table, text)                                                                                  \
	{.name = #m, .offset = offsetof(S, m), .size = FIELD_SIZEOF(S, m[0]),                                              \
	 .count = FIELD_SIZEOF(S, m) / FIELD_SIZEOF(S, m[0]), .sub = table, .help = text}
#define FIELD_END {.name = NULL}

/* Does the table cover exactly the bytes 0..size-1, once each? */
bool field_cover(const struct field *table, size_t size, const char *what, struct err *err);

/* A growing buffer of named sections; the file format is described at the head of field.c. */
struct field_buf {
	u8 *data;
	size_t len, cap;
};
void field_save(struct field_buf *buf, const char *section, const struct field *table, const void *object);
/* Loads the section of this name into object; every field must be present with the same size and count.
 * On failure object is untouched. */
bool field_load(const struct field_buf *buf, const char *section, const struct field *table, void *object,
                size_t object_size, struct err *err);
void field_buf_free(struct field_buf *buf);

/* First difference between two objects, as "name[3].sub: 12 != 34"; false when equal. */
bool field_differ(const struct field *table, const void *a, const void *b, char *text, size_t text_size);
/* One line per field: name, value in hex, help. */
void field_print(FILE *to, const struct field *table, const void *object);

#endif
