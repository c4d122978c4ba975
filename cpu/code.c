/* SPDX-License-Identifier: MIT */
/* The cache of decoded code: see code.h. */
#include "cpu/code.h"

#include <pthread.h>
#include <stdlib.h>

#include "base/err.h"
#include "cpu/decode.h"
#include "cpu/quiet.h"
#include "cpu/watch.h"
#include "mem/dirty.h"

#define PAGE_BUCKETS 64
#define PAGES_BITS 12
#define BYTES_MAX (256u << 20) /* decoded code kept; beyond it everything is dropped */
#define WRITES_MAX 64          /* by other threads, noted one by one; beyond it everything is dropped */
#define COLD_WRITES 16         /* writes to a page without code after which it is no longer watched */
#define DATA_WRITES 64         /* writes beside the code of a page after which its code is taken for left over */
#define DATA_WRITES_MAX (1u << 20)

/* One page of host memory that holds or held code. */
struct code_page {
	u8 *hva;
	u8 *watch;   /* NULL for ROM without one */
	u64 lines;   /* bit i: bytes 64i..64i+63 hold decoded code */
	u32 blocks;
	u32 cold;    /* writes since there was code */
	u32 beside;  /* writes that hit no code since it was last decided what the page is */
	u32 patience; /* how many of them are borne; doubled whenever its code turned out to be alive */
	struct code_page *next; /* in the hash bucket */
	struct block *tails; /* blocks of other pages that end in this one */
	bool held;       /* under watch on behalf of this CPU */
	struct block *bucket[PAGE_BUCKETS];
};

/* What other threads have written. */
struct writes {
	pthread_mutex_t lock; /* innermost */
	u32 count;            /* above WRITES_MAX: too many */
	struct {
		u8 *hva;
		u32 len;
	} at[WRITES_MAX];
};

struct code_cache {
	struct code_jump jump;
	struct code_page *page[1 << PAGES_BITS];
	struct block *dead;
	struct block *device; /* the block last fetched from where there is no memory */
	struct block *stop;   /* an empty block: goes on where it is */
	size_t bytes;
	struct writes writes;
};

struct code_cache *code_new(void)
{
	struct code_cache *code = err_alloc(sizeof *code);

	pthread_mutex_init(&code->writes.lock, NULL);
	return code;
}

/* No look-up finds it any more. */
static void forget(struct code_cache *code, const struct block *block)
{
	struct jump_entry *jump = &code->jump.entry[block->key][code_hash(block->hva)];

	if (jump->block == block)
		*jump = (struct jump_entry){0};
}

static void free_list(struct block *block)
{
	while (block) {
		struct block *next = block->next;
		free(block);
		block = next;
	}
}

static void bury(struct cpu *cpu)
{
	if (cpu->link_from && !cpu->link_from->hva)
		cpu->link_from = NULL;
	free_list(cpu->code->dead);
	cpu->code->dead = NULL;
}

static void release(struct cpu *cpu, struct code_page *page)
{
	if (!page->held)
		return;
	/* after the store that led here, if one did: nothing is under way */
	bool inside = quiet_leave(cpu);
	dirty_release_code(cpu->bus, page->hva, page->watch);
	quiet_enter(cpu, inside);
	page->held = false;
}

static void drop_pages(struct cpu *cpu)
{
	struct code_cache *code = cpu->code;

	for (unsigned i = 0; i < ARRAY_LEN(code->page); i++)
		while (code->page[i]) {
			struct code_page *page = code->page[i];
			code->page[i] = page->next;
			for (unsigned b = 0; b < PAGE_BUCKETS; b++) {
				for (const struct block *block = page->bucket[b]; block; block = block->next)
					forget(code, block);
				free_list(page->bucket[b]);
			}
			release(cpu, page);
			free(page);
		}
	code->bytes = 0;
}

void code_free(struct cpu *cpu)
{
	struct code_cache *code = cpu->code;

	drop_pages(cpu);
	free_list(code->dead);
	free(code->device);
	free(code->stop);
	pthread_mutex_destroy(&code->writes.lock);
	free(code);
}

void code_flush(struct cpu *cpu)
{
	cpu->link_from = NULL;
	if (cpu->jit.killed)
		cpu->jit.killed(cpu, NULL);
	drop_pages(cpu);
	bury(cpu);
}

void code_unlink(struct cpu *cpu)
{
	struct code_cache *code = cpu->code;

	cpu->link_from = NULL;
	for (unsigned i = 0; i < ARRAY_LEN(code->page); i++)
		for (struct code_page *page = code->page[i]; page; page = page->next)
			for (unsigned b = 0; b < PAGE_BUCKETS; b++)
				for (struct block *block = page->bucket[b]; block; block = block->next)
					block->link[0] = block->link[1] = NULL;
}

static size_t block_size(unsigned count, unsigned bytes)
{
	return sizeof(struct block) + (count + 1) * sizeof(struct insn) + bytes;
}

static u32 page_hash(const u8 *hva)
{
	uintptr_t n = (uintptr_t)hva >> PAGE_SHIFT;
	return (n ^ n >> PAGES_BITS) & ((1 << PAGES_BITS) - 1);
}

static struct code_page *page_find(struct code_cache *code, u8 *hva_page)
{
	struct code_page *page = code->page[page_hash(hva_page)];

	while (page && page->hva != hva_page)
		page = page->next;
	return page;
}

static u32 bucket_of(const u8 *hva)
{
	uintptr_t off = (uintptr_t)hva & PAGE_OFFSET;
	return (off ^ off >> 6) & (PAGE_BUCKETS - 1);
}

/* Lines touched by bytes [off, off + len) as far as they lie in the page. */
static u64 lines_of(unsigned off, unsigned len)
{
	unsigned first = off >> 6, last = MIN(off + len - 1, PAGE_OFFSET) >> 6;

	return (last == 63 ? ~0ull : (1ull << (last + 1)) - 1) & ~((1ull << first) - 1);
}

static u8 *page_of(u8 *hva)
{
	return (u8 *)((uintptr_t)hva & ~(uintptr_t)PAGE_OFFSET);
}

/* ---- leaving blocks ---- */

/* Behind the last instruction of a block that does not end in a transfer. */
static const struct insn *op_block_end(struct cpu *cpu, const struct insn *in)
{
	struct block *next = cpu->block->link[0];

	if (likely(next && !atomic_load_explicit(&cpu->kick, memory_order_relaxed) &&
	           cpu->instructions + next->count <= cpu->stop_at)) {
		cpu->block = next;
		cpu->instructions += next->count;
		return next->insn;
	}
	cpu->rip = insn_rip(cpu, in);
	code_want_link(cpu, 0);
	return NULL;
}

/* What the instructions of a dead block become. */
static const struct insn *op_resync(struct cpu *cpu, const struct insn *in)
{
	cpu->rip = insn_rip(cpu, in);
	cpu->instructions -= in->left;
	return NULL;
}

/* ---- death ---- */

static void untail(struct code_cache *code, struct block *block)
{
	struct code_page *page = page_find(code, page_of(block->hva2));

	for (struct block **p = &page->tails; *p; p = &(*p)->next_tail)
		if (*p == block) {
			*p = block->next_tail;
			return;
		}
}

static void kill(struct cpu *cpu, struct block *block)
{
	struct code_cache *code = cpu->code;
	struct code_page *page = block->page;

	forget(code, block);
	for (struct block **p = &page->bucket[bucket_of(block->hva)]; *p; p = &(*p)->next)
		if (*p == block) {
			*p = block->next;
			break;
		}
	if (block->split)
		untail(code, block);
	for (unsigned i = 0; i <= block->count; i++)
		__atomic_store_n(&block->insn[i].exec, op_resync, __ATOMIC_RELEASE);
	if (block->traces)
		cpu->jit.killed(cpu, block);
	page->blocks--;
	code->bytes -= block_size(block->count, block->bytes);
	block->hva = NULL;
	block->next = code->dead;
	code->dead = block;
}

static void unlink_dead(struct code_page *page)
{
	for (unsigned b = 0; b < PAGE_BUCKETS; b++)
		for (struct block *block = page->bucket[b]; block; block = block->next)
			for (unsigned i = 0; i < 2; i++)
				if (block->link[i] && !block->link[i]->hva)
					block->link[i] = NULL;
}

/* Kill the blocks of a page that contain any of its bytes [off, off + len). */
static bool kill_range(struct cpu *cpu, struct code_page *page, unsigned off, unsigned len)
{
	bool killed = false;

	for (unsigned b = 0; b < PAGE_BUCKETS; b++)
		for (struct block *block = page->bucket[b], *next; block; block = next) {
			next = block->next;
			unsigned start = (uintptr_t)block->hva & PAGE_OFFSET;
			if (start < off + len && off < start + block->bytes) {
				kill(cpu, block);
				killed = true;
			}
		}
	if (!killed)
		return false;
	unlink_dead(page);
	page->lines = 0;
	for (unsigned b = 0; b < PAGE_BUCKETS; b++)
		for (struct block *block = page->bucket[b]; block; block = block->next)
			page->lines |= lines_of((uintptr_t)block->hva & PAGE_OFFSET, block->bytes);
	return true;
}

/* Split blocks that end in this page. */
static void kill_tails(struct cpu *cpu, struct code_page *page, unsigned off)
{
	for (struct block *block = page->tails, *next; block; block = next) {
		next = block->next_tail;
		unsigned start = (uintptr_t)block->hva & PAGE_OFFSET;
		if (off < start + block->bytes - PAGE_SIZE) {
			struct code_page *first = block->page;
			kill(cpu, block);
			unlink_dead(first);
		}
	}
}

/* A page that is only data now, or data with code left over from another use: its writes need no longer be watched. Where the
 * code was alive after all it comes back, and more writes are borne the next time. */
static void settle_page(struct cpu *cpu, struct code_page *page)
{
	if (!page->held)
		return;
	if ((page->blocks || page->tails) && ++page->beside > page->patience) {
		kill_tails(cpu, page, 0);
		kill_range(cpu, page, 0, PAGE_SIZE);
		page->patience = MIN(page->patience * 2, DATA_WRITES_MAX);
		page->cold = COLD_WRITES;
	}
	if (!page->blocks && !page->tails && ++page->cold > COLD_WRITES) {
		release(cpu, page);
		page->cold = page->beside = 0;
	}
}

struct block *code_next(const struct block *block)
{
	u8 *hva = block->hva + block->bytes;
	struct block *next = NULL;

	if (block->page && !block->split && page_of(hva) == block->page->hva)
		next = block->page->bucket[bucket_of(hva)];
	while (next && (next->hva != hva || next->key != block->key))
		next = next->next;
	return next;
}

void code_set_entry(struct cpu *cpu, struct block *block, void *entry)
{
	struct jump_entry *jump = &cpu->code->jump.entry[block->key][code_hash(block->hva)];

	block->entry = entry;
	if (jump->block == block)
		jump->entry = entry;
}

static void note(struct cpu *cpu, u8 *hva, unsigned len)
{
	struct writes *writes = &cpu->code->writes;

	pthread_mutex_lock(&writes->lock);
	if (writes->count < WRITES_MAX) {
		writes->at[writes->count].hva = hva;
		writes->at[writes->count].len = len;
	}
	writes->count = MIN(writes->count + 1, WRITES_MAX + 1u);
	pthread_mutex_unlock(&writes->lock);
	cpu_request(cpu, CPU_REQ_CODE);
}

void code_take_writes(struct cpu *cpu)
{
	struct writes *writes = &cpu->code->writes, taken;

	pthread_mutex_lock(&writes->lock);
	taken.count = writes->count;
	memcpy(taken.at, writes->at, MIN(taken.count, WRITES_MAX) * sizeof taken.at[0]);
	writes->count = 0;
	pthread_mutex_unlock(&writes->lock);
	if (taken.count > WRITES_MAX) {
		code_flush(cpu);
		return;
	}
	for (u32 i = 0; i < taken.count; i++)
		code_written(cpu, taken.at[i].hva, taken.at[i].len);
}

void code_written(struct cpu *cpu, u8 *hva, unsigned len)
{
	if (unlikely(!quiet_mine(cpu))) {
		note(cpu, hva, len);
		return;
	}
	struct code_cache *code = cpu->code;
	struct code_page *page = page_find(code, page_of(hva));
	unsigned off = (uintptr_t)hva & PAGE_OFFSET;

	if (!page)
		return;
	if (page->tails && off < 15) {
		kill_tails(cpu, page, off);
		cpu->statistics[STAT_SMC]++;
	}
	if ((page->lines & lines_of(off, len)) && kill_range(cpu, page, off, len)) {
		cpu->statistics[STAT_SMC]++;
		page->cold = 0;
	}
	settle_page(cpu, page);
}

/* ---- birth ---- */

static struct code_page *page_get(struct cpu *cpu, u8 *hva_page, u64 linear)
{
	struct code_cache *code = cpu->code;
	struct code_page *page = page_find(code, hva_page);

	if (!page) {
		struct paging_page walk;
		struct bus_page found;
		paging_walk(cpu, linear, ACCESS_EXEC, cpu->cpl == 3 ? TLB_USER : TLB_SUPER, &walk);
		page = err_alloc(sizeof *page);
		page->hva = hva_page;
		page->patience = DATA_WRITES;
		if (bus_page(cpu->bus, walk.gpa & cpu->bus->a20_mask, &found))
			page->watch = found.watch;
		page->next = code->page[page_hash(hva_page)];
		code->page[page_hash(hva_page)] = page;
	}
	if (page->watch && !page->held) {
		bool inside = quiet_leave(cpu);
		dirty_hold_code(cpu->bus, hva_page, page->watch);
		quiet_enter(cpu, inside);
		page->held = true;
	}
	return page;
}

/* Number the instructions, put the end behind them, and what they were decoded from. */
static struct block *block_new(const struct insn *insns, unsigned count, const u8 *bytes, unsigned len, unsigned end_off,
                               u8 key)
{
	struct block *block = err_alloc(block_size(count, len));

	block->count = count;
	block->bytes = len;
	memcpy(block->insn, insns, count * sizeof *insns);
	memcpy((u8 *)block_code(block), bytes, len);
	for (unsigned i = 0; i < count; i++)
		block->insn[i].left = count - i;
	block->insn[count].exec = op_block_end;
	block->insn[count].off = end_off;
	block->insn[count].left = 0;
	block->key = key;
	return block;
}

/* An instruction whose bytes are fetched one by one. */
struct gathered {
	u8 bytes[15];
	unsigned len;      /* how many were looked at: more than the instruction has where it is none */
	struct insn in;
	bool in_memory;    /* all of it */
	u8 *second;        /* where its bytes in the next page lie, if it has any, and their linear address */
	u64 second_linear;
};

static void gather(struct cpu *cpu, u64 linear, struct gathered *g)
{
	unsigned off = linear & PAGE_OFFSET;
	enum decode_result result;
	bool ends;

	*g = (struct gathered){.in_memory = true};
	do {
		u64 gpa, at = cpu->code_mode == CODE64 ? linear + g->len : (u32)(linear + g->len);
		u8 *p = access_fetch(cpu, at, &gpa);
		if (off + g->len == PAGE_SIZE) {
			g->second = p;
			g->second_linear = at;
		}
		if (!p) {
			g->in_memory = false;
			bool inside = quiet_leave(cpu);
			g->bytes[g->len] = bus_read(cpu->bus, gpa & cpu->bus->a20_mask, 1);
			quiet_enter(cpu, inside);
		} else {
			g->bytes[g->len] = guest_load8(cpu, p);
		}
		g->len++;
		result = decode_insn(cpu, &g->in, g->bytes, g->len, off, cpu->code_mode, &ends);
	} while (result == DECODE_MORE);
	cpu->statistics[STAT_DECODED]++;
}

/* An instruction that runs into the next page, or lies where there is no memory. */
static struct block *find_odd(struct cpu *cpu, u64 linear, u8 *hva)
{
	struct code_cache *code = cpu->code;
	unsigned off = linear & PAGE_OFFSET;
	struct code_page *page = NULL;
	struct gathered g;

	gather(cpu, linear, &g);
	while (hva && g.in_memory && g.second && (!page || page->hva != g.second)) {
		/* the second page is under watch only now: look again */
		page = page_get(cpu, g.second, g.second_linear);
		gather(cpu, linear, &g);
	}
	struct block *block = block_new(&g.in, 1, g.bytes, g.len, off + g.in.len, cpu->block_key);
	if (!hva || !g.in_memory) {
		free(code->device);
		code->device = block;
		return block;
	}
	block->hva = hva;
	if (off + g.len > PAGE_SIZE) {
		block->split = block->alone = true;
		block->hva2 = g.second;
		block->next_tail = page->tails;
		page->tails = block;
	}
	return block;
}

static void insert(struct cpu *cpu, struct block *block, struct code_page *page)
{
	struct code_cache *code = cpu->code;
	unsigned off = (uintptr_t)block->hva & PAGE_OFFSET;

	block->page = page;
	block->next = page->bucket[bucket_of(block->hva)];
	page->bucket[bucket_of(block->hva)] = block;
	page->lines |= lines_of(off, block->bytes);
	page->blocks++;
	code->bytes += block_size(block->count, block->bytes);
	cpu->statistics[STAT_BLOCKS]++;
}

static struct block *build(struct cpu *cpu, u64 linear, u8 *hva)
{
	struct insn insns[BLOCK_MAX];
	u8 bytes[BLOCK_MAX * 15];
	const unsigned first = linear & PAGE_OFFSET;
	unsigned off = first, count = 0;
	bool ends = false;
	u8 *page_hva = page_of(hva);
	/* Watch first, copy then: a write in between is not missed. */
	struct code_page *page = page_get(cpu, page_hva, linear);

	const unsigned most = cpu->jit.block_max ? MIN(cpu->jit.block_max, BLOCK_MAX) : BLOCK_MAX;

	while (count < most && off < PAGE_SIZE && !ends && !(count && watch_offset(cpu, off))) {
		u8 *copy = bytes + (off - first);
		unsigned len = MIN(15u, PAGE_SIZE - off);
		guest_move(cpu, copy, page_hva + off, len);
		enum decode_result result = decode_insn(cpu, &insns[count], copy, len, off, cpu->code_mode, &ends);
		if (result == DECODE_MORE)
			break;
		/* where there is no instruction, any of the bytes looked at may make one */
		off += result == DECODE_BAD ? len : insns[count].len;
		count++;
	}
	struct block *block;
	if (count) {
		cpu->statistics[STAT_DECODED] += count;
		block = block_new(insns, count, bytes, off - first, off, cpu->block_key);
		block->hva = hva;
	} else {
		block = find_odd(cpu, linear, hva);
		if (block == cpu->code->device)
			return block;
	}
	block->alone |= watch_offset(cpu, linear & PAGE_OFFSET);
	insert(cpu, block, page);
	return block;
}

/* A split block is good only while the second page is still mapped there and may be executed. */
static bool split_valid(struct cpu *cpu, struct block *block, u64 linear)
{
	u64 gpa, next = (linear & ~(u64)PAGE_OFFSET) + PAGE_SIZE;

	return access_fetch(cpu, cpu->code_mode == CODE64 ? next : (u32)next, &gpa) == block->hva2;
}

/* Outside 64-bit mode no byte may lie beyond the limit of CS. */
static void check_limit(struct cpu *cpu, const struct block *block)
{
	if (cpu->rip + block->insn[0].len - 1 > cpu->seg[SEG_CS].limit)
		exception_gp(cpu, 0);
}

/* A watched address: the engine is to leave before it. */
static struct block *stop_here(struct cpu *cpu, u64 linear)
{
	struct code_cache *code = cpu->code;

	if (!code->stop)
		code->stop = err_alloc(block_size(0, 0));
	code->stop->key = cpu->block_key;
	code->stop->insn[0] = (struct insn){.exec = op_block_end, .off = linear & PAGE_OFFSET};
	cpu->gpr[GPR_PAGE] = cpu->rip - (linear & PAGE_OFFSET);
	cpu->link_from = NULL;
	return code->stop;
}

struct block *code_find(struct cpu *cpu)
{
	struct code_cache *code = cpu->code;
	u64 gpa, linear;
	u8 *hva;
	struct block *block;

	cpu->cur = NULL;
	if (unlikely(code->dead))
		bury(cpu);
	if (unlikely(code->bytes > BYTES_MAX))
		code_flush(cpu);
	if (cpu->code_mode != CODE64 && cpu->rip > cpu->seg[SEG_CS].limit)
		exception_gp(cpu, 0);
	linear = code_linear(cpu);
	if (watch_seen(cpu, WATCH_ADDRESS, linear))
		return stop_here(cpu, linear);
	hva = access_fetch(cpu, linear, &gpa);
	cpu->gpr[GPR_PAGE] = cpu->rip - (linear & PAGE_OFFSET);
	if (unlikely(!hva)) {
		block = find_odd(cpu, linear, NULL);
	} else {
		struct code_page *page = page_find(code, page_of(hva));
		block = page ? page->bucket[bucket_of(hva)] : NULL;
		while (block && (block->hva != hva || block->key != cpu->block_key))
			block = block->next;
		if (block && block->split && !split_valid(cpu, block, linear)) {
			kill(cpu, block);
			unlink_dead(page);
			block = NULL;
		}
		if (!block)
			block = build(cpu, linear, hva);
	}
	if (cpu->code_mode != CODE64)
		check_limit(cpu, block);
	if (cpu->link_from) { /* the block that led here wants to come directly next time */
		if (cpu->link_from->page == block->page && cpu->link_from->hva && block->page && !block->alone)
			cpu->link_from->link[cpu->link_which] = block;
		cpu->link_from = NULL;
	}
	if (hva && !block->alone && block->page)
		code->jump.entry[cpu->block_key][code_hash(hva)] = (struct jump_entry){hva, block, block->entry, NULL};
	return block;
}
