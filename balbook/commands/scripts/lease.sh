# lease acquire|renew|release|show|break DIR ID STALE-S: a lock with a heartbeat. Standard input of `acquire`: the holder, one line.
# mkdir makes one winner; the time since the host's boot judges the age: clocks need not agree, and may be set meanwhile.
# After a reboot, and where there is no /proc, the host's clock does.
# Exit 0: done; 75: held by another (standard output: `AGE-S HOLDER`); 76: this run no longer holds it.
set -eu
action=$1 dir=$2 id=$3 stale=$4
# A lease that vanishes meanwhile is as good as new.
beat() { stat -c %Y "$dir/heartbeat" 2>/dev/null || stat -c %Y "$dir" 2>/dev/null || date +%s; }
now() { if read -r up _ 2>/dev/null </proc/uptime; then echo "$(cat /proc/sys/kernel/random/boot_id) ${up%.*}"; fi; }
age() {
  was=$(cat "$dir/heartbeat" 2>/dev/null || true) is=$(now)
  if [ -n "$was" ] && [ "${was% *}" = "${is% *}" ]; then echo $(( ${is#* } - ${was#* } )); else echo $(( $(date +%s) - $(beat) )); fi
}
holder() { cat "$dir/holder" 2>/dev/null || echo '{}'; }
is_ours() { [ "$(cat "$dir/id" 2>/dev/null)" = "$id" ]; }
take() { printf '%s\n' "$id" > "$dir/id"; printf '%s\n' "$1" > "$dir/holder"; now > "$dir/heartbeat"; }
case "$action" in
acquire)
  read -r new
  mkdir -p "$(dirname "$dir")"
  if mkdir "$dir" 2>/dev/null; then take "$new"; exit 0; fi
  if is_ours; then now > "$dir/heartbeat"; exit 0; fi
  if [ "$(age)" -gt "$stale" ]; then
    old=$(holder) age=$(age)
    # The run that moves the stale lease away has won. The lease stays there, named by its last heartbeat: another run that
    # judged the same lease but comes later finds that name taken and cannot move the winner's fresh lease there.
    gone="$dir.stale.$(cat "$dir/id" 2>/dev/null).$(beat)"
    if [ "$(age)" -gt "$stale" ] && mv -T "$dir" "$gone" 2>/dev/null; then
      if mkdir "$dir" 2>/dev/null; then take "$new"; echo "took over $age $old"; exit 0; fi
    fi
  fi
  echo "$(age) $(holder)"
  exit 75 ;;
renew) is_ours || exit 76; now > "$dir/heartbeat" ;;
release) is_ours || exit 76; rm -rf "$dir" "$dir".stale.* ;;
show) [ -d "$dir" ] || exit 1; echo "$(age) $(holder)" ;;
break) [ -d "$dir" ] || exit 1; echo "$(age) $(holder)"; rm -rf "$dir" "$dir".stale.* ;;
esac
