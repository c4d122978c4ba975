/* SPDX-License-Identifier: MIT */
/* The machine: memory, CPUs, devices by the wiring table, power and reset, the life of a run. See board.h. */
#include "hw/board/board.h"

#include <pthread.h>
#include <stdlib.h>

#include "bios/boot.h"
#include "cpu/access.h"
#include "hw/board/direct.h"
#include "hw/board/firmware.h"
#include "hw/board/intc.h"
#include "hw/board/pc.h"
#include "hw/board/private.h"
#include "hw/chipset/rtc.h"
#include "hw/disk/disk.h"

#define BOARD_DRIVES (ARRAY_LEN(((struct board_config *)0)->ide) + ARRAY_LEN(((struct board_config *)0)->floppy))

/* ---- control ---- */

void board_pause(struct board *board)
{
	if (board->paused++)
		return;
	for (unsigned i = 0; i < board->cpus; i++)
		vcpu_park(&board->vcpu[i]);
	/* a CPU may be waiting for the lock on its way to the next instruction */
	loop_unlock(board->loop);
	for (unsigned i = 0; i < board->cpus; i++)
		vcpu_wait_parked(&board->vcpu[i]);
	loop_lock(board->loop);
	clock_stop(board->clock);
}

/* i: below BOARD_DRIVES. NULL: no such drive. */
static struct drive *drive_at(const struct board *board, unsigned i)
{
	const struct board_config *c = &board->config;

	return i < ARRAY_LEN(c->ide) ? c->ide[i] : c->floppy[i - ARRAY_LEN(c->ide)];
}

void board_continue(struct board *board)
{
	if (!board->paused || --board->paused)
		return;
	board->io_error = false;
	for (unsigned i = 0; i < BOARD_DRIVES; i++)
		if (drive_at(board, i) && drive_at(board, i)->disk)
			disk_retry(drive_at(board, i)->disk);
	clock_start(board->clock);
	for (unsigned i = 0; i < board->cpus && !board->suspended; i++)
		vcpu_unpark(&board->vcpu[i]);
}

bool board_step(struct board *board, u64 count)
{
	if (!board->paused || board->suspended)
		return false;
	loop_unlock(board->loop);
	vcpu_step(board->vcpu[0].runner, count);
	loop_lock(board->loop);
	return true;
}

bool board_paused(const struct board *board) { return board->paused; }
bool board_io_error(const struct board *board) { return board->io_error; }
unsigned board_cpus(const struct board *board) { return board->cpus; }
struct cpu *board_cpu(struct board *board, unsigned index) { return index < board->cpus ? board->vcpu[index].cpu : NULL; }
struct machine *board_machine(struct board *board) { return &board->machine; }
struct device *board_first_device(struct board *board) { return board->devices; }

void board_quit(struct board *board, int code)
{
	loop_quit(board->loop, code);
}

struct device *board_device(struct board *board, const char *id)
{
	for (struct device *d = board->devices; d; d = d->next)
		if (!strcmp(d->id, id))
			return d;
	return NULL;
}

/* All devices and CPUs to power-on, but for one device. The machine stands still. */
static void reset_devices_and_cpus(struct board *board, const struct device *but)
{
	bus_set_a20(&board->bus, true);
	for (struct device *d = board->devices; d; d = d->next)
		if (d->class->reset && d != but)
			d->class->reset(d);
	for (unsigned i = 0; i < board->cpus; i++) {
		struct cpu *cpu = board->vcpu[i].cpu;
		cpu_unrequest(cpu, ~(u32)CPU_REQ_STOP);
		cpu_reset(cpu, false);
		cpu->activity = i ? CPU_WAIT_SIPI : CPU_RUNNING;
		cpu_state_changed(cpu);
	}
}

/* Power-on, then what the firmware would have done. */
static bool reset_all(struct board *board, struct err *err)
{
	board->suspended = false;
	reset_devices_and_cpus(board, NULL);
	bool ok = firmware_describe(board, err) && direct_boot(board, err);
	board->config.boot_once = NULL;
	return ok;
}

void board_reset(struct board *board)
{
	struct err err = {0};

	board_pause(board);
	if (board->config.log.reset)
		fprintf(board->config.log.file, "machine reset\n");
	if (!reset_all(board, &err)) {
		err_note("%s", err.text);
		loop_quit(board->loop, err.code);
	}
	board_continue(board);
}

/* Everything lost its power but RAM and the host bridge, which says where RAM lies before ROM: there the firmware finds what it was
 * doing. CMOS tells it why it starts (shutdown status FEh). */
bool board_wake(struct board *board)
{
	enum { SHUTDOWN_STATUS = 0x0f, RESUME = 0xfe, BRIDGE_SMM = 0, PM_WAKE = 1 };
	struct device *bridge = board_device(board, "i440fx"), *pm = board_device(board, "pm"), *rtc = board_device(board, "rtc");

	if (!board->suspended)
		return false;
	board_pause(board);
	board->suspended = false;
	reset_devices_and_cpus(board, bridge);
	bridge->class->input(bridge, BRIDGE_SMM, false);
	pm->class->input(pm, PM_WAKE, true);
	rtc_set_cmos(rtc, SHUTDOWN_STATUS, RESUME);
	board_continue(board);
	return true;
}

void board_power_button(struct board *board)
{
	struct device *pm = board_device(board, "pm");

	if (board_wake(board))
		return;
	if (pm && pm->class->input)
		pm->class->input(pm, 0, true);
}

/* ---- what devices and CPUs ask for; the loop's thread carries it out ---- */

static void do_reset(void *opaque)
{
	struct board *board = opaque;

	board->reset_posted = false;
	if (!loop_quitting(board->loop))
		board_reset(board);
}

void board_stop_cpus(struct board *board)
{
	for (unsigned i = 0; i < board->cpus; i++)
		vcpu_park(&board->vcpu[i]);
}

static void post_reset(struct board *board)
{
	/* nothing may run on until the reset is done */
	board_stop_cpus(board);
	if (!board->reset_posted) {
		board->reset_posted = true;
		loop_post(board->loop, do_reset, board);
	}
}

static void end_run(struct board *board, int code)
{
	board_stop_cpus(board);
	loop_quit(board->loop, code);
}

static void do_io_error(void *opaque)
{
	struct board *board = opaque;

	if (board->io_error || loop_quitting(board->loop))
		return;
	board->io_error = true;
	if (!board->paused)
		board_pause(board);
}

/* A drive holds a request back. */
static void drive_stops(void *opaque, struct drive *drive)
{
	struct board *board = opaque;

	(void)drive;
	loop_post(board->loop, do_io_error, board);
}

static void watch_drives(struct board *board, bool on)
{
	for (unsigned i = 0; i < BOARD_DRIVES; i++) {
		struct drive *drive = drive_at(board, i);
		if (!drive)
			continue;
		drive->stop = on ? drive_stops : NULL;
		drive->machine = board;
	}
}

static void request(void *opaque, enum machine_request what, int value)
{
	struct board *board = opaque;

	switch (what) {
	case MACHINE_RESET:
		if (board->config.no_reboot)
			end_run(board, EXIT_OFF);
		else
			post_reset(board);
		break;
	case MACHINE_POWER_OFF:
		if (board->config.no_shutdown)
			board_stop_cpus(board);
		else
			end_run(board, EXIT_OFF);
		break;
	case MACHINE_DEBUG_EXIT:
		end_run(board, value);
		break;
	case MACHINE_SUSPEND: /* offered by the tables where there is firmware to wake up with */
		if (board->rom[0]) {
			board->suspended = true;
			board_stop_cpus(board);
		}
		break;
	}
}

static bool registers(void *opaque, u32 *six, bool set)
{
	static const enum gpr order[] = {RAX, RBX, RCX, RDX, RSI, RDI};
	struct cpu *cpu = vcpu_running();

	(void)opaque;
	for (unsigned i = set; cpu && i < ARRAY_LEN(order); i++)
		if (!set)
			six[i] = (u32)cpu->gpr[order[i]];
		else if ((u32)cpu->gpr[order[i]] != six[i])
			cpu->gpr[order[i]] = six[i];
	return cpu;
}

static const char *fault_name(unsigned vector)
{
	static const char *const names[] = {"#DE", "#DB", "NMI", "#BP", "#OF", "#BR", "#UD", "#NM", "#DF", "?",
	                                    "#TS", "#NP", "#SS", "#GP", "#PF", "?",   "#MF", "#AC", "#MC", "#XM"};

	return vector < ARRAY_LEN(names) ? names[vector] : "interrupt";
}

static void triple_fault(void *opaque, struct cpu *cpu)
{
	struct board *board = opaque;

	loop_lock(board->loop);
	if (board->config.no_reboot) {
		char chain[160] = "";
		for (unsigned i = 0; i < cpu->chain_len && i < FAULT_CHAIN; i++) {
			const struct cpu_fault *f = &cpu->chain[i];
			char one[48];
			snprintf(one, sizeof one, "%s%s", i ? ", then " : "", fault_name(f->vector));
			strncat(chain, one, sizeof chain - strlen(chain) - 1);
			if (f->has_code) {
				snprintf(one, sizeof one, "(%#x)", f->code);
				strncat(chain, one, sizeof chain - strlen(chain) - 1);
			}
		}
		err_note("triple fault: %s at %04x:%llx, CR2 %llx", chain, cpu->seg[SEG_CS].selector,
		         (unsigned long long)cpu->chain[0].rip, (unsigned long long)cpu->cr2);
		end_run(board, EXIT_TRIPLE);
	} else {
		post_reset(board);
	}
	loop_unlock(board->loop);
}

/* ---- construction ---- */

/* RAM: all of it below the PCI hole when it fits into 3.5 GiB, else 3 GiB below and the rest from 4 GiB on. */
static bool make_ram(struct board *board, struct err *err)
{
	struct machine *m = &board->machine;

	m->ram_size = board->config.ram_size;
	m->ram_below_4g = m->ram_size <= 0xe0000000 ? m->ram_size : 0xc0000000;
	board->ram = ram_new("ram", m->ram_size, false, false, err);
	if (!board->ram)
		return false;
	m->ram = board->ram;
	board->low = (struct region){.name = "ram.low", .size = m->ram_below_4g, .ram = board->ram};
	bus_map(&board->bus, &board->low, 0, 0);
	if (m->ram_size > m->ram_below_4g) {
		board->high = (struct region){.name = "ram.high", .size = m->ram_size - m->ram_below_4g, .ram = board->ram,
		                              .ram_offset = m->ram_below_4g};
		bus_map(&board->bus, &board->high, 1ull << 32, 0);
	}
	return true;
}

static bool make_device(struct board *board, const char *class_name, const char *id, const char *options, struct chardev *chardev,
                        struct err *err)
{
	struct device *device = device_create(class_name, id, options, &board->machine, err), **tail = &board->devices;

	if (!device)
		return false;
	device->chardev = chardev;
	while (*tail)
		tail = &(*tail)->next;
	*tail = device;
	return true;
}

static void hand_over_drives(struct board *board, const struct pc_device *row)
{
	struct device *device = board_device(board, row->id);
	const struct board_config *c = &board->config;
	const struct { struct drive *const *from; unsigned count; } drives[] = {
		[PC_IDE] = {c->ide, ARRAY_LEN(c->ide)}, [PC_FLOPPY] = {c->floppy, ARRAY_LEN(c->floppy)}};

	for (unsigned i = 0; device && i < drives[row->drives].count; i++)
		device->drive[i] = drives[row->drives].from[i];
}

/* The first drive that nothing has taken. */
static const struct drive *homeless_drive(const struct board *board)
{
	const struct board_config *c = &board->config;
	bool floppies = false;

	for (unsigned i = 0; i < pc_device_count; i++)
		floppies |= pc_devices[i].drives == PC_FLOPPY;
	for (unsigned i = 0; !floppies && i < ARRAY_LEN(c->floppy); i++)
		if (c->floppy[i])
			return c->floppy[i];
	return NULL;
}

static int pin_by_name(const struct device *device, const char *name)
{
	for (int i = 0; i < DEVICE_PINS && device->class->pins && device->class->pins[i]; i++)
		if (!strcmp(device->class->pins[i], name))
			return i;
	return -1;
}

static void tie(struct board *board, const struct pc_device *row)
{
	struct device *device = board_device(board, row->id);

	for (unsigned i = 0; device && i < PC_TIES && row->tie[i].pin; i++) {
		int pin = pin_by_name(device, row->tie[i].pin);
		if (pin < 0)
			bug("%s has no pin %s", row->class_name, row->tie[i].pin);
		struct irq_line line = intc_line(board, row->tie[i].to, row->tie[i].to_pin);
		if (!line.fn) {
			struct device *to = board_device(board, row->tie[i].to);
			if (!to)
				bug("no device %s to tie %s to", row->tie[i].to, row->id);
			line = device_input(to, row->tie[i].to_pin);
		}
		device->out[pin] = line;
	}
}

/* Those that users add say themselves which interrupt lines they are for. */
static bool tie_extra(struct board *board, struct device *device, struct err *err)
{
	for (unsigned i = 0; device->class->line && i < DEVICE_PINS && device->class->pins[i]; i++) {
		if (board->gsi_sources == INTC_SOURCES)
			return err_set(err, EXIT_USAGE, "%s: too many devices with interrupts", device->class->name);
		device->out[i] = intc_line(board, "gsi", device->class->line(device, i));
	}
	return true;
}

static bool make_devices(struct board *board, struct err *err)
{
	const struct board_config *c = &board->config;

	for (unsigned i = 0; i < pc_device_count; i++) {
		const struct pc_device *row = &pc_devices[i];
		struct chardev *chardev = NULL;
		if (row->serial) { /* present only where somebody listens */
			chardev = row->serial == PC_PARALLEL ? c->parallel : c->serial[row->serial - 1];
			if (!chardev)
				continue;
		}
		if (!make_device(board, row->class_name, row->id, row->options, chardev, err))
			return false;
	}
	if (!intc_make_lapics(board, err))
		return false;
	if (c->vga && (!make_device(board, c->vga, "vga", NULL, NULL, err) || !firmware_vga(board, board_device(board, "vga"), err)))
		return false;
	if (c->debugcon && !make_device(board, "isa-debugcon", "debugcon", NULL, c->debugcon, err))
		return false;
	for (unsigned i = 0; i < c->extras; i++)
		if (!make_device(board, c->extra[i].class_name, c->extra[i].id, c->extra[i].options, c->extra[i].chardev, err))
			return false;
	for (unsigned i = 0; i < pc_device_count; i++) {
		tie(board, &pc_devices[i]);
		hand_over_drives(board, &pc_devices[i]);
	}
	for (unsigned i = 0; i < c->extras; i++)
		if (!tie_extra(board, board_device(board, c->extra[i].id), err))
			return false;
	const struct drive *homeless = homeless_drive(board);
	if (homeless)
		return err_set(err, EXIT_USAGE, "drive %s: this machine has no controller for it", homeless->id);
	for (struct device *d = board->devices; d; d = d->next)
		if (!device_start(d, err))
			return false;
	return true;
}

struct device *board_add(struct board *board, const char *class_name, const char *id, const char *options, struct err *err)
{
	return make_device(board, class_name, id, options, NULL, err) ? board_device(board, id) : NULL;
}

static void make_cpus(struct board *board)
{
	const struct board_config *c = &board->config;

	board->cpus = c->cpus;
	board->vcpu = err_alloc(c->cpus * sizeof *board->vcpu);
	for (unsigned i = 0; i < c->cpus; i++) {
		struct cpu *cpu = cpu_new(&c->model, &board->bus, board->clock, i, c->cpus);
		cpu->tsc_hz = c->tsc_hz ? c->tsc_hz : cpu->tsc_hz;
		cpu->host.opaque = board;
		cpu->host.triple_fault = triple_fault;
		cpu->host.smm = intc_smm;
		cpu->host.ferr = intc_ferr;
		cpu->log.file = c->log.file;
		cpu->log.in_asm = c->log.in_asm;
		cpu->log.interrupts = c->log.interrupts;
		cpu->log.exec = c->log.exec;
		cpu->log.op = c->log.op;
		cpu->log.out_asm = c->log.out_asm;
		cpu->log.reset = c->log.reset;
		vcpu_init(&board->vcpu[i], cpu, c->engine, board->clock, board->loop);
	}
	if (c->count_instructions) {
		vcpu_share(board->vcpu, c->cpus);
		clock_count_instructions(board->clock, &board->vcpu[0].cpu->instructions, c->icount_shift);
	}
}

struct board *board_new(const struct board_config *config, struct clock *clock, struct loop *loop, struct err *err)
{
	struct board *board = err_alloc(sizeof *board);

	board->config = *config;
	board->clock = clock;
	board->loop = loop;
	board->paused = 1;
	bus_init(&board->bus, loop);
	board->machine = (struct machine){.bus = &board->bus, .clock = clock, .loop = loop, .cpus = config->cpus,
	                                  .ops = {.request = request, .registers = registers, .opaque = board}};
	if (config->count_instructions)
		loop_entropy_seed(loop, config->seed);
	clock_set_calendar(clock, config->calendar);
	loop_lock(loop);
	bool ok = make_ram(board, err);
	if (ok) {
		make_cpus(board);
		ok = firmware_map(board, err) && make_devices(board, err) && reset_all(board, err);
		switch_init(board);
		ok = ok && switch_start(board, err);
		watch_drives(board, true);
	}
	loop_unlock(loop);
	if (ok)
		return board;
	board_free(board);
	return NULL;
}

bool board_start(struct board *board, struct err *err)
{
	for (unsigned i = 0; i < board->cpus; i++)
		if (!vcpu_start(&board->vcpu[i], err))
			return false;
	return true;
}

int board_run(struct board *board)
{
	struct err err = {0};

	if (!board_start(board, &err)) {
		err_note("%s", err.text);
		return err.code;
	}
	if (!board->config.paused) {
		loop_lock(board->loop);
		board_continue(board);
		loop_unlock(board->loop);
	}
	int code = loop_run(board->loop);
	for (unsigned i = 0; i < board->cpus; i++)
		vcpu_quit(&board->vcpu[i]);
	return code;
}

void board_free(struct board *board)
{
	if (!board)
		return;
	for (unsigned i = 0; i < board->cpus; i++)
		vcpu_quit(&board->vcpu[i]);
	loop_lock(board->loop); /* a device may have to wait for its disk */
	switch_free(board);
	watch_drives(board, false);
	while (board->devices) {
		struct device *next = board->devices->next;
		device_free(board->devices);
		board->devices = next;
	}
	loop_unlock(board->loop);
	for (unsigned i = 0; i < board->cpus; i++)
		cpu_free(board->vcpu[i].cpu);
	free(board->vcpu);
	free(board->pins);
	firmware_free(board);
	bus_free(&board->bus);
	ram_free(board->ram);
	free(board);
}
