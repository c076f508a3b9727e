#!/usr/bin/env bash
# One simulation as a job array: each job computes a share of the tiles, none waits for another.
#
#   sbatch deploy/slurm-array.sh --out /scratch/me/run.zarr -mat A.mat -hkl P1.hkl -N 20 -lambda 0.98
#
# Every word after the script's name goes to `nbdask simulate`.  For another number of shards change
# both the array and NBDASK_SHARDS:
#
#   NBDASK_SHARDS=50 sbatch --array=1-50 deploy/slurm-array.sh --out ...
#
# `nbdask status run.zarr` lists the shards that are missing, in the words of sbatch's option.
# Submit these again, or all of them: what is there is not computed again.  A job that Slurm requeues
# goes on by itself.  The last shard closes the store; where it could not, `nbdask finish run.zarr` does.
#
#   NBDASK_VENV    virtual environment, if nbdask is not on the path already
#   NBDASK_SHARDS  number of shards [200]
#SBATCH --job-name=nbdask
#SBATCH --array=1-200
#SBATCH --ntasks=1
#SBATCH --cpus-per-task=4
#SBATCH --mem=8G
#SBATCH --time=02:00:00
#SBATCH --signal=B:TERM@120
#SBATCH --requeue
#SBATCH --open-mode=append
set -euo pipefail

if [[ -n "${NBDASK_VENV:-}" ]]; then
    # shellcheck disable=SC1091
    source "$NBDASK_VENV/bin/activate"
fi

options=(--shard "${SLURM_ARRAY_TASK_ID:?is set by a job array}/${NBDASK_SHARDS:-200}")
options+=(--threads "${SLURM_CPUS_PER_TASK:-1}")
if [[ -n "${SLURM_MEM_PER_NODE:-}" ]]; then
    # Slurm says MiB; a fifth is left to the interpreter and its libraries.
    options+=(--memory-limit "$((SLURM_MEM_PER_NODE * 8 / 10))MiB")
fi

# In the place of the shell, so that a signal of Slurm reaches it.
exec nbdask simulate "${options[@]}" "$@"
