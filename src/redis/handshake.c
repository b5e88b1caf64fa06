/* The handshake with Redis: see handshake.h. */
#include "redis/handshake.h"

#include <stdio.h>

#include "base/digest.h"
#include "redis/script.h"

enum {
    OLDEST_MAJOR = 6, /* SET KEEPTTL and SCAN TYPE came with 6.0 */
    OLDEST_MINOR = 2,
};

struct number {
    char digits[24];
};

static struct slice number_slice(struct number *n, int64_t v) {
    int length = snprintf(n->digits, sizeof(n->digits), "%lld", (long long)v);
    return (struct slice){n->digits, (size_t)length};
}

static bool has_password(const struct config *config) {
    return config->redis_password[0] != '\0';
}

/* A Redis that others use too keeps its policy unless somebody wants another one. */
static bool sets_policy(const struct config *config) {
    return config->key_prefix[0] == '\0' || config->max_memory_policy_set;
}

/* The order is the one handshake_check reads in. */
unsigned handshake_put(const struct config *config, struct outqueue *q) {
    unsigned replies = 0;
    struct number n;
    if (has_password(config)) {
        struct slice auth[3] = {SLICE("AUTH")};
        size_t args = 1;
        if (config->redis_username[0] != '\0')
            auth[args++] = slice_of(config->redis_username);
        auth[args++] = slice_of(config->redis_password);
        outqueue_put(q, auth, args);
        replies++;
    }
    outqueue_put(q, (struct slice[]){SLICE("INFO"), SLICE("server")}, 2);
    outqueue_put(q, (struct slice[]){SLICE("SELECT"), number_slice(&n, config->redis_db)}, 2);
    replies += 2;
    if (sets_policy(config)) {
        struct slice policy = slice_of(config_policy_name(config->max_memory_policy));
        outqueue_put(
            q, (struct slice[]){SLICE("CONFIG"), SLICE("SET"), SLICE("maxmemory-policy"), policy},
            4);
        replies++;
    }
    if (config->max_memory_set) {
        outqueue_put(q,
                     (struct slice[]){SLICE("CONFIG"), SLICE("SET"), SLICE("maxmemory"),
                                      number_slice(&n, config->max_memory)},
                     4);
        replies++;
    }
    for (enum script script = 0; script < SCRIPT_COUNT; script++)
        outqueue_put(q, (struct slice[]){SLICE("SCRIPT"), SLICE("LOAD"), script_text(script)}, 3);
    return replies + SCRIPT_COUNT;
}

static enum error refuse(struct handshake_result *result, enum error e, const char *step,
                         struct slice text) {
    /* An error that is no condition of Redis's is about what was asked for. */
    if (e == E_BACKEND_ERROR)
        e = E_BACKEND_REFUSED;
    (void)snprintf(result->fault, sizeof(result->fault), "%s: %.*s", step, (int)text.n, text.p);
    return e;
}

/* A reply that is neither the one that the step has when all is well nor an error that it can have:
 * what is at the other end is no Redis, or its replies are not ours. */
static enum error refuse_reply(struct handshake_result *result, const struct replies *replies,
                               const struct reply *r, const char *step) {
    bool senseless;
    enum error e = reply_refusal(replies, r, &senseless);
    return refuse(result, e, step,
                  senseless ? SLICE("the reply is not that of a Redis")
                            : replies_bytes(replies, r));
}

static bool is_ok(const struct replies *replies, const struct reply *r) {
    return reply_is_status(replies, r, SLICE("OK"));
}

static enum error check_version(const struct replies *replies, const struct reply *info,
                                struct handshake_result *result) {
    struct slice version;
    int major = 0;
    int minor = 0;
    if (!reply_info_field(replies_bytes(replies, info), "redis_version", &version))
        return OK;
    (void)snprintf(result->version, sizeof(result->version), "%.*s", (int)version.n, version.p);
    /* What isn't a version number is some other server's business: only a known old one is refused.
     */
    if (sscanf(result->version, "%d.%d", &major, &minor) == 2 && // NOLINT(cert-err34-c)
        (major < OLDEST_MAJOR || (major == OLDEST_MAJOR && minor < OLDEST_MINOR)))
        return refuse(result, E_BACKEND_REFUSED, "this Redis is too old, 6.2 or newer is needed",
                      version);
    return OK;
}

/* A user who may not call INFO can still be served. Everything else that comes first (NOAUTH, too
 * many clients) is final. */
static enum error check_info(const struct replies *replies, const struct reply *r,
                             struct handshake_result *result) {
    struct slice words = replies_bytes(replies, r);
    if (r->type == REPLY_STRING)
        return check_version(replies, r, result);
    bool no_permission =
        r->type == REPLY_ERROR && words.n >= 6 && memcmp(words.p, "NOPERM", 6) == 0;
    return no_permission ? OK : refuse_reply(result, replies, r, "INFO");
}

static enum error check_config_set(const struct replies *replies, const struct reply *r,
                                   struct handshake_result *result) {
    if (is_ok(replies, r))
        return OK;
    if (r->type != REPLY_ERROR)
        return refuse_reply(result, replies, r, "CONFIG SET");
    result->policy_refused = true;
    (void)refuse(result, OK, "CONFIG SET", replies_bytes(replies, r));
    return OK;
}

/* Requests that need none are served without. */
static enum error check_script(const struct replies *replies, const struct reply *r,
                               struct handshake_result *result) {
    struct slice text = replies_bytes(replies, r);
    if (r->type == REPLY_STRING && r->n == DIGEST_SHA1_HEX)
        return OK;
    if (r->type != REPLY_ERROR)
        return refuse_reply(result, replies, r, "SCRIPT LOAD");
    if (result->scripts_fault[0] == '\0')
        (void)snprintf(result->scripts_fault, sizeof(result->scripts_fault), "%.*s",
                       text.n < 100 ? (int)text.n : 100, text.p);
    return OK;
}

enum error handshake_check(const struct config *config, const struct replies *replies,
                           struct handshake_result *result) {
    const struct reply *r = replies_get(replies, 0);
    enum error e;
    *result = (struct handshake_result){0};
    if (has_password(config)) {
        if (r == NULL)
            return E_AGAIN;
        if (!is_ok(replies, r))
            return refuse_reply(result, replies, r, "AUTH");
        r = replies_next(replies, r);
    }
    if (r == NULL)
        return E_AGAIN;
    e = check_info(replies, r, result);
    if (e != OK)
        return e;
    r = replies_next(replies, r);
    if (r == NULL)
        return E_AGAIN;
    if (!is_ok(replies, r))
        return refuse_reply(result, replies, r, "SELECT");
    unsigned sets = (sets_policy(config) ? 1U : 0U) + (config->max_memory_set ? 1U : 0U);
    for (unsigned i = 0; i < sets + SCRIPT_COUNT; i++) {
        r = replies_next(replies, r);
        if (r == NULL)
            return E_AGAIN;
        e = i < sets ? check_config_set(replies, r, result) : check_script(replies, r, result);
        if (e != OK)
            return e;
    }
    return OK;
}
