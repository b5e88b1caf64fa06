/* Edge-triggered epoll: see watch.h. */
#include "base/watch.h"

#include <sys/epoll.h>

bool watch_set(int epoll, int fd, void *tag, enum watch *is, enum watch wanted) {
    if (*is == wanted)
        return true;
    struct epoll_event event = {EPOLLIN | EPOLLRDHUP | EPOLLET, {.ptr = tag}};
    if (wanted == WATCH_WRITE)
        event.events |= EPOLLOUT;
    if (epoll_ctl(epoll, *is == WATCH_NOT ? EPOLL_CTL_ADD : EPOLL_CTL_MOD, fd, &event) != 0)
        return false;
    *is = wanted;
    return true;
}
