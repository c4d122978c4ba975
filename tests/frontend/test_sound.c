/* SPDX-License-Identifier: MIT */
/* The speaker's samples: tones have their frequency, pulses their width, what cannot be heard is silent. */
#include "frontend/sound.h"

#include <stdlib.h>

#include "hw/sound/speaker.h"
#include "tests/frontend/fake.h"

#define MS 1000000ull

static struct fake *f;
static struct sound *sound;
static i16 samples[SOUND_HZ];

static void start(void)
{
	f = fake_new(1, 1);
	sound = sound_new(&f->machine);
	assert_non_null(f->machine.speaker);
}

static void stop(void)
{
	sound_free(sound);
	assert_null(f->machine.speaker);
	fake_free(f);
}

static void wave(u64 at, bool level, u64 first, u64 high, u64 low)
{
	const struct speaker_wave w = {at, level, first, high, low};

	f->machine.speaker->wave(f->machine.speaker->opaque, &w);
}

/* `ms` of guest time, in the portions that a sound card takes. */
static unsigned play(u64 from, u64 ms)
{
	unsigned n = 0;

	for (u64 now = from; now < from + ms * MS; now += 10 * MS, n += 441)
		sound_render(sound, now, samples + n, 441);
	return n;
}

static unsigned crossings(unsigned first, unsigned last)
{
	unsigned n = 0;

	for (unsigned i = first + 1; i < last; i++)
		n += (samples[i] < 0) != (samples[i - 1] < 0);
	return n;
}

static int loudest(unsigned first, unsigned last)
{
	int max = 0;

	for (unsigned i = first; i < last; i++)
		max = abs(samples[i]) > max ? abs(samples[i]) : max;
	return max;
}

static void tones(void **state)
{
	static const unsigned hz[] = {100, 440, 1000, 4000};

	(void)state;
	for (unsigned i = 0; i < ARRAY_LEN(hz); i++) {
		start();
		u64 half = NS_PER_S / hz[i] / 2;
		wave(1000 * MS, true, half, half, half);
		assert_true(sound_active(sound, 1001 * MS));
		unsigned n = play(1000 * MS, 900);
		/* after 200 ms for the distance at which it follows: 0.7 s */
		unsigned got = crossings(n - 7 * 4410, n), want = hz[i] * 2 * 7 / 10;
		if (got + 3 < want || got > want + 3)
			fail_msg("%u Hz: %u crossings, not %u", hz[i], got, want);
		assert_true(loudest(n - 4410, n) > 2000);
		wave(1900 * MS, false, 0, 0, 0);
		n = play(1900 * MS, 500);
		assert_true(loudest(n - 4410, n) < 10);
		assert_false(sound_active(sound, 5000 * MS));
		stop();
	}
}

static void inaudible(void **state)
{
	(void)state;
	start();
	wave(900 * MS, false, 0, 0, 0); /* a delay loop: the cone does not move */
	assert_false(sound_active(sound, 901 * MS));
	wave(1000 * MS, true, 838, 838, 838); /* 600 kHz */
	unsigned n = play(1000 * MS, 900);
	assert_true(loudest(n - 4410, n) < 400); /* what a sample cut off unevenly leaves over */
	stop();
}

/* Music by pulse widths: a pulse every 1/16 ms, wide and narrow in turns of a millisecond, is heard as 500 Hz. */
static void pulses(void **state)
{
	unsigned n = 0;

	(void)state;
	start();
	for (u64 now = 1000 * MS; now < 1900 * MS; now += 10 * MS, n += 441) {
		for (u64 at = now - 10 * MS; at < now; at += 62500)
			wave(at, true, at / MS & 1 ? 50000 : 10000, 0, 0);
		sound_render(sound, now, samples + n, 441);
	}
	unsigned slow = 0, before = 0;
	int sum = 0;
	for (unsigned i = n - 22050; i + 16 < n; i += 8) { /* without the carrier */
		sum = 0;
		for (unsigned k = 0; k < 16; k++)
			sum += samples[i + k];
		slow += (sum < 0) != before;
		before = sum < 0;
	}
	if (slow < 480 || slow > 520)
		fail_msg("%u crossings in half a second, not 500", slow);
	stop();
}

/* Nonsense of any kind is played, and ends. */
static void hostile(void **state)
{
	u64 seed = 3, now = 0;

	(void)state;
	start();
	for (unsigned i = 0; i < 20000; i++) {
		u64 r = unit_random(&seed);
		wave(now, r & 1, r >> 8 & 0xffff, r >> 20 & 0xfff, r >> 36 & 0xfff);
		now += r >> 50;
		if (!(i % 500))
			sound_render(sound, now, samples, 4410);
	}
	sound_render(sound, now / 2, samples, 441); /* the guest was reset to an earlier time */
	sound_render(sound, ~0ull, samples, 441);
	stop();
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(tones), cmocka_unit_test(inaudible), cmocka_unit_test(pulses),
	                                   cmocka_unit_test(hostile)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
