# watchdog_set FILE FAULT WITHIN-S ARGV...: runs ARGV (with this standard input) after WITHIN-S seconds, even if the run that
# asked for it has died. FILE names the process, for watchdog_end, and the FAULT that it repairs.
set -eu
file=$1 fault=$2 within_s=$3
shift 3
umask 077
mkdir -p "$(dirname "$file")"
cat > "$file.stdin"
text='sleep "$1"; file=$2; shift 2; "$@" < "$file.stdin"; rm -f "$file" "$file.stdin"'
setsid=$(command -v setsid || echo nohup)
$setsid sh -c "$text" balbook-watchdog "$within_s" "$file" "$@" > /dev/null 2>&1 < /dev/null &
pid=$!
echo "$pid $fault" > "$file"
echo "process $pid repairs this after $within_s s at the latest"
