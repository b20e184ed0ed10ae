# Takes a server out of a running HAProxy and waits until it has no request in hand. Exit statuses: see haproxy.py.
socket=$1 backend=$2 server=$3 within_s=$4
answer=$(ask "set server $backend/$server state drain") || exit 22
if [ -n "$answer" ]; then
    say "HAProxy refuses: $answer"
    exit 21
fi
start_ms=$(now_ms)
while :; do
    left=$(in_hand "$backend" "$server")
    [ "$left" = 0 ] && break
    if [ $(($(now_ms) - start_ms)) -ge $((within_s * 1000)) ]; then
        say "$server is drained, but still has ${left:-?} requests in hand after $within_s s"
        exit 24
    fi
    sleep 0.05
done
echo "$server is drained"
