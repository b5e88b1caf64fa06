/* Who may connect: see peers.h. */
#include "process/peers.h"

#include <string.h>
#include <sys/socket.h>

#include "base/config.h"
#include "base/log.h"
#include "process/ids.h"

enum error peers_load(struct peers *peers, const char *list) {
    static const char separators[] = ", \t";
    *peers = (struct peers){0};
    for (;;) {
        char name[CONFIG_TEXT_MAX];
        list += strspn(list, separators);
        size_t n = strcspn(list, separators);
        if (n == 0)
            return OK;
        if (n >= sizeof(name) || peers->count == PEERS_MAX) {
            log_error("listen_users: at most %d users can be named", PEERS_MAX);
            return E_SYSTEM;
        }
        memcpy(name, list, n);
        name[n] = '\0';
        if (ids_user("listen_users", name, &peers->uids[peers->count], NULL) != OK)
            return E_SYSTEM;
        peers->count++;
        list += n;
    }
}

bool peers_admit(const struct peers *peers, int fd, uid_t *uid) {
    struct ucred peer;
    socklen_t length = sizeof(peer);
    *uid = (uid_t)-1;
    if (peers->count == 0)
        return true;
    if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &length) != 0)
        return false;
    *uid = peer.uid;
    for (unsigned i = 0; i < peers->count; i++)
        if (peers->uids[i] == peer.uid)
            return true;
    return false;
}
