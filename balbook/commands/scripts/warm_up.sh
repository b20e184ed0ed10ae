# warm_up PORT REQUESTS TIMEOUT-S PATH...: as many GETs to this host's PORT, path after path. Exits 1 where one gets no answer.
port=$1 requests=$2 timeout_s=$3
shift 3
while [ "$requests" -gt 0 ]; do
    for path in "$@"; do
        [ "$requests" -gt 0 ] || break
        requests=$((requests - 1))
        if ! curl --silent --noproxy '*' --max-time "$timeout_s" --output /dev/null "http://127.0.0.1:$port$path"; then
            echo "port $port: $path gives no answer" >&2
            exit 1
        fi
    done
done
