/* The grammar of configuration files. */
#include "units.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/config_file.h"

static struct slice from_heap(struct slice s) {
    /* An exact copy on the heap, so that AddressSanitizer sees a read beyond the line. */
    char *p = malloc(s.n > 0 ? s.n : 1);
    ck_assert_ptr_nonnull(p);
    if (s.n > 0)
        memcpy(p, s.p, s.n);
    return (struct slice){p, s.n};
}

START_TEST(lines_that_are_right) {
    static const struct {
        const char *line;
        const char *name;
        const char *value;
    } cases[] = {
        {"", "", ""},
        {" \t ", "", ""},
        {"# a = b", "", ""},
        {"  # a = b", "", ""},
        {"a=b", "a", "b"},
        {"a = b", "a", "b"},
        {"\t a \t=\t b c \t", "a", "b c"},
        {"a =", "a", ""},
        {"a = ", "a", ""},
        {"a = b # c", "a", "b"},
        {"a = b\t#c", "a", "b"},
        {"a = b#c", "a", "b#c"},
        {"a =#b", "a", "#b"},
        {"a = b=c", "a", "b=c"},
        {"a = b\"c\"", "a", "b\"c\""},
        {"a = b\\n", "a", "b\\n"},
        {"a = \"\"", "a", ""},
        {"a = \"\" # none", "a", ""},
        {"a = \" b # c \"", "a", " b # c "},
        {"a=\"#b\"  ", "a", "#b"},
        {"a = \"b\\\"c\\\\d\" #", "a", "b\"c\\d"},
        {"a.b-c = d", "a.b-c", "d"},
        {"a = 'b'", "a", "'b'"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct config_line line;
        const char *reason = "untouched";
        struct slice text = from_heap(slice_of(cases[i].line));
        enum error e = config_line_parse(text, &line, &reason);
        ck_assert_msg(e == OK, "%s: %s", cases[i].line, reason);
        ck_assert_ptr_null(reason);
        ck_assert_msg(slice_eq(line.name, slice_of(cases[i].name)), "%s", cases[i].line);
        ck_assert_msg(slice_eq(line.value, slice_of(cases[i].value)), "%s: %.*s", cases[i].line,
                      (int)line.value.n, line.value.p);
        free((void *)text.p);
    }
}
END_TEST

START_TEST(lines_that_are_wrong) {
    static const struct {
        struct slice line;
        const char *name;
        const char *reason;
    } cases[] = {
        {SLICE_INIT("a"), "", "the line must be: name = value"},
        {SLICE_INIT("a # = b"), "", "the line must be: name = value"},
        {SLICE_INIT("a b = c"), "", "the line must be: name = value"},
        {SLICE_INIT("= b"), "", "the line must be: name = value"},
        {SLICE_INIT("a: b"), "", "the line must be: name = value"},
        {SLICE_INIT("a = # b"), "a",
         "a value that starts with # needs double quotes; \"\" is none"},
        {SLICE_INIT("a = #b"), "a", "a value that starts with # needs double quotes; \"\" is none"},
        {SLICE_INIT("a = \""), "a", "the closing double quote is missing"},
        {SLICE_INIT("a = \"b"), "a", "the closing double quote is missing"},
        {SLICE_INIT("a = \"b\\\""), "a", "the closing double quote is missing"},
        {SLICE_INIT("a = \"b\\"), "a", "in double quotes a backslash must be followed by \" or \\"},
        {SLICE_INIT("a = \"b\\n\""), "a",
         "in double quotes a backslash must be followed by \" or \\"},
        {SLICE_INIT("a = \"b\" c"), "a",
         "nothing but a comment may follow the closing double quote"},
        {SLICE_INIT("a = \"b\"# c"), "a",
         "nothing but a comment may follow the closing double quote"},
        {SLICE_INIT("a = \"b\"\"c\""), "a",
         "nothing but a comment may follow the closing double quote"},
        {SLICE_INIT("a = b\0c"), "", "the line has a NUL byte"},
        {SLICE_INIT("# \0"), "", "the line has a NUL byte"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct config_line line;
        const char *reason = NULL;
        struct slice text = from_heap(cases[i].line);
        ck_assert_msg(config_line_parse(text, &line, &reason) == E_CONFIG, "case %zu", i);
        ck_assert_str_eq(reason, cases[i].reason);
        ck_assert_msg(slice_eq(line.name, slice_of(cases[i].name)), "case %zu", i);
        free((void *)text.p);
    }
}
END_TEST

START_TEST(lines_have_at_most_1024_bytes) {
    char text[1025];
    memset(text, 'b', sizeof(text));
    text[0] = 'a';
    text[1] = '=';
    for (int quoted = 0; quoted < 2; quoted++) {
        struct config_line line;
        const char *reason;
        if (quoted) {
            text[2] = '"';
            text[1023] = '"';
        }
        ck_assert_int_eq(config_line_parse((struct slice){text, 1024}, &line, &reason), OK);
        ck_assert_uint_eq(line.value.n, quoted ? 1020 : 1022);
        ck_assert_int_eq(config_line_parse((struct slice){text, 1025}, &line, &reason), E_CONFIG);
        ck_assert_str_eq(reason, "the line is longer than 1024 bytes");
    }
}
END_TEST

START_TEST(files_are_taken_line_by_line) {
    struct slice rest = SLICE("one\ntwo\r\n\n\r\n\rthree\r\r\nlast");
    static const char *const lines[] = {"one", "two", "", "", "\rthree\r", "last"};
    struct slice line;
    for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++) {
        ck_assert(config_file_next(&rest, &line));
        ck_assert_msg(slice_eq(line, slice_of(lines[i])), "line %zu", i);
    }
    ck_assert(!config_file_next(&rest, &line));
    rest = SLICE("one\n");
    ck_assert(config_file_next(&rest, &line));
    ck_assert(!config_file_next(&rest, &line));
}
END_TEST

START_TEST(files_are_read_whole_up_to_a_mebibyte) {
    static const size_t sizes[] = {0, 1, 4095, 4096, 4097, CONFIG_FILE_MAX, CONFIG_FILE_MAX + 1};
    char path[] = "/tmp/larder-file.XXXXXX";
    int fd = mkstemp(path);
    ck_assert_int_ge(fd, 0);
    for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        struct buf content = {0};
        ck_assert_int_eq(ftruncate(fd, (off_t)sizes[i]), 0);
        errno = 0;
        enum error e = config_file_read(path, &content);
        ck_assert_int_eq(e, sizes[i] > CONFIG_FILE_MAX ? E_SYSTEM : OK);
        ck_assert_int_eq(errno, sizes[i] > CONFIG_FILE_MAX ? EFBIG : 0);
        ck_assert(e != OK || content.n == sizes[i]);
        buf_fini(&content);
    }
    close(fd);
    unlink(path);
}
END_TEST

START_TEST(files_that_cannot_be_read_leave_errno) {
    static const struct {
        const char *path;
        int error;
    } cases[] = {{"/nonexistent", ENOENT}, {"/", EISDIR}, {"/dev/zero", EFBIG}};
    int free_fd = dup(STDERR_FILENO);
    close(free_fd);
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct buf content = {0};
        ck_assert_int_eq(config_file_read(cases[i].path, &content), E_SYSTEM);
        ck_assert_int_eq(errno, cases[i].error);
        buf_fini(&content);
    }
    int again = dup(STDERR_FILENO);
    ck_assert_int_eq(again, free_fd);
    close(again);
}
END_TEST

Suite *suite_config_file(void) {
    Suite *s = suite_create("config_file");
    TCase *t = tcase_create("lines");
    tcase_add_test(t, lines_that_are_right);
    tcase_add_test(t, lines_that_are_wrong);
    tcase_add_test(t, lines_have_at_most_1024_bytes);
    tcase_add_test(t, files_are_taken_line_by_line);
    tcase_add_test(t, files_are_read_whole_up_to_a_mebibyte);
    tcase_add_test(t, files_that_cannot_be_read_leave_errno);
    suite_add_tcase(s, t);
    return s;
}
