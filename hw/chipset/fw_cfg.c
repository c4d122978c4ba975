/* SPDX-License-Identifier: MIT */
/* The firmware configuration device of QEMU's machines: numbered items and named files that firmware and guests read through a
 * pair of ports or by DMA. Source: QEMU's specification of fw_cfg (docs/specs/fw_cfg).
 * Ports: 510h (16 bits) selects an item, 511h reads its next byte (0 past the end); 514h-51bh take the big-endian address of a DMA
 * command and read as a signature.
 * Not implemented: items that the guest can write (a DMA write fails).
 *
 * A command is a structure in guest memory: control, length, address. The guest chooses all three, and where the structure lies:
 * transfers go in bounded chunks through bus_dma_*, which reaches nothing but memory, and stop at the first that fails.
 * A transfer of up to PIECE is done when the write to the port is. A longer one would keep the machine lock for seconds: it goes on
 * by a timer, piece by piece, and the command's control word keeps its value until the end, as the specification lets it: drivers
 * read the word until it is 0 or an error. Meanwhile every other command fails.
 * Invariant: files are sorted by name, and file n has key FILE_FIRST + n. */
#include "hw/chipset/fw_cfg.h"

#include <stdlib.h>

enum { FILE_FIRST = 0x20, FILES_MAX = 256, ITEMS_MAX = 32 };
enum { ID_PORTS = 1, ID_DMA = 2 };
enum dma { DMA_ERROR = 1, DMA_READ = 2, DMA_SKIP = 4, DMA_SELECT = 8, DMA_WRITE = 16 };
enum { PORT_BASE = 0x510, DMA_BASE = 0x514, DIRECTORY_ENTRY = 64, CHUNK = 4096 };
enum { PIECE = 1 << 20, PIECE_NS = 200000 }; /* about 5 GB/s of guest time */
#define SIGNATURE 0x51454d5520434647ull /* "QEMU CFG" */

struct fw_cfg_state {
	u64 dma;      /* address of the command as far as it has been written */
	u32 offset;   /* in the selected item */
	u16 selected;
	u16 pad;
	u64 command;  /* the transfer that is under way: where its command is, */
	u64 gpa;      /* where the next byte goes, */
	u32 left;     /* how many bytes follow; 0: none is under way */
	u32 pad2;
};

struct item {
	u16 key;
	char name[FW_CFG_NAME_MAX + 1];
	u8 *data;
	u32 len;
	fw_cfg_make *make; /* data is NULL until the guest reads it */
	void *opaque;
};

struct fw_cfg {
	struct device device;
	struct fw_cfg_state state;
	struct region ports, dma;
	struct timer timer; /* armed while state.left */
	struct item item[ITEMS_MAX], file[FILES_MAX], directory;
	unsigned items, files;
	void (*before_select)(void *opaque, const char *name);
	void *before_opaque;
};

TRACE_EVENT(ev_select, "fw_cfg.select");
TRACE_EVENT(ev_dma, "fw_cfg.dma");

/* ---- contents ---- */
static void set_data(struct item *item, const void *data, size_t len)
{
	u8 *copy = err_alloc(len + 1);

	if (len)
		memcpy(copy, data, len);
	free(item->data);
	item->data = copy;
	item->len = len;
}

static void big32(u8 *to, u32 value)
{
	store32(to, __builtin_bswap32(value));
}

static void make_directory(struct fw_cfg *f)
{
	size_t len = 4 + (size_t)f->files * DIRECTORY_ENTRY;
	u8 *data = err_alloc(len);

	big32(data, f->files);
	for (unsigned i = 0; i < f->files; i++) {
		u8 *entry = data + 4 + (size_t)i * DIRECTORY_ENTRY;

		f->file[i].key = FILE_FIRST + i;
		big32(entry, f->file[i].len);
		store16(entry + 4, __builtin_bswap16(f->file[i].key));
		memcpy(entry + 8, f->file[i].name, sizeof f->file[i].name);
	}
	set_data(&f->directory, data, len);
	free(data);
}

static struct item *make_item(struct fw_cfg *f, u32 key)
{
	unsigned i = 0;

	while (i < f->items && f->item[i].key != key)
		i++;
	if (i == ITEMS_MAX)
		bug("too many fw_cfg items");
	if (i == f->items)
		f->item[f->items++].key = key;
	return &f->item[i];
}

void fw_cfg_item(struct device *device, enum fw_cfg_key key, const void *data, size_t len)
{
	struct item *item = make_item((struct fw_cfg *)device, key);

	item->make = NULL;
	set_data(item, data, len);
}

void fw_cfg_number(struct device *device, enum fw_cfg_key key, u64 value, unsigned bytes)
{
	u8 little[8];

	store64(little, value);
	fw_cfg_item(device, key, little, bytes);
}

static void let_go(struct item *item)
{
	if (!item || !item->make)
		return;
	free(item->data);
	item->data = NULL;
	item->len = 0;
}

void fw_cfg_item_on_demand(struct device *device, u32 key, fw_cfg_make *make, void *opaque)
{
	struct item *item = make_item((struct fw_cfg *)device, key);

	item->make = make;
	item->opaque = opaque;
	let_go(item);
}

bool fw_cfg_file(struct device *device, const char *name, const void *data, size_t len, struct err *err)
{
	struct fw_cfg *f = (struct fw_cfg *)device;
	unsigned at = 0;

	if (!*name || strlen(name) > FW_CFG_NAME_MAX)
		return err_set(err, EXIT_USAGE, "fw_cfg name '%s': 1 to %d characters", name, FW_CFG_NAME_MAX);
	if (len > 0x7fffffff)
		return err_set(err, EXIT_USAGE, "fw_cfg file %s: larger than 2 GiB", name);
	while (at < f->files && strcmp(f->file[at].name, name) < 0)
		at++;
	if (at == f->files || strcmp(f->file[at].name, name)) {
		if (f->files == FILES_MAX)
			return err_set(err, EXIT_USAGE, "fw_cfg file %s: there are %d already", name, FILES_MAX);
		memmove(&f->file[at + 1], &f->file[at], (f->files - at) * sizeof f->file[0]);
		f->file[at] = (struct item){0};
		strcpy(f->file[at].name, name);
		f->files++;
	}
	set_data(&f->file[at], data, len);
	make_directory(f);
	return true;
}

const u8 *fw_cfg_find(struct device *device, const char *name, size_t *len)
{
	const struct fw_cfg *f = (struct fw_cfg *)device;

	for (unsigned i = 0; i < f->files; i++)
		if (!strcmp(f->file[i].name, name)) {
			*len = f->file[i].len;
			return f->file[i].data;
		}
	return NULL;
}

void fw_cfg_before_select(struct device *device, void (*fn)(void *opaque, const char *name), void *opaque)
{
	struct fw_cfg *f = (struct fw_cfg *)device;

	f->before_select = fn;
	f->before_opaque = opaque;
}

static struct item *find(struct fw_cfg *f, u16 key)
{
	if (key == FW_CFG_DIRECTORY)
		return &f->directory;
	if (key >= FILE_FIRST && key - FILE_FIRST < (int)f->files)
		return &f->file[key - FILE_FIRST];
	for (unsigned i = 0; i < f->items; i++)
		if (f->item[i].key == key)
			return &f->item[i];
	return NULL;
}

/* The selected item with its contents, or NULL. */
static const struct item *contents(struct fw_cfg *f)
{
	struct item *item = find(f, f->state.selected);

	if (item && item->make && !item->data) {
		size_t len = 0;
		item->data = item->make(item->opaque, item->key, &len);
		item->len = MIN(len, (size_t)UINT32_MAX);
		if (!item->data) /* and do not ask again */
			set_data(item, NULL, 0);
	}
	return item;
}

/* ---- the ports ---- */
static void select_item(struct fw_cfg *f, u16 key)
{
	TRACE(ev_select, "%04x", key);
	if (key != f->state.selected)
		let_go(find(f, f->state.selected));
	f->state.selected = key;
	f->state.offset = 0;
	const struct item *item = find(f, key);
	if (item && item->name[0] && f->before_select)
		f->before_select(f->before_opaque, item->name);
}

static u64 ports_read(void *opaque, u64 offset, unsigned size)
{
	struct fw_cfg *f = opaque;
	const struct item *item = contents(f);

	if (size != 1)
		return mask_bytes(size);
	(void)offset; /* both ports read data, as QEMU's do */
	return item && f->state.offset < item->len ? item->data[f->state.offset++] : 0;
}

static void ports_write(void *opaque, u64 offset, u64 value, unsigned size)
{
	if (offset == 0 && size == 2)
		select_item(opaque, value);
}
static const struct region_ops ports_ops = {.read = ports_read, .write = ports_write, .max = 2};

/* ---- DMA ---- */

/* Data to the guest: what the item has left, then zeros. */
static bool transfer_piece(struct fw_cfg *f, u64 gpa, u32 len)
{
	static const u8 zeros[CHUNK];
	const struct item *item = contents(f);

	while (len) {
		u32 left = item && f->state.offset < item->len ? item->len - f->state.offset : 0;
		u32 n = MIN(len, left ? MIN(left, (u32)CHUNK) : (u32)CHUNK);

		if (!bus_dma_write(f->device.machine->bus, gpa, left ? item->data + f->state.offset : zeros, n))
			return false;
		if (left)
			f->state.offset += n;
		gpa += n;
		len -= n;
	}
	return true;
}

static void answer(struct fw_cfg *f, u64 at, bool ok)
{
	u32 result = 0;

	if (!ok)
		big32((u8 *)&result, DMA_ERROR);
	bus_dma_write(f->device.machine->bus, at, &result, sizeof result);
}

/* The transfer goes on; its last piece, or the first that fails, answers the command. */
static void go_on(void *opaque)
{
	struct fw_cfg *f = opaque;
	struct fw_cfg_state *s = &f->state;
	u32 n = MIN(s->left, (u32)PIECE);
	bool ok = transfer_piece(f, s->gpa, n);

	s->gpa += n;
	s->left = ok ? s->left - n : 0;
	if (s->left)
		timer_arm(&f->timer, clock_now(f->device.machine->clock) + PIECE_NS);
	else
		answer(f, s->command, ok);
}

/* All but what go_on() does. */
static bool command(struct fw_cfg *f, u32 control, u32 len, u64 gpa)
{
	const struct item *item;

	if (control & DMA_SELECT)
		select_item(f, control >> 16);
	if (control & DMA_READ)
		return len > PIECE || transfer_piece(f, gpa, len);
	if (control & DMA_WRITE)
		return false;
	if (control & DMA_SKIP) {
		item = contents(f);
		f->state.offset = item ? MIN((u64)f->state.offset + len, (u64)item->len) : 0;
	}
	return true;
}

static void run(struct fw_cfg *f, u64 at)
{
	struct bus *bus = f->device.machine->bus;
	u8 raw[16];

	if (!bus_dma_read(bus, at, raw, sizeof raw)) {
		TRACE(ev_dma, "no command at %llx", (unsigned long long)at);
		return;
	}
	u32 control = __builtin_bswap32(load32(raw)), len = __builtin_bswap32(load32(raw + 4));
	u64 gpa = __builtin_bswap64(load64(raw + 8));
	TRACE(ev_dma, "control %08x length %x address %llx", control, len, (unsigned long long)gpa);
	bool ok = !f->state.left && command(f, control, len, gpa);
	if (ok && control & DMA_READ && len > PIECE) {
		f->state.command = at;
		f->state.gpa = gpa;
		f->state.left = len;
		go_on(f);
	} else {
		answer(f, at, ok);
	}
}

static u64 dma_read(void *opaque, u64 offset, unsigned size)
{
	(void)opaque;
	/* big-endian: the first byte is the highest */
	u64 value = 0;
	for (unsigned i = 0; i < size; i++)
		value |= (SIGNATURE >> (7 - ((offset + i) & 7)) * 8 & 0xff) << i * 8;
	return value;
}

static void dma_write(void *opaque, u64 offset, u64 value, unsigned size)
{
	struct fw_cfg *f = opaque;
	u64 at;

	if (size != 4 || offset & 3)
		return;
	if (offset == 0) {
		f->state.dma = (u64)__builtin_bswap32(value) << 32;
		return;
	}
	at = f->state.dma | __builtin_bswap32(value);
	f->state.dma = 0;
	run(f, at);
}
static const struct region_ops dma_ops = {.read = dma_read, .write = dma_write, .max = 4};

/* ---- the device ---- */
static bool fw_cfg_init(struct device *device, struct err *err)
{
	struct fw_cfg *f = (struct fw_cfg *)device;
	u8 id[4];

	(void)err;
	store32(id, ID_PORTS | ID_DMA);
	fw_cfg_item(device, FW_CFG_SIGNATURE, "QEMU", 4);
	fw_cfg_item(device, FW_CFG_ID, id, sizeof id);
	make_directory(f);
	timer_init(&f->timer, device->machine->clock, go_on, f);
	f->ports = (struct region){.name = "fw_cfg", .size = 2, .ops = &ports_ops, .opaque = f};
	f->dma = (struct region){.name = "fw_cfg.dma", .size = 8, .ops = &dma_ops, .opaque = f};
	bus_map_io(device->machine->bus, &f->ports, PORT_BASE);
	bus_map_io(device->machine->bus, &f->dma, DMA_BASE);
	return true;
}

static void fw_cfg_reset(struct device *device)
{
	struct fw_cfg *f = (struct fw_cfg *)device;

	let_go(find(f, f->state.selected));
	f->state = (struct fw_cfg_state){0};
	timer_cancel(&f->timer);
}

static void fw_cfg_loaded(struct device *device)
{
	struct fw_cfg *f = (struct fw_cfg *)device;

	timer_arm(&f->timer, f->state.left ? clock_now(device->machine->clock) + PIECE_NS : CLOCK_NEVER);
}

static void fw_cfg_destroy(struct device *device)
{
	struct fw_cfg *f = (struct fw_cfg *)device;

	timer_cancel(&f->timer);
	bus_unmap(device->machine->bus, &f->ports);
	bus_unmap(device->machine->bus, &f->dma);
	for (unsigned i = 0; i < f->items; i++)
		free(f->item[i].data);
	for (unsigned i = 0; i < f->files; i++)
		free(f->file[i].data);
	free(f->directory.data);
}

static const struct field fw_cfg_fields[] = {
	FIELD(struct fw_cfg_state, dma, "address of a DMA command, so far"),
	FIELD(struct fw_cfg_state, offset, "next byte of the selected item"),
	FIELD(struct fw_cfg_state, selected, "selected item"),
	FIELD(struct fw_cfg_state, pad, ""),
	FIELD(struct fw_cfg_state, command, "command whose transfer is under way"),
	FIELD(struct fw_cfg_state, gpa, "where its next byte goes"),
	FIELD(struct fw_cfg_state, left, "its bytes that follow; 0: none is under way"),
	FIELD(struct fw_cfg_state, pad2, ""),
	FIELD_END,
};

DEVICE(fw_cfg) = {
	.name = "fw_cfg",
	.desc = "firmware configuration",
	.size = sizeof(struct fw_cfg),
	.state_offset = offsetof(struct fw_cfg, state),
	.state_size = sizeof(struct fw_cfg_state),
	.fields = fw_cfg_fields,
	.init = fw_cfg_init,
	.reset = fw_cfg_reset,
	.loaded = fw_cfg_loaded,
	.destroy = fw_cfg_destroy,
};
