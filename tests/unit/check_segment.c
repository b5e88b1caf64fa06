/* The shared segment: its memory, and the address that is published in it. */
#include "units.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/segment.h"
#include "refuse.h"

enum { WORKERS = 3, ROWS = SEGMENT_FIRST_WORKER_ROW + WORKERS };

#define HOST "redis.example"

static int saved_stderr;
static struct segment *segment;
static int memory = -1;

/* What the segment's code logs on its way is not the tests' output. */
static void setup(void) {
    int null = open("/dev/null", O_WRONLY | O_CLOEXEC);
    saved_stderr = fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 10);
    ck_assert(null >= 0 && saved_stderr >= 0);
    dup2(null, STDERR_FILENO);
    close(null);
}

static void teardown(void) {
    segment_destroy(&segment, &memory, ROWS);
    dup2(saved_stderr, STDERR_FILENO);
    close(saved_stderr);
}

static void create(void) {
    ck_assert_int_eq(segment_create(&segment, &memory, ROWS), OK);
}

/* --- the memory ------------------------------------------------------------------------------ */

START_TEST(a_new_segment_says_what_it_is) {
    int64_t before = clock_monotonic();
    create();
    ck_assert_mem_eq(segment->magic, "larder\r\n", 8);
    ck_assert_uint_eq(segment->version, SEGMENT_VERSION);
    ck_assert_uint_eq(segment->row_bytes, sizeof(struct stats_row));
    ck_assert_uint_eq(segment->row_count, ROWS);
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

START_TEST(it_is_allocated_in_full) {
    struct stat st;
    create();
    ck_assert_int_eq(fstat(memory, &st), 0);
    ck_assert_int_eq(st.st_size, (off_t)segment->bytes);
    ck_assert_int_ge(st.st_blocks * 512, st.st_size);
    ck_assert_int_ne(fcntl(memory, F_GETFD) & FD_CLOEXEC, 0);
}
END_TEST

/* A page that is gone is a SIGBUS in every process that looks at it. */
START_TEST(nobody_can_shorten_or_lengthen_it) {
    create();
    ck_assert_int_eq(ftruncate(memory, 0), -1);
    ck_assert_int_eq(errno, EPERM);
    ck_assert_int_eq(ftruncate(memory, (off_t)segment->bytes - 1), -1);
    ck_assert_int_eq(ftruncate(memory, (off_t)segment->bytes + 4096), -1);
    ck_assert_int_eq(fcntl(memory, F_ADD_SEALS, F_SEAL_WRITE), -1);
    ck_assert_int_eq(fallocate(memory, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, 4096), 0);
    /* A hole gets a new page at the next look. */
    ck_assert_uint_eq(segment->ready, 0);
}
END_TEST

START_TEST(who_has_the_descriptor_sees_what_is_written) {
    create();
    stats_add(&segment->rows[WORKERS].counter[STAT_hits], 42);
    uint64_t hits = 0;
    off_t at = (char *)&segment->rows[WORKERS].counter[STAT_hits] - (char *)segment;
    ck_assert_int_eq(pread(memory, &hits, sizeof(hits), at), sizeof(hits));
    ck_assert_uint_eq(hits, 42);
}
END_TEST

START_TEST(without_memory_there_is_none) {
    struct rlimit before;
    ck_assert_int_eq(getrlimit(RLIMIT_FSIZE, &before), 0);
    struct rlimit small = {.rlim_cur = 4096, .rlim_max = before.rlim_max};
    void (*handler)(int) = signal(SIGXFSZ, SIG_IGN);
    ck_assert_int_eq(setrlimit(RLIMIT_FSIZE, &small), 0);
    enum error e = segment_create(&segment, &memory, ROWS);
    ck_assert_int_eq(setrlimit(RLIMIT_FSIZE, &before), 0);
    (void)signal(SIGXFSZ, handler);
    ck_assert_int_eq(e, E_SYSTEM);
    ck_assert_ptr_null(segment);
    ck_assert_int_eq(memory, -1);
}
END_TEST

/* Not by what it says of its size: anybody may have written that. */
/* Nothing is left open, and nothing is there. */
START_TEST(every_step_of_making_it_may_fail) {
    static const struct {
        enum refused call;
        size_t before;
        int error;
    } steps[] = {
        {REFUSE_memfd_create, 0, EMFILE},
        {REFUSE_fcntl64, 0, EPERM},
        {REFUSE_mmap64, 0, ENOMEM},
    };
    int next = open("/dev/null", O_RDONLY | O_CLOEXEC);
    close(next);
    refuse_begin(steps[_i].call, steps[_i].before, steps[_i].error);
    enum error e = segment_create(&segment, &memory, ROWS);
    ck_assert(refuse_end());
    ck_assert_int_eq(e, E_SYSTEM);
    ck_assert_ptr_null(segment);
    ck_assert_int_eq(memory, -1);
    int now = open("/dev/null", O_RDONLY | O_CLOEXEC);
    close(now);
    ck_assert_int_eq(now, next);
}
END_TEST

/* A kernel before 6.3 doesn't know MFD_NOEXEC_SEAL. */
START_TEST(an_older_kernel_will_do) {
    refuse_begin(REFUSE_memfd_create, 0, EINVAL);
    create();
    ck_assert(refuse_end());
}
END_TEST

START_TEST(it_is_unmapped_as_it_was_made) {
    create();
    unsigned char resident[1];
    const long page = sysconf(_SC_PAGESIZE);
    void *map = segment;
    size_t bytes = segment->bytes;
    segment->bytes = 1;
    segment->row_count = 0;
    segment_destroy(&segment, &memory, ROWS);
    ck_assert_ptr_null(segment);
    ck_assert_int_eq(memory, -1);
    void *last = (char *)map + (bytes - 1) / (size_t)page * (size_t)page;
    ck_assert_int_eq(mincore(last, 1, resident), -1);
    ck_assert_int_eq(errno, ENOMEM);
    segment_destroy(&segment, &memory, ROWS);
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

/* It would be that of another machine, with somebody else's Redis. */
START_TEST(a_damaged_address_is_unknown) {
    create();
    for (size_t i = 0; i < sizeof("127.0.0.1"); i++) {
        segment_publish_address(segment, HOST, "127.0.0.1");
        segment->address.numeric[i] ^= 1;
        ck_assert_str_eq(read_address(), "unknown");
    }
    segment_publish_address(segment, HOST, "127.0.0.1");
    segment->address.hash ^= 1;
    ck_assert_str_eq(read_address(), "unknown");
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
    TCase *mapped = tcase_create("memory");
    tcase_add_checked_fixture(mapped, setup, teardown);
    tcase_add_test(mapped, a_new_segment_says_what_it_is);
    tcase_add_test(mapped, everything_else_in_it_is_zero);
    tcase_add_test(mapped, rows_have_cache_lines_of_their_own);
    tcase_add_test(mapped, it_is_allocated_in_full);
    tcase_add_test(mapped, nobody_can_shorten_or_lengthen_it);
    tcase_add_test(mapped, who_has_the_descriptor_sees_what_is_written);
    tcase_add_test(mapped, without_memory_there_is_none);
    tcase_add_loop_test(mapped, every_step_of_making_it_may_fail, 0, 3);
    tcase_add_test(mapped, an_older_kernel_will_do);
    tcase_add_test(mapped, it_is_unmapped_as_it_was_made);
    suite_add_tcase(s, mapped);

    TCase *address = tcase_create("address");
    tcase_add_checked_fixture(address, setup, teardown);
    tcase_set_timeout(address, 30);
    tcase_add_test(address, the_last_address_is_the_one_that_is_read);
    tcase_add_test(address, an_address_is_that_of_one_host);
    tcase_add_test(address, an_address_that_was_overwritten_is_unknown);
    tcase_add_test(address, an_address_that_is_too_long_ends_where_the_room_does);
    tcase_add_test(address, an_address_that_is_being_written_is_unknown_until_it_is_whole);
    tcase_add_test(address, the_count_of_writings_may_wrap);
    tcase_add_test(address, a_damaged_address_is_unknown);
    tcase_add_test(address, a_reader_in_another_process_sees_whole_addresses_only);
    suite_add_tcase(s, address);
    return s;
}
