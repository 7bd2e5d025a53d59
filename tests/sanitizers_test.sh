#!/usr/bin/env bash
# The unit tests and the command line's, built with sanitizers: preset `sanitize` (AddressSanitizer and
# UndefinedBehaviorSanitizer) or `tsan` (ThreadSanitizer). Takes many minutes.
# Left out: what boots machines (a sanitizer cannot be linked into the lab's static init) and the deliberate errors, which
# are about results and run the same code hundreds of times.
# Usage: sanitizers_test.sh SOURCE_DIR PRESET
set -euo pipefail
cd "$1"
preset=$2
if command -v ccache >/dev/null; then export CMAKE_CXX_COMPILER_LAUNCHER=ccache; fi

# The sanitizer itself must be there, and end a program that deserves it.
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
case $preset in
  sanitize)
    flags=address,undefined
    echo 'int main(int n, char** v) { int a[2] = {}; return a[n + 1] + (n << 31) + (v == nullptr); }' >"$work/bad.cpp"
    ;;
  tsan)
    flags=thread
    echo '#include <thread>
int shared;
int main() { std::thread t([] { ++shared; }); ++shared; t.join(); }' >"$work/bad.cpp"
    ;;
  *)
    echo "no preset $preset"
    exit 2
    ;;
esac
g++ -std=c++20 -g -w -fsanitize=$flags -fno-sanitize-recover=all -pthread "$work/bad.cpp" -o "$work/bad"
if "$work/bad" 2>/dev/null; then
  echo "the sanitizer does not notice a bad program"
  exit 1
fi

cmake --preset "$preset" >/dev/null
ninja -C "build/$preset" --quiet
export ASAN_OPTIONS=detect_stack_use_after_return=1 UBSAN_OPTIONS=print_stacktrace=1
ctest --test-dir "build/$preset" --output-on-failure --no-tests=error -j2 --timeout 1800 \
  -E '^(lab|determinism|mutation|guest_vectors_mutation|bench)'
