# Exits 70 with the last lines of the log where the process of the instance $5 has ended; else goes on.
pid='' start='' release=''
[ -f "$5/pid" ] && read -r pid start release <"$5/pid"
set -- "$@" "$(sed 's/^.*) //' "/proc/$pid/stat" 2>/dev/null | cut -d' ' -f1,20)"
if [ "${6% *}" = Z ] || [ "${6#* }" != "$start" ]; then
    echo "the process ${pid:-(none)} of ${release:-no release} has ended; the end of its log:"
    if [ -f "$5/log/current.log" ]; then
        tail -n 8 "$5/log/current.log"
    elif [ -n "$pid" ]; then
        journalctl --lines=8 --output=cat --no-pager --quiet "_PID=$pid" 2>/dev/null
    fi
    exit 70
fi
