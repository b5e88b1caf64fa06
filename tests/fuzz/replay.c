/*
 * Replays inputs with any compiler, and without a fuzzer: replay TARGET FILE|DIRECTORY...
 * With no arguments it lists the targets. A file that makes the target end the process is named
 * on standard error before it does.
 */
#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/log.h"
#include "fuzz.h"

static const struct target {
    const char *name;
    size_t longest;
    const char *files;
    void (*run)(struct slice input);
} targets[] = {
#define TARGET(name, longest, files) {#name, longest, files, fuzz_##name},
#include "targets.def"
#undef TARGET
};

enum { TARGETS = sizeof(targets) / sizeof(targets[0]), READ_BYTES = 65536 };

static char current[4096]; /* the file that is being replayed */
static unsigned long replayed;

static void on_end(int signal) {
    static const char words[] = "\nreplay: this input did it: ";
    (void)!write(STDERR_FILENO, words, sizeof(words) - 1);
    (void)!write(STDERR_FILENO, current, strlen(current));
    (void)!write(STDERR_FILENO, "\n", 1);
    (void)raise(signal);
}

static void die(const char *what, const char *name) {
    (void)fprintf(stderr, "replay: %s %s\n", what, name);
    exit(2);
}

static void replay_file(const struct target *target, const char *path) {
    struct buf content = {0};
    ssize_t n;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        die("cannot read", path);
    do {
        need(buf_reserve(&content, READ_BYTES));
        n = read(fd, content.p + content.n, READ_BYTES);
        content.n += n > 0 ? (size_t)n : 0;
    } while (n > 0);
    (void)close(fd);
    (void)snprintf(current, sizeof(current), "%s", path);
    char *exact = fuzz_exact(buf_slice(&content));
    target->run((struct slice){exact, content.n});
    free(exact);
    buf_fini(&content);
    replayed++;
}

static int by_name(const struct dirent **a, const struct dirent **b) {
    return strcmp((*a)->d_name, (*b)->d_name);
}

static void replay(const struct target *target, const char *path) {
    struct stat st;
    struct dirent **entries;
    char inner[4096];
    if (stat(path, &st) != 0)
        die("there is no", path);
    if (!S_ISDIR(st.st_mode)) {
        replay_file(target, path);
        return;
    }
    int n = scandir(path, &entries, NULL, by_name);
    for (int i = 0; i < n; i++) {
        (void)snprintf(inner, sizeof(inner), "%s/%s", path, entries[i]->d_name);
        if (entries[i]->d_name[0] != '.')
            replay_file(target, inner);
        free(entries[i]);
    }
    if (n >= 0)
        free(entries);
}

int main(int argc, char **argv) {
    if (argc == 1) {
        for (size_t i = 0; i < TARGETS; i++)
            (void)printf("%s %zu %s\n", targets[i].name, targets[i].longest, targets[i].files);
        return 0;
    }
    const struct target *target = NULL;
    for (size_t i = 0; i < TARGETS; i++)
        if (strcmp(targets[i].name, argv[1]) == 0)
            target = &targets[i];
    if (target == NULL)
        die("there is no target", argv[1]);
    if (log_open("/dev/null", LOG_LEVEL_ERROR) != OK)
        die("cannot open", "/dev/null");
    const struct sigaction action = {.sa_handler = on_end, .sa_flags = (int)SA_RESETHAND};
    (void)sigaction(SIGABRT, &action, NULL);
    (void)sigaction(SIGSEGV, &action, NULL);
    for (int i = 2; i < argc; i++)
        replay(target, argv[i]);
    (void)printf("%s: %lu inputs\n", target->name, replayed);
    return 0;
}
