/* What is written for people: lines of the log, printable text, JSON strings of any text, base64.
 * Whatever goes in, what comes out is one line of UTF-8. */
#include <sys/mman.h>
#include <unistd.h>

#include "base/base64.h"
#include "base/jsontext.h"
#include "base/log.h"
#include "base/printable.h"
#include "fuzz.h"
#include "reference.h"

enum { LINE_MAX_BYTES = 2048 };

/* --- the log: a file in memory that is emptied for each line ------------------------------------
 */

static int open_log(void) {
    static int fd = -1;
    char path[64];
    if (fd >= 0)
        return fd;
    fd = memfd_create("log", MFD_CLOEXEC);
    need(fd >= 0);
    (void)snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
    need(log_open(path, LOG_LEVEL_DEBUG) == OK);
    return fd;
}

static void check_log(struct slice text) {
    static char line[LINE_MAX_BYTES + 1];
    int fd = open_log();
    uint64_t dropped = log_dropped();
    log_warning("%.*s", (int)text.n, text.p);
    need(log_dropped() == dropped);
    ssize_t n = pread(fd, line, sizeof(line), 0);
    need(ftruncate(fd, 0) == 0);
    need(n > 0 && n <= LINE_MAX_BYTES && line[n - 1] == '\n');
    need(reference_is_clean((struct slice){line, (size_t)n - 1}));
    need(memmem(line, (size_t)n, "] warning: ", 11) != NULL);
}

/* --- printable text -----------------------------------------------------------------------------
 */

static bool is_shown(struct slice text, size_t *length) {
    uint32_t code = 0;
    *length = reference_utf8(text, &code);
    return *length > 0 && code >= 0x20 && (code < 0x7F || code > 0x9F) && code != 0x2028 &&
           code != 0x2029;
}

static void expect_printable(struct slice text, struct buf *out) {
    while (text.n > 0) {
        size_t n;
        if (is_shown(text, &n)) {
            buf_put(out, text.p, n);
        } else {
            n = 1;
            buf_printf(out, "\\x%02x", (unsigned char)text.p[0]);
        }
        text = (struct slice){text.p + n, text.n - n};
    }
}

static void check_printable(struct slice text) {
    static struct buf wanted;
    static struct buf shown;
    wanted.n = shown.n = 0;
    expect_printable(text, &wanted);
    size_t taken = 0;
    char *room = fuzz_exact((struct slice){"", 0});
    need(printable_copy(room, 0, text, &taken) == 0 && taken == 0);
    free(room);
    need(buf_reserve(&shown, wanted.n + 1));
    need(printable_copy(shown.p, wanted.n, text, &taken) == wanted.n && taken == text.n);
    need(wanted.n == 0 || memcmp(shown.p, wanted.p, wanted.n) == 0);
    size_t cap = wanted.n / 2;
    size_t n = printable_copy(shown.p, cap, text, &taken);
    need(n <= cap && cap - n < 4 && taken <= text.n);
    need(n == 0 || memcmp(shown.p, wanted.p, n) == 0);
    printable_put(&shown, text);
    need(shown.n <= 256 + 3 && reference_is_clean(buf_slice(&shown)));
}

/* --- base64 and JSON strings ---------------------------------------------------------------------
 */

/* Bit by bit. */
static bool expect_bytes(struct slice text, struct buf *out) {
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    unsigned held = 0;
    int bits = 0;
    size_t padding = 0;
    for (size_t i = 0; i < text.n; i++) {
        const char *digit = text.p[i] != '\0' ? strchr(digits, text.p[i]) : NULL;
        padding += text.p[i] == '=';
        if ((digit == NULL) != (text.p[i] == '=') || (padding > 0 && digit != NULL))
            return false;
        if (digit == NULL)
            continue;
        held = (held << 6 | (unsigned)(digit - digits)) & 0xFFF;
        bits += 6;
        if (bits >= 8) {
            bits -= 8;
            buf_put_char(out, (char)(held >> bits & 0xFF));
        }
    }
    /* RFC 4648, 3.5 and 4. */
    return text.n % 4 == 0 && padding <= 2 && bits == (int)padding * 2 &&
           (held & ((1U << bits) - 1)) == 0;
}

static void check_base64(struct slice text) {
    static struct buf coded;
    static struct buf bytes;
    static struct buf wanted;
    coded.n = bytes.n = wanted.n = 0;
    bool valid = expect_bytes(text, &wanted);
    need(base64_decode(&bytes, text) == valid);
    if (valid) {
        need(slice_eq(buf_slice(&bytes), buf_slice(&wanted)));
        base64_encode(&coded, buf_slice(&bytes));
        need(slice_eq(buf_slice(&coded), text));
    }
    coded.n = bytes.n = 0;
    base64_encode(&coded, text);
    need(coded.n == (text.n + 2) / 3 * 4);
    need(base64_decode(&bytes, buf_slice(&coded)) && slice_eq(buf_slice(&bytes), text));
}

static void check_string(struct slice text) {
    static struct buf quoted;
    static struct buf plain;
    quoted.n = plain.n = 0;
    jsontext_put_base64(&quoted, text);
    need(reference_json(buf_slice(&quoted), 0) == JSON_VALID);
    if (!reference_is_utf8(text))
        return;
    quoted.n = 0;
    jsontext_put_string(&quoted, text);
    need(reference_json(buf_slice(&quoted), 0) == JSON_VALID);
    jsontext_decode(&plain, (struct slice){quoted.p + 1, quoted.n - 2});
    need(slice_eq(buf_slice(&plain), text));
}

void fuzz_text(struct slice input) {
    if (input.n == 0)
        input = SLICE("");
    check_log(input);
    check_printable(input);
    check_base64(input);
    check_string(input);
}
