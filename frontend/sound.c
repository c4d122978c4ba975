/* SPDX-License-Identifier: MIT */
/* The PC speaker as samples: see sound.h. What the cone did in guest time is queued; rendering follows the guest's time at a small
 * distance, so that what comes in bursts (a guest that ran ahead, a host that was busy) is heard evenly. A sample is the cone's
 * mean level over its time, which makes music by pulse widths work and keeps inaudible tones silent; a high pass takes out the
 * constant part.
 * Invariant: waves[] are in the order of their starts, and `played` lies in the first one or before it. */
#include "frontend/sound.h"

#include <pthread.h>
#include <stdlib.h>

#include "hw/sound/speaker.h"

#define WAVES 4096
#define LAG_NS (60 * 1000000ull)      /* how far behind the guest it plays */
#define LAG_MAX_NS (250 * 1000000ull) /* more than this is skipped */
#define QUIET_NS (2 * NS_PER_S)
#define AMPLITUDE 8000
#define SAMPLE_NS (NS_PER_S / SOUND_HZ)

struct sound {
	struct machine *machine;
	struct speaker speaker;
	pthread_mutex_t lock; /* of the queue; taken inside the machine lock */
	struct speaker_wave waves[WAVES];
	unsigned first, count;
	u64 last_turn;        /* guest time until which the cone has moved, as far as known */
	u64 played;           /* guest time of the next sample */
	double in, out;       /* of the high pass */
};

static struct speaker_wave *wave_at(struct sound *s, unsigned n)
{
	return &s->waves[(s->first + n) % WAVES];
}

static bool rests(const struct speaker_wave *wave)
{
	return !wave->level && !wave->first;
}

static void on_wave(void *opaque, const struct speaker_wave *wave)
{
	struct sound *s = opaque;

	pthread_mutex_lock(&s->lock);
	/* programs use the timer's channel for delays, without a sound */
	if (rests(wave) && (!s->count || rests(wave_at(s, s->count - 1)))) {
		pthread_mutex_unlock(&s->lock);
		return;
	}
	if (s->count == WAVES) {
		s->first = (s->first + 1) % WAVES;
		s->count--;
	}
	*wave_at(s, s->count++) = *wave;
	s->last_turn = wave->start;
	pthread_mutex_unlock(&s->lock);
}

/* How long within [from, to) the wave is high. */
static u64 time_high(const struct speaker_wave *w, u64 from, u64 to)
{
	bool level = w->level;
	u64 high = 0, turn = w->first ? w->start + w->first : ~0ull;

	if (w->high && w->low && turn != ~0ull && turn < from) { /* whole periods before it do not matter */
		u64 period = w->high + w->low;
		turn += (from - turn) / period * period;
	}
	for (u64 at = from; at < to;) {
		while (turn <= at) {
			level = !level;
			u64 stays = level ? w->high : w->low;
			turn = w->high && w->low ? turn + stays : ~0ull;
		}
		u64 end = MIN(turn, to);
		high += level ? end - at : 0;
		at = end;
	}
	return high;
}

static u64 level_between(struct sound *s, u64 from, u64 to)
{
	u64 high = 0;

	while (from < to && s->count) {
		const struct speaker_wave *w = wave_at(s, 0);
		u64 end = s->count > 1 ? MIN(wave_at(s, 1)->start, to) : to;
		u64 begin = MAX(from, MIN(w->start, end));
		if (begin < end)
			high += time_high(w, begin, end);
		from = MAX(from, end);
		if (s->count < 2 || wave_at(s, 1)->start > to)
			break;
		if (wave_at(s, 1)->start <= from) {
			s->first = (s->first + 1) % WAVES;
			s->count--;
		}
	}
	return high;
}

void sound_render(struct sound *s, u64 now, i16 *samples, unsigned count)
{
	pthread_mutex_lock(&s->lock);
	if (s->played > now || now - s->played > LAG_MAX_NS)
		s->played = now > LAG_NS ? now - LAG_NS : 0;
	for (unsigned i = 0; i < count; i++) {
		u64 to = MIN(s->played + SAMPLE_NS, now); /* a guest that stands still makes no sound */
		double in = s->in;
		if (to > s->played)
			in = (double)level_between(s, s->played, to) / (double)(to - s->played);
		s->out = in - s->in + 0.998 * s->out;
		s->in = in;
		s->played = to;
		samples[i] = (i16)(s->out * AMPLITUDE);
	}
	pthread_mutex_unlock(&s->lock);
}

bool sound_active(struct sound *s, u64 now)
{
	pthread_mutex_lock(&s->lock);
	bool turning = s->count && wave_at(s, s->count - 1)->high;
	bool active = turning || (s->last_turn && now - s->last_turn < QUIET_NS);
	pthread_mutex_unlock(&s->lock);
	return active;
}

struct sound *sound_new(struct machine *machine)
{
	struct sound *s = err_alloc(sizeof *s);

	s->machine = machine;
	s->speaker = (struct speaker){.wave = on_wave, .opaque = s};
	pthread_mutex_init(&s->lock, NULL);
	loop_lock(machine->loop);
	if (!machine->speaker)
		machine->speaker = &s->speaker;
	loop_unlock(machine->loop);
	return s;
}

void sound_free(struct sound *s)
{
	if (!s)
		return;
	loop_lock(s->machine->loop);
	if (s->machine->speaker == &s->speaker)
		s->machine->speaker = NULL;
	loop_unlock(s->machine->loop);
	pthread_mutex_destroy(&s->lock);
	free(s);
}
