# is_started PORT PATH EXPECT TIMEOUT-S INSTANCE: looks at a new instance for up to a second; exit 70 where its process has ended.
# Once it is healthy INSTANCE/ready has `PID START-TIME SECONDS`: how long it took, since its process began.
hundredths() { read -r up _ </proc/uptime; echo "${up%.*}${up#*.}"; }
end=$(($(hundredths) + 100))
while :; do
    has_ended "$5" || exit
    if said=$(is_healthy "$1" "$2" "$3" "$4"); then break; fi
    [ "$(hundredths)" -lt "$end" ] || { echo "$said"; exit 1; }
    sleep 0.03
done
read -r pid start release <"$5/pid"
case "$(cat "$5/ready" 2>/dev/null)" in "$pid $start "*) exit 0 ;; esac
took=$(($(hundredths) - start * 100 / $(getconf CLK_TCK)))
[ "$took" -ge 0 ] && printf '%s %s %d.%02d\n' "$pid" "$start" $((took / 100)) $((took % 100)) 2>/dev/null >"$5/ready"
exit 0
