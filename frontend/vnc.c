/* SPDX-License-Identifier: MIT */
/* The screen over the network: RFB through libvncserver (RFC 6143; the community's rfbproto for ExtendedDesktopSize and QEMU's
 * extended key events, which name keys by their place).
 * Not implemented: sound, clipboard, encryption (use a tunnel), relative pointer motion (QEMU's encoding -257), WebSockets: a page
 * in the user's browser could open one to this host. Whoever wants a browser as viewer runs websockify, which can be told whose
 * pages to serve (ExpectOrigin).
 *
 * libvncserver waits where a client is slow, so it has a thread of its own; it never runs with the machine lock held. Everything
 * of a struct vnc belongs to that thread, but for the list of connections, which another one hangs up when the end has come.
 * Invariant: the library's frame buffer is ui.picture.pixels, or `blank` while there is no
 * picture, and is replaced in both places before the library is called again. */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <rfb/rfb.h>

#include "base/clock.h"
#include "base/hostfile.h"
#include "base/thread.h"
#include "frontend/file.h"
#include "frontend/ui.h"

#define BASE_PORT 5900
#define DISPLAYS 59635
#define BLANK_WIDTH 640
#define BLANK_HEIGHT 480
#define CLIENT_WAIT_MS 5000  /* how long a client may keep the others waiting by not taking what it was sent */
#define MESSAGE_NS (10 * NS_PER_S) /* from a message's first byte to its last, */
#define LOGIN_NS (30 * NS_PER_S)   /* and from the connection to the end of the handshake */
#define LISTENERS 4
#define CLIENTS 32           /* that are let in, */
#define STRANGERS 16         /* and that are not yet */
#define ENCODINGS 1024       /* in one message */
#define SCREENS 255
#define PASSWORD_MAX 8       /* what the protocol's authentication can take */

enum { ENCODING_EXTENDED_KEY = -258, MESSAGE_QEMU = 255 };

/* The size that a client was met with; it may be another one by the time the client says that it can follow. */
struct met {
	int fd;       /* the connection: a descriptor of our own, so that its number is nobody else's while it is in the list */
	struct met *next;
	int width, height;
	bool told;
	u64 since;    /* host ns: when it came, or when it was last let in or without a message begun */
	bool begun;   /* a message has come in part */
	u64 skip;     /* bytes to come of the clipboard, which nobody reads */
};

struct vnc {
	struct ui ui;
	char *address, *password, *password_file; /* options */
	u64 to;
	int listener[LISTENERS];
	unsigned listeners;
	unsigned clients;
	rfbScreenInfoPtr screen;
	pthread_mutex_t mutex;
	struct met *connections; /* under the mutex */
	char *passwords[2];
	bool made_password; /* by us: the user has to be told */
	u32 *blank;
	u64 shown;       /* generation of the picture that the library has */
	bool has_picture;
	unsigned mask;   /* the protocol's buttons */
	struct ui_pace pace;
	char title[128];
};

/* ---- addresses ---- */

/* "HOST:N" or ":N" with the display number N; an address of IPv6 stands in brackets. */
static bool split_address(const char *address, char *host, size_t size, u64 *display, struct err *err)
{
	const char *colon = strrchr(address, ':');
	size_t len = colon ? (size_t)(colon - address) : 0;

	if (!colon || !options_number(colon + 1, display, NULL) || *display > DISPLAYS)
		return err_set(err, EXIT_USAGE, "-display vnc=%s: HOST:N or :N with a display number (port %d + N)", address, BASE_PORT);
	if (len >= 2 && address[0] == '[' && address[len - 1] == ']') {
		address++;
		len -= 2;
	}
	if (len >= size)
		return err_set(err, EXIT_USAGE, "-display vnc=%s: the host name is too long", address);
	memcpy(host, address, len);
	host[len] = 0;
	return true;
}

static int listen_on(const struct addrinfo *a)
{
	int one = 1, fd = socket(a->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	if (fd < 0)
		return -1;
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
	if (a->ai_family == AF_INET6)
		setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &one, sizeof one);
	if (!bind(fd, a->ai_addr, a->ai_addrlen) && !listen(fd, 8))
		return fd;
	one = errno;
	close(fd);
	errno = one;
	return -1;
}

/* Every address of the host, on one port. */
static bool listen_all(struct vnc *v, const char *host, unsigned port, struct err *err)
{
	struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_PASSIVE}, *found = NULL;
	char text[8];
	int why = 0;

	snprintf(text, sizeof text, "%u", port);
	int code = getaddrinfo(*host ? host : "127.0.0.1", text, &hints, &found);
	if (code)
		return err_set(err, EXIT_USAGE, "-display vnc=%s: %s", v->address, gai_strerror(code));
	v->listeners = 0;
	for (const struct addrinfo *a = found; a && v->listeners < LISTENERS; a = a->ai_next) {
		int fd = listen_on(a);
		if (fd >= 0)
			v->listener[v->listeners++] = fd;
		else
			why = errno;
	}
	freeaddrinfo(found);
	return v->listeners || err_set(err, EXIT_HOST, "-display vnc=%s: port %u: %s", v->address, port, strerror(why));
}

static bool is_loopback(const char *host)
{
	return !*host || !strncmp(host, "127.", 4) || !strcmp(host, "::1") || !strcmp(host, "localhost");
}

static bool listen_unix(struct vnc *v, const char *path, struct err *err)
{
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	if (strlen(path) >= sizeof(struct sockaddr_un){0}.sun_path)
		err_set(err, EXIT_USAGE, "-display vnc=%s: the path is too long", v->address);
	else if (fd < 0)
		err_set(err, EXIT_HOST, "-display vnc=%s: %s", v->address, strerror(errno));
	else if (file_bind(fd, path, "-display vnc", err)) {
		v->listener[v->listeners++] = fd;
		return !listen(fd, 8) || err_set(err, EXIT_HOST, "-display vnc=%s: %s", v->address, strerror(errno));
	}
	if (fd >= 0)
		close(fd);
	return false;
}

static const char *unix_path(const struct vnc *v)
{
	return v->address && !strncmp(v->address, "unix:", 5) ? v->address + 5 : NULL;
}

static bool start_listening(struct vnc *v, struct err *err)
{
	char host[256];
	u64 display, last;
	bool ok = false;

	if (unix_path(v))
		return listen_unix(v, unix_path(v), err);
	if (!split_address(v->address, host, sizeof host, &display, err))
		return false;
	last = MAX(display, MIN(v->to, (u64)DISPLAYS));
	for (u64 d = display; !ok && d <= last; d++) {
		ok = listen_all(v, host, BASE_PORT + d, err);
		if (ok && (v->to || !is_loopback(host) || !v->passwords[0]))
			err_note("VNC display %s:%llu%s%s%s", *host ? host : "127.0.0.1", (unsigned long long)d,
			         v->passwords[0] ? "" : ", open to everyone ", v->passwords[0] ? "" : is_loopback(host) ? "on" : "who reaches",
			         v->passwords[0] ? "" : " this host: there is no password");
		if (!ok && err->code == EXIT_USAGE)
			break;
	}
	return ok;
}

/* ---- what clients do; called by the library on our thread ---- */

static struct vnc *vnc_of(rfbClientPtr client)
{
	return client->screen->screenData;
}

static void on_key(rfbBool down, rfbKeySym keysym, rfbClientPtr client)
{
	ui_keysym(&vnc_of(client)->ui, keysym, down);
	vnc_of(client)->pace.quiet = 0;
}

static void on_pointer(int mask, int x, int y, rfbClientPtr client)
{
	struct vnc *v = vnc_of(client);
	unsigned pressed = mask & ~v->mask;
	int wheel = (pressed & 8 ? 1 : 0) - (pressed & 16 ? 1 : 0);
	unsigned buttons = (mask & 1 ? INPUT_LEFT : 0) | (mask & 2 ? INPUT_MIDDLE : 0) | (mask & 4 ? INPUT_RIGHT : 0);

	v->mask = mask;
	ui_position(&v->ui, x, y, wheel, buttons);
	v->pace.quiet = 0;
}

static int on_resize(int width, int height, int screens, struct rfbExtDesktopScreen *list, rfbClientPtr client)
{
	(void)screens, (void)list;
	/* the guest decides; if it follows, all clients hear of the new size then */
	if (width > 0 && height > 0)
		ui_resize_hint(&vnc_of(client)->ui, width, height);
	return rfbExtDesktopSize_ResizeProhibited;
}

static rfbProtocolExtension extended_keys;

/* The library forgets what it has allocated for a client's extension. */
static void free_extension(rfbClientPtr client)
{
	rfbExtensionData **at = &client->extensions;

	while (*at && (*at)->extension != &extended_keys)
		at = &(*at)->next;
	rfbExtensionData *found = *at;
	if (!found)
		return;
	*at = found->next;
	free(found->data);
	free(found);
}

/* What is sent to a slow client waits for it. Once the end has come, nobody is waited for. */
static void hang_up(struct ui *ui)
{
	struct vnc *v = (struct vnc *)ui;

	pthread_mutex_lock(&v->mutex);
	for (const struct met *m = v->connections; m; m = m->next)
		shutdown(m->fd, SHUT_RDWR);
	pthread_mutex_unlock(&v->mutex);
}

static void connect_met(struct vnc *v, struct met *met, int fd)
{
	pthread_mutex_lock(&v->mutex);
	met->fd = fd;
	met->next = v->connections;
	v->connections = met;
	pthread_mutex_unlock(&v->mutex);
	if (ui_quitting(&v->ui)) /* it was not in the list yet */
		hang_up(&v->ui);
}

static void disconnect_met(struct vnc *v, const struct met *met)
{
	pthread_mutex_lock(&v->mutex);
	struct met **at = &v->connections;
	while (*at && *at != met)
		at = &(*at)->next;
	if (*at) {
		*at = met->next;
		close(met->fd);
	}
	pthread_mutex_unlock(&v->mutex);
}

static void on_gone(rfbClientPtr client)
{
	struct vnc *v = vnc_of(client);

	v->clients--;
	disconnect_met(v, client->clientData);
	free(client->clientData);
	client->clientData = NULL;
	free_extension(client);
	ui_release_keys(&v->ui);
	if (v->mask)
		ui_motion(&v->ui, 0, 0, 0, 0);
	v->mask = 0;
}

static enum rfbNewClientAction on_client(rfbClientPtr client)
{
	struct vnc *v = vnc_of(client);

	struct met *met = client->clientData = err_alloc(sizeof *met);
	met->width = client->screen->width;
	met->height = client->screen->height;
	client->clientGoneHook = on_gone;
	met->since = clock_host();
	v->clients++;
	v->pace.quiet = 0;
	return RFB_CLIENT_ACCEPT;
}

/* ---- QEMU's extended key events ---- */

static rfbBool enable_extended(rfbClientPtr client, void **data, int encoding)
{
	struct {
		rfbFramebufferUpdateMsg head;
		rfbFramebufferUpdateRectHeader rect;
	} __attribute__((packed)) told = {
		.head = {.type = rfbFramebufferUpdate, .nRects = htons(1)},
		.rect = {.r = {.w = htons(client->screen->width), .h = htons(client->screen->height)},
	             .encoding = htonl(ENCODING_EXTENDED_KEY)},
	};

	if (encoding != ENCODING_EXTENDED_KEY)
		return FALSE;
	if (!*data && rfbWriteExact(client, (char *)&told, sizeof told) > 0)
		*data = err_alloc(1); /* told once; the library frees it */
	return TRUE;
}

static rfbBool extended_message(rfbClientPtr client, void *data, const rfbClientToServerMsg *message)
{
	struct {
		u8 kind;
		u16 down;
		u32 keysym, code;
	} __attribute__((packed)) key;

	(void)data;
	if (message->type != MESSAGE_QEMU)
		return FALSE;
	if (rfbReadExact(client, (char *)&key, sizeof key) <= 0 || key.kind != 0) {
		rfbCloseClient(client);
		return TRUE;
	}
	unsigned code = keys_by_scancode(ntohl(key.code));
	if (code)
		ui_key(&vnc_of(client)->ui, code, key.down);
	else
		ui_keysym(&vnc_of(client)->ui, ntohl(key.keysym), key.down);
	vnc_of(client)->pace.quiet = 0;
	return TRUE;
}

static rfbBool want_extension(rfbClientPtr client, void **data)
{
	(void)client;
	*data = NULL;
	return TRUE;
}

static int extended_encodings[] = {ENCODING_EXTENDED_KEY, 0};
static rfbProtocolExtension extended_keys = {
	.newClient = want_extension,
	.pseudoEncodings = extended_encodings,
	.enablePseudoEncoding = enable_extended,
	.handleMessage = extended_message,
};

/* ---- the picture ---- */

/* Pixels are 0x00RRGGBB; the library's own idea of 32 bits is another. */
static void set_format(rfbScreenInfoPtr screen)
{
	rfbClientIteratorPtr all = rfbGetClientIterator(screen);

	screen->serverFormat.redShift = 16;
	screen->serverFormat.greenShift = 8;
	screen->serverFormat.blueShift = 0;
	for (rfbClientPtr c = rfbClientIteratorNext(all); c; c = rfbClientIteratorNext(all))
		screen->setTranslateFunction(c);
	rfbReleaseClientIterator(all);
}

static void take_picture(struct vnc *v)
{
	const struct picture *p = &v->ui.picture;

	v->has_picture = p->pixels && p->width && p->height;
	v->shown = p->generation;
	if (v->has_picture)
		rfbNewFramebuffer(v->screen, (char *)p->pixels, p->width, p->height, 8, 3, 4);
	else
		rfbNewFramebuffer(v->screen, (char *)v->blank, BLANK_WIDTH, BLANK_HEIGHT, 8, 3, 4);
	set_format(v->screen);
}

static void mark_dirty(struct vnc *v)
{
	const struct picture *p = &v->ui.picture;
	unsigned lines = MIN(p->height, (unsigned)DISPLAY_LINES);

	for (unsigned y = 0, first; y < lines; y++) {
		if (!(p->dirty[y / 64] >> (y % 64) & 1))
			continue;
		for (first = y; y < lines && p->dirty[y / 64] >> (y % 64) & 1; y++)
			;
		rfbMarkRectAsModified(v->screen, 0, first, p->width, y);
	}
}

static bool look(struct vnc *v)
{
	bool changed = ui_update(&v->ui, false);
	const struct picture *p = &v->ui.picture;

	if (p->generation != v->shown || v->has_picture != (p->pixels && p->width && p->height))
		take_picture(v);
	else if (changed && v->has_picture)
		mark_dirty(v);
	return changed;
}

static void tell_size(rfbScreenInfoPtr screen)
{
	rfbClientIteratorPtr all = rfbGetClientIterator(screen);

	for (rfbClientPtr c = rfbClientIteratorNext(all); c; c = rfbClientIteratorNext(all)) {
		struct met *met = c->clientData;
		if (!met || met->told || !c->useNewFBSize)
			continue;
		met->told = true;
		if (met->width != screen->width || met->height != screen->height)
			c->newFBSizePending = TRUE;
	}
	rfbReleaseClientIterator(all);
}

/* ---- the thread ---- */

/* The library looks whether a new client begins with a WebSocket's request, and would serve it. So it meets one end of a pair of
 * sockets where nothing comes, and says its version there; then the client takes that end's place. */
static bool put_in_place(int fd, const int *pair)
{
	int one = 1;
	char version[sz_rfbProtocolVersionMsg];
	ssize_t n = recv(pair[1], version, sizeof version, MSG_DONTWAIT);

	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
	return n == (ssize_t)sizeof version && send(fd, version, sizeof version, MSG_NOSIGNAL | MSG_DONTWAIT) == n &&
	       dup3(fd, pair[0], O_CLOEXEC) >= 0;
}

/* Is there no room for one more? Those who are not let in yet cannot keep out those who are, nor the other way round. */
static bool full(struct vnc *v)
{
	rfbClientIteratorPtr all = rfbGetClientIterator(v->screen);
	unsigned strangers = 0, known = 0;

	for (rfbClientPtr c = rfbClientIteratorNext(all); c; c = rfbClientIteratorNext(all))
		*(c->state == RFB_NORMAL ? &known : &strangers) += 1;
	rfbReleaseClientIterator(all);
	return strangers >= STRANGERS || known >= CLIENTS;
}

static void accept_client(struct vnc *v, int listener)
{
	int pair[2], fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

	if (fd < 0)
		return;
	if (full(v) || socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair)) {
		close(fd);
		return;
	}
	look(v); /* so that the client begins with the size that is */
	rfbClientPtr client = NULL;
	if (pair[0] < FD_SETSIZE) /* the library selects */
		client = rfbNewClient(v->screen, pair[0]);
	else
		close(pair[0]);
	if (client && put_in_place(fd, pair)) {
		FD_CLR(client->sock, &v->screen->allFds); /* read by take_messages() alone */
		connect_met(v, client->clientData, fd);
	} else {
		if (client)
			rfbCloseClient(client);
		close(fd);
	}
	close(pair[1]);
}

/* The library waits for the rest of a message that has begun, and everybody with it, for as long as bytes trickle in. So it is
 * given a message only when the whole of it has come. How long is the one that begins with these n bytes (n > 0), as far as they
 * tell? 0: none that this server takes. */
static size_t message_length(rfbClientPtr client, const u8 *p, size_t n)
{
	switch (client->state) {
	case RFB_PROTOCOL_VERSION: return sz_rfbProtocolVersionMsg;
	case RFB_SECURITY_TYPE: return 1;
	case RFB_AUTHENTICATION: return CHALLENGESIZE;
	case RFB_INITIALISATION: return sz_rfbClientInitMsg;
	case RFB_NORMAL: break;
	default: return 0;
	}
	size_t count = n >= 4 ? (size_t)p[2] << 8 | p[3] : 0;
	switch (p[0]) {
	case rfbSetPixelFormat: return sz_rfbSetPixelFormatMsg;
	case rfbSetEncodings: return count <= ENCODINGS ? sz_rfbSetEncodingsMsg + count * 4 : 0;
	case rfbFramebufferUpdateRequest: return sz_rfbFramebufferUpdateRequestMsg;
	case rfbKeyEvent: return sz_rfbKeyEventMsg;
	case rfbPointerEvent: return sz_rfbPointerEventMsg;
	case rfbClientCutText: return sz_rfbClientCutTextMsg;
	case rfbSetScale: return sz_rfbSetScaleMsg;
	case rfbSetServerInput: return sz_rfbSetServerInputMsg;
	case rfbSetSW: return sz_rfbSetSWMsg;
	case rfbXvp: return sz_rfbXvpMsg;
	case rfbSetDesktopSize: return sz_rfbSetDesktopSizeMsg + (n >= 7 ? p[6] * (size_t)sz_rfbExtDesktopScreen : 0);
	case MESSAGE_QEMU: return 12;
	default: return 0;
	}
}

/* The clipboard is of any length and for nobody: it goes as it comes. */
static bool skip(rfbClientPtr client, struct met *met)
{
	u8 waste[4096];
	ssize_t n = 1;

	while (met->skip && (n = recv(client->sock, waste, MIN(met->skip, sizeof waste), MSG_DONTWAIT)) > 0)
		met->skip -= n;
	if (!n || (n < 0 && errno != EAGAIN && errno != EINTR))
		rfbCloseClient(client);
	return n > 0;
}

/* One message, if it is there. */
static bool take_message(rfbClientPtr client, struct met *met)
{
	u8 start[sz_rfbSetDesktopSizeMsg + SCREENS * sz_rfbExtDesktopScreen + ENCODINGS * 4];

	struct pollfd end = {.fd = client->sock, .events = POLLRDHUP};

	if (met->skip && !skip(client, met))
		return false;
	bool last = poll(&end, 1, 0) > 0; /* nothing comes after what is there now */
	ssize_t n = recv(client->sock, start, sizeof start, MSG_PEEK | MSG_DONTWAIT);
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return false;
	size_t len = n > 0 ? message_length(client, start, n) : 0;
	if (!len || (last && (size_t)n < len)) {
		rfbCloseClient(client);
		return false;
	}
	met->begun = (size_t)n < len;
	if (met->begun)
		return false;
	if (client->state == RFB_NORMAL && start[0] == rfbClientCutText) {
		i32 text = __builtin_bswap32(load32(start + 4)); /* negative: of the extended clipboard */
		met->skip = (text < 0 ? -(i64)text : text) + (u64)sz_rfbClientCutTextMsg;
		return true;
	}
	rfbProcessClientMessage(client);
	return client->sock >= 0;
}

static void take_messages(struct vnc *v)
{
	rfbClientIteratorPtr all = rfbGetClientIterator(v->screen);
	u64 now = clock_host();

	for (rfbClientPtr c = rfbClientIteratorNext(all); c; c = rfbClientIteratorNext(all)) {
		struct met *met = c->clientData;
		unsigned most = 64; /* then the others' turn */
		while (met && c->sock >= 0 && take_message(c, met) && --most)
			;
		if (!met || c->sock < 0)
			continue;
		if (c->state == RFB_NORMAL && !met->begun)
			met->since = now;
		if (now - met->since > (c->state == RFB_NORMAL ? MESSAGE_NS : LOGIN_NS))
			rfbCloseClient(c);
	}
	rfbReleaseClientIterator(all);
}

/* What to wait for; *wait: how long at most, less if somebody's time may be over. The rest of a message is looked for then too. */
static unsigned fill_poll(struct vnc *v, struct pollfd *fds, int *wait)
{
	rfbClientIteratorPtr all = rfbGetClientIterator(v->screen);
	unsigned n = 0;

	for (; n < v->listeners; n++)
		fds[n] = (struct pollfd){.fd = v->listener[n], .events = POLLIN};
	for (rfbClientPtr c = rfbClientIteratorNext(all); c && n < LISTENERS + CLIENTS + STRANGERS; c = rfbClientIteratorNext(all)) {
		const struct met *met = c->clientData;
		bool begun = met && met->begun;
		fds[n++] = (struct pollfd){.fd = begun ? -1 : c->sock, .events = POLLIN};
		if (begun || c->state != RFB_NORMAL)
			*wait = begun ? UI_TICK_MS : MIN((unsigned)*wait, (unsigned)UI_IDLE_MS);
	}
	rfbReleaseClientIterator(all);
	return n;
}

static void vnc_run(struct ui *ui)
{
	struct vnc *v = (struct vnc *)ui;
	struct pollfd fds[LISTENERS + CLIENTS + STRANGERS];
	int wait = -1;

	while (!ui_quitting(ui)) {
		unsigned n = fill_poll(v, fds, &wait);
		ui_wait(ui, fds, n, wait);
		if (ui_quitting(ui))
			break;
		for (unsigned i = 0; i < v->listeners; i++)
			if (fds[i].revents & POLLIN)
				accept_client(v, v->listener[i]);
		if (v->clients) {
			take_messages(v);
			rfbProcessEvents(v->screen, 0);
		}
		/* nobody looks: nothing is drawn */
		wait = v->clients ? ui_next_look(&v->pace, look(v)) : -1;
		if (v->clients) {
			tell_size(v->screen);
			take_messages(v);
			rfbProcessEvents(v->screen, 0);
		}
	}
}

/* ---- opening and closing ---- */

/* One of letters and digits that are not taken for others. The caller frees it. */
static char *make_password(void)
{
	static const char letters[] = "abcdefghijkmnpqrstuvwxyz23456789";
	u8 secret[PASSWORD_MAX];
	char *text = err_alloc(PASSWORD_MAX + 1);

	loop_secret(secret, sizeof secret);
	for (unsigned i = 0; i < PASSWORD_MAX; i++)
		text[i] = letters[secret[i] % (sizeof letters - 1)];
	return text;
}

/* "on" and "off" are no passwords: QEMU's password=on demands one that is set later, which is one made here, and printed. */
static bool read_password(struct vnc *v, struct err *err)
{
	char line[64] = "";

	if (v->password && !strcmp(v->password, "off")) {
		free(v->password);
		v->password = NULL;
	} else if (v->password && !strcmp(v->password, "on") && !v->password_file) {
		free(v->password);
		v->password = make_password();
		v->made_password = true;
	}
	if (v->password && v->password_file)
		return err_set(err, EXIT_USAGE, "-display vnc: password or password-file, not both");
	if (v->password_file) {
		FILE *f = fopen(v->password_file, "re");
		if (!f)
			return err_set(err, EXIT_FILE, "-display vnc: %s: %s", v->password_file, strerror(errno));
		if (fgets(line, sizeof line, f))
			line[strcspn(line, "\r\n")] = 0;
		fclose(f);
		v->password = err_strdup(line);
	}
	if (!v->password)
		return true;
	if (!*v->password || strlen(v->password) > PASSWORD_MAX)
		return err_set(err, EXIT_USAGE, "-display vnc: a password has 1 to %d characters", PASSWORD_MAX);
	v->passwords[0] = v->password;
	return true;
}

static bool make_screen(struct vnc *v, struct err *err)
{
	rfbLogEnable(0);
	v->blank = err_alloc(sizeof(u32) * BLANK_WIDTH * BLANK_HEIGHT);
	v->screen = rfbGetScreen(NULL, NULL, BLANK_WIDTH, BLANK_HEIGHT, 8, 3, 4);
	if (!v->screen)
		return err_set(err, EXIT_HOST, "-display vnc: the library gives no screen");
	rfbScreenInfoPtr s = v->screen;
	snprintf(v->title, sizeof v->title, "Paisano%s%s", v->ui.host->name ? " " : "", v->ui.host->name ? v->ui.host->name : "");
	s->desktopName = v->title;
	s->screenData = v;
	s->frameBuffer = (char *)v->blank;
	s->port = s->ipv6port = 0; /* we listen ourselves */
	s->httpPort = s->http6Port = 0;
	s->cursor = NULL;
	s->alwaysShared = TRUE;
	s->deferUpdateTime = s->deferPtrUpdateTime = 0;
	s->handleEventsEagerly = TRUE;
	s->maxClientWait = CLIENT_WAIT_MS;
	s->permitFileTransfer = FALSE;
	s->kbdAddEvent = on_key;
	s->ptrAddEvent = on_pointer;
	s->newClientHook = on_client;
	s->setDesktopSizeHook = on_resize;
	if (v->passwords[0]) {
		s->authPasswdData = v->passwords;
		s->passwordCheck = rfbCheckPasswordByList;
	}
	set_format(s);
	rfbInitServer(s);
	rfbRegisterProtocolExtension(&extended_keys);
	return true;
}

static void vnc_close(struct ui *ui)
{
	struct vnc *v = (struct vnc *)ui;

	for (unsigned i = 0; i < v->listeners; i++)
		close(v->listener[i]);
	if (unix_path(v))
		hostfile_remove(unix_path(v));
	if (v->screen) {
		rfbShutdownServer(v->screen, TRUE);
		rfbScreenCleanup(v->screen);
		rfbUnregisterProtocolExtension(&extended_keys);
	}
	free(v->blank);
	/* the mutex stays: hang_up() may come from another thread, for want of knowing that we have come to an end by ourselves */
}

static bool vnc_open(struct ui *ui, struct err *err)
{
	struct vnc *v = (struct vnc *)ui;

	pthread_mutex_init(&v->mutex, NULL);
	if (!v->address)
		v->address = err_strdup(":0");
	if (read_password(v, err) && start_listening(v, err) && make_screen(v, err)) {
		if (v->made_password)
			err_note("VNC's password is %s", v->password);
		return true;
	}
	vnc_close(ui);
	return false;
}

static const struct option_key vnc_options[] = {
	{"listen", OPTION_STRING, offsetof(struct vnc, address), 0, 0,
     "HOST:N or :N (this host only), port 5900 + N; unix:PATH (this user only)"},
	{"password", OPTION_STRING, offsetof(struct vnc, password), 0, 0, "up to 8 characters; on: made for this run, and printed"},
	{"password-file", OPTION_STRING, offsetof(struct vnc, password_file), 0, 0, "file whose first line is the password"},
	{"to", OPTION_NUMBER, offsetof(struct vnc, to), 0, DISPLAYS, "the first free display up to this one"},
	{NULL},
};

UI(vnc) = {
	.name = "vnc",
	.desc = "VNC server",
	.thread = THREAD_NETWORK,
	.size = sizeof(struct vnc),
	.options = vnc_options,
	.implied = "listen",
	.open = vnc_open,
	.run = vnc_run,
	.close = vnc_close,
	.hurry = hang_up,
};
