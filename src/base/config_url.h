/*
 * A Redis URL taken apart. Knows the syntax only; the options' own bounds are the table's.
 */
#ifndef LARDER_BASE_CONFIG_URL_H
#define LARDER_BASE_CONFIG_URL_H

#include <stdbool.h>

#include "base/config.h"
#include "base/error.h"
#include "base/slice.h"

/* The parts, percent-decoded. One that the URL doesn't name is empty. */
struct config_url {
    char host[CONFIG_TEXT_MAX]; /* an IPv6 address without its brackets */
    char port[CONFIG_TEXT_MAX]; /* decimal digits */
    char socket[CONFIG_TEXT_MAX];
    char db[CONFIG_TEXT_MAX]; /* decimal digits */
    char username[CONFIG_TEXT_MAX];
    char password[CONFIG_TEXT_MAX];
    bool has_user; /* there is an "@": the URL says who logs in */
};

/* redis://[user[:password]@]host[:port][/db] or unix://[user[:password]@]/path, both with ?db=N if
 * wanted. E_CONFIG: `*reason` is a static text without any part of the URL, which may hold a
 * password. */
LARDER_MUST_CHECK enum error config_url_parse(struct slice text, struct config_url *url,
                                              const char **reason);

#endif
