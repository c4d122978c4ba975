/* SPDX-License-Identifier: MIT */
/* Option strings: splitting, values, and what to say about a word that does not exist.
 *
 * The numbers are read by hand: strtoull takes signs, blanks and silent overflow, none of which a user means. */
#include "base/options.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#define NAME_MAX_LEN 64 /* longer words have no nearest name */
#define DISTANCE_MAX 3

/* ---- values ---- */
static int digit_value(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	c |= 0x20;
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : 16;
}

/* Digits of the base at *text, which moves behind them; false without a digit or beyond 64 bits. */
static bool read_digits(const char **text, unsigned base, u64 *value)
{
	const char *p = *text;
	u64 v = 0;

	for (; (unsigned)digit_value(*p) < base; p++)
		if (__builtin_mul_overflow(v, (u64)base, &v) || __builtin_add_overflow(v, (u64)digit_value(*p), &v))
			return false;
	if (p == *text)
		return false;
	*text = p;
	*value = v;
	return true;
}

static bool is_hex(const char *text)
{
	return text[0] == '0' && (text[1] | 0x20) == 'x';
}

bool options_number(const char *text, u64 *value, struct err *err)
{
	const char *p = text;
	unsigned base = 10;
	u64 v;

	if (is_hex(p)) {
		base = 16;
		p += 2;
	} else if (*p == '0' && p[1]) {
		base = 8;
		p++;
	}
	if (!read_digits(&p, base, &v) || *p)
		return err_set(err, EXIT_USAGE, "'%s' is not a number of at most 64 bits (1234, 0x4d2, 02322)", text);
	*value = v;
	return true;
}

/* The digits after a decimal point, as a part of unit, rounded down; digits beyond the ninth do not count. */
static bool read_fraction(const char **text, u64 unit_shift, u64 *bytes)
{
	u64 part = 0, scale = 1;
	const char *p = *text;

	for (; *p >= '0' && *p <= '9'; p++)
		if (scale < 1000000000) {
			part = part * 10 + (u64)(*p - '0');
			scale *= 10;
		}
	if (p == *text)
		return false;
	*text = p;
	*bytes = (u64)(((u128)part << unit_shift) / scale);
	return true;
}

bool options_size(const char *text, u64 *value, struct err *err)
{
	static const char units[] = "BKMGTPE";
	const char *p = text, *fraction = NULL, *unit;
	unsigned shift = 0;
	u64 v, part = 0;

	if (is_hex(p)) {
		p += 2;
		if (!read_digits(&p, 16, &v))
			goto bad;
	} else {
		if (!read_digits(&p, 10, &v))
			goto bad;
		if (*p == '.') {
			fraction = ++p;
			if (!read_fraction(&p, 0, &part))
				goto bad;
		}
	}
	if (*p) {
		char upper = *p >= 'a' && *p <= 'z' ? (char)(*p - 0x20) : *p;

		unit = strchr(units, upper);
		if (!unit)
			goto bad;
		shift = (unsigned)(unit - units) * 10;
		p++;
		if (shift && *p == 'i' && p[1] == 'B') /* GiB */
			p += 2;
		else if (shift && *p == 'B')
			p++;
	}
	if (*p || v > ~0ull >> shift || (fraction && (!shift || !read_fraction(&fraction, shift, &part))))
		goto bad;
	if (__builtin_add_overflow(v << shift, part, value))
		goto bad;
	return true;
bad:
	return err_set(err, EXIT_USAGE, "'%s' is not a size (512M, 2G, 1.5T, or bytes)", text);
}

bool options_bool(const char *text, bool *value, struct err *err)
{
	static const char *const words[2][3] = {{"off", "no", "false"}, {"on", "yes", "true"}};

	for (unsigned v = 0; v < 2; v++)
		for (unsigned i = 0; i < 3; i++)
			if (!strcmp(text, words[v][i])) {
				*value = v;
				return true;
			}
	return err_set(err, EXIT_USAGE, "'%s' is neither on nor off", text);
}

/* ---- names ---- */
/* Damerau's distance with adjacent transpositions, each place edited once; limits are checked by the caller. */
static unsigned distance(const char *a, size_t la, const char *b, size_t lb)
{
	unsigned row[3][NAME_MAX_LEN + 1];
	unsigned *before = row[0], *last = row[1], *now = row[2];

	for (size_t j = 0; j <= lb; j++)
		last[j] = (unsigned)j;
	for (size_t i = 1; i <= la; i++) {
		unsigned *spare = before;

		now[0] = (unsigned)i;
		for (size_t j = 1; j <= lb; j++) {
			unsigned d = last[j - 1] + (a[i - 1] != b[j - 1]);

			d = MIN(d, last[j] + 1);
			d = MIN(d, now[j - 1] + 1);
			if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1])
				d = MIN(d, before[j - 2] + 1);
			now[j] = d;
		}
		before = last;
		last = now;
		now = spare;
	}
	return last[lb];
}

const char *options_nearest(const char *word, const char *const *names)
{
	size_t len = strlen(word);
	const char *best = NULL;
	unsigned best_distance = DISTANCE_MAX + 1;

	if (len > NAME_MAX_LEN)
		return NULL;
	for (; *names; names++) {
		size_t name_len = strlen(*names);
		unsigned d;

		if (name_len > NAME_MAX_LEN)
			continue;
		d = distance(word, len, *names, name_len);
		/* half the word changed is another word */
		if (d < best_distance && 2 * d < MAX(len, name_len)) {
			best_distance = d;
			best = *names;
		}
	}
	return best;
}

/* ---- key=value lists ---- */
/* Copies one item up to a single comma, ",," as ","; returns what follows, or NULL at the end. */
static const char *next_item(const char *text, char *item)
{
	for (; *text; text++) {
		if (*text == ',' && *++text != ',') {
			*item = '\0';
			return *text ? text : NULL; /* a comma at the very end is forgiven */
		}
		*item++ = *text;
	}
	*item = '\0';
	return NULL;
}

static const struct option_key *find_key(const struct option_key *keys, const char *name)
{
	for (; keys->key; keys++)
		if (!strcmp(keys->key, name))
			return keys;
	return NULL;
}

static bool unknown_key(const char *name, const struct option_key *keys, const char *what, struct err *err)
{
	const char *names[128], *nearest;
	char legal[400] = "";
	size_t n = 0, len = 0;

	for (; keys[n].key && n + 1 < ARRAY_LEN(names); n++) {
		names[n] = keys[n].key;
		len += (size_t)snprintf(legal + len, sizeof legal - len, "%s%s", n ? ", " : "", keys[n].key);
		if (len >= sizeof legal)
			len = sizeof legal - 1;
	}
	names[n] = NULL;
	nearest = options_nearest(name, names);
	if (nearest)
		return err_set(err, EXIT_USAGE, "%s: no key '%.40s'; did you mean '%s'? Keys: %s", what, name, nearest, legal);
	if (!n)
		return err_set(err, EXIT_USAGE, "%s: takes no keys, and '%.40s' was given", what, name);
	return err_set(err, EXIT_USAGE, "%s: no key '%.40s'. Keys: %s", what, name, legal);
}

static bool in_range(const struct option_key *key, const char *value, u64 v, struct err *err)
{
	if ((!key->min && !key->max) || (v >= key->min && v <= key->max))
		return true;
	return err_set(err, EXIT_USAGE, "'%s' is out of range (%" PRIu64 " to %" PRIu64 ")", value, key->min, key->max);
}

static bool set_value(const struct option_key *key, const char *value, void *into, struct err *err)
{
	char *at = (char *)into + key->offset;
	bool on = false;
	u64 v = 0;

	switch (key->type) {
	case OPTION_STRING:
		free(*(char **)at);
		*(char **)at = err_strdup(value);
		return true;
	case OPTION_NUMBER:
	case OPTION_SIZE:
		if (!(key->type == OPTION_SIZE ? options_size : options_number)(value, &v, err) ||
		    !in_range(key, value, v, err))
			return false;
		*(u64 *)at = v;
		return true;
	case OPTION_BOOL:
		if (!options_bool(value, &on, err))
			return false;
		*(bool *)at = on;
		return true;
	}
	bug("option %s has no type", key->key);
}

static bool set_item(char *item, const char *implied, const struct option_key *keys, void *into, const char *what,
                     struct err *err)
{
	char *equals = strchr(item, '=');
	const struct option_key *key;
	const char *value = "on";

	if (equals) {
		*equals = '\0';
		value = equals + 1;
	} else if (implied) {
		value = item;
		item = (char *)implied;
	}
	key = find_key(keys, item);
	if (!key && !equals && !strncmp(item, "no", 2)) { /* "nowait" */
		key = find_key(keys, item + 2);
		if (key && key->type != OPTION_BOOL)
			key = NULL;
		value = "off";
	}
	if (!key)
		return unknown_key(item, keys, what, err);
	if (!equals && !implied && key->type != OPTION_BOOL)
		return err_set(err, EXIT_USAGE, "%s: key '%s' needs a value (%s=...)", what, item, item);
	if (!set_value(key, value, into, err))
		return err_prefix(err, "%s: %s", what, key->key);
	return true;
}

bool options_parse(const char *text, const char *implied, const struct option_key *keys, void *into, const char *what,
                   struct err *err)
{
	char *item = err_alloc(strlen(text) + 1);
	bool ok = true;

	if (!*text)
		text = NULL;
	while (ok && text) {
		text = next_item(text, item);
		ok = set_item(item, implied, keys, into, what, err);
		implied = NULL;
	}
	free(item);
	for (const struct option_key *key = keys; !ok && key->key; key++)
		if (key->type == OPTION_STRING) {
			char **string = (char **)((char *)into + key->offset);
			free(*string);
			*string = NULL;
		}
	return ok;
}
