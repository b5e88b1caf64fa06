/* The growing buffer: content, growth, the sticky error. */
#include "units.h"

#include <inttypes.h>
#include <stdio.h>

#include "base/buf.h"
#include "support.h"

/* The buffer's text is exactly this. */
static void assert_text(const struct buf *b, const char *text) {
    ck_assert_msg(slice_eq(buf_slice(b), slice_of(text)), "\"%.*s\" instead of \"%s\"", (int)b->n,
                  b->p, text);
}

START_TEST(pieces_stand_one_after_the_other) {
    struct buf b = {0};
    buf_put(&b, "ab", 2);
    buf_put_slice(&b, SLICE("cd"));
    buf_put_char(&b, 'e');
    buf_puts(&b, "fg");
    buf_put_uint(&b, 7);
    buf_put_int(&b, -8);
    buf_printf(&b, "[%s:%03d]", "x", 5);
    ck_assert(!buf_failed(&b));
    assert_text(&b, "abcdefg7-8[x:005]");
    buf_fini(&b);
    ck_assert_ptr_null(b.p);
    ck_assert_uint_eq(b.n + b.cap, 0);
}
END_TEST

START_TEST(nothing_can_be_put_from_nowhere) {
    struct buf b = {0};
    buf_put(&b, NULL, 0);
    buf_put_slice(&b, (struct slice){NULL, 0});
    buf_puts(&b, "");
    buf_printf(&b, "%s", "");
    ck_assert_uint_eq(b.n, 0);
    ck_assert(!buf_failed(&b));
    buf_fini(&b);
}
END_TEST

START_TEST(bytes_survive_growth) {
    struct buf b = {0};
    for (int i = 0; i < 100000; i++)
        buf_put_char(&b, (char)(i * 31));
    ck_assert_uint_eq(b.n, 100000);
    for (int i = 0; i < 100000; i++)
        if (b.p[i] != (char)(i * 31))
            ck_abort_msg("byte %d", i);
    buf_fini(&b);
}
END_TEST

START_TEST(reserved_room_is_there_and_unused) {
    for (size_t n = 1; n < 2000; n += 37) {
        struct buf b = {0};
        buf_puts(&b, "x");
        ck_assert(buf_reserve(&b, n));
        ck_assert_uint_eq(b.n, 1);
        memset(b.p + b.n, 'y', n);
        ck_assert_uint_ge(b.cap, 1 + n);
        buf_fini(&b);
    }
}
END_TEST

START_TEST(numbers_are_decimal_to_the_last_one) {
    static const int64_t rows[] = {0,  1,   9,   10,        99,        100,           12345,
                                   -1, -10, -99, INT32_MIN, INT64_MAX, INT64_MIN + 1, INT64_MIN};
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct buf b = {0};
        char text[64];
        buf_put_int(&b, rows[i]);
        buf_put_char(&b, ' ');
        buf_put_uint(&b, (uint64_t)rows[i]);
        (void)snprintf(text, sizeof(text), "%" PRId64 " %" PRIu64, rows[i], (uint64_t)rows[i]);
        assert_text(&b, text);
        buf_fini(&b);
    }
}
END_TEST

START_TEST(printf_fits_at_every_length) {
    for (int n = 0; n < 1100; n += 11) {
        struct buf b = {0};
        buf_puts(&b, "<");
        buf_printf(&b, "%*s", n, "");
        buf_puts(&b, ">");
        ck_assert_uint_eq(b.n, (size_t)n + 2);
        ck_assert_int_eq(b.p[b.n - 1], '>');
        buf_fini(&b);
    }
}
END_TEST

/* More than there is of anything: fails before it asks for memory. */
START_TEST(an_error_sticks_and_keeps_what_was_there) {
    struct buf b = {0};
    buf_puts(&b, "kept");
    ck_assert(!buf_reserve(&b, SIZE_MAX));
    ck_assert(buf_failed(&b));
    ck_assert(!buf_reserve(&b, 1));
    buf_puts(&b, "lost");
    buf_put_char(&b, 'l');
    buf_put_int(&b, -1);
    buf_printf(&b, "%d", 1);
    assert_text(&b, "kept");
    ck_assert(buf_failed(&b));
    buf_reset(&b, SIZE_MAX);
    ck_assert(!buf_failed(&b));
    buf_puts(&b, "again");
    assert_text(&b, "again");
    buf_fini(&b);
}
END_TEST

START_TEST(an_error_sticks_in_an_empty_buffer) {
    struct buf b = {0};
    ck_assert(!buf_grow(&b, SIZE_MAX / 2 + 1));
    buf_puts(&b, "lost");
    ck_assert(buf_failed(&b));
    ck_assert_uint_eq(b.n, 0);
    buf_fini(&b);
    ck_assert(!buf_failed(&b));
}
END_TEST

START_TEST(reset_keeps_no_more_memory_than_it_may) {
    struct buf b = {0};
    buf_reserve(&b, 5000);
    size_t cap = b.cap;
    buf_puts(&b, "x");
    buf_reset(&b, cap);
    ck_assert_uint_eq(b.cap, cap);
    ck_assert_uint_eq(b.n, 0);
    buf_puts(&b, "x");
    buf_reset(&b, cap - 1);
    ck_assert_uint_eq(b.cap, 0);
    ck_assert_ptr_null(b.p);
    buf_puts(&b, "y");
    assert_text(&b, "y");
    buf_fini(&b);
}
END_TEST

START_TEST(consuming_moves_the_rest_to_the_front) {
    struct buf b = {0};
    buf_consume(&b, 0);
    ck_assert_uint_eq(b.n, 0);
    buf_puts(&b, "0123456789");
    buf_consume(&b, 0);
    assert_text(&b, "0123456789");
    buf_consume(&b, 3);
    assert_text(&b, "3456789");
    buf_puts(&b, "a");
    buf_consume(&b, 7);
    assert_text(&b, "a");
    buf_consume(&b, 1);
    assert_text(&b, "");
    buf_fini(&b);
}
END_TEST

Suite *suite_buf(void) {
    Suite *s = suite_create("buf");
    TCase *t = tcase_create("append");
    tcase_add_test(t, pieces_stand_one_after_the_other);
    tcase_add_test(t, nothing_can_be_put_from_nowhere);
    tcase_add_test(t, bytes_survive_growth);
    tcase_add_test(t, reserved_room_is_there_and_unused);
    tcase_add_test(t, numbers_are_decimal_to_the_last_one);
    tcase_add_test(t, printf_fits_at_every_length);
    suite_add_tcase(s, t);
    t = tcase_create("error");
    tcase_add_test(t, an_error_sticks_and_keeps_what_was_there);
    tcase_add_test(t, an_error_sticks_in_an_empty_buffer);
    suite_add_tcase(s, t);
    t = tcase_create("remove");
    tcase_add_test(t, reset_keeps_no_more_memory_than_it_may);
    tcase_add_test(t, consuming_moves_the_rest_to_the_front);
    suite_add_tcase(s, t);
    return s;
}
