/* Commands on their way: their bytes, and that all of them arrive, in order and once, however
 * little the socket takes at a time. */
#include "units.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "redis/outqueue.h"
#include "require.h"
#include "support.h"

enum { ARGS_MAX = 64 };

static const size_t LARGE = OUTQUEUE_COPY_MAX + 1;
static const size_t MIB = 1 << 20;

static struct outqueue q;
static struct buf expected; /* what has to arrive */
static size_t arrived;
static int ends[2];
static char *large;

static void setup(void) {
    const int small = 1; /* the kernel makes it about 4 KiB */
    q = (struct outqueue){0};
    expected = (struct buf){0};
    arrived = 0;
    ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, ends), 0);
    ck_assert_int_eq(setsockopt(ends[0], SOL_SOCKET, SO_SNDBUF, &small, sizeof(small)), 0);
    large = malloc(MIB);
    ck_assert_ptr_nonnull(large);
    uint64_t seed = 1;
    for (size_t i = 0; i < MIB; i++)
        large[i] = (char)random_next(&seed);
}

static void teardown(void) {
    outqueue_fini(&q);
    buf_fini(&expected);
    close(ends[0]);
    close(ends[1]);
    free(large);
}

static void expect_number(char type, size_t n) {
    buf_put_char(&expected, type);
    buf_put_uint(&expected, n);
    buf_puts(&expected, "\r\n");
}

/* Appends a command to the queue, and what it has to become to `expected`. */
static void put(const struct slice *args, size_t n) {
    size_t before = expected.n;
    size_t unsent = q.unsent;
    expect_number('*', n);
    for (size_t i = 0; i < n; i++) {
        expect_number('$', args[i].n);
        buf_put_slice(&expected, args[i]);
        buf_puts(&expected, "\r\n");
    }
    require(outqueue_put(&q, args, n) == expected.n - before);
    require(q.unsent == unsent + expected.n - before);
    require(!outqueue_failed(&q));
}

static void put_small(const char *text) {
    put((struct slice[]){SLICE("SET"), slice_of(text)}, 2);
}

static void send_some(void) {
    size_t before = q.unsent;
    ssize_t n = outqueue_send(&q, ends[0]);
    require(n >= 0);
    require(q.unsent == before - (size_t)n);
}

/* Reads at most `most` bytes of what has arrived and compares them. */
static size_t receive(size_t most) {
    char *bytes = malloc(most);
    require(bytes != NULL);
    ssize_t n = read(ends[1], bytes, most);
    if (n > 0) {
        require(arrived + (size_t)n <= expected.n);
        require(memcmp(bytes, expected.p + arrived, (size_t)n) == 0);
        arrived += (size_t)n;
    }
    free(bytes);
    return n > 0 ? (size_t)n : 0;
}

static void drain(void) {
    do {
        send_some();
    } while (receive(200000) > 0 || q.unsent > 0);
    ck_assert_uint_eq(arrived, expected.n);
}

/* --- bytes ----------------------------------------------------------------------------------- */

START_TEST(command_is_an_array_of_bulk_strings) {
    static const char bytes[] = "*3\r\n$3\r\nSET\r\n$0\r\n\r\n$5\r\na\0\r\nb\r\n"
                                "*1\r\n$4\r\nPING\r\n";
    char got[100];
    put((struct slice[]){SLICE("SET"), {NULL, 0}, SLICE("a\0\r\nb")}, 3);
    put((struct slice[]){SLICE("PING")}, 1);
    ck_assert_int_eq(outqueue_send(&q, ends[0]), sizeof(bytes) - 1);
    ck_assert_int_eq(read(ends[1], got, sizeof(got)), sizeof(bytes) - 1);
    ck_assert_mem_eq(got, bytes, sizeof(bytes) - 1);
    ck_assert_int_eq(outqueue_send(&q, ends[0]), 0);
}
END_TEST

START_TEST(arguments_of_every_length_arrive) {
    static const size_t lengths[] = {0,     1,     9,      10,      99,    100,   999,
                                     1000,  9999,  10000,  65534,   65535, 65536, 65537,
                                     65538, 99999, 100000, MIB - 1, MIB};
    for (size_t i = 0; i < COUNT_OF(lengths); i++) {
        put((struct slice[]){SLICE("SET"), SLICE("key"), {large, lengths[i]}}, 3);
        drain();
    }
    for (size_t i = 0; i < COUNT_OF(lengths); i++)
        put((struct slice[]){{large, lengths[i]}, SLICE("x"), {large, lengths[i]}}, 3);
    drain();
}
END_TEST

START_TEST(large_arguments_are_not_copied) {
    put((struct slice[]){SLICE("SET"), SLICE("a"), {large, OUTQUEUE_COPY_MAX}}, 3);
    size_t copied = q.bytes.n;
    ck_assert_uint_gt(copied, OUTQUEUE_COPY_MAX);
    put((struct slice[]){SLICE("SET"), SLICE("b"), {large, LARGE}}, 3);
    ck_assert_uint_lt(q.bytes.n - copied, 100);
    drain();
    /* What is sent is what is there then. */
    put((struct slice[]){{large, LARGE}}, 1);
    large[7] ^= 1;
    expected.p[expected.n - LARGE - 2 + 7] ^= 1;
    drain();
}
END_TEST

/* More pieces than one sendmsg takes. */
START_TEST(many_large_arguments_leave_in_order) {
    struct slice args[ARGS_MAX];
    for (size_t i = 0; i < ARGS_MAX; i++)
        args[i] = (struct slice){large + i * 1000, LARGE};
    put(args, ARGS_MAX);
    put_small("last");
    drain();
}
END_TEST

/* --- little at a time ------------------------------------------------------------------------ */

static void put_random(uint64_t *seed) {
    struct slice args[8];
    size_t n = 1 + random_below(seed, COUNT_OF(args));
    for (size_t i = 0; i < n; i++) {
        size_t length = random_below(seed, 60);
        if (random_below(seed, 50) == 0)
            length = LARGE + random_below(seed, 100000);
        args[i] = (struct slice){large + random_below(seed, MIB - length), length};
    }
    put(args, n);
}

START_TEST(bytes_arrive_once_and_in_order_however_they_are_taken) {
    uint64_t seed = 42;
    for (int i = 0; i < 400; i++) {
        size_t most = random_below(&seed, 2) == 0 ? 1 + random_below(&seed, 300) : 100000;
        for (size_t n = random_below(&seed, 3); n > 0; n--)
            put_random(&seed);
        if (random_below(&seed, 3) != 0)
            send_some();
        (void)receive(most);
    }
    drain();
    ck_assert_uint_gt(expected.n, MIB);
}
END_TEST

/* The socket is never empty and the queue neither: memory must not grow with what went through. */
START_TEST(queue_that_is_never_empty_does_not_grow) {
    char value[1000];
    memset(value, 'v', sizeof(value));
    size_t through = 0;
    size_t most = 0;
    while (through < 12 * MIB) {
        while (q.unsent < 50000) {
            put((struct slice[]){SLICE("SET"), SLICE("key"), {value, sizeof(value)}}, 3);
            if (random_below(&(uint64_t){through}, 40) == 0)
                put((struct slice[]){{large, LARGE}}, 1);
        }
        send_some();
        require(q.unsent > 0);
        while (receive(20000) > 0)
            ;
        most = q.bytes.cap > most ? q.bytes.cap : most;
        require(q.segments.cap <= 65536);
        /* Forget what was compared. */
        through += arrived;
        buf_consume(&expected, arrived);
        arrived = 0;
    }
    ck_assert_uint_le(most, 2 * MIB);
    drain();
}
END_TEST

START_TEST(emptied_queue_gives_large_memory_back) {
    for (int i = 0; i < 40; i++)
        put((struct slice[]){{large, 60000}}, 1);
    ck_assert_uint_gt(q.bytes.cap, 2 * MIB);
    drain();
    ck_assert_uint_le(q.bytes.cap, MIB);
    put_small("after");
    drain();
}
END_TEST

/* --- rollback -------------------------------------------------------------------------------- */

static void forget_since(struct outqueue_mark mark, size_t expected_bytes) {
    outqueue_rollback(&q, mark);
    expected.n = expected_bytes;
    ck_assert_uint_eq(q.unsent, expected.n - arrived);
    ck_assert(!outqueue_failed(&q));
}

/* What is rolled back: one more small command, a large one, or several. */
static void put_to_forget(int kind) {
    if (kind == 0)
        put_small("forget me");
    if (kind == 1)
        put((struct slice[]){SLICE("SET"), {large, LARGE}}, 2);
    if (kind == 2) {
        put((struct slice[]){{large, LARGE}, {large, 10}}, 2);
        put_small("forget me");
        put((struct slice[]){SLICE("SET"), {large, LARGE}}, 2);
    }
}

START_TEST(rollback_takes_back_what_came_after_the_mark) {
    for (int before = 0; before < 3; before++) {
        if (before == 1)
            put_small("first");
        if (before == 2)
            put((struct slice[]){SLICE("SET"), {large, LARGE}}, 2);
        struct outqueue_mark mark = outqueue_mark(&q);
        size_t kept = expected.n;
        put_to_forget(_i);
        forget_since(mark, kept);
        put_small("second");
        put((struct slice[]){SLICE("SET"), {large + 5, LARGE}}, 2);
        drain();
    }
}
END_TEST

START_TEST(rollback_works_on_a_queue_that_is_half_sent) {
    put((struct slice[]){{large, 60000}}, 1);
    put((struct slice[]){SLICE("SET"), {large, 2 * LARGE}, SLICE("x")}, 3);
    for (int i = 0; i < 8; i++) {
        send_some();
        (void)receive(100000);
        ck_assert_uint_gt(q.unsent, 0);
        struct outqueue_mark mark = outqueue_mark(&q);
        size_t kept = expected.n;
        put_to_forget(_i);
        ck_assert_uint_gt(q.unsent, 0);
        outqueue_rollback(&q, mark);
        expected.n = kept;
        put_small("kept");
    }
    drain();
}
END_TEST

/* Memory was out in the middle of a command: nothing of it may leave. */
START_TEST(failed_command_is_rolled_back) {
    put_small("first");
    struct outqueue_mark mark = outqueue_mark(&q);
    size_t kept = expected.n;
    (_i == 0 ? &q.bytes : &q.segments)->failed = true;
    ck_assert(outqueue_failed(&q));
    outqueue_put(&q, (struct slice[]){SLICE("SET"), {large, LARGE}, SLICE("x")}, 3);
    outqueue_put(&q, (struct slice[]){SLICE("SET"), SLICE("x")}, 2);
    ck_assert(outqueue_failed(&q));
    forget_since(mark, kept);
    put_small("second");
    drain();
}
END_TEST

/* --- the end --------------------------------------------------------------------------------- */

START_TEST(reset_forgets_what_is_unsent) {
    put((struct slice[]){SLICE("SET"), {large, MIB}}, 2);
    send_some();
    ck_assert_uint_gt(q.unsent, 0);
    outqueue_reset(&q);
    ck_assert_uint_eq(q.unsent, 0);
    ck_assert_int_eq(outqueue_send(&q, ends[0]), 0);
    close(ends[0]);
    close(ends[1]);
    ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, ends), 0);
    expected.n = arrived = 0;
    put_small("after");
    drain();
}
END_TEST

/* No signal: a Redis that went away must not end the worker. */
START_TEST(broken_connection_is_told) {
    put_small("x");
    ck_assert_int_eq(shutdown(ends[1], SHUT_RDWR), 0);
    ck_assert_int_eq(outqueue_send(&q, ends[0]), -1);
    ck_assert_int_eq(errno, EPIPE);
    ck_assert_int_eq(outqueue_send(&q, -1), -1);
    ck_assert_int_eq(errno, EBADF);
    ck_assert_uint_gt(q.unsent, 0);
}
END_TEST

/* --- the suite ------------------------------------------------------------------------------- */

static TCase *add_case(Suite *s, const char *name) {
    TCase *t = tcase_create(name);
    tcase_add_checked_fixture(t, setup, teardown);
    suite_add_tcase(s, t);
    return t;
}

Suite *suite_outqueue(void) {
    Suite *s = suite_create("outqueue");
    TCase *t = add_case(s, "bytes");
    tcase_add_test(t, command_is_an_array_of_bulk_strings);
    tcase_add_test(t, arguments_of_every_length_arrive);
    tcase_add_test(t, large_arguments_are_not_copied);
    tcase_add_test(t, many_large_arguments_leave_in_order);
    t = add_case(s, "partial");
    tcase_add_test(t, bytes_arrive_once_and_in_order_however_they_are_taken);
    tcase_add_test(t, queue_that_is_never_empty_does_not_grow);
    tcase_add_test(t, emptied_queue_gives_large_memory_back);
    t = add_case(s, "rollback");
    tcase_add_loop_test(t, rollback_takes_back_what_came_after_the_mark, 0, 3);
    tcase_add_loop_test(t, rollback_works_on_a_queue_that_is_half_sent, 0, 3);
    tcase_add_loop_test(t, failed_command_is_rolled_back, 0, 2);
    t = add_case(s, "end");
    tcase_add_test(t, reset_forgets_what_is_unsent);
    tcase_add_test(t, broken_connection_is_told);
    return s;
}
