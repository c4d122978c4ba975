/* SPDX-License-Identifier: MIT */
/* The VNC server as a client meets it: handshake, raw pixels that equal the picture, updates of what changed only, a new size,
 * keys and pointer, the password, garbage, and messages that do not come to an end. */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "tests/frontend/fake.h"

enum { RAW = 0, NEW_SIZE = -223, EXTENDED_KEY = -258 };

static struct fake *f;
static struct ui *ui;
static int fd = -1;
static u16 port;
static unsigned width, height;
static u32 *screen; /* the client's picture */

/* A free port of this host; the display's number follows from it. */
static void start(const char *options)
{
	struct err err = {0};
	struct sockaddr_in any = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t len = sizeof any;
	char text[128];

	for (unsigned i = 0; i < 50 && !ui; i++) {
		int probe = socket(AF_INET, SOCK_STREAM, 0);
		any.sin_port = 0;
		assert_int_equal(bind(probe, (struct sockaddr *)&any, sizeof any), 0);
		getsockname(probe, (struct sockaddr *)&any, &len);
		port = ntohs(any.sin_port);
		close(probe);
		if (port < 5900)
			continue;
		snprintf(text, sizeof text, "127.0.0.1:%d%s", port - 5900, options);
		ui = ui_start("vnc", text, &f->host, &err);
	}
	if (!ui)
		fail_msg("%s", err.text);
}

static void stop(void)
{
	ui_stop(ui);
	ui = NULL;
	if (fd >= 0)
		close(fd);
	fd = -1;
	free(screen);
	screen = NULL;
	fake_free(f);
}

/* ---- the wire ---- */
static void get(void *to, size_t len)
{
	for (size_t done = 0; done < len;) {
		ssize_t n = read(fd, (char *)to + done, len - done);
		if (n <= 0)
			fail_msg("the server hung up");
		done += (size_t)n;
	}
}

static u8 get8(void)
{
	u8 v;
	get(&v, 1);
	return v;
}
static u16 get16(void)
{
	u16 v;
	get(&v, 2);
	return ntohs(v);
}
static u32 get32(void)
{
	u32 v;
	get(&v, 4);
	return ntohl(v);
}

static void put(const void *data, size_t len)
{
	assert_int_equal(write(fd, data, len), len);
}

static void dial(void)
{
	struct sockaddr_in to = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK), .sin_port = htons(port)};
	struct timeval patience = {.tv_sec = FAKE_PATIENCE / 100};

	fd = socket(AF_INET, SOCK_STREAM, 0);
	assert_int_equal(connect(fd, (struct sockaddr *)&to, sizeof to), 0);
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
}

static u8 handshake(void)
{
	char version[12];
	u8 types[256];

	dial();
	get(version, 12);
	assert_memory_equal(version, "RFB 003.008\n", 12);
	put(version, 12);
	u8 count = get8();
	get(types, count);
	assert_int_equal(count, 1);
	put(types, 1);
	return types[0];
}

static void take_screen(void)
{
	free(screen);
	screen = calloc((size_t)width * height, sizeof *screen);
}

static void initialise(void)
{
	static const i32 encodings[] = {RAW, NEW_SIZE, EXTENDED_KEY};
	u8 format[20] = {0 /* SetPixelFormat */, 0, 0, 0, 32, 24, 0, 1, 0, 255, 0, 255, 0, 255, 16, 8, 0};
	u8 name[256];

	assert_int_equal(get32(), 0); /* let in */
	put("\1", 1);
	width = get16();
	height = get16();
	u8 pixel_format[16];
	get(pixel_format, 16);
	u32 len = get32();
	assert_true(len < sizeof name);
	get(name, len);
	assert_memory_equal(name, "Paisano", 7);
	put(format, sizeof format);
	u8 head[4] = {2 /* SetEncodings */, 0, 0, ARRAY_LEN(encodings)};
	put(head, 4);
	for (unsigned i = 0; i < ARRAY_LEN(encodings); i++) {
		u32 be = htonl((u32)encodings[i]);
		put(&be, 4);
	}
	take_screen();
}

static void ask(bool incremental)
{
	u8 request[10] = {3, incremental, 0, 0, 0, 0, (u8)(width >> 8), (u8)width, (u8)(height >> 8), (u8)height};

	put(request, sizeof request);
}

/* One update; returns how many lines of pixels came. 0: a pseudo-encoding only. */
static unsigned update(void)
{
	unsigned lines = 0;

	assert_int_equal(get8(), 0);
	get8();
	for (unsigned n = get16(); n; n--) {
		unsigned x = get16(), y = get16(), w = get16(), h = get16();
		i32 encoding = (i32)get32();
		if (encoding == NEW_SIZE) {
			width = w;
			height = h;
			take_screen();
			continue;
		}
		if (encoding == EXTENDED_KEY)
			continue;
		assert_int_equal(encoding, RAW);
		assert_true(x + w <= width && y + h <= height);
		for (unsigned row = 0; row < h; row++)
			get(screen + (size_t)(y + row) * width + x, (size_t)w * 4);
		lines += h;
	}
	return lines;
}

/* Ask until the client has what the guest shows. */
static void follow(void)
{
	for (unsigned i = 0; i < 200; i++) {
		bool same = width == f->width && height == f->height;
		for (unsigned y = 0; same && y < height; y++)
			for (unsigned x = 0; same && x < width; x++)
				same = (screen[y * width + x] & 0xffffff) == fake_pixel(f, x, y);
		if (same)
			return;
		ask(i > 0);
		update();
	}
	fail_msg("the client never saw the guest's picture");
}

/* ---- tests ---- */
static void pixels(void **state)
{
	(void)state;
	f = fake_new(640, 400);
	start("");
	assert_int_equal(handshake(), 1);
	initialise();
	follow();
	/* ten lines change: ten lines come */
	fake_change(f, 100, 109);
	ask(true);
	unsigned lines = update();
	while (!lines) {
		ask(true);
		lines = update();
	}
	assert_int_equal(lines, 10);
	follow();
	fake_resize(f, 801, 601);
	follow();
	fake_resize(f, 320, 200);
	follow();
	/* off and on again */
	fake_resize(f, 0, 0);
	while (width != 640) {
		ask(true);
		update();
	}
	fake_resize(f, 1024, 768);
	follow();
	stop();
}

static void send_key(u32 keysym, bool down)
{
	u8 message[8] = {4, down, 0, 0, (u8)(keysym >> 24), (u8)(keysym >> 16), (u8)(keysym >> 8), (u8)keysym};

	put(message, sizeof message);
}

static void send_pointer(u8 mask, u16 x, u16 y)
{
	u8 message[6] = {5, mask, (u8)(x >> 8), (u8)x, (u8)(y >> 8), (u8)y};

	put(message, sizeof message);
}

static void input(void **state)
{
	(void)state;
	f = fake_new(640, 400);
	start("");
	handshake();
	initialise();
	follow();
	send_key('a', true);
	send_key('a', false);
	fake_expect(f, "k30+ k30- ");
	send_key('A', true);
	send_key('A', false);
	fake_expect(f, "k42+ k30+ k42- k30- ");
	send_key(0xff0d, true);
	send_key(0xff0d, false);
	fake_expect(f, "k28+ k28- ");
	/* by its place: left Ctrl, and the up arrow behind its E0 */
	static const u8 extended[2][12] = {{255, 0, 0, 1, 0, 0, 0xff, 0xe3, 0, 0, 0, 0x1d},
	                                   {255, 0, 0, 1, 0, 0, 0xff, 0x52, 0, 0, 0, 0xc8}};
	put(extended, sizeof extended);
	fake_expect(f, "k29+ k103+ ");
	/* a relative mouse: the first position is where it starts */
	send_pointer(0, 100, 100);
	send_pointer(0, 105, 97);
	send_pointer(1, 105, 97);
	send_pointer(1 | 8, 105, 97);
	send_pointer(4, 105, 97);
	send_pointer(16, 105, 97);
	send_pointer(0, 105, 97);
	fake_expect(f, "m0,0,0,0 m5,-3,0,0 m0,0,0,1 m0,0,1,1 m0,0,0,2 m0,0,-1,0 m0,0,0,0 ");
	f->absolute = true;
	send_pointer(0, 0, 0);
	send_pointer(1, 639, 399);
	send_pointer(0, 65535, 65535);
	fake_expect(f, "a0,0,0,0 a32767,32767,0,1 a32767,32767,0,0 ");
	/* whoever leaves lets go of the keys */
	close(fd);
	fd = -1;
	fake_expect(f, "k29- k103- ");
	stop();
}

static void password(void **state)
{
	u8 challenge[16];

	(void)state;
	f = fake_new(64, 64);
	start(",password=geheim");
	assert_int_equal(handshake(), 2);
	get(challenge, 16);
	put(challenge, 16); /* not encrypted: not the password */
	assert_int_not_equal(get32(), 0);
	stop();
}

/* Whatever comes, the server lives: a decent client is served afterwards. */
static void garbage(void **state)
{
	u64 seed = 7;

	(void)state;
	f = fake_new(64, 64);
	start("");
	for (unsigned round = 0; round < 30; round++) {
		u8 noise[512];
		for (unsigned i = 0; i < sizeof noise; i++)
			noise[i] = (u8)unit_random(&seed);
		if (round & 1) {
			handshake();
			initialise();
			noise[0] = (u8)(unit_random(&seed) % 8);
		} else {
			dial();
		}
		send(fd, noise, 1 + unit_random(&seed) % sizeof noise, MSG_NOSIGNAL);
		close(fd);
	}
	handshake();
	initialise();
	follow();
	stop();
}

/* One, two, three bytes, and then nothing or the end: nobody else has to wait for that. */
static void stammer(void **state)
{
	int silent[8];

	(void)state;
	f = fake_new(64, 64);
	start("");
	for (unsigned i = 0; i < ARRAY_LEN(silent); i++) {
		dial();
		put("RFB", i / 2);
		if (i & 1)
			shutdown(fd, SHUT_WR);
		silent[i] = fd;
	}
	handshake();
	initialise();
	follow();
	for (unsigned i = 0; i < ARRAY_LEN(silent); i++) {
		char rest[16];
		while (i & 1 && read(silent[i], rest, sizeof rest) > 0) /* it hangs up on who has nothing more to say */
			;
		close(silent[i]);
	}
	stop();
}

/* Half a message after which bytes trickle in: nobody waits for the rest, neither another client nor the end of the server. */
struct trickle {
	pthread_t thread;
	int fd;
	bool end;
	size_t got;
};

static void *trickle_run(void *opaque)
{
	struct trickle *t = opaque;

	while (!__atomic_load_n(&t->end, __ATOMIC_ACQUIRE) && send(t->fd, "A", 1, MSG_NOSIGNAL) == 1)
		usleep(500000);
	return NULL;
}

static void trickles(const char *options, bool let_in)
{
	struct trickle t = {0};
	u8 challenge[16];

	f = fake_new(64, 64);
	start(options);
	u8 type = handshake();
	if (let_in) {
		initialise();
		put("\6\0\0\0\0\x0f\x42\x40", 8); /* a clipboard of a million bytes */
	} else {
		assert_int_equal(type, 2);
		get(challenge, sizeof challenge);
	}
	t.fd = fd;
	assert_int_equal(pthread_create(&t.thread, NULL, trickle_run, &t), 0);
	usleep(100000);
	if (handshake() == 1) {
		initialise();
		follow();
	} else {
		get(challenge, sizeof challenge);
	}
	stop();
	__atomic_store_n(&t.end, true, __ATOMIC_RELEASE);
	pthread_join(t.thread, NULL);
	close(t.fd);
}

static void trickle(void **state)
{
	(void)state;
	trickles("", true);
	trickles(",password=geheim", false);
}

/* A client that takes its picture in sips is not waited for at the end: it never gets the whole of it. */
static void *sip_run(void *opaque)
{
	static u8 sip[65536];
	struct trickle *t = opaque;
	ssize_t n;

	while ((n = read(t->fd, sip, sizeof sip)) > 0) {
		t->got += (size_t)n;
		if (!__atomic_load_n(&t->end, __ATOMIC_ACQUIRE))
			usleep(5000);
	}
	return NULL;
}

static void sips(void **state)
{
	struct trickle t = {0};

	(void)state;
	f = fake_new(2048, 1536);
	start("");
	handshake();
	initialise();
	ask(false); /* more than the host's buffers hold */
	t.fd = fd;
	assert_int_equal(pthread_create(&t.thread, NULL, sip_run, &t), 0);
	usleep(300000);
	fd = -1;
	stop();
	__atomic_store_n(&t.end, true, __ATOMIC_RELEASE);
	pthread_join(t.thread, NULL);
	assert_true(t.got < 2048 * 1536 * 4);
	close(t.fd);
}

/* The clipboard goes nowhere, and what follows it is understood. */
static void clipboard(void **state)
{
	static const char text[100000];

	(void)state;
	f = fake_new(64, 64);
	start("");
	handshake();
	initialise();
	put("\6\0\0\0\0\x01\x86\xa0", 8);
	put(text, sizeof text);
	send_key('a', true);
	fake_expect(f, "k30+ ");
	follow();
	stop();
}

/* A page in a browser opens a WebSocket by an HTTP request, sent at once or when the server was silent for a while. It is never
 * served. */
static void websocket(void **state)
{
	static const char request[] = "GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nOrigin: http://evil.example\r\nUpgrade: websocket\r\n"
	                              "Connection: Upgrade\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
	                              "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Protocol: binary\r\n\r\n";

	(void)state;
	f = fake_new(64, 64);
	start("");
	for (unsigned pause = 0; pause < 4; pause++) {
		char got[512] = "";
		size_t n = 0;
		ssize_t more;
		dial();
		usleep(pause * 30000); /* the library looks for 100 ms */
		put(request, sizeof request - 1);
		while (n < sizeof got - 1 && (more = read(fd, got + n, sizeof got - 1 - n)) > 0)
			n += (size_t)more;
		assert_null(strstr(got, "101"));
		assert_memory_equal(got, "RFB ", 4); /* and then it hangs up */
		close(fd);
	}
	handshake();
	initialise();
	follow();
	stop();
}

static void refused(void **state)
{
	static const char *const bad[] = {"1",
	                                  "127.0.0.1",
	                                  ":",
	                                  ":x",
	                                  ":99999",
	                                  ":0,password=123456789",
	                                  ":0,password=",
	                                  ":0,nonesuch=1",
	                                  ":0,password-file=/nonexistent"};
	struct err err;

	(void)state;
	f = fake_new(64, 64);
	for (unsigned i = 0; i < ARRAY_LEN(bad); i++) {
		f->host.viewers = 0;
		err.text[0] = 0;
		assert_null(ui_start("vnc", bad[i], &f->host, &err));
		assert_true(err.text[0]);
	}
	f->host.viewers = 0;
	start("");
	char taken[32];
	snprintf(taken, sizeof taken, ":%d", port - 5900);
	assert_null(ui_start("vnc", taken, &f->host, &err));
	assert_int_equal(err.code, EXIT_HOST);
	stop();
}

/* The library registers its extensions anew for each server and never frees the list. */
const char *__lsan_default_suppressions(void);
const char *__lsan_default_suppressions(void)
{
	return "leak:rfbEnableExtension\nleak:rfbRegisterProtocolExtension\n";
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(pixels), cmocka_unit_test(input), cmocka_unit_test(password),
	                                   cmocka_unit_test(garbage), cmocka_unit_test(stammer),
	                                   cmocka_unit_test(trickle), cmocka_unit_test(sips),
	                                   cmocka_unit_test(clipboard), cmocka_unit_test(refused), cmocka_unit_test(websocket)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
