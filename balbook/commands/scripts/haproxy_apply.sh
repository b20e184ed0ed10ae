# Puts HAProxy's whole configuration (stdin) in force and keeps drained servers drained. Exit statuses: see haproxy.py.
path=$1 marker=$2 sha256=$3 generation=$4 pid_file=$5 socket=$6 state_file=$7 is_own=$8 url=$9
within_s=${10}
[ -z "$is_own" ] || mkdir -p "${path%/*}" || exit 1

# True where the file is as the distribution installed it: it may be replaced.
is_untouched() {
    command -v dpkg-query >/dev/null 2>&1 &&
        dpkg-query --show --showformat='${Conffiles}\n' haproxy 2>/dev/null | grep -q "^ $1 $(md5sum <"$1" | cut -c 1-32)"
}

launch() {
    if [ -z "$is_own" ] && command -v systemctl >/dev/null 2>&1 && [ -d /run/systemd/system ]; then
        systemctl start haproxy
    else
        haproxy -W -D -f "$path" -p "$pid_file" 9>&-
    fi
}

lock "$within_s"
receive "$path" "$sha256"
[ ! -e "$path" ] || is_ours "$path" "$marker" || is_untouched "$path" || refuse_foreign "$path" "$marker"
master=$(master)
if [ -n "$master" ] && cmp -s "$path" "$new" && [ "$(served)" = "$generation" ]; then
    rm -f "$new"
    echo "generation $generation is in force already"
    exit 0
fi
[ -s "$state_file" ] || echo 1 >"$state_file" # an empty state file has its version in it
message=$(haproxy -c -f "$new" 2>&1) || refuse 21 "haproxy refuses the configuration; nothing was changed:" "$message"
replace
if [ -n "$master" ]; then
    # A server that is drained, or that failed its checks, stays so across the reload.
    ask 'show servers state' >"$state_file.new" 2>/dev/null && mv -f "$state_file.new" "$state_file"
    kill -USR2 "$master" || exit 1
else
    echo 1 >"$state_file"
    if ! message=$(launch 2>&1); then
        restore
        refuse 23 "haproxy does not start; the previous file is back:" "$message"
    fi
fi
allow "$within_s"
while [ "$(served)" != "$generation" ]; do
    if is_over; then
        now=$(served)
        restore
        # A master whose reload failed only waits: the previous file makes it whole again.
        master=$(master)
        [ -n "$master" ] && [ -n "$had_previous" ] && kill -USR2 "$master"
        refuse 23 "generation '$now' is served, not $generation, after $within_s s (a port in use?); the previous file is back"
    fi
    sleep 0.05
done
# A later start goes by its file alone: the states at this reload may be long past then.
echo 1 >"$state_file"
echo "generation $generation is in force"
