#!/usr/bin/env bash
# Sets up, builds everything, runs every test, and ends with the line "N passed, N failed, N skipped".
#
#   test.sh [PRESET] [CTEST-ARGUMENT...]      PRESET is release (default), debug, asan or tsan; test.sh release -R tokenizer
#
# A test that lacks something it needs (reference data beside the checkout, nvcc) says so and counts as skipped;
# ARGOSY_REQUIRE_SHARED=1 and ARGOSY_REQUIRE_NVCC=1 make that a failure. Exit status: 0 when no test failed.
set -euo pipefail
cd "$(dirname -- "${BASH_SOURCE[0]}")/../.."

preset=release
case ${1:-} in
    release | debug | asan | tsan)
        preset=$1
        shift
        ;;
    -* | "") ;;
    *)
        echo "test: unknown preset '$1'. It must be release, debug, asan or tsan." >&2
        exit 64
        ;;
esac
step() { printf '== %3ds  %s\n' "$SECONDS" "$*"; }

step "1/3 packages"
launch/scripts/setup.sh --tests

step "2/3 build everything ($preset) with $(nproc) jobs"
cmake --preset "$preset"
cmake --build --preset "$preset" -j "$(nproc)"

step "3/3 tests"
# Tests under mpirun and tests marked ALONE declare two processors: with two jobs they run alone, the others in pairs.
results=$PWD/build/$preset/junit.xml
rm -f "$results"
status=0
ctest --preset "$preset" -j "$(nproc)" --output-junit "$results" "$@" || status=$?
if [ ! -s "$results" ]; then
    echo "test: ctest left no results; its lines above say why" >&2
    exit 70
fi

# A test that was not run is a skipped one only if it asked for it (exit status 77): otherwise its program was not there.
count() { grep -c "$1" "$results" || true; }
total=$(count '<testcase ')
passed=$(count '<testcase .* status="run"')
skipped=$(count '<skipped message="SKIP_RETURN_CODE=77"')
failed=$((total - passed - skipped))
step "done"
echo "$passed passed, $failed failed, $skipped skipped"
if [ "$failed" -ne 0 ] || [ "$total" -eq 0 ]; then exit 1; fi
exit "$status"
