/* SPDX-License-Identifier: MIT */
/* Delivery of interrupt messages; see apicbus.h. Intel SDM 3A, 11.6.2 and 11.11.
 * Not implemented: the redirection hint of MSI with cluster arithmetic beyond lowest priority. */
#include "hw/chipset/apicbus.h"

#include <stdlib.h>

#include "hw/chipset/lapic.h"

struct apic_bus {
	struct apic_member *members;
	struct apic_listener *listeners;
};

TRACE_EVENT(ev_message, "apic.message");
TRACE_EVENT(ev_nobody, "apic.nobody");

/* ---- membership ---- */
static struct apic_bus *bus_of(struct machine *machine)
{
	if (!machine->apic)
		machine->apic = err_alloc(sizeof *machine->apic);
	return machine->apic;
}

static void release(struct machine *machine)
{
	if (machine->apic->members || machine->apic->listeners)
		return;
	free(machine->apic);
	machine->apic = NULL;
}

void apicbus_join(struct machine *machine, struct apic_member *member)
{
	struct apic_member **at = &bus_of(machine)->members;

	while (*at)
		at = &(*at)->next;
	member->next = NULL;
	*at = member;
}

void apicbus_leave(struct machine *machine, struct apic_member *member)
{
	for (struct apic_member **at = &bus_of(machine)->members; *at; at = &(*at)->next)
		if (*at == member) {
			*at = member->next;
			break;
		}
	release(machine);
}

void apicbus_listen(struct machine *machine, struct apic_listener *listener)
{
	struct apic_bus *bus = bus_of(machine);

	listener->next = bus->listeners;
	bus->listeners = listener;
}

void apicbus_unlisten(struct machine *machine, struct apic_listener *listener)
{
	for (struct apic_listener **at = &bus_of(machine)->listeners; *at; at = &(*at)->next)
		if (*at == listener) {
			*at = listener->next;
			break;
		}
	release(machine);
}

/* ---- delivery ---- */
/* Lowest priority: the processor that is least busy; among equals the one that took such a message longest ago. */
static bool send_lowest(struct apic_bus *bus, const struct apic_message *m)
{
	struct device *best = NULL;

	for (struct apic_member *p = bus->members; p; p = p->next) {
		if (!lapic_enabled(p->lapic) || !lapic_matches(p->lapic, m->dest, m->logical))
			continue;
		if (!best || lapic_busier(best, p->lapic))
			best = p->lapic;
	}
	return best && lapic_deliver(best, m->vector, APIC_LOWEST, m->level);
}

bool apicbus_send(struct machine *machine, const struct apic_message *m)
{
	struct apic_bus *bus = bus_of(machine);
	bool taken = false;

	TRACE(ev_message, "%s %02x mode %u vector %02x %s", m->logical ? "logical" : "physical", m->dest, m->mode, m->vector,
	      m->level ? "level" : "edge");
	if (m->mode == APIC_LOWEST)
		taken = send_lowest(bus, m);
	for (struct apic_member *p = m->mode == APIC_LOWEST ? NULL : bus->members; p; p = p->next)
		if (lapic_matches(p->lapic, m->dest, m->logical))
			taken |= lapic_deliver(p->lapic, m->vector, m->mode, m->level);
	if (!taken)
		TRACE(ev_nobody, "destination %02x mode %u vector %02x", m->dest, m->mode, m->vector);
	return taken;
}

bool apicbus_broadcast(struct machine *machine, const struct apic_message *m, const struct device *except)
{
	bool taken = false;

	TRACE(ev_message, "broadcast mode %u vector %02x", m->mode, m->vector);
	for (struct apic_member *p = bus_of(machine)->members; p; p = p->next)
		if (p->lapic != except)
			taken |= lapic_deliver(p->lapic, m->vector, m->mode, m->level);
	return taken;
}

bool apicbus_waits(struct machine *machine, const struct apic_message *m)
{
	unsigned meant = 0, waiting = 0;

	for (struct apic_member *p = bus_of(machine)->members; p; p = p->next)
		if (lapic_matches(p->lapic, m->dest, m->logical)) {
			meant++;
			waiting += lapic_requested(p->lapic, m->vector);
		}
	return (m->mode == APIC_FIXED || m->mode == APIC_LOWEST) && meant == 1 && waiting == 1;
}

void apicbus_forget_ticks(struct machine *machine)
{
	for (struct apic_listener *l = machine->apic ? machine->apic->listeners : NULL; l; l = l->next)
		l->forget_ticks(l->opaque);
}

void apicbus_eoi(struct machine *machine, u8 vector)
{
	for (struct apic_listener *l = bus_of(machine)->listeners; l; l = l->next)
		l->eoi(l->opaque, vector);
}

void apicbus_taken(struct machine *machine, u8 vector)
{
	for (struct apic_listener *l = bus_of(machine)->listeners; l; l = l->next)
		l->taken(l->opaque, vector);
}

bool apicbus_msi(struct machine *machine, u64 address, u32 data)
{
	struct apic_message m = {
		.dest = address >> 12 & 0xff,
		.logical = address & 4,
		.mode = data >> 8 & 7,
		.vector = data & 0xff,
		.level = data & 0x8000,
	};

	return apicbus_send(machine, &m);
}
