/* Runs every unit suite, or those named as arguments: units [module...]. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "units.h"

static const struct unit {
    const char *name;
    Suite *(*suite)(void);
} units[] = {
#define UNIT(module) {#module, suite_##module},
#include "units.def"
#undef UNIT
};

enum { UNIT_COUNT = sizeof(units) / sizeof(units[0]) };

static int wanted(const char *name, int argc, char **argv) {
    for (int i = 1; i < argc; i++)
        if (strcmp(argv[i], name) == 0)
            return 1;
    return argc < 2;
}

int main(int argc, char **argv) {
    SRunner *runner = NULL;
    for (size_t i = 0; i < UNIT_COUNT; i++) {
        if (!wanted(units[i].name, argc, argv))
            continue;
        if (runner == NULL)
            runner = srunner_create(units[i].suite());
        else
            srunner_add_suite(runner, units[i].suite());
    }
    if (runner == NULL) {
        (void)fprintf(stderr, "units: no such module. There are:");
        for (size_t i = 0; i < UNIT_COUNT; i++)
            (void)fprintf(stderr, " %s", units[i].name);
        (void)fprintf(stderr, "\n");
        return 2;
    }
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
