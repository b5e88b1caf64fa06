/* Passing kept connections: see pass.h. */
#include "process/pass.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

union control {
    struct cmsghdr header; /* for its alignment */
    char bytes[CMSG_SPACE(sizeof(int))];
};

enum error pass_open(struct pass *pass) {
    int pair[2];
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair) != 0)
        return E_SYSTEM;
    *pass = (struct pass){pair[0], pair[1]};
    return OK;
}

void pass_close(struct pass *pass) {
    if (pass->give >= 0)
        (void)close(pass->give);
    if (pass->take >= 0)
        (void)close(pass->take);
    *pass = (struct pass){-1, -1};
}

enum error pass_give(const struct pass *pass, int fd) {
    char byte = 0;
    struct iovec iov = {&byte, 1};
    union control control;
    memset(&control, 0, sizeof(control));
    struct msghdr message = {
        .msg_iov = &iov,
        .msg_iovlen = 1,
        .msg_control = control.bytes,
        .msg_controllen = sizeof(control.bytes),
    };
    struct cmsghdr *header = CMSG_FIRSTHDR(&message);
    header->cmsg_level = SOL_SOCKET;
    header->cmsg_type = SCM_RIGHTS;
    header->cmsg_len = CMSG_LEN(sizeof(fd));
    memcpy(CMSG_DATA(header), &fd, sizeof(fd));
    if (sendmsg(pass->give, &message, MSG_DONTWAIT | MSG_NOSIGNAL) == 1)
        return OK;
    /* ETOOMANYREFS: more descriptors are in flight than one process may have open. */
    return errno == EAGAIN || errno == EINTR || errno == ENOBUFS || errno == ETOOMANYREFS
               ? E_AGAIN
               : E_SYSTEM;
}

enum error pass_take(const struct pass *pass, int *fd) {
    char byte;
    struct iovec iov = {&byte, 1};
    union control control;
    memset(&control, 0, sizeof(control));
    struct msghdr message = {
        .msg_iov = &iov,
        .msg_iovlen = 1,
        .msg_control = control.bytes,
        .msg_controllen = sizeof(control.bytes),
    };
    ssize_t n = recvmsg(pass->take, &message, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
    if (n < 0)
        return errno == EAGAIN || errno == EINTR ? E_AGAIN : E_SYSTEM;
    const struct cmsghdr *header = CMSG_FIRSTHDR(&message);
    /* Without a descriptor this process had no room for it (MSG_CTRUNC); the connection is lost. */
    if (header == NULL || header->cmsg_type != SCM_RIGHTS ||
        header->cmsg_len != CMSG_LEN(sizeof(*fd)))
        return E_SYSTEM;
    memcpy(fd, CMSG_DATA(header), sizeof(*fd));
    return OK;
}
