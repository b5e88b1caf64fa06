/* The shared segment: see segment.h. */
#include "base/segment.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/magic.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"

static enum error path_in(const char *directory, const char *name, char out[PATH_MAX]) {
    int n = snprintf(out, PATH_MAX, "%s/%s", directory, name);
    return n > 0 && n < PATH_MAX ? OK : E_SYSTEM;
}

static void warn_unless_tmpfs(int fd, const char *directory) {
    struct statfs fs;
    if (fstatfs(fd, &fs) == 0 && fs.f_type != TMPFS_MAGIC)
        log_warning("run_dir %s is not on tmpfs: the statistics segment will be written back to "
                    "its disk; use a directory under /run or /dev/shm",
                    directory);
}

static void *map_new_file(int fd, size_t bytes, const char *path) {
    int error = posix_fallocate(fd, 0, (off_t)bytes);
    if (error != 0) {
        log_error("cannot allocate %zu bytes for %s: %s", bytes, path, strerror(error));
        return NULL;
    }
    void *map = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (map == MAP_FAILED) {
        log_error("cannot map %s: %m", path);
        return NULL;
    }
    return map;
}

static size_t size_of(uint32_t workers) {
    return sizeof(struct segment) +
           (workers + (size_t)SEGMENT_FIRST_WORKER_ROW) * sizeof(struct stats_row);
}

enum error segment_create(struct segment **segment, const char *directory, uint32_t workers) {
    char path[PATH_MAX];
    char fresh[PATH_MAX];
    if (path_in(directory, "larder.segment", path) != OK ||
        path_in(directory, ".larder.segment.new", fresh) != OK)
        return E_SYSTEM;

    uint32_t rows = workers + SEGMENT_FIRST_WORKER_ROW;
    size_t bytes = size_of(workers);
    enum error result = E_SYSTEM;
    struct segment *map = NULL;
    (void)unlink(fresh);
    int fd = open(fresh, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0640);
    if (fd < 0) {
        log_error("cannot create %s: %m", fresh);
        return E_SYSTEM;
    }
    warn_unless_tmpfs(fd, directory);
    map = map_new_file(fd, bytes, fresh);
    if (map == NULL)
        goto out;

    memcpy(map->magic, SEGMENT_MAGIC, sizeof(map->magic));
    map->version = SEGMENT_VERSION;
    map->row_bytes = sizeof(struct stats_row);
    map->row_count = rows;
    map->bytes = bytes;
    map->started = clock_monotonic();
    map->started_real = clock_realtime();
    atomic_store_explicit(&map->ready, 1, memory_order_release);
    if (rename(fresh, path) != 0) {
        log_error("cannot rename %s to %s: %m", fresh, path);
        goto out;
    }
    *segment = map;
    map = NULL;
    result = OK;
out:
    if (map != NULL)
        (void)munmap(map, bytes);
    if (result != OK)
        (void)unlink(fresh);
    (void)close(fd);
    return result;
}

void segment_destroy(struct segment **segment, const char *directory, uint32_t workers) {
    char path[PATH_MAX];
    if (*segment == NULL)
        return;
    if (path_in(directory, "larder.segment", path) == OK)
        (void)unlink(path);
    (void)munmap(*segment, size_of(workers));
    *segment = NULL;
}

/* FNV-1a, 64 bits: tells apart the few names that one configuration ever had, and an address from
 * what a stray write makes of it. Both with their NULs. */
static uint64_t hash_text(uint64_t h, const char *text) {
    do
        h = (h ^ (unsigned char)*text) * UINT64_C(0x100000001b3);
    while (*text++ != '\0');
    return h;
}

static uint64_t hash_address(const char *host, const char *numeric) {
    return hash_text(hash_text(UINT64_C(0xcbf29ce484222325), host), numeric);
}

void segment_publish_address(struct segment *segment, const char *host, const char *numeric) {
    struct resolved_address *a = &segment->address;
    uint32_t sequence = atomic_load_explicit(&a->sequence, memory_order_relaxed);
    /* A writer that died in the middle left it odd; the next even number is two steps on. */
    uint32_t odd = sequence | 1U;
    char text[SEGMENT_ADDRESS_MAX] = {0};
    memcpy(text, numeric, strnlen(numeric, sizeof(text) - 1));
    uint64_t hash = hash_address(host, text);
    atomic_store_explicit(&a->sequence, odd, memory_order_relaxed);
    atomic_thread_fence(memory_order_release);
    atomic_store_explicit(&a->hash, hash, memory_order_relaxed);
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
    if (atomic_load_explicit(&a->sequence, memory_order_relaxed) != before)
        return false;
    return hash == hash_address(host, out);
}
