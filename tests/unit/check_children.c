/* The master's children: slots, promotion, and what is made of a death. */
#include "units.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "process/children.h"
#include "temp_dir.h"

enum { WORKERS = 4, ROWS = SEGMENT_FIRST_WORKER_ROW + WORKERS };

static const struct route rows[] = {
    {"thing_get", METHOD_GET, "/thing", SLICE_INIT("/thing"), false, NULL, NULL, "", false},
    {"thing_put", METHOD_PUT, "/thing", SLICE_INIT("/thing"), false, NULL, NULL, "", false},
};
static const struct route_table routes = {rows, 2};

static struct temp_dir dir;
static char log_file[TEMP_DIR_PATH_MAX + 8];
static struct segment *segment;
static struct children children;
static const int64_t NOW = 1000 * NS_PER_S;
static const int64_t WATCHDOG = 10 * NS_PER_S;

static void setup(void) {
    size_t bytes = sizeof(struct segment) + ROWS * sizeof(struct stats_row);
    temp_dir_setup(&dir);
    temp_dir_join(&dir, "log", log_file, sizeof(log_file));
    ck_assert_int_eq(log_open(log_file, LOG_LEVEL_INFO), OK);
    segment = aligned_alloc(64, bytes);
    ck_assert_ptr_nonnull(segment);
    memset(segment, 0, bytes);
    ck_assert_int_eq(children_init(&children, segment, ROWS, &routes), OK);
}

static void teardown(void) {
    children_fini(&children);
    free(segment);
    ck_assert_int_eq(log_open("", LOG_LEVEL_INFO), OK);
    temp_dir_teardown(&dir);
}

static const char *logged(void) {
    static char bytes[8192];
    int fd = open(log_file, O_RDONLY | O_CLOEXEC);
    ck_assert_int_ge(fd, 0);
    ssize_t n = read(fd, bytes, sizeof(bytes) - 1);
    ck_assert_int_ge(n, 0);
    bytes[n] = '\0';
    close(fd);
    return bytes;
}

static bool log_has(const char *text) {
    return strstr(logged(), text) != NULL;
}

/* A child that waits to be killed. The test's own handler of SIGTERM, which ends the whole group,
 * is not for it. */
static pid_t fork_sleeper(void) {
    const struct sigaction plain = {.sa_handler = SIG_DFL};
    struct sigaction before;
    ck_assert_int_eq(sigaction(SIGTERM, &plain, &before), 0);
    pid_t pid = fork();
    ck_assert_int_ge(pid, 0);
    if (pid == 0) {
        for (;;)
            (void)pause();
    }
    ck_assert_int_eq(sigaction(SIGTERM, &before, NULL), 0);
    return pid;
}

static int reap(pid_t pid) {
    int status = 0;
    ck_assert_int_eq(waitpid(pid, &status, 0), pid);
    return status;
}

/* What wait tells of an exit code and of a signal. */
static int exited(int code) {
    return W_EXITCODE(code, 0);
}

static int signalled(int signal) {
    return W_EXITCODE(0, signal);
}

static void set_ready(uint32_t slot) {
    atomic_store(&segment->rows[slot].state, WORKER_READY);
}

static void make_live(uint32_t slot, pid_t pid, uint32_t generation) {
    children_enter(&children, slot, pid, generation, NOW);
    set_ready(slot);
    children_promote(&children);
    ck_assert_int_eq(children.slots[slot].state, CHILD_LIVE);
}

/* --- slots ----------------------------------------------------------------------------------- */

START_TEST(slots_are_given_out_once) {
    for (uint32_t i = 0; i < WORKERS; i++) {
        uint32_t slot = children_free_slot(&children);
        ck_assert_uint_ge(slot, SEGMENT_FIRST_WORKER_ROW);
        ck_assert_uint_lt(slot, ROWS);
        ck_assert_int_eq(children.slots[slot].state, CHILD_NONE);
        children_enter(&children, slot, (pid_t)(100 + i), 1, NOW);
        ck_assert_uint_eq(children_find(&children, (pid_t)(100 + i)), slot);
    }
    ck_assert_uint_eq(children_free_slot(&children), 0);
    ck_assert_uint_eq(children_find(&children, 99), 0);
    ck_assert_uint_eq(children_find(&children, 0), 0);
    bool early;
    uint32_t third = children_find(&children, 102);
    (void)children_bury(&children, third, exited(0), NOW, &early);
    ck_assert_uint_eq(children_find(&children, 102), 0);
    ck_assert_uint_eq(children_free_slot(&children), third);
}
END_TEST

START_TEST(children_are_counted_by_state_and_generation) {
    make_live(1, 101, 1);
    make_live(2, 102, 2);
    children_enter(&children, 3, 103, 2, NOW);
    ck_assert_uint_eq(children_count(&children, CHILD_LIVE, 0), 2);
    ck_assert_uint_eq(children_count(&children, CHILD_LIVE, 1), 1);
    ck_assert_uint_eq(children_count(&children, CHILD_LIVE, 2), 1);
    ck_assert_uint_eq(children_count(&children, CHILD_STARTING, 2), 1);
    ck_assert_uint_eq(children_count(&children, CHILD_STARTING, 1), 0);
    ck_assert_uint_eq(children_count(&children, CHILD_LEAVING, 0), 0);
}
END_TEST

START_TEST(starting_child_is_promoted_when_its_row_says_ready) {
    static const uint32_t not_ready[] = {WORKER_NONE, WORKER_STARTING, WORKER_RETIRING,
                                         WORKER_STATES, UINT32_MAX};
    children_enter(&children, 2, 102, 1, NOW);
    for (size_t i = 0; i < sizeof(not_ready) / sizeof(not_ready[0]); i++) {
        atomic_store(&segment->rows[2].state, not_ready[i]);
        children_promote(&children);
        ck_assert_int_eq(children.slots[2].state, CHILD_STARTING);
    }
    set_ready(2);
    /* A row without a child is nobody's word. */
    set_ready(3);
    children_promote(&children);
    ck_assert_int_eq(children.slots[2].state, CHILD_LIVE);
    ck_assert_int_eq(children.slots[3].state, CHILD_NONE);
    ck_assert_uint_eq(children_count(&children, CHILD_LIVE, 0), 1);
}
END_TEST

/* --- leaving --------------------------------------------------------------------------------- */

START_TEST(dismissed_child_gets_the_signal_and_its_time) {
    pid_t pid = fork_sleeper();
    ck_assert_int_eq(children_next_deadline(&children, WATCHDOG), INT64_MAX);
    make_live(1, pid, 1);
    ck_assert_int_eq(children_next_deadline(&children, WATCHDOG), NOW + WATCHDOG);
    children_dismiss(&children, 1, SIGTERM, NOW + 5 * NS_PER_S);
    ck_assert_int_eq(children.slots[1].state, CHILD_LEAVING);
    ck_assert_int_eq(children_next_deadline(&children, WATCHDOG), NOW + 5 * NS_PER_S);
    int status = reap(pid);
    ck_assert(WIFSIGNALED(status));
    ck_assert_int_eq(WTERMSIG(status), SIGTERM);
}
END_TEST

START_TEST(earliest_deadline_counts) {
    pid_t pids[3];
    for (uint32_t i = 0; i < 3; i++) {
        pids[i] = fork_sleeper();
        make_live(i + 1, pids[i], 1);
        children_dismiss(&children, i + 1, SIGTERM, NOW + (i == 1 ? 1 : 3) * NS_PER_S);
    }
    ck_assert_int_eq(children_next_deadline(&children, WATCHDOG), NOW + NS_PER_S);
    bool early;
    (void)children_bury(&children, 2, reap(pids[1]), NOW, &early);
    ck_assert_int_eq(children_next_deadline(&children, WATCHDOG), NOW + 3 * NS_PER_S);
    (void)reap(pids[0]);
    (void)reap(pids[2]);
}
END_TEST

/* SIGCONT does nothing to a process that runs: this one does not go. */
START_TEST(child_that_does_not_leave_is_killed_once) {
    pid_t pid = fork_sleeper();
    make_live(1, pid, 1);
    children_dismiss(&children, 1, SIGCONT, NOW + NS_PER_S);
    children_kill_overdue(&children, NOW + NS_PER_S - 1, NS_PER_S / 2);
    ck_assert(!children.slots[1].killed);
    children_kill_overdue(&children, NOW + NS_PER_S, 10 * NS_PER_S);
    ck_assert(children.slots[1].killed);
    ck_assert(log_has("did not leave in time"));
    ck_assert_int_eq(children_next_deadline(&children, WATCHDOG), INT64_MAX);
    size_t before = strlen(logged());
    children_kill_overdue(&children, NOW + 2 * NS_PER_S, 10 * NS_PER_S);
    ck_assert_uint_eq(strlen(logged()), before);
    int status = reap(pid);
    ck_assert_int_eq(WTERMSIG(status), SIGKILL);
    bool early;
    ck_assert(!children_bury(&children, 1, status, NOW + 2 * NS_PER_S, &early));
    ck_assert(log_has("signal 9"));
}
END_TEST

static void beat(uint32_t slot, int64_t at) {
    atomic_store(&segment->rows[slot].heartbeat, at);
}

START_TEST(child_without_a_heartbeat_is_killed) {
    pid_t pid = fork_sleeper();
    /* Of the process before: no sign of this one. */
    beat(1, NOW - NS_PER_S);
    make_live(1, pid, 1);
    children_kill_overdue(&children, NOW + WATCHDOG - 1, WATCHDOG);
    ck_assert(!children.slots[1].killed);
    beat(1, NOW + 5 * NS_PER_S);
    children_kill_overdue(&children, NOW + 11 * NS_PER_S, WATCHDOG);
    ck_assert(!children.slots[1].killed);
    ck_assert_int_eq(children_next_deadline(&children, WATCHDOG), NOW + 21 * NS_PER_S);
    children_kill_overdue(&children, NOW + 21 * NS_PER_S - 1, WATCHDOG);
    ck_assert(!children.slots[1].killed);
    atomic_store(&segment->rows[1].route, 1);
    atomic_store(&segment->rows[1].phase, WORKER_FINISHES);
    children_kill_overdue(&children, NOW + 21 * NS_PER_S, WATCHDOG);
    ck_assert(log_has("no sign of life for 10.0 s; it was finishing a request, its last request "
                      "was PUT /thing (thing_put)"));
    bool early;
    /* Nobody asked it to go: it is replaced. */
    ck_assert(children_bury(&children, 1, reap(pid), NOW + 22 * NS_PER_S, &early));
}
END_TEST

/* A heartbeat of the future would otherwise be one for ever. */
START_TEST(heartbeat_counts_when_it_changes) {
    pid_t pid = fork_sleeper();
    make_live(1, pid, 1);
    beat(1, INT64_MAX);
    children_kill_overdue(&children, NOW, WATCHDOG);
    children_kill_overdue(&children, NOW + WATCHDOG, WATCHDOG);
    ck_assert_int_eq(WTERMSIG(reap(pid)), SIGKILL);
}
END_TEST

/* Nobody could move while the machine stood still, the master no more than its children. */
START_TEST(time_in_which_the_master_stood_still_does_not_count) {
    pid_t pid = fork_sleeper();
    make_live(1, pid, 1);
    beat(1, NOW + NS_PER_S);
    children_kill_overdue(&children, NOW + NS_PER_S, WATCHDOG);
    children_excuse(&children, 100 * NS_PER_S);
    children_kill_overdue(&children, NOW + 101 * NS_PER_S, WATCHDOG);
    ck_assert(!children.slots[1].killed);
    ck_assert_int_eq(children_next_deadline(&children, WATCHDOG), NOW + 111 * NS_PER_S);
    children_kill_overdue(&children, NOW + 111 * NS_PER_S - 1, WATCHDOG);
    ck_assert(!children.slots[1].killed);
    children_kill_overdue(&children, NOW + 111 * NS_PER_S, WATCHDOG);
    ck_assert_int_eq(WTERMSIG(reap(pid)), SIGKILL);
    /* Who comes later has nothing of it. */
    bool early;
    (void)children_bury(&children, 1, signalled(SIGKILL), NOW + 112 * NS_PER_S, &early);
    children_enter(&children, 1, fork_sleeper(), 1, NOW + 112 * NS_PER_S);
    pid = children.slots[1].pid;
    children_kill_overdue(&children, NOW + 122 * NS_PER_S - 1, WATCHDOG);
    ck_assert(!children.slots[1].killed);
    children_kill_overdue(&children, NOW + 122 * NS_PER_S, WATCHDOG);
    ck_assert_int_eq(WTERMSIG(reap(pid)), SIGKILL);
}
END_TEST

START_TEST(starting_child_is_watched_too) {
    pid_t pid = fork_sleeper();
    children_enter(&children, 1, pid, 1, NOW);
    children_kill_overdue(&children, NOW + 10 * NS_PER_S - 1, 10 * NS_PER_S);
    ck_assert(!children.slots[1].killed);
    children_kill_overdue(&children, NOW + 10 * NS_PER_S, 10 * NS_PER_S);
    ck_assert_int_eq(WTERMSIG(reap(pid)), SIGKILL);
}
END_TEST

/* Anything may stand in its row, put there by damage: the difference to it must not overflow, one
 * that is old kills nobody, and one that is far ahead keeps nobody alive. */
START_TEST(heartbeat_of_nonsense_neither_kills_nor_keeps_alive) {
    static const int64_t nonsense[] = {INT64_MIN, -1, 0, 1, NOW / 2, 2 * NOW, INT64_MAX};
    int64_t watchdog = 10 * NS_PER_S;
    pid_t pid = fork_sleeper();
    make_live(1, pid, 1);
    int64_t now = NOW;
    for (size_t i = 0; i < sizeof(nonsense) / sizeof(nonsense[0]); i++) {
        now += watchdog - 1;
        atomic_store(&segment->rows[1].heartbeat, nonsense[i]);
        children_kill_overdue(&children, now, watchdog);
        ck_assert_msg(!children.slots[1].killed, "%jd", (intmax_t)nonsense[i]);
    }
    children_kill_overdue(&children, now + watchdog - 1, watchdog);
    ck_assert(!children.slots[1].killed);
    children_kill_overdue(&children, now + watchdog, watchdog);
    ck_assert(children.slots[1].killed);
    (void)reap(pid);
}
END_TEST

/* A row is used again: the heartbeat of the process before is nobody's sign of life. */
START_TEST(heartbeat_that_was_there_before_does_not_count) {
    pid_t pid = fork_sleeper();
    atomic_store(&segment->rows[1].heartbeat, NOW + 8 * NS_PER_S);
    make_live(1, pid, 1);
    children_kill_overdue(&children, NOW + 10 * NS_PER_S, 10 * NS_PER_S);
    ck_assert(children.slots[1].killed);
    (void)reap(pid);
}
END_TEST

START_TEST(dismissing_who_is_gone_is_no_fault) {
    pid_t pid = fork_sleeper();
    make_live(1, pid, 1);
    ck_assert_int_eq(kill(pid, SIGKILL), 0);
    (void)reap(pid);
    children_dismiss(&children, 1, SIGTERM, NOW);
    ck_assert_int_eq(children.slots[1].state, CHILD_LEAVING);
}
END_TEST

/* --- obituaries ------------------------------------------------------------------------------ */

START_TEST(obituary_tells_end_age_route_and_load) {
    bool early;
    make_live(2, 12345, 7);
    struct stats_row *row = &segment->rows[2];
    atomic_store(&row->route, 1);
    atomic_store(&row->phase, WORKER_STARTS);
    atomic_store(&row->in_flight, 5);
    atomic_store(&row->connections, 17);
    atomic_store(&row->served, 1);
    ck_assert(children_bury(&children, 2, signalled(SIGSEGV), NOW + 90 * NS_PER_S, &early));
    ck_assert(!early);
    ck_assert(log_has("worker 2 (pid 12345, generation 7)"));
    ck_assert(log_has("signal 11 (Segmentation fault)"));
    ck_assert(log_has("after 90.0 s"));
    ck_assert(log_has("it was starting a request, its last request was PUT /thing (thing_put)"));
    ck_assert(log_has("5 were in flight on 17 connections"));
    ck_assert(log_has("warning"));
}
END_TEST

START_TEST(obituary_tells_the_exit_code) {
    bool early;
    make_live(1, 101, 1);
    ck_assert(children_bury(&children, 1, exited(3), NOW, &early));
    ck_assert(log_has("exit code 3"));
}
END_TEST

/* The child wrote the index: it may be anything. */
START_TEST(route_that_is_none_is_not_looked_up) {
    static const uint32_t indexes[] = {2, 3, 1000, UINT32_MAX};
    for (size_t i = 0; i < sizeof(indexes) / sizeof(indexes[0]); i++) {
        bool early;
        make_live(1, 101, 1);
        atomic_store(&segment->rows[1].route, indexes[i]);
        atomic_store(&segment->rows[1].phase, indexes[i] + WORKER_PHASES - 2);
        ck_assert(children_bury(&children, 1, signalled(SIGKILL), NOW, &early));
        ck_assert(log_has("nothing known"));
        ck_assert_int_eq(log_open(log_file, LOG_LEVEL_INFO), OK);
        ck_assert_int_eq(truncate(log_file, 0), 0);
    }
}
END_TEST

START_TEST(row_is_freed_and_its_gauges_reset) {
    bool early;
    make_live(3, 103, 1);
    struct stats_row *row = &segment->rows[3];
    atomic_store(&row->connections, 5);
    atomic_store(&row->in_flight, 5);
    atomic_store(&row->redis_ready, 1);
    atomic_store(&row->listening, 1);
    atomic_store(&row->pid, 103);
    stats_add(&row->counter[STAT_hits], 42);
    (void)children_bury(&children, 3, exited(0), NOW, &early);
    ck_assert_uint_eq(atomic_load(&row->state), WORKER_NONE);
    ck_assert_uint_eq(atomic_load(&row->connections), 0);
    ck_assert_uint_eq(atomic_load(&row->in_flight), 0);
    ck_assert_uint_eq(atomic_load(&row->redis_ready), 0);
    ck_assert_uint_eq(atomic_load(&row->listening), 0);
    ck_assert_int_eq(atomic_load(&row->pid), 0);
    /* Counters outlive their processes. */
    ck_assert_uint_eq(stats_read(&row->counter[STAT_hits]), 42);
}
END_TEST

static const struct {
    bool live;
    bool served;
    bool dismissed;
    int status;
    bool unasked;
    bool early;
    int seconds; /* that it lived */
} deaths[] = {
    {false, false, false, W_EXITCODE(1, 0), true, true, 0},
    {false, true, false, W_EXITCODE(1, 0), true, true, 0},
    {true, false, false, W_EXITCODE(0, SIGSEGV), true, true, 0},
    {true, true, false, W_EXITCODE(0, SIGSEGV), true, false, 0},
    /* An exit that nobody asked for is a death, whatever the code. */
    {true, true, false, W_EXITCODE(0, 0), true, false, 0},
    {true, true, true, W_EXITCODE(0, 0), false, false, 0},
    {true, true, true, W_EXITCODE(0, SIGKILL), false, false, 0},
    {true, false, true, W_EXITCODE(1, 0), false, true, 0},
    /* Nobody asked it anything, but it did not die of being started. */
    {true, false, false, W_EXITCODE(0, SIGKILL), true, true, 4},
    {true, false, false, W_EXITCODE(0, SIGKILL), true, false, 5},
    {false, false, false, W_EXITCODE(0, SIGKILL), true, true, 5},
};

START_TEST(death_is_told_from_departure) {
    bool early = !deaths[_i].early;
    children_enter(&children, 1, fork_sleeper(), 1, NOW);
    pid_t pid = children.slots[1].pid;
    if (deaths[_i].live) {
        set_ready(1);
        children_promote(&children);
    }
    atomic_store(&segment->rows[1].served, deaths[_i].served ? 1 : 0);
    if (deaths[_i].dismissed)
        children_dismiss(&children, 1, SIGTERM, NOW);
    else
        ck_assert_int_eq(kill(pid, SIGKILL), 0);
    (void)reap(pid);
    int64_t at = NOW + deaths[_i].seconds * NS_PER_S;
    ck_assert_int_eq(children_bury(&children, 1, deaths[_i].status, at, &early),
                     deaths[_i].unasked);
    ck_assert_int_eq(early, deaths[_i].early);
    ck_assert_int_eq(log_has("has left after"),
                     deaths[_i].dismissed && deaths[_i].status == W_EXITCODE(0, 0));
    ck_assert_int_eq(children.slots[1].state, CHILD_NONE);
}
END_TEST

/* --- the suite ------------------------------------------------------------------------------- */

static TCase *add_case(Suite *s, const char *name) {
    TCase *t = tcase_create(name);
    tcase_add_checked_fixture(t, setup, teardown);
    suite_add_tcase(s, t);
    return t;
}

Suite *suite_children(void) {
    Suite *s = suite_create("children");
    TCase *t = add_case(s, "slots");
    tcase_add_test(t, slots_are_given_out_once);
    tcase_add_test(t, children_are_counted_by_state_and_generation);
    tcase_add_test(t, starting_child_is_promoted_when_its_row_says_ready);
    t = add_case(s, "leaving");
    tcase_add_test(t, dismissed_child_gets_the_signal_and_its_time);
    tcase_add_test(t, earliest_deadline_counts);
    tcase_add_test(t, child_that_does_not_leave_is_killed_once);
    tcase_add_test(t, child_without_a_heartbeat_is_killed);
    tcase_add_test(t, heartbeat_counts_when_it_changes);
    tcase_add_test(t, time_in_which_the_master_stood_still_does_not_count);
    tcase_add_test(t, starting_child_is_watched_too);
    tcase_add_test(t, heartbeat_of_nonsense_neither_kills_nor_keeps_alive);
    tcase_add_test(t, heartbeat_that_was_there_before_does_not_count);
    tcase_add_test(t, dismissing_who_is_gone_is_no_fault);
    t = add_case(s, "obituaries");
    tcase_add_test(t, obituary_tells_end_age_route_and_load);
    tcase_add_test(t, obituary_tells_the_exit_code);
    tcase_add_test(t, route_that_is_none_is_not_looked_up);
    tcase_add_test(t, row_is_freed_and_its_gauges_reset);
    tcase_add_loop_test(t, death_is_told_from_departure, 0, sizeof(deaths) / sizeof(deaths[0]));
    return s;
}
