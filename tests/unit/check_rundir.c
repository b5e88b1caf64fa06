/* The run directory: one owner at a time, and its pid file. */
#include "units.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/log.h"
#include "process/rundir.h"
#include "support.h"
#include "temp_dir.h"

static struct temp_dir dir;
static struct config config;
static struct rundir rundir;

static void setup(void) {
    temp_dir_setup(&dir);
    config = (struct config){0};
    temp_dir_join(&dir, "run", config.run_dir, sizeof(config.run_dir));
    temp_dir_join(&dir, "pid", config.pid_file, sizeof(config.pid_file));
    rundir = (struct rundir){0};
    rundir_forget(&rundir);
    ck_assert_int_eq(log_open("/dev/null", LOG_LEVEL_ERROR), OK);
}

static void teardown(void) {
    rundir_close(&rundir, &config);
    temp_dir_teardown(&dir);
    ck_assert_int_eq(log_open("", LOG_LEVEL_INFO), OK);
}

static bool exists(const char *path) {
    return access(path, F_OK) == 0;
}

static bool holds(const char *path, const char *text) {
    char bytes[64] = {0};
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    ck_assert_int_ge(fd, 0);
    ck_assert_int_ge(read(fd, bytes, sizeof(bytes) - 1), 0);
    close(fd);
    return strcmp(bytes, text) == 0;
}

/* A lock belongs to an open directory, not to a process: another one tries. */
static bool another_gets_it(void) {
    struct rundir other;
    struct config its = config;
    memset(&other, 0, sizeof(other));
    rundir_forget(&other);
    its.pid_file[0] = '\0';
    bool got = rundir_open(&other, &its) == OK;
    rundir_close(&other, &its);
    return got;
}

START_TEST(directory_is_made_and_pid_written) {
    char expected[32];
    struct stat st;
    ck_assert_int_eq(rundir_open(&rundir, &config), OK);
    ck_assert_int_eq(stat(config.run_dir, &st), 0);
    ck_assert(S_ISDIR(st.st_mode));
    ck_assert_uint_eq(st.st_mode & 022, 0);
    (void)snprintf(expected, sizeof(expected), "%d\n", (int)getpid());
    ck_assert(holds(config.pid_file, expected));
    rundir_close(&rundir, &config);
    ck_assert(!exists(config.pid_file));
    ck_assert(exists(config.run_dir));
}
END_TEST

START_TEST(directory_may_be_there) {
    ck_assert_int_eq(mkdir(config.run_dir, 0700), 0);
    ck_assert_int_eq(rundir_open(&rundir, &config), OK);
}
END_TEST

START_TEST(pid_file_is_an_option) {
    config.pid_file[0] = '\0';
    ck_assert_int_eq(rundir_open(&rundir, &config), OK);
    rundir_close(&rundir, &config);
}
END_TEST

START_TEST(old_pid_file_is_overwritten) {
    FILE *f = fopen(config.pid_file, "w");
    ck_assert_ptr_nonnull(f);
    (void)fprintf(f, "123456789012345678901234567890\n");
    ck_assert_int_eq(fclose(f), 0);
    ck_assert_int_eq(rundir_open(&rundir, &config), OK);
    ck_assert(!holds(config.pid_file, "123456789012345678901234567890\n"));
    struct stat st;
    ck_assert_int_eq(stat(config.pid_file, &st), 0);
    ck_assert_int_lt(st.st_size, 12);
}
END_TEST

/* Whoever may write into the directory of the pid file must not have us overwrite another file. */
START_TEST(pid_file_is_no_link) {
    char target[TEMP_DIR_PATH_MAX + 8];
    temp_dir_join(&dir, "target", target, sizeof(target));
    ck_assert_int_eq(symlink(target, config.pid_file), 0);
    ck_assert_int_eq(rundir_open(&rundir, &config), E_SYSTEM);
    ck_assert(!exists(target));
    rundir_close(&rundir, &config);
    struct stat st;
    ck_assert_int_eq(lstat(config.pid_file, &st), 0);
}
END_TEST

START_TEST(second_owner_is_refused_until_the_first_has_left) {
    ck_assert_int_eq(rundir_open(&rundir, &config), OK);
    ck_assert(!another_gets_it());
    /* Its attempt has harmed nothing. */
    ck_assert(exists(config.pid_file));
    ck_assert(!another_gets_it());
    rundir_close(&rundir, &config);
    ck_assert(another_gets_it());
}
END_TEST

/* Who is refused must not take the owner's pid file away. */
START_TEST(refused_owner_leaves_the_pid_file) {
    struct rundir other = {0};
    rundir_forget(&other);
    ck_assert_int_eq(rundir_open(&rundir, &config), OK);
    ck_assert_int_eq(rundir_open(&other, &config), E_SYSTEM);
    rundir_close(&other, &config);
    ck_assert(exists(config.pid_file));
    ck_assert(!another_gets_it());
}
END_TEST

START_TEST(path_that_cannot_be_a_directory_is_refused) {
    FILE *f = fopen(config.run_dir, "w");
    ck_assert_ptr_nonnull(f);
    ck_assert_int_eq(fclose(f), 0);
    ck_assert_int_eq(rundir_open(&rundir, &config), E_SYSTEM);
    rundir_close(&rundir, &config);
    temp_dir_join(&dir, "none/run", config.run_dir, sizeof(config.run_dir));
    ck_assert_int_eq(rundir_open(&rundir, &config), E_SYSTEM);
    ck_assert(!exists(config.pid_file));
}
END_TEST

/* A child that forgets does not release the lock, nor does it hold it longer than its master. */
START_TEST(forgetting_child_neither_ends_nor_keeps_the_lock) {
    int forgot[2];
    int stay[2];
    char byte;
    ck_assert_int_eq(rundir_open(&rundir, &config), OK);
    ck_assert_int_eq(pipe2(forgot, O_CLOEXEC), 0);
    ck_assert_int_eq(pipe2(stay, O_CLOEXEC), 0);
    pid_t child = fork();
    ck_assert_int_ge(child, 0);
    if (child == 0) {
        close(stay[1]);
        rundir_forget(&rundir);
        ssize_t n = write(forgot[1], "x", 1);
        n += read(stay[0], &byte, 1);
        end_child(n == 1 ? 0 : 1);
    }
    close(stay[0]);
    ck_assert_int_eq(read(forgot[0], &byte, 1), 1);
    ck_assert(!another_gets_it());
    rundir_close(&rundir, &config);
    ck_assert(another_gets_it());
    close(stay[1]);
    int status = 1;
    ck_assert_int_eq(waitpid(child, &status, 0), child);
    ck_assert_int_eq(status, 0);
    close(forgot[0]);
    close(forgot[1]);
}
END_TEST

Suite *suite_rundir(void) {
    Suite *s = suite_create("rundir");
    TCase *t = tcase_create("files");
    tcase_add_checked_fixture(t, setup, teardown);
    tcase_add_test(t, directory_is_made_and_pid_written);
    tcase_add_test(t, directory_may_be_there);
    tcase_add_test(t, pid_file_is_an_option);
    tcase_add_test(t, old_pid_file_is_overwritten);
    tcase_add_test(t, pid_file_is_no_link);
    tcase_add_test(t, path_that_cannot_be_a_directory_is_refused);
    suite_add_tcase(s, t);
    t = tcase_create("lock");
    tcase_add_checked_fixture(t, setup, teardown);
    tcase_add_test(t, second_owner_is_refused_until_the_first_has_left);
    tcase_add_test(t, refused_owner_leaves_the_pid_file);
    tcase_add_test(t, forgetting_child_neither_ends_nor_keeps_the_lock);
    suite_add_tcase(s, t);
    return s;
}
