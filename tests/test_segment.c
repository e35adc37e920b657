// SPDX-License-Identifier: Apache-2.0
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "../agent/segment.h"

#define ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))

static void assert_all(const char *const *segments, size_t count, bool variable)
{
	for (size_t i = 0; i < count; i++) {
		if (segment_is_variable(segments[i], strlen(segments[i])) != variable)
			fail_msg("\"%s\" is %s", segments[i],
				 variable ? "not variable" : "variable");
	}
}

static void numbers_are_variable(void **state)
{
	static const char *const segments[] = {
		"0",           "7",
		"42",          "-17",
		"+5",          "3.14",
		"-0.5",        "1,234",
		"1,2,3",       "10-20",
		"1_000",       "10.0.0.1",
		"52.52,13.40", "%2B4917012345",
		"(555)%20123", "0x1f",
		"0XFF",        "18446744073709551616",
	};

	(void)state;
	assert_all(segments, ARRAY_SIZE(segments), true);
}

static void uuids_are_variable(void **state)
{
	static const char *const segments[] = {
		"550e8400-e29b-41d4-a716-446655440000",
		"550E8400-E29B-41D4-A716-446655440000",
		"00000000-0000-0000-0000-000000000000",
		"deadbeef-dead-beef-dead-beefdeadbeef",
		"550e8400e29b41d4a716446655440000",
		"%7B550e8400-e29b-41d4-a716-446655440000%7D",
		"user-550e8400-e29b-41d4-a716-446655440000",
		"{deadbeef-dead-beef-dead-beefdeadbeef}",
		"550e8400-e29b-41d4-a716-446655440000.pdf",
		"urn:uuid:550e8400-e29b-41d4-a716-446655440000",
	};

	(void)state;
	assert_all(segments, ARRAY_SIZE(segments), true);
}

static void hex_of_eight_or_more_with_a_digit_is_variable(void **state)
{
	static const char *const yes[] = {
		"3f2a9c1b",
		"DEADBEE5",
		"507f1f77bcf86cd799439011",
		"da39a3ee5e6b4b0d3255bfef95601890afd80709",
		"main.3f2a9c1b.js",
		"chunk-2d0a4f1c.css",
		"app~3f2a9c1b.js",
		"abc%2D3f2a9c1b",
	};
	static const char *const no[] = {
		"deadbeef", "facade", "decade",          "a1b2c3d",
		"cafe",     "added",  "defaced-facades", "bad5eed-x",
	};

	(void)state;
	assert_all(yes, ARRAY_SIZE(yes), true);
	assert_all(no, ARRAY_SIZE(no), false);
}

static void dates_and_times_are_variable(void **state)
{
	static const char *const segments[] = {
		"2024-01-31",
		"20240131",
		"2024-01",
		"2024",
		"10:30",
		"10%3A30",
		"2024-01-31T10:00:00Z",
		"2024-01-31T10%3A00%3A00.000Z",
		"20240131T100000Z",
		"2024-01-31T10:00:00+02:00",
		"2024-01-31%2010:00:00",
		"1700000000",
		"1700000000123",
		"report-2024-01-31.csv",
		"backup_20240131.tar.gz",
		"2024-01-31-what-we-did",
	};

	(void)state;
	assert_all(segments, ARRAY_SIZE(segments), true);
}

static void email_addresses_are_variable(void **state)
{
	static const char *const yes[] = {
		"ann@example.com",
		"ann%40example.com",
		"ann.lee%2Bshop@mail.example.co.uk",
		"o'neil@example.org",
		"m\xc3\xbcller@b\xc3\xb6rse.example",
	};
	static const char *const no[] = {
		"@angular", "@example.com", "ann@localhost", "lodash@4.17.x-", "logo@2x.png",
		"a@b@c.de", "ann@.com",     "ann@example.",  "ann@example.c",  "ann@exa mple.com",
	};

	(void)state;
	assert_all(yes, ARRAY_SIZE(yes), true);
	assert_all(no, ARRAY_SIZE(no), false);
}

static void random_tokens_are_variable(void **state)
{
	static const char *const segments[] = {
		"01ARZ3NDEKTSV4RRFFQ69G5FAV",
		"01h455vb4pex5vsknk084sn02q", /* ULIDs */
		"V1StGXR8_Z5jdHi6B-myT",
		"0ujtsYcgvSTl8PAuAdqWYSMnLOv", /* nanoid, KSUID */
		"cjld2cjxh0000qzrmn831i7rn",
		"tz4a98xxat96iws9zmbrgj3a", /* cuids */
		"cus_9s6XKzkNRiz8i3",
		"main.BfF3sZ2kQ9xYv1.js",
		"7Fsg1D0lqkYbT5cXhR3uVw%3D%3D",
		"dQw4w9WgXcQ1zR8",
		"1BxiMVs0XRA5nFMdKvBdBZjgmUUqptlbs74OgvE2upms",
		"eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0NTY3In0.dozjgNryP4J3jVmN_HlwXgLn",
	};

	(void)state;
	assert_all(segments, ARRAY_SIZE(segments), true);
}

static void files_named_by_a_number_are_variable(void **state)
{
	static const char *const yes[] = {"12345.jpg", "7.json", "42.tar.gz", "2024-01.pdf",
					  "404.html"};
	static const char *const no[] = {"1.x", "2.0-beta", "3.11rc1", "12..js", "1.abcdefghijk"};

	(void)state;
	assert_all(yes, ARRAY_SIZE(yes), true);
	assert_all(no, ARRAY_SIZE(no), false);
}

static const char *const names[] = {
	"",
	".",
	"..",
	"-",
	"...",
	"users",
	"orders",
	"api",
	"v1",
	"V2",
	"v2.1",
	"v1.0.0",
	"v20240131",
	"v1beta1",
	"v2alpha",
	"oauth2",
	"oauth2callback",
	"utf8",
	"utf8mb4",
	"base64",
	"sha256",
	"md5",
	"x509",
	"s3",
	"ec2",
	"k8s",
	"i18n",
	"l10n",
	"a11y",
	"mp3",
	"h264",
	"x86_64",
	"arm64",
	"ipv4",
	"web3",
	"index.html",
	"favicon.ico",
	"robots.txt",
	"style.min.css",
	"jquery-3.6.0.min.js",
	"sw.js",
	"apple-touch-icon-180x180.png",
	"font-awesome-5.woff2",
	"manifest.webmanifest",
	"getUserById",
	"getURLForIDInXML",
	"convertUtf8ToBase64",
	"listOAuth2Clients",
	"parseX509Cert",
	"list-all-orders",
	"list-all-orders-2024",
	"order-12345",
	"top-10-of-2024",
	"covid19-2020",
	"us-east-1",
	"us-east-1a",
	"eu-central-1",
	"en-US",
	"pt_BR",
	"python3.11-slim",
	"node18-alpine3.17",
	"win32-x64-msvc2019",
	"k8s-cluster-v2-west1",
	"h264-1080p-60fps",
	"users:batchGet",
	".well-known",
	"openid-configuration",
	"wp-login.php",
	"graphql",
	"$metadata",
	"Products(abc)",
	"UPPER_CASE_NAME",
	"HTTP2",
	"ISO8601",
	"RFC7231",
	"_next",
	"__webpack_hmr",
	"caf%C3%A9",
	"caf\xc3\xa9",
	"%7Bid%7D",
	"internationalisation-of-the-longest-words-ever-written",
	"Donaudampfschifffahrtsgesellschaft",
};

static void names_are_not_variable(void **state)
{
	(void)state;
	assert_all(names, ARRAY_SIZE(names), false);
}

/* What learning by value is left with; a change of these rates is meant to be noticed. */
static void most_random_tokens_are_recognised(void **state)
{
	static const char alphabet[] =
		"0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ-_";
	static const struct {
		size_t letters, len, percent;
	} cases[] = {{64, 21, 70}, {64, 32, 90}, {64, 43, 97},
		     {62, 27, 90}, {36, 25, 94}, {36, 16, 80}};
	uint64_t x = 88172645463325252;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		size_t found = 0;

		for (int round = 0; round < 2000; round++) {
			char token[64];

			for (size_t j = 0; j < cases[i].len; j++) {
				x ^= x << 13; /* xorshift64 */
				x ^= x >> 7;
				x ^= x << 17;
				token[j] = alphabet[(x >> 20) % cases[i].letters];
			}
			found += segment_is_variable(token, cases[i].len);
		}
		if (found * 100 < cases[i].percent * 2000)
			fail_msg("%zu of 2000 tokens of %zu out of %zu", found, cases[i].len,
				 cases[i].letters);
	}
}

static void a_long_segment_is_judged_by_its_beginning(void **state)
{
	char segment[4096];

	(void)state;
	memset(segment, 'a', sizeof(segment));
	assert_false(segment_is_variable(segment, sizeof(segment)));
	for (size_t i = 0; i < sizeof(segment); i++)
		segment[i] = "%41a7Zk2"[i % 8];
	assert_true(segment_is_variable(segment, sizeof(segment)));
}

static void segments_are_equal_when_they_decode_to_the_same(void **state)
{
	static const struct {
		const char *a, *b;
		bool equal;
	} cases[] = {
		{"", "", true},
		{"a", "a", true},
		{"a", "b", false},
		{"a", "ab", false},
		{"ab", "a", false},
		{"%61", "a", true},
		{"caf%c3%a9", "caf\xc3\xa9", true},
		{"%C3%a9", "%c3%A9", true},
		{"%", "%25", true},
		{"%4", "%4", true},
		{"%4g", "%4g", true},
		{"%4g", "Dg", false},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
		assert_int_equal(segment_equal(cases[i].a, strlen(cases[i].a), cases[i].b,
					       strlen(cases[i].b)),
				 cases[i].equal);
}

static void what_a_label_cannot_hold_is_encoded(void **state)
{
	static const struct {
		const char *segment;
		size_t len;
		const char *encoded;
	} cases[] = {
		{"plain-._~!$&'()*+,=:@\"\\<>|^`", 28, "plain-._~!$&'()*+,=:@\"\\<>|^`"},
		{"a b\tc\x7f", 6, "a%20b%09c%7F"},
		{"a\0b", 3, "a%00b"},
		{"{id}", 4, "%7Bid%7D"},
		{"%7bid%7d", 8, "%7Bid%7D"},
		{"100%", 4, "100%25"},
		{"%4", 2, "%254"},
		{"%zz", 3, "%25zz"},
		{"%2f%0a%00", 9, "%2F%0A%00"},
		{"\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80", 9, "\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80"},
		{"\xc2\xa0\xc2\x9f\xc2\x80", 6, "\xc2\xa0%C2%9F%C2%80"}, /* U+00A0 is no control */
		{"\xc0\xaf\xc1\x81", 4, "%C0%AF%C1%81"}, /* overlong, 2 bytes */
		{"\xe0\x9f\xbf\xe0\xa0\x80", 6, "%E0%9F%BF\xe0\xa0\x80"}, /* overlong, 3 */
		{"\xf0\x8f\xbf\xbf\xf0\x90\x80\x80", 8,
		 "%F0%8F%BF%BF\xf0\x90\x80\x80"}, /* overlong, 4 */
		{"\xed\x9f\xbf\xed\xa0\x80", 6, "\xed\x9f\xbf%ED%A0%80"}, /* surrogate */
		{"\xf4\x8f\xbf\xbf\xf4\x90\x80\x80", 8,
		 "\xf4\x8f\xbf\xbf%F4%90%80%80"}, /* > U+10FFFF */
		{"\xe2\x82", 2, "%E2%82"}, /* cut short */
		{"\xe2\x82x", 3, "%E2%82x"},
		{"\xff\x80", 2, "%FF%80"},
	};
	char out[128];

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		size_t len = segment_encode(out, sizeof(out), cases[i].segment, cases[i].len);

		assert_int_equal(len, strlen(cases[i].encoded));
		assert_memory_equal(out, cases[i].encoded, len);
	}
}

static void nothing_is_written_beyond_the_room(void **state)
{
	static const char segment[] = "ab\xc3\xa9 %41z";
	char out[16];
	size_t whole = segment_encode(out, sizeof(out), segment, sizeof(segment) - 1);

	(void)state;
	assert_int_equal(whole, 11);
	for (size_t room = 0; room <= whole; room++) {
		memset(out, '#', sizeof(out));
		assert_int_equal(segment_encode(out, room, segment, sizeof(segment) - 1),
				 room < whole ? SIZE_MAX : whole);
		for (size_t i = room; i < sizeof(out); i++)
			assert_int_equal(out[i], '#');
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(numbers_are_variable),
		cmocka_unit_test(uuids_are_variable),
		cmocka_unit_test(hex_of_eight_or_more_with_a_digit_is_variable),
		cmocka_unit_test(dates_and_times_are_variable),
		cmocka_unit_test(email_addresses_are_variable),
		cmocka_unit_test(random_tokens_are_variable),
		cmocka_unit_test(files_named_by_a_number_are_variable),
		cmocka_unit_test(names_are_not_variable),
		cmocka_unit_test(most_random_tokens_are_recognised),
		cmocka_unit_test(a_long_segment_is_judged_by_its_beginning),
		cmocka_unit_test(segments_are_equal_when_they_decode_to_the_same),
		cmocka_unit_test(what_a_label_cannot_hold_is_encoded),
		cmocka_unit_test(nothing_is_written_beyond_the_room),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
