/* SPDX-License-Identifier: MIT */
/* -jit: numbers that the translator goes by, and switches for all that it could do without, so that a mistake can be traced to
 * the cleverness that made it. */
#include <inttypes.h>
#include <string.h>

#include "base/options.h"
#include "cpu/code.h"
#include "jit/jit.h"
#include "jit/private.h"

#ifdef NDEBUG
#define VERIFY false
#else
#define VERIFY true
#endif
#define X(name, help) .name = true,
struct jit_options jit_options = {
	.warm = 24, .block = BLOCK_MAX, .limit = ~0ull, .cache = 128u << 20, .verify = VERIFY, JIT_SWITCHES(X)
};
#undef X

#define NUMBER(name, type, min, max, help) {#name, type, offsetof(struct jit_options, name), min, max, help}
#define X(name, help) {#name, OPTION_BOOL, offsetof(struct jit_options, name), 0, 0, help},
static const struct option_key keys[] = {
	NUMBER(warm, OPTION_NUMBER, 1, 1u << 30, "executions before a block is translated"),
	NUMBER(block, OPTION_NUMBER, 1, BLOCK_MAX, "guest instructions in a block at most"),
	NUMBER(limit, OPTION_NUMBER, 0, 0, "blocks translated at most"),
	NUMBER(cache, OPTION_SIZE, CACHE_MIN, 1u << 30, "bytes of host code kept"),
	{"perfmap", OPTION_BOOL, offsetof(struct jit_options, perfmap), 0, 0, "/tmp/perf-PID.map says whose code lies where"},
	{"check", OPTION_BOOL, offsetof(struct jit_options, check), 0, 0, "compare each run of a translation with the interpreter"},
	{"verify", OPTION_BOOL, offsetof(struct jit_options, verify), 0, 0, "decode again what is emitted, and stop if it is wrong"},
	JIT_SWITCHES(X)
	{0},
};
#undef X

static const size_t switches[] = {
#define X(name, help) offsetof(struct jit_options, name),
	JIT_SWITCHES(X)
#undef X
};

static bool all(const char **text)
{
	static const struct { const char *word; bool value; } words[] = {{"all=off", false}, {"all=on", true}};

	for (unsigned i = 0; i < ARRAY_LEN(words); i++) {
		size_t len = strlen(words[i].word);
		if (strncmp(*text, words[i].word, len) || ((*text)[len] && (*text)[len] != ','))
			continue;
		for (unsigned k = 0; k < ARRAY_LEN(switches); k++)
			*(bool *)((char *)&jit_options + switches[k]) = words[i].value;
		*text += len + ((*text)[len] == ',');
		return true;
	}
	return false;
}

bool jit_configure(const char *text, struct err *err)
{
	bool ok = (all(&text) && !*text) || options_parse(text, NULL, keys, &jit_options, "-jit", err);

	if (jit_options.check) /* one translation at a time */
		jit_options.links = jit_options.cross = jit_options.dispatch = false;
	jit_options.verify |= jit_options.check;
	return ok;
}

void jit_help(FILE *to)
{
	for (const struct option_key *k = keys; k->key; k++) {
		const char *at = (const char *)&jit_options + k->offset;
		char value[24] = "off";
		if (k->type == OPTION_BOOL)
			strcpy(value, *(const bool *)at ? "on" : "off");
		else if (*(const u64 *)at == ~0ull)
			strcpy(value, "none");
		else
			snprintf(value, sizeof value, "%" PRIu64, *(const u64 *)at);
		fprintf(to, "%-9s %-9s %s\n", k->key, value, k->help);
	}
	fprintf(to, "%-9s %-9s %s\n", "all", "", "everything that can be on or off; comes first");
}
