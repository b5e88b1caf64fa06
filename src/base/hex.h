/* Hexadecimal digits, for percent escapes and JSON's \u escapes. */
#ifndef LARDER_BASE_HEX_H
#define LARDER_BASE_HEX_H

#include <stdint.h>

/* 0 to 15, or -1: not a hexadecimal digit. */
static inline int hex_value(char c) {
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    if (c >= 'A' && c <= 'F')
        return c - 'A' + 10;
    return -1;
}

/* The value of the four digits at p, or -1. Reads no further than the first byte that is none. */
static inline int32_t hex_value4(const char *p) {
    int32_t value = 0;
    for (int i = 0; i < 4; i++) {
        int digit = hex_value(p[i]);
        if (digit < 0)
            return -1;
        value = value * 16 + digit;
    }
    return value;
}

#endif
