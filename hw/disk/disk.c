/* SPDX-License-Identifier: MIT */
/* A disk: an image (image.h) whose work is done by the loop's workers.
 *
 * A request becomes a job. A worker carries it out and puts it on the disk's list of finished jobs; it is completed by the job's
 * callback or, when a controller waits with the lock held, by disk_drain(), whichever comes first. The callback comes under the
 * lock, most often on the worker's own thread. It frees the job and touches the disk only if the job was not completed yet: the
 * disk may be gone by then. A job that has failed may be held: it stays on its way, without a callback, until it is tried again. */
#include "hw/disk/disk.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>

#include "base/trace.h"
#include "hw/disk/image.h"

struct job {
	struct disk *disk;
	struct disk_request *request;
	int error;
	bool finished;  /* by the worker; under disk->mutex */
	bool completed; /* under the machine lock */
	bool held;      /* likewise: its callback has come, and left it waiting for disk_retry() or disk_drain() */
	struct job *next, **link; /* in disk->jobs, oldest first; under the machine lock */
};

struct disk {
	struct image *image;
	enum disk_cache cache;
	bool no_discard;
	bool lost;      /* something that was to be written was given up; under the machine lock */
	struct loop *loop;
	struct job *jobs, **last; /* all that is on its way; under the machine lock */
	pthread_mutex_t mutex;
	pthread_cond_t progress;
};

TRACE_EVENT(ev_submit, "disk.submit");
TRACE_EVENT(ev_done, "disk.done");

static const char *const op_names[] = {"read", "write", "flush", "discard", "zero"};

/* ---- jobs ---- */
static int carry_out(const struct disk *disk, const struct disk_request *r)
{
	struct image *image = disk->image;
	const struct iovec whole = {r->buf, r->len};
	struct pieces memory = {r->pieces ? r->pieces : &whole, 0};

	switch (r->op) {
	case DISK_READ:
		return image_read_pieces(image, r->offset, &memory, r->len);
	case DISK_WRITE:
		return image_write_pieces(image, r->offset, &memory, r->len);
	case DISK_FLUSH:
		return disk->cache == DISK_UNSAFE ? 0 : image_flush(image);
	case DISK_DISCARD:
		return disk->no_discard ? 0 : image_discard(image, r->offset, r->len);
	case DISK_ZERO:
		return image_zero(image, r->offset, r->len);
	}
	return EIO;
}

static int carry_out_durably(const struct disk *disk, const struct disk_request *r)
{
	int error = carry_out(disk, r);

	if (!error && disk->cache == DISK_WRITETHROUGH && r->op != DISK_READ && r->op != DISK_FLUSH)
		error = image_flush(disk->image);
	return error;
}

static void job_work(void *opaque)
{
	struct job *job = opaque;
	struct disk *disk = job->disk;
	int error = carry_out_durably(disk, job->request);

	pthread_mutex_lock(&disk->mutex);
	job->error = error;
	job->finished = true;
	pthread_cond_broadcast(&disk->progress);
	pthread_mutex_unlock(&disk->mutex);
}

static void complete(struct job *job) /* the request, not the job: that lives until its callback */
{
	struct disk *disk = job->disk;
	struct disk_request *request = job->request;

	*job->link = job->next;
	if (job->next)
		job->next->link = job->link;
	else
		disk->last = job->link;
	job->completed = true;
	request->error = job->error && request->drive ? drive_error(request->drive, request, job->error) : job->error;
	TRACE(ev_done, "%s %s at %llx: %d", disk->image->file, op_names[request->op], (unsigned long long)request->offset, job->error);
	request->done(request);
}

static void job_done(void *opaque)
{
	struct job *job = opaque;

	if (!job->completed && job->error && job->request->drive && drive_holds(job->request->drive, job->request, job->error)) {
		job->held = true;
		return;
	}
	if (!job->completed)
		complete(job);
	free(job);
}

void disk_submit(struct disk *disk, struct disk_request *request)
{
	struct job *job = err_alloc(sizeof *job);

	if ((unsigned)request->op >= ARRAY_LEN(op_names))
		bug("a request for operation %u", (unsigned)request->op);
	TRACE(ev_submit, "%s %s at %llx, %llx bytes", disk->image->file, op_names[request->op],
	      (unsigned long long)request->offset, (unsigned long long)request->len);
	job->disk = disk;
	job->request = request;
	job->link = disk->last;
	*disk->last = job;
	disk->last = &job->next;
	loop_work_direct(disk->loop, job_work, job_done, job);
}

void disk_retry(struct disk *disk)
{
	for (struct job *job = disk->jobs; job; job = job->next) {
		if (!job->held)
			continue;
		job->held = job->finished = false;
		loop_work_direct(disk->loop, job_work, job_done, job);
	}
}

/* The last try of a held job: the machine is being reset, or taken apart. */
static void give_up(struct job *job)
{
	struct disk *disk = job->disk;

	job->error = carry_out_durably(disk, job->request);
	if (job->error && job->request->op != DISK_READ)
		disk->lost = true;
	if (job->error)
		err_note("%s: a %s of the guest was given up: %s", disk->image->file, op_names[job->request->op], strerror(job->error));
	complete(job);
	free(job);
}

void disk_drain(struct disk *disk)
{
	while (disk->jobs) { /* what a completion submits comes last and is waited for too */
		struct job *job = disk->jobs;

		if (job->held) {
			give_up(job);
			continue;
		}
		pthread_mutex_lock(&disk->mutex);
		while (!job->finished)
			pthread_cond_wait(&disk->progress, &disk->mutex);
		pthread_mutex_unlock(&disk->mutex);
		complete(job);
	}
}

/* ---- disks ---- */
struct disk *disk_open(const struct disk_config *config, struct loop *loop, struct err *err)
{
	unsigned flags = (config->read_only || config->snapshot ? IMAGE_READ_ONLY : 0) |
	                 (config->try_read_only ? IMAGE_TRY_READ_ONLY : 0) | (config->no_repair ? IMAGE_NO_REPAIR : 0);
	struct image *image = image_open(config->file, config->format, flags, err);
	struct disk *disk;

	if (image && config->snapshot && !config->read_only)
		image = image_open_snapshot(image, err);
	if (!image)
		return NULL;
	disk = err_alloc(sizeof *disk);
	disk->image = image;
	disk->cache = config->cache;
	disk->no_discard = config->no_discard;
	disk->loop = loop;
	disk->last = &disk->jobs;
	pthread_mutex_init(&disk->mutex, NULL);
	pthread_cond_init(&disk->progress, NULL);
	return disk;
}

bool disk_close(struct disk *disk)
{
	if (!disk)
		return true;
	disk_drain(disk);
	bool good = !image_flush(disk->image) && !disk->lost;
	image_close(disk->image);
	pthread_cond_destroy(&disk->progress);
	pthread_mutex_destroy(&disk->mutex);
	free(disk);
	return good;
}

u64 disk_size(const struct disk *disk)
{
	return disk->image->size;
}

bool disk_read_only(const struct disk *disk)
{
	return disk->image->read_only;
}

const char *disk_file(const struct disk *disk)
{
	return disk->image->file;
}

const char *disk_format(const struct disk *disk)
{
	return disk->image->driver->name;
}
