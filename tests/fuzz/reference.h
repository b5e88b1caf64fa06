/*
 * What the standards say, written once more and in another way than in src/: slow, plain, and with
 * nothing of it shared, so that a mistake there is not repeated here.
 */
#ifndef LARDER_TESTS_FUZZ_REFERENCE_H
#define LARDER_TESTS_FUZZ_REFERENCE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/slice.h"

/* RFC 3629, 4: the length of the character at the text's front, 0 if there is none. `code` may be
 * NULL. */
size_t reference_utf8(struct slice text, uint32_t *code);

/* The whole text is UTF-8. */
bool reference_is_utf8(struct slice text);

/* UTF-8 without control characters: C0, DEL, C1. */
bool reference_is_clean(struct slice text);

enum reference_json { JSON_VALID, JSON_INVALID, JSON_TOO_DEEP };

/* RFC 8259, strictly; lone surrogates are refused, as is what lies deeper than `depth` brackets.
 * What is met first counts. */
enum reference_json reference_json(struct slice text, unsigned depth);

/* 0 to 15, or -1. */
int reference_hex(char c);

/* One of the characters; NUL is none. */
bool reference_is_one_of(char c, const char *characters);

#endif
