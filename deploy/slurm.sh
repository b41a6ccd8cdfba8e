#!/usr/bin/env bash
# A study on several nodes of a SLURM cluster. From the checkout, whose environment is in .venv:
#
#   SEARCH=pgn_cifar RESULTS=/shared/results sbatch deploy/slurm.sh [OPTION ...]
#
# The options are those of tune_ad. Five minutes before its time is over, the job stops in good
# order, and enters the queue again; it then continues the study. For GPUs, add
# --gpus-per-task=N.
#SBATCH --job-name=tune_ad
#SBATCH --nodes=2
#SBATCH --ntasks-per-node=1
#SBATCH --cpus-per-task=8
#SBATCH --time=04:00:00
#SBATCH --signal=B:USR1@300
#SBATCH --requeue
#SBATCH --open-mode=append
set -euo pipefail

cd "${SLURM_SUBMIT_DIR:?this script is for sbatch}"
export PATH="$PWD/.venv/bin:$PATH"

# A token of this job alone; srun hands the environment on to every node.
RAY_AUTH_TOKEN=$(od -An -N32 -tx1 /dev/urandom | tr -d ' \n')
export RAY_AUTH_MODE=token RAY_AUTH_TOKEN
export RAY_TMPDIR="/tmp/tune_ad-$SLURM_JOB_ID" # short, and of this job alone
export RAY_USAGE_STATS_ENABLED=0
export RAY_GRACEFUL_SHUTDOWN_DRAIN_TIMEOUT_S=0 # when Ray ends here, nothing runs any more
export SRUN_CPUS_PER_TASK="${SLURM_CPUS_PER_TASK:-1}" # srun does not take it from sbatch

nodes=$SLURM_JOB_NUM_NODES
mapfile -t names < <(scontrol show hostnames "$SLURM_JOB_NODELIST")
head=${names[0]}
ips=$(srun --overlap --nodes=1 --ntasks=1 --nodelist="$head" hostname --ip-address)
ip=${ips%% *}
address="$ip:$((20000 + SLURM_JOB_ID % 20000))"
sizes=(--num-cpus="$SRUN_CPUS_PER_TASK" --num-gpus="${SLURM_GPUS_PER_TASK:-0}")

driver='' requeue='' again=''
stop() { # act on the signal of SLURM
    requeue=yes again=yes
    if [ -n "$driver" ]; then
        kill -USR1 "$driver" 2>/dev/null || true
    else
        scontrol requeue "$SLURM_JOB_ID"
        exit 143
    fi
}
finish() { # end Ray on every node, and a program that has just begun
    trap - EXIT
    local running
    mapfile -t running < <(jobs -p)
    if ((${#running[@]} > 0)); then
        kill "${running[@]}" 2>/dev/null || true
        wait "${running[@]}" || true
    fi
    srun --overlap --nodes="$nodes" --ntasks="$nodes" rm -rf "$RAY_TMPDIR" || true
}
trap stop USR1
trap finish EXIT

srun --overlap --nodes=1 --ntasks=1 --nodelist="$head" \
    ray start --block --head --node-ip-address="$ip" --port="${address##*:}" "${sizes[@]}" &
if ((nodes > 1)); then
    srun --overlap --nodes=$((nodes - 1)) --ntasks=$((nodes - 1)) --exclude="$head" \
        ray start --block --address="$address" "${sizes[@]}" &
fi
python deploy/wait_for_nodes.py "$address" "$nodes" 300

deploy/begin_or_resume.sh --address "$address" "$@" &
driver=$!
code=0
wait "$driver" || code=$?
while [ -n "$again" ]; do # the signal ends `wait` before the program ends
    again='' last=0
    wait "$driver" || last=$?
    ((last == 127)) || code=$last # 127: it had ended when the signal came
done

finish
# 143: the study has stopped in good order. 138: the signal came before it began.
if [ -n "$requeue" ] && ((code == 143 || code == 138)); then
    scontrol requeue "$SLURM_JOB_ID"
fi
exit "$code"
