/* The shared segment: see segment.h. */
#include "base/segment.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"

/* Linux 6.3: not executable for ever. Older ones don't know it (EINVAL); newer ones may insist. */
#ifndef MFD_NOEXEC_SEAL
#define MFD_NOEXEC_SEAL 0x0008U
#endif

static size_t bytes_of(uint32_t rows) {
    return sizeof(struct segment) + rows * sizeof(struct stats_row);
}

static int new_memory(void) {
    const unsigned flags = MFD_CLOEXEC | MFD_ALLOW_SEALING;
    int fd = memfd_create("larder.segment", flags | MFD_NOEXEC_SEAL);
    if (fd < 0 && errno == EINVAL)
        fd = memfd_create("larder.segment", flags);
    return fd;
}

/* All of its memory is taken now, and nobody can take it away again. */
static bool fill_and_seal(int fd, size_t bytes) {
    int error = posix_fallocate(fd, 0, (off_t)bytes);
    if (error != 0) {
        log_error("cannot allocate %zu bytes of shared memory for the statistics: %s", bytes,
                  strerror(error));
        return false;
    }
    if (fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) == 0)
        return true;
    log_error("cannot seal the shared memory: %m");
    return false;
}

static struct segment *map_memory(int fd, size_t bytes) {
    if (!fill_and_seal(fd, bytes))
        return NULL;
    void *map = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (map != MAP_FAILED)
        return map;
    log_error("cannot map the shared memory: %m");
    return NULL;
}

static void describe(struct segment *segment, uint32_t rows, size_t bytes) {
    memcpy(segment->magic, SEGMENT_MAGIC, sizeof(segment->magic));
    segment->version = SEGMENT_VERSION;
    segment->row_bytes = sizeof(struct stats_row);
    segment->row_count = rows;
    segment->bytes = bytes;
    segment->started = clock_monotonic();
    segment->started_real = clock_realtime();
    atomic_store_explicit(&segment->ready, 1, memory_order_release);
}

enum error segment_create(struct segment **segment, int *fd, uint32_t rows) {
    size_t bytes = bytes_of(rows);
    *fd = new_memory();
    if (*fd < 0) {
        log_error("cannot make shared memory: %m");
        return E_SYSTEM;
    }
    *segment = map_memory(*fd, bytes);
    if (*segment == NULL) {
        (void)close(*fd);
        *fd = -1;
        return E_SYSTEM;
    }
    describe(*segment, rows, bytes);
    return OK;
}

void segment_destroy(struct segment **segment, int *fd, uint32_t rows) {
    if (*segment != NULL)
        (void)munmap(*segment, bytes_of(rows));
    *segment = NULL;
    if (*fd >= 0)
        (void)close(*fd);
    *fd = -1;
}

/* FNV-1a, 64 bits, of both texts: says whose address it is, and shows damage to it. */
static uint64_t hash_address(const char *host, const char *numeric) {
    uint64_t h = UINT64_C(0xcbf29ce484222325);
    const char *const texts[] = {host, numeric};
    for (size_t i = 0; i < 2; i++) {
        for (const char *p = texts[i]; *p != '\0'; p++)
            h = (h ^ (unsigned char)*p) * UINT64_C(0x100000001b3);
        h = (h ^ 0xffU) * UINT64_C(0x100000001b3);
    }
    return h;
}

void segment_publish_address(struct segment *segment, const char *host, const char *numeric) {
    struct resolved_address *a = &segment->address;
    char text[SEGMENT_ADDRESS_MAX] = {0};
    memcpy(text, numeric, strnlen(numeric, sizeof(text) - 1));
    uint32_t sequence = atomic_load_explicit(&a->sequence, memory_order_relaxed);
    /* A writer that died in the middle left it odd; the next even number is two steps on. */
    uint32_t odd = sequence | 1U;
    atomic_store_explicit(&a->sequence, odd, memory_order_relaxed);
    atomic_thread_fence(memory_order_release);
    atomic_store_explicit(&a->hash, hash_address(host, text), memory_order_relaxed);
    for (size_t i = 0; i < sizeof(text); i++)
        atomic_store_explicit(&a->numeric[i], text[i], memory_order_relaxed);
    atomic_store_explicit(&a->sequence, odd + 1 == 0 ? 2 : odd + 1, memory_order_release);
}

bool segment_read_address(const struct segment *segment, const char *host,
                          char out[SEGMENT_ADDRESS_MAX]) {
    const struct resolved_address *a = &segment->address;
    uint32_t before = atomic_load_explicit(&a->sequence, memory_order_acquire);
    if (before == 0 || before % 2 != 0)
        return false;
    uint64_t hash = atomic_load_explicit(&a->hash, memory_order_relaxed);
    for (size_t i = 0; i < SEGMENT_ADDRESS_MAX; i++)
        out[i] = atomic_load_explicit(&a->numeric[i], memory_order_relaxed);
    out[SEGMENT_ADDRESS_MAX - 1] = '\0';
    atomic_thread_fence(memory_order_acquire);
    return atomic_load_explicit(&a->sequence, memory_order_relaxed) == before &&
           hash == hash_address(host, out);
}
