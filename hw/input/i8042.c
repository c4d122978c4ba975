/* SPDX-License-Identifier: MIT */
/* The keyboard controller of the PC/AT and PS/2, with a keyboard and a mouse on its two ports. IBM PS/2 Hardware Interface
 * Technical Reference, keyboard and auxiliary device controller; 82C42 datasheet for the commands.
 * Not implemented: passwords, the input port's jumpers, polling of the port pins (commands c1, c2).
 *
 * A byte from a device takes its time over the wire after the one before it was read, as drivers that read port 60h twice
 * expect; the controller's own answers are there at once. After power-on the controller is as firmware leaves it: translation
 * on, keyboard and its interrupt enabled, mouse disabled.
 *
 * Output pins "irq1", "irq12" (levels: a byte waits) and "a20".
 * Input pin 0: the mouse reports, though nothing moved. Invariant: load_at is when the next device byte arrives,
 * CLOCK_NEVER while the output buffer is full or no device that may send has one. */
#include "hw/input/i8042.h"

#include "hw/input/ps2.h"

#define WIRE_NS 250000u

enum status { ST_FULL = 1 << 0, ST_SYSTEM = 1 << 2, ST_COMMAND = 1 << 3, ST_UNLOCKED = 1 << 4, ST_AUX = 1 << 5 };
enum mode {
	MODE_KBD_INT = 1 << 0, MODE_AUX_INT = 1 << 1, MODE_SYSTEM = 1 << 2, MODE_KBD_OFF = 1 << 4, MODE_AUX_OFF = 1 << 5,
	MODE_TRANSLATE = 1 << 6, MODE_FIRMWARE = MODE_TRANSLATE | MODE_AUX_OFF | MODE_SYSTEM | MODE_KBD_INT
};
enum output_port { OUT_NOT_RESET = 1 << 0, OUT_A20 = 1 << 1, OUT_KBD_FULL = 1 << 4, OUT_AUX_FULL = 1 << 5 };
enum source { FROM_NOBODY, FROM_KBD, FROM_AUX, FROM_CONTROLLER, FROM_CONTROLLER_AUX };
enum pin { PIN_IRQ1, PIN_IRQ12, PIN_A20 };

struct i8042_state {
	u64 load_at;
	struct ps2kbd_state kbd;
	struct ps2mouse_state mouse;
	u8 mode;         /* the command byte, byte 0 of ram */
	u8 output_port;  /* bits 0 and 1, and what was written to the others */
	u8 data, source; /* output buffer: enum source */
	u8 answer, answer_source; /* the controller's, waiting for the buffer */
	u8 command;      /* whose data byte is awaited */
	u8 last_was_command;
	u8 release;      /* an F0 was swallowed by translation */
	u8 ram[31];      /* bytes 1-31 */
};

struct i8042 {
	struct device device;
	struct i8042_state state;
	struct ps2kbd kbd;
	struct ps2mouse mouse;
	struct region data, status;
	struct timer timer;
	struct input input;
};

TRACE_EVENT(ev_command, "i8042.command");
TRACE_EVENT(ev_data, "i8042.data");
TRACE_EVENT(ev_unknown, "i8042.unknown-command");
TRACE_EVENT(ev_reset, "i8042.reset");

const u8 i8042_set2_to_set1[0x80] = {
	0xff, 0x43, 0x41, 0x3f, 0x3d, 0x3b, 0x3c, 0x58, 0x64, 0x44, 0x42, 0x40, 0x3e, 0x0f, 0x29, 0x59,
	0x65, 0x38, 0x2a, 0x70, 0x1d, 0x10, 0x02, 0x5a, 0x66, 0x71, 0x2c, 0x1f, 0x1e, 0x11, 0x03, 0x5b,
	0x67, 0x2e, 0x2d, 0x20, 0x12, 0x05, 0x04, 0x5c, 0x68, 0x39, 0x2f, 0x21, 0x14, 0x13, 0x06, 0x5d,
	0x69, 0x31, 0x30, 0x23, 0x22, 0x15, 0x07, 0x5e, 0x6a, 0x72, 0x32, 0x24, 0x16, 0x08, 0x09, 0x5f,
	0x6b, 0x33, 0x25, 0x17, 0x18, 0x0b, 0x0a, 0x60, 0x6c, 0x34, 0x35, 0x26, 0x27, 0x19, 0x0c, 0x61,
	0x6d, 0x73, 0x28, 0x74, 0x1a, 0x0d, 0x62, 0x6e, 0x3a, 0x36, 0x1c, 0x1b, 0x75, 0x2b, 0x63, 0x76,
	0x55, 0x56, 0x77, 0x78, 0x79, 0x7a, 0x0e, 0x7b, 0x7c, 0x4f, 0x7d, 0x4b, 0x47, 0x7e, 0x7f, 0x6f,
	0x52, 0x53, 0x50, 0x4c, 0x4d, 0x48, 0x01, 0x45, 0x57, 0x4e, 0x51, 0x4a, 0x37, 0x49, 0x46, 0x54,
};

/* ---- the output buffer ---- */
static bool is_aux(u8 source)
{
	return source == FROM_AUX || source == FROM_CONTROLLER_AUX;
}

static void drive(struct i8042 *c)
{
	const struct i8042_state *s = &c->state;
	bool aux = is_aux(s->source), kbd = s->source != FROM_NOBODY && !aux;

	irq_set(&c->device.out[PIN_IRQ1], kbd && s->mode & MODE_KBD_INT);
	irq_set(&c->device.out[PIN_IRQ12], aux && s->mode & MODE_AUX_INT);
}

/* The next byte of the keyboard, translated; false if nothing is left of it. */
static bool fetch_kbd(struct i8042 *c, u8 *byte)
{
	struct i8042_state *s = &c->state;

	while (ps2kbd_has(&c->kbd)) {
		*byte = ps2kbd_fetch(&c->kbd);
		if (!(s->mode & MODE_TRANSLATE))
			return true;
		if (*byte == 0xf0) {
			s->release = 0x80;
			continue;
		}
		*byte = *byte == 0x83 ? 0x41 : *byte == 0x84 ? 0x54 : *byte < 0x80 ? i8042_set2_to_set1[*byte] : *byte;
		*byte |= s->release;
		s->release = 0;
		return true;
	}
	return false;
}

static bool kbd_waits(const struct i8042 *c)
{
	return !(c->state.mode & MODE_KBD_OFF) && ps2kbd_has(&c->kbd);
}

static bool aux_waits(const struct i8042 *c)
{
	return !(c->state.mode & MODE_AUX_OFF) && ps2mouse_has(&c->mouse);
}

/* Fill the buffer, now or when the next byte has come over the wire. */
static void pump(struct i8042 *c)
{
	struct i8042_state *s = &c->state;
	bool waits = s->source == FROM_NOBODY && s->answer_source == FROM_NOBODY && (kbd_waits(c) || aux_waits(c));

	if (s->source == FROM_NOBODY && s->answer_source != FROM_NOBODY) {
		s->data = s->answer;
		s->source = s->answer_source;
		s->answer_source = FROM_NOBODY;
	}
	if (!waits)
		s->load_at = CLOCK_NEVER;
	else if (s->load_at == CLOCK_NEVER)
		s->load_at = clock_now(c->timer.clock) + WIRE_NS;
	timer_arm(&c->timer, s->load_at);
	drive(c);
}

static void arrived(void *opaque)
{
	struct i8042 *c = opaque;
	struct i8042_state *s = &c->state;

	s->load_at = CLOCK_NEVER;
	if (s->source == FROM_NOBODY && s->answer_source == FROM_NOBODY) {
		if (kbd_waits(c) && fetch_kbd(c, &s->data)) {
			s->source = FROM_KBD;
		} else if (aux_waits(c)) {
			s->source = FROM_AUX;
			s->data = ps2mouse_fetch(&c->mouse);
		}
	}
	pump(c);
}

static void device_ready(void *opaque)
{
	pump(opaque);
}

static void answer(struct i8042 *c, u8 byte, enum source source)
{
	c->state.answer = byte;
	c->state.answer_source = source;
	pump(c);
}

/* ---- the output port ---- */
static void reset_machine(struct i8042 *c)
{
	const struct machine_ops *ops = &c->device.machine->ops;

	TRACE(ev_reset, "by the output port");
	if (ops->request)
		ops->request(ops->opaque, MACHINE_RESET, 0);
}

static void set_output_port(struct i8042 *c, u8 value)
{
	c->state.output_port = value;
	irq_set(&c->device.out[PIN_A20], value & OUT_A20);
	if (!(value & OUT_NOT_RESET))
		reset_machine(c);
}

static u8 output_port(const struct i8042_state *s)
{
	u8 full = s->source == FROM_NOBODY ? 0 : is_aux(s->source) ? OUT_AUX_FULL : OUT_KBD_FULL;

	return (s->output_port & ~(OUT_KBD_FULL | OUT_AUX_FULL)) | full;
}

/* ---- commands ---- */
static void set_mode(struct i8042 *c, u8 value)
{
	c->state.mode = value;
	pump(c);
}

static void run_command(struct i8042 *c, u8 command)
{
	struct i8042_state *s = &c->state;

	TRACE(ev_command, "%02x", command);
	s->command = 0;
	switch (command) {
	case 0x20:
		answer(c, s->mode, FROM_CONTROLLER);
		break;
	case 0x21 ... 0x3f:
		answer(c, s->ram[command - 0x21], FROM_CONTROLLER);
		break;
	case 0x60 ... 0x7f: /* these take a byte from port 60h */
	case 0xd1 ... 0xd4:
		s->command = command;
		break;
	case 0xa4: /* no password is installed */
		answer(c, 0xf1, FROM_CONTROLLER);
		break;
	case 0xa7:
		set_mode(c, s->mode | MODE_AUX_OFF);
		break;
	case 0xa8:
		set_mode(c, s->mode & ~MODE_AUX_OFF);
		break;
	case 0xa9: /* tests of the ports: passed */
	case 0xab:
		answer(c, 0x00, FROM_CONTROLLER);
		break;
	case 0xaa:
		s->mode |= MODE_SYSTEM;
		answer(c, 0x55, FROM_CONTROLLER);
		break;
	case 0xad:
		set_mode(c, s->mode | MODE_KBD_OFF);
		break;
	case 0xae:
		set_mode(c, s->mode & ~MODE_KBD_OFF);
		break;
	case 0xc0:
		answer(c, 0x80, FROM_CONTROLLER); /* the keyboard is not locked */
		break;
	case 0xd0:
		answer(c, output_port(s), FROM_CONTROLLER);
		break;
	case 0xdd:
		set_output_port(c, s->output_port & ~OUT_A20);
		break;
	case 0xdf:
		set_output_port(c, s->output_port | OUT_A20);
		break;
	case 0xe0:
		answer(c, 0x00, FROM_CONTROLLER);
		break;
	case 0xf0 ... 0xff: /* pulse the output port's low bits that are 0 here */
		if (!(command & OUT_NOT_RESET))
			reset_machine(c);
		break;
	default:
		TRACE(ev_unknown, "%02x", command);
		break;
	}
}

static void command_data(struct i8042 *c, u8 command, u8 value)
{
	struct i8042_state *s = &c->state;

	switch (command) {
	case 0x60:
		set_mode(c, value);
		break;
	case 0x61 ... 0x7f:
		s->ram[command - 0x61] = value;
		break;
	case 0xd1:
		set_output_port(c, value);
		break;
	case 0xd2:
		answer(c, value, FROM_CONTROLLER);
		break;
	case 0xd3:
		answer(c, value, FROM_CONTROLLER_AUX);
		break;
	case 0xd4:
		s->mode &= ~MODE_AUX_OFF;
		ps2mouse_write(&c->mouse, value);
		break;
	}
}

/* ---- ports ---- */
static u64 data_read(void *opaque, u64 offset, unsigned size)
{
	struct i8042 *c = opaque;
	struct i8042_state *s = &c->state;

	(void)offset, (void)size;
	TRACE(ev_data, "read %02x source %u", s->data, s->source);
	if (s->source == FROM_NOBODY)
		return s->data;
	u8 value = s->data;

	s->source = FROM_NOBODY;
	drive(c); /* the interrupt ends even if the next byte is there at once */
	pump(c);
	return value;
}

static void data_write(void *opaque, u64 offset, u64 value, unsigned size)
{
	struct i8042 *c = opaque;
	struct i8042_state *s = &c->state;
	u8 command = s->command;

	(void)offset, (void)size;
	TRACE(ev_data, "write %02x", (unsigned)value);
	s->last_was_command = 0;
	s->command = 0;
	if (command) {
		command_data(c, command, value);
		return;
	}
	s->mode &= ~MODE_KBD_OFF;
	s->release = 0;
	ps2kbd_write(&c->kbd, value);
}
static const struct region_ops data_ops = {.read = data_read, .write = data_write, .max = 1};

static u64 status_read(void *opaque, u64 offset, unsigned size)
{
	const struct i8042_state *s = &((struct i8042 *)opaque)->state;

	(void)offset, (void)size;
	return ST_UNLOCKED | (s->source != FROM_NOBODY ? ST_FULL : 0) | (is_aux(s->source) ? ST_AUX : 0) |
	       (s->mode & MODE_SYSTEM ? ST_SYSTEM : 0) | (s->last_was_command ? ST_COMMAND : 0);
}

static void command_write(void *opaque, u64 offset, u64 value, unsigned size)
{
	struct i8042 *c = opaque;

	(void)offset, (void)size;
	c->state.last_was_command = 1;
	run_command(c, value);
}
static const struct region_ops status_ops = {.read = status_read, .write = command_write, .max = 1};

/* ---- the host's side ---- */
static void press_key(void *opaque, unsigned code, bool down)
{
	ps2kbd_key(&((struct i8042 *)opaque)->kbd, code, down);
}

static void move_pointer(void *opaque, int dx, int dy, int wheel, unsigned buttons)
{
	ps2mouse_move(&((struct i8042 *)opaque)->mouse, dx, dy, wheel, buttons);
}

struct input i8042_input(struct device *device)
{
	return (struct input){.key = press_key, .pointer = move_pointer, .opaque = device};
}

u8 i8042_leds(struct device *device)
{
	return ((struct i8042 *)device)->state.kbd.leds;
}

static void i8042_input_pin(struct device *device, unsigned n, bool level)
{
	(void)n;
	if (level)
		ps2mouse_nudge(&((struct i8042 *)device)->mouse);
}

/* ---- the device ---- */
static bool i8042_init(struct device *device, struct err *err)
{
	struct i8042 *c = (struct i8042 *)device;

	c->input = i8042_input(device);
	if (!input_register(device->machine, &c->input))
		return err_set(err, EXIT_USAGE, "%s: there are too many keyboards and pointers", device->id);
	timer_init(&c->timer, device->machine->clock, arrived, c);
	c->state.load_at = CLOCK_NEVER;
	ps2kbd_init(&c->kbd, &c->state.kbd, device->machine->clock, device_ready, c);
	ps2mouse_init(&c->mouse, &c->state.mouse, device_ready, c);
	c->data = (struct region){.name = "i8042.data", .size = 1, .ops = &data_ops, .opaque = c};
	c->status = (struct region){.name = "i8042.status", .size = 1, .ops = &status_ops, .opaque = c};
	bus_map_io(device->machine->bus, &c->data, 0x60);
	bus_map_io(device->machine->bus, &c->status, 0x64);
	return true;
}

static void i8042_reset(struct device *device)
{
	struct i8042 *c = (struct i8042 *)device;
	struct i8042_state *s = &c->state;

	ps2kbd_reset(&c->kbd);
	ps2mouse_reset(&c->mouse);
	s->mode = MODE_FIRMWARE;
	s->output_port = 0xcc | OUT_NOT_RESET | OUT_A20;
	s->data = s->source = s->answer = s->answer_source = s->command = s->last_was_command = s->release = 0;
	memset(s->ram, 0, sizeof s->ram);
	irq_set(&device->out[PIN_A20], true);
	pump(c);
}

static void i8042_loaded(struct device *device)
{
	struct i8042 *c = (struct i8042 *)device;
	struct i8042_state *s = &c->state;

	ps2kbd_loaded(&c->kbd);
	ps2mouse_loaded(&c->mouse);
	s->source = MIN(s->source, FROM_CONTROLLER_AUX);
	s->answer_source = MIN(s->answer_source, FROM_CONTROLLER_AUX);
	s->release &= 0x80;
	irq_set(&device->out[PIN_A20], s->output_port & OUT_A20);
	pump(c);
}

static void i8042_destroy(struct device *device)
{
	struct i8042 *c = (struct i8042 *)device;

	timer_cancel(&c->timer);
	ps2kbd_destroy(&c->kbd);
	bus_unmap(device->machine->bus, &c->data);
	bus_unmap(device->machine->bus, &c->status);
	input_unregister(device->machine, &c->input);
}

static const struct field i8042_fields[] = {
	FIELD(struct i8042_state, load_at, "when the next byte arrives"),
	FIELD_SUB(struct i8042_state, kbd, ps2kbd_fields, "keyboard"),
	FIELD_SUB(struct i8042_state, mouse, ps2mouse_fields, "mouse"),
	FIELD(struct i8042_state, mode, "command byte"),
	FIELD(struct i8042_state, output_port, "output port"),
	FIELD(struct i8042_state, data, "output buffer"),
	FIELD(struct i8042_state, source, "who filled it; 0: empty"),
	FIELD(struct i8042_state, answer, "answer that waits for it"),
	FIELD(struct i8042_state, answer_source, "whose port that pretends to come from"),
	FIELD(struct i8042_state, command, "command whose data is awaited"),
	FIELD(struct i8042_state, last_was_command, "status bit 3"),
	FIELD(struct i8042_state, release, "a release prefix was swallowed"),
	FIELD_ARRAY(struct i8042_state, ram, "controller memory"),
	FIELD_END,
};
static const char *const i8042_pins[] = {"irq1", "irq12", "a20", NULL};

DEVICE(i8042) = {
	.name = "i8042",
	.desc = "keyboard controller with PS/2 keyboard and mouse",
	.size = sizeof(struct i8042),
	.state_offset = offsetof(struct i8042, state),
	.state_size = sizeof(struct i8042_state),
	.fields = i8042_fields,
	.pins = i8042_pins,
	.init = i8042_init,
	.reset = i8042_reset,
	.input = i8042_input_pin,
	.loaded = i8042_loaded,
	.destroy = i8042_destroy,
};
