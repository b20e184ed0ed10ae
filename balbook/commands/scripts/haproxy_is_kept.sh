# Exits 0 where the file $1 has the sha256 $2, every NAME=STATE after $6 is the state at the runtime socket $3 (a drained server
# has no request in hand), and, where $5 is not empty, the generation $5 is served at the URL $6. Changes nothing.
path=$1 sha256=$2 socket=$3 backend=$4 generation=$5 url=$6
shift 6
[ "$(digest "$path")" = "$sha256" ] || refuse 1 "$path is missing or has another content"
for wanted in "$@"; do
    found=$(runtime_state "$backend" "${wanted%=*}" 2>/dev/null)
    [ "$found" = "${wanted##*=}" ] || refuse 1 "${wanted%=*} is in the state $found"
    [ "$found" = drain ] || continue
    left=$(in_hand "$backend" "${wanted%=*}" 2>/dev/null)
    [ "$left" = 0 ] || refuse 1 "${wanted%=*} still has ${left:-?} requests in hand"
done
[ -n "$generation" ] || exit 0
now=$(served)
[ "$now" = "$generation" ] || refuse 1 "generation '$now' is in force, not $generation"
