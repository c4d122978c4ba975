/* SPDX-License-Identifier: MIT */
/* The 16550A UART. National Semiconductor PC16550D datasheet (June 1995), ch. 8; the wiring of a PC's COM ports.
 * A character leaves at once, so the transmitter is empty when the guest looks; the interrupts say the same. Only when the host
 * keeps too much that nobody reads does it stay busy, until the reader goes on. The divisor matters only for the receiver's
 * time-out (four character times).
 * Not implemented: the transmitted break and the divisor do not reach the host; MCR.OUT2 does not gate the interrupt (as in
 * QEMU); framing and parity errors never arise.
 *
 * Output pin "irq". Invariant: state.timeout is the virtual time at which the receiver times out, CLOCK_NEVER when no
 * character waits or the interrupt is pending already. */
#include "hw/device.h"

#define FIFO_SIZE 16
#define BASE_BAUD 115200u

enum { /* registers by offset */
	RBR = 0, IER = 1, IIR = 2, LCR = 3, MCR = 4, LSR = 5, MSR = 6, SCR = 7
};
enum ier { IER_DATA = 1 << 0, IER_THRE = 1 << 1, IER_LINE = 1 << 2, IER_MODEM = 1 << 3, IER_MASK = 0x0f };
enum iir {
	IIR_NONE = 0x01, IIR_MODEM = 0x00, IIR_THRE = 0x02, IIR_DATA = 0x04, IIR_LINE = 0x06, IIR_TIMEOUT = 0x0c, IIR_FIFOS = 0xc0
};
enum fcr { FCR_ENABLE = 1 << 0, FCR_CLEAR_RX = 1 << 1, FCR_CLEAR_TX = 1 << 2, FCR_TRIGGER = 0xc0 };
enum lcr { LCR_STOP = 1 << 2, LCR_PARITY = 1 << 3, LCR_DLAB = 1 << 7 };
enum mcr { MCR_DTR = 1 << 0, MCR_RTS = 1 << 1, MCR_OUT1 = 1 << 2, MCR_OUT2 = 1 << 3, MCR_LOOP = 1 << 4, MCR_MASK = 0x1f };
enum lsr {
	LSR_DATA = 1 << 0, LSR_OVERRUN = 1 << 1, LSR_BREAK = 1 << 4, LSR_THRE = 1 << 5, LSR_EMPTY = 1 << 6, LSR_FIFO_ERROR = 1 << 7
};
enum msr { MSR_DCTS = 1 << 0, MSR_DDSR = 1 << 1, MSR_TERI = 1 << 2, MSR_DDCD = 1 << 3,
	   MSR_CTS = 1 << 4, MSR_DSR = 1 << 5, MSR_RI = 1 << 6, MSR_DCD = 1 << 7 };

struct uart_state {
	u64 timeout;          /* when the receiver times out */
	u16 divisor;
	u8 ier, fcr, lcr, mcr, scr;
	u8 msr;               /* lines and their deltas */
	u8 overrun;           /* not 0: LSR.OE is set */
	u8 break_seen;        /* not 0: LSR.BI is set, for the character at the head */
	u8 thre_pending;      /* not 0: the THRE interrupt is due */
	u8 timeout_pending;   /* not 0: the character time-out interrupt is due */
	u8 head, count;       /* of the receive FIFO */
	u8 fifo[FIFO_SIZE];
	u8 fifo_break[FIFO_SIZE]; /* not 0: this character is a break */
	u8 busy;              /* not 0: the transmitter waits for the host */
	u8 pad;
};

struct uart {
	struct device device;
	u64 index, iobase, irq; /* options */
	struct uart_state state;
	struct region region;
	struct timer timer;
};

TRACE_EVENT(ev_write, "uart.write");
TRACE_EVENT(ev_read, "uart.read");
TRACE_EVENT(ev_overrun, "uart.overrun");

static unsigned fifo_size(const struct uart_state *s)
{
	return s->fcr & FCR_ENABLE ? FIFO_SIZE : 1;
}

static unsigned trigger(const struct uart_state *s)
{
	static const u8 levels[4] = {1, 4, 8, 14};

	return s->fcr & FCR_ENABLE ? levels[s->fcr >> 6] : 1;
}

/* ---- interrupts ---- */
/* The source of the highest priority, without the FIFO bits. */
static u8 source(const struct uart_state *s)
{
	if (s->ier & IER_LINE && (s->overrun || s->break_seen))
		return IIR_LINE;
	if (s->ier & IER_DATA && s->count >= trigger(s))
		return IIR_DATA;
	if (s->ier & IER_DATA && s->timeout_pending)
		return IIR_TIMEOUT;
	if (s->ier & IER_THRE && s->thre_pending)
		return IIR_THRE;
	if (s->ier & IER_MODEM && s->msr & 0x0f)
		return IIR_MODEM;
	return IIR_NONE;
}

static void update(struct uart *u)
{
	irq_set(&u->device.out[0], source(&u->state) != IIR_NONE);
}

/* ---- receiver ---- */
static u64 four_characters(const struct uart_state *s)
{
	unsigned bits = 1 + 5 + (s->lcr & 3) + (s->lcr & LCR_PARITY ? 1 : 0) + (s->lcr & LCR_STOP ? 2 : 1);

	return NS_PER_S * 4 * bits * MAX(s->divisor, 1) / BASE_BAUD;
}

/* After a character came or went: the time-out starts anew. */
static void restart_timeout(struct uart *u)
{
	struct uart_state *s = &u->state;

	s->timeout_pending = 0;
	s->timeout = CLOCK_NEVER;
	if (s->count && s->fcr & FCR_ENABLE)
		s->timeout = clock_now(u->timer.clock) + four_characters(s);
	timer_arm(&u->timer, s->timeout);
}

static void timed_out(void *opaque)
{
	struct uart *u = opaque;

	u->state.timeout = CLOCK_NEVER;
	u->state.timeout_pending = u->state.count != 0;
	update(u);
}

static void show_head(struct uart_state *s)
{
	/* LSR speaks of the character at the head of the FIFO */
	if (s->count && s->fifo_break[s->head]) {
		s->break_seen = 1;
		s->fifo_break[s->head] = 0;
	}
}

static void push(struct uart *u, u8 value, bool is_break)
{
	struct uart_state *s = &u->state;
	unsigned at;

	if (s->count >= fifo_size(s)) {
		TRACE(ev_overrun, "%s", u->device.id);
		s->overrun = 1;
		if (s->fcr & FCR_ENABLE)
			return; /* only the shift register is overwritten */
		s->count = 0;
	}
	at = (s->head + s->count++) % FIFO_SIZE;
	s->fifo[at] = value;
	s->fifo_break[at] = is_break;
	show_head(s);
}

static void tell_room(struct uart *u)
{
	const struct chardev *c = u->device.chardev;

	if (c && c->room)
		c->room(c->opaque);
}

static u8 pop(struct uart *u)
{
	struct uart_state *s = &u->state;
	u8 value = s->fifo[s->head];

	if (!s->count)
		return value; /* the last one is read again */
	s->count--;
	if (s->count) {
		s->head = (s->head + 1) % FIFO_SIZE;
		show_head(s);
	}
	restart_timeout(u);
	update(u);
	tell_room(u);
	return value;
}

/* Characters come up to the trigger level, then one by one: the guest's choice of level means something. */
static size_t can_receive(void *opaque)
{
	const struct uart_state *s = &((struct uart *)opaque)->state;

	if (s->mcr & MCR_LOOP || s->count >= fifo_size(s))
		return 0;
	return s->count < trigger(s) ? trigger(s) - s->count : 1u;
}

static void receive(void *opaque, const u8 *data, size_t len)
{
	struct uart *u = opaque;

	for (size_t i = 0; i < len; i++)
		push(u, data[i], false);
	restart_timeout(u);
	update(u);
}

static void receive_break(void *opaque)
{
	struct uart *u = opaque;

	if (u->state.mcr & MCR_LOOP)
		return;
	push(u, 0, true);
	restart_timeout(u);
	update(u);
}

/* ---- transmitter ---- */
static void emptied(struct uart *u)
{
	u->state.thre_pending = !u->state.busy;
	update(u);
}

/* The host takes characters again. */
static void ready(void *opaque)
{
	struct uart *u = opaque;

	if (!u->state.busy)
		return;
	u->state.busy = 0;
	emptied(u);
}

static void transmit(struct uart *u, u8 value)
{
	struct uart_state *s = &u->state;
	const struct chardev *c = u->device.chardev;

	if (s->mcr & MCR_LOOP) {
		push(u, value, false);
		restart_timeout(u);
	} else if (c && c->write) {
		c->write(c->opaque, &value, 1);
		s->busy = chardev_full(c);
	}
	emptied(u);
}

/* ---- modem lines ---- */
static u8 modem_lines(const struct uart_state *s)
{
	if (!(s->mcr & MCR_LOOP))
		return MSR_CTS | MSR_DSR | MSR_DCD;
	return (s->mcr & MCR_RTS ? MSR_CTS : 0) | (s->mcr & MCR_DTR ? MSR_DSR : 0) | (s->mcr & MCR_OUT1 ? MSR_RI : 0) |
	       (s->mcr & MCR_OUT2 ? MSR_DCD : 0);
}

static void update_modem(struct uart_state *s)
{
	u8 now = modem_lines(s), changed = (s->msr ^ now) & 0xf0;

	if (changed & MSR_RI && now & MSR_RI)
		changed &= ~MSR_RI; /* only its trailing edge counts */
	s->msr = now | (s->msr & 0x0f) | changed >> 4;
}

/* ---- registers ---- */
static u8 read_lsr(struct uart *u)
{
	struct uart_state *s = &u->state;
	bool busy = s->busy && !(s->mcr & MCR_LOOP);
	u8 value = (busy ? 0 : LSR_THRE | LSR_EMPTY) | (s->count ? LSR_DATA : 0) | (s->overrun ? LSR_OVERRUN : 0) |
	           (s->break_seen ? LSR_BREAK : 0);

	if (s->fcr & FCR_ENABLE) {
		bool error = s->break_seen;

		for (unsigned i = 0; i < s->count; i++)
			error |= s->fifo_break[(s->head + i) % FIFO_SIZE];
		value |= error ? LSR_FIFO_ERROR : 0;
	}
	s->overrun = s->break_seen = 0;
	update(u);
	return value;
}

static u8 read_iir(struct uart *u)
{
	struct uart_state *s = &u->state;
	u8 value = source(s);

	if (value == IIR_THRE) {
		s->thre_pending = 0;
		update(u);
	}
	return value | (s->fcr & FCR_ENABLE ? IIR_FIFOS : 0);
}

static u64 uart_read(void *opaque, u64 offset, unsigned size)
{
	struct uart *u = opaque;
	struct uart_state *s = &u->state;
	u8 value = 0;

	(void)size;
	switch (offset) {
	case RBR:
		value = s->lcr & LCR_DLAB ? s->divisor & 0xff : pop(u);
		break;
	case IER:
		value = s->lcr & LCR_DLAB ? s->divisor >> 8 : s->ier;
		break;
	case IIR:
		value = read_iir(u);
		break;
	case LCR:
		value = s->lcr;
		break;
	case MCR:
		value = s->mcr;
		break;
	case LSR:
		value = read_lsr(u);
		break;
	case MSR:
		value = s->msr;
		s->msr &= 0xf0;
		update(u);
		break;
	case SCR:
		value = s->scr;
		break;
	}
	TRACE(ev_read, "%s reg %u value %02x", u->device.id, (unsigned)offset, value);
	return value;
}

static void clear_receiver(struct uart *u)
{
	struct uart_state *s = &u->state;

	s->head = s->count = 0;
	memset(s->fifo_break, 0, sizeof s->fifo_break);
	restart_timeout(u);
}

static void write_fcr(struct uart *u, u8 value)
{
	struct uart_state *s = &u->state;
	bool toggled = (s->fcr ^ value) & FCR_ENABLE;

	if (toggled)
		value |= FCR_CLEAR_RX | FCR_CLEAR_TX;
	/* the other bits are taken only together with bit 0 */
	s->fcr = value & FCR_ENABLE ? value & (FCR_ENABLE | FCR_TRIGGER) : 0;
	if (value & FCR_CLEAR_RX && (toggled || s->fcr))
		clear_receiver(u);
	if (value & FCR_CLEAR_TX && (toggled || s->fcr))
		emptied(u);
	update(u);
	tell_room(u);
}

static void write_ier(struct uart *u, u8 value)
{
	struct uart_state *s = &u->state;

	/* where the transmitter is empty, enabling its interrupt raises it */
	if (value & IER_THRE && !(s->ier & IER_THRE))
		emptied(u);
	s->ier = value & IER_MASK;
	update(u);
}

static void uart_write(void *opaque, u64 offset, u64 v, unsigned size)
{
	struct uart *u = opaque;
	struct uart_state *s = &u->state;
	u8 value = v;

	(void)size;
	TRACE(ev_write, "%s reg %u value %02x", u->device.id, (unsigned)offset, value);
	switch (offset) {
	case RBR:
		if (s->lcr & LCR_DLAB)
			s->divisor = (s->divisor & 0xff00) | value;
		else
			transmit(u, value);
		break;
	case IER:
		if (s->lcr & LCR_DLAB)
			s->divisor = (s->divisor & 0x00ff) | value << 8;
		else
			write_ier(u, value);
		break;
	case IIR:
		write_fcr(u, value);
		break;
	case LCR:
		s->lcr = value;
		break;
	case MCR:
		s->mcr = value & MCR_MASK;
		update_modem(s);
		update(u);
		tell_room(u);
		break;
	case SCR:
		s->scr = value;
		break;
	}
}
static const struct region_ops uart_ops = {.read = uart_read, .write = uart_write, .max = 1};

/* ---- the device ---- */
static bool uart_init(struct device *device, struct err *err)
{
	struct uart *u = (struct uart *)device;
	static const u16 ports[4] = {0x3f8, 0x2f8, 0x3e8, 0x2e8};

	if (u->index >= ARRAY_LEN(ports))
		return err_set(err, EXIT_USAGE, "index is at most 3");
	if (!u->iobase)
		u->iobase = ports[u->index];
	timer_init(&u->timer, device->machine->clock, timed_out, u);
	u->state.timeout = CLOCK_NEVER;
	if (device->chardev) {
		device->chardev->can_receive = can_receive;
		device->chardev->receive = receive;
		device->chardev->event_break = receive_break;
		device->chardev->ready = ready;
		device->chardev->device = u;
	}
	u->region = (struct region){.name = "uart", .size = 8, .ops = &uart_ops, .opaque = u};
	bus_map_io(device->machine->bus, &u->region, u->iobase);
	return true;
}

static void uart_reset(struct device *device)
{
	struct uart *u = (struct uart *)device;

	u->state = (struct uart_state){.timeout = CLOCK_NEVER, .divisor = 12};
	u->state.msr = modem_lines(&u->state);
	timer_cancel(&u->timer);
	update(u);
	tell_room(u);
}

static void uart_loaded(struct device *device)
{
	struct uart *u = (struct uart *)device;
	struct uart_state *s = &u->state;

	s->ier &= IER_MASK;
	s->mcr &= MCR_MASK;
	s->fcr &= FCR_ENABLE | FCR_TRIGGER;
	s->head %= FIFO_SIZE;
	s->count = MIN(s->count, fifo_size(s));
	timer_arm(&u->timer, s->timeout);
	if (s->busy && !chardev_full(u->device.chardev))
		ready(u);
	update(u);
	tell_room(u);
}

static void uart_destroy(struct device *device)
{
	struct uart *u = (struct uart *)device;

	if (device->chardev) {
		device->chardev->can_receive = NULL;
		device->chardev->receive = NULL;
		device->chardev->event_break = NULL;
		device->chardev->ready = NULL;
		device->chardev->device = NULL;
	}
	timer_cancel(&u->timer);
	bus_unmap(device->machine->bus, &u->region);
}

static unsigned uart_line(const struct device *device, unsigned n)
{
	const struct uart *u = (const struct uart *)device;

	(void)n;
	return u->irq ? u->irq : u->index & 1 ? 3 : 4;
}

static const struct field uart_fields[] = {
	FIELD(struct uart_state, timeout, "when the receiver times out (virtual ns)"),
	FIELD(struct uart_state, divisor, "baud rate divisor"),
	FIELD(struct uart_state, ier, "interrupt enable"),
	FIELD(struct uart_state, fcr, "FIFO control"),
	FIELD(struct uart_state, lcr, "line control"),
	FIELD(struct uart_state, mcr, "modem control"),
	FIELD(struct uart_state, scr, "scratch"),
	FIELD(struct uart_state, msr, "modem status"),
	FIELD(struct uart_state, overrun, "a character was lost"),
	FIELD(struct uart_state, break_seen, "a break was received"),
	FIELD(struct uart_state, thre_pending, "transmitter interrupt is due"),
	FIELD(struct uart_state, timeout_pending, "time-out interrupt is due"),
	FIELD(struct uart_state, head, "first character in the FIFO"),
	FIELD(struct uart_state, count, "characters in the FIFO"),
	FIELD(struct uart_state, fifo, "receive FIFO"),
	FIELD(struct uart_state, fifo_break, "which of them are breaks"),
	FIELD(struct uart_state, busy, "the transmitter waits for the host"),
	FIELD(struct uart_state, pad, ""),
	FIELD_END,
};
static const struct option_key uart_options[] = {
	{"index", OPTION_NUMBER, offsetof(struct uart, index), 0, 3, "0 to 3: COM1 to COM4"},
	{"iobase", OPTION_NUMBER, offsetof(struct uart, iobase), 1, 0xfff8, "first port (default by index)"},
	{"irq", OPTION_NUMBER, offsetof(struct uart, irq), 1, 15, "ISA interrupt, for the board (default by index)"},
	{.key = NULL},
};
static const char *const uart_pins[] = {"irq", NULL};

DEVICE(uart) = {
	.name = "isa-serial",
	.desc = "16550A serial port",
	.size = sizeof(struct uart),
	.state_offset = offsetof(struct uart, state),
	.state_size = sizeof(struct uart_state),
	.fields = uart_fields,
	.options = uart_options,
	.pins = uart_pins,
	.user = true,
	.line = uart_line,
	.init = uart_init,
	.reset = uart_reset,
	.loaded = uart_loaded,
	.destroy = uart_destroy,
};
