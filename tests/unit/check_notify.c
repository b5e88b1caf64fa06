/* Telling the service manager: what arrives at a socket that stands for it. */
#include "units.h"

#include <errno.h>
#include <limits.h>
#include <regex.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/clock.h"
#include "process/notify.h"
#include "refuse.h"
#include "temp_dir.h"

static struct temp_dir dir;
static char path[TEMP_DIR_PATH_MAX + 8];
static char log_file[TEMP_DIR_PATH_MAX + 8];
static int manager;
static struct notify notify;
static char seen[1024];

/* `name` as NOTIFY_SOCKET has it. */
static void listen_as_manager(const char *name) {
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    size_t length = strlen(name);
    ck_assert_uint_lt(length, sizeof(address.sun_path) + 1);
    memcpy(address.sun_path, name, length);
    if (name[0] == '@')
        address.sun_path[0] = '\0';
    manager = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    ck_assert_int_ge(manager, 0);
    ck_assert_int_eq(bind(manager, (struct sockaddr *)&address,
                          (socklen_t)(offsetof(struct sockaddr_un, sun_path) + length)),
                     0);
    ck_assert_int_eq(setenv("NOTIFY_SOCKET", name, 1), 0);
}

static void setup(void) {
    temp_dir_setup(&dir);
    temp_dir_join(&dir, "notify", path, sizeof(path));
    temp_dir_join(&dir, "log", log_file, sizeof(log_file));
    ck_assert_int_eq(log_open(log_file, LOG_LEVEL_INFO), OK);
    (void)unsetenv("NOTIFY_SOCKET");
    (void)unsetenv("WATCHDOG_USEC");
    (void)unsetenv("WATCHDOG_PID");
    manager = -1;
    notify = (struct notify){.fd = -1};
}

static void teardown(void) {
    notify_close(&notify);
    if (manager >= 0)
        close(manager);
    ck_assert_int_eq(log_open("", LOG_LEVEL_INFO), OK);
    temp_dir_teardown(&dir);
}

/* The next message, or "" if there is none. */
static const char *receive(void) {
    ssize_t n = recv(manager, seen, sizeof(seen) - 1, 0);
    seen[n > 0 ? n : 0] = '\0';
    return seen;
}

static bool log_is_empty(void) {
    FILE *f = fopen(log_file, "r");
    ck_assert_ptr_nonnull(f);
    bool empty = fgetc(f) == EOF;
    (void)fclose(f);
    return empty;
}

static void ask_for_watchdog(const char *usec, long pid_offset) {
    char pid[24];
    (void)snprintf(pid, sizeof(pid), "%ld", (long)getpid() + pid_offset);
    ck_assert_int_eq(setenv("WATCHDOG_USEC", usec, 1), 0);
    ck_assert_int_eq(setenv("WATCHDOG_PID", pid, 1), 0);
}

START_TEST(without_a_manager_nothing_happens) {
    notify_open(&notify);
    ck_assert_int_eq(notify.fd, -1);
    notify_ready(&notify, "up");
    notify_reloading(&notify);
    notify_stopping(&notify, 1);
    notify_alive(&notify, 1);
    ck_assert(notify_next_deadline(&notify) == INT64_MAX);
    ck_assert(log_is_empty());
}
END_TEST

START_TEST(every_message_arrives) {
    listen_as_manager(path);
    notify_open(&notify);
    notify_ready(&notify, "%u workers, %s", 2U, "all well");
    ck_assert_str_eq(receive(), "READY=1\nSTATUS=2 workers, all well");
    int64_t asked = clock_monotonic() / 1000;
    notify_reloading(&notify);
    long long stamp = 0;
    const char *reloading = receive();
    ck_assert_int_eq(strncmp(reloading, "RELOADING=1\nMONOTONIC_USEC=", 27), 0);
    stamp = strtoll(reloading + 27, NULL, 10);
    ck_assert(stamp >= asked);
    ck_assert_ptr_nonnull(strstr(seen, "\nSTATUS=reloading"));
    notify_stopping(&notify, 5000);
    ck_assert_str_eq(receive(), "STOPPING=1\nEXTEND_TIMEOUT_USEC=8000000\nSTATUS=stopping");
    ck_assert_str_eq(receive(), "");
    ck_assert(log_is_empty());
}
END_TEST

START_TEST(abstract_name_is_reached) {
    char name[64];
    (void)snprintf(name, sizeof(name), "@larder-notify-%d", (int)getpid());
    listen_as_manager(name);
    notify_open(&notify);
    notify_ready(&notify, "up");
    ck_assert_str_eq(receive(), "READY=1\nSTATUS=up");
}
END_TEST

START_TEST(longest_path_is_reached) {
    char name[108];
    char longest[TEMP_DIR_PATH_MAX + 108];
    memset(name, 'n', sizeof(name));
    name[107 - strlen(dir.path) - 1] = '\0';
    temp_dir_join(&dir, name, longest, sizeof(longest));
    ck_assert_uint_eq(strlen(longest), 107);
    listen_as_manager(longest);
    notify_open(&notify);
    notify_ready(&notify, "up");
    ck_assert_str_eq(receive(), "READY=1\nSTATUS=up");
}
END_TEST

START_TEST(address_of_another_kind_is_named) {
    char too_long[110];
    memset(too_long, 'n', sizeof(too_long) - 1);
    too_long[0] = '/';
    too_long[109] = '\0';
    const char *const addresses[] = {"relative", "vsock:2:1234", "/", "@", too_long};
    ck_assert_int_eq(setenv("NOTIFY_SOCKET", addresses[_i], 1), 0);
    notify_open(&notify);
    ck_assert_int_eq(notify.fd, -1);
    ck_assert(!log_is_empty());
}
END_TEST

START_TEST(manager_without_a_socket_is_told_nothing) {
    static const enum refused calls[] = {REFUSE_socket, REFUSE_setsockopt};
    listen_as_manager(path);
    refuse_begin(calls[_i], 0, EMFILE);
    notify_open(&notify);
    ck_assert(refuse_end());
    ck_assert_int_eq(notify.fd, -1);
    ck_assert(!log_is_empty());
    ck_assert_ptr_null(getenv("NOTIFY_SOCKET"));
}
END_TEST

START_TEST(children_cannot_speak_for_the_service) {
    listen_as_manager(path);
    ask_for_watchdog("1000000", 0);
    if (_i == 0)
        notify_open(&notify);
    else
        notify_decline(&notify);
    ck_assert_ptr_null(getenv("NOTIFY_SOCKET"));
    ck_assert_ptr_null(getenv("WATCHDOG_USEC"));
    ck_assert_ptr_null(getenv("WATCHDOG_PID"));
}
END_TEST

START_TEST(who_declines_says_nothing) {
    listen_as_manager(path);
    ask_for_watchdog("1000000", 0);
    notify_decline(&notify);
    notify_ready(&notify, "up");
    notify_alive(&notify, clock_monotonic());
    ck_assert_str_eq(receive(), "");
}
END_TEST

START_TEST(manager_that_is_gone_is_named_and_survived) {
    listen_as_manager(path);
    notify_open(&notify);
    close(manager);
    manager = -1;
    notify_ready(&notify, "up");
    ck_assert(!log_is_empty());
}
END_TEST

/* The master must go on, whatever its manager does. */
START_TEST(manager_that_does_not_read_is_not_waited_for) {
    listen_as_manager(path);
    notify_open(&notify);
    int64_t begun = clock_monotonic();
    int sent = 0;
    while (log_is_empty() && ++sent < 10000)
        notify_ready(&notify, "up");
    ck_assert(!log_is_empty());
    ck_assert_int_lt((clock_monotonic() - begun) / NS_PER_MS, 5000);
}
END_TEST

/* With a queue of a few messages it is full at once. */
static void fill_the_queue(void) {
    while (log_is_empty())
        notify_stopping(&notify, 1);
}

static void empty_the_queue(void) {
    while (receive()[0] != '\0')
        ;
}

/* It would wait for READY until its time is over, and then kill a service that works. */
START_TEST(state_that_did_not_get_through_is_said_again) {
    listen_as_manager(path);
    notify_open(&notify);
    ck_assert(notify_next_deadline(&notify) == INT64_MAX);
    fill_the_queue();
    notify_ready(&notify, "up");
    int64_t due = notify_next_deadline(&notify);
    ck_assert(due < clock_monotonic() + NS_PER_S);
    empty_the_queue();
    notify_alive(&notify, due - 1);
    ck_assert_str_eq(receive(), "");
    notify_alive(&notify, due);
    ck_assert_str_eq(receive(), "READY=1\nSTATUS=up");
    ck_assert(notify_next_deadline(&notify) == INT64_MAX);
}
END_TEST

START_TEST(long_status_is_cut) {
    char status[600];
    memset(status, 's', sizeof(status) - 1);
    status[sizeof(status) - 1] = '\0';
    listen_as_manager(path);
    notify_open(&notify);
    notify_ready(&notify, "%s", status);
    ck_assert(strncmp(receive(), "READY=1\nSTATUS=sss", 18) == 0);
    ck_assert_uint_lt(strlen(seen), 512);
}
END_TEST

/* --- the watchdog ---------------------------------------------------------------------------- */

/* Half of the time is left then: the next one must not be the first that is too late. */
START_TEST(sign_of_life_that_is_lost_is_repeated_soon) {
    const int64_t start = clock_monotonic();
    listen_as_manager(path);
    ask_for_watchdog("8000000", 0);
    notify_open(&notify);
    fill_the_queue();
    notify_alive(&notify, start);
    notify.owed_bytes = 0;
    ck_assert(notify_next_deadline(&notify) == start + NS_PER_S / 2);
    empty_the_queue();
    notify_alive(&notify, start + NS_PER_S / 2);
    ck_assert_str_eq(receive(), "WATCHDOG=1");
    ck_assert(notify_next_deadline(&notify) == start + NS_PER_S / 2 + 4 * NS_PER_S);
}
END_TEST

START_TEST(sign_of_life_comes_at_half_the_time) {
    const int64_t start = clock_monotonic();
    listen_as_manager(path);
    ask_for_watchdog("2000000", 0);
    if (_i == 1)
        (void)unsetenv("WATCHDOG_PID");
    notify_open(&notify);
    notify_alive(&notify, start);
    ck_assert_str_eq(receive(), "WATCHDOG=1");
    ck_assert(notify_next_deadline(&notify) == start + NS_PER_S);
    notify_alive(&notify, start + NS_PER_S - 1);
    ck_assert_str_eq(receive(), "");
    notify_alive(&notify, start + NS_PER_S);
    ck_assert_str_eq(receive(), "WATCHDOG=1");
    ck_assert(notify_next_deadline(&notify) == start + 2 * NS_PER_S);
}
END_TEST

START_TEST(watchdog_of_others_is_not_ours) {
    static const struct {
        const char *usec;
        long pid_offset;
    } cases[] = {{"1000000", 1},  {"0", 0},        {"", 0},
                 {"-1000000", 0}, {"1000000x", 0}, {"99999999999999999999", 0},
                 {" 1000000", 0}};
    listen_as_manager(path);
    ask_for_watchdog(cases[_i].usec, cases[_i].pid_offset);
    notify_open(&notify);
    notify_alive(&notify, clock_monotonic());
    ck_assert_str_eq(receive(), "");
    ck_assert(notify_next_deadline(&notify) == INT64_MAX);
    /* Nothing is wrong with the rest. */
    notify_ready(&notify, "up");
    ck_assert_str_eq(receive(), "READY=1\nSTATUS=up");
}
END_TEST

Suite *suite_notify(void) {
    Suite *s = suite_create("notify");
    TCase *t = tcase_create("messages");
    tcase_add_checked_fixture(t, setup, teardown);
    tcase_add_test(t, without_a_manager_nothing_happens);
    tcase_add_test(t, every_message_arrives);
    tcase_add_test(t, abstract_name_is_reached);
    tcase_add_test(t, longest_path_is_reached);
    tcase_add_loop_test(t, address_of_another_kind_is_named, 0, 5);
    tcase_add_loop_test(t, manager_without_a_socket_is_told_nothing, 0, 2);
    tcase_add_loop_test(t, children_cannot_speak_for_the_service, 0, 2);
    tcase_add_test(t, who_declines_says_nothing);
    tcase_add_test(t, manager_that_is_gone_is_named_and_survived);
    tcase_add_test(t, manager_that_does_not_read_is_not_waited_for);
    tcase_add_test(t, state_that_did_not_get_through_is_said_again);
    tcase_add_test(t, long_status_is_cut);
    suite_add_tcase(s, t);
    t = tcase_create("watchdog");
    tcase_add_checked_fixture(t, setup, teardown);
    tcase_add_test(t, sign_of_life_that_is_lost_is_repeated_soon);
    tcase_add_loop_test(t, sign_of_life_comes_at_half_the_time, 0, 2);
    tcase_add_loop_test(t, watchdog_of_others_is_not_ours, 0, 7);
    suite_add_tcase(s, t);
    return s;
}
