/* SPDX-License-Identifier: MIT */
/* Key tables: every name, keysym, usage and scan code is a key, and the right one where the standards meet. */
#include "frontend/keys.h"

#include <stdio.h>

#include "tests/unit/unit.h"

static void names(void **state)
{
	static const struct {
		const char *name;
		unsigned code;
	} some[] = {{"ctrl", 29}, {"alt", 56}, {"delete", 111}, {"ret", 28}, {"spc", 57}, {"f12", 88}, {"kp_5", 76}, {"less", 86},
	            {"pgdn", 109}, {"meta_l", 125}, {"0x1e", 30}, {"0x9d", 97}, {"A", 30}, {"backslash", 43}, {"up", 103}};

	(void)state;
	for (unsigned i = 0; keys_name(i); i++) {
		if (!keys_by_name(keys_name(i)) || keys_by_name(keys_name(i)) >= INPUT_KEYS)
			fail_msg("%s is no key", keys_name(i));
		for (unsigned j = 0; j < i; j++)
			assert_string_not_equal(keys_name(i), keys_name(j));
	}
	for (unsigned i = 0; i < ARRAY_LEN(some); i++)
		assert_int_equal(keys_by_name(some[i].name), some[i].code);
	assert_int_equal(keys_by_name(""), 0);
	assert_int_equal(keys_by_name("nonesuch"), 0);
	assert_int_equal(keys_by_name("0x"), 0);
	assert_int_equal(keys_by_name("0x100"), 0);
	assert_int_equal(keys_by_name("0x1eg"), 0);
}

/* What a key of a US keyboard makes, with shift and without, covers ASCII. */
static void characters(void **state)
{
	unsigned seen[INPUT_KEYS][3] = {{0}};
	enum keys_shift shift;

	(void)state;
	for (u32 c = ' '; c < 127; c++) {
		unsigned code = keys_by_keysym(c, &shift);
		if (!code)
			fail_msg("'%c' has no key", c);
		assert_int_equal(seen[code][shift], 0); /* no two characters are one stroke */
		seen[code][shift] = c;
	}
	assert_int_equal(keys_by_keysym('A', &shift), INPUT_A);
	assert_int_equal(shift, KEYS_SHIFTED);
	assert_int_equal(keys_by_keysym('/', &shift), INPUT_SLASH);
	assert_int_equal(shift, KEYS_PLAIN);
	assert_int_equal(keys_by_keysym('~', &shift), INPUT_GRAVE);
	assert_int_equal(keys_by_keysym('|', &shift), INPUT_BACKSLASH);
	assert_int_equal(keys_by_keysym(0xffbe, &shift), INPUT_F1);
	assert_int_equal(keys_by_keysym(0xff54, &shift), INPUT_DOWN);
	assert_int_equal(keys_by_keysym(0, &shift), 0);
	assert_int_equal(keys_by_keysym(0xffffffff, &shift), 0);
}

static void usages_and_scancodes(void **state)
{
	(void)state;
	assert_int_equal(keys_by_usage(0), 0);
	assert_int_equal(keys_by_usage(4), INPUT_A);
	assert_int_equal(keys_by_usage(29), INPUT_Z);
	assert_int_equal(keys_by_usage(39), INPUT_0);
	assert_int_equal(keys_by_usage(58), INPUT_F1);
	assert_int_equal(keys_by_usage(82), INPUT_UP);
	assert_int_equal(keys_by_usage(100), INPUT_102ND);
	assert_int_equal(keys_by_usage(115), INPUT_F24);
	assert_int_equal(keys_by_usage(129), INPUT_VOLUMEDOWN);
	assert_int_equal(keys_by_usage(224), INPUT_LEFTCTRL);
	assert_int_equal(keys_by_usage(231), INPUT_RIGHTMETA);
	assert_int_equal(keys_by_usage(10000), 0);
	for (unsigned usage = 4; usage < 130; usage++)
		assert_int_not_equal(keys_by_usage(usage), 0);

	assert_int_equal(keys_by_scancode(0x01), INPUT_ESC);
	assert_int_equal(keys_by_scancode(0x1e), INPUT_A);
	assert_int_equal(keys_by_scancode(0x58), INPUT_F12);
	assert_int_equal(keys_by_scancode(0x56), INPUT_102ND);
	assert_int_equal(keys_by_scancode(0xc8), INPUT_UP);
	assert_int_equal(keys_by_scancode(0xe048), INPUT_UP);
	assert_int_equal(keys_by_scancode(0xb8), INPUT_RIGHTALT);
	assert_int_equal(keys_by_scancode(0xdb), INPUT_LEFTMETA);
	assert_int_equal(keys_by_scancode(0xe11d), 0);
	for (unsigned code = 0; code < 0x20000; code++)
		assert_true(keys_by_scancode(code) < INPUT_KEYS);
}

/* ---- typing ---- */
static char strokes[256];

static void record(void *opaque, unsigned code, bool down)
{
	size_t len = strlen(strokes);

	(void)opaque;
	snprintf(strokes + len, sizeof strokes - len, "%u%c ", code, down ? '+' : '-');
}

static void expect(const char *text)
{
	assert_string_equal(strokes, text);
	strokes[0] = 0;
}

static void typing(void **state)
{
	struct keys_typist t = {.key = record};

	(void)state;
	keys_type(&t, 'a', true);
	keys_type(&t, 'a', true); /* the host's repetition */
	keys_type(&t, 'a', false);
	keys_type(&t, 'a', false);
	expect("30+ 30- ");
	keys_type(&t, 'A', true); /* a script, which presses no shift */
	keys_type(&t, 'A', false);
	expect("42+ 30+ 42- 30- ");
	keys_type(&t, 0xffe1, true); /* a user, who does */
	keys_type(&t, 'A', true);
	keys_type(&t, 'A', false);
	keys_type(&t, '/', true); /* shift and 7 on a German keyboard */
	keys_type(&t, '/', false);
	keys_type(&t, 0xffe1, false);
	expect("42+ 30+ 30- 42- 53+ 42+ 53- 42- ");
	keys_type(&t, 0xffe5, true); /* Caps Lock is on in guest and host */
	keys_type(&t, 0xffe5, false);
	keys_type(&t, 'A', true);
	keys_type(&t, 'A', false);
	keys_type(&t, '1', true);
	keys_type(&t, '1', false);
	expect("58+ 58- 30+ 30- 2+ 2- ");
	keys_press(&t, INPUT_LEFTCTRL, true);
	keys_press(&t, INPUT_X, true);
	keys_release_all(&t);
	keys_release_all(&t);
	expect("29+ 45+ 29- 45- ");
	keys_type(&t, 0xe9, true); /* not on this keyboard */
	keys_press(&t, 0, true);
	keys_press(&t, INPUT_KEYS, true);
	expect("");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(names),
		cmocka_unit_test(characters),
		cmocka_unit_test(usages_and_scancodes),
		cmocka_unit_test(typing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
