# Stops balbook's own HAProxy once its clients are served, at once after the deadline. $1 is its PID file, $2 the deadline.
pid_file=$1 within_s=$2
master=$(master)
if [ -z "$master" ]; then
    echo "haproxy is not running"
    exit 0
fi
kill -USR1 "$master" || exit 1
start_ms=$(now_ms)
signal=TERM
while [ "$(master)" = "$master" ]; do
    waited_ms=$(($(now_ms) - start_ms))
    if [ "$waited_ms" -ge $((within_s * 1000)) ] && [ -n "$signal" ]; then
        say "clients are not served after $within_s s; stopping at once"
        kill "-$signal" "$master" 2>/dev/null
        signal=
    elif [ "$waited_ms" -ge $((within_s * 1000 + 5000)) ]; then
        say "haproxy does not stop"
        exit 27
    fi
    sleep 0.05
done
rm -f "$pid_file"
echo "haproxy stopped"
