/* Turns: see turns.h. */
#include "cache/turns.h"

#include "base/clock.h"
#include "base/digest.h"

_Static_assert(TURNS_SEATS == 64, "a bit for each");

size_t turns_seat(struct slice name) {
    return digest_xxh64(name, 0) % TURNS_SEATS;
}

bool turns_take(struct turns *turns, struct slice name, const void *who, int64_t now) {
    size_t i = turns_seat(name);
    const void *other = turns->seat[i].who;
    if (other != NULL && other != who && now < turns->seat[i].until)
        return false;
    turns->seat[i].who = who;
    turns->seat[i].until = now + TURNS_LEASE_MS * NS_PER_MS;
    return true;
}

void turns_give_back(struct turns *turns, struct slice name, const void *who) {
    size_t i = turns_seat(name);
    if (turns->seat[i].who != who)
        return;
    turns->seat[i].who = NULL;
    turns->returned |= UINT64_C(1) << i;
}
