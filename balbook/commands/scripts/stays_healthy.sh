# Exits 0 once is_healthy $1 $2 $3 $4 has held for $5 seconds, looked at four times a second; 1 as soon as it does not.
now_ms() { read -r up _ </proc/uptime; printf '%s0\n' "$up" | tr -d .; }
end_ms=$(awk -v now="$(now_ms)" -v seconds="$5" 'BEGIN { printf "%d", now + seconds * 1000 }')
while :; do
    is_healthy "$1" "$2" "$3" "$4" || exit 1
    [ "$(now_ms)" -ge "$end_ms" ] && exit 0
    sleep 0.25
done
