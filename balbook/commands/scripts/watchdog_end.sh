# watchdog_end FILE: calls the watchdog off; nothing where there is none.
set -u
[ -f "$1" ] || exit 0
read -r pid _ < "$1" || exit 0
if tr '\0' ' ' < "/proc/$pid/cmdline" 2>/dev/null | grep -q balbook-watchdog; then
  kill -TERM -- "-$pid" 2>/dev/null || kill -TERM "$pid" 2>/dev/null
fi
rm -f "$1" "$1.stdin"
exit 0
