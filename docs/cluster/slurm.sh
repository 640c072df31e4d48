#!/bin/bash
# A sweep as a Slurm job array: each task runs one shard into $OUT/shard-I. Its arguments are those of sweep.
#
#     mkdir -p results
#     id=$(OUT=results sbatch --parsable --array=1-8 slurm.sh --alpha 0.01:100 --starts 1000000)
#     sbatch --dependency="afterok:$id" --wrap "sweep merge results/shard-* --out results/whole"
#
# A task that runs out of time, or whose node fails, is queued again and goes on where it was. What is left over by
# other causes is finished by submitting the same line again with RESUME=1 in front.
#SBATCH --job-name=sweep
#SBATCH --array=1-8
#SBATCH --cpus-per-task=1
#SBATCH --time=01:00:00
#SBATCH --requeue
#SBATCH --open-mode=append
# A minute before the time is over this script gets TERM, and sweep saves what it has.
#SBATCH --signal=B:TERM@60
set -u
if [ "$SLURM_ARRAY_TASK_MIN" != 1 ] || [ "$SLURM_ARRAY_TASK_MAX" != "$SLURM_ARRAY_TASK_COUNT" ]; then
  echo "slurm.sh: --array=1-K is needed: every shard from 1 to K" >&2
  exit 2
fi
sweep=${SWEEP:-sweep}
dir=${OUT:-results}/shard-$SLURM_ARRAY_TASK_ID
threads=${SLURM_CPUS_PER_TASK:-1}
again=${RESUME:-${SLURM_RESTART_COUNT:-0}}
if [ "$again" != 0 ] && [ -e "$dir/config.toml" ]; then
  "$sweep" --resume "$dir" --threads "$threads" &
else
  # A task that was killed before it wrote its configuration may have left a folder.
  force=$([ "$again" = 0 ] || echo --force)
  "$sweep" "$@" --out "$dir" $force --shard "$SLURM_ARRAY_TASK_ID/$SLURM_ARRAY_TASK_COUNT" --threads "$threads" &
fi
pid=$!
trap 'kill -TERM "$pid"' TERM
wait "$pid"
code=$?
# A trapped signal ends wait before the sweep has ended.
while kill -0 "$pid" 2>/dev/null; do
  wait "$pid"
  code=$?
done
if [ "$code" = 75 ]; then
  scontrol requeue "${SLURM_ARRAY_JOB_ID}_${SLURM_ARRAY_TASK_ID}"
fi
exit "$code"
