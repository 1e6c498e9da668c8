#!/usr/bin/env bash
# mma_bits on this machine: with a Hopper GPU it must find that all agrees; without one it must refuse in a sentence with status 69.
set -uo pipefail
program=$1
work=$(mktemp -d "${TMPDIR:-/tmp}/argosy-device-test-XXXXXX")
trap 'rm -rf "$work"' EXIT

"$program" --out "$work/findings.json" >"$work/out" 2>"$work/err"
status=$?
cat "$work/out" "$work/err"
if [ -e /dev/nvidiactl ] && [ "$status" -ne 69 ]; then
    [ "$status" -eq 0 ] && [ -s "$work/findings.json" ]
elif grep -qE '^The GPU here, .* has compute capability .* This check is built for 9\.0 \(Hopper\)\.$' "$work/err"; then
    [ "$status" -eq 69 ]
else
    # A machine with a GPU that this program cannot use is no machine without one.
    [ ! -e /dev/nvidiactl ] && [ "$status" -eq 69 ] && [ ! -e "$work/findings.json" ] &&
        grep -qE '^There is no GPU that can be used here \(.+\)\. Run this on .*\.$' "$work/err"
fi || {
    echo "mma_bits ended with status $status, which is not what this machine should give."
    exit 1
}
"$program" >/dev/null 2>"$work/err"
status=$?
[ "$status" -eq 64 ] && grep -q '^Say where the findings go' "$work/err" || {
    echo "mma_bits without arguments ended with status $status."
    exit 1
}
