/* Operations on entries, through the handlers of one-entry requests: which commands they take, what
 * is made of each reply, and what is said when a step fails. */
#include "units.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cache/op.h"
#include "support.h"
#include "talk.h"

#define N1 "11111111111111111111111111111111"
#define N2 "22222222222222222222222222222222"

/* The entity tag of the value 1. */
#define ETAG_OF_1 "\"df3ce784d856334d65cd25028f98f158\""

#define LOAD   "GETRANGE k 0 8404992\nPTTL k\n"
#define RELOAD "GET k\nPTTL k\n"
#define MGET   "MGET \\xfftag:a\n"

/* What is dead has its header looked at once more. */
#define DEAD                                                                                       \
    { "GETRANGE k 0 58\n", "$" TAGGED }
#define DEAD2                                                                                      \
    { "GETRANGE k 0 97\n", "$" TAGGED2 }
#define DEAD_IDLE                                                                                  \
    { "GETRANGE k 0 60\n", "$" IDLE }

/* Entries, as they are shown and as replies are written. */
#define TAGGED  "\\0larder1 {\"tags\":{\"a\":\"" N1 "\"}}\\n"
#define TAGGED2 "\\0larder1 {\"tags\":{\"a\":\"" N1 "\",\"b\":\"" N2 "\"}}\\n"
#define IDLE    "\\0larder1 {\"idle\":60,\"id\":\"" N1 "\"}\\n"
#define ENDING                                                                                     \
    "\\0larder1 {\"tags\":{\"a\":\"" N2 "\"},\"idle\":60,\"end\":90000,\"id\":\"" N1 "\"}\\n"
#define RAW "\\0larder1 {\"type\":\"text/plain\"}\\n"

#define ENTRY(members) "200 {\"key\":\"k\"," members ",\"timestamp\":\"~\"}"
#define DELETED        ENTRY("\"deleted\":true")
#define NOT_FOUND                                                                                  \
    "404 {\"type\":\"/errors/key-not-found\",\"title\":\"Not Found\",\"status\":404,"              \
    "\"detail\":\"Key not found\",\"key\":\"k\"}"
#define FAILED                                                                                     \
    "412 {\"type\":\"/errors/precondition-failed\",\"title\":\"Precondition Failed\","             \
    "\"status\":412,\"detail\":\"The entry is not as If-Match or If-None-Match demands; nothing "  \
    "was changed.\",\"key\":\"k\"}"
#define NOT_JSON                                                                                   \
    "409 {\"type\":\"/errors/not-json\",\"title\":\"Conflict\",\"status\":409,\"detail\":\"The "   \
    "entry is not a JSON value, so nothing can be merged into it; PUT replaces "                   \
    "it.\",\"key\":\"k\"}"
#define NOT_AN_INTEGER                                                                             \
    "409 {\"type\":\"/errors/not-an-integer\",\"title\":\"Conflict\",\"status\":409,\"detail\":"   \
    "\"The entry is not a whole number of 64 bits, so it cannot count; it is unchanged.\","        \
    "\"key\":\"k\"}"
#define OVERFLOW                                                                                   \
    "409 {\"type\":\"/errors/counter-overflow\",\"title\":\"Conflict\",\"status\":409,\"detail\":" \
    "\"The sum does not fit into 64 bits; the counter is unchanged.\",\"key\":\"k\"}"

static struct rig rig;

static void setup(void) {
    rig_setup(&rig);
    rig.config.default_ttl = 3600;
    rig.config.max_ttl = 31536000;
    rig.config.max_value = 1 << 20;
    rig_connect(&rig);
}

static void teardown(void) {
    rig_teardown(&rig);
}

static void again(void) {
    teardown();
    setup();
}

static const struct talk talks[] = {
    /* --- reading --- */
    {.method = "GET", .turns = {{LOAD, "$1\n:-1"}}, .answer = ENTRY("\"value\":1,\"ttl\":null")},
    {.method = "GET",
     .turns = {{LOAD, "${\"a\": 1.10}\n:59001"}},
     .answer = ENTRY("\"value\":{\"a\": 1.10},\"ttl\":60")},
    {.method = "GET", .turns = {{LOAD, "$\n:-2"}}, .answer = NOT_FOUND},
    /* It expired between the two. */
    {.method = "GET", .turns = {{LOAD, "$1\n:-2"}}, .answer = NOT_FOUND},
    /* "" is no key, or an empty one. */
    {.method = "GET",
     .turns = {{LOAD, "$\n:-1"}, {RELOAD, "$\n:5000"}},
     .answer = ENTRY("\"value\":\"\",\"ttl\":5")},
    {.method = "GET", .turns = {{LOAD, "$\n:-1"}, {RELOAD, "_\n:-2"}}, .answer = NOT_FOUND},
    {.method = "GET",
     .turns = {{LOAD, "$\n:7"}, {RELOAD, "$1\n:-1"}},
     .answer = ENTRY("\"value\":1,\"ttl\":null")},
    {.method = "GET", .turns = {{LOAD, "$\n:7"}, {RELOAD, "$1\n:-2"}}, .answer = NOT_FOUND},
    /* Tags. */
    {.method = "GET",
     .turns = {{LOAD, "$" TAGGED "1\n:5000"}, {MGET, "[1\n$" N1}},
     .answer = ENTRY("\"value\":1,\"ttl\":5,\"tags\":[\"a\"]")},
    {.method = "GET",
     .turns = {{LOAD, "$" TAGGED "1\n:-1"}, {MGET, "[1\n$" N2}, DEAD},
     .answer = NOT_FOUND},
    {.method = "GET",
     .turns = {{LOAD, "$" TAGGED "1\n:-1"}, {MGET, "[1\n_"}, DEAD},
     .answer = NOT_FOUND},
    {.method = "GET",
     .turns = {{LOAD, "$" TAGGED2 "1\n:-1"}, {"MGET \\xfftag:a \\xfftag:b\n", "[2\n$" N1 "\n$" N2}},
     .answer = ENTRY("\"value\":1,\"ttl\":null,\"tags\":[\"a\",\"b\"]")},
    {.method = "GET",
     .turns = {{LOAD, "$" TAGGED2 "1\n:-1"},
               {"MGET \\xfftag:a \\xfftag:b\n", "[2\n$" N1 "\n$" N1},
               DEAD2},
     .answer = NOT_FOUND},
    {.method = "GET",
     .turns = {{LOAD, "$\n:-1"}, {RELOAD, "$" TAGGED "1\n:-1"}, {MGET, "[1\n$" N1}},
     .answer = ENTRY("\"value\":1,\"ttl\":null,\"tags\":[\"a\"]")},
    /* Replaced since it was read: at no moment was there nothing. */
    {.method = "GET",
     .turns = {{LOAD, "$" TAGGED "1\n:-1"},
               {MGET, "[1\n_"},
               {"GETRANGE k 0 58\n", "$2"},
               {LOAD, "$2\n:-1"}},
     .answer = ENTRY("\"value\":2,\"ttl\":null")},
    {.method = "PATCH",
     .body = "{\"ttl\":60}",
     .turns = {{LOAD, "$" TAGGED "1\n:-1"},
               {MGET, "[1\n_"},
               {"GETRANGE k 0 58\n", "$"},
               {LOAD, "$\n:-2"}},
     .answer = NOT_FOUND},
    /* Idle times: the script knows the end, PTTL what is left until then or the idle time is over.
     */
    {.method = "GET",
     .turns = {{LOAD, "$" IDLE "1\n:31000"},
               {"EVALSHA check 1 k " IDLE " 60000 0\n", "[3\n:-1\n:60000\n:50000"}},
     .answer = ENTRY("\"value\":1,\"ttl\":null,\"idle\":60")},
    {.method = "GET",
     .turns = {{LOAD, "$" ENDING "1\n:31000"},
               {"EVALSHA check 2 k \\xfftag:a " ENDING " 60000 90000 " N2 "\n",
                "[3\n:40000\n:40000\n:50000"}},
     .answer = ENTRY("\"value\":1,\"ttl\":40,\"idle\":60,\"tags\":[\"a\"]")},
    {.method = "GET",
     .turns = {{LOAD, "$" IDLE "1\n:31000"},
               {"EVALSHA check 1 k " IDLE " 60000 0\n", ":0"},
               DEAD_IDLE},
     .answer = NOT_FOUND},
    /* Conditions. */
    {.method = "GET", .if_none_match = ETAG_OF_1, .turns = {{LOAD, "$1\n:-1"}}, .answer = "304 "},
    {.method = "GET",
     .if_none_match = ETAG_OF_1,
     .turns = {{LOAD, "$2\n:-1"}},
     .answer = ENTRY("\"value\":2,\"ttl\":null")},
    {.method = "GET", .if_none_match = "*", .turns = {{LOAD, "$\n:-2"}}, .answer = NOT_FOUND},
    {.method = "GET", .if_match = ETAG_OF_1, .turns = {{LOAD, "$2\n:-1"}}, .answer = FAILED},
    {.method = "GET",
     .if_none_match = "*",
     .turns = {{LOAD, "$" TAGGED "1\n:-1"}, {MGET, "[1\n_"}, DEAD},
     .answer = NOT_FOUND},

    /* --- writing --- */
    {.method = "PUT",
     .body = "{\"value\": [1 ,2] }",
     .turns = {{"SET k [1 ,2] EX 3600\n", "+OK"}},
     .answer = ENTRY("\"value\":[1 ,2],\"ttl\":3600")},
    {.method = "PUT",
     .body = "{\"value\":1,\"tags\":[\"a\"]}",
     .turns = {{"EVALSHA tags 1 \\xfftag:a 3660000 #\n", "[2\n:50000\n$" N1},
               {"SET k " TAGGED "1 EX 3600\n", "+OK"}},
     .answer = ENTRY("\"value\":1,\"ttl\":3600,\"tags\":[\"a\"]")},
    {.method = "PUT",
     .body = "{\"value\":1,\"tags\":[\"a\",\"b\"],\"ttl\":1}",
     .turns = {{"EVALSHA tags 2 \\xfftag:a \\xfftag:b 61000 # #\n", "[3\n:50000\n$" N1 "\n$" N2},
               {"SET k " TAGGED2 "1 EX 1\n", "+OK"}},
     .answer = ENTRY("\"value\":1,\"ttl\":1,\"tags\":[\"a\",\"b\"]")},
    {.method = "PUT",
     .body = "{\"value\":1,\"idle\":20}",
     .turns = {{"EVALSHA tags 0 3660000\n", "[1\n:50000"},
               {"SET k \\0larder1 {\"idle\":20,\"end\":3650000,\"id\":\"#\"}\\n1 EX 20\n", "+OK"}},
     .answer = ENTRY("\"value\":1,\"ttl\":3600,\"idle\":20")},
    {.method = "PUT",
     .body = "{\"value\":1,\"idle\":20,\"ttl\":10}",
     .turns = {{"EVALSHA tags 0 70000\n", "[1\n:50000"},
               {"SET k \\0larder1 {\"idle\":20,\"end\":60000,\"id\":\"#\"}\\n1 EX 10\n", "+OK"}},
     .answer = ENTRY("\"value\":1,\"ttl\":10,\"idle\":20")},
    {.method = "PUT",
     .body = "{\"value\":1}",
     .prefer = "return=minimal",
     .turns = {{"SET k 1 EX 3600\n", "+OK"}},
     .answer = "204 "},
    /* Create only. */
    {.method = "PUT",
     .body = "{\"value\":1}",
     .if_none_match = "*",
     .turns = {{"SET k 1 EX 3600 NX\n", "+OK"}},
     .answer = ENTRY("\"value\":1,\"ttl\":3600")},
    {.method = "PUT",
     .body = "{\"value\":1}",
     .if_none_match = "*",
     .turns = {{"SET k 1 EX 3600 NX\n", "_"}, {LOAD, "$2\n:-1"}},
     .answer = FAILED},
    {.method = "PUT",
     .body = "{\"value\":1}",
     .if_none_match = "*",
     .turns = {{"SET k 1 EX 3600 NX\n", "_"}, {LOAD, "$" TAGGED "2\n:-1"}, {MGET, "[1\n$" N1}},
     .answer = FAILED},
    {.method = "PUT",
     .body = "{\"value\":1}",
     .if_none_match = "*",
     .turns = {{"SET k 1 EX 3600 NX\n", "_"},
               {LOAD, "$" TAGGED "2\n:-1"},
               {MGET, "[1\n$" N2},
               {"EVALSHA guard 1 k @ SET 3600000 KEEPTTL 1\n", ":1"}},
     .answer = ENTRY("\"value\":1,\"ttl\":3600")},
    {.method = "PUT",
     .body = "{\"value\":1}",
     .if_none_match = "*",
     .turns = {{"SET k 1 EX 3600 NX\n", "_"},
               {LOAD, "$\n:-2"},
               {"EVALSHA guard 1 k  SET 3600000 KEEPTTL 1\n", ":1"}},
     .answer = ENTRY("\"value\":1,\"ttl\":3600")},
    {.method = "PUT",
     .body = "{\"value\":1,\"tags\":[\"a\"]}",
     .if_none_match = "*",
     .turns = {{"EVALSHA tags 1 \\xfftag:a 3660000 #\n", "[2\n:50000\n$" N1},
               {"SET k " TAGGED "1 EX 3600 NX\n", "+OK"}},
     .answer = ENTRY("\"value\":1,\"ttl\":3600,\"tags\":[\"a\"]")},
    /* Compare and swap. */
    {.method = "PUT",
     .body = "{\"value\":2}",
     .if_match = ETAG_OF_1,
     .turns = {{LOAD, "$1\n:-1"}, {"EVALSHA guard 1 k @ SET 3600000 KEEPTTL 2\n", ":1"}},
     .answer = ENTRY("\"value\":2,\"ttl\":3600")},
    {.method = "PUT",
     .body = "{\"value\":2}",
     .if_match = ETAG_OF_1,
     .turns = {{LOAD, "$2\n:-1"}},
     .answer = FAILED},
    {.method = "PUT",
     .body = "{\"value\":2}",
     .if_match = "*",
     .turns = {{LOAD, "$\n:-2"}},
     .answer = FAILED},
    {.method = "PUT",
     .body = "{\"value\":2}",
     .if_none_match = ETAG_OF_1,
     .turns = {{LOAD, "$1\n:-1"}},
     .answer = FAILED},
    {.method = "PUT",
     .body = "{\"value\":2}",
     .if_match = "*",
     .if_none_match = "*",
     .turns = {{LOAD, "$1\n:-1"}},
     .answer = FAILED},
    {.method = "PUT",
     .body = "{\"value\":2}",
     .if_match = "*",
     .turns = {{LOAD, "$" TAGGED "1\n:-1"}, {MGET, "[1\n$" N2}, DEAD},
     .answer = FAILED},
    {.method = "PUT",
     .body = "{\"value\":2}",
     .if_match = "*",
     .turns = {{LOAD, "$" TAGGED "1\n:-1"},
               {MGET, "[1\n$" N1},
               {"EVALSHA guard 2 k \\xfftag:a @ SET 3600000 KEEPTTL 2 " N1 "\n", ":1"}},
     .answer = ENTRY("\"value\":2,\"ttl\":3600")},
    {.method = "PUT",
     .body = "{\"value\":2,\"tags\":[\"a\"]}",
     .if_match = "*",
     .turns = {{"EVALSHA tags 1 \\xfftag:a 3660000 #\n", "[2\n:50000\n$" N1},
               {LOAD, "$1\n:-1"},
               {"EVALSHA guard 1 k @ SET 3600000 KEEPTTL " TAGGED "2\n", ":1"}},
     .answer = ENTRY("\"value\":2,\"ttl\":3600,\"tags\":[\"a\"]")},
    /* It changed in between: read and judged anew. */
    {.method = "PUT",
     .body = "{\"value\":2}",
     .if_match = ETAG_OF_1,
     .turns = {{LOAD, "$1\n:-1"},
               {"EVALSHA guard 1 k @ SET 3600000 KEEPTTL 2\n", ":0"},
               {LOAD, "$2\n:-1"}},
     .answer = FAILED},
    {.method = "PUT",
     .body = "{\"value\":2}",
     .if_match = "*",
     .turns = {{LOAD, "$1\n:-1"},
               {"EVALSHA guard 1 k @ SET 3600000 KEEPTTL 2\n", ":0"},
               {LOAD, "$" TAGGED "3\n:-1"},
               {MGET, "[1\n$" N1},
               {"EVALSHA guard 2 k \\xfftag:a @ SET 3600000 KEEPTTL 2 " N1 "\n", ":1"}},
     .answer = ENTRY("\"value\":2,\"ttl\":3600")},

    /* --- removing --- */
    {.method = "DELETE", .turns = {{"EVALSHA remove 1 k\n", ":1"}}, .answer = DELETED},
    {.method = "DELETE", .turns = {{"EVALSHA remove 1 k\n", ":0"}}, .answer = NOT_FOUND},
    {.method = "DELETE", .turns = {{"EVALSHA remove 1 k\n", "$" RAW}}, .answer = DELETED},
    {.method = "DELETE",
     .turns = {{"EVALSHA remove 1 k\n", "$" TAGGED}, {MGET, "[1\n$" N1}},
     .answer = DELETED},
    {.method = "DELETE",
     .turns = {{"EVALSHA remove 1 k\n", "$" TAGGED}, {MGET, "[1\n$" N2}},
     .answer = NOT_FOUND},
    {.method = "DELETE",
     .turns = {{"EVALSHA remove 1 k\n", "$" TAGGED}, {MGET, "[1\n_"}},
     .answer = NOT_FOUND},
    {.method = "DELETE",
     .if_match = ETAG_OF_1,
     .turns = {{LOAD, "$1\n:-1"}, {"EVALSHA guard 1 k @ UNLINK  KEEPTTL \n", ":1"}},
     .answer = DELETED},
    {.method = "DELETE", .if_match = ETAG_OF_1, .turns = {{LOAD, "$2\n:-1"}}, .answer = FAILED},
    {.method = "DELETE",
     .if_none_match = ETAG_OF_1,
     .turns = {{LOAD, "$\n:-2"}},
     .answer = NOT_FOUND},
    {.method = "DELETE",
     .if_match = "*",
     .turns = {{LOAD, "$" TAGGED "1\n:-1"},
               {MGET, "[1\n$" N1},
               {"EVALSHA guard 2 k \\xfftag:a @ UNLINK  KEEPTTL  " N1 "\n", ":1"}},
     .answer = DELETED},

    /* --- patching --- */
    {.method = "PATCH",
     .body = "{\"ttl\":60}",
     .turns = {{LOAD, "$1\n:-1"}, {"EVALSHA guard 1 k @ PEXPIRE 60000 120000 \n", ":1"}},
     .answer = ENTRY("\"value\":1,\"ttl\":60")},
    {.method = "PATCH",
     .body = "{\"ttl\":null}",
     .turns = {{LOAD, "$1\n:5000"}, {"EVALSHA guard 1 k @ PERSIST   \n", ":1"}},
     .answer = ENTRY("\"value\":1,\"ttl\":null")},
    {.method = "PATCH",
     .body = "{\"value\":{\"b\":2}}",
     .turns = {{LOAD, "${\"a\": 1}\n:5000"},
               {"EVALSHA guard 1 k @ SET KEEPTTL KEEPTTL {\"a\": 1,\"b\":2}\n", ":1"}},
     .answer = ENTRY("\"value\":{\"a\": 1,\"b\":2},\"ttl\":5")},
    {.method = "PATCH",
     .body = "{\"value\":{\"b\":2},\"ttl\":60}",
     .turns = {{LOAD, "${}\n:5000"}, {"EVALSHA guard 1 k @ SET 60000 120000 {\"b\":2}\n", ":1"}},
     .answer = ENTRY("\"value\":{\"b\":2},\"ttl\":60")},
    {.method = "PATCH",
     .body = "{}",
     .turns = {{LOAD, "$1\n:5000"}},
     .answer = ENTRY("\"value\":1,\"ttl\":5")},
    {.method = "PATCH", .body = "{\"ttl\":60}", .turns = {{LOAD, "$\n:-2"}}, .answer = NOT_FOUND},
    {.method = "PATCH",
     .body = "{\"value\":{}}",
     .turns = {{LOAD, "$not JSON\n:-1"}},
     .answer = NOT_JSON},
    {.method = "PATCH",
     .body = "{\"value\":{}}",
     .turns = {{LOAD, "$" RAW "{}\n:-1"}},
     .answer = NOT_JSON},
    {.method = "PATCH",
     .body = "{\"ttl\":60}",
     .turns = {{LOAD, "$" RAW "{}\n:-1"}, {"EVALSHA guard 1 k @ PEXPIRE 60000 120000 \n", ":1"}},
     .answer = ENTRY("\"value\":\"{}\",\"content_type\":\"text/plain\",\"encoding\":\"utf-8\","
                     "\"ttl\":60")},
    {.method = "PATCH",
     .body = "{\"value\":[]}",
     .if_match = ETAG_OF_1,
     .turns = {{LOAD, "$2\n:-1"}},
     .answer = FAILED},
    {.method = "PATCH",
     .body = "{\"value\":2}",
     .turns = {{LOAD, "$1\n:-1"},
               {"EVALSHA guard 1 k @ SET KEEPTTL KEEPTTL 2\n", ":0"},
               {LOAD, "$3\n:7000"},
               {"EVALSHA guard 1 k @ SET KEEPTTL KEEPTTL 2\n", ":1"}},
     .answer = ENTRY("\"value\":2,\"ttl\":7")},
    {.method = "PATCH",
     .body = "{\"value\":2,\"ttl\":60}",
     .turns = {{LOAD, "$" TAGGED "1\n:-1"},
               {MGET, "[1\n$" N1},
               {"EVALSHA guard 2 k \\xfftag:a @ SET 60000 120000 " TAGGED "2 " N1 "\n", ":1"}},
     .answer = ENTRY("\"value\":2,\"ttl\":60,\"tags\":[\"a\"]")},
    {.method = "PATCH",
     .body = "{\"ttl\":60}",
     .turns = {{LOAD, "$" TAGGED "1\n:-1"}, {MGET, "[1\n_"}, DEAD},
     .answer = NOT_FOUND},
    /* An idle entry has its end, and an id for each writing, in its header. */
    {.method = "PATCH",
     .body = "{\"ttl\":100}",
     .turns = {{LOAD, "$" IDLE "1\n:31000"},
               {"EVALSHA check 1 k " IDLE " 0 0\n", "[3\n:-1\n:-1\n:50000"},
               {"EVALSHA guard 1 k @ SET 60000 160000 "
                "\\0larder1 {\"idle\":60,\"end\":150000,\"id\":\"#\"}\\n1\n",
                ":1"}},
     .answer = ENTRY("\"value\":1,\"ttl\":100,\"idle\":60")},
    {.method = "PATCH",
     .body = "{\"ttl\":null}",
     .turns = {{LOAD, "$" ENDING "1\n:31000"},
               {"EVALSHA check 2 k \\xfftag:a " ENDING " 0 90000 " N2 "\n",
                "[3\n:40000\n:-1\n:50000"},
               {"EVALSHA guard 2 k \\xfftag:a @ SET 60000  \\0larder1 {\"tags\":{\"a\":\"" N2
                "\"},\"idle\":60,\"id\":\"#\"}\\n1 " N2 "\n",
                ":1"}},
     .answer = ENTRY("\"value\":1,\"ttl\":null,\"idle\":60,\"tags\":[\"a\"]")},
    {.method = "PATCH",
     .body = "{\"value\":2}",
     .turns = {{LOAD, "$" ENDING "1\n:31000"},
               {"EVALSHA check 2 k \\xfftag:a " ENDING " 0 90000 " N2 "\n",
                "[3\n:40000\n:-1\n:50000"},
               {"EVALSHA guard 2 k \\xfftag:a @ SET 40000 KEEPTTL \\0larder1 {\"tags\":{\"a\":\"" N2
                "\"},\"idle\":60,\"end\":90000,\"id\":\"#\"}\\n2 " N2 "\n",
                ":1"}},
     .answer = ENTRY("\"value\":2,\"ttl\":40,\"idle\":60,\"tags\":[\"a\"]")},

    /* Another program's text under the name of a tag is no nonce. */
    {.method = "PUT",
     .body = "{\"value\":1,\"tags\":[\"a\"]}",
     .turns = {{"EVALSHA tags 1 \\xfftag:a 3660000 #\n", "[2\n:5\n$short"}},
     .answer =
         "409 {\"type\":\"/errors/wrong-type\",\"title\":\"Conflict\",\"status\":409,"
         "\"detail\":\"Another program keeps something that is not a string under this key in "
         "Redis, or something of its own under the name of a tag.\",\"key\":\"k\"}"},

    /* --- counting --- */
    {.method = "POST",
     .turns = {{"EVALSHA count 1 k 1 1 3600000\n", "[2\n$5\n:-1"}},
     .answer = "200 {\"key\":\"k\",\"value\":5,\"ttl\":null}"},
    {.method = "POST",
     .body = "{\"by\":-3,\"initial\":10,\"ttl\":1}",
     .turns = {{"EVALSHA count 1 k -3 7 1000\n", "[2\n$7\n:1000"}},
     .answer = "200 {\"key\":\"k\",\"value\":7,\"ttl\":1}"},
    {.method = "POST",
     .body = "{\"by\":9223372036854775807}",
     .turns = {{"EVALSHA count 1 k 9223372036854775807 9223372036854775807 3600000\n", ":2"}},
     .answer = OVERFLOW},
    {.method = "POST",
     .turns = {{"EVALSHA count 1 k 1 1 3600000\n", ":1"}},
     .answer = NOT_AN_INTEGER},
    {.method = "POST",
     .prefer = "return=minimal",
     .turns = {{"EVALSHA count 1 k 1 1 3600000\n", "[2\n$5\n:-1"}},
     .answer = "204 "},
    /* One with a header is not for a script to read. */
    {.method = "POST",
     .turns = {{"EVALSHA count 1 k 1 1 3600000\n", ":0"},
               {LOAD, "$" TAGGED "5\n:7000"},
               {MGET, "[1\n$" N1},
               {"EVALSHA guard 2 k \\xfftag:a @ SET KEEPTTL KEEPTTL " TAGGED "6 " N1 "\n", ":1"}},
     .answer = "200 {\"key\":\"k\",\"value\":6,\"ttl\":7,\"tags\":[\"a\"]}"},
    {.method = "POST",
     .turns = {{"EVALSHA count 1 k 1 1 3600000\n", ":0"},
               {LOAD, "$" TAGGED "5\n:7000"},
               {MGET, "[1\n$" N2},
               {"EVALSHA guard 1 k @ SET 3600000 KEEPTTL 1\n", ":1"}},
     .answer = "200 {\"key\":\"k\",\"value\":1,\"ttl\":3600}"},
    {.method = "POST",
     .turns = {{"EVALSHA count 1 k 1 1 3600000\n", ":0"}, {LOAD, "$" RAW "5\n:-1"}},
     .answer = NOT_AN_INTEGER},
    {.method = "POST",
     .turns = {{"EVALSHA count 1 k 1 1 3600000\n", ":0"},
               {LOAD, "$" TAGGED "9223372036854775807\n:-1"},
               {MGET, "[1\n$" N1}},
     .answer = OVERFLOW},
    {.method = "POST",
     .turns = {{"EVALSHA count 1 k 1 1 3600000\n", ":0"},
               {LOAD, "$" TAGGED "05\n:-1"},
               {MGET, "[1\n$" N1}},
     .answer = NOT_AN_INTEGER},
    {.method = "POST",
     .turns = {{"EVALSHA count 1 k 1 1 3600000\n", ":0"},
               {LOAD, "$\n:-2"},
               {"EVALSHA guard 1 k  SET 3600000 KEEPTTL 1\n", ":1"}},
     .answer = "200 {\"key\":\"k\",\"value\":1,\"ttl\":3600}"},
    {.method = "POST",
     .if_match = ETAG_OF_1,
     .turns = {{LOAD, "$1\n:-1"}, {"EVALSHA guard 1 k @ SET KEEPTTL KEEPTTL 2\n", ":1"}},
     .answer = "200 {\"key\":\"k\",\"value\":2,\"ttl\":null}"},
    {.method = "POST", .if_match = "*", .turns = {{LOAD, "$\n:-2"}}, .answer = FAILED},
};

/* The table leaves out what is the same everywhere. */
static struct talk talk_of(int i) {
    struct talk talk = talks[i];
    talk.target = strcmp(talk.method, "POST") == 0 ? "/counters/k" : "/cache/k";
    return talk;
}

static void play(const struct talk *talk, size_t turns) {
    enum step step = talk_play(&rig, talk, turns);
    ck_assert_msg(step == STEP_WAIT, "%s", talk_answer(&rig));
}

/* --- what goes well -------------------------------------------------------------------------- */

START_TEST(operations_take_their_steps) {
    struct talk talk = talk_of(_i);
    ck_assert_int_eq(talk_play(&rig, &talk, talk_turns(&talk)), STEP_ANSWER);
    talk_check_answer(&rig, talk.answer);
    ck_assert(!talk_is_distrusted(&rig));
    ck_assert_str_eq(rig_commands(&rig), "");
}
END_TEST

static bool is_script(const char *commands) {
    return strncmp(commands, "EVALSHA ", 8) == 0;
}

/* Whichever step finds out that Redis has lost the scripts: it is done again, and those after it
 * bring their text at once. */
START_TEST(lost_scripts_are_sent_as_a_whole) {
    struct talk talk = talk_of(_i);
    for (size_t lost = 0; lost < talk_turns(&talk); lost++) {
        if (!is_script(talk.turns[lost].commands))
            continue;
        again();
        play(&talk, lost);
        talk_expect(&rig, talk.turns[lost].commands);
        enum step step = talk_reply(&rig, "-NOSCRIPT No matching script.");
        for (size_t i = lost; i < talk_turns(&talk); i++) {
            ck_assert_int_eq(step, STEP_WAIT);
            talk_expect_whole(&rig, talk.turns[i].commands);
            step = talk_reply(&rig, talk.turns[i].replies);
        }
        ck_assert_int_eq(step, STEP_ANSWER);
        talk_check_answer(&rig, talk.answer);
    }
}
END_TEST

/* --- what fails ------------------------------------------------------------------------------ */

/* Whether what was asked for may have been done when a turn of this kind has gone out. */
static bool may_have_written(const struct talk *talk, size_t turn) {
    const char *commands = talk->turns[turn].commands;
    bool removed = turn > 0 && strncmp(talk->turns[turn - 1].commands, "EVALSHA remove", 14) == 0;
    return removed || strncmp(commands, "SET ", 4) == 0 ||
           strncmp(commands, "EVALSHA guard", 13) == 0 ||
           strncmp(commands, "EVALSHA remove", 14) == 0 ||
           strncmp(commands, "EVALSHA count", 13) == 0;
}

/* What was asked for has been done by a turn before this one. */
static bool has_written(const struct talk *talk, size_t turn) {
    return turn > 0 && strncmp(talk->turns[turn - 1].commands, "EVALSHA remove", 14) == 0;
}

/* The answer is a problem of this kind that says so much of the outcome. */
static void check_problem(const struct talk *talk, enum error e, bool maybe_written) {
    char type[80];
    const char *answer = talk_answer(&rig);
    (void)snprintf(type, sizeof(type), "%d {\"type\":\"/errors/%s\",", error_info(e)->status,
                   error_info(e)->slug);
    ck_assert_msg(strncmp(answer, type, strlen(type)) == 0, "%s instead of %s", answer, type);
    const char *outcome = strstr(answer, "\"outcome\":");
    if (strcmp(talk->method, "GET") == 0 || error_info(e)->status < 503)
        ck_assert_ptr_null(outcome);
    else
        ck_assert_msg(outcome != NULL &&
                          strncmp(outcome + 10, maybe_written ? "\"unknown\"" : "\"not-applied\"",
                                  maybe_written ? 9 : 13) == 0,
                      "%s", answer);
}

START_TEST(redis_may_leave_at_every_step) {
    struct talk talk = talk_of(_i);
    for (size_t i = 0; i < talk_turns(&talk); i++) {
        again();
        play(&talk, i);
        talk_expect(&rig, talk.turns[i].commands);
        ck_assert_int_eq(talk_hang_up(&rig), STEP_ANSWER);
        check_problem(&talk, E_BACKEND_UNAVAILABLE, may_have_written(&talk, i));
    }
}
END_TEST

/* No byte of the step has left: only what a step before it did is done. */
START_TEST(redis_may_leave_before_every_step) {
    struct talk talk = talk_of(_i);
    for (size_t i = 0; i < talk_turns(&talk); i++) {
        again();
        play(&talk, i);
        ck_assert_int_eq(talk_hang_up(&rig), STEP_ANSWER);
        check_problem(&talk, E_BACKEND_UNAVAILABLE, has_written(&talk, i));
    }
}
END_TEST

START_TEST(redis_may_be_away_between_two_steps) {
    struct talk talk = talk_of(_i);
    for (size_t i = 1; i < talk_turns(&talk); i++) {
        again();
        play(&talk, i - 1);
        talk_expect(&rig, talk.turns[i - 1].commands);
        talk_deliver(&rig, talk.turns[i - 1].replies);
        talk_lose_redis(&rig);
        ck_assert_int_eq(request_continue(&rig.request), STEP_ANSWER);
        check_problem(&talk, E_BACKEND_UNAVAILABLE, has_written(&talk, i));
    }
}
END_TEST

/* Gives the error to each command of the turn. */
static void check_refused(const struct talk *talk, size_t turn, const char *reply, enum error e,
                          bool maybe_written) {
    struct buf replies = {0};
    again();
    play(talk, turn);
    const char *end = strchr(talk->turns[turn].commands, '\n');
    for (; end != NULL; end = strchr(end + 1, '\n'))
        buf_printf(&replies, "%s\n", reply);
    buf_put_char(&replies, '\0');
    talk_expect(&rig, talk->turns[turn].commands);
    ck_assert_int_eq(talk_reply(&rig, replies.p), STEP_ANSWER);
    check_problem(talk, e, maybe_written);
    ck_assert(!talk_is_distrusted(&rig));
    buf_fini(&replies);
}

START_TEST(redis_may_refuse_every_step) {
    static const struct {
        const char *reply;
        enum error e;
    } errors[] = {
        {"-BUSY Redis is busy running a script.", E_BACKEND_BUSY},
        {"-OOM command not allowed when used memory > 'maxmemory'.", E_BACKEND_FULL},
        {"-READONLY You can't write against a read only replica.", E_BACKEND_READONLY},
        {"-WRONGTYPE Operation against a key holding the wrong kind of value", E_WRONG_TYPE},
        {"-NOPERM this user has no permissions", E_BACKEND_REFUSED},
    };
    struct talk talk = talk_of(_i);
    for (size_t i = 0; i < talk_turns(&talk); i++) {
        for (size_t j = 0; j < COUNT_OF(errors); j++)
            check_refused(&talk, i, errors[j].reply, errors[j].e, has_written(&talk, i));
        /* Nobody knows what an unknown error says of what was done before it. */
        check_refused(&talk, i, "-ERR strange", E_BACKEND_ERROR, may_have_written(&talk, i));
    }
}
END_TEST

/* --- what makes no sense --------------------------------------------------------------------- */

#define GUARDED LOAD, "$1\n:-1"

static const struct talk nonsense[] = {
    {.method = "GET", .turns = {{LOAD, "+1\n:-1"}}},
    {.method = "GET", .turns = {{LOAD, "_\n:-2"}}},
    {.method = "GET", .turns = {{LOAD, ":1\n:-1"}}},
    {.method = "GET", .turns = {{LOAD, "[1\n$1\n:-1"}}},
    {.method = "GET", .turns = {{LOAD, "[0\n:-1"}}},
    {.method = "GET", .turns = {{LOAD, "$1\n$-1"}}},
    {.method = "GET", .turns = {{LOAD, "$1\n_"}}},
    {.method = "GET", .turns = {{LOAD, "$1\n+OK"}}},
    {.method = "GET", .turns = {{LOAD, "$1\n[0"}}},
    {.method = "GET", .turns = {{LOAD, "$\n:-1"}, {RELOAD, ":1\n:-1"}}},
    {.method = "GET", .turns = {{LOAD, "$\n:-1"}, {RELOAD, "$1\n_"}}},
    {.method = "GET", .turns = {{LOAD, "$" TAGGED "1\n:-1"}, {MGET, "$" N1}}},
    {.method = "GET", .turns = {{LOAD, "$" TAGGED "1\n:-1"}, {MGET, "_"}}},
    {.method = "GET", .turns = {{LOAD, "$" TAGGED "1\n:-1"}, {MGET, "[0"}}},
    {.method = "GET", .turns = {{LOAD, "$" TAGGED "1\n:-1"}, {MGET, "[2\n$" N1 "\n$" N1}}},
    {.method = "GET",
     .turns = {{LOAD, "$" IDLE "1\n:-1"}, {"EVALSHA check 1 k " IDLE " 60000 0\n", ":1"}}},
    {.method = "GET",
     .turns = {{LOAD, "$" IDLE "1\n:-1"}, {"EVALSHA check 1 k " IDLE " 60000 0\n", "_"}}},
    {.method = "GET",
     .turns = {{LOAD, "$" IDLE "1\n:-1"}, {"EVALSHA check 1 k " IDLE " 60000 0\n", "[0"}}},
    {.method = "GET",
     .turns = {{LOAD, "$" IDLE "1\n:-1"}, {"EVALSHA check 1 k " IDLE " 60000 0\n", "[2\n:1\n:1"}}},
    {.method = "GET",
     .turns = {{LOAD, "$" IDLE "1\n:-1"},
               {"EVALSHA check 1 k " IDLE " 60000 0\n", "[4\n:1\n:1\n:1\n:1"}}},
    {.method = "GET",
     .turns = {{LOAD, "$" IDLE "1\n:-1"},
               {"EVALSHA check 1 k " IDLE " 60000 0\n", "[3\n$1\n:1\n:1"}}},
    {.method = "GET",
     .turns = {{LOAD, "$" IDLE "1\n:-1"},
               {"EVALSHA check 1 k " IDLE " 60000 0\n", "[3\n:1\n_\n:1"}}},
    {.method = "GET",
     .turns = {{LOAD, "$" IDLE "1\n:-1"},
               {"EVALSHA check 1 k " IDLE " 60000 0\n", "[3\n:1\n:1\n$1"}}},
    {.method = "PUT", .body = "{\"value\":1}", .turns = {{"SET k 1 EX 3600\n", "_"}}},
    {.method = "PUT", .body = "{\"value\":1}", .turns = {{"SET k 1 EX 3600\n", ":1"}}},
    {.method = "PUT", .body = "{\"value\":1}", .turns = {{"SET k 1 EX 3600\n", "$OK"}}},
    {.method = "PUT", .body = "{\"value\":1}", .turns = {{"SET k 1 EX 3600\n", "+QUEUED"}}},
    {.method = "PUT", .body = "{\"value\":1}", .turns = {{"SET k 1 EX 3600\n", "+"}}},
    {.method = "GET", .turns = {{LOAD, "$1\n:-3"}}},
    {.method = "PUT",
     .body = "{\"value\":1}",
     .if_none_match = "*",
     .turns = {{"SET k 1 EX 3600 NX\n", ":0"}}},
    {.method = "PUT",
     .body = "{\"value\":1,\"tags\":[\"a\"]}",
     .turns = {{"EVALSHA tags 1 \\xfftag:a 3660000 #\n", ":5"}}},
    {.method = "PUT",
     .body = "{\"value\":1,\"tags\":[\"a\"]}",
     .turns = {{"EVALSHA tags 1 \\xfftag:a 3660000 #\n", "[0"}}},
    {.method = "PUT",
     .body = "{\"value\":1,\"tags\":[\"a\"]}",
     .turns = {{"EVALSHA tags 1 \\xfftag:a 3660000 #\n", "[1\n:5"}}},
    {.method = "PUT",
     .body = "{\"value\":1,\"tags\":[\"a\"]}",
     .turns = {{"EVALSHA tags 1 \\xfftag:a 3660000 #\n", "[3\n:5\n$" N1 "\n$" N1}}},
    {.method = "PUT",
     .body = "{\"value\":1,\"tags\":[\"a\"]}",
     .turns = {{"EVALSHA tags 1 \\xfftag:a 3660000 #\n", "[2\n$5\n$" N1}}},
    {.method = "PUT",
     .body = "{\"value\":1,\"tags\":[\"a\"]}",
     .turns = {{"EVALSHA tags 1 \\xfftag:a 3660000 #\n", "[2\n:5\n:1"}}},
    {.method = "PUT",
     .body = "{\"value\":1,\"tags\":[\"a\"]}",
     .turns = {{"EVALSHA tags 1 \\xfftag:a 3660000 #\n", "[2\n:5\n_"}}},
    {.method = "PUT",
     .body = "{\"value\":2}",
     .if_match = "*",
     .turns = {{GUARDED}, {"EVALSHA guard 1 k @ SET 3600000 KEEPTTL 2\n", "+OK"}}},
    {.method = "PUT",
     .body = "{\"value\":2}",
     .if_match = "*",
     .turns = {{GUARDED}, {"EVALSHA guard 1 k @ SET 3600000 KEEPTTL 2\n", "_"}}},
    {.method = "PUT",
     .body = "{\"value\":2}",
     .if_match = "*",
     .turns = {{GUARDED}, {"EVALSHA guard 1 k @ SET 3600000 KEEPTTL 2\n", "[1\n:1"}}},
    {.method = "PUT",
     .body = "{\"value\":2}",
     .if_match = "*",
     .turns = {{GUARDED}, {"EVALSHA guard 1 k @ SET 3600000 KEEPTTL 2\n", ":2"}}},
    {.method = "DELETE", .turns = {{"EVALSHA remove 1 k\n", "+OK"}}},
    {.method = "DELETE", .turns = {{"EVALSHA remove 1 k\n", "_"}}},
    {.method = "DELETE", .turns = {{"EVALSHA remove 1 k\n", "[0"}}},
    {.method = "DELETE", .turns = {{"EVALSHA remove 1 k\n", ":2"}}},
    {.method = "DELETE", .turns = {{"EVALSHA remove 1 k\n", ":-1"}}},
    {.method = "DELETE", .turns = {{"EVALSHA remove 1 k\n", "$no header"}}},
    {.method = "DELETE", .turns = {{"EVALSHA remove 1 k\n", "$"}}},
    {.method = "DELETE", .turns = {{"EVALSHA remove 1 k\n", "$" TAGGED}, {MGET, ":1"}}},
    {.method = "DELETE", .turns = {{"EVALSHA remove 1 k\n", "$" TAGGED}, {MGET, "[0"}}},
    {.method = "POST", .turns = {{"EVALSHA count 1 k 1 1 3600000\n", "+OK"}}},
    {.method = "POST", .turns = {{"EVALSHA count 1 k 1 1 3600000\n", "$5"}}},
    {.method = "POST", .turns = {{"EVALSHA count 1 k 1 1 3600000\n", ":3"}}},
    {.method = "POST", .turns = {{"EVALSHA count 1 k 1 1 3600000\n", ":-1"}}},
    {.method = "POST", .turns = {{"EVALSHA count 1 k 1 1 3600000\n", "[0"}}},
    {.method = "POST", .turns = {{"EVALSHA count 1 k 1 1 3600000\n", "[1\n$5"}}},
    {.method = "POST", .turns = {{"EVALSHA count 1 k 1 1 3600000\n", "[2\n:5\n:-1"}}},
    {.method = "POST", .turns = {{"EVALSHA count 1 k 1 1 3600000\n", "[2\n$5\n$-1"}}},
    {.method = "POST", .turns = {{"EVALSHA count 1 k 1 1 3600000\n", "[3\n$5\n:-1\n:0"}}},
};

START_TEST(reply_that_makes_no_sense_ends_the_trust) {
    struct talk talk = nonsense[_i];
    size_t turns = talk_turns(&talk);
    talk.target = strcmp(talk.method, "POST") == 0 ? "/counters/k" : "/cache/k";
    ck_assert_msg(talk_play(&rig, &talk, turns) == STEP_ANSWER, "it waits");
    check_problem(&talk, E_BACKEND_ERROR, may_have_written(&talk, turns - 1));
    ck_assert(talk_is_distrusted(&rig));
}
END_TEST

/* Whoever else changes the entry is waited for without a word to Redis. */
START_TEST(turn_is_waited_for_in_silence) {
    struct talk talk = {
        .method = "PUT", .target = "/cache/k", .body = "{\"value\":2}", .if_match = "*"};
    ck_assert(turns_take(&rig.service.turns, SLICE("k"), &talk, rig.service.now));
    ck_assert_int_eq(talk_start(&rig, &talk), STEP_WAIT);
    talk_expect(&rig, LOAD);
    ck_assert_int_eq(talk_reply(&rig, "$1\n:-1"), STEP_WAIT);
    talk_expect(&rig, "EVALSHA guard 1 k @ SET 3600000 KEEPTTL 2\n");
    ck_assert_int_eq(talk_reply(&rig, ":0"), STEP_HOLD);
    ck_assert_int_eq(request_continue(&rig.request), STEP_HOLD);
    turns_give_back(&rig.service.turns, SLICE("k"), &talk);
    ck_assert_int_eq(request_continue(&rig.request), STEP_WAIT);
    talk_expect(&rig, LOAD);
}
END_TEST

/* The text was there: whose reply was that? It would go on for ever, too. */
START_TEST(script_cannot_be_missing_when_it_was_sent) {
    struct talk talk = {.method = "DELETE", .target = "/cache/k"};
    ck_assert_int_eq(talk_start(&rig, &talk), STEP_WAIT);
    talk_expect(&rig, "EVALSHA remove 1 k\n");
    ck_assert_int_eq(talk_reply(&rig, "-NOSCRIPT No matching script."), STEP_WAIT);
    talk_expect(&rig, "EVAL remove 1 k\n");
    ck_assert_int_eq(talk_reply(&rig, "-NOSCRIPT No matching script."), STEP_ANSWER);
    check_problem(&talk, E_BACKEND_ERROR, true);
    ck_assert(talk_is_distrusted(&rig));
}
END_TEST

START_TEST(plain_command_cannot_miss_a_script) {
    struct talk talk = {.method = "GET", .target = "/cache/k"};
    ck_assert_int_eq(talk_start(&rig, &talk), STEP_WAIT);
    talk_expect(&rig, LOAD);
    ck_assert_int_eq(talk_reply(&rig, "-NOSCRIPT No matching script.\n:-1"), STEP_ANSWER);
    check_problem(&talk, E_BACKEND_ERROR, false);
    ck_assert(talk_is_distrusted(&rig));
}
END_TEST

/* --- limits ---------------------------------------------------------------------------------- */

START_TEST(entry_that_never_stands_still_is_contended) {
    struct talk talk = {
        .method = "PUT", .target = "/cache/k", .body = "{\"value\":2}", .if_match = "*"};
    enum step step = talk_start(&rig, &talk);
    for (int i = 0; i < OP_TRIES_MAX; i++) {
        char value[16];
        ck_assert_int_eq(step, STEP_WAIT);
        talk_expect(&rig, LOAD);
        (void)snprintf(value, sizeof(value), "$%d\n:-1", i);
        ck_assert_int_eq(talk_reply(&rig, value), STEP_WAIT);
        talk_expect(&rig, "EVALSHA guard 1 k @ SET 3600000 KEEPTTL 2\n");
        step = talk_reply(&rig, ":0");
    }
    ck_assert_int_eq(step, STEP_ANSWER);
    check_problem(&talk, E_CONTENTION, false);
    ck_assert_ptr_nonnull(strstr(rig_head(&rig), "\r\nRetry-After: 1\r\n"));
}
END_TEST

static void load_bytes(size_t n, const char *before) {
    struct buf reply = {0};
    buf_printf(&reply, "$%s", before);
    ck_assert(buf_reserve(&reply, n));
    memset(reply.p + reply.n, '1', n);
    reply.n += n;
    buf_puts(&reply, "\n:-1");
    buf_put_char(&reply, '\0');
    ck_assert(!buf_failed(&reply));
    talk_expect(&rig, LOAD);
    ck_assert_int_eq(talk_reply(&rig, reply.p), STEP_ANSWER);
    buf_fini(&reply);
}

START_TEST(foreign_entry_is_measured_without_its_header) {
    enum { BODY_MAX = 8 << 20 };
    struct talk talk = {.method = "GET", .target = "/raw/k"};
    ck_assert_int_eq(talk_start(&rig, &talk), STEP_WAIT);
    load_bytes(BODY_MAX, RAW);
    ck_assert_int_eq(rig.request.response.status, 200);
    ck_assert_uint_eq(response_length(&rig.request.response), BODY_MAX);
    ck_assert_int_eq(talk_start(&rig, &talk), STEP_WAIT);
    load_bytes(BODY_MAX + 1, RAW);
    ck_assert_int_eq(rig.request.response.status, 409);
}
END_TEST

/* What was to be kept of one step for the next is not there. */
START_TEST(want_of_memory_between_two_steps_is_said) {
    struct talk read = {.method = "GET", .target = "/cache/k"};
    ck_assert_int_eq(talk_start(&rig, &read), STEP_WAIT);
    talk_expect(&rig, LOAD);
    ck_assert_int_eq(talk_reply(&rig, "$" TAGGED "1\n:-1"), STEP_WAIT);
    rig.request.arena.failed = true;
    talk_expect(&rig, MGET);
    ck_assert_int_eq(talk_reply(&rig, "[1\n$" N1), STEP_ANSWER);
    check_problem(&read, E_OUT_OF_MEMORY, false);
    struct talk write = {.method = "PUT", .target = "/cache/k", .body = "{\"value\":1}"};
    ck_assert_int_eq(talk_start(&rig, &write), STEP_WAIT);
    rig.request.arena.failed = true;
    talk_expect(&rig, "SET k 1 EX 3600\n");
    ck_assert_int_eq(talk_reply(&rig, "+OK"), STEP_ANSWER);
    check_problem(&write, E_OUT_OF_MEMORY, true);
}
END_TEST

/* --- times ----------------------------------------------------------------------------------- */

/* The entry gets less, the client sees what it asked for. */
START_TEST(jitter_is_taken_off_and_shown) {
    struct talk talk = {
        .method = "PUT", .target = "/cache/k", .body = "{\"value\":1,\"ttl\":1000}"};
    bool less = false;
    rig.config.ttl_jitter = 50;
    for (int i = 0; i < 50; i++) {
        ck_assert_int_eq(talk_start(&rig, &talk), STEP_WAIT);
        const char *commands = rig_commands(&rig);
        bool seconds = strncmp(commands, "SET k 1 EX ", 11) == 0;
        ck_assert(seconds || strncmp(commands, "SET k 1 PX ", 11) == 0);
        long long ms = strtoll(commands + 11, NULL, 10) * (seconds ? 1000 : 1);
        ck_assert(ms >= 500000 && ms <= 1000000);
        less = less || ms < 1000000;
        ck_assert_int_eq(talk_reply(&rig, "+OK"), STEP_ANSWER);
        long long shown = (ms + 999) / 1000;
        char entry[128];
        (void)snprintf(entry, sizeof(entry), ENTRY("\"value\":1,\"ttl\":%lld"), shown);
        talk_check_answer(&rig, entry);
    }
    ck_assert(less);
}
END_TEST

START_TEST(nothing_needs_to_end) {
    rig.config.default_ttl = 0;
    const struct talk plain = {.method = "PUT",
                               .target = "/cache/k",
                               .body = "{\"value\":1}",
                               .turns = {{"SET k 1\n", "+OK"}},
                               .answer = ENTRY("\"value\":1,\"ttl\":null")};
    const struct talk idle = {.method = "PUT",
                              .target = "/cache/k",
                              .body = "{\"value\":1,\"idle\":20,\"tags\":[\"a\"]}",
                              .turns = {{"EVALSHA tags 1 \\xfftag:a  #\n", "[2\n:50000\n$" N1},
                                        {"SET k \\0larder1 {\"tags\":{\"a\":\"" N1
                                         "\"},\"idle\":20,\"id\":\"#\"}\\n1 EX 20\n",
                                         "+OK"}},
                              .answer =
                                  ENTRY("\"value\":1,\"ttl\":null,\"idle\":20,\"tags\":[\"a\"]")};
    const struct talk guarded = {
        .method = "PUT",
        .target = "/cache/k",
        .body = "{\"value\":1}",
        .if_match = "*",
        .turns = {{LOAD, "$2\n:5000"}, {"EVALSHA guard 1 k @ SET  KEEPTTL 1\n", ":1"}},
        .answer = ENTRY("\"value\":1,\"ttl\":null")};
    const struct talk count = {.method = "POST",
                               .target = "/counters/k",
                               .turns = {{"EVALSHA count 1 k 1 1 \n", "[2\n$1\n:-1"}},
                               .answer = "200 {\"key\":\"k\",\"value\":1,\"ttl\":null}"};
    const struct talk *const all[] = {&plain, &idle, &guarded, &count};
    for (size_t i = 0; i < COUNT_OF(all); i++) {
        ck_assert_int_eq(talk_play(&rig, all[i], talk_turns(all[i])), STEP_ANSWER);
        talk_check_answer(&rig, all[i]->answer);
    }
}
END_TEST

/* Whoever has read the old one and is about to renew it must find another header. */
START_TEST(every_writing_of_an_idle_entry_has_another_id) {
    static const struct talk talks_of_idle[] = {
        {.method = "PATCH",
         .target = "/cache/k",
         .body = "{\"value\":2}",
         .turns = {{LOAD, "$" IDLE "1\n:31000"},
                   {"EVALSHA check 1 k " IDLE " 0 0\n", "[3\n:-1\n:-1\n:50000"}}},
        {.method = "POST",
         .target = "/counters/k",
         .turns = {{"EVALSHA count 1 k 1 1 3600000\n", ":0"},
                   {LOAD, "$" IDLE "1\n:31000"},
                   {"EVALSHA check 1 k " IDLE " 0 0\n", "[3\n:-1\n:-1\n:50000"}}},
    };
    for (size_t i = 0; i < COUNT_OF(talks_of_idle); i++) {
        play(&talks_of_idle[i], talk_turns(&talks_of_idle[i]));
        const char *commands = rig_commands(&rig);
        ck_assert_ptr_nonnull(
            strstr(commands, " SET 60000 KEEPTTL \\0larder1 {\"idle\":60,\"id\":"));
        ck_assert_ptr_null(strstr(commands, N1));
        ck_assert_int_eq(talk_reply(&rig, ":1"), STEP_ANSWER);
    }
}
END_TEST

/* --- fields ---------------------------------------------------------------------------------- */

static void check_field(const char *line, bool there) {
    char needle[128];
    const char *head = rig_head(&rig);
    (void)snprintf(needle, sizeof(needle), "\r\n%s\r\n", line);
    ck_assert_msg((strstr(head, needle) != NULL) == there, "%s in %s", line, head);
}

START_TEST(reads_tell_caches_what_they_may) {
    struct talk talk = {.method = "GET",
                        .target = "/cache/k",
                        .turns = {{LOAD, "$" ENDING "1\n:31000"},
                                  {"EVALSHA check 2 k \\xfftag:a " ENDING " 60000 90000 " N2 "\n",
                                   "[3\n:40000\n:39001\n:50000"}}};
    ck_assert_int_eq(talk_play(&rig, &talk, 2), STEP_ANSWER);
    check_field("Cache-Control: private, no-cache", true);
    check_field("Cache-Status: larder; hit; ttl=40", true);
    check_field("Cache-Groups: \"a\"", true);
    check_field("ETag: " ETAG_OF_1, true);
    rig.config.client_caching = true;
    ck_assert_int_eq(talk_play(&rig, &talk, 2), STEP_ANSWER);
    check_field("Cache-Control: private, max-age=40", true);
    ck_assert_int_eq(rig.request.response.lookup, LOOKUP_HIT);
}
END_TEST

/* Another reader's renewal is not this one's to promise. */
START_TEST(entry_that_was_not_renewed_is_as_fresh_as_it_was) {
    struct talk talk = {
        .method = "GET",
        .target = "/cache/k",
        .turns = {{LOAD, "$" IDLE "1\n:31000"},
                  {"EVALSHA check 1 k " IDLE " 60000 0\n", "[3\n:-1\n:-1\n:50000"}}};
    ck_assert_int_eq(talk_play(&rig, &talk, 2), STEP_ANSWER);
    check_field("Cache-Status: larder; hit; ttl=31", true);
}
END_TEST

START_TEST(failed_precondition_shows_the_tag_there_is) {
    struct talk talk = {
        .method = "PUT", .target = "/cache/k", .body = "{\"value\":2}", .if_match = "\"x\""};
    (void)talk_start(&rig, &talk);
    talk_expect(&rig, LOAD);
    ck_assert_int_eq(talk_reply(&rig, "$1\n:-1"), STEP_ANSWER);
    check_field("ETag: " ETAG_OF_1, true);
    (void)talk_start(&rig, &talk);
    talk_expect(&rig, LOAD);
    ck_assert_int_eq(talk_reply(&rig, "$\n:-2"), STEP_ANSWER);
    ck_assert_ptr_null(strstr(rig_head(&rig), "ETag"));
    /* Nor that of one that is dead. */
    (void)talk_start(&rig, &talk);
    talk_expect(&rig, LOAD);
    ck_assert_int_eq(talk_reply(&rig, "$" TAGGED "1\n:-1"), STEP_WAIT);
    talk_expect(&rig, MGET);
    ck_assert_int_eq(talk_reply(&rig, "[1\n_"), STEP_WAIT);
    talk_expect(&rig, "GETRANGE k 0 58\n");
    ck_assert_int_eq(talk_reply(&rig, "$" TAGGED), STEP_ANSWER);
    talk_check_answer(&rig, FAILED);
    ck_assert_ptr_null(strstr(rig_head(&rig), "ETag"));
}
END_TEST

START_TEST(writes_show_the_new_tag) {
    struct talk talk = {
        .method = "PUT", .target = "/cache/k", .body = "{\"value\":1}", .prefer = "return=minimal"};
    (void)talk_start(&rig, &talk);
    talk_expect(&rig, "SET k 1 EX 3600\n");
    ck_assert_int_eq(talk_reply(&rig, "+OK"), STEP_ANSWER);
    check_field("ETag: " ETAG_OF_1, true);
    check_field("Preference-Applied: return=minimal", true);
    struct talk count = {.method = "POST", .target = "/counters/k"};
    (void)talk_start(&rig, &count);
    talk_expect(&rig, "EVALSHA count 1 k 1 1 3600000\n");
    ck_assert_int_eq(talk_reply(&rig, "[2\n$1\n:-1"), STEP_ANSWER);
    check_field("ETag: " ETAG_OF_1, true);
}
END_TEST

/* --- where others are ------------------------------------------------------------------------ */

START_TEST(names_have_the_prefix_and_keys_do_not) {
    teardown();
    rig_setup(&rig);
    (void)snprintf(rig.config.key_prefix, sizeof(rig.config.key_prefix), "app:");
    rig.config.max_value = 100;
    rig.config.max_ttl = 100;
    request_init(&rig.request, &rig.service);
    rig_connect(&rig);
    const struct talk talk = {
        .method = "PUT",
        .target = "/cache/k",
        .body = "{\"value\":2,\"tags\":[\"a\"],\"key\":\"k\"}",
        .if_match = "*",
        .turns = {{"EVALSHA tags 1 app:\\xfftag:a  #\n", "[2\n:50000\n$" N1},
                  {"GETRANGE app:k 0 8404992\nPTTL app:k\n", "$" TAGGED "1\n:-1"},
                  {"MGET app:\\xfftag:a\n", "[1\n$" N1},
                  {"EVALSHA guard 2 app:k app:\\xfftag:a @ SET  KEEPTTL " TAGGED "2 " N1 "\n",
                   ":1"}},
        .answer = ENTRY("\"value\":2,\"ttl\":null,\"tags\":[\"a\"]")};
    ck_assert_int_eq(talk_play(&rig, &talk, 4), STEP_ANSWER);
    talk_check_answer(&rig, talk.answer);
}
END_TEST

static TCase *add_case(Suite *s, const char *name) {
    TCase *t = tcase_create(name);
    tcase_add_checked_fixture(t, setup, teardown);
    suite_add_tcase(s, t);
    return t;
}

Suite *suite_op(void) {
    Suite *s = suite_create("op");
    TCase *t = add_case(s, "steps");
    tcase_add_loop_test(t, operations_take_their_steps, 0, COUNT_OF(talks));
    tcase_add_loop_test(t, lost_scripts_are_sent_as_a_whole, 0, COUNT_OF(talks));
    t = add_case(s, "failures");
    tcase_add_loop_test(t, redis_may_leave_at_every_step, 0, COUNT_OF(talks));
    tcase_add_loop_test(t, redis_may_leave_before_every_step, 0, COUNT_OF(talks));
    tcase_add_loop_test(t, redis_may_be_away_between_two_steps, 0, COUNT_OF(talks));
    tcase_add_loop_test(t, redis_may_refuse_every_step, 0, COUNT_OF(talks));
    t = add_case(s, "nonsense");
    tcase_add_test(t, turn_is_waited_for_in_silence);
    tcase_add_loop_test(t, reply_that_makes_no_sense_ends_the_trust, 0, COUNT_OF(nonsense));
    tcase_add_test(t, script_cannot_be_missing_when_it_was_sent);
    tcase_add_test(t, plain_command_cannot_miss_a_script);
    t = add_case(s, "limits");
    tcase_set_timeout(t, 20);
    tcase_add_test(t, entry_that_never_stands_still_is_contended);
    tcase_add_test(t, foreign_entry_is_measured_without_its_header);
    tcase_add_test(t, want_of_memory_between_two_steps_is_said);
    t = add_case(s, "times");
    tcase_add_test(t, jitter_is_taken_off_and_shown);
    tcase_add_test(t, nothing_needs_to_end);
    tcase_add_test(t, every_writing_of_an_idle_entry_has_another_id);
    t = add_case(s, "fields");
    tcase_add_test(t, reads_tell_caches_what_they_may);
    tcase_add_test(t, entry_that_was_not_renewed_is_as_fresh_as_it_was);
    tcase_add_test(t, failed_precondition_shows_the_tag_there_is);
    tcase_add_test(t, writes_show_the_new_tag);
    t = add_case(s, "prefix");
    tcase_add_test(t, names_have_the_prefix_and_keys_do_not);
    return s;
}
