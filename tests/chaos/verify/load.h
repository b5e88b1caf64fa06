/* All clients together: who asks what and when, until it is enough. */
#ifndef VERIFY_LOAD_H
#define VERIFY_LOAD_H

#include "client.h"
#include "options.h"

struct load {
    struct options options;
    struct ledger ledger;
    struct tally tally;
    struct client *clients;
    int epoll;
    uint64_t dice;
    int64_t begun;
    int64_t ended;
    int64_t next_slot; /* with a rate: when the next request may be sent */
    int64_t next_look; /* when something may be due, an event or not */
    uint32_t busy;
    bool stopping;
    bool short_of_memory;
};

/* False when the system gives less than is needed; errno says what. */
bool load_init(struct load *l, const struct options *options);
void load_fini(struct load *l);

/* epoll reports something of the client whose pointer the event has. */
void load_on_event(struct load *l, struct client *c, uint32_t events);

/* Gives up what has taken too long, sends what is due, and gives the milliseconds until it has to
 * be called again. */
int load_step(struct load *l);

void load_set_rate(struct load *l, uint32_t rate);

/* Nothing new is sent from here on. */
void load_stop(struct load *l);

/* Whether that is done. */
bool load_is_over(const struct load *l);

#endif
