/* SPDX-License-Identifier: MIT */
/* PS/2 devices as the keyboard controller (i8042.c) holds them: a keyboard (ps2kbd.c) and a mouse (ps2mouse.c). Parts of the
 * controller's object, not devices of their own; their state structs are embedded in its state. */
#ifndef HW_INPUT_PS2_H
#define HW_INPUT_PS2_H

#include "base/clock.h"
#include "base/field.h"
#include "base/types.h"

#define PS2_QUEUE 64

/* Bytes on their way to the controller. */
struct ps2_queue {
	u8 data[PS2_QUEUE];
	u8 head, count;
};
static inline unsigned ps2_room(const struct ps2_queue *q)
{
	return PS2_QUEUE - q->count;
}
/* What does not fit is dropped: ask for room first. */
static inline void ps2_put(struct ps2_queue *q, u8 byte)
{
	if (q->count < PS2_QUEUE)
		q->data[(q->head + q->count++) % PS2_QUEUE] = byte;
}
static inline u8 ps2_get(struct ps2_queue *q)
{
	u8 byte = q->data[q->head % PS2_QUEUE];

	if (q->count) {
		q->head = (q->head + 1) % PS2_QUEUE;
		q->count--;
	}
	return byte;
}
static inline void ps2_clear(struct ps2_queue *q)
{
	q->head = q->count = 0;
}
/* After a load: indices that stay inside. */
static inline void ps2_make_legal(struct ps2_queue *q)
{
	q->head %= PS2_QUEUE;
	q->count = q->count > PS2_QUEUE ? PS2_QUEUE : q->count;
}

/* Answers come before what the user does, and every byte from the host throws away the answers not fetched yet. */
struct ps2kbd_state {
	u64 repeat_at;   /* when the held key repeats; CLOCK_NEVER: not */
	struct ps2_queue answers, keys;
	u8 down[32];     /* bit per key code */
	u8 repeat_key;
	u8 command;      /* whose parameter is awaited; 0: none */
	u8 set;          /* scan code set, 1 to 3 */
	u8 leds, rate;
	u8 scanning;
	u8 no_break, no_repeat; /* set 3: chosen by commands f7-fa */
	u8 last;         /* byte sent, for resending */
	u8 pad[3];
};
struct ps2kbd {
	struct ps2kbd_state *state;
	struct timer timer;
	void (*ready)(void *opaque); /* there is something to fetch */
	void *opaque;
};
extern const struct field ps2kbd_fields[];
void ps2kbd_init(struct ps2kbd *kbd, struct ps2kbd_state *state, struct clock *clock, void (*ready)(void *), void *opaque);
void ps2kbd_reset(struct ps2kbd *kbd);
void ps2kbd_loaded(struct ps2kbd *kbd);
void ps2kbd_destroy(struct ps2kbd *kbd);
void ps2kbd_write(struct ps2kbd *kbd, u8 byte);
bool ps2kbd_has(const struct ps2kbd *kbd);
u8 ps2kbd_fetch(struct ps2kbd *kbd);
void ps2kbd_key(struct ps2kbd *kbd, unsigned code, bool down);

struct ps2mouse_state {
	i32 dx, dy, dz;  /* not told yet */
	struct ps2_queue answers, packets;
	u8 buttons, told_buttons;
	u8 command;
	u8 type;         /* identifier: 0 plain, 3 wheel, 4 wheel and five buttons */
	u8 resolution, rate;
	u8 reporting, remote, wrap, double_scale;
	u8 rates[2];     /* the last two rates set: the knock for types 3 and 4 */
	u8 last;
	u8 nudged;       /* one more report when the present one was fetched */
	u8 pad[2];
};
struct ps2mouse {
	struct ps2mouse_state *state;
	void (*ready)(void *opaque);
	void *opaque;
};
extern const struct field ps2mouse_fields[];
extern const struct field ps2_queue_fields[];
void ps2mouse_init(struct ps2mouse *mouse, struct ps2mouse_state *state, void (*ready)(void *), void *opaque);
void ps2mouse_reset(struct ps2mouse *mouse);
void ps2mouse_loaded(struct ps2mouse *mouse);
void ps2mouse_write(struct ps2mouse *mouse, u8 byte);
bool ps2mouse_has(const struct ps2mouse *mouse);
u8 ps2mouse_fetch(struct ps2mouse *mouse);
/* Report, though nothing moved; after the one that waits. */
void ps2mouse_nudge(struct ps2mouse *mouse);
void ps2mouse_move(struct ps2mouse *mouse, int dx, int dy, int wheel, unsigned buttons);

#endif
