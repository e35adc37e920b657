// SPDX-License-Identifier: Apache-2.0
/* What looks random?
 *
 * Names and tokens differ in how letters, capitals and digits follow each other: in names lower
 * case follows lower case and digits come at the end; in tokens anything follows anything. Each
 * pair of neighbours scores 10 * ln(P(pair in a random token) / P(pair in a name)). A segment looks
 * random when its most random stretch scores LOOKS_RANDOM; only a stretch, because of
 * cus_9s6XKzkNRiz8i3 and main.BfF3sZ2kQ9xYv1.js.
 *
 * The scores were counted over 529,000 identifiers and file names (C headers, Python, /usr),
 * 124,000 of them with digits, against uniform base62 and base36. All rules of this file together
 * take 0.35 % of those names, nearly all of them hashes, code points or names such as
 * nvvm_wmma_m8n32k16_load_a_s8_row; of random tokens they find: ULID 99 %, cuid 98 %, KSUID 95 %,
 * base64 of 32 bytes 99 %, of 16 bytes 78 %, nanoid 75 %, 11 characters 21 %. The rest is left to
 * learning by value, which is not misled by names. A stretch with one digit must score more
 * (convertUtf8ToBase64); one without is never taken. */
#include "segment.h"

#include <stdint.h>
#include <string.h>

#define LOOKS_RANDOM 55
#define LOOKS_RANDOM_ONE_DIGIT 65
#define RANDOM_MIN 10 /* shorter is left to learning */
#define HASH_MIN 8 /* hex digits, or digits in a row */
#define DECODED_MAX 512

enum class {
	DIGIT = 0x01,
	LOWER = 0x02,
	UPPER = 0x04,
	MARK = 0x08, /* punctuation of numbers, dates, times, lists, addresses */
	HEX = 0x10,
	ESCAPE = 0x20,
	AT = 0x40,
};

#define LETTER (LOWER | UPPER)

static const uint8_t classes[256] = {
	['0' ... '9'] = DIGIT | HEX,
	['a' ... 'f'] = LOWER | HEX,
	['g' ... 'z'] = LOWER,
	['A' ... 'F'] = UPPER | HEX,
	['G' ... 'Z'] = UPPER,
	['+'] = MARK,
	['-'] = MARK,
	['.'] = MARK,
	[','] = MARK,
	['_'] = MARK,
	[':'] = MARK,
	['~'] = MARK,
	['('] = MARK,
	[')'] = MARK,
	[' '] = MARK,
	['%'] = ESCAPE,
	['@'] = AT,
};

static uint8_t class_of(char byte)
{
	return classes[(uint8_t)byte];
}

/* The byte at s, decoded, and in *used how many bytes it took; len > 0. */
static char decode_byte(const char *s, size_t len, size_t *used)
{
	static const int8_t values[256] = {
		['1'] = 1,  ['2'] = 2,  ['3'] = 3,  ['4'] = 4,  ['5'] = 5,  ['6'] = 6,  ['7'] = 7,
		['8'] = 8,  ['9'] = 9,  ['a'] = 10, ['b'] = 11, ['c'] = 12, ['d'] = 13, ['e'] = 14,
		['f'] = 15, ['A'] = 10, ['B'] = 11, ['C'] = 12, ['D'] = 13, ['E'] = 14, ['F'] = 15,
	};

	*used = 1;
	if (s[0] != '%' || len < 3 || !(class_of(s[1]) & HEX) || !(class_of(s[2]) & HEX))
		return s[0];
	*used = 3;
	return (char)(values[(uint8_t)s[1]] << 4 | values[(uint8_t)s[2]]);
}

bool segment_equal(const char *a, size_t a_len, const char *b, size_t b_len)
{
	while (a_len && b_len) {
		size_t a_used, b_used;

		if (decode_byte(a, a_len, &a_used) != decode_byte(b, b_len, &b_used))
			return false;
		a += a_used;
		a_len -= a_used;
		b += b_used;
		b_len -= b_used;
	}
	return a_len == b_len;
}

static bool is_uuid(const char *s, size_t len)
{
	if (len == 38 && s[0] == '{' && s[37] == '}') {
		s++;
		len -= 2;
	}
	if (len != 36)
		return false;
	for (size_t i = 0; i < len; i++) {
		bool dash = i == 8 || i == 13 || i == 18 || i == 23;

		if (dash ? s[i] != '-' : !(class_of(s[i]) & HEX))
			return false;
	}
	return true;
}

/* One '@' with something before it and, after it, labels ending in a top-level domain. */
static bool is_email(const char *s, size_t len)
{
	const char *at = memchr(s, '@', len), *end = s + len, *dot = NULL;

	if (!at || at == s || memchr(at + 1, '@', (size_t)(end - at - 1)))
		return false;
	if (end - at > 3 && class_of(at[1]) & DIGIT && at[2] == 'x' && at[3] == '.')
		return false; /* logo@2x.png */
	for (const char *c = at + 1; c < end; c++) {
		if (*c == '.')
			dot = c;
		else if (!(class_of(*c) & (DIGIT | LETTER)) && *c != '-' && !((uint8_t)*c & 0x80))
			return false;
	}
	if (!dot || dot == at + 1 || end - dot < 3)
		return false;
	for (const char *c = dot + 1; c < end; c++) {
		if (!(class_of(*c) & LETTER) && !((uint8_t)*c & 0x80))
			return false;
	}
	return true;
}

static bool is_hex_number(const char *s, size_t len)
{
	if (len < 3 || s[0] != '0' || (s[1] | 0x20) != 'x')
		return false;
	for (size_t i = 2; i < len; i++) {
		if (!(class_of(s[i]) & HEX))
			return false;
	}
	return true;
}

/* Two digits at s as a number. */
static int two_digits(const char *s)
{
	return (s[0] - '0') * 10 + s[1] - '0';
}

/* YYYY-MM-DD at the beginning of s, with no further digit. */
static bool begins_with_date(const char *s, size_t len)
{
	if (len < 10 || s[4] != '-' || s[7] != '-' || (len > 10 && class_of(s[10]) & DIGIT))
		return false;
	for (size_t i = 0; i < 10; i++) {
		if (i != 4 && i != 7 && !(class_of(s[i]) & DIGIT))
			return false;
	}
	return two_digits(s + 5) >= 1 && two_digits(s + 5) <= 12 && two_digits(s + 8) >= 1 &&
	       two_digits(s + 8) <= 31;
}

/* A run of letters and digits: a hash, or a serial number or time with enough digits in a row. */
static bool is_hash(const char *s, size_t len)
{
	size_t digit_count = 0, longest = 0, run = 0;
	bool hex = true;

	if (len < HASH_MIN)
		return false;
	for (size_t i = 0; i < len; i++) {
		hex = hex && class_of(s[i]) & HEX;
		run = class_of(s[i]) & DIGIT ? run + 1 : 0;
		digit_count += run > 0;
		longest = run > longest ? run : longest;
	}
	if ((s[0] | 0x20) == 'v' && digit_count == len - 1)
		return false; /* a version */
	return (hex && digit_count) || longest >= HASH_MIN;
}

static bool has_hash_or_date(const char *s, size_t len)
{
	size_t begin = 0;

	for (size_t i = 0; i <= len; i++) {
		if (i < len && class_of(s[i]) & (DIGIT | LETTER))
			continue;
		if (i > begin && (is_hash(s + begin, i - begin) ||
				  (i - begin == 4 && begins_with_date(s + begin, len - begin))))
			return true;
		begin = i + 1;
	}
	return false;
}

/* A number, then extensions of 2 to 10 letters and digits: 12345.jpg; but not 1.x or 2.0-beta. */
static bool is_numbered_file(const char *s, size_t len)
{
	const char *dot = memchr(s, '.', len);
	size_t extension = 0, stem_len;

	if (!dot)
		return false;
	stem_len = (size_t)(dot - s);
	if (!stem_len || !(class_of(s[stem_len - 1]) & DIGIT))
		return false;
	for (size_t i = 0; i < stem_len; i++) {
		if (!(class_of(s[i]) & (DIGIT | MARK)))
			return false;
	}
	for (size_t i = stem_len + 1; i <= len; i++) {
		if (i == len || s[i] == '.') {
			if (extension < 2 || extension > 10)
				return false;
			extension = 0;
		} else if (!(class_of(s[i]) & (extension ? DIGIT | LETTER : LETTER))) {
			return false;
		} else {
			extension++;
		}
	}
	return true;
}

enum kind { KIND_LOWER, KIND_UPPER, KIND_DIGIT, KIND_OTHER };

static enum kind kind_of(char byte, bool mixed)
{
	uint8_t class = class_of(byte);

	if (class & DIGIT)
		return KIND_DIGIT;
	if (class & LETTER)
		return mixed && class & UPPER ? KIND_UPPER : KIND_LOWER;
	return KIND_OTHER;
}

static bool looks_random(const char *s, size_t len, bool mixed)
{
	/* [one case, mixed case][kind before][kind after] */
	static const int8_t scores[2][4][4] = {
		{{-1, 0, 17, -20}, {0, 0, 0, 0}, {18, 0, -6, -20}, {-2, 0, 6, -10}},
		{{-6, 15, 9, -10}, {4, -2, 2, -13}, {12, 12, -12, -20}, {-2, 1, 3, -10}},
	};
	int score = 0, digit_count = 0;
	enum kind before;

	if (len < RANDOM_MIN)
		return false;
	before = kind_of(s[0], mixed);
	for (size_t i = 1; i < len; i++) {
		enum kind after = kind_of(s[i], mixed);

		if (score <= 0) { /* a new stretch begins */
			score = 0;
			digit_count = before == KIND_DIGIT;
		}
		score += scores[mixed][before][after];
		digit_count += after == KIND_DIGIT;
		if (digit_count &&
		    score >= (digit_count > 1 ? LOOKS_RANDOM : LOOKS_RANDOM_ONE_DIGIT))
			return true;
		before = after;
	}
	return false;
}

static bool decoded_is_variable(const char *s, size_t len)
{
	uint8_t seen = 0;
	bool marks_only = true;

	for (size_t i = 0; i < len; i++) {
		uint8_t class = class_of(s[i]);

		seen |= class;
		marks_only = marks_only && class & (DIGIT | MARK);
	}
	if (seen & AT && is_email(s, len))
		return true;
	if (!(seen & DIGIT))
		return is_uuid(s, len);
	return marks_only || is_uuid(s, len) || is_hex_number(s, len) || has_hash_or_date(s, len) ||
	       is_numbered_file(s, len) || looks_random(s, len, seen & LOWER && seen & UPPER);
}

bool segment_is_variable(const char *segment, size_t len)
{
	char decoded[DECODED_MAX]; /* of a longer segment its beginning decides */
	size_t decoded_len = 0;

	if (!memchr(segment, '%', len))
		return decoded_is_variable(segment, len);
	while (len && decoded_len < sizeof(decoded)) {
		size_t used;

		decoded[decoded_len++] = decode_byte(segment, len, &used);
		segment += used;
		len -= used;
	}
	return decoded_is_variable(decoded, decoded_len);
}

/* How many bytes at s are one character of UTF-8 (RFC 3629) above U+009F; 0 if none. */
static size_t character_len(const char *s, size_t len)
{
	const uint8_t *b = (const uint8_t *)s;
	uint8_t low = 0x80, high = 0xbf;
	size_t want;

	if (b[0] < 0xc2 || b[0] > 0xf4)
		return 0;
	want = b[0] < 0xe0 ? 2 : b[0] < 0xf0 ? 3 : 4;
	if (len < want)
		return 0;
	if (b[0] == 0xc2 || b[0] == 0xe0) /* C1 controls; overlong */
		low = 0xa0;
	else if (b[0] == 0xf0)
		low = 0x90;
	if (b[0] == 0xed) /* surrogates */
		high = 0x9f;
	else if (b[0] == 0xf4) /* above U+10FFFF */
		high = 0x8f;
	if (b[1] < low || b[1] > high)
		return 0;
	for (size_t i = 2; i < want; i++) {
		if ((b[i] & 0xc0) != 0x80)
			return 0;
	}
	return want;
}

static bool is_plain(char byte)
{
	return byte > ' ' && byte < 0x7f && byte != '{' && byte != '}' && byte != '%';
}

size_t segment_encode(char *out, size_t room, const char *segment, size_t len)
{
	static const char hex[] = "0123456789ABCDEF";
	size_t written = 0;

	while (len) {
		size_t used = 1;
		uint8_t byte;

		if (is_plain(*segment) || (used = character_len(segment, len))) {
			if (room - written < used)
				return SIZE_MAX;
			memcpy(out + written, segment, used);
			written += used;
		} else {
			byte = (uint8_t)*segment;
			used = 1;
			if (byte == '%') {
				char decoded = decode_byte(segment, len, &used);

				byte = (uint8_t)(used == 3 ? decoded : '%');
			}
			if (room - written < 3)
				return SIZE_MAX;
			out[written++] = '%';
			out[written++] = hex[byte >> 4];
			out[written++] = hex[byte & 15];
		}
		segment += used;
		len -= used;
	}
	return written;
}
