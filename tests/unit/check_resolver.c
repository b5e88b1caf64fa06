/* The resolver: what needs no look-up, and what is published. */
#include "units.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "process/resolver.h"

static struct segment *segment;
static struct config config;

static void setup(void) {
    segment = aligned_alloc(64, sizeof(struct segment));
    ck_assert_ptr_nonnull(segment);
    memset(segment, 0, sizeof(*segment));
    config = (struct config){0};
    ck_assert_int_eq(log_open("/dev/null", LOG_LEVEL_ERROR), OK);
}

static void teardown(void) {
    free(segment);
    ck_assert_int_eq(log_open("", LOG_LEVEL_INFO), OK);
}

static void use_host(const char *host) {
    (void)snprintf(config.redis_host, sizeof(config.redis_host), "%s", host);
}

/* The address published for the host; NULL if there is none. */
static const char *published(void) {
    static char address[SEGMENT_ADDRESS_MAX];
    return segment_read_address(segment, config.redis_host, address) ? address : NULL;
}

START_TEST(numeric_addresses_need_no_look_up) {
    static const char *const hosts[] = {
        "127.0.0.1", "10.255.0.1",  "::1",
        "fe80::1",   "2001:db8::1", "ffff:ffff:ffff:ffff:ffff:ffff:255.255.255.255"};
    for (size_t i = 0; i < sizeof(hosts) / sizeof(hosts[0]); i++) {
        use_host(hosts[i]);
        ck_assert(resolver_try_numeric(&config, segment));
        ck_assert_str_eq(published(), hosts[i]);
    }
}
END_TEST

START_TEST(names_do) {
    static const char *const hosts[] = {"localhost",  "",           "1.2.3",     "1.2.3.256",
                                        "127.0.0.1 ", "[::1]",      "1.2.3.4.5", "::1%lo",
                                        "0x7f.0.0.1", "redis-1.lan"};
    for (size_t i = 0; i < sizeof(hosts) / sizeof(hosts[0]); i++) {
        use_host(hosts[i]);
        ck_assert_msg(!resolver_try_numeric(&config, segment), "%s", hosts[i]);
        ck_assert_ptr_null(published());
    }
}
END_TEST

START_TEST(unix_socket_has_no_address) {
    use_host("127.0.0.1");
    memcpy(config.redis_socket, "/run/redis", sizeof("/run/redis"));
    ck_assert(resolver_try_numeric(&config, segment));
    ck_assert_ptr_null(published());
}
END_TEST

/* Redis listens on 127.0.0.1 by default, so that is what "localhost" means, whatever comes first.
 */
START_TEST(localhost_is_found_without_a_network) {
    use_host("localhost");
    ck_assert_int_eq(resolver_run(&config, segment), EXIT_SUCCESS);
    ck_assert_str_eq(published(), "127.0.0.1");
}
END_TEST

START_TEST(numeric_address_is_found_too) {
    use_host("127.0.0.2");
    ck_assert_int_eq(resolver_run(&config, segment), EXIT_SUCCESS);
    ck_assert_str_eq(published(), "127.0.0.2");
}
END_TEST

/* What was known before stays: an address that worked is better than none. */
START_TEST(name_that_is_none_publishes_nothing) {
    char label[80];
    use_host("localhost");
    ck_assert_int_eq(resolver_run(&config, segment), EXIT_SUCCESS);
    /* A label has at most 63 bytes, so nobody is asked. */
    memset(label, 'x', 64);
    label[64] = '\0';
    use_host(label);
    ck_assert_int_eq(resolver_run(&config, segment), EXIT_FAILURE);
    ck_assert_ptr_null(published());
    use_host("localhost");
    ck_assert_str_eq(published(), "127.0.0.1");
}
END_TEST

Suite *suite_resolver(void) {
    Suite *s = suite_create("resolver");
    TCase *t = tcase_create("names");
    tcase_add_checked_fixture(t, setup, teardown);
    tcase_add_test(t, numeric_addresses_need_no_look_up);
    tcase_add_test(t, names_do);
    tcase_add_test(t, unix_socket_has_no_address);
    tcase_add_test(t, localhost_is_found_without_a_network);
    tcase_add_test(t, numeric_address_is_found_too);
    tcase_add_test(t, name_that_is_none_publishes_nothing);
    suite_add_tcase(s, t);
    return s;
}
