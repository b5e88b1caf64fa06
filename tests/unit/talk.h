/*
 * A request played through its handler: what it asks Redis, step by step, what Redis says, and the
 * answer. Replies are written in short, an element a line:
 *
 *     $text  a string     +text  a status     -text  an error
 *     :5     an integer   _      nil          [3     an array of the next three
 *
 * \0, \n, \r and \xff in a string are these bytes. In what is expected # stands for a nonce or an
 * entity tag, @ for the SHA-1 of what the last GET or GETRANGE gave, and ~ for a time stamp.
 */
#ifndef LARDER_TESTS_TALK_H
#define LARDER_TESTS_TALK_H

#include "rig.h"

enum { TALK_TURNS_MAX = 8 };

struct talk {
    const char *method;
    const char *target;
    const char *body; /* NULL: none */
    const char *type; /* Content-Type; NULL: none */
    const char *if_match;
    const char *if_none_match;
    const char *prefer;
    struct talk_turn {
        const char *commands; /* as commands_take shows them; NULL: the end */
        const char *replies;
    } turns[TALK_TURNS_MAX];
    const char *answer; /* "200 {...}": status and body */
};

/* Starts the request, on a rig that is connected. */
enum step talk_start(struct rig *rig, const struct talk *talk);

/* The request waits, and Redis got these commands since the last time. */
void talk_expect(struct rig *rig, const char *commands);

/* The same with EVAL for every EVALSHA. */
void talk_expect_whole(struct rig *rig, const char *commands);

/* Redis says this, which completes the call, and the request goes on. */
enum step talk_reply(struct rig *rig, const char *replies);

/* The same, but the request doesn't go on yet. */
void talk_deliver(struct rig *rig, const char *replies);

/* Redis hangs up and stays away. */
void talk_lose_redis(struct rig *rig);

/* The same, and the request, which has waited for it, goes on. */
enum step talk_hang_up(struct rig *rig);

/* How many turns there are. */
size_t talk_turns(const struct talk *talk);

/* Plays the request and its first `turns` turns. */
enum step talk_play(struct rig *rig, const struct talk *talk, size_t turns);

/* The answer is this. */
void talk_check_answer(struct rig *rig, const char *answer);

/* Status and body of the answer, the spliced part in its place. */
const char *talk_answer(struct rig *rig);

/* The connection to Redis is trusted no more: it has been given up. */
bool talk_is_distrusted(const struct rig *rig);

#endif
