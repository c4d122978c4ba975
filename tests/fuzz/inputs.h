/* SPDX-License-Identifier: MIT */
/* Inputs that are files: for fuzz targets without libFuzzer. */
#ifndef TESTS_FUZZ_INPUTS_H
#define TESTS_FUZZ_INPUTS_H

#include "base/types.h"

/* run() for each file that is named, and for each of the folders that are, in order of name; arguments that begin with "-" are
 * passed over. What lies behind max bytes of a file is left out. A file that cannot be read ends the process. Returns how many. */
unsigned inputs_run(int argc, char **argv, size_t max, void (*run)(const char *path, const u8 *data, size_t size));
/* One input, in memory of just its size: reading past it is seen by a sanitizer. */
void inputs_run_one(const u8 *data, size_t size);

#endif
