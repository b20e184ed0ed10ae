# Stops balbook's own balancer $3 by the signal $4 once its clients are served, at once after the deadline $2. $1 is its PID file.
pid_file=$1 within_s=$2 program=$3 gentle=$4
master=$(master)
[ -n "$master" ] || { echo "$program is not running"; exit 0; }
kill "-$gentle" "$master" || exit 1
allow "$within_s"
signal=TERM
while [ "$(master)" = "$master" ]; do
    if is_over; then
        [ -n "$signal" ] || refuse 27 "$program does not stop"
        say "clients are not served after $within_s s; stopping at once"
        kill "-$signal" "$master" 2>/dev/null
        signal=
        allow 5
    fi
    sleep 0.05
done
rm -f "$pid_file"
echo "$program stopped"
