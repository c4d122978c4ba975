/* SPDX-License-Identifier: MIT */
/* What front ends say, on its way to the devices that listen: the list in struct machine, and who gets what.
 * Invariant: machine->input has no holes; what was registered last comes last. */
#include "hw/input/input.h"

#include "hw/device.h"

bool input_register(struct machine *machine, struct input *input)
{
	for (unsigned i = 0; i < ARRAY_LEN(machine->input) - 1; i++)
		if (!machine->input[i]) {
			machine->input[i] = input;
			return true;
		}
	return false;
}

void input_unregister(struct machine *machine, struct input *input)
{
	unsigned kept = 0;

	for (unsigned i = 0; i < ARRAY_LEN(machine->input); i++) {
		struct input *one = machine->input[i];
		machine->input[i] = NULL;
		if (one && one != input)
			machine->input[kept++] = one;
	}
}

static bool takes_absolute(const struct input *input)
{
	return input->absolute && (!input->wants_absolute || input->wants_absolute(input->opaque));
}

static struct input *absolute_taker(const struct machine *machine)
{
	struct input *found = NULL;

	for (unsigned i = 0; i < ARRAY_LEN(machine->input) && machine->input[i]; i++)
		if (takes_absolute(machine->input[i]))
			found = machine->input[i];
	return found;
}

void input_key(const struct machine *machine, unsigned code, bool down)
{
	struct input *found = NULL;

	for (unsigned i = 0; i < ARRAY_LEN(machine->input) && machine->input[i]; i++)
		if (machine->input[i]->key)
			found = machine->input[i];
	if (found && code && code < INPUT_KEYS)
		found->key(found->opaque, code, down);
}

void input_pointer(const struct machine *machine, int dx, int dy, int wheel, unsigned buttons)
{
	struct input *listening = absolute_taker(machine);

	if (listening && listening->pointer) {
		listening->pointer(listening->opaque, dx, dy, wheel, buttons);
		return;
	}
	for (unsigned i = 0; i < ARRAY_LEN(machine->input) && machine->input[i]; i++)
		if (machine->input[i]->pointer) {
			machine->input[i]->pointer(machine->input[i]->opaque, dx, dy, wheel, buttons);
			return;
		}
}

bool input_wants_absolute(const struct machine *machine)
{
	return absolute_taker(machine);
}

bool input_absolute(const struct machine *machine, unsigned x, unsigned y, int wheel, unsigned buttons)
{
	struct input *input = absolute_taker(machine);

	if (input)
		input->absolute(input->opaque, MIN(x, INPUT_ABSOLUTE_MAX), MIN(y, INPUT_ABSOLUTE_MAX), wheel, buttons);
	return input;
}
