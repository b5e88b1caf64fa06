/* Going through the names in Redis: see keyscan.h. */
#include "cache/keyscan.h"

#include "base/decimal.h"

struct slice keyscan_pattern(struct arena *arena, struct slice key_prefix, struct slice prefix) {
    static const char special[] = {'*', '?', '[', ']', '\\'};
    struct slice parts[] = {key_prefix, prefix};
    char *pattern = arena_take(arena, 2 * (parts[0].n + parts[1].n) + 1);
    size_t n = 0;
    if (pattern == NULL)
        return (struct slice){0};
    for (size_t part = 0; part < 2; part++)
        for (size_t i = 0; i < parts[part].n; i++) {
            char c = parts[part].p[i];
            if (memchr(special, c, sizeof(special)) != NULL)
                pattern[n++] = '\\';
            pattern[n++] = c;
        }
    pattern[n++] = '*';
    return (struct slice){pattern, n};
}

enum error keyscan_begin(struct keyscan *scan, struct slice cursor) {
    if (cursor.n == 0)
        cursor = SLICE("0");
    if (cursor.n > KEYSCAN_CURSOR_DIGITS || (cursor.n > 1 && cursor.p[0] == '0'))
        return E_INVALID_PARAMETER;
    for (size_t i = 0; i < cursor.n; i++)
        if (cursor.p[i] < '0' || cursor.p[i] > '9')
            return E_INVALID_PARAMETER;
    if (cursor.n == KEYSCAN_CURSOR_DIGITS && memcmp(cursor.p, "18446744073709551615", cursor.n) > 0)
        return E_INVALID_PARAMETER;
    memcpy(scan->cursor, cursor.p, cursor.n);
    scan->cursor_n = cursor.n;
    return OK;
}

void keyscan_append(const struct keyscan *scan, struct store *store, struct call *call,
                    unsigned count, bool strings_only) {
    char digits[DECIMAL_MAX];
    struct slice args[8] = {
        SLICE("SCAN"), keyscan_cursor(scan), SLICE("COUNT"), {digits, decimal_put(digits, count)}};
    size_t n = 4;
    if (scan->pattern.n > 1) {
        args[n++] = SLICE("MATCH");
        args[n++] = scan->pattern;
    }
    if (strings_only) {
        args[n++] = SLICE("TYPE");
        args[n++] = SLICE("string");
    }
    store_append(store, call, args, n);
}

bool keyscan_take(struct keyscan *scan, const struct replies *replies, const struct reply *reply,
                  const struct reply **names) {
    if (reply->type != REPLY_ARRAY || reply->integer != 2 || reply[1].type != REPLY_STRING ||
        reply[2].type != REPLY_ARRAY)
        return false;
    *names = reply + 2;
    for (int64_t i = 1; i <= (*names)->integer; i++)
        if ((*names)[i].type != REPLY_STRING)
            return false;
    struct slice cursor = replies_bytes(replies, reply + 1);
    return cursor.n > 0 && keyscan_begin(scan, cursor) == OK;
}

bool keyscan_is_over(const struct keyscan *scan) {
    return scan->cursor_n == 1 && scan->cursor[0] == '0';
}
