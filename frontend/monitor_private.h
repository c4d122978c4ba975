/* SPDX-License-Identifier: MIT */
/* The inside of a monitor, shared by the files that carry commands out. Everything runs under the machine lock, on the loop's
 * thread. */
#ifndef FRONTEND_MONITOR_PRIVATE_H
#define FRONTEND_MONITOR_PRIVATE_H

#include "frontend/monitor.h"
#include "hw/input/input.h"

#define MONITOR_KEYS 1024

struct monitor {
	struct board *board;
	void (*write)(void *opaque, const u8 *data, size_t len);
	void *opaque;
	struct monitor_line line;
	bool remote, begun, deaf; /* it has connections; in this one something has come; it is no person's and no script's */
	/* sendkey: strokes that the guest has not had yet */
	struct monitor_stroke {
		u8 code;
		bool down;
		u16 then_ms; /* before the next one */
	} stroke[MONITOR_KEYS];
	unsigned first_stroke, strokes;
	struct timer stroke_timer;
	bool stroke_waits;
	unsigned buttons;
	unsigned x, y; /* where mouse_to has put an absolute pointer */
	bool placed;   /* it was moved by that last */
};

/* args: what follows the command's name, without leading blanks; may be changed. */
typedef void monitor_fn(struct monitor *m, char *args);

void monitor_say(struct monitor *m, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* Cut the next word off; NULL: there is none. A word may stand in double quotes. */
char *monitor_word(char **args);

monitor_fn monitor_info_registers, monitor_info_version, monitor_info_status, monitor_info_cpus, monitor_info_jit,
	monitor_info_perf,
	monitor_info_mtree, monitor_info_qtree, monitor_info_pci, monitor_info_irq, monitor_info_mice;
monitor_fn monitor_x, monitor_xp, monitor_gva2gpa;
monitor_fn monitor_sendkey, monitor_mouse_move, monitor_mouse_to, monitor_mouse_button, monitor_screendump;
monitor_fn monitor_info_block, monitor_eject, monitor_change;
monitor_fn monitor_engine, monitor_info_engine;
void monitor_input_init(struct monitor *m);
void monitor_input_free(struct monitor *m);

#endif
