#!/usr/bin/env bash
# One Slurm job over several nodes: scheduler, workers and the leading process inside it.
#
#   sbatch --nodes=4 deploy/slurm-one-job.sh --out /scratch/me/run.zarr -mat A.mat -hkl P1.hkl -N 20 -lambda 0.98
#
# Every word after the script's name goes to `nbdask simulate`.  A store that was begun is resumed:
# when Slurm requeues the job (preemption, a node that is lost) nothing has to be done, when its time
# is over submit the same line again.  Two minutes before that the run is told, and ends in order.
#
#   NBDASK_VENV       virtual environment, if nbdask is not on the path already
#   NBDASK_JOB_DIR    folder that all nodes see, for addresses and credentials [the job's folder]
#   NBDASK_INTERFACE  network interface between the nodes, such as ib0 [chosen by dask]
#SBATCH --job-name=nbdask
#SBATCH --nodes=2
#SBATCH --ntasks-per-node=1
#SBATCH --cpus-per-task=16
#SBATCH --mem=32G
#SBATCH --time=04:00:00
#SBATCH --signal=B:TERM@120
#SBATCH --requeue
#SBATCH --open-mode=append
set -euo pipefail

if [[ -n "${NBDASK_VENV:-}" ]]; then
    # shellcheck disable=SC1091
    source "$NBDASK_VENV/bin/activate"
fi

out=
words=("$@")
for ((i = 0; i < ${#words[@]}; i++)); do
    if [[ ${words[i]} == --out ]]; then
        out=${words[i + 1]:-}
    fi
done
if [[ -z "$out" ]]; then
    echo "slurm-one-job.sh: --out is missing" >&2
    exit 2
fi

# One thread per task.
export OMP_NUM_THREADS=1 MKL_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1
# Other users of the nodes get no pages of dask to read.
export DASK_DISTRIBUTED__SCHEDULER__HTTP__ROUTES='[]' DASK_DISTRIBUTED__WORKER__HTTP__ROUTES='[]'

folder=${NBDASK_JOB_DIR:-$PWD}/nbdask-$SLURM_JOB_ID
mkdir -p "$folder"
chmod 700 "$folder"
started=()
main=
finish() {
    # The run first: it gives the lock back while its workers are still there.
    if [[ -n "$main" ]]; then
        kill "$main" 2>/dev/null || true
        wait "$main" 2>/dev/null || true
    fi
    for pid in ${started[@]+"${started[@]}"}; do
        kill "$pid" 2>/dev/null || true
    done
    wait
    rm -f "$folder"/*.pem "$folder"/scheduler.json
}
trap finish EXIT
trap 'exit 143' TERM

# What talks over the network talks TLS, with credentials of this job alone.
credentials=$(python -m nbdask.cluster.security "$folder")
eval "$credentials"

network=(--protocol tls)
if [[ -n "${NBDASK_INTERFACE:-}" ]]; then
    network+=(--interface "$NBDASK_INTERFACE")
fi
rm -f "$folder/scheduler.json"
python -m distributed.cli.dask_scheduler "${network[@]}" --port 0 \
    --scheduler-file "$folder/scheduler.json" --no-dashboard --dashboard-address 127.0.0.1:0 \
    >"$folder/scheduler.log" 2>&1 &
started+=($!)

threads=${SLURM_CPUS_PER_TASK:-1}
memory=(--memory-limit auto)
if [[ -n "${SLURM_MEM_PER_NODE:-}" ]]; then
    # Slurm says MiB; a tenth is left to the scheduler and the leading process.
    memory=(--memory-limit "$((SLURM_MEM_PER_NODE * 9 / 10))MiB")
fi
# Each worker's scratch is in a folder that nobody else could have made.
# shellcheck disable=SC2016
srun --overlap --output "$folder/worker-%t.log" \
    bash -c 'exec python -m distributed.cli.dask_worker "$@" --local-directory "$(mktemp -d)"' worker \
    "${network[@]}" --scheduler-file "$folder/scheduler.json" --nthreads "$threads" \
    "${memory[@]}" --no-dashboard --dashboard-address 127.0.0.1:0 &
started+=($!)

resume=()
if [[ -e "$out" ]]; then
    resume=(--resume)
fi
# In the background, so that a signal of Slurm is acted upon at once.
nbdask simulate --cluster "scheduler-file:$folder/scheduler.json" --workers "$SLURM_NTASKS" \
    ${resume[@]+"${resume[@]}"} "$@" &
main=$!
wait "$main"
