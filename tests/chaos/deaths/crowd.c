/* Death at any moment: see crowd.h. */
#include "crowd.h"

#include <signal.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "survivor.h"

enum { PUBLISHER = FIRST_ROW, LIFE_NS_SPREAD = 200000, NICE = 19 };

static _Noreturn void live(struct ground ground, uint32_t row, unsigned seed) {
    ground.row = row;
    (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
    /* Who kills is not to wait for those who are to be killed. */
    (void)setpriority(PRIO_PROCESS, 0, NICE);
    for (;;) {
        enum act act = (enum act)((unsigned)rand_r(&seed) % ACTS);
        if (act != ACT_PUBLISH || row == PUBLISHER)
            act_do(act, &ground);
    }
}

static bool be_born(pid_t pids[ROWS], uint32_t row, unsigned seed, const struct ground *ground) {
    pids[row] = fork();
    if (pids[row] == 0)
        live(*ground, row, seed);
    return pids[row] > 0;
}

/* Until it has counted something at least: who has done nothing dies in the middle of nothing. */
static void let_live(const struct ground *ground, uint32_t row, uint64_t born, unsigned *seed) {
    do {
        const struct timespec t = {.tv_nsec = rand_r(seed) % LIFE_NS_SPREAD};
        (void)nanosleep(&t, NULL);
    } while (stats_read(&ground->done[row]) == born);
}

static void bury(pid_t *pid) {
    if (*pid <= 0)
        return;
    (void)kill(*pid, SIGKILL);
    (void)waitpid(*pid, NULL, 0);
    *pid = 0;
}

bool crowd_run(uint64_t deaths, unsigned seed, struct ground *ground, struct tally *tally) {
    pid_t pids[ROWS] = {0};
    uint64_t born[ROWS] = {0};
    bool ok = true;
    for (uint32_t row = FIRST_ROW; ok && row < ROWS; row++) {
        born[row] = stats_read(&ground->done[row]);
        survivor_note(ground, row);
        ok = be_born(pids, row, seed + row, ground);
    }
    for (uint64_t i = 0; ok && i < deaths; i++) {
        uint32_t row = FIRST_ROW + (uint32_t)rand_r(&seed) % (ROWS - FIRST_ROW);
        let_live(ground, row, born[row], &seed);
        bury(&pids[row]);
        tally->at_random++;
        survivor_look(ground, row, row == PUBLISHER, tally);
        survivor_note(ground, row);
        born[row] = stats_read(&ground->done[row]);
        ok = be_born(pids, row, (unsigned)rand_r(&seed), ground);
    }
    for (uint32_t row = FIRST_ROW; row < ROWS; row++)
        bury(&pids[row]);
    return ok;
}
