/* What is said on standard output: JSON, an object a line. */
#ifndef VERIFY_REPORT_H
#define VERIFY_REPORT_H

#include "load.h"

/* Both are false if standard output can't be written. */
bool report_progress(const struct load *l);
bool report_end(const struct load *l);

#endif
