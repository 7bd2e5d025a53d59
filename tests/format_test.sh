#!/usr/bin/env bash
# Every C++ file is as clang-format leaves it. Usage: format_test.sh SOURCE_DIR. First shows that it can fail.
#   mend: clang-format -i FILE
set -euo pipefail
cd "$1"
clang_format=$(command -v clang-format-14 || command -v clang-format || true)
if [[ -z $clang_format ]]; then
  echo "skipped: clang-format is missing (Debian package clang-format)"
  exit 77
fi
version=$("$clang_format" --version | grep -oE 'version [0-9]+' | head -n 1)
if [[ $version != "version 14" ]]; then
  echo "skipped: the files are formatted with clang-format 14 (Debian 12's); this is $version"
  exit 77
fi

bad=$(mktemp --suffix=.cpp)
trap 'rm -f "$bad"' EXIT
printf 'int  f( int x ){return x ;}\n' >"$bad"
if "$clang_format" --style="file:.clang-format" --dry-run --Werror "$bad" 2>/dev/null; then
  echo "this test does not notice a badly formatted file"
  exit 1
fi

find . \( -name build -o -name .git -o -name out -o -name found \) -prune -o -type f \( -name '*.h' -o -name '*.inl' -o -name '*.cpp' \) -print0 |
  xargs -0 -n 40 -P 2 "$clang_format" --dry-run --Werror || { echo "mend: clang-format -i on the files named above"; exit 1; }
echo "all files are formatted"
