#!/usr/bin/env bash
# The closing line of test.sh counts what ctest did: a pass, a failure, a skip, a program that is not there and a time-out.
source=$1
# shellcheck source=tests/launch/scripts/checks.sh
. "$(dirname "$0")/checks.sh"

# A project of five tests in which test.sh runs as it does in this one; its setup.sh has nothing to install.
mkdir -p "$work/launch/scripts"
cp "$source/launch/scripts/test.sh" "$work/launch/scripts/"
printf '#!/bin/sh\nexit 0\n' >"$work/launch/scripts/setup.sh"
chmod +x "$work"/launch/scripts/*.sh
cp "$source/CMakePresets.json" "$work/"
project() {
    cat >"$work/CMakeLists.txt" <<'CMAKE'
cmake_minimum_required(VERSION 3.25)
project(five_tests NONE)
enable_testing()
add_test(NAME passes COMMAND sh -c "echo '<testcase name= status=\"fail\"'")
add_test(NAME skips COMMAND sh -c "exit 77")
set_tests_properties(skips PROPERTIES SKIP_RETURN_CODE 77)
CMAKE
    cat >>"$work/CMakeLists.txt"
}

project <<'CMAKE'
CMAKE
env -u CMAKE_GENERATOR bash "$work/launch/scripts/test.sh" >"$work/out" 2>&1
check "passes and skips alone exit 0" test $? -eq 0
check "the last line counts them" test "$(tail -n 1 "$work/out")" = "1 passed, 0 failed, 1 skipped"

project <<'CMAKE'
add_test(NAME fails COMMAND false)
add_test(NAME is_not_there COMMAND /nonexistent/program)
add_test(NAME hangs COMMAND sleep 20)
set_tests_properties(hangs PROPERTIES TIMEOUT 1)
CMAKE
bash "$work/launch/scripts/test.sh" >"$work/out" 2>&1
check "a failure exits non-zero" test $? -ne 0
check "failures, missing programs and time-outs count as failed" test "$(tail -n 1 "$work/out")" = "1 passed, 3 failed, 1 skipped"

bash "$work/launch/scripts/test.sh" -R '^passes$' >"$work/out" 2>&1
check "ctest's arguments reach ctest" test "$(tail -n 1 "$work/out")" = "1 passed, 0 failed, 0 skipped"
bash "$work/launch/scripts/test.sh" -R '^none$' >"$work/out" 2>&1
check "no test at all is not a success" test $? -ne 0
finish
