/* How to reach Redis, out of the options that say it: see config_loader.h. */
#include "base/config_loader.h"

#include <errno.h>
#include <string.h>

#include "base/config_file.h"
#include "base/config_url.h"

static void take_url_part(struct loader *l, enum option_id id, const char *text) {
    const struct option *option = &option_table[id];
    struct origin origin = {.rank = loader_rank(l, OPT_redis_url) - 1};
    struct buf reason = {0};
    if (loader_rank(l, id) > origin.rank)
        return;
    if (option_parse(option, slice_of(text), l->config, &reason) == OK) {
        l->origins[id] = origin;
    } else {
        loader_put_given(l, id, origin, (struct slice){0});
        buf_printf(l->why, "its part for %s ", option->name);
        loader_end_fault(l, buf_slice(&reason));
        l->faulty[id] = true;
    }
    buf_fini(&reason);
}

/* A URL always says where Redis is, by socket or by host and port; which database and user only if
 * it names them. */
static void take_url(struct loader *l) {
    struct config_url url;
    const char *reason;
    if (loader_is_none(l, OPT_redis_url) ||
        config_url_parse(slice_of(l->config->redis_url), &url, &reason) != OK)
        return;
    if (url.socket[0] != '\0') {
        take_url_part(l, OPT_redis_socket, url.socket);
    } else {
        const char *default_port = option_table[OPT_redis_port].fallback;
        take_url_part(l, OPT_redis_host, url.host);
        take_url_part(l, OPT_redis_port, url.port[0] != '\0' ? url.port : default_port);
    }
    if (url.db[0] != '\0')
        take_url_part(l, OPT_redis_db, url.db);
    if (url.has_user)
        take_url_part(l, OPT_redis_username, url.username);
    if (url.password[0] != '\0')
        take_url_part(l, OPT_redis_password, url.password);
}

/* A host or port from a later level than the socket is meant to replace it. */
static void settle_address(struct loader *l) {
    enum rank socket = loader_rank(l, OPT_redis_socket);
    if (loader_rank(l, OPT_redis_host) > socket || loader_rank(l, OPT_redis_port) > socket)
        memset(l->config->redis_socket, 0, sizeof(l->config->redis_socket));
}

/* The file's first line becomes the password. E_CONFIG: `reason` gets what is wrong with it. */
static enum error read_password_file(struct loader *l, struct buf *reason) {
    struct buf content = {0};
    struct slice line = {0};
    enum error e = config_file_read(l->config->redis_password_file, &content);
    struct slice rest = buf_slice(&content);
    if (e != OK) {
        buf_printf(reason, "cannot be read: %s", strerror(errno));
        e = E_CONFIG;
    } else if (!config_file_next(&rest, &line) || line.n == 0) {
        buf_puts(reason, "the first line of the file, which should be the password, is empty");
        e = E_CONFIG;
    } else {
        buf_puts(reason, "the first line of the file ");
        e = option_parse(&option_table[OPT_redis_password], line, l->config, reason);
    }
    buf_fini(&content);
    return e;
}

static void take_password_file(struct loader *l) {
    enum rank file = loader_rank(l, OPT_redis_password_file);
    enum rank password = loader_rank(l, OPT_redis_password);
    if (loader_is_none(l, OPT_redis_password_file) || password > file)
        return;
    struct buf reason = {0};
    if (password == file && !loader_is_none(l, OPT_redis_password))
        loader_fault(l, OPT_redis_password_file,
                     SLICE("redis_password is given as well; give one of them"));
    else if (read_password_file(l, &reason) != OK)
        loader_fault(l, OPT_redis_password_file, buf_slice(&reason));
    buf_fini(&reason);
}

static void check_user(struct loader *l) {
    if (l->faulty[OPT_redis_password] || l->faulty[OPT_redis_password_file] ||
        loader_is_none(l, OPT_redis_username) || !loader_is_none(l, OPT_redis_password))
        return;
    loader_fault(l, OPT_redis_username,
                 SLICE("the user needs a password: give redis_password or redis_password_file"));
}

void loader_settle_redis(struct loader *l) {
    take_url(l);
    settle_address(l);
    take_password_file(l);
    check_user(l);
}
