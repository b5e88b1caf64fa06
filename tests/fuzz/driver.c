/* libFuzzer's entry points; FUZZ_TARGET is the target of this program. */
#include <stddef.h>

#include "base/log.h"
#include "fuzz.h"

#define JOIN(a, b)    a##b
#define CALL(name)    JOIN(fuzz_, name)
#define QUIET_LOG(ok) (void)(ok)

int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerInitialize(int *argc, char ***argv) {
    (void)argc;
    (void)argv;
    QUIET_LOG(log_open("/dev/null", LOG_LEVEL_ERROR));
    return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    CALL(FUZZ_TARGET)((struct slice){(const char *)data, size});
    return 0;
}
