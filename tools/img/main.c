/* SPDX-License-Identifier: MIT */
/* paisano-img: makes, looks at, converts, checks, resizes and chains disk images. The commands and their options are those of
 * qemu-img(1), of which these are not implemented: amend, bench, bitmap, dd, measure, snapshot; --image-opts, --object, -s. */
#define _GNU_SOURCE /* strsignal */
#include <errno.h>
#include <getopt.h>
#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/hostfile.h"
#include "tools/img/img.h"

static const struct command {
	const char *name, *options;
	int least, most;
	int (*run)(const struct img_args *args, struct err *err);
	const char *usage;
} commands[] = {
	{"create", "f:b:F:o:qu", 1, 2, img_create, "[-q] [-f FMT] [-b BACKING_FILE [-F BACKING_FMT]] [-u] [-o OPTIONS] FILE [SIZE]"},
	{"info", "f:UO:", 1, 1, img_info, "[-f FMT] [--output=human|json] [--backing-chain] [-U] FILE"},
	{"map", "f:U", 1, 1, img_map, "[-f FMT] [--output=human|json] [-U] FILE"},
	{"convert", "f:O:B:F:o:cpqnUWm:S:t:T:", 2, 2, img_convert,
	 "[-c] [-p] [-q] [-n] [-U] [-f FMT] [-O FMT] [-B BACKING_FILE [-F BACKING_FMT]] [-o OPTIONS] FILE OUTPUT"},
	{"compare", "f:F:pqsU", 2, 2, img_compare, "[-p] [-q] [-s] [-U] [-f FMT] [-F FMT] FILE1 FILE2"},
	{"check", "f:r:qUp", 1, 1, img_check, "[-q] [-f FMT] [--output=human|json] [-r leaks|all] [-U] FILE"},
	{"resize", "f:q", 2, 2, img_resize, "[-q] [-f FMT] [--shrink] FILE [+|-]SIZE"},
	{"rebase", "f:F:b:upqt:T:", 1, 1, img_rebase, "[-p] [-q] [-u] [-f FMT] -b BACKING_FILE [-F BACKING_FMT] FILE"},
	{"commit", "f:b:dpqt:", 1, 1, img_commit, "[-p] [-q] [-d] [-f FMT] [-b BACKING_FILE] FILE"},
};

enum { LONG_OUTPUT = 256, LONG_SHRINK, LONG_CHAIN, LONG_PREALLOCATION };
static const struct option long_options[] = {
	{"output", required_argument, NULL, LONG_OUTPUT},
	{"shrink", no_argument, NULL, LONG_SHRINK},
	{"backing-chain", no_argument, NULL, LONG_CHAIN},
	{"preallocation", required_argument, NULL, LONG_PREALLOCATION},
	{"force-share", no_argument, NULL, 'U'},
	{NULL, 0, NULL, 0},
};

static int usage(FILE *to)
{
	fprintf(to, "usage: paisano-img COMMAND [OPTION...]\n");
	for (size_t i = 0; i < ARRAY_LEN(commands); i++)
		fprintf(to, "  %s %s\n", commands[i].name, commands[i].usage);
	fprintf(to, "Formats: raw, qcow2. OPTIONS of qcow2, separated by commas: backing_file=, backing_fmt=, cluster_size=,\n"
	            "compat=0.10|1.1, compression_type=zlib|zstd, lazy_refcounts=on|off, preallocation=off|metadata|falloc|full,\n"
	            "refcount_bits=. SIZE is in bytes, or with k, M, G, T, P or E. A check's exit code: 0 clean, 2 corruption,\n"
	            "3 leaks, 1 not done.\n");
	return to == stdout ? IMG_OK : IMG_ERROR;
}

static volatile sig_atomic_t stopped_by; /* the signal; 0: none */

static bool take(struct img_args *a, int c, struct err *err)
{
	switch (c) {
	case 'f': a->format = optarg; break;
	case 'O': a->out_format = optarg; break;
	case 'b': case 'B': a->backing = optarg; break;
	case 'F': a->backing_format = optarg; break;
	case 'r': a->repair = optarg; break;
	case 'c': a->compress = true; break;
	case 'p': a->progress = true; break;
	case 'q': a->quiet = true; break;
	case 'n': a->no_create = true; break;
	case 'u': a->unsafe = true; break;
	case 'd': a->keep = true; break;
	case 's': a->strict = true; break;
	case 'U': a->share = true; break;
	case 'W': case 'm': case 'S': case 't': case 'T': break; /* how qemu-img is to go about it: nothing to choose here */
	case LONG_SHRINK: a->shrink = true; break;
	case LONG_CHAIN: a->chain = true; break;
	case LONG_PREALLOCATION: a->preallocation = optarg; break;
	case LONG_OUTPUT:
		a->output = optarg;
		if (strcmp(optarg, "human") != 0 && strcmp(optarg, "json") != 0)
			return err_set(err, EXIT_USAGE, "--output must be used with human or json as argument.");
		break;
	case 'o':
		if (a->option_count == ARRAY_LEN(a->options))
			return err_set(err, EXIT_USAGE, "too many -o options");
		a->options[a->option_count++] = optarg;
		break;
	default:
		break;
	}
	return true;
}

static int run(const struct command *command, int argc, char **argv)
{
	struct img_args args = {0};
	struct err err = {0};
	bool size_last = command->run == img_resize && argc > 1; /* "-1G" is no option */
	int c, code;

	argc -= size_last;
	opterr = 0;
	while ((c = getopt_long(argc, argv, command->options, long_options, NULL)) != -1)
		if (c == '?' || c == ':') {
			err_set(&err, EXIT_USAGE, "unknown option, or one without its value: %s; see paisano-img --help", argv[optind - 1]);
			goto fail;
		} else if (!take(&args, c, &err)) {
			goto fail;
		}
	args.files = argv + optind;
	args.count = argc - optind + size_last;
	if (args.count < command->least || args.count > command->most) {
		err_set(&err, EXIT_USAGE, "usage: paisano-img %s %s", command->name, command->usage);
		goto fail;
	}
	code = command->run(&args, &err);
	if (stopped_by) {
		fflush(stdout);
		if (*err.text)
			fprintf(stderr, "paisano-img: %s\n", err.text);
		signal(stopped_by, SIG_DFL);
		raise(stopped_by);
	}
	if (fflush(stdout) != 0 && code == IMG_OK) {
		err_set(&err, EXIT_FILE, "cannot write the output: %s", strerror(errno));
		goto fail;
	}
	if (!*err.text)
		return code;
	fprintf(stderr, "paisano-img: %s\n", err.text);
	return code ? code : IMG_ERROR;
fail:
	fprintf(stderr, "paisano-img: %s\n", err.text);
	return IMG_ERROR;
}

int main(int argc, char **argv)
{
	if (!hostfile_keep_standard())
		return IMG_ERROR;
	signal(SIGXFSZ, SIG_IGN); /* a file over its limit fails like one on a full disk */
	if (argc >= 2 && (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0 || strcmp(argv[1], "help") == 0))
		return usage(stdout);
	for (size_t i = 0; argc >= 2 && i < ARRAY_LEN(commands); i++)
		if (strcmp(argv[1], commands[i].name) == 0)
			return run(&commands[i], argc - 1, argv + 1);
	if (argc >= 2) {
		fprintf(stderr, "paisano-img: Command not found: %s; see paisano-img --help\n", argv[1]);
		return IMG_ERROR;
	}
	return usage(stderr);
}

/* ---- what the commands share ---- */
struct image *img_open(const struct img_args *args, const char *file, const char *format, unsigned flags, struct err *err)
{
	return image_open(file, format, flags | (args->share ? IMAGE_NO_LOCK : 0), err);
}

struct image *img_open_to_change(const char *file, const char *format, unsigned flags, struct err *err)
{
	struct image *image = image_open(file, format, IMAGE_READ_ONLY | IMAGE_INSPECT | IMAGE_NO_BACKING, err);
	struct image_info info;

	if (!image)
		return NULL;
	image_get_info(image, &info);
	image_close(image);
	if (!info.bitmaps)
		return image_open(file, format, flags, err);
	err_set(err, EXIT_USAGE, "%s has persistent bitmaps (%u), which would be lost; remove them first (qemu-img bitmap --remove), "
	        "or let qemu-img do this", file, info.bitmaps);
	return NULL;
}

static void on_signal(int sig)
{
	stopped_by = sig;
}

void img_catch_signals(void)
{
	static const int signals[] = {SIGHUP, SIGINT, SIGTERM};
	const struct sigaction action = {.sa_handler = on_signal, .sa_flags = SA_RESTART};
	struct sigaction old;

	for (size_t i = 0; i < ARRAY_LEN(signals); i++) /* nohup's stays ignored */
		if (sigaction(signals[i], NULL, &old) == 0 && old.sa_handler != SIG_IGN)
			sigaction(signals[i], &action, NULL);
}

bool img_stopped(void)
{
	return stopped_by;
}

void img_progress(const struct img_args *args, u64 done, u64 total)
{
	if (args->progress && !args->quiet) {
		printf("    (%3.2f/100%%)\r", total ? 100.0 * (double)done / (double)total : 100.0);
		fflush(stdout);
	}
}

void img_progress_end(const struct img_args *args)
{
	if (args->progress && !args->quiet)
		printf("    (100.00/100%%)\n");
}

bool img_failed(struct err *err, const char *file, int error)
{
	return err_set(err, EXIT_FILE, "%s: %s", file, error == ECANCELED ? strsignal(stopped_by) : strerror(error));
}

bool img_is_zero(const u8 *buf, size_t len)
{
	return !len || (!buf[0] && memcmp(buf, buf + 1, len - 1) == 0);
}

int img_read(struct image *image, u64 offset, u8 *buf, size_t len)
{
	size_t n = !image || offset >= image->size ? 0 : (size_t)MIN((u64)len, image->size - offset);

	memset(buf + n, 0, len - n);
	return n ? image_read(image, offset, buf, n) : 0;
}
