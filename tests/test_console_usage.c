// SPDX-License-Identifier: Apache-2.0
/* CPU and memory of a service. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "../exporters/cells.h"
#include "console_world.h"

#define WIDE 120

static void use(struct service *service, uint64_t cpu_ms, uint64_t resident_bytes)
{
	struct usage *usage = &service->usage;

	usage->counters[USAGE_CPU_USER_NS] = cpu_ms * MS - cpu_ms / 4 * MS;
	usage->counters[USAGE_CPU_SYSTEM_NS] = cpu_ms / 4 * MS;
	usage->has_counter[USAGE_CPU_USER_NS] = usage->has_counter[USAGE_CPU_SYSTEM_NS] = true;
	usage->gauges[USAGE_RESIDENT_BYTES] = resident_bytes;
	usage->has_gauge[USAGE_RESIDENT_BYTES] = true;
}

static void cpu_is_of_the_last_interval_and_memory_of_now(void **state)
{
	struct world *w = *state;
	struct service *shop = add_service(w, "shop"), *idle = add_service(w, "idle");

	add_series(w, shop, "/", 200);
	use(shop, 60000, 85 << 20);
	use(idle, 5, 640 << 10);
	open_screen(w, WIDE, 24);
	update(w); /* over what time it used that is not known */
	assert_line(w, "SERVICE",
		    "SERVICE METHOD ROUTE REQ/S ERR% P50 P95 P99 OPEN OLDEST T/O QUEUE CPU% MEM");
	assert_line(w, "GET", "shop GET / 0 - - - - 0 - 0 - 85M");
	use(shop, 60300, 1200 << 20);
	use(idle, 5, 640 << 10);
	pass(w, 2 * S);
	update(w);
	assert_line(w, "GET", "shop GET / 0 - - - - 0 - 0 - 15.0 1.2G");
	assert_line(w, "idle", "idle (no requests yet) 0 640K");
}

static void the_subtotal_has_them_for_all_routes(void **state)
{
	struct world *w = *state;
	struct service *shop = add_service(w, "shop");

	add_series(w, shop, "/a", 200);
	add_series(w, shop, "/b", 200);
	use(shop, 0, 8 << 20);
	open_screen(w, WIDE, 24);
	update(w);
	use(shop, 2500, 8 << 20);
	pass(w, S);
	update(w);
	assert_line(w, "(all)", "shop (all) 0 - - - - 0 - 0 - 250 8.0M");
	assert_line(w, "/a", "shop GET /a 0 - - - - 0 - 0");
}

/* What a service uses is read once a second. */
static void between_two_readings_the_last_share_stays(void **state)
{
	struct world *w = *state;
	struct service *shop = add_service(w, "shop");

	add_series(w, shop, "/", 200);
	use(shop, 0, 1 << 20);
	open_screen(w, WIDE, 24);
	update(w);
	for (int i = 1; i <= 6; i++) {
		if (i % 2 == 0)
			use(shop, (uint64_t)i * 100, 1 << 20);
		pass(w, S / 2);
		update(w);
		if (i > 1)
			assert_line(w, "GET", "shop GET / 0 - - - - 0 - 0 - 20.0 1.0M");
	}
}

static void what_is_not_known_or_gone_has_none(void **state)
{
	struct world *w = *state;
	struct service *shop = add_service(w, "shop");

	add_series(w, shop, "/", 200);
	open_screen(w, WIDE, 24);
	update(w);
	pass(w, S);
	update(w);
	assert_line(w, "GET", "shop GET / 0 - - - - 0 - 0 -");
	use(shop, 100, 1 << 20);
	shop->process_count = 0;
	pass(w, S);
	update(w);
	assert_line(w, "GET", "shop GET / 0 - - - - 0 - 0 -");
}

static void a_new_service_does_not_take_anothers_past(void **state)
{
	struct world *w = *state;
	struct service *first = add_service(w, "first"), *second = add_service(w, "second");

	use(first, 1000, 1 << 20);
	use(second, 2000, 1 << 20);
	open_screen(w, WIDE, 24);
	update(w);
	w->service_list[0] = second; /* the first has gone for good */
	w->service_list[1] = first;
	first->id = 100;
	use(second, 2100, 1 << 20);
	pass(w, S);
	update(w);
	assert_line(w, "second", "second (no requests yet) 10.0 1.0M");
	assert_line(w, "first", "first (no requests yet) 1.0M");
}

static void bytes_have_three_digits_at_most(void **state)
{
	static const struct {
		uint64_t bytes;
		const char *text;
	} cases[] = {
		{0, "0K"},
		{1 << 10, "1K"},
		{999 << 10, "999K"},
		{1 << 20, "1.0M"},
		{(10 << 20) - 1, "10M"},
		{999ull << 20, "999M"},
		{1ull << 30, "1.0G"},
		{99ull << 30, "99.0G"},
		{100ull << 30, "100G"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		char out[CELLS_NUMBER_MAX];

		cells_bytes(out, cases[i].bytes);
		assert_string_equal(out, cases[i].text);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(cpu_is_of_the_last_interval_and_memory_of_now),
		TEST(the_subtotal_has_them_for_all_routes),
		TEST(between_two_readings_the_last_share_stays),
		TEST(what_is_not_known_or_gone_has_none),
		TEST(a_new_service_does_not_take_anothers_past),
		cmocka_unit_test(bytes_have_three_digits_at_most),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
