/* Escaping: at every size of the space for it. What is escaped is checked with the log. */
#include "units.h"

#include <string.h>

#include "base/printable.h"

START_TEST(copy_stops_before_what_does_not_fit) {
    static const char text[] = "a\n\xc3\xa9\xf0\x9f\x8d\x8e";
    /* bytes of room, bytes written, bytes of the text they stand for */
    static const size_t cases[][3] = {{0, 0, 0},  {1, 1, 1},   {2, 1, 1},  {4, 1, 1},
                                      {5, 5, 2},  {6, 5, 2},   {7, 7, 4},  {8, 7, 4},
                                      {10, 7, 4}, {11, 11, 8}, {12, 11, 8}};
    static const char whole[] = "a\\x0a\xc3\xa9\xf0\x9f\x8d\x8e";
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        char out[16];
        size_t taken = 99;
        memset(out, '~', sizeof(out));
        ck_assert_uint_eq(printable_copy(out, cases[i][0], slice_of(text), &taken), cases[i][1]);
        ck_assert_uint_eq(taken, cases[i][2]);
        ck_assert_mem_eq(out, whole, cases[i][1]);
        for (size_t j = cases[i][1]; j < sizeof(out); j++)
            ck_assert_int_eq(out[j], '~');
    }
}
END_TEST

START_TEST(nul_bytes_and_cut_sequences_are_shown) {
    char out[32];
    size_t taken;
    size_t n = printable_copy(out, sizeof(out), SLICE("\0\xe2\x82"), &taken);
    ck_assert_uint_eq(taken, 3);
    ck_assert_uint_eq(n, 12);
    ck_assert_mem_eq(out, "\\x00\\xe2\\x82", 12);
}
END_TEST

START_TEST(buffer_gets_dots_after_256_bytes) {
    char text[300];
    memset(text, 'a', sizeof(text));
    for (size_t n = 254; n < 300; n++) {
        struct buf b = {0};
        printable_put(&b, (struct slice){text, n});
        ck_assert_uint_eq(b.n, n <= 256 ? n : 259);
        ck_assert_mem_eq(b.p + b.n - 3, n <= 256 ? "aaa" : "...", 3);
        buf_fini(&b);
    }
}
END_TEST

Suite *suite_printable(void) {
    Suite *s = suite_create("printable");
    TCase *t = tcase_create("escape");
    tcase_add_test(t, copy_stops_before_what_does_not_fit);
    tcase_add_test(t, nul_bytes_and_cut_sequences_are_shown);
    tcase_add_test(t, buffer_gets_dots_after_256_bytes);
    suite_add_tcase(s, t);
    return s;
}
