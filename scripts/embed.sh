#!/bin/sh
# embed.sh FILE...: text files as C strings, NAME.EXT as the array NAME_EXT.
# A question mark is escaped lest two of them begin a trigraph.
set -eu
for file in "$@"; do
    printf 'static const char %s[] =\n' "$(basename "$file" | tr . _)"
    sed -e 's/[\\"?]/\\&/g' -e 's/^/    "/' -e 's/$/\\n"/' "$file"
    echo '    ;'
done
