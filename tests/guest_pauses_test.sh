#!/usr/bin/env bash
# The table in docs/guest.md is what `tscsim guest-pauses` says; shown to fail on a table with another number.
# usage: guest_pauses_test.sh TSCSIM SOURCE_DIR; with TSCSIM_UPDATE_GOLDEN=1 the table is written.
set -u
tscsim=$1 page=$2/docs/guest.md
table=$("$tscsim" guest-pauses) || { echo "FAIL: tscsim guest-pauses"; exit 1; }
in_page() { sed -n '/^<!-- tscsim guest-pauses -->$/,/^<!-- end -->$/p' "$1" | grep '^|'; }
if [ -n "${TSCSIM_UPDATE_GOLDEN:-}" ]; then
  { sed '/^<!-- tscsim guest-pauses -->$/q' "$page"; echo "$table"; sed -n '/^<!-- end -->$/,$p' "$page"; } >"$page.new" && mv "$page.new" "$page"
fi
[ "$(in_page "$page" | sed '0,/> 100000/s//99999/')" != "$table" ] || { echo "FAIL: another number is not noticed"; exit 1; }
[ "$(in_page "$page")" = "$table" ] || { echo "FAIL: docs/guest.md differs; TSCSIM_UPDATE_GOLDEN=1 writes it"; diff <(in_page "$page") <(echo "$table"); exit 1; }
echo "docs/guest.md holds the table"
