#!/usr/bin/env bash
# From a login node: the leading process runs here, each worker is a Slurm job of its own.
#
#   deploy/slurm-login-node.sh --out /scratch/me/run.zarr -mat A.mat -hkl P1.hkl -N 20 -lambda 0.98
#
# Every word goes to `nbdask simulate`.  Lost jobs are replaced, all jobs end with the run, and
# Ctrl-C ends them too.  Run it within tmux or screen, or as a small job of its own.  Counts,
# memory and queue come from the profile "slurm" in dask's configuration: see deploy/dask/slurm.yaml.
#
#   NBDASK_VENV      virtual environment, if nbdask is not on the path already
#   NBDASK_PROFILE   name of the profile [slurm]
set -euo pipefail

if [[ -n "${NBDASK_VENV:-}" ]]; then
    # shellcheck disable=SC1091
    source "$NBDASK_VENV/bin/activate"
fi
exec nbdask simulate --profile "${NBDASK_PROFILE:-slurm}" "$@"
