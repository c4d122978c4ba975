/* SPDX-License-Identifier: MIT */
/* The memory of a transfer: pieces, one behind the other, and how far it has come. What a guest's bus master describes need not
 * be in one piece of the host's memory. The caller keeps the list and the memory; nobody goes on behind its end. */
#ifndef HW_DISK_PIECES_H
#define HW_DISK_PIECES_H

#include <stddef.h>
#include <sys/uio.h>

struct pieces {
	const struct iovec *v; /* the present piece */
	size_t at;             /* bytes of it that are done */
};

/* Each moves on by len bytes. */
void pieces_zero(struct pieces *to, size_t len);
void pieces_put(struct pieces *to, const void *from, size_t len);
void pieces_get(struct pieces *from, void *to, size_t len);
void pieces_skip(struct pieces *p, size_t len);
/* The next bytes, at most len, as at most max entries of v; *bytes is how many those hold. How many entries; moves nothing. */
unsigned pieces_list(const struct pieces *p, size_t len, struct iovec *v, unsigned max, size_t *bytes);

#endif
