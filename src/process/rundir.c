/* The run directory: see rundir.h. */
#include "process/rundir.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/log.h"

enum error rundir_make_for(const char *path, uid_t uid, gid_t gid) {
    if (mkdir(path, 0755) != 0) {
        if (errno == EEXIST)
            return OK;
        log_error("cannot make run_dir %s: %m", path);
        return E_SYSTEM;
    }
    /* By its descriptor: what is at the path may be another thing by now. */
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    bool given = fd >= 0 && fchown(fd, uid, gid) == 0;
    if (!given) {
        log_error("cannot give run_dir %s to its user: %m", path);
        (void)rmdir(path);
    }
    if (fd >= 0)
        (void)close(fd);
    return given ? OK : E_SYSTEM;
}

static enum error lock_directory(struct rundir *r, const char *path) {
    if (mkdir(path, 0755) != 0 && errno != EEXIST) {
        log_error(
            "cannot make run_dir %s: %m; make it for this user, or set run_dir, and listen, to "
            "another place",
            path);
        return E_SYSTEM;
    }
    r->lock = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (r->lock < 0) {
        log_error("cannot open run_dir %s: %m", path);
        return E_SYSTEM;
    }
    if (flock(r->lock, LOCK_EX | LOCK_NB) == 0)
        return OK;
    if (errno == EWOULDBLOCK)
        log_error("another larderd is running with run_dir %s; stop it or choose another one",
                  path);
    else
        log_error("cannot lock run_dir %s: %m", path);
    return E_SYSTEM;
}

static enum error write_pid(struct rundir *r, const char *path) {
    if (path[0] == '\0')
        return OK;
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0644);
    bool written = fd >= 0 && dprintf(fd, "%d\n", (int)getpid()) >= 0;
    if (!written)
        log_error("cannot write pid_file %s: %m", path);
    /* An empty one is removed at the end, too; what is no file stays. */
    struct stat st;
    r->pid_written = fd >= 0 && fstat(fd, &st) == 0 && S_ISREG(st.st_mode);
    if (fd >= 0)
        (void)close(fd);
    return written ? OK : E_SYSTEM;
}

enum error rundir_open(struct rundir *r, const struct config *config) {
    enum error e = lock_directory(r, config->run_dir);
    return e == OK ? write_pid(r, config->pid_file) : e;
}

void rundir_close(struct rundir *r, const struct config *config) {
    if (r->pid_written)
        (void)unlink(config->pid_file);
    rundir_forget(r);
}

void rundir_forget(struct rundir *r) {
    if (r->lock > 0)
        (void)close(r->lock);
    *r = (struct rundir){.lock = -1};
}
