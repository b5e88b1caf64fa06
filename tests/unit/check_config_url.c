/* Redis URLs. */
#include "units.h"

#include <stdlib.h>
#include <string.h>

#include "base/config_url.h"

/* On the heap and without a NUL, so that AddressSanitizer sees a read beyond the URL. */
static enum error parse(struct slice text, struct config_url *url, const char **reason) {
    char *p = malloc(text.n > 0 ? text.n : 1);
    ck_assert_ptr_nonnull(p);
    memcpy(p, text.p, text.n);
    *reason = "untouched";
    enum error e = config_url_parse((struct slice){p, text.n}, url, reason);
    free(p);
    return e;
}

START_TEST(urls_that_are_right) {
    static const struct {
        const char *text;
        struct config_url url;
    } cases[] = {
        {"redis://h", {.host = "h"}},
        {"REDIS://h/", {.host = "h"}},
        {"redis://h:6380", {.host = "h", .port = "6380"}},
        {"redis://h:6380/7", {.host = "h", .port = "6380", .db = "7"}},
        {"redis://h?db=7", {.host = "h", .db = "7"}},
        {"redis://h/?db=7", {.host = "h", .db = "7"}},
        {"redis://redis.example.org:1/15", {.host = "redis.example.org", .port = "1", .db = "15"}},
        {"redis://[::1]", {.host = "::1"}},
        {"redis://[fe80::1%25eth0]:7/3", {.host = "fe80::1%eth0", .port = "7", .db = "3"}},
        {"redis://u@h", {.host = "h", .username = "u", .has_user = true}},
        {"redis://u:p@h", {.host = "h", .username = "u", .password = "p", .has_user = true}},
        {"redis://:p@h", {.host = "h", .password = "p", .has_user = true}},
        {"redis://u:@h", {.host = "h", .username = "u", .has_user = true}},
        {"redis://@h", {.host = "h", .has_user = true}},
        {"redis://u:p:q@r@h",
         {.host = "h", .username = "u", .password = "p:q@r", .has_user = true}},
        {"redis://u%3a:%70%40%2f%2F%25+@h",
         {.host = "h", .username = "u:", .password = "p@//%+", .has_user = true}},
        {"unix:///run/redis.sock", {.socket = "/run/redis.sock"}},
        {"unix:///run/redis.sock?db=3", {.socket = "/run/redis.sock", .db = "3"}},
        {"unix://u:p@/r", {.socket = "/r", .username = "u", .password = "p", .has_user = true}},
        {"unix://:p@/a%20b%3fc/d?db=0",
         {.socket = "/a b?c/d", .password = "p", .db = "0", .has_user = true}},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        const struct config_url *want = &cases[i].url;
        struct config_url url;
        const char *reason;
        memset(&url, 'x', sizeof(url));
        ck_assert_msg(parse(slice_of(cases[i].text), &url, &reason) == OK, "%s: %s", cases[i].text,
                      reason);
        ck_assert_ptr_null(reason);
        ck_assert_str_eq(url.host, want->host);
        ck_assert_str_eq(url.port, want->port);
        ck_assert_str_eq(url.socket, want->socket);
        ck_assert_str_eq(url.db, want->db);
        ck_assert_str_eq(url.username, want->username);
        ck_assert_str_eq(url.password, want->password);
        ck_assert_int_eq(url.has_user, want->has_user);
    }
}
END_TEST

START_TEST(urls_that_are_wrong) {
    static const char form[] = "must be redis://[user[:password]@]host[:port][/db] or "
                               "unix://[user[:password]@]/path[?db=N]";
    static const char tls[] = "rediss:// (TLS) is not possible here: run stunnel on this machine "
                              "and give redis:// with the address where it listens";
    static const char percent[] = "percent signs must be followed by two hexadecimal digits, and "
                                  "%00 is not allowed (a literal percent sign is %25)";
    static const char path[] =
        "unix:// must be followed by an absolute path, as in unix:///run/redis/redis.sock";
    static const char end[] = "the URL must end after the path, or with ?db=N";
    static const struct {
        struct slice text;
        const char *reason;
    } cases[] = {
        {SLICE_INIT(""), form},
        {SLICE_INIT("h"), form},
        {SLICE_INIT("redis:/"), form},
        {SLICE_INIT("redis:h"), form},
        {SLICE_INIT("http://h"), form},
        {SLICE_INIT(" redis://h"), form},
        {SLICE_INIT("redis+tls://h"), form},
        {SLICE_INIT("rediss://u:p@h:1/2"), tls},
        {SLICE_INIT("RedisS://h"), tls},
        {SLICE_INIT("redis://"), "the URL names no host"},
        {SLICE_INIT("redis:///3"), "the URL names no host"},
        {SLICE_INIT("redis://:6379"), "the URL names no host"},
        {SLICE_INIT("redis://u:p@"), "the URL names no host"},
        {SLICE_INIT("redis://[]"), "the URL names no host"},
        {SLICE_INIT("redis://[::1"), "the address lacks its closing bracket"},
        {SLICE_INIT("redis://[::1]6379"), "the port must be a whole number"},
        {SLICE_INIT("redis://h:"), "the port must be a whole number"},
        {SLICE_INIT("redis://h:1a"), "the port must be a whole number"},
        {SLICE_INIT("redis://h:-1"), "the port must be a whole number"},
        {SLICE_INIT("redis://::1"), "the URL names no host"},
        {SLICE_INIT("redis://h:1:2"), "the port must be a whole number"},
        {SLICE_INIT("redis://h/a"), "the path must be the number of a database"},
        {SLICE_INIT("redis://h/1/"), "the path must be the number of a database"},
        {SLICE_INIT("redis://h/-1"), "the path must be the number of a database"},
        {SLICE_INIT("redis://h/1?db=1"), "the URL names the database twice"},
        {SLICE_INIT("redis://h?"), end},
        {SLICE_INIT("redis://h?timeout=1"), end},
        {SLICE_INIT("redis://h/1#x"), end},
        {SLICE_INIT("redis://h#x"), end},
        {SLICE_INIT("redis://h?d"), end},
        {SLICE_INIT("redis://h?db="), "db must be a whole number"},
        {SLICE_INIT("redis://h?db=1&x=2"), "db must be a whole number"},
        {SLICE_INIT("redis://%@h"), percent},
        {SLICE_INIT("redis://%4@h"), percent},
        {SLICE_INIT("redis://u:%g0@h"), percent},
        {SLICE_INIT("redis://u:%0g@h"), percent},
        {SLICE_INIT("redis://u:%00@h"), percent},
        {SLICE_INIT("redis://h%2"), percent},
        {SLICE_INIT("unix:///a%"), percent},
        {SLICE_INIT("unix://"), path},
        {SLICE_INIT("unix://u:p@"), path},
        {SLICE_INIT("unix://run/redis.sock"), path},
        {SLICE_INIT("unix://?db=3"), path},
        {SLICE_INIT("unix://u:p@run/redis.sock"), path},
        {SLICE_INIT("unix:///a?db=x"), "db must be a whole number"},
        {SLICE_INIT("redis://h\0"), "the URL has a NUL byte"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct config_url url;
        const char *reason;
        ck_assert_msg(parse(cases[i].text, &url, &reason) == E_CONFIG, "%s", cases[i].text.p);
        ck_assert_msg(strcmp(reason, cases[i].reason) == 0, "%s: %s", cases[i].text.p, reason);
    }
}
END_TEST

START_TEST(parts_fit_or_are_refused) {
    char text[600];
    for (size_t n = 254; n < 300; n++) {
        static const char *const forms[] = {"redis://", "unix:///", "redis://h:", "redis://:"};
        for (size_t f = 0; f < 4; f++) {
            struct slice form = slice_of(forms[f]);
            struct config_url url;
            const char *reason;
            memcpy(text, form.p, form.n);
            memset(text + form.n, '1', n);
            size_t length = form.n + n;
            if (f == 3) {
                text[length++] = '@';
                text[length++] = 'h';
            }
            bool fits = n + (f == 1 ? 1 : 0) < CONFIG_TEXT_MAX;
            enum error e = parse((struct slice){text, length}, &url, &reason);
            ck_assert_msg(e == (fits ? OK : E_CONFIG), "%s with %zu", forms[f], n);
            if (!fits)
                ck_assert_str_eq(reason, "a part of the URL is too long");
        }
    }
}
END_TEST

Suite *suite_config_url(void) {
    Suite *s = suite_create("config_url");
    TCase *t = tcase_create("urls");
    tcase_add_test(t, urls_that_are_right);
    tcase_add_test(t, urls_that_are_wrong);
    tcase_add_test(t, parts_fit_or_are_refused);
    suite_add_tcase(s, t);
    return s;
}
