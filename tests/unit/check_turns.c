/* Turns: one has it, the others wait, and nobody waits for ever. */
#include "units.h"

#include "base/clock.h"
#include "cache/turns.h"

static const struct slice name = SLICE_INIT("name");
static const int64_t lease = TURNS_LEASE_MS * NS_PER_MS;

START_TEST(one_has_it_until_it_is_given_back) {
    struct turns turns = {0};
    const int a = 0;
    const int b = 0;
    ck_assert(turns_take(&turns, name, &a, 0));
    ck_assert(turns_take(&turns, name, &a, 1));
    ck_assert(!turns_take(&turns, name, &b, 1));
    turns_give_back(&turns, name, &b);
    ck_assert_uint_eq(turns.returned, 0);
    ck_assert(!turns_take(&turns, name, &b, 1));
    turns_give_back(&turns, name, &a);
    ck_assert_uint_eq(turns.returned, UINT64_C(1) << turns_seat(name));
    ck_assert(turns_take(&turns, name, &b, 1));
    ck_assert(!turns_take(&turns, name, &a, 1));
}
END_TEST

START_TEST(it_ends_if_it_is_not_used) {
    struct turns turns = {0};
    const int a = 0;
    const int b = 0;
    ck_assert(turns_take(&turns, name, &a, 0));
    ck_assert(turns_take(&turns, name, &a, lease - 1));
    ck_assert(!turns_take(&turns, name, &b, lease));
    ck_assert(turns_take(&turns, name, &b, 2 * lease - 1));
    turns_give_back(&turns, name, &a);
    ck_assert(!turns_take(&turns, name, &a, 2 * lease));
}
END_TEST

START_TEST(most_names_have_turns_of_their_own) {
    struct turns turns = {0};
    static const int whose[TURNS_SEATS];
    int taken = 0;
    for (int i = 0; i < TURNS_SEATS; i++)
        taken += turns_take(&turns, (struct slice){(const char *)&i, sizeof(i)}, &whose[i], 0);
    ck_assert_int_gt(taken, TURNS_SEATS / 2);
}
END_TEST

Suite *suite_turns(void) {
    Suite *s = suite_create("turns");
    TCase *t = tcase_create("turns");
    tcase_add_test(t, one_has_it_until_it_is_given_back);
    tcase_add_test(t, it_ends_if_it_is_not_used);
    tcase_add_test(t, most_names_have_turns_of_their_own);
    suite_add_tcase(s, t);
    return s;
}
