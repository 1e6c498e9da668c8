#!/usr/bin/env bash
# The shell logic of argosy.sbatch, with an srun and a scontrol that stand in for Slurm's: USR1 is handed on and its wait repeated,
# 75 goes back into the queue, other statuses come out as they are.
source=$1
# shellcheck source=tests/launch/scripts/checks.sh
. "$(dirname "$0")/checks.sh"

mkdir -p "$work/bin"
# This srun writes its arguments down, then exits with $SRUN_STATUS; told to wait, it does so until USR1 and takes a second to leave.
cat >"$work/bin/srun" <<'SRUN'
#!/usr/bin/env bash
printf '%s\n' "$*" >"$LOG/srun"
if [ "${SRUN_WAITS:-no}" = yes ]; then
    trap 'echo usr1 >>"$LOG/signals"; sleep 1; exit 75' USR1
    touch "$LOG/ready"
    for _ in $(seq 100); do sleep 0.1; done
    exit 1
fi
exit "${SRUN_STATUS:-0}"
SRUN
# shellcheck disable=SC2016  # $* and $LOG are for the stand-in to expand
printf '#!/bin/sh\necho "$*" >>"$LOG/scontrol"\n' >"$work/bin/scontrol"
chmod +x "$work"/bin/*

export LOG=$work PATH=$work/bin:$PATH MODEL=model INPUT=requests.jsonl RUN_DIR=out
export SLURM_JOB_ID=17 SLURM_CPUS_PER_TASK=3
script=$source/launch/scripts/argosy.sbatch

SRUN_STATUS=0 bash "$script" >"$work/out" 2>&1
check "a finished job exits 0" test $? -eq 0
check "srun starts ranks through PMIx" has "$work/srun" "--mpi=pmix"
check "an orderly exit with 75 is not a reason to kill ranks" has "$work/srun" "--kill-on-bad-exit=0 --wait="
check "srun starts argosy run" has "$work/srun" "argosy run --model model --input requests.jsonl --run-dir out"
check "a finished job is not requeued" test ! -e "$work/scontrol"

SRUN_STATUS=70 bash "$script" >"$work/out" 2>&1
check "a failed job exits with its status" test $? -eq 70
check "a failed job is not requeued" test ! -e "$work/scontrol"

SRUN_WAITS=yes bash "$script" >"$work/out" 2>&1 &
batch=$!
for _ in $(seq 100); do [ -e "$work/ready" ] && break; sleep 0.1; done
kill -USR1 $batch
wait $batch
check "a job stopped by USR1 exits 0 once requeued" test $? -eq 0
check "USR1 reaches srun, once" test "$(cat "$work/signals")" = usr1
check "status 75 requeues this job" test "$(cat "$work/scontrol")" = "requeue 17"

rm -f "$work/scontrol"
SLURM_RESTART_COUNT=50 SRUN_STATUS=75 bash "$script" >"$work/out" 2>&1
check "too many rounds end with 75" test $? -eq 75
check "too many rounds do not requeue" test ! -e "$work/scontrol"

env -u MODEL bash "$script" >"$work/out" 2>&1
check "a forgotten MODEL is an error" test $? -ne 0
check "which names it" has "$work/out" "set MODEL"
finish
