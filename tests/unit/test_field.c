/* SPDX-License-Identifier: MIT */
/* base/field: coverage, save and load, damage of every kind, comparison, printing. */
#include "base/field.h"

#include <stdlib.h>

#include "tests/unit/unit.h"

struct inner {
	u16 a;
	u8 b, pad;
};
struct outer {
	u64 wide;
	bool flag;
	u8 bytes[7];
	struct inner one;
	struct inner many[3];
	u8 uuid[16];
};

static const struct field inner_fields[] = {
	FIELD(struct inner, a, "the a"), FIELD(struct inner, b, "the b"), FIELD(struct inner, pad, ""), FIELD_END,
};
static const struct field outer_fields[] = {
	FIELD(struct outer, wide, "wide one"),
	FIELD(struct outer, flag, ""),
	FIELD_ARRAY(struct outer, bytes, "some bytes"),
	FIELD_SUB(struct outer, one, inner_fields, ""),
	FIELD_SUBS(struct outer, many, inner_fields, ""),
	FIELD(struct outer, uuid, "an opaque run"),
	FIELD_END,
};

static void test_cover(void **state)
{
	static const struct field gap[] = {FIELD(struct inner, a, ""), FIELD(struct inner, pad, ""), FIELD_END};
	static const struct field overlap[] = {
		FIELD(struct inner, a, ""), {.name = "b", .offset = 1, .size = 3, .count = 1}, FIELD_END};
	static const struct field beyond[] = {{.name = "a", .offset = 0, .size = 5, .count = 1}, FIELD_END};
	static const struct field huge[] = {{.name = "a", .offset = 4, .size = ~0u, .count = ~0u}, FIELD_END};
	static const struct field twice[] = {
		{.name = "a", .offset = 0, .size = 2, .count = 1},
		{.name = "a", .offset = 2, .size = 2, .count = 1},
		FIELD_END,
	};
	static const struct field bad_sub[] = {{.name = "s", .size = 4, .count = 1, .sub = gap}, FIELD_END};
	struct err err;

	(void)state;
	assert_true(field_cover(outer_fields, sizeof(struct outer), "outer", &err));
	assert_false(field_cover(gap, 4, "gap", &err));
	assert_string_equal(err.text, "gap: byte 2 of 4 is in no field");
	assert_false(field_cover(overlap, 4, "overlap", &err));
	assert_non_null(strstr(err.text, "overlaps"));
	assert_false(field_cover(beyond, 4, "beyond", &err));
	assert_false(field_cover(huge, 4, "huge", &err));
	assert_false(field_cover(twice, 4, "twice", &err));
	assert_non_null(strstr(err.text, "two fields are named a"));
	assert_false(field_cover(bad_sub, 4, "outer", &err));
	assert_string_equal(err.text, "outer: s: byte 2 of 4 is in no field");
	assert_true(field_cover(&(struct field)FIELD_END, 0, "empty", &err));
}

static void fill(void *object, size_t size, u64 seed)
{
	for (size_t i = 0; i < size; i++)
		((u8 *)object)[i] = (u8)unit_random(&seed);
	((struct outer *)object)->flag = seed & 1;
}

static void test_round_trip(void **state)
{
	struct field_buf buf = {0};
	struct err err;

	(void)state;
	for (u64 seed = 1; seed < 50; seed++) {
		struct outer a, b;
		char name[16], text[64];

		snprintf(name, sizeof name, "dev%u", (unsigned)seed);
		fill(&a, sizeof a, seed);
		memset(&b, 0, sizeof b);
		field_save(&buf, name, outer_fields, &a);
		assert_true(field_load(&buf, name, outer_fields, &b, sizeof b, &err));
		assert_memory_equal(&a, &b, sizeof a);
		assert_false(field_differ(outer_fields, &a, &b, text, sizeof text));
	}
	assert_false(field_load(&buf, "dev", outer_fields, &(struct outer){0}, sizeof(struct outer), &err));
	assert_non_null(strstr(err.text, "no section dev"));
	field_buf_free(&buf);
	assert_null(buf.data);
}

static void test_tables_must_match(void **state)
{
	static const struct field less[] = {FIELD(struct inner, a, ""), FIELD(struct inner, b, ""), FIELD_END};
	static const struct field resized[] = {
		FIELD(struct inner, a, ""), {.name = "b", .offset = 2, .size = 2, .count = 1}, FIELD_END};
	struct inner a = {1, 2, 3}, b = {4, 5, 6};
	struct field_buf full = {0}, part = {0};
	struct err err;

	(void)state;
	field_save(&full, "s", inner_fields, &a);
	field_save(&part, "s", less, &a);
	assert_false(field_load(&part, "s", inner_fields, &b, sizeof b, &err));
	assert_string_equal(err.text, "saved state of s: pad: is missing");
	assert_false(field_load(&full, "s", less, &b, sizeof b, &err));
	assert_string_equal(err.text, "saved state of s: pad: is unknown here");
	assert_false(field_load(&full, "s", resized, &b, sizeof b, &err));
	assert_non_null(strstr(err.text, "b: is 1 x 1"));
	assert_true(b.a == 4 && b.b == 5 && b.pad == 6);
	field_buf_free(&full);
	field_buf_free(&part);
}

/* Every byte changed, every length cut: refused or accepted, never a crash, and untouched when refused. */
static void test_damage(void **state)
{
	struct outer a, b;
	struct field_buf buf = {0};
	struct err err;

	(void)state;
	fill(&a, sizeof a, 77);
	field_save(&buf, "first", outer_fields, &a);
	field_save(&buf, "second", outer_fields, &a);
	for (size_t cut = 0; cut < buf.len; cut++) {
		struct field_buf shorter = {err_alloc(cut), cut, cut};

		memcpy(shorter.data, buf.data, cut);
		memset(&b, 0x55, sizeof b);
		assert_false(field_load(&shorter, "second", outer_fields, &b, sizeof b, &err));
		for (size_t i = 0; i < sizeof b; i++)
			assert_int_equal(((u8 *)&b)[i], 0x55);
		field_buf_free(&shorter);
	}
	for (size_t at = 0; at < buf.len; at++)
		for (unsigned bit = 0; bit < 8; bit++) {
			buf.data[at] ^= (u8)(1u << bit);
			memset(&b, 0, sizeof b);
			field_load(&buf, "second", outer_fields, &b, sizeof b, &err);
			buf.data[at] ^= (u8)(1u << bit);
		}
	field_buf_free(&buf);
}

static void test_differ(void **state)
{
	struct outer a = {0}, b = {0};
	char text[64];

	(void)state;
	b.many[2].a = 0x1234;
	assert_true(field_differ(outer_fields, &a, &b, text, sizeof text));
	assert_string_equal(text, "many[2].a: 0x0 != 0x1234");
	b.uuid[5] = 9;
	b.many[2].a = 0;
	assert_true(field_differ(outer_fields, &a, &b, text, sizeof text));
	assert_string_equal(text, "uuid+5: 0x0 != 0x9");
	a.one.b = 1;
	assert_true(field_differ(outer_fields, &a, &b, text, 6));
	assert_string_equal(text, "one.b");
	assert_true(field_differ(outer_fields, &a, &b, NULL, 0));
}

static void test_print(void **state)
{
	struct outer a = {.wide = 0x12, .bytes = {1, 2, 3}, .many[1].b = 0xab};
	size_t size;
	char *text;
	FILE *to = open_memstream(&text, &size);

	(void)state;
	field_print(to, outer_fields, &a);
	fclose(to);
	assert_non_null(strstr(text, "wide                     0000000000000012  wide one\n"));
	assert_non_null(strstr(text, "bytes                    01 02 03 00 00 00 00  some bytes\n"));
	assert_non_null(strstr(text, "many[1].b                ab  the b\n"));
	free(text);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_cover),  cmocka_unit_test(test_round_trip), cmocka_unit_test(test_tables_must_match),
		cmocka_unit_test(test_damage), cmocka_unit_test(test_differ),     cmocka_unit_test(test_print),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
