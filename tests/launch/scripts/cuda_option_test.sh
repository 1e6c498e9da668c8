#!/usr/bin/env bash
# WITH_CUDA: AUTO without a compiler says no, ON without one is an error in a sentence, OFF does not look, AUTO with nvcc says yes.
source=$1
# shellcheck source=tests/launch/scripts/checks.sh
. "$(dirname "$0")/checks.sh"

cat >"$work/CMakeLists.txt" <<CMAKE
cmake_minimum_required(VERSION 3.25)
project(cuda_option LANGUAGES CXX)
include($source/cmake/cuda.cmake)
message(STATUS "ARGOSY_CUDA=\${ARGOSY_CUDA}: \${ARGOSY_CUDA_STATE}")
CMAKE
configure() { cmake -S "$work" -B "$work/build" -G Ninja "$@" >"$work/out" 2>&1; }
# A path with the tools of the build, but without nvcc wherever it may be installed.
no_nvcc() {
    rm -rf "$work/build"
    env -u CUDACXX -u CUDA_PATH PATH="$work/bin" CXX="$(command -v c++)" cmake -S "$work" -B "$work/build" -G Ninja \
        -DCMAKE_SYSTEM_PREFIX_PATH=/nonexistent "$@" >"$work/out" 2>&1
}
mkdir -p "$work/bin"
for tool in cmake ninja c++ as ld ar ranlib nm; do ln -s "$(command -v $tool)" "$work/bin/$tool"; done

no_nvcc -DWITH_CUDA=AUTO
check "AUTO without nvcc configures" test $? -eq 0
check "AUTO without nvcc says no" has "$work/out" "ARGOSY_CUDA=FALSE: no (WITH_CUDA=AUTO found no nvcc)"
no_nvcc -DWITH_CUDA=ON
check "ON without nvcc is an error" test $? -ne 0
check "ON without nvcc tells what to do" has "$work/out" "Put nvcc on PATH"
rm -rf "$work/build"
configure -DWITH_CUDA=OFF
check "OFF does not look" has "$work/out" "ARGOSY_CUDA=FALSE: no (WITH_CUDA=OFF)"
configure -DWITH_CUDA=perhaps
check "another word is an error" test $? -ne 0
check "which lists the words" has "$work/out" "It must be AUTO, ON or OFF."

if command -v nvcc >/dev/null; then
    # The same folder that said no before: a toolkit installed since is found.
    no_nvcc -DWITH_CUDA=AUTO
    configure -DWITH_CUDA=AUTO
    check "AUTO with nvcc says yes" has "$work/out" "ARGOSY_CUDA=TRUE: yes, NVIDIA"
elif [ "${ARGOSY_REQUIRE_NVCC:-0}" = 1 ]; then
    check "nvcc is here, as ARGOSY_REQUIRE_NVCC=1 demands" false
else
    finish
    echo "skipped: WITH_CUDA=AUTO with a compiler (nvcc is not here)"
    exit 77
fi
finish
