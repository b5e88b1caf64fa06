/* The shared segment: how its file comes and goes, and the address that is published in it. */
#include "units.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/segment.h"

enum { WORKERS = 3 };

#define HOST "redis.example"

static char dir[PATH_MAX];
static char file[PATH_MAX];
static char fresh[PATH_MAX];
static int saved_stderr;
static struct segment *segment;

static void join(char out[PATH_MAX], const char *name) {
    int n = snprintf(out, PATH_MAX, "%s/%s", dir, name);
    ck_assert(n > 0 && n < PATH_MAX);
}

/* What the segment's code logs on its way is not the tests' output. */
static void silence_log(void) {
    int null = open("/dev/null", O_WRONLY | O_CLOEXEC);
    saved_stderr = fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 10);
    ck_assert(null >= 0 && saved_stderr >= 0);
    dup2(null, STDERR_FILENO);
    close(null);
}

static void setup(void) {
    const char *tmp = getenv("TMPDIR");
    int n = snprintf(dir, sizeof(dir), "%s/larder-segment.XXXXXX", tmp != NULL ? tmp : "/tmp");
    ck_assert(n > 0 && n < 1000);
    ck_assert_ptr_nonnull(mkdtemp(dir));
    join(file, "larder.segment");
    join(fresh, ".larder.segment.new");
    silence_log();
}

static void teardown(void) {
    segment_destroy(&segment, dir, WORKERS);
    unlink(file);
    unlink(fresh);
    rmdir(dir);
    dup2(saved_stderr, STDERR_FILENO);
    close(saved_stderr);
}

static void create(void) {
    ck_assert_int_eq(segment_create(&segment, dir, WORKERS), OK);
}

static bool exists(const char *path) {
    return access(path, F_OK) == 0;
}

/* --- the file -------------------------------------------------------------------------------- */

START_TEST(a_new_segment_says_what_it_is) {
    int64_t before = clock_monotonic();
    create();
    ck_assert_mem_eq(segment->magic, "larder\r\n", 8);
    ck_assert_uint_eq(segment->version, SEGMENT_VERSION);
    ck_assert_uint_eq(segment->row_bytes, sizeof(struct stats_row));
    ck_assert_uint_eq(segment->row_count, SEGMENT_FIRST_WORKER_ROW + WORKERS);
    ck_assert_uint_eq(segment->bytes,
                      sizeof(struct segment) + segment->row_count * sizeof(struct stats_row));
    ck_assert_uint_eq(segment->ready, 1);
    ck_assert_int_ge(segment->started, before);
    ck_assert_int_le(segment->started, clock_monotonic());
    ck_assert_int_gt(segment->started_real, 0);
}
END_TEST

START_TEST(everything_else_in_it_is_zero) {
    create();
    struct stats_sum sum;
    char address[SEGMENT_ADDRESS_MAX];
    stats_sum_rows(&sum, segment->rows, segment->row_count);
    ck_assert_uint_eq(stats_total_requests(&sum), 0);
    ck_assert_uint_eq(segment->rows[segment->row_count - 1].state, WORKER_NONE);
    ck_assert_uint_eq(segment->breaker.state, 0);
    ck_assert(!segment_read_address(segment, HOST, address));
}
END_TEST

START_TEST(rows_have_cache_lines_of_their_own) {
    create();
    for (uint32_t i = 0; i < segment->row_count; i++)
        ck_assert_uint_eq((uintptr_t)&segment->rows[i] % 64, 0);
}
END_TEST

START_TEST(the_file_is_whole_private_and_in_place) {
    struct stat st;
    create();
    ck_assert_int_eq(stat(file, &st), 0);
    ck_assert_int_eq(st.st_size, (off_t)segment->bytes);
    /* What the umask leaves of it. */
    ck_assert_uint_eq((st.st_mode & 0777) | 0640U, 0640);
    /* No hole in it. */
    ck_assert_int_ge(st.st_blocks * 512, st.st_size);
    ck_assert(!exists(fresh));
}
END_TEST

START_TEST(the_file_has_what_is_written_to_the_map) {
    create();
    stats_add(&segment->rows[WORKERS].counter[STAT_hits], 42);
    int fd = open(file, O_RDONLY | O_CLOEXEC);
    ck_assert_int_ge(fd, 0);
    uint64_t hits = 0;
    off_t at = (char *)&segment->rows[WORKERS].counter[STAT_hits] - (char *)segment;
    ck_assert_int_eq(pread(fd, &hits, sizeof(hits), at), sizeof(hits));
    close(fd);
    ck_assert_uint_eq(hits, 42);
}
END_TEST

START_TEST(a_new_one_leaves_the_old_map_whole) {
    create();
    struct segment *old = segment;
    stats_add(&old->rows[0].counter[STAT_hits], 7);
    create();
    ck_assert_ptr_ne(segment, old);
    ck_assert_uint_eq(stats_read(&old->rows[0].counter[STAT_hits]), 7);
    ck_assert_uint_eq(stats_read(&segment->rows[0].counter[STAT_hits]), 0);
    segment_destroy(&old, dir, WORKERS);
}
END_TEST

START_TEST(what_an_interrupted_start_left_is_no_obstacle) {
    int fd = open(fresh, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    ck_assert_int_ge(fd, 0);
    close(fd);
    create();
    ck_assert(!exists(fresh));
}
END_TEST

START_TEST(nothing_is_made_where_nothing_can_be) {
    char missing[PATH_MAX];
    join(missing, "missing");
    ck_assert_int_eq(segment_create(&segment, missing, WORKERS), E_SYSTEM);
    ck_assert_ptr_null(segment);

    /* A directory in the file's place cannot be replaced; nothing is left behind. */
    ck_assert_int_eq(mkdir(file, 0700), 0);
    ck_assert_int_eq(segment_create(&segment, dir, WORKERS), E_SYSTEM);
    ck_assert_ptr_null(segment);
    ck_assert(!exists(fresh));
    ck_assert_int_eq(rmdir(file), 0);
}
END_TEST

START_TEST(destroying_removes_the_file_and_leaves_null) {
    create();
    segment_destroy(&segment, dir, WORKERS);
    ck_assert_ptr_null(segment);
    ck_assert(!exists(file));
    segment_destroy(&segment, dir, WORKERS);
}
END_TEST

START_TEST(destroying_believes_nothing_that_is_written_there) {
    create();
    struct segment *old = segment;
    segment->bytes = UINT64_C(1) << 60; /* munmap refuses that; of less it would take others' */
    segment->row_count = UINT32_MAX;
    segment_destroy(&segment, dir, WORKERS);
    ck_assert_ptr_null(segment);
    ck_assert_int_ne(access(file, F_OK), 0);
    ck_assert_int_eq(msync(old, 1, MS_ASYNC), -1);
    ck_assert_int_eq(errno, ENOMEM); /* nothing is mapped there */
}
END_TEST

/* --- the address ----------------------------------------------------------------------------- */

static const char *read_address(void) {
    static char address[SEGMENT_ADDRESS_MAX];
    return segment_read_address(segment, HOST, address) ? address : "unknown";
}

START_TEST(the_last_address_is_the_one_that_is_read) {
    create();
    segment_publish_address(segment, HOST, "2001:db8:ffff:ffff:ffff:ffff:255.255.255.255");
    ck_assert_str_eq(read_address(), "2001:db8:ffff:ffff:ffff:ffff:255.255.255.255");
    segment_publish_address(segment, HOST, "127.0.0.1");
    ck_assert_str_eq(read_address(), "127.0.0.1");
}
END_TEST

START_TEST(an_address_is_that_of_one_host) {
    char address[SEGMENT_ADDRESS_MAX];
    create();
    segment_publish_address(segment, "old.example", "127.0.0.1");
    ck_assert_str_eq(read_address(), "unknown");
    segment_publish_address(segment, HOST, "127.0.0.2");
    ck_assert_str_eq(read_address(), "127.0.0.2");
    ck_assert(!segment_read_address(segment, "old.example", address));
}
END_TEST

/* To whom a worker would speak, and believe his answers; or wait for a name server's. */
START_TEST(an_address_that_was_overwritten_is_unknown) {
    create();
    for (size_t i = 0; i < SEGMENT_ADDRESS_MAX - 1; i++)
        for (char flip = 1; flip > 0; flip = (char)(flip << 1)) {
            segment_publish_address(segment, HOST, "127.0.0.1");
            segment->address.numeric[i] ^= flip;
            /* What follows its end is not part of it. */
            ck_assert_str_eq(read_address(), i <= 9 ? "unknown" : "127.0.0.1");
            if (flip == 64)
                break;
        }
}
END_TEST

START_TEST(an_address_that_is_too_long_ends_where_the_room_does) {
    char text[2 * SEGMENT_ADDRESS_MAX];
    create();
    memset(text, 'a', sizeof(text) - 1);
    text[sizeof(text) - 1] = '\0';
    segment_publish_address(segment, HOST, text);
    ck_assert_uint_eq(strlen(read_address()), SEGMENT_ADDRESS_MAX - 1);
}
END_TEST

START_TEST(an_address_that_is_being_written_is_unknown_until_it_is_whole) {
    create();
    segment_publish_address(segment, HOST, "127.0.0.1");
    /* A writer died after its first step. */
    segment->address.sequence++;
    ck_assert_str_eq(read_address(), "unknown");
    segment_publish_address(segment, HOST, "127.0.0.2");
    ck_assert_str_eq(read_address(), "127.0.0.2");
}
END_TEST

START_TEST(the_count_of_writings_may_wrap) {
    create();
    segment->address.sequence = UINT32_MAX - 1;
    segment_publish_address(segment, HOST, "127.0.0.3");
    ck_assert_str_eq(read_address(), "127.0.0.3");
}
END_TEST

/* All of one letter and as long as that letter says: a mixture of two is neither. */
static bool is_whole(const char *address) {
    size_t n = strlen(address);
    if (n != (size_t)(address[0] - 'a') + 20)
        return false;
    for (size_t i = 1; i < n; i++)
        if (address[i] != address[0])
            return false;
    return true;
}

static _Noreturn void publish_for_ever(void) {
    for (unsigned i = 0;; i++) {
        char address[SEGMENT_ADDRESS_MAX] = {0};
        memset(address, (int)('a' + i % 26), 20 + i % 26);
        segment_publish_address(segment, HOST, address);
    }
}

START_TEST(a_reader_in_another_process_sees_whole_addresses_only) {
    enum { READS = 20000, CHANGES = 200 };
    create();
    pid_t writer = fork();
    ck_assert_int_ge(writer, 0);
    if (writer == 0)
        publish_for_ever();
    int whole = 0;
    int broken = 0;
    int changes = 0;
    char before = 0;
    /* Reads alone prove nothing while the writer waits for its turn on the processor. */
    while ((whole < READS || changes < CHANGES) && broken == 0) {
        char address[SEGMENT_ADDRESS_MAX];
        if (!segment_read_address(segment, HOST, address))
            continue;
        whole++;
        broken += !is_whole(address);
        changes += address[0] != before;
        before = address[0];
    }
    kill(writer, SIGKILL);
    waitpid(writer, NULL, 0);
    ck_assert_int_eq(broken, 0);
}
END_TEST

Suite *suite_segment(void) {
    Suite *s = suite_create("segment");
    TCase *files = tcase_create("file");
    tcase_add_checked_fixture(files, setup, teardown);
    tcase_add_test(files, a_new_segment_says_what_it_is);
    tcase_add_test(files, everything_else_in_it_is_zero);
    tcase_add_test(files, rows_have_cache_lines_of_their_own);
    tcase_add_test(files, the_file_is_whole_private_and_in_place);
    tcase_add_test(files, the_file_has_what_is_written_to_the_map);
    tcase_add_test(files, a_new_one_leaves_the_old_map_whole);
    tcase_add_test(files, what_an_interrupted_start_left_is_no_obstacle);
    tcase_add_test(files, nothing_is_made_where_nothing_can_be);
    tcase_add_test(files, destroying_removes_the_file_and_leaves_null);
    tcase_add_test(files, destroying_believes_nothing_that_is_written_there);
    suite_add_tcase(s, files);

    TCase *address = tcase_create("address");
    tcase_add_checked_fixture(address, setup, teardown);
    tcase_set_timeout(address, 30);
    tcase_add_test(address, the_last_address_is_the_one_that_is_read);
    tcase_add_test(address, an_address_is_that_of_one_host);
    tcase_add_test(address, an_address_that_was_overwritten_is_unknown);
    tcase_add_test(address, an_address_that_is_too_long_ends_where_the_room_does);
    tcase_add_test(address, an_address_that_is_being_written_is_unknown_until_it_is_whole);
    tcase_add_test(address, the_count_of_writings_may_wrap);
    tcase_add_test(address, a_reader_in_another_process_sees_whole_addresses_only);
    suite_add_tcase(s, address);
    return s;
}
