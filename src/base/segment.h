/*
 * The shared segment: memory that the master makes before it forks, mapped by all.
 *
 * It is a memfd(2), not a file in a directory: whoever shortened such a file, by `>` in a shell or
 * for want of care, would end every process that touches it (SIGBUS), the master first. This one is
 * allocated in full and sealed: nobody can shorten it, not even root. Who is to read it later, as
 * the web server, is passed the descriptor.
 *
 * It has no pointers in it, and nobody trusts a word read from it: indexes and times are
 * range-checked, sizes are known to each process by itself, and the master decides nothing that
 * matters by what a child wrote.
 */
#ifndef LARDER_BASE_SEGMENT_H
#define LARDER_BASE_SEGMENT_H

#include <stdatomic.h>
#include <stdint.h>

#include "base/error.h"
#include "base/stats.h"

#define SEGMENT_MAGIC "larder\r\n"
enum { SEGMENT_VERSION = 3, SEGMENT_ADDRESS_MAX = 64 };

/* The circuit breaker's shared state; redis/breaker.h has its rules. */
struct breaker_state {
    _Atomic uint32_t state;       /* enum breaker_position */
    _Atomic uint32_t reason;      /* enum error of what opened it */
    _Atomic int64_t opened;       /* clock_monotonic */
    _Atomic int64_t probe_after;  /* nobody tries Redis before this; clock_monotonic */
    _Atomic int64_t last_timeout; /* clock_monotonic */
};

/* Redis's numeric address, as the resolver last found it. One writer; `sequence` is odd while it
 * writes and 0 before the first time. During a reload two generations may mean different hosts, so
 * the address says whose it is; and damage would make it that of another machine, so it is checked.
 */
struct resolved_address {
    _Atomic uint32_t sequence;
    _Atomic uint64_t hash; /* of the name it was found for and of the address */
    _Atomic char numeric[SEGMENT_ADDRESS_MAX];
};

/* How many keys there are below key_prefix: counted in the background, by whichever worker has the
 * right to (process/census.h), while anybody asks. All times are clock_monotonic. */
struct census_state {
    _Atomic int64_t keys;    /* as last counted; means nothing while `counted` is 0 */
    _Atomic uint64_t prefix; /* hash of the key_prefix it was counted for: a reload may change it */
    _Atomic int64_t counted; /* when that count ended; 0: never */
    _Atomic int64_t wanted;  /* when somebody last asked */
    _Atomic int64_t claimed; /* the right to count is somebody's until then */
};

struct segment {
    /* For who maps it without being a child of the master. Nobody else reads these: anybody may
     * have written them. */
    char magic[8];
    uint32_t version;
    uint32_t row_bytes;
    uint32_t row_count;     /* row 0 is the master's */
    _Atomic uint32_t ready; /* stored last */
    uint64_t bytes;
    int64_t started;      /* clock_monotonic */
    int64_t started_real; /* clock_realtime */

    _Alignas(64) struct breaker_state breaker;
    _Alignas(64) struct resolved_address address;
    _Atomic uint32_t resolve_wanted; /* a worker could not connect: look the name up again */
    _Atomic uint32_t policy_refused; /* Redis refused CONFIG SET at the last connect */
    _Atomic uint32_t reload_refused; /* the last reload was: an older configuration serves on */
    _Atomic int64_t short_since; /* there are fewer workers than wanted since; 0: there aren't */

    _Alignas(64) struct census_state census;

    _Alignas(64) struct stats_row rows[];
};

enum { SEGMENT_MASTER_ROW = 0, SEGMENT_FIRST_WORKER_ROW = 1 };

/* Makes and maps one of `rows` rows, the master's among them; all else in it is zero. `*fd` is its
 * memory. E_SYSTEM: the reason is in the log, and there is neither. */
LARDER_MUST_CHECK enum error segment_create(struct segment **segment, int *fd, uint32_t rows);

/* Unmaps it and leaves NULL, closes `*fd` and leaves -1. `rows` as it was made. */
void segment_destroy(struct segment **segment, int *fd, uint32_t rows);

/* Publishes the numeric address of `host` (at most SEGMENT_ADDRESS_MAX - 1 bytes); one writer at a
 * time. */
void segment_publish_address(struct segment *segment, const char *host, const char *numeric);

/* Copies the address of `host` out, NUL-terminated; false if it is not known (yet) or is changing
 * just now. */
bool segment_read_address(const struct segment *segment, const char *host,
                          char out[SEGMENT_ADDRESS_MAX]);

#endif
