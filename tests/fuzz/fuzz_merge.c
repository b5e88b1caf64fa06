/*
 * Merge patches: base/jsonmerge.c, which edits text, against RFC 7396's own algorithm on a tree of
 * json-c's; and what the header promises of the text. The input is the target, a 0xFF byte, and
 * the patch.
 */
#include <json-c/json.h>

#include "base/jsonmerge.h"
#include "base/jsontext.h"
#include "fuzz.h"
#include "reference.h"

static struct buf merged, again;

static struct json_object *parse(struct slice text) {
    struct json_tokener *tokener = json_tokener_new_ex(300);
    struct json_object *tree = json_tokener_parse_ex(tokener, text.p, (int)text.n);
    /* A number at the end of the text may go on. */
    if (tree == NULL && json_tokener_get_error(tokener) == json_tokener_continue)
        tree = json_tokener_parse_ex(tokener, "", 1);
    need(json_tokener_get_error(tokener) == json_tokener_success);
    json_tokener_free(tokener);
    return tree;
}

/* RFC 7396, 2. Takes `target`. */
static struct json_object *merge_patch(struct json_object *target, struct json_object *patch) {
    if (!json_object_is_type(patch, json_type_object)) {
        json_object_put(target);
        return json_object_get(patch);
    }
    if (!json_object_is_type(target, json_type_object)) {
        json_object_put(target);
        target = json_object_new_object();
    }
    json_object_object_foreach(patch, name, value) {
        if (value == NULL) {
            json_object_object_del(target, name);
            continue;
        }
        struct json_object *old = NULL;
        (void)json_object_object_get_ex(target, name, &old);
        json_object_object_add(target, name, merge_patch(json_object_get(old), value));
    }
    return target;
}

/* Names are C strings in json-c. */
static bool json_c_can(struct slice text) {
    return memmem(text.p, text.n, "u0000", 5) == NULL;
}

static void check_meaning(struct slice target, struct slice patch, struct slice result) {
    struct json_object *patch_tree = parse(patch);
    struct json_object *wanted = merge_patch(parse(target), patch_tree);
    struct json_object *got = parse(result);
    need(json_object_equal(got, wanted) == 1);
    json_object_put(got);
    json_object_put(wanted);
    json_object_put(patch_tree);
}

void fuzz_merge(struct slice input) {
    struct slice patch;
    struct slice target = fuzz_part(&input, '\xff');
    if (jsontext_check(target, &target, NULL) != OK || jsontext_check(input, &patch, NULL) != OK)
        return;
    merged.n = again.n = 0;
    buf_puts(&merged, "kept");
    need(jsonmerge(target, patch, &merged) == OK);
    need(memcmp(merged.p, "kept", 4) == 0);
    struct slice result = {merged.p + 4, merged.n - 4};
    struct slice whole;
    need(reference_json(result, JSONTEXT_DEPTH_MAX) == JSON_VALID);
    need(jsontext_check(result, &whole, NULL) == OK && whole.n == result.n);
    need(result.n <= target.n + patch.n);
    if (patch.p[0] != '{')
        need(slice_eq(result, patch));
    if (target.p[0] == '{') {
        need(jsonmerge(target, SLICE("{}"), &again) == OK);
        need(slice_eq(buf_slice(&again), target));
    }
    if (json_c_can(target) && json_c_can(patch))
        check_meaning(target, patch, result);
}
