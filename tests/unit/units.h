/* Every suite, declared from units.def. */
#ifndef LARDER_TESTS_UNITS_H
#define LARDER_TESTS_UNITS_H

#include <check.h>

#define UNIT(module) Suite *suite_##module(void);
#include "units.def"
#undef UNIT

#endif
