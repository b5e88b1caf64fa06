/* Calls that fail: see refuse.h. */
#include "refuse.h"

#include <errno.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/socket.h>

static struct {
    bool on;
    enum refused call;
    size_t before;
    int error;
    bool done;
} refuse;

void refuse_begin(enum refused call, size_t before, int error) {
    refuse.on = true;
    refuse.call = call;
    refuse.before = before;
    refuse.error = error;
    refuse.done = false;
}

bool refuse_end(void) {
    refuse.on = false;
    return refuse.done;
}

static bool is_refused(enum refused call) {
    if (!refuse.on || refuse.done || refuse.call != call || refuse.before-- > 0)
        return false;
    refuse.done = true;
    errno = refuse.error;
    return true;
}

/* The names are the linker's (--wrap). */
/* NOLINTBEGIN(bugprone-reserved-identifier,cert-dcl37-c,cert-dcl51-cpp,bugprone-macro-parentheses)
 */
#define REFUSE(name, type, failure, parameters, arguments)                                         \
    type __real_##name parameters;                                                                 \
    type __wrap_##name parameters;                                                                 \
    type __wrap_##name parameters {                                                                \
        return is_refused(REFUSE_##name) ? (failure) : __real_##name arguments;                    \
    }
#include "refuse.def"
#undef REFUSE
/* NOLINTEND(bugprone-reserved-identifier,cert-dcl37-c,cert-dcl51-cpp,bugprone-macro-parentheses) */
