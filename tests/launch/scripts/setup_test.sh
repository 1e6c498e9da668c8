#!/usr/bin/env bash
# Every script parses; setup.sh tells exactly what is missing, and changes nothing with --check or without the right to install.
source=$1
# shellcheck source=tests/launch/scripts/checks.sh
. "$(dirname "$0")/checks.sh"
setup=$source/launch/scripts/setup.sh

for script in "$source"/launch/scripts/*.sh "$source"/launch/scripts/argosy.sbatch "$source/.ci/run" "$source"/tests/support/*.sh; do
    check "bash -n ${script#"$source"/}" bash -n "$script"
done
for script in "$source"/launch/scripts/*.sh "$source/.ci/run"; do
    check "${script#"$source"/} is executable" test -x "$script"
done

# A package database that knows one installed package only, and an apt-get that leaves a trace when anyone calls it.
mkdir -p "$work/dpkg/info" "$work/dpkg/updates" "$work/bin"
cat >"$work/dpkg/status" <<STATUS
Package: cmake
Status: install ok installed
Version: 3.25.1-1
Architecture: all
Maintainer: none <none@localhost>
Description: the only installed package

Package: ccache
Status: deinstall ok config-files
Version: 4.8-1
Architecture: all
Maintainer: none <none@localhost>
Description: removed, its settings left behind
STATUS
printf '#!/bin/sh\necho called >>"%s/apt-get.calls"\nexit 1\n' "$work" >"$work/bin/apt-get"
chmod 755 "$work" "$work/bin" "$work/bin/apt-get"
chmod -R a+rX "$work/dpkg"
before=$(find "$work/dpkg" -type f -exec cksum {} +)

bare() { env DPKG_ADMINDIR="$work/dpkg" PATH="$work/bin:$PATH" "$@"; }

bare "$setup" --check >"$work/out" 2>&1
check "--check with packages missing exits 69" test $? -eq 69
check "--check names a package that was never installed" has "$work/out" libopenmpi-dev
check "--check names a package that was removed" has "$work/out" " ccache "
check "--check prints the line to run" has "$work/out" "apt-get update && apt-get install --yes --no-install-recommends "
# shellcheck disable=SC2016  # $1 is for the inner shell to expand
check "--check does not name what is installed" bash -c '! grep -qw cmake "$1"' - "$work/out"
# shellcheck disable=SC2016  # as above
check "--check leaves test packages out" bash -c '! grep -qw strace "$1"' - "$work/out"
bare "$setup" --check --tests >"$work/out" 2>&1
check "--tests adds the test packages" has "$work/out" strace
check "--check does not call apt-get" test ! -e "$work/apt-get.calls"
check "--check changes nothing" test "$before" = "$(find "$work/dpkg" -type f -exec cksum {} +)"

bare "$setup" --chekc >"$work/out" 2>&1
check "an unknown argument exits 64" test $? -eq 64

# Without root and without sudo: the same line, the same status, nothing tried.
printf '#!/bin/sh\nexit 1\n' >"$work/bin/sudo"
chmod 755 "$work/bin/sudo"
if [ "$(id -u)" = 0 ]; then other=(setpriv --reuid=65534 --regid=65534 --clear-groups); else other=(); fi
cp "$setup" "$work/setup.sh"
bare "${other[@]}" bash "$work/setup.sh" >"$work/out" 2>&1 </dev/null
check "a user who cannot install gets status 69" test $? -eq 69
check "a user who cannot install gets the line" has "$work/out" "as root, run: apt-get update && apt-get install"
check "a user who cannot install starts no apt-get" test ! -e "$work/apt-get.calls"

# As root a failing apt-get is reported, not swallowed.
if [ "$(id -u)" = 0 ]; then
    bare "$setup" >"$work/out" 2>&1
    check "a failed installation exits 70" test $? -eq 70
    check "a failed installation called apt-get" test -e "$work/apt-get.calls"
fi
finish
