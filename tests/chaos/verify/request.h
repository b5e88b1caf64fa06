/* One request: what it asks, the bytes it is sent as, and what its answer proves. */
#ifndef VERIFY_REQUEST_H
#define VERIFY_REQUEST_H

#include "answer.h"
#include "bytes.h"
#include "ledger.h"
#include "tally.h"

struct request {
    enum method method;
    bool raw; /* /raw/KEY, not /cache/KEY */
    struct known *key;
    uint64_t version;   /* of a write */
    struct sight sight; /* from before it was sent */
    size_t value_n;     /* of a PUT, bytes */
    struct bytes text;  /* as it is sent: n bytes from `from` */
    size_t from;
};

/* Notes the request in the ledger and writes it. `filler` is a PUT's. False when memory is short.
 */
bool request_make(struct request *r, enum method method, struct known *key, bool raw,
                  size_t filler);
void request_fini(struct request *r);

/* The answer is whole: counts what it proves. True if it is what was asked for. */
bool request_judge(struct request *r, const struct answer *answer, struct ledger *ledger,
                   struct tally *tally);

/* There is none. */
void request_fail(struct request *r, enum failure failure, struct ledger *ledger,
                  struct tally *tally);

#endif
