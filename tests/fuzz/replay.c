/* SPDX-License-Identifier: MIT */
/* The fuzz targets without libFuzzer: every file of the named folders (or the files) once, in order of name. What the corpora hold
 * is run so by every build, with every compiler. */
#include <stdio.h>
#include <stdlib.h>

#include "base/err.h"
#include "tests/fuzz/inputs.h"

int LLVMFuzzerInitialize(int *argc, char ***argv) __attribute__((weak));

static void run(const char *path, const u8 *data, size_t size)
{
	if (getenv("PAISANO_FUZZ_VERBOSE"))
		fprintf(stderr, "%s\n", path);
	inputs_run_one(data, size);
}

int main(int argc, char **argv)
{
	if (LLVMFuzzerInitialize)
		LLVMFuzzerInitialize(&argc, &argv);
	unsigned inputs = inputs_run(argc, argv, 1 << 20, run);
	printf("%u inputs\n", inputs);
	return inputs ? 0 : EXIT_FILE;
}
