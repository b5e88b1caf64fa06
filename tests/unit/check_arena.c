/* The arena: memory that is fit for everything, stays where it is, and goes all at once. */
#include "units.h"

#include <stdalign.h>
#include <stdint.h>
#include <string.h>

#include "base/arena.h"
#include "require.h"
#include "support.h"

/* A chunk's room; what is larger gets one of its own. */
enum { CHUNK = 4096 - 64, LARGE = 100000 };

static struct arena arena;

static void setup(void) {
    arena = (struct arena){0};
}

static void teardown(void) {
    arena_fini(&arena);
}

static char *take(size_t n) {
    char *p = arena_take(&arena, n);
    require(p != NULL);
    return p;
}

/* --- what is taken --------------------------------------------------------------------------- */

START_TEST(every_piece_is_aligned_for_every_type) {
    for (size_t n = 0; n <= CHUNK + 100; n = n < 70 ? n + 1 : n + 61) {
        char *p = take(n);
        ck_assert_uint_eq((uintptr_t)p % alignof(max_align_t), 0);
        memset(p, 'x', n);
    }
    ck_assert(!arena_failed(&arena));
}
END_TEST

START_TEST(it_knows_how_much_it_holds) {
    struct buf b = {0};
    ck_assert_uint_eq(arena.bytes, 0);
    (void)take(1);
    (void)take(1);
    ck_assert_uint_eq(arena.bytes, CHUNK);
    (void)take(LARGE);
    ck_assert_uint_eq(arena.bytes, CHUNK + LARGE);
    buf_put(&b, "12345", 5);
    ck_assert(arena_adopt(&arena, &b));
    ck_assert_uint_eq(arena.bytes, CHUNK + LARGE + 5);
    arena_reset(&arena);
    ck_assert_uint_eq(arena.bytes, CHUNK);
    arena_fini(&arena);
    ck_assert_uint_eq(arena.bytes, 0);
}
END_TEST

/* Each piece is filled with its own number, and all are looked at in the end. */
START_TEST(pieces_neither_move_nor_overlap) {
    enum { PIECES = 2000 };
    static struct slice pieces[PIECES];
    uint64_t seed = 1;
    for (size_t i = 0; i < PIECES; i++) {
        size_t n = random_below(&seed, i % 50 == 0 ? 3 * CHUNK : 200);
        char *p = take(n);
        memset(p, (int)(i & 0x7F), n);
        pieces[i] = (struct slice){p, n};
    }
    for (size_t i = 0; i < PIECES; i++)
        for (size_t j = 0; j < pieces[i].n; j++)
            require(pieces[i].p[j] == (char)(i & 0x7F));
}
END_TEST

START_TEST(chunk_is_used_to_its_end) {
    char *first = take(16);
    ck_assert_ptr_eq(take(CHUNK - 32), first + 16);
    ck_assert_ptr_eq(take(16), first + CHUNK - 16);
    char *next = take(1);
    ck_assert(next < first || next >= first + CHUNK);
}
END_TEST

START_TEST(large_piece_leaves_the_chunk_in_use) {
    char *first = take(16);
    memset(take(LARGE), 'L', LARGE);
    ck_assert_ptr_eq(take(16), first + 16);
    memset(take(CHUNK + 1), 'L', CHUNK + 1);
    ck_assert_ptr_eq(take(16), first + 32);
}
END_TEST

START_TEST(large_piece_may_be_the_first) {
    char *large = take(LARGE);
    memset(large, 'L', LARGE);
    char *small = take(16);
    memset(small, 's', 16);
    ck_assert_int_eq(large[LARGE - 1], 'L');
    ck_assert_ptr_eq(take(16), small + 16);
}
END_TEST

START_TEST(copies_are_copies) {
    char text[] = "text";
    struct slice copy = arena_copy(&arena, (struct slice){text, 4});
    text[0] = 'x';
    ck_assert(slice_eq(copy, SLICE("text")));
    ck_assert_uint_eq(arena_copy(&arena, (struct slice){NULL, 0}).n, 0);
    ck_assert(!arena_failed(&arena));
}
END_TEST

/* --- what is taken over ---------------------------------------------------------------------- */

START_TEST(adopted_memory_stays_where_it_is) {
    struct buf b = {0};
    char *small = take(16);
    for (int i = 0; i < LARGE; i++)
        buf_put_char(&b, (char)i);
    struct slice bytes = buf_slice(&b);
    ck_assert(arena_adopt(&arena, &b));
    ck_assert_ptr_null(b.p);
    ck_assert_uint_eq(b.n + b.cap, 0);
    ck_assert_ptr_eq(take(16), small + 16);
    memset(take(LARGE), 'x', LARGE);
    for (int i = 0; i < LARGE; i++)
        require(bytes.p[i] == (char)i);
    /* The buffer is like new. */
    buf_puts(&b, "again");
    ck_assert(arena_adopt(&arena, &b));
}
END_TEST

START_TEST(memory_can_be_adopted_first_of_all) {
    struct buf b = {0};
    buf_puts(&b, "text");
    const char *p = b.p;
    ck_assert(arena_adopt(&arena, &b));
    memset(take(64), 'x', 64);
    ck_assert_mem_eq(p, "text", 4);
}
END_TEST

START_TEST(empty_buffer_is_adopted_for_nothing) {
    struct buf b = {0};
    ck_assert(arena_adopt(&arena, &b));
    ck_assert_ptr_null(arena.chunks);
}
END_TEST

/* --- the end of it --------------------------------------------------------------------------- */

START_TEST(reset_keeps_one_small_chunk) {
    struct buf b = {0};
    char *first = take(16);
    memset(take(LARGE), 'L', LARGE);
    buf_puts(&b, "text");
    ck_assert(arena_adopt(&arena, &b));
    arena_reset(&arena);
    ck_assert_ptr_nonnull(arena.chunks);
    /* All of it, and nothing else. */
    ck_assert_ptr_eq(take(CHUNK), first);
    memset(first, 'x', CHUNK);
    char *next = take(1);
    ck_assert(next < first || next >= first + CHUNK);
}
END_TEST

START_TEST(reset_keeps_nothing_large) {
    (void)take(LARGE);
    arena_reset(&arena);
    ck_assert_ptr_null(arena.chunks);
    struct buf b = {0};
    buf_puts(&b, "text");
    ck_assert(arena_adopt(&arena, &b));
    arena_reset(&arena);
    ck_assert_ptr_null(arena.chunks);
}
END_TEST

START_TEST(reset_can_be_done_at_any_time) {
    arena_reset(&arena);
    arena_reset(&arena);
    for (int i = 0; i < 100; i++) {
        memset(take(CHUNK / 2 + 1), 'x', CHUNK / 2 + 1);
        if (i % 10 == 0)
            arena_reset(&arena);
    }
    arena_fini(&arena);
    arena_fini(&arena);
    ck_assert_ptr_null(arena.chunks);
}
END_TEST

/* --- failure --------------------------------------------------------------------------------- */

START_TEST(failure_stays_until_it_is_cleared) {
    const size_t too_much[] = {SIZE_MAX, SIZE_MAX - 1, SIZE_MAX - 15, SIZE_MAX / 2 + 1};
    for (size_t i = 0; i < COUNT_OF(too_much); i++) {
        char *small = take(16);
        memset(small, 's', 16);
        ck_assert(!arena_failed(&arena));
        ck_assert_ptr_null(arena_take(&arena, too_much[i]));
        ck_assert(arena_failed(&arena));
        /* What is there is not harmed, and what can be had is given. */
        ck_assert_ptr_eq(take(16), small + 16);
        ck_assert_int_eq(small[15], 's');
        ck_assert(arena_failed(&arena));
        arena_reset(&arena);
        ck_assert(!arena_failed(&arena));
    }
    struct slice none = arena_copy(&arena, (struct slice){"x", SIZE_MAX});
    ck_assert_ptr_null(none.p);
    ck_assert_uint_eq(none.n, 0);
    ck_assert(arena_failed(&arena));
    arena_fini(&arena);
    ck_assert(!arena_failed(&arena));
}
END_TEST

static TCase *add_case(Suite *s, const char *name) {
    TCase *t = tcase_create(name);
    tcase_add_checked_fixture(t, setup, teardown);
    suite_add_tcase(s, t);
    return t;
}

Suite *suite_arena(void) {
    Suite *s = suite_create("arena");
    TCase *t = add_case(s, "taken");
    tcase_add_test(t, every_piece_is_aligned_for_every_type);
    tcase_add_test(t, it_knows_how_much_it_holds);
    tcase_add_test(t, pieces_neither_move_nor_overlap);
    tcase_add_test(t, chunk_is_used_to_its_end);
    tcase_add_test(t, large_piece_leaves_the_chunk_in_use);
    tcase_add_test(t, large_piece_may_be_the_first);
    tcase_add_test(t, copies_are_copies);
    t = add_case(s, "adopted");
    tcase_add_test(t, adopted_memory_stays_where_it_is);
    tcase_add_test(t, memory_can_be_adopted_first_of_all);
    tcase_add_test(t, empty_buffer_is_adopted_for_nothing);
    t = add_case(s, "given back");
    tcase_add_test(t, reset_keeps_one_small_chunk);
    tcase_add_test(t, reset_keeps_nothing_large);
    tcase_add_test(t, reset_can_be_done_at_any_time);
    t = add_case(s, "failure");
    tcase_add_test(t, failure_stays_until_it_is_cleared);
    return s;
}
