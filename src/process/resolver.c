/* The resolver: see resolver.h. */
#include "process/resolver.h"

#include <arpa/inet.h>
#include <netdb.h>
#include <stdlib.h>
#include <sys/socket.h>

#include "base/log.h"

bool resolver_try_numeric(const struct config *config, struct segment *segment) {
    unsigned char address[sizeof(struct in6_addr)];
    if (config->redis_socket[0] != '\0')
        return true;
    if (inet_pton(AF_INET, config->redis_host, address) != 1 &&
        inet_pton(AF_INET6, config->redis_host, address) != 1)
        return false;
    segment_publish_address(segment, config->redis_host, config->redis_host);
    return true;
}

int resolver_run(const struct config *config, struct segment *segment) {
    const struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_ADDRCONFIG};
    struct addrinfo *list = NULL;
    char numeric[SEGMENT_ADDRESS_MAX];
    int error = getaddrinfo(config->redis_host, NULL, &hints, &list);
    /* Redis on "localhost" listens on 127.0.0.1 by default, whatever order the resolver prefers. */
    const struct addrinfo *chosen = list;
    for (const struct addrinfo *a = list; error == 0 && a != NULL; a = a->ai_next)
        if (a->ai_family == AF_INET) {
            chosen = a;
            break;
        }
    if (error == 0 && chosen != NULL)
        error = getnameinfo(chosen->ai_addr, chosen->ai_addrlen, numeric, sizeof(numeric), NULL, 0,
                            NI_NUMERICHOST);
    if (error == 0)
        segment_publish_address(segment, config->redis_host, numeric);
    else
        log_warning("cannot resolve redis_host %s: %s", config->redis_host, gai_strerror(error));
    if (list != NULL)
        freeaddrinfo(list);
    return error == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
