/*
 * What a scenario preloads into larderd (LD_PRELOAD) to have it misbehave at a moment of its
 * choosing. LARDER_HOOK names a file, of the size of struct hook, that the scenario writes into;
 * tests/chaos/hook.py is its other side. Only workers misbehave: whoever has made an epoll set.
 *
 *     start   what a worker does before it is ready
 *     value   what it does with the entry whose value is "chaos:now", in the middle of its request
 *     clock   nanoseconds by which the wall clock is wrong
 *     malloc  the allocation after so many others fails, once
 */
#define _GNU_SOURCE /* NOLINT(bugprone-reserved-identifier,cert-dcl37-c,cert-dcl51-cpp) */
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

enum act { ACT_NONE, ACT_SPIN, ACT_STOP, ACT_ABORT, ACT_SEGV, ACT_EXIT_0, ACT_EXIT_1 };

struct hook {
    _Atomic int32_t start;
    _Atomic int32_t value;
    _Atomic int64_t clock;
    _Atomic int64_t malloc_after; /* -1: all go well */
    _Atomic int64_t malloc_failed;
    _Atomic int64_t value_left; /* how many times it is done */
};

static struct hook *hook;
static bool is_worker;

__attribute__((constructor)) static void open_hook(void) {
    const char *path = getenv("LARDER_HOOK");
    int fd = path != NULL ? open(path, O_RDWR | O_CLOEXEC) : -1;
    if (fd < 0)
        return;
    hook = mmap(NULL, sizeof(*hook), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    (void)close(fd);
    if (hook == MAP_FAILED)
        hook = NULL;
}

static void act(int32_t what) {
    switch (what) {
    case ACT_SPIN:
        for (volatile int i = 0;; i++)
            ;
    case ACT_STOP:
        (void)raise(SIGSTOP);
        break;
    case ACT_ABORT:
        abort();
    case ACT_SEGV:
        (void)raise(SIGSEGV);
        break;
    case ACT_EXIT_0:
    case ACT_EXIT_1:
        _exit(what - ACT_EXIT_0);
    default:
        break;
    }
}

/* --- what larderd calls ---------------------------------------------------------------------- */

int epoll_create1(int flags);
int epoll_create1(int flags) {
    is_worker = true;
    if (hook != NULL)
        act(atomic_load(&hook->start));
    return (int)syscall(SYS_epoll_create1, flags);
}

int clock_gettime(clockid_t id, struct timespec *out) {
    static int (*real)(clockid_t, struct timespec *);
    if (real == NULL)
        *(void **)&real = dlsym(RTLD_NEXT, "clock_gettime");
    int status = real(id, out);
    if (hook != NULL && id == CLOCK_REALTIME) {
        int64_t ns = (int64_t)out->tv_sec * 1000000000 + out->tv_nsec + atomic_load(&hook->clock);
        out->tv_sec = ns / 1000000000;
        out->tv_nsec = ns % 1000000000;
    }
    return status;
}

/* An entity tag is made of every entry that is read. */
typedef struct {
    uint64_t low, high;
} hash128;
hash128 XXH3_128bits_withSeed(const void *data, size_t n, uint64_t seed);
hash128 XXH3_128bits_withSeed(const void *data, size_t n, uint64_t seed) {
    static hash128 (*real)(const void *, size_t, uint64_t);
    if (real == NULL)
        *(void **)&real = dlsym(RTLD_NEXT, "XXH3_128bits_withSeed");
    if (hook != NULL && is_worker && n < 64 && memmem(data, n, "chaos:now", 9) != NULL)
        act(atomic_fetch_sub(&hook->value_left, 1) > 0 ? atomic_load(&hook->value) : ACT_NONE);
    return real(data, n, seed);
}

/* --- memory ---------------------------------------------------------------------------------- */

/* The C library's own names. NOLINTBEGIN(bugprone-reserved-identifier,cert-dcl37-c,cert-dcl51-cpp)
 */
void *__libc_malloc(size_t n);
void *__libc_calloc(size_t items, size_t n);
void *__libc_realloc(void *block, size_t n);
/* NOLINTEND(bugprone-reserved-identifier,cert-dcl37-c,cert-dcl51-cpp) */

static bool refuse(void) {
    if (hook == NULL || !is_worker || atomic_load(&hook->malloc_after) < 0)
        return false;
    if (atomic_fetch_sub(&hook->malloc_after, 1) != 0)
        return false;
    atomic_fetch_add(&hook->malloc_failed, 1);
    errno = ENOMEM;
    return true;
}

void *malloc(size_t n) {
    return refuse() ? NULL : __libc_malloc(n);
}

void *calloc(size_t items, size_t n) {
    return refuse() ? NULL : __libc_calloc(items, n);
}

void *realloc(void *block, size_t n) {
    return refuse() ? NULL : __libc_realloc(block, n);
}
