/*
 * Values that say whose they are, so that whoever reads one can tell whether it is right:
 *
 *     key|version|length|checksum|filler
 *
 * length is that of the filler in bytes; checksum is XXH3 (64 bits, 16 hex digits) of all the rest.
 * All of it is text that JSON shows as it is.
 */
#ifndef VERIFY_VALUE_H
#define VERIFY_VALUE_H

#include <stddef.h>
#include <stdint.h>

enum {
    VALUE_KEY_MAX = 63,
    VALUE_FILLER_MAX = 1000000,
    VALUE_MAX = VALUE_FILLER_MAX + VALUE_KEY_MAX + 64,
};

/* Makes what fillers are cut from. Before the first value_make. */
void value_setup(void);

/* Writes at most VALUE_MAX bytes, without a NUL, and gives their number. filler is at most
 * VALUE_FILLER_MAX. */
size_t value_make(char *out, const char *key, uint64_t version, size_t filler);

enum value_state {
    VALUE_WHOLE,   /* of this key and whole: *version is its version */
    VALUE_FOREIGN, /* a whole value, but of another key */
    VALUE_DAMAGED, /* begins as one of ours, and its length or checksum doesn't fit */
    VALUE_UNKNOWN, /* nothing that value_make makes */
};

enum value_state value_check(const char *p, size_t n, const char *key, uint64_t *version);

#endif
