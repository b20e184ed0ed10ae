# Drains and readmits servers of a running HAProxy without a reload, and keeps that in its file (stdin) for the next start.
# Arguments after $7 are NAME=drain or NAME=ready. Exit statuses: see haproxy.py.
path=$1 marker=$2 sha256=$3 pid_file=$4 socket=$5 backend=$6 within_s=$7
shift 7
new=$path.balbook-new
LC_ALL=C
export LC_ALL
umask 022

exec 9>"$pid_file.balbook-lock" || exit 1
flock -w "$within_s" 9 || { say "another change of this balancer is going on"; exit 29; }
[ -n "$(master)" ] || { say "HAProxy is not running"; exit 22; }
cat >"$new" || exit 1
if [ "$(sha256sum "$new" | cut -c 1-64)" != "$sha256" ]; then
    rm -f "$new"
    say "the configuration arrived damaged; nothing was changed"
    exit 26
fi
case $(head -n 1 "$path" 2>/dev/null) in
"$marker" | "$marker;"*) ;;
*)
    rm -f "$new"
    say "$path is not balbook's: its first line is not '$marker; …'; nothing was changed"
    exit 20
    ;;
esac
if ! message=$(haproxy -c -f "$new" 2>&1); then
    rm -f "$new"
    say "haproxy refuses the configuration; nothing was changed:"
    say "$message"
    exit 21
fi
mv -f "$new" "$path" || exit 1
waiting=
for wanted in "$@"; do
    server=${wanted%=*} state=${wanted##*=}
    found=$(runtime_state "$backend" "$server")
    if [ "$found" != "$state" ]; then
        answer=$(ask "set server $backend/$server state $state" 9>&-) || exit 22
        if [ -n "$answer" ]; then
            say "HAProxy refuses: $answer"
            exit 21
        fi
        waiting="$waiting $wanted"
    elif [ "$state" = drain ]; then
        waiting="$waiting $wanted"
    fi
done
start_ms=$(now_ms)
for wanted in $waiting; do
    server=${wanted%=*}
    while :; do
        if [ "${wanted##*=}" = drain ]; then
            left=$(in_hand "$backend" "$server")
            [ "$left" = 0 ] && break
            status=24 why="$server is drained, but still has ${left:-?} requests in hand"
        else
            found=$(ask 'show stat' | awk -F , -v px="$backend" -v sv="$server" '$1 == px && $2 == sv { print $18 }')
            [ "$found" = UP ] && break
            status=28 why="HAProxy finds $server '$found'"
        fi
        if [ $(($(now_ms) - start_ms)) -ge $((within_s * 1000)) ]; then
            say "$why after $within_s s"
            exit "$status"
        fi
        sleep 0.05
    done
done
echo "in force: $*"
