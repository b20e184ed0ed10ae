# Starts balbook's own NGINX, or reloads it where its main file (stdin) changed. Exit statuses: see balbook/commands/nginx.py.
main=$1 marker=$2 prefix=$3 directory=$4 logs=$5 temporary=$6 pid_file=$7 error_log=$8 within_s=$9
LC_ALL=C
export LC_ALL
umask 022
mkdir -p "$prefix" "$directory" "$logs" "$temporary" || exit 1
exec 9>"$pid_file.balbook-lock" || exit 1
flock -w "$within_s" 9 || { say "another change of this balancer is going on"; exit 29; }

new=$main.balbook-new
rm -f "$new"
cat >"$new" || exit 1
if [ -e "$main" ] && ! is_ours "$main" "$marker"; then
    rm -f "$new"
    say "$main is not balbook's: its first line is not '$marker; …'; nothing was changed"
    exit 20
fi
# Workers with an account of their own must be able to reach their temporary files.
folder=$temporary
if grep -q '^user ' "$new" && ! grep -q '^user root;' "$new"; then
    while [ "$folder" != / ]; do
        case $(stat -c %A "$folder") in
        *x | *t) ;;
        *)
            rm -f "$new"
            say "the workers' account cannot enter $folder, so requests with large bodies would fail; nothing was changed"
            exit 28
            ;;
        esac
        folder=$(dirname "$folder")
    done
fi
if ! message=$(nginx -t -q -p "$prefix" -c "$new" -e "$error_log" 2>&1); then
    rm -f "$new"
    say "nginx refuses the configuration; nothing was changed:"
    say "$message"
    exit 21
fi
is_changed=yes
[ -e "$main" ] && cmp -s "$main" "$new" && is_changed=
mv -f "$new" "$main" || exit 1

master=$(master)
if [ -n "$master" ]; then
    log_size=$(size_of_log)
    if [ -n "$is_changed" ] && ! reload "$master" "$within_s" $(children "$master"); then
        say "the reload failed; what was in force still is:"
        log_problems
        exit 23
    fi
    echo "nginx runs as $master"
    exit 0
fi
rm -f "$pid_file"
# The lock and this script's streams are not the daemon's.
if ! message=$(nginx -p "$prefix" -c "$main" -e "$error_log" 2>&1 9>&-); then
    say "nginx does not start:"
    say "$message"
    exit 23
fi
start_ms=$(now_ms)
while [ $(($(now_ms) - start_ms)) -lt $((within_s * 1000)) ]; do
    master=$(master)
    if [ -n "$master" ] && [ -n "$(children "$master")" ]; then
        echo "nginx runs as $master"
        exit 0
    fi
    sleep 0.05
done
say "nginx has no workers after $within_s s:"
tail -n 5 "$error_log" >&2
exit 23
