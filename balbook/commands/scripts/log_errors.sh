# log_errors INSTANCE UNIT TEXT…: the first errors that the instance has logged since its start, less lines with one of the TEXTs;
# exit 1 where there are any. UNIT: whose log systemd has; empty: the log is INSTANCE/log/current.log. Changes nothing.
set -u
instance=$1 unit=$2
shift 2
allowed=$(mktemp) || exit 2
trap 'rm -f "$allowed"' EXIT
[ $# -eq 0 ] || printf '%s\n' "$@" >"$allowed"
logged() {
  if [ -n "$unit" ]; then
    id=$(systemctl show --property=InvocationID --value "$unit")
    journalctl "_SYSTEMD_INVOCATION_ID=$id" --output=cat --no-pager --quiet
  else
    began=$(cat "$instance/log/began" 2>/dev/null || echo 0)
    tail -c "+$((began + 1))" "$instance/log/current.log" 2>/dev/null
  fi
}
found=$(logged | grep -a -E 'level=ERROR|"level": ?"ERROR"|^error[: {(]|^ballerina: |^Exception in thread|^Caused by: |^panic' |
  grep -a -v -F -f "$allowed")
[ -n "$found" ] || exit 0
printf '%s\n' "$found" | head -n 5
exit 1
