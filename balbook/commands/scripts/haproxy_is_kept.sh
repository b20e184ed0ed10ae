# Exits 0 where the file $1 has the sha256 $2, every NAME=STATE after $6 is so at the runtime socket $3 (one that is drained
# has no request in hand), and, where $5 is not empty, the generation $5 is served at the URL $6. Changes nothing.
path=$1 sha256=$2 socket=$3 backend=$4 generation=$5 url=$6
shift 6
[ "$(sha256sum "$path" 2>/dev/null | cut -c 1-64)" = "$sha256" ] || { say "$path is missing or another"; exit 1; }
for wanted in "$@"; do
    found=$(runtime_state "$backend" "${wanted%=*}" 2>/dev/null)
    [ "$found" = "${wanted##*=}" ] || { say "${wanted%=*} is in the state $found"; exit 1; }
    [ "$found" = drain ] || continue
    left=$(in_hand "$backend" "${wanted%=*}" 2>/dev/null)
    [ "$left" = 0 ] || { say "${wanted%=*} still has ${left:-?} requests in hand"; exit 1; }
done
[ -n "$generation" ] || exit 0
served=$(curl --silent --max-time 2 --noproxy '*' "$url" 2>/dev/null)
[ "$served" = "$generation" ] || { say "generation '$served' is in force, not $generation"; exit 1; }
