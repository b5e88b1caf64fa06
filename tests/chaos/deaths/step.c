/* Death at each instruction: see step.h. */
#include "step.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/wait.h>
#include <unistd.h>

#include "survivor.h"

static _Noreturn void be_traced(enum act act, const struct ground *ground) {
    if (ptrace(PTRACE_TRACEME, 0, NULL, NULL) != 0)
        _exit(errno);
    (void)raise(SIGSTOP);
    act_do(act, ground);
    _exit(0);
}

/* False, and errno, unless it waits at the beginning of its act. */
static bool await_start(pid_t pid) {
    int status = 0;
    if (waitpid(pid, &status, 0) != pid)
        return false;
    if (WIFSTOPPED(status))
        return true;
    errno = WIFEXITED(status) ? WEXITSTATUS(status) : EIO;
    return false;
}

/* One instruction; false if that was the last. */
static bool step(pid_t pid) {
    int status = 0;
    return ptrace(PTRACE_SINGLESTEP, pid, NULL, NULL) == 0 && waitpid(pid, &status, 0) == pid &&
           WIFSTOPPED(status);
}

static void copy(const struct ground *to, const struct ground *from) {
    memcpy(to->segment, from->segment, sizeof(*from->segment) + ROWS * sizeof(struct stats_row));
    for (uint32_t row = 0; row < ROWS; row++)
        atomic_store(&to->done[row], atomic_load(&from->done[row]));
}

bool step_through(enum act act, const struct ground *ground, const struct ground *scratch,
                  struct tally *tally) {
    uint64_t instructions = 0;
    survivor_note(ground, ground->row);
    pid_t pid = fork();
    if (pid == 0)
        be_traced(act, ground);
    if (pid < 0 || !await_start(pid))
        return false;
    while (step(pid)) {
        copy(scratch, ground);
        survivor_look(scratch, scratch->row, true, tally);
        instructions++;
    }
    tally->stepped += instructions;
    if (instructions > tally->instructions[act])
        tally->instructions[act] = instructions;
    return true;
}
