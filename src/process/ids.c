/* Users and groups: see ids.h. One thread, at the start: so getpwnam and getgrnam will do. */
#include "process/ids.h"

#include <errno.h>
#include <grp.h>
#include <pwd.h>
#include <stdbool.h>
#include <stdlib.h>

#include "base/log.h"

/* All digits, and no -1, which means "none" to every call that takes an id. */
static bool parse_number(const char *text, id_t *id) {
    char *end;
    if (*text < '0' || *text > '9')
        return false;
    errno = 0;
    unsigned long long v = strtoull(text, &end, 10);
    *id = (id_t)v;
    return errno == 0 && *end == '\0' && v < (id_t)-1;
}

static enum error none(const char *option, const char *what, const char *name) {
    log_error("%s = %s: there is no such %s", option, name, what);
    return E_SYSTEM;
}

enum error ids_group(const char *option, const char *name, gid_t *gid) {
    const struct group *entry = getgrnam(name); // cppcheck-suppress getgrnamCalled
    if (entry != NULL)
        *gid = entry->gr_gid;
    else if (!parse_number(name, gid))
        return none(option, "group", name);
    return OK;
}

enum error ids_user(const char *option, const char *name, uid_t *uid, gid_t *gid) {
    const struct passwd *entry = getpwnam(name); // cppcheck-suppress getpwnamCalled
    id_t number;
    if (entry == NULL && parse_number(name, &number))
        entry = getpwuid(number); // cppcheck-suppress getpwuidCalled
    if (entry == NULL && !parse_number(name, &number))
        return none(option, "user", name);
    *uid = entry != NULL ? entry->pw_uid : number;
    if (gid != NULL)
        *gid = entry != NULL ? entry->pw_gid : (gid_t)-1;
    return OK;
}
