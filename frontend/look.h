/* SPDX-License-Identifier: MIT */
/* What a file is, by its contents, so that "paisano FILE" boots it the right way. */
#ifndef FRONTEND_LOOK_H
#define FRONTEND_LOOK_H

#include "base/err.h"

enum look_kind { LOOK_KERNEL, LOOK_DISK, LOOK_CDROM, LOOK_FLOPPY };

struct look {
	enum look_kind kind;
	const char *name;   /* for the user: "ISO 9660 CD-ROM image" */
};

/* False: err says what the file is instead, or that it is nothing that boots. */
bool look_at(const char *path, struct look *look, struct err *err);

#endif
