# has_ended INSTANCE: exits 70 with the last lines of the log where the process of the instance has ended; else goes on.
if ! lives "$1"; then
    echo "the process ${pid:-(none)} of ${release:-no release} has ended; the end of its log:"
    if [ -f "$1/log/current.log" ]; then
        tail -n 8 "$1/log/current.log"
    elif [ -n "$pid" ]; then
        journalctl --lines=8 --output=cat --no-pager --quiet "_PID=$pid" 2>/dev/null
    fi
    exit 70
fi
