# Exits 0 once the upstream $3:$4 answered $5 through the balancer; balancing may need several of the $6 requests.
url=$1 host=$2 upstream=$3 port=$4 expect=$5 requests=$6 timeout_s=$7
LC_ALL=C
export LC_ALL
# The balancer names addresses, the inventory may name hosts.
addresses=$(getent ahosts "$upstream" | cut -d ' ' -f 1 | sort -u)
[ -n "$addresses" ] || addresses=$upstream
seen=
while [ "$requests" -gt 0 ]; do
    requests=$((requests - 1))
    answer=$(curl --silent --insecure --noproxy '*' --max-time "$timeout_s" --output /dev/null --dump-header - \
        --header 'X-Balbook-Probe: 1' ${host:+--header "Host: $host"} "$url" | tr -d '\r')
    status=$(printf '%s\n' "$answer" | sed -n 's|^HTTP/[0-9.]* \([0-9]*\).*|\1|p' | tail -n 1)
    # After a retry the header lists every peer that was tried; the last one answered.
    answered=$(printf '%s\n' "$answer" | sed -n 's/^[Xx]-[Bb]albook-[Uu]pstream: //p' | tail -n 1 | sed 's/.*[, ]//' | tr -d '[]')
    for address in $addresses; do
        if [ "$answered=$status" = "$address:$port=$expect" ]; then
            echo "$answered answered $status"
            exit 0
        fi
    done
    seen="$seen ${answered:-nobody}=${status:-none}"
done
echo "$upstream:$port never answered $expect through the balancer; these answered:$seen" >&2
exit 1
