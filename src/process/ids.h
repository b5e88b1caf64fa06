/* Users and groups by name or number, as options name them. */
#ifndef LARDER_PROCESS_IDS_H
#define LARDER_PROCESS_IDS_H

#include <sys/types.h>

#include "base/error.h"

/* The group called `name`, or whose number it is. E_SYSTEM: there is none, and the log says so with
 * the name of the option. May ask the system's name services, and wait for them. */
LARDER_MUST_CHECK enum error ids_group(const char *option, const char *name, gid_t *gid);

/* The user called `name`, or whose number it is; `*gid` is his group, or (gid_t)-1 for a number
 * that has no name. `gid` may be NULL. E_SYSTEM as above. */
LARDER_MUST_CHECK enum error ids_user(const char *option, const char *name, uid_t *uid, gid_t *gid);

#endif
