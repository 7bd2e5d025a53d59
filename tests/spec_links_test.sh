#!/usr/bin/env bash
# Every citation of the specification leads somewhere: each section and item of docs/spec/ that a file or the program
# names, each K and each E. Nothing cites a page without its path.
# Usage: spec_links_test.sh TSCSIM SOURCE_DIR. First shows that made-up citations would be noticed.
set -euo pipefail
tscsim=$1
cd "$2"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# places PAGE: "PAGE 3.3" for each section, "PAGE 3.3 item 5" for each numbered item in it.
places() {
  awk -v page="$1" '
    /^#+ [0-9]/ { at = $2; sub(/\.$/, "", at); print page, at }
    /^\*\*[0-9]+\.[0-9]+[a-z]? / { at = $1; gsub(/\*/, "", at); print page, at }
    /^[0-9]+\. / { item = $1; sub(/\./, "", item); print page, at, "item", item }
    /^\|/ && at == "12" && $2 ~ /^[0-9]+$/ { print "K" $2 }
    /^\| E[0-9]+ / { print $2 }' "$1"
}

# read_places: "FILE<TAB>PAGE PLACE" for each place of each list of places that follows a page in the text. A citation
# goes on over the end of a line, and over the mark of a comment at the beginning of the next. Reads names of files.
read_places() {
  xargs awk '
    function flush_text(   list, page) {
      while (match(text, /docs\/spec\/[a-z-]+\.md [0-9]/)) {
        page = substr(text, RSTART, RLENGTH - 2)
        text = substr(text, RSTART + RLENGTH - 1)
        while (match(text, /^[0-9]+(\.[0-9]+)*[a-z]?( items? [0-9]+( and [0-9]+)?)?/)) {
          tell(page, substr(text, 1, RLENGTH))
          text = substr(text, RLENGTH + 1)
          if (!match(text, /^(, and | and |, | to )[0-9]/)) break
          text = substr(text, RLENGTH)
        }
      }
      text = ""
    }
    function tell(page, place,   at, items, n, i) {
      at = place; sub(/ .*/, "", at)
      if (place !~ / item/) { print file "\t" page " " at; return }
      items = place; sub(/.* items? /, "", items)
      n = split(items, item, / and /)
      for (i = 1; i <= n; ++i) print file "\t" page " " at " item " item[i]
    }
    FNR == 1 { if (NR > 1) flush_text(); file = FILENAME }
    { line = $0; sub(/^[ \t]*(\/\/|#|\|)?[ \t]*/, "", line); text = text " " line }
    END { flush_text() }'
}

# read_tables: the same of the tables whose head names a page: "section of docs/spec/PAGE". Reads names of files.
read_tables() {
  local file
  { xargs grep -l '| section of docs/spec/' || true; } | while IFS= read -r file; do
    awk -F' *\\| *' -v file="$file" '
      !/^\|/ { column = 0 }
      /^\|/ && !column { for (i = 1; i <= NF; ++i) if ($i ~ /^section of docs\/spec\//) { column = i; page = $i; sub(/.* /, "", page) } next }
      column && $column ~ /^[0-9]/ { print page " " $column }' "$file" >"$work/cells"
    echo "$work/cells" | read_places | sed "s|^[^\t]*|$file|"
  done
}

# read_names: "FILE<TAB>K36" for each K and E. Reads names of files.
read_names() { { xargs grep -HowE '[KE][1-9][0-9]?' || true; } | sed 's/:\([KE][0-9]*\)$/\t\1/'; }

# read_pathless: "FILE<TAB>words" for each citation in another manner. Reads names of files.
read_pathless() {
  { xargs grep -HoE '(^|[^/a-z-])(kvm-timekeeping|linux-guest|vmm-procedures)\.md [0-9s]|\b[Ss]pec (sections? )?[0-9§]|\bspec [KE][0-9]|specification.s section [0-9]' || true; } |
    sed 's/:/\t/'
}

# check FILES: what is wrong in the files that FILES lists, one line each.
check() {
  { read_places <"$1"; read_tables <"$1"; read_names <"$1"; } | awk -F'\t' -v places="$work/places" '
    BEGIN { while ((getline place < places) > 0) known[place] = 1 }
    # A letter may name a part of a section: "2.2a".
    { whole = $2; sub(/[a-z]$/, "", whole) }
    !($2 in known) && !(whole in known) { print $1 ": there is no " $2 }'
  read_pathless <"$1" | awk -F'\t' '{ print $1 ": \047" $2 "\047 cites no path: write docs/spec/PAGE.md SECTION" }'
}

for page in docs/spec/kvm-timekeeping.md docs/spec/linux-guest.md docs/spec/vmm-procedures.md; do
  places "$page"
done | sort -u >"$work/places"

# What the program prints of its tables, whose rows hold sections without a page.
mkdir "$work/printed"
"$tscsim" list kernels >"$work/printed/kernels"
"$tscsim" list guests >"$work/printed/guests"
"$tscsim" lint --list --format json >"$work/printed/findings"
for kind in rules findings heuristics; do
  "$tscsim" list $kind | awk '{print $1}' | while read -r name; do
    "$tscsim" explain "$name"
  done >"$work/printed/explained-$kind"
done

cat >"$work/wrong.yaml" <<'WRONG'
source: docs/spec/kvm-timekeeping.md 3.3 items 2 and 99, 6.7; docs/spec/vmm-procedures.md 2.2a and
  # 88.1; K98, E77; docs/spec/no-page.md 1; spec section 3.3; linux-guest.md 3.4
WRONG
cat >"$work/wrong.md" <<'WRONG'
| file | section of docs/spec/linux-guest.md |
|---|---|
| a | 1.2 to 97.3 |
WRONG
printf '%s\n' "$work/wrong.yaml" "$work/wrong.md" >"$work/wrong"
check "$work/wrong" >"$work/noticed"
for fault in "kvm-timekeeping.md 3.3 item 99" "kvm-timekeeping.md 6.7" "vmm-procedures.md 88.1" "no-page.md 1" "no K98" "no E77" \
  "'spec section 3' cites" "linux-guest.md 3' cites" "linux-guest.md 97.3"; do
  if ! grep -qF "$fault" "$work/noticed"; then
    echo "this test does not notice a made-up citation: $fault"
    exit 1
  fi
done
if [[ $(wc -l <"$work/noticed") != 9 ]]; then
  echo "this test takes a right citation for a wrong one:"
  cat "$work/noticed"
  exit 1
fi

# Data and recordings cite nothing.
git ls-files | grep -Ev '^(tests/recordings/|tests/vectors/|tests/spec_links_test.sh|.*\.(jsonl|xz|json)$)' >"$work/files"
find "$work/printed" -type f >>"$work/files"
check "$work/files" >"$work/faults"
# The first page's citations of itself.
grep -oE '§[0-9]+(\.[0-9]+)*' docs/spec/kvm-timekeeping.md | sed 's|§|docs/spec/kvm-timekeeping.md |' | sort -u |
  grep -vxFf "$work/places" | sed 's/^/there is no /' >>"$work/faults" || true
cat "$work/faults"
[[ ! -s $work/faults ]] || exit 1
cited=$({ read_places <"$work/files"; read_tables <"$work/files"; } | wc -l)
if [[ $cited -lt 500 ]]; then
  echo "only $cited citations were found: this test no longer reads them"
  exit 1
fi
echo "$cited citations of $(wc -l <"$work/places") places"
