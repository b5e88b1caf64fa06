/* Root's part: see privileges.h. */
#include "process/privileges.h"

#include <errno.h>
#include <grp.h>
#include <pwd.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "base/log.h"
#include "process/ids.h"
#include "process/rundir.h"

/* The groups that the user is a member of, Redis's perhaps, because of its socket. */
static enum error find_groups(struct privileges *p) {
    const struct passwd *entry = getpwuid(p->uid); // cppcheck-suppress getpwuidCalled
    p->count = PRIVILEGES_GROUPS_MAX;
    if (entry == NULL) {
        p->groups[0] = p->gid;
        p->count = 1;
        return OK;
    }
    if (getgrouplist(entry->pw_name, p->gid, p->groups, &p->count) >= 0)
        return OK;
    log_error("user = %s: he is a member of more than %d groups", entry->pw_name,
              PRIVILEGES_GROUPS_MAX);
    return E_SYSTEM;
}

static enum error find_ids(struct privileges *p, const struct config *config) {
    enum error e = ids_user("user", config->user, &p->uid, &p->gid);
    if (e == OK && config->group[0] != '\0')
        e = ids_group("group", config->group, &p->gid);
    if (e != OK)
        return e;
    if (p->gid != (gid_t)-1)
        return OK;
    log_error("user = %s: a number that is no user of this system has no group; set group, too",
              config->user);
    return E_SYSTEM;
}

/* As one who isn't root. */
static enum error check_that_it_is(const struct privileges *p, const struct config *config) {
    if (p->uid == geteuid() && (config->group[0] == '\0' || p->gid == getegid()))
        return OK;
    log_error("user = %s: only root can become another user; start larderd as root or as that "
              "user, or leave user and group empty",
              config->user);
    return E_SYSTEM;
}

/* As root, who is to stay root. */
static enum error check_that_group_stays(const struct privileges *p, const struct config *config) {
    if (p->gid == getegid() || config->group[0] == '\0')
        return OK;
    log_error(
        "group = %s: root's own group stays; name a user who isn't root, or leave group empty",
        config->group);
    return E_SYSTEM;
}

static enum error failed(const char *what) {
    log_error("%s: %m", what);
    return E_SYSTEM;
}

/* Effective ids only: root stays within reach. */
static enum error become(struct privileges *p, const struct config *config) {
    gid_t *socket_group = &p->groups[p->count];
    size_t count = (size_t)p->count;
    if (config->listen_group[0] != '\0') {
        if (ids_group("listen_group", config->listen_group, socket_group) != OK)
            return E_SYSTEM;
        count++;
    }
    if (setgroups(count, p->groups) != 0 || setegid(p->gid) != 0 || seteuid(p->uid) != 0)
        return failed("cannot become the user that is to run larderd");
    p->lowered = true;
    return OK;
}

enum error privileges_lower(struct privileges *p, const struct config *config) {
    *p = (struct privileges){0};
    if (config->user[0] == '\0') {
        if (config->group[0] == '\0')
            return OK;
        log_error("group = %s: it goes with user; set that, too", config->group);
        return E_SYSTEM;
    }
    enum error e = find_ids(p, config);
    if (e != OK)
        return e;
    if (geteuid() != 0)
        return check_that_it_is(p, config);
    if (p->uid == 0)
        return check_that_group_stays(p, config);
    e = find_groups(p);
    if (e == OK)
        e = rundir_make_for(config->run_dir, p->uid, p->gid);
    return e == OK ? become(p, config) : e;
}

/* What should be impossible now is tried. */
static enum error prove(const struct privileges *p) {
    uid_t uid[3];
    gid_t gid[3];
    bool is_user = getresuid(&uid[0], &uid[1], &uid[2]) == 0 && uid[0] == p->uid &&
                   uid[1] == p->uid && uid[2] == p->uid &&
                   getresgid(&gid[0], &gid[1], &gid[2]) == 0 && gid[0] == p->gid &&
                   gid[1] == p->gid && gid[2] == p->gid;
    if (is_user && setuid(0) != 0 && seteuid(0) != 0 && setgroups(0, NULL) != 0)
        return OK;
    log_error("root's rights could not be given up: this process can still get them back");
    return E_SYSTEM;
}

static enum error drop(const struct privileges *p) {
    if (seteuid(0) != 0 || setgroups((size_t)p->count, p->groups) != 0 ||
        setresgid(p->gid, p->gid, p->gid) != 0 || setresuid(p->uid, p->uid, p->uid) != 0)
        return failed("cannot give up root's rights");
    /* It has read what only root may read, Redis's password perhaps: no other process of that user
     * looks into it, and no core file tells. As a rule the kernel has seen to it by now
     * (fs.suid_dumpable). */
    if (prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) != 0)
        return failed("PR_SET_DUMPABLE");
    return prove(p);
}

enum error privileges_drop(const struct privileges *p) {
    enum error e = p->lowered ? drop(p) : OK;
    if (e == OK && prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0)
        return failed("PR_SET_NO_NEW_PRIVS");
    return e;
}

void privileges_warn(const struct config *config) {
    if (geteuid() == 0 && config->user[0] == '\0')
        log_warning("running as root, whose rights larderd never needs: set user to who is to run "
                    "it (user = larder), or to root if that is what you want");
}
