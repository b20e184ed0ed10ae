# Drains and readmits servers of a running HAProxy without a reload, and keeps that in its file (stdin) for the next start.
# Arguments after $7 are NAME=drain or NAME=ready. Exit statuses: see haproxy.py.
path=$1 marker=$2 sha256=$3 pid_file=$4 socket=$5 backend=$6 within_s=$7
shift 7
lock "$within_s"
[ -n "$(master)" ] || refuse 22 "HAProxy is not running"
receive "$path" "$sha256"
is_ours "$path" "$marker" || refuse_foreign "$path" "$marker"
message=$(haproxy -c -f "$new" 2>&1) || refuse 21 "haproxy refuses the configuration; nothing was changed:" "$message"
mv -f "$new" "$path" || exit 1
waiting=
for wanted in "$@"; do
    server=${wanted%=*} state=${wanted##*=} found=$(runtime_state "$backend" "${wanted%=*}")
    if [ "$found" != "$state" ]; then
        answer=$(ask "set server $backend/$server state $state" 9>&-) || exit 22
        [ -z "$answer" ] || refuse 21 "HAProxy refuses: $answer"
    fi
    [ "$found=$state" = ready=ready ] || waiting="$waiting $wanted"
done
allow "$within_s"
for wanted in $waiting; do
    server=${wanted%=*}
    while :; do
        if [ "${wanted##*=}" = drain ]; then
            left=$(in_hand "$backend" "$server")
            [ "$left" = 0 ] && break
            status=24 why="$server is drained, but still has ${left:-?} requests in hand"
        else
            found=$(statistic "$backend" "$server" '$18')
            [ "$found" = UP ] && break
            status=28 why="HAProxy finds $server '$found'"
        fi
        ! is_over || refuse "$status" "$why after $within_s s"
        sleep 0.05
    done
done
echo "in force: $*"
