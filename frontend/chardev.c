/* SPDX-License-Identifier: MIT */
/* Host ends of character streams. Input is taken from the host only as the device has room for it. Output goes out at once when
 * the host takes it and is queued in order when it does not. A stream that nobody is connected to swallows output.
 *
 * Nothing here waits, because the machine's lock is held: whoever reads may stop for as long as he likes. Once QUEUE_FULL bytes
 * are queued a device that can wait does (the serial port and the printer say that they are busy); one that cannot, or a guest that
 * does not look, goes on until QUEUE_MAX, and what comes then is dropped, with a line about it.
 * Inherited descriptors are never switched to non-blocking, because a terminal shares that flag with the shell: where the host
 * allows it, a second descriptor of our own is opened on the same pipe or terminal. */
#define _GNU_SOURCE
#include "frontend/chardev.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <poll.h>
#include <pty.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <termios.h>
#include <unistd.h>

#include "base/hostfile.h"
#include "frontend/broker.h"
#include "frontend/file.h"
#include "frontend/telnet.h"

#define QUEUE_MIN (64u << 10) /* the sizes are powers of two */
#define QUEUE_FULL (1u << 20)
#define QUEUE_MAX (16u << 20)
#define CHUNK 4096 /* a pipe that polls writable takes PIPE_BUF bytes without blocking */
#define FLUSH_PAUSE_MS 1000 /* at the end: how long to wait for a reader that does nothing, ... */
#define FLUSH_MS 10000      /* ... and for one that is slow */

struct stream {
	struct chardev chardev; /* first: the address is the same */
	struct loop *loop;
	int in, out, listener;
	bool guarded; /* the broker accepts, and input comes from it: in is another descriptor than out */
	int keep; /* the slave side of a pseudo-terminal, kept open so that the master never hangs up */
	bool own_out; /* out is a second descriptor of ours */
	bool is_socket; /* out is */
	char *name;   /* for lines to the user */
	u8 *queue;    /* a ring of `room` bytes */
	size_t room, first, queued;
	bool stuck;   /* the queue was full, and is not half empty yet */
	bool told;    /* the user knows that it may get stuck */
	u64 dropped;  /* since it got stuck */
	u8 held[CHUNK]; /* read from the host, the device had no room */
	size_t held_len;
	bool reading;
	size_t (*filter)(void *opaque, u8 *data, size_t len);
	void *filter_opaque;
	void (*connected)(void *opaque);
	void *connected_opaque;
	bool telnet;
	u8 telnet_state;
	char *socket_path; /* to be removed at the end */
};

static void on_event(void *opaque, int fd, unsigned events);

static void watch(struct stream *s)
{
	bool read = s->in >= 0 && !s->held_len, write = s->queued > 0;

	if (s->in >= 0 && s->in == s->out) {
		loop_watch(s->loop, s->in, (read ? LOOP_READ : 0) | (write ? LOOP_WRITE : 0), on_event, s);
		return;
	}
	if (s->in >= 0)
		loop_watch(s->loop, s->in, read ? LOOP_READ : 0, on_event, s);
	if (s->out >= 0)
		loop_watch(s->loop, s->out, write ? LOOP_WRITE : 0, on_event, s);
}

static void look_whether_stuck(struct stream *s);
static void hang_up(struct stream *s)
{
	if (s->in >= 0)
		loop_watch(s->loop, s->in, 0, NULL, NULL);
	if (s->out >= 0 && s->out != s->in)
		loop_watch(s->loop, s->out, 0, NULL, NULL);
	if (s->listener >= 0) { /* a connection: wait for the next one */
		close(s->in);
		if (s->out != s->in)
			close(s->out);
		s->out = -1;
		s->queued = 0;
	}
	s->in = -1;
	look_whether_stuck(s);
}

/* ---- output ---- */

static bool can_write(int fd, int milliseconds)
{
	struct pollfd p = {.fd = fd, .events = POLLOUT};

	return poll(&p, 1, milliseconds) > 0 && (p.revents & (POLLOUT | POLLERR | POLLHUP));
}

/* Write as much as goes without waiting. A socket is not asked before: a guest sends most often single bytes, and each costs a
 * system call less. */
static size_t push(struct stream *s, const u8 *data, size_t len)
{
	size_t done = 0;

	while (done < len && (s->is_socket || can_write(s->out, 0))) {
		size_t part = MIN(len - done, (size_t)CHUNK);
		ssize_t n = s->is_socket ? send(s->out, data + done, part, MSG_DONTWAIT | MSG_NOSIGNAL) : write(s->out, data + done, part);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && errno == EAGAIN)
			break;
		if (n <= 0)
			return len; /* the reader is gone: nobody wants it */
		done += n;
	}
	return done;
}

/* The queue has become shorter, or empty. */
static void look_whether_stuck(struct stream *s)
{
	if (!s->stuck || s->queued > QUEUE_FULL / 2)
		return;
	s->stuck = false;
	if (s->dropped)
		err_note("%s is read again: %llu bytes were lost", s->name, (unsigned long long)s->dropped);
	s->dropped = 0;
	if (s->chardev.ready)
		s->chardev.ready(s->chardev.device);
}

static void drain(struct stream *s)
{
	size_t n = 0, part = 0;

	while (s->queued && n == part) {
		part = MIN(s->queued, s->room - s->first);
		n = push(s, s->queue + s->first, part);
		s->first = (s->first + n) & (s->room - 1);
		s->queued -= n;
	}
	look_whether_stuck(s);
}

static void grow(struct stream *s, size_t wanted)
{
	size_t room = MAX(s->room, (size_t)QUEUE_MIN), part = MIN(s->queued, s->room - s->first);
	u8 *queue;

	while (room < wanted)
		room *= 2;
	queue = err_alloc(room);
	if (s->queued) {
		memcpy(queue, s->queue + s->first, part);
		memcpy(queue + part, s->queue, s->queued - part);
	}
	free(s->queue);
	s->queue = queue;
	s->room = room;
	s->first = 0;
}

/* Keep for later what the host does not take now. */
static void keep(struct stream *s, const u8 *data, size_t len)
{
	size_t part = MIN(len, QUEUE_MAX - s->queued), at, before_end;
	bool was_empty = !s->queued;

	if (s->queued + part > s->room)
		grow(s, s->queued + part);
	at = (s->first + s->queued) & (s->room - 1);
	before_end = MIN(part, s->room - at);
	memcpy(s->queue + at, data, before_end);
	memcpy(s->queue, data + before_end, part - before_end);
	s->queued += part;
	if (s->queued >= QUEUE_FULL && !s->stuck) {
		s->stuck = true;
		if (!s->told)
			err_note("%s: nobody reads what it sends; it waits, or goes on without", s->name);
		s->told = true;
	}
	if (part < len && !s->dropped)
		err_note("%s: %u MiB wait for a reader, the rest is dropped", s->name, QUEUE_MAX >> 20);
	s->dropped += len - part;
	if (was_empty)
		watch(s);
}

static void stream_write(void *opaque, const u8 *data, size_t len)
{
	struct stream *s = opaque;
	size_t n = s->out >= 0 && !s->queued ? push(s, data, len) : 0;

	if (s->out >= 0 && n < len)
		keep(s, data + n, len - n);
}

/* Where time is counted in instructions nobody waits: what the guest sees would depend on the host's reader. */
static bool stream_full(void *opaque)
{
	const struct stream *s = opaque;

	return s->stuck && !clock_counts(loop_clock(s->loop));
}

/* ---- telnet ---- */

static void telnet_greet(struct stream *s)
{
	s->telnet_state = 0;
	push(s, telnet_greeting, sizeof telnet_greeting);
}

static void telnet_write(void *opaque, const u8 *data, size_t len)
{
	static const u8 escape = TELNET_IAC;

	while (len) {
		const u8 *found = memchr(data, TELNET_IAC, len);
		size_t part = found ? (size_t)(found - data) + 1 : len;
		stream_write(opaque, data, part);
		if (found)
			stream_write(opaque, &escape, 1);
		data += part;
		len -= part;
	}
}

/* ---- input ---- */

static void deliver(struct stream *s)
{
	struct chardev *c = &s->chardev;
	size_t room = c->can_receive ? c->can_receive(c->device) : s->held_len;
	size_t n = MIN(room, s->held_len);

	if (n && c->receive)
		c->receive(c->device, s->held, n);
	memmove(s->held, s->held + n, s->held_len - n);
	s->held_len -= n;
}

static void read_more(struct stream *s)
{
	ssize_t n = read(s->in, s->held, sizeof s->held);

	if (n < 0 && (errno == EINTR || errno == EAGAIN))
		return;
	if (n <= 0) {
		hang_up(s);
		return;
	}
	s->held_len = s->telnet ? telnet_read(&s->telnet_state, s->held, (size_t)n) : (size_t)n;
	if (s->filter)
		s->held_len = s->filter(s->filter_opaque, s->held, s->held_len);
	deliver(s);
}

static void on_room(void *opaque)
{
	struct stream *s = opaque;

	if (!s->held_len)
		return;
	deliver(s);
	watch(s);
}

static void on_event(void *opaque, int fd, unsigned events)
{
	struct stream *s = opaque;

	if (fd == s->out && (events & LOOP_WRITE))
		drain(s);
	if (fd == s->in && (events & (LOOP_READ | LOOP_HANGUP)) && !s->held_len)
		read_more(s);
	watch(s);
}

/* ---- kinds ---- */

static struct stream *stream_new(const char *what, const char *spec, struct loop *loop)
{
	struct stream *s = err_alloc(sizeof *s);

	s->loop = loop;
	s->name = err_alloc(strlen(what) + strlen(spec) + 2);
	strcat(strcat(strcpy(s->name, what), *what ? " " : ""), spec);
	s->in = s->out = s->listener = s->keep = -1;
	s->chardev.write = stream_write;
	s->chardev.full = stream_full;
	s->chardev.room = on_room;
	s->chardev.opaque = s;
	return s;
}

static void start(struct stream *s)
{
	bool locked = loop_locked(s->loop);

	if (!locked)
		loop_lock(s->loop);
	watch(s);
	if (!locked)
		loop_unlock(s->loop);
}

static struct chardev *over_fds(const char *what, const char *spec, int in, int out, struct loop *loop)
{
	struct stream *s = stream_new(what, spec, loop);
	struct stat st;

	s->in = in;
	s->out = out;
	s->is_socket = out >= 0 && !fstat(out, &st) && S_ISSOCK(st.st_mode);
	start(s);
	return &s->chardev;
}

static void never_wait(int fd)
{
	int flags = fcntl(fd, F_GETFL);

	if (flags != -1)
		fcntl(fd, F_SETFL, flags | O_NONBLOCK);
}

struct chardev *chardev_inherited(int in, int out, struct loop *loop)
{
	struct stat st;
	char path[32];
	int own = -1;

	if (out >= 0 && !fstat(out, &st) && (S_ISFIFO(st.st_mode) || isatty(out))) {
		snprintf(path, sizeof path, "/proc/self/fd/%d", out);
		own = open(path, O_WRONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
	}
	struct chardev *chardev = over_fds("", "stdio", in, own >= 0 ? own : out, loop);
	((struct stream *)chardev)->own_out = own >= 0;
	return chardev;
}

static void greet(struct stream *s)
{
	if (s->telnet)
		telnet_greet(s);
	if (s->connected)
		s->connected(s->connected_opaque);
}

static void on_connect(void *opaque, int fd, unsigned events)
{
	struct stream *s = opaque;
	int in, out;

	(void)events;
	if (!s->guarded)
		in = out = accept4(fd, NULL, NULL, SOCK_CLOEXEC);
	else if (!broker_accept(fd, &in, &out))
		in = out = -1;
	if (in < 0 || out < 0 || s->in >= 0) { /* one at a time */
		if (in >= 0)
			close(in);
		if (out >= 0 && out != in)
			close(out);
		return;
	}
	s->in = in;
	s->out = out;
	watch(s);
	greet(s);
}

static struct chardev *open_file(const char *path, const char *what, struct loop *loop, struct err *err)
{
	int fd = file_output(path, what, err);

	if (fd < 0)
		return NULL;
	never_wait(fd); /* it may be a FIFO */
	return over_fds(what, path, -1, fd, loop);
}

static struct chardev *open_pty(const char *what, struct loop *loop, struct err *err)
{
	int master, slave;
	char name[128];
	struct termios t;

	if (openpty(&master, &slave, name, NULL, NULL)) {
		err_set(err, EXIT_HOST, "%s pty: %s", what, strerror(errno));
		return NULL;
	}
	if (!tcgetattr(slave, &t)) {
		cfmakeraw(&t);
		tcsetattr(slave, TCSANOW, &t);
	}
	never_wait(master);
	struct chardev *chardev = over_fds(what, "pty", master, master, loop);
	((struct stream *)chardev)->keep = slave;
	err_note("%s: connected to %s", what, name);
	return chardev;
}

/* The words behind an address: "server", "nowait", "server=on", "wait=off", in any order. */
static bool socket_words(char *words, bool *server, bool *wait, const char *what, struct err *err)
{
	*server = false;
	*wait = true;
	for (char *save = NULL, *w = strtok_r(words, ",", &save); w; w = strtok_r(NULL, ",", &save)) {
		if (!strcmp(w, "server") || !strcmp(w, "server=on"))
			*server = true;
		else if (!strcmp(w, "nowait") || !strcmp(w, "wait=off"))
			*wait = false;
		else if (strcmp(w, "wait=on") && strcmp(w, "server=off"))
			return err_set(err, EXIT_USAGE, "%s: %s: not a word for sockets (server, nowait)", what, w);
	}
	return true;
}

/* Finish a socket: listen on it or connect it. */
static struct chardev *open_socket(int fd, bool bound, const struct sockaddr *addr, socklen_t len, bool server, bool wait,
                                   const char *what, const char *spec, struct loop *loop, struct err *err)
{
	int one = 1;

	if (fd >= 0 && server && !bound)
		setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
	if (fd < 0 || (server ? (!bound && bind(fd, addr, len)) || listen(fd, 1) : connect(fd, addr, len))) {
		err_set(err, EXIT_HOST, "%s %s: %s", what, spec, strerror(errno));
		if (fd >= 0)
			close(fd);
		return NULL;
	}
	if (!server)
		return over_fds(what, spec, fd, fd, loop);
	struct stream *s = stream_new(what, spec, loop);
	s->listener = fd;
	s->is_socket = true;
	if (wait) {
		err_note("%s %s: waiting for a connection", what, spec);
		if (loop_await(loop, fd)) /* else the run is over, and the caller's loop will find out */
			s->in = s->out = accept4(fd, NULL, NULL, SOCK_CLOEXEC);
		start(s);
	}
	loop_lock(loop);
	loop_watch(loop, fd, LOOP_READ, on_connect, s);
	loop_unlock(loop);
	return &s->chardev;
}

static bool is_loopback(const struct sockaddr *addr)
{
	const struct sockaddr_in *four = (const struct sockaddr_in *)addr;
	const struct sockaddr_in6 *six = (const struct sockaddr_in6 *)addr;

	return addr->sa_family == AF_INET ? ntohl(four->sin_addr.s_addr) >> 24 == IN_LOOPBACKNET
	                                  : addr->sa_family == AF_INET6 && IN6_IS_ADDR_LOOPBACK(&six->sin6_addr);
}

/* A number that can be one, or a name for who knows names. */
static bool is_port(const char *text)
{
	return isalpha((u8)*text) || (strspn(text, "0123456789") == strlen(text) && strlen(text) <= 5 && atoi(text) >= 1 &&
	                              atoi(text) <= 65535);
}

static struct chardev *open_tcp(char *address, const char *what, const char *spec, struct loop *loop, struct err *err)
{
	char *comma = strchr(address, ',');
	bool server, wait;
	struct addrinfo hints = {.ai_socktype = SOCK_STREAM}, *found = NULL;

	if (comma)
		*comma++ = 0;
	char *colon = strrchr(address, ':');
	if (!socket_words(comma ? comma : (char[]){""}, &server, &wait, what, err))
		return NULL;
	if (!colon) {
		err_set(err, EXIT_USAGE, "%s %s: tcp:HOST:PORT", what, spec);
		return NULL;
	}
	*colon = 0;
	if (!is_port(colon + 1)) {
		err_set(err, EXIT_USAGE, "%s %s: a port is 1 to 65535", what, spec);
		return NULL;
	}
	/* Without an address it is this host only, also for a server: what listens here may be a door to the user's files (the
	 * monitor). Whoever wants all addresses says so: 0.0.0.0 or [::]. */
	if (*address == '[' && address[strlen(address) - 1] == ']') {
		address[strlen(address) - 1] = 0;
		address++;
	}
	int code = getaddrinfo(*address ? address : "127.0.0.1", colon + 1, &hints, &found);
	if (code) {
		err_set(err, EXIT_USAGE, "%s %s: %s", what, spec, gai_strerror(code));
		return NULL;
	}
	struct chardev *chardev = open_socket(socket(found->ai_family, SOCK_STREAM | SOCK_CLOEXEC, 0), false, found->ai_addr,
	                                      found->ai_addrlen, server, wait, what, spec, loop, err);
	if (chardev && server && !is_loopback(found->ai_addr))
		err_note("%s %s: open to everyone who reaches this host", what, spec);
	freeaddrinfo(found);
	return chardev;
}

static struct chardev *open_telnet(char *address, const char *what, const char *spec, struct loop *loop, struct err *err)
{
	struct chardev *chardev = open_tcp(address, what, spec, loop, err);
	struct stream *s = (struct stream *)chardev;

	if (!s)
		return NULL;
	loop_lock(loop);
	s->telnet = true;
	chardev->write = telnet_write;
	if (s->out >= 0 && s->listener >= 0)
		telnet_greet(s);
	loop_unlock(loop);
	return chardev;
}

static struct chardev *open_unix(char *path, const char *what, const char *spec, struct loop *loop, struct err *err)
{
	char *comma = strchr(path, ',');
	bool server, wait;
	struct sockaddr_un addr = {.sun_family = AF_UNIX};

	if (comma)
		*comma++ = 0;
	if (!socket_words(comma ? comma : (char[]){""}, &server, &wait, what, err))
		return NULL;
	if (strlen(path) >= sizeof addr.sun_path) {
		err_set(err, EXIT_USAGE, "%s %s: the path is too long", what, spec);
		return NULL;
	}
	strcpy(addr.sun_path, path);
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd >= 0 && server && !file_bind(fd, path, what, err)) {
		close(fd);
		return NULL;
	}
	struct chardev *chardev = open_socket(fd, server, (struct sockaddr *)&addr, sizeof addr, server, wait, what, spec, loop, err);
	if (chardev && server)
		((struct stream *)chardev)->socket_path = err_strdup(path);
	return chardev;
}

struct chardev *chardev_open(const char *spec, const char *what, struct loop *loop, struct err *err)
{
	char *copy = err_strdup(spec), *colon = strchr(copy, ':');
	struct chardev *chardev = NULL;

	if (colon)
		*colon++ = 0;
	if (!strcmp(spec, "null"))
		chardev = over_fds(what, spec, -1, -1, loop);
	else if (!strcmp(spec, "pty"))
		chardev = open_pty(what, loop, err);
	else if (colon && !strcmp(copy, "file"))
		chardev = open_file(colon, what, loop, err);
	else if (colon && !strcmp(copy, "tcp"))
		chardev = open_tcp(colon, what, spec, loop, err);
	else if (colon && !strcmp(copy, "telnet"))
		chardev = open_telnet(colon, what, spec, loop, err);
	else if (colon && !strcmp(copy, "unix"))
		chardev = open_unix(colon, what, spec, loop, err);
	else
		err_set(err, EXIT_USAGE,
		        "%s %s: not one of stdio, mon:stdio, file:PATH, pty, tcp:HOST:PORT, telnet:HOST:PORT, unix:PATH, null, none", what,
		        spec);
	free(copy);
	return chardev;
}

static bool guard_input(struct stream *s, unsigned how)
{
	int from = s->in, to = broker_input(from, s->keep, how);

	if (to < 0)
		return false;
	loop_lock(s->loop);
	loop_watch(s->loop, from, 0, NULL, NULL);
	s->in = to;
	watch(s);
	loop_unlock(s->loop);
	if (from > STDERR_FILENO && from != s->out)
		close(from);
	if (s->keep >= 0)
		close(s->keep);
	s->keep = -1;
	return true;
}

static bool guard_listener(struct stream *s, unsigned how)
{
	int from = s->listener, to = broker_listen(from, how);

	if (to < 0)
		return false;
	loop_lock(s->loop);
	loop_watch(s->loop, from, 0, NULL, NULL);
	s->listener = to;
	loop_watch(s->loop, to, LOOP_READ, on_connect, s);
	loop_unlock(s->loop);
	close(from);
	return true;
}

bool chardev_guard(struct chardev *chardev, bool keys, struct err *err)
{
	struct stream *s = (struct stream *)chardev;
	const unsigned how = (keys ? BROKER_KEYS : 0) | (s->telnet ? BROKER_TELNET : 0);

	s->guarded = broker_running();
	return !s->guarded || ((s->in < 0 || guard_input(s, how)) && (s->listener < 0 || guard_listener(s, how))) ||
	       err_set(err, EXIT_HOST, "the sandbox's broker does not take the monitor: %s", strerror(errno));
}

void chardev_filter(struct chardev *chardev, size_t (*filter)(void *opaque, u8 *data, size_t len), void *opaque)
{
	struct stream *s = (struct stream *)chardev;

	s->filter = filter;
	s->filter_opaque = opaque;
}

void chardev_on_connect(struct chardev *chardev, void (*connected)(void *opaque), void *opaque)
{
	struct stream *s = (struct stream *)chardev;

	s->connected = connected;
	s->connected_opaque = opaque;
}

/* What is still held back goes out as far as a reader takes it. */
static void flush(struct stream *s)
{
	u64 end = clock_host() + FLUSH_MS * (NS_PER_S / 1000);
	size_t before;

	s->stuck = false; /* the device is gone */
	do {
		before = s->queued;
		if (s->out >= 0 && before && can_write(s->out, FLUSH_PAUSE_MS))
			drain(s);
	} while (s->queued && s->queued < before && clock_host() < end);
}

void chardev_close(struct chardev *chardev)
{
	struct stream *s = (struct stream *)chardev;

	if (!s)
		return;
	flush(s);
	loop_lock(s->loop);
	if (s->in >= 0)
		loop_watch(s->loop, s->in, 0, NULL, NULL);
	if (s->out >= 0)
		loop_watch(s->loop, s->out, 0, NULL, NULL);
	if (s->listener >= 0)
		loop_watch(s->loop, s->listener, 0, NULL, NULL);
	loop_unlock(s->loop);
	if (s->in > 2)
		close(s->in);
	if ((s->out > 2 || s->own_out) && s->out != s->in)
		close(s->out);
	if (s->listener >= 0)
		close(s->listener);
	if (s->keep >= 0)
		close(s->keep);
	if (s->socket_path)
		hostfile_remove(s->socket_path);
	free(s->socket_path);
	free(s->queue);
	free(s->name);
	free(s);
}
