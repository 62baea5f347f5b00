#!/usr/bin/env bash
# One job per stage, each waiting for the one before:
#
#   slurm/chain.sh [SBATCH OPTION ...] -- CONFIG [KEY=VALUE ...]
#   slurm/chain.sh --nodes=2 --ntasks-per-node=4 --gpus-per-node=4 -- configs/wflw.yaml
#
# A stage that fails cancels those after it. Run it again: finished stages are not repeated.
set -euo pipefail

options=(--parsable --kill-on-invalid-dep=yes)
while (($# > 0)) && [[ $1 != -- ]]; do
  options+=("$1")
  shift
done
if (($# < 2)); then
  echo "usage: $0 [SBATCH OPTION ...] -- CONFIG [KEY=VALUE ...]" >&2
  exit 2
fi
shift

# Within a job its variables would count as options of the new ones, and exclude each other.
for name in ${!SLURM_*}; do
  [[ $name == SLURM_CONF ]] || unset "$name"
done

script=$(dirname "$(realpath "$0")")/train.sbatch
job=
for stage in preliminary pretrain finetune; do
  answer=$(sbatch --job-name="sesame-$stage" ${job:+--dependency=afterok:$job} \
    "${options[@]}" "$script" "$@" --stage "$stage")
  # The id, or "id;cluster"; sites put programs in front of sbatch that print more.
  job=$(grep -E '^[0-9]+(;.*)?$' <<< "$answer" | tail -n 1) || {
    echo "sbatch printed no job id but: $answer" >&2
    exit 1
  }
  where=
  [[ $job != *\;* ]] || where=" on cluster ${job#*;}"
  job=${job%%;*}
  echo "$stage: job $job$where"
done
