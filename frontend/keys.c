/* SPDX-License-Identifier: MIT */
/* Key tables. Names: QEMU's QKeyCode and the older names that its monitor took. Keysyms: X11's keysymdef.h, on a US keyboard.
 * Usages: USB HID Usage Tables, keyboard page (07h). Scan codes: IBM PS/2 Hardware Interface Technical Reference, set 1. */
#include "frontend/keys.h"

#include <stdlib.h>
#include <strings.h>

/* clang-format off */
static const struct {
	const char *name;
	u8 code;
} names[] = {
	{"shift", INPUT_LEFTSHIFT}, {"shift_r", INPUT_RIGHTSHIFT}, {"alt", INPUT_LEFTALT}, {"alt_r", INPUT_RIGHTALT},
	{"altgr", INPUT_RIGHTALT}, {"altgr_r", INPUT_RIGHTALT}, {"ctrl", INPUT_LEFTCTRL}, {"ctrl_r", INPUT_RIGHTCTRL},
	{"menu", INPUT_COMPOSE}, {"esc", INPUT_ESC}, {"escape", INPUT_ESC},
	{"1", INPUT_1}, {"2", INPUT_2}, {"3", INPUT_3}, {"4", INPUT_4}, {"5", INPUT_5}, {"6", INPUT_6}, {"7", INPUT_7}, {"8", INPUT_8},
	{"9", INPUT_9}, {"0", INPUT_0}, {"minus", INPUT_MINUS}, {"equal", INPUT_EQUAL}, {"backspace", INPUT_BACKSPACE},
	{"tab", INPUT_TAB}, {"q", INPUT_Q}, {"w", INPUT_W}, {"e", INPUT_E}, {"r", INPUT_R}, {"t", INPUT_T}, {"y", INPUT_Y},
	{"u", INPUT_U}, {"i", INPUT_I}, {"o", INPUT_O}, {"p", INPUT_P}, {"bracket_left", INPUT_LEFTBRACE},
	{"bracket_right", INPUT_RIGHTBRACE}, {"ret", INPUT_ENTER}, {"enter", INPUT_ENTER}, {"a", INPUT_A}, {"s", INPUT_S},
	{"d", INPUT_D}, {"f", INPUT_F}, {"g", INPUT_G}, {"h", INPUT_H}, {"j", INPUT_J}, {"k", INPUT_K}, {"l", INPUT_L},
	{"semicolon", INPUT_SEMICOLON}, {"apostrophe", INPUT_APOSTROPHE}, {"grave_accent", INPUT_GRAVE},
	{"backslash", INPUT_BACKSLASH}, {"z", INPUT_Z}, {"x", INPUT_X}, {"c", INPUT_C}, {"v", INPUT_V}, {"b", INPUT_B}, {"n", INPUT_N},
	{"m", INPUT_M}, {"comma", INPUT_COMMA}, {"dot", INPUT_DOT}, {"slash", INPUT_SLASH}, {"asterisk", INPUT_KPASTERISK},
	{"spc", INPUT_SPACE}, {"space", INPUT_SPACE}, {"caps_lock", INPUT_CAPSLOCK}, {"f1", INPUT_F1}, {"f2", INPUT_F2},
	{"f3", INPUT_F3}, {"f4", INPUT_F4}, {"f5", INPUT_F5}, {"f6", INPUT_F6}, {"f7", INPUT_F7}, {"f8", INPUT_F8}, {"f9", INPUT_F9},
	{"f10", INPUT_F10}, {"num_lock", INPUT_NUMLOCK}, {"scroll_lock", INPUT_SCROLLLOCK}, {"kp_divide", INPUT_KPSLASH},
	{"kp_multiply", INPUT_KPASTERISK}, {"kp_subtract", INPUT_KPMINUS}, {"kp_add", INPUT_KPPLUS}, {"kp_enter", INPUT_KPENTER},
	{"kp_decimal", INPUT_KPDOT}, {"sysrq", INPUT_SYSRQ}, {"kp_0", INPUT_KP0}, {"kp_1", INPUT_KP1}, {"kp_2", INPUT_KP2},
	{"kp_3", INPUT_KP3}, {"kp_4", INPUT_KP4}, {"kp_5", INPUT_KP5}, {"kp_6", INPUT_KP6}, {"kp_7", INPUT_KP7}, {"kp_8", INPUT_KP8},
	{"kp_9", INPUT_KP9}, {"less", INPUT_102ND}, {"<", INPUT_102ND}, {"f11", INPUT_F11}, {"f12", INPUT_F12}, {"print", INPUT_SYSRQ},
	{"home", INPUT_HOME}, {"pgup", INPUT_PAGEUP}, {"pgdn", INPUT_PAGEDOWN}, {"end", INPUT_END}, {"left", INPUT_LEFTARROW},
	{"up", INPUT_UP}, {"down", INPUT_DOWN}, {"right", INPUT_RIGHTARROW}, {"insert", INPUT_INSERT}, {"delete", INPUT_DELETE},
	{"stop", INPUT_STOP}, {"again", INPUT_AGAIN}, {"props", INPUT_PROPS}, {"undo", INPUT_UNDO}, {"front", INPUT_FRONT},
	{"copy", INPUT_COPY}, {"open", INPUT_OPEN}, {"paste", INPUT_PASTE}, {"find", INPUT_FIND}, {"cut", INPUT_CUT},
	{"lf", INPUT_LINEFEED}, {"help", INPUT_HELP}, {"meta_l", INPUT_LEFTMETA}, {"meta_r", INPUT_RIGHTMETA},
	{"compose", INPUT_COMPOSE}, {"pause", INPUT_PAUSE}, {"ro", INPUT_RO}, {"hiragana", INPUT_HIRAGANA}, {"henkan", INPUT_HENKAN},
	{"yen", INPUT_YEN}, {"muhenkan", INPUT_MUHENKAN}, {"katakanahiragana", INPUT_KATAKANAHIRAGANA}, {"kp_comma", INPUT_KPCOMMA},
	{"kp_equals", INPUT_KPEQUAL}, {"power", INPUT_POWER}, {"sleep", INPUT_SLEEP}, {"wake", INPUT_WAKEUP},
	{"audionext", INPUT_NEXTSONG}, {"audioprev", INPUT_PREVIOUSSONG}, {"audiostop", INPUT_STOPCD}, {"audioplay", INPUT_PLAYPAUSE},
	{"audiomute", INPUT_MUTE}, {"volumeup", INPUT_VOLUMEUP}, {"volumedown", INPUT_VOLUMEDOWN}, {"mediaselect", INPUT_MEDIA},
	{"mail", INPUT_MAIL}, {"calculator", INPUT_CALC}, {"computer", INPUT_COMPUTER}, {"ac_home", INPUT_HOMEPAGE},
	{"ac_back", INPUT_BACK}, {"ac_forward", INPUT_FORWARD}, {"ac_refresh", INPUT_REFRESH}, {"ac_bookmarks", INPUT_BOOKMARKS},
	{"lang1", INPUT_HANGEUL}, {"lang2", INPUT_HANJA}, {"f13", INPUT_F13}, {"f14", INPUT_F14}, {"f15", INPUT_F15},
	{"f16", INPUT_F16}, {"f17", INPUT_F17}, {"f18", INPUT_F18}, {"f19", INPUT_F19}, {"f20", INPUT_F20}, {"f21", INPUT_F21},
	{"f22", INPUT_F22}, {"f23", INPUT_F23}, {"f24", INPUT_F24},
};

/* The characters of each row of a US keyboard, without and with shift, from a key code upwards. */
static const struct {
	u8 first;
	const char *plain, *shifted;
} rows[] = {
	{INPUT_1, "1234567890-=", "!@#$%^&*()_+"},
	{INPUT_Q, "qwertyuiop[]", "QWERTYUIOP{}"},
	{INPUT_A, "asdfghjkl;'`", "ASDFGHJKL:\"~"},
	{INPUT_BACKSLASH, "\\zxcvbnm,./", "|ZXCVBNM<>?"},
};

static const struct {
	u32 keysym;
	u8 code;
} keysyms[] = {
	{' ', INPUT_SPACE}, {0xff08, INPUT_BACKSPACE}, {0xff09, INPUT_TAB}, {0xff0a, INPUT_LINEFEED}, {0xff0d, INPUT_ENTER},
	{0xff13, INPUT_PAUSE}, {0xff14, INPUT_SCROLLLOCK}, {0xff15, INPUT_SYSRQ}, {0xff1b, INPUT_ESC}, {0xffff, INPUT_DELETE},
	{0xff20, INPUT_COMPOSE}, {0xff22, INPUT_MUHENKAN}, {0xff23, INPUT_HENKAN}, {0xff25, INPUT_HIRAGANA}, {0xff26, INPUT_KATAKANA},
	{0xff27, INPUT_KATAKANAHIRAGANA}, {0xff2a, INPUT_ZENKAKUHANKAKU}, {0xff31, INPUT_HANGEUL}, {0xff34, INPUT_HANJA},
	{0xff50, INPUT_HOME}, {0xff51, INPUT_LEFTARROW}, {0xff52, INPUT_UP}, {0xff53, INPUT_RIGHTARROW}, {0xff54, INPUT_DOWN},
	{0xff55, INPUT_PAGEUP}, {0xff56, INPUT_PAGEDOWN}, {0xff57, INPUT_END}, {0xff61, INPUT_SYSRQ}, {0xff63, INPUT_INSERT},
	{0xff65, INPUT_UNDO}, {0xff66, INPUT_AGAIN}, {0xff67, INPUT_COMPOSE}, {0xff68, INPUT_FIND}, {0xff69, INPUT_STOP},
	{0xff6a, INPUT_HELP}, {0xff6b, INPUT_PAUSE}, {0xff7e, INPUT_RIGHTALT}, {0xff7f, INPUT_NUMLOCK},
	/* the keypad, with and without Num Lock */
	{0xff80, INPUT_SPACE}, {0xff8d, INPUT_KPENTER}, {0xff95, INPUT_KP7}, {0xff96, INPUT_KP4}, {0xff97, INPUT_KP8},
	{0xff98, INPUT_KP6}, {0xff99, INPUT_KP2}, {0xff9a, INPUT_KP9}, {0xff9b, INPUT_KP3}, {0xff9c, INPUT_KP1}, {0xff9d, INPUT_KP5},
	{0xff9e, INPUT_KP0}, {0xff9f, INPUT_KPDOT}, {0xffaa, INPUT_KPASTERISK}, {0xffab, INPUT_KPPLUS}, {0xffac, INPUT_KPDOT},
	{0xffad, INPUT_KPMINUS}, {0xffae, INPUT_KPDOT}, {0xffaf, INPUT_KPSLASH}, {0xffb0, INPUT_KP0}, {0xffb1, INPUT_KP1},
	{0xffb2, INPUT_KP2}, {0xffb3, INPUT_KP3}, {0xffb4, INPUT_KP4}, {0xffb5, INPUT_KP5}, {0xffb6, INPUT_KP6}, {0xffb7, INPUT_KP7},
	{0xffb8, INPUT_KP8}, {0xffb9, INPUT_KP9}, {0xffbd, INPUT_KPEQUAL},
	{0xffbe, INPUT_F1}, {0xffbf, INPUT_F2}, {0xffc0, INPUT_F3}, {0xffc1, INPUT_F4}, {0xffc2, INPUT_F5}, {0xffc3, INPUT_F6},
	{0xffc4, INPUT_F7}, {0xffc5, INPUT_F8}, {0xffc6, INPUT_F9}, {0xffc7, INPUT_F10}, {0xffc8, INPUT_F11}, {0xffc9, INPUT_F12},
	{0xffca, INPUT_F13}, {0xffcb, INPUT_F14}, {0xffcc, INPUT_F15}, {0xffcd, INPUT_F16}, {0xffce, INPUT_F17}, {0xffcf, INPUT_F18},
	{0xffd0, INPUT_F19}, {0xffd1, INPUT_F20}, {0xffd2, INPUT_F21}, {0xffd3, INPUT_F22}, {0xffd4, INPUT_F23}, {0xffd5, INPUT_F24},
	{0xffe1, INPUT_LEFTSHIFT}, {0xffe2, INPUT_RIGHTSHIFT}, {0xffe3, INPUT_LEFTCTRL}, {0xffe4, INPUT_RIGHTCTRL},
	{0xffe5, INPUT_CAPSLOCK}, {0xffe7, INPUT_LEFTALT}, {0xffe8, INPUT_RIGHTALT}, {0xffe9, INPUT_LEFTALT},
	{0xffea, INPUT_RIGHTALT}, {0xffeb, INPUT_LEFTMETA}, {0xffec, INPUT_RIGHTMETA}, {0xffed, INPUT_LEFTMETA},
	{0xffee, INPUT_RIGHTMETA}, {0xfe03, INPUT_RIGHTALT}, {0xfe20, INPUT_TAB},
	/* multimedia keys */
	{0x1008ff11, INPUT_VOLUMEDOWN}, {0x1008ff12, INPUT_MUTE}, {0x1008ff13, INPUT_VOLUMEUP}, {0x1008ff14, INPUT_PLAYPAUSE},
	{0x1008ff15, INPUT_STOPCD}, {0x1008ff16, INPUT_PREVIOUSSONG}, {0x1008ff17, INPUT_NEXTSONG}, {0x1008ff18, INPUT_HOMEPAGE},
	{0x1008ff19, INPUT_MAIL}, {0x1008ff1b, INPUT_SEARCH}, {0x1008ff1d, INPUT_CALC}, {0x1008ff26, INPUT_BACK},
	{0x1008ff27, INPUT_FORWARD}, {0x1008ff29, INPUT_REFRESH}, {0x1008ff2a, INPUT_POWER}, {0x1008ff2b, INPUT_WAKEUP},
	{0x1008ff2f, INPUT_SLEEP}, {0x1008ff30, INPUT_BOOKMARKS}, {0x1008ff32, INPUT_MEDIA}, {0x1008ff33, INPUT_COMPUTER},
};

static const u8 usages[] = {
	0, 0, 0, 0, INPUT_A, INPUT_B, INPUT_C, INPUT_D, INPUT_E, INPUT_F, INPUT_G, INPUT_H, INPUT_I, INPUT_J, INPUT_K, INPUT_L,
	INPUT_M, INPUT_N, INPUT_O, INPUT_P, INPUT_Q, INPUT_R, INPUT_S, INPUT_T, INPUT_U, INPUT_V, INPUT_W, INPUT_X, INPUT_Y, INPUT_Z,
	INPUT_1, INPUT_2, INPUT_3, INPUT_4, INPUT_5, INPUT_6, INPUT_7, INPUT_8, INPUT_9, INPUT_0,
	INPUT_ENTER, INPUT_ESC, INPUT_BACKSPACE, INPUT_TAB, INPUT_SPACE, INPUT_MINUS, INPUT_EQUAL, INPUT_LEFTBRACE, INPUT_RIGHTBRACE,
	INPUT_BACKSLASH, INPUT_BACKSLASH, INPUT_SEMICOLON, INPUT_APOSTROPHE, INPUT_GRAVE, INPUT_COMMA, INPUT_DOT, INPUT_SLASH,
	INPUT_CAPSLOCK, INPUT_F1, INPUT_F2, INPUT_F3, INPUT_F4, INPUT_F5, INPUT_F6, INPUT_F7, INPUT_F8, INPUT_F9, INPUT_F10,
	INPUT_F11, INPUT_F12, INPUT_SYSRQ, INPUT_SCROLLLOCK, INPUT_PAUSE, INPUT_INSERT, INPUT_HOME, INPUT_PAGEUP, INPUT_DELETE,
	INPUT_END, INPUT_PAGEDOWN, INPUT_RIGHTARROW, INPUT_LEFTARROW, INPUT_DOWN, INPUT_UP, INPUT_NUMLOCK, INPUT_KPSLASH,
	INPUT_KPASTERISK, INPUT_KPMINUS, INPUT_KPPLUS, INPUT_KPENTER, INPUT_KP1, INPUT_KP2, INPUT_KP3, INPUT_KP4, INPUT_KP5,
	INPUT_KP6, INPUT_KP7, INPUT_KP8, INPUT_KP9, INPUT_KP0, INPUT_KPDOT, INPUT_102ND, INPUT_COMPOSE, INPUT_POWER, INPUT_KPEQUAL,
	INPUT_F13, INPUT_F14, INPUT_F15, INPUT_F16, INPUT_F17, INPUT_F18, INPUT_F19, INPUT_F20, INPUT_F21, INPUT_F22, INPUT_F23,
	INPUT_F24, INPUT_OPEN, INPUT_HELP, INPUT_PROPS, INPUT_FRONT, INPUT_STOP, INPUT_AGAIN, INPUT_UNDO, INPUT_CUT, INPUT_COPY,
	INPUT_PASTE, INPUT_FIND, INPUT_MUTE, INPUT_VOLUMEUP, INPUT_VOLUMEDOWN,
	[133] = INPUT_KPCOMMA, [135] = INPUT_RO, INPUT_KATAKANAHIRAGANA, INPUT_YEN, INPUT_HENKAN, INPUT_MUHENKAN, INPUT_KPJPCOMMA,
	[144] = INPUT_HANGEUL, INPUT_HANJA, INPUT_KATAKANA, INPUT_HIRAGANA, INPUT_ZENKAKUHANKAKU,
	[224] = INPUT_LEFTCTRL, INPUT_LEFTSHIFT, INPUT_LEFTALT, INPUT_LEFTMETA, INPUT_RIGHTCTRL, INPUT_RIGHTSHIFT, INPUT_RIGHTALT,
	INPUT_RIGHTMETA,
};

/* Beyond those whose key codes are their scan codes. */
static const u8 plain_codes[0x80] = {
	[0x54] = INPUT_SYSRQ, [0x56] = INPUT_102ND, INPUT_F11, INPUT_F12, INPUT_KPEQUAL, [0x5c] = INPUT_KPJPCOMMA,
	[0x64] = INPUT_F13, INPUT_F14, INPUT_F15, INPUT_F16, INPUT_F17, INPUT_F18, INPUT_F19, INPUT_F20, INPUT_F21, INPUT_F22,
	INPUT_F23, [0x70] = INPUT_KATAKANAHIRAGANA, [0x73] = INPUT_RO, [0x76] = INPUT_ZENKAKUHANKAKU, INPUT_HIRAGANA, INPUT_KATAKANA,
	INPUT_HENKAN, [0x7b] = INPUT_MUHENKAN, [0x7d] = INPUT_YEN, INPUT_KPCOMMA,
};
static const u8 extended_codes[0x80] = {
	[0x10] = INPUT_PREVIOUSSONG, [0x19] = INPUT_NEXTSONG, [0x1c] = INPUT_KPENTER, INPUT_RIGHTCTRL, [0x20] = INPUT_MUTE, INPUT_CALC,
	INPUT_PLAYPAUSE, [0x24] = INPUT_STOPCD, [0x2e] = INPUT_VOLUMEDOWN, [0x30] = INPUT_VOLUMEUP, [0x32] = INPUT_HOMEPAGE,
	[0x35] = INPUT_KPSLASH, [0x37] = INPUT_SYSRQ, INPUT_RIGHTALT, [0x45] = INPUT_NUMLOCK, INPUT_PAUSE, INPUT_HOME, INPUT_UP,
	INPUT_PAGEUP, [0x4b] = INPUT_LEFTARROW, [0x4d] = INPUT_RIGHTARROW, [0x4f] = INPUT_END, INPUT_DOWN, INPUT_PAGEDOWN, INPUT_INSERT,
	INPUT_DELETE, [0x5b] = INPUT_LEFTMETA, INPUT_RIGHTMETA, INPUT_COMPOSE, INPUT_POWER, INPUT_SLEEP, [0x63] = INPUT_WAKEUP,
	[0x65] = INPUT_SEARCH, INPUT_BOOKMARKS, INPUT_REFRESH, [0x69] = INPUT_FORWARD, INPUT_BACK, INPUT_COMPUTER, INPUT_MAIL,
	INPUT_MEDIA,
};
/* clang-format on */

unsigned keys_by_scancode(unsigned code)
{
	unsigned low = code & 0x7f;

	if (code >> 8 && code >> 8 != 0xe0)
		return 0;
	if (code & 0x80 || code >> 8)
		return extended_codes[low];
	return low <= INPUT_KPDOT ? low : plain_codes[low];
}

unsigned keys_by_name(const char *name)
{
	char *end;

	for (unsigned i = 0; i < ARRAY_LEN(names); i++)
		if (!strcasecmp(names[i].name, name))
			return names[i].code;
	if (name[0] != '0' || (name[1] | 0x20) != 'x')
		return 0;
	unsigned long code = strtoul(name, &end, 16);
	return *end || code > 0xff ? 0 : keys_by_scancode(code);
}

const char *keys_name(unsigned index)
{
	return index < ARRAY_LEN(names) ? names[index].name : NULL;
}

unsigned keys_by_keysym(u32 keysym, enum keys_shift *shift)
{
	*shift = KEYS_ANY;
	for (unsigned i = 0; i < ARRAY_LEN(keysyms); i++)
		if (keysyms[i].keysym == keysym)
			return keysyms[i].code;
	if (keysym <= ' ' || keysym > '~')
		return 0;
	for (unsigned i = 0; i < ARRAY_LEN(rows); i++) {
		const char *at = strchr(rows[i].plain, (int)keysym);
		*shift = at ? KEYS_PLAIN : KEYS_SHIFTED;
		if (at)
			return rows[i].first + (unsigned)(at - rows[i].plain);
		at = strchr(rows[i].shifted, (int)keysym);
		if (at)
			return rows[i].first + (unsigned)(at - rows[i].shifted);
	}
	return 0;
}

unsigned keys_by_usage(unsigned usage)
{
	return usage < ARRAY_LEN(usages) ? usages[usage] : 0;
}

/* ---- typing ---- */

static bool is_down(const struct keys_typist *t, unsigned code)
{
	return t->down[code >> 3] >> (code & 7) & 1;
}

void keys_press(struct keys_typist *t, unsigned code, bool down)
{
	if (!code || code >= INPUT_KEYS || (!down && !is_down(t, code)))
		return;
	if (down && !is_down(t, code) && code == INPUT_CAPSLOCK)
		t->caps = !t->caps;
	if (down && is_down(t, code)) /* the host's repetition; the keyboard has its own */
		return;
	t->down[code >> 3] ^= 1u << (code & 7);
	t->key(t->opaque, code, down);
}

void keys_type(struct keys_typist *t, u32 keysym, bool down)
{
	enum keys_shift shift;
	unsigned code = keys_by_keysym(keysym, &shift);
	bool left = is_down(t, INPUT_LEFTSHIFT), right = is_down(t, INPUT_RIGHTSHIFT), held = left || right;
	bool letter = (keysym | 0x20) >= 'a' && (keysym | 0x20) <= 'z' && keysym < 0x80;
	bool wanted = (shift == KEYS_SHIFTED) ^ (letter && t->caps);

	if (!code)
		return;
	if (!down || shift == KEYS_ANY || held == wanted || is_down(t, code)) {
		keys_press(t, code, down);
		return;
	}
	/* the user's layout has this character elsewhere: shift goes the guest's way for this one stroke */
	if (wanted)
		t->key(t->opaque, INPUT_LEFTSHIFT, true);
	if (left && !wanted)
		t->key(t->opaque, INPUT_LEFTSHIFT, false);
	if (right && !wanted)
		t->key(t->opaque, INPUT_RIGHTSHIFT, false);
	keys_press(t, code, true);
	if (wanted)
		t->key(t->opaque, INPUT_LEFTSHIFT, false);
	if (left && !wanted)
		t->key(t->opaque, INPUT_LEFTSHIFT, true);
	if (right && !wanted)
		t->key(t->opaque, INPUT_RIGHTSHIFT, true);
}

void keys_release_all(struct keys_typist *t)
{
	for (unsigned code = 1; code < INPUT_KEYS; code++)
		keys_press(t, code, false);
}
