/* SPDX-License-Identifier: MIT */
/* The fuzz targets without libFuzzer: every file of the named folders (or the files) once, in order of name. What the corpora hold
 * is run so by every build, with every compiler. */
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/err.h"

int LLVMFuzzerTestOneInput(const u8 *data, size_t size);
int LLVMFuzzerInitialize(int *argc, char ***argv) __attribute__((weak));

static unsigned inputs;

static void run_file(const char *path)
{
	FILE *file = fopen(path, "rb");
	u8 *data = err_alloc(1 << 20), *exact;
	size_t size;

	if (!file) {
		perror(path);
		exit(EXIT_FILE);
	}
	size = fread(data, 1, 1 << 20, file);
	fclose(file);
	exact = err_alloc(size + 1); /* of its own size: reading past it is seen by a sanitizer */
	memcpy(exact, data, size);
	free(data);
	if (getenv("PAISANO_FUZZ_VERBOSE"))
		fprintf(stderr, "%s\n", path);
	LLVMFuzzerTestOneInput(exact, size);
	free(exact);
	inputs++;
}

static void run_folder(const char *path)
{
	struct dirent **names;
	int count = scandir(path, &names, NULL, alphasort);

	for (int i = 0; i < count; i++) {
		char *full = err_alloc(strlen(path) + strlen(names[i]->d_name) + 2);

		sprintf(full, "%s/%s", path, names[i]->d_name);
		if (names[i]->d_name[0] != '.')
			run_file(full);
		free(full);
		free(names[i]);
	}
	if (count >= 0)
		free(names);
}

int main(int argc, char **argv)
{
	struct stat st;

	if (LLVMFuzzerInitialize)
		LLVMFuzzerInitialize(&argc, &argv);
	for (int i = 1; i < argc; i++) {
		if (argv[i][0] == '-')
			continue;
		if (stat(argv[i], &st)) {
			perror(argv[i]);
			return EXIT_FILE;
		}
		if (S_ISDIR(st.st_mode))
			run_folder(argv[i]);
		else
			run_file(argv[i]);
	}
	printf("%u inputs\n", inputs);
	return inputs ? 0 : EXIT_FILE;
}
