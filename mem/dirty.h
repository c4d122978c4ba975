/* SPDX-License-Identifier: MIT */
/* Who wants to know of writes to a page. A page whose watch byte is not 0 never enters a write TLB, so every CPU
 * write to it comes by dirty_write(); DMA does too. */
#ifndef MEM_DIRTY_H
#define MEM_DIRTY_H

#include "mem/bus.h"

/* Put a page under watch / release it. Setting tells the bus's listeners to drop fast write paths, and returns when they have:
 * a CPU must call it where quiet.h lets it count as outside, and so must whoever may be waited for. */
void dirty_watch(struct bus *bus, u8 *hva_page, u8 *watch, enum ram_watch why);
void dirty_unwatch(u8 *watch, enum ram_watch why);
/* RAM_WATCH_CODE for one more CPU, which releases it once; the page is watched while any holds it. */
void dirty_hold_code(struct bus *bus, u8 *hva_page, u8 *watch);
void dirty_release_code(struct bus *bus, u8 *hva_page, u8 *watch);
/* A write of len bytes (within one page) to a page whose watch byte is not 0, after the store: tells the code listeners, marks
 * logs. A logged page is then free for fast writes until dirty_log_take() has seen it. */
void dirty_write(struct bus *bus, u8 *hva, u8 *watch, unsigned len);

/* A dirty log over part of a RAM block (screen memory, migration). start and len are page aligned; one log a page. */
void dirty_log_start(struct bus *bus, struct ram *ram, u64 start, u64 len);
void dirty_log_stop(struct bus *bus, struct ram *ram, u64 start, u64 len);
/* Which pages were written since the last call? Bit n of `written`, which has one for each page of the range: the page n after the
 * first. They are cleared and armed again. Waits for the CPUs, but once. */
void dirty_log_take(struct bus *bus, struct ram *ram, u64 start, u64 len, u64 *written);

#endif
