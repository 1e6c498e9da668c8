#!/usr/bin/env bash
# Runs a program under mpirun for a test, on one machine: mpirun.sh SECONDS RANKS PROGRAM [ARGUMENT...]
# Ranks may exceed cores, and the run ends after SECONDS (times ARGOSY_TEST_PATIENCE, where programs are slow) whatever happens.
set -u
seconds=$(($1 * ${ARGOSY_TEST_PATIENCE:-1})) ranks=$2
shift 2
if [ "$(id -u)" = 0 ]; then
    export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1  # containers and test machines run as root
fi
export OMPI_MCA_mpi_yield_when_idle=1 OMPI_MCA_btl_base_warn_component_unused=0
export OMP_NUM_THREADS=${OMP_NUM_THREADS:-1}
exec timeout -k 2 "$seconds" mpirun --oversubscribe --bind-to none -n "$ranks" "$@"
