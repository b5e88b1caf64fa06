/* Where one RESP2 value ends and the next begins, in bytes that come in pieces. Requests are RESP2
 * values, too. */
#ifndef LARDER_PROXY_RESP_H
#define LARDER_PROXY_RESP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Zeroed: at the beginning of a value. */
struct resp {
    enum { RESP_TYPE, RESP_LINE, RESP_NUMBER, RESP_BODY } at;
    char type;
    bool negative;
    uint64_t number;  /* of the present line: a length or a count */
    uint64_t skip;    /* bytes of the body and its line end that are still to come */
    uint64_t pending; /* values that still belong to this one, the one being read not counted */
};

/* Goes on through `n` bytes, at most to the end of the value. Gives how many belong to it;
 * `*whole`: it ends with them. */
size_t resp_scan(struct resp *r, const char *p, size_t n, bool *whole);

/* Some of the present value has been seen, and some is still to come. */
bool resp_is_inside(const struct resp *r);

#endif
