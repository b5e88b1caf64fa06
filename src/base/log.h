/*
 * The log: one line per event on standard error or in a file. It never blocks its caller: a line
 * that cannot be written at once is dropped and counted, and the next one that gets through is
 * preceded by "N lines were dropped". Control characters and what is not UTF-8 become \xNN, so
 * nobody can forge a line. Format: `<timestamp> <role>[<pid>] <level>: <message>`, one write(2) of
 * at most 2048 bytes; a longer line ends in "...". Where standard error is systemd's journal
 * (JOURNAL_STREAM), a syslog priority in angle brackets stands in the timestamp's place. For a
 * process with one thread.
 */
#ifndef LARDER_BASE_LOG_H
#define LARDER_BASE_LOG_H

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"

enum log_level { LOG_LEVEL_ERROR, LOG_LEVEL_WARNING, LOG_LEVEL_INFO, LOG_LEVEL_DEBUG };

/* The levels' names by their value, in lines and in the option log_level. Ends with NULL. */
extern const char *const log_level_words[];

/* Opens `path` for appending (created with mode 0640), or takes standard error if it is empty.
 * E_SYSTEM with errno set when it cannot be opened; the log before stays in use then. Usable before
 * any log_open: standard error, level info. */
LARDER_MUST_CHECK enum error log_open(const char *path, enum log_level level);

/* For a process that has a log already: keeps the old one if the new one can't be opened, and says
 * so. Standard error stays as it is: who gave up root's rights can't get an end of the pipe of his
 * own again. */
void log_change(const char *path, enum log_level level);

/* Opens the same path again (logrotate renamed it); keeps the old one if that fails. */
void log_reopen(void);

/* Closes the log file at a process's end. What is said after that goes to standard error. */
void log_close(void);

/* "larderd", "worker 3": up to 31 bytes, copied. A forked child sets its own, and with that counts
 * dropped lines from 0. */
void log_set_role(const char *role);

/* One line each, without a newline at the end. `%m` is errno's text, and errno stays as it is. */
void log_error(const char *format, ...) LARDER_PRINTF(1, 2);
void log_warning(const char *format, ...) LARDER_PRINTF(1, 2);
void log_info(const char *format, ...) LARDER_PRINTF(1, 2);
void log_debug(const char *format, ...) LARDER_PRINTF(1, 2);

/* The same thing over and over is one line a minute. Whether it is time to say it: `*said` is when
 * it was said last (clock_monotonic; 0: never), and becomes `now` if so. */
bool log_is_due(int64_t *said, int64_t now);

/* Lines dropped by this process so far. */
uint64_t log_dropped(void);

#endif
