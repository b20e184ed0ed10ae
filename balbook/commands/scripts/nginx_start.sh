# Starts balbook's own NGINX, or reloads it where its main file (stdin) changed. Exit statuses: see balbook/commands/nginx.py.
main=$1 marker=$2 prefix=$3 directory=$4 logs=$5 temporary=$6 pid_file=$7 error_log=$8 within_s=$9
shift 9
sha256=$1
mkdir -p "$prefix" "$directory" "$logs" "$temporary" || exit 1
lock "$within_s"
receive "$main" "$sha256"
[ ! -e "$main" ] || is_ours "$main" "$marker" || refuse_foreign "$main" "$marker"
# Workers with an account of their own must be able to reach their temporary files.
folder=$temporary
if grep -q '^user ' "$new" && ! grep -q '^user root;' "$new"; then
    while [ "$folder" != / ]; do
        case $(stat -c %A "$folder") in
        *x | *t) ;;
        *) refuse 28 "the workers' account cannot enter $folder, so requests with large bodies would fail; nothing was changed" ;;
        esac
        folder=$(dirname "$folder")
    done
fi
message=$(nginx -t -q -p "$prefix" -c "$new" -e "$error_log" 2>&1) ||
    refuse 21 "nginx refuses the configuration; nothing was changed:" "$message"
is_changed=yes
! cmp -s "$main" "$new" || is_changed=
mv -f "$new" "$main" || exit 1

master=$(master)
if [ -n "$master" ]; then
    log_size=$(size_of_log)
    # shellcheck disable=SC2046
    [ -z "$is_changed" ] || reload "$master" "$within_s" $(children "$master") ||
        refuse 23 "the reload failed; the previous configuration stays in force:" "$(log_problems)"
    echo "nginx runs as $master"
    exit 0
fi
rm -f "$pid_file"
# The daemon gets neither the lock nor this script's streams.
message=$(nginx -p "$prefix" -c "$main" -e "$error_log" 2>&1 9>&-) || refuse 23 "nginx does not start:" "$message"
allow "$within_s"
while ! is_over; do
    master=$(master)
    if [ -n "$master" ] && [ -n "$(children "$master")" ]; then
        echo "nginx runs as $master"
        exit 0
    fi
    sleep 0.05
done
refuse 23 "nginx has no workers after $within_s s:" "$(tail -n 5 "$error_log")"
