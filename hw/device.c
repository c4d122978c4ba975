/* SPDX-License-Identifier: MIT */
/* The catalogue of device classes, and the life of a device: create, start, free.
 *
 * Invariants: the catalogue is sorted by name and only grows, by constructors, before main; a device that was started has a
 * field table that covers its state byte by byte. */
#include "hw/device.h"

#include <stdlib.h>

#define CLASSES_MAX 256

static const struct device_class *classes;

/* ---- the catalogue ---- */
void device_register(struct device_class *class)
{
	const struct device_class **at = &classes;

	while (*at && strcmp((*at)->name, class->name) < 0)
		at = (const struct device_class **)&(*at)->next;
	if (*at && !strcmp((*at)->name, class->name))
		bug("two device classes are named %s", class->name);
	class->next = *at;
	*at = class;
}

const struct device_class *device_first(void)
{
	return classes;
}

const struct device_class *device_find(const char *name)
{
	for (const struct device_class *c = classes; c; c = c->next)
		if (!strcmp(c->name, name))
			return c;
	return NULL;
}

static bool no_such_class(const char *name, struct err *err)
{
	const char *names[CLASSES_MAX + 1] = {NULL}, *near;
	unsigned n = 0;

	for (const struct device_class *c = classes; c && n < CLASSES_MAX; c = c->next)
		if (c->user)
			names[n++] = c->name;
	near = options_nearest(name, names);
	if (near)
		return err_set(err, EXIT_USAGE, "there is no device \"%s\" (did you mean \"%s\"?)", name, near);
	return err_set(err, EXIT_USAGE, "there is no device \"%s\"; -device help lists all", name);
}

/* ---- the life of a device ---- */
static void release(struct device *device)
{
	for (const struct option_key *k = device->class->options; k && k->key; k++)
		if (k->type == OPTION_STRING)
			free(*(char **)((char *)device + k->offset));
	free((char *)device->id);
	free(device);
}

struct device *device_create(const char *class_name, const char *id, const char *options, struct machine *machine,
                             struct err *err)
{
	static const struct option_key none[] = {{.key = NULL}};
	const struct device_class *class = device_find(class_name);
	struct device *device;

	if (!class) {
		no_such_class(class_name, err);
		return NULL;
	}
	device = err_alloc(class->size);
	device->class = class;
	device->id = err_strdup(id);
	device->machine = machine;
	if (options && *options && !options_parse(options, NULL, class->options ? class->options : none, device, class_name, err)) {
		release(device);
		return NULL;
	}
	return device;
}

bool device_start(struct device *device, struct err *err)
{
	const struct device_class *class = device->class;

	if (class->fields && !field_cover(class->fields, class->state_size, class->name, err))
		return false;
	if (class->init && !class->init(device, err))
		return err_prefix(err, "%s", device->id);
	device->started = true;
	if (class->reset)
		class->reset(device);
	return true;
}

void device_free(struct device *device)
{
	if (!device)
		return;
	if (device->started && device->class->destroy)
		device->class->destroy(device);
	release(device);
}

static void drive_input(void *opaque, unsigned n, bool level)
{
	struct device *device = opaque;

	/* levels seen before init are lost, and made good by the reset of the driver that the board runs at power-on */
	if (device->started)
		device->class->input(device, n, level);
}

struct irq_line device_input(struct device *device, unsigned n)
{
	if (!device->class->input)
		return (struct irq_line){.fn = NULL};
	return (struct irq_line){.fn = drive_input, .opaque = device, .n = n};
}
