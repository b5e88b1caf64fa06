/* Redis URLs (RFC 3986, and what redis-py and redis-cli take): see config_url.h. */
#include "base/config_url.h"

#include <string.h>
#include <strings.h>

static const char no_room[] = "a part of the URL is too long";
static const char bad_percent[] = "percent signs must be followed by two hexadecimal digits, and "
                                  "%00 is not allowed (a literal percent sign is %25)";

static int hex_digit(char c) {
    if (c >= '0' && c <= '9')
        return c - '0';
    char lower = (char)(c | 0x20);
    return lower >= 'a' && lower <= 'f' ? lower - 'a' + 10 : -1;
}

/* Gives NULL or the reason. */
static const char *decode(struct slice s, char out[CONFIG_TEXT_MAX]) {
    size_t n = 0;
    for (size_t at = 0; at < s.n; at++) {
        char c = s.p[at];
        if (n == CONFIG_TEXT_MAX - 1)
            return no_room;
        if (c == '%') {
            int high = s.n - at > 2 ? hex_digit(s.p[at + 1]) : -1;
            int low = s.n - at > 2 ? hex_digit(s.p[at + 2]) : -1;
            if (high < 0 || low < 0 || high + low == 0)
                return bad_percent;
            c = (char)(high * 16 + low);
            at += 2;
        }
        out[n++] = c;
    }
    out[n] = '\0';
    return NULL;
}

static const char *copy_digits(struct slice s, char out[CONFIG_TEXT_MAX], const char *reason) {
    if (s.n == 0)
        return reason;
    for (size_t i = 0; i < s.n; i++)
        if (s.p[i] < '0' || s.p[i] > '9')
            return reason;
    return decode(s, out);
}

/* Takes what stands before the first of `marks` (all of it if there is none) away from `rest`. */
static struct slice cut_before(struct slice *rest, const char *marks) {
    size_t n = 0;
    while (n < rest->n && strchr(marks, rest->p[n]) == NULL)
        n++;
    struct slice head = {rest->p, n};
    *rest = (struct slice){rest->p + n, rest->n - n};
    return head;
}

static bool skip(struct slice *rest, char c) {
    if (rest->n == 0 || rest->p[0] != c)
        return false;
    *rest = (struct slice){rest->p + 1, rest->n - 1};
    return true;
}

static bool skip_scheme(struct slice *rest, struct slice scheme) {
    if (rest->n < scheme.n || strncasecmp(rest->p, scheme.p, scheme.n) != 0)
        return false;
    *rest = (struct slice){rest->p + scheme.n, rest->n - scheme.n};
    return true;
}

/* Takes "user:password@" away from an authority. The last "@" ends it, so a password with a bare
 * "@" is understood as well. */
static const char *take_user(struct slice *authority, struct config_url *url) {
    size_t n = authority->n;
    while (n > 0 && authority->p[n - 1] != '@')
        n--;
    if (n == 0)
        return NULL;
    url->has_user = true;
    struct slice password = {authority->p, n - 1};
    *authority = (struct slice){authority->p + n, authority->n - n};
    struct slice user = cut_before(&password, ":");
    const char *reason = decode(user, url->username);
    if (reason == NULL && skip(&password, ':'))
        reason = decode(password, url->password);
    return reason;
}

static const char *take_host(struct slice authority, struct config_url *url) {
    bool bracket = skip(&authority, '[');
    struct slice host = cut_before(&authority, bracket ? "]" : ":");
    if (bracket && !skip(&authority, ']'))
        return "the address lacks its closing bracket";
    if (host.n == 0)
        return "the URL names no host";
    const char *reason = decode(host, url->host);
    if (reason != NULL || authority.n == 0)
        return reason;
    static const char bad_port[] = "the port must be a whole number";
    if (!skip(&authority, ':'))
        return bad_port;
    return copy_digits(authority, url->port, bad_port);
}

static const char *take_query(struct slice rest, struct config_url *url) {
    if (rest.n == 0)
        return NULL;
    static const struct slice db = SLICE_INIT("db=");
    if (!skip(&rest, '?') || rest.n < db.n || memcmp(rest.p, db.p, db.n) != 0)
        return "the URL must end after the path, or with ?db=N";
    if (url->db[0] != '\0')
        return "the URL names the database twice";
    return copy_digits((struct slice){rest.p + db.n, rest.n - db.n}, url->db,
                       "db must be a whole number");
}

static const char *parse_tcp(struct slice rest, struct config_url *url) {
    struct slice authority = cut_before(&rest, "/?#");
    const char *reason = take_user(&authority, url);
    if (reason == NULL)
        reason = take_host(authority, url);
    if (reason == NULL && skip(&rest, '/')) {
        struct slice db = cut_before(&rest, "?#");
        if (db.n > 0)
            reason = copy_digits(db, url->db, "the path must be the number of a database");
    }
    return reason != NULL ? reason : take_query(rest, url);
}

static const char *parse_unix(struct slice rest, struct config_url *url) {
    struct slice authority = cut_before(&rest, "/?#");
    const char *reason = take_user(&authority, url);
    if (reason != NULL)
        return reason;
    struct slice path = cut_before(&rest, "?#");
    if (authority.n > 0 || path.n == 0)
        return "unix:// must be followed by an absolute path, as in unix:///run/redis/redis.sock";
    reason = decode(path, url->socket);
    return reason != NULL ? reason : take_query(rest, url);
}

enum error config_url_parse(struct slice text, struct config_url *url, const char **reason) {
    *url = (struct config_url){0};
    struct slice rest = text;
    if (text.n > 0 && memchr(text.p, '\0', text.n) != NULL)
        *reason = "the URL has a NUL byte";
    else if (skip_scheme(&rest, SLICE("redis://")))
        *reason = parse_tcp(rest, url);
    else if (skip_scheme(&rest, SLICE("unix://")))
        *reason = parse_unix(rest, url);
    else if (skip_scheme(&rest, SLICE("rediss://")))
        *reason = "rediss:// (TLS) is not possible here: run stunnel on this machine and give "
                  "redis:// with the address where it listens";
    else
        *reason = "must be redis://[user[:password]@]host[:port][/db] or "
                  "unix://[user[:password]@]/path[?db=N]";
    return *reason == NULL ? OK : E_CONFIG;
}
