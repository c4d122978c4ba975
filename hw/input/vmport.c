/* SPDX-License-Identifier: MIT */
/* VMware's port 5658h, as far as it is a pointer that knows where it is: drivers of Linux (psmouse), X.Org and Windows find it, and
 * the pointers of a window or of a VNC viewer and of the guest match. The interface is that of Open Virtual Machine
 * Tools' headers and Linux's drivers/input/mouse/vmmouse.c, which looks for it under KVM and VMware only: -cpu max,+kvm.
 * Not implemented: the port's other calls (clipboard, time, configuration); which privilege may call (command 86).
 *
 * A call is IN EAX,DX with a magic number in EAX, the command in CX and its argument in EBX; answers come in EAX, EBX, ECX, EDX,
 * ESI and EDI. What the pointer does waits in a queue of doublewords, four to a packet; an empty packet of the PS/2 mouse, asked
 * for at pin "mouse", makes the driver look there.
 * Invariant: while the pointer is enabled, and its version was fetched, the queue holds whole packets. */
#include "hw/device.h"
#include "hw/input/input.h"

#define PORT 0x5658
#define MAGIC 0x564d5868u
#define QUEUE 512 /* doublewords, a power of two */
#define PACKET 4u

enum reg { EAX, EBX, ECX, EDX, ESI, EDI };
enum command { GET_VERSION = 10, POINTER_DATA = 39, POINTER_STATUS, POINTER_COMMAND, POINTER_RESTRICT = 86 };
enum pointer_command {
	READ_ID = 0x45414552, DISABLE = 0xf5, WANT_RELATIVE = 0x4c455252, WANT_ABSOLUTE = 0x53424152, POINTER_VERSION = 0x3442554a
};
enum buttons { MIDDLE = 0x08, RIGHT = 0x10, LEFT = 0x20, RELATIVE = 0x10000 };
enum { PORT_VERSION = 6, PRODUCT_SERVER = 2, FAILED = 0xffff };

struct vmport_state {
	u32 queue[QUEUE];
	u16 head, count;
	u16 status;         /* FAILED: nothing is told until the driver starts anew */
	u8 enabled, absolute;
	u32 buttons;        /* as told last */
	u32 pad;
};

struct vmport {
	struct device device;
	struct vmport_state state;
	struct region region;
	struct input input;
};

TRACE_EVENT(ev_call, "vmport.call");

/* ---- the queue ---- */

static void put(struct vmport_state *s, u32 value)
{
	s->queue[(s->head + s->count++) % QUEUE] = value;
}

static u32 get(struct vmport_state *s)
{
	u32 value = s->queue[s->head];

	s->head = (s->head + 1) % QUEUE;
	s->count--;
	return value;
}

/* A full queue loses motion, but not the last room, which is for the change of a button. */
static void tell(struct vmport *v, u32 flags, u32 x, u32 y, int wheel, unsigned buttons)
{
	struct vmport_state *s = &v->state;
	u32 told = (buttons & INPUT_LEFT ? LEFT : 0) | (buttons & INPUT_RIGHT ? RIGHT : 0) | (buttons & INPUT_MIDDLE ? MIDDLE : 0);
	unsigned room = told == s->buttons ? 2 * PACKET : PACKET;

	if (!s->enabled || s->status == FAILED || s->count + room > QUEUE)
		return;
	s->buttons = told;
	put(s, told | flags);
	put(s, x);
	put(s, y);
	put(s, (u32)-MIN(MAX(wheel, -127), 127)); /* towards the user is positive */
	irq_set(&v->device.out[0], true);
	irq_set(&v->device.out[0], false);
}

static void absolute(void *opaque, unsigned x, unsigned y, int wheel, unsigned buttons)
{
	tell(opaque, 0, x << 1 | x >> 14, y << 1 | y >> 14, wheel, buttons);
}

static void relative(void *opaque, int dx, int dy, int wheel, unsigned buttons)
{
	tell(opaque, RELATIVE, (u32)dx, (u32)-dy, wheel, buttons);
}

static bool wants_absolute(void *opaque)
{
	const struct vmport_state *s = &((struct vmport *)opaque)->state;

	return s->enabled && s->absolute;
}

/* ---- calls ---- */

static void stop(struct vmport_state *s, u16 status)
{
	s->head = s->count = 0;
	s->status = status;
	s->enabled = s->absolute = 0;
}

static void pointer_command(struct vmport_state *s, u32 what)
{
	switch (what) {
	case READ_ID: /* and begin */
		stop(s, 0);
		s->enabled = 1;
		put(s, POINTER_VERSION);
		break;
	case DISABLE:
		stop(s, FAILED);
		break;
	case WANT_RELATIVE:
	case WANT_ABSOLUTE:
		s->absolute = what == WANT_ABSOLUTE;
		break;
	}
}

static void pointer_data(struct vmport_state *s, u32 *reg)
{
	u32 count = reg[EBX];

	if (!count || count > EDI + 1 || count > s->count) {
		stop(s, FAILED);
		return;
	}
	for (unsigned i = 0; i < count; i++)
		reg[i] = get(s);
}

/* False: no such call. */
static bool call(struct vmport_state *s, u32 *reg)
{
	switch (reg[ECX] & 0xffff) {
	case GET_VERSION:
		reg[EAX] = PORT_VERSION;
		reg[EBX] = MAGIC;
		reg[ECX] = PRODUCT_SERVER;
		return true;
	case POINTER_DATA:
		pointer_data(s, reg);
		return true;
	case POINTER_STATUS:
		reg[EAX] = (u32)s->status << 16 | s->count;
		return true;
	case POINTER_COMMAND:
		pointer_command(s, reg[EBX]);
		return true;
	case POINTER_RESTRICT:
		return true;
	}
	return false;
}

static u64 vmport_read(void *opaque, u64 offset, unsigned size)
{
	struct vmport *v = opaque;
	const struct machine_ops *ops = &v->device.machine->ops;
	u32 reg[6];

	if (offset || size != 4 || !ops->registers || !ops->registers(ops->opaque, reg, false) || reg[EAX] != MAGIC)
		return ~0ull;
	TRACE(ev_call, "%u (%08x)", reg[ECX] & 0xffff, reg[EBX]);
	if (!call(&v->state, reg))
		return ~0ull;
	ops->registers(ops->opaque, reg, true);
	return reg[EAX];
}

static void vmport_write(void *opaque, u64 offset, u64 value, unsigned size)
{
	(void)opaque, (void)offset, (void)value, (void)size;
}
static const struct region_ops vmport_ops = {.read = vmport_read, .write = vmport_write, .max = 4};

/* ---- the device ---- */

static bool vmport_init(struct device *device, struct err *err)
{
	struct vmport *v = (struct vmport *)device;

	v->input = (struct input){.pointer = relative, .absolute = absolute, .wants_absolute = wants_absolute, .opaque = v};
	if (!input_register(device->machine, &v->input))
		return err_set(err, EXIT_USAGE, "%s: there are too many keyboards and pointers", device->id);
	v->region = (struct region){.name = "vmport", .size = 4, .ops = &vmport_ops, .opaque = v};
	bus_map_io(device->machine->bus, &v->region, PORT);
	return true;
}

static void vmport_reset(struct device *device)
{
	struct vmport_state *s = &((struct vmport *)device)->state;

	memset(s, 0, sizeof *s);
	s->status = FAILED;
}

static void vmport_loaded(struct device *device)
{
	struct vmport_state *s = &((struct vmport *)device)->state;

	s->head %= QUEUE;
	s->count = MIN(s->count, QUEUE);
	s->enabled &= 1;
	s->absolute &= 1;
}

static void vmport_destroy(struct device *device)
{
	struct vmport *v = (struct vmport *)device;

	bus_unmap(device->machine->bus, &v->region);
	input_unregister(device->machine, &v->input);
}

static const struct field vmport_fields[] = {
	FIELD_ARRAY(struct vmport_state, queue, "what the driver has not fetched"),
	FIELD(struct vmport_state, head, "first of it"),
	FIELD(struct vmport_state, count, "doublewords"),
	FIELD(struct vmport_state, status, "ffff: an error, or off"),
	FIELD(struct vmport_state, enabled, "the driver has fetched the version"),
	FIELD(struct vmport_state, absolute, "it wants positions"),
	FIELD(struct vmport_state, buttons, "buttons as told last"),
	FIELD(struct vmport_state, pad, ""),
	FIELD_END,
};
static const char *const vmport_pins[] = {"mouse", NULL};

DEVICE(vmport) = {
	.name = "vmport",
	.desc = "VMware's port: absolute pointer",
	.size = sizeof(struct vmport),
	.state_offset = offsetof(struct vmport, state),
	.state_size = sizeof(struct vmport_state),
	.fields = vmport_fields,
	.pins = vmport_pins,
	.init = vmport_init,
	.reset = vmport_reset,
	.loaded = vmport_loaded,
	.destroy = vmport_destroy,
};
