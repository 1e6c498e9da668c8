#!/usr/bin/env bash
# What quickstart.sh does after the build, with the program of this build: quickstart_test.sh SOURCE PROGRAM.
# The demo job on two ranks answers every request, solves the tasks it should, and a second call finds the run finished.
source=$1
program=$2
# shellcheck source=tests/launch/scripts/checks.sh
. "$(dirname "$0")/checks.sh"
here=$(cd "$(dirname "$0")" && pwd)

# A project whose target `argosy` is the program that is built already, so that quickstart.sh runs in it as it does in this one.
mkdir -p "$work/launch/scripts"
cp "$source/launch/scripts/quickstart.sh" "$work/launch/scripts/"
cp "$source/CMakePresets.json" "$work/"
printf '#!/bin/sh\nexit 0\n' >"$work/launch/scripts/setup.sh"
chmod +x "$work"/launch/scripts/*.sh
cat >"$work/CMakeLists.txt" <<CMAKE
cmake_minimum_required(VERSION 3.25)
project(built_already NONE)
add_custom_target(argosy COMMAND \${CMAKE_COMMAND} -E make_directory bin
    COMMAND \${CMAKE_COMMAND} -E create_symlink $program bin/argosy)
CMAKE

bash "$work/launch/scripts/quickstart.sh" "$work/run" >"$work/out" 2>&1
status=$?
check "quickstart exits 0" test $status -eq 0
if [ $status -ne 0 ]; then cat "$work/out"; fi
check "it shows the report" has "$work/out" COST
check "the report is in the run directory" test -s "$work/run/report.txt"
check "responses are complete and right" python3 "$here/demo_score.py" "$source/configs/demo" "$work/run/responses.jsonl"

cp "$work/run/responses.jsonl" "$work/first.jsonl" 2>/dev/null
bash "$work/launch/scripts/quickstart.sh" "$work/run" >"$work/out" 2>&1
check "the same command on the finished run exits 0" test $? -eq 0
check "and shows the report again" has "$work/out" COST
check "and leaves the responses as they were" cmp "$work/first.jsonl" "$work/run/responses.jsonl"
finish
