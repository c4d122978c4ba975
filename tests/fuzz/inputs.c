/* SPDX-License-Identifier: MIT */
/* Inputs that are files: see inputs.h. */
#include "tests/fuzz/inputs.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/err.h"

int LLVMFuzzerTestOneInput(const u8 *data, size_t size);

typedef void run_fn(const char *path, const u8 *data, size_t size);

static unsigned count;

static void stop(const char *path)
{
	perror(path);
	exit(EXIT_FILE);
}

static void run_file(const char *path, size_t max, run_fn *run)
{
	FILE *file = fopen(path, "rb");
	u8 *data = err_alloc(max);

	if (!file)
		stop(path);
	size_t size = fread(data, 1, max, file);
	fclose(file);
	run(path, data, size);
	free(data);
	count++;
}

static void run_folder(const char *path, size_t max, run_fn *run)
{
	struct dirent **names;
	int n = scandir(path, &names, NULL, alphasort);

	if (n < 0)
		stop(path);
	for (int i = 0; i < n; i++) {
		char *full = err_alloc(strlen(path) + strlen(names[i]->d_name) + 2);

		sprintf(full, "%s/%s", path, names[i]->d_name);
		if (names[i]->d_name[0] != '.')
			run_file(full, max, run);
		free(full);
		free(names[i]);
	}
	free(names);
}

unsigned inputs_run(int argc, char **argv, size_t max, run_fn *run)
{
	struct stat st;

	for (int i = 1; i < argc; i++) {
		if (argv[i][0] == '-')
			continue;
		if (stat(argv[i], &st))
			stop(argv[i]);
		if (S_ISDIR(st.st_mode))
			run_folder(argv[i], max, run);
		else
			run_file(argv[i], max, run);
	}
	return count;
}

void inputs_run_one(const u8 *data, size_t size)
{
	u8 *exact = err_alloc(MAX(size, (size_t)1));

	memcpy(exact, data, size);
	LLVMFuzzerTestOneInput(exact, size);
	free(exact);
}
