/* SPDX-License-Identifier: MIT */
/* Fuzzer: what a client may say to the VNC server: greetings of every version, messages well and badly formed, messages cut off,
 * while the guest changes its picture and its size. The input is a program of small steps; the server is the real one, with its
 * thread, met through a socket. After each client: the server hung up, no key is left down,
 * and what reached the guest was legal. */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "frontend/ui.h"

#define STEPS 256
#define SIDE 96          /* pictures are small: the messages matter */
#define PATIENCE_MS 20000

static struct machine machine;
static struct display_source source;
static struct input device;
static struct ui_host host = {.machine = &machine};
static struct ui *ui;
static u16 port;
static int fd;
static const u8 *input;
static size_t left;
/* the guest's; under the machine lock */
static unsigned width = 32, height = 24;
static u32 colour;
static bool absolute_wanted;
static bool down[INPUT_KEYS];
static unsigned keys_down, buttons_down;

static u8 next(void)
{
	return left ? left--, *input++ : 0;
}

/* ---- a guest that is only a picture and a keyboard ---- */

static void update(void *opaque, struct picture *p, unsigned viewer, bool all)
{
	(void)opaque, (void)viewer, (void)all;
	memset(p->dirty, 0, sizeof p->dirty);
	picture_resize(p, width, height);
	p->changed = width && height && p->pixels[0] != colour;
	for (unsigned i = 0; p->changed && i < width * height; i++)
		p->pixels[i] = colour;
	for (unsigned y = 0; p->changed && y < height; y++)
		p->dirty[y / 64] |= BIT(y % 64);
}

static void hint(void *opaque, unsigned w, unsigned h)
{
	(void)opaque;
	if (!w || !h)
		bug("a size hint of %ux%u", w, h);
}

static void key(void *opaque, unsigned code, bool pressed)
{
	(void)opaque;
	if (!code || code >= INPUT_KEYS)
		bug("key %u", code);
	if (down[code] != pressed)
		keys_down += pressed ? 1 : -1;
	down[code] = pressed;
}

static void pointer(void *opaque, int dx, int dy, int wheel, unsigned buttons)
{
	(void)opaque, (void)wheel;
	if (dx < -65535 || dx > 65535 || dy < -65535 || dy > 65535)
		bug("a way of %d,%d", dx, dy);
	buttons_down = buttons;
}

static void absolute(void *opaque, unsigned x, unsigned y, int wheel, unsigned buttons)
{
	(void)opaque, (void)wheel;
	if (x > INPUT_ABSOLUTE_MAX || y > INPUT_ABSOLUTE_MAX)
		bug("a position of %u,%u", x, y);
	buttons_down = buttons;
}

static bool wants_absolute(void *opaque)
{
	(void)opaque;
	return absolute_wanted;
}

static void *run(void *opaque)
{
	loop_run(opaque);
	return NULL;
}

static void set_up(void)
{
	struct err err = {0};
	pthread_t thread;
	char options[32];

	machine.clock = clock_new();
	machine.loop = loop_new(machine.clock, &err);
	source = (struct display_source){.update = update, .resize_hint = hint};
	machine.display = &source;
	device = (struct input){.key = key, .pointer = pointer, .absolute = absolute, .wants_absolute = wants_absolute};
	if (!input_register(&machine, &device) || pthread_create(&thread, NULL, run, machine.loop))
		bug("no machine");
	for (unsigned display = getpid() % 20000 + 1000, i = 0; !ui && i < 100; i++, display++) {
		snprintf(options, sizeof options, "127.0.0.1:%u", display);
		host.viewers = 0;
		ui = ui_start("vnc", options, &host, &err);
		port = 5900 + display;
	}
	if (!ui)
		bug("%s", err.text);
}

/* ---- the client ---- */

/* What the server sends is read and forgotten; it waits for nobody. False: it hung up. */
static bool drain(int ms)
{
	static u8 sink[1 << 16];
	struct pollfd p = {.fd = fd, .events = POLLIN};

	while (poll(&p, 1, ms) > 0)
		if (read(fd, sink, sizeof sink) <= 0)
			return false;
	return true;
}

static void put(const void *data, size_t len)
{
	const u8 *at = data;

	while (len) {
		ssize_t n = send(fd, at, len, MSG_NOSIGNAL | MSG_DONTWAIT);
		if (n < 0 && errno != EAGAIN)
			return; /* it hung up: hang_up() sees it too */
		if (n < 0 && !drain(1))
			return;
		at += MAX(n, 0);
		len -= (size_t)MAX(n, 0);
	}
}

static void dial(void)
{
	struct sockaddr_in to = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK), .sin_port = htons(port)};

	fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	while (connect(fd, (struct sockaddr *)&to, sizeof to))
		if (errno != EADDRNOTAVAIL && errno != EINTR) /* more clients a minute than a host has ports */
			bug("the server is not there: %s", strerror(errno));
}

static bool let_go(void)
{
	loop_lock(machine.loop);
	bool gone = !keys_down && !buttons_down;
	loop_unlock(machine.loop);
	return gone;
}

static void hang_up(void)
{
	struct pollfd p = {.fd = fd, .events = POLLIN};

	shutdown(fd, SHUT_WR);
	while (drain(0))
		if (!poll(&p, 1, PATIENCE_MS))
			bug("the server does not let go of a client that left");
	close(fd);
	for (unsigned i = 0; !let_go(); i++) {
		if (i > PATIENCE_MS)
			bug("%u keys and buttons %x stay down", keys_down, buttons_down);
		usleep(i < 100 ? 50 : 1000);
	}
}

/* A length, mostly a short one. */
static u32 length(void)
{
	u8 kind = next();

	return kind < 200 ? kind & 31 : kind < 250 ? (u32)next() << (kind & 24) | next() : (u32)-(int)next();
}

/* `count` bytes of the input, zeros after its end. */
static void put_some(unsigned count)
{
	u8 bytes[256] = {0};
	size_t there = MIN(MIN(count, (unsigned)sizeof bytes), left);

	memcpy(bytes, input, there);
	input += there;
	left -= there;
	put(bytes, MIN(count, (unsigned)sizeof bytes));
}

static void pixel_format(void)
{
	static const u8 bits[] = {8, 16, 32, 24, 0, 1, 255, 32};
	u8 m[20] = {0, 0, 0, 0, bits[next() & 7], next(), next(), next() % 4 ? 1 : 0};

	for (unsigned i = 8; i < 17; i++)
		m[i] = next();
	put(m, sizeof m);
}

static void encodings(void)
{
	static const i32 known[] = {0, 1, 2, 4, 5, 6, 7, 8, 9, 16, 17, -1, -8, -10, -16, -23, -26, -32, -223, -224, -232, -239,
	                            -240, -247, -256, -257, -258, -260, -305, -307, -308, -309, -313, (i32)0xc0a1e5ce, (i32)0xffff8000,
	                            (i32)0xfffe0000, (i32)0xfffe0001, (i32)0xfffe0002, (i32)0xfffe0003};
	u8 count = next() & 31, m[4] = {2, 0, next() < 250 ? 0 : next(), count};

	put(m, sizeof m);
	for (unsigned i = 0; i < count; i++) {
		u32 be = htonl((u32)known[next() % ARRAY_LEN(known)]);
		put(&be, 4);
	}
}

static void request(void)
{
	u8 m[10] = {3, next() & 1};

	for (unsigned i = 3; i < 10; i += 2)
		m[i] = next();
	m[2 + (next() & 6)] = next() < 200 ? 0 : next();
	put(m, sizeof m);
}

static void cut_text(void)
{
	u32 size = length(), be = htonl(size);

	put("\6\0\0", 4);
	put(&be, 4);
	put_some(MIN(size, 64u));
}

static void key_event(void)
{
	static const u8 planes[] = {0, 0, 0, 0xff, 0xfe, 1};
	u8 m[8] = {4, next(), 0, 0, 0, next() < 250 ? 0 : 1, planes[next() % sizeof planes], next()};

	put(m, sizeof m);
}

static void extended_key(void)
{
	u8 m[12] = {255, next() % 8 ? 0 : next(), 0, next(), 0, 0, next() & 1 ? 0xff : 0, next(),
	            next() < 250 ? 0 : 1, 0, next() & 0xe0, next()};

	put(m, sizeof m);
}

static void pointer_event(void)
{
	u8 m[6] = {5, next(), next() < 200 ? 0 : next(), next(), next() < 200 ? 0 : next(), next()};

	put(m, sizeof m);
}

static void desktop_size(void)
{
	u8 screens = next() & 3, m[8] = {251, 0, next() & 15, next(), next() & 15, next(), screens};

	put(m, sizeof m);
	put_some(screens * 16);
}

/* Messages of other dialects: the library knows more than we offer. */
static void dialect(void)
{
	static const u8 types[] = {1, 7, 8, 9, 10, 11, 12, 13, 15, 127, 150, 248, 250, 252};
	u8 type = types[next() % sizeof types];

	put(&type, 1);
	put_some(next() & 31);
}

static void guest(u8 how)
{
	loop_lock(machine.loop);
	colour += 0x10203;
	if (how & 16)
		width = next() % SIDE;
	if (how & 32)
		height = next() % SIDE;
	absolute_wanted = how & 64;
	loop_unlock(machine.loop);
}

static void greet(u8 how)
{
	static const char versions[][13] = {"RFB 003.008\n", "RFB 003.003\n", "RFB 003.007\n", "RFB 003.889\n", "RFB 003.014\n",
	                                    "RFB 003.004\n", "RFB 004.001\n", "RFB 999.999\n"};
	unsigned version = how & 8 ? 0 : how & 7;

	if (how >= 250)
		return; /* no greeting at all: what follows is taken for one */
	put(versions[version], 12);
	if (version != 1)
		put(how & 64 && how & 128 ? (const char *)&how : "\1", 1);
	put("\1", 1);
}

static void step(void)
{
	u8 what = next();

	switch (what & 15) {
	case 0: pixel_format(); break;
	case 1: encodings(); break;
	case 2:
	case 3: request(); break;
	case 4:
	case 5: key_event(); break;
	case 6: extended_key(); break;
	case 7:
	case 8: pointer_event(); break;
	case 9: cut_text(); break;
	case 10: desktop_size(); break;
	case 11: dialect(); break;
	case 12: put_some(what >> 4); break;
	case 13: usleep((what >> 4) * 100); break; /* the server sees what came so far */
	default: guest(what); break;
	}
}

/* The library registers its extensions anew for each server and never frees the list. */
const char *__lsan_default_suppressions(void);
const char *__lsan_default_suppressions(void)
{
	return "leak:rfbEnableExtension\nleak:rfbRegisterProtocolExtension\n";
}

int LLVMFuzzerTestOneInput(const u8 *data, size_t size);
int LLVMFuzzerTestOneInput(const u8 *data, size_t size)
{
	if (!ui)
		set_up();
	input = data;
	left = size;
	dial();
	greet(next());
	for (unsigned i = 0; i < STEPS && left; i++) {
		step();
		drain(0);
	}
	hang_up();
	return 0;
}
