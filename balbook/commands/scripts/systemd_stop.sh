# systemd_stop INSTANCE UNIT WITHIN-S: stops the unit; its processes are killed after the time that the unit gives them, at once
# where WITHIN-S is 0. It is started again at the next boot.
set -eu
state=$(systemctl show --property=LoadState,ActiveState --value "$2" | tr '\n' ' ')
case $state in not-found* | *' inactive '*) echo "nothing runs"; exit 0 ;; esac
if [ "$3" -eq 0 ]; then
  # Asked to stop first: what is killed before that is restarted.
  systemctl stop --no-block "$2"
  systemctl kill --signal=SIGKILL "$2" 2>/dev/null || true
fi
systemctl stop "$2"
systemctl reset-failed "$2" 2>/dev/null || true
echo "stopped"
