/* SPDX-License-Identifier: MIT */
/* Memory for host code, and what becomes of it: binding of exits, death of blocks, room for new ones. When a region is full the
 * next one of the ring is taken, and what was translated into it longest ago is forgotten: a block that is still in use is
 * translated again the next time it is come to.
 * The code is mapped twice, once to be written and once to be executed, so that no page is ever both. */
#define _GNU_SOURCE
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "jit/jit.h"
#include "jit/private.h"

#define HUGE (2u << 20) /* large host pages: translated code is much, and spread */

static void enter_region(struct jit *jit, unsigned n)
{
	const struct code_region *r = &jit->region[n];

	jit->current = n;
	jit->emit = (struct emit){.p = r->hot, .end = r->hot_end, .exec = jit->exec};
	jit->cold = (struct emit){.p = r->cold, .end = r->cold_end, .exec = jit->exec};
}

/* The stubs come first, then the hot parts of all regions, then the cold ones. */
static void divide(struct jit *jit)
{
	size_t half = jit->size / 2, each = half / REGIONS;

	for (unsigned i = 0; i < REGIONS; i++) {
		struct code_region *r = &jit->region[i];
		r->hot = jit->code + i * each;
		r->cold = r->hot + half;
		r->hot_end = r->hot + each;
		r->cold_end = r->cold + each;
	}
	if (jit->stubs.end)
		jit->region[0].hot = jit->stubs.end;
}

/* The file at an address that large pages can be used for. */
static u8 *map_aligned(int fd, size_t size, int prot)
{
	u8 *room = mmap(NULL, size + HUGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0), *at;

	if (room == MAP_FAILED)
		return MAP_FAILED;
	at = (u8 *)(((uintptr_t)room + HUGE - 1) & ~(uintptr_t)(HUGE - 1));
	if (at > room)
		munmap(room, at - room);
	if (room + HUGE > at)
		munmap(at + size, room + HUGE - at);
	if (mmap(at, size, prot, MAP_SHARED | MAP_FIXED, fd, 0) == MAP_FAILED)
		return MAP_FAILED;
	madvise(at, size, MADV_HUGEPAGE); /* a wish */
	return at;
}

struct jit *cache_new(struct err *err)
{
	struct jit *jit = err_alloc_apart(sizeof *jit);
	const size_t size = (jit_options.cache + PAGE_OFFSET) & ~(u64)PAGE_OFFSET;
	int fd = memfd_create("translations", MFD_CLOEXEC);
	void *code = MAP_FAILED, *run = MAP_FAILED;

	if (fd >= 0 && !ftruncate(fd, size)) {
		code = map_aligned(fd, size, PROT_READ | PROT_WRITE);
		run = map_aligned(fd, size, PROT_READ | PROT_EXEC);
	}
	int error = errno;
	if (fd >= 0)
		close(fd);
	if (code == MAP_FAILED || run == MAP_FAILED) {
		if (code != MAP_FAILED)
			munmap(code, size);
		free(jit);
		err_set(err, EXIT_HOST, "no memory for translated code: %s", strerror(error));
		return NULL;
	}
	jit->code = code;
	jit->exec = (u8 *)run - (u8 *)code;
	jit->size = size;
	jit->fpu = fpu_new();
	jit->scratch = err_alloc(sizeof *jit->scratch);
	divide(jit);
	enter_region(jit, 0);
	stubs_build(jit);
	divide(jit);
	enter_region(jit, 0);
	return jit;
}

static void free_all(struct cpu *cpu, struct jit *jit)
{
	for (unsigned i = 0; i < REGIONS; i++) {
		struct code_region *r = &jit->region[i];
		while (r->all) {
			struct translation *t = r->all;
			r->all = t->next;
			if (t->block) {
				t->block->translation = NULL;
				code_set_entry(cpu, t->block, NULL);
				t->block->heat = 0;
				for (unsigned k = 0; k < t->segments; k++)
					t->segment[k].block->traces = NULL;
			}
			free(t);
		}
		r->hot_used = r->cold_used = 0;
	}
}

void cache_free(struct cpu *cpu)
{
	struct jit *jit = cpu->jit.state;

	free_all(cpu, jit);
	free(jit->fpu);
	free(jit->scratch);
	if (jit->perfmap)
		fclose(jit->perfmap);
	free(jit->check);
	munmap(jit->code + jit->exec, jit->size);
	munmap(jit->code, jit->size);
	free(jit);
}

void cache_flush(struct cpu *cpu)
{
	struct jit *jit = cpu->jit.state;

	free_all(cpu, jit);
	enter_region(jit, 0);
	jit->full = false;
	memset(jit->space, 0, sizeof jit->space);
	jit->flushes++;
}

void cache_include(struct translation *t, struct block *block)
{
	struct segment *s = &t->segment[0], *first = block->traces;

	while (s->block)
		s++;
	*s = (struct segment){.block = block, .in = t, .next = first};
	if (first)
		first->link = &s->next;
	block->traces = s;
}

static void exclude(struct segment *s)
{
	if (s->next)
		s->next->link = s->link;
	if (s->link)
		*s->link = s->next;
	else
		s->block->traces = s->next;
}

static void unbind(struct jit *jit, struct exit_record *exit)
{
	emit_patch(&jit->emit, exit->jump, exit->stub);
	if (exit->guard) {
		memcpy(exit->guard, &(u64){EXIT_NEVER}, 8);
		emit_patch(&jit->emit, exit->miss, exit->stub);
	}
	*exit->link = exit->next;
	if (exit->next)
		exit->next->link = exit->link;
	exit->to = NULL;
}

void cache_bind(struct cpu *cpu, struct exit_record *exit, struct translation *to)
{
	struct jit *jit = cpu->jit.state;

	if (exit->to)
		unbind(jit, exit);
	if (exit->guard) {
		/* what an address leads to is looked at when its page is flushed: see tlb_flush_page() */
		cache_space(cpu);
		u64 key = (cpu->rip - exit->off) ^ cpu->jit.space, page = code_linear(cpu) >> PAGE_SHIFT & EXECUTED_MASK;
		cpu->jit.executed[page >> 6] |= BIT(page & 63);
		memcpy(exit->guard, &key, 8);
		emit_patch(&jit->emit, exit->miss, exit->other);
	}
	emit_patch(&jit->emit, exit->jump, exit->eflags ? to->entry_eflags : to->entry_saved);
	exit->to = to;
	exit->patience = EXIT_PATIENCE;
	exit->next = to->incoming;
	exit->link = &to->incoming;
	if (exit->next)
		exit->next->link = &exit->next;
	to->incoming = exit;
	jit->bound++;
}

/* The numbers are used up: forget whatever was found under one. */
static void begin_spaces(struct cpu *cpu, struct jit *jit)
{
	memset(cpu->jit.targets, 0, sizeof *cpu->jit.targets << TARGET_BITS);
	memset(jit->space, 0, sizeof jit->space);
	jit->spaces = 0;
	for (unsigned i = 0; i < REGIONS; i++)
		for (struct translation *t = jit->region[i].all; t; t = t->next)
			for (unsigned k = 0; k < t->exits; k++)
				if (t->exit[k].to && t->exit[k].guard)
					unbind(jit, &t->exit[k]);
}

/* Any of SPACE_WAYS places may hold it; else where the oldest is. Two spaces that alternate, as a program and its kernel do, must
 * not drive each other out: all that is bound to a space is lost with its number. */
static struct jit_space *find_space(struct jit *jit, u64 version, u64 base, u8 key)
{
	u64 hash = version ^ base >> 4 ^ base >> 10 ^ base >> 16 ^ key;
	struct jit_space *set = &jit->space[hash % SPACE_SETS * SPACE_WAYS], *oldest = set;

	for (struct jit_space *s = set; s < set + SPACE_WAYS; s++) {
		if (s->number && s->version == version && s->base == base && s->key == key)
			return s;
		if (s->number < oldest->number)
			oldest = s;
	}
	return oldest;
}

void cache_space(struct cpu *cpu)
{
	struct jit *jit = cpu->jit.state;
	bool user = cpu->cpl == 3, legacy = cpu->code_mode != CODE64;
	u64 version = cpu->fetch_version[user];
	/* outside 64-bit code a RIP leads elsewhere with every base of CS */
	u64 base = legacy ? cpu->seg[SEG_CS].base : 0;
	u8 key = (legacy ? cpu->block_key : CODE64) | user << 7;
	struct jit_space *s = find_space(jit, version, base, key);

	if (!s->number || s->version != version || s->base != base || s->key != key) {
		if (jit->spaces == 0x7fff) /* half of 16 bits: the key of no canonical RIP equals that of one that is not */
			begin_spaces(cpu, jit);
		*s = (struct jit_space){.version = version, .base = base, .key = key, .number = ++jit->spaces};
	}
	cpu->jit.space = s->number << 48;
}

void cache_target(struct cpu *cpu, const struct block *block)
{
	u32 rip = cpu->rip;
	u64 page = code_linear(cpu) >> PAGE_SHIFT & EXECUTED_MASK;
	struct jit_target *target = &cpu->jit.targets[(rip >> TARGET_BITS ^ rip) & ((1 << TARGET_BITS) - 1)];

	*target = (struct jit_target){.key = rip ^ cpu->jit.space, .entry = block->entry, .page = cpu->gpr[GPR_PAGE]};
	cpu->jit.executed[page >> 6] |= BIT(page & 63);
}

static void kill(struct cpu *cpu, struct jit *jit, struct translation *t)
{
	jit->kills++;
	while (t->incoming)
		unbind(jit, t->incoming);
	for (unsigned i = 0; i < t->exits; i++)
		if (t->exit[i].to)
			unbind(jit, &t->exit[i]);
	/* those that know its address are sent away */
	struct emit patch = {.p = t->entry_saved, .end = t->entry_saved + 5, .exec = jit->exec};
	emit_jmp_to(&patch, t->dead);
	if (t->loop) {
		patch.p = t->loop;
		emit_jmp_to(&patch, t->dead);
	}
	for (unsigned i = 0; i < t->segments; i++)
		exclude(&t->segment[i]);
	code_set_entry(cpu, t->block, NULL);
	t->block->translation = NULL;
	t->block = NULL;
}

void cache_killed(struct cpu *cpu, struct block *block)
{
	struct jit *jit = cpu->jit.state;

	cpu->jit.leave = 1;
	if (!block) {
		jit->full = true; /* flushed between blocks */
		for (unsigned i = 0; i < REGIONS; i++)
			for (struct translation *t = jit->region[i].all; t; t = t->next)
				t->block = NULL;
		return;
	}
	while (block->traces)
		kill(cpu, jit, ((struct segment *)block->traces)->in);
}

void cache_keep(struct jit *jit, struct translation *t)
{
	struct code_region *r = &jit->region[jit->current];

	t->next = r->all;
	r->all = t;
	jit->translations++;
}

static void unmap_written(u8 *from, u8 *to)
{
	u8 *first = (u8 *)(((uintptr_t)from + PAGE_OFFSET) & ~(uintptr_t)PAGE_OFFSET);

	to -= (uintptr_t)to & PAGE_OFFSET;
	if (first < to)
		madvise(first, to - first, MADV_DONTNEED);
}

void cache_advance(struct cpu *cpu)
{
	struct jit *jit = cpu->jit.state;
	struct code_region *r = &jit->region[jit->current];

	r->hot_used = jit->emit.p - r->hot;
	r->cold_used = jit->cold.p - r->cold;
	/* it is hardly written any more: the pages stay, where they run, but are no longer mapped twice */
	unmap_written(r->hot, r->hot_end);
	unmap_written(r->cold, r->cold_end);
	enter_region(jit, (jit->current + 1) % REGIONS);
	r = &jit->region[jit->current];
	if (r->all)
		jit->evictions++;
	while (r->all) {
		struct translation *t = r->all;
		struct block *block = t->block;
		r->all = t->next;
		if (block) {
			kill(cpu, jit, t);
			block->heat = 0; /* as cold as any */
		}
		free(t);
	}
	r->hot_used = r->cold_used = 0;
	/* nobody may come to what was there */
	const u8 *first = emit_runs(&jit->emit, r->hot), *end = emit_runs(&jit->emit, r->hot_end);
	for (unsigned i = 0; i < 1 << TARGET_BITS; i++) {
		const u8 *entry = cpu->jit.targets[i].entry;
		if (entry >= first && entry < end)
			cpu->jit.targets[i] = (struct jit_target){0};
	}
}

void cache_drop(struct cpu *cpu, struct block *block)
{
	kill(cpu, cpu->jit.state, block->translation);
}
