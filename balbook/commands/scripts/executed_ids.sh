# executed_ids PREFIX INSTANCE…: every id with this prefix that the logs name as executed, with how often. INSTANCE: its directory,
# or a unit whose log systemd has. Changes nothing.
set -u
prefix=$1
shift
for instance in "$@"; do
  case $instance in
  /*) cat -- "$instance/log/current.log" 2>/dev/null ;;
  *) journalctl --unit="$instance" --output=cat --no-pager --quiet 2>/dev/null ;;
  esac
done | grep -o "executed POST [^ ]* id=$prefix-[0-9]*" | sed 's/.*id=//' | sort | uniq -c
exit 0
