/* Passing connections on: the descriptor arrives and works; what happens when there is no room. */
#include "units.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "process/pass.h"
#include "refuse.h"
#include "under_valgrind.h"

enum { QUEUE_MAX = 5000 };

static struct pass pass;
static int pair[2];

static void setup(void) {
    ck_assert_int_eq(pass_open(&pass), OK);
    ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair), 0);
}

static void teardown(void) {
    pass_close(&pass);
    close(pair[0]);
    close(pair[1]);
}

START_TEST(pair_may_not_be_had) {
    struct pass none;
    refuse_begin(REFUSE_socketpair, 0, EMFILE);
    enum error e = pass_open(&none);
    ck_assert(refuse_end());
    ck_assert_int_eq(e, E_SYSTEM);
}
END_TEST

START_TEST(descriptor_arrives_and_works) {
    char byte = 0;
    int fd = -1;
    ck_assert_int_eq(pass_give(&pass, pair[0]), OK);
    /* It stays the giver's to close, and lives on with the taker. */
    close(pair[0]);
    pair[0] = -1;
    ck_assert_int_eq(pass_take(&pass, &fd), OK);
    ck_assert_int_ge(fd, 0);
    ck_assert_int_eq(fcntl(fd, F_GETFD) & FD_CLOEXEC, FD_CLOEXEC);
    ck_assert_int_eq(fcntl(fd, F_GETFL) & O_NONBLOCK, O_NONBLOCK);
    ck_assert_int_eq(write(fd, "x", 1), 1);
    ck_assert_int_eq(read(pair[1], &byte, 1), 1);
    ck_assert_int_eq(byte, 'x');
    close(fd);
    ck_assert_int_eq(read(pair[1], &byte, 1), 0);
}
END_TEST

START_TEST(descriptors_come_in_order) {
    enum { GIVEN = 5 };
    for (int i = 0; i < GIVEN; i++) {
        int ends[2];
        ck_assert_int_eq(pipe(ends), 0);
        ck_assert_int_eq(write(ends[1], &i, sizeof(i)), sizeof(i));
        ck_assert_int_eq(pass_give(&pass, ends[0]), OK);
        close(ends[0]);
        close(ends[1]);
    }
    for (int i = 0; i < GIVEN; i++) {
        int fd = -1;
        int number = -1;
        ck_assert_int_eq(pass_take(&pass, &fd), OK);
        ck_assert_int_eq(read(fd, &number, sizeof(number)), sizeof(number));
        ck_assert_int_eq(number, i);
        close(fd);
    }
}
END_TEST

START_TEST(empty_queue_is_told) {
    int fd = -7;
    ck_assert_int_eq(pass_take(&pass, &fd), E_AGAIN);
    ck_assert_int_eq(fd, -7);
}
END_TEST

START_TEST(full_queue_is_told_and_loses_nothing) {
    int given = 0;
    int taken = 0;
    int fd = -1;
    enum error e = OK;
    while (given < QUEUE_MAX && (e = pass_give(&pass, pair[0])) == OK)
        given++;
    ck_assert_int_eq(e, E_AGAIN);
    ck_assert_int_gt(given, 0);
    while (pass_take(&pass, &fd) == OK) {
        close(fd);
        taken++;
    }
    ck_assert_int_eq(taken, given);
    ck_assert_int_eq(pass_give(&pass, pair[0]), OK);
    ck_assert_int_eq(pass_take(&pass, &fd), OK);
    close(fd);
}
END_TEST

START_TEST(descriptor_that_is_none_is_an_error) {
    int fd;
    ck_assert_int_eq(pass_give(&pass, -1), E_SYSTEM);
    ck_assert_int_eq(pass_take(&pass, &fd), E_AGAIN);
}
END_TEST

START_TEST(message_without_a_descriptor_is_an_error) {
    int fd = -7;
    ck_assert_int_eq(send(pass.give, "x", 1, 0), 1);
    ck_assert_int_eq(pass_take(&pass, &fd), E_SYSTEM);
    ck_assert_int_eq(fd, -7);
}
END_TEST

/* The taker may open no more: the descriptor is cut off (MSG_CTRUNC), the queue goes on. */
START_TEST(descriptor_without_room_is_lost_and_no_other) {
    struct rlimit before;
    int fd = -7;
    if (under_valgrind())
        return;
    ck_assert_int_eq(pass_give(&pass, pair[0]), OK);
    ck_assert_int_eq(pass_give(&pass, pair[0]), OK);
    ck_assert_int_eq(getrlimit(RLIMIT_NOFILE, &before), 0);
    struct rlimit none = {.rlim_cur = 0, .rlim_max = before.rlim_max};
    ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &none), 0);
    enum error e = pass_take(&pass, &fd);
    ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &before), 0);
    ck_assert_int_eq(e, E_SYSTEM);
    ck_assert_int_eq(fd, -7);
    ck_assert_int_eq(pass_take(&pass, &fd), OK);
    close(fd);
    ck_assert_int_eq(pass_take(&pass, &fd), E_AGAIN);
}
END_TEST

START_TEST(end_of_the_givers_is_no_descriptor) {
    int fd = -7;
    close(pass.give);
    pass.give = -1;
    ck_assert_int_eq(pass_take(&pass, &fd), E_SYSTEM);
    ck_assert_int_eq(fd, -7);
}
END_TEST

/* Nobody takes any more: an error and no signal. */
START_TEST(end_of_the_takers_is_an_error) {
    close(pass.take);
    pass.take = -1;
    ck_assert_int_eq(pass_give(&pass, pair[0]), E_SYSTEM);
}
END_TEST

START_TEST(closing_twice_is_harmless) {
    pass_close(&pass);
    ck_assert_int_eq(pass.give, -1);
    ck_assert_int_eq(pass.take, -1);
    pass_close(&pass);
}
END_TEST

Suite *suite_pass(void) {
    Suite *s = suite_create("pass");
    TCase *t = tcase_create("descriptors");
    tcase_add_checked_fixture(t, setup, teardown);
    tcase_add_test(t, pair_may_not_be_had);
    tcase_add_test(t, descriptor_arrives_and_works);
    tcase_add_test(t, descriptors_come_in_order);
    tcase_add_test(t, empty_queue_is_told);
    tcase_add_test(t, full_queue_is_told_and_loses_nothing);
    suite_add_tcase(s, t);
    t = tcase_create("faults");
    tcase_add_checked_fixture(t, setup, teardown);
    tcase_add_test(t, descriptor_that_is_none_is_an_error);
    tcase_add_test(t, message_without_a_descriptor_is_an_error);
    tcase_add_test(t, descriptor_without_room_is_lost_and_no_other);
    tcase_add_test(t, end_of_the_givers_is_no_descriptor);
    tcase_add_test(t, end_of_the_takers_is_an_error);
    tcase_add_test(t, closing_twice_is_harmless);
    suite_add_tcase(s, t);
    return s;
}
