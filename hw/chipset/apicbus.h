/* SPDX-License-Identifier: MIT */
/* The way of interrupt messages to the local APICs: from each other (IPIs), from IOAPICs, and from devices (MSI).
 * One bus per machine, made by the first member. Intel SDM 3A, 11.6.2 (destinations), 11.11 (MSI). */
#ifndef HW_CHIPSET_APICBUS_H
#define HW_CHIPSET_APICBUS_H

#include "hw/device.h"

enum apic_mode { APIC_FIXED, APIC_LOWEST, APIC_SMI, APIC_RESERVED, APIC_NMI, APIC_INIT, APIC_SIPI, APIC_EXTINT };

#define APIC_EVERYONE 0xffffffffu

struct apic_message {
	u32 dest;     /* APIC id (0xff: everyone), or logical destination; APIC_EVERYONE */
	bool logical;
	u8 mode;      /* enum apic_mode */
	u8 vector;
	bool level;   /* trigger mode */
};

/* A local APIC on the bus; embedded in its object. */
struct apic_member {
	struct device *lapic;
	struct apic_member *next;
};
/* Who hears of an end of interrupt (level-triggered vectors only), and of its beginning (all). */
struct apic_listener {
	void (*eoi)(void *opaque, u8 vector);
	void (*taken)(void *opaque, u8 vector);
	void (*forget_ticks)(void *opaque);
	void *opaque;
	struct apic_listener *next;
};

void apicbus_join(struct machine *machine, struct apic_member *member);
void apicbus_leave(struct machine *machine, struct apic_member *member);
void apicbus_listen(struct machine *machine, struct apic_listener *listener);
void apicbus_unlisten(struct machine *machine, struct apic_listener *listener);

/* False if nobody took it. */
bool apicbus_send(struct machine *machine, const struct apic_message *message);
/* To all local APICs but one (NULL: to all), whatever message->dest says. */
bool apicbus_broadcast(struct machine *machine, const struct apic_message *message, const struct device *except);
/* Would nobody notice it, because one like it waits for its acknowledge in the one APIC that it is meant for? Never so of what is
 * meant for several, or carries no vector. */
bool apicbus_waits(struct machine *machine, const struct apic_message *message);
/* A timer that counts in periods was programmed anew: edges of its past are not to be made up for any more. */
void apicbus_forget_ticks(struct machine *machine);
void apicbus_eoi(struct machine *machine, u8 vector);
void apicbus_taken(struct machine *machine, u8 vector);
/* A device's write to 0xfeexxxxx. */
bool apicbus_msi(struct machine *machine, u64 address, u32 data);

#endif
