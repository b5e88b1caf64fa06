# Builds what scripts/fuzz.sh runs; run by it, in the top folder, which has been configured:
#
#   make -f tests/fuzz/build.mk KIND=fuzz OUT=DIR TARGETS="key json" fuzzers
#       DIR/<target>, libFuzzer's programs, with AddressSanitizer and UBSan
#   make -f tests/fuzz/build.mk KIND=coverage OUT=DIR replay
#       DIR/replay, which counts the lines that it runs
#
# Not automake's: its objects have other flags, and most people never make them.

CC = clang
LIBS := fcgi hiredis json-c libxxhash nettle
SANITIZE = -fsanitize=address,undefined -fno-sanitize-recover=all -fno-omit-frame-pointer
ifeq ($(KIND),coverage)
INSTRUMENT = -O1 -fprofile-instr-generate -fcoverage-mapping
else
INSTRUMENT = -O2 -fsanitize=fuzzer-no-link $(SANITIZE)
endif
CFLAGS = -std=c17 -g $(INSTRUMENT) -include config.h -DLARDER_SYSCONFDIR='"/etc"' -I. -Isrc \
         -Itests/fuzz $(shell pkg-config --cflags $(LIBS))
LDLIBS = $(shell pkg-config --libs $(LIBS)) -lm

sources := $(shell find src -name '*.c' ! -name larderd.c)
# What targets share.
shared := tests/fuzz/reference.c tests/fuzz/house.c tests/fuzz/answer.c
objects := $(patsubst %.c,$(OUT)/%.o,$(sources) $(shared))
all_targets := $(patsubst tests/fuzz/fuzz_%.c,%,$(wildcard tests/fuzz/fuzz_*.c))

.PHONY: fuzzers replay
.SECONDARY:
fuzzers: $(addprefix $(OUT)/,$(TARGETS))
replay: $(OUT)/replay

$(OUT)/%.o: %.c
	@mkdir -p $(@D)
	$(CC) $(CFLAGS) -MMD -c $< -o $@

# An archive, so that a program has only what it calls: libFuzzer looks at all that a program has.
$(OUT)/larder.a: $(objects)
	rm -f $@ && ar rcs $@ $^

$(OUT)/%: $(OUT)/tests/fuzz/fuzz_%.o tests/fuzz/driver.c $(OUT)/larder.a
	$(CC) $(CFLAGS) -fsanitize=fuzzer -DFUZZ_TARGET=$* tests/fuzz/driver.c $< $(OUT)/larder.a $(LDLIBS) -o $@

$(OUT)/replay: $(OUT)/tests/fuzz/replay.o \
               $(addprefix $(OUT)/tests/fuzz/fuzz_,$(addsuffix .o,$(all_targets))) $(OUT)/larder.a
	$(CC) $(CFLAGS) $^ $(LDLIBS) -o $@

-include $(shell find $(OUT) -name '*.d' 2>/dev/null)
