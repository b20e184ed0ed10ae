# log_errors INSTANCE UNIT TEXT…: the first errors that the instance has logged since its start, less lines with one of the TEXTs;
# exit 1 where there are any, 2 (and why) where the log cannot be read. UNIT: whose log systemd has; empty: the log is
# INSTANCE/log/current.log. Changes nothing.
set -u
instance=$1 unit=$2
shift 2
allowed=$(mktemp) && trouble=$(mktemp) || exit 2
trap 'rm -f "$allowed" "$trouble"' EXIT
[ $# -eq 0 ] || printf '%s\n' "$@" >"$allowed"
logged() {
  if [ -n "$unit" ]; then
    id=$(systemctl show --property=InvocationID --value "$unit" 2>"$trouble")
    [ -n "$id" ] || { echo "systemd knows no start of $unit" >>"$trouble"; return; }
    { said=$(journalctl "_SYSTEMD_INVOCATION_ID=$id" --output=cat --no-pager --quiet 2>&1 >&3 3>&-) || echo "journalctl: $said" >>"$trouble"; } 3>&1
  else
    began=$(cat "$instance/log/began" 2>/dev/null || echo 0)
    tail -c "+$((began + 1))" "$instance/log/current.log" 2>"$trouble"
  fi
}
found=$(logged | grep -a -E 'level=ERROR|"level": ?"ERROR"|^error[: {(]|^ballerina: |^Exception in thread|^Caused by: |^panic' |
  grep -a -v -F -f "$allowed")
if [ -s "$trouble" ]; then
  printf 'the log cannot be read: %s\n' "$(head -n 3 "$trouble")" >&2
  exit 2
fi
[ -n "$found" ] || exit 0
printf '%s\n' "$found" | head -n 5
exit 1
