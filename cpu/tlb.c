/* SPDX-License-Identifier: MIT */
/* The TLBs: fills, flushes, what is kept behind them for several PCIDs, and the windows that translated code makes of entries.
 * SDM vol. 3A 4.10.
 *
 * Invariant: a write entry exists only while the page is writable, dirty and not under watch. Another thread that puts a page under
 * watch takes the write entries away itself: it sets the watch byte, then looks for entries; tlb_enter() makes the entry, then
 * looks at the watch byte. A store that has looked its entry up is over when the CPU passes a point (quiet.h).
 *
 * The larger TLB holds walks, not memory: nothing in it depends on the bus, nor on watches. Its entries belong to a space, a number
 * that is given up instead of looking for what belongs to it. */
#include "cpu/tlb.h"

#include <stdlib.h>

#include "base/err.h"
#include "base/fence.h"
#include "cpu/control.h"
#include "cpu/quiet.h"

/* Physical pages looked up lately outside the span. */
#define PHYS_SIZE 256
struct phys_entry {
	u64 gpa; /* page address; ~0: empty */
	struct bus_page page;
};

/* Entries to drop when CR3 is written: (index of the TLB) << TLB_BITS | slot. */
#define LOCAL_MAX (2 * TLB_SIZE)

/* Which 2 MiB (1 GiB) regions were ever filled from a large page, so that INVLPG knows when one page is not all: filters. */
#define LARGE_BITS 14
#define HUGE_BITS 10

#define WALK_BITS 14
#define WALK_NUMBER_MAX (1u << 26)
enum walk_bits { WALK_READ = 1, WALK_WRITE = 2, WALK_EXEC = 4, WALK_GLOBAL = 8, WALK_DIRTY = 16 };
struct walk {
	u64 tag;  /* of space, TLB and page; 0: empty */
	u64 what; /* physical page address and enum walk_bits */
};

/* What is known of a PCID that is not in use. */
#define PCIDS 64
struct space {
	u32 number;  /* 0: nothing */
	u16 pcid;
	u64 version; /* of user mode's instruction fetches */
};

struct tlb_state {
	struct tlb tlb[TLB_COUNT];
	struct walk walk[1 << WALK_BITS];
	struct phys_entry phys[PHYS_SIZE];
	struct bus_span span; /* the memory that was looked up last */
	u32 local_count;
	u16 local[LOCAL_MAX];
	u64 large[(1 << LARGE_BITS) / 64], huge[(1 << HUGE_BITS) / 64];
	u32 number, global;   /* the spaces of the present address space, and of global pages */
	u32 numbers;          /* given out */
	bool global_user;     /* user mode may have fetched from global pages */
	struct space space[PCIDS];
};
_Static_assert(TLB_COUNT << TLB_BITS <= 65536, "local[] is too narrow");

static struct tlb_state *tlb_state(const struct cpu *cpu)
{
	return container_of(cpu->tlbs, struct tlb_state, tlb[0]);
}

static void entry_clear(struct tlb_entry *e, u64 slot)
{
	e->read = e->exec = tlb_never(slot << PAGE_SHIFT);
	tlb_store(&e->write, tlb_never(slot << PAGE_SHIFT));
}

struct tlb *tlb_new(void)
{
	struct tlb_state *state = err_alloc(sizeof *state);

	for (unsigned t = 0; t < TLB_COUNT; t++)
		for (unsigned i = 0; i < TLB_SIZE; i++)
			entry_clear(&state->tlb[t].entry[i], i);
	for (unsigned i = 0; i < PHYS_SIZE; i++)
		state->phys[i].gpa = ~0ull;
	state->span.first = 1;
	state->global = 1;
	state->number = state->numbers = 2;
	return state->tlb;
}

void tlb_free(struct tlb *tlbs)
{
	free(container_of(tlbs, struct tlb_state, tlb[0]));
}

/* ---- the larger one ---- */

static u32 new_number(struct tlb_state *state)
{
	if (++state->numbers == WALK_NUMBER_MAX) {
		memset(state->walk, 0, sizeof state->walk);
		memset(state->space, 0, sizeof state->space);
		state->global = 1;
		state->numbers = 2;
	}
	return state->numbers;
}

static struct walk *walk_slot(struct tlb_state *state, u64 linear, u32 number)
{
	u64 page = linear >> PAGE_SHIFT;

	return &state->walk[(page ^ page >> WALK_BITS ^ number * 0x9e5) & ((1 << WALK_BITS) - 1)];
}

static u64 walk_tag(u64 linear, enum tlb_index as, u32 number)
{
	_Static_assert(TLB_FILLED <= 4, "two bits");
	return (linear >> PAGE_SHIFT & (BIT(36) - 1)) | (u64)as << 36 | (u64)number << 38;
}

bool tlb_recall(struct cpu *cpu, u64 linear, enum access_kind kind, enum tlb_index as, struct paging_page *found)
{
	struct tlb_state *state = tlb_state(cpu);
	const struct walk *w = walk_slot(state, linear, state->number);

	if (w->tag != walk_tag(linear, as, state->number)) {
		w = walk_slot(state, linear, state->global);
		if (w->tag != walk_tag(linear, as, state->global))
			return false;
	}
	u64 what = w->what, needed = kind == ACCESS_WRITE ? WALK_WRITE | WALK_DIRTY : kind == ACCESS_READ ? WALK_READ : WALK_EXEC;
	if ((what & needed) != needed)
		return false;
	*found = (struct paging_page){
		.gpa = (what & ~(u64)PAGE_OFFSET) | (linear & PAGE_OFFSET),
		.shift = PAGE_SHIFT,
		.read = what & WALK_READ,
		.write = what & WALK_WRITE,
		.exec = what & WALK_EXEC,
		.global = what & WALK_GLOBAL,
		.dirty = what & WALK_DIRTY,
	};
	return true;
}

static void mark(u64 *filter, unsigned bits, u64 region)
{
	u64 n = region * 0x9e3779b97f4a7c15 >> (64 - bits);

	filter[n >> 6] |= BIT(n & 63);
}

static bool marked(const u64 *filter, unsigned bits, u64 region)
{
	u64 n = region * 0x9e3779b97f4a7c15 >> (64 - bits);

	return filter[n >> 6] & BIT(n & 63);
}

void tlb_remember(struct cpu *cpu, u64 linear, enum tlb_index as, const struct paging_page *found)
{
	struct tlb_state *state = tlb_state(cpu);
	u32 number = found->global ? state->global : state->number;
	struct walk *w = walk_slot(state, linear, number);

	w->tag = walk_tag(linear, as, number);
	w->what = (found->gpa & ~(u64)PAGE_OFFSET) | (found->read ? WALK_READ : 0) | (found->write ? WALK_WRITE : 0) |
	          (found->exec ? WALK_EXEC : 0) | (found->global ? WALK_GLOBAL : 0) | (found->dirty ? WALK_DIRTY : 0);
	if (found->shift == PAGE_SHIFT)
		return;
	mark(state->large, LARGE_BITS, linear >> 21);
	if (found->shift == 22)
		mark(state->large, LARGE_BITS, linear >> 21 ^ 1);
	if (found->shift > 22)
		mark(state->huge, HUGE_BITS, linear >> 30);
}

/* ---- physical pages ---- */

static bool in_span(const struct tlb_state *state, u64 page, struct bus_page *found)
{
	u64 off = page - state->span.first;

	if (page < state->span.first || page > state->span.last)
		return false;
	*found = (struct bus_page){state->span.hva + off, state->span.watch + (off >> PAGE_SHIFT), state->span.writable};
	return true;
}

bool tlb_phys_known(struct cpu *cpu, u64 gpa, struct bus_page *page)
{
	struct tlb_state *state = tlb_state(cpu);
	const struct phys_entry *e = &state->phys[gpa >> PAGE_SHIFT & (PHYS_SIZE - 1)];

	if (likely(in_span(state, gpa & ~(u64)PAGE_OFFSET, page)))
		return true;
	*page = e->page;
	return e->gpa == (gpa & ~(u64)PAGE_OFFSET);
}

const struct bus_page *tlb_phys(struct cpu *cpu, u64 gpa)
{
	struct tlb_state *state = tlb_state(cpu);
	u64 page = gpa & ~(u64)PAGE_OFFSET;
	struct phys_entry *e = &state->phys[gpa >> PAGE_SHIFT & (PHYS_SIZE - 1)];

	if (e->gpa == page)
		return &e->page;
	if (!in_span(state, page, &e->page)) {
		e->gpa = ~0ull;
		if (!bus_span(cpu->bus, gpa, &state->span)) {
			state->span = (struct bus_span){.first = 1};
			return NULL;
		}
		in_span(state, page, &e->page);
	}
	e->gpa = page;
	return &e->page;
}

/* ---- fills ---- */

void tlb_enter(struct cpu *cpu, u64 linear, enum tlb_index as, const struct paging_page *found, const struct bus_page *page)
{
	struct tlb_state *state = tlb_state(cpu);
	const struct paging_page walk = *found;

	cpu->statistics[STAT_TLB_FILL]++;
	u64 slot = linear >> PAGE_SHIFT & (TLB_SIZE - 1), tag = linear & ~(u64)PAGE_OFFSET, never = tlb_never(linear);
	struct tlb_entry *e = &state->tlb[as].entry[slot];
	tlb_store(&e->write, never);
	tlb_store(&e->host, (u64)page->hva);
	e->read = walk.read ? tag : never;
	e->exec = walk.exec ? tag : never;
	if (walk.exec) {
		cpu->fetch_local |= !walk.global && as != TLB_USER;
		state->global_user |= walk.global && as == TLB_USER;
	}
	if (walk.write && walk.dirty && page->writable && !tlb_watched(page)) {
		tlb_store(&e->write, tag);
		fence_light();
		if (unlikely(tlb_watched(page)))
			tlb_store(&e->write, never);
	}
	if (!walk.global && state->local_count < LOCAL_MAX)
		state->local[state->local_count++] = as << TLB_BITS | slot;
}

/* A window outlives what it was made for: another thread that puts its page under watch either finds it here, or had taken the
 * TLB's write entry away before, which is looked at last. */
void tlb_keep_window(struct cpu *cpu, unsigned slot, u64 linear, const struct tlb_entry *e)
{
	struct jit_window *w = &cpu->jit.window[slot];
	u64 page = linear & ~(u64)PAGE_OFFSET;

	tlb_store(&w->none[1], ~0ull);
	tlb_store(&w->tag, page);
	tlb_store(&w->delta, tlb_load(&e->host) - page);
	w->none[0] = page == e->read ? 0 : ~0ull;
	cpu->jit.windows |= BIT(slot);
	if (page != tlb_load(&e->write))
		return;
	tlb_store(&w->none[1], 0);
	fence_light();
	if (page != tlb_load(&e->write))
		tlb_store(&w->none[1], ~0ull);
}

void tlb_use(struct cpu *cpu, struct tlb *tlb)
{
	u64 *stack = cpu->jit.stack, page;

	if (tlb == cpu->tlb)
		return;
	/* each privilege has a stack of its own, and comes back to it */
	if (cpu->tlb)
		stack[cpu->tlb - cpu->tlbs] = cpu->jit.window[RSP].tag;
	tlb_forget_windows(cpu);
	cpu->tlb = tlb;
	page = stack[tlb - cpu->tlbs];
	if (page == tlb_load(&tlb_slot(tlb, page)->write))
		tlb_keep_window(cpu, RSP, page, tlb_slot(tlb, page));
}

/* All that another thread does to an entry is to forbid writes, which is harmless should the entry have become another one. */
void tlb_protect(struct cpu *cpu, u8 *hva, u64 len)
{
	struct tlb_state *state = tlb_state(cpu);
	bool found = false, mine = quiet_mine(cpu);

	if (!mine)
		fence_heavy();
	for (unsigned t = 0; t < TLB_FILLED; t++)
		for (unsigned i = 0; i < TLB_SIZE; i++) {
			struct tlb_entry *e = &state->tlb[t].entry[i];
			if (likely((u64)tlb_load(&e->host) - (u64)hva >= len) || tlb_load(&e->write) == tlb_never((u64)i << PAGE_SHIFT))
				continue;
			tlb_store(&e->write, tlb_never((u64)i << PAGE_SHIFT));
			found = true;
		}
	if (!mine)
		fence_heavy();
	for (unsigned i = 0; i < ARRAY_LEN(cpu->jit.window); i++) {
		struct jit_window *w = &cpu->jit.window[i];
		if (tlb_load(&w->none[1]) || tlb_load(&w->tag) + tlb_load(&w->delta) - (u64)hva >= len)
			continue;
		tlb_store(&w->none[1], ~0ull);
		found = true;
	}
	if (found)
		quiet_wait(cpu);
}

/* ---- flushes ---- */

void tlb_flush_all(struct cpu *cpu)
{
	struct tlb_state *state = tlb_state(cpu);

	tlb_forget_windows(cpu);
	cpu->fetch_version[0] = ++cpu->fetch_versions;
	cpu->fetch_version[1] = ++cpu->fetch_versions;
	cpu->fetch_local = state->global_user = false;
	memset(cpu->jit.executed, 0, sizeof cpu->jit.executed);
	for (unsigned t = 0; t < TLB_FILLED; t++)
		for (unsigned i = 0; i < TLB_SIZE; i++)
			entry_clear(&state->tlb[t].entry[i], i);
	for (unsigned i = 0; i < PHYS_SIZE; i++)
		state->phys[i].gpa = ~0ull;
	state->span = (struct bus_span){.first = 1};
	memset(state->large, 0, sizeof state->large);
	memset(state->huge, 0, sizeof state->huge);
	memset(state->space, 0, sizeof state->space);
	state->global = new_number(state);
	state->number = new_number(state);
	state->local_count = 0;
	cpu->statistics[STAT_TLB_FLUSH]++;
}

/* Another address space, known by the number already, or new. */
static void change(struct cpu *cpu, u32 number, u64 version)
{
	struct tlb_state *state = tlb_state(cpu);

	tlb_forget_windows(cpu);
	state->number = number ? number : new_number(state);
	cpu->fetch_version[1] = number ? version : ++cpu->fetch_versions;
	if (cpu->fetch_local)
		cpu->fetch_version[0] = ++cpu->fetch_versions;
	cpu->fetch_local = false;
	for (u32 i = 0; i < state->local_count; i++) {
		u32 slot = state->local[i] & (TLB_SIZE - 1);
		entry_clear(&state->tlb[state->local[i] >> TLB_BITS].entry[slot], slot);
	}
	state->local_count = 0;
	cpu->statistics[STAT_TLB_FLUSH]++;
}

static bool full(struct cpu *cpu)
{
	if (tlb_state(cpu)->local_count < LOCAL_MAX)
		return false;
	tlb_flush_all(cpu);
	return true;
}

void tlb_flush(struct cpu *cpu)
{
	memset(tlb_state(cpu)->space, 0, sizeof tlb_state(cpu)->space);
	if (!full(cpu))
		change(cpu, 0, 0);
}

void tlb_flush_pcid(struct cpu *cpu, u64 pcid)
{
	struct space *s = &tlb_state(cpu)->space[pcid % PCIDS];

	if (pcid != ((cpu->cr4 & CR4_PCIDE) ? cpu->cr3 & CR3_PCID : 0))
		s->number = s->pcid == pcid ? 0 : s->number;
	else if (!full(cpu))
		change(cpu, 0, 0);
}

void tlb_switch(struct cpu *cpu, u64 from, u64 to, bool keep)
{
	struct tlb_state *state = tlb_state(cpu);
	struct space *s = &state->space[to % PCIDS];

	if ((from == to && keep) || full(cpu))
		return;
	if (from != to)
		state->space[from % PCIDS] = (struct space){.number = state->number, .pcid = from, .version = cpu->fetch_version[1]};
	keep &= s->pcid == to;
	u32 number = keep ? s->number : 0;
	if (s->pcid == to)
		s->number = 0; /* it is in use */
	change(cpu, number, s->version);
}

static bool in_large(u64 tag, u64 linear)
{
	return !((tag ^ linear) >> 22); /* 4 MiB: the largest page that is not huge */
}

void tlb_flush_page(struct cpu *cpu, u64 linear)
{
	struct tlb_state *state = tlb_state(cpu);
	u64 slot = linear >> PAGE_SHIFT & (TLB_SIZE - 1), page = linear >> PAGE_SHIFT & EXECUTED_MASK;

	tlb_forget_windows(cpu);
	if (marked(state->huge, HUGE_BITS, linear >> 30)) {
		tlb_flush_all(cpu);
		return;
	}
	bool large = marked(state->large, LARGE_BITS, linear >> 21);
	if (large || (cpu->jit.executed[page >> 6] & BIT(page & 63))) {
		cpu->fetch_version[0] = ++cpu->fetch_versions;
		cpu->fetch_version[1] = ++cpu->fetch_versions;
		if (state->global_user)
			memset(state->space, 0, sizeof state->space);
	}
	if (large) {
		for (unsigned t = 0; t < TLB_FILLED; t++)
			for (unsigned i = 0; i < TLB_SIZE; i++) {
				struct tlb_entry *e = &state->tlb[t].entry[i];
				if (in_large(e->read, linear) || in_large(tlb_load(&e->write), linear) || in_large(e->exec, linear))
					entry_clear(e, i);
			}
		state->global = new_number(state);
		state->number = new_number(state);
		return;
	}
	for (unsigned t = 0; t < TLB_FILLED; t++)
		entry_clear(&state->tlb[t].entry[slot], slot);
	/* of whatever TLB they are */
	const u32 number[2] = {state->number, state->global};
	for (unsigned i = 0; i < 2; i++) {
		struct walk *w = walk_slot(state, linear, number[i]);
		if ((w->tag & ~(3ull << 36)) == walk_tag(linear, 0, number[i]))
			w->tag = 0;
	}
}
