/* SPDX-License-Identifier: MIT */
/* The broker's own process: see broker.h and docs/sandbox.md.
 *
 * What may be opened is a short list of grants. A grant comes from one source only: a line that the user types into the monitor and
 * whose command is about a file (the table of commands in monitor.c says which word). The lines are read here, by the monitor's
 * own functions, before they go on to the emulator.
 *
 * An image names the files that it stands on, and they are granted with it. But who can write an image can have it name any file:
 * so what it stands on is what it named when it was seen first, and that is nothing if the emulator could write it before.
 *
 * Invariants: once `shut`, nothing that comes over `control` adds a grant, a path to remove or an input. Only plain files and block
 * devices are ever handed out. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/path.h"
#include "frontend/broker.h"
#include "frontend/monitor.h"
#include "frontend/sandbox_private.h"
#include "frontend/telnet.h"
#include "frontend/terminal.h"
#include "hw/disk/image.h"

#define INPUTS 16
#define GRANTS 32
#define OWNED 16
#define FLOPPIES 8
#define DRIVE_ID 64
#define SEEN 1024
#define CHUNK 512
#define AWAY_MS 250 /* until a terminal is looked at again that is another job's now */
#define ROOM 4096 /* of a monitor's input that the emulator has not taken yet: what stays unread is left to the next reader */

struct input {
	int from, far, to; /* the user; what keeps a pseudo-terminal up; the emulator. from -1: free */
	unsigned how;      /* enum broker_input */
	u8 telnet;
	bool away; /* a terminal, and we are in the background */
	struct terminal_keys keys;
	struct monitor_line line;
	u8 held[CHUNK]; /* not taken by the emulator yet */
	size_t first, last;
};

struct listener {
	int from, to; /* -1: free */
	unsigned how;
};

struct grant {
	char path[PATH_MAX]; /* empty: free */
	char drive[DRIVE_ID]; /* what it is a medium for; empty: none */
	bool create;
};

/* A file that was looked into, or that the emulator has had open for writing: whichever came first. */
struct seen {
	dev_t dev;
	ino_t ino;
	char *below; /* what it stands on; NULL: nothing */
};

struct owned {
	char path[PATH_MAX]; /* empty: free */
	int file; /* open, so that its number is no other file's */
};

static struct {
	int control;
	bool shut;
	struct input input[INPUTS];
	struct listener listener[INPUTS];
	struct grant grant[GRANTS];
	unsigned next_grant;
	struct seen seen[SEEN];
	unsigned seen_count;
	char floppy[FLOPPIES][DRIVE_ID]; /* ids of drives */
	unsigned floppy_count;
	struct owned owned[OWNED];
} broker;

/* ---- what the user names ---- */

static void grant(const char *path, const char *drive, bool create)
{
	struct grant *g = &broker.grant[broker.next_grant++ % GRANTS];

	if (strlen(path) >= sizeof g->path)
		return;
	strcpy(g->path, path);
	snprintf(g->drive, sizeof g->drive, "%s", drive);
	g->create = create;
}

/* Returns NULL if it is new and there is no room for more. look: it can be trusted now, so look into it if it is new. */
static const struct seen *see(const struct stat *st, const char *look)
{
	struct seen *s = broker.seen;

	while (s < broker.seen + broker.seen_count && (s->dev != st->st_dev || s->ino != st->st_ino))
		s++;
	if (s == broker.seen + SEEN)
		return NULL;
	if (s == broker.seen + broker.seen_count) {
		broker.seen_count++;
		*s = (struct seen){st->st_dev, st->st_ino, look ? image_backing_of(look) : NULL};
	}
	return s;
}

/* Of plain files only: a device may be part of another one that the guest writes. */
static const char *below(const char *path)
{
	const struct seen *s;
	struct stat st;

	if (stat(path, &st) || !S_ISREG(st.st_mode))
		return NULL;
	s = see(&st, path);
	return s ? s->below : NULL;
}

/* The guest writes floppies only. Asked when a file is opened: a line may come before the drives are known. */
static bool is_written(const char *drive)
{
	for (unsigned i = 0; i < broker.floppy_count; i++)
		if (!strcmp(broker.floppy[i], drive))
			return true;
	return false;
}

/* An image, and what it stands on: read-only, as image.c opens those. */
static void grant_image(const struct monitor_file *named)
{
	const char *file = named->file;

	grant(file, named->drive ? named->drive : "", false);
	if (named->format && !strcmp(named->format, image_raw.name))
		return; /* whatever it looks like */
	for (unsigned depth = 0; depth < GRANTS / 2 && (file = below(file)); depth++)
		grant(file, "", false);
}

static void line_typed(struct input *in)
{
	struct monitor_file named;

	if (!monitor_file(in->line.text, &named))
		return;
	if (named.creates)
		grant(named.file, "", true);
	else
		grant_image(&named);
}

/* As chardev.c, terminal.c and monitor.c take it apart when it arrives there. */
static void understand(struct input *in, u8 *data, size_t len)
{
	unsigned erased;

	if (in->how & BROKER_TELNET)
		len = telnet_read(&in->telnet, data, len);
	for (size_t i = 0; i < len; i++) {
		u8 c = data[i];
		if (in->how & BROKER_KEYS && terminal_key(&in->keys, &c) != TERMINAL_MONITOR)
			continue;
		if (monitor_type(&in->line, c, &erased) == MONITOR_LINE)
			line_typed(in);
	}
}

/* ---- inputs ---- */

static void end_input(struct input *in)
{
	close(in->from);
	close(in->to);
	if (in->far >= 0)
		close(in->far);
	in->from = -1;
}

static void read_input(struct input *in)
{
	u8 copy[CHUNK];
	ssize_t n = read(in->from, in->held, sizeof in->held);

	in->away = n < 0 && errno == EIO;
	if (n < 0 && (errno == EINTR || errno == EAGAIN || errno == EIO))
		return;
	if (n <= 0) {
		end_input(in);
		return;
	}
	in->first = 0;
	in->last = (size_t)n;
	memcpy(copy, in->held, in->last);
	understand(in, copy, in->last);
}

static void pass_on(struct input *in)
{
	ssize_t n = send(in->to, in->held + in->first, in->last - in->first, MSG_DONTWAIT | MSG_NOSIGNAL);

	if (n > 0)
		in->first += (size_t)n;
	else if (n < 0 && errno != EAGAIN && errno != EINTR)
		end_input(in);
}

/* Returns the emulator's end, -1 with errno. */
static int add_input(int from, int far, unsigned how)
{
	struct input *in = broker.input;
	int pair[2], room = ROOM;

	while (in < broker.input + INPUTS && in->from >= 0)
		in++;
	if (in == broker.input + INPUTS) {
		errno = EMFILE;
		return -1;
	}
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair))
		return -1;
	setsockopt(pair[0], SOL_SOCKET, SO_SNDBUF, &room, sizeof room);
	*in = (struct input){.from = from, .far = far, .to = pair[0], .how = how};
	return pair[1];
}

static void accept_input(struct listener *l)
{
	int fds[2], connection = accept4(l->from, NULL, NULL, SOCK_CLOEXEC);
	u8 nothing = 0;

	if (connection < 0)
		return;
	fds[0] = add_input(connection, -1, l->how);
	fds[1] = connection;
	if (fds[0] < 0) {
		close(connection);
		return;
	}
	broker_send(l->to, &nothing, sizeof nothing, fds, 2);
	close(fds[0]); /* if it was not sent, the input ends by that */
}

static int add_listener(int from, unsigned how)
{
	struct listener *l = broker.listener;
	int pair[2];

	while (l < broker.listener + INPUTS && l->from >= 0)
		l++;
	if (l == broker.listener + INPUTS || socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair))
		return -1;
	*l = (struct listener){.from = from, .to = pair[0], .how = how};
	return pair[1];
}

/* ---- files ---- */

static int open_plain(const char *path, int flags, mode_t mode)
{
	struct stat st;
	const int all = flags | O_CLOEXEC | O_NONBLOCK | O_NOCTTY;
	int fd = flags & O_CREAT ? path_open(path, all, mode) : path_open_existing(path, all);
	const bool writes = !(flags & O_PATH) && (flags & O_ACCMODE) != O_RDONLY;

	if (fd < 0)
		return fd;
	if (!fstat(fd, &st) && (S_ISREG(st.st_mode) || S_ISBLK(st.st_mode)) && (!writes || see(&st, NULL)))
		return fd;
	close(fd);
	errno = EACCES;
	return -1;
}

static int open_granted(const struct broker_request *r)
{
	const int create = O_CREAT | O_TRUNC | O_WRONLY, harmless = O_CLOEXEC | O_NONBLOCK | O_PATH;

	for (unsigned i = 0; i < GRANTS; i++) {
		struct grant *g = &broker.grant[i];
		if (!*g->path || strcmp(g->path, r->path))
			continue;
		const int flags = r->flags & ~harmless;
		if (g->create && flags == create) {
			*g->path = 0; /* once: each needs its line */
			return open_plain(r->path, flags, 0666);
		}
		if (!g->create && (flags == O_RDONLY || (flags == O_RDWR && is_written(g->drive))))
			return open_plain(r->path, r->flags & (O_ACCMODE | O_PATH), 0);
	}
	errno = EACCES;
	return -1;
}

static void own(const char *path)
{
	int file = open(path, O_PATH | O_NOFOLLOW | O_CLOEXEC);

	for (unsigned i = 0; i < OWNED && file >= 0; i++)
		if (!*broker.owned[i].path) {
			strcpy(broker.owned[i].path, path);
			broker.owned[i].file = file;
			file = -1;
		}
	if (file >= 0)
		close(file);
}

static bool disown(struct owned *o)
{
	struct stat now, ours;
	bool same = !lstat(o->path, &now) && !fstat(o->file, &ours) && now.st_dev == ours.st_dev && now.st_ino == ours.st_ino;

	close(o->file);
	errno = ENOENT;
	bool ok = same && !unlink(o->path);
	*o->path = 0;
	return ok;
}

static bool remove_owned(const char *path)
{
	for (unsigned i = 0; i < OWNED; i++)
		if (*path && !strcmp(broker.owned[i].path, path))
			return disown(&broker.owned[i]);
	errno = EACCES;
	return false;
}

/* ---- requests ---- */

static bool was_written(int fd)
{
	struct stat st;

	return fd >= 0 && !fstat(fd, &st) && see(&st, NULL);
}

static bool writes(const char *drive)
{
	if (broker.floppy_count == FLOPPIES || strlen(drive) >= sizeof broker.floppy[0])
		return false;
	strcpy(broker.floppy[broker.floppy_count++], drive);
	return true;
}

static bool shut(void)
{
	struct err err;
	struct sock_fprog filter;

	broker.shut = true;
	return sandbox_give_up_as_broker(sandbox_calls_compile(THREAD_BROKER, false, &filter, &err) ? &filter : NULL);
}

/* Returns the descriptor of the reply, -1 for none; errno 0 if it was done. */
static int carry_out(const struct broker_request *r, int fds[2], bool *ours)
{
	int fd = -1;

	errno = 0;
	*ours = true; /* what is replied is closed here, and what came */
	switch (broker.shut && r->op < BROKER_OPEN ? (enum broker_op)~0u : (enum broker_op)r->op) {
	case BROKER_OPEN:
		fd = open_granted(r);
		break;
	case BROKER_REMOVE:
		errno = remove_owned(r->path) ? 0 : errno;
		break;
	case BROKER_REMOVE_AT_END:
		own(r->path);
		errno = 0;
		break;
	case BROKER_INPUT:
		fd = add_input(fds[0], fds[1], (unsigned)r->flags);
		*ours = fd < 0;
		break;
	case BROKER_LISTEN:
		fd = add_listener(fds[0], (unsigned)r->flags);
		*ours = fd < 0;
		break;
	case BROKER_WRITTEN:
		errno = was_written(fds[0]) ? 0 : ENOSPC;
		break;
	case BROKER_WRITES:
		errno = writes(r->path) ? 0 : ENOSPC;
		break;
	case BROKER_SHUT:
		errno = shut() ? 0 : errno;
		break;
	default:
		errno = EPERM;
		break;
	}
	if (fd >= 0)
		errno = 0;
	return fd;
}

/* False: the emulator is gone. */
static bool serve_request(void)
{
	struct broker_request request;
	struct broker_reply reply;
	int fds[2] = {-1, -1}, fd = -1;
	bool ours = true;

	bool whole = broker_receive(broker.control, &request, sizeof request, fds, 2);
	if (!whole && errno == EPIPE)
		return false;
	if (whole && memchr(request.path, 0, sizeof request.path))
		fd = carry_out(&request, fds, &ours);
	else
		errno = EPROTO;
	reply.error = errno;
	bool sent = broker_send(broker.control, &reply, sizeof reply, &fd, 1);
	if (fd >= 0)
		close(fd);
	for (unsigned i = 0; i < 2 && ours; i++)
		if (fds[i] >= 0)
			close(fds[i]);
	return sent;
}

/* ---- life ---- */

/* Returns how long to wait for all that. */
static int watch(struct pollfd *p)
{
	int limit = -1;

	*p++ = (struct pollfd){.fd = broker.control, .events = POLLIN};
	for (struct input *in = broker.input; in < broker.input + INPUTS; in++) {
		const bool waits = in->from >= 0 && in->first < in->last;
		*p++ = (struct pollfd){.fd = waits || in->away ? -1 : in->from, .events = POLLIN};
		if (in->from >= 0 && in->away)
			limit = AWAY_MS;
		in->away = false;
		*p++ = (struct pollfd){.fd = in->from < 0 ? -1 : in->to, .events = waits ? POLLOUT : 0};
	}
	for (struct listener *l = broker.listener; l < broker.listener + INPUTS; l++)
		*p++ = (struct pollfd){.fd = l->from, .events = POLLIN};
	return limit;
}

/* poll(), which a limit on open files makes refuse entries that wait for nothing: those that do are put together. */
static int wait_for(struct pollfd *all, unsigned count, int limit)
{
	struct pollfd some[1 + 3 * INPUTS];
	unsigned n = 0, left = 0;

	for (unsigned i = 0; i < count; i++) {
		all[i].revents = 0;
		if (all[i].fd >= 0)
			some[n++] = all[i];
	}
	int ready = poll(some, n, limit);
	for (unsigned i = 0; i < count && ready > 0; i++)
		if (all[i].fd >= 0)
			all[i].revents = some[left++].revents;
	return ready;
}

static void look(const struct pollfd *p)
{
	for (struct input *in = broker.input; in < broker.input + INPUTS; in++, p += 2) {
		if (in->from < 0)
			continue;
		if (p[1].revents & (POLLERR | POLLHUP)) /* the emulator has closed it */
			end_input(in);
		else if (p[1].revents & POLLOUT)
			pass_on(in);
		else if (p[0].revents)
			read_input(in);
	}
	for (struct listener *l = broker.listener; l < broker.listener + INPUTS; l++, p++)
		if (p->revents)
			accept_input(l);
}

/* The shell's and the user's signals are for the emulator; when it ends, we do. Reading its terminal from the background fails
 * (EIO) as SIGTTIN is ignored: stopping us would keep the emulator from ending. */
static void ignore_signals(void)
{
	static const int others[] = {SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGPIPE, SIGWINCH, SIGUSR1, SIGUSR2, SIGALRM,
	                             SIGTTIN, SIGTTOU};
	static const int fatal[] = {SIGILL, SIGABRT, SIGBUS, SIGFPE, SIGSEGV, SIGSYS, SIGCONT, SIGTSTP};

	for (unsigned i = 0; i < ARRAY_LEN(others); i++)
		signal(others[i], SIG_IGN);
	for (unsigned i = 0; i < ARRAY_LEN(fatal); i++)
		signal(fatal[i], SIG_DFL);
}

void broker_serve(int control)
{
	struct pollfd fds[1 + 3 * INPUTS];
	int null;

	prctl(PR_SET_NAME, "paisano-broker", 0, 0, 0);
	ignore_signals();
	thread_is(THREAD_BROKER);
	broker.control = control;
	close_range(3, (unsigned)control - 1, 0);
	close_range((unsigned)control + 1, ~0u, 0);
	for (unsigned i = 0; i < INPUTS; i++)
		broker.input[i].from = broker.listener[i].from = -1;
	null = open("/dev/null", O_RDWR | O_CLOEXEC);
	/* whoever waits for the end of our output waits for the emulator's only */
	for (int fd = 0; fd <= 2 && null >= 0; fd++)
		dup2(null, fd);
	for (;;) {
		int limit = watch(fds);
		if (wait_for(fds, ARRAY_LEN(fds), limit) < 0) {
			if (errno == EINTR || errno == EAGAIN || errno == ENOMEM)
				continue;
			break; /* the emulator finds us gone, and says so */
		}
		look(fds + 1);
		if (fds[0].revents && !serve_request())
			break;
	}
	for (unsigned i = 0; i < OWNED; i++)
		if (*broker.owned[i].path)
			disown(&broker.owned[i]);
	_exit(EXIT_OFF);
}
