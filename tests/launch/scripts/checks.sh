# What the script tests share: a temporary folder that is removed at the end, and checks that name what failed.
# shellcheck shell=bash
set -uo pipefail
work=$(mktemp -d "${TMPDIR:-/tmp}/argosy-script-test-XXXXXX")
trap 'rm -rf "$work"' EXIT
failures=0

# check NAME COMMAND...: the command must succeed.
check() {
    local name=$1
    shift
    if "$@"; then echo "ok      $name"; else
        echo "FAILED  $name"
        failures=$((failures + 1))
    fi
}

# has FILE TEXT: the file holds the text, as it stands.
has() { grep -qF -- "$2" "$1" || { sed 's/^/    | /' "$1"; echo "    lacks: $2"; return 1; }; }

finish() { [ "$failures" -eq 0 ] || exit 1; }
