# Stops balbook's own balancer $3 by the signal $4 once its clients are served, at once after the deadline $2. $1 is its PID file.
pid_file=$1 within_s=$2 program=$3 gentle=$4
master=$(master)
if [ -z "$master" ]; then
    echo "$program is not running"
    exit 0
fi
kill "-$gentle" "$master" || exit 1
start_ms=$(now_ms)
signal=TERM
while [ "$(master)" = "$master" ]; do
    waited_ms=$(($(now_ms) - start_ms))
    if [ "$waited_ms" -ge $((within_s * 1000)) ] && [ -n "$signal" ]; then
        say "clients are not served after $within_s s; stopping at once"
        kill "-$signal" "$master" 2>/dev/null
        signal=
    elif [ "$waited_ms" -ge $((within_s * 1000 + 5000)) ]; then
        say "$program does not stop"
        exit 27
    fi
    sleep 0.05
done
rm -f "$pid_file"
echo "$program stopped"
