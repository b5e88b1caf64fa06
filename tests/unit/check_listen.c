/* The listening socket: binding it, and taking it over from whoever started us. */
#include "units.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/log.h"
#include "process/listen.h"
#include "support.h"
#include "temp_dir.h"

static struct temp_dir dir;
static struct config config;
static struct listener listener;
static char log_file[TEMP_DIR_PATH_MAX + 8];

static void setup(void) {
    temp_dir_setup(&dir);
    config = (struct config){.listen_mode = 0600, .listen_backlog = 16};
    temp_dir_join(&dir, "socket", config.listen, sizeof(config.listen));
    temp_dir_join(&dir, "log", log_file, sizeof(log_file));
    listener = (struct listener){.fd = -1};
    ck_assert_int_eq(log_open(log_file, LOG_LEVEL_INFO), OK);
}

static void teardown(void) {
    listen_close(&listener, &config);
    ck_assert_int_eq(log_open("", LOG_LEVEL_INFO), OK);
    temp_dir_teardown(&dir);
}

static bool log_has(const char *text) {
    static char bytes[8192];
    int fd = open(log_file, O_RDONLY | O_CLOEXEC);
    ck_assert_int_ge(fd, 0);
    ssize_t n = read(fd, bytes, sizeof(bytes) - 1);
    ck_assert_int_ge(n, 0);
    bytes[n] = '\0';
    close(fd);
    return strstr(bytes, text) != NULL;
}

static int open_socket(void) {
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    ck_assert_int_ge(fd, 0);
    return fd;
}

static struct sockaddr_un address_of(const char *path) {
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    ck_assert_uint_lt(strlen(path), sizeof(address.sun_path));
    memcpy(address.sun_path, path, strlen(path));
    return address;
}

/* 0, or errno. */
static int try_connect(const char *path) {
    struct sockaddr_un address = address_of(path);
    int fd = open_socket();
    int status = connect(fd, (struct sockaddr *)&address, sizeof(address));
    int error = status == 0 ? 0 : errno;
    close(fd);
    return error;
}

/* Listens at the path as another process would; -1 for a backlog: only bound. */
static int listen_as_another(const char *path, int backlog) {
    struct sockaddr_un address = address_of(path);
    int fd = open_socket();
    ck_assert_int_eq(bind(fd, (struct sockaddr *)&address, sizeof(address)), 0);
    if (backlog >= 0)
        ck_assert_int_eq(listen(fd, backlog), 0);
    return fd;
}

static void check_listens(const struct listener *l) {
    int listening = 0;
    socklen_t length = sizeof(listening);
    ck_assert_int_eq(getsockopt(l->fd, SOL_SOCKET, SO_ACCEPTCONN, &listening, &length), 0);
    ck_assert_int_ne(listening, 0);
    ck_assert_int_eq(fcntl(l->fd, F_GETFD), FD_CLOEXEC);
    ck_assert_int_eq(fcntl(l->fd, F_GETFL) & O_NONBLOCK, O_NONBLOCK);
}

/* --- binding --------------------------------------------------------------------------------- */

START_TEST(socket_is_bound_and_removed_at_the_end) {
    ck_assert_int_eq(listen_bind(&listener, &config), OK);
    check_listens(&listener);
    ck_assert(listener.bound);
    ck_assert(!listener.inherited);
    ck_assert_int_eq(try_connect(config.listen), 0);
    listen_close(&listener, &config);
    ck_assert_int_eq(listener.fd, -1);
    ck_assert_int_eq(try_connect(config.listen), ENOENT);
    listen_close(&listener, &config);
}
END_TEST

START_TEST(mode_is_what_was_asked_whatever_the_umask) {
    static const mode_t modes[] = {0600, 0660, 0666, 0777};
    static const mode_t masks[] = {0, 022, 077, 0777};
    struct stat st;
    for (int i = 0; i < 4; i++) {
        mode_t before = umask(masks[_i]);
        config.listen_mode = (int64_t)modes[i];
        ck_assert_int_eq(listen_bind(&listener, &config), OK);
        ck_assert_uint_eq(umask(before), masks[_i]);
        ck_assert_int_eq(stat(config.listen, &st), 0);
        ck_assert_uint_eq(st.st_mode & 07777, modes[i]);
        listen_close(&listener, &config);
    }
}
END_TEST

START_TEST(group_is_what_was_asked) {
    struct stat st;
    const struct group *group = getgrnam("nogroup"); // cppcheck-suppress getgrnamCalled
    if (group == NULL || geteuid() != 0)
        return;
    memcpy(config.listen_group, "nogroup", sizeof("nogroup"));
    ck_assert_int_eq(listen_bind(&listener, &config), OK);
    ck_assert_int_eq(stat(config.listen, &st), 0);
    ck_assert_uint_eq(st.st_gid, group->gr_gid);
}
END_TEST

START_TEST(group_that_is_none_is_refused) {
    memcpy(config.listen_group, "no such group", sizeof("no such group"));
    ck_assert_int_eq(listen_bind(&listener, &config), E_SYSTEM);
    ck_assert(log_has("no such group"));
    ck_assert_int_eq(try_connect(config.listen), ENOENT);
}
END_TEST

/* --- what lies at the path ------------------------------------------------------------------- */

/* Whoever came after us has it now: to remove it would cut his web servers off. */
START_TEST(socket_that_somebody_else_made_meanwhile_stays) {
    ck_assert_int_eq(listen_bind(&listener, &config), OK);
    ck_assert_int_eq(unlink(config.listen), 0);
    int other = listen_as_another(config.listen, 1);
    listen_close(&listener, &config);
    ck_assert_int_eq(try_connect(config.listen), 0);
    close(other);
}
END_TEST

START_TEST(what_happens_to_the_file_is_told_once) {
    char aside[TEMP_DIR_PATH_MAX + 8];
    temp_dir_join(&dir, "aside", aside, sizeof(aside));
    ck_assert_int_eq(listen_bind(&listener, &config), OK);
    listen_look(&listener, &config);
    ck_assert(!log_has("socket"));

    ck_assert_int_eq(rename(config.listen, aside), 0);
    listen_look(&listener, &config);
    ck_assert(log_has("was removed"));
    ck_assert_int_eq(truncate(log_file, 0), 0);
    listen_look(&listener, &config);
    ck_assert(!log_has("socket"));

    int other = listen_as_another(config.listen, 1);
    listen_look(&listener, &config);
    ck_assert(log_has("was replaced"));
    close(other);

    ck_assert_int_eq(rename(aside, config.listen), 0);
    listen_look(&listener, &config);
    ck_assert(log_has("as it was made again"));

    ck_assert_int_eq(chmod(config.listen, 0), 0);
    listen_look(&listener, &config);
    ck_assert(log_has("permissions or group"));
}
END_TEST

START_TEST(socket_of_a_dead_process_is_replaced) {
    close(listen_as_another(config.listen, 1));
    ck_assert_int_eq(try_connect(config.listen), ECONNREFUSED);
    ck_assert_int_eq(listen_bind(&listener, &config), OK);
    ck_assert_int_eq(try_connect(config.listen), 0);
    ck_assert(log_has(config.listen));
}
END_TEST

static void check_refused_and_untouched(int other) {
    ck_assert_int_eq(listen_bind(&listener, &config), E_SYSTEM);
    ck_assert_int_eq(listener.fd, -1);
    ck_assert(log_has("another process is listening there"));
    listen_close(&listener, &config);
    ck_assert_int_ne(try_connect(config.listen), ENOENT);
    ck_assert_int_ne(try_connect(config.listen), ECONNREFUSED);
    close(other);
}

START_TEST(socket_with_a_listener_is_refused) {
    check_refused_and_untouched(listen_as_another(config.listen, 16));
}
END_TEST

/* Its queue is full, so nobody can connect just now: it lives all the same. */
START_TEST(socket_with_a_busy_listener_is_refused) {
    struct sockaddr_un address = address_of(config.listen);
    int other = listen_as_another(config.listen, 0);
    int waiting = open_socket();
    ck_assert_int_eq(connect(waiting, (struct sockaddr *)&address, sizeof(address)), 0);
    ck_assert_int_eq(try_connect(config.listen), EAGAIN);
    check_refused_and_untouched(other);
    close(waiting);
}
END_TEST

START_TEST(second_instance_is_refused) {
    struct listener second = {.fd = -1};
    ck_assert_int_eq(listen_bind(&listener, &config), OK);
    ck_assert_int_eq(listen_bind(&second, &config), E_SYSTEM);
    listen_close(&second, &config);
    ck_assert_int_eq(try_connect(config.listen), 0);
}
END_TEST

START_TEST(file_that_is_no_socket_is_refused_and_kept) {
    char target[TEMP_DIR_PATH_MAX + 8];
    struct stat st;
    temp_dir_join(&dir, "target", target, sizeof(target));
    if (_i == 0)
        ck_assert_int_eq(close(open(config.listen, O_CREAT | O_WRONLY | O_CLOEXEC, 0600)), 0);
    if (_i == 1)
        ck_assert_int_eq(mkdir(config.listen, 0700), 0);
    if (_i == 2)
        ck_assert_int_eq(symlink(target, config.listen), 0);
    if (_i == 3) {
        close(listen_as_another(target, 1));
        ck_assert_int_eq(symlink(target, config.listen), 0);
    }
    ck_assert_int_eq(listen_bind(&listener, &config), E_SYSTEM);
    ck_assert(log_has("no socket"));
    listen_close(&listener, &config);
    ck_assert_int_eq(lstat(config.listen, &st), 0);
    ck_assert(!S_ISSOCK(st.st_mode));
}
END_TEST

START_TEST(directory_that_is_missing_is_an_error) {
    temp_dir_join(&dir, "none/socket", config.listen, sizeof(config.listen));
    ck_assert_int_eq(listen_bind(&listener, &config), E_SYSTEM);
    ck_assert(log_has("cannot listen on"));
}
END_TEST

START_TEST(longest_path_fits) {
    char name[108];
    memset(name, 'n', sizeof(name));
    name[107 - strlen(dir.path) - 1] = '\0';
    temp_dir_join(&dir, name, config.listen, sizeof(config.listen));
    ck_assert_uint_eq(strlen(config.listen), 107);
    ck_assert_int_eq(listen_bind(&listener, &config), OK);
    ck_assert_int_eq(try_connect(config.listen), 0);
    listen_close(&listener, &config);
    ck_assert_int_ne(access(config.listen, F_OK), 0);
}
END_TEST

/* --- taking it over: descriptors 0 and 3 are a child's own ----------------------------------- */

enum { EXPECTED = 0, UNEXPECTED = 1 };

static void set_number(const char *name, long v) {
    char text[24];
    (void)snprintf(text, sizeof(text), "%ld", v);
    (void)setenv(name, text, 1);
}

/* Runs `body` in a child whose descriptor 3 is `third` (-1: closed) and whose standard input is
 * `input` (-1: as it is), with the environment of systemd if `fds` is above 0. */
static int in_child(int input, int third, long fds, long pid_offset, int (*body)(void)) {
    pid_t child = fork();
    ck_assert_int_ge(child, 0);
    if (child == 0) {
        if (input >= 0)
            (void)dup2(input, STDIN_FILENO);
        (void)close(3);
        if (third >= 0)
            (void)dup2(third, 3);
        if (fds > 0) {
            set_number("LISTEN_PID", (long)getpid() + pid_offset);
            set_number("LISTEN_FDS", fds);
            (void)setenv("LISTEN_FDNAMES", "larder", 1);
        }
        end_child(body());
    }
    int status = -1;
    ck_assert_int_eq(waitpid(child, &status, 0), child);
    ck_assert_msg(WIFEXITED(status), "status %x", (unsigned)status);
    return WEXITSTATUS(status);
}

static bool environment_is_clean(void) {
    return getenv("LISTEN_PID") == NULL && getenv("LISTEN_FDS") == NULL &&
           getenv("LISTEN_FDNAMES") == NULL;
}

static bool is_ours(int fd) {
    int listening = 0;
    socklen_t length = sizeof(listening);
    return getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &listening, &length) == 0 && listening != 0 &&
           fcntl(fd, F_GETFD) == FD_CLOEXEC && (fcntl(fd, F_GETFL) & O_NONBLOCK) != 0;
}

static int takes_the_third(void) {
    struct listener l;
    bool good = listen_inherit(&l) == OK && l.fd == 3 && l.inherited && !l.bound && is_ours(3) &&
                environment_is_clean();
    return good ? EXPECTED : UNEXPECTED;
}

/* And puts /dev/null in its place. */
static int takes_standard_input(void) {
    struct listener l;
    char byte;
    bool good = listen_inherit(&l) == OK && l.fd >= 3 && l.inherited && !l.bound && is_ours(l.fd) &&
                environment_is_clean() && read(STDIN_FILENO, &byte, 1) == 0 &&
                fcntl(STDIN_FILENO, F_GETFD) == 0;
    return good ? EXPECTED : UNEXPECTED;
}

static int takes_nothing(void) {
    struct listener l;
    bool good = listen_inherit(&l) == OK && l.fd == -1 && !l.inherited && environment_is_clean();
    return good ? EXPECTED : UNEXPECTED;
}

static int blocking_listener(void) {
    struct sockaddr_un address = address_of(config.listen);
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);
    ck_assert_int_ge(fd, 0);
    ck_assert_int_eq(bind(fd, (struct sockaddr *)&address, sizeof(address)), 0);
    ck_assert_int_eq(listen(fd, 1), 0);
    /* Out of the way of the numbers that matter. */
    int high = fcntl(fd, F_DUPFD, 20);
    ck_assert_int_ge(high, 20);
    close(fd);
    return high;
}

START_TEST(descriptor_of_systemd_is_taken) {
    int fd = blocking_listener();
    ck_assert_int_eq(in_child(-1, fd, 1, 0, takes_the_third), EXPECTED);
    ck_assert_int_eq(in_child(-1, fd, 2, 0, takes_the_third), EXPECTED);
    close(fd);
}
END_TEST

START_TEST(descriptor_of_systemd_comes_before_standard_input) {
    int fd = blocking_listener();
    ck_assert_int_eq(in_child(fd, fd, 1, 0, takes_the_third), EXPECTED);
    close(fd);
}
END_TEST

START_TEST(descriptors_for_another_process_are_not_taken) {
    int fd = blocking_listener();
    ck_assert_int_eq(in_child(-1, fd, 1, 1, takes_nothing), EXPECTED);
    ck_assert_int_eq(in_child(fd, fd, 1, 1, takes_standard_input), EXPECTED);
    close(fd);
}
END_TEST

START_TEST(environment_without_a_listener_is_not_believed) {
    int fd = open_socket();
    int high = fcntl(fd, F_DUPFD, 20);
    ck_assert_int_eq(in_child(-1, high, 1, 0, takes_nothing), EXPECTED);
    ck_assert_int_eq(in_child(-1, -1, 1, 0, takes_nothing), EXPECTED);
    close(high);
    close(fd);
}
END_TEST

START_TEST(numbers_of_the_environment_are_read_exactly) {
    static const char *const wrong[] = {"", "1x", " ", "x", "-1", "0", "99999999999999999999"};
    int fd = blocking_listener();
    char pid[24];
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        pid_t child = fork();
        ck_assert_int_ge(child, 0);
        if (child == 0) {
            (void)dup2(fd, 3);
            (void)snprintf(pid, sizeof(pid), "%d", (int)getpid());
            (void)setenv("LISTEN_PID", i % 2 == 0 ? wrong[i] : pid, 1);
            (void)setenv("LISTEN_FDS", i % 2 == 0 ? "1" : wrong[i], 1);
            end_child(takes_nothing());
        }
        int status = -1;
        ck_assert_int_eq(waitpid(child, &status, 0), child);
        ck_assert_msg(status == 0, "\"%s\"", wrong[i]);
    }
    close(fd);
}
END_TEST

START_TEST(standard_input_that_listens_is_taken) {
    int fd = blocking_listener();
    ck_assert_int_eq(in_child(fd, -1, 0, 0, takes_standard_input), EXPECTED);
    close(fd);
}
END_TEST

START_TEST(standard_input_that_does_not_listen_is_left) {
    int null = open("/dev/null", O_RDONLY | O_CLOEXEC);
    int connected = open_socket();
    ck_assert_int_eq(in_child(null, -1, 0, 0, takes_nothing), EXPECTED);
    ck_assert_int_eq(in_child(connected, -1, 0, 0, takes_nothing), EXPECTED);
    close(null);
    close(connected);
}
END_TEST

/* What was passed to us is not ours to remove. */
START_TEST(inherited_socket_is_closed_but_not_removed) {
    struct listener l = {.fd = blocking_listener(), .inherited = true};
    int copy = fcntl(l.fd, F_DUPFD_CLOEXEC, 20);
    listen_close(&l, &config);
    ck_assert_int_eq(l.fd, -1);
    ck_assert_int_eq(try_connect(config.listen), 0);
    close(copy);
}
END_TEST

/* --- the suite ------------------------------------------------------------------------------- */

static TCase *add_case(Suite *s, const char *name) {
    TCase *t = tcase_create(name);
    tcase_add_checked_fixture(t, setup, teardown);
    suite_add_tcase(s, t);
    return t;
}

Suite *suite_listen(void) {
    Suite *s = suite_create("listen");
    TCase *t = add_case(s, "binding");
    tcase_add_test(t, socket_is_bound_and_removed_at_the_end);
    tcase_add_loop_test(t, mode_is_what_was_asked_whatever_the_umask, 0, 4);
    tcase_add_test(t, group_is_what_was_asked);
    tcase_add_test(t, group_that_is_none_is_refused);
    t = add_case(s, "path");
    tcase_add_test(t, socket_that_somebody_else_made_meanwhile_stays);
    tcase_add_test(t, what_happens_to_the_file_is_told_once);
    tcase_add_test(t, socket_of_a_dead_process_is_replaced);
    tcase_add_test(t, socket_with_a_listener_is_refused);
    tcase_add_test(t, socket_with_a_busy_listener_is_refused);
    tcase_add_test(t, second_instance_is_refused);
    tcase_add_loop_test(t, file_that_is_no_socket_is_refused_and_kept, 0, 4);
    tcase_add_test(t, directory_that_is_missing_is_an_error);
    tcase_add_test(t, longest_path_fits);
    t = add_case(s, "inheriting");
    tcase_add_test(t, descriptor_of_systemd_is_taken);
    tcase_add_test(t, descriptor_of_systemd_comes_before_standard_input);
    tcase_add_test(t, descriptors_for_another_process_are_not_taken);
    tcase_add_test(t, environment_without_a_listener_is_not_believed);
    tcase_add_test(t, numbers_of_the_environment_are_read_exactly);
    tcase_add_test(t, standard_input_that_listens_is_taken);
    tcase_add_test(t, standard_input_that_does_not_listen_is_left);
    tcase_add_test(t, inherited_socket_is_closed_but_not_removed);
    return s;
}
