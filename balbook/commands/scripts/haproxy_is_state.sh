# Exits 0 where the server $3 of the backend $2 is in the state $4: `drain` or `ready`.
socket=$1 backend=$2 server=$3 wanted=$4
state=$(admin_state "$backend" "$server")
case $state in
'' | *[!0-9]*) say "HAProxy knows no server $backend/$server"; exit 1 ;;
esac
# 1: forced into maintenance, 4: by its configuration, 8: drained.
if [ $((state & 13)) -eq 0 ]; then found=ready; else found=drain; fi
[ "$found" = "$wanted" ] || { say "$server is not in state $wanted (administrative state $state)"; exit 1; }
