#!/usr/bin/env bash
# From a bare Debian 12 to the report of a finished job: installs what is missing, builds the program, runs the demo job on two
# ranks.
#
#   quickstart.sh [RUN-DIR]      the results go to RUN-DIR, or to a fresh temporary folder
#
# The demo job needs no further settings: `argosy run` without --model and --input takes the model and requests of
# configs/demo. A second call finds everything built; with the same RUN-DIR it shows the report of the finished run again.
set -euo pipefail

if [ $# -gt 1 ] || [[ ${1:-} == -* ]]; then
    echo "Usage: quickstart.sh [RUN-DIR]" >&2
    exit 64
fi
run_dir=${1:-}
[ -z "$run_dir" ] || run_dir=$(realpath -m -- "$run_dir")
cd "$(dirname -- "${BASH_SOURCE[0]}")/../.."

step() { printf '== %3ds  %s\n' "$SECONDS" "$*"; }

step "1/4 packages"
launch/scripts/setup.sh

step "2/4 configure (build/release)"
mkdir -p build
if ! cmake --preset release >build/configure.log 2>&1; then
    cat build/configure.log >&2
    exit 70
fi
sed -n '/^-- Argosy /,/^--   tests/p' build/configure.log

step "3/4 build the program with $(nproc) jobs"
cmake --build --preset release --target argosy -j "$(nproc)"

[ -n "$run_dir" ] || run_dir=$(mktemp -d "${TMPDIR:-/tmp}/argosy-demo-XXXXXX")/run
step "4/4 demo job on two ranks, into $run_dir"
if [ "$(id -u)" = 0 ]; then
    export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1  # Open MPI refuses root unless told twice
fi
# Containers often forbid reading another process' memory, and then Open MPI complains at every message: go through shared memory.
export OMPI_MCA_btl_vader_single_copy_mechanism=${OMPI_MCA_btl_vader_single_copy_mechanism:-none}
# Two ranks on one core must give way to each other while they wait.
export OMPI_MCA_mpi_yield_when_idle=${OMPI_MCA_mpi_yield_when_idle:-1}
# --foreground lets Ctrl-C reach mpirun, and with it the ranks.
status=0
timeout --foreground -k 2 300 mpirun --oversubscribe --bind-to none -n 2 \
    build/release/bin/argosy run --run-dir "$run_dir" </dev/null || status=$?
if [ "$status" -ne 0 ]; then
    echo "quickstart: the demo job ended with status $status; its log is $run_dir/log.txt" >&2
    exit "$status"
fi

step "done"
echo "Results  $run_dir/responses.jsonl"
echo "Report   $run_dir/report.txt"
