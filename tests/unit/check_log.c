/* The log: what a line looks like, what happens when it cannot be written. */
#include "units.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <regex.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "support.h"

enum { LINE_BYTES = 2048 };

static char dir[PATH_MAX];
static char file[PATH_MAX];
static char seen[1 << 20]; /* what read_file and read_fd found, as a string */
static int saved_stderr;

static void path_in_dir(char out[PATH_MAX], const char *name) {
    int n = snprintf(out, PATH_MAX, "%s/%s", dir, name);
    ck_assert(n > 0 && n < PATH_MAX);
}

static void setup(void) {
    (void)snprintf(dir, sizeof(dir), "/tmp/larder-log.XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(dir));
    path_in_dir(file, "larder.log");
    saved_stderr = fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 10);
    ck_assert_int_ge(saved_stderr, 0);
    log_set_role("larderd");
}

static void teardown(void) {
    char old[PATH_MAX];
    dup2(saved_stderr, STDERR_FILENO);
    close(saved_stderr);
    ck_assert_int_eq(log_open("", LOG_LEVEL_INFO), OK);
    path_in_dir(old, "larder.log.1");
    unlink(file);
    unlink(old);
    rmdir(dir);
}

/* One read at a time gives one write at a time where the descriptor keeps them apart. */
static size_t read_fd(int fd) {
    ssize_t n = read(fd, seen, sizeof(seen) - 1);
    ck_assert_int_ge(n, 0);
    seen[n] = '\0';
    return (size_t)n;
}

static const char *read_file(const char *path) {
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    ck_assert_int_ge(fd, 0);
    read_fd(fd);
    close(fd);
    return seen;
}

static void use_stderr(int fd) {
    ck_assert_int_eq(dup2(fd, STDERR_FILENO), STDERR_FILENO);
    ck_assert_int_eq(log_open("", LOG_LEVEL_DEBUG), OK);
}

/* A pipe as standard error; gives the end to read, non-blocking. */
static int pipe_as_stderr(void) {
    int ends[2];
    ck_assert_int_eq(pipe(ends), 0);
    use_stderr(ends[1]);
    close(ends[1]);
    ck_assert_int_eq(fcntl(ends[0], F_SETFL, O_NONBLOCK), 0);
    return ends[0];
}

static void open_file(void) {
    ck_assert_int_eq(log_open(file, LOG_LEVEL_DEBUG), OK);
}

/* What follows "<level>: " in a line. */
static const char *message_of(const char *line) {
    const char *at = strstr(line, "]");
    ck_assert_ptr_nonnull(at);
    at = strstr(at, ": ");
    ck_assert_ptr_nonnull(at);
    return at + 2;
}

static size_t count_lines(const char *text) {
    size_t n = 0;
    for (; *text != '\0'; text++)
        n += *text == '\n';
    return n;
}

START_TEST(line_has_time_role_pid_level_and_message) {
    static const struct {
        void (*log)(const char *format, ...);
        const char *level;
    } calls[] = {
        {log_error, "error"}, {log_warning, "warning"}, {log_info, "info"}, {log_debug, "debug"}};
    open_file();
    log_set_role("worker 3");
    calls[_i].log("key %s, %d%%", "a/b", 42);
    char pattern[256];
    (void)snprintf(pattern, sizeof(pattern),
                   "^20[0-9]{2}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}\\.[0-9]{6}Z "
                   "worker 3\\[%d\\] %s: key a/b, 42%%\n$",
                   (int)getpid(), calls[_i].level);
    regex_t regex;
    ck_assert_int_eq(regcomp(&regex, pattern, REG_EXTENDED | REG_NOSUB), 0);
    ck_assert_msg(regexec(&regex, read_file(file), 0, NULL, 0) == 0, "line: %s", seen);
    regfree(&regex);
}
END_TEST

/* JOURNAL_STREAM is an environment variable, and its socket outlives no test: a file will do. */
static void name_stderr_as_journal(unsigned inode_offset) {
    struct stat st;
    char stream[64];
    ck_assert_int_eq(fstat(STDERR_FILENO, &st), 0);
    (void)snprintf(stream, sizeof(stream), "%ju:%ju", (uintmax_t)st.st_dev,
                   (uintmax_t)st.st_ino + inode_offset);
    ck_assert_int_eq(setenv("JOURNAL_STREAM", stream, 1), 0);
    ck_assert_int_eq(log_open("", LOG_LEVEL_DEBUG), OK);
}

START_TEST(journal_gets_the_level_as_a_number_and_no_time) {
    static const struct {
        void (*log)(const char *format, ...);
        const char *start;
        const char *level;
    } calls[] = {{log_error, "<3>", "error"},
                 {log_warning, "<4>", "warning"},
                 {log_info, "<6>", "info"},
                 {log_debug, "<7>", "debug"}};
    char expected[64];
    int end = pipe_as_stderr();
    name_stderr_as_journal(0);
    calls[_i].log("key %d", 42);
    read_fd(end);
    (void)snprintf(expected, sizeof(expected), "%slarderd[%d] %s: key 42\n", calls[_i].start,
                   (int)getpid(), calls[_i].level);
    ck_assert_str_eq(seen, expected);
    /* A file is no journal, whatever the environment says. */
    open_file();
    calls[_i].log("key");
    ck_assert(strncmp(read_file(file), "20", 2) == 0);
    (void)unsetenv("JOURNAL_STREAM");
    close(end);
}
END_TEST

START_TEST(standard_error_that_was_redirected_is_no_journal) {
    int end = pipe_as_stderr();
    name_stderr_as_journal(1);
    log_info("key");
    read_fd(end);
    ck_assert(strncmp(seen, "20", 2) == 0);
    (void)unsetenv("JOURNAL_STREAM");
    close(end);
}
END_TEST

START_TEST(lines_above_the_level_are_left_out) {
    static const enum log_level levels[] = {LOG_LEVEL_ERROR, LOG_LEVEL_WARNING, LOG_LEVEL_INFO,
                                            LOG_LEVEL_DEBUG};
    ck_assert_int_eq(log_open(file, levels[_i]), OK);
    log_debug("d");
    log_info("i");
    log_warning("w");
    log_error("e");
    ck_assert_uint_eq(count_lines(read_file(file)), (size_t)_i + 1);
    ck_assert_uint_eq(log_dropped(), 0);
}
END_TEST

START_TEST(role_is_cut_at_31_bytes) {
    open_file();
    log_set_role("0123456789012345678901234567890123456789");
    log_info("x");
    ck_assert_ptr_nonnull(strstr(read_file(file), "Z 0123456789012345678901234567890["));
}
END_TEST

START_TEST(nobody_can_forge_a_line) {
    static const struct {
        const char *message;
        const char *written;
    } cases[] = {
        {"a\nb", "a\\x0ab"},
        {"a\r\nb\n", "a\\x0d\\x0ab\\x0a"},
        {"\x1b[2J\a\t\x01\x7f", "\\x1b[2J\\x07\\x09\\x01\\x7f"},
        {"C1: \xc2\x9b"
         "31m",
         "C1: \\xc2\\x9b31m"},
        {"line separators: \xe2\x80\xa8\xe2\x80\xa9",
         "line separators: \\xe2\\x80\\xa8\\xe2\\x80\\xa9"},
        {"not UTF-8: \xff \xc3 \xc3(", "not UTF-8: \\xff \\xc3 \\xc3("},
        {"surrogate: \xed\xa0\x80", "surrogate: \\xed\\xa0\\x80"},
        {"UTF-8: \xc3\xa9\xe2\x82\xac\xf0\x9f\x8d\x8e",
         "UTF-8: \xc3\xa9\xe2\x82\xac\xf0\x9f\x8d\x8e"},
        {"a backslash \\x0a stays", "a backslash \\x0a stays"},
        {"", ""},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        unlink(file);
        open_file();
        log_info("%s", cases[i].message);
        const char *message = message_of(read_file(file));
        size_t length = strlen(cases[i].written);
        ck_assert_msg(strncmp(message, cases[i].written, length) == 0 &&
                          strcmp(message + length, "\n") == 0,
                      "case %zu: %s", i, message);
    }
}
END_TEST

/* How many bytes of message fit into a line. */
static size_t message_room(void) {
    log_info("%s", "");
    return LINE_BYTES - strlen(read_file(file));
}

START_TEST(long_lines_end_in_dots_after_2048_bytes) {
    static char text[3 * LINE_BYTES];
    open_file();
    size_t room = message_room();
    for (size_t n = room - 1; n < sizeof(text); n = n < room + 8 ? n + 1 : n + 977) {
        unlink(file);
        open_file();
        memset(text, 'a', n);
        text[n] = '\0';
        log_info("%s", text);
        size_t written = strlen(read_file(file));
        ck_assert_uint_eq(count_lines(seen), 1);
        if (n <= room) {
            ck_assert_uint_eq(written, LINE_BYTES - (room - n));
            ck_assert_ptr_null(strstr(seen, "..."));
        } else {
            ck_assert_uint_eq(written, LINE_BYTES);
            ck_assert_str_eq(seen + LINE_BYTES - 5, "a...\n");
        }
    }
}
END_TEST

START_TEST(a_cut_splits_no_character_and_no_escape) {
    static const char *const units[] = {"\n", "\xe2\x82\xac", "\xf0\x9f\x8d\x8e", "\xff"};
    static const char *const shown[] = {"\\x0a", "\xe2\x82\xac", "\xf0\x9f\x8d\x8e", "\\xff"};
    for (size_t shift = 0; shift < 4; shift++) {
        static char text[3 * LINE_BYTES];
        size_t n = shift;
        memset(text, 'a', n);
        for (; n < (size_t)2 * LINE_BYTES; n += strlen(units[_i]))
            memcpy(text + n, units[_i], strlen(units[_i]) + 1);
        unlink(file);
        open_file();
        log_info("%s", text);
        size_t unit = strlen(shown[_i]);
        size_t written = strlen(read_file(file));
        ck_assert_uint_gt(written, LINE_BYTES - unit);
        ck_assert_uint_le(written, LINE_BYTES);
        const char *at = message_of(seen) + shift;
        while (strncmp(at, shown[_i], unit) == 0)
            at += unit;
        ck_assert_str_eq(at, "...\n");
    }
}
END_TEST

START_TEST(percent_m_is_errno_and_errno_stays) {
    open_file();
    errno = ENOTDIR;
    log_info("%m");
    ck_assert_int_eq(errno, ENOTDIR);
    ck_assert_str_eq(message_of(read_file(file)), "Not a directory\n");
    use_stderr(saved_stderr);
    ck_assert_int_eq(log_open("/dev/full", LOG_LEVEL_INFO), OK);
    errno = EAGAIN;
    log_info("dropped");
    ck_assert_int_eq(errno, EAGAIN);
    ck_assert_uint_eq(log_dropped(), 1);
}
END_TEST

START_TEST(file_is_appended_to_and_private) {
    FILE *before = fopen(file, "w");
    ck_assert_ptr_nonnull(before);
    ck_assert_int_ge(fputs("before\n", before), 0);
    ck_assert_int_eq(fclose(before), 0);
    open_file();
    log_info("one");
    open_file();
    ck_assert_int_eq(truncate(file, 7), 0); /* logrotate's copytruncate */
    log_info("two");
    ck_assert_int_eq(strncmp(read_file(file), "before\n20", 9), 0);
    ck_assert_uint_eq(count_lines(seen), 2);
    unlink(file);
    mode_t mask = umask(0);
    open_file();
    umask(mask);
    struct stat st;
    ck_assert_int_eq(stat(file, &st), 0);
    ck_assert_uint_eq(st.st_mode & 07777, 0640);
}
END_TEST

START_TEST(descriptor_is_not_inherited_and_not_leaked) {
    int free_fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
    close(free_fd);
    open_file();
    ck_assert_int_eq(fcntl(free_fd, F_GETFD), FD_CLOEXEC);
    ck_assert_int_eq(fcntl(free_fd, F_GETFL) & O_APPEND, O_APPEND);
    for (int i = 0; i < 4; i++) {
        log_reopen();
        open_file();
    }
    ck_assert_int_eq(log_open("", LOG_LEVEL_INFO), OK);
    int again = open("/dev/null", O_RDONLY | O_CLOEXEC);
    ck_assert_int_eq(again, free_fd);
    close(again);
    ck_assert_int_ge(fcntl(STDERR_FILENO, F_GETFD), 0);
}
END_TEST

START_TEST(after_its_end_the_file_is_closed_and_lines_go_to_standard_error) {
    int end = pipe_as_stderr();
    ck_assert_int_eq(log_open(file, LOG_LEVEL_INFO), OK);
    int before = open("/dev/null", O_RDONLY | O_CLOEXEC);
    ck_assert_int_ge(before, 0);
    log_close();
    log_error("late");
    log_reopen();
    log_close();
    int after = open("/dev/null", O_RDONLY | O_CLOEXEC);
    ck_assert_int_lt(after, before);
    ck_assert_str_eq(read_file(file), "");
    read_fd(end);
    ck_assert_ptr_nonnull(strstr(seen, "late"));
    close(before);
    close(after);
    close(end);
}
END_TEST

START_TEST(reopen_follows_a_rename) {
    char old[PATH_MAX];
    path_in_dir(old, "larder.log.1");
    open_file();
    log_info("first");
    ck_assert_int_eq(rename(file, old), 0);
    log_info("second");
    log_reopen();
    log_info("third");
    ck_assert_uint_eq(count_lines(read_file(old)), 2);
    ck_assert_str_eq(message_of(read_file(file)), "third\n");
}
END_TEST

START_TEST(reopen_that_fails_keeps_the_file_and_says_so) {
    char elsewhere[PATH_MAX + 4];
    char expected[PATH_MAX + 128];
    open_file();
    int fd = open(file, O_RDONLY | O_CLOEXEC);
    unlink(file);
    (void)snprintf(elsewhere, sizeof(elsewhere), "%s.1", dir);
    ck_assert_int_eq(rename(dir, elsewhere), 0);
    log_reopen();
    log_info("still here");
    ck_assert_int_eq(rename(elsewhere, dir), 0);
    read_fd(fd);
    close(fd);
    (void)snprintf(expected, sizeof(expected),
                   "cannot open the log file %s again, so the old one stays: "
                   "No such file or directory\n",
                   file);
    const char *message = message_of(seen);
    ck_assert_msg(strncmp(message, expected, strlen(expected)) == 0, "%s", message);
    ck_assert_str_eq(message_of(message + strlen(expected)), "still here\n");
}
END_TEST

START_TEST(open_that_fails_keeps_the_log_before) {
    static char endless[PATH_MAX + 2];
    char fifo[PATH_MAX];
    memset(endless, 'a', PATH_MAX);
    path_in_dir(fifo, "larder.log.1");
    ck_assert_int_eq(mkfifo(fifo, 0600), 0);
    const struct {
        const char *path;
        int error;
    } cases[] = {
        {"/nonexistent/larder.log", ENOENT}, {dir, EISDIR}, {endless, ENAMETOOLONG}, {fifo, ENXIO}};
    open_file();
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        errno = 0;
        ck_assert_int_eq(log_open(cases[i].path, LOG_LEVEL_ERROR), E_SYSTEM);
        ck_assert_int_eq(errno, cases[i].error);
        log_debug("still here");
        ck_assert_uint_eq(count_lines(read_file(file)), i + 1);
    }
}
END_TEST

/* The kernel keeps the packets of this socket apart, so a packet is a write. */
START_TEST(a_line_is_one_write) {
    int ends[2];
    ck_assert_int_eq(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, ends), 0);
    use_stderr(ends[1]);
    close(ends[1]);
    log_info("short");
    log_info("%04000d", 7);
    ck_assert_uint_lt(read_fd(ends[0]), 100);
    ck_assert_str_eq(message_of(seen), "short\n");
    ck_assert_uint_eq(read_fd(ends[0]), LINE_BYTES);
    close(ends[0]);
}
END_TEST

START_TEST(a_full_pipe_drops_lines_and_the_next_line_says_how_many) {
    int fd = pipe_as_stderr();
    uint64_t logged = 0;
    while (log_dropped() < 5) {
        log_info("%0*d", 100 + (int)(logged % 7) * 300, 7);
        logged++;
        ck_assert_uint_lt(logged, 10000);
    }
    ck_assert_uint_eq(log_dropped(), 5);
    read_fd(fd);
    ck_assert_uint_eq(count_lines(seen), logged - 5);
    ck_assert_ptr_null(strstr(seen, "dropped"));
    log_debug("after");
    log_debug("later");
    read_fd(fd);
    ck_assert_uint_eq(count_lines(seen), 3);
    ck_assert_ptr_nonnull(strstr(seen, " warning: 5 lines were dropped\n"));
    ck_assert_int_eq(strncmp(message_of(seen), "5 lines", 7), 0);
    ck_assert_uint_eq(log_dropped(), 5);
    close(fd);
}
END_TEST

/* Whoever else writes into the pipe may have it as it was: one that waits. */
START_TEST(a_pipe_is_never_waited_for) {
    char path[64];
    char link[64];
    char target[64];
    char own[64];
    int waiting = 0;
    int end = pipe_as_stderr();
    ck_assert_int_eq(log_open("", LOG_LEVEL_INFO), OK);
    ck_assert_int_gt(readlink("/proc/self/fd/2", target, sizeof(target)), 0);
    ck_assert_int_eq(fcntl(STDERR_FILENO, F_GETFL) & O_NONBLOCK, 0);
    for (int fd = 3; fd < 100; fd++) {
        (void)snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
        memset(link, 0, sizeof(link));
        if (fd == end || readlink(path, link, sizeof(link) - 1) <= 0)
            continue;
        (void)snprintf(own, sizeof(own), "%.*s", (int)strlen(link), target);
        waiting += strcmp(link, own) == 0 && (fcntl(fd, F_GETFL) & O_NONBLOCK) == O_NONBLOCK;
    }
    ck_assert_int_eq(waiting, 1);
    log_info("hello");
    read_fd(end);
    ck_assert_ptr_nonnull(strstr(seen, "hello\n"));
    ck_assert_int_eq(log_open("/dev/null", LOG_LEVEL_INFO), OK);
    close(end);
}
END_TEST

START_TEST(a_line_above_the_level_announces_nothing) {
    ck_assert_int_eq(log_open("/dev/full", LOG_LEVEL_INFO), OK);
    log_info("x");
    log_info("x");
    ck_assert_int_eq(log_open(file, LOG_LEVEL_ERROR), OK);
    log_info("not wanted");
    ck_assert_str_eq(read_file(file), "");
    log_error("wanted");
    ck_assert_uint_eq(count_lines(read_file(file)), 2);
    ck_assert_int_eq(strncmp(message_of(seen), "2 lines were dropped\n", 21), 0);
}
END_TEST

/* SIGPIPE has its default action here: it would end the test. */
START_TEST(a_reader_that_is_gone_is_no_signal) {
    int fd = pipe_as_stderr();
    close(fd);
    log_info("to nobody");
    ck_assert_uint_eq(log_dropped(), 1);
    int ends[2];
    ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM, 0, ends), 0);
    use_stderr(ends[1]);
    close(ends[1]);
    close(ends[0]);
    log_info("to nobody");
    ck_assert_uint_eq(log_dropped(), 2);
}
END_TEST

START_TEST(a_closed_or_full_log_drops) {
    int null = open("/dev/null", O_WRONLY | O_CLOEXEC);
    ck_assert_int_ge(null, 0);
    use_stderr(null);
    close(null);
    close(STDERR_FILENO);
    log_info("nowhere");
    ck_assert_uint_eq(log_dropped(), 1);
    ck_assert_int_eq(dup2(saved_stderr, STDERR_FILENO), STDERR_FILENO);
    ck_assert_int_eq(log_open("/dev/full", LOG_LEVEL_INFO), OK);
    log_info("nowhere");
    ck_assert_uint_eq(log_dropped(), 2);
}
END_TEST

START_TEST(a_line_after_half_a_line_starts_on_its_own) {
    struct rlimit before;
    ck_assert_int_eq(getrlimit(RLIMIT_FSIZE, &before), 0);
    open_file();
    log_info("whole");
    size_t whole = strlen(read_file(file));
    /* A file that may grow by ten bytes is a disk that is nearly full. */
    void (*old)(int) = signal(SIGXFSZ, SIG_IGN);
    ck_assert(old != SIG_ERR);
    struct rlimit tight = {.rlim_cur = whole + 10, .rlim_max = before.rlim_max};
    ck_assert_int_eq(setrlimit(RLIMIT_FSIZE, &tight), 0);
    log_info("torn");
    log_info("refused");
    ck_assert_int_eq(setrlimit(RLIMIT_FSIZE, &before), 0);
    ck_assert(signal(SIGXFSZ, old) == SIG_IGN);
    ck_assert_uint_eq(log_dropped(), 2);
    log_info("again");
    log_info("and again");
    const char *rest = read_file(file) + whole;
    ck_assert_uint_eq(count_lines(rest), 4);
    ck_assert_int_eq(rest[10], '\n');
    ck_assert_int_eq(strncmp(message_of(rest + 11), "2 lines were dropped\n", 21), 0);
    ck_assert_ptr_nonnull(strstr(rest, "info: again\n20"));
}
END_TEST

START_TEST(the_same_thing_is_due_once_a_minute) {
    const int64_t begun = NS_PER_S;
    int64_t said = 0;
    ck_assert(log_is_due(&said, begun));
    ck_assert(!log_is_due(&said, begun));
    ck_assert(!log_is_due(&said, begun + 60 * NS_PER_S - 1));
    ck_assert(log_is_due(&said, begun + 60 * NS_PER_S));
    ck_assert(!log_is_due(&said, begun + 61 * NS_PER_S));
}
END_TEST

START_TEST(a_child_counts_its_own_drops) {
    ck_assert_int_eq(log_open("/dev/full", LOG_LEVEL_INFO), OK);
    log_info("dropped");
    pid_t pid = fork();
    ck_assert_int_ge(pid, 0);
    if (pid == 0) {
        log_set_role("worker 0");
        bool fresh = log_dropped() == 0;
        bool opened = log_open(file, LOG_LEVEL_INFO) == OK;
        log_info("child");
        end_child(fresh && opened ? 0 : 1);
    }
    int status;
    ck_assert_int_eq(waitpid(pid, &status, 0), pid);
    ck_assert_int_eq(status, 0);
    ck_assert_uint_eq(count_lines(read_file(file)), 1);
    char expected[64];
    (void)snprintf(expected, sizeof(expected), " worker 0[%d] info: child\n", (int)pid);
    ck_assert_ptr_nonnull(strstr(seen, expected));
    ck_assert_uint_eq(log_dropped(), 1);
}
END_TEST

Suite *suite_log(void) {
    Suite *s = suite_create("log");
    TCase *lines = tcase_create("lines");
    tcase_add_checked_fixture(lines, setup, teardown);
    tcase_add_loop_test(lines, line_has_time_role_pid_level_and_message, 0, 4);
    tcase_add_loop_test(lines, journal_gets_the_level_as_a_number_and_no_time, 0, 4);
    tcase_add_test(lines, standard_error_that_was_redirected_is_no_journal);
    tcase_add_loop_test(lines, lines_above_the_level_are_left_out, 0, 4);
    tcase_add_test(lines, role_is_cut_at_31_bytes);
    tcase_add_test(lines, nobody_can_forge_a_line);
    tcase_add_test(lines, long_lines_end_in_dots_after_2048_bytes);
    tcase_add_loop_test(lines, a_cut_splits_no_character_and_no_escape, 0, 4);
    tcase_add_test(lines, percent_m_is_errno_and_errno_stays);
    tcase_add_test(lines, the_same_thing_is_due_once_a_minute);
    suite_add_tcase(s, lines);
    TCase *files = tcase_create("files");
    tcase_add_checked_fixture(files, setup, teardown);
    tcase_add_test(files, file_is_appended_to_and_private);
    tcase_add_test(files, descriptor_is_not_inherited_and_not_leaked);
    tcase_add_test(files, after_its_end_the_file_is_closed_and_lines_go_to_standard_error);
    tcase_add_test(files, reopen_follows_a_rename);
    tcase_add_test(files, reopen_that_fails_keeps_the_file_and_says_so);
    tcase_add_test(files, open_that_fails_keeps_the_log_before);
    suite_add_tcase(s, files);
    TCase *drops = tcase_create("drops");
    tcase_add_checked_fixture(drops, setup, teardown);
    tcase_add_test(drops, a_line_is_one_write);
    tcase_add_test(drops, a_full_pipe_drops_lines_and_the_next_line_says_how_many);
    tcase_add_test(drops, a_pipe_is_never_waited_for);
    tcase_add_test(drops, a_line_above_the_level_announces_nothing);
    tcase_add_test(drops, a_reader_that_is_gone_is_no_signal);
    tcase_add_test(drops, a_closed_or_full_log_drops);
    tcase_add_test(drops, a_line_after_half_a_line_starts_on_its_own);
    tcase_add_test(drops, a_child_counts_its_own_drops);
    suite_add_tcase(s, drops);
    return s;
}
