# Lets a running HAProxy use a server again, once its checks pass, and waits for that. Exit statuses: see haproxy.py.
socket=$1 backend=$2 server=$3 within_s=$4
answer=$(ask "set server $backend/$server state ready") || exit 22
if [ -n "$answer" ]; then
    say "HAProxy refuses: $answer"
    exit 21
fi
start_ms=$(now_ms)
while :; do
    status=$(ask 'show stat' | awk -F , -v px="$backend" -v sv="$server" '$1 == px && $2 == sv { print $18 }')
    [ "$status" = UP ] && break
    if [ $(($(now_ms) - start_ms)) -ge $((within_s * 1000)) ]; then
        say "HAProxy finds $server '$status' after $within_s s"
        exit 28
    fi
    sleep 0.05
done
echo "$server is ready"
