/* Redis's protocol for people: commands as lines of text, and what Redis says to our scripts. */
#ifndef LARDER_TESTS_COMMANDS_H
#define LARDER_TESTS_COMMANDS_H

#include "base/slice.h"
#include "redis/script.h"

/* Takes the whole commands off the front of `bytes` and gives them as text, valid until the next
 * time: their arguments separated by spaces, each command ended by a newline. A script of ours is
 * its name where its text or its digest stands; the bytes NUL, newline and 0xFF are \0, \n and
 * \xff. Only for short ones. */
const char *commands_take(struct slice *bytes);

/* How the handshake's last commands look, and Redis's replies to them. */
#define SCRIPTS_LOAD                                                                               \
    "SCRIPT LOAD tags\nSCRIPT LOAD check\nSCRIPT LOAD guard\nSCRIPT LOAD remove\n"                 \
    "SCRIPT LOAD count\n"
#define SCRIPT_LOADED  "$40\r\n0123456789abcdef0123456789abcdef01234567\r\n"
#define SCRIPTS_LOADED SCRIPT_LOADED SCRIPT_LOADED SCRIPT_LOADED SCRIPT_LOADED SCRIPT_LOADED
_Static_assert(SCRIPT_COUNT == 5, "SCRIPTS_LOAD and SCRIPTS_LOADED are behind scripts.def");

#endif
