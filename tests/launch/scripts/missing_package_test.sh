#!/usr/bin/env bash
# A package that is missing ends configuring in one message that holds the exact line to install it.
source=$1
# shellcheck source=tests/launch/scripts/checks.sh
. "$(dirname "$0")/checks.sh"

cmake -S "$source" -B "$work/build" -G Ninja -DWITH_CUDA=OFF \
    -DCMAKE_DISABLE_FIND_PACKAGE_fmt=ON -DCMAKE_DISABLE_FIND_PACKAGE_Boost=ON >"$work/out" 2>&1
check "configuring fails" test $? -ne 0
check "both packages are named in one line" \
    has "$work/out" "apt-get install --no-install-recommends libfmt-dev libboost-program-options-dev"
check "the script that installs them is named" has "$work/out" "launch/scripts/setup.sh"
finish
