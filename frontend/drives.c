/* SPDX-License-Identifier: MIT */
/* Drives of the command line; see drives.h. Names are QEMU's ("ide0-hd0", "ide1-cd0", "floppy0"), so that what is typed into
 * its monitor works here.
 *
 * An interface is a row of places in the board's configuration; a drive without an index takes the first free one. */
#include "frontend/drives.h"

#include <stdlib.h>

#include "base/options.h"
#include "frontend/config.h"
#include "frontend/firmware.h"
#include "frontend/look.h"

/* The places where drives go. */
static const struct interface {
	const char *name;
	unsigned units, per_bus;
	size_t offset;           /* of the array in the board's configuration */
	const char *media;       /* unless said otherwise */
	const char *prefix;      /* of names; a bus number follows where there is more than one unit a bus */
} interfaces[] = {
	{"ide", 4, 2, offsetof(struct board_config, ide), "disk", "ide"},
	{"floppy", 2, 0, offsetof(struct board_config, floppy), "floppy", "floppy"},
};

static const struct media {
	const char *name, *suffix;
	enum drive_media code;
	bool removable, read_only;
} medias[] = {
	{"disk", "-hd", DRIVE_DISK, false, false},
	{"cdrom", "-cd", DRIVE_CDROM, true, true},
	{"floppy", "", DRIVE_FLOPPY, true, false},
};

static struct drive *drives; /* of the run; they last until drives_close() */

static const struct interface *find_interface(const char *name)
{
	for (unsigned i = 0; i < ARRAY_LEN(interfaces); i++)
		if (!strcmp(interfaces[i].name, name))
			return &interfaces[i];
	return NULL;
}

static const struct media *find_media(const char *name)
{
	for (unsigned i = 0; i < ARRAY_LEN(medias); i++)
		if (!strcmp(medias[i].name, name))
			return &medias[i];
	return NULL;
}

/* Words of -drive, QEMU's. The host's own cache is always used, so that "none" is as "writeback", which makes no difference to a
 * guest; images are always worked on by threads. */
static const struct word { const char *name; int value; } cache_words[] = {
	{"writeback", DISK_WRITEBACK}, {"none", DISK_WRITEBACK}, {"writethrough", DISK_WRITETHROUGH},
	{"directsync", DISK_WRITETHROUGH}, {"unsafe", DISK_UNSAFE}, {NULL, 0},
}, aio_words[] = {
	{"threads", 0}, {"native", 0}, {"io_uring", 0}, {NULL, 0},
}, discard_words[] = {
	{"unmap", false}, {"on", false}, {"ignore", true}, {"off", true}, {NULL, 0},
}, rerror_words[] = {
	{"report", DRIVE_REPORT}, {"ignore", DRIVE_IGNORE}, {"stop", DRIVE_STOP}, {"auto", DRIVE_AUTO}, {NULL, 0},
}, werror_words[] = {
	{"enospc", DRIVE_ENOSPC}, {"report", DRIVE_REPORT}, {"ignore", DRIVE_IGNORE}, {"stop", DRIVE_STOP}, {"auto", DRIVE_AUTO},
	{NULL, 0},
};

/* ---- options ---- */
static bool find_word(const char *key, const char *name, const struct word *words, int *value, struct err *err)
{
	char list[128] = "";

	for (const struct word *w = words; name && w->name; w++) {
		if (!strcmp(w->name, name)) {
			*value = w->value;
			return true;
		}
		snprintf(list + strlen(list), sizeof list - strlen(list), "%s%s", w == words ? "" : ", ", w->name);
	}
	return !name || err_set(err, EXIT_USAGE, "-drive %s=%s: not one of %s", key, name, list);
}

static void replace(char **to, const char *value)
{
	free(*to);
	*to = err_strdup(value);
}

static void free_item(struct drives_item *item)
{
	char *owned[] = {item->file, item->iface, item->media, item->format, item->id};

	for (unsigned i = 0; i < ARRAY_LEN(owned); i++)
		free(owned[i]);
}

static struct drives_item *new_item(struct drives_options *o, const char *what, struct err *err)
{
	if (o->count == DRIVES_MAX) {
		err_set(err, EXIT_USAGE, "%s: more than %d drives", what, DRIVES_MAX);
		return NULL;
	}
	return &o->item[o->count++];
}

/* Flash chips are the firmware's. */
static bool take_flash(struct config *config, struct drives_item *item, struct err *err)
{
	int unit = item->has_index ? (int)MIN(item->index, 99u) : -1;
	bool ok = item->file ? firmware_add_flash(config, unit, item->file, item->read_only, err)
	                     : err_set(err, EXIT_USAGE, "-drive if=pflash needs file=");

	free_item(item);
	config->drives.count--;
	return ok;
}

bool drives_set(struct config *config, const char *value, struct err *err)
{
	struct drives_item *item = new_item(&config->drives, "-drive", err);
	struct {
		struct drives_item item;
		char *index, *unit, *cache, *aio, *discard, *rerror, *werror;
		u64 bus;
	} got = {0};
	static const struct option_key keys[] = {
		{"file", OPTION_STRING, offsetof(typeof(got), item.file), 0, 0, "the image; none: an empty drive"},
		{"if", OPTION_STRING, offsetof(typeof(got), item.iface), 0, 0, "ide (default), floppy, pflash"},
		{"index", OPTION_STRING, offsetof(typeof(got), index), 0, 0, "which place; default: the first free one"},
		{"bus", OPTION_NUMBER, offsetof(typeof(got), bus), 0, 1, "with unit: which channel"},
		{"unit", OPTION_STRING, offsetof(typeof(got), unit), 0, 0, "which place of its channel"},
		{"media", OPTION_STRING, offsetof(typeof(got), item.media), 0, 0, "disk, cdrom"},
		{"format", OPTION_STRING, offsetof(typeof(got), item.format), 0, 0, "raw, qcow2; default: looked at"},
		{"readonly", OPTION_BOOL, offsetof(typeof(got), item.read_only), 0, 0, "write-protected"},
		{"read-only", OPTION_BOOL, offsetof(typeof(got), item.read_only), 0, 0, "same as readonly"},
		{"snapshot", OPTION_BOOL, offsetof(typeof(got), item.snapshot), 0, 0, "writes are forgotten at the end"},
		{"id", OPTION_STRING, offsetof(typeof(got), item.id), 0, 0, "name in the monitor"},
		{"cache", OPTION_STRING, offsetof(typeof(got), cache), 0, 0, "writeback (default), writethrough, unsafe, none, directsync"},
		{"aio", OPTION_STRING, offsetof(typeof(got), aio), 0, 0, "threads (default); others mean the same"},
		{"discard", OPTION_STRING, offsetof(typeof(got), discard), 0, 0, "unmap (default), ignore"},
		{"rerror", OPTION_STRING, offsetof(typeof(got), rerror), 0, 0, "when the host cannot read: report (default), ignore, stop"},
		{"werror", OPTION_STRING, offsetof(typeof(got), werror), 0, 0,
	     "when it cannot write: enospc (default: stop if it has no room, else report), report, ignore, stop"},
		{0},
	};
	int cache = DISK_WRITEBACK, no_discard = false, none = 0, on_read_error = DRIVE_AUTO, on_write_error = DRIVE_AUTO;
	bool ok;

	if (!item)
		return false;
	ok = options_parse(value, NULL, keys, &got, "-drive", err) && find_word("cache", got.cache, cache_words, &cache, err) &&
	     find_word("aio", got.aio, aio_words, &none, err) &&
	     find_word("discard", got.discard, discard_words, &no_discard, err) &&
	     find_word("rerror", got.rerror, rerror_words, &on_read_error, err) &&
	     find_word("werror", got.werror, werror_words, &on_write_error, err);
	*item = got.item;
	item->cache = cache;
	item->no_discard = no_discard;
	item->on_read_error = on_read_error;
	item->on_write_error = on_write_error;
	if (ok && (got.index || got.unit)) {
		item->has_index = true;
		ok = options_number(got.index ? got.index : got.unit, &item->index, err) || err_prefix(err, "-drive index=");
		item->index += got.bus * 2;
	}
	char *used[] = {got.index, got.unit, got.cache, got.aio, got.discard, got.rerror, got.werror};
	for (unsigned i = 0; i < ARRAY_LEN(used); i++)
		free(used[i]);
	return ok && (!item->iface || strcmp(item->iface, "pflash") || take_flash(config, item, err));
}

static bool set_place(struct config *config, const char *option, unsigned index, const char *media, const char *file,
                      struct err *err)
{
	struct drives_item *item = new_item(&config->drives, option, err);

	if (!item)
		return false;
	*item = (struct drives_item){.iface = err_strdup(strcmp(media, "floppy") ? "ide" : "floppy"), .media = err_strdup(media),
	                             .file = err_strdup(file), .index = index, .has_index = true};
	return true;
}
bool drives_set_fda(struct config *config, const char *value, struct err *err)
{
	return set_place(config, "-fda", 0, "floppy", value, err);
}
bool drives_set_fdb(struct config *config, const char *value, struct err *err)
{
	return set_place(config, "-fdb", 1, "floppy", value, err);
}
bool drives_set_hda(struct config *config, const char *value, struct err *err)
{
	return set_place(config, "-hda", 0, "disk", value, err);
}
bool drives_set_hdb(struct config *config, const char *value, struct err *err)
{
	return set_place(config, "-hdb", 1, "disk", value, err);
}
bool drives_set_hdc(struct config *config, const char *value, struct err *err)
{
	return set_place(config, "-hdc", 2, "disk", value, err);
}
bool drives_set_hdd(struct config *config, const char *value, struct err *err)
{
	return set_place(config, "-hdd", 3, "disk", value, err);
}
bool drives_set_cdrom(struct config *config, const char *value, struct err *err)
{
	return set_place(config, "-cdrom", 2, "cdrom", value, err);
}

bool drives_set_snapshot(struct config *config, const char *value, struct err *err)
{
	(void)value, (void)err;
	config->drives.snapshot = true;
	return true;
}

bool drives_take_file(struct config *config, struct err *err)
{
	static const struct { const char *iface, *media; unsigned index; const char *letter;
	} places[] = {[LOOK_DISK] = {"ide", "disk", 0, "c"},
	              [LOOK_CDROM] = {"ide", "cdrom", 2, "d"},
	              [LOOK_FLOPPY] = {"floppy", "floppy", 0, "a"}};
	struct drives_item *item;
	struct look look;

	if (!look_at(config->file, &look, err))
		return false;
	if (look.kind == LOOK_KERNEL)
		return true;
	item = new_item(&config->drives, config->file, err);
	if (!item)
		return false;
	*item = (struct drives_item){.iface = err_strdup(places[look.kind].iface), .media = err_strdup(places[look.kind].media),
	                             .file = config->file, .index = places[look.kind].index, .has_index = true};
	config->file = NULL;
	if (!config->boot.order && !config->boot.once) /* it is what the user wants to start; after a reset things go their usual way */
		config->boot.once = err_strdup(places[look.kind].letter);
	return true;
}

/* ---- places and names ---- */
static const struct drives_item *at_place(const struct drives_options *o, const char *iface, u64 index)
{
	for (unsigned i = 0; i < o->count; i++)
		if (o->item[i].has_index && o->item[i].index == index && o->item[i].iface && !strcmp(o->item[i].iface, iface))
			return &o->item[i];
	return NULL;
}

static bool check(struct drives_options *o, struct drives_item *item, struct err *err)
{
	const struct interface *iface;
	const struct media *media;
	const char *what = item->file ? item->file : "(empty)";

	if (!item->iface)
		replace(&item->iface, "ide");
	iface = find_interface(item->iface);
	if (!iface)
		return err_set(err, EXIT_USAGE, "-drive if=%s: not one of ide, floppy, pflash", item->iface);
	if (!item->media)
		replace(&item->media, iface->media);
	media = find_media(item->media);
	if (!media || (media->code == DRIVE_FLOPPY) != !strcmp(iface->name, "floppy"))
		return err_set(err, EXIT_USAGE, "-drive media=%s: not one of disk, cdrom", item->media);
	if (!item->file && !media->removable)
		return err_set(err, EXIT_USAGE, "-drive: a disk needs file=");
	if (item->has_index && item->index >= iface->units)
		return err_set(err, EXIT_USAGE, "drive %s: %s has places 0 to %u", what, iface->name, iface->units - 1);
	if (item->has_index && at_place(o, iface->name, item->index) != item)
		return err_set(err, EXIT_USAGE, "drive %s: place %u of %s is taken (-cdrom is place 2, as -hdc)", what,
		               (unsigned)item->index, iface->name);
	return true;
}

static bool place(struct drives_options *o, struct drives_item *item, struct err *err)
{
	const struct interface *iface = find_interface(item->iface);
	u64 index = 0;

	if (item->has_index)
		return true;
	while (at_place(o, iface->name, index))
		index++;
	if (index >= iface->units)
		return err_set(err, EXIT_USAGE, "drive %s: all %u places of %s are taken", item->file, iface->units, iface->name);
	item->index = index;
	item->has_index = true;
	return true;
}

static void name(struct drives_item *item)
{
	const struct interface *iface = find_interface(item->iface);
	char id[32];

	if (iface->per_bus)
		snprintf(id, sizeof id, "%s%u%s%u", iface->prefix, (unsigned)item->index / iface->per_bus, find_media(item->media)->suffix,
		         (unsigned)item->index % iface->per_bus);
	else
		snprintf(id, sizeof id, "%s%u", iface->prefix, (unsigned)item->index);
	if (!item->id)
		item->id = err_strdup(id);
}

bool drives_finish(struct drives_options *o, bool defaults, struct err *err)
{
	for (unsigned i = 0; i < o->count; i++)
		if (!check(o, &o->item[i], err))
			return false;
	for (unsigned i = 0; i < o->count; i++)
		if (!place(o, &o->item[i], err))
			return false;
	if (defaults && o->count < DRIVES_MAX && !at_place(o, "ide", 2))
		o->item[o->count++] = (struct drives_item){
			.iface = err_strdup("ide"), .media = err_strdup("cdrom"), .index = 2, .has_index = true};
	for (unsigned i = 0; i < o->count; i++) {
		name(&o->item[i]);
		for (unsigned k = 0; k < i; k++)
			if (!strcmp(o->item[k].id, o->item[i].id))
				return err_set(err, EXIT_USAGE, "-drive id=%s: two drives have this name", o->item[i].id);
	}
	return true;
}

bool drives_bootable(const struct drives_options *o)
{
	for (unsigned i = 0; i < o->count; i++)
		if (o->item[i].file)
			return true;
	return false;
}

void drives_print(const struct drives_options *o, FILE *to)
{
	for (unsigned i = 0; i < o->count; i++) {
		const struct drives_item *item = &o->item[i];

		fprintf(to, "drive    %s if=%s,index=%u,media=%s%s%s%s%s%s%s\n", item->id, item->iface, (unsigned)item->index, item->media,
		        item->file ? ",file=" : "", item->file ? item->file : "", item->format ? ",format=" : "",
		        item->format ? item->format : "", item->read_only ? ",readonly=on" : "",
		        item->file && (item->snapshot || o->snapshot) ? ",snapshot=on" : "");
	}
}

void drives_free_options(struct drives_options *o)
{
	while (o->count)
		free_item(&o->item[--o->count]);
}

/* ---- the run ---- */
static struct disk *open_disk(const struct drives_options *o, const struct drives_item *item, struct loop *loop, struct err *err)
{
	const struct media *media = find_media(item->media);
	const struct disk_config config = {
		.file = item->file,
		.format = item->format,
		.read_only = item->read_only || media->read_only,
		.try_read_only = media->removable,
		.snapshot = (item->snapshot || o->snapshot) && !media->read_only && !item->read_only,
		.cache = item->cache,
		.no_discard = item->no_discard,
		.sequential_hint = media->removable,
	};

	return disk_open(&config, loop, err);
}

void drives_check_medium(const struct drive *drive)
{
	enum { CD_SECTOR = 2048 };
	u64 size = drive->disk ? disk_size(drive->disk) : 0;

	if (drive->media == DRIVE_CDROM && size % CD_SECTOR)
		err_note("%s ends within a sector of 2048 bytes (is it whole?): the guest sees %llu sectors, the rest cannot be read",
		         disk_file(drive->disk), (unsigned long long)(size / CD_SECTOR));
}

bool drives_open(const struct drives_options *o, struct loop *loop, struct board_config *board, struct err *err)
{
	struct drive **tail = &drives;

	for (unsigned i = 0; i < o->count; i++) {
		const struct drives_item *item = &o->item[i];
		struct drive **places = (struct drive **)((char *)board + find_interface(item->iface)->offset);
		struct drive *drive = err_alloc(sizeof *drive);

		*tail = drive;
		tail = &drive->next;
		drive->id = item->id;
		drive->media = find_media(item->media)->code;
		drive->on_read_error = item->on_read_error;
		drive->on_write_error = item->on_write_error;
		if (item->file) {
			drive->disk = open_disk(o, item, loop, err);
			if (!drive->disk)
				return false;
			drives_check_medium(drive);
		}
		places[item->index] = drive;
	}
	return true;
}

bool drives_close(struct loop *loop)
{
	bool good = true;

	loop_lock(loop);
	while (drives) {
		struct drive *next = drives->next;

		if (drives->disk)
			good &= disk_close(drives->disk);
		free(drives);
		drives = next;
	}
	loop_unlock(loop);
	return good;
}

struct drive *drives_first(void)
{
	return drives;
}

struct drive *drives_find(const char *id)
{
	struct drive *drive = drives;

	while (drive && strcmp(drive->id, id))
		drive = drive->next;
	return drive;
}
