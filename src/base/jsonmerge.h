/*
 * JSON Merge Patch (RFC 7396) on text. Values stay what their writers wrote (jsontext.h), so a
 * merge edits the target's text and never prints a parsed document.
 */
#ifndef LARDER_BASE_JSONMERGE_H
#define LARDER_BASE_JSONMERGE_H

#include "base/buf.h"
#include "base/error.h"
#include "base/slice.h"

/*
 * Appends to `out` what becomes of `target`. Both texts are values from jsontext_check and do not
 * lie in `out`. The merged text would pass it, too, and is no longer than both together. The only
 * failure is E_OUT_OF_MEMORY (texts of 4 GiB have it, too): `out` has failed then, and what it
 * holds behind its old end is of no use.
 *
 * - What the patch does not name keeps its text and its order, and members that stay keep the white
 *   space before them. By the patch {} no byte of an object changes.
 * - A member that gets another value keeps its place and the spelling of its name. New members come
 *   last, in the patch's order and spelled as there.
 * - A value that the patch brings is kept as text, too; but an object in it from which nulls must
 *   go, or duplicates, loses the white space between its members.
 * - Names are the same if they mean the same: "\u0061" is "a". If several members of an object have
 *   one name, the last counts, as for most readers of JSON. In the patch the others are nothing; in
 *   the target they go when the patch names them, and stay as they are when it doesn't.
 *
 * Time is linear in the bytes of both texts; names that somebody chose for their hashes add a
 * logarithm. Memory, given back on return: at most 90 bytes for each member of the patch and of the
 * objects in it, 16 for each of the target that it names, and room for names that have escapes.
 */
LARDER_MUST_CHECK enum error jsonmerge(struct slice target, struct slice patch, struct buf *out);

#endif
