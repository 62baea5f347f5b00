# After the ranks have left, on the node of the batch script and outside of any container: requeue
# the job if rank 0 asked for it by writing $SESAME_REQUEUE_FILE, or if SLURM preempts the job. Where
# SLURM does not requeue it, submit it again and move the jobs that wait for it.
#
# A file, since the exit code of srun is not that of rank 0 if other ranks are killed meanwhile. Ranks
# that find a node faulty write its name to $SESAME_REQUEUE_FILE.bad.RANK.
sesame_job=$SLURM_JOB_ID
if [[ -n ${SLURM_ARRAY_TASK_ID:-} ]]; then
  sesame_job=${SLURM_ARRAY_JOB_ID}_$SLURM_ARRAY_TASK_ID
fi
export SESAME_REQUEUE_FILE=${SESAME_JOB_FOLDER:-$SLURM_SUBMIT_DIR}/${sesame_job}_requeue
rm -f "$SESAME_REQUEUE_FILE" "$SESAME_REQUEUE_FILE".bad.*

# SIGTERM, as of a preemption, must reach the ranks without ending this script before them.
trap : TERM

sesame_say() { echo "sesame: $*" >&2; }

sesame_field() { sed -n "s/^\(.* \)\?$1=\([^ ]*\).*/\2/p"; }

# sesame_ask COMMAND...: what SLURM answers, asked again for half an hour while there is no answer.
# SLURM may have done what it did not answer: a second sbatch would make a second job.
sesame_ask() {
  local answer code last='' end=$((SECONDS + ${SESAME_REQUEUE_SECONDS:-1800}))
  trap : TERM # of this subshell too
  while true; do
    code=0
    answer=$(timeout 60 "$@" 2>&1) || code=$?
    case $code:$answer in
      0:*) break ;;
      124:*) answer="no answer within 60 s" ;;
      12[89]:* | 1[3-9]?:*) answer="ended by a signal" ;; # SLURM ends the processes of the job
      *[Cc]ontact* | *[Cc]onnect* | *"imed out"* | *standby* | *[Ss]ocket* | *"Zero Bytes"* | \
        *"Communication"* | *"uthentication"* | *"temporarily"*) ;;
      *) break ;;
    esac
    if [[ $answer != "$last" ]]; then
      sesame_say "$1 ${2:-}: ${answer##*$'\n'}; asking again until SLURM answers"
      last=$answer
    fi
    ((SECONDS < end)) || break
    sleep 3
    if [[ $1 == sbatch ]] && answer=$(sesame_waiting_for "${3#*:}"); then
      code=0
      break
    fi
  done
  echo "$answer"
  return "$code"
}

# sesame_follow_up CODE: what is left to do when srun has ended with CODE. Does not return.
sesame_follow_up() {
  [[ -z ${sesame_watcher:-} ]] || kill "$sesame_watcher" 2> /dev/null || true
  if sesame_goes_on "$1"; then
    :
  elif (($1)); then
    sesame_notify failed
  elif [[ -n ${SESAME_LAST_JOB:-} ]]; then
    sesame_notify ended
  fi
  exit "$1"
}

# sesame_notify EVENT: run the command of the profile, if it has one.
sesame_notify() {
  local event=$1
  [[ -n ${SESAME_NOTIFY:-} ]] || return 0
  [[ $event != failed || $(sesame_state) != CANCELLED ]] || event=cancelled
  SESAME_EVENT=$event timeout 60 bash -c "$SESAME_NOTIFY" ||
    sesame_say "the command of notify ended with code $?"
}

# What SLURM calls the state of the job, or nothing.
sesame_state() {
  timeout 60 scontrol show job "$sesame_job" --oneliner 2> /dev/null | sesame_field JobState || true
}

# sesame_watch SECONDS: notice once that the run is stuck: that for so long neither a log of the job
# nor the metrics of the run, or of one of a sweep, have got longer.
sesame_watch() {
  local before='' now
  trap 'kill "$!"; exit' TERM
  while sleep "$1" & wait "$!"; do
    now=$(stat --format='%n %s' "${SESAME_JOB_FOLDER:-.}/${sesame_job}"_*_log.out \
      "${SESAME_RUN:-.}"/metrics.jsonl "${SESAME_RUN:-.}"/*/metrics.jsonl 2> /dev/null)
    if [[ $now == "$before" ]]; then
      sesame_say "nothing was recorded for $1 s"
      sesame_notify stuck
      return
    fi
    before=$now
  done
}

# sesame_goes_on CODE: whether the job was requeued, or another continues it.
sesame_goes_on() {
  local code=$1 job=$sesame_job asked='' bad='' shown state answer
  if [[ -e $SESAME_REQUEUE_FILE ]]; then
    asked=yes
    rm -f "$SESAME_REQUEUE_FILE"
  fi
  # SIGUSR1 or SIGUSR2, which came while the ranks were starting and ended them.
  if [[ -z $asked && $code =~ ^(138|140)$ ]]; then
    sesame_say "the signal came before the ranks could handle it"
    echo "$code" >> "$SESAME_REQUEUE_FILE.early"
    [[ $(wc -l < "$SESAME_REQUEUE_FILE.early") -gt 3 ]] || asked=yes
  fi
  [[ -n $asked && $code =~ ^(138|140)$ ]] || rm -f "$SESAME_REQUEUE_FILE.early"
  bad=$(sesame_bad_nodes)
  case $asked:$code:$bad in
    yes:* | :0:* | :75:* | :130:* | :137:* | :143:* | :*:?*) ;;
    *) return 1 ;;
  esac
  if ((code == 0)) && [[ -z $asked ]]; then
    # A stage that ends well in its grace time counts as preempted since SLURM 24.05, and the jobs that
    # wait for it never start. It runs again, finds itself finished, and ends well.
    shown=$(timeout 60 scontrol show job "$job" --oneliner 2> /dev/null) || return 1
  elif ! shown=$(sesame_ask scontrol show job "$job" --oneliner); then
    sesame_say "SLURM did not say how job $job is: ${shown##*$'\n'}"
    return 1
  fi
  if ! sesame_is_running "$shown"; then
    state=$(sesame_field JobState <<< "$shown")
    sesame_say "SLURM ends job $job itself ($state)"
    [[ $state != CANCELLED ]]
    return
  fi
  if [[ -n $bad ]]; then
    sesame_exclude "$job" "$bad" "$(sesame_field ExcNodeList <<< "$shown")"
    return
  fi
  if [[ -z $asked ]]; then
    case $(sesame_field PreemptTime <<< "$shown") in
      '' | None | N/A) return 1 ;;
    esac
    sesame_say "SLURM preempts job $job"
  fi
  if answer=$(sesame_ask scontrol requeue "$job"); then
    sesame_say "job $job is requeued"
    sleep 300 & # until SLURM ends this script
    wait $! || true
    return 0
  elif ((code == 0)) && [[ -z $asked ]]; then
    return 1
  elif shown=$(sesame_ask scontrol show job "$job" --oneliner) && ! sesame_is_running "$shown"; then
    # A rank or SLURM was faster, or SLURM did it and its answer was lost.
    state=$(sesame_field JobState <<< "$shown")
    sesame_say "SLURM ends job $job itself ($state; ${answer##*$'\n'})"
    [[ $state != CANCELLED ]]
    return
  elif [[ -n ${SESAME_JOB_FOLDER:-} ]]; then
    sesame_say "SLURM does not requeue job $job (${answer##*$'\n'})"
    sesame_submit_successor "$job"
    return
  else
    sesame_say "SLURM does not requeue job $job (${answer##*$'\n'}); submit it again to resume"
  fi
  return 1
}

# sesame_is_running SHOWN: whether scontrol shows this start of the job as running.
sesame_is_running() {
  local state
  state=$(sesame_field JobState <<< "$1")
  [[ $state == RUNNING || $state == SIGNALING ]] &&
    [[ $(sesame_field Restarts <<< "$1") == "${SLURM_RESTART_COUNT:-0}" ]]
}

# The nodes that ranks found faulty, one per line; none unless the profile has exclude_bad_nodes.
sesame_bad_nodes() {
  [[ -z ${SESAME_EXCLUDE_BAD_NODES:-} ]] || cat "$SESAME_REQUEUE_FILE".bad.* 2> /dev/null | sort -u
  rm -f "$SESAME_REQUEUE_FILE".bad.*
}

# sesame_exclude JOB NODES EXCLUDED: submit this script again without NODES and those that the job
# excludes already, unless too many were excluded before.
sesame_exclude() {
  local job=$1 nodes=${2//$'\n'/,} excluded=$3 file=$SESAME_JOB_FOLDER/excluded_nodes.txt before=0
  [[ ! -e $file ]] || before=$(wc -l < "$file")
  if ((before + $(wc -l <<< "$2") > SESAME_EXCLUDE_BAD_NODES)); then
    sesame_say "faulty: $nodes; $before excluded before, of $SESAME_EXCLUDE_BAD_NODES (exclude_bad_nodes)"
    return 1
  fi
  sesame_say "faulty: $nodes; submitting job $job again without"
  [[ $excluded == '' || $excluded == '(null)' ]] || nodes+=,$excluded
  sesame_submit_successor "$job" "--exclude=$nodes" && sed "s/^/$job /" <<< "$2" >> "$file"
}

# sesame_submit_successor JOB [OPTION]: submit this script again, to start when this job has ended;
# note both ids in successors.txt, and let the jobs that wait for this one wait for the new one.
sesame_submit_successor() {
  local job=$1 new id
  local options=(--parsable "--dependency=afterany:$SLURM_JOB_ID" "${@:2}")
  if [[ -n ${SLURM_ARRAY_TASK_ID:-} ]]; then
    options+=("--array=$SLURM_ARRAY_TASK_ID")
  fi
  if ! new=$(sesame_outside_of_job sesame_ask sbatch "${options[@]}" "$0"); then
    sesame_say "and sbatch refuses it: ${new##*$'\n'}; submit it again to resume"
    return 1
  fi
  new=$(grep -E '^[0-9]+(;.*)?$' <<< "$new" | tail -n 1) # wrappers of sites print more
  new=${new%%;*}
  id=$new
  if [[ -n ${SLURM_ARRAY_TASK_ID:-} ]]; then
    id=${new}_$SLURM_ARRAY_TASK_ID
  fi
  cp "$SESAME_JOB_FOLDER/${job}_submitted.pkl" "$SESAME_JOB_FOLDER/${id}_submitted.pkl"
  echo "$job $id" >> "$SESAME_JOB_FOLDER/successors.txt"
  sesame_say "job $id continues job $job"
  sesame_move_dependents "$id"
}

# sesame_waiting_for JOB: the job that waits for JOB to end in whatever way.
sesame_waiting_for() {
  timeout 60 squeue --noheader --states=PENDING --format='%i %E' 2> /dev/null |
    sed -nE "s/^([0-9]+)[^ ]* +([^ ]*,)?afterany:$1([^0-9].*)?$/\1/p" | grep -m 1 .
}

# Without the variables of this job, which sbatch and the new job would take for their own.
sesame_outside_of_job() (
  for name in ${!SLURM_*}; do
    [[ $name == SLURM_CONF ]] || unset "$name"
  done
  "$@"
)

# sesame_move_dependents ID: jobs that wait for this one wait for job ID.
sesame_move_dependents() {
  local waiting dependency own=${SLURM_ARRAY_JOB_ID:-$SLURM_JOB_ID} task=${SLURM_ARRAY_TASK_ID:-}
  sesame_ask squeue --noheader --array --states=PENDING --format='%i %E' |
    while read -r waiting dependency; do
      [[ ,$dependency == *",after"*":$own"[_\(]* && $waiting != "$1" ]] || continue
      [[ -z $task || $waiting != *_* || $waiting == *_"$task" ]] || continue
      dependency=$(sed -E "s/\([a-z]*\)//g; s/(afterok|aftercorr):${own}(_[*0-9]+)?/afterok:$1/" \
        <<< "$dependency")
      if sesame_ask scontrol update "JobId=$waiting" "Dependency=$dependency" > /dev/null; then
        sesame_say "job $waiting waits for it"
      fi
    done
}

if [[ -n ${SESAME_NOTIFY:-} && -n ${SESAME_STUCK_SECONDS:-} ]]; then
  sesame_watch "$SESAME_STUCK_SECONDS" &
  sesame_watcher=$!
fi
