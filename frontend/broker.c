/* SPDX-License-Identifier: MIT */
/* The emulator's side of the broker, and the messages of both: see broker.h. */
#define _GNU_SOURCE
#include "frontend/broker.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/hostfile.h"
#include "frontend/drives.h"
#include "hw/disk/disk.h"

#define FDS_MAX 2

static int control = -1;
static pthread_mutex_t one_at_a_time = PTHREAD_MUTEX_INITIALIZER;

/* ---- messages ---- */

union ancillary {
	struct cmsghdr head; /* for its alignment */
	char bytes[CMSG_SPACE(FDS_MAX * sizeof(int))];
};

bool broker_send(int socket, const void *data, size_t size, const int *fds, unsigned count)
{
	union ancillary ancillary = {0};
	struct iovec part = {.iov_base = (void *)data, .iov_len = size};
	struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1};
	ssize_t n;

	while (count && fds[count - 1] < 0)
		count--;
	if (count) {
		message.msg_control = ancillary.bytes;
		message.msg_controllen = CMSG_SPACE(count * sizeof(int));
		struct cmsghdr *c = CMSG_FIRSTHDR(&message);
		c->cmsg_level = SOL_SOCKET;
		c->cmsg_type = SCM_RIGHTS;
		c->cmsg_len = CMSG_LEN(count * sizeof(int));
		memcpy(CMSG_DATA(c), fds, count * sizeof(int));
	}
	while ((n = sendmsg(socket, &message, MSG_NOSIGNAL)) < 0 && errno == EINTR)
		;
	return n == (ssize_t)size;
}

bool broker_receive(int socket, void *data, size_t size, int *fds, unsigned count)
{
	union ancillary ancillary;
	struct iovec part = {.iov_base = data, .iov_len = size};
	struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1, .msg_control = ancillary.bytes, .msg_controllen = sizeof ancillary};
	int came[FDS_MAX] = {-1, -1};
	ssize_t n;

	while ((n = recvmsg(socket, &message, MSG_CMSG_CLOEXEC)) < 0 && errno == EINTR)
		;
	for (struct cmsghdr *c = n < 0 ? NULL : CMSG_FIRSTHDR(&message); c; c = CMSG_NXTHDR(&message, c))
		if (c->cmsg_level == SOL_SOCKET && c->cmsg_type == SCM_RIGHTS) /* at most FDS_MAX: there is no room for more */
			memcpy(came, CMSG_DATA(c), MIN(c->cmsg_len - CMSG_LEN(0), sizeof came));
	bool whole = n == (ssize_t)size && !(message.msg_flags & (MSG_TRUNC | MSG_CTRUNC));
	for (unsigned i = 0; i < FDS_MAX; i++) {
		if (i < count && whole)
			fds[i] = came[i];
		else if (came[i] >= 0)
			close(came[i]);
	}
	for (unsigned i = 0; i < count && !whole; i++)
		fds[i] = -1;
	if (!whole)
		errno = n < 0 ? errno : n ? EPROTO : EPIPE;
	return whole;
}

/* ---- requests ---- */

/* Returns the descriptor of the reply, or 0 where none is due; -1 with errno. */
static int ask(const struct broker_request *request, const int *give, unsigned count, bool fd_due)
{
	struct broker_reply reply = {0};
	int fd = -1;

	pthread_mutex_lock(&one_at_a_time);
	bool ok = broker_send(control, request, sizeof *request, give, count) &&
	          broker_receive(control, &reply, sizeof reply, &fd, 1);
	int error = ok ? reply.error : errno;
	pthread_mutex_unlock(&one_at_a_time);
	if (!error && (fd >= 0) == fd_due)
		return fd_due ? fd : 0;
	if (fd >= 0)
		close(fd);
	errno = error ? error : EPROTO;
	return -1;
}

static bool set_path(struct broker_request *request, const char *path)
{
	if (strlen(path) < sizeof request->path) {
		strcpy(request->path, path);
		return true;
	}
	errno = ENAMETOOLONG;
	return false;
}

static int open_by_broker(const char *path, int flags, unsigned mode)
{
	struct broker_request request = {.op = BROKER_OPEN, .flags = flags, .mode = mode};

	return set_path(&request, path) ? ask(&request, NULL, 0, true) : -1;
}

static int remove_by_broker(const char *path)
{
	struct broker_request request = {.op = BROKER_REMOVE};

	return set_path(&request, path) ? ask(&request, NULL, 0, false) : -1;
}

static void remove_at_end(const char *path)
{
	struct broker_request request = {.op = BROKER_REMOVE_AT_END};

	if (set_path(&request, path))
		ask(&request, NULL, 0, false);
}

/* Until the sandbox is shut this process opens for itself. */
static const struct hostfile_helper before = {.remove_at_end = remove_at_end};
static const struct hostfile_helper after = {open_by_broker, remove_by_broker, remove_at_end};

int broker_input(int fd, int far, unsigned how)
{
	const struct broker_request request = {.op = BROKER_INPUT, .flags = (i32)how};

	return ask(&request, (int[]){fd, far}, 2, true);
}

int broker_listen(int fd, unsigned how)
{
	const struct broker_request request = {.op = BROKER_LISTEN, .flags = (i32)how};

	return ask(&request, &fd, 1, true);
}

bool broker_accept(int listener, int *in, int *out)
{
	int fds[2];
	u8 nothing;

	if (!broker_receive(listener, &nothing, sizeof nothing, fds, 2))
		return false;
	*in = fds[0];
	*out = fds[1];
	return true;
}

/* ---- life ---- */

bool broker_running(void)
{
	return control >= 0;
}

bool broker_start(struct err *err)
{
	int pair[2];

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair))
		return err_set(err, EXIT_HOST, "no socket for the sandbox's broker: %s", strerror(errno));
	fflush(NULL); /* what is not written yet is ours alone to write */
	pid_t child = fork();
	if (!child) {
		close(pair[0]);
		broker_serve(pair[1]);
	}
	close(pair[1]);
	if (child < 0) {
		close(pair[0]);
		return err_set(err, EXIT_HOST, "no process for the sandbox's broker: %s", strerror(errno));
	}
	control = pair[0];
	hostfile_ask(&before);
	return true;
}

/* What is open for writing already, so that nobody believes later what is in it. */
static bool tell_written(void)
{
	const struct broker_request request = {.op = BROKER_WRITTEN};
	DIR *all = opendir("/proc/self/fd");
	const struct dirent *entry;
	struct stat st;
	bool good = all;

	while (good && (entry = readdir(all))) {
		const int fd = atoi(entry->d_name), flags = fcntl(fd, F_GETFL);

		if (*entry->d_name != '.' && flags >= 0 && !(flags & O_PATH) && (flags & O_ACCMODE) != O_RDONLY && !fstat(fd, &st) &&
		    S_ISREG(st.st_mode))
			good = ask(&request, &fd, 1, false) >= 0;
	}
	if (all)
		closedir(all);
	return good;
}

static bool tell_drives(void)
{
	struct broker_request request = {.op = BROKER_WRITES};

	for (const struct drive *d = drives_first(); d; d = d->next)
		if (d->media == DRIVE_FLOPPY && (!set_path(&request, d->id) || ask(&request, NULL, 0, false) < 0))
			return false;
	return true;
}

bool broker_shut(struct err *err)
{
	const struct broker_request request = {.op = BROKER_SHUT};

	if (control < 0)
		return true;
	if (!tell_written() || !tell_drives() || ask(&request, NULL, 0, false) < 0)
		return err_set(err, EXIT_HOST, "the sandbox's broker: %s", strerror(errno));
	hostfile_ask(&after);
	return true;
}

static void on_control(void *opaque, int fd, unsigned events)
{
	struct loop *loop = opaque;
	u8 byte;
	struct iovec part = {&byte, 1};
	struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1};

	(void)events;
	ssize_t n = recvmsg(fd, &message, MSG_PEEK | MSG_DONTWAIT);
	if (n > 0 || (n < 0 && (errno == EAGAIN || errno == EINTR)))
		return; /* a reply, which another thread waits for */
	loop_watch(loop, fd, 0, NULL, NULL);
	err_note("the sandbox's broker has gone, and the monitor's input with it: the run is ended, pidfile and sockets stay");
	loop_quit(loop, EXIT_HOST);
}

void broker_watch(struct loop *loop)
{
	if (control >= 0)
		loop_watch(loop, control, LOOP_READ | LOOP_HANGUP, on_control, loop);
}
