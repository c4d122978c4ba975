/* SPDX-License-Identifier: MIT */
/* base/options: values, lists, and what is said about mistakes. */
#include "base/options.h"

#include <stdlib.h>

#include "tests/unit/unit.h"

struct target {
	char *file, *id;
	u64 index, size;
	bool snapshot, wait;
};

static const struct option_key keys[] = {
	{"file", OPTION_STRING, offsetof(struct target, file), 0, 0, "path"},
	{"id", OPTION_STRING, offsetof(struct target, id), 0, 0, "name"},
	{"index", OPTION_NUMBER, offsetof(struct target, index), 0, 3, "place"},
	{"size", OPTION_SIZE, offsetof(struct target, size), 1, 1ull << 40, "size"},
	{"snapshot", OPTION_BOOL, offsetof(struct target, snapshot), 0, 0, "writes are lost"},
	{"wait", OPTION_BOOL, offsetof(struct target, wait), 0, 0, "wait"},
	{NULL},
};

static void target_free(struct target *t)
{
	free(t->file);
	free(t->id);
	*t = (struct target){0};
}

static void test_numbers(void **state)
{
	static const struct {
		const char *text;
		u64 value;
	} good[] = {
		{"0", 0}, {"1234", 1234}, {"0x4d2", 1234}, {"0X4D2", 1234}, {"02322", 1234}, {"18446744073709551615", ~0ull},
		{"0xffffffffffffffff", ~0ull}, {"00", 0},
	};
	static const char *const bad[] = {
		"", "-1", "+1", " 1", "1 ", "0x", "08", "1a", "18446744073709551616", "0x10000000000000000", "1.5", "x",
	};
	struct err err;
	u64 v = 0;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(good); i++) {
		assert_true(options_number(good[i].text, &v, &err));
		assert_true(v == good[i].value);
	}
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		assert_false(options_number(bad[i], &v, &err));
		assert_int_equal(err.code, EXIT_USAGE);
	}
}

static void test_sizes(void **state)
{
	static const struct {
		const char *text;
		u64 value;
	} good[] = {
		{"0", 0}, {"123", 123}, {"12B", 12}, {"2k", 2048}, {"2K", 2048}, {"3M", 3ull << 20}, {"2G", 2ull << 30},
		{"2GiB", 2ull << 30}, {"2GB", 2ull << 30}, {"1T", 1ull << 40}, {"1.5G", 3ull << 29}, {"0.5K", 512},
		{"0x1000", 4096}, {"15E", 15ull << 60}, {"0x10M", 16ull << 20}, {"1.000000000001K", 1024},
	};
	static const char *const bad[] = {
		"", "G", "-1G", "1.5", "1.G", ".5G", "16E", "1Q", "1GG", "1Gi", "1BB", "18446744073709551616",
		"99999999999T", "2 G", "1.5.5G", "0x1.8G",
	};
	struct err err;
	u64 v = 0;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(good); i++) {
		if (!options_size(good[i].text, &v, &err))
			fail_msg("%s: %s", good[i].text, err.text);
		assert_true(v == good[i].value);
	}
	for (size_t i = 0; i < ARRAY_LEN(bad); i++)
		if (options_size(bad[i], &v, &err))
			fail_msg("%s was taken", bad[i]);
}

static void test_bools(void **state)
{
	struct err err;
	bool b = false;

	(void)state;
	assert_true(options_bool("on", &b, &err) && b);
	assert_true(options_bool("no", &b, &err) && !b);
	assert_true(options_bool("true", &b, &err) && b);
	assert_true(options_bool("off", &b, &err) && !b);
	assert_true(options_bool("yes", &b, &err) && b);
	assert_true(options_bool("false", &b, &err) && !b);
	assert_false(options_bool("1", &b, &err));
	assert_false(options_bool("", &b, &err));
}

static void test_parse(void **state)
{
	struct target t = {0};
	struct err err;

	(void)state;
	assert_true(options_parse("a,,b.img,index=2,size=4G,snapshot", "file", keys, &t, "-drive", &err));
	assert_string_equal(t.file, "a,b.img");
	assert_true(t.index == 2 && t.size == 4ull << 30 && t.snapshot);
	/* the same key again: the last one counts and nothing leaks */
	assert_true(options_parse("file=x=y,file=,,,snapshot=off,wait,nosnapshot,", NULL, keys, &t, "-drive", &err));
	assert_string_equal(t.file, ",");
	assert_true(!t.snapshot && t.wait);
	assert_true(options_parse("nowait", NULL, keys, &t, "-drive", &err));
	assert_false(t.wait);
	assert_true(options_parse("", "file", keys, &t, "-drive", &err));
	assert_string_equal(t.file, ",");
	assert_true(options_parse("id=q", "file", keys, &t, "-drive", &err));
	assert_string_equal(t.id, "q");
	target_free(&t);
}

static void test_parse_errors(void **state)
{
	static const struct {
		const char *text, *expect;
	} bad[] = {
		{"fiel=x", "-drive: no key 'fiel'; did you mean 'file'? Keys: file, id, index, size, snapshot, wait"},
		{"qwertz=1", "-drive: no key 'qwertz'. Keys: file, id, index, size, snapshot, wait"},
		{"file", "-drive: key 'file' needs a value (file=...)"},
		{"nofile", "-drive: no key 'nofile'; did you mean 'file'? Keys: file, id, index, size, snapshot, wait"},
		{"index=4", "-drive: index: '4' is out of range (0 to 3)"},
		{"index=", "-drive: index: '' is not a number of at most 64 bits (1234, 0x4d2, 02322)"},
		{"size=lots", "-drive: size: 'lots' is not a size (512M, 2G, 1.5T, or bytes)"},
		{"snapshot=2", "-drive: snapshot: '2' is neither on nor off"},
		{",file=x", "-drive: no key ''. Keys: file, id, index, size, snapshot, wait"},
	};
	static const struct option_key none[] = {{NULL}};
	struct target t = {0};
	struct err err;
	char text[5000];

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		assert_false(options_parse(bad[i].text, NULL, keys, &t, "-drive", &err));
		assert_string_equal(err.text, bad[i].expect);
		assert_int_equal(err.code, EXIT_USAGE);
	}
	assert_false(options_parse("x=1", NULL, none, &t, "-pit", &err));
	assert_string_equal(err.text, "-pit: takes no keys, and 'x' was given");
	memset(text, 'k', sizeof text - 1);
	text[sizeof text - 1] = '\0';
	assert_false(options_parse(text, NULL, keys, &t, "-drive", &err));
	target_free(&t);
}

static void test_nearest(void **state)
{
	static const char *const names[] = {"serial", "monitor", "machine", "display", "m", NULL};
	char word[80] = "";

	(void)state;
	assert_string_equal(options_nearest("serail", names), "serial"); /* one transposition */
	assert_string_equal(options_nearest("seral", names), "serial");
	assert_string_equal(options_nearest("monitors", names), "monitor");
	assert_string_equal(options_nearest("mashine", names), "machine");
	assert_null(options_nearest("kernel", names));
	assert_null(options_nearest("xyz", names));
	assert_null(options_nearest("", names));
	memset(word, 'a', sizeof word - 1);
	assert_null(options_nearest(word, names));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_numbers), cmocka_unit_test(test_sizes),        cmocka_unit_test(test_bools),
		cmocka_unit_test(test_parse),   cmocka_unit_test(test_parse_errors), cmocka_unit_test(test_nearest),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
