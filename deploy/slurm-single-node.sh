#!/usr/bin/env bash
# One simulation on one node of a Slurm cluster:
#
#   sbatch deploy/slurm-single-node.sh --out /scratch/me/run.zarr -mat A.mat -hkl P1.hkl -N 20 -lambda 0.98
#
# Every word after the script's name goes to `nbdask simulate`.  Ask for more cores or time with
# sbatch's own options (--cpus-per-task=32 --time=8:00:00), which override the lines below.
# A store that was begun is resumed: when Slurm requeues the job nothing has to be done, when its time
# is over submit the same line again.  Two minutes before that the run is told, and ends in order.
#SBATCH --job-name=nbdask
#SBATCH --nodes=1
#SBATCH --ntasks=1
#SBATCH --cpus-per-task=16
#SBATCH --mem=32G
#SBATCH --time=02:00:00
#SBATCH --signal=B:TERM@120
#SBATCH --requeue
#SBATCH --open-mode=append
set -euo pipefail

# Where nbdask is installed, if it is not on the path already: NBDASK_VENV=/path/to/venv
if [[ -n "${NBDASK_VENV:-}" ]]; then
    # shellcheck disable=SC1091
    source "$NBDASK_VENV/bin/activate"
fi

options=(--cluster threads --threads "${SLURM_CPUS_PER_TASK:-$(nproc)}")
if [[ -n "${SLURM_MEM_PER_NODE:-}" ]]; then
    # Slurm says MiB; a fifth is left to the interpreter and its libraries.
    options+=(--memory-limit "$((SLURM_MEM_PER_NODE * 8 / 10))MiB")
fi

words=("$@")
for ((i = 0; i < ${#words[@]}; i++)); do
    if [[ ${words[i]} == --out && -e ${words[i + 1]:-} ]]; then
        options+=(--resume)
    fi
done

# In the place of the shell, so that a signal of Slurm reaches it.
exec nbdask simulate "${options[@]}" "$@"
