/* SPDX-License-Identifier: MIT */
/* The machine: one PC made from the wiring table (pc.c), its CPUs, and what a front end may do with it. The only place that
 * sees both devices and CPUs. Functions are called without the machine lock unless they say otherwise. */
#ifndef HW_BOARD_BOARD_H
#define HW_BOARD_BOARD_H

#include "base/err.h"
#include "base/field.h"
#include "cpu/engine.h"
#include "cpu/model.h"
#include "hw/device.h"

struct board;

#define BOARD_SERIALS 4
#define BOARD_EXTRAS 32
#define BOARD_FW_CFGS 32
#define BOARD_FLASHES 2

struct board_file { /* a file that the guest boots from; kept for the next reset */
	const char *name, *args;
	u8 *data;
	size_t size;
	/* Open to be read again: then data is freed once it is in the guest's memory, and comes back with a reset. 0: data stays. */
	int fd;
};
struct board_flash { /* a flash chip with firmware or its variables */
	struct board_file file; /* the contents; a multiple of 4 KiB */
	bool read_only;
	/* These bytes are new; under the machine lock, never waits. NULL: nobody keeps them. */
	void (*changed)(void *opaque, const u8 *data, u64 offset, u64 len);
	void *opaque;
};
struct board_device { /* -device */
	const char *class_name, *options, *id;
	struct chardev *chardev;
};

struct board_config {
	u64 ram_size;
	unsigned cpus;
	struct cpu_model model;
	const struct engine *engine;                /* the one to begin with */
	const struct engine *fallback[ENGINES_MAX]; /* those that may take over, in order of preference; NULL-ended */
	u64 tsc_hz; /* 0: the default; an engine may be bound to one (KVM where the hardware does not scale it) */
	/* direct boot; kernel.name NULL: none */
	struct board_file kernel, module[16];
	unsigned modules;
	const char *cmdline;
	struct board_file firmware; /* -bios */
	struct board_flash flash[BOARD_FLASHES]; /* instead of it: the first ends at 4 GiB, the second below that */
	struct board_file fw_cfg[BOARD_FW_CFGS]; /* -fw_cfg */
	unsigned fw_cfgs;
	unsigned boot_menu_wait;    /* ms; 0: the firmware's default */
	i32 boot_fail_wait;         /* ms until the firmware tries again when nothing boots; -1: never; 0: the firmware's default */
	bool nographic;             /* firmware talks to the serial port too */
	struct chardev *serial[BOARD_SERIALS]; /* NULL: no such port */
	struct chardev *parallel; /* what prints; NULL: no parallel port */
	struct chardev *debugcon;
	struct drive *ide[4], *floppy[2]; /* NULL: no such drive */
	struct board_device extra[BOARD_EXTRAS];
	unsigned extras;
	const char *vga;        /* class of the display adapter; NULL: none */
	struct board_file vga_rom; /* its firmware; data NULL: none */
	const char *boot_order; /* -boot: letters a, c, d, n in order of preference; NULL: the firmware's own */
	const char *boot_once;  /* the same for the first boot only; NULL: as boot_order */
	bool boot_menu;         /* the firmware offers its menu */
	bool paused;           /* -S */
	bool no_reboot;        /* a reset request ends the run */
	bool no_shutdown;      /* power off stops the machine instead of ending the run */
	bool count_instructions; /* -icount: deterministic */
	unsigned icount_shift;
	u64 seed;              /* entropy in deterministic mode */
	u64 calendar;          /* ns since 1970 at power-on */
	struct { FILE *file; bool in_asm, interrupts, exec, reset, op, out_asm; } log;
};

/* The loop and clock are made first, because character devices need them before the board exists. */
struct board *board_new(const struct board_config *config, struct clock *clock, struct loop *loop, struct err *err);
/* Each CPU's thread, which waits until the machine runs; board_run() does it else. */
bool board_start(struct board *board, struct err *err);
/* Before it runs: what an engine will need of the host is taken now. False: it may not run this guest. */
bool board_reserve(struct board *board, const struct engine *engine);
/* Run until the machine ends; the exit code. */
int board_run(struct board *board);
void board_free(struct board *board);

/* ---- control; under the machine lock, from the loop's thread (chardev callbacks, monitor) ---- */
void board_pause(struct board *board);  /* returns when every CPU stands still at an instruction boundary */
void board_continue(struct board *board);
bool board_paused(const struct board *board);
/* Paused because the host could not carry out what a drive was asked for; board_continue() tries again. */
bool board_io_error(const struct board *board);
/* The first CPU of a paused machine executes up to so many instructions; time stands still. False: not paused. */
bool board_step(struct board *board, u64 count);
void board_reset(struct board *board);
void board_power_button(struct board *board);
/* Out of suspend to RAM; false: it is not suspended. The power button does it too. */
bool board_wake(struct board *board);
void board_quit(struct board *board, int code);
unsigned board_cpus(const struct board *board);
struct cpu *board_cpu(struct board *board, unsigned index);
struct machine *board_machine(struct board *board);
struct device *board_device(struct board *board, const char *id);
struct device *board_first_device(struct board *board);
const struct engine *board_engine(const struct board *board);
/* All CPUs go on in that engine. False: it cannot take them, and the old one goes on. */
bool board_switch(struct board *board, const struct engine *to, struct err *err);
/* The same, once, when something happens: addr=, port=, msr=, vector=NUMBER, text=WORDS (on a serial port), insns=N (of CPU 0,
 * from now), ms=N (of guest time, from now). */
bool board_switch_when(struct board *board, const struct engine *to, const char *when, struct err *err);
void board_switch_never(struct board *board); /* forget what is waited for */
void board_switch_print(const struct board *board, FILE *to);
/* Is this a legal `when`? Needs no board. */
bool switch_check(const char *when, struct err *err);

#endif
